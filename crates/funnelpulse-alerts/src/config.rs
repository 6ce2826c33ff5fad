//! Sinks as they stand in a configuration.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{AlertsError, AppendFile, JsonLines, Sink};

/// Settings of a sink of JSON lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JsonLinesConfig {
    /// The name of the sink; by default the path, or `stdout`.
    pub name: Option<String>,
    /// The file to append to; standard output without one.
    pub path: Option<PathBuf>,
}

/// One sink; `kind` says which.
///
/// ```
/// use funnelpulse_alerts::SinkConfig;
///
/// # #[cfg(feature = "webhook")]
/// # {
/// let sink: SinkConfig = serde_json::from_str(
///     r#"{ "kind": "webhook", "format": "slack", "url": { "env": "SLACK_WEBHOOK" } }"#,
/// )?;
/// assert!(sink.build().unwrap_err().to_string().contains("SLACK_WEBHOOK is not set"));
/// # }
/// let error = serde_json::from_str::<SinkConfig>(r#"{ "kind": "json_lines", "file": "x" }"#).unwrap_err();
/// assert!(error.to_string().contains("unknown field `file`"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SinkConfig {
    /// One line of JSON per alert, to a file or to standard output.
    JsonLines(JsonLinesConfig),
    /// A POST per alert.
    #[cfg(feature = "webhook")]
    Webhook(crate::WebhookConfig),
    /// A mail per alert.
    #[cfg(feature = "smtp")]
    Smtp(crate::SmtpConfig),
}

impl SinkConfig {
    /// The sink. Secrets are read from the environment now.
    pub fn build(&self) -> Result<Box<dyn Sink>, AlertsError> {
        Ok(match self {
            Self::JsonLines(JsonLinesConfig { name, path: None }) => {
                Box::new(JsonLines::new(name.as_deref().unwrap_or("stdout"), io::stdout()))
            }
            Self::JsonLines(JsonLinesConfig { name, path: Some(path) }) => {
                let name = name.clone().unwrap_or_else(|| path.display().to_string());
                Box::new(JsonLines::new(name, AppendFile::new(path)?))
            }
            #[cfg(feature = "webhook")]
            Self::Webhook(config) => Box::new(crate::Webhook::new(config)?),
            #[cfg(feature = "smtp")]
            Self::Smtp(config) => Box::new(crate::Smtp::new(config)?),
        })
    }

    /// Where alerts go, for people to read. Of a webhook's address only the host is shown, since the
    /// rest of it often is a password.
    ///
    /// ```
    /// use funnelpulse_alerts::SinkConfig;
    ///
    /// let sink: SinkConfig = serde_json::from_str(r#"{ "kind": "json_lines", "path": "alerts.jsonl" }"#)?;
    /// assert_eq!(sink.destination()?, "lines of JSON, appended to alerts.jsonl");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn destination(&self) -> Result<String, AlertsError> {
        match self {
            Self::JsonLines(JsonLinesConfig { path: None, .. }) => Ok("lines of JSON on standard output".to_owned()),
            Self::JsonLines(JsonLinesConfig { path: Some(path), .. }) => {
                Ok(format!("lines of JSON, appended to {}", path.display()))
            }
            #[cfg(feature = "webhook")]
            Self::Webhook(config) => config.destination(),
            #[cfg(feature = "smtp")]
            Self::Smtp(config) => Ok(config.destination()),
        }
    }
}
