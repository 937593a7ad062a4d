//! Amazon Resource Names.

use std::fmt;

/// `arn:partition:service:region:account:resource`
/// (AWS General Reference, "Amazon Resource Names").
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Arn(String);

impl Arn {
    /// Parses an ARN: six fields, the first `arn`, none of partition, service and resource empty.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(6, ':');
        let head = fields.next()? == "arn";
        let partition = !fields.next()?.is_empty();
        let service = !fields.next()?.is_empty();
        let (_region, _account) = (fields.next()?, fields.next()?);
        let resource = !fields.next()?.is_empty();
        (head && partition && service && resource).then(|| Self(text.to_owned()))
    }

    /// The ARN of a bucket, or with `key` of an object in it. S3 ARNs name neither region nor account.
    pub fn s3(bucket: &str, key: Option<&str>) -> Self {
        match key {
            Some(key) => Self(format!("arn:aws:s3:::{bucket}/{key}")),
            None => Self(format!("arn:aws:s3:::{bucket}")),
        }
    }

    /// An ARN made of fields that are known to be good.
    pub fn new(service: &str, region: &str, account: &str, resource: &str) -> Self {
        Self(format!("arn:aws:{service}:{region}:{account}:{resource}"))
    }

    /// `*`: what actions touch that have no resource of their own, such as `kms:CreateKey`.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// The service, such as `sqs`; empty for [`Self::any`].
    pub fn service(&self) -> &str {
        self.field(2)
    }

    /// The region; empty where the ARN names none.
    pub fn region(&self) -> &str {
        self.field(3)
    }

    /// The account, as it is written; `None` where the ARN names none.
    pub fn account(&self) -> Option<&str> {
        Some(self.field(4)).filter(|account| !account.is_empty())
    }

    /// The resource: what stands behind the fifth colon.
    pub fn resource(&self) -> &str {
        self.0.splitn(6, ':').nth(5).unwrap_or_default()
    }

    fn field(&self, number: usize) -> &str {
        self.0.splitn(6, ':').nth(number).unwrap_or_default()
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_is_an_arn() {
        for (text, good) in [
            ("arn:aws:s3:::bucket/a:b", true),
            ("arn:aws:iam::123456789012:root", true),
            ("arn:aws:s3::", false),
            ("arn:aws:s3:::", false),
            ("aws:arn:s3:::b", false),
        ] {
            assert_eq!(Arn::parse(text).is_some(), good, "{text}");
        }
    }
}
