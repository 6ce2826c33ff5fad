//! Volume under the surface.

use serde::Serialize;

use super::ranking::Ranking;
use crate::EvalError;

/// Thresholds per curve, taken evenly from the sorted scores.
const THRESHOLDS: usize = 250;

/// Volumes under the ROC and the precision-recall surface, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Vus {
    /// VUS-ROC.
    pub roc: f64,
    /// VUS-PR.
    pub pr: f64,
}

/// Volume under the surface (Paparrizos et al. 2022, "Volume under the surface: a new accuracy
/// evaluation measure for time-series anomaly detection"): ROC and PR areas of ranges, averaged
/// over every width of a tolerance zone around the anomalies from 0 to `window` rows.
///
/// Around each anomaly labels fade as `sqrt(1 - distance / width)` over half a width, and recall
/// is multiplied by the share of anomalies that are touched at all. [`acf_period`](super::acf_period)
/// gives the customary window. Time: one pass over the zones per width, not over the series.
///
/// ```
/// use funnelpulse_eval::metrics::vus;
///
/// let labels = [false, false, false, true, true, false, false, false];
/// // One row late: half a miss for a row-wise metric, nearly a hit with tolerance.
/// let late = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
/// assert!(vus(&labels, &late, 4)?.pr > vus(&labels, &late, 0)?.pr);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn vus(labels: &[bool], scores: &[f64], window: usize) -> Result<Vus, EvalError> {
    Ok(volume(&Ranking::new(labels, scores)?, window))
}

pub(super) fn volume(ranking: &Ranking<'_>, window: usize) -> Vus {
    let curves = Curves::new(ranking);
    let mut zone = Zone { weight: vec![0.0; ranking.rows()], touched: Vec::new() };
    let mut segments = Vec::new();
    let (mut roc, mut pr) = (0.0, 0.0);
    for width in 0..=window {
        let half = width / 2;
        if width % 2 == 0 {
            segments = segment_maxima(ranking, half);
        }
        zone.fill(ranking, width);
        let areas = curves.areas(&zone, &segments);
        roc += areas.roc;
        pr += areas.pr;
    }
    let widths = (window + 1) as f64;
    Vus { roc: roc / widths, pr: pr / widths }
}

/// The part that does not depend on the width.
struct Curves {
    rows: f64,
    positives: f64,
    thresholds: Vec<f64>,
    /// Rows that score at least the threshold, and the labelled ones among them.
    flagged: Vec<usize>,
    hits: Vec<f64>,
    /// First threshold that a row reaches.
    reached: Vec<usize>,
}

impl Curves {
    fn new(ranking: &Ranking<'_>) -> Self {
        let n = ranking.rows();
        let step = (n - 1) as f64 / (THRESHOLDS - 1) as f64;
        let mut ranks: Vec<usize> = (0..THRESHOLDS).map(|k| (k as f64 * step) as usize).collect();
        ranks[THRESHOLDS - 1] = n - 1;
        let thresholds: Vec<f64> = ranks.iter().map(|&rank| ranking.scores[ranking.order[rank]]).collect();
        let mut reached = vec![0; n];
        let (mut flagged, mut hits) = (Vec::with_capacity(THRESHOLDS), Vec::with_capacity(THRESHOLDS));
        let (mut rank, mut labelled) = (0, 0);
        for (k, &threshold) in thresholds.iter().enumerate() {
            while rank < n && ranking.scores[ranking.order[rank]] >= threshold {
                let row = ranking.order[rank];
                reached[row] = k;
                labelled += usize::from(ranking.labels[row]);
                rank += 1;
            }
            flagged.push(rank);
            hits.push(labelled as f64);
        }
        Self { rows: n as f64, positives: ranking.positives as f64, thresholds, flagged, hits, reached }
    }

    fn areas(&self, zone: &Zone, segments: &[f64]) -> Vus {
        let mut gained = [0.0; THRESHOLDS];
        for &row in &zone.touched {
            gained[self.reached[row]] += zone.weight[row];
        }
        let (mut roc, mut pr) = (0.0, 0.0);
        let (mut near, mut last_tpr, mut last_fpr) = (0.0, 0.0, 0.0);
        for (k, gained) in gained.into_iter().enumerate() {
            near += gained;
            let flagged = self.flagged[k] as f64;
            let true_positives = self.hits[k] + near;
            let positives = self.positives + near / 2.0;
            let missed = segments.partition_point(|&max| max < self.thresholds[k]);
            let existence = (segments.len() - missed) as f64 / segments.len() as f64;
            let tpr = (true_positives / positives).min(1.0) * existence;
            let fpr = (flagged - true_positives) / (self.rows - positives);
            roc += (fpr - last_fpr) * (tpr + last_tpr) / 2.0;
            pr += (tpr - last_tpr) * true_positives / flagged;
            (last_tpr, last_fpr) = (tpr, fpr);
        }
        roc += (1.0 - last_fpr) * f64::midpoint(1.0, last_tpr);
        Vus { roc, pr }
    }
}

/// Fading labels of the rows outside, but near, an anomaly.
struct Zone {
    weight: Vec<f64>,
    touched: Vec<usize>,
}

impl Zone {
    fn fill(&mut self, ranking: &Ranking<'_>, width: usize) {
        for row in self.touched.drain(..) {
            self.weight[row] = 0.0;
        }
        let half = width / 2;
        let fading: Vec<f64> = (1..=half).map(|distance| (1.0 - distance as f64 / width as f64).sqrt()).collect();
        for event in &ranking.events {
            let after = (event.end..ranking.rows()).zip(&fading);
            let before = (0..event.start).rev().zip(&fading);
            for (row, &weight) in after.chain(before) {
                if ranking.labels[row] {
                    continue;
                }
                if self.weight[row] == 0.0 {
                    self.touched.push(row);
                }
                self.weight[row] += weight;
            }
        }
        for &row in &self.touched {
            self.weight[row] = self.weight[row].min(1.0);
        }
    }
}

/// Highest score of every anomaly with `half` rows around it, sorted; anomalies whose zones meet
/// count as one.
fn segment_maxima(ranking: &Ranking<'_>, half: usize) -> Vec<f64> {
    let mut maxima = Vec::with_capacity(ranking.events.len());
    let mut start = ranking.events[0].start.saturating_sub(half);
    for (i, event) in ranking.events.iter().enumerate() {
        let end = match ranking.events.get(i + 1) {
            Some(next) if event.end + 2 * half <= next.start => event.end + half,
            Some(_) => continue,
            None => (event.end + half).min(ranking.rows()),
        };
        maxima.push(ranking.scores[start..end].iter().copied().fold(f64::NEG_INFINITY, f64::max));
        start = ranking.events.get(i + 1).map_or(end, |next| next.start - half);
    }
    maxima.sort_unstable_by(f64::total_cmp);
    maxima
}
