//! `forecast`: history and horizon, terms, covariates, and what it refuses.

use std::{fmt::Write, fs};

use funnelpulse::io::Table;
use funnelpulse_testing::shared_file;
use predicates::str::contains;

use crate::folder::{Folder, hour, stderr};

/// The hourly value at row `h`: a trend, a daily wave, and something like noise.
fn value(h: usize) -> f64 {
    100.0 + 0.1 * h as f64 + 20.0 * (h as f64 / 24.0 * std::f64::consts::TAU).sin() + (h * 7919 % 101) as f64 / 50.0
}

/// A table of `rows` hours, with a price of which each unit takes 3 off the value.
fn table(rows: usize) -> String {
    let mut text = "ds,y,price,promo\n".to_owned();
    for h in 0..rows {
        let price = h * 31 % 7;
        writeln!(text, "{},{},{price},{}", hour(h), value(h) - 3.0 * price as f64, u8::from(h % 50 == 0)).unwrap();
    }
    text
}

const REGRESSOR: &str = "--param regressors=[{name=\"price\"}]";

#[test]
fn history_and_horizon_are_forecast() {
    let folder = Folder::new();
    folder.write("in.csv", table(480));
    let forecast = format!("forecast --input in.csv --time-column ds --value-column y {REGRESSOR}");
    let said = folder.output(&format!("{forecast} --output out.csv"));
    assert_eq!(said, "480 rows of 1 series and 0 beyond them forecast; table in out.csv\n");
    let out = folder.table("out.csv");
    assert_eq!(out.columns(), ["ds", "yhat", "yhat_lower", "yhat_upper", "trend", "weekly", "daily"]);
    assert_eq!(out.time_column("ds").unwrap(), folder.table("in.csv").time_column("ds").unwrap());
    let [y, yhat, lower, upper] = ["y", "yhat", "yhat_lower", "yhat_upper"].map(|c| {
        let from = if c == "y" { "in.csv" } else { "out.csv" };
        folder.table(from).f64_column(c).unwrap()
    });
    let inside = (0..480).filter(|&i| lower[i] < y[i] && y[i] < upper[i]).count();
    assert!((340..430).contains(&inside), "{inside} of 480 in an interval of 80 %");
    assert!(y.iter().zip(&yhat).all(|(y, yhat)| (y - yhat).abs() < 3.0));

    folder.output(&format!("{forecast} --output out.parquet --components"));
    let out = folder.table("out.parquet");
    let more = ["price", "additive_terms", "multiplicative_terms"];
    assert_eq!(out.columns()[5..], [&["weekly", "daily"][..], &more].concat());
    assert_eq!(out.f64_column("yhat").unwrap(), yhat);
    let column = |name| out.f64_column(name).unwrap();
    for (i, total) in column("additive_terms").into_iter().enumerate() {
        let sum = column("weekly")[i] + column("daily")[i] + column("price")[i];
        assert!((sum - total).abs() < 1e-9 && (column("trend")[i] + total - yhat[i]).abs() < 1e-9);
    }
}

#[test]
fn the_horizon_goes_on_where_the_input_ends() {
    let folder = Folder::new();
    let known = table(480);
    folder.write("in.csv", &known);
    let forecast = "forecast --input in.csv --horizon 48 --output out.csv --param interval_width=0.99";
    let said = folder.output(forecast);
    assert_eq!(said, "480 rows of 1 series and 48 beyond them forecast; table in out.csv\n");
    let out = folder.table("out.csv");
    let (times, yhat) = (out.time_column("ds").unwrap(), out.f64_column("yhat").unwrap());
    assert_eq!((times[480].to_string(), times[527].to_string()), (hour(480), hour(527)));
    // The price, which is not given, takes 9 off on average.
    for (h, yhat) in yhat.iter().enumerate().skip(480) {
        let expected = value(h) - 9.0;
        assert!((yhat - expected).abs() < 3.0, "row {h}: {yhat} instead of {expected}");
    }

    // Known covariates of rows without a value are the horizon.
    let mut asked = known;
    for h in 480..528 {
        writeln!(asked, "{},,{},0", hour(h), h * 31 % 7).unwrap();
    }
    folder.write("asked.csv", asked);
    let asked = "forecast --input asked.csv --output asked-out.csv";
    folder.output(&format!("{asked} {REGRESSOR}"));
    let out = folder.table("asked-out.csv");
    let known = out.f64_column("yhat").unwrap();
    for (h, yhat) in known.iter().enumerate().skip(480) {
        let expected = value(h) - 3.0 * (h * 31 % 7) as f64;
        assert!((yhat - expected).abs() < 2.0, "row {h}: {yhat} instead of {expected}");
    }
    // A horizon follows the last row, not the last value.
    folder.output(&format!("{asked} --horizon 2"));
    let times = folder.table("asked-out.csv").time_column("ds").unwrap();
    assert_eq!((times.len(), times[529].to_string()), (530, hour(529)));
    folder.refuses(
        &format!("{asked} --horizon 2 {REGRESSOR}"),
        "asked.csv: `price` is not known beyond the last row: append rows with an empty `y` instead of --horizon",
    );
}

#[test]
fn every_series_has_its_own_model() {
    let folder = Folder::new();
    // Rows of the two alternate; the second has no weekly season yet.
    let mut text = "ds,brand,y\n".to_owned();
    for h in 0..480 {
        writeln!(text, "{},a,{}", hour(h), value(h)).unwrap();
        if h >= 400 {
            writeln!(text, "{},b,{}", hour(h), 5.0 * value(h)).unwrap();
        }
    }
    folder.write("in.csv", text);
    let said =
        folder.output("forecast --input in.csv --series-column brand --horizon 2 --output out.csv --param daily=true");
    assert_eq!(said, "560 rows of 2 series and 4 beyond them forecast; table in out.csv\n");
    let out = folder.table("out.csv");
    assert_eq!(out.columns(), ["series", "ds", "yhat", "yhat_lower", "yhat_upper", "trend", "weekly", "daily"]);
    let series: Vec<String> = out.string_column("series").unwrap().into_iter().map(Option::unwrap).collect();
    let (yhat, weekly) = (out.f64_column("yhat").unwrap(), out.f64_column("weekly").unwrap());
    let times = out.time_column("ds").unwrap();
    for row in 0..564 {
        let (name, h, factor) = if row < 482 { ("a", row, 1.0) } else { ("b", row - 82, 5.0) };
        assert_eq!((series[row].as_str(), times[row].to_string()), (name, hour(h)));
        assert!((yhat[row] / factor - value(h)).abs() < 4.0, "row {row}: {}", yhat[row]);
        assert_eq!(weekly[row].is_nan(), name == "b");
    }
    folder.output("forecast --input in.csv --series-column brand --output one.csv --threads 1 --param daily=true");
    folder.output("forecast --input in.csv --series-column brand --output two.csv --threads 2 --param daily=true");
    assert_eq!(folder.text("one.csv"), folder.text("two.csv"));
    folder.refuses("forecast --input in.csv --output no.csv", "in.csv: row 402, column `ds`: ");
    folder.write("in.csv", "ds,brand,y\n2019-10-01,a,1\n2019-10-02,a,2\n2019-10-02,b,1\n");
    let message = "in.csv: series `b`: 1 usable row, `seasonal` needs at least 2";
    folder.refuses("forecast --input in.csv --series-column brand --output no.csv", message);
}

#[test]
fn every_parameter_can_be_given_by_name() {
    let folder = Folder::new();
    folder.write("in.csv", table(480));
    let columns = |params: &str| {
        folder.output(&format!("forecast --input in.csv --output out.csv --components {params}"));
        folder.table("out.csv").columns()[5..].join(" ")
    };
    let sums = "additive_terms multiplicative_terms";
    assert_eq!(columns("--param weekly=false --param daily=6"), format!("daily {sums}"));
    assert_eq!(
        columns("--param seasonality_mode=multiplicative --param weekly_seasonality=auto"),
        format!("weekly daily {sums}")
    );
    assert_eq!(
        columns("--param weekly=false --param holidays=[{holiday=\"sale\",ds=[\"2019-10-05\"]}]"),
        format!("daily sale {sums} holidays")
    );
    assert_eq!(
        columns(
            "--param weekly=false --param daily=false \
             --param seasonalities=[{name=\"half\",period=0.5,fourier_order=2,condition_name=\"promo\"}]"
        ),
        format!("half {sums}")
    );
    assert_eq!(columns("--param growth=logistic --param cap=500 --param weekly=false"), format!("daily {sums}"));
    // Of two values for one name the last counts.
    assert_eq!(columns("--param daily=true --param weekly=true --param weekly=false"), format!("daily {sums}"));

    // Counts out of an exposure that is a column; where there is none, there is nothing to expect.
    let mut text = "ds,y,views\n".to_owned();
    for h in 0..480 {
        let views = if h % 24 == 3 { 0 } else { 200 + h % 24 * 10 };
        writeln!(text, "{},{},{views}", hour(h), views / 10 + if views > 0 { h * 7919 % 5 } else { 0 }).unwrap();
    }
    folder.write("counts.csv", text);
    folder.output("forecast --input counts.csv --param likelihood=binomial --param exposure=views --output out.csv");
    let yhat = folder.table("out.csv").f64_column("yhat").unwrap();
    assert!(yhat.iter().enumerate().all(|(h, yhat)| yhat.is_nan() == (h % 24 == 3)));
    assert!((yhat[10] - 32.0).abs() < 3.0, "{}", yhat[10]);
    // Weights are of the history.
    folder.output("forecast --input counts.csv --param weights=views --horizon 24 --output out.csv");
}

#[test]
fn forecasts_are_those_of_prophet() {
    let shared = |part: &str| shared_file(&format!("reference/seasonal/synth720_{part}.csv.gz"));
    let [Some(input), Some(history), Some(future)] = ["input", "prophet_hist", "prophet_future"].map(shared) else {
        return;
    };
    let folder = Folder::new();
    fs::copy(input, folder.path("in.csv.gz")).unwrap();
    folder.output(
        "forecast --input in.csv.gz --time-column ds --value-column y --horizon 168 --components \
         --param seasonality_mode=multiplicative --param yearly=false --param weekly=true --param daily=true \
         --param interval_width=0.95 --output out.csv",
    );
    let (out, y) = (folder.table("out.csv"), folder.table("in.csv.gz").f64_column("y").unwrap());
    let range = y.iter().copied().fold(f64::MIN, f64::max) - y.iter().copied().fold(f64::MAX, f64::min);
    let (history, future) = (Table::read(&history).unwrap(), Table::read(&future).unwrap());
    let theirs = |column: &str| [&history, &future].map(|t| t.f64_column(column).unwrap()).concat();
    let ours = |column: &str| out.f64_column(column).unwrap();
    let far = |column: &str, rows: std::ops::Range<usize>| {
        let pairs = rows.map(|row| (ours(column)[row] - theirs(column)[row]).abs());
        pairs.fold(0.0, f64::max)
    };
    assert_eq!(out.num_rows(), 888);
    assert_eq!(out.time_column("ds").unwrap()[720..], future.time_column("ds").unwrap());
    assert!(far("yhat", 0..720) < 0.0035 * range && far("yhat", 720..888) < 0.0065 * range);
    assert!(far("trend", 0..720) < 0.003 * range);
    assert!(
        far("weekly", 0..888) < 0.002 && far("daily", 0..888) < 1e-4 && far("multiplicative_terms", 0..888) < 0.002
    );
    let width = |upper: Vec<f64>, lower: Vec<f64>| upper.iter().zip(&lower).map(|(u, l)| u - l).sum::<f64>();
    let ratio = width(ours("yhat_upper"), ours("yhat_lower")) / width(theirs("yhat_upper"), theirs("yhat_lower"));
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
}

#[test]
fn special_series_have_documented_forecasts() {
    let folder = Folder::new();
    let write = |values: &dyn Fn(usize) -> String, rows: usize| {
        let lines: Vec<String> = (0..rows).map(|h| format!("{},{}\n", hour(h), values(h))).collect();
        folder.write("in.csv", format!("ds,y\n{}", lines.concat()));
    };
    let forecast = "forecast --input in.csv --horizon 24 --output out.csv";
    write(&|_| "7".to_owned(), 100);
    folder.output(forecast);
    assert!(folder.table("out.csv").f64_column("yhat").unwrap().iter().all(|v| (v - 7.0).abs() < 1e-9));
    // Missing values are forecast like others.
    write(&|h| [String::new(), "NaN".to_owned(), value(h).to_string()][(h % 5).min(2)].clone(), 480);
    folder.output(forecast);
    let yhat = folder.table("out.csv").f64_column("yhat").unwrap();
    assert!((0..480).all(|h| (yhat[h] - value(h)).abs() < 3.0));
    // Asked for, but the history has not one period.
    write(&|h| value(h).to_string(), 60);
    let run = folder.run(&format!("{forecast} --param weekly=true --param daily=true")).success();
    let run = run.stderr(contains("note: left out where the history is too short or too coarse: weekly ("));
    assert!(!stderr(&run).contains("daily"));
    assert_eq!(folder.table("out.csv").columns()[5..], ["daily"]);
}

#[test]
fn what_can_not_be_forecast_is_refused() {
    let folder = Folder::new();
    folder.write("in.csv", table(100));
    for (options, message) in [
        ("--param seasonality_mod=additive", "unknown parameter `seasonality_mod`, did you mean `seasonality_mode`?"),
        ("--param weekley=true", "unknown parameter `weekley`, did you mean `weekly_seasonality`?"),
        ("--param zzz=1", "error: unknown parameter `zzz`\n"),
        ("--param weekly", "--param weekly: expected a name and a value, for example --param interval_width=0.95"),
        ("--param interval_width=95", "interval_width = 95 is out of range (above 0, below 1)"),
        ("--param n_changepoints=many", "`n_changepoints`: expected a whole number of at least 0, found \"many\""),
        ("--param weekly=often", "`weekly`: expected \"auto\", true, false or a number of Fourier terms"),
        ("--param regressors=[{nam=\"price\"}]", "`regressors[0]"),
        ("--param metrics=[{column=\"y\"}]", "`metrics` has no effect on a forecast"),
        ("--param regressors=[{name=\"cost\"}]", "in.csv: column `cost` is missing (found: ds, y, price, promo)"),
        ("--param growth=logistic", "in.csv: column `cap` is missing"),
        ("--param likelihood=poisson", "in.csv: row 2, column `y`: "),
        ("--value-column views", "in.csv: column `views` is missing (found: ds, y, price, promo)"),
        ("--time-column time", "in.csv: column `time` is missing"),
        ("--time-column price", "in.csv: column `price` should hold times, found `0` in line 2"),
    ] {
        folder.refuses(&format!("forecast --input in.csv --output out.csv {options}"), message);
    }
    for (table, message) in [
        ("ds,y\n2019-10-01,1\n2019-10-02,no\n2019-10-03,2\n", "column `y` should hold numbers, found `no` in line 3"),
        ("ds,y\n2019-10-01,1\n2019-10-02,inf\n2019-10-03,2\n", "in.csv: row 2, column `y`: inf is not finite"),
        ("ds,y\n2019-10-01,1\n,2\n2019-10-03,2\n", "column `ds` should hold times, found `an empty cell` in line 3"),
        (
            "ds,y\n2019-10-01,1\n2019-10-03,2\n2019-10-02,3\n",
            "in.csv: row 3, column `ds`: 2019-10-02T00:00:00Z comes after 2019-10-03T00:00:00Z; sort the table by time, or \
             name the series with --series-column",
        ),
        (
            "ds,y\n2019-10-01,1\n2019-10-02,2\n2019-10-02,3\n",
            "in.csv: row 3, column `ds`: 2019-10-02T00:00:00Z appears twice",
        ),
        ("ds,y\n2019-10-01,1\n2019-10-02,\n", "in.csv: 1 usable row, `seasonal` needs at least 2"),
        ("ds,y\n", "in.csv: 0 usable rows, `seasonal` needs at least 2"),
        ("", "in.csv: the file is empty"),
    ] {
        folder.write("in.csv", table);
        folder.refuses("forecast --input in.csv --output out.csv --horizon 3", message);
    }
    folder.write("in.csv", "ds,y\n2019-10-01,1\n2020-10-01,1\n2021-10-01,2\n");
    let far = "forecast --input in.csv --output out.csv --horizon 1000000";
    folder.refuses(far, "in.csv: a horizon of 1000000 rows ends after the year 9999");
    folder.write("in.csv", "ds,y,x\n2019-10-01,1,1\n2019-10-02,2,\n2019-10-03,3,4\n2019-10-04,2,5\n");
    let with_x = "forecast --input in.csv --output out.csv --param regressors=[{name=\"x\"}]";
    folder.refuses(with_x, "in.csv: row 2, column `x`: NaN is not allowed (a finite number)");
    folder
        .run("forecast --input in.csv --output out.txt")
        .code(2)
        .stderr(contains("the name should end in .csv or .parquet"));
    folder.run("forecast --input in.csv --output out.csv --horizon -3").code(2);
}

/// A page has a picture per series, with a panel for values, trend and each seasonality.
#[test]
fn forecasts_scores_and_breaks_are_drawn() {
    let folder = Folder::new();
    let mut text = "ds,shop,y\n".to_owned();
    for row in 0..400 {
        for shop in ["a", "b & c"] {
            let level = if row < 250 { 50.0 } else { 90.0 };
            writeln!(text, "{},{shop},{}", hour(row), level + (row % 24) as f64).unwrap();
        }
    }
    folder.write("in.csv", text);
    folder.output("forecast --input in.csv --series-column shop --horizon 24 --output out.csv --plot f.html");
    let page = folder.text("f.html");
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(
        page.contains("b &amp; c") && page.contains("trend") && page.contains("daily") && page.contains("<polygon")
    );
    assert!(!page.contains("src=") && !page.contains("href="), "the page opens offline");
    folder.output("changepoints --input in.csv --series-column shop --column y --auto --output b.csv --plot b.svg");
    assert!(folder.text("b.svg").starts_with("<svg") && folder.text("b.svg").contains("B3261E"), "a break is drawn");
    #[cfg(feature = "png")]
    {
        let find = "changepoints --input in.csv --series-column shop --column y --auto --output b.csv --plot b.PNG";
        let run = folder.run(find);
        // A machine without fonts says so.
        if !stderr(&run).contains("a PNG needs a font") {
            assert!(stderr(&run).contains("a picture shows one series, here `a`"));
            assert!(fs::read(folder.path("b.PNG")).unwrap().starts_with(b"\x89PNG\r\n"));
        }
    }
    folder
        .output("score --detector zscore --input in.csv --series-column shop --columns y --output s.csv --plot s.html");
    assert!(folder.text("s.html").contains("one row in a hundred"));
    folder
        .run("score --detector zscore --input in.csv --output s.csv --plot s.gif")
        .code(2)
        .stderr(contains(".svg, .png or .html"));
}
