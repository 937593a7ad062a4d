use super::*;

fn check(table: &[(&str, &str, bool)]) {
    for (pattern, message, expected) in table {
        match Pattern::parse(pattern) {
            Ok(parsed) => assert_eq!(parsed.matches(message), *expected, "{pattern} on {message}"),
            Err(error) => panic!("{pattern}: {error}"),
        }
    }
}

/// The guide's "Using filter patterns to match terms in log events".
#[test]
fn words() {
    check(&[
        ("", "anything", true),
        ("  ", "anything", true),
        ("ERROR", "[ERROR 400] BAD REQUEST", true),
        ("ERROR", "[WARN 419] MISSING ARGUMENTS", false),
        ("ERROR", "error", false),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false),
        ("ARGUMENTS ERROR", "[ERROR 419] MISSING ARGUMENTS", true),
        ("?ERROR ?ARGUMENTS", "[ERROR 400] BAD REQUEST", true),
        ("?ERROR ?ARGUMENTS", "[WARN 419] MISSING ARGUMENTS", true),
        ("?ERROR ?ARGUMENTS", "[INFO 200] OK", false),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false),
        ("-ERROR", "fine", true),
        ("\"INTERNAL SERVER ERROR\"", "[ERROR 500] INTERNAL SERVER ERROR", true),
        ("\"INTERNAL SERVER ERROR\"", "INTERNAL ERROR SERVER", false),
        ("-\"a b\" c", "a  b c", true),
        ("-\"a b\" c", "a b c", false),
        (r#""say \"hi\"""#, r#"they say "hi" there"#, true),
        (r#""a\\b""#, r"a\b", true),
        ("%AUTHORIZED%", "UNAUTHORIZED 401", true),
        ("%ERROR: 4[0-9]{2}%", "x ERROR: 404", true),
        ("%^ERROR%", "x ERROR", false),
        ("?ERROR INFO", "INFO", true),
        ("?ERROR -INFO", "fine", true),
    ]);
}

/// The guide's "Using filter patterns to match terms in JSON log events".
#[test]
fn json() {
    let event = r#"{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],
        "objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"cluster.name":"c","flag":true,"off":false,
        "bandwidth":75.5,"latency":1e3,"status":404,"text":"404","user":{"id":1,"email":"John.Doe@example.com"}}"#;
    let table = [
        (r#"{ $.eventType = "UpdateTrail" }"#, true),
        (r#"{$.eventType="UpdateTrail"}"#, true),
        (r#"{ $.eventType = UpdateTrail }"#, true),
        (r#"{ $.eventType = "Update*" }"#, true),
        (r#"{ $.eventType = *Tr* }"#, true),
        (r#"{ $.eventType = "update*" }"#, false),
        (r#"{ $.eventType != "UpdateTrail" }"#, false),
        (r#"{ $.sourceIPAddress != 123.123.* }"#, true),
        (r#"{ $.sourceIPAddress = 111.* }"#, true),
        (r#"{ $.arrayKey[0] = "value" }"#, true),
        (r#"{ $.arrayKey[1] = "value" }"#, false),
        (r#"{ $.arrayKey[*] = "another value" }"#, true),
        (r#"{ $.objectList[1].id = 2 }"#, true),
        (r#"{ $.objectList[*].id > 1 }"#, true),
        (r#"{ $.objectList[*].id > 2 }"#, false),
        (r#"{ $.SomeObject IS NULL }"#, true),
        (r#"{ $.eventType IS NULL }"#, false),
        (r#"{ $.SomeOtherObject NOT EXISTS }"#, true),
        (r#"{ $.SomeObject NOT EXISTS }"#, false),
        (r#"{ $.flag IS TRUE }"#, true),
        (r#"{ $.off IS FALSE }"#, true),
        (r#"{ $.off IS TRUE }"#, false),
        (r#"{ $['cluster.name'] = "c" }"#, true),
        (r#"{ $["cluster.name"] = c }"#, true),
        (r#"{ $.bandwidth > 75 }"#, true),
        (r#"{ $.bandwidth <= 75 }"#, false),
        (r#"{ $.latency = 1000 }"#, true),
        (r#"{ $.latency >= 1e3 }"#, true),
        (r#"{ $.status = 4* }"#, true),
        (r#"{ $.status = 404 }"#, true),
        (r#"{ $.text = 404 }"#, true),
        (r#"{ $.text > 400 }"#, false),
        (r#"{ $.user.email = %John.*@example% }"#, true),
        (r#"{ ($.user.id = 1) && ($.user.email = "John*") }"#, true),
        (r#"{ $.user.id = 2 && $.user.email = "John*" || $.flag IS TRUE }"#, true),
        (r#"{ $.user.id = 2 && ($.user.email = "John*" || $.flag IS TRUE) }"#, false),
        (r#"{ $.missing = "x" }"#, false),
        (r#"{ $.missing != "x" }"#, false),
    ]
    .map(|(pattern, expected)| (pattern, event, expected));
    check(&table);
    check(&[(r#"{ $.x = 1 }"#, "no JSON", false), (r#"{ $.x = 1 }"#, "7", false)]);
}

/// The guide's "Using filter patterns to match terms in space-delimited log events".
#[test]
fn columns() {
    let line = r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;
    let all = "ip, environment, user, timestamp, request";
    check(&[
        (&format!("[{all}, status_code, bytes]"), line, true),
        (&format!("[{all}, status_code]"), line, false),
        (&format!("[{all}, status_code = 4*, bytes]"), line, true),
        (&format!("[{all}, status_code=404, bytes > 1000]"), line, true),
        (&format!("[{all}, status_code = 500, bytes]"), line, false),
        ("[..., bytes > 1000]", line, true),
        ("[ip=%127\\.0\\.0\\.[1-9]%, ...]", line, true),
        ("[ip, ..., status != 404, bytes]", line, false),
        ("[ip, user, ..., request = \"*.html*\", status, bytes]", line, true),
        ("[..., status = 404 || status = 410, bytes]", line, true),
        ("[..., status >= 400 && status < 500, bytes]", line, true),
        ("[w1=ERROR, w2]", "ERROR x", true),
        ("[w1=ERROR, w2]", "ERROR x y", false),
        ("[w1!=ERROR&&w1!=%WARN%, w2]", "INFO x", true),
        ("[w1!=ERROR&&w1!=%WARN%, w2]", "WARNING x", false),
        ("[,,]", "a b c", true),
        ("[a, ..., b]", "only", false),
    ]);
}

#[test]
fn what_is_no_pattern() {
    for pattern in [
        "foo:bar",
        "foo-bar",
        "\"open",
        "%open",
        "%%",
        "%(%",
        "-",
        "?",
        "{",
        "{}",
        "{ $.a }",
        "{ a = 1 }",
        "{ $ = 1 }",
        "{ $.a = }",
        "{ $.a = 1",
        "{ $.a = 1 } x",
        "{ ($.a = 1 }",
        "{ $.a IS 1 }",
        "{ $.a NOT 1 }",
        "{ $.a > \"x\" }",
        "{ $.a[x] = 1 }",
        "{ $.a[1 = 1 }",
        "[",
        "[a",
        "[a b]",
        "[a] x",
        "[..., a, ...]",
        "[a = 1 && b = 2]",
    ] {
        assert!(Pattern::parse(pattern).is_err(), "{pattern}");
    }
    assert!(Pattern::parse(&format!("{{ {}$.a = 1{} }}", "(".repeat(99), ")".repeat(99))).is_err());
    assert!(Pattern::parse(&"a".repeat(1025)).is_err());
}
