//! Settings.

use std::path::PathBuf;

use funnelpulse::Preset;
use pyo3::{
    prelude::*,
    types::{PyDict, PyString, PyType},
};

use crate::{
    error::{Failure, wrong_type},
    input::catalog,
};

/// Validated settings of a pipeline.
///
/// `source` is a dictionary, TOML text, or the path of a TOML or JSON file; settings that it does not
/// have keep their defaults. `preset` names settings to start from: `"univariate"`.
#[pyclass(module = "funnelpulse", name = "Config", frozen)]
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) inner: funnelpulse::Config,
}

impl Config {
    /// A configuration of whatever `Config(...)` takes, or a `Config`.
    pub(crate) fn from_python(source: Option<&Bound<'_, PyAny>>, preset: Option<&str>) -> PyResult<Self> {
        if let (Some(source), None) = (source, preset)
            && let Ok(config) = source.cast::<Self>()
        {
            return Ok(config.get().clone());
        }
        let catalog = catalog();
        let mut layers = match preset {
            None => catalog.layers(),
            Some(name) => name.parse::<Preset>().map_err(Failure::from)?.layers(&catalog),
        };
        if let Some(source) = source.filter(|source| !source.is_none()) {
            layers = match Source::of(source)? {
                Source::Text(text) => layers.toml(&text).map_err(Failure::from)?,
                Source::Path(path) => layers.file(&path).map_err(Failure::from)?,
            };
        }
        Ok(Self { inner: layers.build().map_err(Failure::from)? })
    }
}

/// Where settings stand.
enum Source {
    /// TOML.
    Text(String),
    /// A file.
    Path(PathBuf),
}

impl Source {
    fn of(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(dict) = source.cast::<PyDict>() {
            return Ok(Self::Text(toml_of(dict)?));
        }
        if let Ok(text) = source.cast::<PyString>() {
            let text = text.to_string();
            // A document has an assignment or a section; no usual path has both `=` or `[` and no ending.
            let is_file = [".toml", ".json"].iter().any(|end| text.ends_with(end)) && !text.contains('\n');
            return Ok(if is_file { Self::Path(text.into()) } else { Self::Text(text) });
        }
        let path = source.extract::<PathBuf>();
        path.map(Self::Path).map_err(|_| wrong_type("a dictionary, TOML text or a path", source))
    }
}

/// A dictionary as TOML. `None` is a setting that is not set.
fn toml_of(dict: &Bound<'_, PyDict>) -> PyResult<String> {
    let json = dict.py().import("funnelpulse._convert")?.call_method1("to_json", (dict,))?.extract::<String>()?;
    let value: serde_json::Value = serde_json::from_str(&json).map_err(Failure::config)?;
    Ok(toml::to_string(&without_nulls(value)).map_err(Failure::config)?)
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[pymethods]
impl Config {
    #[new]
    #[pyo3(signature = (source=None, *, preset=None))]
    fn new(source: Option<&Bound<'_, PyAny>>, preset: Option<&str>) -> PyResult<Self> {
        Self::from_python(source, preset)
    }

    /// The settings as TOML, every one spelt out.
    fn to_toml(&self) -> String {
        self.inner.to_toml()
    }

    /// The settings as a dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_json(py, &serde_json::to_string(&self.inner).map_err(Failure::config)?)
    }

    /// The JSON Schema of the settings, as a dictionary.
    #[staticmethod]
    fn schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        use funnelpulse::config::Shape;
        from_json(py, &catalog().schema().to_string())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().inner == self.inner)
    }

    fn __repr__(&self) -> String {
        format!("<funnelpulse.Config: detectors {}>", self.inner.pipeline.detectors.join(", "))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (String,)) {
        (py.get_type::<Self>(), (self.to_toml(),))
    }
}

/// JSON as Python's own objects.
pub(crate) fn from_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}
