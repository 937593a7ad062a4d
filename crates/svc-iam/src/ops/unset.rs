//! What an account can have at AWS and cannot have here: passwords, devices, certificates, providers, profiles. Asking for it is answered as AWS
//! does where there is none; what would set it is not implemented.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::errors::IamError;
use crate::operation::{At, On, Owner, Read, Target, served};
use crate::paging::page;
use crate::state::Kind;

served!(GetAccountPasswordPolicyInput => GetAccountPasswordPolicyOutput, "iam:GetAccountPasswordPolicy", |_input, at| {
    at.on_all(Self::ACTION)
});
served!(GetLoginProfileInput => GetLoginProfileOutput, "iam:GetLoginProfile", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(ListInstanceProfilesInput => ListInstanceProfilesOutput, "iam:ListInstanceProfiles", |input, at| {
    below(at, Self::ACTION, "instance-profile", input.path_prefix.as_deref())
});
served!(ListMFADevicesInput => ListMFADevicesOutput, "iam:ListMFADevices", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(ListOpenIDConnectProvidersInput => ListOpenIDConnectProvidersOutput, "iam:ListOpenIDConnectProviders",
    |_input, at| at.on_all(Self::ACTION)
);
served!(ListSAMLProvidersInput => ListSAMLProvidersOutput, "iam:ListSAMLProviders", |_input, at| at.on_all(Self::ACTION));
served!(ListSSHPublicKeysInput => ListSSHPublicKeysOutput, "iam:ListSSHPublicKeys", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(ListServerCertificatesInput => ListServerCertificatesOutput, "iam:ListServerCertificates", |input, at| {
    below(at, Self::ACTION, "server-certificate", input.path_prefix.as_deref())
});
served!(ListServiceSpecificCredentialsInput => ListServiceSpecificCredentialsOutput, "iam:ListServiceSpecificCredentials",
    |input, at| match (input.all_users, input.user_name.as_deref()) {
        (Some(true), Some(_)) => {
            let text = "AllUsers and UserName cannot be specified in the same request.";
            return Err(IamError::Validation(text.to_owned()));
        }
        (Some(true), None) => at.on_path(Self::ACTION, Kind::User, None),
        (_, name) => at.on_owner(Self::ACTION, name)?,
    }
);
served!(ListSigningCertificatesInput => ListSigningCertificatesOutput, "iam:ListSigningCertificates", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(ListVirtualMFADevicesInput => ListVirtualMFADevicesOutput, "iam:ListVirtualMFADevices", |_input, at| {
    at.on_all(Self::ACTION)
});

/// A list of what has a path and is neither user, group, role nor policy.
fn below(at: &At<'_>, action: &'static str, word: &str, prefix: Option<&str>) -> Target {
    Target::of(action, at.arn(&format!("{word}{}", prefix.unwrap_or("/"))), at.id())
}

/// A user that is named must exist; returns the name, or that of the caller.
fn owner(at: &At<'_>, user: Option<&str>) -> Result<String, IamError> {
    match at.owner(user)? {
        Owner::User(name) => Ok(at.entity(Kind::User, &name)?.name.clone()),
        Owner::Root => Ok("root".to_owned()),
    }
}

impl Read for GetAccountPasswordPolicyInput {
    fn run(_: Authorized<On<Self>>, at: &At<'_>) -> Result<GetAccountPasswordPolicyOutput, IamError> {
        let text = format!("The Password Policy with domain name {} cannot be found.", at.id());
        Err(IamError::NoSuchEntity(text))
    }
}

impl Read for GetLoginProfileInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetLoginProfileOutput, IamError> {
        let name = owner(at, operation.into_inner().input.user_name.as_deref())?;
        Err(IamError::NoSuchEntity(format!("Login Profile for User {name} cannot be found.")))
    }
}

impl Read for ListOpenIDConnectProvidersInput {
    fn run(_: Authorized<On<Self>>, _: &At<'_>) -> Result<ListOpenIDConnectProvidersOutput, IamError> {
        Ok(ListOpenIDConnectProvidersOutput { open_id_connect_provider_list: Some(Vec::new()) })
    }
}

impl Read for ListSAMLProvidersInput {
    fn run(_: Authorized<On<Self>>, _: &At<'_>) -> Result<ListSAMLProvidersOutput, IamError> {
        Ok(ListSAMLProvidersOutput { saml_provider_list: Some(Vec::new()) })
    }
}

/// Lists in pages, of which there is one, without items: of the account, or of a user that must exist.
macro_rules! empty {
    ($($input:ident => $output:ident, $list:ident: $items:expr $(, |$this:ident, $at:ident| $check:block)?;)*) => {$(
        impl Read for $input {
            fn run(operation: Authorized<On<Self>>, _at: &At<'_>) -> Result<$output, IamError> {
                let input = operation.into_inner().input;
                $(
                    let ($this, $at) = (&input, _at);
                    $check
                )?
                let page = page(input.marker.as_deref(), input.max_items, Vec::<(String, ())>::new())?;
                Ok($output { $list: $items, is_truncated: page.truncated(), marker: page.marker })
            }
        }
    )*};
}

empty! {
    ListInstanceProfilesInput => ListInstanceProfilesOutput, instance_profiles: Vec::new();
    ListMFADevicesInput => ListMFADevicesOutput, mfa_devices: Vec::new(), |input, at| {
        owner(at, input.user_name.as_deref())?;
    };
    ListSSHPublicKeysInput => ListSSHPublicKeysOutput, ssh_public_keys: Some(Vec::new()), |input, at| {
        owner(at, input.user_name.as_deref())?;
    };
    ListServerCertificatesInput => ListServerCertificatesOutput, server_certificate_metadata_list: Vec::new();
    ListServiceSpecificCredentialsInput => ListServiceSpecificCredentialsOutput,
        service_specific_credentials: Some(Vec::new()), |input, at| {
            if input.all_users != Some(true) {
                owner(at, input.user_name.as_deref())?;
            }
        };
    ListSigningCertificatesInput => ListSigningCertificatesOutput, certificates: Vec::new(), |input, at| {
        owner(at, input.user_name.as_deref())?;
    };
    ListVirtualMFADevicesInput => ListVirtualMFADevicesOutput, virtual_mfa_devices: Vec::new();
}
