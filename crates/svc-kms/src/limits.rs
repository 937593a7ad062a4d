//! Named limits (KMS Developer Guide, "Quotas", and the API reference).

use std::time::Duration;

/// The most bytes of a request's body: a policy of 131,072 characters in escapes stays below it.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// Keys of an account.
pub(crate) const MAX_KEYS: usize = 100_000;
/// Aliases of a key.
pub(crate) const MAX_ALIASES: usize = 50;
/// Grants on a key.
pub(crate) const MAX_GRANTS: usize = 50_000;
/// Tags of a key.
pub(crate) const MAX_TAGS: usize = 50;
/// Rotations of a key on demand.
pub(crate) const MAX_ON_DEMAND: u32 = 25;
/// Bytes of an encryption context, keys and values together. What is encrypted keeps none of it, so that it bounds work alone.
pub(crate) const MAX_CONTEXT: usize = 8192;
/// Pairs of a grant's constraint.
pub(crate) const MAX_CONSTRAINT_PAIRS: usize = 8;
/// Characters of one pair of a grant's constraint.
pub(crate) const MAX_CONSTRAINT_PAIR: usize = 384;
/// Days until a key that is to be deleted is.
pub(crate) const DELETION_DAYS: std::ops::RangeInclusive<i32> = 7..=30;
/// Days between automatic rotations, where nothing else is said.
pub(crate) const ROTATION_DAYS: u32 = 365;
/// How often is looked for what is due: due is done within a second.
pub(crate) const TICK: Duration = Duration::from_millis(500);
/// How long what is due and could not be done, as the disk is full, is left alone: neither calls nor the log are to suffer from it.
pub(crate) const NEXT_TRY: Duration = Duration::from_secs(10);
/// For how long a check of a data key at hand, told of once, is not told of again: as long as such data keys are kept.
pub(crate) const CHECK_TOLD_FOR: Duration = Duration::from_secs(5 * 60);
/// Checks that are remembered as told; some tens of bytes each.
pub(crate) const MAX_CHECKS_TOLD: usize = 16 * 1024;
/// Rows read, and removed, at a time.
pub(crate) const PAGE: usize = 1000;

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
