//! Keys, aliases and grants as the service works with them: parsed, compiled, opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_api_kms::{
    CustomerMasterKeySpec, EncryptionAlgorithmSpec, GrantOperation, KeySpec, KeyState, KeyUsageType, MacAlgorithmSpec,
    RotationType,
};
use millpond_kernel::{Named, Principal};
use millpond_types::{AccountId, Arn, Timestamp};

use crate::crypto::Secret;
use crate::ids::{GrantId, KeyId, MaterialId};
use crate::rows::{GrantRow, KeyRow, Pairs};

/// What a key is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spec {
    Symmetric,
    Hmac224,
    Hmac256,
    Hmac384,
    Hmac512,
}

impl Spec {
    pub const ALL: [Self; 5] = [Self::Symmetric, Self::Hmac224, Self::Hmac256, Self::Hmac384, Self::Hmac512];

    pub fn api(self) -> KeySpec {
        match self {
            Self::Symmetric => KeySpec::SymmetricDefault,
            Self::Hmac224 => KeySpec::Hmac224,
            Self::Hmac256 => KeySpec::Hmac256,
            Self::Hmac384 => KeySpec::Hmac384,
            Self::Hmac512 => KeySpec::Hmac512,
        }
    }

    /// The spec of that name; `None` for those that are not served.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.api().as_str() == name)
    }

    /// The name under which the API shows it too, for clients of before 2021.
    pub fn customer(self) -> Option<CustomerMasterKeySpec> {
        CustomerMasterKeySpec::parse(self.api().as_str())
    }

    pub fn usage(self) -> KeyUsageType {
        match self {
            Self::Symmetric => KeyUsageType::EncryptDecrypt,
            _ => KeyUsageType::GenerateVerifyMac,
        }
    }

    pub fn encryption(self) -> Option<EncryptionAlgorithmSpec> {
        (self == Self::Symmetric).then_some(EncryptionAlgorithmSpec::SymmetricDefault)
    }

    pub fn mac(self) -> Option<MacAlgorithmSpec> {
        match self {
            Self::Symmetric => None,
            Self::Hmac224 => Some(MacAlgorithmSpec::HmacSha224),
            Self::Hmac256 => Some(MacAlgorithmSpec::HmacSha256),
            Self::Hmac384 => Some(MacAlgorithmSpec::HmacSha384),
            Self::Hmac512 => Some(MacAlgorithmSpec::HmacSha512),
        }
    }

    /// The bytes of its material: those of the digest, for HMAC keys.
    pub fn material_bytes(self) -> usize {
        match self {
            Self::Symmetric | Self::Hmac256 => 32,
            Self::Hmac224 => 28,
            Self::Hmac384 => 48,
            Self::Hmac512 => 64,
        }
    }
}

/// How a key stands (KMS Developer Guide, "Key states of AWS KMS keys"), as far as keys made here can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Enabled,
    Disabled,
    /// It goes at that time.
    PendingDeletion {
        at: Timestamp,
        days: u32,
    },
}

impl State {
    pub fn api(self) -> KeyState {
        match self {
            Self::Enabled => KeyState::Enabled,
            Self::Disabled => KeyState::Disabled,
            Self::PendingDeletion { .. } => KeyState::PendingDeletion,
        }
    }
}

/// Automatic rotation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rotation {
    pub days: u32,
    pub next: Timestamp,
}

/// What a key's row holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    pub account: AccountId,
    pub created: Timestamp,
    pub spec: Spec,
    /// Whether a service of ours manages it.
    pub managed: bool,
    pub description: String,
    pub state: State,
    pub rotation: Option<Rotation>,
    /// Rotations on demand so far.
    pub on_demand: u32,
}

impl Facts {
    pub fn row(&self) -> KeyRow {
        let (state, deletion_at, deletion_days) = match self.state {
            State::Enabled => (0, 0, 0),
            State::Disabled => (1, 0, 0),
            State::PendingDeletion { at, days } => (2, at.0, days),
        };
        KeyRow {
            account: self.account.to_string(),
            created: self.created.0,
            spec: self.spec.api().as_str().to_owned(),
            managed: self.managed,
            description: self.description.clone(),
            state,
            deletion_at,
            deletion_days,
            rotation_days: self.rotation.map_or(0, |rotation| rotation.days),
            next_rotation: self.rotation.map_or(0, |rotation| rotation.next.0),
            on_demand: self.on_demand,
        }
    }

    /// `None` when the row says what no version of ours wrote.
    pub fn of(row: KeyRow) -> Option<Self> {
        Some(Self {
            account: row.account.parse().ok()?,
            created: Timestamp(row.created),
            spec: Spec::parse(&row.spec)?,
            managed: row.managed,
            description: row.description,
            state: match row.state {
                0 => State::Enabled,
                1 => State::Disabled,
                2 => State::PendingDeletion { at: Timestamp(row.deletion_at), days: row.deletion_days },
                _ => return None,
            },
            rotation: (row.rotation_days > 0)
                .then_some(Rotation { days: row.rotation_days, next: Timestamp(row.next_rotation) }),
            on_demand: row.on_demand,
        })
    }
}

/// Material of a key.
#[derive(Debug)]
pub(crate) struct Material {
    pub id: MaterialId,
    pub created: Timestamp,
    /// The rotation that made it; `None` for the first.
    pub rotation: Option<RotationType>,
    pub number: u32,
    /// `None` when the vault does not open it.
    pub secret: Option<Secret>,
}

/// A key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub id: KeyId,
    pub arn: Arn,
    pub facts: Facts,
    /// The row of the facts as it was read or written: a condition of every change.
    pub row: Bytes,
    pub policy: Named,
    pub tags: BTreeMap<String, String>,
    /// Oldest first; the last is the current one.
    pub materials: Vec<Arc<Material>>,
}

impl Key {
    pub fn current(&self) -> Option<&Arc<Material>> {
        self.materials.last()
    }

    pub fn material(&self, id: MaterialId) -> Option<&Arc<Material>> {
        self.materials.iter().rev().find(|material| material.id == id)
    }

    /// Whether its time has come to go: from then on it is gone, also before its rows are.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        matches!(self.facts.state, State::PendingDeletion { at, .. } if at <= now)
    }

    /// When something is to be done about it by itself.
    pub fn due(&self) -> Option<Timestamp> {
        match self.facts.state {
            State::PendingDeletion { at, .. } => Some(at),
            // A key that is disabled rotates when it is enabled again (KMS Developer Guide, "Rotate AWS KMS keys").
            State::Disabled => None,
            State::Enabled => self.facts.rotation.map(|rotation| rotation.next),
        }
    }
}

/// An alias.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub account: AccountId,
    pub name: String,
    pub key: KeyId,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// A principal by its ARN, and the unique id that it had when it was named: who has the name later inherits nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    pub arn: String,
    pub id: Option<String>,
}

impl Bound {
    /// What tells it from others: the id where there is one.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.arn)
    }

    /// By which ARN a principal is meant, if it is: its own of today, as names of users change. `None` when another has the name now.
    pub fn arn_of(&self, principal: &Principal) -> Option<String> {
        let Some(bound) = &self.id else { return Some(self.arn.clone()) };
        match principal {
            // Of a session the ARN says which one is meant; with the role's id it is that role's.
            Principal::User { id, .. } | Principal::Role { id, .. } if id != bound => None,
            Principal::Role { .. } if self.arn.contains(":assumed-role/") => Some(self.arn.clone()),
            Principal::User { .. } | Principal::Role { .. } => Some(principal.condition_arn()),
            Principal::Federated { user, .. } => self.arn_of(user),
            Principal::Anonymous | Principal::Root(_) | Principal::Service { .. } => None,
        }
    }
}

/// A grant.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Grant {
    pub id: GrantId,
    pub key: KeyId,
    pub name: Option<String>,
    pub created: Timestamp,
    pub grantee: Bound,
    pub retiring: Option<Bound>,
    pub issuer: AccountId,
    pub operations: Vec<GrantOperation>,
    pub equals: Option<BTreeMap<String, String>>,
    pub subset: Option<BTreeMap<String, String>>,
}

impl Grant {
    pub fn row(&self) -> GrantRow {
        let pairs = |pairs: &Option<BTreeMap<String, String>>| pairs.clone().map(|pairs| Pairs { pairs });
        GrantRow {
            name: self.name.clone(),
            created: self.created.0,
            grantee: self.grantee.arn.clone(),
            grantee_id: self.grantee.id.clone(),
            retiring: self.retiring.as_ref().map(|bound| bound.arn.clone()),
            retiring_id: self.retiring.as_ref().and_then(|bound| bound.id.clone()),
            issuer: self.issuer.to_string(),
            operations: self.operations.iter().map(|operation| operation.as_str().to_owned()).collect(),
            equals: pairs(&self.equals),
            subset: pairs(&self.subset),
        }
    }

    /// `None` when the row says what no version of ours wrote.
    pub fn of(key: KeyId, id: GrantId, row: GrantRow) -> Option<Self> {
        let operations: Option<_> = row.operations.iter().map(|name| GrantOperation::parse(name)).collect();
        Some(Self {
            id,
            key,
            name: row.name,
            created: Timestamp(row.created),
            grantee: Bound { arn: row.grantee, id: row.grantee_id },
            retiring: row.retiring.map(|arn| Bound { arn, id: row.retiring_id }),
            issuer: row.issuer.parse().ok()?,
            operations: operations?,
            equals: row.equals.map(|pairs| pairs.pairs),
            subset: row.subset.map(|pairs| pairs.pairs),
        })
    }

    /// Whether it is for an operation with this encryption context.
    pub fn fits(&self, operation: GrantOperation, context: Option<&BTreeMap<String, String>>) -> bool {
        if !self.operations.contains(&operation) {
            return false;
        }
        // These have no encryption context, so that constraints do not concern them (API reference, GrantConstraints).
        if matches!(operation, GrantOperation::DescribeKey | GrantOperation::RetireGrant) {
            return true;
        }
        let none = BTreeMap::new();
        let context = context.unwrap_or(&none);
        self.equals.as_ref().is_none_or(|equals| equals == context)
            && self.subset.as_ref().is_none_or(|subset| subset.iter().all(|(k, v)| context.get(k) == Some(v)))
    }

    /// Whether its grantee may give `other` by it: no operation more, under constraints at least as strict
    /// (KMS Developer Guide, "Granting CreateGrant permission").
    pub fn covers(&self, other: &Self) -> bool {
        let within = |of: &BTreeMap<String, String>, pairs: &Option<BTreeMap<String, String>>| {
            pairs.as_ref().is_some_and(|pairs| of.iter().all(|(k, v)| pairs.get(k) == Some(v)))
        };
        self.operations.contains(&GrantOperation::CreateGrant)
            && other.operations.iter().all(|operation| self.operations.contains(operation))
            && self.equals.as_ref().is_none_or(|equals| other.equals.as_ref() == Some(equals))
            && self.subset.as_ref().is_none_or(|subset| within(subset, &other.equals) || within(subset, &other.subset))
    }
}
