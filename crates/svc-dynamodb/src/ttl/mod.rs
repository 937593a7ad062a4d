//! Time to live: items go within a second of the time that one of their attributes says.
//!
//! An item with such a time has a row in one table, in the order of times, written in the commit of the item itself (`ops`). What is due is deleted by
//! `due`, as any other change of an item, with the service as the actor. Rows are hints: each is compared with its item before that goes, so that one
//! that is out of date does no harm. Items that were there before it was switched on get their rows by `fill`, which also removes those of tables
//! that have it no more.

pub(crate) mod due;
pub(crate) mod fill;

use bytes::Bytes;
use millpond_item::{Item, Value};
use millpond_meta::Op;
use millpond_types::Timestamp;

use crate::change::Change;
use crate::keys::Place;
use crate::tables;

/// Items whose time lies further back than five years stay (Developer Guide, "Using time to live (TTL)").
const TOO_LONG_AGO: u64 = 5 * 365 * 24 * 60 * 60;

/// The time of an item in seconds since the epoch: a number that is one.
pub(crate) fn time_of(item: &Item, attribute: &str) -> Option<u64> {
    match item.get(attribute)? {
        Value::N(number) => number.to_u64(),
        _ => None,
    }
}

/// The time at which an item that is written now is to go.
pub(crate) fn expires(item: &Item, attribute: &str, now: Timestamp) -> Option<u64> {
    time_of(item, attribute).filter(|time| *time >= now.seconds().saturating_sub(TOO_LONG_AGO))
}

/// What a change of an item does to the times at which items go.
pub(crate) fn ops(change: &Change<'_>) -> Vec<Op> {
    let Some(ttl) = &change.table.row.ttl else { return Vec::new() };
    let row = |time: u64, place: &Place| tables::ttl(time, change.table.id, place.bytes());
    let was = change.old.and_then(|old| time_of(&old.item, &ttl.attribute));
    let is = change.new.and_then(|new| expires(new, &ttl.attribute, change.now));
    let mut ops = Vec::new();
    if was != is {
        ops.extend(was.map(|time| Op::Delete(row(time, change.place))));
    }
    // Written also where it is there, as the item may be one that is still to be gone through.
    if was != is || ttl.filling {
        ops.extend(is.map(|time| Op::Put(row(time, change.place), Bytes::new())));
    }
    ops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_of_seconds() {
        let now = Timestamp::from_seconds(2_000_000_000);
        for (json, expected) in [
            (r#"{"t": {"N": "2000000300"}}"#, Some(2_000_000_300)),
            (r#"{"t": {"N": "2000000300.9"}}"#, Some(2_000_000_300)),
            (r#"{"t": {"N": "1999999999"}}"#, Some(1_999_999_999)),
            (r#"{"t": {"N": "1842320000"}}"#, Some(1_842_320_000)),
            (r#"{"t": {"N": "1842319999"}}"#, None),
            (r#"{"t": {"N": "-5"}}"#, None),
            (r#"{"t": {"N": "1e30"}}"#, None),
            (r#"{"t": {"S": "2000000300"}}"#, None),
            (r#"{"t": {"L": [{"N": "2000000300"}]}}"#, None),
            (r#"{"u": {"N": "2000000300"}}"#, None),
        ] {
            let item = Item::from_json(json.as_bytes()).unwrap();
            assert_eq!(expires(&item, "t", now), expected, "{json}");
        }
    }
}
