//! The hourly table as single events.

use std::sync::Arc;

use funnelpulse_core::Timestamp;
use rand::RngExt;
use rand_pcg::Pcg64;

use super::{
    AnomalyKind, GeneratedFunnel, Series,
    brand::price_at,
    simulate::{Order, Row, geometric, products},
    stream,
};

/// One event of the shop's log.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEvent {
    /// When, to the second.
    pub time: Timestamp,
    /// `view`, `cart` or `purchase`.
    pub event_type: &'static str,
    /// The brand of the product, if it has one.
    pub brand: Option<Arc<str>>,
    /// The product.
    pub product_id: u64,
    /// The category of the product.
    pub category: &'static str,
    /// The device of the visitor: `mobile`, `desktop` or `tablet`. Bots use desktops.
    pub device: &'static str,
    /// The user.
    pub user_id: u64,
    /// The session; [`session_uuid`](Self::session_uuid) writes it as logs do.
    pub session: u128,
    /// Price in currency units, whole cents.
    pub price: f64,
}

/// Categories of products; every brand has all of them.
const CATEGORIES: [&str; 5] = ["nails", "hair", "face", "body", "tools"];

impl RawEvent {
    /// The session in the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    pub fn session_uuid(&self) -> String {
        let hex = format!("{:032x}", self.session);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

impl GeneratedFunnel {
    /// The events behind the hourly table, in order of time. Counted per brand and hour they give
    /// [`panel`](Self::panel); so do the prices of purchases, added up in cents, for the revenue.
    ///
    /// No two events share time, user, session, product and type. Events are made on the way, an
    /// hour at a time.
    ///
    /// ```
    /// use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
    ///
    /// let funnel = GeneratedFunnel::generate(&GeneratorConfig { brands: 2, days: 3, ..Default::default() })?;
    /// let purchases = funnel.raw_events().filter(|event| event.event_type == "purchase").count();
    /// let counted: f64 = funnel.panel().iter().map(|(_, frame)| frame.column("purchases").unwrap().sum()).sum();
    /// assert_eq!(purchases as f64, counted);
    /// # Ok::<(), funnelpulse_eval::EvalError>(())
    /// ```
    pub fn raw_events(&self) -> impl Iterator<Item = RawEvent> + '_ {
        let mut next = vec![0; self.series.len()];
        (0..self.hours).flat_map(move |hour| {
            let mut events = Vec::new();
            for (series, next) in self.series.iter().zip(&mut next) {
                if let Some(row) = series.rows.get(*next).filter(|row| row.hour == hour) {
                    self.expand(series, row, &mut events);
                    *next += 1;
                }
            }
            events.sort_by_key(|event| event.time);
            events
        })
    }

    /// Customers who buy also put things into carts and look at them, as far as the counts of the
    /// hour go; what is left belongs to visitors who only look or only fill carts.
    fn expand(&self, series: &Series, row: &Row, events: &mut Vec<RawEvent>) {
        let mut rng = stream(self.seed, "events", (series.brand.first_product << 32) | row.hour as u64);
        let time = self.start.offset(row.hour as i64 * Timestamp::HOUR);
        // Views beyond what is usual; sessions of them come last.
        let bots = match row.anomaly.map(|index| series.kinds[index]) {
            Some(AnomalyKind::BotTraffic) => (row.views as f64 - row.truth[0]).max(0.0) as usize,
            _ => 0,
        };
        let mut visits: Vec<Visit> = row.orders.iter().map(|&order| Visit::new(order, time, &mut rng)).collect();
        for visit in &visits {
            visit.log(series, row, "purchase", visit.order, 120..600, &mut rng, events);
        }
        for (event_type, count, mean, seconds) in [("cart", row.carts, 2.0, 20..120), ("view", row.views, 3.0, 0..20)] {
            let mut left = count as usize;
            for visit in &visits {
                let part = Order { size: visit.order.size.min(left), ..visit.order };
                left -= part.size;
                visit.log(series, row, event_type, part, seconds.clone(), &mut rng, events);
            }
            while left > 0 {
                let size = (geometric(mean, 20, &mut rng) as usize).min(left);
                left -= size;
                let order = Order { product: rng.random_range(0..series.brand.catalogue.len()), size };
                let mut visit = Visit::new(order, time, &mut rng);
                if event_type == "view" && left < bots {
                    visit.device = "desktop";
                }
                visit.log(series, row, event_type, order, seconds.clone(), &mut rng, events);
                visits.push(visit);
            }
        }
    }
}

/// One session.
struct Visit {
    user: u64,
    session: u128,
    device: &'static str,
    start: Timestamp,
    hour: Timestamp,
    order: Order,
}

impl Visit {
    fn new(order: Order, hour: Timestamp, rng: &mut Pcg64) -> Self {
        let start = hour.offset(rng.random_range(0..3_600) * Timestamp::SECOND);
        let (user, session) = (rng.random_range(100_000_000..600_000_000), rng.random());
        // A part of the random session, so that devices take no draw of their own.
        let device = match session % 100 {
            0..60 => "mobile",
            60..92 => "desktop",
            _ => "tablet",
        };
        Self { user, session, device, start, hour, order }
    }

    #[expect(clippy::too_many_arguments, reason = "a private helper of one caller")]
    fn log(
        &self,
        series: &Series,
        row: &Row,
        event_type: &'static str,
        order: Order,
        seconds: std::ops::Range<i64>,
        rng: &mut Pcg64,
        events: &mut Vec<RawEvent>,
    ) {
        let last = self.hour.offset(Timestamp::HOUR - Timestamp::SECOND);
        for product in products(&series.brand, order) {
            let time = self.start.offset(rng.random_range(seconds.clone()) * Timestamp::SECOND);
            events.push(RawEvent {
                time: time.min(last),
                event_type,
                brand: series.brand.name.clone(),
                product_id: series.brand.first_product + product as u64,
                category: CATEGORIES[product % CATEGORIES.len()],
                device: self.device,
                user_id: self.user,
                session: self.session,
                price: price_at(series.brand.catalogue[product], row.price_factor) as f64 / 100.0,
            });
        }
    }
}
