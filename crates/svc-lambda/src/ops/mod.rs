//! Operations, a family a file.

pub(crate) mod aliases;
pub(crate) mod code;
pub(crate) mod configuration;
pub(crate) mod functions;
pub(crate) mod invoke_configs;
pub(crate) mod layer_permissions;
pub(crate) mod layers;
pub(crate) mod mappings;
pub(crate) mod permissions;
pub(crate) mod scaling;
pub(crate) mod tags;
pub(crate) mod versions;
