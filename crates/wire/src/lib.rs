//! The runtime of the AWS protocols, seen from the server: reading requests, writing responses.
//!
//! The typed inputs and outputs of every operation are generated (`cargo xtask codegen`) from service models; what
//! they have in common is here: [`RequestView`] and [`QueryPairs`] on the way in, [`ResponseParts`] and [`ErrorShape`]
//! on the way out, and a reader and a writer for each body format (XML, JSON, query forms).
//!
//! Nothing here does I/O, and nothing knows a service: what is peculiar to one comes with the generated code. Every
//! reader bounds depth, size and number of elements, and refuses what it cannot represent instead of guessing.

mod check;
mod fault;
pub mod form;
pub mod fuzz;
pub mod headers;
pub mod json;
mod params;
mod parse_error;
mod pattern;
mod protocol;
mod query;
mod request;
mod response;
pub mod rest;
mod route;
mod scalar;
mod time;
pub mod xml;

pub use check::{check_length, check_pattern, check_range};
pub use fault::{ErrorDef, ErrorFormat, ErrorShape};
pub use form::{FormNode, FormPairs};
pub use json::JsonWriter;
pub use params::RawBlob;
pub use parse_error::{ErrorKind, Location, ParseError, once, required};
pub use pattern::Pattern;
pub use protocol::Protocol;
pub use query::{MAX_QUERY_BYTES, MAX_QUERY_PAIRS, QueryPairs, percent_decode};
pub use request::{Label, RequestView};
pub use response::ResponseParts;
pub use route::{
    Route, RouteEntry, RouteGroup, Segment, Target, match_path, route_by_name, route_by_shape, target_name,
};
pub use scalar::Scalar;
pub use time::{TimeFormat, parse_http_date, parse_iso8601, push_http_date, push_iso8601};
pub use xml::{Element, XmlReader, XmlWriter};

/// What generated code names; not meant for people.
#[doc(hidden)]
pub mod rt {
    pub use std::borrow::Cow;
    pub use std::collections::BTreeMap;

    pub use bytes::Bytes;
    pub use http::{HeaderMap, HeaderName, HeaderValue, Method};
    pub use millpond_types::Timestamp;
    pub use serde_json::Value;
}
