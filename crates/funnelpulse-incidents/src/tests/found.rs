//! What is found, and what is not.

use super::shop::{START, Shop, fit, largest, outage, plain};
use crate::{CalendarEntry, IncidentConfig, IncidentDetector, IncidentKind, RowEvidence};
use funnelpulse_core::Timestamp;

#[test]
fn an_outage_is_found_named_and_priced() {
    let panel = Shop::new(6, 60, outage).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    let incidents = scan.series[2].incidents(model.threshold(1.0));
    let hit = incidents.iter().find(|i| i.rows.0 < 1010 && i.rows.1 >= 1000).unwrap();
    assert!(hit.rows.0.abs_diff(1000) <= 2 && hit.rows.1.abs_diff(1009) <= 2, "{:?}", hit.rows);
    assert_eq!(hit.kind, IncidentKind::CheckoutOutage);
    assert!(hit.probability > 0.9 && hit.purchase_factor < 0.3);
    let expected = hit.expected[3] * 0.95;
    assert!((hit.revenue_loss - expected).abs() < 0.25 * expected);
    assert!(hit.revenue_loss_interval.0 < expected && expected < hit.revenue_loss_interval.1);
}

#[test]
fn changes_of_any_step_are_found_in_either_direction() {
    let effects: [(usize, [f64; 4], IncidentKind); 6] = [
        (400, [2.5, 1.0, 1.0, 1.0], IncidentKind::Spike),
        (520, [0.3, 1.0, 1.0, 1.0], IncidentKind::Dip),
        (640, [1.0, 0.3, 1.0, 1.0], IncidentKind::CartBreak),
        (760, [1.0, 1.0, 2.5, 1.0], IncidentKind::Unexplained),
        (880, [1.0, 1.0, 1.0, 4.0], IncidentKind::PriceError),
        (1000, [3.0, 1.0 / 3.0, 1.0, 1.0], IncidentKind::BotTraffic),
    ];
    let at = move |brand: usize, hour: usize| {
        let hit = effects.iter().find(|(start, ..)| brand == 3 && (*start..start + 9).contains(&hour));
        hit.map_or([1.0; 4], |(_, effect, _)| *effect)
    };
    let panel = Shop::new(6, 60, at).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    for (start, effect, kind) in effects {
        let incidents = scan.series[3].incidents(model.threshold(1.0));
        let hit = incidents.iter().find(|i| i.rows.0 < start + 9 && i.rows.1 >= start);
        assert_eq!(hit.map(|i| i.kind), Some(kind), "{effect:?}");
    }
}

#[test]
fn a_clean_shop_keeps_to_the_budget() {
    for brands in [1, 3, 10] {
        let panel = Shop::new(brands, 90, plain).panel();
        let model = fit(&panel);
        let scan = model.scan(&panel).unwrap();
        let flagged = model.threshold(1.0);
        let mut incidents = 0;
        for evidence in &scan.series {
            let mut last = None;
            for (row, _) in evidence.log_odds().enumerate().filter(|(_, l)| *l >= flagged) {
                incidents += usize::from(last.is_none_or(|last| row - last > 3));
                last = Some(row);
            }
        }
        let months = brands as f64 * 90.0 / 30.44;
        // Twice the budget, and three standard deviations of so few.
        assert!((incidents as f64) < 2.0 * months + 3.0 * months.sqrt(), "{brands} brands: {incidents}");
    }
}

#[test]
fn what_happens_everywhere_is_one_incident_of_the_site() {
    let site = |_, hour: usize| if (900..908).contains(&hour) { [1.0, 1.0, 0.1, 1.0] } else { [1.0; 4] };
    let panel = Shop::new(8, 60, site).panel();
    let scan = fit(&panel).scan(&panel).unwrap();
    let incidents = scan.site.as_ref().unwrap().incidents(0.0);
    let hit = incidents.iter().find(|i| i.rows.0 < 908 && i.rows.1 >= 900).unwrap();
    assert_eq!(hit.kind, IncidentKind::CheckoutOutage);
    assert!(scan.series.iter().all(|e| largest(e, 900..908) > 4.0));
}

#[test]
fn a_lasting_change_is_news_for_a_day() {
    let change = |brand: usize, hour: usize| if brand == 1 && hour >= 1200 { [0.4, 1.0, 1.0, 1.0] } else { [1.0; 4] };
    let panel = Shop::new(5, 100, change).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    let limit = model.threshold(0.2);
    let flagged: Vec<usize> =
        scan.series[1].log_odds().enumerate().filter(|(_, l)| *l >= limit).map(|(row, _)| row).collect();
    let news = flagged.iter().filter(|row| (1194..1230).contains(*row)).count();
    assert!(news >= 20, "{news} of 24 hours");
    assert!(flagged.len() - news <= 12, "{flagged:?}");
}

#[test]
fn slow_drift_is_no_event() {
    let drift = |_, hour: usize| [(hour as f64 / 2000.0).exp(), 1.0, 1.0, 1.0];
    let panel = Shop::new(5, 100, drift).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    let limit = model.threshold(1.0);
    let flagged: usize = scan.series.iter().map(|e| e.log_odds().filter(|l| *l >= limit).count()).sum();
    assert!((flagged as f64) < 0.03 * panel.total_rows() as f64, "{flagged}");
}

#[test]
fn local_time_and_calendar_are_ordinary() {
    // The clock of New York goes an hour ahead on 10 March 2024; a sale on 1 March doubles the traffic.
    let clock = crate::clock::Clock::new("America/New_York").unwrap();
    let spring = clock.parse("2024-03-10T03:00:00").unwrap().as_micros() / Timestamp::HOUR - START / 3600;
    let sale = clock.parse("2024-03-01").unwrap().as_micros() / Timestamp::HOUR - START / 3600;
    let busy = move |_: usize, hour: usize| {
        let local = (hour as i64 + 19 + i64::from(hour as i64 >= spring)).rem_euclid(24);
        let on_sale = (sale..sale + 24).contains(&(hour as i64));
        let traffic = if (9..21).contains(&local) { 3.0 } else { 0.6 } * if on_sale { 1.45 } else { 1.0 };
        // Without the wave in UTC that the other shops have.
        [traffic / (1.0 + 0.6 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin()), 1.0, 1.0, 1.0]
    };
    let panel = Shop::new(6, 120, busy).panel();
    let local = IncidentConfig {
        timezone: "America/New_York".to_owned(),
        calendar: vec![CalendarEntry::new("sale", "promotion", "2024-03-01", "2024-03-02")],
        ..IncidentConfig::funnel()
    };
    let flagged = |config: IncidentConfig, from: i64, to: i64| {
        let model = IncidentDetector::new(config).unwrap().fit(&panel).unwrap();
        let scan = model.scan(&panel).unwrap();
        let limit = model.threshold(1.0);
        let rows = |e: &RowEvidence| {
            e.log_odds().skip(from as usize).take((to - from) as usize).filter(|l| *l >= limit).count()
        };
        scan.series.iter().map(rows).sum::<usize>()
    };
    let after = flagged(local.clone(), spring, spring + 14 * 24);
    assert!(after < 60, "{after} of {} rows after the change of the clock", 6 * 14 * 24);
    assert!(after <= flagged(IncidentConfig::funnel(), spring, spring + 14 * 24));
    let (with, without) = (
        flagged(local.clone(), sale, sale + 24),
        flagged(IncidentConfig { calendar: Vec::new(), ..local }, sale, sale + 24),
    );
    assert!(with < without, "{with} and {without} rows of the sale");
}
