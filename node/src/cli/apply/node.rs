//! What a node holds, read as a [`State`]; and one step of a plan carried out on it.

use serde_json::{Value, json};

use super::plan::{Act, Desired, Fields, Key, Kind, State, Step};
use crate::cli::connection::Connection;
use crate::cli::failure::{Code, Failure};
use crate::cli::login::Secret;
use crate::cli::role::{pairs, words_of};
use crate::cli::wire::{API, number, project, word};
use crate::cli::{group, label, member, project as projects, quota, robot, role, settings, user};

/// A secret that is shown once.
#[derive(Debug)]
pub(super) struct Shown {
    /// Of what.
    pub(super) key: Key,
    /// The secret.
    pub(super) secret: Secret,
}

/// What the node holds of the kinds the file speaks of.
///
/// # Errors
/// [`Failure`].
pub(super) fn current(node: &Connection, desired: &Desired) -> Result<State, Failure> {
    let mut state = State::new();
    let speaks = |kind: Kind, of: Option<&str>| {
        desired.covers.contains(&(kind, of.map(str::to_owned)))
            || desired.things.keys().any(|key| key.kind == kind && key.project.as_deref() == of)
    };
    let mut put = |kind: Kind, of: Option<&str>, name: String, fields: Fields| {
        state.insert(Key { kind, project: of.map(str::to_owned), name }, fields);
    };
    let named = |kind: Kind, name: &str| {
        desired.things.keys().any(|key| key.kind == kind && key.project.is_none() && key.name == name)
    };
    if speaks(Kind::Settings, None) {
        let items: Value = node.get(&format!("{API}{}", settings::PATH))?;
        let items = items.as_object().into_iter().flatten();
        let values = items.map(|(name, item)| (name.clone(), item["value"].clone())).collect();
        put(Kind::Settings, None, "settings".into(), values);
    }
    if speaks(Kind::Role, None) {
        for one in node.list(&format!("{API}/mesh/roles"))? {
            let name = word(&one, "/name");
            // A built-in role can't go: it is there only for who names it.
            if one["built_in"] != true || named(Kind::Role, &name) {
                let permissions = json!(words_of(&one["permissions"]));
                put(Kind::Role, None, name, of(&one, &["description"], [("permissions", permissions)]));
            }
        }
    }
    if speaks(Kind::User, None) {
        for one in node.list(&format!("{API}/users"))? {
            let name = word(&one, "/username");
            // The first account can't go either.
            if one["user_id"] != 1 || named(Kind::User, &name) {
                let admin = json!(one["sysadmin_flag"] == true);
                let more = [("admin", admin), ("disabled", json!(one["disabled"] == true))];
                put(Kind::User, None, name, of(&one, &["email", "realname", "comment"], more));
            }
        }
    }
    if speaks(Kind::Group, None) {
        for one in node.list(&format!("{API}/usergroups"))? {
            let mut members = group::members(node, number(&one, "/id")?)?;
            members.sort();
            put(Kind::Group, None, word(&one, "/group_name"), of(&one, &[], [("members", json!(members))]));
        }
    }
    if speaks(Kind::Label, None) {
        for one in label::list(node, None)? {
            put(Kind::Label, None, word(&one, "/name"), of(&one, &["color", "description"], []));
        }
    }
    let prefix = if desired.things.keys().any(|key| key.kind == Kind::Robot)
        || desired.covers.iter().any(|(kind, _)| *kind == Kind::Robot)
    {
        prefix(node)
    } else {
        String::new()
    };
    if speaks(Kind::Robot, None) {
        for one in node.list(&format!("{API}/robots"))? {
            put(Kind::Robot, None, short(&word(&one, "/name"), &prefix), of_robot(&one));
        }
    }
    if speaks(Kind::Project, None) {
        for one in node.list(&format!("{API}/projects"))? {
            let name = word(&one, "/name");
            let within = Some(name.as_str());
            let wanted = Key { kind: Kind::Project, project: None, name: name.clone() };
            let Some(wanted) = desired.things.get(&wanted) else {
                put(Kind::Project, None, name, Fields::new());
                continue;
            };
            let switch = |key: &str| json!(if one["metadata"][key] == "true" { "true" } else { "false" });
            let mut fields = Fields::from([("public".into(), switch("public")), ("sparse".into(), switch("sparse"))]);
            if wanted.contains_key("quota") {
                fields.insert("quota".into(), json!(number(&quota::find(node, &name)?, "/hard/storage")?));
            }
            if speaks(Kind::ProjectLabel, within) {
                for label in label::list(node, Some(number(&one, "/project_id")?))? {
                    put(Kind::ProjectLabel, within, word(&label, "/name"), of(&label, &["color", "description"], []));
                }
            }
            if speaks(Kind::Member, within) {
                for member in member::list(node, &name)? {
                    put(Kind::Member, within, who(&member), of(&member, &[], [("role", member["role_name"].clone())]));
                }
            }
            if speaks(Kind::Grant, within) {
                for grant in member::list_grants(node, &name)? {
                    let key = format!("{} {}", who(&grant), word(&grant, "/repository"));
                    put(Kind::Grant, within, key, of(&grant, &[], [("role", grant["role_name"].clone())]));
                }
            }
            if speaks(Kind::Robot, within) {
                for robot in robot::of_project(node, &name)? {
                    put(Kind::Robot, within, short(&word(&robot, "/name"), &prefix), of_robot(&robot));
                }
            }
            put(Kind::Project, None, name.clone(), fields);
        }
    }
    Ok(state)
}

fn of<const N: usize>(object: &Value, texts: &[&str], more: [(&str, Value); N]) -> Fields {
    let texts = texts.iter().map(|field| ((*field).to_owned(), json!(word(object, &format!("/{field}")))));
    texts.chain(more.map(|(field, value)| (field.to_owned(), value))).collect()
}

fn of_robot(robot: &Value) -> Fields {
    let days = robot["duration"].as_i64().filter(|days| *days > 0).unwrap_or_default();
    let more = [
        ("days", json!(days)),
        ("disabled", json!(robot["disable"] == true)),
        ("rights", json!(robot::rights_of(robot))),
    ];
    of(robot, &["description"], more)
}

/// `user:eve`, `group:ops`: whom a member or grant is about.
fn who(entity: &Value) -> String {
    let kind = if entity["entity_type"] == "g" { "group" } else { "user" };
    format!("{kind}:{}", word(entity, "/entity_name"))
}

/// What robots' names begin with here. Who may not read the settings works with what Harbor begins with.
fn prefix(node: &Connection) -> String {
    let items = node.get::<Value>(&format!("{API}{}", settings::PATH));
    let prefix = items.map(|items| word(&items, "/robot_name_prefix/value")).unwrap_or_default();
    if prefix.is_empty() { "robot$".into() } else { prefix }
}

/// A robot's own name: without the prefix, and without its project.
fn short(full: &str, prefix: &str) -> String {
    let name = full.strip_prefix(prefix).unwrap_or(full);
    name.split_once('+').map_or(name, |(_, name)| name).to_owned()
}

/// Carries out one step. What is made with a secret is added to `shown` at once.
///
/// # Errors
/// [`Failure`].
pub(super) fn carry_out(node: &Connection, step: &Step, shown: &mut Vec<Shown>) -> Result<(), Failure> {
    match &step.act {
        Act::Leave => Ok(()),
        Act::Delete => delete(node, &step.key),
        Act::Create(fields) => create(node, &step.key, fields, shown),
        Act::Change(changes) => {
            let fields = changes.iter().map(|change| (change.field.clone(), change.to.clone())).collect();
            change(node, &step.key, &fields)
        }
    }
}

/// The project of a thing that is in one.
fn within(key: &Key) -> &str {
    key.project.as_deref().unwrap_or_default()
}

/// Whose labels a label is among.
fn labels(node: &Connection, key: &Key) -> Result<label::Of, Failure> {
    key.project.as_deref().map_or(Ok(None), |name| label::of_project(node, name))
}

/// Whom a member or grant is about, over which repositories: name, whether it is a group, pattern.
fn parts(name: &str) -> (&str, bool, &str) {
    let (who, pattern) = name.split_once(' ').unwrap_or((name, ""));
    match who.split_once(':') {
        Some(("group", name)) => (name, true, pattern),
        Some((_, name)) => (name, false, pattern),
        None => (who, false, pattern),
    }
}

fn texts(fields: &Fields, field: &str) -> Vec<String> {
    let list = fields.get(field).and_then(Value::as_array);
    list.into_iter().flatten().map(|item| word(item, "")).collect()
}

fn create(node: &Connection, key: &Key, fields: &Fields, shown: &mut Vec<Shown>) -> Result<(), Failure> {
    let name = key.name.as_str();
    match key.kind {
        Kind::Settings => change(node, key, fields),
        Kind::Role => {
            let mut document = json!({ "name": name, "permissions": pairs(&texts(fields, "permissions"))? });
            document["description"] = fields.get("description").cloned().unwrap_or(json!(""));
            node.send(&format!("{API}/mesh/roles"), &document)
        }
        Kind::User => {
            let secret = user::generated();
            let mut document = json!({
                "username": name, "password": secret, "email": format!("{name}@localhost.invalid"), "realname": name,
            });
            for field in ["email", "realname", "comment"] {
                if let Some(value) = fields.get(field) {
                    document[field] = value.clone();
                }
            }
            node.send(&format!("{API}/users"), &document)?;
            shown.push(Shown { key: key.clone(), secret });
            let true_ones = fields.iter().filter(|(_, value)| **value == json!(true));
            change(node, key, &true_ones.map(|(field, value)| (field.clone(), value.clone())).collect())
        }
        Kind::Group => {
            group::create(node, name)?;
            change(node, key, fields)
        }
        Kind::Label | Kind::ProjectLabel => {
            let mut document = json!(fields);
            document["name"] = json!(name);
            label::create(node, labels(node, key)?, &document)
        }
        Kind::Project => {
            let mut metadata = fields.clone();
            let limit = metadata.remove("quota").and_then(|limit| limit.as_i64());
            projects::create(node, name, &json!(metadata), limit)
        }
        Kind::Member => change(node, key, fields),
        Kind::Grant => {
            let (who, group, pattern) = parts(name);
            let role = fields.get("role").map(|role| word(role, "")).unwrap_or_default();
            member::grant(node, within(key), who, group, pattern, &role)
        }
        Kind::Robot => {
            let mut document = of_fields(fields)?;
            document["name"] = json!(name);
            document["level"] = json!(if key.project.is_some() { "project" } else { "system" });
            if document["duration"].is_null() {
                document["duration"] = json!(robot::duration(0));
            }
            let disable = document["disable"] == true;
            let made = robot::create(node, &document)?;
            shown.push(Shown { key: key.clone(), secret: Secret::from(word(&made, "/secret")) });
            // Some servers make every robot able to log in.
            if disable { change(node, key, &Fields::from([("disabled".to_owned(), json!(true))])) } else { Ok(()) }
        }
    }
}

fn of_fields(fields: &Fields) -> Result<Value, Failure> {
    let mut document = json!({});
    if let Some(rights) = fields.get("rights").and_then(Value::as_object) {
        let one = |(place, words): (&String, &Value)| {
            let words: Vec<String> = words.as_array().into_iter().flatten().map(|item| word(item, "")).collect();
            robot::at(place, &words)
        };
        document["permissions"] = rights.iter().map(one).collect::<Result<Value, _>>()?;
    }
    if let Some(days) = fields.get("days").and_then(Value::as_u64) {
        document["duration"] = json!(robot::duration(u32::try_from(days).unwrap_or(u32::MAX)));
    }
    for (field, theirs) in [("description", "description"), ("disabled", "disable")] {
        if let Some(value) = fields.get(field) {
            document[theirs] = value.clone();
        }
    }
    Ok(document)
}

fn find_robot(node: &Connection, key: &Key) -> Result<Value, Failure> {
    let robots = match &key.project {
        Some(name) => robot::of_project(node, name)?,
        None => node.list(&format!("{API}/robots"))?,
    };
    let prefix = prefix(node);
    let found = robots.into_iter().find(|robot| short(&word(robot, "/name"), &prefix) == key.name);
    found.ok_or_else(|| Failure::new(Code::NotFound, format!("there is no {key}")))
}

fn change(node: &Connection, key: &Key, fields: &Fields) -> Result<(), Failure> {
    if fields.is_empty() {
        return Ok(());
    }
    let name = key.name.as_str();
    match key.kind {
        Kind::Settings => node.put(&format!("{API}{}", settings::PATH), &json!(fields)),
        Kind::Role => {
            let mut document = role::find(node, name)?;
            if fields.contains_key("permissions") {
                document["permissions"] = pairs(&texts(fields, "permissions"))?;
            }
            if let Some(description) = fields.get("description") {
                document["description"] = description.clone();
            }
            node.put(&role::path(number(&document, "/id")?), &document)
        }
        Kind::User => {
            let id = user::find(node, name)?;
            if ["email", "realname", "comment"].iter().any(|field| fields.contains_key(*field)) {
                let now: Value = node.get(&user::path(id))?;
                let or =
                    |field: &str| fields.get(field).cloned().unwrap_or_else(|| json!(word(&now, &format!("/{field}"))));
                let document = json!({ "email": or("email"), "realname": or("realname"), "comment": or("comment") });
                node.put(&user::path(id), &document)?;
            }
            if let Some(admin) = fields.get("admin") {
                user::set_admin(node, id, *admin == json!(true))?;
            }
            fields.get("disabled").map_or(Ok(()), |off| user::set_disabled(node, id, *off == json!(true)))
        }
        Kind::Group => {
            let id = number(&group::find(node, name)?, "/id")?;
            group::set_members(node, id, &texts(fields, "members"))
        }
        Kind::Label | Kind::ProjectLabel => {
            let mut document = label::find(node, labels(node, key)?, name)?;
            for (field, value) in fields {
                document[field] = value.clone();
            }
            node.put(&label::path(number(&document, "/id")?), &document)
        }
        Kind::Project => {
            let mut metadata = fields.clone();
            if let Some(limit) = metadata.remove("quota").and_then(|limit| limit.as_i64()) {
                quota::set(node, name, limit)?;
            }
            if metadata.is_empty() { Ok(()) } else { projects::edit(node, name, &json!(metadata)) }
        }
        Kind::Member => {
            let (who, group, _) = parts(name);
            let role = fields.get("role").map(|role| word(role, "")).unwrap_or_default();
            member::put(node, within(key), who, group, &role)
        }
        // A right can't be changed in place: whoever has it is without it for a moment, never with more.
        Kind::Grant => {
            delete(node, key)?;
            create(node, key, fields, &mut Vec::new())
        }
        Kind::Robot => robot::change(node, &find_robot(node, key)?, &of_fields(fields)?),
    }
}

fn delete(node: &Connection, key: &Key) -> Result<(), Failure> {
    let name = key.name.as_str();
    match key.kind {
        Kind::Settings => Ok(()),
        Kind::Role => node.delete(&role::path(role::id(node, name)?)),
        Kind::User => node.delete(&user::path(user::find(node, name)?)),
        Kind::Group => node.delete(&group::path(number(&group::find(node, name)?, "/id")?)),
        Kind::Label | Kind::ProjectLabel => {
            node.delete(&label::path(number(&label::find(node, labels(node, key)?, name)?, "/id")?))
        }
        Kind::Project => node.delete(&project(name)),
        Kind::Member => {
            let (who, group, _) = parts(name);
            member::remove_named(node, within(key), who, group)
        }
        Kind::Grant => {
            let (who, group, pattern) = parts(name);
            let grant = member::find_grant(node, within(key), who, group, pattern)?;
            member::revoke(node, within(key), &grant)
        }
        Kind::Robot => node.delete(&robot::path(number(&find_robot(node, key)?, "/id")?)),
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
