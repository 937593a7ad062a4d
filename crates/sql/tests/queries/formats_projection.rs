//! Partitions that a table's properties describe.

use millpond_hive::format::classes;
use millpond_query::Run;

use crate::world::{Lake, column, failure, map, pool, query, run_in};

/// 2024-03-31 12:34:56 UTC
const NOW: u64 = 1_711_888_496_000_000_000;

/// A table with these keys, and properties of `projection.`
fn table(
    lake: Lake,
    name: &str,
    keys: &[(&str, &str)],
    properties: &[(&str, &str)],
    objects: &[(&str, &[u8])],
) -> Lake {
    let mut lake = lake.table(name, "a string", (classes::TEXT, &[]), objects);
    let table = lake.tables.get_mut(&("db".to_owned(), name.to_owned())).unwrap();
    table.partition_keys = keys.iter().map(|(name, kind)| column(name, kind)).collect();
    table.parameters = map(properties);
    table.parameters.insert("projection.enabled".to_owned(), "true".to_owned());
    lake
}

fn logs() -> Lake {
    let lake = table(
        Lake::default(),
        "logs",
        &[("day", "string"), ("n", "int")],
        &[
            ("projection.day.type", "date"),
            ("projection.day.format", "yyyy/MM/dd"),
            ("projection.day.range", "2000/01/01,NOW"),
            ("projection.n.type", "integer"),
            ("projection.n.range", "1,10000000"),
            ("projection.n.digits", "8"),
            ("storage.location.template", "s3://lake/logs/${day}/n${n}/"),
        ],
        &[
            ("2024/03/30/n00000007/x", b"one\n"),
            ("2024/03/31/n00000007/x", b"two\n"),
            ("2024/03/31/n10000000/x", b"three\n"),
            // After NOW.
            ("2024/04/01/n00000007/x", b"four\n"),
        ],
    );
    let lake = table(
        lake,
        "plain",
        &[("country", "string"), ("dt", "date"), ("hour", "string")],
        &[
            ("projection.country.type", "enum"),
            ("projection.country.values", "de,fr"),
            ("projection.dt.type", "date"),
            ("projection.dt.format", "yyyyMMdd"),
            ("projection.dt.range", "NOW-1MONTH,NOW"),
            ("projection.hour.type", "integer"),
            ("projection.hour.range", "0,23"),
        ],
        &[
            ("country=de/dt=20240331/hour=9/x", b"nine\n"),
            ("country=de/dt=20240331/hour=10/x", b"ten\n"),
            ("country=it/dt=20240331/hour=9/x", b"elsewhere\n"),
        ],
    );
    table(
        lake,
        "devices",
        &[("id", "string")],
        &[("projection.id.type", "injected"), ("storage.location.template", "s3://lake/devices/${id}")],
        &[("d1/x", b"first\n"), ("d2/x", b"second\n"), ("d3/x", b"third\n")],
    )
}

#[tokio::test]
async fn conditions_leave_few_of_many() {
    let (lake, pool) = (logs(), pool(64 << 20));
    for (statement, rows) in [
        ("SELECT a FROM logs WHERE day = '2024/03/31' AND n = 7", "\"two\"\n"),
        (
            "SELECT a, n FROM logs WHERE day >= '2024/03/30' AND n IN (7, 10000000, 99) ORDER BY day, n",
            "\"one\",\"7\"\n\"two\",\"7\"\n\"three\",\"10000000\"\n",
        ),
        ("SELECT a FROM logs WHERE day BETWEEN '2024/03/31' AND '2025/01/01' AND n > 9999999", "\"three\"\n"),
        ("SELECT count(*) FROM logs WHERE day = '2024/04/01' AND n = 7", "\"0\"\n"),
        ("SELECT count(*) FROM logs WHERE day LIKE '2024/03/3%' AND n < 10", "\"2\"\n"),
        ("SELECT a, hour FROM plain WHERE dt = date '2024-03-31' ORDER BY a", "\"nine\",\"9\"\n\"ten\",\"10\"\n"),
        ("SELECT country, cast(dt AS varchar) FROM plain WHERE hour = '9'", "\"de\",\"2024-03-31\"\n"),
        ("SELECT a FROM plain WHERE hour > '5'", "\"nine\"\n"),
        ("SELECT a FROM devices WHERE id = 'd1'", "\"first\"\n"),
        ("SELECT a FROM devices WHERE id IN ('d3', 'd1', 'd9') ORDER BY a", "\"first\"\n\"third\"\n"),
    ] {
        let run = Run { statement: statement.into(), now: NOW, ..Run::default() };
        let given = run_in(&pool, &lake, run).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(given.rows, rows, "{statement}");
    }
}

#[tokio::test]
async fn too_many_and_too_little() {
    let (lake, pool) = (logs(), pool(64 << 20));
    for (statement, words) in [
        ("SELECT a FROM logs WHERE day = '2024/03/31'", "db.logs: the projection has more than 250000 partitions"),
        ("SELECT a FROM devices", "CONSTRAINT_VIOLATION: For the injected projected partition column id"),
        (
            "SELECT a FROM devices WHERE id > 'd1'",
            "CONSTRAINT_VIOLATION: For the injected projected partition column id",
        ),
    ] {
        let run = Run { statement: statement.into(), now: NOW, ..Run::default() };
        let found = run_in(&pool, &lake, run).await.unwrap_err().to_string();
        assert!(found.contains(words), "{statement}: {found}");
    }
    let dated = [("projection.k.type", "enum"), ("projection.k.values", "1,x")];
    let lake = table(Lake::default(), "odd", &[("k", "int")], &dated, &[]);
    let words = failure(&lake, "SELECT a FROM odd").await;
    assert!(
        words.contains("HIVE_INVALID_PARTITION_VALUE: Invalid partition value 'x' for int partition key: k=x"),
        "{words}"
    );
    assert_eq!(query(&logs(), "SELECT count(*) FROM devices WHERE id = '../d1'").await.unwrap().rows, "\"0\"\n");
}
