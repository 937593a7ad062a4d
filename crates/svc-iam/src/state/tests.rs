//! What is in memory is what a start reads; what was not committed is nowhere.

use std::collections::{BTreeMap, BTreeSet};

use millpond_io::{ManualClock, SeededRandom, SystemRandom};
use millpond_meta::{MemoryKv, View};
use millpond_policy::{Policy, PolicyKind};

use super::*;

const ACCOUNT: &str = "111122223333";
const KINDS: [Kind; 3] = [Kind::User, Kind::Group, Kind::Role];

async fn load(kv: Arc<dyn Kv>) -> Identities {
    let epoch = Epoch::load(kv.clone()).await.unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    Identities::load(kv, clock, Arc::new(SystemRandom), Arc::new(Vault::for_tests()), epoch).await.unwrap()
}

fn document(action: &str, padding: usize) -> Arc<Document> {
    let pad = " ".repeat(padding);
    let text = format!(
        r#"{{"Version":"2012-10-17",{pad}"Statement":[{{"Effect":"Allow","Action":"s3:{action}","Resource":"*"}}]}}"#
    );
    Document::parsed(Policy::parse(&text, PolicyKind::Identity).unwrap(), BTreeMap::new())
}

fn trust() -> Arc<Document> {
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/u"},"Action":"sts:AssumeRole"}]}"#;
    let bound = BTreeMap::from([("arn:aws:iam::111122223333:user/u".to_owned(), "AIDAU".to_owned())]);
    Document::parsed(Policy::parse(text, PolicyKind::Trust).unwrap(), bound)
}

fn entity(identities: &Identities, kind: Kind, name: &str) -> Entity {
    Entity {
        account: ACCOUNT.parse().unwrap(),
        kind,
        name: name.to_owned(),
        path: "/".to_owned(),
        id: identities.new_id(kind.prefix()),
        created: identities.now(),
        tags: vec![("k".to_owned(), name.to_owned())],
        boundary: None,
        attached: Vec::new(),
        inline: BTreeMap::new(),
        groups: BTreeSet::new(),
        role: (kind == Kind::Role).then(|| RoleFacts { trust: trust(), description: None, max_session: 3600 }),
    }
}

/// Everything of an account as text, but for what is derived or opened lazily.
fn told(account: &Account) -> String {
    let mut out = String::new();
    for kind in KINDS {
        for (key, entity) in account.entities(kind) {
            let inline: Vec<_> = entity.inline.iter().map(|(name, document)| (name, document.text())).collect();
            let trust = entity.role.as_ref().map(|role| (role.trust.text(), role.trust.bound(), role.max_session));
            out += &format!("{key} {} {inline:?} {trust:?} {:?}\n", entity.arn(), entity.row());
        }
    }
    for (key, policy) in account.policies() {
        let versions: Vec<_> = policy.versions.iter().map(|(number, v)| (number, v.document.text())).collect();
        out += &format!("{key} {versions:?} {:?}\n", policy.row());
    }
    for key in account.keys() {
        out += &format!("{} {:?} {} {:?}\n", key.id, key.user, key.active, key.sealed);
    }
    out
}

fn policy(identities: &Identities, name: &str) -> ManagedPolicy {
    let (created, document) = (identities.now(), document("GetObject", 0));
    ManagedPolicy {
        account: Some(ACCOUNT.parse().unwrap()),
        name: name.to_owned(),
        path: "/p/".to_owned(),
        id: identities.new_id("ANPA"),
        description: None,
        created,
        updated: created,
        tags: Vec::new(),
        default: 1,
        next: 2,
        versions: BTreeMap::from([(1, PolicyVersion { created, document })]),
    }
}

/// One change by lot.
fn change(identities: &Identities, random: &SeededRandom, draft: &mut Draft) {
    let kind = KINDS[random.below(3) as usize];
    let name = format!("N{}", random.below(4));
    let known = draft.account().entity(kind, &name).map(|entity| Entity::clone(entity));
    let known_policy = draft.account().policy_named(&name).map(|policy| ManagedPolicy::clone(policy));
    match (random.below(8), known, known_policy) {
        (0..=5, None, _) => draft.put_role(entity(identities, kind, &name)),
        (0, Some(known), _) if known.inline.is_empty() => draft.remove_entity(&known),
        (1, Some(known), _) if draft.account().entity(kind, "other").is_none() => {
            draft.put_entity(Entity { name: "Other".to_owned(), path: "/o/".to_owned(), ..known });
        }
        // Larger than one row, and smaller again.
        (2, Some(known), _) => draft.set_inline(&known, "a", Some(document("Put*", random.below(120_000) as usize))),
        (3, Some(known), _) => draft.set_inline(&known, "a", Some(document("Get*", 0))),
        (4, Some(known), _) => draft.set_inline(&known, "a", None),
        (5, Some(known), _) => {
            let user = (kind == Kind::User).then(|| known.id.clone());
            draft.put_key(identities.new_key(ACCOUNT.parse().unwrap(), user).unwrap().key);
        }
        (6, _, None) => {
            let policy = policy(identities, &name);
            draft.set_version(&policy, 1);
            draft.put_policy(policy);
        }
        (6, _, Some(mut known)) if known.versions.len() < 3 => {
            let (number, created, document) = (known.next, identities.now(), document("List*", 70_000));
            known.versions.insert(number, PolicyVersion { created, document });
            (known.next, known.default) = (number + 1, number);
            draft.set_version(&known, number);
            draft.put_policy(known);
        }
        (6, _, Some(known)) => draft.remove_policy(&known),
        _ => {
            let id = draft.account().keys().next().map(|key| key.id.clone());
            if let Some(id) = id {
                draft.remove_key(&id);
            }
        }
    }
}

async fn changes_are_what_a_start_reads(seed: u64) {
    let kv = Arc::new(MemoryKv::new());
    let identities = load(kv.clone()).await;
    let (account, random) = (ACCOUNT.parse().unwrap(), SeededRandom::new(seed));
    for step in 0..60 {
        let changing = identities.changing().await;
        let mut draft = Draft::of(&identities.account(account));
        change(&identities, &random, &mut draft);
        identities.commit(&changing, draft, identities.inner().epoch.now()).await.unwrap();
        let again = load(kv.clone()).await;
        assert_eq!(told(&identities.account(account)), told(&again.account(account)), "seed {seed}, step {step}");
        for key in again.account(account).keys() {
            let same = identities.credential(&key.id).map(|credential| credential.secret.expose().to_owned());
            assert_eq!(
                again.credential(&key.id).map(|c| c.secret.expose().to_owned()),
                same,
                "seed {seed}, step {step}"
            );
        }
    }
}

#[tokio::test]
async fn memory_and_rows_agree() {
    for seed in 0..8 {
        changes_are_what_a_start_reads(seed).await;
    }
}

#[tokio::test]
async fn memory_and_rows_agree_for_one_seed() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    changes_are_what_a_start_reads(seed).await;
}

#[tokio::test]
async fn a_change_decided_at_an_older_epoch_is_not_made() {
    let kv = Arc::new(MemoryKv::new());
    let identities = load(kv.clone()).await;
    let account = ACCOUNT.parse().unwrap();
    let pin = identities.inner().epoch.now();
    // Another service changes policies.
    kv.commit(Batch { ops: vec![Epoch::raise()], ..Batch::default() }).await.unwrap();
    let changing = identities.changing().await;
    let mut draft = Draft::of(&identities.account(account));
    draft.put_entity(entity(&identities, Kind::User, "u"));
    let refused = identities.commit(&changing, draft, pin).await;
    assert!(matches!(refused, Err(StateError::Outdated)), "{refused:?}");
    assert!(identities.user(account, "u").is_none() && load(kv.clone()).await.user(account, "u").is_none());
    // Now the newer epoch is known.
    let mut draft = Draft::of(&identities.account(account));
    draft.put_entity(entity(&identities, Kind::User, "u"));
    identities.commit(&changing, draft, identities.inner().epoch.now()).await.unwrap();
    assert!(identities.user(account, "U").is_some());
}

#[tokio::test]
async fn secrets_are_sealed_in_their_rows() {
    let kv = Arc::new(MemoryKv::new());
    let identities = load(kv.clone()).await;
    let new = identities.add_root_key(ACCOUNT.parse().unwrap(), |_| {}).await.unwrap();
    let row = kv.get(&rows::access_key_key(&new.key.id)).await.unwrap().unwrap();
    assert!(!row.windows(8).any(|window| new.secret.as_bytes().windows(8).any(|part| part == window)));
    assert!(!format!("{:?}", new.key).contains(new.secret.as_str()));
    let found = load(kv).await.credential(&new.key.id).unwrap();
    assert_eq!(found.secret.expose(), new.secret.as_str());
}

#[tokio::test]
async fn last_uses_are_written_down() {
    let kv = Arc::new(MemoryKv::new());
    let identities = load(kv.clone()).await;
    let key = identities.add_root_key(ACCOUNT.parse().unwrap(), |_| {}).await.unwrap().key;
    identities.used(&key.id, "s3", "us-east-1");
    identities.used("AKIANONE", "s3", "us-east-1");
    identities.run_last_used(std::future::ready(())).await;
    let again = load(kv).await;
    assert_eq!(again.last_used(&key.id).unwrap().service, "s3");
    assert!(again.last_used("AKIANONE").is_none());
}
