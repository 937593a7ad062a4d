//! Objects that are broken, empty, or not of their table's kind: an error that names them, and a worker that goes on.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use millpond_hive::format::classes;
use millpond_query::{Partition, QueryError, Run};

use crate::world::{Lake, column, failure, pool, query, run_in};

const COMMAS: &[(&str, &str)] = &[("field.delim", ",")];

/// Two columns of `n` rows: `id` counts, `name` has its digits.
fn parquet(n: i32) -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..n));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..n).map(|n| format!("bird {n}"))));
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn run(statement: &str) -> Run {
    Run { statement: statement.into(), ..Run::default() }
}

fn of_parquet(bytes: &[u8]) -> Lake {
    Lake::default().table("birds", "id int, name string", (classes::PARQUET, &[]), &[("x", bytes)])
}

const ALL: &str = "SELECT count(*), sum(id), min(name), max(name) FROM birds";
const RIGHT: &str = "\"300\",\"44850\",\"bird 0\",\"bird 99\"\n";

#[tokio::test]
async fn parquet_that_is_cut_off_anywhere() {
    let (whole, pool) = (parquet(300), pool(64 << 20));
    assert_eq!(run_in(&pool, &of_parquet(&whole), run(ALL)).await.unwrap().rows, RIGHT);
    let cuts = (1..whole.len()).step_by(97).chain(whole.len() - 12..whole.len());
    for cut in cuts {
        let error = run_in(&pool, &of_parquet(&whole[..cut]), run(ALL)).await.unwrap_err();
        let words = error.to_string();
        assert!(words.contains("s3://lake/birds/x") && words.contains("Parquet"), "cut at {cut}: {words}");
    }
}

/// Parquet has no checksums that everybody writes: a flipped byte of a value is another value. What must not be is a worker that
/// ends, or an error that does not name the object. Seeds are fixed; the seed of a failure is in its message.
#[tokio::test]
async fn parquet_with_a_flipped_byte() {
    let (whole, pool) = (parquet(300), pool(64 << 20));
    let (mut errors, mut panics, mut state) = (0, 0, 0x9E37_79B9_7F4A_7C15_u64);
    for _ in 0..300 {
        let seed = state;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut bytes = whole.clone();
        // Half of them where the footer is, whose parts are many.
        let from = if seed & 1 == 0 { 0 } else { bytes.len() - bytes.len() / 4 };
        let at = from + usize::try_from(state >> 16).unwrap() % (bytes.len() - from);
        bytes[at] ^= 1 << (state & 7);
        match run_in(&pool, &of_parquet(&bytes), run(ALL)).await {
            Ok(_) => {}
            Err(QueryError::Failed(failed)) => {
                errors += 1;
                panics += usize::from(failed.message.contains("the reader panicked"));
                let is_named = failed.message.contains("s3://lake/birds/x");
                assert!(is_named, "seed {seed:#x}, byte {at}: {}", failed.message);
            }
            Err(other) => panic!("seed {seed:#x}, byte {at}: {other}"),
        }
    }
    assert!(errors > 20 && panics > 0, "{errors} errors, {panics} panics");
    assert_eq!(run_in(&pool, &of_parquet(&whole), run(ALL)).await.unwrap().rows, RIGHT);
}

#[tokio::test]
async fn what_is_empty_has_no_rows() {
    let mut lake = Lake::default()
        .table("nothing", "a string", (classes::TEXT, COMMAS), &[])
        .table("hollow", "a string", (classes::TEXT, COMMAS), &[("", b""), ("sub/", b""), ("x", b""), ("y", b"one\n")])
        .table("columns", "id int", (classes::PARQUET, &[]), &[("_SUCCESS", b""), ("zero", b"")])
        .table("parts", "a string", (classes::TEXT, COMMAS), &[("dt=1/x", b"here\n")]);
    let key = ("db".to_owned(), "parts".to_owned());
    lake.tables.get_mut(&key).unwrap().partition_keys = vec![column("dt", "int")];
    let partition =
        |value: &str| Partition { values: vec![value.into()], location: format!("s3://lake/parts/dt={value}/") };
    lake.partitions.insert(key, vec![partition("1"), partition("2")]);
    for (statement, rows) in [
        ("SELECT count(*) FROM nothing", "\"0\"\n"),
        ("SELECT * FROM hollow", "\"one\"\n"),
        ("SELECT * FROM columns", ""),
        ("SELECT a, dt FROM parts", "\"here\",\"1\"\n"),
        ("SELECT count(*) FROM parts WHERE dt = 2", "\"0\"\n"),
    ] {
        assert_eq!(query(&lake, statement).await.unwrap().rows, rows, "{statement}");
    }
}

#[tokio::test]
async fn catalogs_that_say_too_little() {
    let mut lake = Lake::default()
        .table("nowhere", "a string", (classes::TEXT, COMMAS), &[])
        .table("deep", "a map<int,map<int,map<int,map<int,int>>>>", (classes::TEXT, COMMAS), &[("x", b"1\n")])
        .table("computed", "a string", (classes::TEXT, COMMAS), &[]);
    let of = |name: &str| ("db".to_owned(), name.to_owned());
    lake.tables.get_mut(&of("nowhere")).unwrap().storage.as_mut().unwrap().location.clear();
    let computed = lake.tables.get_mut(&of("computed")).unwrap();
    computed.partition_keys = vec![column("dt", "string")];
    computed.parameters.insert("projection.enabled".to_owned(), "TRUE".to_owned());
    for (table, parts) in [
        ("nowhere", ["HIVE_INVALID_METADATA: the location of db.nowhere", "no scheme"]),
        ("deep", ["HIVE_INVALID_METADATA: column a", "levels of nesting"]),
        (
            "computed",
            ["INVALID_TABLE_PROPERTY: the partition projection of db.computed", "projection.dt.type: it is missing"],
        ),
    ] {
        let words = failure(&lake, &format!("SELECT * FROM {table}")).await;
        assert!(parts.iter().all(|part| words.contains(part)), "{table}: {words}");
    }
}
