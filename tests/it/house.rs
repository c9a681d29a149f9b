//! The house keeps its shape: imports point one way, and `protocol` stays pure.
//!
//! Read from the sources and manifests themselves, so that the picture in `docs/architecture.md` can't drift from the
//! code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rooms of `node`, by floor. An import goes to a lower floor, or stays in its room.
const FLOORS: [&[&str]; 9] = [
    &["http", "cli"],
    &["registry"],
    &["policy"],
    &["auth"],
    &["directory"],
    &["storage"],
    &["workers"],
    &["telemetry"],
    &["config", "world"],
];

/// What each package may depend on within the workspace.
const PACKAGES: [(&str, &[&str]); 5] = [
    ("protocol", &[]),
    ("mesh", &["protocol"]),
    ("node", &["protocol", "mesh"]),
    ("simulations", &["protocol"]),
    ("tests", &["protocol", "node", "simulations"]),
];

/// Every crate `protocol` may be built from. A new one is a decision, not an accident.
const PROTOCOL_TREE: [&str; 46] = [
    "allocator-api2",
    "arrayvec",
    "blake3",
    "block-buffer",
    "cc",
    "cfg-if",
    "cobs",
    "const-oid",
    "constant_time_eq",
    "cpufeatures",
    "crypto-common",
    "curve25519-dalek",
    "curve25519-dalek-derive",
    "digest",
    "ed25519",
    "ed25519-zebra",
    "equivalent",
    "find-msvc-tools",
    "foldhash",
    "hashbrown",
    "hybrid-array",
    "itoa",
    "memchr",
    "postcard",
    "proc-macro2",
    "protocol",
    "quote",
    "rand_core",
    "rustc_version",
    "semver",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "sha2",
    "shlex",
    "signature",
    "subtle",
    "syn",
    "thiserror",
    "thiserror-impl",
    "typenum",
    "unicode-ident",
    "zeroize",
    "zeroize_derive",
    "zmij",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms a source names by `crate::room`, comments left out.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for piece in line.split("crate::").skip(1) {
            let first: String = piece.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if first.is_empty() {
                // `use crate::{a, b::c}`
                let inner = piece.trim_start_matches('{');
                for part in inner.split(',') {
                    let name: String =
                        part.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    named.insert(name);
                }
            } else {
                named.insert(first);
            }
        }
    }
    named
}

fn upward_edges(room: &str, text: &str) -> Vec<String> {
    let Some(own) = floor_of(room) else { return Vec::new() };
    rooms_named(text)
        .into_iter()
        .filter(|other| other != room)
        .filter(|other| floor_of(other).is_some_and(|floor| floor <= own) || other == "app")
        .collect()
}

#[test]
fn imports_within_the_node_go_down_only() {
    let src = root().join("node/src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).expect("under src");
        let room = relative.components().next().expect("a room").as_os_str().to_string_lossy();
        let room = room.trim_end_matches(".rs");
        // A story of a lower room may be told with what stands above it.
        if relative.to_string_lossy().ends_with("_tests.rs") {
            continue;
        }
        let text = fs::read_to_string(file).expect("a source");
        for other in upward_edges(room, &text) {
            wrong.push(format!("{} imports {other}", relative.display()));
        }
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn an_upward_import_would_be_seen() {
    assert_eq!(upward_edges("storage", "use crate::registry::Registry;"), ["registry"]);
    assert_eq!(upward_edges("storage", "use crate::{config, http::v2};"), ["http"]);
    assert_eq!(upward_edges("config", "fn f() { crate::app::serve() }"), ["app"]);
    assert!(upward_edges("registry", "use crate::storage::Store; // crate::http").len() <= 1);
    assert!(upward_edges("registry", "use crate::storage::Store;").is_empty());
}

#[test]
fn every_room_of_the_node_has_a_floor() {
    for entry in fs::read_dir(root().join("node/src")).expect("node/src") {
        let name = entry.expect("an entry").file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        if !["lib", "main", "app"].contains(&name.as_str()) {
            assert!(floor_of(&name).is_some(), "the room {name} stands on no floor: add it to FLOORS and to lib.rs");
        }
    }
}

#[test]
fn only_one_room_knows_each_engine() {
    let src = root().join("node/src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for (library, room) in [("redb::", "storage"), ("hyper_util::server", "http"), ("clap::", "cli")] {
        for file in &files {
            let relative = file.strip_prefix(&src).expect("under src");
            let text = fs::read_to_string(file).expect("a source");
            let uses = text.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with(&format!("use {library}")) || line.contains(&format!(" ::{library}"))
            });
            let own = relative.starts_with(room) || relative == Path::new("main.rs");
            assert!(!uses || own, "{} uses {library}: only {room} may", relative.display());
        }
    }
}

fn manifest(package: &str) -> toml::Table {
    let path = root().join(package).join("Cargo.toml");
    fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

#[test]
fn packages_depend_one_way() {
    let all: BTreeSet<&str> = PACKAGES.iter().map(|(name, _)| *name).collect();
    let allowed: BTreeMap<&str, &[&str]> = PACKAGES.into_iter().collect();
    for (package, allowed) in allowed {
        let manifest = manifest(package);
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for name in dependencies.keys().filter(|name| all.contains(name.as_str())) {
                // The node's own tests may stand on the simulated world.
                let for_tests = table == "dev-dependencies" && name == "simulations";
                assert!(allowed.contains(&name.as_str()) || for_tests, "{package} must not depend on {name}");
            }
        }
    }
}

#[test]
fn protocol_is_built_from_pure_crates_only() {
    let listing = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "protocol", "-e", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    for crate_name in text.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(
            PROTOCOL_TREE.contains(&crate_name),
            "protocol now builds {crate_name}: if it is pure, add it to PROTOCOL_TREE"
        );
    }
}

#[test]
fn protocol_names_nothing_that_touches_the_world() {
    let src = root().join("protocol/src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        for word in
            ["std::fs", "std::net", "std::process", "std::env", "tokio", "thread::", "rand::", "HashMap", "HashSet"]
        {
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                assert!(!line.contains(word), "{}: {word} in {line:?}", file.display());
            }
        }
    }
}

#[test]
fn randomness_comes_through_the_seam_alone() {
    let mut files = Vec::new();
    for package in ["node/src", "mesh/src"] {
        sources(&root().join(package), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let the_seam = file.ends_with("world/entropy.rs");
        for word in ["getrandom", "rand::", "fastrand", "thread_rng", "OsRng", "RandomState"] {
            assert!(the_seam || !text.contains(word), "{} draws its own randomness: {word}", file.display());
        }
    }
}
