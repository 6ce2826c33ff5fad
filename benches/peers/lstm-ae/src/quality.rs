//! What is found, and in what time.

use std::{env, fs, time::Instant};

use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, FrameView, Timestamp};
use funnelpulse_baseline::{Season, ZScore, ZScoreConfig};
use funnelpulse_eval::{
    generator::{AnomalyKind, GeneratedFunnel, GeneratorConfig},
    metrics::{acf_period, auc_roc, event_recall_at_fpr},
};
use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig, ReconstructionScoring, Transform};
use ndarray::{Array2, Axis};

/// The configuration with fields of the JSON in the environment's `CONFIG` replaced.
pub fn changed(base: &LstmAutoencoderConfig) -> LstmAutoencoderConfig {
    let mut all = serde_json::to_value(base).expect("a configuration is JSON");
    let changes: serde_json::Value =
        serde_json::from_str(&env::var("CONFIG").unwrap_or("{}".into())).expect("CONFIG is JSON");
    for (name, value) in changes.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).expect("CONFIG names fields")
}

/// Forty brands over 150 days: one pooled model with the default configuration, against z-scores.
pub fn funnel() {
    let funnel = GeneratedFunnel::generate(&GeneratorConfig::default()).expect("valid");
    let columns = Columns::new(["views", "carts", "purchases"]).expect("names");
    let select = |(key, frame): (&funnelpulse_core::SeriesKey, &Frame)| {
        let chosen = frame.view().select(&columns).expect("there");
        let (time, columns, values) = chosen.into_parts();
        (key.as_str().to_owned(), Frame::new(time, columns, values).expect("valid"))
    };
    let series: Vec<(String, Frame)> = funnel.panel().iter().map(select).collect();
    let views: Vec<FrameView<'_>> = series.iter().map(|(_, frame)| frame.view()).collect();
    let config = changed(&LstmAutoencoderConfig::default());
    let before = crate::memory("VmRSS");
    let begun = Instant::now();
    let model = LstmAutoencoder::new(config).expect("valid").fit_pooled(&views).expect("trains");
    let peak = crate::memory("VmHWM");
    let trained = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let ours: Vec<Vec<f64>> = (0..views.len())
        .map(|n| model.of_series(n).expect("known").detect(views[n]).expect("scores").into_score().to_vec())
        .collect();
    let scored = begun.elapsed().as_secs_f64();
    let z = |season| -> Vec<Vec<f64>> {
        let detector = ZScore::new(ZScoreConfig { season, ..Default::default() });
        let one = |view: &FrameView<'_>| detector.fit(*view).expect("fits").detect(*view).expect("scores");
        views.iter().map(|view| one(view).into_score().to_vec()).collect()
    };
    println!(
        "{} series, {} rows: trained in {trained:.0} s ({} epochs), scored in {scored:.0} s; {before:.0} MB before training, {peak:.0} MB at most\n",
        views.len(),
        views.iter().map(|v| v.nrows()).sum::<usize>(),
        model.history().len()
    );
    let found = [("LSTM autoencoder", ours), ("z-score", z(Season::None)), ("seasonal z-score", z(Season::Auto))];
    println!("Event recall at 1 % false alarms (AUC-ROC of rows)\n");
    println!("| | {} |\n|---|{}", found.each_ref().map(|f| f.0).join(" | "), "---|".repeat(found.len()));
    for kind in AnomalyKind::ALL {
        print!("| {kind} |");
        for (_, scores) in &found {
            // Rows of this kind among normal ones, of series that have any.
            let (mut recall, mut auc, mut n) = (0.0, 0.0, 0.0);
            for ((name, _), scores) in series.iter().zip(scores) {
                let kinds = funnel.kinds(name).expect("known");
                let rows = kinds.iter().zip(scores).filter(|(k, s)| (k.is_none() || **k == Some(kind)) && !s.is_nan());
                let (labels, scores): (Vec<bool>, Vec<f64>) = rows.map(|(k, s)| (k.is_some(), *s)).unzip();
                if labels.contains(&true) {
                    recall += event_recall_at_fpr(&labels, &scores, 0.01).expect("both kinds of rows");
                    auc += auc_roc(&labels, &scores).expect("both kinds of rows");
                    n += 1.0;
                }
            }
            print!(" {:.2} ({:.2}) |", recall / n, auc / n);
        }
        println!();
    }
}

/// Scores of one series of TSB-AD, trained on its first rows, beside the file; prints seconds.
pub fn score(path: &str, train: usize) {
    let bytes = fs::read(path).expect("the series");
    let (values, _) = bytes.as_chunks::<8>();
    let values: Vec<f64> = values.iter().map(|v| f64::from_le_bytes(*v)).collect();
    let time = (0..values.len()).map(|s| Timestamp::from_seconds(s as i64)).collect();
    let values = Array2::from_shape_vec((values.len(), 1), values).expect("one column");
    let period = acf_period(values.index_axis(Axis(1), 0).to_vec().as_slice());
    let frame = Frame::new(time, Columns::new(["value"]).expect("a name"), values).expect("valid");
    let length = env::var("LENGTH").map_or(period, |l| l.parse().expect("a number")).clamp(16, 128);
    let length = length.min(train / 4);
    let config = changed(&LstmAutoencoderConfig {
        sequence_length: length,
        stride: 1.max(train / 1000),
        epochs: 10,
        scoring: ReconstructionScoring::WindowMean,
        transform: Transform::Linear,
        calendar: false,
        blind: false,
        corruption: 0.0,
        contamination: None,
        ..Default::default()
    });
    let begun = Instant::now();
    let model = LstmAutoencoder::new(config).expect("valid").fit(frame.view().rows(0..train)).expect("trains");
    let scores = model.detect(frame.view()).expect("scores").into_score();
    fs::write(format!("{path}.scores"), scores.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>()).expect("written");
    println!("{}", begun.elapsed().as_secs_f64());
}
