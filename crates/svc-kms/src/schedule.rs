//! What happens by itself: automatic rotations, and deletions when their waiting period is over.
//!
//! Both are due at a time that stands in the key's row, so that a restart forgets none. They are done by a task within a second, and
//! before any call that comes after their time, so that no call sees a key as it was before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millpond_api_kms::RotationType;
use millpond_kernel::{Pin, to_its_end};
use millpond_types::Timestamp;

use crate::cache::Change;
use crate::errors::{Failure, KmsError};
use crate::ids::KeyId;
use crate::limits::{DAY, NEXT_TRY, PAGE, TICK};
use crate::model::{Key, Rotation, State};
use crate::state::{Core, Draft};
use crate::tables;

impl Rotation {
    /// One that begins now.
    pub fn starting(now: Timestamp, days: u32) -> Self {
        Self { days, next: now.plus(DAY * days) }
    }

    /// The next one in the same rhythm, after now: what was missed, as the server stood still, is made up for once.
    fn following(self, now: Timestamp) -> Self {
        let period = u64::try_from((DAY * self.days).as_nanos()).unwrap_or(u64::MAX).max(1);
        let missed = now.0.saturating_sub(self.next.0) / period;
        Self { next: Timestamp(self.next.0.saturating_add(period.saturating_mul(missed + 1))), ..self }
    }
}

impl Core {
    /// Does what is due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(TICK) => self.settle().await,
            }
        }
    }

    /// Does what is due by now.
    pub async fn settle(self: &Arc<Self>) {
        let now = self.now();
        if now.0 < self.next_try.load(Ordering::Relaxed) || !self.maps().anything_due(now) {
            return;
        }
        let core = Arc::clone(self);
        let done = tokio::spawn(async move {
            let _turn = core.changing.lock().await;
            let due = core.maps().due(core.now());
            for id in due {
                if let Err(failure) = core.carry_out(id).await {
                    tracing::warn!(key = %id, ?failure, "what is due for a key cannot be done yet");
                    core.next_try.store(core.now().plus(NEXT_TRY).0, Ordering::Relaxed);
                }
            }
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "what is due for keys cannot be done");
        }
    }

    async fn carry_out(&self, id: KeyId) -> Result<(), Failure> {
        let Some(key) = self.maps().stored(id).cloned() else { return Ok(()) };
        match key.facts.state {
            State::PendingDeletion { .. } => self.delete(&key).await,
            State::Enabled => self.rotate(&key, RotationType::Automatic, None).await,
            State::Disabled => Ok(()),
        }
    }

    /// Gives a key new material. To be called with `changing` held.
    pub async fn rotate(&self, key: &Key, reason: RotationType, pin: Option<Pin>) -> Result<(), Failure> {
        let number = key.current().map_or(0, |material| material.number) + 1;
        let mut draft = Draft::on(key);
        let material = self.new_material(&mut draft, key.id, &key.facts, Some(reason), number)?;
        let mut rotated = key.clone();
        rotated.materials.push(material);
        match reason {
            RotationType::OnDemand => rotated.facts.on_demand += 1,
            RotationType::Automatic => {
                rotated.facts.rotation = rotated.facts.rotation.map(|rotation| rotation.following(self.now()));
            }
        }
        draft.key(rotated);
        self.commit(pin, draft).await
    }

    /// Removes a key with everything of it. The grants, which may be many, are removed afterwards: without the key they are nothing, and
    /// a start removes those that were left.
    async fn delete(&self, key: &Key) -> Result<(), Failure> {
        let mut draft = Draft::on(key).urgent();
        draft.delete(tables::key(key.id));
        draft.delete(tables::policy(key.id));
        draft.delete_all(tables::of_key(tables::MATERIALS, key.id));
        draft.delete_all(tables::of_key(tables::TAGS, key.id));
        let grants: Vec<_> = {
            let maps = self.maps();
            for name in maps.names(key.id).into_iter().flatten() {
                draft.delete(tables::alias(key.facts.account, name));
            }
            let grants = maps.grants(key.id);
            grants.into_iter().flat_map(|grants| grants.all()).map(|grant| tables::grant(key.id, grant.id)).collect()
        };
        draft.change(Change::KeyGone(key.id));
        self.commit(None, draft).await?;
        tracing::info!(key = %key.arn, "a key was deleted at the end of its waiting period");
        for rows in grants.chunks(PAGE) {
            self.remove(rows.to_vec()).await?;
        }
        Ok(())
    }

    /// Runs a change to its end even when the request is dropped midway, and anew when what it was decided by has changed meanwhile.
    pub async fn detached<T, F>(
        self: &Arc<Self>,
        change: impl Fn(Arc<Self>) -> F + Send + Sync + 'static,
    ) -> Result<T, KmsError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let core = Arc::clone(self);
        to_its_end(async move {
            let _turn = core.changing.lock().await;
            core.kernel.again(|| change(Arc::clone(&core))).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_keep_their_rhythm() {
        let day = |days: u64| Timestamp::from_seconds(days * 86_400);
        for (next, now, expected) in [(100, 100, 190), (100, 101, 190), (100, 190, 280), (100, 1000, 1090)] {
            let following = Rotation { days: 90, next: day(next) }.following(day(now));
            assert_eq!(following, Rotation { days: 90, next: day(expected) }, "{next} {now}");
        }
        assert_eq!(Rotation::starting(day(7), 365).next, day(372));
    }
}
