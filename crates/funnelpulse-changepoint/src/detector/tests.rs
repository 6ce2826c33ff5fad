use funnelpulse_core::{FittedDetector, Registry};
use funnelpulse_eval::generator::{AnomalyKind, Difficulty, GeneratedFunnel, GeneratorConfig};
use funnelpulse_testing::Conformance;

use super::*;

fn detector() -> Changepoint {
    Changepoint::new(ChangepointConfig::default()).unwrap()
}

#[test]
fn keeps_the_contract() {
    for season in [Season::Auto, Season::None, Season::HourOfDay] {
        for scale in [Scale::Auto, Scale::Absolute] {
            let config = ChangepointConfig { season, scale, ..Default::default() };
            let context = config.context();
            let detector = Changepoint::new(config).unwrap();
            Conformance::new(&detector, Registry::new().with::<ChangepointModel>()).context(context).run();
        }
    }
}

fn funnel(kinds: Vec<AnomalyKind>, difficulty: Difficulty, share: f64, seed: u64) -> GeneratedFunnel {
    let config = GeneratorConfig { brands: 10, days: 120, kinds, difficulty, seed, anomaly_share: share, quiet_days: 60, ..Default::default() };
    GeneratedFunnel::generate(&config).unwrap()
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of the README")]
fn false_alarms_on_clean_data_are_below_one_per_brand_month() {
    let (mut alarms, mut months) = (vec![0; 13], 0.0);
    for seed in [1, 2, 3] {
        let clean = funnel(vec![AnomalyKind::LevelShift], Difficulty::Medium, 0.0, seed);
        for (_, frame) in clean.panel() {
            let split = frame.time().partition_point(|t| *t < frame.time()[0].offset(60 * 24 * funnelpulse_core::Timestamp::HOUR));
            let model = detector().fit(frame.view().rows(0..split)).unwrap();
            let scores = model.detect(frame.view()).unwrap().into_score();
            months += (frame.nrows() - split) as f64 / 720.0;
            for (limit, alarms) in alarms.iter_mut().enumerate() {
                let mut last = 0;
                for row in split..frame.nrows() {
                    // An alarm lasts until a day without one.
                    if scores[row] > limit as f64 {
                        *alarms += usize::from(row > last + 24);
                        last = row;
                    }
                }
            }
        }
    }
    for (limit, alarms) in alarms.iter().enumerate() {
        println!("threshold {limit}: {:.3} false alarms per brand-month", f64::from(*alarms as u32) / months);
    }
    let at_default = alarms[Changepoint::THRESHOLD.limit() as usize] as f64 / months;
    assert!(at_default < 1.0, "{at_default} per brand-month");
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of the README")]
fn level_shifts_after_training_are_flagged_within_six_hours() {
    for (difficulty, wanted) in [(Difficulty::Easy, 0.95), (Difficulty::Medium, 0.8), (Difficulty::Hard, 0.3)] {
        let (mut found, mut all) = (0.0, 0.0);
        let mut delays = Vec::new();
        for seed in [4, 5, 6] {
            let funnel = funnel(vec![AnomalyKind::LevelShift], difficulty, 0.05, seed);
            for (key, frame) in funnel.panel() {
                let split = frame.time().partition_point(|t| *t < frame.time()[0].offset(60 * 24 * funnelpulse_core::Timestamp::HOUR));
                let model = detector().fit(frame.view().rows(0..split)).unwrap();
                let scores = model.detect(frame.view()).unwrap().into_score();
                for event in funnel.events().iter().filter(|e| e.series == *key) {
                    let first = frame.time().partition_point(|t| *t < event.start);
                    let until = frame.time().partition_point(|t| *t < event.start.offset(6 * funnelpulse_core::Timestamp::HOUR));
                    all += 1.0;
                    if let Some(row) = (first..until).find(|&i| Changepoint::THRESHOLD.flags(scores[i])) {
                        found += 1.0;
                        delays.push(row - first);
                    }
                }
            }
        }
        delays.sort_unstable();
        println!("{difficulty}: {found} of {all} found, median delay {:?} h", delays.get(delays.len() / 2));
        assert!(found >= wanted * all, "{difficulty}: {found} of {all}");
    }
}
