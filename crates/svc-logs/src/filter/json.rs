//! Conditions on JSON: `{ ($.user.id = 1) && ($.users[0].email != "John*") || $.x NOT EXISTS }`.

use serde_json::Value;

use super::compare::{Comparison, Found};
use super::text::Text;
use super::{PatternError, wrong};

/// Parentheses within each other.
const MAX_DEPTH: usize = 32;
/// Values that one selector with wildcards looks at.
const MAX_SELECTED: usize = 10_000;

/// A pattern of conditions.
#[derive(Clone, Debug)]
pub struct Json(Condition);

#[derive(Clone, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Of(Vec<Step>, Test),
}

#[derive(Clone, Debug)]
enum Step {
    Name(String),
    Number(usize),
    Every,
}

#[derive(Clone, Debug)]
enum Test {
    Compare(Comparison),
    IsNull,
    IsTrue,
    IsFalse,
    Exists,
    NotExists,
}

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut text = Text::new(text);
        text.take("{");
        let condition = any(&mut text, 0)?;
        text.spaces();
        if !text.take("}") {
            return wrong("the closing } is missing");
        }
        text.spaces();
        if text.rest().is_empty() { Ok(Self(condition)) } else { wrong("something stands behind the closing }") }
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        match serde_json::from_str::<Value>(message) {
            Ok(value) if value.is_object() || value.is_array() => holds(&self.0, &value),
            _ => false,
        }
    }
}

fn any(text: &mut Text<'_>, depth: usize) -> Result<Condition, PatternError> {
    let mut conditions = vec![all(text, depth)?];
    loop {
        text.spaces();
        if !text.take("||") {
            return Ok(one_or(conditions, Condition::Any));
        }
        conditions.push(all(text, depth)?);
    }
}

fn all(text: &mut Text<'_>, depth: usize) -> Result<Condition, PatternError> {
    let mut conditions = vec![single(text, depth)?];
    loop {
        text.spaces();
        if !text.take("&&") {
            return Ok(one_or(conditions, Condition::All));
        }
        conditions.push(single(text, depth)?);
    }
}

fn one_or(mut conditions: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match conditions.pop() {
        Some(only) if conditions.is_empty() => only,
        Some(last) => {
            conditions.push(last);
            many(conditions)
        }
        None => many(conditions),
    }
}

fn single(text: &mut Text<'_>, depth: usize) -> Result<Condition, PatternError> {
    text.spaces();
    if text.take("(") {
        if depth >= MAX_DEPTH {
            return wrong(format!("more than {MAX_DEPTH} parentheses stand within each other"));
        }
        let inner = any(text, depth + 1)?;
        text.spaces();
        return if text.take(")") { Ok(inner) } else { wrong("a parenthesis is not closed") };
    }
    let steps = selector(text)?;
    Ok(Condition::Of(steps, test(text)?))
}

fn test(text: &mut Text<'_>) -> Result<Test, PatternError> {
    text.spaces();
    if text.keyword("IS") {
        text.spaces();
        let known = [("NULL", Test::IsNull), ("TRUE", Test::IsTrue), ("FALSE", Test::IsFalse)];
        let found = known.into_iter().find(|(word, _)| text.keyword(word));
        return found.map_or_else(|| wrong("IS is followed by NULL, TRUE or FALSE"), |(_, test)| Ok(test));
    }
    if text.keyword("NOT") {
        text.spaces();
        return if text.keyword("EXISTS") { Ok(Test::NotExists) } else { wrong("NOT is followed by EXISTS") };
    }
    if text.keyword("EXISTS") {
        return Ok(Test::Exists);
    }
    Comparison::parse(text, |c| matches!(c, ')' | '}' | '&' | '|')).map(Test::Compare)
}

/// `$.a.b[0]["c d"][*].*`
fn selector(text: &mut Text<'_>) -> Result<Vec<Step>, PatternError> {
    if !text.take("$") {
        return wrong(format!("a selector that begins with $ is missing before {:?}", text.rest()));
    }
    let mut steps = Vec::new();
    loop {
        if text.take(".") {
            let name = text.until(|c| c.is_whitespace() || ".[=!<>(){}&|".contains(c));
            match name {
                "" => return wrong("a name is missing in a selector"),
                "*" => steps.push(Step::Every),
                name => steps.push(Step::Name(name.to_owned())),
            }
        } else if text.take("[") {
            steps.push(bracket(text)?);
        } else if steps.is_empty() {
            return wrong("a selector is $ alone");
        } else {
            return Ok(steps);
        }
    }
}

fn bracket(text: &mut Text<'_>) -> Result<Step, PatternError> {
    text.spaces();
    let step = match text.peek() {
        Some('"') => Step::Name(text.quoted()?),
        Some('\'') => {
            text.take("'");
            let Some(name) = text.up_to("'") else { return wrong("a quotation mark is not closed") };
            Step::Name(name.to_owned())
        }
        _ => match text.until(|c| c == ']').trim() {
            "*" => Step::Every,
            number => Step::Number(number.parse().or_else(|_| wrong(format!("{number:?} is no index")))?),
        },
    };
    text.spaces();
    if text.take("]") { Ok(step) } else { wrong("a ] is missing in a selector") }
}

fn holds(condition: &Condition, value: &Value) -> bool {
    match condition {
        Condition::All(conditions) => conditions.iter().all(|condition| holds(condition, value)),
        Condition::Any(conditions) => conditions.iter().any(|condition| holds(condition, value)),
        Condition::Of(steps, test) => {
            let found = select(steps, value);
            match test {
                Test::Exists => !found.is_empty(),
                Test::NotExists => found.is_empty(),
                Test::IsNull => found.iter().any(|value| value.is_null()),
                Test::IsTrue => found.iter().any(|value| **value == Value::Bool(true)),
                Test::IsFalse => found.iter().any(|value| **value == Value::Bool(false)),
                Test::Compare(comparison) => found.iter().any(|value| compared(comparison, value)),
            }
        }
    }
}

fn select<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps {
        let mut next = Vec::new();
        for value in found {
            match (step, value) {
                (Step::Name(name), Value::Object(fields)) => next.extend(fields.get(name)),
                (Step::Number(number), Value::Array(items)) => next.extend(items.get(*number)),
                (Step::Every, Value::Array(items)) => next.extend(items),
                (Step::Every, Value::Object(fields)) => next.extend(fields.values()),
                _ => {}
            }
        }
        next.truncate(MAX_SELECTED);
        found = next;
    }
    found
}

fn compared(comparison: &Comparison, value: &Value) -> bool {
    match value {
        Value::String(text) => comparison.holds(Found::Text(text)),
        Value::Number(number) => {
            let text = number.to_string();
            comparison.holds(Found::Number(number.as_f64().unwrap_or(f64::NAN), &text))
        }
        Value::Bool(_) => comparison.holds(Found::Text(&value.to_string())),
        // Objects, arrays and null are nothing to compare.
        _ => false,
    }
}
