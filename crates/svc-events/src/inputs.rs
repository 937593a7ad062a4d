//! Inputs of the API as operations on resources: names, actions, and what they touch
//! (Service Authorization Reference, "Actions, resources, and condition keys for Amazon EventBridge").

use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Access, Context, ContextValue, Operation, Resource};
use millpond_types::{AccountId, Arn};
use millpond_wire::{ParseError, RequestView};

use crate::model::Bus;

macro_rules! inputs {
    ($($name:ident $input:ident,)*) => {$(
        impl Input for api::$input {
            const ACTION: &'static str = concat!("events:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    CancelReplay CancelReplayInput,
    CreateApiDestination CreateApiDestinationInput,
    CreateArchive CreateArchiveInput,
    CreateConnection CreateConnectionInput,
    CreateEventBus CreateEventBusInput,
    DeauthorizeConnection DeauthorizeConnectionInput,
    DeleteApiDestination DeleteApiDestinationInput,
    DeleteArchive DeleteArchiveInput,
    DeleteConnection DeleteConnectionInput,
    DeleteEventBus DeleteEventBusInput,
    DeleteRule DeleteRuleInput,
    DescribeApiDestination DescribeApiDestinationInput,
    DescribeArchive DescribeArchiveInput,
    DescribeConnection DescribeConnectionInput,
    DescribeEventBus DescribeEventBusInput,
    DescribeReplay DescribeReplayInput,
    DescribeRule DescribeRuleInput,
    DisableRule DisableRuleInput,
    EnableRule EnableRuleInput,
    ListApiDestinations ListApiDestinationsInput,
    ListArchives ListArchivesInput,
    ListConnections ListConnectionsInput,
}

inputs! {
    ListEndpoints ListEndpointsInput,
    ListEventBuses ListEventBusesInput,
    ListEventSources ListEventSourcesInput,
    ListPartnerEventSources ListPartnerEventSourcesInput,
    ListReplays ListReplaysInput,
    ListRuleNamesByTarget ListRuleNamesByTargetInput,
    ListRules ListRulesInput,
    ListTagsForResource ListTagsForResourceInput,
    ListTargetsByRule ListTargetsByRuleInput,
    PutEvents PutEventsInput,
    PutPermission PutPermissionInput,
    PutRule PutRuleInput,
    PutTargets PutTargetsInput,
    RemovePermission RemovePermissionInput,
    RemoveTargets RemoveTargetsInput,
    StartReplay StartReplayInput,
    TagResource TagResourceInput,
    TestEventPattern TestEventPatternInput,
    UntagResource UntagResourceInput,
    UpdateApiDestination UpdateApiDestinationInput,
    UpdateArchive UpdateArchiveInput,
    UpdateConnection UpdateConnectionInput,
    UpdateEventBus UpdateEventBusInput,
}

/// What an operation touches, and the condition keys that come with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    pub resources: Vec<Resource>,
    pub keys: Vec<(&'static str, ContextValue)>,
    pub tags: Vec<(String, String)>,
}

/// An input: read from a request, and known by its action.
pub(crate) trait Input: Sized + Send + Sync {
    /// The action that it needs.
    const ACTION: &'static str;

    /// Reads it from a request.
    fn read(view: &RequestView<'_>) -> Result<Self, ParseError>;
}

impl Touched {
    /// A resource that has no policy.
    pub fn plain(arn: Arn, owner: AccountId) -> Self {
        Self { resources: vec![Resource::new(arn, owner)], ..Self::default() }
    }

    /// Something that the policy of a bus is about: the bus itself, or one of its rules.
    pub fn of_bus(arn: Arn, owner: AccountId, bus: Option<&Arc<Bus>>) -> Self {
        let policy = bus.and_then(|bus| bus.policy.clone());
        Self { resources: vec![Resource { policy, ..Resource::new(arn, owner) }], ..Self::default() }
    }

    pub fn and(mut self, arn: Arn, owner: AccountId) -> Self {
        self.resources.push(Resource::new(arn, owner));
        self
    }

    pub fn key(mut self, name: &'static str, value: ContextValue) -> Self {
        self.keys.push((name, value));
        self
    }

    pub fn text(self, name: &'static str, value: impl Into<String>) -> Self {
        self.key(name, ContextValue::Text(value.into()))
    }

    /// Tags of the request.
    pub fn tagged(mut self, tags: &[api::Tag]) -> Self {
        self.tags.extend(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
        self
    }
}

/// An operation whose resources are known.
#[derive(Debug)]
pub(crate) struct Resolved {
    action: &'static str,
    touched: Touched,
}

impl Resolved {
    pub fn new(action: &'static str, touched: Touched) -> Self {
        Self { action, touched }
    }
}

impl Operation for Resolved {
    const NAME: &'static str = "events";

    fn accesses(&self) -> Vec<Access> {
        let access = |resource: &Resource| Access { action: self.action, resource: resource.clone() };
        self.touched.resources.iter().map(access).collect()
    }

    fn context(&self, _access: &Access, context: &mut Context) {
        for (name, value) in &self.touched.keys {
            context.set(*name, value.clone());
        }
        if !self.touched.tags.is_empty() {
            let keys = self.touched.tags.iter().map(|(key, _)| key.clone()).collect();
            context.set("aws:TagKeys", ContextValue::Many(keys));
            for (key, value) in &self.touched.tags {
                context.text(format!("aws:RequestTag/{key}"), value.clone());
            }
        }
    }
}
