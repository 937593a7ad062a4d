//! `"$path"` and the like: which objects rows are from.

use millpond_hive::format::classes;
use millpond_query::Partition;

use crate::world::{Lake, failure, query};

fn lake() -> Lake {
    let comma: &[(&str, &str)] = &[("field.delim", ",")];
    let lake = Lake::default()
        .table(
            "birds",
            "name string, grams int",
            (classes::TEXT, comma),
            &[("a.csv", b"wren,9\nowl,400\n"), ("b.csv", b"heron,1500\n")],
        )
        .table("eggs", "name string, n int", (classes::TEXT, comma), &[("1.csv", b"wren,5\n")])
        .view("seen", "SELECT *, \"$path\" AS source, \"$path\" FROM birds");
    let mut lake = lake.table("days", "n int", (classes::TEXT, comma), &[("d=1/x", b"7\n"), ("d=2/x", b"8\n9\n")]);
    let key = ("db".to_owned(), "days".to_owned());
    let day = |d: &str| Partition { values: vec![d.into()], location: format!("s3://lake/days/d={d}") };
    lake.partitions.insert(key.clone(), vec![day("1"), day("2")]);
    lake.tables.get_mut(&key).unwrap().partition_keys = crate::world::columns("d string");
    lake
}

async fn rows(statement: &str) -> String {
    query(&lake(), statement).await.unwrap().rows
}

#[tokio::test]
async fn rows_tell_their_objects() {
    assert_eq!(
        rows("SELECT name, \"$path\", \"$file_size\", \"$file_modified_time\" FROM birds ORDER BY 1").await,
        "\"heron\",\"s3://lake/birds/b.csv\",\"11\",\"2020-01-02 03:04:05.678 UTC\"\n\
         \"owl\",\"s3://lake/birds/a.csv\",\"15\",\"2020-01-02 03:04:05.678 UTC\"\n\
         \"wren\",\"s3://lake/birds/a.csv\",\"15\",\"2020-01-02 03:04:05.678 UTC\"\n"
    );
    let given = query(&lake(), "SELECT \"$PATH\", count(*) FROM birds GROUP BY \"$path\" ORDER BY 1").await.unwrap();
    assert_eq!(given.rows, "\"s3://lake/birds/a.csv\",\"2\"\n\"s3://lake/birds/b.csv\",\"1\"\n");
    assert_eq!(given.columns[0].name, "$path");
    assert_eq!(rows("SELECT n, d, \"$path\" FROM days WHERE d = '1'").await, "\"7\",\"1\",\"s3://lake/days/d=1/x\"\n");
}

#[tokio::test]
async fn conditions_choose_objects() {
    for condition in ["\"$path\" = 's3://lake/birds/b.csv'", "\"$path\" LIKE '%/b.csv'", "\"$file_size\" < 15"] {
        let given = query(&lake(), &format!("SELECT * FROM birds WHERE {condition}")).await.unwrap();
        assert_eq!((given.rows.as_str(), given.stats.files), ("\"heron\",\"1500\"\n", 1), "{condition}");
    }
    let parts = "SELECT DISTINCT \"$path\" LIKE '%/birds/%.csv' FROM birds";
    assert_eq!(rows(parts).await, "\"true\"\n");
    let mixed = "SELECT name FROM birds WHERE \"$path\" LIKE '%/b.csv' OR name = 'owl' ORDER BY 1";
    assert_eq!(rows(mixed).await, "\"heron\"\n\"owl\"\n");
    assert_eq!(rows("SELECT n FROM days WHERE d = '2' AND \"$path\" LIKE '%d=1%'").await, "");
}

#[tokio::test]
async fn no_star_shows_them() {
    for (statement, columns) in [
        ("SELECT * FROM birds", "name grams"),
        ("SELECT *, \"$path\" FROM birds", "name grams $path"),
        ("SELECT b.*, b.\"$path\" AS p FROM birds b", "name grams p"),
        ("SELECT * FROM (SELECT \"$path\" AS p, name FROM birds)", "p name"),
        ("SELECT * FROM birds b JOIN eggs e ON b.name = e.name AND b.\"$path\" <> e.\"$path\"", "name grams name n"),
        ("SELECT e.*, b.* FROM birds b JOIN eggs e ON b.\"$path\" <> e.\"$path\"", "name n name grams"),
        ("WITH eggs AS (SELECT 1 AS x) SELECT * FROM birds, eggs WHERE \"$path\" <> ''", "name grams x"),
        ("SELECT * FROM days WHERE \"$path\" <> ''", "n d"),
        ("SELECT * FROM birds WHERE EXISTS (SELECT * FROM eggs WHERE eggs.\"$path\" <> birds.\"$path\")", "name grams"),
        ("SELECT * FROM birds b JOIN seen s ON b.\"$path\" = s.\"$path\"", "name grams name grams source $path"),
        ("SELECT * FROM seen", "name grams source $path"),
        ("SELECT * FROM seen WHERE \"$path\" = source", "name grams source $path"),
    ] {
        let given = query(&lake(), statement).await.unwrap();
        let names: Vec<&str> = given.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names.join(" "), columns, "{statement}");
    }
}

#[tokio::test]
async fn what_has_none_is_told() {
    let unnamed = failure(&lake(), "SELECT * FROM birds b JOIN eggs USING (name) WHERE b.\"$path\" <> ''").await;
    assert!(unnamed.contains("NOT_SUPPORTED: a star over several tables"), "{unnamed}");
    let missing = failure(&lake(), "SELECT \"$path\" FROM (VALUES 1) AS t (x)").await;
    assert!(missing.contains("$path"), "{missing}");
    let unknown = failure(&lake(), "SELECT \"$bucket\" FROM birds").await;
    assert!(unknown.contains("$bucket"), "{unknown}");
}
