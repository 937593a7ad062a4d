//! The policy epoch: a counter that every change of an identity, policy, key or grant raises in its own commit. What was decided at
//! one epoch is only committed at the same one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use millpond_meta::{Cond, Key, Kv, Op, ReadError};

use crate::tables;

/// The epoch as this server knows it.
#[derive(Clone)]
pub struct Epoch {
    kv: Arc<dyn Kv>,
    now: Arc<AtomicI64>,
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
        Ok(Self { kv, now: Arc::new(AtomicI64::new(now)) })
    }

    /// What a change of policies has to do in its commit.
    pub fn raise() -> Op {
        Op::Add(row(), 1)
    }

    /// Reads the epoch anew: after a commit with [`Self::raise`] and after the caches know of it, before the change is acknowledged.
    pub async fn refresh(&self) -> Result<(), ReadError> {
        let now = number(self.kv.get(&row()).await?.as_ref())?;
        self.now.fetch_max(now, Ordering::SeqCst);
        Ok(())
    }

    /// The epoch now.
    pub fn now(&self) -> Pin {
        Pin(self.now.load(Ordering::SeqCst))
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
