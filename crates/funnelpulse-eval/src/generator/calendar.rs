//! Seasons of the shop that all brands share.

use funnelpulse_core::Timestamp;

/// Relative traffic by hour of the day, UTC: few visitors from 21 to 3 h, as in the shop that the
/// generator is calibrated on.
const HOURS: [f64; 24] = [
    0.25, 0.28, 0.40, 0.62, 0.90, 1.15, 1.35, 1.45, 1.50, 1.52, 1.52, 1.50, 1.45, 1.40, 1.38, 1.42, 1.50, 1.60, 1.60,
    1.35, 0.90, 0.55, 0.35, 0.26,
];

/// Relative traffic by day of the week from Monday.
const WEEKDAYS: [f64; 7] = [1.06, 1.07, 1.05, 1.03, 0.98, 0.88, 0.93];

/// Days that come every year with more or less traffic and conversion than others.
struct Holiday {
    /// First and last day as month and day.
    first: (i8, i8),
    last: (i8, i8),
    traffic: f64,
    conversion: f64,
}

/// Peaks and lulls of the year. They are normal, not anomalies.
const HOLIDAYS: [Holiday; 11] = [
    Holiday { first: (11, 7), last: (11, 8), traffic: 1.25, conversion: 1.2 },
    Holiday { first: (11, 21), last: (11, 24), traffic: 1.5, conversion: 1.3 },
    Holiday { first: (11, 28), last: (11, 30), traffic: 1.3, conversion: 1.2 },
    Holiday { first: (12, 15), last: (12, 24), traffic: 1.2, conversion: 1.1 },
    Holiday { first: (12, 31), last: (12, 31), traffic: 0.55, conversion: 0.8 },
    Holiday { first: (1, 1), last: (1, 2), traffic: 0.5, conversion: 0.8 },
    Holiday { first: (1, 3), last: (1, 8), traffic: 0.75, conversion: 0.95 },
    Holiday { first: (2, 12), last: (2, 14), traffic: 1.2, conversion: 1.1 },
    Holiday { first: (2, 20), last: (2, 22), traffic: 1.15, conversion: 1.1 },
    Holiday { first: (3, 5), last: (3, 7), traffic: 1.4, conversion: 1.2 },
    Holiday { first: (3, 8), last: (3, 8), traffic: 0.7, conversion: 0.9 },
];

/// Place of an hour in the calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) hour: usize,
    /// 0 = Monday.
    pub(super) weekday: usize,
    holiday: (f64, f64),
}

impl Moment {
    pub(super) fn of(time: Timestamp) -> Self {
        let micros = time.as_micros();
        let days = micros.div_euclid(Timestamp::DAY);
        let hour = micros.rem_euclid(Timestamp::DAY) / Timestamp::HOUR;
        // 1970-01-01 was a Thursday.
        Self { hour: hour as usize, weekday: (days + 3).rem_euclid(7) as usize, holiday: holiday(time) }
    }

    /// Relative traffic, about 1 on average.
    pub(super) fn traffic(self) -> f64 {
        let mean = HOURS.iter().sum::<f64>() / 24.0;
        HOURS[self.hour] / mean * WEEKDAYS[self.weekday] * self.holiday.0
    }

    /// Relative conversion.
    pub(super) fn conversion(self) -> f64 {
        self.holiday.1
    }
}

fn holiday(time: Timestamp) -> (f64, f64) {
    let date = jiff::Timestamp::from_microsecond(time.as_micros())
        .expect("the configured years are within jiff's")
        .to_zoned(jiff::tz::TimeZone::UTC);
    let day = (date.month(), date.day());
    HOLIDAYS
        .iter()
        .find(|holiday| (holiday.first..=holiday.last).contains(&day))
        .map_or((1.0, 1.0), |holiday| (holiday.traffic, holiday.conversion))
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::parse_timestamp;

    use super::*;

    #[test]
    fn knows_the_calendar() {
        let friday = Moment::of(parse_timestamp("2019-11-22 17:00:00").unwrap());
        assert_eq!((friday.hour, friday.weekday), (17, 4));
        assert_eq!(friday.conversion(), 1.3);
        let night = Moment::of(parse_timestamp("2019-10-14 00:00:00").unwrap());
        assert_eq!((night.weekday, night.conversion()), (0, 1.0));
        assert!(friday.traffic() > 5.0 * night.traffic());
    }
}
