//! Rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Caller, Pin};
use millpond_pattern::Pattern;

use crate::errors::{EventsError, Failure};
use crate::inputs::{Input, Touched};
use crate::limits::MAX_RULES;
use crate::memory::Change;
use crate::model::{Bus, Rule};
use crate::names::{BusName, DEFAULT};
use crate::ops::tags;
use crate::paging::page;
use crate::rows::RuleRow;
use crate::schedules;
use crate::state::{Core, Draft};
use crate::tables;

/// A bus and what is asked about one of its rules, decided.
pub(crate) struct OnRule {
    pub pin: Pin,
    pub bus: BusName,
    pub rule: Option<Arc<Rule>>,
}

impl OnRule {
    /// The rule, which must be there.
    pub fn found(&self, name: &str) -> Result<Arc<Rule>, EventsError> {
        self.rule.clone().ok_or_else(|| EventsError::no_rule(name, &self.bus.name))
    }
}

impl Core {
    /// Decides over an operation on a rule. The policy of its bus has a say.
    pub async fn on_rule<I: Input>(
        &self,
        caller: &Caller,
        bus: Option<&str>,
        rule: &str,
        with: impl FnOnce(Touched) -> Touched,
    ) -> Result<OnRule, EventsError> {
        let pin = self.kernel.epoch().now();
        let name = self.names.bus_meant(self.account_of(caller), bus)?;
        let bus = self.bus(&name);
        let found = self.maps().rule(&name, rule).map(|ruled| Arc::clone(&ruled.rule));
        let creator = found.as_ref().map(|rule| rule.stored.row.created_by.clone());
        let creator = creator.or_else(|| caller.account().map(|account| account.to_string()));
        let mut touched = Touched::of_bus(self.names.rule(&name, rule), name.account, bus.as_ref());
        if let Some(creator) = creator {
            touched = touched.text("events:creatorAccount", creator);
        }
        let pin = self.decide::<I>(pin, caller, with(touched)).await?.pin();
        bus.ok_or_else(|| EventsError::no_bus(&name.name))?;
        Ok(OnRule { pin, bus: name, rule: found })
    }

    /// Commits a rule and what its schedule needs.
    async fn put_rule(
        &self,
        pin: Pin,
        bus: &Arc<Bus>,
        name: &str,
        before: Option<&Rule>,
        row: RuleRow,
    ) -> Result<Arc<Rule>, Failure> {
        let mut draft = Draft::new();
        draft.need(self, bus)?;
        schedules::reset(self, &mut draft, &bus.name, name, &row).await?;
        let key = tables::rule(bus.name.account, &bus.name.name, name);
        let stored = draft.put(key, before.map(|rule| &rule.stored.bytes), row);
        let arn = self.names.rule(&bus.name, name);
        let rule = Rule::of(bus.name.clone(), name.to_owned(), arn, stored).map(Arc::new);
        let rule = rule.ok_or_else(|| EventsError::Internal("a rule cannot be read back".to_owned()))?;
        draft.change(Change::Rule(Arc::clone(&rule)));
        self.commit(Some(pin), draft).await?;
        self.timers.nudge();
        Ok(rule)
    }
}

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::PutRuleInput,
) -> Result<api::PutRuleOutput, Failure> {
    let given = input.tags.as_deref().unwrap_or_default();
    let with = |touched: Touched| touched.tagged(given);
    let on = core.on_rule::<api::PutRuleInput>(caller, input.event_bus_name.as_deref(), &input.name, with).await?;
    let not_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (pattern, schedule) = (not_empty(&input.event_pattern), not_empty(&input.schedule_expression));
    if let Some(text) = &pattern {
        Pattern::parse(text).map_err(|error| EventsError::Pattern(error.to_string()))?;
    }
    if let Some(text) = &schedule {
        schedules::parse(text)?;
        if on.bus.name != DEFAULT {
            let reason = "ScheduleExpression is supported only on the default event bus.";
            return Err(EventsError::Validation(reason.to_owned()).into());
        }
    }
    if pattern.is_none() && schedule.is_none() {
        let reason = "Parameter(s) EventPattern or ScheduleExpression must be specified.";
        return Err(EventsError::Validation(reason.to_owned()).into());
    }
    let arn = core.names.rule(&on.bus, &input.name);
    if let Some(role) = &input.role_arn {
        core.pass_role(on.pin, caller, role, &arn).await?;
    }
    let new_tags = tags::checked(given)?;
    let bus = core.bus(&on.bus).ok_or_else(|| EventsError::no_bus(&on.bus.name))?;
    let before = on.rule.as_deref();
    let count = core.maps().held(&on.bus).map_or(0, |held| held.rules.len());
    if before.is_none() && count >= MAX_RULES {
        return Err(EventsError::limit().into());
    }
    let state = input.state.unwrap_or(api::RuleState::Enabled);
    // A schedule counts from when it began to be this one, and to be enabled.
    let goes_on = before.filter(|rule| rule.stored.row.schedule == schedule && rule.is_enabled());
    let row = RuleRow {
        pattern,
        schedule,
        state: state.as_str().to_owned(),
        description: input.description.clone(),
        role: input.role_arn.clone(),
        // API reference, PutRule: tags given with an update are ignored.
        tags: before.map_or(new_tags, |rule| rule.stored.row.tags.clone()),
        created_by: match before {
            Some(rule) => rule.stored.row.created_by.clone(),
            None => core.account_of(caller).to_string(),
        },
        since: goes_on.map_or(core.now().0, |rule| rule.stored.row.since),
    };
    let rule = core.put_rule(on.pin, &bus, &input.name, before, row).await?;
    Ok(api::PutRuleOutput { rule_arn: Some(rule.arn.to_string()) })
}

async fn set_state(core: &Arc<Core>, on: OnRule, name: &str, enabled: bool) -> Result<(), Failure> {
    let rule = on.found(name)?;
    if rule.is_enabled() == enabled {
        return Ok(());
    }
    let bus = core.bus(&on.bus).ok_or_else(|| EventsError::no_bus(&on.bus.name))?;
    let state = if enabled { api::RuleState::Enabled } else { api::RuleState::Disabled };
    let mut row = RuleRow { state: state.as_str().to_owned(), ..rule.stored.row.clone() };
    if enabled {
        row.since = core.now().0;
    }
    core.put_rule(on.pin, &bus, name, Some(&rule), row).await.map(drop)
}

pub(crate) async fn enable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::EnableRuleInput,
) -> Result<api::EnableRuleOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::EnableRuleInput>(caller, bus, &input.name, |touched| touched).await?;
    set_state(core, on, &input.name, true).await?;
    Ok(api::EnableRuleOutput {})
}

pub(crate) async fn disable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DisableRuleInput,
) -> Result<api::DisableRuleOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::DisableRuleInput>(caller, bus, &input.name, |touched| touched).await?;
    set_state(core, on, &input.name, false).await?;
    Ok(api::DisableRuleOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteRuleInput,
) -> Result<api::DeleteRuleOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::DeleteRuleInput>(caller, bus, &input.name, |touched| touched).await?;
    // As with AWS, what is not there is deleted.
    let Some(rule) = &on.rule else { return Ok(api::DeleteRuleOutput {}) };
    let has_targets = core.maps().rule(&on.bus, &input.name).is_some_and(|ruled| !ruled.targets.is_empty());
    if has_targets {
        let reason = "Rule can't be deleted since it has targets.";
        return Err(EventsError::Validation(reason.to_owned()).into());
    }
    let mut draft = Draft::new().urgent();
    draft.delete(tables::rule(on.bus.account, &on.bus.name, &rule.name), &rule.stored.bytes);
    let gone = RuleRow { schedule: None, ..rule.stored.row.clone() };
    schedules::reset(core, &mut draft, &on.bus, &rule.name, &gone).await?;
    draft.change(Change::RuleGone(on.bus.clone(), rule.name.clone()));
    core.commit(Some(on.pin), draft).await?;
    Ok(api::DeleteRuleOutput {})
}

fn shown(rule: &Rule) -> api::Rule {
    let row = &rule.stored.row;
    api::Rule {
        name: Some(rule.name.clone()),
        arn: Some(rule.arn.to_string()),
        event_pattern: row.pattern.clone(),
        state: Some(rule.state),
        description: row.description.clone(),
        schedule_expression: row.schedule.clone(),
        role_arn: row.role.clone(),
        managed_by: None,
        event_bus_name: Some(rule.bus.name.clone()),
    }
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeRuleInput,
) -> Result<api::DescribeRuleOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::DescribeRuleInput>(caller, bus, &input.name, |touched| touched).await?;
    let rule = on.found(&input.name)?;
    let it = shown(&rule);
    Ok(api::DescribeRuleOutput {
        name: it.name,
        arn: it.arn,
        event_pattern: it.event_pattern,
        schedule_expression: it.schedule_expression,
        state: it.state,
        description: it.description,
        role_arn: it.role_arn,
        managed_by: None,
        event_bus_name: it.event_bus_name,
        created_by: Some(rule.stored.row.created_by.clone()),
    })
}

/// Decides over an operation on the rules of a bus.
async fn on_rules<I: Input>(core: &Core, caller: &Caller, bus: Option<&str>) -> Result<BusName, EventsError> {
    let pin = core.kernel.epoch().now();
    let name = core.names.bus_meant(core.account_of(caller), bus)?;
    let found = core.bus(&name);
    let touched = Touched::of_bus(core.names.bus(&name), name.account, found.as_ref());
    core.decide::<I>(pin, caller, touched).await?;
    found.ok_or_else(|| EventsError::no_bus(&name.name))?;
    Ok(name)
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListRulesInput,
) -> Result<api::ListRulesOutput, Failure> {
    let bus = on_rules::<api::ListRulesInput>(core, caller, input.event_bus_name.as_deref()).await?;
    let page = page(input.limit, input.next_token.as_deref())?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let maps = core.maps();
    let none = BTreeMap::new();
    let rules = maps.held(&bus).map_or(&none, |held| &held.rules);
    let fitting = rules.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    let (rules, next_token) = page.cut(fitting.map(|(name, ruled)| (name.clone(), Arc::clone(&ruled.rule))));
    Ok(api::ListRulesOutput { rules: Some(rules.iter().map(|rule| shown(rule)).collect()), next_token })
}

pub(crate) async fn names_by_target(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListRuleNamesByTargetInput,
) -> Result<api::ListRuleNamesByTargetOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let bus = on_rules::<api::ListRuleNamesByTargetInput>(core, caller, bus).await?;
    let page = page(input.limit, input.next_token.as_deref())?;
    let maps = core.maps();
    let none = BTreeMap::new();
    let rules = maps.held(&bus).map_or(&none, |held| &held.rules);
    let of = |ruled: &crate::memory::Ruled| ruled.targets.values().any(|target| target.row.arn == input.target_arn);
    let fitting = rules.iter().filter(|(_, ruled)| of(ruled));
    let (names, next_token) = page.cut(fitting.map(|(name, _)| (name.clone(), name.clone())));
    Ok(api::ListRuleNamesByTargetOutput { rule_names: Some(names), next_token })
}
