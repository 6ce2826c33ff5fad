//! Messages about settings of the wrong type, without the names of Rust's types.

/// A message of serde about a value, as a reader without Rust understands it. Other messages stay as they are.
///
/// ```
/// use funnelpulse_core::wrong_value;
///
/// let message = "invalid type: string \"many\", expected usize";
/// assert_eq!(wrong_value(message), "expected a whole number of at least 0, found \"many\"");
/// assert_eq!(wrong_value("missing field `width`"), "missing field `width`");
/// ```
pub fn wrong_value(message: &str) -> String {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match rest.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("expected {}, found {}", type_in_words(expected), found_in_words(found)),
        None => message.to_owned(),
    }
}

/// A type as serde names it, in plain words; what is no type stays as it is.
///
/// ```
/// use funnelpulse_core::type_in_words;
///
/// assert_eq!(type_in_words("f64"), "a number");
/// assert_eq!(type_in_words("a boolean"), "true or false");
/// assert_eq!(type_in_words("`low` or `high`"), "`low` or `high`");
/// ```
pub fn type_in_words(name: &str) -> String {
    let words = match name {
        "f32" | "f64" => "a number",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "u64" | "u128" | "usize" => "a whole number of at least 0",
        "u8" => return whole_up_to(u8::MAX),
        "u16" => return whole_up_to(u16::MAX),
        "u32" => return whole_up_to(u32::MAX),
        "a boolean" | "bool" => "true or false",
        "a string" | "a borrowed string" => "text",
        "a character" => "a single character",
        "a sequence" => "a list",
        "a map" => "a table",
        name if name.starts_with("a nonzero u") => "a whole number of at least 1",
        name if name.starts_with("struct ") => "a table",
        name => return list_in_words(name),
    };
    words.to_owned()
}

fn whole_up_to(largest: impl Into<u64>) -> String {
    format!("a whole number from 0 to {}", largest.into())
}

/// Arrays and tuples, which have a fixed length.
fn list_in_words(name: &str) -> String {
    let length = ["an array of length ", "a tuple of size "].into_iter().find_map(|start| name.strip_prefix(start));
    length.map_or_else(|| name.to_owned(), |length| format!("a list of {length} values"))
}

/// A value as serde shows it, without the name of its type.
fn found_in_words(found: &str) -> String {
    for kind in ["integer ", "floating point ", "boolean ", "character "] {
        if let Some(value) = found.strip_prefix(kind) {
            return value.trim_matches('`').to_owned();
        }
    }
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        "unit value" => "nothing".to_owned(),
        other => other.strip_prefix("string ").unwrap_or(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_rust_type_is_left() {
        for (message, words) in [
            ("invalid value: integer `-1`, expected u32", "expected a whole number from 0 to 4294967295, found -1"),
            ("invalid type: floating point `2.5`, expected i64", "expected a whole number, found 2.5"),
            ("invalid type: boolean `true`, expected f64", "expected a number, found true"),
            ("invalid type: string \"a, b\", expected a boolean", "expected true or false, found \"a, b\""),
            ("invalid type: sequence, expected a string", "expected text, found a list"),
            ("invalid type: map, expected a sequence", "expected a list, found a table"),
            ("invalid type: integer `5`, expected struct ForestConfig", "expected a table, found 5"),
            ("invalid type: string \"\", expected a tuple of size 2", "expected a list of 2 values, found \"\""),
            ("invalid value: integer `0`, expected a nonzero usize", "expected a whole number of at least 1, found 0"),
        ] {
            assert_eq!(wrong_value(message), words);
        }
    }
}
