//! What an operation of IAM is: its input, the resources and condition keys that it is decided by, and what it does.

use std::sync::Arc;

use millpond_api_iam as api;
use millpond_kernel::{Access, Authorized, Caller, Context, ContextValue, Kernel, Operation, Resource};
use millpond_policy::Principal;
use millpond_types::{AccountId, Arn};
use millpond_wire::{FormPairs, ParseError, ResponseParts};

use crate::directory::Accounts;
use crate::errors::IamError;
use crate::state::{Account, Draft, Entity, Identities, Kind, ManagedPolicy};

/// The input of an operation.
pub(crate) trait Api: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// `CreateUser`
    const NAME: &'static str;
    /// `iam:CreateUser`
    const ACTION: &'static str;
    /// Its output.
    type Output: Output;

    /// Reads and checks it.
    fn parse(form: &FormPairs<'_>) -> Result<Self, ParseError>;

    /// What it is decided by (Service Authorization Reference, "Actions, resources, and condition keys for AWS IAM").
    fn target(&self, at: &At<'_>) -> Result<Target, IamError>;
}

/// The output of an operation.
pub(crate) trait Output: Send {
    fn write(&self, request_id: &str) -> ResponseParts;
}

/// An operation that changes nothing.
pub(crate) trait Read: Api {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<Self::Output, IamError>;
}

/// An operation that changes identities: what it does goes into the draft.
pub(crate) trait Change: Api {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<Self::Output, IamError>;
}

/// Implements [`Api`] and [`Output`] with what is generated: `served!(CreateUserInput => CreateUserOutput, "iam:CreateUser", |input, at| target)`.
macro_rules! served {
    ($input:ident => $output:ident, $action:literal, |$this:ident, $at:ident| $target:expr) => {
        impl $crate::operation::Api for millpond_api_iam::$input {
            const NAME: &'static str = $action.split_at("iam:".len()).1;
            const ACTION: &'static str = $action;
            type Output = millpond_api_iam::$output;

            fn parse(form: &millpond_wire::FormPairs<'_>) -> Result<Self, millpond_wire::ParseError> {
                Self::parse_form(form)
            }

            fn target(
                &self,
                $at: &$crate::operation::At<'_>,
            ) -> Result<$crate::operation::Target, $crate::errors::IamError> {
                let $this = self;
                Ok($target)
            }
        }

        impl $crate::operation::Output for millpond_api_iam::$output {
            fn write(&self, request_id: &str) -> millpond_wire::ResponseParts {
                Self::write(self, request_id)
            }
        }
    };
}
pub(crate) use served;

/// What an operation is decided by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    accesses: Vec<Access>,
    keys: Context,
}

/// An operation whose target is resolved.
#[derive(Clone, Debug)]
pub(crate) struct On<I> {
    pub input: I,
    target: Target,
}

impl<I: Api> On<I> {
    /// Resolves an operation.
    pub fn resolve(input: I, at: &At<'_>) -> Result<Self, IamError> {
        let target = input.target(at)?;
        Ok(Self { input, target })
    }
}

impl<I: Api> Operation for On<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        self.target.accesses.clone()
    }

    fn context(&self, _: &Access, context: &mut Context) {
        for (key, value) in self.target.keys.iter() {
            context.set(key.to_owned(), value.clone());
        }
    }
}

impl Target {
    /// One resource.
    pub fn of(action: &'static str, arn: Arn, owner: AccountId) -> Self {
        Self::default().and(action, arn, owner)
    }

    /// A further one.
    pub fn and(mut self, action: &'static str, arn: Arn, owner: AccountId) -> Self {
        self.accesses.push(Access { action, resource: Resource::new(arn, owner) });
        self
    }

    /// A further action on the first resource.
    pub fn and_action(mut self, action: &'static str) -> Self {
        if let Some(first) = self.accesses.first().cloned() {
            self.accesses.push(Access { action, ..first });
        }
        self
    }

    /// The tags that the resource has.
    pub fn resource_tags(mut self, tags: &[(String, String)]) -> Self {
        for (key, value) in tags {
            self.keys.text(format!("aws:ResourceTag/{key}"), value.clone());
            self.keys.text(format!("iam:ResourceTag/{key}"), value.clone());
        }
        self
    }

    /// The tags that the request brings.
    pub fn request_tags(mut self, tags: Option<&[api::Tag]>) -> Self {
        let tags = tags.unwrap_or_default();
        for tag in tags {
            self.keys.text(format!("aws:RequestTag/{}", tag.key), tag.value.clone());
        }
        self.tag_keys(tags.iter().map(|tag| tag.key.clone()).collect())
    }

    /// The keys of tags that the request names.
    pub fn tag_keys(mut self, keys: Vec<String>) -> Self {
        if !keys.is_empty() {
            self.keys.set("aws:TagKeys", ContextValue::Many(keys));
        }
        self
    }

    /// The managed policy that is attached or detached.
    pub fn policy(mut self, arn: &str) -> Self {
        self.keys.text("iam:PolicyARN", arn);
        self
    }

    /// The permissions boundary that the resource has, or is to have.
    pub fn boundary(mut self, arn: Option<&str>) -> Self {
        if let Some(arn) = arn {
            self.keys.text("iam:PermissionsBoundary", arn);
        }
        self
    }
}

/// Whose an access key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The account's root user.
    Root,
    /// A user, by name.
    User(String),
}

/// Where an operation happens: the caller's account, as it is now.
pub(crate) struct At<'a> {
    pub kernel: &'a Kernel,
    pub identities: &'a Identities,
    pub accounts: &'a dyn Accounts,
    pub caller: &'a Caller,
    /// The access key of the server's own root user, which is no row.
    pub root_key: &'a str,
    pub account: Arc<Account>,
}

impl At<'_> {
    /// The account's id.
    pub fn id(&self) -> AccountId {
        self.account.id()
    }

    /// Whether the account is the one that the server was made with.
    pub fn is_home(&self) -> bool {
        self.id() == self.kernel.account()
    }

    /// An ARN of IAM in this account.
    pub fn arn(&self, resource: &str) -> Arn {
        Arn::new("iam", "", self.id().as_str(), resource)
    }

    /// An action on everything: a list, or an account's settings.
    pub fn on_all(&self, action: &'static str) -> Target {
        Target::of(action, Arn::any(), self.id())
    }

    /// A list of what has a path.
    pub fn on_path(&self, action: &'static str, kind: Kind, prefix: Option<&str>) -> Target {
        Target::of(action, self.arn(&format!("{}{}", kind.word(), prefix.unwrap_or("/"))), self.id())
    }

    /// An action on a user, group or role: with its path when it exists, so that policies for paths hold.
    pub fn on(&self, action: &'static str, kind: Kind, name: &str) -> Target {
        match self.account.entity(kind, name) {
            Some(entity) => {
                let resource = format!("{}{}{}", kind.word(), entity.path, entity.name);
                Target::of(action, self.arn(&resource), self.id()).resource_tags(&entity.tags)
            }
            None => Target::of(action, self.arn(&format!("{}/{name}", kind.word())), self.id()),
        }
    }

    /// The creation of a user, group, role or policy (`word`), and of its tags when it has any.
    pub fn on_new(
        &self,
        action: &'static str,
        word: &str,
        (path, name): (Option<&str>, &str),
        (tag_action, tags): (&'static str, Option<&[api::Tag]>),
    ) -> Target {
        let arn = self.arn(&format!("{word}{}{name}", path.unwrap_or("/")));
        let target = Target::of(action, arn, self.id());
        match tags {
            Some(tags) if !tags.is_empty() => target.and_action(tag_action).request_tags(Some(tags)),
            _ => target,
        }
    }

    /// A change of name or path: of what it is, and of what it becomes (IAM API reference, UpdateUser).
    pub fn on_renamed(
        &self,
        action: &'static str,
        kind: Kind,
        name: &str,
        (new_path, new_name): (Option<&str>, Option<&str>),
    ) -> Target {
        let target = self.on(action, kind, name);
        let Some(entity) = self.account.entity(kind, name) else { return target };
        let (path, name) = (new_path.unwrap_or(&entity.path), new_name.unwrap_or(&entity.name));
        target.and(action, self.arn(&format!("{}{path}{name}", kind.word())), self.id())
    }

    /// As [`Self::on`], with the boundary that the user or role has.
    pub fn on_bounded(&self, action: &'static str, kind: Kind, name: &str) -> Target {
        let boundary = self.account.entity(kind, name).and_then(|entity| entity.boundary.clone());
        self.on(action, kind, name).boundary(boundary.as_deref())
    }

    /// An action on a managed policy. AWS's belong to whoever asks; another account's to that account.
    pub fn on_policy(&self, action: &'static str, arn: &str) -> Result<Target, IamError> {
        let owner = policy_owner(arn)?.unwrap_or_else(|| self.id());
        let invalid = || IamError::InvalidInput(format!("ARN {arn} is not valid."));
        let target = Target::of(action, Arn::parse(arn).ok_or_else(invalid)?, owner);
        Ok(match self.account.policy(arn) {
            Some(policy) => target.resource_tags(&policy.tags),
            None => target,
        })
    }

    /// Whom an operation without a user's name means: the caller.
    pub fn owner(&self, user: Option<&str>) -> Result<Owner, IamError> {
        match (user, self.caller.principal()) {
            (Some(name), _) => Ok(Owner::User(name.to_owned())),
            (None, Principal::User { name, .. }) => Ok(Owner::User(name.clone())),
            (None, Principal::Root(_)) => Ok(Owner::Root),
            (None, _) => {
                Err(IamError::Validation("Must specify userName when calling with non-User credentials".to_owned()))
            }
        }
    }

    /// An action on a user, or on the root user.
    pub fn on_owner(&self, action: &'static str, user: Option<&str>) -> Result<Target, IamError> {
        Ok(match self.owner(user)? {
            Owner::User(name) => self.on(action, Kind::User, &name),
            Owner::Root => Target::of(action, self.arn("root"), self.id()),
        })
    }

    /// A user, group or role that must exist.
    pub fn entity(&self, kind: Kind, name: &str) -> Result<&Arc<Entity>, IamError> {
        self.account.entity(kind, name).ok_or_else(|| IamError::no_entity(kind, name))
    }

    /// A managed policy that must exist: one of the account, or AWS's.
    pub fn policy(&self, arn: &str) -> Result<&Arc<ManagedPolicy>, IamError> {
        self.account.policy(arn).ok_or_else(|| IamError::no_policy(arn))
    }

    /// A managed policy that is to be attached, or to be a boundary.
    pub fn attachable(&self, arn: &str) -> Result<&Arc<ManagedPolicy>, IamError> {
        policy_owner(arn)?;
        let missing = || IamError::NoSuchEntity(format!("Policy {arn} does not exist or is not attachable."));
        self.account.policy(arn).ok_or_else(missing)
    }

    /// A managed policy that is to be changed.
    pub fn changeable(&self, arn: &str) -> Result<ManagedPolicy, IamError> {
        let policy = self.policy(arn)?;
        if policy.account.is_none() {
            return Err(IamError::Unmodifiable(format!("Policy {arn} is managed by AWS and cannot be changed.")));
        }
        Ok(ManagedPolicy::clone(policy))
    }
}

/// The account of a managed policy's ARN; `None` for AWS's.
fn policy_owner(arn: &str) -> Result<Option<AccountId>, IamError> {
    let invalid = || IamError::InvalidInput(format!("ARN {arn} is not valid."));
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws", "iam", "", account, resource] = fields.as_slice() else { return Err(invalid()) };
    if !resource.starts_with("policy/") || resource.ends_with('/') {
        return Err(invalid());
    }
    match *account {
        "aws" => Ok(None),
        account => account.parse().map(Some).map_err(|_| invalid()),
    }
}
