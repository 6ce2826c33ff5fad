//! A brand: its size, prices and habits, and the clean rates that follow.

use std::sync::Arc;

use rand::RngExt;
use rand_distr::{Distribution, Normal};
use rand_pcg::Pcg64;

use super::{calendar::Moment, stream};

/// Views per hour of the series without a brand and of the biggest brand.
const UNBRANDED_VIEWS: f64 = 330.0;
const TOP_VIEWS: f64 = 166.0;
/// Zipf-Mandelbrot law of brand sizes, fitted to the published views of the top brands.
const SIZE_OFFSET: f64 = 2.0;
const SIZE_EXPONENT: f64 = 1.1;
/// Share of purchases that belongs to the traffic of the same hour; the rest to the hour before.
pub(super) const SAME_HOUR: f64 = 0.7;

/// A generated brand.
#[derive(Clone, Debug)]
pub(super) struct Brand {
    /// `None` for the traffic without a brand.
    pub(super) name: Option<Arc<str>>,
    /// Price of each product in cents.
    pub(super) catalogue: Vec<u64>,
    /// Mean number of purchases per basket.
    pub(super) basket: f64,
    /// First product number.
    pub(super) first_product: u64,
    views: f64,
    carts_per_view: f64,
    conversion: f64,
    growth: f64,
    /// Strength and phase of its own daily rhythm.
    rhythm: (f64, f64),
    weekend: f64,
}

/// Clean expected counts per hour.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) views: Vec<f64>,
    pub(super) carts: Vec<f64>,
    /// Purchases per view of the traffic that they belong to.
    pub(super) conversion: Vec<f64>,
}

impl Rates {
    /// Expected purchases when traffic is `factor(hour)` times what is expected.
    pub(super) fn purchases(&self, hour: usize, factor: impl Fn(usize) -> f64) -> f64 {
        let before = hour.saturating_sub(1);
        let traffic =
            SAME_HOUR * self.views[hour] * factor(hour) + (1.0 - SAME_HOUR) * self.views[before] * factor(before);
        self.conversion[hour] * traffic
    }
}

impl Brand {
    /// The brand of rank `index + 1`, or the traffic without a brand.
    pub(super) fn new(seed: u64, index: Option<usize>) -> Self {
        let mut rng = stream(seed, "brand", index.map_or(0, |i| i as u64 + 1));
        let mut normal = |sd: f64| Normal::new(0.0, sd).expect("the deviation is positive").sample(&mut rng);
        let rank = index.map_or(0.0, |i| i as f64) + 1.0;
        let size = ((1.0 + SIZE_OFFSET) / (rank + SIZE_OFFSET)).powf(SIZE_EXPONENT);
        let views = if index.is_some() { TOP_VIEWS * size } else { UNBRANDED_VIEWS } * normal(0.12).exp();
        // Multiples of the golden ratio spread prices evenly over the ranks, so that the shop as a
        // whole hardly depends on which price the biggest brands happen to draw.
        let quantile = (rank * 0.618_034 + 0.6).fract().clamp(0.01, 0.99);
        let price = 4.6 * (0.55 * (quantile / (1.0 - quantile)).ln() / 1.702 + normal(0.15)).exp();
        let conversion = (0.168 / (1.0 + (price / 14.0).powf(1.6)) * normal(0.2).exp()).clamp(0.005, 0.35);
        let carts_per_view = (0.6 * (conversion / 0.145).sqrt() * normal(0.12).exp()).clamp(0.1, 1.1);
        let growth = normal(0.1);
        let rhythm = (normal(0.08), normal(12.0));
        let weekend = normal(0.06).exp();
        let catalogue = catalogue(&mut rng, price);
        Self {
            name: index.map(|i| format!("brand_{:03}", i + 1).into()),
            catalogue,
            basket: rng.random_range(2.8..5.0),
            first_product: 5_000_000 + 1_000 * index.map_or(0, |i| i as u64 + 1),
            views,
            carts_per_view,
            conversion,
            growth,
            rhythm,
            weekend,
        }
    }

    /// Mean price in currency units when every product costs `factor` times its price.
    pub(super) fn mean_price(&self, factor: f64) -> f64 {
        let cents: u64 = self.catalogue.iter().map(|&cents| price_at(cents, factor)).sum();
        cents as f64 / self.catalogue.len() as f64 / 100.0
    }

    /// The rates that an observer who knows everything but the hourly noise would expect.
    pub(super) fn rates(&self, calendar: &[Moment], rng: &mut Pcg64) -> Rates {
        let days = calendar.len().div_ceil(24);
        let demand = wander(days, 0.05, rng);
        let mood = wander(days, 0.06, rng);
        let mut rates = Rates {
            views: Vec::with_capacity(calendar.len()),
            carts: Vec::with_capacity(calendar.len()),
            conversion: Vec::with_capacity(calendar.len()),
        };
        for (hour, moment) in calendar.iter().enumerate() {
            let angle = (moment.hour as f64 - self.rhythm.1) / 24.0 * std::f64::consts::TAU;
            // Growth is per 150 days and goes by days that have passed, not by the length of the
            // data: a longer run begins with the shorter one.
            let trend = self.growth * hour as f64 / 3_600.0;
            let weekend = if moment.weekday >= 5 { self.weekend } else { 1.0 };
            let rhythm = self.rhythm.0 * angle.cos();
            let views = self.views * moment.traffic() * weekend * (trend + rhythm + demand[hour / 24]).exp();
            let interest = mood[hour / 24].exp() * moment.conversion();
            rates.views.push(views);
            rates.carts.push(views * self.carts_per_view * interest.sqrt());
            rates.conversion.push(self.conversion * interest);
        }
        rates
    }
}

/// A price changed by a factor, in whole cents, at least one.
pub(super) fn price_at(cents: u64, factor: f64) -> u64 {
    ((cents as f64 * factor).round() as u64).max(1)
}

/// Log-normal prices around the brand's own level.
fn catalogue(rng: &mut Pcg64, price: f64) -> Vec<u64> {
    let products = rng.random_range(60..=200);
    let spread = Normal::new(-0.11, 0.5).expect("the deviation is positive");
    (0..products).map(|_| price_at(100, price * f64::exp(spread.sample(rng)))).collect()
}

/// Slow wandering from day to day, on the log scale: an autoregression of order one.
fn wander(days: usize, sd: f64, rng: &mut Pcg64) -> Vec<f64> {
    let step = Normal::new(0.0, sd).expect("the deviation is positive");
    let mut level = 0.0;
    (0..days)
        .map(|_| {
            level = 0.8 * level + step.sample(rng);
            level
        })
        .collect()
}
