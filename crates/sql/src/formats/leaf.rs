//! Texts as values of columns.

use std::borrow::Cow;

use millpond_hive::text::values::{self, Pattern, Timestamp};

use super::build::Builder;

/// Microseconds since 1970.
fn micros(time: Timestamp) -> Option<i64> {
    time.seconds.checked_mul(1_000_000)?.checked_add(i64::from(time.nanos / 1_000))
}

/// Adds the value that a text is; whether it is one of the column's type. NULL is added for what is none.
pub fn push<'a>(builder: &mut Builder, raw: &[u8], text: impl FnOnce() -> Cow<'a, str>, patterns: &[Pattern]) -> bool {
    macro_rules! value {
        ($builder:expr, $value:expr) => {{
            let value = $value;
            $builder.append_option(value);
            value.is_some()
        }};
    }
    match builder {
        Builder::Boolean(b) => value!(b, values::boolean(raw)),
        Builder::TinyInt(b) => value!(b, values::tinyint(raw)),
        Builder::SmallInt(b) => value!(b, values::smallint(raw)),
        Builder::Int(b) => value!(b, values::int(raw)),
        Builder::BigInt(b) => value!(b, values::bigint(raw)),
        Builder::Float(b) => value!(b, values::float(raw)),
        Builder::Double(b) => value!(b, values::double(raw)),
        Builder::Decimal(b, precision, scale) => value!(b, values::decimal(raw, *precision, *scale)),
        Builder::Date(b) => value!(b, values::date(raw)),
        Builder::Timestamp(b) => {
            let time = if patterns.is_empty() { values::timestamp(raw) } else { values::timestamp_by(raw, patterns) };
            value!(b, time.and_then(micros))
        }
        Builder::Text(b, length) => {
            let text = text();
            let end = length.and_then(|length| text.char_indices().nth(usize::from(length))).map(|(at, _)| at);
            b.append_value(text.get(..end.unwrap_or(text.len())).unwrap_or(&text));
            true
        }
        Builder::Bytes(b) => {
            b.append_value(bytes(raw));
            true
        }
        Builder::List(_) | Builder::Map(_) | Builder::Struct(_) => false,
    }
}

/// Adds what a number of days or milliseconds since 1970 is, as OpenCSVSerde has dates and timestamps; whether it was one of those.
///
/// Athena User Guide, "Open CSV SerDe for processing CSV".
pub fn push_count(builder: &mut Builder, text: &str) -> bool {
    match builder {
        Builder::Date(b) => text.parse().is_ok_and(|days| {
            b.append_value(days);
            true
        }),
        Builder::Timestamp(b) => {
            let micros = text.parse::<i64>().ok().and_then(|millis| millis.checked_mul(1_000));
            micros.is_some_and(|micros| {
                b.append_value(micros);
                true
            })
        }
        _ => false,
    }
}

/// `binary` is base64 in text; what is none stands for itself, as in Hive.
fn bytes(raw: &[u8]) -> Cow<'_, [u8]> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(raw).map_or(Cow::Borrowed(raw), Cow::Owned)
}
