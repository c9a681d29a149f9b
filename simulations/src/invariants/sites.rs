//! The invariants of a mesh of sites, as far as the event log tells: who acknowledged what, who said what at which
//! place, and what each site shows in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Violation, require};
use crate::event_log::Event;
use crate::network::NodeId;

/// What the log says about sites.
#[derive(Debug)]
pub(super) struct Sites {
    /// What each site must find after a crash.
    acknowledged: BTreeMap<NodeId, BTreeSet<String>>,
    /// What was said at a place.
    said: BTreeMap<(NodeId, u64, u64), String>,
    /// Sites that were set back while they ran.
    reverted: BTreeSet<NodeId>,
    /// Hashes of all records and of the view, and the conflicts.
    union: Option<(String, String, Vec<String>)>,
}

impl Sites {
    pub(super) const fn new() -> Self {
        Self { acknowledged: BTreeMap::new(), said: BTreeMap::new(), reverted: BTreeSet::new(), union: None }
    }

    pub(super) fn check(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Wrote { node, record } => {
                self.acknowledged.entry(*node).or_default().insert(record.clone());
                Ok(())
            }
            Event::Said { node, life, seq, record } => self.said(*node, *life, *seq, record),
            Event::Opened { node, found } => self.opened(*node, found),
            Event::SetBack { node, alive, .. } => {
                // What it must find from here on is what it acknowledges from here on: others hold the rest, or nobody.
                self.acknowledged.remove(node);
                if *alive {
                    self.reverted.insert(*node);
                }
                Ok(())
            }
            Event::Gone { node, .. } | Event::EndedSite { node, .. } => {
                self.acknowledged.remove(node);
                Ok(())
            }
            Event::SteppedBack { node, withdrawn, written } => self.stepped_back(*node, withdrawn, written),
            Event::Accused { node, peer, misbehaves, why } => {
                require(*misbehaves, Invariant::NoHonestSiteIsAccused, || {
                    format!("node {} says of node {}: {why}", node.0, peer.0)
                })
            }
            Event::Checked { node, sound } => require(*sound, Invariant::TheKeptViewIsTheViewOfAllRecords, || {
                format!("that of node {} is another", node.0)
            }),
            Event::Union { records, view, conflicts } => {
                self.union = Some((records.clone(), view.clone(), conflicts.clone()));
                Ok(())
            }
            Event::Shows { node, count, records, view, conflicts, unfound, behind } => {
                let Some(union) = &self.union else { return Ok(()) };
                shows(*node, (*count, records, view, conflicts, unfound), union)?;
                require(!behind, Invariant::WhoeverWasSetBackBeginsANewLife, || {
                    format!("node {} goes on in a life of which others hold more, or something else", node.0)
                })
            }
            Event::Sent { .. }
            | Event::NotSent { .. }
            | Event::Delivered { .. }
            | Event::Lost { .. }
            | Event::Cut { .. }
            | Event::Joined { .. }
            | Event::Clogged { .. }
            | Event::Unclogged { .. }
            | Event::ClockJumped { .. }
            | Event::Healed
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Acknowledged { .. }
            | Event::Refused { .. }
            | Event::DiskFault { .. }
            | Event::Down { .. }
            | Event::Recovered { .. }
            | Event::Declined { .. }
            | Event::Began { .. }
            | Event::Spoke { .. }
            | Event::Crashed { .. }
            | Event::JoinedMesh { .. }
            | Event::Ended => Ok(()),
        }
    }

    fn said(&mut self, node: NodeId, life: u64, seq: u64, record: &str) -> Result<(), Violation> {
        let first = self.said.entry((node, life, seq)).or_insert_with(|| record.to_owned());
        let once = first == record || self.reverted.contains(&node);
        require(once, Invariant::NoSiteUsesOnePlaceTwice, || {
            format!("node {} said {first} and {record} at place {seq} of life {life:x}", node.0)
        })
    }

    fn opened(&self, node: NodeId, found: &[String]) -> Result<(), Violation> {
        let found: BTreeSet<&String> = found.iter().collect();
        for record in self.acknowledged.get(&node).into_iter().flatten() {
            require(found.contains(record), Invariant::WhatASiteAcknowledgedSurvivesItsCrash, || {
                format!("node {} acknowledged {record} and no longer has it", node.0)
            })?;
        }
        Ok(())
    }

    fn stepped_back(&mut self, node: NodeId, withdrawn: &[String], written: &[String]) -> Result<(), Violation> {
        let Some(own) = self.acknowledged.get_mut(&node) else { return Ok(()) };
        let before = own.len();
        own.retain(|record| !withdrawn.contains(record));
        let any = own.len() < before;
        own.extend(written.iter().cloned());
        let all = !any || written.len() == withdrawn.len();
        require(all, Invariant::WhatWasAcknowledgedIsFoundAtEverySite, || {
            format!("node {} took back {withdrawn:?} and wrote {written:?} only", node.0)
        })
    }
}

fn shows(
    node: NodeId,
    (count, records, view, conflicts, unfound): (usize, &String, &String, &Vec<String>, &Vec<String>),
    (all, true_view, true_conflicts): &(String, String, Vec<String>),
) -> Result<(), Violation> {
    require(unfound.is_empty(), Invariant::WhatWasAcknowledgedIsFoundAtEverySite, || {
        format!("at node {}: {}", node.0, unfound.join(", "))
    })?;
    require(records == all, Invariant::SitesHoldTheSameRecords, || {
        format!("node {} holds {count} records, and others hold other ones", node.0)
    })?;
    let hidden: Vec<&String> = true_conflicts.iter().filter(|conflict| !conflicts.contains(conflict)).collect();
    require(hidden.is_empty(), Invariant::EveryConflictIsShownAtEverySite, || {
        format!("node {} does not show {hidden:?}", node.0)
    })?;
    require(view == true_view, Invariant::SitesShowTheSameLiveView, || {
        format!("node {} shows another one than all records together", node.0)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::broken_by;
    use super::*;

    const NODE: NodeId = NodeId(3);
    const OTHER: NodeId = NodeId(4);

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn wrote(record: &str) -> Event {
        Event::Wrote { node: NODE, record: record.into() }
    }

    fn opened(found: &[&str]) -> Event {
        Event::Opened { node: NODE, found: names(found) }
    }

    fn set_back(alive: bool) -> Event {
        Event::SetBack { node: NODE, alive, lost: Vec::new() }
    }

    fn said(node: NodeId, life: u64, seq: u64, record: &str) -> Event {
        Event::Said { node, life, seq, record: record.into() }
    }

    fn stepped_back(withdrawn: &[&str], written: &[&str]) -> Event {
        Event::SteppedBack { node: NODE, withdrawn: names(withdrawn), written: names(written) }
    }

    /// What all hold together: two records that are in conflict, and what one site shows that shows just that.
    fn end() -> (Event, Event) {
        let (records, view, conflicts) = ("ab".to_owned(), "live a".to_owned(), names(&["tag"]));
        let union = Event::Union { records: records.clone(), view: view.clone(), conflicts: conflicts.clone() };
        let (unfound, behind) = (Vec::new(), false);
        (union, Event::Shows { node: NODE, count: 2, records, view, conflicts, unfound, behind })
    }

    /// What is broken when the site shows something else.
    fn broken_by_showing(other: impl FnOnce(&mut Event)) -> Option<Invariant> {
        let (union, mut shows) = end();
        other(&mut shows);
        broken_by(vec![union, shows])
    }

    #[test]
    fn all_that_is_shown_must_be_what_all_hold_together() {
        assert_eq!(broken_by_showing(|_| {}), None);
    }

    #[test]
    fn sites_hold_the_same_records() {
        let broken = broken_by_showing(|event| {
            if let Event::Shows { records, .. } = event {
                *records = "a".into();
            }
        });
        assert_eq!(broken, Some(Invariant::SitesHoldTheSameRecords));
    }

    #[test]
    fn sites_show_the_same_live_view() {
        let broken = broken_by_showing(|event| {
            if let Event::Shows { view, .. } = event {
                *view = "live b".into();
            }
        });
        assert_eq!(broken, Some(Invariant::SitesShowTheSameLiveView));
    }

    #[test]
    fn every_conflict_is_shown_at_every_site() {
        let broken = broken_by_showing(|event| {
            if let Event::Shows { conflicts, .. } = event {
                conflicts.clear();
            }
        });
        assert_eq!(broken, Some(Invariant::EveryConflictIsShownAtEverySite));
    }

    #[test]
    fn what_was_acknowledged_is_found_at_every_site() {
        let unfound = broken_by_showing(|event| {
            if let Event::Shows { unfound, .. } = event {
                unfound.push("a is not there".into());
            }
        });
        let found = Some(Invariant::WhatWasAcknowledgedIsFoundAtEverySite);
        assert_eq!(unfound, found);
        // What a wrong clock wrote is written again, all of it.
        assert_eq!(broken_by(vec![wrote("a"), stepped_back(&["a", "b"], &["c", "d"])]), None);
        assert_eq!(broken_by(vec![wrote("a"), stepped_back(&["a", "b"], &["c"])]), found);
        assert_eq!(broken_by(vec![wrote("z"), stepped_back(&["a"], &[])]), None, "nobody was told that it is written");
    }

    #[test]
    fn whoever_was_set_back_begins_a_new_life() {
        let broken = broken_by_showing(|event| {
            if let Event::Shows { behind, .. } = event {
                *behind = true;
            }
        });
        assert_eq!(broken, Some(Invariant::WhoeverWasSetBackBeginsANewLife));
    }

    #[test]
    fn the_kept_view_is_the_view_of_all_records() {
        assert_eq!(broken_by(vec![Event::Checked { node: NODE, sound: true }]), None);
        let broken = broken_by(vec![Event::Checked { node: NODE, sound: false }]);
        assert_eq!(broken, Some(Invariant::TheKeptViewIsTheViewOfAllRecords));
    }

    #[test]
    fn what_a_site_acknowledged_survives_its_crash() {
        let lost = Some(Invariant::WhatASiteAcknowledgedSurvivesItsCrash);
        assert_eq!(broken_by(vec![wrote("a"), opened(&["a", "b"])]), None);
        assert_eq!(broken_by(vec![wrote("a"), opened(&["b"])]), lost);
        assert_eq!(broken_by(vec![Event::Wrote { node: OTHER, record: "a".into() }, opened(&[])]), None);
        // A restore takes what came before it, and nothing that comes after.
        assert_eq!(broken_by(vec![wrote("a"), set_back(false), opened(&[])]), None);
        assert_eq!(broken_by(vec![set_back(false), wrote("a"), opened(&[])]), lost);
        let ended = Event::EndedSite { node: NODE, how: String::new() };
        assert_eq!(broken_by(vec![wrote("a"), ended, opened(&[])]), None);
        // What was written again takes the place of what was withdrawn.
        assert_eq!(broken_by(vec![wrote("a"), stepped_back(&["a"], &["b"]), opened(&["b"])]), None);
        assert_eq!(broken_by(vec![wrote("a"), stepped_back(&["a"], &["b"]), opened(&["a"])]), lost);
    }

    #[test]
    fn no_site_uses_one_place_twice() {
        let twice = Some(Invariant::NoSiteUsesOnePlaceTwice);
        let first = || said(NODE, 1, 1, "a");
        for other in [said(NODE, 1, 1, "a"), said(NODE, 1, 2, "b"), said(NODE, 2, 1, "b"), said(OTHER, 1, 1, "b")] {
            assert_eq!(broken_by(vec![first(), other]), None);
        }
        assert_eq!(broken_by(vec![first(), said(NODE, 1, 1, "b")]), twice);
        assert_eq!(broken_by(vec![first(), set_back(false), said(NODE, 1, 1, "b")]), twice);
        assert_eq!(broken_by(vec![first(), set_back(true), said(NODE, 1, 1, "b")]), None, "it can't know");
    }

    #[test]
    fn no_honest_site_is_accused() {
        let accused = |misbehaves| Event::Accused { node: NODE, peer: OTHER, misbehaves, why: String::new() };
        assert_eq!(broken_by(vec![accused(true)]), None);
        assert_eq!(broken_by(vec![accused(false)]), Some(Invariant::NoHonestSiteIsAccused));
    }
}
