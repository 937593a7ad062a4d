//! A naive twin of conditions and updates, over JSON, and random expressions on which both have to agree. Lists are maps by index
//! here, so that what is put and what is removed needs no order.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use serde_json::Value as Json;

use crate::expression::Placeholders;
use crate::{Item, Value};

/// A path, an operand, a condition and an action as the twin sees them; `Display` writes them as text.
#[derive(Clone, Debug, PartialEq)]
struct At(&'static str, Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(&'static str),
    Index(usize),
}

#[derive(Clone, Debug)]
enum Of {
    At(At),
    Given(usize),
    Size(At),
}

#[derive(Clone, Debug)]
enum Cond {
    Compare(&'static str, Of, Of),
    Between(Of, Of, Of),
    In(Of, Vec<Of>),
    Exists(bool, At),
    Type(At, usize),
    Begins(Of, Of),
    Contains(Of, Of),
    And(Vec<Cond>),
    Or(Vec<Cond>),
    Not(Box<Cond>),
}

#[derive(Clone, Debug)]
enum What {
    Value(Of),
    Sum(char, Of, Of),
    IfNotExists(At, Of),
    Append(Of, Of),
}

#[derive(Clone, Debug)]
enum Act {
    Set(At, What),
    Remove(At),
    Add(At, usize),
    Delete(At, usize),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.iter().try_for_each(|step| match step {
            Step::Name(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Of::At(at) => write!(f, "{at}"),
            Of::Given(value) => write!(f, ":v{value}"),
            Of::Size(at) => write!(f, "size({at})"),
        }
    }
}

fn joined<T: fmt::Display>(items: &[T], between: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

impl fmt::Display for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = |conds: &[Cond], word| joined(conds, word);
        match self {
            Cond::Compare(symbol, a, b) => write!(f, "{a} {symbol} {b}"),
            Cond::Between(a, b, c) => write!(f, "{a} BETWEEN {b} AND {c}"),
            Cond::In(a, others) => write!(f, "{a} IN ({})", joined(others, ",")),
            Cond::Exists(true, at) => write!(f, "attribute_exists({at})"),
            Cond::Exists(false, at) => write!(f, "attribute_not_exists({at})"),
            Cond::Type(at, kind) => write!(f, "attribute_type({at}, :k{kind})"),
            Cond::Begins(a, b) => write!(f, "begins_with({a}, {b})"),
            Cond::Contains(a, b) => write!(f, "contains({a}, {b})"),
            Cond::And(conds) => write!(f, "({})", inside(conds, " AND ")),
            Cond::Or(conds) => write!(f, "({})", inside(conds, " OR ")),
            // Parentheses of its own only where there are none.
            Cond::Not(cond) if matches!(**cond, Cond::And(_) | Cond::Or(_)) => write!(f, "NOT {cond}"),
            Cond::Not(cond) => write!(f, "NOT ({cond})"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Value(of) => write!(f, "{of}"),
            What::Sum(sign, a, b) => write!(f, "{a} {sign} {b}"),
            What::IfNotExists(at, of) => write!(f, "if_not_exists({at}, {of})"),
            What::Append(a, b) => write!(f, "list_append({a}, {b})"),
        }
    }
}

fn update_text(acts: &[Act]) -> String {
    let section = |word: &str, texts: Vec<String>| {
        if texts.is_empty() { String::new() } else { format!(" {word} {}", texts.join(", ")) }
    };
    let pick = |f: fn(&Act) -> Option<String>| acts.iter().filter_map(f).collect::<Vec<_>>();
    let sets = pick(|act| if let Act::Set(at, what) = act { Some(format!("{at} = {what}")) } else { None });
    let removes = pick(|act| if let Act::Remove(at) = act { Some(at.to_string()) } else { None });
    let adds = pick(|act| if let Act::Add(at, v) = act { Some(format!("{at} :v{v}")) } else { None });
    let deletes = pick(|act| if let Act::Delete(at, v) = act { Some(format!("{at} :v{v}")) } else { None });
    section("DELETE", deletes) + &section("SET", sets) + &section("ADD", adds) + &section("REMOVE", removes)
}

fn get<'a>(item: &'a Json, at: &At) -> Option<&'a Json> {
    at.1.iter().try_fold(item.get(at.0)?, |value, step| match step {
        Step::Name(name) => value.get("M")?.get(*name),
        Step::Index(index) => value.get("L")?.get(*index),
    })
}

fn kind(value: &Json) -> &str {
    value.as_object().unwrap().keys().next().unwrap()
}

fn members(value: &Json) -> &Json {
    value.as_object().unwrap().values().next().unwrap()
}

fn text(value: &Json) -> &str {
    members(value).as_str().unwrap()
}

struct Twin {
    item: Json,
    given: Vec<Json>,
}

impl Twin {
    fn read(&self, of: &Of) -> Option<Json> {
        match of {
            Of::At(at) => get(&self.item, at).cloned(),
            Of::Given(value) => Some(self.given[*value].clone()),
            Of::Size(at) => {
                let value = get(&self.item, at)?;
                let size = match kind(value) {
                    "S" => text(value).len(),
                    "B" => text(value).len() / 4 * 3,
                    "M" => members(value).as_object().unwrap().len(),
                    "L" | "SS" | "NS" | "BS" => members(value).as_array().unwrap().len(),
                    _ => return None,
                };
                Some(serde_json::json!({"N": size.to_string()}))
            }
        }
    }

    fn before(&self, a: &Of, b: &Of, or_equal: bool) -> bool {
        let (Some(a), Some(b)) = (self.read(a), self.read(b)) else {
            return false;
        };
        if kind(&a) != kind(&b) {
            return false;
        }
        match kind(&a) {
            "N" => {
                let (a, b): (f64, f64) = (text(&a).parse().unwrap(), text(&b).parse().unwrap());
                a < b || or_equal && a == b
            }
            // Base64 of the few bytes of these tests has the order of the bytes.
            "S" | "B" => text(&a) < text(&b) || or_equal && a == b,
            _ => false,
        }
    }

    fn holds(&self, cond: &Cond) -> bool {
        match cond {
            Cond::Compare("=", a, b) => self.read(a).is_some() && self.read(a) == self.read(b),
            Cond::Compare("<>", a, b) => self.read(a).is_none() || self.read(a) != self.read(b),
            Cond::Compare("<", a, b) => self.before(a, b, false),
            Cond::Compare("<=", a, b) => self.before(a, b, true),
            Cond::Compare(">", a, b) => self.before(b, a, false),
            Cond::Compare(_, a, b) => self.before(b, a, true),
            Cond::Between(a, b, c) => self.before(b, a, true) && self.before(a, c, true),
            Cond::In(a, others) => others.iter().any(|other| self.holds(&Cond::Compare("=", a.clone(), other.clone()))),
            Cond::Exists(wanted, at) => get(&self.item, at).is_some() == *wanted,
            Cond::Type(at, wanted) => {
                get(&self.item, at).is_some_and(|value| kind(value) == crate::Kind::ALL[*wanted].name())
            }
            Cond::Begins(a, b) => match (self.read(a), self.read(b)) {
                (Some(a), Some(b)) if kind(&a) == kind(&b) && kind(&a) == "S" => text(&a).starts_with(text(&b)),
                (Some(a), Some(b)) if kind(&a) == kind(&b) && kind(&a) == "B" => text(&a).starts_with(text(&b)),
                _ => false,
            },
            Cond::Contains(a, b) => match (self.read(a), self.read(b)) {
                (Some(a), Some(b)) => match (kind(&a), kind(&b)) {
                    ("S", "S") => text(&a).contains(text(&b)),
                    // Groups of three bytes that are all the same.
                    ("B", "B") => text(&b).is_empty() || text(&a).contains(text(&b)),
                    ("SS", "S") | ("NS", "N") | ("BS", "B") => members(&a).as_array().unwrap().contains(members(&b)),
                    ("L", _) => members(&a).as_array().unwrap().contains(&b),
                    _ => false,
                },
                _ => false,
            },
            Cond::And(conds) => !conds.iter().any(|cond| !self.holds(cond)),
            Cond::Or(conds) => conds.iter().any(|cond| self.holds(cond)),
            Cond::Not(cond) => !self.holds(cond),
        }
    }

    fn what(&self, what: &What) -> Option<Json> {
        let number =
            |of| self.read(of).filter(|value| kind(value) == "N").map(|value| text(&value).parse::<i64>().unwrap());
        let list = |of| {
            self.read(of).filter(|value| kind(value) == "L").map(|value| members(&value).as_array().unwrap().clone())
        };
        match what {
            What::Value(of) => self.read(of),
            What::Sum('+', a, b) => Some(serde_json::json!({"N": (number(a)? + number(b)?).to_string()})),
            What::Sum(_, a, b) => Some(serde_json::json!({"N": (number(a)? - number(b)?).to_string()})),
            What::IfNotExists(at, of) => get(&self.item, at).cloned().or_else(|| self.read(of)),
            What::Append(a, b) => {
                let both = [list(a)?, list(b)?].concat();
                Some(serde_json::json!({"L": both}))
            }
        }
    }

    /// The item afterwards; none where it is an error.
    fn update(&self, acts: &[Act]) -> Option<Json> {
        let mut tree = Tree::of_map(&self.item);
        for act in acts {
            let (at, value) = match act {
                Act::Set(at, what) => (at, Some(self.what(what)?)),
                Act::Remove(at) => (at, None),
                Act::Add(at, given) => (at, Some(self.add(get(&self.item, at), &self.given[*given])?)),
                Act::Delete(at, given) => match get(&self.item, at) {
                    None => (at, None),
                    Some(there) => (at, self.without(there, &self.given[*given])?),
                },
            };
            tree.put(Step::Name(at.0), &at.1, value.as_ref().map(Tree::of))?;
        }
        Some(tree.to_map())
    }

    fn add(&self, there: Option<&Json>, given: &Json) -> Option<Json> {
        let Some(there) = there else {
            return Some(given.clone());
        };
        if kind(there) != kind(given) {
            return None;
        }
        if kind(there) == "N" {
            let sum = text(there).parse::<i64>().unwrap() + text(given).parse::<i64>().unwrap();
            return Some(serde_json::json!({"N": sum.to_string()}));
        }
        Some(set_of(kind(there), [members(there).as_array()?.clone(), members(given).as_array()?.clone()].concat()))
    }

    /// What is left of a set: perhaps nothing; none where it is an error.
    fn without(&self, there: &Json, given: &Json) -> Option<Option<Json>> {
        if kind(there) != kind(given) {
            return None;
        }
        let taken = members(given).as_array()?;
        let left: Vec<Json> =
            members(there).as_array()?.iter().filter(|member| !taken.contains(member)).cloned().collect();
        Some((!left.is_empty()).then(|| set_of(kind(there), left)))
    }
}

fn set_of(kind: &str, mut members: Vec<Json>) -> Json {
    members.sort_by_key(|member| (member.as_str().unwrap().len() * usize::from(kind == "NS"), member.to_string()));
    members.dedup();
    Json::Object([(kind.to_owned(), Json::Array(members))].into_iter().collect())
}

/// A value in which lists have holes.
#[derive(Clone)]
enum Tree {
    Leaf(Json),
    Map(BTreeMap<String, Tree>),
    List(BTreeMap<usize, Tree>),
}

impl Tree {
    fn of(value: &Json) -> Tree {
        match kind(value) {
            "M" => Tree::of_map(members(value)),
            "L" => Tree::List(members(value).as_array().unwrap().iter().map(Tree::of).enumerate().collect()),
            _ => Tree::Leaf(value.clone()),
        }
    }

    fn of_map(map: &Json) -> Tree {
        Tree::Map(map.as_object().unwrap().iter().map(|(name, value)| (name.clone(), Tree::of(value))).collect())
    }

    fn put(&mut self, step: Step, rest: &[Step], value: Option<Tree>) -> Option<()> {
        if let [next, rest @ ..] = rest {
            let below = match (self, step) {
                (Tree::Map(map), Step::Name(name)) => map.get_mut(name)?,
                (Tree::List(list), Step::Index(index)) => list.get_mut(&index)?,
                _ => return None,
            };
            return below.put(next.clone(), rest, value);
        }
        match (self, step, value) {
            (Tree::Map(map), Step::Name(name), Some(value)) => drop(map.insert(name.to_owned(), value)),
            (Tree::Map(map), Step::Name(name), None) => drop(map.remove(name)),
            (Tree::List(list), Step::Index(index), Some(value)) => drop(list.insert(index, value)),
            (Tree::List(list), Step::Index(index), None) => drop(list.remove(&index)),
            _ => return None,
        }
        Some(())
    }

    fn to_map(&self) -> Json {
        match self {
            Tree::Map(map) => Json::Object(map.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()),
            _ => Json::Null,
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Tree::Leaf(value) => value.clone(),
            Tree::Map(_) => serde_json::json!({"M": self.to_map()}),
            Tree::List(list) => serde_json::json!({"L": list.values().map(Tree::to_json).collect::<Vec<_>>()}),
        }
    }
}

fn any_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_text(),
        (-2..12i64).prop_map(Value::from),
        (0..3usize).prop_map(|n| Value::B("aaa".repeat(n).into())),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        any_set(),
        prop::collection::btree_set((1..12i64).prop_map(crate::Number::from), 1..4).prop_map(Value::Ns),
        prop::collection::btree_set((1..3usize).prop_map(|n| bytes::Bytes::from("aaa".repeat(n))), 1..3)
            .prop_map(Value::Bs),
        prop::collection::vec((0..3i64).prop_map(Value::from), 0..3).prop_map(Value::L),
    ]
}

fn any_number() -> impl Strategy<Value = Value> {
    (-2..6i64).prop_map(Value::from)
}

fn any_text() -> impl Strategy<Value = Value> {
    "[ab]{0,3}".prop_map(Value::S)
}

fn any_set() -> impl Strategy<Value = Value> {
    prop::collection::btree_set("[ab]", 1..3).prop_map(Value::Ss)
}

/// Mostly a number in `a`, a text in `b`, a set in `c`, so that much of what is asked makes sense.
fn any_small_item() -> impl Strategy<Value = Item> {
    let list = prop::collection::vec(
        prop_oneof![2 => any_leaf(), 1 => prop::collection::btree_map("[ab]", any_leaf(), 0..3).prop_map(Value::M)],
        0..4,
    );
    let map = prop::collection::btree_map(
        "[abl]",
        prop_oneof![3 => any_leaf(), 1 => prop::collection::vec(any_leaf(), 0..4).prop_map(Value::L)],
        0..4,
    );
    let a = prop::option::of(prop_oneof![3 => any_number(), 1 => any_leaf()]);
    let b = prop::option::of(prop_oneof![3 => any_text(), 1 => any_leaf()]);
    let c = prop::option::of(prop_oneof![3 => any_set(), 1 => any_leaf()]);
    let m = prop::option::of(map.prop_map(Value::M));
    (a, b, c, m, list).prop_map(|(a, b, c, m, l)| {
        let attributes = [("a", a), ("b", b), ("c", c), ("m", m), ("l", Some(Value::L(l)))];
        attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

fn any_at() -> impl Strategy<Value = At> {
    let name = || prop::sample::select(vec!["a", "b", "l"]).prop_map(Step::Name);
    let index = || (0..5usize).prop_map(Step::Index);
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "l", "m"]).prop_map(|root| At(root, vec![])),
        2 => name().prop_map(|name| At("m", vec![name])),
        2 => index().prop_map(|index| At("l", vec![index])),
        1 => (index(), name()).prop_map(|(index, name)| At("l", vec![index, name])),
        1 => index().prop_map(|index| At("m", vec![Step::Name("l"), index])),
    ]
}

/// Two numbers, two texts, a set, and whatever else.
fn any_given() -> impl Strategy<Value = Vec<Value>> {
    (any_number(), any_number(), any_text(), any_text(), any_set(), any_leaf())
        .prop_map(|(a, b, c, d, e, f)| vec![a, b, c, d, e, f])
}

const GIVEN: usize = 6;

fn any_of() -> impl Strategy<Value = Of> {
    prop_oneof![
        4 => any_at().prop_map(Of::At),
        3 => (0..GIVEN).prop_map(Of::Given),
        1 => any_at().prop_map(Of::Size),
    ]
}

fn any_cond() -> impl Strategy<Value = Cond> {
    // Most often a number.
    let number = || {
        let attribute = prop::sample::select(vec!["a", "l", "b"]).prop_map(|root| At(root, vec![]));
        prop_oneof![Just(Of::At(At("a", vec![]))), (0..2usize).prop_map(Of::Given), attribute.prop_map(Of::Size)]
    };
    let symbol = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        5 => (symbol, any_of(), any_of()).prop_map(|(symbol, a, b)| Cond::Compare(symbol, a, b)),
        1 => (any_of(), any_of(), any_of()).prop_map(|(a, b, c)| Cond::Between(a, b, c)),
        2 => (number(), number(), number()).prop_map(|(a, b, c)| Cond::Between(a, b, c)),
        1 => (any_of(), prop::collection::vec(any_of(), 1..4)).prop_map(|(a, others)| Cond::In(a, others)),
        1 => (any::<bool>(), any_at()).prop_map(|(wanted, at)| Cond::Exists(wanted, at)),
        1 => (any_at(), 0..10usize).prop_map(|(at, kind)| Cond::Type(at, kind)),
        1 => (any_of(), any_of()).prop_map(|(a, b)| Cond::Begins(a, b)),
        2 => (any_of(), any_of()).prop_map(|(a, b)| Cond::Contains(a, b)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Cond::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Cond::Or),
            inner.prop_map(|cond| Cond::Not(Box::new(cond))),
        ]
    })
}

fn any_act() -> impl Strategy<Value = Act> {
    let of = || prop_oneof![2 => any_at().prop_map(Of::At), 2 => (0..GIVEN).prop_map(Of::Given)];
    let what = prop_oneof![
        4 => of().prop_map(What::Value),
        2 => (prop::sample::select(vec!['+', '-']), of(), of()).prop_map(|(sign, a, b)| What::Sum(sign, a, b)),
        1 => (any_at(), of()).prop_map(|(at, of)| What::IfNotExists(at, of)),
        1 => (of(), of()).prop_map(|(a, b)| What::Append(a, b)),
    ];
    prop_oneof![
        4 => (any_at(), what).prop_map(|(at, what)| Act::Set(at, what)),
        2 => any_at().prop_map(Act::Remove),
        1 => (any_at(), 0..GIVEN).prop_map(|(at, given)| Act::Add(at, given)),
        1 => (any_at(), 0..GIVEN).prop_map(|(at, given)| Act::Delete(at, given)),
    ]
}

/// The values, and the names of all types.
fn given(values: &[Value]) -> Placeholders {
    let values = values.iter().enumerate().map(|(at, value)| (format!(":v{at}"), value.clone()));
    let kinds = crate::Kind::ALL.iter().enumerate().map(|(at, kind)| (format!(":k{at}"), Value::from(kind.name())));
    Placeholders::new(None, Some(values.chain(kinds).collect())).unwrap()
}

fn twin(item: &Item, values: &[Value]) -> Twin {
    let json = |text: String| serde_json::from_str(&text).unwrap();
    Twin { item: json(item.to_json()), given: values.iter().map(|value| json(value.to_json())).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn conditions_agree(cond in any_cond(), item in any_small_item(), values in any_given()) {
        let text = cond.to_string();
        // What is refused is not what this test is about, as long as it is grammar.
        match given(&values).condition(&text) {
            Ok(condition) => prop_assert_eq!(condition.holds(&item), twin(&item, &values).holds(&cond), "{}", text),
            Err(error) => prop_assert!(!error.to_string().contains("Syntax"), "{}: {}", text, error),
        }
    }

    #[test]
    fn updates_agree(
        acts in prop::collection::vec(any_act(), 1..4),
        item in any_small_item(),
        values in any_given(),
    ) {
        let text = update_text(&acts);
        match given(&values).update(&text) {
            Ok(update) => {
                let mut after = item.clone();
                let applied = update.apply(&mut after);
                let expected = twin(&item, &values).update(&acts);
                prop_assert_eq!(applied.is_ok(), expected.is_some(), "{}: {:?}", text, applied);
                match expected {
                    Some(expected) => prop_assert_eq!(serde_json::from_str::<Json>(&after.to_json()).unwrap(), expected, "{}", text),
                    None => prop_assert_eq!(after, item, "{}", text),
                }
            }
            Err(error) => prop_assert!(!error.to_string().contains("Syntax"), "{}: {}", text, error),
        }
    }
}
