//! Round places for the marks of an axis, and their labels.

use funnelpulse_core::{Timestamp, parse_timestamp};

use crate::number::separated;

/// Most marks of an axis: more labels of times would not stand side by side.
const MOST: f64 = 8.0;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Steps between two marks in seconds, from a second to two weeks.
const STEPS: [i64; 21] = [
    1,
    2,
    5,
    10,
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
];
/// 1970-01-05, a Monday: weeks start then.
const MONDAY: i64 = 4 * DAY;
/// Mean length of a month in the Gregorian calendar, in seconds.
const MONTH: f64 = 365.2425 * DAY as f64 / 12.0;
/// Steps in months, from a month to a century.
const MONTHS: [i64; 10] = [1, 2, 3, 6, 12, 24, 60, 120, 240, 1200];

/// Marks at whole seconds, minutes, hours, days, weeks, months or years between two times in seconds.
pub(super) fn of_times(first: f64, last: f64) -> Vec<f64> {
    let fits = |step: f64| (last - first) / step < MOST;
    let marks = match STEPS.into_iter().find(|step| fits(*step as f64)) {
        Some(step) => of_seconds(first, last, step),
        None => of_months(first, last, MONTHS.into_iter().find(|step| fits(*step as f64 * MONTH)).unwrap_or(MONTHS[9])),
    };
    // Less than a second, or not a time of the calendar.
    if marks.is_empty() { vec![first, last] } else { marks }
}

fn of_seconds(first: f64, last: f64, step: i64) -> Vec<f64> {
    let anchor = if step % (7 * DAY) == 0 { MONDAY as f64 } else { 0.0 };
    multiples(first - anchor, last - anchor, step as f64).map(|mark| mark + anchor).collect()
}

/// The multiples of a step from `first` to `last`.
fn multiples(first: f64, last: f64, step: f64) -> impl Iterator<Item = f64> {
    let (from, to) = ((first / step).ceil() as i64, (last / step).floor() as i64);
    (from..=to).map(move |number| number as f64 * step)
}

fn of_months(first: f64, last: f64, step: i64) -> Vec<f64> {
    let text = Timestamp::from_seconds(first as i64).to_string();
    let part = |range| text.get(range).and_then(|digits: &str| digits.parse::<i64>().ok());
    let Some((year, month)) = part(0..4).zip(part(5..7)) else { return Vec::new() };
    let start = (12 * year + month - 1).div_euclid(step) * step;
    let months = (0..).map(|number| start + number * step);
    let times = months.map_while(|month| {
        let date = format!("{:04}-{:02}-01", month.div_euclid(12), month.rem_euclid(12) + 1);
        parse_timestamp(&date).ok().map(|time| time.as_micros() as f64 / Timestamp::SECOND as f64)
    });
    times.take_while(|time| *time <= last).filter(|time| *time >= first).collect()
}

/// Marks at whole rows.
pub(super) fn of_rows(last: f64) -> Vec<f64> {
    let steps = (0..18).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
    let step = steps.into_iter().find(|step| last / step < MOST).unwrap_or(last);
    multiples(0.0, last, step).collect()
}

/// The label of a mark among others: a date where all of them are dates, else with the time of the day.
pub(super) fn time_label(mark: f64, marks: &[f64]) -> String {
    let all = |unit: i64| marks.iter().all(|mark| mark.rem_euclid(unit as f64) == 0.0);
    let shape = if all(DAY) {
        "2019-10-26"
    } else if all(MINUTE) {
        "2019-10-26 08:00"
    } else {
        "2019-10-26 08:00:00"
    };
    let text = Timestamp::from_seconds(mark as i64).to_string().replacen('T', " ", 1);
    text.get(..shape.len()).unwrap_or(&text).to_owned()
}

/// The label of a value on an axis of this length: as many decimals as marks need, none for whole numbers.
pub(super) fn value_label(value: f64, span: f64) -> String {
    /// An axis has at most so many marks of values.
    const MARKS: f64 = 10.0;
    /// On shorter axes, or for larger values, all digits have no room.
    const SHORTEST: f64 = 1e-6;
    const LARGEST: f64 = 1e15;
    if span < SHORTEST || value.abs() >= LARGEST {
        return format!("{value:.2e}");
    }
    let decimals = (-(span / MARKS).log10()).ceil().max(0.0) as usize;
    let text = format!("{:.decimals$}", value.abs());
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    separated(text, value < 0.0 && text != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(first: &str, last: &str) -> Vec<String> {
        let seconds = |text| parse_timestamp(text).unwrap().as_micros() as f64 / Timestamp::SECOND as f64;
        let marks = of_times(seconds(first), seconds(last));
        marks.iter().map(|mark| time_label(*mark, &marks)).collect()
    }

    #[test]
    fn times_are_marked_at_round_places() {
        // A week and a day around an hour, as `explain` draws it.
        let days = labels("2019-10-19 08:00", "2019-10-27 08:00");
        assert_eq!((days.len(), days[0].as_str()), (4, "2019-10-21"));
        assert_eq!(
            labels("2019-10-19 08:10", "2019-10-19 20:00"),
            [
                "2019-10-19 10:00",
                "2019-10-19 12:00",
                "2019-10-19 14:00",
                "2019-10-19 16:00",
                "2019-10-19 18:00",
                "2019-10-19 20:00"
            ]
        );
        assert_eq!(labels("2019-10-19 08:00:01", "2019-10-19 08:00:03").last().unwrap(), "2019-10-19 08:00:03");
        // Weeks start on a Monday.
        assert_eq!(labels("2019-10-02", "2019-11-15")[0], "2019-10-07");
        let months = labels("2019-01-15", "2019-08-20");
        assert_eq!((months[0].as_str(), months[6].as_str()), ("2019-02-01", "2019-08-01"));
        assert_eq!(labels("1999-06-01", "2024-01-01")[..2], ["2000-01-01", "2005-01-01"]);
    }

    #[test]
    fn whole_numbers_have_no_decimals() {
        assert_eq!([0.0, 250.0, 12_500.0, -50.0].map(|value| value_label(value, 300.0)), ["0", "250", "12,500", "−50"]);
        assert_eq!([0.0, 0.1 + 0.2, -0.5, 1.0].map(|value| value_label(value, 1.2)), ["0", "0.3", "−0.5", "1"]);
        assert_eq!(value_label(100.25, 0.5), "100.25");
        assert_eq!(value_label(2e-9, 1e-8), "2.00e-9");
        assert_eq!(of_rows(299.0), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]);
        assert_eq!(of_rows(3.0), [0.0, 1.0, 2.0, 3.0]);
    }
}
