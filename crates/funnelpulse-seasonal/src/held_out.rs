//! Scores of each part of a history by what the other parts teach, without fitting again.
//!
//! Sums over rows without a part are the difference of two sums, so one step of Newton's method
//! leads from the optimum of all rows to that without a part; a second one, with the slopes
//! of the remaining rows, takes out what the first one missed. The dispersion of counts, the rows left
//! out as outliers and the columns of the design stay those of all rows: they depend on a fifth of
//! the rows only a little.

use std::ops::Range;

use funnelpulse_core::Timestamp;

use crate::{
    Covariates, Growth, Likelihood, Seasonal, SeasonalError, SeasonalModel,
    fit::{Data, Model, Normal, Priors, Theta, add_slopes, gaussian_sigma, minimum, normal_of_rows},
    history::History,
    likelihood::Family,
    rows::Rows,
};

/// A metric of a frame.
pub(crate) struct Series<'a> {
    pub(crate) likelihood: Likelihood,
    pub(crate) exposure: Option<&'a str>,
    pub(crate) values: &'a [f64],
    pub(crate) time: &'a [Timestamp],
    /// The columns that describe rows.
    pub(crate) covariates: &'a [(String, Vec<f64>)],
}

impl Series<'_> {
    /// The columns that describe some of the rows.
    pub(crate) fn covariates(&self, rows: Range<usize>) -> Covariates<'_> {
        let own = self.covariates.iter();
        own.fold(Covariates::new(), |all, (name, values)| all.with(name.clone(), &values[rows.clone()]))
    }
}

/// A model and, where there are any, surprises of every row by what other parts of the history teach.
pub(crate) type HeldOut = (SeasonalModel, Option<Vec<f64>>);

impl Seasonal {
    /// Fits a metric, and scores each of the blocks of rows by a model of the others.
    pub(crate) fn fit_held_out(&self, series: &Series<'_>, blocks: &[Range<usize>]) -> Result<HeldOut, SeasonalError> {
        let time = series.time;
        let covariates = series.covariates(0..time.len());
        let Series { likelihood, exposure, values, .. } = *series;
        let history = History::new(&self.config, likelihood, exposure, time, values, &covariates)?;
        let (model, rows) = self.fit_history(&history, likelihood, exposure, None)?;
        let models = Others::new(self, &model, &history, &rows).models(blocks);
        let Some(models) = models else { return Ok((model, None)) };
        let mut surprises = Vec::with_capacity(time.len());
        for (block, other) in blocks.iter().zip(models) {
            let covariates = series.covariates(block.clone());
            surprises.extend(other.surprises(&time[block.clone()], &values[block.clone()], &covariates)?);
        }
        Ok((model, Some(surprises)))
    }
}

/// Models of all rows but some.
struct Others<'a> {
    model: &'a SeasonalModel,
    history: &'a History,
    data: Data<'a>,
    changepoints: &'a [f64],
    priors: Priors,
    logistic: bool,
}

impl<'a> Others<'a> {
    fn new(seasonal: &Seasonal, model: &'a SeasonalModel, history: &'a History, rows: &'a Rows<'_>) -> Self {
        let changepoints = model.design.clock.changepoints();
        let priors = seasonal.priors(&model.design);
        let flat = seasonal.config.growth == Growth::Flat;
        let logistic = seasonal.config.growth == Growth::Logistic;
        let priors = if flat { priors.without_slope() } else { priors };
        Self { model, history, data: rows.data(changepoints), changepoints, priors, logistic }
    }

    fn shape(&self) -> Model<'_> {
        let multiplicative = self.model.design.multiplicative();
        Model { family: &self.model.family, changepoints: self.changepoints, multiplicative }
    }

    fn is_gaussian(&self) -> bool {
        matches!(self.model.family, Family::Gaussian)
    }

    /// A model per block, of the rows outside of it. `None` where there is no such thing: for a
    /// constant series, or where a block holds (almost) everything.
    fn models(&self, blocks: &[Range<usize>]) -> Option<Vec<SeasonalModel>> {
        if !self.model.log_posterior.is_finite() {
            return None;
        }
        let theta = self.model.theta();
        let blocks: Vec<Range<usize>> = blocks.iter().map(|block| self.history.rows_of(block)).collect();
        let parts: Vec<Normal> =
            blocks.iter().map(|block| normal_of_rows(&self.data, self.shape(), &theta, block.clone())).collect();
        let mut all = parts.first()?.clone();
        parts[1..].iter().for_each(|part| all.add(part, 1.0));
        blocks.iter().zip(&parts).map(|(block, part)| self.without(block, &all, part, &theta)).collect()
    }

    fn without(&self, block: &Range<usize>, all: &Normal, part: &Normal, theta: &Theta) -> Option<SeasonalModel> {
        let n = self.data.y.len();
        let rest = [0..block.start, block.end..n];
        let weight = |row: usize| self.data.weight.map_or(1.0, |w| w[row]);
        let used = rest.iter().cloned().flatten().filter(|row| weight(*row) > 0.0).count() as f64;
        if used < self.model.free.len() as f64 {
            return None;
        }
        let mut sums = all.clone();
        sums.add(part, -1.0);
        let first = self.step(&sums, used, theta)?;
        sums.clear_slopes();
        for rows in &rest {
            add_slopes(&mut sums, &self.data, self.shape(), &first, rows.clone());
        }
        let second = self.step(&sums, used, &first)?;
        let sigma = if self.is_gaussian() { gaussian_sigma(used, sums.loss) } else { self.model.sigma };
        let last: Timestamp =
            if block.end == n { self.history.time[block.start.checked_sub(1)?] } else { self.model.last };
        let finite = second.free.iter().chain(&second.bends).all(|v| v.is_finite()) && sigma.is_finite();
        finite.then(|| SeasonalModel { free: second.free, bends: second.bends, sigma, last, ..self.model.clone() })
    }

    fn step(&self, sums: &Normal, rows: f64, theta: &Theta) -> Option<Theta> {
        let precision = if self.is_gaussian() { gaussian_sigma(rows, sums.loss.max(0.0)).powi(-2) } else { 1.0 };
        minimum(sums, precision, self.changepoints, &self.priors, theta, self.logistic)
    }
}
