//! `explain`, `config`, `model`, `demo`, and help.

use std::fmt::Write;

use predicates::str::contains;

use crate::folder::{Folder, HEADER, hour, ordinary, stderr};

/// A trained model and a table with an hour of zero purchases.
fn with_outage() -> Folder {
    let folder = Folder::new();
    folder.write("history.csv", format!("{HEADER}{}{}", ordinary("a", 400), ordinary("b", 30)));
    let mut rows: Vec<String> = ordinary("a", 400).lines().map(str::to_owned).collect();
    rows[300] = format!("{},a,900,220,0,0", hour(300));
    folder.write("in.csv", format!("{HEADER}{}\n", rows.join("\n")));
    folder.output("train --input history.csv --model model");
    folder
}

#[test]
fn an_hour_is_explained() {
    let folder = with_outage();
    let explain = "explain --model model --input in.csv --series a --time";
    let text = folder.output(&format!("{explain} {}", hour(300)));
    for expected in ["score ", "against a threshold of", "metric", "purchases", "conversion_rate", "iforest", "zscore"]
    {
        assert!(text.contains(expected), "{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&folder.output(&format!("{explain} {} --json", hour(300)))).unwrap();
    assert_eq!((&json["series"], &json["is_anomaly"]), (&"a".into(), &true.into()), "{json}");
    assert!(json["factors"].as_array().is_some_and(|f| !f.is_empty()), "{json}");
    assert!(folder.output(&format!("{explain} {}", hour(10))).starts_with("Nothing unusual in a at "));

    folder.output(&format!("{explain} {} --plot hour.svg", hour(300)));
    let picture = folder.text("hour.svg");
    for drawn in ["<svg", "a at ", "views", "observed", "expected range", "anomaly", "score", "threshold", "2019-10-"] {
        assert!(picture.contains(drawn), "{drawn}");
    }

    // The hour that the table of anomalies ranks first.
    folder.output("detect --model model --input in.csv --output out");
    let found = folder.table("out/anomalies");
    assert!(found.time_column("window_start").unwrap().iter().any(|t| t.to_string() == hour(300)));
}

#[test]
fn what_can_not_be_explained_is_named() {
    let folder = with_outage();
    let explain = "explain --model model --input in.csv";
    folder
        .refuses(&format!("{explain} --series c --time {}", hour(3)), "in.csv: there is no series `c` (there are: a)");
    folder.refuses(
        &format!("{explain} --series a --time {}", hour(5000)),
        &format!("series `a` has no row at {} (its rows run from {} to {})", hour(5000), hour(0), hour(399)),
    );
    folder.refuses(&format!("{explain} --series a --time noon"), "--time: `noon` is not a time");
}

#[test]
fn configurations_are_shown_checked_and_described() {
    let folder = Folder::new();
    let shown = folder.output("config show");
    folder.write("c.toml", &shown);
    assert_eq!(folder.output("config show --config c.toml"), shown);
    folder.write("c.json", folder.output("config show --json"));
    assert_eq!(folder.output("config show --config c.json"), shown);
    assert_eq!(folder.output("config check --config c.json"), "The configuration is valid.\n");

    let trees = |arguments: &str, variable: Option<&str>| -> i64 {
        let mut command = folder.command(&format!("config show --json {arguments}"));
        if let Some(value) = variable {
            command.env("FUNNELPULSE_IFOREST__N_TREES", value);
        }
        let output = command.assert().success().get_output().stdout.clone();
        serde_json::from_slice::<serde_json::Value>(&output).unwrap()["iforest"]["n_trees"].as_i64().unwrap()
    };
    folder.write("d.toml", "[iforest]\nn_trees = 11\n");
    assert_eq!(trees("--config d.toml", None), 11);
    assert_eq!(trees("--config d.toml", Some("12")), 12);
    assert_eq!(trees("--config d.toml --set iforest.n_trees=13", Some("12")), 13);

    let schema: serde_json::Value = serde_json::from_str(&folder.output("config schema")).unwrap();
    assert!(schema["properties"]["iforest"].is_object(), "{schema}");
}

#[test]
fn models_are_inspected() {
    let folder = with_outage();
    let text = folder.output("model inspect model");
    for expected in [
        "model/pipeline.model: a pipeline of 2 series",
        "format 2, written by version ",
        ", payload version 2, ",
        "iforest:own",
        "iforest:pooled",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&folder.output("model inspect model --json")).unwrap();
    assert_eq!((&json["kind"], &json["series"][0]["rows"]), (&"pipeline".into(), &400.into()));
    assert_eq!(json["series"][1]["first"], hour(0));
    assert!(json["config"]["iforest"]["n_trees"].is_u64(), "{json}");
}

#[test]
fn the_demo_measures_itself() {
    let folder = Folder::new();
    let text = folder.output("demo --brands 3 --days 40 --out demo");
    for expected in [
        "A generated shop: 3 brands, 40 days",
        "incidents, the most urgent first:",
        "Measured against the labels",
        "AUC-PR",
        "VUS-PR",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    for file in ["demo/hourly.parquet", "demo/labels.parquet", "demo/report.html"] {
        assert!(folder.path(file).is_file(), "{file}");
    }
    assert!(folder.table("demo/anomalies").num_rows() > 0);
    folder.run("demo --brands 1 --days 1 --out tiny").success().stderr(contains("there is no quality to measure"));
}

#[test]
fn help_teaches_every_option() {
    let folder = Folder::new();
    let results = "--output --report --all-rows --top --alerts --timings --json --strict --input";
    let cases = [
        (
            "",
            "demo generate run train detect score eval forecast changepoints explain locate compare config model --quiet \
             --threads funnelpulse demo",
        ),
        ("demo", "--out --brands --days --seed --difficulty --config --set --top"),
        ("generate", "--out --brands --days --seed --difficulty --events"),
        ("run", &format!("{results} --model --config --set")),
        ("train", "--input --model --config --set --strict"),
        ("detect", &format!("{results} --model")),
        (
            "score",
            "--detector --input --series-column --time-column --columns --train-rows-column --train-rows --param \
             --output iforest zscore",
        ),
        ("eval", "--labels --scores --label-column --series-column --value-column --window --rows-per-day --json"),
        (
            "forecast",
            "--input --time-column --value-column --series-column --horizon --components --param --output Prophet",
        ),
        (
            "changepoints",
            "--input --column --time-column --series-column --auto --cost --penalty --min-size --jump --gamma --order \
             --min-magnitude --max-p-value --output ruptures modified_bic linear_trend",
        ),
        ("explain", "--model --input --series --time --json"),
        (
            "compare",
            "--input --period --against --series --against-series --model --against-model --labels --top --json \
             --output --config --set START..END",
        ),
        (
            "locate",
            "--input --period --series --measure --dimensions --history --param --json --output --config --set \
             START..END purchase_rate",
        ),
        ("config", "show check schema"),
        ("config show", "--config --set --json FUNNELPULSE_"),
        ("config check", "--config --set"),
        ("model inspect", "--json <MODEL>"),
    ];
    for (command, words) in cases {
        let help = folder.output(&format!("{command} --help"));
        for word in words.split_whitespace() {
            assert!(help.contains(word), "{command}: {word} in\n{help}");
        }
    }
    folder.run("--version").success().stdout(contains("funnelpulse 0."));
}

#[test]
fn feedback_changes_whom_to_believe() {
    let folder = Folder::new().with_shop();
    folder.output("train --input hours.csv --model before");
    let weights = |model: &str| -> serde_json::Value {
        let text = folder.output(&format!("model inspect {model} --json"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["weights"].take()
    };
    let before = weights("before");
    assert_eq!(before["iforest"], 0.25);

    let table = folder.table("hours.csv");
    let times = table.time_column("window_start").unwrap();
    let series = table.string_column("brand").unwrap()[100].clone().unwrap();
    let mut answers = "series,start,end,verdict\n".to_owned();
    for row in (100..160).step_by(6) {
        writeln!(answers, "{series},{},{},false_alarm", times[row], times[row + 2]).unwrap();
    }
    folder.write("answers.csv", &answers);
    folder.output("train --input hours.csv --model after --feedback answers.csv");
    assert_ne!(weights("after"), before);
    folder.output("detect --model after --input hours.csv --output found");

    folder
        .write("answers.csv", "series,start,end,verdict\nnobody,2020-01-01T00:00:00Z,2020-01-01T01:00:00Z,incident\n");
    let said = stderr(&folder.run("train --input hours.csv --model after --feedback answers.csv").success());
    assert!(said.contains("nobody") && said.contains("no row of the history"), "{said}");
    folder.write("answers.csv", "series,start,end,verdict\na,2020-01-01T02:00:00Z,2020-01-01T01:00:00Z,incident\n");
    folder.refuses("train --input hours.csv --model after --feedback answers.csv", "is not after the start");
    folder.write("answers.csv", "series,start,end,verdict\na,2020-01-01T00:00:00Z,2020-01-01T01:00:00Z,perhaps\n");
    folder.refuses("train --input hours.csv --model after --feedback answers.csv", "`incident` or `false_alarm`");
}

#[test]
fn one_time_zone_serves_all_sections() {
    let folder = Folder::new();
    let zones = |arguments: &str| {
        let shown = folder.output(&format!("config show --json {arguments}"));
        let config: serde_json::Value = serde_json::from_str(&shown).unwrap();
        ["read", "features", "incidents"].map(|section| config[section]["timezone"].as_str().map(str::to_owned))
    };
    let all = |zone: &str| [Some(zone.to_owned()), Some(zone.to_owned()), Some(zone.to_owned())];
    assert_eq!(zones("--set input.timezone=Europe/Berlin"), all("Europe/Berlin"));
    let [read, features, incidents] = zones("--set read.timezone=Europe/Berlin");
    assert_eq!(read.as_deref(), Some("Europe/Berlin"));
    assert_eq!([features, incidents], [Some("UTC".to_owned()), Some("UTC".to_owned())]);
    // Local times are read in it.
    let mut text = HEADER.to_owned();
    for line in ordinary("a", 400).lines() {
        writeln!(text, "{}", line.replace('Z', "").replace("2019-10-", "2019-12-")).unwrap();
    }
    folder.write("in.csv", text);
    folder.output("run --input in.csv --output out --all-rows --set input.timezone=Asia/Tokyo");
    let first = folder.table("out/anomalies").time_column("window_start").unwrap()[0];
    assert_eq!(first.to_string(), "2019-11-30T15:00:00Z");
}
