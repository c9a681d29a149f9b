//! Robots: what they may, how long, and that nobody gives them more than they have.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Edge;
use super::asking::{PILOT, basic_of, number};
use crate::config::Config;
use crate::world::stepped::Stepped;

/// Permissions in a project, `resource:action` each.
fn within(project: &str, held: &[&str]) -> Value {
    let access = held.iter().map(|one| {
        let (resource, action) = one.split_once(':').unwrap();
        json!({ "resource": resource, "action": action })
    });
    json!({ "kind": "project", "namespace": project, "access": access.collect::<Vec<_>>() })
}

fn robot(level: &str, name: &str, days: i64, permissions: &[Value]) -> Value {
    json!({ "name": name, "level": level, "duration": days, "permissions": permissions })
}

/// Makes one; its number, its name, what it shows.
async fn made(edge: &Edge, wanted: Value) -> (String, String, String) {
    let answer = edge.order("POST", "/robots", wanted).await;
    let id = number(&answer);
    let (name, secret) = (answer.json()["name"].as_str().unwrap().to_owned(), answer.json()["secret"].clone());
    let shows = basic_of(&name, secret.as_str().unwrap());
    (format!("/robots/{id}"), name, shows)
}

const PULL: [&str; 2] = ["repository:pull", "tag:list"];

#[tokio::test]
async fn a_robot_ends_to_the_minute_and_lives_again_when_it_is_given_more_days() {
    let clock = Stepped::default();
    let edge = Edge::at(Config::default(), Arc::new(clock.clone())).await;
    edge.push_blob("shop/app", b"x").await;
    let (here, name, shows) = made(&edge, robot("project", "ci", 1, &[within("shop", &PULL)])).await;
    assert_eq!(edge.looks(&shows, "shop/app").await, 200);
    clock.step(Duration::from_secs(24 * 60 * 60 - 60));
    let token = edge.token(&shows, "repository:shop/app:pull").await;
    let both = async || (edge.looks(&shows, "shop/app").await, edge.looks(&token, "shop/app").await);
    assert_eq!(both().await, (200, 200));
    clock.step(Duration::from_secs(60));
    assert_eq!(both().await, (401, 401), "the token would have been good for minutes yet");
    let why = edge.order("GET", "/mesh/why?action=pull&image=shop/app&principal=robot%24shop%2Bci", Value::Null).await;
    assert!(why.json()["allowed"] == false && why.json()["steps"].to_string().contains("has expired"), "{why:?}");
    let longer = json!({ "name": name, "level": "project", "duration": 2, "permissions": [within("shop", &PULL)] });
    assert_eq!(edge.order("PUT", &here, longer).await.status, 200);
    assert_eq!(both().await, (200, 401), "what ended stays ended");
    for days in [0, -2, i64::from(i32::MAX)] {
        let bad = robot("project", "other", days, &[within("shop", &PULL)]);
        assert_eq!(edge.order("POST", "/robots", bad).await.status, 400, "{days} days");
    }
}

#[tokio::test]
async fn a_robot_is_shut_out_at_once_and_a_new_secret_ends_the_old_one() {
    let edge = Edge::start().await;
    edge.push_blob("shop/app", b"x").await;
    let wanted = robot("project", "ci", -1, &[within("shop", &PULL)]);
    let (here, name, shows) = made(&edge, wanted.clone()).await;
    let token = edge.token(&shows, "repository:shop/app:pull").await;
    let both =
        async |shows: &str, token: &str| (edge.looks(shows, "shop/app").await, edge.looks(token, "shop/app").await);
    let shut = async |out: bool| {
        let mut change = wanted.clone();
        (change["name"], change["disable"]) = (json!(name), json!(out));
        edge.order("PUT", &here, change).await.status
    };
    assert_eq!(shut(true).await, 200);
    assert_eq!(both(&shows, &token).await, (401, 401));
    assert_eq!(edge.send("GET", "/service/token", &shows, b"").await.status, 401);
    assert_eq!(shut(false).await, 200);
    assert_eq!(both(&shows, &token).await, (200, 401));
    let token = edge.token(&shows, "repository:shop/app:pull").await;
    for weak in ["short1A", "alllowercase0123456789012345678901"] {
        assert_eq!(edge.order("PATCH", &here, json!({ "secret": weak })).await.status, 400, "{weak}");
    }
    assert_eq!(both(&shows, &token).await, (200, 200));
    let chosen = "Chosen-Secret-0f-a-r0bot-which-is-long";
    let answer = edge.order("PATCH", &here, json!({ "secret": chosen })).await;
    assert_eq!((answer.status, &answer.json()["secret"]), (200, &json!("")), "who chose it knows it");
    assert_eq!(both(&shows, &token).await, (401, 401));
    assert_eq!(edge.looks(&basic_of(&name, chosen), "shop/app").await, 200);
    let fresh = edge.order("PATCH", &here, json!({})).await.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(edge.looks(&basic_of(&name, chosen), "shop/app").await, 401);
    assert_eq!(edge.looks(&basic_of(&name, &fresh), "shop/app").await, 200);
    assert!(!String::from_utf8_lossy(&edge.order("GET", &here, Value::Null).await.body).contains(&fresh));
}

#[tokio::test]
async fn a_robot_of_the_system_does_in_each_project_what_it_was_given_there() {
    let edge = Edge::start().await;
    for name in ["shop/app", "bank/app", "port/app"] {
        edge.push_blob(name, b"x").await;
    }
    let gifts = [within("shop", &PULL), within("bank", &["repository:pull", "repository:push"])];
    let (_, name, shows) = made(&edge, robot("system", "ferry", 30, &gifts)).await;
    assert_eq!(name, "robot$ferry");
    let upload = async |name: &str| edge.send("POST", &format!("/v2/{name}/blobs/uploads/"), &shows, b"").await.status;
    assert_eq!((edge.looks(&shows, "shop/app").await, upload("bank/app").await), (200, 202));
    assert_ne!(upload("shop/app").await, 202);
    assert_ne!(edge.looks(&shows, "port/app").await, 200);
    assert_ne!(upload("port/app").await, 202);
    let token = edge.token(&shows, "repository:shop/app:pull,push&scope=repository:port/app:pull").await;
    assert_eq!((edge.looks(&token, "shop/app").await, edge.looks(&token, "port/app").await), (200, 401));
    let everywhere = robot("system", "all", -1, &[within("*", &PULL)]);
    let (_, _, all) = made(&edge, everywhere).await;
    edge.open_project("later").await;
    for name in ["shop/app", "port/app"] {
        assert_eq!(edge.looks(&all, name).await, 200, "{name}");
    }
    for (bad, status) in [
        (robot("system", "x", 1, &[within("none", &PULL)]), 404),
        (robot("system", "x", 1, &[within("shop", &["repository:fly"])]), 400),
        (robot("project", "x", 1, &gifts), 400),
        (robot("system", "x", 1, &[]), 400),
        (robot("galaxy", "x", 1, &gifts), 400),
        (robot("system", "Ferry", 1, &gifts), 400),
        (robot("system", "ferry", 1, &gifts), 409),
    ] {
        assert_eq!(edge.order("POST", "/robots", bad.clone()).await.status, status, "{bad}");
    }
}

#[tokio::test]
async fn nobody_gives_a_robot_what_they_do_not_have() {
    let edge = Edge::start().await;
    for name in ["shop/app", "bank/app"] {
        edge.push_blob(name, b"x").await;
    }
    edge.enrol("ann").await;
    edge.appoint("shop", json!({ "username": "ann" }), 1).await;
    edge.appoint("bank", json!({ "username": "ann" }), 3).await;
    let ann = basic_of("ann", PILOT);
    let (_, _, maker) = made(
        &edge,
        robot("project", "maker", -1, &[within("shop", &["robot:create", "robot:read", "repository:pull"])]),
    )
    .await;
    let ask = async |who: &str, level: &str, name: &str, gifts: &[Value]| {
        edge.ask(who, "POST", "/robots", robot(level, name, 1, gifts)).await.status
    };
    assert_eq!(ask(&ann, "project", "hers", &[within("shop", &PULL)]).await, 201);
    assert_eq!(ask(&ann, "project", "x", &[within("bank", &PULL)]).await, 403, "a guest makes none");
    assert_eq!(ask(&ann, "system", "x", &[within("shop", &PULL)]).await, 403);
    let everything =
        json!({ "kind": "system", "namespace": "/", "access": [{ "resource": "user", "action": "create" }] });
    assert_ne!(ask(&ann, "project", "x", &[everything]).await, 201);
    // A robot's robot: no more than it, also later.
    assert_eq!(ask(&maker, "project", "child", &[within("shop", &["repository:pull"])]).await, 201);
    assert_eq!(ask(&maker, "project", "x", &[within("shop", &["repository:push"])]).await, 403);
    assert_eq!(ask(&maker, "project", "x", &[within("shop", &["repository:pull", "tag:list"])]).await, 403);
    assert_ne!(ask(&maker, "project", "x", &[within("bank", &["repository:pull"])]).await, 201);
    // Nor by changing one that is there, nor by taking its secret.
    let robots = edge.ask(&ann, "GET", "/projects/shop", Value::Null).await.json()["project_id"].clone();
    let list =
        edge.ask(&ann, "GET", &format!("/robots?q=Level%3Dproject,ProjectID%3D{robots}"), Value::Null).await.json();
    let child = list.as_array().unwrap().iter().find(|one| one["name"] == "robot$shop+child").unwrap().clone();
    let here = format!("/robots/{}", child["id"]);
    let more = json!({ "name": "robot$shop+child", "level": "project", "duration": 1,
        "permissions": [within("shop", &["repository:pull", "repository:push"])] });
    for who in [&maker, &basic_of("robot$shop+child", "guess")] {
        assert_ne!(edge.ask(who, "PUT", &here, more.clone()).await.status, 200);
        assert_ne!(edge.ask(who, "PATCH", &here, json!({})).await.status, 200);
    }
    assert_eq!(edge.ask(&ann, "PUT", &here, more).await.status, 200, "she may push there herself");
}
