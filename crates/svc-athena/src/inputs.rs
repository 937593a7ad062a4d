//! Inputs of the API as operations on resources: names, actions, and condition keys (Service Authorization Reference, "Actions, resources,
//! and condition keys for Amazon Athena").

use std::collections::BTreeMap;

use millpond_api_athena as api;
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
            const ACTION: &'static str = concat!("athena:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    BatchGetNamedQuery: BatchGetNamedQueryInput,
    BatchGetPreparedStatement: BatchGetPreparedStatementInput,
    BatchGetQueryExecution: BatchGetQueryExecutionInput,
    CreateDataCatalog: CreateDataCatalogInput,
    CreateNamedQuery: CreateNamedQueryInput,
    CreatePreparedStatement: CreatePreparedStatementInput,
    CreateWorkGroup: CreateWorkGroupInput,
    DeleteDataCatalog: DeleteDataCatalogInput,
    DeleteNamedQuery: DeleteNamedQueryInput,
    DeletePreparedStatement: DeletePreparedStatementInput,
    DeleteWorkGroup: DeleteWorkGroupInput,
    GetDataCatalog: GetDataCatalogInput,
    GetDatabase: GetDatabaseInput,
    GetNamedQuery: GetNamedQueryInput,
    GetPreparedStatement: GetPreparedStatementInput,
    GetQueryExecution: GetQueryExecutionInput,
    GetQueryResults: GetQueryResultsInput,
    GetQueryRuntimeStatistics: GetQueryRuntimeStatisticsInput,
    GetTableMetadata: GetTableMetadataInput,
    GetWorkGroup: GetWorkGroupInput,
    ListDataCatalogs: ListDataCatalogsInput,
    ListDatabases: ListDatabasesInput,
    ListEngineVersions: ListEngineVersionsInput,
    ListNamedQueries: ListNamedQueriesInput,
    ListPreparedStatements: ListPreparedStatementsInput,
    ListQueryExecutions: ListQueryExecutionsInput,
    ListTableMetadata: ListTableMetadataInput,
    ListTagsForResource: ListTagsForResourceInput,
    ListWorkGroups: ListWorkGroupsInput,
    StartQueryExecution: StartQueryExecutionInput,
    StopQueryExecution: StopQueryExecutionInput,
    TagResource: TagResourceInput,
    UntagResource: UntagResourceInput,
    UpdateNamedQuery: UpdateNamedQueryInput,
    UpdatePreparedStatement: UpdatePreparedStatementInput,
    UpdateWorkGroup: UpdateWorkGroupInput,
}

/// A resource of an access, with its tags.
#[derive(Clone, Debug)]
pub(crate) struct On {
    pub arn: Arn,
    pub tags: BTreeMap<String, String>,
}

/// An operation whose resources are known.
#[derive(Debug)]
pub(crate) struct Touch {
    action: &'static str,
    owner: AccountId,
    on: Vec<On>,
    request_tags: BTreeMap<String, String>,
    tag_keys: Vec<String>,
}

impl Touch {
    /// The operation's own action on these resources.
    pub fn new<I: Input>(_: &I, owner: AccountId, on: Vec<On>) -> Self {
        Self::by(I::ACTION, owner, on)
    }

    /// An action on these resources.
    pub fn by(action: &'static str, owner: AccountId, on: Vec<On>) -> Self {
        Self { action, owner, on, request_tags: BTreeMap::new(), tag_keys: Vec::new() }
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

impl Operation for Touch {
    const NAME: &'static str = "Athena";

    fn accesses(&self) -> Vec<Access> {
        let access = |on: &On| Access { action: self.action, resource: Resource::new(on.arn.clone(), self.owner) };
        self.on.iter().map(access).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        if let Some(on) = self.on.iter().find(|on| on.arn == access.resource.arn) {
            for (key, value) in &on.tags {
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
