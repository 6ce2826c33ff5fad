//! Outputs of Prophet 1.5 that ours are held against.

use std::{collections::BTreeMap, io::Read, path::Path};

use funnelpulse_core::{Timestamp, parse_timestamp};
use funnelpulse_seasonal::{Covariates, FourierOrder, Mode, Seasonal, SeasonalConfig, SeasonalModel};

/// The series, and the log posterior that a longer search than Stan's reaches.
pub(crate) const SERIES: [(&str, f64); 5] = [
    ("synth720", 1918.983),
    ("synth3600", 9860.249),
    ("synth8760", 25403.957),
    ("nyc_taxi", 18917.614),
    ("peyton", 8005.159),
];

/// One series with what Prophet made of it.
pub(crate) struct Reference {
    pub(crate) time: Vec<Timestamp>,
    pub(crate) y: Vec<f64>,
    pub(crate) lp: f64,
    pub(crate) history: BTreeMap<String, Vec<f64>>,
    pub(crate) future_time: Vec<Timestamp>,
    pub(crate) future: BTreeMap<String, Vec<f64>>,
}

impl Reference {
    /// Reads a series from the folder of the references; `None` when it is not there.
    pub(crate) fn load(name: &str) -> Option<Self> {
        let file = |suffix: &str| funnelpulse_testing::shared_file(&format!("reference/seasonal/{name}_{suffix}"));
        let (time, mut input) = columns(&file("input.csv.gz")?);
        let (_, history) = columns(&file("prophet_hist.csv.gz")?);
        let (future_time, future) = columns(&file("prophet_future.csv.gz")?);
        let text = std::fs::read_to_string(file("prophet_params.json")?).unwrap();
        let parameters: serde_json::Value = serde_json::from_str(&text).unwrap();
        Some(Self {
            time,
            y: input.remove("y").unwrap(),
            lp: parameters["lp__"][0].as_f64().unwrap(),
            history,
            future_time,
            future,
        })
    }

    /// The settings of the reference.
    pub(crate) fn config(name: &str) -> SeasonalConfig {
        if name == "peyton" {
            return SeasonalConfig::default();
        }
        SeasonalConfig {
            seasonality_mode: Mode::Multiplicative,
            interval_width: 0.95,
            weekly_seasonality: FourierOrder::On,
            daily_seasonality: FourierOrder::On,
            yearly_seasonality: FourierOrder::Off,
            ..Default::default()
        }
    }

    /// Our fit of the series.
    pub(crate) fn fit(&self, name: &str) -> SeasonalModel {
        let seasonal = Seasonal::new(Self::config(name)).unwrap();
        seasonal.fit_series(&self.time, &self.y, &Covariates::new()).unwrap()
    }

    /// Largest difference of a column, in percent of the range of `y`.
    pub(crate) fn deviation(&self, ours: &[f64], theirs: &[f64]) -> f64 {
        let largest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let range = |f: fn(f64, f64) -> f64, start| self.y.iter().copied().fold(start, f);
        100.0 * largest / (range(f64::max, f64::NEG_INFINITY) - range(f64::min, f64::INFINITY))
    }
}

fn columns(path: &Path) -> (Vec<Timestamp>, BTreeMap<String, Vec<f64>>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut time = Vec::new();
    let mut columns = vec![Vec::new(); names.len()];
    for line in lines {
        let mut cells = line.split(',');
        time.push(parse_timestamp(cells.next().unwrap()).unwrap());
        for (column, cell) in columns[1..].iter_mut().zip(cells) {
            column.push(cell.parse::<f64>().unwrap());
        }
    }
    (time, names.into_iter().map(str::to_owned).zip(columns).skip(1).collect())
}
