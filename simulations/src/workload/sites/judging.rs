//! What the root and the authorities do to sites and to each other, drawn at random when a verdict is due.

use std::collections::BTreeMap;

use protocol::identity::NodeKey;
use protocol::record::{RecordId, ScopeId};
use protocol::trust::{Lists, Target};

use super::mesh::{Effects, Mesh, grant, secret};
use super::site::{Role, Site};
use super::verdicts::Sentence;
use super::wire::Sheet;
use crate::event_log::Event;
use crate::machine::Effect;
use crate::network::NodeId;

/// That someone said something of trust which ends nobody.
fn spoke(node: NodeId, what: String) -> Effects {
    vec![(node, vec![Effect::Log(Event::Spoke { node, what })])]
}

impl Mesh {
    /// The root or an authority says something about another.
    pub(super) fn verdict(&mut self) -> Effects {
        let judges: Vec<NodeId> = (0..=self.plan.authorities).map(NodeId).filter(|id| self.may_write(*id)).collect();
        let at = self.rng.index(judges.len());
        let Some(&judge) = judges.get(at) else { return Vec::new() };
        match self.rng.below(16) {
            0..2 => self.suspend(judge, false),
            2..4 => self.suspend(NodeId(0), true),
            4..7 => self.vouch(judge),
            7..9 => self.renew(judge),
            _ => self.sentence(judge),
        }
    }

    fn may_write(&self, id: NodeId) -> bool {
        self.sites.get(&id).is_some_and(|site| site.is_there() && !site.full)
    }

    /// Everybody has the sites below him, and the root the authorities too.
    fn is_below(&self, judge: NodeId, id: NodeId) -> bool {
        id.0 > if judge.0 == 0 { 0 } else { self.plan.authorities }
    }

    fn pick(&mut self, wanted: impl Fn(&Self, &Site) -> bool) -> Option<NodeId> {
        let all: Vec<NodeId> =
            self.sites.values().filter(|site| wanted(self, site)).map(|site| site.founding.id).collect();
        let at = self.rng.index(all.len());
        all.get(at).copied()
    }

    /// Ends a site, or for the root an authority: under all its grants, or under the one it has.
    fn sentence(&mut self, judge: NodeId) -> Effects {
        let target = self.pick(|mesh, site| mesh.is_below(judge, site.founding.id) && !site.ended && !site.gone);
        let Some(target) = target.filter(|target| self.honest_others(*target) >= 2) else { return Vec::new() };
        let sentence = self.draw_sentence(target);
        let whom = match self.sites.get(&target) {
            Some(site) if self.rng.chance(0.3) => Target::Grant(site.founding.identity.grant),
            Some(_) | None => Target::Node(secret(target).key()),
        };
        let Ok(how) = self.pronounce(judge, target, whom, sentence) else { return Vec::new() };
        if let Some(site) = self.sites.get_mut(&target) {
            site.ended = true;
        }
        self.forget_lost();
        vec![(judge, vec![Effect::Log(Event::EndedSite { node: target, how })])]
    }

    fn draw_sentence(&mut self, target: NodeId) -> Sentence {
        let with_farewell = self.rng.chance(0.5);
        match self.rng.below(8) {
            0..3 => Sentence::Retire(if with_farewell { self.farewell(target) } else { None }),
            3..5 => Sentence::Narrow,
            _ => Sentence::Compromise,
        }
    }

    /// Writes the verdict; what it comes to, in words.
    fn pronounce(&mut self, judge: NodeId, node: NodeId, whom: Target, sentence: Sentence) -> Result<String, String> {
        let others = (1..=self.plan.authorities).map(NodeId).filter(|id| *id != node && *id != judge);
        // Only of the root's word on an authority does it matter whom it names.
        let endorsers: Vec<NodeId> = others.filter(|_| self.rng.chance(0.5)).collect();
        let keys: Vec<NodeKey> = endorsers.iter().map(|id| secret(*id).key()).collect();
        let lists = if sentence == Sentence::Compromise { self.ask_for_lists(judge, node) } else { None };
        let asked = lists.as_ref().map(|(by, _)| format!(", lists by {}", by.0)).unwrap_or_default();
        let by = self.sites.get_mut(&judge).ok_or("no such judge")?;
        let from = by.ledger.next();
        let written = by.sentence(secret(node).key(), whom, sentence, lists.map(|(_, lists)| lists), keys);
        by.keep_since(from);
        written.map_err(|error| error.to_string())?;
        let whom = if matches!(whom, Target::Grant(_)) { " of one grant" } else { "" };
        let with: Vec<u32> = endorsers.iter().map(|id| id.0).collect();
        Ok(format!("{sentence:?}{whom} by {}, with {with:?}{asked}", judge.0))
    }

    /// At times some site writes the lists, as one does of a scope no authority may read; the judge need not hold them.
    fn ask_for_lists(&mut self, judge: NodeId, node: NodeId) -> Option<(NodeId, BTreeMap<ScopeId, Lists>)> {
        let asks = self.rng.chance(0.4);
        let by = self.pick(|mesh, site| {
            mesh.is_below(NodeId(1), site.founding.id)
                && site.counts()
                && site.is_there()
                && !site.full
                && site.founding.id != node
        });
        let by = by.filter(|by| asks && *by != judge)?;
        let site = self.sites.get_mut(&by)?;
        let from = site.ledger.next();
        let lists = site.endorse_most(secret(node).key(), true);
        site.keep_since(from);
        Some((by, lists.ok()?))
    }

    fn farewell(&mut self, node: NodeId) -> Option<RecordId> {
        let site = self.sites.get_mut(&node).filter(|site| site.is_there() && !site.full)?;
        let from = site.ledger.next();
        let id = site.say_farewell();
        site.quiet = true;
        site.keep_since(from);
        id
    }

    /// Suspends an authority, or the root lifts what was said of one.
    fn suspend(&mut self, judge: NodeId, lifted: bool) -> Effects {
        let others: Vec<NodeId> = (1..=self.plan.authorities).map(NodeId).filter(|id| *id != judge).collect();
        let at = self.rng.index(others.len());
        let Some(&other) = others.get(at).filter(|_| self.may_write(judge)) else { return Vec::new() };
        let Some(by) = self.sites.get_mut(&judge) else { return Vec::new() };
        let from = by.ledger.next();
        let written = by.suspend(secret(other).key(), lifted);
        by.keep_since(from);
        spoke(
            judge,
            match written {
                Ok(()) if lifted => format!("lifted the suspensions of {}", other.0),
                Ok(()) => format!("suspended {}", other.0),
                Err(error) => format!("could not suspend {}: {error}", other.0),
            },
        )
    }

    /// Endorses what it holds of a node, mostly of one that was ended; of the others it matters once they are.
    fn vouch(&mut self, judge: NodeId) -> Effects {
        let ended = self.rng.chance(0.7);
        let Some(target) =
            self.pick(|_, site| site.founding.id.0 > 0 && site.founding.id != judge && site.ended == ended)
        else {
            return Vec::new();
        };
        let Some(by) = self.sites.get_mut(&judge) else { return Vec::new() };
        let from = by.ledger.next();
        let written = by.endorse_most(secret(target).key(), false);
        by.keep_since(from);
        spoke(
            judge,
            match written {
                Ok(lists) => format!("endorsed {} in {} scopes", target.0, lists.len()),
                Err(error) => format!("could not endorse {}: {error}", target.0),
            },
        )
    }

    /// Gives a site a new grant, and mostly ends the old one: the site goes on.
    fn renew(&mut self, judge: NodeId) -> Effects {
        let is_right = |site: &Site| site.clock_is_right && site.is_there() && !site.full;
        let sound = self.sites.get(&judge).is_some_and(is_right);
        let target = self.pick(|mesh, site| {
            mesh.is_below(judge, site.founding.id)
                && is_right(site)
                && !site.ended
                && site.founding.role == Role::Honest
        });
        let Some(target) = target.filter(|_| sound) else { return Vec::new() };
        let Some(by) = self.sites.get_mut(&judge) else { return Vec::new() };
        let (now, from) = (by.now(), by.ledger.next());
        let granted = by.ledger.grant(&grant(target, target.0 <= self.plan.authorities), "admin", now);
        by.keep_since(from);
        let Ok(id) = granted else { return Vec::new() };
        let sheets = by.sheets_of_trust();
        let Some(old) = self.hand_over(target, &sheets, id) else { return Vec::new() };
        let mut effects = spoke(judge, format!("gave {} another grant", target.0));
        if self.rng.chance(0.8) {
            // No farewell: it would end the new grant's records with those of the old.
            let sentences = [Sentence::Retire(None), Sentence::Narrow, Sentence::Compromise];
            let sentence = sentences[self.rng.index(sentences.len())];
            let what = match self.pronounce(judge, target, Target::Grant(old), sentence) {
                Ok(how) => format!("ended the old grant of {}: {how}", target.0),
                Err(error) => format!("could not end the old grant of {}: {error}", target.0),
            };
            effects.extend(spoke(judge, what));
        }
        effects
    }

    /// Brings a grant to a site together with all it rests on; the grant it had.
    fn hand_over(&mut self, node: NodeId, sheets: &[Sheet], grant: RecordId) -> Option<RecordId> {
        let site = self.sites.get_mut(&node)?;
        site.take(sheets, &mut self.checked).ok()?;
        site.disk.sync();
        // The judge may be suspended, or ended: not now.
        site.ledger.trust().grant(&grant)?;
        site.ledger.renew(grant);
        Some(std::mem::replace(&mut site.founding.identity.grant, grant))
    }
}
