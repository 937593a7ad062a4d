//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "Amazon Athena").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, REGION, STRANGER, World, caller, query, role, root, says, user};

/// What the stage has: an execution and a named query, by their ids.
struct Ids {
    execution: String,
    named: String,
}

/// Operation, the resource that it is on, and its input.
type Row = (&'static str, &'static str, fn(&Ids) -> Value);

const ROWS: &[Row] = &[
    ("BatchGetNamedQuery", "workgroup/g", |ids| json!({"NamedQueryIds": [ids.named]})),
    ("BatchGetPreparedStatement", "workgroup/g", |_| json!({"PreparedStatementNames": ["pp"], "WorkGroup": "g"})),
    ("BatchGetQueryExecution", "workgroup/g", |ids| json!({"QueryExecutionIds": [ids.execution]})),
    ("CreateDataCatalog", "datacatalog/c", |_| json!({"Name": "c", "Type": "GLUE"})),
    (
        "CreateNamedQuery",
        "workgroup/g",
        |_| json!({"Name": "n", "Database": "d", "QueryString": "select 1", "WorkGroup": "g"}),
    ),
    (
        "CreatePreparedStatement",
        "workgroup/g",
        |_| json!({"StatementName": "other", "WorkGroup": "g", "QueryStatement": "select 1"}),
    ),
    ("CreateWorkGroup", "workgroup/new", |_| json!({"Name": "new"})),
    ("DeleteDataCatalog", "datacatalog/c", |_| json!({"Name": "c"})),
    ("DeleteNamedQuery", "workgroup/g", |ids| json!({"NamedQueryId": ids.named})),
    ("DeletePreparedStatement", "workgroup/g", |_| json!({"StatementName": "pp", "WorkGroup": "g"})),
    ("DeleteWorkGroup", "workgroup/g", |_| json!({"WorkGroup": "g", "RecursiveDeleteOption": true})),
    ("GetDataCatalog", "datacatalog/AwsDataCatalog", |_| json!({"Name": "AwsDataCatalog"})),
    (
        "GetDatabase",
        "datacatalog/AwsDataCatalog",
        |_| json!({"CatalogName": "AwsDataCatalog", "DatabaseName": "default"}),
    ),
    ("GetNamedQuery", "workgroup/g", |ids| json!({"NamedQueryId": ids.named})),
    ("GetPreparedStatement", "workgroup/g", |_| json!({"StatementName": "pp", "WorkGroup": "g"})),
    ("GetQueryExecution", "workgroup/g", |ids| json!({"QueryExecutionId": ids.execution})),
    ("GetQueryResults", "workgroup/g", |ids| json!({"QueryExecutionId": ids.execution})),
    ("GetQueryRuntimeStatistics", "workgroup/g", |ids| json!({"QueryExecutionId": ids.execution})),
    (
        "GetTableMetadata",
        "datacatalog/AwsDataCatalog",
        |_| json!({"CatalogName": "AwsDataCatalog", "DatabaseName": "default", "TableName": "t"}),
    ),
    ("GetWorkGroup", "workgroup/g", |_| json!({"WorkGroup": "g"})),
    ("ListDataCatalogs", "*", |_| json!({})),
    ("ListDatabases", "datacatalog/AwsDataCatalog", |_| json!({"CatalogName": "AwsDataCatalog"})),
    ("ListEngineVersions", "*", |_| json!({})),
    ("ListNamedQueries", "workgroup/g", |_| json!({"WorkGroup": "g"})),
    ("ListPreparedStatements", "workgroup/g", |_| json!({"WorkGroup": "g"})),
    ("ListQueryExecutions", "workgroup/g", |_| json!({"WorkGroup": "g"})),
    (
        "ListTableMetadata",
        "datacatalog/AwsDataCatalog",
        |_| json!({"CatalogName": "AwsDataCatalog", "DatabaseName": "default"}),
    ),
    ("ListTagsForResource", "workgroup/g", |_| json!({"ResourceARN": arn("workgroup/g")})),
    ("ListWorkGroups", "*", |_| json!({})),
    ("StartQueryExecution", "workgroup/g", |_| query("select 1 rows", json!({"WorkGroup": "g"}))),
    ("StopQueryExecution", "workgroup/g", |ids| json!({"QueryExecutionId": ids.execution})),
    (
        "TagResource",
        "workgroup/g",
        |_| json!({"ResourceARN": arn("workgroup/g"), "Tags": [{"Key": "a", "Value": "b"}]}),
    ),
    ("UntagResource", "workgroup/g", |_| json!({"ResourceARN": arn("workgroup/g"), "TagKeys": ["a"]})),
    (
        "UpdateNamedQuery",
        "workgroup/g",
        |ids| json!({"NamedQueryId": ids.named, "Name": "n", "QueryString": "select 2"}),
    ),
    (
        "UpdatePreparedStatement",
        "workgroup/g",
        |_| json!({"StatementName": "pp", "WorkGroup": "g", "QueryStatement": "select 2"}),
    ),
    ("UpdateWorkGroup", "workgroup/g", |_| json!({"WorkGroup": "g", "Description": "x"})),
];

fn arn(resource: &str) -> String {
    format!("arn:aws:athena:{REGION}:{OWNER}:{resource}")
}

async fn stage() -> (World, Ids) {
    let world = World::new().await;
    world.tables.add("t");
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    world
        .root(
            "CreateWorkGroup",
            json!({"Name": "g", "Tags": [{"Key": "team", "Value": "blue"}],
        "Configuration": {"EnforceWorkGroupConfiguration": false}}),
        )
        .await;
    let named = json!({"Name": "n", "Database": "d", "QueryString": "select 1", "WorkGroup": "g"});
    let named = world.root("CreateNamedQuery", named).await["NamedQueryId"].as_str().unwrap().to_owned();
    let prepared = json!({"StatementName": "pp", "WorkGroup": "g", "QueryStatement": "select 1"});
    world.root("CreatePreparedStatement", prepared).await;
    let execution = world.start("select 1 rows", json!({"WorkGroup": "g"})).await;
    world.ended(&execution).await;
    (world, Ids { execution, named })
}

async fn ask(world: &World, caller: Caller, row: &Row, ids: &Ids) -> Result<(), String> {
    let asked = world.call(caller, row.0, (row.2)(ids)).await.map(drop);
    // Decided, and then not served.
    if ["CreateDataCatalog", "DeleteDataCatalog"].contains(&row.0) && asked == Err("NotImplemented".to_owned()) {
        return Ok(());
    }
    asked
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let (world, ids) = stage().await;
        let anonymous = ask(&world, caller(Principal::Anonymous, None), row, &ids).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(ask(&world, caller(user(OWNER, "alice"), None), row, &ids).await, denied(), "{}", row.0);
        assert_eq!(ask(&world, caller(root(OWNER), None), row, &ids).await, Ok(()), "{} by root", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_count() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("athena:{}", row.0);
        let (yes, no) = (says("Allow", &action, "*"), says("Deny", &action, "*"));
        for (policies, boundary, expected) in [
            (vec![yes.clone()], None, Ok(())),
            (vec![says("Allow", "athena:Other", "*")], None, denied()),
            (vec![yes.clone(), no], None, denied()),
            (vec![yes.clone()], Some(says("Allow", "s3:*", "*")), denied()),
            (vec![yes], Some(says("Allow", "athena:*", "*")), Ok(())),
            (vec![says("Allow", &action, &arn(row.1))], None, Ok(())),
            (vec![says("Allow", &action, &arn("workgroup/other"))], None, denied()),
        ] {
            let (world, ids) = stage().await;
            world.people.add(&alice, &policies, boundary.clone());
            let asked = ask(&world, caller(alice.clone(), None), row, &ids).await;
            assert_eq!(asked, expected, "{} {policies:?} {boundary:?}", row.0);
        }
    }
}

/// There is no way to another account's queries: names and ids are those of one's own, and ARNs are refused without a resource's policy.
#[tokio::test]
async fn other_accounts_have_work_groups_of_their_own() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let (world, ids) = stage().await;
        world.people.add(&bob, &[says("Allow", "*", "*")], None);
        let expected = match row.0 {
            "ListTagsForResource" | "TagResource" | "UntagResource" => denied(),
            // What they ask for is not there.
            name if row.1 == "workgroup/g"
                && !name.starts_with("BatchGetNamed")
                && !name.starts_with("BatchGetQuery") =>
            {
                Err("InvalidRequestException".to_owned())
            }
            _ => Ok(()),
        };
        assert_eq!(ask(&world, caller(bob.clone(), None), row, &ids).await, expected, "{}", row.0);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [(says("Allow", "athena:*", "*"), Ok(())), (says("Allow", "s3:*", "*"), denied())] {
            let (world, ids) = stage().await;
            world.people.add(&r, &[says("Allow", "athena:*", "*")], None);
            let asked = ask(&world, caller(r.clone(), Some(vec![session.clone()])), row, &ids).await;
            assert_eq!(asked, expected, "{} in a session that has {session}", row.0);
        }
    }
}

#[tokio::test]
async fn tags_of_work_groups_count() {
    let alice = user(OWNER, "alice");
    let when = |key: &str, value: &str| {
        let condition = json!({"StringEquals": {key: value}});
        json!({"Version": "2012-10-17", "Statement":
            {"Effect": "Allow", "Action": "athena:*", "Resource": "*", "Condition": condition}})
        .to_string()
    };
    for (policy, name, expected) in [
        (when("aws:ResourceTag/team", "blue"), "GetWorkGroup", Ok(())),
        (when("aws:ResourceTag/team", "red"), "GetWorkGroup", denied()),
        (when("aws:ResourceTag/team", "blue"), "GetQueryExecution", Ok(())),
        (when("aws:ResourceTag/team", "red"), "StartQueryExecution", denied()),
        (when("aws:RequestTag/a", "b"), "TagResource", Ok(())),
        (when("aws:RequestTag/a", "c"), "TagResource", denied()),
    ] {
        let (world, ids) = stage().await;
        world.people.add(&alice, std::slice::from_ref(&policy), None);
        let row = ROWS.iter().find(|row| row.0 == name).unwrap();
        assert_eq!(ask(&world, caller(alice.clone(), None), row, &ids).await, expected, "{name} {policy}");
    }
}

/// Whether an id is somebody's is told to those alone who may ask about all of them.
#[tokio::test]
async fn ids_that_are_nobodys() {
    let alice = user(OWNER, "alice");
    let (world, _) = stage().await;
    let body = json!({"QueryExecutionId": "01234567-89ab-4def-8123-456789abcdef"});
    for (resource, expected) in [("workgroup/g", "AccessDeniedException"), ("workgroup/*", "InvalidRequestException")] {
        world.people.add(&alice, &[says("Allow", "athena:*", &arn(resource))], None);
        let asked = world.call(caller(alice.clone(), None), "GetQueryExecution", body.clone()).await;
        assert_eq!(asked, Err(expected.to_owned()), "{resource}");
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_athena::Operation::ALL {
        assert!(ROWS.iter().any(|row| row.0 == operation.name()), "{operation:?} has no row");
    }
}
