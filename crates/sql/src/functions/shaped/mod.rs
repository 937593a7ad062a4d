//! Functions that are told by their shapes, as Trino's documentation writes them: `split_part(varchar, varchar, bigint) -> varchar`.

mod bytes;
mod call;
mod hashes;
pub mod kinds;
pub mod math;
mod regexes;
mod statistics;
mod strings;
mod units;
mod urls;
mod whole;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// Second names.
const ALIASES: &[(&str, &str)] = &[("ceil", "ceiling"), ("power", "pow"), ("random", "rand")];

/// The functions.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let numbers = [bytes::all(), math::all(), statistics::all(), units::all()];
    let parts = numbers.into_iter().chain([regexes::all(), strings::all(), urls::all()]);
    let all = call::functions(parts.flatten().collect());
    let named = |function: Arc<ScalarUDF>| match ALIASES.iter().find(|(name, _)| *name == function.name()) {
        Some((_, alias)) => Arc::new(ScalarUDF::clone(&function).with_aliases([*alias])),
        None => function,
    };
    all.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_shape_is_one() {
        let all = super::all();
        assert!(all.len() > 80 && all.iter().all(|function| !function.name().is_empty()));
    }
}
