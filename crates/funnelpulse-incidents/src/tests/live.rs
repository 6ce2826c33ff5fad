//! Hours after training.

use funnelpulse_core::Panel;

use super::shop::{Shop, fit, heights, largest, part};
use crate::{CalendarEntry, IncidentConfig, IncidentDetector, RowEvidence, Scan};

/// Hours of training.
const TRAINED: usize = 40 * 24;

fn live(panel: &Panel, config: IncidentConfig) -> (Scan, f64) {
    let model = IncidentDetector::new(config).unwrap().fit(&part(panel, 0, TRAINED)).unwrap();
    (model.scan(panel).unwrap(), model.threshold(1.0))
}

fn flagged(evidence: &RowEvidence, limit: f64, rows: std::ops::Range<usize>) -> usize {
    evidence.log_odds().skip(rows.start).take(rows.len()).filter(|l| *l >= limit).count()
}

#[test]
fn a_sale_that_training_has_not_seen_is_ordinary() {
    let sale = 50 * 24..52 * 24;
    let hours = sale.clone();
    let busy = move |_: usize, hour: usize| {
        let traffic = if hours.contains(&hour) { 1.4 } else { 1.0 };
        [traffic, 1.0, 1.0, 1.0]
    };
    let panel = Shop::new(6, 60, busy).panel();
    // The hours of the grid begin on 1 January 2024.
    let entry = CalendarEntry::new("sale", "promotion", "2024-02-20", "2024-02-22");
    let with = IncidentConfig { calendar: vec![entry], ..IncidentConfig::funnel() };
    // Counts of this shop have no noise but their own: what little of the effect is left can be seen.
    let mean = |config: IncidentConfig| {
        let (scan, _) = live(&panel, config);
        let all = (0..6).flat_map(|at| heights(&scan, at)[sale.clone()].to_vec());
        all.sum::<f64>() / 6.0 / sale.len() as f64
    };
    let (with, without) = (mean(with), mean(IncidentConfig::funnel()));
    assert!(with < 0.5 * without, "{with} and {without}");
}

#[test]
fn one_brand_that_breaks_in_a_sale_is_still_found() {
    let effect = |brand: usize, hour: usize| {
        let traffic = if (50 * 24..52 * 24).contains(&hour) { 1.4 } else { 1.0 };
        let is_broken = brand == 3 && (50 * 24 + 10..50 * 24 + 20).contains(&hour);
        [traffic, 1.0, if is_broken { 0.05 } else { 1.0 }, 1.0]
    };
    let entry = CalendarEntry::new("sale", "promotion", "2024-02-20", "2024-02-22");
    let config = IncidentConfig { calendar: vec![entry], ..IncidentConfig::funnel() };
    let (scan, limit) = live(&Shop::new(6, 60, effect).panel(), config);
    assert!(flagged(&scan.series[3], limit, 50 * 24 + 10..50 * 24 + 20) >= 8);
}

#[test]
fn a_score_in_a_sale_is_final_after_three_days() {
    let effect = |_: usize, hour: usize| {
        let traffic = if (50 * 24..55 * 24).contains(&hour) { 1.4 } else { 1.0 };
        [traffic, 1.0, 1.0, 1.0]
    };
    let panel = Shop::new(4, 62, effect).panel();
    let entry = CalendarEntry::new("sale", "promotion", "2024-02-20", "2024-02-25");
    let config = IncidentConfig { calendar: vec![entry], ..IncidentConfig::funnel() };
    let model = IncidentDetector::new(config).unwrap().fit(&part(&panel, 0, TRAINED)).unwrap();
    let all = model.scan(&panel).unwrap();
    for end in (52 * 24..58 * 24).step_by(13) {
        let early = model.scan(&part(&panel, 0, end)).unwrap();
        for series in 0..4 {
            let (early, all) = (heights(&early, series), heights(&all, series));
            let differs = (0..end - 72).find(|&row| early[row] != all[row]);
            assert_eq!(differs, None, "rows up to {end}");
        }
    }
}

#[test]
fn a_clean_shop_keeps_to_the_budget_after_training_too() {
    let days = 100;
    let panel = Shop::new(10, days, |_, _| [1.0; 4]).panel();
    let (scan, limit) = live(&panel, IncidentConfig::funnel());
    let from = scan.series[0].time()[TRAINED];
    let late = |e: &RowEvidence| e.incidents(limit).into_iter().filter(|i| i.start >= from).count();
    let incidents: usize = scan.series.iter().map(late).sum();
    let months = 10.0 * (days as f64 * 24.0 - TRAINED as f64) / 730.5;
    assert!(incidents as f64 <= 1.5 * months, "{incidents} in {months:.0} months");
}

#[test]
fn a_new_level_is_news_and_then_normal() {
    let effect = |brand: usize, hour: usize| {
        let traffic = if brand == 1 && hour >= 50 * 24 { 0.4 } else { 1.0 };
        [traffic, 1.0, 1.0, 1.0]
    };
    let (scan, limit) = live(&Shop::new(5, 80, effect).panel(), IncidentConfig::funnel());
    assert!(largest(&scan.series[1], 50 * 24..51 * 24) > 4.0);
    // Adopted within nine days; a tenth of the rows at most is flagged from then on.
    let later = flagged(&scan.series[1], limit, 59 * 24..80 * 24);
    assert!(later < 21 * 24 / 10, "{later} of {} rows", 21 * 24);
}

#[test]
fn training_and_live_rows_of_a_quiet_shop_look_alike() {
    let panel = Shop::new(6, 80, |_, _| [1.0; 4]).panel();
    let scan = fit(&part(&panel, 0, TRAINED)).scan(&panel).unwrap();
    let mean = |rows: std::ops::Range<usize>| {
        let all = (0..6).flat_map(|at| heights(&scan, at)[rows.clone()].to_vec());
        let (sum, number) = all.fold((0.0, 0.0), |(sum, n), height| (sum + height, n + 1.0));
        sum / number
    };
    let (trained, live) = (mean(0..TRAINED), mean(TRAINED..80 * 24));
    assert!((live / trained - 1.0).abs() < 0.25, "{trained} and {live}");
}
