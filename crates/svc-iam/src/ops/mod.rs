//! The operations, a file a family: what each is decided by, and what it does.

mod access_keys;
mod attached;
mod boundaries;
mod details;
mod groups;
mod inline;
mod new;
mod policies;
mod roles;
mod summary;
mod tags;
mod unset;
mod usage;
mod users;
mod versions;
