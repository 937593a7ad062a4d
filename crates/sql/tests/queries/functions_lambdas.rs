//! Functions that take functions.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn of_arrays() {
    are(&[
        ("transform(ARRAY[1, 2, NULL], x -> x * 10)", "[10, 20, null]"),
        ("transform(ARRAY[5, NULL], x -> coalesce(x, 0) + 1)", "[6, 1]"),
        ("transform(ARRAY[], x -> 1)", "[]"),
        ("transform(NULL, x -> 1)", "NULL"),
        ("transform(ARRAY['a'], x -> json_parse('[1]'))", "[[1]]"),
        ("transform(ARRAY[ARRAY[1, NULL, 2], ARRAY[3, NULL]], a -> filter(a, x -> x IS NOT NULL))", "[[1, 2], [3]]"),
        ("filter(ARRAY[5, -6, NULL, 7], x -> x > 0)", "[5, 7]"),
        ("filter(ARRAY[5, NULL, 7, NULL], x -> x IS NOT NULL)", "[5, 7]"),
        ("filter(ARRAY[1], x -> NULL)", "[]"),
        ("any_match(ARRAY[1, 2], x -> x = 2)", "true"),
        ("any_match(ARRAY[1, NULL], x -> x = 2)", "NULL"),
        ("any_match(ARRAY[], x -> true)", "false"),
        ("all_match(ARRAY[1, 2], x -> x > 0)", "true"),
        ("all_match(ARRAY[1, NULL], x -> x > 0)", "NULL"),
        ("all_match(ARRAY[-1, NULL], x -> x > 0)", "false"),
        ("all_match(ARRAY[], x -> false)", "true"),
        ("all_match(CAST(NULL AS array(bigint)), x -> false)", "NULL"),
        ("none_match(ARRAY[1, 2], x -> x > 0)", "false"),
        ("none_match(ARRAY[1, NULL], x -> x > 1)", "NULL"),
        ("none_match(ARRAY[], x -> true)", "true"),
        (
            "zip_with(ARRAY[1, 3, 5], ARRAY['a', 'b', 'c'], (x, y) -> (y, x))",
            "[{field0=a, field1=1}, {field0=b, field1=3}, {field0=c, field1=5}]",
        ),
        ("zip_with(ARRAY[1, 2], ARRAY[3, 4], (x, y) -> x + y)", "[4, 6]"),
        ("zip_with(ARRAY['a'], ARRAY['d', NULL, 'f'], (x, y) -> coalesce(x, y))", "[a, null, f]"),
        ("zip_with(ARRAY['a'], NULL, (x, y) -> x)", "NULL"),
        ("transform(ARRAY[CAST(ROW(1, 'x') AS ROW(a bigint, b varchar))], r -> r.b)", "[x]"),
    ])
    .await;
    fail(&[
        ("filter(ARRAY[1], x -> x)", "FUNCTION_NOT_FOUND: Unexpected parameters (array, <function>) for function filter. Expected: filter(array(T), function(T, boolean))"),
        ("transform(7, x -> x)", "FUNCTION_NOT_FOUND: Unexpected parameters (integer, <function>) for function transform"),
        ("transform(ARRAY[1], (x, y) -> x)", "FUNCTION_NOT_FOUND: line 1:8: argument 2 of 'transform' is a lambda of 1 parameters"),
        ("transform(ARRAY[1], 2)", "FUNCTION_NOT_FOUND: Unexpected parameters (array, integer) for function transform"),
        ("cardinality(x -> x)", "FUNCTION_NOT_FOUND: line 1:8: argument 1 of 'cardinality' is no lambda"),
        ("transform(ARRAY[1, 0], x -> 1 / x)", "DIVISION_BY_ZERO"),
        ("zip_with(ARRAY[1], ARRAY['a'], (x, y) -> x = y)", "TYPE_MISMATCH"),
    ])
    .await;
}

#[tokio::test]
async fn reduced() {
    are(&[
        ("reduce(ARRAY[], 0, (s, x) -> s + x, s -> s)", "0"),
        ("reduce(ARRAY[5, 20, 50], 0, (s, x) -> s + x, s -> s)", "75"),
        ("reduce(ARRAY[5, 20, NULL, 50], 0, (s, x) -> s + x, s -> s)", "NULL"),
        ("reduce(ARRAY[5, 20, NULL, 50], 0, (s, x) -> s + coalesce(x, 0), s -> s)", "75"),
        ("reduce(ARRAY[5, 20, NULL, 50], 0, (s, x) -> IF(x IS NULL, s, s + x), s -> s)", "75"),
        (
            "reduce(ARRAY[5, 6, 10, 20], CAST(ROW(0.0, 0) AS ROW(sum DOUBLE, count INTEGER)), (s, x) -> CAST(ROW(x + s.sum, s.count + 1) AS ROW(sum DOUBLE, count INTEGER)), s -> IF(s.count = 0, NULL, s.sum / s.count))",
            "10.25",
        ),
        ("reduce(ARRAY['a', 'b'], '', (s, x) -> s || x, s -> length(s))", "2"),
        ("reduce(ARRAY[1, 2], CAST(NULL AS bigint), (s, x) -> coalesce(s, 0) + x, s -> s)", "3"),
        ("reduce(CAST(NULL AS array(bigint)), 0, (s, x) -> s + x, s -> s)", "NULL"),
        ("reduce(ARRAY[1e0, 2e0], 0, (s, x) -> s + x, s -> s)", "3.0"),
        ("reduce(ARRAY[ARRAY[1], ARRAY[2, 3]], 0, (s, a) -> s + reduce(a, 0, (t, y) -> t + y, t -> t), s -> s)", "6"),
    ])
    .await;
    fail(&[
        (
            "reduce(ARRAY[9223372036854775807, 1], 0, (s, x) -> s + x, s -> s)",
            "NUMERIC_VALUE_OUT_OF_RANGE: bigint addition overflow",
        ),
        (
            "reduce(ARRAY[1], 0, (s, x) -> 'a', s -> s)",
            "FUNCTION_NOT_FOUND: Unexpected parameters (array, integer, <function>, <function>) for function reduce",
        ),
        ("reduce(ARRAY[1.5], 0.0, (s, x) -> s + x, s -> s)", "FUNCTION_NOT_FOUND: Unexpected parameters"),
        ("reduce(ARRAY[1], 0, (s, x) -> s + x)", "FUNCTION_NOT_FOUND: Unexpected parameters"),
        ("reduce(ARRAY[1], 0, s -> s, s -> s)", "argument 3 of 'reduce' is a lambda of 2 parameters"),
    ])
    .await;
}

#[tokio::test]
async fn sorted() {
    are(&[
        ("array_sort(ARRAY[3, 2, 5, 1, 2], (x, y) -> IF(x < y, 1, IF(x = y, 0, -1)))", "[5, 3, 2, 2, 1]"),
        ("array_sort(ARRAY['bc', 'ab', 'dc'], (x, y) -> IF(x < y, 1, IF(x = y, 0, -1)))", "[dc, bc, ab]"),
        (
            "array_sort(ARRAY[3, 2, NULL, 5, NULL, 1, 2], (x, y) -> CASE WHEN x IS NULL THEN -1 WHEN y IS NULL THEN 1 WHEN x < y THEN 1 WHEN x = y THEN 0 ELSE -1 END)",
            "[null, null, 5, 3, 2, 2, 1]",
        ),
        (
            "array_sort(ARRAY['a', 'abcd', 'abc', 'b'], (x, y) -> IF(length(x) < length(y), -1, IF(length(x) = length(y), 0, 1)))",
            "[a, b, abc, abcd]",
        ),
        ("array_sort(ARRAY[], (x, y) -> 0)", "[]"),
        ("array_sort(CAST(NULL AS array(bigint)), (x, y) -> 0)", "NULL"),
    ])
    .await;
    fail(&[
        (
            "array_sort(ARRAY[1, 2], (x, y) -> 7)",
            "INVALID_FUNCTION_ARGUMENT: Lambda comparator must return either -1, 0, or 1",
        ),
        ("array_sort(ARRAY[1, 2], (x, y) -> NULL)", "Lambda comparator must return"),
        (
            "array_sort(ARRAY[1, 2], (x, y) -> x < y)",
            "FUNCTION_NOT_FOUND: Unexpected parameters (array, <function>) for function array_sort",
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_maps() {
    are(&[
        ("map_filter(map(ARRAY[10, 20, 30], ARRAY['a', NULL, 'c']), (k, v) -> v IS NOT NULL)", "{10=a, 30=c}"),
        ("map_filter(map(), (k, v) -> true)", "{}"),
        ("map_filter(NULL, (k, v) -> true)", "NULL"),
        ("transform_values(map(ARRAY[1, 2], ARRAY[10, NULL]), (k, v) -> v + k)", "{1=11, 2=null}"),
        ("transform_values(map(ARRAY['a'], ARRAY[1]), (k, v) -> k || CAST(v AS varchar))", "{a=a1}"),
        ("transform_keys(map(ARRAY[1, 2], ARRAY['a', 'b']), (k, v) -> v || CAST(k AS varchar))", "{a1=a, b2=b}"),
        (
            "map_zip_with(map(ARRAY[1, 2, 3], ARRAY['a', 'b', 'c']), map(ARRAY[1, 2, 4], ARRAY['d', 'e', 'f']), (k, v1, v2) -> coalesce(v1, '-') || coalesce(v2, '-'))",
            "{1=ad, 2=be, 3=c-, 4=-f}",
        ),
        ("map_zip_with(map(ARRAY['a'], ARRAY[1]), NULL, (k, v1, v2) -> v1)", "NULL"),
    ])
    .await;
    fail(&[
        (
            "transform_keys(map(ARRAY[1, 2], ARRAY['a', 'b']), (k, v) -> 1)",
            "INVALID_FUNCTION_ARGUMENT: Duplicate map keys (1) are not allowed",
        ),
        (
            "transform_keys(map(ARRAY[1], ARRAY['a']), (k, v) -> CAST(NULL AS bigint))",
            "INVALID_FUNCTION_ARGUMENT: map key cannot be null",
        ),
        (
            "map_filter(map(ARRAY[1], ARRAY[2]), (k, v) -> v)",
            "Unexpected parameters (map, <function>) for function map_filter",
        ),
        ("map_zip_with(map(ARRAY[1], ARRAY[2]), map(ARRAY['a'], ARRAY[2]), (k, v, w) -> v)", "Unexpected parameters"),
    ])
    .await;
    have_types(&[
        ("reduce(ARRAY[1e0], 0, (s, x) -> s + x, s -> CAST(s AS varchar))", "varchar"),
        ("any_match(ARRAY[1], x -> true)", "boolean"),
        ("transform_keys(map(ARRAY[1], ARRAY[2]), (k, v) -> v)", "map"),
    ])
    .await;
}

/// Each row has its own arrays, of different lengths, and columns that the lambdas capture.
#[tokio::test]
async fn rows_and_what_lambdas_capture() {
    const FROM: &str = "FROM (VALUES (1, ARRAY[3, 1, 2], 10), (2, ARRAY[], 20), (3, NULL, 30), (4, ARRAY[7], 40), (5, ARRAY[1, 2, 3, 4], -1)) AS t(n, a, b)";
    for (expression, expected) in [
        ("transform(a, x -> x + b)", "[13, 11, 12]|[]||[47]|[0, 1, 2, 3]"),
        ("filter(a, x -> x * 10 > b)", "[3, 2]|[]||[7]|[1, 2, 3, 4]"),
        ("reduce(a, b, (s, x) -> s + x, s -> s * n)", "16|40||188|45"),
        ("reduce(a, 0, (s, x) -> s * b + x, s -> s)", "312|0||7|2"),
        ("array_sort(a, (x, y) -> IF(x = y, 0, IF((x < y) = (b > 0), -1, 1)))", "[1, 2, 3]|[]||[7]|[4, 3, 2, 1]"),
        (
            "zip_with(a, ARRAY[n], (x, y) -> coalesce(x, 0) + coalesce(y, 0) + b)",
            "[14, 11, 12]|[22]||[51]|[5, 1, 2, 3]",
        ),
        ("any_match(a, x -> x = n)", "true|false||false|false"),
        ("all_match(a, x -> x < b)", "true|true||true|false"),
        ("transform_values(map_filter(map(a, a), (k, v) -> k < b), (k, v) -> v + n)", "{3=4, 1=2, 2=3}|{}||{7=11}|{}"),
        ("transform(a, x -> reduce(a, x, (s, y) -> s + y + b, s -> s))", "[39, 37, 38]|[]||[54]|[7, 8, 9, 10]"),
    ] {
        let statement = format!("SELECT {expression} {FROM} ORDER BY n");
        let given = crate::world::query(&crate::world::Lake::default(), &statement).await;
        let rows = given.map_or_else(|error| error.to_string(), |given| given.rows);
        let rows: Vec<&str> = rows.lines().map(|line| line.trim_matches('"')).collect();
        assert_eq!(rows.join("|"), expected, "{expression}");
    }
}

/// Names of columns and of parameters may be the same, and projections, conditions and joins move calls about.
#[tokio::test]
async fn lambdas_wherever_they_stand() {
    const WIDE: &str = "(VALUES (1, 2, 3, ARRAY[1, 2], 'a'), (4, 5, 6, ARRAY[4], 'b')) AS t(x, y, z, list, name)";
    for (statement, expected) in [
        (format!("SELECT transform(list, x -> x + y), x FROM {WIDE} ORDER BY x"), "[3, 4],1|[9],4"),
        (format!("SELECT any_match(list, x -> x = z - 1) FROM (SELECT z, list FROM {WIDE}) ORDER BY 1"), "false|true"),
        (format!("SELECT name FROM {WIDE} WHERE any_match(list, e -> e = y)"), "a"),
        (
            format!(
                "SELECT a.name, b.name FROM {WIDE} JOIN {} ON any_match(a.list, e -> e = b.x) ORDER BY 1",
                WIDE.replace("t(", "b(")
            ),
            "a,a|b,b",
        ),
        (
            format!(
                "SELECT reduce(list, 0, (s, e) -> s + e, s -> s), count(*) FROM {WIDE} GROUP BY reduce(list, 0, (s, e) -> s + e, s -> s) ORDER BY 1"
            ),
            "3,1|4,1",
        ),
        (format!("SELECT sum(reduce(list, y, (s, e) -> s + e * z, s -> s)) FROM {WIDE}"), "40"),
        (format!("SELECT name FROM {WIDE} ORDER BY reduce(list, 0, (s, e) -> s - e, s -> s)"), "b|a"),
        (
            format!("SELECT transform(list, e -> transform(list, x -> x * e + z)) FROM {WIDE} ORDER BY x"),
            "[[4, 5], [5, 7]]|[[22]]",
        ),
        (format!("SELECT cardinality(filter(list, e -> try(10 / (e - 1)) > 0)) FROM {WIDE} ORDER BY x"), "1|1"),
        (
            format!(
                "SELECT try(10 / (x - 1)), transform(list, e -> e || name) FROM (SELECT x, transform(list, e -> CAST(e AS varchar)) AS list, name FROM {WIDE}) ORDER BY 2"
            ),
            ",[1a, 2a]|3,[4b]",
        ),
    ] {
        let statement = statement.replace("AS t(x, y, z, list, name) JOIN", "AS a(x, y, z, list, name) JOIN");
        let given = crate::world::query(&crate::world::Lake::default(), &statement).await;
        let rows = given.map_or_else(|error| error.to_string(), |given| given.rows.replace('"', "").replace('\n', "|"));
        assert_eq!(rows.trim_end_matches('|'), expected, "{statement}");
    }
    fail(&[(
        "transform(ARRAY[1], x -> (SELECT x))",
        "NOT_SUPPORTED: line 1:8: Lambda expression cannot contain subqueries",
    )])
    .await;
}
