//! AWS Key Management Service.
//!
//! [`Kms`] is the service and, for other services, the port `kernel::KeyService`. A request is read (`inputs`), the keys that it names are
//! looked up in memory (`lookup`, `cache`), the kernel decides with the key's policy, its grants and the caller's own policies
//! (`resolved`, `state::Core::decide`), and its handler in `ops` does it. What is written is one commit that memory follows before it is
//! acknowledged (`state::Core::commit`). `schedule` does what happens by itself. Ciphertexts are described in `crypto`.

mod cache;
mod crypto;
mod errors;
mod ids;
mod inputs;
mod limits;
mod load;
mod lookup;
mod model;
mod ops;
mod paging;
mod port;
mod principals;
mod resolved;
mod rows;
mod schedule;
mod state;
mod tables;
mod told;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_kms::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::{Caller, Kernel, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest};
use millpond_meta::Kv;
use millpond_seal::Vault;
use millpond_wire::{ErrorFormat, Protocol, RequestView, ResponseParts, Route};

pub use crate::load::OpenError;

use crate::inputs::Input;
use crate::ops::{aliases, crypto as cryptographic, grants, keys, managed, policy, rotation, stores, tags};
use crate::state::Core;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Kms {
    core: Arc<Core>,
}

impl Kms {
    /// Reads all keys. `kv` is the one that the kernel's epoch lies in.
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        Ok(Self { core: Arc::new(Core::open(kv, kernel, vault, clock, random).await?) })
    }

    /// Does what is due by itself (rotations, deletions) within a second of its time, until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        Arc::clone(&self.core).run(stop).await;
    }
}

impl Service for Kms {
    fn name(&self) -> &'static str {
        "kms"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json11
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn target_prefix(&self) -> Option<&'static str> {
        Some(api::TARGET_PREFIX)
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        match api::route(target) {
            Route::Served(operation) => Ok(OperationRef { name: operation.name(), index: operation as u16 }),
            Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
            Route::Unknown => Err(ServiceError::new("UnknownOperationException", 400, "The operation is not known.")),
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            let ServiceRequest { head, operation, mut payload, caller } = request;
            let Some(operation) = Operation::ALL.get(usize::from(operation.index)).copied() else {
                return Err(ServiceError::internal());
            };
            if caller.is_anonymous() {
                return Err(errors::unsigned());
            }
            let too_large = || ServiceError::new("SerializationException", 413, "The request is larger than 1 MiB.");
            let body = payload.collect(limits::MAX_BODY, too_large).await?;
            self.core.settle().await;
            let call = Call { core: &self.core, head: &head, body: &body, caller: &caller };
            let parts = call.carry_out(operation).await?;
            Response::of(parts)
        }
        .boxed()
    }
}

/// A request whose body was read.
struct Call<'a> {
    core: &'a Arc<Core>,
    head: &'a RequestHead,
    body: &'a Bytes,
    caller: &'a Arc<Caller>,
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        let view = RequestView::of_body(&self.head.method, &self.head.headers, self.body);
        I::read(&view).map_err(|error| errors::from_parse(&error))
    }

    /// Whether DescribeKey names an alias of AWS that has no key yet: it gets one then.
    fn is_first_use(&self) -> Result<bool, ServiceError> {
        let input: api::DescribeKeyInput = self.input()?;
        Ok(self.core.predefined(self.caller, &input.key_id).is_some())
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        /// What changes nothing.
        macro_rules! read {
            ($handler:path) => {{
                let input = self.input()?;
                let done = $handler(self.core, self.caller, &input).await.map_err(errors::Failure::answer)?;
                Ok(done.write())
            }};
        }
        /// What changes something: to its end, and anew where it must be.
        macro_rules! change {
            ($handler:path) => {{
                let (input, caller) = (Arc::new(self.input()?), Arc::clone(self.caller));
                let done = self.core.detached(move |core| {
                    let (input, caller) = (Arc::clone(&input), Arc::clone(&caller));
                    async move { $handler(&core, &caller, &input).await }
                });
                Ok(done.await?.write())
            }};
        }
        match operation {
            Operation::CancelKeyDeletion => change!(keys::cancel_deletion),
            Operation::CreateAlias => change!(aliases::create),
            Operation::CreateGrant => change!(grants::create),
            Operation::CreateKey => change!(keys::create),
            Operation::Decrypt => read!(cryptographic::decrypt),
            Operation::DeleteAlias => change!(aliases::delete),
            Operation::DescribeCustomKeyStores => read!(stores::describe),
            Operation::DescribeKey if self.is_first_use()? => change!(managed::describe),
            Operation::DescribeKey => read!(keys::describe),
            Operation::DisableKey => change!(keys::disable),
            Operation::DisableKeyRotation => change!(rotation::disable),
            Operation::EnableKey => change!(keys::enable),
            Operation::EnableKeyRotation => change!(rotation::enable),
            Operation::Encrypt => read!(cryptographic::encrypt),
            Operation::GenerateDataKey => read!(cryptographic::generate_data_key),
            Operation::GenerateDataKeyWithoutPlaintext => read!(cryptographic::generate_without_plaintext),
            Operation::GenerateMac => read!(cryptographic::generate_mac),
            Operation::GenerateRandom => read!(cryptographic::generate_random),
            Operation::GetKeyPolicy => read!(policy::get),
            Operation::GetKeyRotationStatus => read!(rotation::status),
            Operation::ListAliases => read!(aliases::list),
            Operation::ListGrants => read!(grants::list),
            Operation::ListKeyPolicies => read!(policy::list),
            Operation::ListKeyRotations => read!(rotation::list),
            Operation::ListKeys => read!(keys::list),
            Operation::ListResourceTags => read!(tags::list),
            Operation::ListRetirableGrants => read!(grants::list_retirable),
            Operation::PutKeyPolicy => change!(policy::put),
            Operation::ReEncrypt => read!(cryptographic::re_encrypt),
            Operation::RetireGrant => change!(grants::retire),
            Operation::RevokeGrant => change!(grants::revoke),
            Operation::RotateKeyOnDemand => change!(rotation::on_demand),
            Operation::ScheduleKeyDeletion => change!(keys::schedule_deletion),
            Operation::TagResource => change!(tags::tag),
            Operation::UntagResource => change!(tags::untag),
            Operation::UpdateAlias => change!(aliases::update),
            Operation::UpdateKeyDescription => change!(keys::update_description),
            Operation::VerifyMac => read!(cryptographic::verify_mac),
        }
    }
}
