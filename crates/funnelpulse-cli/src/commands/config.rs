//! `funnelpulse config`.

use funnelpulse::config::Shape;

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
    }
}
