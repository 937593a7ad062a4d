//! Users, groups, roles, managed policies and access keys, as they are in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use millpond_kernel::{Principal, SecretKey};
use millpond_policy::{Policy, PolicyError, PolicyKind};
use millpond_types::{AccountId, Timestamp};

use super::rows::{self, BoundRow, EntityRow, PolicyRow, RoleRow, TagRow, VersionRow};

/// What an entity is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
}

impl Kind {
    /// The word in ARNs and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// The word at the beginning of a sentence, and in names of quotas.
    pub fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    /// How unique ids begin (IAM User Guide, "Understanding unique ID prefixes").
    pub fn prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
        }
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Group => 2,
            Self::Role => 3,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::User, Self::Group, Self::Role].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Tags in the order in which they were given; keys differ in more than case.
pub type Tags = Vec<(String, String)>;

/// A policy document. It is compiled when it is first needed, and shared from then on.
#[derive(Debug)]
pub struct Document {
    text: String,
    kind: PolicyKind,
    bound: BTreeMap<String, String>,
    compiled: OnceLock<Result<Arc<Policy>, PolicyError>>,
}

impl Document {
    /// A document that was stored: it was validated when it was put.
    pub(crate) fn stored(text: String, kind: PolicyKind, bound: BTreeMap<String, String>) -> Arc<Self> {
        Arc::new(Self { text, kind, bound, compiled: OnceLock::new() })
    }

    /// A document that was just validated. `bound` are the unique ids of the principals that it names.
    pub(crate) fn parsed(mut policy: Policy, bound: BTreeMap<String, String>) -> Arc<Self> {
        policy.bind(&bound);
        let (text, kind) = (policy.text().to_owned(), policy.kind().clone());
        Arc::new(Self { text, kind, bound, compiled: OnceLock::from(Ok(Arc::new(policy))) })
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The ARNs of the principals that it names, and the unique ids that they had when it was put.
    pub fn bound(&self) -> &BTreeMap<String, String> {
        &self.bound
    }

    /// The compiled policy.
    ///
    /// # Errors
    /// A text that was accepted once and is no policy for this version of the code; whoever depends on it is to be denied.
    pub fn policy(&self) -> Result<Arc<Policy>, PolicyError> {
        let compile = || {
            let mut policy = Policy::parse(&self.text, self.kind.clone())?;
            policy.bind(&self.bound);
            Ok(Arc::new(policy))
        };
        self.compiled.get_or_init(compile).clone()
    }
}

/// What only a role has.
#[derive(Clone, Debug)]
pub struct RoleFacts {
    /// Who may assume it.
    pub trust: Arc<Document>,
    /// In words.
    pub description: Option<String>,
    /// The longest session in seconds.
    pub max_session: u32,
}

/// A user, group or role.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its account.
    pub account: AccountId,
    /// What it is.
    pub kind: Kind,
    /// Its name, unique in account and kind whatever the case.
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// Its unique id, never used again.
    pub id: String,
    /// When it was created.
    pub created: Timestamp,
    /// Of users and roles.
    pub tags: Tags,
    /// The ARN of the permissions boundary, of users and roles.
    pub boundary: Option<String>,
    /// The ARNs of managed policies, in the order in which they were attached.
    pub attached: Vec<String>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, Arc<Document>>,
    /// Of a user: the unique ids of its groups.
    pub groups: BTreeSet<String>,
    /// Of a role, and of nothing else.
    pub role: Option<RoleFacts>,
}

impl Entity {
    /// The ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:{}{}{}", self.account, self.kind.word(), self.path, self.name)
    }

    /// The principal that a user is; for a role, see its sessions.
    pub fn principal(&self) -> Principal {
        Principal::User { account: self.account, path: self.path.clone(), name: self.name.clone(), id: self.id.clone() }
    }

    pub(crate) fn row(&self) -> EntityRow {
        EntityRow {
            name: self.name.clone(),
            path: self.path.clone(),
            id: self.id.clone(),
            created: self.created.0,
            tags: tag_rows(&self.tags),
            boundary: self.boundary.clone(),
            attached: self.attached.clone(),
            groups: self.groups.iter().cloned().collect(),
            role: self.role.as_ref().map(|role| RoleRow {
                description: role.description.clone(),
                max_session: role.max_session,
                bound: (role.trust.bound.iter())
                    .map(|(arn, id)| BoundRow { arn: arn.clone(), id: id.clone() })
                    .collect(),
            }),
        }
    }

    /// From its row and documents. `None` for a role without a trust policy.
    pub(crate) fn from_row(
        account: AccountId,
        kind: Kind,
        row: EntityRow,
        mut documents: BTreeMap<String, String>,
    ) -> Option<Self> {
        let role = match row.role {
            Some(role) => {
                let bound = role.bound.into_iter().map(|bound| (bound.arn, bound.id)).collect();
                let trust = Document::stored(documents.remove(rows::TRUST)?, PolicyKind::Trust, bound);
                Some(RoleFacts { trust, description: role.description, max_session: role.max_session })
            }
            None => None,
        };
        let inline = documents
            .into_iter()
            .map(|(name, text)| (name, Document::stored(text, PolicyKind::Identity, BTreeMap::new())))
            .collect();
        Some(Self {
            account,
            kind,
            name: row.name,
            path: row.path,
            id: row.id,
            created: Timestamp(row.created),
            tags: tags_of(row.tags),
            boundary: row.boundary,
            attached: row.attached,
            inline,
            groups: row.groups.into_iter().collect(),
            role,
        })
    }
}

fn tag_rows(tags: &Tags) -> Vec<TagRow> {
    tags.iter().map(|(key, value)| TagRow { key: key.clone(), value: value.clone() }).collect()
}

fn tags_of(rows: Vec<TagRow>) -> Tags {
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

/// A version of a managed policy.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// When it was created.
    pub created: Timestamp,
    /// What it says.
    pub document: Arc<Document>,
}

/// A managed policy.
#[derive(Clone, Debug)]
pub struct ManagedPolicy {
    /// Its account; `None` for those of AWS.
    pub account: Option<AccountId>,
    /// Its name, unique in the account whatever the case.
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// Its unique id, never used again.
    pub id: String,
    /// In words.
    pub description: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When its versions were last changed.
    pub updated: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// The number of the version that counts.
    pub default: u32,
    /// The number that the next version gets.
    pub next: u32,
    /// The versions by their numbers.
    pub versions: BTreeMap<u32, PolicyVersion>,
}

impl ManagedPolicy {
    /// The ARN.
    pub fn arn(&self) -> String {
        match self.account {
            Some(account) => format!("arn:aws:iam::{account}:policy{}{}", self.path, self.name),
            None => format!("arn:aws:iam::aws:policy{}{}", self.path, self.name),
        }
    }

    /// What counts.
    pub fn document(&self) -> Option<&Arc<Document>> {
        self.versions.get(&self.default).map(|version| &version.document)
    }

    pub(crate) fn row(&self) -> PolicyRow {
        let versions = self.versions.iter();
        PolicyRow {
            name: self.name.clone(),
            path: self.path.clone(),
            id: self.id.clone(),
            description: self.description.clone(),
            created: self.created.0,
            updated: self.updated.0,
            tags: tag_rows(&self.tags),
            default: self.default,
            next: self.next,
            versions: versions.map(|(number, v)| VersionRow { number: *number, created: v.created.0 }).collect(),
        }
    }

    /// From its row and documents. `None` when a version's text is missing, or the default version.
    pub(crate) fn from_row(
        account: AccountId,
        row: PolicyRow,
        mut documents: BTreeMap<String, String>,
    ) -> Option<Self> {
        let mut versions = BTreeMap::new();
        for version in row.versions {
            let text = documents.remove(&version_id(version.number))?;
            let document = Document::stored(text, PolicyKind::Identity, BTreeMap::new());
            versions.insert(version.number, PolicyVersion { created: Timestamp(version.created), document });
        }
        versions.contains_key(&row.default).then_some(Self {
            account: Some(account),
            name: row.name,
            path: row.path,
            id: row.id,
            description: row.description,
            created: Timestamp(row.created),
            updated: Timestamp(row.updated),
            tags: tags_of(row.tags),
            default: row.default,
            next: row.next,
            versions,
        })
    }
}

/// `v3`
pub(crate) fn version_id(number: u32) -> String {
    format!("v{number}")
}

/// A long-term access key.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Its id, `AKIA...`.
    pub id: String,
    /// Its account.
    pub account: AccountId,
    /// The unique id of its user; `None` for the account's root user.
    pub user: Option<String>,
    /// Whether it works.
    pub active: bool,
    /// When it was created.
    pub created: Timestamp,
    /// The secret, sealed.
    pub(crate) sealed: Bytes,
    /// The secret, opened when it is first needed.
    pub(crate) secret: OnceLock<SecretKey>,
}
