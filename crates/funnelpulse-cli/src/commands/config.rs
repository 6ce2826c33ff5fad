//! `funnelpulse config`.

use funnelpulse::config::Config;

use crate::{
    args::{ConfigAction, ConfigArgs},
    input::configuration,
};

pub(crate) fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.action {
        ConfigAction::Show { settings, json } => {
            let config = configuration(settings)?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&config)?);
            } else {
                print!("{}", config.to_toml());
            }
        }
        ConfigAction::Check { settings } => {
            configuration(settings)?;
            println!("The configuration is valid.");
        }
        ConfigAction::Schema => println!("{}", serde_json::to_string_pretty(&Config::schema())?),
    }
    Ok(())
}
