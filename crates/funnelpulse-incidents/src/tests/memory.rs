//! What training keeps for the scan of its history.

use std::sync::Arc;

use funnelpulse_core::{Memory, Panel, PanelDetector, PanelView, Purpose, Timestamp};

use super::shop::{Shop, heights, part};
use crate::{
    CalendarEntry, IncidentConfig, IncidentDetector, IncidentModel, Scan,
    kept::{HINDSIGHT, Kept},
    normal::Expectations,
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

#[test]
fn expected_values_of_settled_days_are_taken_over() {
    let (detector, panel) = shop();
    let model = detector.fit(&part(&panel, 0, 30 * 24)).unwrap();
    let first = panel.iter().next().unwrap().1.time()[44 * 24];
    let (earlier, later) = (part(&panel, 0, 47 * 24 + 5), part(&panel, 0, 47 * 24 + 6));
    let mut memory = Memory::default();
    model.scan_next(&earlier, first, &mut memory).unwrap();
    let expected = |scan: &Scan, hour: usize| scan.series[0].expected().nth(hour).unwrap()[0];
    let alone = model.scan_since(&later, first).unwrap();

    // Three days before the first that is different is settled, the day after it is not.
    let mut marked = memory.get::<Kept>().unwrap().clone();
    let doubled = |kept: &mut Arc<Expectations>| *kept = Arc::new(Expectations::clone(kept).times(2.0));
    marked.expected.iter_mut().for_each(doubled);
    memory.set(marked);
    let scan = model.scan_next(&later, first, &mut memory).unwrap();
    assert_eq!(expected(&scan, 43 * 24), 2.0 * expected(&alone, 43 * 24));
    // What the marked days do to the mask moves the level of the others a little.
    assert!((expected(&scan, 45 * 24) / expected(&alone, 45 * 24) - 1.0).abs() < 0.05);
}

#[test]
fn scans_hour_by_hour_are_those_of_each_panel_alone() {
    let (detector, panel) = shop();
    let model = detector.fit(&part(&panel, 0, 30 * 24)).unwrap();
    let time = panel.iter().next().unwrap().1.time().to_vec();
    let mut memory = Memory::default();
    for end in (41 * 24..43 * 24 + 5).step_by(3) {
        let (now, first) = (part(&panel, 0, end), time[end - 72]);
        let (alone, followed) = (model.scan_since(&now, first), model.scan_next(&now, first, &mut memory));
        let rows = |scan: Scan| {
            let of = |evidence: &crate::RowEvidence| {
                let rows = evidence.heights().zip(evidence.expected()).zip(evidence.kinds());
                format!("{:?}", rows.skip(end - 72).collect::<Vec<_>>())
            };
            scan.series.iter().chain(&scan.site).map(of).collect::<Vec<_>>()
        };
        assert_eq!(rows(followed.unwrap()), rows(alone.unwrap()), "{end} hours");
    }
}
