//! Groups of made-up incidents.

use funnelpulse_core::{Columns, Timestamp, Verdict};
use ndarray::Array2;

use super::*;
use crate::{AlertConfig, Findings, RowClock};

const HOURS: i64 = 48;

/// A series with an incident from one hour to another that cost so much.
fn series(name: &str, hours: (i64, i64), kind: IncidentKind, loss: f64) -> SeriesFindings {
    let time: Vec<Timestamp> = (0..HOURS).map(|hour| Timestamp::from_seconds(3600 * hour)).collect();
    let verdict = Verdict {
        score: 0.9,
        confidence: 1.0,
        n_models_flagged: 1,
        n_models: 1,
        threshold: 0.5,
        is_anomaly: true,
        severity: Some(Severity::High),
    };
    let (first, last) = (hours.0 as usize, hours.1 as usize - 1);
    let episode = Episode {
        series: SeriesKey::new(name),
        kind,
        kind_probability: 0.9,
        start: time[first],
        last: time[last],
        end: time[last].offset(Timestamp::HOUR),
        rows: (first, last),
        log_odds: 4.0,
        probability: 0.98,
        observed: [200.0, 40.0, 2.0, 500.0 - loss],
        expected: [200.0, 40.0, 10.0, 500.0],
        purchase_factor: 0.2,
        revenue_loss: loss,
        revenue_loss_interval: (loss - 30.0, loss + 30.0),
    };
    let verdicts = vec![verdict; time.len()];
    let incidents = Incident::explain((&AlertConfig::default(), &RowClock::default()), None, &verdicts, &[episode]);
    let empty = || Array2::zeros((time.len(), 0));
    SeriesFindings {
        series: SeriesKey::new(name),
        observed: empty(),
        expected: empty(),
        lower: empty(),
        upper: empty(),
        z: empty(),
        models: Vec::new(),
        verdicts,
        anomalies: Vec::new(),
        incidents,
        time,
    }
}

fn findings(series: Vec<SeriesFindings>) -> Findings {
    let layout = Layout {
        metrics: Columns::new(Vec::<&str>::new()).unwrap(),
        stored: 0,
        keys: vec!["brand".to_owned()],
        primary: 0,
        funnel: None,
        detectors: Vec::new(),
        threshold: 0.5,
        alerts: AlertConfig::default(),
        clock: RowClock::default(),
    };
    Findings::new(layout, series, &[], Vec::new())
}

/// Four series cannot sell in the same hours, one of them without a name for it; two others have incidents of their own.
fn shop() -> Vec<SeriesFindings> {
    let outage = IncidentKind::CheckoutOutage;
    vec![
        series("a", (10, 16), outage, 100.0),
        series("b", (11, 16), IncidentKind::Unexplained, 200.0),
        series("c", (10, 17), outage, 300.0),
        series("d", (10, 16), outage, 400.0),
        series("e", (10, 16), IncidentKind::PriceError, 50.0),
        series("f", (30, 36), outage, 60.0),
    ]
}

#[test]
fn the_same_hours_in_four_series_are_one_incident() {
    let findings = findings(shop());
    let [group] = findings.group_incidents() else { panic!("{:?}", findings.group_incidents()) };
    let names: Vec<&str> = group.members.iter().map(SeriesKey::as_str).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!((group.kind, group.kind_probability), (IncidentKind::CheckoutOutage, 0.75));
    assert_eq!((group.start, group.end), (Timestamp::from_seconds(36_000), Timestamp::from_seconds(61_200)));
    // Sums, and the interval of independent errors: twice that of one.
    assert_eq!((group.impact.revenue, group.revenue_interval), (Some(-1000.0), Some((-1060.0, -940.0))));
    assert_eq!((group.observed[3], group.expected[3]), (1000.0, 2000.0));
    assert!(group.summary.contains("4 series (a, b, c, d)"), "{}", group.summary);
    // Listed once: the group, and the two that are not of it.
    let listed: Vec<&str> = findings.incidents().iter().map(|i| i.series.as_str()).collect();
    assert_eq!(listed.len(), 3);
    assert!(listed.contains(&GROUP) && listed.contains(&"e") && listed.contains(&"f"));
    assert_eq!(findings.series()[1].incidents[0].group.as_ref(), Some(&group.id));
    let line = serde_json::to_string(group).unwrap();
    assert!(line.contains(r#""members":["a","b","c","d"]"#), "{line}");
}

#[test]
fn up_to_five_series_and_pairs_stay_as_they_are() {
    let five: Vec<SeriesFindings> = shop().into_iter().take(5).collect();
    let single = |findings: &Findings| findings.incidents().iter().all(|i| i.group.is_none() && i.members.is_empty());
    let few = findings(five);
    assert!(few.group_incidents().is_empty() && few.incidents().len() == 5 && single(&few));
    let mut pair = shop();
    pair[2] = series("c", (20, 24), IncidentKind::Dip, 10.0);
    pair[3] = series("d", (25, 29), IncidentKind::Dip, 10.0);
    let pair = findings(pair);
    assert!(pair.group_incidents().is_empty() && pair.incidents().len() == 6 && single(&pair));
}

#[test]
fn incidents_that_share_less_than_half_of_their_hours_are_apart() {
    let mut shop = shop();
    shop[2] = series("c", (15, 40), IncidentKind::CheckoutOutage, 300.0);
    shop[3] = series("d", (15, 40), IncidentKind::CheckoutOutage, 400.0);
    assert!(findings(shop).group_incidents().is_empty());
}
