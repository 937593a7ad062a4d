//! Scalar queries that use columns from around them: the engine wants them to be aggregates, Trino wants one row of them at most.
//!
//! Such a query is made the aggregate `$single`, which gives its value and whether there were more; `$only` takes that where the value is used,
//! so that only rows that are asked for can be too many.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray};
use arrow::compute::{is_null, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility,
};

use crate::failure::Problem;

/// Makes all such queries of a plan aggregates.
///
/// # Errors
/// The engine's.
pub fn lower(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(rewritten)?.update_data(|expr| name.restore(expr)))
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    })?;
    Ok(done.data)
}

fn rewritten(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarSubquery(query) if !query.outer_ref_columns.is_empty() && !is_one_row(&query.subquery) => {
            Ok(Transformed::yes(only(query)?))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Whether a plan has one row whatever it reads, or says itself how many it has.
fn is_one_row(mut plan: &LogicalPlan) -> bool {
    loop {
        plan = match plan {
            LogicalPlan::Projection(inner) => &inner.input,
            LogicalPlan::SubqueryAlias(inner) => &inner.input,
            LogicalPlan::Sort(inner) => &inner.input,
            LogicalPlan::Filter(inner) => &inner.input,
            LogicalPlan::Aggregate(aggregate) => return aggregate.group_expr.is_empty(),
            LogicalPlan::Limit(_) => return true,
            _ => return false,
        }
    }
}

fn only(query: Subquery) -> Result<Expr> {
    let inner = Arc::unwrap_or_clone(query.subquery);
    let value = Expr::Column(Column::from(inner.schema().qualified_field(0)));
    let single = AggregateUDF::new_from_impl(Single(Signature::any(1, Volatility::Immutable)));
    let plan = LogicalPlanBuilder::from(inner)
        .aggregate(Vec::<Expr>::new(), vec![single.call(vec![value]).alias("$single")])?
        .build()?;
    let query = Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..query });
    Ok(ScalarUDF::new_from_impl(Only(Signature::any(1, Volatility::Volatile))).call(vec![query]))
}

fn fields(value: &Field) -> Fields {
    vec![value.clone().with_name("value").with_nullable(true), Field::new("many", DataType::Boolean, true)].into()
}

/// The value of the rows, and whether they are several.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Single(Signature);

impl AggregateUDFImpl for Single {
    fn name(&self) -> &'static str {
        "$single"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        let kind = kinds.first().cloned().unwrap_or(DataType::Null);
        Ok(DataType::Struct(fields(&Field::new("value", kind, true))))
    }

    fn return_field(&self, args: &[FieldRef]) -> Result<FieldRef> {
        let value = args.first().map_or_else(|| Field::new("value", DataType::Null, true), |field| Field::clone(field));
        Ok(Arc::new(Field::new(self.name(), DataType::Struct(fields(&value)), true)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let kind = args.input_fields.first().map_or(DataType::Null, |field| field.data_type().clone());
        let value = Field::new(format!("{}[value]", args.name), kind, true);
        let count = Field::new(format!("{}[count]", args.name), DataType::Int64, true);
        Ok(vec![Arc::new(value), Arc::new(count)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return Err(DataFusionError::Internal("$single gives a row".to_owned()));
        };
        let value = fields.first().map_or(Ok(ScalarValue::Null), |field| ScalarValue::try_from(field.data_type()))?;
        Ok(Box::new(Kept { fields: fields.clone(), value, count: 0 }))
    }
}

#[derive(Debug)]
struct Kept {
    fields: Fields,
    value: ScalarValue,
    count: i64,
}

impl Kept {
    fn add(&mut self, values: &ArrayRef, row: usize, count: i64) -> Result<()> {
        if self.count == 0 && count > 0 {
            self.value = ScalarValue::try_from_array(values, row)?.compacted();
        }
        self.count += count;
        Ok(())
    }
}

impl Accumulator for Kept {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first().filter(|values| !values.is_empty()) else { return Ok(()) };
        let more = i64::try_from(values.len() - 1).unwrap_or(i64::MAX);
        self.add(values, 0, 1)?;
        self.count += more;
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return ScalarValue::try_from(&DataType::Struct(self.fields.clone()));
        }
        let columns: Vec<ArrayRef> = vec![self.value.to_array()?, Arc::new(BooleanArray::from(vec![self.count > 1]))];
        Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Int64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else {
            return Err(DataFusionError::Internal("$single has a value and a count".to_owned()));
        };
        let counts = counts.as_primitive::<Int64Type>();
        (0..counts.len()).try_for_each(|row| self.add(values, row, counts.value(row)))
    }
}

/// The value, where it is the only one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Only(Signature);

impl ScalarUDFImpl for Only {
    fn name(&self) -> &'static str {
        "$only"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Err(DataFusionError::Internal("the type of $only is its argument's".to_owned()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields.first().map(|field| field.data_type()) {
            Some(DataType::Struct(fields)) if fields.len() == 2 => Ok(Arc::clone(&fields[0])),
            _ => Err(DataFusionError::Internal("$only takes what $single gives".to_owned())),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(given) = args.args.first() else {
            return Err(DataFusionError::Internal("$only of nothing".to_owned()));
        };
        let rows = given.to_array(args.number_rows)?;
        let row = rows.as_struct();
        let many = row.column(1).as_boolean();
        if (0..row.len()).any(|at| row.is_valid(at) && many.is_valid(at) && many.value(at)) {
            let words = "SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows".to_owned();
            return Err(Problem::Data(words).into());
        }
        Ok(ColumnarValue::Array(nullif(row.column(0), &is_null(&rows)?)?))
    }
}
