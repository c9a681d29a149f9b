//! The checks, in the order in which they are worth reading: each a pure function over the facts.

use std::time::Duration;

use protocol::Timestamp;
use serde::Serialize;

use super::super::status::degraded;
use super::super::words::{ago, bytes, moment};
use super::facts::{Directory, Facts};
use super::mounts::Suits;
use crate::config::{Sync, is_loopback};

/// Nobody ran this version before: 2026-01-01.
const EARLIEST: Timestamp = Timestamp(1_767_225_600_000);
/// Files a node has open beside one for each connection.
const OTHER_FILES: u64 = 1024;
/// Warn this many points before uploads are refused.
const NEARLY_FULL: u64 = 5;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// To be looked at.
    Warn,
    /// To be mended.
    Fail,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which check.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// What is there.
    pub cause: String,
    /// What follows from it.
    pub effect: Option<String>,
    /// What to type.
    pub fix: Option<String>,
}

impl Check {
    /// Nothing to do.
    #[must_use]
    pub fn ok(name: &'static str, cause: impl Into<String>) -> Self {
        Self { name, state: State::Ok, cause: cause.into(), effect: None, fix: None }
    }

    /// Something to look at.
    #[must_use]
    pub fn warn(name: &'static str, cause: impl Into<String>, effect: &str, fix: impl Into<String>) -> Self {
        let (effect, fix) = (Some(effect.into()), Some(fix.into()));
        Self { name, state: State::Warn, cause: cause.into(), effect, fix }
    }

    /// Something to mend.
    #[must_use]
    pub fn fail(name: &'static str, cause: impl Into<String>, effect: &str, fix: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(name, cause, effect, fix) }
    }
}

/// Every check.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Check> {
    let checks: [fn(&Facts) -> Check; 17] = [
        config,
        directory,
        owner,
        mode,
        file_system,
        barriers,
        probe,
        sync,
        space,
        ballast,
        node,
        ready,
        health,
        snapshot,
        clock,
        open_files,
        listener,
    ];
    checks.iter().map(|check| check(facts)).chain([passwords(facts)]).collect()
}

fn config(facts: &Facts) -> Check {
    match facts.config_errors.as_slice() {
        [] => Check::ok("config", "valid"),
        [one] => Check::fail("config", one, "the node does not start with it", "portolan config validate"),
        [one, more @ ..] => {
            let cause = format!("{one}, and {} more", more.len());
            Check::fail("config", cause, "the node does not start with it", "portolan config validate")
        }
    }
}

fn data(facts: &Facts) -> String {
    facts.config.storage.data.display().to_string()
}

fn directory(facts: &Facts) -> Check {
    let name = "data directory";
    match &facts.directory {
        Directory::Present { .. } => Check::ok(name, data(facts)),
        Directory::Missing => {
            Check::warn(name, format!("{} is not there", data(facts)), "the first start makes it", "portolan serve")
        }
        Directory::NotDirectory => {
            let cause = format!("{} is no directory", data(facts));
            Check::fail(name, cause, "the node can't start", "portolan serve --data DIR")
        }
        Directory::Unreadable(error) => {
            let cause = format!("{}: {error}", data(facts));
            Check::fail(name, cause, "the node can't start as this user", "portolan doctor, as the node's user")
        }
    }
}

fn owner(facts: &Facts) -> Check {
    let name = "data owner";
    match facts.directory {
        Directory::Present { owner, .. } if owner == facts.user => Check::ok(name, format!("user {owner}")),
        Directory::Present { owner, .. } => {
            let cause = format!("user {owner}; this runs as user {}", facts.user);
            let fix = format!("chown -R {} {}, or doctor as user {owner}", facts.user, data(facts));
            Check::warn(name, cause, "a node of this user could not write it", fix)
        }
        Directory::Missing | Directory::NotDirectory | Directory::Unreadable(_) => unknown(name),
    }
}

fn mode(facts: &Facts) -> Check {
    let name = "data mode";
    match facts.directory {
        Directory::Present { mode, .. } if mode & 0o077 == 0 => Check::ok(name, format!("{mode:04o}")),
        Directory::Present { mode, .. } => {
            let effect = "other users of this machine can look in";
            Check::fail(name, format!("{mode:04o}"), effect, format!("chmod 0700 {}", data(facts)))
        }
        Directory::Missing | Directory::NotDirectory | Directory::Unreadable(_) => unknown(name),
    }
}

fn unknown(name: &'static str) -> Check {
    Check::ok(name, "nothing to look at yet")
}

fn file_system(facts: &Facts) -> Check {
    let name = "file system";
    let Some(mount) = &facts.mount else { return Check::ok(name, "this system does not say") };
    let cause = format!("{} at {}", mount.kind, mount.point.display());
    let fix = "portolan serve --data DIR on ext4 or xfs of this machine's own disk";
    match mount.suits() {
        Suits::Yes => Check::ok(name, cause),
        Suits::Volatile => Check::warn(name, cause, "a restart of the machine loses everything", fix),
        Suits::Doubtful => {
            Check::warn(name, cause, "what a sync or a lock means there depends on others: pushes may be lost", fix)
        }
        Suits::Unknown => Check::warn(name, cause, "nobody tried Portolan on it", fix),
    }
}

fn barriers(facts: &Facts) -> Check {
    let name = "write barriers";
    match facts.mount.as_ref().and_then(|mount| Some((mount, mount.no_barriers()?))) {
        None => Check::ok(name, "not switched off"),
        Some((mount, option)) => {
            let effect = "a power cut can damage the metadata and lose acknowledged pushes";
            let fix = format!("mount {} without {option}", mount.point.display());
            Check::fail(name, format!("{} is mounted with {option}", mount.point.display()), effect, fix)
        }
    }
}

fn probe(facts: &Facts) -> Check {
    let name = "sync and rename";
    match &facts.probe {
        None => unknown(name),
        Some(Ok(())) => Check::ok(name, "a file and its directory sync, and a move never replaces"),
        Some(Err(fault)) => {
            let cause = format!("can't {}: {}", fault.step, fault.error);
            Check::fail(
                name,
                cause,
                "the node can't keep what it is given",
                "portolan serve --data DIR on another disk",
            )
        }
    }
}

fn sync(facts: &Facts) -> Check {
    match facts.config.storage.sync {
        Sync::On => Check::ok("durability", "storage.sync is on"),
        Sync::Off => Check::warn(
            "durability",
            "storage.sync is off",
            "a power cut loses acknowledged pushes",
            "remove storage.sync from the configuration and restart",
        ),
    }
}

fn space(facts: &Facts) -> Check {
    let name = "free space";
    let Some(space) = facts.space.filter(|space| space.total > 0) else { return Check::ok(name, "not known") };
    let storage = &facts.config.storage;
    let used = 100 - u64::try_from(u128::from(space.available) * 100 / u128::from(space.total)).unwrap_or(100).min(100);
    let cause = format!("{} of {} ({used}% used)", bytes(space.available), bytes(space.total));
    let refuse = u64::from(storage.refuse_uploads_at);
    let fix = "portolan gc, or a larger disk";
    if used > refuse || space.available < storage.keep_free.0 {
        Check::fail(name, cause, "uploads are refused; pulls and deletes work", fix)
    } else if used + NEARLY_FULL > refuse {
        Check::warn(name, cause, "uploads will be refused soon", fix)
    } else {
        Check::ok(name, cause)
    }
}

fn ballast(facts: &Facts) -> Check {
    let name = "ballast";
    match &facts.node {
        Err(_) => Check::ok(name, "not known while no node answers"),
        Ok(status) if status.disk.ballast => Check::ok(name, "in place"),
        Ok(_) => {
            let effect = "on a full disk the next delete may not commit";
            Check::warn(name, "given up", effect, "portolan gc; the node makes it again when there is room")
        }
    }
}

fn node(facts: &Facts) -> Check {
    match &facts.node {
        Ok(status) => Check::ok("node", format!("version {} answers", status.version)),
        Err(failure) => {
            let fix = failure.next.clone().unwrap_or_else(|| "portolan serve".into());
            Check::fail("node", &failure.cause, "nobody can push or pull here", fix)
        }
    }
}

fn ready(facts: &Facts) -> Check {
    match &facts.ready {
        None => Check::ok("ready", "not known while no node answers"),
        Some(Ok(())) => Check::ok("ready", "yes"),
        Some(Err(cause)) => Check::fail("ready", cause, "load balancers send nobody here", "portolan status"),
    }
}

fn health(facts: &Facts) -> Check {
    let name = "store";
    let Ok(status) = &facts.node else { return Check::ok(name, "not known while no node answers") };
    if let Some(cause) = &status.read_only {
        let effect = "pushes and deletes are refused; pulls work";
        return Check::fail(name, format!("read-only: {cause}"), effect, "mend the disk, then restart the node");
    }
    match degraded(status).as_slice() {
        [] => Check::ok(name, "takes writes"),
        wrong => Check::fail(name, wrong.join("; "), "it does not work as it should", "portolan status"),
    }
}

fn snapshot(facts: &Facts) -> Check {
    let name = "snapshot";
    let Ok(status) = &facts.node else { return Check::ok(name, "not known while no node answers") };
    let every = facts.config.storage.snapshot_every.0;
    let age = status.snapshot.map_or(Duration::from_secs(status.uptime_seconds), |at| facts.now.since(at));
    let cause = status.snapshot.map_or_else(|| "none yet".into(), |at| ago(facts.now, at));
    if age > every.saturating_mul(2) {
        let effect = "a damaged index could only be made again from an old copy";
        Check::warn(name, cause, effect, "portolan snapshot")
    } else {
        Check::ok(name, cause)
    }
}

fn clock(facts: &Facts) -> Check {
    if facts.now < EARLIEST {
        let effect = "certificates and tokens are taken for not yet good; leases end at the wrong time";
        return Check::fail("clock", moment(facts.now), effect, "timedatectl set-ntp true");
    }
    Check::ok("clock", moment(facts.now))
}

fn open_files(facts: &Facts) -> Check {
    let name = "open files";
    let wanted = u64::from(facts.config.limits.connections) + OTHER_FILES;
    match facts.open_files {
        Some(limit) if limit < wanted => {
            let cause = format!("a process started from here may have {limit}; the configuration wants {wanted}");
            let fix = format!("ulimit -n {wanted}, or LimitNOFILE={wanted} in the unit");
            Check::warn(name, cause, "new connections fail when there are many", fix)
        }
        Some(limit) => Check::ok(name, format!("{limit} allowed")),
        None => Check::ok(name, "no limit"),
    }
}

fn listener(facts: &Facts) -> Check {
    let http = &facts.config.http;
    let cause = format!("{} {}", http.listen, if http.tls.is_some() { "with TLS" } else { "without TLS" });
    if http.tls.is_none() && !is_loopback(&http.listen) {
        let effect = "passwords travel in clear text, unless a proxy before it adds TLS";
        return Check::warn("listener", cause, effect, "set http.tls.cert and http.tls.key");
    }
    Check::ok("listener", cause)
}

fn passwords(facts: &Facts) -> Check {
    let Some(first) = facts.password_files.first() else { return Check::ok("passwords", "none lie about") };
    let paths: Vec<_> = facts.password_files.iter().map(|path| path.display().to_string()).collect();
    let effect = "who reads the file is the administrator";
    Check::warn("passwords", paths.join(", "), effect, format!("note the password, then rm {}", first.display()))
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
