//! A small HTTP server for `/metrics`, `/healthz` and `/readyz`.

use std::{net::SocketAddr, sync::Arc, thread::JoinHandle};

use tiny_http::{Header, Method, Request, Response, Server};

use super::{Status, metrics};
use crate::StreamError;

/// The media type of the text format that Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers `/metrics` (the numbers as `OpenMetrics` text), `/healthz` (200 while the loop goes on) and `/readyz` (200
/// while events are processed as they come; else 503 with the reason), until it is dropped. Of several sites every
/// number has the label `site`, and it is ready when all are.
///
/// ```
/// use std::{io::{Read, Write}, net::TcpStream};
/// use funnelpulse_streaming::{Status, StatusServer};
///
/// let status = Status::new("loading the model");
/// let server = StatusServer::start("127.0.0.1:0", vec![status.clone()])?;
/// let get = |path: &str| -> std::io::Result<String> {
///     let mut stream = TcpStream::connect(server.address())?;
///     write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer)?;
///     Ok(answer)
/// };
/// let answer = get("/readyz")?;
/// assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("loading the model"));
/// status.alive(None);
/// assert!(get("/readyz")?.starts_with("HTTP/1.1 200"));
/// assert!(get("/metrics")?.contains("funnelpulse_records_total{fate=\"counted\"} 0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StatusServer {
    server: Shared,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Shared(Arc<Server>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl StatusServer {
    /// Listens at `HOST:PORT`; port 0 is any that is free.
    pub fn start(address: &str, sites: Vec<Status>) -> Result<Self, StreamError> {
        let refused = |reason: String| StreamError::setting("status", format!("`{address}`"), reason);
        let server = Server::http(address).map_err(|e| refused(format!("HOST:PORT that is free ({e})")))?;
        let bound = server.server_addr().to_ip();
        let bound = bound.ok_or_else(|| refused("HOST:PORT".to_owned()))?;
        let server = Shared(Arc::new(server));
        let listening = server.clone();
        let listen = move || listening.0.incoming_requests().for_each(|request| answer(request, &sites));
        let thread = std::thread::Builder::new().name("status".to_owned()).spawn(listen);
        let thread = thread.map_err(|e| refused(format!("a thread more ({e})")))?;
        Ok(Self { server, address: bound, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        self.server.0.unblock();
        if let Some(thread) = self.thread.take() {
            // It only answers requests: nothing is lost with it.
            let _ = thread.join();
        }
    }
}

fn answer(request: Request, sites: &[Status]) {
    let path = request.url().split('?').next().unwrap_or_default();
    let state = |state: Result<(), String>| match state {
        Ok(()) => (200, "ok\n".to_owned(), PLAIN),
        Err(reason) => (503, format!("{reason}\n"), PLAIN),
    };
    let (code, text, media) = match (request.method(), path) {
        (Method::Get | Method::Head, "/metrics") => match metrics::text(sites) {
            Ok(text) => (200, text, OPEN_METRICS),
            Err(error) => (500, format!("{error}\n"), PLAIN),
        },
        (Method::Get | Method::Head, "/healthz") => state(all(sites, Status::healthy)),
        (Method::Get | Method::Head, "/readyz") => state(all(sites, Status::ready)),
        (Method::Get | Method::Head, _) => (404, "/metrics, /healthz or /readyz\n".to_owned(), PLAIN),
        _ => (405, "GET only\n".to_owned(), PLAIN),
    };
    let header = Header::from_bytes("Content-Type", media).expect("the media types are plain ASCII");
    // A client that went away needs no answer.
    let _ = request.respond(Response::from_string(text).with_status_code(code).with_header(header));
}

/// The reasons of all sites that are not as they should be, a line each.
fn all(sites: &[Status], of: impl Fn(&Status) -> Result<(), String>) -> Result<(), String> {
    let line = |status: &Status, reason: String| match status.site() {
        Some(site) => format!("site {site}: {reason}"),
        None => reason,
    };
    let reasons: Vec<String> = sites.iter().filter_map(|s| of(s).err().map(|reason| line(s, reason))).collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n")) }
}
