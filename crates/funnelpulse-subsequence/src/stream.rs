//! A series as it comes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{SubsequenceError, sorted::Sorted};

/// Larger values are cut, so that squares stay finite.
const LARGEST: f64 = 1e100;
/// Weight of the newest day in what is usual at a time of day.
const NEWEST: f64 = 0.3;
const VIEWS: usize = 4;

/// Hyper-parameters of a [`Stream`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamConfig {
    /// Rows of a season, a day say, 2 to 100,000; `None` for a series without one.
    pub season: Option<usize>,
    /// Rows that score 0 at the start, 20 to 100,000.
    pub warm_up: usize,
    /// Rows after a peak in which only a higher one is reported, 0 to 100,000.
    pub quiet: usize,
    /// Rows that the usual level is the median of, 20 to 100,000.
    pub level_rows: usize,
    /// Rows of the shape that is looked for in the past, 2 to 1,000.
    pub shape_rows: usize,
    /// Rows of the past in which it is looked for, 100 to 1,000,000. A row takes time in proportion to it.
    pub shape_memory: usize,
    /// Rows that rarity is judged by, 100 to 1,000,000.
    pub memory: usize,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            season: None,
            warm_up: 75,
            quiet: 120,
            level_rows: 1000,
            shape_rows: 4,
            shape_memory: 4000,
            memory: 20_000,
        }
    }
}

impl StreamConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), SubsequenceError> {
        let fields = [
            ("season", self.season.unwrap_or(2), 2..=100_000, "2 to 100000"),
            ("warm_up", self.warm_up, 20..=100_000, "20 to 100000"),
            ("quiet", self.quiet, 0..=100_000, "0 to 100000"),
            ("level_rows", self.level_rows, 20..=100_000, "20 to 100000"),
            ("shape_rows", self.shape_rows, 2..=1_000, "2 to 1000"),
            ("shape_memory", self.shape_memory, 100..=1_000_000, "100 to 1000000"),
            ("memory", self.memory, 100..=1_000_000, "100 to 1000000"),
        ];
        for (name, value, range, allowed) in fields {
            if !range.contains(&value) {
                return Err(SubsequenceError::Config { name, value: value.to_string(), allowed });
            }
        }
        Ok(())
    }
}

/// Online detector of one series: every value is scored by what came before it, then learnt from.
///
/// Four views of a value, each as rarity among its past (0 = ordinary, 1 = the largest so far,
/// more beyond): distance from the median level, step from the value before, distance
/// from what is usual at this time of the season, and distance of the latest few rows from the nearest
/// such shape of the past. The score is the sum of their squares where it exceeds every score of
/// the `quiet` rows before, else 0: one anomaly raises one alarm, and another only if it gets worse.
///
/// ```
/// use funnelpulse_subsequence::{Stream, StreamConfig};
///
/// let mut stream = Stream::new(StreamConfig { season: Some(24), ..Default::default() })?;
/// let views = |h: usize| 100.0 + 30.0 * (h as f64 * std::f64::consts::TAU / 24.0).sin() + (h * 7 % 13) as f64;
/// let usual: Vec<f64> = (0..480).map(|h| stream.push(views(h))).collect();
/// assert!(stream.push(5.0) > 4.0, "an outage");
/// assert!(usual[100..].iter().all(|&score| score < 4.0));
/// # Ok::<(), funnelpulse_subsequence::SubsequenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Stream {
    config: StreamConfig,
    /// Place in the season.
    phase: usize,
    /// The usual value at each place of the season, once seen.
    usual: Vec<Option<f64>>,
    level: Sorted,
    past: Vec<f64>,
    views: Vec<Sorted>,
    /// Scores before they were silenced, of the latest `quiet` rows.
    scores: VecDeque<f64>,
}

#[derive(Deserialize)]
struct Unchecked {
    config: StreamConfig,
    phase: usize,
    usual: Vec<Option<f64>>,
    level: Sorted,
    past: Vec<f64>,
    views: Vec<Sorted>,
    scores: VecDeque<f64>,
}

impl TryFrom<Unchecked> for Stream {
    type Error = String;

    fn try_from(u: Unchecked) -> Result<Self, String> {
        u.config.validate().map_err(|e| e.to_string())?;
        let finite = |values: &[f64]| values.iter().all(|v| v.abs() <= LARGEST);
        let sizes_fit = u.usual.len() == u.config.season.unwrap_or(0)
            && u.phase <= u.usual.len()
            && u.past.len() <= 2 * u.config.shape_memory
            && u.views.len() == VIEWS
            && u.scores.len() <= u.config.quiet;
        let values_fit = u.usual.iter().flatten().all(|v| v.abs() <= LARGEST)
            && finite(&u.past)
            && u.scores.iter().all(|s| s.is_finite())
            && u.level.is_valid(u.config.level_rows)
            && u.views.iter().all(|view| view.is_valid(u.config.memory));
        if !(sizes_fit && values_fit) {
            return Err("a stream's memory that does not fit its configuration".into());
        }
        let Unchecked { config, phase, usual, level, past, views, scores } = u;
        Ok(Self { config, phase, usual, level, past, views, scores })
    }
}

impl Stream {
    /// A stream that has seen nothing.
    pub fn new(config: StreamConfig) -> Result<Self, SubsequenceError> {
        config.validate()?;
        let views = vec![Sorted::new(config.memory); VIEWS];
        let (usual, level) = (vec![None; config.season.unwrap_or(0)], Sorted::new(config.level_rows));
        Ok(Self { config, phase: 0, usual, level, past: Vec::new(), views, scores: VecDeque::new() })
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// Scores the next value, 0 or more, and learns it. A missing or infinite value scores NaN and only
    /// moves the season on.
    pub fn push(&mut self, value: f64) -> f64 {
        let phase = self.phase;
        self.phase = if phase + 1 >= self.usual.len() { 0 } else { phase + 1 };
        if !value.is_finite() {
            return f64::NAN;
        }
        let value = value.clamp(-LARGEST, LARGEST);
        let step = self.past.last().map(|before| (value - before).abs());
        let off_level = self.level.median().map(|median| (value - median).abs());
        self.level.push(value);
        self.past.push(value);
        if self.past.len() > 2 * self.config.shape_memory {
            self.past.drain(..self.config.shape_memory);
        }
        let views = [off_level, step, self.off_season(phase), self.off_shape()];
        let mut score = 0.0;
        for (view, seen) in views.into_iter().zip(&mut self.views) {
            if let Some(distance) = view {
                if seen.len() >= self.config.warm_up {
                    score += seen.rarity(distance).powi(2);
                }
                seen.push(distance);
            }
        }
        let highest = self.scores.iter().copied().fold(0.0, f64::max);
        if self.config.quiet > 0 {
            if self.scores.len() == self.config.quiet {
                self.scores.pop_front();
            }
            self.scores.push_back(score);
        }
        if score > highest { score } else { 0.0 }
    }

    /// Distance of the mean of the latest five rows from what it usually is at this place.
    fn off_season(&mut self, phase: usize) -> Option<f64> {
        let usual = self.usual.get_mut(phase)?;
        let latest = &self.past[self.past.len().saturating_sub(5)..];
        let mean = latest.iter().sum::<f64>() / latest.len() as f64;
        let Some(before) = *usual else {
            *usual = Some(mean);
            return None;
        };
        *usual = Some(before + NEWEST * (mean - before));
        Some((mean - before).abs())
    }

    /// Distance of the latest rows from the nearest run of the past that does not overlap them.
    fn off_shape(&self) -> Option<f64> {
        let rows = self.config.shape_rows;
        let (past, latest) = self.past.split_at(self.past.len().checked_sub(rows)?);
        let remembered = &past[past.len().saturating_sub(self.config.shape_memory)..];
        let squared = |run: &[f64]| run.iter().zip(latest).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let nearest = remembered.windows(rows).map(squared).fold(f64::INFINITY, f64::min);
        nearest.is_finite().then(|| nearest.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: usize) -> f64 {
        (i * 7919 % 1009) as f64 / 1009.0
    }

    #[test]
    fn a_saved_stream_goes_on() {
        let config = StreamConfig { season: Some(24), memory: 150, level_rows: 50, ..Default::default() };
        let mut stream = Stream::new(config).unwrap();
        (0..400).for_each(|i| {
            stream.push(noise(i));
        });
        let json = serde_json::to_string(&stream).unwrap();
        let mut loaded: Stream = serde_json::from_str(&json).unwrap();
        assert_eq!(loaded, stream);
        for i in 400..600 {
            assert_eq!(loaded.push(noise(i)), stream.push(noise(i)));
        }
        for (good, bad) in
            [("\"memory\":150", "\"memory\":200"), ("\"phase\":16", "\"phase\":99"), ("[0.", "[1e300,0.")]
        {
            assert!(json.contains(good), "{good}");
            assert!(serde_json::from_str::<Stream>(&json.replacen(good, bad, 1)).is_err(), "{bad}");
        }
    }

    #[test]
    fn odd_values() {
        let mut stream = Stream::new(StreamConfig::default()).unwrap();
        for i in 0..300 {
            let value = [noise(i), f64::NAN, f64::MAX, -f64::MAX, f64::INFINITY, 5e-324][i % 6];
            let score = stream.push(value);
            assert_eq!(score.is_nan(), !value.is_finite());
            assert!(!score.is_infinite());
        }
        assert!(Stream::new(StreamConfig { warm_up: 3, ..Default::default() }).is_err());
    }

    #[test]
    fn one_alarm_for_one_anomaly() {
        let mut stream = Stream::new(StreamConfig::default()).unwrap();
        let value = |i: usize| if (500..520).contains(&i) { 9.0 } else { noise(i) };
        let scores: Vec<f64> = (0..600).map(|i| stream.push(value(i))).collect();
        assert!(scores[500] > 3.0, "{}", scores[500]);
        assert!(scores[501..].iter().all(|&s| s == 0.0));
    }
}
