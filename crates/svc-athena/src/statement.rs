//! What a statement is, by its first words, as far as it matters before the engine reads it (Athena User Guide, "SQL reference").

use millpond_hive::ddl::{Kind, kind_of};

/// What is to be done with a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action<'a> {
    /// The engine runs it.
    Query,
    /// The engine explains it.
    Explain,
    /// It is about the catalog.
    Ddl,
    /// `PREPARE name FROM statement`.
    Prepare {
        /// The name.
        name: &'a str,
        /// The statement.
        statement: &'a str,
    },
    /// `EXECUTE name [USING values]`.
    Execute {
        /// The name.
        name: &'a str,
        /// Values of `?`, as literals.
        values: Vec<String>,
    },
    /// `DEALLOCATE PREPARE name`.
    Deallocate {
        /// The name.
        name: &'a str,
    },
    /// Athena has it, and it is not carried out here.
    Unserved,
}

/// A statement, told apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Statement<'a> {
    /// What is to be done with it.
    pub action: Action<'a>,
    /// `DML`, `DDL` or `UTILITY`.
    pub kind: &'static str,
    /// Such as `CREATE_TABLE`; empty for what has none.
    pub subkind: String,
}

impl Statement<'_> {
    /// Whether its result is a text, and not rows of values.
    pub fn is_text(&self) -> bool {
        !matches!(self.action, Action::Query | Action::Execute { .. })
    }
}

/// Statements that write, which are not carried out.
const WRITES: &[&str] = &["INSERT", "UPDATE", "DELETE", "MERGE", "UNLOAD", "OPTIMIZE", "VACUUM"];
/// What may stand between the verb and the noun of a definition.
const BETWEEN: &[&str] = &["EXTERNAL", "OR", "REPLACE", "PROTECTED", "MULTI", "DIALECT", "TEMPORARY"];

/// Behind white space and comments.
pub(crate) fn trimmed(mut text: &str) -> &str {
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

/// The next word in capitals, and what is behind it.
fn word(text: &str) -> (String, &str) {
    let text = trimmed(text);
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word.to_ascii_uppercase(), rest)
}

/// The next identifier, which may be in quotes.
fn name(text: &str) -> Option<(&str, &str)> {
    let text = trimmed(text);
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"');
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && !"_@:".contains(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then_some((name, rest))
}

/// Without what may stand at the end of a statement.
fn ended(text: &str) -> &str {
    let text = text.trim_end();
    text.strip_suffix(';').unwrap_or(text).trim_end()
}

/// Told apart by its first words. What is no statement is for the engine to say.
pub(crate) fn parse(text: &str) -> Result<Statement<'_>, String> {
    let (first, rest) = word(text.trim_start_matches(|c: char| c == '(' || c.is_whitespace()));
    let of = |action, kind, subkind: &str| Ok(Statement { action, kind, subkind: subkind.to_owned() });
    match first.as_str() {
        "EXPLAIN" => of(Action::Explain, "UTILITY", "EXPLAIN"),
        "PREPARE" => prepare(rest).map(|action| Statement { action, kind: "UTILITY", subkind: "PREPARE".into() }),
        "EXECUTE" => execute(rest).map(|action| Statement { action, kind: "DML", subkind: "EXECUTE".into() }),
        "DEALLOCATE" => {
            let (_, rest) = word(rest);
            let wrong = || "mismatched input: DEALLOCATE PREPARE is followed by the name of a statement".to_owned();
            let (name, _) = name(rest).ok_or_else(wrong)?;
            of(Action::Deallocate { name }, "UTILITY", "DEALLOCATE")
        }
        "CREATE" if matches!(kind_of(text), Ok(Kind::CreateTableAs)) => {
            of(Action::Unserved, "DDL", "CREATE_TABLE_AS_SELECT")
        }
        "CREATE" | "ALTER" | "DROP" => of(Action::Ddl, "DDL", &defined(&first, rest)),
        "MSCK" => of(Action::Ddl, "DDL", "MSCK_REPAIR_TABLE"),
        "SHOW" => of(Action::Ddl, "UTILITY", &format!("SHOW_{}", word(rest).0)),
        "DESCRIBE" | "DESC" => of(Action::Ddl, "UTILITY", "DESCRIBE_TABLE"),
        write if WRITES.contains(&write) => of(Action::Unserved, "DML", write),
        _ => of(Action::Query, "DML", "SELECT"),
    }
}

/// Verb and noun, such as `CREATE_TABLE`.
fn defined(verb: &str, mut rest: &str) -> String {
    loop {
        let (noun, behind) = word(rest);
        if !BETWEEN.contains(&noun.as_str()) {
            return format!("{verb}_{}", if noun == "SCHEMA" { "DATABASE" } else { &noun });
        }
        rest = behind;
    }
}

fn prepare(rest: &str) -> Result<Action<'_>, String> {
    let wrong = || "mismatched input: PREPARE is followed by a name, FROM, and a statement".to_owned();
    let (name, rest) = name(rest).ok_or_else(wrong)?;
    let (from, statement) = word(rest);
    let statement = ended(trimmed(statement));
    if from != "FROM" || statement.is_empty() {
        return Err(wrong());
    }
    Ok(Action::Prepare { name, statement })
}

fn execute(rest: &str) -> Result<Action<'_>, String> {
    let wrong =
        || "mismatched input: EXECUTE is followed by a name, and USING with values where the statement has parameters";
    let (name, rest) = name(rest).ok_or_else(wrong)?;
    let (using, rest) = word(rest);
    let rest = ended(rest);
    match using.as_str() {
        "USING" => Ok(Action::Execute { name, values: values(rest)? }),
        "" if trimmed(rest).is_empty() => Ok(Action::Execute { name, values: Vec::new() }),
        _ => Err(wrong().to_owned()),
    }
}

/// Expressions between commas that are in no quotes and no brackets.
fn values(text: &str) -> Result<Vec<String>, String> {
    let (mut values, mut value, mut depth, mut quote) = (Vec::new(), String::new(), 0_usize, None);
    for c in text.chars() {
        match (quote, c) {
            // A doubled quote ends a literal and begins the same one again.
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                values.push(std::mem::take(&mut value).trim().to_owned());
                continue;
            }
            _ => {}
        }
        value.push(c);
    }
    values.push(value.trim().to_owned());
    if quote.is_some() || values.iter().any(String::is_empty) {
        return Err("mismatched input: USING is followed by values with commas between them".to_owned());
    }
    Ok(values)
}

/// Functions whose results differ from time to time.
const CHANGING: &[&str] = &[
    "RAND",
    "RANDOM",
    "UUID",
    "SHUFFLE",
    "NOW",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "CURRENT_USER",
    "TABLESAMPLE",
];

/// Whether a word of it may be a function whose result differs from time to time. Rather once too often: words in literals count.
pub(crate) fn may_change(statement: &str) -> bool {
    let words = statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.map(str::to_ascii_uppercase).any(|word| CHANGING.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_by_their_first_words() {
        for (text, kind, subkind) in [
            ("SELECT 1", "DML", "SELECT"),
            (" -- x\n /* y */ with a as (select 1) select * from a", "DML", "SELECT"),
            ("((select 1))", "DML", "SELECT"),
            ("explain analyze select 1", "UTILITY", "EXPLAIN"),
            ("create external table `a` (b int)", "DDL", "CREATE_TABLE"),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "DDL", "CREATE_VIEW"),
            ("create schema x", "DDL", "CREATE_DATABASE"),
            ("DROP TABLE x", "DDL", "DROP_TABLE"),
            ("msck repair table x", "DDL", "MSCK_REPAIR_TABLE"),
            ("show tables", "UTILITY", "SHOW_TABLES"),
            ("DESCRIBE x", "UTILITY", "DESCRIBE_TABLE"),
            ("insert into x values (1)", "DML", "INSERT"),
            ("nonsense", "DML", "SELECT"),
        ] {
            let statement = parse(text).unwrap();
            assert_eq!((statement.kind, statement.subkind.as_str()), (kind, subkind), "{text}");
        }
        for unserved in [
            "UNLOAD (select 1) TO 's3://a'",
            "create table a as select 1",
            "CREATE TABLE a WITH (format = 'ORC') AS SELECT 1",
        ] {
            assert!(parse(unserved).is_ok_and(|it| it.action == Action::Unserved), "{unserved}");
        }
    }

    #[test]
    fn prepared_statements() {
        let execute = |name, values: &[&str]| Action::Execute {
            name,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        for (text, action) in [
            ("PREPARE p FROM SELECT ? ;", Action::Prepare { name: "p", statement: "SELECT ?" }),
            ("EXECUTE p", execute("p", &[])),
            ("EXECUTE p;", execute("p", &[])),
            (
                "execute \"p\" using 1, 'a, ''b''', date '2020-01-01', array[1,2], f(1, 2)",
                execute("p", &["1", "'a, ''b'''", "date '2020-01-01'", "array[1,2]", "f(1, 2)"]),
            ),
            ("DEALLOCATE PREPARE p", Action::Deallocate { name: "p" }),
        ] {
            assert_eq!(parse(text).map(|it| it.action), Ok(action), "{text}");
        }
        for wrong in [
            "PREPARE",
            "PREPARE p",
            "PREPARE p FROM ",
            "PREPARE p AS SELECT 1",
            "EXECUTE",
            "EXECUTE p 1",
            "EXECUTE p USING",
            "EXECUTE p USING 1,",
            "EXECUTE p USING 'a",
            "DEALLOCATE PREPARE",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_differs_from_time_to_time() {
        assert!(may_change("select now()") && may_change("SELECT current_date - day") && may_change("select rand ( )"));
        assert!(!may_change("select a, renown, \"known\" from b where random_id = 3"));
    }
}
