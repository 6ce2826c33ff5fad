//! The leaderboard: mean figures, mean ranks, and tests of the differences.

use std::{collections::BTreeMap, fmt, str::FromStr};

use funnelpulse_core::counted;
use serde::Serialize;

use super::{
    Run, RunStatus,
    rank::{friedman, mean_ranks, nemenyi_critical_difference, wilcoxon_signed_rank},
};
use crate::{EvalError, Evaluation};

/// Level of the tests.
const ALPHA: f64 = 0.05;

/// The figure that detectors are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BenchMetric {
    /// [`Evaluation::vus_pr`].
    #[default]
    VusPr,
    /// [`Evaluation::vus_roc`].
    VusRoc,
    /// [`Evaluation::auc_pr`].
    AucPr,
    /// [`Evaluation::auc_roc`].
    AucRoc,
    /// [`Evaluation::best_f1`].
    BestF1,
    /// [`Evaluation::range_f1`].
    RangeF1,
    /// [`Evaluation::affiliation_f1`].
    AffiliationF1,
}

impl BenchMetric {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::VusPr, Self::VusRoc, Self::AucPr, Self::AucRoc, Self::BestF1, Self::RangeF1, Self::AffiliationF1];

    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VusPr => "vus_pr",
            Self::VusRoc => "vus_roc",
            Self::AucPr => "auc_pr",
            Self::AucRoc => "auc_roc",
            Self::BestF1 => "best_f1",
            Self::RangeF1 => "range_f1",
            Self::AffiliationF1 => "affiliation_f1",
        }
    }

    /// The name in text.
    pub const fn title(self) -> &'static str {
        match self {
            Self::VusPr => "VUS-PR",
            Self::VusRoc => "VUS-ROC",
            Self::AucPr => "AUC-PR",
            Self::AucRoc => "AUC-ROC",
            Self::BestF1 => "best F1",
            Self::RangeF1 => "range F1",
            Self::AffiliationF1 => "affiliation F1",
        }
    }

    /// The figure of a series.
    pub const fn of(self, evaluation: &Evaluation) -> f64 {
        match self {
            Self::VusPr => evaluation.vus_pr,
            Self::VusRoc => evaluation.vus_roc,
            Self::AucPr => evaluation.auc_pr,
            Self::AucRoc => evaluation.auc_roc,
            Self::BestF1 => evaluation.best_f1,
            Self::RangeF1 => evaluation.range_f1,
            Self::AffiliationF1 => evaluation.affiliation_f1,
        }
    }
}

impl FromStr for BenchMetric {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        let found = Self::ALL.into_iter().find(|metric| metric.as_str() == name);
        let allowed = "vus_pr, vus_roc, auc_pr, auc_roc, best_f1, range_f1, affiliation_f1";
        found.ok_or_else(|| EvalError::parameter("metric", name, allowed))
    }
}

/// One detector on the leaderboard.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// Its name.
    pub detector: String,
    /// Mean of the metric over all series; a run without scores counts as 0.
    pub mean: f64,
    /// Median of the same.
    pub median: f64,
    /// Mean rank over all series, 1 for the best.
    pub mean_rank: f64,
    /// Series on which no other detector is better.
    pub wins: usize,
    /// Runs that ended without scores.
    pub failed: usize,
    /// Mean seconds of a run.
    pub seconds: f64,
    /// Highest memory of any run in bytes, where it is known.
    pub peak_bytes: Option<u64>,
    /// Mean of the metric per data set.
    pub by_collection: BTreeMap<String, f64>,
}

/// Detectors by their mean rank, with the tests of Demšar (2006). `Display` is a table.
///
/// Only series that every detector was run on are compared. A run that failed or went over a limit counts as 0.
///
/// ```
/// use funnelpulse_eval::bench::{BenchMetric, Leaderboard};
///
/// let board = Leaderboard::new(&[], BenchMetric::VusPr);
/// assert_eq!((board.series, board.standings.len()), (0, 0));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Leaderboard {
    /// The figure that is compared.
    pub metric: BenchMetric,
    /// Number of series.
    pub series: usize,
    /// Number of series of each data set.
    pub collections: BTreeMap<String, usize>,
    /// Series that nobody could be judged on, with the reason.
    pub left_out: BTreeMap<String, String>,
    /// The detectors, the best mean rank first.
    pub standings: Vec<Standing>,
    /// p-value of the Friedman test: whether there is any difference at all.
    pub friedman: Option<f64>,
    /// The smallest difference of two mean ranks that is significant at the level 0.05 (Nemenyi test).
    pub critical_difference: Option<f64>,
    /// p-values of Wilcoxon's signed-rank test of each pair of standings, by position, first before
    /// second, with Holm's correction for their number.
    pub wilcoxon: BTreeMap<(usize, usize), f64>,
}

impl Leaderboard {
    /// Compares the detectors of these runs.
    pub fn new(runs: &[Run], metric: BenchMetric) -> Self {
        let mut detectors: Vec<&str> = Vec::new();
        for run in runs {
            if !detectors.contains(&&*run.detector) {
                detectors.push(&run.detector);
            }
        }
        let mut by_series: BTreeMap<(&str, &str), BTreeMap<&str, &Run>> = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        for run in runs {
            if run.status == RunStatus::NoLabels {
                let name = format!("{}/{}", run.collection, run.series);
                left_out.insert(name, run.message.clone().unwrap_or_default());
            } else {
                by_series.entry((&run.collection, &run.series)).or_default().insert(&run.detector, run);
            }
        }
        by_series.retain(|_, own| own.len() == detectors.len());
        let figure = |run: &Run| run.evaluation.as_ref().map_or(0.0, |e| metric.of(e));
        let figures: Vec<Vec<f64>> =
            by_series.values().map(|own| detectors.iter().map(|d| figure(own[d])).collect()).collect();
        let ranks = mean_ranks(&figures);
        let mut collections: BTreeMap<String, usize> = BTreeMap::new();
        for (collection, _) in by_series.keys() {
            *collections.entry((*collection).to_owned()).or_default() += 1;
        }
        let standing = |(column, detector): (usize, &&str)| {
            let own: Vec<&Run> = by_series.values().map(|own| own[detector]).collect();
            standing(detector, column, &own, &figures, ranks.get(column).copied().unwrap_or(f64::NAN))
        };
        let mut order: Vec<usize> = (0..detectors.len()).collect();
        let standings: Vec<Standing> = detectors.iter().enumerate().map(standing).collect();
        order.sort_by(|&a, &b| standings[a].mean_rank.total_cmp(&standings[b].mean_rank));
        let column = |at: usize| figures.iter().map(|row| row[order[at]]).collect::<Vec<f64>>();
        let mut wilcoxon = BTreeMap::new();
        for first in 0..order.len() {
            for second in first + 1..order.len() {
                wilcoxon.insert((first, second), wilcoxon_signed_rank(&column(first), &column(second)));
            }
        }
        holm(&mut wilcoxon);
        Self {
            metric,
            series: figures.len(),
            collections,
            left_out,
            friedman: friedman(&figures),
            critical_difference: nemenyi_critical_difference(detectors.len(), figures.len(), ALPHA),
            standings: order.iter().map(|&at| standings[at].clone()).collect(),
            wilcoxon,
        }
    }

    /// The means per data set.
    fn write_collections(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        const NARROW: usize = 7;
        write!(f, "\n{:<width$}", "mean")?;
        for name in self.collections.keys() {
            write!(f, "  {name:>NARROW$}")?;
        }
        for Standing { detector, by_collection, .. } in &self.standings {
            write!(f, "\n{detector:<width$}")?;
            for name in self.collections.keys() {
                let cell = name.chars().count().max(NARROW);
                match by_collection.get(name) {
                    Some(mean) => write!(f, "  {mean:>cell$.3}")?,
                    None => write!(f, "  {:>cell$}", "-")?,
                }
            }
        }
        writeln!(f)
    }

    /// The cliques of a diagram of critical differences (Demšar 2006): groups of two or more neighbours, as first and last
    /// position, whose mean ranks differ by less than the critical difference.
    pub fn cliques(&self) -> Vec<(usize, usize)> {
        let Some(difference) = self.critical_difference else { return Vec::new() };
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for first in 0..self.standings.len() {
            let within = |s: &&Standing| s.mean_rank - self.standings[first].mean_rank < difference;
            let last = first + self.standings[first..].iter().take_while(within).count() - 1;
            if last > first && groups.last().is_none_or(|(_, end)| last > *end) {
                groups.push((first, last));
            }
        }
        groups
    }
}

fn standing(detector: &str, column: usize, runs: &[&Run], figures: &[Vec<f64>], mean_rank: f64) -> Standing {
    let n = runs.len().max(1) as f64;
    let own: Vec<f64> = figures.iter().map(|row| row[column]).collect();
    let mut sorted = own.clone();
    sorted.sort_by(f64::total_cmp);
    let middle = |at: usize| sorted.get(at).copied().unwrap_or(f64::NAN);
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (run, figure) in runs.iter().zip(&own) {
        let sum = sums.entry(run.collection.clone()).or_default();
        (sum.0, sum.1) = (sum.0 + figure, sum.1 + 1.0);
    }
    let best = |row: &Vec<f64>| row.iter().all(|other| *other <= row[column]);
    Standing {
        detector: detector.to_owned(),
        mean: own.iter().sum::<f64>() / n,
        median: f64::midpoint(middle(own.len() / 2), middle(own.len().saturating_sub(1) / 2)),
        mean_rank,
        wins: figures.iter().filter(|row| best(row)).count(),
        failed: runs.iter().filter(|run| run.status != RunStatus::Ok).count(),
        seconds: runs.iter().map(|run| run.seconds).sum::<f64>() / n,
        peak_bytes: runs.iter().filter_map(|run| run.peak_bytes).max(),
        by_collection: sums.into_iter().map(|(name, (sum, count))| (name, sum / count)).collect(),
    }
}

/// Holm's correction for several tests.
fn holm(tests: &mut BTreeMap<(usize, usize), f64>) {
    let mut order: Vec<((usize, usize), f64)> = tests.iter().map(|(pair, p)| (*pair, *p)).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (count, mut least) = (order.len(), 0.0_f64);
    for (done, (pair, p)) in order.into_iter().enumerate() {
        least = least.max(p * (count - done) as f64).min(1.0);
        tests.insert(pair, least);
    }
}

impl fmt::Display for Leaderboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, series, standings, .. } = self;
        let detectors = counted(standings.len(), "detector", "detectors");
        writeln!(f, "{} over {series} series, {detectors}\n", metric.title())?;
        let width = standings.iter().map(|s| s.detector.chars().count()).max().unwrap_or(0).max("detector".len());
        writeln!(f, "{:<width$}   mean  median  mean rank  wins  failed  seconds  peak MiB", "detector")?;
        for Standing { detector, mean, median, mean_rank, wins, failed, seconds, peak_bytes, .. } in standings {
            let peak = peak_bytes.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string());
            writeln!(
                f,
                "{detector:<width$}  {mean:.3}   {median:.3}  {mean_rank:>9.2}  {wins:>4}  {failed:>6}  {seconds:>7.2}  {peak:>8}"
            )?;
        }
        if let Some(p) = self.friedman {
            writeln!(f, "\nFriedman test that all are alike: p = {}", short_p(p))?;
        }
        if let Some(difference) = self.critical_difference {
            writeln!(f, "Nemenyi critical difference of mean ranks at 0.05: {difference:.2}")?;
        }
        for (first, last) in self.cliques() {
            let names: Vec<&str> = standings[first..=last].iter().map(|s| s.detector.as_str()).collect();
            writeln!(f, "  no difference shown: {}", names.join(", "))?;
        }
        if let [first, second, ..] = standings.as_slice() {
            let p = self.wilcoxon.get(&(0, 1)).copied().unwrap_or(f64::NAN);
            let (first, second) = (&first.detector, &second.detector);
            writeln!(f, "Wilcoxon, {first} beside {second}, with Holm's correction: p = {}", short_p(p))?;
        }
        if self.collections.len() > 1 {
            self.write_collections(f, width)?;
        }
        if !self.left_out.is_empty() {
            writeln!(f, "\n{} series left out: no labels of both kinds, or not readable", self.left_out.len())?;
        }
        Ok(())
    }
}

/// A p-value with three digits that count.
pub(super) fn short_p(p: f64) -> String {
    if p >= 0.001 || p.is_nan() { format!("{p:.3}") } else { format!("{p:.1e}") }
}
