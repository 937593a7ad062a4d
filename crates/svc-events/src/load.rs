//! Reading everything at the start, but for events and replays.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound as End;
use std::sync::Arc;

use bytes::Bytes;
use millpond_meta::key::{MalformedKey, prefix_range, successor};
use millpond_meta::{Key as RowKey, ReadError, Scan, View};
use prost::Message;

use crate::limits::PAGE;
use crate::memory::{Change, Maps};
use crate::model::{Archive, Bus, Connection, Destination, Rule, Stored, Target};
use crate::names::{BusName, Names};
use crate::tables::{self, names_of};

/// Why the buses could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A row cannot be read.
    #[error("the event buses cannot be read: {0}")]
    Read(#[from] ReadError),
}

impl From<MalformedKey> for OpenError {
    fn from(error: MalformedKey) -> Self {
        damaged(&error.to_string())
    }
}

fn damaged(what: &str) -> OpenError {
    OpenError::Read(ReadError::Damaged(format!("event buses: {what}")))
}

/// All rows that begin with a prefix.
pub(crate) async fn rows(view: &dyn View, prefix: RowKey) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
    let (mut from, to) = prefix_range(prefix);
    let mut all = Vec::new();
    loop {
        let scan = Scan { from: End::Included(from), to: End::Excluded(to.clone()), reverse: false, limit: PAGE };
        let page = view.scan(scan).await?;
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else {
            all.extend(page);
            return Ok(all);
        };
        from = successor(last);
        all.extend(page);
    }
}

fn stored<R: Message + Default>(bytes: Bytes, what: &str) -> Result<Stored<R>, OpenError> {
    let row = R::decode(bytes.clone()).map_err(|error| damaged(&format!("{what}: {error}")))?;
    Ok(Stored { bytes, row })
}

fn bad(what: &'static str) -> impl Fn() -> OpenError {
    move || damaged(what)
}

/// Reads everything.
pub(crate) async fn load(view: &dyn View, names: &Names) -> Result<Maps, OpenError> {
    let mut maps = Maps::default();
    for (key, row) in rows(view, tables::whole(tables::BUSES)).await? {
        let (account, [name]) = names_of(&key)?;
        let name = BusName { account, name };
        let arn = names.bus(&name);
        let bus = Bus::of(name, arn, stored(row, "bus")?).ok_or_else(bad("bus"))?;
        maps.apply(Change::Bus(Arc::new(bus)));
    }
    load_rules(view, names, &mut maps).await?;
    for (key, row) in rows(view, tables::whole(tables::CONNECTIONS)).await? {
        let (account, [name]) = names_of(&key)?;
        let it = Connection::of(account, name, names, stored(row, "connection")?).ok_or_else(bad("connection"))?;
        maps.apply(Change::Connection(Arc::new(it)));
    }
    for (key, row) in rows(view, tables::whole(tables::DESTINATIONS)).await? {
        let (account, [name]) = names_of(&key)?;
        let it = Destination::of(account, name, names, stored(row, "destination")?);
        maps.apply(Change::Destination(Arc::new(it.ok_or_else(bad("destination"))?)));
    }
    for (key, row) in rows(view, tables::whole(tables::ARCHIVES)).await? {
        let (account, [name]) = names_of(&key)?;
        let arn = names.archive(account, &name);
        let it = Archive::of(account, name, arn, stored(row, "archive")?).ok_or_else(bad("archive"))?;
        maps.apply(Change::Archive(Arc::new(it)));
    }
    Ok(maps)
}

async fn load_rules(view: &dyn View, names: &Names, maps: &mut Maps) -> Result<(), OpenError> {
    let mut targets: HashMap<(BusName, String), BTreeMap<String, Arc<Target>>> = HashMap::new();
    for (key, row) in rows(view, tables::whole(tables::TARGETS)).await? {
        let (account, [name, rule, id]) = names_of(&key)?;
        let row = stored(row, "target")?.row;
        let target = Target::of(id.clone(), row).ok_or_else(bad("target"))?;
        targets.entry((BusName { account, name }, rule)).or_default().insert(id, Arc::new(target));
    }
    for (key, row) in rows(view, tables::whole(tables::RULES)).await? {
        let (account, [name, rule]) = names_of(&key)?;
        let bus = BusName { account, name };
        let arn = names.rule(&bus, &rule);
        let of_rule = targets.remove(&(bus.clone(), rule.clone())).unwrap_or_default();
        let it = Rule::of(bus.clone(), rule.clone(), arn, stored(row, "rule")?).ok_or_else(bad("rule"))?;
        maps.apply(Change::Rule(Arc::new(it)));
        maps.apply(Change::Targets(bus, rule, of_rule.into_values().collect()));
    }
    Ok(())
}
