//! Purges of the audit log: when they run, what they did, stopping one. No state.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::ask::Ask;
use super::super::error;
use super::super::model::Time;
use super::super::model::system::{ExecHistory, ScheduleReq, ScheduleTime};
use super::super::table::Operation as Op;
use super::{failed, shown};
use crate::http::Response;
use crate::http::error::Error;
use crate::storage::audit::{
    Cron, EventType, LONGEST_RETENTION, PurgeParameters, PurgeState, Purged, Schedule, ScheduleKind,
};

/// Harbor's name of this kind of work.
const JOB: &str = "PURGE_AUDIT_LOG";

/// Longest list of types or operations, in bytes: all there are fit several times.
const MAX_WORDS: usize = 4096;

const HERE: &str = "/api/v2.0/system/purgeaudit";

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the dispatcher gives each file its own operations")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    let registry = ask.call.registry();
    match operation {
        Op::GetPurgeHistory => {
            let list = ask.list()?;
            let runs = registry.purges(ask.system()?).await.map_err(failed)?;
            list.page.of(runs.iter().map(job)).respond(&ask.call.head.uri)
        }
        Op::GetPurgeJob => Ask::json(&job(&run(ask).await?)),
        Op::GetPurgeJobLog => Ok(Ask::text(run(ask).await?.log())),
        Op::StopPurge => {
            if registry.stop_purge(ask.system()?, id(ask)?).await.map_err(failed)? {
                return Ok(Ask::done());
            }
            Err(error::not_found("purge"))
        }
        Op::GetPurgeSchedule => {
            let schedule = registry.purge_schedule(ask.system()?).await.map_err(failed)?;
            if schedule.kind == ScheduleKind::None {
                // Nothing is scheduled: an object without anything in it.
                return Ask::json(&BTreeMap::<String, Value>::new());
            }
            Ask::json(&planned(&schedule, ask))
        }
        Op::CreatePurgeSchedule => {
            let id = schedule(ask).await?;
            Ok(ask.created(&format!("{HERE}/{id}")))
        }
        Op::UpdatePurgeSchedule => {
            schedule(ask).await?;
            Ok(Ask::done())
        }
        _ => Err(error::no_route()),
    }
}

fn id(ask: &Ask<'_>) -> Result<u64, Error> {
    u64::try_from(ask.matched.id("purge_id")?).map_err(Error::internal)
}

async fn run(ask: &Ask<'_>) -> Result<Purged, Error> {
    let id = id(ask)?;
    let runs = ask.call.registry().purges(ask.system()?).await.map_err(failed)?;
    runs.into_iter().find(|run| run.id == id).ok_or_else(|| error::not_found("purge"))
}

/// Runs a purge now, or sets when purges run; the number of the run, or 0.
async fn schedule(ask: &mut Ask<'_>) -> Result<u64, Error> {
    let (kind, cron, parameters) = read(ask.read::<ScheduleReq>().await?)?;
    let (registry, permit, request) = (ask.call.registry(), ask.system()?, &ask.call.id);
    if kind == ScheduleKind::Manual {
        return Ok(registry.begin_purge(permit, parameters, request).await.map_err(failed)?.id);
    }
    registry.set_purge_schedule(permit, kind, cron, parameters, request).await.map_err(failed)?;
    Ok(0)
}

fn read(asked: ScheduleReq) -> Result<(ScheduleKind, String, PurgeParameters), Error> {
    let schedule = asked.schedule.ok_or_else(|| error::bad_request("schedule is missing"))?;
    let given = schedule.cron.unwrap_or_default();
    let (kind, usual) = match schedule.kind.as_deref() {
        Some("Hourly") => (ScheduleKind::Hourly, "0 0 * * * *"),
        Some("Daily") => (ScheduleKind::Daily, "0 0 0 * * *"),
        Some("Weekly") => (ScheduleKind::Weekly, "0 0 0 * * 0"),
        Some("Custom") => (ScheduleKind::Custom, ""),
        Some("Manual") => (ScheduleKind::Manual, ""),
        Some("None") => return Ok((ScheduleKind::None, String::new(), PurgeParameters::default())),
        Some(_) | None => {
            return Err(error::bad_request("schedule.type is Hourly, Daily, Weekly, Custom, Manual or None"));
        }
    };
    let cron = if given.is_empty() { usual.to_owned() } else { given };
    if kind != ScheduleKind::Manual {
        cron.parse::<Cron>().map_err(|error| error::bad_request(format!("schedule.cron: {error}")))?;
    }
    Ok((kind, cron, parameters(&asked.parameters.unwrap_or_default())?))
}

fn parameters(given: &BTreeMap<String, Value>) -> Result<PurgeParameters, Error> {
    let text = |name: &str| match given.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        // Every run in the history keeps it.
        Some(Value::String(text)) if text.len() <= MAX_WORDS => Ok(text.clone()),
        Some(_) => Err(error::bad_request(format!(
            "parameters.{name} is text: words with commas between them, at most {MAX_WORDS} bytes"
        ))),
    };
    let hours = given.get("audit_retention_hour").and_then(Value::as_u64).and_then(|hours| u32::try_from(hours).ok());
    let hours = hours.filter(|hours| *hours <= LONGEST_RETENTION).ok_or_else(|| {
        error::bad_request(format!("parameters.audit_retention_hour is a number of hours, at most {LONGEST_RETENTION}"))
    })?;
    let dry_run = match given.get("dry_run") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(error::bad_request("parameters.dry_run is true or false")),
    };
    let (types, operations) = (text("include_event_types")?, text("include_operations")?);
    let words = || types.split(',').map(str::trim).filter(|word| !word.is_empty());
    if words().next().is_none() && operations.trim().is_empty() {
        return Err(error::bad_request("parameters.include_event_types is missing: nothing would be purged"));
    }
    if let Some(unknown) = words().find(|word| *word != "other" && EventType::parse(word).is_none()) {
        return Err(error::bad_request(format!("parameters.include_event_types: there is no type {unknown}")));
    }
    Ok(PurgeParameters {
        audit_retention_hour: hours,
        include_event_types: types,
        include_operations: operations,
        dry_run,
    })
}

/// How a schedule was chosen, as Harbor calls it.
const fn word(kind: ScheduleKind) -> &'static str {
    match kind {
        ScheduleKind::Hourly => "Hourly",
        ScheduleKind::Daily => "Daily",
        ScheduleKind::Weekly => "Weekly",
        ScheduleKind::Custom => "Custom",
        ScheduleKind::Manual => "Manual",
        ScheduleKind::None => "None",
        ScheduleKind::Schedule => "Schedule",
    }
}

fn job_parameters(parameters: &PurgeParameters) -> String {
    serde_json::to_string(parameters).unwrap_or_default()
}

fn job(run: &Purged) -> ExecHistory {
    let trigger = if run.trigger == ScheduleKind::Manual { "MANUAL" } else { "SCHEDULE" };
    let kind = word(run.trigger).to_owned();
    ExecHistory {
        id: i64::try_from(run.id).unwrap_or(i64::MAX),
        job_name: JOB.into(),
        job_kind: trigger.into(),
        job_parameters: job_parameters(&run.parameters),
        schedule: Some(ScheduleTime { kind, cron: String::new(), next_scheduled_time: Time::NEVER }),
        job_status: match run.state {
            PurgeState::Running => "Running",
            PurgeState::Done(_) => "Success",
            PurgeState::Stopped => "Stopped",
            PurgeState::Failed(_) => "Error",
        }
        .into(),
        deleted: false,
        creation_time: shown(run.begun),
        update_time: shown(run.ended),
    }
}

fn planned(schedule: &Schedule, ask: &Ask<'_>) -> ExecHistory {
    let next = schedule.next_after(ask.call.app.clock().now()).map_or(Time::NEVER, shown);
    ExecHistory {
        id: 0,
        job_name: JOB.into(),
        job_kind: schedule.cron.clone(),
        job_parameters: job_parameters(&schedule.parameters),
        schedule: Some(ScheduleTime {
            kind: word(schedule.kind).into(),
            cron: schedule.cron.clone(),
            next_scheduled_time: next,
        }),
        job_status: String::new(),
        deleted: false,
        creation_time: shown(schedule.created),
        update_time: shown(schedule.updated),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn asked(value: Value) -> Result<(ScheduleKind, String, PurgeParameters), u16> {
        let asked: ScheduleReq = serde_json::from_value(value).unwrap();
        read(asked).map_err(|error| error.status().as_u16())
    }

    fn plan(kind: &str, cron: &str) -> Value {
        let parameters =
            json!({ "audit_retention_hour": 240, "include_event_types": "create_artifact", "dry_run": true });
        json!({ "schedule": { "type": kind, "cron": cron }, "parameters": parameters })
    }

    #[test]
    fn a_schedule_has_the_usual_turns_unless_it_names_its_own() {
        for (kind, given, cron) in [
            ("Hourly", "", "0 0 * * * *"),
            ("Daily", "0 30 2 * * *", "0 30 2 * * *"),
            ("Weekly", "", "0 0 0 * * 0"),
            ("Custom", "0 0 3 * * *", "0 0 3 * * *"),
            ("None", "", ""),
        ] {
            assert_eq!(asked(plan(kind, given)).unwrap().1, cron, "{kind}");
        }
        assert!(asked(plan("Manual", "")).unwrap().2.dry_run);
        for bad in [plan("Custom", ""), plan("Custom", "every so often"), plan("Schedule", "0 0 0 * * *"), plan("", "")]
        {
            assert_eq!(asked(bad), Err(400));
        }
        assert_eq!(asked(json!({ "parameters": {} })), Err(400));
    }

    #[test]
    fn what_would_purge_nothing_or_something_else_than_meant_is_refused() {
        for (name, value) in [
            ("audit_retention_hour", Value::Null),
            ("audit_retention_hour", json!(240_001)),
            ("audit_retention_hour", json!(-1)),
            ("audit_retention_hour", json!("240")),
            ("include_event_types", Value::Null),
            ("include_event_types", json!(" , ")),
            ("include_event_types", json!("create_artifact,fly_artifact")),
            ("include_event_types", json!(["create_artifact"])),
            ("dry_run", json!("yes")),
        ] {
            let mut bad = plan("Manual", "");
            bad["parameters"][name] = value.clone();
            assert_eq!(asked(bad), Err(400), "{name}: {value}");
        }
        assert!(
            asked(json!({ "schedule": { "type": "Manual" }, "parameters": {
            "audit_retention_hour": 0, "include_operations": "pull" } }))
            .is_ok()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_judged(kind in ".{0,12}", cron in ".{0,30}", types in ".{0,40}", hours: i64) {
            let mut one = plan(&kind, &cron);
            one["parameters"]["include_event_types"] = json!(types);
            one["parameters"]["audit_retention_hour"] = json!(hours);
            let _ = asked(one);
        }
    }
}
