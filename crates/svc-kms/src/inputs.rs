//! Inputs of the API as operations on resources: names, actions, and the condition keys that come from them
//! (Service Authorization Reference, "Actions, resources, and condition keys for AWS Key Management Service").

use std::collections::BTreeMap;

use millpond_api_kms as api;
use millpond_kernel::{Context, ContextValue};
use millpond_wire::{ParseError, RequestView};

/// An input: read from a request, and known by its operation's name and action.
pub(crate) trait Input: Sized + Send + Sync {
    /// The operation's name.
    const NAME: &'static str;
    /// The action that it needs.
    const ACTION: &'static str;

    /// Reads it from a request.
    fn read(view: &RequestView<'_>) -> Result<Self, ParseError>;

    /// The encryption context, for operations that have one.
    fn encryption_context(&self) -> Option<&BTreeMap<String, String>> {
        None
    }

    /// Grant tokens. Grants count as soon as they are given, so that a token adds nothing; it must be one all the same.
    fn grant_tokens(&self) -> &[String] {
        &[]
    }

    /// Condition keys that come from the input.
    fn keys(&self, _context: &mut Context) {}
}

/// The condition keys of an encryption context.
pub(crate) fn context_keys(pairs: Option<&BTreeMap<String, String>>, context: &mut Context) {
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { return };
    context.set("kms:EncryptionContextKeys", ContextValue::Many(pairs.keys().cloned().collect()));
    for (key, value) in pairs {
        context.text(format!("kms:EncryptionContext:{key}"), value.clone());
    }
}

fn request_tags(tags: &[api::Tag], context: &mut Context) {
    if tags.is_empty() {
        return;
    }
    context.set("aws:TagKeys", ContextValue::Many(tags.iter().map(|tag| tag.tag_key.clone()).collect()));
    for tag in tags {
        context.text(format!("aws:RequestTag/{}", tag.tag_key), tag.tag_value.clone());
    }
}

fn algorithm(given: Option<api::EncryptionAlgorithmSpec>, context: &mut Context) {
    let algorithm = given.unwrap_or(api::EncryptionAlgorithmSpec::SymmetricDefault);
    context.text("kms:EncryptionAlgorithm", algorithm.as_str());
}

fn bypass(given: Option<bool>, context: &mut Context) {
    context.set("kms:BypassPolicyLockoutSafetyCheck", ContextValue::Bool(given.unwrap_or(false)));
}

macro_rules! input {
    ($name:ident, $input:ident $(, { $($more:tt)* })?) => {
        impl Input for api::$input {
            const NAME: &'static str = stringify!($name);
            const ACTION: &'static str = concat!("kms:", stringify!($name));

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }

            $($($more)*)?
        }
    };
}

macro_rules! tokens {
    () => {
        fn grant_tokens(&self) -> &[String] {
            self.grant_tokens.as_deref().unwrap_or_default()
        }
    };
}

macro_rules! bound {
    () => {
        fn encryption_context(&self) -> Option<&BTreeMap<String, String>> {
            self.encryption_context.as_ref()
        }

        tokens!();
    };
}

input!(CancelKeyDeletion, CancelKeyDeletionInput);
input!(CreateAlias, CreateAliasInput);
input!(DeleteAlias, DeleteAliasInput);
input!(DescribeCustomKeyStores, DescribeCustomKeyStoresInput);
input!(DescribeKey, DescribeKeyInput, {
    tokens!();
});
input!(DisableKey, DisableKeyInput);
input!(DisableKeyRotation, DisableKeyRotationInput);
input!(EnableKey, EnableKeyInput);
input!(GenerateRandom, GenerateRandomInput);
input!(GetKeyPolicy, GetKeyPolicyInput);
input!(GetKeyRotationStatus, GetKeyRotationStatusInput);
input!(ListAliases, ListAliasesInput);
input!(ListGrants, ListGrantsInput);
input!(ListKeyPolicies, ListKeyPoliciesInput);
input!(ListKeyRotations, ListKeyRotationsInput);
input!(ListKeys, ListKeysInput);
input!(ListResourceTags, ListResourceTagsInput);
input!(ListRetirableGrants, ListRetirableGrantsInput);
input!(RetireGrant, RetireGrantInput);
input!(RevokeGrant, RevokeGrantInput);
input!(RotateKeyOnDemand, RotateKeyOnDemandInput);
input!(UpdateAlias, UpdateAliasInput);
input!(UpdateKeyDescription, UpdateKeyDescriptionInput);

input!(CreateKey, CreateKeyInput, {
    fn keys(&self, context: &mut Context) {
        let spec = self.key_spec.map(api::KeySpec::as_str);
        let spec = spec.or(self.customer_master_key_spec.map(api::CustomerMasterKeySpec::as_str));
        let usage = self.key_usage.unwrap_or(api::KeyUsageType::EncryptDecrypt);
        context.text("kms:KeySpec", spec.unwrap_or(api::KeySpec::SymmetricDefault.as_str()));
        context.text("kms:KeyUsage", usage.as_str());
        context.text("kms:KeyOrigin", self.origin.unwrap_or(api::OriginType::AwsKms).as_str());
        context.set("kms:MultiRegion", ContextValue::Bool(self.multi_region.unwrap_or(false)));
        bypass(self.bypass_policy_lockout_safety_check, context);
        request_tags(self.tags.as_deref().unwrap_or_default(), context);
    }
});
input!(PutKeyPolicy, PutKeyPolicyInput, {
    fn keys(&self, context: &mut Context) {
        bypass(self.bypass_policy_lockout_safety_check, context);
    }
});
input!(TagResource, TagResourceInput, {
    fn keys(&self, context: &mut Context) {
        request_tags(&self.tags, context);
    }
});
input!(UntagResource, UntagResourceInput, {
    fn keys(&self, context: &mut Context) {
        context.set("aws:TagKeys", ContextValue::Many(self.tag_keys.clone()));
    }
});
input!(EnableKeyRotation, EnableKeyRotationInput, {
    fn keys(&self, context: &mut Context) {
        if let Some(days) = self.rotation_period_in_days {
            context.set("kms:RotationPeriodInDays", ContextValue::Number(days.into()));
        }
    }
});
input!(ScheduleKeyDeletion, ScheduleKeyDeletionInput, {
    fn keys(&self, context: &mut Context) {
        if let Some(days) = self.pending_window_in_days {
            context.set("kms:ScheduleKeyDeletionPendingWindowInDays", ContextValue::Number(days.into()));
        }
    }
});
input!(Encrypt, EncryptInput, {
    bound!();

    fn keys(&self, context: &mut Context) {
        algorithm(self.encryption_algorithm, context);
        context_keys(self.encryption_context.as_ref(), context);
    }
});
input!(Decrypt, DecryptInput, {
    bound!();

    fn keys(&self, context: &mut Context) {
        algorithm(self.encryption_algorithm, context);
        context_keys(self.encryption_context.as_ref(), context);
    }
});
input!(GenerateDataKey, GenerateDataKeyInput, {
    bound!();

    fn keys(&self, context: &mut Context) {
        algorithm(None, context);
        context_keys(self.encryption_context.as_ref(), context);
    }
});
input!(GenerateDataKeyWithoutPlaintext, GenerateDataKeyWithoutPlaintextInput, {
    bound!();

    fn keys(&self, context: &mut Context) {
        algorithm(None, context);
        context_keys(self.encryption_context.as_ref(), context);
    }
});
// Each of its two accesses has a context of its own: see `ops::crypto`.
input!(ReEncrypt, ReEncryptInput, {
    tokens!();

    fn keys(&self, context: &mut Context) {
        algorithm(self.destination_encryption_algorithm, context);
    }
});
input!(GenerateMac, GenerateMacInput, {
    tokens!();

    fn keys(&self, context: &mut Context) {
        context.text("kms:MacAlgorithm", self.mac_algorithm.as_str());
    }
});
input!(VerifyMac, VerifyMacInput, {
    tokens!();

    fn keys(&self, context: &mut Context) {
        context.text("kms:MacAlgorithm", self.mac_algorithm.as_str());
    }
});
input!(CreateGrant, CreateGrantInput, {
    tokens!();

    fn keys(&self, context: &mut Context) {
        let operations = self.operations.iter().map(|operation| operation.as_str().to_owned()).collect();
        context.set("kms:GrantOperations", ContextValue::Many(operations));
        if let Some(grantee) = &self.grantee_principal {
            context.text("kms:GranteePrincipal", grantee.clone());
        }
        if let Some(retiring) = &self.retiring_principal {
            context.text("kms:RetiringPrincipal", retiring.clone());
        }
        let Some(constraints) = &self.constraints else { return };
        let kinds = [
            constraints.encryption_context_equals.as_ref().map(|_| "EncryptionContextEquals"),
            constraints.encryption_context_subset.as_ref().map(|_| "EncryptionContextSubset"),
        ];
        let kinds: Vec<String> = kinds.into_iter().flatten().map(str::to_owned).collect();
        if !kinds.is_empty() {
            context.set("kms:GrantConstraintType", ContextValue::Many(kinds));
        }
    }
});
