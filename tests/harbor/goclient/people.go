package main

// Users, groups and the members of projects.

import (
	"fmt"

	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/member"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/permissions"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/user"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/usergroup"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"
)

const personsPassword = "Deck-Hand-4711"

// person makes a user and signs in as them.
func (w *walk) person(t *step, name string) *session {
	_, err := w.admin.User.CreateUser(ctx, &user.CreateUserParams{UserReq: &models.UserCreationReq{
		Username: name, Email: name + "@example.org", Realname: "A Person", Password: personsPassword, Comment: "made by a test"}})
	t.answered(w.admin, err, 201)
	t.located(w.admin, "/api/v2.0/users/")
	return open(w.address, name, personsPassword)
}

// numberOf is the id of a user.
func (w *walk) numberOf(t *step, name string) int64 {
	got, err := w.admin.User.SearchUsers(ctx, &user.SearchUsersParams{Username: name})
	t.answered(w.admin, err, 200)
	for _, one := range got.Payload {
		if one.Username == name {
			return one.UserID
		}
	}
	t.that(false, "no user %s: %s", name, w.admin.wire.body)
	return 0
}

// leave removes a user.
func (w *walk) leave(t *step, name string) {
	_, err := w.admin.User.DeleteUser(ctx, &user.DeleteUserParams{UserID: w.numberOf(t, name)})
	t.answered(w.admin, err, 200)
}

func (w *walk) users() {
	var id int64
	var ann *session
	create := func(s *session, request *models.UserCreationReq) error {
		_, err := s.User.CreateUser(ctx, &user.CreateUserParams{UserReq: request})
		return err
	}
	w.step("user: create, sign in", func(t *step) {
		ann = w.person(t, "go-ann")
		id = w.numberOf(t, "go-ann")
		got, err := ann.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(ann, err, 200)
		me := got.Payload
		same(t, "user_id", me.UserID, id)
		same(t, "username", me.Username, "go-ann")
		same(t, "email", me.Email, "go-ann@example.org")
		same(t, "realname", me.Realname, "A Person")
		same(t, "comment", me.Comment, "made by a test")
		same(t, "sysadmin_flag", me.SysadminFlag, false)
		w.person(t, "go-bob")
	})
	w.step("user: create one that is there", func(t *step) {
		again := models.UserCreationReq{Username: "go-ann", Email: "other@example.org", Realname: "x", Password: personsPassword}
		t.answered(w.admin, create(w.admin, &again), 409)
		again.Username, again.Email = "go-other", "go-ann@example.org"
		t.answered(w.admin, create(w.admin, &again), 409)
	})
	w.step("user: create, badly", func(t *step) {
		good := models.UserCreationReq{Username: "go-bad", Email: "bad@example.org", Realname: "x", Password: personsPassword}
		for _, spoil := range []func(*models.UserCreationReq){
			func(one *models.UserCreationReq) { one.Password = "short1A" },
			func(one *models.UserCreationReq) { one.Password = "alllowercase1" },
			func(one *models.UserCreationReq) { one.Password = "" },
			func(one *models.UserCreationReq) { one.Email = "nowhere" },
			func(one *models.UserCreationReq) { one.Email = "" },
			func(one *models.UserCreationReq) { one.Username = "" },
			func(one *models.UserCreationReq) { one.Username = "with,comma" },
			func(one *models.UserCreationReq) { one.Username = "with$dollar" },
			func(one *models.UserCreationReq) { one.Realname = "" },
			func(one *models.UserCreationReq) { one.Comment = "a comment may be of thirty characters" },
		} {
			bad := good
			spoil(&bad)
			t.answered(w.admin, create(w.admin, &bad), 400, 422)
		}
		t.answered(w.stranger, create(w.stranger, &good), 401)
		t.answered(ann, create(ann, &good), 403)
	})
	w.step("user: list, search", func(t *step) {
		got, err := w.admin.User.ListUsers(ctx, &user.ListUsersParams{Q: of("username=~go-"), Sort: of("-username")})
		t.answered(w.admin, err, 200)
		same(t, "X-Total-Count", t.total(w.admin), 2)
		same(t, "the number of users", len(got.Payload), 2)
		same(t, "the first", got.Payload[0].Username, "go-bob")
		t.answered(w.raw(w.name, w.password, "GET", "/api/v2.0/users?username=go-an", ""), nil, 200)
		found, err := ann.User.SearchUsers(ctx, &user.SearchUsersParams{Username: "go-"})
		t.answered(ann, err, 200)
		same(t, "the number found", len(found.Payload), 2)
		found, err = ann.User.SearchUsers(ctx, &user.SearchUsersParams{Username: "nobody-at-all"})
		t.answered(ann, err, 200)
		same(t, "the number found", len(found.Payload), 0)
		t.jsonList(ann)
		_, err = ann.User.ListUsers(ctx, &user.ListUsersParams{})
		t.answered(ann, err, 403)
		_, err = w.stranger.User.SearchUsers(ctx, &user.SearchUsersParams{Username: "go-"})
		t.answered(w.stranger, err, 401)
	})
	w.step("user: get", func(t *step) {
		get := func(s *session, id int64) error {
			_, err := s.User.GetUser(ctx, &user.GetUserParams{UserID: id})
			return err
		}
		t.answered(w.admin, get(w.admin, id), 200)
		t.answered(ann, get(ann, id), 200)
		t.answered(ann, get(ann, 1), 403)
		t.answered(w.admin, get(w.admin, 999_999_999), 404)
		t.answered(w.stranger, get(w.stranger, id), 401)
	})
	w.step("user: update the profile", func(t *step) {
		update := func(s *session, id int64, profile *models.UserProfile) error {
			_, err := s.User.UpdateUserProfile(ctx, &user.UpdateUserProfileParams{UserID: id, Profile: profile})
			return err
		}
		t.answered(ann, update(ann, id, &models.UserProfile{Email: "ann@example.net", Realname: "Ann", Comment: "new"}), 200)
		got, err := ann.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(ann, err, 200)
		same(t, "email", got.Payload.Email, "ann@example.net")
		same(t, "realname", got.Payload.Realname, "Ann")
		t.answered(ann, update(ann, id, &models.UserProfile{Email: "", Realname: "Ann"}), 400)
		t.answered(ann, update(ann, w.numberOf(t, "go-bob"), &models.UserProfile{Email: "x@example.net", Realname: "Ann"}), 403)
		t.answered(w.admin, update(w.admin, id, &models.UserProfile{Email: "go-bob@example.org", Realname: "Ann"}), 409)
		t.answered(w.admin, update(w.admin, 999_999_999, &models.UserProfile{Email: "x@example.net", Realname: "x"}), 404)
	})
	w.step("user: a new password", func(t *step) {
		set := func(s *session, id int64, before, after string) error {
			_, err := s.User.UpdateUserPassword(ctx, &user.UpdateUserPasswordParams{UserID: id, Password: &models.PasswordReq{OldPassword: before, NewPassword: after}})
			return err
		}
		t.answered(ann, set(ann, id, "Wrong-Password-1", "Boat-Swain-4711"), 403)
		t.answered(ann, set(ann, id, personsPassword, personsPassword), 400)
		t.answered(ann, set(ann, id, personsPassword, "weak"), 400)
		t.answered(ann, set(ann, id, personsPassword, "Boat-Swain-4711"), 200)
		_, err := ann.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(ann, err, 401)
		ann = open(w.address, "go-ann", "Boat-Swain-4711")
		_, err = ann.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(ann, err, 200)
		// The administrator need not know the old one.
		t.answered(w.admin, set(w.admin, id, "", personsPassword), 200)
		ann = open(w.address, "go-ann", personsPassword)
		_, err = ann.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(ann, err, 200)
		t.answered(ann, set(ann, w.numberOf(t, "go-bob"), "", "Boat-Swain-4711"), 403)
	})
	w.step("user: system administrator, and not", func(t *step) {
		set := func(s *session, id int64, flag bool) error {
			_, err := s.User.SetUserSysAdmin(ctx, &user.SetUserSysAdminParams{UserID: id, SysadminFlag: &models.UserSysAdminFlag{SysadminFlag: flag}})
			return err
		}
		t.answered(ann, set(ann, id, true), 403)
		t.answered(w.admin, set(w.admin, id, true), 200)
		_, err := ann.User.ListUsers(ctx, &user.ListUsersParams{})
		t.answered(ann, err, 200)
		t.answered(w.admin, set(w.admin, id, false), 200)
		_, err = ann.User.ListUsers(ctx, &user.ListUsersParams{})
		t.answered(ann, err, 403)
		t.answered(w.admin, set(w.admin, 999_999_999, true), 404)
	})
	w.step("user: what one may do", func(t *step) {
		got, err := w.admin.User.GetCurrentUserPermissions(ctx, &user.GetCurrentUserPermissionsParams{})
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		library, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "library"})
		t.answered(w.admin, err, 200)
		scope := fmt.Sprintf("/project/%d", library.Payload.ProjectID)
		can := func(resource, action string) func(*models.Permission) bool {
			return func(one *models.Permission) bool { return one.Resource == resource && one.Action == action }
		}
		got, err = w.admin.User.GetCurrentUserPermissions(ctx, &user.GetCurrentUserPermissionsParams{Scope: &scope})
		t.answered(w.admin, err, 200)
		t.that(has(got.Payload, can(scope+"/repository", "push")), "the administrator may not push: %.300s", w.admin.wire.body)
		got, err = ann.User.GetCurrentUserPermissions(ctx, &user.GetCurrentUserPermissionsParams{Scope: &scope, Relative: of(true)})
		t.answered(ann, err, 200)
		t.that(has(got.Payload, can("repository", "pull")), "nobody may pull from library: %.300s", ann.wire.body)
		t.that(!has(got.Payload, can("repository", "push")), "anybody may push to library: %.300s", ann.wire.body)
		_, err = w.stranger.User.GetCurrentUserPermissions(ctx, &user.GetCurrentUserPermissionsParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("user: a secret for the command line is for OIDC", func(t *step) {
		_, err := ann.User.SetCliSecret(ctx, &user.SetCliSecretParams{UserID: id, Secret: &models.OIDCCliSecretReq{Secret: personsPassword}})
		t.answered(ann, err, 412)
	})
	w.step("user: delete", func(t *step) {
		remove := func(s *session, id int64) error {
			_, err := s.User.DeleteUser(ctx, &user.DeleteUserParams{UserID: id})
			return err
		}
		t.answered(ann, remove(ann, id), 403)
		t.answered(w.admin, remove(w.admin, 1), 403)
		t.answered(w.admin, remove(w.admin, w.numberOf(t, "go-bob")), 200)
		t.answered(w.admin, remove(w.admin, id), 200)
		_, err := ann.User.GetCurrentUserInfo(ctx, &user.GetCurrentUserInfoParams{})
		t.answered(ann, err, 401)
		_, err = w.admin.User.GetUser(ctx, &user.GetUserParams{UserID: id})
		t.answered(w.admin, err, 404)
		t.answered(w.admin, remove(w.admin, id), 404)
		// The name and the address are free again.
		w.person(t, "go-ann")
		w.leave(t, "go-ann")
	})
}

func (w *walk) groups() {
	// Groups of OIDC: the kind that needs no directory to be asked.
	const kind = 3
	var id int64
	create := func(s *session, name string) error {
		_, err := s.Usergroup.CreateUserGroup(ctx, &usergroup.CreateUserGroupParams{Usergroup: &models.UserGroup{GroupName: name, GroupType: kind}})
		return err
	}
	w.step("group: create", func(t *step) {
		t.answered(w.admin, create(w.admin, "go-crew"), 201)
		id = t.located(w.admin, "/api/v2.0/usergroups/")
		t.answered(w.admin, create(w.admin, "go-crew"), 409)
		// Harbor answers this one without a body.
		_, _ = w.admin.Usergroup.CreateUserGroup(ctx, &usergroup.CreateUserGroupParams{Usergroup: &models.UserGroup{GroupType: kind}})
		same(t, "the status for a group without a name", w.admin.wire.status, 400)
		t.answered(w.stranger, create(w.stranger, "go-pirates"), 401)
	})
	w.step("group: list, search, get", func(t *step) {
		got, err := w.admin.Usergroup.ListUserGroups(ctx, &usergroup.ListUserGroupsParams{GroupName: of("go-cr")})
		t.answered(w.admin, err, 200)
		same(t, "X-Total-Count", t.total(w.admin), 1)
		t.that(len(got.Payload) == 1 && got.Payload[0].ID == id && got.Payload[0].GroupType == kind, "%s", w.admin.wire.body)
		found, err := w.admin.Usergroup.SearchUserGroups(ctx, &usergroup.SearchUserGroupsParams{Groupname: "crew"})
		t.answered(w.admin, err, 200)
		t.that(len(found.Payload) == 1 && found.Payload[0].GroupName == "go-crew", "%s", w.admin.wire.body)
		found, err = w.admin.Usergroup.SearchUserGroups(ctx, &usergroup.SearchUserGroupsParams{Groupname: "no-such-crew"})
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		_, err = w.admin.Usergroup.SearchUserGroups(ctx, &usergroup.SearchUserGroupsParams{Groupname: ""})
		t.answered(w.admin, err, 400, 422)
		one, err := w.admin.Usergroup.GetUserGroup(ctx, &usergroup.GetUserGroupParams{GroupID: id})
		t.answered(w.admin, err, 200)
		same(t, "group_name", one.Payload.GroupName, "go-crew")
		_, err = w.admin.Usergroup.GetUserGroup(ctx, &usergroup.GetUserGroupParams{GroupID: 999_999_999})
		t.answered(w.admin, err, 404)
		_, err = w.stranger.Usergroup.ListUserGroups(ctx, &usergroup.ListUserGroupsParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("group: update", func(t *step) {
		_, err := w.admin.Usergroup.UpdateUserGroup(ctx, &usergroup.UpdateUserGroupParams{GroupID: id, Usergroup: &models.UserGroup{GroupName: "go-watch"}})
		t.answered(w.admin, err, 200)
		one, err := w.admin.Usergroup.GetUserGroup(ctx, &usergroup.GetUserGroupParams{GroupID: id})
		t.answered(w.admin, err, 200)
		same(t, "group_name", one.Payload.GroupName, "go-watch")
	})
	w.step("group: not for others", func(t *step) {
		plain := w.person(t, "go-deckhand")
		t.answered(plain, create(plain, "go-pirates"), 403)
		_, err := plain.Usergroup.ListUserGroups(ctx, &usergroup.ListUserGroupsParams{})
		t.answered(plain, err, 403)
		_, err = plain.Usergroup.SearchUserGroups(ctx, &usergroup.SearchUserGroupsParams{Groupname: "go"})
		t.answered(plain, err, 200)
		w.leave(t, "go-deckhand")
	})
	w.step("group: a member of a project, and deleted", func(t *step) {
		_, err := w.admin.Member.CreateProjectMember(ctx, &member.CreateProjectMemberParams{ProjectNameOrID: "go-a",
			ProjectMember: &models.ProjectMember{RoleID: 3, MemberGroup: &models.UserGroup{ID: id}}})
		t.answered(w.admin, err, 201)
		got, err := w.admin.Member.ListProjectMembers(ctx, &member.ListProjectMembersParams{ProjectNameOrID: "go-a", Entityname: of("go-watch")})
		t.answered(w.admin, err, 200)
		t.that(len(got.Payload) == 1 && got.Payload[0].EntityType == "g" && got.Payload[0].EntityID == id, "%s", w.admin.wire.body)
		_, err = w.admin.Usergroup.DeleteUserGroup(ctx, &usergroup.DeleteUserGroupParams{GroupID: id})
		t.answered(w.admin, err, 200)
		_, err = w.admin.Usergroup.GetUserGroup(ctx, &usergroup.GetUserGroupParams{GroupID: id})
		t.answered(w.admin, err, 404)
		got, err = w.admin.Member.ListProjectMembers(ctx, &member.ListProjectMembersParams{ProjectNameOrID: "go-a", Entityname: of("go-watch")})
		t.answered(w.admin, err, 200)
		same(t, "members that are no more", len(got.Payload), 0)
	})
}

func (w *walk) members() {
	var ann *session
	var id int64
	add := func(s *session, name string, role int64) error {
		_, err := s.Member.CreateProjectMember(ctx, &member.CreateProjectMemberParams{ProjectNameOrID: "go-a",
			ProjectMember: &models.ProjectMember{RoleID: role, MemberUser: &models.UserEntity{Username: name}}})
		return err
	}
	list := func(t *step, params *member.ListProjectMembersParams) []*models.ProjectMemberEntity {
		params.ProjectNameOrID = "go-a"
		got, err := w.admin.Member.ListProjectMembers(ctx, params)
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		return got.Payload
	}
	reads := func(s *session) error {
		_, err := s.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-a"})
		return err
	}
	w.step("member: one who is none sees nothing", func(t *step) {
		ann = w.person(t, "go-mate")
		// Harbor says 403, also when there is no such project; Portolan says that nothing is there.
		t.answered(ann, reads(ann), 403, 404)
		_, err := ann.Member.ListProjectMembers(ctx, &member.ListProjectMembersParams{ProjectNameOrID: "go-a"})
		t.answered(ann, err, 403, 404)
		got, err := ann.Project.ListProjects(ctx, &project.ListProjectsParams{Name: of("go-a")})
		t.answered(ann, err, 200)
		same(t, "the projects seen", len(got.Payload), 0)
		_, err = ann.Permissions.GetPermissions(ctx, &permissions.GetPermissionsParams{})
		t.answered(ann, err, 403)
	})
	w.step("member: create by name", func(t *step) {
		t.answered(w.admin, add(w.admin, "go-mate", 3), 201)
		id = t.located(w.admin, "/api/v2.0/projects/go-a/members/")
		t.answered(w.admin, add(w.admin, "go-mate", 2), 409)
		t.answered(w.admin, add(w.admin, "nobody-at-all", 3), 404)
		t.answered(w.admin, add(w.admin, w.name, 3), 409)
		t.answered(ann, reads(ann), 200)
	})
	w.step("member: create, badly", func(t *step) {
		w.person(t, "go-cook")
		t.answered(w.admin, add(w.admin, "go-cook", 9), 400)
		t.answered(w.admin, add(w.admin, "go-cook", 0), 400)
		_, err := w.admin.Member.CreateProjectMember(ctx, &member.CreateProjectMemberParams{ProjectNameOrID: "go-a", ProjectMember: &models.ProjectMember{RoleID: 3}})
		t.answered(w.admin, err, 400)
		_, err = w.admin.Member.CreateProjectMember(ctx, &member.CreateProjectMemberParams{ProjectNameOrID: "go-none",
			ProjectMember: &models.ProjectMember{RoleID: 3, MemberUser: &models.UserEntity{Username: "go-cook"}}})
		t.answered(w.admin, err, 404)
		t.answered(ann, add(ann, "go-cook", 3), 403)
	})
	w.step("member: list", func(t *step) {
		all := list(t, &member.ListProjectMembersParams{})
		same(t, "X-Total-Count", t.total(w.admin), 2)
		same(t, "the number of members", len(all), 2)
		one := list(t, &member.ListProjectMembersParams{Entityname: of("go-mate")})
		t.that(len(one) == 1, "%s", w.admin.wire.body)
		same(t, "id", one[0].ID, id)
		same(t, "entity_type", one[0].EntityType, "u")
		same(t, "entity_name", one[0].EntityName, "go-mate")
		same(t, "role_id", one[0].RoleID, 3)
		same(t, "role_name", one[0].RoleName, "guest")
		t.that(one[0].ProjectID > 0 && one[0].EntityID > 0, "%s", w.admin.wire.body)
		same(t, "strangers", len(list(t, &member.ListProjectMembersParams{Entityname: of("nobody-at-all")})), 0)
		same(t, "the size of a page", len(list(t, &member.ListProjectMembersParams{Page: of(int64(2)), PageSize: of(int64(1))})), 1)
		t.that(w.admin.link("prev") != "" && w.admin.link("next") == "", "Link: %s", w.admin.wire.header.Get("Link"))
	})
	w.step("member: get", func(t *step) {
		got, err := w.admin.Member.GetProjectMember(ctx, &member.GetProjectMemberParams{ProjectNameOrID: "go-a", Mid: id})
		t.answered(w.admin, err, 200)
		same(t, "entity_name", got.Payload.EntityName, "go-mate")
		_, err = w.admin.Member.GetProjectMember(ctx, &member.GetProjectMemberParams{ProjectNameOrID: "go-a", Mid: 999_999_999})
		t.answered(w.admin, err, 404)
		_, err = w.admin.Member.GetProjectMember(ctx, &member.GetProjectMemberParams{ProjectNameOrID: "library", Mid: id})
		t.answered(w.admin, err, 404)
	})
	w.step("member: roles, one after the other", func(t *step) {
		for role, name := range map[int64]string{1: "projectAdmin", 2: "developer", 3: "guest", 4: "maintainer", 5: "limitedGuest"} {
			_, err := w.admin.Member.UpdateProjectMember(ctx, &member.UpdateProjectMemberParams{ProjectNameOrID: "go-a", Mid: id, Role: &models.RoleRequest{RoleID: role}})
			t.answered(w.admin, err, 200)
			got, err := w.admin.Member.GetProjectMember(ctx, &member.GetProjectMemberParams{ProjectNameOrID: "go-a", Mid: id})
			t.answered(w.admin, err, 200)
			same(t, "role_name", got.Payload.RoleName, name)
			mine, err := ann.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-a"})
			t.answered(ann, err, 200)
			same(t, "current_user_role_id", mine.Payload.CurrentUserRoleID, role)
		}
	})
	w.step("member: what a role may do", func(t *step) {
		be := func(role int64) {
			_, err := w.admin.Member.UpdateProjectMember(ctx, &member.UpdateProjectMemberParams{ProjectNameOrID: "go-a", Mid: id, Role: &models.RoleRequest{RoleID: role}})
			t.answered(w.admin, err, 200)
		}
		update := func() error {
			_, err := ann.Project.UpdateProject(ctx, &project.UpdateProjectParams{ProjectNameOrID: "go-a", Project: &models.ProjectReq{Metadata: &models.ProjectMetadata{Public: "false"}}})
			return err
		}
		see := func() error {
			_, err := ann.Member.ListProjectMembers(ctx, &member.ListProjectMembersParams{ProjectNameOrID: "go-a"})
			return err
		}
		be(5)
		t.answered(ann, see(), 403, 404)
		be(3)
		t.answered(ann, see(), 200)
		t.answered(ann, update(), 403)
		be(1)
		t.answered(ann, update(), 200)
		got, err := ann.Permissions.GetPermissions(ctx, &permissions.GetPermissionsParams{})
		t.answered(ann, err, 200)
		t.that(len(got.Payload.System) == 0 && len(got.Payload.Project) > 0, "a project's administrator sees: %.300s", ann.wire.body)
		t.answered(ann, add(ann, "go-cook", 2), 201)
	})
	w.step("member: delete", func(t *step) {
		_, err := w.admin.Member.DeleteProjectMember(ctx, &member.DeleteProjectMemberParams{ProjectNameOrID: "go-a", Mid: id})
		t.answered(w.admin, err, 200)
		_, err = w.admin.Member.GetProjectMember(ctx, &member.GetProjectMemberParams{ProjectNameOrID: "go-a", Mid: id})
		t.answered(w.admin, err, 404)
		t.answered(ann, reads(ann), 403, 404)
	})
	w.step("member: goes with the user", func(t *step) {
		w.leave(t, "go-mate")
		w.leave(t, "go-cook")
		same(t, "the number of members", len(list(t, &member.ListProjectMembersParams{})), 1)
	})
}
