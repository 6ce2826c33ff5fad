// A small shop for the examples of the documentation: two brands, a daily season and a little
// noise. `runail` sells nothing in hour 100.

mod shop {
    use funnelpulse_core::{Frame, Panel, Timestamp};
    use funnelpulse_features::PanelSpec;
    use funnelpulse_pipeline::{Config, Pipeline, PipelineError};
    use ndarray::Array2;

    pub fn shop(hours: usize) -> Panel {
        let columns = PanelSpec::funnel().columns();
        let mut panel = Panel::new(columns.clone());
        for (name, level) in [("irisk", 50.0), ("runail", 100.0)] {
            let time = (0..hours as i64).map(|hour| Timestamp::from_seconds(3600 * hour)).collect();
            let values = Array2::from_shape_fn((hours, 4), |(hour, column)| {
                let season = 1.5 + (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
                let noise = 1.0 + 0.04 * ((hour * 7919 + column * 31) % 101) as f64 / 101.0;
                let is_outage = name == "runail" && hour == 100 && column >= 2;
                let usual = (level * season * noise * [4.0, 1.2, 0.6, 3.0][column]).round();
                if is_outage { 0.0 } else { usual }
            });
            let frame = Frame::new(time, columns.clone(), values).expect("times rise and values are finite");
            panel.insert(name, frame).expect("the names differ");
        }
        panel
    }

    /// One fast detector, a fixed threshold.
    pub fn pipeline() -> Result<Pipeline, PipelineError> {
        let text = "
            pipeline = { detectors = ['zscore'], min_rows = 48 }
            alerts = { budget = 'off' }
        ";
        Pipeline::builder().config(Config::layers().toml(text)?.build()?).build()
    }
}
