//! What workers get from the server: credentials of their role, a place for what they print, a way in for their calls.

use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::LogLine;
use millpond_runtime::{Door, Host, Program, WorkerCredentials};
use millpond_types::{AccountId, Arn, CauseChain, Timestamp};

use crate::limits::CREDENTIALS_AGE;
use crate::logs::Printed;
use crate::state::Core;

/// Serves a socket on which workers' calls come in, until what it answers with is dropped.
pub type OpenDoor = Arc<dyn Fn(std::net::TcpListener) -> Door + Send + Sync>;

/// The server, as workers see it. Holds it weakly: it holds them.
pub(crate) struct Ours {
    pub core: Weak<Core>,
    pub door: OpenDoor,
}

/// The function that a program is, and its account. It may be another one by now, or gone: what began ends as it began.
fn function(program: &Program) -> Option<(Arn, AccountId)> {
    let arn = Arn::parse(&program.arn)?;
    let account = arn.account()?.parse().ok()?;
    Some((arn, account))
}

impl Ours {
    async fn begin(&self, program: &Program) -> Result<Option<WorkerCredentials>, String> {
        let core = self.core.upgrade().ok_or("the server stops")?;
        let (arn, account) = function(program).ok_or("the function has no ARN")?;
        let roles = core.kernel.roles().ok_or("roles cannot be assumed")?;
        let call = core.call_for(&arn, account, Vec::new());
        let seconds = u32::try_from(CREDENTIALS_AGE.as_secs()).unwrap_or(u32::MAX);
        let begun = roles.credentials(&program.role, &core.identity, &program.name, call, seconds).await;
        let made = begun.map_err(|rejection| rejection.to_string())?;
        Ok(Some(WorkerCredentials {
            access_key_id: made.access_key_id,
            secret: made.secret.to_string(),
            token: made.token.to_string(),
            expires: made.expires,
        }))
    }
}

impl Host for Ours {
    fn credentials<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Option<WorkerCredentials>, String>> {
        self.begin(program).boxed()
    }

    fn begins(&self, access_key_id: &str, causes: &CauseChain) {
        if let Some(core) = self.core.upgrade() {
            core.kernel.working().begin(access_key_id, causes.clone());
        }
    }

    fn gone(&self, access_key_id: &str) {
        if let Some(core) = self.core.upgrade() {
            // Neither its credentials nor sessions of roles that it began are good for longer.
            let now = core.clock.now();
            core.kernel.working().end(access_key_id, now, now.plus(CREDENTIALS_AGE));
        }
    }

    fn printed(&self, program: &Program, stream: &str, lines: Vec<(Timestamp, String)>) {
        let Some(core) = self.core.upgrade() else { return };
        let Some((function, account)) = function(program) else { return };
        core.lines.push(Printed {
            function,
            account,
            role: program.role.clone(),
            group: program.log_group.clone(),
            stream: stream.to_owned(),
            lines: lines.into_iter().map(|(time, message)| LogLine { time, message }).collect(),
        });
    }

    fn door(&self, listener: std::net::TcpListener) -> Door {
        (self.door)(listener)
    }
}
