//! Event source mappings: every operation asks for permission (Service Authorization Reference, "Actions, resources, and condition keys for AWS Lambda"),
//! and what one that reads a queue does with its messages.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "authorization/mappings.rs"]
mod rows;
mod world;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{Caller, Principal, QueueFacts, Queues, ReceivedMessage, Rejection};
use millpond_types::Arn;
use rows::{PATH, ROWS, made, queue_arn};
use serde_json::{Value, json};
use world::{OWNER, REGION, STRANGER, World, caller, function_arn, request, role, root, says, user};

/// A queue in memory.
#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<ReceivedMessage>>,
    deleted: Mutex<Vec<String>>,
    buried: Mutex<Vec<(String, String)>>,
}

impl Queue {
    fn send(&self, id: &str, body: &str, causes: usize) {
        self.waiting.lock().unwrap().push_back(ReceivedMessage {
            id: id.to_owned(),
            receipt: format!("receipt-{id}"),
            body: Bytes::copy_from_slice(body.as_bytes()),
            md5: String::new(),
            system: Vec::new(),
            attributes: Vec::new(),
            md5_of_attributes: None,
            causes: (0..causes).map(|number| format!("cause-{number}")).collect(),
        });
    }
}

impl Queues for Queue {
    fn facts<'a>(&'a self, queue: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<QueueFacts, Rejection>> {
        let missing = queue.as_str().ends_with("missing");
        async move {
            if missing {
                return Err(Rejection::NotFound("The specified queue does not exist.".to_owned()));
            }
            Ok(QueueFacts { visibility: Duration::from_secs(30), fifo: false })
        }
        .boxed()
    }

    fn may_take<'a>(&'a self, queue: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        let may =
            if queue.as_str().ends_with("shown") { Err(Rejection::Denied("DeleteMessage".to_owned())) } else { Ok(()) };
        async { may }.boxed()
    }

    fn receive<'a>(
        &'a self,
        _: &'a Arn,
        _: &'a Caller,
        most: usize,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<ReceivedMessage>, Rejection>> {
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut waiting = self.waiting.lock().unwrap();
            let count = most.min(waiting.len());
            Ok(waiting.drain(..count).collect())
        }
        .boxed()
    }

    fn delete<'a>(&'a self, _: &'a Arn, _: &'a Caller, receipts: &'a [String]) -> BoxFuture<'a, Result<(), Rejection>> {
        self.deleted.lock().unwrap().extend_from_slice(receipts);
        async { Ok(()) }.boxed()
    }

    fn give_back<'a>(
        &'a self,
        _: &'a Arn,
        _: &'a Caller,
        _: &'a [String],
        _: Duration,
    ) -> BoxFuture<'a, Result<(), Rejection>> {
        async { Ok(()) }.boxed()
    }

    fn bury<'a>(
        &'a self,
        _: &'a Arn,
        _: &'a Caller,
        receipts: &'a [String],
        reason: &'a str,
    ) -> BoxFuture<'a, Result<bool, Rejection>> {
        self.buried.lock().unwrap().extend(receipts.iter().map(|receipt| (receipt.clone(), reason.to_owned())));
        async { Ok(true) }.boxed()
    }
}

/// A function `f` with a mapping.
async fn stage() -> (World, Arc<Queue>, String) {
    let (world, queue) = (World::new().await, Arc::new(Queue::default()));
    world.kernel.use_queues(queue.clone());
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    world.people.add(&role(OWNER, "r"), &[says("Allow", "*")], None);
    world.function("f", json!({})).await;
    let mapping = world.root(made("q")).await;
    (world, queue, mapping["UUID"].as_str().unwrap().to_owned())
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for (name, row) in ROWS {
        let (world, _, id) = stage().await;
        let ask = |principal| world.call(caller(principal, None), row(&id));
        let anonymous = ask(Principal::Anonymous).await.map(drop);
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{name}");
        assert_eq!(ask(user(OWNER, "alice")).await.map(drop), denied(), "{name}");
        assert_eq!(ask(root(OWNER)).await.map(drop), Ok(()), "{name} by root");
    }
}

#[tokio::test]
async fn policies_of_identities_count() {
    let alice = user(OWNER, "alice");
    for (name, row) in ROWS {
        let action = format!("lambda:{name}");
        let of = |function: &str| {
            json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*",
                "Condition": {"StringLike": {"lambda:FunctionArn": function}}}})
            .to_string()
        };
        let about_functions = *name != "ListEventSourceMappings";
        let (yes, no) = (says("Allow", &action), says("Deny", &action));
        for (policies, boundary, expected) in [
            (vec![yes.clone()], None, Ok(())),
            (vec![says("Allow", "lambda:Other")], None, denied()),
            (vec![yes.clone(), no], None, denied()),
            (vec![yes.clone()], Some(says("Allow", "s3:*")), denied()),
            (vec![yes], Some(says("Allow", "lambda:*")), Ok(())),
            (vec![of("*:function:f")], None, if about_functions { Ok(()) } else { denied() }),
            (vec![of("*:function:other")], None, denied()),
        ] {
            let (world, _, id) = stage().await;
            world.people.add(&alice, &policies, boundary.clone());
            let asked = world.call(caller(alice.clone(), None), row(&id)).await.map(drop);
            assert_eq!(asked, expected, "{name} {policies:?} {boundary:?}");
        }
    }
}

/// Who may change the mapping of one function may not turn it on another one.
#[tokio::test]
async fn both_functions_of_a_change_count() {
    let alice = user(OWNER, "alice");
    for (functions, expected) in
        [(vec!["f"], denied()), (vec!["g"], denied()), (vec!["f", "g"], Ok(())), (vec!["f", "other"], denied())]
    {
        let (world, _, id) = stage().await;
        world.function("g", json!({})).await;
        let arns: Vec<String> = functions.iter().map(|name| function_arn(name)).collect();
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambda:*",
            "Resource": "*", "Condition": {"StringEquals": {"lambda:FunctionArn": arns}}}});
        world.people.add(&alice, &[policy.to_string()], None);
        let change = request("PUT", &format!("{PATH}/{id}"), "", json!({"FunctionName": "g"}));
        let asked = world.call(caller(alice.clone(), None), change).await.map(drop);
        assert_eq!(asked, expected, "{functions:?}");
    }
}

#[tokio::test]
async fn mappings_of_another_account_are_not_there() {
    let bob = user(STRANGER, "bob");
    for (name, row) in ROWS {
        let (world, _, id) = stage().await;
        world.people.add(&bob, &[says("Allow", "lambda:*")], None);
        let asked = world.call(caller(bob.clone(), None), row(&id)).await;
        match *name {
            "ListEventSourceMappings" => assert_eq!(asked.unwrap()["EventSourceMappings"], json!([])),
            "CreateEventSourceMapping" => assert_eq!(asked, Err("InvalidParameterValueException".to_owned())),
            _ => assert_eq!(asked, Err("ResourceNotFoundException".to_owned()), "{name}"),
        }
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for (name, row) in ROWS {
        for (session, expected) in [(says("Allow", "lambda:*"), Ok(())), (says("Allow", "s3:*"), denied())] {
            let (world, _, id) = stage().await;
            let asked = world.call(caller(r.clone(), Some(vec![session.clone()])), row(&id)).await.map(drop);
            assert_eq!(asked, expected, "{name} in a session that has {session}");
        }
    }
}

#[tokio::test]
async fn what_is_there_is_shown_and_kept() {
    let (world, _, id) = stage().await;
    let get = |id: &str| request("GET", &format!("{PATH}/{id}"), "", Value::Null);
    let shown = world.root(get(&id)).await;
    assert_eq!((&shown["BatchSize"], &shown["State"]), (&json!(10), &json!("Creating")));
    assert_eq!(shown["FunctionArn"], function_arn("f"));
    let arn = format!("arn:aws:lambda:{REGION}:{OWNER}:event-source-mapping:{id}");
    assert_eq!(shown["EventSourceMappingArn"], arn);
    let change = json!({"BatchSize": 3, "Enabled": false, "FunctionResponseTypes": ["ReportBatchItemFailures"]});
    world.root(request("PUT", &format!("{PATH}/{id}"), "", change)).await;
    assert_eq!(world.refused(made("q")).await.0, "ResourceConflictException");
    assert_eq!(world.refused(made("missing")).await.0, "InvalidParameterValueException");
    assert!(world.refused(made("shown")).await.1.contains("call DeleteMessage on SQS"));
    assert_eq!(world.refused(get("01234567-89ab-4def-8123-456789abcdef")).await.0, "ResourceNotFoundException");
    let world = world.reopened().await;
    let shown = world.root(get(&id)).await;
    assert_eq!((&shown["BatchSize"], &shown["State"]), (&json!(3), &json!("Disabled")));
    assert_eq!(shown["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
}

/// Waits for what another task does.
async fn eventually(what: &str, is: impl Fn() -> bool) {
    let until = std::time::Duration::from_secs(30);
    let looking = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(until, looking).await.is_ok(), "{what}");
}

#[tokio::test]
async fn messages_are_invoked_with_and_deleted() {
    let (world, queue, id) = stage().await;
    queue.send("a", "1", 2);
    queue.send("b", "2", 0);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let lambda = world.lambda.clone();
    let running = tokio::spawn(async move { lambda.run(stopped.map(drop)).await });
    eventually("they are deleted", || queue.deleted.lock().unwrap().len() == 2).await;
    let (_, _, payload, causes) = world.workers.runs.lock().unwrap().first().cloned().unwrap();
    let event: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(event["Records"][0]["body"], "1");
    assert_eq!(event["Records"][0]["eventSourceARN"], queue_arn("q"));
    assert_eq!(causes.len(), 3, "the longest chain, and the invocation");
    // One more hop is one too many.
    queue.send("c", "3", 16);
    queue.send("d", "4", 15);
    eventually("it is buried", || queue.buried.lock().unwrap().len() == 1).await;
    eventually("the other is deleted", || queue.deleted.lock().unwrap().len() == 3).await;
    let (receipt, reason) = queue.buried.lock().unwrap().first().cloned().unwrap();
    assert!(receipt == "receipt-c" && reason.contains("loop"), "{receipt} {reason}");
    assert_eq!(world.lambda.figures().loops, 1);
    // It goes as soon as nobody reads by it.
    world.root(request("DELETE", &format!("{PATH}/{id}"), "", Value::Null)).await;
    let get = || world.call(caller(root(OWNER), None), request("GET", &format!("{PATH}/{id}"), "", Value::Null));
    while get().await.is_ok_and(|shown| shown["State"] == "Deleting") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(get().await, Err("ResourceNotFoundException".to_owned()));
    stop.send(()).unwrap();
    running.await.unwrap();
}
