//! Quotas (IAM User Guide, "IAM and AWS STS quotas": the defaults).

/// Users of an account.
pub(crate) const USERS: usize = 5_000;
/// Groups of an account.
pub(crate) const GROUPS: usize = 300;
/// Roles of an account.
pub(crate) const ROLES: usize = 1_000;
/// Managed policies of an account.
pub(crate) const POLICIES: usize = 1_500;
/// Groups of a user.
pub(crate) const GROUPS_PER_USER: usize = 10;
/// Access keys of a user.
pub(crate) const ACCESS_KEYS: usize = 2;
/// Managed policies attached to a user, group or role.
pub(crate) const ATTACHED: usize = 10;
/// Versions of a managed policy.
pub(crate) const VERSIONS: usize = 5;
/// Tags of a user, role or policy.
pub(crate) const TAGS: usize = 50;
/// Seconds that a session of a role lasts at most, unless the role says otherwise.
pub(crate) const SESSION_SECONDS: u32 = 3_600;
/// Items of a page, unless the caller says otherwise.
pub(crate) const PAGE: usize = 100;
/// How often a change is decided anew when policies change under it.
pub(crate) const ATTEMPTS: usize = 16;
