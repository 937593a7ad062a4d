//! Tables as answers show them.

use std::time::Duration;

use millpond_api_dynamodb::{
    AttributeDefinition, BillingMode, BillingModeSummary, GlobalSecondaryIndexDescription, IndexStatus,
    KeySchemaElement, KeyType, LocalSecondaryIndexDescription, OnDemandThroughput, Projection, ProjectionType,
    ProvisionedThroughputDescription, TableClass, TableClassSummary, TableDescription, TableStatus,
};
use millpond_types::Timestamp;

use crate::errors::DynamoError;
use crate::model::{Index, KeyKind, Projected, Schema, Table};
use crate::state::{Core, count};
use crate::stream;
use crate::tables::{self, Counter, ThroughputRow, WHOLE};

/// Milliseconds since the epoch as a time; `None` for never.
pub(crate) fn time(millis: u64) -> Option<Timestamp> {
    (millis > 0).then(|| Timestamp::default().plus(Duration::from_millis(millis)))
}

fn key_schema(schema: &Schema) -> Vec<KeySchemaElement> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let element = |(part, key_type): (&crate::model::KeyPart, KeyType)| KeySchemaElement {
        attribute_name: part.name.clone(),
        key_type,
    };
    schema.parts().zip(kinds).map(element).collect()
}

fn projection(index: &Index) -> Projection {
    let (projection_type, non_key_attributes) = match &index.projected {
        Projected::All => (ProjectionType::All, None),
        Projected::Keys => (ProjectionType::KeysOnly, None),
        Projected::Include(names) => (ProjectionType::Include, Some(names.clone())),
    };
    Projection { projection_type: Some(projection_type), non_key_attributes }
}

fn throughput(row: Option<&ThroughputRow>) -> ProvisionedThroughputDescription {
    let row = row.cloned().unwrap_or_default();
    let units = |units: u64| Some(i64::try_from(units).unwrap_or(i64::MAX));
    ProvisionedThroughputDescription {
        last_increase_date_time: time(row.increased),
        last_decrease_date_time: time(row.decreased),
        number_of_decreases_today: units(row.decreases),
        read_capacity_units: units(row.read),
        write_capacity_units: units(row.write),
    }
}

fn on_demand(row: Option<&ThroughputRow>) -> Option<OnDemandThroughput> {
    let row = row.filter(|row| row.max_read > 0 || row.max_write > 0)?;
    let most = |units: u64| Some(if units == 0 { -1 } else { i64::try_from(units).unwrap_or(i64::MAX) });
    Some(OnDemandThroughput {
        max_read_request_units: most(row.max_read),
        max_write_request_units: most(row.max_write),
    })
}

/// A table's id as UUIDs are written.
pub(crate) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

impl Core {
    async fn counted(&self, table: &Table, counter: Counter) -> Result<Option<i64>, DynamoError> {
        let row = self.kv.get(&tables::counter(table.id, counter)).await?;
        Ok(Some(count(row.as_ref()).max(0)))
    }

    /// A table as answers show it. Sizes and counts are those of now; AWS has them every six hours.
    pub async fn description(&self, table: &Table, status: TableStatus) -> Result<TableDescription, DynamoError> {
        let row = &table.row;
        let (mut local, mut global) = (Vec::new(), Vec::new());
        for index in &table.indexes {
            let (size, items) = (
                self.counted(table, Counter::Bytes(index.number)).await?,
                self.counted(table, Counter::Items(index.number)).await?,
            );
            let arn = Some(table.index_arn(&index.name).to_string());
            if index.local {
                local.push(local_index(index, size, items, arn));
            } else {
                global.push(global_index(table, index, (size, items), arn));
            }
        }
        let definition = |name: &str, kind: u32| AttributeDefinition {
            attribute_name: name.to_owned(),
            attribute_type: KeyKind::of(kind).into(),
        };
        let is_on_demand = !table.is_provisioned();
        let since = row.billing.as_ref().and_then(|billing| time(billing.on_demand_since));
        let class = (row.infrequent || row.class_changed > 0).then(|| TableClassSummary {
            table_class: Some(if row.infrequent { TableClass::StandardInfrequentAccess } else { TableClass::Standard }),
            last_update_date_time: time(row.class_changed),
        });
        let label = Some(row.label.clone()).filter(|label| !label.is_empty());
        Ok(TableDescription {
            attribute_definitions: Some(row.attributes.iter().map(|one| definition(&one.name, one.kind)).collect()),
            table_name: Some(table.name.clone()),
            key_schema: Some(key_schema(&table.schema)),
            table_status: Some(status),
            creation_date_time: time(row.created),
            provisioned_throughput: Some(throughput(row.throughput.as_ref())),
            table_size_bytes: self.counted(table, Counter::Bytes(WHOLE)).await?,
            item_count: self.counted(table, Counter::Items(WHOLE)).await?,
            table_arn: Some(table.arn.to_string()),
            table_id: Some(uuid(table.id)),
            billing_mode_summary: (is_on_demand || since.is_some()).then_some(BillingModeSummary {
                billing_mode: Some(if is_on_demand { BillingMode::PayPerRequest } else { BillingMode::Provisioned }),
                last_update_to_pay_per_request_date_time: since,
            }),
            local_secondary_indexes: Some(local).filter(|list| !list.is_empty()),
            global_secondary_indexes: Some(global).filter(|list| !list.is_empty()),
            stream_specification: stream::specification(table),
            latest_stream_arn: label.as_ref().map(|label| table.stream_arn(label).to_string()),
            latest_stream_label: label,
            table_class_summary: class,
            deletion_protection_enabled: Some(row.protected),
            on_demand_throughput: on_demand(row.throughput.as_ref()),
            ..TableDescription::default()
        })
    }

    /// The same, of a table that is there.
    pub async fn described(&self, table: &Table) -> Result<TableDescription, DynamoError> {
        let status = if table.is_updating() { TableStatus::Updating } else { TableStatus::Active };
        self.description(table, status).await
    }
}

fn local_index(
    index: &Index,
    size: Option<i64>,
    items: Option<i64>,
    arn: Option<String>,
) -> LocalSecondaryIndexDescription {
    LocalSecondaryIndexDescription {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.schema)),
        projection: Some(projection(index)),
        index_size_bytes: size,
        item_count: items,
        index_arn: arn,
    }
}

fn global_index(
    table: &Table,
    index: &Index,
    (size, items): (Option<i64>, Option<i64>),
    arn: Option<String>,
) -> GlobalSecondaryIndexDescription {
    let row = table.row.indexes.iter().find(|row| row.number == index.number).and_then(|row| row.throughput.as_ref());
    GlobalSecondaryIndexDescription {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.schema)),
        projection: Some(projection(index)),
        index_status: Some(if index.filling { IndexStatus::Creating } else { IndexStatus::Active }),
        backfilling: index.filling.then_some(true),
        provisioned_throughput: Some(throughput(row)),
        index_size_bytes: size,
        item_count: items,
        index_arn: arn,
        on_demand_throughput: on_demand(row),
        warm_throughput: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids() {
        assert_eq!(uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-cdef-0123-456789abcdef");
    }
}
