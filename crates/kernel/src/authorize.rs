//! The only way to an [`Authorized`] operation.

use std::sync::{Arc, OnceLock, PoisonError};

use millpond_policy::{Context, Denial, Kind, Principal, ResourceRule, Verdict};
use millpond_types::{AccountId, Region};

use crate::audit::Audit;
use crate::caller::ServiceIdentity;
use crate::decisions::Decision;
use crate::epoch::{Epoch, Pin};
use crate::targets::{Ports, RoleSessions, Targets};
use crate::{
    Access, Caller, Catalog, Directory, DirectoryError, LogReader, LogWriter, ObjectReads, Operation, Queues, Rights,
    TableStreams, Working,
};

/// An operation that its caller may carry out. Made by [`Kernel::authorize`] alone.
#[derive(Debug)]
pub struct Authorized<O> {
    operation: O,
    pin: Pin,
}

impl<O> Authorized<O> {
    /// The operation.
    pub fn get(&self) -> &O {
        &self.operation
    }

    /// The operation, to be carried out.
    pub fn into_inner(self) -> O {
        self.operation
    }

    /// The epoch since which it was resolved and decided: a condition of what is committed because of it.
    pub fn pin(&self) -> Pin {
        self.pin
    }
}

/// Why a caller may not.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(Box<Denied>),
    /// The user or role does not exist any more.
    #[error("the security token included in the request is invalid")]
    Gone,
    /// Something that the decision depends on could not be read.
    #[error("the request cannot be decided: {0}")]
    Failed(String),
}

/// What the policies do not allow.
#[derive(Clone, Debug)]
pub struct Denied {
    /// Who asked, as an ARN or `anonymous`.
    pub principal: String,
    /// Whether who asked belongs to the account that owns the resource.
    pub same_account: bool,
    /// Which access was refused.
    pub access: Access,
    /// Why.
    pub denial: Denial,
    /// The ARN of the policy that denies explicitly, where messages name it.
    pub policy: Option<String>,
}

impl std::fmt::Display for Denied {
    /// The reason as AWS's newer messages give it (IAM User Guide, "Troubleshoot access denied error messages"), with the resource's ARN as it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write(f, "")
    }
}

impl Denied {
    fn write(&self, f: &mut std::fmt::Formatter<'_>, quote: &str) -> std::fmt::Result {
        let (action, arn) = (self.access.action, self.access.resource.arn.as_str());
        write!(f, "User: {} is not authorized to perform: {action} ", self.principal)?;
        // An action that is about no resource is asked of the whole service.
        if !arn.ends_with(":*") {
            write!(f, "on resource: {quote}{arn}{quote} ")?;
        }
        match self.denial {
            Denial::Explicit(kind) => {
                let (article, words) = self.words(kind);
                write!(f, "with an explicit deny in {article} {words}")?;
                match &self.policy {
                    Some(arn) => write!(f, ": {arn}"),
                    None => Ok(()),
                }
            }
            Denial::Implicit(kind) => write!(f, "because no {} allows the {action} action", self.words(kind).1),
        }
    }

    /// An article and the words for a kind of policy; those of roles are called by a name of their own.
    fn words(&self, kind: Kind) -> (&'static str, &'static str) {
        match (kind, kind.words()) {
            (Kind::Resource, _) if self.access.action.starts_with("sts:AssumeRole") => ("the", "role trust policy"),
            (_, words) => (article(words), words),
        }
    }

    /// The message with the resource in quotes, as S3 has it.
    pub fn quoted(&self) -> String {
        struct Quoted<'a>(&'a Denied);
        impl std::fmt::Display for Quoted<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.write(f, "\"")
            }
        }
        Quoted(self).to_string()
    }
}

fn article(words: &str) -> &'static str {
    if words.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

/// What decides for every service.
pub struct Kernel {
    account: AccountId,
    region: Region,
    epoch: Epoch,
    directory: OnceLock<Arc<dyn Directory>>,
    audit: OnceLock<Audit>,
    ports: Ports,
}

impl Kernel {
    /// A kernel for a server whose home account is `account`. Until [`Self::use_directory`] was called it knows root users alone.
    pub fn new(account: AccountId, region: Region, epoch: Epoch) -> Self {
        Self { account, region, epoch, directory: OnceLock::new(), audit: OnceLock::new(), ports: Ports::default() }
    }

    /// Says where identities are looked up. Once, while a server is put together.
    pub fn use_directory(&self, directory: Arc<dyn Directory>) {
        // A second directory would be a mistake of the one place that puts servers together; the first one stays.
        let _ = self.directory.set(directory);
    }

    /// Says where uses of keys are recorded. Once, while a server is put together.
    pub fn use_audit(&self, audit: Audit) {
        let _ = self.audit.set(audit);
    }

    /// Where uses of keys are recorded.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.get()
    }

    /// Where things can be delivered to.
    pub fn targets(&self) -> &Targets {
        &self.ports.targets
    }

    /// Says who makes sessions of roles for services. Once, while a server is put together.
    pub fn use_roles(&self, roles: Arc<dyn RoleSessions>) {
        *self.ports.roles.write().unwrap_or_else(PoisonError::into_inner) = Some(roles);
    }

    /// Who makes sessions of roles for services.
    pub fn roles(&self) -> Option<Arc<dyn RoleSessions>> {
        self.ports.roles.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of what holds the kernel in its turn. When a server ends, so that its engines close.
    pub fn close(&self) {
        self.ports.targets.clear();
        *self.ports.roles.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ports.lines.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ports.printed.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ports.queues.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ports.streams.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ports.catalog.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ports.reads.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says who takes lines of logs. Once, while a server is put together.
    pub fn use_log_writer(&self, writer: Arc<dyn LogWriter>) {
        *self.ports.lines.write().unwrap_or_else(PoisonError::into_inner) = Some(writer);
    }

    /// Who takes lines of logs.
    pub fn log_writer(&self) -> Option<Arc<dyn LogWriter>> {
        self.ports.lines.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says who reads lines of logs. Once, while a server is put together.
    pub fn use_log_reader(&self, reader: Arc<dyn LogReader>) {
        *self.ports.printed.write().unwrap_or_else(PoisonError::into_inner) = Some(reader);
    }

    /// Who reads lines of logs.
    pub fn log_reader(&self) -> Option<Arc<dyn LogReader>> {
        self.ports.printed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says who takes messages out of queues. Once, while a server is put together.
    pub fn use_queues(&self, queues: Arc<dyn Queues>) {
        *self.ports.queues.write().unwrap_or_else(PoisonError::into_inner) = Some(queues);
    }

    /// Who takes messages out of queues.
    pub fn queues(&self) -> Option<Arc<dyn Queues>> {
        self.ports.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says who reads the streams of tables. Once, while a server is put together.
    pub fn use_table_streams(&self, streams: Arc<dyn TableStreams>) {
        *self.ports.streams.write().unwrap_or_else(PoisonError::into_inner) = Some(streams);
    }

    /// Who reads the streams of tables.
    pub fn table_streams(&self) -> Option<Arc<dyn TableStreams>> {
        self.ports.streams.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says who keeps the catalog of tables. Once, while a server is put together.
    pub fn use_catalog(&self, catalog: Arc<dyn Catalog>) {
        *self.ports.catalog.write().unwrap_or_else(PoisonError::into_inner) = Some(catalog);
    }

    /// Who keeps the catalog of tables.
    pub fn catalog(&self) -> Option<Arc<dyn Catalog>> {
        self.ports.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says who reads listings and ranges of objects. Once, while a server is put together.
    pub fn use_object_reads(&self, reads: Arc<dyn ObjectReads>) {
        *self.ports.reads.write().unwrap_or_else(PoisonError::into_inner) = Some(reads);
    }

    /// Who reads listings and ranges of objects.
    pub fn object_reads(&self) -> Option<Arc<dyn ObjectReads>> {
        self.ports.reads.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What workers do at the moment.
    pub fn working(&self) -> &Arc<Working> {
        &self.ports.working
    }

    /// Names a service of ours. Once for each, while a server is put together.
    pub fn register(&self, principal: &'static str) -> ServiceIdentity {
        ServiceIdentity(principal)
    }

    /// The account that the server was made with.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The region.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The policy epoch.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Where identities are looked up.
    pub fn directory(&self) -> Option<&Arc<dyn Directory>> {
        self.directory.get()
    }

    /// Decides whether `caller` may carry out `operation`: every one of its accesses must be allowed. The pin covers what is read from here
    /// on, the caller's rights; of the policies that the operation was resolved with it covers only those that something else pins. Where a
    /// resource's own policy or grants decide about a change, use [`Self::authorize_since`].
    pub async fn authorize<O: Operation>(&self, caller: &Caller, operation: O) -> Result<Authorized<O>, Refusal> {
        self.authorize_since(self.epoch.now(), caller, operation).await
    }

    /// Whether there is such an account: a request may name any, and none that is not there gets a trail by it.
    fn exists(&self, account: AccountId) -> bool {
        account == self.account || self.directory.get().is_none_or(|directory| directory.account_exists(account))
    }

    /// As [`Self::authorize`], with the epoch as it was before the operation's resources were resolved: what changed since then makes the
    /// commit fail, also a policy or a grant of theirs that was replaced before it could be decided by.
    pub async fn authorize_since<O: Operation>(
        &self,
        pin: Pin,
        caller: &Caller,
        operation: O,
    ) -> Result<Authorized<O>, Refusal> {
        let rights = self.rights(caller).await?;
        for (place, access) in operation.accesses().into_iter().enumerate() {
            // What a service touches on the way has records of its own.
            if caller.via().is_empty() && self.exists(access.resource.owner) {
                caller.note().touches(access.resource.arn.as_str(), access.resource.owner);
            }
            if root_alone(caller, &access) {
                continue;
            }
            let mut context = self.context(caller, &rights, &access);
            operation.context_at(place, &access, &mut context);
            let decision = self.decide(caller, &rights, access, context);
            if let Verdict::Denied(denial) = decision.verdict {
                return Err(Refusal::Denied(Box::new(denied(caller, &decision, denial))));
            }
        }
        Ok(Authorized { operation, pin })
    }

    /// Whether an access would be allowed, and why not, for answers that depend on it (such as 404 or 403). Nothing is authorized by it.
    pub async fn would_allow<O: Operation>(&self, caller: &Caller, operation: &O) -> Result<(), Refusal> {
        let rights = self.rights(caller).await?;
        for (place, access) in operation.accesses().into_iter().enumerate() {
            if root_alone(caller, &access) {
                continue;
            }
            let mut context = self.context(caller, &rights, &access);
            operation.context_at(place, &access, &mut context);
            let decision = Arc::new(decision(caller, &rights, access, context));
            caller.decided.add_asked(Arc::clone(&decision));
            if let Verdict::Denied(denial) = decision.verdict {
                return Err(Refusal::Denied(Box::new(denied(caller, &decision, denial))));
            }
        }
        Ok(())
    }

    async fn rights(&self, caller: &Caller) -> Result<Arc<Rights>, Refusal> {
        let known = match caller.principal() {
            Principal::Anonymous | Principal::Root(_) | Principal::Service { .. } => return Ok(Arc::default()),
            other => match self.directory.get() {
                Some(directory) => directory.rights(other).await,
                None => Err(DirectoryError::Gone),
            },
        };
        known.map_err(|error| match error {
            DirectoryError::Gone => Refusal::Gone,
            DirectoryError::Failed(reason) => Refusal::Failed(reason),
        })
    }

    /// The keys that do not come from the operation.
    fn context(&self, caller: &Caller, rights: &Rights, access: &Access) -> Context {
        let mut context = Context::default();
        caller.context(&mut context);
        context.text("aws:RequestedRegion", self.region.as_str());
        context.text("aws:ResourceAccount", access.resource.owner.to_string());
        for (key, value) in &rights.tags {
            let name = format!("aws:PrincipalTag/{key}");
            // A session's tag comes before that of the user or role.
            if context.get(&name).is_none() {
                context.text(name, value.clone());
            }
        }
        context
    }

    fn decide(&self, caller: &Caller, rights: &Arc<Rights>, access: Access, context: Context) -> Arc<Decision> {
        let decision = Arc::new(decision(caller, rights, access, context));
        caller.decided.add(Arc::clone(&decision));
        decision
    }
}

/// The commonest case without a policy: a root user and a resource of its account that has none.
fn root_alone(caller: &Caller, access: &Access) -> bool {
    let resource = &access.resource;
    matches!(caller.principal(), Principal::Root(account) if *account == resource.owner)
        && caller.session().is_none()
        && resource.policy.is_none()
        && resource.rule == ResourceRule::Either
        && resource.object_owner.is_none_or(|owner| owner == resource.owner)
}

fn decision(caller: &Caller, rights: &Arc<Rights>, access: Access, context: Context) -> Decision {
    let mut decision = Decision {
        principal: caller.principal().clone(),
        access,
        context,
        rights: Arc::clone(rights),
        session: caller.session().cloned(),
        verdict: Verdict::Allowed,
    };
    decision.verdict = millpond_policy::decide(&decision.question(), &decision.policies());
    decision
}

fn denied(caller: &Caller, decision: &Decision, denial: Denial) -> Denied {
    Denied {
        principal: caller.arn(),
        same_account: caller.account() == Some(decision.access.resource.owner),
        access: decision.access.clone(),
        denial,
        policy: millpond_policy::denying_policy(&decision.question(), &decision.policies()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use millpond_meta::{Batch, Kv, MemoryKv};
    use millpond_policy::{Named, Policy, PolicyKind, PolicySource};
    use millpond_types::Arn;

    use super::*;
    use crate::{Resource, testing};

    const MINE: &str = "111122223333";
    const THEIRS: &str = "444455556666";

    /// What is touched: action, owner, and the resource's policy.
    struct Touch(Vec<(&'static str, &'static str, Option<&'static str>)>);

    impl Operation for Touch {
        const NAME: &'static str = "Touch";

        fn accesses(&self) -> Vec<Access> {
            let access = |(action, owner, policy): &(&'static str, &str, Option<&str>)| {
                let mut resource = Resource::new(Arn::s3("b", Some("k")), owner.parse().unwrap());
                resource.policy = policy.map(|text| Named {
                    source: PolicySource::Resource { arn: "arn:aws:s3:::b".into() },
                    policy: Arc::new(Policy::parse(text, PolicyKind::Bucket { name: "b".into() }).unwrap()),
                });
                Access { action, resource }
            };
            self.0.iter().map(access).collect()
        }

        fn context(&self, _: &Access, context: &mut Context) {
            context.text("s3:prefix", "p");
        }
    }

    const OPEN: &str =
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    const CLOSED: &str =
        r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}"#;
    const ON_PREFIX: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*",
        "Condition":{"StringEquals":{"s3:prefix":"p","aws:RequestedRegion":"us-east-1","aws:ResourceAccount":"111122223333"},
        "Bool":{"aws:SecureTransport":"true"},"Null":{"aws:SourceIp":"true","aws:username":"true"}}}}"#;

    fn ask(
        principal: &Principal,
        touches: &[(&'static str, &'static str, Option<&'static str>)],
    ) -> Result<(), String> {
        let kernel = testing::kernel(MINE.parse().unwrap()).unwrap();
        let caller = testing::caller(principal.clone());
        let answer = kernel.authorize(&caller, Touch(touches.to_vec())).now_or_never().unwrap();
        answer.map(|authorized| drop(authorized.into_inner())).map_err(|refusal| match refusal {
            Refusal::Denied(denied) => denied.quoted(),
            other => other.to_string(),
        })
    }

    /// A directory that knows one account and nobody in it.
    struct Alone;

    impl Directory for Alone {
        fn rights<'a>(&'a self, _: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
            std::future::ready(Err(DirectoryError::Gone)).boxed()
        }

        fn unique_id<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>> {
            std::future::ready(Ok(None)).boxed()
        }

        fn account_exists(&self, account: AccountId) -> bool {
            account.as_str() == MINE
        }
    }

    /// Whoever names accounts that are not there must not make trails for them.
    #[test]
    fn accounts_that_are_not_there_have_no_records() {
        let kernel = testing::kernel(MINE.parse().unwrap()).unwrap();
        kernel.use_directory(Arc::new(Alone));
        let caller = testing::caller(Principal::Root(MINE.parse().unwrap()));
        caller.note().want();
        for owner in [MINE, THEIRS] {
            let touch = Touch(vec![("s3:GetObject", owner, None)]);
            assert_eq!(kernel.authorize(&caller, touch).now_or_never().unwrap().is_ok(), owner == MINE);
        }
        let owners: Vec<_> = caller.note().noted().resources.into_iter().map(|(_, owner)| owner.to_string()).collect();
        assert_eq!(owners, [MINE]);
    }

    #[test]
    fn every_access_must_be_allowed() {
        let (get, put) = ("s3:GetObject", "s3:PutObject");
        let root = Principal::Root(MINE.parse().unwrap());
        let stranger = Principal::Root(THEIRS.parse().unwrap());
        let gone =
            Principal::User { account: MINE.parse().unwrap(), path: "/".into(), name: "u".into(), id: "AIDA".into() };
        let implicit = |who: &str, action: &str, kind: &str| {
            Err(format!(
                "User: {who} is not authorized to perform: {action} on resource: \"arn:aws:s3:::b/k\" because no {kind} policy allows the {action} action"
            ))
        };
        let theirs = "arn:aws:iam::444455556666:root";
        let denied = "User: arn:aws:iam::111122223333:root is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::b/k\" \
                      with an explicit deny in a resource-based policy";
        for (principal, touches, expected) in [
            (&root, vec![(get, MINE, None), (put, MINE, None)], Ok(())),
            (
                &root,
                vec![(get, MINE, None), (get, THEIRS, None)],
                implicit("arn:aws:iam::111122223333:root", get, "resource-based"),
            ),
            (&root, vec![(get, MINE, Some(CLOSED))], Err(denied.to_owned())),
            (&stranger, vec![(get, MINE, None)], implicit(theirs, get, "resource-based")),
            (&stranger, vec![(get, MINE, Some(OPEN))], Ok(())),
            (
                &stranger,
                vec![(get, MINE, Some(OPEN)), (put, MINE, Some(OPEN))],
                implicit(theirs, put, "resource-based"),
            ),
            (&Principal::Anonymous, vec![(get, MINE, Some(OPEN))], Ok(())),
            (&Principal::Anonymous, vec![(get, MINE, Some(ON_PREFIX))], Ok(())),
            (&Principal::Anonymous, vec![(get, MINE, None)], implicit("anonymous", get, "resource-based")),
            // Without a directory there are no users.
            (
                &gone,
                vec![(get, MINE, Some(OPEN))],
                Err("the security token included in the request is invalid".to_owned()),
            ),
        ] {
            assert_eq!(ask(principal, &touches), expected, "{principal} {touches:?}");
        }
    }

    /// A policy that is replaced while an operation is on its way cannot be what a change is committed by.
    #[test]
    fn what_changes_after_an_operation_was_resolved_fails_its_commit() {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let epoch = Epoch::load(Arc::clone(&kv)).now_or_never().unwrap().unwrap();
        let kernel = Kernel::new(MINE.parse().unwrap(), "us-east-1".parse().unwrap(), epoch);
        let caller = testing::caller(Principal::Anonymous);
        let commit = |batch: Batch| kv.commit(batch).now_or_never().unwrap().is_ok();
        for (changed, good) in [(false, true), (true, false)] {
            let before = kernel.epoch().now();
            let resolved = Touch(vec![("s3:GetObject", MINE, Some(OPEN))]);
            if changed {
                assert!(commit(Batch { ops: vec![Epoch::raise()], ..Batch::default() }));
                kernel.epoch().refresh().now_or_never().unwrap().unwrap();
            }
            let authorized = kernel.authorize_since(before, &caller, resolved).now_or_never().unwrap().unwrap();
            assert_eq!(commit(Batch { conds: vec![authorized.pin().cond()], ..Batch::default() }), good, "{changed}");
        }
    }

    #[test]
    fn what_was_decided_is_remembered_for_the_explanation() {
        let kernel = testing::kernel(MINE.parse().unwrap()).unwrap();
        let caller = testing::caller(Principal::Anonymous);
        let touch = |policy| Touch(vec![("s3:GetObject", MINE, policy)]);
        assert!(kernel.authorize(&caller, touch(Some(OPEN))).now_or_never().unwrap().is_ok());
        assert!(kernel.authorize(&caller, touch(None)).now_or_never().unwrap().is_err());
        let asked = kernel.would_allow(&caller, &touch(Some(CLOSED))).now_or_never().unwrap();
        assert!(matches!(asked, Err(Refusal::Denied(_))), "{asked:?}");
        let decided = caller.decided().all();
        let verdicts: Vec<_> = decided.iter().map(|decision| decision.verdict == Verdict::Allowed).collect();
        assert_eq!(verdicts, [true, false], "a quiet question leaves nothing");
        let text = millpond_policy::explain(&decided[1].question(), &decided[1].policies()).to_string();
        assert!(text.contains("DENIED") && text.contains("arn:aws:s3:::b/k"), "{text}");
    }

    #[test]
    fn messages_are_those_of_the_iam_user_guide() {
        let (get, assume) = ("s3:GetObject", "sts:AssumeRole");
        let on = "on resource: arn:aws:s3:::b/k ";
        for (action, arn, denial, policy, expected) in [
            (get, "arn:aws:s3:::b/k", Denial::Implicit(Kind::ServiceControl), None, format!("{on}because no service control policy allows the s3:GetObject action")),
            (get, "arn:aws:s3:::b/k", Denial::Explicit(Kind::ServiceControl), None, format!("{on}with an explicit deny in a service control policy")),
            (get, "arn:aws:s3:::b/k", Denial::Implicit(Kind::Boundary), None, format!("{on}because no permissions boundary allows the s3:GetObject action")),
            (get, "arn:aws:s3:::b/k", Denial::Explicit(Kind::Boundary), Some("arn:p"), format!("{on}with an explicit deny in a permissions boundary: arn:p")),
            (get, "arn:aws:s3:::b/k", Denial::Implicit(Kind::Session), None, format!("{on}because no session policy allows the s3:GetObject action")),
            (get, "arn:aws:s3:::b/k", Denial::Explicit(Kind::Session), None, format!("{on}with an explicit deny in a session policy")),
            (get, "arn:aws:s3:::b/k", Denial::Implicit(Kind::Resource), None, format!("{on}because no resource-based policy allows the s3:GetObject action")),
            (get, "arn:aws:s3:::b/k", Denial::Explicit(Kind::Resource), None, format!("{on}with an explicit deny in a resource-based policy")),
            (get, "arn:aws:s3:::b/k", Denial::Implicit(Kind::Identity), None, format!("{on}because no identity-based policy allows the s3:GetObject action")),
            (get, "arn:aws:s3:::b/k", Denial::Explicit(Kind::Identity), None, format!("{on}with an explicit deny in an identity-based policy")),
            (assume, "arn:aws:iam::111122223333:role/r", Denial::Implicit(Kind::Resource), None, "on resource: arn:aws:iam::111122223333:role/r because no role trust policy allows the sts:AssumeRole action".to_owned()),
            (assume, "arn:aws:iam::111122223333:role/r", Denial::Explicit(Kind::Resource), None, "on resource: arn:aws:iam::111122223333:role/r with an explicit deny in the role trust policy".to_owned()),
            ("cloudtrail:LookupEvents", "arn:aws:cloudtrail:us-east-1:111122223333:*", Denial::Implicit(Kind::Identity), None, "because no identity-based policy allows the cloudtrail:LookupEvents action".to_owned()),
        ] {
            let access = Access { action, resource: Resource::new(Arn::parse(arn).unwrap(), MINE.parse().unwrap()) };
            let denied = Denied { principal: "W".into(), same_account: true, access, denial, policy: policy.map(str::to_owned) };
            assert_eq!(denied.to_string(), format!("User: W is not authorized to perform: {action} {expected}"));
        }
    }
}
