package main

// The audit log and its purge.

import (
	"strings"

	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/auditlog"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/purge"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"
)

func (w *walk) audit(there pushed) {
	w.step("audit: what was done is told", func(t *step) {
		for q, what := range map[string]string{
			"operation=create,resource_type=project": "go-a",
			"operation=delete,resource_type=project": "go-b",
			"operation=create,resource_type=user":    "go-ann",
		} {
			t.that(eventually(func() bool {
				got, err := w.admin.Auditlog.ListAuditLogExts(ctx, &auditlog.ListAuditLogExtsParams{Q: &q, PageSize: of(int64(100))})
				t.answered(w.admin, err, 200)
				return has(got.Payload, func(one *models.AuditLogExt) bool {
					return strings.Contains(one.Resource, what) && one.Username == w.name && one.OperationResult && one.ID > 0 && dated(one.OpTime) && one.OperationDescription != ""
				})
			}), "%s: nothing about %s: %.300s", q, what, w.admin.wire.body)
		}
	})
	w.step("audit: newest first, in pages", func(t *step) {
		got, err := w.admin.Auditlog.ListAuditLogExts(ctx, &auditlog.ListAuditLogExtsParams{Page: of(int64(1)), PageSize: of(int64(5))})
		t.answered(w.admin, err, 200)
		same(t, "the size of the page", len(got.Payload), 5)
		t.that(t.total(w.admin) > 5 && w.admin.link("next") != "", "%v", w.admin.wire.header)
		for at := 1; at < len(got.Payload); at++ {
			t.that(got.Payload[at-1].ID > got.Payload[at].ID, "%s", w.admin.wire.body)
		}
		got, err = w.admin.Auditlog.ListAuditLogExts(ctx, &auditlog.ListAuditLogExtsParams{Q: of("op_time=[2001-01-01T00:00:00~2002-01-01T00:00:00]")})
		t.answered(w.admin, err, 200)
		same(t, "what was done in 2001", len(got.Payload), 0)
		_, err = w.admin.Auditlog.ListAuditLogExts(ctx, &auditlog.ListAuditLogExtsParams{Q: of("operation")})
		t.answered(w.admin, err, 400)
		_, err = w.stranger.Auditlog.ListAuditLogExts(ctx, &auditlog.ListAuditLogExtsParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("audit: the log of old", func(t *step) {
		_, err := w.admin.Auditlog.ListAuditLogs(ctx, &auditlog.ListAuditLogsParams{})
		t.answered(w.admin, err, 200)
		t.total(w.admin)
		t.jsonList(w.admin)
		_, err = w.stranger.Auditlog.ListAuditLogs(ctx, &auditlog.ListAuditLogsParams{})
		t.answered(w.stranger, err, 401)
	})
	w.step("audit: kinds of events", func(t *step) {
		got, err := w.admin.Auditlog.ListAuditLogEventTypes(ctx, &auditlog.ListAuditLogEventTypesParams{})
		t.answered(w.admin, err, 200)
		for _, kind := range []string{"create_artifact", "delete_artifact", "pull_artifact", "create_project", "delete_project", "delete_repository",
			"login_user", "logout_user", "create_user", "delete_user", "update_user", "create_robot", "delete_robot", "update_configuration",
			"create_member", "delete_member", "update_member", "update_project"} {
			t.that(has(got.Payload, func(one *models.AuditLogEventType) bool { return one.EventType == kind }), "no %s", kind)
		}
	})
	w.step("audit: of one project", func(t *step) {
		t.that(eventually(func() bool {
			got, err := w.admin.Project.GetLogExts(ctx, &project.GetLogExtsParams{ProjectName: there.project, Q: of("operation=create,resource_type=artifact")})
			t.answered(w.admin, err, 200)
			return has(got.Payload, func(one *models.AuditLogExt) bool {
				return strings.HasPrefix(one.Resource, there.project+"/"+there.repository)
			})
		}), "no push is told: %.300s", w.admin.wire.body)
		_, err := w.admin.Project.GetLogs(ctx, &project.GetLogsParams{ProjectName: there.project})
		t.answered(w.admin, err, 200)
		t.total(w.admin)
		_, err = w.admin.Project.GetLogExts(ctx, &project.GetLogExtsParams{ProjectName: "go-none"})
		t.answered(w.admin, err, 404)
		_, err = w.stranger.Project.GetLogExts(ctx, &project.GetLogExtsParams{ProjectName: there.project})
		t.answered(w.stranger, err, 401, 404)
	})
	w.step("audit: others see their own projects only", func(t *step) {
		plain := w.person(t, "go-auditor")
		got, err := plain.Auditlog.ListAuditLogExts(ctx, &auditlog.ListAuditLogExtsParams{})
		t.answered(plain, err, 200)
		same(t, "what one without projects sees", len(got.Payload), 0)
		_, err = plain.Auditlog.ListAuditLogEventTypes(ctx, &auditlog.ListAuditLogEventTypesParams{})
		t.answered(plain, err, 403)
		_, err = plain.Project.GetLogExts(ctx, &project.GetLogExtsParams{ProjectName: there.project})
		t.answered(plain, err, 403, 404)
		w.leave(t, "go-auditor")
	})
}

func (w *walk) purge() {
	var id int64
	plan := func(kind, cron string) *models.Schedule {
		return &models.Schedule{Schedule: &models.ScheduleObj{Type: kind, Cron: cron},
			Parameters: map[string]any{"audit_retention_hour": 240, "include_event_types": "create_artifact,delete_artifact", "dry_run": true}}
	}
	create := func(s *session, one *models.Schedule) error {
		_, err := s.Purge.CreatePurgeSchedule(ctx, &purge.CreatePurgeScheduleParams{Schedule: one})
		return err
	}
	w.step("purge: a dry run by hand", func(t *step) {
		t.answered(w.admin, create(w.admin, plan("Manual", "")), 201)
		id = t.located(w.admin, "/api/v2.0/system/purgeaudit/")
		var last *models.ExecHistory
		t.that(eventually(func() bool {
			got, err := w.admin.Purge.GetPurgeJob(ctx, &purge.GetPurgeJobParams{PurgeID: id})
			t.answered(w.admin, err, 200)
			last = got.Payload
			return last.JobStatus == "Success"
		}), "it does not end in Success: %.300s", w.admin.wire.body)
		same(t, "id", last.ID, id)
		same(t, "job_name", last.JobName, "PURGE_AUDIT_LOG")
		same(t, "job_kind", last.JobKind, "MANUAL")
		t.that(strings.Contains(last.JobParameters, `"dry_run":true`) && strings.Contains(last.JobParameters, `"audit_retention_hour":240`), "job_parameters: %s", last.JobParameters)
		t.that(dated(last.CreationTime), "%s", w.admin.wire.body)
	})
	w.step("purge: its log", func(t *step) {
		got, err := w.admin.Purge.GetPurgeJobLog(ctx, &purge.GetPurgeJobLogParams{PurgeID: id})
		t.answered(w.admin, err, 200)
		t.that(got.Payload != "" && strings.HasPrefix(w.admin.wire.header.Get("Content-Type"), "text/plain"), "%v", w.admin.wire.header)
		w.raw(w.name, w.password, "GET", "/api/v2.0/system/purgeaudit/999999999/log", "")
		t.answered(w.raw(w.name, w.password, "GET", "/api/v2.0/system/purgeaudit/999999999/log", ""), nil, 404)
	})
	w.step("purge: history", func(t *step) {
		got, err := w.admin.Purge.GetPurgeHistory(ctx, &purge.GetPurgeHistoryParams{})
		t.answered(w.admin, err, 200)
		t.that(t.total(w.admin) >= 1 && has(got.Payload, func(one *models.ExecHistory) bool { return one.ID == id }), "%s", w.admin.wire.body)
		_, err = w.admin.Purge.GetPurgeJob(ctx, &purge.GetPurgeJobParams{PurgeID: 999_999_999})
		t.answered(w.admin, err, 404)
	})
	w.step("purge: stop one that is not there", func(t *step) {
		_, err := w.admin.Purge.StopPurge(ctx, &purge.StopPurgeParams{PurgeID: 999_999_999})
		t.answered(w.admin, err, 404)
		_, err = w.admin.Purge.StopPurge(ctx, &purge.StopPurgeParams{PurgeID: id})
		t.answered(w.admin, err, 200)
	})
	schedule := func(t *step) *models.ExecHistory {
		got, err := w.admin.Purge.GetPurgeSchedule(ctx, &purge.GetPurgeScheduleParams{})
		t.answered(w.admin, err, 200)
		return got.Payload
	}
	w.step("purge: schedule", func(t *step) {
		t.answered(w.admin, create(w.admin, plan("Custom", "0 30 2 * * *")), 201)
		now := schedule(t)
		t.that(now.Schedule != nil && now.Schedule.Type == "Custom" && now.Schedule.Cron == "0 30 2 * * *", "%s", w.admin.wire.body)
		t.that(dated(now.Schedule.NextScheduledTime) && strings.Contains(now.JobParameters, "audit_retention_hour"), "%s", w.admin.wire.body)
		_, err := w.admin.Purge.UpdatePurgeSchedule(ctx, &purge.UpdatePurgeScheduleParams{Schedule: plan("Daily", "0 0 0 * * *")})
		t.answered(w.admin, err, 200)
		now = schedule(t)
		t.that(now.Schedule != nil && now.Schedule.Type == "Daily" && now.Schedule.Cron == "0 0 0 * * *", "%s", w.admin.wire.body)
		_, err = w.admin.Purge.UpdatePurgeSchedule(ctx, &purge.UpdatePurgeScheduleParams{Schedule: plan("None", "")})
		t.answered(w.admin, err, 200)
		now = schedule(t)
		t.that(now == nil || now.Schedule == nil || now.Schedule.Cron == "", "%s", w.admin.wire.body)
	})
	w.step("purge: badly", func(t *step) {
		for what, spoil := range map[string]func(*models.Schedule){
			"no hours":       func(one *models.Schedule) { delete(one.Parameters, "audit_retention_hour") },
			"too many hours": func(one *models.Schedule) { one.Parameters["audit_retention_hour"] = 240_001 },
			"no kinds":       func(one *models.Schedule) { delete(one.Parameters, "include_event_types") },
			"no parameters":  func(one *models.Schedule) { one.Parameters = nil },
			"no schedule":    func(one *models.Schedule) { one.Schedule = nil },
			"no cron":        func(one *models.Schedule) { one.Schedule.Type, one.Schedule.Cron = "Custom", "every so often" },
			"unknown type":   func(one *models.Schedule) { one.Schedule.Type = "Fortnightly" },
		} {
			bad := plan("Manual", "")
			spoil(bad)
			err := create(w.admin, bad)
			t.that(w.admin.wire.status == 400 || w.admin.wire.status == 422, "%s: status %d", what, w.admin.wire.status)
			t.answered(w.admin, err, 400, 422)
		}
	})
	w.step("purge: not for others", func(t *step) {
		t.answered(w.stranger, create(w.stranger, plan("Manual", "")), 401)
		plain := w.person(t, "go-eraser")
		t.answered(plain, create(plain, plan("Manual", "")), 403)
		_, err := plain.Purge.GetPurgeJob(ctx, &purge.GetPurgeJobParams{PurgeID: id})
		t.answered(plain, err, 403)
		w.leave(t, "go-eraser")
	})
}
