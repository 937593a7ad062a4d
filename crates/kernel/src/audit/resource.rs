//! What kind of thing an ARN names, in the words of CloudFormation that records use.

/// Services, what their resources begin with, and the type. The first that fits.
const TYPES: &[(&str, &str, &str)] = &[
    ("iam", "user/", "AWS::IAM::User"),
    ("iam", "group/", "AWS::IAM::Group"),
    ("iam", "role/", "AWS::IAM::Role"),
    ("iam", "policy/", "AWS::IAM::Policy"),
    ("iam", "instance-profile/", "AWS::IAM::InstanceProfile"),
    ("kms", "key/", "AWS::KMS::Key"),
    ("kms", "alias/", "AWS::KMS::Alias"),
    ("events", "event-bus/", "AWS::Events::EventBus"),
    ("events", "rule/", "AWS::Events::Rule"),
    ("events", "archive/", "AWS::Events::Archive"),
    ("events", "connection/", "AWS::Events::Connection"),
    ("events", "api-destination/", "AWS::Events::ApiDestination"),
];

/// The type of the resource that an ARN names; `None` for what has none.
pub(super) fn kind(arn: &str) -> Option<&'static str> {
    let mut fields = arn.splitn(6, ':').skip(2);
    let (service, resource) = (fields.next()?, fields.nth(2)?);
    if service == "s3" {
        return Some(if resource.contains('/') { "AWS::S3::Object" } else { "AWS::S3::Bucket" });
    }
    let known = TYPES.iter().find(|(of, begins, _)| *of == service && resource.starts_with(begins));
    known.map(|(_, _, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_have_types() {
        for (arn, expected) in [
            ("arn:aws:s3:::b", Some("AWS::S3::Bucket")),
            ("arn:aws:s3:::b/k:1", Some("AWS::S3::Object")),
            ("arn:aws:kms:us-east-1:111122223333:key/k", Some("AWS::KMS::Key")),
            ("arn:aws:iam::111122223333:user/a/b", Some("AWS::IAM::User")),
            ("arn:aws:iam::111122223333:root", None),
            ("*", None),
        ] {
            assert_eq!(kind(arn), expected, "{arn}");
        }
    }
}
