use funnelpulse_features::{CubeBuilder, Event, EventSpec};

use super::*;

const START: i64 = 1_569_888_000; // 2019-10-01, a Tuesday

/// Seven weeks of two brands on two devices in two countries; `events` says how many views, carts
/// and purchases each hour of each has.
fn cube(hours: i64, events: impl Fn(i64, &str, &str, &str) -> [u32; 3]) -> Cube {
    let dimensions = vec!["device".to_owned(), "country".to_owned()];
    let spec = EventSpec { dimensions, ..EventSpec::default() };
    let mut cube = CubeBuilder::new(&spec, 3600).unwrap();
    for hour in 0..hours {
        for (brand, device, country) in all() {
            let counts = events(hour, brand, device, country);
            for (event_type, count) in ["view", "cart", "purchase"].into_iter().zip(counts) {
                for i in 0..count {
                    let user = format!("{brand}{device}{country}{i}");
                    let event = Event {
                        time: Timestamp::from_seconds(START + 3600 * hour + i64::from(i) % 3600),
                        event_type,
                        keys: &[Some(brand)],
                        product: Some("1"),
                        user: Some(&user),
                        session: None,
                        price: Some(2.5),
                    };
                    cube.push(&event, &[Some(device), Some(country)]);
                }
            }
        }
    }
    cube.finish()
}

fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ["a", "b"].into_iter().flat_map(|brand| {
        ["mobile", "desktop"]
            .into_iter()
            .flat_map(move |device| ["de", "fr", "it"].into_iter().map(move |country| (brand, device, country)))
    })
}

/// Weekends have half as much.
fn usual(hour: i64) -> [u32; 3] {
    let day = (hour / 24 + 1) % 7;
    if day >= 5 { [16, 8, 4] } else { [32, 16, 8] }
}

const HOURS: i64 = 24 * 29;

/// Brand `a` sells nothing to mobiles in the last three hours.
fn broken() -> Cube {
    cube(HOURS, |hour, brand, device, _| match usual(hour) {
        [views, carts, _] if hour >= HOURS - 3 && brand == "a" && device == "mobile" => [views, carts, 0],
        usual => usual,
    })
}

fn period(from: i64, to: i64) -> Period {
    let at = |hour| Timestamp::from_seconds(START + 3600 * hour);
    Period::new(at(from), at(to)).unwrap()
}

fn found(cube: &Cube, question: &Question<'_>) -> Result<Place, LocateError> {
    locate(cube, question, &LocalizeConfig::default())
}

#[test]
fn the_cause_is_found_and_its_measure() {
    let cube = broken();
    let question = Question::new(period(HOURS - 3, HOURS));
    let place = found(&cube, &question).unwrap();
    assert_eq!(place.measure, Measure::PurchaseRate);
    assert_eq!(
        place.to_string(),
        "brand = a, device = mobile: 0 instead of 72, 100 % of the change (purchases given carts)"
    );
    assert_eq!((place.observed, place.expected), ([1152.0, 576.0, 216.0, 540.0], [1152.0, 576.0, 288.0, 720.0]));
    assert_eq!((place.compared_with.len(), place.leaves), (4, 12));
    assert_eq!(place.compared_with[0], question.period.back(7 * Timestamp::DAY));
    let json = serde_json::to_value(&place).unwrap();
    assert_eq!(json["found"]["causes"][0]["combination"][1][1], "mobile");

    // In the series itself the brand is no attribute.
    let place = found(&cube, &Question { series: Some("a"), measure: Some(Measure::Purchases), ..question }).unwrap();
    assert!(place.to_string().starts_with("device = mobile: 0 instead of 72"), "{place}");
    let place = found(&cube, &Question { series: Some("b"), ..question }).unwrap();
    assert!(place.found.causes.is_empty(), "{place}");
    let country = ["country".to_owned()];
    let place = found(&cube, &Question { dimensions: &country, ..question }).unwrap();
    assert_eq!(place.leaves, 3);
    assert_eq!(place.to_string(), "no part of it stands out (purchases given carts)");
}

#[test]
fn a_change_of_the_mix_is_no_cause_of_a_ratio() {
    // Desktops buy half as often, and are four times as many as usual in the last hour.
    let cube = cube(HOURS, |hour, _, device, _| match (device, hour) {
        ("desktop", hour) if hour == HOURS - 1 => [128, 64, 16],
        ("desktop", _) => [32, 16, 4],
        _ => [32, 16, 8],
    });
    let question = Question::new(period(HOURS - 1, HOURS));
    let of = |measure| found(&cube, &Question { measure: Some(measure), ..question }).unwrap();
    assert!(of(Measure::Conversion).found.causes.is_empty());
    assert!(of(Measure::Views).to_string().starts_with("device = desktop: 768 instead of 192"));
    assert!(of(Measure::Revenue).to_string().starts_with("device = desktop: 240 instead of 60"));
}

#[test]
fn the_same_hours_are_compared() {
    // On a Saturday half of what a Friday has is usual.
    let cube = cube(24 * 33, |hour, _, _, _| usual(hour));
    let saturday = period(24 * 32, 24 * 32 + 12);
    let place = found(&cube, &Question { measure: Some(Measure::Views), ..Question::new(saturday) }).unwrap();
    assert_eq!(place.observed, place.expected);
    // With one week known days are compared, of which most are busier.
    let early = period(24 * 11, 24 * 11 + 12);
    let place = found(&cube, &Question { measure: Some(Measure::Views), ..Question::new(early) }).unwrap();
    assert_eq!(place.compared_with.len(), 11);
    let week = Question { history_days: 3, ..Question::new(early) };
    assert_eq!(found(&cube, &week).unwrap().compared_with.len(), 3);
}

#[test]
fn a_feed_that_was_down_is_not_taken_for_a_calm_time() {
    let start = HOURS - 4;
    let gap = |hour: i64| hour == start - 168 || (start - 2 * 168..start - 2 * 168 + 3).contains(&hour);
    let cube = cube(HOURS, |hour, _, _, _| if gap(hour) { [0; 3] } else { usual(hour) });
    let question = Question { measure: Some(Measure::Views), ..Question::new(period(start, HOURS)) };
    let place = found(&cube, &question).unwrap();
    // One of four hours is missing a week ago, three of four a week earlier.
    assert_eq!(place.compared_with.len(), 3);
    assert_eq!(place.observed[0], place.expected[0]);
    assert!(place.found.causes.is_empty() && (place.found.observed - place.found.expected).abs() < 1e-9);
}

#[test]
fn what_can_not_be_located_is_named() {
    let cube = cube(30, |_, _, _, _| [1, 1, 1]);
    let question = Question::new(period(26, 30));
    let message = |question: &Question<'_>| found(&cube, question).unwrap_err().to_string();
    assert!(found(&cube, &question).is_ok());
    assert_eq!(message(&Question { series: Some("aa"), ..question }), "there is no series `aa`, did you mean `a`?");
    let dimension = ["town".to_owned()];
    assert_eq!(
        message(&Question { dimensions: &dimension, ..question }),
        "there is no dimension `town` (there are: brand, device, country)"
    );
    let brand = ["brand".to_owned()];
    assert!(message(&Question { dimensions: &brand, series: Some("a"), ..question }).starts_with("no dimension"));
    let ends = " (events run from 2019-10-01 to 2019-10-02 05:00)";
    assert_eq!(
        message(&Question::new(period(300, 301))),
        format!("no event lies in 2019-10-13 12:00..2019-10-13 13:00{ends}")
    );
    assert_eq!(
        message(&Question::new(period(0, 3))),
        format!("nothing is known of the time before 2019-10-01..2019-10-01 03:00{ends}")
    );
    // Of less than a day the hours just before.
    let place = found(&cube, &Question::new(period(6, 8))).unwrap();
    assert_eq!(place.compared_with, [period(4, 6), period(2, 4), period(0, 2)]);
    let config = LocalizeConfig { dispersion: 0.0, ..LocalizeConfig::default() };
    assert!(locate(&cube, &question, &config).unwrap_err().to_string().starts_with("dispersion = 0 is out of range"));
    assert!(
        "sales".parse::<Measure>().unwrap_err().to_string().starts_with("`sales` is no measure (there are: views,")
    );
}

#[test]
fn windows_are_counted_that_are_looked_at() {
    let asked = period(24 * 10 + 5, 24 * 10 + 7);
    let windows = windows_to_locate([asked], 3600, 28);
    // The period itself, 28 days, weeks among them, and the sixteen hours before.
    assert_eq!(windows.len(), 2 * 29 + 16);
    assert!(windows.contains(&asked.back(7 * Timestamp::DAY).start()));
    // A start that is off the grid: the first window that begins in the period.
    let off = Period::new(asked.start().offset(1), asked.end()).unwrap();
    assert_eq!(windows_to_locate([off], 3600, 1).len(), 3 + 8, "now, a day and a week ago, hours before");
    let ages = Period::new(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX)).unwrap();
    assert!(windows_to_locate([ages], 1, 28).len() <= 1_000_000);
}

#[test]
fn dimensions_with_too_many_values_are_cut() {
    let spec = EventSpec { dimensions: vec!["page".into()], ..EventSpec::default() };
    let mut builder = CubeBuilder::new(&spec, 3600).unwrap();
    for hour in 0..216i64 {
        for page in 0..1500 {
            // Page 7 has most of them, until it has none.
            for i in 0..if page != 7 {
                1
            } else if hour == 215 {
                0
            } else {
                200
            } {
                let (user, page) = (format!("{page}/{i}"), page.to_string());
                let event = Event {
                    time: Timestamp::from_seconds(START + 3600 * hour),
                    event_type: "view",
                    keys: &[None],
                    product: None,
                    user: Some(&user),
                    session: None,
                    price: None,
                };
                builder.push(&event, &[Some(&page)]);
            }
        }
    }
    let question = Question { series: Some("(none)"), ..Question::new(period(215, 216)) };
    let place = found(&builder.finish(), &question).unwrap();
    assert_eq!((place.leaves, place.measure), (1001, Measure::Views));
    assert_eq!(place.found.causes[0].combination.to_string(), "page = 7");
}
