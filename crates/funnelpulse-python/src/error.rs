//! Errors as Python exceptions, and the border that no panic crosses.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use funnelpulse::{
    PipelineError,
    config::ConfigError,
    core::{FrameError, ModelError},
    eval::EvalError,
    io::IoError,
};
use pyo3::{exceptions::PyTypeError, prelude::*, types::PyType};

/// Everything that a call can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// Something is wrong with a table or an array: `DataError`.
    #[error("{0}")]
    Data(String),
    /// Something is wrong with settings: `ConfigError`.
    #[error("{0}")]
    Config(String),
    /// Something is wrong with a model or a snapshot: `ModelError`.
    #[error("{0}")]
    Model(String),
    /// A file can't be read or written: an `OSError`.
    #[error("{message}")]
    File {
        /// The path and the reason.
        message: String,
        /// The kind, which chooses the subclass of `OSError`.
        kind: std::io::ErrorKind,
    },
    /// A defect of this library: `FunnelPulseError`.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl Failure {
    /// Something is wrong with a table or an array.
    pub(crate) fn data(error: impl ToString) -> Self {
        Self::Data(error.to_string())
    }

    /// Something is wrong with settings.
    pub(crate) fn config(error: impl ToString) -> Self {
        Self::Config(error.to_string())
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Data(_) => "DataError",
            Self::Config(_) => "ConfigError",
            Self::Model(_) => "ModelError",
            Self::File { .. } | Self::Internal(_) => "FunnelPulseError",
        }
    }
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        match error {
            IoError::Setting { .. } => Self::config(error),
            error => Self::data(error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::config(error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::Model(error.to_string())
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        Self::data(error)
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        Self::data(error)
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        let message = error.to_string();
        match error {
            PipelineError::Config(_)
            | PipelineError::UnknownColumn { .. }
            | PipelineError::Detector { .. }
            | PipelineError::NotApplicable { .. } => Self::Config(message),
            PipelineError::Model { .. } | PipelineError::Encode(_) | PipelineError::OtherInputs { .. } => {
                Self::Model(message)
            }
            PipelineError::File { source, .. } => Self::File { message, kind: source.kind() },
            _ => Self::Data(message),
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        if let Failure::File { message, kind } = failure {
            return std::io::Error::new(kind, message).into();
        }
        Python::attach(|py| match exception(py, failure.class()) {
            Ok(class) => Self::from_type(class, failure.to_string()),
            Err(error) => error,
        })
    }
}

/// A class of `funnelpulse.errors`: Python's, since exceptions made here have one base only.
fn exception<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    py.import("funnelpulse.errors")?.getattr(name)?.cast_into::<PyType>().map_err(PyErr::from)
}

/// Runs `work` without the interpreter's lock; a panic becomes an exception.
pub(crate) fn heavy<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Failure> + Send) -> PyResult<T> {
    py.detach(|| guarded(work)).map_err(PyErr::from)
}

/// Runs `work`; a panic becomes an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::Internal(message_of(&*panic))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

/// A value of a type that is not taken here.
pub(crate) fn wrong_type(expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let name = found.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("expected {expected}, found {name}"))
}
