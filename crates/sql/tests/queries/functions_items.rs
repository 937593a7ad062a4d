//! Parts of arrays, vectors, maps of many values.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn parts_of_arrays() {
    are(&[
        (
            "zip(ARRAY[1, 2], ARRAY['1b', NULL, '3b'])",
            "[{field0=1, field1=1b}, {field0=2, field1=null}, {field0=null, field1=3b}]",
        ),
        (
            "zip(ARRAY[1], ARRAY[2], ARRAY[3], ARRAY[4], ARRAY[5])",
            "[{field0=1, field1=2, field2=3, field3=4, field4=5}]",
        ),
        ("zip(ARRAY[], ARRAY[])", "[]"),
        ("zip(ARRAY[1], NULL)", "NULL"),
        ("trim_array(ARRAY[1, 2, 3, 4], 1)", "[1, 2, 3]"),
        ("trim_array(ARRAY[1, 2], 2)", "[]"),
        ("trim_array(ARRAY[1, 2], NULL)", "NULL"),
        ("contains_sequence(ARRAY[1, 2, 3, 4], ARRAY[2, 3])", "true"),
        ("contains_sequence(ARRAY[1, 2, 3, 4], ARRAY[2, 4])", "false"),
        ("contains_sequence(ARRAY[1, NULL, 3], ARRAY[NULL, 3])", "true"),
        ("contains_sequence(ARRAY[1], ARRAY[])", "true"),
        ("combinations(ARRAY['foo', 'bar', 'baz'], 2)", "[[foo, bar], [foo, baz], [bar, baz]]"),
        ("combinations(ARRAY[1, 2, 2], 2)", "[[1, 2], [1, 2], [2, 2]]"),
        ("combinations(ARRAY[1, 2, 3], 3)", "[[1, 2, 3]]"),
        ("combinations(ARRAY[1], 0)", "[[]]"),
        ("combinations(ARRAY[1], 2)", "[]"),
        ("cardinality(combinations(sequence(1, 10), 5))", "252"),
        ("ngrams(ARRAY['foo', 'bar', 'baz', 'foo'], 2)", "[[foo, bar], [bar, baz], [baz, foo]]"),
        ("ngrams(ARRAY['foo', 'bar'], 5)", "[[foo, bar]]"),
        ("ngrams(ARRAY[1, 2, 3, 4], 4)", "[[1, 2, 3, 4]]"),
        ("array_sort(shuffle(ARRAY[3, 1, 2]))", "[1, 2, 3]"),
        ("shuffle(ARRAY[])", "[]"),
        ("array_first(ARRAY[1, 2])", "1"),
        ("array_last(ARRAY[1, 2])", "2"),
        ("array_last(ARRAY[])", "NULL"),
        ("array_histogram(ARRAY[42, 7, 42, NULL])", "{42=2, 7=1}"),
    ])
    .await;
    fail(&[
        ("trim_array(ARRAY[1], 2)", "INVALID_FUNCTION_ARGUMENT: size must not exceed array cardinality 1: 2"),
        ("trim_array(ARRAY[1], -1)", "size must not be negative: -1"),
        ("combinations(ARRAY[1], 6)", "combination size must not exceed 5: 6"),
        ("combinations(sequence(1, 100), 5)", "combinations exceed max size"),
        ("ngrams(ARRAY[1], 0)", "N must be positive"),
        ("zip(ARRAY[1])", "FUNCTION_NOT_FOUND: Unexpected parameters"),
        ("zip(ARRAY[1], 2)", "FUNCTION_NOT_FOUND: Unexpected parameters"),
        ("contains_sequence(ARRAY[1], ARRAY['a'])", "FUNCTION_NOT_FOUND: Unexpected parameters"),
    ])
    .await;
}

#[tokio::test]
async fn vectors() {
    are(&[
        ("dot_product(ARRAY[1.0, 2.0], ARRAY[3.0, 4.0])", "11.0"),
        ("euclidean_distance(ARRAY[1.0, 2.0], ARRAY[3.0, 4.0])", "2.8284271247461903"),
        ("cosine_similarity(ARRAY[1.0, 0.0], ARRAY[2.0, 0.0])", "1.0"),
        ("cosine_distance(ARRAY[1.0, 0.0], ARRAY[0.0, 2.0])", "1.0"),
        ("cosine_similarity(map(ARRAY['a'], ARRAY[1.0]), map(ARRAY['a'], ARRAY[2.0]))", "1.0"),
        ("cosine_similarity(map(ARRAY['a', 'b'], ARRAY[1, 2]), map(ARRAY['a', 'b'], ARRAY[NULL, 2]))", "NULL"),
        ("dot_product(ARRAY[1.0, NULL], ARRAY[3.0, 4.0])", "NULL"),
    ])
    .await;
    fail(&[
        ("dot_product(ARRAY[1.0], ARRAY[3.0, 4.0])", "The arguments must have the same length"),
        ("cosine_similarity(ARRAY[0.0], ARRAY[1.0])", "Vector magnitude cannot be zero"),
        ("dot_product(ARRAY['a'], ARRAY[1.0])", "Unexpected parameters"),
    ])
    .await;
}

#[tokio::test]
async fn maps_of_many_values() {
    are(&[
        ("multimap_from_entries(ARRAY[(1, 'x'), (2, 'y'), (1, 'z')])", "{1=[x, z], 2=[y]}"),
        ("split_to_multimap('a=1,b=2,a=3', ',', '=')", "{a=[1, 3], b=[2]}"),
        ("split_to_multimap('', ',', '=')", "{}"),
        (
            "map_union(m) FROM (VALUES (map(ARRAY['a'], ARRAY[1])), (NULL), (map(ARRAY['b'], ARRAY[2]))) t(m)",
            "{a=1, b=2}",
        ),
        ("map_union(m) FROM (VALUES (CAST(NULL AS map(varchar, bigint)))) t(m)", "NULL"),
    ])
    .await;
    fail(&[
        ("multimap_from_entries(ARRAY[(CAST(NULL AS bigint), 'x')])", "map key cannot be null"),
        ("split_to_multimap('a', ',', '=')", "Key-value delimiter must appear exactly once"),
    ])
    .await;
    have_types(&[("multimap_from_entries(ARRAY[(1, 'x')])", "map"), ("zip(ARRAY[1], ARRAY[2])", "array")]).await;
}
