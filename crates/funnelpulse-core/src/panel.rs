//! Many series with the same columns.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Columns, Frame, FrameError};

/// The name of a series in a [`Panel`].
///
/// ```
/// use funnelpulse_core::SeriesKey;
///
/// let key = SeriesKey::new("shop-a");
/// assert_eq!(key.to_string(), "shop-a");
/// assert!(key < SeriesKey::from("shop-b"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesKey(Arc<str>);

impl SeriesKey {
    /// A series named by one key column.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// A series named by several key columns, joined by `/`. A `/` or `\` inside a part is
    /// escaped by `\`, so that different parts never make the same name.
    ///
    /// ```
    /// use funnelpulse_core::SeriesKey;
    ///
    /// assert_eq!(SeriesKey::from_parts(&["runail", "mobile"]).as_str(), "runail/mobile");
    /// assert_ne!(SeriesKey::from_parts(&["a/b", "c"]), SeriesKey::from_parts(&["a", "b/c"]));
    /// ```
    pub fn from_parts<S: AsRef<str>>(parts: &[S]) -> Self {
        if let [only] = parts {
            return Self::new(only.as_ref());
        }
        let escaped: Vec<String> = parts.iter().map(|p| p.as_ref().replace('\\', "\\\\").replace('/', "\\/")).collect();
        Self::new(escaped.join("/"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for SeriesKey {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl std::borrow::Borrow<str> for SeriesKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Many named series with the same columns, ordered by name.
///
/// The order in which series are added makes no difference to anything computed from a panel.
///
/// ```
/// use funnelpulse_core::{Columns, Frame, Panel};
/// use ndarray::array;
///
/// let columns = Columns::new(["views"])?;
/// let mut panel = Panel::new(columns.clone());
/// panel.insert("runail", Frame::from_rows(columns.clone(), array![[3.0], [5.0]])?)?;
/// panel.insert("irisk", Frame::from_rows(columns, array![[1.0]])?)?;
/// assert_eq!(panel.keys().map(|k| k.as_str()).collect::<Vec<_>>(), ["irisk", "runail"]);
/// assert_eq!(panel.total_rows(), 3);
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    columns: Columns,
    series: BTreeMap<SeriesKey, Frame>,
}

impl Panel {
    /// A panel without series.
    pub fn new(columns: Columns) -> Self {
        Self { columns, series: BTreeMap::new() }
    }

    /// Adds a series. Its columns must be the panel's, in the same order; its name must be new.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame, FrameError, Panel};
    /// use ndarray::array;
    ///
    /// let mut panel = Panel::new(Columns::new(["views"])?);
    /// let frame = Frame::from_rows(panel.columns().clone(), array![[3.0]])?;
    /// panel.insert("shop-a", frame.clone())?;
    /// assert!(matches!(panel.insert("shop-a", frame), Err(FrameError::DuplicateSeries { .. })));
    /// # Ok::<(), FrameError>(())
    /// ```
    pub fn insert(&mut self, key: impl Into<SeriesKey>, frame: Frame) -> Result<(), FrameError> {
        let key = key.into();
        if frame.columns() != &self.columns {
            return Err(FrameError::PanelColumns {
                series: key.0,
                found: frame.columns().joined(),
                expected: self.columns.joined(),
            });
        }
        match self.series.entry(key) {
            btree_map::Entry::Occupied(e) => Err(FrameError::DuplicateSeries { series: e.key().0.clone() }),
            btree_map::Entry::Vacant(e) => {
                e.insert(frame);
                Ok(())
            }
        }
    }

    /// The columns of every series.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The series called `name`.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame, Panel};
    /// use ndarray::array;
    ///
    /// let mut panel = Panel::new(Columns::new(["views"])?);
    /// panel.insert("shop-a", Frame::from_rows(panel.columns().clone(), array![[3.0]])?)?;
    /// assert_eq!(panel.get("shop-a").unwrap().nrows(), 1);
    /// assert!(panel.get("shop-b").is_none());
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn get(&self, name: &str) -> Option<&Frame> {
        self.series.get(name)
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// True if there is no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Rows of all series together.
    pub fn total_rows(&self) -> usize {
        self.series.values().map(Frame::nrows).sum()
    }

    /// The names in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &SeriesKey> {
        self.series.keys()
    }

    /// The series in order of their names.
    pub fn iter(&self) -> btree_map::Iter<'_, SeriesKey, Frame> {
        self.series.iter()
    }
}

impl<'a> IntoIterator for &'a Panel {
    type Item = (&'a SeriesKey, &'a Frame);
    type IntoIter = btree_map::Iter<'a, SeriesKey, Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Panel {
    type Item = (SeriesKey, Frame);
    type IntoIter = btree_map::IntoIter<SeriesKey, Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.series.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn refuses_twins_and_strangers() {
        let a = Columns::new(["a"]).unwrap();
        let mut panel = Panel::new(a.clone());
        assert!(panel.is_empty());
        let frame = Frame::from_rows(a, Array2::zeros((1, 1))).unwrap();
        panel.insert("x", frame.clone()).unwrap();
        assert!(!panel.is_empty());
        assert!(matches!(panel.insert("x", frame), Err(FrameError::DuplicateSeries { .. })));
        let other = Frame::from_rows(Columns::new(["b"]).unwrap(), Array2::zeros((1, 1))).unwrap();
        assert!(matches!(panel.insert("y", other), Err(FrameError::PanelColumns { .. })));
        assert_eq!(panel.len(), 1);
    }
}
