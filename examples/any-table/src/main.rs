//! `cargo run --release -p any-table -- TABLE [CONFIG]`
//!
//! What `funnelpulse run` does, in a dozen lines of library: a table of any columns, a file that says
//! what they mean, the anomalies. TABLE is CSV or Parquet; CONFIG is by default `online-retail.toml`
//! beside this program, which describes the sales of a shop by product family.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that shows something")]

use std::path::{Path, PathBuf};

use anyhow::Context;
use funnelpulse::{
    Config, Findings, Pipeline, SeriesFailure,
    io::{Table, read_panel},
};

/// The configuration of the UCI Online Retail table.
const ONLINE_RETAIL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/online-retail.toml");

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let table = arguments.next().context("which table? cargo run --release -p any-table -- TABLE [CONFIG]")?;
    let config = arguments.next().unwrap_or_else(|| ONLINE_RETAIL.into());
    let findings = anomalies(&table, &config)?;
    println!("{} rows of {} series", findings.rows(), findings.series().len());
    for (_, anomaly) in findings.ranked().into_iter().take(10) {
        println!("{:>3} {}\n    {}", anomaly.rank, anomaly.notice.title, anomaly.notice.message);
    }
    for failure in findings.failures() {
        eprintln!("not scored: {}: {}", failure.series, failure.message);
    }
    Ok(())
}

fn anomalies(table: &Path, config: &Path) -> anyhow::Result<Findings> {
    let config = Config::layers().file(config)?.build().with_context(|| config.display().to_string())?;
    let read = read_panel(&Table::read(table)?, &config.input)?;
    let mut findings = Pipeline::builder().config(config).build()?.run(&read.panel)?;
    // Series that could not be read, beside those that could not be scored.
    findings.add_failures(
        read.problems.into_iter().map(|problem| SeriesFailure { series: problem.series, message: problem.message }),
    );
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Five weeks of two families; on the last day one order takes the stock of a month.
    #[test]
    fn a_bulk_order_is_found_and_a_broken_series_named() {
        let mut csv = "window_start,family,orders,customers,units,revenue,cancel_orders,cancel_revenue\n".to_owned();
        for hour in (0..35 * 24).filter(|h| (8..18).contains(&(h % 24))) {
            let (day, time) = (hour / 24, hour % 24);
            let stamp = format!("2011-{:02}-{:02} {time:02}:00:00", 3 + day / 28, 1 + day % 28);
            let orders = 4 + (hour * 7) % 5;
            let units = if (day, time) == (34, 11) { 9_000 } else { 20 * orders + hour % 13 };
            writeln!(csv, "{stamp},22,{orders},{orders},{units},{}.5,0,0", 2 * units).unwrap();
            let broken = if hour == 496 { "-3" } else { "2" };
            writeln!(csv, "{stamp},84,{broken},2,40,80,0,0").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sales.csv");
        std::fs::write(&path, csv).unwrap();

        let findings = anomalies(&path, Path::new(ONLINE_RETAIL)).unwrap();
        assert_eq!(findings.failures()[0].series.as_str(), "84");
        assert!(findings.failures()[0].message.contains("column `orders` is -3"), "{:?}", findings.failures());
        let (series, worst) = findings.ranked()[0];
        assert_eq!(series.series.as_str(), "22");
        assert_eq!(worst.notice.time, "2011-04-07T11:00:00Z");
    }
}
