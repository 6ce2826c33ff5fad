//! Held-out scores against those of models that were fitted again.

use funnelpulse_core::{Calibrator, Columns, Detector, FittedDetector, Frame};
use funnelpulse_seasonal::{Likelihood, Seasonal, SeasonalConfig};
use ndarray::{Array1, Array2, Axis};
use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::coverage::{config, draw, hours};

const FOLDS: usize = 5;

fn frame(likelihood: Likelihood, rows: usize, seed: u64) -> Frame {
    let mut rng = Pcg64::seed_from_u64(seed);
    let drawn: Vec<(f64, f64)> = (0..rows).map(|hour| draw(likelihood, hour, &mut rng)).collect();
    let values =
        Array2::from_shape_fn((rows, 2), |(row, column)| if column == 0 { drawn[row].0 } else { drawn[row].1 });
    Frame::new(hours(rows), Columns::new(["y", "views"]).unwrap(), values).unwrap()
}

fn seasonal(likelihood: Likelihood, robust: bool) -> Seasonal {
    let metric = funnelpulse_seasonal::Metric { column: "y".into(), ..Default::default() };
    Seasonal::new(SeasonalConfig { metrics: vec![metric], robust, ..config(likelihood) }).unwrap()
}

/// Scores of each part by a model that was fitted to the others.
fn refits(seasonal: &Seasonal, frame: &Frame) -> Array1<f64> {
    let n = frame.nrows();
    let part = |fold: usize| {
        let block = fold * n / FOLDS..(fold + 1) * n / FOLDS;
        let rest: Vec<usize> = (0..n).filter(|row| !block.contains(row)).collect();
        let time = rest.iter().map(|row| frame.time()[*row]).collect();
        let rest = Frame::new(time, frame.columns().clone(), frame.values().select(Axis(0), &rest)).unwrap();
        let model = seasonal.fit(rest.view()).unwrap();
        model.detect(frame.view().rows(block)).unwrap().into_score().to_vec()
    };
    (0..FOLDS).flat_map(part).collect()
}

#[test]
fn held_out_scores_are_close_to_those_of_refits_and_calibrate_as_well() {
    for likelihood in [Likelihood::Gaussian, Likelihood::NegativeBinomial, Likelihood::BetaBinomial] {
        for robust in [false, true] {
            let seasonal = seasonal(likelihood, robust);
            let history = frame(likelihood, 24 * 60, 21);
            let (model, held_out) = seasonal.fit_cross_validated(history.view(), FOLDS).unwrap();
            assert_eq!(model, seasonal.fit(history.view()).unwrap());
            let (ours, theirs) = (held_out.expect("sums give them"), refits(&seasonal, &history));
            let difference = (&ours - &theirs).mapv(f64::abs).mean().unwrap();
            // On data that neither has seen, the share of rows below a tail probability.
            let fresh = frame(likelihood, 24 * 600, 22);
            let scores = model.detect(fresh.view().rows(0..24 * 60)).unwrap().into_score();
            let [a, b] = [&ours, &theirs].map(|s| Calibrator::fit(s.view()).unwrap());
            for limit in [0.1, 0.03, 0.01] {
                let share = |c: &Calibrator| {
                    scores.iter().filter(|s| c.tail_probability(**s) <= limit).count() as f64 / scores.len() as f64
                };
                let (a, b) = (share(&a) / limit, share(&b) / limit);
                println!("{likelihood:?}, robust {robust}, {limit}: {a:.2} of the nominal share, after refits {b:.2}");
                assert!((a.max(0.01) / b.max(0.01)).ln().abs() < 0.35, "{likelihood:?} {limit}: {a} against {b}");
            }
            println!("{likelihood:?}, robust {robust}: scores differ by {difference:.4} on average");
            assert!(difference < 0.03, "{likelihood:?}, robust {robust}: {difference}");
        }
    }
}
