//! The beginning of a file: what it is by its first bytes, and its text, decompressed.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

/// Bytes of a file that are looked at.
pub const MAX_SAMPLE: usize = 512 * 1024;
/// Bytes of text that are made of it: what is compressed may be much more.
const MAX_TEXT: u64 = 2 * 1024 * 1024;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip
    Gzip,
}

impl Compression {
    /// As the catalog calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
        }
    }
}

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
    Other(&'static str),
}

/// Formats by what files begin with.
const MAGIC: &[(&[u8], &str)] = &[
    (b"Obj\x01", "Avro, which is not read"),
    (b"BZh", "compressed with bzip2, which is not read; gzip is"),
    (b"\x28\xB5\x2F\xFD", "compressed with Zstandard, which is not read; gzip is"),
    (b"\x04\x22\x4D\x18", "compressed with LZ4, which is not read; gzip is"),
    (b"\xFF\x06\x00\x00sNaPpY", "compressed with Snappy, which is not read; gzip is"),
    (b"\xFD7zXZ", "compressed with XZ, which is not read; gzip is"),
    (b"PK\x03\x04", "a ZIP archive, which is not read; gzip is"),
    (b"\xE0\x01\x00\xEA", "Amazon Ion, which is not read"),
    (b"SEQ\x06", "a sequence file, which is not read"),
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
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Sniffed::Other(what);
    }
    let cut = (bytes.len() as u64) < size;
    // Readers go by the name.
    let named = key.to_ascii_lowercase().ends_with(".gz");
    match (bytes.starts_with(b"\x1F\x8B"), named) {
        (true, true) => gunzip(bytes, cut, size),
        (true, false) => Sniffed::Other("compressed with gzip, but its name does not end with .gz"),
        (false, true) => Sniffed::Other("not compressed with gzip, though its name ends with .gz"),
        (false, false) => text_of(bytes, cut, times(size, bytes.len()), Compression::None),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn times(size: u64, read: usize) -> f64 {
    size as f64 / read.max(1) as f64
}

fn gunzip(bytes: &[u8], cut: bool, size: u64) -> Sniffed {
    let mut out = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(MAX_TEXT);
    let ended = decoder.read_to_end(&mut out);
    match ended {
        Ok(_) => {}
        // The sample ends within the stream.
        Err(_) if cut && !out.is_empty() => {}
        Err(_) => return Sniffed::Other("no whole gzip file"),
    }
    let full = out.len() as u64 == MAX_TEXT;
    let used = if full { bytes.len().saturating_sub(decoder.get_ref().get_ref().len()) } else { bytes.len() };
    text_of(&out, cut || full, times(size, used), Compression::Gzip)
}

/// Whether bytes are text: UTF-8, or at least without control characters that no text has.
fn text_of(bytes: &[u8], cut: bool, times: f64, compression: Compression) -> Sniffed {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let odd = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x01..=0x08 | 0x0C | 0x1B);
    if bytes.iter().any(odd) {
        return Sniffed::Other("binary");
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
            (b"BZh9", "bzip2"),
            (b"a\0b", "binary"),
            (b"\x1F\x8B\x08", "does not end with .gz"),
        ] {
            let Sniffed::Other(what) = sniff("a.csv", bytes, 9) else { panic!("{bytes:?}") };
            assert!(what.contains(word), "{what}");
        }
        assert!(matches!(sniff("a.gz", b"text", 4), Sniffed::Other(_)));
    }

    #[test]
    fn lines_are_whole() {
        assert_eq!(text(&sniff("a", b"a\nb", 3)), Some(("a\nb", true)));
        assert_eq!(text(&sniff("a", b"a\nb", 4)), Some(("a\n", false)));
        assert_eq!(text(&sniff("a", b"ab", 4)), Some(("ab", false)));
        assert_eq!(text(&sniff("a", "\u{FEFF}a,b\n".as_bytes(), 7)), Some(("a,b\n", true)));
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
        assert_eq!(found.text.len() as u64, MAX_TEXT);
    }
}
