//! `portolan gc`, `scrub`, `snapshot` and `rebuild-index`.

use clap::Args;
use protocol::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::connection::{Connection, LONG, SHORT};
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::words::{bytes, moment};
use crate::registry::maintenance::ScrubReport;
use crate::storage::store::GcReport;

/// Collect garbage now.
#[derive(Debug, Args)]
pub(super) struct Gc {
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let connection = session.connection()?;
        session.terminal.progress("collecting garbage");
        let report = self.collect(&connection)?;
        session.terminal.answer(&gc_text(&report, self.dry_run), &report)?;
        Ok(Exit::Ok)
    }

    fn collect(&self, connection: &Connection) -> Result<GcReport, Failure> {
        connection.post(&format!("/api/v2.0/mesh/node/gc?dry_run={}", self.dry_run), LONG)
    }
}

/// What a run did, in one line.
pub(super) fn gc_text(report: &GcReport, dry_run: bool) -> String {
    let freed = bytes(report.freed_bytes);
    if dry_run {
        return format!(
            "{} looked at: {} blobs ({freed}) and {} links would go, {} wait for a lease to end\n",
            report.examined, report.freed, report.unlinked, report.leased
        );
    }
    format!(
        "{} looked at: {} blobs ({freed}) moved to the trash, {} links removed, {} wait for a lease to end; \
         {} files ({}) gone from the trash\n",
        report.examined,
        report.freed,
        report.unlinked,
        report.leased,
        report.trash_removed,
        bytes(report.trash_bytes)
    )
}

/// `portolan scrub`.
pub(super) fn scrub(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let connection = session.connection()?;
    session.terminal.progress("reading every blob; interrupting this does not stop the node from doing so");
    let report: ScrubReport = connection.post("/api/v2.0/mesh/node/scrub", LONG)?;
    session.terminal.answer(&scrub_text(&report), &report)?;
    Ok(scrub_exit(&report))
}

/// What a scrub found, in one line.
pub(super) fn scrub_text(report: &ScrubReport) -> String {
    format!(
        "{} blobs ({}) read: {} damaged, now in quarantine; {} missing; {} files nobody knows, now in the trash\n",
        report.blobs,
        bytes(report.bytes),
        report.quarantined,
        report.missing,
        report.orphans
    )
}

fn scrub_exit(report: &ScrubReport) -> Exit {
    if report.quarantined + report.missing > 0 { Exit::VerificationFailed } else { Exit::Ok }
}

/// `portolan snapshot`.
pub(super) fn snapshot(session: &mut Session<'_>) -> Result<Exit, Failure> {
    #[derive(Deserialize)]
    struct Made {
        snapshot: Timestamp,
    }
    let made: Made = session.connection()?.post("/api/v2.0/mesh/node/snapshot", LONG)?;
    let text = format!("snapshot of {}\n", moment(made.snapshot));
    session.terminal.answer(&text, &json!({ "snapshot": made.snapshot }))?;
    Ok(Exit::Ok)
}

/// `portolan rebuild-index`.
pub(super) fn rebuild_index(session: &mut Session<'_>) -> Result<Exit, Failure> {
    session.local_only()?;
    let config = session.configuration(Vec::new())?.config;
    let data = config.storage.data.clone();
    let node = Connection::local(&data)?;
    if node.ask(http::Method::GET, "/livez", bytes::Bytes::new(), SHORT).is_ok() {
        let cause = format!("a node is running on {}", data.display());
        return Err(Failure::new(Code::Conflict, cause).next("stop the node, then the same command"));
    }
    let question =
        format!("Make the metadata in {} again from its newest good snapshot and the blobs?", data.display());
    session.terminal.confirm(&question, session.global.yes)?;
    session.terminal.progress("reading every blob");
    let found = (session.host.rebuild_index)(config)
        .map_err(|cause| Failure::new(Code::Rebuild, cause).next("portolan doctor"))?;
    session.terminal.answer(&format!("{found}\n"), &json!({ "rebuilt": found }))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn a_dry_run_says_would() {
        let report = GcReport { examined: 3, freed: 1, freed_bytes: 2048, ..GcReport::default() };
        assert!(gc_text(&report, true).contains("1 blobs (2.0 KiB) and 0 links would go"));
        assert!(gc_text(&report, false).contains("1 blobs (2.0 KiB) moved to the trash"));
    }

    #[test]
    fn the_node_is_told_whether_it_is_a_dry_run() {
        let report = serde_json::to_string(&GcReport::default()).unwrap();
        let (connection, client) = canned(&[(200, &report), (200, &report)]);
        Gc { dry_run: true }.collect(&connection).unwrap();
        Gc { dry_run: false }.collect(&connection).unwrap();
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked, ["POST /api/v2.0/mesh/node/gc?dry_run=true", "POST /api/v2.0/mesh/node/gc?dry_run=false"]);
    }

    #[test]
    fn damage_ends_a_scrub_with_its_own_code() {
        assert_eq!(scrub_exit(&ScrubReport { blobs: 3, orphans: 1, ..ScrubReport::default() }), Exit::Ok);
        assert_eq!(scrub_exit(&ScrubReport { quarantined: 1, ..ScrubReport::default() }), Exit::VerificationFailed);
        assert_eq!(scrub_exit(&ScrubReport { missing: 1, ..ScrubReport::default() }), Exit::VerificationFailed);
    }
}
