use proptest::prelude::*;

use super::*;

const KEYS: [Key<'_>; 6] = [
    ("day", "date"),
    ("n", "int"),
    ("place", "string"),
    ("price", "decimal(10,2)"),
    ("at", "timestamp"),
    ("flag", "boolean"),
];

fn values() -> Vec<String> {
    ["2030-01-02", "9", "Kiel", "-1.50", "2030-01-02 03:04:05", "true"].map(str::to_owned).to_vec()
}

fn ask(text: &str) -> Result<bool, String> {
    Predicate::parse(text, &KEYS).and_then(|p| p.holds(&values())).map_err(|e| e.to_string())
}

#[test]
fn expressions() {
    for (text, expected) in [
        ("n = 9", true),
        ("n == '9'", true),
        ("N < 10", true),
        ("n > 10", false),
        ("n <> 9", false),
        ("n != 8", true),
        ("n < > 8", true),
        ("n > = 9 and n<=9", true),
        ("place < 'Z'", true),
        ("place='kiel'", false),
        ("\"place\" = 'Kiel' AND `n` = 9", true),
        ("day = '2030-01-02'", true),
        ("day >= date '2030-1-2'", true),
        ("at > '2030-01-02 03:04:04.9'", true),
        ("at < timestamp '2030-01-03'", true),
        ("price = -1.5", true),
        ("price > -1.51 and price < 0", true),
        ("price <= '-1.50'", true),
        ("n IN (1, 9, 20)", true),
        ("n NOT IN (1, 9)", false),
        ("n BETWEEN 5 AND 9 AND place LIKE 'K%'", true),
        ("n NOT BETWEEN 5 AND 9", false),
        ("place LIKE '_i%l'", true),
        ("place NOT LIKE '%x%'", true),
        ("place LIKE 'Kie'", false),
        ("n IS NULL", false),
        ("n IS NOT NULL", true),
        ("NOT n = 9 OR place = 'Kiel'", true),
        ("NOT (n = 9 OR place = 'Kiel')", false),
        ("n = 1 OR n = 9 AND place = 'x'", false),
        ("((n = 9))", true),
        ("place <> 'it''s'", true),
    ] {
        assert_eq!(ask(text), Ok(expected), "{text}");
    }
}

#[test]
fn refusals() {
    for (text, message) in [
        ("", "Unsupported expression: position 0: the end found, the name of a partition key expected"),
        (
            "n",
            "Unsupported expression: position 1: the end found, =, <>, !=, <, <=, >, >=, IN, BETWEEN, LIKE or IS NULL expected",
        ),
        ("n = ", "Unsupported expression: position 4: the end found, a string in single quotes or a number expected"),
        ("n = n", "Unsupported expression: position 4: 'n' found, a string in single quotes or a number expected"),
        ("5 = n", "Unsupported expression: position 0: '5' found, the name of a partition key expected"),
        ("n = 1 n = 2", "Unsupported expression: position 6: 'n' found, AND, OR or the end expected"),
        ("(n = 1", "Unsupported expression: position 6: the end found, ')' expected"),
        ("n in ()", "Unsupported expression: position 6: ')' found, a string in single quotes or a number expected"),
        ("n is 5", "Unsupported expression: position 5: '5' found, NULL expected"),
        ("n not = 5", "Unsupported expression: position 6: '=' found, IN, BETWEEN or LIKE expected"),
        (
            "place = 'é' ; x",
            "Unsupported expression: position 12: ';' found, a name, a literal or an operator expected",
        ),
        ("place = 'x", "Unsupported expression: position 8: ' found, the same quote at the end expected"),
        ("year = 1", "Unknown column 'year': the partition keys are day, n, place, price, at, flag"),
        ("n = 'x'", "For input string: \"x\" is not an integer."),
        ("day = 'x'", "For input string: \"x\" is not a date, yyyy-MM-dd."),
        ("n like '9'", "Integer data type not supported for LIKE operator!"),
        ("flag = 'true'", "the type boolean of the partition key 'flag' is not supported in expressions"),
    ] {
        assert_eq!(ask(text), Err(message.to_owned()), "{text}");
    }
    assert_eq!(Predicate::parse(&"(".repeat(2_000), &KEYS), Err(PredicateError::TooDeep));
    assert_eq!(Predicate::parse(&"not ".repeat(500), &KEYS), Err(PredicateError::TooDeep));
    assert_eq!(Predicate::parse(&" ".repeat(2_049), &KEYS), Err(PredicateError::TooLong));
}

#[test]
fn null_is_no_value() {
    let null = vec![DEFAULT_PARTITION.to_owned()];
    for (text, expected) in [
        ("n = 1", false),
        ("not n = 1", false),
        ("n is null", true),
        ("n is null or n = 1", true),
        ("n not in (1)", false),
    ] {
        assert_eq!(Predicate::parse(text, &[("n", "int")]).unwrap().holds(&null), Ok(expected), "{text}");
    }
}

#[test]
fn values_of_other_types_are_errors() {
    let predicate = Predicate::parse("n >= 0", &[("n", "long")]).unwrap();
    let error = predicate.holds(&["null".to_owned()]).unwrap_err();
    assert!(matches!(error, PredicateError::PartitionValue { .. }));
    assert_eq!(error.to_string(), "For input string: \"null\" is not an integer.");
    // Keys that are not asked may be of any type and value.
    let predicate = Predicate::parse("n >= 0", &[("n", "long"), ("x", "float")]).unwrap();
    assert_eq!(predicate.holds(&["1".to_owned(), "?".to_owned()]), Ok(true));
}

#[test]
fn tests_of_drop_partition() {
    let test = |key: &str, op, value: &str| PartitionTest { key: key.into(), op, value: value.into() };
    let tests = [test("n", Comparison::Greater, "08"), test("place", Comparison::Equal, "Kiel")];
    assert_eq!(Predicate::of_tests(&tests, &KEYS).unwrap().holds(&values()), Ok(true));
    assert!(Predicate::of_tests(&[test("z", Comparison::Equal, "1")], &KEYS).is_err());
}

proptest! {
    #[test]
    fn integers_compare_as_numbers(a in -1000i64..1000, b in -1000i64..1000) {
        let keys = [("n", "bigint"), ("d", "decimal(9,1)")];
        let values = [a.to_string(), format!("{a}.0")];
        for (op, held) in [("<", a < b), ("<=", a <= b), ("=", a == b), ("<>", a != b), (">", a > b), (">=", a >= b)] {
            for key in ["n", "d"] {
                let predicate = Predicate::parse(&format!("{key} {op} {b}"), &keys).unwrap();
                prop_assert_eq!(predicate.holds(&values), Ok(held), "{} {} {}", a, op, b);
            }
        }
    }

    #[test]
    fn like_is_as_a_regular_expression(pattern in "[ab%_]{0,8}", text in "[ab]{0,8}") {
        let regex = format!("^{}$", pattern.replace('%', ".*").replace('_', "."));
        prop_assert_eq!(like(&pattern, &text), regex::Regex::new(&regex).unwrap().is_match(&text));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(n|place|and|or|not|in|between|like|is|null|'x'|-|1|[(),=<>! .'\"]|é){0,16}") {
        let _ = ask(&text);
    }
}

const TEXTS: [Key<'_>; 3] = [("a", "string"), ("n", "int"), ("b", "string")];

#[test]
fn spans_of_expressions() {
    let span = |values: &[&str], least: Option<&str>, most: Option<&str>| Span {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        least: least.map(str::to_owned),
        most: most.map(str::to_owned),
    };
    for (text, expected) in [
        ("a = 'x'", vec![span(&["x"], None, None)]),
        ("a = 'x' and b = '1'", vec![span(&["x"], None, None)]),
        ("n = 1", vec![span(&[], None, None)]),
        ("not a = 'x'", vec![span(&[], None, None)]),
        ("a = 'x' or b = 'y'", vec![span(&[], None, None)]),
        ("a = 'y' or a = 'x'", vec![span(&["x"], None, None), span(&["y"], None, None)]),
        ("a in ('y', 'x') and a > 'x'", vec![span(&["x"], None, None), span(&["y"], None, None)]),
        ("a in ('y', 'x') and a > 'xa'", vec![span(&["y"], None, None)]),
        ("a = 'x' and a = 'y'", vec![]),
        ("a >= '2' and a < '3'", vec![span(&[], Some("2"), Some("3"))]),
        ("a between '2' and '3' or a = '5'", vec![span(&[], Some("2"), Some("5"))]),
        ("a between '2' and '3' or a = '31'", vec![span(&[], Some("2"), Some("3"))]),
        ("a between '2' and '3' or a <= '1'", vec![span(&[], None, Some("3"))]),
        ("a like '2019-%'", vec![span(&[], Some("2019-"), Some("2019-"))]),
        ("a like '%9'", vec![span(&[], None, None)]),
        ("a = '__HIVE_DEFAULT_PARTITION__'", vec![]),
    ] {
        assert_eq!(Predicate::parse(text, &TEXTS).unwrap().spans(), expected, "{text}");
    }
    let many = |count: usize| (0..count).map(|n| format!("'{n:04}'")).collect::<Vec<_>>().join(", ");
    let spans = |keys: &[Key<'_>], text: &str| Predicate::parse(text, keys).unwrap().spans();
    let both = [("a", "string"), ("b", "string")];
    assert_eq!(spans(&both, &format!("a in ({}) and b in ({})", many(10), many(100))).len(), 1_000);
    let fewer = spans(&both, &format!("a in ({}) and b in ({})", many(11), many(100)));
    assert_eq!(fewer.len(), 11);
    assert_eq!(fewer[10], span(&["0010"], Some("0000"), Some("0099")));
}

/// Expressions over two texts.
fn some_expression() -> impl Strategy<Value = String> {
    let text = || "[ab%_]{0,3}";
    let test = prop_oneof![
        ("[ab]", "=|<>|<|<=|>|>=", text()).prop_map(|(key, op, text)| format!("{key} {op} '{text}'")),
        ("[ab]", text()).prop_map(|(key, text)| format!("{key} LIKE '{text}'")),
        ("[ab]", text(), text()).prop_map(|(key, one, other)| format!("{key} BETWEEN '{one}' AND '{other}'")),
        ("[ab]", text(), text()).prop_map(|(key, one, other)| format!("{key} IN ('{one}', '{other}')")),
        "[ab]".prop_map(|key| format!("{key} IS NULL")),
    ];
    test.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), "AND|OR", inner.clone()).prop_map(|(one, op, other)| format!("({one} {op} {other})")),
            inner.prop_map(|one| format!("NOT ({one})")),
        ]
    })
}

proptest! {
    /// What an expression holds for is in one of its spans, and they stand in order.
    #[test]
    fn spans_have_all(text in some_expression(), a in "[ab%_]{0,4}|__HIVE_DEFAULT_PARTITION__", b in "[ab%_]{0,4}") {
        let read = Predicate::parse(&text, &[("a", "string"), ("b", "string")]).unwrap();
        let (values, spans) = (vec![a, b], read.spans());
        let is_in = |span: &Span| {
            let next = values.get(span.values.len()).map(String::as_str).unwrap_or_default();
            values.starts_with(&span.values)
                && span.least.as_deref().is_none_or(|least| next >= least)
                && span.most.as_deref().is_none_or(|most| next <= most || next.starts_with(most))
        };
        if read.holds(&values).unwrap() {
            prop_assert!(spans.iter().any(is_in), "{} {:?} {:?}", text, values, spans);
        }
        prop_assert!(spans.windows(2).all(|pair| pair[0].values < pair[1].values));
    }
}
