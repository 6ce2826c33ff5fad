//! Past incidents like this one.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use serde::Serialize;

/// The properties by which incidents are compared.
///
/// ```
/// use funnelpulse_analytics::Profile;
///
/// let outage = Profile { kind: "checkout_outage".into(), ..Profile::default() };
/// let promotion = Profile { kind: "promotion".into(), ..Profile::default() };
/// assert_eq!((outage.similarity(&outage), outage.similarity(&promotion)), (1.0, 0.0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Its id.
    pub id: String,
    /// Its kind, for example `checkout_outage`.
    pub kind: String,
    /// Per metric or stage its signed part in the incident, on any scale.
    pub contributions: Vec<(Arc<str>, f64)>,
    /// Words for when it was, for example `saturday`, `night`, `black friday`.
    pub calendar: Vec<String>,
}

/// A past incident and how much it is like the one at hand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Similar {
    /// Its id.
    pub id: String,
    /// 0 (nothing in common) to 1.
    pub similarity: f64,
}

impl Profile {
    /// Similarity of two incidents, 0 to 1, symmetric: the mean of same kind
    /// (0 or 1), the cosine between the contributions (below 0 counts as 0) and the shared part of
    /// the calendar words. What neither of them has doesn't count.
    ///
    /// ```
    /// use funnelpulse_analytics::Profile;
    ///
    /// let dip = |calendar: &[&str]| Profile {
    ///     kind: "dip".into(),
    ///     calendar: calendar.iter().map(|word| (*word).to_owned()).collect(),
    ///     ..Profile::default()
    /// };
    /// // The kind is the same (1), and so is one of two words (0.5).
    /// assert_eq!(dip(&["monday"]).similarity(&dip(&["monday", "night"])), 0.75);
    /// ```
    pub fn similarity(&self, other: &Self) -> f64 {
        let parts = [self.same_kind(other), self.cosine(other), self.shared_calendar(other)];
        let known: Vec<f64> = parts.into_iter().flatten().collect();
        if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 }
    }

    fn same_kind(&self, other: &Self) -> Option<f64> {
        let known = !self.kind.is_empty() || !other.kind.is_empty();
        known.then(|| f64::from(u8::from(self.kind == other.kind)))
    }

    fn cosine(&self, other: &Self) -> Option<f64> {
        let (a, b) = (self.direction(), other.direction());
        if a.is_empty() && b.is_empty() {
            return None;
        }
        let part = |(name, value): &(&Arc<str>, f64)| {
            b.iter().find(|(other, _)| other == name).map_or(0.0, |(_, other)| value * other)
        };
        Some(a.iter().map(part).sum::<f64>().clamp(0.0, 1.0))
    }

    /// The contributions scaled to length one; the first of a name counts.
    fn direction(&self) -> Vec<(&Arc<str>, f64)> {
        let mut seen = BTreeSet::new();
        let known = self.contributions.iter().filter(|(name, value)| value.is_finite() && seen.insert(name));
        let known: Vec<_> = known.map(|(name, value)| (name, *value)).collect();
        let largest = known.iter().map(|(_, v)| v.abs()).fold(0.0, f64::max);
        if largest == 0.0 {
            return Vec::new();
        }
        let length = known.iter().map(|(_, v)| (v / largest).powi(2)).sum::<f64>().sqrt();
        known.into_iter().map(|(name, v)| (name, v / largest / length)).collect()
    }

    fn shared_calendar(&self, other: &Self) -> Option<f64> {
        let words = |profile: &Self| profile.calendar.iter().map(|w| w.to_lowercase()).collect::<BTreeSet<_>>();
        let (a, b) = (words(self), words(other));
        let all = a.union(&b).count();
        (all > 0).then(|| a.intersection(&b).count() as f64 / all as f64)
    }
}

/// The `k` past incidents most like `incident`, most alike first, those of equal similarity in the
/// order given; itself (same id) and those with nothing in common are left out.
///
/// ```
/// use funnelpulse_analytics::{Profile, most_similar};
///
/// let profile = |id: &str, kind: &str, rate: f64| Profile {
///     id: id.into(),
///     kind: kind.into(),
///     contributions: vec![("purchase_rate".into(), rate), ("views".into(), 5.0)],
///     calendar: vec!["saturday".into()],
/// };
/// let past = [profile("a", "bot_traffic", 1.0), profile("b", "checkout_outage", -80.0)];
/// let found = most_similar(&profile("now", "checkout_outage", -90.0), &past, 1);
/// assert_eq!(found[0].id, "b");
/// assert!(found[0].similarity > 0.99);
/// ```
pub fn most_similar(incident: &Profile, past: &[Profile], k: usize) -> Vec<Similar> {
    let others = past.iter().filter(|p| p.id != incident.id);
    let mut found: Vec<Similar> = others
        .map(|p| Similar { id: p.id.clone(), similarity: incident.similarity(p) })
        .filter(|s| s.similarity > 0.0)
        .collect();
    found.sort_by(|a, b| b.similarity.partial_cmp(&a.similarity).unwrap_or(Ordering::Equal));
    found.truncate(k);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, views: f64, calendar: &[&str]) -> Profile {
        Profile {
            id: format!("{kind}{views}"),
            kind: kind.into(),
            contributions: vec![("views".into(), views)],
            calendar: calendar.iter().map(|w| (*w).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_alike_and_what_is_not() {
        let outage = of("outage", -3.0, &["saturday", "night"]);
        assert_eq!(outage.similarity(&outage), 1.0);
        assert_eq!(Profile::default().similarity(&Profile::default()), 0.0);
        assert_eq!(outage.similarity(&of("spike", 3.0, &["sunday"])), 0.0);
        let half = of("outage", 3.0, &["SATURDAY"]);
        assert_eq!(outage.similarity(&half), 0.5);
        assert_eq!(half.similarity(&outage), 0.5);
        assert!(most_similar(&outage, &[outage.clone(), of("spike", 3.0, &[])], 9).is_empty());
    }

    #[test]
    fn missing_numbers_are_unknown() {
        let broken = of("outage", f64::NAN, &[]);
        assert_eq!(broken.similarity(&broken), 1.0);
        assert_eq!(broken.similarity(&of("outage", 1e300, &[])), 0.5);
    }
}
