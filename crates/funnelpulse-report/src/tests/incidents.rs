//! Cards of made-up incidents: their order and their pictures.

use funnelpulse_analytics::{AlertConfig, Findings, Incident, Layout, Priority, RowClock, SeriesFindings};
use funnelpulse_core::{Columns, Episode, Funnel, IncidentKind, SeriesKey, Severity, Timestamp, Verdict};
use ndarray::Array2;

use super::{Report, own_text};

const HOURS: usize = 48;
const STEPS: [&str; 4] = ["views", "carts", "purchases", "revenue"];

/// A series with an incident of six hours that changed its revenue by so much.
fn series(name: &str, first: usize, kind: IncidentKind, revenue: f64) -> SeriesFindings {
    let time: Vec<Timestamp> = (0..HOURS).map(|hour| Timestamp::from_seconds(3600 * hour as i64)).collect();
    let last = first + 5;
    let episode = Episode {
        series: SeriesKey::new(name),
        kind,
        kind_probability: 0.9,
        start: time[first],
        last: time[last],
        end: time[last + 1],
        rows: (first, last),
        log_odds: 4.0,
        probability: 0.98,
        observed: [200.0, 40.0, 2.0, 1_000.0 + revenue],
        expected: [200.0, 40.0, 10.0, 1_000.0],
        purchase_factor: 0.2,
        revenue_loss: -revenue,
        revenue_loss_interval: (-revenue - 30.0, -revenue + 30.0),
    };
    let verdict = Verdict {
        score: 0.9,
        confidence: 1.0,
        n_models_flagged: 1,
        n_models: 1,
        threshold: 0.5,
        is_anomaly: true,
        severity: Some(Severity::High),
    };
    let verdicts = vec![verdict; HOURS];
    let incidents = Incident::explain((&AlertConfig::default(), &RowClock::default()), None, &verdicts, &[episode]);
    let values = || Array2::from_elem((HOURS, STEPS.len()), 10.0);
    SeriesFindings {
        series: SeriesKey::new(name),
        observed: values(),
        expected: values(),
        lower: values(),
        upper: values(),
        z: values(),
        models: Vec::new(),
        verdicts,
        anomalies: Vec::new(),
        incidents,
        time,
    }
}

/// Four brands that can't sell in the same hours, a small broken stage, a large loss that can wait, and a gain.
fn findings() -> Findings {
    let outage = IncidentKind::CheckoutOutage;
    let [traffic, carts, purchases, revenue] = STEPS.map(|step| Some(step.to_owned()));
    let layout = Layout {
        metrics: Columns::new(STEPS).unwrap(),
        stored: STEPS.len(),
        keys: vec!["brand".to_owned()],
        primary: 0,
        funnel: Some(Funnel { traffic, carts, purchases, revenue }),
        detectors: Vec::new(),
        threshold: 0.5,
        alerts: AlertConfig::default(),
        clock: RowClock::default(),
    };
    let [mut small, mut large, mut gain] = [
        series("small", 20, outage, -10.0),
        series("large", 30, IncidentKind::Dip, -800.0),
        series("gain", 38, IncidentKind::Spike, 900.0),
    ];
    small.incidents[0].priority = Priority::P1;
    large.incidents[0].priority = Priority::P3;
    gain.incidents[0].priority = Priority::P2;
    let members = [("a", -100.0), ("b", -150.0), ("c", -400.0), ("d", -300.0)];
    let members = members.map(|(name, revenue)| series(name, 3, outage, revenue));
    Findings::new(layout, members.into_iter().chain([small, large, gain]).collect(), &[], Vec::new())
}

#[test]
fn the_most_urgent_comes_first_and_gains_come_last() {
    let findings = findings();
    let page = own_text(&Report::new(&findings));
    let place = |card: &str| page.find(&format!("data-series=\"{card}\"")).unwrap();
    assert!(place("small") < place("large"), "a broken stage of P1 before a larger loss of P3");
    assert!(place("large") < place("gain"), "losses before gains, whatever their priority");
    let group = findings.group_incidents()[0].priority;
    assert_eq!(place("a b c d") < place("small"), group == Priority::P1, "of one priority the largest loss first");
    let first = page.find("<option").unwrap();
    assert!(page[first..].starts_with("<option value=\"urgency\">most urgent first"));
}

#[test]
fn a_group_has_the_picture_of_the_series_that_changed_most() {
    let page = own_text(&Report::new(&findings()));
    assert_eq!(page.matches("<polyline class=\"observed\"").count(), 4, "each card has a picture");
    assert!(page.contains("purchases of c, which changed most: observed, and expected (dotted)"));
    assert!(page.contains("1 of them in several series at once"));
}
