//! Bytes: digests and how they are written. Trino documentation, "Binary functions and operators".

use std::hash::Hasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Digest as _;

use datafusion::common::{DataFusionError, Result};

use super::call::{Overload, Row, bad, of, out_of_range};

/// The most bytes that padding makes.
const MAX_BYTES: usize = 16 << 20;

macro_rules! digest {
    ($shape:literal, $kind:ty) => {
        of($shape, |call| call.blobs(|row| Ok(Some(<$kind>::digest(row.bytes(0)).to_vec()))))
    };
}

macro_rules! keyed {
    ($shape:literal, $kind:ty) => {
        of($shape, |call| {
            call.blobs(|row| {
                let keyed = Hmac::<$kind>::new_from_slice(row.bytes(1)).map_err(|error| bad(error.to_string()))?;
                Ok(Some(keyed.chain_update(row.bytes(0)).finalize().into_bytes().to_vec()))
            })
        })
    };
}

/// Digits as bytes.
pub fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() % 2 == 1 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Bytes as digits, upper-case.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn base64_of(engine: &base64::engine::GeneralPurpose, text: &[u8]) -> Result<Option<Vec<u8>>> {
    engine.decode(text).map(Some).map_err(|error| bad(format!("no base64: {error}")))
}

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    let mut all = vec![
        digest!("md5(varbinary) -> varbinary", md5::Md5),
        digest!("sha1(varbinary) -> varbinary", sha1::Sha1),
        digest!("sha256(varbinary) -> varbinary", sha2::Sha256),
        digest!("sha512(varbinary) -> varbinary", sha2::Sha512),
        keyed!("hmac_md5(varbinary, varbinary) -> varbinary", md5::Md5),
        keyed!("hmac_sha1(varbinary, varbinary) -> varbinary", sha1::Sha1),
        keyed!("hmac_sha256(varbinary, varbinary) -> varbinary", sha2::Sha256),
        keyed!("hmac_sha512(varbinary, varbinary) -> varbinary", sha2::Sha512),
        of("crc32(varbinary) -> bigint", |call| {
            call.ints(|row| {
                let mut sum = flate2::Crc::new();
                sum.update(row.bytes(0));
                Ok(Some(i64::from(sum.sum())))
            })
        }),
        of("xxhash64(varbinary) -> varbinary", |call| {
            call.blobs(|row| {
                let mut hasher = twox_hash::XxHash64::with_seed(0);
                hasher.write(row.bytes(0));
                Ok(Some(hasher.finish().to_be_bytes()))
            })
        }),
        of("to_hex(varbinary) -> varchar", |call| call.texts(|row| Ok(Some(to_hex(row.bytes(0)))))),
        of("to_base64(varbinary) -> varchar", |call| call.texts(|row| Ok(Some(STANDARD.encode(row.bytes(0)))))),
        of("to_base64url(varbinary) -> varchar", |call| call.texts(|row| Ok(Some(URL_SAFE.encode(row.bytes(0)))))),
        of("from_hex(varchar) -> varbinary", |call| {
            call.blobs(|row| match from_hex(row.text(0).as_bytes()) {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(bad("no hexadecimal digits")),
            })
        }),
        of("from_base64(varchar) -> varbinary", |call| call.blobs(|row| base64_of(&STANDARD, row.text(0).as_bytes()))),
        of("from_base64url(varchar) -> varbinary", |call| {
            call.blobs(|row| base64_of(&URL_SAFE, row.text(0).as_bytes()))
        }),
        of("to_big_endian_64(bigint) -> varbinary", |call| call.blobs(|row| Ok(Some(row.int(0).to_be_bytes())))),
        of("from_big_endian_64(varbinary) -> bigint", |call| {
            call.ints(|row| match row.bytes(0).try_into() {
                Ok(bytes) => Ok(Some(i64::from_be_bytes(bytes))),
                Err(_) => Err(wrong_size(8, row.bytes(0))),
            })
        }),
        of("murmur3(varbinary) -> varbinary", |call| call.blobs(|row| Ok(Some(super::hashes::murmur3(row.bytes(0)))))),
        of("substr(varbinary, bigint, bigint) -> varbinary", |call| {
            call.blobs(|row| Ok(Some(part(row.bytes(0), row.int(1), row.int(2)))))
        }),
        of("substr(varbinary, bigint) -> varbinary", |call| {
            call.blobs(|row| Ok(Some(part(row.bytes(0), row.int(1), i64::MAX))))
        }),
    ];
    all.extend(numbers());
    all.push(of("concat(varbinary, varbinary...) -> varbinary", |call| {
        call.blobs(|row| Ok(Some((0..call.len()).flat_map(|at| row.bytes(at)).copied().collect::<Vec<_>>())))
    }));
    all
}

fn padded(row: Row<'_>, is_left: bool) -> Result<Vec<u8>> {
    let (bytes, with) = (row.bytes(0), row.bytes(2));
    if with.is_empty() {
        return Err(bad("Padding bytes must not be empty"));
    }
    let size = usize::try_from(row.int(1)).ok().filter(|size| *size <= MAX_BYTES);
    let size = size.ok_or_else(|| bad(format!("Target length must be in the range [0..{MAX_BYTES}]")))?;
    let kept = bytes.get(..size).unwrap_or(bytes);
    let padding = with.iter().cycle().take(size - kept.len());
    Ok(if is_left { padding.chain(kept).copied().collect() } else { kept.iter().chain(padding).copied().collect() })
}

/// Numbers as bytes, the greatest first.
fn numbers() -> Vec<Overload> {
    vec![
        of("lpad(varbinary, bigint, varbinary) -> varbinary", |call| call.blobs(|row| padded(row, true).map(Some))),
        of("rpad(varbinary, bigint, varbinary) -> varbinary", |call| call.blobs(|row| padded(row, false).map(Some))),
        of("to_big_endian_32(bigint) -> varbinary", |call| {
            call.blobs(|row| match i32::try_from(row.int(0)) {
                Ok(number) => Ok(Some(number.to_be_bytes())),
                Err(_) => Err(out_of_range(format!("Out of range for integer: {}", row.int(0)))),
            })
        }),
        of("from_big_endian_32(varbinary) -> integer", |call| {
            call.ints(|row| {
                let bytes = row.bytes(0).try_into().map_err(|_| wrong_size(4, row.bytes(0)))?;
                Ok(Some(i32::from_be_bytes(bytes).into()))
            })
        }),
        of("to_ieee754_32(real) -> varbinary", |call| call.blobs(|row| Ok(Some(row.real(0).to_be_bytes())))),
        of("from_ieee754_32(varbinary) -> real", |call| {
            call.doubles(|row| {
                let bytes = row.bytes(0).try_into().map_err(|_| wrong_size(4, row.bytes(0)))?;
                Ok(Some(f32::from_be_bytes(bytes).into()))
            })
        }),
        of("to_ieee754_64(double) -> varbinary", |call| call.blobs(|row| Ok(Some(row.double(0).to_be_bytes())))),
        of("from_ieee754_64(varbinary) -> double", |call| {
            call.doubles(|row| {
                let bytes = row.bytes(0).try_into().map_err(|_| wrong_size(8, row.bytes(0)))?;
                Ok(Some(f64::from_be_bytes(bytes)))
            })
        }),
    ]
}

fn wrong_size(due: usize, bytes: &[u8]) -> DataFusionError {
    bad(format!("expected {due}-byte input, but got instead: {}", bytes.len()))
}

fn part(bytes: &[u8], start: i64, length: i64) -> &[u8] {
    let size = bytes.len() as i64;
    if start == 0 || length <= 0 || start.unsigned_abs() > size.unsigned_abs() {
        return &[];
    }
    let from = if start > 0 { start - 1 } else { size + start };
    let to = from.saturating_add(length).min(size);
    bytes.get(usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0)).unwrap_or_default()
}
