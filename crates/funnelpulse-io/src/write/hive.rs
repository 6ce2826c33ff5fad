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
            escaped.extend(['%', hex_digit(letter as u32 >> 4), hex_digit(letter as u32 & 15)]);
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

fn hex_digit(value: u32) -> char {
    char::from_digit(value, 16).expect("four bits of an ASCII character").to_ascii_uppercase()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |index: usize| tail.get(index).and_then(|b| char::from(*b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_there_and_back() {
        for value in ["2019-10-01", "a/b=c", "100%", "%2F", "%+5", "..", "köln ", "x:y\n"] {
            let folder = name("k=e", Some(value));
            assert!(!folder.contains('/') && !folder.contains('\n'), "{folder}");
            assert_eq!(parse(&folder), Some(("k=e".to_owned(), Some(value.to_owned()))));
        }
        assert_eq!(parse(&name("k", None)), Some(("k".to_owned(), None)));
        assert_eq!(parse("plain"), None);
        assert_eq!(parse("=x"), None);
    }
}
