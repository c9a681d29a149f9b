//! What waits for one neighbour, and how much may still go to it and come from it.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::Short;
use super::{BATCH, MAX_IDS, MAX_QUEUE, Plan};
use crate::record::RecordId;

/// A budget of bytes that fills with time, up to four seconds' worth. What is taken beyond it is owed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    rate: i64,
    left: i64,
    at: Duration,
}

impl Budget {
    pub(super) fn new(rate: u32, now: Duration) -> Self {
        let rate = i64::from(rate.max(1));
        Self { rate, left: rate * 4, at: now }
    }

    fn fill(&mut self, now: Duration) {
        let gained =
            now.saturating_sub(self.at).as_micros().saturating_mul(self.rate.unsigned_abs().into()) / 1_000_000;
        // What is less than a byte is kept for the next time.
        if gained > 0 {
            self.left = self.left.saturating_add(i64::try_from(gained).unwrap_or(i64::MAX)).min(self.rate * 4);
            self.at = now;
        }
    }

    pub(super) fn take(&mut self, bytes: usize, now: Duration) {
        self.fill(now);
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// When something may be taken; not later than `now` when at once.
    pub(super) fn ready(&mut self, now: Duration) -> Duration {
        self.fill(now);
        if self.left > 0 {
            return now;
        }
        let micros = (1 - self.left).unsigned_abs().saturating_mul(1_000_000) / self.rate.unsigned_abs();
        now + Duration::from_micros(micros + 1)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) id: RecordId,
    pub(super) bytes: u32,
}

/// A neighbour.
#[derive(Clone, Debug)]
pub(super) struct Link {
    urgent: VecDeque<Queued>,
    ordinary: VecDeque<Queued>,
    /// To be announced: by itself, and what nobody pushes.
    news: VecDeque<Short>,
    offers: VecDeque<Short>,
    /// When the announcements go.
    pub(super) news_due: Option<Duration>,
    give: Budget,
    pub(super) take: Budget,
    /// The connection takes nothing ordinary before.
    pub(super) held_until: Duration,
    /// Something was dropped for want of room.
    dropped: bool,
    /// Asked for in vain, in a row.
    pub(super) unanswered: u32,
    /// Nothing more is taken in from its announcements until this site has met it.
    pub(super) overwhelms: bool,
    pub(super) gather: Duration,
}

impl Link {
    pub(super) fn new(plan: &Plan, gather: Duration, now: Duration) -> Self {
        Self {
            urgent: VecDeque::new(),
            ordinary: VecDeque::new(),
            news: VecDeque::new(),
            offers: VecDeque::new(),
            news_due: None,
            give: Budget::new(plan.give, now),
            take: Budget::new(plan.take, now),
            held_until: Duration::ZERO,
            dropped: false,
            unanswered: 0,
            overwhelms: false,
            gather,
        }
    }

    pub(super) fn push(&mut self, record: Queued, urgent: bool) {
        let queue = if urgent { &mut self.urgent } else { &mut self.ordinary };
        if queue.iter().rev().take(8).any(|queued| queued.id == record.id) {
            return;
        }
        if queue.len() >= MAX_QUEUE {
            queue.pop_front();
            self.dropped = true;
        }
        queue.push_back(record);
    }

    pub(super) fn announce(&mut self, short: Short, pushed: bool, now: Duration) {
        let queue = if pushed { &mut self.news } else { &mut self.offers };
        if queue.len() >= MAX_QUEUE {
            queue.pop_front();
            self.dropped = true;
        }
        queue.push_back(short);
        let due = if pushed { now + self.gather } else { now };
        self.news_due = Some(self.news_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn ready(&mut self, now: Duration) -> Duration {
        self.give.ready(now).max(self.held_until)
    }

    /// Forgets what waits for the neighbour and may not be said to it any more.
    pub(super) fn keep(&mut self, mut may: impl FnMut(&Short) -> bool) {
        self.urgent.retain(|queued| may(&Short::of(&queued.id)));
        self.ordinary.retain(|queued| may(&Short::of(&queued.id)));
        self.news.retain(&mut may);
        self.offers.retain(&mut may);
    }

    /// The next records that may go, one class at a time; nothing when all has gone, or must wait.
    pub(super) fn next_push(&mut self, now: Duration) -> Option<(Vec<RecordId>, bool)> {
        let urgent = !self.urgent.is_empty();
        // What is urgent is charged for and does not wait.
        if !urgent && self.ready(now) > now {
            return None;
        }
        let queue = if urgent { &mut self.urgent } else { &mut self.ordinary };
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.front() {
            let size = next.bytes as usize;
            if !records.is_empty() && (bytes + size > BATCH || records.len() >= MAX_IDS) {
                break;
            }
            bytes += size;
            records.push(next.id);
            queue.pop_front();
        }
        self.give.take(bytes, now);
        (!records.is_empty()).then_some((records, urgent))
    }

    /// The next announcements of those that are due.
    pub(super) fn next_news(&mut self, now: Duration) -> Option<(bool, Vec<Short>)> {
        if self.news_due.is_none_or(|due| due > now) || self.held_until > now {
            return None;
        }
        let pushed = self.offers.is_empty();
        let queue = if pushed { &mut self.news } else { &mut self.offers };
        let records: Vec<Short> = queue.drain(..queue.len().min(MAX_IDS)).collect();
        if self.news.is_empty() && self.offers.is_empty() {
            self.news_due = None;
        }
        (!records.is_empty()).then_some((pushed, records))
    }

    /// Whether it was left behind and nothing more waits for it: once.
    pub(super) fn fell_behind(&mut self) -> bool {
        let through = self.urgent.is_empty() && self.ordinary.is_empty();
        through && std::mem::take(&mut self.dropped)
    }

    pub(super) fn due(&mut self, now: Duration) -> Option<Duration> {
        let push = if !self.urgent.is_empty() {
            Some(now)
        } else if self.ordinary.is_empty() {
            None
        } else {
            Some(self.ready(now))
        };
        [push, self.news_due.map(|due| due.max(self.held_until))].into_iter().flatten().min()
    }
}
