//! `locate`, and where incidents happened.

use std::fmt::Write;

use arrow::{
    array::BooleanArray,
    compute::{concat_batches, filter_record_batch},
};
use funnelpulse::{core::Timestamp, io::write_file};
use predicates::str::contains;
use serde_json::Value;

use crate::folder::Folder;

const HEADER: &str = "event_time,event_type,product_id,brand,price,user_id,user_session,device,country,load_ms\n";
const HOURS: i64 = 24 * 24;
/// The hours in which nobody on a mobile can buy.
const BROKEN: std::ops::Range<i64> = HOURS - 30..HOURS - 24;

/// Events of one brand: every hour the same visits of mobiles and desktops from two countries.
fn events() -> String {
    let start = funnelpulse::core::parse_timestamp("2019-10-01").unwrap();
    let mut text = HEADER.to_owned();
    for hour in 0..HOURS {
        let visits = 30 + (hour % 24) + (hour * 7919) % 5;
        for visit in 0..visits {
            let (device, country) = (["Mobile", "desktop"][(visit % 2) as usize], ["de", ""][(visit / 2 % 2) as usize]);
            let time = start.offset(hour * Timestamp::HOUR + visit * Timestamp::SECOND);
            let mut event = |event_type: &str| {
                let row = format!("5,runail,{}.5,{visit},{hour},{device},{country},{}.25", 2 + visit % 7, 100 + visit);
                writeln!(text, "{time},{event_type},{row}").unwrap();
            };
            event("view");
            event("cart");
            if visit % 3 != 0 && !(BROKEN.contains(&hour) && device == "Mobile") {
                event("purchase");
            }
        }
    }
    text
}

fn shop() -> Folder {
    let folder = Folder::new();
    folder.write("events.csv", events());
    folder
}

const LOCATE: &str = "locate --input events.csv --period 2019-10-23T18:00..2019-10-24";

#[test]
fn the_cause_is_located() {
    let folder = shop();
    let text = folder.output(LOCATE);
    for expected in [
        "2019-10-23 18:00..2019-10-24 against the same hours of 3 earlier weeks",
        "Purchases given carts, over ",
        "combinations of brand, device, country, price:\n",
        "\n  device = mobile  ",
        "98 %\n",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let json: Value = serde_json::from_str(&folder.output(&format!("{LOCATE} --json --output out.json"))).unwrap();
    assert_eq!(json, folder.json("out.json"));
    let causes = json["found"]["causes"].as_array().unwrap();
    assert_eq!(
        (causes.len(), &causes[0]["combination"][0][1], &causes[0]["observed"]),
        (1, &"mobile".into(), &0.0.into())
    );
    assert_eq!(
        (&json["measure"], &json["compared_with"][2]["start"]),
        (&"purchase_rate".into(), &"2019-10-02T18:00:00Z".into())
    );

    let one = folder.output(&format!("{LOCATE} --dimensions device --series runail --measure purchases --history 3"));
    assert!(one.contains("Purchases, over 2 combinations of device:") && one.contains("of 3 earlier days"), "{one}");
    let none = folder.output(&format!("{LOCATE} --dimensions country,load_ms --measure views"));
    assert!(none.contains("no part of it stands out"), "{none}");
    let single = folder.output(&format!("{LOCATE} --measure revenue --param max_causes=1 --dimensions device,country"));
    assert!(single.contains("Revenue, over 4 combinations"), "{single}");
    folder.write("c.toml", "[events]\ndimensions = ['country']\n");
    assert!(folder.output(&format!("{LOCATE} --config c.toml")).contains("combinations of brand, country:"));
    // The first day has no week before it, the first hours no day.
    let early = folder.output("locate --input events.csv --period 2019-10-01T06:00..2019-10-01T08:00 --measure views");
    assert!(early.contains("the 3 stretches of the same length just before"), "{early}");
}

#[test]
fn what_can_not_be_located_is_refused() {
    let folder = shop();
    let refuses = |arguments: &str, message: &str| folder.refuses(&format!("{LOCATE} {arguments}"), message);
    refuses("--series runnail", "events.csv: there is no series `runnail`, did you mean `runail`?");
    refuses("--dimensions town", "events.csv: column `town` is missing (found: event_time, ");
    refuses("--dimensions device,device", "dimensions = `device` is not allowed: each column named once");
    refuses("--dimensions event_type", "neither time nor type");
    refuses("--dimensions brand --series runail", "no dimension is named");
    refuses("--param max_causes=0", "max_causes = 0 is out of range (1 to 100)");
    refuses("--param max_cause=1", "did you mean `max_causes`?");
    folder.refuses(
        "locate --input events.csv --period 2020-01-01..2020-01-02",
        "no event lies in 2020-01-01..2020-01-02 (events run from 2019-10-01 to 2019-10-24 23:00)",
    );
    folder.refuses("locate --input events.csv --period 2019-10-01..2019-10-02", "nothing is known of the time before");
    folder.write("hours.csv", "window_start,brand,views,carts,purchases,revenue\n2019-10-01,a,1,1,1,1\n");
    folder
        .refuses("locate --input hours.csv --period 2019-10-01..2019-10-02", "hours.csv: these are rows per hour, not");
    folder.write("none.csv", HEADER);
    folder.refuses("locate --input none.csv --period 2019-10-01..2019-10-02", "none.csv: no rows");
    for (arguments, message) in [
        ("--measure sales", "purchase_rate"),
        ("--history 0", "1..=3660"),
        ("--period 2019-10-02..2019-10-01", "ends before it starts"),
    ] {
        let line = format!("locate --input events.csv --period 2019-10-01..2019-10-02 {arguments}");
        folder
            .run(&line.replacen("--period 2019-10-01..2019-10-02 --period", "--period", 1))
            .code(2)
            .stderr(contains(message));
    }
}

/// A generated shop in which from six o'clock until the end of the next day only desktops can buy the
/// first brand.
fn generated_shop() -> Folder {
    let folder = Folder::new();
    folder.output("generate --out shop --brands 6 --days 40 --events");
    for (day, from) in [("2019-10-22", 6), ("2019-10-23", 0)] {
        without_sales(&folder, &format!("shop/events/{day}.parquet"), from);
    }
    folder.write("c.toml", "[events]\ndimensions = ['device', 'category']\n");
    folder
}

/// Takes the purchases of the first brand by other devices than desktops out of a day's events.
fn without_sales(folder: &Folder, file: &str, from_hour: i64) {
    let table = folder.table(file);
    let texts = |name: &str| table.string_column(name).unwrap().into_iter().map(Option::unwrap_or_default);
    let (start, rows) = (table.time_column("event_time").unwrap()[0].floor_to(Timestamp::DAY), texts("brand"));
    let rows = rows.zip(texts("device")).zip(texts("event_type")).zip(table.time_column("event_time").unwrap());
    let kept: BooleanArray = rows
        .map(|(((brand, device), event_type), time)| {
            let hour = (time.as_micros() - start.as_micros()) / Timestamp::HOUR;
            let lost = hour >= from_hour && brand == "brand_001" && device != "desktop" && event_type == "purchase";
            Some(!lost)
        })
        .collect();
    let all = concat_batches(table.batches()[0].schema_ref(), table.batches()).unwrap();
    write_file(&folder.path(file), &filter_record_batch(&all, &kept).unwrap()).unwrap();
}

#[test]
fn incidents_say_where_they_happened() {
    let folder = generated_shop();
    let text = folder.output("run --input shop/events --output out --config c.toml --report r.html --model model");
    assert!(text.contains("Where: "), "{text}");
    let incidents = folder.text("out/incidents.jsonl");
    let incidents: Vec<Value> = incidents.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let planted = |i: &&Value| i["series"] == "brand_001" && i["start"].as_str().unwrap().starts_with("2019-10-22T");
    let broken = incidents.iter().find(planted).unwrap_or_else(|| panic!("{incidents:#?}"));
    let place = &broken["where"];
    assert_eq!((&broken["stage"], &place["measure"]), (&"purchase_rate".into(), &"purchase_rate".into()), "{broken}");
    let mut causes: Vec<&str> =
        place["found"]["causes"].as_array().unwrap().iter().map(|c| c["combination"][0][1].as_str().unwrap()).collect();
    causes.sort_unstable();
    assert_eq!(causes, ["mobile", "tablet"], "{place:#}");
    assert!(folder.text("r.html").contains("<b>Where:</b> device = "));

    // A trained model knows its dimensions, and an explained hour has its place.
    let found = folder.output("detect --model model --input shop/events --output detected --top 50");
    assert!(found.contains("device = mobile: "), "{found}");
    let explain = "explain --model model --input shop/events --series brand_001 --time 2019-10-22T12:00";
    assert!(folder.output(explain).contains("\nWhere: device = "));

    // Dimensions change nothing else.
    let without = folder.output("run --input shop/events --output plain");
    assert!(!without.contains("Where:"));
    assert!(folder.contents("plain/anomalies") == folder.contents("out/anomalies"));
    assert!(!folder.text("plain/incidents.jsonl").contains("\"where\""));
    folder.write("c.toml", "[events]\ndimensions = ['town']\n");
    folder.refuses("run --input shop/events --output new --config c.toml", "shop/events: column `town` is missing");
    // Rows per hour have no dimensions, and need none.
    folder.output("run --input out/hourly.parquet --output hourly --config c.toml");
}
