use ndarray::Array2;

use super::*;
use crate::{
    Detection, FittedDetector, FittedPanelDetector, FrameView, LiveDetector, ModelSource, Panel, PersistentModel,
    Registry, SeriesKey, Timestamp,
};

const KIND: &str = "distance";

/// The distance of a row from the mean of its series.
#[derive(Clone, Debug)]
struct Distance;

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct DistanceModel {
    columns: Columns,
    mean: f64,
}

impl Detector for Distance {
    type Fitted = DistanceModel;
    type Error = Error;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: FrameView<'_>) -> Result<DistanceModel, Error> {
        self.fit_pooled(&[history])
    }

    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<DistanceModel, Error> {
        let values: Vec<f64> = histories.iter().flat_map(|h| h.values().column(0).to_vec()).collect();
        if values.iter().any(|v| *v > 1e6) {
            return Err(Error::Unsupported { detector: KIND, what: "values above a million" });
        }
        let columns = histories.first().map(|h| h.columns().clone());
        let Some(columns) = columns else { return Err(Error::TooFewRows { detector: KIND, rows: 0, needed: 1 }) };
        Ok(DistanceModel { columns, mean: values.iter().sum::<f64>() / values.len() as f64 })
    }
}

impl FittedDetector for DistanceModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let values = frame.aligned(&self.columns)?;
        Ok(Detection::new(values.column(0).mapv(|v| (v - self.mean).abs())))
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for DistanceModel {
    const KIND: &'static str = KIND;
}

fn frame(rows: usize, level: f64) -> crate::Frame {
    let time = (0..rows).map(|h| Timestamp::from_seconds(3600 * h as i64)).collect();
    let values = Array2::from_shape_fn((rows, 2), |(row, column)| level + ((row * 7 + column) % 11) as f64);
    crate::Frame::new(time, Columns::new(["a", "b"]).unwrap(), values).unwrap()
}

fn panel() -> Panel {
    let mut panel = Panel::new(Columns::new(["a", "b"]).unwrap());
    panel.insert("long", frame(100, 10.0)).unwrap();
    panel.insert("other", frame(100, 50.0)).unwrap();
    panel.insert("short", frame(20, 10.0)).unwrap();
    panel.insert("huge", frame(100, 1e9)).unwrap();
    panel
}

fn training() -> Training {
    Training { min_rows: 50, ..Training::default() }
}

fn key(name: &str) -> SeriesKey {
    SeriesKey::new(name)
}

#[test]
fn one_bad_series_never_stops_the_others() {
    let models = PerSeries::new(Distance).with_training(training()).fit(&(&panel()).into()).unwrap();
    assert_eq!(models.source(&key("long")), Some(ModelSource::Own));
    assert_eq!(models.source(&key("short")), None);
    let absent: Vec<_> = models.absences().iter().map(|a| (a.series.clone(), a.is_expected)).collect();
    assert_eq!(absent, [(Some(key("huge")), true), (Some(key("short")), true)]);
    assert!(models.absences()[0].reason.contains("above a million"));
}

#[test]
fn short_series_are_scored_by_the_others_if_that_is_allowed() {
    let panel: Panel = {
        let mut part = Panel::new(panel().columns().clone());
        panel().into_iter().filter(|(key, _)| key.as_str() != "huge").for_each(|(k, f)| part.insert(k, f).unwrap());
        part
    };
    let adaptor = PerSeries::new(Distance).with_training(training()).with_stand_in(true);
    let models = adaptor.fit(&(&panel).into()).unwrap();
    assert_eq!(models.source(&key("short")), Some(ModelSource::Pooled));
    let found = models.detect(&(&panel).into()).unwrap();
    // Its level is 10, the mean of both long series lies around 35.
    assert!((found[&key("short")].detection.score()[0] - 25.0).abs() < 0.5);
}

#[test]
fn a_pooled_model_that_fails_leaves_one_per_series() {
    let models = Pooled::new(Distance).with_training(training()).fit(&(&panel()).into()).unwrap();
    assert_eq!(models.source(&key("long")), Some(ModelSource::Own));
    assert!(models.absences().iter().any(|a| a.series.is_none() && a.reason.starts_with("pooled model of `distance`")));
}

#[test]
fn models_survive_saving() {
    let adaptor = PerSeries::new(Distance).with_training(training()).with_columns(Columns::new(["b"]).unwrap());
    let models = adaptor.fit(&(&panel()).into()).unwrap();
    let bytes = models.to_bytes().unwrap();
    let loaded = Registry::new().with::<DistanceModel>().load_panel(&bytes).unwrap();
    assert_eq!(loaded.columns().joined(), "b");
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    let panel = panel();
    let scores = |m: &dyn FittedPanelDetector| m.detect(&(&panel).into()).unwrap()[&key("long")].scores.clone();
    assert_eq!(scores(loaded.as_ref()), scores(&models));
    assert!(Registry::new().load_panel(&bytes).is_err(), "an unregistered kind is never decoded");
}

#[test]
fn windows_as_they_close_score_as_the_whole_panel() {
    let models = PerSeries::new(Distance).with_training(training()).fit(&(&panel()).into()).unwrap();
    let panel = panel();
    let whole = models.detect(&(&panel).into()).unwrap();
    let mut live = models.live();
    for row in 0..100 {
        let mut window = Panel::new(panel.columns().clone());
        for (key, frame) in panel.iter().filter(|(_, frame)| row < frame.nrows()) {
            window.insert(key.clone(), frame.view().rows(row..row + 1).to_frame()).unwrap();
        }
        for (key, found) in live.advance(&(&window).into()).unwrap() {
            assert_eq!(found.scores[0], whole[&key].scores[row], "{key} {row}");
        }
    }
    // The same for one series.
    let model = Distance.fit(frame(50, 1.0).view()).unwrap();
    let mut live: Box<dyn LiveDetector> = model.live();
    let next = live.advance(frame(3, 1.0).view()).unwrap();
    assert_eq!(next.score(), model.detect(frame(3, 1.0).view()).unwrap().score());
}
