//! Work groups and what is kept in them; the catalog as Athena shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use serde_json::{Value, json};
use world::{OWNER, REGION, World};

fn invalid(message: &str) -> (String, String) {
    ("InvalidRequestException".to_owned(), message.to_owned())
}

#[tokio::test]
async fn a_work_group_from_beginning_to_end() {
    let world = World::new().await;
    let results =
        json!({"OutputLocation": "s3://results/g", "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"}});
    let configuration =
        json!({"ResultConfiguration": results, "BytesScannedCutoffPerQuery": 10_000_000, "RequesterPaysEnabled": true});
    let body = json!({"Name": "g", "Description": "d", "Configuration": configuration});
    world.root("CreateWorkGroup", body.clone()).await;
    assert_eq!(world.refused("CreateWorkGroup", body).await, invalid("WorkGroup is already created"));
    assert_eq!(
        world.refused("CreateWorkGroup", json!({"Name": "primary"})).await,
        invalid("WorkGroup is already created")
    );
    let group = world.root("GetWorkGroup", json!({"WorkGroup": "g"})).await["WorkGroup"].clone();
    assert_eq!((&group["State"], &group["Description"]), (&json!("ENABLED"), &json!("d")));
    let found = &group["Configuration"];
    assert_eq!(found["ResultConfiguration"], results);
    assert_eq!(found["EnforceWorkGroupConfiguration"], true);
    assert_eq!(found["BytesScannedCutoffPerQuery"], 10_000_000);
    assert_eq!(
        found["EngineVersion"],
        json!({"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"})
    );
    // Its settings win.
    let shown = world.run("select 1 rows", json!({"WorkGroup": "g"})).await;
    let location = shown["ResultConfiguration"]["OutputLocation"].as_str().unwrap();
    assert!(location.starts_with("s3://results/g/"), "{location}");
    for location in [location.to_owned(), format!("{location}.metadata")] {
        let headers = world.buckets.get(&location).unwrap().headers;
        assert!(headers.contains(&("x-amz-server-side-encryption", "AES256".to_owned())), "{headers:?}");
    }
    assert_eq!(world.engine.runs.lock().unwrap()[0].cutoff, 10_000_000);
    let updates = json!({"EnforceWorkGroupConfiguration": false, "RemoveBytesScannedCutoffPerQuery": true,
        "ResultConfigurationUpdates": {"RemoveEncryptionConfiguration": true, "ExpectedBucketOwner": OWNER}});
    world.root("UpdateWorkGroup", json!({"WorkGroup": "g", "ConfigurationUpdates": updates})).await;
    let found = world.root("GetWorkGroup", json!({"WorkGroup": "g"})).await["WorkGroup"]["Configuration"].clone();
    assert_eq!(found["ResultConfiguration"], json!({"OutputLocation": "s3://results/g", "ExpectedBucketOwner": OWNER}));
    assert_eq!(found["BytesScannedCutoffPerQuery"], Value::Null);
    let shown = world.run("select 1 rows", json!({"WorkGroup": "g"})).await;
    assert!(shown["ResultConfiguration"]["OutputLocation"].as_str().unwrap().starts_with("s3://results/folder/"));
    world.root("UpdateWorkGroup", json!({"WorkGroup": "g", "State": "DISABLED"})).await;
    let body = world::query("select 1 rows", json!({"WorkGroup": "g"}));
    assert_eq!(world.refused("StartQueryExecution", body).await, invalid("WorkGroup g is disabled."));
    let id = shown["QueryExecutionId"].clone();
    assert_eq!(
        world.root("GetQueryExecution", json!({"QueryExecutionId": id})).await["QueryExecution"]["WorkGroup"],
        "g"
    );
    // It goes with what is in it.
    let named = json!({"Name": "n", "Database": "d", "QueryString": "select 1", "WorkGroup": "g"});
    let named = world.root("CreateNamedQuery", named).await["NamedQueryId"].clone();
    let (_, message) = world.refused("DeleteWorkGroup", json!({"WorkGroup": "g"})).await;
    assert!(message.starts_with("WorkGroup is not empty"), "{message}");
    world.root("DeleteWorkGroup", json!({"WorkGroup": "g", "RecursiveDeleteOption": true})).await;
    assert_eq!(world.refused("GetWorkGroup", json!({"WorkGroup": "g"})).await, invalid("WorkGroup is not found."));
    assert_eq!(world.refused("CreateWorkGroup", json!({"Name": "g"})).await, invalid("WorkGroup g is being deleted."));
    for second in 1..10 {
        world.at(second).await;
    }
    assert_eq!(world.refused("GetQueryExecution", json!({"QueryExecutionId": id})).await.0, "InvalidRequestException");
    assert_eq!(world.refused("GetNamedQuery", json!({"NamedQueryId": named})).await.0, "InvalidRequestException");
    world.root("CreateWorkGroup", json!({"Name": "g"})).await;
    assert_eq!(world.root("ListQueryExecutions", json!({"WorkGroup": "g"})).await["QueryExecutionIds"], json!([]));
}

#[tokio::test]
async fn primary_is_always_there() {
    let world = World::new().await;
    for name in ["b", "a", "z"] {
        world.root("CreateWorkGroup", json!({"Name": name})).await;
    }
    let names =
        |list: &Value| list["WorkGroups"].as_array().unwrap().iter().map(|one| one["Name"].clone()).collect::<Vec<_>>();
    let first = world.root("ListWorkGroups", json!({"MaxResults": 3})).await;
    assert_eq!(names(&first), ["a", "b", "primary"]);
    let second = world.root("ListWorkGroups", json!({"NextToken": first["NextToken"]})).await;
    assert_eq!(names(&second), ["z"]);
    let (_, message) = world.refused("DeleteWorkGroup", json!({"WorkGroup": "primary"})).await;
    assert_eq!(message, "The primary workgroup cannot be deleted.");
    let location = json!({"ResultConfigurationUpdates": {"OutputLocation": "s3://results/p/"}});
    world.root("UpdateWorkGroup", json!({"WorkGroup": "primary", "ConfigurationUpdates": location})).await;
    let shown = world.run("select 1 rows", json!({"ResultConfiguration": null})).await;
    assert!(shown["ResultConfiguration"]["OutputLocation"].as_str().unwrap().starts_with("s3://results/p/"));
}

#[tokio::test]
async fn settings_that_are_refused() {
    let world = World::new().await;
    world.root("CreateWorkGroup", json!({"Name": "g"})).await;
    for (setting, code) in [
        (json!({"BytesScannedCutoffPerQuery": 9_999_999}), "InvalidRequestException"),
        (json!({"EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"}}), "NotImplemented"),
        (json!({"AdditionalConfiguration": "{}"}), "NotImplemented"),
        (json!({"ExecutionRole": "arn:aws:iam::111122223333:role/r"}), "NotImplemented"),
        (json!({"EnableMinimumEncryptionConfiguration": true}), "NotImplemented"),
        (
            json!({"CustomerContentEncryptionConfiguration": {"KmsKey": "arn:aws:kms:us-east-1:111122223333:key/k"}}),
            "NotImplemented",
        ),
    ] {
        let (found, message) = world.refused("CreateWorkGroup", json!({"Name": "h", "Configuration": setting})).await;
        assert_eq!(found, code, "{setting}: {message}");
        let updated =
            world.refused("UpdateWorkGroup", json!({"WorkGroup": "g", "ConfigurationUpdates": setting})).await;
        assert_eq!(updated.0, code, "{setting}");
        let name = setting.as_object().unwrap().keys().next().unwrap();
        assert!(
            message.to_lowercase().contains(&name.to_lowercase()) || message.contains("engine version"),
            "{message}"
        );
    }
    for setting in [
        json!({"ManagedQueryResultsConfiguration": {"Enabled": true}}),
        json!({"IdentityCenterConfiguration": {"EnableIdentityCenter": true}}),
        json!({"QueryResultsS3AccessGrantsConfiguration": {"EnableS3AccessGrants": true, "AuthenticationType": "DIRECTORY_IDENTITY"}}),
    ] {
        let (found, _) = world.refused("CreateWorkGroup", json!({"Name": "h", "Configuration": setting})).await;
        assert_eq!(found, "NotImplemented", "{setting}");
    }
    let both = json!({"ResultConfigurationUpdates": {"OutputLocation": "s3://results", "RemoveOutputLocation": true}});
    let (code, _) = world.refused("UpdateWorkGroup", json!({"WorkGroup": "g", "ConfigurationUpdates": both})).await;
    assert_eq!(code, "InvalidRequestException");
    let (code, _) = world.refused("CreateDataCatalog", json!({"Name": "c", "Type": "LAMBDA"})).await;
    assert_eq!(code, "NotImplemented");
    let (code, _) = world.refused("CreateNotebook", json!({})).await;
    assert_eq!(code, "NotImplemented");
}

/// The cutoff is the engine's to keep; Athena calls the query cancelled.
#[tokio::test]
async fn a_query_that_reads_too_much() {
    let world = World::new().await;
    world.tables.add("t");
    world.buckets.add("data", "t/a", vec![0; 10_000_001]);
    let configuration = json!({"BytesScannedCutoffPerQuery": 10_000_000, "EnforceWorkGroupConfiguration": false});
    world.root("CreateWorkGroup", json!({"Name": "g", "Configuration": configuration})).await;
    let shown = world.run("select table t", json!({"WorkGroup": "g"})).await;
    assert_eq!(shown["Status"]["State"], "CANCELLED");
    assert_eq!(shown["Status"]["StateChangeReason"], "Query cancelled! : Bytes scanned limit was exceeded");
}

#[tokio::test]
async fn named_queries() {
    let world = World::new().await;
    let body = |name: &str, token: &str| json!({"Name": name, "Database": "d", "QueryString": format!("select '{name}'"), "ClientRequestToken": token.repeat(32)});
    let mut ids = Vec::new();
    for (name, token) in [("a", "1"), ("b", "2"), ("a", "1")] {
        let created = world.root("CreateNamedQuery", body(name, token)).await;
        ids.push(created["NamedQueryId"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[2]);
    let got = world.root("GetNamedQuery", json!({"NamedQueryId": ids[1]})).await["NamedQuery"].clone();
    let expected = json!({"Name": "b", "Database": "d", "QueryString": "select 'b'", "NamedQueryId": ids[1], "WorkGroup": "primary"});
    assert_eq!(got, expected);
    world
        .root("UpdateNamedQuery", json!({"NamedQueryId": ids[1], "Name": "c", "QueryString": "x".repeat(100_000)}))
        .await;
    let batch = world.root("BatchGetNamedQuery", json!({"NamedQueryIds": [ids[1], "nobody"]})).await;
    assert_eq!(batch["NamedQueries"][0]["QueryString"].as_str().unwrap().len(), 100_000);
    assert_eq!(batch["UnprocessedNamedQueryIds"][0]["NamedQueryId"], "nobody");
    let first = world.root("ListNamedQueries", json!({"MaxResults": 1})).await;
    let second = world.root("ListNamedQueries", json!({"MaxResults": 1, "NextToken": first["NextToken"]})).await;
    let mut listed = vec![first["NamedQueryIds"][0].clone(), second["NamedQueryIds"][0].clone()];
    listed.sort_by_key(|id| id.as_str().unwrap().to_owned());
    let mut expected = [json!(ids[0]), json!(ids[1])];
    expected.sort_by_key(|id| id.as_str().unwrap().to_owned());
    assert_eq!(listed, expected);
    assert_eq!(second["NextToken"], Value::Null);
    world.root("DeleteNamedQuery", json!({"NamedQueryId": ids[1]})).await;
    assert_eq!(
        world.refused("GetNamedQuery", json!({"NamedQueryId": ids[1]})).await,
        invalid(&format!("NamedQuery {} was not found", ids[1]))
    );
}

#[tokio::test]
async fn prepared_statements_by_the_api() {
    let world = World::new().await;
    let of = |name: &str| json!({"StatementName": name, "WorkGroup": "primary"});
    let with = |name: &str, text: &str| json!({"StatementName": name, "WorkGroup": "primary", "QueryStatement": text, "Description": "d"});
    world.root("CreatePreparedStatement", with("pp", "select ?")).await;
    assert_eq!(
        world.refused("CreatePreparedStatement", with("pp", "select 1")).await,
        invalid("PreparedStatement pp already exists in workGroup primary")
    );
    world.root("UpdatePreparedStatement", with("pp", "select ?, ?")).await;
    let got = world.root("GetPreparedStatement", of("pp")).await["PreparedStatement"].clone();
    assert_eq!((&got["QueryStatement"], &got["Description"]), (&json!("select ?, ?"), &json!("d")));
    let batch = json!({"PreparedStatementNames": ["pp", "nobody"], "WorkGroup": "primary"});
    let batch = world.root("BatchGetPreparedStatement", batch).await;
    assert_eq!(batch["PreparedStatements"][0]["StatementName"], "pp");
    assert_eq!(batch["UnprocessedPreparedStatementNames"][0]["StatementName"], "nobody");
    world.root("DeletePreparedStatement", of("pp")).await;
    let missing =
        ("ResourceNotFoundException".to_owned(), "PreparedStatement pp was not found in workGroup primary".to_owned());
    for (name, body) in [
        ("GetPreparedStatement", of("pp")),
        ("DeletePreparedStatement", of("pp")),
        ("UpdatePreparedStatement", with("pp", "x")),
    ] {
        assert_eq!(world.refused(name, body).await, missing, "{name}");
    }
}

#[tokio::test]
async fn tags_of_work_groups() {
    let world = World::new().await;
    let arn = format!("arn:aws:athena:{REGION}:{OWNER}:workgroup/primary");
    let tags = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]);
    world.root("TagResource", json!({"ResourceARN": arn, "Tags": tags})).await;
    assert_eq!(world.root("ListTagsForResource", json!({"ResourceARN": arn})).await["Tags"], tags);
    world.root("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["a"]})).await;
    assert_eq!(world.root("ListTagsForResource", json!({"ResourceARN": arn})).await["Tags"], json!([tags[1]]));
    for (arn, code) in [
        (format!("arn:aws:athena:{REGION}:{OWNER}:workgroup/nobody"), "ResourceNotFoundException"),
        (format!("arn:aws:athena:{REGION}:{OWNER}:datacatalog/AwsDataCatalog"), "InvalidRequestException"),
        (format!("arn:aws:s3:{REGION}:{OWNER}:workgroup/primary"), "InvalidRequestException"),
        ("nonsense".to_owned(), "InvalidRequestException"),
    ] {
        assert_eq!(world.refused("ListTagsForResource", json!({"ResourceARN": arn})).await.0, code, "{arn}");
    }
    let reserved = json!({"ResourceARN": arn, "Tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_eq!(world.refused("TagResource", reserved).await.0, "InvalidRequestException");
}

#[tokio::test]
async fn the_catalog_as_athena_shows_it() {
    let world = World::new().await;
    for name in ["a", "b", "bb", "c", "d", "e"] {
        world.tables.add(name);
    }
    let of = |more: Value| {
        let mut body = json!({"CatalogName": "AwsDataCatalog", "DatabaseName": "default"});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        body
    };
    let found = world.root("GetTableMetadata", of(json!({"TableName": "A"}))).await["TableMetadata"].clone();
    assert_eq!(
        (&found["TableType"], &found["Columns"][0]),
        (&json!("EXTERNAL_TABLE"), &json!({"Name": "a", "Type": "int"}))
    );
    assert_eq!(found["PartitionKeys"][0]["Name"], "day");
    assert_eq!(found["Parameters"]["location"], "s3://data/a/");
    for limit in 1..=7 {
        let (mut names, mut token) = (Vec::new(), Value::Null);
        loop {
            let page = world.root("ListTableMetadata", of(json!({"MaxResults": limit, "NextToken": token}))).await;
            names.extend(page["TableMetadataList"].as_array().unwrap().iter().map(|table| table["Name"].clone()));
            token = page["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(names, ["a", "b", "bb", "c", "d", "e"], "{limit}");
    }
    let some = world.root("ListTableMetadata", of(json!({"Expression": "b*"}))).await;
    assert_eq!(some["TableMetadataList"].as_array().unwrap().len(), 2);
    assert_eq!(world.refused("ListTableMetadata", of(json!({"Expression": "("}))).await.0, "InvalidRequestException");
    let first = world.root("ListDatabases", json!({"CatalogName": "awsdatacatalog", "MaxResults": 1})).await;
    assert_eq!(first["DatabaseList"], json!([{"Name": "default"}]));
    let second = json!({"CatalogName": "AwsDataCatalog", "MaxResults": 1, "NextToken": first["NextToken"]});
    let second = world.root("ListDatabases", second).await;
    assert_eq!((&second["DatabaseList"], &second["NextToken"]), (&json!([{"Name": "other"}]), &Value::Null));
    for (name, body) in [
        ("GetDatabase", json!({"CatalogName": "AwsDataCatalog", "DatabaseName": "nobody"})),
        ("GetTableMetadata", of(json!({"TableName": "nobody"}))),
    ] {
        assert_eq!(world.refused(name, body).await.0, "MetadataException", "{name}");
    }
    let other = json!({"CatalogName": "other", "DatabaseName": "default"});
    assert_eq!(world.refused("GetDatabase", other).await.0, "InvalidRequestException");
    let catalogs = world.root("ListDataCatalogs", json!({})).await;
    assert_eq!(catalogs["DataCatalogsSummary"][0]["CatalogName"], "AwsDataCatalog");
    let versions = world.root("ListEngineVersions", json!({})).await;
    assert_eq!(versions["EngineVersions"].as_array().unwrap().len(), 2);
}
