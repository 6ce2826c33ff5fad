//! The contract of panel detectors.
#![allow(clippy::unwrap_used, reason = "tests")]

use funnelpulse_core::{Columns, Frame, Panel, Registry, Timestamp};
use funnelpulse_incidents::{FittedIncidents, IncidentConfig, IncidentDetector};
use funnelpulse_testing::PanelConformance;
use ndarray::Array2;

/// Four brands over five weeks: a daily rhythm and integer noise, nothing else.
fn shop() -> Panel {
    let columns = Columns::new(["views", "carts", "purchases", "revenue"]).unwrap();
    let mut panel = Panel::new(columns.clone());
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    for (brand, level) in [("a", 60.0), ("b", 90.0), ("c", 140.0), ("d", 220.0)] {
        let hours = 35 * 24;
        let values = Array2::from_shape_fn((hours, 4), |(hour, column)| {
            let season = 1.5 + (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
            (level * season * [4.0, 1.2, 0.6, 3.0][column] * (1.0 + 0.2 * noise())).round()
        });
        let time = (0..hours).map(|h| Timestamp::from_seconds(1_569_888_000 + 3600 * h as i64)).collect();
        panel.insert(brand, Frame::new(time, columns.clone(), values).unwrap()).unwrap();
    }
    panel
}

#[test]
fn keeps_the_contract() {
    let detector = IncidentDetector::new(IncidentConfig::funnel()).unwrap();
    PanelConformance::new(&detector, Registry::new().with_panel::<FittedIncidents>(), shop()).run();
}
