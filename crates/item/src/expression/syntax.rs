//! The grammar of expressions: text to a tree that knows nothing of placeholders, functions or types yet.

use super::condition::Comparator;
use super::error::Problem;
use super::lex::{Token, TokenKind, Tokens};

/// The most bytes of an expression ("Quotas in Amazon DynamoDB").
pub const MAX_EXPRESSION_BYTES: usize = 4096;
/// The most operators and functions in an expression.
pub const MAX_OPERATORS: usize = 300;
/// The most parentheses and functions within one another. What a person writes has a few; each level costs stack.
const MAX_NESTING: usize = 100;

/// What the sections of an update begin with.
const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

/// A step of a path as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Literal(&'a str),
    /// `#name`
    Placeholder(&'a str),
    Index(&'a str),
}

/// A condition or an operand as it is written.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Value(&'a str),
    Path(Vec<Step<'a>>),
    Call(&'a str, Vec<Node<'a>>),
    Compare(Comparator, Box<[Node<'a>; 2]>),
    Between(Box<[Node<'a>; 3]>),
    In(Box<Node<'a>>, Vec<Node<'a>>),
    And(Vec<Node<'a>>),
    Or(Vec<Node<'a>>),
    Not(Box<Node<'a>>),
}

impl Node<'_> {
    /// Can it stand where a condition is wanted? Whether a function can is asked later.
    fn is_condition(&self) -> bool {
        !matches!(self, Node::Value(_) | Node::Path(_))
    }

    /// Can it stand where a value is wanted?
    fn is_operand(&self) -> bool {
        matches!(self, Node::Value(_) | Node::Path(_) | Node::Call(..))
    }
}

/// A value of `SET` as it is written.
#[derive(Debug)]
pub(super) enum SetNode<'a> {
    Operand(Node<'a>),
    Plus(Node<'a>, Node<'a>),
    Minus(Node<'a>, Node<'a>),
}

/// What an update does, as it is written.
#[derive(Debug)]
pub(super) enum ActionNode<'a> {
    Set(SetNode<'a>),
    Remove,
    Add(&'a str),
    Delete(&'a str),
}

/// A section of an update as it is written.
pub(super) struct SectionNode<'a> {
    pub name: &'static str,
    pub actions: Vec<(Vec<Step<'a>>, ActionNode<'a>)>,
}

/// Reads a condition.
pub(super) fn condition(text: &str) -> Result<Node<'_>, Problem> {
    let mut parser = Parser::new(text, &["BETWEEN", "IN", "AND", "OR", "NOT"])?;
    let node = parser.or()?;
    parser.require_condition(&node)?;
    parser.end()?;
    Ok(node)
}

/// Reads a list of paths.
pub(super) fn projection(text: &str) -> Result<Vec<Vec<Step<'_>>>, Problem> {
    let mut parser = Parser::new(text, &[])?;
    let paths = parser.list(Parser::path)?;
    parser.end()?;
    Ok(paths)
}

/// Reads the sections of an update, as they come.
pub(super) fn update(text: &str) -> Result<Vec<SectionNode<'_>>, Problem> {
    let mut parser = Parser::new(text, &SECTIONS)?;
    let mut sections = Vec::new();
    while sections.is_empty() || parser.tokens.peek().kind != TokenKind::End {
        sections.push(parser.section()?);
    }
    parser.end()?;
    Ok(sections)
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    operators: usize,
    nesting: usize,
    /// Was what was read last a pair of parentheses?
    closed: bool,
    /// Words that are no names here.
    words: &'static [&'static str],
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, words: &'static [&'static str]) -> Result<Parser<'a>, Problem> {
        if text.is_empty() {
            return Err(Problem::Empty);
        }
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(Problem::TooLong(text.len()));
        }
        Ok(Parser { tokens: Tokens::new(text), operators: 0, nesting: 0, closed: false, words })
    }

    fn end(&mut self) -> Result<(), Problem> {
        if self.tokens.peek().kind != TokenKind::End {
            return Err(self.tokens.unexpected());
        }
        if self.operators > MAX_OPERATORS {
            return Err(Problem::TooManyOperators(self.operators));
        }
        Ok(())
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
        let mut items = vec![item(self)?];
        while self.tokens.skip(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn require_condition(&mut self, node: &Node<'a>) -> Result<(), Problem> {
        if node.is_condition() { Ok(()) } else { Err(self.tokens.unexpected()) }
    }

    /// Conditions with `OR` between them; or a lone operand, when no operator follows it.
    fn or(&mut self) -> Result<Node<'a>, Problem> {
        let first = self.and()?;
        self.chain(first, "OR", Self::and, Node::Or)
    }

    fn and(&mut self) -> Result<Node<'a>, Problem> {
        let first = self.not()?;
        self.chain(first, "AND", Self::not, Node::And)
    }

    fn chain(
        &mut self,
        first: Node<'a>,
        word: &str,
        next: fn(&mut Self) -> Result<Node<'a>, Problem>,
        join: fn(Vec<Node<'a>>) -> Node<'a>,
    ) -> Result<Node<'a>, Problem> {
        if !self.tokens.peek().is_word(word) {
            return Ok(first);
        }
        self.require_condition(&first)?;
        let mut nodes = vec![first];
        while self.tokens.skip_word(word) {
            self.operators += 1;
            let node = next(self)?;
            self.require_condition(&node)?;
            nodes.push(node);
        }
        self.closed = false;
        Ok(join(nodes))
    }

    fn not(&mut self) -> Result<Node<'a>, Problem> {
        let mut negations = 0;
        while self.tokens.skip_word("NOT") {
            negations += 1;
        }
        let mut node = self.comparison()?;
        if negations > 0 {
            self.require_condition(&node)?;
            self.closed = false;
        }
        self.operators += negations;
        // As many as there can be operators, one in the other.
        for _ in 0..negations.min(MAX_OPERATORS) {
            node = Node::Not(Box::new(node));
        }
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node<'a>, Problem> {
        let left = if self.tokens.peek().is_symbol("(") { self.parentheses(Self::or)? } else { self.operand()? };
        if !left.is_operand() {
            return Ok(left);
        }
        let token = self.tokens.peek();
        let node = if let Some(comparator) = comparator(&token) {
            self.tokens.next();
            Node::Compare(comparator, Box::new([left, self.operand()?]))
        } else if self.tokens.skip_word("BETWEEN") {
            let low = self.operand()?;
            if !self.tokens.skip_word("AND") {
                return Err(self.tokens.unexpected());
            }
            Node::Between(Box::new([left, low, self.operand()?]))
        } else if self.tokens.skip_word("IN") {
            self.tokens.symbol("(")?;
            let values = self.list(Self::operand)?;
            self.tokens.symbol(")")?;
            Node::In(Box::new(left), values)
        } else {
            return Ok(left);
        };
        self.operators += 1;
        self.closed = false;
        Ok(node)
    }

    fn operand(&mut self) -> Result<Node<'a>, Problem> {
        let token = self.tokens.peek();
        if token.is_symbol("(") {
            return self.parentheses(Self::operand);
        }
        let node = match token.kind {
            TokenKind::Value => Node::Value(self.tokens.next().text),
            TokenKind::Word if self.tokens.peek_at(1).is_symbol("(") && !self.is_keyword(&token) => self.call()?,
            _ => Node::Path(self.path()?),
        };
        self.closed = false;
        Ok(node)
    }

    fn call(&mut self) -> Result<Node<'a>, Problem> {
        let name = self.tokens.next().text;
        self.operators += 1;
        self.tokens.symbol("(")?;
        self.deeper()?;
        let operands = self.list(Self::operand)?;
        self.nesting -= 1;
        self.tokens.symbol(")")?;
        Ok(Node::Call(name, operands))
    }

    /// `( .. )`, in which there must not be another pair and nothing else.
    fn parentheses(&mut self, inner: fn(&mut Self) -> Result<Node<'a>, Problem>) -> Result<Node<'a>, Problem> {
        self.tokens.symbol("(")?;
        self.deeper()?;
        let node = inner(self)?;
        self.nesting -= 1;
        let redundant = self.closed;
        self.tokens.symbol(")")?;
        if redundant {
            return Err(Problem::RedundantParentheses);
        }
        self.closed = true;
        Ok(node)
    }

    fn deeper(&mut self) -> Result<(), Problem> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { Err(Problem::RedundantParentheses) } else { Ok(()) }
    }

    fn is_keyword(&self, token: &Token<'_>) -> bool {
        self.words.iter().any(|word| token.is_word(word))
    }

    fn path(&mut self) -> Result<Vec<Step<'a>>, Problem> {
        let mut steps = vec![self.name()?];
        loop {
            if self.tokens.skip(".") {
                steps.push(self.name()?);
            } else if self.tokens.skip("[") {
                steps.push(Step::Index(self.tokens.of_kind(TokenKind::Number)?.text));
                self.tokens.symbol("]")?;
            } else {
                return Ok(steps);
            }
        }
    }

    fn name(&mut self) -> Result<Step<'a>, Problem> {
        let token = self.tokens.peek();
        match token.kind {
            TokenKind::Name => Ok(Step::Placeholder(self.tokens.next().text)),
            TokenKind::Word if !self.is_keyword(&token) => Ok(Step::Literal(self.tokens.next().text)),
            _ => Err(self.tokens.unexpected()),
        }
    }

    fn section(&mut self) -> Result<SectionNode<'a>, Problem> {
        let Some(name) = SECTIONS.into_iter().find(|name| self.tokens.skip_word(name)) else {
            return Err(self.tokens.unexpected());
        };
        let actions = self.list(|parser| {
            let path = parser.path()?;
            let action = match name {
                "SET" => {
                    parser.tokens.symbol("=")?;
                    ActionNode::Set(parser.set_value()?)
                }
                "REMOVE" => ActionNode::Remove,
                "ADD" => ActionNode::Add(parser.tokens.of_kind(TokenKind::Value)?.text),
                _ => ActionNode::Delete(parser.tokens.of_kind(TokenKind::Value)?.text),
            };
            Ok((path, action))
        })?;
        Ok(SectionNode { name, actions })
    }

    fn set_value(&mut self) -> Result<SetNode<'a>, Problem> {
        let first = if self.tokens.peek().is_symbol("(") {
            // A pair of parentheses around an operand, or around a whole sum.
            self.tokens.next();
            self.deeper()?;
            let inner = self.set_value()?;
            self.nesting -= 1;
            let redundant = self.closed;
            self.tokens.symbol(")")?;
            if redundant {
                return Err(Problem::RedundantParentheses);
            }
            self.closed = true;
            match inner {
                SetNode::Operand(operand) => operand,
                sum => return Ok(sum),
            }
        } else {
            self.operand()?
        };
        let value = if self.tokens.skip("+") {
            SetNode::Plus(first, self.operand()?)
        } else if self.tokens.skip("-") {
            SetNode::Minus(first, self.operand()?)
        } else {
            return Ok(SetNode::Operand(first));
        };
        self.operators += 1;
        self.closed = false;
        Ok(value)
    }
}

fn comparator(token: &Token<'_>) -> Option<Comparator> {
    if token.kind != TokenKind::Symbol {
        return None;
    }
    Comparator::ALL.into_iter().find(|comparator| comparator.symbol() == token.text)
}
