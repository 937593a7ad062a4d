//! Inputs of the API as operations on resources: names, actions, and condition keys (Service Authorization Reference, "Actions, resources,
//! and condition keys for Amazon DynamoDB").

use std::marker::PhantomData;
use std::sync::Arc;

use millpond_api_dynamodb as api;
use millpond_api_dynamodbstreams as streams;
use millpond_kernel::{Access, Context, ContextValue, Operation, Resource};
use millpond_types::{AccountId, Arn};
use millpond_wire::{ParseError, RequestView};

use crate::model::Table;

/// An input: read from a request, and known by its operation's name and action.
pub(crate) trait Input: Sized + Send + Sync + 'static {
    /// The operation's name.
    const NAME: &'static str;
    /// The action that it needs.
    const ACTION: &'static str;

    /// Reads it from a request.
    fn read(view: &RequestView<'_>) -> Result<Self, ParseError>;
}

macro_rules! inputs {
    ($($name:ident: $input:path,)*) => {$(
        impl Input for $input {
            const NAME: &'static str = stringify!($name);
            const ACTION: &'static str = concat!("dynamodb:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    BatchGetItem: api::BatchGetItemInput,
    BatchWriteItem: api::BatchWriteItemInput,
    CreateTable: api::CreateTableInput,
    DeleteItem: api::DeleteItemInput,
    DeleteResourcePolicy: api::DeleteResourcePolicyInput,
    DeleteTable: api::DeleteTableInput,
    DescribeContinuousBackups: api::DescribeContinuousBackupsInput,
    DescribeEndpoints: api::DescribeEndpointsInput,
    DescribeLimits: api::DescribeLimitsInput,
    DescribeTable: api::DescribeTableInput,
    DescribeTimeToLive: api::DescribeTimeToLiveInput,
    GetItem: api::GetItemInput,
    GetResourcePolicy: api::GetResourcePolicyInput,
    ListTables: api::ListTablesInput,
    ListTagsOfResource: api::ListTagsOfResourceInput,
    PutItem: api::PutItemInput,
    PutResourcePolicy: api::PutResourcePolicyInput,
    Query: api::QueryInput,
    Scan: api::ScanInput,
    TagResource: api::TagResourceInput,
    TransactGetItems: api::TransactGetItemsInput,
    TransactWriteItems: api::TransactWriteItemsInput,
    UntagResource: api::UntagResourceInput,
    UpdateItem: api::UpdateItemInput,
    UpdateTable: api::UpdateTableInput,
    UpdateTimeToLive: api::UpdateTimeToLiveInput,
    DescribeStream: streams::DescribeStreamInput,
    GetRecords: streams::GetRecordsInput,
    GetShardIterator: streams::GetShardIteratorInput,
    ListStreams: streams::ListStreamsInput,
}

/// What conditions can ask about an operation on items.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct About {
    /// Partition keys, as text; `dynamodb:LeadingKeys`.
    pub leading: Vec<String>,
    /// Names of attributes that the request names; `dynamodb:Attributes`.
    pub attributes: Vec<String>,
    /// `dynamodb:Select`.
    pub select: Option<&'static str>,
    /// `dynamodb:ReturnValues`.
    pub return_values: Option<&'static str>,
    /// `dynamodb:ReturnConsumedCapacity`.
    pub return_consumed: Option<&'static str>,
    /// `dynamodb:EnclosingOperation`.
    pub enclosing: Option<&'static str>,
}

impl About {
    /// With what another access of the same action to the same resource is about.
    fn join(&mut self, other: Self) {
        self.leading.extend(other.leading);
        self.attributes.extend(other.attributes);
        let distinct = |list: &mut Vec<String>| {
            list.sort_unstable();
            list.dedup();
        };
        distinct(&mut self.leading);
        distinct(&mut self.attributes);
    }

    /// Of both.
    pub fn joined(mut self, other: Self) -> Self {
        self.join(other);
        self
    }

    fn keys(&self, context: &mut Context) {
        let many = [("dynamodb:LeadingKeys", &self.leading), ("dynamodb:Attributes", &self.attributes)];
        for (key, values) in many.into_iter().filter(|(_, values)| !values.is_empty()) {
            context.set(key, ContextValue::Many(values.clone()));
        }
        let one = [
            ("dynamodb:Select", self.select),
            ("dynamodb:ReturnValues", self.return_values),
            ("dynamodb:ReturnConsumedCapacity", self.return_consumed),
            ("dynamodb:EnclosingOperation", self.enclosing),
        ];
        for (key, value) in one {
            if let Some(value) = value {
                context.text(key, value);
            }
        }
    }
}

/// One access that an operation needs.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    pub action: &'static str,
    pub resource: Resource,
    table: Option<Arc<Table>>,
    about: Option<Box<About>>,
}

impl Touch {
    /// A table, whether there is one or not. `arn` is the table's or that of one of its indexes.
    pub fn table(action: &'static str, arn: Arn, owner: AccountId, table: Option<&Arc<Table>>) -> Self {
        let policy = table.and_then(|table| table.policy.clone());
        Self { action, resource: Resource { policy, ..Resource::new(arn, owner) }, table: table.cloned(), about: None }
    }

    /// A resource that is no table, such as a stream.
    pub fn resource(action: &'static str, resource: Resource) -> Self {
        Self { action, resource, table: None, about: None }
    }

    /// No table in particular.
    pub fn nothing(action: &'static str, account: AccountId) -> Self {
        Self::resource(action, Resource::new(Arn::any(), account))
    }

    /// With what the operation does to items.
    pub fn about(mut self, about: About) -> Self {
        self.about = Some(Box::new(about));
        self
    }

    /// Whether a condition that both meet by themselves is met by both as one.
    fn is_like(&self, other: &Self) -> bool {
        let one = |touch: &Self| {
            let about = touch.about.as_deref()?;
            Some((about.select, about.return_values, about.return_consumed, about.enclosing))
        };
        self.action == other.action && self.resource.arn == other.resource.arn && one(self) == one(other)
    }
}

/// Accesses of the same action to the same resource, in the same way, as one.
pub(crate) fn joined(touches: Vec<Touch>) -> Vec<Touch> {
    let mut joined: Vec<Touch> = Vec::new();
    for touch in touches {
        match (joined.iter_mut().find(|one| one.is_like(&touch)), touch.about.as_deref()) {
            (None, _) => joined.push(touch),
            (Some(one), Some(about)) => one.about.get_or_insert_default().join(about.clone()),
            (Some(_), None) => {}
        }
    }
    joined
}

/// An operation whose resources are known.
#[derive(Debug)]
pub(crate) struct Asked<I> {
    touches: Vec<Touch>,
    /// Tags that a request sets, or keys of tags that it removes.
    tags: Vec<(String, Option<String>)>,
    input: PhantomData<fn() -> I>,
}

impl<I: Input> Asked<I> {
    pub fn new(touches: Vec<Touch>, tags: Vec<(String, Option<String>)>) -> Self {
        Self { touches, tags, input: PhantomData }
    }
}

impl<I: Input> Operation for Asked<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let access = |touch: &Touch| Access { action: touch.action, resource: touch.resource.clone() };
        self.touches.iter().map(access).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        let same = |touch: &Touch| touch.action == access.action && touch.resource.arn == access.resource.arn;
        self.keys(self.touches.iter().find(|touch| same(touch)), context);
    }

    fn context_at(&self, place: usize, _: &Access, context: &mut Context) {
        self.keys(self.touches.get(place), context);
    }
}

impl<I> Asked<I> {
    fn keys(&self, touch: Option<&Touch>, context: &mut Context) {
        for (key, value) in touch.iter().filter_map(|touch| touch.table.as_ref()).flat_map(|table| &table.row.tags) {
            context.text(format!("aws:ResourceTag/{key}"), value.clone());
        }
        if let Some(about) = touch.and_then(|touch| touch.about.as_ref()) {
            about.keys(context);
        }
        if !self.tags.is_empty() {
            context.set("aws:TagKeys", ContextValue::Many(self.tags.iter().map(|(key, _)| key.clone()).collect()));
        }
        for (key, value) in &self.tags {
            if let Some(value) = value {
                context.text(format!("aws:RequestTag/{key}"), value.clone());
            }
        }
    }
}
