//! Lower-case hexadecimal without allocation.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// 32 bytes as 64 lower-case digits.
pub(crate) struct Hex32([u8; 64]);

impl Hex32 {
    pub(crate) fn of(bytes: &[u8; 32]) -> Self {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // Digits only, so this is never the empty default.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn lower_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The value of a digit of either case.
pub(crate) fn digit(byte: u8) -> Option<u8> {
    lower_digit(byte | if byte.is_ascii_uppercase() { 0x20 } else { 0 })
}

/// 64 lower-case digits as 32 bytes. Upper case is refused: a signature has one spelling.
pub(crate) fn parse32(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = lower_digit(pair[0])? << 4 | lower_digit(pair[1])?;
    }
    Some(bytes)
}

/// Bytes as S3 shows them in `StringToSignBytes`: two digits each, separated by spaces.
pub(crate) fn spaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 37) as u8);
        let text = Hex32::of(&bytes);
        assert_eq!(text.as_str(), ::hex::encode(bytes));
        assert_eq!(parse32(text.as_bytes()), Some(bytes));
        assert_eq!(parse32(text.as_str().to_uppercase().as_bytes()), None);
        assert_eq!(parse32(&text.as_bytes()[1..]), None);
        assert_eq!(parse32(&[b'g'; 64]), None);
        assert_eq!(spaced(b"AZ\n"), "41 5a 0a");
        assert_eq!(digit(b'F'), Some(15));
        assert_eq!(digit(b'G'), None);
    }
}
