//! Access control lists (S3 User Guide, "Access control list (ACL) overview").

use bytes::Bytes;
use http::HeaderMap;
use millpond_api_s3 as api;
use millpond_kernel::{Grant, Grantee, ServiceError};
use millpond_types::AccountId;
use prost::Message;

use crate::errors;

/// The most grants of an ACL (ACL overview).
const MAX_GRANTS: usize = 100;
const GROUPS: &str = "http://acs.amazonaws.com/groups/";
/// The account of Amazon EC2 that `aws-exec-read` lets read.
const EXEC_READ: &str = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c";

/// To whom something is granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum To {
    /// An account, by its canonical id.
    Account(String),
    /// Everybody.
    AllUsers,
    /// Everybody who signs.
    AuthenticatedUsers,
    /// Those who deliver logs: nobody here.
    LogDelivery,
}

impl To {
    /// The group of a URI.
    fn group(uri: &str) -> Option<Self> {
        match uri.strip_prefix(GROUPS)? {
            "global/AllUsers" => Some(Self::AllUsers),
            "global/AuthenticatedUsers" => Some(Self::AuthenticatedUsers),
            "s3/LogDelivery" => Some(Self::LogDelivery),
            _ => None,
        }
    }

    fn uri(&self) -> Option<String> {
        let group = match self {
            Self::Account(_) => return None,
            Self::AllUsers => "global/AllUsers",
            Self::AuthenticatedUsers => "global/AuthenticatedUsers",
            Self::LogDelivery => "s3/LogDelivery",
        };
        Some(format!("{GROUPS}{group}"))
    }

    /// The stored form: a canonical id or a URI.
    fn stored(&self) -> String {
        match self {
            Self::Account(id) => id.clone(),
            group => group.uri().unwrap_or_default(),
        }
    }

    fn of_stored(text: String) -> Self {
        Self::group(&text).unwrap_or(Self::Account(text))
    }
}

/// An ACL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acl(pub Vec<(To, api::Permission)>);

/// The stored form. A tag never changes its meaning.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(message, repeated, tag = "1")]
    grants: Vec<GrantRow>,
}

#[derive(Clone, PartialEq, Message)]
struct GrantRow {
    #[prost(string, tag = "1")]
    to: String,
    #[prost(string, tag = "2")]
    permission: String,
}

impl Acl {
    /// The owner alone: what holds when nothing is stored.
    pub fn private(owner: AccountId) -> Self {
        Self(vec![(To::Account(owner.canonical_id()), api::Permission::FullControl)])
    }

    /// Reads the stored form; `None` when it is none.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let row = Row::decode(bytes.clone()).ok()?;
        let grant = |grant: GrantRow| Some((To::of_stored(grant.to), api::Permission::parse(&grant.permission)?));
        row.grants.into_iter().map(grant).collect::<Option<_>>().map(Self)
    }

    /// The stored form; nothing for an ACL that names the owner alone.
    pub fn encode(&self, owner: AccountId) -> Option<Bytes> {
        if *self == Self::private(owner) {
            return None;
        }
        let grant = |(to, permission): &(To, api::Permission)| GrantRow {
            to: to.stored(),
            permission: permission.as_str().into(),
        };
        Some(Row { grants: self.0.iter().map(grant).collect() }.encode_to_vec().into())
    }

    /// A canned ACL by its name. `bucket_owner` is given for objects, whose owner may be another (ACL overview, "Canned ACL").
    pub fn canned(name: &str, owner: AccountId, bucket_owner: Option<AccountId>) -> Result<Self, ServiceError> {
        use api::Permission::{FullControl, Read, ReadAcp, Write};
        let further = match (name, bucket_owner) {
            ("private", _) => vec![],
            ("public-read", _) => vec![(To::AllUsers, Read)],
            ("public-read-write", _) => vec![(To::AllUsers, Read), (To::AllUsers, Write)],
            ("authenticated-read", _) => vec![(To::AuthenticatedUsers, Read)],
            ("log-delivery-write", None) => vec![(To::LogDelivery, Write), (To::LogDelivery, ReadAcp)],
            ("aws-exec-read", _) => vec![(To::Account(EXEC_READ.to_owned()), Read)],
            ("bucket-owner-read", Some(other)) if other != owner => vec![(To::Account(other.canonical_id()), Read)],
            ("bucket-owner-full-control", Some(other)) if other != owner => {
                vec![(To::Account(other.canonical_id()), FullControl)]
            }
            // Of a bucket, and of an object that the bucket's owner owns, they say nothing more.
            ("bucket-owner-read" | "bucket-owner-full-control", _) => vec![],
            (other, _) => {
                return Err(errors::invalid_argument("x-amz-acl", Some(other), "The canned ACL is not known."));
            }
        };
        let mut acl = Self::private(owner);
        acl.0.extend(further);
        Ok(acl)
    }

    /// An ACL from `x-amz-grant-*` headers; `None` when there are none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ServiceError> {
        let mut acl = Self::default();
        for (header, permission) in GRANT_HEADERS {
            for value in headers.get_all(header) {
                for item in value.to_str().unwrap_or_default().split(',') {
                    acl.0.push((grantee_of(header, item.trim())?, permission));
                }
            }
        }
        if acl.0.is_empty() { Ok(None) } else { acl.checked().map(Some) }
    }

    /// An ACL from a document, which has to name the owner rightly where it names one.
    pub fn from_document(document: &api::AccessControlPolicy, owner: AccountId) -> Result<Self, ServiceError> {
        let named = document.owner.as_ref().and_then(|owner| owner.id.as_deref());
        if named.is_some_and(|named| named != owner.canonical_id()) {
            return Err(errors::access_denied());
        }
        let mut acl = Self::default();
        for grant in document.grants.as_deref().unwrap_or_default() {
            let (Some(grantee), Some(permission)) = (&grant.grantee, grant.permission) else {
                return Err(malformed_acl());
            };
            let to = match (grantee.type_, &grantee.id, &grantee.uri) {
                (api::Type::CanonicalUser, Some(id), _) => account(id)?,
                (api::Type::Group, _, Some(uri)) => To::group(uri)
                    .ok_or_else(|| errors::invalid_argument("Grantee/URI", Some(uri), "Invalid group uri"))?,
                (api::Type::AmazonCustomerByEmail, ..) => return Err(by_email()),
                _ => return Err(malformed_acl()),
            };
            acl.0.push((to, permission));
        }
        acl.checked()
    }

    fn checked(self) -> Result<Self, ServiceError> {
        if self.0.len() <= MAX_GRANTS { Ok(self) } else { Err(malformed_acl()) }
    }

    /// Whether it lets everybody in, or everybody who signs (User Guide, "The meaning of public").
    pub fn is_public(&self) -> bool {
        self.0.iter().any(|(to, _)| matches!(to, To::AllUsers | To::AuthenticatedUsers))
    }

    /// Whether it grants anything to anybody but its owner.
    pub fn is_shared(&self, owner: AccountId) -> bool {
        let own = To::Account(owner.canonical_id());
        self.0.iter().any(|(to, _)| *to != own)
    }

    /// Its accounts, for a check that they exist.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.0.iter().filter_map(|(to, _)| match to {
            To::Account(id) => AccountId::from_canonical(id),
            _ => None,
        })
    }

    /// Its grants that are about an action (ACL overview, "Mapping of ACL permissions and access policy permissions").
    pub fn grants(&self, action: &str) -> Vec<Grant> {
        let fits = |permission: api::Permission| {
            let wanted = permission_of(action);
            wanted.is_some_and(|wanted| permission == wanted || permission == api::Permission::FullControl)
        };
        let to = |to: &To| match to {
            To::Account(id) => AccountId::from_canonical(id).map(Grantee::Account),
            To::AllUsers => Some(Grantee::Everybody),
            To::AuthenticatedUsers => Some(Grantee::Authenticated),
            To::LogDelivery => None,
        };
        let fitting = self.0.iter().filter(|(_, permission)| fits(*permission));
        fitting.filter_map(|(grantee, _)| Some(Grant { to: to(grantee)?, what: "ACL".to_owned() })).collect()
    }

    /// As the API shows it.
    pub fn shown(&self) -> Vec<api::Grant> {
        let grantee = |to: &To| api::Grantee {
            id: match to {
                To::Account(id) => Some(id.clone()),
                _ => None,
            },
            type_: if matches!(to, To::Account(_)) { api::Type::CanonicalUser } else { api::Type::Group },
            display_name: None,
            email_address: None,
            uri: to.uri(),
        };
        self.0
            .iter()
            .map(|(to, permission)| api::Grant { grantee: Some(grantee(to)), permission: Some(*permission) })
            .collect()
    }
}

/// Headers that grant, and what.
pub const GRANT_HEADERS: [(&str, api::Permission); 5] = [
    ("x-amz-grant-full-control", api::Permission::FullControl),
    ("x-amz-grant-read", api::Permission::Read),
    ("x-amz-grant-read-acp", api::Permission::ReadAcp),
    ("x-amz-grant-write", api::Permission::Write),
    ("x-amz-grant-write-acp", api::Permission::WriteAcp),
];

/// Whether a request has headers of an ACL, which need a permission of their own.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.contains_key("x-amz-acl") || GRANT_HEADERS.iter().any(|(header, _)| headers.contains_key(*header))
}

/// The permission of a bucket's ACL, or an object's, that lets an action through.
fn permission_of(action: &str) -> Option<api::Permission> {
    Some(match action.strip_prefix("s3:")? {
        "ListBucket" | "ListBucketVersions" | "ListBucketMultipartUploads" | "GetObject" | "GetObjectVersion" => {
            api::Permission::Read
        }
        "PutObject" | "DeleteObject" => api::Permission::Write,
        "GetBucketAcl" | "GetObjectAcl" | "GetObjectVersionAcl" => api::Permission::ReadAcp,
        "PutBucketAcl" | "PutObjectAcl" | "PutObjectVersionAcl" => api::Permission::WriteAcp,
        _ => return None,
    })
}

/// A grantee of a header: `id="..."` or `uri="..."`.
fn grantee_of(header: &str, item: &str) -> Result<To, ServiceError> {
    let malformed = || errors::invalid_argument(header, Some(item), "Argument format not recognized");
    let (kind, value) = item.split_once('=').ok_or_else(malformed)?;
    let value = value.trim().trim_matches('"');
    match kind.trim() {
        "id" => account(value),
        "uri" => To::group(value).ok_or_else(|| errors::invalid_argument("uri", Some(value), "Invalid group uri")),
        "emailAddress" => Err(by_email()),
        _ => Err(malformed()),
    }
}

fn account(id: &str) -> Result<To, ServiceError> {
    let known = id == EXEC_READ || AccountId::from_canonical(id).is_some();
    if known { Ok(To::Account(id.to_owned())) } else { Err(invalid_id(id)) }
}

/// AWS's answer to a canonical id that nobody has.
pub fn invalid_id(id: &str) -> ServiceError {
    errors::invalid_argument("CanonicalUser/ID", Some(id), "Invalid id")
}

/// Accounts have no e-mail addresses here; AWS has stopped taking them too.
fn by_email() -> ServiceError {
    ServiceError::not_implemented("A grantee by e-mail address")
}

fn malformed_acl() -> ServiceError {
    ServiceError::new(
        "MalformedACLError",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn other() -> AccountId {
        "444455556666".parse().unwrap()
    }

    #[test]
    fn canned_acls() {
        for (name, bucket_owner, grants, public) in [
            ("private", None, 1, false),
            ("public-read", None, 2, true),
            ("public-read-write", None, 3, true),
            ("authenticated-read", None, 2, true),
            ("log-delivery-write", None, 3, false),
            ("aws-exec-read", Some(owner()), 2, false),
            ("bucket-owner-read", Some(other()), 2, false),
            ("bucket-owner-full-control", Some(other()), 2, false),
            ("bucket-owner-full-control", Some(owner()), 1, false),
        ] {
            let acl = Acl::canned(name, owner(), bucket_owner).unwrap();
            assert_eq!((acl.0.len(), acl.is_public()), (grants, public), "{name}");
            let stored = acl.encode(owner());
            assert_eq!(stored.is_none(), grants == 1, "{name}");
            assert_eq!(stored.map_or(Some(Acl::private(owner())), |bytes| Acl::decode(&bytes)), Some(acl), "{name}");
        }
        assert!(Acl::canned("nonsense", owner(), None).is_err());
        assert!(Acl::canned("log-delivery-write", owner(), Some(other())).is_err());
    }

    #[test]
    fn headers() {
        let id = other().canonical_id();
        for (name, value, expected) in [
            ("x-amz-grant-read", format!("id={id}"), Ok(vec![(To::Account(id.clone()), api::Permission::Read)])),
            (
                "x-amz-grant-full-control",
                format!("id=\"{id}\", uri=\"{GROUPS}global/AllUsers\""),
                Ok(vec![
                    (To::Account(id.clone()), api::Permission::FullControl),
                    (To::AllUsers, api::Permission::FullControl),
                ]),
            ),
            ("x-amz-grant-write", "emailAddress=\"a@example.org\"".into(), Err("NotImplemented")),
            ("x-amz-grant-write", "id=12".into(), Err("InvalidArgument")),
            ("x-amz-grant-write", "uri=http://example.org".into(), Err("InvalidArgument")),
            ("x-amz-grant-write", "nobody".into(), Err("InvalidArgument")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let acl = Acl::from_headers(&headers).map(|acl| acl.unwrap_or_default().0);
            assert_eq!(acl.map_err(|error| error.code.into_owned()), expected.map_err(str::to_owned), "{value}");
        }
        assert_eq!(Acl::from_headers(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn grants_are_for_actions() {
        let acl = Acl(vec![
            (To::AllUsers, api::Permission::Read),
            (To::Account(other().canonical_id()), api::Permission::WriteAcp),
            (To::Account(owner().canonical_id()), api::Permission::FullControl),
            (To::LogDelivery, api::Permission::FullControl),
        ]);
        for (action, expected) in [
            ("s3:GetObject", vec![Grantee::Everybody, Grantee::Account(owner())]),
            ("s3:ListBucket", vec![Grantee::Everybody, Grantee::Account(owner())]),
            ("s3:PutObject", vec![Grantee::Account(owner())]),
            ("s3:GetObjectAcl", vec![Grantee::Account(owner())]),
            ("s3:PutObjectVersionAcl", vec![Grantee::Account(other()), Grantee::Account(owner())]),
            ("s3:PutBucketPolicy", vec![]),
            ("s3:GetObjectTagging", vec![]),
        ] {
            let grants: Vec<_> = acl.grants(action).into_iter().map(|grant| grant.to).collect();
            assert_eq!(grants, expected, "{action}");
        }
    }
}
