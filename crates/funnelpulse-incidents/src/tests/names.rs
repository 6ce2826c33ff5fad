//! Names and prices from sums of a stretch.

use crate::{
    IncidentKind as K,
    grid::LANES,
    name::{self, Stretch},
    price,
    windows::{LENGTHS, noise::Noise},
};
use proptest::prelude::*;

/// What a purchase brings.
const UNIT: f64 = 25.0;

fn noise() -> Noise {
    Noise { dispersion: [1.0; LANES], relative: std::array::from_fn(|_| vec![0.002; LENGTHS.len()]) }
}

/// Hours with 1,000 visits, 300 carts and 90 purchases each, changed by factors on traffic, cart rate,
/// purchase rate and price.
fn stretch(hours: usize, factors: impl Fn(usize) -> [f64; 4]) -> Stretch {
    let expected = vec![[1000.0, 300.0, 90.0, 90.0 * UNIT]; hours];
    let of = |hour: usize| {
        let [traffic, cart, purchase, price] = factors(hour);
        let views = 1000.0 * traffic;
        let (carts, purchases) = (0.3 * views * cart, 0.09 * views * cart * purchase);
        [views, carts, purchases, purchases * UNIT * price]
    };
    Stretch::of(&(0..hours).map(of).collect::<Vec<_>>(), &expected)
}

fn named(hours: usize, factors: [f64; 4]) -> K {
    name::of(&stretch(hours, |_| factors), &noise(), UNIT)
}

#[test]
fn each_pattern_has_its_name() {
    let cases = [
        (8, [1.0, 1.0, 0.2, 1.0], K::CheckoutOutage),
        (8, [1.0, 0.2, 1.0, 1.0], K::CartBreak),
        (8, [3.0, 1.0 / 3.0, 1.0, 1.0], K::BotTraffic),
        (8, [0.4, 2.5, 1.0, 1.0], K::TrackingOutage),
        (8, [1.6, 1.2, 1.5, 0.8], K::Promotion),
        (8, [1.0, 1.0, 1.0, 3.0], K::PriceError),
        (8, [2.5, 1.0, 1.0, 1.0], K::Spike),
        (8, [0.4, 1.0, 1.0, 1.0], K::Dip),
        (48, [0.4, 1.0, 1.0, 1.0], K::LevelShift),
        (8, [1.0, 1.0, 2.5, 1.0], K::Unexplained),
        (8, [1.0, 2.5, 1.0, 1.0], K::Unexplained),
    ];
    for (hours, factors, kind) in cases {
        assert_eq!(named(hours, factors), kind, "{hours} hours of {factors:?}");
    }
}

#[test]
fn a_loss_that_grows_over_days_is_gradual() {
    let growing = stretch(96, |hour| [1.0, 1.0, 1.0 - 0.008 * hour as f64, 1.0]);
    assert_eq!(name::of(&growing, &noise(), UNIT), K::GradualDegradation);
    assert_eq!(named(96, [1.0, 1.0, 0.5, 1.0]), K::CheckoutOutage);
}

#[test]
fn few_counts_have_no_name() {
    let hour = [[10.0, 3.0, 0.9, 0.9 * UNIT]];
    let stretch = Stretch::of(&[[10.0, 3.0, 0.0, 0.0]], &hour);
    assert_eq!(name::of(&stretch, &noise(), UNIT), K::Unexplained);
}

#[test]
fn unobserved_steps_are_left_out_of_the_sums() {
    let observed = [[10.0, f64::NAN, 2.0, 50.0], [f64::NAN, f64::NAN, 3.0, 75.0]];
    let sums = Stretch::of(&observed, &[[20.0, 6.0, 2.0, 50.0]; 2]);
    assert_eq!((sums.observed[0], sums.expected[0]), (10.0, 20.0));
    assert!(sums.observed[1].is_nan() && sums.expected[1].is_nan());
    assert_eq!((sums.observed[2], sums.expected[2]), (5.0, 4.0));
}

proptest! {
    /// A loss costs, a gain pays, and the interval holds the price.
    #[test]
    fn prices_have_the_sign_of_the_change(factor in 0.0..3.0_f64, hours in 1_usize..60) {
        let stretch = stretch(hours, |_| [1.0, 1.0, factor, 1.0]);
        let (loss, (low, high)) = price::of(&stretch, &noise());
        let due = hours as f64 * 90.0 * UNIT;
        prop_assert!((loss - due * (1.0 - factor)).abs() < 1e-6 * due);
        prop_assert!(low <= loss && loss <= high && low.is_finite() && high.is_finite());
    }

    /// More noise is a wider interval.
    #[test]
    fn noise_widens_the_interval(dispersion in 1.0..20.0_f64, relative in 0.001..0.5_f64) {
        let stretch = stretch(12, |_| [1.0, 1.0, 0.3, 1.0]);
        let width = |noise: &Noise| {
            let (_, (low, high)) = price::of(&stretch, noise);
            high - low
        };
        let noisy = Noise { dispersion: [dispersion; LANES], ..noise() };
        let wandering = Noise { relative: std::array::from_fn(|_| vec![relative + 0.002; LENGTHS.len()]), ..noise() };
        prop_assert!(width(&noisy) >= width(&noise()) && width(&wandering) > width(&noise()));
    }

    /// The names of a shop do not depend on its size, as long as there are counts enough.
    #[test]
    fn names_do_not_depend_on_the_size(size in 1.0..100.0_f64) {
        let expected = vec![[1000.0 * size, 300.0 * size, 90.0 * size, 90.0 * size * UNIT]; 8];
        let observed = vec![[1000.0 * size, 300.0 * size, 9.0 * size, 9.0 * size * UNIT]; 8];
        let stretch = Stretch::of(&observed, &expected);
        prop_assert_eq!(name::of(&stretch, &noise(), UNIT), K::CheckoutOutage);
    }
}
