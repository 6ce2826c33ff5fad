//! Local time of a shop.

use funnelpulse_core::{Timestamp, Zone};

use crate::{IncidentError, grid::Grid};

/// Hours in a week.
pub(crate) const WEEK: usize = 168;
/// Hours of a working day and of a day at the weekend.
pub(crate) const DAY_TYPES: usize = 48;

/// The time zone in which people shop: daily and weekly patterns follow local time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    zone: Zone,
}

impl Clock {
    /// Looks up an IANA name such as `Europe/Berlin`; an empty name is UTC.
    pub(crate) fn new(name: &str) -> Result<Self, IncidentError> {
        let unknown = |_| IncidentError::TimeZone { name: name.to_owned() };
        Ok(Self { zone: Zone::new(name).map_err(unknown)? })
    }

    /// The hour of the local week (0 is Monday, midnight to one) of every hour of the grid.
    pub(crate) fn cells(&self, grid: Grid) -> Vec<u8> {
        (0..grid.hours).map(|hour| self.cell(grid.time(hour))).collect()
    }

    fn cell(&self, time: Timestamp) -> u8 {
        // 1970-01-01 was a Thursday.
        let local = (time.as_micros() + self.zone.offset(time)).div_euclid(Timestamp::HOUR) + 3 * 24;
        local.rem_euclid(WEEK as i64) as u8
    }

    /// The time zone.
    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Reads an instant (RFC 3339 with an offset) or a local date or date and time.
    #[cfg(test)]
    pub(crate) fn parse(&self, text: &str) -> Option<Timestamp> {
        self.zone.instant(text)
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
