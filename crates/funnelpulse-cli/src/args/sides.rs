//! Arguments of the commands that look at stretches of time.

use std::path::PathBuf;

use clap::{
    ArgGroup, Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use funnelpulse::analytics::{HISTORY_DAYS, Measure, Period};

use super::Settings;

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("sides").required(true).multiple(true).args(["period", "against_series", "against_model"]),
    after_help = "PERIOD is START..END, the end not included: 2019-11-01..2019-11-08, or with times \
                  \"2019-11-01 08:00..2019-11-01 12:00\" (UTC). --period alone is compared with the same hours of the \
                  week before (of as many weeks as it takes).\n\n\
                  Sums of all rows on both sides, the change, the stages of the funnel that make up the change of revenue \
                  (they add up to it), the series that contributed most, and hours without data. With models: \
                  anomalies and incidents of each, those that both find, and the agreement of the scores.\n\n\
                  Examples:\n\
                  funnelpulse compare --input shop --period 2019-11-01..2019-11-08 --against 2019-10-25..2019-11-01\n\
                  funnelpulse compare --input shop --series brand_003 --against-series brand_004\n\
                  funnelpulse compare --input shop --model new.fpm --against-model old.fpm --labels labels.parquet"
)]
pub(crate) struct CompareArgs {
    /// CSV, JSON lines or Parquet, a file or a folder; - for the standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// The rows of this time
    #[arg(long, value_name = "PERIOD")]
    pub(crate) period: Option<Period>,
    /// Compare with the rows of this time
    #[arg(long, value_name = "PERIOD", requires = "period", conflicts_with = "model")]
    pub(crate) against: Option<Period>,
    /// The rows of this series; by default of all
    #[arg(long, value_name = "NAME")]
    pub(crate) series: Option<String>,
    /// Compare with the rows of this series
    #[arg(long, value_name = "NAME", requires = "series", conflicts_with = "model")]
    pub(crate) against_series: Option<String>,
    /// The findings of this model
    #[arg(long, value_name = "PATH", requires = "against_model", conflicts_with_all = ["config", "overrides", "preset"])]
    pub(crate) model: Option<PathBuf>,
    /// Compare with the findings of this model in the same rows
    #[arg(long, value_name = "PATH", requires = "model")]
    pub(crate) against_model: Option<PathBuf>,
    /// With models: a table with a 0/1 column `label` per series and hour, as `generate` writes it
    #[arg(long, value_name = "FILE", requires = "model")]
    pub(crate) labels: Option<PathBuf>,
    /// Number of series to print
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) top: usize,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the JSON to this file
    #[arg(long, alias = "out", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
#[command(
    after_help = "From raw events: the smallest set of attribute combinations, such as `device = mobile, brand = runail`, \
                  that explains the difference of a period from the same hours of the weeks before it (of the days before \
                  it with fewer than two weeks of history; of the time just before with less than a day). It finds \
                  where something happened, not whether: in an ordinary period it names any small part that stands out.\n\n\
                  Dimensions are columns of the events; the price is taken in bands. By default those of the setting \
                  events.dimensions, or else all further columns, price and keys. A ratio (cart_rate: carts given views, \
                  purchase_rate: purchases given carts, conversion: purchases given views, order_value: revenue given \
                  purchases) is explained by changes of the ratio within combinations, not by changes of the mix.\n\n\
                  Parameters are those of the search: dispersion, unit, max_attributes, max_causes, min_evidence, \
                  min_share.\n\n\
                  Example: funnelpulse locate --input events.parquet --period \"2019-11-05 08:00..2019-11-05 12:00\" \
                  --dimensions device,category --series brand_003"
)]
pub(crate) struct LocateArgs {
    /// Raw events: CSV or Parquet, a file or a folder
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// The period: START..END, the end not included (UTC)
    #[arg(long, value_name = "PERIOD")]
    pub(crate) period: Period,
    /// The series; by default all of them
    #[arg(long, value_name = "NAME")]
    pub(crate) series: Option<String>,
    /// The measure that changed; by default that of the stage of the funnel that changed most
    #[arg(long, value_name = "MEASURE",
          value_parser = PossibleValuesParser::new(Measure::ALL.map(Measure::as_str)).try_map(|m| m.parse::<Measure>()))]
    pub(crate) measure: Option<Measure>,
    /// The columns to search
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) dimensions: Vec<String>,
    /// Number of days before the period to compare with
    #[arg(long, default_value_t = HISTORY_DAYS, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) history: u32,
    /// A parameter of the search, for example `max_causes=3`
    #[arg(long = "param", value_name = "K=V")]
    pub(crate) params: Vec<String>,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the JSON to this file
    #[arg(long, alias = "out", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}
