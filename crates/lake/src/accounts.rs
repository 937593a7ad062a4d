//! Configurations that hold for all buckets of an account: all of them in memory, kept true by every commit that changes one.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use millpond_types::AccountId;

use crate::buckets::{detached, fits};
use crate::draft::{Draft, Engine};
use crate::error::{LakeError, Refused};
use crate::keys::{self, tables};
use crate::lake::Lake;
use crate::limits::CONFIG_PAGE;
use crate::model::ConfigKind;
use crate::rows;
use crate::walk::Walk;

/// The configurations of accounts.
pub(crate) struct Accounts {
    configs: RwLock<HashMap<(AccountId, ConfigKind), Bytes>>,
    /// Held by whoever changes one, until the map knows.
    changing: tokio::sync::Mutex<()>,
}

/// The account and the kind of a configuration's row.
pub(crate) fn account_config_of(key: &[u8]) -> Option<(AccountId, ConfigKind)> {
    let (account, kind) = key.get(1..)?.split_at_checked(12)?;
    let [kind] = kind else { return None };
    Some((std::str::from_utf8(account).ok()?.parse().ok()?, ConfigKind::from_code(*kind)?))
}

impl Accounts {
    /// Reads them all.
    pub async fn load(kv: &Engine) -> Result<Self, LakeError> {
        let mut configs = HashMap::new();
        let mut walk = Walk::table(tables::ACCOUNT_CONFIG, CONFIG_PAGE);
        loop {
            let page = walk.next(kv).await?;
            if page.is_empty() {
                return Ok(Self { configs: RwLock::new(configs), changing: tokio::sync::Mutex::new(()) });
            }
            for (key, row) in page {
                configs.insert(account_config_of(&key).ok_or_else(|| rows::damaged("account configuration"))?, row);
            }
        }
    }
}

impl Lake {
    /// A configuration of an account, if it is set.
    pub fn account_config(&self, account: AccountId, kind: ConfigKind) -> Option<Bytes> {
        self.accounts().configs.read().unwrap_or_else(PoisonError::into_inner).get(&(account, kind)).cloned()
    }

    /// Sets a configuration of an account; `None` removes it. No row of a bucket changes: whoever wants what was decided before not to be
    /// committed any more has the commit raise a counter of its own ([`Lake::also`]) that decisions have as a condition.
    ///
    /// # Errors
    /// `ConfigTooLarge`.
    pub async fn set_account_config(
        &self,
        account: AccountId,
        kind: ConfigKind,
        value: Option<Bytes>,
    ) -> Result<(), LakeError> {
        value.iter().try_for_each(fits)?;
        let lake = self.clone();
        detached(async move {
            let _changing = lake.accounts().changing.lock().await;
            let (mut draft, key) = (Draft::default(), keys::account_config(account, kind));
            match &value {
                Some(value) => draft.put(key, value.clone()),
                None => draft.delete(key),
            }
            lake.commit(draft).await.map_err(|refused| match refused {
                Refused::Error(error) => error,
                Refused::Conflict { .. } => LakeError::Busy,
            })?;
            let mut configs = lake.accounts().configs.write().unwrap_or_else(PoisonError::into_inner);
            match value {
                Some(value) => configs.insert((account, kind), value),
                None => configs.remove(&(account, kind)),
            };
            Ok(())
        })
        .await
    }
}
