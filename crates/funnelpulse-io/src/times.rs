//! Single times, read as those of a table.

use funnelpulse_core::Timestamp;

use crate::{
    IoError, ReadOptions,
    cells::clock::{Clock, Reading},
};

/// Reads single times as those in a column of a table.
///
/// ```
/// use funnelpulse_io::{ReadOptions, TimeReader};
///
/// let reader = TimeReader::new(&ReadOptions::default())?;
/// let time = reader.read("2019-10-01 00:00:00 UTC").unwrap();
/// assert_eq!(reader.read("1569888000"), Some(time));
/// assert_eq!(reader.read("yesterday"), None);
/// # Ok::<(), funnelpulse_io::IoError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeReader {
    clock: Clock,
    utc: bool,
}

impl TimeReader {
    /// With the time zone and the unit of numbers of these options.
    pub fn new(options: &ReadOptions) -> Result<Self, IoError> {
        Ok(Self { clock: Clock::of(options)?, utc: options.timezone.is_none() })
    }

    /// The time of a text or of a number as text. Of a time that comes twice, the first.
    pub fn read(&self, text: &str) -> Option<Timestamp> {
        match self.clock.text(text) {
            Reading::None => None,
            Reading::One(time) | Reading::Two(time, _) => Some(time),
        }
    }

    /// Whether a time without an offset is UTC.
    pub fn is_utc(&self) -> bool {
        self.utc
    }
}
