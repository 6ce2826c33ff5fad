//! Comparison of the findings of two models in the same rows.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "eval")]
use funnelpulse_core::Timestamp;
use funnelpulse_core::{IncidentKind, SeriesKey};
use serde::Serialize;

use super::{CompareError, Selection, check_series};
use crate::{Findings, Incident, SeriesFindings};

/// The findings of two models on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelComparison {
    /// Rows that both models could score; what follows is about them.
    pub rows: usize,
    /// Series that both could score.
    pub series: usize,
    /// Findings of the model in question.
    pub after: ModelSide,
    /// Findings of the model that it is compared with.
    pub before: ModelSide,
    /// Anomalous hours found by both.
    pub both: usize,
    /// Spearman's rank correlation of the scores, -1 to 1; `None` where either has none or always
    /// the same.
    pub rank_correlation: Option<f64>,
    /// Series whose anomalous hours differ, those that differ most first.
    pub differences: Vec<SeriesDifference>,
}

/// Findings of one of two models.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelSide {
    /// The score from which rows were flagged.
    pub threshold: f64,
    /// Anomalous hours.
    pub anomalies: usize,
    /// Incidents, those of the whole site included.
    pub incidents: usize,
    /// Those of them that overlap an incident of the other model in the same series.
    pub shared_incidents: usize,
    /// Incidents by kind.
    pub kinds: Kinds,
    /// Series that only this model could score.
    pub only_series: Vec<SeriesKey>,
    /// Agreement with labels, where there are any.
    #[cfg(feature = "eval")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// Number of incidents per kind.
pub type Kinds = BTreeMap<IncidentKind, usize>;

/// Anomalous hours of one series by two models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesDifference {
    /// The series.
    pub series: SeriesKey,
    /// Found by the model that is looked at only.
    pub only_after: usize,
    /// Found by the model that it is compared with only.
    pub only_before: usize,
    /// Found by both.
    pub both: usize,
}

/// Agreement of scores with labels.
#[cfg(feature = "eval")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Rows with a label.
    pub rows: usize,
    /// Those that are anomalous.
    pub anomalous: usize,
    /// Area under the curve of precision over recall.
    pub auc_pr: f64,
    /// The best F1 of any threshold.
    pub best_f1: f64,
    /// Precision of the flagged rows; `None` where none is flagged.
    pub precision: Option<f64>,
    /// Recall of the flagged rows.
    pub recall: f64,
}

/// Labels by series and time: true if the row is anomalous.
#[cfg(feature = "eval")]
pub type Labels = BTreeMap<(SeriesKey, Timestamp), bool>;

/// A row that both models scored.
struct Row<'a> {
    series: &'a SeriesKey,
    #[cfg(feature = "eval")]
    time: Timestamp,
    /// Of the model that is looked at, and of the other.
    scores: [f64; 2],
    flags: [bool; 2],
}

/// Compares what two models found in the same panel: `after` with `before`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
/// # use found::findings;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_analytics::{Selection, compare_findings};
///
/// // Scores of 0.9 and 0.7 in two shops, by a low and by a high threshold.
/// let (loose, strict) = (findings(0.5), findings(0.8));
/// let models = compare_findings(&loose, &strict, &Selection::default())?;
/// assert_eq!((models.after.anomalies, models.before.anomalies, models.both), (2, 1, 1));
/// assert_eq!(models.differences[0].series.as_str(), "shop-b");
/// # Ok(())
/// # }
/// ```
pub fn compare_findings(
    after: &Findings,
    before: &Findings,
    selection: &Selection<'_>,
) -> Result<ModelComparison, CompareError> {
    let rows = common_rows(after, before, selection)?;
    let count = |flagged: fn(&Row<'_>) -> bool| rows.iter().filter(|r| flagged(r)).count();
    let both = count(|r| r.flags == [true; 2]);
    let differences = differences(&rows);
    let incidents = [after, before].map(|findings| incidents_of(findings, selection));
    let only = [only_series(after, before, selection), only_series(before, after, selection)];
    let side = |which: usize, findings: &Findings, anomalies: usize| {
        let (own, others) = (&incidents[which], &incidents[1 - which]);
        let mut kinds = Kinds::new();
        for incident in own {
            *kinds.entry(incident.kind).or_default() += 1;
        }
        let overlaps = |a: &Incident, b: &Incident| a.series == b.series && a.start < b.end && b.start < a.end;
        ModelSide {
            threshold: findings.threshold(),
            anomalies,
            incidents: own.len(),
            shared_incidents: own.iter().filter(|i| others.iter().any(|o| overlaps(i, o))).count(),
            kinds,
            only_series: only[which].clone(),
            #[cfg(feature = "eval")]
            quality: None,
        }
    };
    let scores = rows.iter().map(|r| r.scores).filter(|s| s.iter().all(|v| v.is_finite()));
    Ok(ModelComparison {
        rows: rows.len(),
        series: rows.iter().map(|r| r.series).collect::<BTreeSet<_>>().len(),
        after: side(0, after, count(|r| r.flags[0])),
        before: side(1, before, count(|r| r.flags[1])),
        both,
        rank_correlation: rank_correlation(&scores.collect::<Vec<_>>()),
        differences,
    })
}

#[cfg(feature = "eval")]
impl ModelComparison {
    /// Adds how well both agree with `labels`, in the rows that have one.
    ///
    /// The arguments are those of [`compare_findings`]. Labels of one class only, all ordinary or
    /// all anomalous, have no such figures: nothing is added.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_analytics::{Labels, Selection, compare_findings};
    ///
    /// // `shop-a` has labels: the second of its three hours is anomalous.
    /// let (loose, strict) = (findings(0.15), findings(0.8));
    /// let shop = &loose.series()[0];
    /// let labels: Labels =
    ///     (0..3).map(|row| ((shop.series.clone(), shop.time[row]), row == 1)).collect();
    /// let all = Selection::default();
    /// let models = compare_findings(&loose, &strict, &all)?;
    /// let models = models.with_labels(&loose, &strict, &all, &labels)?;
    /// // The low threshold also flags the third hour.
    /// assert_eq!(models.after.quality.unwrap().precision, Some(0.5));
    /// assert_eq!(models.before.quality.unwrap().precision, Some(1.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_labels(
        mut self,
        after: &Findings,
        before: &Findings,
        selection: &Selection<'_>,
        labels: &Labels,
    ) -> Result<Self, CompareError> {
        let rows = common_rows(after, before, selection)?;
        let of = |row: &Row<'_>| labels.get(&(row.series.clone(), row.time)).copied();
        let labelled: Vec<(&Row<'_>, bool)> = rows.iter().filter_map(|row| Some((row, of(row)?))).collect();
        if labelled.is_empty() {
            return Err(CompareError::NoLabels { rows: rows.len() });
        }
        self.after.quality = Quality::of(&labelled, 0);
        self.before.quality = Quality::of(&labelled, 1);
        Ok(self)
    }
}

#[cfg(feature = "eval")]
impl Quality {
    fn of(rows: &[(&Row<'_>, bool)], which: usize) -> Option<Self> {
        use funnelpulse_eval::metrics::{auc_pr, best_f1};

        let labels: Vec<bool> = rows.iter().map(|(_, label)| *label).collect();
        let scores: Vec<f64> = rows.iter().map(|(row, _)| row.scores[which]).collect();
        let count = |of: &dyn Fn(&(&Row<'_>, bool)) -> bool| rows.iter().filter(|r| of(r)).count();
        let anomalous = count(&|(_, label)| *label);
        let flagged = count(&|(row, _)| row.flags[which]);
        let hits = count(&|(row, label)| *label && row.flags[which]) as f64;
        Some(Self {
            rows: rows.len(),
            anomalous,
            auc_pr: auc_pr(&labels, &scores).ok()?,
            best_f1: best_f1(&labels, &scores).ok()?.f1,
            precision: (flagged > 0).then(|| hits / flagged as f64),
            recall: hits / anomalous as f64,
        })
    }
}

fn common_rows<'a>(
    after: &'a Findings,
    before: &'a Findings,
    selection: &Selection<'_>,
) -> Result<Vec<Row<'a>>, CompareError> {
    check_series(selection.series, [after, before].into_iter().flat_map(Findings::series).map(|s| &s.series))?;
    let mut rows = Vec::new();
    for new in after.series().iter().filter(|s| selection.has(&s.series)) {
        let Some(old) = series_of(before, &new.series) else { continue };
        let mut others = old.time.iter().enumerate().peekable();
        for (i, time) in new.time.iter().enumerate() {
            while others.next_if(|(_, t)| *t < time).is_some() {}
            let Some((o, _)) = others.next_if(|(_, t)| *t == time).filter(|_| selection.contains(*time)) else {
                continue;
            };
            let (a, b) = (new.verdicts[i], old.verdicts[o]);
            let (scores, flags) = ([a.score, b.score], [a.is_anomaly, b.is_anomaly]);
            rows.push(Row {
                series: &new.series,
                #[cfg(feature = "eval")]
                time: *time,
                scores,
                flags,
            });
        }
    }
    if rows.is_empty() {
        let times = || after.series().iter().map(|s| &s.time);
        let ends = (times().filter_map(|t| t.first()).min(), times().filter_map(|t| t.last()).max());
        let range = ends.0.copied().zip(ends.1.copied());
        return Err(CompareError::NoRows { selection: selection.in_words(), range });
    }
    Ok(rows)
}

fn series_of<'a>(findings: &'a Findings, series: &SeriesKey) -> Option<&'a SeriesFindings> {
    findings.series().binary_search_by(|s| s.series.cmp(series)).ok().map(|i| &findings.series()[i])
}

fn only_series(findings: &Findings, other: &Findings, selection: &Selection<'_>) -> Vec<SeriesKey> {
    let own = findings.series().iter().map(|s| &s.series).filter(|s| selection.has(s));
    own.filter(|s| series_of(other, s).is_none()).cloned().collect()
}

fn incidents_of<'a>(findings: &'a Findings, selection: &Selection<'_>) -> Vec<&'a Incident> {
    let site = findings.site_incidents().iter().filter(|_| selection.series.is_none());
    let all = site.chain(findings.series().iter().filter(|s| selection.has(&s.series)).flat_map(|s| &s.incidents));
    let within = |i: &&Incident| selection.period.is_none_or(|p| i.start < p.end() && p.start() < i.end);
    all.filter(within).collect()
}

fn differences(rows: &[Row<'_>]) -> Vec<SeriesDifference> {
    let mut differences: Vec<SeriesDifference> = rows
        .chunk_by(|a, b| a.series == b.series)
        .map(|rows| {
            let count = |flags: [bool; 2]| rows.iter().filter(|r| r.flags == flags).count();
            SeriesDifference {
                series: rows[0].series.clone(),
                only_after: count([true, false]),
                only_before: count([false, true]),
                both: count([true, true]),
            }
        })
        .filter(|d| d.only_after + d.only_before > 0)
        .collect();
    // Stable: equal ones stay in order of their names.
    differences.sort_by_key(|d| std::cmp::Reverse(d.only_after + d.only_before));
    differences
}

/// Spearman (1904), ties at their mean rank.
fn rank_correlation(scores: &[[f64; 2]]) -> Option<f64> {
    let [a, b] = [0, 1].map(|which| ranks(&scores.iter().map(|s| s[which]).collect::<Vec<_>>()));
    let middle = (scores.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let correlation = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
    correlation.is_finite().then(|| correlation.clamp(-1.0, 1.0))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = start as f64 + (ties.len() as f64 - 1.0) / 2.0;
        for &i in ties {
            ranks[i] = mean;
        }
        start += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        assert_eq!(rank_correlation(&[[1.0, 9.0], [2.0, 5.0], [3.0, 1.0]]), Some(-1.0));
        assert_eq!(rank_correlation(&[[1.0, 10.0], [1.0, 10.0], [3.0, 11.0]]), Some(1.0));
        assert_eq!(rank_correlation(&[[1.0, 2.0], [1.0, 3.0]]), None);
        assert_eq!(rank_correlation(&[]), None);
        // By hand: ranks 0 1 2 3 and 1 0 2 3, 1 - 6 * 2 / (4 * 15).
        let found = rank_correlation(&[[1.0, 2.0], [2.0, 1.0], [3.0, 3.0], [4.0, 4.0]]).unwrap();
        assert!((found - 0.8).abs() < 1e-12);
    }
}
