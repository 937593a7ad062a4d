//! The inputs of operations, as the dispatcher reads them.

use millpond_api_sns as api;
use millpond_wire::{FormPairs, ParseError};

/// An input, with its operation's name and the action that policies know it by.
pub(crate) trait Input: Sized + Send + Sync + 'static {
    const NAME: &'static str;
    const ACTION: &'static str;
    fn read(form: &FormPairs<'_>) -> Result<Self, ParseError>;
}

macro_rules! inputs {
    ($($input:ident $name:literal $action:literal,)*) => {$(
        impl Input for api::$input {
            const NAME: &'static str = $name;
            const ACTION: &'static str = $action;
            fn read(form: &FormPairs<'_>) -> Result<Self, ParseError> {
                Self::parse_form(form)
            }
        }
    )*};
}

inputs! {
    AddPermissionInput "AddPermission" "SNS:AddPermission",
    ConfirmSubscriptionInput "ConfirmSubscription" "SNS:ConfirmSubscription",
    CreateTopicInput "CreateTopic" "SNS:CreateTopic",
    DeleteTopicInput "DeleteTopic" "SNS:DeleteTopic",
    GetDataProtectionPolicyInput "GetDataProtectionPolicy" "SNS:GetDataProtectionPolicy",
    GetSMSAttributesInput "GetSMSAttributes" "SNS:GetSMSAttributes",
    GetSubscriptionAttributesInput "GetSubscriptionAttributes" "SNS:GetSubscriptionAttributes",
    GetTopicAttributesInput "GetTopicAttributes" "SNS:GetTopicAttributes",
    ListPhoneNumbersOptedOutInput "ListPhoneNumbersOptedOut" "SNS:ListPhoneNumbersOptedOut",
    ListPlatformApplicationsInput "ListPlatformApplications" "SNS:ListPlatformApplications",
    ListSubscriptionsInput "ListSubscriptions" "SNS:ListSubscriptions",
    ListSubscriptionsByTopicInput "ListSubscriptionsByTopic" "SNS:ListSubscriptionsByTopic",
    ListTagsForResourceInput "ListTagsForResource" "SNS:ListTagsForResource",
    ListTopicsInput "ListTopics" "SNS:ListTopics",
    PublishInput "Publish" "SNS:Publish",
    PublishBatchInput "PublishBatch" "SNS:Publish",
    RemovePermissionInput "RemovePermission" "SNS:RemovePermission",
    SetSubscriptionAttributesInput "SetSubscriptionAttributes" "SNS:SetSubscriptionAttributes",
    SetTopicAttributesInput "SetTopicAttributes" "SNS:SetTopicAttributes",
    SubscribeInput "Subscribe" "SNS:Subscribe",
    TagResourceInput "TagResource" "SNS:TagResource",
    UnsubscribeInput "Unsubscribe" "SNS:Unsubscribe",
    UntagResourceInput "UntagResource" "SNS:UntagResource",
}
