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
