//! Tables by month, quarter and year.

use funnelpulse_core::{
    Columns, Detector, FittedDetector, Frame, Timestamp, inspect, parse_timestamp, read_model, to_bytes,
};
use funnelpulse_seasonal::{
    Covariates, FourierOrder, Seasonal, SeasonalConfig, SeasonalDetectorModel, SeasonalModel, TimeStep,
};
use ndarray::Array2;

/// The first of every month from 2010 on.
fn months(n: usize) -> Vec<Timestamp> {
    let date = |i: usize| format!("{}-{:02}-01", 2010 + i / 12, 1 + i % 12);
    (0..n).map(|i| parse_timestamp(&date(i)).expect("a date")).collect()
}

/// A level, a trend, and a shape of the year.
fn sales(i: usize) -> f64 {
    const YEAR: [f64; 12] = [-9.0, -12.0, -3.0, 0.0, 2.0, 5.0, -1.0, -6.0, 1.0, 4.0, 16.0, 30.0];
    100.0 + 0.5 * i as f64 + YEAR[i % 12]
}

#[test]
fn monthly_forecasts_lie_on_the_months() {
    let time = months(132);
    let values: Vec<f64> = (0..120).map(sales).collect();
    let model = Seasonal::new(SeasonalConfig::default()).unwrap();
    let model = model.fit_series(&time[..120], &values, &Covariates::new()).unwrap();
    assert_eq!(model.step(), TimeStep::Months { months: 1, day: 1 });
    let future = model.make_future(12, None);
    assert_eq!(future, time[120..]);
    let error = |future: &[Timestamp]| {
        let forecast = model.predict(future, &Covariates::new()).unwrap();
        let off = |(i, value): (usize, &f64)| (value - sales(120 + i)).abs();
        forecast.yhat.iter().enumerate().map(off).sum::<f64>() / 12.0
    };
    // Steps of 31 days drift away from the months, and fall between the points that the year's shape was learnt on.
    let (by_month, by_days) = (error(&future), error(&model.make_future(12, Some(31 * Timestamp::DAY))));
    assert!(by_month < 2.0 && by_days > 1.4 * by_month, "{by_month} {by_days}");
}

#[test]
fn three_years_of_months_have_a_year() {
    let values: Vec<f64> = (0..36).map(sales).collect();
    let fit = |yearly_seasonality| {
        let config = SeasonalConfig { yearly_seasonality, drop_unsupported: false, ..Default::default() };
        Seasonal::new(config).unwrap().fit_series(&months(36), &values, &Covariates::new()).unwrap()
    };
    let error = |model: &SeasonalModel| {
        let forecast = model.predict(&months(48)[36..], &Covariates::new()).unwrap();
        (0..12).map(|i| (forecast.yhat[i] - sales(36 + i)).abs()).sum::<f64>() / 12.0
    };
    let (few, prophets) = (fit(FourierOrder::Auto), fit(FourierOrder::On));
    assert_eq!((few.effects().len(), prophets.effects().len()), (10, 20));
    println!("mean error: {:.2} with 5 terms, {:.2} with 10", error(&few), error(&prophets));
    assert!(error(&few) < 3.0);
    // Prophet's terms are more than half the rows, and left out by default.
    let default = |yearly_seasonality| {
        let config = SeasonalConfig { yearly_seasonality, ..Default::default() };
        let model = Seasonal::new(config).unwrap().fit_series(&months(36), &values, &Covariates::new()).unwrap();
        model.component_names().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((default(FourierOrder::Auto), default(FourierOrder::On)), (vec!["yearly".to_owned()], vec![]));
}

#[test]
fn models_of_months_are_saved() {
    let values = Array2::from_shape_fn((60, 1), |(i, _)| sales(i));
    let frame = Frame::new(months(60), Columns::new(["sales"]).unwrap(), values).unwrap();
    let model = Seasonal::new(SeasonalConfig::default()).unwrap().fit(frame.view()).unwrap();
    let loaded: SeasonalDetectorModel = read_model(&to_bytes(&model).unwrap()).unwrap();
    assert_eq!(loaded, model);
    assert_eq!(loaded.metric("sales").unwrap().make_future(1, None), months(61)[60..]);
}

/// The model of two hourly columns with a holiday and the sums for updates, as payload version 1 had it.
#[test]
fn files_of_payload_version_1_still_load() {
    let old = include_bytes!("../golden/payload-1.model");
    assert_eq!(inspect(old).unwrap().payload_version, 1);
    let mut model: SeasonalDetectorModel = read_model(old).unwrap();
    let views = model.metric("views").unwrap();
    assert_eq!(views.step(), TimeStep::Fixed(Timestamp::HOUR));
    assert_eq!(views.component_names().collect::<Vec<_>>(), ["daily", "sale"]);
    let frame = |rows: std::ops::Range<usize>| {
        let hour = |h: usize| Timestamp::from_seconds(1_704_067_200 + 3_600 * h as i64);
        let value = |i: usize, j: usize| 50.0 + 10.0 * (i as f64 * 0.2618).sin() + (i * 7 % 5) as f64 + j as f64;
        let values = Array2::from_shape_fn((rows.len(), 2), |(i, j)| value(rows.start + i, j));
        Frame::new(rows.map(hour).collect(), Columns::new(["views", "orders"]).unwrap(), values).unwrap()
    };
    let expected = model.detect(frame(0..200).view()).unwrap();
    let expected = expected.expected().unwrap();
    assert!((&expected - &frame(0..200).values()).iter().all(|residual| residual.abs() < 5.0));
    model.as_online().unwrap().update(frame(200..224).view()).unwrap();
    let today = to_bytes(&model).unwrap();
    assert_eq!(inspect(&today).unwrap().payload_version, 2);
    assert_eq!(read_model::<SeasonalDetectorModel>(&today).unwrap(), model);
}
