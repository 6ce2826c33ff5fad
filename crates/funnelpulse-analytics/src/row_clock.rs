//! The clock that texts go by.

use funnelpulse_core::{CalendarError, Timestamp, Zone};

/// The clock that texts go by: local time, and the distance of rows.
///
/// ```
/// use funnelpulse_analytics::RowClock;
/// use funnelpulse_core::Timestamp;
///
/// let start = Timestamp::from_seconds(4 * 3600);
/// let end = start.offset(2 * Timestamp::DAY);
/// let hourly = RowClock::new("Europe/Berlin", 3600)?;
/// assert_eq!((hourly.words(start), hourly.length(start, end)), (vec!["Thursday", "night"], "48 hours".to_owned()));
/// // A row that stands for a day has no part of the day.
/// let daily = RowClock::new("", 86_400)?;
/// assert_eq!((daily.words(start), daily.length(start, end)), (vec!["Thursday"], "2 days".to_owned()));
/// # Ok::<(), funnelpulse_core::CalendarError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowClock {
    zone: Zone,
    step: i64,
}

impl RowClock {
    /// Local time of an IANA time zone, UTC for an empty name, and rows so many seconds apart.
    ///
    /// # Errors
    /// [`CalendarError::Zone`] for a name that is not in the IANA database.
    pub fn new(timezone: &str, step_seconds: u64) -> Result<Self, CalendarError> {
        let step = i64::try_from(step_seconds).unwrap_or(i64::MAX).saturating_mul(Timestamp::SECOND);
        Ok(Self { zone: Zone::new(timezone)?, step })
    }

    /// True of rows that stand for a day or more.
    fn is_daily(&self) -> bool {
        self.step >= Timestamp::DAY
    }

    /// Words for a local time: the day of the week and, where rows are closer than a day, the part of the day.
    pub fn words(&self, time: Timestamp) -> Vec<&'static str> {
        const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        const PARTS: [&str; 4] = ["night", "morning", "afternoon", "evening"];
        let local = time.as_micros().saturating_add(self.zone.offset(time));
        // 1970-01-01 was a Thursday.
        let day = DAYS[(local.div_euclid(Timestamp::DAY) + 3).rem_euclid(7) as usize];
        let hour = local.rem_euclid(Timestamp::DAY) / Timestamp::HOUR;
        if self.is_daily() { vec![day] } else { vec![day, PARTS[(hour / 6) as usize]] }
    }

    /// The length of a period, in hours or, where rows stand for days, in days.
    pub fn length(&self, start: Timestamp, end: Timestamp) -> String {
        let (unit, name) = if self.is_daily() { (Timestamp::DAY, "day") } else { (Timestamp::HOUR, "hour") };
        let count = end.as_micros().saturating_sub(start.as_micros()) as f64 / unit as f64;
        format!("{} {name}{}", crate::short(count), if count == 1.0 { "" } else { "s" })
    }

    /// The word for rows: `hours`, `days`, or `rows` of any other distance.
    pub fn rows(&self) -> &'static str {
        match self.step {
            Timestamp::HOUR => "hours",
            Timestamp::DAY => "days",
            _ => "rows",
        }
    }
}

impl Default for RowClock {
    /// Hours in UTC.
    fn default() -> Self {
        Self { zone: Zone::utc(), step: Timestamp::HOUR }
    }
}
