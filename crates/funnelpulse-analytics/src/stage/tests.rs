use proptest::prelude::*;

use super::*;

const BOTH: [Attribution; 2] = [Attribution::Lmdi, Attribution::Shapley];

fn funnel(observed: [f64; 4], expected: [f64; 4]) -> Decomposition {
    let totals = |[views, carts, purchases, revenue]: [f64; 4]| FunnelTotals { views, carts, purchases, revenue };
    let [lmdi, shapley] = BOTH.map(|a| decompose_funnel(totals(observed), totals(expected), a).unwrap());
    let name = |d: &Decomposition| d.broken_stage().map(|s| s.name.clone());
    assert_eq!(name(&lmdi), name(&shapley));
    lmdi
}

fn broken(observed: [f64; 4], expected: [f64; 4]) -> Option<String> {
    funnel(observed, expected).broken_stage().map(|s| s.name.to_string())
}

const NORMAL: [f64; 4] = [1000.0, 200.0, 50.0, 500.0];

#[test]
fn names_the_stage_of_each_incident() {
    let is = |observed, name: &str| assert_eq!(broken(observed, NORMAL).as_deref(), Some(name));
    is([300.0, 60.0, 15.0, 150.0], "views");
    is([1000.0, 20.0, 5.0, 50.0], "cart_rate");
    is([1000.0, 200.0, 0.0, 0.0], "purchase_rate");
    is([1000.0, 200.0, 52.0, 52.0], "order_value");
    is([1000.0, 0.0, 0.0, 0.0], "cart_rate");
    is([0.0, 0.0, 0.0, 0.0], "views");
    // Robots: many views, nothing else.
    is([9000.0, 200.0, 50.0, 500.0], "views");
    assert_eq!(broken(NORMAL, NORMAL), None);
    // A night hour: three purchases instead of four are chance.
    assert_eq!(broken([80.0, 16.0, 3.0, 30.0], [80.0, 16.0, 4.0, 40.0]), None);
}

#[test]
fn missing_and_contradicting_levels_are_joined() {
    let found = funnel([0.0, 200.0, 50.0, 500.0], NORMAL);
    assert_eq!(found.missing, ["views".into()]);
    assert_eq!(&*found.stages[0].name, "views x cart_rate");
    assert_eq!(found.broken_stage(), None);
    let found = funnel([1000.0, f64::NAN, 10.0, 100.0], NORMAL);
    assert_eq!(&*found.broken_stage().unwrap().name, "cart_rate x purchase_rate");
    let totals = FunnelTotals { views: 1.0, carts: 1.0, purchases: 1.0, revenue: f64::NAN };
    let error = decompose_funnel(totals, totals, Attribution::Lmdi).unwrap_err();
    assert_eq!(error.to_string(), "revenue = NaN can't be decomposed (finite and 0 or more)");
}

#[test]
fn from_nothing_and_to_nothing() {
    let nothing = [0.0; 4];
    assert_eq!(funnel(nothing, nothing).broken_stage(), None);
    let grown = funnel(NORMAL, nothing);
    assert_eq!((grown.change(), grown.stages[0].contribution), (500.0, 500.0));
    assert_eq!(&*grown.broken_stage().unwrap().name, "views");
    let links = [Link::new("a", 0.0, 2.0), Link::new("b", 0.0, 3.0), Link::new("c", 9.0, 1.0)];
    for attribution in BOTH {
        let parts = decompose(&links, attribution).unwrap();
        assert!((parts.stages.iter().map(|s| s.contribution).sum::<f64>() + 6.0).abs() < 1e-12);
    }
    assert_eq!(decompose(&links, Attribution::Lmdi).unwrap().stages[1].contribution, -3.0);
}

#[test]
fn refuses_what_has_no_answer() {
    assert_eq!(decompose(&[], Attribution::Lmdi).unwrap_err(), StageError::Length { found: 0 });
    assert!(decompose_levels(&[], Attribution::Lmdi).is_err());
    let error = decompose(&[Link::new("rate", -1.0, 1.0)], Attribution::Shapley).unwrap_err();
    assert_eq!(error.to_string(), "rate = -1 can't be decomposed (finite and 0 or more)");
    let huge = [Link::new("a", 1e300, 1.0), Link::new("b", 1e300, 1.0)];
    assert!(decompose(&huge, Attribution::Lmdi).is_err());
}

fn factor() -> impl Strategy<Value = f64> {
    prop_oneof![1 => Just(0.0), 6 => (-9.0..9.0f64).prop_map(f64::exp)]
}

proptest! {
    #[test]
    fn sums_exactly_and_knows_no_order(pairs in prop::collection::vec((factor(), factor()), 1..6)) {
        let links: Vec<Link> =
            pairs.iter().enumerate().map(|(i, (o, e))| Link::new(i.to_string(), *o, *e)).collect();
        let backwards: Vec<Link> = links.iter().rev().cloned().collect();
        for attribution in BOTH {
            let parts = decompose(&links, attribution).unwrap();
            let scale = parts.observed.max(parts.expected)
                + parts.stages.iter().map(|s| s.contribution.abs()).fold(0.0, f64::max);
            let sum: f64 = parts.stages.iter().map(|s| s.contribution).sum();
            prop_assert!((sum - parts.change()).abs() <= 1e-9 * scale, "{attribution:?}: {sum} {}", parts.change());
            let mirrored = decompose(&backwards, attribution).unwrap();
            for (a, b) in parts.stages.iter().zip(mirrored.stages.iter().rev()) {
                prop_assert!((a.contribution - b.contribution).abs() <= 1e-9 * scale);
            }
            // A factor that did not change has no part, and the way back is the way there.
            for stage in parts.stages.iter().filter(|s| s.observed == s.expected && s.observed > 0.0) {
                prop_assert!(stage.contribution.abs() <= 1e-12 * scale);
            }
            let swapped: Vec<Link> = pairs.iter().map(|(o, e)| Link::new("", *e, *o)).collect();
            for (a, b) in parts.stages.iter().zip(decompose(&swapped, attribution).unwrap().stages) {
                prop_assert!((a.contribution + b.contribution).abs() <= 1e-9 * scale);
            }
        }
    }

    #[test]
    fn any_funnel_is_decomposed(
        observed in prop::array::uniform4(prop_oneof![Just(0.0), Just(f64::NAN), 0.0..1e6f64]),
        expected in prop::array::uniform4(prop_oneof![Just(0.0), Just(f64::NAN), 0.0..1e6f64]),
    ) {
        let totals = |[views, carts, purchases, revenue]: [f64; 4]| FunnelTotals { views, carts, purchases, revenue };
        let result = decompose_funnel(totals(observed), totals(expected), Attribution::Lmdi);
        prop_assert_eq!(result.is_err(), observed[3].is_nan() || expected[3].is_nan());
        if let Ok(parts) = result {
            let change = observed[3] - expected[3];
            let sum: f64 = parts.stages.iter().map(|s| s.contribution).sum();
            let scale = parts.stages.iter().map(|s| s.contribution.abs()).fold(observed[3].max(expected[3]), f64::max);
            prop_assert!((sum - change).abs() <= 1e-9 * scale, "{sum} {change}");
        }
    }
}
