//! The inputs of operations, with their names and the actions that policies know them by.

use millpond_api_lambda as api;
use millpond_wire::{ParseError, RequestView};

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
    ($($name:ident: $input:ident = $action:literal,)*) => {$(
        impl Input for api::$input {
            const NAME: &'static str = stringify!($name);
            const ACTION: &'static str = concat!("lambda:", $action);

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    AddLayerVersionPermission: AddLayerVersionPermissionInput = "AddLayerVersionPermission",
    AddPermission: AddPermissionInput = "AddPermission",
    CreateAlias: CreateAliasInput = "CreateAlias",
    CreateEventSourceMapping: CreateEventSourceMappingInput = "CreateEventSourceMapping",
    CreateFunction: CreateFunctionInput = "CreateFunction",
    DeleteAlias: DeleteAliasInput = "DeleteAlias",
    DeleteEventSourceMapping: DeleteEventSourceMappingInput = "DeleteEventSourceMapping",
    DeleteFunction: DeleteFunctionInput = "DeleteFunction",
    DeleteFunctionConcurrency: DeleteFunctionConcurrencyInput = "DeleteFunctionConcurrency",
    DeleteFunctionEventInvokeConfig: DeleteFunctionEventInvokeConfigInput = "DeleteFunctionEventInvokeConfig",
    DeleteLayerVersion: DeleteLayerVersionInput = "DeleteLayerVersion",
    GetAccountSettings: GetAccountSettingsInput = "GetAccountSettings",
    GetAlias: GetAliasInput = "GetAlias",
    GetEventSourceMapping: GetEventSourceMappingInput = "GetEventSourceMapping",
    GetFunction: GetFunctionInput = "GetFunction",
    GetFunctionCodeSigningConfig: GetFunctionCodeSigningConfigInput = "GetFunctionCodeSigningConfig",
    GetFunctionConcurrency: GetFunctionConcurrencyInput = "GetFunctionConcurrency",
    GetFunctionConfiguration: GetFunctionConfigurationInput = "GetFunctionConfiguration",
    GetFunctionEventInvokeConfig: GetFunctionEventInvokeConfigInput = "GetFunctionEventInvokeConfig",
    GetFunctionRecursionConfig: GetFunctionRecursionConfigInput = "GetFunctionRecursionConfig",
    GetLayerVersion: GetLayerVersionInput = "GetLayerVersion",
    GetLayerVersionByArn: GetLayerVersionByArnInput = "GetLayerVersion",
    GetLayerVersionPolicy: GetLayerVersionPolicyInput = "GetLayerVersionPolicy",
    GetPolicy: GetPolicyInput = "GetPolicy",
    GetRuntimeManagementConfig: GetRuntimeManagementConfigInput = "GetRuntimeManagementConfig",
    Invoke: InvokeInput = "InvokeFunction",
    InvokeAsync: InvokeAsyncInput = "InvokeAsync",
    ListAliases: ListAliasesInput = "ListAliases",
    ListEventSourceMappings: ListEventSourceMappingsInput = "ListEventSourceMappings",
    ListFunctionEventInvokeConfigs: ListFunctionEventInvokeConfigsInput = "ListFunctionEventInvokeConfigs",
    ListFunctions: ListFunctionsInput = "ListFunctions",
    ListLayerVersions: ListLayerVersionsInput = "ListLayerVersions",
    ListLayers: ListLayersInput = "ListLayers",
    ListTags: ListTagsInput = "ListTags",
    ListVersionsByFunction: ListVersionsByFunctionInput = "ListVersionsByFunction",
    PublishLayerVersion: PublishLayerVersionInput = "PublishLayerVersion",
    PublishVersion: PublishVersionInput = "PublishVersion",
    PutFunctionConcurrency: PutFunctionConcurrencyInput = "PutFunctionConcurrency",
    PutFunctionEventInvokeConfig: PutFunctionEventInvokeConfigInput = "PutFunctionEventInvokeConfig",
    PutFunctionRecursionConfig: PutFunctionRecursionConfigInput = "PutFunctionRecursionConfig",
    RemoveLayerVersionPermission: RemoveLayerVersionPermissionInput = "RemoveLayerVersionPermission",
    RemovePermission: RemovePermissionInput = "RemovePermission",
    TagResource: TagResourceInput = "TagResource",
    UntagResource: UntagResourceInput = "UntagResource",
    UpdateAlias: UpdateAliasInput = "UpdateAlias",
    UpdateEventSourceMapping: UpdateEventSourceMappingInput = "UpdateEventSourceMapping",
    UpdateFunctionCode: UpdateFunctionCodeInput = "UpdateFunctionCode",
    UpdateFunctionConfiguration: UpdateFunctionConfigurationInput = "UpdateFunctionConfiguration",
    UpdateFunctionEventInvokeConfig: UpdateFunctionEventInvokeConfigInput = "UpdateFunctionEventInvokeConfig",
}
