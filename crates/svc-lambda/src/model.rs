//! Functions and layers in memory, as decisions and invocations take them. What is here never changes: a change makes another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::{Named, PolicySource, Resource};
use millpond_policy::{Policy, PolicyKind};
use millpond_types::{AccountId, Arn, Region};
use tokio::sync::OnceCell;

use crate::errors::LambdaError;
use crate::names::{self, LATEST, LayerName, Qualifier};
use crate::program::Ready;
use crate::running::Running;
use crate::tables::{self, AliasRow, FunctionRow, InvokeConfigRow, LayerVersionRow, PolicyRow, VersionRow};

/// What a resource policy may say.
pub(crate) const POLICY: PolicyKind = PolicyKind::Resource { service: "lambda" };

/// A resource policy, compiled.
#[derive(Clone, Debug)]
pub(crate) struct PolicyOf {
    pub row: PolicyRow,
    pub named: Named,
}

impl PolicyOf {
    /// Of its row, on a resource.
    pub fn compile(row: PolicyRow, arn: &Arn) -> Result<Self, LambdaError> {
        let mut policy = Policy::parse(&row.text, POLICY)?;
        let bound: BTreeMap<String, String> =
            policy.principals().into_iter().map(str::to_owned).zip(row.ids.iter().cloned()).collect();
        policy.bind(&bound);
        let named = Named { source: PolicySource::Resource { arn: arn.to_string() }, policy: Arc::new(policy) };
        Ok(Self { row, named })
    }
}

/// A version of a function.
#[derive(Debug)]
pub(crate) struct Version {
    /// 0: the one that can be changed.
    pub number: u64,
    pub row: VersionRow,
    /// What workers run, once it was asked for.
    pub ready: OnceCell<Arc<Ready>>,
}

impl Version {
    pub fn new(number: u64, row: VersionRow) -> Self {
        Self { number, row, ready: OnceCell::new() }
    }

    /// `$LATEST` or a number.
    pub fn label(&self) -> String {
        version_label(self.number)
    }

    /// The revision's id, which is also the program's.
    pub fn revision(&self) -> Result<u128, LambdaError> {
        names::id_of(&self.row.revision)
    }
}

/// `$LATEST` or a number.
pub(crate) fn version_label(number: u64) -> String {
    if number == 0 { LATEST.to_owned() } else { number.to_string() }
}

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    pub id: u128,
    pub facts: FunctionRow,
    /// As it stands in the store.
    pub row: Bytes,
    pub latest: Arc<Version>,
    pub versions: BTreeMap<u64, Arc<Version>>,
    pub aliases: BTreeMap<String, Arc<AliasRow>>,
    /// By qualifier; that of the function itself by nothing.
    pub policies: BTreeMap<String, Arc<PolicyOf>>,
    pub configs: BTreeMap<String, Arc<InvokeConfigRow>>,
    /// Invocations that run at the moment, in this server: the same for all states of the function.
    pub running: Arc<Running>,
}

impl Function {
    /// Of its row, without its parts.
    pub fn of(region: &Region, account: AccountId, name: String, row: Bytes) -> Result<Self, LambdaError> {
        let facts: FunctionRow = crate::state::decode(&row)?;
        Ok(Self {
            arn: names::function_arn(region, account, &name, None),
            id: names::id_of(&facts.id)?,
            account,
            name,
            row,
            latest: Arc::new(Version::new(0, facts.latest.clone())),
            facts,
            versions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            policies: BTreeMap::new(),
            configs: BTreeMap::new(),
            running: Arc::default(),
        })
    }

    /// Takes other facts. The change is counted; what is ready to run stays so where the version is the same.
    pub fn set(&mut self, mut facts: FunctionRow) {
        facts.changes += 1;
        if facts.latest != self.facts.latest {
            self.latest = Arc::new(Version::new(0, facts.latest.clone()));
        }
        self.row = tables::encode(&facts);
        self.facts = facts;
    }

    /// The version of a number; 0: the one that can be changed.
    pub fn version(&self, number: u64) -> Option<&Arc<Version>> {
        if number == 0 { Some(&self.latest) } else { self.versions.get(&number) }
    }

    /// The version that a qualifier means, without chance: of an alias, the one that most invocations go to.
    pub fn meant(&self, qualifier: &Qualifier) -> Option<&Arc<Version>> {
        match qualifier {
            Qualifier::None | Qualifier::Latest => Some(&self.latest),
            Qualifier::Version(number) => self.versions.get(number),
            Qualifier::Alias(name) => self.version(self.aliases.get(name)?.version),
        }
    }

    /// As policies see it, by a qualifier.
    pub fn resource(&self, region: &Region, qualifier: &Qualifier) -> Resource {
        let text = qualifier.text();
        let arn = match &text {
            Some(text) => names::function_arn(region, self.account, &self.name, Some(text)),
            None => self.arn.clone(),
        };
        // Nobody can give the unpublished version a policy of its own by that name.
        let key = text.filter(|text| text != LATEST).unwrap_or_default();
        let policy = self.policies.get(&key).map(|policy| policy.named.clone());
        Resource { policy, ..Resource::new(arn, self.account) }
    }

    /// All versions, the one that can be changed first.
    pub fn all_versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        std::iter::once(&self.latest).chain(self.versions.values())
    }
}

/// A version of a layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerVersion {
    pub row: LayerVersionRow,
    pub policy: Option<Named>,
}

impl LayerVersion {
    pub fn of(region: &Region, name: &LayerName, number: u64, row: LayerVersionRow) -> Result<Self, LambdaError> {
        let arn = name.version_arn(region, number);
        let policy = row.policy.clone().map(|policy| PolicyOf::compile(policy, &arn)).transpose()?;
        Ok(Self { row, policy: policy.map(|policy| policy.named) })
    }
}

/// A layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub published: u64,
    pub versions: BTreeMap<u64, Arc<LayerVersion>>,
}
