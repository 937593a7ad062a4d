//! Expressions that the parser takes and Trino does not, or that are not carried out.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CeilFloorKind, Expr, FunctionArguments, Subscript, UnaryOperator, Value,
};

use super::refuse::{Refusal, Why};

fn syntax(words: &'static [&'static str], said: &'static str) -> Option<Refusal> {
    Some((words, Why::Syntax, said))
}

fn absent(words: &'static [&'static str], said: &'static str) -> Option<Refusal> {
    Some((words, Why::Absent, said))
}

/// Why an expression is refused; what it is made of is not looked at.
pub fn refused(expr: &Expr) -> Option<Refusal> {
    match expr {
        Expr::Cast { kind, array, format, .. } => match kind {
            CastKind::DoubleColon => syntax(&["::"], ":: is not Trino's: write CAST(... AS ...)"),
            CastKind::SafeCast => syntax(&["SAFE_CAST"], "SAFE_CAST is not Trino's: write TRY_CAST"),
            _ if *array || format.is_some() => syntax(&["FORMAT"], "a cast takes a type alone"),
            _ => None,
        },
        Expr::ILike { .. } => syntax(&["ILIKE"], "ILIKE is not Trino's: compare lower(...) with LIKE"),
        Expr::Like { any: true, .. } => syntax(&["LIKE", "ANY"], "LIKE ANY is not Trino's"),
        Expr::SimilarTo { .. } => syntax(&["SIMILAR"], "SIMILAR TO is not Trino's: use regexp_like"),
        Expr::RLike { .. } => syntax(&[], "RLIKE and REGEXP are not Trino's: use regexp_like"),
        Expr::IsTrue(_) | Expr::IsNotTrue(_) | Expr::IsFalse(_) | Expr::IsNotFalse(_) => {
            syntax(&["IS"], "IS TRUE and IS FALSE are not Trino's: write IS NOT DISTINCT FROM true")
        }
        Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => syntax(&["UNKNOWN"], "IS UNKNOWN is not Trino's: write IS NULL"),
        Expr::BinaryOp { op, .. } => binary(op),
        Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not, .. } => None,
        Expr::UnaryOp { .. } => syntax(&[], "this operator is not Trino's"),
        Expr::Ceil { field, .. } | Expr::Floor { field, .. } if is_rounded(field) => {
            syntax(&["TO"], "ceil and floor take numbers: use date_trunc")
        }
        Expr::Value(value) => value_refused(&value.value),
        Expr::Collate { .. } => syntax(&["COLLATE"], "COLLATE is not Trino's"),
        Expr::InUnnest { .. } => syntax(&["UNNEST"], "IN UNNEST is not Trino's: use contains(array, value)"),
        Expr::Convert { .. } => syntax(&["CONVERT"], "CONVERT is not Trino's: write CAST"),
        Expr::IsNormalized { .. } => syntax(&["NORMALIZED"], "IS NORMALIZED is not Trino's: use normalize(...)"),
        Expr::Struct { .. } | Expr::Named { .. } => syntax(&["STRUCT"], "STRUCT is not Trino's: write ROW(...)"),
        Expr::Dictionary(_) => syntax(&["{"], "braces are not Trino's: write MAP(ARRAY[...], ARRAY[...])"),
        Expr::Map(_) => syntax(&["MAP"], "braces are not Trino's: write MAP(ARRAY[...], ARRAY[...])"),
        Expr::Array(array) if !array.named => syntax(&["["], "an array begins with ARRAY["),
        Expr::Overlay { .. } => syntax(&["OVERLAY"], "OVERLAY is not Trino's"),
        Expr::Prefixed { .. } | Expr::MatchAgainst { .. } | Expr::OuterJoin(_) | Expr::Prior(_) | Expr::MemberOf(_) => {
            syntax(&[], "this expression is not Trino's")
        }
        Expr::JsonAccess { .. } => syntax(&[":"], ": is not Trino's: use json_extract"),
        Expr::AnyOp { .. } | Expr::AllOp { .. } => quantified(expr),
        Expr::CompoundFieldAccess { access_chain, .. } if access_chain.iter().any(is_slice) => {
            syntax(&[":"], "slices are not Trino's: use slice(array, start, length)")
        }
        Expr::Function(call) if call.uses_odbc_syntax || !matches!(call.parameters, FunctionArguments::None) => {
            syntax(&[], "a function has one list of arguments")
        }
        _ => None,
    }
}

fn is_rounded(field: &CeilFloorKind) -> bool {
    use datafusion::sql::sqlparser::ast::DateTimeField;
    !matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) | CeilFloorKind::Scale(_))
}

fn is_slice(access: &AccessExpr) -> bool {
    matches!(access, AccessExpr::Subscript(Subscript::Slice { .. }))
}

/// `= ANY (SELECT ...)` is carried out; lists are not Trino's.
fn quantified(expr: &Expr) -> Option<Refusal> {
    let (Expr::AnyOp { right, .. } | Expr::AllOp { right, .. }) = expr else { return None };
    match **right {
        Expr::Subquery(_) => None,
        _ => syntax(&[], "ANY, SOME and ALL take a query"),
    }
}

fn binary(op: &BinaryOperator) -> Option<Refusal> {
    use BinaryOperator as Op;
    match op {
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat => None,
        Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq | Op::And | Op::Or => None,
        Op::BitwiseAnd => syntax(&["&"], "& is not Trino's: use bitwise_and"),
        Op::BitwiseOr => syntax(&["|"], "| is not Trino's: use bitwise_or"),
        Op::BitwiseXor | Op::PGBitwiseXor | Op::PGExp => syntax(&["^"], "^ is not Trino's: use bitwise_xor or power"),
        Op::PGBitwiseShiftLeft => syntax(&["<<"], "<< is not Trino's: use bitwise_left_shift"),
        Op::PGBitwiseShiftRight => syntax(&[">>"], ">> is not Trino's: use bitwise_right_shift"),
        Op::PGRegexMatch | Op::PGRegexNotMatch => syntax(&[], "~ is not Trino's: use regexp_like"),
        Op::Spaceship => syntax(&["<=>"], "<=> is not Trino's: write IS NOT DISTINCT FROM"),
        Op::Arrow => absent(&["->"], "-> makes a function of names, as in x -> x + 1"),
        Op::LongArrow => syntax(&["->>"], "->> is not Trino's: use json_extract_scalar"),
        _ => syntax(&[], "this operator is not Trino's"),
    }
}

fn value_refused(value: &Value) -> Option<Refusal> {
    match value {
        Value::SingleQuotedString(_) | Value::UnicodeStringLiteral(_) | Value::HexStringLiteral(_) => None,
        Value::Boolean(_) | Value::Null | Value::Number(..) | Value::Placeholder(_) => None,
        _ => syntax(&[], "this literal is not Trino's: a text stands in '"),
    }
}
