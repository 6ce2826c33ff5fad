//! Exported forests give our scores in the runtimes that they are for, where these are installed.

#![allow(clippy::unwrap_used, reason = "a helper of a test may panic")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test says why it is skipped, and what it measured")]

use std::{path::Path, process::Command};

use funnelpulse_iforest::{IsolationForestConfig, Scoring, Split};
use funnelpulse_testing::{noise_frame, plant};

use crate::{SPLITS, fitted, scores, small};

/// Scores of another runtime may differ by this much.
const TOLERANCE: f64 = 1e-6;

/// The interpreter that `EXPORT_PYTHON` names, or `python3`, if it has the module.
fn python_with(module: &str) -> Option<String> {
    let python = std::env::var("EXPORT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", &format!("import {module}, numpy")]).output();
    if found.is_ok_and(|run| run.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} has no {module}; EXPORT_PYTHON names an interpreter that has it");
    None
}

/// What the script prints for a model file and a file of values, a number per line.
fn run(python: &str, script: &str, model: &Path, values: &Path) -> Vec<f64> {
    let output = Command::new(python).arg("-c").arg(script).args([model, values]).output().expect("it ran before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

/// Scores of the runtime beside ours, for forests of several shapes; the rows are without gaps.
fn compare(module: &str, script: &str, export: impl Fn(&funnelpulse_iforest::IsolationForestModel) -> Vec<u8>) {
    let Some(python) = python_with(module) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("model"), folder.path().join("values.f64"));
    let frame = plant(&noise_frame(700, 5, 3), 11, 2, 180.0);
    std::fs::write(&table, frame.values().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let standard = IsolationForestConfig::standard();
    let configs = [
        standard.clone(),
        IsolationForestConfig { n_trees: 1, ..standard.clone() },
        IsolationForestConfig { n_trees: 2_500, max_samples: 64, ..standard.clone() },
        IsolationForestConfig { scoring: Scoring::Density, max_features: 0.4, ..standard },
    ];
    for config in configs {
        let model = fitted(config, &frame);
        std::fs::write(&file, export(&model)).unwrap();
        let (theirs, ours) = (run(&python, script, &file, &table), scores(&model, frame.view()));
        assert_eq!(theirs.len(), ours.len());
        let worst = theirs.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{module}: {} trees, largest difference {worst:e}", model.n_trees());
        assert!(worst < TOLERANCE, "{module}, {} trees: {worst}", model.n_trees());
    }
}

#[cfg(feature = "onnx")]
#[test]
fn onnxruntime_gives_our_scores() {
    const SCRIPT: &str = "
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
values = numpy.fromfile(sys.argv[2]).reshape(-1, session.get_inputs()[0].shape[1])
gaps = values.copy()
gaps[::2, 0] = numpy.nan
(scores,), (missing,) = session.run(['score'], {'values': values}), session.run(['score'], {'values': gaps})
assert numpy.isnan(missing[::2]).all() and (missing[1::2] == scores[1::2]).all()
print('\\n'.join(map(repr, scores.tolist())))
";
    compare("onnxruntime", SCRIPT, |model| model.to_onnx().unwrap());
}

#[cfg(feature = "onnx")]
#[test]
fn onnxruntime_flags_the_rows_that_we_flag() {
    const SCRIPT: &str = "
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
values = numpy.fromfile(sys.argv[2]).reshape(-1, session.get_inputs()[0].shape[1])
assert session.get_modelmeta().custom_metadata_map['columns'].split('\\n') == ['c0', 'c1', 'c2'], 'names'
print('\\n'.join(str(int(flag)) for flag in session.run(['is_anomaly'], {'values': values})[0]))
";
    let Some(python) = python_with("onnxruntime") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("model"), folder.path().join("values.f64"));
    let frame = noise_frame(900, 3, 8);
    let model =
        fitted(IsolationForestConfig { contamination: Some(0.05), ..IsolationForestConfig::standard() }, &frame);
    std::fs::write(&table, frame.values().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    std::fs::write(&file, model.to_onnx().unwrap()).unwrap();
    let threshold = model.threshold().unwrap();
    let ours: Vec<f64> =
        scores(&model, frame.view()).iter().map(|&s| f64::from(u8::from(threshold.flags(s)))).collect();
    assert!(ours.contains(&1.0) && ours.contains(&0.0));
    assert_eq!(run(&python, SCRIPT, &file, &table), ours);
}

#[cfg(feature = "treelite")]
#[test]
fn treelite_gives_our_scores() {
    const SCRIPT: &str = "
import sys, numpy, treelite
model = treelite.Model.deserialize(sys.argv[1])
values = numpy.fromfile(sys.argv[2]).reshape(-1, model.num_feature)
print('\\n'.join(map(repr, treelite.gtil.predict(model, values).reshape(-1).tolist())))
";
    compare("treelite", SCRIPT, |model| model.to_treelite().unwrap());
}

#[test]
fn splits_on_several_columns_are_refused_by_name() {
    let frame = noise_frame(100, 3, 1);
    for split in SPLITS.into_iter().filter(|split| *split != Split::Standard) {
        let model = fitted(small(split), &frame);
        let errors = [
            #[cfg(feature = "onnx")]
            model.to_onnx().unwrap_err(),
            #[cfg(feature = "treelite")]
            model.to_treelite().unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains(&format!("not possible with split = {split} (allowed: standard)")), "{text}");
        }
    }
}
