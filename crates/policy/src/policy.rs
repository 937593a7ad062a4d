//! A policy: a document that was parsed, validated and compiled.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use millpond_types::AccountId;

use crate::action::Lowered;
use crate::error::PolicyError;
use crate::statement::{Effect, Statement};
use crate::who::{Name, Reach};
use crate::{Question, document, vocabulary};

/// What a policy belongs to, which decides what may stand in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicyKind {
    /// A user, group or role: no principals; Version 2012-10-17.
    Identity,
    /// A session: as an identity's.
    Session,
    /// An organization: as an identity's.
    ServiceControl,
    /// A bucket: principals, and resources of this bucket alone.
    Bucket {
        /// The bucket's name.
        name: String,
    },
    /// A KMS key: principals; its resources are the key itself.
    Key,
    /// A resource of some other service, such as a topic: principals, and actions of that service alone.
    Resource {
        /// The service, as actions begin: `sns`.
        service: &'static str,
    },
    /// A role's trust: principals, actions of STS, no resources.
    Trust,
}

/// How large policies may be, by the kind of what they belong to (IAM User Guide, "IAM and AWS STS quotas"; S3 and KMS quotas).
pub mod limits {
    /// Characters of a managed policy, white space not counted.
    pub const MANAGED: usize = 6_144;
    /// Characters of all inline policies of a user, white space not counted.
    pub const USER_INLINE: usize = 2_048;
    /// Characters of all inline policies of a group, white space not counted.
    pub const GROUP_INLINE: usize = 5_120;
    /// Characters of all inline policies of a role, white space not counted.
    pub const ROLE_INLINE: usize = 10_240;
    /// Characters of a role's trust policy, white space not counted.
    pub const TRUST: usize = 2_048;
    /// Characters of the session policies of one session.
    pub const SESSION: usize = 2_048;
    /// Bytes of a bucket's policy.
    pub const BUCKET: usize = 20 * 1024;
    /// Bytes of a key's policy.
    pub const KEY: usize = 32 * 1024;
    /// Bytes of any document: what the largest parameter holds. Bounds what is parsed at all.
    pub const ANY: usize = 131_072;

    /// The characters that count where white space does not.
    pub fn counted(text: &str) -> usize {
        text.chars().filter(|c| !c.is_ascii_whitespace()).count()
    }
}

/// A parsed, validated and compiled policy.
#[derive(Clone, Debug)]
pub struct Policy {
    text: String,
    kind: PolicyKind,
    statements: Vec<Statement>,
    variables: bool,
    index: Index,
}

/// Which statements can be about an action, in the order of the document.
#[derive(Clone, Debug, Default)]
struct Index {
    /// By the one action that a statement names, in lower case.
    exact: HashMap<String, Vec<u32>>,
    /// By the service of a pattern.
    service: HashMap<String, Vec<u32>>,
    /// About any action: `*` and NotAction.
    any: Vec<u32>,
}

/// What one policy says to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Says {
    /// Whether a statement denies.
    pub denies: bool,
    /// How directly a statement allows.
    pub allows: Reach,
}

impl Says {
    /// What two policies say together.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { denies: self.denies || other.denies, allows: self.allows.max(other.allows) }
    }
}

impl Policy {
    /// Parses, validates and compiles a document.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Self, PolicyError> {
        let (statements, variables) = document::statements(text, &kind)?;
        let index = Index::of(&statements);
        Ok(Self { text: text.to_owned(), kind, statements, variables, index })
    }

    /// Refuses what a new policy of a bucket may not name, though one that is kept may: actions and condition keys that S3 does not have,
    /// and actions that are about none of their statement's resources. Apart from [`Self::parse`], so that a policy that another version
    /// accepted goes on to be obeyed.
    pub fn check_names(&self) -> Result<(), PolicyError> {
        match &self.kind {
            PolicyKind::Bucket { name } => vocabulary::check(name, &self.statements),
            _ => Ok(()),
        }
    }

    /// The document as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it belongs to.
    pub fn kind(&self) -> &PolicyKind {
        &self.kind
    }

    /// Whether `${...}` is a variable in it: whether it is of Version 2012-10-17.
    pub fn has_variables(&self) -> bool {
        self.variables
    }

    /// Its statements, in order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The ARNs of users and roles that it names as principals.
    pub fn principals(&self) -> BTreeSet<&str> {
        self.statements.iter().filter_map(|statement| statement.who.as_ref()).flat_map(|who| who.arns()).collect()
    }

    /// The accounts that it names as principals, by themselves or in the ARNs of sessions.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        self.names().filter_map(Name::named_account).collect()
    }

    /// The unique ids that stand for principals.
    pub fn principal_ids(&self) -> BTreeSet<&str> {
        let ids = self.names().filter_map(|name| match name {
            Name::Id(id) => Some(id.as_str()),
            _ => None,
        });
        ids.collect()
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        self.statements.iter().filter_map(|statement| statement.who.as_ref()).flat_map(|who| &who.names)
    }

    /// Binds the ARNs of principals to unique ids, so that whoever has the name later does not inherit what is allowed here. An ARN that
    /// is not among them names nobody.
    pub fn bind(&mut self, ids: &BTreeMap<String, String>) {
        for who in self.statements.iter_mut().filter_map(|statement| statement.who.as_mut()) {
            who.bind(ids);
        }
    }

    /// The condition keys that it asks about, as they are written: in conditions and in variables.
    pub fn condition_keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        for statement in &self.statements {
            for condition in &statement.conditions {
                keys.insert(condition.key.as_str());
                keys.extend(condition.variables());
            }
            for pattern in statement.resources.iter().flat_map(|resources| &resources.patterns) {
                keys.extend(pattern.variables());
            }
        }
        keys
    }

    /// What it says. `bounded` tells whether the principal has a permissions boundary.
    pub fn says(&self, question: &Question<'_>, bounded: bool) -> Says {
        let mut says = Says::default();
        let Some(action) = Lowered::new(question.action) else { return says };
        for statement in self.index.candidates(&action).filter_map(|at| self.statements.get(at as usize)) {
            // One that cannot add anything is not looked at. A deny does not end it: there is one whom it does not bind.
            match statement.effect {
                Effect::Deny if says.denies => {}
                Effect::Allow if says.allows == Reach::Direct => {}
                Effect::Deny => says.denies = statement.reach(question, &action, bounded) != Reach::None,
                Effect::Allow => says.allows = says.allows.max(statement.reach(question, &action, bounded)),
            }
        }
        says
    }
}

impl Index {
    fn of(statements: &[Statement]) -> Self {
        let mut index = Self::default();
        for (at, statement) in statements.iter().enumerate() {
            // No document within the limits has so many.
            let Ok(at) = u32::try_from(at) else { break };
            index.add(at, statement);
        }
        index
    }

    fn add(&mut self, at: u32, statement: &Statement) {
        let patterns = &statement.actions.patterns;
        if statement.actions.negated || patterns.iter().any(|pattern| pattern.service().is_none()) {
            return self.any.push(at);
        }
        for pattern in patterns {
            let list = match (pattern.exact(), pattern.service()) {
                (Some(action), _) => self.exact.entry(action).or_default(),
                (None, Some(service)) => self.service.entry(service.to_owned()).or_default(),
                (None, None) => &mut self.any,
            };
            if list.last() != Some(&at) {
                list.push(at);
            }
        }
    }

    fn candidates<'a>(&'a self, action: &Lowered) -> impl Iterator<Item = u32> + 'a {
        let exact = self.exact.get(action.whole()).map(Vec::as_slice).unwrap_or_default();
        let service = self.service.get(action.service()).map(Vec::as_slice).unwrap_or_default();
        exact.iter().chain(service).chain(&self.any).copied()
    }
}
