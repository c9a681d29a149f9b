//! The file of `portolan apply`: YAML, TOML or JSON, strictly as written here. What it means is a [`Desired`].

use protocol::ProjectName;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::{Desired, Fields, Key, Kind};
use crate::cli::failure::{Code, Failure};
use crate::cli::quota;
use crate::cli::role::{nearest, pair};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    settings: Option<Settings>,
    roles: Option<Vec<Role>>,
    users: Option<Vec<User>>,
    groups: Option<Vec<Group>>,
    labels: Option<Vec<Label>>,
    projects: Option<Vec<Project>>,
    robots: Option<Vec<Robot>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    auth_mode: Option<String>,
    primary_auth_mode: Option<bool>,
    project_creation_restriction: Option<String>,
    read_only: Option<bool>,
    self_registration: Option<bool>,
    token_expiration: Option<i64>,
    robot_token_duration: Option<i64>,
    robot_name_prefix: Option<String>,
    notification_enable: Option<bool>,
    quota_per_project_enable: Option<bool>,
    storage_per_project: Option<i64>,
    audit_log_forward_endpoint: Option<String>,
    skip_audit_log_database: Option<bool>,
    session_timeout: Option<i64>,
    scanner_skip_update_pulltime: Option<bool>,
    banner_message: Option<String>,
    disabled_audit_log_event_types: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    name: String,
    description: Option<String>,
    permissions: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct User {
    #[serde(skip_serializing)]
    name: String,
    email: Option<String>,
    realname: Option<String>,
    comment: Option<String>,
    admin: Option<bool>,
    disabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    members: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Label {
    #[serde(skip_serializing)]
    name: String,
    color: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Project {
    name: String,
    public: Option<bool>,
    sparse: Option<bool>,
    quota: Option<String>,
    members: Option<Vec<Member>>,
    grants: Option<Vec<Grant>>,
    labels: Option<Vec<Label>>,
    robots: Option<Vec<ProjectRobot>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    user: Option<String>,
    group: Option<String>,
    role: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    user: Option<String>,
    group: Option<String>,
    repository: String,
    role: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectRobot {
    name: String,
    description: Option<String>,
    days: Option<u32>,
    disabled: Option<bool>,
    permissions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Robot {
    name: String,
    description: Option<String>,
    days: Option<u32>,
    disabled: Option<bool>,
    rights: Vec<Right>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Right {
    on: String,
    permissions: Vec<String>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// YAML; JSON is YAML as well.
    Yaml,
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// Reads a file.
///
/// # Errors
/// [`Code::Usage`]: the line that is wrong, and what was likely meant.
pub(super) fn read(text: &str, written: Written) -> Result<Desired, Failure> {
    let document = match written {
        Written::Yaml => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
        Written::Toml => toml::from_str(text).map_err(|error| error.to_string()),
        Written::Json => serde_json::from_str(text).map_err(|error| error.to_string()),
    };
    desired(document.map_err(|error| refused(&error))?)
}

fn refused(error: &str) -> Failure {
    let mut lines = error.trim_end().lines().map(str::to_owned);
    let cause = lines.next().unwrap_or_default();
    let failure =
        Failure { details: lines.collect(), ..Failure::new(Code::Usage, format!("the file is wrong: {cause}")) };
    match meant(error) {
        Some(known) => failure.next(format!("`{known}` was likely meant")),
        None => failure,
    }
}

/// The nearest of the names an error lists after the one that is not known.
fn meant(error: &str) -> Option<&str> {
    let (_, rest) = error.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.lines().next()?.split_once("expected ")?.1;
    // Some readers quote the names, some do not; "one of" is no name.
    let names = known.split([',', ' ', '`']).filter(|word| !["", "one", "of", "or"].contains(word));
    nearest(unknown, names)
}

fn wrong(cause: String) -> Failure {
    Failure::new(Code::Usage, format!("the file is wrong: {cause}"))
}

fn desired(document: Document) -> Result<Desired, Failure> {
    let mut out = Desired::default();
    if let Some(settings) = document.settings {
        put(&mut out, Kind::Settings, None, "settings", said(&settings))?;
    }
    for role in section(&mut out, Kind::Role, None, document.roles) {
        let mut fields = Fields::from([("permissions".to_owned(), permissions(&role.permissions)?)]);
        set(&mut fields, "description", role.description);
        put(&mut out, Kind::Role, None, &role.name, fields)?;
    }
    for user in section(&mut out, Kind::User, None, document.users) {
        put(&mut out, Kind::User, None, &user.name, said(&user))?;
    }
    for group in section(&mut out, Kind::Group, None, document.groups) {
        let mut fields = Fields::new();
        set(&mut fields, "members", group.members.map(sorted));
        put(&mut out, Kind::Group, None, &group.name, fields)?;
    }
    for label in section(&mut out, Kind::Label, None, document.labels) {
        put(&mut out, Kind::Label, None, &label.name, said(&label))?;
    }
    for one in section(&mut out, Kind::Project, None, document.projects) {
        project(&mut out, one)?;
    }
    for robot in section(&mut out, Kind::Robot, None, document.robots) {
        let mut rights = json!({});
        for Right { on, permissions: words } in &robot.rights {
            if rights.get(on).is_some() {
                return Err(wrong(format!("robot {}: two rights on {on}", robot.name)));
            }
            rights[on] = permissions(words)?;
        }
        let fields = of_robot(robot.description, robot.days, robot.disabled, rights);
        put(&mut out, Kind::Robot, None, &robot.name, fields)?;
    }
    Ok(out)
}

fn project(out: &mut Desired, one: Project) -> Result<(), Failure> {
    let name: ProjectName = one.name.parse().map_err(|error| wrong(format!("project {:?}: {error}", one.name)))?;
    let (name, of) = (name.as_str(), Some(name.as_str()));
    let mut fields = Fields::new();
    set(&mut fields, "public", one.public.map(|switch| switch.to_string()));
    set(&mut fields, "sparse", one.sparse.map(|switch| switch.to_string()));
    set(&mut fields, "quota", one.quota.as_deref().map(quota::parse).transpose()?);
    put(out, Kind::Project, None, name, fields)?;
    for member in section(out, Kind::Member, of, one.members) {
        let who = who(member.user, member.group, name)?;
        put(out, Kind::Member, of, &who, Fields::from([("role".to_owned(), json!(member.role))]))?;
    }
    for grant in section(out, Kind::Grant, of, one.grants) {
        let who = who(grant.user, grant.group, name)?;
        let fields = Fields::from([("role".to_owned(), json!(grant.role))]);
        put(out, Kind::Grant, of, &format!("{who} {}", grant.repository), fields)?;
    }
    for label in section(out, Kind::ProjectLabel, of, one.labels) {
        put(out, Kind::ProjectLabel, of, &label.name, said(&label))?;
    }
    for robot in section(out, Kind::Robot, of, one.robots) {
        let rights = json!({ name: permissions(&robot.permissions)? });
        put(out, Kind::Robot, of, &robot.name, of_robot(robot.description, robot.days, robot.disabled, rights))?;
    }
    Ok(())
}

fn of_robot(description: Option<String>, days: Option<u32>, disabled: Option<bool>, rights: Value) -> Fields {
    let mut fields = Fields::from([("rights".to_owned(), rights)]);
    set(&mut fields, "description", description);
    set(&mut fields, "days", days);
    set(&mut fields, "disabled", disabled);
    fields
}

/// The things of a section, which is covered from now on, if the file has it.
fn section<T>(out: &mut Desired, kind: Kind, project: Option<&str>, things: Option<Vec<T>>) -> Vec<T> {
    if things.is_some() {
        out.covers.insert((kind, project.map(str::to_owned)));
    }
    things.unwrap_or_default()
}

fn put(out: &mut Desired, kind: Kind, project: Option<&str>, name: &str, fields: Fields) -> Result<(), Failure> {
    let key = Key { kind, project: project.map(str::to_owned), name: name.to_owned() };
    if name.is_empty() || out.things.contains_key(&key) {
        let what = if name.is_empty() { "has no name" } else { "is there twice" };
        return Err(wrong(format!("{key} {what}")));
    }
    out.things.insert(key, fields);
    Ok(())
}

fn set(fields: &mut Fields, field: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        fields.insert(field.to_owned(), json!(value));
    }
}

/// What a structure says, without what it does not say.
fn said(of: &impl Serialize) -> Fields {
    let all = serde_json::to_value(of).unwrap_or_default();
    all.as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn permissions(words: &[String]) -> Result<Value, Failure> {
    for word in words {
        pair(word)?;
    }
    Ok(json!(sorted(words.to_vec())))
}

fn who(user: Option<String>, group: Option<String>, project: &str) -> Result<String, Failure> {
    match (user, group) {
        (Some(user), None) => Ok(format!("user:{user}")),
        (None, Some(group)) => Ok(format!("group:{group}")),
        (Some(_), Some(_)) | (None, None) => {
            Err(wrong(format!("project {project}: a member or grant names a user or a group, one of them")))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
        let yaml = "projects:\n  - name: team\n    pubic: true\n";
        let toml = "[[projects]]\nname = \"team\"\npubic = true\n";
        let json = "{\"projects\":[{\"name\":\"team\",\n\n\"pubic\":true}]}";
        for (text, written) in [(yaml, Written::Yaml), (toml, Written::Toml), (json, Written::Json)] {
            let failure = read(text, written).unwrap_err();
            let all = format!("{} {}", failure.cause, failure.details.join(" "));
            assert!(all.contains("line 3") || all.contains("3:"), "{written:?}: {all}");
            assert_eq!(failure.next.as_deref(), Some("`public` was likely meant"), "{written:?}: {all}");
        }
    }

    #[test]
    fn the_three_ways_of_writing_mean_the_same() {
        let yaml = "users:\n  - {name: eve, admin: false}\nprojects:\n  - name: team\n    public: true\n    quota: 1KiB\n    members: [{user: eve, role: guest}]\n";
        let toml = "users = [{name='eve', admin=false}]\n[[projects]]\nname='team'\npublic=true\nquota='1KiB'\nmembers=[{user='eve', role='guest'}]";
        let json = r#"{"users":[{"name":"eve","admin":false}],"projects":[{"name":"team","public":true,"quota":"1KiB","members":[{"user":"eve","role":"guest"}]}]}"#;
        let desired = read(yaml, Written::Yaml).unwrap();
        assert_eq!(desired, read(toml, Written::Toml).unwrap());
        assert_eq!(desired, read(json, Written::Json).unwrap());
        let project = Key { kind: Kind::Project, project: None, name: "team".into() };
        assert_eq!(desired.things[&project]["quota"], json!(1024));
        assert!(desired.covers.contains(&(Kind::Member, Some("team".into()))));
        assert!(!desired.covers.contains(&(Kind::Robot, Some("team".into()))), "not spoken of");
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for bad in [
            "projects: [{name: team}, {name: team}]",
            "projects: [{name: Team}]",
            "projects: [{name: team, members: [{role: guest}]}]",
            "roles: [{name: r, permissions: [repository:pul]}]",
            "users: [{name: ''}]",
            "users: [{name: eve, password: x}]",
        ] {
            assert_eq!(read(bad, Written::Yaml).unwrap_err().code, Code::Usage, "{bad}");
        }
    }

    #[test]
    fn the_examples_are_right() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
        let mut count = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let desired =
                read(&text, Written::Yaml).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()));
            assert!(!desired.things.is_empty(), "{}", path.display());
            count += 1;
        }
        assert!(count >= 2);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            for written in [Written::Yaml, Written::Toml, Written::Json] {
                let _ = read(&text, written);
            }
        }
    }
}
