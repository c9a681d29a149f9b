//! docker: one engine pushes, another pulls the same bytes and runs them; mounts across repositories; an index.

use tests::{
    clients::crane::{self, Crane},
    dockerd::{Dockerd, PROGRAMS},
    image::{LOADED_NAME, images},
    node::{ADMIN, PASSWORD, Registry, TestNode},
};

use super::{PRIVATE, plain_and_tls};

plain_and_tls!([PROGRAMS[0], PROGRAMS[1], PROGRAMS[2], crane::PROGRAM], story);

fn story(_node: &TestNode, registry: &Registry) {
    let images = images();
    let name = format!("{PRIVATE}:1.0");
    let pushing = Dockerd::start(registry, None);
    let docker = pushing.docker(registry);
    docker.load(&images.archive, LOADED_NAME, &name);
    docker.push(&name).expect_failure();
    docker.login(ADMIN, "wrong").expect_failure();
    docker.login(ADMIN, PASSWORD).expect_success();
    docker.push(&name).expect_success();

    // The engine asks for a mount from where it pushed before.
    docker.tag(&name, "other/app:1.0");
    let said = docker.push("other/app:1.0").expect_success().stdout();
    assert!(said.contains(&format!("Mounted from {PRIVATE}")), "{said}");

    let pulling = Dockerd::start(registry, None);
    let other = pulling.docker(registry);
    other.pull(&name).expect_failure();
    other.login(ADMIN, PASSWORD).expect_success();
    other.pull(&name).expect_success();
    assert_eq!(other.digests(&name), docker.digests(&name));
    assert_eq!(other.id(&name), docker.id(&name));
    assert_eq!(other.layers(&name), docker.layers(&name));
    assert!(other.save(&name).exists());
    if images.is_runnable() {
        assert_eq!(other.run(&name), "ashore");
    }
    other.pull("other/app:1.0").expect_success();
    assert_eq!(other.digests("other/app:1.0"), docker.digests(&name));

    // Out of an index the engine takes its own platform and remembers the index.
    let crane = Crane::at(registry);
    crane.login(ADMIN, PASSWORD);
    let multi = format!("{PRIVATE}:multi");
    crane.push(&images.multi.layout, &multi);
    other.pull(&multi).expect_success();
    assert!(other.digests(&multi).contains(&images.multi.digest));
    other.pull(&format!("{PRIVATE}:none")).expect_failure();

    // Nobody has to sign in to pull from `library`, and its name may be left out.
    crane.push(&images.single.layout, "library/boat:1");
    let stranger = Dockerd::start(registry, None);
    let docker = stranger.docker(registry);
    docker.pull("library/boat:1").expect_success();
    docker.pull("boat:1").expect_success();
    assert_eq!(docker.digests("boat:1"), std::slice::from_ref(&images.single.digest));
}
