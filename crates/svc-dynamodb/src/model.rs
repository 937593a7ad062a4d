//! A table in memory: what its row says, ready for use. A snapshot never changes; a change of the table makes another one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use millpond_api_dynamodb::ScalarAttributeType;
use millpond_kernel::{Named, PolicySource};
use millpond_meta::{Cond, ReadError};
use millpond_policy::{Policy, PolicyKind};
use millpond_types::{AccountId, Arn, Region};
use prost::Message;

use crate::names;
use crate::tables::{self, IndexRow, TableId, TableRow};
use crate::throttle::Meters;

/// Policies of tables and streams name principals, and actions of this service alone.
pub(crate) const POLICY: PolicyKind = PolicyKind::Resource { service: "dynamodb" };

/// The type of an attribute that is part of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyKind {
    S,
    N,
    B,
}

impl KeyKind {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        }
    }

    /// As a row has it.
    pub fn of(kind: u32) -> Self {
        match u8::try_from(kind) {
            Ok(b'N') => Self::N,
            Ok(b'B') => Self::B,
            _ => Self::S,
        }
    }
}

impl From<KeyKind> for ScalarAttributeType {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::S => Self::S,
            KeyKind::N => Self::N,
            KeyKind::B => Self::B,
        }
    }
}

/// A part of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeyPart {
    pub name: String,
    pub kind: KeyKind,
}

/// The key of a table or an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Schema {
    pub hash: KeyPart,
    pub range: Option<KeyPart>,
}

impl Schema {
    /// Its parts.
    pub fn parts(&self) -> impl Iterator<Item = &KeyPart> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    /// Whether an attribute is a part of it.
    pub fn has(&self, name: &str) -> bool {
        self.parts().any(|part| part.name == name)
    }
}

/// What an index has of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Projected {
    All,
    Keys,
    Include(Vec<String>),
}

/// A secondary index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Index {
    pub number: u32,
    pub name: String,
    pub local: bool,
    pub schema: Schema,
    pub projected: Projected,
    /// Whether it is still being filled.
    pub filling: bool,
}

/// A table, at one moment.
#[derive(Debug)]
pub(crate) struct Table {
    pub id: TableId,
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    /// What its row says.
    pub row: TableRow,
    /// The row itself.
    pub raw: Bytes,
    pub schema: Schema,
    pub indexes: Vec<Index>,
    pub policy: Option<Named>,
    /// What was consumed of it lately. Shared by all snapshots of a table.
    pub meters: Arc<Meters>,
}

fn part(row: &TableRow, name: &str) -> KeyPart {
    let kind = row.attributes.iter().find(|one| one.name == name).map_or(KeyKind::S, |one| KeyKind::of(one.kind));
    KeyPart { name: name.to_owned(), kind }
}

fn schema(row: &TableRow, hash: &str, range: Option<&str>) -> Schema {
    Schema { hash: part(row, hash), range: range.map(|name| part(row, name)) }
}

fn index(table: &TableRow, row: &IndexRow) -> Index {
    let projected = match row.projection {
        0 => Projected::All,
        1 => Projected::Keys,
        _ => Projected::Include(row.include.clone()),
    };
    let schema = schema(table, &row.hash, row.range.as_deref());
    let (number, name, local, filling) = (row.number, row.name.clone(), row.local, row.filling);
    Index { number, name, local, schema, projected, filling }
}

/// A policy as decisions take it, bound to whom it names: their ids are in the order of their ARNs.
pub(crate) fn policy(arn: &Arn, text: &str, ids: &[String]) -> Result<Named, String> {
    let mut policy = Policy::parse(text, POLICY).map_err(|error| error.to_string())?;
    let bound = policy.principals().into_iter().map(str::to_owned).zip(ids.iter().cloned()).collect();
    policy.bind(&bound);
    Ok(Named { source: PolicySource::Resource { arn: arn.to_string() }, policy: Arc::new(policy) })
}

impl Table {
    /// As its row has it. `meters` are those of the snapshot before.
    pub fn of_row(
        region: &Region,
        account: AccountId,
        name: &str,
        raw: Bytes,
        meters: Option<Arc<Meters>>,
    ) -> Result<Self, ReadError> {
        let damaged = |what: &str| ReadError::Damaged(format!("tables: {account} {name}: {what}"));
        let row = TableRow::decode(raw.as_ref()).map_err(|error| damaged(&error.to_string()))?;
        let id: [u8; 16] = row.id.as_slice().try_into().map_err(|_| damaged("its id"))?;
        let arn = names::arn(region, account, name);
        let policy = row.policy.as_ref().map(|row| policy(&arn, &row.text, &row.ids)).transpose();
        Ok(Self {
            id: TableId::from_be_bytes(id),
            account,
            name: name.to_owned(),
            policy: policy.map_err(|error| damaged(&error))?,
            schema: schema(&row, &row.hash, row.range.as_deref()),
            indexes: row.indexes.iter().map(|one| index(&row, one)).collect(),
            meters: meters.unwrap_or_default(),
            arn,
            row,
            raw,
        })
    }

    /// Holds as long as writes of items mean what they meant at this snapshot, and the table is there.
    pub fn shape(&self) -> Cond {
        Cond::Equals(tables::shape(self.id), tables::shape_value(self.row.shape))
    }

    /// An index by its name.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// Whether it has local indexes, so that items with one partition key are a collection with a limit.
    pub fn has_local(&self) -> bool {
        self.indexes.iter().any(|index| index.local)
    }

    /// Whether something of it is being changed in the background.
    pub fn is_updating(&self) -> bool {
        self.indexes.iter().any(|index| index.filling)
    }

    /// Whether throughput is provisioned.
    pub fn is_provisioned(&self) -> bool {
        self.row.billing.as_ref().is_none_or(|billing| !billing.on_demand)
    }

    /// The ARN of one of its indexes.
    pub fn index_arn(&self, index: &str) -> Arn {
        Arn::new("dynamodb", self.arn.region(), self.account.as_str(), &format!("table/{}/index/{index}", self.name))
    }

    /// The ARN of its stream with this label.
    pub fn stream_arn(&self, label: &str) -> Arn {
        Arn::new("dynamodb", self.arn.region(), self.account.as_str(), &format!("table/{}/stream/{label}", self.name))
    }
}

/// All tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    by_name: HashMap<AccountId, BTreeMap<String, Arc<Table>>>,
    by_id: HashMap<TableId, Arc<Table>>,
}

impl Tables {
    /// Has a table, in place of the snapshot before.
    pub fn insert(&mut self, table: Arc<Table>) {
        self.by_id.insert(table.id, Arc::clone(&table));
        self.by_name.entry(table.account).or_default().insert(table.name.clone(), table);
    }

    pub fn remove(&mut self, table: &Table) {
        self.by_id.remove(&table.id);
        if let Some(names) = self.by_name.get_mut(&table.account) {
            names.remove(&table.name);
        }
    }

    pub fn named(&self, account: AccountId, name: &str) -> Option<&Arc<Table>> {
        self.by_name.get(&account)?.get(name)
    }

    pub fn id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.by_id.get(&id)
    }

    /// How many an account has.
    pub fn count(&self, account: AccountId) -> usize {
        self.by_name.get(&account).map_or(0, BTreeMap::len)
    }

    /// Names of an account's tables behind one.
    pub fn names_after(&self, account: AccountId, after: Option<&str>) -> impl Iterator<Item = &String> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |after| Excluded(after.to_owned()));
        self.by_name
            .get(&account)
            .into_iter()
            .flat_map(move |names| names.range::<String, _>((from.clone(), Unbounded)).map(|(name, _)| name))
    }
}
