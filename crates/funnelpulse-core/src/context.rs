//! The rows that a score depends on.

use crate::Timestamp;

/// The rows that a score depends on besides its own: a number of rows, and from the first of them
/// a span of time.
///
/// [`FittedDetector::context`](crate::FittedDetector::context) says it of the rows before,
/// [`FittedDetector::horizon`](crate::FittedDetector::horizon) of the rows after.
///
/// ```
/// use funnelpulse_core::{Context, Timestamp};
///
/// let time: Vec<Timestamp> = (0..10).map(|h| Timestamp::from_seconds(3600 * h)).collect();
/// assert_eq!(Context::NONE.first_row(&time, 7), 7);
/// assert_eq!(Context::rows(2).first_row(&time, 7), 5);
/// assert_eq!(Context::span(3 * Timestamp::HOUR).first_row(&time, 7), 4);
/// // Two rows whose columns look back three hours each.
/// assert_eq!(Context::rows(2).with_span(3 * Timestamp::HOUR).first_row(&time, 7), 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    rows: usize,
    span: i64,
}

impl Context {
    /// A row is scored by itself.
    pub const NONE: Self = Self { rows: 0, span: 0 };

    /// So many rows next to the scored one.
    pub const fn rows(rows: usize) -> Self {
        Self { rows, span: 0 }
    }

    /// All rows at most this far away, microseconds; 0 or more.
    pub const fn span(micros: i64) -> Self {
        Self { rows: 0, span: micros }
    }

    /// The context of a detector whose columns look this much further back, microseconds.
    pub const fn with_span(self, micros: i64) -> Self {
        Self { rows: self.rows, span: self.span.saturating_add(micros) }
    }

    /// The same and so many rows more.
    ///
    /// ```
    /// use funnelpulse_core::Context;
    ///
    /// assert_eq!(Context::rows(3).with_rows(2), Context::rows(5));
    /// ```
    pub const fn with_rows(self, rows: usize) -> Self {
        Self { rows: self.rows.saturating_add(rows), span: self.span }
    }

    /// The smallest context that holds both.
    ///
    /// ```
    /// use funnelpulse_core::Context;
    ///
    /// let (short, long) = (Context::rows(2), Context::rows(24));
    /// assert_eq!(short.union(long), Context::rows(24));
    /// ```
    pub fn union(self, other: Self) -> Self {
        Self { rows: self.rows.max(other.rows), span: self.span.max(other.span) }
    }

    /// True if a row is scored by itself.
    pub const fn is_none(self) -> bool {
        self.rows == 0 && self.span == 0
    }

    /// The first row that the score of `row` depends on. `row` may be the length of `time`: then
    /// the context of a row that is about to follow the last one.
    ///
    /// The span reaches back from the first of the rows, or for a row that is still to come from
    /// the last row there is.
    ///
    /// # Panics
    /// When `row` lies beyond the length of `time`.
    ///
    /// ```
    /// use funnelpulse_core::{Context, Timestamp};
    ///
    /// let time: Vec<Timestamp> = (0..5).map(Timestamp::from_seconds).collect();
    /// // Rows 3 and 4 are all that the next row needs.
    /// assert_eq!(Context::rows(2).first_row(&time, 5), 3);
    /// ```
    pub fn first_row(self, time: &[Timestamp], row: usize) -> usize {
        assert!(row <= time.len(), "row {row} of {}", time.len());
        let first = row.saturating_sub(self.rows);
        let Some(from) = time.get(first).or(time.last()) else { return 0 };
        let reach = from.offset(-self.span);
        time[..first].partition_point(|t| *t < reach)
    }

    /// Number of rows at the front that no row after `now` looks back to; `time` is that of all
    /// rows of a series. Of a detector's horizon: the rows that are final.
    ///
    /// ```
    /// use funnelpulse_core::{Context, Timestamp};
    ///
    /// let time: Vec<Timestamp> = (0..10).map(|h| Timestamp::from_seconds(3600 * h)).collect();
    /// let day = Context::span(2 * Timestamp::HOUR);
    /// // At 9:00 the rows up to 7:00 are final.
    /// assert_eq!(day.settled(&time, time[9]), 8);
    /// assert_eq!(Context::rows(3).settled(&time, time[9]), 7);
    /// assert_eq!(Context::NONE.settled(&time, time[9]), 10);
    /// ```
    pub fn settled(&self, time: &[Timestamp], now: Timestamp) -> usize {
        let until = now.offset(-self.span);
        time.get(self.rows..).map_or(0, |later| later.partition_point(|t| *t <= until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(n: i64) -> Vec<Timestamp> {
        (0..n).map(|h| Timestamp::from_seconds(3600 * h)).collect()
    }

    #[test]
    fn a_row_to_come_sees_the_last_rows() {
        let time = hours(10);
        assert_eq!(Context::rows(3).first_row(&time, 10), 7);
        assert_eq!(Context::span(2 * Timestamp::HOUR).first_row(&time, 10), 7);
        assert_eq!(Context::rows(30).first_row(&time, 10), 0);
        assert_eq!(Context::rows(30).first_row(&[], 0), 0);
    }

    #[test]
    fn a_union_holds_both() {
        let (a, b) = (Context::rows(5), Context::span(2 * Timestamp::DAY));
        let time = hours(100);
        for row in 0..100 {
            let both = a.union(b).first_row(&time, row);
            assert!(both <= a.first_row(&time, row) && both <= b.first_row(&time, row));
        }
    }

    #[test]
    fn rows_are_settled_when_no_later_one_looks_back_to_them() {
        let time = hours(10);
        // The row after 9:00 needs rows 8 and 9, and what lies up to three hours before row 8.
        let both = Context::rows(2).with_span(3 * Timestamp::HOUR);
        assert_eq!(both.settled(&time, time[9]), 5);
        assert_eq!(Context::NONE.settled(&time, time[4]), 5);
        assert_eq!(Context::rows(11).settled(&time, time[9]), 0);
    }

    #[test]
    fn a_row_by_itself_needs_neither_rows_nor_time() {
        assert!(Context::NONE.is_none());
        assert!(!Context::rows(1).is_none());
        assert!(!Context::span(1).is_none());
    }
}
