//! The identities of one account at one moment. A change makes the next snapshot; what was derived from one belongs to it alone, so that
//! nothing that is derived can be out of date.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use millpond_kernel::{DirectoryError, Named, PolicySource, Rights};
use millpond_policy::Policy;
use millpond_types::AccountId;

use super::model::{AccessKey, Entity, Kind, ManagedPolicy};
use crate::managed;

/// The identities of an account.
#[derive(Clone, Debug)]
pub struct Account {
    id: AccountId,
    entities: BTreeMap<(Kind, String), Arc<Entity>>,
    by_id: HashMap<String, (Kind, String)>,
    policies: BTreeMap<String, Arc<ManagedPolicy>>,
    keys: BTreeMap<String, Arc<AccessKey>>,
    derived: Derived,
}

/// How often a managed policy is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Attached to so many users, groups and roles.
    pub attached: u32,
    /// The permissions boundary of so many users and roles.
    pub boundary: u32,
}

/// What follows from a snapshot. A clone, which is about to be changed, begins without.
#[derive(Debug, Default)]
struct Derived {
    rights: RwLock<HashMap<String, Arc<Rights>>>,
    usage: OnceLock<HashMap<String, Usage>>,
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The form in which names are compared: they are ASCII (IAM API reference, patterns of names).
pub(crate) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl Account {
    /// An account without identities.
    pub fn new(id: AccountId) -> Self {
        Self {
            id,
            entities: BTreeMap::new(),
            by_id: HashMap::new(),
            policies: BTreeMap::new(),
            keys: BTreeMap::new(),
            derived: Derived::default(),
        }
    }

    /// The account's id.
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// A user, group or role by name.
    pub fn entity(&self, kind: Kind, name: &str) -> Option<&Arc<Entity>> {
        self.entities.get(&(kind, folded(name)))
    }

    /// A user.
    pub fn user(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entity(Kind::User, name)
    }

    /// A group.
    pub fn group(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entity(Kind::Group, name)
    }

    /// A role.
    pub fn role(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entity(Kind::Role, name)
    }

    /// A user, group or role by its unique id.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Entity>> {
        self.entities.get(self.by_id.get(id)?)
    }

    /// A user, group or role by its ARN, path included.
    pub fn by_arn(&self, arn: &str) -> Option<&Arc<Entity>> {
        let resource = arn.splitn(6, ':').nth(5)?;
        let kind = [Kind::User, Kind::Group, Kind::Role]
            .into_iter()
            .find(|kind| resource.strip_prefix(kind.word()).is_some_and(|rest| rest.starts_with('/')))?;
        self.entity(kind, resource.rsplit('/').next()?).filter(|entity| entity.arn() == arn)
    }

    /// All of a kind by name.
    pub fn entities(&self, kind: Kind) -> impl Iterator<Item = (&str, &Arc<Entity>)> {
        let from = (kind, String::new());
        let of_kind = self.entities.range(from..).take_while(move |((found, _), _)| *found == kind);
        of_kind.map(|((_, folded), entity)| (folded.as_str(), entity))
    }

    /// The users of a group by name.
    pub fn members<'a>(&'a self, group: &'a Entity) -> impl Iterator<Item = (&'a str, &'a Arc<Entity>)> {
        self.entities(Kind::User).filter(|(_, user)| user.groups.contains(&group.id))
    }

    /// The groups of a user.
    pub fn groups_of<'a>(&'a self, user: &'a Entity) -> impl Iterator<Item = &'a Arc<Entity>> {
        user.groups.iter().filter_map(|id| self.by_id(id))
    }

    /// The account's own managed policies by name.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &Arc<ManagedPolicy>)> {
        self.policies.iter().map(|(folded, policy)| (folded.as_str(), policy))
    }

    /// A managed policy of the account by name.
    pub fn policy_named(&self, name: &str) -> Option<&Arc<ManagedPolicy>> {
        self.policies.get(&folded(name))
    }

    /// A managed policy by ARN: the account's own, or AWS's.
    pub fn policy(&self, arn: &str) -> Option<&Arc<ManagedPolicy>> {
        if let Some(policy) = managed::policy(arn) {
            return Some(policy);
        }
        self.policy_named(arn.rsplit('/').next()?).filter(|policy| policy.arn() == arn)
    }

    /// The account's access keys by id.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<AccessKey>> {
        self.keys.values()
    }

    /// The access keys of a user, or with `None` of the root user, by id.
    pub fn keys_of<'a>(&'a self, user: Option<&'a str>) -> impl Iterator<Item = &'a Arc<AccessKey>> {
        self.keys.values().filter(move |key| key.user.as_deref() == user)
    }

    /// How often a managed policy is used in this account.
    pub fn usage(&self, arn: &str) -> Usage {
        self.derived.usage.get_or_init(|| self.count_usage()).get(arn).copied().unwrap_or_default()
    }

    fn count_usage(&self) -> HashMap<String, Usage> {
        let mut usage: HashMap<String, Usage> = HashMap::new();
        for entity in self.entities.values() {
            for arn in &entity.attached {
                usage.entry(arn.clone()).or_default().attached += 1;
            }
            if let Some(arn) = &entity.boundary {
                usage.entry(arn.clone()).or_default().boundary += 1;
            }
        }
        usage
    }

    /// What a user, group or role may do: its own policies and, for a user, those of its groups. Built once a snapshot.
    ///
    /// # Errors
    /// `Failed` when a policy cannot be compiled or is missing: it might have denied.
    pub fn rights(&self, entity: &Entity) -> Result<Arc<Rights>, DirectoryError> {
        let known = self.derived.rights.read().unwrap_or_else(PoisonError::into_inner).get(&entity.id).cloned();
        if let Some(rights) = known {
            return Ok(rights);
        }
        let mut identity = Vec::new();
        self.add_policies(entity, &mut identity)?;
        for group in self.groups_of(entity) {
            self.add_policies(group, &mut identity)?;
        }
        let boundary = match &entity.boundary {
            Some(arn) => {
                let source = PolicySource::Boundary { arn: arn.clone() };
                Some(Named { source, policy: self.compiled(arn)? })
            }
            None => None,
        };
        let rights = Arc::new(Rights { identity, boundary, tags: entity.tags.clone() });
        let mut cache = self.derived.rights.write().unwrap_or_else(PoisonError::into_inner);
        cache.insert(entity.id.clone(), rights.clone());
        Ok(rights)
    }

    fn add_policies(&self, entity: &Entity, to: &mut Vec<Named>) -> Result<(), DirectoryError> {
        let of = entity.arn();
        for (name, document) in &entity.inline {
            let policy = document.policy().map_err(|error| unfit(&format!("{name} of {of}"), error))?;
            to.push(Named { source: PolicySource::Inline { of: of.clone(), name: name.clone() }, policy });
        }
        for arn in &entity.attached {
            let policy = self.compiled(arn)?;
            to.push(Named { source: PolicySource::Managed { of: of.clone(), arn: arn.clone() }, policy });
        }
        Ok(())
    }

    /// The default version of a managed policy, compiled.
    ///
    /// # Errors
    /// `Failed` when it cannot be compiled, or is missing.
    pub fn compiled(&self, arn: &str) -> Result<Arc<Policy>, DirectoryError> {
        let document = self.policy(arn).and_then(|policy| policy.document());
        let document = document.ok_or_else(|| DirectoryError::Failed(format!("the policy {arn} is missing")))?;
        document.policy().map_err(|error| unfit(arn, error))
    }

    pub(crate) fn put_entity(&mut self, entity: Arc<Entity>) {
        let key = (entity.kind, folded(&entity.name));
        // Renamed: the old name is free.
        if let Some(former) = self.by_id.insert(entity.id.clone(), key.clone()).filter(|former| *former != key) {
            self.entities.remove(&former);
        }
        self.entities.insert(key, entity);
    }

    pub(crate) fn remove_entity(&mut self, entity: &Entity) {
        self.by_id.remove(&entity.id);
        self.entities.remove(&(entity.kind, folded(&entity.name)));
    }

    pub(crate) fn put_policy(&mut self, policy: Arc<ManagedPolicy>) {
        self.policies.insert(folded(&policy.name), policy);
    }

    pub(crate) fn remove_policy(&mut self, name: &str) {
        self.policies.remove(&folded(name));
    }

    pub(crate) fn put_key(&mut self, key: Arc<AccessKey>) {
        self.keys.insert(key.id.clone(), key);
    }

    pub(crate) fn remove_key(&mut self, id: &str) {
        self.keys.remove(id);
    }
}

fn unfit(what: &str, error: impl std::fmt::Display) -> DirectoryError {
    DirectoryError::Failed(format!("the policy {what} cannot be compiled: {error}"))
}
