//! The part of S3 that is about a whole account (service S3 Control). It shares S3's name in signatures and this server's one address; its requests
//! are told by their path and the account in a header.

use millpond_api_s3::Operation as S3Operation;
use millpond_api_s3control::{self as api, Operation};
use millpond_kernel::{OperationRef, Payload, RequestHead, Response, ServiceError};
use millpond_wire::{QueryPairs, Route};

use crate::call::{Call, DECIDE_ATTEMPTS};
use crate::errors;
use crate::ops::public_access;

/// What its paths begin with: the version of its API.
const PATH: &str = "/v20180820/";
const ACCOUNT: &str = "x-amz-account-id";

/// Whether a request is for it. Its clients put the account before the host's name; any other first label is a bucket with a key that looks alike.
pub fn is_for(head: &RequestHead) -> bool {
    let Some(account) = head.headers.get(ACCOUNT).filter(|_| head.path.starts_with(PATH)) else { return false };
    head.host_bucket.as_ref().is_none_or(|label| label.as_bytes() == account.as_bytes())
}

/// Which operation it is. Its numbers follow those of S3.
pub fn identify(head: &RequestHead, query: &QueryPairs<'_>) -> Result<OperationRef, ServiceError> {
    match api::route(&head.method, &head.path, query, &head.headers).0 {
        Route::Served(operation) => {
            Ok(OperationRef { name: operation.name(), index: (S3Operation::ALL.len() + operation as usize) as u16 })
        }
        Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
        Route::Unknown => Err(errors::method_not_allowed("ACCOUNT").field("Method", head.method.as_str())),
    }
}

/// The operation that a number of [`identify`] stands for.
pub fn operation(operation: OperationRef) -> Option<Operation> {
    let index = usize::from(operation.index).checked_sub(S3Operation::ALL.len())?;
    Operation::ALL.get(index).copied()
}

/// Carries it out.
pub async fn call(operation: Operation, mut call: Call<'_>, payload: Payload) -> Result<Response, ServiceError> {
    if call.caller.is_anonymous() {
        return Err(errors::access_denied());
    }
    if operation == Operation::PutPublicAccessBlock {
        call.read_document(payload, false).await?;
    }
    for _ in 0..DECIDE_ATTEMPTS {
        match public_access::of_account(&call, operation).await {
            Err(error) if error.code == errors::DECIDED_TOO_EARLY => call.reread_policies().await?,
            answer => return answer,
        }
    }
    Err(errors::decided_too_early())
}
