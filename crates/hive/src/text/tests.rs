use proptest::prelude::*;

use super::values::*;
use super::*;
use crate::format::{LazySimple, OpenCsv, RegexFormat};
use crate::types::Type;

fn shown(fields: Vec<Field<'_>>) -> String {
    let shown: Vec<_> = fields.into_iter().map(|f| f.map_or("NULL".to_owned(), |f| format!("<{f}>"))).collect();
    shown.join(" ")
}

fn lazy(row: &[u8], format: &LazySimple, columns: usize) -> String {
    shown(
        lazy_fields(row, format, columns).into_iter().map(|f| nested(f, &Type::String, format).text(format)).collect(),
    )
}

fn commas(escape: Option<u8>) -> LazySimple {
    let mut format = LazySimple { escape, ..LazySimple::default() };
    format.separators[0] = b',';
    format
}

#[test]
fn delimited_rows() {
    let (plain, escaped) = (commas(None), commas(Some(b'\\')));
    for (row, format, expected) in [
        ("a,b,c", &plain, "<a> <b> <c>"),
        ("a,b", &plain, "<a> <b> NULL"),
        ("", &plain, "<> NULL NULL"),
        ("a,b,c,d", &plain, "<a> <b> <c>"),
        ("\"a,b\",c", &plain, "<\"a> <b\"> <c>"),
        ("\\N,N,\\n", &plain, "NULL <N> <\\n>"),
        ("a\\,b,c", &plain, "<a\\> <b> <c>"),
        ("a\\,b,c\\\\,d", &escaped, "<a,b> <c\\> <d>"),
        ("\\N,\\n,x\\", &escaped, "NULL <n> <x\\>"),
        (",,", &plain, "<> <> <>"),
    ] {
        assert_eq!(lazy(row.as_bytes(), format, 3), expected, "{row}");
    }
    assert_eq!(lazy(b"a\xff,b", &plain, 2), "<a\u{fffd}> <b>");
    let rest = LazySimple { last_takes_rest: true, ..commas(None) };
    assert_eq!(lazy(b"a,b,c", &rest, 2), "<a> <b,c>");
    let empty_is_null = LazySimple { null: vec![], ..commas(None) };
    assert_eq!(lazy(b"a,,", &empty_is_null, 4), "<a> NULL NULL NULL");
}

fn tree(value: &Nested<'_>) -> String {
    let list = |values: &[Nested<'_>]| values.iter().map(tree).collect::<Vec<_>>().join(" ");
    match value {
        Nested::Null => "NULL".into(),
        Nested::Raw(raw) => decode(raw).into_owned(),
        Nested::Array(values) => format!("[{}]", list(values)),
        Nested::Struct(values) => format!("({})", list(values)),
        Nested::Map(entries) => {
            format!(
                "{{{}}}",
                entries.iter().map(|(k, v)| format!("{}:{}", tree(k), tree(v))).collect::<Vec<_>>().join(" ")
            )
        }
    }
}

#[test]
fn nested_rows() {
    let mut format = LazySimple { escape: Some(b'\\'), ..LazySimple::default() };
    format.separators[1..5].copy_from_slice(b"|:;/");
    for (kind, raw, expected) in [
        ("array<int>", "1|2|\\N|", "[1 2 NULL ]"),
        ("array<int>", "", "[]"),
        ("array<int>", "\\N", "NULL"),
        ("map<string,int>", "a:1|b|c:\\N|a:2|\\N:3", "{a:1 b:NULL c:NULL}"),
        ("map<string,int>", "", "{}"),
        ("struct<a:int,b:string,c:int>", "1|x\\|y", "(1 x\\|y NULL)"),
        ("struct<a:int,b:int>", "", "( NULL)"),
        ("array<array<int>>", "1:2|3", "[[1 2] [3]]"),
        ("map<string,array<int>>", "a:1;2|b:3", "{a:[1 2] b:[3]}"),
        ("map<string,struct<x:int,y:array<int>>>", "k:1;2/3", "{k:(1 [2 3])}"),
    ] {
        let value = nested(Some(raw.as_bytes()), &Type::parse(kind).unwrap(), &format);
        assert_eq!(tree(&value), expected, "{kind} {raw}");
    }
    let deep = Type::parse(&format!("{}int{}", "array<".repeat(8), ">".repeat(8))).unwrap();
    assert_eq!(
        check_levels(&deep).unwrap_err(),
        "Number of levels of nesting supported for LazySimpleSerde is 7. Unable to work with level 8"
    );
    assert!(check_levels(&Type::parse("map<int,map<int,map<int,array<int>>>>").unwrap()).is_ok());
    assert_eq!(tree(&nested(Some(b"1"), &deep, &format)), "[[[[[[[NULL]]]]]]]");
}

#[test]
fn csv_rows() {
    let format = OpenCsv { separator: ',', quote: '"', escape: '\\' };
    for (line, expected) in [
        ("a,b,c", "<a> <b> <c>"),
        ("a,b", "<a> <b> NULL"),
        ("", "NULL NULL NULL"),
        ("a,b,c,d", "<a> <b> <c>"),
        (r#""a,b","c""d",e"#, r#"<a,b> <c"d> <e>"#),
        (r#""a\"b",x\,y"#, r#"<a"b> <x> <y>"#),
        (r#"a,bc"d"ef,g"#, r#"<a> <bc"d"ef> <g>"#),
        (r#"a,  "b",c"#, "<a> <b> <c>"),
        (r#"a,"b,c"#, "<a> NULL NULL"),
        ("\"\",\\\\,\"\\\\\"", "<> <> <\\>"),
        ("é,\"ü\",", "<é> <ü> <>"),
    ] {
        assert_eq!(shown(csv_fields(line.as_bytes(), &format, 3)), expected, "{line}");
    }
    let other = OpenCsv { separator: '|', quote: '\'', escape: '^' };
    assert_eq!(shown(csv_fields(b"'a|b'|\"c\"|'x^'y'", &other, 3)), "<a|b> <\"c\"> <x'y>");
    assert_eq!(shown(csv_fields(b"a\xff,b", &format, 2)), "<a\u{fffd}> <b>");
}

fn rows(pattern: &str, columns: usize) -> Result<RegexRows, RegexError> {
    RegexRows::new(&RegexFormat { pattern: pattern.to_owned(), case_insensitive: false }, columns)
}

#[test]
fn regex_rows() {
    let log = rows(r#"([^ ]*) ([^ ]*) \[(.*?)\] ("[^"]*"|-) (-|[0-9]*)(?: (.*))?"#, 6).unwrap();
    for (line, expected) in [
        (
            r#"own harbour [06/Feb/2030:00:00:38 +0000] "GET /a" 200"#,
            r#"<own> <harbour> <06/Feb/2030:00:00:38 +0000> <"GET /a"> <200> NULL"#,
        ),
        ("own harbour [x] - - more", "<own> <harbour> <x> <-> <-> <more>"),
        ("own", "NULL NULL NULL NULL NULL NULL"),
        ("", "NULL NULL NULL NULL NULL NULL"),
    ] {
        assert_eq!(shown(log.fields(line.as_bytes())), expected, "{line}");
    }
    let more = rows("(a)(b)(c)", 2).unwrap();
    assert_eq!(shown(more.fields(b"abc")), "<a> <b>");
    assert_eq!(shown(more.fields(b"abcd")), "NULL NULL");
    assert_eq!(shown(rows("(.*)", 1).unwrap().fields(b"x\xff\ny")), "<x\u{fffd}\ny>");
    let any_case = RegexFormat { pattern: "(abc)".into(), case_insensitive: true };
    assert_eq!(shown(RegexRows::new(&any_case, 1).unwrap().fields(b"ABC")), "<ABC>");
    assert_eq!(
        rows("(a)", 2).unwrap_err().to_string(),
        "Number of matching groups doesn't match the number of columns: the pattern has 1, the table 2"
    );
}

#[test]
fn patterns_of_java() {
    for (pattern, yes, no) in [
        (r"\d+", "123", "١٢٣"),
        (r"[\d.-]+", "1.-2", "a"),
        (r"[^\s]+", "ab", "a b"),
        (r"\w\W\S\D", "a-bc", "aabc"),
        (r"[a-c&&[^b]]", "a", "b"),
        (r"[+--]+", "+,-", "."),
        (r"[]a]+", "]a", "b"),
        (r"[a\]\[-]+", "a][-", "b"),
        (r"\Qa.b*\E+", "a.b**", "aab"),
        (r"\x41\u0042\x{43}\0104", "ABCD", "abcd"),
        (r"\t\n\f\e", "\t\n\u{c}\u{1b}", "x"),
        (r"a\<b\>\-\/\:\#\~\ ", "a<b>-/:#~ ", "ab"),
        (r"(?<name>x)(?:y)(?i)z(?s:.)", "xyZ\n", "Xyz\n"),
        (r"\p{Alpha}\P{Digit}\p{Lu}\pL[\p{Punct}]", "a-Éé!", "1-Éé!"),
        (r"a{2}b{1,}?c{0,3}", "aabb", "ab"),
        (r"^a$", "a", "a\n"),
        (r"[^\]]*", "abc", "a]"),
        (r"a|b|", "", "c"),
        (r"\h\v\R", " \n\r\n", "abc"),
        (r"x\Z", "x", "y"),
        (r"\cA", "\u{1}", "A"),
    ] {
        let compiled = rows(&format!("({pattern})"), 1).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        assert_eq!(shown(compiled.fields(yes.as_bytes())), format!("<{yes}>"), "{pattern}");
        assert_eq!(shown(compiled.fields(no.as_bytes())), "NULL", "{pattern}");
    }
}

#[test]
fn patterns_refused_with_their_place() {
    for (pattern, message) in [
        ("ab(?=c)", "input.regex: position 2: lookahead (?=...) is not supported"),
        ("(?!c)", "input.regex: position 0: negative lookahead (?!...) is not supported"),
        ("x(?<=c)", "input.regex: position 1: lookbehind (?<=...) is not supported"),
        ("x(?<!c)", "input.regex: position 1: negative lookbehind (?<!...) is not supported"),
        ("(?>c)", "input.regex: position 0: an atomic group (?>...) is not supported"),
        ("é*+", "input.regex: position 1: a possessive quantifier (such as *+) is not supported"),
        ("a{2}+", "input.regex: position 1: a possessive quantifier (such as *+) is not supported"),
        (r"(a)\1", r"input.regex: position 3: a backreference (\1) is not supported"),
        (r"\k<a>", r"input.regex: position 0: a backreference (\k<...>) is not supported"),
        (r"\p{javaLowerCase}", r"input.regex: position 0: \p{javaLowerCase} is not supported"),
        ("(?x)a", "input.regex: position 0: the flag (?x) is not supported"),
        ("(a", "input.regex: position 1: a group does not end"),
        ("a)", "input.regex: position 1: a group ends that did not begin"),
        ("[a", "input.regex: position 1: a class [...] does not end"),
        (r"a\", "input.regex: position 1: a backslash stands last"),
        (r"\y", "input.regex: position 0: an unknown escape"),
    ] {
        assert_eq!(rows(pattern, 0).unwrap_err().to_string(), message, "{pattern}");
    }
    assert!(
        rows("*a", 0).unwrap_err().to_string().starts_with("input.regex is no regular expression: repetition operator")
    );
    assert!(rows("(((a{100}){100}){100})", 0).unwrap_err().to_string().contains("bytes of memory"));
    assert!(rows(&"(".repeat(200), 0).is_err());
    // A range that ends before it begins.
    assert!(rows("[a--]+", 0).is_err());
}

#[test]
fn numbers() {
    for (text, expected) in [
        ("0", Some(0)),
        ("-12", Some(-12)),
        ("+7", Some(7)),
        ("3.99", Some(3)),
        (".5", Some(0)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("", None),
        ("-", None),
        (" 1", None),
        ("1e3", None),
        ("1.x", None),
        ("\"1\"", None),
    ] {
        assert_eq!(bigint(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(
        (tinyint(b"127"), tinyint(b"128"), smallint(b"-32768"), int(b"2147483648")),
        (Some(127), None, Some(-32768), None)
    );
    for (text, expected) in [
        ("1.5", Some(1.5)),
        (" -2e3 ", Some(-2000.0)),
        ("1f", Some(1.0)),
        ("Infinity", Some(f64::INFINITY)),
        ("-Infinity", Some(f64::NEG_INFINITY)),
        ("inf", None),
        ("nan", None),
        ("infinity", None),
        ("", None),
        ("1,5", None),
        ("0x1p3", None),
        ("+-1", None),
    ] {
        assert_eq!(double(text.as_bytes()), expected, "{text}");
    }
    assert!(double(b"NaN").unwrap().is_nan() && float(b" NaN ").unwrap().is_nan());
    assert_eq!(
        (boolean(b"TRUE"), boolean(b"False"), boolean(b"1"), boolean(b" true")),
        (Some(true), Some(false), None, None)
    );
    assert_eq!((truncated("héllo", 2), truncated("h", 2)), ("hé", "h"));
}

#[test]
fn decimals() {
    for (text, precision, scale, expected) in [
        ("12.34", 5, 2, Some(1234)),
        ("12.345", 5, 2, Some(1235)),
        ("-12.345", 5, 2, Some(-1235)),
        ("12.344", 5, 2, Some(1234)),
        ("999.995", 5, 2, None),
        ("1000", 5, 2, None),
        ("1e2", 5, 2, Some(10000)),
        ("12345e-3", 5, 2, Some(1235)),
        ("0.004", 5, 2, Some(0)),
        ("0.0005", 5, 2, Some(0)),
        ("5e-3", 5, 2, Some(1)),
        (".5", 3, 0, Some(1)),
        ("5.", 3, 0, Some(5)),
        ("0e999999999", 3, 0, Some(0)),
        ("1e999999999", 3, 0, None),
        ("1e-999999999", 3, 0, Some(0)),
        ("", 3, 0, None),
        (".", 3, 0, None),
        ("-", 3, 0, None),
        (" 1", 3, 0, None),
        ("99999999999999999999999999999999999999", 38, 0, Some(10i128.pow(38) - 1)),
    ] {
        assert_eq!(decimal(text.as_bytes(), precision, scale), expected, "{text}");
    }
}

#[test]
fn dates_and_timestamps() {
    for (text, expected) in [
        ("1970-01-01", Some(0)),
        ("1969-12-31", Some(-1)),
        ("2000-03-01", Some(11017)),
        (" 2000-3-1 ", Some(11017)),
        ("2000-02-31 x", Some(11018)),
        ("0001-01-01", Some(-719162)),
        ("2000-13-01", Some(11323)),
        ("2000-01", None),
        ("20000101", None),
        ("", None),
        ("2000-01-01T00:00:00", None),
        ("999999999-01-01", None),
    ] {
        assert_eq!(date(text.as_bytes()), expected, "{text}");
    }
    let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
    for (text, expected) in [
        ("1970-01-02 00:00:01", at(86401, 0)),
        ("1970-01-01 00:00:00.5", at(0, 500_000_000)),
        ("1970-01-01 00:00:00.123456789", at(0, 123_456_789)),
        ("1970-01-01 00:00:00.1234567890", None),
        ("1970-01-02", at(86400, 0)),
        (" 1970-01-01T01:02 ", at(3720, 0)),
        ("1970-01-01T01:02:03.25", at(3723, 250_000_000)),
        ("1970-01-01 01:02", None),
        ("1970-01-01T00:00:00Z", None),
        ("1969-12-31 23:59:59.9", at(-1, 900_000_000)),
        ("0", None),
        ("1600000000", None),
        ("x", None),
    ] {
        assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
    }
    let patterns = |texts: &[&str]| texts.iter().map(|t| Pattern::parse(t).unwrap()).collect::<Vec<_>>();
    for (formats, text, expected) in [
        (&["millis"][..], "1500", at(1, 500_000_000)),
        (&["millis"], "-1.9", at(-1, 999_000_000)),
        (&["yyyyMMddHHmmss"], "19700101000102", at(62, 0)),
        (&["yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"], "1970-01-01T00:00:01.250Z", at(1, 250_000_000)),
        (&["dd/MM/yyyy", "yyyy/MM/dd"], "1970/01/02", at(86400, 0)),
        (&["dd/MM/yyyy"], "31/02/1970", None),
        (&["dd/MM/yyyy"], "1970-01-02", at(86400, 0)),
    ] {
        assert_eq!(timestamp_by(text.as_bytes(), &patterns(formats)), expected, "{formats:?} {text}");
    }
    assert!(Pattern::parse("yyyy-MMM").is_err() && Pattern::parse("Z").is_err() && Pattern::parse("'x").is_err());
}

proptest! {
    #[test]
    fn any_pattern_is_translated_or_refused(pattern in "(\\\\[a-zA-Z0-9]|[a-z()\\[\\]{}*+?|^$.&\\\\:<>=!1-]|é){0,16}") {
        let _ = rows(&pattern, 0);
    }

    #[test]
    fn any_bytes_have_as_many_fields_as_columns(row in proptest::collection::vec(any::<u8>(), 0..40), columns in 0usize..6) {
        let csv = OpenCsv { separator: ',', quote: '"', escape: '\\' };
        prop_assert_eq!(csv_fields(&row, &csv, columns).len(), columns);
        let lazy = commas(Some(b'\\'));
        for field in lazy_fields(&row, &lazy, columns) {
            let kind = Type::parse("map<string,array<struct<a:int,b:string>>>").unwrap();
            let _ = nested(field, &kind, &lazy);
        }
        let _ = (bigint(&row), double(&row), decimal(&row, 10, 2), date(&row), timestamp(&row));
    }

    #[test]
    fn days_count_on(day in -1_000_000i32..1_000_000) {
        let Some(Timestamp { seconds, .. }) = timestamp_by(
            format!("{}", i64::from(day) * 86_400_000).as_bytes(), &[Pattern::parse("millis").unwrap()]
        ) else { panic!() };
        prop_assert_eq!(seconds, i64::from(day) * 86_400);
        prop_assert_eq!(date(format!("1970-01-{}", day.rem_euclid(90) + 1).as_bytes()), Some(day.rem_euclid(90)));
    }

    #[test]
    fn decimals_are_exact(value in -10i128.pow(20)..10i128.pow(20)) {
        let text = format!("{}{}.{:04}", if value < 0 { "-" } else { "" }, value.abs() / 10_000, value.abs() % 10_000);
        prop_assert_eq!(decimal(text.as_bytes(), 38, 4), Some(value));
    }
}
