//! A bucket's policy as it is kept: the text as it was put, and the unique ids of the users and roles that it named then.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_policy::{Policy, PolicyError, PolicyKind};
use prost::Message;

/// The stored form. A tag never changes its meaning.
#[derive(Clone, PartialEq, Message)]
pub struct StoredPolicy {
    /// The text.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Unique ids by the ARNs in the text.
    #[prost(btree_map = "string, string", tag = "2")]
    pub ids: BTreeMap<String, String>,
}

impl StoredPolicy {
    /// Reads the stored form; `None` when it is none.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        <Self as Message>::decode(bytes.clone()).ok()
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Compiles it, bound to the ids.
    pub fn compile(&self, kind: PolicyKind) -> Result<Policy, PolicyError> {
        let mut policy = Policy::parse(&self.text, kind)?;
        policy.bind(&self.ids);
        Ok(policy)
    }
}
