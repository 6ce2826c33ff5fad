use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use funnelpulse_baseline::{ZScore, ZScoreConfig, ZScoreModel};
use funnelpulse_core::{AnyDetector, Frame, Panel, SeriesKey};
use funnelpulse_features::PanelSpec;
use ndarray::{Array2, Axis};

use funnelpulse_analytics::Findings;
use funnelpulse_core::ModelSource;

use super::*;

const DAYS: usize = 35;

/// Hours of a made-up shop: a daily season, integer noise, a level per series.
fn series(seed: u64, hours: usize) -> Frame {
    let spec = PanelSpec::funnel();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let level = 100.0 + 50.0 * (seed % 7) as f64;
    let values = Array2::from_shape_fn((hours, 4), |(hour, column)| {
        let season = 1.5 + (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        (level * season * [4.0, 1.2, 0.6, 3.0][column] * (1.0 + 0.1 * noise())).round()
    });
    let time = (0..hours).map(|h| funnelpulse_core::Timestamp::from_seconds(1_569_888_000 + 3600 * h as i64));
    Frame::new(time.collect(), spec.columns(), values).unwrap()
}

fn panel(lengths: &[(&str, usize)]) -> Panel {
    let mut panel = Panel::new(PanelSpec::funnel().columns());
    for (i, (name, hours)) in lengths.iter().enumerate() {
        panel.insert(*name, series(i as u64 + 1, *hours)).unwrap();
    }
    panel
}

fn shop() -> Panel {
    let panel = panel(&[("irisk", 24 * DAYS), ("runail", 24 * DAYS), ("uno", 24 * DAYS)]);
    // Runail's checkout is down for three hours.
    let mut broken = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let (time, columns, mut values) = frame.into_parts();
        if key.as_str() == "runail" {
            for hour in 600..603 {
                values[[hour, 2]] = 0.0;
                values[[hour, 3]] = 0.0;
            }
        }
        broken.insert(key, Frame::new(time, columns, values).unwrap()).unwrap();
    }
    broken
}

/// The model of the autoencoder in words, where this build has it.
const NETWORK: &str = if cfg!(feature = "lstm-ae") { " lstm-ae:pooled" } else { "" };

fn pipeline(toml: &str) -> Pipeline {
    let config = Config::layers().toml(toml).unwrap().build().unwrap();
    Pipeline::builder().config(config).build().unwrap()
}

/// Scores to the bit, and everything else.
fn assert_same(a: &Findings, b: &Findings) {
    assert_eq!(a.series().len(), b.series().len());
    for (a, b) in a.series().iter().zip(b.series()) {
        assert_eq!(a.series, b.series);
        for (x, y) in a.models.iter().zip(&b.models) {
            let bits = |s: &ndarray::Array1<f64>| s.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&x.scores), bits(&y.scores), "{} {}", a.series, x.detector);
        }
        assert_eq!(a.anomalies, b.anomalies);
    }
    assert_eq!(a.failures(), b.failures());
}

#[test]
fn finds_prices_and_explains_an_outage() {
    let findings = pipeline("").run(&shop()).unwrap();
    let (series, worst) = findings.ranked()[0];
    assert_eq!(series.series.as_str(), "runail");
    assert!((600..603).contains(&worst.row), "row {}", worst.row);
    assert_eq!(worst.anomaly_type, funnelpulse_core::AnomalyType::Drop);
    let named: Vec<&str> = worst.factors.iter().map(|f| f.metric.as_str()).collect();
    assert!(named.contains(&"purchases") || named.contains(&"conversion_rate"), "{named:?}");
    // The hour lost what was expected of it, give or take the noise.
    let usual = series.expected[[worst.row, 3]];
    assert!(usual > 100.0 && worst.impact.revenue == Some(-usual), "{:?} of {usual}", worst.impact);
    let summary = findings.summary();
    assert!(summary.total.anomalies >= 3 && summary.total.anomalies < 60, "{}", summary.total.anomalies);
}

#[test]
fn training_then_detecting_is_running() {
    let panel = shop();
    for toml in ["", "[pipeline.scope]\niforest = 'pooled'", "[pipeline.columns]\niforest = ['views_lag_24h', 'views']"]
    {
        let pipeline = pipeline(toml);
        let model = pipeline.fit(&panel).unwrap();
        let run = pipeline.run(&panel).unwrap();
        assert_same(&model.detect(&panel).unwrap(), &run);
        let loaded = FittedPipeline::from_bytes(&model.to_bytes().unwrap(), &Catalog::default()).unwrap();
        assert_same(&loaded.detect(&panel).unwrap(), &run);
        assert_eq!(loaded.to_bytes().unwrap(), model.to_bytes().unwrap());
    }
}

#[test]
fn threads_and_the_order_of_series_change_nothing() {
    let panel = shop();
    let mut reversed = Panel::new(panel.columns().clone());
    for (key, frame) in panel.clone().into_iter().collect::<Vec<_>>().into_iter().rev() {
        reversed.insert(key, frame).unwrap();
    }
    let pipeline = pipeline("[pipeline.scope]\niforest = 'pooled'");
    let run = |threads: usize, panel: &Panel| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| pipeline.run(panel).unwrap())
    };
    let one = run(1, &panel);
    assert_same(&run(2, &panel), &one);
    assert_same(&run(2, &reversed), &one);
}

#[test]
fn later_rows_see_the_history_they_follow() {
    let columns = "[pipeline.columns]\niforest = ['views_lag_168h', 'purchases_rolling_mean_7d']";
    let whole = shop();
    let pipeline = pipeline(columns);
    let part = |range: std::ops::Range<usize>| {
        let mut part = Panel::new(whole.columns().clone());
        for (key, frame) in &whole {
            part.insert(key.clone(), frame.view().rows(range.clone()).to_frame()).unwrap();
        }
        part
    };
    let model = pipeline.fit(&part(0..800)).unwrap();
    let tail = model.detect(&part(800..840)).unwrap();
    let all = model.detect(&whole).unwrap();
    for (tail, all) in tail.series().iter().zip(all.series()) {
        let same = all.models[0].scores.slice_axis(Axis(0), (800..840).into());
        assert_eq!(tail.models[0].scores, same);
        assert!(tail.models[0].scores.iter().all(|s| !s.is_nan()));
    }
}

/// Series of any step, one of them with an outage near the end.
fn table(step_seconds: u64, rows: usize) -> Panel {
    let mut panel = Panel::new(PanelSpec::funnel().columns());
    for (seed, name) in ["irisk", "runail", "uno"].into_iter().enumerate() {
        let (time, columns, values) = series(seed as u64 + 1, rows).into_parts();
        let start = time[0];
        let at = |row: usize| start.offset(row as i64 * step_seconds as i64 * funnelpulse_core::Timestamp::SECOND);
        panel.insert(name, Frame::new((0..rows).map(at).collect(), columns, values).unwrap()).unwrap();
    }
    panel
}

fn rows_of(panel: &Panel, range: std::ops::Range<usize>) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        part.insert(key.clone(), frame.view().rows(range.clone()).to_frame()).unwrap();
    }
    part
}

/// Law 1 of the contract: a row's score depends on the model, on the row and on the context before
/// it.
#[test]
fn rows_score_alone_as_at_the_end_of_a_longer_table() {
    let engineered = "[features]\nrolling_days = [1]\nlag_hours = [1]\nstatistical = false\n[pipeline.columns]\n\
                      iforest = ['views_rolling_mean_1d', 'views_lag_1h', 'purchases_change_1h']\n";
    let hour = 3600;
    for (step, columns) in [(hour, ""), (24 * hour, ""), (900, ""), (hour, engineered)] {
        for detector in ["iforest", "seasonal", "changepoint", "zscore", "subsequence"] {
            let (all, trained) = (700, 600);
            let panel = table(step, all);
            let toml = format!(
                "{columns}[pipeline]\nmin_rows = 100\ndetectors = ['{detector}']\n[input]\nstep_seconds = {step}\n"
            );
            // Tables of TOML may not be opened twice.
            let toml =
                toml.replace("[pipeline]\nmin_rows = 100", "[alerts]\nbudget = 'off'\n[pipeline]\nmin_rows = 100");
            let config = Config::layers().toml(&toml).and_then(funnelpulse_config::Layers::build).unwrap();
            let model = Pipeline::builder().config(config).build().unwrap().fit(&rows_of(&panel, 0..trained)).unwrap();
            let alone = model.detect(&rows_of(&panel, trained..all)).unwrap();
            let whole = model.detect(&panel).unwrap();
            for (alone, whole) in alone.series().iter().zip(whole.series()) {
                let whole = whole.models[0].scores.slice_axis(Axis(0), (trained..all).into());
                let differ = alone.models[0].scores.iter().zip(whole).filter(|(a, b)| a.to_bits() != b.to_bits());
                assert_eq!(differ.count(), 0, "{detector}, steps of {step} s, {columns}");
            }
        }
    }
}

#[test]
fn short_series_fall_back_and_say_so() {
    let panel = panel(&[("long", 24 * DAYS), ("short", 100), ("tiny", 5)]);
    let findings = pipeline("").run(&panel).unwrap();
    let words: Vec<_> = findings.series().iter().map(|s| (s.series.as_str(), s.models_in_words())).collect();
    assert_eq!(
        words,
        [
            ("long", format!("iforest:own seasonal:own changepoint:own zscore:own incidents:pooled{NETWORK}")),
            ("short", format!("iforest:pooled incidents:pooled{NETWORK}"))
        ]
    );
    assert_eq!(findings.failures().len(), 1);
    assert_eq!(findings.failures()[0].message, "too short to score: 5 rows with data, at least 24 are needed");

    let alone = pipeline("").run(&self::panel(&[("short", 40)])).unwrap();
    assert_eq!(alone.series()[0].models[0].source, ModelSource::Fallback);
    assert_eq!(alone.series()[0].models[0].detector, "zscore");
}

#[test]
fn one_bad_series_stops_nobody() {
    let mut panel = shop();
    let (time, columns, values) = series(9, 24 * DAYS).into_parts();
    let blank = Frame::new(time, columns, values.mapv(|_| f64::NAN)).unwrap();
    panel.insert("blank", blank).unwrap();
    let pipeline = pipeline("");
    let findings = pipeline.run(&panel).unwrap();
    assert_eq!(findings.series().len(), 3);
    assert_eq!(findings.failures()[0].series, SeriesKey::from("blank"));
    let model = pipeline.fit(&panel).unwrap();
    assert_same(&model.detect(&panel).unwrap(), &findings);
}

#[test]
fn unknown_series_are_reported_at_detection() {
    let model = pipeline("").fit(&shop()).unwrap();
    let findings = model.detect(&panel(&[("runail", 50), ("stranger", 50)])).unwrap();
    assert_eq!(findings.series().len(), 1);
    assert!(findings.failures()[0].message.contains("not in the model"));
}

#[test]
fn flagged_rows_of_any_detector_become_incidents() {
    let toml = "[pipeline]\ndetectors = ['zscore']\n[alerts]\nbudget = 'off'\n[ensemble]\nthreshold = 0.95";
    let findings = pipeline(toml).run(&shop()).unwrap();
    let worst = findings.incidents()[0];
    assert_eq!(worst.series.as_str(), "runail");
    assert!(worst.rows.0 <= 600 && worst.rows.1 >= 602, "{:?}", worst.rows);
    assert!(worst.impact.revenue.is_some_and(|r| r < 0.0) && worst.probability.is_nan());
    assert!(worst.summary.starts_with("Unexplained anomaly in runail from"), "{}", worst.summary);
    let rows: usize = findings.series().iter().map(|s| s.anomalies.len()).sum();
    let covered = |s: &funnelpulse_analytics::SeriesFindings| {
        s.anomalies.iter().all(|a| s.incidents.iter().any(|i| (i.rows.0..=i.rows.1).contains(&a.row)))
    };
    assert!(rows > 0 && findings.series().iter().all(covered));
}

#[test]
fn data_of_another_scale_are_named() {
    let model = pipeline("").fit(&shop()).unwrap();
    assert_eq!(model.detect(&shop()).unwrap().warnings(), [] as [String; 0]);
    let mut cents = Panel::new(shop().columns().clone());
    for (key, frame) in shop() {
        let (time, columns, values) = frame.into_parts();
        cents.insert(key, Frame::new(time, columns, values * 100.0).unwrap()).unwrap();
    }
    let warnings = model.detect(&cents).unwrap().warnings().to_vec();
    assert!(warnings.len() == 3 && warnings[0].contains("do not look like"), "{warnings:?}");
}

#[test]
fn a_table_of_days_runs_every_detector_that_can_and_names_the_others() {
    let config = Config::layers().toml("[input]\nstep_seconds = 86400").unwrap().build().unwrap();
    let pipeline = Pipeline::builder().config(config).build().unwrap();
    let (model, findings) = pipeline.fit_run(&table(86_400, 120)).unwrap();
    let expected = format!("iforest:own seasonal:own changepoint:own zscore:own{NETWORK}");
    assert_eq!(findings.series()[0].models_in_words(), expected);
    assert_eq!(model.left_out()[0].detector, "incidents");
    assert!(model.left_out()[0].reason.contains("86400 seconds apart"), "{:?}", model.left_out());
}

#[test]
fn wrong_columns_are_named() {
    let columns = funnelpulse_core::Columns::new(["views", "carts"]).unwrap();
    let error = pipeline("").run(&Panel::new(columns)).unwrap_err();
    assert_eq!(error.to_string(), "column `purchases` is missing (there are: views, carts)");

    let config = Config::layers().toml("[pipeline.columns]\niforest = ['views_residul']").unwrap().build().unwrap();
    let error = Pipeline::builder().config(config).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "detector `iforest`: there is no column `views_residul`, did you mean `views_residual`?"
    );
}

#[test]
fn a_detector_of_ones_own_takes_part_by_one_entry() {
    let build = |_: &BuildContext<'_>| Ok(AnyDetector::series(ZScore::new(ZScoreConfig::default())).into());
    let entry = Entry::new("own", "a second z-score", build).columns(|_, names| names.stored()).model::<ZScoreModel>();
    let catalog = Catalog::default().with(entry);
    let config = catalog.layers().toml("[pipeline]\ndetectors = ['zscore', 'own']").unwrap().build().unwrap();
    assert_eq!(config.ensemble.weights["own"], 0.3);
    let pipeline = Pipeline::builder().catalog(catalog.clone()).config(config).build().unwrap();
    let panel = shop();
    let (model, findings) = pipeline.fit_run(&panel).unwrap();
    assert_eq!(findings.series()[0].models_in_words(), "zscore:own own:own");
    assert!(findings.detectors().iter().any(|d| d.score == "own_anomaly_score"));
    let bytes = model.to_bytes().unwrap();
    let loaded = FittedPipeline::from_bytes(&bytes, &catalog).unwrap();
    assert_same(&loaded.detect(&panel).unwrap(), &findings);
    assert!(FittedPipeline::from_bytes(&bytes, &Catalog::default()).is_err(), "nobody knows `own`");
}

#[test]
fn an_unknown_detector_is_refused_wherever_it_is_named() {
    let mut config = Config::default();
    config.pipeline.detectors.push("prophet".to_owned());
    let error = Pipeline::builder().config(config).build().unwrap_err().to_string();
    assert!(error.contains("no detector is called `prophet`"), "{error}");
}

#[test]
fn models_are_replaced_whole_and_checked_on_reading() {
    let dir = tempfile::tempdir().unwrap();
    let model = pipeline("[iforest]\nn_trees = 5").fit(&shop()).unwrap();
    for path in [dir.path().join("folder"), dir.path().join("single.fpm")] {
        model.save(&path).unwrap();
        model.save(&path).unwrap();
        let loaded = FittedPipeline::load(&path).unwrap();
        assert_eq!(loaded.series().collect::<Vec<_>>(), model.series().collect::<Vec<_>>());
        assert_eq!(loaded.config(), model.config());
        assert_eq!(loaded.config().pipeline.scope.get("iforest"), None::<&Scope>);

        let file = FittedPipeline::model_file(&path);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(&file, &bytes).unwrap();
        let error = FittedPipeline::load(&path).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains(file.to_str().unwrap()), "{error}");
    }
    let bytes = model.to_bytes().unwrap();
    for cut in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
        assert!(FittedPipeline::from_bytes(&bytes[..cut], &Catalog::default()).is_err());
    }
}

#[test]
fn an_older_layout_says_who_wrote_it() {
    let writer = funnelpulse_core::Writer { payload_version: 1, crate_version: "0.1.0" };
    let old = funnelpulse_core::write_payload("pipeline", writer, &0_u8).unwrap();
    let error = FittedPipeline::from_bytes(&old, &Catalog::default()).unwrap_err().to_string();
    assert!(error.contains("written by version 0.1.0") && error.contains("train it again"), "{error}");
}

#[test]
fn progress_is_reported_for_every_series() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let pipeline = Pipeline::builder()
        .progress(move |p| {
            assert!(p.done <= p.total);
            seen.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    pipeline.run(&shop()).unwrap();
    let detectors = Config::default().pipeline.detectors.len();
    assert!(detectors >= 5);
    assert_eq!(calls.load(Ordering::Relaxed), 3 + 3 * detectors, "three series, prepared and fitted by each detector");
}

#[cfg(feature = "lstm-ae")]
#[test]
fn the_autoencoder_takes_part_and_is_saved_once() {
    let toml = "[pipeline]\ndetectors = ['seasonal', 'lstm-ae']\n\
        [lstm_ae]\nsequence_length = 24\nencoder = [8]\nbottleneck = 4\ndecoder = [8]\nepochs = 2\n";
    let pipeline = pipeline(toml);
    let panel = shop();
    let model = pipeline.fit(&panel).unwrap();
    assert_eq!(model.failures(), []);
    let run = pipeline.run(&panel).unwrap();
    assert_same(&model.detect(&panel).unwrap(), &run);
    let bytes = model.to_bytes().unwrap();
    let loaded = FittedPipeline::from_bytes(&bytes, &Catalog::default()).unwrap();
    assert_same(&loaded.detect(&panel).unwrap(), &run);
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    let weights = bytes.windows(15).filter(|w| w == b"encoder.0.input").count();
    assert_eq!(weights, 1, "three series share one network");
    for series in run.series() {
        let spoke = series.models.iter().find(|m| m.detector == "lstm-ae").expect("it was asked for");
        assert_eq!(spoke.source, ModelSource::Pooled);
        let scored = spoke.scores.iter().filter(|s| s.is_finite()).count();
        assert_eq!(scored, 24 * DAYS - 23, "{}", series.series);
    }
    // An outage of three hours stands out by its last hour, as one normal row in 10,000 does: what the network
    // sees is added up over hours.
    let broken = run.series().iter().find(|s| s.series.as_str() == "runail").unwrap();
    let scores = &broken.models.iter().find(|m| m.detector == "lstm-ae").unwrap().scores;
    assert!(scores[602] > 0.8 && scores[598] < 0.2, "{:?}", scores.slice(ndarray::s![598..608]));
    // Rows that follow the history are scored from the first on, as if they had been there.
    let [head, tail] = [0..800, 800..840].map(|range| {
        let mut part = Panel::new(panel.columns().clone());
        for (key, frame) in &panel {
            part.insert(key.clone(), frame.view().rows(range.clone()).to_frame()).unwrap();
        }
        part
    });
    let model = pipeline.fit(&head).unwrap();
    let (late, whole) = (model.detect(&tail).unwrap(), model.detect(&panel).unwrap());
    for (late, whole) in late.series().iter().zip(whole.series()) {
        assert!(late.models[1].scores.iter().eq(whole.models[1].scores.iter().skip(800)), "{}", late.series);
    }
}
