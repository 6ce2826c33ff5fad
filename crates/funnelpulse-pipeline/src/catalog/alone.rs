//! One detector by itself, on any table.

use std::collections::BTreeMap;

use funnelpulse_core::{
    AnyDetector, Detection, DynDetector, DynPanelDetector, Error, Frame, FrameView, Panel, PanelView, SeriesKey,
    SeriesView,
};
use funnelpulse_features::MetricSpec;
use ndarray::Array1;
use rayon::prelude::*;

use super::{Built, Entry};
use crate::{Config, PipelineError};

/// A series for one detector: its rows, and how many of them, from the first, are learnt from.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::shop;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_pipeline::TrainedOn;
///
/// // Learn from the first four of five days.
/// let mut series = TrainedOn::whole(&shop(120));
/// series.values_mut().for_each(|series| series.rows = 96);
/// assert_eq!(series["runail"].frame.nrows(), 120);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TrainedOn {
    /// All rows, which are scored.
    pub frame: Frame,
    /// Rows to learn from, at most all.
    pub rows: usize,
}

/// Raw scores per series, one per row; NaN where the detector has none.
pub type RawScores = BTreeMap<SeriesKey, Result<Array1<f64>, Error>>;

impl Entry {
    /// Fits the detector to the first rows of each series and scores all rows, without calibration
    /// and without an ensemble. Columns have no meaning but their names: no count, no rate.
    ///
    /// A detector that looks at a whole site sees all series together, every other each by itself.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::shop;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_pipeline::{Catalog, Config, TrainedOn};
    ///
    /// let catalog = Catalog::default();
    /// let zscore = catalog.get("zscore").unwrap();
    /// let series = TrainedOn::whole(&shop(120));
    /// let scores = zscore.raw_scores(&Config::default(), &series, &|_| ())?;
    /// let runail = scores["runail"].as_ref().unwrap();
    /// assert!(runail.iter().all(|score| *score <= runail[100]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn raw_scores(
        &self,
        config: &Config,
        series: &BTreeMap<SeriesKey, TrainedOn>,
        report: &(dyn Fn(&SeriesKey) + Sync),
    ) -> Result<RawScores, PipelineError> {
        let mut config = config.clone();
        let columns = series.values().next().map(|s| s.frame.columns().clone());
        config.input.metrics = columns.iter().flat_map(|c| c.iter()).map(|c| MetricSpec::amount(&**c)).collect();
        match self.build(&config)? {
            Built::NotApplicable(reason) => {
                Err(PipelineError::NotApplicable { detector: self.name().to_owned(), reason })
            }
            Built::Detector(AnyDetector::Series(detector)) => Ok(per_series(detector.as_ref(), series, report)),
            Built::Detector(AnyDetector::Panel(detector)) => {
                let scores = of_site(detector.as_ref(), series).map_err(PipelineError::series)?;
                series.keys().for_each(report);
                Ok(scores)
            }
        }
    }
}

fn per_series(
    detector: &dyn DynDetector,
    series: &BTreeMap<SeriesKey, TrainedOn>,
    report: &(dyn Fn(&SeriesKey) + Sync),
) -> RawScores {
    let score = |(key, TrainedOn { frame, rows }): (&SeriesKey, &TrainedOn)| {
        let scores = detector
            .fit_dyn(head(frame, *rows))
            .and_then(|model| model.detect(frame.view()))
            .map(Detection::into_score);
        report(key);
        (key.clone(), scores)
    };
    series.par_iter().map(score).collect()
}

fn of_site(detector: &dyn DynPanelDetector, series: &BTreeMap<SeriesKey, TrainedOn>) -> Result<RawScores, Error> {
    let heads = series.iter().map(|(key, s)| SeriesView::new(key, head(&s.frame, s.rows))).collect();
    let model = detector.fit_dyn(&PanelView::new(heads))?;
    let whole = PanelView::new(series.iter().map(|(key, s)| SeriesView::new(key, s.frame.view())).collect());
    let survey = model.survey(&whole)?;
    let scores = |view: &SeriesView<'_>| {
        let found = survey.detect(view).map(|found| match found {
            Some(found) => found.detection.into_score(),
            None => Array1::from_elem(view.frame.nrows(), f64::NAN),
        });
        (view.key.clone(), found)
    };
    Ok(whole.series().iter().map(scores).collect())
}

fn head(frame: &Frame, rows: usize) -> FrameView<'_> {
    frame.view().rows(0..rows.min(frame.nrows()))
}

impl TrainedOn {
    /// Learns from all rows of every series.
    pub fn whole(panel: &Panel) -> BTreeMap<SeriesKey, Self> {
        let whole =
            |(key, frame): (&SeriesKey, &Frame)| (key.clone(), Self { frame: frame.clone(), rows: frame.nrows() });
        panel.iter().map(whole).collect()
    }
}
