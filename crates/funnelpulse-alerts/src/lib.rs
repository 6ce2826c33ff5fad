#![doc = include_str!("../README.md")]

mod alert;
mod candidate;
mod config;
mod dispatcher;
mod error;
mod notifier;
mod pace;
mod secret;
mod service;
mod sink;
#[cfg(feature = "smtp")]
mod smtp;
mod spool;
mod state;
#[cfg(any(feature = "smtp", feature = "webhook"))]
mod trust;
#[cfg(feature = "webhook")]
mod webhook;

pub use alert::{Alert, Status};
pub use candidate::{AlertCandidate, Observation};
pub use config::{JsonLinesConfig, SinkConfig};
pub use dispatcher::{DispatchConfig, DispatchReport, Dispatcher, Refused, SinkReport};
pub use error::{AlertsError, DeliveryError};
pub use notifier::{Notifier, NotifierConfig};
pub use secret::Secret;
pub use service::{AlertService, AlertsConfig, CheckReport, Delivery};
pub use sink::{AppendFile, JsonLines, Sink};
#[cfg(feature = "smtp")]
pub use smtp::{Smtp, SmtpConfig, SmtpSecurity};
pub use state::{AlertState, News};
#[cfg(feature = "webhook")]
pub use webhook::{Webhook, WebhookConfig, WebhookFormat};
