//! How the audit trail shows operations: under the names that CloudTrail has, which carry the date of the API (Developer Guide, "Logging AWS Lambda API
//! calls using AWS CloudTrail").

use millpond_kernel::audit::{EventClass, EventKind};

/// Operation, and its event's name.
const NAMES: &[(&str, &str)] = &[
    ("AddLayerVersionPermission", "AddLayerVersionPermission20181031"),
    ("AddPermission", "AddPermission20150331v2"),
    ("CreateAlias", "CreateAlias20150331"),
    ("CreateEventSourceMapping", "CreateEventSourceMapping20150331"),
    ("CreateFunction", "CreateFunction20150331"),
    ("DeleteAlias", "DeleteAlias20150331"),
    ("DeleteEventSourceMapping", "DeleteEventSourceMapping20150331"),
    ("DeleteFunction", "DeleteFunction20150331"),
    ("DeleteFunctionConcurrency", "DeleteFunctionConcurrency20171031"),
    ("DeleteFunctionEventInvokeConfig", "DeleteFunctionEventInvokeConfig"),
    ("DeleteLayerVersion", "DeleteLayerVersion20181031"),
    ("GetAccountSettings", "GetAccountSettings20160819"),
    ("GetAlias", "GetAlias20150331"),
    ("GetEventSourceMapping", "GetEventSourceMapping20150331"),
    ("GetFunction", "GetFunction20150331v2"),
    ("GetFunctionConfiguration", "GetFunctionConfiguration20150331v2"),
    ("GetLayerVersion", "GetLayerVersion20181031"),
    ("GetLayerVersionPolicy", "GetLayerVersionPolicy20181031"),
    ("GetPolicy", "GetPolicy20150331v2"),
    ("ListAliases", "ListAliases20150331"),
    ("ListEventSourceMappings", "ListEventSourceMappings20150331"),
    ("ListFunctions", "ListFunctions20150331"),
    ("ListLayerVersions", "ListLayerVersions20181031"),
    ("ListLayers", "ListLayers20181031"),
    ("ListTags", "ListTags20170331"),
    ("ListVersionsByFunction", "ListVersionsByFunction20150331"),
    ("PublishLayerVersion", "PublishLayerVersion20181031"),
    ("PublishVersion", "PublishVersion20150331"),
    ("PutFunctionConcurrency", "PutFunctionConcurrency20171031"),
    ("RemoveLayerVersionPermission", "RemoveLayerVersionPermission20181031"),
    ("RemovePermission", "RemovePermission20150331v2"),
    ("TagResource", "TagResource20170331v2"),
    ("UntagResource", "UntagResource20170331v2"),
    ("UpdateAlias", "UpdateAlias20150331"),
    ("UpdateEventSourceMapping", "UpdateEventSourceMapping20150331"),
    ("UpdateFunctionCode", "UpdateFunctionCode20150331v2"),
    ("UpdateFunctionConfiguration", "UpdateFunctionConfiguration20150331v2"),
];

/// The event of an operation. Invocations are operations on data.
pub(crate) fn event(operation: &'static str) -> EventKind {
    if operation.starts_with("Invoke") {
        return EventKind { name: operation, class: EventClass::Data };
    }
    let name = NAMES.iter().find(|(name, _)| *name == operation).map_or(operation, |(_, shown)| shown);
    EventKind { name, ..EventKind::by_verb(operation) }
}
