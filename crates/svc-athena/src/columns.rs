//! Columns of results: as the API shows them, and as `.metadata` files have them.
//!
//! Athena does not document those files. What clients read of them (burtcorp/athena-jdbc, for one) is a protobuf message: field 1 is the query's id,
//! field 4, repeated, a column, whose fields 1 and 4 to 10 are the members of the API's `ColumnInfo` in their order.

use millpond_api_athena as api;
use millpond_query::Column;
use prost::Message;

use crate::tables::ColumnRow;

/// The catalog that columns say they are of.
const CATALOG: &str = "hive";
/// `UNKNOWN`, in metadata files.
const NULLABLE_UNKNOWN: u32 = 3;

/// A metadata file.
#[derive(Clone, PartialEq, Message)]
struct MetadataFile {
    #[prost(string, tag = "1")]
    query: String,
    #[prost(message, repeated, tag = "4")]
    columns: Vec<MetadataColumn>,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataColumn {
    #[prost(string, tag = "1")]
    catalog: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    label: String,
    #[prost(string, tag = "6")]
    kind: String,
    #[prost(uint32, optional, tag = "7")]
    precision: Option<u32>,
    #[prost(uint32, optional, tag = "8")]
    scale: Option<u32>,
    #[prost(uint32, tag = "9")]
    nullable: u32,
    #[prost(bool, optional, tag = "10")]
    case_sensitive: Option<bool>,
}

/// As they are kept.
pub(crate) fn row(column: Column) -> ColumnRow {
    let Column { name, kind, precision, scale } = column;
    ColumnRow { precision: if precision == 0 { usual(&kind) } else { precision }, name, kind, scale }
}

/// The precision that Athena gives a type which has none of its own.
fn usual(kind: &str) -> u32 {
    match kind {
        "tinyint" => 3,
        "smallint" => 5,
        "integer" => 10,
        "bigint" => 19,
        "float" | "real" | "double" => 17,
        "timestamp" | "timestamp with time zone" => 3,
        "varchar" => i32::MAX as u32,
        "varbinary" => 1_073_741_824,
        _ => 0,
    }
}

fn is_case_sensitive(kind: &str) -> bool {
    kind.starts_with("varchar") || kind.starts_with("char")
}

/// As the API shows one.
pub(crate) fn shown(column: &ColumnRow) -> api::ColumnInfo {
    api::ColumnInfo {
        catalog_name: Some(CATALOG.to_owned()),
        schema_name: Some(String::new()),
        table_name: Some(String::new()),
        name: column.name.clone(),
        label: Some(column.name.clone()),
        type_: column.kind.clone(),
        precision: i32::try_from(column.precision).ok(),
        scale: i32::try_from(column.scale).ok(),
        nullable: Some(api::ColumnNullable::Unknown),
        case_sensitive: Some(is_case_sensitive(&column.kind)),
    }
}

/// The metadata file of a query.
pub(crate) fn metadata(query: &str, columns: &[ColumnRow]) -> Vec<u8> {
    let column = |column: &ColumnRow| {
        // What the catalog says in words has neither.
        let typed = (column.kind != "string").then_some(());
        MetadataColumn {
            catalog: CATALOG.to_owned(),
            name: column.name.clone(),
            label: column.name.clone(),
            kind: column.kind.clone(),
            precision: typed.map(|()| column.precision),
            scale: typed.map(|()| column.scale),
            nullable: NULLABLE_UNKNOWN,
            case_sensitive: typed.map(|()| is_case_sensitive(&column.kind)),
        }
    };
    MetadataFile { query: query.to_owned(), columns: columns.iter().map(column).collect() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_result() {
        let column = |name: &str, kind: &str, precision, scale| Column {
            name: name.into(),
            kind: kind.into(),
            precision,
            scale,
        };
        for (given, precision, scale, case) in [
            (column("a", "varchar", 0, 0), 2_147_483_647, 0, true),
            (column("a", "varchar", 5, 0), 5, 0, true),
            (column("a", "bigint", 0, 0), 19, 0, false),
            (column("a", "decimal", 10, 2), 10, 2, false),
            (column("a", "array", 0, 0), 0, 0, false),
        ] {
            let info = shown(&row(given.clone()));
            assert_eq!(
                (info.precision, info.scale, info.case_sensitive),
                (Some(precision), Some(scale), Some(case)),
                "{given:?}"
            );
        }
        let file = metadata("id", &[row(column("a", "bigint", 0, 0))]);
        let read = MetadataFile::decode(file.as_slice()).unwrap();
        assert_eq!((read.query.as_str(), read.columns.len()), ("id", 1));
        // Field 4 is a message.
        assert_eq!(file[4], 0x22);
    }
}
