//! The policy epoch: a counter that every change of an identity, policy, key or grant raises in its own commit. What was decided at
//! one epoch is only committed at the same one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use millpond_meta::{Cond, Key, Kv, Op, ReadError};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::tables;

/// The epoch as this server knows it.
#[derive(Clone)]
pub struct Epoch {
    kv: Arc<dyn Kv>,
    now: Arc<AtomicI64>,
    /// Held from before a change's commit until every cache knows of it: else the epoch of one change could be learnt of by another, whose own
    /// cache is true, while the first one's is not yet.
    order: Arc<Mutex<()>>,
}

fn row() -> Key {
    Bytes::from_static(&[tables::EPOCH])
}

fn number(row: Option<&Bytes>) -> Result<i64, ReadError> {
    let Some(row) = row else { return Ok(0) };
    let bytes = <[u8; 8]>::try_from(row.as_ref()).map_err(|_| ReadError::Damaged("policy epoch".to_owned()))?;
    Ok(i64::from_le_bytes(bytes))
}

impl Epoch {
    /// Reads the epoch.
    pub async fn load(kv: Arc<dyn Kv>) -> Result<Self, ReadError> {
        let now = number(kv.get(&row()).await?.as_ref())?;
        Ok(Self { kv, now: Arc::new(AtomicI64::new(now)), order: Arc::default() })
    }

    /// What a change of policies has to do in its commit.
    pub fn raise() -> Op {
        Op::Add(row(), 1)
    }

    /// Begins a change of policies, as soon as no other one is between its commit and its caches. To be held over the commit.
    pub async fn change(&self) -> EpochChange {
        EpochChange { epoch: self.clone(), _order: Arc::clone(&self.order).lock_owned().await }
    }

    /// Learns of changes that others have made, once their caches know of them.
    pub async fn refresh(&self) -> Result<(), ReadError> {
        let _order = self.order.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<(), ReadError> {
        let now = number(self.kv.get(&row()).await?.as_ref())?;
        self.now.fetch_max(now, Ordering::SeqCst);
        Ok(())
    }

    /// The epoch now.
    pub fn now(&self) -> Pin {
        Pin(self.now.load(Ordering::SeqCst))
    }
}

/// A change of policies on its way from the store to those who decide.
pub struct EpochChange {
    epoch: Epoch,
    _order: OwnedMutexGuard<()>,
}

impl EpochChange {
    /// Makes the epoch known: after a commit with [`Epoch::raise`] and after the caches know of it, before the change is acknowledged.
    pub async fn known(self) -> Result<(), ReadError> {
        self.epoch.read().await
    }
}

/// An epoch at which something was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin(i64);

impl Pin {
    /// Holds as long as nothing changed.
    pub fn cond(self) -> Cond {
        match self.0 {
            0 => Cond::Absent(row()),
            now => Cond::Equals(row(), Bytes::copy_from_slice(&now.to_le_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use millpond_meta::{Batch, MemoryKv};

    use super::*;

    /// Whose epoch is known must have his change in every cache: nobody learns of a change between its commit and its caches.
    #[test]
    fn an_epoch_is_not_learnt_of_before_the_caches_of_its_change() {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let epoch = Epoch::load(kv.clone()).now_or_never().unwrap().unwrap();
        let before = epoch.now();
        let change = epoch.change().now_or_never().unwrap();
        let raise = Batch { conds: vec![before.cond()], ops: vec![Epoch::raise()], ..Batch::default() };
        kv.commit(raise.clone()).now_or_never().unwrap().unwrap();
        assert!(epoch.refresh().now_or_never().is_none() && epoch.change().now_or_never().is_none());
        assert_eq!(epoch.now(), before);
        change.known().now_or_never().unwrap().unwrap();
        assert_ne!(epoch.now(), before);
        epoch.refresh().now_or_never().unwrap().unwrap();
        assert!(kv.commit(raise).now_or_never().unwrap().is_err(), "what was decided before is not committed");
    }
}
