//! The contract of panel detectors as tests that any of them can run.

use std::collections::BTreeMap;

use funnelpulse_core::{
    FittedPanelDetector, Frame, Panel, PanelDetector, PanelView, Registry, SeriesDetection, SeriesKey,
};

/// Runs the rules of the contract against one [`PanelDetector`]; panics at the first it breaks, naming
/// the rule.
///
/// The panel is yours, since a detector of sites may need columns of a certain meaning: several series
/// with the same times, a few weeks of rows, nothing anomalous in the last quarter.
///
/// ```no_run
/// # fn example<D: funnelpulse_core::PanelDetector>(detector: D, panel: funnelpulse_core::Panel) {
/// use funnelpulse_core::Registry;
/// use funnelpulse_testing::PanelConformance;
///
/// PanelConformance::new(&detector, Registry::new(), panel).run();
/// # }
/// ```
#[derive(Debug)]
pub struct PanelConformance<'a, D> {
    detector: &'a D,
    registry: Registry,
    panel: Panel,
}

type Found = BTreeMap<SeriesKey, SeriesDetection>;

impl<'a, D: PanelDetector> PanelConformance<'a, D> {
    /// Conformance of `detector` on `panel`; `registry` loads its models.
    pub fn new(detector: &'a D, registry: Registry, panel: Panel) -> Self {
        Self { detector, registry, panel }
    }

    /// Runs all rules.
    ///
    /// # Panics
    /// At the first rule that does not hold.
    pub fn run(&self) {
        let model = self.fit(&self.panel);
        assert_eq!(model.kind(), self.detector.kind(), "kind: model and detector disagree");
        let found = detect(model.as_ref(), &self.panel, "row count");
        assert!(!found.is_empty(), "row count: no series is scored");
        for (key, series) in &found {
            let rows = self.panel.get(key.as_str()).map(Frame::nrows);
            assert_eq!(Some(series.scores.len()), rows, "row count: {key}");
            assert!(series.scores.iter().all(|s| s.is_nan() || (0.0..=1.0).contains(s)), "scores: {key} leaves [0, 1]");
        }
        self.ignores_threads_and_order(model.as_ref(), &found);
        self.survives_save_and_load(model.as_ref(), &found);
        self.survives_bad_series();
        self.follows_the_site(model.as_ref());
        let nothing = Panel::new(self.panel.columns().clone());
        assert!(self.detector.fit(&(&nothing).into()).is_err(), "empty: nothing can be learnt from no series");
    }

    fn fit(&self, panel: &Panel) -> Box<dyn FittedPanelDetector> {
        Box::new(self.detector.fit(&panel.into()).unwrap_or_else(|e| panic!("fit: an ordinary panel: {e}")))
    }

    fn ignores_threads_and_order(&self, model: &dyn FittedPanelDetector, found: &Found) {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            let again = pool.install(|| self.fit(&self.panel));
            assert_eq!(bytes(again.as_ref()), bytes(model), "threads: {threads} threads fit another model");
            same(&pool.install(|| detect(model, &self.panel, "threads")), found, "threads");
        }
        let mut reversed = Panel::new(self.panel.columns().clone());
        for (key, frame) in self.panel.iter().rev() {
            reversed.insert(key.clone(), frame.clone()).expect("the same columns");
        }
        assert_eq!(bytes(self.fit(&reversed).as_ref()), bytes(model), "order: added in another order, another model");
    }

    fn survives_save_and_load(&self, model: &dyn FittedPanelDetector, found: &Found) {
        let saved = bytes(model);
        let loaded = self.registry.load_panel(&saved).unwrap_or_else(|e| panic!("save and load: {e}"));
        assert_eq!(bytes(loaded.as_ref()), saved, "save and load: saving again gives other bytes");
        same(&detect(loaded.as_ref(), &self.panel, "save and load"), found, "save and load");
        for cut in (0..saved.len()).step_by(1 + saved.len() / 100) {
            assert!(self.registry.load_panel(&saved[..cut]).is_err(), "files: cut to {cut} bytes");
        }
    }

    /// A series without any value costs itself and no other.
    fn survives_bad_series(&self) {
        let mut panel = self.panel.clone();
        let (_, frame) = self.panel.iter().next().expect("a panel has series");
        let (time, columns, values) = frame.clone().into_parts();
        let blank = Frame::new(time, columns, values.mapv(|_| f64::NAN)).expect("valid");
        panel.insert("\u{1F4A4} blank", blank).expect("the same columns");
        let model = self.fit(&panel);
        let found = detect(model.as_ref(), &panel, "bad series");
        for key in self.panel.keys() {
            assert!(found.contains_key(key), "bad series: {key} is scored no more");
        }
    }

    /// Windows as they close score as the last rows of everything seen so far.
    fn follows_the_site(&self, model: &dyn FittedPanelDetector) {
        if !model.horizon().is_none() {
            return;
        }
        let rows = self.panel.iter().map(|(_, f)| f.nrows()).min().unwrap_or(0);
        let start = rows - (rows / 4).min(24);
        let mut live = model.live();
        let mut advance = |range: std::ops::Range<usize>| {
            let part = part(&self.panel, range);
            live.advance(&PanelView::from(&part)).unwrap_or_else(|e| panic!("live: {e}"))
        };
        advance(0..start);
        for row in start..rows {
            let next = advance(row..row + 1);
            let seen = detect(model, &part(&self.panel, 0..row + 1), "live");
            for (key, next) in next {
                let (a, b) = (next.scores[0], seen[&key].scores[row]);
                assert_eq!(a.to_bits(), b.to_bits(), "live: {key}, row {row}: {a} as it arrives, {b} in the table");
            }
        }
    }
}

fn part(panel: &Panel, range: std::ops::Range<usize>) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        part.insert(key.clone(), frame.view().rows(range.clone()).to_frame()).expect("the same columns");
    }
    part
}

fn detect(model: &dyn FittedPanelDetector, panel: &Panel, rule: &str) -> Found {
    model.detect(&panel.into()).unwrap_or_else(|e| panic!("{rule}: {e}"))
}

fn bytes(model: &dyn FittedPanelDetector) -> Vec<u8> {
    model.to_bytes().unwrap_or_else(|e| panic!("save: {e}"))
}

fn same(a: &Found, b: &Found, rule: &str) {
    assert!(a.keys().eq(b.keys()), "{rule}: other series");
    for ((key, a), b) in a.iter().zip(b.values()) {
        let bits = |d: &SeriesDetection| d.scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(a), bits(b), "{rule}: scores of {key}");
    }
}
