//! References to stored bytes, and how a change gains and drops them.
//!
//! A body (inline row, extent or manifest) has one reference from the row that was committed with it, and as many more as its row
//! in `xref` counts. Whoever drops a reference reads the count first and makes it a condition of the commit: two that drop at once
//! cannot both take themselves for the last. Whoever gains one has a condition on the row that holds the reference it copies, so
//! that the body cannot have been freed before. The last drop writes a work row; upkeep gives the space back after a grace.

use millpond_meta::{Cond, Op};

use crate::error::LakeError;
use crate::keys;
use crate::lake::Lake;
use crate::rows;

/// What kind of row a reference names. The numbers are part of the disk format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum RefKind {
    Inline = 1,
    Extent = 2,
    Manifest = 3,
}

impl RefKind {
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Inline, Self::Extent, Self::Manifest].into_iter().find(|k| *k as u8 == code)
    }
}

/// A reference to stored bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct BodyRef {
    pub kind: RefKind,
    pub id: u128,
}

impl std::fmt::Display for BodyRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            RefKind::Inline => "inline body",
            RefKind::Extent => "extent",
            RefKind::Manifest => "manifest",
        };
        write!(f, "{kind} {:032x}", self.id)
    }
}

impl BodyRef {
    pub fn inline(id: u128) -> Self {
        Self { kind: RefKind::Inline, id }
    }

    pub fn extent(id: u128) -> Self {
        Self { kind: RefKind::Extent, id }
    }

    pub fn manifest(id: u128) -> Self {
        Self { kind: RefKind::Manifest, id }
    }

    pub fn xref(self) -> millpond_meta::Key {
        keys::xref(self.kind as u8, self.id)
    }
}

/// References gained (positive) and dropped (negative) by one change, netted: an object copied onto itself changes nothing.
#[derive(Default, Debug)]
pub(crate) struct RefDeltas(Vec<(BodyRef, i64)>);

impl RefDeltas {
    pub fn add(&mut self, body: BodyRef, n: i64) {
        // Few entries but for large copied parts, which are sorted out below in `settle`.
        self.0.push((body, n));
    }

    /// The conditions and changes that these deltas come to.
    pub async fn settle(
        mut self,
        lake: &Lake,
        due: u64,
        conds: &mut Vec<Cond>,
        ops: &mut Vec<Op>,
    ) -> Result<(), LakeError> {
        self.0.sort_unstable();
        let mut rest = self.0.as_slice();
        while let Some(&(body, _)) = rest.first() {
            let same = rest.iter().take_while(|(other, _)| *other == body).count();
            let net: i64 = rest[..same].iter().map(|(_, n)| n).sum();
            rest = &rest[same..];
            match net {
                0 => {}
                1.. => ops.push(Op::Add(body.xref(), net)),
                _ => drop_refs(lake, body, -net, due, conds, ops).await?,
            }
        }
        Ok(())
    }
}

/// Drops `n` references to a body.
async fn drop_refs(
    lake: &Lake,
    body: BodyRef,
    n: i64,
    due: u64,
    conds: &mut Vec<Cond>,
    ops: &mut Vec<Op>,
) -> Result<(), LakeError> {
    let key = body.xref();
    let row = lake.kv().get(&key).await?;
    let extra = rows::counter(row.as_ref())?;
    conds.push(match row {
        Some(row) => Cond::Equals(key.clone(), row),
        None => Cond::Absent(key.clone()),
    });
    if n > extra + 1 {
        return Err(LakeError::Damaged(format!("{body:?} has fewer references than are dropped")));
    }
    if n == extra + 1 {
        ops.push(Op::Put(keys::work(due, body.kind as u8, body.id), bytes::Bytes::new()));
    }
    let left = n.min(extra);
    if left > 0 {
        ops.push(Op::Add(key, -left));
    }
    Ok(())
}
