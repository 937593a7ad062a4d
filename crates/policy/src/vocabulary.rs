//! The actions and condition keys that a bucket's policy may name: a typo in a statement that denies would protect nothing.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::error::{Fault, PolicyError};
use crate::statement::{Resources, Statement};

/// What S3 knows, in lower case.
#[derive(Default)]
struct Vocabulary {
    actions: HashMap<String, Level>,
    keys: HashSet<String>,
}

/// What an action is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    Bucket,
    Object,
}

static S3: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut all = Vocabulary::default();
    for line in include_str!("s3.txt").lines() {
        let Some((kind, name)) = line.split_once(' ') else { continue };
        let name = name.to_ascii_lowercase();
        match kind {
            "bucket" => drop(all.actions.insert(name, Level::Bucket)),
            "object" => drop(all.actions.insert(name, Level::Object)),
            "key" => drop(all.keys.insert(name)),
            _ => {}
        }
    }
    all
});

/// Refuses the statements of a bucket's policy that name an action or a key that there is not, or an action that is about none of the
/// statement's resources. A resource to which none of the actions applies is fine, as with AWS.
pub(crate) fn check(bucket: &str, statements: &[Statement]) -> Result<(), PolicyError> {
    for (at, statement) in statements.iter().enumerate() {
        let place = format!("Statement[{at}]");
        let error = |fault, reason: &str, below: &str| {
            Err(PolicyError {
                fault,
                reason: reason.to_owned(),
                place: format!("{place}.{below}"),
                at: statement.start,
            })
        };
        // With NotResource or NotAction a statement is about all that is not named.
        let named = statement.resources.as_ref().filter(|them| !them.negated && !statement.actions.negated);
        for pattern in &statement.actions.patterns {
            let element = if statement.actions.negated { "NotAction" } else { "Action" };
            let meant = || S3.actions.iter().filter(|(name, _)| pattern.matches("s3", name)).map(|(_, level)| *level);
            if meant().next().is_none() {
                return error(Fault::Action, &format!("S3 has no action {}", pattern.source()), element);
            }
            if let Some(resources) = named
                && !meant().any(|level| reaches(resources, bucket, level))
            {
                let reason = format!("{} is about none of the resources", pattern.source());
                return error(Fault::NoResource, &reason, element);
            }
        }
        if let Some(condition) = statement.conditions.iter().find(|condition| !known(&condition.key)) {
            let below = format!("Condition.{}.{}", condition.name, condition.key);
            return error(Fault::Condition, &format!("S3 has no condition key {}", condition.key), &below);
        }
    }
    Ok(())
}

/// Whether resources of a level can be among those that are named. All of them begin with the bucket's ARN.
fn reaches(resources: &Resources, bucket: &str, level: Level) -> bool {
    resources.patterns.iter().any(|pattern| {
        let rest = pattern.source().strip_prefix("arn:aws:s3:::").and_then(|rest| rest.strip_prefix(bucket));
        rest.is_some_and(|rest| match level {
            Level::Bucket => rest.bytes().all(|b| b == b'*'),
            Level::Object => !rest.is_empty(),
        })
    })
}

/// Whether a condition key is none of S3's, or one that S3 has. Keys are compared without regard to case.
fn known(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let Some(name) = key.strip_prefix("s3:") else { return true };
    match name.split_once('/') {
        Some((kind, tag)) => !tag.is_empty() && S3.keys.contains(&format!("s3:{kind}/")),
        None => S3.keys.contains(&key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        for (action, level) in [
            ("getobject", Some(Level::Object)),
            ("listbucket", Some(Level::Bucket)),
            ("listmultipartuploadparts", Some(Level::Object)),
            ("putobjectannotation", Some(Level::Object)),
            ("listallmybuckets", None),
        ] {
            assert_eq!(S3.actions.get(action).copied(), level, "{action}");
        }
        for (key, expected) in [
            ("s3:prefix", true),
            ("S3:VersionId", true),
            ("s3:ExistingObjectTag/team", true),
            ("s3:RequestObjectTag/a/b", true),
            ("s3:RequestObjectTagKeys", true),
            ("aws:SourceIp", true),
            ("s3:ExistingObjectTag", false),
            ("s3:ExistingObjectTag/", false),
            ("s3:prefix/a", false),
            ("s3:x-amz-server-side-encription", false),
            ("s3:", false),
        ] {
            assert_eq!(known(key), expected, "{key}");
        }
        let lines = include_str!("s3.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(lines, S3.actions.len() + S3.keys.len(), "a line that is not read, or one that stands twice");
    }
}
