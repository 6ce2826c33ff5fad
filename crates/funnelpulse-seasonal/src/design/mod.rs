//! The columns of the regression, as they are made for history and future alike.

mod clock;
mod fourier;
mod terms;
mod windows;

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use clock::{Clock, MOST_CHANGEPOINTS};
#[cfg(feature = "prophet")]
pub(crate) use terms::Kind;
pub(crate) use terms::{PRIOR_SCALES, Term, terms_of};

use crate::{Covariates, Mode, SeasonalError};

/// The design matrix of rows: fixed by the history, used for every prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Design {
    pub(crate) clock: Clock,
    /// Multiplicative terms first.
    pub(crate) terms: Vec<Term>,
}

/// The feature matrix of some rows: row-major, multiplicative columns first.
#[derive(Debug)]
pub(crate) struct Features {
    pub(crate) width: usize,
    pub(crate) values: Vec<f64>,
}

impl Features {
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }
}

impl Design {
    pub(crate) fn new(clock: Clock, mut terms: Vec<Term>) -> Self {
        terms.sort_by_key(|term| term.mode == Mode::Additive);
        Self { clock, terms }
    }

    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.terms.iter().map(Term::columns).sum()
    }

    /// Number of multiplicative columns.
    pub(crate) fn multiplicative(&self) -> usize {
        self.terms.iter().filter(|t| t.mode == Mode::Multiplicative).map(Term::columns).sum()
    }

    /// Standard deviation of the prior of every column.
    pub(crate) fn prior_scales(&self) -> Vec<f64> {
        self.terms.iter().flat_map(|t| std::iter::repeat_n(t.prior_scale, t.columns())).collect()
    }

    /// Each term with its columns.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&Term, std::ops::Range<usize>)> {
        self.terms.iter().scan(0, |at, term| {
            let start = *at;
            *at += term.columns();
            Some((term, start..*at))
        })
    }

    /// The features of `time`.
    pub(crate) fn features(&self, time: &[Timestamp], covariates: &Covariates<'_>) -> Result<Features, SeasonalError> {
        let width = self.width();
        let mut values = vec![0.0; width * time.len()];
        if width > 0 {
            for (term, columns) in self.blocks() {
                term.fill(time, covariates, &mut values, width, columns.start)?;
            }
        }
        Ok(Features { width, values })
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.clock.is_valid()
            && self.terms.iter().all(Term::is_valid)
            && self.terms.is_sorted_by_key(|t| t.mode == Mode::Additive)
            && self.terms.iter().try_fold(0usize, |sum, t| sum.checked_add(t.columns())).is_some()
    }
}
