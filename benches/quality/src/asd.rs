//! Which metrics explain an anomaly: the Application Server Dataset (Li et al. 2021, `InterFusion`).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, ensure};
use funnelpulse::{
    baseline::ZScore,
    core::{Columns, DynDetector, Frame, Timestamp},
    eval::metrics::threshold_at_fpr,
    iforest::{IsolationForest, IsolationForestConfig},
    io::Table,
};
use funnelpulse_subsequence::{Subsequence, SubsequenceConfig};
use ndarray::Array2;

use crate::ratios::{Share, mean};

/// Seconds from row to row.
const STEP: i64 = 300;
/// Contributions that are looked at.
const TOP: usize = 3;

/// Where the series are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Folder {
    /// Folder with `ASD.parquet` and `ASD_interpretation.json`.
    #[arg(long)]
    data: PathBuf,
}

/// A labelled segment of the test rows, both ends included, and its metrics, counted from 1.
#[derive(Debug, serde::Deserialize)]
struct Segment {
    start: usize,
    end: usize,
    dims: Vec<usize>,
}

#[derive(Debug, Default)]
struct Entity {
    /// Training rows, then test rows.
    rows: Vec<Vec<f64>>,
    trained_on: usize,
    labels: Vec<bool>,
}

/// Prints the table: fitted to the training part, judged on the test part.
pub(crate) fn table(folder: &Folder) -> anyhow::Result<()> {
    let entities = read(&folder.data.join("ASD.parquet"))?;
    let truth = std::fs::read_to_string(folder.data.join("ASD_interpretation.json"))?;
    let truth: BTreeMap<String, Vec<Segment>> = serde_json::from_str(&truth)?;
    let detectors: [(&str, Box<dyn DynDetector>); 3] = [
        ("subsequence", Box::new(Subsequence::new(SubsequenceConfig::default())?)),
        ("isolation forest", Box::new(IsolationForest::new(IsolationForestConfig::default())?)),
        ("z-score", Box::new(ZScore::default())),
    ];
    println!(
        "| detector | segments found at 1 % false alarms | a true metric on top | among the top {TOP} | by chance | share of the top {TOP} that is true | by chance |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, detector) in detectors {
        let (mut found, mut first, mut any) = (Share::default(), Share::default(), Share::default());
        let (mut lucky, mut precise, mut prevalent) = (Vec::new(), Vec::new(), Vec::new());
        for (key, entity) in &entities {
            let segments = truth.get(key).with_context(|| format!("no truth for `{key}`"))?;
            let (history, test) = entity.frames()?;
            let detection = detector.fit_dyn(history.view())?.explain(test.view())?;
            let scores = detection.score().to_vec();
            let threshold = threshold_at_fpr(&entity.labels, &scores, 0.01)?;
            let contributions = detection.contributions().context("a detector that does not explain itself")?;
            for segment in segments {
                ensure!(segment.start <= segment.end && segment.end < scores.len(), "a segment that is not there");
                let rows = (segment.start..=segment.end).filter(|&row| !scores[row].is_nan());
                let peak =
                    rows.max_by(|&a, &b| scores[a].total_cmp(&scores[b])).filter(|&row| scores[row] >= threshold);
                found.add(peak.is_some());
                let Some(peak) = peak else { continue };
                let why = contributions.row(peak);
                let mut ranked: Vec<usize> = (0..why.len()).collect();
                ranked.sort_by(|&a, &b| why[b].total_cmp(&why[a]));
                let is_true = |metric: &usize| segment.dims.contains(&(metric + 1));
                let hits = ranked[..TOP].iter().filter(|m| is_true(m)).count();
                first.add(is_true(&ranked[0]));
                any.add(hits > 0);
                precise.push(hits as f64 / TOP as f64);
                let (all, others) = (why.len() as f64, (why.len() - segment.dims.len()) as f64);
                lucky.push(1.0 - (0..TOP).map(|i| (others - i as f64).max(0.0) / (all - i as f64)).product::<f64>());
                prevalent.push(segment.dims.len() as f64 / all);
            }
        }
        let (precise, lucky, prevalent) = (mean(&precise), mean(&lucky), mean(&prevalent));
        println!("| {name} | {found} | {first} | {any} | {lucky:.2} | {precise:.2} | {prevalent:.2} |");
    }
    Ok(())
}

impl Entity {
    fn frames(&self) -> anyhow::Result<(Frame, Frame)> {
        let width = self.rows.first().map_or(0, Vec::len);
        let columns = Columns::new((1..=width).map(|metric| metric.to_string()))?;
        let frame = |rows: std::ops::Range<usize>| {
            let time = rows.clone().map(|row| Timestamp::from_seconds(row as i64 * STEP)).collect();
            let values = Array2::from_shape_vec((rows.len(), width), self.rows[rows].concat())?;
            anyhow::Ok(Frame::new(time, columns.clone(), values)?)
        };
        Ok((frame(0..self.trained_on)?, frame(self.trained_on..self.rows.len())?))
    }
}

fn read(path: &std::path::Path) -> anyhow::Result<BTreeMap<String, Entity>> {
    let table = Table::read(path)?;
    let metrics: BTreeSet<&String> = table.columns().iter().filter(|name| name.starts_with('m')).collect();
    let metrics = metrics.into_iter().map(|name| table.f64_column(name)).collect::<Result<Vec<_>, _>>()?;
    let (keys, parts) = (table.string_column("entity")?, table.string_column("part")?);
    let labels = table.f64_column("label")?;
    let mut entities: BTreeMap<String, Entity> = BTreeMap::new();
    for (row, (key, part)) in keys.into_iter().zip(parts).enumerate() {
        let entity = entities.entry(key.context("a row without entity")?).or_default();
        entity.rows.push(metrics.iter().map(|metric| metric[row]).collect());
        if part.as_deref() == Some("train") {
            ensure!(entity.labels.is_empty(), "row {row}: training rows come first");
            entity.trained_on += 1;
        } else {
            entity.labels.push(labels[row] > 0.0);
        }
    }
    Ok(entities)
}
