//! What functions are and do, over an engine in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::collections::HashSet;
use std::sync::Arc;

use millpond_kernel::Caller;
use serde_json::{Value, json};
use world::{
    OWNER, World, base64, caller, caused, function_arn, invocation, layer_arn, new_function, request, root, zip_maker,
};

const FUNCTIONS: &str = "/2015-03-31/functions";

fn owner() -> Caller {
    caller(root(OWNER), None)
}

fn on(method: &str, name: &str, rest: &str, body: Value) -> world::Request {
    request(method, &format!("{FUNCTIONS}/{name}{rest}"), "", body)
}

/// What is refused when a function is made, and how.
#[tokio::test]
async fn what_cannot_be_is_refused() {
    let code = |bytes: &[u8]| json!({"Code": {"ZipFile": base64(bytes)}});
    let climbs = zip_maker::archive(&[zip_maker::file("../x", "x")]);
    let invalid = "InvalidParameterValueException";
    for (more, error, says) in [
        (code(b"no zip"), invalid, "Could not unzip uploaded file"),
        (code(&climbs), invalid, "entry ../x: the name climbs"),
        (json!({"Code": {}}), invalid, "provide a source"),
        (json!({"Code": {"S3Bucket": "code", "S3Key": "missing.zip"}}), invalid, "S3 Error Code: NoSuchKey"),
        (json!({"Code": {"S3Bucket": "code", "S3Key": "bad.zip"}}), invalid, "Could not unzip"),
        (json!({"Code": {"S3Bucket": "closed", "S3Key": "x"}}), "AccessDeniedException", "S3 Error Code: AccessDenied"),
        (json!({"Code": {"ImageUri": "x"}}), "NotImplemented", "ImageUri"),
        (json!({"Runtime": "java21"}), invalid, "python3.13"),
        (json!({"Runtime": "cobol"}), invalid, "Value cobol at 'runtime'"),
        (json!({"Handler": null}), invalid, "mandatory"),
        (json!({"Timeout": 901}), "ValidationException", "less than or equal to 900"),
        (json!({"MemorySize": 64}), "ValidationException", "memorySize"),
        (json!({"MemorySize": 20000}), "ValidationException", "10240"),
        (json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}), invalid, "AWS_REGION"),
        (json!({"Environment": {"Variables": {"KEY": "x".repeat(5000)}}}), invalid, "4KB"),
        (json!({"Layers": [format!("{}:1", layer_arn("missing"))]}), invalid, "does not exist"),
        (json!({"Role": "arn:aws:iam::111122223333:role/closed"}), invalid, "cannot be assumed by Lambda"),
        (json!({"Role": "arn:aws:iam::444455556666:role/r"}), "AccessDeniedException", "Cross-account"),
        (
            json!({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}),
            "NotImplemented",
            "VpcConfig",
        ),
        (json!({"TracingConfig": {"Mode": "Active"}}), "NotImplemented", "Active"),
        (json!({"SnapStart": {"ApplyOn": "PublishedVersions"}}), "NotImplemented", "SnapStart"),
        (json!({"PackageType": "Image"}), "NotImplemented", "Image"),
        (json!({"KMSKeyArn": "arn:aws:kms:us-east-1:111122223333:key/x"}), "NotImplemented", "KMSKeyArn"),
        (json!({"LoggingConfig": {"LogFormat": "JSON"}}), "NotImplemented", "JSON"),
        (
            json!({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:111122223333:closed"}}),
            invalid,
            "SendMessage on SQS",
        ),
        (
            json!({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:111122223333:missing"}}),
            invalid,
            "does not exist",
        ),
        (json!({"Tags": {"aws:x": "y"}}), invalid, "reserved"),
        (json!({"FunctionName": "x".repeat(65)}), "ValidationException", "64"),
        (json!({"FunctionName": "f:1"}), invalid, "without a qualifier"),
    ] {
        let world = World::new().await;
        let (code, told) = world.refused(request("POST", FUNCTIONS, "", new_function("f", more.clone()))).await;
        assert_eq!((code.as_str(), told.contains(says)), (error, true), "{more}: {told}");
    }
}

/// What tools send that does not want to say anything.
#[tokio::test]
async fn defaults_are_accepted() {
    let world = World::new().await;
    let made = world
        .function(
            "f",
            json!({
                "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "TracingConfig": {"Mode": "PassThrough"},
                "SnapStart": {"ApplyOn": "None"}, "PackageType": "Zip", "LoggingConfig": {"LogFormat": "Text"},
                "KMSKeyArn": "", "FileSystemConfigs": [], "EphemeralStorage": {"Size": 1024}, "Layers": [],
                "Environment": {"Variables": {}}, "DeadLetterConfig": {"TargetArn": ""},
            }),
        )
        .await;
    assert_eq!(made["EphemeralStorage"]["Size"], 1024);
    assert_eq!(made["LoggingConfig"]["LogGroup"], "/aws/lambda/f");
    for absent in ["Environment", "DeadLetterConfig", "Layers", "VpcConfig", "KMSKeyArn"] {
        assert!(made.get(absent).is_none(), "{absent}: {made}");
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let world = World::new().await;
    world.layer("l").await;
    let layers = json!({"Layers": [format!("{}:1", layer_arn("l"))], "Environment": {"Variables": {"KEY": "value"}},
        "Publish": true, "Tags": {"a": "b"}});
    world.function("f", layers).await;
    world.root(on("POST", "f", "/aliases", json!({"Name": "a", "FunctionVersion": "1"}))).await;
    let statement = json!({"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"});
    world.root(on("POST", "f", "/policy", statement)).await;
    let mut before = Vec::new();
    let looks = ["", "/configuration", "/versions", "/aliases", "/policy"];
    let strip = |mut value: Value| {
        // Links are new each time.
        value.as_object_mut().unwrap().remove("Code");
        value
    };
    for look in looks {
        before.push(strip(world.root(on("GET", "f", look, Value::Null)).await));
    }
    let world = world.reopened().await;
    for (look, before) in looks.iter().zip(before) {
        assert_eq!(strip(world.root(on("GET", "f", look, Value::Null)).await), before, "{look}");
    }
    // Its code is unpacked anew, and the environment opened.
    let answer = world.answer(owner(), invocation("f:a", "RequestResponse", "1")).await.unwrap();
    assert_eq!(answer.headers["x-amz-executed-version"], "1");
    let (program, ..) = world.workers.runs.lock().unwrap()[0].clone();
    assert!(program.code.join("index.py").exists() && program.layers[0].join("index.py").exists());
    assert_eq!(program.env, [("KEY".to_owned(), "value".to_owned())]);
}

#[tokio::test]
async fn environments_are_sealed() {
    let world = World::new().await;
    world.function("f", json!({"Environment": {"Variables": {"KEY": "very secret"}}})).await;
    let rows = world::rows(&world.kv).await;
    assert!(!rows.is_empty());
    for (key, value) in rows {
        let found = |hay: &[u8]| hay.windows(11).any(|part| part == b"very secret");
        assert!(!found(&key) && !found(&value));
    }
}

#[tokio::test]
async fn versions_stay_as_they_are() {
    let world = World::new().await;
    let made = world.function("f", json!({"Environment": {"Variables": {"KEY": "1"}}})).await;
    let first = world.root(on("POST", "f", "/versions", json!({"Description": "first"}))).await;
    assert_eq!((&first["Version"], &first["Description"]), (&json!("1"), &json!("first")));
    assert_eq!(first["FunctionArn"], format!("{}:1", function_arn("f")));
    // Nothing changed since.
    let again = world.root(on("POST", "f", "/versions", json!({}))).await;
    assert_eq!(again, first);
    world.root(on("PUT", "f", "/configuration", json!({"Environment": {"Variables": {"KEY": "2"}}}))).await;
    let second = world.root(on("POST", "f", "/versions", json!({}))).await;
    assert_eq!(second["Version"], "2");
    let shown = world.root(on("GET", "f", "/configuration", Value::Null)).await;
    assert_ne!(shown["RevisionId"], made["RevisionId"]);
    for (asked, key) in [("f:1", "1"), ("f:2", "2"), ("f", "2")] {
        let shown = world.root(on("GET", asked, "/configuration", Value::Null)).await;
        assert_eq!(shown["Environment"]["Variables"]["KEY"], key, "{asked}");
    }
    let wrong = json!({"CodeSha256": "x"});
    assert_eq!(world.refused(on("POST", "f", "/versions", wrong)).await.0, "InvalidParameterValueException");
    let wrong = json!({"RevisionId": made["RevisionId"]});
    assert_eq!(world.refused(on("POST", "f", "/versions", wrong)).await.0, "PreconditionFailedException");
    // A version that an alias points at stays.
    world.root(on("POST", "f", "/aliases", json!({"Name": "a", "FunctionVersion": "1"}))).await;
    assert_eq!(world.refused(on("DELETE", "f:1", "", Value::Null)).await.0, "ResourceConflictException");
    world.root(on("DELETE", "f:2", "", Value::Null)).await;
    assert_eq!(world.refused(on("GET", "f:2", "", Value::Null)).await.0, "ResourceNotFoundException");
    // Numbers are not used twice.
    world.root(on("PUT", "f", "/configuration", json!({"Timeout": 5}))).await;
    assert_eq!(world.root(on("POST", "f", "/versions", json!({}))).await["Version"], "3");
}

#[tokio::test]
async fn aliases_share_invocations() {
    let world = World::new().await;
    world.function("f", json!({"Publish": true})).await;
    world.root(on("PUT", "f", "/configuration", json!({"Timeout": 9}))).await;
    world.root(on("POST", "f", "/versions", json!({}))).await;
    let route = |weight: f64| json!({"RoutingConfig": {"AdditionalVersionWeights": {"2": weight}}});
    let mut body = route(0.5);
    (body["Name"], body["FunctionVersion"]) = (json!("a"), json!("1"));
    let made = world.root(on("POST", "f", "/aliases", body)).await;
    assert_eq!(made["RoutingConfig"]["AdditionalVersionWeights"]["2"], 0.5);
    let executed = async || {
        let mut seen = HashSet::new();
        for _ in 0..64 {
            let answer = world.answer(owner(), invocation("f:a", "RequestResponse", "1")).await.unwrap();
            seen.insert(answer.headers["x-amz-executed-version"].to_str().unwrap().to_owned());
        }
        let mut seen: Vec<_> = seen.into_iter().collect();
        seen.sort();
        seen
    };
    assert_eq!(executed().await, ["1", "2"]);
    for (weight, expected) in [(0.0, "1"), (1.0, "2")] {
        world.root(on("PUT", "f", "/aliases/a", route(weight))).await;
        assert_eq!(executed().await, [expected]);
    }
    for (change, says) in [
        (json!({"FunctionVersion": "2"}), "already included"),
        (json!({"FunctionVersion": "$LATEST"}), "$LATEST is not supported"),
        (json!({"RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.5}}}), "[0-9]+"),
        (json!({"RoutingConfig": {"AdditionalVersionWeights": {"7": 0.5}}}), "Function not found"),
        (json!({"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5, "2": 0.2}}}), "greater than 1"),
        (json!({"RevisionId": "x"}), "Revision Id"),
    ] {
        let told = world.refused(on("PUT", "f", "/aliases/a", change.clone())).await.1;
        assert!(told.contains(says), "{change}: {told}");
    }
    let cleared = json!({"RoutingConfig": {"AdditionalVersionWeights": {}}, "FunctionVersion": "2"});
    let shown = world.root(on("PUT", "f", "/aliases/a", cleared)).await;
    assert!(shown.get("RoutingConfig").is_none(), "{shown}");
    assert_eq!(executed().await, ["2"]);
}

#[tokio::test]
async fn invocations() {
    let world = World::new().await;
    world.function("f", json!({})).await;
    let mut asked = invocation("f", "RequestResponse", "\"fail\"");
    asked.headers.insert("x-amz-log-type", http::HeaderValue::from_static("Tail"));
    let answer = world.answer(owner(), asked).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["x-amz-function-error"]),
        (200, &http::HeaderValue::from_static("Unhandled"))
    );
    assert_eq!(answer.headers["x-amz-log-result"], base64(b"tail"));
    let (_, id, _, causes) = world.workers.runs.lock().unwrap()[0].clone();
    assert_eq!(answer.headers["x-amzn-requestid"], id);
    assert_eq!(causes, [format!("lambda:{id}:{}", function_arn("f"))]);
    let dry = world.answer(owner(), invocation("f", "DryRun", "")).await.unwrap();
    assert_eq!((dry.status.as_u16(), world.workers.runs.lock().unwrap().len()), (204, 1));
    for (name, event, error) in [
        ("f", "{no", "InvalidRequestContentException"),
        ("f:7", "1", "ResourceNotFoundException"),
        ("f:none", "1", "ResourceNotFoundException"),
        ("none", "1", "ResourceNotFoundException"),
    ] {
        let refused = world.refused(invocation(name, "RequestResponse", event)).await;
        assert_eq!(refused.0, error, "{name} {event}");
    }
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    assert_eq!(world.refused(invocation("f", "RequestResponse", &large)).await.0, "RequestTooLargeException");
}

/// A chain of causes goes on in the function, and ends where it is a loop.
#[tokio::test]
async fn loops_end() {
    let world = World::new().await;
    world.function("f", json!({})).await;
    let chain = |length: usize| (0..length).map(|number| format!("s3:{number}")).collect::<Vec<_>>();
    for (length, may_loop, expected) in [
        (0, false, Ok(1)),
        (15, false, Ok(16)),
        (16, false, Err("RecursiveInvocationException")),
        (15, true, Ok(16)),
        (16, true, Ok(1)),
    ] {
        let value = if may_loop { "Allow" } else { "Terminate" };
        let path = "/2024-08-31/functions/f/recursion-config";
        world.root(request("PUT", path, "", json!({"RecursiveLoop": value}))).await;
        let caller = caused(root(OWNER), None, chain(length));
        let asked = world.call(caller, invocation("f", "RequestResponse", "1")).await;
        let asked = asked.map(|_| world.workers.runs.lock().unwrap().last().unwrap().3.len());
        assert_eq!(asked, expected.map_err(str::to_owned), "{length} {may_loop}");
    }
}

/// Functions whose failures go to each other, and to themselves: what is refused as a loop comes back to who sent it.
#[tokio::test]
async fn loops_of_failures_end() {
    let world = World::new().await;
    world.kernel.targets().register("lambda", world.lambda.target());
    world.people.add(&world::role(OWNER, "r"), &[world::says("Allow", "lambda:*")], None);
    for name in ["f", "g", "h"] {
        world.function(name, json!({})).await;
    }
    for (name, to) in [("f", "g"), ("g", "f"), ("h", "h")] {
        let to = json!({"Destination": function_arn(to)});
        let config = json!({"DestinationConfig": {"OnFailure": to, "OnSuccess": to}});
        world.root(request("PUT", &format!("/2019-09-25/functions/{name}/event-invoke-config"), "", config)).await;
    }
    let from = caller(world::role(OWNER, "r"), None);
    for (name, length, expected) in [("f", 15, true), ("f", 16, false), ("h", 16, false), ("h", 40, false)] {
        let delivery = millpond_kernel::Delivery {
            id: 1,
            body: bytes::Bytes::from_static(b"{}"),
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: millpond_types::Timestamp::from_seconds(1_800_000_000),
            causes: (0..length).map(|number| format!("sns:{number}")).collect(),
            event: String::new(),
        };
        let to = millpond_types::Arn::parse(&function_arn(name)).unwrap();
        match world.kernel.targets().arrive(&to, &from, &delivery).await {
            Ok(arrival) => assert!(expected && !arrival.ops.is_empty(), "{name} {length}"),
            Err(rejection) => {
                assert!(!expected && rejection.is_final() && rejection.to_string().contains("loop"), "{rejection}");
            }
        }
    }
}

#[tokio::test]
async fn concurrency_is_bounded() {
    let world = Arc::new(World::new().await);
    world.function("f", json!({})).await;
    world.function("g", json!({})).await;
    let reserve = |name: &str, number: u32| {
        let path = format!("/2017-10-31/functions/{name}/concurrency");
        request("PUT", &path, "", json!({"ReservedConcurrentExecutions": number}))
    };
    world.root(reserve("f", 2)).await;
    let gate = world.workers.gate.lock().await;
    let running: Vec<_> = (0..2)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.call(owner(), invocation("f", "RequestResponse", "1")).await })
        })
        .collect();
    while world.workers.runs.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    let third = world.answer(owner(), invocation("f", "RequestResponse", "1")).await.err().unwrap();
    assert_eq!((third.code.as_ref(), third.status), ("TooManyRequestsException", 429));
    assert!(third.fields.contains(&("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded".to_owned())));
    drop(gate);
    for running in running {
        assert_eq!(running.await.unwrap(), Ok(json!(1)));
    }
    world.root(reserve("f", 0)).await;
    assert_eq!(world.refused(invocation("f", "RequestResponse", "1")).await.0, "TooManyRequestsException");
    world.root(request("DELETE", "/2017-10-31/functions/f/concurrency", "", Value::Null)).await;
    assert_eq!(world.root(invocation("f", "RequestResponse", "1")).await, 1);
    // A hundred are left to functions without a number of their own.
    world.root(reserve("f", 900)).await;
    assert_eq!(world.refused(reserve("g", 1)).await.0, "InvalidParameterValueException");
    let settings = world.root(request("GET", "/2016-08-19/account-settings", "", Value::Null)).await;
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 100);
}

/// What changes is another program; the workers of the old one end.
#[tokio::test]
async fn changes_retire_workers() {
    let world = World::new().await;
    world.function("f", json!({})).await;
    world.root(invocation("f", "RequestResponse", "1")).await;
    world.root(on("PUT", "f", "/configuration", json!({"Timeout": 9}))).await;
    world.root(invocation("f", "RequestResponse", "1")).await;
    let code = zip_maker::archive(&[zip_maker::file("index.py", "x = 1\n")]);
    world.root(on("PUT", "f", "/code", json!({"ZipFile": base64(&code)}))).await;
    world.root(invocation("f", "RequestResponse", "1")).await;
    world.root(on("DELETE", "f", "", Value::Null)).await;
    let programs: Vec<u128> = world.workers.runs.lock().unwrap().iter().map(|run| run.0.id).collect();
    assert_eq!(programs.iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(*world.workers.retired.lock().unwrap(), programs);
}

/// A worker of a function that was changed or deleted meanwhile still gets what it began with.
#[tokio::test]
async fn what_began_ends_as_it_began() {
    let world = World::new().await;
    world.function("f", json!({})).await;
    world.root(invocation("f", "RequestResponse", "1")).await;
    let (program, ..) = world.workers.runs.lock().unwrap()[0].clone();
    let host = world.lambda.host(Arc::new(|_| Box::new(())));
    for change in [on("PUT", "f", "/configuration", json!({"Timeout": 9})), on("DELETE", "f", "", Value::Null)] {
        world.root(change).await;
        let made = host.credentials(&program).await.unwrap().unwrap();
        assert_eq!((made.access_key_id.as_str(), program.role.as_str()), ("ASIA-f", world::role_arn("r").as_str()));
    }
    assert!(world.call(owner(), on("GET", "f", "", Value::Null)).await.is_err(), "it is deleted");
}

#[tokio::test]
async fn dry_runs_change_nothing() {
    let world = World::new().await;
    let made = world.function("f", json!({})).await;
    let code = zip_maker::archive(&[zip_maker::file("index.py", "x = 1\n")]);
    let dry = world.root(on("PUT", "f", "/code", json!({"ZipFile": base64(&code), "DryRun": true}))).await;
    assert_ne!(dry["CodeSha256"], made["CodeSha256"]);
    let shown = world.root(on("GET", "f", "/configuration", Value::Null)).await;
    assert_eq!((&shown["CodeSha256"], &shown["RevisionId"]), (&made["CodeSha256"], &made["RevisionId"]));
}

#[tokio::test]
async fn layers() {
    let world = World::new().await;
    let publish = |more: Value| {
        let mut body = json!({"Content": {"ZipFile": base64(&zip_maker::function())}});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        request("POST", "/2018-10-31/layers/l/versions", "", body)
    };
    let first = world.root(publish(json!({"CompatibleRuntimes": ["python3.12"], "Description": "d"}))).await;
    assert_eq!((&first["Version"], &first["LayerVersionArn"]), (&json!(1), &json!(format!("{}:1", layer_arn("l")))));
    assert_eq!(world.root(publish(json!({"CompatibleRuntimes": ["nodejs22.x"]}))).await["Version"], 2);
    let list = async |query: &str, path: &str| world.root(request("GET", path, query, Value::Null)).await;
    for (query, expected) in [("", 2), ("CompatibleRuntime=python3.12", 1), ("CompatibleRuntime=nodejs22.x", 2)] {
        let found = list(query, "/2018-10-31/layers").await;
        assert_eq!(found["Layers"][0]["LatestMatchingVersion"]["Version"], expected, "{query}");
    }
    assert_eq!(list("CompatibleRuntime=python3.9", "/2018-10-31/layers").await["Layers"], json!([]));
    let versions = list("", "/2018-10-31/layers/l/versions").await;
    assert_eq!(versions["LayerVersions"].as_array().unwrap().len(), 2);
    let used = json!({"Layers": [format!("{}:1", layer_arn("l"))]});
    world.function("f", used).await;
    let twice = json!({"Layers": [format!("{}:1", layer_arn("l")), format!("{}:2", layer_arn("l"))]});
    assert!(world.refused(on("PUT", "f", "/configuration", twice)).await.1.contains("Two different versions"));
    // A function keeps the layer that it has.
    world.root(request("DELETE", "/2018-10-31/layers/l/versions/1", "", Value::Null)).await;
    world.root(invocation("f", "RequestResponse", "1")).await;
    assert_eq!(world.workers.runs.lock().unwrap()[0].0.layers.len(), 1);
    assert_eq!(world.root(publish(json!({}))).await["Version"], 3);
    let wrong = publish(json!({"CompatibleRuntimes": ["java21"]}));
    assert_eq!(world.refused(wrong).await.0, "InvalidParameterValueException");
}

/// Code that nothing uses goes; code that is used stays, whoever else had the same.
#[tokio::test]
async fn code_is_kept_as_long_as_it_is_used() {
    let world = World::new().await;
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(world.dir.path().join("archives"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names.len()
    };
    world.function("f", json!({})).await;
    world.function("g", json!({})).await;
    assert_eq!(files(), 1, "the same code is kept once");
    world.root(on("DELETE", "f", "", Value::Null)).await;
    world.lambda.sweep().await;
    assert_eq!(files(), 1);
    world.root(invocation("g", "RequestResponse", "1")).await;
    world.root(on("DELETE", "g", "", Value::Null)).await;
    world.lambda.sweep().await;
    assert_eq!(files(), 0);
}
