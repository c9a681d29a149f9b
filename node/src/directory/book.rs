//! The book: everything that is in force about who may do what, looked up by name and by id. Holds it in memory; grows
//! with the number of projects, people and memberships, some hundred bytes each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::record::governed::{
    Configured, CustomRole, Entity, Group, LabelledKey, Member, MemberKey, Quota, Robot, User,
};
use protocol::record::value::{Life, Project, Value};
use protocol::record::{Kind, MeshId, ScopeId};
use protocol::trust::IdBlock;
use protocol::view::Topic;
use protocol::{Digest, ProjectName, RepositoryName};

use super::draft::IdOf;
use super::entry::{GroupEntry, LabelEntry, Named, Placed, ProjectEntry, RobotEntry, RoleEntry, UserEntry};
use super::labelled::Labelled;
use super::register::{Numbered, Register};
use crate::storage::meta::Entry;

/// The key of a robot: where, and its name.
pub(super) type RobotKey = (Option<ScopeId>, Arc<str>);

/// An id that more than one have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// What they are.
    pub of: IdOf,
    /// The id.
    pub id: u32,
    /// Who has it: the earliest first, which keeps it until this is settled.
    pub names: Vec<String>,
}

impl std::fmt::Display for Contested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.of.name(), self.id, self.names.join(", "))
    }
}

/// Everything that is in force.
#[derive(Debug)]
pub struct Book {
    mesh: MeshId,
    /// From which this site gives out ids.
    block: IdBlock,
    last: u64,
    ids: BTreeMap<IdOf, u32>,
    projects: BTreeMap<ProjectName, Arc<ProjectEntry>>,
    pub(super) project_ids: Register<ScopeId, ProjectEntry>,
    scopes: BTreeMap<ScopeId, ProjectName>,
    pub(super) users: Register<Arc<str>, Named<User>>,
    pub(super) groups: Register<Arc<str>, Named<Group>>,
    /// The groups that name a person, by name.
    groups_of: BTreeMap<u32, BTreeSet<Arc<str>>>,
    pub(super) roles: Register<Arc<str>, Named<CustomRole>>,
    members: BTreeMap<ScopeId, BTreeMap<MemberKey, Arc<Member>>>,
    pub(super) robots: Register<RobotKey, Placed<Named<Robot>>>,
    labels: BTreeMap<u32, LabelEntry>,
    labelled: Labelled,
    quotas: BTreeMap<ScopeId, Quota>,
    configuration: BTreeMap<Arc<str>, Configured>,
}

impl Book {
    /// An empty book of a lone node's mesh.
    #[must_use]
    pub fn new(mesh: MeshId) -> Self {
        Self {
            mesh,
            block: IdBlock::LONE,
            last: 0,
            ids: BTreeMap::new(),
            projects: BTreeMap::new(),
            project_ids: Register::default(),
            scopes: BTreeMap::new(),
            users: Register::default(),
            groups: Register::default(),
            groups_of: BTreeMap::new(),
            roles: Register::default(),
            members: BTreeMap::new(),
            robots: Register::default(),
            labels: BTreeMap::new(),
            labelled: Labelled::default(),
            quotas: BTreeMap::new(),
            configuration: BTreeMap::new(),
        }
    }

    /// The same book at a site that gives out ids of this block.
    #[must_use]
    pub(super) fn giving(self, block: IdBlock) -> Self {
        Self { block, ..self }
    }

    /// A book of these entries, whoever said them and whether they make sense together or not.
    #[cfg(test)]
    pub(crate) fn of(mesh: MeshId, entries: impl IntoIterator<Item = (Topic, Value)>) -> Self {
        let mut book = Self::new(mesh);
        let numbered = entries.into_iter().zip(1..);
        numbered.for_each(|((topic, value), at)| book.take(Entry { at, topic, value: Some(value) }));
        book
    }

    /// The number of the last change that is in it. Grows with every change, so what was worked out of the book stands
    /// as long as this does.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The mesh.
    #[must_use]
    pub const fn mesh(&self) -> &MeshId {
        &self.mesh
    }

    /// The scope of what is no project's.
    #[must_use]
    pub fn mesh_wide(&self) -> ScopeId {
        ScopeId::mesh_wide(&self.mesh)
    }

    /// From which this site gives out ids.
    pub(super) const fn block(&self) -> IdBlock {
        self.block
    }

    /// Notes an id that was given out. One of another site's block is no reason to go on from there.
    pub(super) fn given_out(&mut self, of: IdOf, id: u32) {
        if self.block.contains(id) {
            let known = self.ids.entry(of).or_default();
            *known = id.max(*known);
        }
    }

    /// The last id of this site's block that was given out; `None`: none was.
    pub(super) fn last_id(&self, of: IdOf) -> Option<u32> {
        self.ids.get(&of).copied()
    }

    /// Takes an entry in. One that stands where its kind has no say is left out: whoever administers a project must not
    /// make people or roles of it.
    pub(super) fn take(&mut self, entry: Entry) {
        self.last = self.last.max(entry.at);
        let Topic { scope, kind, key } = entry.topic;
        let is_mesh_wide = scope == self.mesh_wide();
        let name: Option<Arc<str>> = std::str::from_utf8(key.as_bytes()).ok().map(Into::into);
        let place = (!is_mesh_wide).then_some(scope);
        match (kind, name) {
            (Kind::PROJECT, _) if !is_mesh_wide => self.take_project(scope, entry.value),
            (Kind::USER, Some(name)) if is_mesh_wide => self.take_user(&name, entry.value),
            (Kind::GROUP, Some(name)) if is_mesh_wide => self.take_group(&name, entry.value),
            (Kind::ROLE, Some(name)) if is_mesh_wide => self.take_role(&name, entry.value),
            (Kind::CONFIGURATION, Some(name)) if is_mesh_wide => match entry.value {
                Some(Value::Configured(is)) => drop(self.configuration.insert(name, is)),
                _ => drop(self.configuration.remove(&name)),
            },
            (Kind::ROBOT, Some(name)) => self.take_robot(place, name, entry.value),
            (Kind::LABEL, Some(name)) => self.take_label(place, &name, entry.value),
            (Kind::LABELLED, _) if !is_mesh_wide => {
                let is_on = matches!(entry.value, Some(Value::Labelled(_)));
                // A key speaks of repositories of the project whose scope it stands in; another's is not found by it.
                if let Some(key) = LabelledKey::read(&key) {
                    self.labelled.take(scope, key, is_on);
                }
            }
            (Kind::QUOTA, _) if !is_mesh_wide => match entry.value {
                Some(Value::Quota(is)) => drop(self.quotas.insert(scope, is)),
                _ => drop(self.quotas.remove(&scope)),
            },
            (Kind::MEMBER, _) if !is_mesh_wide => {
                let Some(key) = MemberKey::read(&key) else { return };
                match entry.value {
                    Some(Value::Member(is)) => {
                        self.given_out(IdOf::Member, is.id);
                        self.members.entry(scope).or_default().insert(key, Arc::new(is));
                    }
                    _ => {
                        if let Some(members) = self.members.get_mut(&scope) {
                            members.remove(&key);
                            if members.is_empty() {
                                self.members.remove(&scope);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn take_project(&mut self, scope: ScopeId, value: Option<Value>) {
        if let Some(name) = self.scopes.remove(&scope)
            && self.projects.get(&name).is_some_and(|old| old.scope == scope)
        {
            self.projects.remove(&name);
        }
        let Some(Value::Project(Project { name, nonce, life: Life::Open(settings) })) = value else {
            self.project_ids.take(&scope, None);
            return;
        };
        self.given_out(IdOf::Project, settings.id);
        self.scopes.insert(scope, name.clone());
        let entry = Arc::new(ProjectEntry { name: name.clone(), scope, nonce, settings });
        self.project_ids.take(&scope, Some(Arc::clone(&entry)));
        self.projects.insert(name, entry);
    }

    fn take_user(&mut self, name: &Arc<str>, value: Option<Value>) {
        let entry = if let Some(Value::User(is)) = value { Some(is) } else { None };
        let entry = entry.inspect(|is| self.given_out(IdOf::User, is.id));
        self.users.take(name, entry.map(|is| Arc::new(Named { name: Arc::clone(name), is })));
    }

    fn take_group(&mut self, name: &Arc<str>, value: Option<Value>) {
        let entry = if let Some(Value::Group(is)) = value { Some(is) } else { None };
        let entry = entry.inspect(|is| self.given_out(IdOf::Group, is.id));
        let entry = entry.map(|is| Arc::new(Named { name: Arc::clone(name), is }));
        if let Some(old) = self.groups.take(name, entry.clone()) {
            for user in &old.is.members {
                if let Some(groups) = self.groups_of.get_mut(user) {
                    groups.remove(name);
                    if groups.is_empty() {
                        self.groups_of.remove(user);
                    }
                }
            }
        }
        for user in entry.iter().flat_map(|group| &group.is.members) {
            self.groups_of.entry(*user).or_default().insert(Arc::clone(name));
        }
    }

    fn take_role(&mut self, name: &Arc<str>, value: Option<Value>) {
        let entry = if let Some(Value::Role(is)) = value { Some(is) } else { None };
        let entry = entry.inspect(|is| self.given_out(IdOf::Role, is.id));
        self.roles.take(name, entry.map(|is| Arc::new(Named { name: Arc::clone(name), is })));
    }

    fn take_robot(&mut self, scope: Option<ScopeId>, name: Arc<str>, value: Option<Value>) {
        let entry = if let Some(Value::Robot(is)) = value { Some(is) } else { None };
        let entry = entry.inspect(|is| self.given_out(IdOf::Robot, is.id));
        let entry = entry.map(|is| Arc::new(Placed { scope, is: Named { name: Arc::clone(&name), is } }));
        self.robots.take(&(scope, name), entry);
    }

    fn take_label(&mut self, scope: Option<ScopeId>, key: &str, value: Option<Value>) {
        let Ok(id) = key.parse::<u32>() else { return };
        match value {
            // The key names it: a value that says another id is somebody's trick.
            Some(Value::Label(is)) if is.id == id => {
                self.given_out(IdOf::Label, is.id);
                self.labels.insert(id, Arc::new(Placed { scope, is }));
            }
            _ => {
                if self.labels.get(&id).is_some_and(|old| old.scope == scope) {
                    self.labels.remove(&id);
                }
            }
        }
    }

    /// A project by name.
    #[must_use]
    pub fn project(&self, name: &ProjectName) -> Option<&Arc<ProjectEntry>> {
        self.projects.get(name)
    }

    /// A project by id.
    #[must_use]
    pub fn project_by_id(&self, id: u32) -> Option<&Arc<ProjectEntry>> {
        self.project_ids.by_id(id).filter(|found| self.project(&found.name).is_some_and(|is| is.scope == found.scope))
    }

    /// The open project of a scope.
    #[must_use]
    pub fn project_of(&self, scope: &ScopeId) -> Option<&Arc<ProjectEntry>> {
        self.projects.get(self.scopes.get(scope)?)
    }

    /// All projects by name.
    pub fn projects(&self) -> impl DoubleEndedIterator<Item = &Arc<ProjectEntry>> + ExactSizeIterator {
        self.projects.values()
    }

    /// A person by name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&UserEntry> {
        self.users.get(&name.into())
    }

    /// A person by id.
    #[must_use]
    pub fn user_by_id(&self, id: u32) -> Option<&UserEntry> {
        self.users.by_id(id)
    }

    /// All people by name.
    pub fn users(&self) -> impl DoubleEndedIterator<Item = &UserEntry> + ExactSizeIterator {
        self.users.all()
    }

    /// A group by name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupEntry> {
        self.groups.get(&name.into())
    }

    /// A group by id.
    #[must_use]
    pub fn group_by_id(&self, id: u32) -> Option<&GroupEntry> {
        self.groups.by_id(id)
    }

    /// All groups by name.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = &GroupEntry> + ExactSizeIterator {
        self.groups.all()
    }

    /// The groups that name this id among their members.
    pub(super) fn groups_naming(&self, user: u32) -> impl Iterator<Item = &GroupEntry> {
        self.groups_of.get(&user).into_iter().flatten().filter_map(|name| self.groups.get(name))
    }

    /// The groups a person belongs to, by id. Where two have an id, nobody knows whom or what it means: none.
    pub fn groups_of(&self, user: u32) -> impl Iterator<Item = u32> {
        let ids = self.groups_naming(user).map(|group| group.is.id);
        ids.filter(move |id| !self.users.is_contested(user) && !self.groups.is_contested(*id))
    }

    /// A role that someone named.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&RoleEntry> {
        self.roles.get(&name.into())
    }

    /// A role that someone named, by id. An id that two roles have means neither: who is given it would have the other's
    /// rights.
    #[must_use]
    pub fn role_by_id(&self, id: u32) -> Option<&RoleEntry> {
        self.roles.by_id(id).filter(|_| !self.roles.is_contested(id))
    }

    /// All roles that someone named.
    pub fn roles(&self) -> impl DoubleEndedIterator<Item = &RoleEntry> + ExactSizeIterator {
        self.roles.all()
    }

    /// The memberships of a project: of all of it, and of parts.
    pub fn members(&self, scope: &ScopeId) -> impl DoubleEndedIterator<Item = (&MemberKey, &Arc<Member>)> {
        self.members.get(scope).into_iter().flatten()
    }

    /// A membership.
    #[must_use]
    pub fn member(&self, scope: &ScopeId, key: &MemberKey) -> Option<&Arc<Member>> {
        self.members.get(scope)?.get(key)
    }

    /// A membership by id.
    #[must_use]
    pub fn member_by_id(&self, scope: &ScopeId, id: u32) -> Option<(&MemberKey, &Arc<Member>)> {
        self.members(scope).find(|(_, member)| member.id == id)
    }

    /// The memberships by which a person takes part in a project: their own and those of their groups. None while two
    /// people have the id: a membership does not say which of them is meant.
    pub fn memberships(&self, scope: &ScopeId, user: u32) -> impl Iterator<Item = (&MemberKey, &Arc<Member>)> {
        let entities = std::iter::once(Entity::User(user)).chain(self.groups_of(user).map(Entity::Group));
        let members = self.members.get(scope).filter(|_| !self.users.is_contested(user));
        entities.flat_map(move |entity| {
            let first = MemberKey { entity, repositories: None };
            let from = members.into_iter().flat_map(move |members| members.range(first.clone()..));
            from.take_while(move |(key, _)| key.entity == entity)
        })
    }

    /// A robot of a project, or of the system, by the name it was given.
    #[must_use]
    pub fn robot(&self, scope: Option<ScopeId>, name: &str) -> Option<&RobotEntry> {
        self.robots.get(&(scope, Arc::from(name)))
    }

    /// A robot by what follows the prefix of its name: `name`, or `project+name`.
    #[must_use]
    pub fn robot_of(&self, name: &str) -> Option<&RobotEntry> {
        match name.split_once('+') {
            Some((project, name)) => {
                let project: ProjectName = project.parse().ok()?;
                self.robot(Some(self.project(&project)?.scope), name)
            }
            None => self.robot(None, name),
        }
    }

    /// A robot by id.
    #[must_use]
    pub fn robot_by_id(&self, id: u32) -> Option<&RobotEntry> {
        self.robots.by_id(id)
    }

    /// All robots of projects that are open, and of the system.
    pub fn robots(&self) -> impl DoubleEndedIterator<Item = &RobotEntry> {
        self.robots.all().filter(|robot| robot.scope.is_none_or(|scope| self.scopes.contains_key(&scope)))
    }

    /// Whether there is a person of this name, also one that is nobody because the id is another's.
    pub(super) fn is_user_said(&self, name: &str) -> bool {
        self.users.is_said(&name.into())
    }

    /// Whether there is a group of this name, as above.
    pub(super) fn is_group_said(&self, name: &str) -> bool {
        self.groups.is_said(&name.into())
    }

    /// Whether there is a robot of this name, as above.
    pub(super) fn is_robot_said(&self, scope: Option<ScopeId>, name: &str) -> bool {
        self.robots.is_said(&(scope, name.into()))
    }

    /// Ids that more than one have, which no site does that keeps to its block.
    #[must_use]
    pub fn contested(&self) -> Vec<Contested> {
        fn each<K: Ord + Clone, T: Numbered>(
            of: IdOf,
            register: &Register<K, T>,
            name: impl Fn(&T) -> String,
        ) -> impl Iterator<Item = Contested> {
            let whose = move |(id, things): (u32, Vec<&Arc<T>>)| Contested {
                of,
                id,
                names: things.into_iter().map(|thing| name(thing)).collect(),
            };
            register.contested().map(whose)
        }
        let place = |scope: &ScopeId| self.scopes.get(scope).map_or_else(|| "?".into(), ToString::to_string);
        let robot = |robot: &Placed<Named<Robot>>| match &robot.scope {
            Some(scope) => format!("{}+{}", place(scope), robot.is.name),
            None => robot.is.name.to_string(),
        };
        each(IdOf::Project, &self.project_ids, |project| project.name.to_string())
            .chain(each(IdOf::User, &self.users, |user| user.name.to_string()))
            .chain(each(IdOf::Group, &self.groups, |group| group.name.to_string()))
            .chain(each(IdOf::Robot, &self.robots, robot))
            .chain(each(IdOf::Role, &self.roles, |role| role.name.to_string()))
            .collect()
    }

    /// A label by id.
    #[must_use]
    pub fn label(&self, id: u32) -> Option<&LabelEntry> {
        self.labels.get(&id).filter(|label| label.scope.is_none_or(|scope| self.scopes.contains_key(&scope)))
    }

    /// The labels of a project, or of the whole mesh.
    pub fn labels(&self, scope: Option<ScopeId>) -> impl DoubleEndedIterator<Item = &LabelEntry> {
        self.labels.values().filter(move |label| label.scope == scope)
    }

    /// Which manifests have which labels.
    #[must_use]
    pub const fn labelled(&self) -> &Labelled {
        &self.labelled
    }

    /// The labels on a manifest that are there and may be on it, by id: those of its project and of the whole mesh.
    pub fn labels_on(&self, repository: &RepositoryName, digest: &Digest) -> impl Iterator<Item = &LabelEntry> {
        let scope = self.project(&repository.project()).map(|project| project.scope);
        let ids = scope.into_iter().flat_map(move |scope| self.labelled.on(scope, repository, digest));
        let labels = ids.filter_map(|id| self.label(id));
        labels.filter(move |label| label.scope.is_none() || label.scope == scope)
    }

    /// The quota that was set for a project; `None`: none was.
    #[must_use]
    pub fn quota(&self, scope: &ScopeId) -> Option<Quota> {
        self.quotas.get(scope).copied()
    }

    /// A setting of the whole mesh, as JSON; `None`: it was never set.
    #[must_use]
    pub fn configured(&self, name: &str) -> Option<&str> {
        self.configuration.get(name).map(|configured| configured.value.as_str())
    }

    /// A setting that is text.
    #[must_use]
    pub fn configured_text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.configured(name)?).ok()
    }

    /// A setting that is a truth value.
    #[must_use]
    pub fn configured_flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.configured(name)?).ok()
    }

    /// A setting that is a number.
    #[must_use]
    pub fn configured_number(&self, name: &str) -> Option<i64> {
        serde_json::from_str(self.configured(name)?).ok()
    }
}
