//! The `Range` header (RFC 9110, section 14), as S3 serves it: one range of bytes, or else the whole.

use std::ops::Range;

/// What a `Range` header asks of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All of it: there is no header, or one that a server ignores (malformed, another unit, several ranges).
    Whole,
    /// These bytes; never empty, never beyond the end.
    Part(Range<u64>),
    /// Nothing that the object has: 416.
    Unsatisfiable,
}

/// Reads the header's value for an object of `size` bytes.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    match header.and_then(parse) {
        None => Wanted::Whole,
        Some(Spec::From(first)) if first < size => Wanted::Part(first..size),
        Some(Spec::Closed(first, last)) if first < size => Wanted::Part(first..last.saturating_add(1).min(size)),
        Some(Spec::Suffix(length)) if length > 0 && size > 0 => Wanted::Part(size.saturating_sub(length)..size),
        Some(_) => Wanted::Unsatisfiable,
    }
}

/// Reads `x-amz-copy-source-range`: `bytes=first-last`, both given, as UploadPartCopy demands.
pub fn copy_source_range(text: &str) -> Option<Range<u64>> {
    match parse(text)? {
        Spec::Closed(first, last) => Some(first..last.checked_add(1)?),
        _ => None,
    }
}

enum Spec {
    From(u64),
    Closed(u64, u64),
    Suffix(u64),
}

fn parse(text: &str) -> Option<Spec> {
    let spec = text.trim().strip_prefix("bytes=")?.trim();
    let (first, last) = spec.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => Some(Spec::Suffix(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Closed(first, last))
        }
    }
}

/// Digits alone; more than a u64 holds counts as its largest value.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (header, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-4"), Wanted::Part(0..5)),
            (Some("bytes=5-"), Wanted::Part(5..10)),
            (Some("bytes=9-99"), Wanted::Part(9..10)),
            (Some("bytes=-3"), Wanted::Part(7..10)),
            (Some("bytes=-99"), Wanted::Part(0..10)),
            (Some("bytes=0-18446744073709551616"), Wanted::Part(0..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=10-12"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=4-2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("items=0-1"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
    }

    #[test]
    fn no_range_of_an_empty_object_can_be_satisfied() {
        for header in ["bytes=0-0", "bytes=0-", "bytes=-1"] {
            assert_eq!(wanted(Some(header), 0), Wanted::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn copy_ranges_name_both_ends() {
        for (text, expected) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=5-5", Some(5..6)),
            ("bytes=5-", None),
            ("bytes=-5", None),
            ("0-9", None),
            ("bytes=9-5", None),
        ] {
            assert_eq!(copy_source_range(text), expected, "{text}");
        }
    }
}
