//! What operations consume, as AWS counts it (Developer Guide, "DynamoDB throughput capacity"), and whether it may be consumed.

use std::collections::BTreeMap;

use millpond_api_dynamodb::{Capacity, ConsumedCapacity, ReturnConsumedCapacity};

use crate::change::Effect;
use crate::errors::DynamoError;
use crate::model::Table;
use crate::state::Core;
use crate::tables::{ThroughputRow, WHOLE};
use crate::throttle::Way;

/// Bytes of a unit of reading, and of writing.
const READ_UNIT: usize = 4096;
const WRITE_UNIT: usize = 1024;

/// How reads count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    Eventual,
    Consistent,
    Transactional,
}

impl Reading {
    /// As a request says.
    pub fn of(consistent: Option<bool>) -> Self {
        if consistent == Some(true) { Self::Consistent } else { Self::Eventual }
    }

    fn factor(self) -> f64 {
        match self {
            Self::Eventual => 0.5,
            Self::Consistent => 1.0,
            Self::Transactional => 2.0,
        }
    }
}

/// Units of reading so many bytes together; what is not there costs as much as the smallest.
pub(crate) fn read_units(bytes: usize, reading: Reading) -> f64 {
    bytes.div_ceil(READ_UNIT).max(1) as f64 * reading.factor()
}

fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(WRITE_UNIT).max(1) as f64
}

/// Units by the table and its indexes' numbers.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Units {
    way: Way,
    by: BTreeMap<u32, f64>,
}

impl Units {
    pub fn none(way: Way) -> Self {
        Self { way, by: BTreeMap::new() }
    }

    /// Reads of the table, or of an index of that number.
    pub fn read(index: u32, units: f64) -> Self {
        Self { way: Way::Read, by: BTreeMap::from([(index, units)]) }
    }

    /// What a write costs: the larger of the item before and after, and likewise in each index (an item that moves in an index is removed
    /// and written).
    pub fn written(effect: &Effect, transactional: bool) -> Self {
        let factor = if transactional { 2.0 } else { 1.0 };
        let mut by = BTreeMap::from([(WHOLE, factor * write_units(effect.before.max(effect.after)))]);
        for index in &effect.indexes {
            let units: f64 = [index.removed, index.written].into_iter().flatten().map(write_units).sum();
            by.insert(index.number, factor * units);
        }
        Self { way: Way::Write, by }
    }

    pub fn add(&mut self, index: u32, units: f64) {
        *self.by.entry(index).or_default() += units;
    }

    pub fn join(&mut self, other: &Self) {
        other.by.iter().for_each(|(index, units)| self.add(*index, *units));
    }

    /// Units in all.
    pub fn total(&self) -> f64 {
        self.by.values().sum()
    }

    /// As answers show them. `directed` also says which way they went, as transactions do.
    pub fn shown(
        &self,
        table: &Table,
        how: Option<ReturnConsumedCapacity>,
        directed: bool,
    ) -> Option<ConsumedCapacity> {
        let detailed = match how {
            None | Some(ReturnConsumedCapacity::None) => return None,
            Some(ReturnConsumedCapacity::Total) => false,
            Some(ReturnConsumedCapacity::Indexes) => true,
        };
        let way = |way: Way, units: f64| (directed && way == self.way).then_some(units);
        let of = |units: f64| Capacity {
            capacity_units: Some(units),
            read_capacity_units: way(Way::Read, units),
            write_capacity_units: way(Way::Write, units),
        };
        let total = self.total();
        let mut shown = ConsumedCapacity {
            table_name: Some(table.name.clone()),
            capacity_units: Some(total),
            read_capacity_units: way(Way::Read, total),
            write_capacity_units: way(Way::Write, total),
            ..ConsumedCapacity::default()
        };
        if detailed {
            shown.table = Some(of(self.by.get(&WHOLE).copied().unwrap_or_default()));
            for index in &table.indexes {
                let Some(units) = self.by.get(&index.number) else { continue };
                let list =
                    if index.local { &mut shown.local_secondary_indexes } else { &mut shown.global_secondary_indexes };
                list.get_or_insert_default().insert(index.name.clone(), of(*units));
            }
        }
        Some(shown)
    }
}

fn rate(table: &Table, row: Option<&ThroughputRow>, way: Way) -> u64 {
    let Some(row) = row else { return 0 };
    match (table.is_provisioned(), way) {
        (true, Way::Read) => row.read,
        (true, Way::Write) => row.write,
        (false, Way::Read) => row.max_read,
        (false, Way::Write) => row.max_write,
    }
}

/// Units a second that a table, or the global index of that number, has; 0: as many as are wanted. Local indexes are paid by the table.
fn rate_of(table: &Table, number: u32, way: Way) -> (u32, u64) {
    let index = table.row.indexes.iter().find(|index| index.number == number && !index.local);
    match index {
        Some(index) => (number, rate(table, index.throughput.as_ref(), way)),
        None => (WHOLE, rate(table, table.row.throughput.as_ref(), way)),
    }
}

impl Core {
    /// Whether anything may be consumed now of the table, or of an index of that number.
    pub fn admit(&self, table: &Table, number: u32, way: Way) -> Result<(), DynamoError> {
        let (number, rate) = rate_of(table, number, way);
        if table.meters.has_room(number, way, rate, self.now()) {
            return Ok(());
        }
        let what = if number == WHOLE { "the table" } else { "one or more global secondary indexes of the table" };
        Err(if table.is_provisioned() { DynamoError::Throughput(what) } else { DynamoError::OnDemand(what) })
    }

    /// The same, for a write and all indexes that it changes.
    pub fn admit_write(&self, table: &Table, effect: &Effect) -> Result<(), DynamoError> {
        self.admit(table, WHOLE, Way::Write)?;
        effect.indexes.iter().try_for_each(|index| self.admit(table, index.number, Way::Write))
    }

    /// Counts what was consumed.
    pub fn charge(&self, table: &Table, units: &Units) {
        for (number, units_of) in &units.by {
            let (number, rate) = rate_of(table, *number, units.way);
            table.meters.take(number, units.way, rate, *units_of, self.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::IndexEffect;

    #[test]
    fn units_of_reads() {
        for (bytes, eventual, consistent, transactional) in [
            (0, 0.5, 1.0, 2.0),
            (1, 0.5, 1.0, 2.0),
            (4096, 0.5, 1.0, 2.0),
            (4097, 1.0, 2.0, 4.0),
            (400 << 10, 50.0, 100.0, 200.0),
        ] {
            let readings = [Reading::Eventual, Reading::Consistent, Reading::Transactional];
            assert_eq!(readings.map(|one| read_units(bytes, one)), [eventual, consistent, transactional], "{bytes}");
        }
    }

    #[test]
    fn units_of_writes() {
        let moved = IndexEffect { number: 1, local: false, removed: Some(100), written: Some(1500) };
        for (before, after, indexes, transactional, expected) in [
            (0, 0, vec![], false, vec![(0, 1.0)]),
            (0, 1024, vec![], false, vec![(0, 1.0)]),
            (3000, 1, vec![], false, vec![(0, 3.0)]),
            (1, 3000, vec![], true, vec![(0, 6.0)]),
            (1, 1, vec![moved], false, vec![(0, 1.0), (1, 3.0)]),
        ] {
            let units = Units::written(&Effect { before, after, indexes }, transactional);
            assert_eq!(units.by.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
