//! Keys: a table id, then fields, encoded so that byte order is field order.
//!
//! Integers are fixed-width and big-endian. A string field is escaped (0x00 becomes 0x00 0xFF) and ends with 0x00 0x01, so
//! that no string's encoding is a prefix of another's and a shorter string sorts before its extensions. All rows whose
//! string field *begins* with some bytes lie next to each other: see [`KeyBuilder::begins`].
//!
//! ```
//! use millpond_meta::key::{KeyBuilder, KeyReader, prefix_range};
//! let key = KeyBuilder::new(7).bytes(b"logs").newest_first(42).build();
//! let mut reader = KeyReader::new(&key);
//! assert_eq!(reader.table().unwrap(), 7);
//! assert_eq!(&reader.bytes().unwrap()[..], b"logs");
//! assert_eq!(reader.newest_first().unwrap(), 42);
//! let (from, to) = prefix_range(KeyBuilder::new(7).begins(b"lo"));
//! assert!(from <= key && key < to);
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::api::Key;

/// Ends a string field; sorts below the escape of a zero byte, so that "a" comes before "a\0".
const END: [u8; 2] = [0x00, 0x01];
/// Stands for a zero byte within a string field.
const ZERO: [u8; 2] = [0x00, 0xFF];
/// Room for a typical key (table id, bucket id, object key of some 60 bytes, version), so that most need one allocation.
const TYPICAL_KEY_BYTES: usize = 96;

/// Builds a key field by field.
#[derive(Clone, Debug)]
pub struct KeyBuilder {
    buffer: BytesMut,
}

impl KeyBuilder {
    /// A key of this table.
    pub fn new(table: u8) -> Self {
        Self::with_capacity(table, TYPICAL_KEY_BYTES)
    }

    /// A key of this table that will be about `bytes` long.
    pub fn with_capacity(table: u8, bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(bytes.max(1));
        buffer.put_u8(table);
        Self { buffer }
    }

    /// Goes on from a key or prefix that was built before.
    pub fn extend(prefix: &[u8]) -> Self {
        let mut buffer = BytesMut::with_capacity(prefix.len() + TYPICAL_KEY_BYTES);
        buffer.put_slice(prefix);
        Self { buffer }
    }

    /// A one-byte integer.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.buffer.put_u8(value);
        self
    }

    /// A two-byte integer.
    #[must_use]
    pub fn u16(mut self, value: u16) -> Self {
        self.buffer.put_u16(value);
        self
    }

    /// A four-byte integer.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.buffer.put_u32(value);
        self
    }

    /// An eight-byte integer.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.buffer.put_u64(value);
        self
    }

    /// A sixteen-byte integer.
    #[must_use]
    pub fn u128(mut self, value: u128) -> Self {
        self.buffer.put_u128(value);
        self
    }

    /// An eight-byte integer, the largest first.
    #[must_use]
    pub fn newest_first(self, value: u64) -> Self {
        self.u64(!value)
    }

    /// Bytes of a width that the table fixes, as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.buffer.put_slice(bytes);
        self
    }

    /// A string of any bytes and length, ended.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.escape(bytes);
        self.buffer.put_slice(&END);
        self
    }

    /// The beginning of a string field: the prefix of every key whose field starts with `bytes`. Only as the last step,
    /// for a bound of a scan.
    pub fn begins(mut self, bytes: &[u8]) -> Key {
        self.escape(bytes);
        self.build()
    }

    /// The key.
    pub fn build(self) -> Key {
        self.buffer.freeze()
    }

    fn escape(&mut self, bytes: &[u8]) {
        // Zero bytes are rare, so whole runs are copied between them.
        self.buffer.reserve(bytes.len() + END.len());
        let mut runs = bytes.split(|byte| *byte == 0);
        if let Some(first) = runs.next() {
            self.buffer.put_slice(first);
        }
        for run in runs {
            self.buffer.put_slice(&ZERO);
            self.buffer.put_slice(run);
        }
    }
}

/// A key that is not built as its reader expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key is malformed at byte {0}")]
pub struct MalformedKey(pub usize);

/// Reads a key field by field, in the order in which it was built.
#[derive(Clone, Debug)]
pub struct KeyReader<'a> {
    key: &'a [u8],
    at: usize,
}

impl<'a> KeyReader<'a> {
    /// Begins at the table id.
    pub fn new(key: &'a [u8]) -> Self {
        Self { key, at: 0 }
    }

    /// The table id.
    pub fn table(&mut self) -> Result<u8, MalformedKey> {
        self.u8()
    }

    /// A one-byte integer.
    pub fn u8(&mut self) -> Result<u8, MalformedKey> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// A two-byte integer.
    pub fn u16(&mut self) -> Result<u16, MalformedKey> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// A four-byte integer.
    pub fn u32(&mut self) -> Result<u32, MalformedKey> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// An eight-byte integer.
    pub fn u64(&mut self) -> Result<u64, MalformedKey> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A sixteen-byte integer.
    pub fn u128(&mut self) -> Result<u128, MalformedKey> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    /// An integer written by [`KeyBuilder::newest_first`].
    pub fn newest_first(&mut self) -> Result<u64, MalformedKey> {
        Ok(!self.u64()?)
    }

    /// `len` bytes as they are.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], MalformedKey> {
        let bytes = self.rest().get(..len).ok_or(MalformedKey(self.at))?;
        self.at += len;
        Ok(bytes)
    }

    /// A string field. Borrowed unless it holds zero bytes.
    pub fn bytes(&mut self) -> Result<std::borrow::Cow<'a, [u8]>, MalformedKey> {
        let rest = self.rest();
        let mut owned: Option<Vec<u8>> = None;
        let mut from = 0;
        loop {
            let run = rest.get(from..).ok_or(MalformedKey(self.at))?;
            let zero = run.iter().position(|byte| *byte == 0).ok_or(MalformedKey(self.at + from))?;
            let text = &run[..zero];
            match run.get(zero..zero + 2) {
                Some(mark) if mark == END => {
                    self.at += from + zero + 2;
                    return Ok(match owned {
                        None => text.into(),
                        Some(mut owned) => {
                            owned.extend_from_slice(text);
                            owned.into()
                        }
                    });
                }
                Some(mark) if mark == ZERO => {
                    let owned = owned.get_or_insert_with(Vec::new);
                    owned.extend_from_slice(text);
                    owned.push(0);
                    from += zero + 2;
                }
                _ => return Err(MalformedKey(self.at + from + zero)),
            }
        }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.key.get(self.at..).unwrap_or_default()
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<(), MalformedKey> {
        if self.at == self.key.len() { Ok(()) } else { Err(MalformedKey(self.at)) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedKey> {
        let at = self.at;
        self.raw(N)?.try_into().map_err(|_| MalformedKey(at))
    }
}

/// The range `[from, to)` of all keys that start with `prefix`, whether it ends between fields (rows of a table and some
/// fields) or inside a string field ([`KeyBuilder::begins`]).
pub fn prefix_range(prefix: Key) -> (Key, Key) {
    let to = prefix_end(&prefix);
    (prefix, to)
}

/// The smallest key above all that start with `prefix`. Of a prefix of nothing but 0xFF bytes (no table has that id, see
/// [`crate::RESERVED_TABLES`]) it is a key above all valid ones.
pub fn prefix_end(prefix: &[u8]) -> Key {
    let kept = prefix.iter().rposition(|byte| *byte != 0xFF);
    match kept {
        Some(last) => {
            let mut end = BytesMut::with_capacity(last + 1);
            end.put_slice(&prefix[..=last]);
            end[last] += 1;
            end.freeze()
        }
        None => Bytes::from_static(&[0xFF; crate::api::MAX_KEY_BYTES + 1]),
    }
}

/// The smallest key above this one: where a scan goes on after the last row of a page.
pub fn successor(key: &[u8]) -> Key {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xFE), Just(0xFF), any::<u8>()], 0..12)
    }

    proptest! {
        #[test]
        fn byte_order_is_field_order(a in (any::<u8>(), text(), text(), any::<u64>()), b in (any::<u8>(), text(), text(), any::<u64>())) {
            let key = |(t, x, y, n): &(u8, Vec<u8>, Vec<u8>, u64)| KeyBuilder::new(*t).bytes(x).bytes(y).u64(*n).build();
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn neighbours_in_order(prefix in text(), a in text(), b in text()) {
            // Strings that share a prefix, where an escape is easiest to get wrong.
            let (x, y) = ([&prefix[..], &a].concat(), [&prefix[..], &b].concat());
            prop_assert_eq!(KeyBuilder::new(1).bytes(&x).u8(9).build().cmp(&KeyBuilder::new(1).bytes(&y).u8(9).build()), x.cmp(&y));
        }

        #[test]
        fn round_trip(table: u8, s in text(), a: u16, b: u32, c: u128, newest: u64, tail in text()) {
            let key = KeyBuilder::new(table).bytes(&s).u16(a).u32(b).u128(c).newest_first(newest).raw(b"four").bytes(&tail).build();
            let mut reader = KeyReader::new(&key);
            prop_assert_eq!(reader.table(), Ok(table));
            prop_assert_eq!(reader.bytes().map(|s| s.into_owned()), Ok(s));
            prop_assert_eq!(reader.u16(), Ok(a));
            prop_assert_eq!(reader.u32(), Ok(b));
            prop_assert_eq!(reader.u128(), Ok(c));
            prop_assert_eq!(reader.newest_first(), Ok(newest));
            prop_assert_eq!(reader.raw(4), Ok(&b"four"[..]));
            prop_assert_eq!(reader.bytes().map(|s| s.into_owned()), Ok(tail));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn a_range_holds_exactly_its_prefix(field in text(), begins in text(), version: u64) {
            let key = KeyBuilder::new(3).bytes(&field).u64(version).build();
            let (from, to) = prefix_range(KeyBuilder::new(3).begins(&begins));
            prop_assert_eq!(from <= key && key < to, field.starts_with(&begins));
            let (from, to) = prefix_range(KeyBuilder::new(3).bytes(&begins).build());
            prop_assert_eq!(from <= key && key < to, field == begins);
        }

        #[test]
        fn cut_keys_are_refused(s in text(), cut in 0usize..6) {
            let key = KeyBuilder::new(3).bytes(&s).u32(7).build();
            let cut = &key[..key.len() - 1 - cut.min(key.len() - 2)];
            let mut reader = KeyReader::new(cut);
            let _ = reader.table();
            prop_assert!(reader.bytes().and_then(|_| reader.u32()).is_err());
        }
    }

    #[test]
    fn newest_comes_first() {
        let key = |n| KeyBuilder::new(1).newest_first(n).build();
        assert!(key(2) < key(1));
        assert!(key(u64::MAX) < key(0));
    }

    #[test]
    fn ends_of_prefixes() {
        for (prefix, end) in
            [(&b"a"[..], &b"b"[..]), (b"a\xFF", b"b"), (b"a\xFF\xFF", b"b"), (b"\x00", b"\x01"), (b"ab", b"ac")]
        {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
        assert!(prefix_end(b"\xFF\xFF") > [0xFF; 2048][..]);
        assert!(successor(b"a") > Bytes::from_static(b"a") && successor(b"a") < Bytes::from_static(b"a\x01"));
    }

    #[test]
    fn malformed_strings() {
        for bytes in [&b"\x01abc"[..], b"\x01abc\x00", b"\x01abc\x00\x02", b"\x01\x00\xFF"] {
            let mut reader = KeyReader::new(bytes);
            assert_eq!(reader.table(), Ok(1));
            assert!(reader.bytes().is_err(), "{bytes:?}");
        }
    }
}
