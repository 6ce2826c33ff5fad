//! The parts that windows are judged by: noise, regression, groups, and the best window of an hour.

use super::shop::Random;
use crate::{
    grid::{LANES, PURCHASES, STEPS, TRAFFIC},
    windows::{
        HORIZON, LENGTHS, Track,
        calibrate::{self, TailCounts},
        clump::Clumps,
        evaluate::Best,
        greedy::{Found, settle},
        group::Groups,
        noise::Noise,
        regress::{self, DayFlanks, Deviates, Equations, Others, PREDICTORS, Regression, Surroundings},
        score, statistics,
    },
};

/// Sums of a track whose steps all have the same values.
fn track(value: &[f64], expected: &[f64]) -> Track {
    let ones = vec![1.0; value.len()];
    Track::new([value; LANES], [expected; LANES], [&ones; LANES], &ones, &ones)
}

/// Windows of each length with one height, 1, but for the planted ones.
fn best(hours: usize, planted: &[(usize, usize, f32)]) -> Vec<Best> {
    let of = |&length: &usize| {
        let starts = (hours + 1).saturating_sub(length);
        let mut best = Best { signed: vec![1.0; starts], statistic: vec![0; starts] };
        for (_, from, height) in planted.iter().filter(|(of, ..)| *of == length) {
            best.signed[*from] = *height;
        }
        best
    };
    LENGTHS.iter().map(of).collect()
}

#[test]
fn poisson_counts_have_no_overdispersion() {
    let mut random = Random(3);
    let expected: Vec<f64> = (0..4000_u32).map(|hour| 20.0 + 15.0 * (f64::from(hour) * 0.26).sin()).collect();
    let value: Vec<f64> = expected.iter().map(|m| random.poisson(*m)).collect();
    let noise = Noise::fit(&track(&value, &expected));
    assert!((0.85..1.2).contains(&noise.dispersion[TRAFFIC]), "{:?}", noise.dispersion);
    assert!(noise.relative[TRAFFIC][0] < 0.01 && noise.is_valid(), "{:?}", noise.relative[TRAFFIC]);
}

#[test]
fn baskets_are_overdispersed_and_rates_wander() {
    let mut random = Random(5);
    // Baskets of four: the variance of a sum is four times its mean.
    let means: Vec<f64> = (0..6000_u32).map(|hour| 10.0 + 8.0 * (f64::from(hour) * 0.26).sin()).collect();
    let baskets: Vec<f64> = means.iter().map(|m| 4.0 * random.poisson(*m)).collect();
    let due: Vec<f64> = means.iter().map(|m| 4.0 * m).collect();
    let dispersion = Noise::fit(&track(&baskets, &due)).dispersion[TRAFFIC];
    assert!((3.2..4.8).contains(&dispersion), "{dispersion}");

    // A rate that is a fifth higher or lower for three days each: variance .04 relative to the mean.
    let rate = |hour: usize| if (hour / 72).is_multiple_of(2) { 1.2 } else { 0.8 };
    let wandering: Vec<f64> = (0..6000).map(|hour| random.poisson(200.0 * rate(hour))).collect();
    let noise = Noise::fit(&track(&wandering, &vec![200.0; 6000]));
    for (length, relative) in LENGTHS.iter().zip(&noise.relative[TRAFFIC]).filter(|(length, _)| **length <= 24) {
        assert!((0.025..0.055).contains(relative), "{length} hours: {relative}");
    }
}

#[test]
fn short_series_have_the_noise_of_the_others() {
    let of = |relative: f64| Noise {
        dispersion: [1.0; LANES],
        relative: std::array::from_fn(|_| vec![relative; LENGTHS.len()]),
    };
    let mut all = [of(0.01), of(0.01), of(1.0)];
    Noise::shrink(&mut all, &[10_000, 10_000, 5]);
    assert!((all[0].relative[TRAFFIC][0] - 0.01).abs() < 1e-9);
    assert!(all[2].relative[TRAFFIC][0] < 0.4, "{}", all[2].relative[TRAFFIC][0]);
}

#[test]
fn a_deviate_grows_with_the_count_and_shrinks_with_the_noise() {
    let deviates: Vec<f64> = (0..60).map(|count| score::deviate(f64::from(count), 20.0, 1.0, 0.01)).collect();
    assert!(deviates.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(deviates[20].abs() < 0.2, "what is expected is no deviate: {}", deviates[20]);
    assert!(score::deviate(40.0, 20.0, 1.0, 0.01) > score::deviate(40.0, 20.0, 3.0, 0.01));
    assert!(score::deviate(40.0, 20.0, 1.0, 0.01) > score::deviate(40.0, 20.0, 1.0, 0.2));
    assert!(score::deviate(1.0, 0.0, 1.0, 0.0).is_finite());
}

#[test]
fn known_coefficients_are_found() {
    let truth = [0.3, 0.5, -0.2, 0.8, 0.4, -0.3];
    let (mut random, mut equations) = (Random(11), Equations::default());
    for _ in 0..20_000 {
        let mut row: [f64; PREDICTORS] = std::array::from_fn(|_| 4.0 * random.uniform() - 2.0);
        row[0] = 1.0;
        let target = row.iter().zip(truth).map(|(x, b)| x * b).sum::<f64>() + random.uniform() - 0.5;
        equations.add(&row, target, 1.0);
    }
    let common = equations.solve_common();
    assert!(common.iter().zip(truth).all(|(found, truth)| (found - truth).abs() < 0.03), "{common:?}");
    // Halves that are merged say the same as the whole.
    let mut merged = Equations::default();
    merged.merge(&equations);
    assert_eq!(merged.solve_common(), common);
}

#[test]
fn a_series_without_data_has_the_common_coefficients() {
    let common = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let own = Equations::default().solve_own(&common);
    assert!(own.iter().zip(common).all(|(own, common)| (own - common).abs() < 1e-12));
    assert_eq!(Equations::default().solve_common(), [0.0; PREDICTORS]);
}

#[test]
fn far_residuals_lose_weight() {
    assert_eq!(regress::huber_weight(1.0), 1.0);
    assert_eq!(regress::huber_weight(-3.0), 0.5);
    let spread = |residuals: &[f64]| regress::spread(residuals.iter().copied());
    assert_eq!(spread(&[]), (1.0, 0));
    assert_eq!(spread(&[1.0, -1.0, 1.0, -1.0]), (1.0, 4));
    // One residual of a million counts as three.
    assert!(spread(&[1.0, 1e6, 1.0, 1.0]).0 < 2.0);
    // Few windows say little, many say nearly all.
    assert!(regress::shrunk_spread(4.0, 1.0, 1.0) < 1.1 && regress::shrunk_spread(4.0, 1e6, 1.0) > 3.9);
}

#[test]
fn regressions_of_hostile_files_are_invalid() {
    let good = Regression { coefficients: [0.5; PREDICTORS], spread: 1.0 };
    assert!(good.is_valid());
    assert!(!Regression { spread: 0.0, ..good }.is_valid());
    assert!(!Regression { coefficients: [f64::NAN; PREDICTORS], ..good }.is_valid());
}

#[test]
fn scales_are_the_medians_of_the_series() {
    let mut wide: Vec<f64> = (0..1000).map(|i| 0.02 * f64::from(i - 500)).collect();
    let Some([low, high]) = calibrate::quantiles(&mut wide) else { panic!("a thousand windows are enough") };
    assert!((9.7..10.0).contains(&low) && (9.7..10.0).contains(&high), "{low} and {high}");
    assert!(calibrate::quantiles(&mut [1.0; 20]).is_none());
    let few = calibrate::pooled(&[None, None]);
    assert_eq!(few, [1.0, 1.0]);
    // A series full of anomalies does not move the median.
    let quiet = Some([2.326, 2.326]);
    assert_eq!(calibrate::pooled(&[quiet, quiet, Some([40.0, 40.0])]), [1.0, 1.0]);
    assert_eq!(calibrate::scaled(-3.0, [1.5, 1.0]), -2.0);
}

#[test]
fn few_windows_leave_heights_as_they_are() {
    let map = calibrate::TailMap::fit(&TailCounts::default());
    for size in [0.0, 0.4, 1.2, 2.9, 7.0] {
        assert!((map.height(size) - size).abs() < 1e-12);
    }
}

#[test]
fn the_best_window_takes_its_hours_and_no_other_overlaps() {
    let found = settle(&best(240, &[(6, 100, 8.0), (6, 103, 6.0), (2, 150, -5.0)]), 240, &(0..10));
    let is_first = |hour: usize| found[hour].length == 6 && usize::from(found[hour].before) == hour - 100;
    assert!((100..106).all(is_first), "{:?}", &found[98..110]);
    assert!(found[100].is_above && found[106].length == 0);
    assert!(!found[150].is_above && found[150].length == 2 && found[150].height > 4.0);
    // What no window holds keeps what the hour itself shows.
    assert_eq!(found[50], Found { height: 1.0, ..Found::default() });
}

#[test]
fn longer_windows_need_more() {
    // The same height over one hour and over two days.
    let short = settle(&best(200, &[(1, 100, 5.0)]), 200, &(0..10))[100].height;
    let long = settle(&best(200, &[(48, 80, 5.0)]), 200, &(0..10))[100].height;
    assert!(short > long + 0.5, "{short} and {long}");
}

#[test]
fn the_core_of_a_window_is_taken() {
    // Nearly as high with a third of the hours.
    let found = settle(&best(200, &[(12, 96, 7.4), (4, 100, 7.0)]), 200, &(0..10));
    assert!((100..104).all(|hour| found[hour].length == 4));
    assert_eq!((found[97].length, found[106].length), (0, 0));
}

#[test]
fn later_windows_change_no_final_hour() {
    let early = best(480, &[(6, 100, 8.0)]);
    let mut late = best(480, &[(6, 100, 8.0)]);
    let from = 100 / 24 * 24 + HORIZON + 24;
    for (best, length) in late.iter_mut().zip(LENGTHS) {
        best.signed.iter_mut().enumerate().filter(|(at, _)| at + length > from + 24).for_each(|(_, s)| *s = 9.0);
    }
    let (early, late) = (settle(&early, 480, &(0..20)), settle(&late, 480, &(0..20)));
    assert_eq!(early[..120], late[..120]);
    assert_ne!(early[300..], late[300..]);
}

/// Residuals of 20 series over 2,000 windows.
fn residuals(planted: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let mut random = Random(29);
    let mut normal = move || (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
    (0..20).map(|series| (0..2000).map(|at| normal() + planted(series, at)).collect()).collect()
}

fn learnt(residuals: &[Vec<f64>]) -> Groups {
    let (mut groups, mut counts) = (Groups::new(residuals.len()), TailCounts::default());
    groups.learn(residuals, &mut counts);
    groups.set_map(&counts);
    groups
}

#[test]
fn many_that_are_a_little_off_are_a_group() {
    let residuals = residuals(|series, at| if at == 700 && series < 8 { -2.2 } else { 0.0 });
    let groups = learnt(&residuals);
    assert!(groups.is_valid(1));
    let found = groups.find(0, &residuals, &(0..2000));
    let [below, above] = found[700];
    let usual = found.iter().map(|[below, _]| below.height).fold(0.0, f64::max);
    assert!(below.height > 3.0 && below.height >= usual, "{below:?}, {usual}");
    assert!(above.height < 2.5);
    let members: Vec<usize> = (0..20).filter(|&series| below.holds(residuals[series][700])).collect();
    let planted = members.iter().filter(|series| **series < 8).count();
    assert!(planted >= 3 && planted + 1 >= members.len(), "{members:?}");
}

#[test]
fn one_alone_is_no_group() {
    let residuals = residuals(|series, at| if at == 700 && series == 3 { 40.0 } else { 0.0 });
    let [_, above] = learnt(&residuals).find(0, &residuals, &(0..2000))[700];
    assert!(above.height < 3.5, "{above:?}");
}

#[test]
fn few_series_have_no_groups() {
    let few: Vec<Vec<f64>> = residuals(|_, _| 0.0).into_iter().take(5).collect();
    assert!(learnt(&few).find(0, &few, &(0..2000)).is_empty());
}

#[test]
fn each_table_has_the_statistics_of_its_steps() {
    let all = statistics([true; STEPS]);
    assert_eq!(all.len(), 7);
    assert!(statistics([true, false, false, false]).iter().all(|s| s.step == TRAFFIC && s.given.is_none()));
    let known = [true, false, true, false];
    let has = |s: &crate::windows::Statistic| known[s.step.min(STEPS - 1)] && s.given.is_none_or(|given| known[given]);
    assert!(statistics(known).iter().all(has) && statistics(known).iter().any(|s| s.step == PURCHASES));
}

#[test]
fn masked_and_unobserved_hours_are_left_out() {
    let (value, expected, all) = ([3.0; 10], [2.0; 10], [1.0; 10]);
    let (mut some, mut mask) = (all, all);
    some[4..9].fill(0.0);
    mask[1] = 0.0;
    let mut seen: [&[f64]; LANES] = [&all; LANES];
    seen[TRAFFIC] = &some;
    let track = Track::new([&value; LANES], [&expected; LANES], seen, &mask, &all).with_ends(&[6]);
    assert_eq!(track.sums(TRAFFIC, 0, 10), (15.0, 10.0));
    assert!(!track.is_calm(0, 3) && track.is_calm(2, 10));
    assert!(track.is_observed(TRAFFIC, 0, 5) && !track.is_observed(TRAFFIC, 3, 8));
    // A window does not go on past the end of news.
    assert!(!track.is_observed(PURCHASES, 4, 8) && track.is_observed(PURCHASES, 6, 8));
}

#[test]
fn residuals_are_what_a_regression_leaves_of_each_window() {
    let mut random = Random(17);
    let hours = 300;
    let mut series = |seen: &[f64]| {
        let value: Vec<f64> = (0..hours).map(|_| random.poisson(7.0)).collect();
        let ones = vec![1.0; hours];
        Track::new([&value; LANES], [&vec![6.5; hours]; LANES], [seen; LANES], &ones, &ones)
    };
    // The second is observed now and then only.
    let gaps: Vec<f64> = (0..hours).map(|hour| f64::from(u8::from(hour % 50 < 31))).collect();
    let tracks = [series(&vec![1.0; hours]), series(&gaps), series(&vec![1.0; hours])];
    let noise = Noise::fit(&tracks[0]);
    let coefficients = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6];
    let regression = Regression { coefficients, spread: 1.3 };
    for length in [0, 5] {
        let starting = 20..290;
        let deviates = tracks.each_ref().map(|t| Deviates::new(t, &noise, &Clumps::default(), length, &starting));
        let mut others = Others::new(deviates[0].0[0].len());
        for deviates in &deviates {
            others.add(deviates, &starting);
        }
        for (track, deviates) in tracks.iter().zip(&deviates) {
            let surroundings = Surroundings { track, noise: &noise, deviates, others: &others, length };
            for statistic in statistics([true; STEPS]) {
                let flanks = surroundings.flanks(statistic.step, &starting, &mut DayFlanks::default());
                let starting = regress::clipped(&starting, deviates.0[0].len());
                let mut residuals = vec![f64::NAN; deviates.0[0].len()];
                surroundings.residuals(statistic, &flanks, &regression, starting, &mut residuals);
                for (from, residual) in residuals.into_iter().enumerate() {
                    let row = surroundings.row(statistic, &flanks, from);
                    let left = row.map(|(row, target)| regress::residual(&row, target, &coefficients) / 1.3);
                    assert_eq!(left, Some(residual).filter(|r| !r.is_nan()), "{statistic:?} at {from}");
                }
            }
        }
    }
}
