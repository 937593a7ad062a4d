//! Puts names and values into an expression, and checks what they are.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::condition::{Comparator, Condition, Operand, order};
use super::error::{ExpressionError, Parameter, Problem};
use super::key_condition::KeyCondition;
use super::path::{MAX_LIST_INDEX, MAX_PATH_DEPTH, Path, Segment, check_apart};
use super::placeholders::Placeholders;
use super::projection::Projection;
use super::syntax::{Node, Step};
use super::update::Update;
use super::{check, syntax};
use crate::{Kind, Value};

/// The most values of an `IN`.
pub const MAX_IN_OPERANDS: usize = 100;

/// What AWS says the type of a path is: any.
const ANY_KIND: &str = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}";

impl Placeholders {
    /// Reads a `ConditionExpression`.
    pub fn condition(&mut self, text: &str) -> Result<Condition, ExpressionError> {
        self.read_condition(text).map_err(|problem| ExpressionError::Invalid(Parameter::Condition, problem))
    }

    /// Reads a `FilterExpression`.
    pub fn filter(&mut self, text: &str) -> Result<Condition, ExpressionError> {
        self.read_condition(text).map_err(|problem| ExpressionError::Invalid(Parameter::Filter, problem))
    }

    /// Reads a `KeyConditionExpression`.
    pub fn key_condition(&mut self, text: &str) -> Result<KeyCondition, ExpressionError> {
        self.read_condition(text)
            .and_then(KeyCondition::from_condition)
            .map_err(|problem| ExpressionError::Invalid(Parameter::KeyCondition, problem))
    }

    /// Reads an `UpdateExpression`.
    pub fn update(&mut self, text: &str) -> Result<Update, ExpressionError> {
        Update::read(text, self).map_err(|problem| ExpressionError::Invalid(Parameter::Update, problem))
    }

    /// Reads a `ProjectionExpression`.
    pub fn projection(&mut self, text: &str) -> Result<Projection, ExpressionError> {
        self.read_projection(text).map_err(|problem| ExpressionError::Invalid(Parameter::Projection, problem))
    }

    fn read_condition(&mut self, text: &str) -> Result<Condition, Problem> {
        let node = syntax::condition(text)?;
        check::condition(&node)?;
        self.build_condition(&node)
    }

    fn read_projection(&mut self, text: &str) -> Result<Projection, Problem> {
        let paths = syntax::projection(text)?;
        paths.iter().try_for_each(|steps| check::path(steps))?;
        let paths = paths.iter().map(|steps| self.path(steps)).collect::<Result<Vec<_>, _>>()?;
        check_apart(&paths)?;
        Ok(Projection::new(&paths))
    }

    /// The path of its steps.
    pub(super) fn path(&mut self, steps: &[Step<'_>]) -> Result<Path, Problem> {
        // Before names stand in it, which are longer than their placeholders.
        if steps.len() > MAX_PATH_DEPTH {
            return Err(Problem::DeepPath(steps.len()));
        }
        let mut segments = Vec::with_capacity(steps.len());
        for step in steps {
            segments.push(match step {
                Step::Literal(name) => Segment::Name(Arc::from(*name)),
                Step::Placeholder(placeholder) => Segment::Name(self.name(placeholder)?),
                // Within the range, as was checked.
                Step::Index(index) => Segment::Index(index.parse().unwrap_or(MAX_LIST_INDEX)),
            });
        }
        let mut segments = segments.into_iter();
        match segments.next() {
            Some(Segment::Name(root)) => Ok(Path::new(root, segments.collect())),
            // The grammar begins a path with a name.
            _ => Err(Problem::Empty),
        }
    }

    /// The operand of a node; `size` is the only function among them.
    fn operand(&mut self, node: &Node<'_>) -> Result<Operand, Problem> {
        match node {
            Node::Value(placeholder) => Ok(Operand::Value(self.value(placeholder)?)),
            Node::Path(steps) => Ok(Operand::Path(self.path(steps)?)),
            Node::Call(function, operands) => match operands.as_slice() {
                [operand] => {
                    let operand = self.operand(operand)?;
                    let sized = [Kind::S, Kind::B, Kind::Ss, Kind::Ns, Kind::Bs, Kind::L, Kind::M];
                    check_kind(function, &operand, &sized)?;
                    Ok(Operand::Size(Box::new(operand)))
                }
                _ => Err(Problem::OperandCount { function: (*function).to_owned(), count: operands.len() }),
            },
            // The grammar has operands only.
            _ => Err(Problem::Empty),
        }
    }

    fn build_condition(&mut self, node: &Node<'_>) -> Result<Condition, Problem> {
        match node {
            Node::And(nodes) => Ok(Condition::All(self.build_conditions(nodes)?)),
            Node::Or(nodes) => Ok(Condition::Any(self.build_conditions(nodes)?)),
            Node::Not(node) => Ok(Condition::Not(Box::new(self.build_condition(node)?))),
            Node::Compare(comparator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                compare(*comparator, left, right)
            }
            Node::Between(operands) => {
                let [value, low, high] = &**operands;
                let (value, low, high) = (self.operand(value)?, self.operand(low)?, self.operand(high)?);
                between(value, low, high)
            }
            Node::In(value, others) => {
                let value = self.operand(value)?;
                let others = others.iter().map(|other| self.operand(other)).collect::<Result<Vec<_>, _>>()?;
                if others.len() > MAX_IN_OPERANDS {
                    return Err(Problem::TooManyIn(others.len()));
                }
                check_distinct("IN", &value, &others)?;
                Ok(Condition::In(value, others))
            }
            Node::Call(function, operands) => {
                let operands = operands.iter().map(|node| self.operand(node)).collect::<Result<Vec<_>, _>>()?;
                function_condition(function, operands)
            }
            // The grammar has conditions only.
            Node::Value(_) | Node::Path(_) => Err(Problem::Empty),
        }
    }

    fn build_conditions(&mut self, nodes: &[Node<'_>]) -> Result<Vec<Condition>, Problem> {
        nodes.iter().map(|node| self.build_condition(node)).collect()
    }
}

/// The types that have an order.
const ORDERED: [Kind; 3] = [Kind::S, Kind::N, Kind::B];

fn compare(comparator: Comparator, left: Operand, right: Operand) -> Result<Condition, Problem> {
    check_distinct(comparator.symbol(), &left, std::slice::from_ref(&right))?;
    if !matches!(comparator, Comparator::Eq | Comparator::Ne) {
        check_kind(comparator.symbol(), &left, &ORDERED)?;
        check_kind(comparator.symbol(), &right, &ORDERED)?;
    }
    Ok(Condition::Compare(comparator, left, right))
}

fn between(value: Operand, low: Operand, high: Operand) -> Result<Condition, Problem> {
    check_distinct("BETWEEN", &value, &[low.clone(), high.clone()])?;
    for operand in [&value, &low, &high] {
        check_kind("BETWEEN", operand, &ORDERED)?;
    }
    if let (Operand::Value(low), Operand::Value(high)) = (&low, &high) {
        match order(low, high) {
            None => return Err(Problem::BetweenTypes(bound(low), bound(high))),
            Some(order) if order.is_gt() => return Err(Problem::BetweenOrder(bound(low), bound(high))),
            Some(_) => {}
        }
    }
    Ok(Condition::Between(value, low, high))
}

fn bound(value: &Value) -> String {
    match value {
        Value::S(text) => format!("{{S:{text}}}"),
        Value::N(number) => format!("{{N:{number}}}"),
        Value::B(bytes) => format!("{{B:{}}}", STANDARD.encode(bytes)),
        // Others have no order, and are refused before.
        other => format!("{{{}}}", other.kind()),
    }
}

fn function_condition(function: &str, operands: Vec<Operand>) -> Result<Condition, Problem> {
    let count = operands.len();
    let mut operands = operands.into_iter();
    match (function, operands.next(), operands.next()) {
        ("attribute_exists", Some(operand), None) => Ok(Condition::Exists(need_path(function, operand)?)),
        ("attribute_not_exists", Some(operand), None) => Ok(Condition::Missing(need_path(function, operand)?)),
        ("attribute_type", Some(operand), Some(kind)) => {
            check_distinct(function, &operand, std::slice::from_ref(&kind))?;
            Ok(Condition::HasType(need_path(function, operand)?, type_name(function, kind)?))
        }
        ("begins_with", Some(value), Some(prefix)) => {
            check_distinct(function, &value, std::slice::from_ref(&prefix))?;
            check_kind(function, &value, &[Kind::S, Kind::B])?;
            check_kind(function, &prefix, &[Kind::S, Kind::B])?;
            Ok(Condition::BeginsWith(value, prefix))
        }
        ("contains", Some(value), Some(part)) => {
            check_distinct(function, &value, std::slice::from_ref(&part))?;
            Ok(Condition::Contains(value, part))
        }
        _ => Err(Problem::OperandCount { function: function.to_owned(), count }),
    }
}

fn type_name(function: &str, operand: Operand) -> Result<Kind, Problem> {
    let wrong = |kind: &str| Problem::OperandType { operator: function.to_owned(), kind: kind.to_owned() };
    match operand {
        Operand::Value(value) => match &*value {
            Value::S(name) => Kind::from_name(name).ok_or_else(|| Problem::TypeName(name.clone())),
            other => Err(wrong(other.kind().name())),
        },
        Operand::Size(_) => Err(wrong(Kind::N.name())),
        Operand::Path(_) => Err(wrong(ANY_KIND)),
    }
}

fn need_path(function: &str, operand: Operand) -> Result<Path, Problem> {
    match operand {
        Operand::Path(path) => Ok(path),
        _ => Err(Problem::NeedsPath(function.to_owned())),
    }
}

/// Is the type of the operand, as far as it is known, one of these?
fn check_kind(operator: &str, operand: &Operand, allowed: &[Kind]) -> Result<(), Problem> {
    match operand.kind() {
        Some(kind) if !allowed.contains(&kind) => {
            Err(Problem::OperandType { operator: operator.to_owned(), kind: kind.name().to_owned() })
        }
        _ => Ok(()),
    }
}

/// A path must not be compared with itself.
fn check_distinct(operator: &str, first: &Operand, others: &[Operand]) -> Result<(), Problem> {
    match first {
        Operand::Path(path) if others.contains(first) => {
            Err(Problem::NotDistinct { operator: operator.to_owned(), path: path.to_string() })
        }
        _ => Ok(()),
    }
}
