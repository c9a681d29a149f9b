//! Handing out the log as it is on the disk: line by line, so that who keeps them can follow the chain. Changes nothing.

use std::path::Path;

use protocol::Timestamp;
use protocol::seam::{Access, FileSystem};

use super::AuditError;
use super::entry::{Line, read};
use super::lines::{Lines, Next};
use super::log::{Segment, segments};

/// Calls `with` each whole line of the log in `dir`, in order; with a time, only entries of no earlier and no later
/// moment, and no marks of purges. Returns how many that were. A node may be writing meanwhile.
///
/// # Errors
/// What the disk says, and what `with` says.
pub fn export<E: From<AuditError>>(
    fs: &dyn FileSystem,
    dir: &Path,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    mut with: impl FnMut(&str) -> Result<(), E>,
) -> Result<u64, E> {
    let mut lines = 0;
    for segment in segments(fs, dir).map_err(AuditError::from)? {
        let file = match fs.open(&dir.join(Segment::name(segment.first)), Access::Read) {
            // A purge took it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            outcome => outcome.map_err(AuditError::from)?,
        };
        let end = file.len().map_err(AuditError::from)?;
        let mut found = Lines::new(file, 0, end);
        while let Next::Line(line) = found.next().map_err(AuditError::from)? {
            let at = match read(&line) {
                Ok(Line::Entry(entry)) => Some(entry.act.at),
                Ok(Line::Stone(_)) | Err(_) => None,
            };
            let in_time = since.is_none_or(|since| at.is_some_and(|at| at >= since))
                && until.is_none_or(|until| at.is_some_and(|at| at <= until));
            if in_time {
                with(&String::from_utf8_lossy(&line))?;
                lines += 1;
            }
        }
    }
    Ok(lines)
}
