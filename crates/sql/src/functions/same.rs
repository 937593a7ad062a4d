//! Equality of arrays and rows: a NULL within leaves it open, unless other values differ.
//!
//! Trino documentation, "Array functions and operators"; "Data types", ROW.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, DynComparator, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::simple::{anything, strictly};
use crate::failure::Problem;

/// Whether two values are the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Same(Signature);

/// The function.
pub fn same() -> ScalarUDF {
    ScalarUDF::new_from_impl(Same(anything(Volatility::Immutable)))
}

/// Two columns of one type, ready to be compared.
enum Pair {
    /// Lists, with their items.
    Lists(ArrayRef, ArrayRef, Box<Pair>),
    /// Rows, with their fields.
    Rows(ArrayRef, ArrayRef, Vec<Pair>),
    /// What has nothing within.
    Plain(ArrayRef, ArrayRef, DynComparator),
}

/// False where one is, else open where one is.
fn all(mut parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let known = parts.try_fold(Some(true), |known, part| match part {
        Some(false) => Err(()),
        Some(true) => Ok(known),
        None => Ok(None),
    });
    known.unwrap_or(Some(false))
}

impl Pair {
    fn new(left: &ArrayRef, right: &ArrayRef) -> Result<Self> {
        let sides = (Arc::clone(left), Arc::clone(right));
        match left.data_type() {
            DataType::List(_) => {
                let items = Self::new(left.as_list::<i32>().values(), right.as_list::<i32>().values())?;
                Ok(Self::Lists(sides.0, sides.1, Box::new(items)))
            }
            DataType::Struct(_) => {
                let columns = left.as_struct().columns().iter().zip(right.as_struct().columns());
                let fields: Result<Vec<Self>> = columns.map(|(left, right)| Self::new(left, right)).collect();
                Ok(Self::Rows(sides.0, sides.1, fields?))
            }
            DataType::Map(..) => {
                let words = "NOT_SUPPORTED: maps are not compared: compare their keys and values".to_owned();
                Err(Problem::Statement(words).into())
            }
            _ => {
                let compared = make_comparator(left.as_ref(), right.as_ref(), SortOptions::default())?;
                Ok(Self::Plain(sides.0, sides.1, compared))
            }
        }
    }

    fn sides(&self) -> (&ArrayRef, &ArrayRef) {
        match self {
            Self::Lists(left, right, _) | Self::Rows(left, right, _) | Self::Plain(left, right, _) => (left, right),
        }
    }

    fn same(&self, left: usize, right: usize) -> Option<bool> {
        let sides = self.sides();
        if sides.0.is_null(left) || sides.1.is_null(right) || sides.0.data_type().is_null() {
            return None;
        }
        match self {
            Self::Plain(.., compared) => Some(compared(left, right).is_eq()),
            Self::Rows(.., fields) => all(fields.iter().map(|field| field.same(left, right))),
            Self::Lists(lefts, rights, items) => {
                let range = |list: &ArrayRef, row: usize| {
                    let offsets = list.as_list::<i32>().value_offsets();
                    let at = |row: usize| offsets.get(row).map_or(0, |at| usize::try_from(*at).unwrap_or(0));
                    at(row)..at(row + 1)
                };
                let (lefts, rights) = (range(lefts, left), range(rights, right));
                if lefts.len() != rights.len() {
                    return Some(false);
                }
                all(lefts.zip(rights).map(|(left, right)| items.same(left, right)))
            }
        }
    }
}

impl ScalarUDFImpl for Same {
    fn name(&self) -> &'static str {
        "$same"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("an equality of two values".to_owned()));
        };
        let (left, right) = (left.to_array(args.number_rows)?, right.to_array(args.number_rows)?);
        let kind = comparison_coercion(left.data_type(), right.data_type()).ok_or_else(|| {
            Problem::Statement("TYPE_MISMATCH: Cannot apply operator: values of such types are not compared".to_owned())
        })?;
        let pair = Pair::new(&strictly(&left, &kind)?, &strictly(&right, &kind)?)?;
        let same: BooleanArray = (0..left.len()).map(|row| pair.same(row, row)).collect();
        Ok(ColumnarValue::Array(Arc::new(same)))
    }
}
