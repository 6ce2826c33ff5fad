use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn generate(change: impl FnOnce(&mut GeneratorConfig)) -> GeneratedFunnel {
    let mut config = GeneratorConfig::default();
    change(&mut config);
    GeneratedFunnel::generate(&config).unwrap()
}

/// Sums of views, carts, purchases and revenue over the rows that `keep`.
fn sums(frame: &Frame, keep: impl Fn(usize) -> bool) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for (row, values) in frame.values().rows().into_iter().enumerate() {
        if !keep(row) {
            continue;
        }
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
    sums
}

/// FNV-1a over every cell and label.
fn digest(funnel: &GeneratedFunnel) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |number: i64| {
        for byte in number.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (key, frame) in funnel.panel() {
        let labels = funnel.labels(key.as_str()).unwrap();
        for ((time, values), &label) in frame.time().iter().zip(frame.values().rows()).zip(labels) {
            add(time.as_micros());
            values.iter().for_each(|value| add((value * 100.0).round() as i64));
            add(i64::from(label));
        }
    }
    hash
}

#[test]
fn the_seed_decides_everything() {
    let small = |seed| generate(|c| (c.brands, c.days, c.seed) = (4, 60, seed));
    assert_eq!(small(1).panel(), small(1).panel());
    assert!(small(1).raw_events().eq(small(1).raw_events()));
    assert_ne!(small(1).panel(), small(2).panel());
    let digest = digest(&small(1));
    assert_eq!(digest, 0x1f1e_8028_e2f4_2825, "a change of the generated data must be meant, got {digest:#018x}");
}

#[test]
fn brands_do_not_depend_on_how_many_there_are() {
    let few = generate(|c| (c.brands, c.days) = (2, 60));
    let many = generate(|c| (c.brands, c.days, c.unbranded) = (9, 60, true));
    assert_eq!(many.panel().len(), 10);
    for (key, frame) in few.panel() {
        assert_eq!(many.panel().get(key.as_str()), Some(frame));
        assert_eq!(many.kinds(key.as_str()), few.kinds(key.as_str()));
    }
    let events = |funnel: &GeneratedFunnel| -> Vec<_> {
        funnel.raw_events().filter(|e| e.brand.as_deref() == Some("brand_002")).map(|e| (e.session, e.time)).collect()
    };
    assert_eq!(events(&few), events(&many));
}

/// Standard deviation over mean of the conversion in hours of at least 20 views.
fn conversion_spread(frame: &Frame) -> f64 {
    let busy = frame.values().rows().into_iter().filter(|row| row[0] >= 20.0).map(|row| row[2] / row[0]).collect();
    let busy = ndarray::Array1::from_vec(busy);
    busy.std(0.0) / busy.mean().unwrap()
}

#[test]
fn follows_the_published_figures() {
    let (mut share, mut conversion, mut carts_per_view) = (vec![], vec![], vec![]);
    let (mut price, mut night, mut spread) = (vec![], vec![], vec![]);
    for seed in 0..6 {
        let funnel = generate(|c| (c.days, c.seed, c.anomaly_share) = (61, seed, 0.0));
        let brands: Vec<[f64; 4]> = funnel.panel().iter().map(|(_, frame)| sums(frame, |_| true)).collect();
        let [views, carts, purchases, revenue] = std::array::from_fn(|i| brands.iter().map(|b| b[i]).sum::<f64>());
        share.push(brands[0][0] / views);
        conversion.push(purchases / views);
        carts_per_view.push(carts / views);
        price.push(revenue / purchases);
        let top = funnel.panel().get("brand_001").unwrap();
        let hour = |row: usize| top.time()[row].as_micros().rem_euclid(Timestamp::DAY) / Timestamp::HOUR;
        night.push(sums(top, |row| hour(row) < 2)[0] / sums(top, |row| (8..10).contains(&hour(row)))[0]);
        spread.extend(funnel.panel().iter().take(8).map(|(_, frame)| conversion_spread(frame)));
        assert!(brands[39][0] < brands[0][0] / 10.0, "sizes have a heavy tail");
    }
    let check = |name: &str, values: &[f64], low: f64, high: f64| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((low..high).contains(&mean), "{name}: {mean} of {values:?}");
    };
    check("conversion, published 0.145", &conversion, 0.13, 0.16);
    check("carts per view, published 0.59", &carts_per_view, 0.54, 0.64);
    check("sd over mean of hourly conversion, published 0.94", &spread, 0.85, 1.05);
    check("mean price, published 4.83", &price, 3.8, 5.8);
    check("share of the first of 40 brands", &share, 0.1, 0.17);
    check("night against day", &night, 0.12, 0.25);
}

#[test]
fn about_three_percent_are_anomalous() {
    let funnel = generate(|_| {});
    let (mut labelled, mut rows) = (0, 0);
    for key in funnel.panel().keys() {
        let labels = funnel.labels(key.as_str()).unwrap();
        labelled += labels.iter().filter(|&&label| label).count();
        rows += labels.len();
        assert!(!labels[..20 * 24].contains(&true), "quiet days");
    }
    let share = labelled as f64 / rows as f64;
    assert!((0.025..0.035).contains(&share), "{share}");
    let kinds: BTreeSet<_> = funnel.events().iter().map(|event| event.kind).collect();
    assert_eq!(kinds.len(), AnomalyKind::ALL.len());
    assert!(rows < 40 * 3_600 && rows > 38 * 3_600, "{rows}");
}

#[test]
fn counts_are_over_dispersed_and_steps_move_together() {
    let funnel = generate(|c| (c.brands, c.anomaly_share) = (8, 0.0));
    let (counts, truth) = (funnel.panel().get("brand_001").unwrap(), funnel.truth("brand_001").unwrap());
    let pearson = |step: usize, row: usize| {
        (counts.values()[[row, step]] - truth.values()[[row, step]]) / truth.values()[[row, step]].sqrt()
    };
    let mean = |value: &dyn Fn(usize) -> f64| (0..counts.nrows()).map(value).sum::<f64>() / counts.nrows() as f64;
    for step in 0..3 {
        let dispersion = mean(&|row| pearson(step, row).powi(2));
        assert!((2.0..30.0).contains(&dispersion), "step {step}: {dispersion}, Poisson has 1");
        assert!(mean(&|row| pearson(step, row)).abs() < 0.15, "step {step} is biased");
    }
    assert!(mean(&|row| pearson(0, row) * pearson(1, row)) > 1.0);
    let beyond = |frame: &Frame| frame.values().rows().into_iter().filter(|row| row[2] > row[0]).count();
    assert!(funnel.panel().iter().map(|(_, frame)| beyond(frame)).sum::<usize>() > 20, "purchases may exceed views");
}

/// Actual over clean expected sums within the anomalies of one kind.
fn ratios(kind: AnomalyKind, difficulty: Difficulty) -> [f64; 4] {
    let funnel = generate(|c| {
        (c.brands, c.days, c.kinds, c.difficulty) = (8, 150, vec![kind], difficulty);
    });
    let (mut actual, mut clean) = ([0.0; 4], [0.0; 4]);
    for (key, frame) in funnel.panel() {
        let labels = funnel.labels(key.as_str()).unwrap();
        let truth = sums(funnel.truth(key.as_str()).unwrap(), |row| labels[row]);
        for (i, sum) in sums(frame, |row| labels[row]).into_iter().enumerate() {
            actual[i] += sum;
            clean[i] += truth[i];
        }
    }
    std::array::from_fn(|i| actual[i] / clean[i])
}

#[test]
fn each_kind_moves_what_it_names() {
    use AnomalyKind as K;
    let same = 0.85..1.15;
    for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
        let pick = |easy: f64, medium: f64, hard: f64| {
            let factor = difficulty.pick(easy, medium, hard);
            factor * 0.87 - 0.01..factor * 1.13 + 0.01
        };
        for (kind, [views, carts, purchases]) in [
            (K::CheckoutOutage, [same.clone(), same.clone(), pick(0.0, 0.25, 0.5)]),
            (K::TrackingOutage, [pick(0.0, 0.2, 0.5), same.clone(), same.clone()]),
            (K::BotTraffic, [pick(6.0, 3.0, 1.8), same.clone(), same.clone()]),
            (K::Promotion, [pick(1.8, 1.4, 1.2), pick(2.2, 1.6, 1.3), pick(3.5, 2.2, 1.5)]),
            (K::PriceError, [same.clone(), same.clone(), pick(3.0, 1.8, 1.2)]),
            (K::GradualDegradation, [same.clone(), same.clone(), pick(0.6, 0.7, 0.8)]),
            (K::Spike, [pick(5.0, 3.0, 2.0), pick(5.0, 3.0, 2.0), pick(5.0, 3.0, 2.0)]),
            (K::Dip, [pick(0.1, 0.25, 0.5), pick(0.1, 0.25, 0.5), pick(0.1, 0.25, 0.5)]),
            (K::CartBreak, [same.clone(), pick(0.1, 0.35, 0.6), pick(0.28, 0.48, 0.68)]),
        ] {
            let ratios = ratios(kind, difficulty);
            for (range, (step, ratio)) in [views, carts, purchases].iter().zip(COLUMNS.iter().zip(ratios)) {
                assert!(range.contains(&ratio), "{kind} {difficulty:?}: {step} x {ratio}, expected {range:?}");
            }
        }
        let [.., purchases, revenue] = ratios(K::PriceError, difficulty);
        assert!(pick(0.1, 0.4, 0.7).contains(&(revenue / purchases)));
    }
}

/// Mean absolute log ratio of actual to clean counts of a step within and outside the anomalies.
fn distances(kind: AnomalyKind, step: usize) -> (f64, f64) {
    let funnel = generate(|c| (c.brands, c.kinds, c.difficulty) = (3, vec![kind], Difficulty::Easy));
    let mut means = [(0.0, 0.0); 2];
    for (key, frame) in funnel.panel() {
        let truth = funnel.truth(key.as_str()).unwrap();
        for (row, &label) in funnel.labels(key.as_str()).unwrap().iter().enumerate() {
            let mean = &mut means[usize::from(label)];
            mean.0 += ((frame.values()[[row, step]] + 1.0) / (truth.values()[[row, step]] + 1.0)).ln().abs();
            mean.1 += 1.0;
        }
    }
    (means[1].0 / means[1].1, means[0].0 / means[0].1)
}

#[test]
fn kinds_without_a_direction_leave_their_usual_place() {
    for (kind, step) in [
        (AnomalyKind::LevelShift, 0),
        (AnomalyKind::LevelShift, 1),
        (AnomalyKind::WrongHour, 0),
        (AnomalyKind::WrongHour, 1),
        (AnomalyKind::CorrelationBreak, 1),
    ] {
        let (within, outside) = distances(kind, step);
        assert!(within > 2.0 * outside, "{kind}, step {step}: {within} within, {outside} outside");
    }
    let (within, outside) = distances(AnomalyKind::CorrelationBreak, 0);
    assert!((within / outside - 1.0).abs() < 0.25, "views stay: {within}, {outside}");
}

/// AUC-ROC of someone who knows the truth and how noisy each step is.
fn oracle(difficulty: Difficulty) -> f64 {
    let funnel = generate(|c| (c.brands, c.difficulty) = (12, difficulty));
    let mut areas = Vec::new();
    for (key, frame) in funnel.panel() {
        let (truth, labels) = (funnel.truth(key.as_str()).unwrap(), funnel.labels(key.as_str()).unwrap());
        let surprise = |row: usize| -> f64 {
            let residual = |step| {
                let (count, rate): (f64, f64) = (frame.values()[[row, step]], truth.values()[[row, step]]);
                (count - rate).powi(2) / (rate * [1.0, 1.0, 8.0][step] + rate * rate / 10.0)
            };
            (0..3).map(residual).sum()
        };
        let scores: Vec<f64> = (0..frame.nrows()).map(surprise).collect();
        areas.push(crate::metrics::auc_roc(labels, &scores).unwrap());
    }
    areas.iter().sum::<f64>() / areas.len() as f64
}

#[test]
fn difficulty_is_difficult() {
    let [easy, medium, hard] = [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard].map(oracle);
    assert!(easy > medium + 0.02 && medium > hard + 0.02 && hard > 0.5, "{easy} {medium} {hard}");
}

#[test]
fn losses_are_those_of_the_effects() {
    let funnel =
        generate(|c| (c.brands, c.kinds, c.difficulty) = (5, vec![AnomalyKind::CheckoutOutage], Difficulty::Easy));
    for event in funnel.events() {
        let (frame, truth) =
            (funnel.panel().get(event.series.as_str()).unwrap(), funnel.truth(event.series.as_str()).unwrap());
        let expected = sums(truth, |row| (event.start..event.end).contains(&frame.time()[row]))[3];
        assert!((event.expected_revenue_loss - expected).abs() < 1e-6, "a full outage costs all that was expected");
    }
    let promotions = generate(|c| (c.brands, c.kinds) = (2, vec![AnomalyKind::Promotion]));
    assert!(promotions.events().iter().all(|event| event.expected_revenue_loss < 0.0));
}

#[test]
fn site_wide_incidents_hit_every_brand_at_once() {
    let funnel = generate(|c| (c.brands, c.site_wide_incidents) = (5, 2));
    let site: Vec<_> = funnel.events().iter().filter(|event| event.site_wide).collect();
    assert_eq!(site.len(), 10);
    assert_eq!(site.iter().map(|event| (event.start, event.end)).collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn raw_events_add_up_to_the_table() {
    let funnel = generate(|c| {
        (c.brands, c.days, c.quiet_days, c.anomaly_share, c.unbranded, c.difficulty) =
            (6, 30, 2, 0.2, true, Difficulty::Easy);
    });
    let mut counted: BTreeMap<(String, Timestamp), [u64; 4]> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut last = Timestamp::default();
    for event in funnel.raw_events() {
        assert!(event.time >= last, "in order of time");
        last = event.time;
        assert!(seen.insert((event.time, event.user_id, event.session, event.product_id, event.event_type)));
        let brand = event.brand.as_deref().unwrap_or("(none)").to_owned();
        let cells = counted.entry((brand, event.time.floor_to(Timestamp::HOUR))).or_default();
        cells[["view", "cart", "purchase"].iter().position(|t| *t == event.event_type).unwrap()] += 1;
        if event.event_type == "purchase" {
            cells[3] += (event.price * 100.0).round() as u64;
        }
    }
    assert_eq!(counted.len(), funnel.panel().total_rows());
    for (key, frame) in funnel.panel() {
        for (time, values) in frame.time().iter().zip(frame.values().rows()) {
            let cells = counted[&(key.as_str().to_owned(), *time)];
            let cents = (values[3] * 100.0).round() as u64;
            assert_eq!(cells, [values[0] as u64, values[1] as u64, values[2] as u64, cents], "{key} {time}");
        }
    }
}

#[test]
fn bots_come_with_desktops() {
    let funnel = generate(|c| {
        (c.brands, c.days, c.quiet_days, c.anomaly_share, c.difficulty) = (2, 30, 10, 0.1, Difficulty::Easy);
        c.kinds = [AnomalyKind::BotTraffic].into();
    });
    // Views by device: in ordinary hours, and in those with bots.
    let mut views = [BTreeMap::new(), BTreeMap::new()];
    let mut categories = BTreeSet::new();
    for event in funnel.raw_events() {
        let brand = event.brand.as_deref().unwrap();
        let row =
            funnel.panel().get(brand).unwrap().time().binary_search(&event.time.floor_to(Timestamp::HOUR)).unwrap();
        let bots = usize::from(funnel.labels(brand).unwrap()[row]);
        if event.event_type == "view" {
            *views[bots].entry(event.device).or_insert(0.0) += 1.0;
        }
        categories.insert((event.product_id, event.category));
    }
    let share = |which: usize, device| views[which][device] / views[which].values().sum::<f64>();
    assert!((share(0, "mobile") - 0.6).abs() < 0.02 && (share(0, "tablet") - 0.08).abs() < 0.02, "{views:?}");
    assert!(share(1, "desktop") > 0.6, "{views:?}");
    let products: BTreeSet<u64> = categories.iter().map(|(product, _)| *product).collect();
    assert_eq!(products.len(), categories.len(), "a product has one category");
}

#[test]
fn refuses_bad_parameters() {
    let message = |change: &dyn Fn(&mut GeneratorConfig)| {
        let mut config = GeneratorConfig::default();
        change(&mut config);
        GeneratedFunnel::generate(&config).unwrap_err().to_string()
    };
    assert_eq!(message(&|c| c.days = 0), "`days` is 0, allowed: 1 to 3650");
    assert_eq!(message(&|c| c.anomaly_share = f64::NAN), "`anomaly_share` is NaN, allowed: 0 to 0.3");
    assert_eq!(message(&|c| c.kinds.clear()), "`kinds` is empty, allowed: at least one kind");
    assert!(message(&|c| c.start = "soon".to_owned()).starts_with("`soon` is not a time"));
    assert!(message(&|c| c.start = "2019-10-01 00:30:00".to_owned()).contains("a whole hour"));
    assert!(
        serde_json::from_str::<GeneratorConfig>("{\"brand\": 3}").unwrap_err().to_string().contains("unknown field")
    );
}

#[test]
fn an_open_variety_has_combinations_and_all_lengths() {
    let funnel = generate(|c| (c.brands, c.days, c.variety) = (12, 120, Variety::Open));
    let events = funnel.events();
    let combinations = events.iter().filter(|e| e.kind == AnomalyKind::Combination).count() as f64;
    let share = combinations / events.len() as f64;
    assert!((0.35..0.65).contains(&share), "{combinations} of {}", events.len());
    let hours: BTreeSet<i64> =
        events.iter().map(|e| (e.end.as_micros() - e.start.as_micros()) / Timestamp::HOUR).collect();
    assert!(hours.len() > 20 && hours.first() == Some(&1) && hours.last() > Some(&100), "{hours:?}");
    let rows: usize = funnel.panel().iter().map(|(_, frame)| frame.nrows()).sum();
    let labelled: usize =
        funnel.panel().keys().map(|k| funnel.labels(k.as_str()).unwrap().iter().filter(|l| **l).count()).sum();
    assert!((0.02..0.045).contains(&(labelled as f64 / rows as f64)), "{labelled} of {rows}");
}
