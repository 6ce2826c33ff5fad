//! The input schema as data.

use std::collections::BTreeSet;

use funnelpulse_core::{CalendarEntry, Columns, Zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FeatureError;

/// The name of a series whose key is null or empty.
pub const NO_KEY: &str = "(none)";

/// The meaning of the columns of a table of regular rows (one per series and hour).
///
/// The default is the shop funnel; any other table is described the same way.
///
/// ```
/// use funnelpulse_features::PanelSpec;
///
/// let spec: PanelSpec = toml::from_str(r#"
///     time = "minute"
///     keys = ["region", "service"]
///     step_seconds = 60
///     metrics = [
///         { name = "requests", kind = "count" },
///         { name = "errors", kind = "count", aliases = ["failures"] },
///         { name = "error_rate", kind = "rate", numerator = "errors", denominator = "requests" },
///     ]
/// "#)?;
/// spec.validate()?;
/// assert_eq!(spec.columns().joined(), "requests, errors");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PanelSpec {
    /// The column that holds the start of the row's window.
    pub time: String,
    /// Other names under which the time column is accepted.
    pub time_aliases: Vec<String>,
    /// The columns whose values together name the series. Empty: the whole table is one series.
    pub keys: Vec<String>,
    /// The measures, in order.
    pub metrics: Vec<MetricSpec>,
    /// Length of a window in seconds; the times of all rows are whole steps apart.
    pub step_seconds: u64,
    /// The meaning of an absent row.
    pub absent: Absent,
    /// The treatment of a series whose rows are not in order of time.
    pub unsorted: Unsorted,
    /// What to do with several rows of a series for one window.
    pub duplicates: Duplicates,
    /// The IANA time zone of the shop, for example `Europe/Berlin`. It is the `timezone` of every other
    /// section that has none of its own: of `read` (times without an offset), `features` (hours and days)
    /// and `incidents` (daily and weekly profiles). UTC by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Holidays, promotions, mailings, for all series, in local times of `timezone`. They are the `calendar` of every
    /// detector that has such a setting and none of its own: of `incidents`, `seasonal` and `zscore`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendar: Vec<CalendarEntry>,
}

impl Default for PanelSpec {
    fn default() -> Self {
        Self::funnel()
    }
}

impl PanelSpec {
    /// The funnel of a shop per brand and hour: views, carts (also `cart_additions`), purchases
    /// and revenue, and the rates between them.
    pub fn funnel() -> Self {
        let carts = MetricSpec { aliases: vec!["cart_additions".into()], ..MetricSpec::count("carts") };
        Self {
            time: "window_start".into(),
            time_aliases: Vec::new(),
            keys: vec!["brand".into()],
            metrics: vec![
                MetricSpec::count("views"),
                carts,
                MetricSpec::count("purchases"),
                MetricSpec::amount("revenue"),
                MetricSpec::rate("view_to_cart", "carts", "views"),
                MetricSpec::rate("cart_to_purchase", "purchases", "carts"),
                MetricSpec::rate("conversion_rate", "purchases", "views"),
                MetricSpec::rate("revenue_per_view", "revenue", "views"),
                MetricSpec::rate("average_order_value", "revenue", "purchases"),
            ],
            step_seconds: 3_600,
            absent: Absent::Unknown,
            unsorted: Unsorted::Refuse,
            duplicates: Duplicates::Error,
            timezone: None,
            calendar: Vec::new(),
        }
    }

    /// The metrics that are stored, in order: counts and amounts. Rates are derived from them and
    /// never stored.
    ///
    /// # Panics
    /// When the specification has no valid columns; [`validate`](Self::validate) refuses those.
    pub fn columns(&self) -> Columns {
        Columns::new(self.stored().map(|m| m.name.as_str())).expect("validated metric names are unique and not empty")
    }

    /// The counts and amounts, in order.
    pub fn stored(&self) -> impl Iterator<Item = &MetricSpec> {
        self.metrics.iter().filter(|m| !matches!(m.kind, MetricKind::Rate { .. }))
    }

    /// Checks that every name is there once, that rates name stored metrics, that the step is
    /// between a second and a leap year, and that the entries of the calendar can be used.
    pub fn validate(&self) -> Result<(), FeatureError> {
        if self.step_seconds == 0 || self.step_seconds > 366 * 86_400 {
            return Err(FeatureError::field("step_seconds", self.step_seconds, "1 to 31622400"));
        }
        if let Some(name) = self.timezone.as_ref().filter(|name| jiff::tz::TimeZone::get(name).is_err()) {
            return Err(FeatureError::field(
                "timezone",
                format!("`{name}`"),
                "an IANA time zone, such as Europe/Berlin",
            ));
        }
        self.validate_calendar()?;
        if self.stored().next().is_none() {
            return Err(FeatureError::field("metrics", "[]", "at least one count or amount"));
        }
        let mut seen = BTreeSet::new();
        let names = std::iter::once(("time", &self.time))
            .chain(self.time_aliases.iter().map(|a| ("time_aliases", a)))
            .chain(self.keys.iter().map(|k| ("keys", k)))
            .chain(self.metrics.iter().map(|m| ("metrics", &m.name)))
            .chain(self.metrics.iter().flat_map(|m| m.aliases.iter().map(|a| ("aliases", a))));
        for (field, name) in names {
            if name.trim().is_empty() {
                return Err(FeatureError::field(field, format!("`{name}`"), "a name that is not empty"));
            }
            if !seen.insert(name.as_str()) {
                return Err(FeatureError::field(field, format!("`{name}`"), "each column named once"));
            }
        }
        let stored = self.columns();
        for metric in &self.metrics {
            if let MetricKind::Rate { numerator, denominator } = &metric.kind {
                for (field, name) in [("numerator", numerator), ("denominator", denominator)] {
                    if stored.position(name).is_none() {
                        let (name, available) = (name.clone(), stored.joined());
                        return Err(FeatureError::UnknownMetric { field, name, available });
                    }
                }
                if !metric.aliases.is_empty() {
                    return Err(FeatureError::Metric {
                        name: metric.name.clone(),
                        reason: "a rate is derived, never read, and has no aliases",
                    });
                }
            }
        }
        Ok(())
    }

    fn validate_calendar(&self) -> Result<(), FeatureError> {
        let zone = Zone::new(self.timezone.as_deref().unwrap_or_default())?;
        for entry in &self.calendar {
            entry.instants(&zone)?;
            if !entry.series.is_empty() {
                let reason = "it is for some series only (allowed here: entries without series; those with series belong \
                              into `incidents.calendar`)";
                return Err(entry.refuse(reason).into());
            }
        }
        Ok(())
    }
}

/// One measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MetricForm", into = "MetricForm")]
pub struct MetricSpec {
    /// The name of the column.
    pub name: String,
    /// Other names under which the column is accepted.
    pub aliases: Vec<String>,
    /// The kind of the numbers.
    pub kind: MetricKind,
}

/// The kind of the numbers of a metric, which determines their noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Number of events: never negative.
    Count,
    /// A sum of anything, such as money. May be negative (refunds).
    Amount,
    /// One stored metric divided by another; missing where the denominator is zero.
    Rate {
        /// The metric above the line.
        numerator: String,
        /// The metric below the line: the exposure of the rate.
        denominator: String,
    },
}

impl MetricSpec {
    /// A count.
    pub fn count(name: impl Into<String>) -> Self {
        Self { name: name.into(), aliases: Vec::new(), kind: MetricKind::Count }
    }

    /// An amount.
    pub fn amount(name: impl Into<String>) -> Self {
        Self { name: name.into(), aliases: Vec::new(), kind: MetricKind::Amount }
    }

    /// A rate.
    pub fn rate(name: impl Into<String>, numerator: impl Into<String>, denominator: impl Into<String>) -> Self {
        let kind = MetricKind::Rate { numerator: numerator.into(), denominator: denominator.into() };
        Self { name: name.into(), aliases: Vec::new(), kind }
    }
}

/// The meaning of an absent row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// Nothing is known about that window.
    #[default]
    Unknown,
    /// Nothing happened, provided that the feed worked, which any row of any series in that
    /// window shows. Rows of zeros are inserted from the first row of the series to the last
    /// window of the table.
    Empty,
}

/// The treatment of a series whose rows are not in order of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unsorted {
    /// Report the series and leave it out: disorder is often a sign of a broken export.
    #[default]
    Refuse,
    /// Sort it.
    Sort,
}

/// What to do with several rows of a series for one window. Rows that are the same in every metric are
/// one row, whatever this says, except that `sum` adds them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Report the series and leave it out: rows that contradict each other are often a sign of a
    /// broken export, or of a key that is missing.
    #[default]
    Error,
    /// Add them up: for counts and amounts of parts of the series.
    Sum,
    /// Take the first row, in the order of the table.
    First,
    /// Take the last row, in the order of the table: for corrections that are appended.
    Last,
    /// Take the mean: for measurements.
    Mean,
}

/// A metric as it is written in a file: the kind's fields beside the name.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetricForm {
    /// The name of the column.
    name: String,
    /// Other names under which the column is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    /// The kind of the numbers.
    kind: KindForm,
    /// For a rate: the stored metric above the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numerator: Option<String>,
    /// For a rate: the stored metric below the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denominator: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    /// Number of events.
    Count,
    /// A sum, such as money.
    Amount,
    /// One stored metric divided by another.
    Rate,
}

impl JsonSchema for MetricSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MetricSpec".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        MetricForm::json_schema(generator)
    }
}

impl TryFrom<MetricForm> for MetricSpec {
    type Error = FeatureError;

    fn try_from(form: MetricForm) -> Result<Self, FeatureError> {
        let fail = |name: &str, reason| Err(FeatureError::Metric { name: name.to_owned(), reason });
        let kind = match (form.kind, form.numerator, form.denominator) {
            (KindForm::Rate, Some(numerator), Some(denominator)) => MetricKind::Rate { numerator, denominator },
            (KindForm::Rate, ..) => return fail(&form.name, "a rate needs a `numerator` and a `denominator`"),
            (KindForm::Count, None, None) => MetricKind::Count,
            (KindForm::Amount, None, None) => MetricKind::Amount,
            _ => return fail(&form.name, "only a rate has a `numerator` and a `denominator`"),
        };
        Ok(Self { name: form.name, aliases: form.aliases, kind })
    }
}

impl From<MetricSpec> for MetricForm {
    fn from(spec: MetricSpec) -> Self {
        let (kind, numerator, denominator) = match spec.kind {
            MetricKind::Count => (KindForm::Count, None, None),
            MetricKind::Amount => (KindForm::Amount, None, None),
            MetricKind::Rate { numerator, denominator } => (KindForm::Rate, Some(numerator), Some(denominator)),
        };
        Self { name: spec.name, aliases: spec.aliases, kind, numerator, denominator }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_funnel_accepts_the_original_name_of_carts() {
        let funnel = PanelSpec::funnel();
        let aliases = |name: &str| &funnel.metrics.iter().find(|m| m.name == name).unwrap().aliases;
        assert_eq!(aliases("carts"), &["cart_additions"]);
        assert!(aliases("views").is_empty());
    }

    #[test]
    fn survives_json_and_toml() {
        let spec = PanelSpec::funnel();
        spec.validate().unwrap();
        assert_eq!(serde_json::from_str::<PanelSpec>(&serde_json::to_string(&spec).unwrap()).unwrap(), spec);
        assert_eq!(toml::from_str::<PanelSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        let schema = serde_json::to_string(&schemars::schema_for!(PanelSpec)).unwrap();
        assert!(schema.contains("numerator"), "{schema}");
    }

    #[test]
    fn refuses_what_is_not_a_schema() {
        let message = |text: &str| match toml::from_str::<PanelSpec>(text) {
            Ok(spec) => spec.validate().unwrap_err().to_string(),
            Err(error) => error.message().to_owned(),
        };
        assert!(message("step_seconds = 0").contains("step_seconds = 0 is not allowed: 1 to 31622400"));
        let calendar = |series: &str, end: &str| {
            let entry =
                format!("name = 'sale', kind = 'sale', series = [{series}], start = '2024-03-01', end = '{end}'");
            message(&format!("calendar = [{{{entry}}}]"))
        };
        assert_eq!(calendar("", "soon"), "calendar entry `sale`: `soon` is no date or time");
        assert!(calendar("'acme'", "2024-03-02").contains("`sale`: it is for some series only"));
        assert!(message("timezone = 'Mars'").contains("timezone = `Mars` is not allowed: an IANA time zone"));
        assert!(message("keys = ['views']").contains("metrics = `views` is not allowed: each column named once"));
        assert!(message("metrics = []").contains("at least one count or amount"));
        assert!(message("stepseconds = 1").contains("unknown field `stepseconds`"));
        let rate = "metrics = [{name='a', kind='count'}, {name='r', kind='rate', numerator='a', denominator='b'}]";
        assert!(message(rate).contains("denominator names `b`, which is not a metric (there are: a)"));
        assert!(message("metrics = [{name='r', kind='rate'}]").contains("metric `r`: a rate needs"));
        assert!(message("metrics = [{name='r', kind='count', numerator='x'}]").contains("only a rate has"));
        assert!(message("metrics = [{name='r', kind='count', unit='x'}]").contains("unknown field `unit`"));
        let alias = "metrics = [{name='a', kind='count'}, {name='r', aliases=['s'], kind='rate', numerator='a', denominator='a'}]";
        assert!(message(alias).contains("has no aliases"));
    }

    #[test]
    fn a_step_is_a_second_to_a_leap_year() {
        for (step_seconds, good) in [(0, false), (1, true), (31_622_400, true), (31_622_401, false)] {
            let spec = PanelSpec { step_seconds, ..PanelSpec::funnel() };
            assert_eq!(spec.validate().is_ok(), good, "{step_seconds}");
        }
    }
}
