//! How much a table holds, guessed from the bytes of its objects: enough to join the small to the large.

use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use millpond_hive::format::{Format, Layout};
use millpond_hive::types::Type;

use arrow::datatypes::SchemaRef;

/// How much larger columns are in memory than in files that are compressed.
const COMPRESSED: u64 = 4;
/// Bytes that a text is thought to have, and each part of something nested.
const TEXT: u64 = 16;

/// Bytes that a value takes.
fn width(kind: &Type) -> u64 {
    match kind {
        Type::Boolean | Type::TinyInt => 1,
        Type::SmallInt => 2,
        Type::Int | Type::Float | Type::Date => 4,
        Type::BigInt | Type::Double | Type::Timestamp => 8,
        Type::Decimal { .. } | Type::Char(_) | Type::Varchar(_) | Type::String | Type::Binary => TEXT,
        Type::Array(_) | Type::Map(..) => 4 * TEXT,
        Type::Struct(fields) => fields.iter().map(|field| width(&field.kind)).sum(),
    }
}

/// The rows and bytes of a reading of `bytes` in objects, none of it exact. `schema` is what is read with the partition keys.
pub fn statistics(layout: &Layout, columns: &[(String, Type)], bytes: u64, schema: &SchemaRef) -> Statistics {
    let held = match layout.format {
        Format::Parquet | Format::Orc => bytes.saturating_mul(COMPRESSED),
        _ => bytes,
    };
    let row = columns.iter().map(|(_, kind)| width(kind)).sum::<u64>().max(1);
    let about = |count: u64| Precision::Inexact(usize::try_from(count).unwrap_or(usize::MAX));
    let unknown = Statistics::new_unknown(schema);
    Statistics { num_rows: about(held / row), total_byte_size: about(held), ..unknown }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn more_bytes_are_more_rows() {
        let columns = [("a".to_owned(), Type::BigInt), ("b".to_owned(), Type::parse("struct<x:int,y:date>").unwrap())];
        let schema = Arc::new(Schema::empty());
        let layout = Layout { format: Format::Parquet, symlink: false, skip_header_lines: 0, skip_footer_lines: 0 };
        let about = statistics(&layout, &columns, 4_000, &schema);
        assert_eq!((about.num_rows, about.total_byte_size), (Precision::Inexact(1_000), Precision::Inexact(16_000)));
    }
}
