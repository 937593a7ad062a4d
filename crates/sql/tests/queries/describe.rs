//! Schemas of objects, as workers tell them to crawlers.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use bytes::Bytes;
use datafusion::parquet::arrow::ArrowWriter;
use millpond_query::{Describe, FileFormat, QueryError};

use crate::world::{Lake, pool};

fn parquet() -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let place: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("Lat", DataType::Int32, true)),
        Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef,
    )]));
    let tags = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None]);
    let columns: [(&str, ArrayRef); 8] = [
        ("Id", ids),
        ("name", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("ok", Arc::new(BooleanArray::from(vec![true, false]))),
        ("day", Arc::new(Date32Array::from(vec![1, 2]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1, 2]))),
        ("price", Arc::new(Decimal128Array::from(vec![1, 2]).with_precision_and_scale(9, 2).unwrap())),
        ("place", place),
        ("tags", Arc::new(tags)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn lake(bytes: &[u8]) -> Lake {
    let mut lake = Lake::default();
    lake.objects.insert(("lake".to_owned(), "x".to_owned()), Bytes::copy_from_slice(bytes));
    lake
}

fn asked(format: FileFormat, size: usize) -> Describe {
    Describe { format: format.into(), bucket: "lake".into(), key: "x".into(), etag: String::new(), size: size as u64 }
}

#[tokio::test]
async fn schemas_in_hives_types() {
    let (bytes, pool) = (parquet(), pool(64 << 20));
    let described = pool.describe(asked(FileFormat::Parquet, bytes.len()), &lake(&bytes)).await.unwrap();
    let columns: Vec<String> =
        described.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    assert_eq!(
        columns,
        [
            "id bigint",
            "name string",
            "ok boolean",
            "day date",
            "at timestamp",
            "price decimal(9,2)",
            "place struct<lat:int>",
            "tags array<int>"
        ]
    );
    assert_eq!(described.rows, 2);
}

/// Broken ones are errors that name the object, and the worker goes on.
#[tokio::test]
async fn broken_objects() {
    let (bytes, pool) = (parquet(), pool(64 << 20));
    for cut in (4..bytes.len()).step_by(41) {
        let part = &bytes[..cut];
        let error = pool.describe(asked(FileFormat::Parquet, cut), &lake(part)).await.unwrap_err();
        assert!(matches!(&error, QueryError::Failed(_)) && error.to_string().contains("s3://lake/x"), "{cut}: {error}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        if let Err(error) = pool.describe(asked(FileFormat::Parquet, bytes.len()), &lake(&flipped)).await {
            assert!(matches!(error, QueryError::Failed(_)), "{at}: {error}");
        }
    }
    let error = pool.describe(asked(FileFormat::Orc, 3), &lake(b"ORC")).await.unwrap_err();
    assert!(error.to_string().contains("ORC"), "{error}");
    assert!(pool.describe(asked(FileFormat::Parquet, bytes.len()), &lake(&bytes)).await.is_ok());
}
