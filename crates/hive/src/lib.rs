//! What catalog and SQL share of Hive: types, names, the DDL that Athena takes, file formats, rows of text. Pure: no I/O, no clock.

pub mod compression;
pub mod ddl;
pub mod format;
#[cfg(feature = "testing")]
pub mod fuzz;
pub mod names;
pub mod predicate;
pub mod projection;
pub mod show;
pub mod symlink;
pub mod text;
pub mod types;
