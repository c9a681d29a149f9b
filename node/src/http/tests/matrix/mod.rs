//! The matrix: every route, by everyone, in every way to say who one is, on what is theirs, another's, everyone's and
//! nobody's. What is answered stands in `matrix.txt`; a route that is not in it fails, and so does an answer that the tables
//! of roles do not allow (`model.rs`). `PORTOLAN_REWRITE_DOCS=1` writes the file anew.

mod model;
mod world;

use std::fmt::Write as _;

use self::model::{Object, expected};
use self::world::{REPOSITORY, Scheme, World};
use crate::http::api::route::{Holds, Need, PREFIX, Route};
use crate::http::api::table::{Operation as Op, ROUTES};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tests/matrix/matrix.txt");

/// One row: a request, sent by everyone.
struct Row {
    method: &'static str,
    /// As the row is called.
    title: String,
    object: Object,
    need: Option<Need>,
    in_repository: bool,
    /// Makes the path, when numbers have changed meanwhile.
    target: Box<dyn Fn(&World) -> String>,
}

/// Requests of the registry's own interface: method, path, whether it changes something.
const REGISTRY: [(&str, &str); 15] = [
    ("GET", "tags/list"),
    ("HEAD", "manifests/v1"),
    ("GET", "manifests/v1"),
    ("GET", "manifests/{digest}"),
    ("PUT", "manifests/v2"),
    ("GET", "referrers/{digest}"),
    ("HEAD", "blobs/{blob}"),
    ("GET", "blobs/{blob}"),
    ("POST", "blobs/uploads/"),
    ("POST", "blobs/uploads/?mount={blob}&from=foreign/app"),
    ("GET", "blobs/uploads/00000000000000000000000000000000"),
    ("PATCH", "blobs/uploads/00000000000000000000000000000000"),
    ("DELETE", "blobs/{blob}"),
    ("DELETE", "manifests/v1"),
    ("DELETE", "manifests/{digest}"),
];

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = ROUTES.iter().flat_map(rows_of).collect();
    for object in [Object::Own, Object::Foreign, Object::Open, Object::Absent] {
        for (method, path) in REGISTRY {
            let target = move |world: &World| {
                let path = path.replace("{digest}", &world.digest.to_string());
                let path = path.replace("{blob}", &protocol::Digest::sha256(b"{}").to_string());
                format!("/v2/{}/{REPOSITORY}/{path}", object.project())
            };
            let title = format!("/v2/NAME/{path}");
            rows.push(Row { method, title, object, need: None, in_repository: true, target: Box::new(target) });
        }
    }
    for (method, path) in [("GET", "/v2/"), ("GET", "/v2/_catalog")] {
        let target = Box::new(move |_: &World| path.to_owned());
        let (title, object) = (path.to_owned(), Object::None);
        rows.push(Row { method, title, object, need: None, in_repository: false, target });
    }
    rows
}

/// On which objects a route is asked.
fn objects(route: &Route) -> Vec<Object> {
    let has = |name: &str| route.path.contains(name);
    let mut objects = vec![];
    if has("{project_name") {
        objects.extend([Object::Own, Object::Foreign, Object::Open, Object::Absent]);
        if has("{mid}") || has("{grant_id}") {
            objects.push(Object::Swapped);
        }
    } else if has("{robot_id}")
        || has("{label_id}")
        || route.operation == Op::ListRobot
        || route.operation == Op::ListLabels
    {
        objects.extend([Object::None, Object::Own, Object::Foreign, Object::Absent]);
    } else if has('{'.to_string().as_str()) {
        objects.extend([Object::None, Object::Absent]);
    } else {
        objects.push(Object::None);
    }
    objects
}

fn rows_of(route: &'static Route) -> Vec<Row> {
    let row = |object: Object| {
        let in_repository = route.path.contains("{repository_name}");
        let target = move |world: &World| format!("{PREFIX}{}", path(route, object, world));
        let need = Some(route.need);
        Row { method: route.method, title: route.path.into(), object, need, in_repository, target: Box::new(target) }
    };
    objects(route).into_iter().map(row).collect()
}

/// A path with a thing of the object for each of its variables.
fn path(route: &Route, object: Object, world: &World) -> String {
    let mut path = route.path.to_owned();
    for variable in route.variables() {
        let value = value_of(variable, object, world);
        path = path.replace(&format!("{{{variable}}}"), &value);
    }
    let needed = route.params.iter().filter(|param| param.required);
    let mut pairs: Vec<String> = needed
        .map(|param| {
            let value = match (param.name, param.holds) {
                ("q", _) => "app",
                ("from", _) => "absent/app:v1",
                ("project_name", _) => "own",
                ("image" | "repository", _) => "own/app",
                ("action", _) => "pull",
                (_, Holds::Number) => "1",
                (_, Holds::Flag) => "true",
                (_, Holds::Text) => "v1",
            };
            format!("{}={value}", param.name)
        })
        .collect();
    let project = |key: &str| world.things.ids.get(&format!("{key} quota")).map_or(999_999, |id| *id);
    let listed = object != Object::None;
    if route.operation == Op::ListRobot && listed {
        pairs.push(format!("q=Level%3Dproject,ProjectID%3D{}", project(object.project())));
    } else if route.operation == Op::ListLabels {
        let scope = if listed { format!("scope=p&project_id={}", project(object.project())) } else { "scope=g".into() };
        pairs.push(scope);
    }
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

fn value_of(variable: &str, object: Object, world: &World) -> String {
    let number = |key: String| world.things.ids.get(&key).map_or_else(|| "999999".to_owned(), ToString::to_string);
    let of_project = |thing: &str| match object {
        Object::Absent => "999999".to_owned(),
        Object::Swapped => number(format!("foreign {thing}")),
        Object::None => number(thing.to_owned()),
        Object::Own | Object::Foreign | Object::Open => number(format!("{} {thing}", object.project())),
    };
    let of_all = |thing: &str| if object == Object::Absent { "999999".to_owned() } else { number(thing.to_owned()) };
    match variable {
        "project_name" | "project_name_or_id" => object.project().to_owned(),
        "repository_name" => REPOSITORY.to_owned(),
        "reference" => "v1".to_owned(),
        "tag_name" => "v1".to_owned(),
        "addition" => "build_history".to_owned(),
        "meta_name" => "public".to_owned(),
        "mid" => of_project("member"),
        "grant_id" => of_project("grant"),
        "label_id" => of_project("label"),
        "robot_id" => of_project("robot"),
        "user_id" => of_all("user"),
        "group_id" => of_all("group"),
        "role_id" => of_all("role"),
        "id" => {
            if object == Object::Absent {
                "999999".into()
            } else {
                number("own quota".into())
            }
        }
        "purge_id" => "999999".to_owned(),
        other => panic!("no value for {other}"),
    }
}

/// A body that nobody who may would be given anything for: what it asks is refused only after it was found that they may.
const NO_BODY: &[u8] = br#"{"no such field":1}"#;

#[tokio::test]
async fn who_may_do_what_in_every_way_on_everything() {
    let mut world = World::new().await;
    let titles: Vec<String> = world.actors.iter().map(world::Actor::title).collect();
    let mut table = String::new();
    for (at, title) in titles.iter().enumerate() {
        let _ = writeln!(table, "# {:>2} {title}", at + 1);
    }
    let (mut cases, mut wrong) = (0, Vec::new());
    for row in rows() {
        let changes = !matches!(row.method, "GET" | "HEAD");
        let mut statuses = Vec::new();
        for at in 0..world.actors.len() {
            let actor = world.actors[at].clone();
            let (target, headers) = ((row.target)(&world), actor.headers(changes));
            // Else who fails again and again would be told to wait, whatever is asked.
            world.edge.app.parts.authenticator.forget_failures();
            let body: &[u8] = if changes && row.method != "DELETE" { NO_BODY } else { b"" };
            let answer = world.edge.send(row.method, &target, &headers, body).await;
            let status = answer.status;
            if let (202, Some(session)) = (status, answer.header("location")) {
                // Sessions are few, and this one is nobody's any more.
                world.edge.send("DELETE", session, &actor.headers(true), b"").await;
            }
            let says = row.need.and_then(|need| expected(&actor, need, row.object, row.in_repository));
            // What needs no right tells them what it tells the anonymous, or that what they show is no good.
            let as_anonymous = statuses.first() == Some(&status.to_string());
            let is_refused = match actor.scheme {
                Scheme::Ended => as_anonymous,
                Scheme::Bad => status == 401 || (row.need == Some(Need::Nothing) && as_anonymous),
                Scheme::Nothing | Scheme::Basic | Scheme::Session | Scheme::Token => true,
            };
            if !is_refused {
                wrong.push(format!("{} {target} by {}: {status}", row.method, actor.title()));
            }
            if says.is_some_and(|says| !says.is(status)) || (status >= 500 && status != model::NOT_MADE) {
                let object = row.object.title();
                wrong.push(format!("{} {target} [{object}] by {}: {status}, not {says:?}", row.method, actor.title()));
            }
            statuses.push(status.to_string());
            cases += 1;
            if changes && (200..300).contains(&status) {
                world.restore().await;
            }
        }
        let _ = writeln!(table, "{} {} [{}]: {}", row.method, row.title, row.object.title(), statuses.join(" "));
    }
    assert!(wrong.is_empty(), "{} answers that the roles do not allow:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 5_000, "only {cases} cases");
    if std::env::var_os("PORTOLAN_REWRITE_DOCS").is_some() {
        std::fs::write(FILE, &table).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    let differs = table.lines().filter(|line| !kept.lines().any(|other| other == *line)).collect::<Vec<_>>();
    assert_eq!(kept, table, "the matrix changed; lines that are not in matrix.txt: {differs:#?}");
}
