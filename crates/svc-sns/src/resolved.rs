//! An operation whose resources are known (Service Authorization Reference, "Actions, resources, and condition keys for Amazon SNS").

use std::collections::BTreeMap;
use std::marker::PhantomData;

use millpond_kernel::{Access, Context, ContextValue, Operation, Resource};
use millpond_types::{AccountId, Arn};

use crate::inputs::Input;
use crate::model::Topic;

/// What an operation touches, with its condition keys.
#[derive(Debug)]
pub(crate) struct Resolved<I> {
    accesses: Vec<Access>,
    keys: Vec<(String, ContextValue)>,
    of: PhantomData<fn() -> I>,
}

impl<I: Input> Resolved<I> {
    /// Of one resource, by the operation's own action.
    pub fn on(resource: Resource) -> Self {
        let accesses = vec![Access { action: I::ACTION, resource }];
        Self { accesses, keys: Vec::new(), of: PhantomData }
    }

    /// Of a topic, with its tags.
    pub fn on_topic(topic: &Topic) -> Self {
        let mut resolved = Self::on(topic.resource());
        for (key, value) in &topic.facts.tags {
            resolved.keys.push((format!("aws:ResourceTag/{key}"), ContextValue::Text(value.clone())));
        }
        resolved
    }

    /// Of no resource: of an account's whole service.
    pub fn on_service(account: AccountId) -> Self {
        Self::on(Resource::new(Arn::any(), account))
    }

    /// By a further action on the same resource.
    pub fn also(mut self, action: &'static str) -> Self {
        if let Some(first) = self.accesses.first().cloned() {
            self.accesses.push(Access { action, ..first });
        }
        self
    }

    pub fn key(mut self, name: &str, value: &str) -> Self {
        self.keys.push((name.to_owned(), ContextValue::Text(value.to_owned())));
        self
    }

    /// The tags that a request gives.
    pub fn request_tags(mut self, tags: &BTreeMap<String, String>) -> Self {
        for (key, value) in tags {
            self.keys.push((format!("aws:RequestTag/{key}"), ContextValue::Text(value.clone())));
        }
        self.tag_keys(tags.keys().cloned().collect())
    }

    pub fn tag_keys(mut self, names: Vec<String>) -> Self {
        if !names.is_empty() {
            self.keys.push(("aws:TagKeys".to_owned(), ContextValue::Many(names)));
        }
        self
    }
}

impl<I: Input> Operation for Resolved<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        self.accesses.clone()
    }

    fn context(&self, _: &Access, context: &mut Context) {
        for (name, value) in &self.keys {
            context.set(name.clone(), value.clone());
        }
    }
}
