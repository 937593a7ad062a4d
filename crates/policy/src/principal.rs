//! Who asks, in the terms that policies speak (IAM User Guide, "AWS JSON policy elements: Principal").

use std::fmt;

use millpond_types::AccountId;

/// An identity that a policy can name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Principal {
    /// Nobody: the request is not signed.
    Anonymous,
    /// The root user of an account.
    Root(AccountId),
    /// An IAM user.
    User {
        /// Its account.
        account: AccountId,
        /// Begins and ends with `/`.
        path: String,
        /// Its name.
        name: String,
        /// Its unique id, `AIDA...`; never used again.
        id: String,
    },
    /// A session of an assumed role.
    Role {
        /// The role's account.
        account: AccountId,
        /// The role's path; begins and ends with `/`.
        path: String,
        /// The role's name.
        name: String,
        /// The role's unique id, `AROA...`; never used again.
        id: String,
        /// The session's name.
        session: String,
    },
    /// A session of `GetFederationToken`.
    Federated {
        /// The account of who asked for it.
        account: AccountId,
        /// The session's name.
        name: String,
        /// Who asked for it: an IAM user or the root user, whose rights bound its own.
        user: Box<Principal>,
    },
    /// A service, such as `cloudtrail.amazonaws.com`. Never comes from a request.
    Service {
        /// Its name.
        name: String,
    },
}

impl Principal {
    /// The ARN, `anonymous`, or a service's name.
    pub fn arn(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Root(account) => format!("arn:aws:iam::{account}:root"),
            Self::User { account, path, name, .. } => format!("arn:aws:iam::{account}:user{path}{name}"),
            Self::Role { account, name, session, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}")
            }
            Self::Federated { account, name, .. } => format!("arn:aws:sts::{account}:federated-user/{name}"),
            Self::Service { name } => name.clone(),
        }
    }

    /// What `aws:PrincipalArn` holds: the role's ARN for a session of it, else [`Self::arn`].
    pub fn condition_arn(&self) -> String {
        match self {
            Self::Role { account, path, name, .. } => format!("arn:aws:iam::{account}:role{path}{name}"),
            other => other.arn(),
        }
    }

    /// The account that it belongs to.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Anonymous | Self::Service { .. } => None,
            Self::Root(account)
            | Self::User { account, .. }
            | Self::Role { account, .. }
            | Self::Federated { account, .. } => Some(*account),
        }
    }

    /// What `aws:userid` holds, and `GetCallerIdentity` shows (IAM User Guide, "Principal key values").
    pub fn user_id(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Root(account) => account.to_string(),
            Self::User { id, .. } => id.clone(),
            Self::Role { id, session, .. } => format!("{id}:{session}"),
            Self::Federated { account, name, .. } => format!("{account}:{name}"),
            Self::Service { name } => name.clone(),
        }
    }

    /// What `aws:PrincipalType` holds.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "Anonymous",
            Self::Root(_) => "Account",
            Self::User { .. } => "User",
            Self::Role { .. } => "AssumedRole",
            Self::Federated { .. } => "FederatedUser",
            Self::Service { .. } => "Service",
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}
