//! The service's state: reads from memory, and commits that keep it true.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::{
    Authorized, Caller, DirectoryError, Epoch, Kernel, Objects, Pin, Rejection, Resource, ServiceCall, ServiceIdentity,
};
use millpond_meta::{Batch, Cond, Kv, Op, ReadError};
use millpond_seal::Vault;
use millpond_types::{AccountId, Arn, CauseChain, RequestId, Timestamp};
use prost::Message;

use crate::async_invoke::Counters;
use crate::code::{CodeStore, Sha256};
use crate::errors::{Failure, LambdaError, not_found, parameter};
use crate::inputs::Input;
use crate::limits::{MAX_ATTEMPTS, MAX_POLICY};
use crate::logs::Lines;
use crate::mappings::Mappings;
use crate::model::{Function, Layer, LayerVersion, POLICY, PolicyOf};
use crate::names::{FunctionName, LayerName, random_id};
use crate::recent::Recents;
use crate::resolved::Resolved;
use crate::running::Unreserved;
use crate::runs::Runs;
use crate::tables::{self, PolicyRow};

/// The service's principal.
pub(crate) const PRINCIPAL: &str = "lambda.amazonaws.com";

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub kv: Arc<dyn Kv>,
    pub vault: Arc<Vault>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub identity: ServiceIdentity,
    pub objects: Arc<dyn Objects>,
    pub code: CodeStore,
    /// Who runs programs.
    pub workers: OnceLock<Arc<dyn Runs>>,
    /// Whether functions reach more than this server.
    pub open_network: bool,
    /// What links begin with.
    pub address: OnceLock<String>,
    pub maps: RwLock<Maps>,
    pub unreserved: Unreserved,
    pub lines: Lines,
    pub counters: Counters,
    pub recents: Recents,
    pub mappings: Mappings,
    /// Held by whoever changes functions or layers, from before it is decided until memory is true to the commit.
    pub changing: tokio::sync::Mutex<()>,
}

/// Everything in memory.
#[derive(Default)]
pub(crate) struct Maps {
    pub functions: HashMap<AccountId, BTreeMap<String, Arc<Function>>>,
    pub layers: HashMap<AccountId, BTreeMap<String, Arc<Layer>>>,
}

impl Maps {
    pub fn function(&self, account: AccountId, name: &str) -> Option<&Arc<Function>> {
        self.functions.get(&account)?.get(name)
    }

    pub fn layer(&self, name: &LayerName) -> Option<&Arc<Layer>> {
        self.layers.get(&name.account)?.get(&name.name)
    }

    pub fn layer_version(&self, name: &LayerName, number: u64) -> Option<&Arc<LayerVersion>> {
        self.layer(name)?.versions.get(&number)
    }

    /// An account's functions, by name.
    pub fn of(&self, account: AccountId) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.get(&account).into_iter().flat_map(BTreeMap::values)
    }

    /// What an account's functions have reserved, but for one of them.
    pub fn reserved(&self, account: AccountId, but: Option<&str>) -> u32 {
        let others = self.of(account).filter(|function| Some(function.name.as_str()) != but);
        others.filter_map(|function| function.facts.reserved).sum()
    }

    /// Bytes of an account's archives: of functions' versions and of layers' versions, each counted as AWS does.
    pub fn code_bytes(&self, account: AccountId) -> u64 {
        let versions = self.of(account).flat_map(|function| function.all_versions());
        let layers = self.layers.get(&account).into_iter().flat_map(BTreeMap::values);
        let layers = layers.flat_map(|layer| layer.versions.values());
        versions.map(|version| version.row.code.size).chain(layers.map(|layer| layer.row.code.size)).sum()
    }

    /// The code that something uses.
    pub fn used_code(&self) -> HashSet<Sha256> {
        let versions = self.functions.values().flat_map(BTreeMap::values).flat_map(|function| function.all_versions());
        let of_versions = versions.flat_map(|version| {
            let layers = version.row.layers.iter().map(|layer| &layer.code);
            std::iter::once(&version.row.code).chain(layers)
        });
        let layers = self.layers.values().flat_map(BTreeMap::values).flat_map(|layer| layer.versions.values());
        let all = of_versions.chain(layers.map(|layer| &layer.row.code));
        all.filter_map(|code| Sha256::try_from(code.sha256.as_slice()).ok()).collect()
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Function(function) => {
                self.functions.entry(function.account).or_default().insert(function.name.clone(), function);
            }
            Change::NoFunction(account, name) => {
                self.functions.entry(account).or_default().remove(&name);
            }
            Change::Layer(name, layer) => {
                self.layers.entry(name.account).or_default().insert(name.name, layer);
            }
        }
    }
}

/// What a commit changes in memory.
pub(crate) enum Change {
    Function(Arc<Function>),
    NoFunction(AccountId, String),
    Layer(LayerName, Arc<Layer>),
}

/// A commit being put together: conditions, rows, and what they change in memory.
#[derive(Default)]
pub(crate) struct Draft {
    pub conds: Vec<Cond>,
    pub ops: Vec<Op>,
    changes: Vec<Change>,
    /// Whether a policy changes, or what policies ask about.
    policies: bool,
    /// Programs that are not to run any more.
    retired: Vec<u128>,
}

impl Draft {
    /// A change of a function that stands as it was read.
    pub fn on(function: &Function) -> Self {
        let cond = Cond::Equals(tables::function(function.account, &function.name), function.row.clone());
        Self { conds: vec![cond], ..Self::default() }
    }

    /// Writes a function's row.
    pub fn function(&mut self, function: Function) {
        self.ops.push(Op::Put(tables::function(function.account, &function.name), function.row.clone()));
        self.changes.push(Change::Function(Arc::new(function)));
    }

    /// Removes a function's row.
    pub fn no_function(&mut self, function: &Function) {
        self.ops.push(Op::Delete(tables::function(function.account, &function.name)));
        self.changes.push(Change::NoFunction(function.account, function.name.clone()));
    }

    pub fn layer(&mut self, name: LayerName, layer: Layer) {
        self.changes.push(Change::Layer(name, Arc::new(layer)));
    }

    /// Says that a policy changes, so that what was decided by the old one is not committed.
    pub fn changes_policies(&mut self) {
        self.policies = true;
    }

    /// Ends the workers of a program, when it is committed.
    pub fn retires(&mut self, program: u128) {
        self.retired.push(program);
    }
}

/// A function that an operation may touch, and the proof of it.
pub(crate) struct On<I> {
    pub authorized: Authorized<Resolved<I>>,
    pub function: Arc<Function>,
    pub name: FunctionName,
}

pub(crate) fn decode<R: Message + Default>(row: &Bytes) -> Result<R, ReadError> {
    R::decode(row.clone()).map_err(|error| ReadError::Damaged(format!("functions: {error}")))
}

impl Core {
    /// Everything in memory. Not to be held over a wait.
    pub fn maps(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, in whole milliseconds: what answers show is what is kept.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().millis().saturating_mul(1_000_000))
    }

    /// What links begin with.
    pub fn base(&self) -> &str {
        self.address.get().map_or("http://localhost", String::as_str)
    }

    /// A new id, that of a UUID.
    pub fn new_id(&self) -> u128 {
        random_id(self.random.u128())
    }

    /// A new revision id.
    pub fn new_revision(&self) -> Vec<u8> {
        self.new_id().to_be_bytes().to_vec()
    }

    /// The account that a caller acts in.
    pub fn account_of(&self, caller: &Caller) -> AccountId {
        caller.account().unwrap_or_else(|| self.kernel.account())
    }

    /// A function's name, as a request gives it.
    pub fn name(&self, caller: &Caller, text: &str, qualifier: Option<&str>) -> Result<FunctionName, LambdaError> {
        FunctionName::parse(text, qualifier, self.account_of(caller), self.kernel.region())
    }

    /// The same for operations on functions as a whole.
    pub fn whole_name(&self, caller: &Caller, text: &str) -> Result<FunctionName, LambdaError> {
        FunctionName::whole(text, self.account_of(caller), self.kernel.region())
    }

    pub fn find(&self, name: &FunctionName) -> Option<Arc<Function>> {
        self.maps().function(name.account, &name.name).cloned()
    }

    /// Decides. `pin` is from before anything was read that decides.
    pub async fn decide<I: Input>(
        &self,
        pin: Pin,
        caller: &Caller,
        resolved: Resolved<I>,
    ) -> Result<Authorized<Resolved<I>>, LambdaError> {
        let answer = self.kernel.authorize_since(pin, caller, resolved).await;
        tracing::debug!(request_id = %caller.request_id(), operation = I::NAME, caller = caller.arn(), allowed = answer.is_ok(), "decided");
        Ok(answer?)
    }

    /// The function of a name, for an operation on it. Who may not do it is not told whether it exists.
    pub async fn on_function<I: Input>(
        &self,
        caller: &Caller,
        name: FunctionName,
        with: impl FnOnce(Resolved<I>) -> Resolved<I>,
    ) -> Result<On<I>, LambdaError> {
        let pin = self.kernel.epoch().now();
        let region = self.kernel.region();
        // It stands in the path, which records do not show.
        caller.note().parameter("functionName", name.arn(region).as_str().into());
        match self.find(&name) {
            Some(function) => {
                let resolved = Resolved::on(function.resource(region, &name.qualifier)).tagged(&function.facts.tags);
                let authorized = self.decide(pin, caller, with(resolved)).await?;
                Ok(On { authorized, function, name })
            }
            None => {
                let arn = name.arn(region);
                let absent = Resource::new(arn.clone(), name.account);
                self.decide(pin, caller, with(Resolved::<I>::on(absent))).await?;
                Err(not_found(format!("Function not found: {arn}")))
            }
        }
    }

    /// Commits, and makes memory true to it before it is acknowledged. `pin` is the epoch at which it was decided; `None` for what nobody asked
    /// for.
    ///
    /// To be called with `changing` held, in a task of its own.
    pub async fn commit(&self, pin: Option<Pin>, draft: Draft) -> Result<(), Failure> {
        let Draft { mut conds, mut ops, changes, policies, retired } = draft;
        conds.extend(pin.map(Pin::cond));
        let change = if policies { Some(self.kernel.epoch().change().await) } else { None };
        if policies {
            ops.push(Epoch::raise());
        }
        self.kv.commit(Batch { conds, ops, ..Batch::default() }).await?;
        {
            let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
            changes.into_iter().for_each(|change| maps.apply(change));
        }
        if let Some(workers) = self.workers.get() {
            retired.into_iter().for_each(|program| workers.retire(program));
        }
        match change {
            Some(change) => change.known().await.map_err(|error| LambdaError::from(error).into()),
            None => Ok(()),
        }
    }

    /// Carries a change out to its end, whether its request is dropped or not, and anew while what it is decided by changes.
    pub async fn detached<T, F>(
        self: &Arc<Self>,
        change: impl Fn(Arc<Self>) -> F + Send + 'static,
    ) -> Result<T, LambdaError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let core = Arc::clone(self);
        let work = tokio::spawn(async move {
            let _turn = core.changing.lock().await;
            for _ in 0..MAX_ATTEMPTS {
                match change(Arc::clone(&core)).await {
                    Ok(done) => return Ok(done),
                    Err(Failure::Error(error)) => return Err(error),
                    Err(Failure::Changed) => {}
                }
            }
            Err(LambdaError::Busy)
        });
        work.await.map_err(|error| LambdaError::Internal(error.to_string()))?
    }

    /// A session of a role for a function, as it acts itself.
    pub async fn assume(
        &self,
        function: &Arn,
        account: AccountId,
        role: &str,
        session: &str,
        causes: CauseChain,
    ) -> Result<Caller, Rejection> {
        let missing = || Rejection::Failed("roles cannot be assumed".to_owned());
        let roles = self.kernel.roles().ok_or_else(missing)?;
        roles.assume(role, &self.identity, session, self.call_for(function, account, causes)).await
    }

    /// A call of the service for a function.
    pub fn call_for(&self, function: &Arn, account: AccountId, causes: CauseChain) -> ServiceCall {
        ServiceCall {
            source_arn: Some(function.clone()),
            source_account: Some(account),
            request_id: RequestId(self.random.u128()),
            now: Timestamp(self.clock.now().0),
            causes,
        }
    }

    /// A policy's document as it is kept, and compiled for a resource. Refuses whom there is not.
    pub async fn compile(&self, text: String, arn: &Arn) -> Result<PolicyOf, LambdaError> {
        if text.len() > MAX_POLICY {
            let text = format!("The final policy size ({}) is bigger than the limit ({MAX_POLICY}).", text.len());
            return Err(LambdaError::Of(millpond_api_lambda::errors::POLICY_LENGTH_EXCEEDED_EXCEPTION, text));
        }
        let nobody = || parameter("The provided principal was invalid. Please check the principal and try again.");
        let policy = millpond_policy::Policy::parse(&text, POLICY)?;
        let mut ids = Vec::new();
        for arn in policy.principals() {
            ids.push(self.unique_id(arn).await?.ok_or_else(nobody)?);
        }
        if !policy.accounts().into_iter().all(|account| self.knows(account)) {
            return Err(nobody());
        }
        PolicyOf::compile(PolicyRow { text, ids, revision: self.new_revision() }, arn)
    }

    /// Whether an account exists here.
    fn knows(&self, account: AccountId) -> bool {
        let directory = self.kernel.directory();
        account == self.kernel.account() || directory.is_some_and(|directory| directory.account_exists(account))
    }

    async fn unique_id(&self, arn: &str) -> Result<Option<String>, LambdaError> {
        let Some(directory) = self.kernel.directory() else { return Ok(None) };
        match directory.unique_id(arn).await {
            Ok(id) => Ok(id),
            Err(DirectoryError::Gone) => Ok(None),
            Err(DirectoryError::Failed(reason)) => Err(LambdaError::Internal(reason)),
        }
    }
}
