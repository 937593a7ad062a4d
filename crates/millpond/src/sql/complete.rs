//! Completion: keywords and functions, databases, tables, and the columns of the tables that a statement names.

/// Words of the language.
const KEYWORDS: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLUMNS",
    "CREATE",
    "CROSS",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "DATABASE",
    "DATABASES",
    "DATE",
    "DEALLOCATE",
    "DELIMITED",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXECUTE",
    "EXISTS",
    "EXPLAIN",
    "EXTERNAL",
    "EXTRACT",
    "FALSE",
    "FIELDS",
    "FORMAT",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCATION",
    "MSCK",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PARTITIONED",
    "PARTITIONS",
    "PREPARE",
    "REPAIR",
    "RIGHT",
    "ROW",
    "ROWS",
    "SELECT",
    "SERDE",
    "SETS",
    "SHOW",
    "STORED",
    "TABLE",
    "TABLES",
    "TBLPROPERTIES",
    "TERMINATED",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "UNNEST",
    "USING",
    "VALUES",
    "VIEW",
    "VIEWS",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "ORDINALITY",
];

/// Functions that are asked for often.
const FUNCTIONS: &[&str] = &[
    "abs(",
    "approx_distinct(",
    "approx_percentile(",
    "array_agg(",
    "array_join(",
    "arbitrary(",
    "avg(",
    "bool_and(",
    "bool_or(",
    "cardinality(",
    "ceil(",
    "coalesce(",
    "concat(",
    "contains(",
    "count(",
    "count_if(",
    "date_add(",
    "date_diff(",
    "date_format(",
    "date_parse(",
    "date_trunc(",
    "dense_rank(",
    "element_at(",
    "filter(",
    "first_value(",
    "floor(",
    "from_iso8601_timestamp(",
    "from_unixtime(",
    "greatest(",
    "if(",
    "json_extract(",
    "json_extract_scalar(",
    "lag(",
    "last_value(",
    "lead(",
    "least(",
    "length(",
    "lower(",
    "map_agg(",
    "max(",
    "max_by(",
    "min(",
    "min_by(",
    "nullif(",
    "rank(",
    "reduce(",
    "regexp_extract(",
    "regexp_like(",
    "regexp_replace(",
    "replace(",
    "round(",
    "row_number(",
    "sequence(",
    "split(",
    "split_part(",
    "strpos(",
    "substr(",
    "sum(",
    "to_unixtime(",
    "transform(",
    "trim(",
    "try(",
    "try_cast(",
    "upper(",
    "url_extract_host(",
];

/// Words behind which a table is named.
const BEFORE_TABLES: &[&str] = &["FROM", "JOIN", "TABLE", "DESCRIBE", "DESC", "INTO", "VIEW", "PARTITIONS"];
/// Commands of the shell.
const COMMANDS: &[&str] = &["\\?", "\\c", "\\d", "\\dt", "\\format", "\\l", "\\q", "\\timing", "\\x"];

/// Where names come from.
pub trait Source {
    /// The databases.
    fn databases(&self) -> Vec<String>;
    /// The tables of a database; of the current one, when it is `None`.
    fn tables(&self, database: Option<&str>) -> Vec<String>;
    /// The columns of a table.
    fn columns(&self, database: Option<&str>, table: &str) -> Vec<String>;
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of a text, dots kept within them, without what is in quotes.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !is_word(c) && c != '.').filter(|word| !word.is_empty()).collect()
}

/// The tables that a statement names, each with the name by which its columns may be asked for.
fn named(statement: &str) -> Vec<(String, String)> {
    let words = words(statement);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !["FROM", "JOIN"].contains(&word.to_ascii_uppercase().as_str()) {
            continue;
        }
        let Some(table) = words.get(at + 1) else { continue };
        let next = words.get(at + 2).copied().unwrap_or_default();
        let alias = if next.eq_ignore_ascii_case("as") { words.get(at + 3).copied().unwrap_or_default() } else { next };
        let is_keyword = KEYWORDS.contains(&alias.to_ascii_uppercase().as_str());
        let short = table.rsplit('.').next().unwrap_or(table);
        let alias = if alias.is_empty() || is_keyword { short } else { alias };
        found.push((table.to_lowercase(), alias.to_lowercase()));
    }
    found
}

fn columns_of(source: &dyn Source, table: &str) -> Vec<String> {
    match table.rsplit_once('.') {
        Some((database, table)) => source.columns(Some(database), table),
        None => source.columns(None, table),
    }
}

/// Where the word begins that is completed, and what it may become.
pub fn complete(text: &str, position: usize, source: &dyn Source) -> (usize, Vec<String>) {
    let before = text.get(..position).unwrap_or(text);
    if before.starts_with('\\') && !before.contains(char::is_whitespace) {
        return (0, COMMANDS.iter().filter(|it| it.starts_with(before)).map(|it| (*it).to_owned()).collect());
    }
    let begins =
        before.rfind(|c: char| !is_word(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = before.get(begins..).unwrap_or_default();
    let ahead = before.get(..begins).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(ahead) = ahead.strip_suffix('.') {
        let qualifier = ahead.rsplit(|c: char| !is_word(c)).next().unwrap_or_default().to_lowercase();
        let tables = named(text);
        match tables.iter().find(|(_, alias)| *alias == qualifier) {
            Some((table, _)) => found.extend(columns_of(source, table)),
            None => found.extend(source.tables(Some(&qualifier))),
        }
    } else {
        let last = words(ahead).last().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let is_after_command = ["\\d ", "\\dt "].iter().any(|command| before.starts_with(command));
        if before.starts_with("\\c ") {
            found.extend(source.databases());
        } else if before.starts_with("\\format ") {
            found.extend(["table", "expanded", "csv", "tsv", "json"].map(str::to_owned));
        } else if is_after_command || BEFORE_TABLES.contains(&last.as_str()) {
            found.extend(source.tables(None));
            found.extend(source.databases());
        } else {
            let tables = named(text);
            for (table, _) in &tables {
                found.extend(columns_of(source, table));
            }
            // The tables are named later: a column of any may be meant.
            if tables.is_empty() && !word.is_empty() {
                found.extend(source.tables(None).iter().flat_map(|table| source.columns(None, table)));
            }
            // Keywords in the case in which the word was begun.
            let is_lower = word.chars().any(char::is_lowercase);
            found.extend(KEYWORDS.iter().map(|it| if is_lower { it.to_lowercase() } else { (*it).to_owned() }));
            found.extend(FUNCTIONS.iter().map(|it| (*it).to_owned()));
        }
    }
    let wanted = word.to_lowercase();
    found.retain(|it| it.to_lowercase().starts_with(&wanted));
    found.sort();
    found.dedup();
    (begins, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Source for Fixed {
        fn databases(&self) -> Vec<String> {
            vec!["lake".into(), "logs".into()]
        }

        fn tables(&self, database: Option<&str>) -> Vec<String> {
            match database {
                None => vec!["flights".into(), "planes".into()],
                Some("logs") => vec!["requests".into()],
                Some(_) => Vec::new(),
            }
        }

        fn columns(&self, database: Option<&str>, table: &str) -> Vec<String> {
            match (database, table) {
                (None, "flights") => vec!["dest".into(), "delay".into()],
                (Some("logs"), "requests") => vec!["status".into()],
                _ => Vec::new(),
            }
        }
    }

    #[test]
    fn names_where_they_fit() {
        for (text, begins, expected) in [
            ("SEL", 0, vec!["SELECT"]),
            ("sel", 0, vec!["select"]),
            ("select dela", 7, vec!["delay"]),
            ("select * from fl", 14, vec!["flights"]),
            ("select * from ", 14, vec!["flights", "lake", "logs", "planes"]),
            ("select * from logs.", 19, vec!["requests"]),
            ("describe p", 9, vec!["planes"]),
            ("select f.d| from flights f", 9, vec!["delay", "dest"]),
            ("select r.| from logs.requests as r", 9, vec!["status"]),
            ("select dest from flights where dela", 31, vec!["delay"]),
            ("\\d", 0, vec!["\\d", "\\dt"]),
            ("\\d f", 3, vec!["flights"]),
            ("\\c lo", 3, vec!["logs"]),
        ] {
            let position = text.find('|').unwrap_or(text.len());
            let (at, found) = complete(&text.replace('|', ""), position, &Fixed);
            assert_eq!((at, found.iter().map(String::as_str).collect::<Vec<_>>()), (begins, expected), "{text}");
        }
    }
}
