//! `--param NAME=VALUE`: the fields of a detector's configuration, one by one.

use anyhow::bail;
use funnelpulse::core::{nearest_name, wrong_value};
use serde::{Serialize, de::DeserializeOwned};

use crate::input::split_setting;

/// The defaults of `C`, changed by `params`. Values are TOML, or else plain text; of several for one
/// name the last counts.
pub(crate) fn read<C>(params: &[String], example: &str) -> anyhow::Result<C>
where
    C: Default + Serialize + DeserializeOwned,
{
    let mut given = toml::Table::new();
    for param in params {
        let (name, text) = split_setting(param, "--param", example)?;
        let parsed = format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("value"));
        given.insert(name.to_owned(), parsed.unwrap_or_else(|| toml::Value::String(text.to_owned())));
    }
    let error = match serde_path_to_error::deserialize(toml::Value::Table(given.clone())) {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let path = error.path().to_string();
    let reason = error.into_inner().to_string();
    if let Some(name) = given.keys().find(|name| reason.starts_with(&format!("unknown field `{name}`"))) {
        match nearest::<C>(name)? {
            Some(nearest) => bail!("unknown parameter `{name}`, did you mean `{nearest}`?"),
            None => bail!("unknown parameter `{name}`"),
        }
    }
    bail!("`{path}`: {}", wrong_value(reason.lines().next().unwrap_or_default()))
}

/// The field of `C` that `name` was probably meant to be.
fn nearest<C: Default + Serialize>(name: &str) -> anyhow::Result<Option<String>> {
    let fields = serde_json::to_value(C::default())?;
    let names = fields.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    Ok(nearest_name(names, name).map(str::to_owned))
}
