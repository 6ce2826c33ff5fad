//! Anomalous subsequences in the series of TSB-AD (Liu and Paparrizos 2024) that may be redistributed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use funnelpulse::{
    Pipeline, Preset,
    core::{Columns, Detector, FittedDetector, Frame, Panel, Timestamp},
    eval::metrics::{acf_period, vus},
    io::Table,
};
use funnelpulse_subsequence::{Subsequence, SubsequenceConfig};

use crate::{
    corpus::{self, Labelled},
    ratios::mean,
};

/// Published methods that are shown beside.
const OTHERS: [&str; 5] = ["KMeansAD", "Series2Graph", "POLY", "KShapeAD", "Sub-KNN"];

/// Where the series are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Folder {
    /// Folder with `manifest.csv`, `published_vuspr_per_file.csv` and a Parquet file per data set.
    #[arg(long)]
    data: PathBuf,
    /// Also write every row's score to this CSV file (`file,score`).
    #[arg(long)]
    scores: Option<PathBuf>,
}

/// Results of a group of series: ours, then the others'.
type Group = Vec<Vec<f64>>;

/// Prints the table.
pub(crate) fn table(folder: &Folder) -> anyhow::Result<()> {
    let manifest = Table::read(&folder.data.join("manifest.csv"))?;
    let (files, sets) = (strings(&manifest, "file")?, strings(&manifest, "dataset")?);
    let roles = strings(&manifest, "role")?;
    let published = Published::read(&folder.data.join("published_vuspr_per_file.csv"))?;
    let mut series: BTreeMap<String, Labelled> = BTreeMap::new();
    for set in sets.iter().collect::<std::collections::BTreeSet<_>>() {
        let all = corpus::read(&folder.data.join(format!("{set}.parquet")), "data")?;
        series.extend(all.into_iter().map(|s| (s.file.clone(), s)));
    }
    let pipeline = Pipeline::builder().config(Preset::Univariate.config()?).build()?;
    let detector = Subsequence::new(SubsequenceConfig::default())?;
    let mut listed: Vec<usize> = (0..files.len()).collect();
    listed.sort_by_key(|&i| &files[i]);
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let (mut judged, mut csv) = (0, String::from("file,score\n"));
    for i in listed {
        let series = series.get(&files[i]).with_context(|| format!("no series `{}`", files[i]))?;
        let frame = series.frame()?;
        let model = detector.fit(frame.view())?;
        let score = model.retrospective(frame.view())?.into_score().to_vec();
        let trailing = model.detect(frame.view())?.into_score().to_vec();
        let quality = |score: &[f64]| vus(&series.labels, score, acf_period(&series.values)).map(|vus| vus.pr);
        let ours = [quality(&preset(&pipeline, &frame)?)?, quality(&score)?, quality(&trailing)?];
        if folder.scores.is_some() {
            csv.extend(score.iter().map(|s| format!("{},{s:e}\n", series.file)));
        }
        if roles[i] == "eval" {
            let row = || ours.into_iter().chain(published.of(&files[i])).collect::<Vec<f64>>();
            let half = if judged % 2 == 0 { "half 1 of the files" } else { "half 2 of the files" };
            judged += 1;
            for group in [sets[i].as_str(), half, "~ all"] {
                groups.entry(group.into()).or_default().push(row());
            }
        } else {
            groups.entry("~ tuning list".into()).or_default().push(ours.to_vec());
        }
    }
    println!("VUS-PR, fitted to the whole series without labels, one setting\n");
    println!(
        "| series | number | preset `univariate` | `retrospective` | `detect`, looking back only | {} |\n|---|---|---|---|---|{}",
        OTHERS.join(" | "),
        "---|".repeat(OTHERS.len())
    );
    for (name, rows) in &groups {
        let means =
            (0..OTHERS.len() + 3).map(|c| match rows.iter().map(|r| r.get(c).copied()).collect::<Option<Vec<f64>>>() {
                Some(column) => format!("{:.3}", mean(&column)),
                None => "-".into(),
            });
        println!("| {} | {} | {} |", name.trim_start_matches("~ "), rows.len(), means.collect::<Vec<_>>().join(" | "));
    }
    match &folder.scores {
        Some(path) => Ok(std::fs::write(path, csv)?),
        None => Ok(()),
    }
}

/// Scores of the ensemble.
fn preset(pipeline: &Pipeline, frame: &Frame) -> anyhow::Result<Vec<f64>> {
    let mut panel = Panel::new(Columns::new(["value"])?);
    // One row an hour: what the time means is not known.
    let time = (0..frame.nrows() as i64).map(|row| Timestamp::from_seconds(3600 * row)).collect();
    panel.insert("series", Frame::new(time, Columns::new(["value"])?, frame.values().to_owned())?)?;
    let findings = pipeline.run(&panel)?;
    let series = findings.series().first().context("the series was not scored")?;
    Ok(series.verdicts.iter().map(|v| v.score).collect())
}

fn strings(table: &Table, column: &str) -> anyhow::Result<Vec<String>> {
    let cells = table.string_column(column)?.into_iter();
    cells.map(|cell| cell.with_context(|| format!("an empty cell in `{column}`"))).collect()
}

/// Published figures.
struct Published {
    files: Vec<String>,
    methods: Vec<Vec<f64>>,
}

impl Published {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let table = Table::read(path)?;
        let methods = OTHERS.iter().map(|method| table.f64_column(method)).collect::<Result<_, _>>()?;
        Ok(Self { files: strings(&table, "file")?, methods })
    }

    /// Empty for a file that is not there.
    fn of(&self, file: &str) -> Vec<f64> {
        let row = self.files.iter().position(|f| f == file);
        row.map_or_else(Vec::new, |row| self.methods.iter().map(|m| m[row]).collect())
    }
}
