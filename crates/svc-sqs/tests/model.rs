//! Queues against a model of a few lines: what may be received when, in what order, and that nothing is lost or doubled, also over restarts.
//!
//! One seed again: `MILLPOND_SEED=... cargo test -p millpond-svc-sqs --test model`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use millpond_io::{Random, SeededRandom, SystemRandom};
use serde_json::{Value, json};
use world::{World, queue_arn, text};

const STEPS: usize = 400;
const RUNS: u64 = 12;
/// Receives before a message is a dead letter.
const MAX: u32 = 4;
/// Dead letters that one receive moves.
const MOVES: usize = 10;

/// A message as the model has it.
#[derive(Clone, Debug)]
struct Message {
    body: String,
    group: String,
    visible: u64,
    count: u32,
    /// Whether it was received and is not visible.
    flying: bool,
    handle: Option<String>,
}

/// The whole model: messages in the order in which they were sent.
#[derive(Default)]
struct Model {
    now: u64,
    messages: Vec<Message>,
    dead: Vec<String>,
    dedups: BTreeMap<String, u64>,
}

impl Model {
    fn settle(&mut self) {
        let now = self.now;
        self.messages.iter_mut().filter(|one| one.visible <= now).for_each(|one| one.flying = false);
    }

    /// What a receive of a FIFO queue gives. It looks again when all it found were dead letters.
    fn receive_in_order(&mut self, most: usize, timeout: u64) -> Vec<String> {
        self.settle();
        loop {
            let dead = self.dead.len();
            let got = self.receive_once(most, timeout);
            if !got.is_empty() || self.dead.len() == dead {
                return got;
            }
        }
    }

    /// Groups by their first message, of each as many as there are.
    fn receive_once(&mut self, most: usize, timeout: u64) -> Vec<String> {
        let (mut got, mut gone, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        while got.len() < most && gone.len() < MOVES {
            let head = |at: &usize| {
                let one = &self.messages[*at];
                let mine = |other: &&Message| other.group == one.group;
                one.visible <= self.now
                    && !groups.contains(&one.group)
                    && !self.messages.iter().filter(mine).any(|other| other.flying)
                    && self.messages[..*at].iter().filter(mine).count() == 0
            };
            let Some(first) = (0..self.messages.len()).find(head) else { break };
            let group = self.messages[first].group.clone();
            for one in self.messages[first..].iter_mut().filter(|one| one.group == group) {
                if got.len() == most || gone.len() == MOVES || one.visible > self.now {
                    break;
                }
                if one.count >= MAX {
                    gone.push(one.body.clone());
                } else {
                    one.count += 1;
                    got.push(one.body.clone());
                }
            }
            groups.push(group);
        }
        self.messages.retain(|one| !gone.contains(&one.body));
        for one in self.messages.iter_mut().filter(|one| got.contains(&one.body)) {
            (one.visible, one.flying) = (self.now + timeout, true);
        }
        self.dead.extend(gone);
        got
    }
}

struct Run {
    world: World,
    dice: SeededRandom,
    model: Model,
    url: String,
    fifo: bool,
    sent: u32,
}

impl Run {
    async fn new(seed: u64, fifo: bool) -> Self {
        let world = World::new().await;
        let (suffix, mut attributes) = if fifo { (".fifo", json!({"FifoQueue": "true"})) } else { ("", json!({})) };
        world.queue(&format!("dead{suffix}"), attributes.clone()).await;
        let redrive = json!({"deadLetterTargetArn": queue_arn(&format!("dead{suffix}")), "maxReceiveCount": MAX});
        attributes["RedrivePolicy"] = redrive.to_string().into();
        let url = world.queue(&format!("q{suffix}"), attributes).await;
        Self { world, dice: SeededRandom::new(seed), model: Model::default(), url, fifo, sent: 0 }
    }

    async fn send(&mut self) {
        self.sent += 1;
        let (body, group) = (format!("m{}", self.sent), format!("g{}", self.dice.below(4)));
        let mut request = json!({"QueueUrl": self.url, "MessageBody": body});
        let mut fresh = true;
        if self.fifo {
            let dedup = format!("d{}", self.dice.below(40));
            request["MessageGroupId"] = group.clone().into();
            request["MessageDeduplicationId"] = dedup.clone().into();
            fresh = self.model.dedups.get(&dedup).is_none_or(|until| *until <= self.model.now);
            if fresh {
                self.model.dedups.insert(dedup, self.model.now + 300);
            }
        }
        let delay = if self.fifo || !self.dice.one_in(4) { 0 } else { self.dice.below(20) };
        if delay > 0 {
            request["DelaySeconds"] = delay.into();
        }
        self.world.root("SendMessage", request).await;
        if fresh {
            let visible = self.model.now + delay;
            self.model.messages.push(Message { body, group, visible, count: 0, flying: false, handle: None });
        }
    }

    async fn receive(&mut self) {
        let most = 1 + usize::try_from(self.dice.below(10)).unwrap();
        let timeout = if self.dice.one_in(6) { 0 } else { 1 + self.dice.below(40) };
        let got = self.world.receive(&self.url, most, timeout).await;
        let bodies: Vec<String> = got.iter().map(|one| text(&one["Body"])).collect();
        if self.fifo {
            let expected = self.model.receive_in_order(most, timeout);
            assert_eq!(bodies, expected, "received in order at {}", self.model.now);
        } else {
            self.received_any(&bodies, most, timeout);
        }
        for one in &got {
            let (body, handle) = (text(&one["Body"]), text(&one["ReceiptHandle"]));
            let known = self.model.messages.iter_mut().find(|known| known.body == body).unwrap();
            assert_eq!(one["Attributes"]["ApproximateReceiveCount"], known.count.to_string(), "{body}");
            known.handle = Some(handle);
        }
    }

    /// A standard queue gives any that are visible, and moves those that were received too often.
    fn received_any(&mut self, bodies: &[String], most: usize, timeout: u64) {
        self.model.settle();
        let now = self.model.now;
        for body in bodies {
            let one = self.model.messages.iter_mut().find(|one| one.body == *body);
            let one = one.unwrap_or_else(|| panic!("{body} is not there"));
            assert!(one.visible <= now && one.count < MAX, "{body} is not to be received at {now}: {one:?}");
            (one.count, one.visible, one.flying) = (one.count + 1, now + timeout, true);
        }
        let left = self
            .model
            .messages
            .iter()
            .filter(|one| one.visible <= now && one.count < MAX && !bodies.contains(&one.body));
        assert!(!bodies.is_empty() || left.count() == 0, "nothing was received at {now}");
        assert!(bodies.len() <= most);
    }

    async fn delete(&mut self) {
        let with: Vec<usize> =
            (0..self.model.messages.len()).filter(|at| self.model.messages[*at].handle.is_some()).collect();
        if with.is_empty() {
            return;
        }
        let at = with[usize::try_from(self.dice.below(with.len() as u64)).unwrap()];
        self.model.settle();
        let one = self.model.messages[at].clone();
        let body = json!({"QueueUrl": self.url, "ReceiptHandle": one.handle});
        let done = self.world.call(world::caller(world::root(world::OWNER), None), "DeleteMessage", body).await;
        let expected = if self.fifo && !one.flying { world_error() } else { Ok(()) };
        assert_eq!(done.map(drop), expected, "{one:?}");
        if !self.fifo || one.flying {
            self.model.messages.remove(at);
        }
    }

    async fn change(&mut self) {
        let flying: Vec<usize> = (0..self.model.messages.len())
            .filter(|at| self.model.messages[*at].handle.is_some() && self.model.messages[*at].visible > self.model.now)
            .filter(|at| self.model.messages[*at].flying)
            .collect();
        if flying.is_empty() {
            return;
        }
        let at = flying[usize::try_from(self.dice.below(flying.len() as u64)).unwrap()];
        let timeout = self.dice.below(60);
        let handle = &self.model.messages[at].handle;
        let body = json!({"QueueUrl": self.url, "ReceiptHandle": handle, "VisibilityTimeout": timeout});
        self.world.root("ChangeMessageVisibility", body).await;
        self.model.messages[at].visible = self.model.now + timeout;
    }

    async fn step(mut self) -> Self {
        match self.dice.below(20) {
            0..=7 => self.send().await,
            8..=12 => self.receive().await,
            13..=14 => self.delete().await,
            15 => self.change().await,
            16..=17 => {
                let seconds = self.dice.below(30);
                self.world.clock.advance(Duration::from_secs(seconds));
                self.model.now += seconds;
            }
            18 => self.world.sqs.tidy().await.unwrap(),
            _ => self.world = self.world.reopened().await,
        }
        self
    }

    /// Everything that the model has is there, and nothing else.
    async fn drain(mut self) {
        self.world.clock.advance(Duration::from_secs(3600));
        self.model.now += 3600;
        let mut got = Vec::new();
        for _ in 0..10_000 {
            let page = self.world.receive(&self.url, 10, 600).await;
            for one in &page {
                got.push(text(&one["Body"]));
                let body = json!({"QueueUrl": self.url, "ReceiptHandle": one["ReceiptHandle"]});
                self.world.root("DeleteMessage", body).await;
            }
            if page.is_empty() && counts(&self.world, &self.url).await == [0, 0, 0] {
                break;
            }
        }
        let dead = self.url.replace("/q", "/dead");
        let mut letters = Vec::new();
        loop {
            let page = self.world.receive(&dead, 10, 600).await;
            if page.is_empty() {
                break;
            }
            for one in &page {
                letters.push(text(&one["Body"]));
                let body = json!({"QueueUrl": dead, "ReceiptHandle": one["ReceiptHandle"]});
                self.world.root("DeleteMessage", body).await;
            }
        }
        let tired = |one: &&Message| one.count >= MAX;
        let mut expected: Vec<String> =
            self.model.messages.iter().filter(|one| !tired(one)).map(|one| one.body.clone()).collect();
        let moved = self.model.messages.iter().filter(tired).map(|one| one.body.clone());
        let mut all_dead: Vec<String> = self.model.dead.iter().cloned().chain(moved).collect();
        if !self.fifo {
            // Those that moved on the way are not in the model of a standard queue.
            letters.retain(|body| all_dead.contains(body));
        }
        for list in [&mut got, &mut expected, &mut letters, &mut all_dead] {
            list.sort();
        }
        assert_eq!((got, letters), (expected, all_dead));
    }
}

fn world_error() -> Result<(), String> {
    Err("InvalidParameterValueException".to_owned())
}

async fn counts(world: &World, url: &str) -> [u64; 3] {
    let body = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let got: Value = world.root("GetQueueAttributes", body).await;
    ["", "NotVisible", "Delayed"]
        .map(|name| text(&got["Attributes"][format!("ApproximateNumberOfMessages{name}")]).parse().unwrap())
}

async fn runs(fifo: bool) {
    let given = std::env::var("MILLPOND_SEED").ok().and_then(|text| text.parse().ok());
    let first = given.unwrap_or_else(|| SystemRandom.u64() >> 16);
    for seed in first..first + if given.is_some() { 1 } else { RUNS } {
        println!("seed: {seed}");
        let mut run = Run::new(seed, fifo).await;
        for _ in 0..STEPS {
            run = run.step().await;
        }
        run.drain().await;
    }
}

#[tokio::test]
async fn a_fifo_queue_does_as_the_model() {
    runs(true).await;
}

#[tokio::test]
async fn a_standard_queue_does_as_the_model() {
    runs(false).await;
}
