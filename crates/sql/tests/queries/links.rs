//! Tables of links.

use std::io::Write;

use millpond_hive::format::classes;

use crate::world::{Lake, failure, query};

const LINKED: classes::Classes = (classes::SYMLINK_INPUT, classes::TEXT_OUTPUT, classes::LAZY_SIMPLE);

#[tokio::test]
async fn rows_lie_behind_links() {
    let lake = Lake::default()
        .table("elsewhere", "a string", (classes::TEXT, &[]), &[("1.csv", b"x,1\n"), ("2.csv", b"y,2\n")])
        .table(
            "linked",
            "a string, b int",
            (LINKED, &[("field.delim", ",")]),
            &[
                ("l1", b"s3://lake/elsewhere/1.csv\n\ns3a://lake/elsewhere/2.csv"),
                ("l2", b"s3://lake/elsewhere/1.csv\n"),
            ],
        )
        .table("gone", "a string", (LINKED, &[]), &[("l", b"s3://lake/elsewhere/1.cs\n")])
        .table("shut", "a string", (LINKED, &[]), &[("l", b"s3://closed/x\n")])
        .table("odd", "a string", (LINKED, &[]), &[("l", b"elsewhere/1.csv\n")]);
    let rows = query(&lake, "SELECT a, sum(b) FROM linked GROUP BY a ORDER BY a").await.unwrap().rows;
    assert_eq!(rows, "\"x\",\"2\"\n\"y\",\"2\"\n");
    for (table, parts) in [
        ("gone", ["s3://lake/elsewhere/1.cs, which s3://lake/gone/l names", "does not exist"]),
        ("shut", ["Permission denied", "s3://closed/x, which s3://lake/shut/l names"]),
        ("odd", ["HIVE_BAD_DATA: s3://lake/odd/l", "line 1 names no object"]),
    ] {
        let words = failure(&lake, &format!("SELECT * FROM {table}")).await;
        assert!(parts.iter().all(|part| words.contains(part)), "{table}: {words}");
    }
}

#[tokio::test]
async fn targets_are_read_as_the_table_says() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"x,1\n").unwrap();
    let gzip = gzip.finish().unwrap();
    let lake = Lake::default()
        .table("elsewhere", "a string", (classes::TEXT, &[]), &[("1.gz", &gzip), ("2.csv", b""), ("3.csv", b"y,2\n")])
        .table(
            "linked",
            "a string, b int",
            (LINKED, &[("field.delim", ",")]),
            &[("l", b"s3://lake/elsewhere/1.gz\ns3://lake/elsewhere/2.csv\ns3://lake/elsewhere/3.csv")],
        )
        .table(
            "columns",
            "a string",
            ((classes::SYMLINK_INPUT, classes::TEXT_OUTPUT, classes::PARQUET.2), &[]),
            &[("l", b"s3://lake/elsewhere/2.csv\ns3://lake/elsewhere/3.csv")],
        );
    let rows = query(&lake, "SELECT a, b FROM linked ORDER BY a").await.unwrap().rows;
    assert_eq!(rows, "\"x\",\"1\"\n\"y\",\"2\"\n");
    let words = failure(&lake, "SELECT * FROM columns").await;
    assert!(words.contains("s3://lake/elsewhere/3.csv is no whole Parquet file"), "{words}");
}
