//! Custom key stores: there are none.

use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::Caller;

use crate::errors::{Failure, KmsError};
use crate::paging::page;
use crate::state::Core;

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeCustomKeyStoresInput,
) -> Result<api::DescribeCustomKeyStoresOutput, Failure> {
    core.on_account(caller, input).await?;
    let page = page(input.limit, input.marker.as_deref(), 50, 1000)?;
    match (&input.custom_key_store_id, &input.custom_key_store_name) {
        (Some(_), Some(_)) => {
            let text = "CustomKeyStoreId and CustomKeyStoreName cannot be specified in the same request.";
            return Err(KmsError::Validation(text.to_owned()).into());
        }
        (Some(named), None) | (None, Some(named)) => {
            return Err(KmsError::NoStore(format!("The custom key store {named} does not exist.")).into());
        }
        (None, None) => {}
    }
    let (stores, next_marker) = page.cut(std::iter::empty());
    Ok(api::DescribeCustomKeyStoresOutput {
        custom_key_stores: Some(stores),
        truncated: Some(next_marker.is_some()),
        next_marker,
    })
}
