//! Conditions are handed to what reads objects, which passes over parts by them, from where they stand right above it. Through joins the engine hands them by
//! names of columns, which both sides may have; its logical optimizer has moved them to where they belong by then.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;

/// The rule of the engine that hands conditions down.
const RULE: &str = "FilterPushdown";

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The engine's rules, that one within what has a single input all the way.
pub fn rules() -> Vec<Rule> {
    let near = |rule: Rule| if rule.name() == RULE { Arc::new(Near(rule)) } else { rule };
    PhysicalOptimizer::new().rules.into_iter().map(near).collect()
}

#[derive(Debug)]
struct Near(Rule);

fn has_several(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let children = plan.children();
    children.len() > 1 || children.into_iter().any(has_several)
}

impl PhysicalOptimizerRule for Near {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if !has_several(&plan) {
            return self.0.optimize(plan, config);
        }
        let children = plan.children().into_iter().map(|child| self.optimize(Arc::clone(child), config));
        let children = children.collect::<Result<Vec<_>>>()?;
        replace_children_if_necessary(plan, children)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
