//! Who owns the objects that others write, and whether ACLs count
//! (S3 User Guide, "Controlling ownership of objects and disabling ACLs for your bucket").

use bytes::Bytes;
use millpond_api_s3 as api;

/// The ownership controls of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ownership {
    /// The bucket's owner owns everything, and ACLs do not count. What new buckets begin with; buckets that were never configured have it too.
    #[default]
    Enforced,
    /// The bucket's owner owns what is written with `bucket-owner-full-control`.
    Preferred,
    /// Whoever writes an object owns it.
    Writer,
    /// The controls were removed, which leaves objects to their writers.
    Removed,
}

impl Ownership {
    const STORED: [(Self, &'static str); 4] = [
        (Self::Enforced, "BucketOwnerEnforced"),
        (Self::Preferred, "BucketOwnerPreferred"),
        (Self::Writer, "ObjectWriter"),
        (Self::Removed, "removed"),
    ];

    /// Reads the stored form; `None` when it is none.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        Self::STORED.into_iter().find(|(_, text)| text.as_bytes() == bytes).map(|(ownership, _)| ownership)
    }

    /// The stored form.
    pub fn encode(self) -> Bytes {
        let text = Self::STORED.into_iter().find(|(ownership, _)| *ownership == self).map_or("", |(_, text)| text);
        Bytes::from_static(text.as_bytes())
    }

    /// Whether ACLs count.
    pub fn has_acls(self) -> bool {
        self != Self::Enforced
    }

    /// As the API shows it; `None` when there are no controls.
    pub fn shown(self) -> Option<api::ObjectOwnership> {
        match self {
            Self::Enforced => Some(api::ObjectOwnership::BucketOwnerEnforced),
            Self::Preferred => Some(api::ObjectOwnership::BucketOwnerPreferred),
            Self::Writer => Some(api::ObjectOwnership::ObjectWriter),
            Self::Removed => None,
        }
    }
}

impl From<api::ObjectOwnership> for Ownership {
    fn from(said: api::ObjectOwnership) -> Self {
        match said {
            api::ObjectOwnership::BucketOwnerEnforced => Self::Enforced,
            api::ObjectOwnership::BucketOwnerPreferred => Self::Preferred,
            api::ObjectOwnership::ObjectWriter => Self::Writer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_leads_back() {
        for (ownership, _) in Ownership::STORED {
            assert_eq!(Ownership::decode(&ownership.encode()), Some(ownership));
        }
        assert_eq!(Ownership::decode(&Bytes::new()), None);
    }
}
