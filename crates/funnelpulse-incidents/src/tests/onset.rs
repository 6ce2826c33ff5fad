//! Incidents begin in the hour of the change, whatever windows found them.

use funnelpulse_core::Timestamp;

use super::shop::{START, Shop, fit};
use crate::IncidentEpisode;

/// A change of the third brand from hour 1000 on.
fn incident(hours: usize, factors: [f64; 4]) -> IncidentEpisode {
    let change = move |brand: usize, hour: usize| {
        if brand == 2 && (1000..1000 + hours).contains(&hour) { factors } else { [1.0; 4] }
    };
    let panel = Shop::new(6, 60, change).panel();
    let model = fit(&panel);
    let incidents = model.scan(&panel).unwrap().series[2].incidents(model.threshold(1.0));
    incidents.into_iter().find(|i| i.rows.0 < 1000 + hours && i.rows.1 >= 1000).expect("the change is found")
}

fn hours_late(incident: &IncidentEpisode) -> i64 {
    (incident.start.as_micros() / Timestamp::SECOND - START) / 3600 - 1000
}

#[test]
fn incidents_begin_within_an_hour_of_the_change() {
    let outage = [1.0, 1.0, 0.4, 1.0];
    let rush = [1.6, 1.0, 1.0, 1.0];
    let mut moved = 0;
    for (hours, factors) in [(5, outage), (7, outage), (11, outage), (20, outage), (5, rush), (7, rush), (11, rush)] {
        let incident = incident(hours, factors);
        assert!(hours_late(&incident).abs() <= 1, "{hours} hours: {} hours late", hours_late(&incident));
        moved += usize::from(incident.start.as_micros() / Timestamp::SECOND != START + 3600 * incident.rows.0 as i64);
    }
    assert!(moved > 0, "every window begins with the change by itself");
}

#[test]
fn rows_that_say_nothing_begin_with_the_first() {
    let panel = Shop::new(6, 60, super::shop::plain).panel();
    let model = fit(&panel);
    let evidence = &model.scan(&panel).unwrap().series[2];
    assert_eq!(evidence.incident_between(700, 700).start, evidence.time()[700]);
}
