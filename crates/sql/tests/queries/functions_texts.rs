//! Texts, regular expressions, URLs, numbers and bytes.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn texts() {
    are(&[
        ("length('schöner')", "7"),
        ("upper('straße')", "STRASSE"),
        ("reverse('öab')", "baö"),
        ("replace('hello', 'l')", "heo"),
        ("replace('hello', 'l', 'L')", "heLLo"),
        ("lpad('x', 3, 'ab')", "abx"),
        ("rpad('xyz', 2, '-')", "xy"),
        ("split_part('a-b-c', '-', 2)", "b"),
        ("split_part('a-b-c', '-', 9)", "NULL"),
        ("split('a,b,,c', ',')", "[a, b, , c]"),
        ("split('a,b,c', ',', 2)", "[a, b,c]"),
        ("strpos('banana', 'an')", "2"),
        ("strpos('banana', 'x')", "0"),
        ("strpos('banana', 'an', 2)", "4"),
        ("substr('abcdef', -2)", "ef"),
        ("substr('abcdef', 2, 3)", "bcd"),
        ("substr('abcdef', 9)", ""),
        ("starts_with('abc', 'ab')", "true"),
        ("translate('abc', 'ab', 'x')", "xc"),
        ("levenshtein_distance('kitten', 'sitting')", "3"),
        ("hamming_distance('abc', 'abd')", "1"),
        ("chr(246)", "ö"),
        ("codepoint('ö')", "246"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("soundex('Robert')", "R163"),
        ("trim('  a ')", "a"),
        ("length(NULL)", "NULL"),
    ])
    .await;
    fail(&[
        ("codepoint('ab')", "single character"),
        ("chr(-1)", "Not a valid Unicode code point"),
        ("split_part('a', '-', 0)", "INVALID_FUNCTION_ARGUMENT"),
        ("length(7)", "FUNCTION_NOT_FOUND: Unexpected parameters (integer) for function length. Expected: length(varchar), length(varbinary)"),
        ("no_such(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'no_such' not registered"),
    ])
    .await;
}

#[tokio::test]
async fn regular_expressions() {
    are(&[
        ("regexp_like('1a 2b 14m', '\\d+b')", "true"),
        ("regexp_extract('1a 2b 14m', '\\d+')", "1"),
        ("regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "a"),
        ("regexp_extract('abc', '\\d')", "NULL"),
        ("regexp_extract_all('1a 2b 14m', '\\d+')", "[1, 2, 14]"),
        ("regexp_extract_all('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "[a, b, m]"),
        ("regexp_replace('1a 2b 14m', '\\d+[ab] ')", "14m"),
        ("regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')", "3ca 3cb 14m"),
        ("regexp_count('1a 2b 14m', '\\s*[a-z]+\\s*')", "3"),
        ("regexp_split('1a 2b 14m', '\\s*[a-z]+\\s*')", "[1, 2, 14, ]"),
        ("regexp_position('I have 23 apples', '\\d')", "8"),
    ])
    .await;
    fail(&[("regexp_like('a', '(')", "INVALID_FUNCTION_ARGUMENT"), ("regexp_extract('a', 'a', 3)", "group")]).await;
}

#[tokio::test]
async fn urls() {
    const URL: &str = "'https://pond.example:8443/a/b.html?x=1&y=a%20b&x=2#end'";
    let of = |name: &str, rest: &str| -> &'static str { format!("{name}({URL}{rest})").leak() };
    are(&[
        (of("url_extract_protocol", ""), "https"),
        (of("url_extract_host", ""), "pond.example"),
        (of("url_extract_port", ""), "8443"),
        (of("url_extract_path", ""), "/a/b.html"),
        (of("url_extract_query", ""), "x=1&y=a b&x=2"),
        (of("url_extract_fragment", ""), "end"),
        (of("url_extract_parameter", ", 'y'"), "a b"),
        (of("url_extract_parameter", ", 'x'"), "1"),
        (of("url_extract_parameter", ", 'z'"), "NULL"),
        ("url_encode('a b/ö')", "a+b%2F%C3%B6"),
        ("url_decode('a+b%2F%C3%B6')", "a b/ö"),
    ])
    .await;
}

#[tokio::test]
async fn numbers() {
    are(&[
        ("abs(-7)", "7"),
        ("round(2.5e0)", "3.0"),
        ("round(-2.5e0)", "-3.0"),
        ("round(1.2345e0, 2)", "1.23"),
        ("round(DECIMAL '1.255', 2)", "1.260"),
        ("ceil(1.2e0)", "2.0"),
        ("ceiling(DECIMAL '1.2')", "2"),
        ("floor(-1.2e0)", "-2.0"),
        ("truncate(-1.9e0)", "-1.0"),
        ("sign(-3)", "-1"),
        ("mod(-7, 3)", "-1"),
        ("power(2, 10)", "1024.0"),
        ("sqrt(16e0)", "4.0"),
        ("cbrt(27e0)", "3.0"),
        ("log(2e0, 8e0)", "3.0"),
        ("ln(1e0)", "0.0"),
        ("from_base('ff', 16)", "255"),
        ("to_base(255, 2)", "11111111"),
        ("width_bucket(5e0, 0e0, 10e0, 5)", "3"),
        ("is_nan(nan())", "true"),
        ("infinity()", "Infinity"),
        ("bitwise_and(6, 3)", "2"),
        ("bitwise_xor(6, 3)", "5"),
        ("bitwise_not(0)", "-1"),
        ("bit_count(7, 64)", "3"),
    ])
    .await;
    have_types(&[("length('a')", "bigint"), ("power(2, 2)", "double"), ("random()", "double")]).await;
    fail(&[("mod(1, 0)", "DIVISION_BY_ZERO"), ("from_base('z', 10)", "INVALID_FUNCTION_ARGUMENT")]).await;
}

#[tokio::test]
async fn bytes() {
    are(&[
        ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
        ("to_hex(sha256(to_utf8('')))", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
        ("crc32(to_utf8('123456789'))", "3421780262"),
        ("to_base64(to_utf8('hello'))", "aGVsbG8="),
        ("from_utf8(from_base64('aGVsbG8='))", "hello"),
        ("from_utf8(from_hex('6162'))", "ab"),
        ("to_hex(xxhash64(to_utf8('')))", "EF46DB3751D8E999"),
        ("length(uuid())", "36"),
    ])
    .await;
    fail(&[("from_hex('6')", "INVALID_FUNCTION_ARGUMENT"), ("from_base64('*')", "INVALID_FUNCTION_ARGUMENT")]).await;
}
