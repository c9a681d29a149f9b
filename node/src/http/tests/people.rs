//! People, groups and roles: how accounts are made, what ends with them, and why someone may or may not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::asking::{PILOT, basic_of, number, person};
use super::{Edge, basic};
use crate::config::Config;
use crate::world::stepped::Stepped;

const ME: &str = "/users/current";

#[tokio::test]
async fn one_who_is_shut_out_is_out_at_once_in_every_way() {
    let edge = Edge::start().await;
    edge.push_blob("shop/app", b"x").await;
    let ann = edge.enrol("ann").await;
    edge.appoint("shop", json!({ "username": "ann" }), 3).await;
    let (password, session) = (basic_of("ann", PILOT), edge.session("ann", PILOT).await);
    let token = edge.token(&password, "repository:shop/app:pull").await;
    let all = async || {
        let by_session = edge.ask(&session, "GET", ME, Value::Null).await.status;
        let by_password = edge.ask(&password, "GET", ME, Value::Null).await.status;
        let pull = format!("/v2/shop/app/blobs/{}", protocol::Digest::sha256(b"x"));
        (by_session, by_password, edge.send("GET", &pull, &token, b"").await.status)
    };
    assert_eq!(all().await, (200, 200, 200));
    let out = format!("/mesh/users/{ann}/disabled");
    assert_eq!(edge.ask(&password, "PUT", &out, json!({ "disabled": true })).await.status, 403, "not oneself");
    assert_eq!(edge.order("PUT", &out, json!({ "disabled": true })).await.status, 200);
    assert_eq!(all().await, (401, 401, 401));
    assert_eq!(edge.order("PUT", &out, json!({ "disabled": false })).await.status, 200);
    assert_eq!(all().await, (401, 200, 401), "what ended stays ended");
}

#[tokio::test]
async fn there_is_always_an_administrator_left() {
    let edge = Edge::start().await;
    let root = edge.enrol("root").await;
    let power = json!({ "sysadmin_flag": true });
    assert_eq!(edge.order("PUT", &format!("/users/{root}/sysadmin"), power).await.status, 200);
    let second = basic_of("root", PILOT);
    for who in [basic(), second.clone()] {
        for (method, target, body) in [
            ("PUT", "/users/1/sysadmin", json!({ "sysadmin_flag": false })),
            ("PUT", "/mesh/users/1/disabled", json!({ "disabled": true })),
            ("DELETE", "/users/1", Value::Null),
        ] {
            assert_eq!(edge.ask(&who, method, target, body).await.status, 403, "{method} {target}");
        }
    }
    for (method, target) in [("PUT", format!("/mesh/users/{root}/disabled")), ("DELETE", format!("/users/{root}"))] {
        assert_eq!(edge.ask(&second, method, &target, json!({ "disabled": true })).await.status, 403, "not oneself");
    }
    assert_eq!(edge.ask(&second, "GET", "/users", Value::Null).await.status, 200);
    assert_eq!(
        edge.order("PUT", &format!("/users/{root}/sysadmin"), json!({ "sysadmin_flag": false })).await.status,
        200
    );
    assert_eq!(edge.ask(&second, "GET", "/users", Value::Null).await.status, 403);
    assert_eq!(
        edge.ask(&second, "PUT", &format!("/users/{root}/sysadmin"), json!({ "sysadmin_flag": true })).await.status,
        403
    );
}

#[tokio::test]
async fn a_name_that_was_freed_names_someone_else_from_then_on() {
    let edge = Edge::start().await;
    edge.open_project("shop").await;
    let ann = edge.enrol("ann").await;
    for (taken, why) in [("ann", "the name"), ("ANN", "the name in other letters")] {
        let again = json!({ "email": "other@shop.example", "username": taken, "realname": "x", "password": PILOT });
        assert_eq!(edge.order("POST", "/users", again).await.status, 409, "{why}");
    }
    let same = json!({ "email": "Ann@shop.example", "username": "ben", "realname": "x", "password": PILOT });
    assert_eq!(edge.order("POST", "/users", same).await.status, 409, "the address");
    edge.appoint("shop", json!({ "username": "ann" }), 1).await;
    let crew = number(&edge.order("POST", "/usergroups", json!({ "group_name": "crew", "group_type": 3 })).await);
    let members = format!("/mesh/usergroups/{crew}/members");
    assert_eq!(edge.order("PUT", &members, json!({ "usernames": ["ann"] })).await.status, 200);
    let (password, session) = (basic_of("ann", PILOT), edge.session("ann", PILOT).await);
    assert_eq!(edge.ask(&password, "GET", "/projects/shop", Value::Null).await.status, 200);
    assert_eq!(edge.order("DELETE", &format!("/users/{ann}"), Value::Null).await.status, 200);
    let other = edge.enrol("ann").await;
    assert!(other > ann, "a number is never given out twice");
    assert_eq!(edge.ask(&session, "GET", ME, Value::Null).await.status, 401, "the session was another's");
    assert_eq!(edge.ask(&password, "GET", "/projects/shop", Value::Null).await.status, 404, "so was the role");
    assert_eq!(edge.order("GET", &members, Value::Null).await.json(), json!({ "usernames": [] }), "and the group");
}

#[tokio::test]
async fn passwords_are_not_too_easy_and_ones_own_takes_the_old_one() {
    let edge = Edge::start().await;
    let long = format!("Aa1{}", "x".repeat(126));
    for weak in ["", "Aa1xxxx", "alllower1", "ALLUPPER1", "NoDigits", &long] {
        let mut user = person("ann");
        user["password"] = json!(weak);
        assert_eq!(edge.order("POST", "/users", user).await.status, 400, "{weak:?}");
    }
    let (ann, ben) = (edge.enrol("ann").await, edge.enrol("ben").await);
    let mine = basic_of("ann", PILOT);
    let set = async |who: &str, of: u64, old: Option<&str>, new: &str| {
        let body = match old {
            Some(old) => json!({ "old_password": old, "new_password": new }),
            None => json!({ "new_password": new }),
        };
        edge.ask(who, "PUT", &format!("/users/{of}/password"), body).await.status
    };
    assert_eq!(set(&mine, ann, None, "Tomorrow-1").await, 403, "without the old one");
    assert_eq!(set(&mine, ann, Some("Wrong-0ne"), "Tomorrow-1").await, 403);
    assert_eq!(set(&mine, ann, Some(PILOT), "easy").await, 400);
    assert_eq!(set(&mine, ann, Some(PILOT), PILOT).await, 400, "the same");
    assert_eq!(set(&mine, ben, Some(PILOT), "Tomorrow-1").await, 403, "another's");
    assert_eq!(set("", ann, Some(PILOT), "Tomorrow-1").await, 401);
    assert_eq!(set(&basic(), ann, None, PILOT).await, 400, "the same, whoever sets it");
    assert_eq!(set(&mine, ann, Some(PILOT), "Tomorrow-1").await, 200);
    assert_eq!(edge.ask(&mine, "GET", ME, Value::Null).await.status, 401);
    assert_eq!(edge.ask(&basic_of("ann", "Tomorrow-1"), "GET", ME, Value::Null).await.status, 200);
    assert_eq!(set(&basic(), ann, None, PILOT).await, 200, "an administrator needs no old one");
    assert_eq!(edge.ask(&mine, "GET", ME, Value::Null).await.status, 200);
}

#[tokio::test]
async fn people_register_themselves_only_where_that_is_switched_on() {
    let edge = Edge::start().await;
    assert_eq!(edge.ask("", "POST", "/users", person("eve")).await.status, 401);
    let switch = async |on: bool| {
        assert_eq!(edge.order("PUT", "/configurations", json!({ "self_registration": on })).await.status, 200);
    };
    switch(true).await;
    let mut wish = person("eve");
    wish["sysadmin_flag"] = json!(true);
    assert_eq!(edge.ask("", "POST", "/users", wish).await.status, 201);
    let eve = basic_of("eve", PILOT);
    assert_eq!(
        edge.ask(&eve, "GET", ME, Value::Null).await.json()["sysadmin_flag"],
        false,
        "nobody makes themselves more"
    );
    assert_eq!(edge.ask(&eve, "POST", "/users", person("ben")).await.status, 403, "who has an account makes no other");
    switch(false).await;
    assert_eq!(edge.ask("", "POST", "/users", person("ben")).await.status, 401);
    assert_eq!(edge.ask(&eve, "GET", ME, Value::Null).await.status, 200, "who has registered stays");
}

#[tokio::test]
async fn what_one_may_by_a_group_ends_with_the_group() {
    let edge = Edge::start().await;
    edge.push_blob("shop/app", b"x").await;
    edge.enrol("ann").await;
    let crew = async || {
        let made = number(&edge.order("POST", "/usergroups", json!({ "group_name": "crew", "group_type": 3 })).await);
        (format!("/usergroups/{made}"), format!("/mesh/usergroups/{made}/members"))
    };
    let (group, members) = crew().await;
    let (ann, pull) = (basic_of("ann", PILOT), format!("/v2/shop/app/blobs/{}", protocol::Digest::sha256(b"x")));
    let role = edge.appoint("shop", json!({ "group_name": "crew" }), 3).await;
    assert_eq!(edge.looks(&ann, "shop/app").await, 403);
    let join = async |who: &[&str]| edge.order("PUT", &members, json!({ "usernames": who })).await.status;
    assert_eq!(join(&["nobody"]).await, 400);
    assert_eq!(join(&["ann"]).await, 200);
    let token = edge.token(&ann, "repository:shop/app:pull").await;
    let both = async || (edge.looks(&ann, "shop/app").await, edge.send("GET", &pull, &token, b"").await.status);
    assert_eq!(both().await, (200, 200));
    assert_eq!(join(&[]).await, 200);
    assert_eq!(both().await, (403, 401), "the token is a limit, not a right");
    assert_eq!(join(&["ann"]).await, 200);
    assert_eq!(both().await, (200, 200));
    assert_eq!(edge.order("PUT", &group, json!({ "group_name": "gang" })).await.status, 200);
    assert_eq!(both().await, (200, 200), "another name, the same group");
    assert_eq!(edge.order("DELETE", &group, Value::Null).await.status, 200);
    assert_eq!(both().await, (403, 401));
    assert_eq!(edge.order("GET", &role, Value::Null).await.status, 404, "its membership went too");
    let (_, members) = crew().await;
    assert_eq!(edge.order("PUT", &members, json!({ "usernames": ["ann"] })).await.status, 200);
    assert_eq!(both().await, (403, 401), "a group of the same name is another");
    assert_eq!(edge.ask(&ann, "PUT", &members, json!({ "usernames": ["ann"] })).await.status, 403);
}

#[tokio::test]
async fn a_role_of_ones_own_is_what_it_says_at_every_moment() {
    let edge = Edge::start().await;
    edge.push_blob("shop/app", b"x").await;
    edge.enrol("ann").await;
    let ann = basic_of("ann", PILOT);
    let pair = |text: &str| {
        let (resource, action) = text.split_once(':').unwrap();
        json!({ "resource": resource, "action": action })
    };
    let role = |held: &[&str]| json!({ "name": "looker", "permissions": held.iter().map(|one| pair(one)).collect::<Vec<_>>() });
    for bad in [role(&["repository:fly"]), role(&["*:*"]), json!({ "permissions": [pair("tag:list")] })] {
        assert_eq!(edge.order("POST", "/mesh/roles", bad.clone()).await.status, 400, "{bad}");
    }
    assert_eq!(edge.ask(&ann, "POST", "/mesh/roles", role(&["tag:list"])).await.status, 403);
    let id = number(&edge.order("POST", "/mesh/roles", role(&["repository:pull", "tag:list"])).await);
    assert!(id > 5, "the first five are built in");
    let here = format!("/mesh/roles/{id}");
    let membership = edge.appoint("shop", json!({ "username": "ann" }), id).await;
    assert_eq!(edge.looks(&ann, "shop/app").await, 200);
    let upload = async || edge.send("POST", "/v2/shop/app/blobs/uploads/", &ann, b"").await.status;
    assert_ne!(upload().await, 202);
    assert_eq!(edge.order("PUT", &here, role(&["repository:pull", "repository:push"])).await.status, 200);
    assert_eq!(upload().await, 202);
    assert_eq!(edge.order("PUT", &here, role(&["label:list"])).await.status, 200);
    assert!(upload().await != 202 && edge.looks(&ann, "shop/app").await != 200, "what was taken is gone at once");
    assert_eq!(edge.order("DELETE", &here, Value::Null).await.status, 412, "somebody has it");
    assert_eq!(edge.order("DELETE", &membership, Value::Null).await.status, 200);
    assert_eq!(edge.order("DELETE", &here, Value::Null).await.status, 200);
    assert_eq!(edge.order("GET", &here, Value::Null).await.status, 404);
    let gone = json!({ "role_id": id, "member_user": { "username": "ann" } });
    assert_eq!(edge.order("POST", "/projects/shop/members", gone).await.status, 400, "nobody gets a role that is gone");
    for (method, body) in [("PUT", role(&["tag:list"])), ("DELETE", Value::Null)] {
        assert_eq!(edge.order(method, "/mesh/roles/3", body).await.status, 403, "built in");
    }
}

#[tokio::test]
async fn why_is_told_to_oneself_and_to_who_administers_and_hides_what_is_hidden() {
    let edge = Edge::start().await;
    edge.push_blob("shop/app", b"x").await;
    edge.enrol("ann").await;
    let ben = edge.enrol("ben").await;
    let (ann, boss) = (basic_of("ann", PILOT), basic_of("ben", PILOT));
    let why = async |who: &str, image: &str, of: &str| {
        let of = if of.is_empty() { String::new() } else { format!("&principal={of}") };
        edge.ask(who, "GET", &format!("/mesh/why?action=pull&image={image}{of}"), Value::Null).await
    };
    let told = async |who: &str, of: &str| why(who, "shop/app", of).await.json();
    assert_eq!(why("", "shop/app", "").await.status, 401);
    assert_eq!(why(&ann, "shop/app", "ben").await.status, 403, "about others");
    assert_eq!(why(&ann, "gone/app", "ben").await.status, 403);
    let hide = |text: Value, name: &str| text.to_string().replace(name, "NAME");
    let (there, gone) = (why(&ann, "shop/app", "").await.json(), why(&ann, "gone/app", "").await.json());
    assert_eq!((&there["allowed"], hide(there.clone(), "shop")), (&json!(false), hide(gone, "gone")));
    let steps = |told: &Value| told["steps"].to_string();
    let denied = told(&basic(), "ann").await;
    assert!(denied["allowed"] == false && steps(&denied).contains("none in shop"), "{denied}");
    edge.appoint("shop", json!({ "username": "ann" }), 3).await;
    let allowed = told(&ann, "").await;
    assert!(allowed["allowed"] == true && steps(&allowed).contains("role guest allows it"), "{allowed}");
    edge.appoint("shop", json!({ "username": "ben" }), 1).await;
    assert_eq!(told(&boss, "ann").await["allowed"], true, "who administers the project asks about others there");
    assert_eq!(why(&boss, "gone/app", "ann").await.status, 403, "and nowhere else");
    assert_eq!(
        edge.order("PUT", &format!("/mesh/users/{ben}/disabled"), json!({ "disabled": true })).await.status,
        200
    );
    let out = told(&basic(), "ben").await;
    assert!(out["allowed"] == false && steps(&out).contains("shut out"), "{out}");
    assert_eq!(told(&basic(), "nobody").await["allowed"], false);
    assert_eq!(told(&basic(), "anonymous").await["allowed"], false);
    for bad in ["action=fly&image=shop/app", "action=pull", "action=pull&image=//", "image=shop/app"] {
        assert_eq!(edge.order("GET", &format!("/mesh/why?{bad}"), Value::Null).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_session_that_is_not_used_ends_when_the_setting_says() {
    let clock = Stepped::default();
    let edge = Edge::at(Config::default(), Arc::new(clock.clone())).await;
    edge.enrol("ann").await;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let session = edge.session("ann", PILOT).await;
    let after = async |n: u64| {
        clock.step(minutes(n));
        edge.ask(&session, "GET", ME, Value::Null).await.status
    };
    assert_eq!((after(59).await, after(59).await, after(60).await), (200, 200, 401), "an hour unless it is set");
    assert_eq!(edge.order("PUT", "/configurations", json!({ "session_timeout": 5 })).await.status, 200);
    let session = edge.session("ann", PILOT).await;
    let after = async |n: u64| {
        clock.step(minutes(n));
        edge.ask(&session, "GET", ME, Value::Null).await.status
    };
    assert_eq!((after(4).await, after(4).await, after(5).await, after(0).await), (200, 200, 401, 401));
    let busy = edge.session("ann", PILOT).await;
    for _ in 0..24 * 60 / 4 - 1 {
        clock.step(minutes(4));
        assert_eq!(edge.ask(&busy, "GET", ME, Value::Null).await.status, 200);
    }
    clock.step(minutes(4));
    assert_eq!(edge.ask(&busy, "GET", ME, Value::Null).await.status, 401, "no session is older than a day");
}
