//! Trino's functions that the engine has not, or has with another meaning.
//!
//! Trino documentation, "Functions and operators"; Athena User Guide, "Functions in Amazon Athena".

mod aggregates;
mod arithmetic;
mod arrays;
mod cast;
mod clocks;
mod conditional;
mod dates;
mod decimals;
mod elements;
mod families;
mod format;
mod intervals;
mod items;
mod json;
mod json_paths;
mod json_values;
mod kind;
mod lambdas;
mod like;
mod maps;
mod named;
mod operators;
mod parse;
mod patterns;
mod rows;
mod same;
mod sequences;
mod shaped;
mod simple;
mod spans;
mod spoken;
mod zones;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use datafusion::common::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF};

pub use cast::{CAST, TRY_CAST};
pub use families::{Family, are_alike, family};
pub use intervals::text as interval_text;
pub use json::is_json;
pub use kind::word;
pub use lambdas::{SORT, close};
pub use like::lower as like;
pub use parse::literal_zone;
pub use zones::{offset_text, shown_in};

use crate::failure::Problem;

static SCALARS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let nested = [arrays::all(), items::all(), maps::all(), sequences::all(), format::all()];
    let plain = [arithmetic::all(), cast::all(), clocks::all(), dates::all(), json::all(), like::all(), spoken::all()];
    let all = nested.into_iter().chain(plain);
    all.flatten().map(Arc::new).chain(shaped::all()).collect()
});
static HIGHER: LazyLock<Vec<Arc<HigherOrderUDF>>> =
    LazyLock::new(|| std::iter::once(conditional::attempt()).chain(lambdas::all()).map(Arc::new).collect());
static AGGREGATES: LazyLock<Vec<Arc<AggregateUDF>>> =
    LazyLock::new(|| aggregates::all().into_iter().map(Arc::new).collect());
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let named = |function: &Arc<ScalarUDF>| [&[function.name().to_owned()], function.aliases()].concat();
    let scalars = SCALARS.iter().flat_map(named);
    let higher = HIGHER.iter().map(|function| function.name().to_owned());
    let aggregates = AGGREGATES.iter().map(|function| function.name().to_owned());
    scalars.chain(higher).chain(aggregates).collect()
});

/// The most characters that a text is filled up to, or that a repeated one has.
const MAX_TEXT: usize = 1 << 20;

/// Whether a function is one of these.
pub fn is_own(name: &str) -> bool {
    NAMES.contains(name) || clocks::NOW.contains(&name)
}

/// One of these by its name.
fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    SCALARS.iter().find(|function| function.name() == name).cloned()
}

/// Adds these to the engine's, which they take the place of; `now` is the query's time in nanoseconds since 1970, `database` the
/// one of names that name none.
pub fn with(mut builder: SessionStateBuilder, now: u64, database: &str) -> SessionStateBuilder {
    // Not even under another name is one of the engine's to stand in the way: states are built from states in any order.
    let scalars = builder.scalar_functions().get_or_insert_default();
    scalars.retain(|function| !is_own(function.name()) && !function.aliases().iter().any(|alias| is_own(alias)));
    scalars.extend(SCALARS.iter().cloned());
    scalars.extend(clocks::at(now, database).into_iter().map(Arc::new));
    let higher = builder.higher_order_functions().get_or_insert_default();
    higher.retain(|function| !is_own(function.name()) && !function.aliases().iter().any(|alias| is_own(alias)));
    higher.extend(HIGHER.iter().cloned());
    let aggregates = builder.aggregate_functions().get_or_insert_default();
    aggregates.retain(|function| !is_own(function.name()) && !function.aliases().iter().any(|alias| is_own(alias)));
    aggregates.extend(AGGREGATES.iter().cloned());
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(operators::Operators));
    builder
}

/// What a function fails with that cannot do with its arguments.
fn argument(words: impl std::fmt::Display) -> DataFusionError {
    Problem::Data(format!("INVALID_FUNCTION_ARGUMENT: {words}")).into()
}

/// What a number fails with that is too large.
fn out_of_range(words: impl std::fmt::Display) -> DataFusionError {
    Problem::Data(format!("NUMERIC_VALUE_OUT_OF_RANGE: {words}")).into()
}

/// What a cast fails with.
fn cast_failure(text: &str, kind: &str) -> DataFusionError {
    Problem::Data(format!("INVALID_CAST_ARGUMENT: Cannot cast '{text}' to {kind}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_told_once() {
        let names: BTreeSet<&str> = SCALARS.iter().map(|function| function.name()).collect();
        assert_eq!(names.len(), SCALARS.len());
    }
}
