//! `changepoints`: breaks with what changed, and what it refuses.

use std::{fmt::Write, fs};

use funnelpulse_testing::shared_file;
use predicates::str::contains;

use crate::folder::{Folder, hour, stderr};

/// Hours with a level of 40, from row 120 of 26, with noise; the second series has it the other way
/// round.
fn table(folder: &Folder) {
    let mut text = "brand,hour,views,carts\n".to_owned();
    for row in 0..200 {
        for (brand, levels) in [("a", [40, 26]), ("b", [26, 40])] {
            let level = levels[usize::from(row >= 120)];
            writeln!(text, "{brand},{},{},{}", hour(row), level + row * 7 % 10, row * 31 % 13).unwrap();
        }
    }
    folder.write("all.csv", &text);
    let own: Vec<&str> = text.lines().filter(|line| !line.starts_with("b,")).collect();
    folder.write("in.csv", own.join("\n"));
}

/// Two columns that rise and fall together, from row 160 of 320 on against each other.
#[test]
fn a_classifier_finds_changes_of_dependence() {
    let folder = Folder::new();
    let mut text = "x,y\n".to_owned();
    for row in 0..320_u64 {
        let x = (row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44) % 1_000;
        let y = if row < 160 { x } else { 1_000 - x };
        writeln!(text, "{x},{y}").unwrap();
    }
    folder.write("in.csv", text);
    for (search, found) in
        [("--classifier random_forest", 1), ("--classifier nearest_neighbours", 1), ("--cost l2 --penalty bic", 0)]
    {
        folder.output(&format!("changepoints --input in.csv --column x,y {search} --output out.csv"));
        let out = folder.table("out.csv");
        let rows = out.f64_column("index").unwrap();
        assert_eq!(rows.len(), found, "{search}");
        assert!(rows.iter().all(|row| (155.0..=165.0).contains(row)), "{search}: {rows:?}");
        assert!(out.f64_column("p_value").unwrap().iter().all(|p| *p <= 0.02), "{search}");
    }
    let both = "changepoints --input in.csv --column x,y --classifier random_forest --cost l2 --output out.csv";
    folder.run(both).code(2).stderr(contains("--cost"));
}

#[test]
fn breaks_are_found_with_what_changed() {
    let folder = Folder::new();
    table(&folder);
    for search in ["", "--cost rbf --penalty 10 --min-size 24", "--auto", "--cost l2 --penalty bic", "--penalty slope"]
    {
        let find = format!("changepoints --input in.csv --column views --time-column hour {search}");
        let said = folder.output(&format!("{find} --output out.csv"));
        assert_eq!(said, "1 break in 200 rows of 1 series; table in out.csv\n", "{search}");
        let out = folder.table("out.csv");
        assert_eq!(
            out.columns(),
            [
                "index",
                "time",
                "magnitude",
                "direction",
                "p_value",
                "index_lower",
                "index_upper",
                "value_before",
                "standard_error_before",
                "value_after",
                "standard_error_after"
            ]
        );
        let number = |column: &str| out.f64_column(column).unwrap()[0];
        assert_eq!((number("index"), number("value_before"), number("value_after")), (120.0, 44.5, 30.5));
        assert!((number("magnitude") + 14.0 / 44.5).abs() < 1e-12 && number("p_value") < 1e-4);
        assert!(number("index_lower") <= 120.0 && number("index_upper") >= 120.0);
        assert!(number("standard_error_after") > number("standard_error_before"));
        assert_eq!(out.string_column("direction").unwrap()[0].as_deref(), Some("decrease"));
        assert_eq!(out.time_column("time").unwrap()[0].to_string(), hour(120));
        folder.output(&format!("{find} --output out.parquet"));
        assert_eq!(folder.table("out.parquet").f64_column("p_value").unwrap(), out.f64_column("p_value").unwrap());
    }
}

#[test]
fn series_and_columns_are_chosen() {
    let folder = Folder::new();
    table(&folder);
    let said = folder.output("changepoints --input all.csv --column views --series-column brand --output out.csv");
    assert_eq!(said, "2 breaks in 400 rows of 2 series; table in out.csv\n");
    let out = folder.table("out.csv");
    assert_eq!(out.columns()[..4], ["series", "index", "magnitude", "direction"]);
    assert_eq!(out.f64_column("index").unwrap(), [120.0, 120.0]);
    let texts = |column| out.string_column(column).unwrap().into_iter().map(Option::unwrap).collect::<Vec<_>>();
    assert_eq!((texts("series").join(" "), texts("direction").join(" ")), ("a b".into(), "decrease increase".into()));

    folder.output("changepoints --input in.csv --column carts,views --output out.csv");
    let out = folder.table("out.csv");
    assert_eq!(out.columns()[..2], ["index", "column"]);
    assert_eq!(out.string_column("column").unwrap()[0].as_deref(), Some("views"));
}

#[test]
fn breaks_are_those_of_ruptures() {
    let shared = |name: &str| shared_file(&format!("reference/changepoint/{name}"));
    for kind in ["pwc", "synth"] {
        let input = shared(&format!("cp_{kind}720.f64"));
        let (Some(input), Some(output)) = (input, shared(&format!("cp_pelt_rbf_{kind}720.json"))) else { return };
        let mut text = "v\n".to_owned();
        for bytes in fs::read(input).unwrap().chunks_exact(8) {
            writeln!(text, "{}", f64::from_le_bytes(bytes.try_into().unwrap())).unwrap();
        }
        let folder = Folder::new();
        folder.write("in.csv", text);
        folder.output("changepoints --input in.csv --column v --cost rbf --penalty 10 --min-size 24 --output out.csv");
        let theirs: serde_json::Value = serde_json::from_slice(&fs::read(output).unwrap()).unwrap();
        let mut ours = folder.table("out.csv").f64_column("index").unwrap();
        // Their last entry is the number of rows.
        ours.push(720.0);
        assert_eq!(
            serde_json::json!(ours.into_iter().map(|i| i as usize).collect::<Vec<_>>()),
            theirs["bkps"],
            "{kind}"
        );
    }
}

#[test]
fn small_changes_are_left_out_on_demand() {
    let folder = Folder::new();
    table(&folder);
    let find = "changepoints --input in.csv --column views --output out.csv";
    let level = format!("{find} --cost l2 --penalty bic");
    assert!(folder.output(&format!("{level} --min-magnitude 0.3")).starts_with("1 break"));
    // Still a table, without rows.
    assert!(folder.output(&format!("{level} --min-magnitude 0.4")).starts_with("0 breaks"));
    assert_eq!(folder.text("out.csv").lines().count(), 1);
    assert!(folder.text("out.csv").starts_with("index,magnitude,direction,p_value,"));
    assert!(folder.output(&format!("{find} --penalty 1000")).starts_with("0 breaks"));
    assert!(folder.output(&format!("{find} --penalty 0")).ends_with("table in out.csv\n"));
    assert!(folder.output(&format!("{find} --jump 50")).starts_with("1 break"));
    assert_eq!(folder.table("out.csv").f64_column("index").unwrap()[0] % 50.0, 0.0);
}

#[test]
fn constants_and_missing_values_are_no_error() {
    let folder = Folder::new();
    folder.write("in.csv", format!("v\n{}", "5\n".repeat(80)));
    for search in ["", "--auto", "--cost normal", "--cost poisson --penalty bic"] {
        let said = folder.output(&format!("changepoints --input in.csv --column v {search} --output out.csv"));
        assert_eq!(said, "0 breaks in 80 rows of 1 series; table in out.csv\n", "{search}");
    }
    table(&folder);
    // Every third value is missing; indices stay those of the table.
    let text = folder.text("in.csv");
    let holes = text.lines().enumerate().map(|(i, line)| match line.split(',').collect::<Vec<_>>() {
        cells if i > 0 && i % 3 == 0 => {
            format!("{},{},{},{}\n", cells[0], cells[1], if i % 2 == 0 { "" } else { "NaN" }, cells[3])
        }
        _ => format!("{line}\n"),
    });
    folder.write("holes.csv", holes.collect::<String>());
    let run = folder.run("changepoints --input holes.csv --column views --output out.csv").success();
    assert!(stderr(&run).contains("note: without a value and left out: 66 of 200 rows"));
    assert_eq!(folder.table("out.csv").f64_column("index").unwrap(), [120.0]);
}

#[test]
fn what_can_not_be_searched_is_refused() {
    let folder = Folder::new();
    table(&folder);
    for (options, message) in [
        ("--column absent", "in.csv: column `absent` is missing (found: brand, hour, views, carts)"),
        ("--column brand", "in.csv: column `brand` should hold numbers, found `a` in line 2"),
        ("--column views --time-column absent", "in.csv: column `absent` is missing"),
        ("--column views --series-column absent", "in.csv: column `absent` is missing"),
        ("--column views --penalty -1", "penalty = -1 is out of range (0 or more, finite)"),
        ("--column views --penalty nan", "penalty = NaN is out of range (0 or more, finite)"),
        ("--column views --min-size 0", "min_size = 0 is out of range (1 or more)"),
        ("--column views --jump 0", "jump = 0 is out of range (1 or more)"),
        ("--column views --gamma -2", "gamma = -2 is out of range (above 0, finite)"),
        ("--column views --min-magnitude -1", "min_magnitude = -1 is out of range (0 or more, finite)"),
        ("--column views --max-p-value 0", "max_p_value = 0 is out of range (above 0, at most 1)"),
        ("--column views --min-size 300", "in.csv: 200 usable rows, 300 are needed"),
        ("--column carts,views --auto", "in.csv: auto takes 1 column, not 2"),
        ("--column views --cost binomial", "in.csv: the binomial cost takes 2 columns (successes, trials), not 1"),
        (
            "--column views,carts --cost binomial",
            "in.csv: row 1, column `views`: 40.0 is not allowed (at most the trials",
        ),
        ("--column carts --series-column hour", "in.csv: series `2019-10-01T00:00:00Z`: 1 usable rows, 24 are needed"),
    ] {
        folder.refuses(&format!("changepoints --input in.csv --output out.csv {options}"), message);
    }
    for (options, message) in [
        ("", "--column <C>"),
        ("--column views --cost l3", "invalid value 'l3' for '--cost <COST>'"),
        ("--column views --penalty much", "expected a number, or bic, sic, modified_bic or slope"),
        ("--column views --auto --penalty 3", "'--auto' cannot be used with '--penalty <P>'"),
        ("--column views --auto --cost l2", "'--auto' cannot be used with '--cost <COST>'"),
        ("--column views --auto --min-size 5", "'--auto' cannot be used with '--min-size <N>'"),
    ] {
        let line = format!("changepoints --input in.csv --output out.csv {options}");
        folder.run(&line).code(2).stdout("").stderr(contains(message));
    }
    let mut rows = String::new();
    for h in 0..60 {
        writeln!(rows, "{},{h}", hour(h)).unwrap();
    }
    let find = "changepoints --input bad.csv --column v --time-column t --output out.csv";
    for (more, message) in [
        (format!("{},3\n", hour(59)), format!("bad.csv: row 61, column `t`: {} appears twice", hour(59))),
        (format!("{},3\n", hour(9)), format!("bad.csv: row 61, column `t`: {} comes after {}", hour(9), hour(59))),
        (format!("{},inf\n", hour(60)), "bad.csv: row 61, column `v`: inf is not finite".to_owned()),
        (format!("{},no\n", hour(60)), "bad.csv: column `v` should hold numbers, found `no` in line 62".to_owned()),
    ] {
        folder.write("bad.csv", format!("t,v\n{rows}{more}"));
        folder.refuses(find, &message);
    }
    // The row is that of the table, although one before it is left out.
    folder.write("bad.csv", format!("t,v\n2018-01-01,\n{rows}{},-4\n", hour(60)));
    folder.refuses(&format!("{find} --cost poisson"), "bad.csv: row 62, column `v`: -4.0 is not allowed");
}
