//! Temporary credentials, as far as decisions and records need to know them.

use millpond_policy::{Context, ContextValue, Named};
use millpond_types::{CauseChain, Timestamp};

/// A session of temporary credentials.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its policies; `None` when none were passed, so that they limit nothing. `Some` of none for a federated session without policies, which may do nothing.
    pub policies: Option<Vec<Named>>,
    /// Its tags: condition keys `aws:PrincipalTag/*`, before those of the user or role.
    pub tags: Vec<(String, String)>,
    /// Which of the tags go on to sessions that it begins.
    pub transitive: Vec<String>,
    /// Who began it, in the first one's own words; `aws:SourceIdentity`.
    pub source_identity: Option<String>,
    /// When it began; `aws:TokenIssueTime`.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// By which operation it began.
    pub by: SessionKind,
    /// What led to it; calls of a function carry on the chain that invoked it.
    pub causes: CauseChain,
    /// The access key of the worker whose credentials these are, or that began it with them, over however many sessions: what is done with it continues
    /// the chain of what that worker is at ([`crate::Working`]).
    pub worker: Option<String>,
}

/// By which operation a session began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionKind {
    /// `AssumeRole`.
    AssumeRole,
    /// `GetSessionToken`.
    GetSessionToken,
    /// `GetFederationToken`.
    GetFederationToken,
}

impl Session {
    pub(crate) fn context(&self, context: &mut Context) {
        context.set("aws:TokenIssueTime", ContextValue::Time(self.issued));
        // There are no MFA devices, so that no session began with one.
        context.set("aws:MultiFactorAuthPresent", ContextValue::Bool(false));
        if let Some(identity) = &self.source_identity {
            context.text("aws:SourceIdentity", identity.clone());
        }
        for (key, value) in &self.tags {
            context.text(format!("aws:PrincipalTag/{key}"), value.clone());
        }
    }
}
