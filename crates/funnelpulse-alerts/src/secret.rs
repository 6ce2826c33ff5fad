//! Values that nobody should see.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::AlertsError;

/// What a secret looks like where it is written out.
const HIDDEN: &str = "***";

/// A webhook's address or a password: in a configuration either the text itself or, better, the
/// name of the environment variable that holds it, `{ env = "SLACK_WEBHOOK" }`.
///
/// Neither `Debug` nor `Serialize` shows the text.
///
/// ```
/// use funnelpulse_alerts::Secret;
///
/// let secret: Secret = serde_json::from_str("\"hunter2\"")?;
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(serde_json::to_string(&secret)?, "\"***\"");
/// assert_eq!(secret.reveal()?, "hunter2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Secret(Written);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Written {
    /// The text itself.
    Text(String),
    /// In the environment.
    Variable(Variable),
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
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

impl TryFrom<Written> for Secret {
    type Error = AlertsError;

    fn try_from(written: Written) -> Result<Self, AlertsError> {
        match &written {
            Written::Text(text) if text == HIDDEN => {
                Err(AlertsError::field("secret", HIDDEN, "the secret itself; this one was hidden when it was written"))
            }
            _ => Ok(Self(written)),
        }
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
                std::env::var(env).map_err(|_| AlertsError::Environment { variable: env.clone() })
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Written::Text(_) => write!(f, "Secret({HIDDEN})"),
            Written::Variable(Variable { env }) => write!(f, "Secret(env {env})"),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Written::Text(_) => serializer.serialize_str(HIDDEN),
            Written::Variable(variable) => variable.serialize(serializer),
        }
    }
}
