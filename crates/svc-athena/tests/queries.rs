//! Queries, from their start to their results.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use world::{OWNER, World, caller, query, role, root, says, user};

/// The cells of a page, NULL as null.
fn cells(page: &Value) -> Vec<Vec<Value>> {
    let rows = page["ResultSet"]["Rows"].as_array().unwrap();
    let row = |row: &Value| row["Data"].as_array().unwrap().iter().map(|cell| cell["VarCharValue"].clone()).collect();
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn a_query_becomes_an_object_and_pages() {
    let world = World::new().await;
    let id = world.start("select 4 rows", json!({})).await;
    let shown = world.ended(&id).await;
    let location = format!("s3://results/folder/{id}.csv");
    assert_eq!(shown["Status"]["State"], "SUCCEEDED", "{shown}");
    assert_eq!(shown["ResultConfiguration"]["OutputLocation"], json!(location));
    assert_eq!((&shown["StatementType"], &shown["SubstatementType"]), (&json!("DML"), &json!("SELECT")));
    assert_eq!(shown["QueryExecutionContext"], json!({"Database": "default", "Catalog": "AwsDataCatalog"}));
    assert_eq!(shown["WorkGroup"], "primary");
    assert_eq!(shown["Statistics"]["EngineExecutionTimeInMillis"], 7);
    assert_eq!(
        world.buckets.text(&location),
        "\"n\",\"t \"\"x\"\"\"\n\"0\",\n\"1\",\"\"\n\"2\",\"line\n\"\"2\"\"\"\n\"3\",\n"
    );
    assert!(world.buckets.get(&format!("{location}.metadata")).is_some());
    let page = world.root("GetQueryResults", json!({"QueryExecutionId": id})).await;
    let expected: Vec<Vec<Value>> = vec![
        vec![json!("n"), json!("t \"x\"")],
        vec![json!("0"), json!(null)],
        vec![json!("1"), json!("")],
        vec![json!("2"), json!("line\n\"2\"")],
        vec![json!("3"), json!(null)],
    ];
    assert_eq!(cells(&page), expected);
    let info = &page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"];
    assert_eq!(info[0]["Type"], "bigint");
    assert_eq!(info[0]["Precision"], 19);
    assert_eq!((&info[1]["Type"], &info[1]["CaseSensitive"]), (&json!("varchar"), &json!(true)));
    // Page by page, the header on the first one.
    for limit in 1..=6 {
        let (mut rows, mut token) = (Vec::new(), Value::Null);
        loop {
            let body = json!({"QueryExecutionId": id, "MaxResults": limit, "NextToken": token});
            let page = world.root("GetQueryResults", body).await;
            let some = cells(&page);
            assert!(!some.is_empty() && some.len() <= limit);
            rows.extend(some);
            token = page["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(rows, expected, "{limit}");
    }
    let statistics = world.root("GetQueryRuntimeStatistics", json!({"QueryExecutionId": id})).await;
    assert_eq!(statistics["QueryRuntimeStatistics"]["Rows"]["OutputRows"], 4);
}

#[tokio::test]
async fn results_of_many_rows_are_read_by_ranges() {
    let world = World::new().await;
    let id = world.start("select 2500 rows", json!({})).await;
    world.ended(&id).await;
    let mut token = Value::Null;
    let mut sizes = Vec::new();
    loop {
        let page = world.root("GetQueryResults", json!({"QueryExecutionId": id, "NextToken": token})).await;
        sizes.push(cells(&page).len());
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [1000, 1000, 501]);
    assert_eq!(world.buckets.reads.load(Ordering::SeqCst), 3);
    let other = world.start("select 1 rows", json!({})).await;
    world.ended(&other).await;
    let page = world.root("GetQueryResults", json!({"QueryExecutionId": id, "MaxResults": 1})).await;
    let (token, body) =
        (page["NextToken"].clone(), |id: &str, token: &Value| json!({"QueryExecutionId": id, "NextToken": token}));
    for (body, message) in
        [(body(&other, &token), "The NextToken is not valid."), (body(&id, &json!("x")), "The NextToken is not valid.")]
    {
        assert_eq!(world.refused("GetQueryResults", body).await, ("InvalidRequestException".into(), message.into()));
    }
    world.buckets.add("results", &format!("folder/{id}.csv"), "\"n\"\n");
    let (code, message) = world.refused("GetQueryResults", body(&id, &token)).await;
    assert_eq!(code, "InvalidRequestException");
    assert!(message.contains("NextToken") || message.contains("replaced"), "{message}");
}

#[tokio::test]
async fn what_fails_says_why() {
    let world = World::new().await;
    world.tables.add("t");
    for (statement, state, category, kind, retryable, words) in [
        ("select nothing known", "FAILED", 2, 1000, false, "SYNTAX_ERROR: line 1:1"),
        ("select fail statement", "FAILED", 2, 1000, false, "line 1:8: it fails"),
        ("select fail data", "FAILED", 2, 1001, false, "line 1:8: it fails"),
        ("select fail memory", "FAILED", 1, 0, false, "line 1:8: it fails"),
        ("select fail internal", "FAILED", 1, 100, true, "line 1:8: it fails"),
        ("select died", "FAILED", 1, 0, true, "signal: 9"),
        ("select panic", "FAILED", 1, 100, true, "INTERNAL_ERROR"),
        ("select table missing", "FAILED", 2, 1000, false, "EntityNotFoundException"),
        ("create table x (a int)", "FAILED", 2, 1003, false, "NOT_SUPPORTED: CREATE TABLE is not carried out"),
        ("show tables", "FAILED", 2, 1003, false, "NOT_SUPPORTED: SHOW TABLES is not carried out"),
        ("insert into x values (1)", "FAILED", 2, 1000, false, "NOT_SUPPORTED: INSERT is not carried out"),
        ("execute nobody", "FAILED", 2, 1000, false, "PreparedStatement nobody was not found in workGroup primary"),
    ] {
        let shown = world.run(statement, json!({})).await;
        let status = &shown["Status"];
        assert_eq!(status["State"], state, "{statement}: {status}");
        let reason = status["StateChangeReason"].as_str().unwrap();
        assert!(reason.contains(words), "{statement}: {reason}");
        let error =
            json!({"ErrorCategory": category, "ErrorType": kind, "Retryable": retryable, "ErrorMessage": reason});
        assert_eq!(status["AthenaError"], error, "{statement}");
        let id = shown["QueryExecutionId"].as_str().unwrap();
        let (code, message) = world.refused("GetQueryResults", json!({"QueryExecutionId": id})).await;
        assert_eq!(code, "InvalidRequestException");
        assert_eq!(message, "Query did not finish successfully. Final query state: FAILED");
        assert_eq!(
            world.buckets.get(shown["ResultConfiguration"]["OutputLocation"].as_str().unwrap()).map(|_| ()),
            None,
            "{statement}"
        );
    }
    let shown = world.run("select 1 rows", json!({"ResultConfiguration": {"OutputLocation": "s3://readonly"}})).await;
    assert_eq!(shown["Status"]["AthenaError"]["ErrorType"], 401, "{shown}");
}

#[tokio::test]
async fn what_is_refused_at_the_start() {
    let world = World::new().await;
    let at = |location: &str| json!({"ResultConfiguration": {"OutputLocation": location}});
    let encrypted = |option: &str, key: Value| {
        let encryption = json!({"EncryptionOption": option, "KmsKey": key});
        json!({"ResultConfiguration": {"OutputLocation": "s3://results", "EncryptionConfiguration": encryption}})
    };
    let owned =
        json!({"ResultConfiguration": {"OutputLocation": "s3://results", "ExpectedBucketOwner": "444455556666"}});
    let reuse = |minutes: i32| json!({"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": true, "MaxAgeInMinutes": minutes}}});
    for (more, code, words) in [
        (json!({"ResultConfiguration": {}}), "InvalidRequestException", "No output location provided"),
        (json!({"ResultConfiguration": null}), "InvalidRequestException", "No output location provided"),
        (at("results/x"), "InvalidRequestException", "not a valid S3 path"),
        (at("s3://nowhere/x"), "InvalidRequestException", "Unable to verify/create output bucket nowhere"),
        (at("s3://closed/x"), "InvalidRequestException", "Unable to verify/create output bucket closed"),
        (owned, "InvalidRequestException", "Unable to verify/create output bucket results"),
        (encrypted("CSE_KMS", json!("arn:aws:kms:us-east-1:111122223333:key/k")), "NotImplemented", "CSE_KMS"),
        (encrypted("SSE_KMS", json!(null)), "InvalidRequestException", "KmsKey is required"),
        (json!({"WorkGroup": "nobody"}), "InvalidRequestException", "WorkGroup is not found."),
        (
            json!({"QueryExecutionContext": {"Catalog": "other"}}),
            "InvalidRequestException",
            "Data catalog other does not exist",
        ),
        (reuse(10_081), "InvalidRequestException", ""),
        (json!({"QueryString": "é".repeat(140_000)}), "InvalidRequestException", "more than 262144 bytes"),
        (json!({"QueryString": "EXECUTE"}), "InvalidRequestException", "EXECUTE is followed"),
        (json!({"QueryString": ""}), "InvalidRequestException", "queryString"),
        (json!({"EngineConfiguration": {"MaxConcurrentDpus": 2}}), "NotImplemented", "Apache Spark"),
    ] {
        let (found, message) = world.refused("StartQueryExecution", query("select 1 rows", more.clone())).await;
        assert_eq!(found, code, "{more}: {message}");
        assert!(message.contains(words), "{more}: {message}");
    }
    for operation in ["GetQueryExecution", "GetQueryResults", "StopQueryExecution", "GetQueryRuntimeStatistics"] {
        let (code, message) = world.refused(operation, json!({"QueryExecutionId": "nobody"})).await;
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("InvalidRequestException", "QueryExecution nobody was not found")
        );
    }
    assert_eq!(world.engine.ran(), 0);
}

#[tokio::test]
async fn the_same_token_starts_one_query() {
    let world = World::new().await;
    let token = "t".repeat(32);
    let body = |statement: &str| query(statement, json!({"ClientRequestToken": token}));
    let first = world.root("StartQueryExecution", body("select 1 rows")).await;
    assert_eq!(world.root("StartQueryExecution", body("select 1 rows")).await, first);
    assert_eq!(
        world.refused("StartQueryExecution", body("select 2 rows")).await.1,
        "Idempotent parameters do not match"
    );
    world.at(24 * 3600 + 1).await;
    assert_ne!(world.root("StartQueryExecution", body("select 1 rows")).await, first);
}

#[tokio::test]
async fn a_query_is_stopped() {
    let world = World::new().await;
    let id = world.start("select wait", json!({})).await;
    let running = world.becomes(&id, "RUNNING").await;
    assert_eq!(running["Statistics"]["DataScannedInBytes"], 42);
    let (_, message) = world.refused("GetQueryResults", json!({"QueryExecutionId": id})).await;
    assert_eq!(message, "Query has not yet finished. Current state: RUNNING");
    world.root("StopQueryExecution", json!({"QueryExecutionId": id})).await;
    let shown = world.shown(&id).await;
    assert_eq!(shown["Status"]["State"], "CANCELLED");
    assert_eq!(shown["Status"]["StateChangeReason"], "Query cancelled by user");
    assert_eq!(world.buckets.get(shown["ResultConfiguration"]["OutputLocation"].as_str().unwrap()).map(|_| ()), None);
    // One that is over stays as it is.
    let done = world.run("select 1 rows", json!({})).await;
    world.root("StopQueryExecution", json!({"QueryExecutionId": done["QueryExecutionId"]})).await;
    assert_eq!(world.shown(done["QueryExecutionId"].as_str().unwrap()).await["Status"]["State"], "SUCCEEDED");
}

#[tokio::test]
async fn over_a_restart() {
    let world = World::new().await;
    world.people.add(&user(OWNER, "alice"), &[says("Allow", "*", "*")], None);
    world.people.add(&role(OWNER, "r"), &[says("Allow", "*", "*")], None);
    let _held = [world.start("select held", json!({})).await, world.start("select held", json!({})).await];
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(world.start("select wait", json!({})).await);
    }
    for id in &running {
        world.becomes(id, "RUNNING").await;
    }
    for id in &_held {
        world.becomes(id, "RUNNING").await;
    }
    // There are four places.
    let mut queued = Vec::new();
    for who in [
        caller(root(OWNER), None),
        caller(user(OWNER, "alice"), None),
        caller(role(OWNER, "r"), Some(vec![says("Allow", "*", "*")])),
    ] {
        let started = world.answer(who, "StartQueryExecution", query("select 2 rows", json!({}))).await.unwrap();
        queued.push(started["QueryExecutionId"].as_str().unwrap().to_owned());
    }
    for id in &queued {
        assert_eq!(world.shown(id).await["Status"]["State"], "QUEUED");
    }
    let world = world.reopened().await;
    for id in running.iter().chain(&_held) {
        let status = world.ended(id).await["Status"].clone();
        assert_eq!(status["State"], "FAILED");
        assert!(status["StateChangeReason"].as_str().unwrap().starts_with("The server stopped while the query ran"));
        assert_eq!(status["AthenaError"]["Retryable"], true);
    }
    for id in &queued[..2] {
        assert_eq!(world.ended(id).await["Status"]["State"], "SUCCEEDED");
    }
    let session = world.ended(&queued[2]).await;
    assert!(session["Status"]["StateChangeReason"].as_str().unwrap().contains("does not keep sessions"), "{session}");
    // What was over is as it was.
    let world = world.reopened().await;
    assert_eq!(world.shown(&queued[0]).await["Status"]["State"], "SUCCEEDED");
    let page = world.root("GetQueryResults", json!({"QueryExecutionId": queued[0]})).await;
    assert_eq!(cells(&page).len(), 3);
}

#[tokio::test]
async fn executions_are_listed_and_forgotten() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for second in 0..5 {
        world.at(second).await;
        ids.push(world.start("select 1 rows", json!({})).await);
        world.ended(ids.last().unwrap()).await;
    }
    ids.reverse();
    let first = world.root("ListQueryExecutions", json!({"MaxResults": 3})).await;
    assert_eq!(first["QueryExecutionIds"], json!(ids[..3]));
    let second = world.root("ListQueryExecutions", json!({"MaxResults": 3, "NextToken": first["NextToken"]})).await;
    assert_eq!((&second["QueryExecutionIds"], &second["NextToken"]), (&json!(ids[3..]), &Value::Null));
    let asked = json!({"QueryExecutionIds": [ids[0], "nobody", ids[1]]});
    let batch = world.root("BatchGetQueryExecution", asked).await;
    assert_eq!(batch["QueryExecutions"].as_array().unwrap().len(), 2);
    assert_eq!(batch["UnprocessedQueryExecutionIds"][0]["QueryExecutionId"], "nobody");
    world.at(45 * 24 * 3600 + 2).await;
    let left = world.root("ListQueryExecutions", json!({})).await;
    assert_eq!(left["QueryExecutionIds"], json!(ids[..2]));
    assert_eq!(
        world.refused("GetQueryExecution", json!({"QueryExecutionId": ids[4]})).await.0,
        "InvalidRequestException"
    );
    world.at(46 * 24 * 3600).await;
    // Nothing of them is left, but for the policy epoch.
    assert_eq!(world.root("ListQueryExecutions", json!({})).await["QueryExecutionIds"], json!([]));
}

#[tokio::test]
async fn results_are_reused_as_long_as_nothing_changes() {
    let world = World::new().await;
    world.tables.add("t");
    world.buckets.add("data", "t/one", "12345");
    let reuse = json!({"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": true, "MaxAgeInMinutes": 60}}});
    let reused = async |who: Option<&str>| {
        let started = match who {
            Some(name) => world
                .answer(caller(user(OWNER, name), None), "StartQueryExecution", query("select table t", reuse.clone()))
                .await
                .unwrap(),
            None => world.root("StartQueryExecution", query("select table t", reuse.clone())).await,
        };
        let shown = world.ended(started["QueryExecutionId"].as_str().unwrap()).await;
        let reused = shown["Statistics"]["ResultReuseInformation"]["ReusedPreviousResult"].as_bool().unwrap();
        (shown["Status"]["State"].as_str().unwrap().to_owned(), reused, shown)
    };
    let (_, first, shown) = reused(None).await;
    assert!(!first);
    let (state, again, second) = reused(None).await;
    assert_eq!((state.as_str(), again), ("SUCCEEDED", true));
    assert_eq!(second["ResultConfiguration"]["OutputLocation"], shown["ResultConfiguration"]["OutputLocation"]);
    assert_eq!(second["Statistics"]["DataScannedInBytes"], 0);
    let page = world.root("GetQueryResults", json!({"QueryExecutionId": second["QueryExecutionId"]})).await;
    assert_eq!(cells(&page), [[json!("a")], [json!("5")]]);
    assert_eq!(page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"][0]["Type"], "integer");
    // Who may not read the table does not see it by an earlier result.
    world.people.add(&user(OWNER, "blind"), &[says("Allow", "*", "*")], None);
    let (state, _, _) = reused(Some("blind")).await;
    assert_eq!(state, "FAILED");
    // Without being asked nothing is reused.
    let plain = world.run("select table t", json!({})).await;
    assert_eq!(plain["Statistics"]["ResultReuseInformation"]["ReusedPreviousResult"], false);
    for change in 0..4 {
        assert!(reused(None).await.1, "before change {change}");
        match change {
            0 => world.buckets.add("data", "t/one", "54321"),
            1 => world.buckets.add("data", "t/two", "1"),
            2 => world
                .tables
                .tables
                .lock()
                .unwrap()
                .get_mut("t")
                .unwrap()
                .parameters
                .insert("a".into(), "b".into())
                .map_or((), drop),
            _ => world.at(3601).await,
        }
        assert!(!reused(None).await.1, "after change {change}");
    }
    // A result that somebody replaced is none.
    let (_, _, shown) = reused(None).await;
    let location = shown["ResultConfiguration"]["OutputLocation"]
        .as_str()
        .unwrap()
        .strip_prefix("s3://results/")
        .unwrap()
        .to_owned();
    world.buckets.add("results", &location, "\"a\"\n\"666\"\n");
    assert!(!reused(None).await.1);
}

#[tokio::test]
async fn prepared_statements_and_parameters() {
    let world = World::new().await;
    for statement in ["PREPARE p FROM select ?, ?", "PREPARE q FROM select 1 rows"] {
        assert_eq!(world.run(statement, json!({})).await["Status"]["State"], "SUCCEEDED");
    }
    let names = async || {
        let listed = world.root("ListPreparedStatements", json!({"WorkGroup": "primary"})).await;
        let listed = listed["PreparedStatements"].as_array().unwrap().clone();
        listed.iter().map(|one| one["StatementName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["p", "q"]);
    for (statement, parameters, expected) in [
        ("EXECUTE p USING 1, 'a,b'", json!(null), vec!["1", "'a,b'"]),
        ("EXECUTE p", json!(["2", "'x'"]), vec!["2", "'x'"]),
        ("select ?, ?", json!(["3", "4"]), vec!["3", "4"]),
    ] {
        let shown = world.run(statement, json!({"ExecutionParameters": parameters})).await;
        assert_eq!(shown["Status"]["State"], "SUCCEEDED", "{statement}: {shown}");
        let ran = world.engine.runs.lock().unwrap().last().unwrap().clone();
        assert_eq!(
            (ran.statement.as_str(), ran.parameters),
            ("select ?, ?", expected.iter().map(|text| (*text).to_owned()).collect())
        );
        assert_eq!(shown["Query"], statement);
    }
    let both = world.run("EXECUTE p USING 1, 2", json!({"ExecutionParameters": ["1"]})).await;
    assert_eq!(both["Status"]["State"], "FAILED");
    world.run("DEALLOCATE PREPARE p", json!({})).await;
    assert_eq!(names().await, ["q"]);
    // Without the right to the prepared statement there is none.
    let alice = user(OWNER, "alice");
    let deny = says("Deny", "athena:GetPreparedStatement", "*");
    world.people.add(&alice, &[says("Allow", "*", "*"), deny], None);
    let started =
        world.answer(caller(alice, None), "StartQueryExecution", query("EXECUTE q", json!({}))).await.unwrap();
    let shown = world.ended(started["QueryExecutionId"].as_str().unwrap()).await;
    assert!(
        shown["Status"]["StateChangeReason"]
            .as_str()
            .unwrap()
            .contains("is not authorized to perform: athena:GetPreparedStatement"),
        "{shown}"
    );
}

#[tokio::test]
async fn explanations_are_text() {
    let world = World::new().await;
    let shown = world.run("explain select 1", json!({})).await;
    let location = shown["ResultConfiguration"]["OutputLocation"].as_str().unwrap();
    assert!(location.ends_with(".txt"));
    assert_eq!(world.buckets.text(location), "Scan\n\tFilter\n");
    let page = world.root("GetQueryResults", json!({"QueryExecutionId": shown["QueryExecutionId"]})).await;
    assert_eq!(cells(&page), [[json!("Scan")], [json!("\tFilter")]]);
    assert_eq!(shown["StatementType"], "UTILITY");
}

#[tokio::test]
async fn nothing_that_people_wrote_lies_open() {
    use millpond_meta::{Scan, View};
    use std::ops::Bound;
    let world = World::new().await;
    let statement = format!("select secret {}", "secret ".repeat(20_000));
    world.run(&statement, json!({"ExecutionParameters": ["'secret'"]})).await;
    world.root("CreateNamedQuery", json!({"Name": "n", "Database": "d", "QueryString": statement})).await;
    let prepared = json!({"StatementName": "pp", "WorkGroup": "primary", "QueryStatement": statement});
    world.root("CreatePreparedStatement", prepared).await;
    let scan = Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: 100_000 };
    for (_, value) in world.kv.scan(scan).await.unwrap() {
        assert!(!value.windows(6).any(|part| part == b"secret"));
    }
}
