//! Texts, numbers and bytes.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn texts() {
    are(&[
        ("length('häh')", "3"),
        ("substr('Trino', -3, 2)", "in"),
        ("substring('Trino' FROM 2 FOR 3)", "rin"),
        ("lpad('5', 3, '0')", "005"),
        ("rpad('abc', 2, 'x')", "ab"),
        ("split('a,b,c', ',')", "[a, b, c]"),
        ("split('a,b,c', ',', 2)", "[a, b,c]"),
        ("split_part('a-b-c', '-', 2)", "b"),
        ("split_part('a-b', '-', 3)", "NULL"),
        ("strpos('abc', 'c')", "3"),
        ("position('b' IN 'abc')", "2"),
        ("levenshtein_distance('kitten', 'sitting')", "3"),
        ("hamming_distance('abc', 'axc')", "1"),
        ("chr(65)", "A"),
        ("codepoint('A')", "65"),
        ("translate('abcd', 'abc', 'xy')", "xyd"),
        ("trim('  a ')", "a"),
        ("upper('a') || lower('B')", "Ab"),
        ("regexp_like('1a 2b 14m', '\\d+b')", "true"),
        ("regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "a"),
        ("regexp_extract('abc', '\\d')", "NULL"),
        ("regexp_extract_all('1a 2b 14m', '\\d+')", "[1, 2, 14]"),
        ("regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')", "3ca 3cb 14m"),
        ("regexp_replace('a1', '\\d')", "a"),
        ("regexp_count('1a 2b 14m', '\\s*[a-z]+\\s*')", "3"),
        ("regexp_split('1a 2b', '\\s+')", "[1a, 2b]"),
        ("url_extract_host('https://me@a.example:8080/p/q?k=v%20w&x#f')", "a.example"),
        ("url_extract_port('https://me@a.example:8080/p/q?k=v%20w&x#f')", "8080"),
        ("url_extract_path('https://me@a.example:8080/p/q?k=v%20w&x#f')", "/p/q"),
        ("url_extract_parameter('https://a.example/p?k=v%20w&x#f', 'k')", "v w"),
        ("url_encode('a b/ü')", "a+b%2F%C3%BC"),
        ("url_decode('a+b%2F')", "a b/"),
    ])
    .await;
    fail(&[
        ("regexp_like('a', '(')", "INVALID_FUNCTION_ARGUMENT"),
        ("split_part('a', '-', 0)", "Index must be greater than zero"),
    ])
    .await;
    have_types(&[("length('a')", "bigint"), ("split('a', 'b')", "array"), ("codepoint('a')", "integer")]).await;
}

#[tokio::test]
async fn numbers_and_bytes() {
    are(&[
        ("sqrt(16)", "4.0"),
        ("power(2, 10)", "1024.0"),
        ("log(2, 64)", "6.0"),
        ("round(2.5e0)", "3.0"),
        ("floor(-1.5e0)", "-2.0"),
        ("ceiling(1.2e0)", "2.0"),
        ("sign(-7)", "-1"),
        ("is_nan(nan())", "true"),
        ("bitwise_and(19, 25)", "17"),
        ("bitwise_xor(19, 25)", "10"),
        ("width_bucket(5.0, 0.0, 10.0, 5)", "3"),
        ("from_base('ff', 16)", "255"),
        ("to_base(255, 2)", "11111111"),
        ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
        ("to_hex(sha256(to_utf8('')))", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
        ("to_base64(to_utf8('hello'))", "aGVsbG8="),
        ("from_utf8(from_base64('aGVsbG8='))", "hello"),
        ("from_hex('6869')", "68 69"),
    ])
    .await;
}
