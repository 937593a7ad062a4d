//! The kernel's tables: the first byte of a row's key, 0x30 to 0x3F.

/// (account, whose call, position) -> record of a management call: two streams for each account.
pub const AUDIT: u8 = 0x30;
/// (request id) -> why it was denied.
pub const DECISIONS: u8 = 0x31;
/// (due, owner, id) -> what is to be done then.
pub const TIMERS: u8 = 0x32;
/// The policy epoch: one counter row.
pub const EPOCH: u8 = 0x33;
/// A copy of the key ring: one row.
pub const KEY_RING: u8 = 0x34;
/// Account id -> account.
pub const ACCOUNTS: u8 = 0x35;
/// (account, whose call) -> bytes of audit records: a counter.
pub const AUDIT_BYTES: u8 = 0x38;
