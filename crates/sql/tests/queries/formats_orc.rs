//! ORC: what other writers wrote, columns by place and by name, types, and objects that are broken.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use bytes::Bytes;
use millpond_hive::format::classes;
use millpond_query::{Describe, FileFormat, Partition, QueryError, Run};
use orc_rust::arrow_writer::ArrowWriterBuilder;
use orc_rust::compression::CompressionType;

use crate::world::{Lake, column, failure, pool, query, run_in};

const BY_NAME: &[(&str, &str)] = &[("orc.column.index.access", "false")];
/// Sixty rows by Apache's writer in C++; each fifth one is NULL but for its id.
const ZLIB: &[u8] = include_bytes!("../data/everything.zlib.orc");
const SNAPPY: &[u8] = include_bytes!("../data/everything.snappy.orc");
const ZSTD: &[u8] = include_bytes!("../data/everything.zstd.orc");
/// Two rows whose columns have no names, as Hive wrote them once.
const UNNAMED: &[u8] = include_bytes!("../data/unnamed.lz4.orc");

/// Four rows of nanoseconds, by Apache's writer too.
const NANOS: &[u8] = include_bytes!("../data/nanos.zlib.orc");

/// The columns of [`ZLIB`], with semicolons for the commas in types.
const EVERYTHING: &str = "id bigint, flag boolean, tiny tinyint, small smallint, num int, real float, dbl double, \
     text string, bin binary, day date, ts timestamp, price decimal(9;2), wide decimal(38;3), tags array<int>, \
     attrs map<string;bigint>, place struct<lat:double;names:array<string>>";

/// Some of its rows.
const ROWS: [&str; 5] = [
    r#""1","false","-49","-869","-1","0.25","-0.125","bird 1","01 00 ff","1969-12-31","1969-11-20 07:59:57.000","-2.33","12345678901234567890123457.790","[0]","{k0=null}","{lat=0.5, names=null}""#,
    r#""2","true","-48","-838","4","0.5","-0.25","bird 2","02 00 ff","1970-01-01","1969-12-31 23:59:57.000","-1.33","12345678901234567890123458.790","[0, null]","{k0=null, k1=1}","{lat=1.0, names=[a2]}""#,
    r#""4",,,,,,,,,,,,,,,"#,
    r#""8","true","-42","-652","64","2.0","-1.0","bird 1","08 00 ff","1970-01-07","1970-09-07 23:59:57.500","4.67","12345678901234567890123464.790","[]","{k0=null, k1=1}","{lat=4.0, names=[a8]}""#,
    r#""57","false","7","867","-3249","14.25","-7.125","bird 1","39 00 ff","1970-02-25","1976-04-10 15:59:57.000","53.67","12345678901234567890123513.790","[0]","{}","{lat=28.5, names=null}""#,
];

/// A table of ORC; see [`EVERYTHING`].
fn table(columns: &str, parameters: &[(&str, &str)], objects: &[(&str, &[u8])]) -> Lake {
    let mut lake = Lake::default().table("t", columns, (classes::ORC, parameters), objects);
    let table = lake.tables.get_mut(&("db".to_owned(), "t".to_owned())).unwrap();
    for column in &mut table.storage.as_mut().unwrap().columns {
        column.kind = column.kind.replace(';', ",");
    }
    lake
}

fn run(statement: &str) -> Run {
    Run { statement: statement.into(), ..Run::default() }
}

/// A file of our own, with a stripe for each batch.
fn file(batches: &[Vec<(&str, ArrayRef)>], compression: Option<CompressionType>) -> Vec<u8> {
    let batches: Vec<RecordBatch> =
        batches.iter().map(|columns| RecordBatch::try_from_iter(columns.clone()).unwrap()).collect();
    let mut bytes = Vec::new();
    let mut builder = ArrowWriterBuilder::new(&mut bytes, batches[0].schema());
    if let Some(compression) = compression {
        builder = builder.with_compression(compression);
    }
    let mut writer = builder.try_build().unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
        writer.flush_stripe().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn ints(values: impl IntoIterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn texts(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

#[tokio::test]
async fn every_type_in_every_compression() {
    for bytes in [ZLIB, SNAPPY, ZSTD] {
        for parameters in [&[][..], BY_NAME] {
            let lake = table(EVERYTHING, parameters, &[("x", bytes)]);
            let rows = query(&lake, "SELECT * FROM t WHERE id IN (1, 2, 4, 8, 57) ORDER BY id").await.unwrap().rows;
            assert_eq!(rows.lines().collect::<Vec<_>>(), ROWS);
        }
    }
}

#[tokio::test]
async fn columns_by_place_and_by_name() {
    let one = file(&[vec![("ID", ints([1])), ("name", texts(["owl".to_owned()]))]], None);
    let other = file(&[vec![("name", texts(["wren".to_owned()])), ("more", ints([9])), ("id", ints([2]))]], None);
    let both: [(&str, &[u8]); 2] = [("1", &one), ("2", &other)];
    let lake = table("id int, name string, eggs int", BY_NAME, &both);
    let rows = query(&lake, "SELECT id, name, eggs FROM t ORDER BY id").await.unwrap().rows;
    assert_eq!(rows, "\"1\",\"owl\",\n\"2\",\"wren\",\n");
    // By place, which is the default, names do not count.
    let lake = table("a bigint, b string, c int", &[], &both[..1]);
    assert_eq!(query(&lake, "SELECT a, b, c FROM t").await.unwrap().rows, "\"1\",\"owl\",\n");
    assert_eq!(query(&lake, "SELECT count(*), count(c) FROM t").await.unwrap().rows, "\"1\",\"0\"\n");
    assert_eq!(query(&lake, "SELECT c FROM t").await.unwrap().rows, "\n");
    let lake = table("id int, name string", &[], &both);
    let words = failure(&lake, "SELECT id FROM t").await;
    let trinos = "HIVE_BAD_DATA: Malformed ORC file. Cannot read SQL type 'integer' of the column id from ORC stream '.name' of type STRING [s3://lake/t/2]";
    assert!(words.contains(trinos), "{words}");
    for parameters in [&[][..], BY_NAME] {
        let lake = table("a int, b string", parameters, &[("x", UNNAMED)]);
        assert_eq!(query(&lake, "SELECT a, b FROM t").await.unwrap().rows, "\"1\",\"one\"\n\"2\",\"two\"\n");
    }
    let words =
        failure(&table("a int", &[("orc.column.index.access", "1")], &[("x", UNNAMED)]), "SELECT a FROM t").await;
    assert!(words.contains("\"orc.column.index.access\" is '1'; it must be true or false"), "{words}");
}

#[tokio::test]
async fn types_are_widened_or_refused() {
    let small: ArrayRef = Arc::new(Int8Array::from(vec![Some(-7), None]));
    let real: ArrayRef = Arc::new(Float32Array::from(vec![0.5, -1.25]));
    let long: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40, 2]));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, -1_500_000]));
    let text = texts(["a".to_owned(), "b".to_owned()]);
    let columns = vec![("s", small), ("r", real), ("l", long), ("t", time), ("x", text)];
    let bytes = file(&[columns], Some(CompressionType::Snappy));
    let wide = table("s bigint, r double, l decimal(20;2), t timestamp, x binary", BY_NAME, &[("x", &bytes)]);
    assert_eq!(
        query(&wide, "SELECT * FROM t").await.unwrap().rows,
        "\"-7\",\"0.5\",\"1099511627776.00\",\"1970-01-01 00:00:01.500\",\"61\"\n\
         ,\"-1.25\",\"2.00\",\"1969-12-31 23:59:58.500\",\"62\"\n"
    );
    let narrow = table("s date, r int, l int, t string, x int", BY_NAME, &[("x", &bytes)]);
    for (column, parts) in [
        ("s", ["Cannot read SQL type 'date' of the column s", "type BYTE"]),
        ("r", ["Cannot read SQL type 'integer' of the column r", "type FLOAT"]),
        ("l", ["The column l: ", "1099511627776"]),
        ("t", ["Cannot read SQL type 'varchar' of the column t", "type TIMESTAMP"]),
        ("x", ["Cannot read SQL type 'integer' of the column x", "type STRING"]),
    ] {
        let words = failure(&narrow, &format!("SELECT {column} FROM t")).await;
        assert!(words.contains("HIVE_BAD_DATA: Malformed ORC file."), "{words}");
        assert!(words.contains("s3://lake/t/x") && parts.iter().all(|part| words.contains(part)), "{words}");
        // Others can be read all the same.
        assert_eq!(query(&narrow, "SELECT count(*) FROM t").await.unwrap().rows, "\"2\"\n");
    }
}

/// Finer than the table has them, nested, and instants, which are shown as UTC has them.
#[tokio::test]
async fn nanoseconds() {
    let lake = table("at timestamp, nested array<timestamp>, z timestamp", &[], &[("x", NANOS)]);
    let rows = query(&lake, "SELECT at, nested, z, to_unixtime(at) > 1500000000.123455 FROM t").await.unwrap().rows;
    assert_eq!(
        rows.lines().collect::<Vec<_>>(),
        [
            r#""1970-01-01 00:00:00.000","[1970-01-01 00:00:00.000]","1970-01-01 00:00:00.000","false""#,
            r#""2017-07-14 02:40:00.123","[2017-07-14 02:40:00.123]","2017-07-14 02:40:00.123","true""#,
            r#""2100-01-01 00:00:00.999","[]",,"true""#,
            r#",,"1969-12-31 23:59:59.000","#,
        ]
    );
}

/// What is nested has the table's fields, by name.
#[tokio::test]
async fn nested_fields() {
    let lake = |place: &str| table(&format!("id bigint, {place}"), BY_NAME, &[("x", ZSTD)]);
    for (place, rows) in [
        ("place struct<names:array<string>;more:int;lat:double>", "\"{names=[a2], more=null, lat=1.0}\"\n"),
        ("place struct<none:int>", "\"{none=null}\"\n"),
    ] {
        assert_eq!(query(&lake(place), "SELECT place FROM t WHERE id = 2").await.unwrap().rows, rows);
    }
    let wide = lake("tags array<bigint>, attrs map<string;decimal(20;1)>");
    let rows = query(&wide, "SELECT tags, attrs FROM t WHERE id = 2").await.unwrap().rows;
    assert_eq!(rows, "\"[0, null]\",\"{k0=null, k1=1.0}\"\n");
    for (column, kind) in [("tags", "array<string>"), ("attrs", "map<int;bigint>"), ("place", "struct<lat:string>")] {
        let words = failure(&lake(&format!("{column} {kind}")), &format!("SELECT {column} FROM t")).await;
        assert!(words.contains("HIVE_BAD_DATA: Malformed ORC file. Cannot read SQL type"), "{words}");
    }
}

/// What is not asked for is not read.
#[tokio::test]
async fn columns_and_rows_cost_what_they_are() {
    let batch = |from: i32| {
        let texts = texts((from..from + 20_000).map(|n| format!("{:x}", i64::from(n) * 7_919_777)));
        vec![("id", ints(from..from + 20_000)), ("text", texts)]
    };
    let bytes = file(&[batch(0), batch(20_000), batch(40_000)], Some(CompressionType::Zstd));
    let lake = table("id int, text string", &[], &[("x", &bytes)]);
    let id = query(&lake, "SELECT sum(id), count(*) FROM t").await.unwrap();
    assert_eq!(id.rows, "\"1799970000\",\"60000\"\n");
    let text = query(&lake, "SELECT count(text), max(text) FROM t WHERE length(text) > 0").await.unwrap();
    assert!(text.rows.starts_with("\"60000\""), "{}", text.rows);
    let count = query(&lake, "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(count.rows, "\"60000\"\n");
    let (all, id, text, count) = (bytes.len() as u64, id.stats.scanned, text.stats.scanned, count.stats.scanned);
    assert!(count < id && id < text && text <= all + 70_000, "{count} {id} {text} of {all}");
    let few = query(&lake, "SELECT id FROM t ORDER BY id DESC LIMIT 2").await.unwrap();
    assert_eq!(few.rows, "\"59999\"\n\"59998\"\n");
    let analyzed = query(&lake, "EXPLAIN ANALYZE SELECT sum(id) FROM t").await.unwrap().rows;
    assert!(analyzed.contains("Table db.t: files read: 1 of 1 listed, bytes read: "), "{analyzed}");
}

/// Keys of partitions stand beside what is read, and limits and refusals stay what they are.
#[tokio::test]
async fn partitions_limits_and_what_is_empty() {
    let (one, two) = (file(&[vec![("a", ints([1, 2]))]], None), file(&[vec![("a", ints([3]))]], None));
    let none = {
        let mut bytes = Vec::new();
        let schema = RecordBatch::try_from_iter([("a", ints([]))]).unwrap().schema();
        ArrowWriterBuilder::new(&mut bytes, schema).try_build().unwrap().close().unwrap();
        bytes
    };
    let mut lake = table("a int, b string", &[], &[("dt=1/x", &one), ("dt=2/x", &two), ("dt=2/y", &none)]);
    let key = ("db".to_owned(), "t".to_owned());
    lake.tables.get_mut(&key).unwrap().partition_keys = vec![column("dt", "int")];
    let partition =
        |value: &str| Partition { values: vec![value.into()], location: format!("s3://lake/t/dt={value}/") };
    lake.partitions.insert(key, vec![partition("1"), partition("2")]);
    for (statement, rows) in [
        ("SELECT dt, a, b FROM t ORDER BY a", "\"1\",\"1\",\n\"1\",\"2\",\n\"2\",\"3\",\n"),
        ("SELECT a + dt FROM t WHERE dt = 2", "\"5\"\n"),
        ("SELECT dt, count(*) FROM t GROUP BY dt ORDER BY dt", "\"1\",\"2\"\n\"2\",\"1\"\n"),
        ("SELECT count(*) FROM t WHERE a > 1 AND dt = 1", "\"1\"\n"),
        ("SELECT \"$path\", a FROM t WHERE a = 3", "\"s3://lake/t/dt=2/x\",\"3\"\n"),
    ] {
        assert_eq!(query(&lake, statement).await.unwrap().rows, rows, "{statement}");
    }
    let pool = pool(64 << 20);
    let cut = run_in(&pool, &lake, Run { cutoff: 10, ..run("SELECT a FROM t") }).await.unwrap_err();
    assert!(cut.to_string().contains("Bytes scanned limit was exceeded"), "{cut}");
}

const ALL: &str = "SELECT count(*), sum(id), sum(num), max(text), max(ts), max(bin), max(price), max(wide), \
     sum(cardinality(tags)), sum(cardinality(attrs)), max(place.lat), max(day), max(dbl), sum(small), count(flag) FROM t";

#[tokio::test]
async fn cut_off_anywhere() {
    let pool = pool(64 << 20);
    for whole in [ZLIB, SNAPPY, ZSTD] {
        let right = run_in(&pool, &table(EVERYTHING, &[], &[("x", whole)]), run(ALL)).await.unwrap().rows;
        for cut in (1..whole.len()).step_by(61).chain(whole.len() - 30..whole.len()) {
            let lake = table(EVERYTHING, &[], &[("x", &whole[..cut])]);
            let words = run_in(&pool, &lake, run(ALL)).await.unwrap_err().to_string();
            assert!(words.contains("s3://lake/t/x") && words.contains("ORC"), "cut at {cut}: {words}");
        }
        let again = run_in(&pool, &table(EVERYTHING, &[], &[("x", whole)]), run(ALL)).await.unwrap().rows;
        assert_eq!(again, right);
    }
}

/// A flipped bit is an error that names the object, or another value: ORC has no checksums. The worker goes on.
#[tokio::test]
async fn a_flipped_bit_anywhere() {
    let pool = pool(64 << 20);
    let plain = file(&[vec![("id", ints(0..50)), ("text", texts((0..50).map(|n| format!("bird {n}"))))]], None);
    let others = "SELECT count(*), sum(id), max(text) FROM t";
    for (whole, columns, statement) in
        [(ZLIB, EVERYTHING, ALL), (SNAPPY, EVERYTHING, ALL), (plain.as_slice(), "id int, text string", others)]
    {
        let mut errors = 0;
        for byte in (0..whole.len()).step_by(29).chain((whole.len() - 200..whole.len()).step_by(2)) {
            let mut bytes = whole.to_vec();
            bytes[byte] ^= 1 << (byte % 8);
            match run_in(&pool, &table(columns, &[], &[("x", &bytes)]), run(statement)).await {
                Ok(_) => {}
                Err(QueryError::Failed(failed)) => {
                    errors += 1;
                    assert!(failed.message.contains("s3://lake/t/x"), "byte {byte}: {}", failed.message);
                }
                Err(other) => panic!("byte {byte}: {other}"),
            }
        }
        assert!(errors > 20, "{errors}");
    }
}

#[tokio::test]
async fn what_is_no_orc() {
    for bytes in [&b"x"[..], b"ORC", b"PAR1 and nothing else", &[0; 300], &[255; 300]] {
        let words = failure(&table("a int", &[], &[("x", bytes)]), "SELECT a FROM t").await;
        assert!(words.contains("HIVE_BAD_DATA: s3://lake/t/x is no whole ORC file"), "{words}");
    }
}

#[tokio::test]
async fn schemas_for_crawlers() {
    let mut lake = Lake::default();
    lake.objects.insert(("lake".to_owned(), "x".to_owned()), Bytes::from_static(ZLIB));
    let asked = |size: usize| Describe {
        format: FileFormat::Orc.into(),
        bucket: "lake".into(),
        key: "x".into(),
        etag: String::new(),
        size: size as u64,
    };
    let pool = pool(64 << 20);
    let described = pool.describe(asked(ZLIB.len()), &lake).await.unwrap();
    let kinds: Vec<String> =
        described.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    assert_eq!(kinds.join(", "), EVERYTHING.replace(';', ","));
    assert_eq!(described.rows, 60);
    lake.objects.insert(("lake".to_owned(), "x".to_owned()), Bytes::from_static(&ZLIB[..900]));
    let error = pool.describe(asked(900), &lake).await.unwrap_err();
    assert!(matches!(&error, QueryError::Failed(_)) && error.to_string().contains("s3://lake/x"), "{error}");
}
