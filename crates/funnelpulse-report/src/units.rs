//! The word for a row of the table: an hour, a minute, a day.

use funnelpulse_analytics::Findings;
use funnelpulse_core::Timestamp;

/// Names of one row and of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    /// Length in microseconds; 0 where rows have none in common.
    pub(super) length: i64,
}

const MINUTE: i64 = 60 * Timestamp::SECOND;

impl Unit {
    /// By the usual step of the first series.
    pub(super) fn of(findings: &Findings) -> Self {
        let time = findings.series().first().map_or(&[][..], |series| &series.time);
        let mut steps: Vec<i64> = time.windows(2).map(|pair| pair[1].as_micros() - pair[0].as_micros()).collect();
        steps.sort_unstable();
        let unit = |one, many, length| Self { one, many, length };
        match steps.get(steps.len() / 2) {
            None | Some(&Timestamp::HOUR) => unit("hour", "hours", Timestamp::HOUR),
            Some(&Timestamp::DAY) => unit("day", "days", Timestamp::DAY),
            Some(&MINUTE) => unit("minute", "minutes", MINUTE),
            Some(&Timestamp::SECOND) => unit("second", "seconds", Timestamp::SECOND),
            Some(_) => unit("row", "rows", 0),
        }
    }

    /// A duration in these units; in hours where rows have no name.
    pub(super) fn count(self, micros: i64) -> (i64, &'static str) {
        let Self { one, many, length } = if self.length > 0 { self } else { HOURS };
        let count = micros / length;
        (count, if count == 1 { one } else { many })
    }

    /// With a capital.
    pub(super) fn title(self) -> String {
        self.one[..1].to_uppercase() + &self.one[1..]
    }
}

const HOURS: Unit = Unit { one: "hour", many: "hours", length: Timestamp::HOUR };
