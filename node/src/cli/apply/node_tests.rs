//! What is read of a node, and what a step asks of it.

use super::super::file::{Written, read};
use super::super::plan::{is_empty, plan};
use super::*;
use crate::cli::connection::tests::canned;

const TEAM: &str = "projects: [{name: team, public: true, quota: 1KiB, members: [{user: eve, role: guest}]}]";
const PROJECT: &str = r#"{"project_id":4,"name":"team","metadata":{"public":"true"}}"#;
const QUOTA: &str = r#"[{"id":9,"hard":{"storage":1024},"used":{"storage":0}}]"#;
const EVE: &str = r#"[{"id":5,"entity_name":"eve","entity_type":"u","role_name":"guest"}]"#;

#[test]
fn a_node_that_is_as_the_file_says_is_left_alone() {
    let desired = read(TEAM, Written::Yaml).unwrap();
    let projects = format!("[{PROJECT}]");
    let (node, client) = canned(&[(200, &projects), (200, PROJECT), (200, QUOTA), (200, EVE)]);
    let steps = plan(&current(&node, &desired).unwrap(), &desired, true);
    assert!(is_empty(&steps), "{steps:?}");
    assert!(client.asked.lock().unwrap().iter().all(|asked| asked.starts_with("GET ")));
}

#[test]
fn a_project_and_its_members_are_made_on_an_empty_node() {
    let desired = read(TEAM, Written::Yaml).unwrap();
    let roles = r#"[{"id":3,"name":"guest"}]"#;
    let (node, client) = canned(&[(200, "[]"), (201, ""), (200, "[]"), (200, roles), (201, "")]);
    for step in plan(&current(&node, &desired).unwrap(), &desired, false) {
        carry_out(&node, &step, &mut Vec::new()).unwrap();
    }
    let asked = client.asked.lock().unwrap().clone();
    let made = r#"POST /api/v2.0/projects {"metadata":{"public":"true"},"project_name":"team","storage_limit":1024}"#;
    assert_eq!(asked[1], made);
    let member = r#"POST /api/v2.0/projects/team/members {"member_user":{"username":"eve"},"role_id":3}"#;
    assert_eq!(asked[4], member);
}

#[test]
fn a_new_robot_tells_its_secret_once() {
    let desired =
        read("robots: [{name: ci, rights: [{on: '*', permissions: [repository:pull]}]}]", Written::Yaml).unwrap();
    let (node, client) = canned(&[(200, "{}"), (200, "[]"), (201, r#"{"id":1,"name":"robot$ci","secret":"s3cret"}"#)]);
    let steps = plan(&current(&node, &desired).unwrap(), &desired, false);
    let mut shown = Vec::new();
    carry_out(&node, &steps[0], &mut shown).unwrap();
    assert_eq!((shown.len(), shown[0].secret.reveal()), (1, "s3cret"));
    assert!(client.asked.lock().unwrap()[2].contains(r#""duration":-1,"level":"system","name":"ci""#));
}

#[test]
fn robots_are_known_by_their_own_names() {
    assert_eq!(short("robot$team+ci", "robot$"), "ci");
    assert_eq!(short("bot_ci", "bot_"), "ci");
    assert_eq!(parts("group:ops app/**"), ("ops", true, "app/**"));
    assert_eq!(parts("user:eve"), ("eve", false, ""));
}

#[test]
fn what_can_not_go_is_never_pruned() {
    let desired = read("users: []\nroles: []", Written::Yaml).unwrap();
    let roles = r#"[{"id":1,"name":"projectAdmin","built_in":true},{"id":9,"name":"own","built_in":false}]"#;
    let users = r#"[{"user_id":1,"username":"admin"},{"user_id":3,"username":"eve"}]"#;
    let (node, _) = canned(&[(200, roles), (200, users)]);
    let steps = plan(&current(&node, &desired).unwrap(), &desired, true);
    let names: Vec<_> = steps.iter().map(|step| step.key.name.as_str()).collect();
    assert_eq!(names, ["eve", "own"]);
}
