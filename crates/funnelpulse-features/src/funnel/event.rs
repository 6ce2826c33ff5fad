//! Events, and the columns of their parts.

use std::collections::BTreeSet;

use funnelpulse_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::FeatureError;

/// One raw event as it came: nothing about it is trusted yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// When it happened.
    pub time: Timestamp,
    /// The type of the event, as the source writes it.
    pub event_type: &'a str,
    /// The parts of the series' name, one per key column, for example the brand.
    pub keys: &'a [Option<&'a str>],
    /// The product.
    pub product: Option<&'a str>,
    /// The user.
    pub user: Option<&'a str>,
    /// The session.
    pub session: Option<&'a str>,
    /// The price of one piece.
    pub price: Option<f64>,
}

impl Event<'_> {
    /// 128 bits that stand for time, user, session and product: one collision is expected among
    /// 2^64 events. `None` when neither user nor session is known, so that the event can't be
    /// distinguished from similar ones.
    pub fn identity(&self) -> Option<u128> {
        if self.user.is_none() && self.session.is_none() {
            return None;
        }
        let parts = [self.user, self.session, self.product];
        let time = self.time.as_micros().to_le_bytes();
        // In one piece where it fits, which it all but always does: hashing pieces costs more.
        let (mut bytes, mut long) = ([0; 128], Vec::new());
        let size = time.len() + parts.iter().map(|part| 8 + part.map_or(0, str::len)).sum::<usize>();
        let bytes = if size <= bytes.len() {
            &mut bytes[..size]
        } else {
            long.resize(size, 0);
            &mut long[..]
        };
        bytes[..8].copy_from_slice(&time);
        let mut at = 8;
        for part in parts {
            // With the length in front, different parts never make the same bytes.
            let (length, text) = (part.map_or(u64::MAX, |text| text.len() as u64), part.unwrap_or_default());
            bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
            bytes[at + 8..at + 8 + text.len()].copy_from_slice(text.as_bytes());
            at += 8 + text.len();
        }
        Some(xxh3_128(bytes))
    }
}

/// The columns of a table of events and the words for its event types.
///
/// The default reads the layout of the public REES46 shop data sets.
///
/// ```
/// use funnelpulse_features::EventSpec;
///
/// let spec: EventSpec = toml::from_str("time = 'ts'\nkeys = ['shop', 'category']\ncart = ['add_to_basket']")?;
/// spec.validate()?;
/// assert_eq!(spec.price, "price");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventSpec {
    /// The column of the time.
    pub time: String,
    /// The column of the type.
    pub event_type: String,
    /// The columns whose values together name the series.
    pub keys: Vec<String>,
    /// The column of the product.
    pub product: String,
    /// The column of the user.
    pub user: String,
    /// The column of the session.
    pub session: String,
    /// The column of the price.
    pub price: String,
    /// Further columns with attributes of an event, for example `device` or `category`: the cause of
    /// an incident is located over them and the keys. The column of the price is taken in
    /// bands.
    pub dimensions: Vec<String>,
    /// Hours behind the newest event within which duplicates are found, 1 to 87840; without a limit by
    /// default. It bounds the memory: that of the events of so many hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_horizon_hours: Option<u32>,
    /// The types that are views.
    pub view: Vec<String>,
    /// The types that put something into the cart.
    pub cart: Vec<String>,
    /// The types that are purchases.
    pub purchase: Vec<String>,
}

impl Default for EventSpec {
    fn default() -> Self {
        Self {
            time: "event_time".into(),
            event_type: "event_type".into(),
            keys: vec!["brand".into()],
            product: "product_id".into(),
            user: "user_id".into(),
            session: "user_session".into(),
            price: "price".into(),
            dimensions: Vec::new(),
            dedup_horizon_hours: None,
            view: vec!["view".into()],
            cart: vec!["cart".into()],
            purchase: vec!["purchase".into()],
        }
    }
}

impl EventSpec {
    /// All columns that are read, in order, but the dimensions.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        [&self.time, &self.event_type]
            .into_iter()
            .chain(&self.keys)
            .chain([&self.product, &self.user, &self.session, &self.price])
            .map(String::as_str)
    }

    /// The dimensions that are no keys, in order.
    pub fn further_dimensions(&self) -> impl Iterator<Item = &str> {
        self.dimensions.iter().filter(|d| !self.keys.contains(d)).map(String::as_str)
    }

    /// Checks that no column is named twice or not at all, that a dimension is neither time nor type, and that every type means one thing.
    pub fn validate(&self) -> Result<(), FeatureError> {
        let mut seen = BTreeSet::new();
        for name in self.columns() {
            if name.is_empty() || !seen.insert(name) {
                return Err(FeatureError::field("columns", format!("`{name}`"), "each column named once"));
            }
        }
        let mut seen = BTreeSet::from([self.time.as_str(), self.event_type.as_str()]);
        for name in &self.dimensions {
            if name.is_empty() || !seen.insert(name) {
                let allowed = "each column named once, neither time nor type of the event";
                return Err(FeatureError::field("dimensions", format!("`{name}`"), allowed));
            }
        }
        if let Some(hours) = self.dedup_horizon_hours.filter(|hours| !(1..=87_840).contains(hours)) {
            return Err(FeatureError::field("dedup_horizon_hours", hours, "1 to 87840"));
        }
        let mut seen = BTreeSet::new();
        for (field, words) in [("view", &self.view), ("cart", &self.cart), ("purchase", &self.purchase)] {
            if words.is_empty() {
                return Err(FeatureError::field(field, "[]", "at least one event type"));
            }
            for word in words {
                let word = word.trim().to_lowercase();
                if word.is_empty() || !seen.insert(word.clone()) {
                    return Err(FeatureError::field(field, format!("`{word}`"), "each event type named once"));
                }
            }
        }
        Ok(())
    }
}
