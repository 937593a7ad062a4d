//! Parquet: types as older and other writers keep them, pages and dictionaries, and files of other schemas than their table's.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Encoding;
use datafusion::parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type, Int96, Int96Type,
};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use datafusion::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use datafusion::parquet::schema::parser::parse_message_type;
use millpond_hive::format::classes;

use crate::world::{Lake, failure, query};

/// A table of Parquet, with semicolons for the commas in types.
fn table(columns: &str, parameters: &[(&str, &str)], objects: &[(&str, &[u8])]) -> Lake {
    let mut lake = Lake::default().table("t", columns, (classes::PARQUET, parameters), objects);
    let table = lake.tables.get_mut(&("db".to_owned(), "t".to_owned())).unwrap();
    for column in &mut table.storage.as_mut().unwrap().columns {
        column.kind = column.kind.replace(';', ",");
    }
    lake
}

/// A file of one row group, column by column.
fn typed(schema: &str, write: impl FnOnce(&mut SerializedRowGroupWriter<'_, Vec<u8>>)) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {schema} }}")).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    write(&mut group);
    group.close().unwrap();
    writer.into_inner().unwrap()
}

macro_rules! column {
    ($group:expr, $kind:ty, $values:expr) => {{
        let mut column = $group.next_column().unwrap().unwrap();
        column.typed::<$kind>().write_batch($values, None, None).unwrap();
        column.close().unwrap();
    }};
}

/// A day since 4713 BC, and nanoseconds of it.
fn int96(day: u32, nanos: u64) -> Int96 {
    let mut time = Int96::new();
    time.set_data((nanos & 0xFFFF_FFFF) as u32, (nanos >> 32) as u32, day);
    time
}

fn written(batches: &[RecordBatch], properties: WriterProperties) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// As Hive, Impala and Spark wrote them; also in years that nanoseconds of 64 bits do not reach.
#[tokio::test]
async fn times_of_96_bits() {
    let hour = 3_600_000_000_000;
    let times = [
        int96(2_440_588, 0),
        int96(2_440_587, 23 * hour + 1_500_000_000),
        // 0001-01-01 and 9999-12-31.
        int96(1_721_426, 0),
        int96(5_373_484, 23 * hour),
    ];
    let bytes = typed("required int32 id; required int96 at;", |group| {
        column!(group, Int32Type, &[1, 2, 3, 4]);
        column!(group, Int96Type, &times);
    });
    let lake = table("id int, at timestamp", &[], &[("x", &bytes)]);
    let rows = query(&lake, "SELECT at FROM t ORDER BY id").await.unwrap().rows;
    assert_eq!(
        rows,
        "\"1970-01-01 00:00:00.000\"\n\"1969-12-31 23:00:01.500\"\n\"0001-01-01 00:00:00.000\"\n\"9999-12-31 23:00:00.000\"\n"
    );
    let rows =
        query(&lake, "SELECT id FROM t WHERE at < timestamp '1970-01-01 00:00:00' ORDER BY at").await.unwrap().rows;
    assert_eq!(rows, "\"3\"\n\"2\"\n");
}

#[tokio::test]
async fn decimals_in_all_their_kinds() {
    let schema = "required int32 d4 (DECIMAL(9,2)); required int64 d8 (DECIMAL(18,2)); \
                  required fixed_len_byte_array(5) f (DECIMAL(11,3)); required binary b (DECIMAL(20,2));";
    let bytes = typed(schema, |group| {
        column!(group, Int32Type, &[-1250, 7]);
        column!(group, Int64Type, &[-1250, 1 << 50]);
        let fixed = |bytes: [u8; 5]| FixedLenByteArray::from(bytes.to_vec());
        column!(group, FixedLenByteArrayType, &[fixed([0xFF, 0xFF, 0xFF, 0xFB, 0x1E]), fixed([0, 0, 0, 0, 1])]);
        column!(group, ByteArrayType, &[ByteArray::from(vec![0xFB, 0x1E]), ByteArray::from(vec![0x7F])]);
    });
    let lake = table("d4 decimal(9;2), d8 decimal(18;2), f decimal(11;3), b decimal(20;2)", &[], &[("x", &bytes)]);
    let rows = query(&lake, "SELECT * FROM t").await.unwrap().rows;
    assert_eq!(
        rows,
        "\"-12.50\",\"-12.50\",\"-1.250\",\"-12.50\"\n\"0.07\",\"11258999068426.24\",\"0.001\",\"1.27\"\n"
    );
    // Of another precision and scale than the file's.
    let lake = table("d4 decimal(20;4), f decimal(38;10)", &[], &[("x", &bytes)]);
    let rows = query(&lake, "SELECT d4, f FROM t WHERE d4 < 0").await.unwrap().rows;
    assert_eq!(rows, "\"-12.5000\",\"-1.2500000000\"\n");
    let words = failure(&table("d8 decimal(5;2)", &[], &[("x", &bytes)]), "SELECT d8 FROM t").await;
    assert!(words.contains("s3://lake/t/x"), "{words}");
}

/// Of a hundred pages of a column few are read.
#[tokio::test]
async fn pages_are_passed_over() {
    let ids: Vec<i32> = (0..100_000).collect();
    let lines: Vec<String> = ids.iter().map(|id| format!("{:x}", i64::from(*id) * 7_919_777)).collect();
    let lines: ArrayRef = Arc::new(StringArray::from(lines));
    let rows = batch(vec![("id", ints(&ids)), ("text", lines)]);
    let properties = |statistics| {
        WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_data_page_row_count_limit(1000)
            .set_write_batch_size(1000)
            .set_statistics_enabled(statistics)
            .build()
    };
    for (statistics, is_less) in [(EnabledStatistics::Page, true), (EnabledStatistics::None, false)] {
        let bytes = written(std::slice::from_ref(&rows), properties(statistics));
        let lake = table("id int, text string", &[], &[("x", &bytes)]);
        let one = query(&lake, "SELECT text FROM t WHERE id = 77777").await.unwrap();
        assert_eq!(one.rows, format!("\"{:x}\"\n", 77_777_i64 * 7_919_777));
        let all = query(&lake, "SELECT count(text) FROM t WHERE id >= 0").await.unwrap();
        assert_eq!(all.rows, "\"100000\"\n");
        assert!(
            !is_less || one.stats.scanned * 2 < all.stats.scanned,
            "{} of {}",
            one.stats.scanned,
            all.stats.scanned
        );
    }
}

#[tokio::test]
async fn dictionaries_and_encodings() {
    let names: Vec<String> = (0..30_000).map(|n| format!("bird {}", n % 11)).collect();
    let names: ArrayRef = Arc::new(StringArray::from(names));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..30_000).map(|n| n % 13)));
    let rows = batch(vec![("name", names), ("n", numbers)]);
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let with = |builder: datafusion::parquet::file::properties::WriterPropertiesBuilder| {
            written(std::slice::from_ref(&rows), builder.set_writer_version(version).build())
        };
        let dictionary = with(WriterProperties::builder().set_dictionary_enabled(true));
        // A dictionary that is too long is given up within the column.
        let both = with(WriterProperties::builder().set_dictionary_page_size_limit(40).set_data_page_size_limit(500));
        let delta = with(
            WriterProperties::builder()
                .set_dictionary_enabled(false)
                .set_column_encoding("name".into(), Encoding::DELTA_BYTE_ARRAY)
                .set_column_encoding("n".into(), Encoding::DELTA_BINARY_PACKED),
        );
        let objects: [(&str, &[u8]); 3] = [("1", &dictionary), ("2", &both), ("3", &delta)];
        let lake = table("name string, n bigint", &[], &objects);
        let rows = query(&lake, "SELECT count(*), count(DISTINCT name), sum(n) FROM t WHERE name <> 'bird 3'");
        let expected: i64 = (0..30_000).filter(|n| n % 11 != 3).map(|n| n % 13).sum();
        let count = (0..30_000).filter(|n| n % 11 != 3).count();
        assert_eq!(rows.await.unwrap().rows, format!("\"{}\",\"10\",\"{}\"\n", count * 3, expected * 3));
    }
}

/// Columns that came, went, moved and grew; what a file has not is NULL.
#[tokio::test]
async fn files_of_several_schemas() {
    let place = |fields: Vec<(&str, ArrayRef)>| -> ArrayRef { Arc::new(StructArray::from(batch(fields))) };
    let long: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 33]));
    let files = [
        batch(vec![("id", ints(&[1])), ("name", texts(&["owl"]))]),
        batch(vec![("name", texts(&["wren"])), ("ID", long)]),
        batch(vec![("id", ints(&[3])), ("place", place(vec![("x", ints(&[5]))]))]),
        batch(vec![("id", ints(&[4])), ("place", place(vec![("y", texts(&["here"])), ("x", ints(&[6]))]))]),
        batch(vec![("other", ints(&[0]))]),
    ];
    let files: Vec<Vec<u8>> =
        files.iter().map(|rows| written(std::slice::from_ref(rows), WriterProperties::builder().build())).collect();
    let names = ["1", "2", "3", "4", "5"];
    let objects: Vec<(&str, &[u8])> = names.iter().copied().zip(files.iter().map(Vec::as_slice)).collect();
    let lake = table("id bigint, name string, place struct<x:bigint;y:string>", &[], &objects);
    let rows = query(&lake, "SELECT id, name, place FROM t ORDER BY id").await.unwrap().rows;
    assert_eq!(
        rows,
        "\"1\",\"owl\",\n\"3\",,\"{x=5, y=null}\"\n\"4\",,\"{x=6, y=here}\"\n\"8589934592\",\"wren\",\n,,\n"
    );
    let rows = query(&lake, "SELECT count(*), count(id), count(name) FROM t WHERE name IS NULL").await.unwrap().rows;
    assert_eq!(rows, "\"3\",\"2\",\"0\"\n");
    assert_eq!(query(&lake, "SELECT name FROM t WHERE id > 4").await.unwrap().rows, "\"wren\"\n");
}

#[tokio::test]
async fn columns_by_place() {
    let by_place = [("parquet.column.index.access", "TRUE")];
    let rows = batch(vec![("x", ints(&[1, 2])), ("a", texts(&["owl", "wren"])), ("extra", ints(&[0, 0]))]);
    let bytes = written(&[rows], WriterProperties::builder().build());
    let lake = table("a int, b string", &by_place, &[("x", &bytes)]);
    assert_eq!(query(&lake, "SELECT a, b FROM t WHERE a > 1").await.unwrap().rows, "\"2\",\"wren\"\n");
    assert_eq!(query(&lake, "SELECT b FROM t WHERE b = 'owl'").await.unwrap().rows, "\"owl\"\n");
    let lake = table("a int, b string, extra int, more int", &by_place, &[("x", &bytes)]);
    assert_eq!(query(&lake, "SELECT a, more, extra FROM t").await.unwrap().rows, "\"1\",,\"0\"\n\"2\",,\"0\"\n");
    let lake = table("a string, x int", &[], &[("x", &bytes)]);
    assert_eq!(query(&lake, "SELECT a, x FROM t").await.unwrap().rows, "\"owl\",\"1\"\n\"wren\",\"2\"\n");
}
