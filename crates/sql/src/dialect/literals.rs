//! Literals, rows and casts of Trino's, as expressions that mean the same to the engine.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, DateTimeField, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, Interval, ObjectName, TypedString, UnaryOperator, Value,
};

use super::kinds::Kind;
use crate::failure::Problem;

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

fn custom(kind: String) -> DataType {
    DataType::Custom(ObjectName::from(vec![Ident::with_quote('"', kind)]), Vec::new())
}

fn cast(kind: CastKind, expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind, expr: Box::new(expr), data_type, array: false, format: None }
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
            Value::Number(digits, _) => number(digits),
            Value::UnicodeStringLiteral(inner) => Ok(Some(text(inner.clone()))),
            _ => Ok(None),
        },
        Expr::TypedString(typed) => typed_string(typed),
        Expr::Interval(one) => interval(one),
        Expr::Tuple(values) => Ok(Some(row(None, values.clone()))),
        Expr::Function(call) if is_row(call) => Ok(arguments(call).map(|values| row(None, values))),
        Expr::Cast { kind, expr, data_type, .. } => cast_to(kind, expr, data_type),
        _ => Ok(None),
    }
}

fn is_row(call: &Function) -> bool {
    matches!(call.name.0.as_slice(), [name] if name.as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case("row") && name.quote_style.is_none()))
}

/// Whole numbers and decimals are what the engine takes them for; numbers with an exponent are doubles.
fn number(digits: &str) -> Result<Option<Expr>, Problem> {
    if digits.contains(['e', 'E']) {
        return Ok(Some(cast(CastKind::Cast, text(digits), DataType::Double(ExactNumberInfo::None))));
    }
    let plain = digits.replace('_', "");
    // The largest has a minus before it, which is no part of it.
    if !plain.contains('.') && plain.parse::<u64>().is_ok_and(|number| number > 1 << 63) || plain.len() > 40 {
        return Err(wrong(format!("Invalid numeric literal: {digits}")));
    }
    Ok(None)
}

fn typed_string(typed: &TypedString) -> Result<Option<Expr>, Problem> {
    let Value::SingleQuotedString(inner) = &typed.value.value else { return Ok(None) };
    match &typed.data_type {
        DataType::Decimal(ExactNumberInfo::None) => {
            let digits = inner.trim().trim_start_matches(['-', '+']);
            let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
            let precision = (whole.trim_start_matches('0').len() + part.len()).max(1);
            let kind = format!("decimal({precision}, {})", part.len());
            Ok(Some(cast(CastKind::Cast, text(inner.clone()), custom(kind))))
        }
        DataType::Timestamp(..) => {
            let zone = zone(inner);
            let digits = zone.map_or(inner.as_str(), |(time, _)| time);
            let precision = digits.rsplit_once('.').map_or(0, |(_, part)| part.trim_end().len());
            let kind = match zone {
                Some((_, zone)) => format!("timestamp({precision}) with time zone '{}'", zone.replace('\'', "''")),
                None => format!("timestamp({precision})"),
            };
            Ok(Some(cast(CastKind::Cast, text(digits.trim_end()), custom(kind))))
        }
        _ => Ok(None),
    }
}

/// The time and the zone of a timestamp, which has one after its time of day.
fn zone(text: &str) -> Option<(&str, &str)> {
    let time = text.find(':')?;
    let at = text.get(time..)?.find([' ', '+', '-'])? + time;
    let (before, zone) = (text.get(..at)?, text.get(at..)?.trim());
    // An offset may have no zero before it: `+2:00`.
    (!zone.is_empty()).then_some((before, zone))
}

fn is_negative(expr: &Expr) -> Option<(bool, &str)> {
    match expr {
        Expr::Value(one) => match &one.value {
            Value::SingleQuotedString(inner) => Some((false, inner)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_negative(expr).map(|(negative, inner)| (!negative, inner)),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => is_negative(expr),
        _ => None,
    }
}

/// `'1-2' YEAR TO MONTH` as `'1 YEAR 2 MONTH'`.
fn interval(one: &Interval) -> Result<Option<Expr>, Problem> {
    let Some(first) = &one.leading_field else {
        return Err(wrong("an interval has a unit: INTERVAL '2' DAY".to_owned()));
    };
    let Some((negative, inner)) = is_negative(&one.value) else {
        return Err(wrong("an interval's value is a text: INTERVAL '2' DAY".to_owned()));
    };
    let unit = |field: &DateTimeField| {
        let found = UNITS.iter().position(|unit| unit == field);
        found.ok_or_else(|| wrong(format!("an interval has no unit {field}: it has YEAR, MONTH, DAY, HOUR, MINUTE and SECOND")))
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
    let words: Vec<String> = parts.iter().zip(units).map(|(part, unit)| format!("{sign}{part} {unit}")).collect();
    let value = Box::new(text(words.join(" ")));
    Ok(Some(Expr::Interval(Interval {
        value,
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })))
}

/// A row: its fields have the names of a type, or `field0`, `field1`, ...
fn row(kinds: Option<(&CastKind, &[(String, Kind)])>, values: Vec<Expr>) -> Expr {
    let mut args = Vec::with_capacity(values.len() * 2);
    for (at, one) in values.into_iter().enumerate() {
        match kinds.and_then(|(how, fields)| fields.get(at).map(|field| (how, field))) {
            Some((how, (name, kind))) => {
                args.push(text(name));
                args.push(cast(how.clone(), one, custom(kind.to_string())));
            }
            None => {
                args.push(text(format!("field{at}")));
                args.push(one);
            }
        }
    }
    call("named_struct", args)
}

fn cast_to(how: &CastKind, expr: &Expr, data_type: &DataType) -> Result<Option<Expr>, Problem> {
    // JSON has its own functions.
    if matches!(data_type, DataType::JSON | DataType::JSONB) {
        return Ok(None);
    }
    let varchar = || cast(how.clone(), expr.clone(), custom("varchar".to_owned()));
    match Kind::of(data_type)? {
        Kind::Varchar(length) => {
            let (one, length) = (value(Value::Number("1".to_owned(), false)), Value::Number(length.to_string(), false));
            Ok(Some(call("substr", vec![varchar(), one, value(length)])))
        }
        Kind::Char(length) => {
            Ok(Some(call("rpad", vec![varchar(), value(Value::Number(length.to_string(), false)), text(" ")])))
        }
        Kind::Row(fields) => {
            let values = match expr {
                Expr::Function(call) if is_row(call) => arguments(call),
                Expr::Tuple(values) => Some(values.clone()),
                _ => None,
            };
            match values {
                Some(values) if values.len() == fields.len() => Ok(Some(row(Some((how, &fields)), values))),
                Some(values) => Err(wrong(format!("Cannot cast a row of {} fields to one of {}", values.len(), fields.len()))),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}
