//! For tests of others: a kernel over an engine in memory, and callers.

use std::sync::Arc;

use futures_util::FutureExt;
use millpond_io::{SystemClock, SystemRandom};
use millpond_meta::{Kv, MemoryKv};
use millpond_policy::Principal;
use millpond_seal::Vault;
use millpond_types::{AccountId, RequestId, Timestamp};

use crate::audit::{Audit, AuditParts};
use crate::{AuthType, Authenticated, Caller, Epoch, Kernel, Transport};

/// A kernel that knows root users alone. `None` never: reading an empty engine in memory does not wait, nor fail.
pub fn kernel(account: AccountId) -> Option<Kernel> {
    let epoch = Epoch::load(Arc::new(MemoryKv::new())).now_or_never()?.ok()?;
    Some(Kernel::new(account, "us-east-1".parse().ok()?, epoch))
}

/// An audit trail over an engine. Within a tokio runtime. `None` never.
pub fn audit(kv: Arc<dyn Kv>) -> Option<Audit> {
    Some(Audit::start(AuditParts {
        kv,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        vault: Arc::new(Vault::for_tests()),
        region: "us-east-1".parse().ok()?,
    }))
}

/// A caller whose request came by no connection, signed unless it is nobody's.
pub fn caller(principal: Principal) -> Caller {
    let auth = if principal == Principal::Anonymous { AuthType::None } else { AuthType::Header };
    Caller::authenticated(Authenticated {
        principal,
        session: None,
        access_key_id: None,
        auth,
        signed: None,
        transport: Transport::internal(),
        request_id: RequestId(7),
        received: Timestamp::from_seconds(1_800_000_000),
    })
}
