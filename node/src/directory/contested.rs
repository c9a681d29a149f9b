//! Ids that two things have, settled: each gets one of its own. Decides only.
//!
//! No site that keeps to its block brings this about; one that was set back to an old copy, or is in other hands, may.
//! Only the site whose block such an id is of settles it, so no two do at once. What referred to the id by number alone
//! (memberships, places in groups, roles of members) is ended: nobody knows which of them it meant, and if the old id went
//! on to be somebody's, a site that has not heard of this could still give them what is another's.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::record::Kind;
use protocol::record::governed::{CustomRole, Entity, Group, Robot, User};
use protocol::record::value::{Life, Project, Settings, Value};
use protocol::view::Topic;

use super::book::Book;
use super::draft::{Draft, IdOf, Told};
use super::people::{self, USER_ADMIN};
use super::register::{Numbered, Register};
use super::{Directory, DirectoryError, TRIES};
use crate::storage::meta::GovernedKind;

/// Most ids settled by one change.
const AT_ONCE: usize = 100;

/// Kinds that are settled.
const KINDS: [IdOf; 5] = [IdOf::Project, IdOf::User, IdOf::Group, IdOf::Robot, IdOf::Role];

/// Contested ids of this site's block, and who has them, the earliest first.
fn ours<K: Ord + Clone, T: Numbered>(book: &Book, register: &Register<K, T>) -> Vec<(u32, Vec<Arc<T>>)> {
    let ours = register.contested().filter(|(id, _)| book.block().contains(*id)).take(AT_ONCE);
    ours.map(|(id, things)| (id, things.into_iter().cloned().collect())).collect()
}

impl Draft<'_> {
    /// Settles contested ids of this site's block; gives back how many.
    pub(super) fn settle(&mut self, of: IdOf) -> Result<usize, DirectoryError> {
        match of {
            IdOf::Project => self.settle_projects(),
            IdOf::User => self.settle_users(),
            IdOf::Group => self.settle_groups(),
            IdOf::Robot => self.settle_robots(),
            IdOf::Role => self.settle_roles(),
            // The first has rights over nothing, the second has its id for a key.
            IdOf::Member | IdOf::Label => Ok(0),
        }
    }

    fn settle_users(&mut self) -> Result<usize, DirectoryError> {
        let contested = ours(self.book, &self.book.users);
        let mut groups: BTreeMap<Arc<str>, (&Group, Group)> = BTreeMap::new();
        for (old, people) in &contested {
            // Every node knows its administrator by id; memberships give one who may do everything no more.
            for user in people.iter().skip(usize::from(*old == USER_ADMIN)) {
                let (id, generation) = (self.id(IdOf::User)?, user.is.generation + 1);
                let is = User { id, generation, updated: self.now, ..user.is.clone() };
                self.tell(&people::told(&user.name, Some(&user.is), Some(&is)));
                self.put(self.mesh_wide(Kind::USER, &user.name), &Value::User(is));
            }
            self.end_memberships(Entity::User(*old));
            for group in self.book.groups_naming(*old) {
                let (_, is) = groups.entry(Arc::clone(&group.name)).or_insert_with(|| (&group.is, group.is.clone()));
                is.members.remove(old);
            }
        }
        for (name, (before, is)) in groups {
            self.put_group(&name, Some(before), Group { updated: self.now, ..is });
        }
        Ok(contested.len())
    }

    fn settle_groups(&mut self) -> Result<usize, DirectoryError> {
        let contested = ours(self.book, &self.book.groups);
        for (old, groups) in &contested {
            for group in groups {
                let id = self.id(IdOf::Group)?;
                self.put_group(&group.name, Some(&group.is), Group { id, updated: self.now, ..group.is.clone() });
            }
            self.end_memberships(Entity::Group(*old));
        }
        Ok(contested.len())
    }

    fn settle_roles(&mut self) -> Result<usize, DirectoryError> {
        let contested = ours(self.book, &self.book.roles);
        for role in contested.iter().flat_map(|(_, roles)| roles) {
            let is = CustomRole { id: self.id(IdOf::Role)?, updated: self.now, ..role.is.clone() };
            let (name, before) = (&*role.name, Some(&role.is));
            self.tell(&Told { kind: GovernedKind::Role, name, project: None, before, after: Some(&is) });
            self.put(self.mesh_wide(Kind::ROLE, name), &Value::Role(is));
        }
        Ok(contested.len())
    }

    /// What a robot may do stands in its own record: the earlier keeps its id.
    fn settle_robots(&mut self) -> Result<usize, DirectoryError> {
        let contested = ours(self.book, &self.book.robots);
        for robot in contested.iter().flat_map(|(_, robots)| robots.iter().skip(1)) {
            let (id, generation) = (self.id(IdOf::Robot)?, robot.is.is.generation + 1);
            let is = Robot { id, generation, updated: self.now, ..robot.is.is.clone() };
            self.put_robot(robot.scope, &robot.is.name, Some(&robot.is.is), Some(is));
        }
        Ok(contested.len())
    }

    /// Nothing refers to a project by id: the earlier keeps it.
    fn settle_projects(&mut self) -> Result<usize, DirectoryError> {
        let contested = ours(self.book, &self.book.project_ids);
        for project in contested.iter().flat_map(|(_, projects)| projects.iter().skip(1)) {
            let is = Settings { id: self.id(IdOf::Project)?, updated: self.now, ..project.settings.clone() };
            let (name, before) = (project.name.as_str(), Some(&project.settings));
            let (kind, told) = (GovernedKind::Project, Some(&project.name));
            self.tell(&Told { kind, name, project: told, before, after: Some(&is) });
            let value = Project { name: project.name.clone(), nonce: project.nonce, life: Life::Open(is) };
            self.put(Topic::project(project.scope), &Value::Project(value));
        }
        Ok(contested.len())
    }
}

impl Directory {
    /// Gives new ids where two things have one of this site's block; gives back how many ids that were. Run at start, and
    /// after records of others came.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn settle_ids(self: &Arc<Self>) -> Result<usize, DirectoryError> {
        let mut settled = 0;
        let is_ours = |book: &Book| book.contested().iter().any(|contested| book.block().contains(contested.id));
        if !self.read(is_ours) {
            return Ok(0);
        }
        for of in KINDS {
            // A site that may not administer says what does not count: that is no reason to say it for ever.
            for _ in 0..TRIES {
                let some = self.change(&self.own_act("settle-ids"), |draft| draft.settle(of)).await?;
                if some == 0 {
                    break;
                }
                settled += some;
            }
        }
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::Timestamp;
    use protocol::record::governed::MemberKey;
    use protocol::trust::IdBlock;

    use super::super::tests::{House, member};
    use super::super::{Profile, RobotChange};
    use super::*;

    fn of_block(n: u32) -> IdBlock {
        IdBlock { first: n * IdBlock::SIZE, count: IdBlock::SIZE }
    }

    fn user(id: u32, made: u64) -> Value {
        let created = Timestamp(made);
        Value::User(User { id, generation: 1, administrator: true, created, ..User::default() })
    }

    impl House {
        /// Another site says this.
        fn hear(&self, kind: Kind, name: &str, value: Value) {
            let topic = self.directory.read(|book| Draft::new(book, Timestamp(5)).mesh_wide(kind, name));
            self.directory.hear(topic, value);
        }

        fn rights(&self, user: u32) -> Vec<MemberKey> {
            self.directory.read(|book| {
                let scope = book.project(&"shop".parse().unwrap()).unwrap().scope;
                book.memberships(&scope, user).map(|(key, _)| key.clone()).collect()
            })
        }

        fn id_of(&self, name: &str) -> Option<u32> {
            self.directory.read(|book| book.user(name).map(|user| user.is.id))
        }
    }

    #[tokio::test]
    async fn two_sites_give_out_ids_of_their_own_blocks() {
        let (hamburg, oslo) = (House::new().await, House::of_block(of_block(3)).await);
        hamburg.person("root").await.unwrap();
        let (ann, ben) = (hamburg.person("ann").await.unwrap(), oslo.person("ben").await.unwrap());
        assert_eq!((ann, ben), (2, 3 * IdBlock::SIZE));
        // What one hears of the other, or of a site that keeps to no block, is nothing to go on from.
        for (name, id) in [("ben", ben), ("eve", u32::MAX)] {
            hamburg.hear(Kind::USER, name, user(id, 9));
        }
        oslo.hear(Kind::USER, "ann", user(ann, 9));
        assert_eq!(hamburg.person("cid").await.unwrap(), 3);
        assert_eq!(oslo.person("dan").await.unwrap(), ben + 1);
        let role = oslo.change(|draft| draft.put_role("looker", ["repository:pull".into()].into(), "")).await;
        assert_eq!(role.unwrap(), 3 * IdBlock::SIZE);
    }

    #[tokio::test]
    async fn of_two_people_with_one_id_nobody_has_the_rights_of_both() {
        let house = House::new().await;
        house.person("root").await.unwrap();
        let (ann, shop) = (house.person("ann").await.unwrap(), house.project("shop").await);
        let crew = house.change(|draft| draft.create_group("crew", 3, "")).await.unwrap();
        house.change(|draft| draft.set_group_members(crew, [ann].into())).await.unwrap();
        for entity in [Entity::User(ann), Entity::Group(crew)] {
            house.change(|draft| draft.add_member(&shop, &member(entity), 2)).await.unwrap();
        }
        assert_eq!(house.rights(ann).len(), 2);
        // A group of the same id: whom the membership means is not known, so it means nobody.
        let created = Timestamp(9);
        house.hear(Kind::GROUP, "gang", Value::Group(Group { id: crew, created, ..Group::default() }));
        assert_eq!(house.rights(ann), [member(Entity::User(ann))]);
        house.hear(Kind::USER, "eve", user(ann, 9));
        assert_eq!(house.rights(ann), []);
        let (there, eve) = (house.id_of("ann"), house.id_of("eve"));
        assert_eq!((there, eve), (Some(ann), None), "the later is nobody");
        let profile = Profile { email: "eve@example.org".into(), ..Profile::default() };
        let taken = house.change(|draft| draft.create_user("eve", &profile, false, vec![])).await;
        assert!(matches!(taken, Err(DirectoryError::Exists(_))), "and her name is not free");
        let shown: Vec<_> = house.directory.read(Book::contested).iter().map(ToString::to_string).collect();
        assert_eq!(shown, [format!("user {ann}: ann, eve"), format!("group {crew}: crew, gang")]);
    }

    #[tokio::test]
    async fn the_site_of_the_block_gives_each_an_id_of_its_own() {
        let house = House::new().await;
        let root = house.person("root").await.unwrap();
        let (ann, shop) = (house.person("ann").await.unwrap(), house.project("shop").await);
        let crew = house.change(|draft| draft.create_group("crew", 3, "")).await.unwrap();
        house.change(|draft| draft.set_group_members(crew, [ann].into())).await.unwrap();
        house.change(|draft| draft.add_member(&shop, &member(Entity::User(ann)), 2)).await.unwrap();
        house.change(|draft| draft.add_member(&shop, &member(Entity::Group(crew)), 2)).await.unwrap();
        let looker =
            house.change(|draft| draft.put_role("looker", ["repository:pull".into()].into(), "")).await.unwrap();
        let robot = house.robot("ci").await;
        let secret = house.directory.read(|book| book.robot_by_id(robot).unwrap().is.is.secret);
        for (name, id) in [("eve", ann), ("zed", root)] {
            house.hear(Kind::USER, name, user(id, 9));
        }
        let created = Timestamp(9);
        house.hear(Kind::GROUP, "gang", Value::Group(Group { id: crew, created, ..Group::default() }));
        house.hear(Kind::ROLE, "wrecker", Value::Role(CustomRole { id: looker, created, ..CustomRole::default() }));
        house.hear(Kind::ROBOT, "spy", Value::Robot(Robot { id: robot, created, ..Robot::default() }));
        assert!(house.directory.read(|book| book.role_by_id(looker).is_none()));
        assert_eq!(house.directory.settle_ids().await.unwrap(), 5);
        assert_eq!(house.directory.read(Book::contested), []);
        let ids: BTreeSet<_> = ["root", "ann", "eve", "zed"].map(|name| house.id_of(name).unwrap()).into();
        assert_eq!((ids.len(), ids.contains(&ann), house.id_of("root")), (4, false, Some(root)));
        assert_eq!(house.rights(house.id_of("ann").unwrap()), [], "what was the id's is nobody's");
        house.directory.read(|book| {
            assert!(book.groups().all(|group| group.is.id != crew && group.is.members.is_empty()));
            assert!(book.roles().all(|role| role.is.id != looker) && book.roles().len() == 2);
            let ci = book.robot_by_id(robot).unwrap();
            assert_eq!((&*ci.is.name, ci.is.is.secret), ("ci", secret));
            assert!(book.robot(None, "spy").is_some());
        });
        let kept = house.directory.read(|book| book.user("ann").cloned()).unwrap();
        assert!(house.directory.verifier(&kept).await.unwrap().is_some(), "and a password is its person's still");
        assert_eq!(house.directory.settle_ids().await.unwrap(), 0);
        let off = RobotChange { disabled: Some(true), ..RobotChange::default() };
        house.change(|draft| draft.change_robot(robot, &off)).await.unwrap();
    }

    #[tokio::test]
    async fn a_site_settles_no_id_of_another_block() {
        let house = House::of_block(of_block(1)).await;
        for name in ["ann", "eve"] {
            house.hear(Kind::USER, name, user(7, 9));
        }
        assert_eq!(house.directory.settle_ids().await.unwrap(), 0);
        assert_eq!(house.directory.read(Book::contested).len(), 1);
    }
}
