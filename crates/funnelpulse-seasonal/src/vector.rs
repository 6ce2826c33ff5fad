//! Exponential and logarithm without a branch, so that loops over them become vector code.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

/// Adding and subtracting `1.5 * 2^52` rounds to the nearest integer, which then also stands in the
/// lowest bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `exp(x)` for `x` in `-700..=700`, to a relative error of 1e-15; NaN for NaN.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let shifted = ROUND + x * std::f64::consts::LOG2_E;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor's polynomial for up to ln(2) / 2, in pairs so that fewer steps wait for another.
    let (r2, r4) = (r * r, r * r * (r * r));
    let p01 = 1.0 + r;
    let p23 = 0.5 + r * (1.0 / 6.0);
    let p45 = 1.0 / 24.0 + r * (1.0 / 120.0);
    let p67 = 1.0 / 720.0 + r * (1.0 / 5_040.0);
    let p89 = 1.0 / 40_320.0 + r * (1.0 / 362_880.0);
    let pabc = 1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0) + r2 * (1.0 / 479_001_600.0);
    let p = (p01 + r2 * p23) + r4 * ((p45 + r2 * p67) + r4 * (p89 + r2 * pabc));
    let power = f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52));
    if x.is_nan() { x } else { power }
}

/// `ln(x)` for normal positive `x`, to a relative error of about 1e-15 away from 1.
#[inline(always)]
fn ln(x: f64) -> f64 {
    // Half the mantissa range either side of one: x = 2^e m with m in [sqrt(1/2), sqrt(2)).
    const SPLIT: u64 = 0x3FE6_A09E_667F_3BCD;
    const EXPONENT_ONE: f64 = 4_503_599_627_370_496.0;
    // ln m = 2 atanh(s), s = (m - 1) / (m + 1): the odd powers of s, highest first.
    const COEFFICIENTS: [f64; 10] = [
        2.0 / 21.0,
        2.0 / 19.0,
        2.0 / 17.0,
        2.0 / 15.0,
        2.0 / 13.0,
        2.0 / 11.0,
        2.0 / 9.0,
        2.0 / 7.0,
        2.0 / 5.0,
        2.0 / 3.0,
    ];
    let shifted = x.to_bits().wrapping_sub(SPLIT).wrapping_add(1023 << 52);
    let biased = shifted >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub(biased.wrapping_sub(1023) << 52));
    // The exponent as a float: its bits below those of 2^52.
    let e = f64::from_bits(biased | EXPONENT_ONE.to_bits()) - (EXPONENT_ONE + 1023.0);
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut p = 0.0;
    for c in COEFFICIENTS {
        p = p * square + c;
    }
    e * std::f64::consts::LN_2 + (2.0 * s + s * square * p)
}

/// `ln(1 + q)` for finite `q` of zero or more; NaN for NaN.
#[inline(always)]
pub(crate) fn ln_1p(q: f64) -> f64 {
    // What rounding to 1 + q loses is added back to first order.
    let sum = 1.0 + q;
    let value = ln(sum) + (q - (sum - 1.0)) / sum;
    if q.is_nan() { q } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_agree_with_the_library(x in -700.0..700.0f64, ln_q in -60.0..600.0f64) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 3e-15, "{x}: {} {}", exp(x), x.exp());
            let q = ln_q.exp();
            prop_assert!((ln_1p(q) / q.ln_1p() - 1.0).abs() < 3e-15, "{q}: {} {}", ln_1p(q), q.ln_1p());
        }
    }

    #[test]
    fn limits() {
        assert_eq!((exp(0.0), ln_1p(0.0)), (1.0, 0.0));
        assert!(exp(f64::NAN).is_nan() && ln_1p(f64::NAN).is_nan());
    }
}
