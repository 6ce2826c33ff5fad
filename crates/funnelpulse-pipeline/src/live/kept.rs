//! The scores of the rows of a series that a live pipeline still keeps.

use std::ops::Range;

use funnelpulse_analytics::ModelScores;
use funnelpulse_core::Posterior;
use ndarray::{Array1, Array2, Axis, Slice, concatenate};

use crate::{
    prepared::Expectation,
    scored::{Contributions, Scored},
};

impl Scored {
    /// Adds the rows that follow. A detector that scored only one of the parts has no score in the
    /// other.
    pub(super) fn append(&mut self, later: Scored) {
        let (before, after) = (self.time.len(), later.time.len());
        for model in later.models {
            match self.models.iter_mut().find(|m| m.detector == model.detector) {
                Some(known) => extend(known, model),
                None => self.models.push(padded(model, before)),
            }
        }
        for model in self.models.iter_mut().filter(|m| m.scores.len() == before && after > 0) {
            let nothing = ModelScores {
                scores: Array1::from_elem(after, f64::NAN),
                expected: model.expected.as_ref().map(|_| Array1::from_elem(after, f64::NAN)),
                ..model.clone()
            };
            extend(model, nothing);
        }
        for part in later.contributions {
            if let Some(known) = self.contributions.iter_mut().find(|c| c.detector == part.detector) {
                known.values = below(&known.values, &part.values);
            } else {
                let zeros = Array2::zeros((before, part.values.ncols()));
                self.contributions.push(Contributions { values: below(&zeros, &part.values), ..part });
            }
        }
        for part in self.contributions.iter_mut().filter(|c| c.values.nrows() == before && after > 0) {
            part.values = below(&part.values, &Array2::zeros((after, part.values.ncols())));
        }
        self.time.extend(later.time);
        self.expectation.append(&later.expectation);
    }

    /// Leaves out the first rows.
    pub(super) fn drop_front(&mut self, rows: usize) {
        let kept = rows..self.time.len();
        self.time.drain(..rows);
        for model in &mut self.models {
            model.scores = part(&model.scores, kept.clone());
            model.expected = model.expected.as_ref().map(|e| part(e, kept.clone()));
        }
        for contributions in &mut self.contributions {
            contributions.values = rows_of(&contributions.values, kept.clone());
        }
        self.expectation = self.expectation.rows(kept);
    }
}

impl Expectation {
    fn append(&mut self, later: &Self) {
        if self.observed.nrows() == 0 {
            *self = later.clone();
            return;
        }
        self.observed = below(&self.observed, &later.observed);
        self.expected = below(&self.expected, &later.expected);
        self.lower = below(&self.lower, &later.lower);
        self.upper = below(&self.upper, &later.upper);
        self.z = below(&self.z, &later.z);
        self.score = joined(&self.score, &later.score);
    }

    fn rows(&self, rows: Range<usize>) -> Self {
        let part_of = |all: &Array2<f64>| rows_of(all, rows.clone());
        Self {
            observed: part_of(&self.observed),
            expected: part_of(&self.expected),
            lower: part_of(&self.lower),
            upper: part_of(&self.upper),
            z: part_of(&self.z),
            score: part(&self.score, rows.clone()),
        }
    }
}

/// The last `rows` rows of a posterior; its episodes stay those of all rows.
pub(super) fn last_rows(posterior: Posterior, rows: usize) -> Posterior {
    let first = posterior.log_odds.len().saturating_sub(rows);
    Posterior {
        log_odds: posterior.log_odds[first..].to_vec(),
        is_shared: posterior.is_shared[first..].to_vec(),
        kinds: posterior.kinds.get(first..).unwrap_or_default().to_vec(),
        expected: rows_of(&posterior.expected, first..posterior.expected.nrows()),
        ..posterior
    }
}

fn extend(known: &mut ModelScores, later: ModelScores) {
    let (before, after) = (known.scores.len(), later.scores.len());
    let unknown = |rows| Array1::from_elem(rows, f64::NAN);
    known.expected = match (known.expected.take(), later.expected) {
        (None, None) => None,
        (a, b) => Some(joined(&a.unwrap_or_else(|| unknown(before)), &b.unwrap_or_else(|| unknown(after)))),
    };
    known.scores = joined(&known.scores, &later.scores);
    known.source = later.source;
}

fn padded(model: ModelScores, rows: usize) -> ModelScores {
    let unknown = Array1::from_elem(rows, f64::NAN);
    ModelScores {
        scores: joined(&unknown, &model.scores),
        expected: model.expected.as_ref().map(|e| joined(&unknown, e)),
        ..model
    }
}

fn part(all: &Array1<f64>, rows: Range<usize>) -> Array1<f64> {
    all.slice_axis(Axis(0), Slice::from(rows)).to_owned()
}

fn rows_of<T: Clone>(all: &Array2<T>, rows: Range<usize>) -> Array2<T> {
    all.slice_axis(Axis(0), Slice::from(rows)).to_owned()
}

fn joined(first: &Array1<f64>, second: &Array1<f64>) -> Array1<f64> {
    first.iter().chain(second).copied().collect()
}

fn below<T: Clone>(first: &Array2<T>, second: &Array2<T>) -> Array2<T> {
    concatenate(Axis(0), &[first.view(), second.view()]).expect("both have a column per metric")
}
