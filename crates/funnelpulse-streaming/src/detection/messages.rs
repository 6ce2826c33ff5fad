//! Alerts of the detection.

use funnelpulse_alerts::{Alert as Message, Status};
use funnelpulse_analytics::Incident;
use funnelpulse_core::{SITE, Severity, Timestamp};
use funnelpulse_pipeline::alert_candidate;

use crate::{Alert, Signal};

/// The message of news about the feed.
pub(super) fn feed(signal: Signal, now: Timestamp) -> Message {
    let mut message = Message::new(format!("{SITE}/feed"), Severity::Critical, now);
    match signal {
        Signal::FeedStopped(last) => {
            message.title = "P1 no events".into();
            let since = last.map(|last| format!(" since {last}")).unwrap_or_default();
            message.text = format!("The feed has delivered no event{since}.");
            message.id = format!("{SITE}/feed:stopped{since}");
        }
        Signal::FeedResumed => {
            message.title = "Events come again".into();
            message.text = "The feed delivers events again.".into();
            message.status = Status::Resolved;
            message.id = format!("{SITE}/feed:resumed {now}");
        }
    }
    message
}

/// The warning of an incident before its hour is over, the same for every look at that hour.
pub(super) fn warning(incident: &Incident, end: Timestamp) -> Message {
    let mut message = alert_candidate(incident).alert(end);
    message.id = format!("{}:early {}", message.incident, end.offset(-1).floor_to(Timestamp::HOUR));
    message.title = format!("Early warning: {}", message.title);
    message.text =
        format!("{} The hour is not over: the figures are those of the hour that ends at {end}.", message.text);
    message
}

pub(super) fn wrapped(message: &Message) -> Alert {
    Alert { id: message.idempotency_key(), body: serde_json::json!(message).to_string() }
}
