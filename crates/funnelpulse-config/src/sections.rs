//! Typed sections that others contribute: the configuration of a detector, say.

use std::{
    any::Any,
    fmt::{self, Debug},
    sync::Arc,
};

use funnelpulse_core::BoxError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};

use crate::{ConfigError, read_value};

/// What a type of settings has to be. Implemented for every type that qualifies.
pub trait Settings:
    Any + Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync
{
}

impl<T> Settings for T where
    T: Any + Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync
{
}

/// A section of a document, whatever its type.
trait Value: Any + Debug + Send + Sync {
    fn to_toml(&self) -> toml::Value;
    fn equals(&self, other: &dyn Value) -> bool;
    fn as_any(&self) -> &dyn Any;
}

impl<C: Settings> Value for C {
    fn to_toml(&self) -> toml::Value {
        toml::Value::try_from(self).expect("settings have only types that TOML has")
    }

    fn equals(&self, other: &dyn Value) -> bool {
        other.as_any().downcast_ref::<C>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Reader = dyn Fn(toml::Value) -> Result<Arc<dyn Value>, ConfigError> + Send + Sync;

/// The description of a section: its name, type, defaults and checks.
///
/// ```
/// use funnelpulse_config::Section;
///
/// #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct RangeConfig { width: f64 }
///
/// let section = Section::new("range", RangeConfig { width: 3.0 }, |c: &RangeConfig| {
///     if c.width > 0.0 { Ok(()) } else { Err(format!("width = {} is out of range (above 0)", c.width).into()) }
/// });
/// assert_eq!(section.name(), "range");
/// ```
#[derive(Clone)]
pub struct Section {
    name: &'static str,
    default: Arc<dyn Value>,
    plain: Arc<dyn Value>,
    read: Arc<Reader>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Section {
    /// A section called `name`, with the settings it has when a document says nothing, and a check of
    /// whatever a document says.
    pub fn new<C: Settings>(
        name: &'static str,
        default: C,
        check: impl Fn(&C) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        let read = move |value| {
            let settings: C = read_value(name, value)?;
            check(&settings).map_err(|source| ConfigError::Invalid { section: name, source })?;
            Ok(Arc::new(settings) as Arc<dyn Value>)
        };
        Self {
            name,
            default: Arc::new(default),
            plain: Arc::new(C::default()),
            read: Arc::new(read),
            schema: |generator| generator.subschema_for::<C>(),
        }
    }

    /// The same section with the `Default` of its type instead of the default it was given here.
    pub fn with_plain_default(mut self) -> Self {
        self.default = self.plain.clone();
        self
    }

    /// The name in documents.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The default settings as a document.
    pub fn defaults(&self) -> toml::Value {
        self.default.to_toml()
    }

    /// The JSON Schema of the section.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

impl Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("name", &self.name).field("default", &self.default).finish_non_exhaustive()
    }
}

/// The name of a section and its settings.
type Named = (&'static str, Arc<dyn Value>);

/// The settings of several sections, found by name and type, in the order in which they were added.
#[derive(Clone, Default)]
pub struct Sections {
    values: Vec<Named>,
}

impl Sections {
    /// The defaults of these sections.
    pub fn defaults<'a>(sections: impl IntoIterator<Item = &'a Section>) -> Self {
        Self { values: sections.into_iter().map(|s| (s.name, s.default.clone())).collect() }
    }

    /// Takes these sections out of a document and checks them.
    pub fn read<'a>(
        sections: impl IntoIterator<Item = &'a Section>,
        document: &mut toml::Table,
    ) -> Result<Self, ConfigError> {
        let mut values = Vec::new();
        for section in sections {
            let value = match document.remove(section.name) {
                Some(value) => (section.read)(value)?,
                None => section.default.clone(),
            };
            values.push((section.name, value));
        }
        Ok(Self { values })
    }

    /// The settings of a section; `None` without such a section, or if they are of another type.
    pub fn get<C: Settings>(&self, name: &str) -> Option<&C> {
        let (_, value) = self.values.iter().find(|(n, _)| *n == name)?;
        value.as_any().downcast_ref()
    }

    /// Replaces the settings of a section, or adds it.
    pub fn set<C: Settings>(&mut self, name: &'static str, settings: C) {
        let value: Arc<dyn Value> = Arc::new(settings);
        match self.values.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }

    /// The names in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.values.iter().map(|(name, _)| *name)
    }

    /// The sections as they stand in a document, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, toml::Value)> + '_ {
        self.values.iter().map(|(name, value)| (*name, value.to_toml()))
    }
}

impl Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, value)| (name, value))).finish()
    }
}

impl PartialEq for Sections {
    fn eq(&self, other: &Self) -> bool {
        let same = |((a, x), (b, y)): (&Named, &Named)| a == b && x.equals(y.as_ref());
        self.values.len() == other.values.len() && self.values.iter().zip(&other.values).all(same)
    }
}

impl Serialize for Sections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in &self.values {
            map.serialize_entry(name, &value.to_toml())?;
        }
        map.end()
    }
}
