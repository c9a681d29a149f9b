//! helm: charts pushed, resolved by a version range, pulled and refused.

use tests::{
    clients::helm::{Helm, PROGRAM},
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::plain_and_tls;

plain_and_tls!([PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let helm = Helm::at(registry);
    helm.login(ADMIN, "wrong").expect_failure();
    helm.login(ADMIN, PASSWORD).expect_success();

    let old = helm.package("harbour", "1.2.0");
    let new = helm.package("harbour", "1.3.0+build.7");
    assert!(helm.push(&old, "shop/charts").starts_with("sha256:"));
    // A plus sign may not stand in a tag; helm writes an underscore and reads it back.
    helm.push(&new, "shop/charts");

    helm.pull("shop/charts/harbour", "1.2.0", "pulled").expect_success();
    let pulled = std::fs::read(helm.file("pulled/harbour-1.2.0.tgz")).expect("the chart was pulled");
    assert_eq!(pulled, std::fs::read(old).expect("the chart is there"));
    let shown = helm.show("shop/charts/harbour", "^1.2");
    assert!(shown.contains("version: 1.3.0+build.7"), "{shown}");

    helm.pull("shop/charts/harbour", "9.9.9", "pulled").expect_failure();
    Helm::at(registry).pull("shop/charts/harbour", "1.2.0", "stranger").expect_failure();
}
