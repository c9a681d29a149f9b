//! containerd by ctr: push, pull and unpack in another containerd, an index whole.

use tests::{
    clients::crane::{self, Crane},
    containerd::{Containerd, PROGRAMS},
    image::{TAG, images},
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, admin, plain_and_tls};

plain_and_tls!([PROGRAMS[0], PROGRAMS[1], crane::PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let images = images();
    let name = format!("{PRIVATE}:1.0");
    let user = admin();
    let pushing = Containerd::start();
    let ctr = pushing.ctr(registry);
    ctr.import(&images.layout_archive, TAG, &name);
    ctr.push(&name, None).expect_failure();
    ctr.push(&name, Some("admin:wrong")).expect_failure();
    ctr.push(&name, Some(&user)).expect_success();

    let pulling = Containerd::start();
    let other = pulling.ctr(registry);
    other.pull(&name, None).expect_failure();
    other.pull(&name, Some(&user)).expect_success();
    assert_eq!(other.digest(&name), images.single.digest);
    assert!(other.is_complete(&name));

    let crane = Crane::at(registry);
    crane.login(ADMIN, PASSWORD);
    assert_eq!(crane.digest(&name), images.single.digest);
    assert_eq!(crane.tags(PRIVATE), ["1.0"]);
    let multi = format!("{PRIVATE}:multi");
    crane.push(&images.multi.layout, &multi);
    other.fetch_all(&multi, Some(&user)).expect_success();
    assert_eq!(other.digest(&multi), images.multi.digest);

    crane.push(&images.single.layout, "library/boat:1");
    other.pull("library/boat:1", None).expect_success();
    assert_eq!(other.digest("library/boat:1"), images.single.digest);
}
