//! LIKE with texts between several `%`: they are looked for one after the other. The engine makes a regular expression of such a pattern, which
//! costs several times as much (measured).

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit, not,
};
use memchr::memmem::Finder;

use super::simple::{anything, strictly};

const NAME: &str = "$like_parts";

/// A pattern's texts.
#[derive(Debug, PartialEq)]
struct Parts {
    first: String,
    between: Vec<String>,
    last: String,
}

impl Parts {
    /// A pattern as the engine has it, where a backslash makes the next letter an ordinary one; `None` for what has other wildcards, or fewer than two
    /// places to look at, for which the engine is quick.
    fn read(pattern: &str) -> Option<Self> {
        let (mut parts, mut letters) = (vec![String::new()], pattern.chars());
        while let Some(letter) = letters.next() {
            let plain = match letter {
                '_' => return None,
                '%' => {
                    parts.push(String::new());
                    continue;
                }
                '\\' => letters.next()?,
                plain => plain,
            };
            parts.last_mut()?.push(plain);
        }
        let last = parts.pop()?;
        let mut parts = parts.into_iter();
        let first = parts.next()?;
        let between: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        let places = between.len() + usize::from(!first.is_empty()) + usize::from(!last.is_empty());
        (places > 1).then_some(Self { first, between, last })
    }

    fn matcher(&self) -> impl Fn(&str) -> bool {
        let between: Vec<Finder<'_>> = self.between.iter().map(Finder::new).collect();
        let (first, last) = (self.first.as_bytes(), self.last.as_bytes());
        move |text| {
            let text = text.as_bytes();
            // Byte by byte: a call of the library's comparison of memory costs many times as much for so few (measured).
            let same = |pair: (&u8, &u8)| pair.0 == pair.1;
            if !text.iter().zip(first).all(same) || !text.iter().rev().zip(last.iter().rev()).all(same) {
                return false;
            }
            let ends = text.len().checked_sub(last.len());
            let Some(mut rest) = ends.and_then(|end| text.get(first.len()..end)) else { return false };
            between.iter().all(|part| {
                let after = part.find(rest).and_then(|at| rest.get(at + part.needle().len()..));
                rest = after.unwrap_or_default();
                after.is_some()
            })
        }
    }
}

/// `$like_parts(text, pattern)`, which LIKE becomes once a plan is optimized.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LikeParts {
    signature: Signature,
}

impl ScalarUDFImpl for LikeParts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    /// NULL where an argument is, as LIKE: plans are compared by it.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(NAME, DataType::Boolean, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unknown = || DataFusionError::Internal("a pattern without parts".to_owned());
        let [text, ColumnarValue::Scalar(pattern)] = args.args.as_slice() else { return Err(unknown()) };
        let parts = pattern.try_as_str().flatten().and_then(Parts::read).ok_or_else(unknown)?;
        let matches = parts.matcher();
        let text = text.to_array(args.number_rows)?;
        let found = match text.data_type() {
            DataType::Utf8View => BooleanArray::from_unary(text.as_string_view(), matches),
            DataType::Utf8 => BooleanArray::from_unary(text.as_string::<i32>(), matches),
            _ => BooleanArray::from_unary(strictly(&text, &DataType::LargeUtf8)?.as_string::<i64>(), matches),
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

pub fn all() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(LikeParts { signature: anything(Volatility::Immutable) })]
}

/// Makes calls of LIKE in the conditions and columns of a plan that was optimized.
///
/// # Errors
/// The engine's.
pub fn lower(plan: LogicalPlan) -> Result<LogicalPlan> {
    let Some(function) = super::scalar(NAME) else { return Ok(plan) };
    let done = plan.transform_up_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Projection(_)) {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| Ok(one(expr, &function)))?.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(done.data)
}

/// The pattern of what begins with a text, of the type of the pattern that it stands for.
fn begins(text: &str, whole: &ScalarValue) -> ScalarValue {
    let letter = |letter| matches!(letter, '%' | '_' | '\\').then_some('\\').into_iter().chain([letter]);
    let pattern: String = text.chars().flat_map(letter).chain(['%']).collect();
    match whole {
        ScalarValue::Utf8View(_) => ScalarValue::Utf8View(Some(pattern)),
        ScalarValue::LargeUtf8(_) => ScalarValue::LargeUtf8(Some(pattern)),
        _ => ScalarValue::Utf8(Some(pattern)),
    }
}

fn one(expr: Expr, function: &Arc<ScalarUDF>) -> Transformed<Expr> {
    let Expr::Like(Like { negated, expr: text, pattern, escape_char: None, case_insensitive: false }) = &expr else {
        return Transformed::no(expr);
    };
    let Expr::Literal(literal, _) = pattern.as_ref() else { return Transformed::no(expr) };
    let Some(parts) = literal.try_as_str().flatten().and_then(Parts::read) else { return Transformed::no(expr) };
    let args = vec![Expr::clone(text), Expr::clone(pattern)];
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args));
    Transformed::yes(match (negated, text.as_ref()) {
        (true, _) => not(call),
        // By how a column begins, parts of objects are passed over, which the engine does by a LIKE alone.
        (false, Expr::Column(_)) if !parts.first.is_empty() => {
            Expr::clone(text).like(lit(begins(&parts.first, literal))).and(call)
        }
        _ => call,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_engine_makes_a_regular_expression_of() {
        for pattern in ["", "%", "a", "a%", "%a", "%a%", "%%", "%%a%%", "a_%b", "a%b_", "a%b\\"] {
            assert_eq!(Parts::read(pattern), None, "{pattern}");
        }
        let parts = Parts::read("a\\%\\_%%b\\\\%ü").unwrap();
        assert_eq!(parts, Parts { first: "a%_".into(), between: vec!["b\\".into()], last: "ü".into() });
    }

    #[test]
    fn a_text_as_a_pattern() {
        let view = |text: &str| ScalarValue::Utf8View(Some(text.to_owned()));
        assert_eq!(begins("50%_a\\ü", &view("x")), view("50\\%\\_a\\\\ü%"));
    }

    #[test]
    fn says_what_the_regular_expression_says() {
        let texts = ["", "a", "ab", "aa", "aba", "abab", "abba", "a\nb", "bab", "xaybzc", "%a%b", "aüb", "üü", "aaaa"];
        let patterns =
            ["a%b", "%a%b", "%a%b%", "a%a", "%ab%ab%", "%b%a", "a%%b", "%ü%ü", "%a%a%a%", "a%b%c", "\\%a%b", "%ab%b"];
        for pattern in patterns {
            let parts = Parts::read(pattern).unwrap();
            let matches = parts.matcher();
            let expression = pattern.replace("\\%", "\u{1}").replace('%', ".*").replace('\u{1}', "%");
            let expression = regex::Regex::new(&format!("(?s)^{expression}$")).unwrap();
            for text in texts {
                assert_eq!(matches(text), expression.is_match(text), "{text:?} LIKE {pattern}");
            }
        }
    }
}
