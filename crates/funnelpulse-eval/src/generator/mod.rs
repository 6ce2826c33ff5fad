//! Labelled funnel data: an hourly table of views, carts, purchases and revenue per brand with
//! anomalies of known kind, place and cost.
//!
//! The clean data follow published figures of a cosmetics shop (October and November 2019): a
//! Zipf-Mandelbrot law of brand sizes, 0.145 purchases and 0.59 carts per view over all brands,
//! conversion falling with price, log-normal prices, few views at night. Counts are negative
//! binomial with a common factor for all steps of an hour; purchases come in baskets and 30 % of
//! them belong to the traffic of the hour before, so that they may exceed the views of their hour.
//! Days of the week, holidays, a trend and a slow wandering of demand and conversion are normal.
//! Hours in which the feed is down or nothing happens have no row.
//!
//! # Anomalies
//!
//! Factors on the clean rates, easy / medium / hard, decided from what such incidents look like
//! and not from what any detector finds:
//!
//! | kind | effect | hours |
//! |---|---|---|
//! | checkout outage | purchases × 0 / 0.25 / 0.5 | 4–10 / 3–8 / 2–6 |
//! | tracking outage | views × 0 / 0.2 / 0.5 | 6–12 / 4–10 / 3–6 |
//! | bot traffic | views × 6 / 3 / 1.8 | 4–10 / 3–8 / 2–6 |
//! | promotion | views × 1.8 / 1.4 / 1.2, carts × 2.2 / 1.6 / 1.3, purchases × 3.5 / 2.2 / 1.5, prices × 0.75 / 0.8 / 0.85 | 24–48 |
//! | price error | prices × 0.1 / 0.4 / 0.7, purchases × 3 / 1.8 / 1.2 | 8–18 / 6–12 / 4–8 |
//! | gradual degradation | purchases fall linearly to × 0.2 / 0.4 / 0.6 | 72–120 |
//! | level shift | all steps × 0.4 / 0.6 / 0.75, or divided by it | 48–96 |
//! | spike | all steps × 5 / 3 / 2 | 1 |
//! | dip | all steps × 0.1 / 0.25 / 0.5 | 1 |
//! | cart break | carts × 0.1 / 0.35 / 0.6, purchases × 0.28 / 0.48 / 0.68 | 4–10 / 3–8 / 2–6 |
//! | wrong hour | all steps take the rates of 12 / 9 / 6 hours later | 6–9 / 5–8 / 4–6 |
//! | correlation break | carts and purchases take 100 / 70 / 40 % of their rates from 12 hours later, views don't | 24–36 |
//!
//! With [`Variety::Open`] sizes, lengths and onsets are drawn from continuous ranges, and every other anomaly is a
//! combination of effects on traffic, rates and order value that none of these kinds has.
//!
//! Kinds that last hours start in hours with at least half the day's mean traffic; a wrong hour
//! is put where rates differ by a factor of two on average. Brands are small at the end of the
//! list: some of their anomalies can't be distinguished from chance by any method, which
//! [`GeneratedFunnel::truth`] allows to compute.

mod brand;
mod calendar;
mod config;
mod draw;
mod kind;
mod plan;
mod raw;
mod simulate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use funnelpulse_core::{Columns, Frame, Panel, SeriesKey, Timestamp};
use ndarray::Array2;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use serde::Serialize;

use self::{brand::Brand, calendar::Moment, plan::Planned, simulate::Row};
pub use self::{
    config::GeneratorConfig,
    kind::{AnomalyKind, Difficulty, Variety},
    raw::RawEvent,
};
use crate::EvalError;

/// The columns of the hourly table.
const COLUMNS: [&str; 4] = ["views", "carts", "purchases", "revenue"];
/// Name of the series without a brand.
const UNBRANDED: &str = "(none)";

/// A planted anomaly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnomalyEvent {
    /// The series that it hits.
    pub series: SeriesKey,
    /// The kind.
    pub kind: AnomalyKind,
    /// Its first hour.
    pub start: Timestamp,
    /// The hour after its last one.
    pub end: Timestamp,
    /// Revenue that it costs on average over the noise, in the hours that have a row; negative
    /// where it brings more than usual.
    pub expected_revenue_loss: f64,
    /// True if it hits every brand at once.
    pub site_wide: bool,
}

/// A generated shop.
///
/// ```
/// use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
///
/// let config = GeneratorConfig { brands: 3, days: 40, ..GeneratorConfig::default() };
/// let funnel = GeneratedFunnel::generate(&config)?;
/// let frame = funnel.panel().get("brand_001").unwrap();
/// assert_eq!(frame.columns().joined(), "views, carts, purchases, revenue");
/// assert_eq!(funnel.labels("brand_001").unwrap().len(), frame.nrows());
/// assert!(!funnel.events().is_empty());
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GeneratedFunnel {
    seed: u64,
    start: Timestamp,
    hours: usize,
    panel: Panel,
    truth: Panel,
    labels: BTreeMap<SeriesKey, (Vec<bool>, Vec<Option<AnomalyKind>>)>,
    events: Vec<AnomalyEvent>,
    series: Vec<Series>,
}

/// The source of single events.
#[derive(Clone, Debug)]
struct Series {
    brand: Brand,
    rows: Vec<Row>,
    /// Of each planted anomaly.
    kinds: Vec<AnomalyKind>,
}

impl GeneratedFunnel {
    /// Generates a shop.
    pub fn generate(config: &GeneratorConfig) -> Result<Self, EvalError> {
        config.validate()?;
        let (start, hours) = (config.start()?, config.hours());
        let columns = Columns::new(COLUMNS)?;
        let mut funnel = Self {
            seed: config.seed,
            start,
            hours,
            panel: Panel::new(columns.clone()),
            truth: Panel::new(columns),
            labels: BTreeMap::new(),
            events: Vec::new(),
            series: Vec::new(),
        };
        let calendar: Vec<Moment> = (0..hours).map(|hour| Moment::of(funnel.time(hour))).collect();
        let mut site = stream(config.seed, "site", 0);
        let shared_gaps = plan::gaps(hours, config.missing_share / 2.0, &mut site);
        let site_wide = plan::site_wide(config, &mut site);
        for index in config.unbranded.then_some(None).into_iter().chain((0..config.brands).map(Some)) {
            let brand = Brand::new(config.seed, index);
            let mut rng = stream(config.seed, "series", brand.first_product);
            let rates = brand.rates(&calendar, &mut rng);
            let anomalies = plan::anomalies(config, &site_wide, &rates, &mut rng);
            let mut down = plan::gaps(hours, config.missing_share / 2.0, &mut rng);
            down.iter_mut().zip(&shared_gaps).for_each(|(down, &shared)| *down |= shared);
            let rows = simulate::simulate(config, &brand, &rates, &anomalies, &down, &mut rng);
            funnel.add(brand, rows, &anomalies)?;
        }
        Ok(funnel)
    }

    fn time(&self, hour: usize) -> Timestamp {
        self.start.offset(hour as i64 * Timestamp::HOUR)
    }

    fn add(&mut self, brand: Brand, rows: Vec<Row>, anomalies: &[Planned]) -> Result<(), EvalError> {
        let key = SeriesKey::new(brand.name.as_deref().unwrap_or(UNBRANDED));
        let times: Vec<Timestamp> = rows.iter().map(|row| self.time(row.hour)).collect();
        let table = |value: &dyn Fn(&Row, usize) -> f64| {
            Array2::from_shape_fn((rows.len(), COLUMNS.len()), |(row, column)| value(&rows[row], column))
        };
        let counts = table(&|row, column| match column {
            0 => row.views as f64,
            1 => row.carts as f64,
            2 => row.purchases() as f64,
            _ => row.cents as f64 / 100.0,
        });
        let truth = table(&|row, column| row.truth[column]);
        let columns = self.panel.columns().clone();
        self.panel.insert(key.clone(), Frame::new(times.clone(), columns.clone(), counts)?)?;
        self.truth.insert(key.clone(), Frame::new(times, columns, truth)?)?;
        let kinds: Vec<_> = rows.iter().map(|row| row.anomaly.map(|index| anomalies[index].kind)).collect();
        self.labels.insert(key.clone(), (kinds.iter().map(Option::is_some).collect(), kinds));
        for (index, event) in anomalies.iter().enumerate() {
            let loss = rows.iter().filter(|row| row.anomaly == Some(index)).map(|row| row.loss).sum();
            self.events.push(AnomalyEvent {
                series: key.clone(),
                kind: event.kind,
                start: self.time(event.hours.start),
                end: self.time(event.hours.end),
                expected_revenue_loss: loss,
                site_wide: event.site_wide,
            });
        }
        let kinds = anomalies.iter().map(|event| event.kind).collect();
        self.series.push(Series { brand, rows, kinds });
        Ok(())
    }

    /// The hourly table: a series per brand with the columns `views`, `carts`, `purchases` and
    /// `revenue` (whole cents). Hours without an event have no row.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// One flag per row of a series: true if the row lies in an anomaly.
    pub fn labels(&self, series: &str) -> Option<&[bool]> {
        self.labels.get(series).map(|(labels, _)| labels.as_slice())
    }

    /// The anomaly that each row of a series lies in.
    pub fn kinds(&self, series: &str) -> Option<&[Option<AnomalyKind>]> {
        self.labels.get(series).map(|(_, kinds)| kinds.as_slice())
    }

    /// Every planted anomaly, by series and time.
    pub fn events(&self) -> &[AnomalyEvent] {
        &self.events
    }

    /// The expected rows of a series without anomaly and hourly noise:
    /// the same columns as [`panel`](Self::panel), as expected values.
    pub fn truth(&self, series: &str) -> Option<&Frame> {
        self.truth.get(series)
    }
}

/// A random stream of its own for every purpose and index: what one of them draws never moves another.
fn stream(seed: u64, purpose: &str, index: u64) -> Pcg64 {
    let mixed = purpose.bytes().fold(scramble(seed), |state, byte| scramble(state ^ u64::from(byte)));
    Pcg64::seed_from_u64(scramble(mixed ^ scramble(index)))
}

/// One step of the `SplitMix64` generator (Steele, Lea and Flood 2014).
fn scramble(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
