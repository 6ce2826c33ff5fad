//! The threshold that keeps to a budget of false alarms.

use funnelpulse_core::{AlarmBudget, Timestamp, evidence_of_score, score_of_evidence};

/// Alarms per series and week within which a history is taken at its word: rarer ones may be real.
const FREQUENT: f64 = 5.0;
const RARE: f64 = 0.5;
/// Alarms that the count at a threshold needs to say anything.
const MIN_ALARMS: usize = 20;
/// Evidence rises in such steps, decades.
const STEP: f64 = 0.05;
const WEEK: f64 = 168.0;

/// The combined score from which a row is flagged so that normal rows raise `budget` alarms.
///
/// `series` holds the times and combined scores of a history, NaN where there is none. Alarms
/// (runs of rows at or above a threshold) are counted at rising thresholds. As long as there are more
/// than one per series and fortnight most of them are false, since incidents are rarer, and the
/// count is the answer. Beyond, the logarithm of their number is extrapolated as a straight line in
/// the evidence, the tail that likelihood ratios have.
///
/// `None` without a budget, or when the history is too short to count twenty alarms.
///
/// ```
/// use funnelpulse_core::{Timestamp, score_of_evidence};
/// use funnelpulse_ensemble::threshold_for_budget;
///
/// // Tail probabilities that are uniform, as those of normal rows are.
/// let hours: Vec<Timestamp> = (0..100_000).map(|h| Timestamp::from_seconds(h * 3600)).collect();
/// let uniform = |h: usize| ((h * 37_911 % 100_003) as f64 + 0.5) / 100_003.0;
/// let scores: Vec<f64> = (0..hours.len()).map(|h| score_of_evidence(-uniform(h).log10())).collect();
/// let series = [(hours.as_slice(), scores.as_slice())];
/// let threshold = threshold_for_budget("3 per series per year".parse()?, &series).unwrap();
/// assert!((score_of_evidence(3.2)..score_of_evidence(3.7)).contains(&threshold));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn threshold_for_budget(budget: AlarmBudget, series: &[(&[Timestamp], &[f64])]) -> Option<f64> {
    let allowed = budget.per_series_hour(series.len())? * WEEK;
    let evidence: Vec<Vec<f64>> =
        series.iter().map(|(_, scores)| scores.iter().map(|s| evidence_of_score(*s)).collect()).collect();
    let rows: usize = evidence.iter().flatten().filter(|e| !e.is_nan()).count();
    let weeks = rows as f64 / WEEK;
    let highest = evidence.iter().flatten().copied().filter(|e| e.is_finite()).fold(0.0, f64::max);
    // Alarms per series and week at rising evidence, from where they are most frequent: below, runs
    // only flow into one another.
    let mut curve: Vec<(f64, usize)> = Vec::new();
    let mut level = STEP;
    while level <= highest {
        curve.push((level, series.iter().zip(&evidence).map(|((time, _), e)| alarms_at(time, e, level)).sum()));
        level += STEP;
    }
    let peak = curve.iter().enumerate().max_by_key(|(i, (_, alarms))| (*alarms, std::cmp::Reverse(*i)))?.0;
    let curve: Vec<(f64, f64)> = curve[peak..]
        .iter()
        .take_while(|(_, alarms)| *alarms >= MIN_ALARMS)
        .map(|(level, alarms)| (*level, *alarms as f64 / weeks))
        .collect();
    let lowest = curve.first()?.0;
    if allowed >= RARE
        && let Some((level, _)) = curve.iter().find(|(_, alarms)| *alarms <= allowed)
    {
        return Some(score_of_evidence(*level));
    }
    let (intercept, slope) = line(&curve)?;
    let evidence = (intercept - allowed.ln()) / slope;
    Some(score_of_evidence(evidence.max(lowest)))
}

/// Runs of rows at or above `level`; gaps in time of more than a few hours end a run.
fn alarms_at(time: &[Timestamp], evidence: &[f64], level: f64) -> usize {
    let mut alarms = 0;
    let mut last: Option<Timestamp> = None;
    for (time, evidence) in time.iter().zip(evidence) {
        if *evidence >= level {
            let goes_on = last.is_some_and(|last| *time <= last.offset(3 * Timestamp::HOUR));
            alarms += usize::from(!goes_on);
            last = Some(*time);
        } else if last.is_some_and(|last| *time > last.offset(Timestamp::HOUR)) {
            last = None;
        }
    }
    alarms
}

/// Least squares of the logarithm of the alarms on the evidence where they are neither too rare nor
/// too frequent: intercept and how steeply they fall.
fn line(curve: &[(f64, f64)]) -> Option<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = curve.iter().copied().filter(|(_, a)| (RARE..=FREQUENT).contains(a)).collect();
    if points.len() < 3 {
        points = curve.to_vec();
    }
    let n = points.len() as f64;
    let x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let y = points.iter().map(|p| p.1.ln()).sum::<f64>() / n;
    let sxx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let sxy: f64 = points.iter().map(|p| (p.0 - x) * (p.1.ln() - y)).sum();
    let slope = -sxy / sxx;
    // Tails of calibrated evidence fall about a decade per decade; a flat or missing slope says the
    // history is too short to tell.
    (points.len() >= 3 && slope.is_finite() && slope > 0.1).then_some((y + slope * x, slope))
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

    fn views(history: &[(Vec<Timestamp>, Vec<f64>)]) -> Vec<(&[Timestamp], &[f64])> {
        history.iter().map(|(t, s)| (t.as_slice(), s.as_slice())).collect()
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
            let alarms: usize = later
                .iter()
                .map(|(t, s)| alarms_at(t, &s.iter().map(|s| evidence_of_score(*s)).collect::<Vec<_>>(), level))
                .sum();
            let ratio = alarms as f64 / (budget.per_series_hour(40).unwrap() * 40.0 * 3000.0);
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

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(threshold_for_budget(AlarmBudget::MONTHLY, &[]), None);
        assert_eq!(threshold_for_budget(AlarmBudget::OFF, &views(&history(3, 500, 4))), None);
        assert_eq!(threshold_for_budget(AlarmBudget::MONTHLY, &views(&history(1, 30, 5))), None);
    }
}
