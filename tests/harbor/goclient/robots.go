package main

// Robots of the system and of projects.

import (
	"fmt"
	"strings"

	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/repository"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/robot"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/user"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"
)

func grant(kind, namespace string, pairs ...string) *models.RobotPermission {
	permission := &models.RobotPermission{Kind: kind, Namespace: namespace}
	for _, pair := range pairs {
		resource, action, _ := strings.Cut(pair, ":")
		permission.Access = append(permission.Access, &models.Access{Resource: resource, Action: action})
	}
	return permission
}

func systemRobot(name string, duration int64) *models.RobotCreate {
	return &models.RobotCreate{Name: name, Level: "system", Duration: duration, Description: "for a test",
		Permissions: []*models.RobotPermission{grant("system", "/", "project:list", "project:create"), grant("project", "*", "repository:list", "repository:pull")}}
}

func (w *walk) robots(there pushed) {
	var system, own *models.RobotCreated
	var projectID int64
	create := func(s *session, request *models.RobotCreate) (*models.RobotCreated, error) {
		got, err := s.Robot.CreateRobot(ctx, &robot.CreateRobotParams{Robot: request})
		if got == nil {
			return nil, err
		}
		return got.Payload, err
	}
	projectRobot := func(name string) *models.RobotCreate {
		return &models.RobotCreate{Name: name, Level: "project", Duration: 30,
			Permissions: []*models.RobotPermission{grant("project", there.project, "repository:list", "repository:pull", "repository:push")}}
	}
	list := func(t *step, params *robot.ListRobotParams) []*models.Robot {
		got, err := w.admin.Robot.ListRobot(ctx, params)
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		return got.Payload
	}
	named := func(name string) func(*models.Robot) bool {
		return func(one *models.Robot) bool { return one.Name == name }
	}
	// lists asks for the repositories of the project: 200 says that the secret is good.
	lists := func(s *session, project string) error {
		_, err := s.Repository.ListRepositories(ctx, &repository.ListRepositoriesParams{ProjectName: project})
		return err
	}
	w.step("robot: create one of the system, sign in", func(t *step) {
		made, err := create(w.admin, systemRobot("go-crane", -1))
		t.answered(w.admin, err, 201)
		same(t, "the id in Location", t.located(w.admin, "/api/v2.0/robots/"), made.ID)
		same(t, "name", made.Name, "robot$go-crane")
		same(t, "expires_at", made.ExpiresAt, -1)
		t.that(len(made.Secret) >= 8, "secret is %q", made.Secret)
		system = made
		s := open(w.address, made.Name, made.Secret)
		t.answered(s, lists(s, there.project), 200)
		// A robot is no user.
		_, err = s.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(s, err, 412)
		_, err = s.User.ListUsers(ctx, &user.ListUsersParams{})
		t.answered(s, err, 403)
		t.answered(w.raw(made.Name, made.Secret, "GET", "/v2/", ""), nil, 200)
	})
	w.step("robot: create one of a project, sign in", func(t *step) {
		got, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: there.project})
		t.answered(w.admin, err, 200)
		projectID = int64(got.Payload.ProjectID)
		own, err = create(w.admin, projectRobot("go-winch"))
		t.answered(w.admin, err, 201)
		same(t, "name", own.Name, "robot$"+there.project+"+go-winch")
		t.that(own.ExpiresAt > 0, "expires_at is %d", own.ExpiresAt)
		s := open(w.address, own.Name, own.Secret)
		t.answered(s, lists(s, there.project), 200)
		t.answered(s, lists(s, "go-a"), 403, 404)
		_, err = s.Project.CreateProject(ctx, &project.CreateProjectParams{Project: &models.ProjectReq{ProjectName: "go-robots"}})
		t.answered(s, err, 403)
	})
	w.step("robot: create one that is there", func(t *step) {
		_, err := create(w.admin, systemRobot("go-crane", -1))
		t.answered(w.admin, err, 409)
		_, err = create(w.admin, projectRobot("go-winch"))
		t.answered(w.admin, err, 409)
	})
	w.step("robot: create, badly", func(t *step) {
		for what, spoil := range map[string]func(*models.RobotCreate){
			"a name in capitals":       func(one *models.RobotCreate) { one.Name = "Crane" },
			"a plus in the name":       func(one *models.RobotCreate) { one.Name = "a+b" },
			"no name":                  func(one *models.RobotCreate) { one.Name = "" },
			"no duration":              func(one *models.RobotCreate) { one.Duration = 0 },
			"a negative duration":      func(one *models.RobotCreate) { one.Duration = -2 },
			"an unknown level":         func(one *models.RobotCreate) { one.Level = "galaxy" },
			"no permissions":           func(one *models.RobotCreate) { one.Permissions = nil },
			"an empty permission":      func(one *models.RobotCreate) { one.Permissions[0].Access = nil },
			"an unknown kind":          func(one *models.RobotCreate) { one.Permissions[0].Kind = "galaxy" },
			"an unknown permission":    func(one *models.RobotCreate) { one.Permissions[0].Access[0].Resource = "bananas" },
			"two projects for a level": func(one *models.RobotCreate) { one.Level = "project" },
		} {
			bad := systemRobot("go-bad", -1)
			spoil(bad)
			_, err := create(w.admin, bad)
			t.that(w.admin.wire.status == 400 || w.admin.wire.status == 422, "%s: status %d", what, w.admin.wire.status)
			t.answered(w.admin, err, 400, 422)
		}
		_, err := create(w.stranger, systemRobot("go-bad", -1))
		t.answered(w.stranger, err, 401)
	})
	w.step("robot: list", func(t *step) {
		all := list(t, &robot.ListRobotParams{})
		t.that(has(all, named("robot$go-crane")) && !has(all, named(own.Name)), "%s", w.admin.wire.body)
		all = list(t, &robot.ListRobotParams{Q: of("Level=system,name=~go-cr")})
		same(t, "X-Total-Count", t.total(w.admin), 1)
		t.that(len(all) == 1 && all[0].Secret == "" && all[0].Level == "system" && all[0].Editable, "%s", w.admin.wire.body)
		same(t, "the number of permissions", len(all[0].Permissions), 2)
		all = list(t, &robot.ListRobotParams{Q: of(fmt.Sprintf("Level=project,ProjectID=%d", projectID))})
		t.that(len(all) == 1 && all[0].Name == own.Name && all[0].Level == "project", "%s", w.admin.wire.body)
		same(t, "namespace", all[0].Permissions[0].Namespace, there.project)
		for _, bad := range []string{"Level=project", "Level=galaxy", "Level=project,ProjectID=x"} {
			_, err := w.admin.Robot.ListRobot(ctx, &robot.ListRobotParams{Q: &bad})
			t.answered(w.admin, err, 400)
		}
		_, err := w.stranger.Robot.ListRobot(ctx, &robot.ListRobotParams{})
		t.answered(w.stranger, err, 401)
	})
	get := func(t *step, id int64) *models.Robot {
		got, err := w.admin.Robot.GetRobotByID(ctx, &robot.GetRobotByIDParams{RobotID: id})
		t.answered(w.admin, err, 200)
		return got.Payload
	}
	update := func(one *models.Robot) error {
		_, err := w.admin.Robot.UpdateRobot(ctx, &robot.UpdateRobotParams{RobotID: one.ID, Robot: one})
		return err
	}
	w.step("robot: get", func(t *step) {
		one := get(t, system.ID)
		same(t, "name", one.Name, "robot$go-crane")
		same(t, "description", one.Description, "for a test")
		same(t, "disable", one.Disable, false)
		t.that(one.Duration != nil && *one.Duration == -1 && one.ExpiresAt == -1, "%s", w.admin.wire.body)
		same(t, "creator_type", one.CreatorType, "local")
		same(t, "creator_ref", one.CreatorRef, 1)
		_, err := w.admin.Robot.GetRobotByID(ctx, &robot.GetRobotByIDParams{RobotID: 999_999_999})
		t.answered(w.admin, err, 404)
	})
	w.step("robot: update", func(t *step) {
		one := get(t, system.ID)
		one.Description, one.Duration = "changed", of(int64(7))
		one.Permissions = []*models.RobotPermission{grant("project", there.project, "repository:list")}
		t.answered(w.admin, update(one), 200)
		one = get(t, system.ID)
		same(t, "description", one.Description, "changed")
		same(t, "duration", *one.Duration, 7)
		t.that(one.ExpiresAt > 0, "expires_at is %d", one.ExpiresAt)
		t.that(len(one.Permissions) == 1 && len(one.Permissions[0].Access) == 1, "%s", w.admin.wire.body)
		other := *one
		other.Name = "robot$go-renamed"
		t.answered(w.admin, update(&other), 400)
		other = *one
		other.Level = "project"
		t.answered(w.admin, update(&other), 400)
		moved := get(t, own.ID)
		moved.Permissions[0].Namespace = "library"
		t.answered(w.admin, update(moved), 400)
		other.ID, other.Level = 999_999_999, "system"
		t.answered(w.admin, update(&other), 404)
	})
	w.step("robot: a new secret", func(t *step) {
		refresh := func(secret string) (*models.RobotSec, error) {
			got, err := w.admin.Robot.RefreshSec(ctx, &robot.RefreshSecParams{RobotID: system.ID, RobotSec: &models.RobotSec{Secret: secret}})
			if got == nil {
				return nil, err
			}
			return got.Payload, err
		}
		made, err := refresh("")
		t.answered(w.admin, err, 200)
		t.that(made.Secret != "" && made.Secret != system.Secret, "the secret is %q", made.Secret)
		old, fresh := open(w.address, system.Name, system.Secret), open(w.address, system.Name, made.Secret)
		t.answered(fresh, lists(fresh, there.project), 200)
		t.answered(old, lists(old, there.project), 401)
		chosen, err := refresh("Chosen-By-Me-1-And-Long-Enough-To-Keep")
		t.answered(w.admin, err, 200)
		same(t, "a chosen secret comes back", chosen.Secret, "")
		t.answered(fresh, lists(fresh, there.project), 401)
		mine := open(w.address, system.Name, "Chosen-By-Me-1-And-Long-Enough-To-Keep")
		t.answered(mine, lists(mine, there.project), 200)
		_, err = refresh("weak")
		t.answered(w.admin, err, 400)
	})
	w.step("robot: disabled, and enabled", func(t *step) {
		s := open(w.address, own.Name, own.Secret)
		one := get(t, own.ID)
		one.Disable = true
		t.answered(w.admin, update(one), 200)
		t.answered(s, lists(s, there.project), 401)
		one.Disable = false
		t.answered(w.admin, update(one), 200)
		t.answered(s, lists(s, there.project), 200)
	})
	w.step("robot: not for others", func(t *step) {
		plain := w.person(t, "go-outsider")
		_, err := plain.Robot.ListRobot(ctx, &robot.ListRobotParams{})
		t.answered(plain, err, 403)
		_, err = plain.Robot.GetRobotByID(ctx, &robot.GetRobotByIDParams{RobotID: own.ID})
		t.answered(plain, err, 403, 404)
		_, err = create(plain, projectRobot("go-pirate"))
		t.answered(plain, err, 403, 404)
		w.leave(t, "go-outsider")
	})
	w.step("robot: delete", func(t *step) {
		for _, one := range []*models.RobotCreated{system, own} {
			_, err := w.admin.Robot.DeleteRobot(ctx, &robot.DeleteRobotParams{RobotID: one.ID})
			t.answered(w.admin, err, 200)
			_, err = w.admin.Robot.GetRobotByID(ctx, &robot.GetRobotByIDParams{RobotID: one.ID})
			t.answered(w.admin, err, 404)
			_, err = w.admin.Robot.DeleteRobot(ctx, &robot.DeleteRobotParams{RobotID: one.ID})
			t.answered(w.admin, err, 404)
		}
		s := open(w.address, own.Name, own.Secret)
		t.answered(s, lists(s, there.project), 401)
	})
}
