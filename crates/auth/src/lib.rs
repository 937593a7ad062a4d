//! Who is asking: AWS Signature Version 4, for servers; of Version 2, S3's presigned requests alone. [`Signer`] is a client's side, for commands.
//!
//! Pure: no I/O, no clock, no async. A request is read in two steps, because the secret lies in between:
//!
//! 1. [`claim`] parses what the request says about itself: nobody ([`Claim::Anonymous`]) or an access key ([`SignedClaim`]).
//! 2. [`SignedClaim::verify`] checks it against that key's secret and gives [`Verified`].
//!
//! The body is judged as it streams: [`PayloadDecoder`] undoes `aws-chunked`, checks hashes and chunk signatures, and gives
//! [`VerifiedEnd`] when all of it was right. Nothing may be committed before that.
//!
//! Sources: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference; "Signature Version 4 signing
//! process", AWS General Reference.

mod canonical;
mod chunked;
mod claim;
mod error;
mod hex;
mod key;
mod parts;
mod payload;
mod percent;
mod signer;
mod time;
mod trailers;
mod verify;
mod version_two;

#[cfg(feature = "testing")]
pub mod fuzz;
#[cfg(feature = "testing")]
pub mod testing;

pub use claim::{
    AuthType, Claim, MAX_AUTHORIZATION_BYTES, MAX_EXPIRES_SECONDS, MAX_SIGNED_HEADERS, SignedClaim, claim,
};
pub use error::{AuthError, Mismatch};
pub use key::{KeyCache, MAX_CACHED_KEYS, Secret, SigningKey};
pub use parts::RequestParts;
pub use payload::{
    ChunkSigning, Declared, MAX_TRAILERS, PayloadDecoder, PayloadError, PayloadMode, VerifiedEnd, strip_aws_chunked,
};
pub use signer::{Payload, Signer};
pub use time::AmzDate;
pub use trailers::{MAX_TRAILER_BYTES, Trailers};
pub use verify::{MAX_SKEW, Verified, VerifyPolicy};
