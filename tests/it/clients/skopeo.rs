//! skopeo: login, push, exact manifests, list, copy inside the registry, an index whole, delete.

use tests::{
    clients::skopeo::{PROGRAM, Skopeo},
    image::{digest_of, images},
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, plain_and_tls};

plain_and_tls!([PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let images = images();
    let skopeo = Skopeo::at(registry);
    skopeo.login(ADMIN, "wrong").expect_failure();
    skopeo.login(ADMIN, PASSWORD).expect_success();

    let name = format!("{PRIVATE}:1.0");
    skopeo.push(&images.single.oci(), &name, false);
    assert_eq!(skopeo.raw(&name).as_bytes(), images.single.manifest());
    let multi = format!("{PRIVATE}:multi");
    skopeo.push(&images.multi.oci(), &multi, true);
    assert_eq!(skopeo.raw(&multi).as_bytes(), images.multi.manifest());
    assert_eq!(skopeo.tags(PRIVATE), ["1.0", "multi"]);
    Skopeo::at(registry).ask(&["inspect", "--raw"], &name).expect_failure();

    // All of an index comes back, to the last layer of the foreign platform.
    let pulled = skopeo.pull(&multi, "pulled", true);
    for layer in &images.multi.layers {
        let bytes = std::fs::read(pulled.join("blobs").join(layer.replace(':', "/"))).expect("the layer was pulled");
        assert_eq!(&digest_of(&bytes), layer);
    }

    skopeo.copy(&multi, "other/app:multi", true);
    assert_eq!(skopeo.raw("other/app:multi").as_bytes(), images.multi.manifest());

    // Deleting in one repository leaves the other as it was.
    skopeo.delete("other/app:multi");
    skopeo.ask(&["inspect", "--raw"], "other/app:multi").expect_failure();
    assert_eq!(skopeo.tags(PRIVATE), ["1.0", "multi"]);
    let kept = skopeo.pull(&multi, "kept", true);
    assert!(kept.join("index.json").exists());
}
