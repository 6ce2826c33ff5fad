//! Folder names of Hive partitions, as Hive and Spark write them.

/// The name that stands for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// `column=value`, with what a file name can't hold as `%XX`.
pub(crate) fn name(column: &str, value: Option<&str>) -> String {
    match value {
        None | Some("") => format!("{}={NULL}", escape(column)),
        Some(value) => format!("{}={}", escape(column), escape(value)),
    }
}

/// Column and value of a folder name, if it is one of a partition.
pub(crate) fn parse(name: &str) -> Option<(String, Option<String>)> {
    let (column, value) = name.split_once('=')?;
    let column = unescape(column);
    (!column.is_empty()).then(|| (column, (value != NULL).then(|| unescape(value))))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_control() || "\"#%'*/:=?\\{[]^<>|".contains(letter) {
            escaped.push_str(&format!("%{:02X}", letter as u32));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_there_and_back() {
        for value in ["2019-10-01", "a/b=c", "100%", "%2F", "..", "köln ", "x:y\n"] {
            let folder = name("k=e", Some(value));
            assert!(!folder.contains('/') && !folder.contains('\n'), "{folder}");
            assert_eq!(parse(&folder), Some(("k=e".to_owned(), Some(value.to_owned()))));
        }
        assert_eq!(parse(&name("k", None)), Some(("k".to_owned(), None)));
        assert_eq!(parse("plain"), None);
        assert_eq!(parse("=x"), None);
    }
}
