//! Parquet: files whose columns are not quite their table's.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use millpond_hive::format::classes;

use crate::world::{Lake, failure, query};

fn file(columns: Vec<(&str, ArrayRef)>, rows: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(groups)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[tokio::test]
async fn columns_are_found_by_name_and_widened() {
    let narrow = file(vec![("Name", texts(&["owl"])), ("ID", ints(&[1]))], 10);
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40]));
    let wide = file(vec![("id", wide), ("other", ints(&[9]))], 10);
    let odd = file(vec![("id", ints(&[3])), ("name", ints(&[7]))], 10);
    let text = file(vec![("id", texts(&["4"]))], 10);
    let lake = Lake::default()
        .table("birds", "id bigint, name string", (classes::PARQUET, &[]), &[("1", &narrow), ("2", &wide)])
        .table("odd", "id bigint, name string", (classes::PARQUET, &[]), &[("x", &odd)])
        .table("text", "id bigint", (classes::PARQUET, &[]), &[("x", &text)])
        .table("small", "id int", (classes::PARQUET, &[]), &[("x", &wide)]);
    let rows = query(&lake, "SELECT id, name FROM birds ORDER BY id").await.unwrap().rows;
    assert_eq!(rows, "\"1\",\"owl\"\n\"1099511627776\",\n");
    assert_eq!(query(&lake, "SELECT id FROM birds WHERE NAME = 'owl'").await.unwrap().rows, "\"1\"\n");
    // A column that does not fit harms those alone that read it.
    assert_eq!(query(&lake, "SELECT id FROM odd").await.unwrap().rows, "\"3\"\n");
    for (statement, parts) in [
        ("SELECT name FROM odd", ["s3://lake/odd/x", "file's column name (Int32)"]),
        ("SELECT id FROM odd WHERE name = '7'", ["s3://lake/odd/x", "file's column name (Int32)"]),
        ("SELECT id FROM text", ["s3://lake/text/x", "file's column id"]),
        ("SELECT id FROM small", ["s3://lake/small/x", "1099511627776"]),
    ] {
        let words = failure(&lake, statement).await;
        assert!(parts.iter().all(|part| words.contains(part)), "{statement}: {words}");
    }
}

#[tokio::test]
async fn decimals_times_and_what_is_nested() {
    let decimal = |precision: u8| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![-1250_i128]).with_precision_and_scale(precision, 2).unwrap())
    };
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500_000_i64]));
    let inner = RecordBatch::try_from_iter(vec![("b", ints(&[2])), ("a", ints(&[1]))]).unwrap();
    let nested: ArrayRef = Arc::new(StructArray::from(inner));
    let columns = vec![("d4", decimal(9)), ("d8", decimal(18)), ("d16", decimal(38)), ("t", time), ("s", nested)];
    let described =
        "d4 decimal(9,2), d8 decimal(18,2), d16 decimal(38,2), t timestamp, s struct<a:int,b:bigint,c:string>";
    let described = described.replace(",2)", ";2)").replace(":int,b:bigint,c", ":int;b:bigint;c");
    let mut lake = Lake::default().table("all", &described, (classes::PARQUET, &[]), &[("x", &file(columns, 10))]);
    let table = lake.tables.get_mut(&("db".to_owned(), "all".to_owned())).unwrap();
    for column in &mut table.storage.as_mut().unwrap().columns {
        column.kind = column.kind.replace(';', ",");
    }
    let rows = query(&lake, "SELECT d4, d8, d16, t, s FROM \"all\"").await.unwrap().rows;
    assert_eq!(rows, "\"-12.50\",\"-12.50\",\"-12.50\",\"1970-01-01 00:00:01.500\",\"{a=1, b=2, c=null}\"\n");
}

/// Of a hundred row groups one is read, besides the footer.
#[tokio::test]
async fn row_groups_are_passed_over() {
    let ids: Vec<i32> = (0..100_000).collect();
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("{:x}", id * 7919))));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("name {id:06} of it"))));
    let bytes = file(vec![("id", ints(&ids)), ("text", texts), ("name", names)], 1000);
    let lake =
        Lake::default().table("many", "id int, text string, name string", (classes::PARQUET, &[]), &[("x", &bytes)]);
    let one = query(&lake, "SELECT text FROM many WHERE id = 77777").await.unwrap();
    assert_eq!(one.rows, format!("\"{:x}\"\n", 77_777 * 7919));
    let all = query(&lake, "SELECT count(text) FROM many WHERE id >= 0").await.unwrap();
    assert!(one.stats.scanned * 3 < all.stats.scanned, "{} of {}", one.stats.scanned, all.stats.scanned);
    // By how it begins, also where more of it is asked.
    let one = query(&lake, "SELECT name FROM many WHERE name LIKE 'name 0777%7%of it'").await.unwrap();
    let all = query(&lake, "SELECT name FROM many WHERE name LIKE '%0777%77%of it'").await.unwrap();
    assert_eq!((one.count, all.count), (19, 1));
    assert!(one.stats.scanned * 3 < all.stats.scanned, "{} of {}", one.stats.scanned, all.stats.scanned);
}

/// Conditions and columns with lambdas are handed down to the file, whose columns stand in another order.
#[tokio::test]
async fn lambdas_over_columns_of_a_file() {
    let lists: ArrayRef =
        Arc::new(arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([
            Some(vec![Some(1), Some(5)]),
            None,
            Some(vec![Some(7), None]),
        ]));
    let bytes = file(
        vec![("z", ints(&[9, 9, 9])), ("list", lists), ("x", ints(&[4, 4, 7])), ("name", texts(&["a", "b", "c"]))],
        1,
    );
    let lake = Lake::default()
        .table("t", "x int, name string, list array<int>, z int", (classes::PARQUET, &[]), &[("f", &bytes)])
        .view("v", "SELECT name, transform(list, x -> x + z) AS moved, try(10 / (x - 4)) AS tried FROM t");
    for (statement, rows) in [
        ("SELECT name FROM t WHERE any_match(list, e -> e = x + 1) ORDER BY name", "a"),
        ("SELECT name, reduce(list, x, (s, e) -> s + coalesce(e, 0), s -> s) FROM t ORDER BY name", "a,10 b, c,14"),
        ("SELECT count(*) FROM t WHERE reduce(list, 0, (s, e) -> s + coalesce(e, 0) * z, s -> s) > 54", "1"),
        ("SELECT * FROM v ORDER BY name", "a,[10, 14], b,, c,[16, null],3"),
        ("SELECT name FROM v WHERE any_match(moved, name -> name = 14)", "a"),
    ] {
        let given = query(&lake, statement).await;
        let given =
            given.map_or_else(|error| error.to_string(), |given| given.rows.replace('"', "").replace('\n', " "));
        assert_eq!(given.trim_end(), rows, "{statement}");
    }
}
