//! Workers with real interpreters in real sandboxes: what functions can do, and what they cannot.
#![allow(clippy::unwrap_used, missing_docs)]

mod harm;
mod languages;
mod lifecycle;
mod world;
