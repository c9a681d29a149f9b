//! What people do at a site, and when they are told that it is done.

use std::time::Duration;

use protocol::ledger::{Say, WriteError};
use protocol::record::governed::Member;
use protocol::record::value::{Pushed, Settings, TagMode};
use protocol::record::{Kind, RecordId, RecordKey, Records, ScopeId};
use protocol::view::{Kept, Topic};
use protocol::{ContentRoot, Digest, MediaType, ProjectName, RepositoryName, Tag};

use super::shown::short;
use super::site::{Role, Site, Timer};
use crate::event_log::Event;
use crate::machine::Effect;

/// A kind no version knows yet.
const UNKNOWN: Kind = Kind(900);

/// What became of an act: the records to be acknowledged.
type Done = Result<Vec<RecordId>, String>;

fn said(error: &WriteError) -> String {
    error.to_string()
}

impl Site {
    /// Someone does something.
    pub(super) fn act(&mut self) -> Vec<Effect> {
        let mut effects = self.begin_if_behind();
        if let Some(twin) = &mut self.twin {
            std::mem::swap(&mut self.ledger, twin);
            self.snapshot = None;
        }
        let next = self.ledger.next();
        let done = self.choose();
        let written: Vec<RecordId> = (next.seq..self.ledger.next().seq)
            .flat_map(|seq| self.ledger.set().at(&self.key(), protocol::record::Position { seq, ..next }))
            .collect();
        self.came(&written);
        self.keep();
        match done {
            Ok(records) if !self.full => {
                let number = self.next_pending;
                self.next_pending += 1;
                self.pending.insert(number, records);
                let after = self.rng.up_to(Duration::from_millis(self.founding.plan.ack_ms));
                effects.push(self.wake_in(after, Timer::Acknowledge, number));
            }
            Ok(_) => effects.extend(self.fail_for_room()),
            Err(why) => effects.push(Effect::Log(Event::Declined { node: self.founding.id, why })),
        }
        effects
    }

    /// What was written gets on the disk, and who asked for it is told.
    pub(super) fn acknowledge(&mut self, number: u64) -> Vec<Effect> {
        let Some(records) = self.pending.remove(&number) else { return Vec::new() };
        if self.founding.plan.safeguards.sync_before_ack {
            if self.full {
                return self.fail_for_room();
            }
            self.disk.sync();
        }
        if self.founding.role != Role::Honest {
            return Vec::new();
        }
        let held = records.into_iter().filter(|id| self.ledger.set().get(id).is_some());
        let held: Vec<RecordId> = held.collect();
        self.acked.extend(&held);
        held.iter().map(|id| Effect::Log(Event::Wrote { node: self.founding.id, record: short(id) })).collect()
    }

    /// The disk took nothing more: what memory says beyond it is not to be believed.
    fn fail_for_room(&mut self) -> Vec<Effect> {
        self.disk.lose_unsynced();
        let mut effects =
            vec![Effect::Log(Event::Declined { node: self.founding.id, why: "the disk is full".to_owned() })];
        effects.extend(self.go_down());
        effects
    }

    fn choose(&mut self) -> Done {
        let all: Vec<ScopeId> = self.ledger.set().scopes().collect();
        let open: Vec<ScopeId> =
            all.iter().copied().filter(|scope| self.ledger.view().facts(scope).is_open()).collect();
        let what = self.rng.below(100);
        if what >= 94 {
            return self.reopen(&all);
        }
        let creates = self.rng.chance(if open.is_empty() { 0.2 } else { 0.02 });
        let Some(&scope) = open.get(self.rng.index(open.len())).filter(|_| !creates) else {
            return if creates { self.create() } else { Err("there is no project yet".to_owned()) };
        };
        let name = self.ledger.view().facts(&scope).name.ok_or("a project without a name")?;
        let repository: RepositoryName = format!("{name}/web").parse().map_err(|_| "no name of a repository")?;
        let tag: Tag = format!("v{}", self.rng.below(4)).parse().map_err(|_| "no name of a tag")?;
        match what {
            0..50 => self.push(scope, &repository, &tag),
            50..58 => self.untag(scope, &repository, &tag),
            58..63 => self.delete(scope, &repository, &tag),
            63..70 => self.undelete(scope, &repository, &tag),
            70..78 => self.change_member(scope),
            78..81 => self.change_mode(scope),
            81..83 => self.close(scope),
            83..90 => self.resolve(scope),
            _ => self.say_something_new(scope),
        }
    }

    fn create(&mut self) -> Done {
        let number = self.rng.below(self.founding.plan.projects.into());
        let name: ProjectName = format!("p{number}").parse().map_err(|_| "no name of a project")?;
        let mut nonce = [0; 16];
        self.rng.fill(&mut nonce);
        let now = self.now();
        let settings = Settings::new(now, true, false);
        let key = self.key();
        let place = self.ledger.next();
        self.ledger.create_project(&name, nonce, settings, "admin", now).map_err(|error| said(&error))?;
        Ok(self.ledger.set().at(&key, place))
    }

    fn push(&mut self, scope: ScopeId, repository: &RepositoryName, tag: &Tag) -> Done {
        let digest = Digest::sha256(&self.rng.next_u64().to_le_bytes());
        let media_type: MediaType =
            "application/vnd.oci.image.manifest.v1+json".parse().map_err(|_| "no media type")?;
        let root = ContentRoot([7; 32]);
        let pushed = Pushed { media_type, size: 100, root, children: Vec::new(), subject: None, blobs: Vec::new() };
        let now = self.now();
        let pushed = self.ledger.push(scope, repository, &digest, &pushed, "ci", now).map_err(|error| said(&error))?;
        let tagged = self.ledger.tag(scope, repository, tag, Some(digest), "ci", now);
        // A tag that is written elsewhere alone leaves the manifest.
        Ok([Some(pushed), tagged.ok()].into_iter().flatten().collect())
    }

    fn untag(&mut self, scope: ScopeId, repository: &RepositoryName, tag: &Tag) -> Done {
        self.ledger.tagged(scope, repository, tag).ok_or("there is no such tag")?;
        let now = self.now();
        let id = self.ledger.tag(scope, repository, tag, None, "ci", now).map_err(|error| said(&error))?;
        Ok(vec![id])
    }

    fn delete(&mut self, scope: ScopeId, repository: &RepositoryName, tag: &Tag) -> Done {
        let digest = self.ledger.tagged(scope, repository, tag).ok_or("there is no such tag")?;
        let (now, key, from) = (self.now(), self.key(), self.ledger.next());
        self.ledger.delete_manifest(scope, repository, &digest, "ci", now).map_err(|error| said(&error))?;
        let places = from.seq..self.ledger.next().seq;
        Ok(places.flat_map(|seq| self.ledger.set().at(&key, protocol::record::Position { seq, ..from })).collect())
    }

    fn undelete(&mut self, scope: ScopeId, repository: &RepositoryName, tag: &Tag) -> Done {
        let topic = Topic { scope, kind: Kind::TAG, key: RecordKey::tag(repository, tag) };
        let now = self.now();
        let id = self.ledger.undelete(&topic, "ci", now).map_err(|error| said(&error))?;
        Ok(vec![id])
    }

    fn change_member(&mut self, scope: ScopeId) -> Done {
        let who = ["ann", "ben"][self.rng.index(2)];
        let role = [None, Some(3), Some(2)][self.rng.index(3)];
        let member = role.map(|role| Member { roles: [role].into(), ..Member::default() });
        let now = self.now();
        let id = self.ledger.set_member(scope, who, member.as_ref(), "admin", now).map_err(|error| said(&error))?;
        Ok(vec![id])
    }

    fn change_mode(&mut self, scope: ScopeId) -> Done {
        let home = format!("site-{}", self.rng.index(self.founding.keys.len()));
        let mode = if self.rng.chance(0.5) { TagMode::Converge } else { TagMode::Home(home) };
        let now = self.now();
        let id = self.ledger.set_mode(scope, mode, "admin", now).map_err(|error| said(&error))?;
        Ok(vec![id])
    }

    fn close(&mut self, scope: ScopeId) -> Done {
        let now = self.now();
        let id = self.ledger.close_project(scope, "admin", now).map_err(|error| said(&error))?;
        Ok(vec![id])
    }

    fn reopen(&mut self, all: &[ScopeId]) -> Done {
        let closed: Vec<ScopeId> =
            all.iter().copied().filter(|scope| self.ledger.view().facts(scope).is_closed()).collect();
        let scope = *closed.get(self.rng.index(closed.len())).ok_or("no project is closed")?;
        let (now, key, from) = (self.now(), self.key(), self.ledger.next());
        self.ledger.reopen_project(scope, "admin", now).map_err(|error| said(&error))?;
        let places = from.seq..self.ledger.next().seq;
        Ok(places.flat_map(|seq| self.ledger.set().at(&key, protocol::record::Position { seq, ..from })).collect())
    }

    fn resolve(&mut self, scope: ScopeId) -> Done {
        let topics = self.ledger.view().kept().topics(&scope, Kind::TAG, &[]);
        let conflict = topics.into_iter().find(|(_, view)| view.is_conflict()).ok_or("nothing is in conflict")?;
        let live = conflict.1.live.ok_or("nothing is in conflict")?;
        let now = self.now();
        let id = self.ledger.resolve(&live, "ci", now).map_err(|error| said(&error))?;
        Ok(vec![id])
    }

    /// A later version of this software says something; nobody is told that it is written.
    fn say_something_new(&mut self, scope: ScopeId) -> Done {
        let mut key = [0; 32];
        self.rng.fill(&mut key);
        let value = Some(b"something new".to_vec());
        let key = RecordKey::hash(&key);
        let say = Say { scope, kind: UNKNOWN, key, value, action: None, actor: "x", name: None };
        let now = self.now();
        self.ledger.write(say, now).map_err(|error| said(&error))?;
        Ok(Vec::new())
    }
}
