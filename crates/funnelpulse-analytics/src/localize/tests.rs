use proptest::prelude::*;

use super::*;

fn localize(leaves: &Leaves) -> Vec<String> {
    let found = Localizer::new(LocalizeConfig::default()).unwrap().localize(leaves);
    found.causes.iter().map(|c| c.combination.to_string()).collect()
}

/// 5 x 6 leaves of 40 each, but where `observed` says otherwise.
fn grid(observed: impl Fn(usize, usize) -> Option<f64>) -> Leaves {
    let mut leaves = Leaves::new(["a", "b"]);
    for a in 0..5 {
        for b in 0..6 {
            let (name_a, name_b) = (a.to_string(), b.to_string());
            leaves.push(&[Some(&name_a), Some(&name_b)], observed(a, b).unwrap_or(40.0), 40.0).unwrap();
        }
    }
    leaves
}

#[test]
fn nothing_wrong_has_no_cause() {
    assert!(localize(&grid(|_, _| None)).is_empty());
    assert!(localize(&Leaves::new(["a"])).is_empty());
    assert!(localize(&Leaves::default()).is_empty());
    let found = Localizer::new(LocalizeConfig::default()).unwrap().localize(&grid(|_, _| None));
    assert_eq!((found.observed, found.expected, found.explained, found.explained_share()), (1200.0, 1200.0, 0.0, None));
}

#[test]
fn the_shortest_description_wins() {
    assert_eq!(localize(&grid(|a, _| (a == 2).then_some(0.0))), ["a = 2"]);
    assert_eq!(localize(&grid(|a, b| (a == 2 && b == 3).then_some(4000.0))), ["a = 2, b = 3"]);
    assert_eq!(localize(&grid(|_, _| Some(4.0))), ["everywhere"]);
    // All of one value but a leaf: the leaf is the exception.
    assert_eq!(localize(&grid(|a, b| (a == 2 && b != 3).then_some(0.0)))[0], "a = 2");
}

#[test]
fn several_causes_and_both_directions() {
    let found = grid(|a, b| match (a, b) {
        (1, _) => Some(2.0),
        (_, 4) => Some(500.0),
        _ => None,
    });
    let mut found = localize(&found);
    found.sort();
    assert_eq!(found, ["a = 1", "b = 4"]);
}

#[test]
fn attributes_with_one_value_are_not_named() {
    let mut leaves = Leaves::new(["site", "device"]);
    for device in ["x", "y", "z"] {
        let observed = if device == "y" { 0.0 } else { 100.0 };
        leaves.push(&[None, Some(device)], observed, 100.0).unwrap();
    }
    assert_eq!(localize(&leaves), ["device = y"]);
}

#[test]
fn nulls_duplicates_zeros_and_missing_numbers() {
    let mut leaves = Leaves::new(["a", "b"]);
    for b in ["0", "1", "2", "3"] {
        for _ in 0..2 {
            leaves.push(&[None, Some(b)], 0.0, 30.0).unwrap();
        }
        leaves.push(&[Some("x"), Some(b)], 60.0, 60.0).unwrap();
        leaves.push(&[Some("y"), Some(b)], 61.0, 60.0).unwrap();
        leaves.push(&[Some("empty"), Some(b)], 0.0, 0.0).unwrap();
    }
    leaves.push(&[Some("x"), Some("broken")], f64::NAN, 60.0).unwrap();
    leaves.push(&[Some("x"), Some("endless")], 1.0, f64::INFINITY).unwrap();
    leaves.push(&[Some("x"), Some("refund")], -5.0, 60.0).unwrap();
    let found = Localizer::new(LocalizeConfig::default()).unwrap().localize(&leaves);
    assert_eq!(found.skipped, 3);
    assert_eq!(found.causes.len(), 1);
    assert_eq!(found.causes[0].to_string(), "a = (none): 0 instead of 240");
    assert_eq!(found.causes[0].combination.pairs[0].1, None);
    let error = leaves.push(&[None], 1.0, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "leaf 23 has 1 attribute values (2 expected)");
}

#[test]
fn what_was_never_seen_is_a_cause() {
    let mut leaves = grid(|_, _| None);
    leaves.push(&[Some("bot"), Some("0")], 900.0, 0.0).unwrap();
    assert_eq!(localize(&leaves), ["a = bot"]);
}

#[test]
fn money_has_a_unit() {
    let mut leaves = Leaves::new(["a"]);
    for (i, observed) in [96.5, 104.25, 99.0, 101.5, 12.25, 98.0].into_iter().enumerate() {
        leaves.push(&[Some(&i.to_string())], observed, 100.0).unwrap();
    }
    let found = |unit| {
        let config = LocalizeConfig { unit, ..LocalizeConfig::default() };
        Localizer::new(config).unwrap().localize(&leaves).causes.len()
    };
    // One order of 100 that did not come is no incident; 88 of one each are.
    assert_eq!((found(Some(100.0)), found(Some(1.0))), (0, 1));
}

#[test]
fn history_without_a_past_is_harmless() {
    let mut history = History::additive(["a"]);
    history.push(5, &[Some("x")], 3.0, f64::NAN).unwrap();
    history.push(5, &[Some("x")], f64::NAN, 1.0).unwrap();
    assert_eq!(history.leaves_at(5).len(), 1);
    assert!(history.leaves_at(4).is_empty());
    assert!(history.push(5, &[], 3.0, 1.0).is_err());
    assert!(History::ratio(["a"]).leaves_at(0).is_empty());
}

#[test]
fn an_outage_is_a_leaf_without_a_row() {
    let mut history = History::additive(["a"]);
    for hour in 0..8 {
        for a in ["x", "y", "z"] {
            if hour != 7 || a != "y" {
                history.push(hour, &[Some(a)], 50.0, f64::NAN).unwrap();
            }
        }
    }
    assert_eq!(localize(&history.leaves_at(7)), ["a = y"]);
}

#[test]
fn settings_are_checked() {
    let bad = |change: fn(&mut LocalizeConfig)| {
        let mut config = LocalizeConfig::default();
        change(&mut config);
        Localizer::new(config).unwrap_err().to_string()
    };
    assert_eq!(bad(|c| c.dispersion = 0.0), "dispersion = 0 is out of range (above 0 to 100)");
    assert_eq!(bad(|c| c.unit = Some(-1.0)), "unit = -1 is out of range (above 0)");
    assert_eq!(bad(|c| c.max_attributes = 0), "max_attributes = 0 is out of range (1 to 16)");
    assert_eq!(bad(|c| c.max_causes = 0), "max_causes = 0 is out of range (1 to 100)");
    assert_eq!(bad(|c| c.min_evidence = f64::NAN), "min_evidence = NaN is out of range (0 or more)");
    assert_eq!(bad(|c| c.min_share = 2.0), "min_share = 2 is out of range (0 to 1)");
    assert!(serde_json::from_str::<LocalizeConfig>(r#"{"dispertion": 1}"#).is_err());
}

/// Every combination of every set of attributes, without pruning.
fn exhaustive(coded: &Coded, evidence: &Evidence) -> f64 {
    let width = coded.codes.len();
    let useful = coded.cardinality.iter().filter(|c| **c > 1).count();
    let mut most = f64::NEG_INFINITY;
    for set in 1u32..1 << width {
        let attributes: Vec<usize> = (0..width).filter(|a| set >> a & 1 == 1 && coded.cardinality[*a] > 1).collect();
        if attributes.is_empty() {
            continue;
        }
        let cost: f64 = attributes.iter().map(|a| ((useful * coded.cardinality[*a]) as f64).ln()).sum();
        let mut groups = std::collections::BTreeMap::<Vec<u32>, [f64; likelihood::FACTORS]>::new();
        for leaf in 0..coded.observed.len() {
            let place = attributes.iter().map(|a| coded.codes[*a][leaf]).collect();
            let sums = groups.entry(place).or_insert([0.0; likelihood::FACTORS]);
            sums.iter_mut().zip(evidence.leaf(leaf)).for_each(|(sum, value)| *sum += value);
        }
        most = groups.values().flatten().fold(most, |most, sum| most.max(sum - cost));
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pruning_loses_nothing(
        rows in prop::collection::vec((0..3u8, 0..4u8, 0..3u8, 0..40u8, 0..40u8), 1..60),
    ) {
        let mut leaves = Leaves::new(["a", "b", "c"]);
        for (a, b, c, observed, expected) in rows {
            let names = [a, b, c].map(|v| v.to_string());
            let place = [Some(names[0].as_str()), Some(names[1].as_str()), Some(names[2].as_str())];
            leaves.push(&place, f64::from(observed), f64::from(expected)).unwrap();
        }
        let coded = leaves.coded(None);
        let evidence = Evidence::new(&coded, 0.25);
        let best = search::best(&coded, &evidence, 3, 0.0).map_or(f64::NEG_INFINITY, |best| best.evidence);
        let all = exhaustive(&coded, &evidence);
        // Below zero nothing is looked for.
        prop_assert!(best == all || (best - all).abs() < 1e-9 || (best <= 0.0 && all <= 0.0), "{best} {all}");
    }

    #[test]
    fn any_numbers_and_any_order(
        rows in prop::collection::vec((0..4u8, 0..4u8, prop_oneof![Just(f64::NAN), Just(0.0), -9e9..9e200]), 0..40),
    ) {
        let mut leaves = Leaves::new(["a", "b"]);
        for (i, (a, b, value)) in rows.iter().enumerate() {
            let (a, b) = (a.to_string(), format!("{b}{i}"));
            leaves.push(&[Some(&a), Some(&b)], *value, 1e5).unwrap();
        }
        let found = Localizer::new(LocalizeConfig::default()).unwrap().localize(&leaves);
        prop_assert!(found.causes.iter().all(|c| c.evidence.is_finite() && c.factor > 0.0));
        let mut mirrored = Leaves::new(["a", "b"]);
        for (i, (a, b, value)) in rows.iter().enumerate().rev() {
            let (a, b) = (a.to_string(), format!("{b}{i}"));
            mirrored.push(&[Some(&a), Some(&b)], *value, 1e5).unwrap();
        }
        prop_assert_eq!(&found, &Localizer::new(LocalizeConfig::default()).unwrap().localize(&mirrored));
    }
}
