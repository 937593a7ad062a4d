use std::sync::Arc;

use millpond_io::{SeededRandom, SystemClock};
use millpond_meta::{FailingKv, Fault, MemoryKv, Scan, View};
use millpond_policy::{Named, Policy, PolicyKind, PolicySource, Principal};
use millpond_types::{Arn, Timestamp};
use millpond_wire::Protocol;

use super::*;
use crate::audit::keep::{IntoBound, Side};
use crate::audit::{EventKind, Page, Said};
use crate::{Access, Context, Operation, Resource, ServiceError, testing};

const MINE: &str = "111122223333";
const THEIRS: &str = "444455556666";

fn audit(kv: Arc<dyn Kv>) -> Audit {
    Audit::start(AuditParts {
        kv,
        clock: Arc::new(SystemClock),
        random: Arc::new(SeededRandom::new(1)),
        vault: Arc::new(Vault::for_tests()),
        region: "us-east-1".parse().unwrap(),
    })
}

fn mine() -> AccountId {
    MINE.parse().unwrap()
}

fn call(name: &'static str) -> Call {
    Call {
        caller: Arc::new(testing::caller(Principal::Root(mine()))),
        service: "s3",
        protocol: Protocol::RestXml,
        kind: EventKind::by_verb(name),
        said: Said::default(),
        outcome: Outcome::Done(bytes::Bytes::new()),
    }
}

fn names(page: &Page) -> Vec<String> {
    let name = |json: &[u8]| {
        serde_json::from_slice::<serde_json::Value>(json).unwrap()["eventName"].as_str().unwrap().to_owned()
    };
    page.found.iter().map(|found| name(&found.json)).collect()
}

#[tokio::test]
async fn changes_are_there_at_once_and_reads_soon() {
    let audit = audit(Arc::new(MemoryKv::new()));
    audit.record(&call("ListBuckets")).await.unwrap();
    audit.record(&call("CreateBucket")).await.unwrap();
    audit.record(&call("AssumeRole")).await.unwrap();
    assert_eq!(names(&audit.page(mine(), None, 10).await.unwrap()), ["AssumeRole", "CreateBucket"]);
    audit.flush().await;
    let page = audit.page(mine(), None, 10).await.unwrap();
    assert_eq!(names(&page), ["ListBuckets", "AssumeRole", "CreateBucket"]);
    assert!(page.end);
    // Pages go on where the one before ended.
    let first = audit.page(mine(), None, 1).await.unwrap();
    assert!(!first.end);
    let rest = audit.page(mine(), Some(first.found[0].position), 10).await.unwrap();
    assert_eq!(names(&rest), ["AssumeRole", "CreateBucket"]);
    assert!(audit.page(THEIRS.parse().unwrap(), None, 10).await.unwrap().found.is_empty());
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_an_error_and_a_read_is_counted() {
    let kv = FailingKv::new(MemoryKv::new());
    let audit = audit(Arc::new(kv.clone()));
    kv.fail_commit(1, Fault::Full);
    assert!(audit.record(&call("CreateBucket")).await.is_err());
    kv.fail_commit(1, Fault::Full);
    audit.record(&call("ListBuckets")).await.unwrap();
    audit.flush().await;
    assert_eq!(audit.dropped(), 1);
    audit.record(&call("CreateBucket")).await.unwrap();
    assert_eq!(names(&audit.page(mine(), None, 10).await.unwrap()), ["CreateBucket"]);
    // A change that was refused anyway says so still, and its record is counted too.
    let outcome = Outcome::Failed { code: "InsufficientStorage".into(), message: "full".into() };
    kv.fail_commit(1, Fault::Full);
    audit.record(&Call { outcome, ..call("DeleteBucket") }).await.unwrap();
    assert_eq!(audit.dropped(), 2);
}

/// An engine whose commits wait for a permit.
struct Slow(MemoryKv, Arc<tokio::sync::Semaphore>);

impl View for Slow {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<bytes::Bytes>, ReadError>> {
        self.0.get(key)
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<millpond_meta::Rows, ReadError>> {
        self.0.scan(scan)
    }
}

impl Kv for Slow {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<millpond_meta::Committed, CommitError>> {
        let (kv, gate) = (self.0.clone(), Arc::clone(&self.1));
        async move {
            if !batch.urgent {
                gate.acquire().await.unwrap().forget();
            }
            kv.commit(batch).await
        }
        .boxed()
    }

    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<millpond_meta::Committed>, ReadError>> {
        self.0.outcome(idem)
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>> {
        self.0.snapshot()
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.watch()
    }

    fn appends(&self, table: u8) -> Arc<millpond_meta::Appends> {
        self.0.appends(table)
    }

    fn state(&self) -> millpond_meta::State {
        self.0.state()
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_gives_reads_up_after_a_while_and_holds_no_change_up() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let audit = audit(Arc::new(Slow(MemoryKv::new(), Arc::clone(&gate))));
    for _ in 0..QUEUE + GROUP + 3 {
        audit.record(&call("ListBuckets")).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(audit.dropped() > 0);
    audit.record(&call("CreateBucket")).await.unwrap();
    assert_eq!(names(&audit.page(mine(), None, 10).await.unwrap()), ["CreateBucket"]);
    gate.add_permits(1000);
    audit.flush().await;
    let kept = QUEUE + GROUP + 3 - usize::try_from(audit.dropped()).unwrap();
    assert_eq!(audit.page(mine(), None, 2 * QUEUE).await.unwrap().found.len(), kept + 1);
}

/// Puts records of given times into a trail.
async fn fill(kv: &MemoryKv, times: &[u64]) {
    for (at, time) in times.iter().enumerate() {
        let mut writing = Writing::default();
        let json = format!(r#"{{"eventName":"E{at}"}}"#).into_bytes();
        writing.record(&Record {
            account: mine(),
            side: Side::BOTH[at % 2],
            time: Timestamp::from_seconds(*time),
            json,
            causes: Vec::new(),
        });
        kv.commit(Batch { ops: writing.ops, ..Batch::default() }).await.unwrap();
        // Commits of others lie between.
        for _ in 0..at % 5 {
            kv.commit(Batch { ops: vec![Op::Put("x".into(), "y".into())], ..Batch::default() }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_place_of_a_time_is_found() {
    let kv = MemoryKv::new();
    let hour = 3600;
    let times: Vec<u64> = (0..50).map(|n| 1_000_000 + n * hour).collect();
    fill(&kv, &times).await;
    let audit = audit(Arc::new(kv));
    for asked in
        [0, 1_000_000, 1_000_000 + 7 * hour, 1_000_000 + 7 * hour + 5, 1_000_000 + 49 * hour, u64::MAX / 2_000_000_000]
    {
        let before = audit.until(mine(), Timestamp::from_seconds(asked)).await.unwrap();
        let page = audit.page(mine(), before, 100).await.unwrap();
        // Records lie up to DISORDER from their place, here an hour.
        let expected = times.iter().filter(|time| **time <= asked.saturating_add(hour)).count();
        assert_eq!(page.found.len(), expected, "{asked}");
    }
    assert_eq!(audit.until(THEIRS.parse().unwrap(), Timestamp::default()).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_too_old_or_too_much_goes() {
    let kv = MemoryKv::new();
    let day = 24 * 3600;
    let now = Timestamp::from_seconds(1000 * day);
    let ages = [200, 100, 91, 89, 10, 0];
    fill(&kv, &ages.map(|age| (1000 - age) * day)).await;
    keep::trim(&kv, now).await.unwrap();
    let audit = audit(Arc::new(kv.clone()));
    assert_eq!(names(&audit.page(mine(), None, 10).await.unwrap()), ["E5", "E4", "E3"]);
    // The counter says what is there.
    let bytes = kv.get(&keep::bytes_row(mine(), Side::Own)).await.unwrap().unwrap();
    let from = keep::stream(mine(), Side::Own);
    let to = millpond_meta::key::prefix_end(&from);
    let scan = Scan { from: from.into_included(), to: bytes::Bytes::into_excluded(to), reverse: false, limit: 10 };
    let there: usize = kv.scan(scan).await.unwrap().iter().map(|(_, value)| value.len()).sum();
    assert_eq!(i64::from_le_bytes(bytes.as_ref().try_into().unwrap()), there as i64);
    // As if there were too much of what others called: what the account itself called stays.
    for (side, bytes, left) in
        [(Side::Others, keep::OTHERS_BYTES, vec!["E4"]), (Side::Own, keep::HISTORY_BYTES, vec![])]
    {
        let much = i64::try_from(bytes).unwrap();
        kv.commit(Batch { ops: vec![Op::Add(keep::bytes_row(mine(), side), much)], ..Batch::default() }).await.unwrap();
        keep::trim(&kv, now).await.unwrap();
        assert_eq!(names(&audit.page(mine(), None, 10).await.unwrap()), left);
    }
}

/// Reads an object of a bucket that has a policy, with a key of another account.
struct Touch(Option<&'static str>);

impl Operation for Touch {
    const NAME: &'static str = "Touch";

    fn accesses(&self) -> Vec<Access> {
        let of = |owner: &str, arn: &str, action| {
            let mut resource = Resource::new(Arn::parse(arn).unwrap(), owner.parse().unwrap());
            resource.policy = self.0.map(|text| Named {
                source: PolicySource::Resource { arn: arn.into() },
                policy: Arc::new(Policy::parse(text, PolicyKind::Bucket { name: "b".into() }).unwrap()),
            });
            Access { action, resource }
        };
        vec![of(MINE, "arn:aws:s3:::b/k", "s3:GetObject")]
    }

    fn context(&self, _: &Access, context: &mut Context) {
        context.text("s3:ExistingObjectTag/team", "red");
    }
}

const DENIES: &str = r#"{"Statement":[
    {"Sid":"Others","Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"},
    {"Sid":"NoPlain","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}"#;

async fn denied(principal: Principal, policy: Option<&'static str>, asked: bool) -> Option<Denial> {
    let kernel = testing::kernel(mine()).unwrap();
    let caller = Arc::new(testing::caller(principal));
    let error = match asked {
        false => kernel.authorize(&caller, Touch(policy)).await.is_err(),
        true => kernel.would_allow(&caller, &Touch(policy)).await.is_err(),
    };
    let error = error.then(|| ServiceError::new("AccessDenied", 403, "no"));
    Denial::of(&caller, "s3", "GetObject", error.as_ref())
}

#[tokio::test]
async fn denials_are_kept_with_all_that_was_decided() {
    let audit = audit(Arc::new(MemoryKv::new()));
    let root = Principal::Root(mine());
    assert!(denied(root.clone(), None, false).await.is_none(), "what is allowed is no denial");
    let denial = denied(root, Some(DENIES), false).await.unwrap();
    assert_eq!(denial.readable_by(), Some(mine()));
    let id = denial.caller.request_id();
    let message = audit.message(mine(), id).unwrap();
    assert!(message.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{message}");
    audit.denied(denial);
    let kept = audit.kept(&id.to_string()).await.unwrap().unwrap();
    assert_eq!((kept.code.as_deref(), kept.probed, kept.decisions.len()), (Some("AccessDenied"), false, 1));
    let statements = &kept.decisions[0].policies[0].statements;
    assert_eq!(statements.iter().map(|s| (s.matched, s.conditions.len())).collect::<Vec<_>>(), [(false, 0), (true, 1)]);
    // The message tells it to its own account alone.
    let told: serde_json::Value = serde_json::from_str(&audit.decode(mine(), &message).await.unwrap()).unwrap();
    assert_eq!(told["explicitDeny"], serde_json::json!(true));
    assert_eq!(told["matchedStatements"]["items"][0]["statementId"], serde_json::json!("NoPlain"));
    assert_eq!(told["context"]["action"], serde_json::json!("s3:GetObject"));
    for (account, message) in
        [(THEIRS, message.as_str()), (MINE, &message[2..]), (MINE, ""), (MINE, "!"), (MINE, "AAAA")]
    {
        let refused = audit.decode(account.parse().unwrap(), message).await;
        assert_eq!(refused, Err(DecodeError::Invalid), "{account} {message}");
    }
    assert_eq!(audit.kept("0000000000000000").await.unwrap(), None);
}

#[tokio::test]
async fn foreign_accounts_and_probes() {
    let stranger = Principal::Root(THEIRS.parse().unwrap());
    let denial = denied(stranger.clone(), Some(DENIES), false).await.unwrap();
    assert_eq!(denial.readable_by(), None);
    let seen = Kept::of(&denial).seen_by(THEIRS.parse().unwrap());
    assert!(seen.decisions[0].policies.is_empty() && seen.decisions[0].suggestion.is_none());
    assert_eq!(seen.decisions[0].reason, "the resource belongs to another account");
    // Nor does it tell what the resource is tagged with.
    assert!(Kept::of(&denial).decisions[0].context.contains_key("s3:ExistingObjectTag/team"));
    assert!(!seen.decisions[0].context.contains_key("s3:ExistingObjectTag/team"));
    // A question on which the answer depended explains a denial without others.
    let probed = denied(stranger, Some(DENIES), true).await.unwrap();
    assert!(probed.probed);
    assert_eq!(probed.decisions.len(), 1);
    assert!(denied(Principal::Anonymous, None, false).await.unwrap().readable_by().is_none());
}

#[test]
fn kept_denials_fit_a_row() {
    let statement = |sid: usize, action: &str| {
        format!(
            r#"{{"Sid":"{sid}{}","Effect":"Allow","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::b/x"}}"#,
            "s".repeat(200)
        )
    };
    for (count, action, left) in [(10, "s3:PutObject", 10), (250, "s3:PutObject", 0), (250, "s3:GetObject", 0)] {
        let text =
            format!(r#"{{"Statement":[{}]}}"#, (0..count).map(|n| statement(n, action)).collect::<Vec<_>>().join(","));
        // Denials hold for as long as the test runs.
        let policy: &'static str = Box::leak(text.into_boxed_str());
        let denial = denied(Principal::Anonymous, Some(policy), false).now_or_never().unwrap().unwrap();
        let kept = Kept::of(&denial);
        let row = kept.row();
        assert!(row.len() < 64 * 1024 && !row.is_empty(), "{count} {action}: {}", row.len());
        let kv = MemoryKv::new();
        let id = denial.caller.request_id().to_string();
        kv.commit(Batch { ops: vec![Op::Put(kept::key(&id), row.into())], ..Batch::default() })
            .now_or_never()
            .unwrap()
            .unwrap();
        let found = Kept::find(&kv, &id).now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(found.decisions[0].policies[0].statements.len(), left, "{count} {action}");
        assert_eq!(found.shortened, left != count);
    }
}
