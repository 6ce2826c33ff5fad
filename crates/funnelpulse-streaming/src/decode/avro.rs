//! Events as Avro records in the wire format of Confluent: a zero, the number of the schema in the registry, the record.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use apache_avro::{Schema, types::Value};
use funnelpulse_core::Timestamp;
use funnelpulse_features::{Event, EventSpec};
use funnelpulse_io::TimeReader;
use serde::Deserialize;

use super::{Broken, Cells};
use crate::StreamError;

/// Bytes before the record: the zero and the number.
const HEADER: usize = 5;
/// How long a registry may take to answer one request, and in all before the stream ends.
const ONE_TRY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// The wait between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// Most bytes that one value of a record may claim.
const MOST_BYTES: usize = 16 << 20;

/// Reads records. Names of the fields are those of the [`EventSpec`]; other fields are skipped.
pub(crate) struct AvroDecoder {
    cells: Cells,
    names: Vec<String>,
    registry: Registry,
    /// By number; the reason where a schema can't be used.
    schemas: BTreeMap<u32, Result<Schema, String>>,
}

impl std::fmt::Debug for AvroDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AvroDecoder").field("registry", &self.registry.url).finish_non_exhaustive()
    }
}

impl AvroDecoder {
    pub(crate) fn new(spec: &EventSpec, times: TimeReader, registry: &str) -> Result<Self, StreamError> {
        apache_avro::util::max_allocation_bytes(MOST_BYTES);
        let names = spec.columns().map(str::to_owned).collect();
        let registry = Registry::new(registry)?;
        Ok(Self { cells: Cells::new(spec, times), names, registry, schemas: BTreeMap::new() })
    }

    /// Hands the event of a record to `take`; the reason where it has none. An error if the registry does not answer.
    pub(crate) fn decode<R>(
        &mut self,
        record: &[u8],
        take: impl FnOnce(&Event<'_>) -> R,
    ) -> Result<Result<R, Broken>, StreamError> {
        let Some((&[0, a, b, c, d], mut body)) = record.split_first_chunk::<HEADER>() else {
            return Ok(Err(Broken::new("not Avro with the number of a schema before it")));
        };
        let number = u32::from_be_bytes([a, b, c, d]);
        if !self.schemas.contains_key(&number) {
            let schema = self.registry.schema(number)?;
            self.schemas.insert(number, schema);
        }
        let schema = match &self.schemas[&number] {
            Ok(schema) => schema,
            Err(reason) => return Ok(Err(Broken::new(reason.clone()))),
        };
        let value = match apache_avro::from_avro_datum(schema, &mut body, None) {
            Ok(Value::Record(fields)) if body.is_empty() => fields,
            Ok(Value::Record(_)) => return Ok(Err(Broken::new("bytes after the Avro record"))),
            Ok(_) => return Ok(Err(Broken::new("the schema is not that of a record"))),
            Err(error) => return Ok(Err(Broken::new(format!("not an Avro record of schema {number}: {error}")))),
        };
        let text = |name: &String| value.iter().find(|(field, _)| field == name).and_then(|(_, value)| text(value));
        let fields: Vec<Option<Cow<'_, str>>> = self.names.iter().map(text).collect();
        Ok(self.cells.event(&fields, take))
    }
}

/// A value as text; `None` for null and for what is no single value.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    let time = |micros: i64| Some(Cow::Owned(Timestamp::from_micros(micros).to_string()));
    match value {
        Value::Union(_, value) => text(value),
        Value::String(text) | Value::Enum(_, text) => Some(Cow::Borrowed(text)),
        Value::Int(number) => Some(number.to_string().into()),
        Value::Long(number) => Some(number.to_string().into()),
        Value::Float(number) => Some(number.to_string().into()),
        Value::Double(number) => Some(number.to_string().into()),
        Value::Boolean(flag) => Some(flag.to_string().into()),
        Value::Uuid(id) => Some(id.to_string().into()),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Value::TimestampMillis(millis) => time(millis.saturating_mul(1_000)),
        Value::TimestampMicros(micros) => time(*micros),
        Value::TimestampNanos(nanos) => time(nanos.div_euclid(1_000)),
        _ => None,
    }
}

/// A schema registry.
struct Registry {
    url: String,
    agent: ureq::Agent,
}

/// The answer to a request for a schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<serde_json::Value>,
}

impl Registry {
    fn new(url: &str) -> Result<Self, StreamError> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(StreamError::setting("avro_registry", url, "http://HOST:PORT or https://HOST"));
        }
        let agent = ureq::Agent::config_builder().timeout_global(Some(ONE_TRY)).http_status_as_error(false).build();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), agent: agent.into() })
    }

    /// The schema of this number; the reason why it can't be used, and an error if the registry does not answer.
    fn schema(&self, number: u32) -> Result<Result<Schema, String>, StreamError> {
        let started = Instant::now();
        loop {
            let problem = match self.ask(number) {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            };
            if started.elapsed() >= PATIENCE {
                let url = self.url.clone();
                return Err(StreamError::Registry { url, reason: problem });
            }
            tracing::warn!(url = self.url, problem, "the schema registry is asked again");
            thread::sleep(PAUSE);
        }
    }

    fn ask(&self, number: u32) -> Result<Result<Schema, String>, String> {
        let url = format!("{}/schemas/ids/{number}", self.url);
        let media = "application/vnd.schemaregistry.v1+json, application/json";
        let mut answer = self.agent.get(&url).header("Accept", media).call().map_err(|e| e.to_string())?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(Err(format!("schema {number} is not in the registry"))),
            status => return Err(format!("status {status} for schema {number}")),
        }
        let text = answer.body_mut().read_to_string().map_err(|e| e.to_string())?;
        let answer: Answer =
            serde_json::from_str(&text).map_err(|e| format!("no schema {number} in its answer: {e}"))?;
        if answer.schema_type.as_deref().is_some_and(|kind| kind != "AVRO") || !answer.references.is_empty() {
            return Ok(Err(format!("schema {number} is not Avro, or refers to other schemas")));
        }
        Ok(Schema::parse_str(&answer.schema).map_err(|e| format!("schema {number}: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    use apache_avro::{to_avro_datum, types::Record};
    use funnelpulse_io::ReadOptions;

    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "event", "fields": [
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "event_type", "type": {"type": "enum", "name": "kind", "symbols": ["view", "cart", "purchase"]}},
        {"name": "brand", "type": ["null", "string"]},
        {"name": "price", "type": ["null", "double"]},
        {"name": "user_id", "type": "long"},
        {"name": "agent", "type": "string"}]}"#;

    /// A registry with schema 7 as above, schema 8 of another kind, and nothing else; its address.
    fn registry() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let line = lines.next().unwrap_or_default();
                lines.find(String::is_empty);
                let (status, body) = match line.split(' ').nth(1) {
                    Some("/schemas/ids/7") => ("200 OK", serde_json::json!({ "schema": SCHEMA })),
                    Some("/schemas/ids/8") => ("200 OK", serde_json::json!({ "schema": "", "schemaType": "JSON" })),
                    _ => ("404 Not Found", serde_json::json!({ "error_code": 40403 })),
                };
                let body = body.to_string();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        format!("http://{address}/")
    }

    fn decoder(url: &str) -> Result<AvroDecoder, StreamError> {
        AvroDecoder::new(&EventSpec::default(), TimeReader::new(&ReadOptions::default()).unwrap(), url)
    }

    fn message(number: u32, body: &[u8]) -> Vec<u8> {
        [&[0], &number.to_be_bytes()[..], body].concat()
    }

    fn purchase() -> Vec<u8> {
        let schema = Schema::parse_str(SCHEMA).unwrap();
        let mut record = Record::new(&schema).unwrap();
        record.put("event_time", Value::TimestampMillis(1_569_888_001_500));
        record.put("event_type", Value::Enum(2, "purchase".into()));
        record.put("brand", Value::Union(1, Box::new(Value::String("Runail".into()))));
        record.put("price", Value::Union(1, Box::new(Value::Double(2.38))));
        record.put("user_id", 7_i64);
        record.put("agent", "browser");
        to_avro_datum(&schema, record).unwrap()
    }

    #[test]
    fn a_record_is_the_event_that_its_json_would_be() {
        let mut decoder = decoder(&registry()).unwrap();
        let read = decoder.decode(&message(7, &purchase()), |event| {
            assert_eq!(event.time, Timestamp::from_micros(1_569_888_001_500_000));
            assert_eq!((event.event_type, event.keys), ("purchase", &[Some("Runail")][..]));
            assert_eq!((event.user, event.session, event.price), (Some("7"), None, Some(2.38)));
        });
        assert_eq!(read.unwrap(), Ok(()));
    }

    #[test]
    fn what_is_no_event_says_why() {
        let mut known = decoder(&registry()).unwrap();
        let good = purchase();
        let cases = [
            (b"{}".to_vec(), "not Avro with the number"),
            (message(7, &good[..4]), "not an Avro record of schema 7"),
            (message(7, &[&good[..], &[0]].concat()), "bytes after"),
            (message(8, &good), "schema 8 is not Avro"),
            (message(9, &good), "schema 9 is not in the registry"),
        ];
        for (record, reason) in cases {
            let Broken(found) = known.decode(&record, |_| ()).unwrap().unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
        assert!(decoder("registry:8081").unwrap_err().to_string().contains("http://HOST:PORT"));
    }
}
