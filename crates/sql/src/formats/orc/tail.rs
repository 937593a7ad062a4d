//! The end of an object of ORC: read once, and looked at before it is relied on.
//!
//! Source: the specification of ORC v1, "File Tail".

use std::io::Read;
use std::ops::Range;

use bytes::Bytes;
use millpond_hive::compression::LZ4_RATIO;
use millpond_hive::types::MAX_DEPTH;
use prost::Message;

use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// Bytes that are read first, from the end: all that most objects have there.
const FIRST: u64 = 64 * 1024;
/// Bytes of an object's end, as it is and unfolded.
const MAX_TAIL: u64 = 64 * 1024 * 1024;
/// Compressions by their numbers.
const COMPRESSIONS: [&str; 7] = ["none", "zlib", "snappy", "LZO", "LZ4", "zstd", "Brotli"];
/// Bytes that a block unfolds to, where nothing is said (ORC specification v1, "Compression").
const DEFAULT_BLOCK: u64 = 256 * 1024;
/// The longest block that is read: the three bytes of its head say no more.
const MAX_BLOCK: u64 = 8 * 1024 * 1024;
/// Types by their numbers end here.
const LAST_TYPE: i32 = 18;
/// The type of rows.
const STRUCT: i32 = 12;

#[derive(Clone, PartialEq, Message)]
struct PostScript {
    #[prost(uint64, tag = "1")]
    footer: u64,
    #[prost(int32, tag = "2")]
    compression: i32,
    #[prost(uint64, optional, tag = "3")]
    block: Option<u64>,
    #[prost(uint64, tag = "5")]
    metadata: u64,
    #[prost(string, tag = "8000")]
    magic: String,
}

#[derive(Clone, PartialEq, Message)]
struct Footer {
    #[prost(message, repeated, tag = "3")]
    stripes: Vec<Stripe>,
    #[prost(message, repeated, tag = "4")]
    types: Vec<Type>,
    #[prost(uint64, tag = "6")]
    rows: u64,
    #[prost(bytes = "vec", optional, tag = "10")]
    encryption: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Stripe {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    data: u64,
    #[prost(uint64, tag = "4")]
    footer: u64,
    #[prost(uint64, tag = "5")]
    rows: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, repeated, packed = "true", tag = "2")]
    parts: Vec<u32>,
}

/// The end of an object.
pub struct Tail {
    bytes: Bytes,
    /// Where the indexes of stripes are: they are not used, and not read.
    indexes: Vec<Range<u64>>,
}

impl Tail {
    /// A range of an object of that size, if it is in its end.
    pub fn part(&self, size: u64, from: u64, to: u64) -> Option<Bytes> {
        let begin = size.checked_sub(self.bytes.len() as u64)?;
        let at = |place: u64| usize::try_from(place.checked_sub(begin)?).ok();
        let (from, to) = (at(from)?, at(to)?);
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }

    /// Whether a range is in a stripe's index.
    pub fn is_index(&self, from: u64, to: u64) -> bool {
        let after = self.indexes.partition_point(|index| index.start <= from);
        let index = after.checked_sub(1).and_then(|at| self.indexes.get(at));
        index.is_some_and(|index| from < index.end && to <= index.end)
    }
}

/// Reads the end of an object.
///
/// # Errors
/// It is no whole object of ORC, or one that is not read.
pub async fn read(remote: &Remote, source: &Source) -> Result<Tail, Problem> {
    let (path, size) = (source.path(), source.size);
    let broken = |why: String| Problem::Data(format!("HIVE_BAD_DATA: {path} is no whole ORC file: {why}"));
    let mut bytes = remote.bytes(source, size.saturating_sub(FIRST)..size).await?;
    let (script, after) = postscript(&bytes).map_err(broken)?;
    let length = script.footer.saturating_add(script.metadata).saturating_add(after as u64);
    if length > size.min(MAX_TAIL) {
        return Err(broken(format!("its end has {length} bytes, which are too many")));
    }
    if length > bytes.len() as u64 {
        let before = remote.bytes(source, size - length..size - bytes.len() as u64).await?;
        bytes = [before, bytes].concat().into();
    }
    if script.block.is_some_and(|block| block > MAX_BLOCK) {
        return Err(broken("its blocks are longer than blocks can be".to_owned()));
    }
    let footer = usize::try_from(script.footer).unwrap_or(usize::MAX);
    let end = bytes.len().saturating_sub(after);
    let raw = bytes.get(end.saturating_sub(footer)..end).unwrap_or_default();
    let unread = |why: &str| Problem::Data(format!("HIVE_UNSUPPORTED_FORMAT: {path} is ORC {why}, which is not read"));
    let unfolded = match COMPRESSIONS.get(usize::try_from(script.compression).unwrap_or(usize::MAX)) {
        None => return Err(broken(format!("compression {} is not known", script.compression))),
        Some(name @ (&"LZO" | &"Brotli")) => return Err(unread(&format!("compressed with {name}"))),
        Some(_) => unfolded(script.compression, script.block, raw).map_err(broken)?,
    };
    let footer = Footer::decode(unfolded.as_slice()).map_err(|error| broken(error.to_string()))?;
    if footer.encryption.is_some() {
        return Err(unread("with encrypted columns"));
    }
    types(&footer.types).map_err(broken)?;
    let rows = footer.stripes.iter().try_fold(0_u64, |sum, stripe| sum.checked_add(stripe.rows));
    if rows != Some(footer.rows) {
        return Err(broken("its stripes have not as many rows as it says".to_owned()));
    }
    let indexes = footer.stripes.iter().map(|stripe| index(stripe, size)).collect::<Option<Vec<_>>>();
    let mut indexes = indexes.ok_or_else(|| broken("a stripe lies beyond its end".to_owned()))?;
    indexes.sort_by_key(|index| index.start);
    Ok(Tail { bytes, indexes })
}

/// The postscript, and how many bytes it has with its length.
fn postscript(bytes: &[u8]) -> Result<(PostScript, usize), String> {
    let (length, before) = bytes.split_last().ok_or("it is empty")?;
    let length = usize::from(*length);
    let raw = before.len().checked_sub(length).and_then(|from| before.get(from..));
    let script = PostScript::decode(raw.ok_or("it is too short")?).map_err(|error| error.to_string())?;
    if script.magic != "ORC" {
        return Err("its end is not that of one".to_owned());
    }
    Ok((script, length + 1))
}

/// Undoes a compression, block by block, within [`MAX_TAIL`].
fn unfolded(compression: i32, block: Option<u64>, mut bytes: &[u8]) -> Result<Vec<u8>, String> {
    if compression == 0 {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::new();
    while let Some(([a, b, c], rest)) = bytes.split_first_chunk() {
        let head = u32::from_le_bytes([*a, *b, *c, 0]);
        let length = usize::try_from(head >> 1).map_err(|error| error.to_string())?;
        let (part, after) = rest.split_at_checked(length).ok_or("a block of its footer is cut off")?;
        bytes = after;
        if head & 1 == 1 {
            out.extend_from_slice(part);
        } else {
            unfold(compression, block, part, &mut out)?;
        }
        if out.len() as u64 > MAX_TAIL {
            return Err(format!("its footer unfolds to more than {MAX_TAIL} bytes"));
        }
    }
    Ok(out)
}

fn unfold(compression: i32, block: Option<u64>, part: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let (from, most) = (out.len(), MAX_TAIL + 1);
    let possible = part.len().saturating_mul(LZ4_RATIO);
    let length = match compression {
        2 => snap::raw::decompress_len(part).map_err(|error| words(&error))?,
        4 => usize::try_from(block.unwrap_or(DEFAULT_BLOCK)).unwrap_or(usize::MAX).min(possible),
        _ => 0,
    };
    if length > possible || length as u64 > most {
        return Err(format!("a block of {length} bytes is too long"));
    }
    out.resize(from + length, 0);
    let room = out.get_mut(from..).unwrap_or_default();
    match compression {
        2 => _ = snap::raw::Decoder::new().decompress(part, room).map_err(|error| words(&error))?,
        4 => {
            let given = lz4_flex::block::decompress_into(part, room).map_err(|error| words(&error))?;
            out.truncate(from + given);
        }
        5 => {
            let decoder = zstd::Decoder::new(part).map_err(|error| words(&error))?;
            decoder.take(most).read_to_end(out).map_err(|error| words(&error))?;
        }
        _ => {
            let decoder = flate2::read::DeflateDecoder::new(part);
            decoder.take(most).read_to_end(out).map_err(|error| words(&error))?;
        }
    }
    Ok(())
}

/// Types are a tree whose parts come after what they are parts of.
fn types(types: &[Type]) -> Result<(), String> {
    if types.first().is_none_or(|root| root.kind != STRUCT) {
        return Err("its rows are no structs".to_owned());
    }
    let mut depths = vec![0; types.len()];
    for (at, one) in types.iter().enumerate() {
        if !(0..=LAST_TYPE).contains(&one.kind) {
            return Err(format!("the type {} of a column is not known", one.kind));
        }
        let depth = depths.get(at).copied().unwrap_or(0) + 1;
        for part in &one.parts {
            let part = usize::try_from(*part).unwrap_or(usize::MAX);
            let known = depths.get_mut(part).filter(|known| part > at && **known == 0);
            *known.ok_or("its types are no tree")? = depth;
        }
        // The rows themselves are a level.
        if depth > MAX_DEPTH + 1 {
            return Err(format!("its types have more than {MAX_DEPTH} levels"));
        }
    }
    Ok(())
}

/// Where a stripe's index is; `None` where it is not within the object.
fn index(stripe: &Stripe, size: u64) -> Option<Range<u64>> {
    let data = stripe.offset.checked_add(stripe.index)?;
    let end = data.checked_add(stripe.data)?.checked_add(stripe.footer)?;
    (end <= size).then_some(stripe.offset..data)
}
