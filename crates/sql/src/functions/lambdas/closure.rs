//! Lambdas as functions of their own, with the columns that they capture as arguments.
//!
//! The engine's physical lambdas find their parameters by places behind the columns of what they are planned over, and lose them
//! once a projection is moved past another one that is wider. So calls become functions of values, which can be moved anywhere.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{HigherOrderFunction, Lambda, ScalarFunction};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, HigherOrderFunctionArgs, HigherOrderUDF, LambdaArgument, LogicalPlan,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, ValueOrLambda, Volatility,
};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use crate::functions::simple::{anything, strictly};

/// Makes functions of values of all calls that take lambdas.
///
/// # Errors
/// What a lambda is made of cannot be planned.
pub fn close(plan: LogicalPlan) -> Result<LogicalPlan> {
    let closed = plan.transform_up_with_subqueries(|node| {
        let schema = match &node {
            LogicalPlan::TableScan(scan) => {
                DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
            }
            other => merge_schema(&other.inputs()),
        };
        node.map_expressions(|expr| expr.transform_up(|expr| one(expr, &schema)))
    })?;
    Ok(closed.data)
}

fn one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (gives, shown) = match &expr {
        Expr::HigherOrderFunction(_) => (expr.to_field(schema)?.1, expr.schema_name().to_string()),
        _ => return Ok(Transformed::no(expr)),
    };
    let Expr::HigherOrderFunction(call) = expr else { return Ok(Transformed::no(expr)) };
    let mut parameters = call.lambda_parameters(schema)?.into_iter();
    let HigherOrderFunction { func, args } = call;
    let mut volatility = func.signature().volatility;
    let (mut values, mut captured, mut slots) = (Vec::new(), Vec::new(), Vec::new());
    for arg in args {
        let Expr::Lambda(lambda) = arg else {
            values.push(arg);
            slots.push(Slot::Value);
            continue;
        };
        if lambda.body.is_volatile() {
            volatility = Volatility::Volatile;
        }
        let takes = parameters.next().ok_or_else(missing)?;
        slots.push(Slot::Lambda(body(&lambda, takes, &mut captured, schema)?));
    }
    let closure = Closure { func, slots, values: values.len(), shown, gives, signature: anything(volatility) };
    values.append(&mut captured);
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(closure)),
        values,
    ))))
}

fn missing() -> DataFusionError {
    DataFusionError::Internal("a lambda without parameters".to_owned())
}

fn named(prefix: &str, at: usize) -> String {
    format!("${prefix}{at}")
}

/// What is done with the parameters and the captured values.
#[derive(Debug)]
struct Body {
    params: Vec<FieldRef>,
    body: Arc<dyn PhysicalExpr>,
    /// Where the captured values begin among all of the call.
    first: usize,
    captures: SchemaRef,
    gives: FieldRef,
}

fn body(lambda: &Lambda, takes: Vec<FieldRef>, captured: &mut Vec<Expr>, schema: &DFSchema) -> Result<Body> {
    let first = captured.len();
    let rewritten = lambda.body.as_ref().clone().transform_up(|expr| {
        let own = match &expr {
            Expr::LambdaVariable(variable) => lambda.params.iter().position(|name| *name == variable.name),
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => None,
            _ => return Ok(Transformed::no(expr)),
        };
        let name = match own {
            Some(at) => named("parameter", at),
            None => {
                let known = captured.iter().skip(first).position(|known| *known == expr);
                let at = known.unwrap_or(captured.len() - first);
                if known.is_none() {
                    captured.push(expr);
                }
                named("captured", at)
            }
        };
        Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
    })?;
    let field = |prefix: &str, at: usize, field: &FieldRef| {
        Arc::new(Field::clone(field).with_name(named(prefix, at)).with_nullable(true))
    };
    let mut captures: Vec<FieldRef> = Vec::new();
    for (at, expr) in captured.iter().skip(first).enumerate() {
        captures.push(field("captured", at, &expr.to_field(schema)?.1));
    }
    let params: Vec<FieldRef> =
        takes.iter().take(lambda.params.len()).enumerate().map(|(at, takes)| field("parameter", at, takes)).collect();
    let all = Schema::new(captures.iter().chain(&params).cloned().collect::<Vec<_>>());
    let all = DFSchema::try_from(all)?;
    let props = ExecutionProps::new();
    let physical = create_physical_expr(&rewritten.data, &all, &props, &PhysicalPlanningContext::default())?;
    let gives = rewritten.data.to_field(&all)?.1;
    Ok(Body { params, body: physical, first, captures: Arc::new(Schema::new(captures)), gives })
}

#[derive(Debug)]
enum Slot {
    Value,
    Lambda(Body),
}

/// A call of a function of lambdas.
#[derive(Debug)]
struct Closure {
    func: Arc<HigherOrderUDF>,
    /// The arguments as they stood.
    slots: Vec<Slot>,
    /// How many are values.
    values: usize,
    /// Its name, before it became this.
    shown: String,
    gives: FieldRef,
    signature: Signature,
}

impl PartialEq for Closure {
    fn eq(&self, other: &Self) -> bool {
        self.func == other.func && self.shown == other.shown
    }
}

impl Eq for Closure {}

impl Hash for Closure {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shown.hash(state);
    }
}

impl Closure {
    fn lambda(&self, body: &Body, args: &ScalarFunctionArgs) -> Result<LambdaArgument> {
        let values = args.args.iter().skip(self.values + body.first);
        let columns = values.zip(body.captures.fields()).map(|(value, field)| {
            let array = value.to_array(args.number_rows)?;
            strictly(&array, field.data_type())
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let captures = match columns.is_empty() {
            true => None,
            false => Some(RecordBatch::try_new(Arc::clone(&body.captures), columns)?),
        };
        let used: Vec<usize> = (0..body.params.len()).collect();
        Ok(LambdaArgument::new(body.params.clone(), Arc::clone(&body.body), captures, &used))
    }
}

impl ScalarUDFImpl for Closure {
    fn name(&self) -> &str {
        self.func.name()
    }

    fn display_name(&self, _args: &[Expr]) -> Result<String> {
        Ok(self.shown.clone())
    }

    fn schema_name(&self, _args: &[Expr]) -> Result<String> {
        Ok(self.shown.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(self.gives.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.gives))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut values = args.args.iter().zip(&args.arg_fields).take(self.values);
        let (mut given, mut fields) = (Vec::with_capacity(self.slots.len()), Vec::with_capacity(self.slots.len()));
        for slot in &self.slots {
            match slot {
                Slot::Value => {
                    let (value, field) = values.next().ok_or_else(missing)?;
                    given.push(ValueOrLambda::Value(value.clone()));
                    fields.push(ValueOrLambda::Value(Arc::clone(field)));
                }
                Slot::Lambda(body) => {
                    given.push(ValueOrLambda::Lambda(self.lambda(body, &args)?));
                    fields.push(ValueOrLambda::Lambda(Arc::clone(&body.gives)));
                }
            }
        }
        self.func.invoke_with_args(HigherOrderFunctionArgs {
            args: given,
            arg_fields: fields,
            number_rows: args.number_rows,
            return_field: Arc::clone(&self.gives),
            config_options: Arc::clone(&args.config_options),
        })
    }
}
