//! Updates of items: what `UpdateExpression` and `AttributeUpdates` become.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::Problem;
use super::path::{Path, check_apart};
use super::placeholders::Placeholders;
use super::syntax::{ActionNode, Node, SetNode, Step};
use super::{check, syntax};
use crate::{Kind, Value};

/// Where a value that is set comes from; the item is always the one before the update.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// From the request.
    Value(Arc<Value>),
    /// From the item, where it must be.
    Path(Path),
    /// `if_not_exists(a, b)`
    IfNotExists(Path, Box<Source>),
    /// `list_append(a, b)`
    Append(Box<Source>, Box<Source>),
}

impl Source {
    fn reads<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Source::Value(_) => {}
            Source::Path(path) => drop(names.insert(path.root())),
            Source::IfNotExists(path, other) => {
                names.insert(path.root());
                other.reads(names);
            }
            Source::Append(first, second) => {
                first.reads(names);
                second.reads(names);
            }
        }
    }
}

/// A value that is set.
#[derive(Debug, Clone, PartialEq)]
pub enum SetValue {
    /// As it is.
    Source(Source),
    /// `a + b`
    Plus(Source, Source),
    /// `a - b`
    Minus(Source, Source),
}

/// What is done to an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    pub(super) sets: Vec<(Path, SetValue)>,
    pub(super) removes: Vec<Path>,
    pub(super) adds: Vec<(Path, Arc<Value>)>,
    pub(super) deletes: Vec<(Path, Arc<Value>)>,
    /// Was it `AttributeUpdates`, which adds to lists and has other messages?
    pub(super) legacy: bool,
}

impl Update {
    pub(super) fn read(text: &str, placeholders: &mut Placeholders) -> Result<Update, Problem> {
        let sections = syntax::update(text).map_err(without_size)?;
        check::update(&sections)?;
        let actions: Vec<&(Vec<Step<'_>>, ActionNode<'_>)> =
            sections.iter().flat_map(|section| &section.actions).collect();
        let paths =
            actions.iter().map(|(steps, _)| placeholders.path(steps)).collect::<Result<Vec<Path>, Problem>>()?;
        check_apart(&paths)?;
        let mut update = Update::default();
        for ((_, action), path) in actions.into_iter().zip(paths) {
            match action {
                ActionNode::Set(node) => update.sets.push((path, set_value(node, placeholders)?)),
                ActionNode::Remove => update.removes.push(path),
                ActionNode::Add(placeholder) => {
                    let allowed = [Kind::N, Kind::Ss, Kind::Ns, Kind::Bs];
                    update.adds.push((path, action_value("ADD", placeholders.value(placeholder)?, &allowed)?));
                }
                ActionNode::Delete(placeholder) => {
                    let allowed = [Kind::Ss, Kind::Ns, Kind::Bs];
                    update.deletes.push((path, action_value("DELETE", placeholders.value(placeholder)?, &allowed)?));
                }
            }
        }
        Ok(update)
    }

    /// The paths it writes to, in no order that matters.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let sets = self.sets.iter().map(|(path, _)| path);
        let changes = self.adds.iter().chain(&self.deletes).map(|(path, _)| path);
        sets.chain(&self.removes).chain(changes)
    }

    /// The attributes it writes to or into.
    pub fn attributes(&self) -> BTreeSet<&str> {
        self.paths().map(Path::root).collect()
    }

    /// The attributes it reads, or reads from, for what it sets.
    pub fn reads(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for (_, value) in &self.sets {
            match value {
                SetValue::Source(source) => source.reads(&mut names),
                SetValue::Plus(left, right) | SetValue::Minus(left, right) => {
                    left.reads(&mut names);
                    right.reads(&mut names);
                }
            }
        }
        names
    }
}

/// Of an update that is too long AWS does not say how long it is.
fn without_size(problem: Problem) -> Problem {
    match problem {
        Problem::TooLong(_) => Problem::UpdateTooLong,
        other => other,
    }
}

fn action_value(operator: &'static str, value: Arc<Value>, allowed: &[Kind]) -> Result<Arc<Value>, Problem> {
    let kind = value.kind();
    if allowed.contains(&kind) { Ok(value) } else { Err(Problem::ActionType { operator, kind }) }
}

fn set_value(node: &SetNode<'_>, placeholders: &mut Placeholders) -> Result<SetValue, Problem> {
    let mut sum = |operator: &str, left, right| {
        let (left, right) = (source(left, placeholders)?, source(right, placeholders)?);
        for side in [&left, &right] {
            check_kind(operator, side, Kind::N)?;
        }
        Ok((left, right))
    };
    match node {
        SetNode::Operand(node) => Ok(SetValue::Source(source(node, placeholders)?)),
        SetNode::Plus(left, right) => sum("+", left, right).map(|(left, right)| SetValue::Plus(left, right)),
        SetNode::Minus(left, right) => sum("-", left, right).map(|(left, right)| SetValue::Minus(left, right)),
    }
}

fn source(node: &Node<'_>, placeholders: &mut Placeholders) -> Result<Source, Problem> {
    match node {
        Node::Value(placeholder) => Ok(Source::Value(placeholders.value(placeholder)?)),
        Node::Path(steps) => Ok(Source::Path(placeholders.path(steps)?)),
        Node::Call(function, operands) => {
            let sources =
                operands.iter().map(|node| source(node, placeholders)).collect::<Result<Vec<_>, Problem>>()?;
            call(function, sources)
        }
        // The grammar has operands only.
        _ => Err(Problem::Empty),
    }
}

fn call(function: &str, sources: Vec<Source>) -> Result<Source, Problem> {
    let count = sources.len();
    let Ok([first, second]) = <[Source; 2]>::try_from(sources) else {
        return Err(Problem::OperandCount { function: function.to_owned(), count });
    };
    if function == "list_append" {
        check_kind(function, &first, Kind::L)?;
        check_kind(function, &second, Kind::L)?;
        return Ok(Source::Append(Box::new(first), Box::new(second)));
    }
    let Source::Path(path) = first else {
        return Err(Problem::NeedsPath(function.to_owned()));
    };
    if second == Source::Path(path.clone()) {
        return Err(Problem::NotDistinct { operator: function.to_owned(), path: path.to_string() });
    }
    Ok(Source::IfNotExists(path, Box::new(second)))
}

/// Is a value from the request of this type?
fn check_kind(operator: &str, source: &Source, wanted: Kind) -> Result<(), Problem> {
    match source {
        Source::Value(value) if value.kind() != wanted => {
            Err(Problem::OperandType { operator: operator.to_owned(), kind: value.kind().name().to_owned() })
        }
        _ => Ok(()),
    }
}
