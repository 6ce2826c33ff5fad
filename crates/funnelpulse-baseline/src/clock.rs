//! The hour of the day or week of a time, in the time zone of those who make the rows.

use funnelpulse_core::{CalendarError, Timestamp, Zone};
use serde::{Deserialize, Serialize};

use crate::Season;

/// The name of the time zone in which local time is the time of the rows.
pub(crate) const UTC: &str = "UTC";

/// A season, never [`Season::Auto`], and the time zone whose hours it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(crate) struct Clock {
    season: Season,
    /// `None` for UTC.
    zone: Option<(String, Zone)>,
}

/// The content of a file. The first four are the seasons of models from before there were time zones.
#[derive(Serialize, Deserialize)]
enum Stored {
    Auto,
    None,
    HourOfDay,
    HourOfWeek,
    LocalHourOfDay(String),
    LocalHourOfWeek(String),
}

impl From<Clock> for Stored {
    fn from(Clock { season, zone }: Clock) -> Self {
        match (season, zone) {
            (Season::Auto, _) => Self::Auto,
            (Season::None, _) => Self::None,
            (Season::HourOfDay, None) => Self::HourOfDay,
            (Season::HourOfDay, Some((name, _))) => Self::LocalHourOfDay(name),
            (Season::HourOfWeek, None) => Self::HourOfWeek,
            (Season::HourOfWeek, Some((name, _))) => Self::LocalHourOfWeek(name),
        }
    }
}

impl TryFrom<Stored> for Clock {
    type Error = CalendarError;

    fn try_from(stored: Stored) -> Result<Self, CalendarError> {
        match stored {
            Stored::Auto => Self::new(Season::Auto, UTC),
            Stored::None => Self::new(Season::None, UTC),
            Stored::HourOfDay => Self::new(Season::HourOfDay, UTC),
            Stored::HourOfWeek => Self::new(Season::HourOfWeek, UTC),
            Stored::LocalHourOfDay(zone) => Self::new(Season::HourOfDay, &zone),
            Stored::LocalHourOfWeek(zone) => Self::new(Season::HourOfWeek, &zone),
        }
    }
}

impl Clock {
    /// Looks up an IANA name such as `Europe/Berlin`; an empty name is UTC.
    pub(crate) fn new(season: Season, timezone: &str) -> Result<Self, CalendarError> {
        let is_local = !timezone.is_empty() && timezone != UTC && season.bins() > 1;
        let zone = Zone::new(timezone)?;
        Ok(Self { season, zone: is_local.then(|| (timezone.to_owned(), zone)) })
    }

    pub(crate) fn season(&self) -> Season {
        self.season
    }

    /// Number of bins.
    pub(crate) fn bins(&self) -> usize {
        self.season.bins()
    }

    /// The bin of each time.
    pub(crate) fn bins_of(&self, time: &[Timestamp]) -> Vec<usize> {
        time.iter().map(|time| self.bin(*time)).collect()
    }

    fn bin(&self, time: Timestamp) -> usize {
        let offset = self.zone.as_ref().map_or(0, |(_, zone)| zone.offset(time));
        let hour = time.as_micros().saturating_add(offset).div_euclid(Timestamp::HOUR);
        hour.rem_euclid(self.bins() as i64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_follow_daylight_saving_time() {
        let berlin = Clock::new(Season::HourOfDay, "Europe/Berlin").unwrap();
        let zone = Zone::new("Europe/Berlin").unwrap();
        let at = |text: &str| berlin.bin(zone.instant(text).unwrap());
        assert_eq!((at("2024-07-01T08:00:00"), at("2024-12-02T08:00:00")), (8, 8));
        assert_eq!(at("2024-07-01T08:00:00Z"), 10);
        assert!(Clock::new(Season::HourOfDay, "Europe/Atlantis").is_err());
    }

    #[test]
    fn files_from_before_there_were_time_zones_are_those_of_utc() {
        for season in [Season::Auto, Season::None, Season::HourOfDay, Season::HourOfWeek] {
            let old = postcard::to_allocvec(&season).unwrap();
            let clock = Clock::new(season, "").unwrap();
            assert_eq!(postcard::to_allocvec(&clock).unwrap(), old);
            assert_eq!(postcard::from_bytes::<Clock>(&old).unwrap(), clock);
        }
        let local = Clock::new(Season::HourOfWeek, "America/New_York").unwrap();
        let bytes = postcard::to_allocvec(&local).unwrap();
        assert_eq!(postcard::from_bytes::<Clock>(&bytes).unwrap(), local);
    }
}
