//! What all series share in an hour.
//!
//! A holiday, a campaign or the weather moves every series at once; that is no anomaly of each.
//! The shared factor of an hour and step is a Huber M-estimate (1964) over the series of the
//! logarithm of observed to expected counts: no single series, however big or broken, moves it far.

use crate::{
    grid::{CARTS, COUNTS, Grid, PURCHASES, REVENUE, Series, Steps, TRAFFIC, is_positive},
    level::{Drift, Level},
    noise::{Noise, reach_above, variance},
};

/// Residuals count at most this many standard deviations.
const CLIP: f64 = 1.5;
/// Newton steps of the M-estimate.
const STEPS: usize = 6;
/// How far hours stray from nothing shared, standard deviation of the logarithm.
const PRIOR_SD: f64 = 0.25;

/// Logarithms of the shared factors per hour and count; zero where too few series have a row.
pub(crate) fn shared_factors(
    grid: Grid,
    series: &[Series],
    noise: &[Noise],
    profile: &dyn Fn(usize, usize) -> Steps,
    start: &[Level],
    drift: &Drift,
    min_series: usize,
) -> Vec<[f64; COUNTS]> {
    if series.len() < min_series {
        return vec![[0.0; COUNTS]; grid.hours];
    }
    let mut levels = start.to_vec();
    let mut expected: Vec<Steps> = vec![[f64::NAN; 4]; series.len()];
    let mut all = Vec::with_capacity(grid.hours);
    for hour in 0..grid.hours {
        for (s, expected) in expected.iter_mut().enumerate() {
            *expected = profile(s, hour);
            let log = levels[s].log;
            let visits = log[TRAFFIC].exp();
            expected[TRAFFIC] *= visits;
            expected[CARTS] *= visits * log[CARTS].exp();
            expected[PURCHASES] *= visits * log[PURCHASES].exp();
            expected[REVENUE] *= log[REVENUE].exp();
        }
        let mut shared = [0.0; COUNTS];
        for step in 0..COUNTS {
            let terms: Vec<(f64, f64, f64, f64)> = series
                .iter()
                .zip(&expected)
                .zip(noise)
                .zip(&levels)
                .filter_map(|(((series, m), noise), level)| term(&series.observed[hour], m, noise, level, step))
                .collect();
            if terms.len() < min_series {
                continue;
            }
            let g = m_estimate(&terms);
            shared[step] = g;
            if step == TRAFFIC {
                // Carts and purchases follow the traffic as it was: the site's and each one's own.
                for ((series, m), noise) in series.iter().zip(&mut expected).zip(noise) {
                    let views = series.observed[hour][TRAFFIC];
                    m[TRAFFIC] *= g.exp();
                    let own = if views.is_nan() { 1.0 } else { noise.traffic_factor(views, m[TRAFFIC]) };
                    m[CARTS] *= g.exp() * own;
                    m[PURCHASES] *= g.exp() * own;
                }
            } else {
                for m in &mut expected {
                    m[step] *= g.exp();
                }
            }
        }
        for (s, level) in levels.iter_mut().enumerate() {
            level.update(&noise[s], &series[s].observed[hour], &expected[s], 1.0);
            level.predict(drift);
        }
        all.push(shared);
    }
    all
}

/// Count, mean, dispersion and relative variance of a series that has a row.
fn term(y: &Steps, expected: &Steps, noise: &Noise, level: &Level, step: usize) -> Option<(f64, f64, f64, f64)> {
    if y[step].is_nan() || y[TRAFFIC].is_nan() || !is_positive(expected[step]) {
        return None;
    }
    let open = if step == TRAFFIC { 0.0 } else { noise.traffic_uncertainty(y[TRAFFIC]) };
    Some((y[step], expected[step], noise.dispersion[step], noise.relative[step] + level.variance[step] + open))
}

fn m_estimate(terms: &[(f64, f64, f64, f64)]) -> f64 {
    let prior = 1.0 / (PRIOR_SD * PRIOR_SD);
    let mut g: f64 = 0.0;
    for _ in 0..STEPS {
        let factor = g.exp();
        let (mut score, mut information) = (-g * prior, prior);
        for &(y, mean, dispersion, relative) in terms {
            let mean = mean * factor;
            let sd = variance(mean, dispersion, relative).sqrt();
            let precision = mean / sd;
            let above = reach_above(mean, sd, dispersion, CLIP);
            score += ((y - mean).clamp(-CLIP * sd, above) / sd) * precision;
            information += precision * precision;
        }
        g = (g + (score / information).clamp(-1.0, 1.0)).clamp(-5.0, 5.0);
    }
    g
}
