//! Properties that hold of any shop.

use super::shop::{START, Shop, fit, heights, largest, outage, plain};
use funnelpulse_core::{Frame, Panel};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// Another currency changes prices and nothing else.
    #[test]
    fn scores_do_not_depend_on_the_currency(factor in 0.01..1000.0_f64) {
        let panel = Shop::new(3, 30, |_, hour| if hour == 500 { [1.0, 1.0, 1.0, 5.0] } else { [1.0; 4] }).panel();
        let mut other = Panel::new(panel.columns().clone());
        for (key, frame) in &panel {
            let (time, columns, mut values) = frame.clone().into_parts();
            values.column_mut(3).mapv_inplace(|v| v * factor);
            other.insert(key.clone(), Frame::new(time, columns, values).unwrap()).unwrap();
        }
        let (one, two) = (fit(&panel).scan(&panel).unwrap(), fit(&other).scan(&other).unwrap());
        for (a, b) in one.series.iter().zip(&two.series) {
            prop_assert!(a.heights().zip(b.heights()).all(|(a, b)| (a - b).abs() < 1e-3));
            let (a, b) = (a.incident_between(490, 510), b.incident_between(490, 510));
            prop_assert!((a.revenue_loss * factor - b.revenue_loss).abs() < 1e-3 * a.expected[3] * factor);
        }
    }

    /// Whole weeks earlier or later change nothing.
    #[test]
    fn scores_do_not_depend_on_the_date(weeks in -200_i64..200) {
        let shop = |start| Shop { start, ..Shop::new(3, 30, outage) }.panel();
        let (one, two) = (shop(START), shop(START + weeks * 7 * 86_400));
        let (one, two) = (fit(&one).scan(&one).unwrap(), fit(&two).scan(&two).unwrap());
        prop_assert_eq!(heights(&one, 1), heights(&two, 1));
    }

    /// More log odds are more evidence, and thresholds fall with the budget.
    #[test]
    fn evidence_rises(a in -30.0..30.0_f64, step in 0.01..5.0_f64, budget in 0.05..4.0_f64) {
        let model = fit(&Shop::new(2, 10, plain).panel());
        prop_assert!(model.evidence(a + step) > model.evidence(a));
        prop_assert!(model.threshold(budget) > model.threshold(2.0 * budget));
    }

    /// Stronger effects have higher scores.
    #[test]
    fn stronger_effects_score_higher(factor in 0.3..0.6_f64) {
        let largest = |factor: f64| {
            let panel = Shop::new(3, 40, move |brand: usize, hour: usize| {
                if brand == 1 && (600..608).contains(&hour) { [factor, 1.0, 1.0, 1.0] } else { [1.0; 4] }
            }).panel();
            let scan = fit(&panel).scan(&panel).unwrap();
            largest(&scan.series[1], 600..608)
        };
        prop_assert!(largest(0.5 * factor) > largest(factor));
    }

    /// Names, and so the order of the series, change nothing.
    #[test]
    fn scores_do_not_depend_on_the_order_of_the_series(turn in 1_usize..4) {
        let panel = Shop::new(4, 30, outage).panel();
        let mut turned = Panel::new(panel.columns().clone());
        for (at, (_, frame)) in panel.iter().enumerate() {
            turned.insert(format!("brand_{:02}", (at + turn) % 4).as_str(), frame.clone()).unwrap();
        }
        let (one, two) = (fit(&panel).scan(&panel).unwrap(), fit(&turned).scan(&turned).unwrap());
        for at in 0..4 {
            let pairs = heights(&one, at).into_iter().zip(heights(&two, (at + turn) % 4)).enumerate();
            for (row, (a, b)) in pairs {
                // Sums are added up in another order.
                prop_assert!((a - b).abs() < 1e-3, "series {at}, row {row}: {a} and {b}");
            }
        }
    }

    /// The same effect on more counts is more evidence.
    #[test]
    fn more_counts_are_more_evidence(factor in 0.5..0.7_f64) {
        let panel = Shop::new(4, 40, move |_: usize, hour: usize| {
            if (600..606).contains(&hour) { [1.0, factor, 1.0, 1.0] } else { [1.0; 4] }
        }).panel();
        // Brand 3 has four times the visits of brand 0; alone, so that nothing is shared.
        let of = |name: &str| {
            let mut one = Panel::new(panel.columns().clone());
            one.insert(name, panel.get(name).unwrap().clone()).unwrap();
            let scan = fit(&one).scan(&one).unwrap();
            largest(&scan.series[0], 600..606)
        };
        prop_assert!(of("brand_03") > of("brand_00"));
    }

    /// Prices lie in their intervals, and the whole incident costs what its parts cost.
    #[test]
    fn prices_add_up(split in 1_usize..9) {
        let panel = Shop::new(3, 40, |brand: usize, hour: usize| {
            if brand == 1 && (700..710).contains(&hour) { [1.0, 1.0, 0.1, 1.0] } else { [1.0; 4] }
        }).panel();
        let scan = fit(&panel).scan(&panel).unwrap();
        let of = |first, last| scan.series[1].incident_between(first, last);
        let (all, one, two) = (of(700, 709), of(700, 700 + split - 1), of(700 + split, 709));
        prop_assert!((all.revenue_loss - one.revenue_loss - two.revenue_loss).abs() < 1e-6 * all.expected[3]);
        for incident in [all, one, two] {
            let (low, high) = incident.revenue_loss_interval;
            prop_assert!(low <= incident.revenue_loss && incident.revenue_loss <= high);
        }
    }
}

#[test]
fn models_of_short_histories_are_read_again() {
    for days in 16..22 {
        let panel = Shop::new(3, days, outage).panel();
        let mut short = Panel::new(panel.columns().clone());
        for (brand, (key, frame)) in panel.iter().enumerate() {
            let rows = if brand == 2 { 100 } else { frame.nrows() };
            short.insert(key.clone(), frame.view().rows(0..rows).to_frame()).unwrap();
        }
        let model = fit(&short);
        let json = serde_json::to_string(&model).unwrap();
        let again = serde_json::from_str::<crate::IncidentModel>(&json);
        assert!(again.as_ref().is_ok_and(|again| *again == model), "{days} days: {:?}", again.err());
    }
}
