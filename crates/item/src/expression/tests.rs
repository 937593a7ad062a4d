//! Expressions as tables: text, placeholders, and what comes of them.

mod bounds;
mod twin;

use std::collections::BTreeMap;

use super::*;
use crate::{Item, Kind, Value};

/// The placeholders that tests use, as far as an expression names them.
pub(super) fn placeholders(names: &[(&str, &str)], values: &str) -> Placeholders {
    let names: BTreeMap<String, String> = names.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let values = Item::from_json(values.as_bytes()).unwrap().into_inner();
    Placeholders::new((!names.is_empty()).then_some(names), (!values.is_empty()).then_some(values)).unwrap()
}

fn item(json: &str) -> Item {
    Item::from_json(json.as_bytes()).unwrap()
}

const VALUES: &str = r##"{
    ":s": {"S": "s"}, ":t": {"S": "t"}, ":n": {"N": "1"}, ":m": {"N": "5"}, ":b": {"B": "YQ=="}, ":bool": {"BOOL": true},
    ":null": {"NULL": true}, ":l": {"L": []}, ":map": {"M": {}}, ":ss": {"SS": ["s"]}, ":ns": {"NS": ["1"]}, ":bs": {"BS": ["YQ=="]}, ":z": {"B": "eg=="},
    ":ll": {"L": [{"N": "7"}, {"N": "8"}]}, ":ts": {"SS": ["t"]}, ":big": {"N": "9e125"}
}"##;

fn names() -> Vec<(&'static str, &'static str)> {
    vec![("#a", "a"), ("#b", "b"), ("#status", "status"), ("#odd", "a.b")]
}

fn condition_error(text: &str) -> String {
    placeholders(&names(), VALUES).condition(text).unwrap_err().to_string()
}

fn update_error(text: &str) -> String {
    placeholders(&names(), VALUES).update(text).unwrap_err().to_string()
}

const BAD_CONDITIONS: &[(&str, &str)] = &[
    ("", "The expression can not be empty;"),
    ("things are not gonna be ok", r#"Syntax error; token: "are", near: "things are not""#),
    ("a > 4", r#"Syntax error; token: "4", near: "> 4""#),
    ("a = :s AND", r#"Syntax error; token: "<EOF>", near: "AND""#),
    ("a", r#"Syntax error; token: "<EOF>", near: "a""#),
    ("a AND b = :s", r#"Syntax error; token: "AND", near: "a AND b""#),
    ("a = (b = :s)", r#"Syntax error; token: "=", near: "b = :s""#),
    ("attribute_exists(Pictures-RearView)", r#"Syntax error; token: "-", near: "Pictures-RearView""#),
    ("attribute_exists(Pictures..RearView)", r#"Syntax error; token: ".", near: "..RearView""#),
    ("attribute_exists(b[a])", r#"Syntax error; token: "a", near: "[a]""#),
    ("b[-1] = :s", r#"Syntax error; token: "-", near: "[-1""#),
    ("b[] = :s", r#"Syntax error; token: "]", near: "[] =""#),
    ("b[01] = :s", r#"Syntax error; token: "1", near: "01]""#),
    ("a in b", r#"Syntax error; token: "b", near: "in b""#),
    ("a in (b,c,)", r#"Syntax error; token: ")", near: ",)""#),
    ("a > between", r#"Syntax error; token: "between", near: "> between""#),
    ("a > :s.stuff", r#"Syntax error; token: ".", near: ":s.stuff""#),
    ("ü > a", r#"Syntax error; token: "ü", near: "ü >""#),
    ("size(a).b > :n", r#"Syntax error; token: ".", near: ").b""#),
    ("(size(a))[0] > :n", r#"Syntax error; token: "[", near: ")[0""#),
    ("((a = :s))", "The expression has redundant parentheses;"),
    ("b = :s and a > ((c))", "The expression has redundant parentheses;"),
    ("a = :s AND ((a = :s AND b = :s)) AND a = :s", "The expression has redundant parentheses;"),
    ("#a.status = :s", "Attribute name is a reserved keyword; reserved keyword: status"),
    (":s < abOrT", "Attribute name is a reserved keyword; reserved keyword: abOrT"),
    ("a[2147483648] = :s", "List index is not within the allowable range; index: [2147483648]"),
    ("whatever(:s) > a", "Invalid function name; function: whatever"),
    ("attRIbute_exIsts(a)", "Invalid function name; function: attRIbute_exIsts"),
    ("if_not_exists(a, :s) = :s", "The function is not allowed in a condition expression; function: if_not_exists"),
    ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
    ("contains(a, :s) > b", "The function is not allowed to be used this way in an expression; function: contains"),
    (
        "a in (b, attribute_exists(c))",
        "The function is not allowed to be used this way in an expression; function: attribute_exists",
    ),
    (
        "begins_with(a)",
        "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
    ),
    (
        "size(a, b) > :n",
        "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
    ),
    ("#x = :s", "An expression attribute name used in the document path is not defined; attribute name: #x"),
    ("a = :x", "An expression attribute value used in expression is not defined; attribute value: :x"),
    ("a = :x AND #x = :s", "An expression attribute value used in expression is not defined; attribute value: :x"),
    ("a < :bool", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
    (":null >= a", "Incorrect operand type for operator or function; operator or function: >=, operand type: NULL"),
    (
        "a BETWEEN :l AND :l",
        "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: L",
    ),
    (
        "begins_with(a, :n)",
        "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
    ),
    (
        "begins_with(a, size(b))",
        "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
    ),
    (
        "size(:bool) > a",
        "Incorrect operand type for operator or function; operator or function: size, operand type: BOOL",
    ),
    (
        "size(size(a)) > :n",
        "Incorrect operand type for operator or function; operator or function: size, operand type: N",
    ),
    (
        "attribute_type(a, :n)",
        "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
    ),
    (
        "attribute_type(a, :s)",
        "Invalid attribute type name found; type: s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
    ),
    ("attribute_exists(:s)", "Operator or function requires a document path; operator or function: attribute_exists"),
    (
        "a <> #a",
        "The first operand must be distinct from the remaining operands for this operator or function; operator: <>, first operand: [a]",
    ),
    (
        "contains(c.d[1].a, c.d[1].#a)",
        "The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [c, d, [1], a]",
    ),
    (
        "a BETWEEN :n AND :s",
        "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:s}",
    ),
    (
        "a BETWEEN :t AND :s",
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:t}, upper bound operand: AttributeValue: {S:s}",
    ),
    (
        "a BETWEEN :z AND :b",
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {B:eg==}, upper bound operand: AttributeValue: {B:YQ==}",
    ),
    ("attribute_type()", r#"Syntax error; token: ")", near: "()""#),
];

#[test]
fn conditions_that_make_no_sense() {
    for (text, expected) in BAD_CONDITIONS {
        assert_eq!(condition_error(text), format!("Invalid ConditionExpression: {expected}"), "{text}");
    }
}

#[test]
fn limits_of_conditions() {
    let fits = |text: &str| placeholders(&names(), VALUES).filter(text).map(drop).map_err(|error| error.to_string());
    let long = |bytes: usize| format!("{} = :s", "a".repeat(bytes - 5));
    assert_eq!(fits(&long(4096)), Ok(()));
    let expected =
        "Invalid FilterExpression: Expression size has exceeded the maximum allowed size; expression size: 4097";
    assert_eq!(fits(&long(4097)), Err(expected.to_owned()));
    let values = |count: usize| format!("a IN ({})", vec![":s"; count].join(","));
    assert_eq!(fits(&values(100)), Ok(()));
    let expected =
        "Invalid FilterExpression: The IN operator is provided with too many operands; number of operands: 101";
    assert_eq!(fits(&values(101)), Err(expected.to_owned()));
    // A comparison and an OR each.
    let many = |count: usize| vec!["a=:s"; count].join(" OR ");
    assert_eq!(fits(&many(150)), Ok(()));
    let expected = "Invalid FilterExpression: The expression contains too many operators; operator count: 301";
    assert_eq!(fits(&many(151)), Err(expected.to_owned()));
    let deep = |steps: usize| format!("a{} = :s", ".b".repeat(steps - 1));
    assert_eq!(fits(&deep(32)), Ok(()));
    let expected = "Invalid FilterExpression: The document path has too many nesting levels; nesting levels: 33";
    assert_eq!(fits(&deep(33)), Err(expected.to_owned()));
    for deep in ["(".repeat(4000), "NOT ".repeat(1000) + "a=:s", "size(".repeat(800), "NOT(".repeat(1000)] {
        assert!(fits(&deep).is_err());
    }
    let nested = format!("{}a=:s{}", "(a=:s AND ".repeat(90), ")".repeat(90));
    assert_eq!(fits(&nested), Ok(()));
}

const HOLDS: &[(&str, bool)] = &[
    ("s = :s", true),
    ("n = :five", true),
    ("n = :s", false),
    ("n <> :s", true),
    ("ss = :ss", true),
    ("yes = :yes", true),
    ("gone = :s", false),
    ("gone <> :s", true),
    ("gone <> lost", true),
    ("NOT gone = :s", true),
    ("n < :nine AND n > :one", true),
    ("n < :z", false),
    ("n >= :z", false),
    ("s > :h", true),
    ("b > :bytes", true),
    ("gone < :nine", false),
    ("n BETWEEN :one AND :nine", true),
    ("n BETWEEN :five AND :five", true),
    ("n BETWEEN :a AND :z", false),
    (":five BETWEEN l[0] AND n", true),
    ("n IN (:one, :five)", true),
    ("n IN (:one, :s)", false),
    ("gone IN (:one, lost)", false),
    ("attribute_exists(s)", true),
    ("attribute_exists(m.k)", true),
    ("attribute_exists(m.k.x)", false),
    ("attribute_exists(l[2])", true),
    ("attribute_exists(l[3])", false),
    ("attribute_not_exists(l[3])", true),
    ("attribute_not_exists(s)", false),
    ("attribute_exists(#odd)", true),
    ("attribute_type(m, :M)", true),
    ("attribute_type(n, :M)", false),
    ("attribute_type(gone, :N)", false),
    ("begins_with(s, :h)", true),
    ("begins_with(s, :e)", true),
    ("begins_with(b, :bytes)", true),
    ("begins_with(n, :h)", false),
    ("begins_with(gone, :h)", false),
    ("contains(s, :ll)", true),
    ("contains(b, :tail)", true),
    ("contains(ss, :a)", true),
    ("contains(ns, :one)", true),
    ("contains(bs, :b1)", true),
    ("contains(l, :one)", true),
    ("contains(l, :empty)", true),
    ("contains(ss, :one)", false),
    ("contains(m, :a)", false),
    ("contains(:s, m.k)", false),
    ("size(s) = :five", true),
    ("size(b) > :one", true),
    ("size(m.l) = :one", true),
    ("size(n) = :one", false),
    ("size(gone) = :one", false),
    ("m.l[0] > n", true),
    // NOT binds tightest, then AND, then OR.
    ("n = :five OR n = :one AND s = :z", true),
    ("(n = :five OR n = :one) AND s = :z", false),
    ("NOT n = :one AND s = :s", true),
    ("NOT (n = :one AND s = :s)", true),
    ("NOT NOT n = :five", true),
    ("(n) = (:five)", true),
    ("n=:five and not(s=:z)or s=:z", true),
];

#[test]
fn what_holds() {
    let item = item(
        r#"{"s": {"S": "héllo"}, "n": {"N": "5"}, "b": {"B": "AQID"}, "yes": {"BOOL": true}, "nil": {"NULL": true},
            "l": {"L": [{"N": "1"}, {"S": "x"}, {"L": []}]}, "m": {"M": {"k": {"S": "v"}, "l": {"L": [{"N": "7"}]}}},
            "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["AQ=="]}, "a.b": {"S": "dotted"}}"#,
    );
    let values = r#"{":s": {"S": "héllo"}, ":h": {"S": "h"}, ":ll": {"S": "ll"}, ":a": {"S": "a"}, ":z": {"S": "z"}, ":one": {"N": "1"},
        ":five": {"N": "5.0"}, ":nine": {"N": "9"}, ":yes": {"BOOL": true}, ":bytes": {"B": "AQI="}, ":tail": {"B": "AgM="},
        ":b1": {"B": "AQ=="}, ":ss": {"SS": ["b", "a"]}, ":M": {"S": "M"}, ":N": {"S": "N"}, ":empty": {"L": []}, ":e": {"S": ""}}"#;
    for (text, expected) in HOLDS {
        let condition =
            placeholders(&names(), values).condition(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(condition.holds(&item), *expected, "{text}");
    }
    // UTF-16 code units.
    let condition = placeholders(&[], r#"{":n": {"N": "3"}}"#).condition("size(a) = :n").unwrap();
    assert!(condition.holds(&self::item(r#"{"a": {"S": "é𝄞"}}"#)));
}

const BAD_UPDATES: &[(&str, &str)] = &[
    ("", "The expression can not be empty;"),
    ("INVALID SYNTAX HERE", r#"Syntax error; token: "INVALID", near: "INVALID SYNTAX""#),
    ("ADD numx", r#"Syntax error; token: "<EOF>", near: "numx""#),
    ("SET note = :s +", r#"Syntax error; token: "<EOF>", near: "+""#),
    ("SET numx = numx * :n", r#"Syntax error; token: "*", near: "numx * :n""#),
    ("ADD numx 1", r#"Syntax error; token: "1", near: "numx 1""#),
    ("DELETE setx a", r#"Syntax error; token: "a", near: "setx a""#),
    ("SET lst[0.#a = :s", r#"Syntax error; token: ".", near: "0.#a""#),
    ("SET a = {\"NULL\": true}", r#"Syntax error; token: "{", near: "= {"""#),
    ("SET _123 = :s", r#"Syntax error; token: "_", near: "SET _123""#),
    ("SET path = VALUE 1", r#"Syntax error; token: "1", near: "VALUE 1""#),
    ("set a=set", r#"Syntax error; token: "set", near: "=set""#),
    ("set a = b + c + d", r#"Syntax error; token: "+", near: "c + d""#),
    ("set a = (b.c).d + e", r#"Syntax error; token: ".", near: ").d""#),
    ("remove a = b", r#"Syntax error; token: "=", near: "a = b""#),
    ("set :s = b", r#"Syntax error; token: ":s", near: "set :s =""#),
    ("set a = b where c", r#"Syntax error; token: "where", near: "b where c""#),
    ("set a = ((b))", "The expression has redundant parentheses;"),
    (" remove Absolute ", "Attribute name is a reserved keyword; reserved keyword: Absolute"),
    ("SET a = :s SET b = :s", r#"The "SET" section can only be used once in an update expression;"#),
    ("remove a set b = :s remove c", r#"The "REMOVE" section can only be used once in an update expression;"#),
    ("set a = if_not_exist(b, :s)", "Invalid function name; function: if_not_exist"),
    ("SET c = contains(a, :s)", "The function is not allowed in an update expression; function: contains"),
    ("SET c = size(a)", "The function is not allowed in an update expression; function: size"),
    (
        "SET c = list_append(list_append(a, :l), :l)",
        "The function is not allowed to be used this way in an expression; function: list_append",
    ),
    ("SET #x = :s", "An expression attribute name used in the document path is not defined; attribute name: #x"),
    ("SET c = :x", "An expression attribute value used in expression is not defined; attribute value: :x"),
    (
        "SET a = :s, #a = :s",
        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
    ),
    (
        "SET c = :map, c.d = :n",
        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [c], path two: [c, d]",
    ),
    (
        "SET c[0] = :s, c[0].d = :s",
        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [c, [0]], path two: [c, [0], d]",
    ),
    (
        "remove a.c set a[1] = #b",
        "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, c], path two: [a, [1]]",
    ),
    (
        "ADD c :s",
        "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND",
    ),
    (
        "SET a = :s ADD c :bool",
        "Incorrect operand type for operator or function; operator: ADD, operand type: BOOL, typeSet: ALLOWED_FOR_ADD_OPERAND",
    ),
    (
        "DELETE c :n",
        "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_ADD_OPERAND",
    ),
    (
        "SET c = if_not_exists(d)",
        "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1",
    ),
    (
        "SET c = if_not_exists(:s, d)",
        "Operator or function requires a document path; operator or function: if_not_exists",
    ),
    (
        "SET c = if_not_exists(if_not_exists(a, b), d)",
        "Operator or function requires a document path; operator or function: if_not_exists",
    ),
    (
        "SET c = list_append(:s, d)",
        "Incorrect operand type for operator or function; operator or function: list_append, operand type: S",
    ),
    ("SET c = c + :s", "Incorrect operand type for operator or function; operator or function: +, operand type: S"),
    ("SET c = :l - c", "Incorrect operand type for operator or function; operator or function: -, operand type: L"),
];

#[test]
fn updates_that_make_no_sense() {
    for (text, expected) in BAD_UPDATES {
        assert_eq!(update_error(text), format!("Invalid UpdateExpression: {expected}"), "{text}");
    }
    let long = format!("SET {} = :s", "a".repeat(4096));
    let expected = "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size;";
    assert_eq!(update_error(&long), expected);
}

const BEFORE: &str = r#"{"n": {"N": "5"}, "s": {"S": "x"}, "l": {"L": [{"S": "a"}, {"S": "b"}, {"S": "c"}]}, "ss": {"SS": ["s", "u"]},
    "m": {"M": {"k": {"N": "1"}, "tags": {"SS": ["s"]}, "l": {"L": [{"N": "1"}, {"N": "2"}]}}}, "hollow": {"L": []}}"#;

/// The expression; the attributes that it changes, as they are afterwards; `UPDATED_OLD`; `UPDATED_NEW`.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    ("SET a = :s", r#"{"a":{"S":"s"}}"#, "{}", r#"{"a":{"S":"s"}}"#),
    ("SET n = n + :m", r#"{"n":{"N":"10"}}"#, r#"{"n":{"N":"5"}}"#, r#"{"n":{"N":"10"}}"#),
    ("SET n = (:m - n)", r#"{"n":{"N":"0"}}"#, r#"{"n":{"N":"5"}}"#, r#"{"n":{"N":"0"}}"#),
    (
        "SET n = s, s = n",
        r#"{"n":{"S":"x"},"s":{"N":"5"}}"#,
        r#"{"n":{"N":"5"},"s":{"S":"x"}}"#,
        r#"{"n":{"S":"x"},"s":{"N":"5"}}"#,
    ),
    ("SET a = if_not_exists(a, :n)", r#"{"a":{"N":"1"}}"#, "{}", r#"{"a":{"N":"1"}}"#),
    ("SET n = if_not_exists(n, :n)", "{}", r#"{"n":{"N":"5"}}"#, r#"{"n":{"N":"5"}}"#),
    ("SET a = if_not_exists(a, :n) + :m", r#"{"a":{"N":"6"}}"#, "{}", r#"{"a":{"N":"6"}}"#),
    (
        "SET hollow = list_append(hollow, :ll)",
        r#"{"hollow":{"L":[{"N":"7"},{"N":"8"}]}}"#,
        r#"{"hollow":{"L":[]}}"#,
        r#"{"hollow":{"L":[{"N":"7"},{"N":"8"}]}}"#,
    ),
    (
        "SET a = list_append(if_not_exists(a, :ll), :l)",
        r#"{"a":{"L":[{"N":"7"},{"N":"8"}]}}"#,
        "{}",
        r#"{"a":{"L":[{"N":"7"},{"N":"8"}]}}"#,
    ),
    (
        "SET m.#a = :s, m.k = :s",
        r#"{"m":{"M":{"a":{"S":"s"},"k":{"S":"s"},"l":{"L":[{"N":"1"},{"N":"2"}]},"tags":{"SS":["s"]}}}}"#,
        r#"{"m":{"M":{"k":{"N":"1"}}}}"#,
        r#"{"m":{"M":{"a":{"S":"s"},"k":{"S":"s"}}}}"#,
    ),
    (
        "SET l[1] = :n",
        r#"{"l":{"L":[{"S":"a"},{"N":"1"},{"S":"c"}]}}"#,
        r#"{"l":{"L":[{"S":"b"}]}}"#,
        r#"{"l":{"L":[{"N":"1"}]}}"#,
    ),
    (
        "SET l[9] = :m, l[7] = :n",
        r#"{"l":{"L":[{"S":"a"},{"S":"b"},{"S":"c"},{"N":"1"},{"N":"5"}]}}"#,
        "{}",
        r#"{"l":{"L":[{"N":"1"},{"N":"5"}]}}"#,
    ),
    ("SET hollow[0] = :n", r#"{"hollow":{"L":[{"N":"1"}]}}"#, "{}", r#"{"hollow":{"L":[{"N":"1"}]}}"#),
    ("REMOVE s", "{}", r#"{"s":{"S":"x"}}"#, "{}"),
    ("REMOVE a, l[9], m.x", "{}", "{}", "{}"),
    ("REMOVE l[0], l[2]", r#"{"l":{"L":[{"S":"b"}]}}"#, r#"{"l":{"L":[{"S":"a"},{"S":"c"}]}}"#, "{}"),
    (
        "SET l[1] = :n, l[5] = :m REMOVE l[0], l[3]",
        r#"{"l":{"L":[{"N":"1"},{"S":"c"},{"N":"5"}]}}"#,
        r#"{"l":{"L":[{"S":"a"},{"S":"b"}]}}"#,
        r#"{"l":{"L":[{"N":"1"},{"N":"5"}]}}"#,
    ),
    (
        "REMOVE m.l[0]",
        r#"{"m":{"M":{"k":{"N":"1"},"l":{"L":[{"N":"2"}]},"tags":{"SS":["s"]}}}}"#,
        r#"{"m":{"M":{"l":{"L":[{"N":"1"}]}}}}"#,
        "{}",
    ),
    ("ADD n :n, a :m", r#"{"a":{"N":"5"},"n":{"N":"6"}}"#, r#"{"n":{"N":"5"}}"#, r#"{"a":{"N":"5"},"n":{"N":"6"}}"#),
    (
        "ADD ss :ts, a :ts",
        r#"{"a":{"SS":["t"]},"ss":{"SS":["s","t","u"]}}"#,
        r#"{"ss":{"SS":["s","u"]}}"#,
        r#"{"a":{"SS":["t"]},"ss":{"SS":["s","t","u"]}}"#,
    ),
    (
        "ADD m.k :m",
        r#"{"m":{"M":{"k":{"N":"6"},"l":{"L":[{"N":"1"},{"N":"2"}]},"tags":{"SS":["s"]}}}}"#,
        r#"{"m":{"M":{"k":{"N":"1"}}}}"#,
        r#"{"m":{"M":{"k":{"N":"6"}}}}"#,
    ),
    ("DELETE ss :ss, a :ss", r#"{"ss":{"SS":["u"]}}"#, r#"{"ss":{"SS":["s","u"]}}"#, r#"{"ss":{"SS":["u"]}}"#),
    (
        "DELETE m.tags :ss",
        r#"{"m":{"M":{"k":{"N":"1"},"l":{"L":[{"N":"1"},{"N":"2"}]}}}}"#,
        r#"{"m":{"M":{"tags":{"SS":["s"]}}}}"#,
        "{}",
    ),
];

#[test]
fn what_updates_change() {
    for (text, changed, old, new) in CHANGES {
        let update = placeholders(&names(), VALUES).update(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let before = item(BEFORE);
        let mut after = before.clone();
        let applied = update.apply(&mut after).unwrap_or_else(|error| panic!("{text}: {error}"));
        let shown: Item =
            after.iter().filter(|(k, v)| before.get(*k) != Some(v)).map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(shown.to_json(), *changed, "{text}");
        assert_eq!(applied.old.of(&before).to_json(), *old, "{text}");
        assert_eq!(applied.new.of(&after).to_json(), *new, "{text}");
        assert_eq!(after.contains_key("s"), *text != "REMOVE s", "{text}");
    }
}

#[test]
fn what_updates_cannot_change() {
    let missing = "The provided expression refers to an attribute that does not exist in the item";
    let kind = "An operand in the update expression has an incorrect data type";
    let path = "The document path provided in the update expression is invalid for update";
    let overflow = "Number overflow. Attempting to store a number with magnitude larger than supported range";
    let cases = [
        ("SET a = x", missing),
        ("SET n = n + x", missing),
        ("SET a = list_append(x, :l)", missing),
        ("SET n = s + :n", kind),
        ("SET n = list_append(n, :l)", kind),
        ("ADD s :n", kind),
        ("ADD ss :ns", kind),
        ("ADD l :n", kind),
        ("DELETE n :ss", kind),
        ("SET x.y = :s", path),
        ("SET s[1] = :s", path),
        ("SET l.x = :s", path),
        ("SET m.x.y = :s", path),
        ("SET m[0] = :s", path),
        ("REMOVE x.y", path),
        ("REMOVE s.y", path),
        ("ADD x.y :n", path),
        ("SET x.y = z", path),
        ("SET n = :big + :big", overflow),
        ("ADD n :big SET s = :s", overflow),
    ];
    for (text, expected) in cases {
        let update = placeholders(&names(), VALUES).update(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut after = item(BEFORE);
        assert_eq!(update.apply(&mut after).unwrap_err().to_string(), expected, "{text}");
        assert_eq!(after, item(BEFORE), "{text}");
    }
    let mut deep = Value::from("x");
    for _ in 0..30 {
        deep = Value::L(vec![deep]);
    }
    let mut values = BTreeMap::from([(":deep".to_owned(), deep)]);
    let fits = |values: &BTreeMap<String, Value>, text: &str| {
        Placeholders::new(None, Some(values.clone())).unwrap().update(text).unwrap().apply(&mut item(BEFORE)).map(drop)
    };
    assert_eq!(fits(&values, "SET m.x = :deep"), Ok(()));
    assert_eq!(fits(&values, "SET m.l[0] = :deep"), Err(UpdateError::Value(crate::ValueError::TooDeep)));
    values.entry(":deep".to_owned()).and_modify(|deep| *deep = Value::L(vec![deep.clone()]));
    assert_eq!(fits(&values, "SET a = :deep"), Ok(()));
    assert_eq!(fits(&values, "SET m.x = :deep"), Err(UpdateError::Value(crate::ValueError::TooDeep)));
}

#[test]
fn projections() {
    let item = item(
        r#"{"a": {"S": "x"}, "m": {"M": {"k": {"N": "1"}, "x": {"N": "2"}}}, "l": {"L": [{"N": "0"}, {"M": {"k": {"N": "3"}, "x": {"N": "4"}}}, {"N": "2"}]}}"#,
    );
    let cases = [
        ("a", r#"{"a":{"S":"x"}}"#),
        ("gone", "{}"),
        ("a, m.k", r#"{"a":{"S":"x"},"m":{"M":{"k":{"N":"1"}}}}"#),
        ("m.k, m.x", r#"{"m":{"M":{"k":{"N":"1"},"x":{"N":"2"}}}}"#),
        ("l[2], l[0]", r#"{"l":{"L":[{"N":"0"},{"N":"2"}]}}"#),
        ("l[1].k, l[9]", r#"{"l":{"L":[{"M":{"k":{"N":"3"}}}]}}"#),
        ("m.gone, a.gone, l[9]", "{}"),
        ("#a", r#"{"a":{"S":"x"}}"#),
    ];
    for (text, expected) in cases {
        let projection = placeholders(&names(), "{}").projection(text).unwrap();
        assert_eq!(projection.of(&item).to_json(), expected, "{text}");
        assert_eq!(projection.of_owned(item.clone()).to_json(), expected, "{text}");
    }
    let cases = [
        ("", "The expression can not be empty;"),
        ("a,", r#"Syntax error; token: "<EOF>", near: ",""#),
        ("a b", r#"Syntax error; token: "b", near: "a b""#),
        ("In", "Attribute name is a reserved keyword; reserved keyword: In"),
        ("list[0].COMMENT", "Attribute name is a reserved keyword; reserved keyword: list"),
        ("#x", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        (
            "a, #a",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
        ),
        (
            "m, m.k",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, k]",
        ),
        (
            "m.k, m[0]",
            "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, k], path two: [m, [0]]",
        ),
    ];
    for (text, expected) in cases {
        let error = placeholders(&names(), "{}").projection(text).unwrap_err();
        assert_eq!(error.to_string(), format!("Invalid ProjectionExpression: {expected}"), "{text}");
    }
}

#[test]
fn placeholders_of_requests() {
    let names = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    let long = format!("#{}", "a".repeat(255));
    let cases = [
        (names(&[]), None, "ExpressionAttributeNames must not be empty"),
        (names(&[("a", "b")]), None, r#"ExpressionAttributeNames contains invalid key: Syntax error; key: "a""#),
        (names(&[("#", "b")]), None, r##"ExpressionAttributeNames contains invalid key: Syntax error; key: "#""##),
        (
            names(&[("#a-b", "b")]),
            None,
            r##"ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b""##,
        ),
        (
            names(&[("#a", "")]),
            None,
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a",
        ),
        (
            names(&[(&long, "b")]),
            None,
            "ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long; size of key: 256",
        ),
        (None, Some(BTreeMap::new()), "ExpressionAttributeValues must not be empty"),
        (
            None,
            Some(BTreeMap::from([("v".to_owned(), Value::Null)])),
            r#"ExpressionAttributeValues contains invalid key: Syntax error; key: "v""#,
        ),
    ];
    for (names, values, expected) in cases {
        assert_eq!(Placeholders::new(names, values).unwrap_err().to_string(), expected);
    }
    let mut some = placeholders(&[("#a", "a"), ("#b", "b"), ("#c", "c")], r#"{":v": {"N": "1"}, ":w": {"N": "2"}}"#);
    some.projection("#b").unwrap();
    some.condition("#c = :v").unwrap();
    let expected = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}";
    assert_eq!(some.finish().unwrap_err().to_string(), expected);
    let mut some = placeholders(&[], r#"{":v": {"N": "1"}, ":w": {"N": "2"}, ":x": {"N": "2"}}"#);
    some.condition("c = :v").unwrap();
    let expected = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w, :x}";
    assert_eq!(some.finish().unwrap_err().to_string(), expected);
}

const BAD_KEY_CONDITIONS: &[(&str, &str)] = &[
    (
        "pk = :s AND sk > :a",
        "Invalid KeyConditionExpression: An expression attribute value used in expression is not defined; attribute value: :a",
    ),
    ("pk = :s OR sk = :n", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: OR"),
    ("NOT pk = :s", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: NOT"),
    ("pk IN (:s)", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: IN"),
    ("pk <> :s", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: <>"),
    (
        "attribute_exists(pk)",
        "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: attribute_exists",
    ),
    ("contains(pk, :s)", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: contains"),
    (
        ":n BETWEEN pk AND sk",
        "Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand",
    ),
    ("pk = size(sk)", "Invalid KeyConditionExpression: KeyConditionExpressions cannot contain nested operations"),
    (
        "pk = sk",
        "Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
    ),
    (
        "pk.a = :s",
        "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes",
    ),
    (
        ":s = :t",
        "Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: No key attribute specified",
    ),
    (
        "pk = :s AND sk > :n AND sk < :m",
        "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
    ),
    (
        "pk = :s AND begins_with(sk, :n)",
        "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
    ),
    (
        "pk = :s AND sk < :bool",
        "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
    ),
];

#[test]
fn key_conditions() {
    let hash = ("pk", Kind::S);
    let sort = Some(("sk", Kind::N));
    let read = |text: &str| placeholders(&[("#pk", "pk")], VALUES).key_condition(text);
    for (text, expected) in BAD_KEY_CONDITIONS {
        assert_eq!(read(text).unwrap_err().to_string(), *expected, "{text}");
    }
    let cases = [
        ("sk = :n", "Query condition missed key schema element: pk"),
        ("pk = :s AND extra = :n", "Query condition missed key schema element: sk"),
        ("pk > :s", "Query key condition not supported"),
        (
            "pk = :s AND sk > :n AND extra = :n",
            "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
        ),
        ("pk = :n", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
        (
            "pk = :s AND sk = :bool",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "pk = :s AND begins_with(sk, :s)",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).unwrap().for_keys(hash, sort).unwrap_err().to_string(), expected, "{text}");
    }
    let empty = placeholders(&[], r#"{":e": {"S": ""}}"#).key_condition("pk = :e").unwrap().for_keys(hash, None);
    let expected = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk";
    assert_eq!(empty.unwrap_err().to_string(), expected);
}

#[test]
fn keys_of_conditions() {
    let (hash, sort) = (("pk", Kind::S), Some(("sk", Kind::N)));
    let read = |text: &str| placeholders(&[("#pk", "pk")], VALUES).key_condition(text);
    // The condition, and keys for which it holds and does not.
    let cases = [
        ("pk = :s", vec![-1, 0, 1, 3, 5, 9], vec![]),
        (":n = sk AND #pk = :s", vec![1], vec![0, 2]),
        ("(pk = :s) AND (sk < :m)", vec![-9, 0, 4], vec![5, 6]),
        ("pk = :s AND :m <= sk", vec![5, 6], vec![4]),
        ("pk = :s AND sk <= :m", vec![5, 4], vec![6]),
        ("pk = :s AND sk > :m", vec![6], vec![5]),
        ("pk = :s AND sk BETWEEN :n AND :m", vec![1, 3, 5], vec![0, 6]),
    ];
    for (text, inside, outside) in cases {
        let query = read(text).unwrap().for_keys(hash, sort).unwrap();
        assert_eq!(*query.hash, Value::from("s"));
        for (keys, expected) in [(inside, true), (outside, false)] {
            for key in keys {
                let key = Value::from(key);
                let Some(test) = &query.sort else {
                    continue;
                };
                assert_eq!(test.holds(&key), expected, "{text}: {key:?}");
                assert_eq!(
                    test.range().unwrap().contains(&crate::key::encode(&key).unwrap()),
                    expected,
                    "{text}: {key:?}"
                );
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    /// Whatever tokens follow one another, there is an answer or an error.
    #[test]
    fn any_tokens(tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..24)) {
        crate::fuzz::expression(tokens.concat().as_bytes());
    }
}

const TOKENS: &[&str] = &[
    "a",
    "b",
    "l",
    "m",
    "#a",
    "#b",
    ":n",
    ":s",
    ":l",
    ":ss",
    ".",
    "[0]",
    "[2]",
    "(",
    ")",
    ",",
    "=",
    "<",
    "<>",
    ">=",
    "+",
    "-",
    " AND ",
    " OR ",
    "NOT ",
    " BETWEEN ",
    " IN ",
    "SET ",
    " REMOVE ",
    " ADD ",
    " DELETE ",
    " ",
    "size(a)",
    "contains(b, :s)",
    "begins_with(",
    "attribute_exists(",
    "if_not_exists(a, :n)",
    "list_append(l, :l)",
    "list_append(",
    "a = :n",
    "b <> :s",
    "m.a",
    "l[1]",
    "SET a = ",
    "a + :n",
    "c :ss",
];
