//! When a purge is due: Harbor's schedules, six fields of cron in UTC. Pure; owns no state.

use std::str::FromStr;
use std::time::Duration;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::runs::PurgeParameters;

/// Days looked ahead for the next turn: every date of a calendar comes within eight years and a bit.
const AHEAD: u64 = 366 * 9;

const DAY: u64 = 86_400;

/// How a schedule was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduleKind {
    /// Once an hour.
    Hourly,
    /// Once a day.
    Daily,
    /// Once a week.
    Weekly,
    /// As its cron text says.
    Custom,
    /// At once, once.
    Manual,
    /// Never.
    #[default]
    None,
    /// As its cron text says; how runs of a schedule are told from those by hand.
    Schedule,
}

/// When purges run by themselves, and what they remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// How it was chosen.
    pub kind: ScheduleKind,
    /// The cron text: second, minute, hour, day of the month, month, day of the week (0: Sunday).
    pub cron: String,
    /// What is removed.
    pub parameters: PurgeParameters,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last; turns are counted from then.
    pub updated: Timestamp,
}

impl Schedule {
    /// The first turn after a moment; none when it never runs.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self.kind {
            ScheduleKind::Manual | ScheduleKind::None => None,
            ScheduleKind::Hourly
            | ScheduleKind::Daily
            | ScheduleKind::Weekly
            | ScheduleKind::Custom
            | ScheduleKind::Schedule => self.cron.parse::<Cron>().ok()?.next_after(after),
        }
    }

    /// Whether a turn has come since `last`, the begin of the last one. Turns missed come once.
    #[must_use]
    pub fn is_due(&self, last: Option<Timestamp>, now: Timestamp) -> bool {
        let since = last.unwrap_or_default().max(self.updated);
        self.next_after(since).is_some_and(|next| next <= now)
    }
}

/// Text that is no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not six fields of cron: second minute hour day month weekday")]
pub struct NotACron;

/// Longest text: one that names every value of every field once has 530 characters.
const LONGEST: usize = 1024;

/// A cron text, as one bit for each value a field may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// With both restricted, a day that fits either runs, as cron has it.
    either_day: bool,
}

impl FromStr for Cron {
    type Err = NotACron;

    fn from_str(text: &str) -> Result<Self, NotACron> {
        if text.len() > LONGEST {
            return Err(NotACron);
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [seconds, minutes, hours, days, months, weekdays] = fields[..] else { return Err(NotACron) };
        let any = |field: &str| field.starts_with('*') || field.starts_with('?');
        let weekday_bits = bits(weekdays, 0, 7)?;
        Ok(Self {
            seconds: bits(seconds, 0, 59)?,
            minutes: bits(minutes, 0, 59)?,
            hours: bits(hours, 0, 23)?,
            days: bits(days, 1, 31)?,
            months: bits(months, 1, 12)?,
            // Sunday is 0 and 7.
            weekdays: weekday_bits | (weekday_bits >> 7 & 1),
            either_day: !any(days) && !any(weekdays),
        })
    }
}

/// The values of a field: `*`, `5`, `1-5`, `*/15`, `1-9/2`, and lists of these.
fn bits(field: &str, least: u32, most: u32) -> Result<u64, NotACron> {
    let mut found = 0;
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, "1"), |(range, step)| (range, step));
        let number = |text: &str| match text.parse::<u32>() {
            Ok(number) if text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
            Ok(_) | Err(_) => Err(NotACron),
        };
        let step = number(step)?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if step == 0 || from < least || to > most || from > to {
            return Err(NotACron);
        }
        for value in (from..=to).step_by(step as usize) {
            found |= 1 << value;
        }
    }
    Ok(found)
}

impl Cron {
    /// The first moment after `after` that fits; none when there is no such date.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let start = after.as_secs() + 1;
        let lowest = |bits: u64, from: u64| {
            let left = bits.checked_shr(u32::try_from(from).ok()?)?;
            (left != 0).then(|| from + u64::from(left.trailing_zeros()))
        };
        for day in start / DAY..start / DAY + AHEAD {
            if !self.runs_on(day) {
                continue;
            }
            let from = start.saturating_sub(day * DAY);
            let mut hour = lowest(self.hours, from / 3600);
            while let Some(h) = hour {
                let within = from.saturating_sub(h * 3600);
                let mut minute = lowest(self.minutes, within / 60);
                while let Some(m) = minute {
                    if let Some(s) = lowest(self.seconds, within.saturating_sub(m * 60)) {
                        return Some(Timestamp((day * DAY + h * 3600 + m * 60 + s).saturating_mul(1000)));
                    }
                    minute = lowest(self.minutes, m + 1);
                }
                hour = lowest(self.hours, h + 1);
            }
        }
        None
    }

    fn runs_on(&self, day: u64) -> bool {
        let Some(date) = i64::try_from(day * DAY).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
        else {
            return false;
        };
        let has = |bits: u64, value: u8| bits >> value & 1 == 1;
        let by_day = has(self.days, date.day());
        let by_weekday = has(self.weekdays, date.weekday().number_days_from_sunday());
        let right = if self.either_day { by_day || by_weekday } else { by_day && by_weekday };
        right && has(self.months, u8::from(date.month()))
    }
}

/// How often a worker asks whether a purge is due.
pub const ASKED_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(cron: &str, after: u64) -> Option<u64> {
        cron.parse::<Cron>().unwrap().next_after(Timestamp(after * 1000)).map(Timestamp::as_secs)
    }

    #[test]
    fn turns_come_when_the_text_says() {
        // Wednesday, 18 March 2026, 10:30:15 UTC.
        let now = 1_773_829_815;
        assert_eq!(next("0 0 * * * *", now), Some(now - 15 - 1800 + 3600));
        assert_eq!(next("0 0 0 * * *", now), Some((now / DAY + 1) * DAY));
        assert_eq!(next("0 0 0 * * 0", now), Some((now / DAY + 4) * DAY), "Sunday");
        assert_eq!(next("0 0 0 * * 7", now), next("0 0 0 * * 0", now));
        assert_eq!(next("*/20 * * * * *", now), Some(now + 5));
        assert_eq!(next("16 30 10 18 3 *", now), Some(now + 1));
        assert_eq!(next("15 30 10 18 3 *", now), Some(now + 365 * DAY), "the moment itself is over");
        assert!(next("0 0 0 29 2 *", now).is_some_and(|at| at > now + 365 * DAY));
        assert_eq!(next("0 0 0 31 2 *", now), None);
        for bad in [
            "",
            "* * * * *",
            "60 * * * * *",
            "* * * 0 * *",
            "* * * * * 8",
            "5-1 * * * * *",
            "*/0 * * * * *",
            "+1 * * * * *",
        ] {
            assert_eq!(bad.parse::<Cron>(), Err(NotACron), "{bad}");
        }
    }

    #[test]
    fn a_missed_turn_comes_once() {
        let (kind, cron) = (ScheduleKind::Daily, "0 0 0 * * *".to_owned());
        let updated = Timestamp(10 * DAY * 1000 + 5);
        let schedule = Schedule { kind, cron, updated, ..Schedule::default() };
        let day = |n: u64| Timestamp(n * DAY * 1000);
        assert!(!schedule.is_due(None, Timestamp(11 * DAY * 1000 - 1)));
        assert!(schedule.is_due(None, day(11)) && schedule.is_due(Some(day(11)), day(15)));
        assert!(!schedule.is_due(Some(day(15)), day(15).plus(Duration::from_secs(3600))));
        assert!(!Schedule { kind: ScheduleKind::None, ..schedule }.is_due(None, day(99)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in "[-*/,0-9? a]{0,40}", after in any::<u64>()) {
            if let Ok(cron) = text.parse::<Cron>() {
                let after = Timestamp(after % (1 << 45));
                prop_assert!(cron.next_after(after).is_none_or(|next| next > after));
            }
        }
    }
}
