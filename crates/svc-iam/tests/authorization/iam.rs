//! Who may do what in IAM: a row for every operation, with the resource that it is decided by.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use millpond_io::{SystemClock, SystemRandom};
use millpond_kernel::{
    AuthType, Authenticated, Caller, Epoch, Kernel, Named, Payload, PolicySource, Principal, RequestHead, ResponseBody,
    Service, ServiceRequest, Session, SessionKind, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_iam::{Iam, Identities, IdentityDirectory};
use millpond_types::{AccountId, RequestId, Timestamp};

use super::Whole;

const OWNER: &str = "123456789012";
const STRANGER: &str = "210987654321";

/// Operation, its parameters, and the resource whose permission it needs: after `arn:aws:iam::123456789012:` unless it is `*`. `KEY` stands for an
/// access key of alice.
const ROWS: &[(&str, &str, &str)] = &[
    ("AddUserToGroup", "GroupName=empty&UserName=alice", "group/empty"),
    ("AttachGroupPolicy", "GroupName=g&PolicyArn=POLICY/unused", "group/g"),
    ("AttachRolePolicy", "RoleName=r&PolicyArn=POLICY/unused", "role/r"),
    ("AttachUserPolicy", "UserName=alice&PolicyArn=POLICY/unused", "user/x/alice"),
    ("CreateAccessKey", "UserName=alice", "user/x/alice"),
    ("CreateGroup", "GroupName=new&Path=/y/", "group/y/new"),
    ("CreatePolicy", "PolicyName=new&PolicyDocument=DOCUMENT", "policy/new"),
    ("CreatePolicyVersion", "PolicyArn=POLICY/p&PolicyDocument=DOCUMENT", "policy/p"),
    ("CreateRole", "RoleName=new&AssumeRolePolicyDocument=TRUST", "role/new"),
    ("CreateUser", "UserName=new&Path=/y/", "user/y/new"),
    ("DeleteAccessKey", "UserName=alice&AccessKeyId=KEY", "user/x/alice"),
    ("DeleteGroup", "GroupName=empty", "group/empty"),
    ("DeleteGroupPolicy", "GroupName=g&PolicyName=inline", "group/g"),
    ("DeletePolicy", "PolicyArn=POLICY/unused", "policy/unused"),
    ("DeletePolicyVersion", "PolicyArn=POLICY/p&VersionId=v1", "policy/p"),
    ("DeleteRole", "RoleName=bare", "role/bare"),
    ("DeleteRolePermissionsBoundary", "RoleName=r", "role/r"),
    ("DeleteRolePolicy", "RoleName=r&PolicyName=inline", "role/r"),
    ("DeleteUser", "UserName=lonely", "user/lonely"),
    ("DeleteUserPermissionsBoundary", "UserName=alice", "user/x/alice"),
    ("DeleteUserPolicy", "UserName=alice&PolicyName=inline", "user/x/alice"),
    ("DetachGroupPolicy", "GroupName=g&PolicyArn=POLICY/p", "group/g"),
    ("DetachRolePolicy", "RoleName=r&PolicyArn=POLICY/p", "role/r"),
    ("DetachUserPolicy", "UserName=alice&PolicyArn=POLICY/p", "user/x/alice"),
    ("GetAccessKeyLastUsed", "AccessKeyId=KEY", "user/x/alice"),
    ("GetAccountAuthorizationDetails", "", "*"),
    ("GetAccountPasswordPolicy", "", "*"),
    ("GetAccountSummary", "", "*"),
    ("GetContextKeysForCustomPolicy", "PolicyInputList.member.1=DOCUMENT", "*"),
    ("GetContextKeysForPrincipalPolicy", "PolicySourceArn=arn:aws:iam::123456789012:user/x/alice", "user/x/alice"),
    ("GetGroup", "GroupName=g", "group/g"),
    ("GetGroupPolicy", "GroupName=g&PolicyName=inline", "group/g"),
    ("GetLoginProfile", "UserName=alice", "user/x/alice"),
    ("GetPolicy", "PolicyArn=POLICY/p", "policy/p"),
    ("GetPolicyVersion", "PolicyArn=POLICY/p&VersionId=v1", "policy/p"),
    ("GetRole", "RoleName=r", "role/r"),
    ("GetRolePolicy", "RoleName=r&PolicyName=inline", "role/r"),
    ("GetUser", "UserName=alice", "user/x/alice"),
    ("GetUserPolicy", "UserName=alice&PolicyName=inline", "user/x/alice"),
    ("ListAccessKeys", "UserName=alice", "user/x/alice"),
    ("ListAccountAliases", "", "*"),
    ("ListAttachedGroupPolicies", "GroupName=g", "group/g"),
    ("ListAttachedRolePolicies", "RoleName=r", "role/r"),
    ("ListAttachedUserPolicies", "UserName=alice", "user/x/alice"),
    ("ListEntitiesForPolicy", "PolicyArn=POLICY/p", "policy/p"),
    ("ListGroupPolicies", "GroupName=g", "group/g"),
    ("ListGroups", "PathPrefix=/y/", "group/y/"),
    ("ListGroupsForUser", "UserName=alice", "user/x/alice"),
    ("ListInstanceProfiles", "", "instance-profile/"),
    ("ListInstanceProfilesForRole", "RoleName=r", "role/r"),
    ("ListMFADevices", "UserName=alice", "user/x/alice"),
    ("ListOpenIDConnectProviders", "", "*"),
    ("ListPolicies", "", "*"),
    ("ListPolicyTags", "PolicyArn=POLICY/p", "policy/p"),
    ("ListPolicyVersions", "PolicyArn=POLICY/p", "policy/p"),
    ("ListRolePolicies", "RoleName=r", "role/r"),
    ("ListRoleTags", "RoleName=r", "role/r"),
    ("ListRoles", "", "role/"),
    ("ListSAMLProviders", "", "*"),
    ("ListSSHPublicKeys", "UserName=alice", "user/x/alice"),
    ("ListServerCertificates", "PathPrefix=/y/", "server-certificate/y/"),
    ("ListServiceSpecificCredentials", "UserName=alice", "user/x/alice"),
    ("ListSigningCertificates", "UserName=alice", "user/x/alice"),
    ("ListUserPolicies", "UserName=alice", "user/x/alice"),
    ("ListUserTags", "UserName=alice", "user/x/alice"),
    ("ListUsers", "", "user/"),
    ("ListVirtualMFADevices", "", "*"),
    ("PutGroupPolicy", "GroupName=g&PolicyName=new&PolicyDocument=DOCUMENT", "group/g"),
    ("PutRolePermissionsBoundary", "RoleName=bare&PermissionsBoundary=POLICY/p", "role/bare"),
    ("PutRolePolicy", "RoleName=r&PolicyName=new&PolicyDocument=DOCUMENT", "role/r"),
    ("PutUserPermissionsBoundary", "UserName=lonely&PermissionsBoundary=POLICY/p", "user/lonely"),
    ("PutUserPolicy", "UserName=alice&PolicyName=new&PolicyDocument=DOCUMENT", "user/x/alice"),
    ("RemoveUserFromGroup", "GroupName=g&UserName=alice", "group/g"),
    ("SetDefaultPolicyVersion", "PolicyArn=POLICY/p&VersionId=v1", "policy/p"),
    ("SimulateCustomPolicy", "PolicyInputList.member.1=DOCUMENT&ActionNames.member.1=s3:GetObject", "*"),
    (
        "SimulatePrincipalPolicy",
        "PolicySourceArn=arn:aws:iam::123456789012:user/x/alice&ActionNames.member.1=s3:GetObject",
        "user/x/alice",
    ),
    ("TagPolicy", "PolicyArn=POLICY/p&Tags.member.1.Key=k&Tags.member.1.Value=v", "policy/p"),
    ("TagRole", "RoleName=r&Tags.member.1.Key=k&Tags.member.1.Value=v", "role/r"),
    ("TagUser", "UserName=alice&Tags.member.1.Key=k&Tags.member.1.Value=v", "user/x/alice"),
    ("UntagPolicy", "PolicyArn=POLICY/p&TagKeys.member.1=k", "policy/p"),
    ("UntagRole", "RoleName=r&TagKeys.member.1=k", "role/r"),
    ("UntagUser", "UserName=alice&TagKeys.member.1=k", "user/x/alice"),
    ("UpdateAccessKey", "UserName=alice&AccessKeyId=KEY&Status=Inactive", "user/x/alice"),
    ("UpdateAssumeRolePolicy", "RoleName=r&PolicyDocument=TRUST", "role/r"),
    ("UpdateGroup", "GroupName=g", "group/g"),
    ("UpdateRole", "RoleName=r", "role/r"),
    ("UpdateRoleDescription", "RoleName=r&Description=d", "role/r"),
    ("UpdateUser", "UserName=alice", "user/x/alice"),
];

/// What every test starts with, made by the root user.
const SETUP: &[&str] = &[
    "Action=CreateUser&UserName=subject",
    "Action=CreateUser&UserName=alice&Path=/x/",
    "Action=CreateUser&UserName=lonely",
    "Action=CreateGroup&GroupName=g",
    "Action=CreateGroup&GroupName=empty",
    "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument=TRUST",
    "Action=CreateRole&RoleName=bare&AssumeRolePolicyDocument=TRUST",
    "Action=CreatePolicy&PolicyName=p&PolicyDocument=DOCUMENT",
    "Action=CreatePolicyVersion&PolicyArn=POLICY/p&PolicyDocument=DOCUMENT&SetAsDefault=true",
    "Action=CreatePolicy&PolicyName=unused&PolicyDocument=DOCUMENT",
    "Action=AddUserToGroup&GroupName=g&UserName=alice",
    "Action=PutUserPolicy&UserName=alice&PolicyName=inline&PolicyDocument=DOCUMENT",
    "Action=PutGroupPolicy&GroupName=g&PolicyName=inline&PolicyDocument=DOCUMENT",
    "Action=PutRolePolicy&RoleName=r&PolicyName=inline&PolicyDocument=DOCUMENT",
    "Action=AttachUserPolicy&UserName=alice&PolicyArn=POLICY/p",
    "Action=AttachGroupPolicy&GroupName=g&PolicyArn=POLICY/p",
    "Action=AttachRolePolicy&RoleName=r&PolicyArn=POLICY/p",
    "Action=PutUserPermissionsBoundary&UserName=alice&PermissionsBoundary=POLICY/p",
    "Action=PutRolePermissionsBoundary&RoleName=r&PermissionsBoundary=POLICY/p",
];

struct Server {
    iam: Iam,
    identities: Identities,
    key: String,
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn document(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

fn root(account: &str) -> Principal {
    Principal::Root(account.parse().unwrap())
}

impl Server {
    async fn new() -> Self {
        let kv = Arc::new(MemoryKv::new());
        let epoch = Epoch::load(kv.clone()).await.unwrap();
        let (clock, random, vault) = (Arc::new(SystemClock), Arc::new(SystemRandom), Arc::new(Vault::for_tests()));
        let identities = Identities::load(kv, clock, random, vault, epoch.clone()).await.unwrap();
        let owner: AccountId = OWNER.parse().unwrap();
        let kernel = Arc::new(Kernel::new(owner, "us-east-1".parse().unwrap(), epoch));
        kernel.use_directory(Arc::new(IdentityDirectory::new(identities.clone(), Arc::new(owner))));
        let iam =
            Iam::new(kernel, identities.clone(), Arc::new(OWNER.parse::<AccountId>().unwrap()), "ROOTROOTROOTROOT");
        let mut server = Self { iam, identities, key: String::new() };
        for form in SETUP {
            server.send(root(OWNER), None, form).await.unwrap_or_else(|error| panic!("{form}: {error}"));
        }
        let made = server.send(root(OWNER), None, "Action=CreateAccessKey&UserName=alice").await.unwrap();
        let from = made.find("<AccessKeyId>").unwrap() + "<AccessKeyId>".len();
        server.key = made[from..from + 20].to_owned();
        server
    }

    /// The body of the answer, or the error's code.
    async fn send(&self, principal: Principal, session: Option<Arc<Session>>, form: &str) -> Result<String, String> {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let form = form
            .replace("DOCUMENT", &encoded(&document("Allow", "s3:GetObject", "*")))
            .replace("TRUST", &encoded(trust))
            .replace("POLICY", &format!("arn:aws:iam::{OWNER}:policy"))
            .replace("=KEY", &format!("={}", self.key));
        let head = RequestHead {
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            host_bucket: None,
        };
        let operation = self.iam.identify(&head).unwrap();
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
        let body = format!("{form}&Version=2010-05-08");
        let payload = Payload::new(Box::new(Whole(Some(Bytes::from(body)))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.iam.call(request).await {
            Ok(response) => match response.body {
                ResponseBody::Full(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
                other => panic!("{other:?}"),
            },
            Err(error) => Err(error.code.into_owned()),
        }
    }

    fn subject(&self) -> Principal {
        self.identities.user(OWNER.parse().unwrap(), "subject").unwrap().principal()
    }

    async fn grant(&self, name: &str, text: &str) {
        let form = format!("Action=PutUserPolicy&UserName=subject&PolicyName={name}&PolicyDocument={}", encoded(text));
        self.send(root(OWNER), None, &form).await.unwrap();
    }

    async fn bound(&self, name: &str, text: &str) {
        let create = format!("Action=CreatePolicy&PolicyName={name}&PolicyDocument={}", encoded(text));
        self.send(root(OWNER), None, &create).await.unwrap();
        let form = format!("Action=PutUserPermissionsBoundary&UserName=subject&PermissionsBoundary=POLICY/{name}");
        self.send(root(OWNER), None, &form).await.unwrap();
    }
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

/// Whether an operation that was allowed found nothing, as there cannot be any.
fn unset(operation: &str, answer: &Result<String, String>) -> bool {
    ["GetAccountPasswordPolicy", "GetLoginProfile"].contains(&operation) && *answer == Err("NoSuchEntity".to_owned())
}

#[tokio::test]
async fn every_operation_needs_its_action_on_its_resource() {
    let denied = || Err("AccessDenied".to_owned());
    for (operation, parameters, resource) in ROWS {
        let server = Server::new().await;
        let (form, action) = (format!("Action={operation}&{parameters}"), format!("iam:{operation}"));
        let arn = if *resource == "*" { "*".to_owned() } else { format!("arn:aws:iam::{OWNER}:{resource}") };
        let subject = server.subject();
        assert_eq!(
            server.send(Principal::Anonymous, None, &form).await,
            Err("MissingAuthenticationToken".to_owned()),
            "{operation}: anonymous"
        );
        assert_eq!(server.send(subject.clone(), None, &form).await, denied(), "{operation}: no grant");

        // Another action on everything, this action on another resource: neither is enough.
        server.grant("others", &document("Allow", &action, &format!("arn:aws:iam::{OWNER}:user/other"))).await;
        server.grant("all", &document("Allow", "s3:*", "*")).await;
        assert_eq!(server.send(subject.clone(), None, &form).await, denied(), "{operation}: another grant");

        server.grant("own", &document("Allow", &action, &arn)).await;
        let limiting = session(SessionKind::AssumeRole, &document("Allow", "iam:Nothing", "*"));
        assert_eq!(server.send(subject.clone(), limiting, &form).await, denied(), "{operation}: session policy");
        server.bound("bounded", &document("Allow", "iam:Nothing", "*")).await;
        assert_eq!(server.send(subject.clone(), None, &form).await, denied(), "{operation}: boundary");
        server.bound("wide", &document("Allow", &action, &arn)).await;
        server.grant("never", &document("Deny", &action, &arn)).await;
        assert_eq!(server.send(subject.clone(), None, &form).await, denied(), "{operation}: explicit deny");
        let lift = "Action=DeleteUserPolicy&UserName=subject&PolicyName=never";
        server.send(root(OWNER), None, lift).await.unwrap();

        // Another account's root user means its own account's identities, where there are none, or the resource of this one.
        let foreign = server.send(root(STRANGER), None, &form).await;
        let creates = ["CreateUser", "CreateGroup", "CreateRole", "CreatePolicy"].contains(operation);
        let lists = operation.starts_with("List") && !parameters.contains("Name=") && !parameters.contains("Arn=");
        match foreign.as_deref().map_err(String::as_str) {
            Err("NoSuchEntity" | "AccessDenied") => {}
            Ok(answer) if creates => assert!(answer.contains(STRANGER) && !answer.contains(OWNER), "{operation}"),
            Ok(answer) if lists || *resource == "*" => {
                assert!(!answer.contains("alice") && !answer.contains(OWNER), "{operation}: {answer}");
            }
            other => panic!("{operation}: another account: {other:?}"),
        }

        let allowed = session(SessionKind::AssumeRole, &document("Allow", &action, "*"));
        let answer = server.send(subject, allowed, &form).await;
        assert!(answer.is_ok() || unset(operation, &answer), "{operation}: allowed: {answer:?}");
    }
}

#[tokio::test]
async fn the_root_user_may_do_everything_in_its_account() {
    for (operation, parameters, _) in ROWS {
        let server = Server::new().await;
        let answer = server.send(root(OWNER), None, &format!("Action={operation}&{parameters}")).await;
        assert!(answer.is_ok() || unset(operation, &answer), "{operation}: {answer:?}");
    }
}

#[tokio::test]
async fn a_user_that_was_deleted_and_made_anew_is_another() {
    let server = Server::new().await;
    let former = server.subject();
    server.grant("all", &document("Allow", "iam:*", "*")).await;
    assert!(server.send(former.clone(), None, "Action=ListUsers").await.is_ok());
    for form in [
        "Action=DeleteUserPolicy&UserName=subject&PolicyName=all",
        "Action=DeleteUser&UserName=subject",
        "Action=CreateUser&UserName=subject",
    ] {
        server.send(root(OWNER), None, form).await.unwrap();
    }
    server.grant("all", &document("Allow", "iam:*", "*")).await;
    let gone = Err("InvalidClientTokenId".to_owned());
    assert_eq!(server.send(former, None, "Action=ListUsers").await, gone);
    assert!(server.send(server.subject(), None, "Action=ListUsers").await.is_ok());
}

#[tokio::test]
async fn sessions_of_users_are_for_no_operation() {
    let server = Server::new().await;
    for by in [SessionKind::GetSessionToken, SessionKind::GetFederationToken] {
        let all = session(by, &document("Allow", "*", "*"));
        let refused = Err("InvalidClientTokenId".to_owned());
        assert_eq!(server.send(root(OWNER), all, "Action=ListUsers").await, refused, "{by:?}");
    }
}
