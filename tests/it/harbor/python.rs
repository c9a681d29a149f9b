//! A Python client reads every answer into its own models, which refuse what is not as Harbor says it:
//! `tests/harbor/python/models.py`.

use tests::node::TestNode;

use super::{judge, pushed, python, run_python};

#[test]
fn harbor_client_in_python_reads_every_answer_into_its_models() {
    let Some(python) = python() else { return };
    let node = TestNode::plain();
    let environment = pushed(&node);
    judge(&run_python(&python, "models.py", &environment), &node, 60);
}
