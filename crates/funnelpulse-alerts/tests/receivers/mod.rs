//! Receivers on the loopback interface that answer as a script says.

#![allow(dead_code, missing_debug_implementations, unreachable_pub, reason = "each test uses some of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};

/// How a receiver answers a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// With this status line and these headers.
    Status(&'static str),
    /// With 200 after a while.
    Slow(Duration),
    /// Never.
    Silence,
}

/// What a receiver saw: the idempotency key and the body of each request it read, and whether it
/// acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub key: String,
    pub body: String,
    pub acknowledged: bool,
}

/// A web server of one address.
pub struct Http {
    pub port: u16,
    pub tls: bool,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Http {
    /// Answers as `script` says, then always as its last line does.
    pub fn start(script: &[Answer]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script, None)
    }

    /// The same over TLS, with a certificate for `localhost` whose authority is written to `ca_file`.
    pub fn start_tls(script: &[Answer], ca_file: &Path) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script, Some(certificate(ca_file)))
    }

    /// The same at a port that is known.
    pub fn at(port: u16, script: &[Answer]) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), script, None)
    }

    fn on(listener: TcpListener, script: &[Answer], tls: Option<Arc<ServerConfig>>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log, secure) = (script.to_vec(), seen.clone(), tls.is_some());
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let answer = script[index.min(script.len() - 1)];
                let (log, tls) = (log.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream.unwrap(), answer, &log),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream.unwrap()), answer, &log);
                    }
                });
            }
        });
        Self { port, tls: secure, seen }
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}/hook", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The keys of what was acknowledged, in order.
    pub fn acknowledged(&self) -> Vec<String> {
        self.seen().into_iter().filter(|s| s.acknowledged).map(|s| s.key).collect()
    }
}

fn serve(mut stream: impl Read + Write, answer: Answer, log: &Mutex<Vec<Seen>>) {
    let Some((head, body)) = request(&mut stream) else { return };
    let key = head.lines().find_map(|l| l.strip_prefix("idempotency-key: ").map(str::to_owned)).unwrap_or_default();
    let status = match answer {
        Answer::Status(status) => status,
        Answer::Slow(wait) => {
            thread::sleep(wait);
            "200 OK"
        }
        Answer::Silence => {
            log.lock().unwrap().push(Seen { key, body, acknowledged: false });
            thread::sleep(Duration::from_secs(60));
            return;
        }
    };
    log.lock().unwrap().push(Seen { key, body, acknowledged: status.starts_with('2') });
    let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.flush();
}

/// The head in lower case, and the body.
fn request(stream: &mut impl Read) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length: usize = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok())?;
            if bytes.len() >= end + 4 + length {
                return Some((head, String::from_utf8_lossy(&bytes[end + 4..]).into_owned()));
            }
        }
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        bytes.extend(&part[..n]);
    }
}

/// A certificate for `localhost`, its own authority, written to `ca_file`.
pub fn certificate(ca_file: &Path) -> Arc<ServerConfig> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(ca_file, cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key.into()).unwrap())
}

/// A port at which nobody listens.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// How a mail server secures its connections.
#[derive(Clone)]
pub enum MailTls {
    None,
    FromTheStart(Arc<ServerConfig>),
    AfterGreeting(Arc<ServerConfig>),
}

/// A mail that a server took: its receivers and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub to: Vec<String>,
    pub text: String,
}

/// A mail server. Its answers to the end of a mail come from the script, the last one for ever;
/// receivers whose name begins with `nobody` are refused.
pub struct Smtp {
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl Smtp {
    pub fn start(script: &[&'static str], tls: MailTls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let (log, script, answered) = (mails.clone(), script.to_vec(), Arc::new(Mutex::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, log, script, answered) = (tls.clone(), log.clone(), script.clone(), answered.clone());
                let next = move || {
                    let mut index = answered.lock().unwrap();
                    let answer = script[(*index).min(script.len() - 1)];
                    *index += 1;
                    answer
                };
                thread::spawn(move || connect(stream.unwrap(), tls, &next, &log));
            }
        });
        Self { port, mails }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }
}

fn connect(mut stream: TcpStream, tls: MailTls, next: &dyn Fn() -> &'static str, log: &Mutex<Vec<Mail>>) {
    let secure = |stream, config| StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    match tls {
        MailTls::None => talk(stream, true, false, next, log),
        MailTls::FromTheStart(config) => talk(secure(stream, config), true, false, next, log),
        MailTls::AfterGreeting(config) => {
            talk(&mut stream, true, true, next, log);
            talk(secure(stream, config), false, false, next, log);
        }
    }
}

/// One conversation; with `upgrade` it ends where TLS is to begin.
fn talk<S: Read + Write>(
    stream: S,
    greet: bool,
    upgrade: bool,
    next: &dyn Fn() -> &'static str,
    log: &Mutex<Vec<Mail>>,
) {
    let mut stream = BufReader::with_capacity(1, stream);
    let say = |stream: &mut BufReader<S>, text: &str| {
        write!(stream.get_mut(), "{text}\r\n").and_then(|()| stream.get_mut().flush()).is_ok()
    };
    if greet && !say(&mut stream, "220 test") {
        return;
    }
    let (mut line, mut mail, mut in_data) = (String::new(), Mail { to: vec![], text: String::new() }, false);
    loop {
        line.clear();
        if !matches!(stream.read_line(&mut line), Ok(n) if n > 0) {
            return;
        }
        let text = line.trim_end();
        let answer = match text {
            "." if in_data => {
                in_data = false;
                let answer = next();
                if answer.starts_with('2') {
                    log.lock().unwrap().push(mail.clone());
                }
                answer
            }
            _ if in_data => {
                mail.text += &line;
                continue;
            }
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "STARTTLS" => {
                say(&mut stream, "220 go on");
                return;
            }
            _ if text.starts_with("EHLO") && upgrade => "250-test\r\n250 STARTTLS",
            _ if text.starts_with("EHLO") => "250-test\r\n250 AUTH PLAIN",
            _ if text.starts_with("MAIL FROM") => {
                mail = Mail { to: vec![], text: String::new() };
                "250 ok"
            }
            _ if text.starts_with("RCPT TO:<nobody") => "550 unknown",
            _ if text.starts_with("RCPT TO") => {
                mail.to.push(text.trim_start_matches("RCPT TO:<").split('>').next().unwrap().to_owned());
                "250 ok"
            }
            _ if text.starts_with("AUTH") => "235 welcome",
            _ => "250 ok",
        };
        if !say(&mut stream, answer) || text == "QUIT" {
            return;
        }
    }
}
