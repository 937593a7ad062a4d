//! Crawlers at work. `rows` and `bodies` keep them, `check` says what may be; `clock` is their schedules, `runner` begins, stops and resumes crawls.
//!
//! One crawl (`run`) is the session of its crawler's role: it lists and reads objects (`look`), plans tables (crate `crawl`), and changes the catalog
//! (`write`, `attach`) by the same ports that other services use, so that policies decide each step. `events` are changes that a queue tells of.

pub(crate) mod attach;
pub(crate) mod bodies;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod existing;
pub(crate) mod log;
pub(crate) mod look;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod runner;
pub(crate) mod schemas;
pub(crate) mod state;
pub(crate) mod write;
