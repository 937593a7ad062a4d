//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "Actions, resources, and condition keys for
//! AWS Lambda"; Developer Guide, "Resource-based policies").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{
    OWNER, Request, STRANGER, World, base64, caller, function_arn, invocation, layer_arn, new_function, request, role,
    role_arn, root, says, user, zip_maker,
};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// The caller's own account.
    Account,
    /// A function, whose policy may let others in.
    Function,
    /// A layer, which has no policy.
    Layer,
    /// A version of a layer, whose policy lets others read it.
    LayerVersion,
}
use On::{Account, Function, Layer, LayerVersion};

/// Operation, action, what it touches, and how it is asked for.
type Row = (&'static str, &'static str, On, fn() -> Request);

const FUNCTIONS: &str = "/2015-03-31/functions";

/// A request about the owner's function, by its ARN.
fn function(method: &str, api: &str, rest: &str, query: &str, body: Value) -> Request {
    let arn = function_arn("f").replace(':', "%3A");
    request(method, &format!("/{api}/functions/{arn}{rest}"), query, body)
}

fn layer(method: &str, rest: &str, body: Value) -> Request {
    let arn = layer_arn("l").replace(':', "%3A");
    request(method, &format!("/2018-10-31/layers/{arn}/versions{rest}"), "", body)
}

fn tags(method: &str, query: &str, body: Value) -> Request {
    let arn = function_arn("f").replace(':', "%3A");
    request(method, &format!("/2017-03-31/tags/{arn}"), query, body)
}

fn code() -> Value {
    json!({"ZipFile": base64(&zip_maker::function())})
}

fn permission() -> Value {
    json!({"StatementId": "new", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"})
}

const OLD: &str = "2015-03-31";

const ROWS: &[Row] = &[
    ("AddLayerVersionPermission", "AddLayerVersionPermission", LayerVersion, || {
        layer("POST", "/1/policy", json!({"StatementId": "new", "Action": "lambda:GetLayerVersion", "Principal": "*"}))
    }),
    ("AddPermission", "AddPermission", Function, || function("POST", OLD, "/policy", "", permission())),
    ("CreateAlias", "CreateAlias", Function, || {
        function("POST", OLD, "/aliases", "", json!({"Name": "new", "FunctionVersion": "1"}))
    }),
    ("CreateFunction", "CreateFunction", Account, || request("POST", FUNCTIONS, "", new_function("new", json!({})))),
    ("DeleteAlias", "DeleteAlias", Function, || function("DELETE", OLD, "/aliases/a", "", Value::Null)),
    ("DeleteFunction", "DeleteFunction", Function, || function("DELETE", OLD, "", "", Value::Null)),
    ("DeleteFunctionConcurrency", "DeleteFunctionConcurrency", Function, || {
        function("DELETE", "2017-10-31", "/concurrency", "", Value::Null)
    }),
    ("DeleteFunctionEventInvokeConfig", "DeleteFunctionEventInvokeConfig", Function, || {
        function("DELETE", "2019-09-25", "/event-invoke-config", "", Value::Null)
    }),
    ("DeleteLayerVersion", "DeleteLayerVersion", LayerVersion, || layer("DELETE", "/1", Value::Null)),
    ("GetAccountSettings", "GetAccountSettings", Account, || {
        request("GET", "/2016-08-19/account-settings", "", Value::Null)
    }),
    ("GetAlias", "GetAlias", Function, || function("GET", OLD, "/aliases/a", "", Value::Null)),
    ("GetFunction", "GetFunction", Function, || function("GET", OLD, "", "", Value::Null)),
    ("GetFunctionCodeSigningConfig", "GetFunctionCodeSigningConfig", Function, || {
        function("GET", "2020-06-30", "/code-signing-config", "", Value::Null)
    }),
    ("GetFunctionConcurrency", "GetFunctionConcurrency", Function, || {
        function("GET", "2019-09-30", "/concurrency", "", Value::Null)
    }),
    ("GetFunctionConfiguration", "GetFunctionConfiguration", Function, || {
        function("GET", OLD, "/configuration", "", Value::Null)
    }),
    ("GetFunctionEventInvokeConfig", "GetFunctionEventInvokeConfig", Function, || {
        function("GET", "2019-09-25", "/event-invoke-config", "", Value::Null)
    }),
    ("GetFunctionRecursionConfig", "GetFunctionRecursionConfig", Function, || {
        function("GET", "2024-08-31", "/recursion-config", "", Value::Null)
    }),
    ("GetLayerVersion", "GetLayerVersion", LayerVersion, || layer("GET", "/1", Value::Null)),
    ("GetLayerVersionByArn", "GetLayerVersion", LayerVersion, || {
        let arn = layer_arn("l").replace(':', "%3A");
        request("GET", "/2018-10-31/layers", &format!("find=LayerVersion&Arn={arn}%3A1"), Value::Null)
    }),
    ("GetLayerVersionPolicy", "GetLayerVersionPolicy", LayerVersion, || layer("GET", "/1/policy", Value::Null)),
    ("GetPolicy", "GetPolicy", Function, || function("GET", OLD, "/policy", "", Value::Null)),
    ("GetRuntimeManagementConfig", "GetRuntimeManagementConfig", Function, || {
        function("GET", "2021-07-20", "/runtime-management-config", "", Value::Null)
    }),
    ("Invoke", "InvokeFunction", Function, || {
        invocation(&function_arn("f").replace(':', "%3A"), "RequestResponse", "{}")
    }),
    ("InvokeAsync", "InvokeAsync", Function, || function("POST", "2014-11-13", "/invoke-async/", "", json!({}))),
    ("ListAliases", "ListAliases", Function, || function("GET", OLD, "/aliases", "", Value::Null)),
    ("ListFunctionEventInvokeConfigs", "ListFunctionEventInvokeConfigs", Function, || {
        function("GET", "2019-09-25", "/event-invoke-config/list", "", Value::Null)
    }),
    ("ListFunctions", "ListFunctions", Account, || request("GET", "/2015-03-31/functions/", "", Value::Null)),
    ("ListLayerVersions", "ListLayerVersions", Layer, || layer("GET", "", Value::Null)),
    ("ListLayers", "ListLayers", Account, || request("GET", "/2018-10-31/layers", "", Value::Null)),
    ("ListTags", "ListTags", Function, || tags("GET", "", Value::Null)),
    ("ListVersionsByFunction", "ListVersionsByFunction", Function, || {
        function("GET", OLD, "/versions", "", Value::Null)
    }),
    ("PublishLayerVersion", "PublishLayerVersion", Layer, || layer("POST", "", json!({"Content": code()}))),
    ("PublishVersion", "PublishVersion", Function, || function("POST", OLD, "/versions", "", json!({}))),
    ("PutFunctionConcurrency", "PutFunctionConcurrency", Function, || {
        function("PUT", "2017-10-31", "/concurrency", "", json!({"ReservedConcurrentExecutions": 3}))
    }),
    ("PutFunctionEventInvokeConfig", "PutFunctionEventInvokeConfig", Function, || {
        function("PUT", "2019-09-25", "/event-invoke-config", "", json!({"MaximumRetryAttempts": 0}))
    }),
    ("PutFunctionRecursionConfig", "PutFunctionRecursionConfig", Function, || {
        function("PUT", "2024-08-31", "/recursion-config", "", json!({"RecursiveLoop": "Allow"}))
    }),
    ("RemoveLayerVersionPermission", "RemoveLayerVersionPermission", LayerVersion, || {
        layer("DELETE", "/1/policy/s", Value::Null)
    }),
    ("RemovePermission", "RemovePermission", Function, || function("DELETE", OLD, "/policy/s", "", Value::Null)),
    ("TagResource", "TagResource", Function, || tags("POST", "", json!({"Tags": {"a": "b"}}))),
    ("UntagResource", "UntagResource", Function, || tags("DELETE", "tagKeys=a", Value::Null)),
    ("UpdateAlias", "UpdateAlias", Function, || function("PUT", OLD, "/aliases/a", "", json!({"Description": "new"}))),
    ("UpdateFunctionCode", "UpdateFunctionCode", Function, || function("PUT", OLD, "/code", "", code())),
    ("UpdateFunctionConfiguration", "UpdateFunctionConfiguration", Function, || {
        function("PUT", OLD, "/configuration", "", json!({"Role": role_arn("r")}))
    }),
    ("UpdateFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig", Function, || {
        function("POST", "2019-09-25", "/event-invoke-config", "", json!({"MaximumRetryAttempts": 1}))
    }),
];

/// A function `f` with a version, an alias, a policy and a configuration; a layer `l` with a version and its policy.
async fn stage() -> World {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    world.function("f", json!({"Publish": true})).await;
    world.root(function("POST", OLD, "/aliases", "", json!({"Name": "a", "FunctionVersion": "1"}))).await;
    world.root(function("PUT", "2019-09-25", "/event-invoke-config", "", json!({"MaximumRetryAttempts": 0}))).await;
    let statement = json!({"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"});
    world.root(function("POST", OLD, "/policy", "", statement)).await;
    world.layer("l").await;
    let statement = json!({"StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": OWNER});
    world.root(layer("POST", "/1/policy", statement)).await;
    world
}

async fn ask(world: &World, caller: Caller, row: &Row) -> Result<(), String> {
    world.call(caller, row.3()).await.map(drop)
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

/// What lets an operation be carried out, besides its own action: functions are passed a role.
fn with_role(action: &str) -> String {
    let actions = json!([action, "iam:PassRole"]);
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}).to_string()
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let world = stage().await;
        let anonymous = ask(&world, caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(ask(&world, caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
        assert_eq!(ask(&world, caller(root(OWNER), None), row).await, Ok(()), "{} by root", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_count() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("lambda:{}", row.1);
        let (yes, no) = (with_role(&action), says("Deny", &action));
        for (policies, boundary, expected) in [
            (vec![yes.clone()], None, Ok(())),
            (vec![with_role("lambda:Other")], None, denied()),
            (vec![yes.clone(), no], None, denied()),
            (vec![yes.clone()], Some(says("Allow", "s3:*")), denied()),
            (vec![yes], Some(with_role("lambda:*")), Ok(())),
        ] {
            let world = stage().await;
            world.people.add(&alice, &policies, boundary.clone());
            let asked = ask(&world, caller(alice.clone(), None), row).await;
            assert_eq!(asked, expected, "{} {policies:?} {boundary:?}", row.0);
        }
    }
}

/// Whom a resource's own policy lets in, and from other accounts nobody else.
#[tokio::test]
async fn policies_of_resources_count() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let world = stage().await;
        world.people.add(&bob, &[with_role("lambda:*")], None);
        let alone = ask(&world, caller(bob.clone(), None), row).await;
        if row.2 == Account {
            // A function of one's own, but the role is the owner's.
            let expected = if row.0 == "CreateFunction" { denied() } else { Ok(()) };
            assert_eq!(alone, expected, "{}", row.0);
            continue;
        }
        assert_eq!(alone, denied(), "{} of another account", row.0);
        let statement = |action: &str| json!({"StatementId": "bob", "Action": action, "Principal": STRANGER});
        match row.2 {
            Function => {
                let action = format!("lambda:{}", row.1);
                world.root(function("POST", OLD, "/policy", "", statement(&action))).await;
                let invited = ask(&world, caller(bob.clone(), None), row).await;
                // A role is passed by its own account alone.
                let expected = if row.0 == "UpdateFunctionConfiguration" { denied() } else { Ok(()) };
                assert_eq!(invited, expected, "{} by the function's policy", row.0);
            }
            LayerVersion if row.1 == "GetLayerVersion" => {
                world.root(layer("POST", "/1/policy", statement("lambda:GetLayerVersion"))).await;
                assert_eq!(ask(&world, caller(bob.clone(), None), row).await, Ok(()), "{}", row.0);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [(with_role("lambda:*"), Ok(())), (says("Allow", "s3:*"), denied())] {
            let world = stage().await;
            world.people.add(&r, &[with_role("lambda:*")], None);
            let asked = ask(&world, caller(r.clone(), Some(vec![session.clone()])), row).await;
            assert_eq!(asked, expected, "{} in a session that has {session}", row.0);
        }
    }
}

#[tokio::test]
async fn the_role_must_be_passed_and_let_the_service_in() {
    let alice = user(OWNER, "alice");
    let pass = |resource: &str, service: &str| {
        let condition = json!({"StringEquals": {"iam:PassedToService": service}});
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": resource, "Condition": condition},
        ]})
        .to_string()
    };
    for (policy, role, expected) in [
        (says("Allow", "lambda:*"), "r", denied()),
        (pass("*", "lambda.amazonaws.com"), "r", Ok(())),
        (pass("*", "events.amazonaws.com"), "r", denied()),
        (pass(&role_arn("other"), "lambda.amazonaws.com"), "r", denied()),
        (pass("*", "lambda.amazonaws.com"), "closed", Err("InvalidParameterValueException".to_owned())),
    ] {
        for create in [true, false] {
            let world = stage().await;
            world.people.add(&alice, std::slice::from_ref(&policy), None);
            let given = json!({"Role": role_arn(role)});
            let asked = if create {
                request("POST", FUNCTIONS, "", new_function("new", given))
            } else {
                function("PUT", OLD, "/configuration", "", given)
            };
            let asked = world.call(caller(alice.clone(), None), asked).await.map(drop);
            assert_eq!(asked, expected, "{create} {policy} {role}");
        }
    }
}

/// A function's policy is about the function alone, that of an alias about the alias alone.
#[tokio::test]
async fn policies_are_about_one_qualifier() {
    let bob = user(STRANGER, "bob");
    for (given, invoked, expected) in [
        ("", "", Ok(())),
        ("", ":a", denied()),
        ("", ":1", denied()),
        ("", ":$LATEST", denied()),
        ("Qualifier=a", ":a", Ok(())),
        ("Qualifier=a", "", denied()),
        ("Qualifier=a", ":1", denied()),
        ("Qualifier=1", ":1", Ok(())),
        ("Qualifier=1", ":a", denied()),
    ] {
        let world = stage().await;
        world.people.add(&bob, &[says("Allow", "lambda:*")], None);
        let statement = json!({"StatementId": "bob", "Action": "lambda:InvokeFunction", "Principal": STRANGER});
        world.root(function("POST", OLD, "/policy", given, statement)).await;
        let arn = format!("{}{invoked}", function_arn("f")).replace(':', "%3A").replace('$', "%24");
        let asked = world.call(caller(bob.clone(), None), invocation(&arn, "RequestResponse", "1")).await;
        assert_eq!(asked.map(drop), expected, "{given} and {invoked}");
    }
}

/// Layers are read as whoever gives them to a function.
#[tokio::test]
async fn layers_are_read_as_the_caller() {
    let alice = user(OWNER, "alice");
    let of = |actions: &[&str]| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}})
            .to_string()
    };
    for (policy, named, expected) in [
        (of(&["lambda:CreateFunction", "iam:PassRole", "lambda:GetLayerVersion"]), "mine", Ok(())),
        (of(&["lambda:CreateFunction", "iam:PassRole"]), "mine", denied()),
        (of(&["lambda:CreateFunction", "iam:PassRole"]), "l", Ok(())),
    ] {
        let world = stage().await;
        world.layer("mine").await;
        let everybody = json!({"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*"});
        world.root(layer("POST", "/1/policy", everybody)).await;
        world.people.add(&alice, std::slice::from_ref(&policy), None);
        let layers = json!({"Layers": [format!("{}:1", layer_arn(named))]});
        let asked = request("POST", FUNCTIONS, "", new_function("new", layers));
        assert_eq!(world.call(caller(alice.clone(), None), asked).await.map(drop), expected, "{policy} {named}");
    }
}

#[tokio::test]
async fn tags_decide() {
    let alice = user(OWNER, "alice");
    let of = |team: &str| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambda:*", "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": team}}}})
        .to_string()
    };
    for (team, expected) in [("a", Ok(())), ("b", denied())] {
        let world = stage().await;
        world.root(tags("POST", "", json!({"Tags": {"team": "a"}}))).await;
        world.people.add(&alice, &[of(team)], None);
        let asked = world.call(caller(alice.clone(), None), function("GET", OLD, "", "", Value::Null)).await;
        assert_eq!(asked.map(drop), expected, "{team}");
    }
}

/// Who may not ask is not told what there is.
#[tokio::test]
async fn what_is_missing_is_told_to_those_who_may_ask() {
    let alice = user(OWNER, "alice");
    for (policy, expected) in [
        (says("Allow", "lambda:GetFunction"), "ResourceNotFoundException"),
        (says("Allow", "lambda:Other"), "AccessDeniedException"),
    ] {
        let world = stage().await;
        world.people.add(&alice, &[policy], None);
        let asked = request("GET", &format!("{FUNCTIONS}/missing"), "", Value::Null);
        assert_eq!(world.call(caller(alice.clone(), None), asked).await, Err(expected.to_owned()));
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_lambda::Operation::ALL {
        // Those of event source mappings are in a file of their own.
        let elsewhere = operation.name().contains("EventSourceMapping");
        assert!(elsewhere || ROWS.iter().any(|row| row.0 == operation.name()), "{operation:?} has no row");
    }
}
