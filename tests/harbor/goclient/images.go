package main

// Repositories, artifacts, tags and labels.

import (
	"fmt"
	"net/url"
	"sort"
	"strings"

	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/artifact"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/label"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/repository"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/search"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"
)

// escaped is the name as Harbor's clients send it: escaped here, and once more by the client.
func escaped(repository string) string { return url.PathEscape(repository) }

func (w *walk) repositories(there pushed) {
	full := there.project + "/" + there.repository
	w.step("repository: list", func(t *step) {
		got, err := w.admin.Repository.ListRepositories(ctx, &repository.ListRepositoriesParams{ProjectName: there.project})
		t.answered(w.admin, err, 200)
		same(t, "X-Total-Count", t.total(w.admin), 1)
		same(t, "name", got.Payload[0].Name, full)
		// The image and the index; the index's own child and the accessory are not counted.
		same(t, "artifact_count", got.Payload[0].ArtifactCount, 2)
		t.that(got.Payload[0].ID > 0 && got.Payload[0].ProjectID > 0, "%s", w.admin.wire.body)
		got, err = w.admin.Repository.ListRepositories(ctx, &repository.ListRepositoriesParams{ProjectName: there.project, Q: of("name=~no-such")})
		t.answered(w.admin, err, 200)
		same(t, "the number found", len(got.Payload), 0)
		t.jsonList(w.admin)
		_, err = w.admin.Repository.ListRepositories(ctx, &repository.ListRepositoriesParams{ProjectName: "go-none"})
		t.answered(w.admin, err, 404)
		_, err = w.stranger.Repository.ListRepositories(ctx, &repository.ListRepositoriesParams{ProjectName: there.project})
		t.answered(w.stranger, err, 401, 404)
	})
	w.step("repository: list all", func(t *step) {
		got, err := w.admin.Repository.ListAllRepositories(ctx, &repository.ListAllRepositoriesParams{Q: of("name=~" + there.repository)})
		t.answered(w.admin, err, 200)
		t.that(has(got.Payload, func(one *models.Repository) bool { return one.Name == full }), "%s", w.admin.wire.body)
		got, err = w.stranger.Repository.ListAllRepositories(ctx, &repository.ListAllRepositoriesParams{})
		t.answered(w.stranger, err, 200)
		t.that(!has(got.Payload, func(one *models.Repository) bool { return one.Name == full }), "a stranger sees %s", full)
	})
	w.step("repository: get, update", func(t *step) {
		at := escaped(there.repository)
		got, err := w.admin.Repository.GetRepository(ctx, &repository.GetRepositoryParams{ProjectName: there.project, RepositoryName: at})
		t.answered(w.admin, err, 200)
		same(t, "name", got.Payload.Name, full)
		_, err = w.admin.Repository.UpdateRepository(ctx, &repository.UpdateRepositoryParams{ProjectName: there.project, RepositoryName: at,
			Repository: &models.Repository{Description: "what a <b>till</b> runs"}})
		t.answered(w.admin, err, 200)
		got, err = w.admin.Repository.GetRepository(ctx, &repository.GetRepositoryParams{ProjectName: there.project, RepositoryName: at})
		t.answered(w.admin, err, 200)
		same(t, "description", got.Payload.Description, "what a &lt;b&gt;till&lt;/b&gt; runs")
		_, err = w.admin.Repository.GetRepository(ctx, &repository.GetRepositoryParams{ProjectName: there.project, RepositoryName: "none"})
		t.answered(w.admin, err, 404)
		_, err = w.admin.Repository.UpdateRepository(ctx, &repository.UpdateRepositoryParams{ProjectName: there.project, RepositoryName: "none", Repository: &models.Repository{Description: "x"}})
		t.answered(w.admin, err, 404)
	})
	w.step("search finds the repository", func(t *step) {
		got, err := w.admin.Search.Search(ctx, &search.SearchParams{Q: there.repository})
		t.answered(w.admin, err, 200)
		t.that(len(got.Payload.Repository) == 1, "%s", w.admin.wire.body)
		one := got.Payload.Repository[0]
		same(t, "repository_name", one.RepositoryName, full)
		same(t, "project_name", one.ProjectName, there.project)
		same(t, "project_public", one.ProjectPublic, false)
		same(t, "artifact_count", one.ArtifactCount, 2)
		got, err = w.stranger.Search.Search(ctx, &search.SearchParams{Q: there.repository})
		t.answered(w.stranger, err, 200)
		same(t, "what a stranger finds", len(got.Payload.Repository), 0)
	})
}

func tagNames(tags []*models.Tag) string {
	var names []string
	for _, tag := range tags {
		names = append(names, tag.Name)
	}
	sort.Strings(names)
	return strings.Join(names, ",")
}

func (w *walk) artifacts(there pushed) {
	at := escaped(there.repository)
	list := func(t *step, params *artifact.ListArtifactsParams) []*models.Artifact {
		params.ProjectName, params.RepositoryName = there.project, at
		got, err := w.admin.Artifact.ListArtifacts(ctx, params)
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		return got.Payload
	}
	get := func(reference string, params *artifact.GetArtifactParams) (*models.Artifact, error) {
		params.ProjectName, params.RepositoryName, params.Reference = there.project, at, reference
		got, err := w.admin.Artifact.GetArtifact(ctx, params)
		if got == nil {
			return nil, err
		}
		return got.Payload, err
	}
	w.step("artifact: list", func(t *step) {
		all := list(t, &artifact.ListArtifactsParams{WithLabel: of(true)})
		same(t, "X-Total-Count", t.total(w.admin), 2)
		same(t, "the number of artifacts", len(all), 2)
		for _, one := range all {
			t.that(one.Digest == there.image || one.Digest == there.index, "%s is neither the image nor the index", one.Digest)
			t.that(one.Type == "IMAGE" && one.ID > 0 && one.Size > 0 && one.RepositoryID > 0 && dated(one.PushTime), "%s", w.admin.wire.body)
			if one.Digest == there.image {
				same(t, "tags", tagNames(one.Tags), strings.Join(there.tags, ","))
				same(t, "the number of accessories", len(one.Accessories), 1)
			}
		}
		bare := list(t, &artifact.ListArtifactsParams{WithTag: of(false), WithAccessory: of(false)})
		for _, one := range bare {
			t.that(len(one.Tags) == 0 && len(one.Accessories) == 0, "%s", w.admin.wire.body)
		}
	})
	w.step("artifact: list by q, sorted, in pages", func(t *step) {
		for q, want := range map[string]string{
			"tags=" + there.tags[0]: there.image, "tags=~" + there.indexTag: there.index, "digest=" + there.index: there.index,
			"media_type=application/vnd.oci.image.config.v1+json": there.image,
		} {
			found := list(t, &artifact.ListArtifactsParams{Q: &q})
			t.that(len(found) == 1 && found[0].Digest == want, "%s: %.300s", q, w.admin.wire.body)
		}
		same(t, "untagged ones", len(list(t, &artifact.ListArtifactsParams{Q: of("tags=nil")})), 0)
		same(t, "tagged ones", len(list(t, &artifact.ListArtifactsParams{Q: of("tags=*")})), 2)
		// Everything: with the index's other child and the accessory.
		same(t, "all there is", len(list(t, &artifact.ListArtifactsParams{Q: of("base=*")})), 4)
		one := list(t, &artifact.ListArtifactsParams{Sort: of("-push_time"), PageSize: of(int64(1)), Page: of(int64(1))})
		same(t, "the last pushed", one[0].Digest, there.index)
		t.that(w.admin.link("next") != "", "no next page: %v", w.admin.wire.header)
	})
	w.step("artifact: get by tag and by digest", func(t *step) {
		for _, reference := range []string{there.tags[0], there.tags[1], there.image} {
			one, err := get(reference, &artifact.GetArtifactParams{})
			t.answered(w.admin, err, 200)
			same(t, "digest", one.Digest, there.image)
			same(t, "manifest_media_type", one.ManifestMediaType, "application/vnd.oci.image.manifest.v1+json")
			same(t, "media_type", one.MediaType, "application/vnd.oci.image.config.v1+json")
			same(t, "repository_name", one.RepositoryName, there.project+"/"+there.repository)
			extra := fmt.Sprint(map[string]any(one.ExtraAttrs))
			t.that(strings.Contains(extra, "architecture:amd64") && strings.Contains(extra, "os:linux"), "extra_attrs: %s", extra)
			link, found := one.AdditionLinks["build_history"]
			t.that(found && strings.HasSuffix(link.Href, "/artifacts/"+there.image+"/additions/build_history"), "addition_links: %s", w.admin.wire.body)
		}
		_, err := get("none", &artifact.GetArtifactParams{})
		t.answered(w.admin, err, 404)
		_, err = get("sha256:"+strings.Repeat("0", 64), &artifact.GetArtifactParams{})
		t.answered(w.admin, err, 404)
	})
	w.step("artifact: an index and its children", func(t *step) {
		one, err := get(there.indexTag, &artifact.GetArtifactParams{})
		t.answered(w.admin, err, 200)
		same(t, "manifest_media_type", one.ManifestMediaType, "application/vnd.oci.image.index.v1+json")
		same(t, "the number of children", len(one.References), 2)
		for _, child := range one.References {
			t.that(strings.HasPrefix(child.ChildDigest, "sha256:") && child.ChildID > 0 && child.ParentID == one.ID, "%s", w.admin.wire.body)
			_, err := get(child.ChildDigest, &artifact.GetArtifactParams{})
			t.answered(w.admin, err, 200)
		}
	})
	w.step("artifact: accessories", func(t *step) {
		got, err := w.admin.Artifact.ListAccessories(ctx, &artifact.ListAccessoriesParams{ProjectName: there.project, RepositoryName: at, Reference: there.tags[0]})
		t.answered(w.admin, err, 200)
		same(t, "X-Total-Count", t.total(w.admin), 1)
		one := got.Payload[0]
		same(t, "digest", one.Digest, there.accessory)
		same(t, "subject_artifact_digest", one.SubjectArtifactDigest, there.image)
		same(t, "type", one.Type, "subject.accessory")
		t.that(one.Size > 0 && one.ArtifactID > 0, "%s", w.admin.wire.body)
		got, err = w.admin.Artifact.ListAccessories(ctx, &artifact.ListAccessoriesParams{ProjectName: there.project, RepositoryName: at, Reference: there.indexTag})
		t.answered(w.admin, err, 200)
		same(t, "accessories of the index", len(got.Payload), 0)
		t.jsonList(w.admin)
	})
	w.step("artifact: how it was built", func(t *step) {
		addition := func(reference, what string) (*artifact.GetAdditionOK, error) {
			return w.admin.Artifact.GetAddition(ctx, &artifact.GetAdditionParams{ProjectName: there.project, RepositoryName: at, Reference: reference, Addition: what})
		}
		_, _ = addition(there.tags[0], "build_history")
		same(t, "the status", w.admin.wire.status, 200)
		body := string(w.admin.wire.body)
		t.that(strings.HasPrefix(strings.TrimSpace(body), "[") && strings.Contains(body, "created_by"), "%s", body)
		t.that(strings.HasPrefix(w.admin.wire.header.Get("Content-Type"), "application/json"), "Content-Type: %v", w.admin.wire.header)
		_, err := addition(there.indexTag, "build_history")
		t.answered(w.admin, err, 400)
		_, err = addition(there.tags[0], "bananas")
		t.answered(w.admin, err, 422)
		_, err = addition("none", "build_history")
		t.answered(w.admin, err, 404)
	})
	w.step("artifact: of a whole project", func(t *step) {
		got, err := w.admin.Project.ListArtifactsOfProject(ctx, &project.ListArtifactsOfProjectParams{ProjectNameOrID: there.project, WithTag: of(true)})
		t.answered(w.admin, err, 200)
		same(t, "the number of artifacts", len(got.Payload), 2)
		same(t, "repository_name", got.Payload[0].RepositoryName, there.project+"/"+there.repository)
		_, err = w.stranger.Project.ListArtifactsOfProject(ctx, &project.ListArtifactsOfProjectParams{ProjectNameOrID: there.project})
		t.answered(w.stranger, err, 401)
	})
	w.step("artifact: copy", func(t *step) {
		copied := func(from string) error {
			_, err := w.admin.Artifact.CopyArtifact(ctx, &artifact.CopyArtifactParams{ProjectName: "go-a", RepositoryName: "copied", From: from})
			return err
		}
		t.answered(w.admin, copied(there.project+"/"+there.repository+":"+there.tags[0]), 201)
		same(t, "Location", w.admin.wire.header.Get("Location"), "/api/v2.0/projects/go-a/repositories/copied/artifacts/"+there.tags[0])
		one, err := w.admin.Artifact.GetArtifact(ctx, &artifact.GetArtifactParams{ProjectName: "go-a", RepositoryName: "copied", Reference: there.image})
		t.answered(w.admin, err, 200)
		same(t, "tags", tagNames(one.Payload.Tags), there.tags[0])
		t.answered(w.admin, copied(there.project+"/"+there.repository+"@"+there.index), 201)
		t.that(strings.HasSuffix(w.admin.wire.header.Get("Location"), "/"+there.index), "Location: %v", w.admin.wire.header)
		t.answered(w.admin, copied(there.project+"/"+there.repository+":none"), 404)
		t.answered(w.admin, copied("go-none/app:1"), 404)
		t.answered(w.admin, copied("NOT A REFERENCE"), 400)
	})
}

func (w *walk) tags(there pushed) {
	at := escaped(there.repository)
	add := func(s *session, reference, name string) error {
		_, err := s.Artifact.CreateTag(ctx, &artifact.CreateTagParams{ProjectName: there.project, RepositoryName: at, Reference: reference, Tag: &models.Tag{Name: name}})
		return err
	}
	remove := func(reference, name string) error {
		_, err := w.admin.Artifact.DeleteTag(ctx, &artifact.DeleteTagParams{ProjectName: there.project, RepositoryName: at, Reference: reference, TagName: name})
		return err
	}
	list := func(t *step, params *artifact.ListTagsParams) string {
		params.ProjectName, params.RepositoryName, params.Reference = there.project, at, there.image
		got, err := w.admin.Artifact.ListTags(ctx, params)
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		return tagNames(got.Payload)
	}
	w.step("tag: create", func(t *step) {
		t.answered(w.admin, add(w.admin, there.image, "zulu"), 201)
		t.answered(w.admin, add(w.admin, there.tags[0], "zulu"), 409)
		t.answered(w.admin, add(w.admin, "none", "yankee"), 404)
		t.answered(w.admin, add(w.admin, there.image, "not/a/tag"), 400, 422)
		t.answered(w.stranger, add(w.stranger, there.image, "yankee"), 401, 404)
	})
	w.step("tag: list", func(t *step) {
		all := append([]string{"zulu"}, there.tags...)
		sort.Strings(all)
		same(t, "tags", list(t, &artifact.ListTagsParams{WithImmutableStatus: of(true)}), strings.Join(all, ","))
		same(t, "X-Total-Count", t.total(w.admin), 3)
		same(t, "tags by q", list(t, &artifact.ListTagsParams{Q: of("name=~zul")}), "zulu")
		same(t, "the first of a page", list(t, &artifact.ListTagsParams{Sort: of("-name"), Page: of(int64(1)), PageSize: of(int64(1))}), "zulu")
	})
	w.step("tag: delete", func(t *step) {
		t.answered(w.admin, remove(there.image, "zulu"), 200)
		t.answered(w.admin, remove(there.image, "zulu"), 404)
		// A tag of another artifact is none of this one.
		t.answered(w.admin, remove(there.image, there.indexTag), 404)
		same(t, "tags", list(t, &artifact.ListTagsParams{}), strings.Join(there.tags, ","))
	})
}

func (w *walk) labels(there pushed) {
	at := escaped(there.repository)
	var global, own, projectID int64
	create := func(s *session, one *models.Label) error {
		_, err := s.Label.CreateLabel(ctx, &label.CreateLabelParams{Label: one})
		return err
	}
	list := func(t *step, params *label.ListLabelsParams) []*models.Label {
		got, err := w.admin.Label.ListLabels(ctx, params)
		t.answered(w.admin, err, 200)
		t.jsonList(w.admin)
		return got.Payload
	}
	w.step("label: create", func(t *step) {
		got, err := w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: there.project})
		t.answered(w.admin, err, 200)
		projectID = int64(got.Payload.ProjectID)
		t.answered(w.admin, create(w.admin, &models.Label{Name: "go-fragile", Color: "#FF0000", Description: "with care", Scope: "g"}), 201)
		global = t.located(w.admin, "/api/v2.0/labels/")
		t.answered(w.admin, create(w.admin, &models.Label{Name: "go-cargo", Color: "#00FF00", Scope: "p", ProjectID: projectID}), 201)
		own = t.located(w.admin, "/api/v2.0/labels/")
		t.answered(w.admin, create(w.admin, &models.Label{Name: "go-fragile", Scope: "g"}), 409)
		t.answered(w.admin, create(w.admin, &models.Label{Name: "go-x", Scope: "x"}), 400)
		t.answered(w.stranger, create(w.stranger, &models.Label{Name: "go-x", Scope: "g"}), 401)
	})
	w.step("label: list", func(t *step) {
		found := list(t, &label.ListLabelsParams{Scope: of("g"), Name: of("go-")})
		same(t, "X-Total-Count", t.total(w.admin), 1)
		t.that(len(found) == 1 && found[0].ID == global && found[0].Color == "#FF0000" && found[0].Scope == "g" && found[0].ProjectID == 0, "%s", w.admin.wire.body)
		found = list(t, &label.ListLabelsParams{Scope: of("p"), ProjectID: &projectID})
		t.that(len(found) == 1 && found[0].ID == own && found[0].ProjectID == projectID, "%s", w.admin.wire.body)
		for _, params := range []*label.ListLabelsParams{{}, {Scope: of("x")}, {Scope: of("p")}} {
			_, err := w.admin.Label.ListLabels(ctx, params)
			t.answered(w.admin, err, 400)
		}
	})
	w.step("label: get, update", func(t *step) {
		_, err := w.admin.Label.UpdateLabel(ctx, &label.UpdateLabelParams{LabelID: own, Label: &models.Label{Name: "go-crate", Color: "#0000FF", Description: "d"}})
		t.answered(w.admin, err, 200)
		got, err := w.admin.Label.GetLabelByID(ctx, &label.GetLabelByIDParams{LabelID: own})
		t.answered(w.admin, err, 200)
		t.that(got.Payload.Name == "go-crate" && got.Payload.Color == "#0000FF" && got.Payload.Description == "d" && got.Payload.Scope == "p", "%s", w.admin.wire.body)
		_, err = w.admin.Label.UpdateLabel(ctx, &label.UpdateLabelParams{LabelID: own, Label: &models.Label{Name: ""}})
		t.answered(w.admin, err, 400)
		_, err = w.admin.Label.GetLabelByID(ctx, &label.GetLabelByIDParams{LabelID: 999_999_999})
		t.answered(w.admin, err, 404)
	})
	w.step("label: on an artifact", func(t *step) {
		add := func(s *session, id int64) error {
			_, err := s.Artifact.AddLabel(ctx, &artifact.AddLabelParams{ProjectName: there.project, RepositoryName: at, Reference: there.tags[0], Label: &models.Label{ID: id}})
			return err
		}
		remove := func(id int64) error {
			_, err := w.admin.Artifact.RemoveLabel(ctx, &artifact.RemoveLabelParams{ProjectName: there.project, RepositoryName: at, Reference: there.tags[0], LabelID: id})
			return err
		}
		labelled := func(q string) int {
			got, err := w.admin.Artifact.ListArtifacts(ctx, &artifact.ListArtifactsParams{ProjectName: there.project, RepositoryName: at, Q: of(q)})
			t.answered(w.admin, err, 200)
			return len(got.Payload)
		}
		t.answered(w.stranger, add(w.stranger, own), 401)
		t.answered(w.admin, add(w.admin, own), 200)
		t.answered(w.admin, add(w.admin, global), 200)
		t.answered(w.admin, add(w.admin, own), 409)
		t.answered(w.admin, add(w.admin, 999_999_999), 404)
		got, err := w.admin.Artifact.GetArtifact(ctx, &artifact.GetArtifactParams{ProjectName: there.project, RepositoryName: at, Reference: there.tags[0], WithLabel: of(true)})
		t.answered(w.admin, err, 200)
		same(t, "labels", len(got.Payload.Labels), 2)
		same(t, "artifacts with both labels", labelled(fmt.Sprintf("labels=(%d %d)", own, global)), 1)
		t.answered(w.admin, remove(global), 200)
		t.answered(w.admin, remove(global), 404)
		same(t, "artifacts with both labels", labelled(fmt.Sprintf("labels=(%d %d)", own, global)), 0)
		same(t, "artifacts with one label", labelled(fmt.Sprintf("labels=(%d)", own)), 1)
	})
	w.step("label: not for others", func(t *step) {
		plain := w.person(t, "go-porter")
		t.answered(plain, create(plain, &models.Label{Name: "go-y", Scope: "g"}), 403)
		_, err := plain.Label.GetLabelByID(ctx, &label.GetLabelByIDParams{LabelID: own})
		t.answered(plain, err, 403, 404)
		_, err = plain.Label.ListLabels(ctx, &label.ListLabelsParams{Scope: of("g")})
		t.answered(plain, err, 200)
		w.leave(t, "go-porter")
	})
	w.step("label: delete, also from the artifact", func(t *step) {
		for _, id := range []int64{global, own} {
			_, err := w.admin.Label.DeleteLabel(ctx, &label.DeleteLabelParams{LabelID: id})
			t.answered(w.admin, err, 200)
			_, err = w.admin.Label.GetLabelByID(ctx, &label.GetLabelByIDParams{LabelID: id})
			t.answered(w.admin, err, 404)
			_, err = w.admin.Label.DeleteLabel(ctx, &label.DeleteLabelParams{LabelID: id})
			t.answered(w.admin, err, 404)
		}
		got, err := w.admin.Artifact.GetArtifact(ctx, &artifact.GetArtifactParams{ProjectName: there.project, RepositoryName: at, Reference: there.image, WithLabel: of(true)})
		t.answered(w.admin, err, 200)
		same(t, "labels that are left", len(got.Payload.Labels), 0)
	})
}

func (w *walk) deletions(there pushed) {
	at := escaped(there.repository)
	remove := func(reference string) error {
		_, err := w.admin.Artifact.DeleteArtifact(ctx, &artifact.DeleteArtifactParams{ProjectName: there.project, RepositoryName: at, Reference: reference})
		return err
	}
	w.step("project: not deleted while it has repositories", func(t *step) {
		got, err := w.admin.Project.GetProjectDeletable(ctx, &project.GetProjectDeletableParams{ProjectNameOrID: there.project})
		t.answered(w.admin, err, 200)
		t.that(!got.Payload.Deletable && got.Payload.Message != "", "%s", w.admin.wire.body)
		_, err = w.admin.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: there.project})
		t.answered(w.admin, err, 412)
		same(t, "the code", w.admin.code(), "PRECONDITION")
	})
	w.step("artifact: delete", func(t *step) {
		t.answered(w.admin, remove(there.image), 412)
		same(t, "the code", w.admin.code(), "PRECONDITION")
		t.answered(w.admin, remove(there.indexTag), 200)
		t.answered(w.admin, remove(there.indexTag), 404)
		t.answered(w.admin, remove(there.image), 200)
		// The accessory goes with its subject.
		_, err := w.admin.Artifact.GetArtifact(ctx, &artifact.GetArtifactParams{ProjectName: there.project, RepositoryName: at, Reference: there.accessory})
		t.answered(w.admin, err, 404)
	})
	w.step("repository: delete", func(t *step) {
		for _, status := range []int{200, 404} {
			_, err := w.admin.Repository.DeleteRepository(ctx, &repository.DeleteRepositoryParams{ProjectName: there.project, RepositoryName: at})
			t.answered(w.admin, err, status)
		}
		_, err := w.admin.Repository.DeleteRepository(ctx, &repository.DeleteRepositoryParams{ProjectName: "go-a", RepositoryName: "copied"})
		t.answered(w.admin, err, 200)
	})
	w.step("project: deleted when it has none", func(t *step) {
		for _, name := range []string{there.project, "go-a"} {
			_, err := w.admin.Project.DeleteProject(ctx, &project.DeleteProjectParams{ProjectNameOrID: name})
			t.answered(w.admin, err, 200)
			_, err = w.admin.Project.GetProject(ctx, &project.GetProjectParams{ProjectNameOrID: name})
			t.answered(w.admin, err, 404)
		}
	})
}
