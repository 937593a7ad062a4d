//! Who calls, and from where.

use std::net::IpAddr;

use millpond_types::{AccountId, Arn, CauseChain, Origin, RequestId, Timestamp};

/// An identity that a policy can name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Principal {
    /// Nobody: the request is not signed.
    Anonymous,
    /// The root user of an account.
    Root(AccountId),
}

/// How a request proved its identity; the condition key `s3:authType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthType {
    /// It did not.
    None,
    /// By an `Authorization` header.
    Header,
    /// By query parameters: a presigned URL.
    Query,
}

/// What is known of the connection. Never fed from headers that a client can choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transport {
    /// The peer's address; `None` for calls of our own.
    pub source_ip: Option<IpAddr>,
    /// Whether the connection is encrypted; `aws:SecureTransport`.
    pub secure: bool,
    /// The `User-Agent` header; a client's own word, for logs and `aws:UserAgent` alone.
    pub user_agent: Option<String>,
}

impl Transport {
    /// A call that came by no connection.
    pub fn internal() -> Self {
        Self { source_ip: None, secure: true, user_agent: None }
    }
}

/// Who calls, by which request.
#[derive(Clone, PartialEq, Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// The access key that signed the request.
    pub access_key_id: Option<String>,
    /// How the identity was proved.
    pub auth: AuthType,
    /// By which connection.
    pub transport: Transport,
    /// The request's id.
    pub request_id: RequestId,
    /// When it came.
    pub received: Timestamp,
    /// What led to it, oldest first. Bound to the credentials that act, never to a header.
    pub causes: CauseChain,
}

impl Caller {
    /// The principal's ARN, or `anonymous`.
    pub fn arn(&self) -> String {
        match &self.principal {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::Root(account) => Arn::new("iam", "", account.as_str(), "root").to_string(),
        }
    }

    /// The principal's account.
    pub fn account(&self) -> Option<AccountId> {
        match &self.principal {
            Principal::Anonymous => None,
            Principal::Root(account) => Some(*account),
        }
    }

    /// The principal's unique id, as `GetCallerIdentity` and S3's event records show it.
    pub fn principal_id(&self) -> &str {
        match &self.principal {
            Principal::Anonymous => "Anonymous",
            Principal::Root(account) => account.as_str(),
        }
    }

    /// What the journal keeps of a change that this caller makes.
    pub fn origin(&self, operation: &'static str) -> Origin {
        Origin {
            operation,
            requester: self.principal_id().to_owned(),
            source_ip: self.transport.source_ip,
            request_id: self.request_id,
            causes: self.causes.clone(),
            time: self.received,
        }
    }
}
