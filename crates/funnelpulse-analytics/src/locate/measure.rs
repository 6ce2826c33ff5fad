//! Measures that may have changed.

use std::{fmt, str::FromStr};

use funnelpulse_features::Counts;
use serde::Serialize;

/// A measure of the funnel: a sum, or a ratio, which is explained given its denominator.
///
/// ```
/// use funnelpulse_analytics::Measure;
///
/// let measure: Measure = "cart_rate".parse()?;
/// assert_eq!(measure, Measure::CartRate);
/// assert_eq!(measure.in_words(), "carts given views");
/// assert!(measure.is_ratio());
/// # Ok::<(), funnelpulse_analytics::UnknownMeasure>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Views.
    Views,
    /// Products put into a cart.
    Carts,
    /// Purchases.
    Purchases,
    /// Revenue.
    Revenue,
    /// Carts per view.
    CartRate,
    /// Purchases per cart.
    PurchaseRate,
    /// Purchases per view.
    Conversion,
    /// Revenue per purchase.
    OrderValue,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Views,
        Self::Carts,
        Self::Purchases,
        Self::Revenue,
        Self::CartRate,
        Self::PurchaseRate,
        Self::Conversion,
        Self::OrderValue,
    ];

    /// The name in command lines and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Carts => "carts",
            Self::Purchases => "purchases",
            Self::Revenue => "revenue",
            Self::CartRate => "cart_rate",
            Self::PurchaseRate => "purchase_rate",
            Self::Conversion => "conversion",
            Self::OrderValue => "order_value",
        }
    }

    /// The measure that a stage of the funnel is seen in, by the stage's name: `traffic`,
    /// `cart_rate`, `purchase_rate` or `order_value`. Stages that were joined because one between
    /// is missing are seen in revenue.
    ///
    /// ```
    /// use funnelpulse_analytics::Measure;
    ///
    /// assert_eq!(Measure::of_stage("traffic"), Measure::Views);
    /// assert_eq!(Measure::of_stage("cart_rate x purchase_rate"), Measure::Conversion);
    /// ```
    pub fn of_stage(stage: &str) -> Self {
        match stage {
            "views" | "traffic" => Self::Views,
            "cart_rate" => Self::CartRate,
            "purchase_rate" => Self::PurchaseRate,
            "cart_rate x purchase_rate" => Self::Conversion,
            "order_value" => Self::OrderValue,
            _ => Self::Revenue,
        }
    }

    /// The measure in words: `purchases given carts`.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Carts => "carts",
            Self::Purchases => "purchases",
            Self::Revenue => "revenue",
            Self::CartRate => "carts given views",
            Self::PurchaseRate => "purchases given carts",
            Self::Conversion => "purchases given views",
            Self::OrderValue => "revenue given purchases",
        }
    }

    /// True if it is one number per another.
    pub const fn is_ratio(self) -> bool {
        matches!(self, Self::CartRate | Self::PurchaseRate | Self::Conversion | Self::OrderValue)
    }

    pub(super) const fn is_money(self) -> bool {
        matches!(self, Self::Revenue | Self::OrderValue)
    }

    /// Its position among views, carts, purchases and revenue, where it is one of these sums.
    pub(super) const fn component(self) -> Option<usize> {
        match self {
            Self::Views => Some(0),
            Self::Carts => Some(1),
            Self::Purchases => Some(2),
            Self::Revenue => Some(3),
            _ => None,
        }
    }

    /// Value and denominator, which is 1 for a sum.
    pub(super) fn of(self, counts: &Counts) -> (f64, f64) {
        let (views, carts, purchases) = (counts.views as f64, counts.carts as f64, counts.purchases as f64);
        match self {
            Self::Views => (views, 1.0),
            Self::Carts => (carts, 1.0),
            Self::Purchases => (purchases, 1.0),
            Self::Revenue => (counts.revenue(), 1.0),
            Self::CartRate => (carts, views),
            Self::PurchaseRate => (purchases, carts),
            Self::Conversion => (purchases, views),
            Self::OrderValue => (counts.revenue(), purchases),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no measure.
///
/// ```
/// use funnelpulse_analytics::Measure;
///
/// let error = "sales".parse::<Measure>().unwrap_err();
/// assert!(error.to_string().starts_with("`sales` is no measure (there are: views, carts"));
/// ```
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no measure (there are: {all})", all = Measure::ALL.map(Measure::as_str).join(", "))]
pub struct UnknownMeasure(String);

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(name: &str) -> Result<Self, UnknownMeasure> {
        Self::ALL.into_iter().find(|m| m.as_str() == name).ok_or_else(|| UnknownMeasure(name.to_owned()))
    }
}
