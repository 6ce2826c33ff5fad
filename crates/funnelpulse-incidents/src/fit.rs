//! Learning a panel.

use std::collections::BTreeMap;

use funnelpulse_core::{Frame, Panel, Purpose, SeriesKey, Timestamp};
use rayon::prelude::*;

use crate::{
    IncidentConfig, IncidentError, IncidentModel,
    alarm::Alarm,
    grid::{Grid, STEPS},
    judge::track,
    kept::{HINDSIGHT, Kept},
    mask::MaskHeight,
    model::{Calibration, SeriesModel, Watch},
    scan::{self, Scanned},
    series::{self, DayShape, Series},
    site::{self, Part, SiteModel, Sum},
    structure::{
        Known, drift, jump,
        sweep::{self, Fitted, Input},
    },
    windows::{
        Track,
        again::Windows,
        clump::Clumps,
        evaluate::{Coefficients, Statistics, Watched},
        greedy::Found,
        learn::{self, Learnt},
        noise::Noise,
        statistics,
        value::{Hour, OrderValues},
    },
};

/// Hours with visits that a series needs to be learnt.
pub(crate) const MIN_HOURS: usize = 48;

/// Finds incidents in panels of hourly counts. See the crate's front page for an example.
///
/// ```
/// use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
/// // One brand; nobody can pay in rows 700 to 707.
/// let panel = funnelpulse_testing::outage_panel(960);
/// let detector = IncidentDetector::new(IncidentConfig::funnel())?;
/// let scan = detector.fit(&panel)?.scan(&panel)?;
/// assert!(scan.series[0].log_odds().nth(703).is_some_and(|odds| odds > 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentDetector {
    config: IncidentConfig,
}

impl IncidentDetector {
    /// Checks the settings.
    pub fn new(config: IncidentConfig) -> Result<Self, IncidentError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The settings.
    ///
    /// ```
    /// use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    ///
    /// let detector = IncidentDetector::new(IncidentConfig::funnel())?;
    /// assert_eq!(detector.config().new_normal_hours, 24);
    /// # Ok::<(), funnelpulse_incidents::IncidentError>(())
    /// ```
    pub fn config(&self) -> &IncidentConfig {
        &self.config
    }

    /// Learns the structure, noise and statistics of every series with at least 48 hours; shorter ones are left out.
    /// Where most rows of the panel are more than an hour apart, only the series are learnt whose own rows mostly are not.
    /// The panel may contain incidents: a second pass leaves out what the first found. The result depends neither on the order of
    /// the series nor on the number of threads.
    ///
    /// ```
    /// # use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
    /// # let panel = funnelpulse_testing::outage_panel(960);
    /// use funnelpulse_incidents::IncidentError;
    ///
    /// let detector = IncidentDetector::new(IncidentConfig::funnel())?;
    /// let model = detector.fit(&panel)?;
    /// assert_eq!(model.series().len(), 1);
    /// // Two days are the least.
    /// let short = funnelpulse_testing::outage_panel(30);
    /// assert!(matches!(detector.fit(&short), Err(IncidentError::TooShort { needed: 48, longest: 30 })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fit(&self, history: &Panel) -> Result<IncidentModel, IncidentError> {
        Ok(self.fit_for(history, Purpose::Any)?.0)
    }

    /// The same for some purpose, with the windows of the history for a scan of it.
    pub(crate) fn fit_for(&self, history: &Panel, purpose: Purpose) -> Result<(IncidentModel, Kept), IncidentError> {
        let frames = judged_by_hours(history.iter().collect())?;
        let empty = || IncidentError::TooShort { needed: MIN_HOURS, longest: 0 };
        let grid = Grid::spanning(frames.iter().flat_map(|(_, f)| f.time().iter().copied()))?.ok_or_else(empty)?;
        let all = series::read(&self.config, &frames.iter().map(|(_, f)| *f).collect::<Vec<_>>(), grid)?;
        let (clock, calendar) = self.config.place()?;
        let cells = clock.cells(grid);
        let feed = series::feed(&all, grid.hours);
        let longest = all.iter().map(Series::known_hours).max().unwrap_or(0);
        let (keys, mut series): (Vec<&SeriesKey>, Vec<Series>) =
            frames.iter().map(|(key, _)| *key).zip(all).filter(|(_, series)| series.known_hours() >= MIN_HOURS).unzip();
        if series.is_empty() {
            return Err(IncidentError::TooShort { needed: MIN_HOURS, longest });
        }
        let day = DayShape::new(&series, &feed, &cells);
        series.par_iter_mut().for_each(|s| s.fill_quiet_hours(&self.config, &feed, &cells, &day));
        let names: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
        let known = self.config.known();
        let news_hours = self.config.new_normal_hours as usize;
        let no_mask = vec![vec![1.0; grid.hours]; series.len()];
        let input = |mask| Input {
            known,
            grid,
            cells: &cells,
            calendar: &calendar,
            names: &names,
            series: &series,
            mask,
            news_hours,
        };
        let first = Ground::new(&input(&no_mask)).first_look(known);
        let (mask_heights, mask) = masks(&first, &series);
        let mut second = Pass::run(&input(&mask));
        let mut kept = Kept::default();
        let site = (series.len() >= self.config.min_series).then(|| {
            let sum = second.sum(&input(&mask));
            let site = SiteModel::fit(&sum, &statistics(known));
            let before = (grid.start, &mut kept.site[HINDSIGHT]);
            let found = site.found(&sum, &statistics(known), series.len(), 0..usize::MAX, Some(before));
            (site, found)
        });
        kept.second.windows[HINDSIGHT] = std::mem::take(&mut second.windows);
        if let Some((_, found)) = &site {
            second.found.iter_mut().for_each(|own| scan::take_over(own, found));
        }
        let rows: Vec<Vec<(usize, f64)>> = second.found.iter().zip(&series).map(|(f, s)| hourly(f, s)).collect();
        let alarm = Alarm::fit(&rows, self.config.incidents_per_year);
        let prior_log_odds = alarm.prior();
        let Fitted { common, shapes, .. } = second.fitted;
        let parts = shapes.into_iter().zip(second.noise).zip(second.coefficients).zip(mask_heights).zip(&mask);
        let models = parts.map(|((((shape, noise), coefficients), mask_height), mask)| SeriesModel {
            shape,
            // Until the live levels of the history are known.
            live: Watch { noise: noise.clone(), coefficients: coefficients.clone() },
            hindsight: Watch { noise, coefficients },
            mask_height,
            masked: runs(mask, grid.start),
        });
        let models: BTreeMap<SeriesKey, SeriesModel> = keys.into_iter().cloned().zip(models).collect();
        let hindsight = Calibration { statistics: second.statistics, site: site.map(|(site, _)| site), alarm };
        let live = hindsight.clone();
        let mut model = IncidentModel {
            config: self.config.clone(),
            day,
            common,
            series: models,
            hindsight,
            live,
            prior_log_odds,
            values: second.values,
            drifts: [drift::UNKNOWN; STEPS],
        };
        if purpose == Purpose::Any {
            learn_live(&mut model, &input(&mask));
        }
        Ok((model, kept))
    }
}

/// The heights above which hours are masked, and the weight of each hour: 0 where it is masked.
fn masks(found: &[Vec<Found>], series: &[Series]) -> (Vec<MaskHeight>, Vec<Vec<f64>>) {
    let heights: Vec<Vec<f64>> = found.iter().zip(series).map(|(f, s)| heights(f, s)).collect();
    let limits = MaskHeight::fit(&heights);
    let mask = found.iter().zip(&limits).map(|(found, limit)| {
        let heights: Vec<f64> = found.iter().map(|f| f.height).collect();
        limit.mask(&heights)
    });
    let mask = mask.collect();
    (limits, mask)
}

/// How levels drift, and everything that rows after training are judged by: the history is judged as
/// if it came after training.
fn learn_live(model: &mut IncidentModel, input: &Input<'_>) {
    let (drifts, live, watches) = {
        let models: Vec<&SeriesModel> = model.series.values().collect();
        let Input { grid, cells, calendar, names, series, .. } = *input;
        let scanned = Scanned { model, grid, cells, calendar, names, series, models: &models };
        let drifts = scanned.drifts();
        let drifting = IncidentModel { drifts, ..model.clone() };
        let (live, watches) = calibrate_live(&Scanned { model: &drifting, ..scanned });
        (drifts, live, watches)
    };
    model.drifts = drifts;
    model.live = live;
    model.series.values_mut().zip(watches).for_each(|(series, watch)| series.live = watch);
}

/// Noise, regressions, scales and threshold of live levels, from the history judged as if it were live.
fn calibrate_live(history: &Scanned<'_>) -> (Calibration, Vec<Watch>) {
    let config = &history.model.config;
    let normal = history.as_live();
    let tracks = history.tracks(&normal, 0);
    let mut noise: Vec<Noise> = tracks.par_iter().map(Noise::fit).collect();
    Noise::shrink(&mut noise, &history.series.iter().map(Series::known_hours).collect::<Vec<_>>());
    let steps = statistics(config.known());
    let watched: Vec<Watched<'_>> = tracks.iter().zip(&noise).map(|(track, noise)| Watched { track, noise }).collect();
    let clumps = Clumps::fit(tracks.iter());
    let Learnt { statistics, coefficients, mut found, .. } = learn::learn(&watched, &steps, clumps);
    let site = history.model.hindsight.site.as_ref().map(|_| {
        let sum = history.sum(&normal, 0);
        let site = SiteModel::fit(&sum, &steps);
        let shown = site.found(&sum, &steps, history.series.len(), 0..usize::MAX, None);
        for own in &mut found {
            scan::take_over(own, &shown);
        }
        site
    });
    let rows: Vec<Vec<(usize, f64)>> = found.iter().zip(history.series).map(|(f, s)| hourly(f, s)).collect();
    let alarm = Alarm::fit(&rows, config.incidents_per_year);
    let watches = noise.into_iter().zip(coefficients).map(|(noise, coefficients)| Watch { noise, coefficients });
    (Calibration { statistics, site, alarm }, watches.collect())
}

/// Hours with rows and their heights.
fn hourly(found: &[Found], series: &Series) -> Vec<(usize, f64)> {
    let mut hours = series.rows.clone();
    hours.dedup();
    hours.into_iter().map(|hour| (hour, found[hour].height)).collect()
}

/// One pass of the fit.
struct Pass {
    fitted: Fitted,
    noise: Vec<Noise>,
    values: OrderValues,
    statistics: Statistics,
    coefficients: Vec<Coefficients>,
    found: Vec<Vec<Found>>,
    windows: Windows,
}

/// What windows are compared with in a pass: the structure, and the noise that it leaves.
struct Ground {
    fitted: Fitted,
    values: OrderValues,
    tracks: Vec<Track>,
    noise: Vec<Noise>,
    clumps: Clumps,
}

impl Ground {
    fn new(input: &Input<'_>) -> Self {
        let fitted = sweep::fit(input);
        let values = order_values(input, &fitted);
        let trained = vec![true; input.grid.hours];
        let track = |(at, series): (usize, &Series)| {
            let shape = &fitted.shapes[at];
            let ends = jump::news_ends(&shape.jumps, input.grid.start, input.news_hours);
            track(0, input.known, &values, series, shape.unit, &fitted.expected[at], &input.mask[at], &trained)
                .with_ends(&ends)
        };
        let tracks: Vec<Track> = input.series.par_iter().enumerate().map(track).collect();
        let mut noise: Vec<Noise> = tracks.par_iter().map(Noise::fit).collect();
        let hours: Vec<usize> = input.series.iter().map(Series::known_hours).collect();
        Noise::shrink(&mut noise, &hours);
        let clumps = Clumps::fit(tracks.iter());
        Self { fitted, values, tracks, noise, clumps }
    }

    fn watched(&self) -> Vec<Watched<'_>> {
        self.tracks.iter().zip(&self.noise).map(|(track, noise)| Watched { track, noise }).collect()
    }

    /// What the hours of every series show, well enough for masks.
    fn first_look(&self, known: Known) -> Vec<Vec<Found>> {
        learn::first_look(&self.watched(), &statistics(known), &self.clumps)
    }
}

impl Pass {
    fn run(input: &Input<'_>) -> Self {
        let ground = Ground::new(input);
        let watched = ground.watched();
        let learnt = learn::learn(&watched, &statistics(input.known), ground.clumps.clone());
        let Learnt { statistics, coefficients, found, best } = learnt;
        let windows = Windows::of(input.grid.start, input.names, &watched).with(0..usize::MAX, best);
        let Ground { fitted, values, noise, .. } = ground;
        Self { fitted, noise, values, statistics, coefficients, found, windows }
    }

    /// The sum of all series.
    fn sum(&self, input: &Input<'_>) -> Sum {
        let part = |at: usize| Part {
            value: &input.series[at].value,
            expected: &self.fitted.expected[at],
            seen: &input.series[at].seen,
            scale: site::scale(self.fitted.shapes[at].unit),
            noise: &self.noise[at],
        };
        let parts: Vec<Part<'_>> = (0..input.series.len()).map(part).collect();
        Sum::new(input.known, &self.values, &parts, 0..input.grid.hours)
    }
}

/// How order values vary in the hours that are not masked.
fn order_values(input: &Input<'_>, fitted: &Fitted) -> OrderValues {
    let of_series = |at: usize| {
        let (series, scale) = (&input.series[at], 1.0 / fitted.shapes[at].unit);
        let hours = (0..input.grid.hours).filter(move |&hour| input.mask[at][hour] > 0.0);
        hours.map(move |hour| Hour::of(&series.value, scale, &fitted.expected[at], hour))
    };
    OrderValues::fit((0..input.series.len()).flat_map(of_series))
}

/// Heights of the hours that have rows.
fn heights(found: &[Found], series: &Series) -> Vec<f64> {
    series.rows.iter().map(|&hour| found[hour].height).collect()
}

/// Runs of masked hours.
fn runs(mask: &[f64], start: i64) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for hour in (0..mask.len()).filter(|&hour| mask[hour] == 0.0) {
        let hour = start + hour as i64;
        match runs.last_mut() {
            Some((_, end)) if *end == hour => *end += 1,
            _ => runs.push((hour, hour + 1)),
        }
    }
    runs
}

/// The series that can be judged hour by hour: all of them where most rows of the panel are at most an hour apart.
/// Where most are further apart, as among many small series, only those whose own rows mostly are not.
fn judged_by_hours<'a>(
    frames: Vec<(&'a SeriesKey, &'a Frame)>,
) -> Result<Vec<(&'a SeriesKey, &'a Frame)>, IncidentError> {
    let hours = median_gap(frames.iter().map(|(_, frame)| *frame));
    if hours <= 1.0 {
        return Ok(frames);
    }
    let is_hourly = |frame: &Frame| frame.nrows() > 1 && median_gap([frame].into_iter()) <= 1.0;
    let dense: Vec<_> = frames.into_iter().filter(|(_, frame)| is_hourly(frame)).collect();
    if dense.is_empty() { Err(IncidentError::TooCoarse { hours }) } else { Ok(dense) }
}

/// The median time between the rows of a series, hours; 0 where no series has two rows.
fn median_gap<'a>(frames: impl Iterator<Item = &'a Frame>) -> f64 {
    let apart = |frame: &'a Frame| frame.time().windows(2).map(|t| t[1].as_micros() - t[0].as_micros());
    let mut gaps: Vec<i64> = frames.flat_map(apart).collect();
    if gaps.is_empty() {
        return 0.0;
    }
    let middle = gaps.len() / 2;
    *gaps.select_nth_unstable(middle).1 as f64 / Timestamp::HOUR as f64
}
