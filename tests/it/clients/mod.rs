//! Each registry client does its whole day's work against a node, over plain HTTP and over TLS.
//!
//! Every module tells the same kind of story: refused while signed out or with a wrong password, then sign in, push,
//! list, pull elsewhere, copy, delete, as far as the client can. Each test has a node of its own.

mod buildah;
mod containerd;
mod cosign;
mod crane;
mod docker;
mod helm;
mod login;
mod oras;
mod podman;
mod skopeo;

use tests::{
    node::{ADMIN, PASSWORD, Registry, TestNode},
    tools,
};

/// A repository in a project that the first push creates, private.
const PRIVATE: &str = "shop/till/app";

/// Tells `story` against a fresh node when all `programs` are there.
fn tell(programs: &[&str], start: fn() -> TestNode, story: fn(&TestNode, &Registry)) {
    if tools::present(programs) {
        let node = start();
        story(&node, &node.registry());
    }
}

/// The administrator as `name:password`.
fn admin() -> String {
    format!("{ADMIN}:{PASSWORD}")
}

/// Declares the two tests of a story: over plain HTTP and over TLS. `tests/run` picks its stage by their names.
macro_rules! plain_and_tls {
    ($programs:expr, $story:path) => {
        #[test]
        fn real_client_over_http() {
            super::tell(&$programs, tests::node::TestNode::plain, $story);
        }

        #[test]
        fn real_client_over_tls() {
            super::tell(&$programs, tests::node::TestNode::tls, $story);
        }
    };
}
use plain_and_tls;
