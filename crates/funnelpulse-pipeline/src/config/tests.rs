use std::path::Path;

use funnelpulse_iforest::IsolationForestConfig;

use super::*;
use crate::Scope;

fn refuse(toml: &str) -> String {
    Config::layers().toml(toml).and_then(Layers::build).unwrap_err().to_string()
}

#[test]
fn later_layers_win_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    std::fs::write(&file, "[iforest]\nn_trees = 10\nseed = 1\n[pipeline.scope]\niforest = 'pooled'").unwrap();
    let config = Config::layers()
        .file(&file)
        .unwrap()
        .variables([("FUNNELPULSE_IFOREST__SEED", "2"), ("HOME", "x"), ("FUNNELPULSE_SHARED", "/data")])
        .unwrap()
        .set("iforest.seed", "3")
        .unwrap()
        .build()
        .unwrap();
    let forest: &IsolationForestConfig = config.detectors.get("iforest").unwrap();
    assert_eq!((forest.n_trees, forest.seed), (10, 3));
    assert_eq!(config.pipeline.scope["iforest"], Scope::Pooled);
    assert_eq!(config.ensemble, Config::default().ensemble);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let config = Config::default();
    assert_eq!(Config::layers().toml(&config.to_toml()).unwrap().build().unwrap(), config);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.json");
    std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(Config::layers().file(&file).unwrap().build().unwrap(), config);
}

#[test]
fn typos_are_answered_with_the_nearest_name() {
    assert_eq!(refuse("[ifroest]"), "unknown setting `ifroest`, did you mean `iforest`?");
    assert_eq!(refuse("[iforest]\nntrees = 5"), "unknown setting `iforest.ntrees`, did you mean `iforest.n_trees`?");
    let nested = refuse("[ensemble.severity]\ncritcal = 1.0");
    assert_eq!(nested, "unknown setting `ensemble.severity.critcal`, did you mean `ensemble.severity.critical`?");
    let misplaced = refuse("n_trees = 5");
    assert_eq!(misplaced, "unknown setting `n_trees`, did you mean `iforest.n_trees`?");
    let hopeless = refuse("[iforest]\nxyzzy = 5");
    assert_eq!(hopeless, "unknown setting `iforest.xyzzy`");
    let listed = refuse("[[input.metrics]]\nname = 'a'\nkindd = 'count'");
    assert_eq!(listed, "unknown setting `input.metrics[0].kindd`, did you mean `input.metrics[0].kind`?");
}

#[test]
fn bad_values_name_the_setting_and_the_range() {
    let many = refuse("[iforest]\nn_trees = 'many'");
    assert_eq!(many, "`iforest.n_trees`: expected a whole number of at least 0, found \"many\"");
    assert_eq!(refuse("[iforest]\nn_trees = 0"), "[iforest] n_trees = 0 is out of range (1 to 65535)");
    let unknown = refuse("[pipeline]\ndetectors = ['prophet']");
    let expected = "[pipeline] detectors: no detector is called `prophet` (there are: lstm-ae, seasonal, iforest, \
                    changepoint, zscore, incidents";
    assert!(unknown.starts_with(expected), "{unknown}");
    assert!(refuse("[pipeline]\nmetric = 'clicks'").contains("`clicks` is not a metric of [input]"));
    assert!(
        refuse("[pipeline]\nmin_exposure = nan").contains("min_exposure = NaN is out of range (0 or more, finite)")
    );
    assert!(refuse("[ensemble\n").starts_with("configuration: TOML parse error at line 1"));
    assert!(Config::layers().set("iforest.", "1").is_err());
}

#[test]
fn variables_that_are_no_settings_are_refused() {
    let refuse = |name: &str| Config::layers().variables([(name, "1")]).unwrap_err().to_string();
    let message = refuse("FUNNELPULSE_IFOREST_SEED");
    assert!(message.ends_with("did you mean `FUNNELPULSE_IFOREST__SEED`?"), "{message}");
    assert!(Config::layers().variables([("FUNNELPULSE_SHARED", "/data"), ("PATH", "x")]).is_ok());
}

#[test]
fn a_key_of_absurd_depth_is_refused() {
    let key = vec!["a"; 60_000].join(".");
    let message = Config::layers().set(&key, "1").unwrap_err().to_string();
    assert!(message.contains("60000 nested names are too many (at most 16)"), "{message}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::layers().file(Path::new("no/such.toml")).unwrap_err();
    assert!(error.to_string().starts_with("no/such.toml: "), "{error}");
}

#[cfg(feature = "incidents")]
#[test]
fn the_time_zone_of_the_input_is_that_of_all_sections_without_their_own() {
    use funnelpulse_incidents::IncidentConfig;

    let zones = |text: &str| {
        let config = Config::layers().toml(text).unwrap().build().unwrap();
        let incidents = config.detectors.get::<IncidentConfig>("incidents").unwrap().timezone.clone();
        // What a model file keeps reads the same.
        assert_eq!(Config::layers().toml(&config.to_toml()).unwrap().build().unwrap(), config, "{text}");
        [config.features.timezone, incidents]
    };
    assert_eq!(zones(""), ["UTC", "UTC"]);
    assert_eq!(zones("input.timezone = 'Europe/Berlin'"), ["Europe/Berlin", "Europe/Berlin"]);
    // Files that set one of them mean that one.
    assert_eq!(zones("incidents.timezone = 'Asia/Tokyo'"), ["UTC", "Asia/Tokyo"]);
    assert_eq!(zones("features.timezone = 'Asia/Tokyo'"), ["Asia/Tokyo", "UTC"]);
    #[cfg(feature = "seasonal")]
    {
        let config = Config::layers().toml("input.timezone = 'Europe/Berlin'").unwrap().build().unwrap();
        let seasonal = config.detectors.get::<funnelpulse_seasonal::SeasonalConfig>("seasonal").unwrap();
        assert_eq!(seasonal.timezone, "Europe/Berlin");
    }
    let both = "input.timezone = 'Europe/Berlin'\nincidents.timezone = 'UTC'";
    assert_eq!(zones(both), ["Europe/Berlin", "UTC"]);
    let unknown = Config::layers().toml("input.timezone = 'Mars'").unwrap().build().unwrap_err().to_string();
    assert!(unknown.contains("timezone = `Mars`"), "{unknown}");
}

#[cfg(all(feature = "incidents", feature = "seasonal"))]
#[test]
fn the_calendar_of_the_input_is_that_of_all_detectors_without_their_own() {
    use funnelpulse_baseline::ZScoreConfig;
    use funnelpulse_incidents::IncidentConfig;
    use funnelpulse_seasonal::SeasonalConfig;

    let names = |text: &str| {
        let config = Config::layers().toml(text).unwrap().build().unwrap();
        // What a model file keeps reads the same.
        assert_eq!(Config::layers().toml(&config.to_toml()).unwrap().build().unwrap(), config, "{text}");
        let calendars = [
            &config.detectors.get::<IncidentConfig>("incidents").unwrap().calendar,
            &config.detectors.get::<SeasonalConfig>("seasonal").unwrap().calendar,
            &config.detectors.get::<ZScoreConfig>("zscore").unwrap().calendar,
        ];
        calendars.map(|calendar| calendar.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>().join(" "))
    };
    let entry = |section: &str, name: &str, end: &str| {
        format!("[[{section}.calendar]]\nname = '{name}'\nkind = 'sale'\nstart = '2024-03-01'\nend = '{end}'\n")
    };
    let [input, own] = [entry("input", "spring", "2024-03-02"), entry("incidents", "own", "2024-03-02")];
    assert_eq!(names(""), ["", "", ""]);
    assert_eq!(names(&input), ["spring", "spring", "spring"]);
    assert_eq!(names(&format!("{input}{own}")), ["own", "spring", "spring"]);
    assert_eq!(names(&own), ["own", "", ""]);
    assert_eq!(names(&format!("{input}[zscore]\ncalendar = []")), ["spring", "spring", ""]);
    let refused = Config::layers().toml(&entry("input", "spring", "2024-02-01")).unwrap().build().unwrap_err();
    assert_eq!(refused.to_string(), "[input] calendar entry `spring`: it ends before it starts");
}
