//! Events as JSON: the envelope, and what targets are given of it. Pure.

pub(crate) mod envelope;
pub(crate) mod json;
pub(crate) mod path;
pub(crate) mod transform;
