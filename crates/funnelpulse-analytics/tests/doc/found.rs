// Findings for the examples of the documentation: two shops of three hours each. In the second hour
// neither sells anything: `shop-a` lacks 50 of revenue (score 0.9), `shop-b` 20 (score 0.7).

mod found {
    use funnelpulse_analytics::{
        AlertConfig, Anomaly, DetectorColumns, Deviation, Findings, Impact, ImpactConfig, Layout, ModelScores, Notice,
        RowClock, SeriesFindings, top_factors,
    };
    use funnelpulse_core::{
        AnomalyType, Columns, Episode, IncidentKind, ModelSource, SeriesKey, Severity, Timestamp, Verdict,
    };
    use ndarray::{Array1, array};

    pub fn findings(threshold: f64) -> Findings {
        let layout = Layout {
            metrics: Columns::new(["purchases", "revenue"]).expect("the names differ"),
            stored: 2,
            keys: vec!["shop".to_owned()],
            primary: 0,
            funnel: None,
            detectors: vec![DetectorColumns {
                detector: "zscore".to_owned(),
                score: "zscore_anomaly_score".to_owned(),
                expected: None,
                always: false,
            }],
            threshold,
            alerts: AlertConfig::default(),
            clock: RowClock::default(),
        };
        let shops = vec![shop("shop-a", 50.0, 0.9, threshold), shop("shop-b", 20.0, 0.7, threshold)];
        Findings::new(layout, shops, &[], Vec::new())
    }

    fn shop(name: &str, revenue: f64, score: f64, threshold: f64) -> SeriesFindings {
        let time: Vec<Timestamp> = (0..3).map(|hour| Timestamp::from_seconds(3600 * hour)).collect();
        let expected = array![[10.0, revenue], [10.0, revenue], [10.0, revenue]];
        let mut observed = expected.clone();
        observed.row_mut(1).fill(0.0);
        let scores = Array1::from(vec![0.1, score, 0.2]);
        let mut found = SeriesFindings {
            series: SeriesKey::new(name),
            verdicts: scores.iter().map(|score| verdict(*score, threshold)).collect(),
            time,
            lower: 0.5 * &expected,
            upper: 1.5 * &expected,
            z: array![[0.0, 0.0], [-6.0, -6.0], [0.0, 0.0]],
            observed,
            expected,
            models: vec![ModelScores {
                detector: "zscore".to_owned(),
                source: ModelSource::Own,
                scores,
                expected: None,
            }],
            anomalies: Vec::new(),
            incidents: Vec::new(),
        };
        if found.verdicts[1].is_anomaly {
            let hour = [Deviation::new("purchases", 0.0, 10.0, -6.0), Deviation::new("revenue", 0.0, revenue, -6.0)];
            let (factors, impact) = (top_factors(&hour, &[], 2), Impact::assess(&ImpactConfig::default(), &hour));
            let (severity, anomaly_type) = (Severity::High, AnomalyType::Drop);
            let (config, series, time) = (AlertConfig::default(), found.series.clone(), found.time[1]);
            let notice = Notice::new(&config, series, time, severity, anomaly_type, impact, &factors);
            found.anomalies.push(Anomaly { row: 1, score, severity, anomaly_type, factors, impact, notice, rank: 0 });
        }
        found
    }

    pub fn verdict(score: f64, threshold: f64) -> Verdict {
        let is_anomaly = score >= threshold;
        let severity = is_anomaly.then_some(Severity::High);
        let n_models_flagged = usize::from(is_anomaly);
        Verdict { score, confidence: 1.0, n_models_flagged, n_models: 1, threshold, is_anomaly, severity }
    }

    /// Two hours of a checkout outage, the second and the third of a series.
    pub fn episode() -> Episode {
        Episode {
            series: SeriesKey::new("shop-a"),
            kind: IncidentKind::CheckoutOutage,
            kind_probability: 0.9,
            start: Timestamp::from_seconds(3600),
            last: Timestamp::from_seconds(7200),
            end: Timestamp::from_seconds(10_800),
            rows: (1, 2),
            log_odds: 4.0,
            probability: 0.98,
            observed: [200.0, 40.0, 2.0, 100.0],
            expected: [200.0, 40.0, 10.0, 500.0],
            purchase_factor: 0.2,
            revenue_loss: 400.0,
            revenue_loss_interval: (300.0, 500.0),
        }
    }
}
