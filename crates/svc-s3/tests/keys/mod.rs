//! A key management service for tests: fixed keys, a right that can be taken away, and a list of what was asked.
#![allow(dead_code, reason = "each test uses its part")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_io::SystemRandom;
use millpond_kernel::{Caller, DataKey, EncryptionContext, KeyService, KeyUse, ServiceError};
use millpond_seal::{Key, Vault, unwrap, wrap};
use millpond_svc_s3::Sealers;
use millpond_types::AccountId;
use zeroize::Zeroizing;

pub const ONE: &str = "arn:aws:kms:us-east-1:123456789012:key/one";
pub const TWO: &str = "arn:aws:kms:us-east-1:123456789012:key/two";
/// An alias of another account for a key of its own, and one that is not there.
pub const FOREIGN_ALIAS: &str = "arn:aws:kms:us-east-1:210987654321:alias/theirs";
pub const FOREIGN_NOTHING: &str = "arn:aws:kms:us-east-1:210987654321:alias/nothing";
pub const FOREIGN: &str = "arn:aws:kms:us-east-1:210987654321:key/theirs";
pub const MANAGED: &str = "arn:aws:kms:us-east-1:123456789012:key/aws-s3";

/// What was asked: the operation, the key's name, and the context's ARN.
pub type Asked = (String, String, String);

#[derive(Default)]
pub struct FakeKeys {
    /// The code with which uses are refused, and how many are let before the first that is.
    pub refuses: Mutex<Option<(&'static str, usize)>>,
    pub asked: Mutex<Vec<Asked>>,
    pub contexts: Mutex<Vec<EncryptionContext>>,
}

fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

fn material(arn: &str) -> Key {
    let mut bytes = [7; 32];
    bytes.iter_mut().zip(name(arn).bytes()).for_each(|(to, from)| *to = from);
    Key::from_bytes(&bytes)
}

fn aad(context: &EncryptionContext) -> Vec<u8> {
    format!("{context:?}").into_bytes()
}

impl FakeKeys {
    fn ask(&self, caller: &Caller, what: String, arn: &str, context: &EncryptionContext) -> Result<(), ServiceError> {
        assert_eq!(caller.via(), ["s3.amazonaws.com"], "S3 asks, on behalf of its caller");
        let of = context.get("aws:s3:arn").cloned().unwrap_or_default();
        self.asked.lock().unwrap().push((what, name(arn).to_owned(), of));
        self.contexts.lock().unwrap().push(context.clone());
        match &mut *self.refuses.lock().unwrap() {
            Some((code, 0)) => Err(ServiceError::new(*code, 400, format!("the key {arn} says no"))),
            Some((_, let_before)) => {
                *let_before -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What was asked since the last time, in short.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
            .into_iter()
            .map(|(what, key, _)| format!("{what} {key}"))
            .collect()
    }
}

impl KeyService for FakeKeys {
    fn resolve<'a>(&'a self, _: &'a Caller, key: &'a str) -> BoxFuture<'a, Result<String, ServiceError>> {
        let found = match key {
            "one" | "alias/one" | ONE => Ok(ONE.to_owned()),
            "two" | TWO => Ok(TWO.to_owned()),
            FOREIGN | FOREIGN_ALIAS => Ok(FOREIGN.to_owned()),
            FOREIGN_NOTHING => Err(ServiceError::new("AccessDeniedException", 400, format!("{key} is not for you"))),
            other => Err(ServiceError::new("NotFoundException", 400, format!("Key '{other}' does not exist"))),
        };
        ready(found).boxed()
    }

    fn generate<'a>(
        &'a self,
        caller: &'a Caller,
        key: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<DataKey, ServiceError>> {
        let made = self.ask(caller, "generate".to_owned(), key, context).map(|()| {
            let plain = Key::random(&SystemRandom);
            let sealed = wrap(&material(key), &SystemRandom, &aad(context), &plain).unwrap();
            DataKey { plain: Zeroizing::new(*plain.expose()), sealed: Bytes::copy_from_slice(&sealed) }
        });
        ready(made).boxed()
    }

    fn decrypt<'a>(
        &'a self,
        caller: &'a Caller,
        key: &'a str,
        sealed: &'a [u8],
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, ServiceError>> {
        let opened = self.ask(caller, "decrypt".to_owned(), key, context).and_then(|()| {
            let opened = unwrap(&material(key), &aad(context), sealed);
            opened.map_err(|_| ServiceError::new("InvalidCiphertextException", 400, ""))
        });
        ready(opened.map(|key| Zeroizing::new(*key.expose()))).boxed()
    }

    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        key: &'a str,
        uses: &'a [KeyUse],
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        ready(self.ask(caller, format!("check {uses:?}"), key, context)).boxed()
    }

    fn managed<'a>(&'a self, _: AccountId, service: &'static str) -> BoxFuture<'a, Result<String, ServiceError>> {
        assert_eq!(service, "s3");
        ready(Ok(MANAGED.to_owned())).boxed()
    }
}

/// What a service is made with.
pub fn sealers(service: Arc<FakeKeys>) -> Sealers {
    Sealers { vault: Arc::new(Vault::for_tests()), random: Arc::new(SystemRandom), service }
}
