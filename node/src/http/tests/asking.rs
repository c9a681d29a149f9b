//! Requests as the stories of accounts make them: someone asks for something, with a body of JSON.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Answer, Edge};

pub(super) const PILOT: &str = "Passw0rd-of-the-pilot";

/// What one shows who logs in by a password or a robot's secret.
pub(super) fn basic_of(name: &str, password: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

/// The number at the end of where something was made.
pub(super) fn number(made: &Answer) -> u64 {
    assert_eq!(made.status, 201, "{made:?}");
    made.header("location").unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

impl Edge {
    /// By who shows `headers`; nothing is sent for [`Value::Null`].
    pub(super) async fn ask(&self, headers: &str, method: &str, target: &str, body: Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send(method, &format!("/api/v2.0{target}"), headers, &body).await
    }

    /// By the administrator.
    pub(super) async fn order(&self, method: &str, target: &str, body: Value) -> Answer {
        self.ask(&super::basic(), method, target, body).await
    }

    /// Makes a person with the password [`PILOT`].
    pub(super) async fn enrol(&self, name: &str) -> u64 {
        number(&self.order("POST", "/users", person(name)).await)
    }

    pub(super) async fn open_project(&self, name: &str) {
        assert_eq!(self.order("POST", "/projects", json!({ "project_name": name })).await.status, 201);
    }

    /// Makes a person or a group (`{"username": …}`, `{"group_name": …}`) a member; gives back where that stands.
    pub(super) async fn appoint(&self, project: &str, who: Value, role: u64) -> String {
        let kind = if who.get("username").is_some() { "member_user" } else { "member_group" };
        let made =
            self.order("POST", &format!("/projects/{project}/members"), json!({ "role_id": role, kind: who })).await;
        format!("/projects/{project}/members/{}", number(&made))
    }

    /// A token for what `headers` show.
    pub(super) async fn token(&self, headers: &str, scope: &str) -> String {
        let answer = self.send("GET", &format!("/service/token?service=portolan&scope={scope}"), headers, b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("Authorization: Bearer {}\r\n", answer.json()["token"].as_str().unwrap())
    }

    /// A session of a browser: its cookie.
    pub(super) async fn session(&self, name: &str, password: &str) -> String {
        let form = format!("principal={name}&password={password}");
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        let answer = self.send("POST", "/c/login", kind, form.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("Cookie: {}\r\n", answer.header("set-cookie").unwrap().split(';').next().unwrap())
    }

    /// What someone is told who wants to see the tags of a repository.
    pub(super) async fn looks(&self, headers: &str, repository: &str) -> u16 {
        self.send("GET", &format!("/v2/{repository}/tags/list"), headers, b"").await.status
    }
}

pub(super) fn person(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@shop.example"), "realname": name, "password": PILOT })
}
