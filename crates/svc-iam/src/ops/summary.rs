//! What an account has and may have.

use std::collections::BTreeMap;

use millpond_api_iam::*;
use millpond_kernel::Authorized;
use millpond_policy::limits as documents;

use crate::errors::IamError;
use crate::limits;
use crate::operation::{At, On, Read, served};
use crate::paging::page;
use crate::state::Kind;

served!(GetAccountSummaryInput => GetAccountSummaryOutput, "iam:GetAccountSummary", |_input, at| at.on_all(Self::ACTION));
served!(ListAccountAliasesInput => ListAccountAliasesOutput, "iam:ListAccountAliases", |_input, at| {
    at.on_all(Self::ACTION)
});

impl Read for GetAccountSummaryInput {
    fn run(_: Authorized<On<Self>>, at: &At<'_>) -> Result<GetAccountSummaryOutput, IamError> {
        use SummaryKeyType as Key;
        let account = &at.account;
        let of = |kind| account.entities(kind).count();
        let versions = account.policies().map(|(_, policy)| policy.versions.len()).sum();
        let root_keys = account.keys_of(None).next().is_some() || at.is_home();
        let figures = [
            (Key::Users, of(Kind::User)),
            (Key::UsersQuota, limits::USERS),
            (Key::Groups, of(Kind::Group)),
            (Key::GroupsQuota, limits::GROUPS),
            (Key::Roles, of(Kind::Role)),
            (Key::RolesQuota, limits::ROLES),
            (Key::Policies, account.policies().count()),
            (Key::PoliciesQuota, limits::POLICIES),
            (Key::PolicyVersionsInUse, versions),
            (Key::PolicyVersionsInUseQuota, limits::POLICIES * limits::VERSIONS),
            (Key::VersionsPerPolicyQuota, limits::VERSIONS),
            (Key::PolicySizeQuota, documents::MANAGED),
            (Key::UserPolicySizeQuota, documents::USER_INLINE),
            (Key::GroupPolicySizeQuota, documents::GROUP_INLINE),
            (Key::RolePolicySizeQuota, documents::ROLE_INLINE),
            (Key::AssumeRolePolicySizeQuota, documents::TRUST),
            (Key::GroupsPerUserQuota, limits::GROUPS_PER_USER),
            (Key::AccessKeysPerUserQuota, limits::ACCESS_KEYS),
            (Key::AttachedPoliciesPerUserQuota, limits::ATTACHED),
            (Key::AttachedPoliciesPerGroupQuota, limits::ATTACHED),
            (Key::AttachedPoliciesPerRoleQuota, limits::ATTACHED),
            (Key::AccountAccessKeysPresent, usize::from(root_keys)),
            // What there is none of here.
            (Key::AccountMFAEnabled, 0),
            (Key::AccountPasswordPresent, 0),
            (Key::AccountSigningCertificatesPresent, 0),
            (Key::InstanceProfiles, 0),
            (Key::MFADevices, 0),
            (Key::MFADevicesInUse, 0),
            (Key::Providers, 0),
            (Key::ServerCertificates, 0),
        ];
        let figure = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let map: BTreeMap<_, _> = figures.into_iter().map(|(key, number)| (key, figure(number))).collect();
        Ok(GetAccountSummaryOutput { summary_map: Some(map) })
    }
}

impl Read for ListAccountAliasesInput {
    fn run(operation: Authorized<On<Self>>, _: &At<'_>) -> Result<ListAccountAliasesOutput, IamError> {
        let input = operation.into_inner().input;
        // Aliases are for the console's address; none can be made here.
        let page = page(input.marker.as_deref(), input.max_items, Vec::new())?;
        Ok(ListAccountAliasesOutput {
            is_truncated: page.truncated(),
            account_aliases: page.items,
            marker: page.marker,
        })
    }
}
