//! The kernel's tables: the first byte of a row's key, 0x30 to 0x3F.

/// (account, whose call, position) -> record of a management call: two streams for each account.
pub const AUDIT: u8 = 0x30;
/// (request id) -> why it was denied.
pub const DECISIONS: u8 = 0x31;
/// (due, owner, id) -> what is to be done then: timers of older versions, which are moved to [`TIMERS`] at the start.
pub const OLD_TIMERS: u8 = 0x32;
/// The policy epoch: one counter row.
pub const EPOCH: u8 = 0x33;
/// A copy of the key ring: one row.
pub const KEY_RING: u8 = 0x34;
/// Account id -> account.
pub const ACCOUNTS: u8 = 0x35;
/// (consumer, stream) -> how far it is consumed.
pub const CURSORS: u8 = 0x36;
/// (owner, lane, position) -> something to be sent outside: streams.
pub const OUTBOX: u8 = 0x37;
/// (account, whose call) -> bytes of audit records: a counter.
pub const AUDIT_BYTES: u8 = 0x38;
/// (owner, due, id) -> what is to be done then.
pub const TIMERS: u8 = 0x39;
/// (event, delivery, attempt) -> how it ended.
pub const TRACE: u8 = 0x3A;
/// (id, number) -> a part of a value that is larger than a row may be.
pub const CHUNKS: u8 = 0x3B;
/// (account, position) -> record of an operation on data that a trail selects: a stream for each account.
pub const AUDIT_DATA: u8 = 0x3D;
/// How the server names itself in answers and notifications: one row.
pub const HOST_ID: u8 = 0x3C;
