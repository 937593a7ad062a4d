//! JSON, and casts.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn paths() {
    are(&[
        (r#"json_extract('{"a": {"b": [1, {"c": "x"}]}}', '$.a.b[1]["c"]')"#, "\"x\""),
        (r#"json_extract_scalar('{"a": {"b": [1, {"c": "x"}]}}', '$.a.b[1].c')"#, "x"),
        (r#"json_extract_scalar('{"a": 1.5}', '$.a')"#, "1.5"),
        (r#"json_extract_scalar('{"a": [1]}', '$.a')"#, "NULL"),
        (r#"json_extract_scalar('{"a": null}', '$.a')"#, "NULL"),
        (r#"json_extract('{"a": null}', '$.a')"#, "null"),
        ("json_extract('no json', '$.a')", "NULL"),
        ("json_extract_scalar('[1, 2, 3]', '$[2]')", "3"),
        (r#"json_size('{"x": {"a": 1, "b": 2}}', '$.x')"#, "2"),
        (r#"json_size('{"x": {"a": 1, "b": 2}}', '$.x.a')"#, "0"),
        ("json_array_length('[1, 2, 3]')", "3"),
        ("json_array_length('{}')", "NULL"),
        ("json_array_contains('[1, 2, 3]', 2)", "true"),
        (r#"json_array_contains('["a"]', 'b')"#, "false"),
        (r#"json_array_get('["a", [3, 9], "c"]', 1)"#, "[3,9]"),
        (r#"json_array_get('["a", "c"]', -1)"#, "\"c\""),
        ("is_json_scalar('1')", "true"),
        ("is_json_scalar('[1, 2, 3]')", "false"),
        ("json_parse(' [1,  true] ')", "[1,true]"),
        (r#"json_format(JSON '{"b": 1}')"#, r#"{"b":1}"#),
        ("try(json_parse('x'))", "NULL"),
    ])
    .await;
    have_types(&[
        ("json_extract('{}', '$.a')", "json"),
        ("json_extract_scalar('{}', '$.a')", "varchar"),
        ("j FROM (SELECT json_parse('1') j) t WHERE j IS NOT NULL GROUP BY j", "json"),
        ("CAST(1 AS JSON)", "json"),
    ])
    .await;
    fail(&[
        ("json_parse('{')", "INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: '{'"),
        ("json_extract('{}', '$.a[')", "INVALID_FUNCTION_ARGUMENT: Invalid JSON path: '$.a['"),
        ("json_format('{}')", "FUNCTION_NOT_FOUND"),
        ("coalesce(JSON '1', 'x')", "TYPE_MISMATCH: All COALESCE operands must be the same type"),
        ("JSON '1' = '1'", "TYPE_MISMATCH: Cannot apply operator: json = varchar"),
        ("JSON '1' || 'x'", "TYPE_MISMATCH: Cannot apply operator: json || varchar"),
        ("length(JSON '1')", "FUNCTION_NOT_FOUND: Unexpected parameters (json) for function length"),
    ])
    .await;
}

#[tokio::test]
async fn casts_of_json() {
    are(&[
        ("CAST('abc' AS JSON)", "\"abc\""),
        ("CAST(9 AS JSON)", "9"),
        ("CAST(ARRAY[1, 23, 456] AS JSON)", "[1,23,456]"),
        ("CAST(JSON '\"abc\"' AS VARCHAR)", "abc"),
        ("CAST(JSON '9' AS BIGINT)", "9"),
        ("CAST(JSON '2.6' AS integer)", "3"),
        ("CAST(JSON 'true' AS boolean)", "true"),
        ("CAST(JSON '1.5' AS double)", "1.5"),
        ("CAST(JSON 'null' AS varchar)", "NULL"),
        ("CAST(JSON '[1,23,456]' AS ARRAY(INTEGER))", "[1, 23, 456]"),
        (r#"CAST(JSON '{"k1":1,"k2":null}' AS MAP(VARCHAR, INTEGER))"#, "{k1=1, k2=null}"),
        (r#"CAST(JSON '{"v1":123,"v2":"abc"}' AS ROW(v1 BIGINT, v2 VARCHAR))"#, "{v1=123, v2=abc}"),
        ("CAST(CAST(1 AS JSON) AS varchar)", "1"),
        ("CAST(ARRAY[JSON '{\"a\":1}'] AS JSON)", "[{\"a\":1}]"),
        ("CAST(ROW(JSON '{\"a\":1}') AS JSON)", "{\"field0\":{\"a\":1}}"),
        ("CAST(map(ARRAY['k'], ARRAY[JSON '[1]']) AS JSON)", "{\"k\":[1]}"),
        ("typeof(transform(ARRAY['1'], x -> json_parse(x)))", "array(json)"),
        ("typeof(ARRAY[JSON '1'][1])", "json"),
        ("typeof(coalesce(NULL, JSON '1'))", "json"),
        ("CAST(JSON '[[1]]' AS array(json))", "[[1]]"),
        ("TRY_CAST(JSON '\"x\"' AS bigint)", "NULL"),
    ])
    .await;
    fail(&[("CAST(JSON '[1]' AS bigint)", "INVALID_CAST_ARGUMENT: Cannot cast to bigint. [1]")]).await;
}

#[tokio::test]
async fn casts() {
    are(&[
        ("CAST('12' AS bigint)", "12"),
        ("CAST(2.5 AS integer)", "3"),
        ("CAST(-2.5e0 AS bigint)", "-3"),
        ("CAST(1.25 AS decimal(3, 1))", "1.3"),
        ("CAST('1.5' AS double)", "1.5"),
        ("CAST('Infinity' AS double)", "Infinity"),
        ("CAST(1.5e0 AS varchar)", "1.5E0"),
        ("CAST(123e0 AS varchar)", "1.23E2"),
        ("CAST(0e0 AS varchar)", "0E0"),
        ("CAST(1.50 AS varchar)", "1.50"),
        ("CAST(true AS varchar)", "true"),
        ("CAST('T' AS boolean)", "true"),
        ("CAST('abcdef' AS varchar(3))", "abc"),
        ("CAST(DATE '2019-01-02' AS varchar)", "2019-01-02"),
        ("CAST(TIMESTAMP '2019-01-02 03:04:05.5' AS varchar)", "2019-01-02 03:04:05.500"),
        ("CAST('2019-01-02' AS date)", "2019-01-02"),
        ("CAST('2019-01-02 03:04' AS timestamp)", "2019-01-02 03:04:00.000"),
        ("CAST('1500-01-02 03:04:05.678' AS timestamp)", "1500-01-02 03:04:05.678"),
        ("CAST(TIMESTAMP '2019-01-02 03:04:05' AS date)", "2019-01-02"),
        ("CAST(from_unixtime(0) AT TIME ZONE 'Asia/Tokyo' AS timestamp)", "1970-01-01 09:00:00.000"),
        ("CAST('2019-01-01 00:00:00 UTC' AS timestamp(3) with time zone)", "2019-01-01 00:00:00.000 UTC"),
        ("CAST(NULL AS integer)", "NULL"),
        ("TRY_CAST('x' AS bigint)", "NULL"),
        ("TRY_CAST(300 AS tinyint)", "NULL"),
        ("CAST(ARRAY['1', '2'] AS array(bigint))", "[1, 2]"),
    ])
    .await;
    fail(&[
        ("CAST('x' AS bigint)", "INVALID_CAST_ARGUMENT: Cannot cast 'x' to BIGINT"),
        ("CAST('' AS integer)", "INVALID_CAST_ARGUMENT: Cannot cast '' to INT"),
        ("CAST('x' AS date)", "INVALID_CAST_ARGUMENT: Value cannot be cast to date: x"),
        ("CAST(300 AS tinyint)", "INVALID_CAST_ARGUMENT: Out of range for tinyint: 300"),
        ("CAST(DATE '2019-01-01' AS bigint)", "TYPE_MISMATCH: Cannot cast date to bigint"),
        ("CAST(1 AS text)", "TYPE_NOT_FOUND: Unknown type: text"),
        ("\"$cast\"(1, 'bigint')", "FUNCTION_NOT_FOUND"),
    ])
    .await;
    have_types(&[("CAST(1 AS decimal(10, 2))", "decimal"), ("CAST(NULL AS timestamp)", "timestamp")]).await;
}

#[tokio::test]
async fn sql_json() {
    are(&[
        (r#"json_exists('{"a": [1, {"b": null}]}', 'lax $.a[1].b')"#, "true"),
        (r#"json_exists('{"a": 1}', 'lax $.b')"#, "false"),
        (r#"json_exists('{"a": 1}', 'strict $.b')"#, "false"),
        ("json_exists('no json', 'lax $')", "false"),
        (r#"json_query('{"a": {"b": [1, 2]}}', 'lax $.a.b')"#, "[1,2]"),
        (r#"json_query('{"a": "x"}', 'lax $.a')"#, "\"x\""),
        (r#"json_query('{"a": [1, 2]}', 'lax $.a[*]')"#, "NULL"),
        (r#"json_value('[{"a": 1}, {"b": true}]', 'lax $.b')"#, "true"),
        (r#"json_value('[{"a": 1}, {"b": true}]', 'strict $.b')"#, "NULL"),
        (r#"json_value('{"a": "x y"}', 'lax $.a')"#, "x y"),
        (r#"json_value('{"a": 7}', 'lax $.a[0]')"#, "7"),
        (r#"json_value('{"a": [7]}', 'lax $.a')"#, "NULL"),
        (r#"json_value('{"a": null}', 'lax $.a')"#, "NULL"),
        ("json_value(NULL, 'lax $')", "NULL"),
    ])
    .await;
    fail(&[
        ("json_value('{}', '$.a')", "INVALID_FUNCTION_ARGUMENT: cannot compile path: '$.a'"),
        ("json_value('{}', 'lax $.a ? (@ > 1)')", "INVALID_FUNCTION_ARGUMENT: Invalid JSON path"),
        ("json_value('{}', 'lax $.a' RETURNING bigint)", "SYNTAX_ERROR"),
        ("json_value(1, 'lax $')", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (integer, varchar)"),
        ("json_object('a': 1)", "SYNTAX_ERROR"),
    ])
    .await;
    have_types(&[("json_query('[]', 'lax $')", "varchar"), ("json_exists('[]', 'lax $')", "boolean")]).await;
}
