//! Trino's statements: what they mean, and what is refused.

use crate::world::{Lake, failure, pool, query, run_in};
use millpond_query::Run;

async fn rows(lake: &Lake, statement: &str) -> String {
    match query(lake, statement).await {
        Ok(given) => given.rows,
        Err(error) => format!("{statement}: {error}"),
    }
}

#[tokio::test]
async fn columns_without_a_name_are_counted() {
    let lake = Lake::default();
    for (statement, wanted) in [
        ("SELECT 1, 1 AS a, 2 + 3, 1 AS a", vec!["_col0", "a", "_col2", "a"]),
        ("VALUES (1, 'a'), (2, 'b')", vec!["_col0", "_col1"]),
        ("SELECT * FROM (SELECT 1 AS a, 2, 3 AS b)", vec!["a", "_col1", "b"]),
        ("SELECT t.r.x FROM (SELECT CAST(ROW(1, 2) AS ROW(x bigint, y bigint)) AS r) t", vec!["x"]),
    ] {
        let given = query(&lake, statement).await.unwrap();
        let names: Vec<&str> = given.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, wanted, "{statement}");
    }
}

#[tokio::test]
async fn what_trino_has_not_is_refused_with_its_place() {
    let lake = Lake::default();
    for (statement, part) in [
        ("SELECT DISTINCT ON (a) a FROM t", "line 1:8: DISTINCT ON"),
        ("SELECT a\nFROM t\nQUALIFY row_number() OVER () = 1", "line 3:1: QUALIFY"),
        ("SELECT 1 WHERE 'a' ILIKE 'A'", "line 1:20: ILIKE"),
        ("SELECT '1'::int", "line 1:11: ::"),
        ("SELECT 1 WHERE 1 == 1", "line 1:18: =="),
        ("SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "line 1:17: TABLESAMPLE"),
        ("WITH RECURSIVE t(n) AS (SELECT 1) SELECT * FROM t", "line 1:6: WITH RECURSIVE"),
        ("SELECT 1 FETCH FIRST 1 ROWS WITH TIES", "line 1:34: FETCH"),
        ("SELECT 1 LIMIT 1 OFFSET 1", "line 1:18: mismatched input 'OFFSET'"),
        ("SELECT a FROM a NATURAL JOIN b", "line 1:17: Natural join"),
        ("SELECT 1 FROM", "line 1:14: mismatched input '<EOF>'"),
        ("SELECT 1 IS TRUE", "IS TRUE"),
        ("SELECT CAST(1 AS text)", "Unknown type"),
        ("SELECT 5 & 3", "bitwise_and"),
        ("SELECT ?", "expected 1 but found 0"),
        ("DROP TABLE t", "not carried out"),
    ] {
        let words = failure(&lake, statement).await;
        assert!(words.contains(part), "{statement}: {words}");
    }
}

#[tokio::test]
async fn parameters_are_expressions() {
    let lake = Lake::default();
    let pool = pool(64 << 20);
    let run = |statement: &str, parameters: &[&str]| Run {
        statement: statement.into(),
        parameters: parameters.iter().map(|one| (*one).to_owned()).collect(),
        ..Run::default()
    };
    let statement = "SELECT a FROM (VALUES 1, 2, 3) AS t(a) WHERE a > ? AND 'it''s?' = ? ORDER BY a DESC LIMIT ?";
    let given = run_in(&pool, &lake, run(statement, &["1", "'it''s?'", "1"])).await.unwrap();
    assert_eq!(given.rows, "\"3\"\n");
    for bad in ["1; DROP TABLE t", "1 OR", "", "'open", "?"] {
        let words = run_in(&pool, &lake, run("SELECT ?", &[bad])).await.unwrap_err().to_string();
        assert!(words.contains("INVALID_PARAMETER_USAGE"), "{bad}: {words}");
    }
}

#[tokio::test]
async fn explanations() {
    let lake = crate::birds();
    let analyzed = rows(&lake, "EXPLAIN ANALYZE SELECT count(*) FROM birds WHERE grams > 100").await;
    assert!(analyzed.contains("Table db.birds: files read: 2 of 2 listed, bytes read: "), "{analyzed}");
    assert_eq!(rows(&lake, "EXPLAIN (TYPE VALIDATE) SELECT 1").await, "\"true\"\n");
    assert!(rows(&lake, "EXPLAIN (TYPE LOGICAL) SELECT name FROM birds").await.contains("TableScan"));
    assert!(rows(&lake, "EXPLAIN (FORMAT JSON) SELECT name FROM birds").await.contains("Node Type"));
    assert!(failure(&lake, "EXPLAIN (TYPE IO) SELECT 1").await.contains("line 1:15"));
    let given = query(&lake, "SELECT name FROM birds").await.unwrap();
    assert_eq!(given.stats.input_rows, 5);
}

#[tokio::test]
async fn several_groupings() {
    let lake = Lake::default();
    let from = "FROM (VALUES ('a', 1), ('a', 2), ('b', 1)) AS t(x, y)";
    let rolled = format!("SELECT x, count(*) {from} GROUP BY ROLLUP (x) ORDER BY x");
    assert_eq!(rows(&lake, &rolled).await, "\"a\",\"2\"\n\"b\",\"1\"\n,\"3\"\n");
    let sets = format!("SELECT x, y, count(*) {from} GROUP BY GROUPING SETS ((x), (y)) ORDER BY x, y");
    assert_eq!(rows(&lake, &sets).await, "\"a\",,\"2\"\n\"b\",,\"1\"\n,\"1\",\"2\"\n,\"2\",\"1\"\n");
}

#[tokio::test]
async fn first_rows() {
    let lake = Lake::default();
    for (end, expected) in [
        ("FETCH FIRST 2 ROWS ONLY", "\"1\"\n\"2\"\n"),
        ("FETCH FIRST ROW ONLY", "\"1\"\n"),
        ("OFFSET 1 ROW FETCH NEXT 1 ROW ONLY", "\"2\"\n"),
        ("OFFSET 2 LIMIT ALL", "\"3\"\n"),
    ] {
        assert_eq!(
            rows(&lake, &format!("SELECT x FROM (VALUES 3, 1, 2) AS t(x) ORDER BY x {end}")).await,
            expected,
            "{end}"
        );
    }
}

#[tokio::test]
async fn rows_of_arrays() {
    let lake = Lake::default();
    let unnested = "SELECT t.n, u.x, u.at FROM (VALUES (1, ARRAY['a', 'b']), (2, ARRAY[])) AS t(n, list) CROSS JOIN UNNEST(t.list) WITH ORDINALITY AS u(x, at) ORDER BY 3";
    assert_eq!(rows(&lake, unnested).await, "\"1\",\"a\",\"1\"\n\"1\",\"b\",\"2\"\n");
    let both = "SELECT x, y FROM UNNEST(ARRAY[1, 2, 3], ARRAY['a']) AS t(x, y) ORDER BY x";
    assert_eq!(rows(&lake, both).await, "\"1\",\"a\"\n\"2\",\n\"3\",\n");
}
