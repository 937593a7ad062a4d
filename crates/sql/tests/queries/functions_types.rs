//! Types of results, sums that do not wrap, and values that Trino does not put together.

use crate::functions::{are, fail};
use crate::world::{Lake, query};

#[tokio::test]
async fn whole_numbers() {
    are(&[
        ("typeof(1 + 2)", "integer"),
        ("typeof(1 + 3000000000)", "bigint"),
        ("typeof(-2147483648)", "integer"),
        ("typeof(-2147483649)", "bigint"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("typeof(1 / 2)", "integer"),
        ("1 / 2", "0"),
        ("typeof(1.5 + 1)", "decimal(12,1)"),
        ("typeof(BIGINT '1' + 1)", "bigint"),
        ("typeof(CAST(1 AS tinyint))", "tinyint"),
        ("typeof(sum(x)) FROM (VALUES 1) t(x)", "bigint"),
        ("typeof(max(x)) FROM (VALUES 1) t(x)", "integer"),
        ("typeof(avg(x)) FROM (VALUES 1) t(x)", "double"),
        ("typeof(count(x)) FROM (VALUES 1) t(x)", "bigint"),
        ("typeof(approx_percentile(x, 0.5)) FROM (VALUES 1) t(x)", "integer"),
        ("typeof(abs(-1))", "integer"),
        ("typeof(bitwise_and_agg(x)) FROM (VALUES 1) t(x)", "bigint"),
        ("typeof(x) FROM (VALUES 1, 3000000000, NULL) t(x) LIMIT 1", "bigint"),
        ("typeof(length('a'))", "bigint"),
        ("typeof(coalesce(BIGINT '1', 2))", "bigint"),
        ("typeof(IF(true, 1, 3000000000))", "bigint"),
        ("typeof(sequence(1, 2))", "array(bigint)"),
        ("-(1 + 2)", "-3"),
        ("-x FROM (VALUES 1.5) t(x)", "-1.5"),
        ("-x FROM (VALUES 0e0) t(x)", "-0.0"),
        ("from_unixtime(0, 1, 30)", "1970-01-01 01:30:00.000 +01:30"),
        ("from_unixtime(0, -1, 0)", "1969-12-31 23:00:00.000 -01:00"),
        ("date_add('day', -1, DATE '2019-01-01')", "2018-12-31"),
        ("lag(x, 1, 7) OVER (ORDER BY x) FROM (VALUES 1, 2) t(x) ORDER BY 1 LIMIT 1", "1"),
        ("nth_value(x, 2) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM (VALUES 1, 2) t(x) LIMIT 1", "2"),
        ("ntile(2) OVER (ORDER BY x) FROM (VALUES 5) t(x)", "1"),
    ])
    .await;
    fail(&[
        ("2147483647 + 1", "NUMERIC_VALUE_OUT_OF_RANGE: integer addition overflow: 2147483647 + 1"),
        ("-2147483648 - 1", "integer subtraction overflow: -2147483648 - 1"),
        ("65536 * 65536", "integer multiplication overflow: 65536 * 65536"),
        ("-x FROM (VALUES -2147483648) t(x)", "NUMERIC_VALUE_OUT_OF_RANGE: integer negation overflow"),
        ("-x FROM (VALUES 'a') t(x)", "TYPE_MISMATCH: Cannot negate varchar"),
        ("9223372036854775808", "Invalid numeric literal"),
    ])
    .await;
}

#[tokio::test]
async fn places_and_counts() {
    for (statement, rows) in [
        ("SELECT x FROM (VALUES 1, 3, 2) t(x) ORDER BY 1 DESC", "3 2 1"),
        ("SELECT x % 2, count(*) FROM (VALUES 1, 3, 2) t(x) GROUP BY 1 ORDER BY 2 DESC, 1", "1,2 0,1"),
        (
            "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES 1, 2, 3) t(x) ORDER BY 1",
            "1 3 5",
        ),
        (
            "SELECT sum(x) OVER w FROM (VALUES 1, 2, 3) t(x) WINDOW w AS (ORDER BY x ROWS 1 PRECEDING) ORDER BY 1",
            "1 3 5",
        ),
        ("SELECT 1 UNION ALL SELECT 2 ORDER BY 1 DESC LIMIT 1", "2"),
        ("SELECT x FROM (VALUES 1, 2, 3) t(x) ORDER BY 1 OFFSET 1 LIMIT 1", "2"),
        ("SELECT x FROM (VALUES 1, 2) t(x) WHERE x IN (SELECT 2) ORDER BY 1", "2"),
    ] {
        let given = query(&Lake::default(), statement).await;
        let given =
            given.map_or_else(|error| error.to_string(), |given| given.rows.replace('"', "").replace('\n', " "));
        assert_eq!(given.trim_end(), rows, "{statement}");
    }
}

#[tokio::test]
async fn totals() {
    are(&[
        ("sum(x) FROM (VALUES 2147483647, 2147483647) t(x)", "4294967294"),
        ("sum(x) FROM (VALUES 9223372036854775807, 1, -1) t(x)", "9223372036854775807"),
        ("sum(x) FROM (VALUES 1, NULL) t(x)", "1"),
        ("sum(x) FROM (VALUES 1) t(x) WHERE x > 1", "NULL"),
        ("sum(DISTINCT x) FROM (VALUES 2, 2, 3) t(x)", "5"),
        ("sum(DISTINCT x) + count(DISTINCT y) FROM (VALUES (2, 1), (2, 2), (3, 2)) t(x, y)", "7"),
        ("sum(x) FILTER (WHERE x > 1) FROM (VALUES 1, 2, 3) t(x)", "5"),
        ("sum(x) FROM (VALUES 1.5, 2.25) t(x)", "3.75"),
        ("typeof(sum(x)) FROM (VALUES 1.5) t(x)", "decimal(38,1)"),
        ("typeof(avg(x)) FROM (VALUES 1.50) t(x)", "decimal(3,2)"),
        ("avg(x) FROM (VALUES 1.00, 2.01) t(x)", "1.51"),
        ("avg(x) FROM (VALUES -1.00, -2.01) t(x)", "-1.51"),
        ("avg(x) FROM (VALUES 1e0, 2e0) t(x)", "1.5"),
        ("typeof(sum(x)) FROM (VALUES CAST(1 AS real)) t(x)", "real"),
        ("typeof(avg(x)) FROM (VALUES CAST(1 AS real)) t(x)", "real"),
        ("avg(x) FROM (VALUES CAST(1 AS real), CAST(2.5 AS real), NULL) t(x)", "1.75"),
        ("sum(DISTINCT x) FROM (VALUES CAST(1 AS real), CAST(1 AS real), CAST(2.5 AS real)) t(x)", "3.5"),
        ("max(s) FROM (SELECT sum(x) AS s FROM (VALUES (CAST(1 AS real), 1), (CAST(2.5 AS real), 1), (CAST(7 AS real), 2)) t(x, y) GROUP BY y)", "7.0"),
        ("sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES CAST(1 AS real), CAST(2.5 AS real)) t(x) ORDER BY 1 DESC LIMIT 1", "3.5"),
        ("avg(x) FROM (VALUES CAST(NULL AS decimal(5, 2))) t(x)", "NULL"),
        ("array_agg(s ORDER BY s) FROM (SELECT y, sum(x) AS s FROM (VALUES (1, 'a'), (2, 'a'), (5, 'b'), (NULL, 'c')) t(x, y) GROUP BY y)", "[3, 5, null]"),
        ("array_agg(s ORDER BY s) FROM (SELECT y, avg(x) AS s FROM (VALUES (1.0, 'a'), (2.1, 'a'), (5.5, 'b')) t(x, y) GROUP BY y)", "[1.6, 5.5]"),
    ])
    .await;
    fail(&[
        ("sum(x) FROM (VALUES 9223372036854775807, 1) t(x)", "NUMERIC_VALUE_OUT_OF_RANGE: bigint addition overflow"),
        (
            "max(s) FROM (SELECT sum(x) AS s FROM (VALUES (9223372036854775807, 1), (1, 1)) t(x, y) GROUP BY y)",
            "bigint addition overflow",
        ),
        ("sum(x) FROM (VALUES DECIMAL '99999999999999999999999999999999999999', DECIMAL '1') t(x)", "Decimal overflow"),
        ("sum(x) FROM (VALUES 'a') t(x)", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function sum"),
        ("avg(x) FROM (VALUES true) t(x)", "FUNCTION_NOT_FOUND: Unexpected parameters (boolean) for function avg"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_alike() {
    fail(&[
        ("1 WHERE 'a' BETWEEN 1 AND 2", "TYPE_MISMATCH: Cannot check if varchar is BETWEEN integer and integer"),
        ("1 WHERE 1 IN (1, 'a')", "TYPE_MISMATCH: IN value and list items must be the same type"),
        (
            "1 WHERE 1 IN (SELECT 'a')",
            "TYPE_MISMATCH: Value expression and result of subquery must be of the same type",
        ),
        ("CASE WHEN true THEN 1 ELSE 'a' END", "TYPE_MISMATCH: All CASE results must be the same type"),
        ("CASE 1 WHEN 'a' THEN 1 END", "TYPE_MISMATCH: CASE operand type does not match"),
        ("IF(true, 1, 'a')", "TYPE_MISMATCH"),
        ("coalesce(1, 'a')", "TYPE_MISMATCH: All COALESCE operands must be the same type"),
        ("nullif(1, 'a')", "TYPE_MISMATCH: Cannot apply operator: integer = varchar"),
        ("greatest(1, 'a')", "TYPE_MISMATCH"),
        ("ARRAY[1, 'a']", "TYPE_MISMATCH: All ARRAY elements must be the same type"),
        ("1 UNION SELECT 'a'", "TYPE_MISMATCH: column 1 in UNION query has incompatible types: integer, varchar"),
        (
            "x FROM (VALUES 1) t(x) WHERE x BETWEEN '1' AND '2'",
            "TYPE_MISMATCH: Cannot check if integer is BETWEEN varchar and varchar",
        ),
    ])
    .await;
    are(&[
        ("coalesce(NULL, 1, 2.5)", "1.0"),
        ("CASE WHEN false THEN NULL ELSE 'a' END", "a"),
        ("1 WHERE 1 IN (1e0, 2.5)", "1"),
        ("1 WHERE DATE '2019-01-01' BETWEEN DATE '2018-01-01' AND TIMESTAMP '2019-01-01 00:00:00'", "1"),
    ])
    .await;
}
