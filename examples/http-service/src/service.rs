//! Routes, state, metrics.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicI64},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::{get, post},
};
use funnelpulse::{
    Advance, FittedPipeline, IncidentChange, LivePipeline,
    core::{Frame, Panel, Timestamp, parse_timestamp},
};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of a request: an hour of some 20,000 series.
const BODY: usize = 4 << 20;

/// What all requests share.
struct Service {
    model: PathBuf,
    /// One hour after the other: `advance` needs the state to itself.
    live: Mutex<LivePipeline>,
    metrics: Metrics,
    registry: Registry,
}

#[derive(Default)]
struct Metrics {
    rows: Counter,
    incidents: Counter,
    refused: Counter,
    latest: Gauge<i64, AtomicI64>,
}

/// A row of the table of hours: its time, its series, and a value per metric of the model.
#[derive(Debug, Deserialize)]
pub(crate) struct Hour {
    window_start: String,
    brand: String,
    #[serde(flatten)]
    values: BTreeMap<String, f64>,
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// The service with the model of a file or folder.
///
/// # Errors
/// A model that can't be loaded.
pub(crate) fn router(model: PathBuf) -> anyhow::Result<Router> {
    let live = FittedPipeline::load(&model)?.live();
    let (metrics, mut registry) = (Metrics::default(), Registry::with_prefix("funnelpulse"));
    registry.register("rows", "Rows that were scored", metrics.rows.clone());
    registry.register("incidents", "Incidents that opened", metrics.incidents.clone());
    registry.register("refused", "Requests with rows that can't be used", metrics.refused.clone());
    registry.register("latest_seconds", "Time of the newest row", metrics.latest.clone());
    let service = Arc::new(Service { model, live: Mutex::new(live), metrics, registry });
    Ok(Router::new()
        .route("/hours", post(hours))
        .route("/reload", post(reload))
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(async || "ok"))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(service))
}

/// Takes all rows of one hour, and answers with what is new.
async fn hours(State(service): State<Arc<Service>>, Json(rows): Json<Vec<Hour>>) -> Answer {
    // Scoring takes milliseconds to seconds of processor time: not on a thread that answers requests. A caller that
    // goes away does not stop it: the hour is in the state either way, and the same hour again is refused.
    blocking(move || service.hour(&rows)).await
}

/// Loads the model of the same path again, after a nightly training, and keeps the state.
async fn reload(State(service): State<Arc<Service>>) -> Answer {
    blocking(move || {
        // Read and decoded before the lock is taken: hours go on meanwhile.
        let model = FittedPipeline::load(&service.model)?;
        let series = model.series().len();
        service.live.lock().unwrap_or_else(PoisonError::into_inner).swap(model)?;
        Ok(json!({"series": series}))
    })
    .await
}

async fn metrics_text(State(service): State<Arc<Service>>) -> Result<String, StatusCode> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &service.registry)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(text)
}

/// Runs work on a thread for blocking work. What is wrong with a request is its sender's business (422), a panic ours.
async fn blocking(work: impl FnOnce() -> anyhow::Result<Value> + Send + 'static) -> Answer {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(error)) => Err((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": error.to_string()})))),
        Err(_) => Err((StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": "the request failed"})))),
    }
}

impl Service {
    fn hour(&self, rows: &[Hour]) -> anyhow::Result<Value> {
        let advance = self.advance(rows).inspect_err(|_| {
            self.metrics.refused.inc();
        })?;
        self.metrics.rows.inc_by(rows.len() as u64);
        self.metrics.latest.set(advance.now.as_micros().div_euclid(Timestamp::SECOND));
        let opened = advance.incidents.iter().filter(|i| i.change == IncidentChange::Opened).count();
        self.metrics.incidents.inc_by(opened as u64);
        Ok(answer(&advance))
    }

    fn advance(&self, rows: &[Hour]) -> anyhow::Result<Advance> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = live.model().config().input.columns();
        let mut window = Panel::new(columns.clone());
        for row in rows {
            let values: Vec<[f64; 1]> =
                columns.iter().map(|c| [row.values.get(&**c).copied().unwrap_or(f64::NAN)]).collect();
            let series: Vec<(&str, &[f64])> = columns.iter().zip(&values).map(|(c, v)| (&**c, v.as_slice())).collect();
            window.insert(row.brand.as_str(), Frame::from_series(&[parse_timestamp(&row.window_start)?], &series)?)?;
        }
        Ok(live.advance(&window)?)
    }
}

/// The rows whose verdict is new, as far as they are anomalous, and the incidents that changed.
fn answer(advance: &Advance) -> Value {
    let series = advance.findings.series();
    let anomalies = advance.rows.iter().filter(|r| series[r.series].verdicts[r.row].is_anomaly).map(|r| {
        let (found, verdict) = (&series[r.series], &series[r.series].verdicts[r.row]);
        json!({
            "series": found.series.as_str(), "time": found.time[r.row].to_string(), "score": verdict.score,
            "revision": r.revision, "is_final": r.is_final,
        })
    });
    let incidents = advance
        .incidents
        .iter()
        .map(|i| json!({"id": i.id, "change": i.change.as_str(), "summary": i.incident.summary}));
    json!({
        "now": advance.now.to_string(),
        "anomalies": anomalies.collect::<Vec<_>>(),
        "incidents": incidents.collect::<Vec<_>>(),
        "waiting": advance.waiting.iter().map(|(series, reason)| json!({"series": series.as_str(), "reason": reason})).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use funnelpulse::{
        Pipeline,
        eval::generator::{GeneratedFunnel, GeneratorConfig},
    };

    use super::*;

    /// The answer to a request: status and text.
    fn ask(address: SocketAddr, path: &str, body: Option<&Value>) -> (u16, String) {
        let url = format!("http://{address}{path}");
        let answer = match body {
            Some(body) => {
                let request = ureq::post(&url).config().http_status_as_error(false).build();
                request.header("content-type", "application/json").send(body.to_string())
            }
            None => ureq::get(&url).call(),
        };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    fn start(model: PathBuf) -> SocketAddr {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(model).unwrap();
        std::thread::spawn(move || runtime.block_on(async { axum::serve(listener, app).await }));
        address
    }

    #[test]
    fn hours_are_scored_once_and_counted() {
        let shop = GeneratedFunnel::generate(&GeneratorConfig { brands: 3, days: 30, ..Default::default() }).unwrap();
        let columns = shop.panel().columns().clone();
        let mut history = Panel::new(columns.clone());
        let mut next: BTreeMap<Timestamp, Vec<Value>> = BTreeMap::new();
        let ends = shop.panel().iter().filter_map(|(_, frame)| frame.time().last().copied());
        let cut = ends.max().unwrap().floor_to(Timestamp::DAY);
        for (brand, frame) in shop.panel() {
            let rows = frame.time().partition_point(|t| *t < cut);
            history.insert(brand.clone(), frame.view().rows(0..rows).to_frame()).unwrap();
            for row in rows..frame.nrows() {
                let mut hour = json!({"window_start": frame.time()[row].to_string(), "brand": brand.as_str()});
                for (name, value) in columns.iter().zip(frame.values().row(row)) {
                    // Nobody looks at anything at noon.
                    let gone = (frame.time()[row].as_micros() / Timestamp::HOUR) % 24 == 12;
                    hour[&**name] = json!(if gone { 0.0 } else { *value });
                }
                next.entry(frame.time()[row]).or_default().push(hour);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        Pipeline::builder().build().unwrap().fit(&history).unwrap().save(folder.path()).unwrap();
        let address = start(folder.path().to_path_buf());
        assert_eq!(ask(address, "/healthz", None), (200, "ok".to_owned()));

        let (mut rows, mut found) = (0, 0);
        for hour in next.values() {
            let (status, text) = ask(address, "/hours", Some(&json!(hour)));
            assert_eq!(status, 200, "{text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            rows += hour.len();
            found += answer["anomalies"].as_array().unwrap().len();
        }
        assert!(found > 0, "an hour without a view is no anomaly");
        let (status, text) = ask(address, "/hours", Some(&json!(next.values().next().unwrap())));
        assert_eq!(status, 422, "the same hour again: {text}");
        assert_eq!(ask(address, "/reload", Some(&json!(null))).0, 200);
        let metrics = ask(address, "/metrics", None).1;
        assert!(metrics.contains(&format!("funnelpulse_rows_total {rows}")), "{metrics}");
        assert!(metrics.contains("funnelpulse_refused_total 1"), "{metrics}");
    }
}
