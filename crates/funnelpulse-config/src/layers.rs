//! Defaults, file, environment, flags: the later wins.

use std::path::Path;

use funnelpulse_core::{nearest_name, wrong_value};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{ConfigError, keys};

/// What environment variables that are settings start with.
const PREFIX: &str = "FUNNELPULSE_";
/// Variables of that prefix which are no settings: where tests and benches find shared data, and how
/// long they run.
const NO_SETTINGS: [&str; 4] =
    ["FUNNELPULSE_SHARED", "FUNNELPULSE_SHOPS", "FUNNELPULSE_KILLS", "FUNNELPULSE_SNAPSHOTS"];
/// Nested names in a key; documents have three, and each costs a level of recursion.
const MAX_DEPTH: usize = 16;

/// What a layered document describes: which keys it may have and what becomes of them.
pub trait Shape {
    /// The configuration that a document becomes.
    type Config;

    /// The JSON Schema of the document, against which keys are checked.
    fn schema(&self) -> Value;

    /// Settings below all layers, where they differ from the defaults of their types.
    fn defaults(&self) -> toml::Table {
        toml::Table::new()
    }

    /// Reads and checks the merged document.
    fn read(&self, document: toml::Table) -> Result<Self::Config, ConfigError>;
}

/// Puts a configuration together from layers, each overriding the ones before. See the crate's front
/// page for an example.
#[derive(Clone, Debug)]
pub struct Layers<S> {
    shape: S,
    document: toml::Table,
}

impl<S: Shape> Layers<S> {
    /// Only the defaults.
    pub fn new(shape: S) -> Self {
        Self { shape, document: toml::Table::new() }
    }

    /// Adds a file: JSON when its name ends in `.json`, TOML otherwise.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let origin = path.display().to_string();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            let syntax = |reason: String| ConfigError::Syntax { origin: origin.clone(), reason };
            let value: Value = serde_json::from_str(&text).map_err(|e| syntax(e.to_string()))?;
            let table = toml::Table::try_from(drop_nulls(value)).map_err(|e| syntax(e.to_string()))?;
            return Ok(self.layer(table));
        }
        self.text(&text, &origin)
    }

    /// Adds TOML.
    pub fn toml(self, text: &str) -> Result<Self, ConfigError> {
        self.text(text, "configuration")
    }

    /// Adds environment variables: `FUNNELPULSE_SECTION__FIELD=value` sets `section.field`. One with
    /// this prefix that is no setting is an error that names the nearest; others are ignored.
    pub fn variables<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        for (name, value) in variables {
            let name = name.as_ref();
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !NO_SETTINGS.contains(&name)) else { continue };
            if !rest.contains("__") {
                return Err(self.unknown_variable(name));
            }
            self = self.set(&rest.to_lowercase().replace("__", "."), value.as_ref())?;
        }
        Ok(self)
    }

    fn unknown_variable(&self, name: &str) -> ConfigError {
        let variable = |key: &String| format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"));
        let known: Vec<String> = keys::settings(&self.shape.schema()).iter().map(variable).collect();
        let nearest = nearest_name(known.iter().map(String::as_str), name).map(str::to_owned);
        ConfigError::UnknownVariable { variable: name.to_owned(), suggestion: nearest }
    }

    /// Adds the settings of this process's environment.
    pub fn environment(self) -> Result<Self, ConfigError> {
        let readable = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        self.variables(readable)
    }

    /// Adds one setting, `section.field`, from text: a TOML value, or else a plain string.
    pub fn set(self, key: &str, value: &str) -> Result<Self, ConfigError> {
        let parsed = format!("value = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("value"));
        let mut value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let depth = key.split('.').count();
        if depth > MAX_DEPTH {
            let shown: String = key.chars().take(40).collect();
            let reason = format!("{depth} nested names are too many (at most {MAX_DEPTH})");
            return Err(ConfigError::Value { key: format!("{shown}..."), reason });
        }
        if key.split('.').any(str::is_empty) {
            return Err(ConfigError::Value { key: key.to_owned(), reason: "expected section.field".to_owned() });
        }
        for part in key.rsplit('.') {
            value = toml::Value::Table([(part.to_owned(), value)].into_iter().collect());
        }
        match value {
            toml::Value::Table(table) => Ok(self.layer(table)),
            _ => Ok(self),
        }
    }

    /// Checks the keys, reads the values, validates them.
    pub fn build(self) -> Result<S::Config, ConfigError> {
        keys::check(&self.document, &self.shape.schema())?;
        let mut document = self.shape.defaults();
        merge(&mut document, self.document);
        self.shape.read(document)
    }

    fn text(self, text: &str, origin: &str) -> Result<Self, ConfigError> {
        let table = toml::Table::deserialize(toml::Deserializer::parse(text).map_err(|e| syntax(origin, &e))?)
            .map_err(|e| syntax(origin, &e))?;
        Ok(self.layer(table))
    }

    fn layer(mut self, table: toml::Table) -> Self {
        merge(&mut self.document, table);
        self
    }
}

/// Reads one section; an error names the setting in full.
pub fn read_value<T: DeserializeOwned>(section: &str, value: toml::Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { section.to_owned() } else { format!("{section}.{path}") };
        let reason = error.into_inner().to_string();
        ConfigError::Value { key, reason: wrong_value(reason.lines().next().unwrap_or_default()) }
    })
}

fn syntax(origin: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Syntax { origin: origin.to_owned(), reason: error.to_string().trim_end().to_owned() }
}

/// Tables are merged key by key, everything else is replaced.
fn merge(base: &mut toml::Table, layer: toml::Table) {
    for (key, value) in layer {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// JSON's way of saying "not set".
fn drop_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, drop_nulls(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(drop_nulls).collect()),
        other => other,
    }
}
