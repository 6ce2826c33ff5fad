//! A feed of events without detection in mind: many brands, evenly spread over time, each event once.

use std::fmt::Write;

use funnelpulse::core::Timestamp;

/// 2019-10-01T00:00:00Z.
pub const START: i64 = 1_569_888_000;

/// Evenly spread events.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// Events in all.
    pub events: u64,
    /// Hours from the first to the last.
    pub hours: u64,
    /// Brands.
    pub brands: u64,
}

impl Feed {
    /// Event `index` as a JSON object.
    pub fn json(&self, index: u64, text: &mut String) {
        text.clear();
        let random =
            (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let (a, b) = (random >> 32, random & 0xFFFF_FFFF);
        let seconds = (u128::from(index) * u128::from(self.hours * 3_600) / u128::from(self.events)) as i64;
        let time = Timestamp::from_seconds(START + seconds);
        let kind = ["view", "view", "view", "view", "view", "view", "cart", "cart", "cart", "purchase"];
        // The fields and their lengths are those of the public REES46 shop data.
        write!(
            text,
            r#"{{"event_time":"{time}","event_type":"{}","product_id":{},"brand":"brand_{:03}","price":{:.2},"user_id":{},"user_session":"{random:016x}-{index:012}"}}"#,
            kind[(a % 10) as usize],
            5_700_000 + b % 50_000,
            if self.brands == self.events { index } else { a % self.brands },
            (b % 10_000) as f64 / 100.0,
            500_000_000 + index / 7,
        )
        .expect("a text takes everything");
    }
}
