//! Putting messages into queues: the changes, and their commit.

use std::collections::HashMap;

use bytes::Bytes;
use millpond_kernel::Pin;
use millpond_meta::key::prefix_range;
use millpond_meta::{CommitError, Cond, Op, Position, ReadError, Scan};
use millpond_types::CauseChain;
use sha2::{Digest, Sha256};

use crate::errors::{Failure, SqsError};
use crate::limits;
use crate::live::Millis;
use crate::message::Said;
use crate::queue::Queue;
use crate::rows::{self, DedupLogRow, DedupRow, MessageRow};
use crate::settings::Settings;
use crate::state::Core;
use crate::tables;

/// Hash of a deduplication id, with its group where ids count within a group alone.
type Hash = [u8; 16];

/// A message on its way in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    pub id: u128,
    pub said: &'a Said,
    pub sender: &'a str,
    /// The event that it tells of.
    pub event: Option<&'a str>,
    /// What led to it.
    pub causes: &'a CauseChain,
}

/// A message that is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub id: u128,
    /// Where; `None` of a duplicate whose original is gone already.
    pub position: Option<Position>,
}

/// The number of a message in a FIFO queue: 20 digits that grow with its position.
pub(crate) fn sequence_number(position: Position) -> String {
    const FIRST: u128 = 10_000_000_000_000_000_000;
    (FIRST + (u128::from(position.commit) << 16) + u128::from(position.index)).to_string()
}

fn hash(said: &Said, settings: &Settings) -> Option<Hash> {
    let dedup = said.dedup.as_deref().filter(|_| settings.fifo)?;
    let mut sha = Sha256::new();
    sha.update(dedup.as_bytes());
    if settings.by_group {
        // No id has this byte.
        sha.update([0]);
        sha.update(said.group.as_deref().unwrap_or_default().as_bytes());
    }
    let digest = sha.finalize();
    digest.first_chunk::<16>().copied()
}

/// The message that was sent by this deduplication id before, or the condition that none was.
enum Before {
    Sent(u128),
    None(Cond),
}

/// Changes that put messages in.
#[derive(Default)]
pub(crate) struct Put {
    pub conds: Vec<Cond>,
    pub ops: Vec<Op>,
    /// Of each message its id, and which append of the commit it is; `None`: a duplicate.
    placed: Vec<(u128, Option<u16>)>,
    appends: u16,
    hashes: HashMap<Hash, usize>,
}

impl Core {
    async fn sent_before(&self, queue: &Queue, hash: &Hash, now: Millis) -> Result<Before, ReadError> {
        let key = tables::dedup(queue.id, hash);
        let Some(row) = self.kv.get(&key).await? else { return Ok(Before::None(Cond::Absent(key))) };
        let known: DedupRow = rows::decode(&row, "a deduplication id")?;
        if known.expires <= now {
            return Ok(Before::None(Cond::Equals(key, row)));
        }
        Ok(Before::Sent(crate::state::chunk_id(&known.message)))
    }

    /// The changes that put messages into a queue, in order. Duplicates change nothing.
    pub async fn putting(&self, queue: &Queue, letters: &[Letter<'_>]) -> Result<Put, SqsError> {
        let (facts, now) = (queue.facts(), self.now());
        let mut put = Put { conds: vec![Cond::Present(tables::of_queue(tables::QUEUES, queue.id))], ..Put::default() };
        for letter in letters {
            let hash = hash(letter.said, &facts.settings);
            if let Some(hash) = &hash {
                if let Some((id, at)) = put.hashes.get(hash).and_then(|first| put.placed.get(*first)).copied() {
                    put.placed.push((id, at));
                    continue;
                }
                match self.sent_before(queue, hash, now).await? {
                    Before::Sent(id) => {
                        put.placed.push((id, None));
                        continue;
                    }
                    Before::None(cond) => put.conds.push(cond),
                }
                put.hashes.insert(*hash, put.placed.len());
            }
            self.put_one(&mut put, queue, letter, &facts.settings, hash, now)?;
        }
        let added = put.placed.iter().filter(|(_, at)| at.is_some()).count();
        if added > 0 {
            put.ops.push(Op::Add(tables::of_queue(tables::COUNTS, queue.id), i64::try_from(added).unwrap_or_default()));
        }
        Ok(put)
    }

    fn put_one(
        &self,
        put: &mut Put,
        queue: &Queue,
        letter: &Letter<'_>,
        settings: &Settings,
        hash: Option<Hash>,
        now: Millis,
    ) -> Result<(), SqsError> {
        let id = Bytes::copy_from_slice(&letter.id.to_be_bytes());
        let said = letter.said;
        let mut row = MessageRow {
            id: id.clone(),
            sent: now,
            sender: letter.sender.to_owned(),
            group: said.group.clone(),
            dedup: said.dedup.clone(),
            delay: if settings.fifo { 0 } else { said.delay },
            trace: said.trace.clone(),
            md5: Bytes::copy_from_slice(&said.md5),
            event: letter.event.map(str::to_owned),
            causes: letter.causes.clone(),
            ..MessageRow::default()
        };
        self.fill_in(&mut row, said.content.clone(), settings.sealed, &mut put.ops)?;
        put.placed.push((letter.id, Some(put.appends)));
        put.append(tables::MESSAGES, queue, rows::encode(&row));
        if let Some(hash) = hash {
            let expires = now.saturating_add(u64::try_from(limits::DEDUPLICATION.as_millis()).unwrap_or(u64::MAX));
            put.ops.push(Op::Put(
                tables::dedup(queue.id, &hash),
                rows::encode(&DedupRow { message: id.clone(), expires }),
            ));
            let log = DedupLogRow { hash: Bytes::copy_from_slice(&hash), message: id, expires };
            put.append(tables::DEDUP_LOG, queue, rows::encode(&log));
        }
        Ok(())
    }

    /// Puts messages into a queue in one commit.
    pub async fn send(&self, queue: &Queue, pin: Pin, letters: &[Letter<'_>]) -> Result<Vec<Sent>, Failure> {
        let Put { mut conds, ops, placed, .. } = self.putting(queue, letters).await?;
        let mut commit = None;
        if placed.iter().any(|(_, at)| at.is_some()) {
            let presence = conds.first().cloned();
            conds.insert(0, pin.cond());
            match self.commit(conds, ops, false).await {
                Ok(committed) => commit = Some(committed.commit),
                Err(CommitError::Conflict(1)) if presence.is_some() => return Err(SqsError::NoQueue.into()),
                Err(error) => return Err(error.into()),
            }
        }
        let fifo = queue.facts().settings.fifo;
        let mut sent = Vec::with_capacity(placed.len());
        for (id, at) in placed {
            let position = commit.zip(at).map(|(commit, index)| Position { commit, index });
            let position = match position {
                None => self.position_of(queue, id).await?,
                known => known,
            };
            sent.push(Sent { id, position });
        }
        if fifo {
            let mut live = queue.live();
            if live.sequences.len() > limits::MAX_REMEMBERED {
                live.sequences.clear();
            }
            live.sequences.extend(sent.iter().filter_map(|sent| Some((sent.id, sent.position?))));
        }
        Ok(sent)
    }

    /// Where a message went that was sent by a deduplication id within the last minutes.
    async fn position_of(&self, queue: &Queue, id: u128) -> Result<Option<Position>, ReadError> {
        let known = queue.live().sequences.get(&id).copied();
        if known.is_some() {
            return Ok(known);
        }
        let (from, to) = prefix_range(tables::of_queue(tables::DEDUP_LOG, queue.id));
        let (from, to) = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
        // Duplicates are rare, and rarely of a time before this server began.
        let log = self.kv.scan(Scan { from, to, reverse: true, limit: limits::MAX_REMEMBERED }).await?;
        for (key, row) in log {
            let entry: DedupLogRow = rows::decode(&row, "a deduplication id")?;
            if crate::state::chunk_id(&entry.message) == id {
                // The message lies right before its entry.
                let position = Position::from_key(&key);
                return Ok(position.map(|at| Position { index: at.index.saturating_sub(1), ..at }));
            }
        }
        Ok(None)
    }
}

impl Put {
    fn append(&mut self, table: u8, queue: &Queue, value: Bytes) {
        self.ops.push(Op::Append { stream: tables::of_queue(table, queue.id), value });
        self.appends = self.appends.saturating_add(1);
    }
}
