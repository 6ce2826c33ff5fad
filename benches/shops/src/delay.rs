//! Hours from the onset of an event to its first alarm, with data that end there.

use std::collections::BTreeMap;

use funnelpulse_core::{SeriesKey, Timestamp};
use funnelpulse_eval::metrics::{RaisedFlag, alarm_delay, median_delay};
use funnelpulse_incidents::IncidentModel;

use crate::{
    figures::detectable,
    shop::{Event, Shop},
};

/// Hours after the onset at which the data end, one after the other.
const LOOKS: [i64; 12] = [1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72];

/// The median over the detectable events that begin after training and are found within three days, hours; NaN
/// where there is none. Rows are flagged at the threshold for one false incident per series and month.
pub(crate) fn median_hours(shop: &Shop, model: &IncidentModel, trained_until: Timestamp) -> anyhow::Result<f64> {
    let limit = model.threshold(1.0);
    let mut delays = Vec::new();
    for event in detectable(shop).into_values().filter(|event| event.start >= trained_until) {
        let mut flags = Vec::new();
        for hours in LOOKS {
            let now = event.start.offset(hours * Timestamp::HOUR);
            flags = flagged(shop, model, event, now, limit)?;
            if !flags.is_empty() {
                break;
            }
        }
        delays.push(alarm_delay(event.start, event.end, &flags)?);
    }
    Ok(median_delay(&delays).map_or(f64::NAN, |delay| delay.as_secs_f64() / 3600.0))
}

/// Rows of the event that are flagged with data that end now.
fn flagged(
    shop: &Shop,
    model: &IncidentModel,
    event: &Event,
    now: Timestamp,
    limit: f64,
) -> anyhow::Result<Vec<RaisedFlag>> {
    let panel = shop.between(now.offset(-model.context()), now)?;
    let rows: BTreeMap<&SeriesKey, Vec<Timestamp>> =
        shop.panel.iter().map(|(key, frame)| (key, shop.times_of(key, frame, event.id))).collect();
    let scan = model.scan(&panel)?;
    let mut flags = Vec::new();
    for evidence in &scan.series {
        let of_event = &rows[&evidence.series];
        let hot = evidence.time().iter().zip(evidence.log_odds()).filter(|(_, odds)| *odds >= limit);
        let own = hot.map(|(time, _)| *time).filter(|time| of_event.binary_search(time).is_ok());
        flags.extend(own.map(|row| RaisedFlag { row, raised: now }));
    }
    Ok(flags)
}
