//! What an operation touches, in the terms that policies speak.

use std::borrow::Cow;

use millpond_types::{AccountId, Arn, Timestamp};

/// A resource as policies see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its ARN.
    pub arn: Arn,
    /// The account that owns it.
    pub owner: AccountId,
}

/// One thing that an operation does to one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// The action, such as `s3:GetObject` (Service Authorization Reference).
    pub action: &'static str,
    /// On what.
    pub resource: Resource,
}

/// The value of a condition key.
#[derive(Clone, PartialEq, Debug)]
pub enum ContextValue {
    /// Text, an ARN or an address.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
    /// A multi-valued key.
    Many(Vec<String>),
}

/// The condition keys of a request (IAM User Guide, "AWS global condition context keys", and each service's list).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context(Vec<(Cow<'static, str>, ContextValue)>);

impl Context {
    /// Adds a key. The keys of an operation are distinct.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: ContextValue) {
        self.0.push((key.into(), value));
    }

    /// The value of a key; keys are compared without regard to case, as IAM does.
    pub fn get(&self, key: &str) -> Option<&ContextValue> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }
}

/// An operation whose input is valid and whose resources are resolved, with the versions it will work on pinned.
pub trait Operation: Send {
    /// The API's name for it, such as `GetObject`.
    const NAME: &'static str;

    /// Every access that it needs; all must be allowed.
    fn accesses(&self) -> Vec<Access>;

    /// Adds the service's own condition keys for one of its accesses. Called only when a policy is to be evaluated.
    fn context(&self, access: &Access, context: &mut Context);
}
