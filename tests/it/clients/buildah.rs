//! buildah: builds on an image from the registry, pushes, and makes a manifest list.

use tests::{
    clients::{
        buildah::{Buildah, PROGRAM},
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
    crane.push(&images.single.layout, &format!("{PRIVATE}:base"));

    let buildah = Buildah::at(registry);
    buildah.pull(&format!("{PRIVATE}:base")).expect_failure();
    buildah.login(ADMIN, "wrong").expect_failure();
    buildah.login(ADMIN, PASSWORD).expect_success();

    let cargo = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(cargo.path(), "tea and tar\n").expect("the file is written");
    let stow: &[&str] = if images.is_runnable() { &["/bin/busybox", "cp", "/cargo", "/stowed"] } else { &[] };
    buildah.build(&format!("{PRIVATE}:base"), "amd64", cargo.path(), stow, "built-amd64");
    buildah.build("scratch", "arm64", cargo.path(), &[], "built-arm64");
    let built = buildah.push("built-amd64", &format!("{PRIVATE}:built"));
    assert_eq!(crane.digest(&format!("{PRIVATE}:built")), built);

    // What was built holds the base's layers, so they were not sent again but are all there.
    crane.validate(&format!("{PRIVATE}:built"));
    Buildah::at(registry).pull(&format!("{PRIVATE}:built")).expect_failure();

    buildah.manifest_create("list", &["built-amd64", "built-arm64"]);
    let list = format!("{PRIVATE}:list");
    buildah.manifest_push("list", &list);
    assert_ne!(crane.platform_digest(&list, "linux/amd64"), crane.platform_digest(&list, "linux/arm64"));
    crane.validate(&list);
    let other = Buildah::at(registry);
    other.login(ADMIN, PASSWORD).expect_success();
    other.pull(&list).expect_success();
}
