//! Breaks as the data come, row by row.

mod bocpd;
mod conjugate;
mod focus;
#[cfg(test)]
mod tests;

pub use self::{
    bocpd::{Bocpd, BocpdConfig},
    conjugate::{Conjugate, NormalGamma, PoissonGamma},
    focus::{Focus, FocusEvidence, FocusFamily},
};
