// A small detector for the examples of the documentation: the raw score is the absolute distance
// of the first column from its mean in the history.

mod distance {
    use std::sync::Arc;

    use funnelpulse_core::{
        Columns, Detection, Detector, Error, FittedDetector, FrameView, PersistentModel,
    };

    #[derive(Clone, Debug)]
    pub struct Distance;

    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    pub struct DistanceModel {
        pub columns: Columns,
        pub mean: f64,
    }

    impl Detector for Distance {
        type Fitted = DistanceModel;
        type Error = Error;

        fn kind(&self) -> &'static str {
            "distance"
        }

        fn fit(&self, history: FrameView<'_>) -> Result<DistanceModel, Error> {
            self.fit_pooled(&[history])
        }

        fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<DistanceModel, Error> {
            let values: Vec<f64> =
                histories.iter().flat_map(|history| history.values().column(0).to_vec()).collect();
            if values.is_empty() {
                return Err(Error::TooFewRows { detector: "distance", rows: 0, needed: 1 });
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            Ok(DistanceModel { columns: histories[0].columns().clone(), mean })
        }
    }

    impl FittedDetector for DistanceModel {
        fn kind(&self) -> &'static str {
            "distance"
        }

        fn columns(&self) -> &[Arc<str>] {
            &self.columns
        }

        fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
            let values = frame.aligned(&self.columns)?;
            Ok(Detection::new(values.column(0).mapv(|value| (value - self.mean).abs())))
        }

        fn clone_box(&self) -> Box<dyn FittedDetector> {
            Box::new(self.clone())
        }
    }

    impl PersistentModel for DistanceModel {
        const KIND: &'static str = "distance";
    }
}
