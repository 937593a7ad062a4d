//! What the service keeps, as it lies in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_api_events as api;
use millpond_kernel::{Named, PolicySource};
use millpond_pattern::Pattern;
use millpond_policy::{Policy, PolicyKind};
use millpond_types::{AccountId, Arn, Timestamp};

use crate::event::path::Path;
use crate::event::transform::{Input, Template};
use crate::names::BusName;
use crate::rows::{
    ArchiveRow, BusRow, ConnectionRow, DestinationRow, HttpRow, PolicyRow, ReplayRow, RuleRow, TargetRow,
};

/// A row's bytes, with what they say.
#[derive(Clone, Debug)]
pub(crate) struct Stored<R> {
    /// As it lies on the disk: the condition of its next change.
    pub bytes: Bytes,
    pub row: R,
}

/// A bus.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    pub name: BusName,
    pub arn: Arn,
    /// `None` for the default bus of an account that has not needed it yet.
    pub stored: Option<Stored<BusRow>>,
    pub policy: Option<Named>,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub bus: BusName,
    pub name: String,
    pub arn: Arn,
    pub stored: Stored<RuleRow>,
    pub pattern: Option<Arc<Pattern>>,
    pub state: api::RuleState,
}

/// A target of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub id: String,
    /// `None` when it is no ARN, which no target that was put is.
    pub arn: Arn,
    pub row: TargetRow,
    pub input: Input,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    pub id: u128,
    pub stored: Stored<ConnectionRow>,
    pub state: api::ConnectionState,
    pub kind: api::ConnectionAuthorizationType,
}

/// An API destination.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    pub stored: Stored<DestinationRow>,
    pub method: api::ApiDestinationHttpMethod,
}

/// An archive.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    pub id: u128,
    pub stored: Stored<ArchiveRow>,
    pub pattern: Option<Arc<Pattern>>,
}

/// A replay.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub name: String,
    pub arn: Arn,
    pub archive_id: u128,
    pub stored: Stored<ReplayRow>,
    pub state: api::ReplayState,
}

/// Policies of buses name principals, and actions of this service alone.
pub(crate) const POLICY_KIND: PolicyKind = PolicyKind::Resource { service: "events" };

/// Binds a policy to the ids of whom it names, in the order of their ARNs.
pub(crate) fn bind(policy: &mut Policy, ids: &[String]) {
    let bound: BTreeMap<String, String> =
        policy.principals().into_iter().map(str::to_owned).zip(ids.iter().cloned()).collect();
    policy.bind(&bound);
}

fn compiled(arn: &Arn, row: &PolicyRow) -> Option<Named> {
    let mut policy = Policy::parse(&row.text, POLICY_KIND).ok()?;
    bind(&mut policy, &row.ids);
    Some(Named { source: PolicySource::Resource { arn: arn.to_string() }, policy: Arc::new(policy) })
}

fn id_of(bytes: &[u8]) -> Option<u128> {
    Some(u128::from_be_bytes(bytes.try_into().ok()?))
}

impl Bus {
    /// The default bus of an account that has not needed it yet.
    pub fn unborn(name: BusName, arn: Arn) -> Self {
        Self { name, arn, stored: None, policy: None }
    }

    pub fn of(name: BusName, arn: Arn, stored: Stored<BusRow>) -> Option<Self> {
        let policy = match &stored.row.policy {
            Some(row) => Some(compiled(&arn, row)?),
            None => None,
        };
        Some(Self { name, arn, stored: Some(stored), policy })
    }

    pub fn row(&self) -> BusRow {
        self.stored.as_ref().map(|stored| stored.row.clone()).unwrap_or_default()
    }
}

impl Rule {
    pub fn of(bus: BusName, name: String, arn: Arn, stored: Stored<RuleRow>) -> Option<Self> {
        let pattern = match &stored.row.pattern {
            Some(text) => Some(Arc::new(Pattern::parse(text).ok()?)),
            None => None,
        };
        let state = api::RuleState::parse(&stored.row.state)?;
        Some(Self { bus, name, arn, stored, pattern, state })
    }

    pub fn wants_management_reads(&self) -> bool {
        self.state == api::RuleState::EnabledWithAllCloudtrailManagementEvents
    }

    pub fn is_enabled(&self) -> bool {
        self.state != api::RuleState::Disabled
    }
}

impl Target {
    pub fn of(id: String, row: TargetRow) -> Option<Self> {
        let input = match (&row.input, &row.input_path, &row.template) {
            (Some(text), _, _) => Input::Constant(text.clone()),
            (_, Some(path), _) => Input::Path(Path::parse(path).ok()?),
            (_, _, Some(text)) => Input::Template(Template::compile(&row.input_paths, text).ok()?),
            (None, None, None) => Input::Event,
        };
        Some(Self { id, arn: Arn::parse(&row.arn)?, row, input })
    }

    pub fn number(&self) -> u32 {
        self.row.number
    }

    /// As the API shows it.
    pub fn shown(&self) -> api::Target {
        let row = &self.row;
        let http = |http: &HttpRow| api::HttpParameters {
            path_parameter_values: Some(http.path.clone()).filter(|list| !list.is_empty()),
            header_parameters: Some(http.headers.clone()).filter(|map| !map.is_empty()),
            query_string_parameters: Some(http.query.clone()).filter(|map| !map.is_empty()),
        };
        let retry = api::RetryPolicy {
            maximum_retry_attempts: row.retries.map(signed),
            maximum_event_age_in_seconds: row.age.map(signed),
        };
        api::Target {
            id: self.id.clone(),
            arn: row.arn.clone(),
            role_arn: row.role.clone(),
            input: row.input.clone(),
            input_path: row.input_path.clone(),
            input_transformer: row.template.clone().map(|input_template| api::InputTransformer {
                input_paths_map: Some(row.input_paths.clone()).filter(|_| row.has_input_paths),
                input_template,
            }),
            kinesis_parameters: None,
            run_command_parameters: None,
            ecs_parameters: None,
            batch_parameters: None,
            sqs_parameters: row.group.clone().map(|group| api::SqsParameters { message_group_id: Some(group) }),
            http_parameters: row.http.as_ref().map(http),
            redshift_data_parameters: None,
            sage_maker_pipeline_parameters: None,
            dead_letter_config: row.dead_letters.clone().map(|arn| api::DeadLetterConfig { arn: Some(arn) }),
            retry_policy: (row.retries.is_some() || row.age.is_some()).then_some(retry),
            app_sync_parameters: None,
        }
    }
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Connection {
    pub fn of(
        account: AccountId,
        name: String,
        names: &crate::names::Names,
        stored: Stored<ConnectionRow>,
    ) -> Option<Self> {
        let id = id_of(&stored.row.id)?;
        let arn = names.connection(account, &name, id);
        let state = api::ConnectionState::parse(&stored.row.state)?;
        let kind = api::ConnectionAuthorizationType::parse(&stored.row.kind)?;
        Some(Self { account, name, arn, id, stored, state, kind })
    }
}

impl Destination {
    pub fn of(
        account: AccountId,
        name: String,
        names: &crate::names::Names,
        stored: Stored<DestinationRow>,
    ) -> Option<Self> {
        let arn = names.destination(account, &name, id_of(&stored.row.id)?);
        let method = api::ApiDestinationHttpMethod::parse(&stored.row.method)?;
        Some(Self { account, name, arn, stored, method })
    }
}

impl Archive {
    pub fn of(account: AccountId, name: String, arn: Arn, stored: Stored<ArchiveRow>) -> Option<Self> {
        let id = id_of(&stored.row.id)?;
        let pattern = match &stored.row.pattern {
            Some(text) => Some(Arc::new(Pattern::parse(text).ok()?)),
            None => None,
        };
        Some(Self { account, name, arn, id, stored, pattern })
    }

    /// Events older than this are gone.
    pub fn oldest(&self, now: Timestamp) -> Timestamp {
        let kept = u64::from(self.stored.row.retention_days) * 86_400 * 1_000_000_000;
        if kept == 0 { Timestamp(0) } else { Timestamp(now.0.saturating_sub(kept)) }
    }
}

impl Replay {
    pub fn of(name: String, arn: Arn, stored: Stored<ReplayRow>) -> Option<Self> {
        let archive_id = id_of(&stored.row.archive_id)?;
        let state = api::ReplayState::parse(&stored.row.state)?;
        Some(Self { name, arn, archive_id, stored, state })
    }

    /// Whether it is not over.
    pub fn is_active(&self) -> bool {
        use api::ReplayState::{Cancelled, Completed, Failed};
        !matches!(self.state, Cancelled | Completed | Failed)
    }
}
