//! Looking for damage: every row of every table is read and its checksum compared.

use super::Shared;
use super::row;
use super::spaces::{Class, read_error};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Damages that a report lists; a broken disk would otherwise fill memory with them.
const MAX_LISTED: usize = 1000;

/// A damaged place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The part of the store: a keyspace, or the journal.
    pub part: &'static str,
    /// The key of the damaged row; of the last row that could be read before, when the damage hides the key.
    pub key: Bytes,
    /// What is wrong.
    pub what: String,
}

/// What a check of the whole store found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FsckReport {
    /// Rows that are sound.
    pub rows: u64,
    /// Their bytes, keys and values.
    pub bytes: u64,
    /// Damages found; counted beyond those that are listed.
    pub damages: u64,
    /// The first of them.
    pub listed: Vec<Damage>,
}

impl FsckReport {
    pub(super) fn add(&mut self, part: &'static str, key: Bytes, what: String) {
        self.damages += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(Damage { part, key, what });
        }
    }
}

/// Reads everything that is in the store at this moment. Blocks for as long as that takes. `go_on` is asked before every row; `None`
/// when it said no.
pub(super) fn verify(shared: &Shared, go_on: &dyn Fn() -> bool) -> Option<FsckReport> {
    let mut report = FsckReport::default();
    for class in Class::ALL {
        match catch_unwind(AssertUnwindSafe(|| verify_space(shared, class, &mut report, go_on))) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => report.add(class.name(), Bytes::new(), "the engine could not decode a part of it".into()),
        }
    }
    Some(report)
}

/// Whether it came to the end.
fn verify_space(shared: &Shared, class: Class, report: &mut FsckReport, go_on: &dyn Fn() -> bool) -> bool {
    let moment = shared.moment();
    let mut last = Bytes::new();
    let mut in_a_row = 0;
    for guard in moment.iter(class) {
        if !go_on() {
            return false;
        }
        match guard.into_inner() {
            Ok((key, kept)) => {
                in_a_row = 0;
                last = key.into();
                let kept = Bytes::from(kept);
                let size = (last.len() + kept.len()) as u64;
                // Point reads go through filters and indexes that a scan does not touch.
                let found = row::check(&last, kept).and_then(|value| Ok((value, moment.read(&last)?)));
                match found {
                    Ok((value, again)) if again.as_ref() != Some(&value) => {
                        report.add(class.name(), last.clone(), "a point read does not find it".into());
                    }
                    Ok(_) => {
                        report.rows += 1;
                        report.bytes += size;
                    }
                    Err(error) => report.add(class.name(), last.clone(), error.to_string()),
                }
            }
            Err(error) => {
                report.add(class.name(), last.clone(), read_error(&error).to_string());
                in_a_row += 1;
                if in_a_row >= MAX_LISTED {
                    // The engine does not get past it.
                    break;
                }
            }
        }
    }
    true
}
