//! Four numbers in a register. Written as loops, sums over columns are divided up by compilers into twice as many
//! instructions (`python3 benches/peers/iforest/run.py`, the default forest).
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_mul_ps, _mm_setr_ps, _mm_shuffle_ps,
};

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Quad(__m128);

// SAFETY of all calls: they need SSE, which is part of x86-64.
#[cfg(target_arch = "x86_64")]
impl Quad {
    #[inline(always)]
    pub(super) fn new([a, b, c, d]: [f32; 4]) -> Self {
        Self(unsafe { _mm_setr_ps(a, b, c, d) })
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        Self(unsafe { _mm_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        Self(unsafe { _mm_add_ps(self.0, other.0) })
    }

    /// Of the numbers a, b, c and d, (a + c) + (b + d).
    #[inline(always)]
    pub(super) fn sum(self) -> f32 {
        unsafe {
            let pairs = _mm_add_ps(self.0, _mm_movehl_ps(self.0, self.0));
            _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(super) struct Quad([f32; 4]);

#[cfg(not(target_arch = "x86_64"))]
impl Quad {
    #[inline(always)]
    pub(super) fn new(numbers: [f32; 4]) -> Self {
        Self(numbers)
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a * e, b * f, c * g, d * h])
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a + e, b + f, c + g, d + h])
    }

    /// Of the numbers a, b, c and d, (a + c) + (b + d).
    #[inline(always)]
    pub(super) fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}
