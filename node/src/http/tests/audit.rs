//! What the audit log tells over HTTP, and purging it.

use serde_json::{Value, json};

use super::Edge;
use crate::world::until::until;

const EXTS: &str = "/api/v2.0/auditlog-exts";

async fn acts(edge: &Edge, q: &str) -> Vec<Value> {
    edge.drain().await;
    let answer = edge.admin("GET", &format!("{EXTS}?page_size=100&q={q}"), "", b"").await;
    assert_eq!(answer.status, 200, "{q}: {answer:?}");
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn pulls_log_ins_and_refused_changes_are_told() {
    let edge = Edge::start().await;
    let manifest = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let kind = "Content-Type: application/vnd.oci.image.index.v1+json\r\n";
    assert_eq!(edge.admin("PUT", "/v2/open/app/manifests/v1", kind, manifest).await.status, 201);
    assert_eq!(edge.send("GET", "/v2/open/app/manifests/v1", "", b"").await.status, 200);
    assert_eq!(edge.send("HEAD", "/v2/open/app/manifests/v1", "", b"").await.status, 200);
    let pulls = acts(&edge, "operation=pull").await;
    assert_eq!(pulls.len(), 1, "looking is no pull: {pulls:?}");
    assert_eq!((&pulls[0]["resource"], &pulls[0]["username"]), (&json!("open/app:v1"), &json!("anonymous")));

    assert_eq!(edge.admin("GET", "/service/token", "", b"").await.status, 200);
    assert_eq!(edge.admin("GET", "/v2/", "", b"").await.status, 200);
    assert_eq!(edge.send("GET", "/v2/", "Authorization: Basic ZXZlOnB3\r\n", b"").await.status, 401);
    let form = b"grant_type=password&username=mallory&password=guess";
    assert_eq!(edge.send("POST", "/service/token", "", form).await.status, 401);
    let came = acts(&edge, "operation=login").await;
    let came: Vec<_> =
        came.iter().map(|one| (one["username"].as_str().unwrap(), one["operation_result"] == true)).collect();
    assert_eq!(came, [("mallory", false), ("eve", false), ("admin", true)], "not every request with a password");

    let token = edge.admin("GET", "/service/token?scope=repository:open/app:pull", "", b"").await.json();
    let bearer = format!("Authorization: Bearer {}\r\n", token["token"].as_str().unwrap());
    assert_eq!(edge.send("DELETE", "/v2/open/app/manifests/v1", &bearer, b"").await.status, 401);
    assert_eq!(edge.send("DELETE", "/v2/open/app/manifests/v1", "", b"").await.status, 401);
    let foreign = "Origin: https://evil.example\r\n";
    assert_eq!(edge.admin("PUT", "/api/v2.0/configurations", foreign, b"{}").await.status, 403);
    let refused = acts(&edge, "operation_result=false,operation=%7Bdelete%20update%7D").await;
    let told: Vec<_> = refused.iter().map(|one| one["resource"].as_str().unwrap()).collect();
    assert_eq!(told, ["/api/v2.0/configurations", "/v2/open/app/manifests/v1"], "who shows nothing is asked to log in");
    let log = edge.admin("GET", "/api/v2.0/projects/open/auditlog-exts?q=operation=delete", "", b"").await;
    assert_eq!(log.json()[0]["operation_result"], false, "the project's administrators see it: {log:?}");
}

#[tokio::test]
async fn entries_are_listed_newest_first_in_pages_and_by_what_is_asked() {
    let edge = Edge::start().await;
    for n in 0..7 {
        edge.push_blob("open/app", format!("{n}").as_bytes()).await;
        let form = format!("grant_type=password&username=User{n}&password=x");
        edge.send("POST", "/service/token", "", form.as_bytes()).await;
    }
    edge.drain().await;
    let page = edge.admin("GET", &format!("{EXTS}?page=2&page_size=3&q=operation=login"), "", b"").await;
    let ids: Vec<_> = page.json().as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
    assert!(ids.len() == 3 && ids.windows(2).all(|pair| pair[0] > pair[1]), "{ids:?}");
    assert_eq!(page.header("x-total-count"), Some("7"));
    assert!(page.header("link").unwrap().contains("rel=\"prev\" , "), "{page:?}");
    let oldest = edge.admin("GET", &format!("{EXTS}?sort=op_time&page_size=1&q=operation=login"), "", b"").await;
    assert_eq!(oldest.json()[0]["username"], "User0");
    for (q, count) in [
        ("username=~uSER", 7),
        ("username=User3", 1),
        ("username=%7BUser1%20User2%7D", 2),
        ("resource=~ser5,operation=~log", 1),
        ("op_time=[2001-01-01T00:00:00~2002-01-01T00:00:00]", 0),
        ("operation=login,op_time=[2001-01-01T00:00:00~]", 7),
        ("operation=fly", 0),
    ] {
        assert_eq!(acts(&edge, q).await.len(), count, "{q}");
    }
    for bad in ["operation", "op_time=yesterday", "op_time=[a~b]", "username=[a~b]"] {
        assert_eq!(edge.admin("GET", &format!("{EXTS}?q={bad}"), "", b"").await.status, 400, "{bad}");
    }
    assert_eq!(edge.send("GET", EXTS, "", b"").await.status, 401);
    assert_eq!(edge.send("GET", "/api/v2.0/auditlog-exts/events", "", b"").await.status, 401);
    let old = edge.admin("GET", "/api/v2.0/audit-logs?q=username=User3", "", b"").await;
    assert!(old.json()[0].get("operation_result").is_none() && old.json()[0]["operation"] == "login");
    assert_eq!(edge.admin("GET", "/api/v2.0/projects/none/auditlog-exts", "", b"").await.status, 404);
    let events = edge.admin("GET", "/api/v2.0/auditlog-exts/events", "", b"").await.json();
    assert_eq!(events[0]["event_type"], "create_artifact");
}

#[tokio::test]
async fn a_purge_goes_on_without_who_asked_and_is_remembered() {
    let edge = Edge::start().await;
    let here = "/api/v2.0/system/purgeaudit";
    for _ in 0..3 {
        edge.admin("GET", "/service/token", "", b"").await;
    }
    edge.drain().await;
    let plan = |kind: &str, cron: &str, dry: bool| {
        let parameters = json!({ "audit_retention_hour": 0, "include_event_types": "login_user", "dry_run": dry });
        json!({ "schedule": { "type": kind, "cron": cron }, "parameters": parameters }).to_string().into_bytes()
    };
    // Entries older than now: those of this very moment are not.
    let clock = edge.app.clock();
    let noted = clock.now();
    until("the clock", || clock.now() > noted).await;
    for (dry, left) in [(true, 3), (false, 0)] {
        let begun = edge.admin("POST", &format!("{here}/schedule"), "", &plan("Manual", "", dry)).await;
        assert_eq!(begun.status, 201, "{begun:?}");
        let at = begun.header("location").unwrap().to_owned();
        let audit = std::sync::Arc::clone(edge.app.parts.registry.upkeep_for_tests().audit());
        until("the purge", || !audit.has_running_purges()).await;
        let run = edge.admin("GET", &at, "", b"").await.json();
        assert_eq!(
            (&run["job_status"], &run["job_kind"], &run["job_name"]),
            (&json!("Success"), &json!("MANUAL"), &json!("PURGE_AUDIT_LOG"))
        );
        let log = edge.admin("GET", &format!("{at}/log"), "", b"").await;
        assert!(String::from_utf8_lossy(&log.body).contains("3 purged"), "{log:?}");
        assert_eq!(edge.admin("PUT", &at, "", b"").await.status, 200, "it is over: nothing to stop");
        assert_eq!(acts(&edge, "operation=login").await.len(), left);
    }
    assert_eq!(edge.admin("GET", here, "", b"").await.header("x-total-count"), Some("2"));
    for absent in ["GET", "PUT"] {
        assert_eq!(edge.admin(absent, &format!("{here}/99"), "", b"").await.status, 404);
    }
    assert_eq!(edge.admin("GET", &format!("{here}/99/log"), "", b"").await.status, 404);
    assert_eq!(edge.send("POST", &format!("{here}/schedule"), "", &plan("Manual", "", true)).await.status, 401);
    assert_eq!(edge.admin("GET", &format!("{here}/schedule"), "", b"").await.body, b"{}");
    let made = edge.admin("POST", &format!("{here}/schedule"), "", &plan("Custom", "0 30 2 * * *", true)).await;
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v2.0/system/purgeaudit/0")));
    let planned = edge.admin("GET", &format!("{here}/schedule"), "", b"").await.json();
    assert_eq!((&planned["schedule"]["type"], &planned["job_kind"]), (&json!("Custom"), &json!("0 30 2 * * *")));
    let ended = edge.admin("PUT", &format!("{here}/schedule"), "", br#"{"schedule":{"type":"None"}}"#).await;
    assert_eq!(ended.status, 200);
    assert_eq!(edge.admin("GET", &format!("{here}/schedule"), "", b"").await.body, b"{}");
}

/// A plan of the schedule that removes log-ins.
fn plan(kind: &str, cron: &str) -> Vec<u8> {
    let parameters = json!({ "audit_retention_hour": 0, "include_event_types": "login_user", "dry_run": false });
    json!({ "schedule": { "type": kind, "cron": cron }, "parameters": parameters }).to_string().into_bytes()
}

#[tokio::test]
async fn a_schedule_is_six_fields_of_cron_and_of_no_great_length() {
    let edge = Edge::start().await;
    let here = "/api/v2.0/system/purgeaudit/schedule";
    let put = async |kind: &str, cron: &str| edge.admin("PUT", here, "", &plan(kind, cron)).await.status;
    let next = async || {
        let planned = edge.admin("GET", here, "", b"").await.json();
        (planned["schedule"]["cron"].clone(), planned["schedule"]["next_scheduled_time"].clone())
    };
    let (long, lists) = ("0 ".repeat(4_000), format!("{} * * * * *", ["0"; 4_000].join(",")));
    for bad in [
        "",
        " ",
        "* * * * *",
        "* * * * * * *",
        "@daily",
        "60 * * * * *",
        "0 0 24 * * *",
        "0 0 0 32 * *",
        "0 0 0 0 * *",
        "0 0 0 * 13 *",
        "0 0 0 * * 8",
        "-1 * * * * *",
        "5-1 * * * * *",
        "*/0 * * * * *",
        "0 0 0 * * MON",
        "0 0 0 L * *",
        "1e1 * * * * *",
        "\u{0661} * * * * *",
        &long,
        &lists,
    ] {
        assert_eq!(put("Custom", bad).await, 400, "{:?}", &bad[..bad.len().min(40)]);
    }
    assert_eq!(put("Hourly", "every hour").await, 400, "a text of one's own is held to the same");
    assert_eq!(edge.admin("GET", here, "", b"").await.body, b"{}", "nothing of all that was kept");
    for (kind, cron, kept) in [
        ("Custom", "0 30 2 * * *", "0 30 2 * * *"),
        ("Custom", "0,30 */15 0-6 1,15 * ?", "0,30 */15 0-6 1,15 * ?"),
        ("Hourly", "", "0 0 * * * *"),
        ("Daily", "", "0 0 0 * * *"),
        ("Weekly", "0 0 3 * * 7", "0 0 3 * * 7"),
    ] {
        assert_eq!(put(kind, cron).await, 200, "{kind} {cron}");
        let (cron, next) = next().await;
        assert_eq!(cron, json!(kept));
        let (now, year) = (edge.app.clock().now(), std::time::Duration::from_secs(366 * 86_400));
        let next = time::OffsetDateTime::parse(next.as_str().unwrap(), &time::format_description::well_known::Rfc3339);
        let next = next.unwrap().unix_timestamp() as u64;
        assert!(next >= now.as_secs() && next <= now.plus(year).as_secs(), "{kind} {kept}: {next}");
    }
    assert_eq!(put("Custom", "0 0 0 31 2 *").await, 200);
    assert_eq!(next().await.1, json!("0001-01-01T00:00:00.000Z"), "a day that never comes");
}

#[tokio::test]
async fn a_purge_that_is_stopped_in_time_removes_nothing() {
    let edge = Edge::start().await;
    let here = "/api/v2.0/system/purgeaudit";
    edge.admin("GET", "/service/token", "", b"").await;
    edge.drain().await;
    let clock = edge.app.clock();
    let noted = clock.now();
    until("the clock", || clock.now() > noted).await;
    let audit = std::sync::Arc::clone(edge.app.parts.registry.upkeep_for_tests().audit());
    let held = audit.hold_purges().await;
    let begin = async || edge.admin("POST", &format!("{here}/schedule"), "", &plan("Manual", "")).await;
    let begun = begin().await;
    let at = begun.header("location").unwrap().to_owned();
    let state = async |at: &str| edge.admin("GET", at, "", b"").await.json()["job_status"].clone();
    assert_eq!(state(&at).await, "Running");
    assert_eq!(edge.send("PUT", &at, "", b"").await.status, 401);
    assert_eq!(edge.admin("PUT", &at, "", b"").await.status, 200);
    assert_eq!(edge.admin("PUT", &at, "", b"").await.status, 200, "once more is no harm");
    // Only so many wait, and who asks for one more is told so.
    let mut statuses = Vec::new();
    while statuses.len() < 100 && !statuses.contains(&429) {
        statuses.push(begin().await.status);
    }
    assert!(statuses.len() < 100 && statuses[..statuses.len() - 1].iter().all(|status| *status == 201), "{statuses:?}");
    for id in 1..=statuses.len() {
        assert_eq!(edge.admin("PUT", &format!("{here}/{id}"), "", b"").await.status, 200);
    }
    drop(held);
    until("the purges", || !audit.has_running_purges()).await;
    assert_eq!(state(&at).await, "Stopped");
    assert_eq!(acts(&edge, "operation=login").await.len(), 1, "it is still there");
    let log = edge.admin("GET", &format!("{at}/log"), "", b"").await;
    assert!(String::from_utf8_lossy(&log.body).to_lowercase().contains("stopped"), "{log:?}");
    assert_eq!(edge.admin("PUT", &at, "", b"").await.status, 200, "it is over: nothing to stop");
}

#[tokio::test]
async fn a_project_made_again_shows_its_new_administrators_nothing_of_the_one_before() {
    let edge = Edge::start().await;
    let project = json!({ "project_name": "shop" }).to_string();
    let make = async || edge.admin("POST", "/api/v2.0/projects", "", project.as_bytes()).await.status;
    let log = async || {
        edge.drain().await;
        let log = edge.admin("GET", "/api/v2.0/projects/shop/auditlog-exts", "", b"").await;
        let told = log.json().as_array().unwrap().clone();
        told.iter().map(|one| format!("{} {}", one["operation"], one["resource"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(make().await, 201);
    edge.push_blob("shop/secret-plan", b"x").await;
    edge.send("DELETE", "/v2/shop/secret-plan/manifests/v1", "", b"").await;
    assert_eq!(edge.admin("DELETE", "/v2/shop/secret-plan/manifests/v1", "", b"").await.status, 404);
    let blob = protocol::Digest::sha256(b"x");
    assert_eq!(edge.admin("DELETE", &format!("/v2/shop/secret-plan/blobs/{blob}"), "", b"").await.status, 202);
    let first = log().await;
    assert!(first.iter().any(|told| told.contains("secret-plan")), "{first:?}");
    assert!(first.contains(&"create shop".into()), "{first:?}");
    let gone = edge.admin("DELETE", "/api/v2.0/mesh/projects/shop", "", b"").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(make().await, 201);
    assert_eq!(log().await, ["create shop"], "and not the end of the one before");
    // Who asks of everything still finds both.
    let all = edge.admin("GET", "/api/v2.0/auditlog-exts?q=resource=shop", "", b"").await.json();
    assert_eq!(all.as_array().unwrap().len(), 3, "{all}");
}
