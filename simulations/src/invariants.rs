//! What may never happen.
//!
//! Each invariant is a sentence. They are checked after every event against a model that is built from the event log
//! alone, so that no bug of the world can hide itself from them. Each is shown able to fail: by a made-up log in the
//! tests here, and those of the disk and of sites by scenarios with a wrong protocol as well.

mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::sites::Sites;
use crate::event_log::{Entry, Event};
use crate::network::{CopyId, Link, NodeId};

/// A sentence that holds in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Invariant {
    /// Durability: an acknowledged object is found after any crash that follows.
    #[serde(rename = "what was acknowledged is there after a crash")]
    WhatWasAcknowledgedIsThereAfterACrash,
    /// Integrity: whatever survives, the bytes under a name are those the name was made from.
    #[serde(rename = "a name never holds other bytes")]
    ANameNeverHoldsOtherBytes,
    /// The network may double a message, but each copy arrives at most once, and only where it was sent.
    #[serde(rename = "a copy is delivered at most once and only if it was sent")]
    ACopyIsDeliveredAtMostOnce,
    /// A cut link carries nothing: neither new messages nor those that were on it.
    #[serde(rename = "nothing crosses a cut link")]
    NothingCrossesACutLink,
    /// Liveness: once nothing is broken any more, every question is answered soon.
    #[serde(rename = "after healing every question is answered in time")]
    AfterHealingEveryQuestionIsAnsweredInTime,
    /// Convergence: once nothing is broken any more, all honest sites come to hold one set.
    #[serde(rename = "every site comes to hold the same records")]
    SitesHoldTheSameRecords,
    /// And what they make of it is the same, and the view of all records together.
    #[serde(rename = "every site comes to show the same live view")]
    SitesShowTheSameLiveView,
    /// An acknowledged record is in the set everywhere, and live there unless another one accounts for it.
    #[serde(rename = "what was acknowledged is found at every site")]
    WhatWasAcknowledgedIsFoundAtEverySite,
    /// No conflict is settled by hiding it.
    #[serde(rename = "every conflict is shown at every site")]
    EveryConflictIsShownAtEverySite,
    /// The view a site keeps, record by record, is the one computed from scratch.
    #[serde(rename = "the kept view is the view of all records")]
    TheKeptViewIsTheViewOfAllRecords,
    /// Durability of records: what a site acknowledged it finds again after any crash.
    #[serde(rename = "what a site acknowledged survives its crash")]
    WhatASiteAcknowledgedSurvivesItsCrash,
    /// No honest site lets others see two records at one place of one life; one set back alive can't know, and is let off.
    #[serde(rename = "no site uses one place twice")]
    NoSiteUsesOnePlaceTwice,
    /// In the end no honest site goes on in a life of which others hold more, or something else.
    #[serde(rename = "whoever was set back begins a new life")]
    WhoeverWasSetBackBeginsANewLife,
    /// What an honest site sends is always a record, and always in order.
    #[serde(rename = "no honest site is accused")]
    NoHonestSiteIsAccused,
    /// The log is in order of time.
    #[serde(rename = "time never goes backwards")]
    TimeNeverGoesBackwards,
}

impl Invariant {
    /// Those that are about sites of a mesh.
    pub const OF_SITES: [Self; 9] = [
        Self::SitesHoldTheSameRecords,
        Self::SitesShowTheSameLiveView,
        Self::WhatWasAcknowledgedIsFoundAtEverySite,
        Self::EveryConflictIsShownAtEverySite,
        Self::TheKeptViewIsTheViewOfAllRecords,
        Self::WhatASiteAcknowledgedSurvivesItsCrash,
        Self::NoSiteUsesOnePlaceTwice,
        Self::WhoeverWasSetBackBeginsANewLife,
        Self::NoHonestSiteIsAccused,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WhatWasAcknowledgedIsThereAfterACrash => "what was acknowledged is there after a crash",
            Self::ANameNeverHoldsOtherBytes => "a name never holds other bytes",
            Self::ACopyIsDeliveredAtMostOnce => "a copy is delivered at most once and only if it was sent",
            Self::NothingCrossesACutLink => "nothing crosses a cut link",
            Self::AfterHealingEveryQuestionIsAnsweredInTime => "after healing every question is answered in time",
            Self::SitesHoldTheSameRecords => "every site comes to hold the same records",
            Self::SitesShowTheSameLiveView => "every site comes to show the same live view",
            Self::WhatWasAcknowledgedIsFoundAtEverySite => "what was acknowledged is found at every site",
            Self::EveryConflictIsShownAtEverySite => "every conflict is shown at every site",
            Self::TheKeptViewIsTheViewOfAllRecords => "the kept view is the view of all records",
            Self::WhatASiteAcknowledgedSurvivesItsCrash => "what a site acknowledged survives its crash",
            Self::NoSiteUsesOnePlaceTwice => "no site uses one place twice",
            Self::WhoeverWasSetBackBeginsANewLife => "whoever was set back begins a new life",
            Self::NoHonestSiteIsAccused => "no honest site is accused",
            Self::TimeNeverGoesBackwards => "time never goes backwards",
        })
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What happened instead.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" did not hold: {}", self.invariant, self.detail)
    }
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    link: Link,
    /// How often the link had been cut when the copy was sent.
    cuts: u64,
    delivered: bool,
}

/// The model and the checks.
#[derive(Debug)]
pub struct Invariants {
    answer_within: Duration,
    now_us: u64,
    acknowledged: BTreeMap<NodeId, BTreeSet<String>>,
    flights: BTreeMap<CopyId, Flight>,
    cut: BTreeSet<Link>,
    cuts: BTreeMap<Link, u64>,
    healed_us: Option<u64>,
    /// Open questions and when they were asked.
    open: BTreeMap<(NodeId, u64), u64>,
    sites: Sites,
}

impl Invariants {
    /// Nothing has happened yet; a question is answered in time within `answer_within` of healing and of being asked.
    #[must_use]
    pub const fn new(answer_within: Duration) -> Self {
        Self {
            answer_within,
            now_us: 0,
            acknowledged: BTreeMap::new(),
            flights: BTreeMap::new(),
            cut: BTreeSet::new(),
            cuts: BTreeMap::new(),
            healed_us: None,
            open: BTreeMap::new(),
            sites: Sites::new(),
        }
    }

    /// Takes the next event of the log.
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn check(&mut self, entry: &Entry) -> Result<(), Violation> {
        self.check_time(entry.at_us)?;
        self.check_answers()?;
        match &entry.event {
            Event::Sent { link, copies } => self.sent(*link, copies),
            Event::Delivered { link, copy } => self.delivered(*link, *copy),
            Event::Cut { link } => {
                self.cut.insert(*link);
                *self.cuts.entry(*link).or_default() += 1;
                Ok(())
            }
            Event::Joined { link } => {
                self.cut.remove(link);
                Ok(())
            }
            Event::Healed => {
                self.healed_us = Some(entry.at_us);
                Ok(())
            }
            Event::Asked { node, question } => {
                self.open.insert((*node, *question), entry.at_us);
                Ok(())
            }
            Event::Answered { node, question } => {
                self.open.remove(&(*node, *question));
                Ok(())
            }
            Event::Acknowledged { node, name } => {
                self.acknowledged.entry(*node).or_default().insert(name.clone());
                Ok(())
            }
            Event::Recovered { node, found } => self.recovered(*node, found),
            Event::Wrote { .. }
            | Event::Said { .. }
            | Event::Opened { .. }
            | Event::SetBack { .. }
            | Event::Gone { .. }
            | Event::SteppedBack { .. }
            | Event::EndedSite { .. }
            | Event::Accused { .. }
            | Event::Checked { .. }
            | Event::Union { .. }
            | Event::Shows { .. } => self.sites.check(&entry.event),
            Event::Declined { .. }
            | Event::Began { .. }
            | Event::Spoke { .. }
            | Event::Crashed { .. }
            | Event::JoinedMesh { .. }
            | Event::NotSent { .. }
            | Event::Lost { .. }
            | Event::Clogged { .. }
            | Event::Unclogged { .. }
            | Event::ClockJumped { .. }
            | Event::Refused { .. }
            | Event::DiskFault { .. }
            | Event::Down { .. }
            | Event::Ended => Ok(()),
        }
    }

    fn check_time(&mut self, at_us: u64) -> Result<(), Violation> {
        require(at_us >= self.now_us, Invariant::TimeNeverGoesBackwards, || {
            format!("{at_us} us came after {} us", self.now_us)
        })?;
        self.now_us = at_us;
        Ok(())
    }

    fn check_answers(&self) -> Result<(), Violation> {
        let Some(healed) = self.healed_us else { return Ok(()) };
        let within = u64::try_from(self.answer_within.as_micros()).unwrap_or(u64::MAX);
        for ((node, question), asked) in &self.open {
            let due = healed.max(*asked).saturating_add(within);
            require(self.now_us <= due, Invariant::AfterHealingEveryQuestionIsAnsweredInTime, || {
                format!("question {question} of node {} was due at {due} us and is open at {} us", node.0, self.now_us)
            })?;
        }
        Ok(())
    }

    fn sent(&mut self, link: Link, copies: &[CopyId]) -> Result<(), Violation> {
        let cuts = self.cuts.get(&link).copied().unwrap_or_default();
        self.flights.extend(copies.iter().map(|&copy| (copy, Flight { link, cuts, delivered: false })));
        require(!self.cut.contains(&link), Invariant::NothingCrossesACutLink, || format!("{link:?} took {copies:?}"))
    }

    fn delivered(&mut self, link: Link, copy: CopyId) -> Result<(), Violation> {
        let cuts = self.cuts.get(&link).copied().unwrap_or_default();
        let flight = self.flights.get_mut(&copy).filter(|flight| flight.link == link && !flight.delivered);
        let Some(flight) = flight else {
            let detail = format!("{copy:?} over {link:?} again, or never sent there");
            return Err(Violation { invariant: Invariant::ACopyIsDeliveredAtMostOnce, detail });
        };
        flight.delivered = true;
        let whole = flight.cuts == cuts && !self.cut.contains(&link);
        require(whole, Invariant::NothingCrossesACutLink, || format!("{copy:?} was on {link:?} when it was cut"))
    }

    fn recovered(&self, node: NodeId, found: &BTreeMap<String, String>) -> Result<(), Violation> {
        for (name, hash) in found {
            require(name == hash, Invariant::ANameNeverHoldsOtherBytes, || {
                format!("node {} has bytes of {hash} under the name {name}", node.0)
            })?;
        }
        for name in self.acknowledged.get(&node).into_iter().flatten() {
            require(found.contains_key(name), Invariant::WhatWasAcknowledgedIsThereAfterACrash, || {
                format!("node {} acknowledged {name} and no longer has it", node.0)
            })?;
        }
        Ok(())
    }
}

fn require(holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(0);
    const LINK: Link = Link { from: NODE, to: NodeId(1) };

    /// What a log breaks, one event per millisecond.
    pub(super) fn broken_by(events: Vec<Event>) -> Option<Invariant> {
        let mut invariants = Invariants::new(Duration::from_millis(3));
        events.into_iter().enumerate().find_map(|(at, event)| {
            invariants.check(&Entry { at_us: 1000 * at as u64, event }).err().map(|violation| violation.invariant)
        })
    }

    fn sent(copy: u64) -> Event {
        Event::Sent { link: LINK, copies: vec![CopyId(copy)] }
    }

    fn delivered(copy: u64) -> Event {
        Event::Delivered { link: LINK, copy: CopyId(copy) }
    }

    fn acknowledged(name: &str) -> Event {
        Event::Acknowledged { node: NODE, name: name.into() }
    }

    fn recovered(found: &[(&str, &str)]) -> Event {
        let found = found.iter().map(|&(name, hash)| (name.to_owned(), hash.to_owned())).collect();
        Event::Recovered { node: NODE, found }
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_crash() {
        assert_eq!(broken_by(vec![acknowledged("a"), recovered(&[("a", "a"), ("b", "b")])]), None);
        let broken = broken_by(vec![acknowledged("a"), recovered(&[("b", "b")])]);
        assert_eq!(broken, Some(Invariant::WhatWasAcknowledgedIsThereAfterACrash));
    }

    #[test]
    fn a_name_never_holds_other_bytes() {
        assert_eq!(broken_by(vec![recovered(&[("a", "z")])]), Some(Invariant::ANameNeverHoldsOtherBytes));
    }

    #[test]
    fn a_copy_is_delivered_at_most_once() {
        assert_eq!(broken_by(vec![sent(1), delivered(1)]), None);
        let once = Some(Invariant::ACopyIsDeliveredAtMostOnce);
        assert_eq!(broken_by(vec![sent(1), delivered(1), delivered(1)]), once);
        assert_eq!(broken_by(vec![delivered(1)]), once);
        let elsewhere = Event::Delivered { link: Link { from: NodeId(1), to: NODE }, copy: CopyId(1) };
        assert_eq!(broken_by(vec![sent(1), elsewhere]), once);
    }

    #[test]
    fn nothing_crosses_a_cut_link() {
        let (cut, joined) = (Event::Cut { link: LINK }, Event::Joined { link: LINK });
        let crossed = Some(Invariant::NothingCrossesACutLink);
        assert_eq!(broken_by(vec![sent(1), cut.clone(), delivered(1)]), crossed);
        assert_eq!(broken_by(vec![sent(1), cut.clone(), joined.clone(), delivered(1)]), crossed);
        assert_eq!(broken_by(vec![cut.clone(), sent(1)]), crossed);
        assert_eq!(broken_by(vec![cut, joined, sent(1), delivered(1)]), None);
    }

    #[test]
    fn after_healing_every_question_is_answered_in_time() {
        let asked = |question| Event::Asked { node: NODE, question };
        let answered = Event::Answered { node: NODE, question: 1 };
        let late = Some(Invariant::AfterHealingEveryQuestionIsAnsweredInTime);
        let idle = || vec![sent(1), sent(2), sent(3), sent(4)];
        let log = |head: Vec<Event>| head.into_iter().chain(idle()).collect::<Vec<_>>();
        assert_eq!(broken_by(log(vec![asked(1)])), None, "not healed");
        assert_eq!(broken_by(log(vec![asked(1), Event::Healed])), late);
        assert_eq!(broken_by(log(vec![Event::Healed, asked(1)])), late);
        assert_eq!(broken_by(log(vec![asked(1), Event::Healed, answered])), None);
    }

    #[test]
    fn time_never_goes_backwards() {
        let mut invariants = Invariants::new(Duration::ZERO);
        invariants.check(&Entry { at_us: 2, event: Event::Healed }).unwrap();
        let violation = invariants.check(&Entry { at_us: 1, event: Event::Ended }).unwrap_err();
        assert_eq!(violation.invariant, Invariant::TimeNeverGoesBackwards);
    }

    #[test]
    fn the_sentence_is_the_name_in_a_scenario() {
        let others = [
            Invariant::WhatWasAcknowledgedIsThereAfterACrash,
            Invariant::ANameNeverHoldsOtherBytes,
            Invariant::ACopyIsDeliveredAtMostOnce,
            Invariant::NothingCrossesACutLink,
            Invariant::AfterHealingEveryQuestionIsAnsweredInTime,
            Invariant::TimeNeverGoesBackwards,
        ];
        for invariant in others.into_iter().chain(Invariant::OF_SITES) {
            assert_eq!(serde_json::to_string(&invariant).unwrap(), format!("\"{invariant}\""));
        }
    }
}
