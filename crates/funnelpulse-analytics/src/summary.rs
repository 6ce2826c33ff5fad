//! Totals over many anomalies.

use std::collections::BTreeMap;

use funnelpulse_core::{AnomalyType, SeriesKey, Severity, Timestamp};
use serde::Serialize;

use crate::Impact;

/// What a summary needs to know of one anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The series.
    pub series: SeriesKey,
    /// Start of the hour.
    pub time: Timestamp,
    /// How bad.
    pub severity: Severity,
    /// Of what kind.
    pub anomaly_type: AnomalyType,
    /// What it gained or lost.
    pub impact: Impact,
}

/// A count of anomalies and what they come to.
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
}
