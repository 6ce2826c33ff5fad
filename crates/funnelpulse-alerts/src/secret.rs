//! Values that nobody should see.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};

use crate::AlertsError;

/// What a secret looks like where it is written out.
const HIDDEN: &str = "***";
/// What a secret may look like in a configuration.
const EXPECTED: &str = "a text in quotes or { env = \"NAME\" }";

/// A webhook's address or a password: in a configuration either the text itself or, better, the
/// name of the environment variable that holds it, `{ env = "SLACK_WEBHOOK" }`.
///
/// Neither `Debug` nor `Serialize` nor an error of `Deserialize` shows the text.
///
/// ```
/// use funnelpulse_alerts::Secret;
///
/// let secret: Secret = serde_json::from_str("\"hunter2\"")?;
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(serde_json::to_string(&secret)?, "\"***\"");
/// assert_eq!(secret.reveal()?, "hunter2");
///
/// let error = serde_json::from_str::<Secret>("1234").unwrap_err().to_string();
/// assert!(error.starts_with("a secret is a text in quotes or { env = \"NAME\" }, found a number"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Written);

#[derive(Clone, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(untagged)]
enum Written {
    /// The text itself.
    Text(String),
    /// In the environment.
    Variable(Variable),
}

#[derive(Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Variable {
    /// The name of the variable.
    env: String,
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Written::Text(text.into()))
    }

    /// The secret in the environment variable `name`.
    pub fn from_env(name: impl Into<String>) -> Self {
        Self(Written::Variable(Variable { env: name.into() }))
    }

    /// The text. Fails where it is in an environment variable that isn't set.
    pub fn reveal(&self) -> Result<String, AlertsError> {
        match &self.0 {
            Written::Text(text) => Ok(text.clone()),
            Written::Variable(Variable { env }) => {
                std::env::var(env).map_err(|_| AlertsError::Environment { variable: shown(env).to_owned() })
            }
        }
    }
}

/// Whether a text can be the name of a variable.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name of a variable, unless somebody wrote the secret itself in its place.
fn shown(name: &str) -> &str {
    let usual = is_name(name) && !name.chars().any(|c| c.is_ascii_lowercase());
    if usual { name } else { HIDDEN }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Written::Text(_) => write!(f, "Secret({HIDDEN})"),
            Written::Variable(Variable { env }) => write!(f, "Secret(env {})", shown(env)),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Written::Text(_) => serializer.serialize_str(HIDDEN),
            Written::Variable(variable) if is_name(&variable.env) => variable.serialize(serializer),
            Written::Variable(_) => Variable { env: HIDDEN.to_owned() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Reads a secret. What it refuses it does not repeat.
struct SecretVisitor;

impl SecretVisitor {
    fn refuse<T, E: serde::de::Error>(found: &str) -> Result<T, E> {
        Err(E::custom(format_args!("a secret is {EXPECTED}, found {found}")))
    }
}

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
        if text == HIDDEN {
            return Self::refuse("a secret that was hidden when it was written");
        }
        Ok(Secret::new(text))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Secret, E> {
        Self::refuse("true or false")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Self::refuse("a number; put it in quotes")
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Secret, E> {
        Self::refuse("a number; put it in quotes")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Secret, E> {
        Self::refuse("a number; put it in quotes")
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Secret, E> {
        Self::refuse("a number; put it in quotes")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Self::refuse("a number; put it in quotes")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Secret, E> {
        Self::refuse("nothing")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Self::refuse("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let key: Option<String> = map.next_key()?;
        if key.as_deref() != Some("env") {
            return Self::refuse("a table without `env`");
        }
        // The errors of a value could repeat it.
        let name: String =
            map.next_value().map_err(|_| A::Error::custom("`env` is the name of a variable in quotes"))?;
        if map.next_key::<String>()?.is_some() {
            return Self::refuse("a table with more than `env`");
        }
        Ok(Secret::from_env(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_strictly_and_never_repeated() {
        for json in [
            "471147114711",
            "-471147114711",
            "47114711.4711",
            "true",
            "null",
            "[\"4711\"]",
            "{\"envv\": \"4711\"}",
            "{\"env\": 4711}",
            "{\"env\": \"A\", \"and\": \"4711\"}",
            "\"***\"",
        ] {
            let error = serde_json::from_str::<Secret>(json).unwrap_err().to_string();
            assert!(!error.contains("4711"), "{json}: {error}");
            assert!(error.contains("env"), "{json}: {error}");
        }
        assert_eq!(serde_json::from_str::<Secret>("{\"env\": \"A\"}").unwrap(), Secret::from_env("A"));
    }

    #[test]
    fn a_secret_in_the_place_of_a_name_is_not_shown() {
        for name in ["https://hooks.example/4711", "hunter4711", ""] {
            let secret = Secret::from_env(name);
            let shown = format!("{secret:?} {} {:?}", secret.reveal().unwrap_err(), secret.reveal());
            assert!(!shown.contains("4711") && shown.contains("***"), "{shown}");
        }
    }
}
