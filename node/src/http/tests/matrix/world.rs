//! The world of the matrix: projects, people, robots, and what each of them shows to say who they are. Whatever a request
//! took away is put back before the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use protocol::record::governed::{Entity, MemberKey};
use protocol::{Digest, ProjectName, Timestamp};
use serde_json::Value;

use super::super::{Edge, basic};
use crate::auth::{Secret, quick_verifier, robot_secret_kept};
use crate::config::Config;
use crate::directory::{Directory, DirectoryError, NewLabel, NewProject, NewRobot, Profile, ProjectChange};
use crate::policy::rights::{EVERYWHERE, SYSTEM, robot_permission};
use crate::policy::roles::{
    DEVELOPER, GUEST, LIMITED_GUEST, MAINTAINER, PROJECT_ADMIN, PROJECT_VOCABULARY, SYSTEM_VOCABULARY,
};
use crate::policy::{Permission, Resource, Verb};
use crate::storage::meta::Act;
use crate::world::stepped::Stepped;

pub(super) const PASSWORD: &str = "Passw0rd of all";
const SECRET: &str = "the secret of every robot here 0A";

/// Someone with the role of an administrator of the projects, who is shut out after having logged in.
const SHUT_OUT: &str = "shut-out";

/// The one repository of each project.
pub(super) const REPOSITORY: &str = "app";

/// People with a role in the projects `own` and `open`.
pub(super) const ROLES: [(&str, u32); 5] = [
    ("project-admin", PROJECT_ADMIN),
    ("maintainer", MAINTAINER),
    ("developer", DEVELOPER),
    ("guest", GUEST),
    ("limited-guest", LIMITED_GUEST),
];

/// By what someone is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Nothing,
    Basic,
    Session,
    Token,
    /// By something that is no good, or no good any more.
    Bad,
    /// By a session that has ended: browsers go on sending those, and whoever does is anonymous.
    Ended,
}

/// One column of the matrix.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) who: &'static str,
    pub(super) scheme: Scheme,
    /// Headers, each with its end of line.
    headers: String,
    second_token: String,
}

impl Actor {
    pub(super) fn title(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Nothing | Scheme::Basic | Scheme::Bad | Scheme::Ended => "",
            Scheme::Session => " (session)",
            Scheme::Token => " (token)",
        };
        format!("{}{scheme}", self.who)
    }

    /// What it sends with a request.
    pub(super) fn headers(&self, changes: bool) -> String {
        if changes && !self.second_token.is_empty() {
            return format!("{}X-Harbor-CSRF-Token: {}\r\n", self.headers, self.second_token);
        }
        self.headers.clone()
    }
}

fn basic_of(name: &str, password: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

fn act() -> Act {
    Act { actor: "matrix".into(), at: Timestamp(1), request: "r".into(), via: Default::default() }
}

/// What may be named by a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Things {
    pub(super) ids: BTreeMap<String, u32>,
}

pub(super) struct World {
    pub(super) edge: Edge,
    clock: Stepped,
    pub(super) actors: Vec<Actor>,
    pub(super) things: Things,
    pub(super) digest: Digest,
}

fn directory(edge: &Edge) -> &Arc<Directory> {
    edge.app.parts.registry.directory()
}

fn verifier() -> Vec<u8> {
    quick_verifier(&Secret::new(PASSWORD))
}

fn name(text: &str) -> ProjectName {
    text.parse().unwrap()
}

/// "There already" is as good as made.
fn there<T: Default>(made: Result<T, DirectoryError>) -> Result<T, DirectoryError> {
    match made {
        Err(DirectoryError::Exists(_)) => Ok(T::default()),
        made => made,
    }
}

impl World {
    pub(super) async fn new() -> Self {
        let clock = Stepped::default();
        let edge = Edge::at(Config::default(), Arc::new(clock.clone())).await;
        let verifier = verifier();
        let others = ["custom", "grantee", "in-group", "stranger", SHUT_OUT];
        let people = ROLES.iter().map(|(who, _)| *who).chain(others);
        let people: Vec<&str> = people.collect();
        let all = |draft: &mut crate::directory::Draft<'_>| {
            for who in &people {
                let profile = Profile { email: format!("{who}@shop.example"), ..Profile::default() };
                draft.create_user(who, &profile, false, verifier.clone())?;
            }
            let see = [("project", "read"), ("repository", "pull"), ("tag", "list"), ("label", "read")];
            let see = see.map(|(resource, action)| format!("{resource}:{action}"));
            draft.put_role("looker", see.into(), "")?;
            draft.create_group("crew", 2, "")
        };
        directory(&edge).change(&act(), all).await.unwrap();
        let digest = Digest::sha256(b"");
        let mut world = Self { edge, clock, actors: Vec::new(), things: Things::default(), digest };
        world.restore().await;
        world.actors = world.log_all_in().await;
        world.edge.drain().await;
        world
    }

    fn user(&self, name: &str) -> u32 {
        directory(&self.edge).read(|book| book.user(name).unwrap().is.id)
    }

    /// Makes what is not there (any more), and notes under which numbers things are.
    pub(super) async fn restore(&mut self) {
        let verifier = verifier();
        self.make("a victim", |draft| {
            let profile = Profile { email: "victim@shop.example".into(), ..Profile::default() };
            there(draft.create_user("victim", &profile, false, verifier.clone()))?;
            there(draft.create_group("victims", 2, ""))?;
            draft.put_role("victim", ["tag:list".to_owned()].into(), "")
        })
        .await;
        for project in ["own", "foreign", "open"] {
            let new = NewProject {
                name: name(project),
                public: project == "open",
                sparse: false,
                metadata: Default::default(),
                owner: None,
                quota: None,
                nonce: [project.as_bytes()[0]; 16],
            };
            // Deleted with all that was in it, it comes back with all of it: robots and members have their old numbers.
            let back = directory(&self.edge).change(&act(), |draft| draft.undelete_project(&name(project))).await;
            assert!(matches!(back, Ok(()) | Err(DirectoryError::Exists(_) | DirectoryError::Absent(_))), "{back:?}");
            self.make(project, |draft| there(draft.create_project(&new))).await;
            let change = ProjectChange { public: Some(project == "open"), ..ProjectChange::default() };
            self.make(project, |draft| draft.change_project(&name(project), &change)).await;
            self.fill(project).await;
        }
        // An administrator's push makes a project.
        if directory(&self.edge).read(|book| book.project(&name("absent")).is_some()) {
            self.make("nothing", |draft| draft.delete_project(&name("absent"), true)).await;
        }
        let label = NewLabel { name: "global".into(), description: String::new(), color: String::new() };
        self.make("a label", |draft| there(draft.create_label(None, &label))).await;
        self.robots().await;
        self.note();
    }

    async fn make<T: Default>(
        &self,
        what: &str,
        decide: impl Fn(&mut crate::directory::Draft<'_>) -> Result<T, DirectoryError>,
    ) {
        let made = directory(&self.edge).change(&act(), |draft| there(decide(draft))).await;
        assert!(made.is_ok(), "{what}: {:?}", made.err());
    }

    /// Members, a grant, a label and an image of a project.
    async fn fill(&mut self, project: &str) {
        let user = |who: &str| MemberKey { entity: Entity::User(self.user(who)), repositories: None };
        let mut members = vec![(user("victim"), GUEST)];
        let part = Some(REPOSITORY.to_owned());
        let victim = MemberKey { repositories: Some("other".into()), ..user("victim") };
        members.push((victim, GUEST));
        if project != "foreign" {
            members.extend(ROLES.iter().map(|(who, role)| (user(who), *role)));
            members.push((user(SHUT_OUT), PROJECT_ADMIN));
            let looker = directory(&self.edge).read(|book| book.role("looker").unwrap().is.id);
            members.push((user("custom"), looker));
            members.push((MemberKey { repositories: part, ..user("grantee") }, DEVELOPER));
            let crew = directory(&self.edge).read(|book| book.group("crew").unwrap().is.id);
            members.push((MemberKey { entity: Entity::Group(crew), repositories: None }, GUEST));
            let in_group: std::collections::BTreeSet<u32> = [self.user("in-group")].into();
            self.make("the crew", |draft| draft.set_group_members(crew, in_group.clone())).await;
        }
        for (key, role) in &members {
            self.make("a member", |draft| there(draft.add_member(&name(project), key, *role))).await;
        }
        let label = NewLabel { name: "of-project".into(), description: String::new(), color: String::new() };
        self.make("a label", |draft| there(draft.create_label(Some(&name(project)), &label))).await;
        self.push(project).await;
    }

    async fn push(&mut self, project: &str) {
        let target = format!("/v2/{project}/{REPOSITORY}/manifests/v1");
        if self.edge.admin("HEAD", &target, "", b"").await.status == 200 {
            return;
        }
        let config = self.edge.push_blob(&format!("{project}/{REPOSITORY}"), b"{}").await;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": kind, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
        });
        let body = manifest.to_string().into_bytes();
        let pushed = self.edge.admin("PUT", &target, &format!("Content-Type: {kind}\r\n"), &body).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        self.digest = Digest::sha256(&body);
    }

    async fn robots(&self) {
        let pairs = |namespace: &'static str, permissions: &'static [Permission]| {
            permissions.iter().map(move |permission| robot_permission(namespace, *permission))
        };
        let everything = pairs(SYSTEM, SYSTEM_VOCABULARY).chain(pairs(EVERYWHERE, PROJECT_VOCABULARY)).collect();
        let of_own: Vec<String> = pairs("own", PROJECT_VOCABULARY).collect();
        let pull = vec![robot_permission("own", Permission::new(Resource::Repository, Verb::Pull))];
        let label = |project: &str| vec![robot_permission(project, Permission::new(Resource::Label, Verb::List))];
        let robots: [(&str, Option<&str>, Vec<String>); 8] = [
            ("all", None, everything),
            ("full", Some("own"), of_own.clone()),
            ("disabled", Some("own"), of_own.clone()),
            ("expired", Some("own"), of_own),
            ("narrow", Some("own"), pull),
            ("victim", None, vec![robot_permission(SYSTEM, Permission::new(Resource::Catalog, Verb::Read))]),
            ("victim", Some("own"), label("own")),
            ("victim", Some("foreign"), label("foreign")),
        ];
        for (robot, project, permissions) in robots {
            let new = NewRobot {
                name: robot.into(),
                project: project.map(name),
                permissions,
                // From the first day of 1970 on.
                days: (robot == "expired").then_some(1),
                description: String::new(),
                disabled: robot == "disabled",
                creator: "matrix".into(),
                secret: robot_secret_kept(&Secret::new(SECRET)),
            };
            self.make(robot, |draft| there(draft.create_robot(&new))).await;
        }
    }

    fn note(&mut self) {
        let mut ids = BTreeMap::new();
        directory(&self.edge).read(|book| {
            ids.insert("user".into(), book.user("victim").unwrap().is.id);
            ids.insert("group".into(), book.group("victims").unwrap().is.id);
            ids.insert("role".into(), book.role("victim").unwrap().is.id);
            ids.insert("robot".into(), book.robot(None, "victim").unwrap().is.is.id);
            ids.insert("label".into(), book.labels(None).next().unwrap().is.id);
            for project in ["own", "foreign", "open"] {
                let entry = book.project(&name(project)).unwrap();
                ids.insert(format!("{project} quota"), entry.settings.id);
                let victim = Entity::User(ids["user"]);
                let mut members = book.members(&entry.scope).filter(|(key, _)| key.entity == victim);
                ids.insert(format!("{project} member"), members.next().unwrap().1.id);
                ids.insert(format!("{project} grant"), members.next().unwrap().1.id);
                ids.insert(format!("{project} label"), book.labels(Some(entry.scope)).next().unwrap().is.id);
                let robot = book.robot(Some(entry.scope), "victim").map(|robot| robot.is.is.id);
                ids.extend(robot.map(|id| (format!("{project} robot"), id)));
            }
        });
        self.things = Things { ids };
    }

    async fn log_all_in(&self) -> Vec<Actor> {
        let bad = self.log_in_in_vain().await;
        let mut actors = vec![self.actor("anonymous", Scheme::Nothing, String::new()).await];
        let person = |who: &'static str| (who, if who == "administrator" { basic() } else { basic_of(who, PASSWORD) });
        let robot = |who: &'static str, name: &str| (who, basic_of(name, SECRET));
        let in_all_ways = [person("administrator"), person("project-admin"), person("developer"), person("stranger")];
        for (who, headers) in in_all_ways {
            for scheme in [Scheme::Basic, Scheme::Session, Scheme::Token] {
                actors.push(self.actor(who, scheme, headers.clone()).await);
            }
        }
        for who in ["maintainer", "guest", "limited-guest", "custom", "grantee", "in-group"] {
            actors.push(self.actor(who, Scheme::Basic, person(who).1).await);
        }
        let full = robot("robot of the project", "robot$own+full");
        actors.push(self.actor(full.0, Scheme::Basic, full.1.clone()).await);
        actors.push(self.actor(full.0, Scheme::Token, full.1).await);
        let rest = [robot("robot that pulls", "robot$own+narrow"), robot("robot of the system", "robot$all")];
        for (who, headers) in rest {
            actors.push(self.actor(who, Scheme::Basic, headers).await);
        }
        actors.extend(bad);
        actors
    }

    /// Those who show what was good once, or never was.
    async fn log_in_in_vain(&self) -> Vec<Actor> {
        let headers = basic_of(SHUT_OUT, PASSWORD);
        let mut bad = Vec::new();
        let ways = [
            ("disabled user", Scheme::Basic),
            ("disabled user (session)", Scheme::Session),
            ("disabled user (token)", Scheme::Token),
        ];
        for (title, scheme) in ways {
            bad.push(Actor { who: title, ..self.actor(SHUT_OUT, scheme, headers.clone()).await });
        }
        let id = self.user(SHUT_OUT);
        self.make("someone who is out", |draft| draft.set_disabled(id, true)).await;
        bad.push(Actor { who: "expired token", ..self.actor("administrator", Scheme::Token, basic()).await });
        // Longer than any token lives.
        self.clock.step(std::time::Duration::from_secs(24 * 60 * 60));
        for (title, name, password) in [
            ("wrong password", "project-admin", "not the passw0rd of anyone"),
            ("disabled robot", "robot$own+disabled", SECRET),
            ("expired robot", "robot$own+expired", SECRET),
        ] {
            bad.push(Actor { who: title, ..self.actor(title, Scheme::Basic, basic_of(name, password)).await });
        }
        let ended = |scheme| if scheme == Scheme::Session { Scheme::Ended } else { Scheme::Bad };
        bad.into_iter().map(|actor| Actor { scheme: ended(actor.scheme), ..actor }).collect()
    }

    async fn actor(&self, who: &'static str, scheme: Scheme, basic: String) -> Actor {
        let plain = Actor { who, scheme, headers: basic.clone(), second_token: String::new() };
        match scheme {
            Scheme::Nothing | Scheme::Basic | Scheme::Bad | Scheme::Ended => plain,
            Scheme::Token => {
                let scopes = ["own", "foreign", "open", "absent"]
                    .map(|project| format!("&scope=repository:{project}/{REPOSITORY}:pull,push,delete"));
                let target = format!("/service/token?service=portolan&scope=registry:catalog:*{}", scopes.concat());
                let answer = self.edge.send("GET", &target, &basic, b"").await;
                let token = answer.json()["token"].as_str().map(str::to_owned).unwrap();
                Actor { headers: format!("Authorization: Bearer {token}\r\n"), ..plain }
            }
            Scheme::Session => {
                let person = if who == "administrator" { "admin" } else { who };
                let password = if who == "administrator" { super::super::PASSWORD } else { PASSWORD };
                let form = format!("principal={person}&password={}", password.replace(' ', "+"));
                let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
                let answer = self.edge.send("POST", "/c/login", kind, form.as_bytes()).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
                let headers = format!("Cookie: {cookie}\r\n");
                let current = self.edge.send("GET", "/api/v2.0/users/current", &headers, b"").await;
                let _: Value = current.json();
                let second_token = current.header("x-harbor-csrf-token").unwrap().to_owned();
                Actor { headers, second_token, ..plain }
            }
        }
    }
}
