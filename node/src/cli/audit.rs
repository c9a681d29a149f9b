//! `portolan audit list`, `verify` and `export`: what was done, and whether the log of it is what was written.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use protocol::{ProjectName, Timestamp};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Session;
use super::connection::{Connection, LONG, SHORT};
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::words::table;
use crate::storage::audit::verify::verify_now;
use crate::storage::audit::{AuditError, EventType, Verified, export};

/// Most entries of one answer of a node.
const PAGE: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// What was done; the newest first.
    List(List),
    /// Hold the log against its chain: by the node, or on its data directory when none runs. Ends with 8 when it was changed.
    Verify,
    /// Write the log of this machine's node as it is, one JSON object a line.
    Export {
        /// Not before, UTC: `2026-01-31` or `2026-01-31T12:00:00Z`.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Not after, UTC.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
}

#[derive(Debug, Default, Args)]
pub(super) struct List {
    /// By whom. (--user is who to log in as.)
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What was done: `create`, `update`, `delete`, `pull`, `login`, …
    #[arg(long, value_name = "WORD")]
    operation: Option<String>,
    /// A part of the name of what it was done to.
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// A type of entry: `create_artifact`.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "operation")]
    of_type: Option<String>,
    /// Not before, UTC: `2026-01-31` or `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after, UTC.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// In this project.
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    refused: bool,
    /// Most entries.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// An entry as the node shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Act {
    id: i64,
    username: String,
    resource: String,
    resource_type: String,
    operation: String,
    operation_result: bool,
    op_time: String,
}

fn usage(cause: String) -> Failure {
    Failure::new(Code::Usage, cause)
}

/// A time as people write it, in milliseconds since 1970.
fn moment(text: &str) -> Result<Timestamp, Failure> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at = OffsetDateTime::parse(&whole, &Rfc3339).ok();
    let at = at.and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    at.map(Timestamp).ok_or_else(|| usage(format!("{text:?} is no time")).next("2026-01-31 or 2026-01-31T12:00:00Z"))
}

fn times(since: Option<&str>, until: Option<&str>) -> Result<(Option<Timestamp>, Option<Timestamp>), Failure> {
    Ok((since.map(moment).transpose()?, until.map(moment).transpose()?))
}

/// The same time as a node reads it: UTC, seconds.
fn written(at: Timestamp) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let text = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
    text.trim_end_matches('Z').to_owned()
}

/// A value of a question: what has a meaning there is written so that it has none, twice, for it is read twice.
fn value(out: &mut String, text: &str) -> Result<(), Failure> {
    if text.contains(',') {
        return Err(usage(format!("{text:?}: a comma can't be asked for")));
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%25{byte:02X}"));
        }
    }
    Ok(())
}

impl List {
    /// The path of the question, without the page.
    fn path(&self) -> Result<String, Failure> {
        let mut q = Vec::new();
        let mut ask = |key: &str, sign: &str, text: &str| {
            let mut term = format!("{key}%3D{sign}");
            value(&mut term, text)?;
            q.push(term);
            Ok::<_, Failure>(())
        };
        if let Some(name) = &self.by {
            ask("username", "", name)?;
        }
        if let Some(word) = &self.operation {
            ask("operation", "", word)?;
        }
        if let Some(part) = &self.resource {
            ask("resource", "~", part)?;
        }
        if let Some(name) = &self.of_type {
            let of = EventType::parse(name).ok_or_else(|| usage(format!("there is no type {name:?}")))?;
            ask("operation", "", of.operation.name())?;
            ask("resource_type", "", of.kind.name())?;
        }
        if self.refused {
            ask("operation_result", "", "false")?;
        }
        let (since, until) = times(self.since.as_deref(), self.until.as_deref())?;
        if since.is_some() || until.is_some() {
            let bound = |at: Option<Timestamp>| at.map(written).unwrap_or_default().replace(':', "%3A");
            q.push(format!("op_time%3D%5B{}~{}%5D", bound(since), bound(until)));
        }
        let base = match &self.project {
            None => "/api/v2.0/auditlog-exts".to_owned(),
            Some(name) => {
                let name: ProjectName = name.parse().map_err(|error| usage(format!("{name:?}: {error}")))?;
                format!("/api/v2.0/projects/{name}/auditlog-exts")
            }
        };
        Ok(format!("{base}?q={}", q.join("%2C")))
    }

    fn ask(&self, connection: &Connection) -> Result<Vec<Act>, Failure> {
        let (path, most) = (self.path()?, self.limit as usize);
        let mut all: Vec<Act> = Vec::new();
        for page in 1.. {
            let size = PAGE.min(most);
            let mut found: Vec<Act> = connection.get(&format!("{path}&page={page}&page_size={size}"))?;
            let last = found.len() < size;
            // Entries that came meanwhile move the others to later pages.
            let seen = all.last().map_or(i64::MAX, |act| act.id);
            found.retain(|act| act.id < seen);
            all.append(&mut found);
            if last || all.len() >= most {
                break;
            }
        }
        all.truncate(most);
        Ok(all)
    }
}

fn rows(acts: &[Act]) -> String {
    let row = |act: &Act| {
        let ended = if act.operation_result { "done" } else { "refused" };
        let what = format!("{} {}", act.operation, act.resource_type);
        vec![act.op_time.clone(), act.username.clone(), what, act.resource.clone(), ended.to_owned()]
    };
    table(&["TIME", "BY", "WHAT", "NAME", "ENDED"], &acts.iter().map(row).collect::<Vec<_>>())
}

impl Audit {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List(list) => {
                let acts = list.ask(&session.connection()?)?;
                session.terminal.answer(&rows(&acts), &acts)?;
                Ok(Exit::Ok)
            }
            Self::Verify => verify(session),
            Self::Export { since, until } => {
                session.local_only()?;
                let times = times(since.as_deref(), until.as_deref())?;
                let (fs, dir) = (Arc::clone(&session.host.file_system), directory(session)?);
                let terminal = &mut session.terminal;
                export(&*fs, &dir, times, |line| terminal.text(line).map_err(Stop::Output)).map_err(Failure::from)?;
                Ok(Exit::Ok)
            }
        }
    }
}

/// Why an export ended early.
enum Stop {
    Audit(AuditError),
    Output(Failure),
}

impl From<AuditError> for Stop {
    fn from(error: AuditError) -> Self {
        Self::Audit(error)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Audit(error) => unreadable(&error),
            Stop::Output(failure) => failure,
        }
    }
}

fn unreadable(error: &AuditError) -> Failure {
    Failure::new(Code::Unreadable, error.to_string()).next("the same command as the user the node runs as")
}

fn directory(session: &Session<'_>) -> Result<PathBuf, Failure> {
    Ok(session.configuration(Vec::new())?.config.storage.data.join("audit"))
}

fn verify(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let connection = session.connection()?;
    let runs = session.global.server.is_some()
        || connection.ask(http::Method::GET, "/livez", bytes::Bytes::new(), SHORT).is_ok();
    let found: Verified = if runs {
        session.terminal.progress("reading the whole log");
        connection.post("/api/v2.0/mesh/node/audit/verify", LONG)?
    } else {
        session.terminal.warn("no node runs: a log that was cut at its end looks whole to this command");
        verify_now(&session.host.file_system, &directory(session)?, None).map_err(|error| unreadable(&error))?
    };
    session.terminal.answer(&verified(&found), &found)?;
    Ok(if found.broken.is_some() { Exit::VerificationFailed } else { Exit::Ok })
}

/// What a walk found, in one line or two.
fn verified(found: &Verified) -> String {
    let Verified { files, entries, purged, head, .. } = found;
    let all = format!("{entries} entries in {files} files, {purged} purged; it ends with entry {}", head.seq);
    match &found.broken {
        None => format!("the log is what was written: {all}\n"),
        Some(broken) => format!(
            "the log was changed: {} line {}, where entry {} should be: {}\nbefore that: {all}\n",
            broken.file, broken.line, broken.seq, broken.why
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::connection::tests::canned;
    use super::*;

    fn acts(ids: impl Iterator<Item = i64>) -> String {
        let act = |id| {
            json!({ "id": id, "username": "eve", "resource": "p/a:1", "resource_type": "artifact", "operation": "pull",
                    "operation_description": "", "operation_result": id % 2 == 0, "op_time": "2026-01-01T00:00:00.000Z" })
        };
        serde_json::to_string(&ids.map(act).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn pages_are_asked_for_until_there_are_enough_and_none_is_shown_twice() {
        // One came in between: the second page begins with the last of the first.
        let (connection, client) = canned(&[(200, &acts((101..=200).rev())), (200, &acts((2..=101).rev()))]);
        let found = List { limit: 150, ..List::default() }.ask(&connection).unwrap();
        assert_eq!((found.len(), found[149].id), (150, 51));
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked[1], "GET /api/v2.0/auditlog-exts?q=&page=2&page_size=100");
        assert!(rows(&found[..2]).contains("pull artifact  p/a:1  done"), "{}", rows(&found[..2]));
    }

    #[test]
    fn what_is_asked_for_reaches_the_node_as_it_was_typed() {
        let list = List {
            by: Some("robot$p+ci".into()),
            of_type: Some("create_artifact".into()),
            since: Some("2026-01-31".into()),
            project: Some("p".into()),
            ..List::default()
        };
        let path = list.path().unwrap();
        assert_eq!(
            path,
            "/api/v2.0/projects/p/auditlog-exts?q=username%3Drobot%2524p%252Bci%2Coperation%3Dcreate\
             %2Cresource_type%3Dartifact%2Cop_time%3D%5B2026-01-31T00%3A00%3A00~%5D"
        );
        for bad in [
            List { by: Some("a,b".into()), ..List::default() },
            List { of_type: Some("fly_artifact".into()), ..List::default() },
            List { until: Some("yesterday".into()), ..List::default() },
            List { project: Some("A/b".into()), ..List::default() },
        ] {
            assert_eq!(bad.path().unwrap_err().code, Code::Usage, "{bad:?}");
        }
    }

    #[test]
    fn a_log_that_was_changed_is_told_with_the_place() {
        let broken = json!({ "file": "1.jsonl", "line": 3, "seq": 3, "why": "the line was changed" });
        let mut found = Verified::default();
        assert!(verified(&found).starts_with("the log is what was written: 0 entries"));
        found.broken = serde_json::from_value(broken).unwrap();
        assert!(verified(&found).contains("1.jsonl line 3, where entry 3 should be: the line was changed"));
    }
}
