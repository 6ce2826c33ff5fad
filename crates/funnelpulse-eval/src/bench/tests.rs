use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ndarray::{Array1, Array2};
use ndarray_npy::NpzWriter;
use tempfile::TempDir;

use super::*;

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A folder in the layout of each benchmark; in each of them a series of ten rows with the anomaly in rows 6 and 7,
/// and values that no label can be guessed from.
fn layouts(root: &Path) {
    let value = |row: usize| [3.5, 1.25, 2.0, 4.75, 2.5, 1.5, 3.0, 2.25, 4.0, 1.75][row];
    let label = |row: usize| u8::from(row == 6 || row == 7);
    let rows = |line: &dyn Fn(usize) -> String| (0..10).map(line).collect::<String>();
    let tsb = format!("Data,Label\n{}", rows(&|r| format!("{},{}\n", value(r), label(r))));
    write(root, "tsb/001_NAB_id_1_Facility_tr_4_1st_6.csv", &tsb);
    let eval = rows(&|r| format!("2020-01-01 0{r}:00:00,{},{}\n", value(r), label(r)));
    let header = "timestamp,kpi,is_anomaly\n";
    write(root, "timeeval/Daphnet/S01/test.csv", &format!("{header}{eval}"));
    write(root, "timeeval/Daphnet/S01/train_no_anomaly.csv", &format!("{header}2019-01-01,1,0\n2019-01-02,2,0\n"));
    write(root, "timeeval/Daphnet/S01/train_anomaly.csv", &format!("{header}2019-01-01,1,1\n2019-01-02,2,0\n"));
    let plain = format!("timestamp,value\n{}", rows(&|r| format!("2020-01-01 0{r}:00:00,{}\n", value(r))));
    write(root, "nab/data/realTweets/apple.csv", &plain);
    write(root, "nab/data/realTweets/unlisted.csv", &plain);
    let windows = r#"{"realTweets/apple.csv": [["2020-01-01 06:00:00.000000", "2020-01-01 07:00:00.000000"]]}"#;
    write(root, "nab/labels/combined_windows.json", windows);
    let comma = |v: f64| v.to_string().replace('.', ",");
    let skab =
        rows(&|r| format!("2020-03-09 10:14:0{r};{};{r}.5;{};{}.0\n", comma(value(r)), label(r), u8::from(r == 6)));
    write(root, "skab/valve1/0.csv", &format!("datetime;Current;Pressure;anomaly;changepoint\n{skab}"));
    let packed = rows(&|r| format!("a,{r},{},{}\n", value(r), label(r)))
        + &rows(&|r| format!("b,{r},{},{}\n", value(r), label(r)));
    write(root, "packed/IOPS.csv", &format!("file,t,data,label\n{packed}"));
    write(root, "packed/manifest.csv", "file,role\na,eval\n");
    let lines = rows(&|r| format!("{{\"value\":{},\"label\":{}}}\n", value(r), label(r)));
    write(root, "lines/pump.jsonl", &lines);
    fs::create_dir_all(root.join("adbench")).unwrap();
    let mut archive = NpzWriter::new_compressed(fs::File::create(root.join("adbench/4_breastw.npz")).unwrap());
    let values = Array2::from_shape_fn((10, 2), |(r, c)| value(r) + c as f64);
    archive.add_array("X", &values).unwrap();
    archive.add_array("y", &(0..10).map(|r| i64::from(label(r))).collect::<Array1<i64>>()).unwrap();
    archive.finish().unwrap();
}

fn suite(root: &Path, name: &str, options: &SuiteOptions) -> Suite {
    Suite::find(&root.join(name), options).unwrap()
}

/// What every layout has to give: the right labels, and none of them in what detectors read.
#[test]
fn no_layout_shows_labels_to_a_detector() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let options = SuiteOptions::default();
    let expected = [
        ("tsb", "NAB", "001_NAB_id_1_Facility_tr_4_1st_6", vec!["Data"], Some(4)),
        ("timeeval", "Daphnet", "S01", vec!["kpi"], None),
        ("nab", "realTweets", "apple", vec!["value"], Some(1)),
        ("skab", "valve1", "0", vec!["Current", "Pressure"], None),
        ("packed", "IOPS", "a", vec!["data"], None),
        ("lines", "lines", "pump", vec!["value"], None),
        ("adbench", "adbench", "4_breastw", vec!["x0", "x1"], None),
    ];
    for (layout, collection, name, columns, train_rows) in expected {
        let found = suite(root.path(), layout, &options);
        let series = found.series[0].load().unwrap();
        assert_eq!((series.collection.as_str(), series.name.as_str()), (collection, name), "{layout}");
        assert_eq!(
            (&series.columns, series.train_rows),
            (&columns.iter().map(ToString::to_string).collect(), train_rows)
        );
        let labels: Vec<usize> = (0..10).filter(|r| series.labels[*r]).collect();
        assert_eq!(labels, [6, 7], "{layout}");
        assert_eq!(series.values.column(0).to_vec()[..3], [3.5, 1.25, 2.0], "{layout}");
        let input = series.input(true).unwrap();
        for (field, column) in input.schema().fields().iter().zip(0..) {
            assert!(!is_label(field.name()), "{layout}: {field:?}");
            let table = funnelpulse_io::Table::from_batches("input", vec![input.project(&[column]).unwrap()]).unwrap();
            if let Ok(values) = table.f64_column(field.name()) {
                let flags = |of: f64| values.iter().zip(&series.labels).all(|(v, l)| (*v == of) == *l);
                assert!(!flags(1.0) && !flags(0.0), "{layout}: {field:?} is a copy of the labels");
            }
        }
    }
}

#[test]
fn a_copy_of_the_labels_under_another_name_stays_out() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.csv", "value,alarm,fine,label\n5,0,1,0\n7,0,1,0\n6,1,0,1\n7,0,1,0\n");
    let named = SuiteOptions { columns: vec!["value".into(), "alarm".into()], ..SuiteOptions::default() };
    for options in [SuiteOptions::default(), named] {
        let series = Suite::find(root.path(), &options).unwrap().series[0].load().unwrap();
        assert_eq!(series.columns, ["value"]);
    }
}

#[test]
fn rows_of_a_training_file_are_learnt_from_and_not_evaluated() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let options = SuiteOptions { training_files: true, ..SuiteOptions::default() };
    let series = suite(root.path(), "timeeval", &options).series[0].load().unwrap();
    assert_eq!((series.values.nrows(), series.train_rows, series.unevaluated), (12, Some(2), 2));
    assert_eq!(series.evaluated_labels().iter().filter(|l| **l).count(), 2);
    let mut scores = vec![9.0; 2];
    scores.extend((0..10).map(|r| f64::from(u8::from(r == 6 || r == 7))));
    assert_eq!(series.evaluate(&scores, Some(0)).unwrap().auc_pr, 1.0);
}

#[test]
fn suites_name_what_they_skip_and_take_lists() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let packed = suite(root.path(), "packed", &SuiteOptions::default());
    assert_eq!(packed.series.iter().map(SeriesSource::name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(packed.skipped[0].0.ends_with("manifest.csv"));
    assert!(suite(root.path(), "nab", &SuiteOptions::default()).skipped[0].0.ends_with("unlisted.csv"));
    let only = Some(["b.csv".to_owned()].into());
    assert_eq!(suite(root.path(), "packed", &SuiteOptions { only, ..SuiteOptions::default() }).series.len(), 1);
    write(root.path(), "none/x.csv", "a,b\n1,2\n");
    let error = Suite::find(&root.path().join("none"), &SuiteOptions::default()).unwrap_err().to_string();
    assert!(error.contains("no labelled series") && error.contains("no column of labels"), "{error}");
    assert!(error.contains("NAB") && error.contains("ADBench") && error.contains("is_anomaly"), "{error}");
    let only = Some(["c".to_owned()].into());
    let error = Suite::find(&root.path().join("packed"), &SuiteOptions { only, ..SuiteOptions::default() });
    assert!(error.unwrap_err().to_string().contains("none of its series is in the list of names"));
    write(root.path(), "none/x.csv", "a,label\n1,2\n");
    let bad = suite(root.path(), "none", &SuiteOptions::default()).series[0].load().unwrap_err().to_string();
    assert!(bad.contains("row 1: a label is 0 or 1, found 2"), "{bad}");
    let check = || suite(root.path(), "none", &SuiteOptions::default()).check().unwrap_err().to_string();
    assert!(check().contains("no series can be used, for example") && check().contains("found 2"), "{}", check());
    write(root.path(), "none/x.csv", "a,label\n1,0\n2,0\n");
    assert!(check().contains("x has not both normal and anomalous rows"), "{}", check());
    assert!(packed.check().is_ok());
}

/// Detectors out of the tools that every system has.
#[cfg(unix)]
fn detectors() -> Vec<BenchDetector> {
    let sh = |name: &str, script: &str| {
        let words = ["sh", "-c", script, "sh", "{input}", "{output}"].map(str::to_owned).to_vec();
        BenchDetector::from(DetectorCommand::new(name, words).unwrap())
    };
    vec![
        BenchDetector::Random { seed: 3 },
        // The value itself is the score.
        sh("value", r#"tail -n +2 "$1" | cut -d, -f1 > "$2""#),
        sh("fails", r#"echo "not today" >&2; exit 3"#),
        sh("sleeps", "sleep 60 & wait"),
        sh("short", r#"echo 1 > "$2""#),
    ]
}

#[cfg(unix)]
fn bench(root: &TempDir) -> Bench {
    let mut bench = Bench::new(&root.path().join("results"));
    bench.time_limit = Duration::from_millis(400);
    bench
}

/// Without what differs from run to run.
fn settled(runs: &[Run]) -> Vec<Run> {
    runs.iter().map(|run| Run { seconds: 0.0, peak_bytes: None, ..run.clone() }).collect()
}

#[cfg(unix)]
#[test]
fn a_run_that_fails_stops_no_other() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let series = suite(root.path(), "packed", &SuiteOptions::default()).series;
    let runs = bench(&root).run(&series, &detectors(), &AtomicBool::new(false), &|_| ()).unwrap();
    let ends: Vec<_> = runs[..5].iter().map(|run| (run.status, run.message.as_deref().unwrap_or_default())).collect();
    assert_eq!(ends[0], (RunStatus::Ok, ""));
    assert_eq!(ends[1], (RunStatus::Ok, ""));
    assert_eq!(ends[2].0, RunStatus::Failed);
    assert!(ends[2].1.ends_with("3: not today"), "{:?}", ends[2]);
    assert_eq!(ends[3].0, RunStatus::Timeout);
    assert_eq!(ends[4], (RunStatus::Failed, "1 score for 10 rows"));
    let board = Leaderboard::new(&runs, BenchMetric::AucRoc);
    assert_eq!((board.series, board.standings.len()), (2, 5));
    let failing = board.standings.iter().find(|s| s.detector == "fails").unwrap();
    assert_eq!((failing.mean, failing.failed), (0.0, 2));
    let page = leaderboard_page(&board, &runs, "A <b> test").unwrap();
    assert!(page.contains("A &lt;b&gt; test") && page.contains("not today") && page.contains("<svg"));
    assert!(!page.contains("http"), "the page opens offline");
    assert!(board.to_string().contains("AUC-ROC over 2 series, 5 detectors"));
    let table = runs_to_batch(&runs).unwrap();
    assert_eq!((table.num_rows(), table.schema().index_of("vus_pr").is_ok()), (10, true));
}

#[cfg(unix)]
#[test]
fn nothing_to_run_is_no_run() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    layouts(one.path());
    let series = suite(one.path(), "packed", &SuiteOptions::default()).series;
    let runs = |root: &TempDir, series: &[SeriesSource], detectors: &[BenchDetector]| {
        bench(root).run(series, detectors, &AtomicBool::new(false), &|_| ()).unwrap().len()
    };
    assert_eq!((runs(&one, &series, &[]), runs(&other, &[], &detectors())), (0, 0));
}

/// The value as the score, from the file that the detector was given, ranks as the values do.
#[cfg(unix)]
#[test]
fn scores_are_those_of_the_values_and_are_kept() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let series = suite(root.path(), "tsb", &SuiteOptions::default()).series;
    let mut bench = bench(&root);
    bench.keep_scores = true;
    let runs = bench.run(&series, &detectors()[1..2], &AtomicBool::new(false), &|_| ()).unwrap();
    let expected = series[0].load().unwrap();
    let expected = expected.evaluate(&expected.values.column(0).to_vec(), None).unwrap();
    assert_eq!(runs[0].evaluation, Some(expected));
    let kept = root.path().join("results/scores/value/NAB/001_NAB_id_1_Facility_tr_4_1st_6.csv");
    assert!(fs::read_to_string(kept).unwrap().starts_with("score\n3.5\n1.25\n"));
}

#[cfg(unix)]
#[test]
fn cancelled_or_cut_off_and_resumed_gives_the_same_runs() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let series = suite(root.path(), "packed", &SuiteOptions::default()).series;
    let detectors = detectors();
    let whole = bench(&root).run(&series, &detectors[..3], &AtomicBool::new(false), &|_| ()).unwrap();
    let again = bench(&root).run(&series, &detectors[..3], &AtomicBool::new(false), &|_| ()).unwrap_err();
    assert!(again.to_string().contains("go on from them with --resume"), "{again}");

    let mut second = bench(&root);
    second.folder = root.path().join("second");
    let (cancel, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let stop = |_: &Run| {
        if done.fetch_add(1, Ordering::Relaxed) == 1 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let part = second.run(&series, &detectors[..3], &cancel, &stop).unwrap();
    assert!(part.len() < whole.len());
    // A writer that is killed leaves half a line.
    let log = second.folder.join("runs.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, format!("{text}{{\"collection\":\"IO")).unwrap();
    fs::create_dir(second.folder.join(".work-of-one-that-was-killed")).unwrap();
    second.resume = true;
    let made = Mutex::new(0);
    let count = |_: &Run| *made.lock().unwrap() += 1;
    let resumed = second.run(&series, &detectors[..3], &AtomicBool::new(false), &count).unwrap();
    assert_eq!(settled(&resumed), settled(&whole));
    assert_eq!(settled(&read_runs(&second.folder).unwrap()).len(), whole.len());
    // Runs of before are as they were, with their seconds.
    let kept = part.iter().find(|run| run.detector == "value").or(part.iter().find(|run| run.detector == "random"));
    assert!(kept.is_none_or(|kept| resumed.contains(kept)));
    // Nothing is left of the work.
    let left: Vec<_> = fs::read_dir(&second.folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["runs.jsonl"]);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_measured_and_limited() {
    let root = tempfile::tempdir().unwrap();
    layouts(root.path());
    let series = suite(root.path(), "tsb", &SuiteOptions::default()).series;
    // A string of 64 MiB, in a process that the command starts.
    let script = r#"sh -c 'x=$(head -c 67108864 /dev/zero | tr "\0" x); sleep 1; echo "${#x}"' ; cut -d, -f1 "$1" | tail -n +2 > "$2""#;
    let words = ["sh", "-c", script, "sh", "{input}", "{output}"].map(str::to_owned).to_vec();
    let detectors = [BenchDetector::from(DetectorCommand::new("large", words).unwrap())];
    let mut bench = bench(&root);
    bench.time_limit = Duration::from_secs(60);
    let run = &bench.run(&series, &detectors, &AtomicBool::new(false), &|_| ()).unwrap()[0];
    assert_eq!(run.status, RunStatus::Ok, "{run:?}");
    assert!(run.peak_bytes.unwrap() > 60 << 20, "{run:?}");
    (bench.memory_limit, bench.folder) = (Some(32 << 20), root.path().join("limited"));
    let run = &bench.run(&series, &detectors, &AtomicBool::new(false), &|_| ()).unwrap()[0];
    assert_eq!((run.status, run.message.as_deref()), (RunStatus::OutOfMemory, Some("more than 32 MiB")));
}
