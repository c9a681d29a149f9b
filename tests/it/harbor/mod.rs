//! The Harbor-compatible API, witnessed by clients that others wrote: Harbor's own Go client, a Python client with its
//! models, and a conformance run against Harbor's description. Each test has a node of its own; this module pushes
//! what the programs find there.

mod goclient;
mod python;
mod schema;

use std::path::PathBuf;

use serde_json::json;
use tests::{
    image::digest_of,
    node::{ADMIN, PASSWORD, TestNode},
    process::{self, Finished},
    push, tools,
};

/// A private project with one repository whose name has a slash in it.
const PROJECT: &str = "harbourside";
const REPOSITORY: &str = "till/app";

/// Pushes an image under two tags, an index over it and an untagged sibling, and an artifact about the image; gives
/// what the programs have to know, as their environment.
fn pushed(node: &TestNode) -> Vec<(String, String)> {
    let admin = node.admin();
    let repository = format!("{PROJECT}/{REPOSITORY}");
    push::project(&admin, PROJECT, false);
    let image = |seed: &str| {
        let layer = format!("layer of {seed}").repeat(50).into_bytes();
        let history = json!([{"created": "2026-01-01T00:00:00Z", "created_by": format!("COPY {seed} /")}]);
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "history": history,
            "config": {"Cmd": ["/bin/till"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(&layer)]},
        });
        let config = config.to_string().into_bytes();
        push::blob(&admin, &repository, &config);
        push::blob(&admin, &repository, &layer);
        push::image_manifest(&config, &[&layer]).to_string().into_bytes()
    };
    let till = image("till");
    for tag in ["1.0", "latest"] {
        push::manifest(&admin, &repository, tag, &till).expect(201);
    }
    let sibling = image("sibling");
    push::manifest(&admin, &repository, &digest_of(&sibling), &sibling).expect(201);
    let index = push::index(&[&till, &sibling]).to_string().into_bytes();
    push::manifest(&admin, &repository, "both", &index).expect(201);
    let report = b"nothing was found".to_vec();
    push::blob(&admin, &repository, &report);
    push::blob(&admin, &repository, b"{}");
    let mut about = push::image_manifest(b"{}", &[&report]);
    about["artifactType"] = json!("application/vnd.example.report");
    about["config"] = push::descriptor("application/vnd.oci.empty.v1+json", b"{}");
    about["subject"] = push::descriptor(push::MANIFEST, &till);
    let about = about.to_string().into_bytes();
    push::manifest(&admin, &repository, &digest_of(&about), &about).expect(201);
    [
        ("HARBOR_URL", node.registry().address()),
        ("HARBOR_USER", ADMIN.to_owned()),
        ("HARBOR_PASSWORD", PASSWORD.to_owned()),
        ("HARBOR_PROJECT", PROJECT.to_owned()),
        ("HARBOR_REPOSITORY", REPOSITORY.to_owned()),
        ("HARBOR_TAGS", "1.0,latest".to_owned()),
        ("HARBOR_IMAGE", digest_of(&till)),
        ("HARBOR_INDEX_TAG", "both".to_owned()),
        ("HARBOR_INDEX", digest_of(&index)),
        ("HARBOR_ACCESSORY", digest_of(&about)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Where the programs' sources are.
fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("harbor")
}

/// The Python that `tests/setup` gave the packages to; the calling story is skipped when it is not there.
fn python() -> Option<PathBuf> {
    let python = tools::directory().join("python/bin/python3");
    if python.exists() {
        return Some(python);
    }
    tools::skip("the Python packages are missing (tests/setup installs them)");
    None
}

/// Fails with what the program said was wrong, unless it passed with at least `least` steps.
#[track_caller]
fn judge(finished: &Finished, node: &TestNode, least: u32) {
    let said = finished.everything();
    let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL ")).collect();
    let closing = said.lines().rev().find(|line| line.contains(" passed, "));
    let passed = closing.and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0);
    let log = node.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).take(20).collect();
    let errors = errors.join("\n");
    assert!(wrong.is_empty(), "{closing:?}\n{}\nerrors in the node's log:\n{errors}", wrong.join("\n"));
    assert!(finished.succeeded(), "the program failed:\n{said}\nerrors in the node's log:\n{errors}");
    // A program that ended early, or lost its steps, has shown nothing.
    assert!(passed >= least, "only {passed} of {least} steps:\n{said}");
}

/// Runs one of the Python programs.
fn run_python(python: &std::path::Path, program: &str, environment: &[(String, String)]) -> Finished {
    let program = sources().join("python").join(program).display().to_string();
    let folder = tempfile::tempdir().expect("a folder for what the program leaves behind");
    // -B: no compiled files among the sources.
    process::run(python, &["-B".to_owned(), program], environment, Some(folder.path()))
}
