//! An operation with its resources resolved: what it touches, in the terms of policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_kernel::{Access, Caller, Context, ContextValue, Operation, Resource, ResourceRule};
use millpond_types::{AccountId, Arn, Region};

use crate::errors::About;
use crate::inputs::{Input, context_keys};
use crate::model::Key;

/// A key that an operation touches.
#[derive(Clone, Debug)]
pub(crate) struct OnKey {
    pub key: Arc<Key>,
    /// The alias by which it was named.
    pub alias: Option<String>,
    /// All its aliases.
    pub aliases: Vec<String>,
    /// How it was named, for refusals of foreign callers.
    pub about: About,
}

/// One thing that an operation touches.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    pub action: &'static str,
    pub resource: Resource,
    pub key: Option<OnKey>,
    /// The encryption context of this access alone, for operations with several.
    pub bound: Option<BTreeMap<String, String>>,
}

impl Touched {
    /// No resource: the identity's policies alone decide.
    pub fn nothing(action: &'static str, account: AccountId) -> Self {
        Self { action, resource: Resource::new(Arn::any(), account), key: None, bound: None }
    }

    /// An alias: it has no policy of its own.
    pub fn alias(action: &'static str, arn: Arn, owner: AccountId) -> Self {
        Self { action, resource: Resource::new(arn, owner), key: None, bound: None }
    }

    /// A key: its policy must allow, by itself or by handing on to the policies of identities.
    pub fn key(action: &'static str, on: OnKey, grants: Vec<millpond_kernel::Grant>) -> Self {
        let resource = Resource {
            policy: Some(on.key.policy.clone()),
            rule: ResourceRule::Required,
            grants,
            ..Resource::new(on.key.arn.clone(), on.key.facts.account)
        };
        Self { action, resource, key: Some(on), bound: None }
    }
}

/// An operation whose resources are known.
#[derive(Debug)]
pub(crate) struct Resolved<'a, I> {
    /// What was asked.
    pub input: &'a I,
    /// What it touches.
    pub touched: Vec<Touched>,
    caller: Option<AccountId>,
    /// The service through which it was asked, as `kms:ViaService` has it.
    via: Option<String>,
}

impl<'a, I: Input> Resolved<'a, I> {
    /// An operation that touches these.
    pub fn new(caller: &Caller, region: &Region, input: &'a I, touched: Vec<Touched>) -> Self {
        let via = caller.via().last().map(|service| match service.split_once('.') {
            Some((name, domain)) => format!("{name}.{region}.{domain}"),
            None => (*service).to_owned(),
        });
        Self { input, touched, caller: caller.account(), via }
    }

    /// The keys that it touches.
    pub fn keys(&self) -> impl Iterator<Item = &OnKey> {
        self.touched.iter().filter_map(|touched| touched.key.as_ref())
    }
}

impl<I: Input> Operation for Resolved<'_, I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let access = |touched: &Touched| Access { action: touched.action, resource: touched.resource.clone() };
        self.touched.iter().map(access).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        let same = |touched: &&Touched| touched.action == access.action && touched.resource.arn == access.resource.arn;
        if let Some(account) = self.caller {
            context.text("kms:CallerAccount", account.to_string());
        }
        if let Some(via) = &self.via {
            context.text("kms:ViaService", via.clone());
        }
        if matches!(I::NAME, "CreateGrant" | "ListGrants" | "RevokeGrant") {
            context.set("kms:GrantIsForAWSResource", ContextValue::Bool(self.via.is_some()));
        }
        if let Some(touched) = self.touched.iter().find(same) {
            if let Some(on) = &touched.key {
                key_keys(on, context);
            }
            context_keys(touched.bound.as_ref(), context);
        }
        if I::NAME == "ReEncrypt" {
            let mut keys = self.touched.iter().filter_map(|touched| touched.key.as_ref().map(|on| on.key.id));
            let same = keys.next() == keys.next();
            context.set("kms:ReEncryptOnSameKey", ContextValue::Bool(same));
        }
        self.input.keys(context);
    }
}

/// The condition keys that come from a key.
fn key_keys(on: &OnKey, context: &mut Context) {
    let facts = &on.key.facts;
    context.text("kms:KeySpec", facts.spec.api().as_str());
    context.text("kms:KeyUsage", facts.spec.usage().as_str());
    context.text("kms:KeyOrigin", "AWS_KMS");
    context.set("kms:MultiRegion", ContextValue::Bool(false));
    if let Some(alias) = &on.alias {
        context.text("kms:RequestAlias", alias.clone());
    }
    if !on.aliases.is_empty() {
        context.set("kms:ResourceAliases", ContextValue::Many(on.aliases.clone()));
    }
    for (key, value) in &on.key.tags {
        context.text(format!("aws:ResourceTag/{key}"), value.clone());
    }
}
