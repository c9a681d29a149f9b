//! The corpus without libFuzzer: every target gets every file of its folder, and what is left of it when it is cut
//! short, as an ordinary test of the package `tests`. It is there because the fuzz workspace has a build of its own,
//! which not every machine makes.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "src/lib.rs"]
pub mod targets;

use targets::{TARGETS, Target};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn stems(folder: &str) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    files(&here().join(folder)).iter().filter_map(stem).collect()
}

/// Up to 64 places at which `data` ends too early.
fn cuts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..data.len()).step_by(data.len() / 64 + 1).map(|end| &data[..end])
}

fn breaks(target: Target, data: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(data))).is_err()
}

#[test]
fn every_file_of_the_corpus_keeps_the_promises() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let files = files(&here().join("corpus").join(name));
        assert!(files.len() >= 5, "{name} has {} seeds", files.len());
        for file in files {
            let data = fs::read(&file).unwrap();
            if breaks(*target, &data) {
                broken.push(file.display().to_string());
            }
            if let Some(cut) = cuts(&data).find(|cut| breaks(*target, cut)) {
                broken.push(format!("the first {} bytes of {}", cut.len(), file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "what the parsers made of these is printed above: {broken:#?}");
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "a name stands twice");
    assert_eq!(stems("corpus"), names);
    assert_eq!(stems("fuzz_targets"), names);
    let manifest = fs::read_to_string(here().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no binary");
    }
}
