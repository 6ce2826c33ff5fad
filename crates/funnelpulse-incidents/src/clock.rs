//! Local time of a shop.

use funnelpulse_core::Timestamp;
use jiff::tz::TimeZone;

use crate::{IncidentError, grid::Grid};

/// Hours in a week.
pub(crate) const WEEK: usize = 168;
/// Hours of a working day and of a day at the weekend.
pub(crate) const DAY_TYPES: usize = 48;

/// The time zone in which people shop: daily and weekly patterns follow local time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// Looks up an IANA name such as `Europe/Berlin`; an empty name is UTC.
    pub(crate) fn new(name: &str) -> Result<Self, IncidentError> {
        let unknown = |_| IncidentError::TimeZone { name: name.to_owned() };
        let zone = if name.is_empty() { TimeZone::UTC } else { TimeZone::get(name).map_err(unknown)? };
        Ok(Self { zone })
    }

    /// The hour of the local week (0 is Monday, midnight to one) of every hour of the grid.
    pub(crate) fn cells(&self, grid: Grid) -> Vec<u8> {
        (0..grid.hours).map(|hour| self.cell(grid.time(hour))).collect()
    }

    fn cell(&self, time: Timestamp) -> u8 {
        let seconds = time.as_micros().div_euclid(Timestamp::SECOND);
        let offset = jiff::Timestamp::from_second(seconds).map_or(0, |t| i64::from(self.zone.to_offset(t).seconds()));
        // 1970-01-01 was a Thursday.
        let local = (seconds + offset).div_euclid(3600) + 3 * 24;
        local.rem_euclid(WEEK as i64) as u8
    }

    /// Reads an instant (RFC 3339 with an offset) or a local date or date and time.
    pub(crate) fn parse(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp::from_micros(instant.as_microsecond()));
        }
        let local = text.parse::<jiff::civil::DateTime>().ok()?;
        let zoned = local.to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
    }
}

/// Hour of the day, with those of Saturday and Sunday apart.
pub(crate) fn day_type(cell: u8) -> usize {
    let cell = usize::from(cell);
    cell % 24 + if cell >= 5 * 24 { 24 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_follow_daylight_saving_time() {
        let berlin = Clock::new("Europe/Berlin").unwrap();
        let at = |text: &str| usize::from(berlin.cell(berlin.parse(text).unwrap()));
        // Monday, 8 h, in summer and in winter.
        assert_eq!(at("2024-07-01T08:00:00"), 8);
        assert_eq!(at("2024-12-02T08:00:00"), 8);
        assert_eq!(at("2024-12-02T08:00:00Z"), 9);
        assert!(matches!(Clock::new("Europe/Atlantis"), Err(IncidentError::TimeZone { .. })));
    }

    #[test]
    fn weekends_have_cells_of_their_own() {
        assert_eq!(day_type(4 * 24 + 7), 7);
        assert_eq!(day_type(5 * 24 + 7), 31);
        assert!((0..WEEK as u8).all(|cell| day_type(cell) < DAY_TYPES));
    }
}
