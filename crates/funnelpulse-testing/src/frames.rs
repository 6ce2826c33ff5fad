//! Synthetic series.

use funnelpulse_core::{Columns, Frame, Panel, Timestamp};
use ndarray::Array2;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// Hourly standard normal noise around 100 in columns `c0`, `c1`, ...
///
/// ```
/// let frame = funnelpulse_testing::noise_frame(24, 2, 1);
/// assert_eq!((frame.nrows(), frame.ncols()), (24, 2));
/// ```
///
/// # Panics
/// Never: the frame is valid by construction.
pub fn noise_frame(rows: usize, columns: usize, seed: u64) -> Frame {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let values = Array2::from_shape_simple_fn((rows, columns), || 100.0 + normal());
    let time = (0..rows).map(|i| Timestamp::from_seconds(1_569_888_000 + 3600 * i as i64)).collect();
    let names = Columns::new((0..columns).map(|c| format!("c{c}"))).expect("numbered names are unique");
    Frame::new(time, names, values).expect("noise is a valid frame")
}

/// The frame with one value replaced.
///
/// # Panics
/// When the place is outside the frame or the value infinite.
pub fn plant(frame: &Frame, row: usize, column: usize, value: f64) -> Frame {
    let (time, columns, mut values) = frame.clone().into_parts();
    values[[row, column]] = value;
    Frame::new(time, columns, values).expect("the planted value is finite or NaN")
}

/// Hourly counts of one brand, `acme`, in columns `views`, `carts`, `purchases` and `revenue`: a wave
/// over the day with a little noise, and no purchase in rows 700 to 707.
///
/// ```
/// let panel = funnelpulse_testing::outage_panel(960);
/// let purchases = panel.get("acme").unwrap().column("purchases")?;
/// assert!(purchases[699] > 0.0 && purchases[700] == 0.0);
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
///
/// # Panics
/// Never: the panel is valid by construction.
pub fn outage_panel(hours: usize) -> Panel {
    let columns = Columns::new(["views", "carts", "purchases", "revenue"]).expect("four names are unique");
    let time = (0..hours).map(|hour| Timestamp::from_seconds(hour as i64 * 3600)).collect();
    let values = Array2::from_shape_fn((hours, 4), |(hour, step)| {
        // Remainders of a prime stand for noise.
        let views = 400 + 150 * ((hour % 24) / 12) + hour * 7919 % 61;
        let purchases = if (700..708).contains(&hour) { 0 } else { views / 12 };
        [views, views / 3, purchases, purchases * 25][step] as f64
    });
    let mut panel = Panel::new(columns.clone());
    let frame = Frame::new(time, columns, values).expect("counts are a valid frame");
    panel.insert("acme", frame).expect("the first series fits");
    panel
}
