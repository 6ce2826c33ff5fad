//! `bench`, and `eval` of folders.

use std::fmt::Write;

use predicates::str::contains;

use crate::folder::{Folder, stderr, stdout};

/// Two files in the layout of TSB-AD, each with a plateau that is an anomaly.
fn tsb_ad(folder: &Folder) {
    std::fs::create_dir(folder.path("data")).unwrap();
    for (number, odd) in [(1, 300..310), (2, 350..360)] {
        let mut text = "Data,Label\n".to_owned();
        for row in 0..400 {
            let value =
                f64::from(row % 24) + f64::from(row * 31 % 17) / 17.0 + if odd.contains(&row) { 40.0 } else { 0.0 };
            writeln!(text, "{value},{}", u8::from(odd.contains(&row))).unwrap();
        }
        folder.write(&format!("data/00{number}_NAB_id_{number}_Facility_tr_200_1st_300.csv"), text);
    }
    folder.write("data/notes.csv", "a,b\n1,2\n");
}

/// Ours, a program of somebody else's and random scores in one table; a detector that fails stops no other, and
/// what was there already is taken over.
#[test]
fn detectors_are_compared_on_a_folder_of_files() {
    let folder = Folder::new();
    tsb_ad(&folder);
    let external = |command: &mut assert_cmd::Command| {
        command
            .args(["--external", "value=sh -c 'cp \"$1\" seen.csv; tail -n +2 \"$1\" > \"$2\"' sh {input} {output}"]);
        command.args(["--external", "broken=false {input} {output}"]);
    };
    let line = "bench --data data --detectors iforest,zscore,random --param iforest.n_trees=20 --out found";
    let mut command = folder.command(line);
    external(&mut command);
    let done = command.assert().success();
    let (said, remarks) = (stdout(&done), stderr(&done));
    assert!(said.starts_with("VUS-PR over 2 series, 5 detectors"), "{said}");
    assert!(said.contains("Friedman") && said.contains("Nemenyi") && said.contains("Wilcoxon"), "{said}");
    assert!(remarks.contains("notes.csv is left out: there is no column of labels"), "{remarks}");
    // The program saw values, and nothing else.
    assert_eq!(folder.text("seen.csv").lines().next(), Some("Data"));
    let runs = folder.table("found/runs.csv");
    assert_eq!(runs.num_rows(), 10);
    let column = |name: &str| runs.string_column(name).unwrap().into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(column("status").iter().filter(|s| *s == "failed").count(), 2);
    assert_eq!(folder.table("found/runs.parquet").f64_column("vus_pr").unwrap().len(), 10);
    let quality = |name: &str| {
        let own = column("detector")
            .iter()
            .zip(runs.f64_column("auc_pr").unwrap())
            .filter(|(d, _)| *d == name)
            .map(|(_, v)| v)
            .collect::<Vec<_>>();
        own.iter().sum::<f64>() / 2.0
    };
    assert!(quality("value") > 0.9 && quality("random") < 0.3, "{said}");
    assert!(folder.text("found/leaderboard.html").contains("Detectors on data"));

    folder.run(line).code(1).stderr(contains("go on from them with --resume"));
    let mut again = folder.command(&format!("{line} --resume --json"));
    external(&mut again);
    let board: serde_json::Value = serde_json::from_str(&stdout(&again.assert().success())).unwrap();
    assert_eq!((&board["series"], board["standings"].as_array().unwrap().len()), (&2.into(), 5));
    let resumed = folder.table("found/runs.csv");
    for name in ["detector", "status", "vus_pr", "seconds"] {
        let (a, b) = (runs.string_column(name).unwrap(), resumed.string_column(name).unwrap());
        let same = a.iter().zip(&b).zip(column("status")).all(|((a, b), s)| a == b || s == "failed");
        assert!(same, "{name}: {a:?} {b:?}");
    }
    folder.run("bench --data data --detectors lof --out x").code(1).stderr(contains("there is no `lof`"));
    folder.run("bench --data data --external nothing --out x").code(2).stderr(contains("{output}"));
}

#[test]
fn a_folder_of_scores_is_measured_without_flags() {
    let folder = Folder::new();
    tsb_ad(&folder);
    let bench = "bench --data data --detectors zscore,preset:univariate --keep-scores --out found";
    folder.output(bench);
    let measured = folder.output("eval --labels data --scores found/scores/zscore --json");
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(measured["series"].as_object().unwrap().len(), 2);
    let runs = folder.table("found/runs.csv");
    let detectors = runs.string_column("detector").unwrap();
    let vus = runs.f64_column("vus_pr").unwrap();
    let own: Vec<f64> =
        vus.iter().zip(&detectors).filter(|(_, d)| d.as_deref() == Some("zscore")).map(|(v, _)| *v).collect();
    let mean = own.iter().sum::<f64>() / own.len() as f64;
    assert!((measured["mean"]["vus_pr"].as_f64().unwrap() - mean).abs() < 1e-12);
    // The shape of a plateau is what the preset looks for.
    assert!(runs.f64_column("auc_pr").unwrap().iter().all(|v| *v > 0.1));
}

#[test]
fn a_folder_without_a_series_that_can_be_used_is_an_error() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("data")).unwrap();
    folder.refuses("bench --data data --detectors zscore --out found", "data: there is no labelled series; looked for");
    folder.write("data/quiet.csv", "value,label\n5,0\n2,0\n9,0\n");
    let message = "data: no series can be used, for example quiet has not both normal and anomalous rows; looked for";
    folder.refuses("bench --data data --detectors zscore --out found", message);
    folder
        .run("bench --data data --detectors zscore --out found")
        .stderr(contains("--label-column and --columns name other columns"));
}
