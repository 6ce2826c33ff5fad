//! Findings of a pipeline.

mod equality;
mod layout;
mod series;

use std::{cmp::Ordering, time::Duration};

use funnelpulse_core::{Absence, Columns, Episode, Funnel, Timestamp};

pub use self::{
    layout::{DetectorColumns, Layout},
    series::{Anomaly, ModelScores, SeriesFailure, SeriesFindings},
};
use crate::{Finding, Incident, RowClock, Summary, group};

/// Everything found in a panel. Two are equal that found the same, bit by bit and with NaN where the
/// other has NaN, however long it took.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
/// # use found::findings;
/// # fn main() {
/// // Two shops without a sale in one of three hours, flagged from a score of 0.5.
/// let findings = findings(0.5);
/// for (series, anomaly) in findings.ranked() {
///     assert_eq!(series.time[anomaly.row].to_string(), "1970-01-01T01:00:00Z");
///     assert_eq!(anomaly.factors[0].to_string(), "purchases 0 instead of 10 (-100 %)");
/// }
/// assert_eq!(findings.summary().total.anomalies, 2);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Findings {
    layout: Layout,
    series: Vec<SeriesFindings>,
    site: Vec<Incident>,
    groups: Vec<Incident>,
    timings: Vec<(String, Duration)>,
    warnings: Vec<String>,
    absences: Vec<(String, Absence)>,
    failures: Vec<SeriesFailure>,
}

impl Findings {
    /// Puts series together and ranks their anomalies. `site` are the episodes of all series
    /// together.
    pub fn new(
        layout: Layout,
        mut series: Vec<SeriesFindings>,
        site: &[Episode],
        mut failures: Vec<SeriesFailure>,
    ) -> Self {
        series.sort_by(|a, b| a.series.cmp(&b.series));
        failures.sort_by(|a, b| a.series.cmp(&b.series));
        let end = series.iter().filter_map(|s| s.time.last()).max().copied();
        let site = Incident::explain_site((&layout.alerts, &layout.clock), layout.funnel.as_ref(), site, end);
        let groups = group::join(&layout, &mut series);
        let (timings, warnings, absences) = Default::default();
        let mut findings = Self { layout, series, site, groups, timings, warnings, absences, failures };
        findings.rank();
        findings
    }

    /// The clock that its texts go by.
    pub fn clock(&self) -> &RowClock {
        &self.layout.clock
    }

    /// Adds the time that each stage took.
    pub fn with_timings(mut self, timings: Vec<(String, Duration)>) -> Self {
        self.timings = timings;
        self
    }

    /// Adds remarks on the findings as a whole.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// let findings = findings(0.5).with_warnings(vec!["series `shop-a`: another scale".into()]);
    /// assert_eq!(findings.warnings().len(), 1);
    /// # }
    /// ```
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Adds the models that could not be trained, by detector.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// use funnelpulse_core::{Absence, Error};
    ///
    /// let short = Absence::of(None, &Error::TooFewRows { detector: "iforest", rows: 3, needed: 10 });
    /// let findings = findings(0.5).with_absences(vec![("iforest".to_owned(), short)]);
    /// assert_eq!(findings.absences()[0].1.reason, "3 usable rows, `iforest` needs at least 10");
    /// # }
    /// ```
    pub fn with_absences(mut self, absences: Vec<(String, Absence)>) -> Self {
        self.absences = absences;
        self
    }

    /// Models that could not be trained, by detector: their scores are missing.
    pub fn absences(&self) -> &[(String, Absence)] {
        &self.absences
    }

    /// Remarks on the findings as a whole: data that do not look like those that a model was
    /// trained on.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn rank(&mut self) {
        let mut all: Vec<(usize, usize)> = Vec::new();
        for (s, findings) in self.series.iter().enumerate() {
            all.extend((0..findings.anomalies.len()).map(|a| (s, a)));
        }
        let at = |(s, a): (usize, usize)| &self.series[s].anomalies[a];
        let money = |i| at(i).impact.revenue.map_or(0.0, f64::abs);
        let descending = |a: f64, b: f64| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
        // Stable: ties stay in order of series and time.
        all.sort_by(|&i, &j| descending(money(i), money(j)).then(descending(at(i).score, at(j).score)));
        for (rank, (s, a)) in all.into_iter().enumerate() {
            self.series[s].anomalies[a].rank = rank + 1;
        }
    }

    /// The columns of the matrices: stored metrics, then rates.
    pub fn metrics(&self) -> &Columns {
        &self.layout.metrics
    }

    /// Number of the [metrics](Self::metrics), from the front, that are stored and not rates.
    pub fn stored_metrics(&self) -> usize {
        self.layout.stored
    }

    /// The key columns that name a series.
    pub fn keys(&self) -> &[String] {
        &self.layout.keys
    }

    /// Position among the [metrics](Self::metrics) of the one whose expected value stands in the
    /// result.
    pub fn primary_metric(&self) -> usize {
        self.layout.primary
    }

    /// The metrics that are the steps of a funnel; `None` without a detector that looks at one.
    pub fn funnel(&self) -> Option<&Funnel> {
        self.layout.funnel.as_ref()
    }

    /// The detectors, in the order of their columns in the output table.
    pub fn detectors(&self) -> &[DetectorColumns] {
        &self.layout.detectors
    }

    /// The series in order of their names.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// let findings = findings(0.5);
    /// let shop = &findings.series()[1];
    /// assert_eq!((shop.series.as_str(), shop.anomalies.len()), ("shop-b", 1));
    /// assert_eq!(shop.expected[[1, 1]] - shop.observed[[1, 1]], 20.0);
    /// # }
    /// ```
    pub fn series(&self) -> &[SeriesFindings] {
        &self.series
    }

    /// The combined score from which rows were flagged, before it adapted to the recent scores of a
    /// series.
    pub fn threshold(&self) -> f64 {
        self.layout.threshold
    }

    /// The processor time of each stage, added up over threads, the longest first. Zero outside of Unix, and
    /// where the pipeline is built without its feature `timings`.
    pub fn timings(&self) -> &[(String, Duration)] {
        &self.timings
    }

    /// Incidents that all series share, in order of time: outages, but also holidays and campaigns.
    pub fn site_incidents(&self) -> &[Incident] {
        &self.site
    }

    /// Incidents of [several series](Incident::members) at the same hours, in order of time.
    pub fn group_incidents(&self) -> &[Incident] {
        &self.groups
    }

    /// The incidents of single series and of groups, the most urgent first, among them the costliest. Those of
    /// series that are part of a group's are not among them.
    pub fn incidents(&self) -> Vec<&Incident> {
        let of_series = self.series.iter().flat_map(|s| &s.incidents).filter(|i| i.group.is_none());
        let mut all: Vec<&Incident> = self.groups.iter().chain(of_series).collect();
        let cost = |i: &Incident| i.impact.revenue.map_or(0.0, f64::abs);
        all.sort_by(|a, b| a.priority.cmp(&b.priority).then(cost(b).total_cmp(&cost(a))).then(a.id.cmp(&b.id)));
        all
    }

    /// Those of the site, of groups and of all series.
    pub(crate) fn incidents_mut(&mut self) -> impl Iterator<Item = &mut Incident> {
        self.site.iter_mut().chain(&mut self.groups).chain(self.series.iter_mut().flat_map(|s| &mut s.incidents))
    }

    /// Series that could not be trained or scored.
    pub fn failures(&self) -> &[SeriesFailure] {
        &self.failures
    }

    /// Adds series that failed before they got here, for example while they were read.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// use funnelpulse_analytics::SeriesFailure;
    ///
    /// let mut findings = findings(0.5);
    /// let failure = SeriesFailure { series: "shop-c".into(), message: "no rows".into() };
    /// findings.add_failures([failure]);
    /// assert_eq!(findings.failures()[0].series.as_str(), "shop-c");
    /// # }
    /// ```
    pub fn add_failures(&mut self, failures: impl IntoIterator<Item = SeriesFailure>) {
        self.failures.extend(failures);
        self.failures.sort_by(|a, b| a.series.cmp(&b.series));
    }

    /// All anomalies with their series, by rank.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// // `shop-a` lost 50, `shop-b` 20.
    /// let findings = findings(0.5);
    /// let (series, worst) = findings.ranked()[0];
    /// assert_eq!((series.series.as_str(), worst.rank), ("shop-a", 1));
    /// assert_eq!(worst.impact.revenue, Some(-50.0));
    /// # }
    /// ```
    pub fn ranked(&self) -> Vec<(&SeriesFindings, &Anomaly)> {
        let mut all: Vec<_> = self.series.iter().flat_map(|s| s.anomalies.iter().map(move |a| (s, a))).collect();
        all.sort_by_key(|(_, anomaly)| anomaly.rank);
        all
    }

    /// Number of rows scored.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// // Two series of three rows.
    /// assert_eq!(findings(0.5).rows(), 6);
    /// # }
    /// ```
    pub fn rows(&self) -> usize {
        self.series.iter().map(|s| s.time.len()).sum()
    }

    /// Totals by severity, type, series and hour, and the trend.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// let summary = findings(0.5).summary();
    /// assert_eq!((summary.total.anomalies, summary.total.revenue_lost), (2, 70.0));
    /// assert!(summary.trend.is_none(), "two weeks are needed for a trend");
    /// # }
    /// ```
    pub fn summary(&self) -> Summary {
        let summary = Summary::new(self.series.iter().flat_map(|s| {
            s.anomalies.iter().map(|a| Finding {
                series: s.series.clone(),
                time: s.time[a.row],
                severity: a.severity,
                anomaly_type: a.anomaly_type,
                impact: a.impact,
            })
        }));
        let first = self.series.iter().filter_map(|s| s.time.first()).min();
        let last = self.series.iter().filter_map(|s| s.time.last()).max();
        let Some((first, last)) = first.zip(last) else { return summary };
        // Two whole weeks, or there is nothing to compare.
        if *last < first.offset(14 * Timestamp::DAY - Timestamp::HOUR) {
            return summary;
        }
        let times = self.series.iter().flat_map(|s| s.anomalies.iter().map(|a| s.time[a.row]));
        summary.with_trend(times, last.floor_to(Timestamp::HOUR).offset(Timestamp::HOUR))
    }
}
