//! The leaves of a cube.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{LocalizeError, likelihood::CHI_SQUARED_MEDIAN};

/// The finest rows of a table with attributes: what was observed in each, and what was expected.
///
/// A leaf that is added twice counts once, with the sums. A missing attribute value (`None`) is a
/// value like any other: what goes wrong only where the country is unknown is found there.
///
/// For a **ratio** (conversion rate, stalling rate) observed is the numerator and expected is the
/// observed denominator times the expected ratio, see [`push_ratio`](Self::push_ratio): then a
/// change in the mix of traffic explains nothing.
///
/// ```
/// use funnelpulse_analytics::Leaves;
///
/// let mut leaves = Leaves::new(["device"]);
/// leaves.push(&[Some("mobile")], 3.0, 10.0)?;
/// leaves.push(&[Some("mobile")], 4.0, 10.0)?;
/// leaves.push(&[None], 1.0, 1.0)?;
/// assert_eq!((leaves.len(), leaves.totals()), (2, (8.0, 21.0)));
/// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leaves {
    attributes: Vec<Arc<str>>,
    /// Per attribute the code of each value.
    codes: Vec<BTreeMap<Option<Arc<str>>, u32>>,
    rows: BTreeMap<Vec<u32>, (f64, f64)>,
    added: usize,
}

impl Leaves {
    /// No leaves yet, with these attributes.
    pub fn new<S: Into<Arc<str>>>(attributes: impl IntoIterator<Item = S>) -> Self {
        let attributes: Vec<Arc<str>> = attributes.into_iter().map(Into::into).collect();
        Self { codes: vec![BTreeMap::new(); attributes.len()], attributes, rows: BTreeMap::new(), added: 0 }
    }

    /// Adds a leaf of an additive measure. `values` are in the order of the attributes; an error if
    /// their number differs.
    ///
    /// ```
    /// use funnelpulse_analytics::Leaves;
    ///
    /// let mut leaves = Leaves::new(["device", "country"]);
    /// let error = leaves.push(&[Some("mobile")], 3.0, 10.0).unwrap_err();
    /// assert_eq!(error.to_string(), "leaf 0 has 1 attribute values (2 expected)");
    /// ```
    pub fn push(&mut self, values: &[Option<&str>], observed: f64, expected: f64) -> Result<(), LocalizeError> {
        if values.len() != self.attributes.len() {
            return Err(LocalizeError::Width { row: self.added, found: values.len(), expected: self.attributes.len() });
        }
        self.added += 1;
        let place = values.iter().zip(&mut self.codes).map(|(value, codes)| code(codes, *value)).collect();
        let leaf = self.rows.entry(place).or_insert((0.0, 0.0));
        leaf.0 += observed;
        leaf.1 += expected;
        Ok(())
    }

    /// Adds a leaf of a ratio: its numerator and denominator, as observed and as expected.
    ///
    /// If the expected denominator is zero, the leaf has no expected ratio and doesn't
    /// count.
    ///
    /// ```
    /// use funnelpulse_analytics::{Leaves, LocalizeConfig, Localizer};
    ///
    /// // Purchases per view: the cause is that mobiles buy nothing, not the views from desktops.
    /// let mut leaves = Leaves::new(["device"]);
    /// leaves.push_ratio(&[Some("desktop")], (200.0, 4000.0), (100.0, 2000.0))?;
    /// leaves.push_ratio(&[Some("mobile")], (0.0, 2000.0), (100.0, 2000.0))?;
    /// let found = Localizer::new(LocalizeConfig::default())?.localize(&leaves);
    /// assert_eq!(found.causes[0].combination.to_string(), "device = mobile");
    /// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
    /// ```
    pub fn push_ratio(
        &mut self,
        values: &[Option<&str>],
        observed: (f64, f64),
        expected: (f64, f64),
    ) -> Result<(), LocalizeError> {
        self.push(values, observed.0, observed.1 * (expected.0 / expected.1))
    }

    /// Number of different leaves.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there is no leaf.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The sums of what was observed and of what was expected, of the leaves that can be counted.
    pub fn totals(&self) -> (f64, f64) {
        let rows = self.rows.values().filter(|leaf| usable(leaf));
        rows.fold((0.0, 0.0), |sum, leaf| (sum.0 + leaf.0, sum.1 + leaf.1))
    }

    /// Multiplies every expectation, for example to bring their sum to a total that is known
    /// better.
    ///
    /// ```
    /// use funnelpulse_analytics::Leaves;
    ///
    /// let mut leaves = Leaves::new(["device"]);
    /// leaves.push(&[Some("mobile")], 9.0, 10.0)?;
    /// leaves.push(&[Some("desktop")], 11.0, 30.0)?;
    /// leaves.scale_expected(0.5);
    /// assert_eq!(leaves.totals(), (20.0, 20.0));
    /// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
    /// ```
    pub fn scale_expected(&mut self, factor: f64) {
        self.rows.values_mut().for_each(|leaf| leaf.1 *= factor);
    }

    /// The attributes.
    pub fn attributes(&self) -> &[Arc<str>] {
        &self.attributes
    }

    /// The leaves that can be counted, by number.
    pub(super) fn coded(&self, unit: Option<f64>) -> Coded {
        let mut coded = Coded {
            codes: vec![Vec::new(); self.attributes.len()],
            cardinality: Vec::new(),
            skipped: self.rows.values().filter(|leaf| !usable(leaf)).count(),
            unit: 1.0,
            observed: Vec::new(),
            expected: Vec::new(),
        };
        // The codes depend on the order of adding; ranks by value don't.
        let ranks: Vec<Vec<u32>> = self
            .codes
            .iter()
            .map(|codes| {
                let mut rank = vec![0; codes.len()];
                for (r, c) in codes.values().enumerate() {
                    rank[*c as usize] = r as u32;
                }
                rank
            })
            .collect();
        let ranked = |place: &Vec<u32>| place.iter().zip(&ranks).map(|(c, rank)| rank[*c as usize]).collect();
        let mut rows: Vec<(Vec<u32>, (f64, f64))> =
            self.rows.iter().filter(|(_, leaf)| usable(leaf)).map(|(place, leaf)| (ranked(place), *leaf)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        for (place, (observed, expected)) in rows {
            for (column, rank) in coded.codes.iter_mut().zip(place) {
                column.push(rank);
            }
            coded.observed.push(observed);
            coded.expected.push(expected);
        }
        let distinct = |column: &Vec<u32>| column.iter().collect::<BTreeSet<_>>().len();
        coded.cardinality = coded.codes.iter().map(distinct).collect();
        coded.unit = unit.unwrap_or_else(|| estimated_unit(&coded.observed, &coded.expected));
        coded
    }

    /// The value of an attribute by its rank.
    pub(super) fn value(&self, attribute: usize, rank: u32) -> Option<Arc<str>> {
        self.codes[attribute].keys().nth(rank as usize).cloned().flatten()
    }
}

/// True if a leaf has numbers that can be counted.
fn usable((observed, expected): &(f64, f64)) -> bool {
    observed.is_finite() && expected.is_finite() && *observed >= 0.0 && *expected >= 0.0
}

fn code(codes: &mut BTreeMap<Option<Arc<str>>, u32>, value: Option<&str>) -> u32 {
    let value: Option<Arc<str>> = value.map(Arc::from);
    let next = codes.len() as u32;
    *codes.entry(value).or_insert(next)
}

/// [`Leaves`] as columns of numbers.
#[derive(Debug)]
pub(super) struct Coded {
    /// Per attribute, per leaf, the rank of its value.
    pub(super) codes: Vec<Vec<u32>>,
    /// Per attribute the number of different values.
    pub(super) cardinality: Vec<usize>,
    pub(super) observed: Vec<f64>,
    pub(super) expected: Vec<f64>,
    pub(super) skipped: usize,
    pub(super) unit: f64,
}

/// Counts come in ones. For anything else the variance over the mean of the leaves, by the median,
/// because those that the incident hit are few.
fn estimated_unit(observed: &[f64], expected: &[f64]) -> f64 {
    if observed.iter().all(|o| o.fract() == 0.0) {
        return 1.0;
    }
    let scatter = observed.iter().zip(expected).filter(|(_, e)| **e > 0.0).map(|(o, e)| (o - e).powi(2) / e);
    let median = crate::median(scatter.collect()).unwrap_or(1.0);
    let unit = median / CHI_SQUARED_MEDIAN;
    if unit > 0.0 && unit.is_finite() { unit } else { 1.0 }
}
