//! Aggregates that the engine has not, or has with another meaning.
//!
//! Trino documentation, "Aggregate functions".

mod checksum;
mod moments;
mod reals;
mod total;
mod totals;

use datafusion::logical_expr::AggregateUDF;

/// The functions.
pub fn all() -> Vec<AggregateUDF> {
    let own = moments::all().into_iter().chain([checksum::checksum()]);
    total::all().into_iter().chain(own).collect()
}
