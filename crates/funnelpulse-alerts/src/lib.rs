#![doc = include_str!("../README.md")]

mod alert;
mod config;
mod dispatcher;
mod error;
mod notifier;
mod pace;
mod secret;
mod sink;
#[cfg(feature = "smtp")]
mod smtp;
mod spool;
#[cfg(feature = "webhook")]
mod webhook;

pub use alert::{Alert, Status};
pub use config::{JsonLinesConfig, SinkConfig};
pub use dispatcher::{DispatchConfig, DispatchReport, Dispatcher, Refused, SinkReport};
pub use error::{AlertsError, DeliveryError};
pub use notifier::{Notifier, NotifierConfig};
pub use secret::Secret;
pub use sink::{AppendFile, JsonLines, Sink};
#[cfg(feature = "smtp")]
pub use smtp::{Smtp, SmtpConfig, SmtpSecurity};
#[cfg(feature = "webhook")]
pub use webhook::{Webhook, WebhookConfig, WebhookFormat};
