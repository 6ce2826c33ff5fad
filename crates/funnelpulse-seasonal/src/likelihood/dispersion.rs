//! The dispersion of overdispersed counts by maximum likelihood.
//!
//! In the size `s` of a negative binomial (one over its dispersion) or the strength `s = a + b` of a
//! beta-binomial, the derivatives of the log-likelihood are sums of differences of digamma functions:
//! Newton's method on the logarithm of the dispersion finds the maximum in a few passes.

use super::{Family, LEAST_DISPERSION, digamma::digamma_rise};

/// Rows with their linear predictors.
pub(crate) struct Counts<'a> {
    pub(crate) eta: &'a [f64],
    pub(crate) y: &'a [f64],
    pub(crate) exposure: Option<&'a [f64]>,
    pub(crate) weight: Option<&'a [f64]>,
}

/// Change of the logarithm of the dispersion at which Newton's method ends: the error left is its
/// square.
const TOLERANCE: f64 = 3e-4;
/// Longest step of the logarithm of the dispersion.
const LONGEST: f64 = 3.0;
/// Counts up to this many times the number of rows are taken together: a sum over counts is then
/// shorter than one over rows.
const FEW: f64 = 4.0;

/// A row as the dispersion sees it: a mean of its own and what was observed.
#[derive(Clone, Copy)]
struct Row {
    weight: f64,
    y: f64,
    /// The mean of a negative binomial, the share of a beta-binomial.
    mean: f64,
    /// The trials of a beta-binomial.
    trials: f64,
}

/// The likelihood of rows as a function of the dispersion.
struct Likelihood {
    rows: Vec<Row>,
    trials: bool,
    /// Weight of the rows with more than `j` counts, for each `j`; where counts are few.
    above: Option<Vec<f64>>,
}

impl Counts<'_> {
    /// The dispersion of greatest likelihood between [`LEAST_DISPERSION`] and `most`, near the
    /// `present` one if there are several. Where the variance does not exceed that without
    /// dispersion it is the least: the likelihood falls from there on (Levin & Reeds, Annals of
    /// Statistics 1977).
    pub(super) fn best_dispersion(&self, family: &Family, present: f64, most: f64) -> f64 {
        let likelihood = Likelihood::new(self, family);
        let (excess, scale) = likelihood.excess();
        if excess <= 0.0 || !excess.is_finite() {
            return LEAST_DISPERSION;
        }
        let start = if present > 10.0 * LEAST_DISPERSION { present } else { excess / scale };
        let (mut low, mut high) = (LEAST_DISPERSION.ln(), most.ln());
        let mut x = if start.is_finite() { start.ln().clamp(low, high) } else { f64::midpoint(low, high) };
        for _ in 0..60 {
            let (slope, curvature) = likelihood.derivatives(x);
            if slope > 0.0 {
                low = x;
            } else {
                high = x;
            }
            let newton = if curvature < 0.0 { -slope / curvature } else { LONGEST.copysign(slope) };
            let next = x + newton.clamp(-LONGEST, LONGEST);
            let next = if next >= low && next <= high { next } else { f64::midpoint(low, high) };
            let step = (next - x).abs();
            x = next;
            if step < TOLERANCE || step.is_nan() {
                break;
            }
        }
        x.exp().clamp(LEAST_DISPERSION, most)
    }
}

impl Likelihood {
    fn new(counts: &Counts<'_>, family: &Family) -> Self {
        let weight = |i: usize| counts.weight.map_or(1.0, |w| w[i]);
        let row = |i: usize| {
            let trials = counts.exposure.map_or(1.0, |e| e[i]);
            let discrete = family.discrete(counts.eta[i], trials).expect("only counts have a dispersion");
            let mean = if family.has_trials() { discrete.mean() / trials } else { discrete.mean() };
            Row { weight: weight(i), y: counts.y[i], mean, trials }
        };
        let rows: Vec<Row> = (0..counts.y.len()).filter(|i| weight(*i) > 0.0).map(row).collect();
        let most = rows.iter().map(|row| row.y).fold(0.0, f64::max);
        let few = !family.has_trials() && most <= FEW * rows.len() as f64;
        let above = few.then(|| {
            let mut above = vec![0.0; most as usize + 1];
            for row in &rows {
                above[row.y as usize] += row.weight;
            }
            let mut sum = 0.0;
            for weight in above.iter_mut().rev() {
                let own = *weight;
                *weight = sum;
                sum += own;
            }
            above
        });
        Self { rows, trials: family.has_trials(), above }
    }

    /// Squares around the mean less those expected without dispersion, which is twice the slope of the
    /// likelihood there, and those expected of a dispersion of one: their ratio is an estimate.
    fn excess(&self) -> (f64, f64) {
        self.rows.iter().fold((0.0, 0.0), |(excess, scale), row| {
            let Row { weight, y, mean, trials } = *row;
            if self.trials {
                let rest = 1.0 - mean;
                let pairs = y * (y - 1.0) / mean + (trials - y) * (trials - y - 1.0) / rest - trials * (trials - 1.0);
                (excess + weight * pairs, scale + weight * trials * (trials - 1.0).max(0.0))
            } else {
                (excess + weight * ((y - mean).powi(2) - y), scale + weight * mean * mean)
            }
        })
    }

    /// First and second derivative of the log-likelihood by the logarithm `x` of the dispersion.
    fn derivatives(&self, x: f64) -> (f64, f64) {
        // d s / d x = -g, and d g / d x = -g: s = 1 / alpha, or s = 1 / rho - 1.
        let g = (-x).exp();
        let (first, second) = if self.trials { self.by_strength(g - 1.0) } else { self.by_size(g) };
        (-g * first, g * first + g * g * second)
    }

    fn by_size(&self, size: f64) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for &Row { weight, y, mean, .. } in &self.rows {
            let total = mean + size;
            let away = (mean - y) / total;
            let mut own = (away - (mean / size).ln_1p(), mean / (size * total) - away / total);
            if self.above.is_none() {
                let (rise, slope) = digamma_rise(size, y);
                own = (own.0 + rise, own.1 + slope);
            }
            sums = (sums.0 + weight * own.0, sums.1 + weight * own.1);
        }
        for (j, weight) in self.above.iter().flatten().enumerate() {
            let inverse = 1.0 / (size + j as f64);
            sums = (sums.0 + weight * inverse, sums.1 - weight * inverse * inverse);
        }
        sums
    }

    fn by_strength(&self, strength: f64) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for &Row { weight, y, mean, trials } in &self.rows {
            let rest = 1.0 - mean;
            let (own, own_slope) = digamma_rise(mean * strength, y);
            let (other, other_slope) = digamma_rise(rest * strength, trials - y);
            let (all, all_slope) = digamma_rise(strength, trials);
            sums.0 += weight * (mean * own + rest * other - all);
            sums.1 += weight * (mean * mean * own_slope + rest * rest * other_slope - all_slope);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Beta, Binomial, Distribution, Gamma, Poisson};
    use rand_pcg::Pcg64;

    use super::*;

    /// The log-likelihood itself.
    fn log_likelihood(counts: &Counts<'_>, family: &Family) -> f64 {
        let share = |i: usize| {
            let row = family.discrete(counts.eta[i], counts.exposure.map_or(1.0, |e| e[i])).unwrap();
            counts.weight.map_or(1.0, |w| w[i]) * row.ln_pmf(counts.y[i])
        };
        (0..counts.y.len()).map(share).sum()
    }

    /// Its maximum by golden section.
    fn maximum(f: impl Fn(f64) -> f64, most: f64) -> f64 {
        let (mut a, mut b) = (LEAST_DISPERSION.ln(), most.ln());
        // A grid first: far from its maximum the likelihood is flat.
        let grid: Vec<f64> = (0..=60).map(|i| a + (b - a) * f64::from(i) / 60.0).collect();
        let best = (0..=60).max_by(|i, j| f(grid[*i].exp()).total_cmp(&f(grid[*j].exp()))).unwrap();
        (a, b) = (grid[best.max(1) - 1], grid[(best + 1).min(60)]);
        while b - a > 1e-8 {
            let (c, d) = (b - 0.618_034 * (b - a), a + 0.618_034 * (b - a));
            if f(c.exp()) > f(d.exp()) { b = d } else { a = c }
        }
        f64::midpoint(a, b).exp()
    }

    #[test]
    fn the_maximum_is_that_of_a_search() {
        let mut rng = Pcg64::seed_from_u64(1);
        for (alpha, level) in [(0.02, 50.0), (0.5, 3.0), (2.0, 2000.0), (1e-3, 900.0)] {
            let eta: Vec<f64> = (0..800).map(|i| 0.3 * f64::from(i % 24) / 24.0).collect();
            let mut draw = |eta: &f64| -> f64 {
                let mean = level * eta.exp();
                let rate: f64 = Gamma::new(1.0 / alpha, mean * alpha).unwrap().sample(&mut rng);
                if rate > 0.0 { Poisson::new(rate).unwrap().sample(&mut rng) } else { 0.0 }
            };
            let y: Vec<f64> = eta.iter().map(&mut draw).collect();
            let weight: Vec<f64> = (0..800).map(|i| f64::from(i % 5 != 0)).collect();
            let counts = Counts { eta: &eta, y: &y, exposure: None, weight: Some(&weight) };
            let base = f64::ln(level);
            let family = |alpha| Family::NegativeBinomial { base, alpha };
            let found = counts.best_dispersion(&family(LEAST_DISPERSION), LEAST_DISPERSION, 1e3);
            let exact = maximum(|alpha| log_likelihood(&counts, &family(alpha)), 1e3);
            // Golden section knows a maximum to the root of the rounding of the likelihood.
            assert!((found / exact - 1.0).abs() < 1e-4, "{alpha}: {found} {exact}");
            assert!(log_likelihood(&counts, &family(found)) >= log_likelihood(&counts, &family(exact)) - 1e-6);
            let again = counts.best_dispersion(&family(LEAST_DISPERSION), 0.1 * found, 1e3);
            assert!((again / found - 1.0).abs() < 1e-6, "{alpha}: {again} {found}");
        }
    }

    #[test]
    fn the_maximum_of_shares_is_that_of_a_search() {
        let mut rng = Pcg64::seed_from_u64(2);
        for (rho, share, most) in [(0.02, 0.1, 300.0), (0.3, 0.5, 20.0), (1e-3, 0.02, 5000.0)] {
            let eta = vec![0.0; 900];
            let trials: Vec<f64> =
                (0..900).map(|i| 1.0 + f64::from(i * 37 % 100) / 100.0 * most).map(f64::floor).collect();
            let strength = (1.0 - rho) / rho;
            let mut draw = |n: &f64| {
                let p = Beta::new(share * strength, (1.0 - share) * strength).unwrap().sample(&mut rng);
                Binomial::new(*n as u64, p).unwrap().sample(&mut rng) as f64
            };
            let y: Vec<f64> = trials.iter().map(&mut draw).collect();
            let counts = Counts { eta: &eta, y: &y, exposure: Some(&trials), weight: None };
            let base = (share / (1.0 - share)).ln();
            let family = |rho| Family::BetaBinomial { base, rho };
            let found = counts.best_dispersion(&family(LEAST_DISPERSION), LEAST_DISPERSION, 0.9);
            let exact = maximum(|rho| log_likelihood(&counts, &family(rho)), 0.9);
            assert!((found / exact - 1.0).abs() < 1e-4, "{rho}: {found} {exact}");
        }
    }

    #[test]
    fn counts_without_dispersion_have_the_least() {
        let y: Vec<f64> = (0..100).map(|i| 10.0 + f64::from(i % 3)).collect();
        let counts = Counts { eta: &[0.0; 100], y: &y, exposure: None, weight: None };
        let family = Family::NegativeBinomial { base: f64::ln(11.0), alpha: 0.1 };
        assert_eq!(counts.best_dispersion(&family, 0.1, 1e3), LEAST_DISPERSION);
    }
}
