//! The threshold that keeps to a budget of false alarms.

use funnelpulse_core::{AlarmBudget, Timestamp, evidence_of_score, score_of_evidence};

/// Alarms per series and week down to which all alarms of a history count as false, without odds of
/// an incident: rarer ones may be real.
const RARE: f64 = 0.5;
/// Fewest false alarms for a count at a threshold to be used.
const MIN_ALARMS: f64 = 8.0;
/// The tail is extrapolated by its slope where alarms are up to this many times as frequent as at
/// its end.
const TAIL: f64 = 10.0;
/// Step of the evidence, decades.
const STEP: f64 = 0.05;
/// Hours of a week.
const WEEK: f64 = 168.0;

/// A series of the history that a threshold is learnt from; one value per row.
///
/// ```
/// use funnelpulse_core::{AlarmBudget, Timestamp};
/// use funnelpulse_ensemble::{ScoredSeries, threshold_for_budget};
///
/// // Two rows are too few to count eight alarms.
/// let time = [Timestamp::from_seconds(0), Timestamp::from_seconds(3600)];
/// let series = ScoredSeries { time: &time, score: &[0.1, 0.9], log_odds: None };
/// assert_eq!(threshold_for_budget(AlarmBudget::MONTHLY, &[series]), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ScoredSeries<'a> {
    /// Times of the rows, rising.
    pub time: &'a [Timestamp],
    /// Combined scores, NaN where there is none.
    pub score: &'a [f64],
    /// Logarithms of the odds that a row is part of a real incident, if a model gives them; NaN
    /// means that it is not.
    pub log_odds: Option<&'a [f64]>,
}

/// The combined score from which a row is flagged so that normal rows raise `budget` alarms.
///
/// Alarms (runs of rows at or above a threshold) are counted at rising thresholds, each as the
/// probability that it is false: one minus the probability of an incident by
/// [`log_odds`](ScoredSeries::log_odds) (a local false discovery rate; Efron 2001), and one without
/// odds. Without any odds the count is used as long as there is more than one per series and
/// fortnight: most of those are false, since incidents are rarer. Beyond the last count that can be
/// used the logarithm of the number of alarms is extrapolated as a straight line in the evidence.
///
/// Flagged rows more than three hours apart, or more than three rows where rows are longer than an
/// hour, are separate alarms.
///
/// `None` without a budget, or when the history is too short to count eight alarms.
///
/// ```
/// use funnelpulse_core::{Timestamp, score_of_evidence};
/// use funnelpulse_ensemble::{ScoredSeries, threshold_for_budget};
///
/// // Tail probabilities that are uniform, as those of normal rows are.
/// let time: Vec<Timestamp> = (0..100_000).map(|h| Timestamp::from_seconds(h * 3600)).collect();
/// let uniform = |h: usize| ((h * 37_911 % 100_003) as f64 + 0.5) / 100_003.0;
/// let score: Vec<f64> = (0..time.len()).map(|h| score_of_evidence(-uniform(h).log10())).collect();
/// let series = [ScoredSeries { time: &time, score: &score, log_odds: None }];
/// let threshold = threshold_for_budget("3 per series per year".parse()?, &series).unwrap();
/// assert!((score_of_evidence(3.2)..score_of_evidence(3.7)).contains(&threshold));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn threshold_for_budget(budget: AlarmBudget, series: &[ScoredSeries<'_>]) -> Option<f64> {
    let allowed = budget.per_series_hour(series.len())? * WEEK;
    let evidence: Vec<Vec<f64>> =
        series.iter().map(|s| s.score.iter().map(|s| evidence_of_score(*s)).collect()).collect();
    let rows: usize = evidence.iter().flatten().filter(|e| !e.is_nan()).count();
    let step = step(series);
    let weeks = rows as f64 * (step as f64 / Timestamp::HOUR as f64) / WEEK;
    let highest = evidence.iter().flatten().copied().filter(|e| e.is_finite()).fold(0.0, f64::max);
    // False alarms per series and week at rising evidence, from where they are most frequent:
    // below, runs only merge.
    let mut curve: Vec<(f64, f64)> = Vec::new();
    let mut level = STEP;
    while level <= highest {
        curve.push((level, series.iter().zip(&evidence).map(|(s, e)| false_alarms(s, e, level, step)).sum()));
        level += STEP;
    }
    let peak = (0..curve.len()).rev().max_by(|a, b| curve[*a].1.total_cmp(&curve[*b].1))?;
    let known = series.iter().any(|s| s.log_odds.is_some());
    let last_word = if known { MIN_ALARMS } else { MIN_ALARMS.max(RARE * weeks) };
    let curve: Vec<(f64, f64)> = curve[peak..]
        .iter()
        .take_while(|(_, alarms)| *alarms >= last_word)
        .map(|(level, alarms)| (*level, *alarms / weeks))
        .collect();
    if let Some((level, _)) = curve.iter().find(|(_, alarms)| *alarms <= allowed) {
        return Some(score_of_evidence(*level));
    }
    let (last, alarms) = *curve.last()?;
    Some(score_of_evidence(last + (alarms / allowed).ln() / slope(&curve)?))
}

/// The usual distance of rows, microseconds; an hour where there are no two rows.
fn step(series: &[ScoredSeries<'_>]) -> i64 {
    let gaps = series.iter().flat_map(|s| s.time.windows(2).map(|t| t[1].as_micros().saturating_sub(t[0].as_micros())));
    let mut gaps: Vec<i64> = gaps.collect();
    if gaps.is_empty() {
        return Timestamp::HOUR;
    }
    let middle = gaps.len() / 2;
    *gaps.select_nth_unstable(middle).1
}

/// Runs of rows at or above `level`, each as the probability that it is false; gaps in time of more
/// than a few hours end a run.
fn false_alarms(series: &ScoredSeries<'_>, evidence: &[f64], level: f64, step: i64) -> f64 {
    let unit = step.max(Timestamp::HOUR);
    let mut alarms = 0.0;
    let mut run: Option<(Timestamp, f64)> = None;
    let probability = |log_odds: f64| 1.0 / (1.0 + log_odds.exp());
    for (row, (time, evidence)) in series.time.iter().zip(evidence).enumerate() {
        if *evidence >= level {
            let log_odds = series.log_odds.map_or(f64::NAN, |l| l[row]).max(f64::MIN);
            match &mut run {
                Some((last, highest)) if *time <= last.offset(unit.saturating_mul(3)) => {
                    *last = *time;
                    *highest = highest.max(log_odds);
                }
                _ => alarms += run.replace((*time, log_odds)).map_or(0.0, |(_, highest)| probability(highest)),
            }
        } else if let Some((last, highest)) = run
            && *time > last.offset(unit)
        {
            alarms += probability(highest);
            run = None;
        }
    }
    alarms + run.map_or(0.0, |(_, highest)| probability(highest))
}

/// The slope of the logarithm of the alarms over the evidence at the end of the curve, by least
/// squares.
fn slope(curve: &[(f64, f64)]) -> Option<f64> {
    let end = curve.last()?.1;
    let points: Vec<(f64, f64)> = curve.iter().copied().filter(|(_, alarms)| *alarms <= TAIL * end).collect();
    let n = points.len() as f64;
    let x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let y = points.iter().map(|p| p.1.ln()).sum::<f64>() / n;
    let sxx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let sxy: f64 = points.iter().map(|p| (p.0 - x) * (p.1.ln() - y)).sum();
    let slope = -sxy / sxx;
    // Tails of calibrated evidence fall about a decade per decade; a flat or missing slope means
    // that the history is too short.
    (points.len() >= 3 && slope.is_finite() && slope > 0.1).then_some(slope)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    fn history(series: usize, hours: usize, seed: u64) -> Vec<(Vec<Timestamp>, Vec<f64>)> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut one = || {
            let time = (0..hours as i64).map(|h| Timestamp::from_seconds(h * 3600)).collect();
            // Tail probabilities of normal rows are uniform.
            (time, (0..hours).map(|_| score_of_evidence(-rng.random::<f64>().log10())).collect())
        };
        (0..series).map(|_| one()).collect()
    }

    fn views(history: &[(Vec<Timestamp>, Vec<f64>)]) -> Vec<ScoredSeries<'_>> {
        history.iter().map(|(time, score)| ScoredSeries { time, score, log_odds: None }).collect()
    }

    #[test]
    fn normal_rows_keep_to_the_budget() {
        let (history, later) = (history(40, 3000, 1), history(40, 3000, 2));
        for text in
            ["2 per series per week", "1 per series per week", "1 per series per month", "2 per series per year"]
        {
            let budget: AlarmBudget = text.parse().unwrap();
            let threshold = threshold_for_budget(budget, &views(&history)).unwrap();
            let level = evidence_of_score(threshold);
            let evidence = |s: &ScoredSeries<'_>| s.score.iter().map(|s| evidence_of_score(*s)).collect::<Vec<_>>();
            let alarms: f64 = views(&later).iter().map(|s| false_alarms(s, &evidence(s), level, Timestamp::HOUR)).sum();
            let ratio = alarms / (budget.per_series_hour(40).unwrap() * 40.0 * 3000.0);
            assert!((0.5..2.0).contains(&ratio), "{text}: {ratio} times the budget");
        }
    }

    #[test]
    fn incidents_in_the_history_hardly_matter() {
        let clean = history(40, 3000, 3);
        let mut struck = clean.clone();
        for (_, scores) in &mut struck {
            scores[500..530].fill(0.97);
            scores[2000..2006].fill(0.99);
        }
        let budget = AlarmBudget::MONTHLY;
        let (a, b) = (threshold_for_budget(budget, &views(&clean)), threshold_for_budget(budget, &views(&struck)));
        let (a, b) = (evidence_of_score(a.unwrap()), evidence_of_score(b.unwrap()));
        assert!((a - b).abs() < 0.3, "{a} and {b}");
    }

    /// The same scores at another step are as many alarms per row, not per hour.
    #[test]
    fn the_budget_counts_time_whatever_the_step() {
        let uniform = |h: usize| ((h * 37_911 % 100_003) as f64 + 0.5) / 100_003.0;
        let score: Vec<f64> = (0..100_000).map(|h| score_of_evidence(-uniform(h).log10())).collect();
        let threshold = |step: i64, budget: &str| {
            let time: Vec<Timestamp> = (0..100_000).map(|row| Timestamp::from_seconds(row * step)).collect();
            // Surely no incidents: then every count is used.
            let log_odds = vec![-20.0; time.len()];
            let series = [ScoredSeries { time: &time, score: &score, log_odds: Some(&log_odds) }];
            evidence_of_score(threshold_for_budget(budget.parse().unwrap(), &series).unwrap())
        };
        // Rows of a day: 24 times the time, so that the same threshold raises a 24th of the alarms.
        let (hourly, daily) = (threshold(3600, "24 per series per year"), threshold(86_400, "1 per series per year"));
        assert!((hourly - daily).abs() < 0.06, "{hourly} {daily}");
    }

    #[test]
    fn odds_tell_incidents_from_false_alarms() {
        // One incident per series and week, far more than the budget: without odds they all count.
        let clean = history(40, 3000, 6);
        let mut struck = clean.clone();
        let mut odds = vec![vec![-8.0; 3000]; 40];
        for ((_, scores), odds) in struck.iter_mut().zip(&mut odds) {
            for start in (100..2900).step_by(168) {
                scores[start..start + 5].fill(0.95);
                odds[start..start + 5].fill(6.0);
            }
        }
        let budget = "2 per series per year".parse().unwrap();
        let told: Vec<ScoredSeries<'_>> =
            views(&struck).iter().zip(&odds).map(|(s, odds)| ScoredSeries { log_odds: Some(odds), ..*s }).collect();
        let level = |series: &[ScoredSeries<'_>]| evidence_of_score(threshold_for_budget(budget, series).unwrap());
        let (clean, told) = (level(&views(&clean)), level(&told));
        assert!((clean - told).abs() < 0.3, "{clean} and {told}");
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(threshold_for_budget(AlarmBudget::MONTHLY, &[]), None);
        assert_eq!(threshold_for_budget(AlarmBudget::OFF, &views(&history(3, 500, 4))), None);
        assert_eq!(threshold_for_budget(AlarmBudget::MONTHLY, &views(&history(1, 30, 5))), None);
    }

    #[test]
    fn the_slope_is_that_of_the_end_of_the_curve() {
        let line =
            |slope: f64, levels: &[f64]| levels.iter().map(|l| (*l, (5.0 - slope * l).exp())).collect::<Vec<_>>();
        let end = line(2.0, &[1.0, 1.25, 1.5, 2.0]);
        assert!((slope(&end).unwrap() - 2.0).abs() < 1e-9);
        // More than ten times as many alarms as at the end: of no account.
        let with_start: Vec<(f64, f64)> = [(0.2, 1e6), (0.4, 1e5)].into_iter().chain(end.clone()).collect();
        assert!((slope(&with_start).unwrap() - 2.0).abs() < 1e-9);
        // Off the line by +.1, -.2 and +.1 at 1, 2 and 3: least squares do not tilt.
        let bent = [(1.0, 0.1), (2.0, -0.2), (3.0, 0.1)].map(|(level, off): (f64, f64)| (level, (off - level).exp()));
        assert!((slope(&bent).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(slope(&end[2..]), None, "two points");
        assert_eq!(slope(&[]), None);
        for flat in [0.0, 0.05, -1.0] {
            assert_eq!(slope(&line(flat, &[1.0, 2.0, 3.0])), None, "{flat}");
        }
    }
}
