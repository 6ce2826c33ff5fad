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
