//! Exponential and logarithm on whole arrays, written so that compilers turn them into vector code.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

/// Adding and subtracting `1.5 * 2^52` rounds to the nearest integer, which then also stands in the
/// lowest bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// `exp(-x)` for `x` in `0..=700`, to a relative error of 1e-14, without a branch.
#[inline(always)]
pub(crate) fn exp_neg(x: f64) -> f64 {
    let shifted = ROUND - x * std::f64::consts::LOG2_E;
    let n = shifted - ROUND;
    let r = (-x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor's polynomial for up to ln(2) / 2, in pairs so that fewer steps wait for another.
    let (r2, r4) = (r * r, r * r * (r * r));
    let p01 = 1.0 + r;
    let p23 = 0.5 + r * (1.0 / 6.0);
    let p45 = 1.0 / 24.0 + r * (1.0 / 120.0);
    let p67 = 1.0 / 720.0 + r * (1.0 / 5_040.0);
    let p89 = 1.0 / 40_320.0 + r * (1.0 / 362_880.0);
    let pab = 1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0);
    let p = (p01 + r2 * p23) + r4 * ((p45 + r2 * p67) + r4 * (p89 + r2 * pab));
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// `ln(x)` for normal positive `x`, to a relative error of about 1e-15 away from 1, without a branch.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
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

/// Replaces each value `q` (not negative) by `ln(1 + q)`.
pub(crate) fn ln_1p_all(values: &mut [f64]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for value in values.iter_mut() {
                // What rounding to 1 + q loses is added back to first order.
                let sum = 1.0 + *value;
                *value = ln(sum) + (*value - (sum - 1.0)) / sum;
            }
        },
    );
}

/// Replaces logarithms of likelihoods by posterior probabilities, given prior ones.
pub(crate) fn softmax(logs: &mut [f64], priors: &[f64]) {
    // Eight maxima and sums side by side, so that none waits for another.
    let mut tops = [f64::NEG_INFINITY; 8];
    for chunk in logs.chunks(8) {
        for (top, log) in tops.iter_mut().zip(chunk) {
            *top = if *log > *top { *log } else { *top };
        }
    }
    let top = tops.into_iter().fold(f64::NEG_INFINITY, f64::max);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (log, prior) in logs.iter_mut().zip(priors) {
                let below = top - *log;
                *log = exp_neg(if below < 700.0 { below } else { 700.0 }) * prior;
            }
        },
    );
    let mut totals = [0.0; 8];
    for chunk in logs.chunks(8) {
        for (total, value) in totals.iter_mut().zip(chunk) {
            *total += value;
        }
    }
    let inverse = 1.0 / totals.iter().sum::<f64>();
    for value in logs.iter_mut() {
        *value *= inverse;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for i in 0..100_000 {
            let x = f64::from(i) * 1e-3;
            let (ours, theirs) = (exp_neg(x), (-x).exp());
            assert!((ours / theirs - 1.0).abs() < 1e-14, "{x}: {ours} {theirs}");
        }
    }

    #[test]
    fn logarithms_agree_with_the_standard_library() {
        let mut x = 1e-300;
        while x < 1e300 {
            assert!((ln(x) - x.ln()).abs() <= 2e-15 * x.ln().abs().max(1.0), "{x}: {} {}", ln(x), x.ln());
            let mut small = [x.min(1e100)];
            ln_1p_all(&mut small);
            let wanted = x.min(1e100).ln_1p();
            assert!((small[0] - wanted).abs() <= 4e-15 * wanted.max(1e-3), "{x}: {} {wanted}", small[0]);
            x *= 1.037;
        }
    }

    #[test]
    fn posteriors_sum_to_one() {
        let mut logs: Vec<f64> = (0..21).map(|i| -f64::from(i) * 90.0).collect();
        softmax(&mut logs, &[1.0 / 21.0; 21]);
        assert!((logs.iter().sum::<f64>() - 1.0).abs() < 1e-15 && (logs[0] - 1.0).abs() < 1e-15);
    }
}
