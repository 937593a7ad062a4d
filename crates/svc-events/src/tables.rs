//! The service's tables: the first byte of a row's key, 0x60 to 0x6B, and how rows are keyed. Accounts are their twelve digits.

use bytes::Bytes;
use millpond_meta::Key as RowKey;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::{AccountId, Timestamp};

/// (account, bus) -> bus. That of a default bus is made when it is first needed.
pub(crate) const BUSES: u8 = 0x60;
/// (account, bus, rule) -> rule.
pub(crate) const RULES: u8 = 0x61;
/// (account, bus, rule, target) -> target.
pub(crate) const TARGETS: u8 = 0x62;
/// (account, bus, position) -> event: the stream of a bus.
pub const EVENTS: u8 = 0x63;
/// (account, name) -> connection.
pub(crate) const CONNECTIONS: u8 = 0x64;
/// (account, name) -> API destination.
pub(crate) const DESTINATIONS: u8 = 0x65;
/// (account, name) -> archive.
pub(crate) const ARCHIVES: u8 = 0x66;
/// (archive's id, time of the event, position on the bus) -> event.
pub const ARCHIVED: u8 = 0x67;
/// (account, name) -> replay.
pub(crate) const REPLAYS: u8 = 0x68;
/// (archive's id, what) -> a counter: 0 its events, 1 their bytes.
pub(crate) const ARCHIVE_COUNTS: u8 = 0x69;

/// (account, bus, rule) -> when its schedule is due next: 8 bytes, big-endian.
pub(crate) const SCHEDULES: u8 = 0x6A;

fn of(table: u8, account: AccountId) -> KeyBuilder {
    KeyBuilder::new(table).raw(account.as_str().as_bytes())
}

pub(crate) fn bus(account: AccountId, bus: &str) -> RowKey {
    of(BUSES, account).bytes(bus.as_bytes()).build()
}

pub(crate) fn rule(account: AccountId, bus: &str, rule: &str) -> RowKey {
    of(RULES, account).bytes(bus.as_bytes()).bytes(rule.as_bytes()).build()
}

pub(crate) fn schedule(account: AccountId, bus: &str, rule: &str) -> RowKey {
    of(SCHEDULES, account).bytes(bus.as_bytes()).bytes(rule.as_bytes()).build()
}

pub(crate) fn target(account: AccountId, bus: &str, rule: &str, id: &str) -> RowKey {
    of(TARGETS, account).bytes(bus.as_bytes()).bytes(rule.as_bytes()).bytes(id.as_bytes()).build()
}

/// The stream of a bus.
pub(crate) fn events(account: AccountId, bus: &str) -> RowKey {
    of(EVENTS, account).bytes(bus.as_bytes()).build()
}

/// A row of connections, API destinations, archives or replays.
pub(crate) fn named(table: u8, account: AccountId, name: &str) -> RowKey {
    of(table, account).bytes(name.as_bytes()).build()
}

/// An archived event.
pub(crate) fn archived(archive: u128, time: Timestamp, position: [u8; 10]) -> RowKey {
    KeyBuilder::new(ARCHIVED).u128(archive).u64(time.0).raw(&position).build()
}

/// The first key of an archive's events from a time on.
pub(crate) fn archived_from(archive: u128, time: Timestamp) -> RowKey {
    KeyBuilder::new(ARCHIVED).u128(archive).u64(time.0).build()
}

/// The beginning of all events of an archive.
pub(crate) fn of_archive(archive: u128) -> RowKey {
    KeyBuilder::new(ARCHIVED).u128(archive).build()
}

/// A counter of an archive.
pub(crate) fn archive_count(archive: u128, what: u8) -> RowKey {
    KeyBuilder::new(ARCHIVE_COUNTS).u128(archive).u8(what).build()
}

/// The beginning of a table.
pub(crate) fn whole(table: u8) -> RowKey {
    Bytes::copy_from_slice(&[table])
}

/// Account and names of a row's key.
pub(crate) fn names_of<const N: usize>(row: &[u8]) -> Result<(AccountId, [String; N]), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    let mut names = std::array::from_fn(|_| String::new());
    for name in &mut names {
        *name = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))?;
    }
    Ok((account.ok_or(MalformedKey(1))?, names))
}

/// The time of an archived event's key.
pub(crate) fn archived_time(row: &[u8]) -> Result<Timestamp, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    Ok(Timestamp(reader.u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_their_names() {
        let account: AccountId = "111122223333".parse().unwrap();
        assert_eq!(names_of(&target(account, "b", "r", "t")).unwrap(), (account, ["b", "r", "t"].map(str::to_owned)));
        assert_eq!(names_of(&bus(account, "a/b")).unwrap(), (account, ["a/b".to_owned()]));
        let time = Timestamp::from_seconds(9);
        assert_eq!(archived_time(&archived(7, time, [1; 10])).unwrap(), time);
        assert!(archived_from(7, time) < archived(7, time, [0; 10]));
        assert!(names_of::<2>(&bus(account, "b")).is_err());
    }
}
