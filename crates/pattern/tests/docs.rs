//! The tables of `docs/event-patterns.md` are true.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use millpond_pattern::{Event, Pattern};

const PAGE: &str = include_str!("../../../docs/event-patterns.md");

/// The rows of tables with so many columns, their cells as the texts in code marks.
fn rows(columns: usize) -> Vec<Vec<Vec<&'static str>>> {
    let cells = |line: &'static str| -> Vec<&'static str> { line.trim_matches('|').split(" | ").collect() };
    let marked = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect();
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && line.contains('`')).map(cells);
    rows.filter(|row| row.len() == columns).map(|row| row.into_iter().map(marked).collect()).collect()
}

#[test]
fn every_row_of_operators() {
    let rows = rows(4);
    assert!(rows.len() > 30);
    for row in rows {
        let pattern = Pattern::parse(&format!("{{{}}}", row[1][0])).unwrap();
        for (values, expected) in [(&row[2], true), (&row[3], false)] {
            assert!(!values.is_empty(), "{row:?}");
            for value in values {
                let text = if *value == "absent" { "{}".to_owned() } else { format!("{{\"x\": {value}}}") };
                let event = Event::parse(text.as_bytes()).unwrap();
                assert_eq!(pattern.matches(&event), expected, "{} {text}", row[1][0]);
            }
        }
    }
}

#[test]
fn every_row_of_refusals() {
    let rows = rows(2);
    assert!(rows.len() >= 7);
    for row in rows {
        let error = Pattern::parse(row[0][0]).unwrap_err();
        let told = format!("{} at line {}, column {}", error.what(), error.line(), error.column());
        assert_eq!(told, row[1][0]);
    }
}
