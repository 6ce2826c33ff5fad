#![allow(clippy::all, clippy::pedantic, missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use funnelpulse_eval::generator::*;
use funnelpulse_eval::metrics::*;
use funnelpulse_incidents::*;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seeds: Vec<u64> = args[1].split(',').map(|s| s.parse().unwrap()).collect();
    let difficulty: Difficulty = args[2].parse().unwrap();
    for seed in seeds {
        let site_wide_incidents = std::env::var("SITE").map_or(0, |s| s.parse().unwrap());
        let config = GeneratorConfig { seed, difficulty, site_wide_incidents, ..GeneratorConfig::default() };
        let shop = GeneratedFunnel::generate(&config).unwrap();
        let clock = std::time::Instant::now();
        let mut ic = IncidentConfig::default();
        if let Ok(s) = std::env::var("LEVEL") { ic.level_sd_per_day = s.parse().unwrap(); }
        let model = IncidentDetector::new(ic).unwrap().fit(shop.panel()).unwrap();
        let fit = clock.elapsed();
        let clock = std::time::Instant::now();
        let scan = model.scan(shop.panel()).unwrap();
        let took = clock.elapsed();
        for c in 0..3 {
            let (mut n, mut sum, mut sq) = (0.0, 0.0, 0.0);
            for e in &scan.series {
                let truth = shop.truth(e.series.as_str()).unwrap();
                for (row, m) in e.expected().enumerate() {
                    let d = (m[c] / truth.values()[[row, c]]).ln();
                    n += 1.0; sum += d; sq += d * d;
                }
            }
            print!("step {c} bias {:.3} rms {:.3}; ", sum / n, (sq / n as f64).sqrt());
        }
        println!();
        let site = scan.site.as_ref().unwrap();
        if args.len() > 3 { for i in site.incidents(0.0) { println!("  site {} {} {} {:.1} loss {:.0}", i.kind, i.start, i.last, i.log_odds, i.revenue_loss);
         }
          for e in shop.events().iter().filter(|e| e.site_wide && e.series.as_str() == "brand_001") { println!("  true site {} {} {} ", e.kind, e.start, e.end); }
        }
        let det = IncidentDetector::new(IncidentConfig::default()).unwrap();
        let forecasts = shop.panel().iter().map(|(key, frame)| {
            let truth = shop.truth(key.as_str()).unwrap();
            let kinds = shop.kinds(key.as_str()).unwrap();
            let (v, m) = (frame.values(), truth.values());
            let (mut a, mut b, mut c, mut n) = (0.0, 0.0, 0.0, 0.0);
            for i in 0..frame.nrows() { if kinds[i].is_none() {
                let (y, mu) = (v[[i, 2]], m[[i, 2]]);
                a += (y - mu).powi(2) - mu * mu * (1.0 / 12.0 + 0.03); b += mu;
                if y > 0.0 { c += y * (v[[i, 3]] / (y * m[[i, 3]] / mu) - 1.0).powi(2); n += 1.0; }
            } }
            (key.clone(), Forecast { expected: truth.clone(), noise: Noise { relative: [1.0 / 25.0, 1.0 / 15.0, 1.0 / 12.0], dispersion: [1.0, 1.0, f64::max(a / b, 1.0)], price: c / n } })
        }).collect();
        let oracle = det.scan_against(shop.panel(), &forecasts).unwrap();
        report(&format!("{seed} oracle"), &shop, &oracle, args.len() > 3);
        report(&format!("{seed} ours  "), &shop, &scan.series, args.len() > 3);
        println!("fit {fit:.2?} scan {took:.2?}");
    }
}
fn report(name: &str, shop: &GeneratedFunnel, series: &[Evidence], verbose: bool) {
        let mut labels = Vec::new();
        let mut scores = Vec::new();
        let mut bounds = vec![0];
        let mut right = (0, 0);
        for e in series {
            labels.extend_from_slice(shop.labels(e.series.as_str()).unwrap());
            scores.extend(e.log_odds());
            bounds.push(scores.len());
        }
        let limit = threshold_at_fpr(&labels, &scores, 0.01).unwrap();
        let flags = flags_above(&scores, limit);
        let by: Vec<(&[Option<AnomalyKind>], &[bool])> = series.iter().enumerate().map(|(i, e)| (shop.kinds(e.series.as_str()).unwrap(), &flags[bounds[i]..bounds[i + 1]])).collect();
        let found = event_recall_by_kind(by).unwrap();
        let mut table = std::collections::BTreeMap::new();
        let mut losses = Vec::new();
        let mut losses_raw = Vec::new();
        for (i, e) in series.iter().enumerate() {
            let kinds = shop.kinds(e.series.as_str()).unwrap();
            let named: Vec<_> = e.kinds().collect();
            let incidents = e.incidents(limit);
            for event in shop.events().iter().filter(|x| x.series == e.series) {
                let hit = incidents.iter().filter(|x| x.start < event.end && x.last >= event.start).max_by(|a, b| a.log_odds.total_cmp(&b.log_odds));
                let Some(hit) = hit else { continue };
                let ok = hit.kind.as_str() == event.kind.as_str() || hit.kind.as_str() == "pattern" && ["wrong_hour", "correlation_break"].contains(&event.kind.as_str());
                right.1 += 1; if ok { right.0 += 1; }
                *table.entry((event.kind, hit.kind)).or_insert(0) += 1;
                let truth = event.expected_revenue_loss;
                if truth.abs() > 0.1 * hit.expected[3] { losses.push(((hit.revenue_loss - truth) / truth).abs()); losses_raw.push(((hit.expected[3] - hit.observed[3] - truth) / truth).abs()); }
            }
            let _ = (kinds, named, i);
        }
        losses.sort_by(f64::total_cmp); losses_raw.sort_by(f64::total_cmp);
        println!("{name} AUC-PR {:.3} F1 {:.3} macro@1% {:.3} kind {:.3} ({}) limit {limit:.2} loss error {:.3} raw {:.3} of {}", auc_pr(&labels, &scores).unwrap(), best_f1(&labels, &scores).unwrap().f1, found.macro_recall, right.0 as f64 / right.1 as f64, right.1, losses[losses.len() / 2], losses_raw[losses.len() / 2], losses.len());
        if verbose {
            for (k, (r, n)) in &found.kinds { println!("   {k}: {r:.2} of {n}"); }
            for ((k, named), n) in &table { println!("      {k} -> {named}: {n}"); }
        }
}
