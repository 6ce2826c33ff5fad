use ndarray::{Array1, Array2};

use super::{calibrated::CalibratedModel, *};
use crate::{
    AnyDetector, Calibrator, Detection, FittedDetector, FittedPanelDetector, FrameView, LiveDetector, ModelSource,
    Panel, PersistentModel, Registry, SeriesKey, Timestamp,
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

#[test]
fn without_short_series_no_stand_in_is_trained() {
    // One of both series fails, and so would a model of both.
    let mut part = Panel::new(panel().columns().clone());
    panel().into_iter().filter(|(key, _)| ["long", "huge"].contains(&key.as_str())).for_each(|(k, f)| {
        part.insert(k, f).unwrap();
    });
    let models = PerSeries::new(Distance).with_training(training()).with_stand_in(true).fit(&(&part).into()).unwrap();
    assert_eq!(models.absences().iter().map(|a| a.series.clone()).collect::<Vec<_>>(), [Some(key("huge"))]);
    assert_eq!(models.kind(), "distance");
}

#[test]
fn detectors_of_both_kinds_have_the_name_of_theirs() {
    assert_eq!(AnyDetector::series(Distance).kind(), "distance");
    assert_eq!(AnyDetector::panel(Pooled::new(Distance)).kind(), "distance");
}

#[test]
fn rows_are_calibrated_by_models_of_the_other_blocks() {
    // Ten rows of 0, then 1 to 10. The mean of the others is 5.5 for each of the former, 0 for the latter.
    let values = Array2::from_shape_fn((20, 1), |(row, _)| row.saturating_sub(9) as f64);
    let history = crate::Frame::from_rows(Columns::new(["a"]).unwrap(), values).unwrap();
    let training = Training { folds: 2, contamination: 0.0, ..Training::default() };
    let model = CalibratedModel::fit(&Distance, &[history.view()], &training).unwrap();
    let held_out: Array1<f64> = [5.5; 10].into_iter().chain((1..=10).map(f64::from)).collect();
    assert_eq!(model.calibrator, Calibrator::fit(held_out.view()).unwrap());
}

/// A model that explains rows only on request: with their position in the frame.
#[derive(Clone, Debug, serde::Serialize)]
struct Reticent(DistanceModel);

impl FittedDetector for Reticent {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.0.columns
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        self.0.detect(frame)
    }

    fn contributions(&self, _: FrameView<'_>, rows: &[usize]) -> Result<Option<Array2<f64>>, Error> {
        Ok(Some(Array2::from_shape_fn((rows.len(), 1), |(i, _)| rows[i] as f64)))
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

#[test]
fn high_scores_are_explained_and_no_others() {
    let columns = Columns::new(["a"]).unwrap();
    let values = Array2::from_shape_fn((40, 1), |(row, _)| if [2, 10, 30].contains(&row) { 1_000.0 } else { 0.0 });
    let frame = crate::Frame::from_rows(columns.clone(), values).unwrap();
    let model = Arc::new(Reticent(DistanceModel { columns, mean: 0.0 }));
    let calibrator = Calibrator::fit(Array1::linspace(0.0, 1.0, 100).view()).unwrap();
    let (detection, scores) = CalibratedModel { model, calibrator }.detect(frame.view(), 5).unwrap();
    // The first five rows were context.
    let expected = Array2::from_shape_fn((35, 1), |(row, _)| match row {
        5 => 10.0,
        25 => 30.0,
        _ => 0.0,
    });
    assert_eq!(detection.contributions().unwrap(), expected);
    assert!(scores.iter().enumerate().all(|(row, score)| (*score > 0.3) == [5, 25].contains(&row)));
}
