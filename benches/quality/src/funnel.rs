//! Detection on generated shops.

use std::collections::BTreeMap;

use funnelpulse::{
    Config, Findings, Incident, Pipeline,
    core::AlarmBudget,
    ensemble::Voting,
    eval::{
        generator::{AnomalyEvent, AnomalyKind, GeneratedFunnel, GeneratorConfig},
        metrics::{auc_pr, best_f1, event_recall_by_kind, flags_above, threshold_at_fpr},
    },
};

use crate::{
    Shops, oracle,
    ratios::{Share, mean, median},
};

/// The false positive rate at which events count as found.
const FALSE_POSITIVES: f64 = 0.01;
/// Events that cost or bring less than this share of the revenue of their hours have no loss to speak of.
const MATTERS: f64 = 0.1;

/// Scores of every row, by series.
type Scores = BTreeMap<String, Vec<f64>>;

struct Detection {
    auc_pr: f64,
    best_f1: f64,
    macro_recall: f64,
    kinds: BTreeMap<AnomalyKind, (f64, usize)>,
}

/// Prints the tables.
pub(crate) fn table(shops: &Shops) -> anyhow::Result<()> {
    let mut rows: BTreeMap<String, Vec<Detection>> = BTreeMap::new();
    let mut analysis = Analysis::default();
    for &seed in &shops.seeds {
        let shop = generate(shops, seed)?;
        let zscore = Config {
            alerts: funnelpulse::analytics::AlertConfig { budget: AlarmBudget::OFF, ..Config::default().alerts },
            pipeline: funnelpulse::PipelineConfig {
                detectors: vec!["zscore".to_owned()],
                ..Config::default().pipeline
            },
            ensemble: funnelpulse::ensemble::EnsembleConfig { voting: Voting::Weighted, ..Config::default().ensemble },
            ..Config::default()
        };
        let zscore = Pipeline::builder().config(zscore).build()?.run(shop.panel())?;
        let findings = Pipeline::builder().build()?.run(shop.panel())?;
        let seen = oracle::oracle(&shop)?;
        let seen = seen.iter().map(|e| (e.series.to_string(), e.log_odds().collect())).collect();
        let mut add = |name: &str, scores: &Scores| -> anyhow::Result<()> {
            rows.entry(name.to_owned()).or_default().push(detection(&shop, scores)?);
            Ok(())
        };
        add("1 z-score", &scores(&zscore))?;
        add("2 default", &scores(&findings))?;
        for name in &Config::default().pipeline.detectors {
            add(&format!("3 `{name}` alone"), &scores_of(&findings, name))?;
        }
        add("4 true rates", &seen)?;
        analysis.add(&shop, &findings);
    }
    println!(
        "{} shops of {} brands and {} days, {}, {}, seeds {:?}, default configuration\n",
        shops.seeds.len(),
        shops.brands,
        shops.days,
        shops.difficulty,
        shops.variety,
        shops.seeds
    );
    println!("| | AUC-PR | best F1 | macro event recall at 1 % |\n|---|---|---|---|");
    for (name, all) in &rows {
        let each = |figure: fn(&Detection) -> f64| {
            let values: Vec<f64> = all.iter().map(figure).collect();
            let each: Vec<String> = values.iter().map(|v| format!("{v:.3}")).collect();
            format!("{:.3} ({})", mean(&values), each.join(", "))
        };
        println!(
            "| {} | {} | {} | {} |",
            &name[2..],
            each(|d| d.auc_pr),
            each(|d| d.best_f1),
            each(|d| d.macro_recall)
        );
    }
    let of = |name: &str, figure: fn(&Detection) -> f64| mean(&rows[name].iter().map(figure).collect::<Vec<_>>());
    let share = |figure| 100.0 * of("2 default", figure) / of("4 true rates", figure);
    println!(
        "| share of the detector with the true rates | {:.0} % | {:.0} % | {:.0} % |\n",
        share(|d| d.auc_pr),
        share(|d| d.best_f1),
        share(|d| d.macro_recall)
    );
    println!("| events found at 1 % | z-score | default | true rates | events |\n|---|---|---|---|---|");
    for kind in AnomalyKind::ALL.into_iter().chain([AnomalyKind::Combination]) {
        let found = |name: &str| {
            let all = rows[name].iter().filter_map(|d| d.kinds.get(&kind));
            let (hits, n) =
                all.fold((0.0, 0), |(hits, n), (recall, events)| (hits + recall * *events as f64, n + events));
            (hits / n as f64, n)
        };
        if found("2 default").1 == 0 {
            continue;
        }
        let (z, ours, best) = (found("1 z-score"), found("2 default"), found("4 true rates"));
        println!("| {kind} | {:.2} | {:.2} | {:.2} | {} |", z.0, ours.0, best.0, ours.1);
    }
    analysis.print();
    Ok(())
}

pub(crate) fn generate(shops: &Shops, seed: u64) -> anyhow::Result<GeneratedFunnel> {
    Ok(GeneratedFunnel::generate(&GeneratorConfig {
        brands: shops.brands,
        days: shops.days,
        seed,
        difficulty: shops.difficulty,
        variety: shops.variety,
        site_wide_incidents: shops.site_wide,
        ..GeneratorConfig::default()
    })?)
}

fn scores(findings: &Findings) -> Scores {
    let of = |s: &funnelpulse::SeriesFindings| s.verdicts.iter().map(|v| v.score).collect();
    findings.series().iter().map(|s| (s.series.to_string(), of(s))).collect()
}

/// The scores of one detector; 0 where it has none.
fn scores_of(findings: &Findings, detector: &str) -> Scores {
    let of = |series: &funnelpulse::SeriesFindings| {
        let member = series.models.iter().find(|m| m.detector == detector);
        (0..series.verdicts.len())
            .map(|row| member.map_or(0.0, |m| m.scores[row]))
            .map(|score| if score.is_nan() { 0.0 } else { score })
            .collect()
    };
    findings.series().iter().map(|s| (s.series.to_string(), of(s))).collect()
}

fn detection(shop: &GeneratedFunnel, scores: &Scores) -> anyhow::Result<Detection> {
    let labels: Vec<bool> = scores.keys().flat_map(|s| shop.labels(s).unwrap_or_default()).copied().collect();
    let all: Vec<f64> = scores.values().flatten().copied().collect();
    let limit = threshold_at_fpr(&labels, &all, FALSE_POSITIVES)?;
    let flags: Vec<Vec<bool>> = scores.values().map(|s| flags_above(s, limit)).collect();
    let kinds = scores.keys().map(|s| shop.kinds(s).unwrap_or_default());
    let found = event_recall_by_kind(kinds.zip(flags.iter().map(Vec::as_slice)))?;
    Ok(Detection {
        auc_pr: auc_pr(&labels, &all)?,
        best_f1: best_f1(&labels, &all)?.f1,
        macro_recall: found.macro_recall,
        kinds: found.kinds,
    })
}

/// What is said of the events that the default threshold finds.
#[derive(Default)]
struct Analysis {
    found: Share,
    named: Share,
    stage: Share,
    errors: Vec<f64>,
    inside: Share,
    incidents: usize,
    false_incidents: usize,
    weeks: f64,
}

impl Analysis {
    fn add(&mut self, shop: &GeneratedFunnel, findings: &Findings) {
        self.weeks += findings.rows() as f64 / 168.0;
        for series in findings.series() {
            let events: Vec<&AnomalyEvent> = shop.events().iter().filter(|e| e.series == series.series).collect();
            let meets = |i: &Incident, e: &AnomalyEvent| i.start < e.end && i.end > e.start;
            self.incidents += series.incidents.len();
            self.false_incidents += series.incidents.iter().filter(|i| !events.iter().any(|e| meets(i, e))).count();
            for event in events {
                let hits = series.incidents.iter().filter(|i| meets(i, event));
                let hit = hits.max_by(|a, b| a.probability.total_cmp(&b.probability).then(length(a).cmp(&length(b))));
                self.found.add(hit.is_some());
                if let Some(incident) = hit {
                    self.judge(event, incident);
                }
            }
        }
    }

    fn judge(&mut self, event: &AnomalyEvent, incident: &Incident) {
        let pattern = matches!(event.kind, AnomalyKind::WrongHour | AnomalyKind::CorrelationBreak);
        let unnamed = pattern || event.kind == AnomalyKind::Combination;
        let right = incident.kind.as_str() == event.kind.as_str() || unnamed && incident.kind.as_str() == "unexplained";
        self.named.add(right);
        let broken = match event.kind {
            AnomalyKind::CheckoutOutage => Some("purchase_rate"),
            AnomalyKind::TrackingOutage => Some("traffic"),
            AnomalyKind::PriceError => Some("order_value"),
            AnomalyKind::CartBreak => Some("cart_rate"),
            _ => None,
        };
        if let Some(broken) = broken {
            self.stage.add(incident.stage.as_deref() == Some(broken));
        }
        let truth = event.expected_revenue_loss;
        let Some(revenue) = incident.impact.revenue else { return };
        if truth.abs() >= MATTERS * incident.expected[3] {
            self.errors.push(((-revenue - truth) / truth).abs());
            let inside = incident.revenue_interval.is_some_and(|(low, high)| (low..=high).contains(&-truth));
            self.inside.add(inside);
        }
    }

    fn print(self) {
        let n = self.errors.len();
        println!("\n| incidents at the default budget | |\n|---|---|");
        println!("| events that are part of an incident | {} |", self.found);
        println!("| kind right | {} |", self.named);
        println!("| broken stage right (checkout, tracking, price, cart) | {} |", self.stage);
        println!("| median error of the revenue impact | {:.1} % of {n} |", 100.0 * median(self.errors));
        println!("| true impact within the 90 % interval | {} |", self.inside);
        println!(
            "| incidents in all, and without an event | {}, {} ({:.2} per series and month) |",
            self.incidents,
            self.false_incidents,
            self.false_incidents as f64 / self.weeks * 730.5 / 168.0
        );
    }
}

fn length(incident: &Incident) -> i64 {
    incident.end.as_micros() - incident.start.as_micros()
}
