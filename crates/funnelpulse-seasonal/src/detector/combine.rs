//! One score out of several.

use std::f64::consts::{LN_10, PI};

use crate::Combine;

impl Combine {
    /// The score of a row from those of its metrics, all of them `-log10 p`; NaN ones don't count.
    pub(super) fn apply(self, surprises: impl Iterator<Item = f64> + Clone) -> f64 {
        let known = surprises.filter(|s| !s.is_nan());
        let largest = known.clone().fold(f64::NAN, f64::max);
        if largest.is_nan() {
            return largest;
        }
        let k = known.clone().count() as f64;
        match self {
            Self::Max => largest,
            Self::Fisher => {
                let half = (known.map(|s| s / 1e3).sum::<f64>() * 1e3 * LN_10).min(f64::MAX / 2.0);
                // Upper tail of a chi-square with an even number of degrees of freedom.
                let mut term = 1.0;
                let mut sum = 1.0;
                let mut scale = 0.0;
                for j in 1..k as u32 {
                    term *= half / f64::from(j);
                    sum += term;
                    if sum > 1e200 {
                        (term, sum, scale) = (term * 1e-200, sum * 1e-200, scale + 200.0 * LN_10);
                    }
                }
                ((half - sum.ln() - scale) / LN_10).max(0.0)
            }
            Self::Cauchy if largest > 12.0 => {
                // tan((1/2 - p) pi) is 1 / (p pi) to twelve digits for the p that count.
                let relative = known.map(|s| 10f64.powf(s - largest)).sum::<f64>();
                (largest + (relative / k).log10()).max(0.0)
            }
            Self::Cauchy => {
                // A p of one, which says nothing, would outweigh everything else.
                let cotangent = |s: f64| 1.0 / (PI * 10f64.powf(-s).min(0.99)).tan();
                let mean = known.map(cotangent).sum::<f64>() / k;
                let p = if mean > 0.0 { (1.0 / mean).atan() / PI } else { 0.5 - mean.atan() / PI };
                (-p.log10()).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_metric_is_its_own_score() {
        for combine in [Combine::Max, Combine::Fisher, Combine::Cauchy] {
            for s in [0.1, 2.0, 11.9, 12.1, 300.0, 1e300] {
                let score = combine.apply([s, f64::NAN].into_iter());
                assert!((score / s - 1.0).abs() < 1e-9, "{combine:?} {s}: {score}");
            }
            assert!(combine.apply([f64::NAN].into_iter()).is_nan());
            assert!(combine.apply([f64::MAX, f64::MAX].into_iter()).is_finite());
        }
    }

    #[test]
    fn several_metrics() {
        // Fisher: p = 0.01 twice gives 1e-4 (1 + ln 1e4).
        let fisher = Combine::Fisher.apply([2.0, 2.0].into_iter());
        assert!((fisher + (1e-4 * (1.0 + 1e4_f64.ln())).log10()).abs() < 1e-9);
        // Equal p-values combine to themselves under Cauchy.
        assert!((Combine::Cauchy.apply([2.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        let (below, above) = (
            Combine::Cauchy.apply([11.999_999, 3.0].into_iter()),
            Combine::Cauchy.apply([12.000_001, 3.0].into_iter()),
        );
        assert!((below - above).abs() < 1e-4);
        assert_eq!(Combine::Max.apply([1.0, 3.0].into_iter()), 3.0);
    }
}
