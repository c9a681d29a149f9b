//! cosign with a key, offline: signs and verifies in both shapes, and tells signed from unsigned.

use tests::{
    clients::{
        cosign::{Attachment, Cosign, PROGRAM},
        crane::{self, Crane},
    },
    image::images,
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, plain_and_tls};

plain_and_tls!([PROGRAM, crane::PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let images = images();
    let crane = Crane::at(registry);
    crane.login(ADMIN, PASSWORD);
    crane.push(&images.single.layout, &format!("{PRIVATE}:1.0"));
    crane.push(&images.multi.layout, &format!("{PRIVATE}:multi"));

    let cosign = Cosign::at(registry);
    cosign.login(ADMIN, PASSWORD);
    let single = format!("{PRIVATE}@{}", images.single.digest);
    let multi = format!("{PRIVATE}@{}", images.multi.digest);

    cosign.verify(&single, Attachment::Referrer).expect_failure();
    cosign.sign(&single, Attachment::Referrer);
    cosign.verify(&single, Attachment::Referrer).expect_success();
    cosign.verify(&format!("{PRIVATE}:1.0"), Attachment::Referrer).expect_success();

    cosign.verify(&multi, Attachment::Tag).expect_failure();
    cosign.sign(&multi, Attachment::Tag);
    cosign.verify(&multi, Attachment::Tag).expect_success();
    let signature = format!("{}.sig", images.multi.digest.replace(':', "-"));
    assert!(crane.tags(PRIVATE).contains(&signature));

    let tree = cosign.tree(&multi);
    assert!(tree.contains(&signature), "{tree}");
    let tree = cosign.tree(&single);
    assert!(tree.contains("artifacts via OCI referrer"), "{tree}");

    // Another key did not sign this.
    let other = Cosign::at(registry);
    other.login(ADMIN, PASSWORD);
    other.verify(&single, Attachment::Referrer).expect_failure();
    other.verify(&multi, Attachment::Tag).expect_failure();
}
