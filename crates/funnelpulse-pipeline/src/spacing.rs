//! Tables whose rows are not as far apart as the configuration says.

use std::collections::BTreeMap;

use funnelpulse_core::{Panel, Timestamp};

/// Share of the distances between neighbouring rows that the most common one needs to be the step of the table.
const SHARE: f64 = 0.5;
/// Fewer distances say nothing: a few new rows may have a gap between them.
const LEAST: usize = 24;

/// A warning where most rows are at another distance than `step_seconds`.
pub(crate) fn warnings(panel: &Panel, step_seconds: u64) -> Vec<String> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for (_, frame) in panel {
        for pair in frame.time().windows(2) {
            *counts.entry(pair[1].as_micros().saturating_sub(pair[0].as_micros())).or_default() += 1;
        }
    }
    let all: usize = counts.values().sum();
    let Some((distance, count)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return Vec::new() };
    let is_most = all >= LEAST && count as f64 > SHARE * all as f64 && distance % Timestamp::SECOND == 0;
    let seconds = distance / Timestamp::SECOND;
    if !is_most || u64::try_from(seconds).is_ok_and(|seconds| seconds == step_seconds) {
        return Vec::new();
    }
    vec![format!(
        "most rows are {seconds} seconds apart, `input.step_seconds` is {step_seconds}: set it to {seconds}, or each row \
         counts as one of {step_seconds} seconds"
    )]
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::Frame;
    use ndarray::Array2;

    use super::*;

    fn panel(seconds: impl Iterator<Item = i64>) -> Panel {
        let time: Vec<Timestamp> = seconds.map(Timestamp::from_seconds).collect();
        let mut panel = Panel::new(funnelpulse_core::Columns::new(["views"]).unwrap());
        let values = Array2::zeros((time.len(), 1));
        panel.insert("a", Frame::new(time, panel.columns().clone(), values).unwrap()).unwrap();
        panel
    }

    #[test]
    fn days_that_are_taken_for_hours_are_named() {
        let days = panel((0..30).map(|day| day * 86_400));
        let warning = warnings(&days, 3600).remove(0);
        assert!(warning.starts_with("most rows are 86400 seconds apart, `input.step_seconds` is 3600"), "{warning}");
        assert!(warnings(&days, 86_400).is_empty());
        // Hours with gaps, and rows at any time.
        let gaps = panel((0..300).filter(|hour| hour % 3 != 0).map(|hour| hour * 3600));
        assert!(warnings(&gaps, 3600).is_empty());
        assert!(warnings(&panel((0..30).map(|n| n * n * 60)), 3600).is_empty());
        assert!(warnings(&panel([0, 10_800, 21_600].into_iter()), 3600).is_empty(), "too few rows");
    }
}
