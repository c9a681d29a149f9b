//! Good and bad requests made up from Harbor's description, and every answer held against it:
//! `tests/harbor/python/conformance.py`.

use tests::{
    node::{ADMIN, PASSWORD, TestNode},
    process,
};

use super::{judge, pushed, python, run_python, sources};

#[test]
fn harbor_client_made_of_the_description_gets_answers_as_described() {
    let Some(python) = python() else { return };
    let node = TestNode::plain();
    let environment = pushed(&node);
    let finished = run_python(&python, "conformance.py", &environment);
    judge(&finished, &node, 80);
    // Whatever was asked of it, the node still knows its administrator.
    node.web().signed_in(ADMIN, PASSWORD).get("/v2/").expect(200);
}

#[test]
fn harbor_client_description_is_the_part_that_the_list_names() {
    let Some(python) = python() else { return };
    let part = sources().join("harbor-api-part-1.yaml").display().to_string();
    let restrict = sources().join("python/restrict.py").display().to_string();
    // Restricted once more it does not change: nothing was added by hand, nothing on the list is missing.
    let again = process::run(&python, &["-B".to_owned(), restrict, part.clone()], &[], None).expect_success().stdout();
    let kept = std::fs::read_to_string(part).expect("the description is there");
    assert!(again == kept, "tests/harbor/harbor-api-part-1.yaml is not what restrict.py makes of it");
}
