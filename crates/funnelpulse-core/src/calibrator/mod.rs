//! Raw scores to comparable ones.

mod pareto;
mod sketch;

use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use self::pareto::Tail;
pub use self::sketch::ScoreSketch;
use crate::Error;

/// Fewest scores a calibrator can be fitted on.
pub(crate) const MIN_SCORES: usize = 10;
/// Largest share of scores that may belong to anomalies.
const MAX_CONTAMINATION: f64 = 0.2;
/// Most knots kept of the body of the distribution.
const MAX_KNOTS: usize = 128;
/// The evidence, in decades of the tail probability, that counts as a score of one half.
const HALF_EVIDENCE: f64 = 2.0;

/// Turns a detector's raw scores into scores in `[0, 1]` that mean the same for every detector.
///
/// The calibrator holds the distribution of raw scores on data **without the detector having
/// trained on it**: the empirical distribution in the body, a generalised Pareto tail over the
/// highest 5 % (at most 100 scores; Pickands 1975, fitted by probability-weighted moments, Hosking
/// & Wallis 1987). With `e = -log10 P(S >= raw)` the score is `e² / (e² + 4)`:
///
/// | one clean row in | 10 | 100 | 1,000 | 10⁴ | 10⁵ | 10⁹ |
/// |---|---|---|---|---|---|---|
/// | score | .20 | .50 | .69 | .80 | .86 | .95 |
///
/// The tail is computed in logarithms and never taken to be bounded, so the score keeps rising
/// far above anything seen in training: a worse outlier always scores higher.
///
/// ```
/// use funnelpulse_core::Calibrator;
/// use ndarray::Array1;
///
/// let held_out = Array1::linspace(0.0, 1.0, 1_000);
/// let calibrator = Calibrator::fit(held_out.view())?;
/// assert!((calibrator.tail_probability(0.9) - 0.1).abs() < 0.01);
/// assert!(calibrator.score(50.0) > calibrator.score(5.0));
/// # Ok::<(), funnelpulse_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Calibrator {
    /// Strictly increasing scores of the body; the last one is where the tail starts.
    knots: Vec<f64>,
    /// `ln P(S >= knot)`, decreasing.
    ln_survival: Vec<f64>,
    tail: Tail,
}

#[derive(Deserialize)]
struct Unchecked {
    knots: Vec<f64>,
    ln_survival: Vec<f64>,
    tail: Tail,
}

impl TryFrom<Unchecked> for Calibrator {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        let finite = u.knots.iter().chain(&u.ln_survival).all(|v| v.is_finite());
        let ordered = u.knots.windows(2).all(|w| w[0] < w[1]) && u.ln_survival.windows(2).all(|w| w[0] >= w[1]);
        let sized = !u.knots.is_empty() && u.knots.len() == u.ln_survival.len();
        if finite && ordered && sized && u.ln_survival[0] <= 0.0 && u.tail.is_valid() {
            Ok(Self { knots: u.knots, ln_survival: u.ln_survival, tail: u.tail })
        } else {
            Err("calibrator is not a decreasing survival function")
        }
    }
}

impl Calibrator {
    /// Fits to raw scores of rows that the detector did not train on. Scores that are not finite
    /// don't count; with fewer than ten left, [`Error::TooFewRows`].
    pub fn fit(scores: ArrayView1<'_, f64>) -> Result<Self, Error> {
        let mut sketch = ScoreSketch::new();
        sketch.update(scores);
        Self::from_sketch(&sketch, 0.0)
    }

    /// Fits to scores of which a share `contamination` (0 to 0.2) may belong to anomalies: the
    /// highest of them count, but how high they are does not shape the tail.
    ///
    /// ```
    /// use funnelpulse_core::Calibrator;
    /// use ndarray::Array1;
    ///
    /// // Three of a hundred scores belong to anomalies.
    /// let mut scores = Array1::linspace(0.0, 1.0, 100);
    /// scores.slice_mut(ndarray::s![97..]).fill(9.0);
    /// let plain = Calibrator::fit(scores.view())?;
    /// let robust = Calibrator::fit_contaminated(scores.view(), 0.03)?;
    /// assert!(robust.score(9.0) > plain.score(9.0));
    /// # Ok::<(), funnelpulse_core::Error>(())
    /// ```
    pub fn fit_contaminated(scores: ArrayView1<'_, f64>, contamination: f64) -> Result<Self, Error> {
        let mut sketch = ScoreSketch::new();
        sketch.update(scores);
        Self::from_sketch(&sketch, contamination)
    }

    /// Fits to a sketch of scores, for scores that come in parts; `contamination` as in
    /// [`fit_contaminated`](Self::fit_contaminated), clamped to its range.
    pub fn from_sketch(sketch: &ScoreSketch, contamination: f64) -> Result<Self, Error> {
        let total = sketch.count();
        if total < MIN_SCORES as u64 {
            return Err(Error::TooFewRows { detector: "calibrator", rows: total as usize, needed: MIN_SCORES });
        }
        let points = sketch.points();
        let n = total as f64;
        // The tail holds 5 % of the scores: at least ten (or half of what there is) and at most a
        // hundred, for where there is data the data are right and a fitted tail is only close.
        let censored = (contamination.clamp(0.0, MAX_CONTAMINATION) * n).floor() as u64;
        let wanted = (((0.05 * n).ceil() as u64).clamp(10, 100) + censored).min(total / 2);
        let mut above = 0;
        let mut split = points.len();
        while split > 1 && above < wanted {
            split -= 1;
            above += points[split].weight;
        }
        // points[split..] lie in the tail, points[split - 1] is where it starts.
        let body = &points[..split.max(1)];
        let tail_points = &points[body.len()..];
        let start = body[body.len() - 1].value;
        let spread = points[points.len() - 1].value - points[0].value;
        let tail = Tail::fit(tail_points, start, spread, censored);

        let mut knots: Vec<f64> = Vec::new();
        let mut ln_survival: Vec<f64> = Vec::new();
        let step = body.len().div_ceil(MAX_KNOTS).max(1);
        let mut below = 0;
        for (i, point) in body.iter().enumerate() {
            let last = i + 1 == body.len();
            if last || i % step == 0 {
                // Ties count half, so that a constant score is neither likely nor unlikely; at
                // the start of the tail the share above it is what the tail divides up.
                let at_or_above =
                    if last && !tail_points.is_empty() { total - below - point.weight } else { total - below };
                let half_ties = if last && tail_points.is_empty() { point.weight as f64 / 2.0 } else { 0.0 };
                knots.push(point.value);
                ln_survival.push(((at_or_above as f64 - half_ties) / n).ln().min(0.0));
            }
            below += point.weight;
        }
        Ok(Self { knots, ln_survival, tail })
    }

    /// `ln P(S >= raw)` (natural logarithm, 0 or less) under the fitted distribution; NaN for NaN.
    ///
    /// ```
    /// use funnelpulse_core::Calibrator;
    /// use ndarray::Array1;
    ///
    /// let calibrator = Calibrator::fit(Array1::linspace(0.0, 1.0, 1000).view())?;
    /// // Every score of the history is 0 or more: the probability is one.
    /// assert_eq!(calibrator.ln_tail_probability(-1.0), 0.0);
    /// assert!(calibrator.ln_tail_probability(1e9).is_finite());
    /// # Ok::<(), funnelpulse_core::Error>(())
    /// ```
    pub fn ln_tail_probability(&self, raw: f64) -> f64 {
        let last = self.knots.len() - 1;
        if raw.is_nan() {
            return f64::NAN;
        }
        if raw >= self.knots[last] {
            return self.ln_survival[last] + self.tail.ln_survival(raw - self.knots[last]);
        }
        let right = self.knots.partition_point(|&k| k <= raw);
        if right == 0 {
            return 0.0;
        }
        let (x0, x1) = (self.knots[right - 1], self.knots[right]);
        let (y0, y1) = (self.ln_survival[right - 1], self.ln_survival[right]);
        y0 + (y1 - y0) * ((raw - x0) / (x1 - x0))
    }

    /// `P(S >= raw)`: the share of clean rows that score at least this high.
    pub fn tail_probability(&self, raw: f64) -> f64 {
        self.ln_tail_probability(raw).exp()
    }

    /// The calibrated score in `[0, 1]`; NaN for NaN.
    pub fn score(&self, raw: f64) -> f64 {
        score_of_ln_probability(self.ln_tail_probability(raw))
    }

    /// [`score`](Self::score) of every element.
    ///
    /// ```
    /// use funnelpulse_core::Calibrator;
    /// use ndarray::{Array1, array};
    ///
    /// let calibrator = Calibrator::fit(Array1::linspace(0.0, 1.0, 1000).view())?;
    /// let scores = calibrator.scores(array![0.5, 3.0, f64::NAN].view());
    /// assert!(scores[0] < 0.5 && scores[1] > 0.5 && scores[2].is_nan());
    /// # Ok::<(), funnelpulse_core::Error>(())
    /// ```
    pub fn scores(&self, raw: ArrayView1<'_, f64>) -> Array1<f64> {
        raw.mapv(|r| self.score(r))
    }
}

/// The calibrated score of a tail probability, from its natural logarithm (0 or less).
fn score_of_ln_probability(ln_p: f64) -> f64 {
    score_of_evidence(-ln_p / std::f64::consts::LN_10)
}

/// The calibrated score of `evidence`, decades of the tail probability: `e² / (e² + 4)`, 0 at or
/// below zero; NaN for NaN.
///
/// ```
/// use funnelpulse_core::{evidence_of_score, score_of_evidence};
///
/// // One clean row in a thousand.
/// assert!((score_of_evidence(3.0) - 9.0 / 13.0).abs() < 1e-15);
/// assert!((evidence_of_score(9.0 / 13.0) - 3.0).abs() < 1e-12);
/// ```
pub fn score_of_evidence(evidence: f64) -> f64 {
    if evidence == f64::INFINITY {
        return 1.0;
    }
    let squared = (evidence.max(0.0) / HALF_EVIDENCE).powi(2);
    if evidence.is_nan() { f64::NAN } else { squared / (squared + 1.0) }
}

/// The decades of the tail probability that a calibrated score stands for: the inverse of
/// [`score_of_evidence`]. Infinite for 1, NaN for NaN.
///
/// ```
/// use funnelpulse_core::evidence_of_score;
///
/// // A score of one half: one clean row in a hundred.
/// assert_eq!(evidence_of_score(0.5), 2.0);
/// assert_eq!(evidence_of_score(1.0), f64::INFINITY);
/// ```
pub fn evidence_of_score(score: f64) -> f64 {
    let score = score.clamp(0.0, 1.0);
    HALF_EVIDENCE * (score / (1.0 - score)).sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, Exp1, StandardNormal};
    use rand_pcg::Pcg64;

    use super::*;

    fn normals(n: usize, seed: u64) -> Array1<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        (0..n).map(|_| f64::abs(StandardNormal.sample(&mut rng))).collect()
    }

    #[test]
    fn probabilities_hold_out_of_sample() {
        let calibrator = Calibrator::fit(normals(20_000, 1).view()).unwrap();
        let fresh = normals(200_000, 2);
        for p in [0.5, 0.1, 0.01, 0.001] {
            let flagged = fresh.iter().filter(|&&s| calibrator.tail_probability(s) <= p).count();
            let realised = flagged as f64 / fresh.len() as f64;
            assert!((realised / p).ln().abs() < 0.35, "asked for {p}, got {realised}");
        }
    }

    #[test]
    fn the_tail_of_an_exponential_is_exponential() {
        let mut rng = Pcg64::seed_from_u64(5);
        let scores: Array1<f64> = (0..50_000).map(|_| Distribution::<f64>::sample(&Exp1, &mut rng)).collect();
        let calibrator = Calibrator::fit(scores.view()).unwrap();
        let expected = -12.0;
        let got = calibrator.ln_tail_probability(12.0);
        assert!((got - expected).abs() < 2.5, "ln p {got}, exponential has {expected}");
    }

    #[test]
    fn anomalies_among_the_scores_do_not_hide_themselves() {
        let mut scores = normals(2_000, 6);
        for i in 0..40 {
            scores[i * 50] = 9.0 + 0.01 * i as f64;
        }
        let naive = Calibrator::fit(scores.view()).unwrap();
        let wary = Calibrator::fit_contaminated(scores.view(), 0.03).unwrap();
        assert!(naive.score(9.2) < 0.6, "taken at face value they are ordinary: {}", naive.score(9.2));
        assert!(wary.score(9.2) > 0.75, "{}", wary.score(9.2));
        assert!(wary.score(3.0) < 0.7, "what is rare but clean stays so: {}", wary.score(3.0));
    }

    #[test]
    fn worse_is_always_higher() {
        let calibrator = Calibrator::fit(normals(500, 3).view()).unwrap();
        let mut last = 0.0;
        for power in 0..300 {
            let score = calibrator.score(4.0 * 10f64.powi(power));
            assert!(score > last && score < 1.0, "10^{power}: {score} after {last}");
            last = score;
        }
    }

    #[test]
    fn constant_scores_are_unremarkable_and_anything_above_stands_out() {
        let calibrator = Calibrator::fit(Array1::from_elem(100, 0.5).view()).unwrap();
        assert!(calibrator.score(0.5) < 0.1);
        assert!(calibrator.score(0.4) < 0.1);
        assert!(calibrator.score(2.0) > 0.5);
        assert!(calibrator.score(f64::NAN).is_nan());
        assert_eq!(calibrator.score(f64::INFINITY), 1.0);
    }

    #[test]
    fn too_few_scores_are_refused() {
        let nine = Array1::linspace(0.0, 1.0, 9);
        assert!(matches!(Calibrator::fit(nine.view()), Err(Error::TooFewRows { rows: 9, .. })));
        assert!(Calibrator::fit(Array1::from_elem(50, f64::NAN).view()).is_err());
    }

    #[test]
    fn a_forged_calibrator_is_refused() {
        let good = Calibrator::fit(normals(100, 4).view()).unwrap();
        let mut bytes = postcard::to_allocvec(&good).unwrap();
        assert_eq!(postcard::from_bytes::<Calibrator>(&bytes).unwrap(), good);
        bytes[1..9].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(postcard::from_bytes::<Calibrator>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn monotone_and_in_range(
            scores in prop::collection::vec(-1e6..1e6f64, 10..400),
            a in -2e6..2e6f64,
            b in -2e6..2e6f64,
        ) {
            let calibrator = Calibrator::fit(Array1::from(scores).view()).unwrap();
            let (low, high) = (calibrator.score(a.min(b)), calibrator.score(a.max(b)));
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            prop_assert!(low <= high);
        }
    }

    fn up_to(n: u32) -> Array1<f64> {
        (1..=n).map(f64::from).collect()
    }

    fn assert_probability(calibrator: &Calibrator, raw: f64, expected: f64) {
        let got = calibrator.tail_probability(raw);
        assert!((got - expected).abs() < 1e-12, "P(S >= {raw}) = {got}, expected {expected}");
    }

    #[test]
    fn the_body_is_the_empirical_distribution() {
        // Ten are enough; half of them are the tail, which starts at 5.
        let calibrator = Calibrator::fit(up_to(10).view()).unwrap();
        for (raw, share) in [(0.9, 1.0), (1.0, 1.0), (2.0, 0.9), (3.0, 0.8), (4.0, 0.7), (5.0, 0.5)] {
            assert_probability(&calibrator, raw, share);
        }
        // Between two scores it is the logarithm that is interpolated.
        assert_probability(&calibrator, 3.5, (0.8f64 * 0.7).sqrt());
        // The excesses 1 to 5 have a0 = 3 and a1 = Σ (1 - (i - .35) / 5) i / 5 = 1.01: the shape that they
        // ask for, 2 - 3 / .98, is below the least one of .05, which leaves a scale of 2.85.
        let tail = (1.0f64 + 0.05 * 4.0 / 2.85).powi(-20);
        assert_probability(&calibrator, 9.0, 0.5 * tail);
    }

    #[test]
    fn the_tail_holds_five_percent_and_at_most_a_hundred_scores() {
        for (n, in_tail) in [(100, 10), (400, 20), (1_000, 50), (4_000, 100)] {
            let calibrator = Calibrator::fit(up_to(n).view()).unwrap();
            assert_probability(&calibrator, f64::from(n - in_tail), f64::from(in_tail) / f64::from(n));
        }
        // One knot in three of 380 is kept, 301 among them.
        assert_probability(&Calibrator::fit(up_to(400).view()).unwrap(), 301.0, 0.25);
    }

    #[test]
    fn the_contaminated_share_comes_on_top_of_the_tail() {
        // Ten scores of the tail and three that may belong to anomalies, above 97.
        let calibrator = Calibrator::fit_contaminated(up_to(100).view(), 0.03).unwrap();
        assert_probability(&calibrator, 87.0, 0.13);
        assert_probability(&calibrator, 97.0, 0.03);
        // A fifth is the most.
        let most = Calibrator::fit_contaminated(up_to(100).view(), 0.9).unwrap();
        assert_eq!(most, Calibrator::fit_contaminated(up_to(100).view(), 0.2).unwrap());
        assert_probability(&most, 70.0, 0.3);
    }

    #[test]
    fn half_of_the_ties_lie_above() {
        assert_probability(&Calibrator::fit(Array1::from_elem(100, 0.5).view()).unwrap(), 0.5, 0.5);
    }

    #[test]
    fn scores_and_evidence_are_each_others_inverse() {
        for (evidence, score) in [(0.0, 0.0), (1.0, 0.2), (2.0, 0.5), (3.0, 9.0 / 13.0), (4.0, 0.8), (6.0, 0.9)] {
            assert!((score_of_evidence(evidence) - score).abs() < 1e-15, "{evidence}");
            assert!((evidence_of_score(score) - evidence).abs() < 1e-12, "{score}");
        }
        assert_eq!((score_of_evidence(-1.0), score_of_evidence(f64::INFINITY)), (0.0, 1.0));
        assert_eq!((evidence_of_score(-0.5), evidence_of_score(1.0)), (0.0, f64::INFINITY));
        assert!(score_of_evidence(f64::NAN).is_nan() && evidence_of_score(f64::NAN).is_nan());
    }
}
