//! How a policy is shown after principals that it names are gone: as IAM does, with the unique ids that they had, and as it was put in all else.

use std::collections::BTreeMap;

use crate::json::{self, Member, Node, Place, Value};

/// The text of a policy in which the principals whose ARNs are named here are replaced.
pub fn with_principals(text: &str, names: &BTreeMap<String, String>) -> String {
    let Ok(document) = json::parse(text) else { return text.to_owned() };
    let mut found = Vec::new();
    for statement in member(&document, &["Statement"]).flat_map(items) {
        let principals = member(statement, &["Principal", "NotPrincipal"]).flat_map(|kinds| member(kinds, &["AWS"]));
        for node in principals.flat_map(items) {
            if let Value::String(arn) = &node.value
                && let Some(name) = names.get(arn)
            {
                found.push((offset(text, node.at), offset(text, node.end), name));
            }
        }
    }
    let (mut shown, mut done) = (String::with_capacity(text.len()), 0);
    for (start, end, name) in found {
        // Unique ids have nothing that JSON escapes.
        shown.push_str(text.get(done..start).unwrap_or_default());
        shown.extend(["\"", name, "\""]);
        done = end;
    }
    shown.push_str(text.get(done..).unwrap_or_default());
    shown
}

fn member<'a>(node: &'a Node, names: &'static [&'static str]) -> impl Iterator<Item = &'a Node> {
    let members: &[Member] = match &node.value {
        Value::Object(members) => members,
        _ => &[],
    };
    members.iter().filter(|member| names.contains(&member.name.as_str())).map(|member| &member.value)
}

/// The items of a list, or what stands where a list of one could.
fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// The byte at a place.
fn offset(text: &str, place: Place) -> usize {
    let before = text.split_inclusive('\n').take(place.line.saturating_sub(1) as usize).map(str::len).sum();
    let line = text.get(before..).unwrap_or_default();
    let column = line.char_indices().nth(place.column.saturating_sub(1) as usize).map_or(line.len(), |(at, _)| at);
    before + column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_alone_are_replaced() {
        let names = BTreeMap::from([
            ("arn:aws:iam::111122223333:role/r".to_owned(), "AROA1".to_owned()),
            ("arn:aws:iam::111122223333:user/\u{e9}".to_owned(), "AIDA2".to_owned()),
        ]);
        for (text, expected) in [
            (
                r#"{"Statement":{"Principal":{"AWS":"arn:aws:iam::111122223333:role/r"}}}"#,
                r#"{"Statement":{"Principal":{"AWS":"AROA1"}}}"#,
            ),
            (
                "{\n \"Statement\": [{\"Sid\":\"\u{e9}\",\n \"NotPrincipal\":{ \"AWS\" : [\"*\", \"arn:aws:iam::111122223333:user/\\u00e9\" ]},\n \"Resource\":\"arn:aws:iam::111122223333:role/r\"}]}",
                "{\n \"Statement\": [{\"Sid\":\"\u{e9}\",\n \"NotPrincipal\":{ \"AWS\" : [\"*\", \"AIDA2\" ]},\n \"Resource\":\"arn:aws:iam::111122223333:role/r\"}]}",
            ),
            (r#"{"Statement":{"Principal":"*"}}"#, r#"{"Statement":{"Principal":"*"}}"#),
            ("no policy", "no policy"),
        ] {
            assert_eq!(with_principals(text, &names), expected);
        }
    }
}
