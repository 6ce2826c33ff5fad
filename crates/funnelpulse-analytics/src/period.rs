//! Stretches of time.

use std::{fmt, str::FromStr};

use funnelpulse_core::{Timestamp, parse_timestamp};
use serde::Serialize;

/// A stretch of time: its start is part of it, its end is not.
///
/// ```
/// use funnelpulse_analytics::Period;
/// use funnelpulse_core::Timestamp;
///
/// let week: Period = "2019-11-01..2019-11-08".parse()?;
/// assert_eq!(week.length(), 7 * Timestamp::DAY);
/// assert!(week.contains(week.start()) && !week.contains(week.end()));
/// assert_eq!(week.back(7 * Timestamp::DAY).to_string(), "2019-10-25..2019-11-01");
///
/// let error = "2019-11-08..2019-11-01".parse::<Period>().unwrap_err();
/// assert_eq!(error.to_string(), "period 2019-11-08..2019-11-01 ends before it starts");
/// # Ok::<(), funnelpulse_analytics::PeriodError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    start: Timestamp,
    end: Timestamp,
}

/// Errors of reading a period.
///
/// ```
/// use funnelpulse_analytics::{Period, PeriodError};
///
/// let error = "2019-11-01".parse::<Period>().unwrap_err();
/// assert!(matches!(error, PeriodError::Form { .. }));
/// ```
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeriodError {
    /// Not two times.
    #[error("`{text}` is not a period: expected START..END, for example 2019-11-01..2019-11-08")]
    Form {
        /// The text.
        text: String,
    },
    /// One of them can't be read.
    #[error("`{text}` is not a time: expected a date or a date and time, for example \"2019-11-01 08:00\"")]
    Time {
        /// The text.
        text: String,
    },
    /// It ends where it starts.
    #[error("period {}..{} is empty: its end is not part of it", moment(*at), moment(*at))]
    Empty {
        /// The time.
        at: Timestamp,
    },
    /// It ends before it starts.
    #[error("period {}..{} ends before it starts", moment(*start), moment(*end))]
    Reversed {
        /// Its start.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
}

impl Period {
    /// From `start` to before `end`.
    ///
    /// ```
    /// use funnelpulse_analytics::Period;
    /// use funnelpulse_core::Timestamp;
    ///
    /// let start = Timestamp::from_seconds(0);
    /// let hour = Period::new(start, start.offset(Timestamp::HOUR))?;
    /// assert_eq!(hour.to_string(), "1970-01-01..1970-01-01 01:00");
    /// assert!(Period::new(start, start).is_err());
    /// # Ok::<(), funnelpulse_analytics::PeriodError>(())
    /// ```
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, PeriodError> {
        match end {
            end if end == start => Err(PeriodError::Empty { at: start }),
            end if end < start => Err(PeriodError::Reversed { start, end }),
            end => Ok(Self { start, end }),
        }
    }

    /// Its first moment.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The first moment after it.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Its length in microseconds.
    pub fn length(&self) -> i64 {
        self.end.as_micros().saturating_sub(self.start.as_micros())
    }

    /// True if a moment is part of it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// As long, `micros` earlier.
    pub fn back(&self, micros: i64) -> Self {
        Self { start: self.start.offset(micros.saturating_neg()), end: self.end.offset(micros.saturating_neg()) }
    }

    /// Its length, up to whole weeks: what lies that far back is the same hour of the week, and no
    /// part of it.
    ///
    /// ```
    /// use funnelpulse_analytics::Period;
    /// use funnelpulse_core::Timestamp;
    ///
    /// let eight_days: Period = "2019-11-01..2019-11-09".parse()?;
    /// assert_eq!(eight_days.weeks_back(), 14 * Timestamp::DAY);
    /// # Ok::<(), funnelpulse_analytics::PeriodError>(())
    /// ```
    pub fn weeks_back(&self) -> i64 {
        const WEEK: i64 = 7 * Timestamp::DAY;
        (self.length() / WEEK + i64::from(self.length() % WEEK != 0)).saturating_mul(WEEK)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let (start, end) = text.split_once("..").ok_or_else(|| PeriodError::Form { text: text.to_owned() })?;
        let time = |text: &str| parse_timestamp(text).map_err(|_| PeriodError::Time { text: text.trim().to_owned() });
        Self::new(time(start)?, time(end)?)
    }
}

/// `2019-11-01..2019-11-08 06:00`; seconds only where there are any.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}..{}", moment(self.start), moment(self.end)))
    }
}

/// `{"start": "2019-11-01T00:00:00Z", "end": ...}`
impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename = "Period")]
        struct Ends {
            start: String,
            end: String,
        }
        Ends { start: self.start.to_string(), end: self.end.to_string() }.serialize(serializer)
    }
}

/// A time (UTC) in its shortest form: `2019-11-01`, `2019-11-01 08:00`; with seconds where there
/// are any.
///
/// ```
/// use funnelpulse_analytics::moment;
/// use funnelpulse_core::Timestamp;
///
/// assert_eq!(moment(Timestamp::from_seconds(1_569_888_000)), "2019-10-01");
/// assert_eq!(moment(Timestamp::from_seconds(1_569_891_600)), "2019-10-01 01:00");
/// assert_eq!(moment(Timestamp::from_seconds(1_569_888_001)), "2019-10-01T00:00:01Z");
/// ```
pub fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    let short = text.strip_suffix("T00:00:00Z").map(str::to_owned);
    short.or_else(|| text.strip_suffix(":00Z").map(|minutes| minutes.replacen('T', " ", 1))).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Period>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_period_is_refused() {
        assert!(refused("2019-11-01").contains("is not a period"));
        assert!(refused("2019-11-01..soon").starts_with("`soon` is not a time"));
        assert!(refused("..2019-11-01").starts_with("`` is not a time"));
        assert!(refused("2019-11-01...2019-11-02").starts_with("`.2019-11-02` is not a time"));
        assert!(refused("2019-02-30..2019-03-01").starts_with("`2019-02-30` is not a time"));
        assert!(refused("2019-11-01..2019-11-01 00:00").ends_with("is empty: its end is not part of it"));
    }

    #[test]
    fn whole_weeks_back() {
        let back = |text: &str| text.parse::<Period>().unwrap().weeks_back() / (7 * Timestamp::DAY);
        assert_eq!(back("2019-11-01..2019-11-02"), 1);
        assert_eq!(back("2019-11-01..2019-11-08"), 1);
        assert_eq!(back("2019-11-01..2019-11-08 01:00"), 2);
        let ages = Period::new(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX)).unwrap();
        assert!(ages.length() > 0 && ages.weeks_back() > 0 && ages.back(1).length() > 0);
    }

    #[test]
    fn json_has_both_ends() {
        let day: Period = "2019-11-01..2019-11-02".parse().unwrap();
        let json = serde_json::to_string(&day).unwrap();
        assert_eq!(json, r#"{"start":"2019-11-01T00:00:00Z","end":"2019-11-02T00:00:00Z"}"#);
    }
}
