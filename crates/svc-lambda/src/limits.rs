//! Limits: those that AWS has (Developer Guide, "Lambda quotas"; API reference), and ours.

use std::time::Duration;

/// Bytes of an archive that comes in a request.
pub(crate) const MAX_ZIP: usize = 50 * 1024 * 1024;
/// Bytes of a request that brings code: the archive in base64, and the rest.
pub(crate) const MAX_CODE_BODY: usize = 70_167_211;
/// Bytes over the limit of a body that are read all the same, so that the answer says what is too large.
pub(crate) const TOLD_TOO_LARGE: usize = 64 * 1024;
/// Bytes of other requests.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// Bytes of the event of an invocation that is waited for, and of its answer.
pub(crate) const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
/// Bytes of the event of an invocation that is not waited for.
pub(crate) const MAX_ASYNC_PAYLOAD: usize = 1024 * 1024;
/// Archives that are taken in at once: each is held in memory while it is unpacked.
pub(crate) const MAX_UPLOADS: usize = 2;
/// Characters of a function's name.
pub(crate) const MAX_NAME: usize = 64;
/// Seconds that an invocation may take, usually and at most.
pub(crate) const USUAL_TIMEOUT: u32 = 3;
pub(crate) const MAX_TIMEOUT: u32 = 900;
/// MiB of memory, usually and at most.
pub(crate) const USUAL_MEMORY: u32 = 128;
pub(crate) const MAX_MEMORY: u32 = 10_240;
/// MiB of `/tmp`, usually.
pub(crate) const USUAL_TMP: u32 = 512;
/// Bytes of all environment variables, as JSON.
pub(crate) const MAX_ENV: usize = 4 * 1024;
/// Layers of a function.
pub(crate) const MAX_LAYERS: usize = 5;
/// Bytes of a resource policy.
pub(crate) const MAX_POLICY: usize = 20 * 1024;
/// Invocations of an account that run at once, and how many must be left to functions without a number of their own.
pub(crate) const MAX_CONCURRENT: u32 = 1_000;
pub(crate) const MIN_UNRESERVED: u32 = 100;
/// Tags of a function.
pub(crate) const MAX_TAGS: usize = 50;
/// Published versions of a function and its aliases: AWS bounds code alone; here they are in memory.
pub(crate) const MAX_VERSIONS: usize = 10_000;
pub(crate) const MAX_ALIASES: usize = 10_000;
/// Functions, and layers, of an account: as for versions.
pub(crate) const MAX_FUNCTIONS: usize = 100_000;
pub(crate) const MAX_LAYER_NAMES: usize = 10_000;
/// Bytes of all archives of an account, as AWS has it by default.
pub(crate) const MAX_CODE_STORAGE: u64 = 80_530_636_800;
/// Items of a list, where none are asked for, and at most.
pub(crate) const MAX_LISTED: usize = 50;
/// Times that a call is decided and carried out anew when what it depends on changes.
pub(crate) const MAX_ATTEMPTS: usize = 20;
/// How long a link to code can be followed.
pub(crate) const LINK_AGE: Duration = Duration::from_secs(600);
/// How long credentials of a worker last: as long as a session of a service may.
pub(crate) const CREDENTIALS_AGE: Duration = Duration::from_secs(12 * 3600);
/// Between sweeps of code that nothing uses.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// Rows that are read together.
pub(crate) const ROWS: usize = 500;
