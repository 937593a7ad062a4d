//! Everything but the events in memory, kept true by every commit: neither a decision nor a match reads the disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use millpond_types::AccountId;

use crate::matching::{Base, Compiled};
use crate::model::{Archive, Bus, Connection, Destination, Rule, Target};
use crate::names::{BusName, DEFAULT, Names};

/// Name within an account.
pub(crate) type Key = (AccountId, String);

/// What a commit changed.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Bus(Arc<Bus>),
    BusGone(BusName),
    Rule(Arc<Rule>),
    RuleGone(BusName, String),
    /// All targets of a rule.
    Targets(BusName, String, Vec<Arc<Target>>),
    Connection(Arc<Connection>),
    ConnectionGone(Key),
    Destination(Arc<Destination>),
    DestinationGone(Key),
    Archive(Arc<Archive>),
    ArchiveGone(Key),
}

/// A rule with its targets, in the order of their ids.
#[derive(Clone, Debug)]
pub(crate) struct Ruled {
    pub rule: Arc<Rule>,
    pub targets: Arc<BTreeMap<String, Arc<Target>>>,
}

/// A bus with its rules.
#[derive(Debug)]
pub(crate) struct Held {
    pub bus: Arc<Bus>,
    pub rules: BTreeMap<String, Ruled>,
    /// Its rules as they were compiled together, and which changed since.
    pub compiled: Compiled,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    buses: BTreeMap<BusName, Held>,
    pub connections: BTreeMap<Key, Arc<Connection>>,
    pub destinations: BTreeMap<Key, Arc<Destination>>,
    pub archives: BTreeMap<Key, Arc<Archive>>,
}

/// The entries of an account, in the order of their names.
pub(crate) fn of_account<T>(
    map: &BTreeMap<Key, Arc<T>>,
    account: AccountId,
) -> impl Iterator<Item = (&String, &Arc<T>)> {
    let from = Bound::Included((account, String::new()));
    let range = map.range((from, Bound::Unbounded));
    range.take_while(move |((owner, _), _)| *owner == account).map(|((_, name), value)| (name, value))
}

impl Maps {
    pub fn held(&self, bus: &BusName) -> Option<&Held> {
        self.buses.get(bus)
    }

    /// A bus, also the default one of an account that has not needed it yet.
    pub fn bus(&self, bus: &BusName, names: &Names) -> Option<Arc<Bus>> {
        match self.buses.get(bus) {
            Some(held) => Some(Arc::clone(&held.bus)),
            None if bus.name == DEFAULT => Some(Arc::new(Bus::unborn(bus.clone(), names.bus(bus)))),
            None => None,
        }
    }

    /// The buses of an account that have rows.
    pub fn buses_of(&self, account: AccountId) -> impl Iterator<Item = &Held> {
        let from = BusName { account, name: String::new() };
        self.buses.range(from..).take_while(move |(bus, _)| bus.account == account).map(|(_, held)| held)
    }

    /// All buses that have rows.
    pub fn all_buses(&self) -> impl Iterator<Item = &Held> {
        self.buses.values()
    }

    pub fn rule(&self, bus: &BusName, rule: &str) -> Option<&Ruled> {
        self.buses.get(bus)?.rules.get(rule)
    }

    /// The archives of a bus.
    pub fn archives_of(&self, bus: &BusName) -> Vec<Arc<Archive>> {
        let of_bus = of_account(&self.archives, bus.account).filter(|(_, archive)| archive.stored.row.bus == bus.name);
        of_bus.map(|(_, archive)| Arc::clone(archive)).collect()
    }

    /// Keeps what was compiled, unless the bus is gone.
    pub fn keep(&mut self, bus: &BusName, base: Arc<Base>, version: u64) {
        if let Some(held) = self.buses.get_mut(bus) {
            held.compiled.keep(base, version);
        }
    }

    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Bus(bus) => match self.buses.get_mut(&bus.name) {
                Some(held) => held.bus = bus,
                None => {
                    let held = Held { bus: Arc::clone(&bus), rules: BTreeMap::new(), compiled: Compiled::default() };
                    self.buses.insert(bus.name.clone(), held);
                }
            },
            Change::BusGone(bus) => drop(self.buses.remove(&bus)),
            Change::Rule(rule) => {
                if let Some(held) = self.buses.get_mut(&rule.bus) {
                    held.compiled.changed(&rule.name);
                    match held.rules.get_mut(&rule.name) {
                        Some(ruled) => ruled.rule = rule,
                        None => {
                            let ruled = Ruled { rule: Arc::clone(&rule), targets: Arc::default() };
                            held.rules.insert(rule.name.clone(), ruled);
                        }
                    }
                }
            }
            Change::RuleGone(bus, rule) => {
                if let Some(held) = self.buses.get_mut(&bus) {
                    held.compiled.changed(&rule);
                    held.rules.remove(&rule);
                }
            }
            Change::Targets(bus, rule, targets) => {
                if let Some(ruled) = self.buses.get_mut(&bus).and_then(|held| held.rules.get_mut(&rule)) {
                    ruled.targets = Arc::new(targets.into_iter().map(|target| (target.id.clone(), target)).collect());
                }
            }
            Change::Connection(it) => drop(self.connections.insert((it.account, it.name.clone()), it)),
            Change::ConnectionGone(key) => drop(self.connections.remove(&key)),
            Change::Destination(it) => drop(self.destinations.insert((it.account, it.name.clone()), it)),
            Change::DestinationGone(key) => drop(self.destinations.remove(&key)),
            Change::Archive(it) => drop(self.archives.insert((it.account, it.name.clone()), it)),
            Change::ArchiveGone(key) => drop(self.archives.remove(&key)),
        }
    }
}
