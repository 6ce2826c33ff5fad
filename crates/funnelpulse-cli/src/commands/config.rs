//! `funnelpulse config`.

use std::{collections::BTreeMap, io::Read, path::Path};

use anyhow::Context;
use funnelpulse::{config::Shape, incidents::CalendarEntry};
use serde_json::{Value, json};

use crate::{
    args::{ConfigAction, ConfigArgs},
    context::catalog,
    input::configuration,
    output::say,
};

pub(crate) fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.action {
        ConfigAction::Show { settings, json } => {
            let config = configuration(settings)?;
            if *json { say(serde_json::to_string_pretty(&config)?) } else { say(config.to_toml().trim_end()) }
        }
        ConfigAction::Check { settings } => {
            configuration(settings)?;
            say("The configuration is valid.")
        }
        ConfigAction::Schema => say(serde_json::to_string_pretty(&catalog().schema())?),
        ConfigAction::Calendar { path, kind, seasonal } => {
            let entries = CalendarEntry::from_ics(&text_of(path)?, kind).with_context(|| path.display().to_string())?;
            let (section, list) =
                if *seasonal { ("seasonal", holidays(&entries)) } else { ("incidents", json!(entries)) };
            let key = if *seasonal { "holidays" } else { "calendar" };
            say(toml::to_string(&json!({ section: { key: list } }))?.trim_end())
        }
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path).with_context(|| path.display().to_string());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the standard input")?;
    Ok(text)
}

/// The days of each name, as the seasonal detector takes them.
fn holidays(entries: &[CalendarEntry]) -> Value {
    let mut days: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in entries {
        days.entry(&entry.name).or_default().push(entry.start.split('T').next().unwrap_or_default());
    }
    json!(days.iter().map(|(name, days)| json!({ "holiday": name, "ds": days })).collect::<Vec<_>>())
}
