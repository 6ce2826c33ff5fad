//! Events counted per window and combination of attributes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use funnelpulse_core::{SeriesKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Event, EventSpec,
    sieve::Sieve,
    silver::{Step, tidy, tidy_key},
};
use crate::FeatureError;

/// The counts of one leaf in one window. Integers: the order of events makes no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Views.
    pub views: u64,
    /// Products put into a cart.
    pub carts: u64,
    /// Purchases.
    pub purchases: u64,
    /// The sum of the prices of the purchases, in millionths.
    pub micro_revenue: i128,
}

impl Counts {
    /// The sum of the prices of the purchases.
    pub fn revenue(&self) -> f64 {
        self.micro_revenue as f64 / 1e6
    }

    /// Counts an event; only of a purchase the price matters.
    pub fn add(&mut self, step: Step, micro_price: i64) {
        match step {
            Step::View => self.views += 1,
            Step::Cart => self.carts += 1,
            Step::Purchase => {
                self.purchases += 1;
                self.micro_revenue += i128::from(micro_price);
            }
        }
    }
}

/// One combination of attribute values that occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The series it is part of.
    pub series: SeriesKey,
    /// The values in the order of [`Cube::dimensions`], `None` for a missing one.
    pub values: Vec<Option<Arc<str>>>,
}

/// Events counted per window and leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Cube {
    dimensions: Vec<Arc<str>>,
    keys: usize,
    step: i64,
    leaves: Vec<Leaf>,
    windows: BTreeMap<Timestamp, Vec<(u32, Counts)>>,
    alive: BTreeSet<Timestamp>,
}

impl Cube {
    /// The attributes: the key columns first, then the further dimensions of the specification.
    pub fn dimensions(&self) -> &[Arc<str>] {
        &self.dimensions
    }

    /// Number of the dimensions, from the front, that are key columns, which together name the series.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Length of a window in microseconds.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// The leaves; [`window`](Self::window) names them by their position.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The counts of the window that starts at `start`, by leaf in order of their positions.
    pub fn window(&self, start: Timestamp) -> &[(u32, Counts)] {
        self.windows.get(&start).map_or(&[], Vec::as_slice)
    }

    /// The windows from `start` to before `end` for which the feed delivered any event.
    pub fn alive(&self, start: Timestamp, end: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        // A range that ends before it starts would panic.
        self.alive.range(start..end.max(start)).copied()
    }

    /// The first and the last window for which the feed delivered any event.
    pub fn range(&self) -> Option<(Timestamp, Timestamp)> {
        Some((*self.alive.first()?, *self.alive.last()?))
    }
}

/// Counts events per window and leaf, one event at a time, in any order.
///
/// Events are validated and deduplicated exactly as by [`FunnelBuilder`](crate::FunnelBuilder): summed
/// over the leaves of a series the counts are its hourly table. Attribute values are
/// normalised (trimmed, lower case).
///
/// Memory grows with the leaves and with the events in the windows that are [asked
/// for](Self::only); others take none.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::{CubeBuilder, Event, EventSpec};
///
/// let spec = EventSpec { dimensions: vec!["device".into()], ..EventSpec::default() };
/// let mut cube = CubeBuilder::new(&spec, 3600)?;
/// let time = Timestamp::from_seconds(1_569_888_123);
/// let view = Event {
///     time,
///     event_type: "view",
///     keys: &[Some("Runail")],
///     product: Some("5"),
///     user: Some("ann"),
///     session: Some("s1"),
///     price: Some(2.38),
/// };
/// cube.push(&view, &[Some("Mobile")]);
/// cube.push(&view, &[Some("Mobile")]); // the same again
/// let cube = cube.finish();
/// assert_eq!(cube.dimensions()[1].as_ref(), "device");
/// assert_eq!(cube.leaves()[0].values[1].as_deref(), Some("mobile"));
/// assert_eq!(cube.window(time.floor_to(Timestamp::HOUR))[0].1.views, 1);
/// # Ok::<(), funnelpulse_features::FeatureError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CubeBuilder {
    sieve: Sieve,
    keys: usize,
    dimensions: Vec<Arc<str>>,
    only: Option<BTreeSet<Timestamp>>,
    step: i64,
    values: Vec<Names>,
    ids: HashMap<Vec<u32>, u32>,
    cells: HashMap<(Timestamp, u32), Counts>,
    /// The leaf being put together; kept for its memory.
    place: Vec<u32>,
}

impl CubeBuilder {
    /// An empty cube with windows of `step_seconds` over the keys and
    /// [`further_dimensions`](EventSpec::further_dimensions) of the specification.
    pub fn new(spec: &EventSpec, step_seconds: u64) -> Result<Self, FeatureError> {
        let sieve = Sieve::new(spec, step_seconds)?;
        let dimensions: Vec<Arc<str>> =
            spec.keys.iter().map(String::as_str).chain(spec.further_dimensions()).map(Arc::from).collect();
        Ok(Self {
            sieve,
            keys: spec.keys.len(),
            only: None,
            step: step_seconds as i64 * Timestamp::SECOND,
            values: vec![Names::default(); dimensions.len()],
            dimensions,
            ids: HashMap::new(),
            cells: HashMap::new(),
            place: Vec::new(),
        })
    }

    /// Counts nothing but the windows that start at these times.
    pub fn only(mut self, windows: BTreeSet<Timestamp>) -> Self {
        self.only = Some(windows);
        self
    }

    /// Adds an event with its values of the further dimensions, in their order. Missing keys and
    /// values count as null, those beyond are left out.
    pub fn push(&mut self, event: &Event<'_>, values: &[Option<&str>]) {
        self.push_identified(event, event.identity(), values);
    }

    /// The same for a caller that knows the [identity](Event::identity) of the event.
    pub fn push_identified(&mut self, event: &Event<'_>, identity: Option<u128>, values: &[Option<&str>]) {
        let window = self.sieve.window(event.time);
        if self.only.as_ref().is_some_and(|only| !only.contains(&window)) {
            // Duplicates have the same time, so that none is missed. An event outside these windows still shows
            // that the feed worked.
            self.sieve.alive.insert(window);
            return;
        }
        let Some(counted) = self.sieve.sift(event, identity) else { return };
        self.place.clear();
        for (dimension, names) in self.values.iter_mut().enumerate() {
            let value = if dimension < self.keys {
                Some(tidy_key(event.keys.get(dimension).copied().flatten()))
            } else {
                let value = values.get(dimension - self.keys).copied().flatten();
                value.map(tidy).filter(|v| !v.is_empty())
            };
            self.place.push(names.code(value.as_deref()));
        }
        let leaf = self.ids.get(&self.place).copied().unwrap_or_else(|| {
            let next = self.ids.len() as u32;
            self.ids.insert(self.place.clone(), next);
            next
        });
        self.cells.entry((counted.window, leaf)).or_default().add(counted.step, counted.micro_price);
    }

    /// The cube. Leaves are in order of their values, whatever the order of the events.
    pub fn finish(self) -> Cube {
        let name = |(code, names): (&u32, &Names)| names.values[*code as usize].clone();
        let values = |place: &[u32]| place.iter().zip(&self.values).map(name).collect();
        let mut leaves: Vec<(Vec<Option<Arc<str>>>, u32)> =
            self.ids.into_iter().map(|(place, id)| (values(&place), id)).collect();
        leaves.sort();
        let mut position = vec![0; leaves.len()];
        for (at, (_, id)) in leaves.iter().enumerate() {
            position[*id as usize] = at as u32;
        }
        let mut cells: Vec<((Timestamp, u32), Counts)> =
            self.cells.into_iter().map(|((window, id), counts)| ((window, position[id as usize]), counts)).collect();
        cells.sort_unstable_by_key(|(place, _)| *place);
        let mut windows: BTreeMap<Timestamp, Vec<(u32, Counts)>> = BTreeMap::new();
        for ((window, leaf), counts) in cells {
            windows.entry(window).or_default().push((leaf, counts));
        }
        let leaf = |(values, _): (Vec<Option<Arc<str>>>, u32)| {
            let parts: Vec<&str> = values[..self.keys].iter().map(|v| v.as_deref().unwrap_or_default()).collect();
            Leaf { series: SeriesKey::from_parts(&parts), values }
        };
        Cube {
            keys: self.keys,
            step: self.step,
            leaves: leaves.into_iter().map(leaf).collect(),
            windows,
            alive: self.sieve.alive,
            dimensions: self.dimensions,
        }
    }
}

/// The values of one dimension, numbered as they come.
#[derive(Clone, Debug, Default)]
struct Names {
    codes: HashMap<Arc<str>, u32>,
    none: Option<u32>,
    values: Vec<Option<Arc<str>>>,
}

impl Names {
    fn code(&mut self, value: Option<&str>) -> u32 {
        let known = value.map_or(self.none, |value| self.codes.get(value).copied());
        known.unwrap_or_else(|| {
            let next = self.values.len() as u32;
            let name: Option<Arc<str>> = value.map(Arc::from);
            match &name {
                Some(name) => drop(self.codes.insert(name.clone(), next)),
                None => self.none = Some(next),
            }
            self.values.push(name);
            next
        })
    }
}

/// The band of a price in steps of 1, 2 and 5, as a dimension: `5-10`; `None` for a price that is
/// missing or out of range.
///
/// ```
/// use funnelpulse_features::price_band;
///
/// assert_eq!(price_band(7.3).as_deref(), Some("5-10"));
/// assert_eq!(price_band(0.25).as_deref(), Some("0.2-0.5"));
/// assert_eq!(price_band(1000.0).as_deref(), Some("1000-2000"));
/// assert_eq!(price_band(0.0).as_deref(), Some("below 0.01"));
/// assert_eq!(price_band(f64::NAN), None);
/// ```
pub fn price_band(price: f64) -> Option<String> {
    if !(0.0..=1e12).contains(&price) {
        return None;
    }
    if price < 0.01 {
        return Some("below 0.01".to_owned());
    }
    // Whole hundredths, in which the limits are exact.
    let mut low = 1i64;
    let cents = price * 100.0;
    loop {
        for (from, to) in [(1, 2), (2, 5), (5, 10)] {
            if cents < (low * to) as f64 {
                return Some(format!("{}-{}", (low * from) as f64 / 100.0, (low * to) as f64 / 100.0));
            }
        }
        low *= 10;
    }
}
