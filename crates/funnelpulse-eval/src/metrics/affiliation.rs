//! Affiliation precision and recall.

use std::ops::Range;

use serde::Serialize;

use super::ranking::{Ranking, check_length, labelled_events, runs};
use crate::EvalError;

/// Affiliation precision, recall and their F1, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Affiliation {
    /// Closeness of the flagged rows to anomalies, compared with rows placed at random. Zones of
    /// anomalies without a flagged row don't count; 0 when nothing is flagged.
    pub precision: f64,
    /// Closeness of the anomalies to flagged rows, compared with one row placed at random.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

/// Affiliation metrics of flagged rows (Huet, Navarro and Rossi 2022, "Local evaluation of time
/// series anomaly detection algorithms", KDD, section 3; precision and recall as probabilities).
///
/// Time is cut into one zone per anomaly, at the middle between neighbours. Within a zone, a
/// distance is turned into the probability that a row placed at random would be no nearer.
/// Row `i` is the interval from `i` to `i + 1`.
///
/// ```
/// use funnelpulse_eval::metrics::affiliation;
///
/// let labels = [false, false, false, true, true, false, false, false];
/// let exact = affiliation(&labels, &labels)?;
/// let late = affiliation(&labels, &[false, false, false, false, true, true, false, false])?;
/// assert_eq!((exact.precision, exact.recall), (1.0, 1.0));
/// assert!(late.f1 > 0.8 && late.f1 < 1.0);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn affiliation(labels: &[bool], flags: &[bool]) -> Result<Affiliation, EvalError> {
    check_length(labels, flags.len(), "flags")?;
    Ok(of_runs(&labelled_events(labels)?, &runs(flags), labels.len()))
}

/// The affiliation metrics at the threshold with the best F1, out of 100 spaced evenly between
/// the lowest and the highest score ("Affiliation-F" of TSB-AD), and that threshold: rows that
/// score **above** it are flagged.
///
/// ```
/// use funnelpulse_eval::metrics::best_affiliation;
///
/// let (best, threshold) = best_affiliation(&[false, true, true, false], &[0.0, 1.0, 1.0, 0.2])?;
/// assert!(best.precision == 1.0 && threshold > 0.2);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn best_affiliation(labels: &[bool], scores: &[f64]) -> Result<(Affiliation, f64), EvalError> {
    Ok(best(&Ranking::new(labels, scores)?))
}

pub(super) fn best(ranking: &Ranking<'_>) -> (Affiliation, f64) {
    let mut best = (Affiliation { precision: 0.0, recall: 0.0, f1: 0.0 }, f64::NAN);
    for threshold in ranking.thresholds() {
        let found = of_runs(&ranking.events, &ranking.runs_above(threshold), ranking.rows());
        if best.1.is_nan() || found.f1 > best.0.f1 {
            best = (found, threshold);
        }
    }
    best
}

fn of_runs(events: &[Range<usize>], flagged: &[Range<usize>], rows: usize) -> Affiliation {
    let flagged: Vec<Span> = flagged.iter().map(Span::from).collect();
    let (mut precision, mut recall, mut judged) = (0.0, 0.0, 0.0);
    let mut zone_start = 0.0;
    let mut first = 0;
    for (i, event) in events.iter().enumerate() {
        let zone_end = events.get(i + 1).map_or(rows as f64, |next| (event.end + next.start) as f64 / 2.0);
        let zone = Zone { whole: Span { start: zone_start, end: zone_end }, event: Span::from(event) };
        while flagged.get(first).is_some_and(|f| f.end <= zone_start) {
            first += 1;
        }
        let inside: Vec<Span> =
            flagged[first..].iter().take_while(|f| f.start < zone_end).map(|f| f.clipped(zone.whole)).collect();
        if !inside.is_empty() {
            precision += zone.precision(&inside);
            recall += zone.recall(&inside);
            judged += 1.0;
        }
        zone_start = zone_end;
    }
    let precision = if judged > 0.0 { precision / judged } else { 0.0 };
    let recall = recall / events.len() as f64;
    Affiliation { precision, recall, f1: 2.0 * precision * recall / (precision + recall + 1e-15) }
}

#[derive(Clone, Copy)]
struct Span {
    start: f64,
    end: f64,
}

impl From<&Range<usize>> for Span {
    fn from(range: &Range<usize>) -> Self {
        Self { start: range.start as f64, end: range.end as f64 }
    }
}

impl Span {
    fn len(self) -> f64 {
        self.end - self.start
    }

    /// Empty (with `end` equal to `start`) when the two don't meet.
    fn clipped(self, to: Self) -> Self {
        let start = self.start.max(to.start);
        Self { start, end: self.end.min(to.end).max(start) }
    }
}

/// Integral of `max(c - t, 0)` over `t` from `from` to `to`.
fn ramp(c: f64, from: f64, to: f64) -> f64 {
    let area = |t: f64| (c - t).max(0.0).powi(2) / 2.0;
    area(from) - area(to)
}

/// An anomaly and the stretch of time that belongs to it.
struct Zone {
    whole: Span,
    event: Span,
}

impl Zone {
    /// Mean over the flagged time of the probability that a random point is as far from the
    /// anomaly. A distance `d` on either side is reached by the room beyond `d` on both sides.
    fn precision(&self, flagged: &[Span]) -> f64 {
        let left = self.event.start - self.whole.start;
        let right = self.whole.end - self.event.end;
        let outside = |from: f64, to: f64| (ramp(left, from, to) + ramp(right, from, to)) / self.whole.len();
        let (mut sum, mut length) = (0.0, 0.0);
        for f in flagged {
            length += f.len();
            sum += f.clipped(self.event).len();
            let before = Span { end: f.end.min(self.event.start), ..*f };
            if before.len() > 0.0 {
                sum += outside(self.event.start - before.end, self.event.start - before.start);
            }
            let after = Span { start: f.start.max(self.event.end), ..*f };
            if after.len() > 0.0 {
                sum += outside(after.start - self.event.end, after.end - self.event.end);
            }
        }
        sum / length
    }

    /// Mean over the anomaly of the probability that a random point is as far as the nearest
    /// flagged one.
    fn recall(&self, flagged: &[Span]) -> f64 {
        let mut sum = 0.0;
        let mut gap_start = None;
        for f in flagged {
            sum += f.clipped(self.event).len();
            sum += self.gap(gap_start, Some(f.start));
            gap_start = Some(f.end);
        }
        sum += self.gap(gap_start, None);
        sum / self.event.len()
    }

    /// The part of the recall from where nothing is flagged: between the end of one flagged run
    /// and the start of the next. Points nearer to the former measure their distance to it, the
    /// others to the latter.
    fn gap(&self, previous: Option<f64>, next: Option<f64>) -> f64 {
        let Span { start: a, end: b } = self.whole;
        let middle = match (previous, next) {
            (Some(p), Some(q)) => f64::midpoint(p, q),
            (Some(_), None) => b,
            (None, _) => a,
        };
        let mut sum = 0.0;
        if let Some(p) = previous {
            let near = Span { start: p, end: middle }.clipped(self.event);
            // A random point is farther than y - p when it lies before p or after 2y - p.
            sum += (p - a) * near.len() + ramp(b + p, 2.0 * near.start, 2.0 * near.end) / 2.0;
        }
        if let Some(q) = next {
            let near = Span { start: middle, end: q }.clipped(self.event);
            // ... and farther than q - y when it lies after q or before 2y - q.
            sum += (b - q) * near.len() + ramp(-(a + q), -2.0 * near.end, -2.0 * near.start) / 2.0;
        }
        sum / self.whole.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, by brute force over a fine grid of points in one zone.
    #[test]
    fn closed_form_agrees_with_the_definition() {
        let (rows, event, flagged) = (40, 12..22, [3..5, 9..14, 17..18, 30..33]);
        let exact = of_runs(std::slice::from_ref(&event), &flagged, rows);
        let grid: Vec<f64> = (0..4000).map(|i| (f64::from(i) + 0.5) / 100.0).collect();
        let distance = |x: f64, r: &Range<usize>| (r.start as f64 - x).max(x - r.end as f64).max(0.0);
        let share = |test: &dyn Fn(f64) -> bool| grid.iter().filter(|&&u| test(u)).count() as f64 / grid.len() as f64;
        let mean = |points: Vec<f64>| points.iter().sum::<f64>() / points.len() as f64;
        let inside = |r: &Range<usize>, x: f64| x >= r.start as f64 && x < r.end as f64;
        let precision = mean(
            grid.iter()
                .filter(|&&x| flagged.iter().any(|f| inside(f, x)))
                .map(|&x| share(&|u| distance(u, &event) >= distance(x, &event)))
                .collect(),
        );
        let recall = mean(
            grid.iter()
                .filter(|&&y| inside(&event, y))
                .map(|&y| {
                    let nearest = flagged.iter().map(|f| distance(y, f)).fold(f64::INFINITY, f64::min);
                    share(&|u| (u - y).abs() >= nearest)
                })
                .collect(),
        );
        assert!((exact.precision - precision).abs() < 1e-3, "{exact:?} {precision}");
        assert!((exact.recall - recall).abs() < 1e-3, "{exact:?} {recall}");
    }

    #[test]
    fn nothing_flagged_is_nothing_found() {
        let none = affiliation(&[false, true, false], &[false; 3]).unwrap();
        assert_eq!((none.precision, none.recall, none.f1), (0.0, 0.0, 0.0));
    }
}
