//! podman: login, push, pull into another store, list, a manifest list made by podman.

use tests::{
    clients::{
        crane::{self, Crane},
        podman::{PROGRAM, Podman},
    },
    image::{LOADED_NAME, images},
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, plain_and_tls};

plain_and_tls!([PROGRAM, crane::PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let images = images();
    let podman = Podman::at(registry);
    podman.login(ADMIN, "wrong").expect_failure();
    podman.login(ADMIN, PASSWORD).expect_success();

    let image = podman.load(&images.archive, LOADED_NAME);
    let name = format!("{PRIVATE}:1.0");
    let digest = podman.push(&image, &name);

    // Another store, first signed out.
    let other = Podman::at(registry);
    other.pull(&name).expect_failure();
    other.login(ADMIN, PASSWORD).expect_success();
    assert_eq!(other.pull(&name).expect_success().stdout().trim(), image);
    assert_eq!(other.digest(&name), digest);

    // A manifest list of two platforms, made by podman out of what is at the registry.
    let crane = Crane::at(registry);
    crane.login(ADMIN, PASSWORD);
    crane.push(&images.multi.layout, &format!("{PRIVATE}:both"));
    let arm64 = crane.platform_digest(&format!("{PRIVATE}:both"), "linux/arm64");
    podman.manifest_create("list", &[&name, &format!("{PRIVATE}@{arm64}")]);
    let list = format!("{PRIVATE}:list");
    podman.manifest_push("list", &list);
    assert_eq!(crane.platform_digest(&list, "linux/amd64"), digest);
    assert_eq!(crane.platform_digest(&list, "linux/arm64"), arm64);
    other.pull(&list).expect_success();

    assert_eq!(podman.tags(PRIVATE), ["1.0", "both", "list"]);
}
