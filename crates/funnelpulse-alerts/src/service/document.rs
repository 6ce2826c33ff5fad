//! Settings as they stand in a file, read without repeating what may be a secret.

use std::path::Path;

use funnelpulse_core::type_in_words;
use serde::{Deserialize, de::DeserializeOwned};
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::AlertsConfig;
use crate::{AlertsError, DispatchConfig, JsonLinesConfig, NotifierConfig, SinkConfig};

/// Everything but the sinks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    state: std::path::PathBuf,
    #[serde(default)]
    notifier: NotifierConfig,
    #[serde(default)]
    dispatch: DispatchConfig,
}

pub(super) fn parse(path: &Path, text: &str) -> Result<AlertsConfig, AlertsError> {
    let mut table: Table = toml::from_str(text).map_err(|error| syntax(path, text, &error))?;
    let fail = |field: String, reason: String| {
        let field = if field.is_empty() { "top level".to_owned() } else { field };
        AlertsError::Config { path: path.to_owned(), field, reason }
    };
    let sinks = table.remove("sinks");
    let Rest { state, notifier, dispatch } =
        typed(Value::Table(table)).map_err(|(field, reason)| fail(field, reason))?;
    let list = match sinks {
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(Value::Array(_)) | None => return Err(fail("sinks".into(), "missing; at least one [[sinks]]".into())),
        Some(_) => return Err(fail("sinks".into(), "should be a list of tables, each headed [[sinks]]".into())),
    };
    let sink = |(index, value): (usize, Value)| {
        sink(value).map_err(|(field, reason)| fail(join(&format!("sinks[{index}]"), &field), reason))
    };
    let sinks = list.into_iter().enumerate().map(sink).collect::<Result<_, _>>()?;
    Ok(AlertsConfig { state, sinks, notifier, dispatch })
}

/// A field and what is wrong with it.
type Wrong = (String, String);

/// One sink. The kind is looked at first, so that errors name the field within.
fn sink(value: Value) -> Result<SinkConfig, Wrong> {
    const KINDS: &str = "json_lines, webhook or smtp";
    let Value::Table(mut table) = value else { return Err((String::new(), "should be a table".into())) };
    let kind = match table.remove("kind") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(("kind".into(), format!("should be text: {KINDS}"))),
        None => return Err(("kind".into(), format!("missing; one of {KINDS}"))),
    };
    let rest = Value::Table(table);
    match kind.as_str() {
        "json_lines" => typed::<JsonLinesConfig>(rest).map(SinkConfig::JsonLines),
        #[cfg(feature = "webhook")]
        "webhook" => typed::<crate::WebhookConfig>(rest).map(SinkConfig::Webhook),
        #[cfg(feature = "smtp")]
        "smtp" => typed::<crate::SmtpConfig>(rest).map(SinkConfig::Smtp),
        #[cfg(not(feature = "webhook"))]
        "webhook" => Err(left_out()),
        #[cfg(not(feature = "smtp"))]
        "smtp" => Err(left_out()),
        _ => Err(("kind".into(), format!("unknown; one of {KINDS}"))),
    }
}

#[cfg(not(all(feature = "webhook", feature = "smtp")))]
fn left_out() -> Wrong {
    ("kind".into(), "left out of this program when it was built".into())
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let field = error.path().iter().fold(String::new(), |outer, segment| match segment {
            Segment::Seq { index } => format!("{outer}[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } if is_plain(key) => join(&outer, key),
            _ => join(&outer, "***"),
        });
        (field, without_values(error.inner().message()))
    })
}

/// Whether a text can be the name of a field, misspelt or not.
fn is_plain(key: &str) -> bool {
    (1..=32).contains(&key.len()) && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", one) | (one, "") => one.to_owned(),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

/// The message of a decoder without the texts that it found: one of them can be a secret in the
/// wrong place. A number that is out of its range is shown.
fn without_values(message: &str) -> String {
    let message = message.trim();
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let found = kind_in_words(rest.split([' ', ',']).next().unwrap_or_default());
        return format!("found {found}, expected {}", expected(rest));
    }
    if let Some(rest) = message.strip_prefix("invalid value: ") {
        let found = match rest.split_once('`') {
            Some((_, value)) if !rest.starts_with("string") => value.split('`').next().unwrap_or_default(),
            _ => kind_in_words(rest.split(' ').next().unwrap_or_default()),
        };
        return format!("found {found}, expected {}", expected(rest));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return format!("unknown value, expected {}", expected(rest));
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let name = rest.trim_start_matches('`').split('`').next().unwrap_or_default();
        let name = if is_plain(name) { format!(" `{name}`") } else { String::new() };
        return format!("unknown field{name}, expected {}", expected(rest));
    }
    // Ours, or with names of fields only.
    let safe = ["missing field ", "duplicate field ", "a secret is ", "`env` is "];
    if safe.iter().any(|start| message.starts_with(start)) { message.to_owned() } else { "not valid".to_owned() }
}

/// The kind of a value that a decoder found.
fn kind_in_words(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "floating" => "a number",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table",
        other => other,
    }
}

/// What the decoder wanted: the end of its message, which it does not take from the file.
fn expected(message: &str) -> String {
    message
        .rsplit_once(", expected ")
        .map_or_else(|| "something else".to_owned(), |(_, expected)| type_in_words(expected))
}

/// Where a file is no TOML, without the text of the line.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> AlertsError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let quoted = error.message().lines().next().unwrap_or_default();
    // The parser's messages are fixed texts; should one ever repeat a word of the file, it is not shown.
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3);
    let repeats = words.into_iter().any(|word| quoted.contains(word) && !KNOWN_WORDS.contains(&word));
    let reason = if repeats { "unexpected text".to_owned() } else { quoted.to_owned() };
    AlertsError::Syntax { path: path.to_owned(), line, column, reason }
}

/// Words of the parser's messages that a file may hold too.
const KNOWN_WORDS: [&str; 4] = ["expected", "string", "duplicate", "value"];
