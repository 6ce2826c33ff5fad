//! The models of all series by one detector.

use std::collections::BTreeMap;

#[cfg(feature = "rayon")]
use rayon::prelude::*;

#[cfg(feature = "model-files")]
use super::saved;
use super::{Adaptor, calibrated::CalibratedModel};
#[cfg(feature = "model-files")]
use crate::Registry;
use crate::{
    Absence, Columns, Context, Error, FittedPanelDetector, Frame, FrameError, FrameView, ModelError, ModelSource,
    PanelView, SeriesDetection, SeriesKey, SeriesView, Survey, isolated,
};

/// The models that are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// One of all series, for every series.
    pub(super) pooled: bool,
    /// One of all series for those that are too short for their own.
    pub(super) stand_in: bool,
}

/// The model of one series.
#[derive(Clone, Debug)]
pub(super) enum Model {
    /// Trained on the series.
    Own(CalibratedModel),
    /// The model of all series as it applies to the one at this position among those that it was
    /// trained on.
    Share(
        #[cfg_attr(not(feature = "model-files"), expect(dead_code, reason = "only files name the position"))] usize,
        CalibratedModel,
    ),
    /// The model of all series.
    Pooled,
}

/// The trained form of [`PerSeries`](crate::PerSeries) and [`Pooled`](crate::Pooled): the models of
/// all series with their calibrators.
#[derive(Clone, Debug)]
pub struct SeriesModels {
    pub(super) kind: String,
    pub(super) columns: Columns,
    pub(super) pooled: Option<CalibratedModel>,
    pub(super) series: BTreeMap<SeriesKey, Model>,
    pub(super) absences: Vec<Absence>,
}

impl SeriesModels {
    pub(super) fn fit(adaptor: &Adaptor, plan: Plan, history: &PanelView<'_>) -> Result<Self, Error> {
        let first = history.series().first().ok_or_else(|| Error::TooFewRows {
            detector: adaptor.detector.kind(),
            rows: 0,
            needed: adaptor.training.min_rows,
        })?;
        let columns = adaptor.columns.clone().unwrap_or_else(|| first.frame.columns().clone());
        let mut models = Self {
            kind: adaptor.detector.kind().to_owned(),
            columns,
            pooled: None,
            series: BTreeMap::new(),
            absences: Vec::new(),
        };
        models.pooled = models.fit_pooled(adaptor, plan, history)?;
        let positions = positions(adaptor, history);
        let one = |(series, position): (&SeriesView<'_>, _)| {
            let model = models.fit_series(adaptor, plan, series, position);
            history.report(series.key);
            (series.key.clone(), model)
        };
        #[cfg(feature = "rayon")]
        let fitted: Vec<_> = history.series().par_iter().zip(positions).map(one).collect();
        #[cfg(not(feature = "rayon"))]
        let fitted: Vec<_> = history.series().iter().zip(positions).map(one).collect();
        for (key, model) in fitted {
            match model {
                Ok(model) => {
                    models.series.insert(key, model);
                }
                Err(absence) => models.absences.push(absence),
            }
        }
        Ok(models)
    }

    /// The model of all series, where it is wanted and can be trained.
    fn fit_pooled(
        &mut self,
        adaptor: &Adaptor,
        plan: Plan,
        history: &PanelView<'_>,
    ) -> Result<Option<CalibratedModel>, Error> {
        let long: Vec<&SeriesView<'_>> = history.series().iter().filter(|s| is_long(adaptor, s)).collect();
        let any_short = long.len() < history.series().len();
        if long.is_empty() || !(plan.pooled || plan.stand_in && any_short) {
            return Ok(None);
        }
        let frames = long.iter().map(|s| Selected::new(s.frame, &self.columns)).collect::<Result<Vec<_>, _>>()?;
        let views: Vec<FrameView<'_>> = frames.iter().map(Selected::view).collect();
        match isolated(&self.kind, || CalibratedModel::fit(adaptor.detector.as_ref(), &views, &adaptor.training)) {
            Ok(model) => Ok(Some(model)),
            Err(error) => {
                let reason = format!("pooled model of `{}`: {error}", self.kind);
                self.absences.push(Absence { series: None, reason, is_expected: false });
                Ok(None)
            }
        }
    }

    fn fit_series(
        &self,
        adaptor: &Adaptor,
        plan: Plan,
        series: &SeriesView<'_>,
        position: Option<usize>,
    ) -> Result<Model, Absence> {
        let long = position.is_some();
        if let Some(pooled) = self.pooled.as_ref().filter(|_| plan.pooled || !long) {
            // A model of all series that knows the scale of each of them.
            let share = position.and_then(|position| Some(Model::Share(position, pooled.of_frame(position)?)));
            return Ok(share.unwrap_or(Model::Pooled));
        }
        if !long {
            let (rows, needed) = (series.rows_with_data, adaptor.training.min_rows);
            return Err(Absence::of(
                Some(series.key),
                &Error::TooFewRows { detector: adaptor.detector.kind(), rows, needed },
            ));
        }
        let own = isolated(&self.kind, || {
            let frame = Selected::new(series.frame, &self.columns)?;
            CalibratedModel::fit(adaptor.detector.as_ref(), &[frame.view()], &adaptor.training)
        });
        own.map(Model::Own).map_err(|error| Absence::of(Some(series.key), &error))
    }

    /// The models from bytes; never trusts them. `registry` decodes the models of single series.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::{
    ///     Columns, FittedPanelDetector, Frame, Panel, PanelDetector, Pooled, Registry,
    ///     SeriesModels, Training,
    /// };
    /// # use ndarray::Array2;
    ///
    /// # let mut panel = Panel::new(Columns::new(["rate"])?);
    /// # let values = Array2::from_shape_fn((60, 1), |(row, _)| (row % 10) as f64);
    /// # panel.insert("shop-a", Frame::from_rows(panel.columns().clone(), values)?)?;
    /// # let training = Training { min_rows: 50, ..Training::default() };
    /// let models = Pooled::new(Distance).with_training(training).fit(&(&panel).into())?;
    /// let registry = Registry::new().with::<DistanceModel>();
    /// let loaded = SeriesModels::from_bytes(&models.to_bytes()?, &registry)?;
    /// assert_eq!(loaded.kind(), "distance");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "model-files")]
    pub fn from_bytes(bytes: &[u8], registry: &Registry) -> Result<Self, ModelError> {
        saved::from_bytes(bytes, registry)
    }

    fn model_of(&self, series: &SeriesKey) -> Option<(ModelSource, &CalibratedModel)> {
        match self.series.get(series)? {
            Model::Own(model) => Some((ModelSource::Own, model)),
            Model::Share(_, model) => Some((ModelSource::Pooled, model)),
            Model::Pooled => self.pooled.as_ref().map(|model| (ModelSource::Pooled, model)),
        }
    }

    fn calibrated_models(&self) -> impl Iterator<Item = &CalibratedModel> {
        let own = self.series.values().filter_map(|model| match model {
            Model::Own(model) | Model::Share(_, model) => Some(model),
            Model::Pooled => None,
        });
        self.pooled.iter().chain(own)
    }
}

fn is_long(adaptor: &Adaptor, series: &SeriesView<'_>) -> bool {
    series.rows_with_data >= adaptor.training.min_rows
}

/// The position of each series among those that a pooled model is trained on.
fn positions(adaptor: &Adaptor, history: &PanelView<'_>) -> Vec<Option<usize>> {
    let mut next = 0;
    let position = |series: &SeriesView<'_>| {
        let long = is_long(adaptor, series);
        let position = long.then_some(next);
        next += usize::from(long);
        position
    };
    history.series().iter().map(position).collect()
}

/// A frame with just the wanted columns: borrowed where it has no others.
enum Selected<'a> {
    Whole(FrameView<'a>),
    Part(Frame),
}

impl<'a> Selected<'a> {
    fn new(frame: FrameView<'a>, columns: &Columns) -> Result<Self, FrameError> {
        Ok(if frame.columns() == columns { Self::Whole(frame) } else { Self::Part(frame.select(columns)?) })
    }

    fn view(&self) -> FrameView<'_> {
        match self {
            Self::Whole(frame) => frame.reborrow(),
            Self::Part(frame) => frame.view(),
        }
    }
}

impl FittedPanelDetector for SeriesModels {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }

    fn context(&self) -> Context {
        self.calibrated_models().fold(Context::NONE, |all, m| all.union(m.model.context()))
    }

    fn horizon(&self) -> Context {
        self.calibrated_models().fold(Context::NONE, |all, m| all.union(m.model.horizon()))
    }

    fn source(&self, series: &SeriesKey) -> Option<ModelSource> {
        self.model_of(series).map(|(source, _)| source)
    }

    fn survey<'a>(&'a self, _: &PanelView<'_>) -> Result<Box<dyn Survey + 'a>, Error> {
        Ok(Box::new(Independent(self)))
    }

    fn absences(&self) -> &[Absence] {
        &self.absences
    }

    fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        #[cfg(feature = "model-files")]
        return saved::to_bytes(self);
        #[cfg(not(feature = "model-files"))]
        Err(ModelError::NotBuilt)
    }

    fn clone_box(&self) -> Box<dyn FittedPanelDetector> {
        Box::new(self.clone())
    }
}

/// Series share nothing but, perhaps, a model.
#[derive(Debug)]
struct Independent<'a>(&'a SeriesModels);

impl Survey for Independent<'_> {
    fn detect(&self, series: &SeriesView<'_>) -> Result<Option<SeriesDetection>, Error> {
        let Some((source, model)) = self.0.model_of(series.key) else { return Ok(None) };
        let (detection, scores) = model.detect(series.frame, series.skip)?;
        Ok(Some(SeriesDetection { source, detection, scores, posterior: None }))
    }
}
