//! What can be asked of an expression before its placeholders are looked at: reserved words, indexes, and where functions stand.

use super::error::Problem;
use super::path::MAX_LIST_INDEX;
use super::reserved::is_reserved;
use super::syntax::{ActionNode, Node, SectionNode, SetNode, Step};

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A condition is wanted.
    Condition,
    /// A value is wanted, in a condition.
    Operand,
    /// The whole of what `SET` sets.
    SetValue,
    /// A part of what `SET` sets.
    SetOperand,
}

/// What a function is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Condition,
    Operand,
    SetOperand,
    /// Only as the whole of what `SET` sets.
    SetValue,
}

const FUNCTIONS: [(&str, Use, usize); 8] = [
    ("attribute_exists", Use::Condition, 1),
    ("attribute_not_exists", Use::Condition, 1),
    ("attribute_type", Use::Condition, 2),
    ("begins_with", Use::Condition, 2),
    ("contains", Use::Condition, 2),
    ("size", Use::Operand, 1),
    ("if_not_exists", Use::SetOperand, 2),
    ("list_append", Use::SetValue, 2),
];

/// Checks a condition.
pub(super) fn condition(node: &Node<'_>) -> Result<(), Problem> {
    check(node, Place::Condition)
}

/// Checks the paths of a projection.
pub(super) fn path(steps: &[Step<'_>]) -> Result<(), Problem> {
    for step in steps {
        match step {
            Step::Literal(name) if is_reserved(name) => return Err(Problem::Reserved((*name).to_owned())),
            Step::Index(index) if index.parse::<u32>().is_ok_and(|index| index <= MAX_LIST_INDEX) => {}
            Step::Index(index) => return Err(Problem::ListIndex((*index).to_owned())),
            Step::Literal(_) | Step::Placeholder(_) => {}
        }
    }
    Ok(())
}

/// Checks the sections of an update.
pub(super) fn update(sections: &[SectionNode<'_>]) -> Result<(), Problem> {
    for (steps, action) in sections.iter().flat_map(|section| &section.actions) {
        path(steps)?;
        match action {
            ActionNode::Set(SetNode::Operand(node)) => check(node, Place::SetValue)?,
            ActionNode::Set(SetNode::Plus(left, right) | SetNode::Minus(left, right)) => {
                check(left, Place::SetOperand)?;
                check(right, Place::SetOperand)?;
            }
            ActionNode::Remove | ActionNode::Add(_) | ActionNode::Delete(_) => {}
        }
    }
    for (at, section) in sections.iter().enumerate() {
        if sections[..at].iter().any(|other| other.name == section.name) {
            return Err(Problem::RepeatedSection(section.name));
        }
    }
    Ok(())
}

fn check(node: &Node<'_>, place: Place) -> Result<(), Problem> {
    match node {
        Node::Value(_) => Ok(()),
        Node::Path(steps) => path(steps),
        Node::Call(name, operands) => call(name, operands, place),
        Node::Compare(_, operands) => operands.iter().try_for_each(|operand| check(operand, Place::Operand)),
        Node::Between(operands) => operands.iter().try_for_each(|operand| check(operand, Place::Operand)),
        Node::In(value, others) => {
            check(value, Place::Operand)?;
            others.iter().try_for_each(|operand| check(operand, Place::Operand))
        }
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().try_for_each(|node| check(node, Place::Condition)),
        Node::Not(node) => check(node, Place::Condition),
    }
}

fn call(name: &str, operands: &[Node<'_>], place: Place) -> Result<(), Problem> {
    let Some((_, used, count)) = FUNCTIONS.into_iter().find(|(known, ..)| *known == name) else {
        return Err(Problem::UnknownFunction(name.to_owned()));
    };
    let in_update = matches!(place, Place::SetValue | Place::SetOperand);
    let fits = match (used, place) {
        (Use::Condition | Use::Operand, _) if in_update => return Err(Problem::NotInUpdate(name.to_owned())),
        (Use::SetOperand | Use::SetValue, _) if !in_update => return Err(Problem::NotInCondition(name.to_owned())),
        (Use::Condition, place) => place == Place::Condition,
        (Use::Operand, place) => place == Place::Operand,
        (Use::SetOperand, _) => true,
        (Use::SetValue, place) => place == Place::SetValue,
    };
    if !fits {
        return Err(Problem::MisplacedFunction(name.to_owned()));
    }
    // The operands of an update's functions are counted when its placeholders are there.
    if !in_update && operands.len() != count {
        return Err(Problem::OperandCount { function: name.to_owned(), count: operands.len() });
    }
    let place = if in_update { Place::SetOperand } else { Place::Operand };
    operands.iter().try_for_each(|operand| check(operand, place))
}
