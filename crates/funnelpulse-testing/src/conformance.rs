//! The contract of `funnelpulse-core` as tests that any detector can run.

use funnelpulse_core::{
    Columns, Detection, Detector, Error, FittedDetector, Frame, FrameError, FrameView, Registry, Timestamp, inspect,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::{noise_frame, plant};

/// Rows that are fed one by one to a live model: enough to fill up any context, few enough to be fast.
const FOLLOWED_ROWS: usize = 260;

/// Runs every rule of the detector contract against one detector; panics at the first it breaks,
/// naming the rule.
///
/// A detector in another repository needs only this in its tests:
///
/// ```no_run
/// # fn example<D: funnelpulse_core::Detector>(detector: D)
/// # where D::Fitted: funnelpulse_core::PersistentModel {
/// use funnelpulse_core::Registry;
/// use funnelpulse_testing::Conformance;
///
/// Conformance::new(&detector, Registry::new().with::<D::Fitted>()).run();
/// # }
/// ```
#[derive(Debug)]
pub struct Conformance<'a, D> {
    detector: &'a D,
    registry: Registry,
    rows: usize,
    columns: usize,
}

impl<'a, D: Detector> Conformance<'a, D> {
    /// Conformance of `detector`; `registry` loads its models.
    pub fn new(detector: &'a D, registry: Registry) -> Self {
        Self { detector, registry, rows: 400, columns: 3 }
    }

    /// Shape of the training frame (default 400 x 3).
    pub fn shape(mut self, rows: usize, columns: usize) -> Self {
        (self.rows, self.columns) = (rows, columns);
        self
    }

    /// Runs all rules.
    ///
    /// # Panics
    /// At the first rule that does not hold.
    pub fn run(&self) {
        is_shareable::<D>();
        is_shareable::<D::Fitted>();
        let history = noise_frame(self.rows, self.columns, 1);
        let model = self.fit(history.view());
        assert_eq!(model.kind(), Detector::kind(self.detector), "kind: model and detector disagree");
        assert_eq!(model.columns(), &**history.columns(), "columns: not those of the training frame");
        self.keeps_row_count(&*model, &history);
        self.finds_columns_by_name(&*model, &history);
        self.survives_odd_training_data();
        self.survives_odd_rows(&*model, &history);
        frames_refuse_bad_time();
        self.is_reproducible(&*model, &history);
        self.ignores_threads_and_batches(&*model, &history);
        self.follows_a_series(&*model, &history);
        self.scores_become_final(&*model, &history);
        self.survives_save_and_load(&*model, &history);
        self.survives_hostile_files(&*model, &history);
        self.learns_online(&*model, &history);
        self.ranks_a_planted_outlier_on_top();
        self.pools(&history);
        self.scores_out_of_sample(&*model, &history);
    }

    fn fit(&self, frame: FrameView<'_>) -> Box<dyn FittedDetector> {
        let model = self.detector.fit(frame);
        Box::new(model.unwrap_or_else(|e| panic!("fit: an ordinary series of {} rows: {e}", frame.nrows())))
    }

    fn keeps_row_count(&self, model: &dyn FittedDetector, history: &Frame) {
        for rows in [0, 1, 2, 7, self.rows] {
            let detection = explain(model, history.view().rows(0..rows), "row count");
            assert_eq!(detection.len(), rows, "row count: {rows} rows in");
            let parts = [detection.expected(), detection.contributions()];
            let interval = detection.interval().map(|(lower, upper)| [lower, upper]);
            for part in parts.into_iter().flatten().chain(interval.into_iter().flatten()) {
                assert_eq!(part.dim(), (rows, self.columns), "row count: shape of a part of the detection");
            }
        }
    }

    fn finds_columns_by_name(&self, model: &dyn FittedDetector, history: &Frame) {
        let straight = detect(model, history.view(), "columns");
        let mut names = history.columns().to_vec();
        names.reverse();
        let reordered = history.view().select(&Columns::new(names).unwrap_or_else(|e| panic!("{e}")));
        let reordered = reordered.expect("the same columns");
        same_bits(straight.score(), detect(model, reordered.view(), "columns").score(), "columns: reordered");

        let mut wide_names = history.columns().to_vec();
        wide_names.insert(0, "unrelated".into());
        let mut wide = Array2::from_elem((self.rows, self.columns + 1), 7.0);
        wide.slice_axis_mut(Axis(1), (1..).into()).assign(&history.values());
        let wide = Frame::new(history.time().to_vec(), Columns::new(wide_names).expect("unique"), wide);
        let wide = wide.expect("valid");
        same_bits(straight.score(), detect(model, wide.view(), "columns").score(), "columns: an additional one");

        let first = history.columns()[0].clone();
        let renamed = history.columns().iter().map(|c| if *c == first { "other".into() } else { c.clone() });
        let renamed = Columns::new(renamed).expect("unique");
        let wrong = Frame::new(history.time().to_vec(), renamed, history.values().to_owned()).expect("valid");
        match model.detect(wrong.view()) {
            Err(Error::Frame(FrameError::MissingColumn { column, .. })) => {
                assert_eq!(column, first, "columns: the error names another column");
            }
            other => panic!("columns: a missing one should be an error that names it, got {other:?}"),
        }
    }

    /// Fitting to odd data is a model or an error, never a panic.
    fn survives_odd_training_data(&self) {
        for (what, frame) in self.odd_frames() {
            if let Ok(model) = self.detector.fit(frame.view()) {
                let detection = detect(&model, frame.view(), what);
                never_infinite(&detection, what);
            }
        }
        let empty = noise_frame(0, self.columns, 1);
        assert!(self.detector.fit(empty.view()).is_err(), "empty: nothing can be learnt from no rows");
        assert!(self.detector.fit_pooled(&[]).is_err(), "empty: nothing can be learnt from no series");
    }

    fn odd_frames(&self) -> Vec<(&'static str, Frame)> {
        let base = noise_frame(self.rows, self.columns, 2);
        let filled = |value: f64| {
            let values = Array2::from_elem((self.rows, self.columns), value);
            Frame::new(base.time().to_vec(), base.columns().clone(), values).expect("valid")
        };
        let mapped = |f: &dyn Fn(usize, usize) -> f64| {
            let values = Array2::from_shape_fn((self.rows, self.columns), |(i, j)| f(i, j));
            Frame::new(base.time().to_vec(), base.columns().clone(), values).expect("valid")
        };
        vec![
            ("one row", noise_frame(1, self.columns, 2)),
            ("two rows", noise_frame(2, self.columns, 2)),
            ("constant", filled(5.0)),
            ("all zero", filled(0.0)),
            ("all NaN", filled(f64::NAN)),
            ("every other NaN", mapped(&|i, j| if (i + j) % 2 == 0 { f64::NAN } else { (i % 24) as f64 })),
            ("huge", mapped(&|i, j| [1e300, -1e300][(i + j) % 2] * (1.0 + (i % 10) as f64))),
            ("subnormal", mapped(&|i, _| f64::from_bits(i as u64 % 17))),
            ("one NaN column", mapped(&|i, j| if j == 0 { f64::NAN } else { (i % 24) as f64 })),
        ]
    }

    fn survives_odd_rows(&self, model: &dyn FittedDetector, history: &Frame) {
        for (what, frame) in self.odd_frames() {
            never_infinite(&detect(model, frame.view(), what), what);
            if what == "all NaN" {
                let scores = detect(model, frame.view(), what).into_score();
                assert!(scores.iter().all(|s| s.is_nan()), "all NaN: rows without any value score NaN");
            }
        }
        let values = Array2::from_elem((1, self.columns), f64::INFINITY);
        let infinite = Frame::from_rows(history.columns().clone(), values);
        assert!(matches!(infinite, Err(FrameError::Infinite { .. })), "infinite: frames refuse it");
    }

    fn is_reproducible(&self, model: &dyn FittedDetector, history: &Frame) {
        let again = self.fit(history.view());
        assert_eq!(bytes(model), bytes(&*again), "seed: the same data gave two different models");
    }

    fn ignores_threads_and_batches(&self, model: &dyn FittedDetector, history: &Frame) {
        let whole = detect(model, history.view(), "batches");
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            let (refit, scores) =
                pool.install(|| (bytes(&*self.fit(history.view())), detect(model, history.view(), "threads")));
            assert_eq!(refit, bytes(model), "threads: {threads} threads fit another model");
            same_bits(scores.score(), whole.score(), "threads: scores");
        }
        if model.horizon().is_none() {
            for batch in [1, 3, 64, 150] {
                let mut scores = Vec::with_capacity(self.rows);
                for start in (0..self.rows).step_by(batch) {
                    let first = model.context().first_row(history.time(), start);
                    let end = (start + batch).min(self.rows);
                    let rows = || history.view().rows(first..end);
                    let part = detect(model, rows(), "batches");
                    let after = model.detect_after(rows(), start - first).expect("batches: rows after a context");
                    same_detection(&after, &part.clone().rows(start - first..end - first));
                    scores.extend(part.score().iter().skip(start - first));
                }
                same_bits(Array1::from(scores).view(), whole.score(), "batches: scores depend on the split");
            }
        }
    }

    /// The newest rows score the same whether they arrive one by one, in windows or at the end of
    /// everything there is.
    fn follows_a_series(&self, model: &dyn FittedDetector, history: &Frame) {
        let end = self.rows.min(FOLLOWED_ROWS);
        for window in [1, 7] {
            let mut live = model.live();
            for start in (0..end).step_by(window) {
                let rows = start..(start + window).min(end);
                let next = live.advance(history.view().rows(rows.clone()));
                let next = next.unwrap_or_else(|e| panic!("live: row {start}: {e}"));
                let seen = detect(model, history.view().rows(0..rows.end), "live");
                let last = seen.rows(rows);
                same_bits(next.score(), last.score(), "live: rows as they arrive score otherwise");
            }
        }
    }

    /// What comes more than the horizon after a row does not change its score.
    fn scores_become_final(&self, model: &dyn FittedDetector, history: &Frame) {
        let whole = detect(model, history.view(), "horizon");
        let end = self.rows * 3 / 4;
        let part = detect(model, history.view().rows(0..end), "horizon");
        let reversed: Vec<_> = history.time().iter().rev().map(|t| Timestamp::from_micros(-t.as_micros())).collect();
        let is_final = |row: usize| self.rows - 1 - model.horizon().first_row(&reversed, self.rows - 1 - row) < end;
        for row in (0..end).take_while(|&row| is_final(row)) {
            let (a, b) = (part.score()[row], whole.score()[row]);
            assert_eq!(a.to_bits(), b.to_bits(), "horizon: row {row} of {end}: {a}, and later {b}");
        }
    }

    fn survives_save_and_load(&self, model: &dyn FittedDetector, history: &Frame) {
        let saved = bytes(model);
        let info = inspect(&saved).unwrap_or_else(|e| panic!("save and load: {e}"));
        assert_eq!(info.kind, model.kind(), "save and load: the file names another kind");
        assert_eq!(
            (Some(info.payload_version), info.crate_version.as_str()),
            (self.registry.version(&info.kind), model.writer().crate_version),
            "save and load: `writer()` does not agree with the VERSION of the model; let it return writer!(Self)"
        );
        let loaded = self.registry.load(&saved).unwrap_or_else(|e| panic!("save and load: {e}"));
        assert_eq!(loaded.columns(), model.columns(), "save and load: columns");
        let (before, after) =
            (detect(model, history.view(), "save and load"), detect(&*loaded, history.view(), "save and load"));
        same_bits(before.score(), after.score(), "save and load: scores");
        assert_eq!(bytes(&*loaded), saved, "save and load: saving again gives other bytes");
    }

    /// Damaged files are refused; forged ones (with a right checksum) are refused or harmless.
    fn survives_hostile_files(&self, model: &dyn FittedDetector, history: &Frame) {
        let good = bytes(model);
        for cut in (0..good.len()).step_by(1 + good.len() / 200) {
            assert!(self.registry.load(&good[..cut]).is_err(), "files: cut to {cut} bytes");
        }
        let body = good.len() - 4;
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        for round in 0..600 {
            // Xorshift: which byte, which bit.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut bad = good.clone();
            let at = if round < 200 { round % body } else { (state >> 8) as usize % body };
            bad[at] ^= 1 << (state % 8);
            assert!(self.registry.load(&bad).is_err(), "files: a flipped bit in byte {at}");
            let checksum = crc32fast::hash(&bad[..body]);
            bad[body..].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(forged) = self.registry.load(&bad) {
                // An error or any scores will do; a panic will not.
                drop(forged.detect(history.view()));
            }
        }
    }

    fn learns_online(&self, model: &dyn FittedDetector, history: &Frame) {
        let half = self.rows / 2;
        let mut grown = self.fit(history.view().rows(0..half));
        let Some(online) = grown.as_online() else { return };
        let equals_refit = online.update_equals_refit();
        let before = detect(&*self.fit(history.view().rows(0..half)), history.view().rows(half..self.rows), "online");
        let next = online.detect_next(history.view().rows(half..self.rows));
        let next = next.unwrap_or_else(|e| panic!("online: detect_next: {e}"));
        same_bits(before.score(), next.score(), "online: detect_next scores before it learns");
        if equals_refit {
            let updated = detect(&*grown, history.view(), "online");
            let refit = detect(model, history.view(), "online");
            for (row, (a, b)) in updated.score().iter().zip(refit.score()).enumerate() {
                let close = (a - b).abs() <= 1e-9 * b.abs().max(1.0) || a.is_nan() && b.is_nan();
                assert!(close, "online: row {row} scores {a} after an update, {b} after a refit");
            }
        }
    }

    /// Unsupervised: the outlier is among the rows that the detector learns from.
    fn ranks_a_planted_outlier_on_top(&self) {
        let fresh = noise_frame(self.rows, self.columns, 3);
        let context = self.fit(fresh.view()).context();
        let warm = (0..self.rows).find(|&row| context.first_row(fresh.time(), row) > 0).unwrap_or(0);
        for row in [self.rows / 2, self.rows - 1, warm] {
            let planted = (0..self.columns).fold(fresh.clone(), |frame, column| plant(&frame, row, column, 160.0));
            let scores = detect(&*self.fit(planted.view()), planted.view(), "outlier").into_score();
            let top = scores.iter().enumerate().filter(|(_, s)| !s.is_nan()).max_by(|a, b| a.1.total_cmp(b.1));
            assert_eq!(top.map(|(i, _)| i), Some(row), "outlier: another row ranks on top");
        }
        for (row, column) in [(self.rows / 2, 0), (self.rows - 1, self.columns - 1)] {
            let planted = plant(&fresh, row, column, 160.0);
            let detection = explain(&*self.fit(planted.view()), planted.view(), "outlier");
            if let Some(why) = detection.contributions() {
                let why: ArrayView1<'_, f64> = why.row(row);
                let cause = why.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
                assert_eq!(cause, Some(column), "outlier: contributions {why} point at another column");
            }
        }
    }

    fn pools(&self, history: &Frame) {
        let other = noise_frame(self.rows, self.columns, 4);
        match self.detector.fit_pooled(&[history.view(), other.view()]) {
            Ok(model) => {
                assert_eq!(detect(&model, other.view(), "pooled").len(), self.rows);
            }
            Err(error) => {
                let error = Error::detector(Detector::kind(self.detector), error);
                let text = error.to_string();
                assert!(text.contains("support"), "pooled: a detector that can't pool says so, got: {text}");
            }
        }
    }

    fn scores_out_of_sample(&self, model: &dyn FittedDetector, history: &Frame) {
        let scores = model.out_of_sample_scores(&[history.view()]);
        if let Some(scores) = scores.unwrap_or_else(|e| panic!("out of sample: {e}")) {
            let lengths: Vec<usize> = scores.iter().map(Array1::len).collect();
            assert_eq!(lengths, [self.rows], "out of sample: one score per training row");
        }
    }
}

fn is_shareable<T: Send + Sync>() {}

fn frames_refuse_bad_time() {
    let columns = Columns::new(["a"]).expect("one name");
    let frame = |seconds: [i64; 2]| {
        let time = seconds.map(Timestamp::from_seconds).to_vec();
        Frame::new(time, columns.clone(), Array2::zeros((2, 1)))
    };
    assert!(matches!(frame([1, 1]), Err(FrameError::DuplicateTime { .. })), "time: twice the same");
    assert!(matches!(frame([2, 1]), Err(FrameError::UnsortedTime { .. })), "time: unsorted");
}

/// The detection with contributions, whose scores are those of the one without.
fn explain(model: &dyn FittedDetector, frame: FrameView<'_>, rule: &str) -> Detection {
    let explained = model.explain(frame).unwrap_or_else(|e| panic!("{rule}: {} rows: {e}", frame.nrows()));
    same_bits(explained.score(), detect(model, frame, rule).score(), "explain: other scores than those of detect");
    explained
}

fn detect(model: &dyn FittedDetector, frame: FrameView<'_>, rule: &str) -> Detection {
    model.detect(frame).unwrap_or_else(|e| panic!("{rule}: {} rows: {e}", frame.nrows()))
}

fn bytes(model: &dyn FittedDetector) -> Vec<u8> {
    funnelpulse_core::to_bytes(model).unwrap_or_else(|e| panic!("save: {e}"))
}

fn same_bits(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>, rule: &str) {
    assert_eq!(a.len(), b.len(), "{rule}: length");
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "{rule}: row {row}: {a} and {b}");
    }
}

/// The rows after a context are those of the whole.
fn same_detection(after: &Detection, whole: &Detection) {
    same_bits(after.score(), whole.score(), "batches: scores after a context");
    let parts = |d: &Detection| {
        let interval = d.interval().map(|(lower, upper)| [lower.to_owned(), upper.to_owned()]);
        [d.expected().map(|e| e.to_owned()), d.contributions().map(|c| c.to_owned())]
            .into_iter()
            .chain(interval.map_or([None, None], |ends| ends.map(Some)))
            .map(|part| part.map(|part| part.iter().map(|v| v.to_bits()).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    assert!(parts(after) == parts(whole), "batches: what is said of rows after a context");
}

fn never_infinite(detection: &Detection, what: &str) {
    let finite = |part: ArrayView2<'_, f64>| part.iter().all(|v| !v.is_infinite());
    assert!(detection.score().iter().all(|s| !s.is_infinite()), "{what}: an infinite score");
    assert!(detection.contributions().is_none_or(finite), "{what}: an infinite contribution");
}
