//! The types of events that a configuration can name (S3 User Guide, "Supported event types for SQS, SNS, and Lambda").

/// Types of single events, without `s3:`. Their places are the bits of [`Events`], and no part of what is stored.
///
/// Nothing here restores, replicates, tiers or expires objects, annotates them or retains them yet: such types are taken, as they would be for a bucket
/// where nothing of the kind happens, and no event of them comes.
const TYPES: &[&str] = &[
    "ReducedRedundancyLostObject",
    "ObjectCreated:Put",
    "ObjectCreated:Post",
    "ObjectCreated:Copy",
    "ObjectCreated:CompleteMultipartUpload",
    "ObjectRemoved:Delete",
    "ObjectRemoved:DeleteMarkerCreated",
    "ObjectRestore:Post",
    "ObjectRestore:Completed",
    "ObjectRestore:Delete",
    "Replication:OperationFailedReplication",
    "Replication:OperationNotTracked",
    "Replication:OperationMissedThreshold",
    "Replication:OperationReplicatedAfterThreshold",
    "LifecycleTransition",
    "IntelligentTiering",
    "LifecycleExpiration:Delete",
    "LifecycleExpiration:DeleteMarkerCreated",
    "ObjectTagging:Put",
    "ObjectTagging:Delete",
    "ObjectAcl:Put",
    "ObjectAnnotation:Put",
    "ObjectAnnotation:Delete",
    "ObjectRetention:Put",
];

/// A set of types.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Events(u32);

impl Events {
    /// The types of a name such as `s3:ObjectCreated:Put` or `s3:ObjectCreated:*`; `None` for one that S3 does not have.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("s3:")?;
        let family = name.strip_suffix('*').filter(|family| family.ends_with(':'));
        let is = |event: &str| family.map_or(event == name, |family| event.starts_with(family));
        let bits = TYPES.iter().enumerate().filter(|(_, event)| is(event)).fold(0, |bits, (at, _)| bits | 1 << at);
        (bits != 0).then_some(Self(bits))
    }

    /// The types of both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a type is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_and_of_families() {
        for (name, expected) in [
            ("s3:ObjectCreated:Put", Some(1)),
            ("s3:ObjectCreated:*", Some(4)),
            ("s3:ObjectRemoved:*", Some(2)),
            ("s3:Replication:*", Some(4)),
            ("s3:LifecycleTransition", Some(1)),
            ("s3:ObjectAcl:Put", Some(1)),
            ("s3:ObjectTagging:*", Some(2)),
            ("s3:ReducedRedundancyLostObject", Some(1)),
            ("s3:*", None),
            ("*", None),
            ("s3:Object*", None),
            ("s3:ObjectCreated", None),
            ("s3:objectcreated:put", None),
            ("ObjectCreated:Put", None),
            ("s3:TestEvent", None),
            ("s3:", None),
            ("s3::*", None),
        ] {
            assert_eq!(Events::named(name).map(|events| events.0.count_ones()), expected, "{name}");
        }
    }

    /// What S3's model names, and nothing else.
    #[test]
    fn what_changes_here_cause_can_be_named() {
        use millpond_lake::ChangeKind::*;
        for kind in
            [ObjectPut, ObjectCopied, UploadCompleted, ObjectDeleted, MarkerCreated, TagsPut, TagsDeleted, AclPut]
        {
            let name = format!("s3:{}", kind.event().unwrap());
            assert!(Events::named(&name).is_some(), "{name}");
        }
    }
}
