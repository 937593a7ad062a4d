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
