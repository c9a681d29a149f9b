//! The OCI distribution conformance program with every switch on, against a node that requires sign-in.
//!
//! Nothing may fail, be skipped or be switched off. The program's reports stay in `tests/conformance/results`
//! (not committed), or where `PORTOLAN_CONFORMANCE_RESULTS` says.

use std::{fs, io::Write as _, path::PathBuf};

use serde_json::json;
use tests::{
    node::{ADMIN, PASSWORD, TestNode},
    process, tools,
};

const PROGRAM: &str = "conformance";

/// Every switch the program has, by name, so that one it adds or turns off by default is not left out unseen.
const SWITCHES: [&str; 31] = [
    "API_PING",
    "API_PULL",
    "API_PUSH",
    "API_BLOBS_ATOMIC",
    "API_BLOBS_DELETE",
    "API_BLOBS_DIGEST_HEADER",
    "API_BLOBS_MOUNT_ANONYMOUS",
    "API_BLOBS_UPLOAD_CANCEL",
    "API_MANIFESTS_ATOMIC",
    "API_MANIFESTS_DELETE",
    "API_MANIFESTS_DIGEST_HEADER",
    "API_MANIFESTS_TAG_PARAM",
    "API_TAGS_ATOMIC",
    "API_TAGS_DELETE",
    "API_TAGS_LIST",
    "API_REFERRER",
    "DATA_IMAGE",
    "DATA_INDEX",
    "DATA_INDEX_LIST",
    "DATA_SPARSE",
    "DATA_ARTIFACT",
    "DATA_SUBJECT",
    "DATA_SUBJECT_MISSING",
    "DATA_ARTIFACT_LIST",
    "DATA_SUBJECT_LIST",
    "DATA_DATA_FIELD",
    "DATA_NONDISTRIBUTABLE",
    "DATA_CUSTOM_FIELDS",
    "DATA_NO_LAYERS",
    "DATA_EMPTY_BLOB",
    "DATA_SHA512",
];

/// The pinned program makes this many checks with everything on when all pass; fewer would mean a switch is off.
const LEAST_CHECKS: u32 = 1_000;

#[test]
fn oci_conformance_with_everything_on() {
    if !tools::present(&[PROGRAM]) {
        return;
    }
    let node = TestNode::plain();
    let project = json!({ "project_name": "sparse", "metadata": { "public": "false", "sparse": "true" } });
    node.admin().post_json("/api/v2.0/projects", &project).expect(201);
    let results = results_folder();
    let finished = process::run(&tools::require(PROGRAM), &[], &environment(&node, &results), None);
    let report = fs::read_to_string(results.join("junit.xml"))
        .unwrap_or_else(|error| panic!("no report ({error}):\n{}", finished.everything()));
    let counts = Counts::of(&report);
    // Straight to the handle: the numbers are wanted from a passing test too.
    let _ = writeln!(std::io::stderr(), "conformance: {counts:?}, reports in {}", results.display());

    let troubles = troubles(&report);
    assert!(troubles.is_empty(), "{counts:?}\n{}", troubles.join("\n"));
    assert!(counts.failures + counts.errors + counts.skipped + counts.disabled == 0, "{counts:?}");
    assert!(counts.tests >= LEAST_CHECKS, "only {counts:?}");
    assert!(finished.succeeded(), "not Pass over all:\n{}", finished.everything());
}

fn environment(node: &TestNode, results: &std::path::Path) -> Vec<(String, String)> {
    let host = node.registry().host;
    let results = results.display().to_string();
    let fixed = [
        ("OCI_REGISTRY", host.as_str()),
        ("OCI_TLS", "disabled"),
        ("OCI_REPO1", "sparse/conformance/one"),
        ("OCI_REPO2", "sparse/conformance/two"),
        ("OCI_USERNAME", ADMIN),
        ("OCI_PASSWORD", PASSWORD),
        ("OCI_VERSION", "dev"),
        ("OCI_RESULTS_DIR", &results),
    ];
    let switches = SWITCHES.iter().map(|switch| (format!("OCI_{switch}"), "true".to_owned()));
    fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(switches).collect()
}

fn results_folder() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance/results");
    let folder = std::env::var_os("PORTOLAN_CONFORMANCE_RESULTS").map_or_else(default, PathBuf::from);
    fs::create_dir_all(&folder).expect("a folder for the reports");
    // A report of an earlier run must not be taken for this one's.
    let _ = fs::remove_file(folder.join("junit.xml"));
    folder
}

/// The totals that the report states in its head.
#[derive(Debug)]
struct Counts {
    tests: u32,
    errors: u32,
    failures: u32,
    skipped: u32,
    disabled: u32,
}

impl Counts {
    fn of(report: &str) -> Self {
        let start = report.find("<testsuites").expect("the report has a head");
        let head = report[start..].split('>').next().expect("the head ends");
        // A count of zero is left out.
        let count = |name: &str| attribute(head, name).parse().unwrap_or(0);
        Self {
            tests: count("tests"),
            errors: count("errors"),
            failures: count("failures"),
            skipped: count("skipped"),
            disabled: count("disabled"),
        }
    }
}

/// Every check that did not pass, with the program's reason.
fn troubles(report: &str) -> Vec<String> {
    let cases = report.split("<testcase ").skip(1);
    let troubled = cases.filter_map(|case| {
        let head = case.split('>').next().unwrap_or_default();
        let (name, status) = (attribute(head, "name"), attribute(head, "status"));
        let reason = case.split("<system-out>").nth(1).and_then(|rest| rest.split("</system-out>").next());
        let reason = reason.unwrap_or("no reason given").replace("&#xA;", "; ").replace("&#34;", "\"");
        (status != "passed").then(|| format!("{status}: {name}: {reason}"))
    });
    troubled.collect()
}

fn attribute<'a>(head: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}=\"");
    let padded = head.find(&start).map(|at| &head[at + start.len()..]);
    let first = || head.strip_prefix(&start[1..]);
    padded.or_else(first).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}
