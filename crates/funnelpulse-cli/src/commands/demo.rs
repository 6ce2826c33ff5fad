//! `funnelpulse demo`: a labelled shop from nothing to a measured result.

use std::time::Instant;

use funnelpulse::{
    Findings, Pipeline,
    core::counted,
    eval::{
        generator::{AnomalyKind, GeneratedFunnel},
        metrics::{auc_pr, auc_roc, best_f1, event_recall_by_kind, flags_above, threshold_at_fpr, vus},
    },
    features::PanelSpec,
    io::{panel_to_batch, write_file},
    report::Report,
};

use crate::{
    Outcome,
    args::DemoArgs,
    commands::generate::{labels, shop},
    context::catalog,
    input::configuration,
    output, outputs,
};

/// Tolerance of VUS-PR in rows: a day.
const DAY: usize = 24;
/// The false positive rate at which events are counted as found.
const FALSE_POSITIVE_RATE: f64 = 0.01;

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<Outcome> {
    outputs::folder("--out", &args.out)?;
    let config = configuration(&args.settings)?;
    let shop = shop(&args.shop)?;
    output::say(format_args!(
        "A generated shop: {}, {}, {}, {} (seed {})",
        counted(args.shop.brands, "brand", "brands"),
        counted(args.shop.days, "day", "days"),
        counted(shop.panel().total_rows(), "hourly row", "hourly rows"),
        counted(shop.events().len(), "planted anomaly", "planted anomalies"),
        args.shop.seed
    ))?;
    let start = Instant::now();
    let pipeline =
        Pipeline::builder().catalog((*catalog()).clone()).config(config).progress(output::progress()).build()?;
    let findings = pipeline.run(shop.panel())?;
    output::print_failures(findings.failures(), "");
    if findings.series().is_empty() {
        output::warn("error: no series could be scored, nothing was written");
        return Ok(Outcome::Unscored);
    }
    output::say(format_args!("Trained and scored without the labels in {:.1} s\n", start.elapsed().as_secs_f64()))?;

    output::print_findings(&findings, &findings.summary(), args.top)?;
    let quality = measure(&shop, &findings)?;
    if quality.is_empty() {
        output::note("note: so small a shop has no anomalies, or nothing else: there is no quality to measure");
    } else {
        output::say("\nMeasured against the labels (all brands pooled):")?;
    }
    for (name, value) in &quality {
        output::say(format_args!("  {name:<56}{value}"))?;
    }

    output::write_tables(&findings, &args.out, shop.panel().total_rows())?;
    write_file(&args.out.join("hourly.parquet"), &panel_to_batch(shop.panel(), &PanelSpec::funnel())?)?;
    write_file(&args.out.join("labels.parquet"), &labels(&shop)?)?;
    let report = args.out.join("report.html");
    Report::new(&findings).title("A generated shop").quality(quality).write(&report)?;
    output::say(format_args!("\nTables and report in {}; open {}", args.out.display(), report.display()))?;
    Ok(Outcome::Done)
}

/// Figures by `funnelpulse-eval` on the generator's labels, all brands in one ranking. None
/// without both normal and anomalous rows.
fn measure(shop: &GeneratedFunnel, findings: &Findings) -> anyhow::Result<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut scores = Vec::new();
    let mut flags = Vec::new();
    let mut kinds: Vec<&[Option<AnomalyKind>]> = Vec::new();
    let mut bounds = vec![0];
    for series in findings.series() {
        let name = series.series.as_str();
        labels.extend_from_slice(shop.labels(name).unwrap_or_default());
        kinds.push(shop.kinds(name).unwrap_or_default());
        scores.extend(series.verdicts.iter().map(|v| v.score));
        flags.extend(series.verdicts.iter().map(|v| v.is_anomaly));
        bounds.push(scores.len());
    }
    let positives = labels.iter().filter(|l| **l).count();
    if positives == 0 || positives == labels.len() {
        return Ok(Vec::new());
    }
    let flagged = flags.iter().filter(|f| **f).count();
    let hits = flags.iter().zip(&labels).filter(|(f, l)| **f && **l).count();
    let f1 = best_f1(&labels, &scores)?;
    let limit = threshold_at_fpr(&labels, &scores, FALSE_POSITIVE_RATE)?;
    let above = flags_above(&scores, limit);
    let per_series =
        |flags: &[bool]| -> Vec<Vec<bool>> { bounds.windows(2).map(|b| flags[b[0]..b[1]].to_vec()).collect() };
    let found = |flags: &[bool]| {
        let flags = per_series(flags);
        event_recall_by_kind(kinds.iter().copied().zip(flags.iter().map(Vec::as_slice)))
    };
    let at_rate = found(&above)?;
    let as_flagged = found(&flags)?;
    let mut rows = vec![
        ("share of anomalous rows".to_owned(), format!("{:.3}", positives as f64 / labels.len() as f64)),
        ("AUC-PR (chance is the share above)".to_owned(), format!("{:.3}", auc_pr(&labels, &scores)?)),
        ("AUC-ROC".to_owned(), format!("{:.3}", auc_roc(&labels, &scores)?)),
        ("VUS-PR, tolerance one day".to_owned(), format!("{:.3}", vus(&labels, &scores, DAY)?.pr)),
        ("best F1".to_owned(), format!("{:.3}", f1.f1)),
        ("precision of the flagged rows".to_owned(), format!("{:.3}", hits as f64 / flagged.max(1) as f64)),
        ("recall of the flagged rows".to_owned(), format!("{:.3}", hits as f64 / positives.max(1) as f64)),
        ("events flagged, mean over kinds".to_owned(), format!("{:.3}", as_flagged.macro_recall)),
        ("events found at 1 % false positives, mean over kinds".to_owned(), format!("{:.3}", at_rate.macro_recall)),
    ];
    for (kind, (recall, events)) in &at_rate.kinds {
        rows.push((format!("  {kind}"), format!("{recall:.2} of {events}")));
    }
    Ok(rows)
}
