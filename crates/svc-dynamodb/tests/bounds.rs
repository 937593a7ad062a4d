//! What holds up nothing else, and what one call may read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::ops::Bound;

use bytes::Bytes;
use millpond_meta::key::prefix_range;
use millpond_meta::{Batch, Kv, Op, Scan, View};
use millpond_svc_dynamodb::tables;
use serde_json::{Value, json};
use world::World;

fn id(key: &str) -> Value {
    json!({"id": {"S": key}})
}

fn index(projection: &str) -> Value {
    json!({"IndexName": "by-x", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "Projection": {"ProjectionType": projection}})
}

fn add_index() -> Value {
    json!({
        "TableName": "tab",
        "AttributeDefinitions": [{"AttributeName": "x", "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": index("ALL")}],
    })
}

async fn status(world: &World) -> Value {
    world.root("DescribeTable", json!({"TableName": "tab"})).await["Table"]["TableStatus"].clone()
}

/// A page of short rows of an index ends when the items that they belong to are many bytes.
#[tokio::test]
async fn pages_of_indexes_are_bounded_by_what_is_read() {
    let world = World::new().await;
    let more = json!({"GlobalSecondaryIndexes": [index("KEYS_ONLY")], "AttributeDefinitions": [{"AttributeName": "x", "AttributeType": "S"}]});
    world.table("tab", &[("id", "S")], more).await;
    for number in 0..50 {
        let item = json!({"id": {"S": number.to_string()}, "x": {"S": "x"}, "y": {"S": "y".repeat(390 << 10)}});
        world.put("tab", item).await;
    }
    let mut body = json!({"TableName": "tab", "IndexName": "by-x"});
    let (mut pages, mut found) = (0, 0);
    loop {
        let page = world.root("Scan", body.clone()).await;
        let count = page["Count"].as_u64().unwrap();
        assert!(count <= 43, "{count}");
        (pages, found) = (pages + 1, found + count);
        match page.get("LastEvaluatedKey").filter(|key| !key.is_null()) {
            Some(key) => body["ExclusiveStartKey"] = key.clone(),
            None => break,
        }
    }
    assert_eq!((pages, found), (2, 50));
}

/// An item that cannot be read is left out of an index, which is filled nevertheless.
#[tokio::test]
async fn a_damaged_item_holds_up_nothing() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], json!({})).await;
    world.table("gone", &[("id", "S")], json!({})).await;
    for key in ["a", "b", "c"] {
        world.put("tab", json!({"id": {"S": key}, "x": {"S": "x"}})).await;
        world.put("gone", id(key)).await;
    }
    let (from, to) = prefix_range(Bytes::from_static(&[tables::ITEMS]));
    let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit: 10 };
    let rows = world.kv.scan(scan).await.unwrap();
    let half = rows.len() / 2;
    let damage = [&rows[0], &rows[half]].map(|(key, _)| Op::Put(key.clone(), Bytes::from_static(b"damaged")));
    world.kv.commit(Batch { ops: damage.to_vec(), ..Batch::default() }).await.unwrap();
    world.root("UpdateTable", add_index()).await;
    world.root("DeleteTable", json!({"TableName": "gone"})).await;
    world.dynamodb.round().await.unwrap();
    assert_eq!(status(&world).await, "ACTIVE");
    let found = world.root("Scan", json!({"TableName": "tab", "IndexName": "by-x"})).await;
    assert_eq!(found["Count"], 2);
    let (from, to) = prefix_range(Bytes::from_static(&[tables::ITEMS]));
    let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit: 10 };
    assert_eq!(world.kv.scan(scan).await.unwrap().len(), 3, "the other table is gone");
}

/// An index may go while it is being filled; nothing else of the table may change then.
#[tokio::test]
async fn an_index_that_is_being_filled_may_be_deleted() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], json!({})).await;
    world.put("tab", json!({"id": {"S": "a"}, "x": {"S": "x"}})).await;
    world.root("UpdateTable", add_index()).await;
    let delete = json!([{"Delete": {"IndexName": "by-x"}}]);
    let body = json!({"TableName": "tab", "GlobalSecondaryIndexUpdates": delete, "DeletionProtectionEnabled": true});
    assert_eq!(world.fails("UpdateTable", body).await.0, "ResourceInUseException");
    world.root("UpdateTable", json!({"TableName": "tab", "GlobalSecondaryIndexUpdates": delete})).await;
    world.dynamodb.round().await.unwrap();
    assert_eq!(status(&world).await, "ACTIVE");
    world.put("tab", json!({"id": {"S": "a"}, "x": {"N": "1"}})).await;
}

/// An update of one attribute does not ask whether another suits an index that came later.
#[tokio::test]
async fn updates_check_the_keys_that_they_touch() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], json!({})).await;
    world.put("tab", json!({"id": {"S": "a"}, "x": {"N": "1"}})).await;
    world.root("UpdateTable", add_index()).await;
    world.dynamodb.round().await.unwrap();
    let update = |text: &str, value: Value| json!({"TableName": "tab", "Key": id("a"), "UpdateExpression": text, "ExpressionAttributeValues": {":v": value}});
    world.root("UpdateItem", update("SET y = :v", json!({"N": "1"}))).await;
    assert_eq!(world.fails("UpdateItem", update("SET x = :v", json!({"N": "2"}))).await.0, "ValidationException");
    world.root("UpdateItem", update("SET x = :v", json!({"S": "x"}))).await;
}

/// A billing mode that is given, but is what it was, does not hide what is asked of an index.
#[tokio::test]
async fn throughput_of_an_index_with_the_same_billing_mode() {
    let world = World::new().await;
    let units = |units: u64| json!({"ReadCapacityUnits": units, "WriteCapacityUnits": units});
    let mut provisioned = index("ALL");
    provisioned["ProvisionedThroughput"] = units(1);
    let more = json!({
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": units(1),
        "GlobalSecondaryIndexes": [provisioned],
        "AttributeDefinitions": [{"AttributeName": "x", "AttributeType": "S"}],
    });
    world.table("tab", &[("id", "S")], more).await;
    let update = json!([{"Update": {"IndexName": "by-x", "ProvisionedThroughput": units(7)}}]);
    let body = json!({"TableName": "tab", "BillingMode": "PROVISIONED", "GlobalSecondaryIndexUpdates": update});
    let changed = world.root("UpdateTable", body).await;
    let index = &changed["TableDescription"]["GlobalSecondaryIndexes"][0];
    assert_eq!(index["ProvisionedThroughput"]["ReadCapacityUnits"], 7);
}

/// What stands behind placeholders is bounded.
#[tokio::test]
async fn values_of_expressions_are_bounded() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], json!({})).await;
    let body = |bytes: usize| json!({"TableName": "tab", "Key": id("a"), "UpdateExpression": "SET x = if_not_exists(id, :v)", "ExpressionAttributeValues": {":v": {"S": "v".repeat(bytes)}}});
    world.root("UpdateItem", body(2_000_000)).await;
    assert_eq!(world.fails("UpdateItem", body(2 << 20)).await.0, "ValidationException");
}
