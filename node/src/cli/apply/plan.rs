//! What must change so that an installation is what a file says: decided here, without asking or telling anyone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

/// What is governed, in the order in which one thing needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// All settings together: one thing, always there.
    Settings,
    /// A role of the installation's own.
    Role,
    /// An account.
    User,
    /// A group, with its members.
    Group,
    /// A label.
    Label,
    /// A project, with its settings and quota.
    Project,
    /// A label of a project.
    ProjectLabel,
    /// A user or group in a project.
    Member,
    /// A right over single repositories.
    Grant,
    /// An account for a program.
    Robot,
}

/// One governed thing by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// What.
    pub(super) kind: Kind,
    /// In which project, if in one.
    pub(super) project: Option<String>,
    /// Its name; of members and grants with who is meant: `user:eve`, `group:ops app/**`.
    pub(super) name: String,
}

/// What is said of one thing.
pub(super) type Fields = BTreeMap<String, Value>;
/// All there is.
pub(super) type State = BTreeMap<Key, Fields>;
/// Things of one kind in one place.
pub(super) type Section = (Kind, Option<String>);

/// What shall be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Desired {
    /// The things. A field that is not named stays as it is.
    pub(super) things: State,
    /// Sections the file speaks of: what is in one of them and not named may be pruned.
    pub(super) covers: BTreeSet<Section>,
}

/// One field that changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// Which.
    pub(super) field: String,
    /// What it is.
    pub(super) from: Value,
    /// What it shall be.
    pub(super) to: Value,
}

/// What is done with one thing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// It is made.
    Create(Fields),
    /// It is changed.
    Change(Vec<Change>),
    /// It is as it shall be.
    Leave,
    /// It goes.
    Delete,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// With what.
    pub(super) key: Key,
    /// What.
    pub(super) act: Act,
}

/// The way from what is to what shall be: first what is made and changed, each after what it needs; then what goes, in
/// the opposite order.
pub(super) fn plan(current: &State, desired: &Desired, prune: bool) -> Vec<Step> {
    let toward = desired.things.iter().map(|(key, wanted)| {
        let act = current.get(key).map_or_else(|| Act::Create(wanted.clone()), |now| changes(now, wanted));
        Step { key: key.clone(), act }
    });
    let gone = current.keys().rev().filter(|key| {
        let section = (key.kind, key.project.clone());
        prune && key.kind != Kind::Settings && desired.covers.contains(&section) && !desired.things.contains_key(key)
    });
    let gone = gone.map(|key| Step { key: key.clone(), act: Act::Delete });
    toward.chain(gone).collect()
}

fn changes(now: &Fields, wanted: &Fields) -> Act {
    let differs = |(field, to): (&String, &Value)| {
        let from = now.get(field).unwrap_or(&Value::Null);
        (from != to).then(|| Change { field: field.clone(), from: from.clone(), to: to.clone() })
    };
    let changes: Vec<_> = wanted.iter().filter_map(differs).collect();
    if changes.is_empty() { Act::Leave } else { Act::Change(changes) }
}

/// Whether a plan does anything.
pub(super) fn is_empty(steps: &[Step]) -> bool {
    steps.iter().all(|step| step.act == Act::Leave)
}

impl Kind {
    /// The word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Role => "role",
            Self::User => "user",
            Self::Group => "group",
            Self::Label | Self::ProjectLabel => "label",
            Self::Project => "project",
            Self::Member => "member",
            Self::Grant => "grant",
            Self::Robot => "robot",
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.project, self.kind) {
            (_, Kind::Settings) => f.write_str("settings"),
            (Some(project), kind) => write!(f, "{} {} of {project}", kind.word(), self.name),
            (None, kind) => write!(f, "{} {}", kind.word(), self.name),
        }
    }
}

/// The plan as people read it: every thing, and of what changes every field.
pub(super) fn text(steps: &[Step]) -> String {
    let mut out = String::new();
    let mut counts = [0_usize; 4];
    for Step { key, act } in steps {
        let (at, mark) = match act {
            Act::Create(_) => (0, "create"),
            Act::Change(_) => (1, "change"),
            Act::Leave => (2, "leave "),
            Act::Delete => (3, "delete"),
        };
        counts[at] += 1;
        let _ = writeln!(out, "{mark}  {key}");
        match act {
            Act::Create(fields) => {
                for (field, value) in fields {
                    let _ = writeln!(out, "          {field}: {value}");
                }
            }
            Act::Change(changes) => {
                for Change { field, from, to } in changes {
                    let _ = writeln!(out, "          {field}: {from} -> {to}");
                }
            }
            Act::Leave | Act::Delete => {}
        }
    }
    let [create, change, leave, delete] = counts;
    let _ = writeln!(out, "{create} to create, {change} to change, {leave} to leave, {delete} to delete");
    out
}

/// The plan for programs.
pub(super) fn data(steps: &[Step]) -> Value {
    let one = |Step { key, act }: &Step| {
        let (word, fields) = match act {
            Act::Create(fields) => ("create", serde_json::json!(fields)),
            Act::Change(changes) => {
                let changes = changes
                    .iter()
                    .map(|Change { field, from, to }| (field.clone(), serde_json::json!({ "from": from, "to": to })));
                ("change", changes.collect::<serde_json::Map<_, _>>().into())
            }
            Act::Leave => ("leave", serde_json::json!({})),
            Act::Delete => ("delete", serde_json::json!({})),
        };
        serde_json::json!({
            "act": word, "kind": key.kind.word(), "project": key.project, "name": key.name, "fields": fields,
        })
    };
    steps.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key(kind: Kind, project: Option<&str>, name: &str) -> Key {
        Key { kind, project: project.map(str::to_owned), name: name.into() }
    }

    fn fields(pairs: &[(&str, Value)]) -> Fields {
        pairs.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect()
    }

    /// What a node that obeys becomes by a plan.
    fn carried_out(mut state: State, steps: &[Step]) -> State {
        for Step { key, act } in steps {
            match act {
                Act::Create(fields) => {
                    assert!(key.project.as_ref().is_none_or(|of| state.contains_key(&self::key(
                        Kind::Project,
                        None,
                        of
                    ))));
                    assert!(state.insert(key.clone(), fields.clone()).is_none(), "{key} was there");
                }
                Act::Change(changes) => {
                    let thing = state.get_mut(key).unwrap();
                    for Change { field, from, to } in changes {
                        let was = thing.insert(field.clone(), to.clone()).unwrap_or(Value::Null);
                        assert_eq!(&was, from);
                    }
                }
                Act::Leave => assert!(state.contains_key(key)),
                Act::Delete => {
                    assert!(state.remove(key).is_some(), "{key} was not there");
                    if key.kind == Kind::Project {
                        state.retain(|other, _| other.project.as_ref() != Some(&key.name));
                    }
                }
            }
        }
        state
    }

    #[test]
    fn a_plan_says_what_changes_field_by_field() {
        let current = State::from([
            (key(Kind::Project, None, "team"), fields(&[("public", json!("false")), ("sparse", json!("true"))])),
            (key(Kind::Member, Some("team"), "user:adam"), fields(&[("role", json!("guest"))])),
        ]);
        let mut desired = Desired::default();
        desired.things.insert(key(Kind::Project, None, "team"), fields(&[("public", json!("true"))]));
        desired.things.insert(key(Kind::Member, Some("team"), "user:eve"), fields(&[("role", json!("guest"))]));
        desired.covers.insert((Kind::Member, Some("team".into())));
        assert_eq!(
            text(&plan(&current, &desired, true)),
            "change  project team\n          public: \"false\" -> \"true\"\n\
             create  member user:eve of team\n          role: \"guest\"\n\
             delete  member user:adam of team\n1 to create, 1 to change, 0 to leave, 1 to delete\n"
        );
        let kept = plan(&current, &desired, false);
        assert!(kept.iter().all(|step| step.act != Act::Delete), "nothing goes without --prune");
        assert_eq!(data(&kept)[0]["fields"]["public"]["to"], "true");
    }

    #[test]
    fn sections_the_file_does_not_speak_of_are_not_pruned() {
        let current = State::from([(key(Kind::User, None, "eve"), Fields::new())]);
        let mut desired = Desired::default();
        desired.covers.insert((Kind::Project, None));
        assert_eq!(plan(&current, &desired, true), []);
        desired.covers.insert((Kind::User, None));
        assert_eq!(plan(&current, &desired, true).len(), 1);
    }

    fn some_fields() -> impl Strategy<Value = Fields> {
        prop::collection::btree_map("[ab]", (0..3_u8).prop_map(Value::from), 0..3)
    }

    /// A state in which whatever is in a project has that project.
    fn some_state() -> impl Strategy<Value = State> {
        let kinds =
            prop_oneof![Just(Kind::Role), Just(Kind::User), Just(Kind::Group), Just(Kind::Label), Just(Kind::Project)];
        let inner = prop_oneof![Just(Kind::ProjectLabel), Just(Kind::Member), Just(Kind::Grant), Just(Kind::Robot)];
        let top = prop::collection::btree_map((kinds, "[xyz]"), some_fields(), 0..8);
        let within = prop::collection::btree_map((inner, "[xyz]", "[mn]"), some_fields(), 0..8);
        (top, within).prop_map(|(top, within)| {
            let mut state: State =
                top.into_iter().map(|((kind, name), fields)| (key(kind, None, &name), fields)).collect();
            for ((kind, project, name), fields) in within {
                state.entry(key(Kind::Project, None, &project)).or_default();
                state.insert(key(kind, Some(&project), &name), fields);
            }
            state
        })
    }

    /// All sections of what is wanted, so that everything else may go.
    fn all_of(things: &State) -> BTreeSet<Section> {
        let mut covers: BTreeSet<Section> =
            [Kind::Role, Kind::User, Kind::Group, Kind::Label, Kind::Project].map(|kind| (kind, None)).into();
        for project in things.keys().filter(|key| key.kind == Kind::Project) {
            for kind in [Kind::ProjectLabel, Kind::Member, Kind::Grant, Kind::Robot] {
                covers.insert((kind, Some(project.name.clone())));
            }
        }
        covers
    }

    proptest! {
        #[test]
        fn a_plan_leads_to_what_is_wanted_and_then_there_is_nothing_left_to_do(
            current in some_state(), things in some_state(), prune in any::<bool>(), whole in any::<bool>(),
        ) {
            let covers = if whole { all_of(&things) } else { BTreeSet::new() };
            let desired = Desired { things, covers };
            let after = carried_out(current.clone(), &plan(&current, &desired, prune));
            for (key, wanted) in &desired.things {
                let now = after.get(key).expect("it is there");
                prop_assert!(wanted.iter().all(|(field, value)| now.get(field) == Some(value)), "{}", key);
            }
            if prune && whole {
                prop_assert!(after.keys().eq(desired.things.keys()));
            } else {
                prop_assert!(current.keys().all(|key| after.contains_key(key)));
            }
            prop_assert!(is_empty(&plan(&after, &desired, prune)));
        }
    }
}
