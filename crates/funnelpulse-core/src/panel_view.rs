//! Borrowed series of one site.

use std::fmt::{self, Debug};

use crate::{Columns, FrameError, FrameView, Panel, SeriesKey};

/// One series of a [`PanelView`].
///
/// ```
/// use funnelpulse_core::{Columns, Frame, SeriesKey, SeriesView};
/// use ndarray::array;
///
/// let values = array![[1.0], [f64::NAN], [3.0]];
/// let frame = Frame::from_rows(Columns::new(["views"])?, values)?;
/// let key = SeriesKey::new("shop-a");
/// let series = SeriesView::new(&key, frame.view());
/// assert_eq!((series.frame.nrows(), series.rows_with_data, series.skip), (3, 2, 0));
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SeriesView<'a> {
    /// Its name.
    pub key: &'a SeriesKey,
    /// Its rows. The first [`skip`](Self::skip) are context and not scored.
    pub frame: FrameView<'a>,
    /// Number of rows at the front that are only looked back to.
    pub skip: usize,
    /// Rows with data, which decide whether a series is long enough for a model of its own.
    pub rows_with_data: usize,
}

impl<'a> SeriesView<'a> {
    /// All rows of a frame, none of them context.
    pub fn new(key: &'a SeriesKey, frame: FrameView<'a>) -> Self {
        let rows_with_data = frame.values().rows().into_iter().filter(|row| row.iter().any(|v| !v.is_nan())).count();
        Self { key, frame, skip: 0, rows_with_data }
    }
}

/// Borrowed series of one site, in the order of their names.
///
/// ```
/// use funnelpulse_core::{Columns, Frame, Panel, PanelView};
/// use ndarray::array;
///
/// let columns = Columns::new(["views"])?;
/// let mut panel = Panel::new(columns.clone());
/// panel.insert("shop-b", Frame::from_rows(columns.clone(), array![[3.0]])?)?;
/// panel.insert("shop-a", Frame::from_rows(columns, array![[5.0]])?)?;
/// let view = PanelView::from(&panel);
/// assert_eq!(view.series()[0].key.as_str(), "shop-a");
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
#[derive(Clone, Default)]
pub struct PanelView<'a> {
    series: Vec<SeriesView<'a>>,
    on_series: Option<&'a (dyn Fn(&SeriesKey) + Sync)>,
}

impl<'a> PanelView<'a> {
    /// Sorts the series by name.
    pub fn new(mut series: Vec<SeriesView<'a>>) -> Self {
        series.sort_by(|a, b| a.key.cmp(b.key));
        Self { series, on_series: None }
    }

    /// Calls back from any thread after each series that a detector is done with.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use funnelpulse_core::{PanelView, SeriesKey};
    ///
    /// let done = AtomicUsize::new(0);
    /// let count = |_: &SeriesKey| {
    ///     done.fetch_add(1, Ordering::Relaxed);
    /// };
    /// PanelView::default().with_progress(&count).report(&SeriesKey::new("shop-a"));
    /// assert_eq!(done.into_inner(), 1);
    /// ```
    pub fn with_progress(mut self, on_series: &'a (dyn Fn(&SeriesKey) + Sync)) -> Self {
        self.on_series = Some(on_series);
        self
    }

    /// The series in the order of their names.
    pub fn series(&self) -> &[SeriesView<'a>] {
        &self.series
    }

    /// Notes that work on a series is done.
    pub fn report(&self, key: &SeriesKey) {
        if let Some(on_series) = self.on_series {
            on_series(key);
        }
    }

    /// An owned panel with just these columns.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame, Panel, PanelView};
    /// use ndarray::array;
    ///
    /// let mut panel = Panel::new(Columns::new(["views", "carts"])?);
    /// let frame = Frame::from_rows(panel.columns().clone(), array![[9.0, 2.0]])?;
    /// panel.insert("shop-a", frame)?;
    /// let carts = PanelView::from(&panel).select(&Columns::new(["carts"])?)?;
    /// assert_eq!(carts.get("shop-a").unwrap().values(), array![[2.0]]);
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn select(&self, columns: &Columns) -> Result<Panel, FrameError> {
        let mut panel = Panel::new(columns.clone());
        for series in &self.series {
            panel.insert(series.key.clone(), series.frame.select(columns)?)?;
        }
        Ok(panel)
    }
}

impl Debug for PanelView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PanelView").field(&self.series).finish()
    }
}

impl<'a> From<&'a Panel> for PanelView<'a> {
    fn from(panel: &'a Panel) -> Self {
        Self::new(panel.iter().map(|(key, frame)| SeriesView::new(key, frame.view())).collect())
    }
}
