//! Tail probabilities of observations, and learning from them as they arrive.

use std::f64::consts::LN_10;

use funnelpulse_core::Timestamp;

use crate::{
    Covariates, SeasonalError, SeasonalModel,
    fit::{Data, EXACT, Problem, optimize, segment_ends},
    fitting::priors,
    forecast::{Expectation, Reading},
    history::{check_times, check_value},
    likelihood::Mixture,
    uncertainty::Predictive,
};

/// One observation as a model scores it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) reading: Reading,
    /// `-log10` of the two-sided tail probability; NaN where there is no observation.
    pub(crate) surprise: f64,
}

impl SeasonalModel {
    /// The covariates that predictions need.
    pub(crate) fn covariate_names(&self) -> impl Iterator<Item = &str> {
        let terms = self.design.terms.iter().filter_map(crate::design::Term::covariate);
        let logistic = self.settings.growth == crate::Growth::Logistic;
        let capacity = ["cap", "floor"].into_iter().filter(move |_| logistic);
        terms.chain(self.settings.exposure.as_deref()).chain(self.settings.weights.as_deref()).chain(capacity)
    }

    /// Verdicts on `observed` values, NaN where missing.
    pub(crate) fn judge(
        &self,
        time: &[Timestamp],
        observed: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<Vec<Verdict>, SeasonalError> {
        let (rows, _) = self.expectations(time, covariates, false)?;
        Ok(rows.iter().zip(observed).map(|(row, y)| self.judge_row(row, *y)).collect())
    }

    /// `-log10` of the two-sided tail probabilities of `observed` values: a part of the work of
    /// [`Self::judge`].
    pub(crate) fn surprises(
        &self,
        time: &[Timestamp],
        observed: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<Vec<f64>, SeasonalError> {
        let (rows, _) = self.expectations(time, covariates, false)?;
        let surprise_of = |(row, y): (&Expectation, &f64)| match self.mixture(row) {
            Some(mixture) => surprise(self.ln_tail_of_count(row, &mixture, *y)),
            None => surprise(self.ln_tail_of_value(row, &self.spread(row).predictive(), *y)),
        };
        Ok(rows.iter().zip(observed).map(surprise_of).collect())
    }

    fn judge_row(&self, row: &Expectation, observed: f64) -> Verdict {
        if let Some(mixture) = self.mixture(row) {
            let ln_p = self.ln_tail_of_count(row, &mixture, observed);
            return Verdict { reading: self.read_counts(row, &mixture), surprise: surprise(ln_p) };
        }
        let predictive = self.spread(row).predictive();
        let ln_p = self.ln_tail_of_value(row, &predictive, observed);
        Verdict { reading: self.read_normal(row, &predictive), surprise: surprise(ln_p) }
    }

    fn ln_tail_of_value(&self, row: &Expectation, predictive: &Predictive, observed: f64) -> f64 {
        let deviation = (observed - self.scale.offset - row.floor) / self.scale.divisor - row.mean();
        if observed.is_nan() || row.noise.is_nan() { f64::NAN } else { predictive.ln_tail(deviation) }
    }

    /// A value that is not a whole number has the tail probability of the count below it, a negative one
    /// that of zero. With more successes than trials, the number of trials is raised to the successes.
    fn ln_tail_of_count(&self, row: &Expectation, mixture: &Mixture, observed: f64) -> f64 {
        let y = observed.max(0.0).floor();
        if observed.is_nan() || row.exposure.is_nan() {
            return f64::NAN;
        }
        if self.family.has_trials() && y > row.exposure {
            let most = Expectation { exposure: y, ..*row };
            self.mixture(&most).map_or(f64::NAN, |m| m.ln_two_sided(y))
        } else if row.exposure <= 0.0 {
            f64::NAN
        } else {
            mixture.ln_two_sided(y)
        }
    }

    /// True if [`Self::update`] can be used: the model was fitted with `online` set.
    pub fn is_online(&self) -> bool {
        self.stats.is_some()
    }

    /// Learns from rows that follow the history, in time that does not depend on its length.
    ///
    /// Scales, changepoints and seasonalities stay as they are; the coefficients become the most
    /// probable ones for all rows (the noise stays as it was where it is below 3e-5 of the variation
    /// around the level, which sums can't tell from rounding), starting from the present ones. The forecast's future begins
    /// after the new rows. An error where the model was not fitted with `online` set, and for what a
    /// fit refuses: infinite values, negative weights. After an error the model is as it was.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_seasonal::{Covariates, Seasonal, SeasonalConfig};
    ///
    /// let time: Vec<Timestamp> = (0..200).map(|h| Timestamp::from_seconds(3600 * h)).collect();
    /// let y: Vec<f64> = (0..200).map(|h| 10.0 + f64::from(h * 7 % 5)).collect();
    /// let seasonal = Seasonal::new(SeasonalConfig { online: true, ..Default::default() })?;
    ///
    /// let mut model = seasonal.fit_series(&time[..150], &y[..150], &Covariates::new())?;
    /// model.update(&time[150..], &y[150..], &Covariates::new())?;
    /// assert_eq!(model.rows(), 200);
    /// assert_eq!(model.make_future(1, None)[0], Timestamp::from_seconds(3600 * 200));
    /// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
    /// ```
    pub fn update(
        &mut self,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<(), SeasonalError> {
        check_times(time)?;
        if values.len() != time.len() {
            return Err(SeasonalError::Length { name: "values".to_owned(), found: values.len(), expected: time.len() });
        }
        if let Some(first) = time.first().filter(|first| **first <= self.last) {
            return Err(SeasonalError::Time { row: 0, time: *first });
        }
        let Some(mut stats) = self.stats.take() else {
            return Err(SeasonalError::Combination { what: "updating a model that was not fitted with `online`" });
        };
        let done = self.learn(&mut stats, time, values, covariates);
        self.stats = Some(stats);
        done
    }

    fn learn(
        &mut self,
        stats: &mut crate::fit::Stats,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<(), SeasonalError> {
        let features = self.design.features(time, covariates)?;
        let weights = self.settings.weights.as_deref().map(|name| covariates.require_weights(name, time.len()));
        let weights = weights.transpose()?;
        for (row, value) in values.iter().enumerate() {
            check_value(crate::Likelihood::Gaussian, row, *value)?;
        }
        // A missing value is a row without weight.
        let mut y = vec![0.0; time.len()];
        let mut weight = vec![0.0; time.len()];
        for (i, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            y[i] = (value - self.scale.offset) / self.scale.divisor;
            weight[i] = weights.map_or(1.0, |w| w[i]);
        }
        let t: Vec<f64> = time.iter().map(|t| self.design.clock.scale(*t)).collect();
        let changepoints = self.design.clock.changepoints();
        let data = Data {
            t: &t,
            segment_ends: segment_ends(&t, changepoints),
            features: &features,
            y: &y,
            weight: Some(&weight),
            cap: None,
            exposure: None,
        };
        stats.add(&data);
        let flat = self.settings.growth == crate::Growth::Flat;
        let priors = priors(&self.design, self.settings.changepoint_prior_scale);
        let mut optimum = optimize(&Problem::Sums { stats, changepoints, flat }, &priors, self.theta(), EXACT)?;
        if !stats.resolve(optimum.sigma) {
            // The rows are gone: their noise is what it was.
            optimum.sigma = self.sigma;
        }
        self.set_optimum(optimum);
        self.rows = stats.rows as usize;
        self.last = time.last().copied().unwrap_or(self.last);
        Ok(())
    }
}

/// `-log10 p` from `ln p`: finite, not negative.
pub(crate) fn surprise(ln_p: f64) -> f64 {
    (-ln_p / LN_10).clamp(0.0, f64::MAX)
}
