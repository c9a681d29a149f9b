//! Harbor's own Go client goes through every route of the API as its users do: `tests/harbor/goclient`.

use tests::{node::TestNode, process, tools};

use super::{judge, pushed};

const PROGRAM: &str = "harbor-goclient";

#[test]
fn harbor_client_in_go_finds_every_route_as_it_is_used_to() {
    if !tools::present(&[PROGRAM]) {
        return;
    }
    let node = TestNode::plain();
    let environment = pushed(&node);
    let finished = process::run(&tools::require(PROGRAM), &[], &environment, None);
    judge(&finished, &node, 90);
}
