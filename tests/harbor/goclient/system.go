package main

// What the server says of itself, its settings, and what stretches over projects: search, numbers, quotas, permissions.

import (
	"strconv"
	"strings"

	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/configure"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/health"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/permissions"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/ping"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/quota"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/robot"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/search"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/statistic"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/systeminfo"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/user"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"
)

func (w *walk) system() {
	w.step("ping", func(t *step) {
		got, err := w.stranger.Ping.GetPing(ctx, &ping.GetPingParams{})
		t.answered(w.stranger, err, 200)
		same(t, "the answer", got.Payload, "Pong")
	})
	w.step("health", func(t *step) {
		got, err := w.stranger.Health.GetHealth(ctx, &health.GetHealthParams{})
		t.answered(w.stranger, err, 200)
		same(t, "status", got.Payload.Status, "healthy")
		t.that(len(got.Payload.Components) > 0, "no components")
		for _, component := range got.Payload.Components {
			same(t, component.Name, component.Status, "healthy")
		}
	})
	w.step("systeminfo signed out tells little", func(t *step) {
		got, err := w.stranger.Systeminfo.GetSystemInfo(ctx, &systeminfo.GetSystemInfoParams{})
		t.answered(w.stranger, err, 200)
		t.that(got.Payload.AuthMode != nil && *got.Payload.AuthMode == "db_auth", "auth_mode: %s", w.stranger.wire.body)
		t.that(got.Payload.SelfRegistration != nil && !*got.Payload.SelfRegistration, "self_registration: %s", w.stranger.wire.body)
		t.that(got.Payload.HarborVersion == nil && got.Payload.ExternalURL == nil, "too much: %s", w.stranger.wire.body)
	})
	w.step("systeminfo signed in", func(t *step) {
		got, err := w.admin.Systeminfo.GetSystemInfo(ctx, &systeminfo.GetSystemInfoParams{})
		t.answered(w.admin, err, 200)
		info := got.Payload
		t.that(info.HarborVersion != nil && *info.HarborVersion != "", "harbor_version: %s", w.admin.wire.body)
		t.that(info.RegistryURL != nil && info.ExternalURL != nil && info.ReadOnly != nil, "%s", w.admin.wire.body)
		t.that(info.ProjectCreationRestriction != nil && *info.ProjectCreationRestriction != "", "project_creation_restriction: %s", w.admin.wire.body)
		t.that(info.CurrentTime != nil, "current_time: %s", w.admin.wire.body)
	})
	w.step("systeminfo/volumes", func(t *step) {
		got, err := w.admin.Systeminfo.GetVolumes(ctx, &systeminfo.GetVolumesParams{})
		t.answered(w.admin, err, 200)
		t.that(len(got.Payload.Storage) == 1 && got.Payload.Storage[0].Total > 0 && got.Payload.Storage[0].Free > 0, "%s", w.admin.wire.body)
		_, err = w.stranger.Systeminfo.GetVolumes(ctx, &systeminfo.GetVolumesParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("a wrong password", func(t *step) {
		wrong := open(w.address, w.name, "Wrong-Password-1")
		_, err := wrong.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(wrong, err, 401)
		same(t, "the code", wrong.code(), "UNAUTHORIZED")
		nobody := open(w.address, "nobody-at-all", "Wrong-Password-1")
		_, err = nobody.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(nobody, err, 401)
	})
	w.step("permissions of the administrator", func(t *step) {
		got, err := w.admin.Permissions.GetPermissions(ctx, &permissions.GetPermissionsParams{})
		t.answered(w.admin, err, 200)
		is := func(resource, action string) func(*models.Permission) bool {
			return func(one *models.Permission) bool { return one.Resource == resource && one.Action == action }
		}
		t.that(has(got.Payload.System, is("project", "create")), "no project:create for the system")
		t.that(has(got.Payload.System, is("user", "create")), "no user:create for the system")
		t.that(has(got.Payload.Project, is("repository", "push")), "no repository:push for a project")
		t.that(has(got.Payload.Project, is("artifact", "delete")), "no artifact:delete for a project")
		_, err = w.stranger.Permissions.GetPermissions(ctx, &permissions.GetPermissionsParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("statistics", func(t *step) {
		got, err := w.admin.Statistic.GetStatistic(ctx, &statistic.GetStatisticParams{})
		t.answered(w.admin, err, 200)
		numbers := got.Payload
		t.that(numbers.TotalProjectCount >= 2 && numbers.TotalRepoCount >= 1 && numbers.TotalStorageConsumption > 0, "%s", w.admin.wire.body)
		same(t, "all projects", numbers.PrivateProjectCount+numbers.PublicProjectCount, numbers.TotalProjectCount)
		same(t, "all repositories", numbers.PrivateRepoCount+numbers.PublicRepoCount, numbers.TotalRepoCount)
		_, err = w.stranger.Statistic.GetStatistic(ctx, &statistic.GetStatisticParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("search signed out sees public projects", func(t *step) {
		got, err := w.stranger.Search.Search(ctx, &search.SearchParams{Q: "library"})
		t.answered(w.stranger, err, 200)
		t.that(has(got.Payload.Project, func(one *models.Project) bool { return one.Name == "library" }), "%s", w.stranger.wire.body)
		t.that(got.Payload.Repository != nil, "repository is not a list: %s", w.stranger.wire.body)
	})
	w.step("a route that is not there", func(t *step) {
		t.answered(w.raw(w.name, w.password, "GET", "/api/v2.0/anchors", ""), nil, 404)
	})
	w.step("a request id comes back", func(t *step) {
		_, err := w.admin.Project.HeadProject(ctx, &project.HeadProjectParams{ProjectName: "library", XRequestID: of("till-4711")})
		t.answered(w.admin, err, 200)
		same(t, "X-Request-Id", w.admin.wire.header.Get("X-Request-Id"), "till-4711")
	})
}

func (w *walk) quotas() {
	name := "go-quota"
	var projectID, id int64
	w.step("quota: of a project made with a limit", func(t *step) {
		_, err := w.admin.Project.CreateProject(ctx, &project.CreateProjectParams{
			Project: &models.ProjectReq{ProjectName: name, StorageLimit: of(int64(1 << 30))}})
		t.answered(w.admin, err, 201)
		projectID = t.located(w.admin, "/api/v2.0/projects/")
		got, err := w.admin.Quota.ListQuotas(ctx, &quota.ListQuotasParams{
			Reference: of("project"), ReferenceID: of(strconv.FormatInt(projectID, 10))})
		t.answered(w.admin, err, 200)
		same(t, "X-Total-Count", t.total(w.admin), 1)
		same(t, "the number of quotas", len(got.Payload), 1)
		one := got.Payload[0]
		same(t, "hard.storage", one.Hard["storage"], 1<<30)
		same(t, "used.storage", one.Used["storage"], 0)
		ref, _ := one.Ref.(map[string]any)
		t.that(ref["name"] == name, "ref is %v", one.Ref)
		id = one.ID
	})
	w.step("quota: get", func(t *step) {
		got, err := w.admin.Quota.GetQuota(ctx, &quota.GetQuotaParams{ID: id})
		t.answered(w.admin, err, 200)
		same(t, "id", got.Payload.ID, id)
		_, err = w.admin.Quota.GetQuota(ctx, &quota.GetQuotaParams{ID: 999_999_999})
		t.answered(w.admin, err, 404)
	})
	w.step("quota: list, sorted and in pages", func(t *step) {
		got, err := w.admin.Quota.ListQuotas(ctx, &quota.ListQuotasParams{
			Reference: of("project"), Sort: of("-hard.storage"), Page: of(int64(1)), PageSize: of(int64(1))})
		t.answered(w.admin, err, 200)
		same(t, "the size of the page", len(got.Payload), 1)
		same(t, "the greatest limit", got.Payload[0].Hard["storage"], 1<<30)
		t.that(t.total(w.admin) >= 3 && w.admin.link("next") != "", "no next page: %v", w.admin.wire.header)
	})
	w.step("quota: update", func(t *step) {
		set := func(hard models.ResourceList) error {
			_, err := w.admin.Quota.UpdateQuota(ctx, &quota.UpdateQuotaParams{ID: id, Hard: &models.QuotaUpdateReq{Hard: hard}})
			return err
		}
		t.answered(w.admin, set(models.ResourceList{"storage": 2 << 30}), 200)
		got, err := w.admin.Quota.GetQuota(ctx, &quota.GetQuotaParams{ID: id})
		t.answered(w.admin, err, 200)
		same(t, "hard.storage", got.Payload.Hard["storage"], 2<<30)
		t.answered(w.admin, set(models.ResourceList{"storage": -1}), 200)
		t.answered(w.admin, set(models.ResourceList{"storage": 0}), 400)
		t.answered(w.admin, set(models.ResourceList{"storage": -2}), 400)
		t.answered(w.admin, set(models.ResourceList{"bananas": 5}), 400)
		t.answered(w.admin, set(models.ResourceList{}), 400)
	})
	w.step("quota: a limit of a new project that makes no sense", func(t *step) {
		_, err := w.admin.Project.CreateProject(ctx, &project.CreateProjectParams{
			Project: &models.ProjectReq{ProjectName: "go-quota-bad", StorageLimit: of(int64(-2))}})
		t.answered(w.admin, err, 400)
	})
	w.step("quota: goes with its project", func(t *step) {
		_, err := w.admin.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: name})
		t.answered(w.admin, err, 200)
		_, err = w.admin.Quota.GetQuota(ctx, &quota.GetQuotaParams{ID: id})
		t.answered(w.admin, err, 404)
	})
}

func (w *walk) configuration() {
	read := func(t *step) *models.ConfigurationsResponse {
		got, err := w.admin.Configure.GetConfigurations(ctx, &configure.GetConfigurationsParams{})
		t.answered(w.admin, err, 200)
		return got.Payload
	}
	write := func(settings *models.Configurations) error {
		_, err := w.admin.Configure.UpdateConfigurations(ctx, &configure.UpdateConfigurationsParams{Configurations: settings})
		return err
	}
	w.step("configurations: read", func(t *step) {
		now := read(t)
		t.that(now.AuthMode != nil && now.AuthMode.Value == "db_auth", "auth_mode: %+v", now.AuthMode)
		t.that(now.RobotNamePrefix != nil && now.RobotNamePrefix.Value == "robot$" && now.RobotNamePrefix.Editable, "robot_name_prefix: %+v", now.RobotNamePrefix)
		t.that(now.ProjectCreationRestriction != nil, "no project_creation_restriction")
		t.that(now.StoragePerProject != nil && now.StoragePerProject.Value == -1, "storage_per_project: %+v", now.StoragePerProject)
		t.that(now.TokenExpiration != nil && now.TokenExpiration.Value > 0, "token_expiration: %+v", now.TokenExpiration)
		t.that(!strings.Contains(string(w.admin.wire.body), `_password"`), "a password: %s", w.admin.wire.body)
	})
	w.step("configurations: who may create projects", func(t *step) {
		before := read(t).ProjectCreationRestriction.Value
		t.answered(w.admin, write(&models.Configurations{ProjectCreationRestriction: of("adminonly")}), 200)
		same(t, "project_creation_restriction", read(t).ProjectCreationRestriction.Value, "adminonly")
		maker := w.person(t, "go-maker")
		create := func() error {
			_, err := maker.Project.CreateProject(ctx, &project.CreateProjectParams{Project: &models.ProjectReq{ProjectName: "go-made"}})
			return err
		}
		t.answered(maker, create(), 403)
		t.answered(w.admin, write(&models.Configurations{ProjectCreationRestriction: of("everyone")}), 200)
		t.answered(maker, create(), 201)
		_, err := maker.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: "go-made"})
		t.answered(maker, err, 200)
		t.answered(w.admin, write(&models.Configurations{ProjectCreationRestriction: &before}), 200)
		t.answered(w.admin, write(&models.Configurations{ProjectCreationRestriction: of("nobody")}), 400)
		w.leave(t, "go-maker")
	})
	w.step("configurations: the prefix of robots", func(t *step) {
		t.answered(w.admin, write(&models.Configurations{RobotNamePrefix: of("bot_")}), 200)
		defer func() { _ = write(&models.Configurations{RobotNamePrefix: of("robot$")}) }()
		made, err := w.admin.Robot.CreateRobot(ctx, &robot.CreateRobotParams{Robot: systemRobot("prefixed", -1)})
		t.answered(w.admin, err, 201)
		same(t, "the robot's name", made.Payload.Name, "bot_prefixed")
		t.answered(w.admin, write(&models.Configurations{RobotNamePrefix: of("robot$")}), 200)
		// The prefix is no part of the stored name: older robots change with it.
		got, err := w.admin.Robot.GetRobotByID(ctx, &robot.GetRobotByIDParams{RobotID: made.Payload.ID})
		t.answered(w.admin, err, 200)
		same(t, "the robot's name", got.Payload.Name, "robot$prefixed")
		_, err = w.admin.Robot.DeleteRobot(ctx, &robot.DeleteRobotParams{RobotID: made.Payload.ID})
		t.answered(w.admin, err, 200)
	})
	w.step("configurations: nonsense", func(t *step) {
		t.answered(w.admin, write(&models.Configurations{TokenExpiration: of(int64(-5))}), 400)
		t.answered(w.admin, write(&models.Configurations{AuthMode: of("horoscope")}), 400)
		t.answered(w.raw(w.name, w.password, "PUT", "/api/v2.0/configurations", `{"read_only": "perhaps"}`), nil, 400, 422)
		t.answered(w.raw(w.name, w.password, "PUT", "/api/v2.0/configurations", `{`), nil, 400, 422)
	})
	w.step("configurations: not for others", func(t *step) {
		_, err := w.stranger.Configure.GetConfigurations(ctx, &configure.GetConfigurationsParams{})
		t.answered(w.stranger, err, 401)
		plain := w.person(t, "go-curious")
		_, err = plain.Configure.GetConfigurations(ctx, &configure.GetConfigurationsParams{})
		t.answered(plain, err, 403)
		_, err = plain.Configure.UpdateConfigurations(ctx, &configure.UpdateConfigurationsParams{Configurations: &models.Configurations{ReadOnly: of(true)}})
		t.answered(plain, err, 403)
		w.leave(t, "go-curious")
	})
	w.step("internalconfig is for Harbor's own services", func(t *step) {
		_, err := w.admin.Configure.GetInternalconfig(ctx, &configure.GetInternalconfigParams{})
		t.answered(w.admin, err, 401)
	})
}
