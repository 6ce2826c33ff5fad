//! Alerts over HTTP.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use ureq::{
    http::{HeaderMap, StatusCode, Uri},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::{Alert, AlertsError, DeliveryError, Secret, Sink, trust};

/// What is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// The alert as JSON, with all its fields.
    #[default]
    Json,
    /// `{"text": ...}` as Slack, Mattermost and Rocket.Chat take it.
    Slack,
}

/// Settings of [`Webhook`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The name of the sink.
    #[serde(default = "default_name")]
    pub name: String,
    /// Where to post to, `https://` or `http://`; for most services the address is the password.
    pub url: Secret,
    /// What to post.
    #[serde(default)]
    pub format: WebhookFormat,
    /// Seconds after which an attempt is given up, 1 to 600.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// A file of PEM certificates to trust instead of the public authorities: for a receiver with an
    /// authority of its own.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn default_name() -> String {
    "webhook".to_owned()
}

fn default_timeout() -> u64 {
    10
}

impl WebhookConfig {
    /// Settings for this address, all else as by default.
    pub fn new(url: Secret) -> Self {
        Self {
            name: default_name(),
            url,
            format: WebhookFormat::default(),
            timeout_seconds: default_timeout(),
            ca_file: None,
        }
    }

    /// Where and how it posts, without the path of the address.
    pub(crate) fn destination(&self) -> Result<String, AlertsError> {
        let uri = self.uri()?;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let format = match self.format {
            WebhookFormat::Json => "JSON",
            WebhookFormat::Slack => "Slack's JSON",
        };
        Ok(format!("POST of {format} to {scheme}://{host}{port}/***"))
    }

    /// The address, if it is one.
    fn uri(&self) -> Result<Uri, AlertsError> {
        let wrong = || AlertsError::field("url", "***", "an address that starts with https:// or http://");
        let uri: Uri = self.url.reveal()?.trim().parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(uri)
    }
}

/// Posts each alert to an address.
///
/// | answer | meaning |
/// |---|---|
/// | 2xx | acknowledged |
/// | 400, 413, 414, 422 | refused for good: this message will never be taken |
/// | 3xx | not followed, since nobody configured the address it names; tried again |
/// | anything else, no answer, no connection | tried again: a person can put a wrong address or token right |
///
/// A `Retry-After`, in seconds or as a date, is kept. Each request has the header `Idempotency-Key`,
/// the same for each attempt to deliver an alert.
pub struct Webhook {
    name: String,
    uri: Uri,
    format: WebhookFormat,
    agent: ureq::Agent,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).field("format", &self.format).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook. Its address is read from the environment now, where it is there.
    pub fn new(config: &WebhookConfig) -> Result<Self, AlertsError> {
        let uri = config.uri()?;
        if !(1..=600).contains(&config.timeout_seconds) {
            return Err(AlertsError::field("timeout_seconds", config.timeout_seconds, "1 to 600"));
        }
        let roots = config.ca_file.as_deref().map_or(Ok(RootCerts::WebPki), authorities)?;
        let agent = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(Duration::from_secs(config.timeout_seconds)))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("funnelpulse/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { name: config.name.clone(), uri, format: config.format, agent })
    }
}

impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), DeliveryError> {
        let body = match self.format {
            WebhookFormat::Json => serde_json::to_string(alert).map_err(DeliveryError::permanent)?,
            WebhookFormat::Slack => slack(alert).to_string(),
        };
        let request = self
            .agent
            .post(&self.uri)
            .header("content-type", "application/json")
            .header("idempotency-key", alert.idempotency_key());
        let response = request.send(body).map_err(|e| DeliveryError::temporary(reason(&e)))?;
        let status = response.status();
        let reason = format!("the receiver answered with status {status}");
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::UNPROCESSABLE_ENTITY => Err(DeliveryError::Permanent { reason }),
            _ => Err(DeliveryError::Temporary { reason, retry_after: retry_after(response.headers()) }),
        }
    }
}

/// How long the receiver wants to be left alone: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The certificates of a file.
fn authorities(path: &Path) -> Result<RootCerts, AlertsError> {
    let pem = trust::read(path)?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| trust::refused(path))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(trust::refused(path)) } else { Ok(RootCerts::Specific(Arc::new(found))) }
}

/// The library's texts can hold the address, and with it the token.
fn reason(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Timeout(_) => "no answer in time",
        ureq::Error::HostNotFound => "host not found",
        // A certificate that is not trusted comes as data that is not valid.
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => "no secure connection",
        ureq::Error::ConnectionFailed | ureq::Error::Io(_) => "connection failed",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "no secure connection",
        _ => "the request failed",
    }
}

/// Slack reads `<!channel>`, `<@user>` and links in angle brackets; names from data must not.
fn slack(alert: &Alert) -> serde_json::Value {
    let escape = |text: String| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Longer messages are cut by Slack itself, in the middle of an escape.
    let body: String = alert.body().chars().take(3000).collect();
    json!({ "text": format!("*{}*\n{}", escape(alert.headline()), escape(body)) })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use funnelpulse_core::{Severity, Timestamp};

    use super::*;

    fn alert() -> Alert {
        Alert { title: "No sales".into(), ..Alert::new("runail", Severity::High, Timestamp::from_seconds(0)) }
    }

    fn webhook(url: &str, format: WebhookFormat) -> Webhook {
        Webhook::new(&WebhookConfig { format, ..WebhookConfig::new(Secret::new(url)) }).unwrap()
    }

    /// Answers one request per answer and returns what was asked.
    fn server(answers: Vec<&'static str>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook/token-4711", listener.local_addr().unwrap());
        let serve = move || {
            let serve_one = |answer: &str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while !request.ends_with(b"}") {
                    let n = stream.read(&mut part).unwrap();
                    request.extend(&part[..n]);
                }
                let rest = "content-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(format!("HTTP/1.1 {answer}\r\n{rest}").as_bytes()).unwrap();
                String::from_utf8(request).unwrap()
            };
            answers.into_iter().map(serve_one).collect()
        };
        (url, thread::spawn(serve))
    }

    #[test]
    fn statuses_say_whether_to_try_again() {
        let answers = vec!["200 OK", "503 Busy\r\nretry-after: 7", "400 Bad", "404 Gone", "302 Found\r\nlocation: /x"];
        let (url, asked) = server(answers);
        let mut sink = webhook(&url, WebhookFormat::Json);
        assert_eq!(sink.deliver(&alert()), Ok(()));
        let busy = sink.deliver(&alert()).unwrap_err();
        assert!(matches!(busy, DeliveryError::Temporary { retry_after: Some(s), .. } if s.as_secs() == 7), "{busy:?}");
        assert!(matches!(sink.deliver(&alert()), Err(DeliveryError::Permanent { .. })));
        for _ in 0..2 {
            assert!(matches!(sink.deliver(&alert()), Err(DeliveryError::Temporary { .. })));
        }
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("POST /hook/token-4711 HTTP/1.1\r\n"), "{}", asked[0]);
        let key = format!("idempotency-key: {}\r\n", alert().idempotency_key());
        assert!(asked.iter().all(|a| a.to_lowercase().contains(&key)), "{asked:?}");
        let body: Alert = serde_json::from_str(asked[0].split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body, alert());
    }

    #[test]
    fn receivers_say_when_to_come_back() {
        let headers = |value: &str| HeaderMap::from_iter([(ureq::http::header::RETRY_AFTER, value.parse().unwrap())]);
        assert_eq!(retry_after(&headers(" 7 ")), Some(Duration::from_secs(7)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let wait = retry_after(&headers(&soon)).unwrap().as_secs();
        assert!((85..=90).contains(&wait), "{wait}");
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("soon")), None);
    }

    #[test]
    fn slack_gets_text_that_it_does_not_act_on() {
        let mut forged = alert();
        forged.title = "<!channel> a & b".into();
        assert_eq!(
            slack(&forged)["text"],
            "*[HIGH] &lt;!channel&gt; a &amp; b*\nfiring 1970-01-01T00:00:00Z, incident runail"
        );
    }

    #[test]
    fn the_address_is_never_shown() {
        // Nobody listens at a port that was just given back.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sink = webhook(&format!("http://127.0.0.1:{port}/token-4711"), WebhookFormat::Slack);
        let error = sink.deliver(&alert()).unwrap_err();
        assert_eq!(error.to_string(), "connection failed");
        let config = WebhookConfig::new(Secret::new("ftp://token-4711"));
        let refused = Webhook::new(&config).unwrap_err();
        let shown = format!("{sink:?} {error:?} {config:?} {} {refused} {refused:?}", serde_json::json!(config));
        assert!(!shown.contains("4711"), "{shown}");
    }

    #[test]
    fn the_address_comes_from_the_environment() {
        // A variable that every test run has: setting one is unsafe while other threads run.
        let config: WebhookConfig =
            serde_json::from_str(r#"{"url": {"env": "CARGO_PKG_REPOSITORY_OF_NOBODY"}}"#).unwrap();
        let error = Webhook::new(&config).unwrap_err();
        assert_eq!(error.to_string(), "environment variable CARGO_PKG_REPOSITORY_OF_NOBODY is not set (or not text)");
        assert_eq!(Secret::from_env("CARGO_PKG_NAME").reveal().unwrap(), "funnelpulse-alerts");
        assert!(serde_json::from_str::<WebhookConfig>(r#"{"url": "http://x", "ulr": 1}"#).is_err());
        assert!(serde_json::from_str::<WebhookConfig>(r#"{"url": "***"}"#).is_err());
        assert!(
            Webhook::new(&WebhookConfig { timeout_seconds: 0, ..WebhookConfig::new(Secret::new("http://x")) }).is_err()
        );
    }

    #[test]
    fn the_destination_shows_the_host_and_not_the_path() {
        let of = |url: &str, format| WebhookConfig { format, ..WebhookConfig::new(Secret::new(url)) }.destination();
        let json = of("https://hooks.example:8443/token-4711", WebhookFormat::Json).unwrap();
        assert_eq!(json, "POST of JSON to https://hooks.example:8443/***");
        let slack = of("https://hooks.example/token-4711", WebhookFormat::Slack).unwrap();
        assert_eq!(slack, "POST of Slack's JSON to https://hooks.example/***");
    }
}
