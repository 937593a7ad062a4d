//! An operation whose resources are known (Service Authorization Reference, "Actions, resources, and condition keys for AWS Lambda").

use std::collections::BTreeMap;
use std::marker::PhantomData;

use millpond_kernel::{Access, Context, ContextValue, Operation, Resource};
use millpond_types::{AccountId, Arn};

use crate::inputs::Input;

/// What an operation touches, with its condition keys.
#[derive(Debug)]
pub(crate) struct Resolved<I> {
    accesses: Vec<Access>,
    keys: Vec<(String, ContextValue)>,
    /// Tags of the first access's resource.
    tags: BTreeMap<String, String>,
    of: PhantomData<fn() -> I>,
}

impl<I: Input> Resolved<I> {
    /// Of one resource, by the operation's own action.
    pub fn on(resource: Resource) -> Self {
        let accesses = vec![Access { action: I::ACTION, resource }];
        Self { accesses, keys: Vec::new(), tags: BTreeMap::new(), of: PhantomData }
    }

    /// Of no resource: of an account's whole service.
    pub fn on_service(account: AccountId) -> Self {
        Self::on(Resource::new(Arn::any(), account))
    }

    pub fn tagged(mut self, tags: &BTreeMap<String, String>) -> Self {
        self.tags.clone_from(tags);
        self
    }

    /// By another action on a further resource.
    pub fn also(mut self, action: &'static str, resource: Resource) -> Self {
        self.accesses.push(Access { action, resource });
        self
    }

    pub fn key(mut self, name: &str, value: ContextValue) -> Self {
        self.keys.push((name.to_owned(), value));
        self
    }

    /// The tags that a request gives.
    pub fn request_tags(mut self, tags: &BTreeMap<String, String>) -> Self {
        for (key, value) in tags {
            self.keys.push((format!("aws:RequestTag/{key}"), ContextValue::Text(value.clone())));
        }
        self.tag_keys(tags.keys().cloned().collect())
    }

    pub fn tag_keys(self, names: Vec<String>) -> Self {
        if names.is_empty() { self } else { self.key("aws:TagKeys", ContextValue::Many(names)) }
    }
}

impl<I: Input> Operation for Resolved<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        self.accesses.clone()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        if access.action == I::ACTION {
            for (key, value) in &self.tags {
                context.text(format!("aws:ResourceTag/{key}"), value.clone());
            }
        }
        for (name, value) in &self.keys {
            context.set(name.clone(), value.clone());
        }
    }
}
