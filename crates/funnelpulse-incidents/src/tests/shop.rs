//! Small made-up shops. They have nothing of the detector's model but Poisson counts.

use funnelpulse_core::{Columns, Frame, Panel, Timestamp};
use ndarray::Array2;

use crate::{IncidentConfig, IncidentDetector, IncidentModel, RowEvidence, Scan};

/// A Monday.
pub(crate) const START: i64 = 1_704_067_200;
pub(crate) const COLUMNS: [&str; 4] = ["views", "carts", "purchases", "revenue"];

/// A small random generator (Knuth's multiplier), so that shops are the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Poisson: exact for small means, normal for large ones.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            let normal = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
            return (mean + mean.sqrt() * normal).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

/// A shop: brands, hours, and factors on traffic, carts, purchases and price per brand and hour.
pub(crate) struct Shop<F> {
    pub(crate) brands: usize,
    pub(crate) hours: usize,
    pub(crate) start: i64,
    pub(crate) effect: F,
}

pub(crate) fn plain(_: usize, _: usize) -> [f64; 4] {
    [1.0; 4]
}

impl<F: Fn(usize, usize) -> [f64; 4]> Shop<F> {
    pub(crate) fn new(brands: usize, days: usize, effect: F) -> Self {
        Self { brands, hours: days * 24, start: START, effect }
    }

    pub(crate) fn panel(&self) -> Panel {
        let columns = Columns::new(COLUMNS).unwrap();
        let mut panel = Panel::new(columns.clone());
        for brand in 0..self.brands {
            let mut random = Random(brand as u64 * 7919 + 17);
            let size = 80.0 * (1.0 + brand as f64);
            let mut values = Array2::zeros((self.hours, 4));
            for hour in 0..self.hours {
                let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
                let [traffic, cart, purchase, price] = (self.effect)(brand, hour);
                let views = random.poisson(size * (1.0 + 0.6 * day) * traffic);
                let carts = random.poisson(0.4 * views * cart);
                let purchases = random.poisson(0.3 * carts * purchase);
                let revenue = (0..purchases as usize).map(|_| 20.0 * price * (0.5 + random.uniform())).sum();
                values.row_mut(hour).assign(&ndarray::arr1(&[views, carts, purchases, revenue]));
            }
            let time = (0..self.hours).map(|h| Timestamp::from_seconds(self.start + h as i64 * 3600)).collect();
            panel
                .insert(format!("brand_{brand:02}").as_str(), Frame::new(time, columns.clone(), values).unwrap())
                .unwrap();
        }
        panel
    }
}

/// Rows `from..to` of every series.
pub(crate) fn part(panel: &Panel, from: usize, to: usize) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        part.insert(key.clone(), frame.view().rows(from..to.min(frame.nrows())).to_frame()).unwrap();
    }
    part
}

pub(crate) fn fit(panel: &Panel) -> IncidentModel {
    IncidentDetector::new(IncidentConfig::funnel()).unwrap().fit(panel).unwrap()
}

pub(crate) fn heights(scan: &Scan, series: usize) -> Vec<f64> {
    scan.series[series].heights().collect()
}

pub(crate) fn largest(evidence: &RowEvidence, rows: std::ops::Range<usize>) -> f64 {
    evidence.heights().skip(rows.start).take(rows.len()).fold(0.0, f64::max)
}

/// Purchases of the third brand are gone for ten hours.
pub(crate) fn outage(brand: usize, hour: usize) -> [f64; 4] {
    if brand == 2 && (1000..1010).contains(&hour) { [1.0, 1.0, 0.05, 1.0] } else { [1.0; 4] }
}

pub(crate) fn hours_of(hours: i64, step: i64, counts: impl Fn(i64) -> [f64; 4]) -> Panel {
    let columns = Columns::new(COLUMNS).unwrap();
    let time: Vec<Timestamp> = (0..hours).map(|h| Timestamp::from_seconds(h * step)).collect();
    let values = Array2::from_shape_fn((hours as usize, 4), |(row, column)| counts(row as i64)[column]);
    let mut panel = Panel::new(columns.clone());
    panel.insert("shop", Frame::new(time, columns, values).unwrap()).unwrap();
    panel
}
