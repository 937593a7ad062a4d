//! Functions that are told by their shapes, as Trino's documentation writes them: `split_part(varchar, varchar, bigint) -> varchar`.

mod bytes;
mod call;
mod kinds;
mod math;
mod regexes;
mod strings;
mod urls;
mod whole;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let parts = [bytes::all(), math::all(), regexes::all(), strings::all(), urls::all()];
    call::functions(parts.into_iter().flatten().collect())
}
