use funnelpulse_core::{Panel, SeriesKey, Timestamp};
use ndarray::array;
use proptest::prelude::*;

use super::*;

fn event<'a>(minute: i64, event_type: &'a str, keys: &'a [Option<&'a str>], user: &'a str) -> Event<'a> {
    Event {
        time: Timestamp::from_seconds(minute * 60),
        event_type,
        keys,
        product: Some("p"),
        user: Some(user),
        session: Some("s"),
        price: Some(0.1),
    }
}

fn build(events: &[Event<'_>]) -> Gold {
    let mut funnel = FunnelBuilder::new(&EventSpec::default(), 3600).unwrap();
    for event in events {
        funnel.push(event);
    }
    funnel.finish().unwrap()
}

fn hours(panel: &Panel, key: &str) -> Vec<i64> {
    panel.get(key).unwrap().time().iter().map(|t| t.as_micros() / Timestamp::HOUR).collect()
}

#[test]
fn empty_and_unknown_hours_differ() {
    let (a, b) = ([Some("a")], [Some("b")]);
    let gold = build(&[
        event(0, "view", &a, "1"),
        event(61, "view", &b, "1"),
        // Hour 2 is silent, in hour 3 something of no interest happened.
        event(181, "remove_from_cart", &a, "1"),
        event(241, "purchase", &a, "2"),
    ]);
    assert_eq!(hours(&gold.panel, "a"), [0, 1, 3, 4]);
    assert_eq!(hours(&gold.panel, "b"), [1, 3, 4], "no zeros before the first event of a series");
    let zero = [0.0; 4];
    assert_eq!(gold.panel.get("a").unwrap().values(), array![[1.0, 0.0, 0.0, 0.0], zero, zero, [0.0, 0.0, 1.0, 0.1]]);
    assert_eq!((gold.report.series, gold.report.rows), (2, 7));
}

#[test]
fn every_event_is_accounted_for() {
    let brand = [Some("Brand")];
    let good = event(5, "view", &brand, "1");
    let mut funnel = FunnelBuilder::new(&EventSpec::default(), 3600).unwrap();
    funnel.push(&good);
    funnel.push(&Event { keys: &[Some(" bRAND ")], event_type: "VIEW", ..good });
    funnel.push(&Event { event_type: "  ", ..good });
    funnel.push(&Event { price: Some(-1.0), ..good });
    funnel.push(&Event { price: Some(f64::NAN), ..good });
    funnel.push(&Event { event_type: "wishlist", ..good });
    funnel.push(&Event { event_type: "purchase", price: None, keys: &[], ..good });
    funnel.push(&Event { user: None, session: None, ..good });
    funnel.push(&Event { user: None, session: None, ..good });
    funnel.reject(Rejection::Time, "yesterday");
    let Gold { panel, report } = funnel.finish().unwrap();
    assert!(report.balances());
    assert_eq!((report.read, report.counted(), report.duplicates), (10, 4, 1));
    assert_eq!((report.ignored_total(), report.rejected_total()), (1, 4));
    assert_eq!(report.purchases_without_price, 1);
    assert_eq!(panel.keys().map(SeriesKey::as_str).collect::<Vec<_>>(), ["(none)", "brand"]);
    assert_eq!(panel.get("brand").unwrap().values(), array![[3.0, 0.0, 0.0, 0.0]]);
    let text = report.to_string();
    assert!(text.contains("rejected: 1 with no readable time, first row 10 (`yesterday`)"), "{text}");
    assert!(text.contains("rejected: 2 with price is negative"), "{text}");
    assert!(text.contains("first row 4 (`-1`), row 5 (`NaN`)"), "{text}");
    assert!(text.contains("ignored: 1 of type `wishlist`"), "{text}");
}

#[test]
fn hostile_types_do_not_grow_the_report() {
    let names: Vec<String> = (0..1000).map(|i| format!("{i}{}", "x".repeat(1000))).collect();
    let gold = build(&names.iter().map(|n| event(0, n, &[], "1")).collect::<Vec<_>>());
    assert!(gold.report.ignored.len() <= 65 && gold.report.ignored_total() == 1000);
    assert!(gold.report.ignored.keys().all(|name| name.len() < 100));
}

#[test]
fn several_keys_name_a_series() {
    let spec = EventSpec { keys: vec!["shop".into(), "brand".into()], ..EventSpec::default() };
    let mut funnel = FunnelBuilder::new(&spec, 60).unwrap();
    funnel.push(&event(0, "view", &[Some("Berlin"), None], "1"));
    funnel.push(&event(0, "view", &[Some("Berlin"), Some("a/b")], "1"));
    let panel = funnel.finish().unwrap().panel;
    // The second is the same event under another key: time, user, session, product and type decide.
    assert_eq!(panel.keys().map(SeriesKey::as_str).collect::<Vec<_>>(), ["berlin/(none)"]);
    assert!(FunnelBuilder::new(&spec, 0).is_err());
}

proptest! {
    #[test]
    fn the_order_of_events_changes_nothing(
        mut parts in prop::collection::vec((0i64..600, 0usize..4, 0usize..3, 0u32..1_000_000), 1..60),
        turn in 0usize..60,
    ) {
        let keys = [[Some("a")], [Some("b")], [None]];
        let make = |parts: &[(i64, usize, usize, u32)]| {
            let users: Vec<String> = parts.iter().map(|p| p.3.to_string()).collect();
            let events: Vec<_> = parts.iter().zip(&users).map(|(p, user)| Event {
                price: Some(f64::from(p.3) / 997.0),
                ..event(p.0, ["view", "cart", "purchase", "other"][p.1], &keys[p.2], user)
            }).collect();
            build(&events)
        };
        let gold = make(&parts);
        let turn = turn % parts.len();
        parts.rotate_left(turn);
        let again = make(&parts);
        prop_assert_eq!(gold.panel, again.panel);
        prop_assert_eq!(gold.report, again.report);
    }
}

/// The counts of a series in a window, over all leaves.
fn sum(cube: &Cube, series: &str, window: Timestamp) -> [f64; 4] {
    let mut total = Counts::default();
    for (leaf, counts) in cube.window(window) {
        if cube.leaves()[*leaf as usize].series.as_str() == series {
            total.views += counts.views;
            total.carts += counts.carts;
            total.purchases += counts.purchases;
            total.micro_revenue += counts.micro_revenue;
        }
    }
    [total.views as f64, total.carts as f64, total.purchases as f64, total.revenue()]
}

#[test]
fn a_cube_adds_up_to_the_table() {
    let spec = EventSpec { dimensions: vec!["brand".into(), "device".into()], ..EventSpec::default() };
    let keys = [[Some(" A ")], [Some("b")], [None]];
    let devices = [Some("Mobile"), Some("mobile "), Some(""), None, Some("desktop")];
    let types = ["view", "cart", "purchase", "wish", ""];
    let (mut cube, mut part) = (CubeBuilder::new(&spec, 3600).unwrap(), CubeBuilder::new(&spec, 3600).unwrap());
    let asked = Timestamp::from_seconds(7200);
    part = part.only([asked].into());
    let mut funnel = FunnelBuilder::new(&spec, 3600).unwrap();
    for i in 0..600i64 {
        let user = (i % 40).to_string();
        let price = [Some(0.1), None, Some(-1.0), Some(3.0)][(i % 4) as usize];
        let event = Event { price, ..event(i * 7 % 300, types[(i % 5) as usize], &keys[(i % 3) as usize], &user) };
        funnel.push(&event);
        let device = [devices[(i % 7 % 5) as usize]];
        cube.push(&event, &device);
        part.push(&event, &device);
    }
    let (panel, cube, part) = (funnel.finish().unwrap().panel, cube.finish(), part.finish());
    assert_eq!(cube.dimensions(), ["brand".into(), "device".into()], "a key is named once");
    assert_eq!((cube.keys(), cube.step()), (1, Timestamp::HOUR));
    let keyless = CubeBuilder::new(&EventSpec { keys: vec![], ..spec.clone() }, 60).unwrap().finish();
    assert_eq!((keyless.keys(), keyless.step()), (0, 60 * Timestamp::SECOND));
    for (key, frame) in &panel {
        for (time, row) in frame.time().iter().zip(frame.values().rows()) {
            assert_eq!(sum(&cube, key.as_str(), *time), row.to_vec()[..], "{key} {time}");
        }
    }
    let values: Vec<_> = cube.leaves().iter().filter_map(|l| l.values[1].as_deref()).collect();
    assert!(values.iter().all(|v| ["mobile", "desktop"].contains(v)), "{values:?}");
    assert!(cube.leaves().windows(2).all(|w| w[0].values < w[1].values));
    // A part of it is the same, and knows that the feed was alive before and after.
    assert_eq!(sum(&part, "a", asked), sum(&cube, "a", asked));
    assert!(part.window(Timestamp::from_seconds(0)).is_empty());
    assert_eq!(part.range(), cube.range());
    let alive: Vec<_> = part.alive(asked, Timestamp::from_seconds(14_400)).collect();
    assert_eq!(alive, [asked, Timestamp::from_seconds(10_800)]);
    assert_eq!(part.alive(asked, Timestamp::from_seconds(0)).count(), 0);
}

#[test]
fn dimensions_are_checked() {
    let refused = |dimensions: &[&str]| {
        let spec = EventSpec { dimensions: dimensions.iter().map(|d| (*d).to_owned()).collect(), ..Default::default() };
        CubeBuilder::new(&spec, 3600).unwrap_err().to_string()
    };
    assert!(refused(&["device", "device"]).starts_with("dimensions = `device` is not allowed"));
    assert!(refused(&["event_time"]).contains("neither time nor type"));
    assert!(refused(&[""]).contains("dimensions = ``"));
}

#[test]
fn every_price_has_a_band() {
    for (price, band) in
        [(0.01, "0.01-0.02"), (0.05, "0.05-0.1"), (19.99, "10-20"), (20.0, "20-50"), (99.999, "50-100")]
    {
        assert_eq!(price_band(price).as_deref(), Some(band));
    }
    assert!(price_band(1e12).is_some());
    assert_eq!((price_band(-1.0), price_band(f64::INFINITY)), (None, None));
}

#[test]
fn events_without_key_columns_are_one_series() {
    let mut funnel = FunnelBuilder::new(&EventSpec { keys: vec![], ..EventSpec::default() }, 3600).unwrap();
    funnel.push(&event(0, "view", &[], "1"));
    funnel.push(&event(1, "view", &[], "2"));
    let gold = funnel.finish().unwrap();
    let (_, frame) = gold.panel.iter().next().unwrap();
    assert_eq!((gold.panel.len(), frame.values().row(0).to_vec()), (1, vec![2.0, 0.0, 0.0, 0.0]));
}

#[test]
fn identities_differ_where_events_do() {
    let long = "u".repeat(500);
    let (ends_in_a, ends_in_b) = (format!("{long}a"), format!("{long}b"));
    let of = |user, session, product| Event { product, user, session, ..event(0, "view", &[], "") }.identity();
    // Texts of every length: short ones, the 256 bytes that take one piece, and longer.
    let edge = "e".repeat(256 - 8 - 3 * 8);
    let one_more = format!("{edge}e");
    let ids = [
        of(Some("ann"), Some("s"), Some("p")),
        of(Some("an"), Some("ns"), Some("p")),
        of(Some("ann"), Some("s"), None),
        of(Some("ann"), None, Some("s")),
        of(Some("ann"), Some(""), Some("s")),
        of(Some(&edge), None, None),
        of(Some(&one_more), None, None),
        of(Some(&ends_in_a), None, None),
        of(Some(&ends_in_b), None, None),
        Event { time: Timestamp::from_seconds(1), ..event(0, "view", &[], "ann") }.identity(),
    ];
    let distinct: std::collections::BTreeSet<u128> = ids.iter().map(|id| id.unwrap()).collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(of(Some(&ends_in_a), None, None), ids[7]);
    assert_eq!(of(None, None, Some("p")), None);
}
