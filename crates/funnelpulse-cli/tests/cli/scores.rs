//! `score` and `eval`: any detector on any table, measured.

use std::fmt::Write;

use predicates::str::contains;

use crate::folder::{Folder, stderr, stdout};

/// Two series whose rows alternate, with a plateau in each.
fn table(folder: &Folder) {
    let mut text = "name,data,noise,train,label\n".to_owned();
    for row in 0..400 {
        for series in ["x", "y"] {
            let odd = if series == "x" { 300..310 } else { 350..360 }.contains(&row);
            let value = f64::from(row % 24) + f64::from(row * 31 % 17) / 17.0 + if odd { 40.0 } else { 0.0 };
            writeln!(text, "{series},{value},{},200,{}", row * 13 % 29, u8::from(odd)).unwrap();
        }
    }
    folder.write("in.csv", text);
}

#[test]
fn every_row_gets_a_score_in_its_place() {
    // The standard forest: the bound below is that of the detector that the pipeline runs.
    for (detector, params) in [("iforest", "--param split=standard --param n_trees=100"), ("zscore", "")] {
        let folder = Folder::new();
        table(&folder);
        let score = format!("score --detector {detector} --input in.csv --series-column name --columns data {params}");
        let said = folder.output(&format!("{score} --output scores.csv"));
        assert_eq!(said, "800 rows of 2 series scored; scores in scores.csv\n");
        let scores = folder.table("scores.csv");
        assert_eq!(scores.columns(), ["series", "row", "score"]);
        let names = scores.string_column("series").unwrap();
        let rows = scores.f64_column("row").unwrap();
        for (i, (name, row)) in names.into_iter().zip(rows).enumerate() {
            assert_eq!((name.unwrap().as_str(), row), (["x", "y"][i % 2], (i / 2) as f64));
        }
        let values = scores.f64_column("score").unwrap();
        let top = (0..800).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
        assert!((300..360).contains(&(top / 2)), "{detector}: row {}", top / 2);

        folder.output(&format!("{score} --output scores.parquet --threads 1"));
        assert_eq!(folder.table("scores.parquet").f64_column("score").unwrap(), values);
        folder.output(&format!("{score} --output some.csv --train-rows 200"));
        folder.output(&format!("{score} --output same.csv --train-rows-column train"));
        assert_eq!(folder.text("some.csv"), folder.text("same.csv"));
        assert_ne!(folder.text("some.csv"), folder.text("scores.csv"));

        let eval = "eval --labels in.csv --scores some.csv --series-column name";
        let printed = folder.output(eval);
        assert!(printed.starts_with("Mean over 2 series") && printed.contains("VUS-PR"), "{printed}");
        let json: serde_json::Value = serde_json::from_str(&folder.output(&format!("{eval} --json"))).unwrap();
        assert!(json["mean"]["vus_pr"].as_f64().unwrap() > 0.5, "{detector}: {json}");
        assert_eq!(json["series"].as_object().unwrap().keys().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(json["mean"]["rows"], 800);

        // The series in another order is still matched by its name.
        let text = folder.text("some.csv");
        let (x, y): (Vec<&str>, Vec<&str>) = text.lines().skip(1).partition(|line| line.starts_with('x'));
        folder.write("other.csv", format!("series,row,score\n{}\n{}\n", y.join("\n"), x.join("\n")));
        let other = folder.output("eval --labels in.csv --scores other.csv --series-column name");
        assert_eq!(other, printed);
    }
}

#[test]
fn columns_parameters_and_times_are_chosen() {
    let folder = Folder::new();
    table(&folder);
    let score = "score --detector iforest --input in.csv --series-column name --train-rows-column train";
    folder.output(&format!("{score} --output default.csv"));
    folder.output(&format!("{score} --output named.csv --columns data,noise"));
    assert_eq!(folder.text("default.csv"), folder.text("named.csv"));
    folder.output(&format!("{score} --output small.csv --param n_trees=7 --param seed=3"));
    assert_ne!(folder.text("default.csv"), folder.text("small.csv"));

    folder.write("times.csv", "t,v\n2019-10-01 00:00:00,1\n2019-10-01 01:00:00,2\n2019-10-01 02:00:00,9\n");
    folder.output("score --detector zscore --input times.csv --time-column t --output s.csv");
    folder.write("times.csv", "t,v\n2019-10-01 02:00:00,1\n2019-10-01 01:00:00,2\n");
    folder.refuses(
        "score --detector zscore --input times.csv --time-column t --output bad.csv",
        "times.csv: series `times.csv`: row 1: time",
    );
}

#[test]
fn what_can_not_be_scored_is_refused() {
    let folder = Folder::new();
    table(&folder);
    let score = "score --detector iforest --input in.csv --output s.csv";
    for (options, message) in [
        ("--param n_tree=5", "unknown setting `iforest.n_tree`, did you mean `iforest.n_trees`?"),
        ("--param n_trees", "--param n_trees: expected a name and a value, for example --param n_trees=200"),
        ("--param n_trees=0", "n_trees"),
        ("--columns absent", "in.csv: column `absent` is missing (found: name, data, noise, train, label)"),
        ("--columns name", "in.csv: column `name` should hold numbers, found `x` in line 2"),
        ("--series-column absent", "column `absent` is missing"),
        ("--time-column name", "column `name` should hold times"),
        ("--train-rows 801", "series `in.csv`: 801 rows to learn from, but the series has 800"),
        ("--train-rows 0", "in.csv"),
        (
            "--train-rows-column noise",
            "in.csv: row 1, column `noise`: a number of rows to learn from is 1 or more, found 0",
        ),
    ] {
        folder.refuses(&format!("{score} {options}"), message);
    }
    folder.write("text.csv", "a,b\nx,y\n");
    folder.refuses(
        "score --detector zscore --input text.csv --output s.csv",
        "text.csv: there is no numeric column to score",
    );
    folder.write("inf.csv", "v\n1\ninf\n");
    folder.refuses("score --detector zscore --input inf.csv --output s.csv", "row 1, column `v`: inf is not finite");
    folder.refuses(
        "score --detector zscore --input in.csv --output no/s.csv",
        "--output no/s.csv: there is no folder no",
    );
}

#[test]
fn labels_and_scores_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    folder.write("labels.csv", "series,label\na,0\na,1\na,0\n");
    let eval = "eval --labels labels.csv --scores scores.csv";
    for (scores, message) in [
        (
            "series,row,score\na,0,1\na,1,high\na,2,1\n",
            "scores.csv: column `score` should hold numbers, found `high` in line 3",
        ),
        ("series,row,score\na,0,1\na,1,2\n", "scores.csv: series `a`: 2 scores for 3 labels"),
        (
            "series,row,score\na,0,1\na,2,1\na,1,2\n",
            "scores.csv: row 2, column `row`: rows of a series count up from 0, expected 1, found 2",
        ),
        ("series,row,score\nb,0,1\nc,0,1\n", "scores.csv: there are no scores of series `a`"),
        ("series,row,score\na,0,1\na,1,inf\na,2,1\n", "scores.csv: series `a`: row 1: score inf is not finite"),
        ("series,row,score\na,0,\na,1,\na,2,\n", "scores.csv: series `a`: all 3 scores are NaN"),
        ("series,row\na,0\n", "scores.csv: column `score` is missing (found: series, row)"),
        ("series,row,score\na,0\n", "scores.csv, line 2: 2 fields, the header has 3"),
        ("", "scores.csv: the file is empty"),
    ] {
        folder.write("scores.csv", scores);
        folder.refuses(eval, message);
    }
    folder.write("scores.csv", "series,row,score\na,0,1\na,1,3\na,2,\n");
    let figures: serde_json::Value = serde_json::from_str(&folder.output(&format!("{eval} --json"))).unwrap();
    assert_eq!(figures["mean"]["auc_roc"], 1.0, "an empty score is the lowest");
    folder.write("labels.csv", "series,label\na,0\na,2\na,0\n");
    folder.refuses(eval, "labels.csv: row 2, column `label`: a label is 0 or 1, found 2");
    folder.write("labels.csv", "series,label\na,0\na,0\na,0\n");
    folder.refuses(eval, "labels.csv: no series has both normal and labelled rows");
    folder.refuses(&format!("{eval} --label-column truth"), "labels.csv: column `truth` is missing");
}

#[test]
fn eval_says_what_it_leaves_out() {
    let folder = Folder::new();
    folder.write("labels.csv", "series,label\na,0\na,1\nb,0\nb,0\n");
    folder.write("scores.csv", "series,row,score\na,0,1\na,1,2\nb,0,1\nb,1,1\nc,0,1\n");
    let run = folder.run("eval --labels labels.csv --scores scores.csv --window 1 --rows-per-day 1").success();
    let run = run.stderr(contains("note: 1 series of scores have no labels"));
    assert!(stderr(&run).contains("note: 1 series without an anomaly"));
    assert!(stdout(&run).starts_with("Mean over 1 series"));
    // A table of one series needs no name.
    folder.write("labels.csv", "label\n0\n1\n");
    folder.write("scores.csv", "series,row,score\nin.csv,0,1\nin.csv,1,2\n");
    folder.output("eval --labels labels.csv --scores scores.csv");
}

#[test]
fn the_univariate_preset_finds_a_strange_stretch() {
    let folder = Folder::new();
    let mut text = "timestamp,series,value\n".to_owned();
    for row in 0..1500_u32 {
        let period = if (1000..1020).contains(&row) { 11.0 } else { 37.0 };
        let wave = (f64::from(row) * std::f64::consts::TAU / period).sin();
        let noise = f64::from(row * 7919 % 101) / 50.0;
        let (day, hour, minute) = (1 + row / 1440, row / 60 % 24, row % 60);
        writeln!(text, "2024-01-0{day}T{hour:02}:{minute:02}:00Z,pulse,{:.3}", 100.0 + 20.0 * wave + noise).unwrap();
    }
    folder.write("pulse.csv", text);
    folder.output("run --preset univariate --set input.step_seconds=60 --input pulse.csv --output found");
    let table = folder.table("found/anomalies");
    let times = table.time_column("window_start").unwrap();
    let start = funnelpulse::core::parse_timestamp("2024-01-01T00:00:00Z").unwrap();
    let minutes: Vec<i64> = times.iter().map(|t| (t.as_micros() - start.as_micros()) / 60_000_000).collect();
    assert!(minutes.iter().any(|m| (1000..1020).contains(m)), "{minutes:?}");
    assert!(minutes.iter().all(|m| (920..1100).contains(m)), "{minutes:?}");

    folder.output("score --detector subsequence --input pulse.csv --columns value --output scores.csv");
    assert_eq!(folder.text("scores.csv").lines().count(), 1501);
    let refused = folder.run("run --preset funnel --input pulse.csv --output found").code(2);
    assert!(stderr(&refused).contains("possible values: univariate"));
}

/// Rows of a series with a label, or without one; `offset` makes series that differ.
fn labelled(header: &str, label: bool, offset: i32) -> String {
    let mut text = format!("{header}\n");
    for row in 0..60 {
        let (value, odd) = (row * 7 % 11 + offset * row % 5, (40..45).contains(&row));
        let value = if odd { value + 50 } else { value };
        let time = format!("2024-01-{:02} {:02}:00:00", 1 + row / 24, row % 24);
        let label = if label { format!(",{}", i32::from(odd)) } else { String::new() };
        let time = if header.starts_with("time") { format!("{time},") } else { String::new() };
        writeln!(text, "{time}{value}{label}").unwrap();
    }
    text
}

#[test]
fn labels_by_any_usual_name_are_not_scored() {
    let folder = Folder::new();
    folder.write("plain.csv", labelled("Data", false, 0));
    folder.output("score --detector zscore --input plain.csv --output plain_scores.csv");
    let plain = folder.table("plain_scores.csv").f64_column("score").unwrap();
    for name in [
        "label",
        "Label",
        "LABEL",
        "labels",
        "anomaly",
        "Anomaly",
        "is_anomaly",
        "Is_Anomaly",
        "isAnomaly",
        "anomalies",
        "class",
        "Class",
        "outlier",
        "is_outlier",
        "target",
        "ground_truth",
        "GroundTruth",
        "Ground Truth",
        "ground-truth",
        "truth",
        "y_true",
        "attack",
        "anomaly_label",
    ] {
        folder.write("in.csv", labelled(&format!("Data,{name}"), true, 0));
        let run = folder.run("score --detector zscore --input in.csv --output scores.csv").success();
        assert!(stderr(&run).contains("columns scored: Data\n"), "{name}: {}", stderr(&run));
        assert_eq!(folder.table("scores.csv").f64_column("score").unwrap(), plain, "{name}");
    }
    // Whoever names a label gets it.
    let run =
        folder.run("score --detector zscore --input in.csv --columns anomaly_label --output scores.csv").success();
    assert!(stderr(&run).contains("columns scored: anomaly_label"));
    // A label by an unusual name is not scored unasked either.
    folder.write("in.csv", labelled("Data,oddness", true, 0));
    folder.refuses(
        "score --detector zscore --input in.csv --output x.csv",
        "column `oddness` has only 0 and 1 and may be a label: name the columns to score with --columns",
    );
}

#[test]
fn every_layout_of_the_public_collections_is_a_series_per_file_without_its_labels() {
    // TSB-AD: a flat folder. NAB: a folder per domain. TimeEval: a folder per collection, with times.
    for (layout, header, files) in [
        ("tsb", "Data,Label", ["001_NAB_id_1.csv", "002_UCR_id_2.csv", "003_UCR_id_3.csv"]),
        ("nab", "timestamp,value,label", ["realAdExchange/a.csv", "realTraffic/a.csv", "realTweets/b.csv"]),
        ("timeeval", "timestamp,value-0,is_anomaly", ["CalIt2/x/test.csv", "CalIt2/y/test.csv", "Dodgers/test.csv"]),
    ] {
        let folder = Folder::new();
        let (with, without) = (folder.path(layout), folder.path("plain"));
        let bare = header.rsplit_once(',').unwrap().0;
        for (offset, file) in files.iter().enumerate() {
            for (root, header, label) in [(&with, header, true), (&without, bare, false)] {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, labelled(header, label, offset as i32)).unwrap();
            }
        }
        let said = folder.output(&format!("score --detector zscore --input {layout} --output scores.csv"));
        assert!(said.starts_with("180 rows of 3 series scored"), "{layout}: {said}");
        folder.output("score --detector zscore --input plain --output plain.csv");
        assert_eq!(folder.text("scores.csv"), folder.text("plain.csv"), "{layout}: the label makes no difference");
        let names = folder.table("scores.csv").string_column("series").unwrap();
        let stems: Vec<&str> = files.iter().map(|file| file.strip_suffix(".csv").unwrap()).collect();
        assert_eq!(names[0].as_deref(), Some(stems[0]), "{layout}");
        assert!(names.iter().flatten().all(|name| stems.contains(&name.as_str())), "{layout}: {names:?}");
        // Each series is scored as it is alone.
        folder.output(&format!("score --detector zscore --input {layout}/{} --output alone.csv", files[1]));
        let scores = |name: &str| folder.table(name).f64_column("score").unwrap();
        assert_eq!(scores("alone.csv"), scores("scores.csv")[60..120], "{layout}");
    }
}

#[test]
fn hive_partitions_name_the_series_when_they_are_asked_to() {
    let folder = Folder::new();
    for (offset, part) in ["sensor=a/day=1", "sensor=a/day=2", "sensor=b/day=1"].iter().enumerate() {
        let path = folder.path("parts").join(part);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("part-0.csv"), labelled("value,Is_Anomaly", true, offset as i32)).unwrap();
    }
    folder.refuses(
        "score --detector zscore --input parts --output scores.csv",
        "parts: the folder is partitioned by sensor, day: name the series with --series-column",
    );
    let by = "score --detector zscore --input parts --columns value --output scores.csv --series-column";
    let said = folder.output(&format!("{by} sensor"));
    assert!(said.starts_with("180 rows of 2 series scored"), "{said}");
    let said = folder.output(&format!("{by} day"));
    assert!(said.starts_with("180 rows of 2 series scored"), "{said}");
}

/// A pipe in, a pipe out: the same scores as from file to file, and no remark between them.
#[test]
fn dashes_are_the_standard_streams() {
    let folder = Folder::new();
    table(&folder);
    let score = "score --detector zscore --series-column name --columns data";
    folder.output(&format!("{score} --input in.csv --output scores.csv"));
    let piped =
        folder.command(&format!("{score} --input - --output - --quiet")).write_stdin(folder.text("in.csv")).assert();
    assert_eq!((stdout(&piped), stderr(&piped)), (folder.text("scores.csv"), String::new()));
    let lines: Vec<String> = (0..30).map(|i| format!("{{\"v\": {}}}\n", i % 7)).collect();
    let lines = lines.concat();
    let from_json = folder
        .command("score --detector zscore --columns v --input - --output -")
        .write_stdin(lines)
        .assert()
        .success();
    assert_eq!(stdout(&from_json).lines().count(), 31);
    assert!(stderr(&from_json).contains("30 rows of 1 series scored"));
}

#[test]
fn out_and_output_are_one() {
    let folder = Folder::new();
    folder.output("generate --output shop --brands 2 --days 3");
    assert!(folder.path("shop/hourly.parquet").exists());
    table(&folder);
    folder.output("score --detector zscore --input in.csv --series-column name --columns data --out scores.csv");
    assert_eq!(folder.table("scores.csv").columns(), ["series", "row", "score"]);
}
