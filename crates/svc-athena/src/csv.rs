//! Athena's result files: every value in quotes, quotes within doubled; NULL is nothing at all; a row ends with a line feed outside of quotes
//! (Athena User Guide, "Working with query results").

/// What is no such row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the result object is not as it was written: {0}")]
pub(crate) struct Malformed(&'static str);

/// A row: its values, where `None` is NULL.
pub(crate) type Values = Vec<Option<String>>;

/// The first row of some bytes and how many of them it takes; `None` where it does not end in them, which it does at the `last` ones.
pub(crate) fn row(bytes: &[u8], last: bool) -> Result<Option<(Values, usize)>, Malformed> {
    let (mut values, mut at) = (Values::new(), 0);
    if bytes.is_empty() {
        return Ok(None);
    }
    loop {
        let (value, taken) = match value(bytes.get(at..).unwrap_or_default(), last)? {
            Some(found) => found,
            None => return Ok(None),
        };
        values.push(value);
        at += taken;
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'\n') => return Ok(Some((values, at + 1))),
            Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => return Ok(Some((values, at + 2))),
            Some(b'\r') if at + 1 == bytes.len() && !last => return Ok(None),
            None if last => return Ok(Some((values, at))),
            None => return Ok(None),
            Some(_) => return Err(Malformed("behind a value stands neither a comma nor the end of the line")),
        }
    }
}

/// A value and how many bytes it takes.
fn value(bytes: &[u8], last: bool) -> Result<Option<(Option<String>, usize)>, Malformed> {
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        let Some(end) = bytes.iter().position(|byte| b",\r\n".contains(byte)) else {
            return Ok(last.then(|| plain(bytes)));
        };
        return Ok(Some(plain(bytes.get(..end).unwrap_or_default())));
    };
    let (mut value, mut rest) = (Vec::new(), quoted);
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'"') else {
            return if last { Err(Malformed("a quote is not closed")) } else { Ok(None) };
        };
        value.extend_from_slice(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 1..).unwrap_or_default();
        match rest.first() {
            Some(b'"') => {
                value.push(b'"');
                rest = rest.get(1..).unwrap_or_default();
            }
            // Whether it is doubled is not known yet.
            None if !last => return Ok(None),
            _ => {
                let text = String::from_utf8(value).map_err(|_| Malformed("a value is not UTF-8"))?;
                return Ok(Some((Some(text), bytes.len() - rest.len())));
            }
        }
    }
}

/// A value without quotes: NULL, where there is nothing.
fn plain(bytes: &[u8]) -> (Option<String>, usize) {
    let text = (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned());
    (text, bytes.len())
}

/// Writes the names of columns as the first row.
pub(crate) fn header<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    format!("{}\n", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Values>, Malformed> {
        let (mut at, mut rows) = (0, Vec::new());
        while let Some((values, taken)) = row(&bytes[at..], true)? {
            rows.push(values);
            at += taken;
        }
        Ok(rows)
    }

    fn some(values: &[Option<&str>]) -> Values {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn rows_of_values() {
        for (text, rows) in [
            ("", vec![]),
            ("\"a\",\"b\"\n", vec![some(&[Some("a"), Some("b")])]),
            ("\"a\",\n,\"\"\n", vec![some(&[Some("a"), None]), some(&[None, Some("")])]),
            ("\n\n", vec![some(&[None]), some(&[None])]),
            ("\"a\nb\",\"c\"\"d\"", vec![some(&[Some("a\nb"), Some("c\"d")])]),
            ("\"a\"\r\n\"b\"\r\n", vec![some(&[Some("a")]), some(&[Some("b")])]),
            ("1,2", vec![some(&[Some("1"), Some("2")])]),
        ] {
            assert_eq!(all(text.as_bytes()), Ok(rows), "{text:?}");
        }
        for wrong in ["\"a", "\"a\"b", "\"a\"\"", "\"a\" ,\"b\"\n"] {
            assert!(all(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(all(b"\"\xFF\"\n").is_err());
    }

    proptest! {
        /// What is written comes back, wherever the bytes are cut meanwhile.
        #[test]
        fn rows_come_back(rows in proptest::collection::vec(proptest::collection::vec(proptest::option::of("[a\",\n\r é]{0,4}"), 1..4), 0..5)) {
            let mut text = String::new();
            for row in &rows {
                let cells: Vec<_> = row.iter().map(|cell| cell.as_ref().map(|text| format!("\"{}\"", text.replace('"', "\"\""))).unwrap_or_default()).collect();
                text.push_str(&format!("{}\n", cells.join(",")));
            }
            prop_assert_eq!(all(text.as_bytes()).unwrap(), rows);
            if let Some((first, taken)) = row(text.as_bytes(), true).unwrap() {
                for end in 0..text.len() {
                    match row(&text.as_bytes()[..end], false).unwrap() {
                        None => prop_assert!(end < taken),
                        Some(found) => prop_assert_eq!(found, (first.clone(), taken)),
                    }
                }
            }
        }
    }
}
