//! What access keys and encoded messages tell: `GetAccessKeyInfo`, `DecodeAuthorizationMessage`.

use millpond_api_sts as api;
use millpond_kernel::{Caller, CredentialError, DecodeError, ServiceError};
use millpond_types::AccountId;

use super::{DecodeAuthorizationMessage, GetAccessKeyInfo, Resolved, Sts, errors};
use crate::session::key_id;

pub(super) async fn get_access_key_info(
    sts: &Sts,
    caller: &Caller,
    input: api::GetAccessKeyInfoInput,
) -> Result<api::GetAccessKeyInfoOutput, ServiceError> {
    let operation = GetAccessKeyInfo(Resolved::anything("sts:GetAccessKeyInfo", caller)?);
    sts.kernel.authorize(caller, operation).await.map_err(errors::refused)?;
    let account = account(sts, &input.access_key_id).await?;
    let account =
        account.ok_or_else(|| errors::validation(format!("Invalid access key id: {}", input.access_key_id)))?;
    Ok(api::GetAccessKeyInfoOutput { account: Some(account.to_string()) })
}

/// Whose access key an id is: as it is kept, else as it says itself.
async fn account(sts: &Sts, id: &str) -> Result<Option<AccountId>, ServiceError> {
    if let Some(key) = sts.identities.key(id) {
        return Ok(Some(key.account));
    }
    match sts.credentials.find(id, None).await {
        Ok(credential) => return Ok(credential.principal.account()),
        Err(CredentialError::Failed(reason)) => return Err(errors::failed(&reason)),
        Err(CredentialError::Unknown | CredentialError::InvalidToken | CredentialError::Expired) => {}
    }
    let exists = |account: &AccountId| sts.kernel.directory().is_some_and(|known| known.account_exists(*account));
    Ok(key_id::account(id).filter(exists))
}

pub(super) async fn decode_authorization_message(
    sts: &Sts,
    caller: &Caller,
    input: api::DecodeAuthorizationMessageInput,
) -> Result<api::DecodeAuthorizationMessageOutput, ServiceError> {
    let operation = DecodeAuthorizationMessage(Resolved::anything("sts:DecodeAuthorizationMessage", caller)?);
    sts.kernel.authorize(caller, operation).await.map_err(errors::refused)?;
    let account = caller.account().ok_or_else(errors::unsigned)?;
    match sts.denials.decode(account, &input.encoded_message).await {
        Ok(message) => Ok(api::DecodeAuthorizationMessageOutput { decoded_message: Some(message) }),
        Err(DecodeError::Invalid) => {
            let def = api::errors::INVALID_AUTHORIZATION_MESSAGE_EXCEPTION;
            Err(ServiceError::new(def.code, def.status, "The encoded message is invalid"))
        }
        Err(DecodeError::Failed(reason)) => Err(errors::failed(&reason)),
    }
}
