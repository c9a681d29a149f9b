//! Each check over facts made up for it.

use protocol::seam::Space;

use super::super::facts::Facts;
use super::super::mounts::Mount;
use super::super::probe::Fault;
use super::*;
use crate::cli::failure::{Code, Failure};
use crate::cli::status::tests::healthy;
use crate::config::{Config, Tls};

const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn sound() -> Facts {
    let mut status = healthy();
    status.snapshot = Some(Timestamp(NOW.0 - 60_000));
    Facts {
        config: Config::default(),
        config_errors: Vec::new(),
        directory: Directory::Present { owner: 1000, mode: 0o700 },
        user: 1000,
        mount: Some(Mount { point: "/".into(), kind: "ext4".into(), options: vec!["rw".into()] }),
        probe: Some(Ok(())),
        space: Some(Space { total: 100 << 30, available: 50 << 30 }),
        node: Ok(status),
        ready: Some(Ok(())),
        now: NOW,
        open_files: Some(65_536),
        password_files: Vec::new(),
    }
}

/// The checks that are not ok after a change, as `name: state`.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<(&'static str, State)> {
    let mut facts = sound();
    change(&mut facts);
    let checks = all(&facts);
    for check in checks.iter().filter(|check| check.state != State::Ok) {
        assert!(check.effect.is_some() && check.fix.is_some(), "{} gives no advice", check.name);
    }
    checks.iter().filter(|check| check.state != State::Ok).map(|check| (check.name, check.state)).collect()
}

#[test]
fn a_sound_machine_has_nothing_to_mend() {
    assert_eq!(found(|_| {}), []);
    assert_eq!(all(&sound()).len(), 18);
}

#[test]
fn the_data_directory() {
    assert_eq!(found(|f| f.directory = Directory::Missing), [("data directory", State::Warn)]);
    assert_eq!(found(|f| f.directory = Directory::NotDirectory), [("data directory", State::Fail)]);
    assert_eq!(found(|f| f.user = 0), [("data owner", State::Warn)]);
    let open = |f: &mut Facts| f.directory = Directory::Present { owner: 1000, mode: 0o755 };
    assert_eq!(found(open), [("data mode", State::Fail)]);
}

#[test]
fn the_disk() {
    let kind = |kind: &'static str| {
        move |f: &mut Facts| f.mount = Some(Mount { point: "/".into(), kind: kind.into(), options: Vec::new() })
    };
    for doubtful in ["overlay", "tmpfs", "nfs4", "fuse.sshfs", "odd"] {
        assert_eq!(found(kind(doubtful)), [("file system", State::Warn)], "{doubtful}");
    }
    let barrier = |f: &mut Facts| f.mount.as_mut().unwrap().options.push("barrier=0".into());
    assert_eq!(found(barrier), [("write barriers", State::Fail)]);
    let fault = Fault { step: "sync the directory", error: "no".into() };
    assert_eq!(found(|f| f.probe = Some(Err(fault))), [("sync and rename", State::Fail)]);
    assert_eq!(found(|f| f.config.storage.sync = Sync::Off), [("durability", State::Warn)]);
    let left = |available: u64| move |f: &mut Facts| f.space = Some(Space { total: 100 << 30, available });
    assert_eq!(found(left(8 << 30)), [("free space", State::Warn)]);
    assert_eq!(found(left(4 << 30)), [("free space", State::Fail)]);
    let small = |f: &mut Facts| f.space = Some(Space { total: 100 << 20, available: 63 << 20 });
    assert_eq!(found(small), [("free space", State::Fail)]);
}

#[test]
fn the_node() {
    let gone = |f: &mut Facts| {
        f.node = Err(Failure::new(Code::Unreachable, "nobody there"));
        f.ready = None;
    };
    assert_eq!(found(gone), [("node", State::Fail)]);
    assert_eq!(found(|f| f.ready = Some(Err("starting".into()))), [("ready", State::Fail)]);
    let status =
        |change: fn(&mut crate::registry::maintenance::Status)| move |f: &mut Facts| change(f.node.as_mut().unwrap());
    assert_eq!(found(status(|s| s.read_only = Some("sync failed".into()))), [("store", State::Fail)]);
    assert_eq!(found(status(|s| s.disk.ballast = false)), [("ballast", State::Warn)]);
    assert_eq!(found(status(|s| s.snapshot = Some(Timestamp(0)))), [("snapshot", State::Warn)]);
    assert_eq!(found(status(|s| s.snapshot = None)), []);
    let never = |s: &mut crate::registry::maintenance::Status| (s.snapshot, s.uptime_seconds) = (None, 7201);
    assert_eq!(found(status(never)), [("snapshot", State::Warn)]);
}

#[test]
fn the_machine() {
    assert_eq!(found(|f| f.now = Timestamp(1)), [("clock", State::Fail),]);
    assert_eq!(found(|f| f.open_files = Some(1024)), [("open files", State::Warn)]);
    assert_eq!(found(|f| f.open_files = None), []);
    assert_eq!(found(|f| f.password_files = vec!["d/password".into()]), [("passwords", State::Warn)]);
}

#[test]
fn the_configuration() {
    assert_eq!(found(|f| f.config_errors = vec!["a".into(), "b".into()]), [("config", State::Fail)]);
    let open = |f: &mut Facts| f.config.http.listen = "0.0.0.0:5000".into();
    assert_eq!(found(open), [("listener", State::Warn)]);
    let tls = |f: &mut Facts| {
        f.config.http.listen = "0.0.0.0:5000".into();
        f.config.http.tls = Some(Tls { cert: "c".into(), key: "k".into() });
    };
    assert_eq!(found(tls), []);
}

#[test]
fn programs_get_states_in_lower_case() {
    let json = serde_json::to_value(Check::fail("a", "b", "c", "d")).unwrap();
    assert_eq!(json["state"], "fail");
    assert_eq!(json["fix"], "d");
}
