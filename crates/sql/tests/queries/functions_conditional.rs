//! Conditions, and names.

use crate::functions::{are, fail};

#[tokio::test]
async fn conditions() {
    are(&[
        ("if(1 < 2, 'a')", "a"),
        ("IF(1 > 2, 'a')", "NULL"),
        ("if(NULL, 1, 2)", "2"),
        ("coalesce(NULL, 2, 3)", "2"),
        ("nullif(1, 1)", "NULL"),
        ("nullif(1, 2)", "1"),
        ("greatest(1, 3, 2)", "3"),
        ("greatest(1, NULL, 2)", "NULL"),
        ("least('b', 'a')", "a"),
        ("least(1, NULL)", "NULL"),
        ("concat('a', 'b', 'c')", "abc"),
        ("concat('a', NULL, 'c')", "NULL"),
        ("try(1 / 0)", "NULL"),
        ("coalesce(try(1 / 0), 7)", "7"),
        ("try(CAST('x' AS bigint))", "NULL"),
        ("try(CAST('12' AS bigint) + 1)", "13"),
        ("try(coalesce(1 / 0, 5))", "NULL"),
        ("try(date_parse('x', '%Y'))", "NULL"),
        ("sum(try(10 / x)) FROM (VALUES (0), (1), (2), (0), (5)) t(x)", "17"),
        ("try(sum(x) / count(x)) FROM (VALUES (4), (2)) t(x)", "3"),
    ])
    .await;
}

#[tokio::test]
async fn names() {
    fail(&[
        ("nonesuch(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'nonesuch' not registered"),
        ("to_char(now(), 'x')", "FUNCTION_NOT_FOUND: line 1:8: Function 'to_char' not registered"),
        ("tdigest_agg(1)", "NOT_SUPPORTED: line 1:8: Function 'tdigest_agg' is not carried out"),
        ("ST_Point(1, 2)", "NOT_SUPPORTED"),
        ("year('2019')", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function year. Expected: year(date)"),
        ("1 / 0", "zero"),
    ])
    .await;
}
