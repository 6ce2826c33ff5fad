//! The kinds of anomaly and what they do to the funnel.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EvalError;

/// The size of the anomalies; the effect sizes are tabulated in the [module](super).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// Obvious in a plot.
    Easy,
    /// Visible against the usual course of the series.
    #[default]
    Medium,
    /// Near the noise.
    Hard,
}

impl Difficulty {
    pub(super) fn pick<T>(self, easy: T, medium: T, hard: T) -> T {
        match self {
            Self::Easy => easy,
            Self::Medium => medium,
            Self::Hard => hard,
        }
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("easy", "medium", "hard"))
    }
}

/// Reads what `Display` writes.
///
/// ```
/// use funnelpulse_eval::generator::Difficulty;
///
/// assert_eq!("hard".parse::<Difficulty>()?, Difficulty::Hard);
/// assert!("Hard?".parse::<Difficulty>().unwrap_err().to_string().contains("easy, medium, hard"));
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
impl FromStr for Difficulty {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        [Self::Easy, Self::Medium, Self::Hard]
            .into_iter()
            .find(|difficulty| difficulty.to_string() == text)
            .ok_or_else(|| EvalError::parameter("difficulty", text, "easy, medium, hard"))
    }
}

/// The kind of an anomaly. The names in text and in files are in `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// Customers fill carts but can't pay.
    CheckoutOutage,
    /// Views are not recorded; carts and purchases go on.
    TrackingOutage,
    /// Views by machines, which buy nothing.
    BotTraffic,
    /// More traffic, much more sales, lower prices.
    Promotion,
    /// Prices far too low, and customers notice.
    PriceError,
    /// Conversion sinks little by little.
    GradualDegradation,
    /// All steps move to another level, up or down, and stay there for days.
    LevelShift,
    /// One hour with far more of everything.
    Spike,
    /// One hour with far less of everything.
    Dip,
    /// The cart button fails: views go on, carts and with them purchases break away.
    CartBreak,
    /// Traffic that is normal, but for another time of day.
    WrongHour,
    /// Carts and purchases no longer follow views, though each alone looks normal.
    CorrelationBreak,
    /// Traffic, cart rate, purchase rate and order value, each up, down or unchanged, as none of the other kinds has it.
    Combination,
}

/// The variety of the anomalies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variety {
    /// Named kinds with the sizes and lengths of the table in the [module](super).
    #[default]
    Tabulated,
    /// Half of the anomalies are of named kinds, half are combinations; sizes and lengths come from continuous ranges
    /// and onsets are steps, ramps or decays.
    Open,
}

/// Reads the name that files have.
///
/// ```
/// use funnelpulse_eval::generator::Variety;
///
/// assert_eq!("open".parse::<Variety>()?, Variety::Open);
/// assert!("any".parse::<Variety>().unwrap_err().to_string().contains("tabulated, open"));
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
impl FromStr for Variety {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        match text {
            "tabulated" => Ok(Self::Tabulated),
            "open" => Ok(Self::Open),
            _ => Err(EvalError::parameter("variety", text, "tabulated, open")),
        }
    }
}

impl fmt::Display for Variety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tabulated => "tabulated",
            Self::Open => "open",
        })
    }
}

/// Factors on the clean rates of one hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Effect {
    pub(super) views: f64,
    pub(super) carts: f64,
    pub(super) purchases: f64,
    pub(super) price: f64,
    /// Views too take the share below from another hour.
    pub(super) views_displaced: bool,
    /// Share of the rates that is taken from the hour `shift` hours later.
    pub(super) displaced: f64,
    pub(super) shift: usize,
}

impl Effect {
    pub(super) const NONE: Self =
        Self { views: 1.0, carts: 1.0, purchases: 1.0, price: 1.0, views_displaced: false, displaced: 0.0, shift: 0 };

    pub(super) fn steps(views: f64, carts: f64, purchases: f64) -> Self {
        Self { views, carts, purchases, ..Self::NONE }
    }
}

impl AnomalyKind {
    /// Every kind with a name; a [`Combination`](Self::Combination) has none.
    pub const ALL: [Self; 12] = [
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
        Self::WrongHour,
        Self::CorrelationBreak,
    ];

    /// The name in files and reports.
    ///
    /// ```
    /// use funnelpulse_eval::generator::AnomalyKind;
    ///
    /// assert_eq!(AnomalyKind::CheckoutOutage.as_str(), "checkout_outage");
    /// assert_eq!(AnomalyKind::Dip.to_string(), "dip");
    /// ```
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
            Self::WrongHour => "wrong_hour",
            Self::CorrelationBreak => "correlation_break",
            Self::Combination => "combination",
        }
    }

    /// Length in hours.
    pub(super) fn hours(self, difficulty: Difficulty) -> RangeInclusive<usize> {
        match self {
            Self::CheckoutOutage | Self::BotTraffic | Self::CartBreak => difficulty.pick(4..=10, 3..=8, 2..=6),
            Self::TrackingOutage => difficulty.pick(6..=12, 4..=10, 3..=6),
            Self::Promotion => 24..=48,
            Self::PriceError => difficulty.pick(8..=18, 6..=12, 4..=8),
            Self::GradualDegradation => 72..=120,
            Self::LevelShift => 48..=96,
            Self::Spike | Self::Dip => 1..=1,
            Self::WrongHour => difficulty.pick(6..=9, 5..=8, 4..=6),
            Self::CorrelationBreak => 24..=36,
            Self::Combination => difficulty.pick(6..=48, 4..=36, 2..=24),
        }
    }

    /// True if it starts in the busy part of the day: what is over in hours would often pass
    /// without a customer at night.
    pub(super) fn by_day(self) -> bool {
        matches!(
            self,
            Self::CheckoutOutage
                | Self::TrackingOutage
                | Self::BotTraffic
                | Self::PriceError
                | Self::Spike
                | Self::Dip
                | Self::CartBreak
        )
    }

    /// The effect after a share `progress` (above 0 to 1) of the event.
    pub(super) fn effect(self, difficulty: Difficulty, upwards: bool, progress: f64) -> Effect {
        match self {
            Self::CheckoutOutage => Effect::steps(1.0, 1.0, difficulty.pick(0.0, 0.25, 0.5)),
            Self::TrackingOutage => Effect::steps(difficulty.pick(0.0, 0.2, 0.5), 1.0, 1.0),
            Self::BotTraffic => Effect::steps(difficulty.pick(6.0, 3.0, 1.8), 1.0, 1.0),
            Self::Promotion => {
                let (views, carts, purchases, price) =
                    difficulty.pick((1.8, 2.2, 3.5, 0.75), (1.4, 1.6, 2.2, 0.8), (1.2, 1.3, 1.5, 0.85));
                Effect { price, ..Effect::steps(views, carts, purchases) }
            }
            Self::PriceError => {
                let (price, purchases) = difficulty.pick((0.1, 3.0), (0.4, 1.8), (0.7, 1.2));
                Effect { price, ..Effect::steps(1.0, 1.0, purchases) }
            }
            Self::GradualDegradation => {
                Effect::steps(1.0, 1.0, 1.0 - progress * (1.0 - difficulty.pick(0.2, 0.4, 0.6)))
            }
            Self::LevelShift => {
                let down = difficulty.pick(0.4, 0.6, 0.75);
                let level = if upwards { 1.0 / down } else { down };
                Effect::steps(level, level, level)
            }
            Self::Spike => {
                let level = difficulty.pick(5.0, 3.0, 2.0);
                Effect::steps(level, level, level)
            }
            Self::Dip => {
                let level = difficulty.pick(0.1, 0.25, 0.5);
                Effect::steps(level, level, level)
            }
            Self::CartBreak => {
                let carts = difficulty.pick(0.1, 0.35, 0.6);
                Effect::steps(1.0, carts, 1.0 - 0.8 * (1.0 - carts))
            }
            Self::WrongHour => {
                Effect { views_displaced: true, displaced: 1.0, shift: difficulty.pick(12, 9, 6), ..Effect::NONE }
            }
            Self::CorrelationBreak => Effect { displaced: difficulty.pick(1.0, 0.7, 0.4), shift: 12, ..Effect::NONE },
            // Fewer carts that buy more often.
            Self::Combination => {
                let carts = difficulty.pick(0.3, 0.5, 0.7);
                Effect::steps(1.0, carts, 1.0)
            }
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_text_and_in_files_are_the_same() {
        for kind in AnomalyKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
