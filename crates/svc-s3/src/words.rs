//! Encoded words: how metadata outside US-ASCII is written in headers (RFC 2047, section 2).
//!
//! S3 decodes them in what it stores, and writes what it returns that way where it is not plain US-ASCII (S3 User Guide, "Working
//! with object metadata").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value for a header: as it is when it is printable US-ASCII, otherwise one encoded word. Longer than the 75 characters that mail
/// allows a word, as AWS's are.
pub fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(value))
}

/// The text of a header's value: encoded words are decoded, and all else is as it is. What only looks like an encoded word is none.
pub fn decoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    // Whether the last thing was a word: blanks between two of them are there to fold lines and mean nothing (section 6.2).
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let Some((word, behind)) = word(from) else {
            text.push_str(before);
            text.push_str("=?");
            (rest, after_word) = (&from[2..], false);
            continue;
        };
        if !(after_word && before.chars().all(|c| matches!(c, ' ' | '\t'))) {
            text.push_str(before);
        }
        text.push_str(&word);
        (rest, after_word) = (behind, true);
    }
    text.push_str(rest);
    text
}

/// The word that `text` begins with, and what follows it: `=?charset?encoding?encoded-text?=`.
fn word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, behind) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(content).ok()?,
        "Q" | "q" => quoted(content)?,
        _ => return None,
    };
    // A language may follow the charset (RFC 2231, section 5).
    let charset = charset.split('*').next().unwrap_or_default();
    let decoded = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((decoded, behind))
}

/// The bytes of the encoding `Q`.
fn quoted(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b' ' | b'?' => return None,
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_and_encoded() {
        for (sent, stored, shown) in [
            ("plain", "plain", "plain"),
            ("", "", ""),
            ("ÄMÄZÕÑ S3", "ÄMÄZÕÑ S3", "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?="),
            // The example of the User Guide.
            ("=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91?= S3", "ÄMÄZÕÑ S3", "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?="),
            ("=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?=", "ÄMÄZÕÑ S3", "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?="),
            ("=?iso-8859-1*de?q?f=FCr_uns?=", "für uns", "=?UTF-8?B?ZsO8ciB1bnM=?="),
            ("=?utf-8?b?YWJj?=", "abc", "abc"),
            ("=?utf-8?q?a?= =?utf-8?q?b?= c =?utf-8?q?d?=", "ab c d", "ab c d"),
            // What a header cannot hold is encoded too.
            ("=?utf-8?q?a=0D=0Ab?=", "a\r\nb", "=?UTF-8?B?YQ0KYg==?="),
            // No words.
            ("=?utf-8?q?a", "=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?utf-7?q?a?=", "=?utf-7?q?a?=", "=?utf-7?q?a?="),
            ("=?utf-8?b?***?=", "=?utf-8?b?***?=", "=?utf-8?b?***?="),
            ("=?utf-8?b?/w==?=", "=?utf-8?b?/w==?=", "=?utf-8?b?/w==?="),
            ("=?utf-8?q?=zz?=", "=?utf-8?q?=zz?=", "=?utf-8?q?=zz?="),
            ("a=?b=?=?utf-8?q?c?=", "a=?b=?c", "a=?b=?c"),
        ] {
            assert_eq!(decoded(sent), stored, "{sent}");
            assert_eq!(encoded(stored), shown, "{sent}");
            assert_eq!(decoded(&encoded(&encoded(stored))), decoded(stored), "{sent}");
        }
    }
}
