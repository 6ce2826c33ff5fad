//! The message.

use std::collections::BTreeMap;

use funnelpulse_core::{Severity, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of the keys of alerts: a UUID of our own choice. Another one would change all keys.
const NAMESPACE: Uuid = Uuid::from_u128(0x3b7a_3d0c_41a5_5f0e_9d55_6c1f_6f0a_7b21);

/// Where an incident stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is new.
    #[default]
    Firing,
    /// It has become worse than it was in the last message.
    Escalated,
    /// It is over.
    Resolved,
}

impl Status {
    /// The name as it stands in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
        }
    }
}

/// A message about an incident.
///
/// ```
/// use funnelpulse_alerts::Alert;
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let mut alert = Alert::new("runail/checkout", Severity::High, Timestamp::from_seconds(0));
/// alert.title = "No purchases in runail".into();
/// alert.fields.insert("revenue lost".into(), "955".into());
/// let json = serde_json::to_value(&alert)?;
/// assert_eq!(json["incident"], "runail/checkout");
/// assert_eq!(json["severity"], "high");
/// assert_eq!(json["time"], "1970-01-01T00:00:00Z");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Names this message. Delivery is at least once: a receiver that must not see a message twice
    /// goes by it, or by the [key](Self::idempotency_key) made of it. A
    /// [`Notifier`](crate::Notifier) makes one per message of an incident.
    pub id: String,
    /// Names the incident; all messages about it have the same.
    pub incident: String,
    /// Where it stands.
    pub status: Status,
    /// How bad it is.
    pub severity: Severity,
    /// When this was found out; RFC 3339 in JSON.
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// One line.
    pub title: String,
    /// A paragraph.
    pub text: String,
    /// More facts, by name.
    pub fields: BTreeMap<String, String>,
}

impl Alert {
    /// A new incident, its id that of the incident, without a text yet.
    pub fn new(incident: impl Into<String>, severity: Severity, time: Timestamp) -> Self {
        let incident = incident.into();
        Self {
            id: incident.clone(),
            incident,
            status: Status::Firing,
            severity,
            time,
            title: String::new(),
            text: String::new(),
            fields: BTreeMap::new(),
        }
    }

    /// The id as a name-based UUID (version 5 of RFC 9562): the same whenever this message is sent,
    /// and of letters, digits and dashes whatever the id is made of. Webhooks get it as the header
    /// `Idempotency-Key`, mails as `Message-ID`.
    ///
    /// ```
    /// use funnelpulse_alerts::Alert;
    /// use funnelpulse_core::{Severity, Timestamp};
    ///
    /// let alert = Alert::new("runail", Severity::High, Timestamp::from_seconds(0));
    /// assert_eq!(alert.idempotency_key(), "189392a2-f07d-5e7c-ba98-e1c95f6ebc1c");
    /// ```
    pub fn idempotency_key(&self) -> String {
        Uuid::new_v5(&NAMESPACE, self.id.as_bytes()).to_string()
    }

    /// `[HIGH] title`, on one line: control characters, with which a forged name could add headers
    /// to a mail or lines to a log, are spaces.
    pub fn headline(&self) -> String {
        let label = match self.status {
            Status::Resolved => "RESOLVED".to_owned(),
            Status::Firing | Status::Escalated => self.severity.as_str().to_uppercase(),
        };
        let title = if self.title.is_empty() { &self.incident } else { &self.title };
        format!("[{label}] {}", one_line(title))
    }

    /// The text and the fields, a line each.
    pub fn body(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if !self.text.is_empty() {
            lines.push(self.text.clone());
        }
        lines.extend(self.fields.iter().map(|(name, value)| format!("{}: {}", one_line(name), one_line(value))));
        lines.push(format!("{} {}, incident {}", self.status.as_str(), self.time, one_line(&self.incident)));
        lines.join("\n")
    }
}

pub(crate) fn one_line(text: &str) -> String {
    // Unicode has two line ends that are no control characters.
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

mod rfc3339 {
    use funnelpulse_core::{Timestamp, parse_timestamp};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field so")]
    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        parse_timestamp(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
