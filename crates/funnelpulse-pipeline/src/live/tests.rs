//! Live equals batch, whatever the windows, and across restarts.

use std::{collections::BTreeMap, sync::Arc};

use funnelpulse_core::{Frame, Panel, SeriesKey, Timestamp, Verdict};
use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};

use super::*;
use crate::{Catalog, Config, Pipeline};

/// Days of the training, and of what follows it.
const DAYS: (usize, usize) = (18, 5);

fn shop() -> Panel {
    let config = GeneratorConfig {
        brands: 3,
        days: DAYS.0 + DAYS.1,
        seed: 31,
        quiet_days: 7,
        missing_share: 0.02,
        anomaly_share: 0.08,
        site_wide_incidents: 2,
        ..GeneratorConfig::default()
    };
    let generated = GeneratedFunnel::generate(&config).unwrap();
    let mut panel = Panel::new(generated.panel().columns().clone());
    for (index, (key, frame)) in generated.panel().clone().into_iter().enumerate() {
        let (time, columns, mut values) = frame.into_parts();
        // Two outages after the training, so that there is something to find.
        let broken = 24 * (DAYS.0 + 1 + 2 * index) + 9;
        for row in (broken..broken + 12).filter(|_| index < 2) {
            values.slice_mut(ndarray::s![row, 2 - index..]).fill(0.0);
        }
        panel.insert(key, Frame::new(time, columns, values).unwrap()).unwrap();
    }
    panel
}

fn part(panel: &Panel, from: Timestamp, to: Timestamp) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let at = |time: Timestamp| frame.time().partition_point(|t| *t < time);
        let rows = frame.view().rows(at(from)..at(to)).to_frame();
        if rows.nrows() > 0 {
            part.insert(key.clone(), rows).unwrap();
        }
    }
    part
}

fn hour(panel: &Panel, hours: usize) -> Timestamp {
    let start = panel.iter().filter_map(|(_, f)| f.time().first()).min().unwrap();
    start.offset(hours as i64 * Timestamp::HOUR)
}

fn trained(panel: &Panel, toml: &str) -> Arc<FittedPipeline> {
    let config = Config::layers().toml(toml).unwrap().build().unwrap();
    let pipeline = Pipeline::builder().config(config).build().unwrap();
    let history = part(panel, hour(panel, 0), hour(panel, 24 * DAYS.0));
    Arc::new(pipeline.fit(&history).unwrap())
}

/// Verdicts by series and time, as bits.
type Verdicts = BTreeMap<(SeriesKey, Timestamp), [u64; 4]>;

fn bits(verdict: &Verdict) -> [u64; 4] {
    let severity = verdict.severity.map_or(0, |s| 1 + s as u64);
    [verdict.score.to_bits(), verdict.threshold.to_bits(), verdict.confidence.to_bits(), severity]
}

fn verdicts(findings: &Findings) -> Verdicts {
    let rows = |s: &SeriesFindings| {
        let rows = s.time.iter().zip(&s.verdicts);
        rows.map(|(time, verdict)| ((s.series.clone(), *time), bits(verdict))).collect::<Vec<_>>()
    };
    findings.series().iter().flat_map(rows).collect()
}

/// Adds what one step says is final; each row once.
fn note_finals(advance: &Advance, finals: &mut Verdicts) {
    for row in advance.rows.iter().filter(|row| row.is_final) {
        let series = &advance.findings.series()[row.series];
        let before = finals.insert((series.series.clone(), series.time[row.row]), bits(&series.verdicts[row.row]));
        assert_eq!(before, None, "final twice");
    }
}

/// The rows after the training, in windows that begin at these hours.
fn windows(panel: &Panel, starts: impl Iterator<Item = usize>) -> Vec<Panel> {
    let (first, end) = (24 * DAYS.0, 24 * (DAYS.0 + DAYS.1));
    let inner = starts.filter(|h| (first + 1..end).contains(h));
    let edges: Vec<usize> = [first].into_iter().chain(inner).chain([end]).collect();
    edges.windows(2).map(|pair| part(panel, hour(panel, pair[0]), hour(panel, pair[1]))).collect()
}

#[test]
fn final_verdicts_are_those_of_the_batch_and_provisional_ones_those_of_the_batch_so_far() {
    let panel = shop();
    let model = trained(&panel, "");
    let begin = hour(&panel, 24 * DAYS.0);
    let all = verdicts(&model.detect(&part(&panel, begin, Timestamp::from_micros(i64::MAX))).unwrap());
    let mut live = LivePipeline::new(model.clone());
    let mut finals = Verdicts::new();
    let (mut flagged, mut revised) = (0, 0);
    for (step, window) in windows(&panel, 0..24 * (DAYS.0 + DAYS.1)).iter().enumerate() {
        let advance = live.advance(window).unwrap();
        assert!(advance.findings.failures().is_empty(), "{:?}", advance.findings.failures());
        note_finals(&advance, &mut finals);
        revised += advance.rows.iter().filter(|r| r.revision > 0 && !r.is_final).count();
        flagged += advance.findings.series().iter().map(|s| s.anomalies.len()).max().unwrap_or(0);
        if step % 23 == 5 {
            let so_far = part(&panel, begin, advance.now.offset(1));
            let batch = verdicts(&model.detect(&so_far).unwrap());
            let kept = verdicts(&advance.findings);
            for (row, verdict) in kept {
                assert_eq!(verdict, batch[&row], "{row:?} at {}", advance.now);
            }
        }
    }
    assert!(flagged > 0 && revised > 0, "a test without an incident shows little: {flagged}, {revised}");
    // All rows but those of the last three days.
    assert!(finals.len() + 3 * 72 >= all.len() && finals.len() > all.len() / 3, "{} of {}", finals.len(), all.len());
    for (row, verdict) in finals {
        assert_eq!(verdict, all[&row], "{row:?}");
    }
}

#[test]
fn windows_of_any_length_and_restarts_change_nothing() {
    let panel = shop();
    let model = trained(&panel, "pipeline.detectors = ['incidents', 'zscore', 'changepoint']");
    let run = |starts: &dyn Fn() -> Vec<usize>, restarts: bool| {
        let mut live = LivePipeline::new(model.clone());
        let mut finals = Verdicts::new();
        let mut incidents = Vec::new();
        for window in windows(&panel, starts().into_iter()) {
            let advance = live.advance(&window).unwrap();
            note_finals(&advance, &mut finals);
            incidents.extend(advance.incidents.iter().map(|i| (i.id.clone(), i.change, i.incident.end)));
            if restarts {
                let bytes = live.snapshot().unwrap();
                live = LivePipeline::restore(model.clone(), &bytes).unwrap();
                assert!(live.snapshot().unwrap() == bytes, "equal states are equal bytes");
            }
        }
        (finals, incidents)
    };
    let hourly = run(&|| (0..24 * (DAYS.0 + DAYS.1)).collect(), false);
    let uneven = run(&|| (0..24 * (DAYS.0 + DAYS.1)).filter(|h| h % 7 == 0 || h % 31 < 3).collect(), false);
    let twelve = || (0..24 * (DAYS.0 + DAYS.1)).step_by(12).collect();
    let (whole, restarted) = (run(&twelve, false), run(&twelve, true));
    for (row, verdict) in &uneven.0 {
        assert_eq!(Some(verdict), hourly.0.get(row), "{row:?}");
    }
    assert_eq!(whole, restarted);
    assert!(!hourly.1.is_empty(), "no incident opened");
}

#[test]
fn an_incident_keeps_its_name_and_ends_once() {
    let panel = shop();
    let model = trained(&panel, "");
    let mut live = LivePipeline::new(model);
    let mut open: BTreeMap<String, IncidentChange> = BTreeMap::new();
    for window in windows(&panel, (0..24 * (DAYS.0 + DAYS.1)).step_by(3)) {
        for news in live.advance(&window).unwrap().incidents {
            let before = open.insert(news.id.clone(), news.change);
            // One that was withdrawn may be found again.
            let is_open = before.is_some_and(|before| before != IncidentChange::Withdrawn);
            let opens = news.change == IncidentChange::Opened;
            assert_ne!(opens, is_open, "{} {} after {before:?}", news.id, news.change);
        }
    }
    assert!(open.len() > 1);
}

#[test]
fn new_series_start_with_a_baseline_and_series_that_stay_away_are_forgotten() {
    let panel = shop();
    let model = trained(&panel, "pipeline.detectors = ['zscore', 'incidents']");
    let mut live = LivePipeline::new(model).with_expiry(3 * Timestamp::DAY);
    let names: Vec<SeriesKey> = panel.keys().cloned().collect();
    let (mut waited, mut scored) = (0, 0);
    for (step, window) in windows(&panel, (0..24 * (DAYS.0 + DAYS.1)).step_by(6)).iter().enumerate() {
        let mut changed = Panel::new(window.columns().clone());
        for (key, frame) in window {
            // The first series is also delivered under another name; the last one ends after a day.
            if *key == names[0] {
                changed.insert("newcomer", frame.clone()).unwrap();
            }
            if step < 4 || *key != names[names.len() - 1] {
                changed.insert(key.clone(), frame.clone()).unwrap();
            }
        }
        let advance = live.advance(&changed).unwrap();
        waited += advance.waiting.len();
        scored += advance.findings.series().iter().filter(|s| s.series.as_str() == "newcomer").count();
        assert!(advance.findings.failures().is_empty(), "{:?}", advance.findings.failures());
    }
    assert!((3..=5).contains(&waited), "{waited} windows of six hours until a day is known");
    assert!(scored > 10);
    assert!(live.series().all(|key| *key != names[names.len() - 1]), "it had no row for a week");
    assert!(live.series().any(|key| key.as_str() == "newcomer"));
}

#[test]
fn a_new_model_takes_over_between_two_windows() {
    let panel = shop();
    let model = trained(&panel, "pipeline.detectors = ['zscore', 'incidents']");
    let pipeline = Pipeline::builder().config(model.config().clone()).build().unwrap();
    let longer = pipeline.fit(&part(&panel, hour(&panel, 0), hour(&panel, 24 * (DAYS.0 + 4)))).unwrap();
    let mut live = LivePipeline::new(model);
    let mut finals = Verdicts::new();
    for (step, window) in windows(&panel, (0..24 * (DAYS.0 + DAYS.1)).step_by(8)).iter().enumerate() {
        if step == 12 {
            live.swap(longer.clone()).unwrap();
        }
        let advance = live.advance(window).unwrap();
        // What was final stays so and is not emitted again.
        note_finals(&advance, &mut finals);
    }
    assert_eq!(live.model().series().next().unwrap().rows, longer.series().next().unwrap().rows);
    let other = Config::layers().toml("input.metrics = [{ name = 'load', kind = 'amount' }]").unwrap().build().unwrap();
    let mut load = Panel::new(funnelpulse_core::Columns::new(["load"]).unwrap());
    for (key, frame) in &panel {
        let values = frame.values().slice(ndarray::s![.., 0..1]).to_owned();
        load.insert(key.clone(), Frame::new(frame.time().to_vec(), load.columns().clone(), values).unwrap()).unwrap();
    }
    let other = Pipeline::builder().config(other).build().unwrap().fit(&load).unwrap();
    assert!(matches!(live.swap(other), Err(PipelineError::OtherInputs { .. })));
}

#[test]
fn rows_that_are_not_later_are_refused_and_change_nothing() {
    let panel = shop();
    let model = trained(&panel, "pipeline.detectors = ['zscore']");
    let mut live = LivePipeline::new(model);
    let windows = windows(&panel, (0..24 * (DAYS.0 + DAYS.1)).step_by(24));
    live.advance(&windows[0]).unwrap();
    let before = live.snapshot().unwrap();
    let error = live.advance(&windows[0]).unwrap_err();
    assert!(matches!(error, PipelineError::NotLater { .. }), "{error}");
    assert!(live.snapshot().unwrap() == before);
    // Damaged states are errors.
    for cut in [0, 10, before.len() / 2, before.len() - 1] {
        assert!(LivePipeline::restore(live.model.clone(), &before[..cut]).is_err());
    }
}

#[test]
fn rows_older_than_the_context_are_not_needed() {
    // The incident detector looks back 66 days; rows of more than 100 follow the training.
    let hours = 24 * 130;
    let generated = GeneratedFunnel::generate(&GeneratorConfig { brands: 3, days: 130, seed: 8, ..Default::default() });
    let panel = generated.unwrap().panel().clone();
    let config = Config::layers().toml("pipeline.detectors = ['incidents', 'zscore']").unwrap().build().unwrap();
    let pipeline = Pipeline::builder().config(config).build().unwrap();
    let model = Arc::new(pipeline.fit(&part(&panel, hour(&panel, 0), hour(&panel, 24 * 20))).unwrap());
    let batch = verdicts(&model.detect(&part(&panel, hour(&panel, 24 * 20), hour(&panel, hours))).unwrap());
    let mut live = LivePipeline::new(model);
    let mut finals = Verdicts::new();
    for start in (24 * 20..hours).step_by(24 * 10) {
        let window = part(&panel, hour(&panel, start), hour(&panel, (start + 24 * 10).min(hours)));
        note_finals(&live.advance(&window).unwrap(), &mut finals);
    }
    let kept = live.series.values().map(|series| series.inputs.nrows()).max();
    assert!(kept.is_some_and(|rows| rows < 24 * 100), "{kept:?} rows are kept");
    assert!(finals.len() > batch.len() / 2);
    for (row, verdict) in finals {
        assert_eq!(verdict, batch[&row], "{row:?}");
    }
}

#[test]
fn a_calendar_of_the_input_reaches_the_expected_values_and_live_agrees_with_batch() {
    /// Days on which twice as much happens, the last after the training.
    const SALES: [usize; 3] = [5, 13, DAYS.0 + 1];
    let mut panel = Panel::new(shop().columns().clone());
    for (key, frame) in shop() {
        let (time, columns, mut values) = frame.into_parts();
        for day in SALES {
            values.slice_mut(ndarray::s![24 * day..24 * day + 24, ..]).mapv_inplace(|value| 2.0 * value);
        }
        panel.insert(key, Frame::new(time, columns, values).unwrap()).unwrap();
    }
    let entry = |day: &usize| {
        let [start, end] = [*day, day + 1].map(|day| hour(&panel, 24 * day));
        format!("[[input.calendar]]\nname = 'sale'\nkind = 'sale'\nstart = '{start}'\nend = '{end}'\n")
    };
    let detectors = "[pipeline]\ndetectors = ['zscore', 'iforest']\n";
    let calendar: String = SALES.iter().map(entry).collect();
    let model = trained(&panel, &format!("{detectors}{calendar}"));
    let loaded = FittedPipeline::from_bytes(&model.to_bytes().unwrap(), &Catalog::default()).unwrap();
    let later = part(&panel, hour(&panel, 24 * DAYS.0), Timestamp::from_micros(i64::MAX));
    let batch = loaded.detect(&later).unwrap();
    let without = trained(&panel, detectors).detect(&later).unwrap();
    for (with, without) in batch.series().iter().zip(without.series()) {
        let views = |findings: &SeriesFindings, row: usize| findings.expected[[row, 0]];
        let sale = 24..48;
        let factors: Vec<f64> = sale.map(|row| views(with, row) / views(without, row)).collect();
        let mean = factors.iter().sum::<f64>() / 24.0;
        assert!((1.4..2.3).contains(&mean), "{}: {mean}", with.series);
    }

    let mut live = LivePipeline::new(model);
    let mut finals = Verdicts::new();
    for window in windows(&panel, (0..24 * (DAYS.0 + DAYS.1)).step_by(7)) {
        note_finals(&live.advance(&window).unwrap(), &mut finals);
    }
    let all = verdicts(&batch);
    assert!(finals.len() > 24 * 3, "{}", finals.len());
    for (row, verdict) in finals {
        assert_eq!(verdict, all[&row], "{row:?}");
    }
}
