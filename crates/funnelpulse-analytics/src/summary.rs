//! Totals over many anomalies.

use std::collections::BTreeMap;

use funnelpulse_core::{AnomalyType, SeriesKey, Severity, Timestamp};
use serde::Serialize;

use crate::Impact;

/// The facts of one anomaly that a summary needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The series.
    pub series: SeriesKey,
    /// Start of the hour.
    pub time: Timestamp,
    /// The severity.
    pub severity: Severity,
    /// Of what kind.
    pub anomaly_type: AnomalyType,
    /// Its impact.
    pub impact: Impact,
}

/// A count of anomalies and what they come to.
///
/// ```
/// use funnelpulse_analytics::{Finding, Impact, Summary};
/// use funnelpulse_core::{AnomalyType, Severity, Timestamp};
///
/// let finding = |revenue| Finding {
///     series: "shop-a".into(),
///     time: Timestamp::from_seconds(0),
///     severity: Severity::Low,
///     anomaly_type: AnomalyType::Drop,
///     impact: Impact { revenue: Some(revenue), lost_conversions: None },
/// };
/// let total = Summary::new([finding(-30.0), finding(50.0), finding(-10.0)]).total;
/// assert_eq!((total.anomalies, total.revenue_lost, total.revenue_gained), (3, 40.0, 50.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Number of anomalies.
    pub anomalies: usize,
    /// Revenue lost in those below expectation, zero or more.
    pub revenue_lost: f64,
    /// Revenue gained in those above expectation, zero or more.
    pub revenue_gained: f64,
    /// Conversions lost in those below expectation, zero or more.
    pub conversions_lost: f64,
}

impl Tally {
    fn add(&mut self, impact: Impact) {
        self.anomalies += 1;
        let revenue = impact.revenue.unwrap_or(0.0);
        self.revenue_lost += (-revenue).max(0.0);
        self.revenue_gained += revenue.max(0.0);
        self.conversions_lost += impact.lost_conversions.unwrap_or(0.0).max(0.0);
    }
}

/// Anomalies counted by severity, type, series and hour of the day (UTC).
///
/// ```
/// use funnelpulse_analytics::{Finding, Impact, Summary};
/// use funnelpulse_core::{AnomalyType, Severity, Timestamp};
///
/// let summary = Summary::new([Finding {
///     series: "runail".into(),
///     time: Timestamp::from_seconds(8 * 3600),
///     severity: Severity::High,
///     anomaly_type: AnomalyType::Drop,
///     impact: Impact { revenue: Some(-120.0), lost_conversions: Some(24.0) },
/// }]);
/// assert_eq!(summary.total.revenue_lost, 120.0);
/// assert_eq!(summary.by_severity[&Severity::High].anomalies, 1);
/// assert_eq!(summary.by_hour[&8].conversions_lost, 24.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// All of them.
    pub total: Tally,
    /// By severity; levels without any are left out, and so below.
    pub by_severity: BTreeMap<Severity, Tally>,
    /// By type.
    pub by_type: BTreeMap<AnomalyType, Tally>,
    /// By series.
    pub by_series: BTreeMap<SeriesKey, Tally>,
    /// By hour of the day, 0 to 23, UTC.
    pub by_hour: BTreeMap<u8, Tally>,
    /// The last week against the one before; `None` until [`Summary::with_trend`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
}

/// The trend of the number of anomalies.
///
/// ```
/// use funnelpulse_analytics::{Direction, Summary};
/// use funnelpulse_core::Timestamp;
///
/// let trend = Summary::default().with_trend([], Timestamp::from_seconds(0)).trend.unwrap();
/// assert_eq!(trend.direction, Direction::Steady);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Clearly more than before.
    Rising,
    /// No clear change: what chance does to counts explains it.
    Steady,
    /// Clearly fewer than before.
    Falling,
}

/// The last week against the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// Anomalies of the last week.
    pub last_week: usize,
    /// Anomalies of the week before.
    pub week_before: usize,
    /// The direction: rising or falling when the two differ by more than two standard deviations of
    /// Poisson counts.
    pub direction: Direction,
}

impl Summary {
    /// Counts the findings.
    pub fn new(findings: impl IntoIterator<Item = Finding>) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            let hour = finding.time.as_micros().div_euclid(Timestamp::HOUR).rem_euclid(24) as u8;
            summary.total.add(finding.impact);
            summary.by_severity.entry(finding.severity).or_default().add(finding.impact);
            summary.by_type.entry(finding.anomaly_type).or_default().add(finding.impact);
            summary.by_series.entry(finding.series).or_default().add(finding.impact);
            summary.by_hour.entry(hour).or_default().add(finding.impact);
        }
        summary
    }

    /// Adds the trend of anomalies at `times` up to `end`, the end of the data.
    ///
    /// ```
    /// use funnelpulse_analytics::{Direction, Summary};
    /// use funnelpulse_core::Timestamp;
    ///
    /// let days = |d: i64| Timestamp::from_seconds(d * 86_400);
    /// let times = (7..14).flat_map(|d| [days(d), days(d), days(d)]).chain([days(3)]);
    /// let trend = Summary::default().with_trend(times, days(14)).trend.unwrap();
    /// assert_eq!((trend.last_week, trend.week_before), (21, 1));
    /// assert_eq!(trend.direction, Direction::Rising);
    /// ```
    pub fn with_trend(mut self, times: impl IntoIterator<Item = Timestamp>, end: Timestamp) -> Self {
        let (middle, start) = (end.offset(-7 * Timestamp::DAY), end.offset(-14 * Timestamp::DAY));
        let (mut last_week, mut week_before) = (0, 0);
        for time in times {
            last_week += usize::from((middle..end).contains(&time));
            week_before += usize::from((start..middle).contains(&time));
        }
        let z = (last_week as f64 - week_before as f64) / ((last_week + week_before).max(1) as f64).sqrt();
        let direction = match z {
            z if z > 2.0 => Direction::Rising,
            z if z < -2.0 => Direction::Falling,
            _ => Direction::Steady,
        };
        self.trend = Some(Trend { last_week, week_before, direction });
        self
    }
}
