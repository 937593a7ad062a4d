//! DynamoDB's items: attribute values, numbers, keys in order, and expressions over them. Pure: no I/O, no clock.
//!
//! ```
//! use millpond_item::{Item, Value};
//!
//! let item = Item::from_json(br#"{"id": {"S": "a"}, "hits": {"N": "007"}}"#)?;
//! assert_eq!(item.get("hits"), Some(&Value::number("7")?));
//! assert_eq!(Item::decode(&item.encode())?, item);
//! assert_eq!(item.size(), 9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Value`], [`Number`] and [`Item`] are what is stored; [`ValueError`] says why something cannot be, in AWS's words.
//! - [`key`] makes bytes of keys whose order is that of the values.
//! - [`expression::Placeholders`] reads expressions: [`expression::Condition`], [`expression::Update`],
//!   [`expression::KeyCondition`], [`expression::Projection`]; [`expression::legacy`] makes the same of what was there before.
//! - [`Item::encode`] and [`Item::decode`] are the format of rows on disk.

#[cfg(test)]
mod arbitrary;
pub mod expression;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod item;
mod json;
pub mod key;
mod number;
mod row;
mod size;
mod value;

pub use item::Item;
pub use json::{AttributesSeed, JsonError, ValueSeed};
pub use number::Number;
pub use row::RowError;
pub use size::MAX_ITEM_BYTES;
pub use value::{Kind, MAX_DEPTH, Value, ValueError};
