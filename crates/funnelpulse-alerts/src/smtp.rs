//! Alerts by mail.

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use lettre::{
    Message, SmtpTransport, Transport,
    address::Envelope,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use serde::{Deserialize, Serialize};

use crate::{Alert, AlertsError, DeliveryError, Secret, Sink, trust};

/// How the connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// TLS from the start, port 465.
    #[default]
    Tls,
    /// TLS after a greeting, port 587; refused where the server has none.
    StartTls,
    /// None, port 25: for a relay on this machine. A password is refused.
    None,
}

/// Settings of [`Smtp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// The name of the sink.
    #[serde(default = "default_name")]
    pub name: String,
    /// The server.
    pub host: String,
    /// Its port; by default the one that goes with `security`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is secured.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// The user, where the server wants one; then there must be a password.
    #[serde(default)]
    pub username: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The sender, `alerts@shop.example` or `Alerts <alerts@shop.example>`.
    pub from: String,
    /// The receivers, at least one.
    pub to: Vec<String>,
    /// Seconds after which an attempt is given up, 1 to 600.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// A file of PEM certificates to trust instead of the public authorities: for a server with an
    /// authority of its own.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn default_name() -> String {
    "smtp".to_owned()
}

fn default_timeout() -> u64 {
    10
}

impl SmtpConfig {
    /// Who gets mail, and by which server.
    pub(crate) fn destination(&self) -> String {
        let (security, usual) = match self.security {
            SmtpSecurity::Tls => ("TLS", 465),
            SmtpSecurity::StartTls => ("TLS after a greeting", 587),
            SmtpSecurity::None => ("no encryption", 25),
        };
        let (port, to) = (self.port.unwrap_or(usual), self.to.join(", "));
        format!("mail from {} to {to} by {}:{port} ({security})", self.from, self.host)
    }
}

/// Mails each alert to all receivers.
///
/// Answers 550 to 554 say that this mail will never be taken; anything else, a wrong password too,
/// is tried again: a person can put it right. Where the server refuses some of the receivers, the
/// others get the mail all the same. The `Message-ID` is the same for each attempt.
pub struct Smtp {
    name: String,
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// The alert that is being sent to one receiver after the other, and the receivers that are
    /// dealt with.
    partial: Option<Partial>,
}

/// How far an alert got that is sent to one receiver after the other.
struct Partial {
    id: String,
    taken: BTreeSet<usize>,
    refused: BTreeSet<usize>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("name", &self.name).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Smtp {
    /// A mailer. Its password is read from the environment now, where it is there.
    pub fn new(config: &SmtpConfig) -> Result<Self, AlertsError> {
        let mailbox =
            |name, text: &str| text.parse::<Mailbox>().map_err(|_| AlertsError::field(name, text, "a mail address"));
        let to = config.to.iter().map(|to| mailbox("to", to)).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(AlertsError::field("to", "[]", "at least one mail address"));
        }
        if !(1..=600).contains(&config.timeout_seconds) {
            return Err(AlertsError::field("timeout_seconds", config.timeout_seconds, "1 to 600"));
        }
        let mut builder = server(config)?;
        match (&config.username, &config.password) {
            (None, None) => {}
            (Some(_), Some(_)) if config.security == SmtpSecurity::None => {
                return Err(AlertsError::field("security", "none", "tls or start_tls where there is a password"));
            }
            (Some(user), Some(password)) => {
                builder = builder.credentials(Credentials::new(user.clone(), password.reveal()?));
            }
            _ => return Err(AlertsError::field("password", "***", "both username and password, or neither")),
        }
        if let Some(port) = config.port {
            builder = builder.port(port);
        }
        let transport = builder.timeout(Some(Duration::from_secs(config.timeout_seconds))).build();
        Ok(Self { name: config.name.clone(), transport, from: mailbox("from", &config.from)?, to, partial: None })
    }

    fn message(&self, alert: &Alert) -> Result<Message, DeliveryError> {
        let id = format!("<{}@{}>", alert.idempotency_key(), self.from.email.domain());
        let builder = Message::builder().from(self.from.clone()).subject(alert.headline()).message_id(Some(id));
        let builder = self.to.iter().cloned().fold(builder, lettre::message::MessageBuilder::to);
        builder.header(ContentType::TEXT_PLAIN).body(alert.body()).map_err(DeliveryError::permanent)
    }

    /// Sends a mail to one receiver after the other, so that one that is refused costs only itself.
    /// What was taken is not sent again by the next attempt.
    fn one_by_one(&mut self, id: &str, mail: &[u8]) -> Result<(), DeliveryError> {
        let mut partial = self.partial.take().filter(|p| p.id == id).unwrap_or_else(|| Partial {
            id: id.to_owned(),
            taken: BTreeSet::new(),
            refused: BTreeSet::new(),
        });
        let mut temporary = None;
        for (index, to) in self.to.iter().enumerate() {
            if partial.taken.contains(&index) || partial.refused.contains(&index) {
                continue;
            }
            let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.email.clone()]);
            let envelope = envelope.map_err(DeliveryError::permanent)?;
            match self.transport.send_raw(&envelope, mail).map_err(|e| outcome(&e)) {
                Ok(_) => partial.taken.insert(index),
                Err(DeliveryError::Permanent { .. }) => partial.refused.insert(index),
                Err(error) => {
                    temporary = Some(error);
                    break;
                }
            };
        }
        if let Some(error) = temporary {
            self.partial = Some(partial);
            return Err(error);
        }
        let (refused, all) = (partial.refused.len(), self.to.len());
        match refused {
            0 => Ok(()),
            _ => Err(DeliveryError::permanent(format!("the mail server refused {refused} of {all} receivers"))),
        }
    }
}

/// The connection to the server of a configuration.
fn server(config: &SmtpConfig) -> Result<smtp::SmtpTransportBuilder, AlertsError> {
    let host = config.host.trim();
    // An address with a password in it is a mistake that must not be repeated.
    let shown = if host.contains(['@', '/']) { "***" } else { host };
    let bad_host = || AlertsError::field("host", shown, "the name of a mail server");
    if host.is_empty() || shown != host {
        return Err(bad_host());
    }
    let builder = match config.security {
        SmtpSecurity::Tls => SmtpTransport::relay(host).map_err(|_| bad_host())?,
        SmtpSecurity::StartTls => SmtpTransport::starttls_relay(host).map_err(|_| bad_host())?,
        SmtpSecurity::None => SmtpTransport::builder_dangerous(host),
    };
    let Some(path) = &config.ca_file else { return Ok(builder) };
    let certificate = Certificate::from_pem(&trust::read(path)?).map_err(|_| trust::refused(path))?;
    let parameters = TlsParameters::builder(host.to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(certificate)
        .build()
        .map_err(|_| trust::refused(path))?;
    Ok(match config.security {
        SmtpSecurity::Tls => builder.tls(Tls::Wrapper(parameters)),
        SmtpSecurity::StartTls => builder.tls(Tls::Required(parameters)),
        SmtpSecurity::None => builder,
    })
}

impl Sink for Smtp {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), DeliveryError> {
        let message = self.message(alert)?;
        if self.partial.as_ref().is_none_or(|p| p.id != alert.id) {
            match self.transport.send(&message).map_err(|e| outcome(&e)) {
                Ok(_) => return Ok(()),
                Err(DeliveryError::Permanent { .. }) if self.to.len() > 1 => {}
                Err(error) => return Err(error),
            }
        }
        self.one_by_one(&alert.id, &message.formatted())
    }
}

/// Whether to try again. The library's texts can hold what the server said, and with it the
/// password it was sent.
fn outcome(error: &smtp::Error) -> DeliveryError {
    match error.status() {
        Some(code) => {
            let reason = format!("the mail server answered with code {code}");
            match u16::from(code) {
                550..=554 => DeliveryError::Permanent { reason },
                _ => DeliveryError::temporary(reason),
            }
        }
        None if error.is_timeout() => DeliveryError::temporary("no answer in time"),
        None if error.is_tls() => DeliveryError::temporary("no secure connection"),
        None => DeliveryError::temporary("connection failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use funnelpulse_core::{Severity, Timestamp};

    use super::*;

    fn config(port: u16) -> SmtpConfig {
        let json = serde_json::json!({
            "host": "127.0.0.1", "port": port, "security": "none",
            "from": "Alerts <alerts@shop.example>", "to": ["a@shop.example", "b@shop.example"],
        });
        serde_json::from_value(json).unwrap()
    }

    fn forged() -> Alert {
        let alert = Alert::new("runail", Severity::High, Timestamp::from_seconds(0));
        Alert { title: "x\r\nBcc: everybody@evil.example\r\n\r\nhello".into(), ..alert }
    }

    /// Takes one mail and answers its end with `answer`; returns what was said.
    fn server(answer: &'static str) -> (u16, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"220 test\r\n").unwrap();
            let (mut said, mut in_data) = (String::new(), false);
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let Ok(line) = line else { break };
                let reply = match line.as_str() {
                    "." => Some(answer),
                    _ if in_data => None,
                    "DATA" => Some("354 go on"),
                    "QUIT" => Some("221 bye"),
                    _ => Some("250 ok"),
                };
                in_data = line == "DATA" || (in_data && line != ".");
                let over = line == "." || line == "QUIT";
                said = said + &line + "\n";
                let answered = reply.is_none_or(|r| stream.write_all(format!("{r}\r\n").as_bytes()).is_ok());
                if over || !answered {
                    break;
                }
            }
            said
        };
        (port, thread::spawn(serve))
    }

    #[test]
    fn mails_reach_the_server_without_forged_headers() {
        let (port, said) = server("250 taken");
        Smtp::new(&config(port)).unwrap().deliver(&forged()).unwrap();
        let said = said.join().unwrap();
        assert!(said.contains("RCPT TO:<a@shop.example>") && said.contains("RCPT TO:<b@shop.example>"), "{said}");
        assert!(said.contains("Subject: [HIGH] x  Bcc: everybody@evil.example"), "{said}");
        assert!(!said.lines().any(|line| line.starts_with("Bcc")), "{said}");
        assert!(!said.contains("RCPT TO:<everybody"), "{said}");
    }

    #[test]
    fn codes_say_whether_to_try_again() {
        for (answer, permanent) in [("554 no", true), ("451 later", false), ("535 who are you", false)] {
            let (port, said) = server(answer);
            let one = SmtpConfig { to: vec!["a@shop.example".into()], ..config(port) };
            let error = Smtp::new(&one).unwrap().deliver(&forged()).unwrap_err();
            assert_eq!(matches!(error, DeliveryError::Permanent { .. }), permanent, "{answer}: {error:?}");
            said.join().unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = Smtp::new(&config(port)).unwrap().deliver(&forged()).unwrap_err();
        assert_eq!(error, DeliveryError::temporary("connection failed"));
    }

    #[test]
    fn settings_are_checked_and_passwords_hidden() {
        let refused = |change: fn(&mut SmtpConfig)| {
            let mut config = config(25);
            change(&mut config);
            Smtp::new(&config).unwrap_err().to_string()
        };
        assert_eq!(refused(|c| c.to.clear()), "to = [] is out of range (at least one mail address)");
        assert_eq!(refused(|c| c.from = "nobody".into()), "from = nobody is out of range (a mail address)");
        assert!(refused(|c| c.from = "a@b.example\r\nBcc: c@d.example".into()).starts_with("from"));
        assert!(refused(|c| c.username = Some("ann".into())).starts_with("password = ***"));
        let login = |c: &mut SmtpConfig| {
            c.username = Some("ann".into());
            c.password = Some(Secret::new("hunter2"));
        };
        assert!(refused(login).starts_with("security = none"));
        let mut config = config(25);
        login(&mut config);
        config.security = SmtpSecurity::StartTls;
        let sink = Smtp::new(&config).unwrap();
        assert!(!format!("{config:?} {sink:?} {}", serde_json::json!(config)).contains("hunter2"));
    }

    #[test]
    fn hosts_are_names_and_never_repeated_where_they_hold_a_secret() {
        let refused = |host: &str| Smtp::new(&SmtpConfig { host: host.into(), ..config(25) }).unwrap_err().to_string();
        for (host, shown) in [("", ""), (" ", ""), ("ann:hunter2@mail.example", "***"), ("mail.example/x", "***")] {
            assert_eq!(refused(host), format!("host = {shown} is out of range (the name of a mail server)"));
        }
    }

    #[test]
    fn the_destination_names_receivers_server_and_encryption() {
        let of = |security, port| SmtpConfig { port, security, ..config(25) }.destination();
        let start = "mail from Alerts <alerts@shop.example> to a@shop.example, b@shop.example by 127.0.0.1";
        assert_eq!(of(SmtpSecurity::Tls, None), format!("{start}:465 (TLS)"));
        assert_eq!(of(SmtpSecurity::StartTls, None), format!("{start}:587 (TLS after a greeting)"));
        assert_eq!(of(SmtpSecurity::None, Some(2525)), format!("{start}:2525 (no encryption)"));
    }
}
