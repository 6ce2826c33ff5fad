//! The axis of rows or times, with marks at places of our choice.

use std::ops::Range;

use plotters::coord::{
    ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    types::RangedCoordf64,
};

/// An axis from one value to another with these marks.
pub(super) struct Axis {
    inner: RangedCoordf64,
    marks: Vec<f64>,
}

impl Axis {
    pub(super) fn new(ends: Range<f64>, marks: Vec<f64>) -> Self {
        Self { inner: ends.into(), marks }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // No lines between the marks.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.inner.range()
    }
}
