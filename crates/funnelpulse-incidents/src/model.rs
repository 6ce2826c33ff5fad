//! Learning a panel, and finding its incidents.

use std::collections::BTreeMap;

use funnelpulse_core::{Frame, Panel, SITE, SeriesKey, Timestamp};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Evidence, IncidentConfig, IncidentError,
    decode::{Chain, Decoded, Decoder, HourState, Snapshot},
    grid::{CARTS, COUNTS, Grid, PURCHASES, REVENUE, Series, Steps, TRAFFIC},
    kind::hypotheses,
    level::{Drift, Level},
    noise::{self, Noise},
    prior,
    profile::{Fit, SeriesProfile, Week},
    site,
    tail::Tail,
};

/// Hours with visits that a series needs to be learnt.
const MIN_HOURS: usize = 48;
/// The site's level moves this much more in a day than that of a series: it holds the holidays.
const SITE_RESTLESSNESS: f64 = 3.0;

/// Finds incidents in panels of hourly counts. See the crate's front page for an example.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentDetector {
    config: IncidentConfig,
}

/// What is known of a series from elsewhere, for [`IncidentDetector::scan_against`].
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Columns as in the panel, with the values of normal operation; times as in the panel.
    pub expected: Frame,
    /// How far counts stray from them.
    pub noise: Noise,
}

/// What is learnt of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SeriesModel {
    profile: SeriesProfile,
    noise: Noise,
    levels: Vec<Snapshot>,
}

/// What is learnt of the sum of all series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SiteModel {
    noise: Noise,
    levels: Vec<Snapshot>,
}

/// A trained [`IncidentDetector`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct IncidentModel {
    config: IncidentConfig,
    week: Week,
    series: BTreeMap<SeriesKey, SeriesModel>,
    site: Option<SiteModel>,
    tail: Tail,
    prior_log_odds: f64,
}

/// A model from a file, before anything is known to be right.
#[derive(Deserialize)]
struct Saved {
    config: IncidentConfig,
    week: Week,
    series: BTreeMap<SeriesKey, SeriesModel>,
    site: Option<SiteModel>,
    tail: Tail,
    prior_log_odds: f64,
}

impl TryFrom<Saved> for IncidentModel {
    type Error = String;

    fn try_from(Saved { config, week, series, site, tail, prior_log_odds }: Saved) -> Result<Self, String> {
        config.validate().map_err(|e| e.to_string())?;
        let levels_are_valid = |levels: &[Snapshot]| {
            !levels.is_empty()
                && levels.iter().all(|s| s.level.is_valid() && s.hour.abs() < 1 << 40)
                && levels.windows(2).all(|pair| pair[0].hour < pair[1].hour)
        };
        let series_is_valid =
            |s: &SeriesModel| s.profile.is_valid() && s.noise.is_valid() && levels_are_valid(&s.levels);
        let site_is_valid = |s: &SiteModel| s.noise.is_valid() && levels_are_valid(&s.levels);
        if week.is_valid()
            && tail.is_valid()
            && prior::is_valid(prior_log_odds)
            && series.values().all(series_is_valid)
            && site.as_ref().is_none_or(site_is_valid)
        {
            Ok(Self { config, week, series, site, tail, prior_log_odds })
        } else {
            Err("a value is missing, out of range or out of order".to_owned())
        }
    }
}

impl IncidentDetector {
    /// Checks the settings.
    pub fn new(config: IncidentConfig) -> Result<Self, IncidentError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The settings.
    pub fn config(&self) -> &IncidentConfig {
        &self.config
    }

    /// Learns the habits, noise and levels of every series with at least 48 hours; shorter ones
    /// are left out. The panel may contain incidents: counts far from what is expected hardly
    /// count. The result depends neither on the order of the series nor on the number of threads.
    pub fn fit(&self, history: &Panel) -> Result<IncidentModel, IncidentError> {
        let frames: Vec<(&SeriesKey, &Frame)> = history.iter().collect();
        check_spacing(&frames)?;
        let empty = || IncidentError::TooShort { needed: MIN_HOURS, longest: 0 };
        let grid = Grid::spanning(frames.iter().flat_map(|(_, f)| f.time().iter().copied()))?.ok_or_else(empty)?;
        let mut keys = Vec::new();
        let mut series = Vec::new();
        let mut longest = 0;
        for (key, frame) in frames {
            let one = Series::new(&self.config, frame.view(), grid)?;
            longest = longest.max(one.known_hours());
            if one.known_hours() >= MIN_HOURS {
                keys.push(key.clone());
                series.push(one);
            }
        }
        if series.is_empty() {
            return Err(IncidentError::TooShort { needed: MIN_HOURS, longest });
        }
        let fitted = Fit::run(grid, &series, self.config.min_series);
        let drift = drift(&self.config, series.len());
        let (config, tail) = (self.config.clone(), Tail::fit(Vec::new()));
        let (week, series_models) = (fitted.week, BTreeMap::new());
        let mut model = IncidentModel { config, week, series: series_models, site: None, tail, prior_log_odds: 0.0 };
        let parts = fitted.profiles.into_iter().zip(fitted.noise).zip(fitted.first_level);
        for (key, ((profile, noise), level)) in keys.iter().zip(parts) {
            let start = Snapshot { hour: grid.start, level: drift.around(level.map(f64::ln)) };
            model.series.insert(key.clone(), SeriesModel { profile, noise, levels: vec![start] });
        }
        if series.len() >= self.config.min_series {
            let start = Snapshot { hour: grid.start, level: site_drift(&model.config).around([0.0; 4]) };
            model.site = Some(SiteModel { noise: Noise::default(), levels: vec![start] });
        }
        // One pass over the history settles the levels, and the noise of the site.
        let decoded = model.decode(grid, &keys, &series, true);
        let log_odds = |(s, d): (&Series, &Decoded)| s.rows.iter().map(|hour| d.hours[*hour].log_odds).collect();
        let log_odds: Vec<Vec<f64>> = series.iter().zip(&decoded.series).map(log_odds).collect();
        model.tail = Tail::fit(log_odds.concat());
        model.prior_log_odds = prior::log_odds(&log_odds, model.config.incidents_per_year);
        for (key, decoded) in keys.iter().zip(decoded.series) {
            model.series.get_mut(key).expect("inserted above").levels = decoded.levels;
        }
        if let (Some(site), Some((noise, decoded))) = (&mut model.site, decoded.site) {
            *site = SiteModel { noise, levels: decoded.levels };
        }
        Ok(model)
    }
}

impl IncidentDetector {
    /// Judges every row of `panel` against forecasts of your own, which are taken as they are:
    /// nothing is learnt, no level is followed and nothing that series share is taken out.
    ///
    /// Series without a forecast are left out. A forecast that says nothing of a row (NaN, or no
    /// such row) leaves it unjudged.
    pub fn scan_against(
        &self,
        panel: &Panel,
        forecasts: &BTreeMap<SeriesKey, Forecast>,
    ) -> Result<Vec<Evidence>, IncidentError> {
        let known: Vec<_> = panel.iter().filter_map(|(key, frame)| Some((key, frame, forecasts.get(key)?))).collect();
        let times = known.iter().flat_map(|(_, f, _)| f.time().iter().copied());
        let Some(grid) = Grid::spanning(times)? else { return Ok(Vec::new()) };
        let chain = chain(&self.config);
        let one = |(key, frame, forecast): &(&SeriesKey, &Frame, &Forecast)| {
            let series = Series::new(&self.config, frame.view(), grid)?;
            let within = forecast.expected.time().iter().filter(|t| grid.contains(**t)).count();
            let first = forecast.expected.time().iter().position(|t| grid.contains(*t)).unwrap_or(0);
            let expected = forecast.expected.view().rows(first..first + within);
            let mut expected = Series::new(&self.config, expected, grid)?.observed;
            for m in &mut expected {
                m[REVENUE] /= m[PURCHASES];
            }
            let normal = |hour: usize, shift: i64| {
                let other = hour.checked_add_signed(shift as isize).and_then(|hour| expected.get(hour));
                other.copied().unwrap_or([f64::NAN; 4])
            };
            let decoder = Decoder {
                grid,
                chain: &chain,
                noise: &forecast.noise,
                drift: &Drift::NONE,
                normal: &normal,
                new_normal_hours: usize::MAX,
            };
            let decoded = decoder.run(&series.observed, Drift::NONE.around([0.0; 4]));
            Ok(Evidence::new((*key).clone(), frame.time().to_vec(), &series.rows, &series.observed, &decoded.hours))
        };
        known.par_iter().map(one).collect()
    }
}

fn chain(config: &IncidentConfig) -> Chain {
    Chain::new(hypotheses(config.columns().map(|c| c.is_some())), config.incidents_per_year / 8766.0)
}

/// What series share is in their own levels where there are too few to tell.
fn drift(config: &IncidentConfig, series: usize) -> Drift {
    if series < config.min_series { site_drift(config) } else { Drift::new(config.level_sd_per_day) }
}

fn site_drift(config: &IncidentConfig) -> Drift {
    Drift::new((config.level_sd_per_day * SITE_RESTLESSNESS).min(1.0))
}

/// Of a site, prices say nothing: they go by which series happen to sell.
fn site_chain(config: &IncidentConfig) -> Chain {
    chain(&IncidentConfig { revenue: None, ..config.clone() })
}

/// Hours apart are as far as rows may be.
fn check_spacing(frames: &[(&SeriesKey, &Frame)]) -> Result<(), IncidentError> {
    let mut gaps: Vec<i64> =
        frames.iter().flat_map(|(_, f)| f.time().windows(2).map(|t| t[1].as_micros() - t[0].as_micros())).collect();
    if gaps.is_empty() {
        return Ok(());
    }
    let middle = gaps.len() / 2;
    let hours = *gaps.select_nth_unstable(middle).1 as f64 / Timestamp::HOUR as f64;
    if hours > 1.0 { Err(IncidentError::TooCoarse { hours }) } else { Ok(()) }
}

/// What a panel shows.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The series that the model knows, in order of their names.
    pub series: Vec<Evidence>,
    /// What all series show together: on the sum of their counts, one row per hour. `None` with
    /// fewer series than [`IncidentConfig::min_series`].
    pub site: Option<Evidence>,
    /// Series that the model doesn't know.
    pub unknown: Vec<SeriesKey>,
}

struct PanelDecoded {
    series: Vec<Decoded>,
    site: Option<(Noise, Decoded)>,
    site_observed: Vec<Steps>,
}

impl IncidentModel {
    /// The settings that it was trained with.
    pub fn config(&self) -> &IncidentConfig {
        &self.config
    }

    /// How rare `log_odds` are in normal operation: decades of the tail probability, so that 3 is one
    /// normal row in a thousand. Rises with the log odds throughout.
    pub fn evidence(&self, log_odds: f64) -> f64 {
        self.tail.evidence(log_odds)
    }

    /// Logarithm of how many times as frequent incidents were in the history as the settings say
    /// they are, at least a hundredth: added to log odds it makes them those of this shop.
    pub fn prior_log_odds(&self) -> f64 {
        self.prior_log_odds
    }

    /// The series that it knows.
    pub fn series(&self) -> impl ExactSizeIterator<Item = &SeriesKey> {
        self.series.keys()
    }

    /// Judges every row of `panel` in the light of all of its rows: those of the last two days may
    /// change when later ones come.
    ///
    /// What series share is estimated from this panel, so pass all series of a site together.
    pub fn scan(&self, panel: &Panel) -> Result<Scan, IncidentError> {
        let (known, unknown): (Vec<_>, Vec<_>) = panel.iter().partition(|(key, _)| self.series.contains_key(*key));
        let unknown = unknown.into_iter().map(|(key, _)| key.clone()).collect();
        let Some(grid) = Grid::spanning(known.iter().flat_map(|(_, f)| f.time().iter().copied()))? else {
            return Ok(Scan { series: Vec::new(), site: None, unknown });
        };
        let mut keys = Vec::with_capacity(known.len());
        let mut series = Vec::with_capacity(known.len());
        for (key, frame) in &known {
            keys.push((*key).clone());
            series.push(Series::new(&self.config, frame.view(), grid)?);
        }
        let decoded = self.decode(grid, &keys, &series, false);
        let site_rows: Vec<usize> = (0..grid.hours).filter(|&h| !decoded.site_observed[h][TRAFFIC].is_nan()).collect();
        let site = decoded.site.map(|(_, d)| {
            let time = site_rows.iter().map(|&h| grid.time(h)).collect();
            Evidence::new(SeriesKey::new(SITE), time, &site_rows, &decoded.site_observed, &d.hours)
        });
        let evidence = |(((key, frame), series), decoded): (((&SeriesKey, &Frame), &Series), &Decoded)| {
            let time = frame.time().to_vec();
            let own = Evidence::new(key.clone(), time, &series.rows, &series.observed, &decoded.hours);
            match &site {
                Some(site) => own.with_site(site),
                None => own,
            }
        };
        let series = known.into_iter().zip(&series).zip(&decoded.series).map(evidence).collect();
        Ok(Scan { series, site, unknown })
    }

    fn decode(&self, grid: Grid, keys: &[SeriesKey], series: &[Series], learn_site: bool) -> PanelDecoded {
        let chain = chain(&self.config);
        let drift = drift(&self.config, self.series.len());
        let models: Vec<&SeriesModel> = keys.iter().map(|key| &self.series[key]).collect();
        let start: Vec<Level> = models.iter().map(|m| level_before(&m.levels, grid.start)).collect();
        let noise: Vec<Noise> = models.iter().map(|m| m.noise).collect();
        let profile = |s: usize, hour: usize| models[s].profile.expected(&self.week, grid.start + hour as i64);
        let shared = site::shared_factors(grid, series, &noise, &profile, &start, &drift, self.config.min_series);
        let decode = |(s, series): (usize, &Series)| {
            let normal = |hour: usize, shift: i64| {
                let mut expected = models[s].profile.expected(&self.week, grid.start + hour as i64 + shift);
                let shared = shared[hour];
                let visits = shared[TRAFFIC].exp();
                expected[TRAFFIC] *= visits;
                expected[CARTS] *= visits * shared[CARTS].exp();
                expected[PURCHASES] *= visits * shared[PURCHASES].exp();
                expected
            };
            let new_normal_hours = self.config.new_normal_hours as usize;
            let decoder =
                Decoder { grid, chain: &chain, noise: &noise[s], drift: &drift, normal: &normal, new_normal_hours };
            decoder.run(&series.observed, start[s])
        };
        let decoded: Vec<Decoded> = series.par_iter().enumerate().map(decode).collect();
        let (site_observed, site_expected) = sums(grid, series, &decoded, &shared);
        let site = self.site.as_ref().map(|site| {
            let noise = if learn_site { site_noise(&site_observed, &site_expected) } else { site.noise };
            let normal = |hour: usize, shift: i64| {
                // The sum has no profile of its own: another hour's is looked up where it is known.
                let other = hour.saturating_add_signed(shift as isize).min(grid.hours - 1);
                site_expected[other]
            };
            let decoder = Decoder {
                grid,
                chain: &site_chain(&self.config),
                noise: &noise,
                drift: &site_drift(&self.config),
                normal: &normal,
                new_normal_hours: self.config.new_normal_hours as usize,
            };
            let level = level_before(&site.levels, grid.start);
            (noise, decoder.run(&site_observed, level))
        });
        PanelDecoded { series: decoded, site, site_observed }
    }
}

/// The level at the start of an hour, from the last snapshot before it.
fn level_before(levels: &[Snapshot], hour: i64) -> Level {
    let after = levels.partition_point(|s| s.hour <= hour);
    levels[after.saturating_sub(1)].level
}

/// Counts of all series together, and what was expected of the same series without what they share.
fn sums(grid: Grid, series: &[Series], decoded: &[Decoded], shared: &[[f64; COUNTS]]) -> (Vec<Steps>, Vec<Steps>) {
    let mut observed = vec![[f64::NAN; 4]; grid.hours];
    let mut expected = vec![[0.0; 4]; grid.hours];
    // Where fewer than half of the series are in an incident it is their own, and says nothing of the site.
    let is_off = |hour: usize| decoded.iter().filter(|d| d.hours[hour].log_odds > 0.0).count();
    let own: Vec<bool> = (0..grid.hours).map(|hour| 2 * is_off(hour) < series.len()).collect();
    for (series, decoded) in series.iter().zip(decoded) {
        for (hour, y) in series.observed.iter().enumerate() {
            let HourState { expected: m, log_odds, .. } = &decoded.hours[hour];
            if *log_odds > 0.0 && own[hour] {
                continue;
            }
            for step in (0..4).filter(|&step| !y[step].is_nan()) {
                let sum = &mut observed[hour][step];
                *sum = if sum.is_nan() { y[step] } else { *sum + y[step] };
                expected[hour][step] += m[step];
            }
        }
    }
    for (expected, shared) in expected.iter_mut().zip(shared) {
        // The price stays: revenue over purchases before what is shared is taken out of both.
        expected[REVENUE] = if expected[PURCHASES] > 0.0 { expected[REVENUE] / expected[PURCHASES] } else { 0.0 };
        let visits = (-shared[TRAFFIC]).exp();
        expected[TRAFFIC] *= visits;
        expected[CARTS] *= visits * (-shared[CARTS]).exp();
        expected[PURCHASES] *= visits * (-shared[PURCHASES]).exp();
    }
    (observed, expected)
}

/// Around what each day brought: holidays are levels of the site, not its noise.
fn site_noise(observed: &[Steps], expected: &[Steps]) -> Noise {
    let mut expected = expected.to_vec();
    for (expected, observed) in expected.chunks_mut(24).zip(observed.chunks(24)) {
        for step in 0..COUNTS {
            let known = || observed.iter().zip(&*expected).filter(|(y, _)| !y[step].is_nan());
            let (brought, due) = known().fold((0.0, 0.0), |(y, m), row| (y + row.0[step], m + row.1[step]));
            if brought > 0.0 && due > 0.0 {
                for m in expected.iter_mut() {
                    m[step] *= brought / due;
                }
            }
        }
    }
    let mut noise = Noise::default();
    for _ in 0..6 {
        noise = noise::estimate(&[(observed, &expected)], &[noise])[0];
    }
    noise
}
