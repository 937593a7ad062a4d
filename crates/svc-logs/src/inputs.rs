//! Inputs of the API as operations on resources: names, actions, and condition keys (Service Authorization Reference, "Actions, resources,
//! and condition keys for Amazon CloudWatch Logs").

use std::collections::BTreeMap;
use std::marker::PhantomData;

use millpond_api_logs as api;
use millpond_kernel::{Access, Context, ContextValue, Named, Operation, Resource};
use millpond_types::{AccountId, Arn};
use millpond_wire::{ParseError, RequestView};

use crate::state::{Core, Group};

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
            const ACTION: &'static str = concat!("logs:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    CreateLogGroup: CreateLogGroupInput,
    CreateLogStream: CreateLogStreamInput,
    DeleteLogGroup: DeleteLogGroupInput,
    DeleteLogStream: DeleteLogStreamInput,
    DeleteResourcePolicy: DeleteResourcePolicyInput,
    DeleteRetentionPolicy: DeleteRetentionPolicyInput,
    DescribeLogGroups: DescribeLogGroupsInput,
    DescribeLogStreams: DescribeLogStreamsInput,
    DescribeMetricFilters: DescribeMetricFiltersInput,
    DescribeResourcePolicies: DescribeResourcePoliciesInput,
    DescribeSubscriptionFilters: DescribeSubscriptionFiltersInput,
    FilterLogEvents: FilterLogEventsInput,
    GetLogEvents: GetLogEventsInput,
    GetLogRecord: GetLogRecordInput,
    ListLogGroups: ListLogGroupsInput,
    ListTagsForResource: ListTagsForResourceInput,
    ListTagsLogGroup: ListTagsLogGroupInput,
    PutLogEvents: PutLogEventsInput,
    PutResourcePolicy: PutResourcePolicyInput,
    PutRetentionPolicy: PutRetentionPolicyInput,
    TagLogGroup: TagLogGroupInput,
    TagResource: TagResourceInput,
    UntagLogGroup: UntagLogGroupInput,
    UntagResource: UntagResourceInput,
}

/// Lines that another service of ours writes.
#[derive(Debug)]
pub(crate) struct Written;

impl Input for Written {
    const NAME: &'static str = "PutLogEvents";
    const ACTION: &'static str = "logs:PutLogEvents";

    fn read(_: &RequestView<'_>) -> Result<Self, ParseError> {
        Ok(Self)
    }
}

/// An operation whose resources are known.
#[derive(Debug)]
pub(crate) struct Touch<I> {
    what: PhantomData<fn() -> I>,
    on: Vec<(&'static str, Arn)>,
    owner: AccountId,
    policy: Option<Named>,
    resource_tags: BTreeMap<String, String>,
    request_tags: BTreeMap<String, String>,
    tag_keys: Vec<String>,
}

impl<I: Input> Touch<I> {
    /// The operation's own action on one resource.
    pub fn new(_: &I, owner: AccountId, arn: Arn) -> Self {
        Self {
            what: PhantomData,
            on: vec![(I::ACTION, arn)],
            owner,
            policy: None,
            resource_tags: BTreeMap::new(),
            request_tags: BTreeMap::new(),
            tag_keys: Vec::new(),
        }
    }

    /// On all groups of an account.
    pub fn all(core: &Core, input: &I, owner: AccountId) -> Self {
        Self::new(input, owner, core.arn(owner, "", ":log-stream:"))
    }

    /// On a group. AWS names it so for what is not about its tags.
    pub fn group(core: &Core, input: &I, group: &Group) -> Self {
        Self::new(input, group.account, core.arn(group.account, &group.name, ":log-stream:")).tagged(group)
    }

    /// On a stream of a group.
    pub fn stream(core: &Core, input: &I, group: &Group, stream: &str) -> Self {
        let suffix = format!(":log-stream:{stream}");
        Self::new(input, group.account, core.arn(group.account, &group.name, &suffix)).tagged(group)
    }

    fn tagged(mut self, group: &Group) -> Self {
        self.resource_tags.clone_from(&group.row.tags);
        self
    }

    /// With the tags of a group.
    pub fn of(self, group: &Group) -> Self {
        self.tagged(group)
    }

    /// A further action on the same resource.
    pub fn and(mut self, action: &'static str, arn: Arn) -> Self {
        self.on.push((action, arn));
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

    pub fn owner(&self) -> AccountId {
        self.owner
    }

    /// Whether it is about groups, rather than the account.
    pub fn is_about_groups(&self) -> bool {
        self.on.iter().all(|(_, arn)| arn.service() == "logs")
    }

    /// With the resource policies of the owner.
    pub fn with_policy(mut self, policy: Option<Named>) -> Self {
        self.policy = policy;
        self
    }
}

impl<I: Input> Operation for Touch<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let resource = |arn: &Arn| Resource { policy: self.policy.clone(), ..Resource::new(arn.clone(), self.owner) };
        self.on.iter().map(|(action, arn)| Access { action, resource: resource(arn) }).collect()
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
