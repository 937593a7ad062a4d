//! Columns of files as those of their table: found by name, whatever its case, and of a type that can be the table's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::PhysicalExpr;
use millpond_hive::format::By;

/// Finds columns of files whatever the case of their names, as the catalog's are lower case; or by their places.
#[derive(Debug)]
pub struct AnyCase(pub By);

impl PhysicalExprAdapterFactory for AnyCase {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let fields = match self.0 {
            By::Name => by_name(&logical, &physical),
            By::Place => by_place(&logical, &physical),
        };
        let renamed = Arc::new(Schema::new_with_metadata(fields, physical.metadata().clone()));
        let inner = DefaultPhysicalExprAdapterFactory.create(Arc::clone(&logical), Arc::clone(&renamed))?;
        Ok(Arc::new(Checked { inner, logical, physical: renamed, file: physical }))
    }
}

/// The columns of a file under the table's names.
fn by_name(logical: &Schema, physical: &Schema) -> Vec<FieldRef> {
    let known: BTreeMap<String, &FieldRef> = logical.fields().iter().map(|f| (f.name().to_lowercase(), f)).collect();
    let exact = |name: &str| physical.index_of(name).is_ok();
    let renamed = |field: &FieldRef| match known.get(&field.name().to_lowercase()) {
        Some(wanted) if wanted.name() != field.name() && !exact(wanted.name()) => {
            Arc::new(Field::clone(field).with_name(wanted.name()))
        }
        _ => Arc::clone(field),
    };
    physical.fields().iter().map(renamed).collect()
}

/// The same by places. What the file has beyond the table is found by nobody: the table's names are taken.
fn by_place(logical: &Schema, physical: &Schema) -> Vec<FieldRef> {
    let renamed = |(at, field): (usize, &FieldRef)| match logical.fields().get(at) {
        Some(wanted) => Arc::new(Field::clone(field).with_name(wanted.name())),
        None => Arc::clone(field),
    };
    physical.fields().iter().enumerate().map(renamed).collect()
}

/// Refuses columns that a query reads and whose types do not go together; others may be as they are.
#[derive(Debug)]
struct Checked {
    inner: Arc<dyn PhysicalExprAdapter>,
    logical: SchemaRef,
    /// The file's, under the table's names.
    physical: SchemaRef,
    /// The file's, under its own.
    file: SchemaRef,
}

impl PhysicalExprAdapter for Checked {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        for column in collect_columns(&expr) {
            let name = column.name();
            let (Ok(wanted), Ok(found)) = (self.logical.field_with_name(name), self.physical.field_with_name(name))
            else {
                continue;
            };
            if !fits(found.data_type(), wanted.data_type()) {
                let (wanted, found) = (wanted.data_type(), found.data_type());
                let words = format!("Unsupported column type ({wanted}) for the file's column {name} ({found})");
                return Err(DataFusionError::Execution(words));
            }
        }
        // What reads the file looks for columns by its own names.
        let own = |expr: Arc<dyn PhysicalExpr>| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            Ok(match self.file.fields().get(column.index()) {
                Some(field) if field.name() != column.name() => {
                    Transformed::yes(Arc::new(Column::new(field.name(), column.index())))
                }
                _ => Transformed::no(expr),
            })
        };
        Ok(self.inner.rewrite(expr)?.transform(own)?.data)
    }
}

/// Kinds of types within which values are read as each other: a value that has no room is an error of its own.
fn kind(of: &DataType) -> u8 {
    match of {
        DataType::Dictionary(_, values) => kind(values),
        DataType::Null => 0,
        DataType::Boolean => 1,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 2,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => 2,
        DataType::Date32 | DataType::Date64 => 3,
        DataType::Timestamp(..) => 4,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => 5,
        DataType::Map(..) => 6,
        DataType::Struct(_) => 7,
        number if number.is_numeric() => 8,
        _ => 9,
    }
}

fn fits(found: &DataType, wanted: &DataType) -> bool {
    found == wanted || kind(found) == 0 || kind(found) == kind(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_within_a_kind_fit() {
        assert!(fits(&DataType::Int32, &DataType::Int64) && fits(&DataType::Int64, &DataType::Decimal128(10, 2)));
        assert!(fits(&DataType::Utf8, &DataType::BinaryView) && fits(&DataType::Null, &DataType::Date32));
        assert!(!fits(&DataType::Utf8, &DataType::Int64) && !fits(&DataType::Int64, &DataType::Utf8View));
        assert!(!fits(&DataType::Int32, &DataType::Date32) && !fits(&DataType::Boolean, &DataType::Int32));
    }
}
