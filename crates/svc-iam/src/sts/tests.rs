//! Operations over identities in memory, with a clock that the tests move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use millpond_io::{Clock, ManualClock, SystemRandom};
use millpond_kernel::{
    AuthType, Authenticated, CredentialError, Epoch, Payload, PayloadSource, Principal, ResponseBody, Step, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_types::{RequestId, Timestamp};

use super::*;
use crate::session::Begin;
use crate::state::{Document, Draft, Entity, Kind, RoleFacts};
use crate::{AccessKeys, IdentityDirectory, LocalAccounts};

const HOME: &str = "111122223333";
const OTHER: &str = "444455556666";
const START: Timestamp = Timestamp(1_800_000_000_000_000_000);

struct NoRoot;

impl Credentials for NoRoot {
    fn find<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<millpond_kernel::Credential, CredentialError>> {
        ready(Err(CredentialError::Unknown)).boxed()
    }
}

struct World {
    clock: Arc<ManualClock>,
    identities: Identities,
    credentials: Arc<AccessKeys>,
    accounts: Arc<LocalAccounts>,
    sts: Sts,
}

/// What is asked, by whom.
#[derive(Clone)]
enum Who {
    Principal(Principal),
    Session { id: String, token: String },
}

impl World {
    async fn new() -> Self {
        let (kv, clock) = (Arc::new(MemoryKv::new()), Arc::new(ManualClock::new(START)));
        let epoch = Epoch::load(kv.clone()).await.unwrap();
        let (random, vault) = (Arc::new(SystemRandom), Arc::new(Vault::for_tests()));
        let identities = Identities::load(kv, clock.clone(), random, vault, epoch.clone()).await.unwrap();
        let home: AccountId = HOME.parse().unwrap();
        let accounts = Arc::new(LocalAccounts::load(home, identities.clone()).await.unwrap());
        accounts.clone().create(Some(OTHER.parse().unwrap()), None).await.unwrap();
        let kernel = Arc::new(Kernel::new(home, "us-east-1".parse().unwrap(), epoch));
        kernel.use_directory(Arc::new(IdentityDirectory::new(identities.clone(), accounts.clone())));
        let sessions = Arc::new(SessionTokens::new(&identities));
        let credentials = Arc::new(AccessKeys::new(Arc::new(NoRoot), identities.clone(), sessions.clone()));
        let sts = Sts::new(StsParts {
            kernel,
            identities: identities.clone(),
            sessions,
            credentials: credentials.clone(),
            denials: Arc::new(NoDenials),
        });
        Self { clock, identities, credentials, accounts, sts }
    }

    async fn put(&self, entity: Entity) {
        let changing = self.identities.changing().await;
        let mut draft = Draft::of(&self.identities.account(entity.account));
        match entity.role {
            Some(_) => draft.put_role(entity),
            None => draft.put_entity(entity),
        }
        self.identities.commit(&changing, draft, self.sts.kernel.epoch().now()).await.unwrap();
    }

    /// A user with an identity policy of one statement.
    async fn user(&self, account: &str, name: &str, allows: &str) -> Who {
        let entity = entity(account, Kind::User, name, allows);
        let principal = entity.principal();
        self.put(entity).await;
        Who::Principal(principal)
    }

    /// A role with a trust policy of these statements.
    async fn role(&self, account: &str, name: &str, trust: &str, change: impl FnOnce(&mut Entity)) -> String {
        let mut role = entity(account, Kind::Role, name, "s3:*");
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{trust}]}}"#);
        let policy = Policy::parse(&text, PolicyKind::Trust).unwrap();
        let bound = policy
            .principals()
            .into_iter()
            .map(str::to_owned)
            .filter_map(|arn| Some((arn.clone(), self.identities.by_arn(&arn)?.id.clone())));
        let bound = bound.collect();
        let trust = Document::parsed(policy, bound);
        role.role = Some(RoleFacts { trust, description: None, max_session: 3600 });
        change(&mut role);
        let arn = role.arn();
        self.put(role).await;
        arn
    }

    async fn caller(&self, who: &Who) -> Result<Caller, CredentialError> {
        let (principal, session) = match who {
            Who::Principal(principal) => (principal.clone(), None),
            Who::Session { id, token } => {
                let found = self.credentials.find(id, Some(token)).await?;
                (found.principal, found.session)
            }
        };
        Ok(Caller::authenticated(Authenticated {
            principal,
            session,
            access_key_id: None,
            auth: AuthType::Header,
            signed: None,
            transport: Transport::internal(),
            request_id: RequestId(7),
            received: self.clock.wall(),
        }))
    }

    /// The answer, or code and message of the error.
    async fn ask(&self, who: &Who, action: &str, more: &[(&str, &str)]) -> Result<String, (String, String)> {
        let encoded = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let more: String = more.iter().map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        let form = format!("Action={action}&Version=2011-06-15{more}");
        let head = RequestHead {
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            host_bucket: None,
        };
        let caller = self.caller(who).await.map_err(|error| ("Credential".to_owned(), format!("{error:?}")))?;
        let payload = Payload::new(Box::new(Whole(Some(Bytes::from(form)))), None);
        let request = ServiceRequest { head, operation: UNKNOWN, payload, caller: Arc::new(caller) };
        match self.sts.call(request).await {
            Ok(Response { body: ResponseBody::Full(bytes), .. }) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err((error.code.into_owned(), error.message)),
        }
    }

    async fn assume(&self, who: &Who, role: &str, more: &[(&str, &str)]) -> Result<Who, (String, String)> {
        let mut form = vec![("RoleArn", role), ("RoleSessionName", "session")];
        form.extend_from_slice(more);
        self.ask(who, "AssumeRole", &form).await.map(|answer| session(&answer))
    }
}

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<Step, ServiceError>> {
        std::task::Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

fn entity(account: &str, kind: Kind, name: &str, allows: &str) -> Entity {
    let text =
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{allows}","Resource":"*"}}}}"#);
    let policy = Policy::parse(&text, PolicyKind::Identity).unwrap();
    Entity {
        account: account.parse().unwrap(),
        kind,
        name: name.to_owned(),
        path: "/".to_owned(),
        id: format!("{}{account}{}", kind.prefix(), name.to_ascii_uppercase()),
        created: START,
        tags: Vec::new(),
        boundary: None,
        attached: Vec::new(),
        inline: BTreeMap::from([("own".to_owned(), Document::parsed(policy, BTreeMap::new()))]),
        groups: BTreeSet::new(),
        role: None,
    }
}

fn element(answer: &str, name: &str) -> String {
    let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{name} in {answer}"));
    rest.split_once('<').unwrap().0.to_owned()
}

fn session(answer: &str) -> Who {
    Who::Session { id: element(answer, "AccessKeyId"), token: element(answer, "SessionToken") }
}

fn trust(principal: &str, actions: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":{actions},"Condition":{{{condition}}}}}"#
    )
}

fn denied(who: &str, action: &str, role: &str) -> Option<(String, String)> {
    let message = format!("User: {who} is not authorized to perform: sts:{action} on resource: {role}");
    Some(("AccessDenied".to_owned(), message))
}

#[tokio::test]
async fn roles_are_assumed_by_whom_they_trust() {
    let world = World::new().await;
    let (able, unable) = (world.user(HOME, "able", "sts:*").await, world.user(HOME, "unable", "s3:*").await);
    let (stranger, weak) = (world.user(OTHER, "able", "sts:*").await, world.user(OTHER, "weak", "s3:*").await);
    let arn = |account: &str, name: &str| format!("arn:aws:iam::{account}:user/{name}");
    let assume = r#""sts:AssumeRole""#;
    let account = world.role(HOME, "account", &trust(HOME, assume, ""), |_| {}).await;
    let named = world.role(HOME, "named", &trust(&arn(HOME, "unable"), assume, ""), |_| {}).await;
    let foreign = world.role(HOME, "foreign", &trust(OTHER, assume, ""), |_| {}).await;
    let missing = format!("arn:aws:iam::{HOME}:role/missing");
    let elsewhere = "arn:aws:iam::999999999999:role/missing".to_owned();
    for (who, name, role, good) in [
        (&able, arn(HOME, "able"), &account, true),
        // The account is trusted, and delegates to policies of identities.
        (&unable, arn(HOME, "unable"), &account, false),
        // Who is named needs no more within the account.
        (&unable, arn(HOME, "unable"), &named, true),
        (&able, arn(HOME, "able"), &named, false),
        (&able, arn(HOME, "able"), &foreign, false),
        // Across accounts both sides must allow.
        (&stranger, arn(OTHER, "able"), &foreign, true),
        (&stranger, arn(OTHER, "able"), &account, false),
        (&weak, arn(OTHER, "weak"), &foreign, false),
        // One that does not exist is answered as one that may not be assumed.
        (&able, arn(HOME, "able"), &missing, false),
        (&stranger, arn(OTHER, "able"), &missing, false),
        (&able, arn(HOME, "able"), &elsewhere, false),
        (&able, arn(HOME, "able"), &arn(HOME, "unable"), false),
    ] {
        let got = world.assume(who, role, &[]).await;
        assert_eq!(got.err(), if good { None } else { denied(&name, "AssumeRole", role) }, "{name} {role}");
    }
    let root = Who::Principal(Principal::Root(HOME.parse().unwrap()));
    let got = world.assume(&root, &account, &[]).await.err().unwrap();
    assert_eq!(got, ("AccessDenied".to_owned(), "Roles may not be assumed by root accounts.".to_owned()));
    for text in ["no-arn-of-anything-at-all", "arn:aws:iam::x:role/account"] {
        let got = world.assume(&able, text, &[]).await.err().unwrap();
        assert_eq!(got, ("ValidationError".to_owned(), format!("{text} is invalid")));
    }
}

#[tokio::test]
async fn trust_policies_see_the_keys_of_the_request() {
    let world = World::new().await;
    let user = world.user(HOME, "bob", "sts:*").await;
    let me = format!("arn:aws:iam::{HOME}:user/bob");
    let all = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
    let tag: &[(&str, &str)] = &[("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "blue")];
    let on = [tag, &[("TransitiveTagKeys.member.1", "team")]].concat();
    for (n, (actions, condition, good, bad)) in [
        (all, r#""StringEquals":{"sts:ExternalId":"42"}"#, vec![("ExternalId", "42")], vec![("ExternalId", "43")]),
        (all, r#""StringEquals":{"sts:ExternalId":"42"}"#, vec![("ExternalId", "42")], vec![]),
        (all, r#""StringLike":{"sts:RoleSessionName":"sess*"}"#, vec![], vec![("RoleSessionName", "other")]),
        (all, r#""StringEquals":{"aws:RequestTag/team":"blue"}"#, tag.to_vec(), vec![]),
        (all, r#""ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}"#, tag.to_vec(), vec![]),
        (all, r#""ForAnyValue:StringEquals":{"sts:TransitiveTagKeys":["team"]}"#, on.clone(), tag.to_vec()),
        (
            all,
            r#""StringEquals":{"sts:SourceIdentity":"bob"}"#,
            vec![("SourceIdentity", "bob")],
            vec![("SourceIdentity", "eve")],
        ),
        (
            all,
            r#""StringEquals":{"aws:ResourceTag/kind":"good","iam:ResourceTag/kind":"good"}"#,
            vec![],
            vec![("x", "")],
        ),
        (r#""sts:AssumeRole""#, "", vec![], tag.to_vec()),
        (r#""sts:AssumeRole""#, "", vec![], vec![("SourceIdentity", "bob")]),
    ]
    .into_iter()
    .enumerate()
    {
        let role = world
            .role(HOME, &format!("r{n}"), &trust(&me, actions, condition), |role| {
                role.tags = vec![("kind".to_owned(), "good".to_owned())];
            })
            .await;
        assert!(world.assume(&user, &role, &good).await.is_ok(), "{n} {condition}");
        if bad == [("x", "")] {
            continue;
        }
        let mut form = vec![("RoleArn", role.as_str())];
        if !bad.iter().any(|(name, _)| *name == "RoleSessionName") {
            form.push(("RoleSessionName", "session"));
        }
        form.extend(bad);
        let got = world.ask(&user, "AssumeRole", &form).await.err().unwrap();
        assert_eq!(got.0, "AccessDenied", "{n} {condition}: {got:?}");
    }
}

#[tokio::test]
async fn sessions_hand_on_what_is_transitive_and_no_more() {
    let world = World::new().await;
    let user = world.user(HOME, "bob", "sts:*").await;
    let all = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
    let wide = |role: &mut Entity| {
        role.inline = entity(HOME, Kind::Role, "x", "sts:*").inline;
        role.role.as_mut().unwrap().max_session = 43_200;
    };
    let first = world.role(HOME, "first", &trust(HOME, all, ""), wide).await;
    let second = world.role(HOME, "second", &trust(HOME, all, ""), wide).await;
    let plain = world.role(HOME, "plain", &trust(HOME, r#""sts:AssumeRole""#, ""), wide).await;
    let form = [
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
        ("Tags.member.2.Key", "size"),
        ("Tags.member.2.Value", "small"),
        ("TransitiveTagKeys.member.1", "team"),
        ("SourceIdentity", "bob"),
        ("DurationSeconds", "43200"),
    ];
    let one = world.assume(&user, &first, &form).await.unwrap();
    let two = world.assume(&one, &second, &[("Tags.member.1.Key", "x"), ("Tags.member.1.Value", "y")]).await.unwrap();
    let session = world.caller(&two).await.unwrap().session().unwrap().clone();
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(session.tags, [tag("x", "y"), tag("team", "blue")]);
    assert_eq!(session.transitive, ["team"]);
    assert_eq!(session.source_identity.as_deref(), Some("bob"));
    let who = format!("arn:aws:sts::{HOME}:assumed-role/first/session");
    for (role, more, expected) in [
        (&second, vec![("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "red")], "InvalidParameterValue"),
        (&second, vec![("SourceIdentity", "eve")], "AccessDenied"),
        (&second, vec![("DurationSeconds", "3601")], "ValidationError"),
    ] {
        assert_eq!(world.assume(&one, role, &more).await.err().unwrap().0, expected, "{more:?}");
    }
    // What is handed on is tagging too, and must be allowed.
    assert_eq!(world.assume(&one, &plain, &[]).await.err(), denied(&who, "TagSession", &plain));
    assert!(world.assume(&one, &second, &[("DurationSeconds", "3600")]).await.is_ok());
    assert!(world.assume(&user, &plain, &[]).await.is_ok());
}

#[tokio::test]
async fn what_is_passed_is_checked() {
    let world = World::new().await;
    let user = world.user(HOME, "bob", "sts:*").await;
    let all = r#"["sts:AssumeRole","sts:TagSession"]"#;
    let role = world.role(HOME, "role", &trust(HOME, all, ""), |_| {}).await;
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let padded = |to: usize| format!("{policy}{}", " ".repeat(to - policy.len()));
    let (fits, over) = (padded(2048), padded(2100));
    let aws = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let own = format!("arn:aws:iam::{HOME}:policy/missing");
    let dup = vec![
        ("Tags.member.1.Key", "a"),
        ("Tags.member.1.Value", ""),
        ("Tags.member.2.Key", "A"),
        ("Tags.member.2.Value", ""),
    ];
    for (more, expected) in [
        (vec![("DurationSeconds", "899")], "ValidationError"),
        (vec![("DurationSeconds", "3601")], "ValidationError"),
        (vec![("Policy", "{")], "MalformedPolicyDocument"),
        (vec![("Policy", over.as_str())], "PackedPolicyTooLarge"),
        (vec![("PolicyArns.member.1.arn", own.as_str())], "ValidationError"),
        (vec![("TransitiveTagKeys.member.1", "team")], "InvalidParameterValue"),
        (dup, "InvalidParameterValue"),
        (vec![("Tags.member.1.Key", "aws:x"), ("Tags.member.1.Value", "")], "ValidationError"),
        (vec![("SerialNumber", "123456789"), ("TokenCode", "123456")], "AccessDenied"),
        (vec![("ProvidedContexts.member.1.ProviderArn", "arn:aws:iam::aws:contextProvider/x")], "NotImplemented"),
    ] {
        assert_eq!(world.assume(&user, &role, &more).await.err().unwrap().0, expected, "{more:?}");
    }
    let form = [
        ("RoleArn", role.as_str()),
        ("RoleSessionName", "session"),
        ("Policy", &fits),
        ("PolicyArns.member.1.arn", aws),
    ];
    let answer = world.ask(&user, "AssumeRole", &form).await.unwrap();
    assert_eq!(element(&answer, "PackedPolicySize"), "100");
    assert_eq!(element(&answer, "AssumedRoleId"), format!("AROA{HOME}ROLE:session"));
    assert!(element(&answer, "SessionToken").len() < 4096);
    let caller = world.caller(&session(&answer)).await.unwrap();
    assert_eq!(caller.session().unwrap().policies.as_ref().map(Vec::len), Some(2));
    let answer = world.ask(&user, "AssumeRole", &form[..2]).await.unwrap();
    assert!(!answer.contains("PackedPolicySize") && !answer.contains("SessionTokenSize"));
    let more = [&form[..2], &[("MinimumSessionTokenSize", "4096")]].concat();
    let answer = world.ask(&user, "AssumeRole", &more).await.unwrap();
    assert!(element(&answer, "SessionTokenSize").parse::<usize>().unwrap() >= 4096);
}

#[tokio::test]
async fn sessions_end_and_die_with_whom_they_are_of() {
    let world = World::new().await;
    let user = world.user(HOME, "bob", "sts:*").await;
    let role = world.role(HOME, "role", &trust(HOME, r#""sts:AssumeRole""#, ""), |_| {}).await;
    let one = world.assume(&user, &role, &[("DurationSeconds", "900")]).await.unwrap();
    let who_am_i = |who: Who| {
        let world = &world;
        async move { world.ask(&who, "GetCallerIdentity", &[]).await.map(|answer| element(&answer, "Arn")) }
    };
    assert_eq!(who_am_i(one.clone()).await, Ok(format!("arn:aws:sts::{HOME}:assumed-role/role/session")));
    // Another role of the same name is another role.
    world.role(HOME, "role", &trust(HOME, r#""sts:AssumeRole""#, ""), |role| role.id = "AROANEW".to_owned()).await;
    assert_eq!(who_am_i(one.clone()).await.err().unwrap().0, "InvalidClientTokenId");
    let two = world.assume(&user, &role, &[("DurationSeconds", "900")]).await.unwrap();
    world.clock.advance(Duration::from_secs(900));
    assert_eq!(who_am_i(two).await.err().unwrap().1, "Expired");
}

#[tokio::test]
async fn sessions_of_the_caller_itself() {
    let world = World::new().await;
    let user = world.user(HOME, "bob", "sts:*").await;
    let weak = world.user(HOME, "weak", "s3:*").await;
    let root = Who::Principal(Principal::Root(HOME.parse().unwrap()));
    let role = world.role(HOME, "role", &trust(HOME, r#""sts:AssumeRole""#, ""), |_| {}).await;
    let seconds = |answer: &str| {
        let end: String = element(answer, "Expiration");
        // START is 2027-01-15T08:00:00Z.
        end
    };
    for (who, action, more, end) in [
        (&user, "GetSessionToken", vec![], "2027-01-15T20:00:00Z"),
        (&user, "GetSessionToken", vec![("DurationSeconds", "129600")], "2027-01-16T20:00:00Z"),
        (&root, "GetSessionToken", vec![("DurationSeconds", "129600")], "2027-01-15T09:00:00Z"),
        (&root, "GetSessionToken", vec![("DurationSeconds", "900")], "2027-01-15T08:15:00Z"),
        (&user, "GetFederationToken", vec![("Name", "joe")], "2027-01-15T20:00:00Z"),
        (&root, "GetFederationToken", vec![("Name", "joe")], "2027-01-15T09:00:00Z"),
    ] {
        let answer = world.ask(who, action, &more).await.unwrap();
        assert_eq!(seconds(&answer), end, "{action} {more:?}");
    }
    // Policies do not control who gets a session of its own, but who gets one for others.
    assert!(world.ask(&weak, "GetSessionToken", &[]).await.is_ok());
    assert_eq!(world.ask(&weak, "GetFederationToken", &[("Name", "joe")]).await.err().unwrap().0, "AccessDenied");
    let own = session(&world.ask(&user, "GetSessionToken", &[]).await.unwrap());
    let federated = session(&world.ask(&user, "GetFederationToken", &[("Name", "joe")]).await.unwrap());
    let assumed = world.assume(&own, &role, &[]).await.unwrap();
    let as_role = ("AccessDenied", "User: arn:aws:sts::111122223333:assumed-role/role/session is not authorized");
    let session = ("AccessDenied", "session credentials");
    for (who, action, more, expected) in [
        (&own, "GetSessionToken", vec![], Some(session)),
        (&own, "GetFederationToken", vec![("Name", "joe")], Some(session)),
        (&own, "GetAccessKeyInfo", vec![("AccessKeyId", "AKIAAAAAAAAAAAAAAAAA")], Some(session)),
        (&assumed, "GetSessionToken", vec![], Some(session)),
        (&assumed, "GetFederationToken", vec![("Name", "joe")], Some(session)),
        (&assumed, "GetAccessKeyInfo", vec![("AccessKeyId", "AKIAAAAAAAAAAAAAAAAA")], Some(as_role)),
        (&federated, "AssumeRole", vec![("RoleArn", role.as_str()), ("RoleSessionName", "xy")], Some(session)),
        (&federated, "GetSessionToken", vec![], Some(session)),
        (&own, "GetCallerIdentity", vec![], None),
        (&federated, "GetCallerIdentity", vec![], None),
    ] {
        let got = world.ask(who, action, &more).await.err();
        let told = got.as_ref().map(|(code, message)| (code.as_str(), message.as_str()));
        match (told, expected) {
            (None, None) => {}
            (Some((code, message)), Some((wanted, words))) => {
                assert!(code == wanted && message.contains(words), "{action}: {got:?}");
            }
            _ => panic!("{action}: {got:?}"),
        }
    }
    let caller = world.caller(&federated).await.unwrap();
    assert_eq!(caller.arn(), format!("arn:aws:sts::{HOME}:federated-user/joe"));
    assert!(caller.session().unwrap().policies.as_ref().is_some_and(Vec::is_empty), "may do nothing");
}

#[tokio::test]
async fn access_keys_and_messages() {
    let world = World::new().await;
    let user = world.user(HOME, "bob", "sts:*").await;
    let weak = world.user(HOME, "weak", "s3:*").await;
    let other = world.accounts.clone().create(None, None).await.unwrap();
    let own = session(&world.ask(&user, "GetSessionToken", &[]).await.unwrap());
    let Who::Session { id, .. } = own else { panic!() };
    for (key, expected) in [
        (other.access_key_id.as_str(), Ok(other.id.to_string())),
        (id.as_str(), Ok(HOME.to_owned())),
        ("AKIAIOSFODNN7EXAMPLE", Err("ValidationError")),
        ("ASIAQNZGKIQY56JQ7WML", Err("ValidationError")),
    ] {
        let got = world.ask(&user, "GetAccessKeyInfo", &[("AccessKeyId", key)]).await;
        let got = got.map(|answer| element(&answer, "Account")).map_err(|(code, _)| code);
        assert_eq!(got, expected.map_err(str::to_owned), "{key}");
    }
    assert_eq!(world.ask(&weak, "GetAccessKeyInfo", &[("AccessKeyId", &id)]).await.err().unwrap().0, "AccessDenied");
    let decode = [("EncodedMessage", "x")];
    let got = world.ask(&user, "DecodeAuthorizationMessage", &decode).await.err().unwrap();
    assert_eq!(got.0, "InvalidAuthorizationMessageException");
    assert_eq!(world.ask(&weak, "DecodeAuthorizationMessage", &decode).await.err().unwrap().0, "AccessDenied");
}

/// Code that is not ours acts with credentials of a role, and continues the chain of what its worker works at.
#[tokio::test]
async fn workers_have_credentials_and_continue_chains() {
    use millpond_kernel::RoleSessions;

    let world = World::new().await;
    let kernel = Arc::clone(&world.sts.kernel);
    let service = kernel.register("lambda.amazonaws.com");
    let trust = |service: &str| {
        format!(r#"{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}"#)
    };
    let open = world.role(HOME, "open", &trust("lambda.amazonaws.com"), |_| {}).await;
    let closed = world.role(HOME, "closed", &trust("events.amazonaws.com"), |_| {}).await;
    let roles = ServiceSessions::new(
        Arc::downgrade(&kernel),
        world.identities.clone(),
        Arc::new(SessionTokens::new(&world.identities)),
    );
    let call = || millpond_kernel::ServiceCall {
        source_arn: None,
        source_account: None,
        request_id: RequestId(1),
        now: START,
        causes: Vec::new(),
    };
    let denied = roles.credentials(&closed, &service, "f", call(), 60).await;
    assert!(matches!(denied, Err(millpond_kernel::Rejection::Denied(_))));
    let made = roles.credentials(&open, &service, "f", call(), 60).await.ok().unwrap();
    let keys = AccessKeys::new(Arc::new(NoRoot), world.identities.clone(), world.sts.sessions.clone());
    let keys = keys.with_workers(kernel.working().clone());
    let causes = async || {
        let found = keys.find(&made.access_key_id, Some(&made.token)).await.unwrap();
        assert_eq!(found.principal.arn(), format!("arn:aws:sts::{HOME}:assumed-role/open/f"));
        assert_eq!(found.secret.expose(), made.secret.as_str());
        found.session.unwrap().causes.clone()
    };
    // As after a restart: what it was at is not known.
    assert_eq!(causes().await, ["worker"]);
    for chain in [vec!["s3:1".to_owned()], vec!["s3:2".to_owned(), "lambda:3".to_owned()]] {
        kernel.working().begin(&made.access_key_id, chain.clone());
        assert_eq!(causes().await, chain);
    }
    // A session that it begins, and one that that one begins, are at what the worker is at when they are used.
    let mut session = keys.find(&made.access_key_id, Some(&made.token)).await.unwrap();
    for _ in 0..2 {
        let begin = Begin {
            principal: session.principal.clone(),
            by: SessionKind::AssumeRole,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued: START,
            expires: START.plus(Duration::from_secs(3_600)),
            causes: session.session.as_ref().unwrap().causes.clone(),
            worker: session.session.as_ref().unwrap().worker.clone(),
        };
        let begun = world.sts.sessions.begin(&begin, 0).unwrap();
        let now = vec!["s3:4".to_owned()];
        kernel.working().begin(&made.access_key_id, now.clone());
        session = keys.find(&begun.access_key_id, Some(&begun.token)).await.unwrap();
        assert_eq!(session.session.as_ref().unwrap().causes, now);
    }
    // Its credentials go on with what it was at last.
    kernel.working().end(&made.access_key_id, START, START.plus(Duration::from_secs(60)));
    assert_eq!(causes().await, ["s3:4"]);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(keys.find(&made.access_key_id, Some(&made.token)).await.err(), Some(CredentialError::Expired));
}
