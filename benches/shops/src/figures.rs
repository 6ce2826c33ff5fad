//! The figures of `score.py`, and those of incidents.

use std::{collections::BTreeMap, io::Write, path::Path};

use funnelpulse_core::Timestamp;
use funnelpulse_incidents::{IncidentModel, Scan};

use crate::shop::{Event, Label, Shop};

/// Events of fewer nats are not expected to be found.
const BOUND: f64 = 8.0;
/// Hours between flagged rows of one incident.
const GAP: i64 = 3;
/// Hours of a mean month.
const MONTH: f64 = 730.56;

/// How good a scan is.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) auc_pr: f64,
    f1: f64,
    recall: f64,
    delay: f64,
    /// False incidents per series and month: at 1 % of the ordinary rows, and at the threshold for one.
    false_at_1: f64,
    false_at_budget: f64,
    recall_at_budget: f64,
    prices: Prices,
    listed: Listed,
    /// Median hours from the onset to the first alarm, of events after training; NaN in hindsight.
    pub(crate) alarm_delay: f64,
}

/// Incidents as they are reported: flagged at the budget of one false incident, and at least as likely as not.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Share of the detectable events that an incident touches.
    events: f64,
    /// Incidents that touch no event, per series and month.
    false_ones: f64,
    /// Share of the events listed whose first incident begins within an hour of them.
    start: f64,
}

/// How well found events are priced and named.
#[derive(Clone, Copy, Debug)]
struct Prices {
    /// Median relative error of the revenue lost, and the share of truths within the 90 % interval.
    error: f64,
    coverage: f64,
    /// Of the events whose pattern has a name, the share with that name.
    named: f64,
    /// Of the others, the share that is unexplained or has the name of one of their parts.
    unnamed: f64,
}

/// One row with its label.
struct Scored {
    series: usize,
    row: usize,
    hour: i64,
    score: f64,
    label: Label,
}

impl Figures {
    pub(crate) const HEADER: &str = "shop      AUC-PR    F1  recall delay  false@1% false@1/month recall@1/m  price cover  named other listed false  start alarm";

    pub(crate) fn of(shop: &Shop, model: &IncidentModel, scan: &Scan, from: Option<Timestamp>) -> Self {
        let mut rows = scored(shop, scan);
        let mut events = detectable(shop);
        if let Some(from) = from {
            rows.retain(|row| row.hour >= from.as_micros().div_euclid(Timestamp::HOUR));
            events.retain(|_, event| event.start >= from);
        }
        let ordinary = |r: &&Scored| !r.label.ignore && !r.label.is_anomaly;
        let (auc_pr, f1) = precision_recall(&rows, &events);
        let mut normal: Vec<f64> = rows.iter().filter(ordinary).map(|r| r.score).collect();
        normal.sort_by(f64::total_cmp);
        let rank = (0.99 * (normal.len() - 1) as f64).ceil() as usize;
        let one_percent = normal[rank];
        let at = |flag: &dyn Fn(f64) -> bool| {
            let flagged = rows.iter().filter(ordinary).filter(|r| flag(r.score)).count();
            let rate = (flagged as f64 / normal.len() as f64).clamp(1e-6, 0.5);
            found_events(&rows, &events, rate, flag)
        };
        let (recall, delays) = at(&|s| s > one_percent);
        let budget = model.threshold(1.0);
        let (recall_at_budget, _) = at(&|s| s >= budget);
        Self {
            auc_pr,
            f1,
            recall,
            delay: median(delays),
            false_at_1: false_incidents(&rows, |s| s > one_percent),
            false_at_budget: false_incidents(&rows, |s| s >= budget),
            recall_at_budget,
            prices: prices(scan, &rows, &events, one_percent),
            listed: listed(shop, scan, &events, budget, from),
            alarm_delay: f64::NAN,
        }
    }

    pub(crate) fn line(&self, name: &str) -> String {
        format!(
            "{name:<9} {:6.3} {:5.3}  {:5.3} {:5.1}  {:7.2} {:12.2} {:10.3}  {:5.3} {:5.2}  {:5.2} {:5.2}  {:5.3} {:5.2}  {:5.2} {:5.1}",
            self.auc_pr,
            self.f1,
            self.recall,
            self.delay,
            self.false_at_1,
            self.false_at_budget,
            self.recall_at_budget,
            self.prices.error,
            self.prices.coverage,
            self.prices.named,
            self.prices.unnamed,
            self.listed.events,
            self.listed.false_ones,
            self.listed.start,
            self.alarm_delay
        )
    }

    pub(crate) fn mean(all: &[&Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| {
            let values: Vec<f64> = all.iter().map(|f| of(f)).filter(|v| v.is_finite()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        Self {
            auc_pr: mean(|f| f.auc_pr),
            f1: mean(|f| f.f1),
            recall: mean(|f| f.recall),
            delay: mean(|f| f.delay),
            false_at_1: mean(|f| f.false_at_1),
            false_at_budget: mean(|f| f.false_at_budget),
            recall_at_budget: mean(|f| f.recall_at_budget),
            prices: Prices {
                error: mean(|f| f.prices.error),
                coverage: mean(|f| f.prices.coverage),
                named: mean(|f| f.prices.named),
                unnamed: mean(|f| f.prices.unnamed),
            },
            listed: Listed {
                events: mean(|f| f.listed.events),
                false_ones: mean(|f| f.listed.false_ones),
                start: mean(|f| f.listed.start),
            },
            alarm_delay: mean(|f| f.alarm_delay),
        }
    }
}

fn scored(shop: &Shop, scan: &Scan) -> Vec<Scored> {
    let mut rows = Vec::new();
    for (series, evidence) in scan.series.iter().enumerate() {
        let labels = &shop.labels[&evidence.series];
        for (row, ((time, score), label)) in evidence.time().iter().zip(evidence.log_odds()).zip(labels).enumerate() {
            let hour = time.as_micros().div_euclid(Timestamp::HOUR);
            rows.push(Scored { series, row, hour, score, label: *label });
        }
    }
    rows
}

pub(crate) fn detectable(shop: &Shop) -> BTreeMap<i64, &Event> {
    shop.events.iter().filter(|e| e.detectability >= BOUND && e.rows > 0.0).map(|e| (e.id, e)).collect()
}

/// Average precision and best F1 over thresholds; rows of events that are not detectable are left out.
fn precision_recall(rows: &[Scored], events: &BTreeMap<i64, &Event>) -> (f64, f64) {
    let is_counted = |r: &&Scored| !r.label.ignore && (!r.label.is_anomaly || events.contains_key(&r.label.event));
    let mut rows: Vec<(f64, bool)> = rows.iter().filter(is_counted).map(|r| (r.score, r.label.is_anomaly)).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = rows.iter().filter(|r| r.1).count() as f64;
    if positives == 0.0 {
        return (f64::NAN, f64::NAN);
    }
    let (mut hits, mut recall_before, mut area, mut best) = (0.0, 0.0, 0.0, 0.0_f64);
    for (i, (score, is_anomaly)) in rows.iter().enumerate() {
        hits += f64::from(u8::from(*is_anomaly));
        if rows.get(i + 1).is_some_and(|next| next.0 == *score) {
            continue;
        }
        let (precision, recall) = (hits / (i + 1) as f64, hits / positives);
        area += (recall - recall_before) * precision;
        recall_before = recall;
        best = best.max(2.0 * precision * recall / (precision + recall).max(1e-12));
    }
    (area, best)
}

/// Share of the detectable events that are found beyond chance, and the hours from start to first flag.
fn found_events(
    rows: &[Scored],
    events: &BTreeMap<i64, &Event>,
    rate: f64,
    flag: &dyn Fn(f64) -> bool,
) -> (f64, Vec<f64>) {
    let mut of_event: BTreeMap<i64, (usize, usize, i64)> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.label.is_anomaly && events.contains_key(&r.label.event)) {
        let entry = of_event.entry(row.label.event).or_insert((0, 0, i64::MAX));
        let is_flagged = flag(row.score) && !row.label.ignore;
        entry.0 += usize::from(is_flagged);
        entry.1 += 1;
        entry.2 = if is_flagged { entry.2.min(row.hour) } else { entry.2 };
    }
    let mut delays = Vec::new();
    for (id, (flagged, total, first)) in &of_event {
        if beyond_chance(*flagged, *total, rate) {
            let start = events[id].start.as_micros().div_euclid(Timestamp::HOUR);
            delays.push((first - start) as f64);
        }
    }
    (delays.len() as f64 / of_event.len() as f64, delays)
}

/// Whether `k` or more of `n` rows are flagged by chance in less than 5 % of cases at this rate.
fn beyond_chance(k: usize, n: usize, rate: f64) -> bool {
    let mut term = (n as f64 * (-rate).ln_1p()).exp();
    let mut below = 0.0;
    for i in 0..k {
        below += term;
        term *= (n - i) as f64 / (i + 1) as f64 * rate / (1.0 - rate);
    }
    k > 0 && 1.0 - below < 0.05
}

fn false_incidents(rows: &[Scored], flag: impl Fn(f64) -> bool) -> f64 {
    let (mut incidents, mut last): (Vec<bool>, Option<(usize, i64)>) = (Vec::new(), None);
    for row in rows.iter().filter(|r| flag(r.score)) {
        let touches = row.label.is_anomaly || row.label.ignore;
        match (last, incidents.last_mut()) {
            (Some((series, hour)), Some(incident)) if series == row.series && row.hour - hour <= GAP => {
                *incident |= touches;
            }
            _ => incidents.push(touches),
        }
        last = Some((row.series, row.hour));
    }
    let hours = rows.iter().map(|r| r.hour).max().unwrap_or(0) - rows.iter().map(|r| r.hour).min().unwrap_or(0);
    let series = rows.iter().map(|r| r.series).max().unwrap_or(0) + 1;
    incidents.iter().filter(|touches| !**touches).count() as f64 / (hours as f64 / MONTH * series as f64)
}

/// How well the incidents that are reported agree with the events.
fn listed(shop: &Shop, scan: &Scan, events: &BTreeMap<i64, &Event>, limit: f64, from: Option<Timestamp>) -> Listed {
    let mut first: BTreeMap<i64, Timestamp> = BTreeMap::new();
    let (mut false_ones, mut rows) = (0.0, 0.0);
    for evidence in &scan.series {
        let labels = &shop.labels[&evidence.series];
        let skipped = from.map_or(0, |from| evidence.time().partition_point(|t| *t < from));
        rows += (evidence.time().len() - skipped) as f64;
        for incident in evidence.incidents(limit).iter().filter(|i| i.rows.0 >= skipped) {
            let labels = &labels[incident.rows.0..=incident.rows.1];
            let touches = labels.iter().any(|l| l.is_anomaly || l.ignore);
            false_ones += f64::from(u8::from(!touches));
            for label in labels.iter().filter(|l| l.is_anomaly && events.contains_key(&l.event)) {
                let start = first.entry(label.event).or_insert(incident.start);
                *start = incident.start.min(*start);
            }
        }
    }
    let begins =
        |(id, start): (&i64, &Timestamp)| (start.as_micros() - events[id].start.as_micros()).abs() <= Timestamp::HOUR;
    if std::env::var_os("SHOPS_STARTS").is_some() {
        for (id, start) in &first {
            let e = events[id];
            println!(
                "{:6} {:22} {:8} {:5} rows {:5}",
                (start.as_micros() - e.start.as_micros()) / Timestamp::HOUR,
                e.kind,
                e.shape,
                e.scope,
                e.rows
            );
        }
    }
    let within = first.iter().filter(|pair| begins(*pair)).count();
    Listed {
        events: first.len() as f64 / events.len() as f64,
        false_ones: false_ones / (rows / MONTH),
        start: within as f64 / first.len() as f64,
    }
}

/// Prices and names of the events that are found.
fn prices(scan: &Scan, rows: &[Scored], events: &BTreeMap<i64, &Event>, limit: f64) -> Prices {
    let (mut errors, mut within, mut named, mut unnamed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for event in events.values() {
        let of_event: Vec<&Scored> = rows.iter().filter(|r| r.label.event == event.id).collect();
        if !of_event.iter().any(|r| r.score > limit && !r.label.ignore) {
            continue;
        }
        let (mut loss, mut variance) = (0.0, 0.0);
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for (series, evidence) in scan.series.iter().enumerate() {
            let own: Vec<usize> = of_event.iter().filter(|r| r.series == series).map(|r| r.row).collect();
            let (Some(first), Some(last)) = (own.first(), own.last()) else { continue };
            let incident = evidence.incident_between(*first, *last);
            let (low, high) = incident.revenue_loss_interval;
            loss += incident.revenue_loss;
            variance += (high - low).powi(2);
            *names.entry(incident.kind.as_str()).or_default() += 1;
        }
        let (has_name, expected) = expected_names(event);
        let fits = names.keys().any(|name| expected.contains(name));
        let shares = if has_name { &mut named } else { &mut unnamed };
        shares.push(f64::from(u8::from(fits)));
        if event.lost_revenue.abs() >= 0.1 * event.expected_revenue.max(1.0) {
            errors.push((loss - event.lost_revenue).abs() / event.lost_revenue.abs());
            within.push(f64::from(u8::from((loss - event.lost_revenue).abs() <= 0.5 * variance.sqrt())));
        }
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    Prices { error: median(errors), coverage: mean(&within), named: mean(&named), unnamed: mean(&unnamed) }
}

/// Whether the pattern of an event has a name, and the names that fit: that one, or for others
/// `unexplained` and those of the effects that they combine.
fn expected_names(event: &Event) -> (bool, Vec<&'static str>) {
    let long = event.end.as_micros() - event.start.as_micros() >= 24 * Timestamp::HOUR;
    let names = match event.kind.as_str() {
        "traffic_up+buy_up" => vec!["promotion"],
        "stock_out" => vec!["checkout_outage", "cart_break", "unexplained"],
        "currency_100" | "currency_rate" => vec!["price_error"],
        "bot_visits" | "duplicate_views" => vec!["bot_traffic"],
        kind => kind.split('+').flat_map(|effect| names_of_effect(effect, long)).collect(),
    };
    let is_one = !event.kind.contains('+') || event.kind == "traffic_up+buy_up";
    if is_one && !names.is_empty() { (true, names) } else { (false, [names, vec!["unexplained"]].concat()) }
}

/// The names of a change of one step.
fn names_of_effect(effect: &str, long: bool) -> Vec<&'static str> {
    match effect {
        "traffic_up" => vec![if long { "level_shift" } else { "spike" }],
        "traffic_down" => vec![if long { "level_shift" } else { "dip" }],
        "buy_down" | "competitor" => vec!["checkout_outage", "gradual_degradation"],
        "cart_down" => vec!["cart_break"],
        "price_up" | "price_down" => vec!["price_error"],
        "track_v_down" => vec!["tracking_outage"],
        _ => Vec::new(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Prints events that were missed, and false incidents, at 1 % of the ordinary rows.
pub(crate) fn misses(shop: &Shop, model: &IncidentModel, scan: &Scan) {
    let rows = scored(shop, scan);
    let events = detectable(shop);
    let limit = model.threshold(1.0);
    for event in events.values() {
        let own: Vec<&Scored> = rows.iter().filter(|r| r.label.event == event.id && r.label.is_anomaly).collect();
        let flagged = own.iter().filter(|r| r.score >= limit).count();
        println!(
            "{:5} of {:5} {:>6.0} nats {:6} {:22} {:8} {:50.50} {}",
            flagged,
            own.len(),
            event.detectability,
            event.scope,
            event.kind,
            event.shape,
            event.effect,
            event.start
        );
    }
    for evidence in &scan.series {
        let labels = &shop.labels[&evidence.series];
        for incident in evidence.incidents(limit) {
            let (first, last) = incident.rows;
            if labels[first..=last].iter().all(|l| !l.is_anomaly && !l.ignore) {
                println!(
                    "false {:10} {} {:4} h of {:5} log odds {:5.1} {:?} {:?} {}",
                    evidence.series,
                    incident.start,
                    last - first + 1,
                    first,
                    incident.log_odds,
                    incident.observed.map(f64::round),
                    incident.expected.map(f64::round),
                    incident.kind
                );
            }
        }
    }
}

/// A table for `score.py`, with the expected values.
pub(crate) fn write_predictions(path: &Path, model: &IncidentModel, scan: &Scan) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "window_start,brand,score,flagged,before,hours,statistic,views,carts,purchases,revenue")?;
    let limit = model.threshold(1.0);
    for evidence in &scan.series {
        let rows = evidence.time().iter().zip(evidence.log_odds()).zip(evidence.windows()).zip(evidence.expected());
        for (((time, score), window), expected) in rows {
            let [views, carts, purchases, revenue] = expected;
            let (before, hours) = window.map_or((0, 0), |w| (w.before, w.hours));
            let statistic = window.map_or(String::new(), |w| {
                format!("{}{}|{}", if w.is_above { '+' } else { '-' }, w.step, w.given.unwrap_or_default())
            });
            let (series, flagged) = (&evidence.series, score >= limit);
            writeln!(
                file,
                "{time},{series},{score},{flagged},{before},{hours},{statistic},{views},{carts},{purchases},{revenue}"
            )?;
        }
    }
    Ok(())
}
