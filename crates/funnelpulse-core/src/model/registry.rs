//! The kinds of model that a program loads.

use std::{collections::BTreeMap, fmt};

use super::{
    ModelInfo, PersistentModel,
    envelope::{decode_model, open},
};
use crate::{
    FittedDetector, FittedPanelDetector, ModelError,
    adaptors::{SERIES_MODELS, SeriesModels},
};

type Decoder = fn(&ModelInfo, &[u8]) -> Result<Box<dyn FittedDetector>, ModelError>;
type PanelDecoder = fn(&ModelInfo, &[u8]) -> Result<Box<dyn FittedPanelDetector>, ModelError>;

/// The kinds of model that a program is ready to load. Explicit: nothing registers itself, and
/// what is not registered is never decoded.
///
/// ```
/// use funnelpulse_core::{ModelError, Registry};
///
/// let error = Registry::new().load(b"not a model").unwrap_err();
/// assert!(matches!(error, ModelError::NotAModel));
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    decoders: BTreeMap<&'static str, Decoder>,
    panel_decoders: BTreeMap<&'static str, PanelDecoder>,
    versions: BTreeMap<&'static str, u16>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind of model of one series; a kind registered twice is decoded by the later type.
    pub fn with<M: PersistentModel + FittedDetector>(mut self) -> Self {
        self.decoders.insert(M::KIND, |info, payload| {
            let model: Box<dyn FittedDetector> = Box::new(decode_model::<M>(info, payload)?);
            Ok(model)
        });
        self.versions.insert(M::KIND, M::VERSION);
        self
    }

    /// Adds a kind of model of all series of a site.
    pub fn with_panel<M: PersistentModel + FittedPanelDetector>(mut self) -> Self {
        self.panel_decoders.insert(M::KIND, |info, payload| {
            let model: Box<dyn FittedPanelDetector> = Box::new(decode_model::<M>(info, payload)?);
            Ok(model)
        });
        self.versions.insert(M::KIND, M::VERSION);
        self
    }

    /// The registered kinds of either sort, in order.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::Registry;
    ///
    /// let registry = Registry::new().with::<DistanceModel>();
    /// assert!(registry.kinds().eq(["distance"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let mut kinds: Vec<_> = self.decoders.keys().chain(self.panel_decoders.keys()).copied().collect();
        kinds.sort_unstable();
        kinds.into_iter()
    }

    /// The payload version that a kind of model is read at without being migrated.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() {
    /// use funnelpulse_core::Registry;
    ///
    /// let registry = Registry::new().with::<DistanceModel>();
    /// assert_eq!((registry.version("distance"), registry.version("other")), (Some(1), None));
    /// # }
    /// ```
    pub fn version(&self, kind: &str) -> Option<u16> {
        self.versions.get(kind).copied()
    }

    /// Loads a model of one series, of any registered kind. An error for damaged bytes, a kind that
    /// is not registered, a payload version that is too new, or a payload that is no valid model.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::{Columns, FittedDetector, Registry, to_bytes};
    ///
    /// let model = DistanceModel { columns: Columns::new(["views"])?, mean: 2.0 };
    /// let registry = Registry::new().with::<DistanceModel>();
    /// assert_eq!(registry.load(&to_bytes(&model)?)?.columns()[0].as_ref(), "views");
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(&self, bytes: &[u8]) -> Result<Box<dyn FittedDetector>, ModelError> {
        let (info, payload) = open(bytes)?;
        match self.decoders.get(info.kind.as_str()) {
            Some(decoder) => decoder(&info, payload),
            None => Err(self.unknown(info)),
        }
    }

    /// Loads a model of all series: of a registered kind, or the models of
    /// [`PerSeries`](crate::PerSeries) and [`Pooled`](crate::Pooled) with series models of
    /// registered kinds.
    pub fn load_panel(&self, bytes: &[u8]) -> Result<Box<dyn FittedPanelDetector>, ModelError> {
        let (info, payload) = open(bytes)?;
        if info.kind == SERIES_MODELS {
            return Ok(Box::new(SeriesModels::from_bytes(bytes, self)?));
        }
        match self.panel_decoders.get(info.kind.as_str()) {
            Some(decoder) => decoder(&info, payload),
            None => Err(self.unknown(info)),
        }
    }

    fn unknown(&self, info: ModelInfo) -> ModelError {
        ModelError::UnknownKind { kind: info.kind, registered: self.kinds().collect::<Vec<_>>().join(", ") }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}
