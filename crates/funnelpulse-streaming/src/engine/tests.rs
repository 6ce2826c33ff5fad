use funnelpulse_features::{FunnelBuilder, Gold};
use proptest::prelude::*;

use super::*;

const START: i64 = 1_569_888_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(START + seconds)
}

/// Time in seconds, type, brand and user of an event.
type Raw = (i64, &'static str, &'static str, u32);

fn with_event<T>(raw: &Raw, take: impl FnOnce(&Event<'_>) -> T) -> T {
    let user = raw.3.to_string();
    let event = Event {
        time: at(raw.0),
        event_type: raw.1,
        keys: &[Some(raw.2)],
        product: Some("p"),
        user: Some(&user),
        session: None,
        price: Some(f64::from(raw.3) / 997.0),
    };
    take(&event)
}

fn engine(config: EngineConfig) -> Engine {
    Engine::new(&EventSpec::default(), EngineConfig { jump_confirmations: 1, ..config }).unwrap()
}

fn batch(events: &[Raw]) -> Gold {
    let mut funnel = FunnelBuilder::new(&EventSpec::default(), 3600).unwrap();
    for raw in events {
        with_event(raw, |event| funnel.push(event));
    }
    funnel.finish().unwrap()
}

/// The rows of the batch as (window, series, values), in order.
fn rows_of(gold: &Gold) -> Vec<(Timestamp, String, Vec<f64>)> {
    let mut rows = Vec::new();
    for (key, frame) in &gold.panel {
        for (time, values) in frame.time().iter().zip(frame.values().rows()) {
            rows.push((*time, key.to_string(), values.to_vec()));
        }
    }
    rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    rows
}

fn flat(windows: &[ClosedWindow]) -> Vec<(Timestamp, String, Vec<f64>)> {
    let finals = windows.iter().filter(|w| w.kind == WindowKind::Final);
    finals.flat_map(|w| w.rows.iter().map(|r| (w.start, r.series.to_string(), r.values().to_vec()))).collect()
}

#[test]
fn a_slide_is_a_trailing_window() {
    use WindowKind::{Early, Final};
    let mut engine = engine(EngineConfig { slide_seconds: Some(300), ..EngineConfig::new(0) });
    let p = engine.assign("p", None);
    for raw in [(10, "view", "a", 1), (3_500, "view", "a", 2), (3_700, "view", "a", 3), (7_300, "view", "b", 4)] {
        with_event(&raw, |event| engine.push(p, event));
    }
    let closed = engine.drain();
    let seen: Vec<_> = closed
        .iter()
        .map(|w| ((w.end.as_micros() / Timestamp::SECOND - START) / 60, w.kind, w.rows[0].counts.views))
        .collect();
    // At minute 65 the trailing hour holds the events of seconds 3500 and 3700, no longer that of second 10.
    assert_eq!(seen, [(5, Early, 1), (60, Final, 2), (65, Early, 2), (120, Final, 1)]);
}

#[test]
fn idle_partitions_do_not_hold_windows_open() {
    let mut engine = engine(EngineConfig { idle_seconds: Some(30), ..EngineConfig::new(0) });
    let (p, _never) = (engine.assign("p", None), engine.assign("q", None));
    engine.tick(at(0));
    with_event(&(0, "view", "a", 1), |event| engine.push(p, event));
    with_event(&(3_600, "view", "a", 1), |event| engine.push(p, event));
    assert!(engine.drain().is_empty());
    for second in 1..30 {
        engine.tick(at(second));
        with_event(&(3_600 + second, "view", "a", 1), |event| engine.push(p, event));
    }
    assert!(engine.drain().is_empty());
    engine.tick(at(30));
    assert_eq!(engine.drain().len(), 1);
}

#[test]
fn windows_of_a_feed_that_stopped_close_by_the_wall_clock() {
    let mut engine = engine(EngineConfig { silent_seconds: Some(120), ..EngineConfig::new(60) });
    let p = engine.assign("p", None);
    engine.tick(at(0));
    with_event(&(3_000, "view", "a", 1), |event| engine.push(p, event));
    let mut closed_at = None;
    for second in 1..1_000 {
        engine.tick(at(second));
        if !engine.drain().is_empty() {
            closed_at = Some(second);
        }
    }
    assert_eq!(closed_at, Some(660), "600 seconds to the full hour, 60 of lateness");
    assert_eq!(engine.signals(), [Signal::FeedStopped(Some(at(3_000)))]);
    with_event(&(3_700, "view", "a", 1), |event| engine.push(p, event));
    assert_eq!(engine.signals(), [Signal::FeedResumed]);
    assert_eq!(with_event(&(3_500, "view", "a", 9), |event| engine.push(p, event)), Fate::Late);
}

#[test]
fn strays_are_rejected() {
    let mut engine = engine(EngineConfig::new(0));
    let p = engine.assign("p", None);
    engine.tick(at(0));
    with_event(&(0, "view", "a", 1), |event| engine.push(p, event));
    let year_1970 = with_event(&(-START, "view", "a", 1), |event| engine.push(p, event));
    assert_eq!(year_1970, Fate::Rejected(Refusal::TooOld));
    let future = with_event(&(1 << 40, "view", "a", 1), |event| engine.push(p, event));
    assert_eq!(future, Fate::Rejected(Refusal::AheadOfClock));
    assert!(engine.drain().is_empty() && engine.account().balances());
}

#[test]
fn limits_hold() {
    let config = EngineConfig { max_series: 2, max_events_per_series: 3, max_remembered: 5, ..EngineConfig::new(0) };
    let mut engine = engine(EngineConfig { max_open: 1, ..config });
    let p = engine.assign("p", None);
    let mut push = |raw: Raw| with_event(&raw, |event| engine.push(p, event));
    assert_eq!(push((0, "view", "a", 1)), Fate::Counted);
    assert_eq!(push((0, "view", "b", 2)), Fate::Counted);
    assert_eq!(push((0, "view", "c", 3)), Fate::Rejected(Refusal::TooManySeries));
    assert_eq!(push((1, "view", "a", 1)), Fate::Counted);
    assert_eq!(push((2, "view", "a", 1)), Fate::Counted);
    assert_eq!(push((3, "view", "a", 1)), Fate::Rejected(Refusal::TooManyEvents));
    assert_eq!(push((3, "view", "b", 1)), Fate::Counted, "what was rejected is not a repeat's original");
    assert_eq!(push((4, "view", "b", 1)), Fate::Rejected(Refusal::TooManyRemembered));
    assert_eq!(push((3, "view", "b", 1)), Fate::Duplicate);
    assert_eq!(push((3_600, "view", "b", 1)), Fate::Rejected(Refusal::TooManyOpen));
    assert!(engine.account().balances());
}

#[test]
fn a_series_that_stays_away_expires_and_comes_back() {
    let mut engine = engine(EngineConfig { expire_windows: Some(2), ..EngineConfig::new(0) });
    let p = engine.assign("p", None);
    for hour in 0..8 {
        with_event(&(hour * 3_600, "view", "a", 1), |event| engine.push(p, event));
        if hour == 0 || hour == 6 {
            with_event(&(hour * 3_600, "view", "b", 2), |event| engine.push(p, event));
        }
    }
    engine.flush();
    let rows: Vec<_> = engine.drain().iter().map(|w| w.rows.len()).collect();
    assert_eq!(rows, [2, 2, 2, 1, 1, 1, 2, 2]);
}

#[test]
fn bad_settings_are_refused() {
    let refused = |config: EngineConfig| Engine::new(&EventSpec::default(), config).unwrap_err().to_string();
    let good = EngineConfig::new(0);
    let text = refused(EngineConfig { window_seconds: 0, ..good.clone() });
    assert_eq!(text, "window_seconds = 0 is not allowed: 1 to 31622400");
    let text = refused(EngineConfig { slide_seconds: Some(7), ..good.clone() });
    assert_eq!(text, "slide_seconds = 7 is not allowed: a divisor of the length of a window, 3600 seconds");
    assert!(refused(EngineConfig { jump_confirmations: 0, ..good }).starts_with("jump_confirmations = 0"));
    assert!(serde_json::from_str::<EngineConfig>("{}").unwrap_err().to_string().contains("lateness_seconds"));
}

fn raw_events() -> impl Strategy<Value = Vec<Raw>> {
    let types = prop::sample::select(vec!["view", "cart", "purchase", "other", " "]);
    let brands = prop::sample::select(vec!["a", "b", " C "]);
    prop::collection::vec((0i64..40_000, types, brands, 0u32..50), 1..200)
}

proptest! {
    /// In order of time or within the lateness: the final windows are the batch's rows, whatever the split over
    /// partitions, and with a save and restore after every few events.
    #[test]
    fn windows_are_the_rows_of_the_batch(mut events in raw_events(), parts in 1usize..4, slide in any::<bool>()) {
        let slide_seconds = slide.then_some(300);
        events.sort_by_key(|raw| raw.0 / 600);
        let config = EngineConfig { slide_seconds, ..EngineConfig::new(600) };
        let mut live = engine(config.clone());
        let places: Vec<_> = (0..parts).map(|p| live.assign(&p.to_string(), None)).collect();
        let mut closed = Vec::new();
        for (i, raw) in events.iter().enumerate() {
            with_event(raw, |event| live.push(places[raw.3 as usize % parts], event));
            prop_assert!(live.account().balances());
            if i % 7 == 0 {
                closed.append(&mut live.drain());
                let state = live.state();
                let mut other = engine(config.clone());
                other.restore(state.clone()).unwrap();
                prop_assert_eq!(&other.state(), &state);
                live = other;
            }
        }
        live.flush();
        closed.append(&mut live.drain());
        prop_assert_eq!(live.account().late, 0);
        let gold = batch(&events);
        prop_assert_eq!(flat(&closed), rows_of(&gold));
        prop_assert_eq!(live.account().duplicate, gold.report.duplicates);
        prop_assert!(closed.windows(2).all(|w| w[0].end <= w[1].end));
    }

    /// Whatever comes in whatever order, every record is accounted for.
    #[test]
    fn every_record_is_accounted_for(events in raw_events(), lateness in 0u64..4_000, cap in 1usize..4) {
        let mut engine = engine(EngineConfig { max_series: cap, max_open: 3, ..EngineConfig::new(lateness) });
        let p = engine.assign("p", None);
        let (mut fates, mut total) = (Account::default(), 0);
        for raw in &events {
            fates.record(with_event(raw, |event| engine.push(p, event)));
            total += engine.drain().iter().flat_map(|w| &w.rows).map(events_of).sum::<u64>();
        }
        engine.flush();
        total += engine.drain().iter().flat_map(|w| &w.rows).map(events_of).sum::<u64>();
        let account = engine.account();
        prop_assert!(account.balances() && account.read == events.len() as u64);
        prop_assert_eq!(account.counted, total, "what was counted came out");
        prop_assert_eq!((fates.counted, fates.late), (account.counted, account.late));
    }

    /// The windows of several instances add up to those of one.
    #[test]
    fn instances_add_up(mut events in raw_events(), parts in 2usize..4) {
        events.sort_by_key(|raw| raw.0);
        let mut whole = engine(EngineConfig::new(0));
        let places: Vec<_> = (0..parts).map(|p| whole.assign(&p.to_string(), None)).collect();
        for (part, place) in places.iter().enumerate() {
            let mut one = engine(EngineConfig::new(0));
            let p = one.assign("p", None);
            let mine = |raw: &&Raw| raw.3 as usize % parts == part;
            events.iter().filter(mine).for_each(|raw| { with_event(raw, |event| one.push(p, event)); });
            one.flush();
            one.drain().iter().for_each(|window| {
                assert_eq!(whole.absorb(*place, window, true).unwrap(), Fate::Counted);
            });
        }
        whole.flush();
        prop_assert_eq!(flat(&whole.drain()), rows_of(&batch(&events)));
    }
}

fn events_of(row: &WindowRow) -> u64 {
    row.counts.views + row.counts.carts + row.counts.purchases
}
