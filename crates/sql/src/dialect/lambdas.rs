//! Lambdas: how many parameters each has, and fields of rows that are parameters.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LambdaFunction,
    OneOrManyWithParens, Query, Subscript, Value, VisitMut, VisitorMut,
};

use super::functions::broken;
use super::rewrite::lower;
use crate::failure::Problem;

/// By function: the places of its lambdas, and how many parameters each has.
const LAMBDAS: &[(&str, &[(usize, usize)])] = &[
    ("all_match", &[(1, 1)]),
    ("any_match", &[(1, 1)]),
    ("array_sort", &[(1, 2)]),
    ("filter", &[(1, 1)]),
    ("map_filter", &[(1, 2)]),
    ("map_zip_with", &[(2, 3)]),
    ("none_match", &[(1, 1)]),
    ("reduce", &[(2, 2), (3, 1)]),
    ("transform", &[(1, 1)]),
    ("transform_keys", &[(1, 2)]),
    ("transform_values", &[(1, 2)]),
    ("zip_with", &[(2, 2)]),
];

/// Trino's function of another kind that may have a lambda, too.
const UNABLE: &str = "regexp_replace";

/// Makes the lambdas of a call what the engine plans, or refuses the call.
pub fn prepare(call: &mut Function) -> ControlFlow<Problem> {
    let name = call.name.to_string();
    let known = LAMBDAS.iter().find(|(function, _)| *function == name).map_or(&[][..], |(_, lambdas)| lambdas);
    let mut wrong = None;
    if let FunctionArguments::List(list) = &mut call.args {
        for (at, argument) in list.args.iter_mut().enumerate() {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(lambda))) = argument else { continue };
            match known.iter().find(|(place, _)| *place == at) {
                Some((_, count)) if parameters(lambda).len() == *count => {
                    if named(lambda).is_break() {
                        let words = "Lambda expression cannot contain subqueries".to_owned();
                        wrong = wrong.or(Some(("NOT_SUPPORTED", words)));
                    }
                }
                Some((_, count)) => {
                    let words = format!("argument {} of '{name}' is a lambda of {count} parameters", at + 1);
                    wrong = wrong.or(Some(("FUNCTION_NOT_FOUND", words)));
                }
                None if name == UNABLE => {
                    let words = format!("Function '{name}' with a lambda is not carried out");
                    wrong = wrong.or(Some(("NOT_SUPPORTED", words)));
                }
                None => {
                    let words = format!("argument {} of '{name}' is no lambda", at + 1);
                    wrong = wrong.or(Some(("FUNCTION_NOT_FOUND", words)));
                }
            }
        }
    }
    match wrong {
        Some((code, words)) => broken(&*call, code, &words),
        None => ControlFlow::Continue(()),
    }
}

fn parameters(lambda: &LambdaFunction) -> Vec<&Ident> {
    match &lambda.params {
        OneOrManyWithParens::One(one) => vec![&one.name],
        OneOrManyWithParens::Many(many) => many.iter().map(|one| &one.name).collect(),
    }
}

/// Names parameters, and fields of them; breaks off at a query.
fn named(lambda: &mut LambdaFunction) -> ControlFlow<()> {
    match &mut lambda.params {
        OneOrManyWithParens::One(parameter) => lower(&mut parameter.name),
        OneOrManyWithParens::Many(parameters) => parameters.iter_mut().for_each(|one| lower(&mut one.name)),
    }
    let names = parameters(lambda).into_iter().map(|name| name.value.clone()).collect();
    lambda.body.visit(&mut Fields { names })
}

/// Turns `p.f` with a parameter `p` into `(p)['f']`: the engine takes names with points for those of tables.
struct Fields {
    names: Vec<String>,
}

impl VisitorMut for Fields {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = expr
            && let [first, fields @ ..] = names.as_slice()
            && self.names.contains(&first.value.to_lowercase())
        {
            let field = |name: &Ident| AccessExpr::Subscript(Subscript::Index { index: text(name) });
            let root = Expr::Nested(Box::new(Expr::Identifier(first.clone())));
            *expr =
                Expr::CompoundFieldAccess { root: Box::new(root), access_chain: fields.iter().map(field).collect() };
        }
        ControlFlow::Continue(())
    }
}

fn text(name: &Ident) -> Expr {
    Expr::value(Value::SingleQuotedString(name.value.to_lowercase()))
}

/// Fields of what is no column: `f(x).y`, `a[1].b`.
pub fn fields(access_chain: &mut [AccessExpr]) {
    let first = access_chain.iter().position(|access| matches!(access, AccessExpr::Subscript(_)));
    for access in access_chain.iter_mut().skip(first.unwrap_or(usize::MAX)) {
        if let AccessExpr::Dot(Expr::Identifier(name)) = access {
            *access = AccessExpr::Dot(text(name));
        }
    }
}
