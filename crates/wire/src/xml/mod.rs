//! XML bodies: a bounded pull reader and a direct writer.

mod read;
mod tree;
mod write;

pub use read::{Element, MAX_XML_BYTES, MAX_XML_DEPTH, MAX_XML_ELEMENTS, MAX_XML_TAG_BYTES, XmlReader, payload};
pub use tree::tree;
pub use write::{XmlWriter, push_escaped};

#[cfg(test)]
mod tests;
