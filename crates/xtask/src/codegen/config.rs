//! `models/services.toml`: what is served, and in what a service differs from its model.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Folder of the model below botocore's `data`.
    #[serde(default)]
    pub source: String,
    /// The crate that the code goes into.
    #[serde(default, rename = "crate")]
    pub krate: String,
    /// The served operations.
    #[serde(default)]
    pub operations: Vec<String>,
    /// What the address of an operation's documentation begins with.
    #[serde(default)]
    pub documentation: Option<String>,
    /// The XML namespace, where the model does not tell it.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Requests are addressed by bucket and key.
    #[serde(default)]
    pub bucket_and_key: bool,
    /// Times in bodies always have milliseconds.
    #[serde(default)]
    pub iso8601_millis: bool,
    /// Operations that are not even known.
    #[serde(default)]
    pub unrouted: Vec<String>,
    /// Enumerations read as strings.
    #[serde(default)]
    pub open_enums: Vec<String>,
    /// Shapes whose pattern is not checked.
    #[serde(default)]
    pub ignored_patterns: Vec<String>,
    /// Header members that count as absent when they are malformed.
    #[serde(default)]
    pub lenient: Vec<String>,
    /// Members that the model requires and that AWS leaves out at times: `User.UserName`.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Outputs whose one member is the root element's text.
    #[serde(default)]
    pub bare_outputs: Vec<String>,
    /// Root elements of outputs.
    #[serde(default)]
    pub roots: BTreeMap<String, String>,
    /// Whether to generate the codec between values and plain JSON parameters.
    #[serde(default)]
    pub params: bool,
}

/// Reads the file.
pub fn parse(text: &str) -> Result<BTreeMap<String, Service>, String> {
    toml::from_str(text).map_err(|e| format!("models/services.toml: {e}"))
}
