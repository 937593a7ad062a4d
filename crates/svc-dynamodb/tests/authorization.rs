//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "Actions defined by Amazon DynamoDB";
//! Developer Guide, "Using resource-based policies for DynamoDB").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, arn, caller, policy, role, root, says, statement, table_arn, text, user};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// The caller's own account.
    Account,
    /// A table, whose policy may let other accounts in.
    Table,
}

/// Operation, the actions that it needs, what it touches, its input.
type Row = (&'static str, &'static [&'static str], On, fn() -> Value);

fn key() -> Value {
    json!({"id": {"S": "a"}})
}

const ROWS: &[Row] = &[
    (
        "BatchGetItem",
        &["dynamodb:BatchGetItem"],
        On::Table,
        || json!({"RequestItems": {table_arn("tab"): {"Keys": [key()]}}}),
    ),
    (
        "BatchWriteItem",
        &["dynamodb:BatchWriteItem"],
        On::Table,
        || json!({"RequestItems": {table_arn("tab"): [{"PutRequest": {"Item": key()}}]}}),
    ),
    (
        "CreateTable",
        &["dynamodb:CreateTable"],
        On::Account,
        || json!({"TableName": "new", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}),
    ),
    ("DeleteItem", &["dynamodb:DeleteItem"], On::Table, || json!({"TableName": table_arn("tab"), "Key": key()})),
    (
        "DeleteResourcePolicy",
        &["dynamodb:DeleteResourcePolicy"],
        On::Table,
        || json!({"ResourceArn": table_arn("tab")}),
    ),
    ("DeleteTable", &["dynamodb:DeleteTable"], On::Table, || json!({"TableName": table_arn("tab")})),
    (
        "DescribeContinuousBackups",
        &["dynamodb:DescribeContinuousBackups"],
        On::Table,
        || json!({"TableName": table_arn("tab")}),
    ),
    ("DescribeEndpoints", &["dynamodb:DescribeEndpoints"], On::Account, || json!({})),
    ("DescribeLimits", &["dynamodb:DescribeLimits"], On::Account, || json!({})),
    ("DescribeTable", &["dynamodb:DescribeTable"], On::Table, || json!({"TableName": table_arn("tab")})),
    ("DescribeTimeToLive", &["dynamodb:DescribeTimeToLive"], On::Table, || json!({"TableName": table_arn("tab")})),
    ("GetItem", &["dynamodb:GetItem"], On::Table, || json!({"TableName": table_arn("tab"), "Key": key()})),
    ("GetResourcePolicy", &["dynamodb:GetResourcePolicy"], On::Table, || json!({"ResourceArn": table_arn("tab")})),
    ("ListTables", &["dynamodb:ListTables"], On::Account, || json!({})),
    ("ListTagsOfResource", &["dynamodb:ListTagsOfResource"], On::Table, || json!({"ResourceArn": table_arn("tab")})),
    ("PutItem", &["dynamodb:PutItem"], On::Table, || json!({"TableName": table_arn("tab"), "Item": key()})),
    (
        "PutResourcePolicy",
        &["dynamodb:PutResourcePolicy"],
        On::Table,
        || json!({"ResourceArn": table_arn("tab"), "ConfirmRemoveSelfResourceAccess": true, "Policy": policy(&[statement("Allow", json!({"AWS": OWNER}), json!("dynamodb:*"))])}),
    ),
    (
        "Query",
        &["dynamodb:Query"],
        On::Table,
        || json!({"TableName": table_arn("tab"), "KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "a"}}}),
    ),
    ("Scan", &["dynamodb:Scan"], On::Table, || json!({"TableName": table_arn("tab")})),
    (
        "TagResource",
        &["dynamodb:TagResource"],
        On::Table,
        || json!({"ResourceArn": table_arn("tab"), "Tags": [{"Key": "a", "Value": "b"}]}),
    ),
    (
        "TransactGetItems",
        &["dynamodb:GetItem"],
        On::Table,
        || json!({"TransactItems": [{"Get": {"TableName": table_arn("tab"), "Key": key()}}]}),
    ),
    (
        "TransactWriteItems",
        &["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"],
        On::Table,
        || {
            json!({"TransactItems": [
                {"Put": {"TableName": table_arn("tab"), "Item": {"id": {"S": "1"}}}},
                {"Update": {"TableName": table_arn("tab"), "Key": {"id": {"S": "2"}}, "UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "x"}}}},
                {"Delete": {"TableName": table_arn("tab"), "Key": {"id": {"S": "3"}}}},
                {"ConditionCheck": {"TableName": table_arn("tab"), "Key": key(), "ConditionExpression": "attribute_exists(id)"}},
            ]})
        },
    ),
    (
        "UntagResource",
        &["dynamodb:UntagResource"],
        On::Table,
        || json!({"ResourceArn": table_arn("tab"), "TagKeys": ["a"]}),
    ),
    ("UpdateItem", &["dynamodb:UpdateItem"], On::Table, || json!({"TableName": table_arn("tab"), "Key": key()})),
    (
        "UpdateTable",
        &["dynamodb:UpdateTable"],
        On::Table,
        || json!({"TableName": table_arn("tab"), "DeletionProtectionEnabled": false}),
    ),
    (
        "UpdateTimeToLive",
        &["dynamodb:UpdateTimeToLive"],
        On::Table,
        || json!({"TableName": table_arn("tab"), "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "t"}}),
    ),
    ("DescribeStream", &["dynamodb:DescribeStream"], On::Table, || json!({"StreamArn": "STREAM"})),
    ("GetRecords", &["dynamodb:GetRecords"], On::Table, || json!({"ShardIterator": "ITERATOR"})),
    (
        "GetShardIterator",
        &["dynamodb:GetShardIterator"],
        On::Table,
        || json!({"StreamArn": "STREAM", "ShardId": "SHARD", "ShardIteratorType": "LATEST"}),
    ),
    ("ListStreams", &["dynamodb:ListStreams"], On::Account, || json!({})),
];

/// A statement that says nothing of anybody here, so that there always is a policy.
fn kept() -> Value {
    statement("Allow", json!({"AWS": OWNER}), json!("dynamodb:Nothing"))
}

/// A world with everything that rows name.
struct Stage {
    world: World,
    names: Vec<(&'static str, String)>,
}

async fn stage(statements: &[Value]) -> Stage {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    let more = json!({"StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"}});
    let made = world.table("tab", &[("id", "S")], more).await;
    world.put("tab", key()).await;
    let stream = text(&made["LatestStreamArn"]);
    let described = world.root("DescribeStream", json!({"StreamArn": stream})).await;
    let shard = text(&described["StreamDescription"]["Shards"][0]["ShardId"]);
    let body = json!({"StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = text(&world.root("GetShardIterator", body).await["ShardIterator"]);
    let all: Vec<Value> = statements.iter().cloned().chain([kept()]).collect();
    for arn in [table_arn("tab"), stream.clone()] {
        let body = json!({"ResourceArn": arn, "Policy": policy(&all), "ConfirmRemoveSelfResourceAccess": true});
        world.root("PutResourcePolicy", body).await;
    }
    Stage { world, names: vec![("STREAM", stream), ("SHARD", shard), ("ITERATOR", iterator)] }
}

async fn ask(stage: &Stage, caller: Caller, row: &Row) -> Result<(), String> {
    let mut body = (row.3)();
    for value in body.as_object_mut().unwrap().values_mut() {
        let found = value.as_str().and_then(|text| stage.names.iter().find(|(name, _)| *name == text));
        if let Some((_, real)) = found {
            *value = real.clone().into();
        }
    }
    stage.world.call(caller, row.0, body).await.map(drop)
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

fn unsigned() -> Result<(), String> {
    Err("MissingAuthenticationTokenException".to_owned())
}

/// Whoever does not sign is not even asked about, also where a policy lets everybody in.
#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let staged = stage(&[]).await;
        assert_eq!(ask(&staged, caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
        let open = stage(&[statement("Allow", json!("*"), json!("dynamodb:*"))]).await;
        for staged in [staged, open] {
            assert_eq!(ask(&staged, caller(Principal::Anonymous, None), row).await, unsigned(), "{}", row.0);
        }
    }
}

#[tokio::test]
async fn policies_of_identities_allow_and_deny() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let with = |policies: Vec<String>, boundary: Option<String>| {
            let alice = &alice;
            async move {
                let staged = stage(&[]).await;
                staged.world.people.add(alice, &policies, boundary);
                ask(&staged, caller(alice.clone(), None), row).await
            }
        };
        let yes: Vec<String> = row.1.iter().map(|action| says("Allow", action)).collect();
        let and = |more: String| yes.iter().cloned().chain([more]).collect::<Vec<_>>();
        assert_eq!(with(yes.clone(), None).await, Ok(()), "{} allowed", row.0);
        assert_eq!(with(vec![says("Allow", "dynamodb:Other")], None).await, denied(), "{} by another", row.0);
        for action in row.1 {
            let less = row.1.iter().filter(|other| *other != action).map(|action| says("Allow", action)).collect();
            assert_eq!(with(less, None).await, denied(), "{} without {action}", row.0);
            assert_eq!(with(and(says("Deny", action)), None).await, denied(), "{} denied {action}", row.0);
        }
        assert_eq!(with(yes.clone(), Some(says("Allow", "s3:*"))).await, denied(), "{} out of bounds", row.0);
        assert_eq!(with(yes.clone(), Some(says("Allow", "dynamodb:*"))).await, Ok(()), "{} in bounds", row.0);
    }
}

#[tokio::test]
async fn the_policy_of_a_table_allows_by_itself_and_denies() {
    let alice = user(OWNER, "alice");
    let principal = json!({"AWS": arn(&alice)});
    for row in ROWS {
        let open = stage(&[statement("Allow", principal.clone(), json!("dynamodb:*"))]).await;
        let expected = if row.2 == On::Account { denied() } else { Ok(()) };
        assert_eq!(ask(&open, caller(alice.clone(), None), row).await, expected, "{} by the table's policy", row.0);
        let closed = stage(&[statement("Deny", principal.clone(), json!("dynamodb:*"))]).await;
        closed.world.people.add(&alice, &[says("Allow", "dynamodb:*")], None);
        let expected = if row.2 == On::Account { Ok(()) } else { denied() };
        assert_eq!(ask(&closed, caller(alice.clone(), None), row).await, expected, "{} denied by the table's", row.0);
    }
}

#[tokio::test]
async fn other_accounts_need_both_sides() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let ask = |principal: Option<Value>, own: Option<&'static str>| {
            let bob = &bob;
            async move {
                let statements: Vec<_> =
                    principal.map(|who| statement("Allow", who, json!("dynamodb:*"))).into_iter().collect();
                let staged = stage(&statements).await;
                let policies: Vec<_> = own.map(|action| says("Allow", action)).into_iter().collect();
                staged.world.people.add(bob, &policies, None);
                ask(&staged, caller(bob.clone(), None), row).await
            }
        };
        let account = || Some(json!({"AWS": STRANGER}));
        // The account is the caller's own.
        let mine = if row.2 == On::Account { Ok(()) } else { denied() };
        assert_eq!(ask(None, Some("dynamodb:*")).await, mine, "{} with its own side alone", row.0);
        assert_eq!(ask(account(), Some("dynamodb:*")).await, Ok(()), "{} with both", row.0);
        assert_eq!(ask(account(), None).await, denied(), "{} with the table's side alone", row.0);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [("dynamodb:*", Ok(())), ("s3:*", denied())] {
            let staged = stage(&[]).await;
            staged.world.people.add(&r, &[says("Allow", "dynamodb:*")], None);
            let caller = caller(r.clone(), Some(vec![says("Allow", session)]));
            assert_eq!(ask(&staged, caller, row).await, expected, "{} in a session that may {session}", row.0);
        }
    }
}

/// A stranger learns nothing from asking for names.
#[tokio::test]
async fn whether_a_table_exists_is_told_to_those_who_may_use_it() {
    let Stage { world, .. } = stage(&[]).await;
    let alice = user(OWNER, "alice");
    for who in [root(STRANGER), alice.clone()] {
        for name in ["tab", "nothing"] {
            let body = json!({"TableName": table_arn(name), "Key": key()});
            let answer = world.call(caller(who.clone(), None), "GetItem", body).await.map(drop);
            assert_eq!(answer, denied(), "{who} {name}");
        }
    }
    world.people.add(&alice, &[says("Allow", "dynamodb:*")], None);
    let body = json!({"TableName": "nothing", "Key": key()});
    let answer = world.call(caller(alice, None), "GetItem", body).await;
    assert_eq!(answer, Err("ResourceNotFoundException".to_owned()));
}

/// An index is a resource of its own.
#[tokio::test]
async fn queries_of_an_index_ask_about_the_index() {
    let Stage { world, .. } = stage(&[]).await;
    let index = json!([{"IndexName": "by-x", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}]);
    let more = json!({"GlobalSecondaryIndexes": index, "AttributeDefinitions": [{"AttributeName": "x", "AttributeType": "S"}]});
    world.table("indexed", &[("id", "S")], more).await;
    let alice = user(OWNER, "alice");
    let on = |resource: String| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "dynamodb:*", "Resource": resource}})
            .to_string()
    };
    let table = table_arn("indexed");
    for (resource, of_table, of_index) in [
        (table.clone(), Ok(()), denied()),
        (format!("{table}/index/by-x"), denied(), Ok(())),
        (format!("{table}*"), Ok(()), Ok(())),
    ] {
        world.people.add(&alice, &[on(resource.clone())], None);
        let ask = |body: Value| async { world.call(caller(alice.clone(), None), "Scan", body).await.map(drop) };
        assert_eq!(ask(json!({"TableName": "indexed"})).await, of_table, "{resource}");
        assert_eq!(ask(json!({"TableName": "indexed", "IndexName": "by-x"})).await, of_index, "{resource}");
    }
}

/// The keys of conditions that are this service's own.
#[tokio::test]
async fn conditions_see_what_a_call_does_to_items() {
    let Stage { world, .. } = stage(&[]).await;
    world.root("TagResource", json!({"ResourceArn": table_arn("tab"), "Tags": [{"Key": "t", "Value": "v"}]})).await;
    let alice = user(OWNER, "alice");
    let when = |operator: &str, key: &str, values: Value| {
        let condition = json!({operator: {key: values}});
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*", "Condition": condition}})
            .to_string()
    };
    let (leading, attributes) = ("dynamodb:LeadingKeys", "dynamodb:Attributes");
    let get = |key: &str| json!({"TableName": "tab", "Key": {"id": {"S": key}}});
    let part = json!({"TableName": "tab", "Key": key(), "ProjectionExpression": "id, x"});
    let batch = |keys: &[&str]| {
        let keys: Vec<Value> = keys.iter().map(|key| json!({"id": {"S": key}})).collect();
        json!({"RequestItems": {"tab": {"Keys": keys}}})
    };
    let transaction = |keys: &[&str]| {
        let one = |key: &&str| json!({"Put": {"TableName": "tab", "Item": {"id": {"S": key}}}});
        json!({"TransactItems": keys.iter().map(one).collect::<Vec<_>>()})
    };
    // One table in two ways, of which one alone is allowed.
    let some = json!({"TableName": "tab", "Key": {"id": {"S": "b"}}, "ProjectionExpression": "id"});
    let gets =
        |gets: &[&Value]| json!({"TransactItems": gets.iter().map(|get| json!({"Get": get})).collect::<Vec<_>>()});
    let two_ways = json!({"RequestItems": {
        "tab": {"Keys": [key()], "ProjectionExpression": "id"},
        table_arn("tab"): {"Keys": [{"id": {"S": "b"}}]},
    }});
    let sets = |expression: &str| json!({"TableName": "tab", "Key": key(), "UpdateExpression": expression});
    let specific = json!("SPECIFIC_ATTRIBUTES");
    let query = |value: &str| json!({"TableName": "tab", "KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": value}}});
    let all = "ForAllValues:StringEquals";
    for (operator, key, values, operation, body, allowed) in [
        (all, leading, json!(["a"]), "GetItem", get("a"), true),
        (all, leading, json!(["a"]), "GetItem", get("b"), false),
        (all, leading, json!(["a", "b"]), "BatchGetItem", batch(&["a", "b"]), true),
        (all, leading, json!(["a"]), "BatchGetItem", batch(&["a", "b"]), false),
        (all, leading, json!(["a"]), "TransactWriteItems", transaction(&["a"]), true),
        (all, leading, json!(["a"]), "TransactWriteItems", transaction(&["a", "b"]), false),
        (all, leading, json!(["a"]), "Query", query("a"), true),
        (all, leading, json!(["a"]), "Query", query("b"), false),
        (all, attributes, json!(["id", "x"]), "GetItem", part.clone(), true),
        (all, attributes, json!(["id"]), "GetItem", part.clone(), false),
        ("StringEquals", "dynamodb:Select", json!("SPECIFIC_ATTRIBUTES"), "GetItem", part, true),
        ("StringEquals", "dynamodb:Select", json!("SPECIFIC_ATTRIBUTES"), "GetItem", get("a"), false),
        ("StringEquals", "dynamodb:Select", specific.clone(), "TransactGetItems", gets(&[&some]), true),
        ("StringEquals", "dynamodb:Select", specific.clone(), "TransactGetItems", gets(&[&some, &get("a")]), false),
        ("StringEquals", "dynamodb:Select", specific.clone(), "TransactGetItems", gets(&[&get("a"), &some]), false),
        ("StringEquals", "dynamodb:Select", specific, "BatchGetItem", two_ways, false),
        (all, attributes, json!(["id", "x", "y"]), "UpdateItem", sets("SET x = if_not_exists(y, id)"), true),
        (all, attributes, json!(["id", "x"]), "UpdateItem", sets("SET x = if_not_exists(y, id)"), false),
        (
            "StringEquals",
            "dynamodb:ReturnValues",
            json!("NONE"),
            "PutItem",
            json!({"TableName": "tab", "Item": {"id": {"S": "a"}}}),
            true,
        ),
        (
            "StringEquals",
            "dynamodb:ReturnValues",
            json!("NONE"),
            "PutItem",
            json!({"TableName": "tab", "Item": {"id": {"S": "a"}}, "ReturnValues": "ALL_OLD"}),
            false,
        ),
        ("StringEquals", "dynamodb:ReturnConsumedCapacity", json!("NONE"), "GetItem", get("a"), true),
        (
            "StringEquals",
            "dynamodb:EnclosingOperation",
            json!("TransactWriteItems"),
            "TransactWriteItems",
            transaction(&["a"]),
            true,
        ),
        ("StringEquals", "dynamodb:EnclosingOperation", json!("TransactWriteItems"), "GetItem", get("a"), false),
        ("StringEquals", "aws:ResourceTag/t", json!("v"), "GetItem", get("a"), true),
        ("StringEquals", "aws:ResourceTag/t", json!("w"), "GetItem", get("a"), false),
    ] {
        world.people.add(&alice, &[when(operator, key, values.clone())], None);
        let answer = world.call(caller(alice.clone(), None), operation, body.clone()).await.map(drop);
        let expected = if allowed { Ok(()) } else { denied() };
        assert_eq!(answer, expected, "{operator} {key} {values} {operation} {body}");
    }
}

#[test]
fn every_served_operation_has_a_row() {
    let tables = millpond_api_dynamodb::Operation::ALL.iter().map(|operation| operation.name());
    let streams = millpond_api_dynamodbstreams::Operation::ALL.iter().map(|operation| operation.name());
    for name in tables.chain(streams) {
        assert!(ROWS.iter().any(|row| row.0 == name), "{name} has no row");
    }
}
