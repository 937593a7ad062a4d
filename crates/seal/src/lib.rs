//! Sealing: what must not be read from the disk is encrypted here, with AES-256-GCM of the crate `ring`.
//!
//! - [`Vault`] seals secrets (keys, tokens, digests) under keys derived from the *store key*, one a purpose and seal.
//! - [`Envelope`] seals contents in great number, such as messages, under one derived key for as long as a server runs.
//! - [`KeyRing`] keeps the store key in the data dir, sealed under the operator's *root key*, and changes root keys.
//! - [`FrameSealer`] and [`FrameOpener`] are for bodies of any length, read by range.
//! - [`wrap`] and [`unwrap`] put one key under another.

mod envelope;
mod frames;
mod key;
mod ring_file;
mod root;
mod vault;

pub use envelope::{ENVELOPE, Envelope};
pub use frames::{FRAME_PLAIN, FRAME_SEALED, FrameOpener, FrameSealer, TAG, plain_len, sealed_len};
pub use key::{Key, WRAPPED, unwrap, wrap};
pub use ring_file::{KeyRing, RING_FILE, RingError, SYNC_RING};
pub use root::{RootKey, RootKeyError};
pub use vault::{Purpose, Vault};

/// What was sealed cannot be opened: it was changed, belongs elsewhere, or is of another key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("what was sealed cannot be opened")]
pub struct Unopened;
