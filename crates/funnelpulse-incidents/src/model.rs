//! What is learnt of a site.

use std::collections::BTreeMap;

use funnelpulse_core::{Frame, Memory, Panel, SeriesKey, Timestamp};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    IncidentConfig, IncidentError, Scan,
    alarm::{self, Alarm},
    grid::{DAY, Grid, hour_of},
    kept::Kept,
    mask::MaskHeight,
    scan::Scanned,
    series::{self, DayShape},
    site::SiteModel,
    structure::{
        Common, Shape,
        drift::{Drift, Drifts},
    },
    windows::{
        evaluate::{self, Coefficients, Statistics},
        noise::Noise,
        statistics,
        value::OrderValues,
    },
};

/// Days before a row that its score depends on, of hours after training: levels of two weeks before
/// calendar entries are known, for the first look and for the second; a week of a calendar entry; runs of a week;
/// windows and flanks, twice.
const CONTEXT_DAYS: i64 = 66;

/// Noise and regressions of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) noise: Noise,
    pub(crate) coefficients: Coefficients,
}

/// What turns windows into heights, and heights into odds. There are two: in hindsight, with levels
/// from both sides, expected values are nearer than live, with levels from the days before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    pub(crate) statistics: Statistics,
    pub(crate) site: Option<SiteModel>,
    pub(crate) alarm: Alarm,
}

impl Calibration {
    fn is_valid(&self, statistics: usize) -> bool {
        self.statistics.is_valid(statistics)
            && self.site.as_ref().is_none_or(|site| site.is_valid(statistics))
            && self.alarm.is_valid()
    }
}

/// What is learnt of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesModel {
    pub(crate) shape: Shape,
    pub(crate) hindsight: Watch,
    pub(crate) live: Watch,
    pub(crate) mask_height: MaskHeight,
    /// Masked hours of the history: first and last (exclusive), since 1970.
    pub(crate) masked: Vec<(i64, i64)>,
}

/// A trained [`IncidentDetector`](crate::IncidentDetector).
///
/// ```
/// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
/// # let panel = funnelpulse_testing::outage_panel(960);
/// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
/// // A model is read and written by serde, and says the same after it.
/// let json = serde_json::to_string(&model)?;
/// let again: funnelpulse_incidents::IncidentModel = serde_json::from_str(&json)?;
/// assert_eq!(again, model);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct IncidentModel {
    pub(crate) config: IncidentConfig,
    pub(crate) day: DayShape,
    pub(crate) common: Common,
    pub(crate) series: BTreeMap<SeriesKey, SeriesModel>,
    pub(crate) hindsight: Calibration,
    pub(crate) live: Calibration,
    pub(crate) prior_log_odds: f64,
    /// How order values vary.
    pub(crate) values: OrderValues,
    /// How levels move after training.
    pub(crate) drifts: Drifts,
}

/// A model from a file, before anything is known to be right.
#[derive(Deserialize)]
struct Saved {
    config: IncidentConfig,
    day: DayShape,
    common: Common,
    series: BTreeMap<SeriesKey, SeriesModel>,
    hindsight: Calibration,
    live: Calibration,
    prior_log_odds: f64,
    values: OrderValues,
    drifts: Drifts,
}

impl TryFrom<Saved> for IncidentModel {
    type Error = String;

    fn try_from(saved: Saved) -> Result<Self, String> {
        let Saved { config, day, common, series, hindsight, live, prior_log_odds, values, drifts } = saved;
        config.validate().map_err(|e| e.to_string())?;
        let (_, calendar) = config.place().map_err(|e| e.to_string())?;
        let number = statistics(config.known()).len();
        let parts = [
            ("day", day.is_valid()),
            ("common", common.is_valid(&calendar)),
            ("hindsight", hindsight.is_valid(number)),
            ("live", live.is_valid(number)),
            ("drifts", drifts.iter().all(Drift::is_valid)),
            ("values", values.is_valid()),
            ("prior_log_odds", alarm::prior_is_valid(prior_log_odds)),
            ("series", series.values().all(|s| s.is_valid(calendar.entries.len(), number))),
        ];
        match parts.into_iter().find(|(_, is_valid)| !is_valid) {
            Some((part, _)) => Err(format!("{part}: a value is missing, out of range or out of order")),
            None => Ok(Self { config, day, common, series, hindsight, live, prior_log_odds, values, drifts }),
        }
    }
}

impl SeriesModel {
    fn is_valid(&self, entries: usize, statistics: usize) -> bool {
        self.shape.is_valid(entries)
            && [&self.hindsight, &self.live]
                .iter()
                .all(|w| w.noise.is_valid() && evaluate::are_valid(&w.coefficients, statistics))
            && self.mask_height.is_valid()
            && self.masked.iter().all(|(from, to)| from < to)
            && self.masked.windows(2).all(|pair| pair[0].1 <= pair[1].0)
    }

    /// Whether an hour of the history is masked.
    pub(crate) fn is_masked(&self, hour: i64) -> bool {
        let after = self.masked.partition_point(|(from, _)| *from <= hour);
        after > 0 && hour < self.masked[after - 1].1
    }
}

impl IncidentModel {
    /// The settings that it was trained with.
    pub fn config(&self) -> &IncidentConfig {
        &self.config
    }

    /// How rare `log_odds` are in normal operation: decades of the tail probability, so that 3 is one
    /// normal row in a thousand. Rises with the log odds throughout.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// let threshold = model.threshold(1.0);
    /// // Normal rows that high are rarer than one in a hundred.
    /// assert!(model.evidence(threshold) > 2.0);
    /// assert!(model.evidence(threshold + 1.0) > model.evidence(threshold));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn evidence(&self, log_odds: f64) -> f64 {
        self.hindsight.alarm.evidence(log_odds)
    }

    /// The log odds that false incidents reach this often per series and month.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// // Four false incidents a month have a lower threshold than one.
    /// assert!(model.threshold(4.0) < model.threshold(1.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn threshold(&self, false_incidents_per_month: f64) -> f64 {
        self.hindsight.alarm.log_odds(self.hindsight.alarm.threshold(false_incidents_per_month))
    }

    /// Logarithm of how many times as frequent incidents were in the history as the settings say
    /// they are, at least a hundredth: added to log odds it makes them those of this shop.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// let probability = |log_odds: f64| 1.0 / (1.0 + (-log_odds - model.prior_log_odds()).exp());
    /// assert!(probability(10.0) > 0.95);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prior_log_odds(&self) -> f64 {
        self.prior_log_odds
    }

    /// What hours of the history, or later ones, are judged by.
    pub(crate) fn calibration(&self, is_live: bool) -> &Calibration {
        if is_live { &self.live } else { &self.hindsight }
    }

    /// The series that it knows.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// assert_eq!(model.series().map(|key| key.as_str()).collect::<Vec<_>>(), ["acme"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn series(&self) -> impl ExactSizeIterator<Item = &SeriesKey> {
        self.series.keys()
    }

    /// Whether it knows a series.
    pub(crate) fn knows(&self, series: &SeriesKey) -> bool {
        self.series.contains_key(series)
    }

    /// How far back before a row, in microseconds, its score looks.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// use funnelpulse_core::Timestamp;
    ///
    /// assert_eq!(model.context() / Timestamp::DAY, 66);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn context(&self) -> i64 {
        CONTEXT_DAYS * Timestamp::DAY
    }

    /// How far ahead of a row, in microseconds, its score looks: three days later it is final. Two days of
    /// windows, and the day after a window that begins on the second.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// use funnelpulse_core::Timestamp;
    ///
    /// assert_eq!(model.horizon() / Timestamp::HOUR, 72);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn horizon(&self) -> i64 {
        3 * DAY as i64 * Timestamp::HOUR
    }

    /// Judges every row of `panel`. The score of a row depends on the model and on rows up to
    /// [`horizon`](Self::horizon) after it; rows nearer to the end are provisional.
    ///
    /// What series share is taken from this panel, so pass all series of a site together.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// let scan = model.scan(&panel)?;
    /// assert_eq!(scan.series[0].time().len(), 960);
    /// // One series is no site.
    /// assert!(scan.site.is_none() && scan.unknown.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scan(&self, panel: &Panel) -> Result<Scan, IncidentError> {
        self.scan_since(panel, Timestamp::from_micros(i64::MIN))
    }

    /// Judges the rows of `panel` from `first` on, as [`scan`](Self::scan) does. Earlier rows are only looked
    /// back to: their own evidence is not to be used.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// # let model = IncidentDetector::new(IncidentConfig::funnel())?.fit(&panel)?;
    /// let first = panel.get("acme").map(|frame| frame.time()[690]).unwrap();
    /// let (all, late) = (model.scan(&panel)?, model.scan_since(&panel, first)?);
    /// assert_eq!(late.series[0].log_odds().nth(703), all.series[0].log_odds().nth(703));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scan_since(&self, panel: &Panel, first: Timestamp) -> Result<Scan, IncidentError> {
        self.scan_next(panel, first, &mut Memory::default())
    }

    /// The same with what scans of panels before this one have found in days that it does not change.
    pub(crate) fn scan_next(
        &self,
        panel: &Panel,
        first: Timestamp,
        memory: &mut Memory,
    ) -> Result<Scan, IncidentError> {
        let (known, unknown): (Vec<_>, Vec<_>) = panel.iter().partition(|(key, _)| self.series.contains_key(*key));
        let unknown = unknown.into_iter().map(|(key, _)| key.clone()).collect();
        let Some(grid) = Grid::spanning(known.iter().flat_map(|(_, f)| f.time().iter().copied()))? else {
            return Ok(Scan { series: Vec::new(), site: None, unknown });
        };
        let frames: Vec<&Frame> = known.iter().map(|(_, frame)| *frame).collect();
        let mut series = series::read(&self.config, &frames, grid)?;
        let (clock, calendar) = self.config.place()?;
        let cells = clock.cells(grid);
        let feed = series::feed(&series, grid.hours);
        series.par_iter_mut().for_each(|s| s.fill_quiet_hours(&self.config, &feed, &cells, &self.day));
        let names: Vec<&str> = known.iter().map(|(key, _)| key.as_str()).collect();
        let models: Vec<&SeriesModel> = known.iter().map(|(key, _)| &self.series[*key]).collect();
        let scanned = Scanned {
            model: self,
            grid,
            cells: &cells,
            calendar: &calendar,
            names: &names,
            series: &series,
            models: &models,
        };
        let mut rows = Kept::of_rows(&known);
        let before = memory.get::<Kept>().map(|kept| (kept, kept.settled_until(&rows)));
        let keys: Vec<&SeriesKey> = known.iter().map(|(key, _)| *key).collect();
        let times: Vec<&[Timestamp]> = frames.iter().map(|frame| frame.time()).collect();
        let first_hour = hour_of(first).saturating_sub(grid.start).clamp(0, grid.hours as i64 - 1) as usize;
        let (series, site) = scanned.evidence(first_hour / DAY, &keys, &times, before, &mut rows);
        memory.set(rows);
        Ok(Scan { series, site, unknown })
    }
}
