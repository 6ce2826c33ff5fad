//! Features of the clock and the calendar.

use funnelpulse_core::Timestamp;
use jiff::tz::TimeZone;

use super::BusinessHours;

pub(super) const NAMES: [&str; 6] = ["hour", "day_of_week", "day_of_month", "month", "is_weekend", "is_business_hours"];

#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) zone: TimeZone,
    pub(super) business: BusinessHours,
}

impl Clock {
    /// The values of [`NAMES`]; missing outside the years -9999 to 9999.
    pub(super) fn read(&self, time: Timestamp) -> [f64; 6] {
        let Ok(time) = jiff::Timestamp::from_microsecond(time.as_micros()) else { return [f64::NAN; 6] };
        let local = self.zone.to_datetime(time);
        let weekday = local.weekday().to_monday_zero_offset();
        let business = (self.business.start as i8..self.business.end as i8).contains(&local.hour());
        [
            f64::from(local.hour()),
            f64::from(weekday),
            f64::from(local.day()),
            f64::from(local.month()),
            f64::from(u8::from(weekday >= 5)),
            f64::from(u8::from(business)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_local_clocks() {
        let read = |zone: &str, text: &str| {
            let clock = Clock { zone: TimeZone::get(zone).unwrap(), business: BusinessHours::default() };
            clock.read(funnelpulse_core::parse_timestamp(text).unwrap())
        };
        // A Friday evening in UTC is a Saturday morning in Tokyo.
        assert_eq!(read("UTC", "2019-10-04T17:00:00Z"), [17.0, 4.0, 4.0, 10.0, 0.0, 1.0]);
        assert_eq!(read("Asia/Tokyo", "2019-10-04T17:00:00Z"), [2.0, 5.0, 5.0, 10.0, 1.0, 0.0]);
        // Summer time ends in Berlin on 27 October 2019: two hours with the number 2.
        assert_eq!(read("Europe/Berlin", "2019-10-27T00:00:00Z")[0], 2.0);
        assert_eq!(read("Europe/Berlin", "2019-10-27T01:00:00Z")[0], 2.0);
        let clock = Clock { zone: TimeZone::UTC, business: BusinessHours::default() };
        assert!(clock.read(Timestamp::from_micros(i64::MAX)).iter().all(|v| v.is_nan()));
    }
}
