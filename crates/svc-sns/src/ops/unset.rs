//! What cannot be set here, read as AWS answers where it is not set.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_sns as api;
use millpond_kernel::Caller;

use crate::errors::Failure;
use crate::inputs::Input;
use crate::resolved::Resolved;
use crate::state::{Core, On};

async fn of_service<I: Input>(core: &Core, caller: &Caller) -> Result<(), Failure> {
    let resolved = Resolved::<I>::on_service(core.account_of(caller));
    core.decide(core.kernel.epoch().now(), caller, resolved).await?;
    Ok(())
}

pub(crate) async fn sms_attributes(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    _: &api::GetSMSAttributesInput,
) -> Result<api::GetSMSAttributesOutput, Failure> {
    of_service::<api::GetSMSAttributesInput>(core, caller).await?;
    Ok(api::GetSMSAttributesOutput { attributes: Some(BTreeMap::new()) })
}

pub(crate) async fn platform_applications(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    _: &api::ListPlatformApplicationsInput,
) -> Result<api::ListPlatformApplicationsOutput, Failure> {
    of_service::<api::ListPlatformApplicationsInput>(core, caller).await?;
    Ok(api::ListPlatformApplicationsOutput { platform_applications: Some(Vec::new()), next_token: None })
}

pub(crate) async fn opted_out(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    _: &api::ListPhoneNumbersOptedOutInput,
) -> Result<api::ListPhoneNumbersOptedOutOutput, Failure> {
    of_service::<api::ListPhoneNumbersOptedOutInput>(core, caller).await?;
    Ok(api::ListPhoneNumbersOptedOutOutput { phone_numbers: Some(Vec::new()), next_token: None })
}

pub(crate) async fn data_protection(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetDataProtectionPolicyInput,
) -> Result<api::GetDataProtectionPolicyOutput, Failure> {
    let On { .. } =
        core.on_topic::<api::GetDataProtectionPolicyInput>(caller, &input.resource_arn, "ResourceArn", |r| r).await?;
    Ok(api::GetDataProtectionPolicyOutput { data_protection_policy: None })
}
