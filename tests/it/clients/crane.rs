//! crane: push, pull, list, tag, copy by mount, an index with its platforms, delete.

use tests::{
    clients::crane::{Crane, PROGRAM},
    image::images,
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, plain_and_tls};

plain_and_tls!([PROGRAM], story);

fn story(node: &TestNode, registry: &Registry) {
    let images = images();
    let crane = Crane::at(registry);
    let name = format!("{PRIVATE}:1.0");

    // Signed out, and with a wrong password, nothing goes in.
    crane.attempt_push(&images.single.layout, &name).expect_failure();
    crane.login(ADMIN, "wrong");
    crane.attempt_push(&images.single.layout, &name).expect_failure();

    crane.login(ADMIN, PASSWORD);
    assert_eq!(crane.push(&images.single.layout, &name), images.single.digest);
    assert_eq!(crane.digest(&name), images.single.digest);
    crane.validate(&name);

    // Another home without credentials sees nothing of a private project.
    Crane::at(registry).attempt("digest", &name).expect_failure();

    let pulled = crane.pull(&name, "pulled");
    for layer in &images.single.layers {
        let bytes = std::fs::read(pulled.join("blobs").join(layer.replace(':', "/"))).expect("the layer was pulled");
        assert_eq!(bytes, images.single.blob(layer));
    }

    crane.tag(&name, "latest");
    assert_eq!(crane.tags(PRIVATE), ["1.0", "latest"]);

    // An index keeps its bytes, and every platform leads to its own image.
    let multi = format!("{PRIVATE}:multi");
    assert_eq!(crane.push(&images.multi.layout, &multi), images.multi.digest);
    assert_eq!(crane.digest(&multi), images.multi.digest);
    assert_eq!(crane.platform_digest(&multi, "linux/amd64"), images.single.digest);
    assert_ne!(crane.platform_digest(&multi, "linux/arm64"), images.single.digest);
    crane.validate(&multi);

    // Inside the registry the layers are mounted, not sent again.
    let said = crane.copy(&name, "other/app:1.0");
    let mounted = said.lines().filter(|line| line.contains("mounted blob")).count();
    assert!(mounted >= images.single.layers.len(), "{mounted} blobs mounted:\n{said}");
    assert_eq!(crane.digest("other/app:1.0"), images.single.digest);
    crane.validate("other/app:1.0");
    let catalog = crane.catalog();
    assert!(catalog.contains(&PRIVATE.to_owned()) && catalog.contains(&"other/app".to_owned()), "{catalog:?}");

    // Deleting a tag leaves the manifest and its other tags.
    crane.delete(&format!("{PRIVATE}:latest"));
    assert_eq!(crane.tags(PRIVATE), ["1.0", "multi"]);
    assert_eq!(crane.digest(&name), images.single.digest);

    // Deleting the manifest takes every tag of it, in this repository alone.
    crane.delete(&format!("other/app@{}", images.single.digest));
    crane.attempt("digest", "other/app:1.0").expect_failure();
    assert_eq!(crane.digest(&name), images.single.digest);
    crane.validate(&name);

    // `library` is public, and a name of one component is in it.
    crane.push(&images.single.layout, "library/boat:1");
    let stranger = Crane::at(registry);
    assert_eq!(stranger.digest("library/boat:1"), images.single.digest);
    assert_eq!(stranger.digest("boat:1"), images.single.digest);
    stranger.attempt_push(&images.single.layout, "library/boat:2").expect_failure();
    assert!(!node.log().contains(PASSWORD), "the password is in the log");
}
