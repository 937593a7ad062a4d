//! `json_exists`, `json_query` and `json_value`, without their clauses: what is empty or wrong is NULL, or does not exist.
//!
//! Trino documentation, "JSON functions and operators", "JSON path language".

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use serde_json::Value as Document;

use super::argument;
use super::json::{Step, path, scalar};
use super::kind::{Kind, Kind::*, Out, Value};
use super::simple::{Form, Work, form, simple};

/// A path and its mode.
struct Path {
    is_strict: bool,
    steps: Vec<Step>,
}

fn read(text: &str) -> Result<Path> {
    let bad = || argument(format!("cannot compile path: '{text}' begins with lax or strict, and $"));
    let (mode, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(bad)?;
    let is_strict = match mode {
        "lax" => false,
        "strict" => true,
        _ => return Err(bad()),
    };
    let rest = rest.trim();
    if !rest.starts_with('$') {
        return Err(bad());
    }
    Ok(Path { is_strict, steps: path(rest)? })
}

impl Path {
    /// What a step leads to; `None` where the structure is another one, and the mode minds.
    fn step<'a>(&self, item: &'a Document, step: &Step, found: &mut Vec<&'a Document>) -> Option<()> {
        match (step, item) {
            (Step::Key(key), Document::Object(fields)) => match fields.get(key) {
                Some(value) => found.push(value),
                None if self.is_strict => return None,
                None => {}
            },
            // Lax paths look into arrays for members.
            (Step::Key(key), Document::Array(items)) if !self.is_strict => {
                let fields = items.iter().filter_map(Document::as_object);
                found.extend(fields.filter_map(|fields| fields.get(key)));
            }
            (Step::Index(index), Document::Array(items)) => match items.get(*index) {
                Some(value) => found.push(value),
                None if self.is_strict => return None,
                None => {}
            },
            (Step::Each, Document::Array(items)) => found.extend(items),
            // To lax paths a value is an array of itself.
            (Step::Index(0) | Step::Each, _) if !self.is_strict => found.push(item),
            _ if self.is_strict => return None,
            _ => {}
        }
        Some(())
    }

    fn items<'a>(&self, root: &'a Document) -> Option<Vec<&'a Document>> {
        let mut items = vec![root];
        for step in &self.steps {
            let mut found = Vec::new();
            for item in items {
                self.step(item, step, &mut found)?;
            }
            items = found;
        }
        Some(items)
    }
}

/// What the items at a path are made into; NULL, or false, where the text is no JSON or the mode minds.
fn with(args: &[Value<'_>], otherwise: Out, one: impl Fn(&[&Document]) -> Out) -> Result<Out> {
    let [json, path] = args else { return Ok(Out::Null) };
    let path = read(path.text())?;
    let Ok(root) = serde_json::from_str::<Document>(json.text()) else { return Ok(otherwise) };
    Ok(path.items(&root).map_or(otherwise, |items| one(&items)))
}

fn exists(args: &[Value<'_>]) -> Result<Out> {
    with(args, Out::Bool(false), |items| Out::Bool(!items.is_empty()))
}

fn query(args: &[Value<'_>]) -> Result<Out> {
    with(args, Out::Null, |items| match items {
        [item] => Out::Text(item.to_string()),
        _ => Out::Null,
    })
}

fn value(args: &[Value<'_>]) -> Result<Out> {
    with(args, Out::Null, |items| match items {
        [item] => scalar(item).map_or(Out::Null, Out::Text),
        _ => Out::Null,
    })
}

const fn both(gives: Kind, work: Work) -> [Form; 2] {
    [form(&[Text, Text], gives, work), form(&[Json, Text], gives, work)]
}

static EXISTS: [Form; 2] = both(Bool, exists);
static QUERY: [Form; 2] = both(Text, query);
static VALUE: [Form; 2] = both(Text, value);

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    vec![simple("json_exists", &EXISTS), simple("json_query", &QUERY), simple("json_value", &VALUE)]
}
