//! `funnelpulse alerts`.

use anyhow::Context;
use funnelpulse_alerts::AlertsConfig;

use crate::{
    args::{AlertsAction, AlertsArgs},
    output::tell,
};

pub(crate) fn alerts(args: &AlertsArgs) -> anyhow::Result<()> {
    match &args.action {
        AlertsAction::Check { alerts, json } => {
            let report = AlertsConfig::load(alerts)?.check().with_context(|| alerts.display().to_string())?;
            tell(*json, None, &report, || Ok(format!("{} is valid.\n{report}", alerts.display())))
        }
    }
}
