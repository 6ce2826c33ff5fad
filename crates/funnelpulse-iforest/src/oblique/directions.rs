//! The directions of splits, and projections on them.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::quad::Quad;

/// One column of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Term {
    pub(crate) column: u32,
    pub(crate) coefficient: f32,
}

/// Values that are multiplied together.
pub(super) type Vector = [f32; LANES];
const LANES: usize = 8;
/// Widest rows for which a direction has a coefficient for every column: beyond, most are zero.
const MOST_DENSE: usize = 2 * LANES;

/// The vectors of a row of this width; `None` where rows are too wide for them.
pub(super) fn vectors(width: usize) -> Option<usize> {
    (width <= MOST_DENSE).then(|| width.div_ceil(LANES).max(1))
}

/// The directions of all splits of some trees, one after the other.
///
/// The sum of a projection has one order per width of rows, whatever rows are scored together: the
/// same row gets the same bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Directions {
    /// A coefficient for every column, in so many vectors.
    Dense { vectors: usize, coefficients: Vec<Vector> },
    /// Terms in the order in which they are added; and the first term of each direction, and one more.
    Sparse { terms: Vec<Term>, starts: Vec<u32> },
}

impl Directions {
    pub(super) fn new(width: usize) -> Self {
        match vectors(width) {
            Some(vectors) => Self::Dense { vectors, coefficients: Vec::new() },
            None => Self::Sparse { terms: Vec::new(), starts: vec![0] },
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Dense { vectors, coefficients } => coefficients.len() / vectors,
            Self::Sparse { starts, .. } => starts.len() - 1,
        }
    }

    pub(super) fn push(&mut self, direction: &[Term]) {
        match self {
            Self::Dense { vectors, coefficients } => {
                let start = coefficients.len();
                coefficients.resize(start + *vectors, [0.0; LANES]);
                let own = coefficients[start..].as_flattened_mut();
                for term in direction {
                    own[term.column as usize] = term.coefficient;
                }
            }
            Self::Sparse { terms, starts } => {
                terms.extend_from_slice(direction);
                starts.push(terms.len() as u32);
            }
        }
    }

    /// The terms of a direction.
    pub(super) fn terms(&self, number: usize) -> Vec<Term> {
        match self {
            Self::Dense { vectors, coefficients } => {
                let own = coefficients[number * vectors..(number + 1) * vectors].as_flattened();
                let terms = own.iter().zip(0..).filter(|(coefficient, _)| **coefficient != 0.0);
                terms.map(|(coefficient, column)| Term { column, coefficient: *coefficient }).collect()
            }
            Self::Sparse { terms, starts } => terms[starts[number] as usize..starts[number + 1] as usize].to_vec(),
        }
    }

    /// The projection of a row that may miss values: those count as the column's median, 0. NaN where
    /// all that the direction looks at are missing.
    pub(super) fn project(&self, number: usize, row: &[f32]) -> f32 {
        match self {
            Self::Dense { vectors, coefficients } => {
                project_dense(&coefficients[number * vectors..(number + 1) * vectors], row)
            }
            Self::Sparse { terms, starts } => {
                project_terms(&terms[starts[number] as usize..starts[number + 1] as usize], row)
            }
        }
    }
}

/// The projection on a direction that has a coefficient for every column: products of both halves of a vector added up, then
/// of all vectors, then of columns. The one order of additions.
#[inline(always)]
pub(super) fn project_vectors<const VECTORS: usize>(
    coefficients: &[Vector; VECTORS],
    values: &[Vector; VECTORS],
) -> f32 {
    let product = |vector: usize, half: usize| {
        let (coefficients, values) = (coefficients[vector].as_chunks().0, values[vector].as_chunks().0);
        Quad::new(coefficients[half]).times(Quad::new(values[half]))
    };
    let (mut low, mut high) = (product(0, 0), product(0, 1));
    for vector in 1..VECTORS {
        (low, high) = (low.plus(product(vector, 0)), high.plus(product(vector, 1)));
    }
    low.plus(high).sum()
}

fn project_dense(coefficients: &[Vector], row: &[f32]) -> f32 {
    let mut known = false;
    let mut values = [[0.0; LANES]; MOST_DENSE / LANES];
    let own = values.as_flattened_mut().iter_mut().zip(coefficients.as_flattened());
    for ((own, coefficient), value) in own.zip(row).filter(|(_, value)| !value.is_nan()) {
        *own = *value;
        known |= *coefficient != 0.0;
    }
    let projection = match *coefficients {
        [one] => project_vectors(&[one], &[values[0]]),
        [one, two] => project_vectors(&[one, two], &values),
        _ => unreachable!("wider rows have no coefficient for every column"),
    };
    if known { projection } else { f32::NAN }
}

fn project_terms(terms: &[Term], row: &[f32]) -> f32 {
    let (mut sum, mut known) = (0.0, false);
    for term in terms {
        let value = row[term.column as usize];
        if !value.is_nan() {
            known = true;
            sum += term.coefficient * value;
        }
    }
    if known { sum } else { f32::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_of_both_forms_agree() {
        for width in [1, 5, 8, 9, 16, 17, 40] {
            let terms: Vec<Term> = (0..width as u32)
                .filter(|column| column % 3 != 1)
                .map(|column| Term { column, coefficient: 0.5 + (column as f32).sin() })
                .collect();
            let mut directions = Directions::new(width);
            directions.push(&terms[..1]);
            directions.push(&terms);
            assert_eq!((directions.len(), directions.terms(1)), (2, terms.clone()));
            assert_eq!(matches!(directions, Directions::Dense { .. }), width <= 16);
            let mut row: Vec<f32> = (0..width).map(|column| (column as f32 * 1.7).cos()).collect();
            assert!((directions.project(1, &row) - project_terms(&terms, &row)).abs() < 1e-4);
            row[0] = f32::NAN;
            assert!(directions.project(0, &row).is_nan(), "all that it looks at is missing");
            if terms.len() > 1 {
                assert!((directions.project(1, &row) - project_terms(&terms, &row)).abs() < 1e-4);
            }
        }
    }
}
