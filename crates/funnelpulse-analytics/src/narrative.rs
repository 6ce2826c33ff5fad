//! An incident in plain English.

use std::fmt;

use funnelpulse_core::Timestamp;

use crate::{Decomposition, Deviation, Localization, RowClock, Similar, short};

/// The known facts of an incident; displayed, they are a paragraph of text.
///
/// Parts that are not known are not mentioned. The same facts make the same text.
///
/// ```
/// use funnelpulse_analytics::Story;
/// use funnelpulse_core::Timestamp;
///
/// let start = Timestamp::from_seconds(1_572_076_800);
/// let story = Story {
///     end: Some(start.offset(3 * Timestamp::HOUR)),
///     revenue: Some(-955.0),
///     calendar: &["Saturday"],
///     ..Story::new("runail", "checkout_outage", start)
/// };
/// assert_eq!(
///     story.to_string(),
///     "Checkout outage in runail from 2019-10-26T08:00:00Z to 2019-10-26T11:00:00Z (3 hours). \
///      Revenue is 955 below what was expected. Calendar: Saturday."
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Story<'a> {
    /// The series.
    pub series: &'a str,
    /// The kind of incident; `_` is read as a space.
    pub kind: &'a str,
    /// When it began.
    pub start: Timestamp,
    /// When it was over; `None` while it goes on.
    pub end: Option<Timestamp>,
    /// The time from start to end in words; by default in hours.
    pub length: Option<String>,
    /// Revenue above (positive) or below (negative) the expectation.
    pub revenue: Option<f64>,
    /// The interval of that, in any order.
    pub revenue_interval: Option<(f64, f64)>,
    /// Put behind amounts, for example `EUR`.
    pub currency: &'a str,
    /// The change by stages of the funnel.
    pub stages: Option<&'a Decomposition>,
    /// The place.
    pub places: Option<&'a Localization>,
    /// Words for the day.
    pub calendar: &'a [&'a str],
    /// The most similar past incident.
    pub similar: Option<&'a Similar>,
}

impl<'a> Story<'a> {
    /// A story of which no more is known than what, where and since when.
    ///
    /// ```
    /// use funnelpulse_analytics::Story;
    /// use funnelpulse_core::Timestamp;
    ///
    /// let text = Story::new("shop-a", "cart_break", Timestamp::from_seconds(0)).to_string();
    /// assert_eq!(text, "Cart break in shop-a since 1970-01-01T00:00:00Z, not over yet.");
    /// ```
    pub fn new(series: &'a str, kind: &'a str, start: Timestamp) -> Self {
        Self {
            series,
            kind,
            start,
            end: None,
            length: None,
            revenue: None,
            revenue_interval: None,
            currency: "",
            stages: None,
            places: None,
            calendar: &[],
            similar: None,
        }
    }

    fn money(&self, amount: f64) -> String {
        let space = if self.currency.is_empty() { "" } else { " " };
        format!("{}{space}{}", short(amount.abs()), self.currency)
    }

    fn opening(&self) -> String {
        let kind = self.kind.replace('_', " ");
        let mut letters = kind.chars();
        let kind: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        match self.end {
            None => format!("{kind} in {} since {}, not over yet.", self.series, self.start),
            Some(end) => {
                let length = self.length.clone().unwrap_or_else(|| RowClock::default().length(self.start, end));
                format!("{kind} in {} from {} to {end} ({length}).", self.series, self.start)
            }
        }
    }

    fn cost(&self) -> Option<String> {
        let revenue = self.revenue.filter(|r| r.is_finite())?;
        let side = if revenue < 0.0 { "below" } else { "above" };
        let interval = self.revenue_interval.filter(|(a, b)| a.is_finite() && b.is_finite()).map(interval_in_words);
        Some(format!("Revenue is {} {side} what was expected{}.", self.money(revenue), interval.unwrap_or_default()))
    }

    fn stage(&self) -> Option<String> {
        let parts = self.stages?;
        let Some(stage) = parts.broken_stage() else {
            return Some("No single stage of the funnel stands out.".to_owned());
        };
        let (observed, expected) = (stage.observed, stage.expected);
        let change = Deviation::new("", observed, expected, f64::NAN).change();
        let change = change.map_or_else(String::new, |change| format!(" ({change})"));
        let share = 100.0 * stage.contribution / parts.change();
        // Stages of opposite sign have shares above 100 %, which are not informative.
        let share = if (0.5..100.5).contains(&share) { format!(", {share:.0} % of the change") } else { String::new() };
        let name = stage.name.replace('_', " ");
        Some(format!("It shows most in {name}: {} instead of {}{change}{share}.", short(observed), short(expected)))
    }

    fn place(&self) -> Option<String> {
        let places = self.places.filter(|p| !p.causes.is_empty())?;
        if let [only] = &places.causes[..] {
            if only.combination.pairs.is_empty() {
                return Some("It is the same everywhere.".to_owned());
            }
        }
        Some(format!("It is found in {places}."))
    }
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.opening())?;
        for sentence in [self.cost(), self.stage(), self.place()].into_iter().flatten() {
            write!(f, " {sentence}")?;
        }
        if !self.calendar.is_empty() {
            write!(f, " Calendar: {}.", self.calendar.join(", "))?;
        }
        if let Some(similar) = self.similar {
            write!(f, " Most like {} ({:.0} % alike).", similar.id, 100.0 * similar.similarity)?;
        }
        Ok(())
    }
}

/// The ends of an interval: both on the side that the sentence names, or one on either side.
fn interval_in_words((low, high): (f64, f64)) -> String {
    if low < 0.0 && high > 0.0 {
        return format!(" (from {} below to {} above)", short(-low), short(high));
    }
    let (least, most) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
    format!(" (between {} and {})", short(least), short(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribution, FunnelTotals, Leaves, LocalizeConfig, Localizer, decompose_funnel};

    const START: Timestamp = Timestamp::from_seconds(1_572_076_800);

    #[test]
    fn an_interval_that_holds_zero_has_an_end_on_either_side() {
        assert_eq!(interval_in_words((-1010.0, -820.0)), " (between 820 and 1010)");
        assert_eq!(interval_in_words((-1123.0, 364.0)), " (from 1123 below to 364 above)");
        assert_eq!(interval_in_words((209.0, 923.0)), " (between 209 and 923)");
    }

    #[test]
    fn the_whole_story() {
        let observed = FunnelTotals { views: 4000.0, carts: 600.0, purchases: 20.0, revenue: 100.0 };
        let expected = FunnelTotals { purchases: 200.0, revenue: 1000.0, ..observed };
        let stages = decompose_funnel(observed, expected, Attribution::Lmdi).unwrap();
        let mut leaves = Leaves::new(["device"]);
        leaves.push(&[Some("mobile")], 0.0, 180.0).unwrap();
        leaves.push(&[Some("desktop")], 20.0, 20.0).unwrap();
        let places = Localizer::new(LocalizeConfig::default()).unwrap().localize(&leaves);
        let similar = Similar { id: "runail@2019-09-01".into(), similarity: 0.824 };
        let story = Story {
            end: Some(START.offset(Timestamp::HOUR)),
            revenue: Some(-900.0),
            revenue_interval: Some((-820.0, -1010.0)),
            currency: "EUR",
            stages: Some(&stages),
            places: Some(&places),
            calendar: &["Saturday", "day before the end of summer time"],
            similar: Some(&similar),
            ..Story::new("runail", "checkout_outage", START)
        };
        assert_eq!(
            story.to_string(),
            "Checkout outage in runail from 2019-10-26T08:00:00Z to 2019-10-26T09:00:00Z (1 hour). \
             Revenue is 900 EUR below what was expected (between 820 and 1010). \
             It shows most in purchase rate: 0.033 instead of 0.333 (-90 %), 100 % of the change. \
             It is found in device = mobile: 0 instead of 180, 100 % of the change. \
             Calendar: Saturday, day before the end of summer time. \
             Most like runail@2019-09-01 (82 % alike)."
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let story = Story::new("all", "", START);
        assert_eq!(story.to_string(), " in all since 2019-10-26T08:00:00Z, not over yet.");
        let totals = FunnelTotals { views: 1.0, carts: 1.0, purchases: 1.0, revenue: 1.0 };
        let stages = decompose_funnel(totals, totals, Attribution::Shapley).unwrap();
        let places = Localization::default();
        let story = Story {
            revenue: Some(f64::NAN),
            stages: Some(&stages),
            places: Some(&places),
            ..Story::new("all", "spike", START)
        };
        assert_eq!(
            story.to_string(),
            "Spike in all since 2019-10-26T08:00:00Z, not over yet. No single stage of the funnel stands out."
        );
    }
}
