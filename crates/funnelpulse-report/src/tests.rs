//! The page as a reader, a browser and an attacker see it.

use std::{fs, path::Path};

use funnelpulse_core::{Columns, Frame, Panel, Severity, Timestamp};
use funnelpulse_ensemble::SeverityLevels;
use funnelpulse_features::MetricSpec;
use ndarray::Array2;

mod browser;
mod incidents;

use super::{Report, plots, view};
use funnelpulse_analytics::{Findings, SeriesFailure};
use funnelpulse_pipeline::{Config, Pipeline};

const EVIL: &str = "</script><script>alert(1)</script><!-- \"><img src=x onerror=alert(2)>";

/// A quiet series with an outlier every hundred rows, each smaller than the one before.
fn frame(columns: Columns, rows: usize) -> Frame {
    let time = (0..rows as i64).map(|h| Timestamp::from_seconds(1_569_888_000 + 3_600 * h)).collect();
    let values = Array2::from_shape_fn((rows, columns.len()), |(row, column)| {
        let busy = 1.0 + ((row % 24) as f64 / 24.0 * std::f64::consts::TAU).sin().powi(2);
        let noise = 1.0 + 0.04 * ((row * 7919 % 101) as f64 / 50.0 - 1.0);
        let outlier = if row % 100 == 57 { 1.0 + 900.0 / (row + column) as f64 } else { 1.0 };
        (400.0 / (column + 1) as f64 * busy * noise * outlier).round()
    });
    Frame::new(time, columns, values).unwrap()
}

fn panel(columns: &Columns, names: &[&str], rows: usize) -> Panel {
    let mut panel = Panel::new(columns.clone());
    for name in names {
        panel.insert(*name, frame(columns.clone(), rows)).unwrap();
    }
    panel
}

/// Low limits, so that there is much to show.
fn config() -> Config {
    let mut config = Config::default();
    config.ensemble.threshold = 0.2;
    config.ensemble.severity = SeverityLevels { low: 0.2, medium: 0.5, high: 0.7, critical: 0.77 };
    config
}

fn run(config: Config, panel: &Panel) -> Findings {
    Pipeline::builder().config(config).build().unwrap().run(panel).unwrap()
}

fn funnel(names: &[&str], rows: usize) -> Findings {
    let config = config();
    let columns = config.input.columns();
    run(config, &panel(&columns, names, rows))
}

/// The page without the library that draws the pictures.
fn own_text(report: &Report<'_>) -> String {
    report.to_html().unwrap().replace(plots::library(), "")
}

fn data(page: &str) -> serde_json::Value {
    let start = page.split_once("id=\"pictures\">").unwrap().1;
    serde_json::from_str(start.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn hostile_names_are_text() {
    let mut config = config();
    config.input.metrics = vec![MetricSpec::amount(EVIL), MetricSpec::amount("%{y}<b>")];
    config.pipeline.metric = Some(EVIL.to_owned());
    let columns = config.input.columns();
    let mut findings = run(config, &panel(&columns, &[EVIL], 800));
    findings.add_failures([SeriesFailure { series: EVIL.into(), message: EVIL.to_owned() }]);
    assert!(!findings.ranked().is_empty());
    let evil = || EVIL.to_owned();
    let report = Report::new(&findings).title(EVIL).notes(vec![evil()]).quality(vec![(evil(), evil())]);
    let page = own_text(&report);
    assert_eq!(page.matches("<script").count(), 3);
    assert_eq!(page.matches("</script").count(), 3);
    assert!(!page.contains("<img") && !page.contains("<!--"));
    // In the pictures plotly takes tags for markup.
    let bars = data(&page)["by_series"]["layout"]["yaxis"]["ticktext"][0].to_string();
    assert!(bars.starts_with("\"&lt;/script&gt;"), "{bars}");
    let hover = &data(&page)["timelines"][0]["plots"][0]["data"][4]["hovertext"][0];
    assert!(!hover.as_str().unwrap().contains("<img") && hover.as_str().unwrap().contains("&lt;img"), "{hover}");
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let findings = funnel(&["runail"], 800);
    let page = own_text(&Report::new(&findings));
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("src=") && !page.contains("@import"));
    assert!(page.matches("href=\"").count() == page.matches("href=\"#").count());
    let library = plots::library();
    assert!(library.contains("plotly.js (basic - minified) v") && library.contains("MIT license"));
    assert!(!library.contains("</script") && library.len() < 1_100_000);
}

#[test]
fn every_severity_can_be_filtered() {
    let mut scores: Vec<f64> = funnel(&["irisk", "runail"], 800).ranked().iter().map(|(_, a)| a.score).collect();
    scores.sort_by(f64::total_cmp);
    let quarter = |i: usize| scores[i * (scores.len() - 1) / 4];
    let mut config = config();
    config.ensemble.severity = SeverityLevels { low: 0.0, medium: quarter(2), high: quarter(3), critical: quarter(4) };
    let columns = config.input.columns();
    let findings = run(config, &panel(&columns, &["irisk", "runail"], 800));
    let page = own_text(&Report::new(&findings));
    let traces = data(&page)["timelines"][0]["plots"][0]["data"].clone();
    for severity in Severity::ALL {
        let has = findings.ranked().iter().any(|(_, a)| a.severity == severity);
        assert!(has, "the test data have no {severity} anomaly");
        assert!(page.contains(&format!("name=\"severity\" value=\"{severity}\" checked")));
        assert!(page.contains(&format!("<tr data-severity=\"{severity}\"")));
        assert!(traces.as_array().unwrap().iter().any(|t| t["legendgroup"] == severity.as_str()), "{severity}");
    }
    // Every anomaly is a point of its timeline.
    let points: usize = traces.as_array().unwrap()[4..].iter().map(|t| t["x"].as_array().unwrap().len()).sum();
    let first = &findings.ranked()[0].0.series;
    assert_eq!(points, findings.series().iter().find(|s| s.series == *first).unwrap().anomalies.len());
}

#[test]
fn quiet_and_empty_findings_make_a_page() {
    let mut quiet = Config::default();
    quiet.alerts.budget = funnelpulse_core::AlarmBudget::OFF;
    quiet.ensemble.threshold = 1.0;
    quiet.ensemble.severity = SeverityLevels { low: 1.0, medium: 1.0, high: 1.0, critical: 1.0 };
    let columns = quiet.input.columns();
    let mut all_missing = Panel::new(columns.clone());
    let good = frame(columns.clone(), 50);
    let missing = Array2::from_elem((50, columns.len()), f64::NAN);
    all_missing.insert("dark", Frame::new(good.time().to_vec(), columns.clone(), missing).unwrap()).unwrap();
    for (panel, failed) in [
        (panel(&columns, &[], 0), false),
        (panel(&columns, &["runail"], 800), false),
        (panel(&columns, &["tiny"], 3), true),
        (all_missing, true),
    ] {
        let findings = run(quiet.clone(), &panel);
        let page = own_text(&Report::new(&findings));
        assert!(findings.ranked().is_empty() && page.contains("No anomalies found."));
        assert_eq!(page.contains("could not be scored <small>1</small>"), failed);
        assert!(!page.contains("NaN") && !page.contains("Revenue lost"));
    }
}

#[test]
fn tables_without_money_have_no_column_for_it() {
    let mut config = config();
    config.input.metrics = vec![MetricSpec::count("requests")];
    let columns = config.input.columns();
    let findings = run(config, &panel(&columns, &["api"], 800));
    let page = own_text(&Report::new(&findings));
    assert!(!findings.ranked().is_empty());
    assert!(!page.contains("Revenue</th>") && !page.contains("Revenue lost") && page.contains("<b>requests</b>"));
}

#[test]
fn long_series_are_cut_and_many_anomalies_counted() {
    let findings = funnel(&["a", "b", "c"], 6_000);
    let report = Report::new(&findings).max_series(2);
    let page = own_text(&report);
    // Nothing is left out: points stand for several rows where there are many.
    assert!(page.contains("each point of a line is the mean of 3 hours"));
    let timelines = data(&page)["timelines"].clone();
    assert_eq!(timelines.as_array().unwrap().len(), 2);
    assert_eq!(timelines[0]["offsets"].as_array().unwrap().len(), 2_000);
    assert_eq!(timelines[0]["score"].as_array().unwrap().len(), 2_000);
    assert_eq!(page.matches("<tr data-severity").count(), findings.ranked().len().min(view::MAX_TABLE_ROWS));
    assert_eq!(page.contains("are in the Parquet table"), findings.ranked().len() > view::MAX_TABLE_ROWS);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert_eq!(page, own_text(&report));
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let findings = funnel(&[], 0);
    let folder = tempfile::tempdir().unwrap();
    let names = |folder: &Path| fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let path = folder.path().join("report.html");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("keep"), "x").unwrap();
    let error = Report::new(&findings).write(&path).unwrap_err().to_string();
    assert!(error.contains("report.html"), "{error}");
    assert_eq!(names(folder.path()), ["report.html"]);
    assert_eq!(names(&path), ["keep"]);
    assert!(Report::new(&findings).write(&folder.path().join("nowhere/report.html")).is_err());

    let path = folder.path().join("good.html");
    fs::write(&path, "before").unwrap();
    Report::new(&findings).write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), Report::new(&findings).to_html().unwrap());
    assert_eq!(names(folder.path()).len(), 2);
}

/// Forty series of a hundred and fifty days: the picker has all of them, and the page stays small.
#[test]
fn every_series_has_a_timeline_in_a_small_page() {
    let names: Vec<String> = (0..40).map(|i| format!("brand {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let findings = funnel(&names, 3_600);
    let page = Report::new(&findings).to_html().unwrap();
    let affected = findings.series().iter().filter(|s| !s.anomalies.is_empty()).count();
    assert_eq!(data(&page)["timelines"].as_array().unwrap().len(), affected);
    assert_eq!(page.matches("<article class=\"timeline\"").count(), affected);
    assert!(affected > 12 && page.len() < 3_000_000, "{affected} series, {} bytes", page.len());
}

#[test]
fn words_are_those_of_the_step_of_the_table() {
    let mut config = config();
    config.input.metrics = vec![MetricSpec::amount("pulse")];
    config.input.step_seconds = 60;
    let columns = config.input.columns();
    let hourly = frame(columns.clone(), 1_500);
    let time = (0..1_500).map(|m| Timestamp::from_seconds(1_569_888_000 + 60 * m)).collect();
    let mut panel = Panel::new(columns.clone());
    panel.insert("patient", Frame::new(time, columns, hourly.values().to_owned()).unwrap()).unwrap();
    let page = own_text(&Report::new(&run(config, &panel)));
    assert!(page.contains("Minutes scored") && page.contains("Anomalous minutes by impact"));
    assert!(
        !page.contains("Hours scored")
            && !page.contains("Revenue lost")
            && !page.to_lowercase().contains("revenue</dt>")
    );
}
