//! The beginning of a file: what it is by its first bytes, and its text, decompressed.

use bytes::Bytes;
use millpond_hive::compression::{Compression, Decoder};

/// Bytes of a file that are looked at.
pub const MAX_SAMPLE: usize = 512 * 1024;
/// Bytes of text that are made of it: what is compressed may be much more.
const MAX_TEXT: usize = 2 * 1024 * 1024;

/// Text of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// How the file is compressed.
    pub compression: Compression,
    /// Its beginning; whole lines, unless all of it is one.
    pub text: String,
    /// Whether that is all of it.
    pub whole: bool,
    /// How many times as long the file is, about.
    pub times: f64,
}

/// What a file is by its first bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Sniffed {
    /// It has no bytes.
    Empty,
    /// Parquet
    Parquet,
    /// ORC
    Orc,
    /// Text
    Text(Text),
    /// Something that is not read, and what.
    Other(String),
}

/// Formats that are not read, by what files begin with.
const UNREAD: &[(&[u8], &str)] = &[
    (b"Obj\x01", "Avro, which is not read"),
    (b"\xFD7zXZ", "compressed with XZ, which is not read"),
    (b"PK\x03\x04", "a ZIP archive, which is not read"),
    (b"\xE0\x01\x00\xEA", "Amazon Ion, which is not read"),
    (b"SEQ\x06", "a sequence file, which is not read"),
];

/// Compressions by what files begin with.
const COMPRESSED: &[(&[u8], Compression)] = &[
    (b"\x1F\x8B", Compression::Gzip),
    (b"BZh", Compression::Bzip2),
    (b"\x28\xB5\x2F\xFD", Compression::Zstd),
    (b"\x04\x22\x4D\x18", Compression::Lz4),
    (b"\xFF\x06\x00\x00sNaPpY", Compression::Snappy),
];

/// Tells what a file is. `bytes` is its beginning, `size` how long it is.
pub fn sniff(key: &str, bytes: &[u8], size: u64) -> Sniffed {
    if bytes.is_empty() {
        return Sniffed::Empty;
    }
    if bytes.starts_with(b"PAR1") {
        return Sniffed::Parquet;
    }
    if bytes.starts_with(b"ORC") {
        return Sniffed::Orc;
    }
    if let Some((_, what)) = UNREAD.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Sniffed::Other((*what).to_owned());
    }
    let cut = (bytes.len() as u64) < size;
    // Readers go by the name.
    match Compression::of(key) {
        Err(unread) => Sniffed::Other(unread.to_string()),
        Ok(Compression::None) => match COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            Some((_, found)) => {
                let (name, ending) = (found.name(), found.ending());
                Sniffed::Other(format!("compressed with {name}, but its name does not end with .{ending}"))
            }
            None => text_of(bytes, cut, times(size, bytes.len()), Compression::None),
        },
        Ok(compression) => unfolded(compression, bytes, cut, size),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn times(size: u64, read: usize) -> f64 {
    size as f64 / read.max(1) as f64
}

/// The text of what is compressed, as far as the sample has it.
fn unfolded(compression: Compression, bytes: &[u8], cut: bool, size: u64) -> Sniffed {
    let (name, ending) = (compression.name(), compression.ending());
    let broken = |out: &[u8]| match out {
        [] => Sniffed::Other(format!("not compressed with {name}, though its name ends with .{ending}")),
        _ => Sniffed::Other(format!("no whole {name} file")),
    };
    let Ok(Some(mut decoder)) = Decoder::of(compression) else { return broken(&[]) };
    let (mut rest, mut out) = (Bytes::copy_from_slice(bytes), Vec::new());
    while !rest.is_empty() && out.len() < MAX_TEXT {
        match decoder.some(&mut rest) {
            Ok(some) => out.extend_from_slice(&some),
            Err(_) => return broken(&out),
        }
    }
    let used = bytes.len() - rest.len();
    if !cut && rest.is_empty() {
        match decoder.end() {
            Ok(last) => out.extend_from_slice(&last),
            Err(_) => return Sniffed::Other(format!("no whole {name} file")),
        }
    }
    let full = out.len() >= MAX_TEXT;
    out.truncate(MAX_TEXT);
    text_of(&out, cut || full, times(size, used), compression)
}

/// Whether bytes are text: UTF-8, or at least without control characters that no text has.
fn text_of(bytes: &[u8], cut: bool, times: f64, compression: Compression) -> Sniffed {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let odd = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x01..=0x08 | 0x0C | 0x1B);
    if bytes.iter().any(odd) {
        return Sniffed::Other("binary".to_owned());
    }
    let bytes = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if cut => bytes.get(..=end).unwrap_or(bytes),
        _ => bytes,
    };
    Sniffed::Text(Text { compression, text: String::from_utf8_lossy(bytes).into_owned(), whole: !cut, times })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text(sniffed: &Sniffed) -> Option<(&str, bool)> {
        match sniffed {
            Sniffed::Text(text) => Some((&text.text, text.whole)),
            _ => None,
        }
    }

    #[test]
    fn by_their_first_bytes() {
        assert_eq!(sniff("a", b"PAR1....", 100), Sniffed::Parquet);
        assert_eq!(sniff("a", b"ORC", 3), Sniffed::Orc);
        assert_eq!(sniff("a", b"", 0), Sniffed::Empty);
        for (bytes, word) in [
            (&b"Obj\x01"[..], "Avro"),
            (b"BZh9", "bzip2, but its name does not end with .bz2"),
            (b"a\0b", "binary"),
            (b"\x1F\x8B\x08", "does not end with .gz"),
        ] {
            let Sniffed::Other(what) = sniff("a.csv", bytes, 9) else { panic!("{bytes:?}") };
            assert!(what.contains(word), "{what}");
        }
        for (key, word) in [
            ("a.gz", "not compressed with gzip"),
            ("a.bz2", "not compressed with bzip2"),
            ("a.zst", "not compressed with zstd"),
            ("a.lz4", "not compressed with lz4"),
            ("a.snappy", "not compressed with snappy"),
            ("a.deflate", "not compressed with deflate"),
            ("a.lzo", "compressed with lzo, which is not read"),
        ] {
            let Sniffed::Other(what) = sniff(key, b"text, and more of it", 20) else { panic!("{key}") };
            assert!(what.contains(word), "{what}");
        }
    }

    #[test]
    fn lines_are_whole() {
        assert_eq!(text(&sniff("a", b"a\nb", 3)), Some(("a\nb", true)));
        assert_eq!(text(&sniff("a", b"a\nb", 4)), Some(("a\n", false)));
        assert_eq!(text(&sniff("a", b"ab", 4)), Some(("ab", false)));
        assert_eq!(text(&sniff("a", "\u{FEFF}a,b\n".as_bytes(), 7)), Some(("a,b\n", true)));
    }

    #[test]
    fn compressions_by_their_names() {
        let zlib = {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(b"one\ntwo\n").unwrap();
            encoder.finish().unwrap()
        };
        let stored = [&[0, 0, 0, 8, 0, 0, 0, 10][..], &[8, 7 << 2], b"one\ntwo\n"].concat();
        for (key, bytes, compression) in
            [("a.DEFLATE", zlib, Compression::Deflate), ("a.snappy", stored, Compression::Snappy)]
        {
            let Sniffed::Text(found) = sniff(key, &bytes, bytes.len() as u64) else { panic!("{key}") };
            assert_eq!((found.text.as_str(), found.whole, found.compression), ("one\ntwo\n", true, compression));
        }
    }

    #[test]
    fn gzip_is_decompressed_as_far_as_it_goes() {
        let zipped = gzip(b"one\ntwo\n");
        assert_eq!(text(&sniff("a.csv.gz", &zipped, zipped.len() as u64)), Some(("one\ntwo\n", true)));
        let lines: String = (0..100_000).map(|n| format!("{n},{}\n", n * 7919 % 10_007)).collect();
        let zipped = gzip(lines.as_bytes());
        let half = &zipped[..zipped.len() / 2];
        let Sniffed::Text(found) = sniff("a.GZ", half, zipped.len() as u64) else { panic!() };
        assert!(!found.whole && lines.starts_with(&found.text) && found.text.ends_with('\n'));
        assert!(matches!(sniff("a.gz", &zipped[..30], 30), Sniffed::Other(_)));
        let bomb = gzip(&vec![b'a'; 50 << 20]);
        let Sniffed::Text(found) = sniff("a.gz", &bomb, bomb.len() as u64) else { panic!() };
        assert_eq!(found.text.len(), MAX_TEXT);
    }
}
