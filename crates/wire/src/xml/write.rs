//! Writing XML straight into one string.

use bytes::Bytes;

use crate::{Scalar, TimeFormat};

/// A document being written. Tags come ready-made from generated code; only texts are escaped here.
#[derive(Debug, Default)]
pub struct XmlWriter {
    out: String,
}

impl XmlWriter {
    /// A document with its declaration, and room for `capacity` bytes.
    pub fn document(capacity: usize) -> Self {
        let mut out = String::with_capacity(capacity);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self { out }
    }

    /// Appends markup as it stands.
    #[inline]
    pub fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Appends `open`, the value's text escaped, and `close`.
    #[inline]
    pub fn scalar<T: Scalar>(&mut self, open: &str, value: &T, format: TimeFormat, close: &str) {
        self.out.push_str(open);
        value.push_xml(&mut self.out, format);
        self.out.push_str(close);
    }

    /// Appends an escaped text.
    pub fn text(&mut self, text: &str) {
        push_escaped(&mut self.out, text);
    }

    /// The document.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }
}

/// What must not stand in XML text as it is. A carriage return would be read back as a line feed; other control
/// characters are no XML 1.0 at all, but S3 keys may hold them, and AWS writes them as references.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = byte != b'\t' as usize && byte != b'\n' as usize;
        byte += 1;
    }
    table[b'&' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'"' as usize] = true;
    // The first byte of U+FFFE and U+FFFF, which XML excludes.
    table[0xEF] = true;
    table
};

/// Appends a text, escaped for element content and for attributes in double quotes.
pub fn push_escaped(out: &mut String, text: &str) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !SPECIAL[bytes[at] as usize] {
            at += 1;
            continue;
        }
        let (replacement, width) = match bytes[at] {
            b'&' => ("&amp;", 1),
            b'<' => ("&lt;", 1),
            b'>' => ("&gt;", 1),
            b'"' => ("&quot;", 1),
            b'\r' => ("&#13;", 1),
            0xEF => match &bytes[at + 1..] {
                [0xBF, 0xBE, ..] => ("&#xFFFE;", 3),
                [0xBF, 0xBF, ..] => ("&#xFFFF;", 3),
                _ => ("", 0),
            },
            control => (CONTROLS[control as usize], 1),
        };
        if width == 0 {
            at += 3;
            continue;
        }
        out.push_str(&text[done..at]);
        out.push_str(replacement);
        at += width;
        done = at;
    }
    out.push_str(&text[done..]);
}

const CONTROLS: [&str; 32] = [
    "&#x0;", "&#x1;", "&#x2;", "&#x3;", "&#x4;", "&#x5;", "&#x6;", "&#x7;", "&#x8;", "&#x9;", "&#xA;", "&#xB;",
    "&#xC;", "&#xD;", "&#xE;", "&#xF;", "&#x10;", "&#x11;", "&#x12;", "&#x13;", "&#x14;", "&#x15;", "&#x16;", "&#x17;",
    "&#x18;", "&#x19;", "&#x1A;", "&#x1B;", "&#x1C;", "&#x1D;", "&#x1E;", "&#x1F;",
];
