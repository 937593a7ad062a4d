//! Who may do what in STS: a row for every operation that needs permission, and what the others ask for.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use millpond_io::{SystemClock, SystemRandom};
use millpond_kernel::{
    AuthType, Authenticated, Caller, Credential, CredentialError, Credentials, Epoch, Kernel, Named, Payload,
    PolicySource, Principal, RequestHead, ResponseBody, Service, ServiceRequest, Session, SessionKind, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_iam::{
    AccessKeys, Iam, Identities, IdentityDirectory, LocalAccounts, NoDenials, SessionTokens, Sts, StsParts,
};
use millpond_types::{AccountId, RequestId, Timestamp};

use super::Whole;

const OWNER: &str = "123456789012";
const STRANGER: &str = "210987654321";
const ROLE: &str = "arn:aws:iam::123456789012:role/r";

/// Operation, its parameters, the resource whose permission it needs, and what answers it when it is allowed: nothing for success.
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=me", ROLE, ""),
    ("DecodeAuthorizationMessage", "EncodedMessage=x", "*", "InvalidAuthorizationMessageException"),
    ("GetAccessKeyInfo", "AccessKeyId=AKIAIOSFODNN7EXAMPLE", "*", "ValidationError"),
    ("GetFederationToken", "Name=joe", "arn:aws:sts::123456789012:federated-user/joe", ""),
];

/// Operations that nobody who signs needs permission for.
const FREE: &[&str] = &["GetCallerIdentity", "GetSessionToken"];

struct NoRoot;

impl Credentials for NoRoot {
    fn find<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> futures_util::future::BoxFuture<'a, Result<Credential, CredentialError>> {
        Box::pin(std::future::ready(Err(CredentialError::Unknown)))
    }
}

struct Server {
    iam: Iam,
    sts: Sts,
    identities: Identities,
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn document(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

fn trust(effect: &str, principal: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}"#)
}

fn root(account: &str) -> Principal {
    Principal::Root(account.parse().unwrap())
}

fn session(by: SessionKind, text: &str) -> Option<Arc<Session>> {
    let policy = Arc::new(Policy::parse(text, PolicyKind::Session).unwrap());
    let source = PolicySource::Session { name: "inline".to_owned() };
    Some(Arc::new(Session {
        policies: Some(vec![Named { source, policy }]),
        tags: Vec::new(),
        transitive: Vec::new(),
        source_identity: None,
        issued: Timestamp::from_seconds(1_799_999_000),
        expires: Timestamp::from_seconds(1_800_003_000),
        by,
        causes: Vec::new(),
        worker: None,
    }))
}

impl Server {
    /// Two accounts, each with a user `subject`, and in the first a role that trusts both accounts.
    async fn new() -> Self {
        let kv = Arc::new(MemoryKv::new());
        let epoch = Epoch::load(kv.clone()).await.unwrap();
        let (clock, random, vault) = (Arc::new(SystemClock), Arc::new(SystemRandom), Arc::new(Vault::for_tests()));
        let identities = Identities::load(kv, clock, random, vault, epoch.clone()).await.unwrap();
        let owner: AccountId = OWNER.parse().unwrap();
        let accounts = Arc::new(LocalAccounts::load(owner, identities.clone()).await.unwrap());
        accounts.clone().create(Some(STRANGER.parse().unwrap()), None).await.unwrap();
        let kernel = Arc::new(Kernel::new(owner, "us-east-1".parse().unwrap(), epoch));
        kernel.use_directory(Arc::new(IdentityDirectory::new(identities.clone(), accounts)));
        let sessions = Arc::new(SessionTokens::new(&identities));
        let credentials = Arc::new(AccessKeys::new(Arc::new(NoRoot), identities.clone(), sessions.clone()));
        let iam = Iam::new(kernel.clone(), identities.clone(), Arc::new(kernel.account()), "ROOTROOTROOTROOT");
        let parts =
            StsParts { kernel, identities: identities.clone(), sessions, credentials, denials: Arc::new(NoDenials) };
        let server = Self { iam, sts: Sts::new(parts), identities };
        for account in [OWNER, STRANGER] {
            server.manage(account, "Action=CreateUser&UserName=subject").await;
        }
        server
            .manage(OWNER, &format!("Action=CreateRole&RoleName=r&AssumeRolePolicyDocument={}", encoded(&both(&[]))))
            .await;
        server
    }

    async fn send(
        service: &dyn Service,
        principal: Principal,
        session: Option<Arc<Session>>,
        form: String,
    ) -> Result<String, String> {
        let head = RequestHead {
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            host_bucket: None,
        };
        let operation = service.identify(&head).unwrap();
        let auth = if principal == Principal::Anonymous { AuthType::None } else { AuthType::Header };
        let caller = Caller::authenticated(Authenticated {
            principal,
            session,
            access_key_id: None,
            auth,
            signed: None,
            transport: Transport::internal(),
            request_id: RequestId(7),
            received: Timestamp::from_seconds(1_800_000_000),
        });
        let payload = Payload::new(Box::new(Whole(Some(Bytes::from(form)))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match service.call(request).await {
            Ok(response) => match response.body {
                ResponseBody::Full(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
                other => panic!("{other:?}"),
            },
            Err(error) => Err(error.code.into_owned()),
        }
    }

    /// What the root user of an account does in IAM.
    async fn manage(&self, account: &str, form: &str) {
        let form = format!("{form}&Version=2010-05-08");
        let answer = Self::send(&self.iam, root(account), None, form.clone()).await;
        answer.unwrap_or_else(|error| panic!("{form}: {error}"));
    }

    async fn ask(&self, who: &Principal, session: Option<Arc<Session>>, form: &str) -> Result<String, String> {
        Self::send(&self.sts, who.clone(), session, format!("{form}&Version=2011-06-15")).await
    }

    fn subject(&self, account: &str) -> Principal {
        self.identities.user(account.parse().unwrap(), "subject").unwrap().principal()
    }

    async fn grant(&self, account: &str, name: &str, text: &str) {
        let form = format!("Action=PutUserPolicy&UserName=subject&PolicyName={name}&PolicyDocument={}", encoded(text));
        self.manage(account, &form).await;
    }

    async fn bound(&self, name: &str, text: &str) {
        self.manage(OWNER, &format!("Action=CreatePolicy&PolicyName={name}&PolicyDocument={}", encoded(text))).await;
        let arn = format!("arn:aws:iam::{OWNER}:policy/{name}");
        self.manage(OWNER, &format!("Action=PutUserPermissionsBoundary&UserName=subject&PermissionsBoundary={arn}"))
            .await;
    }

    async fn trust(&self, document: &str) {
        let form = format!("Action=UpdateAssumeRolePolicy&RoleName=r&PolicyDocument={}", encoded(document));
        self.manage(OWNER, &form).await;
    }
}

/// A trust policy of both accounts, and more statements.
fn both(more: &[String]) -> String {
    let statements: Vec<_> = [trust("Allow", OWNER), trust("Allow", STRANGER)].iter().chain(more).cloned().collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

#[tokio::test]
async fn every_operation_needs_its_action_on_its_resource() {
    let denied = || Err("AccessDenied".to_owned());
    for (operation, parameters, resource, answer) in ROWS {
        let server = Server::new().await;
        let (form, action) = (format!("Action={operation}&{parameters}"), format!("sts:{operation}"));
        let expected = |got: Result<String, String>| got.err().unwrap_or_default() == *answer;
        let subject = server.subject(OWNER);
        let unsigned = server.ask(&Principal::Anonymous, None, &form).await;
        assert_eq!(unsigned, Err("MissingAuthenticationToken".to_owned()), "{operation}: anonymous");
        assert_eq!(server.ask(&subject, None, &form).await, denied(), "{operation}: no grant");
        server.grant(OWNER, "all", &document("Allow", "s3:*", "*")).await;
        server.grant(OWNER, "others", &document("Allow", &action, "arn:aws:iam::123456789012:role/other")).await;
        assert_eq!(server.ask(&subject, None, &form).await, denied(), "{operation}: another grant");

        server.grant(OWNER, "own", &document("Allow", &action, resource)).await;
        assert!(expected(server.ask(&subject, None, &form).await), "{operation}: identity allow");
        // Sessions of roles and users differ in what they may call; what their policies do not allow, none may.
        let limiting = session(SessionKind::AssumeRole, &document("Allow", "sts:Nothing", "*"));
        assert_eq!(server.ask(&subject, limiting, &form).await, denied(), "{operation}: session policy");
        server.bound("bounded", &document("Allow", "sts:Nothing", "*")).await;
        assert_eq!(server.ask(&subject, None, &form).await, denied(), "{operation}: boundary");
        server.bound("wide", &document("Allow", &action, "*")).await;
        assert!(expected(server.ask(&subject, None, &form).await), "{operation}: wide boundary");
        server.grant(OWNER, "never", &document("Deny", &action, "*")).await;
        assert_eq!(server.ask(&subject, None, &form).await, denied(), "{operation}: explicit deny");
        assert_eq!(server.ask(&server.subject(STRANGER), None, &form).await, denied(), "{operation}: other account");
    }
}

#[tokio::test]
async fn roles_are_assumed_when_both_sides_allow() {
    let server = Server::new().await;
    let (mine, theirs) = (server.subject(OWNER), server.subject(STRANGER));
    let form = format!("Action={}&RoleArn={ROLE}&RoleSessionName=me", "AssumeRole");
    let denied = Err("AccessDenied".to_owned());
    let allow = document("Allow", "sts:AssumeRole", ROLE);
    // The other account's side alone, and ours alone.
    assert_eq!(server.ask(&theirs, None, &form).await, denied, "resource allow, other account");
    server.grant(STRANGER, "take", &allow).await;
    assert!(server.ask(&theirs, None, &form).await.is_ok(), "both sides");
    let only_mine = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, trust("Allow", OWNER));
    server.trust(&only_mine).await;
    assert_eq!(server.ask(&theirs, None, &form).await, denied, "identity allow, other account");

    // Within the account, who is named needs no policy.
    let named = both(&[trust("Allow", &format!("arn:aws:iam::{OWNER}:user/subject"))]);
    server.trust(&named).await;
    assert!(server.ask(&mine, None, &form).await.is_ok(), "resource allow");
    server.trust(&both(&[trust("Allow", &format!("arn:aws:iam::{OWNER}:user/subject")), trust("Deny", OWNER)])).await;
    server.grant(OWNER, "take", &allow).await;
    assert_eq!(server.ask(&mine, None, &form).await, denied, "explicit deny of the trust policy");
    assert_eq!(server.ask(&root(OWNER), None, &form).await, denied, "root");
}

#[tokio::test]
async fn free_operations() {
    let server = Server::new().await;
    let subject = server.subject(OWNER);
    server.grant(OWNER, "never", &document("Deny", "*", "*")).await;
    let nothing = || session(SessionKind::AssumeRole, &document("Deny", "*", "*"));
    for operation in FREE {
        let form = format!("Action={operation}");
        let unsigned = server.ask(&Principal::Anonymous, None, &form).await;
        assert_eq!(unsigned, Err("MissingAuthenticationToken".to_owned()), "{operation}: anonymous");
        for who in [&subject, &root(OWNER), &root(STRANGER)] {
            assert!(server.ask(who, None, &form).await.is_ok(), "{operation}");
        }
        let by_session = server.ask(&subject, nothing(), &form).await;
        assert_eq!(by_session.is_ok(), *operation == "GetCallerIdentity", "{operation}: {by_session:?}");
    }
    server.manage(OWNER, "Action=DeleteUserPolicy&UserName=subject&PolicyName=never").await;
    server.manage(OWNER, "Action=DeleteUser&UserName=subject").await;
    for operation in FREE {
        let gone = server.ask(&subject, None, &format!("Action={operation}")).await;
        assert_eq!(gone, Err("InvalidClientTokenId".to_owned()), "{operation}");
    }
}

#[tokio::test]
async fn what_is_no_request() {
    let server = Server::new().await;
    for (form, code) in [
        ("Version=2011-06-15", "MissingAction"),
        ("Action=GetCallerIdentity", "InvalidAction"),
        ("Action=GetCallerIdentity&Version=2010-05-08", "InvalidAction"),
        ("Action=Nonsense&Version=2011-06-15", "InvalidAction"),
        ("Action=AssumeRoleWithSAML&Version=2011-06-15", "NotImplemented"),
        ("Action=%FF&Version=2011-06-15", "ValidationError"),
    ] {
        let got = Server::send(&server.sts, root(OWNER), None, form.to_owned()).await;
        assert_eq!(got, Err(code.to_owned()), "{form}");
    }
}
