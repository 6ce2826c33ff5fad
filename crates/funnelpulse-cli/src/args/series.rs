//! Arguments of the commands that look at a series as a whole.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use funnelpulse::changepoint::{Penalty, PenaltyRule, classifier::ClassifierKind, cost::CostKind};
use serde::{Deserialize, de::IntoDeserializer};

use super::table_file;
use crate::plot::plot_file;

#[derive(Debug, Args)]
#[command(
    after_help = "The output has, series by series, a row per input row, then one per step of the horizon: series \
                        (with --series-column), ds, yhat, yhat_lower, yhat_upper, trend, and each seasonality (a \
                        multiplicative one as a share of the trend). \
                        --components adds additive_terms and multiplicative_terms, each holiday, their sum \
                        `holidays`, and each regressor.\n\n\
                        Rows whose value is empty are forecast too. Regressors, conditions, cap and floor, exposure \
                        and weights are columns of the input, found by the names that parameters give them (cap and \
                        floor by their own). Their future values have to be given: append rows with an \
                        empty value to the input, and leave --horizon out.\n\n\
                        Parameters are Prophet's by name and default, among them growth, changepoint_prior_scale, \
                        yearly, weekly and daily (auto, true, false or a number of Fourier terms), seasonality_mode, \
                        holidays, regressors, likelihood and interval_width (0.8).\n\n\
                        Example: funnelpulse forecast --input hours.csv --time-column ds --value-column y \
                        --horizon 168 --param seasonality_mode=multiplicative --param yearly=false \
                        --param interval_width=0.95 --output forecast.csv"
)]
pub(crate) struct ForecastArgs {
    /// CSV, JSON lines or Parquet, a file or a folder, in order of time; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Column of times
    #[arg(long, default_value = "ds", value_name = "C")]
    pub(crate) time_column: String,
    /// Column to forecast; empty where unknown
    #[arg(long, default_value = "y", value_name = "C")]
    pub(crate) value_column: String,
    /// Column that names the series; by default the table is one series
    #[arg(long, value_name = "C")]
    pub(crate) series_column: Option<String>,
    /// Number of rows to forecast after the last one of each series, as far apart as most of its rows
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) horizon: u32,
    /// Also write the contributions of all other terms
    #[arg(long)]
    pub(crate) components: bool,
    /// A parameter of the model, for example `interval_width=0.95`
    #[arg(long = "param", value_name = "K=V")]
    pub(crate) params: Vec<String>,
    /// CSV or Parquet, by the end of its name; - for CSV on the standard output
    #[arg(long, alias = "out", value_name = "FILE", value_parser = table_file)]
    pub(crate) output: PathBuf,
    /// Also draw it: a page (.html) with all series, or the first of them (.svg, .png)
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "The output has a row per break: index (the first row after it, from 0), time, magnitude \
                        (change of the level relative to the one before: -0.2 is 20 % down), direction, p_value, \
                        index_lower and index_upper (where the break may lie, 95 % confidence), value_before, \
                        standard_error_before, value_after, standard_error_after.\n\n\
                        All breaks of the best segmentation are written, as ruptures does. A season gives breaks, too: \
                        --min-magnitude 0.15 --max-p-value 0.01 keeps those that matter, --auto looks for \
                        lasting changes only. Rows without a value are left out.\n\n\
                        Example: funnelpulse changepoints --input hours.csv --column views --time-column ds \
                        --cost rbf --penalty 10 --min-size 24 --output changepoints.csv")]
pub(crate) struct ChangepointsArgs {
    /// CSV, JSON lines or Parquet, a file or a folder; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Column of values; several are searched together for common breaks (binomial: successes,trials)
    #[arg(long = "column", required = true, value_delimiter = ',', value_name = "C")]
    pub(crate) columns: Vec<String>,
    /// Column of times; by default rows have no time but their order
    #[arg(long, value_name = "C")]
    pub(crate) time_column: Option<String>,
    /// Column that names the series; by default the table is one series
    #[arg(long, value_name = "C")]
    pub(crate) series_column: Option<String>,
    /// Find level shifts and bends without any parameter (one column)
    #[arg(long, conflicts_with_all = ["cost", "penalty", "min_size", "jump", "gamma", "order", "min_magnitude", "max_p_value"])]
    pub(crate) auto: bool,
    /// Find changes of any kind, of dependence between columns too, by a classifier and a permutation test (level 0.02)
    #[arg(long, value_name = "CLASSIFIER",
          conflicts_with_all = ["auto", "cost", "penalty", "jump", "gamma", "order", "min_magnitude", "max_p_value"],
          value_parser = PossibleValuesParser::new(ClassifierKind::ALL.map(ClassifierKind::as_str)).try_map(|c| c.parse::<ClassifierKind>()))]
    pub(crate) classifier: Option<ClassifierKind>,
    /// Cost of a segment
    #[arg(long, default_value = "rbf", value_name = "COST",
          value_parser = PossibleValuesParser::new(CostKind::ALL.map(CostKind::as_str)).try_map(|c| c.parse::<CostKind>()))]
    pub(crate) cost: CostKind,
    /// Penalty of a break: a number, or a rule
    #[arg(long, help = "Penalty of a break: a number, or a rule: bic, sic, modified_bic, slope", default_value = "10", value_name = "P", value_parser = penalty, allow_hyphen_values = true)]
    pub(crate) penalty: Penalty,
    /// Fewest rows between breaks
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub(crate) min_size: usize,
    /// Breaks lie at multiples of this
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) jump: usize,
    /// Width of the Gaussian kernel (rbf); by default by the median heuristic
    #[arg(long, value_name = "G", allow_hyphen_values = true)]
    pub(crate) gamma: Option<f64>,
    /// Lags of the autoregressive cost
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) order: usize,
    /// Leave out smaller relative changes of level (0.15 is 15 %), with the costs l1, l2, linear, mahalanobis,
    /// poisson and binomial
    #[arg(long, default_value_t = 0.0, value_name = "M", allow_hyphen_values = true)]
    pub(crate) min_magnitude: f64,
    /// Leave out breaks with a larger p-value, with the same costs
    #[arg(long, default_value_t = 1.0, value_name = "P", allow_hyphen_values = true)]
    pub(crate) max_p_value: f64,
    /// CSV or Parquet, by the end of its name; - for CSV on the standard output
    #[arg(long, alias = "out", value_name = "FILE", value_parser = table_file)]
    pub(crate) output: PathBuf,
    /// Also draw it: a page (.html) with all series, or the first of them (.svg, .png)
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    pub(crate) plot: Option<PathBuf>,
}

/// A number or the name of a rule.
fn penalty(text: &str) -> Result<Penalty, String> {
    if let Ok(value) = text.parse() {
        return Ok(Penalty::Value(value));
    }
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    PenaltyRule::deserialize(name)
        .map(Penalty::Rule)
        .map_err(|_| "expected a number, or bic, sic, modified_bic or slope".to_owned())
}
