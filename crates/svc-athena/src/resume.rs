//! What becomes of executions over a restart: those that were queued run, if who started them can be written down; the others have failed.

use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::{AuthType, Authenticated, Caller, Principal, Transport};
use millpond_meta::key::{prefix_range, successor};
use millpond_types::{AccountId, RequestId, Timestamp};

use crate::errors::AthenaError;
use crate::failed::Failed;
use crate::limits::PAGE;
use crate::run::launch;
use crate::running::Place;
use crate::state::Core;
use crate::tables::{self, CallerRow, State};

const RAN: &str = "The server stopped while the query ran. Nothing is left of it; please run it again.";
const SESSION: &str = "The server stopped before the query began, and does not keep sessions of temporary credentials. Please run it again.";

/// What is kept of a caller; `None` of one with a session, which cannot be told anew.
pub(crate) fn kept(caller: &Caller) -> Option<CallerRow> {
    if caller.session().is_some() || !caller.via().is_empty() {
        return None;
    }
    let (user, path, id) = match caller.principal() {
        Principal::Root(_) => Default::default(),
        Principal::User { path, name, id, .. } => (name.clone(), path.clone(), id.clone()),
        _ => return None,
    };
    Some(CallerRow {
        user,
        path,
        id,
        secure: caller.transport().secure,
        user_agent: caller.transport().user_agent.clone(),
        request_id: caller.request_id().0.to_be_bytes().to_vec(),
        received: caller.received().0,
        access_key_id: caller.access_key_id().map(str::to_owned),
    })
}

/// The caller that was kept. What an execution touches it touches by way of the service, so that the address does not matter.
fn caller(account: AccountId, row: CallerRow) -> Caller {
    let CallerRow { user: name, path, id, secure, user_agent, request_id, received, access_key_id } = row;
    let principal =
        if name.is_empty() { Principal::Root(account) } else { Principal::User { account, path, name, id } };
    let request_id = <[u8; 16]>::try_from(request_id.as_slice()).map(u128::from_be_bytes).unwrap_or_default();
    Caller::authenticated(Authenticated {
        principal,
        session: None,
        access_key_id,
        auth: AuthType::Header,
        signed: None,
        transport: Transport { secure, user_agent, ..Transport::internal() },
        request_id: RequestId(request_id),
        received: Timestamp(received),
    })
}

impl Core {
    /// Sees to executions that are not over. Once; those that began since the start are left alone.
    pub async fn resume(self: &Arc<Self>) -> Result<(), AthenaError> {
        let (mut from, to) = prefix_range(Bytes::from_static(&[tables::OPEN]));
        loop {
            let rows = self.page(from, to.clone(), PAGE).await?;
            for (key, _) in &rows {
                let (account, id) = tables::account_and_id(key)?;
                self.resume_one(account, id).await?;
            }
            match rows.last() {
                Some((last, _)) => from = successor(last),
                None => return Ok(()),
            }
        }
    }

    async fn resume_one(self: &Arc<Self>, account: AccountId, id: u128) -> Result<(), AthenaError> {
        // One that this start began.
        if self.running.get(id).is_some() {
            return Ok(());
        }
        let Some(stored) = self.execution(account, id).await? else { return Ok(()) };
        let failed = match (stored.row.state(), stored.row.caller) {
            (State::Queued, Some(kept)) => {
                if let Some(place) = Place::new(self, id) {
                    launch(place, Arc::clone(self), account, Arc::new(caller(account, kept)));
                    return Ok(());
                }
                Failed::interrupted(RAN)
            }
            (State::Queued, None) => Failed::interrupted(SESSION),
            _ => Failed::interrupted(RAN),
        };
        self.finish(account, id, &Err(failed)).await
    }
}
