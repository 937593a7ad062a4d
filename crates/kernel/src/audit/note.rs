//! What is noted of a call while it is carried out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millpond_types::AccountId;
use serde_json::{Map, Value};

/// More resources than this are not named by one record.
const MAX_RESOURCES: usize = 20;

/// What a record says beyond what the request and its answer say by themselves. Nothing is kept unless the call is to be recorded.
#[derive(Debug, Default)]
pub struct Note {
    wanted: AtomicBool,
    /// Whether the changes of a call on data are recorded by their own commits.
    journaled: Arc<AtomicBool>,
    noted: Mutex<Noted>,
}

/// What was noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) parameters: Map<String, Value>,
    pub(crate) response: Option<Value>,
    pub(crate) resources: Vec<(String, AccountId)>,
}

impl Note {
    /// Whether the call is to be recorded.
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Says that the call is to be recorded. For the gateway.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// To be set by who records the changes of the call in their own commits.
    pub(crate) fn journaled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.journaled)
    }

    /// A request parameter that neither the query nor a form says, such as the document of an S3 configuration. The name is shown as it is;
    /// secrets are taken out when the record is written.
    pub fn parameter(&self, name: &str, value: Value) {
        self.with(|noted| _ = noted.parameters.insert(name.to_owned(), value));
    }

    /// What the record shows as the response's elements, in place of what the answer says.
    pub fn response(&self, elements: Value) {
        self.with(|noted| noted.response = Some(elements));
    }

    /// A resource that the call is about, by its ARN, and the account that owns it: that account's trail shows the call too.
    pub fn touches(&self, arn: &str, owner: AccountId) {
        // A whole service is no resource, nor is a path of IAM, which lists are decided by.
        if arn.ends_with('*') || (arn.starts_with("arn:aws:iam:") && arn.ends_with('/')) {
            return;
        }
        self.with(|noted| {
            let known = noted.resources.iter().any(|(known, _)| known == arn);
            if !known && noted.resources.len() < MAX_RESOURCES {
                noted.resources.push((arn.to_owned(), owner));
            }
        });
    }

    pub(crate) fn noted(&self) -> Noted {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, change: impl FnOnce(&mut Noted)) {
        if self.wanted() {
            change(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
