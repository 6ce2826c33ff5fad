//! Flags where the evidence of an alarm is highest.

use std::collections::VecDeque;

use funnelpulse_core::{Verdict, evidence_of_score};

/// Takes back the flags of rows with less than a share of the highest evidence of the flagged rows around them: up to
/// so many rows on either side, without a row in between that is not flagged. Scores stay as they are.
pub(crate) fn keep(verdicts: &mut [Verdict], rows: usize, share: f64) {
    let flagged = |v: &Verdict| if v.is_anomaly { evidence_of_score(v.score) } else { f64::NAN };
    let evidence: Vec<f64> = verdicts.iter().map(flagged).collect();
    let mut start = 0;
    while start < verdicts.len() {
        let length = evidence[start..].iter().take_while(|e| !e.is_nan()).count();
        let run = &evidence[start..start + length];
        for (verdict, (own, highest)) in verdicts[start..].iter_mut().zip(run.iter().zip(highest(run, rows))) {
            if *own < share * highest {
                verdict.is_anomaly = false;
                verdict.severity = None;
            }
        }
        start += length + 1;
    }
}

/// The highest value within so many places of each, by a queue of falling values.
fn highest(values: &[f64], reach: usize) -> Vec<f64> {
    let mut falling: VecDeque<usize> = VecDeque::new();
    let mut next = 0;
    let mut highest = Vec::with_capacity(values.len());
    for at in 0..values.len() {
        while next < values.len() && next <= at.saturating_add(reach) {
            while falling.back().is_some_and(|last| values[*last] <= values[next]) {
                falling.pop_back();
            }
            falling.push_back(next);
            next += 1;
        }
        while falling.front().is_some_and(|first| first.saturating_add(reach) < at) {
            falling.pop_front();
        }
        highest.push(falling.front().map_or(values[at], |first| values[*first]));
    }
    highest
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::{Severity, score_of_evidence};
    use proptest::prelude::*;

    use super::*;

    /// Rows with evidence above 3 are flagged.
    fn verdicts(evidence: &[f64]) -> Vec<Verdict> {
        let verdict = |e: &f64| Verdict {
            score: score_of_evidence(*e),
            confidence: 1.0,
            n_models_flagged: 1,
            n_models: 1,
            threshold: score_of_evidence(3.0),
            is_anomaly: *e > 3.0,
            severity: (*e > 3.0).then_some(Severity::High),
        };
        evidence.iter().map(verdict).collect()
    }

    fn kept(evidence: &[f64], rows: usize) -> Vec<usize> {
        let mut verdicts = verdicts(evidence);
        keep(&mut verdicts, rows, 0.9);
        assert!(verdicts.iter().all(|v| v.is_anomaly == v.severity.is_some()));
        (0..verdicts.len()).filter(|row| verdicts[*row].is_anomaly).collect()
    }

    #[test]
    fn the_slopes_of_a_peak_are_not_flagged() {
        let evidence = [1.0, 4.0, 6.0, 9.5, 10.0, 9.2, 7.0, 4.0, 1.0, 4.0, 1.0];
        assert_eq!(kept(&evidence, 5), [3, 4, 5, 9]);
        // A row does not see a peak beyond its reach.
        assert_eq!(kept(&[4.0, 4.0, 4.0, 10.0], 1), [0, 1, 3]);
        assert_eq!(kept(&[5.0; 30], 5).len(), 30);
        assert!(kept(&[1.0; 3], 5).is_empty() && kept(&[], 5).is_empty());
    }

    proptest! {
        #[test]
        fn the_queue_finds_the_highest(values in prop::collection::vec(0.0..9.0_f64, 1..60), reach in 1_usize..12) {
            let plain = |at: usize| {
                let around = &values[at.saturating_sub(reach)..(at + reach + 1).min(values.len())];
                around.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            };
            let expected: Vec<f64> = (0..values.len()).map(plain).collect();
            prop_assert_eq!(highest(&values, reach), expected);
        }
    }
}
