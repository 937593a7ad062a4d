//! Inputs of the API as operations on resources: names, actions, and condition keys (Service Authorization Reference, "Actions, resources,
//! and condition keys for Amazon EventBridge Scheduler").

use std::collections::BTreeMap;
use std::marker::PhantomData;

use millpond_api_scheduler as api;
use millpond_kernel::{Access, Context, ContextValue, Operation, Resource};
use millpond_types::{AccountId, Arn};
use millpond_wire::{ParseError, RequestView};

/// An input: read from a request, and known by its operation's name and action.
pub(crate) trait Input: Sized + Send + Sync {
    /// The operation's name.
    const NAME: &'static str;
    /// The action that it needs.
    const ACTION: &'static str;

    /// Reads it from a request.
    fn read(view: &RequestView<'_>) -> Result<Self, ParseError>;
}

macro_rules! inputs {
    ($($name:ident: $input:ident,)*) => {$(
        impl Input for api::$input {
            const NAME: &'static str = stringify!($name);
            const ACTION: &'static str = concat!("scheduler:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    CreateSchedule: CreateScheduleInput,
    CreateScheduleGroup: CreateScheduleGroupInput,
    DeleteSchedule: DeleteScheduleInput,
    DeleteScheduleGroup: DeleteScheduleGroupInput,
    GetSchedule: GetScheduleInput,
    GetScheduleGroup: GetScheduleGroupInput,
    ListScheduleGroups: ListScheduleGroupsInput,
    ListSchedules: ListSchedulesInput,
    ListTagsForResource: ListTagsForResourceInput,
    TagResource: TagResourceInput,
    UntagResource: UntagResourceInput,
    UpdateSchedule: UpdateScheduleInput,
}

/// An operation whose resource is known.
#[derive(Debug)]
pub(crate) struct Touch<I> {
    what: PhantomData<fn() -> I>,
    arn: Arn,
    owner: AccountId,
    resource_tags: BTreeMap<String, String>,
    request_tags: BTreeMap<String, String>,
    tag_keys: Vec<String>,
}

impl<I: Input> Touch<I> {
    /// The operation's own action on one resource.
    pub fn new(_: &I, owner: AccountId, arn: Arn) -> Self {
        let (resource_tags, request_tags) = (BTreeMap::new(), BTreeMap::new());
        Self { what: PhantomData, arn, owner, resource_tags, request_tags, tag_keys: Vec::new() }
    }

    /// With the tags of the group.
    pub fn tagged(mut self, tags: Option<&BTreeMap<String, String>>) -> Self {
        self.resource_tags = tags.cloned().unwrap_or_default();
        self
    }

    /// With tags that the request brings.
    pub fn tags(mut self, tags: &BTreeMap<String, String>) -> Self {
        self.request_tags.clone_from(tags);
        self.tag_keys = tags.keys().cloned().collect();
        self
    }

    /// With names of tags that the request brings.
    pub fn keys(mut self, keys: &[String]) -> Self {
        self.tag_keys = keys.to_vec();
        self
    }
}

impl<I: Input> Operation for Touch<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        vec![Access { action: I::ACTION, resource: Resource::new(self.arn.clone(), self.owner) }]
    }

    fn context(&self, _: &Access, context: &mut Context) {
        for (key, value) in &self.resource_tags {
            context.text(format!("aws:ResourceTag/{key}"), value.clone());
        }
        for (key, value) in &self.request_tags {
            context.text(format!("aws:RequestTag/{key}"), value.clone());
        }
        if !self.tag_keys.is_empty() {
            context.set("aws:TagKeys", ContextValue::Many(self.tag_keys.clone()));
        }
    }
}
