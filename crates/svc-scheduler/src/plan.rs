//! When a schedule is due.

use std::time::Duration;

use millpond_io::Random;
use millpond_schedule::{Schedule, ScheduleError, Zone};
use millpond_types::Timestamp;

use crate::tables::ScheduleRow;

/// A schedule's times.
pub(crate) struct Plan {
    schedule: Schedule,
    anchor: Timestamp,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    window: Duration,
}

impl Plan {
    pub fn of(row: &ScheduleRow) -> Result<Self, ScheduleError> {
        let zone = Zone::named(&row.zone).ok_or(ScheduleError::Form)?;
        Ok(Self {
            schedule: Schedule::parse(&row.expression, &zone)?,
            anchor: Timestamp(row.anchor),
            start: row.start.map(Timestamp),
            end: row.end.map(Timestamp),
            window: Duration::from_secs(u64::from(row.window) * 60),
        })
    }

    /// The first time at or after `now`. A rate without a start is due at once; a time that has passed, too: what is due once runs late rather
    /// than never.
    pub fn first(&self, now: Timestamp) -> Option<Timestamp> {
        if self.schedule.is_once() {
            return self.schedule.after(Timestamp(0));
        }
        let before = Timestamp(now.max(self.start.unwrap_or_default()).0.saturating_sub(1));
        self.within(self.schedule.after_since(self.anchor, before))
    }

    /// The time after `last`, which was carried out at `now`. What was missed in between is passed over.
    pub fn next(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        if self.schedule.is_once() {
            return None;
        }
        // What lies in its window still is not missed.
        let window = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX);
        let missed = Timestamp(now.0.saturating_sub(window));
        self.within(self.schedule.after_since(self.anchor, last.max(missed)))
    }

    fn within(&self, time: Option<Timestamp>) -> Option<Timestamp> {
        time.filter(|time| self.end.is_none_or(|end| *time <= end))
    }

    /// When what is meant for `time` is carried out: some time in its window.
    pub fn jittered(&self, time: Timestamp, random: &dyn Random) -> Timestamp {
        let window = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX);
        if window == 0 { time } else { Timestamp(time.0.saturating_add(random.u64() % window)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(expression: &str, start: Option<u64>, end: Option<u64>, window: u32) -> Plan {
        let nanos = |seconds: u64| seconds * 1_000_000_000;
        let row = ScheduleRow {
            expression: expression.to_owned(),
            zone: "UTC".to_owned(),
            start: start.map(nanos),
            end: end.map(nanos),
            window,
            anchor: nanos(start.unwrap_or(1_000)),
            ..ScheduleRow::default()
        };
        Plan::of(&row).unwrap()
    }

    #[test]
    fn times_follow_each_other() {
        // Expression, start, end, window in minutes; the last time and now; the first at now, the next.
        type Row = (&'static str, Option<u64>, Option<u64>, u32, u64, u64, Option<u64>, Option<u64>);
        let table: Vec<Row> = vec![
            ("rate(1 minute)", None, None, 0, 1_000, 1_000, Some(1_000), Some(1_060)),
            ("rate(1 minute)", Some(5_000), None, 0, 5_000, 1_000, Some(5_000), Some(5_060)),
            ("rate(1 minute)", Some(900), None, 0, 900, 1_000, Some(1_020), Some(1_020)),
            // Down for long: once, and on with the rhythm.
            ("rate(1 minute)", None, None, 0, 1_060, 10_001, Some(10_060), Some(10_060)),
            // In a window of five minutes, those of the last five are still to come.
            ("rate(1 minute)", None, None, 5, 1_060, 1_300, Some(1_300), Some(1_120)),
            ("rate(1 minute)", None, None, 5, 1_060, 10_001, Some(10_060), Some(9_760)),
            ("rate(1 minute)", None, Some(1_060), 0, 1_000, 1_000, Some(1_000), Some(1_060)),
            ("rate(1 minute)", None, Some(1_059), 0, 1_000, 1_000, Some(1_000), None),
            ("cron(* * * * ? *)", None, None, 0, 1_020, 1_020, Some(1_020), Some(1_080)),
            ("cron(* * * * ? *)", Some(2_000), None, 0, 1_020, 1_020, Some(2_040), Some(1_080)),
            ("cron(* * * * ? *)", None, None, 0, 1_020, 9_999, Some(10_020), Some(10_020)),
            ("at(1970-01-01T01:00:00)", None, None, 0, 3_600, 1_000, Some(3_600), None),
            ("at(1970-01-01T01:00:00)", None, None, 0, 3_600, 9_000, Some(3_600), None),
        ];
        for (expression, start, end, window, last, now, first, next) in table {
            let plan = plan(expression, start, end, window);
            let at = Timestamp::from_seconds;
            let found = (plan.first(at(now)), plan.next(at(last), at(now)));
            assert_eq!(found, (first.map(at), next.map(at)), "{expression} {start:?} {end:?} {window} {last} {now}");
        }
    }
}
