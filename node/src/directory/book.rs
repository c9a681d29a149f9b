//! The book: everything that is in force about who may do what, looked up by name and by id. Holds it in memory; grows
//! with the number of projects, people and memberships, some hundred bytes each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::record::governed::{
    Configured, CustomRole, Entity, Group, Label, LabelledKey, Member, MemberKey, Quota, Robot, User,
};
use protocol::record::value::{Life, Project, Settings, Value};
use protocol::record::{Kind, MeshId, ScopeId};
use protocol::view::Topic;
use protocol::{Digest, ProjectName, RepositoryName};

use super::draft::IdOf;
use super::labelled::Labelled;
use crate::storage::meta::Entry;

/// An open project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// Its name.
    pub name: ProjectName,
    /// Where the records of what is in it stand.
    pub scope: ScopeId,
    /// What opens the binding of its name.
    pub nonce: [u8; 16],
    /// How it is set.
    pub settings: Settings,
}

/// A person.
pub type UserEntry = Arc<Named<User>>;
/// A group.
pub type GroupEntry = Arc<Named<Group>>;
/// A role that someone named.
pub type RoleEntry = Arc<Named<CustomRole>>;
/// A robot.
pub type RobotEntry = Arc<Placed<Named<Robot>>>;
/// A label.
pub type LabelEntry = Arc<Placed<Label>>;

/// Something and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The name.
    pub name: Arc<str>,
    /// What is in force of it.
    pub is: T,
}

/// Something that belongs to a project, or to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The project's scope; `None`: the whole mesh.
    pub scope: Option<ScopeId>,
    /// What is there.
    pub is: T,
}

/// Everything that is in force.
#[derive(Debug)]
pub struct Book {
    mesh: MeshId,
    last: u64,
    ids: BTreeMap<IdOf, u32>,
    projects: BTreeMap<ProjectName, Arc<ProjectEntry>>,
    project_ids: BTreeMap<u32, ProjectName>,
    scopes: BTreeMap<ScopeId, ProjectName>,
    users: BTreeMap<Arc<str>, UserEntry>,
    user_ids: BTreeMap<u32, Arc<str>>,
    groups: BTreeMap<Arc<str>, GroupEntry>,
    group_ids: BTreeMap<u32, Arc<str>>,
    groups_of: BTreeMap<u32, BTreeSet<u32>>,
    roles: BTreeMap<Arc<str>, RoleEntry>,
    role_ids: BTreeMap<u32, Arc<str>>,
    members: BTreeMap<ScopeId, BTreeMap<MemberKey, Arc<Member>>>,
    robots: BTreeMap<(Option<ScopeId>, Arc<str>), RobotEntry>,
    robot_ids: BTreeMap<u32, (Option<ScopeId>, Arc<str>)>,
    labels: BTreeMap<u32, LabelEntry>,
    labelled: Labelled,
    quotas: BTreeMap<ScopeId, Quota>,
    configuration: BTreeMap<Arc<str>, Configured>,
}

impl Book {
    /// An empty book of a mesh.
    #[must_use]
    pub fn new(mesh: MeshId) -> Self {
        Self {
            mesh,
            last: 0,
            ids: BTreeMap::new(),
            projects: BTreeMap::new(),
            project_ids: BTreeMap::new(),
            scopes: BTreeMap::new(),
            users: BTreeMap::new(),
            user_ids: BTreeMap::new(),
            groups: BTreeMap::new(),
            group_ids: BTreeMap::new(),
            groups_of: BTreeMap::new(),
            roles: BTreeMap::new(),
            role_ids: BTreeMap::new(),
            members: BTreeMap::new(),
            robots: BTreeMap::new(),
            robot_ids: BTreeMap::new(),
            labels: BTreeMap::new(),
            labelled: Labelled::default(),
            quotas: BTreeMap::new(),
            configuration: BTreeMap::new(),
        }
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

    /// Notes the last id that was given out.
    pub(super) fn given_out(&mut self, of: IdOf, last: u32) {
        let known = self.ids.entry(of).or_default();
        *known = last.max(*known);
    }

    /// The last id that was given out.
    pub(super) fn last_id(&self, of: IdOf) -> u32 {
        self.ids.get(&of).copied().unwrap_or_default()
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
            (Kind::USER, Some(name)) if is_mesh_wide => self.take_user(name, entry.value),
            (Kind::GROUP, Some(name)) if is_mesh_wide => self.take_group(name, entry.value),
            (Kind::ROLE, Some(name)) if is_mesh_wide => self.take_role(name, entry.value),
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
            && let Some(old) = self.projects.get(&name).filter(|old| old.scope == scope)
        {
            forget(&mut self.project_ids, old.settings.id, &name);
            self.projects.remove(&name);
        }
        let Some(Value::Project(Project { name, nonce, life: Life::Open(settings) })) = value else { return };
        self.given_out(IdOf::Project, settings.id);
        self.project_ids.insert(settings.id, name.clone());
        self.scopes.insert(scope, name.clone());
        self.projects.insert(name.clone(), Arc::new(ProjectEntry { name, scope, nonce, settings }));
    }

    fn take_user(&mut self, name: Arc<str>, value: Option<Value>) {
        if let Some(old) = self.users.remove(&name) {
            forget(&mut self.user_ids, old.is.id, &name);
        }
        let Some(Value::User(is)) = value else { return };
        self.given_out(IdOf::User, is.id);
        self.user_ids.insert(is.id, Arc::clone(&name));
        self.users.insert(Arc::clone(&name), Arc::new(Named { name, is }));
    }

    fn take_group(&mut self, name: Arc<str>, value: Option<Value>) {
        if let Some(old) = self.groups.remove(&name) {
            forget(&mut self.group_ids, old.is.id, &name);
            for user in &old.is.members {
                if let Some(groups) = self.groups_of.get_mut(user) {
                    groups.remove(&old.is.id);
                    if groups.is_empty() {
                        self.groups_of.remove(user);
                    }
                }
            }
        }
        let Some(Value::Group(is)) = value else { return };
        self.given_out(IdOf::Group, is.id);
        self.group_ids.insert(is.id, Arc::clone(&name));
        for user in &is.members {
            self.groups_of.entry(*user).or_default().insert(is.id);
        }
        self.groups.insert(Arc::clone(&name), Arc::new(Named { name, is }));
    }

    fn take_role(&mut self, name: Arc<str>, value: Option<Value>) {
        if let Some(old) = self.roles.remove(&name) {
            forget(&mut self.role_ids, old.is.id, &name);
        }
        let Some(Value::Role(is)) = value else { return };
        self.given_out(IdOf::Role, is.id);
        self.role_ids.insert(is.id, Arc::clone(&name));
        self.roles.insert(Arc::clone(&name), Arc::new(Named { name, is }));
    }

    fn take_robot(&mut self, scope: Option<ScopeId>, name: Arc<str>, value: Option<Value>) {
        let key = (scope, Arc::clone(&name));
        if let Some(old) = self.robots.remove(&key) {
            forget(&mut self.robot_ids, old.is.is.id, &key);
        }
        let Some(Value::Robot(is)) = value else { return };
        self.given_out(IdOf::Robot, is.id);
        self.robot_ids.insert(is.id, key.clone());
        self.robots.insert(key, Arc::new(Placed { scope, is: Named { name, is } }));
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
        self.projects.get(self.project_ids.get(&id)?)
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
        self.users.get(name)
    }

    /// A person by id.
    #[must_use]
    pub fn user_by_id(&self, id: u32) -> Option<&UserEntry> {
        self.users.get(self.user_ids.get(&id)?)
    }

    /// All people by name.
    pub fn users(&self) -> impl DoubleEndedIterator<Item = &UserEntry> + ExactSizeIterator {
        self.users.values()
    }

    /// A group by name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupEntry> {
        self.groups.get(name)
    }

    /// A group by id.
    #[must_use]
    pub fn group_by_id(&self, id: u32) -> Option<&GroupEntry> {
        self.groups.get(self.group_ids.get(&id)?)
    }

    /// All groups by name.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = &GroupEntry> + ExactSizeIterator {
        self.groups.values()
    }

    /// The groups a person belongs to, by id.
    pub fn groups_of(&self, user: u32) -> impl Iterator<Item = u32> {
        self.groups_of.get(&user).into_iter().flatten().copied()
    }

    /// A role that someone named.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&RoleEntry> {
        self.roles.get(name)
    }

    /// A role that someone named, by id.
    #[must_use]
    pub fn role_by_id(&self, id: u32) -> Option<&RoleEntry> {
        self.roles.get(self.role_ids.get(&id)?)
    }

    /// All roles that someone named.
    pub fn roles(&self) -> impl DoubleEndedIterator<Item = &RoleEntry> + ExactSizeIterator {
        self.roles.values()
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

    /// The memberships by which a person takes part in a project: their own and those of their groups.
    pub fn memberships(&self, scope: &ScopeId, user: u32) -> impl Iterator<Item = (&MemberKey, &Arc<Member>)> {
        let entities = std::iter::once(Entity::User(user)).chain(self.groups_of(user).map(Entity::Group));
        let members = self.members.get(scope);
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
        self.robots.get(self.robot_ids.get(&id)?)
    }

    /// All robots of projects that are open, and of the system.
    pub fn robots(&self) -> impl DoubleEndedIterator<Item = &RobotEntry> {
        self.robots.values().filter(|robot| robot.scope.is_none_or(|scope| self.scopes.contains_key(&scope)))
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

/// Takes an id from what has it. Sites that change things at the same moment may leave two with one id: the end of one is
/// not the other's.
fn forget<T: PartialEq>(ids: &mut BTreeMap<u32, T>, id: u32, of: &T) {
    if ids.get(&id) == Some(of) {
        ids.remove(&id);
    }
}
