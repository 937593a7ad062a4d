//! Names of trails, alone or within an ARN.

use std::net::Ipv4Addr;

use millpond_kernel::ServiceError;
use millpond_types::{AccountId, Arn, Region};

use crate::errors;

/// Characters of a name (API reference, CreateTrail).
const LENGTH: std::ops::RangeInclusive<usize> = 3..=128;

/// A trail that a request names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Whose it is.
    pub account: AccountId,
    /// Its name.
    pub name: String,
}

impl Named {
    /// Reads a name, or an ARN of this region.
    pub fn parse(text: &str, account: AccountId, region: &Region) -> Result<Self, ServiceError> {
        if !text.starts_with("arn:") {
            check(text)?;
            return Ok(Self { account, name: text.to_owned() });
        }
        let bad = || errors::trail_arn(text);
        let arn = Arn::parse(text).ok_or_else(bad)?;
        let name = arn.resource().strip_prefix("trail/").ok_or_else(bad)?;
        let owner = arn.account().and_then(|account| account.parse().ok()).ok_or_else(bad)?;
        if arn.service() != "cloudtrail" || arn.region() != region.as_str() {
            return Err(bad());
        }
        check(name)?;
        Ok(Self { account: owner, name: name.to_owned() })
    }
}

/// What a name may be (API reference, CreateTrail).
fn check(name: &str) -> Result<(), ServiceError> {
    if !LENGTH.contains(&name.len()) {
        return Err(errors::trail_name("Trail name must be between 3 and 128 characters long."));
    }
    let bytes = name.as_bytes();
    if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)) {
        return Err(errors::trail_name(
            "Trail name can contain only ASCII letters, numbers, periods, underscores and dashes.",
        ));
    }
    if !bytes[0].is_ascii_alphanumeric() || !bytes[bytes.len() - 1].is_ascii_alphanumeric() {
        return Err(errors::trail_name("Trail name must begin and end with a letter or number."));
    }
    let adjacent = bytes.windows(2).any(|pair| pair.iter().all(|byte| b"._-".contains(byte)));
    if adjacent {
        return Err(errors::trail_name("Trail name can have no adjacent periods, underscores or dashes."));
    }
    if name.parse::<Ipv4Addr>().is_ok() {
        return Err(errors::trail_name("Trail name must not be in IP address format."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns() {
        let account: AccountId = "111122223333".parse().unwrap();
        let (name, arn) = ("InvalidTrailNameException", "CloudTrailARNInvalidException");
        for (text, expected) in [
            ("my-trail", Ok(("111122223333", "my-trail"))),
            ("arn:aws:cloudtrail:us-east-1:444455556666:trail/other", Ok(("444455556666", "other"))),
            ("ab", Err(name)),
            ("a b c", Err(name)),
            ("-abc", Err(name)),
            ("abc.", Err(name)),
            ("a._b", Err(name)),
            ("192.168.5.4", Err(name)),
            ("arn:aws:cloudtrail:eu-west-1:444455556666:trail/other", Err(arn)),
            ("arn:aws:s3:us-east-1:444455556666:trail/other", Err(arn)),
            ("arn:aws:cloudtrail:us-east-1:444455556666:other", Err(arn)),
            ("arn:aws:cloudtrail:us-east-1::trail/other", Err(arn)),
        ] {
            let found = Named::parse(text, account, &"us-east-1".parse().unwrap());
            let found = found.map(|named| (named.account.to_string(), named.name)).map_err(|error| error.code);
            let expected = expected.map(|(a, n)| (a.to_owned(), n.to_owned())).map_err(Into::into);
            assert_eq!(found, expected, "{text}");
        }
    }
}
