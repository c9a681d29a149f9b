//! Finds the programs a story needs, and says so when one is missing. Owns no state.
//!
//! A story whose program is missing is skipped by name: one line `SKIPPED: …` on standard error, and the same line
//! appended to the file that `PORTOLAN_SKIPPED` names, which `tests/run` counts. Under `CI=true` a skip is a failure.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The directory with the tools and built images that `tests/setup` keeps between runs.
pub fn directory() -> PathBuf {
    match env::var_os("PORTOLAN_TOOLS") {
        Some(chosen) => PathBuf::from(chosen),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache/portolan/tools"),
    }
}

/// Where `program` is: among the pinned tools, else on the path, else where Debian keeps daemons.
pub fn locate(program: &str) -> Option<PathBuf> {
    let pinned = directory().join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::iter::once(pinned)
        .chain(env::split_paths(&path))
        .chain(daemons)
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
}

/// Where `program` is, for the kit's own needs: panics when it is missing, because no story works without it.
pub fn require(program: &str) -> PathBuf {
    locate(program).unwrap_or_else(|| panic!("`{program}` is missing: run tests/setup"))
}

/// Whether all of `programs` are there; when not, the calling story is reported as skipped and should return.
#[must_use]
pub fn present(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| locate(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skip(&format!("{} missing (tests/setup installs it)", missing.join(", ")));
    false
}

/// Reports the calling story as skipped for `reason`; panics under `CI=true`.
pub fn skip(reason: &str) {
    let story = std::thread::current().name().unwrap_or("a story").to_owned();
    let line = format!("SKIPPED: {story}: {reason}\n");
    assert!(env::var("CI").as_deref() != Ok("true"), "a skip is a failure under CI=true: {line}");
    // Straight to the handle: the test runner swallows what a passing test prints by macro.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = env::var_os("PORTOLAN_SKIPPED") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(list).expect("the list of skips opens");
        file.write_all(line.as_bytes()).expect("the skip is written down");
    }
}

fn is_program(candidate: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(candidate).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
