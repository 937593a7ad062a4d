//! Inputs of the API as operations on resources: names, actions, and condition keys (Service Authorization Reference, "Actions, resources,
//! and condition keys for AWS Glue").

use std::collections::BTreeMap;
use std::marker::PhantomData;

use millpond_api_glue as api;
use millpond_kernel::{Access, Context, ContextValue, Named, Operation, Resource};
use millpond_types::{AccountId, Arn};
use millpond_wire::{ParseError, RequestView};

use crate::state::Core;

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
            const ACTION: &'static str = concat!("glue:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    BatchCreatePartition: BatchCreatePartitionInput,
    BatchDeletePartition: BatchDeletePartitionInput,
    BatchDeleteTable: BatchDeleteTableInput,
    BatchDeleteTableVersion: BatchDeleteTableVersionInput,
    BatchGetCrawlers: BatchGetCrawlersInput,
    BatchGetPartition: BatchGetPartitionInput,
    BatchUpdatePartition: BatchUpdatePartitionInput,
    CreateClassifier: CreateClassifierInput,
    CreateCrawler: CreateCrawlerInput,
    CreateDatabase: CreateDatabaseInput,
    CreatePartition: CreatePartitionInput,
    CreatePartitionIndex: CreatePartitionIndexInput,
    CreateTable: CreateTableInput,
    DeleteClassifier: DeleteClassifierInput,
    DeleteColumnStatisticsForPartition: DeleteColumnStatisticsForPartitionInput,
    DeleteColumnStatisticsForTable: DeleteColumnStatisticsForTableInput,
    DeleteCrawler: DeleteCrawlerInput,
    DeleteDatabase: DeleteDatabaseInput,
    DeletePartition: DeletePartitionInput,
    DeletePartitionIndex: DeletePartitionIndexInput,
    DeleteResourcePolicy: DeleteResourcePolicyInput,
    DeleteTable: DeleteTableInput,
    DeleteTableVersion: DeleteTableVersionInput,
    GetClassifier: GetClassifierInput,
    GetClassifiers: GetClassifiersInput,
    GetColumnStatisticsForPartition: GetColumnStatisticsForPartitionInput,
    GetColumnStatisticsForTable: GetColumnStatisticsForTableInput,
    GetCrawler: GetCrawlerInput,
    GetCrawlerMetrics: GetCrawlerMetricsInput,
    GetCrawlers: GetCrawlersInput,
    GetDatabase: GetDatabaseInput,
    GetDatabases: GetDatabasesInput,
    GetPartition: GetPartitionInput,
    GetPartitionIndexes: GetPartitionIndexesInput,
    GetPartitions: GetPartitionsInput,
    GetResourcePolicies: GetResourcePoliciesInput,
    GetResourcePolicy: GetResourcePolicyInput,
    GetTable: GetTableInput,
    GetTableVersion: GetTableVersionInput,
    GetTableVersions: GetTableVersionsInput,
    GetTables: GetTablesInput,
    GetTags: GetTagsInput,
    ListCrawlers: ListCrawlersInput,
    ListCrawls: ListCrawlsInput,
    PutResourcePolicy: PutResourcePolicyInput,
    SearchTables: SearchTablesInput,
    StartCrawler: StartCrawlerInput,
    StartCrawlerSchedule: StartCrawlerScheduleInput,
    StopCrawler: StopCrawlerInput,
    StopCrawlerSchedule: StopCrawlerScheduleInput,
    TagResource: TagResourceInput,
    UntagResource: UntagResourceInput,
    UpdateClassifier: UpdateClassifierInput,
    UpdateColumnStatisticsForPartition: UpdateColumnStatisticsForPartitionInput,
    UpdateColumnStatisticsForTable: UpdateColumnStatisticsForTableInput,
    UpdateCrawler: UpdateCrawlerInput,
    UpdateCrawlerSchedule: UpdateCrawlerScheduleInput,
    UpdateDatabase: UpdateDatabaseInput,
    UpdatePartition: UpdatePartitionInput,
    UpdateTable: UpdateTableInput,
}

/// An operation whose resources are known: the catalog, and what lies in it. All of them must be allowed (Developer Guide, "Data Catalog ARNs").
#[derive(Debug)]
pub(crate) struct Touch<I> {
    what: PhantomData<fn() -> I>,
    on: Vec<(&'static str, Arn)>,
    owner: AccountId,
    policy: Option<Named>,
    /// Of the database or crawler.
    resource_tags: BTreeMap<String, String>,
    request_tags: BTreeMap<String, String>,
    tag_keys: Vec<String>,
}

impl<I: Input> Touch<I> {
    /// On the catalog.
    pub fn catalog(core: &Core, _: &I, owner: AccountId) -> Self {
        Self::nothing(owner).and(core.arn(owner, "catalog"))
    }

    fn nothing(owner: AccountId) -> Self {
        Self {
            what: PhantomData,
            on: Vec::new(),
            owner,
            policy: None,
            resource_tags: BTreeMap::new(),
            request_tags: BTreeMap::new(),
            tag_keys: Vec::new(),
        }
    }

    /// On the catalog and a database; `*` for all of them.
    pub fn database(core: &Core, input: &I, owner: AccountId, name: &str) -> Self {
        Self::catalog(core, input, owner).and(core.arn(owner, &format!("database/{name}")))
    }

    /// On the catalog, a database and a table of it; `*` for all of them.
    pub fn table(core: &Core, input: &I, owner: AccountId, database: &str, name: &str) -> Self {
        Self::database(core, input, owner, database).and(core.arn(owner, &format!("table/{database}/{name}")))
    }

    /// On one resource alone.
    pub fn of(_: &I, owner: AccountId, arn: Arn) -> Self {
        Self::nothing(owner).and(arn)
    }

    /// On a further resource.
    pub fn and(self, arn: Arn) -> Self {
        self.needs(I::ACTION, arn)
    }

    /// With a further action.
    pub fn needs(mut self, action: &'static str, arn: Arn) -> Self {
        self.on.push((action, arn));
        self
    }

    /// With the tags of the database or crawler.
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

    pub fn owner(&self) -> AccountId {
        self.owner
    }

    /// Whether it is about the catalog and what lies in it, which the catalog's resource policy is about.
    pub fn is_of_catalog(&self) -> bool {
        let of = |arn: &Arn| ["catalog", "database/", "table/"].iter().any(|kind| arn.resource().starts_with(kind));
        self.on.iter().any(|(_, arn)| of(arn))
    }

    /// With the resource policy of the owner's catalog.
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

    fn context(&self, access: &Access, context: &mut Context) {
        // Databases and crawlers have tags; the catalog and tables have none.
        let resource = access.resource.arn.resource();
        if resource.starts_with("database/") || resource.starts_with("crawler/") {
            for (key, value) in &self.resource_tags {
                context.text(format!("aws:ResourceTag/{key}"), value.clone());
            }
        }
        for (key, value) in &self.request_tags {
            context.text(format!("aws:RequestTag/{key}"), value.clone());
        }
        if !self.tag_keys.is_empty() {
            context.set("aws:TagKeys", ContextValue::Many(self.tag_keys.clone()));
        }
    }
}
