//! Where code comes from: a request, or the object storage, which is asked as the caller.

use std::sync::Arc;

use bytes::Bytes;
use millpond_api_lambda as api;
use millpond_kernel::{Caller, ServiceError};

use crate::code::Held;
use crate::errors::{LambdaError, parameter, unserved};
use crate::limits::{MAX_CODE_STORAGE, MAX_ZIP};
use crate::state::Core;
use crate::tables::CodeRow;
use crate::zip::MAX_UNZIPPED;

/// Code as an input names it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source<'a> {
    pub zip: Option<&'a Bytes>,
    pub bucket: Option<&'a str>,
    pub key: Option<&'a str>,
    pub version: Option<&'a str>,
    pub mode: Option<api::S3ObjectStorageMode>,
    pub image: Option<&'a str>,
    pub kms_key: Option<&'a str>,
}

/// Code that is in the store, and stays there until the row that names it is committed.
#[derive(Debug)]
pub(crate) struct Stored {
    pub row: CodeRow,
    _held: Held,
}

impl Core {
    /// Takes code in. `what` is the operation, for the message.
    pub async fn take(&self, caller: &Arc<Caller>, source: Source<'_>, what: &str) -> Result<Stored, LambdaError> {
        if source.image.is_some() {
            return Err(unserved("ImageUri"));
        }
        if source.kms_key.is_some_and(|key| !key.is_empty()) {
            return Err(unserved("SourceKMSKeyArn"));
        }
        if source.mode == Some(api::S3ObjectStorageMode::Reference) {
            return Err(unserved("S3ObjectStorageMode REFERENCE"));
        }
        // Before it is fetched: each that waits would be held in memory. One that a request brings is there already.
        let turn = self.code.turn().await?;
        let archive = match (source.zip, source.bucket, source.key) {
            (Some(zip), None, None) if zip.len() > MAX_ZIP => {
                let text = format!("Request must be smaller than 70167211 bytes for the {what} operation");
                return Err(LambdaError::Of(api::errors::REQUEST_TOO_LARGE_EXCEPTION, text));
            }
            (Some(zip), None, None) => zip.clone(),
            (None, Some(bucket), Some(key)) => self.fetch(caller, bucket, key, source.version).await?,
            (None, None, None) => return Err(parameter("Please provide a source for function code.")),
            (Some(_), ..) => {
                return Err(parameter("Please do not provide other FunctionCode parameters when providing a ZipFile."));
            }
            _ => return Err(parameter("S3 Bucket and S3 Key must be provided together.")),
        };
        let account = self.account_of(caller);
        if self.maps().code_bytes(account).saturating_add(archive.len() as u64) > MAX_CODE_STORAGE {
            return Err(LambdaError::Of(
                api::errors::CODE_STORAGE_EXCEEDED_EXCEPTION,
                "Code storage limit exceeded.".to_owned(),
            ));
        }
        let (row, held) = self.code.put(turn, archive).await?;
        Ok(Stored { row, _held: held })
    }

    async fn fetch(
        &self,
        caller: &Arc<Caller>,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Bytes, LambdaError> {
        let asked = Arc::new(caller.on_behalf(&self.identity));
        let most = usize::try_from(MAX_UNZIPPED).unwrap_or(usize::MAX);
        let got = self.objects.get(asked, bucket, key, version, most).await;
        got.map_err(|error| not_fetched(&error))
    }
}

/// What AWS says when the object storage refuses.
fn not_fetched(error: &ServiceError) -> LambdaError {
    let told = format!("S3 Error Code: {}. S3 Error Message: {}", error.code, error.message);
    match error.status {
        403 => LambdaError::Denied(format!(
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for the bucket and key. {told}"
        )),
        status if status >= 500 => LambdaError::Internal(told),
        _ => parameter(format!("Error occurred while GetObject. {told}")),
    }
}
