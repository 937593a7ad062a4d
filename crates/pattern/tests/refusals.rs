//! What is wrong with a pattern is said in AWS's words, with the place.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use millpond_pattern::{Attribute, Event, EventError, FilterScope, MAX_EVENT_DEPTH, Pattern};

#[test]
fn patterns_are_refused_with_the_place() {
    let mut wrong = Vec::new();
    for (text, what, path, line, column) in [
        // As AWS answered: cloud-custodian issue 6507, and buildkite/docs pull request 896.
        (r#"{"source": ["aws.health"], "detail": {}}"#, "Empty objects are not allowed", "detail", 1, 40),
        (
            "{ \n  \"detail-type\": [ \"Build Started\" ],\n  \"detail\": {\n    \"pipeline\": {\n      \"slug\": \"some-pipeline\"\n    }\n  }\n}",
            "\"slug\" must be an object or an array",
            "detail.pipeline.slug",
            5,
            16,
        ),
        ("{}", "Empty objects are not allowed", "", 1, 3),
        ("[]", "Filter is not an object", "", 1, 2),
        ("", "Unexpected end-of-input", "", 1, 1),
        (r#"{"a":[]}"#, "Empty arrays are not allowed", "a", 1, 8),
        (r#"{"a":[["x"]]}"#, "Match value must be String, number, true, false, or null", "a", 1, 8),
        (r#"{"a":[{}]}"#, "Match expression name not found", "a", 1, 9),
        (r#"{"a":[{"nope":1}]}"#, "Unrecognized match type nope", "a", 1, 16),
        (r#"{"a":[{"prefix":1}]}"#, "prefix match pattern must be a string", "a", 1, 18),
        (r#"{"a":[{"suffix":["x"]}]}"#, "suffix match pattern must be a string", "a", 1, 18),
        (r#"{"a":[{"prefix":{"x":"y"}}]}"#, "Unsupported prefix pattern: x", "a", 1, 23),
        (r#"{"a":[{"prefix":"x","suffix":"y"}]}"#, "Only one key allowed in match expression", "a", 1, 31),
        (r#"{"a":[{"exists":"yes"}]}"#, "exists match pattern must be either true or false.", "a", 1, 18),
        (r#"{"a":[{"cidr":"10.0.0.0"}]}"#, "Malformed CIDR, one '/' required", "a", 1, 25),
        (r#"{"a":[{"cidr":"10.0.0.0/40"}]}"#, "IPv4 mask bits must be < 32", "a", 1, 28),
        (r#"{"a":[{"wildcard":"a**b"}]}"#, "Consecutive wildcard characters at pos 2", "a", 1, 25),
        (r#"{"a":[{"numeric":1}]}"#, "Value of numeric must be an array.", "a", 1, 19),
        (r#"{"a":[{"numeric":[]}]}"#, "Invalid member in numeric match: ]", "a", 1, 20),
        (r#"{"a":[{"numeric":["!",1]}]}"#, "Unrecognized numeric range operator: !", "a", 1, 24),
        (r#"{"a":[{"numeric":[">","1"]}]}"#, "Value of > must be numeric", "a", 1, 24),
        (r#"{"a":[{"numeric":["=",1,"<",2]}]}"#, "Too many elements in numeric expression", "a", 1, 26),
        (r#"{"a":[{"numeric":[">",5,"<",1]}]}"#, "Bottom must be less than top", "a", 1, 31),
        (r#"{"a":[{"numeric":[">",1,">",2]}]}"#, "Bad numeric range operator: >", "a", 1, 28),
        (r#"{"a":[{"numeric":["=",123456789012345678]}]}"#, "Cannot compare number : 123456789012345678", "a", 1, 41),
        (
            r#"{"a":[{"anything-but":null}]}"#,
            "Value of anything-but must be an array or single string/number value.",
            "a",
            1,
            27,
        ),
        (
            r#"{"a":[{"anything-but":[]}]}"#,
            "Inside anything but list, either all values are number or string, mixed type is not supported",
            "a",
            1,
            25,
        ),
        (r#"{"a":[{"anything-but":{"prefix":""}}]}"#, "Null prefix/suffix not allowed", "a", 1, 34),
        (r#"{"a":[{"anything-but":{"cidr":"x"}}]}"#, "Unsupported anything-but pattern: cidr", "a", 1, 32),
        (r#"{"$or":[{"a":["x"]}]}"#, "There must have at least 2 Objects in $or relationship.", "", 1, 21),
        (r#"{"a":["x"]"#, "Unexpected end-of-input", "", 1, 11),
        (
            r#"{"a":[{"wildcard":"*aaaaaaaaaaaaaaaa"}]}"#,
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character",
            "a",
            1,
            40,
        ),
    ] {
        let error = Pattern::parse(text).unwrap_err();
        assert_eq!((error.what(), error.path()), (what, path), "{text}");
        if (error.line(), error.column()) != (line, column) {
            wrong.push(format!("{text}: {error} not {line}, {column}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_refusal_reads_as_on_aws() {
    let error = Pattern::parse(r#"{"source": ["aws.health"], "detail": {}}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Event pattern is not valid. Reason: Empty objects are not allowed\n \
         at [Source: (String)\"{\"source\": [\"aws.health\"], \"detail\": {}}\"; line: 1, column: 40]"
    );
    let long = format!(r#"{{"a": ["{}"], "b": []}}"#, "x".repeat(600));
    assert!(
        Pattern::parse(&long)
            .unwrap_err()
            .reason()
            .to_string()
            .contains("xxx\"[truncated 120 chars]; line: 1, column: 620]")
    );
}

/// `$or` that cannot be an alternative is a name like any other.
#[test]
fn a_field_can_be_called_or() {
    for (pattern, event, expected) in [
        (r#"{"$or": ["x"]}"#, r#"{"$or": "x"}"#, true),
        (r#"{"$or": ["x"]}"#, r#"{"a": "x"}"#, false),
        (r#"{"$or": {"a": ["x"]}}"#, r#"{"$or": {"a": "x"}}"#, true),
        (r#"{"$or": [{"prefix": "ab"}, {"prefix": "x"}]}"#, r#"{"$or": "abc"}"#, true),
        // A field beside an alternative takes the place of the one within, when it comes later.
        (r#"{"$or": [{"a": ["x"]}, {"b": ["y"]}], "a": ["z"]}"#, r#"{"a": "x"}"#, false),
        (r#"{"$or": [{"a": ["x"]}, {"b": ["y"]}], "a": ["z"]}"#, r#"{"a": "z"}"#, true),
        (r#"{"a": ["z"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}"#, r#"{"a": "x"}"#, true),
    ] {
        let event = Event::parse(event.as_bytes()).unwrap();
        assert_eq!(Pattern::parse(pattern).unwrap().matches(&event), expected, "{pattern}");
    }
    let many = |n: usize| (0..n).map(|n| format!(r#"{{"a{n}": [1]}}"#)).collect::<Vec<_>>().join(",");
    let product = |a: usize, b: usize| format!(r#"{{"x": {{"$or": [{}]}}, "y": {{"$or": [{}]}}}}"#, many(a), many(b));
    assert!(Pattern::parse(&product(40, 25)).is_ok());
    assert!(Pattern::parse(&product(40, 26)).unwrap_err().what().starts_with("Rule is too complex"));
}

#[test]
fn events_are_refused() {
    for (text, expected) in [
        ("", EventError::NoObject),
        ("[]", EventError::NoObject),
        ("{\"a\":1} x", EventError::Json { reason: "there is something behind the event", at: 8 }),
        ("{\"a\":}", EventError::Json { reason: "a value is expected", at: 5 }),
        ("{\"a\":01}", EventError::Json { reason: "a comma or } is expected", at: 6 }),
        (
            "{\"a\":\"\u{1}\"}",
            EventError::Json {
                reason: "Illegal unquoted character: has to be escaped to be included in a string value",
                at: 5,
            },
        ),
    ] {
        assert_eq!(Event::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
    }
    assert_eq!(Event::parse(&vec![b' '; 2 << 20]).unwrap_err(), EventError::TooLong);
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(Event::parse(nested(MAX_EVENT_DEPTH - 1).as_bytes()).is_ok());
    assert_eq!(Event::parse(nested(MAX_EVENT_DEPTH).as_bytes()).unwrap_err(), EventError::TooDeep);
    assert!(Event::parse(&b"{\"a\":\"\xff\"}"[..]).is_err());
}

#[test]
fn filter_policies_have_limits_of_their_own() {
    use FilterScope::{MessageAttributes, MessageBody};
    let values = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for (text, scope, refusal) in [
        (format!(r#"{{"a": [{}]}}"#, values(150)), MessageAttributes, None),
        (format!(r#"{{"a": [{}]}}"#, values(151)), MessageAttributes, Some("Filter policy is too complex")),
        (r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1]}"#.to_owned(), MessageBody, None),
        (
            r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}"#.to_owned(),
            MessageBody,
            Some("Filter policy can not have more than 5 keys"),
        ),
        (r#"{"a": {"b": ["x"]}}"#.to_owned(), MessageBody, None),
        (
            r#"{"a": {"b": ["x"]}}"#.to_owned(),
            MessageAttributes,
            Some("Filter policy scope MessageAttributes does not support nested filter policy"),
        ),
        // Three levels of four values, two of three, one of three: 3 x 4 x 2 x 3 x 1 x 3 = 216.
        (
            r#"{"a":{"b":{"c":[1,2,3,4]}},"d":{"e":[1,2,3]},"f":[1,2,3]}"#.to_owned(),
            MessageBody,
            Some("Filter policy is too complex"),
        ),
        (r#"{"a":{"b":{"c":[1,2,3,4]}},"d":{"e":[1,2,3]}}"#.to_owned(), MessageBody, None),
        (r#"{"$or":[{"a":["x"]},{"b":["y"]}]}"#.to_owned(), MessageAttributes, None),
        (r#"{"a":["x"]} junk"#.to_owned(), MessageBody, Some("failed to parse JSON")),
        (r#"{"a":"x"}"#.to_owned(), MessageBody, Some("\"a\" must be an object or an array")),
    ] {
        let got = Pattern::parse_filter_policy(&text, scope).err();
        assert_eq!(got.as_ref().map(millpond_pattern::PatternError::what), refusal, "{text}");
    }
}

#[test]
fn filter_policies_see_attributes() {
    let event = Event::of_attributes([
        ("store", Attribute::Text("example_corp")),
        ("price", Attribute::Number("210.75")),
        ("interests", Attribute::List(r#"["rugby", 7, true, null, 1e2]"#)),
        ("id.of", Attribute::Text("10.0.0.77")),
        ("odd", Attribute::List("no list")),
        ("digits", Attribute::Text("100")),
    ]);
    for (policy, expected) in [
        (r#"{"store": ["example_corp"]}"#, true),
        (r#"{"store": [{"anything-but": "example_corp"}]}"#, false),
        (r#"{"store": [{"prefix": "ex"}], "price": [{"numeric": [">", 200, "<=", 210.75]}]}"#, true),
        (r#"{"interests": ["hockey", "rugby"]}"#, true),
        (r#"{"interests": [true]}"#, true),
        (r#"{"interests": [null]}"#, true),
        (r#"{"interests": [{"numeric": ["=", 100]}]}"#, true),
        (r#"{"interests": [{"numeric": [">", 100]}]}"#, false),
        (r#"{"id.of": [{"cidr": "10.0.0.0/24"}]}"#, true),
        (r#"{"odd": [{"exists": true}]}"#, false),
        (r#"{"digits": [100]}"#, false),
        (r#"{"digits": ["100"], "missing": [{"exists": false}]}"#, true),
        (r#"{"store": [{"equals-ignore-case": "EXAMPLE_corp"}]}"#, true),
        (r#"{"$or": [{"store": ["other"]}, {"price": [210.75]}]}"#, true),
    ] {
        let policy = Pattern::parse_filter_policy(policy, FilterScope::MessageAttributes).unwrap();
        assert_eq!(policy.matches(&event), expected, "{policy:?}");
    }
}
