//! Arrays and maps.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn arrays() {
    are(&[
        ("cardinality(ARRAY[1, 2, 3])", "3"),
        ("contains(ARRAY[1, 2, 3], 2)", "true"),
        ("contains(ARRAY[1, NULL], 2)", "NULL"),
        ("element_at(ARRAY['a', 'b'], 2)", "b"),
        ("element_at(ARRAY['a', 'b'], -1)", "b"),
        ("element_at(ARRAY['a', 'b'], 3)", "NULL"),
        ("ARRAY['a', 'b'][1]", "a"),
        ("array_distinct(ARRAY[1, 2, 1, NULL, NULL])", "[1, 2, null]"),
        ("array_union(ARRAY[1, 2], ARRAY[2, 3])", "[1, 2, 3]"),
        ("array_intersect(ARRAY[1, 2], ARRAY[2, 3])", "[2]"),
        ("array_except(ARRAY[1, 2], ARRAY[2, 3])", "[1]"),
        ("arrays_overlap(ARRAY[1, 2], ARRAY[2, 3])", "true"),
        ("arrays_overlap(ARRAY[1, NULL], ARRAY[3])", "NULL"),
        ("array_max(ARRAY[1, 3, 2])", "3"),
        ("array_min(ARRAY[1, NULL])", "NULL"),
        ("array_position(ARRAY['a', 'b'], 'b')", "2"),
        ("array_position(ARRAY['a', 'b'], 'c')", "0"),
        ("array_remove(ARRAY[1, 2, 1], 1)", "[2]"),
        ("array_sort(ARRAY[3, NULL, 1])", "[1, 3, null]"),
        ("array_join(ARRAY[1, NULL, 3], '-')", "1-3"),
        ("array_join(ARRAY[1, NULL, 3], '-', 'x')", "1-x-3"),
        ("ARRAY[1] || ARRAY[2, 3]", "[1, 2, 3]"),
        ("flatten(ARRAY[ARRAY[1], ARRAY[2, 3]])", "[1, 2, 3]"),
        ("reverse(ARRAY[1, 2])", "[2, 1]"),
        ("reverse('abc')", "cba"),
        ("sequence(1, 4)", "[1, 2, 3, 4]"),
        ("sequence(5, 1, -2)", "[5, 3, 1]"),
        ("sequence(DATE '2019-01-01', DATE '2019-01-03')", "[2019-01-01, 2019-01-02, 2019-01-03]"),
        ("sequence(DATE '2019-01-03', DATE '2019-01-01')", "[2019-01-03, 2019-01-02, 2019-01-01]"),
        ("sequence(DATE '2019-01-01', DATE '2019-01-09', INTERVAL '4' DAY)", "[2019-01-01, 2019-01-05, 2019-01-09]"),
        ("sequence(DATE '2019-01-31', DATE '2019-04-01', INTERVAL '1' MONTH)", "[2019-01-31, 2019-02-28, 2019-03-31]"),
        ("sequence(DATE '2020-02-29', DATE '2018-01-01', INTERVAL '-1' YEAR)", "[2020-02-29, 2019-02-28, 2018-02-28]"),
        (
            "sequence(TIMESTAMP '2019-01-01 00:00:00', TIMESTAMP '2019-01-01 01:00:00', INTERVAL '40' MINUTE)",
            "[2019-01-01 00:00:00.000, 2019-01-01 00:40:00.000]",
        ),
        (
            "sequence(TIMESTAMP '2019-01-31 12:00:00', DATE '2019-03-01', INTERVAL '1' MONTH)",
            "[2019-01-31 12:00:00.000, 2019-02-28 12:00:00.000]",
        ),
        ("sequence(1, NULL)", "NULL"),
        ("slice(ARRAY[1, 2, 3, 4], 2, 2)", "[2, 3]"),
        ("slice(ARRAY[1, 2, 3, 4], -2, 5)", "[3, 4]"),
        ("repeat('x', 3)", "[x, x, x]"),
        ("transform(ARRAY[1, 2], x -> x * 10)", "[10, 20]"),
        ("filter(ARRAY[5, -6, NULL, 7], x -> x > 0)", "[5, 7]"),
        ("any_match(ARRAY[1, 2], x -> x = 2)", "true"),
        ("all_match(ARRAY[1, 2], x -> x > 0)", "true"),
        ("none_match(ARRAY[1, 2], x -> x > 0)", "false"),
    ])
    .await;
    fail(&[
        (
            "ARRAY['a', 'b'][3]",
            "INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: 3 > 2",
        ),
        ("ARRAY['a'][0]", "SQL array indices start at 1"),
        ("contains(ARRAY[1], 'x')", "FUNCTION_NOT_FOUND: Unexpected parameters (array, varchar) for function contains"),
        ("sequence(1, 5, 0)", "sequence stop value should be greater than"),
        ("sequence(5, 1, 1)", "sequence stop value should be greater than"),
        ("sequence(DATE '2019-01-01', DATE '2019-01-02', INTERVAL '1' HOUR)", "sequence step must be a day interval"),
        ("sequence(DATE '2019-01-01', DATE '2019-01-02', 1)", "FUNCTION_NOT_FOUND: Unexpected parameters"),
        (
            "sequence(DATE '2019-01-02', DATE '2019-01-01', INTERVAL '1' DAY)",
            "sequence stop value should be greater than",
        ),
        ("sequence(1, 100000)", "must not have more than 10000 entries"),
    ])
    .await;
    have_types(&[("cardinality(ARRAY[1])", "bigint"), ("array_join(ARRAY[1], ',')", "varchar")]).await;
}

#[tokio::test]
async fn maps() {
    are(&[
        ("map(ARRAY['a', 'b'], ARRAY[1, 2])", "{a=1, b=2}"),
        ("map()", "{}"),
        ("map(ARRAY['a', 'b'], ARRAY[1, 2])['b']", "2"),
        ("element_at(map(ARRAY['a'], ARRAY[1]), 'z')", "NULL"),
        ("cardinality(map(ARRAY['a'], ARRAY[1]))", "1"),
        ("map_keys(map(ARRAY['a', 'b'], ARRAY[1, 2]))", "[a, b]"),
        ("map_values(map(ARRAY['a', 'b'], ARRAY[1, 2]))", "[1, 2]"),
        ("map_concat(map(ARRAY['a'], ARRAY[1]), map(ARRAY['a', 'b'], ARRAY[5, 6]))", "{a=5, b=6}"),
        ("map_from_entries(map_entries(map(ARRAY['a'], ARRAY[1])))", "{a=1}"),
        ("split_to_map('a=1,b=2', ',', '=')", "{a=1, b=2}"),
    ])
    .await;
    fail(&[
        ("map(ARRAY['a'], ARRAY[1])['z']", "INVALID_FUNCTION_ARGUMENT: Key not present in map: z"),
        ("map(ARRAY['a', 'a'], ARRAY[1, 2])", "Duplicate map keys (a) are not allowed"),
    ])
    .await;
}

#[tokio::test]
async fn aggregates() {
    are(&[
        ("count_if(x > 1) FROM (VALUES (1), (2), (3)) t(x)", "2"),
        ("max_by(a, b) FROM (VALUES ('x', 1), ('y', 3), ('z', NULL)) t(a, b)", "y"),
        ("min_by(a, b) FROM (VALUES ('x', 1), ('y', 3), ('z', NULL)) t(a, b)", "x"),
        ("map_agg(a, b) FROM (VALUES ('x', 1)) t(a, b)", "{x=1}"),
        ("multimap_agg(a, b) FROM (VALUES ('x', 1), ('x', 2)) t(a, b)", "{x=[1, 2]}"),
        ("histogram(a) FROM (VALUES ('x'), ('x')) t(a)", "{x=2}"),
        ("listagg(a, ',') WITHIN GROUP (ORDER BY a DESC) FROM (VALUES ('x'), ('y')) t(a)", "y,x"),
        ("approx_percentile(x, ARRAY[0.0, 0.5, 1.0]) FROM (VALUES (1), (2), (3)) t(x)", "[1, 2, 3]"),
        ("approx_percentile(x, ARRAY[0.5]) FROM (VALUES (1)) t(x) WHERE x > 1", "NULL"),
        ("approx_percentile(x, w, 0.5) FROM (VALUES (1, 1), (2, 1), (3, 10)) t(x, w)", "3"),
        (
            "approx_percentile(x, w, ARRAY[0.0, 0.9]) FROM (VALUES (1e0, 1), (3e0, 10), (9e0, NULL)) t(x, w)",
            "[1.0, 3.0]",
        ),
        ("typeof(approx_percentile(x, 0.5)) FROM (VALUES 1.5) t(x)", "double"),
        ("approx_percentile(x, 0.5) FROM (VALUES (1), (2), (3)) t(x)", "2"),
        ("approx_distinct(x) FROM (VALUES (1), (2), (2)) t(x)", "2"),
        ("every(x > 0) FROM (VALUES (1), (2)) t(x)", "true"),
        ("avg(x) FROM (VALUES (1), (2)) t(x)", "1.5"),
        ("arbitrary(x) FROM (VALUES (7), (7)) t(x)", "7"),
    ])
    .await;
}

#[tokio::test]
async fn operators() {
    are(&[
        ("7 / 2", "3"),
        ("-7 % 3", "-1"),
        ("1.0 / 3", "0.3"),
        ("2.00 / 3.0", "0.67"),
        ("1e0 / 0", "Infinity"),
        ("1 + 2 * 3", "7"),
    ])
    .await;
    fail(&[
        ("1 / 0", "DIVISION_BY_ZERO: Division by zero"),
        ("1 % 0", "DIVISION_BY_ZERO"),
        ("1.5 / 0", "DIVISION_BY_ZERO"),
        ("9223372036854775807 + 1", "NUMERIC_VALUE_OUT_OF_RANGE: bigint addition overflow"),
        ("'1' = 1", "TYPE_MISMATCH: Cannot apply operator: varchar = integer"),
        ("1 WHERE '2019-01-01' < DATE '2019-01-02'", "TYPE_MISMATCH"),
    ])
    .await;
}
