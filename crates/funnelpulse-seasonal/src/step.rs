//! The usual distance of rows: a fixed time, or a number of calendar months.

use funnelpulse_core::Timestamp;
use jiff::{Span, Timestamp as Instant, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Fewest rows whose dates can tell a month from 31 days.
const FEWEST_ROWS: usize = 3;
/// Most months that a model file may have in a step: a thousand years.
const MOST_MONTHS: u32 = 12_000;

/// The distance of one row to the next.
///
/// Tables by month, quarter or year have steps of different length: their rows lie on the same day of each month, or on
/// its last where the month is shorter.
///
/// ```
/// use funnelpulse_core::parse_timestamp;
/// use funnelpulse_seasonal::TimeStep;
///
/// let time = ["2024-01-31", "2024-02-29", "2024-03-31"].map(|date| parse_timestamp(date).expect("a date"));
/// let step = TimeStep::usual(&time);
/// assert_eq!(step, TimeStep::Months { months: 1, day: 31 });
/// assert_eq!(step.after(time[2], 1).to_string(), "2024-04-30T00:00:00Z");
/// assert_eq!(step.after(time[2], 11).to_string(), "2025-02-28T00:00:00Z");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeStep {
    /// Microseconds, 1 or more.
    Fixed(i64),
    /// Calendar months in UTC.
    Months {
        /// Number of months: 3 is a quarter, 12 a year.
        months: u32,
        /// Day of the month, 1 to 31; the last one of shorter months.
        day: u8,
    },
}

impl TimeStep {
    /// The most frequent distance of neighbouring rows; of several, the smallest. In months where three or more rows, in
    /// order of time, all lie on one day of the month and at one time of the day.
    pub fn usual(time: &[Timestamp]) -> Self {
        Self::of_calendar(time).unwrap_or_else(|| {
            let gap = |pair: &[Timestamp]| pair[1].as_micros().saturating_sub(pair[0].as_micros());
            Self::Fixed(most_frequent(time.windows(2).map(gap)).unwrap_or(1).max(1))
        })
    }

    /// The step of a table by months, quarters or years.
    fn of_calendar(time: &[Timestamp]) -> Option<Self> {
        if time.len() < FEWEST_ROWS {
            return None;
        }
        let mut day = 0;
        let mut months = Vec::with_capacity(time.len());
        let first = civil(time[0])?;
        for time in time {
            let civil = civil(*time)?;
            if civil.time() != first.time() {
                return None;
            }
            day = day.max(civil.day());
            months.push((i64::from(civil.year()) * 12 + i64::from(civil.month()), civil));
        }
        let on_day = |(_, civil): &(i64, DateTime)| civil.day() == day.min(civil.days_in_month());
        if !months.iter().all(on_day) {
            return None;
        }
        let months = most_frequent(months.windows(2).map(|pair| pair[1].0 - pair[0].0))?;
        let months = u32::try_from(months).ok().filter(|months| (1..=MOST_MONTHS).contains(months))?;
        Some(Self::Months { months, day: day.unsigned_abs() })
    }

    /// The time `steps` steps after `time`, saturating at the ends of the range.
    pub fn after(self, time: Timestamp, steps: i64) -> Timestamp {
        match self {
            Self::Fixed(micros) => time.offset(micros.saturating_mul(steps)),
            Self::Months { months, day } => later(time, i64::from(months).saturating_mul(steps), day)
                .unwrap_or_else(|| Timestamp::from_micros(if steps < 0 { i64::MIN } else { i64::MAX })),
        }
    }

    /// True if a model can have it.
    pub(crate) fn is_valid(self) -> bool {
        match self {
            Self::Fixed(micros) => micros >= 1,
            Self::Months { months, day } => (1..=MOST_MONTHS).contains(&months) && (1..=31).contains(&day),
        }
    }
}

/// Date and time in UTC, if a calendar has them.
fn civil(time: Timestamp) -> Option<DateTime> {
    let instant = Instant::from_microsecond(time.as_micros()).ok()?;
    Some(instant.to_zoned(TimeZone::UTC).datetime())
}

/// The day of the month some months later, or the last one of that month.
fn later(time: Timestamp, months: i64, day: u8) -> Option<Timestamp> {
    let date = civil(time)?;
    let first = date.first_of_month().checked_add(Span::new().try_months(months).ok()?).ok()?;
    let date = first.with().day(first.days_in_month().min(day.cast_signed())).build().ok()?;
    let instant = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_micros(instant.as_microsecond()))
}

/// The most frequent of some numbers; of several, the smallest.
fn most_frequent(numbers: impl Iterator<Item = i64>) -> Option<i64> {
    let mut sorted: Vec<i64> = numbers.collect();
    sorted.sort_unstable();
    let mut best: Option<(usize, i64)> = None;
    for run in sorted.chunk_by(|a, b| a == b) {
        if best.is_none_or(|(len, _)| run.len() > len) {
            best = Some((run.len(), run[0]));
        }
    }
    best.map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::parse_timestamp;

    use super::*;

    fn times(dates: &[&str]) -> Vec<Timestamp> {
        dates.iter().map(|date| parse_timestamp(date).unwrap()).collect()
    }

    fn usual(dates: &[&str]) -> TimeStep {
        TimeStep::usual(&times(dates))
    }

    #[test]
    fn months_quarters_and_years_are_seen_through_gaps() {
        let months = |months, day| TimeStep::Months { months, day };
        assert_eq!(usual(&["2023-11-01", "2023-12-01", "2024-01-01", "2024-03-01"]), months(1, 1));
        assert_eq!(usual(&["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31"]), months(3, 31));
        assert_eq!(usual(&["2020-02-29", "2021-02-28", "2022-02-28"]), months(12, 29));
        assert_eq!(usual(&["2024-01-15 06:30:00", "2024-02-15 06:30:00", "2024-03-15 06:30:00"]), months(1, 15));
    }

    #[test]
    fn other_tables_have_fixed_steps() {
        let days = |days: i64| TimeStep::Fixed(days * Timestamp::DAY);
        assert_eq!(usual(&["2024-01-01", "2024-01-08", "2024-01-15"]), days(7));
        assert_eq!(usual(&["2024-01-01", "2024-02-01"]), days(31), "two rows may be 31 days apart");
        assert_eq!(usual(&["2024-01-01", "2024-01-31", "2024-03-01", "2024-03-31"]), days(30));
        assert_eq!(usual(&["2024-01-01 00:00:00", "2024-02-01 01:00:00", "2024-03-01 00:00:00"]), {
            TimeStep::Fixed(29 * Timestamp::DAY - Timestamp::HOUR)
        });
        let far = [i64::MIN, 0, i64::MAX].map(Timestamp::from_micros);
        assert_eq!(TimeStep::usual(&far), TimeStep::Fixed(i64::MAX));
        assert_eq!(TimeStep::usual(&far[..1]), TimeStep::Fixed(1));
    }

    #[test]
    fn steps_lead_to_the_day_of_each_month_and_back() {
        let step = TimeStep::Months { months: 1, day: 31 };
        let start = parse_timestamp("2023-11-30").unwrap();
        let dates: Vec<String> = (1..=4).map(|i| step.after(start, i).to_string()).collect();
        assert_eq!(dates, ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"].map(|d| format!("{d}T00:00:00Z")));
        assert_eq!(step.after(step.after(start, 7), -7), start);
        let far = step.after(start, i64::MAX);
        assert_eq!((far.as_micros(), step.after(start, i64::MIN).as_micros()), (i64::MAX, i64::MIN));
    }
}
