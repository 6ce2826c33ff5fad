//! Finds keys that nothing reads, and what was probably meant.

use funnelpulse_core::nearest_name;
use serde_json::Value;

use crate::ConfigError;

/// Checks every key of `document` against the JSON Schema of the configuration.
pub(crate) fn check(document: &toml::Table, schema: &Value) -> Result<(), ConfigError> {
    check_table(document, schema, schema, "")
}

/// The settings of all sections of a document with this JSON Schema, `section.field`.
pub fn settings(schema: &Value) -> Vec<String> {
    let mut settings = Vec::new();
    for (section, node) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let fields = resolve(node, schema).get("properties").and_then(Value::as_object);
        settings.extend(fields.into_iter().flatten().map(|(field, _)| format!("{section}.{field}")));
    }
    settings
}

fn check_table(table: &toml::Table, node: &Value, root: &Value, path: &str) -> Result<(), ConfigError> {
    let node = resolve(node, root);
    let Some(properties) = node.get("properties").and_then(Value::as_object) else {
        // A map with free keys, or not a table at all: its values are checked when they are read.
        return Ok(());
    };
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let Some(child) = properties.get(key) else {
            let nearest = nearest_name(properties.keys().map(String::as_str), key);
            let suggestion = nearest
                .map(|name| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") })
                .or_else(|| elsewhere(key, root));
            return Err(ConfigError::UnknownKey { key: full, suggestion });
        };
        match value {
            toml::Value::Table(inner) => check_table(inner, child, root, &full)?,
            toml::Value::Array(items) => {
                let child = resolve(child, root);
                let item_schema = child.get("items").unwrap_or(&Value::Null);
                for (i, item) in items.iter().enumerate() {
                    if let toml::Value::Table(inner) = item {
                        check_table(inner, item_schema, root, &format!("{full}[{i}]"))?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A key of this very name in some section: it was put into the wrong one.
fn elsewhere(key: &str, root: &Value) -> Option<String> {
    let sections = root.get("properties")?.as_object()?;
    sections.iter().find_map(|(section, node)| {
        let has = resolve(node, root).get("properties")?.get(key).is_some();
        has.then(|| format!("{section}.{key}"))
    })
}

/// Follows `$ref` and the one-element `allOf` / nullable `anyOf` that schemas wrap it in.
fn resolve<'a>(node: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(path) = node.get("$ref").and_then(Value::as_str) {
        return root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null);
    }
    for wrapper in ["allOf", "anyOf"] {
        let inner = node.get(wrapper).and_then(Value::as_array);
        if let Some(inner) = inner.and_then(|all| all.iter().find(|n| n.get("$ref").is_some())) {
            return resolve(inner, root);
        }
    }
    node
}
