//! One run over one scope, from the key on: turns of ranges until both know what the other lacks.
//!
//! [`Run`] owns what one side has to say and what it waits for. The two take turns. A turn asks (a sum, a list) or
//! answers a list; a sum is split by the side that finds its own to be another, or listed when it has few items there.
//! A turn is the last when it asks nothing and neither side has anything left to ask; both can tell.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::items::{Edge, Item, Items, Span};
use super::message::{Entry, Message, Short, Turn, What};
use super::outbox::{Lot, Outbox};
use super::{MAX_LIST, MAX_MESSAGE, MAX_OPEN, MAX_SINGLES, MAX_TURN_ENTRIES, MAX_TURN_MESSAGES, MAX_TURNS};

/// How large this side makes what it sends. Others may choose otherwise; what they may send is limited by the constants
/// of this module, which these never exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A range of at most so many items is listed, at most [`MAX_LIST`].
    pub list: usize,
    /// A larger one is split into so many, at least 2.
    pub branch: usize,
    /// Bytes of a message, unless one range needs more; at most [`MAX_MESSAGE`].
    pub message: usize,
    /// Messages of a turn, at least 1, at most [`MAX_TURN_MESSAGES`].
    pub messages: u32,
    /// Records in one [`Send`](super::Effect::Send).
    pub batch: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { list: 32, branch: 32, message: MAX_MESSAGE, messages: MAX_TURN_MESSAGES, batch: 256 }
    }
}

impl Pace {
    /// Within what both sides can take.
    pub(super) fn within_limits(self) -> Self {
        Self {
            list: self.list.clamp(1, MAX_LIST),
            branch: self.branch.clamp(2, 256),
            message: self.message.clamp(1, MAX_MESSAGE),
            messages: self.messages.clamp(1, MAX_TURN_MESSAGES),
            batch: self.batch.max(1),
        }
    }
}

/// Why a session ended: each is the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a message.
    #[error("the peer sent bytes that are no message")]
    Encoding,
    /// A message that makes no sense now.
    #[error("the peer sent a message out of order")]
    OutOfOrder,
    /// A turn longer than allowed.
    #[error("the peer exceeded the limits of a turn")]
    TooMuch,
    /// It asked about a range twice.
    #[error("the peer asked twice about the same range")]
    Overlap,
    /// An answer to what was not asked.
    #[error("the peer answered what was not asked")]
    NotAsked,
    /// A list left without an answer.
    #[error("the peer left a list unanswered")]
    Unanswered,
    /// It began more runs over a scope than allowed.
    #[error("the peer began too many runs over one scope")]
    TooManyRuns,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records handed out for sending.
    pub sent: u64,
    /// Records the peer announced, or this side asked for.
    pub coming: u64,
    /// A limit was reached: there is more for a later run.
    pub partial: bool,
    /// Waiting ids were named by a side, so the sets may rightly differ.
    pub waiting: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Listen,
    Speak,
    /// The ranges are settled; what remains is to send.
    Settled,
}

/// An answer this side owes.
struct Answer {
    high: Edge,
    want: Vec<u8>,
    wanted: u64,
    coming: u64,
    lot: Lot,
}

pub(super) struct Run {
    pace: Pace,
    index: Index,
    /// Ranges found unequal, low to high edge.
    unequal: BTreeMap<Edge, Edge>,
    answers: BTreeMap<Edge, Answer>,
    /// Items in the lots of these answers.
    remembered: usize,
    /// Lists this side sent, low to high edge.
    listed: BTreeMap<Edge, Edge>,
    turns: u32,
    /// Of the turn being heard: messages, ranges, whether it asked.
    heard: (u32, usize, bool),
    /// What each side said of itself at the end of its last turn.
    said_open: bool,
    peer_open: bool,
    pub(super) outbox: Outbox,
    /// This side announced records, or was asked for some.
    pub(super) owes: bool,
    pub(super) tally: Tally,
}

impl Run {
    pub(super) fn new(pace: Pace, index: Index, waiting: bool) -> Self {
        Self {
            pace,
            index,
            unequal: BTreeMap::new(),
            answers: BTreeMap::new(),
            remembered: 0,
            listed: BTreeMap::new(),
            turns: 0,
            heard: (0, 0, false),
            said_open: false,
            peer_open: false,
            outbox: Outbox::default(),
            owes: false,
            tally: Tally { waiting, ..Tally::default() },
        }
    }

    /// This side begins, with everything.
    pub(super) fn begin(&mut self) {
        self.unequal.insert(Edge::START, Edge::End);
    }

    /// The peer has nothing: as if it had sent an empty list of everything.
    pub(super) fn peer_is_empty(&mut self, items: &dyn Items) -> Result<(), Fault> {
        self.hear_list(Span::ALL, &[], items)
    }

    /// This side has nothing, and said so.
    pub(super) fn said_empty(&mut self) {
        self.listed.insert(Edge::START, Edge::End);
    }

    /// Takes a message of the peer's turn.
    pub(super) fn hear(&mut self, turn: Turn, items: &dyn Items) -> Result<Next, Fault> {
        let (messages, entries, asked) = &mut self.heard;
        *messages += 1;
        *entries += turn.entries.len();
        *asked |= turn.entries.iter().any(|entry| entry.what.is_question());
        if *messages > MAX_TURN_MESSAGES || *entries > MAX_TURN_ENTRIES {
            return Err(Fault::TooMuch);
        }
        for Entry { span, what } in turn.entries {
            match what {
                What::Sum(sum) if self.index.sum(&span, items) == sum => {}
                What::Sum(_) => self.hear_unequal(span)?,
                What::List(list) => self.hear_list(span, &list, items)?,
                What::Answer { want, coming } => self.hear_answer(span, &want, coming, items)?,
            }
        }
        if turn.goes_on {
            return Ok(Next::Listen);
        }
        let (_, _, asked) = std::mem::take(&mut self.heard);
        self.turns += 1;
        self.peer_open = turn.open;
        self.after_turn(asked || turn.open || self.said_open, Next::Speak)
    }

    /// What follows when a turn is over.
    fn after_turn(&mut self, more: bool, next: Next) -> Result<Next, Fault> {
        if !more {
            // Whoever has nothing left has answered everything.
            return if self.listed.is_empty() { Ok(Next::Settled) } else { Err(Fault::Unanswered) };
        }
        if self.turns < MAX_TURNS {
            return Ok(next);
        }
        self.tally.partial = true;
        Ok(Next::Settled)
    }

    fn hear_unequal(&mut self, span: Span) -> Result<(), Fault> {
        check_apart(&self.unequal, span, |high| *high)?;
        self.unequal.insert(span.low(), span.high());
        if self.unequal.len() > MAX_OPEN {
            self.unequal.pop_first();
            self.tally.partial = true;
        }
        Ok(())
    }

    fn hear_list(&mut self, span: Span, list: &[Short], items: &dyn Items) -> Result<(), Fault> {
        check_apart(&self.answers, span, |answer| answer.high)?;
        if self.answers.len() >= MAX_TURN_ENTRIES {
            return Err(Fault::TooMuch);
        }
        let mut want = vec![0_u8; list.len().div_ceil(8)];
        let mut wanted = 0;
        let (coming, lot) = if list.is_empty() {
            (self.index.total(&span, items).count, Lot::Range { span, except: Vec::new() })
        } else {
            let names: BTreeSet<Short> = list.iter().copied().collect();
            let (mut seen, mut common, mut extra, mut extras) = (BTreeSet::new(), Vec::new(), Vec::new(), 0);
            for item in self.index.read(&span, items) {
                let short = self.index.short(&item);
                if names.contains(&short) {
                    seen.insert(short);
                    common.push(item);
                } else {
                    extras += 1;
                    if extra.len() <= MAX_LIST {
                        extra.push(item);
                    }
                }
            }
            for (at, short) in list.iter().enumerate() {
                if !seen.contains(short)
                    && let Some(byte) = want.get_mut(at / 8)
                {
                    *byte |= 1 << (at % 8);
                    wanted += 1;
                }
            }
            // Whichever is less to remember.
            let few = extras <= common.len() as u64;
            (extras, if few { Lot::Few(extra) } else { Lot::Range { span, except: common } })
        };
        let (coming, lot) = if self.remembered + lot.remembers() > MAX_SINGLES {
            self.tally.partial = true;
            (0, Lot::Few(Vec::new()))
        } else {
            (coming, lot)
        };
        self.remembered += lot.remembers();
        while want.last() == Some(&0) {
            want.pop();
        }
        self.answers.insert(span.low(), Answer { high: span.high(), want, wanted, coming, lot });
        Ok(())
    }

    fn hear_answer(&mut self, span: Span, want: &[u8], coming: u64, items: &dyn Items) -> Result<(), Fault> {
        if self.listed.remove(&span.low()) != Some(span.high()) {
            return Err(Fault::NotAsked);
        }
        self.tally.coming = self.tally.coming.saturating_add(coming);
        if want.is_empty() {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for (at, item) in self.index.read(&span, items).take(MAX_LIST).enumerate() {
            if want.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1) {
                wanted.push(item);
            }
        }
        if want.iter().map(|byte| byte.count_ones() as usize).sum::<usize>() != wanted.len() {
            return Err(Fault::NotAsked);
        }
        self.owes = true;
        self.outbox.put(Lot::Few(wanted));
        Ok(())
    }

    /// This side's turn.
    pub(super) fn speak(&mut self, items: &dyn Items) -> Result<(Vec<Message>, Next), Fault> {
        let mut pages = Pages::new(self.pace);
        while let Some((low, answer)) = self.answers.pop_last() {
            let Some(span) = Span::new(low, answer.high) else { continue };
            let what = What::Answer { want: answer.want.clone(), coming: answer.coming };
            if let Err(_full) = pages.put(vec![Entry { span, what }]) {
                self.answers.insert(low, answer);
                break;
            }
            self.remembered -= answer.lot.remembers();
            self.tally.coming = self.tally.coming.saturating_add(answer.wanted);
            if answer.coming > 0 {
                self.owes = true;
                self.outbox.put(answer.lot);
            }
        }
        pages.turn_page();
        // Newest first, so that a run that reaches a limit has settled what matters most.
        let mut asked = false;
        while let Some((low, high)) = self.unequal.pop_last() {
            let Some(span) = Span::new(low, high) else { continue };
            match pages.put(self.ask(span, items)) {
                Ok(()) => asked = true,
                Err(_full) => {
                    self.unequal.insert(low, high);
                    break;
                }
            }
        }
        let open = !self.unequal.is_empty() || !self.answers.is_empty();
        let mut parts = pages.finish();
        for entry in parts.iter().flatten() {
            match entry.what {
                What::List(_) => {
                    self.listed.insert(entry.span.low(), entry.span.high());
                }
                What::Sum(_) | What::Answer { .. } => {}
            }
        }
        let last = parts.pop().unwrap_or_default();
        let part = |entries| Message::Turn(Turn { goes_on: true, open: false, entries });
        let mut messages: Vec<Message> = parts.into_iter().map(part).collect();
        messages.push(Message::Turn(Turn { goes_on: false, open, entries: last }));
        self.turns += 1;
        self.said_open = open;
        let next = self.after_turn(asked || open || self.peer_open, Next::Listen)?;
        Ok((messages, next))
    }

    /// Lists a range, or splits it.
    fn ask(&self, span: Span, items: &dyn Items) -> Vec<Entry> {
        let count = self.index.total(&span, items).count;
        if count <= self.pace.list as u64 {
            let list = self.index.read(&span, items).map(|item| self.index.short(&item)).collect();
            return vec![Entry { span, what: What::List(list) }];
        }
        let parts = self.index.split(&span, count, self.pace.branch as u64, items);
        parts.into_iter().map(|(span, sum)| Entry { span, what: What::Sum(sum) }).collect()
    }

    /// The next records to send.
    pub(super) fn take(&mut self, items: &dyn Items) -> Vec<Item> {
        let batch = self.outbox.take(self.pace.batch, &self.index, items);
        self.tally.sent += batch.len() as u64;
        batch
    }

    /// What it came to.
    pub(super) fn tally(&self) -> Tally {
        Tally { partial: self.tally.partial || self.outbox.overflowed, ..self.tally }
    }
}

fn check_apart<T>(ranges: &BTreeMap<Edge, T>, span: Span, high: impl Fn(&T) -> Edge) -> Result<(), Fault> {
    // They are apart among themselves, so the last that begins below the end tells.
    match ranges.range(..span.high()).next_back() {
        Some((_, last)) if high(last) > span.low() => Err(Fault::Overlap),
        Some(_) | None => Ok(()),
    }
}

/// The messages of a turn while they fill.
struct Pages {
    pace: Pace,
    full: Vec<Vec<Entry>>,
    /// Groups of ranges from the newest down, each ascending.
    groups: Vec<Vec<Entry>>,
    bytes: usize,
    entries: usize,
}

struct Full;

impl Pages {
    fn new(pace: Pace) -> Self {
        Self { pace, full: Vec::new(), groups: Vec::new(), bytes: 0, entries: 0 }
    }

    /// Takes a group that is below all before it, or says that the turn is full. The first always finds room.
    fn put(&mut self, group: Vec<Entry>) -> Result<(), Full> {
        let bytes: usize = group.iter().map(Entry::most_bytes).sum();
        if self.entries + group.len() > MAX_TURN_ENTRIES {
            return Err(Full);
        }
        // Two more are for what stands before the ranges.
        if self.bytes + bytes + 2 > self.pace.message {
            self.turn_page();
        }
        if self.groups.is_empty() && self.full.len() as u32 >= self.pace.messages {
            return Err(Full);
        }
        self.bytes += bytes;
        self.entries += group.len();
        self.groups.push(group);
        Ok(())
    }

    fn turn_page(&mut self) {
        if !self.groups.is_empty() {
            self.full.push(std::mem::take(&mut self.groups).into_iter().rev().flatten().collect());
            self.bytes = 0;
        }
    }

    fn finish(mut self) -> Vec<Vec<Entry>> {
        self.turn_page();
        self.full
    }
}
