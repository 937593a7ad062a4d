//! Tags of buses and rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::tags::{self, BadTags};
use millpond_kernel::{Caller, ContextValue, Pin};

use crate::errors::{EventsError, Failure};
use crate::inputs::{Input, Touched};
use crate::limits::MAX_TAGS;
use crate::memory::Change;
use crate::model::{Bus, Rule};
use crate::names::Tagged;
use crate::rows::{BusRow, RuleRow};
use crate::state::{Core, Draft};
use crate::tables;

/// Tags that can be (API reference, Tag): the model checks their lengths.
pub(crate) fn checked(tags: &[api::Tag]) -> Result<BTreeMap<String, String>, EventsError> {
    let pairs = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    tags::checked(pairs, MAX_TAGS).map_err(refused)
}

fn refused(bad: BadTags) -> EventsError {
    match bad {
        BadTags::TooMany(_) => EventsError::Limit(bad.to_string()),
        other => EventsError::parameter("Tags", &other.to_string()),
    }
}

/// What is tagged.
enum On {
    Bus(Arc<Bus>),
    Rule(Arc<Rule>),
}

impl Core {
    async fn on_tagged<I: Input>(
        &self,
        caller: &Caller,
        arn: &str,
        with: impl FnOnce(Touched) -> Touched,
    ) -> Result<(Pin, On), EventsError> {
        let pin = self.kernel.epoch().now();
        let wrong = || EventsError::parameter("ResourceARN", "It names no rule or event bus of this region.");
        let tagged = self.names.tagged(arn).ok_or_else(wrong)?;
        let (Tagged::Bus(name) | Tagged::Rule(name, _)) = &tagged;
        let bus = self.bus(name);
        let own = match &tagged {
            Tagged::Bus(name) => self.names.bus(name),
            Tagged::Rule(name, rule) => self.names.rule(name, rule),
        };
        let touched = with(Touched::of_bus(own, name.account, bus.as_ref()));
        let pin = self.decide::<I>(pin, caller, touched).await?.pin();
        let on = match &tagged {
            Tagged::Bus(name) => On::Bus(bus.ok_or_else(|| EventsError::no_bus(&name.name))?),
            Tagged::Rule(name, rule) => {
                let found = self.maps().rule(name, rule).map(|ruled| Arc::clone(&ruled.rule));
                On::Rule(found.ok_or_else(|| EventsError::no_rule(rule, &name.name))?)
            }
        };
        Ok((pin, on))
    }

    async fn put_tags(
        &self,
        pin: Pin,
        on: On,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), Failure> {
        let mut draft = Draft::new();
        match on {
            On::Bus(bus) => {
                let mut row: BusRow = bus.row();
                change(&mut row.tags);
                tags::few(&row.tags, MAX_TAGS).map_err(refused)?;
                draft.bus(self, &bus, row)?;
            }
            On::Rule(rule) => {
                let mut row: RuleRow = rule.stored.row.clone();
                change(&mut row.tags);
                tags::few(&row.tags, MAX_TAGS).map_err(refused)?;
                let key = tables::rule(rule.bus.account, &rule.bus.name, &rule.name);
                let stored = draft.put(key, Some(&rule.stored.bytes), row);
                draft.change(Change::Rule(Arc::new(Rule { stored, ..(*rule).clone() })));
            }
        }
        self.commit(Some(pin), draft).await?;
        Ok(())
    }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListTagsForResourceInput,
) -> Result<api::ListTagsForResourceOutput, Failure> {
    let (_, on) =
        core.on_tagged::<api::ListTagsForResourceInput>(caller, &input.resource_arn, |touched| touched).await?;
    let tags = match on {
        On::Bus(bus) => bus.row().tags,
        On::Rule(rule) => rule.stored.row.tags.clone(),
    };
    let tags = tags.into_iter().map(|(key, value)| api::Tag { key, value }).collect();
    Ok(api::ListTagsForResourceOutput { tags: Some(tags) })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let new = checked(&input.tags)?;
    let with = |touched: Touched| touched.tagged(&input.tags);
    let (pin, on) = core.on_tagged::<api::TagResourceInput>(caller, &input.resource_arn, with).await?;
    core.put_tags(pin, on, |tags| tags.extend(new)).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let with = |touched: Touched| touched.key("aws:TagKeys", ContextValue::Many(input.tag_keys.clone()));
    let (pin, on) = core.on_tagged::<api::UntagResourceInput>(caller, &input.resource_arn, with).await?;
    core.put_tags(pin, on, |tags| tags.retain(|key, _| !input.tag_keys.contains(key))).await?;
    Ok(api::UntagResourceOutput {})
}
