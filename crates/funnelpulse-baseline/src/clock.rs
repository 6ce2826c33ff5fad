//! The hour of the day or week of a time, in the time zone of those who make the rows.

use funnelpulse_core::{CalendarError, Timestamp, Zone};
use serde::{Deserialize, Serialize};

use crate::{Season, calendar::Calendar, effects::Effect};

/// The name of the time zone in which local time is the time of the rows.
pub(crate) const UTC: &str = "UTC";

/// A season, never [`Season::Auto`], and the time zone whose hours it counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clock {
    season: Season,
    /// `None` for UTC.
    zone: Option<(String, Zone)>,
}

/// Season, time zone and calendar in a file. The first four are the seasons of models from before there were time
/// zones, and those from before there were calendars end before the last.
#[derive(Serialize, Deserialize)]
pub(crate) enum Stored {
    Auto,
    None,
    HourOfDay,
    HourOfWeek,
    LocalHourOfDay(String),
    LocalHourOfWeek(String),
    /// Season and time zone, the calendar, and the effects of its names.
    Calendar(Season, String, Calendar, Vec<Effect>),
}

impl Stored {
    pub(crate) fn new(clock: &Clock, calendar: &Calendar, effects: &[Effect]) -> Self {
        let zone = clock.zone.as_ref().map(|(name, _)| name.clone());
        if !calendar.is_empty() {
            return Self::Calendar(clock.season, zone.unwrap_or_default(), calendar.clone(), effects.to_vec());
        }
        match (clock.season, zone) {
            (Season::Auto, _) => Self::Auto,
            (Season::None, _) => Self::None,
            (Season::HourOfDay, None) => Self::HourOfDay,
            (Season::HourOfDay, Some(name)) => Self::LocalHourOfDay(name),
            (Season::HourOfWeek, None) => Self::HourOfWeek,
            (Season::HourOfWeek, Some(name)) => Self::LocalHourOfWeek(name),
        }
    }

    pub(crate) fn open(self) -> Result<(Clock, Calendar, Vec<Effect>), CalendarError> {
        let (season, zone, calendar, effects) = match self {
            Self::Auto => (Season::Auto, None, Calendar::default(), Vec::new()),
            Self::None => (Season::None, None, Calendar::default(), Vec::new()),
            Self::HourOfDay => (Season::HourOfDay, None, Calendar::default(), Vec::new()),
            Self::HourOfWeek => (Season::HourOfWeek, None, Calendar::default(), Vec::new()),
            Self::LocalHourOfDay(zone) => (Season::HourOfDay, Some(zone), Calendar::default(), Vec::new()),
            Self::LocalHourOfWeek(zone) => (Season::HourOfWeek, Some(zone), Calendar::default(), Vec::new()),
            Self::Calendar(season, zone, calendar, effects) => (season, Some(zone), calendar, effects),
        };
        Ok((Clock::new(season, zone.as_deref().unwrap_or(UTC))?, calendar, effects))
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
        let store = |clock: &Clock| postcard::to_allocvec(&Stored::new(clock, &Calendar::default(), &[])).unwrap();
        let read = |bytes: &[u8]| postcard::from_bytes::<Stored>(bytes).unwrap().open().unwrap().0;
        for season in [Season::Auto, Season::None, Season::HourOfDay, Season::HourOfWeek] {
            let old = postcard::to_allocvec(&season).unwrap();
            let clock = Clock::new(season, "").unwrap();
            assert_eq!(store(&clock), old);
            assert_eq!(read(&old), clock);
        }
        let local = Clock::new(Season::HourOfWeek, "America/New_York").unwrap();
        assert_eq!(read(&store(&local)), local);
    }
}
