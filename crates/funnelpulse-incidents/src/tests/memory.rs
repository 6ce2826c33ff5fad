//! What training keeps for the scan of its history.

use funnelpulse_core::{Memory, Panel, PanelDetector, PanelView, Purpose, Timestamp};

use super::shop::{Shop, heights};
use crate::{
    CalendarEntry, IncidentConfig, IncidentDetector, IncidentModel, Scan,
    kept::{HINDSIGHT, Kept},
    windows::again::Windows,
};

/// A shop with an outage, a new level and a sale.
fn shop() -> (IncidentDetector, Panel) {
    let effect = |brand: usize, hour: usize| {
        let traffic = if brand == 4 && hour >= 700 { 2.0 } else { 1.0 };
        let purchases = if brand == 2 && (1000..1010).contains(&hour) { 0.05 } else { 1.0 };
        [traffic, 1.0, purchases, 1.0]
    };
    let entry = CalendarEntry::new("sale", "promotion", "2024-01-20", "2024-01-22");
    let config = IncidentConfig { calendar: vec![entry], ..IncidentConfig::funnel() };
    (IncidentDetector::new(config).unwrap(), Shop::new(6, 50, effect).panel())
}

fn scan(model: &IncidentModel, panel: &Panel, kept: Kept) -> Scan {
    let mut memory = Memory::default();
    memory.set(kept);
    model.scan_next(panel, Timestamp::from_micros(i64::MIN), &mut memory).unwrap()
}

fn all_heights(scan: &Scan) -> Vec<Vec<f64>> {
    let site = scan.site.as_ref().map(|site| site.heights().collect());
    (0..scan.series.len()).map(|at| heights(scan, at)).chain(site).collect()
}

#[test]
fn a_scan_of_the_history_takes_over_the_windows_of_training() {
    let (detector, panel) = shop();
    let (model, kept) = detector.fit_for(&panel, Purpose::Any).unwrap();
    assert!(model.series.values().any(|series| series.shape.jumps.iter().any(|jumps| !jumps.is_empty())));
    let alone = all_heights(&model.scan(&panel).unwrap());
    assert_eq!(all_heights(&scan(&model, &panel, kept.clone())), alone);

    // Were they computed again, no height of every window would be nine.
    let mut marked = kept;
    let nines = |windows: &mut Windows| *windows = std::mem::take(windows).with_height(9.0);
    nines(&mut marked.second.windows[HINDSIGHT]);
    nines(&mut marked.site[HINDSIGHT]);
    let marked = all_heights(&scan(&model, &panel, marked));
    assert!(marked.iter().flatten().all(|height| *height > 6.0));

    // Other rows are looked at again.
    let mut other = Panel::new(panel.columns().clone());
    for (key, frame) in &panel {
        other.insert(key.clone(), frame.view().rows(0..1100).to_frame()).unwrap();
    }
    let (_, kept) = detector.fit_for(&panel, Purpose::Any).unwrap();
    assert_eq!(all_heights(&scan(&model, &other, kept)), all_heights(&model.scan(&other).unwrap()));
}

#[test]
fn a_model_of_the_history_alone_judges_it_alike() {
    let (detector, panel) = shop();
    let view = PanelView::from(&panel);
    let mut memory = Memory::default();
    let history = PanelDetector::fit_for(&detector, &view, Purpose::History, &mut memory).unwrap();
    let any = PanelDetector::fit(&detector, &view).unwrap();
    let of = |model: &IncidentModel| all_heights(&model.scan(&panel).unwrap());
    assert_eq!(of(history.model()), of(any.model()));
    assert!(memory.get::<Kept>().is_some());
}
