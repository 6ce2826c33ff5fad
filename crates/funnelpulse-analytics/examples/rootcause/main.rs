//! Root cause localization on the open `RobustSpot` cases and on synthetic cubes, as tables.
//!
//! `cargo run --release -p funnelpulse-analytics --example rootcause -- FOLDER`, where FOLDER holds
//! `robustspot.parquet` and `robustspot_truth.json`; without it the synthetic cubes only.
#![allow(clippy::print_stdout, reason = "prints a table")]

mod cubes;
mod robustspot;
mod score;

use std::{error::Error, path::PathBuf, time::Instant};

use funnelpulse_analytics::{Leaves, LocalizeConfig, Localizer};
use score::{Score, Truth};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(folder) = std::env::args_os().nth(1) {
        real(&robustspot::read(&PathBuf::from(folder))?)?;
    }
    synthetic()
}

/// Scores of all cases, those at odd places and those at even places, and the milliseconds per case.
fn run(cases: &[(Leaves, Truth)], config: LocalizeConfig) -> Result<([Score; 3], f64), Box<dyn Error>> {
    let localizer = Localizer::new(config)?;
    let mut scores = [Score::default(); 3];
    let start = Instant::now();
    for (i, (leaves, truth)) in cases.iter().enumerate() {
        let found = localizer.localize(leaves);
        scores[0].add(&found, truth);
        scores[1 + i % 2].add(&found, truth);
    }
    Ok((scores, start.elapsed().as_secs_f64() * 1e3 / cases.len() as f64))
}

fn real(cases: &[robustspot::Case]) -> Result<(), Box<dyn Error>> {
    let cases: Vec<_> = cases.iter().map(|c| (c.history.leaves_at(c.period), c.truth.clone())).collect();
    println!("RobustSpot, {} real cases, micro-F1 of exact matches\n", cases.len());
    println!("| dispersion | all | odd cases | even cases | ms per case |\n|---|---|---|---|---|");
    let default = LocalizeConfig::default();
    for dispersion in [0.02, 0.05, 0.1, default.dispersion, 0.5, 1.0, 2.0] {
        let ([all, odd, even], ms) = run(&cases, LocalizeConfig { dispersion, ..default.clone() })?;
        let mark = if dispersion == default.dispersion { " (default)" } else { "" };
        println!("| {dispersion}{mark} | {:.3} | {:.3} | {:.3} | {ms:.2} |", all.f1(), odd.f1(), even.f1());
    }
    println!();
    choice(&cases)
}

/// What a choice by one half of the cases alone gives on the other half: the scores there of all
/// settings that are best on the first half.
fn choice(cases: &[(Leaves, Truth)]) -> Result<(), Box<dyn Error>> {
    let default = LocalizeConfig::default();
    let mut tried = Vec::new();
    for dispersion in [0.02, 0.05, 0.1, default.dispersion, 0.5, 1.0, 2.0] {
        for min_share in [0.05, 0.1, default.min_share, 0.4, 0.7] {
            let ([_, odd, even], _) = run(cases, LocalizeConfig { dispersion, min_share, ..default.clone() })?;
            tried.push((odd.f1(), even.f1()));
        }
    }
    println!("Dispersion and `min_share` chosen by one half, {} settings tried\n", tried.len());
    println!(
        "| chosen by | best there | settings that share it | on the other half, worst to best |\n|---|---|---|---|"
    );
    for half in ["odd cases", "even cases"] {
        let most = tried.iter().map(|t| t.0).fold(0.0, f64::max);
        let others: Vec<f64> = tried.iter().filter(|t| t.0 == most).map(|t| t.1).collect();
        let (low, high) = (others.iter().copied().fold(1.0, f64::min), others.iter().copied().fold(0.0, f64::max));
        println!("| {half} | {most:.3} | {} | {low:.3} to {high:.3} |", others.len());
        tried = tried.into_iter().map(|(chosen, other)| (other, chosen)).collect();
    }
    println!();
    Ok(())
}

fn synthetic() -> Result<(), Box<dyn Error>> {
    println!("Synthetic cubes (10 x 12 x 10 x 8 leaves), default settings, 40 cubes per row\n");
    println!("| leaf noise | attributes of a cause | causes | recall | F1 | ms per cube | recall at `min_share` .02 |");
    println!("|---|---|---|---|---|---|---|");
    for noise in [0.02, 0.1] {
        for depth in 1..=3 {
            for causes in 1..=3 {
                let cases: Vec<_> = (0..40).map(|seed| cubes::cube(seed, depth, causes, noise)).collect();
                let ([all, ..], ms) = run(&cases, LocalizeConfig::default())?;
                let ([more, ..], _) = run(&cases, LocalizeConfig { min_share: 0.02, ..LocalizeConfig::default() })?;
                let (recall, f1, more) = (all.recall(), all.f1(), more.recall());
                println!("| {noise} | {depth} | {causes} | {recall:.3} | {f1:.3} | {ms:.1} | {more:.3} |");
            }
        }
    }
    println!("\nTen attributes of six values, 5000 leaves that expect 30 each\n");
    println!("| loss | found | ms |\n|---|---|---|");
    for loss in [0.0, 0.5, 0.9] {
        let leaves = cubes::wide(loss);
        let localizer = Localizer::new(LocalizeConfig::default())?;
        let start = Instant::now();
        let found: Vec<String> = localizer.localize(&leaves).causes.iter().map(|c| c.combination.to_string()).collect();
        println!("| {loss} | {} | {:.0} |", found.join("; "), start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}
