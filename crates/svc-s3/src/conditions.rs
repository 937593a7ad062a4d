//! Conditional requests (RFC 9110, section 13; S3 API reference, GetObject and CopyObject).

use millpond_kernel::ServiceError;
use millpond_types::Timestamp;

/// What the client made its read depend on. ETags as sent, quoted or not.
#[derive(Clone, Debug, Default)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Timestamp>,
}

/// What becomes of a conditional read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is carried out.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412, with the name of the condition that failed.
    Failed(&'static str),
}

impl ReadConditions {
    /// Judges the conditions in RFC 9110's order: `If-Match` makes `If-Unmodified-Since` void, `If-None-Match` makes
    /// `If-Modified-Since` void. Times count in whole seconds, as `Last-Modified` shows them.
    pub fn judge(&self, etag: &str, modified: Timestamp) -> Outcome {
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !lists(tags, etag) => return Outcome::Failed("If-Match"),
            (None, Some(time)) if modified.seconds() > time.seconds() => return Outcome::Failed("If-Unmodified-Since"),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if lists(tags, etag) => Outcome::NotModified,
            (None, Some(time)) if modified.seconds() <= time.seconds() => Outcome::NotModified,
            _ => Outcome::Proceed,
        }
    }
}

/// Whether a list of entity tags holds `etag`; `*` holds every one. Weak tags compare as strong ones, as S3 has no others.
pub fn lists(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || bare(tag) == etag)
}

/// An entity tag without `W/` and quotes.
pub fn bare(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(tag)
}

/// S3's 412.
pub fn precondition_failed(condition: &str) -> ServiceError {
    ServiceError::new("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold")
        .field("Condition", condition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_in_their_order() {
        let at = |s| Some(Timestamp::from_seconds(s));
        let tag = |t: &str| Some(t.to_owned());
        use Outcome::*;
        for (if_match, if_none_match, since, unmodified, expected) in [
            (None, None, None, None, Proceed),
            (tag("\"abc\""), None, None, None, Proceed),
            (tag("abc"), None, None, None, Proceed),
            (tag("*"), None, None, None, Proceed),
            (tag("\"x\", \"abc\""), None, None, None, Proceed),
            (tag("\"x\""), None, None, None, Failed("If-Match")),
            (tag("\"abc\""), None, None, at(50), Proceed),
            (None, None, None, at(50), Failed("If-Unmodified-Since")),
            (None, None, None, at(100), Proceed),
            (None, tag("\"abc\""), None, None, NotModified),
            (None, tag("W/\"abc\""), None, None, NotModified),
            (None, tag("\"x\""), None, None, Proceed),
            (None, tag("\"x\""), at(200), None, Proceed),
            (None, None, at(100), None, NotModified),
            (None, None, at(99), None, Proceed),
            (tag("\"abc\""), tag("\"abc\""), None, None, NotModified),
        ] {
            let conditions =
                ReadConditions { if_match, if_none_match, if_modified_since: since, if_unmodified_since: unmodified };
            let modified = Timestamp(100_900_000_000);
            assert_eq!(conditions.judge("abc", modified), expected, "{conditions:?}");
        }
    }
}
