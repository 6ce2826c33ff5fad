//! Counts from rates.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Gamma, Poisson};
use rand_pcg::Pcg64;

use super::{
    GeneratorConfig,
    brand::{Brand, Rates, price_at},
    kind::Effect,
    plan::{Planned, displaced},
};

/// Shapes of the gamma noise on the rate of an hour; a Poisson count with a gamma rate is
/// negative binomial. The first is common to all steps, which ties them together.
const TRAFFIC_SHAPE: f64 = 25.0;
const CART_SHAPE: f64 = 15.0;
const ORDER_SHAPE: f64 = 12.0;
/// Most purchases in one basket; no catalogue is shorter, so no product comes twice.
const MAX_BASKET: u64 = 60;

/// One basket: that many products of the catalogue from `product` on, around its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) product: usize,
    pub(super) size: usize,
}

/// One hour of one brand.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Hours from the start.
    pub(super) hour: usize,
    pub(super) views: u64,
    pub(super) carts: u64,
    pub(super) cents: u64,
    pub(super) price_factor: f64,
    pub(super) orders: Vec<Order>,
    /// Clean expected views, carts, purchases and revenue.
    pub(super) truth: [f64; 4],
    /// Index of the anomaly that it lies in.
    pub(super) anomaly: Option<usize>,
    /// Clean less actual expected revenue.
    pub(super) loss: f64,
}

impl Row {
    pub(super) fn purchases(&self) -> u64 {
        self.orders.iter().map(|order| order.size as u64).sum()
    }
}

/// All hours of a brand that the feed delivers and in which anything happens.
pub(super) fn simulate(
    config: &GeneratorConfig,
    brand: &Brand,
    rates: &Rates,
    anomalies: &[Planned],
    down: &[bool],
    rng: &mut Pcg64,
) -> Vec<Row> {
    let hours = rates.views.len();
    let traffic: Vec<f64> = (0..hours).map(|_| gamma(TRAFFIC_SHAPE, rng)).collect();
    let clean_price = brand.mean_price(1.0);
    let mut rows = Vec::with_capacity(hours);
    let mut next = 0;
    for hour in 0..hours {
        while anomalies.get(next).is_some_and(|event| event.hours.end <= hour) {
            next += 1;
        }
        let anomaly = anomalies.get(next).is_some_and(|event| event.hours.contains(&hour)).then_some(next);
        let effect = anomaly.map_or(Effect::NONE, |index| anomalies[index].effect(config, hour));
        let other = displaced(hour, effect.shift, hours);
        let moved = |clean: f64, other: f64| clean + effect.displaced * (other - clean);

        let clean = [rates.views[hour], rates.carts[hour], rates.purchases(hour, |_| 1.0)];
        let views = effect.views * if effect.views_displaced { moved(clean[0], rates.views[other]) } else { clean[0] };
        let carts = effect.carts * moved(clean[1], rates.carts[other]);
        let purchases = effect.purchases * moved(clean[2], rates.purchases(other, |_| 1.0));
        let revenue = clean[2] * clean_price;
        let price = if effect.price == 1.0 { clean_price } else { brand.mean_price(effect.price) };

        let momentum = rates.purchases(hour, |h| traffic[h]) / clean[2];
        let view_count = poisson(views * traffic[hour], rng);
        let cart_count = poisson(carts * traffic[hour] * gamma(CART_SHAPE, rng), rng);
        let orders = orders(brand, purchases * momentum * gamma(ORDER_SHAPE, rng), rng);
        if down[hour] || (view_count == 0 && cart_count == 0 && orders.is_empty()) {
            continue;
        }
        let cents =
            orders.iter().flat_map(|order| products(brand, *order)).map(|p| price_at(brand.catalogue[p], effect.price));
        rows.push(Row {
            hour,
            views: view_count,
            carts: cart_count,
            cents: cents.sum(),
            price_factor: effect.price,
            orders,
            truth: [clean[0], clean[1], clean[2], revenue],
            anomaly,
            loss: revenue - purchases * price,
        });
    }
    rows
}

/// Positions in the catalogue of the products in a basket, all different.
pub(super) fn products(brand: &Brand, order: Order) -> impl Iterator<Item = usize> + '_ {
    (order.product..order.product + order.size).map(|product| product % brand.catalogue.len())
}

fn orders(brand: &Brand, purchases: f64, rng: &mut Pcg64) -> Vec<Order> {
    let count = poisson(purchases / brand.basket, rng);
    (0..count)
        .map(|_| Order {
            product: rng.random_range(0..brand.catalogue.len()),
            size: geometric(brand.basket, MAX_BASKET, rng) as usize,
        })
        .collect()
}

/// A geometric number from 1 on with the given mean, cut at `max`.
pub(super) fn geometric(mean: f64, max: u64, rng: &mut impl Rng) -> u64 {
    let more = 1.0 - 1.0 / mean;
    let mut size = 1;
    while size < max && rng.random_bool(more) {
        size += 1;
    }
    size
}

/// Gamma noise with mean 1.
fn gamma(shape: f64, rng: &mut Pcg64) -> f64 {
    Gamma::new(shape, 1.0 / shape).expect("shape and scale are positive").sample(rng)
}

fn poisson(rate: f64, rng: &mut Pcg64) -> u64 {
    if rate <= 0.0 { 0 } else { Poisson::new(rate).expect("the rate is positive and small").sample(rng) as u64 }
}
