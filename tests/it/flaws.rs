//! Flaws others shipped, each kept out by a test. `docs/security/flaws.md` maps every published id to one of these, to
//! a test beside the code, or to the reason it can't apply yet; the test here keeps that table honest.

mod authority;
mod content;
mod load;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::node::{PASSWORD, TestNode};

/// A raw request on a connection of its own: what HTTP libraries would not send. Returns all that came back.
fn raw(node: &TestNode, request: &[u8]) -> String {
    let mut stream = connect(node);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A node that closes with unread input may reset: what came before counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(node: &TestNode) -> TcpStream {
    let stream = TcpStream::connect(node.registry().host.as_str()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// `admin:PASSWORD` as Basic wants it.
fn encoded() -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(format!("admin:{PASSWORD}"))
}

fn all_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all_files(&entry.path(), into);
        } else if kind.is_file() {
            into.push(entry.path());
        }
    }
}

/// The published ids of the classes this issue answers for.
const IDS: &str = "CVE-2019-16097 CVE-2019-16919 CVE-2019-19023 CVE-2022-31666 CVE-2022-31667 CVE-2022-31668 CVE-2022-31669 \
CVE-2022-31670 CVE-2022-31671 CVE-2024-22278 CVE-2020-29662 CVE-2019-19030 CVE-2020-13794 CVE-2022-46463 CVE-2026-31801 \
CVE-2025-23208 CVE-2024-39897 CVE-2026-35172 CVE-2026-41888 CVE-2026-32589 pulp_container-1286 openshift-origin-9819 \
artifact-keeper-3261 artifact-keeper-3269 artifact-keeper-3316 GHSA-9rqp-mgmw-5879 GHSA-4j4m-fchf-gr9r CVE-2026-33343 \
CVE-2026-73499 CVE-2024-41110 CVE-2026-34040 CVE-2026-26205 CVE-2026-33186 CVE-2026-58440 CVE-2025-55190 \
CVE-2025-24976 CVE-2026-33322 CVE-2026-28699 CVE-2025-68941 CVE-2025-68944 CVE-2026-56654 CVE-2025-62506 CVE-2026-55987 \
GHSA-7qjx-gp9h-65qj CVE-2022-31034 CVE-2023-20902 CVE-2025-59350 CVE-2026-32595 CVE-2026-41263 CVE-2026-33419 \
CVE-2017-14623 CVE-2024-9683 RUSTSEC-2026-0199 CVE-2026-4404 CVE-2023-27584 CVE-2024-5891 \
CVE-2021-41190 GHSA-qq97-vm5h-rrhg GHSA-5j5w-g665-5m35 CVE-2024-37032 CVE-2026-7020 CVE-2024-3727 artifact-keeper-3116 \
nora-581 nora-587 GHSA-qxv7-p3mq-88fv GHSA-qv35-3gw6-8q4j CVE-2021-21272 CVE-2026-50162 CVE-2026-50163 CVE-2026-40090 \
CVE-2021-3762 RUSTSEC-2025-0111 RUSTSEC-2026-0067 RUSTSEC-2026-0068 RUSTSEC-2025-0168 CVE-2026-53488 \
CVE-2017-11468 CVE-2023-2253 RUSTSEC-2022-0055 CVE-2023-25153 CVE-2026-54448 CVE-2023-30551 CVE-2026-48702 CVE-2023-44487 \
RUSTSEC-2023-0034 RUSTSEC-2024-0003 RUSTSEC-2024-0332 RUSTSEC-2026-0258 CVE-2026-73500 CVE-2026-26999 CVE-2026-27571 \
CVE-2024-40634 CVE-2025-59537 RUSTSEC-2026-0009 CVE-2022-24713 RUSTSEC-2024-0437 CVE-2026-49835 \
CVE-2020-13788 CVE-2026-2376 CVE-2026-58442 CVE-2026-57894 CVE-2026-22874 CVE-2022-29153 CVE-2025-59346 CVE-2026-54637 \
CVE-2026-10517 CVE-2026-33540 CVE-2026-48978 GHSA-78h6-3wp8-2542 CVE-2026-50151 GHSA-vh4v-2xq2-g5cg CVE-2026-49349 \
CVE-2019-10214 CVE-2020-15157 CVE-2024-35192 artifact-keeper-3606 CVE-2026-24117 CVE-2026-49478 CVE-2026-58511 \
CVE-2026-49254 CVE-2026-22039 CVE-2026-41323";

#[test]
fn every_published_flaw_has_its_test_or_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/security/flaws.md")).unwrap();
    let mut sources = Vec::new();
    for dir in ["protocol/src", "node/src", "tests/it"] {
        all_files(&root.join(dir), &mut sources);
    }
    let code: String = sources.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
    let mut listed = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [ids, _what, test, reason] = cells[..] else { panic!("a row has four cells: {row}") };
        listed.extend(ids.split(", ").map(str::to_owned));
        assert!(!test.is_empty() || reason.len() > 20, "neither test nor reason: {row}");
        for name in test.split(", ").filter(|name| !name.is_empty()) {
            let function = name.trim_matches('`').rsplit("::").next().unwrap();
            assert!(code.contains(&format!("fn {function}(")), "no test is called {name}");
        }
    }
    let wanted: BTreeSet<String> = IDS.split_whitespace().map(str::to_owned).collect();
    let missing: Vec<_> = wanted.difference(&listed).collect();
    assert!(missing.is_empty(), "flaws without a row: {missing:?}");
}
