//! Incidents, explained.

use funnelpulse_core::{Episode, Funnel, IncidentKind, SITE, SeriesKey, Severity, Timestamp, Verdict};
use serde::Serialize;

use crate::{
    AlertConfig, Attribution, Decomposition, Impact, Level, Place, Priority, Profile, RowClock, Similar, Story,
    decompose_levels, most_similar,
};

/// Number of past incidents of a series to compare with.
const PAST: usize = 100;
/// A change of revenue below this share is not mentioned.
const NOTHING: f64 = 0.005;
/// Past incidents less similar than this are not mentioned.
const ALIKE: f64 = 0.5;
/// The names of the rates between the steps of a funnel.
pub(crate) const RATES: [&str; 4] = ["traffic", "cart_rate", "purchase_rate", "order_value"];

/// One cause, from its first to its last hour: kind, impact, broken stage, place, and a summary in
/// words.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
/// # use found::{episode, verdict};
/// # fn main() {
/// use funnelpulse_analytics::{AlertConfig, Incident, RowClock};
///
/// // An outage in the last two of three hours, which cost 400 of revenue.
/// let verdicts = [verdict(0.1, 0.5), verdict(0.9, 0.5), verdict(0.9, 0.5)];
/// let incidents = Incident::explain((&AlertConfig::default(), &RowClock::default()), None, &verdicts, &[episode()]);
/// assert_eq!(
///     incidents[0].summary,
///     "Checkout outage in shop-a since 1970-01-01T01:00:00Z, not over yet. \
///      Revenue is 400 below what was expected (between 300 and 500). Calendar: Thursday, night."
/// );
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Names the series, the kind and the first hour.
    pub id: String,
    /// The series, `(site)` for what all series share, or `(group)` for what several show at the same hours.
    pub series: SeriesKey,
    /// The series of a group, in order of their names; empty for any other incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<SeriesKey>,
    /// The incident of the group that this one is a part of, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind.
    pub kind: IncidentKind,
    /// Its first hour.
    #[serde(serialize_with = "rfc3339")]
    pub start: Timestamp,
    /// The end of its last hour.
    #[serde(serialize_with = "rfc3339")]
    pub end: Timestamp,
    /// True if it lasts until the end of the data.
    pub ongoing: bool,
    /// The severity.
    pub severity: Severity,
    /// The urgency.
    pub priority: Priority,
    /// Probability that it is an incident at all.
    pub probability: f64,
    /// Probability of its kind, given that it is one.
    pub kind_probability: f64,
    /// Visits, carts, purchases and revenue as they were, NaN (in JSON: null) where there is no
    /// such step.
    pub observed: [f64; 4],
    /// The same as expected.
    pub expected: [f64; 4],
    /// Revenue gained (positive) or lost (negative) and conversions lost (positive) or gained, on
    /// average over chance.
    pub impact: Impact,
    /// The range that holds the revenue impact with a probability of 90 %.
    pub revenue_interval: Option<(f64, f64)>,
    /// The stage of the funnel that broke; `None` where none stands out.
    pub stage: Option<String>,
    /// Per stage of the funnel, its part in the change of revenue; they add up to the whole change.
    pub stages: Vec<(String, f64)>,
    /// The place, once [located](crate::Findings::locate_incidents).
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The most similar earlier incident of the series, if any is alike.
    pub similar: Option<Similar>,
    /// All of this in words.
    pub summary: String,
    /// Its rows within the series, first and last.
    #[serde(skip)]
    pub rows: (usize, usize),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field so")]
fn rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

impl Incident {
    /// Whether somebody should hear of it: an incident of a series always, one of the whole site when
    /// something is broken or revenue is lost. A busy day of the shop is no alarm.
    pub fn is_alarm(&self) -> bool {
        self.series.as_str() != SITE || self.kind.breaks_the_site() || self.impact.revenue.is_some_and(|r| r < 0.0)
    }

    /// True if it brings more revenue than expected and no stage of the funnel is broken: a promotion that works, say.
    pub fn is_opportunity(&self) -> bool {
        is_gain(self.kind, self.impact)
    }

    /// Explains the episodes of one series, in order of time. `settings` are those of priorities and the clock of the
    /// texts, `verdicts` those of its rows.
    ///
    /// # Panics
    /// When an episode lies beyond the last verdict.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::{episode, verdict};
    /// # fn main() {
    /// use funnelpulse_analytics::{AlertConfig, Incident, RowClock};
    ///
    /// // The outage of hours 1 and 2 is over in hour 3.
    /// let verdicts = [0.1, 0.9, 0.9, 0.1].map(|score| verdict(score, 0.5));
    /// let incidents = Incident::explain((&AlertConfig::default(), &RowClock::default()), None, &verdicts, &[episode()]);
    /// assert_eq!((incidents[0].rows, incidents[0].ongoing), ((1, 2), false));
    /// assert_eq!(incidents[0].impact.revenue, Some(-400.0));
    /// # }
    /// ```
    pub fn explain(
        settings: (&AlertConfig, &RowClock),
        funnel: Option<&Funnel>,
        verdicts: &[Verdict],
        episodes: &[Episode],
    ) -> Vec<Self> {
        let mut past: Vec<Profile> = Vec::new();
        let mut explained = Vec::with_capacity(episodes.len());
        for episode in episodes {
            let severities = verdicts[episode.rows.0..=episode.rows.1].iter().filter_map(|v| v.severity);
            let severity = severities.max().unwrap_or(Severity::Low);
            let ongoing = episode.rows.1 + 1 == verdicts.len();
            let name = episode.series.as_str();
            explained.push(one(settings, funnel, (episode, name), severity, ongoing, &mut past));
        }
        explained
    }

    /// Explains what all series share; `end` is the time of the last row of all.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::episode;
    /// # fn main() {
    /// use funnelpulse_analytics::{AlertConfig, Incident, RowClock};
    /// use funnelpulse_core::Severity;
    ///
    /// let site = Incident::explain_site((&AlertConfig::default(), &RowClock::default()), None, &[episode()], None);
    /// assert_eq!(site[0].severity, Severity::Critical);
    /// # }
    /// ```
    pub fn explain_site(
        settings: (&AlertConfig, &RowClock),
        funnel: Option<&Funnel>,
        episodes: &[Episode],
        end: Option<Timestamp>,
    ) -> Vec<Self> {
        let mut past = Vec::new();
        let explain = |episode: &Episode| {
            // A shop that is broken is worse than one of its brands; a busy one is no harm.
            let severity = match episode.kind.breaks_the_site() {
                true => Severity::Critical,
                false if episode.revenue_loss > 0.0 => Severity::High,
                false => Severity::Low,
            };
            let ongoing = end.is_some_and(|end| episode.last >= end.floor_to(Timestamp::HOUR));
            one(settings, funnel, (episode, "the whole site"), severity, ongoing, &mut past)
        };
        episodes.iter().map(explain).collect()
    }
}

/// Explains one episode, of what the text calls by the name beside it.
pub(crate) fn one(
    (alerts, clock): (&AlertConfig, &RowClock),
    funnel: Option<&Funnel>,
    (raw, name): (&Episode, &str),
    severity: Severity,
    ongoing: bool,
    past: &mut Vec<Profile>,
) -> Incident {
    let id = format!("{}@{}:{}", raw.series, raw.start, raw.kind);
    let end = raw.end;
    let known = |v: f64| v.is_finite().then_some(v);
    let lost = raw.expected[2] * (1.0 - raw.purchase_factor);
    let impact = Impact { revenue: known(0.0 - raw.revenue_loss), lost_conversions: known(lost) };
    let (low, high) = raw.revenue_loss_interval;
    let revenue_interval = (low.is_finite() && high.is_finite()).then_some((0.0 - high, 0.0 - low));
    let decomposition = funnel.and_then(|funnel| decompose(funnel, raw));
    let stage = raw
        .kind
        .stage()
        .map(str::to_owned)
        .or_else(|| decomposition.as_ref().and_then(Decomposition::broken_stage).map(|s| s.name.to_string()));
    let stages: Vec<(String, f64)> =
        decomposition.iter().flat_map(|d| &d.stages).map(|s| (s.name.to_string(), s.contribution)).collect();
    let calendar = clock.words(raw.start);
    let profile = Profile {
        id: id.clone(),
        kind: raw.kind.to_string(),
        contributions: stages.iter().map(|(name, part)| (name.as_str().into(), *part)).collect(),
        calendar: calendar.iter().map(|word| (*word).to_owned()).collect(),
    };
    let similar = remember(profile, past);
    // A kind that is the failure of one stage may move another's numbers more: purchases per
    // recorded visit rise when visits are not recorded.
    let agrees = |d: &&Decomposition| {
        let shows = d.broken_stage().map(|s| &*s.name);
        raw.kind.stage().is_none() || shows.is_none() || raw.kind.stage() == shows
    };
    // Without an expected revenue any change is worth a word.
    let costs = |revenue: &f64| raw.expected[3].is_nan() || revenue.abs() >= NOTHING * raw.expected[3].abs();
    let summary = Story {
        end: (!ongoing).then_some(end),
        length: Some(clock.length(raw.start, end)),
        revenue: impact.revenue.filter(costs),
        revenue_interval,
        stages: decomposition.as_ref().filter(agrees),
        calendar: &calendar,
        similar: similar.as_ref(),
        ..Story::new(
            name,
            if raw.kind == IncidentKind::Unexplained { "unexplained anomaly" } else { raw.kind.as_str() },
            raw.start,
        )
    }
    .to_string();
    Incident {
        id,
        series: raw.series.clone(),
        members: Vec::new(),
        group: None,
        kind: raw.kind,
        start: raw.start,
        end,
        ongoing,
        severity,
        priority: priority(raw.kind, severity, impact, alerts),
        probability: raw.probability,
        kind_probability: raw.kind_probability,
        observed: raw.observed,
        expected: raw.expected,
        impact,
        revenue_interval,
        stage,
        stages,
        place: None,
        similar,
        summary,
        rows: raw.rows,
    }
}

/// The most urgent is a loss or a broken stage: what brings more than expected can wait an hour.
fn priority(kind: IncidentKind, severity: Severity, impact: Impact, alerts: &AlertConfig) -> Priority {
    let priority = Priority::of(severity, impact, alerts);
    if is_gain(kind, impact) { priority.max(Priority::P2) } else { priority }
}

fn is_gain(kind: IncidentKind, impact: Impact) -> bool {
    kind.stage().is_none() && impact.revenue.is_some_and(|revenue| revenue > 0.0)
}

/// Adds an incident to those that came before; the one of these that it is most like, if they are alike.
fn remember(profile: Profile, past: &mut Vec<Profile>) -> Option<Similar> {
    let similar = most_similar(&profile, past, 1).into_iter().find(|s| s.similarity >= ALIKE);
    if past.len() == PAST {
        past.remove(0);
    }
    past.push(profile);
    similar
}

/// The change of revenue, or of the last step there is, by stages.
fn decompose(funnel: &Funnel, raw: &Episode) -> Option<Decomposition> {
    let levels: Vec<Level> = funnel
        .steps()
        .into_iter()
        .zip(RATES)
        .enumerate()
        .filter_map(|(step, (name, rate))| Some(Level::new(name?, rate, raw.observed[step], raw.expected[step])))
        .collect();
    decompose_levels(&levels, Attribution::Lmdi).ok()
}
