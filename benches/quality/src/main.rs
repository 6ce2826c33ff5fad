//! How good detection and analysis are, measured: one command per table.
//!
//! `cargo run --release -p funnelpulse-quality -- funnel` and so on; `--help` lists them.
#![allow(clippy::print_stdout, reason = "tables are what it is for")]

mod asd;
mod budget;
mod corpus;
mod funnel;
mod nab;
mod oracle;
mod ratios;
mod shift;
mod tsbad;

use clap::{Parser, Subcommand};
use funnelpulse::eval::generator::{Difficulty, Variety};

/// Tables of quality, in Markdown.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    table: Table,
}

#[derive(Debug, Subcommand)]
enum Table {
    /// Detection on generated shops beside a z-score and the detector with the true rates.
    Funnel(Shops),
    /// False alarms on held-out hours of shops without an incident, beside the budget.
    Budget(Shops),
    /// How soon level shifts after training are seen.
    Shift(Shops),
    /// Which metrics explain an anomaly, on the Application Server Dataset.
    Asd(asd::Folder),
    /// Scores of the Numenta Anomaly Benchmark on its open half.
    Nab(nab::Folder),
    /// VUS-PR on the open series of TSB-AD beside published methods.
    Tsbad(tsbad::Folder),
}

/// Which shops to generate.
#[derive(Clone, Debug, clap::Args)]
struct Shops {
    /// Seeds, comma-separated.
    #[arg(long, value_delimiter = ',', default_values_t = [11, 12, 13])]
    seeds: Vec<u64>,
    /// How far anomalies stand out: easy, medium, hard.
    #[arg(long, default_value_t = Difficulty::Medium)]
    difficulty: Difficulty,
    /// Which anomalies: `open` draws sizes, lengths and onsets, and half of them have no name; `tabulated` is the demo's.
    #[arg(long, default_value_t = Variety::Open)]
    variety: Variety,
    /// Number of brands.
    #[arg(long, default_value_t = 40)]
    brands: usize,
    /// Number of days.
    #[arg(long, default_value_t = 150)]
    days: usize,
    /// Incidents that hit all brands at once.
    #[arg(long, default_value_t = 0)]
    site_wide: usize,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().table {
        Table::Funnel(shops) => funnel::table(&shops),
        Table::Budget(shops) => budget::table(&shops),
        Table::Shift(shops) => shift::table(&shops),
        Table::Asd(folder) => asd::table(&folder),
        Table::Nab(folder) => nab::table(&folder),
        Table::Tsbad(folder) => tsbad::table(&folder),
    }
}
