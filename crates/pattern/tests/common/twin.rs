//! The matcher written a second time, as plainly as can be, on another reader of JSON. It shares no code with the crate, and takes no care of time.
//! Numbers are compared as doubles, so that it is right for those of few digits alone.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde_json::{Map, Value};

type Membership = BTreeMap<usize, usize>;
type Fields = HashMap<String, Vec<(Value, Membership)>>;

/// Whether an event matches a pattern that is known to be valid.
pub fn matches(pattern: &str, event: &str) -> bool {
    let pattern: Value = serde_json::from_str(pattern).unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    let mut fields = Fields::new();
    flatten(&event, "", &Membership::new(), &mut 0, &mut fields);
    branches(pattern.as_object().unwrap(), "", vec![BTreeMap::new()])
        .iter()
        .any(|branch| holds(&branch.iter().collect::<Vec<_>>(), &Membership::new(), &fields))
}

type Branch = BTreeMap<String, Vec<Value>>;

/// In another order than the text's: names of one object are different here.
fn branches(object: &Map<String, Value>, path: &str, mut before: Vec<Branch>) -> Vec<Branch> {
    for (name, value) in object {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Array(alternatives) if name == "$or" => {
                let each = alternatives.iter().map(|one| branches(one.as_object().unwrap(), path, before.clone()));
                before = each.flatten().collect();
            }
            Value::Array(tests) => before.iter_mut().for_each(|branch| {
                branch.insert(below.clone(), tests.clone());
            }),
            Value::Object(inner) => before = branches(inner, &below, before),
            _ => panic!("no pattern"),
        }
    }
    before
}

fn flatten(value: &Value, path: &str, membership: &Membership, arrays: &mut usize, fields: &mut Fields) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(value, &below, membership, arrays, fields);
            }
        }
        Value::Array(items) => {
            let array = *arrays;
            *arrays += 1;
            for (index, item) in items.iter().enumerate() {
                let mut inside = membership.clone();
                if item.is_object() || item.is_array() {
                    inside.insert(array, index);
                }
                flatten(item, path, &inside, arrays, fields);
            }
        }
        leaf => fields.entry(path.to_owned()).or_default().push((leaf.clone(), membership.clone())),
    }
}

fn holds(asked: &[(&String, &Vec<Value>)], so_far: &Membership, fields: &Fields) -> bool {
    let Some(((path, tests), rest)) = asked.split_first() else { return true };
    let all = fields.get(*path).cloned().unwrap_or_default();
    let agree =
        |one: &Membership| one.iter().all(|(array, index)| so_far.get(array).is_none_or(|other| other == index));
    let near: Vec<_> = all.into_iter().filter(|(_, membership)| agree(membership)).collect();
    if near.is_empty() && tests.iter().any(|test| test["exists"] == false) && holds(rest, so_far, fields) {
        return true;
    }
    near.iter().any(|(value, membership)| {
        let mut longer = so_far.clone();
        longer.extend(membership);
        tests.iter().any(|test| accepts(test, value)) && holds(rest, &longer, fields)
    })
}

fn accepts(test: &Value, value: &Value) -> bool {
    let Value::Object(operator) = test else { return same(test, value) };
    let (name, operand) = operator.iter().next().unwrap();
    let text = value.as_str();
    match name.as_str() {
        "exists" => operand == true,
        "anything-but" => match operand {
            Value::Object(inner) => {
                let (name, list) = inner.iter().next().unwrap();
                !listed(list).iter().any(|one| accepts(&serde_json::json!({ name: one }), value))
            }
            list => !listed(list).iter().any(|one| plainly_same(one, value)),
        },
        "numeric" => value.as_f64().is_some_and(|number| in_range(operand.as_array().unwrap(), number)),
        "cidr" => text.is_some_and(|text| in_block(operand.as_str().unwrap(), text)),
        "prefix" if operand.is_object() => {
            text.is_some_and(|text| ends(text).any(|end| same_letters(wanted(operand), &text[..end])))
        }
        "suffix" if operand.is_object() => {
            text.is_some_and(|text| ends(text).any(|end| same_letters(wanted(operand), &text[end..])))
        }
        "prefix" => text.is_some_and(|text| text.starts_with(operand.as_str().unwrap())),
        "suffix" => text.is_some_and(|text| text.ends_with(operand.as_str().unwrap())),
        "equals-ignore-case" => text.is_some_and(|text| same_letters(operand.as_str().unwrap(), text)),
        "wildcard" => text.is_some_and(|text| wild(operand.as_str().unwrap().as_bytes(), text.as_bytes())),
        _ => panic!("{name}"),
    }
}

fn wanted(operand: &Value) -> &str {
    operand["equals-ignore-case"].as_str().unwrap()
}

fn ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()])
}

fn listed(list: &Value) -> Vec<&Value> {
    list.as_array().map_or_else(|| vec![list], |list| list.iter().collect())
}

/// A text that is an address means the address.
fn same(test: &Value, value: &Value) -> bool {
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    match (address(test), address(value)) {
        (Some(a), Some(b)) => a == b,
        _ => plainly_same(test, value),
    }
}

fn plainly_same(test: &Value, value: &Value) -> bool {
    match (test.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => test == value,
    }
}

fn in_range(terms: &[Value], number: f64) -> bool {
    terms.chunks(2).all(|term| {
        let bound = term[1].as_f64().unwrap();
        match term[0].as_str().unwrap() {
            "=" => number == bound,
            "<" => number < bound,
            "<=" => number <= bound,
            ">" => number > bound,
            ">=" => number >= bound,
            other => panic!("{other}"),
        }
    })
}

fn in_block(block: &str, text: &str) -> bool {
    let (network, bits) = block.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    let high = |address: u128, width: u32| (0..bits).map(|n| address >> (width - 1 - n) & 1).collect::<Vec<_>>();
    match (network.parse::<IpAddr>().unwrap(), text.parse::<IpAddr>()) {
        (IpAddr::V4(a), Ok(IpAddr::V4(b))) => high(a.to_bits().into(), 32) == high(b.to_bits().into(), 32),
        (IpAddr::V6(a), Ok(IpAddr::V6(b))) => high(a.to_bits(), 128) == high(b.to_bits(), 128),
        _ => false,
    }
}

fn same_letters(wanted: &str, text: &str) -> bool {
    let Some(first) = wanted.chars().next() else { return text.is_empty() };
    let rest = &wanted[first.len_utf8()..];
    let forms: [String; 2] = [first.to_lowercase().collect(), first.to_uppercase().collect()];
    forms.iter().any(|form| text.strip_prefix(form.as_str()).is_some_and(|left| same_letters(rest, left)))
}

fn wild(wanted: &[u8], text: &[u8]) -> bool {
    match wanted {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|skipped| wild(rest, &text[skipped..])),
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            text.split_first().is_some_and(|(first, left)| first == byte && wild(rest, left))
        }
    }
}
