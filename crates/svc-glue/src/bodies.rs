//! What people wrote about databases, tables and partitions, as it is kept: sealed, in rows of [`crate::tables`].

use std::collections::BTreeMap;

use millpond_api_glue as api;
use millpond_types::Timestamp;
use prost::Message;

type Parameters = BTreeMap<String, String>;

/// Of a database.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseBody {
    #[prost(string, optional, tag = "1")]
    pub description: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub location: Option<String>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub parameters: Parameters,
    /// For Lake Formation, which is not there: kept and shown.
    #[prost(message, repeated, tag = "4")]
    pub permissions: Vec<PermissionBody>,
}

/// What principals may with new tables, as Lake Formation has it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PermissionBody {
    #[prost(string, optional, tag = "1")]
    pub principal: Option<String>,
    #[prost(string, repeated, tag = "2")]
    pub permissions: Vec<String>,
}

/// Of a table.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TableBody {
    #[prost(string, optional, tag = "1")]
    pub description: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub owner: Option<String>,
    /// Nanoseconds.
    #[prost(fixed64, optional, tag = "3")]
    pub last_access: Option<u64>,
    #[prost(fixed64, optional, tag = "4")]
    pub last_analyzed: Option<u64>,
    #[prost(int32, optional, tag = "5")]
    pub retention: Option<i32>,
    #[prost(message, optional, tag = "6")]
    pub storage: Option<StorageBody>,
    #[prost(message, repeated, tag = "7")]
    pub keys: Vec<ColumnBody>,
    #[prost(string, optional, tag = "8")]
    pub view_original: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub view_expanded: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub kind: Option<String>,
    #[prost(btree_map = "string, string", tag = "11")]
    pub parameters: Parameters,
}

/// Of a partition.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartitionBody {
    #[prost(message, optional, tag = "1")]
    pub storage: Option<StorageBody>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub parameters: Parameters,
    #[prost(fixed64, optional, tag = "3")]
    pub last_access: Option<u64>,
    #[prost(fixed64, optional, tag = "4")]
    pub last_analyzed: Option<u64>,
}

/// A storage descriptor: what most partitions share is told by its hash, and lies once in [`crate::tables::PIECES`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StorageBody {
    /// The hash of a [`ColumnsBody`].
    #[prost(bytes = "vec", tag = "1")]
    pub columns: Vec<u8>,
    /// The hash of a [`FormatBody`].
    #[prost(bytes = "vec", tag = "2")]
    pub format: Vec<u8>,
    #[prost(string, optional, tag = "3")]
    pub location: Option<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub parameters: Parameters,
}

/// Columns.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnsBody {
    #[prost(message, repeated, tag = "1")]
    pub columns: Vec<ColumnBody>,
}

/// A column or partition key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnBody {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    pub kind: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub comment: Option<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub parameters: Parameters,
}

/// How rows lie in files.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FormatBody {
    #[prost(string, optional, tag = "1")]
    pub input: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub output: Option<String>,
    #[prost(bool, tag = "3")]
    pub compressed: bool,
    #[prost(int32, tag = "4")]
    pub buckets: i32,
    #[prost(message, optional, tag = "5")]
    pub serde: Option<SerdeBody>,
    #[prost(string, repeated, tag = "6")]
    pub bucket_columns: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub sort_columns: Vec<OrderBody>,
    #[prost(message, optional, tag = "8")]
    pub skewed: Option<SkewedBody>,
    #[prost(bool, tag = "9")]
    pub sub_directories: bool,
    #[prost(string, repeated, tag = "10")]
    pub more_locations: Vec<String>,
}

/// Who reads rows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SerdeBody {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub library: Option<String>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub parameters: Parameters,
}

/// A column that files are sorted by.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OrderBody {
    #[prost(string, tag = "1")]
    pub column: String,
    #[prost(int32, tag = "2")]
    pub order: i32,
}

/// Values that many rows have.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SkewedBody {
    #[prost(string, repeated, tag = "1")]
    pub columns: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub values: Vec<String>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub locations: Parameters,
}

fn nanos(time: Option<Timestamp>) -> Option<u64> {
    time.map(|time| time.0)
}

fn time(nanos: Option<u64>) -> Option<Timestamp> {
    nanos.map(Timestamp)
}

impl DatabaseBody {
    pub fn of(input: &api::DatabaseInput) -> Self {
        let permissions = input.create_table_default_permissions.iter().flatten().map(|given| PermissionBody {
            principal: given.principal.as_ref().and_then(|who| who.data_lake_principal_identifier.clone()),
            permissions: given.permissions.iter().flatten().map(|permission| permission.as_str().to_owned()).collect(),
        });
        Self {
            description: input.description.clone(),
            location: input.location_uri.clone(),
            parameters: input.parameters.clone().unwrap_or_default(),
            permissions: permissions.collect(),
        }
    }

    pub fn show(self, name: String, created: u64, catalog: &str) -> api::Database {
        let permissions = self.permissions.into_iter().map(|kept| api::PrincipalPermissions {
            principal: kept.principal.map(|who| api::DataLakePrincipal { data_lake_principal_identifier: Some(who) }),
            permissions: Some(kept.permissions.iter().filter_map(|text| api::Permission::parse(text)).collect()),
        });
        let permissions: Vec<_> = permissions.collect();
        api::Database {
            name,
            description: self.description,
            location_uri: self.location,
            parameters: some(self.parameters),
            create_time: Some(Timestamp(created)),
            create_table_default_permissions: (!permissions.is_empty()).then_some(permissions),
            catalog_id: Some(catalog.to_owned()),
            ..api::Database::default()
        }
    }
}

fn some(parameters: Parameters) -> Option<Parameters> {
    (!parameters.is_empty()).then_some(parameters)
}

impl ColumnBody {
    pub fn of(column: &api::Column) -> Self {
        Self {
            name: column.name.clone(),
            kind: column.type_.clone(),
            comment: column.comment.clone(),
            parameters: column.parameters.clone().unwrap_or_default(),
        }
    }

    pub fn show(&self) -> api::Column {
        api::Column {
            name: self.name.clone(),
            type_: self.kind.clone(),
            comment: self.comment.clone(),
            parameters: some(self.parameters.clone()),
        }
    }
}

pub(crate) fn columns_of(columns: Option<&[api::Column]>) -> Vec<ColumnBody> {
    columns.unwrap_or_default().iter().map(ColumnBody::of).collect()
}

pub(crate) fn show_columns(columns: &[ColumnBody]) -> Vec<api::Column> {
    columns.iter().map(ColumnBody::show).collect()
}

impl FormatBody {
    fn of(given: &api::StorageDescriptor) -> Self {
        let serde = given.serde_info.as_ref().map(|serde| SerdeBody {
            name: serde.name.clone(),
            library: serde.serialization_library.clone(),
            parameters: serde.parameters.clone().unwrap_or_default(),
        });
        let skewed = given.skewed_info.as_ref().map(|skewed| SkewedBody {
            columns: skewed.skewed_column_names.clone().unwrap_or_default(),
            values: skewed.skewed_column_values.clone().unwrap_or_default(),
            locations: skewed.skewed_column_value_location_maps.clone().unwrap_or_default(),
        });
        let order = |order: &api::Order| OrderBody { column: order.column.clone(), order: order.sort_order };
        Self {
            input: given.input_format.clone(),
            output: given.output_format.clone(),
            compressed: given.compressed.unwrap_or_default(),
            buckets: given.number_of_buckets.unwrap_or_default(),
            serde,
            bucket_columns: given.bucket_columns.clone().unwrap_or_default(),
            sort_columns: given.sort_columns.iter().flatten().map(order).collect(),
            skewed,
            sub_directories: given.stored_as_sub_directories.unwrap_or_default(),
            more_locations: given.additional_locations.clone().unwrap_or_default(),
        }
    }
}

/// A storage descriptor in its parts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parts {
    pub columns: ColumnsBody,
    pub format: FormatBody,
    pub location: Option<String>,
    pub parameters: Parameters,
}

impl Parts {
    pub fn of(given: &api::StorageDescriptor) -> Self {
        Self {
            columns: ColumnsBody { columns: columns_of(given.columns.as_deref()) },
            format: FormatBody::of(given),
            location: given.location.clone(),
            parameters: given.parameters.clone().unwrap_or_default(),
        }
    }
}

/// A storage descriptor as it is shown; without columns where nobody wants them.
pub(crate) fn show_storage(
    storage: StorageBody,
    columns: Option<&ColumnsBody>,
    format: &FormatBody,
) -> api::StorageDescriptor {
    let texts = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    let order = |order: &OrderBody| api::Order { column: order.column.clone(), sort_order: order.order };
    api::StorageDescriptor {
        columns: columns.map(|body| show_columns(&body.columns)),
        location: storage.location,
        additional_locations: texts(&format.more_locations),
        input_format: format.input.clone(),
        output_format: format.output.clone(),
        compressed: Some(format.compressed),
        number_of_buckets: Some(format.buckets),
        serde_info: format.serde.as_ref().map(|serde| api::SerDeInfo {
            name: serde.name.clone(),
            serialization_library: serde.library.clone(),
            parameters: some(serde.parameters.clone()),
        }),
        bucket_columns: texts(&format.bucket_columns),
        sort_columns: Some(format.sort_columns.iter().map(order).collect()),
        parameters: some(storage.parameters),
        skewed_info: format.skewed.as_ref().map(|skewed| api::SkewedInfo {
            skewed_column_names: Some(skewed.columns.clone()),
            skewed_column_values: Some(skewed.values.clone()),
            skewed_column_value_location_maps: Some(skewed.locations.clone()),
        }),
        stored_as_sub_directories: Some(format.sub_directories),
        schema_reference: None,
    }
}

impl TableBody {
    /// All but where and how rows lie.
    pub fn of(input: &api::TableInput) -> Self {
        Self {
            description: input.description.clone(),
            owner: input.owner.clone(),
            last_access: nanos(input.last_access_time),
            last_analyzed: nanos(input.last_analyzed_time),
            retention: input.retention,
            storage: None,
            keys: columns_of(input.partition_keys.as_deref()),
            view_original: input.view_original_text.clone(),
            view_expanded: input.view_expanded_text.clone(),
            kind: input.table_type.clone(),
            parameters: input.parameters.clone().unwrap_or_default(),
        }
    }

    /// All but where and how rows lie, and what is known of it besides.
    pub fn show(self, storage: Option<api::StorageDescriptor>) -> api::Table {
        api::Table {
            description: self.description,
            owner: self.owner,
            last_access_time: time(self.last_access),
            last_analyzed_time: time(self.last_analyzed),
            retention: Some(self.retention.unwrap_or_default()),
            storage_descriptor: storage,
            partition_keys: Some(show_columns(&self.keys)),
            view_original_text: self.view_original,
            view_expanded_text: self.view_expanded,
            table_type: self.kind,
            parameters: some(self.parameters),
            is_registered_with_lake_formation: Some(false),
            ..api::Table::default()
        }
    }
}

impl PartitionBody {
    /// All but where and how rows lie.
    pub fn of(input: &api::PartitionInput) -> Self {
        Self {
            storage: None,
            parameters: input.parameters.clone().unwrap_or_default(),
            last_access: nanos(input.last_access_time),
            last_analyzed: nanos(input.last_analyzed_time),
        }
    }

    /// All but where and how rows lie, and whose it is.
    pub fn show(self, storage: Option<api::StorageDescriptor>) -> api::Partition {
        api::Partition {
            storage_descriptor: storage,
            parameters: some(self.parameters),
            last_access_time: time(self.last_access),
            last_analyzed_time: time(self.last_analyzed),
            ..api::Partition::default()
        }
    }
}
