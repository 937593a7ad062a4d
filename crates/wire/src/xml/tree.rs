//! A document of any schema as a JSON value, for records of what was said.

use quick_xml::events::Event;
use serde_json::{Map, Value};

use super::XmlReader;
use super::read::resolve;
use crate::ParseError;

/// What the items of a list are called in the query protocol.
const ITEM: &str = "member";

/// The name of the root, and its content: an object where it has children, else its text. Children of one name become an array, and so do
/// those of an element that has none but `member`. Attributes are left out. `None` for an empty body.
///
/// # Errors
/// As [`XmlReader::open`].
pub fn tree(body: &[u8]) -> Result<Option<(String, Value)>, ParseError> {
    let Some((mut reader, root)) = XmlReader::start(body)? else { return Ok(None) };
    let name = root.name().to_owned();
    let value = content(&mut reader)?;
    reader.finish()?;
    Ok(Some((name, value)))
}

/// The content of the current element. As deep as the reader lets a document be.
fn content(reader: &mut XmlReader<'_>) -> Result<Value, ParseError> {
    let mut text = String::new();
    let mut children: Vec<(String, Value)> = Vec::new();
    loop {
        match reader.event()? {
            Event::Start(tag) => {
                let name = reader.enter(tag)?.name().to_owned();
                children.push((name, content(reader)?));
            }
            Event::End(_) => {
                reader.leave()?;
                return Ok(if children.is_empty() { Value::String(text) } else { gathered(children) });
            }
            Event::Text(piece) => text.push_str(&piece.xml10_content()),
            Event::CData(piece) => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(reference) => text.push(resolve(&reference)?),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return Err(ParseError::malformed_xml("unexpected end of the document")),
            _ => return Err(ParseError::malformed_xml("unexpected markup")),
        }
    }
}

fn gathered(children: Vec<(String, Value)>) -> Value {
    if children.iter().all(|(name, _)| name == ITEM) {
        return Value::Array(children.into_iter().map(|(_, value)| value).collect());
    }
    let mut several: Map<String, Value> = Map::new();
    for (name, value) in children {
        match several.get_mut(&name) {
            None => _ = several.insert(name, Value::Array(vec![value])),
            Some(Value::Array(values)) => values.push(value),
            Some(_) => {}
        }
    }
    let single = |value: Value| match value {
        Value::Array(mut values) if values.len() == 1 => values.pop().unwrap_or_default(),
        other => other,
    };
    Value::Object(several.into_iter().map(|(name, value)| (name, single(value))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_become_values() {
        for (document, expected) in [
            ("<A/>", json!("")),
            ("<A> x &amp; y </A>", json!(" x & y ")),
            ("<A>\n <B>1</B>\n <C><D/></C>\n</A>", json!({"B": "1", "C": {"D": ""}})),
            ("<A><B>1</B><B>2</B><C>3</C></A>", json!({"B": ["1", "2"], "C": "3"})),
            (
                "<A><L><member>1</member></L><M><member>1</member><member>2</member></M></A>",
                json!({"L": ["1"], "M": ["1", "2"]}),
            ),
        ] {
            assert_eq!(tree(document.as_bytes()).unwrap(), Some(("A".to_owned(), expected)), "{document}");
        }
        assert_eq!(tree(b" ").unwrap(), None);
        for bad in ["<A>", "<A></B>", "<!DOCTYPE A><A/>", "<A>&x;</A>", "<A/>text"] {
            assert!(tree(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        assert!(tree(deep.as_bytes()).is_err());
    }
}
