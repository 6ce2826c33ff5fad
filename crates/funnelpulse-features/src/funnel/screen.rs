//! The checks of one event that need nothing but the event.

use std::borrow::Cow;

use super::{
    Event, EventSpec, Rejection,
    silver::{Step, Vocabulary, micro_price, tidy, tidy_key},
};
use crate::FeatureError;

/// Validates and classifies single events.
///
/// [`FunnelBuilder`](crate::FunnelBuilder) is this plus the memory of the events seen so far; the streaming
/// engine keeps that memory per window.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::{Event, EventScreen, EventSpec, Screened, Step};
///
/// let screen = EventScreen::new(&EventSpec::default())?;
/// let event = Event {
///     time: Timestamp::from_seconds(1_569_888_123),
///     event_type: " VIEW",
///     keys: &[Some("Runail")],
///     product: Some("5"),
///     user: Some("ann"),
///     session: None,
///     price: Some(2.38),
/// };
/// let Screened::Valid(valid) = screen.screen(&event) else { panic!() };
/// assert_eq!((valid.step, valid.micro_price), (Step::View, Some(2_380_000)));
/// assert!(matches!(screen.screen(&Event { event_type: "wish", ..event }), Screened::Ignored(t) if t == "wish"));
/// # Ok::<(), funnelpulse_features::FeatureError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EventScreen {
    vocabulary: Vocabulary,
}

/// The result of [`EventScreen::screen`].
#[derive(Clone, Debug, PartialEq)]
pub enum Screened<'a> {
    /// A step of the funnel.
    Valid(ValidEvent),
    /// A sound event of a type that is no step of the funnel: the type, tidied. It shows that the feed works.
    Ignored(Cow<'a, str>),
    /// A broken event. The price is the one that is not allowed, where the price is the reason.
    Rejected(Rejection, Option<f64>),
}

/// What counts of a sound event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidEvent {
    /// The step of the funnel.
    pub step: Step,
    /// The price in millionths.
    pub micro_price: Option<i64>,
    /// Equal for repeats of one event, different for different events; `None` where neither user nor session is
    /// known, so that a repeat can't be recognised. The time is part of it: repeats fall into the same window.
    pub fingerprint: Option<u128>,
}

impl EventScreen {
    /// The checks for events of this specification.
    pub fn new(spec: &EventSpec) -> Result<Self, FeatureError> {
        spec.validate()?;
        Ok(Self { vocabulary: Vocabulary::new(spec) })
    }

    /// Validates and classifies an event.
    pub fn screen<'a>(&self, event: &Event<'a>) -> Screened<'a> {
        match self.screen_as(event, None) {
            Screened::Valid(valid) => {
                let fingerprint = event.identity().map(|identity| identity ^ valid.step as u128);
                Screened::Valid(ValidEvent { fingerprint, ..valid })
            }
            other => other,
        }
    }

    /// The same for an event whose [`identity`](Event::identity) is known.
    pub fn screen_as<'a>(&self, event: &Event<'a>, identity: Option<u128>) -> Screened<'a> {
        let event_type = tidy(event.event_type);
        if event_type.is_empty() {
            return Screened::Rejected(Rejection::EventType, None);
        }
        let micro_price = match micro_price(event.price) {
            Ok(price) => price,
            Err((reason, price)) => return Screened::Rejected(reason, Some(price)),
        };
        let Some(step) = self.vocabulary.step(&event_type) else { return Screened::Ignored(event_type) };
        let fingerprint = identity.map(|identity| identity ^ step as u128);
        Screened::Valid(ValidEvent { step, micro_price, fingerprint })
    }
}

/// Replaces `name` by the name of the series that the keys stand for: each part tidied, null and empty as
/// [`NO_KEY`](crate::NO_KEY), several parts joined as by
/// [`SeriesKey::from_parts`](funnelpulse_core::SeriesKey::from_parts).
///
/// ```
/// use funnelpulse_features::series_name;
///
/// let mut name = String::new();
/// series_name(&[Some(" Berlin"), Some("a/b"), None], &mut name);
/// assert_eq!(name, r"berlin/a\/b/(none)");
/// ```
pub fn series_name(keys: &[Option<&str>], name: &mut String) {
    name.clear();
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            name.push('/');
        }
        let part = tidy_key(*key);
        if keys.len() == 1 || !part.contains(['/', '\\']) {
            name.push_str(&part);
            continue;
        }
        for letter in part.chars() {
            if matches!(letter, '/' | '\\') {
                name.push('\\');
            }
            name.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::SeriesKey;

    use super::*;

    #[test]
    fn names_are_those_of_the_series_key() {
        let mut name = String::new();
        for parts in [["a/b", "c"], ["a", "b\\/c"], ["", " X "], ["é", "Ü"]] {
            let keys: Vec<_> = parts.iter().map(|p| Some(*p)).collect();
            let tidied: Vec<_> = keys.iter().map(|k| tidy_key(*k)).collect();
            series_name(&keys, &mut name);
            assert_eq!(name, SeriesKey::from_parts(&tidied).as_str());
            series_name(&keys[..1], &mut name);
            assert_eq!(name, SeriesKey::from_parts(&tidied[..1]).as_str());
        }
    }

    #[test]
    fn repeats_have_the_same_fingerprint_and_other_steps_another() {
        let screen = EventScreen::new(&EventSpec::default()).unwrap();
        let view = Event {
            time: funnelpulse_core::Timestamp::from_seconds(60),
            event_type: "view",
            keys: &[],
            product: Some("p"),
            user: Some("ann"),
            session: None,
            price: None,
        };
        let fingerprint = |event: &Event<'_>| match screen.screen(event) {
            Screened::Valid(valid) => valid.fingerprint,
            other => panic!("{other:?}"),
        };
        assert!(fingerprint(&view).is_some());
        assert_eq!(fingerprint(&view), fingerprint(&Event { event_type: " VIEW ", ..view }));
        assert_ne!(fingerprint(&view), fingerprint(&Event { event_type: "cart", ..view }));
        assert_ne!(fingerprint(&view), fingerprint(&Event { user: Some("bob"), ..view }));
        assert_eq!(fingerprint(&Event { user: None, ..view }), None);
        // The same where the identity is known.
        assert_eq!(screen.screen_as(&view, view.identity()), screen.screen(&view));
    }
}
