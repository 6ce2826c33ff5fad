//! Names of incidents, by what they do to each step.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of incident. The names in text and in files are in `snake_case`.
///
/// ```
/// use funnelpulse_core::IncidentKind;
///
/// let kind = IncidentKind::CheckoutOutage;
/// assert_eq!(kind.to_string(), "checkout_outage");
/// assert_eq!(kind.stage(), Some("purchase_rate"));
/// assert!(kind.breaks_the_site());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IncidentKind {
    /// Visitors come and choose, but fewer buy.
    CheckoutOutage,
    /// Purchases go on, the visits that lead to them are not recorded.
    TrackingOutage,
    /// Visits that never buy.
    BotTraffic,
    /// More visitors and more buyers per visitor.
    Promotion,
    /// Prices far off.
    PriceError,
    /// Fewer and fewer purchases over days.
    GradualDegradation,
    /// All steps on another level for a day or longer.
    LevelShift,
    /// More traffic, with as many purchases per visit as ever.
    Spike,
    /// Less traffic, with as many purchases per visit as ever.
    Dip,
    /// Fewer visitors get anything into the cart.
    CartBreak,
    /// None of the other kinds fits.
    Unexplained,
}

impl IncidentKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::CheckoutOutage,
        Self::TrackingOutage,
        Self::BotTraffic,
        Self::Promotion,
        Self::PriceError,
        Self::GradualDegradation,
        Self::LevelShift,
        Self::Spike,
        Self::Dip,
        Self::CartBreak,
        Self::Unexplained,
    ];

    /// The name in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckoutOutage => "checkout_outage",
            Self::TrackingOutage => "tracking_outage",
            Self::BotTraffic => "bot_traffic",
            Self::Promotion => "promotion",
            Self::PriceError => "price_error",
            Self::GradualDegradation => "gradual_degradation",
            Self::LevelShift => "level_shift",
            Self::Spike => "spike",
            Self::Dip => "dip",
            Self::CartBreak => "cart_break",
            Self::Unexplained => "unexplained",
        }
    }

    /// True if the kind, found in all series at once, means that something is broken. Any other
    /// kind that they share, such as a holiday or a campaign, is demand.
    ///
    /// ```
    /// use funnelpulse_core::IncidentKind;
    ///
    /// assert!(IncidentKind::TrackingOutage.breaks_the_site());
    /// assert!(!IncidentKind::Promotion.breaks_the_site());
    /// ```
    pub const fn breaks_the_site(self) -> bool {
        matches!(
            self,
            Self::CheckoutOutage | Self::TrackingOutage | Self::BotTraffic | Self::PriceError | Self::CartBreak
        )
    }

    /// The stage of the funnel that it is the failure of: `traffic`, `cart_rate`, `purchase_rate`
    /// or `order_value`; `None` for kinds that are no failure of one stage.
    pub const fn stage(self) -> Option<&'static str> {
        match self {
            Self::CheckoutOutage | Self::GradualDegradation => Some("purchase_rate"),
            Self::TrackingOutage | Self::BotTraffic => Some("traffic"),
            Self::PriceError => Some("order_value"),
            Self::CartBreak => Some("cart_rate"),
            Self::Promotion | Self::LevelShift | Self::Spike | Self::Dip | Self::Unexplained => None,
        }
    }

    /// Its position in [`Self::ALL`].
    ///
    /// ```
    /// use funnelpulse_core::IncidentKind;
    ///
    /// let mut counts = [0; IncidentKind::ALL.len()];
    /// counts[IncidentKind::Dip.index()] += 1;
    /// assert_eq!(IncidentKind::ALL[IncidentKind::Dip.index()], IncidentKind::Dip);
    /// # assert_eq!(counts.iter().sum::<i32>(), 1);
    /// ```
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_never_breaks_the_site() {
        let broken: Vec<&str> = IncidentKind::ALL.iter().filter(|k| k.breaks_the_site()).map(|k| k.as_str()).collect();
        assert_eq!(broken, ["checkout_outage", "tracking_outage", "bot_traffic", "price_error", "cart_break"]);
    }

    #[test]
    fn kinds_have_their_place_and_the_stage_that_fails() {
        for (index, kind) in IncidentKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
            let stage = match kind.as_str() {
                "checkout_outage" | "gradual_degradation" => Some("purchase_rate"),
                "tracking_outage" | "bot_traffic" => Some("traffic"),
                "price_error" => Some("order_value"),
                "cart_break" => Some("cart_rate"),
                _ => None,
            };
            assert_eq!(kind.stage(), stage, "{kind}");
        }
    }
}
