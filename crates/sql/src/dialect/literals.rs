//! Literals, rows and casts of Trino's, as expressions that mean the same to the engine.

use datafusion::sql::sqlparser::ast::{
    DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    Interval, ObjectName, UnaryOperator, Value,
};

use super::whole;
use crate::failure::Problem;
use crate::functions::CAST;

const NANOS_OF_DAY: i128 = 86_400_000_000_000;

/// Units of intervals, the largest first.
const UNITS: [DateTimeField; 6] = [
    DateTimeField::Year,
    DateTimeField::Month,
    DateTimeField::Day,
    DateTimeField::Hour,
    DateTimeField::Minute,
    DateTimeField::Second,
];

fn wrong(words: String) -> Problem {
    Problem::Statement(format!("SYNTAX_ERROR: {words}"))
}

fn value(value: Value) -> Expr {
    Expr::Value(value.into())
}

fn text(text: impl Into<String>) -> Expr {
    value(Value::SingleQuotedString(text.into()))
}

/// A call of one of the engine's functions.
pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The arguments of a call; `None` where one is more than an expression.
pub fn arguments(call: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(plain).collect()
}

/// What an expression is to be instead; `None` to let it be.
pub fn rewritten(expr: &Expr) -> Result<Option<Expr>, Problem> {
    match expr {
        Expr::Value(one) => match &one.value {
            Value::Number(digits, is_kept) => number(digits, *is_kept),
            Value::HexStringLiteral(digits) if digits.contains(char::is_whitespace) => {
                Ok(Some(value(Value::HexStringLiteral(digits.split_whitespace().collect()))))
            }
            Value::UnicodeStringLiteral(inner) => Ok(Some(text(inner.clone()))),
            _ => Ok(None),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(negative(expr)),
        Expr::Interval(one) => interval(one),
        Expr::Tuple(values) => Ok(Some(row(values.clone()))),
        Expr::Function(call) if is_row(call) => Ok(arguments(call).map(row)),
        _ => Ok(None),
    }
}

fn is_row(call: &Function) -> bool {
    matches!(call.name.0.as_slice(), [name] if name.as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case("row") && name.quote_style.is_none()))
}

/// Decimals and large numbers are what the engine takes them for; numbers with an exponent are doubles.
fn number(digits: &str, is_kept: bool) -> Result<Option<Expr>, Problem> {
    if digits.contains(['e', 'E']) {
        return Ok(Some(call(CAST, vec![text(digits), text("double")])));
    }
    let plain = digits.replace('_', "");
    // Of decimals there are no more than 38 digits, a point and a 0 before it.
    if !plain.contains('.') && plain.parse::<i64>().is_err() || plain.len() > 40 {
        return Err(wrong(format!("Invalid numeric literal: {digits}")));
    }
    Ok(if is_kept { None } else { whole::integer(&plain) })
}

/// The least number has a minus before it, and is an `integer` or a `bigint` only with it.
fn negative(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Value(one) => match &one.value {
            Value::Number(digits, false) => whole::negative(digits),
            _ => None,
        },
        _ => None,
    }
}

fn is_negative(expr: &Expr) -> Option<(bool, &str)> {
    match expr {
        Expr::Value(one) => match &one.value {
            Value::SingleQuotedString(inner) => Some((false, inner)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            is_negative(expr).map(|(negative, inner)| (!negative, inner))
        }
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => is_negative(expr),
        _ => None,
    }
}

/// So many days, hours, minutes or seconds; `None` for no number.
fn nanos(part: &str, unit: &DateTimeField) -> Option<i128> {
    let size = match unit {
        DateTimeField::Day => NANOS_OF_DAY,
        DateTimeField::Hour => NANOS_OF_DAY / 24,
        DateTimeField::Minute => NANOS_OF_DAY / 24 / 60,
        _ => NANOS_OF_DAY / 24 / 60 / 60,
    };
    let (whole, rest) = part.split_once('.').unwrap_or((part, ""));
    let digits = u32::try_from(rest.len()).ok()?;
    let number: i128 = format!("{whole}{rest}").parse().ok()?;
    Some(number.checked_mul(size)? / 10_i128.checked_pow(digits)?)
}

fn interval(one: &Interval) -> Result<Option<Expr>, Problem> {
    let Some(first) = &one.leading_field else {
        return Err(wrong("an interval has a unit: INTERVAL '2' DAY".to_owned()));
    };
    let Some((negative, inner)) = is_negative(&one.value) else {
        return Err(wrong("an interval's value is a text: INTERVAL '2' DAY".to_owned()));
    };
    let unit = |field: &DateTimeField| {
        let found = UNITS.iter().position(|unit| unit == field);
        found.ok_or_else(|| {
            wrong(format!("an interval has no unit {field}: it has YEAR, MONTH, DAY, HOUR, MINUTE and SECOND"))
        })
    };
    let from = unit(first)?;
    let to = one.last_field.as_ref().map_or(Ok(from), unit)?;
    if to < from || (from < 2) != (to < 2) {
        return Err(wrong(format!("an interval does not go from {first} to {}", UNITS.get(to).unwrap_or(first))));
    }
    let inner = inner.trim();
    let (negative, digits) = match inner.strip_prefix('-') {
        Some(rest) => (!negative, rest),
        None => (negative, inner.strip_prefix('+').unwrap_or(inner)),
    };
    let parts: Vec<&str> = digits.split(['-', ' ', ':']).collect();
    let units = UNITS.get(from..=to).unwrap_or_default();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if parts.len() != units.len() || !parts.iter().all(is_number) {
        return Err(wrong(format!("Invalid INTERVAL literal: '{inner}'")));
    }
    let sign = if negative { "-" } else { "" };
    let words = if from < 2 {
        let words: Vec<String> = parts.iter().zip(units).map(|(part, unit)| format!("{sign}{part} {unit}")).collect();
        words.join(" ")
    } else {
        let nanos = parts.iter().zip(units).try_fold(0, |sum: i128, (part, unit)| sum.checked_add(nanos(part, unit)?));
        let nanos = nanos.ok_or_else(|| wrong(format!("Invalid INTERVAL literal: '{inner}'")))?;
        // Whole days and the rest of one: so the same time is always the same value.
        format!("{sign}{} days {sign}{} nanoseconds", nanos / NANOS_OF_DAY, nanos % NANOS_OF_DAY)
    };
    let value = Box::new(text(words));
    Ok(Some(Expr::Interval(Interval {
        value,
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })))
}

/// A row: its fields are `field0`, `field1`, ...
fn row(values: Vec<Expr>) -> Expr {
    let mut args = Vec::with_capacity(values.len() * 2);
    for (at, one) in values.into_iter().enumerate() {
        args.push(text(format!("field{at}")));
        args.push(one);
    }
    call("named_struct", args)
}
