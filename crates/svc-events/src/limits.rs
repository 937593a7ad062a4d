//! Named limits (User Guide, "Amazon EventBridge quotas"; API reference). Where a quota of AWS is about sharing its machines, ours is what one server bears.

use std::time::Duration;

/// The most bytes of a request's body: ten entries of 256 KiB could not be sent, as they count together; escapes double them at most.
pub(crate) const MAX_BODY: usize = 2 * 1024 * 1024;
/// The most bytes of the entries of a PutEvents call, counted as the User Guide says.
pub(crate) const MAX_ENTRIES_BYTES: usize = 256 * 1024;
/// Bytes of an event that another service makes.
pub(crate) const MAX_EVENT: usize = 512 * 1024;
/// Bytes of a row with an event in it; those of larger ones lie in chunks, as a row has at most 64 KiB.
pub(crate) const INLINE_EVENT: usize = 60 * 1024;
/// Buses of an account. Each has a reader of its own.
pub(crate) const MAX_BUSES: usize = 1000;
/// Rules of a bus: all are in memory, about 2 KiB each.
pub(crate) const MAX_RULES: usize = 200_000;
/// Targets of a rule (AWS has five).
pub(crate) const MAX_TARGETS: usize = 100;
/// Bytes of all parameters of a target: they are one row, with its number.
pub(crate) const MAX_TARGET_BYTES: usize = 63 * 1024;
/// Tags of a resource.
pub(crate) const MAX_TAGS: usize = 50;
/// Bytes of a bus's policy.
pub(crate) const MAX_POLICY: usize = 10_240;
/// Connections of an account.
pub(crate) const MAX_CONNECTIONS: usize = 3000;
/// API destinations of an account.
pub(crate) const MAX_DESTINATIONS: usize = 3000;
/// Archives of a bus: an event is matched with each.
pub(crate) const MAX_ARCHIVES: usize = 100;
/// Replays of an account that are not over.
pub(crate) const MAX_ACTIVE_REPLAYS: usize = 10;
/// Rules that a replay is for: their ARNs are kept with each event that is replayed.
pub(crate) const MAX_REPLAY_RULES: usize = 100;
/// For how long an ended replay is remembered.
pub(crate) const REPLAY_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Retries of a delivery, where the target does not say (User Guide, "How EventBridge retries delivering events").
pub(crate) const MAX_RETRIES: u32 = 185;
/// Seconds that a delivery is tried, where the target does not say.
pub(crate) const MAX_AGE: u32 = 86_400;
/// The least that a target may say.
pub(crate) const LEAST_AGE: i32 = 60;
/// How long an API destination may take to answer.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(5);
/// Invocations of an API destination a second, where it does not say.
pub(crate) const DESTINATION_RATE: u32 = 300;
/// Items of a page of a list.
pub(crate) const PAGE_ITEMS: usize = 100;
/// Rows read, and removed, at a time.
pub(crate) const PAGE: usize = 1000;
