//! Texts.
use datafusion::logical_expr::ScalarUDF;

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    vec![]
}
