//! Searches for breaks, for `funnelpulse.ruptures`.

use std::sync::OnceLock;

use funnelpulse::changepoint::{
    cost::{Cost, CostKind},
    kernel::rbf_pelt,
    search::{Binseg, BottomUp, Dynp, Fpop, Partition, Pelt, Stop, WindowSearch},
};
use ndarray::Array2;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use crate::error::{Failure, heavy};

/// A signal with the cost of its segments.
#[pyclass(module = "funnelpulse._native", name = "Segmenter", frozen)]
#[derive(Debug)]
pub(crate) struct Segmenter {
    values: Array2<f64>,
    kind: CostKind,
    gamma: Option<f64>,
    order: usize,
    /// Prepared when it is first needed: the searches with a kernel of their own do without.
    cost: OnceLock<Box<dyn Cost>>,
}

impl Segmenter {
    fn cost(&self) -> Result<&dyn Cost, Failure> {
        if let Some(cost) = self.cost.get() {
            return Ok(&**cost);
        }
        let cost = self.kind.build(self.values.view(), self.gamma, self.order).map_err(Failure::data)?;
        Ok(&**self.cost.get_or_init(|| cost))
    }

    /// Whether the kernel's search by penalty needs no cost.
    fn has_own_search(&self) -> bool {
        self.kind == CostKind::Rbf || (self.kind == CostKind::L2 && self.values.ncols() == 1)
    }
}

/// The search and its grid.
struct Search<'a> {
    method: &'a str,
    min_size: usize,
    jump: usize,
    width: usize,
}

impl Search<'_> {
    /// Breaks by number, or by penalty.
    fn run(&self, signal: &Segmenter, n_bkps: Option<usize>, penalty: Option<f64>) -> Result<Partition, Failure> {
        let stop = match (n_bkps, penalty) {
            (Some(breaks), _) => Stop::Breaks(breaks),
            (None, Some(penalty)) => Stop::Gain(penalty),
            (None, None) => return Err(Failure::config("give n_bkps or pen")),
        };
        let found = match (self.method, stop) {
            ("pelt" | "kernel", Stop::Gain(penalty)) if signal.kind == CostKind::Rbf => {
                rbf_pelt(signal.values.view(), signal.gamma, self.min_size, self.jump, penalty)
            }
            // The same optimum in less time.
            ("kernel", Stop::Gain(penalty)) if signal.kind == CostKind::L2 && signal.values.ncols() == 1 => {
                Fpop::new(self.min_size, self.jump).and_then(|fpop| fpop.l2(signal.values.column(0), penalty))
            }
            (method, stop) => return self.run_on_cost(method, signal.cost()?, stop),
        };
        found.map_err(Failure::data)
    }

    fn run_on_cost(&self, method: &str, cost: &dyn Cost, stop: Stop) -> Result<Partition, Failure> {
        let min_size = self.min_size.max(cost.min_size());
        let found = match (method, stop) {
            ("pelt" | "kernel", Stop::Gain(penalty)) => {
                Pelt::new(min_size, self.jump).and_then(|pelt| pelt.search(cost, penalty))
            }
            ("dynp" | "kernel", Stop::Breaks(breaks)) => {
                Dynp::new(min_size, self.jump).and_then(|dynp| dynp.search(cost, breaks))
            }
            ("binseg", stop) => Binseg::new(min_size, self.jump).and_then(|binseg| binseg.search(cost, stop)),
            ("bottom_up", stop) => BottomUp::new(min_size, self.jump).and_then(|up| up.search_halved(cost, stop)),
            ("window", stop) => {
                WindowSearch::new(self.width, self.jump).and_then(|window| window.search_isolated(cost, min_size, stop))
            }
            ("pelt", Stop::Breaks(_)) => return Err(Failure::config("Pelt needs pen")),
            ("dynp", Stop::Gain(_)) => return Err(Failure::config("Dynp needs n_bkps")),
            (other, _) => return Err(Failure::config(format!("there is no search `{other}`"))),
        };
        found.map_err(Failure::data)
    }
}

#[pymethods]
impl Segmenter {
    /// Prepares the cost `model` of a signal of rows and columns.
    #[new]
    #[pyo3(signature = (values, model, gamma=None, order=4))]
    fn new(
        py: Python<'_>,
        values: PyReadonlyArray2<'_, f64>,
        model: &str,
        gamma: Option<f64>,
        order: usize,
    ) -> PyResult<Self> {
        let values = values.as_array().to_owned();
        heavy(py, || {
            let kind: CostKind = model.parse().map_err(Failure::config)?;
            let signal = Self { values, kind, gamma, order, cost: OnceLock::new() };
            // Wrong values are refused here, as by the costs that are prepared.
            if !signal.has_own_search() {
                signal.cost()?;
            } else if let Some(((row, column), value)) = signal.values.indexed_iter().find(|(_, v)| !v.is_finite()) {
                let text = format!("row {row}, column {column}: {value} is not allowed (finite numbers)");
                return Err(Failure::data(text));
            }
            Ok(signal)
        })
    }

    /// The ends of the segments, the last one the number of rows, and the cost of all segments.
    #[pyo3(signature = (method, *, min_size=2, jump=5, width=100, n_bkps=None, pen=None))]
    #[expect(clippy::too_many_arguments, reason = "each has a name in Python")]
    fn search(
        &self,
        py: Python<'_>,
        method: &str,
        min_size: usize,
        jump: usize,
        width: usize,
        n_bkps: Option<usize>,
        pen: Option<f64>,
    ) -> PyResult<(Vec<usize>, f64)> {
        let search = Search { method, min_size: min_size.max(1), jump, width };
        heavy(py, || {
            let Partition { mut breaks, cost } = search.run(self, n_bkps, pen)?;
            breaks.push(self.values.nrows());
            Ok((breaks, cost))
        })
    }

    /// The cost of the rows from `start` to before `end`.
    fn error(&self, py: Python<'_>, start: usize, end: usize) -> PyResult<f64> {
        heavy(py, || {
            let (rows, cost) = (self.values.nrows(), self.cost()?);
            if start >= end || end > rows || end - start < cost.min_size() {
                return Err(Failure::data(format!("rows {start} to {end} of {rows} are no segment")));
            }
            Ok(cost.cost(start, end))
        })
    }
}
