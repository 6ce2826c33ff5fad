//! Events as JSON objects.

use std::{borrow::Cow, fmt};

use funnelpulse_features::{Event, EventSpec};
use funnelpulse_io::TimeReader;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Broken, Cells};

/// Reads one JSON object per record. Names of the fields are those of the [`EventSpec`]; other fields are skipped.
#[derive(Clone, Debug)]
pub(crate) struct JsonDecoder {
    cells: Cells,
    names: Vec<String>,
    /// The place of the field that came at each position of the last record: producers keep their order.
    order: Vec<Option<usize>>,
}

impl JsonDecoder {
    pub(crate) fn new(spec: &EventSpec, times: TimeReader) -> Self {
        let names: Vec<String> = spec.columns().map(str::to_owned).collect();
        Self { cells: Cells::new(spec, times), names, order: Vec::new() }
    }

    /// Hands the event of a record to `take`.
    #[inline]
    pub(crate) fn decode<R>(&mut self, record: &[u8], take: impl FnOnce(&Event<'_>) -> R) -> Result<R, Broken> {
        let Ok(text) = std::str::from_utf8(record) else { return Err(Broken::new("not UTF-8")) };
        let mut json = serde_json::Deserializer::from_str(text);
        let mut fields: [Option<Cow<'_, str>>; 10] = Default::default();
        let mut many;
        let fields: &mut [_] = if self.cells.len() <= fields.len() {
            &mut fields
        } else {
            many = vec![None; self.cells.len()];
            &mut many
        };
        let seed = Fields { names: &self.names, order: &mut self.order, into: fields };
        let read = seed.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| Broken::new(shown(&error)))?;
        self.cells.event(fields, take)
    }
}

fn shown(error: &serde_json::Error) -> String {
    format!("not a JSON object of an event: {error}")
}

struct Fields<'a, 'de> {
    names: &'a [String],
    order: &'a mut Vec<Option<usize>>,
    into: &'a mut [Option<Cow<'de, str>>],
}

impl<'de> DeserializeSeed<'de> for Fields<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(place) = map.next_key_seed(Name { names: self.names, order: self.order, position })? {
            position += 1;
            match place {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(place) => {
                    self.into[place] = cell(map.next_value::<&RawValue>()?.get()).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a field: its place, if it is one that is read.
struct Name<'a> {
    names: &'a [String],
    order: &'a mut Vec<Option<usize>>,
    position: usize,
}

/// Most fields whose order is remembered.
const REMEMBERED: usize = 64;

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    #[inline]
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if let Some(Some(place)) = self.order.get(self.position)
            && self.names[*place] == name
        {
            return Ok(Some(*place));
        }
        let place = self.names.iter().position(|n| n == name);
        if self.position < REMEMBERED {
            self.order.resize(self.order.len().max(self.position + 1), None);
            self.order[self.position] = place;
        }
        Ok(place)
    }
}

/// The text of a JSON value: strings without quotes, numbers and truth values as written, null as nothing.
#[inline]
fn cell(raw: &str) -> Result<Option<Cow<'_, str>>, String> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => Ok(Some(raw[1..raw.len() - 1].into())),
        [b'"', ..] => serde_json::from_str::<String>(raw).map(|text| Some(text.into())).map_err(|e| e.to_string()),
        b"null" => Ok(None),
        [b'{' | b'[', ..] => Err("a field of the event is an object or an array".into()),
        _ => Ok(Some(raw.into())),
    }
}

#[cfg(test)]
mod tests {
    use funnelpulse_io::ReadOptions;

    use super::*;

    fn decode(record: &str) -> Result<String, String> {
        let times = TimeReader::new(&ReadOptions::default()).unwrap();
        let mut decoder = JsonDecoder::new(&EventSpec::default(), times);
        decoder.decode(record.as_bytes(), |e| format!("{e:?}")).map_err(|b| b.0.into_owned())
    }

    #[test]
    fn reads_events() {
        let text = decode(
            r#" {"x": {"y": [1, "}"]}, "event_time": "2019-10-01T00:00:05Z", "event_type": "view", "brand": "B\u00e9 \"q\"",
                "product_id": 17, "user_id": null, "user_session": "", "price": 2.50} "#,
        );
        let text = text.unwrap();
        assert!(
            text.contains(r#"event_type: "view", keys: [Some("Bé \"q\"")], product: Some("17"), user: None"#),
            "{text}"
        );
        assert!(text.contains("session: None, price: Some(2.5)"), "{text}");
        assert!(decode(r#"{"event_time": 1569888005, "event_type": "view"}"#).unwrap().contains("keys: [None]"));
    }

    #[test]
    fn broken_records_say_why() {
        for (record, reason) in [
            ("", "EOF"),
            ("{", "EOF"),
            ("[1]", "expected an object"),
            ("{} {}", "trailing characters"),
            ("{}", "no time"),
            (r#"{"event_time": "soon"}"#, "the time can't be read"),
            (r#"{"event_time": 1569888005, "price": "NaN"}"#, "the price is not a number"),
            (r#"{"event_time": {"a": 1}}"#, "a field of the event is an object"),
            (r#"{"event_time": "\uD800"}"#, "hex escape"),
        ] {
            let error = decode(record).unwrap_err();
            assert!(error.contains(reason), "{record}: {error}");
        }
    }
}
