//! Operators: types of results, overflows, intervals, and what Trino does not put together.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn decimals() {
    are(&[
        ("typeof(DECIMAL '1.5' * DECIMAL '2.25')", "decimal(5,3)"),
        ("DECIMAL '1.5' * DECIMAL '2.25'", "3.375"),
        ("typeof(1.5 + 2.25)", "decimal(4,2)"),
        ("1.5 + 2.25", "3.75"),
        ("1.5 - 2.25", "-0.75"),
        ("typeof(1.5 % 1)", "decimal(2,1)"),
        ("5.0 % 3", "2.0"),
        ("-5.5 % 3", "-2.5"),
        ("2.00 / 3.0", "0.67"),
        ("x * 1.1 FROM (VALUES 1.0, NULL) t(x) WHERE x IS NULL", "NULL"),
        ("typeof(CAST(1 AS real) + 1.5)", "real"),
        ("typeof(1e0 * 1.5)", "double"),
    ])
    .await;
    fail(&[
        ("99999999999999999999.5 * 99999999999999999999.5", "NUMERIC_VALUE_OUT_OF_RANGE: Decimal overflow"),
        ("DECIMAL '99999999999999999999999999999999999999' + 1", "Decimal overflow"),
        ("5.5 % 0", "DIVISION_BY_ZERO"),
    ])
    .await;
}

#[tokio::test]
async fn intervals() {
    are(&[
        ("INTERVAL '2' DAY", "2 00:00:00.000"),
        ("INTERVAL '-2' HOUR", "-0 02:00:00.000"),
        ("INTERVAL '1-3' YEAR TO MONTH", "1-3"),
        ("2 * INTERVAL '2' DAY", "4 00:00:00.000"),
        ("INTERVAL '1' DAY * 1.5", "1 12:00:00.000"),
        ("INTERVAL '1' DAY / 2", "0 12:00:00.000"),
        ("INTERVAL '3' MONTH * 5", "1-3"),
        ("-INTERVAL '3' MONTH", "-0-3"),
        ("INTERVAL '1' DAY - INTERVAL '1' HOUR", "0 23:00:00.000"),
        ("TIMESTAMP '2019-01-02 00:00:00' - TIMESTAMP '2019-01-01 01:00:00'", "0 23:00:00.000"),
        ("DATE '2019-01-02' - DATE '2019-01-01'", "1 00:00:00.000"),
        ("to_milliseconds(TIMESTAMP '2019-01-02 00:00:00' - TIMESTAMP '2019-01-01 01:00:00')", "82800000"),
        ("DATE '2019-01-31' + INTERVAL '1' MONTH", "2019-02-28"),
        ("INTERVAL '1' DAY + DATE '2019-01-31'", "2019-02-01"),
        ("DATE '2019-03-31' - INTERVAL '1' MONTH", "2019-02-28"),
        ("DATE '2019-03-31' + INTERVAL '48' HOUR", "2019-04-02"),
        ("TIMESTAMP '2019-01-31 10:00:00' + INTERVAL '1' HOUR", "2019-01-31 11:00:00.000"),
        ("sum(INTERVAL '1' HOUR) FROM (VALUES 1, 2) t(x)", "0 02:00:00.000"),
    ])
    .await;
    fail(&[
        (
            "DATE '2019-01-31' + INTERVAL '1' HOUR",
            "INVALID_FUNCTION_ARGUMENT: Cannot add hour, minutes or seconds to a date",
        ),
        ("INTERVAL '1' DAY / 0", "DIVISION_BY_ZERO"),
        ("INTERVAL '2000000000' DAY * 2", "NUMERIC_VALUE_OUT_OF_RANGE: interval overflow"),
        ("1 + DATE '2019-01-01'", "TYPE_MISMATCH: Cannot apply operator: integer + date"),
        ("INTERVAL '1' DAY * INTERVAL '1' DAY", "TYPE_MISMATCH"),
    ])
    .await;
    have_types(&[("DATE '2019-01-02' - DATE '2019-01-01'", "interval day to second")]).await;
}

#[tokio::test]
async fn comparisons_and_the_like() {
    are(&[
        ("ARRAY[1] = ARRAY[1]", "true"),
        ("(1, 2) = (1, 2)", "true"),
        ("DATE '2019-01-01' = TIMESTAMP '2019-01-01 00:00:00'", "true"),
        ("1 = 1.0", "true"),
        ("NULL = 'a'", "NULL"),
        ("map(ARRAY[1, 2], ARRAY['a', 'b'])[BIGINT '2']", "b"),
        ("max(x, 2) FROM (VALUES 1, 2, 3) t(x)", "[3, 2]"),
        ("min(x, 2) FROM (VALUES 3, NULL, 1, 2) t(x)", "[1, 2]"),
        ("max_by(x, y, 2) FROM (VALUES ('a', 1), ('b', 3), ('c', 2)) t(x, y)", "[b, c]"),
        ("approx_distinct(x, 0.1) FROM (VALUES 1, 2, 2) t(x)", "2"),
        ("concat_ws(',', ARRAY['a', NULL, 'b'])", "a,b"),
        ("concat_ws(NULL, ARRAY['a'])", "NULL"),
        ("lpad(X'01', 3, X'00')", "00 00 01"),
        ("rpad(X'0102', 1, X'00')", "01"),
        ("reverse(X'0102')", "02 01"),
    ])
    .await;
    fail(&[
        ("true = 1", "TYPE_MISMATCH: Cannot apply operator: boolean = integer"),
        ("DATE '2019-01-01' > 5", "TYPE_MISMATCH: Cannot apply operator: date > integer"),
        ("ARRAY[1] = 1", "TYPE_MISMATCH: Cannot apply operator: array = integer"),
        ("X'00' = 'a'", "TYPE_MISMATCH: Cannot apply operator: varbinary = varchar"),
        ("true + 1", "TYPE_MISMATCH: Cannot apply operator: boolean + integer"),
        ("ARRAY[1] + 1", "TYPE_MISMATCH: Cannot apply operator: array + integer"),
        ("map(ARRAY[1], ARRAY['a'])[3000000000]", "Key not present in map: 3000000000"),
        ("approx_distinct(x, 0.001) FROM (VALUES 1) t(x)", "NOT_SUPPORTED: line 1:8"),
    ])
    .await;
}

#[tokio::test]
async fn calls_that_fit_nothing() {
    fail(&[
        ("1, length(7)", "FUNCTION_NOT_FOUND: line 1:11: Unexpected parameters (integer) for function length"),
        ("1 = 'a'", "TYPE_MISMATCH: line 1:10: Cannot apply operator: integer = varchar"),
        ("1, transform(1, x -> x)", "FUNCTION_NOT_FOUND: line 1:11: Unexpected parameters (integer, <function>)"),
        ("stddev('a')", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function stddev"),
        ("var_samp('a')", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar) for function var_samp"),
        ("approx_percentile('a', 0.5)", "for function approx_percentile"),
        ("bool_and(1)", "FUNCTION_NOT_FOUND: Unexpected parameters (integer) for function bool_and"),
        ("sum('a')", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function sum. Expected: sum(bigint)"),
        ("corr(1, DATE '2019-01-01')", "FUNCTION_NOT_FOUND: Unexpected parameters (integer, date) for function corr"),
        ("kurtosis(1, 2)", "FUNCTION_NOT_FOUND: Unexpected parameters (integer, integer) for function kurtosis"),
        ("checksum(ARRAY[1])", "NOT_SUPPORTED: checksum of array is not carried out"),
        ("max(map())", "FUNCTION_NOT_FOUND: Unexpected parameters (map) for function max"),
        (
            "approx_percentile(x, -1, 0.5) FROM (VALUES 1) t(x)",
            "INVALID_FUNCTION_ARGUMENT: percentile weight must be > 0",
        ),
        ("approx_percentile(x, y) FROM (VALUES (1, 0.5)) t(x, y)", "NOT_SUPPORTED: line 1:8: the percentages"),
        (
            "lead(x, -1) OVER (ORDER BY x) FROM (VALUES 1) t(x)",
            "INVALID_FUNCTION_ARGUMENT: line 1:8: Offset must be at least 0",
        ),
        (
            "nth_value(x, 0) OVER (ORDER BY x) FROM (VALUES 1) t(x)",
            "INVALID_FUNCTION_ARGUMENT: line 1:8: Offset must be at least 1",
        ),
        (
            "ntile(0) OVER (ORDER BY x) FROM (VALUES 1) t(x)",
            "INVALID_FUNCTION_ARGUMENT: line 1:8: Buckets must be greater than 0",
        ),
    ])
    .await;
}
