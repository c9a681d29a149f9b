package main

// Projects and their metadata.

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project_metadata"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"
)

func (w *walk) projects() {
	ids := map[string]int64{}
	create := func(request *models.ProjectReq) error {
		_, err := w.admin.Project.CreateProject(ctx, &project.CreateProjectParams{Project: request})
		return err
	}
	w.step("project: create", func(t *step) {
		for _, name := range []string{"go-a", "go-b", "go-c"} {
			t.answered(w.admin, create(&models.ProjectReq{ProjectName: name, Metadata: &models.ProjectMetadata{Public: strconv.FormatBool(name == "go-c")}}), 201)
			ids[name] = t.located(w.admin, "/api/v2.0/projects/")
		}
	})
	w.step("project: create, with its name in the Location", func(t *step) {
		_, err := w.admin.Project.CreateProject(ctx, &project.CreateProjectParams{
			XResourceNameInLocation: of(true), Project: &models.ProjectReq{ProjectName: "20260704"}})
		t.answered(w.admin, err, 201)
		same(t, "Location", w.admin.wire.header.Get("Location"), "/api/v2.0/projects/20260704")
	})
	w.step("project: a name of digits needs a word that it is a name", func(t *step) {
		_, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "20260704"})
		t.answered(w.admin, err, 404, 403)
		got, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "20260704", XIsResourceName: of(true)})
		t.answered(w.admin, err, 200)
		same(t, "name", got.Payload.Name, "20260704")
		_, err = w.admin.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: "20260704", XIsResourceName: of(true)})
		t.answered(w.admin, err, 200)
	})
	w.step("project: create one that is there", func(t *step) {
		t.answered(w.admin, create(&models.ProjectReq{ProjectName: "go-a"}), 409)
		same(t, "the code", w.admin.code(), "CONFLICT")
	})
	w.step("project: create, badly", func(t *step) {
		for _, name := range []string{"UPPER", "", "a b", "-a", "a..b", "a/b", strings.Repeat("a", 256)} {
			t.answered(w.admin, create(&models.ProjectReq{ProjectName: name}), 400, 422)
		}
		t.answered(w.admin, create(&models.ProjectReq{ProjectName: "go-x", Metadata: &models.ProjectMetadata{Public: "perhaps"}}), 400)
		t.answered(w.admin, create(&models.ProjectReq{ProjectName: "go-x", RegistryID: of(int64(0))}), 400)
		t.answered(w.admin, create(&models.ProjectReq{ProjectName: "go-x", Metadata: &models.ProjectMetadata{RetentionID: of("5")}}), 400)
		t.answered(w.raw(w.name, w.password, "POST", "/api/v2.0/projects", `{"project_name": `), nil, 400, 422)
		t.answered(w.raw(w.name, w.password, "POST", "/api/v2.0/projects", `{"project_name": 5}`), nil, 400, 422)
		_, err := w.stranger.Project.CreateProject(ctx, &project.CreateProjectParams{Project: &models.ProjectReq{ProjectName: "go-x"}})
		t.answered(w.stranger, err, 401)
	})
	w.step("project: get by name and by id", func(t *step) {
		byName, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-a"})
		t.answered(w.admin, err, 200)
		byID, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: fmt.Sprint(ids["go-a"])})
		t.answered(w.admin, err, 200)
		one := byID.Payload
		same(t, "name", one.Name, byName.Payload.Name)
		same(t, "project_id", int64(one.ProjectID), ids["go-a"])
		same(t, "owner_name", one.OwnerName, w.name)
		same(t, "metadata.public", one.Metadata.Public, "false")
		same(t, "repo_count", one.RepoCount, 0)
		same(t, "current_user_role_id", one.CurrentUserRoleID, 1)
		t.that(len(one.CurrentUserRoleIds) > 0 && one.OwnerID > 0, "%s", w.admin.wire.body)
		t.that(dated(one.CreationTime) && dated(one.UpdateTime), "%s", w.admin.wire.body)
	})
	w.step("project: get one that is not there", func(t *step) {
		for _, name := range []string{"go-none", "999999999"} {
			_, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: name})
			t.answered(w.admin, err, 404)
			same(t, "the code", w.admin.code(), "NOT_FOUND")
		}
	})
	w.step("project: signed out sees public ones only", func(t *step) {
		_, err := w.stranger.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-c"})
		t.answered(w.stranger, err, 200)
		// Harbor says 401 to both; Portolan may say that neither is there.
		for _, name := range []string{"go-a", "go-none"} {
			_, err := w.stranger.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: name})
			t.answered(w.stranger, err, 401, 404)
		}
		got, err := w.stranger.Project.ListProjects(ctx, &project.ListProjectsParams{})
		t.answered(w.stranger, err, 200)
		for _, one := range got.Payload {
			same(t, "metadata.public of "+one.Name, one.Metadata.Public, "true")
		}
		got, err = w.stranger.Project.ListProjects(ctx, &project.ListProjectsParams{Public: of(false)})
		t.answered(w.stranger, err, 200)
		same(t, "private projects shown", len(got.Payload), 0)
		t.jsonList(w.stranger)
	})
	w.step("project: HEAD", func(t *step) {
		head := func(s *session, name string) error {
			_, err := s.Project.HeadProject(ctx, &project.HeadProjectParams{ProjectName: name})
			return err
		}
		t.answered(w.admin, head(w.admin, "go-a"), 200)
		t.answered(w.admin, head(w.admin, "go-none"), 404)
		t.answered(w.stranger, head(w.stranger, "go-a"), 401)
	})
	names := func(t *step, params *project.ListProjectsParams) []string {
		got, err := w.admin.Project.ListProjects(ctx, params)
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		var found []string
		for _, one := range got.Payload {
			found = append(found, one.Name)
		}
		return found
	}
	listed := func(t *step, what string, params *project.ListProjectsParams, want string) {
		same(t, what, strings.Join(names(t, params), " "), want)
	}
	w.step("project: list by name, owner, public", func(t *step) {
		listed(t, "name=go-", &project.ListProjectsParams{Name: of("go-"), Sort: of("name")}, "go-a go-b go-c")
		same(t, "X-Total-Count", t.total(w.admin), 3)
		listed(t, "public", &project.ListProjectsParams{Name: of("go-"), Public: of(true)}, "go-c")
		listed(t, "owner", &project.ListProjectsParams{Name: of("go-"), Owner: of("nobody-at-all")}, "")
		same(t, "X-Total-Count", t.total(w.admin), 0)
		listed(t, "owner", &project.ListProjectsParams{Name: of("go-"), Owner: &w.name, Sort: of("-name")}, "go-c go-b go-a")
	})
	w.step("project: list by q", func(t *step) {
		listed(t, "exact", &project.ListProjectsParams{Q: of("name=go-a")}, "go-a")
		listed(t, "fuzzy", &project.ListProjectsParams{Q: of("name=~o-b")}, "go-b")
		listed(t, "either", &project.ListProjectsParams{Q: of("name={go-a go-c}"), Sort: of("name")}, "go-a go-c")
		listed(t, "both", &project.ListProjectsParams{Q: of("name=~go-,public=true")}, "go-c")
		listed(t, "range", &project.ListProjectsParams{Q: of(fmt.Sprintf("project_id=[%d~%d]", ids["go-a"], ids["go-b"])), Sort: of("name")}, "go-a go-b")
		listed(t, "nothing", &project.ListProjectsParams{Q: of("name=go-none")}, "")
	})
	w.step("project: list in pages", func(t *step) {
		listed(t, "page 1", &project.ListProjectsParams{Name: of("go-"), Sort: of("name"), Page: of(int64(1)), PageSize: of(int64(2))}, "go-a go-b")
		same(t, "X-Total-Count", t.total(w.admin), 3)
		next := w.admin.link("next")
		t.that(strings.HasPrefix(next, "/api/v2.0/projects?") && strings.Contains(next, "page=2") &&
			strings.Contains(next, "page_size=2") && strings.Contains(next, "name=go-"), "next is %q", next)
		same(t, "prev", w.admin.link("prev"), "")
		listed(t, "page 2", &project.ListProjectsParams{Name: of("go-"), Sort: of("name"), Page: of(int64(2)), PageSize: of(int64(2))}, "go-c")
		same(t, "next", w.admin.link("next"), "")
		t.that(strings.Contains(w.admin.link("prev"), "page=1"), "prev is %q", w.admin.link("prev"))
		listed(t, "page 3", &project.ListProjectsParams{Name: of("go-"), Page: of(int64(3)), PageSize: of(int64(2))}, "")
		same(t, "X-Total-Count", t.total(w.admin), 3)
	})
	w.step("project: list, badly", func(t *step) {
		for _, query := range []string{"q=name", "q=name%3D", "q=name%3D%5B1", "q=name%3D%7Ba"} {
			t.answered(w.raw(w.name, w.password, "GET", "/api/v2.0/projects?"+query, ""), nil, 400)
		}
		for _, query := range []string{"page_size=101", "page=x"} {
			t.answered(w.raw(w.name, w.password, "GET", "/api/v2.0/projects?"+query, ""), nil, 422)
		}
	})
	w.step("project: update", func(t *step) {
		update := func(request *models.ProjectReq, name string) error {
			_, err := w.admin.Project.UpdateProject(ctx, &project.UpdateProjectParams{ProjectNameOrID: name, Project: request})
			return err
		}
		t.answered(w.admin, update(&models.ProjectReq{Metadata: &models.ProjectMetadata{Public: "true", AutoScan: of("true")}}, "go-a"), 200)
		got, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-a"})
		t.answered(w.admin, err, 200)
		same(t, "metadata.public", got.Payload.Metadata.Public, "true")
		t.that(got.Payload.Metadata.AutoScan != nil && *got.Payload.Metadata.AutoScan == "true", "auto_scan: %s", w.admin.wire.body)
		// What the request leaves out stays.
		t.answered(w.admin, update(&models.ProjectReq{Metadata: &models.ProjectMetadata{Public: "false"}}, "go-a"), 200)
		got, err = w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-a"})
		t.answered(w.admin, err, 200)
		t.that(got.Payload.Metadata.AutoScan != nil && *got.Payload.Metadata.AutoScan == "true", "auto_scan: %s", w.admin.wire.body)
		t.answered(w.admin, update(&models.ProjectReq{Metadata: &models.ProjectMetadata{Public: "true"}}, "go-none"), 404)
	})
	w.step("project: summary", func(t *step) {
		got, err := w.admin.Project.GetProjectSummary(ctx, &project.GetProjectSummaryParams{ProjectNameOrID: "go-a"})
		t.answered(w.admin, err, 200)
		same(t, "repo_count", got.Payload.RepoCount, 0)
		same(t, "project_admin_count", got.Payload.ProjectAdminCount, 1)
		t.that(got.Payload.Quota != nil && got.Payload.Quota.Hard["storage"] == -1, "quota: %s", w.admin.wire.body)
		_, err = w.admin.Project.GetProjectSummary(ctx, &project.GetProjectSummaryParams{ProjectNameOrID: "go-none"})
		t.answered(w.admin, err, 404)
	})
	w.step("project: deletable, and deleted", func(t *step) {
		got, err := w.admin.Project.GetProjectDeletable(ctx, &project.GetProjectDeletableParams{ProjectNameOrID: "go-b"})
		t.answered(w.admin, err, 200)
		same(t, "deletable", got.Payload.Deletable, true)
		remove := func(name string) error {
			_, err := w.admin.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: name})
			return err
		}
		t.answered(w.admin, remove("go-b"), 200)
		t.answered(w.admin, remove("go-b"), 404)
		t.answered(w.admin, remove(fmt.Sprint(ids["go-c"])), 200)
		listed(t, "what is left", &project.ListProjectsParams{Name: of("go-")}, "go-a")
	})
	w.step("project: a deleted name is free again, with an id of its own", func(t *step) {
		t.answered(w.admin, create(&models.ProjectReq{ProjectName: "go-b"}), 201)
		t.that(t.located(w.admin, "/api/v2.0/projects/") != ids["go-b"], "the id is the old one")
		_, err := w.admin.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: "go-b"})
		t.answered(w.admin, err, 200)
	})
}

func (w *walk) metadata() {
	add := func(name string, values map[string]string) error {
		_, err := w.admin.ProjectMetadata.AddProjectMetadatas(ctx, &project_metadata.AddProjectMetadatasParams{ProjectNameOrID: name, Metadata: values})
		return err
	}
	set := func(key, value string) error {
		_, err := w.admin.ProjectMetadata.UpdateProjectMetadata(ctx, &project_metadata.UpdateProjectMetadataParams{
			ProjectNameOrID: "go-a", MetaName: key, Metadata: map[string]string{key: value}})
		return err
	}
	get := func(t *step, key string) map[string]string {
		got, err := w.admin.ProjectMetadata.GetProjectMetadata(ctx, &project_metadata.GetProjectMetadataParams{ProjectNameOrID: "go-a", MetaName: key})
		t.answered(w.admin, err, 200)
		return got.Payload
	}
	w.step("metadata: list", func(t *step) {
		got, err := w.admin.ProjectMetadata.ListProjectMetadatas(ctx, &project_metadata.ListProjectMetadatasParams{ProjectNameOrID: "go-a"})
		t.answered(w.admin, err, 200)
		same(t, "public", got.Payload["public"], "false")
		same(t, "auto_scan", got.Payload["auto_scan"], "true")
		_, err = w.admin.ProjectMetadata.ListProjectMetadatas(ctx, &project_metadata.ListProjectMetadatasParams{ProjectNameOrID: "go-none"})
		t.answered(w.admin, err, 404)
	})
	w.step("metadata: add, get", func(t *step) {
		t.answered(w.admin, add("go-a", map[string]string{"severity": "High"}), 200)
		same(t, "severity", get(t, "severity")["severity"], "high")
		t.answered(w.admin, add("go-a", map[string]string{"severity": "low"}), 409)
		t.answered(w.admin, add("go-a", map[string]string{"prevent_vul": "1"}), 200)
		same(t, "prevent_vul", get(t, "prevent_vul")["prevent_vul"], "true")
	})
	w.step("metadata: add, badly", func(t *step) {
		t.answered(w.admin, add("go-a", map[string]string{"auto_scan": "true", "public": "true"}), 400)
		t.answered(w.admin, add("go-a", map[string]string{}), 400)
		t.answered(w.admin, add("go-a", map[string]string{"bananas": "5"}), 400)
		t.answered(w.admin, add("go-a", map[string]string{"enable_content_trust": "perhaps"}), 400)
		t.answered(w.admin, add("go-a", map[string]string{"severity": "dreadful"}), 400)
		t.answered(w.admin, add("go-none", map[string]string{"severity": "low"}), 404)
	})
	w.step("metadata: update", func(t *step) {
		t.answered(w.admin, set("public", "true"), 200)
		same(t, "public", get(t, "public")["public"], "true")
		_, err := w.stranger.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: "go-a"})
		t.answered(w.stranger, err, 200)
		t.answered(w.admin, set("public", "false"), 200)
		t.answered(w.admin, set("public", "perhaps"), 400)
		t.answered(w.admin, set("bananas", "5"), 400)
	})
	w.step("metadata: delete", func(t *step) {
		_, err := w.admin.ProjectMetadata.DeleteProjectMetadata(ctx, &project_metadata.DeleteProjectMetadataParams{ProjectNameOrID: "go-a", MetaName: "severity"})
		t.answered(w.admin, err, 200)
		same(t, "what is left of severity", len(get(t, "severity")), 0)
	})
}
