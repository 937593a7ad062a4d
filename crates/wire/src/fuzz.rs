//! Entry points for fuzzing: hostile bytes must give an error or a value, never a panic or a hang.

use bytes::Bytes;

use crate::{FormPairs, QueryPairs, XmlReader, json};

/// Reads any XML to its end, as text where there are no children.
pub fn xml(bytes: &[u8]) {
    // The root may have any name here, so it is asked for by the one that it has.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut names = text.split('<').filter_map(|tag| tag.split(['>', ' ', '/', '\t', '\n', '\r']).next());
    let Some(root) = names.find(|name| !name.is_empty() && !name.starts_with(['?', '!'])) else { return };
    let root = root.rsplit_once(':').map_or(root, |(_, local)| local);
    let Ok(Some((mut reader, _))) = XmlReader::open(bytes, root) else { return };
    while let Ok(Some(child)) = reader.next_child() {
        let _ = child.attribute::<String>("type", crate::TimeFormat::Iso8601);
        let read = if child.name().len() % 2 == 0 { reader.text().map(drop) } else { reader.skip() };
        if read.is_err() {
            return;
        }
    }
    let _ = reader.finish();
}

/// Parses a query string, and the same bytes as a form and as JSON.
pub fn pairs(bytes: &[u8]) {
    if let Ok(query) = std::str::from_utf8(bytes).map_err(drop).and_then(|text| QueryPairs::parse(text).map_err(drop)) {
        let _ = query.rest(&["a"]);
    }
    let body = Bytes::copy_from_slice(bytes);
    if let Ok(form) = FormPairs::parse(&body)
        && let Some(node) = form.root().child("A")
    {
        let _ = node.list(Some("member"), |item| item.scalar::<String>(crate::TimeFormat::Iso8601));
    }
    let _ = json::document(&body);
}
