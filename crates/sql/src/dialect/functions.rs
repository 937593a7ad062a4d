//! Which functions there are: Trino's, by name.
//!
//! A name is one of our own functions, or one of the engine's of which it is known that it means the same, or refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, LambdaFunction, LambdaSyntax, ObjectName,
    ObjectNamePart, OneOrManyWithParens, Spanned, TrimWhereField, TypedString, UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::names::{BIGINTS, ENGINES, REFUSED, REFUSED_FAMILIES};
use super::rewrite::lower_all;
use super::{aggregates, lambdas, whole};
use crate::failure::Problem;
use crate::functions::{self, CAST, is_own, literal_zone};

pub fn broken(at: &impl Spanned, code: &str, what: &str) -> ControlFlow<Problem> {
    let start = at.span().start;
    let place = if start.line > 0 { format!("line {}:{}: ", start.line, start.column) } else { String::new() };
    ControlFlow::Break(Problem::Statement(format!("{code}: {place}{what}")))
}

/// Names a call as the engine has it, or refuses it.
pub fn call(call: &mut Function) -> ControlFlow<Problem> {
    lower_all(&mut call.name);
    if is_distinct_star(call) {
        return broken(&*call, "SYNTAX_ERROR", "mismatched input '*'. Expecting: an expression");
    }
    lambdas::prepare(call)?;
    call.over.iter_mut().for_each(whole::over);
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_mut_slice() else {
        let words = format!("Function '{}' not registered", call.name);
        return broken(&*call, "FUNCTION_NOT_FOUND", &words);
    };
    let known = name.value.as_str();
    if name.quote_style.is_some() && known.starts_with('$') {
        let words = format!("Function '{known}' not registered");
        return broken(&*call, "FUNCTION_NOT_FOUND", &words);
    }
    if is_own(known) || WRITTEN.contains(&known) || aggregates::WRITTEN.contains(&known) {
        return ControlFlow::Continue(());
    }
    if let Some((_, engines)) = ENGINES.iter().find(|(trino, _)| *trino == known) {
        if !engines.is_empty() {
            name.value = (*engines).to_owned();
        }
        return ControlFlow::Continue(());
    }
    if REFUSED.contains(&known) || REFUSED_FAMILIES.iter().any(|family| known.starts_with(family)) {
        let words = format!("Function '{known}' is not carried out");
        return broken(&*call, "NOT_SUPPORTED", &words);
    }
    let words = format!("Function '{known}' not registered");
    broken(&*call, "FUNCTION_NOT_FOUND", &words)
}

/// Whether it is `count(DISTINCT *)` or the like.
fn is_distinct_star(call: &Function) -> bool {
    use FunctionArgExpr::{QualifiedWildcard, Wildcard};
    let FunctionArguments::List(list) = &call.args else { return false };
    let is_star = |one: &FunctionArg| matches!(one, FunctionArg::Unnamed(Wildcard | QualifiedWildcard(_)));
    list.duplicate_treatment == Some(DuplicateTreatment::Distinct) && list.args.iter().any(is_star)
}

/// Functions that are written as something else before the engine sees them.
pub const WRITTEN: &[&str] = &["array_sort", "concat", "greatest", "if", "least", "mod", "normalize", "nullif", "try"];

/// Expressions that the engine has under another shape, after what is in them was written.
pub fn written(expr: &mut Expr) -> ControlFlow<Problem> {
    let new = match expr {
        Expr::Function(call) => match function(call) {
            Ok(Some(new)) => new,
            Ok(None) => return ControlFlow::Continue(()),
            Err(problem) => return problem,
        },
        Expr::Extract { field, expr, .. } => match extracted(field, expr) {
            Ok(new) => new,
            Err(problem) => return problem,
        },
        Expr::Value(value) => match &value.value {
            // With an exponent a number is a double.
            Value::Number(digits, _) if digits.contains(['e', 'E']) => {
                let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
                called(CAST, vec![text(digits), text("double")])
            }
            _ => return ControlFlow::Continue(()),
        },
        Expr::TypedString(literal) => match typed(literal) {
            Some(new) => new,
            None => return ControlFlow::Continue(()),
        },
        Expr::AtTimeZone { timestamp, time_zone } => {
            called("at_timezone", vec![(**timestamp).clone(), (**time_zone).clone()])
        }
        Expr::Like { negated, any: false, expr, pattern, escape_char } => {
            match like(pattern, escape_char.as_ref().map(|escape| &escape.value)) {
                Some(pattern) => Expr::Like {
                    negated: *negated,
                    any: false,
                    expr: expr.clone(),
                    pattern: Box::new(pattern),
                    escape_char: None,
                },
                None => return ControlFlow::Continue(()),
            }
        }
        Expr::Trim { trim_where, trim_what, expr, .. } => trimmed(*trim_where, trim_what.as_deref(), expr),
        // The engine's goes around at the ends.
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } if !matches!(**expr, Expr::Value(_)) => {
            called("$negate", vec![(**expr).clone()])
        }
        Expr::Ceil { expr, .. } => called("ceil", vec![(**expr).clone()]),
        Expr::Floor { expr, .. } => called("floor", vec![(**expr).clone()]),
        Expr::Position { expr, r#in } => called("strpos", vec![(**r#in).clone(), (**expr).clone()]),
        Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
            let mut arguments = vec![(**expr).clone(), (**from).clone()];
            arguments.extend(substring_for.as_deref().cloned());
            called("substr", arguments)
        }
        _ => return ControlFlow::Continue(()),
    };
    *expr = new;
    ControlFlow::Continue(())
}

/// A call.
pub fn called(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn arguments(call: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &call.args else { return Some(Vec::new()) };
    let one = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(one).collect()
}

/// `current_schema` and the like, which the parser takes for columns.
pub fn session(name: &Ident) -> Option<Function> {
    let word = name.value.to_lowercase();
    let is_one = matches!(word.as_str(), "current_catalog" | "current_schema" | "current_user");
    match called(&word, Vec::new()) {
        Expr::Function(call) if is_one && name.quote_style.is_none() => {
            Some(Function { name: ObjectName::from(vec![Ident::with_span(name.span, word)]), ..call })
        }
        _ => None,
    }
}

pub type Written = Result<Option<Expr>, ControlFlow<Problem>>;

/// Places and counts of window functions, as far as they stand in the statement.
fn offset(call: &Function, name: &str) -> Result<(), ControlFlow<Problem>> {
    let (at, least, words) = match name {
        "lag" | "lead" => (1, 0, "Offset must be at least 0"),
        "nth_value" => (1, 1, "Offset must be at least 1"),
        "ntile" => (0, 1, "Buckets must be greater than 0"),
        _ => return Ok(()),
    };
    match arguments(call).as_ref().and_then(|given| given.get(at)).and_then(count) {
        Some(count) if count < least => Err(broken(call, "INVALID_FUNCTION_ARGUMENT", words)),
        _ => Ok(()),
    }
}

fn function(call: &Function) -> Written {
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else { return Ok(None) };
    let name = name.value.as_str();
    offset(call, name)?;
    if BIGINTS.contains(&name) && arguments(call).is_none_or(|given| name != "approx_distinct" || given.len() == 1) {
        return Ok(Some(cast(Expr::Function(call.clone()), DataType::BigInt(None))));
    }
    if aggregates::WRITTEN.contains(&name) || name == "approx_distinct" {
        return aggregates::written(call, name, arguments(call));
    }
    if !WRITTEN.contains(&name) && name != "from_unixtime" {
        return Ok(None);
    }
    let Some(given) = arguments(call) else {
        return Err(broken(call, "SYNTAX_ERROR", &format!("'{name}' takes expressions")));
    };
    Ok(Some(match (name, given.as_slice()) {
        ("if", [condition, then]) => case(condition.clone(), then.clone(), None),
        ("if", [condition, then, other]) => case(condition.clone(), then.clone(), Some(other.clone())),
        ("array_sort", [array, Expr::Lambda(by)]) => {
            called(functions::SORT, vec![array.clone(), Expr::Lambda(by.clone())])
        }
        ("array_sort", _) | ("normalize", [_]) => return Ok(None),
        ("normalize", [text, at @ Expr::Identifier(form)]) => {
            let name = form.value.to_uppercase();
            if !["NFC", "NFD", "NFKC", "NFKD"].contains(&name.as_str()) {
                return Err(broken(at, "SYNTAX_ERROR", &format!("{name} is no normal form of Unicode's")));
            }
            called("normalize", vec![text.clone(), Expr::value(Value::SingleQuotedString(name))])
        }
        ("try", [body]) => attempt(body.clone()),
        ("concat", [first, rest @ ..]) if !rest.is_empty() => rest.iter().cloned().fold(first.clone(), joined),
        ("nullif", [value, other]) => {
            let nested = |one: &Expr| Box::new(Expr::Nested(Box::new(one.clone())));
            let same = Expr::BinaryOp { left: nested(value), op: BinaryOperator::Eq, right: nested(other) };
            case(same, Expr::value(Value::Null), Some(value.clone()))
        }
        ("mod", [left, right]) => modulo(left, right),
        ("greatest" | "least", [_, ..]) => all_given(name, given),
        ("from_unixtime", [seconds, zone]) => called("from_unixtime_in", vec![seconds.clone(), zone.clone()]),
        ("from_unixtime", [seconds, hours, minutes]) => {
            let text = || DataType::Varchar(None);
            let zone = match (count(hours), count(minutes)) {
                (Some(hours), Some(minutes)) => {
                    let seconds = hours.saturating_mul(3600).saturating_add(minutes.saturating_mul(60));
                    Expr::value(Value::SingleQuotedString(functions::offset_text(seconds)))
                }
                _ => cast(hours.clone(), text()),
            };
            called("from_unixtime_in", vec![seconds.clone(), zone])
        }
        ("from_unixtime", _) => return Ok(None),
        _ => {
            let words = format!("Unexpected parameters: {} of them for function {name}", given.len());
            return Err(broken(call, "FUNCTION_NOT_FOUND", &words));
        }
    }))
}

fn modulo(left: &Expr, right: &Expr) -> Expr {
    let nested = |one: &Expr| Box::new(Expr::Nested(Box::new(one.clone())));
    Expr::Nested(Box::new(Expr::BinaryOp { left: nested(left), op: BinaryOperator::Modulo, right: nested(right) }))
}

/// What of a pattern is no ordinary letter is told to the engine by a backslash; without one it means the same there.
fn like(pattern: &Expr, escape: Option<&Value>) -> Option<Expr> {
    let is_plain = |text: &str| !text.contains('\\');
    match (pattern, escape) {
        (Expr::Value(value), None) if matches!(&value.value, Value::SingleQuotedString(text) if is_plain(text)) => None,
        (pattern, None) => Some(called("$pattern", vec![pattern.clone()])),
        (pattern, Some(escape)) => Some(called("$pattern", vec![pattern.clone(), Expr::value(escape.clone())])),
    }
}

fn trimmed(side: Option<TrimWhereField>, what: Option<&Expr>, expr: &Expr) -> Expr {
    let name = match side {
        Some(TrimWhereField::Leading) => "ltrim",
        Some(TrimWhereField::Trailing) => "rtrim",
        Some(TrimWhereField::Both) | None => "trim",
    };
    called(name, std::iter::once(expr).chain(what).cloned().collect())
}

fn count(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.parse().ok(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => count(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => count(expr).map(|value| -value),
        _ => None,
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

pub fn case(condition: Expr, result: Expr, other: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: empty(),
        end_token: empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: other.map(Box::new),
    }
}

fn empty() -> datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken {
    datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty()
}

/// The engine's `||` gives NULL with NULL, its `concat` does not.
fn joined(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::StringConcat, right: Box::new(right) }
}

/// NULL where one of the arguments is: the engine's would take the others.
fn all_given(name: &str, given: Vec<Expr>) -> Expr {
    let mut nulls = given.iter().cloned().map(|one| Expr::IsNull(Box::new(Expr::Nested(Box::new(one)))));
    let first = nulls.next();
    let or = |left, right| Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Or, right: Box::new(right) };
    let null = Expr::value(Value::Null);
    match first {
        Some(first) => case(nulls.fold(first, or), null, Some(called(name, given))),
        None => null,
    }
}

/// `try(NULL, nothing -> body)`
fn attempt(body: Expr) -> Expr {
    let parameter = datafusion::sql::sqlparser::ast::LambdaFunctionParameter {
        name: Ident::with_span(Span::empty(), "$nothing"),
        data_type: None,
    };
    let lambda = LambdaFunction {
        params: OneOrManyWithParens::One(parameter),
        body: Box::new(body),
        syntax: LambdaSyntax::Arrow,
    };
    called("try", vec![Expr::value(Value::Null), Expr::Lambda(lambda)])
}

fn extracted(field: &DateTimeField, expr: &Expr) -> Result<Expr, ControlFlow<Problem>> {
    let name = field.to_string().to_lowercase();
    let known = match name.as_str() {
        "year" | "quarter" | "month" | "week" | "day" | "hour" | "minute" | "second" => name.as_str(),
        "day_of_month" | "day_of_week" | "dow" | "day_of_year" | "doy" | "year_of_week" | "yow" => name.as_str(),
        "timezone_hour" | "timezone_minute" => name.as_str(),
        _ => return Err(broken(expr, "SYNTAX_ERROR", &format!("Invalid EXTRACT field: {}", name.to_uppercase()))),
    };
    Ok(called(known, vec![expr.clone()]))
}

/// `TIMESTAMP '2001-08-22 03:04 UTC'`, `JSON '[1]'`, `DECIMAL '1.5'`: a cast of the text.
fn typed(literal: &TypedString) -> Option<Expr> {
    let text = literal.value.clone().into_string()?;
    let texts = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    let cast = |kind: &str| called(CAST, vec![texts(&text), texts(kind)]);
    Some(match &literal.data_type {
        DataType::Timestamp(..) => match literal_zone(&text) {
            Some(zone) => called("at_timezone", vec![cast("timestamp with time zone"), texts(zone)]),
            None => cast("timestamp"),
        },
        DataType::JSON => called("json_parse", vec![texts(&text)]),
        DataType::Date => cast("date"),
        DataType::Decimal(_) => {
            let digits = text.chars().filter(char::is_ascii_digit).count();
            let scale = text.split_once('.').map_or(0, |(_, after)| after.len());
            cast(&format!("decimal({}, {scale})", digits.max(1)))
        }
        other => cast(&other.to_string().to_lowercase()),
    })
}
