//! Events that nobody waits for: how often they are run, and where what follows goes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::outbox::Outbox;
use millpond_kernel::timers::Timers;
use millpond_kernel::{Arrival, Caller, Delivery, Rejection, Target};
use millpond_meta::{Batch, Kv};
use millpond_types::{Arn, Timestamp};
use serde_json::{Value, json};
use world::{OWNER, REGION, World, caller, function_arn, request, role, says};

/// Buses that remember what arrives.
#[derive(Default)]
struct Letters(Mutex<Vec<(String, Value)>>);

impl Letters {
    fn conditions(&self) -> Vec<(String, String)> {
        let letters = self.0.lock().unwrap();
        let condition = |body: &Value| body["detail"]["requestContext"]["condition"].as_str().unwrap().to_owned();
        letters.iter().map(|(to, body)| (to.clone(), condition(body))).collect()
    }
}

impl Target for Letters {
    fn check<'a>(&'a self, _: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async { Ok(()) }.boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        _: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        let body = serde_json::from_slice(&delivery.body).unwrap();
        self.0.lock().unwrap().push((to.resource().rsplit('/').next().unwrap().to_owned(), body));
        async { Ok(Arrival::default()) }.boxed()
    }
}

struct Lab {
    world: World,
    letters: Arc<Letters>,
    outbox: Outbox,
    timers: Timers,
}

impl Lab {
    /// A function `f` whose answers go to one place and whose failures go to the bus `failures`, and a function `g`.
    async fn new(on_success: &str) -> Self {
        let (world, letters) = (World::new().await, Arc::new(Letters::default()));
        world.kernel.targets().register("events", letters.clone());
        world.kernel.targets().register("lambda", world.lambda.target());
        world.people.add(&role(OWNER, "r"), &[says("Allow", "*")], None);
        world.function("f", json!({})).await;
        world.function("g", json!({})).await;
        let to = |arn: &str| json!({"Destination": arn});
        let config = json!({"OnSuccess": to(on_success), "OnFailure": to(&bus("failures"))});
        let path = "/2019-09-25/functions/f/event-invoke-config";
        world.root(request("PUT", path, "", json!({"DestinationConfig": config}))).await;
        let kv = Arc::new(world.kv.clone());
        let timers = Timers::new(kv.clone(), world.clock.clone());
        let outbox = Outbox::new(kv, world.clock.clone(), timers.clone());
        outbox.add(world.lambda.carrier());
        Self { world, letters, outbox, timers }
    }

    /// Sends an event that follows from so many others.
    async fn send(&self, causes: usize) {
        let delivery = Delivery {
            id: 1,
            body: Bytes::from_static(b"{}"),
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: Timestamp::from_seconds(1_800_000_000),
            causes: (0..causes).map(|number| format!("s3:{number}")).collect(),
            event: String::new(),
        };
        let (to, from) = (Arn::parse(&function_arn("f")).unwrap(), caller(role(OWNER, "r"), None));
        let Arrival { conds, ops } = self.world.kernel.targets().arrive(&to, &from, &delivery).await.unwrap();
        self.world.kv.commit(Batch { conds, ops, ..Batch::default() }).await.unwrap();
    }

    /// Runs events until something is so.
    async fn run(&self, what: &str, is: impl Fn() -> bool) {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let outbox = self.outbox.clone();
        let running = tokio::spawn(async move { outbox.run(stopped.map(drop)).await });
        let looking = async {
            while !is() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(30), looking).await.is_ok(), "{what}");
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

fn bus(name: &str) -> String {
    format!("arn:aws:events:{REGION}:{OWNER}:event-bus/{name}")
}

fn letter(to: &str, condition: &str) -> Vec<(String, String)> {
    vec![(to.to_owned(), condition.to_owned())]
}

/// A machine that cannot run functions as it is may be set up while an event waits.
#[tokio::test]
async fn events_wait_for_a_machine_that_runs_them() {
    let lab = Lab::new(&bus("answers")).await;
    lab.world.workers.unready.store(true, Ordering::SeqCst);
    lab.send(0).await;
    let runs = |count: usize| move |lab: &Lab| lab.world.workers.runs.lock().unwrap().len() == count;
    lab.run("it is tried", || runs(1)(&lab)).await;
    assert!(lab.letters.conditions().is_empty());
    lab.world.workers.unready.store(false, Ordering::SeqCst);
    lab.world.clock.advance(Duration::from_secs(2));
    lab.timers.run_due().await;
    lab.run("it is answered", || !lab.letters.conditions().is_empty()).await;
    assert_eq!(lab.letters.conditions(), letter("answers", "Success"));
    // Not longer than events are tried.
    lab.world.workers.unready.store(true, Ordering::SeqCst);
    lab.send(0).await;
    lab.world.clock.advance(Duration::from_secs(7 * 3600));
    lab.run("it is given up", || lab.letters.conditions().len() == 2).await;
    assert_eq!(lab.letters.conditions()[1..], letter("failures", "EventAgeExceeded"));
}

/// An answer whose destination refuses it as a loop goes where failures go.
#[tokio::test]
async fn answers_that_are_refused_are_not_lost() {
    for (causes, expected) in [(15, letter("failures", "RecursiveInvocation")), (14, Vec::new())] {
        let lab = Lab::new(&function_arn("g")).await;
        lab.send(causes).await;
        let ran = || lab.world.workers.runs.lock().unwrap().len();
        lab.run("it ends", || lab.letters.conditions().len() == expected.len() && ran() >= 2 - expected.len()).await;
        assert_eq!(lab.letters.conditions(), expected, "{causes}");
        assert_eq!(ran(), 2 - expected.len(), "{causes}");
    }
}
