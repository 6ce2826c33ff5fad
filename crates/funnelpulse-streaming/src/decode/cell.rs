//! The fields of a record, and the event they make.

use std::borrow::Cow;

use funnelpulse_features::{Event, EventSpec};
use funnelpulse_io::TimeReader;

use super::time::FastTimes;

/// Why a record is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Cow<'static, str>);

impl Broken {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

/// Makes events of fields as text. Fields come in the order of [`EventSpec::columns`]: time, type, keys, product,
/// user, session, price; a field that is missing or empty is `None`.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    keys: usize,
    times: FastTimes,
}

/// Most key columns that take no allocation.
const FEW: usize = 4;

impl Cells {
    pub(crate) fn new(spec: &EventSpec, times: TimeReader) -> Self {
        Self { keys: spec.keys.len(), times: FastTimes::new(times) }
    }

    /// Number of fields of a record.
    pub(crate) fn len(&self) -> usize {
        self.keys + 6
    }

    /// Hands the event to `take`.
    #[inline]
    pub(crate) fn event<R>(
        &mut self,
        fields: &[Option<Cow<'_, str>>],
        take: impl FnOnce(&Event<'_>) -> R,
    ) -> Result<R, Broken> {
        let text = |index: usize| fields[index].as_deref().filter(|t| !t.is_empty());
        let Some(time) = text(0) else { return Err(Broken::new("no time")) };
        let Some(time) = self.times.read(time) else { return Err(Broken::new("the time can't be read")) };
        let after = 2 + self.keys;
        let price = match text(after + 3).map(str::trim).filter(|t| !t.is_empty()).map(str::parse::<f64>) {
            None => None,
            Some(Ok(price)) if !price.is_nan() => Some(price),
            Some(_) => return Err(Broken::new("the price is not a number")),
        };
        let event = Event {
            time,
            event_type: text(1).unwrap_or_default(),
            keys: &[],
            product: text(after),
            user: text(after + 1),
            session: text(after + 2),
            price,
        };
        if self.keys <= FEW {
            let mut keys = [None; FEW];
            for (index, key) in keys[..self.keys].iter_mut().enumerate() {
                *key = text(2 + index);
            }
            return Ok(take(&Event { keys: &keys[..self.keys], ..event }));
        }
        let keys: Vec<Option<&str>> = (2..after).map(text).collect();
        Ok(take(&Event { keys: &keys, ..event }))
    }
}
