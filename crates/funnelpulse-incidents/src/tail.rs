//! How rare log odds are in normal operation.

use serde::{Deserialize, Serialize};

/// Shares of the rows between which the fall of the tail is taken: few enough to lie in the tail,
/// many enough that incidents hardly matter.
const FROM: f64 = 0.3;
const TO: f64 = 0.08;
/// Slopes that are possible. Likelihood ratios fall by at least a factor of e per unit where the
/// model is right (Ville 1939); where it is a little wrong, by less.
const SLOPES: (f64, f64, f64) = (0.4, 1.0, 2.0);

/// The tail of log odds: an exponential, as likelihood ratios have, fitted where normal rows are
/// in the majority and carried on beyond, so that the incidents of a history don't make later ones
/// look common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    slope: f64,
    offset: f64,
}

impl Tail {
    pub(crate) fn fit(mut log_odds: Vec<f64>) -> Self {
        log_odds.retain(|l| l.is_finite());
        log_odds.sort_by(f64::total_cmp);
        let at = |share: f64| log_odds.get(((1.0 - share) * log_odds.len() as f64) as usize).copied();
        let (from, to) = (at(FROM).unwrap_or(-5.0), at(TO).unwrap_or(-4.0));
        let slope = (FROM / TO).ln() / (to - from);
        let slope = if slope.is_finite() { slope.clamp(SLOPES.0, SLOPES.2) } else { SLOPES.1 };
        Self { slope, offset: -TO.ln() - slope * to }
    }

    pub(crate) fn is_valid(self) -> bool {
        (SLOPES.0..=SLOPES.2).contains(&self.slope) && self.offset.abs() < 1e6
    }

    /// `-log10` of the share of normal rows with log odds as high, never below zero and rising throughout.
    pub(crate) fn evidence(self, log_odds: f64) -> f64 {
        let ln = self.slope * log_odds + self.offset;
        (ln.max(0.0) + (-ln.abs()).exp().ln_1p()) / std::f64::consts::LN_10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_do_not_make_incidents_common() {
        // Exponential with a rate of 1.2, and 3 % of rows that are something else.
        let n = 10_000;
        let mut rows: Vec<f64> = (0..n).map(|i| -((f64::from(i) + 0.5) / f64::from(n)).ln() / 1.2 - 8.0).collect();
        let clean = Tail::fit(rows.clone());
        rows.iter_mut().take(300).for_each(|l| *l = 20.0);
        let struck = Tail::fit(rows);
        assert!((clean.evidence(2.0) - 12.0 / std::f64::consts::LN_10).abs() < 0.3);
        assert!((clean.evidence(2.0) - struck.evidence(2.0)).abs() < 1.0);
        assert!(struck.evidence(20.0) > 10.0);
        assert!(clean.evidence(-20.0) > clean.evidence(-25.0));
    }

    #[test]
    fn nothing_and_constants_have_a_tail_too() {
        assert!(Tail::fit(Vec::new()).is_valid());
        assert!(Tail::fit(vec![-3.0; 50]).is_valid());
    }
}
