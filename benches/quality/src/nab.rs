//! Streams of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015) that may be redistributed.

use std::path::PathBuf;

use anyhow::Context;
use funnelpulse::{
    core::Timestamp,
    eval::metrics::{NabProfile, NabSeries, nab_score, runs},
    io::Table,
};
use funnelpulse_subsequence::{Stream, StreamConfig};

use crate::corpus;

/// Published detectors that are shown beside.
const OTHERS: [&str; 4] = ["ARTime", "numenta", "contextOSE", "knncad"];

/// Where the series are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Folder {
    /// Folder with `nab.parquet` and `published_detectors_scores.csv`.
    #[arg(long)]
    data: PathBuf,
    /// Also write every row's score to this CSV file (`file,score`).
    #[arg(long)]
    scores: Option<PathBuf>,
}

/// Prints the table: each row is scored by the rows before it, the threshold is NAB's own.
pub(crate) fn table(folder: &Folder) -> anyhow::Result<()> {
    let path = folder.data.join("nab.parquet");
    let series = corpus::read(&path, "value")?;
    let table = Table::read(&path)?;
    let (files, times) = (table.string_column("file")?, table.time_column("timestamp")?);
    let mut judged = Vec::new();
    let mut csv = String::from("file,score\n");
    for one in &series {
        let first = files.iter().position(|f| f.as_deref() == Some(&one.file)).context("a file without rows")?;
        let mut steps: Vec<i64> =
            times[first..first + one.values.len()].windows(2).map(|t| t[1].as_micros() - t[0].as_micros()).collect();
        steps.sort_unstable();
        let season = usize::try_from(Timestamp::DAY / steps[steps.len() / 2].max(1))?;
        let mut stream = Stream::new(StreamConfig { season: Some(season), ..StreamConfig::default() })?;
        let scores: Vec<f64> = one.values.iter().map(|&value| stream.push(value)).collect();
        csv.extend(scores.iter().map(|s| format!("{},{s:e}\n", one.file)));
        judged.push((scores, runs(&one.labels)));
    }
    let corpus: Vec<NabSeries<'_>> =
        judged.iter().map(|(scores, windows)| NabSeries { scores, windows: windows.clone() }).collect();
    let half = |odd: usize| corpus.iter().skip(odd).step_by(2).cloned().collect::<Vec<_>>();
    println!("| series | number | standard | reward low FP | reward low FN |\n|---|---|---|---|---|");
    for (name, corpus) in [("all", corpus.clone()), ("half 1", half(0)), ("half 2", half(1))] {
        let [a, b, c] = [NabProfile::STANDARD, NabProfile::REWARD_LOW_FP_RATE, NabProfile::REWARD_LOW_FN_RATE]
            .map(|profile| nab_score(&corpus, profile).map(|found| found.score));
        println!("| FunnelPulse, {name} | {} | {:.1} | {:.1} | {:.1} |", corpus.len(), a?, b?, c?);
    }
    let published = Table::read(&folder.data.join("published_detectors_scores.csv"))?;
    let names = published.string_column("detector")?;
    let columns = ["open_standard", "open_lowFP", "open_lowFN"];
    let columns = columns.iter().map(|c| published.f64_column(c)).collect::<Result<Vec<_>, _>>()?;
    for other in OTHERS {
        let row = names.iter().position(|n| n.as_deref() == Some(other)).context("a detector is not listed")?;
        println!(
            "| {other} | {} | {:.1} | {:.1} | {:.1} |",
            series.len(),
            columns[0][row],
            columns[1][row],
            columns[2][row]
        );
    }
    match &folder.scores {
        Some(path) => Ok(std::fs::write(path, csv)?),
        None => Ok(()),
    }
}
