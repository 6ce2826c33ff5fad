//! The rows of a history as a fit sees them.

use crate::{
    Growth, SeasonalError, SeasonalModel,
    design::{Design, Features},
    fit::{Data, Theta, TrendWalk, segment_ends},
    history::History,
    model::Scale,
};

/// The rows of a history in scaled units, with their features.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    history: &'a History,
    t: Vec<f64>,
    y: Vec<f64>,
    /// Observation weights, 0 for rows that are left out.
    weight: Option<Vec<f64>>,
    masked: bool,
    cap: Option<Vec<f64>>,
    features: Features,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(history: &'a History, design: &Design, scale: Scale) -> Result<Self, SeasonalError> {
        let floor = |row: usize| history.floor.as_ref().map_or(0.0, |f| f[row]);
        let scaled = |values: &[f64]| -> Vec<f64> {
            let place = |(row, value): (usize, &f64)| (value - scale.offset - floor(row)) / scale.divisor;
            values.iter().enumerate().map(place).collect()
        };
        Ok(Self {
            t: history.time.iter().map(|t| design.clock.scale(*t)).collect(),
            y: scaled(&history.y),
            cap: history.cap.as_deref().map(scaled),
            weight: history.weight.clone(),
            masked: false,
            features: design.features(&history.time, &history.view()).map_err(|e| history.as_given(e))?,
            history,
        })
    }

    pub(crate) fn data(&self, changepoints: &[f64]) -> Data<'_> {
        Data {
            t: &self.t,
            segment_ends: segment_ends(&self.t, changepoints),
            features: &self.features,
            y: &self.y,
            weight: self.weight.as_deref(),
            cap: self.cap.as_deref(),
            exposure: self.history.exposure.as_deref(),
        }
    }

    /// The values, scaled.
    pub(crate) fn y(&self) -> &[f64] {
        &self.y
    }

    /// The observation weight of a row, whether it is left out or not.
    pub(crate) fn own_weight(&self, row: usize) -> f64 {
        self.history.weight.as_ref().map_or(1.0, |w| w[row])
    }

    /// The exposure of a row.
    pub(crate) fn own_exposure(&self, row: usize) -> f64 {
        self.history.exposure.as_ref().map_or(1.0, |e| e[row])
    }

    /// True if rows are left out.
    pub(crate) fn is_masked(&self) -> bool {
        self.masked
    }

    /// Leaves out the rows that are not `kept`.
    pub(crate) fn mask(&mut self, kept: &[bool]) {
        let weight = |(row, kept): (usize, &bool)| if *kept { self.own_weight(row) } else { 0.0 };
        self.weight = Some(kept.iter().enumerate().map(weight).collect());
        self.masked = true;
    }

    /// The mean of every row, or for counts its linear predictor, in scaled units.
    pub(crate) fn predictors(&self, model: &SeasonalModel) -> Vec<f64> {
        let theta = model.theta();
        let (b, d) = model.effects().split_at(model.design.multiplicative());
        let mut walk = TrendWalk::new(&theta, model.design.clock.changepoints(), self.cap.is_some());
        let predictor = |(row, t): (usize, &f64)| {
            walk.enter_at(*t);
            let (trend, _) = walk.at(*t, self.cap.as_ref().map(|c| c[row]));
            let (x, z) = self.features.row(row).split_at(b.len());
            let sum = |values: &[f64], effects: &[f64]| values.iter().zip(effects).map(|(v, e)| v * e).sum::<f64>();
            trend * (1.0 + sum(x, b)) + sum(z, d)
        };
        self.t.iter().enumerate().map(predictor).collect()
    }

    /// Prophet's start: a trend through the first and the last value, nothing else.
    pub(crate) fn start(&self, growth: Growth, gaussian: bool, free: usize, bends: usize) -> Theta {
        let (first, last) = (self.y[0], self.y[self.y.len() - 1]);
        let mut theta = Theta { free: vec![0.0; free], bends: vec![0.0; bends] };
        if !gaussian {
            return theta;
        }
        (theta.free[0], theta.free[1]) = match (growth, &self.cap) {
            (Growth::Logistic, Some(cap)) => {
                let odds = |y: f64, cap: f64| {
                    let y = y.clamp(0.01 * cap, 0.99 * cap);
                    (y / (cap - y)).ln()
                };
                let (from, to) = (odds(first, cap[0]), odds(last, cap[cap.len() - 1]));
                // Equal ends give no rate, and without a rate the offset has no meaning.
                let rate = if (to - from).abs() > 0.05 { to - from } else { 0.05 };
                (-from / rate, rate)
            }
            (Growth::Flat, _) => (self.y.iter().sum::<f64>() / self.y.len() as f64, 0.0),
            _ => (first, last - first),
        };
        theta
    }
}
