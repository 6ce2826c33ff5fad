#![allow(clippy::all, clippy::pedantic, missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use funnelpulse_core::{Frame, Panel};
use funnelpulse_eval::generator::*;
use funnelpulse_incidents::*;
fn runs(e: &[Evidence], limit: f64, truth: impl Fn(&str, usize) -> bool) -> (f64, f64) {
    let (mut n, mut hours, mut len) = (0.0, 0.0, 0.0);
    for s in e {
        let l: Vec<f64> = s.log_odds().collect();
        hours += l.len() as f64;
        let mut i = 0;
        while i < l.len() { if l[i] >= limit { let mut j = i; let mut t = false; while j < l.len() && l[j] >= limit { t |= truth(s.series.as_str(), j); j += 1; } if !t { n += 1.0; len += (j - i) as f64; } i = j; } else { i += 1; } }
    }
    (n * 168.0 / hours, len / f64::max(n, 1.0))
}
fn main() {
    for seed in [2001u64, 2002] {
        let shop = GeneratedFunnel::generate(&GeneratorConfig { seed, ..GeneratorConfig::default() }).unwrap();
        let clean = GeneratedFunnel::generate(&GeneratorConfig { seed: seed + 100, days: 210, anomaly_share: 0.0, ..GeneratorConfig::default() }).unwrap();
        let det = IncidentDetector::new(IncidentConfig::default()).unwrap();
        let scan = det.fit(shop.panel()).unwrap().scan(shop.panel()).unwrap();
        let split = |from: usize, to: usize| { let mut p = Panel::new(clean.panel().columns().clone()); for (k, f) in clean.panel().iter() { let s = f.time()[0]; let a = f.time().partition_point(|t| *t < s.offset(from as i64 * 86_400_000_000)); let b = f.time().partition_point(|t| *t < s.offset(to as i64 * 86_400_000_000)); let fr: Frame = f.view().rows(a..b).to_frame(); p.insert(k.clone(), fr).unwrap(); } p };
        let cm = det.fit(&split(0, 150)).unwrap();
        let ctrain = cm.scan(&split(0, 150)).unwrap();
        let ctest = cm.scan(&split(150, 210)).unwrap();
        println!("limit | shop all runs/series-week, false ones | clean in sample | clean held out (run length)");
        for l in [-6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0] {
            let a = runs(&scan.series, l, |_, _| false);
            let f = runs(&scan.series, l, |s, r| shop.labels(s).unwrap()[r]);
            let c = runs(&ctrain.series, l, |_, _| false);
            let h = runs(&ctest.series, l, |_, _| false);
            println!("{l:5.1} | {:.3} {:.3} | {:.3} | {:.3} ({:.1})", a.0, f.0, c.0, h.0, h.1);
        }
    }
}
