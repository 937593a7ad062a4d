use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use millpond_io::{ManualClock, SystemRandom};
use millpond_meta::{Batch, Kv, MemoryKv};
use millpond_seal::Key;

use super::*;

const ACCOUNT: &str = "111122223333";
const START: Timestamp = Timestamp(1_800_000_000_000_000_000);
const READ: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
const WRITE: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}}"#;

#[derive(Default)]
struct Managed(Mutex<BTreeMap<String, String>>);

impl ManagedPolicies for Managed {
    fn policy(&self, _: AccountId, arn: &str) -> Option<Arc<Policy>> {
        let policies = self.0.lock().unwrap();
        policies.get(arn).map(|text| Arc::new(Policy::parse(text, PolicyKind::Identity).unwrap()))
    }
}

struct World {
    kv: Arc<MemoryKv>,
    clock: Arc<ManualClock>,
    managed: Arc<Managed>,
    epoch: Epoch,
    tokens: SessionTokens,
}

impl World {
    fn new() -> Self {
        Self::of(Vault::for_tests())
    }

    fn of(vault: Vault) -> Self {
        let (kv, clock, managed) = (Arc::new(MemoryKv::new()), Arc::new(ManualClock::new(START)), Arc::default());
        let epoch = Epoch::load(kv.clone()).now_or_never().unwrap().unwrap();
        let (random, time) = (Arc::new(SystemRandom), clock.clone());
        let tokens = SessionTokens::of(
            Arc::new(vault),
            random,
            time,
            epoch.clone(),
            Arc::clone(&managed) as Arc<dyn ManagedPolicies>,
        );
        Self { kv, clock, managed, epoch, tokens }
    }

    /// Puts a managed policy as a change of IAM does.
    fn put(&self, arn: &str, text: Option<&str>) {
        match text {
            Some(text) => drop(self.managed.0.lock().unwrap().insert(arn.to_owned(), text.to_owned())),
            None => drop(self.managed.0.lock().unwrap().remove(arn)),
        }
        let batch = Batch { ops: vec![Epoch::raise()], ..Batch::default() };
        self.kv.commit(batch).now_or_never().unwrap().unwrap();
        self.epoch.refresh().now_or_never().unwrap().unwrap();
    }
}

fn role() -> Principal {
    Principal::Role {
        account: ACCOUNT.parse().unwrap(),
        path: "/team/".into(),
        name: "reader".into(),
        id: "AROA1".into(),
        session: "bob".into(),
    }
}

fn user() -> Principal {
    Principal::User { account: ACCOUNT.parse().unwrap(), path: "/".into(), name: "bob".into(), id: "AIDA1".into() }
}

fn begin(principal: Principal, by: SessionKind) -> Begin {
    Begin {
        principal,
        by,
        policy: None,
        policy_arns: Vec::new(),
        tags: vec![("team".into(), "blue".into())],
        transitive: vec!["team".into()],
        source_identity: Some("bob@example".into()),
        issued: START,
        expires: START.plus(Duration::from_secs(900)),
        causes: vec!["cause".into()],
        worker: Some("ASIAWORKER".into()),
    }
}

#[test]
fn a_session_comes_back_whole() {
    let world = World::new();
    let federated =
        Principal::Federated { account: ACCOUNT.parse().unwrap(), name: "joe".into(), user: Box::new(user()) };
    for (principal, by, policies) in [
        (role(), SessionKind::AssumeRole, None),
        (user(), SessionKind::GetSessionToken, None),
        (Principal::Root(ACCOUNT.parse().unwrap()), SessionKind::GetSessionToken, None),
        (federated, SessionKind::GetFederationToken, Some(0)),
    ] {
        let begin = begin(principal.clone(), by);
        let begun = world.tokens.begin(&begin, 0).unwrap();
        assert_eq!((begun.access_key_id.len(), begun.secret.len()), (20, 40));
        assert!(!begun.token.contains(begun.secret.as_str()));
        for _ in 0..2 {
            let found = world.tokens.find(&begun.access_key_id, &begun.token).unwrap();
            assert_eq!(found.secret.expose(), begun.secret.as_str());
            assert_eq!(found.principal, principal);
            let session = found.session.unwrap();
            assert_eq!(session.policies.as_ref().map(Vec::len), policies);
            assert_eq!((&session.tags, &session.transitive), (&begin.tags, &begin.transitive));
            assert_eq!((&session.source_identity, &session.causes), (&begin.source_identity, &begin.causes));
            assert_eq!(session.worker, begin.worker);
            assert_eq!((session.issued, session.expires, session.by), (begin.issued, begin.expires, by));
        }
    }
    for nobody in [Principal::Anonymous, Principal::Service { name: "s3.amazonaws.com".into() }] {
        assert!(world.tokens.begin(&begin(nobody, SessionKind::AssumeRole), 0).is_err());
    }
}

#[test]
fn forged_cut_and_foreign_tokens_are_refused() {
    let world = World::new();
    let begun = world.tokens.begin(&begin(role(), SessionKind::AssumeRole), 0).unwrap();
    let other = world.tokens.begin(&begin(role(), SessionKind::AssumeRole), 0).unwrap();
    let foreign = World::of(Vault::new(Key::from_bytes(&[1; 32]), 1));
    let foreign = foreign.tokens.begin(&begin(role(), SessionKind::AssumeRole), 0).unwrap();
    let refused = |id: &str, token: &str| {
        assert_eq!(world.tokens.find(id, token).err(), Some(CredentialError::InvalidToken), "{id} {token}");
    };
    // Before and after the token is in the cache.
    for _ in 0..2 {
        refused(&other.access_key_id, &begun.token);
        refused(&foreign.access_key_id, &foreign.token);
        for token in ["", "x", "=", "é", &begun.token.repeat(100)] {
            refused(&begun.access_key_id, token);
        }
        for at in 0..begun.token.len() {
            refused(&begun.access_key_id, &begun.token[..at]);
            let mut changed = begun.token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            refused(&begun.access_key_id, std::str::from_utf8(&changed).unwrap());
        }
        assert!(world.tokens.find(&begun.access_key_id, &begun.token).is_ok());
    }
}

#[test]
fn sessions_end() {
    let world = World::new();
    let begun = world.tokens.begin(&begin(role(), SessionKind::AssumeRole), 0).unwrap();
    let find = || world.tokens.find(&begun.access_key_id, &begun.token).map(drop);
    world.clock.advance(Duration::from_secs(899));
    assert_eq!(find(), Ok(()));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(find(), Err(CredentialError::Expired));
}

#[test]
fn managed_session_policies_are_those_of_the_moment() {
    let world = World::new();
    let (kept, gone) = ("arn:aws:iam::111122223333:policy/kept", "arn:aws:iam::111122223333:policy/gone");
    world.put(kept, Some(READ));
    world.put(gone, Some(WRITE));
    let begin = Begin {
        policy: Some(READ.into()),
        policy_arns: vec![kept.into(), gone.into()],
        ..begin(role(), SessionKind::AssumeRole)
    };
    let begun = world.tokens.begin(&begin, 0).unwrap();
    let texts = || {
        let session = world.tokens.find(&begun.access_key_id, &begun.token).unwrap().session.unwrap();
        let policies = session.policies.clone().unwrap();
        policies.iter().map(|named| named.policy.text().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(), [READ, READ, WRITE]);
    world.put(kept, Some(WRITE));
    assert_eq!(texts(), [READ, WRITE, WRITE]);
    world.put(gone, None);
    assert_eq!(texts(), [READ, WRITE]);
    world.put(kept, None);
    assert_eq!(texts(), [READ]);
    let only = Begin { policy: None, ..begin };
    let begun = world.tokens.begin(&only, 0).unwrap();
    let found = world.tokens.find(&begun.access_key_id, &begun.token).unwrap();
    assert!(found.session.unwrap().policies.as_ref().is_some_and(Vec::is_empty), "limited to nothing");
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    let world = World::new();
    let first = world.tokens.begin(&begin(role(), SessionKind::AssumeRole), 0).unwrap();
    for _ in 0..5000 {
        let begun = world.tokens.begin(&begin(user(), SessionKind::GetSessionToken), 0).unwrap();
        assert!(world.tokens.find(&begun.access_key_id, &begun.token).is_ok());
        assert!(world.tokens.find(&first.access_key_id, &first.token).is_ok());
    }
    assert!(world.tokens.cache.len() <= 4096);
    let digest = Sha256::digest(&first.token).into();
    assert!(world.tokens.cache.get(&digest).is_some());
}

#[test]
fn tokens_are_as_long_as_is_asked() {
    let world = World::new();
    let begin = begin(role(), SessionKind::AssumeRole);
    let usual = world.tokens.begin(&begin, 0).unwrap().token.len();
    assert!(usual < 500, "{usual}");
    for size in [1, usual, usual + 1, 1000, 4096] {
        let begun = world.tokens.begin(&begin, size).unwrap();
        assert!(begun.token.len() >= size && begun.token.len() <= size.max(usual) + 8, "{size}");
        assert!(world.tokens.find(&begun.access_key_id, &begun.token).is_ok());
    }
}

#[test]
fn nothing_shows_a_secret() {
    let world = World::new();
    let begun = world.tokens.begin(&begin(role(), SessionKind::AssumeRole), 0).unwrap();
    let row = Row::open(&Vault::for_tests(), &begun.access_key_id, &begun.token).unwrap();
    let found = world.tokens.find(&begun.access_key_id, &begun.token).unwrap();
    assert!(!format!("{row:?}{found:?}").contains(begun.secret.as_str()));
}
