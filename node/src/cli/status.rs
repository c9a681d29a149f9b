//! `portolan status`: one screen.

use protocol::Timestamp;
use serde_json::json;

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::Failure;
use super::maintenance::{gc_text, scrub_text};
use super::terminal::{Terminal, Tone};
use super::words::{ago, bytes, columns, period};
use crate::registry::maintenance::{LastRun, Status};

/// Asks the node.
pub(super) fn ask(connection: &Connection) -> Result<Status, Failure> {
    connection.get("/api/v2.0/mesh/node/status")
}

/// `portolan status`.
pub(super) fn run(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let status = ask(&session.connection()?)?;
    let wrong = degraded(&status);
    let text = screen(&status, &wrong, session.host.clock.now(), &session.terminal);
    session.terminal.answer(&text, &json!({ "degraded": wrong, "node": status }))?;
    Ok(if wrong.is_empty() { Exit::Ok } else { Exit::Degraded })
}

/// Everything that is not as it should be; nothing when all is well.
#[must_use]
pub(super) fn degraded(status: &Status) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(cause) = &status.read_only {
        wrong.push(format!("takes no writes: {cause}"));
    }
    if let Some(cause) = &status.disk.refusing_uploads {
        wrong.push(format!("refuses uploads: {cause}"));
    }
    for ids in &status.contested_ids {
        wrong.push(format!("one id for several, settled by the site whose block it is of: {ids}"));
    }
    if let Some(Ok(scrub)) = status.scrub.as_ref().map(|run| &run.outcome)
        && scrub.quarantined + scrub.missing > 0
    {
        wrong.push(format!("the last scrub found {} blobs damaged, {} missing", scrub.quarantined, scrub.missing));
    }
    if let Some(Err(error)) = status.scrub.as_ref().map(|run| &run.outcome) {
        wrong.push(format!("the last scrub failed: {error}"));
    }
    if let Some(Err(error)) = status.gc.as_ref().map(|run| &run.outcome) {
        wrong.push(format!("the last garbage collection failed: {error}"));
    }
    wrong
}

fn screen(status: &Status, wrong: &[String], now: Timestamp, terminal: &Terminal) -> String {
    let mut rows = vec![row("node", health(wrong, terminal))];
    rows.extend(wrong.iter().map(|one| row("", one.clone())));
    rows.extend([
        row("version", format!("{}, up {}", status.version, up(status))),
        row("listen", status.listen.join(", ")),
        row("data", status.data.clone()),
        row("disk", disk(status)),
        row("content", content(status)),
        row("uploads", format!("{} open", status.uploads)),
        row("gc", last(status.gc.as_ref(), now, |report| gc_text(report, false))),
        row("scrub", last(status.scrub.as_ref(), now, scrub_text)),
        row("snapshot", status.snapshot.map_or_else(|| "none yet".into(), |at| ago(now, at))),
    ]);
    columns(&rows)
}

fn row(name: &str, text: String) -> Vec<String> {
    vec![name.into(), text]
}

fn health(wrong: &[String], terminal: &Terminal) -> String {
    if wrong.is_empty() { terminal.word(Tone::Good, "ok") } else { terminal.word(Tone::Bad, "degraded") }
}

fn up(status: &Status) -> String {
    period(std::time::Duration::from_secs(status.uptime_seconds))
}

fn disk(status: &Status) -> String {
    let disk = &status.disk;
    let ballast = if disk.ballast { "in place" } else { "given up" };
    format!("{} of {} free, ballast {ballast}", bytes(disk.available), bytes(disk.total))
}

fn content(status: &Status) -> String {
    let counts = &status.counts;
    format!(
        "{} projects, {} repositories, {} tags, {} manifests, {} blobs ({})",
        counts.projects,
        counts.repositories,
        counts.tags,
        counts.manifests,
        counts.blobs,
        bytes(counts.bytes)
    )
}

fn last<T>(run: Option<&LastRun<T>>, now: Timestamp, text: impl Fn(&T) -> String) -> String {
    let Some(run) = run else { return "not since the node started".into() };
    let what = match &run.outcome {
        Ok(report) => text(report).trim_end().to_owned(),
        Err(error) => format!("failed: {error}"),
    };
    format!("{}: {what}", ago(now, run.ended))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::connection::tests::canned;
    use super::super::terminal::Format;
    use super::super::terminal::tests::captured;
    use super::*;
    use crate::registry::maintenance::{DiskStatus, ScrubReport};
    use crate::storage::meta::Counts;

    pub(crate) fn healthy() -> Status {
        Status {
            version: "0.1.0".into(),
            started: Timestamp(0),
            uptime_seconds: 7200,
            listen: vec!["127.0.0.1:5000".into()],
            data: "portolan-data".into(),
            read_only: None,
            counts: Counts::default(),
            disk: DiskStatus { total: 10 << 30, available: 5 << 30, refusing_uploads: None, ballast: true },
            uploads: 2,
            gc: None,
            scrub: None,
            snapshot: Some(Timestamp(3_600_000)),
            contested_ids: vec![],
        }
    }

    #[test]
    fn the_node_is_asked_and_its_answer_read() {
        let status = serde_json::to_string(&healthy()).unwrap();
        let (connection, client) = canned(&[(200, &status)]);
        assert_eq!(ask(&connection).unwrap(), healthy());
        assert_eq!(client.asked.lock().unwrap().concat(), "GET /api/v2.0/mesh/node/status");
    }

    #[test]
    fn each_thing_that_is_wrong_is_told() {
        assert!(degraded(&healthy()).is_empty());
        let mut status = healthy();
        status.read_only = Some("sync failed".into());
        status.disk.refusing_uploads = Some("97% used".into());
        let damaged = ScrubReport { quarantined: 1, ..ScrubReport::default() };
        status.scrub = Some(LastRun { ended: Timestamp(0), outcome: Ok(damaged) });
        status.gc = Some(LastRun { ended: Timestamp(0), outcome: Err("no room".into()) });
        assert_eq!(degraded(&status).len(), 4);
    }

    #[test]
    fn one_screen_says_it_all() {
        let (terminal, ..) = captured(Format::Table, false);
        let screen = screen(&healthy(), &[], Timestamp(7_200_000), &terminal);
        let expected = "\
node      ok
version   0.1.0, up 2h
listen    127.0.0.1:5000
data      portolan-data
disk      5.0 GiB of 10.0 GiB free, ballast in place
content   0 projects, 0 repositories, 0 tags, 0 manifests, 0 blobs (0 B)
uploads   2 open
gc        not since the node started
scrub     not since the node started
snapshot  60m ago
";
        assert_eq!(screen, expected);
    }
}
