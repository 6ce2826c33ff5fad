//! The incident detector with the true rates of a generated shop in place of its estimates.
//!
//! The distance to it is the cost of estimating rates, levels and shared factors. It is no upper limit:
//! it searches as the detector does, and a lasting change is news to it for a day only.

use std::collections::BTreeMap;

use funnelpulse::{
    core::{Panel, SeriesKey},
    eval::generator::GeneratedFunnel,
    incidents::{ExternalForecast, IncidentConfig, IncidentDetector, RowEvidence},
};

/// The evidence in every series.
pub(crate) fn oracle(shop: &GeneratedFunnel) -> anyhow::Result<Vec<RowEvidence>> {
    look(shop, shop.panel())
}

/// The evidence in a part of the shop.
pub(crate) fn look(shop: &GeneratedFunnel, part: &Panel) -> anyhow::Result<Vec<RowEvidence>> {
    let forecasts = part.keys().filter_map(|key| Some((key.clone(), forecast(shop, key)?))).collect();
    let forecasts: BTreeMap<SeriesKey, ExternalForecast> = forecasts;
    Ok(IncidentDetector::new(IncidentConfig::funnel())?.scan_against(part, &forecasts)?)
}

/// The log odds from which on the oracle raises `per_month` false alarms per series and month.
pub(crate) fn limit(shop: &GeneratedFunnel, per_month: f64) -> anyhow::Result<f64> {
    let mut peaks = Vec::new();
    let mut hours = 0;
    for seen in oracle(shop)? {
        let labels = shop.labels(seen.series.as_str()).unwrap_or_default();
        let normal: Vec<f64> = seen.log_odds().zip(labels).map(|(l, hit)| if *hit { f64::MIN } else { l }).collect();
        hours += labels.iter().filter(|hit| !**hit).count();
        // The highest of its neighbourhood is an alarm.
        let highest =
            |row: usize| normal[row.saturating_sub(3)..(row + 4).min(normal.len())].iter().all(|l| *l <= normal[row]);
        peaks.extend((0..normal.len()).filter(|row| highest(*row)).map(|row| normal[row]));
    }
    peaks.sort_by(|a, b| b.total_cmp(a));
    let allowed = (per_month * hours as f64 / 730.5) as usize;
    Ok(peaks.get(allowed).copied().unwrap_or(f64::MIN))
}

/// The true rates.
fn forecast(shop: &GeneratedFunnel, key: &SeriesKey) -> Option<ExternalForecast> {
    let name = key.as_str();
    Some(ExternalForecast { expected: shop.truth(name)?.clone() })
}

#[cfg(test)]
mod tests {
    use funnelpulse::eval::{
        generator::{Difficulty, GeneratorConfig},
        metrics::auc_pr,
    };

    use super::*;

    fn shop(difficulty: Difficulty, anomaly_share: f64) -> GeneratedFunnel {
        let config = GeneratorConfig { brands: 6, days: 60, difficulty, anomaly_share, ..GeneratorConfig::default() };
        GeneratedFunnel::generate(&config).unwrap()
    }

    fn quality(difficulty: Difficulty) -> f64 {
        let shop = shop(difficulty, 0.05);
        let seen = oracle(&shop).unwrap();
        let labels: Vec<bool> = seen.iter().flat_map(|e| shop.labels(e.series.as_str()).unwrap().to_vec()).collect();
        let scores: Vec<f64> = seen.iter().flat_map(|e| e.log_odds().collect::<Vec<_>>()).collect();
        auc_pr(&labels, &scores).unwrap()
    }

    #[test]
    fn it_sees_less_of_what_is_harder() {
        let [easy, medium, hard] = [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard].map(quality);
        assert!(easy > medium && medium > hard && hard > 0.1, "{easy} {medium} {hard}");
    }

    #[test]
    fn it_sees_nothing_where_there_is_nothing() {
        let shop = shop(Difficulty::Medium, 0.0);
        let seen = oracle(&shop).unwrap();
        let rows = seen.iter().map(|e| e.time().len()).sum::<usize>();
        let likely = seen.iter().flat_map(|e| e.log_odds().collect::<Vec<_>>()).filter(|l| *l > 0.0).count();
        assert!(likely * 500 < rows, "{likely} of {rows} rows");
    }
}
