//! Items: written, read, found and refused as the API reference says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use world::{STRANGER, World, caller, root, table_arn, text};

fn id(key: &str) -> Value {
    json!({"id": {"S": key}})
}

fn bytes(world: &World) -> u64 {
    millpond_meta::Kv::state(&world.kv).bytes
}

async fn world() -> World {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], json!({})).await;
    world
}

#[tokio::test]
async fn items_come_back_after_a_restart() {
    let world = world().await;
    let item = json!({"id": {"S": "a"}, "n": {"N": "1.5"}, "l": {"L": [{"BOOL": true}, {"NULL": true}]}, "s": {"SS": ["x", "y"]}});
    world.put("tab", item.clone()).await;
    assert_eq!(world.get("tab", id("a")).await, item);
    assert_eq!(world.get("tab", id("b")).await, Value::Null);
    let world = world.reopened().await;
    assert_eq!(world.get("tab", id("a")).await, item);
    let described = world.root("DescribeTable", json!({"TableName": "tab"})).await;
    assert_eq!(described["Table"]["ItemCount"], 1);
    world.root("DeleteItem", json!({"TableName": "tab", "Key": id("a")})).await;
    assert_eq!(world.get("tab", id("a")).await, Value::Null);
}

/// 400 KB of one item lie in chunks; nothing of a replaced item is left behind.
#[tokio::test]
async fn large_items() {
    let world = world().await;
    let before = bytes(&world);
    let most = 400 * 1024 - "id".len() - 1 - "x".len();
    for length in [60_000, 100_000, most] {
        let item = json!({"id": {"S": "a"}, "x": {"S": "x".repeat(length)}});
        world.put("tab", item.clone()).await;
        assert_eq!(world.get("tab", id("a")).await, item);
    }
    let (code, message) = world
        .fails("PutItem", json!({"TableName": "tab", "Item": {"id": {"S": "a"}, "x": {"S": "x".repeat(most + 1)}}}))
        .await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("ValidationException", "Item size has exceeded the maximum allowed size")
    );
    world.root("DeleteItem", json!({"TableName": "tab", "Key": id("a")})).await;
    assert_eq!(bytes(&world), before);
}

#[tokio::test]
async fn conditions_hold_or_say_what_was_there() {
    let world = world().await;
    world.put("tab", json!({"id": {"S": "a"}, "v": {"N": "1"}})).await;
    let put = |condition: &str| json!({"TableName": "tab", "Item": id("a"), "ConditionExpression": condition});
    let (code, message) = world.fails("PutItem", put("attribute_not_exists(id)")).await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("ConditionalCheckFailedException", "The conditional request failed")
    );
    let mut body = put("attribute_not_exists(id)");
    body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
    let error = world.answer(caller(root(world::OWNER), None), "PutItem", body).await.unwrap_err();
    assert_eq!(*error.values, [("Item", json!({"id": {"S": "a"}, "v": {"N": "1"}}))]);
    world.root("PutItem", put("attribute_exists(v)")).await;
    assert_eq!(world.get("tab", id("a")).await, id("a"));
}

#[tokio::test]
async fn updates_return_what_is_asked_for() {
    let world = world().await;
    let update = |values: &str| {
        json!({
            "TableName": "tab", "Key": id("a"), "ReturnValues": values,
            "UpdateExpression": "SET n = if_not_exists(n, :zero) + :one, m = :m REMOVE gone",
            "ExpressionAttributeValues": {":zero": {"N": "0"}, ":one": {"N": "1"}, ":m": {"S": "x"}},
        })
    };
    for (values, expected) in [
        ("NONE", Value::Null),
        ("ALL_NEW", json!({"id": {"S": "a"}, "n": {"N": "2"}, "m": {"S": "x"}})),
        ("ALL_OLD", json!({"id": {"S": "a"}, "n": {"N": "2"}, "m": {"S": "x"}})),
        ("UPDATED_NEW", json!({"n": {"N": "4"}, "m": {"S": "x"}})),
        ("UPDATED_OLD", json!({"n": {"N": "4"}, "m": {"S": "x"}})),
    ] {
        assert_eq!(world.root("UpdateItem", update(values)).await["Attributes"], expected, "{values}");
    }
    let old = json!({"TableName": "tab", "Item": id("a"), "ReturnValues": "ALL_OLD"});
    assert_eq!(world.root("PutItem", old.clone()).await["Attributes"]["n"], json!({"N": "5"}));
    let old = json!({"TableName": "tab", "Key": id("a"), "ReturnValues": "ALL_OLD"});
    assert_eq!(world.root("DeleteItem", old.clone()).await["Attributes"], id("a"));
    assert_eq!(world.root("DeleteItem", old).await["Attributes"], Value::Null);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let world = world().await;
    world.table("sorted", &[("h", "S"), ("r", "N")], json!({})).await;
    let key = "One or more parameter values were invalid: ";
    for (operation, body, expected) in [
        ("PutItem", json!({"TableName": "tab", "Item": {"x": {"S": "a"}}}), format!("{key}Missing the key id in the item")),
        (
            "PutItem",
            json!({"TableName": "tab", "Item": {"id": {"N": "1"}}}),
            format!("{key}Type mismatch for key id expected: S actual: N"),
        ),
        (
            "GetItem",
            json!({"TableName": "sorted", "Key": {"h": {"S": "a"}}}),
            "The provided key element does not match the schema".into(),
        ),
        (
            "PutItem",
            json!({"TableName": "tab", "Item": id("a"), "ReturnValues": "ALL_NEW"}),
            "Return values set to invalid value".into(),
        ),
        (
            "UpdateItem",
            json!({"TableName": "tab", "Key": id("a"), "UpdateExpression": "SET id = :x", "ExpressionAttributeValues": {":x": {"S": "b"}}}),
            format!("{key}Cannot update attribute id. This attribute is part of the key"),
        ),
        (
            "Query",
            json!({"TableName": "tab"}),
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.".into(),
        ),
        (
            "Query",
            json!({"TableName": "tab", "IndexName": "none", "KeyConditionExpression": "id = :x", "ExpressionAttributeValues": {":x": {"S": "b"}}}),
            "The table does not have the specified index: none".into(),
        ),
        (
            "Scan",
            json!({"TableName": "tab", "Segment": 3, "TotalSegments": 3}),
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 3 is not less than TotalSegments: 3".into(),
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {"tab": {"Keys": [id("a"), id("a")]}}}),
            "Provided list of item keys contains duplicates".into(),
        ),
    ] {
        let (code, message) = world.fails(operation, body.clone()).await;
        assert_eq!((code.as_str(), message), ("ValidationException", expected), "{operation} {body}");
    }
    let (code, message) = world.fails("GetItem", json!({"TableName": "none", "Key": id("a")})).await;
    assert_eq!((code.as_str(), message.as_str()), ("ResourceNotFoundException", "Requested resource not found"));
    let (code, message) = world.fails("DescribeTable", json!({"TableName": "none"})).await;
    let expected = "Requested resource not found: Table: none not found";
    assert_eq!((code.as_str(), message.as_str()), ("ResourceNotFoundException", expected));
}

/// Pages of a query or a scan, until the last.
async fn pages(world: &World, operation: &str, mut body: Value) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    loop {
        let answer = world.root(operation, body.clone()).await;
        pages.push(answer["Items"].as_array().unwrap().clone());
        match &answer["LastEvaluatedKey"] {
            Value::Null => return pages,
            last => body["ExclusiveStartKey"] = last.clone(),
        }
    }
}

#[tokio::test]
async fn queries_in_order_and_in_pages() {
    let world = World::new().await;
    world.table("tab", &[("h", "S"), ("r", "N")], json!({})).await;
    let numbers = [-100, -20, -3, 0, 1, 2, 10, 11, 100];
    for h in ["a", "b"] {
        for r in numbers {
            world.put("tab", json!({"h": {"S": h}, "r": {"N": r.to_string()}, "odd": {"BOOL": r % 2 != 0}})).await;
        }
    }
    let found = |pages: &[Vec<Value>]| -> Vec<i64> {
        pages.iter().flatten().map(|item| text(&item["r"]["N"]).parse().unwrap()).collect()
    };
    let query = |condition: &str, values: Value| json!({"TableName": "tab", "KeyConditionExpression": condition, "ExpressionAttributeValues": values});
    for (condition, low, high, expected) in [
        ("h = :h", None, None, numbers.to_vec()),
        ("h = :h AND r < :l", Some("1"), None, vec![-100, -20, -3, 0]),
        ("h = :h AND r <= :l", Some("1"), None, vec![-100, -20, -3, 0, 1]),
        ("h = :h AND r > :l", Some("10"), None, vec![11, 100]),
        ("h = :h AND r >= :l", Some("10"), None, vec![10, 11, 100]),
        ("h = :h AND r = :l", Some("10"), None, vec![10]),
        ("h = :h AND r BETWEEN :l AND :u", Some("-3"), Some("2"), vec![-3, 0, 1, 2]),
    ] {
        let mut values = json!({":h": {"S": "a"}});
        for (name, value) in [(":l", low), (":u", high)] {
            if let Some(value) = value {
                values[name] = json!({"N": value});
            }
        }
        for (limit, forward) in [(1000, true), (2, true), (1, false), (3, false)] {
            let mut body = query(condition, values.clone());
            (body["Limit"], body["ScanIndexForward"]) = (limit.into(), forward.into());
            let mut found = found(&pages(&world, "Query", body).await);
            if !forward {
                found.reverse();
            }
            assert_eq!(found, expected, "{condition} {limit} {forward}");
        }
    }
    let mut filtered = query("h = :h", json!({":h": {"S": "b"}, ":t": {"BOOL": true}}));
    filtered["FilterExpression"] = "odd = :t".into();
    let answer = world.root("Query", filtered.clone()).await;
    assert_eq!((&answer["Count"], &answer["ScannedCount"]), (&3.into(), &9.into()));
    filtered["Select"] = "COUNT".into();
    let answer = world.root("Query", filtered).await;
    assert_eq!((&answer["Count"], &answer["Items"]), (&3.into(), &Value::Null));
}

/// A page ends before it has more than 1 MB, and goes on from there; segments have each item once.
#[tokio::test]
async fn scans_in_pages_and_segments() {
    let world = world().await;
    for number in 0..30 {
        let item = json!({"id": {"S": format!("k{number}")}, "x": {"S": "x".repeat(100_000)}});
        world.put("tab", item).await;
    }
    let all = pages(&world, "Scan", json!({"TableName": "tab"})).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10]);
    let mut seen = BTreeSet::new();
    for segment in 0..7 {
        let body = json!({"TableName": "tab", "Segment": segment, "TotalSegments": 7, "Limit": 2});
        for item in pages(&world, "Scan", body).await.iter().flatten() {
            assert!(seen.insert(text(&item["id"]["S"])), "{item}");
        }
    }
    assert_eq!(seen.len(), 30);
}

#[tokio::test]
async fn indexes_follow_their_items() {
    let world = World::new().await;
    let index = |name: &str, hash: &str, range: &str, projection: Value| json!({"IndexName": name, "KeySchema": [{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}], "Projection": projection});
    let more = json!({
        "GlobalSecondaryIndexes": [index("gsi", "g", "r", json!({"ProjectionType": "KEYS_ONLY"}))],
        "LocalSecondaryIndexes": [index("lsi", "h", "g", json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]}))],
        "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}],
    });
    world.table("tab", &[("h", "S"), ("r", "N")], more).await;
    for (r, g) in [(1, Some("z")), (2, Some("y")), (3, None), (4, Some("z"))] {
        let mut item = json!({"h": {"S": "a"}, "r": {"N": r.to_string()}, "x": {"S": "x"}, "y": {"S": "y"}});
        if let Some(g) = g {
            item["g"] = json!({"S": g});
        }
        world.put("tab", item).await;
    }
    let query = |index: &str, name: &str, value: &str, more: Value| {
        let mut body = json!({"TableName": "tab", "IndexName": index, "KeyConditionExpression": format!("{name} = :v"), "ExpressionAttributeValues": {":v": {"S": value}}});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let one = |r: &str| json!({"h": {"S": "a"}, "r": {"N": r}, "g": {"S": "z"}});
    let answer = world.root("Query", query("gsi", "g", "z", json!({}))).await;
    assert_eq!(answer["Items"], json!([one("1"), one("4")]));
    let answer = world.root("Query", query("gsi", "g", "z", json!({"Limit": 1}))).await;
    assert_eq!(answer["LastEvaluatedKey"], one("1"));
    let all = pages(&world, "Query", query("lsi", "h", "a", json!({"Limit": 1}))).await;
    let sorted: Vec<String> = all.iter().flatten().map(|item| text(&item["g"]["S"])).collect();
    assert_eq!(sorted, ["y", "z", "z"]);
    assert_eq!(all[0][0], json!({"h": {"S": "a"}, "r": {"N": "2"}, "g": {"S": "y"}, "x": {"S": "x"}}));
    // A local index fetches what it has not; a global one does not.
    let answer = world.root("Query", query("lsi", "h", "a", json!({"Select": "ALL_ATTRIBUTES"}))).await;
    assert_eq!(answer["Items"][0]["y"], json!({"S": "y"}));
    let (_, message) = world.fails("Query", query("gsi", "g", "z", json!({"Select": "ALL_ATTRIBUTES"}))).await;
    assert!(message.contains("its projection type is not ALL"), "{message}");
    let (_, message) = world.fails("Query", query("gsi", "g", "z", json!({"ConsistentRead": true}))).await;
    assert_eq!(message, "Consistent reads are not supported on global secondary indexes");
    // Items move in indexes, and leave them.
    let key = |r: i32| json!({"h": {"S": "a"}, "r": {"N": r.to_string()}});
    let update = json!({"TableName": "tab", "Key": key(1), "UpdateExpression": "SET g = :g", "ExpressionAttributeValues": {":g": {"S": "y"}}});
    world.root("UpdateItem", update).await;
    world.root("DeleteItem", json!({"TableName": "tab", "Key": key(4)})).await;
    assert_eq!(world.root("Query", query("gsi", "g", "z", json!({}))).await["Count"], 0);
    assert_eq!(world.root("Query", query("gsi", "g", "y", json!({}))).await["Count"], 2);
    let described = world.root("DescribeTable", json!({"TableName": "tab"})).await["Table"].clone();
    assert_eq!((&described["ItemCount"], &described["GlobalSecondaryIndexes"][0]["ItemCount"]), (&3.into(), &2.into()));
    let (code, message) = world
        .fails("PutItem", json!({"TableName": "tab", "Item": {"h": {"S": "a"}, "r": {"N": "1"}, "g": {"N": "1"}}}))
        .await;
    let expected =
        "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: lsi";
    assert_eq!((code.as_str(), message.as_str()), ("ValidationException", expected));
}

#[tokio::test]
async fn an_index_is_filled_with_what_was_there() {
    let world = world().await;
    for number in 0..450 {
        world.put("tab", json!({"id": {"S": format!("k{number}")}, "g": {"S": "x"}})).await;
    }
    world.put("tab", json!({"id": {"S": "odd"}, "g": {"N": "1"}})).await;
    let create = json!({"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}});
    let body = json!({"TableName": "tab", "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}], "GlobalSecondaryIndexUpdates": [{"Create": create}]});
    let made = world.root("UpdateTable", body).await["TableDescription"].clone();
    assert_eq!(
        (&made["TableStatus"], &made["GlobalSecondaryIndexes"][0]["IndexStatus"]),
        (&"UPDATING".into(), &"CREATING".into())
    );
    let query = json!({"TableName": "tab", "IndexName": "by-g", "Select": "COUNT", "KeyConditionExpression": "g = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}});
    let (_, message) = world.fails("Query", query.clone()).await;
    assert_eq!(message, "Cannot read from backfilling global secondary index: by-g");
    // Written, moved and removed while it is being filled.
    world.put("tab", json!({"id": {"S": "new"}, "g": {"S": "x"}})).await;
    world.put("tab", json!({"id": {"S": "k1"}, "g": {"S": "y"}})).await;
    world.root("DeleteItem", json!({"TableName": "tab", "Key": id("k2")})).await;
    world.dynamodb.round().await.unwrap();
    assert_eq!(world.root("Query", query.clone()).await["Count"], 449);
    let described = world.root("DescribeTable", json!({"TableName": "tab"})).await["Table"].clone();
    assert_eq!(
        (&described["TableStatus"], &described["GlobalSecondaryIndexes"][0]["ItemCount"]),
        (&"ACTIVE".into(), &450.into())
    );
    let body = json!({"TableName": "tab", "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-g"}}]});
    let gone = world.root("UpdateTable", body).await["TableDescription"].clone();
    assert_eq!(gone["GlobalSecondaryIndexes"][0]["IndexStatus"], "DELETING");
    world.dynamodb.round().await.unwrap();
    let (_, message) = world.fails("Query", query).await;
    assert_eq!(message, "The table does not have the specified index: by-g");
}

#[tokio::test]
async fn transactions_are_all_or_nothing() {
    let world = world().await;
    let put = |key: &str, condition: Option<&str>| {
        let mut put = json!({"TableName": "tab", "Item": id(key)});
        if let Some(condition) = condition {
            put["ConditionExpression"] = condition.into();
        }
        json!({"Put": put})
    };
    let write = |items: Vec<Value>| json!({"TransactItems": items});
    world.root("TransactWriteItems", write(vec![put("a", None), put("b", Some("attribute_not_exists(id)"))])).await;
    let again = write(vec![put("c", None), put("b", Some("attribute_not_exists(id)"))]);
    let error = world.answer(caller(root(world::OWNER), None), "TransactWriteItems", again).await.unwrap_err();
    assert_eq!(error.code, "TransactionCanceledException");
    assert_eq!(
        error.message,
        "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]"
    );
    assert_eq!(world.get("tab", id("c")).await, Value::Null);
    let (_, message) = world.fails("TransactWriteItems", write(vec![put("a", None), put("a", None)])).await;
    assert_eq!(message, "Transaction request cannot include multiple operations on one item");
    let bad = json!({"TransactItems": [put("d", None), {"Delete": {"TableName": "tab", "Key": {"x": {"S": "y"}}}}]});
    let (code, message) = world.fails("TransactWriteItems", bad).await;
    assert_eq!(code, "TransactionCanceledException");
    assert!(message.ends_with("[None, ValidationError]"), "{message}");
    let get = |key: &str| json!({"Get": {"TableName": "tab", "Key": id(key)}});
    let answer = world
        .root("TransactGetItems", json!({"TransactItems": [get("b"), get("none")], "ReturnConsumedCapacity": "TOTAL"}))
        .await;
    assert_eq!(answer["Responses"], json!([{"Item": id("b")}, {}]));
    assert_eq!(answer["ConsumedCapacity"][0]["ReadCapacityUnits"], 4);
}

#[tokio::test]
async fn a_token_does_a_transaction_once() {
    let world = world().await;
    let add = |token: &str, by: &str| json!({"ClientRequestToken": token, "ReturnConsumedCapacity": "TOTAL", "TransactItems": [{"Update": {"TableName": "tab", "Key": id("a"), "UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": by}}}}]});
    let first = world.root("TransactWriteItems", add("t", "1")).await;
    assert_eq!(first["ConsumedCapacity"][0]["WriteCapacityUnits"], 2);
    let second = world.root("TransactWriteItems", add("t", "1")).await;
    assert_eq!(second["ConsumedCapacity"][0]["ReadCapacityUnits"], 2);
    assert_eq!(world.get("tab", id("a")).await["n"], json!({"N": "1"}));
    let (code, _) = world.fails("TransactWriteItems", add("t", "2")).await;
    assert_eq!(code, "IdempotentParameterMismatchException");
    world.clock.advance(std::time::Duration::from_secs(601));
    world.dynamodb.round().await.unwrap();
    world.root("TransactWriteItems", add("t", "2")).await;
    assert_eq!(world.get("tab", id("a")).await["n"], json!({"N": "3"}));
}

/// 4 MB at once: what is large is written before the commit that makes it true, and swept if that does not come.
#[tokio::test]
async fn large_transactions() {
    let world = world().await;
    let before = bytes(&world);
    let large = |number: usize, bytes: usize| json!({"Put": {"TableName": "tab", "Item": {"id": {"S": format!("k{number}")}, "x": {"S": "x".repeat(bytes)}}}});
    for (count, bytes) in [(10, 400_000), (100, 40_000)] {
        for _ in 0..2 {
            let items: Vec<Value> = (0..count).map(|number| large(number, bytes)).collect();
            world.root("TransactWriteItems", json!({"TransactItems": items})).await;
        }
        for number in [0, count - 1] {
            let item = world.get("tab", id(&format!("k{number}"))).await;
            assert_eq!(text(&item["x"]["S"]).len(), bytes);
        }
    }
    let items: Vec<Value> = (0..11).map(|number| large(number, 400_000)).collect();
    let (code, _) = world.fails("TransactWriteItems", json!({"TransactItems": items})).await;
    assert_eq!(code, "ValidationException");
    let deletes: Vec<Value> =
        (0..100).map(|number| json!({"Delete": {"TableName": "tab", "Key": id(&format!("k{number}"))}})).collect();
    world.root("TransactWriteItems", json!({"TransactItems": deletes})).await;
    assert_eq!(bytes(&world), before);
}

#[tokio::test]
async fn batches_of_several_tables() {
    let world = world().await;
    world.table("two", &[("id", "S")], json!({})).await;
    let put = |key: &str| json!({"PutRequest": {"Item": id(key)}});
    let body = json!({"RequestItems": {"tab": [put("a"), put("b")], table_arn("two"): [put("c"), {"DeleteRequest": {"Key": id("d")}}]}, "ReturnConsumedCapacity": "TOTAL"});
    let answer = world.root("BatchWriteItem", body).await;
    assert_eq!(answer["UnprocessedItems"], json!({}));
    assert_eq!(answer["ConsumedCapacity"].as_array().unwrap().len(), 2);
    let body = json!({"RequestItems": {"tab": {"Keys": [id("a"), id("none")]}, "two": {"Keys": [id("c")]}}});
    let answer = world.root("BatchGetItem", body).await;
    assert_eq!(answer["Responses"], json!({"tab": [id("a")], "two": [id("c")]}));
    assert_eq!(answer["UnprocessedKeys"], json!({}));
    let many: Vec<Value> = (0..26).map(|number| put(&number.to_string())).collect();
    let (_, message) =
        world.fails("BatchWriteItem", json!({"RequestItems": {"tab": many[..25], "two": many[25..]}})).await;
    assert_eq!(message, "Too many items requested for the BatchWriteItem call");
}

/// What a batch answers with has a limit; the rest is told to be asked for again.
#[tokio::test]
async fn large_batches_are_answered_in_parts() {
    let world = world().await;
    for number in 0..45 {
        world.put("tab", json!({"id": {"S": format!("k{number}")}, "x": {"S": "x".repeat(399_000)}})).await;
    }
    let mut request = json!({"tab": {"Keys": (0..45).map(|number| id(&format!("k{number}"))).collect::<Vec<_>>()}});
    let mut found = 0;
    let mut rounds = 0;
    while request.as_object().is_some_and(|tables| !tables.is_empty()) {
        let answer = world.root("BatchGetItem", json!({"RequestItems": request})).await;
        found += answer["Responses"]["tab"].as_array().unwrap().len();
        rounds += 1;
        request = answer["UnprocessedKeys"].clone();
    }
    assert_eq!((found, rounds), (45, 2));
}

#[tokio::test]
async fn provisioned_throughput_is_enforced() {
    let world = World::new().await;
    let units = json!({"ReadCapacityUnits": 1, "WriteCapacityUnits": 1});
    let more = json!({"BillingMode": "PROVISIONED", "ProvisionedThroughput": units});
    world.table("tab", &[("id", "S")], more).await;
    let item = json!({"id": {"S": "a"}, "x": {"S": "x".repeat(100 * 1024 - 10)}});
    // 300 seconds' worth is there for a burst.
    for _ in 0..3 {
        world.put("tab", item.clone()).await;
    }
    let (code, message) = world.fails("PutItem", json!({"TableName": "tab", "Item": item})).await;
    assert_eq!(code, "ProvisionedThroughputExceededException");
    assert!(
        message.starts_with("The level of configured provisioned throughput for the table was exceeded."),
        "{message}"
    );
    let batch = json!({"RequestItems": {"tab": [{"PutRequest": {"Item": id("b")}}]}});
    assert_eq!(world.fails("BatchWriteItem", batch).await.0, "ProvisionedThroughputExceededException");
    world.clock.advance(std::time::Duration::from_secs(2));
    world.put("tab", id("b")).await;
    let body = json!({"TableName": "tab", "BillingMode": "PAY_PER_REQUEST"});
    world.root("UpdateTable", body).await;
    for _ in 0..5 {
        world.put("tab", item.clone()).await;
    }
    let body = json!({"TableName": "tab", "OnDemandThroughput": {"MaxWriteRequestUnits": 1}});
    world.root("UpdateTable", body).await;
    let mut codes = BTreeSet::new();
    for _ in 0..5 {
        let answer =
            world.call(caller(root(world::OWNER), None), "PutItem", json!({"TableName": "tab", "Item": item})).await;
        codes.extend(answer.err());
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["ThrottlingException"]);
}

#[tokio::test]
async fn capacity_is_counted_by_index() {
    let world = World::new().await;
    let index = json!([{"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}]);
    let more = json!({"GlobalSecondaryIndexes": index, "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}]});
    world.table("tab", &[("id", "S")], more).await;
    let put = |g: &str| json!({"TableName": "tab", "ReturnConsumedCapacity": "INDEXES", "Item": {"id": {"S": "a"}, "g": {"S": g}, "x": {"S": "x".repeat(1500)}}});
    for (g, total, of_index) in [
        ("x", 4, json!({"by-g": {"CapacityUnits": 2}})),
        ("y", 6, json!({"by-g": {"CapacityUnits": 4}})),
        ("y", 2, Value::Null),
    ] {
        let consumed = world.root("PutItem", put(g)).await["ConsumedCapacity"].clone();
        assert_eq!(
            (&consumed["CapacityUnits"], &consumed["GlobalSecondaryIndexes"]),
            (&total.into(), &of_index),
            "{g}"
        );
        assert_eq!(consumed["Table"]["CapacityUnits"], 2);
    }
    let get = |consistent: bool| json!({"TableName": "tab", "Key": id("a"), "ConsistentRead": consistent, "ReturnConsumedCapacity": "TOTAL"});
    for (consistent, units) in [(false, 0.5), (true, 1.0_f64)] {
        assert_eq!(
            world.root("GetItem", get(consistent)).await["ConsumedCapacity"]["CapacityUnits"].as_f64(),
            Some(units)
        );
    }
}

/// Many writers of one item: each counts once.
#[tokio::test]
async fn a_hot_counter() {
    let world = world().await;
    let update = json!({"TableName": "tab", "Key": id("a"), "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}});
    let transaction = json!({"TransactItems": [{"Update": update.clone()}]});
    let all = (0..200).map(|number| {
        let (operation, body) =
            if number % 5 == 0 { ("TransactWriteItems", &transaction) } else { ("UpdateItem", &update) };
        world.root(operation, body.clone())
    });
    futures_util::future::join_all(all).await;
    assert_eq!(world.get("tab", id("a")).await["n"], json!({"N": "200"}));
}

#[tokio::test]
async fn tables_are_made_changed_and_deleted() {
    let world = world().await;
    let (code, message) = world.fails("CreateTable", json!({"TableName": "tab", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]})).await;
    assert_eq!((code.as_str(), message.as_str()), ("ResourceInUseException", "Table already exists: tab"));
    for name in ["b-table", "c-table"] {
        world.table(name, &[("id", "S")], json!({})).await;
    }
    let page = world.root("ListTables", json!({"Limit": 2})).await;
    assert_eq!(page, json!({"TableNames": ["b-table", "c-table"], "LastEvaluatedTableName": "c-table"}));
    let page = world.root("ListTables", json!({"ExclusiveStartTableName": "c-table"})).await;
    assert_eq!(page, json!({"TableNames": ["tab"]}));
    world.root("UpdateTable", json!({"TableName": "tab", "DeletionProtectionEnabled": true})).await;
    let (code, _) = world.fails("DeleteTable", json!({"TableName": "tab"})).await;
    assert_eq!(code, "ValidationException");
    world.root("UpdateTable", json!({"TableName": "tab", "DeletionProtectionEnabled": false})).await;
    world.put("tab", id("a")).await;
    let gone = world.root("DeleteTable", json!({"TableName": "tab"})).await;
    assert_eq!(gone["TableDescription"]["TableStatus"], "DELETING");
    world.table("tab", &[("id", "S")], json!({})).await;
    assert_eq!(world.get("tab", id("a")).await, Value::Null);
    for (member, value) in [
        ("SSESpecification", json!({"Enabled": true, "SSEType": "KMS"})),
        ("WarmThroughput", json!({"ReadUnitsPerSecond": 1})),
    ] {
        let mut body = json!({"TableName": "fresh", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]});
        body[member] = value;
        let (code, message) = world.fails("CreateTable", body).await;
        assert_eq!(code, "NotImplemented");
        assert!(message.starts_with(member), "{message}");
    }
}

/// Nothing is left of a table that was deleted.
#[tokio::test]
async fn deleted_tables_leave_nothing() {
    let world = World::new().await;
    let before = bytes(&world);
    let index = json!([{"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}]);
    let more = json!({"GlobalSecondaryIndexes": index, "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}]});
    world.table("tab", &[("id", "S")], more).await;
    for number in 0..250 {
        world.put("tab", json!({"id": {"S": number.to_string()}, "g": {"S": "x"}})).await;
    }
    world.put("tab", json!({"id": {"S": "large"}, "x": {"S": "x".repeat(300_000)}})).await;
    world.root("DeleteTable", json!({"TableName": "tab"})).await;
    world.dynamodb.round().await.unwrap();
    // The policy epoch was raised.
    assert!(bytes(&world) - before < 20, "{} bytes are left", bytes(&world) - before);
}

#[tokio::test]
async fn policies_have_revisions() {
    let world = world().await;
    let arn = table_arn("tab");
    let policy =
        |who: &str| world::policy(&[world::statement("Allow", json!({"AWS": who}), json!("dynamodb:GetItem"))]);
    let (code, _) = world.fails("GetResourcePolicy", json!({"ResourceArn": arn})).await;
    assert_eq!(code, "PolicyNotFoundException");
    let put =
        |text: String, expected: &str| json!({"ResourceArn": arn, "Policy": text, "ExpectedRevisionId": expected});
    let revision = text(&world.root("PutResourcePolicy", put(policy(STRANGER), "NO_POLICY")).await["RevisionId"]);
    assert_eq!(
        world.fails("PutResourcePolicy", put(policy(world::OWNER), "NO_POLICY")).await.0,
        "PolicyNotFoundException"
    );
    world.root("PutResourcePolicy", put(policy(world::OWNER), &revision)).await;
    world.root("DeleteResourcePolicy", json!({"ResourceArn": arn})).await;
    assert_eq!(world.root("DeleteResourcePolicy", json!({"ResourceArn": arn})).await, json!({}));
    let (code, _) = world.fails("PutResourcePolicy", json!({"ResourceArn": arn, "Policy": "{}"})).await;
    assert_eq!(code, "ValidationException");
}

/// What customers store is sealed.
#[tokio::test]
async fn items_cannot_be_read_from_the_store() {
    use millpond_meta::{Scan, View};
    use std::ops::Bound;
    let world = world().await;
    world.put("tab", json!({"id": {"S": "partition-key-text"}, "x": {"S": "something-to-hide"}})).await;
    let scan = Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: 10_000 };
    for (key, row) in world.kv.scan(scan).await.unwrap() {
        for secret in ["partition-key-text", "something-to-hide"] {
            let shows = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!shows(&key) && !shows(&row));
        }
    }
}

/// An index that is filled while others write has in the end exactly what it is to have, and counts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_is_filled_while_others_write() {
    let world = std::sync::Arc::new(world().await);
    for number in 0..300 {
        world.put("tab", json!({"id": {"S": format!("k{number}")}, "g": {"S": "x"}})).await;
    }
    let create = json!({"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}});
    let body = json!({"TableName": "tab", "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}], "GlobalSecondaryIndexUpdates": [{"Create": create}]});
    world.root("UpdateTable", body).await;
    let writer = |writer: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            for step in 0..150 {
                let key = format!("k{}", (writer * 37 + step * 7) % 320);
                match (writer + step) % 3 {
                    0 => {
                        world.put("tab", json!({"id": {"S": key}, "g": {"S": "y"}, "n": {"N": step.to_string()}})).await
                    }
                    1 => world.put("tab", json!({"id": {"S": key}, "n": {"N": step.to_string()}})).await,
                    _ => drop(world.root("DeleteItem", json!({"TableName": "tab", "Key": id(&key)})).await),
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writers: Vec<_> = (0..4).map(writer).collect();
    world.dynamodb.round().await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let expected: BTreeSet<String> = pages(&world, "Scan", json!({"TableName": "tab"}))
        .await
        .iter()
        .flatten()
        .filter(|item| !item["g"].is_null())
        .map(|item| item.to_string())
        .collect();
    let found: BTreeSet<String> = pages(&world, "Scan", json!({"TableName": "tab", "IndexName": "by-g"}))
        .await
        .iter()
        .flatten()
        .map(|item| item.to_string())
        .collect();
    assert_eq!(found, expected);
    let described = world.root("DescribeTable", json!({"TableName": "tab"})).await["Table"].clone();
    let counted = described["GlobalSecondaryIndexes"][0]["ItemCount"].as_u64();
    assert_eq!(counted, u64::try_from(expected.len()).ok());
    let items = pages(&world, "Scan", json!({"TableName": "tab"})).await.iter().map(Vec::len).sum::<usize>();
    assert_eq!(described["ItemCount"].as_u64(), u64::try_from(items).ok());
}
