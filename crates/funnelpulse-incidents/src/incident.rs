//! What the rows of a series show, and the incidents that they make up.

use funnelpulse_core::{SeriesKey, Timestamp};
use serde::Serialize;

use crate::{
    IncidentKind,
    grid::{LANES, PURCHASES, STEPS},
    name::{self, Stretch},
    onset, price,
    windows::{Statistic, greedy::Found, noise::Noise},
};

/// Hours without a row, or with odds below even, that an incident may contain.
const BRIDGE: usize = 3;

/// What the rows of one series show.
#[derive(Clone, Debug)]
pub struct RowEvidence {
    /// The series.
    pub series: SeriesKey,
    pub(crate) time: Vec<Timestamp>,
    pub(crate) rows: Vec<Row>,
    pub(crate) statistics: Vec<Statistic>,
    pub(crate) noise: Noise,
    /// The mean revenue of a purchase.
    pub(crate) unit: f64,
    /// Added to log odds: how much more frequent incidents were in the history.
    pub(crate) prior: f64,
}

/// One row of a series.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) hour: usize,
    pub(crate) observed: [f64; STEPS],
    pub(crate) expected: [f64; STEPS],
    pub(crate) log_odds: f64,
    pub(crate) found: Found,
    pub(crate) kind: IncidentKind,
    /// Whether the site explains the row rather than the series.
    pub(crate) is_shared: bool,
}

/// The stretch of hours that gave a row its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvidenceWindow {
    /// Hours of the window before the row's hour.
    pub before: usize,
    /// Its length in hours.
    pub hours: usize,
    /// The step that is off: `traffic`, `carts`, `purchases` or `revenue`,
    pub step: &'static str,
    /// given this one.
    pub given: Option<&'static str>,
    /// Whether there was more than expected.
    pub is_above: bool,
}

/// One cause, from its first to its last hour, in one series or in all.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IncidentEpisode {
    /// The series, or `(site)` for what all series share.
    pub series: SeriesKey,
    /// Its name, from the estimated effects.
    pub kind: IncidentKind,
    /// Probability of that kind, given that it is an incident.
    pub kind_probability: f64,
    /// Time of the row in which it most likely began: up to twelve hours before its first row, or after it where
    /// the first rows are as they should be.
    pub start: Timestamp,
    /// Time of its last row.
    pub last: Timestamp,
    /// Its rows within the series, first and last.
    pub rows: (usize, usize),
    /// Logarithm of the odds of an incident in its clearest row.
    pub log_odds: f64,
    /// Probability that it is an incident, with the frequency of incidents in the history.
    pub probability: f64,
    /// Visits, carts, purchases and revenue as they were, NaN where there is no such step.
    pub observed: [f64; 4],
    /// The same of normal operation.
    pub expected: [f64; 4],
    /// Purchases relative to those of normal operation.
    pub purchase_factor: f64,
    /// Expected minus observed revenue; negative for a gain.
    pub revenue_loss: f64,
    /// The range that holds it with a probability of 90 %.
    pub revenue_loss_interval: (f64, f64),
}

impl RowEvidence {
    /// Without the first `rows` rows.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let evidence = scan.series[0].clone().skip(700);
    /// assert_eq!(evidence.time().len(), 260);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn skip(mut self, rows: usize) -> Self {
        let rows = rows.min(self.rows.len());
        self.time.drain(..rows);
        self.rows.drain(..rows);
        self
    }

    /// A copy without the first `rows` rows.
    pub(crate) fn after(&self, rows: usize) -> Self {
        let rows = rows.min(self.rows.len());
        Self {
            series: self.series.clone(),
            time: self.time[rows..].to_vec(),
            rows: self.rows[rows..].to_vec(),
            statistics: self.statistics.clone(),
            noise: self.noise.clone(),
            ..*self
        }
    }

    /// The time of each row.
    pub fn time(&self) -> &[Timestamp] {
        &self.time
    }

    /// Logarithm of the odds that each row is part of an incident: 0 is fifty-fifty.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let evidence = &scan.series[0];
    /// let (outage, before) = (evidence.log_odds().nth(703), evidence.log_odds().nth(650));
    /// assert!(outage > Some(0.0) && before < Some(0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log_odds(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.rows.iter().map(|r| r.log_odds)
    }

    /// The anomaly score of each row, on the scale of a standard normal deviate.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// // Five standard deviations and more.
    /// assert!(scan.series[0].heights().nth(703).is_some_and(|height| height > 5.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn heights(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.rows.iter().map(|r| r.found.height)
    }

    /// The most probable kind of each row, were it part of an incident.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// use funnelpulse_incidents::IncidentKind;
    ///
    /// assert_eq!(scan.series[0].kinds().nth(703), Some(IncidentKind::CheckoutOutage));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kinds(&self) -> impl ExactSizeIterator<Item = IncidentKind> + '_ {
        self.rows.iter().map(|r| r.kind)
    }

    /// Visits, carts, purchases and revenue that normal operation would have brought, per row.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let expected = scan.series[0].expected().nth(703);
    /// // About 45 purchases an hour were due; there were none.
    /// assert!(expected.is_some_and(|[_, _, purchases, _]| (30.0..60.0).contains(&purchases)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expected(&self) -> impl ExactSizeIterator<Item = [f64; 4]> + '_ {
        self.rows.iter().map(|r| r.expected)
    }

    /// The window that gave each row its score; `None` where no window stands out.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let window = scan.series[0].windows().nth(703).flatten();
    /// assert!(window.is_some_and(|w| w.step == "purchases" && w.hours >= 4 && !w.is_above));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn windows(&self) -> impl ExactSizeIterator<Item = Option<EvidenceWindow>> + '_ {
        const NAMES: [&str; LANES] = ["traffic", "carts", "purchases", "revenue", "revenue"];
        self.rows.iter().map(|row| {
            let statistic = self.statistics.get(usize::from(row.found.statistic))?;
            (row.found.length > 0).then(|| EvidenceWindow {
                before: usize::from(row.found.before),
                hours: usize::from(row.found.length),
                step: NAMES[statistic.step],
                given: statistic.given.map(|given| NAMES[given]),
                is_above: row.found.is_above,
            })
        })
    }

    /// Whether each row is explained by an incident of the site.
    pub fn shared(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        self.rows.iter().map(|r| r.is_shared)
    }

    /// The incidents of the series in which at least one row has log odds of `limit` or more. What
    /// the whole site shows is not among them.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let incidents = scan.series[0].incidents(model.threshold(1.0));
    /// let outage = incidents.iter().find(|i| i.rows.0 < 708 && i.rows.1 >= 700);
    /// assert!(outage.is_some_and(|i| i.revenue_loss > 0.0 && i.purchase_factor < 0.2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incidents(&self, limit: f64) -> Vec<IncidentEpisode> {
        let flags: Vec<bool> = self.rows.iter().map(|r| r.log_odds >= limit).collect();
        self.incidents_of(&flags)
    }

    /// The incidents that the flagged rows are part of, one flag per row; those below even odds
    /// are left out. They hold the rows with at least even odds on either side, and gaps of up to
    /// three hours. Rows that the whole site explains are left to it.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let flags: Vec<bool> = (0..960).map(|row| row == 703).collect();
    /// // One flagged row: the incident takes in its neighbours with even odds.
    /// let incidents = scan.series[0].incidents_of(&flags);
    /// assert!(incidents.len() == 1 && incidents[0].rows.0 < 703 && incidents[0].rows.1 > 703);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// With another number of flags than rows.
    pub fn incidents_of(&self, flags: &[bool]) -> Vec<IncidentEpisode> {
        assert_eq!(flags.len(), self.rows.len(), "a flag per row is needed");
        let is_flagged = |row: usize| flags[row] && !self.rows[row].is_shared;
        let is_part = |row: usize| !self.rows[row].is_shared && (flags[row] || self.odds(row) >= 0.0);
        let mut incidents = Vec::new();
        let (mut row, mut free) = (0, 0);
        while row < self.rows.len() {
            if !is_part(row) {
                row += 1;
                continue;
            }
            let start = row;
            let mut last = row;
            while row < self.rows.len() && self.rows[row].hour <= self.rows[last].hour + 1 + BRIDGE {
                if is_part(row) {
                    last = row;
                }
                row += 1;
            }
            row = last + 1;
            let is_likely = (start..=last).any(|row| self.odds(row) >= 0.0);
            if is_likely && (start..=last).any(is_flagged) {
                incidents.push(self.incident(start, last, free));
                free = last + 1;
            }
        }
        incidents
    }

    /// The rows from `first` to `last` as one incident, whatever their odds.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// # let scan = model.scan(&panel)?;
    /// let outage = scan.series[0].incident_between(700, 707);
    /// let (low, high) = outage.revenue_loss_interval;
    /// assert!(low <= outage.revenue_loss && outage.revenue_loss <= high);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// With rows that are not there, or in the wrong order.
    pub fn incident_between(&self, first: usize, last: usize) -> IncidentEpisode {
        assert!(first <= last && last < self.rows.len(), "rows {first} to {last} of {}", self.rows.len());
        self.incident(first, last, first)
    }

    /// Log odds with the frequency of incidents in the history.
    fn odds(&self, row: usize) -> f64 {
        self.rows[row].log_odds + self.prior
    }

    /// The rows from `start` to `last` as one incident; rows before `free` belong to others.
    fn incident(&self, start: usize, last: usize, free: usize) -> IncidentEpisode {
        let rows = &self.rows[start..=last];
        let clearest = (start..=last)
            .fold(start, |best, row| if self.rows[row].log_odds > self.rows[best].log_odds { row } else { best });
        let onset = self.onset(start, clearest, free);
        let clearest = &self.rows[clearest];
        let mut hours: Vec<&Row> = rows.iter().collect();
        // Several rows of one hour share its counts.
        hours.dedup_by_key(|row| row.hour);
        let observed: Vec<[f64; STEPS]> = hours.iter().map(|row| row.observed).collect();
        let expected: Vec<[f64; STEPS]> = hours.iter().map(|row| row.expected).collect();
        let stretch = Stretch::of(&observed, &expected);
        let kind = name::of(&stretch, &self.noise, self.unit);
        let alike = rows.iter().filter(|r| r.kind == kind).count();
        let Stretch { observed, expected, .. } = stretch;
        let (loss, interval) = price::of(&stretch, &self.noise);
        IncidentEpisode {
            series: self.series.clone(),
            kind,
            kind_probability: alike as f64 / rows.len() as f64,
            start: self.time[onset],
            last: self.time[last],
            rows: (start, last),
            log_odds: clearest.log_odds,
            probability: 1.0 / (1.0 + (-clearest.log_odds - self.prior).exp()),
            observed,
            expected,
            purchase_factor: observed[PURCHASES] / expected[PURCHASES],
            revenue_loss: loss,
            revenue_loss_interval: interval,
        }
    }

    /// The row in which an incident began, from its first and its clearest row; rows before `free` belong to others.
    fn onset(&self, start: usize, clearest: usize, free: usize) -> usize {
        let Found { before, length, .. } = self.rows[clearest].found;
        let hour = self.rows[clearest].hour - usize::from(before);
        let of_hour = |hour: usize| self.rows.partition_point(|row| row.hour < hour);
        let (from, to) = (of_hour(hour), of_hour(hour + usize::from(length)));
        let first = of_hour(self.rows[start].hour.saturating_sub(onset::REACH)).max(free);
        if first > from || from >= to {
            return start;
        }
        let onset = onset::of(&self.rows[first..to], from - first..to - first, &self.noise, self.unit);
        onset.map_or(start, |onset| first + onset)
    }
}
