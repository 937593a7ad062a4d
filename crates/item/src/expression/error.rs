//! What is wrong with expressions, in AWS's words.

use std::fmt;

use crate::{Kind, ValueError};

/// The parameter of a request that an expression came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// `ConditionExpression`
    Condition,
    /// `FilterExpression`
    Filter,
    /// `KeyConditionExpression`
    KeyCondition,
    /// `UpdateExpression`
    Update,
    /// `ProjectionExpression`
    Projection,
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Parameter::Condition => "ConditionExpression",
            Parameter::Filter => "FilterExpression",
            Parameter::KeyCondition => "KeyConditionExpression",
            Parameter::Update => "UpdateExpression",
            Parameter::Projection => "ProjectionExpression",
        })
    }
}

/// One of the two maps of placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// `ExpressionAttributeNames`
    Names,
    /// `ExpressionAttributeValues`
    Values,
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Map::Names => "ExpressionAttributeNames",
            Map::Values => "ExpressionAttributeValues",
        })
    }
}

/// Why expressions, or their placeholders, are refused. All are AWS's `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// An expression.
    #[error("Invalid {0}: {1}")]
    Invalid(Parameter, Problem),
    /// A map without entries.
    #[error("{0} must not be empty")]
    EmptyMap(Map),
    /// A placeholder that is not `#` or `:` and letters, digits or underscores.
    #[error("{0} contains invalid key: Syntax error; key: \"{1}\"")]
    PlaceholderSyntax(Map, String),
    /// A placeholder that is too long.
    #[error("{0} contains invalid key: The expression attribute map contains a key that is too long; size of key: {1}")]
    LongPlaceholder(Map, usize),
    /// A placeholder for no name.
    #[error("ExpressionAttributeNames contains invalid value: Empty attribute name for key {0}")]
    EmptyName(String),
    /// Placeholders that no expression uses.
    #[error("Value provided in {0} unused in expressions: keys: {{{1}}}")]
    Unused(Map, String),
}

/// What is wrong within an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing in it.
    #[error("The expression can not be empty;")]
    Empty,
    /// More than 4 KB.
    #[error("Expression size has exceeded the maximum allowed size; expression size: {0}")]
    TooLong(usize),
    /// An update of more than 4 KB.
    #[error("Expression size has exceeded the maximum allowed size;")]
    UpdateTooLong,
    /// What is read next makes no sense.
    #[error("Syntax error; token: \"{token}\", near: \"{near}\"")]
    Syntax {
        /// Where reading stopped.
        token: String,
        /// It with what stands before and behind it.
        near: String,
    },
    /// `((a = b))`
    #[error("The expression has redundant parentheses;")]
    RedundantParentheses,
    /// More than 300 operators and functions.
    #[error("The expression contains too many operators; operator count: {0}")]
    TooManyOperators(usize),
    /// A name that has to come by a placeholder.
    #[error("Attribute name is a reserved keyword; reserved keyword: {0}")]
    Reserved(String),
    /// An index above 2^31 - 1.
    #[error("List index is not within the allowable range; index: [{0}]")]
    ListIndex(String),
    /// More than 32 steps in a path.
    #[error("The document path has too many nesting levels; nesting levels: {0}")]
    DeepPath(usize),
    /// No such function.
    #[error("Invalid function name; function: {0}")]
    UnknownFunction(String),
    /// A function of updates in a condition.
    #[error("The function is not allowed in a condition expression; function: {0}")]
    NotInCondition(String),
    /// A function of conditions in an update.
    #[error("The function is not allowed in an update expression; function: {0}")]
    NotInUpdate(String),
    /// A condition where a value has to be, or the other way about.
    #[error("The function is not allowed to be used this way in an expression; function: {0}")]
    MisplacedFunction(String),
    /// Too many or too few arguments.
    #[error(
        "Incorrect number of operands for operator or function; operator or function: {function}, number of operands: {count}"
    )]
    OperandCount {
        /// The function.
        function: String,
        /// How many there are.
        count: usize,
    },
    /// `SET a = :a SET b = :b`
    #[error("The \"{0}\" section can only be used once in an update expression;")]
    RepeatedSection(&'static str),
    /// A name's placeholder that is not in the map.
    #[error("An expression attribute name used in the document path is not defined; attribute name: {0}")]
    UndefinedName(String),
    /// A value's placeholder that is not in the map.
    #[error("An expression attribute value used in expression is not defined; attribute value: {0}")]
    UndefinedValue(String),
    /// Two paths of which one is in the other.
    #[error(
        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {0}, path two: {1}"
    )]
    Overlap(String, String),
    /// Two paths, one of which takes for a list what the other takes for a map.
    #[error(
        "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: {0}, path two: {1}"
    )]
    Conflict(String, String),
    /// A function that wants a path as its first argument.
    #[error("Operator or function requires a document path; operator or function: {0}")]
    NeedsPath(String),
    /// `a = a`
    #[error(
        "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {path}"
    )]
    NotDistinct {
        /// The operator or function.
        operator: String,
        /// The path that is there twice.
        path: String,
    },
    /// A value of a type that cannot be there.
    #[error("Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}")]
    OperandType {
        /// The operator or function.
        operator: String,
        /// The type of the value; of a path, all types.
        kind: String,
    },
    /// What cannot be added to or taken from an attribute.
    // AWS names the same set for both.
    #[error("Incorrect operand type for operator or function; operator: {operator}, operand type: {}, typeSet: ALLOWED_FOR_ADD_OPERAND", long_name(*kind))]
    ActionType {
        /// `ADD` or `DELETE`.
        operator: &'static str,
        /// The type of the value.
        kind: Kind,
    },
    /// `attribute_type` with what is no type.
    #[error("Invalid attribute type name found; type: {0}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}")]
    TypeName(String),
    /// `BETWEEN` two values of two types.
    #[error(
        "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {0}, upper bound operand: AttributeValue: {1}"
    )]
    BetweenTypes(String, String),
    /// `BETWEEN` bounds the wrong way about.
    #[error(
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {0}, upper bound operand: AttributeValue: {1}"
    )]
    BetweenOrder(String, String),
    /// `IN` with more than 100 values.
    #[error("The IN operator is provided with too many operands; number of operands: {0}")]
    TooManyIn(usize),
    /// `OR`, `contains`, .. in a key condition.
    #[error("Invalid operator used in KeyConditionExpression: {0}")]
    KeyOperator(String),
    /// `:v BETWEEN ..`, `begins_with(:v, ..)` in a key condition.
    #[error(
        "Invalid condition in KeyConditionExpression: {0} operator must have the key attribute as its first operand"
    )]
    KeyOperand(String),
    /// `size(..)` in a key condition.
    #[error("KeyConditionExpressions cannot contain nested operations")]
    KeyNestedOperation,
    /// `a = b` in a key condition.
    #[error("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")]
    KeySeveralNames,
    /// `a.b = :v` in a key condition.
    #[error("KeyConditionExpressions cannot have conditions on nested attributes")]
    KeyNestedName,
    /// `:a = :b` in a key condition.
    #[error("Invalid condition in KeyConditionExpression: No key attribute specified")]
    KeyNoName,
    /// Two conditions for one attribute.
    #[error("KeyConditionExpressions must only contain one condition per key")]
    KeyRepeated,
}

fn long_name(kind: Kind) -> &'static str {
    match kind {
        Kind::S => "STRING",
        Kind::N => "NUMBER",
        Kind::B => "BINARY",
        Kind::Bool => "BOOL",
        Kind::Null => "NULL",
        Kind::L => "LIST",
        Kind::M => "MAP",
        Kind::Ss => "STRING_SET",
        Kind::Ns => "NUMBER_SET",
        Kind::Bs => "BINARY_SET",
    }
}

/// Why an update cannot be made of the item that is there. All are AWS's `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// What is read is not there.
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    MissingAttribute,
    /// What is there has another type.
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    /// The same, in the words for `AttributeUpdates`.
    #[error("Type mismatch for attribute to update")]
    LegacyType,
    /// What is above the place to write is not there, or no list or map.
    #[error("The document path provided in the update expression is invalid for update")]
    Path,
    /// What comes out is larger than an item may be.
    #[error("Item size to update has exceeded the maximum allowed size")]
    TooLarge,
    /// What comes out cannot be stored.
    #[error(transparent)]
    Value(#[from] ValueError),
}
