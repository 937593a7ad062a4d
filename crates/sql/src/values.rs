//! Values of partition keys, which the catalog keeps as text.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use millpond_hive::types::Type;

use crate::types::arrow_of;

/// What Hive names the folder of rows without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The value of a partition key; `None` for a text that is no value of its type.
pub fn scalar_of(text: &str, kind: &Type) -> Option<ScalarValue> {
    let arrow = arrow_of(kind);
    if text == NO_VALUE {
        return ScalarValue::try_from(&arrow).ok();
    }
    match &arrow {
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(text.to_owned()))),
        DataType::BinaryView | DataType::List(_) | DataType::Map(..) | DataType::Struct(_) => None,
        _ => ScalarValue::try_from_string(text.to_owned(), &arrow).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_as_values() {
        let of = |text: &str, kind: &str| scalar_of(text, &Type::parse(kind).unwrap());
        assert_eq!(of("7", "int"), Some(ScalarValue::Int32(Some(7))));
        assert_eq!(of("2019-01-02", "date"), Some(ScalarValue::Date32(Some(17_898))));
        assert_eq!(of("x", "string"), Some(ScalarValue::Utf8View(Some("x".into()))));
        assert_eq!(of("", "string"), Some(ScalarValue::Utf8View(Some(String::new()))));
        assert_eq!(of(NO_VALUE, "int"), Some(ScalarValue::Int32(None)));
        for (text, kind) in [("x", "int"), ("300", "tinyint"), ("x", "binary"), ("2019-13-01", "date")] {
            assert_eq!(of(text, kind), None, "{text} {kind}");
        }
    }
}
