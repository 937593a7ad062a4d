//! What a crawler finds out: formats and schemas of sampled bytes, how schemas go together, and which folders are tables and which partitions. Pure.
//!
//! [`sniff`] tells text from what has a schema of its own and decompresses; [`classify`] finds the format of text; [`plan`] makes tables of what was
//! found in folders; [`storage`] and [`properties`] are what the catalog keeps of one.
//!
//! Sources: AWS Glue Developer Guide, "Defining and managing classifiers", "Writing custom classifiers", "How does a crawler determine when to create
//! partitions?", "Customizing crawler behavior".

mod config;
mod event;
mod found;
mod glob;
mod grok;
mod infer;
mod sample;
mod schema;
mod table;
mod tree;

pub use config::{Config, ConfigError};
pub use event::{BadEvent, Event, events};
pub use found::{Column, Csv, Found, Layout, known};
pub use glob::{Exclusions, GlobError};
pub use grok::{Grok, GrokError};
pub use infer::{Classifier, CsvRules, CsvSerde, Header, JsonPath, JsonPathError, TypeNameError, classify, datatype};
pub use millpond_hive::compression::Compression;
pub use sample::{MAX_SAMPLE, Sniffed, Text, sniff};
pub use schema::{SIMILAR, Shape, add_new, columns_of, merged, similarity};
pub use table::{Figures, hashed_name, properties, storage, table_name};
pub use tree::{Grouping, Leaf, MAX_FOLDERS_DEEP, Part, Planned, plan};
