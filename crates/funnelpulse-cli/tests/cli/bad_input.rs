//! Every kind of bad input: a message that says where, and nothing written.

use std::fs;

use funnelpulse::io::write_file;
use predicates::str::contains;

use crate::folder::{Folder, HEADER, ordinary, stderr};

/// A table of one series whose second row is `row`.
fn with_row(row: &str) -> String {
    format!("{HEADER}2019-10-01 05:00:00,a,9,3,1,2.5\n{row}\n")
}

#[test]
fn broken_tables_are_refused() {
    let cases = [
        (
            "window_start,brand,views,purchases,revenue\n2019-10-01,a,9,1,2.5\n".to_owned(),
            "in.csv: neither events nor regular rows (found the columns: window_start, brand, views, purchases, \
             revenue); events lack event_time, ",
        ),
        (format!("{HEADER}2019-10-01,a,many,3,1,2.5\n"), "in.csv: column `views` should hold numbers, found `many`"),
        (format!("{HEADER}soon,a,9,3,1,2.5\n"), "in.csv: column `window_start` should hold times, found `soon`"),
        (with_row("2019-10-01 06:00:00,a,NaN,3,1,2.5"), "a: line 3: column `views` is NaN"),
        (with_row("2019-10-01 06:00:00,a,9,inf,1,2.5"), "a: line 3: column `carts` is inf, not a finite number"),
        (
            with_row("2019-10-01 06:00:00,a,9,3,-1,2.5"),
            "a: line 3: column `purchases` is -1, a count can't be negative",
        ),
        (
            with_row("2019-10-01 05:00:00,a,8,3,1,2.5"),
            "a: line 3: column `window_start` is 2019-10-01T05:00:00Z, as in line 2",
        ),
        (with_row("2019-10-01 04:00:00,a,9,3,1,2.5"), "a: line 3: time 2019-10-01T04:00:00Z comes after"),
        (with_row("2019-10-01 06:00:00,a,9,3"), "in.csv, line 3: 4 fields, the header has 6"),
        (String::new(), "in.csv: the file is empty"),
        (HEADER.to_owned(), "in.csv: no rows"),
    ];
    for (content, message) in cases {
        let folder = Folder::new();
        folder.write("in.csv", content);
        folder.refuses("run --input in.csv --output out --report out/report.html --model model", message);
        folder.refuses("train --input in.csv --model model", message);
    }
}

#[test]
fn detect_and_explain_refuse_as_run_does() {
    let folder = Folder::new();
    folder.write("good.csv", format!("{HEADER}{}", ordinary("a", 30)));
    folder.output("train --input good.csv --model model");
    folder.write("in.csv", with_row("2019-10-01 06:00:00,a,9,3,-1,2.5"));
    let message = "in.csv: no series can be used\n  a: line 3: column `purchases` is -1";
    folder.refuses("detect --model model --input in.csv --output out", message);
    folder.refuses("explain --model model --input in.csv --series a --time 2019-10-01", message);
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    let folder = Folder::new();
    folder.refuses(
        "run --input nowhere.csv --output out",
        "error: nowhere.csv: No such file or directory (os error 2)\n",
    );
    folder.write("in.xlsx", "PK");
    folder.refuses("run --input in.xlsx --output out", "in.xlsx: the name should end in .csv,");
    fs::create_dir(folder.path("bare")).unwrap();
    folder.refuses("run --input bare --output out", "bare: the folder holds no CSV or Parquet file");
    folder.refuses(
        "detect --model nowhere --input in.xlsx --output out",
        "error: nowhere: No such file or directory (os error 2)\n",
    );
}

#[test]
fn damaged_parquet_is_an_error_without_a_panic() {
    let folder = Folder::new();
    folder.write("in.csv", format!("{HEADER}{}", ordinary("a", 30)));
    write_file(&folder.path("in.parquet"), &folder.table("in.csv").batches()[0]).unwrap();
    let good = fs::read(folder.path("in.parquet")).unwrap();
    folder.write("in.parquet", &good[..good.len() / 2]);
    folder.refuses(
        "run --input in.parquet --output out",
        "in.parquet: not a readable Parquet file, truncated or damaged",
    );

    // Some of these make the decoder panic; which, depends on its version.
    for at in (4..good.len()).step_by(good.len() / 150) {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        folder.write("in.parquet", bad);
        let said = stderr(&folder.run("run --input in.parquet --output out"));
        assert!(!said.contains("panicked") && !said.contains("fault in funnelpulse"), "byte {at}: {said}");
    }
}

#[test]
fn a_few_malformed_series_do_not_stop_the_others() {
    let folder = Folder::new();
    let mut table = HEADER.to_owned();
    for brand in 0..297 {
        table += &ordinary(&format!("brand_{brand:03}"), 30);
    }
    table += &ordinary("negative", 30).replacen(",200,", ",-200,", 1);
    let twice = ordinary("twice", 30);
    table += &twice;
    // The same hour with another revenue.
    table.extend([twice.lines().last().unwrap(), "1\n"]);
    table.extend(ordinary("backwards", 30).lines().rev().flat_map(|line| [line, "\n"]));
    folder.write("in.csv", table);

    let run = folder.run("run --input in.csv --output out").success();
    let said = stderr(&run);
    for expected in [
        "warning: 3 series are left out:",
        "backwards: line 8974: time 2019-10-02T04:00:00Z comes after 2019-10-02T05:00:00Z",
        "negative: line 8912: column `views` is -200, a count can't be negative",
        "twice: line 8972: column `window_start` is 2019-10-02T05:00:00Z, as in line 8971",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let summary = folder.json("out/summary.json");
    assert_eq!((&summary["series_scored"], &summary["rows_read"]), (&297.into(), &(300 * 30 + 1).into()));
    assert_eq!(summary["rows_scored"], 297 * 30);
    assert_eq!(summary["failures"].as_array().unwrap().len(), 3);
    folder.run("run --input in.csv --output out --strict").code(3);
    folder.run("train --input in.csv --model model --strict").code(3).stderr(contains("3 series are left out"));
    folder.run("train --input in.csv --model model").success();
}

#[test]
fn damaged_and_foreign_models_are_refused() {
    let folder = Folder::new();
    folder.write("in.csv", format!("{HEADER}{}", ordinary("a", 30)));
    folder.output("train --input in.csv --model model");
    let good = fs::read(folder.path("model/pipeline.model")).unwrap();
    let detect = "detect --model model --input in.csv --output out";
    let change = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        folder.write("model/pipeline.model", bad);
    };
    change(good.len() / 2, good[good.len() / 2] ^ 0x10);
    folder.refuses(detect, "model/pipeline.model: model is damaged: checksum");
    folder.refuses("model inspect model", "model/pipeline.model: model is damaged: checksum");
    change(8, 9);
    folder.refuses(detect, "model/pipeline.model: model format 9 can't be read, this build reads formats 1 to 2");
    change(0, b'P');
    folder.refuses(detect, "model/pipeline.model: not a FunnelPulse model");
    folder.write("model/pipeline.model", &good[..good.len() - 1]);
    folder.refuses(detect, "truncated or appended to");
    folder.write("model/pipeline.model", &good);
    folder.output(detect);
}

#[test]
fn wrong_settings_are_refused() {
    let folder = Folder::new();
    folder.write("in.csv", format!("{HEADER}{}", ordinary("a", 30)));
    let run = "run --input in.csv --output out";
    folder.write("c.toml", "[iforest]\nn_tree = 5\n");
    folder.refuses(
        &format!("{run} --config c.toml"),
        "error: c.toml: unknown setting `iforest.n_tree`, did you mean `iforest.n_trees`?",
    );
    folder.refuses("config check --config c.toml", "did you mean `iforest.n_trees`?");
    folder.refuses(&format!("{run} --set ensembel.weights=1"), "unknown setting `ensembel`, did you mean `ensemble`?");
    folder.refuses(&format!("{run} --set iforest.n_trees"), "--set iforest.n_trees: expected a name and a value");
    folder.refuses(&format!("{run} --set iforest.n_trees=0"), "n_trees");
    folder.refuses(&format!("{run} --set iforest.n_trees=many"), "`iforest.n_trees`: expected a whole number");
    folder.refuses(&format!("{run} --set pipeline.detectors=[\"lof\"]"), "no detector is called `lof`");
    folder.write("c.toml", "[iforest\n");
    folder.refuses(&format!("{run} --config c.toml"), "c.toml: TOML parse error at line 1");
    folder.refuses(&format!("{run} --config nowhere.toml"), "nowhere.toml: No such file");
    let before = folder.contents("");
    folder
        .command(run)
        .env("FUNNELPULSE_IFOREST__N_TREE", "5")
        .assert()
        .code(1)
        .stderr(contains("unknown setting `iforest.n_tree`"));
    assert!(folder.contents("") == before);
}

#[test]
fn files_of_others_are_kept() {
    let folder = Folder::new();
    folder.write("in.csv", format!("{HEADER}{}", ordinary("a", 30)));
    fs::create_dir_all(folder.path("out/anomalies")).unwrap();
    folder.write("out/anomalies/notes.txt", "mine");
    let message = "out/anomalies is not replaced: it holds `notes.txt`";
    folder.refuses("run --input in.csv --output out --report out/report.html --model model", message);
    // What stands beside the table stays as well when it is replaced.
    fs::remove_file(folder.path("out/anomalies/notes.txt")).unwrap();
    folder.write("out/notes.txt", "mine");
    folder.output("run --input in.csv --output out");
    folder.output("run --input in.csv --output out");
    assert_eq!(folder.text("out/notes.txt"), "mine");

    folder.output("generate --out shop --brands 1 --days 2 --events");
    folder.refuses("generate --out shop --brands 1 --days 1 --events", "shop/events is not empty");
}

#[test]
fn wrong_command_lines_end_with_status_2() {
    let folder = Folder::new();
    for (line, message) in [
        ("", "Usage: funnelpulse"),
        ("runs", "unrecognized subcommand 'runs'"),
        ("run --input in.csv", "--output <DIR>"),
        ("score --detector lof --input in.csv --output s.csv", "invalid value 'lof' for '--detector <NAME>'"),
        ("score --detector iforest --input in.csv --output scores.txt", "the name should end in .csv or .parquet"),
        ("generate --out shop --difficulty cruel", "possible values: easy, medium, hard"),
        ("demo --threads 0", "invalid value '0' for '--threads <N>'"),
    ] {
        folder.run(line).code(2).stdout("").stderr(contains(message));
    }
    folder.refuses("generate --out shop --brands 0", "`brands` is 0, allowed: 1 to 10000");
    assert!(folder.contents("").is_empty());
}

#[test]
fn short_series_are_no_error_but_have_a_status() {
    let folder = Folder::new();
    folder.write("in.csv", format!("{HEADER}{}", ordinary("a", 10)));
    folder
        .run("run --input in.csv --output out")
        .code(3)
        .stderr(contains("a: too short to score: 10 rows with data, at least 24 are needed"))
        .stderr(contains("error: no series could be scored"));
    folder.run("train --input in.csv --model model").code(3).stderr(contains("nothing was saved"));
    assert!(!folder.path("model").exists());
    folder
        .run("demo --brands 1 --days 1 --out demo --set pipeline.min_fallback_rows=48")
        .code(3)
        .stderr(contains("error: no series could be scored, nothing was written"));
    assert!(!folder.path("demo").exists());
}

#[test]
fn rows_far_from_all_others_are_named_and_cost_nobody_anything() {
    let folder = Folder::new();
    let good: String = (0..5).map(|brand| ordinary(&format!("brand_{brand}"), 30)).collect();
    let again = good.lines().next().unwrap();
    folder.write("good.csv", format!("{HEADER}{good}"));
    let stray = "1970-01-01 00:00:00,brand_0,9,3,1,2.5\n";
    folder.write("in.csv", format!("{HEADER}{stray}{again}\n{good}"));
    let said = stderr(&folder.run("run --input in.csv --output out").success());
    let expected = "1 row merged into another of the same window\nwarning: 1 row far from all others in time set \
                    aside:\n  series `brand_0`, 1970-01-01T00:00:00Z\n";
    assert!(said.contains(expected), "{said}");
    folder.run("run --input good.csv --output expected").success();
    assert_eq!(folder.json("out/summary.json")["summary"], folder.json("expected/summary.json")["summary"]);
}

#[test]
fn outputs_that_can_not_be_written_are_found_before_the_work() {
    let folder = Folder::new().with_shop();
    folder.write("file", "x");
    for (line, message) in [
        ("run --input absent.csv --output file/out", "--output file/out: file is a file, not a folder"),
        ("run --input absent.csv --output out --model none/shop.fpm", "--model none/shop.fpm: there is no folder none"),
        ("run --input absent.csv --output out --report file/r.html", "--report file/r.html: file is a file"),
        ("train --input absent.csv --model none/shop.fpm", "--model none/shop.fpm: there is no folder none"),
        ("detect --model absent --input absent.csv --output file", "--output file: file is a file, not a folder"),
        ("detect --model absent --input absent.csv --output out --state none/s", "--state none/s: there is no folder"),
        ("score --detector zscore --input absent.csv --output none/s.csv", "--output none/s.csv: there is no folder"),
        (
            "score --detector zscore --input absent.csv --output s.csv --plot none/s.svg",
            "--plot none/s.svg: there is no",
        ),
        ("forecast --input absent.csv --output none/f.csv", "--output none/f.csv: there is no folder none"),
        ("changepoints --input absent.csv --column y --output none/c.csv", "--output none/c.csv: there is no folder"),
        ("explain --model absent --input absent.csv --series a --time x --plot none/p.svg", "--plot none/p.svg: there"),
        (
            "compare --input absent.csv --period 2019-10-01..2019-10-02 --output none/c.json",
            "--output none/c.json: there",
        ),
        ("locate --input absent.csv --period 2019-10-01..2019-10-02 --output shop", "--output shop: this is a folder"),
        ("bench --data absent --detectors zscore --out file/out", "--out file/out: file is a file, not a folder"),
        ("generate --out file", "--out file: file is a file, not a folder"),
        ("demo --out file", "--out file: file is a file, not a folder"),
    ] {
        folder.refuses(line, message);
    }
}
