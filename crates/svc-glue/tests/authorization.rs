//! Every operation asks for permission, on all resources that AWS documents (Service Authorization Reference, "AWS Glue"; Developer Guide, "Data
//! Catalog ARNs").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, REGION, STRANGER, World, arn, caller, role, root, says, user};

/// Operation, the resources that it needs behind the account of their ARNs, its input.
type Row = (&'static str, &'static [&'static str], fn() -> Value);

const CATALOG: &[&str] = &["catalog"];
const DATABASE: &[&str] = &["catalog", "database/db"];
const TABLE: &[&str] = &["catalog", "database/db", "table/db/t"];

const CRAWLER: &[&str] = &["crawler/c"];
/// Operations without resources: policies name all of them.
const ANY: &[&str] = &["*"];

fn statistics() -> Value {
    json!([{"ColumnName": "a", "ColumnType": "bigint", "AnalyzedTime": 1_800_000_000, "StatisticsData": {
        "Type": "LONG", "LongColumnStatisticsData": {"NumberOfNulls": 0, "NumberOfDistinctValues": 2}}}])
}

const ROWS: &[Row] = &[
    (
        "BatchCreatePartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionInputList": [{"Values": ["new"]}]}),
    ),
    (
        "BatchDeletePartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionsToDelete": [{"Values": ["p"]}]}),
    ),
    ("BatchDeleteTable", TABLE, || json!({"DatabaseName": "db", "TablesToDelete": ["t"]})),
    ("BatchDeleteTableVersion", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "VersionIds": ["0"]})),
    (
        "BatchGetPartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionsToGet": [{"Values": ["p"]}]}),
    ),
    (
        "BatchUpdatePartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "Entries": [{"PartitionValueList": ["p"], "PartitionInput": {"Values": ["p"]}}]}),
    ),
    ("CreateDatabase", &["catalog", "database/new"], || json!({"DatabaseInput": {"Name": "new"}})),
    (
        "CreatePartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionInput": {"Values": ["new"]}}),
    ),
    (
        "CreatePartitionIndex",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionIndex": {"IndexName": "new", "Keys": ["k"]}}),
    ),
    (
        "CreateTable",
        &["catalog", "database/db", "table/db/new"],
        || json!({"DatabaseName": "db", "TableInput": {"Name": "new"}}),
    ),
    (
        "DeleteColumnStatisticsForPartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionValues": ["p"], "ColumnName": "a"}),
    ),
    ("DeleteColumnStatisticsForTable", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "ColumnName": "a"})),
    ("DeleteDatabase", &["catalog", "database/db", "table/db/*", "userDefinedFunction/db/*"], || json!({"Name": "db"})),
    ("DeletePartition", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "PartitionValues": ["p"]})),
    ("DeletePartitionIndex", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "IndexName": "i"})),
    ("DeleteResourcePolicy", CATALOG, || json!({})),
    ("DeleteTable", TABLE, || json!({"DatabaseName": "db", "Name": "t"})),
    ("DeleteTableVersion", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "VersionId": "0"})),
    (
        "GetColumnStatisticsForPartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionValues": ["p"], "ColumnNames": ["a"]}),
    ),
    ("GetColumnStatisticsForTable", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "ColumnNames": ["a"]})),
    ("GetDatabase", DATABASE, || json!({"Name": "db"})),
    ("GetDatabases", &["catalog", "database/*"], || json!({})),
    ("GetPartition", TABLE, || json!({"DatabaseName": "db", "TableName": "t", "PartitionValues": ["p"]})),
    ("GetPartitionIndexes", TABLE, || json!({"DatabaseName": "db", "TableName": "t"})),
    ("GetPartitions", TABLE, || json!({"DatabaseName": "db", "TableName": "t"})),
    ("GetResourcePolicies", CATALOG, || json!({})),
    ("GetResourcePolicy", CATALOG, || json!({})),
    ("GetTable", TABLE, || json!({"DatabaseName": "db", "Name": "t"})),
    ("GetTableVersion", TABLE, || json!({"DatabaseName": "db", "TableName": "t"})),
    ("GetTableVersions", TABLE, || json!({"DatabaseName": "db", "TableName": "t"})),
    ("GetTables", &["catalog", "database/db", "table/db/*"], || json!({"DatabaseName": "db"})),
    ("GetTags", &["database/db"], || json!({"ResourceArn": "ARN"})),
    ("PutResourcePolicy", CATALOG, || json!({"PolicyInJson": "DOCUMENT"})),
    ("SearchTables", CATALOG, || json!({})),
    ("TagResource", &["database/db"], || json!({"ResourceArn": "ARN", "TagsToAdd": {"a": "b"}})),
    ("UntagResource", &["database/db"], || json!({"ResourceArn": "ARN", "TagsToRemove": ["a"]})),
    (
        "UpdateColumnStatisticsForPartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionValues": ["p"], "ColumnStatisticsList": statistics()}),
    ),
    (
        "UpdateColumnStatisticsForTable",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "ColumnStatisticsList": statistics()}),
    ),
    ("UpdateDatabase", DATABASE, || json!({"Name": "db", "DatabaseInput": {"Name": "db"}})),
    (
        "UpdatePartition",
        TABLE,
        || json!({"DatabaseName": "db", "TableName": "t", "PartitionValueList": ["p"], "PartitionInput": {"Values": ["p"]}}),
    ),
    (
        "UpdateTable",
        TABLE,
        || json!({"DatabaseName": "db", "TableInput": {"Name": "t", "PartitionKeys": [{"Name": "k"}]}}),
    ),
    ("BatchGetCrawlers", CRAWLER, || json!({"CrawlerNames": ["c"]})),
    ("CreateClassifier", ANY, || json!({"JsonClassifier": {"Name": "new", "JsonPath": "$"}})),
    (
        "CreateCrawler",
        &["crawler/new"],
        || json!({"Name": "new", "Role": "r", "DatabaseName": "db", "Targets": {"S3Targets": [{"Path": "s3://lake/"}]}}),
    ),
    ("DeleteClassifier", ANY, || json!({"Name": "j"})),
    ("DeleteCrawler", CRAWLER, || json!({"Name": "c"})),
    ("GetClassifier", ANY, || json!({"Name": "j"})),
    ("GetClassifiers", ANY, || json!({})),
    ("GetCrawler", CRAWLER, || json!({"Name": "c"})),
    ("GetCrawlerMetrics", ANY, || json!({})),
    ("GetCrawlers", ANY, || json!({})),
    ("ListCrawlers", ANY, || json!({})),
    ("ListCrawls", CRAWLER, || json!({"CrawlerName": "c"})),
    ("StartCrawler", CRAWLER, || json!({"Name": "c"})),
    ("StartCrawlerSchedule", &["crawler/paused"], || json!({"CrawlerName": "paused"})),
    ("StopCrawler", &["crawler/running"], || json!({"Name": "running"})),
    ("StopCrawlerSchedule", CRAWLER, || json!({"CrawlerName": "c"})),
    ("UpdateClassifier", ANY, || json!({"JsonClassifier": {"Name": "j", "JsonPath": "$.a"}})),
    ("UpdateCrawler", CRAWLER, || json!({"Name": "c", "Description": "d"})),
    ("UpdateCrawlerSchedule", CRAWLER, || json!({"CrawlerName": "c", "Schedule": "cron(0 1 * * ? *)"})),
];

fn on(resource: &str) -> String {
    format!("arn:aws:glue:{REGION}:{OWNER}:{resource}")
}

fn document(effect: &str, who: &Value, action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Principal": who, "Action": action, "Resource": on("*")}]})
        .to_string()
}

/// A world with a database `db` whose table `t` has two versions, an index, statistics and a partition, and a resource policy.
async fn stage(policy: Option<String>) -> World {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    world.root("CreateDatabase", json!({"DatabaseInput": {"Name": "db"}})).await;
    let table = json!({"Name": "t", "PartitionKeys": [{"Name": "k", "Type": "string"}],
        "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "bigint"}]}});
    let index = json!([{"IndexName": "i", "Keys": ["k"]}]);
    world.root("CreateTable", json!({"DatabaseName": "db", "TableInput": table, "PartitionIndexes": index})).await;
    world.root("UpdateTable", json!({"DatabaseName": "db", "TableInput": table})).await;
    let (mut of_table, mut of_partition) = (json!({"DatabaseName": "db", "TableName": "t"}), Value::Null);
    of_table["PartitionInput"] = json!({"Values": ["p"]});
    world.root("CreatePartition", of_table.clone()).await;
    of_table["ColumnStatisticsList"] = statistics();
    of_partition.clone_from(&of_table);
    of_partition["PartitionValues"] = json!(["p"]);
    world.root("UpdateColumnStatisticsForTable", of_table).await;
    world.root("UpdateColumnStatisticsForPartition", of_partition).await;
    world.root("CreateClassifier", json!({"JsonClassifier": {"Name": "j", "JsonPath": "$"}})).await;
    for name in ["c", "paused", "running"] {
        let targets = json!({"S3Targets": [{"Path": "s3://lake/"}]});
        let crawler = json!({"Name": name, "Role": "r", "DatabaseName": "db", "Targets": targets, "Schedule": "cron(0 0 * * ? *)"});
        world.root("CreateCrawler", crawler).await;
    }
    world.root("StopCrawlerSchedule", json!({"CrawlerName": "paused"})).await;
    world.root("StartCrawler", json!({"Name": "running"})).await;
    let policy = policy.unwrap_or_else(|| document("Allow", &json!({"AWS": arn(&root(OWNER))}), "glue:GetTable"));
    world.root("PutResourcePolicy", json!({"PolicyInJson": policy})).await;
    world
}

async fn ask(world: &World, caller: Caller, row: &Row) -> Result<(), String> {
    let policy = document("Allow", &json!({"AWS": arn(&root(OWNER))}), "glue:*");
    let mut text = (row.2)().to_string();
    for (name, real) in [("\"ARN\"", json!(on("database/db"))), ("\"DOCUMENT\"", json!(policy))] {
        text = text.replace(name, &real.to_string());
    }
    world.call(caller, row.0, serde_json::from_str(&text).unwrap()).await.map(drop)
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

/// The right to pass the role, which some operations need besides.
fn pass() -> String {
    says("Allow", "iam:PassRole")
}

/// Whether an operation is on the catalog, of which its resource policy speaks.
fn of_catalog(row: &Row) -> bool {
    row.1.iter().any(|resource| ["catalog", "database"].iter().any(|kind| resource.starts_with(kind)))
}

/// May an action on these resources.
fn may(action: &str, resources: &[&str]) -> String {
    let resources: Vec<_> = resources.iter().map(|resource| on(resource)).collect();
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": resources}})
        .to_string()
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let world = stage(None).await;
        let anonymous = ask(&world, caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(ask(&world, caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_count() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("glue:{}", row.0);
        let (yes, no) = (says("Allow", &action), says("Deny", &action));
        for (policies, boundary, expected) in [
            (vec![yes.clone()], None, Ok(())),
            (vec![says("Allow", "glue:Other")], None, denied()),
            (vec![yes.clone(), no], None, denied()),
            (vec![yes.clone()], Some(says("Allow", "s3:*")), denied()),
            (vec![yes], Some(says("Allow", "glue:*")), Ok(())),
        ] {
            let world = stage(None).await;
            let boundary = boundary.map(|text: String| text.replace("\"glue:*\"", "[\"glue:*\", \"iam:PassRole\"]"));
            world.people.add(&alice, &[policies.clone(), vec![pass()]].concat(), boundary.clone());
            let asked = ask(&world, caller(alice.clone(), None), row).await;
            assert_eq!(asked, expected, "{} {policies:?} {boundary:?}", row.0);
        }
    }
}

/// What lies in a catalog needs the right on all that it lies in.
#[tokio::test]
async fn every_resource_counts() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("glue:{}", row.0);
        let world = stage(None).await;
        world.people.add(&alice, &[may(&action, row.1), pass()], None);
        assert_eq!(ask(&world, caller(alice.clone(), None), row).await, Ok(()), "{} on {:?}", row.0, row.1);
        for without in row.1 {
            let world = stage(None).await;
            let others: Vec<_> = row.1.iter().copied().filter(|one| one != without).chain(["database/other"]).collect();
            world.people.add(&alice, &[may(&action, &others), pass()], None);
            assert_eq!(ask(&world, caller(alice.clone(), None), row).await, denied(), "{} without {without}", row.0);
        }
    }
}

#[tokio::test]
async fn resource_policies_allow_by_themselves_and_deny() {
    let alice = user(OWNER, "alice");
    let who = json!({"AWS": arn(&alice)});
    for row in ROWS.iter().filter(|row| of_catalog(row)) {
        for (effect, own, expected) in [("Allow", None, Ok(())), ("Deny", Some(says("Allow", "glue:*")), denied())] {
            let before = World::new().await;
            before.people.add(&alice, &[], None);
            drop(before);
            let world = stage(None).await;
            world.people.add(&alice, &own.into_iter().collect::<Vec<_>>(), None);
            world.root("PutResourcePolicy", json!({"PolicyInJson": document(effect, &who, "glue:*")})).await;
            assert_eq!(ask(&world, caller(alice.clone(), None), row).await, expected, "{} {effect}", row.0);
        }
    }
}

/// Another account's catalog: both sides must allow.
#[tokio::test]
async fn other_accounts_need_both_sides() {
    let bob = user(STRANGER, "bob");
    for (own, policy, expected) in [(true, true, Ok(())), (true, false, denied()), (false, true, denied())] {
        let world = stage(None).await;
        let rights = if own { vec![says("Allow", "glue:*")] } else { vec![] };
        world.people.add(&bob, &rights, None);
        if policy {
            let policy = document("Allow", &json!({"AWS": arn(&bob)}), "glue:Get*");
            world.root("PutResourcePolicy", json!({"PolicyInJson": policy})).await;
        }
        let body = json!({"CatalogId": OWNER, "DatabaseName": "db", "Name": "t"});
        let asked = world.call(caller(bob.clone(), None), "GetTable", body).await.map(drop);
        assert_eq!(asked, expected, "{own} {policy}");
        let mine = json!({"DatabaseName": "db", "Name": "t"});
        let missing = if own { Err("EntityNotFoundException".to_owned()) } else { denied() };
        assert_eq!(world.call(caller(bob.clone(), None), "GetTable", mine).await.map(drop), missing);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [("glue:*", Ok(())), ("s3:*", denied())] {
            let world = stage(None).await;
            world.people.add(&r, &[says("Allow", "glue:*"), pass()], None);
            let caller = caller(r.clone(), Some(vec![says("Allow", session), pass()]));
            assert_eq!(ask(&world, caller, row).await, expected, "{} in a session that may {session}", row.0);
        }
    }
}

/// Who owns the account can take back a policy that shuts all out.
#[tokio::test]
async fn root_changes_a_policy_that_denies_all() {
    let world = stage(Some(document("Deny", &json!("*"), "glue:*"))).await;
    let get = json!({"DatabaseName": "db", "Name": "t"});
    assert_eq!(world.call(caller(root(OWNER), None), "GetTable", get.clone()).await.map(drop), denied());
    world.root("GetResourcePolicy", json!({})).await;
    world.root("DeleteResourcePolicy", json!({})).await;
    world.root("GetTable", get).await;
}

/// A search shows what its caller may search on, and no more.
#[tokio::test]
async fn searches_show_what_is_allowed() {
    let alice = user(OWNER, "alice");
    let world = stage(None).await;
    world.root("CreateTable", json!({"DatabaseName": "db", "TableInput": {"Name": "secret"}})).await;
    world.people.add(&alice, &[may("glue:SearchTables", TABLE)], None);
    let found = world.call(caller(alice, None), "SearchTables", json!({})).await.unwrap();
    let names: Vec<_> = found["TableList"].as_array().unwrap().iter().map(|table| table["Name"].clone()).collect();
    assert_eq!(names, ["t"]);
}

#[tokio::test]
async fn who_tags_while_creating_needs_both_rights() {
    let alice = user(OWNER, "alice");
    for (actions, expected) in
        [(json!(["glue:CreateDatabase"]), denied()), (json!(["glue:CreateDatabase", "glue:TagResource"]), Ok(()))]
    {
        let world = stage(None).await;
        let policy =
            json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}});
        world.people.add(&alice, &[policy.to_string()], None);
        let body = json!({"DatabaseInput": {"Name": "new"}, "Tags": {"a": "b"}});
        let asked = world.call(caller(alice.clone(), None), "CreateDatabase", body).await.map(drop);
        assert_eq!(asked, expected, "{actions}");
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_glue::Operation::ALL {
        let name = operation.name();
        assert!(ROWS.iter().any(|row| row.0 == name), "{operation:?} has no row");
    }
}
