//! Statements of a text: they end with semicolons that are in no quotes and no comments.

/// Where a reader of a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    Quotes(char),
    Line,
    Block,
}

/// Verbs of statements in Hive's language, in whose texts a backslash takes the meaning of what follows.
const HIVE: &[&str] = &["CREATE", "ALTER", "DROP", "MSCK", "SHOW", "DESCRIBE", "DESC"];

/// Complete statements without their semicolons, and what is behind the last one.
pub fn split(text: &str) -> (Vec<&str>, &str) {
    let (mut statements, mut begins, mut place) = (Vec::new(), 0, In::Code);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        place = match (place, c) {
            (In::Code, '\'' | '"' | '`') => In::Quotes(c),
            (In::Code, '-') if next == Some('-') => In::Line,
            (In::Code, '/') if next == Some('*') => {
                chars.next();
                In::Block
            }
            (In::Code, ';') => {
                let statement = text.get(begins..at).unwrap_or_default();
                if !is_blank(statement) {
                    statements.push(statement.trim());
                }
                begins = at + 1;
                In::Code
            }
            (In::Quotes('\'' | '"'), '\\') if is_hive(text.get(begins..at).unwrap_or_default()) => {
                chars.next();
                place
            }
            // A doubled quote ends a text and begins the same one again.
            (In::Quotes(open), _) if c == open => In::Code,
            (In::Line, '\n') => In::Code,
            (In::Block, '*') if next == Some('/') => {
                chars.next();
                In::Code
            }
            (same, _) => same,
        };
    }
    (statements, text.get(begins..).unwrap_or_default())
}

/// Behind white space and comments.
pub fn trimmed(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix("--") {
            text = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = text.strip_prefix("/*") {
            text = rest.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return text;
        }
    }
}

/// Whether there is nothing but white space and comments.
pub fn is_blank(text: &str) -> bool {
    trimmed(text).is_empty()
}

/// The first words in capitals.
fn words(text: &str) -> impl Iterator<Item = String> {
    trimmed(text)
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase)
}

fn is_hive(statement: &str) -> bool {
    let mut words = words(statement);
    let first = words.next().unwrap_or_default();
    // Views are in Trino's language.
    let is_view =
        first == "CREATE" && words.find(|word| word != "OR" && word != "REPLACE").is_some_and(|it| it == "VIEW");
    HIVE.contains(&first.as_str()) && !is_view
}

/// Whether a statement may change what the catalog says.
pub fn changes_catalog(statement: &str) -> bool {
    words(statement).next().is_some_and(|word| ["CREATE", "ALTER", "DROP", "MSCK"].contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_end_statements_where_they_mean_it() {
        for (text, statements, rest) in [
            ("select 1", vec![], "select 1"),
            ("select 1;", vec!["select 1"], ""),
            (" select ';' ; select \";\" ; ", vec!["select ';'", "select \";\""], " "),
            ("select 'it''s;' ;", vec!["select 'it''s;'"], ""),
            ("-- a; b\nselect 1; /* ; */ ;", vec!["-- a; b\nselect 1"], ""),
            // Trino has no escapes, Hive has.
            ("select '\\'; select 2;", vec!["select '\\'", "select 2"], ""),
            (
                "create table t (a int) fields terminated by '\\';' ;",
                vec!["create table t (a int) fields terminated by '\\';'"],
                "",
            ),
            ("create or replace view v as select '\\';", vec!["create or replace view v as select '\\'"], ""),
            ("select 'open;", vec![], "select 'open;"),
            (";;", vec![], ""),
        ] {
            assert_eq!(split(text), (statements, rest), "{text}");
        }
    }

    #[test]
    fn what_is_nothing() {
        assert!(is_blank(" -- x\n/* y */ ") && !is_blank("1"));
        assert!(changes_catalog("-- x\n create view a as select 1") && !changes_catalog("select 1"));
    }
}
