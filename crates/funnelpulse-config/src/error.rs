//! What can be wrong with a configuration.

use std::path::PathBuf;

use funnelpulse_core::{BoxError, hint};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not TOML or JSON.
    #[error("{origin}: {reason}")]
    Syntax {
        /// Where the text came from.
        origin: String,
        /// What the parser says.
        reason: String,
    },
    /// A key that nothing reads.
    #[error("unknown setting `{key}`{}", hint(suggestion.as_deref()))]
    UnknownKey {
        /// The full name.
        key: String,
        /// The nearest valid name, if one is near.
        suggestion: Option<String>,
    },
    /// An environment variable that nothing reads.
    #[error(
        "environment variable `{variable}` is no setting (those are FUNNELPULSE_SECTION__FIELD){}",
        hint(suggestion.as_deref())
    )]
    UnknownVariable {
        /// Its name.
        variable: String,
        /// The nearest variable that is a setting, if one is near.
        suggestion: Option<String>,
    },
    /// A value of the wrong type.
    #[error("`{key}`: {reason}")]
    Value {
        /// The full name of the setting.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// A value out of range, or values that contradict each other.
    #[error("[{section}] {source}")]
    Invalid {
        /// The section.
        section: &'static str,
        /// What the crate of the section says.
        #[source]
        source: BoxError,
    },
}

impl ConfigError {
    /// What is wrong with a section as a whole.
    pub fn invalid(section: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Invalid { section, source: source.into() }
    }
}
