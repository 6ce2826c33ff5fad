//! Times ours and the Rust peers on one array: `changepoint-peers FILE PENALTY GAMMA`, the file in
//! little-endian f64. Prints `work <tab> who <tab> milliseconds of CPU <tab> what was found`.

use anofox_forecast::changepoint::{
    CostL2 as AnofoxL2, CostRbf as AnofoxRbf, PeltDetector, detector::Detector, signal::Signal,
};
use changepoint::{Bocpd as PeerBocpd, BocpdLike, BocpdTruncated};
use funnelpulse_changepoint::{
    auto::find_partition,
    kernel::{InducingKernel, rbf_pelt},
    online::{Bocpd, BocpdConfig, Focus, FocusFamily, NormalGamma},
    search::{Fpop, Pelt},
};
use ndarray::{Array1, Axis};
use rustix::time::{ClockId, clock_gettime};

const MIN_SIZE: usize = 24;
const RBF_PENALTY: f64 = 10.0;

fn cpu_ms() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 * 1e-6
}

/// Runs for at least 20 ms, or once, and prints the fastest run.
fn time(work: &str, who: &str, mut run: impl FnMut() -> String) {
    let (mut best, mut total, mut found) = (f64::INFINITY, 0.0, String::new());
    while total < 20.0 {
        let start = cpu_ms();
        found = run();
        let took = cpu_ms() - start;
        best = best.min(took);
        total += took.max(1e-3);
    }
    println!("{work}\t{who}\t{best}\t{found}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&arguments[1]).expect("a file of f64");
    let values: Vec<f64> = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
    let penalty: f64 = arguments[2].parse().expect("a penalty");
    let gamma: f64 = arguments[3].parse().expect("a gamma");
    let n = values.len();
    let one = Array1::from_vec(values.clone());
    let column = one.view().insert_axis(Axis(1));
    let breaks = |count: usize| format!("{count} breaks");

    time("l2", "ours (FPOP)", || breaks(Fpop::new(MIN_SIZE, 1).unwrap().l2(one.view(), penalty).unwrap().breaks.len()));
    time("fpop", "ours", || breaks(Fpop::new(1, 1).unwrap().l2(one.view(), penalty).unwrap().breaks.len()));
    time("focus", "ours", || {
        let mut focus = Focus::new(FocusFamily::Normal(1.0)).unwrap();
        let mut highest: f64 = 0.0;
        for &v in &values {
            highest = highest.max(focus.update(v).unwrap().map_or(0.0, |e| e.statistic));
        }
        format!("highest {highest:.1}")
    });
    if n > 10_000 {
        if n <= 200_000 {
            time("inducing", "ours", || {
                let cost = InducingKernel::new(column, Some(gamma), 1e-4).unwrap();
                let found = Pelt::new(MIN_SIZE, 1).unwrap().search(&cost, RBF_PENALTY).unwrap();
                format!("{} breaks, rank {}, error {:.1e}", found.breaks.len(), cost.rank(), cost.tolerance())
            });
        }
        return;
    }
    let signal = Signal::univariate(&values);
    time("l2", "anofox", || {
        let mut peer = PeltDetector::new(AnofoxL2::new()).min_size(MIN_SIZE).jump(1);
        peer.fit(&signal).unwrap();
        breaks(peer.predict_pen(penalty).unwrap().n_changepoints())
    });
    time("rbf", "ours", || breaks(rbf_pelt(column, None, MIN_SIZE, 1, RBF_PENALTY).unwrap().breaks.len()));
    time("rbf", "anofox", || {
        let mut peer = PeltDetector::new(AnofoxRbf::auto()).min_size(MIN_SIZE).jump(1);
        peer.fit(&signal).unwrap();
        breaks(peer.predict_pen(RBF_PENALTY).unwrap().n_changepoints())
    });
    time("rbf, gamma given", "ours", || {
        breaks(rbf_pelt(column, Some(gamma), MIN_SIZE, 1, RBF_PENALTY).unwrap().breaks.len())
    });
    time("auto", "ours", || breaks(find_partition(one.view()).unwrap().breaks.len()));

    // Online, on standardised values: prior mean 0 worth one observation, shape and rate 1/2.
    let (mean, deviation) = (one.mean().expect("values"), one.std(0.0));
    let standard: Vec<f64> = values.iter().map(|v| (v - mean) / deviation).collect();
    time("bocpd", "ours", || {
        let model = NormalGamma::new(0.0, 1.0, 0.5, 0.5).unwrap();
        let mut ours = Bocpd::new(model, BocpdConfig::default()).unwrap();
        for &v in &standard {
            ours.update(v).unwrap();
        }
        format!("run length {}", ours.most_likely_run_length())
    });
    let prior = || rv::prelude::NormalGamma::new_unchecked(0.0, 1.0, 1.0, 1.0);
    let longest =
        |p: &[f64]| format!("run length {}", (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap_or(0));
    time("bocpd", "changepoint, truncated", || {
        let mut peer: BocpdTruncated<f64, rv::prelude::Gaussian, _> = BocpdTruncated::new(250.0, prior());
        let mut found = String::new();
        for v in &standard {
            let p = peer.step(v);
            if v == &standard[n - 1] {
                found = longest(p);
            }
        }
        found
    });
    time("bocpd", "changepoint", || {
        let mut peer: PeerBocpd<f64, rv::prelude::Gaussian, _> = PeerBocpd::new(250.0, prior());
        let mut found = String::new();
        for v in &standard {
            let p = peer.step(v);
            if v == &standard[n - 1] {
                found = longest(p);
            }
        }
        found
    });
}
