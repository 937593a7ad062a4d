//! Random values for tests.

use bytes::Bytes;
use proptest::prelude::*;

use crate::number::tests::any_number;
use crate::{Item, Value};

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[abc]{0,3}", 1 => ".{0,12}"]
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from)
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any_text().prop_map(Value::S),
        any_number().prop_map(Value::N),
        any_bytes().prop_map(Value::B),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        prop::collection::btree_set("[abc]{1,2}", 1..4).prop_map(Value::Ss),
        prop::collection::btree_set(any_number(), 1..4).prop_map(Value::Ns),
        prop::collection::btree_set("[abc]{1,2}".prop_map(Bytes::from), 1..4).prop_map(Value::Bs),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::L),
            prop::collection::btree_map("[abcd]{1,2}", inner, 0..4).prop_map(Value::M),
        ]
    })
}

pub(crate) fn any_item() -> impl Strategy<Value = Item> {
    prop::collection::btree_map("[abcd]{1,2}", any_value(), 0..6).prop_map(Item::from)
}
