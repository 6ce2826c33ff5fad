//! Cubes with known causes, in the manner of the Squeeze benchmark (Li et al. 2019, section 5.1).

use funnelpulse_analytics::Leaves;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Normal};
use rand_pcg::Pcg64;

use super::score::Truth;

const SIZES: [usize; 4] = [10, 12, 10, 8];

/// A cube of log-normal leaves whose expectation is off by a relative `noise`, and `causes`
/// different combinations of `depth` attributes each, of one set of attributes, every one of which
/// takes 20 to 90 % away from its leaves, give or take a twentieth.
pub(crate) fn cube(seed: u64, depth: usize, causes: usize, noise: f64) -> (Leaves, Truth) {
    let mut rng = Pcg64::seed_from_u64(seed * 100 + depth as u64 * 10 + causes as u64);
    let mut attributes: Vec<usize> = (0..SIZES.len()).collect();
    while attributes.len() > depth {
        attributes.remove(rng.random_range(0..attributes.len()));
    }
    let mut chosen: Vec<(Vec<usize>, f64)> = Vec::new();
    while chosen.len() < causes {
        let values: Vec<usize> = attributes.iter().map(|a| rng.random_range(0..SIZES[*a])).collect();
        if chosen.iter().all(|(other, _)| *other != values) {
            chosen.push((values, rng.random_range(0.2..0.9)));
        }
    }
    let name = |a: usize| format!("a{a}");
    let value = |a: usize, v: usize| format!("v{a}_{v}");
    let truth = chosen
        .iter()
        .map(|(values, _)| attributes.iter().zip(values).map(|(a, v)| (name(*a), value(*a, *v))).collect())
        .collect();

    let size = LogNormal::new(3.0, 1.5).expect("the parameters are finite");
    let (error, uneven) = (Normal::new(0.0, noise), Normal::new(0.0, 0.05));
    let (error, uneven) = (error.expect("noise is positive"), uneven.expect("the deviation is positive"));
    let mut leaves = Leaves::new((0..SIZES.len()).map(name));
    for leaf in 0..SIZES.iter().product() {
        let mut rest: usize = leaf;
        let place: Vec<usize> = SIZES
            .iter()
            .map(|s| {
                let v = rest % s;
                rest /= s;
                v
            })
            .collect();
        let expected = size.sample(&mut rng);
        let mut observed = expected * (1.0 + error.sample(&mut rng)).max(0.0);
        for (values, loss) in &chosen {
            if attributes.iter().zip(values).all(|(a, v)| place[*a] == *v) {
                observed *= (1.0 - loss + uneven.sample(&mut rng)).max(0.0);
            }
        }
        let texts: Vec<String> = place.iter().enumerate().map(|(a, v)| value(a, *v)).collect();
        let texts: Vec<Option<&str>> = texts.iter().map(|t| Some(t.as_str())).collect();
        leaves.push(&texts, observed, expected).expect("every leaf has all attributes");
    }
    (leaves, truth)
}

/// Counts in 5000 leaves of ten attributes, of which those with `a0 = 1, a1 = 1` lost a part.
pub(crate) fn wide(loss: f64) -> Leaves {
    let mut rng = Pcg64::seed_from_u64(7);
    let noise = rand_distr::Poisson::new(30.0).expect("the mean is positive");
    let mut leaves = Leaves::new((0..10).map(|a| format!("a{a}")));
    for _ in 0..5000 {
        let values: Vec<String> = (0..10).map(|_| rng.random_range(0..6u8).to_string()).collect();
        let left = if values[0] == "1" && values[1] == "1" { 1.0 - loss } else { 1.0 };
        let place: Vec<Option<&str>> = values.iter().map(|v| Some(v.as_str())).collect();
        let observed: f64 = noise.sample(&mut rng);
        leaves.push(&place, (observed * left).round(), 30.0).expect("every leaf has all attributes");
    }
    leaves
}
