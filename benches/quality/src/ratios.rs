//! Small statistics.

/// Hits out of trials.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    hits: usize,
    trials: usize,
}

impl Share {
    pub(crate) fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.trials += 1;
    }

    pub(crate) fn value(self) -> f64 {
        self.hits as f64 / self.trials as f64
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.trials == 0 { f.write_str("-") } else { write!(f, "{:.2} of {}", self.value(), self.trials) }
    }
}

/// The middle value; NaN without any.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
