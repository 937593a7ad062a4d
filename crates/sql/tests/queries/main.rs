//! Queries in workers, as the server runs them.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

mod describe;
mod formats_bad;
mod formats_compressed;
mod formats_orc;
mod formats_parquet;
mod formats_parquet_types;
mod formats_projection;
mod formats_text;
mod functions;
mod functions_arrays;
mod functions_conditional;
mod functions_dates;
mod functions_items;
mod functions_json;
mod functions_lambdas;
mod functions_numbers;
mod functions_operators;
mod functions_text;
mod functions_texts;
mod functions_types;
mod hidden;
mod links;
mod listing;
mod logic;
mod logic_lake;
mod many;
mod statements;
mod world;

use std::io::Write;

use millpond_hive::format::classes;
use millpond_query::{Partition, QueryError, Run};
use world::{Lake, column, failure, pool, query, run_in};

const OPEN_CSV: classes::Classes = (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::OPEN_CSV);
const REGEX: classes::Classes = (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::REGEX);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn birds() -> Lake {
    let birds = b"kingfisher,40,2\nheron,1500,1\n\"owl\",400,\\N\nwren,x,4\n";
    Lake::default().table(
        "birds",
        "name string, grams int, eggs bigint",
        (classes::TEXT, &[("field.delim", ",")]),
        &[("a.csv", birds), ("_hidden", b"no,1,1\n"), ("b.csv.gz", &gzip(b"crane,5500,2"))],
    )
}

#[tokio::test]
async fn text_as_hive_reads_it() {
    let lake = birds();
    let given = query(&lake, "SELECT name, grams, eggs FROM birds ORDER BY name").await.unwrap();
    let rows = "\"\"\"owl\"\"\",\"400\",\n\"crane\",\"5500\",\"2\"\n\"heron\",\"1500\",\"1\"\n\"kingfisher\",\"40\",\"2\"\n\"wren\",,\"4\"\n";
    assert_eq!(given.rows, rows);
    let kinds: Vec<&str> = given.columns.iter().map(|column| column.kind.as_str()).collect();
    assert_eq!(kinds, ["varchar", "integer", "bigint"]);
    assert_eq!(given.stats.files, 2);
    let given = query(&lake, "SELECT count(*) AS \"How Many\", SUM(Grams) total FROM DB.Birds WHERE grams > 100")
        .await
        .unwrap();
    assert_eq!(given.rows, "\"3\",\"7400\"\n");
    let names: Vec<&str> = given.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["How Many", "total"]);
}

#[tokio::test]
async fn csv_regular_expressions_and_json() {
    let lake = Lake::default()
        .table("quoted", "a string, b int", (OPEN_CSV, &[]), &[("x", b"\"one, two\",1\nthree,2\n")])
        .table("log", "who string, what string", (REGEX, &[("input.regex", "([^ ]*) \\[(.*?)\\]")]), &[("x", b"me [did it]\nnothing\n")])
        .table(
            "json",
            "id bigint, tags array<string>, at struct<x:double,y:double>, m map<string,int>, t string",
            ((classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::JSON_OPENX), &[]),
            &[("x", br#"{"ID": 1, "tags": ["a", null], "at": {"x": 1, "Y": 2.5}, "m": {"k": 7}, "other": {"deep": [1]}, "t": {"as": "text"}}
{"id": "2", "t": 5}
"#)],
        );
    let rows = |statement: &'static str| {
        let lake = lake.clone();
        async move { query(&lake, statement).await.unwrap().rows }
    };
    assert_eq!(rows("SELECT * FROM quoted").await, "\"one, two\",\"1\"\n\"three\",\"2\"\n");
    assert_eq!(rows("SELECT * FROM log").await, "\"me\",\"did it\"\n,\n");
    let first = r#""1","[a, null]","{x=1.0, y=2.5}","{k=7}","{""as"":""text""}""#;
    assert_eq!(rows("SELECT * FROM json").await, format!("{first}\n\"2\",,,,\"5\"\n"));
}

#[tokio::test]
async fn partitions_are_pruned() {
    let mut lake = birds();
    let key = ("db".to_owned(), "birds".to_owned());
    let table = lake.tables.get_mut(&key).unwrap();
    table.partition_keys = vec![column("dt", "string"), column("n", "int")];
    let partition =
        |dt: &str, n: &str, location: &str| Partition { values: vec![dt.into(), n.into()], location: location.into() };
    let partitions = vec![
        partition("2019-01-01", "1", "s3://lake/birds"),
        partition("2019-01-02", "2", "s3://lake/birds/"),
        // Nobody may list it, and nobody has to.
        partition("2019-01-03", "3", "s3://closed/birds/"),
    ];
    lake.partitions.insert(key, partitions);
    let statement = "SELECT dt, n, count(*) FROM birds WHERE dt < '2019-01-03' AND n % 2 = 0 GROUP BY dt, n";
    assert_eq!(query(&lake, statement).await.unwrap().rows, "\"2019-01-02\",\"2\",\"5\"\n");
    let words = failure(&lake, "SELECT count(*) FROM birds").await;
    assert!(words.starts_with("Permission denied:"), "{words}");
}

#[tokio::test]
async fn views_and_what_is_not_there() {
    let lake = birds().view("heavy", "SELECT name FROM birds WHERE grams > 1000").view("own", "SELECT * FROM own");
    let lake = lake.view("wrong", "SELECT length(1) AS n");
    assert_eq!(query(&lake, "SELECT count(*) FROM heavy").await.unwrap().rows, "\"2\"\n");
    for (statement, part) in [
        ("SELECT * FROM nothing", "TABLE_NOT_FOUND: Table 'awsdatacatalog.db.nothing' does not exist"),
        ("SELECT colour FROM birds", "COLUMN_NOT_FOUND: Column 'colour' cannot be resolved"),
        ("SELECT * FROM own", "views deep"),
        (
            "SELECT 1 AS length FROM wrong",
            "INVALID_VIEW: Failed analyzing a stored view: FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (integer) for function length",
        ),
        ("DROP TABLE birds", "not carried out"),
        ("SELEC 1", "SYNTAX_ERROR"),
        ("SELECT 1 / 0", "zero"),
    ] {
        let words = failure(&lake, statement).await;
        assert!(words.contains(part), "{statement}: {words}");
    }
}

#[tokio::test]
async fn bad_objects_are_named() {
    let gz = gzip(b"a,1,1\n");
    let lake = Lake::default()
        .table("cut", "name string", (classes::TEXT, &[]), &[("x.gz", &gz[..gz.len() - 9])])
        .table("parquet", "name string", (classes::PARQUET, &[]), &[("x", b"PAR1 and nothing else")])
        .table("json", "n int", (classes::JSON, &[]), &[("x", b"{\"n\": 1}\n{\"n\": \n")])
        .table("csv", "n int", (OPEN_CSV, &[]), &[("x", b"1\n\"seven\"\n")]);
    for (statement, parts) in [
        ("SELECT * FROM cut", ["s3://lake/cut/x.gz", "no whole gzip file"]),
        ("SELECT * FROM parquet", ["s3://lake/parquet/x", "no whole Parquet file"]),
        ("SELECT * FROM json", ["s3://lake/json/x line 2", "HIVE_BAD_DATA"]),
        ("SELECT * FROM csv", ["s3://lake/csv/x line 2", "seven"]),
    ] {
        let words = failure(&lake, statement).await;
        assert!(parts.iter().all(|part| words.contains(part)), "{statement}: {words}");
    }
}

#[tokio::test]
async fn limits_of_bytes_and_memory() {
    let lines: String = (0..200_000).map(|n| format!("{n},text number {n}\n")).collect();
    let lake = Lake::default().table(
        "big",
        "n int, t string",
        (classes::TEXT, &[("field.delim", ",")]),
        &[("x", lines.as_bytes())],
    );
    let run = |statement: &str, cutoff: u64| Run { statement: statement.into(), cutoff, ..Run::default() };
    let pool = pool(1 << 20);
    let cut = run_in(&pool, &lake, run("SELECT count(*) FROM big", 1000)).await.unwrap_err();
    assert!(cut.to_string().contains("Bytes scanned limit was exceeded"), "{cut}");
    let full = run_in(&pool, &lake, run("SELECT array_agg(t) FROM big", 0)).await.unwrap_err();
    assert!(full.to_string().contains("exhausted resources"), "{full}");
    let after = run_in(&pool, &lake, run("SELECT count(*), max(n) FROM big", 0)).await.unwrap();
    assert_eq!(after.rows, "\"200000\",\"199999\"\n");
}

#[tokio::test]
async fn a_query_that_is_given_up_harms_no_other() {
    let lake = birds();
    let pool = pool(64 << 20);
    let endless = "SELECT count(*) FROM birds a, birds b, birds c, birds d, birds e, birds f, birds g, birds h, birds i, birds j, birds k, birds l";
    let run = Run { statement: endless.into(), ..Run::default() };
    let running = tokio::spawn({
        let (pool, lake) = (pool.clone(), lake.clone());
        async move { run_in(&pool, &lake, run).await.map(|given| given.rows) }
    });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let run = Run { statement: "SELECT count(*) FROM birds".into(), ..Run::default() };
    assert_eq!(run_in(&pool, &lake, run).await.unwrap().rows, "\"5\"\n");
    assert!(matches!(
        run_in(&pool, &lake, Run { statement: "SELECT 1 FROM".into(), ..Run::default() }).await,
        Err(QueryError::Failed(_))
    ));
}
