//! The penalty of a break.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ChangepointError,
    cost::{Cost, CostKind},
    error::check_penalty,
    search::{Dynp, Partition, Pelt},
};

/// The penalty per segment: a number in units of the cost, or a rule.
///
/// ```
/// use funnelpulse_changepoint::{Penalty, PenaltyRule};
///
/// assert_eq!(serde_json::from_str::<Penalty>("10")?, Penalty::Value(10.0));
/// assert_eq!(serde_json::from_str::<Penalty>("\"bic\"")?, Penalty::Rule(PenaltyRule::Bic));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Penalty {
    /// This much per segment, 0 or more.
    Value(f64),
    /// By a rule.
    Rule(PenaltyRule),
}

/// Penalties and their values from the data. With `n` rows, `p` parameters per segment and `s` the
/// noise in units of the cost (long-run variance for squares, mean absolute deviation for L1, one
/// for likelihoods and ranks). The costs [`CostKind::Rbf`] and [`CostKind::Cosine`] have neither a
/// likelihood nor a noise level, so with them all but the slope heuristic are refused:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PenaltyRule {
    /// `s (p + 1) ln n`: a break is a parameter too.
    Bic,
    /// `s p ln n` (Yao 1988).
    Sic,
    /// Modified BIC (Zhang & Siegmund 2007): `s ((p + 2) ln n + sum ln(L / n))` over the lengths
    /// `L` of segments, which keeps short segments out.
    ModifiedBic,
    /// Slope heuristic (Birgé & Massart 2001; Lebarbier 2005): the cost of ever more breaks falls
    /// by what noise alone is worth per break; twice that is the penalty, in the shape
    /// `K (2 ln(n / K) + 5)`. Needs no noise level; works for every cost.
    Slope,
}

impl PenaltyRule {
    /// The name as it stands in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bic => "bic",
            Self::Sic => "sic",
            Self::ModifiedBic => "modified_bic",
            Self::Slope => "slope",
        }
    }
}

/// Most segments that the slope is estimated from.
const MOST_SEGMENTS: usize = 60;

impl Penalty {
    /// Kernels have no likelihood and no noise level, so only the slope says what a break of theirs
    /// is worth.
    pub(crate) fn validate(self, cost: CostKind) -> Result<(), ChangepointError> {
        match (self, cost) {
            (Self::Value(value), _) => check_penalty(value),
            (Self::Rule(PenaltyRule::Slope), _) => Ok(()),
            (Self::Rule(rule), CostKind::Rbf | CostKind::Cosine) => {
                let value = format!("{} with cost {cost}", rule.as_str());
                Err(ChangepointError::config("penalty", value, "a number or slope with the costs rbf and cosine"))
            }
            (Self::Rule(_), _) => Ok(()),
        }
    }

    /// The best segmentation under this penalty; `noise` is `s` above, `parameters` is `p`.
    pub(crate) fn search(
        self,
        cost: &dyn Cost,
        (min_size, jump): (usize, usize),
        noise: f64,
        parameters: usize,
    ) -> Result<Partition, ChangepointError> {
        let pelt = Pelt::new(min_size, jump)?;
        let (n, p) = (cost.len() as f64, parameters as f64);
        match self {
            Self::Value(value) => pelt.search(cost, value),
            Self::Rule(PenaltyRule::Bic) => pelt.search(cost, noise * (p + 1.0) * n.ln()),
            Self::Rule(PenaltyRule::Sic) => pelt.search(cost, noise * p * n.ln()),
            Self::Rule(PenaltyRule::ModifiedBic) => {
                let lengths = WithLengths { cost, noise };
                let found = pelt.search(&lengths, noise * (p + 2.0) * n.ln())?;
                Ok(Partition::at(cost, found.breaks))
            }
            Self::Rule(PenaltyRule::Slope) => {
                let most = MOST_SEGMENTS.min(cost.len() / min_size.max(cost.min_size()) / 2);
                Ok(slope(Dynp::new(min_size, jump)?.path(cost, most)?, cost.len()))
            }
        }
    }
}

/// The segmentation that the slope heuristic picks from those with 1, 2, ... segments.
fn slope(path: Vec<Partition>, n: usize) -> Partition {
    let shape = |segments: usize| segments as f64 * (2.0 * (n as f64 / segments as f64).ln() + 5.0);
    let upper: Vec<(f64, f64)> =
        path.iter().enumerate().skip(path.len() / 2).map(|(i, p)| (shape(i + 1), p.cost)).collect();
    let count = upper.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| upper.iter().map(f).sum::<f64>() / count;
    let (x, y) = (mean(|u| u.0), mean(|u| u.1));
    let (sxy, sxx) = upper.iter().fold((0.0, 0.0), |(xy, xx), u| (xy + (u.0 - x) * (u.1 - y), xx + (u.0 - x).powi(2)));
    let slope = if sxx > 0.0 { (-sxy / sxx).max(0.0) } else { 0.0 };
    let criterion = |(i, p): &(usize, Partition)| p.cost + 2.0 * slope * shape(i + 1);
    let best = path.into_iter().enumerate().min_by(|a, b| criterion(a).total_cmp(&criterion(b)));
    best.map(|(_, partition)| partition).unwrap_or_default()
}

/// A cost to which each segment adds the logarithm of its share of the rows.
#[derive(Debug)]
struct WithLengths<'a> {
    cost: &'a dyn Cost,
    noise: f64,
}

impl Cost for WithLengths<'_> {
    fn len(&self) -> usize {
        self.cost.len()
    }

    fn min_size(&self) -> usize {
        self.cost.min_size()
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        self.cost.cost(start, end) + self.noise * ((end - start) as f64 / self.len() as f64).ln()
    }

    /// `ln(L1 / n) + ln(L2 / n)` is never more than `ln((L1 + L2) / n)`.
    fn is_subadditive(&self) -> bool {
        self.cost.is_subadditive()
    }
}

/// Parameters of a segment of `columns` columns.
pub(crate) fn parameters(kind: CostKind, columns: usize, order: usize) -> usize {
    match kind {
        CostKind::L1
        | CostKind::L2
        | CostKind::Linear
        | CostKind::Cosine
        | CostKind::Mahalanobis
        | CostKind::Poisson
        | CostKind::Rank => columns,
        CostKind::Rbf | CostKind::Binomial => 1,
        CostKind::Normal => columns + columns * (columns + 1) / 2,
        CostKind::Autoregressive => order + 1,
        CostKind::LinearTrend => 2 * columns,
    }
}
