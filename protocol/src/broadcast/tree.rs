//! Which links are eager, for the scopes of one audience.
//!
//! Each end decides about what comes *to* it: it lets the neighbours push that bring records first, and asks the others
//! to stop. What a site pushes to a neighbour is therefore the neighbour's choice.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::Short;
use crate::identity::NodeKey;

/// So many copies that came too late, in a row, and a link may be asked to stop.
const LATE: u32 = 3;

/// A feed that brought nothing, not even late, while so many records came, feeds no more.
const SILENT: u32 = 48;

/// How long after a change of feeds the next is looked for.
const REST: Duration = Duration::from_secs(2);

/// One link, as the scopes of the audience use it.
#[derive(Clone, Copy, Debug)]
struct Arm {
    /// This site pushes to the neighbour.
    gives: bool,
    /// The neighbour is to push to this site.
    feeds: bool,
    /// Copies that came too late, in a row.
    late: u32,
    /// Records that came otherwise since it last brought any.
    silent: u32,
}

impl Arm {
    /// Eager both ways, as a new link is: so that what happens first gets through.
    const NEW: Self = Self { gives: true, feeds: true, late: 0, silent: 0 };

    const fn is_feeding(&self) -> bool {
        self.feeds && self.silent < SILENT
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    arms: BTreeMap<NodeKey, Arm>,
    /// A record of the audience, to name it by.
    sample: Option<Short>,
    rest_until: Duration,
}

impl Tree {
    pub(super) fn down(&mut self, peer: &NodeKey) {
        self.arms.remove(peer);
    }

    /// Whether records are pushed to that neighbour. It is one of this audience.
    pub(super) fn gives(&mut self, peer: &NodeKey) -> bool {
        self.arms.entry(*peer).or_insert(Arm::NEW).gives
    }

    pub(super) fn set_gives(&mut self, peer: &NodeKey, gives: bool) {
        self.arms.entry(*peer).or_insert(Arm::NEW).gives = gives;
    }

    /// A record was pushed first by that neighbour, or came another way.
    pub(super) fn came(&mut self, short: Short, by: Option<&NodeKey>) {
        self.sample = Some(short);
        if let Some(by) = by {
            self.arms.entry(*by).or_insert(Arm::NEW);
        }
        for (peer, arm) in &mut self.arms {
            if by == Some(peer) {
                // Pushed on purpose or by request: it is a feed if it was to be one.
                (arm.late, arm.silent) = (0, 0);
            } else {
                arm.silent = arm.silent.saturating_add(1);
            }
        }
    }

    /// A copy came from that neighbour of what was here; whether it is to stop.
    pub(super) fn came_late(&mut self, by: &NodeKey, feeds: usize) -> bool {
        let enough = self.feeding() > feeds;
        let arm = self.arms.entry(*by).or_insert(Arm::NEW);
        arm.silent = 0;
        arm.late = arm.late.saturating_add(1);
        // One that was asked already, and goes on, is asked again now and then.
        let stops = arm.late >= LATE && (enough || !arm.feeds);
        if stops {
            (arm.feeds, arm.late) = (false, 0);
        }
        stops
    }

    fn feeding(&self) -> usize {
        self.arms.values().filter(|arm| arm.is_feeding()).count()
    }

    /// Who is to push again, since too few do; and a record that names the audience.
    pub(super) fn graft(
        &mut self,
        feeds: usize,
        now: Duration,
        pick: impl FnOnce(&[NodeKey]) -> Option<NodeKey>,
    ) -> Option<(NodeKey, Short)> {
        let sample = self.sample?;
        if now < self.rest_until || self.feeding() >= feeds {
            return None;
        }
        let idle: Vec<NodeKey> = self.arms.iter().filter(|(_, arm)| !arm.feeds).map(|(peer, _)| *peer).collect();
        let peer = pick(&idle)?;
        self.rest_until = now + REST;
        let gives = self.gives(&peer);
        self.arms.insert(peer, Arm { gives, ..Arm::NEW });
        Some((peer, sample))
    }

    /// That neighbour had what no feed brought in time: it is a better one.
    pub(super) fn prefer(&mut self, peer: &NodeKey) -> bool {
        let arm = self.arms.entry(*peer).or_insert(Arm::NEW);
        let was = arm.feeds;
        (arm.feeds, arm.late, arm.silent) = (true, 0, 0);
        !was
    }
}
