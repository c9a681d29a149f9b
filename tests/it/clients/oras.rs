//! oras: artifacts, and referrers attached, discovered, filtered, copied and deleted.

use tests::{
    clients::{
        crane::{self, Crane},
        oras::{Oras, PROGRAM},
    },
    image::images,
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, plain_and_tls};

const SBOM: &str = "application/vnd.example.sbom";
const REPORT: &str = "application/vnd.example.report";

plain_and_tls!([PROGRAM, crane::PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let images = images();
    let oras = Oras::at(registry);
    oras.login(ADMIN, "wrong").expect_failure();
    oras.login(ADMIN, PASSWORD).expect_success();

    // An artifact of its own.
    oras.write("manual.txt", "pull the lever\n");
    let manual = oras.push("shop/manual:1", "application/vnd.example.manual", "manual.txt");
    let pulled = oras.pull("shop/manual:1", "manual");
    assert_eq!(std::fs::read_to_string(pulled.join("manual.txt")).expect("the file was pulled"), "pull the lever\n");
    assert_eq!(oras.tags("shop/manual"), ["1"]);
    Oras::at(registry).fetch("shop/manual:1").expect_failure();

    // Artifacts about an image.
    let crane = Crane::at(registry);
    crane.login(ADMIN, PASSWORD);
    let name = format!("{PRIVATE}:1.0");
    crane.push(&images.single.layout, &name);
    assert!(oras.discover(&name, None).is_empty());
    oras.write("sbom.txt", "busybox, tzdata, lxml\n");
    oras.write("report.txt", "nothing found\n");
    let sbom = oras.attach(&name, SBOM, "sbom.txt");
    let report = oras.attach(&name, REPORT, "report.txt");
    let mut both = [sbom.clone(), report.clone()];
    both.sort();
    let mut found = oras.discover(&name, None);
    found.sort();
    assert_eq!(found, both);
    assert_eq!(oras.discover(&name, Some(SBOM)), std::slice::from_ref(&sbom));
    assert!(oras.discover(&name, Some("application/vnd.example.other")).is_empty());
    let fetched = oras.pull(&format!("{PRIVATE}@{sbom}"), "sbom");
    assert!(std::fs::read_to_string(fetched.join("sbom.txt")).expect("the file was pulled").starts_with("busybox"));

    // The image goes elsewhere with what is said about it.
    oras.copy_with_referrers(&name, "other/app:1.0");
    let mut copied = oras.discover("other/app:1.0", None);
    copied.sort();
    assert_eq!(copied, both);

    oras.delete(&format!("{PRIVATE}@{report}"));
    assert_eq!(oras.discover(&name, None), [sbom]);
    oras.delete(&format!("shop/manual@{manual}"));
    oras.fetch("shop/manual:1").expect_failure();
}
