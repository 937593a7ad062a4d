//! What the service works with: rows read and written, and decisions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::timers::Timers;
use millpond_kernel::{Caller, Kernel, Objects, Pin, ServiceIdentity};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_seal::Envelope;
use millpond_types::{AccountId, Arn};
use prost::Message;

use crate::ddl::Ddl;
use crate::errors::{AthenaError, Failure, invalid};
use crate::inputs::{Input, On, Touch};
use crate::queries::Queries;
use crate::running::Running;
use crate::tables::{self, ExecutionRow, GroupRow};

/// The service's principal.
pub(crate) const PRINCIPAL: &str = "athena.amazonaws.com";
/// The work group that is always there.
pub(crate) const PRIMARY: &str = "primary";
/// The one catalog.
pub(crate) const CATALOG: &str = "AwsDataCatalog";
/// The one version of the engine, and what selects it.
pub(crate) const ENGINE: &str = "Athena engine version 3";
pub(crate) const ENGINE_AUTO: &str = "AUTO";

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub kv: Arc<dyn Kv>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Seals statements and what came of them.
    pub envelope: Envelope,
    pub timers: Timers,
    pub identity: ServiceIdentity,
    pub objects: Arc<dyn Objects>,
    pub queries: Arc<dyn Queries>,
    pub ddl: Arc<dyn Ddl>,
    pub running: Running,
}

/// A work group as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub name: String,
    pub key: Key,
    pub row: GroupRow,
    /// Its row as it lies in the store; none of a `primary` that nobody changed.
    raw: Option<Bytes>,
}

impl Group {
    /// It stands as it was read.
    pub fn unchanged(&self) -> Cond {
        match &self.raw {
            Some(raw) => Cond::Equals(self.key.clone(), raw.clone()),
            None => Cond::Absent(self.key.clone()),
        }
    }
}

/// An execution's row as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub id: u128,
    pub key: Key,
    pub row: ExecutionRow,
    pub raw: Bytes,
}

impl Stored {
    /// It stands as it was read.
    pub fn unchanged(&self) -> Cond {
        Cond::Equals(self.key.clone(), self.raw.clone())
    }
}

pub(crate) fn decode<R: Message + Default>(row: &Bytes) -> Result<R, ReadError> {
    R::decode(row.clone()).map_err(|error| ReadError::Damaged(format!("athena: {error}")))
}

/// An id as clients see it (RFC 9562).
pub(crate) fn uuid(id: u128) -> String {
    let text = format!("{id:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The id that a client means.
pub(crate) fn id_of(text: &str) -> Option<u128> {
    let id = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    (uuid(id) == text).then_some(id)
}

impl Core {
    /// A new id: of version 4.
    pub fn new_id(&self) -> u128 {
        let random = self.random.u128();
        (random & !(0xF << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
    }

    pub fn arn(&self, account: AccountId, resource: &str) -> Arn {
        Arn::new("athena", self.kernel.region().as_str(), account.as_str(), resource)
    }

    /// A work group as a resource.
    pub fn on_group(&self, account: AccountId, name: &str, tags: Option<&BTreeMap<String, String>>) -> On {
        On { arn: self.arn(account, &format!("workgroup/{name}")), tags: tags.cloned().unwrap_or_default() }
    }

    /// A catalog as a resource.
    pub fn on_catalog(&self, account: AccountId, name: &str) -> On {
        On { arn: self.arn(account, &format!("datacatalog/{name}")), tags: BTreeMap::new() }
    }

    /// No resource in particular.
    pub fn on_all(&self, account: AccountId) -> On {
        On { arn: self.arn(account, "*"), tags: BTreeMap::new() }
    }

    /// The caller, for whom the service calls others.
    pub fn via(&self, caller: &Caller) -> Arc<Caller> {
        Arc::new(caller.on_behalf(&self.identity))
    }

    /// Decides. Every operation passes here.
    pub async fn authorize(&self, caller: &Caller, touch: Touch) -> Result<Pin, AthenaError> {
        Ok(self.kernel.authorize(caller, touch).await?.pin())
    }

    /// Decides about an operation on a work group, which need not be there.
    pub async fn authorize_group<I: Input>(
        &self,
        caller: &Caller,
        account: AccountId,
        input: &I,
        name: &str,
    ) -> Result<(Option<Group>, Pin), AthenaError> {
        let group = self.group(account, name).await?;
        let on = self.on_group(account, name, group.as_ref().map(|group| &group.row.tags));
        let pin = self.authorize(caller, Touch::new(input, account, vec![on])).await?;
        Ok((group, pin))
    }

    /// A work group; one that is being deleted is no longer there.
    pub async fn group(&self, account: AccountId, name: &str) -> Result<Option<Group>, AthenaError> {
        Ok(self.any_group(account, name).await?.filter(|group| !group.row.deleting))
    }

    /// A work group, also one that is being deleted.
    pub async fn any_group(&self, account: AccountId, name: &str) -> Result<Option<Group>, AthenaError> {
        let key = tables::group(account, name);
        let raw = self.kv.get(&key).await?;
        let row = match &raw {
            Some(raw) => decode(raw)?,
            None if name == PRIMARY => primary(),
            None => return Ok(None),
        };
        Ok(Some(Group { name: name.to_owned(), key, row, raw }))
    }

    /// An execution of one of the account's queries.
    pub async fn execution(&self, account: AccountId, id: u128) -> Result<Option<Stored>, AthenaError> {
        let key = tables::execution(account, id);
        match self.kv.get(&key).await? {
            Some(raw) => Ok(Some(Stored { id, key, row: decode(&raw)?, raw })),
            None => Ok(None),
        }
    }

    /// Rows from a key on.
    pub async fn page(&self, from: Key, to: Key, limit: usize) -> Result<Vec<(Key, Bytes)>, ReadError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit };
        self.kv.scan(scan).await
    }

    /// A page of the rows that begin so, and the token of the next one. The token has what stands behind table and account.
    pub async fn listed(
        &self,
        prefix: Key,
        token: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(Key, Bytes)>, Option<String>), AthenaError> {
        let (from, to) = prefix_range(prefix);
        let bad = |_| AthenaError::Invalid("The NextToken is not valid.".to_owned());
        let from = match millpond_kernel::paging::key_after(token).map_err(bad)? {
            Some(after) => {
                let head = from.get(..HEAD).unwrap_or_default();
                successor(&[head, &after].concat()).max(from.clone())
            }
            None => from,
        };
        let mut rows = self.page(from, to, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|(key, _)| millpond_kernel::paging::token(key.get(HEAD..).unwrap_or_default()));
        Ok((rows, next))
    }

    /// Whether there is no row that begins so.
    pub async fn is_empty(&self, prefix: Key) -> Result<bool, AthenaError> {
        let (from, to) = prefix_range(prefix);
        Ok(self.page(from, to, 1).await?.is_empty())
    }

    /// Commits a change that was decided at `pin`. What deletes may use the reserve of a full disk.
    pub async fn commit(&self, pin: Pin, mut conds: Vec<Cond>, ops: Vec<Op>, deletes: bool) -> Result<(), Failure> {
        conds.push(pin.cond());
        self.kv.commit(Batch { conds, ops, idem: None, urgent: deletes }).await?;
        self.timers.nudge();
        Ok(())
    }
}

/// Bytes of table and account in a key.
const HEAD: usize = 13;

/// `primary` as long as nobody changes it.
fn primary() -> GroupRow {
    GroupRow { engine: ENGINE_AUTO.to_owned(), ..GroupRow::default() }
}

/// The one catalog is meant.
pub(crate) fn check_catalog(name: &str) -> Result<(), AthenaError> {
    if name.eq_ignore_ascii_case(CATALOG) {
        return Ok(());
    }
    invalid(format!("Data catalog {name} does not exist. The only one is {CATALOG}."))
}

/// What is said of a work group that is not there.
pub(crate) fn no_group() -> AthenaError {
    AthenaError::Invalid("WorkGroup is not found.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_as_clients_see_them() {
        let id = 0x0123_4567_89AB_4DEF_8123_4567_89AB_CDEF;
        assert_eq!(uuid(id), "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(id_of(&uuid(id)), Some(id));
        for bad in [
            "",
            "x",
            "01234567-89AB-4DEF-8123-456789ABCDEF",
            "0123456789ab4def8123456789abcdef",
            "+1234567-89ab-4def-8123-456789abcdef",
        ] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
