//! StartQueryExecution.

use std::sync::Arc;

use millpond_api_athena as api;
use millpond_kernel::{Caller, ServiceError};
use millpond_meta::Op;
use millpond_types::AccountId;
use prost::Message;

use crate::clock::to_forget;
use crate::errors::{AthenaError, Failure, invalid, unserved};
use crate::limits::{MAX_PARAMETER_BYTES, MAX_REUSE_MINUTES, MAX_STATEMENT_BYTES};
use crate::output;
use crate::resume::kept;
use crate::run::launch;
use crate::running::Place;
use crate::state::{CATALOG, Core, Group, PRIMARY, check_catalog, no_group, uuid};
use crate::statement;
use crate::tables::{self, ExecutionRow, ResultsRow, SaidRow, State};
use crate::tokens::Token;

/// The database of names that name none, where none is said.
const DEFAULT_DATABASE: &str = "default";
/// For how long results are reused where nothing is said.
const DEFAULT_REUSE_MINUTES: i32 = 60;

pub(crate) async fn start(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::StartQueryExecutionInput,
) -> Result<api::StartQueryExecutionOutput, Failure> {
    let name = input.work_group.as_deref().unwrap_or(PRIMARY);
    let (group, pin) = core.authorize_group(caller, account, input, name).await?;
    let token = match core.token(account, input, input.client_request_token.as_deref()).await? {
        Token::Known(id) => return Ok(api::StartQueryExecutionOutput { query_execution_id: Some(id) }),
        Token::New(token) => token,
    };
    let group = group.ok_or_else(no_group)?;
    if group.row.disabled {
        return Ok(invalid(format!("WorkGroup {name} is disabled."))?);
    }
    let id = core.new_id();
    let row = row(core, caller, input, &group, id)?;
    check_bucket(core, caller, &row.results).await?;
    let said = SaidRow {
        statement: input.query_string.clone(),
        parameters: input.execution_parameters.clone().unwrap_or_default(),
    };
    let (said, mut ops) = core.seal(id, "said", &said.encode_to_vec())?;
    let row = ExecutionRow { said, ..row };
    let key = tables::execution(account, id);
    ops.push(to_forget(&key, row.submitted));
    ops.push(Op::Put(tables::execution_of(account, name, row.submitted, id), bytes::Bytes::new()));
    ops.push(Op::Put(tables::open(account, id), bytes::Bytes::new()));
    ops.push(Op::Put(key, tables::encode(&row)));
    let mut conds = vec![group.unchanged()];
    core.keep_token(token, &uuid(id), &mut conds, &mut ops);
    let place = Place::new(core, id).ok_or(AthenaError::TooMany)?;
    core.commit(pin, conds, ops, false).await?;
    launch(place, Arc::clone(core), account, Arc::clone(caller));
    Ok(api::StartQueryExecutionOutput { query_execution_id: Some(uuid(id)) })
}

/// The row of a new execution, but for what is sealed.
fn row(
    core: &Core,
    caller: &Caller,
    input: &api::StartQueryExecutionInput,
    group: &Group,
    id: u128,
) -> Result<ExecutionRow, AthenaError> {
    if input.query_string.len() > MAX_STATEMENT_BYTES {
        return invalid(format!("The query string has more than {MAX_STATEMENT_BYTES} bytes in UTF-8."));
    }
    let parameters = input.execution_parameters.as_deref().unwrap_or_default();
    if parameters.iter().map(String::len).sum::<usize>() > MAX_PARAMETER_BYTES {
        return invalid(format!("ExecutionParameters have more than {MAX_PARAMETER_BYTES} bytes together."));
    }
    if input.engine_configuration.is_some() {
        return unserved("EngineConfiguration, which is for Apache Spark,");
    }
    let statement =
        statement::parse(&input.query_string).map_err(|text| AthenaError::Invalid(format!("line 1:1: {text}")))?;
    let context = input.query_execution_context.as_ref();
    let catalog = context.and_then(|context| context.catalog.as_deref()).unwrap_or(CATALOG);
    check_catalog(catalog)?;
    let database = context.and_then(|context| context.database.as_deref()).unwrap_or(DEFAULT_DATABASE);
    let asked = output::configured(input.result_configuration.as_ref())?;
    let mut results = output::effective(asked, &group.row.results, group.row.enforce)?;
    let suffix = if statement.is_text() { "txt" } else { "csv" };
    results.location = output::object(&results.location, &format!("{}.{suffix}", uuid(id)));
    Ok(ExecutionRow {
        group: group.name.clone(),
        database: bare(database).to_lowercase(),
        catalog: catalog.to_owned(),
        results,
        state: State::Queued as i32,
        submitted: core.clock.now().0,
        kind: statement.kind.to_owned(),
        subkind: statement.subkind,
        reuse: reuse(input.result_reuse_configuration.as_ref())?,
        cutoff: group.row.cutoff,
        caller: kept(caller),
        ..ExecutionRow::default()
    })
}

/// A name without quotes around it: some clients (the AWS SDK for pandas) put the database in them.
fn bare(name: &str) -> &str {
    let within = |quote: char| name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('`').or_else(|| within('"')).unwrap_or(name)
}

/// For how many minutes a result may be reused; `None`: not at all.
fn reuse(given: Option<&api::ResultReuseConfiguration>) -> Result<Option<u32>, AthenaError> {
    let Some(given) = given.and_then(|given| given.result_reuse_by_age_configuration.as_ref()) else { return Ok(None) };
    if !given.enabled {
        return Ok(None);
    }
    let minutes = given.max_age_in_minutes.unwrap_or(DEFAULT_REUSE_MINUTES);
    if !(0..=MAX_REUSE_MINUTES).contains(&minutes) {
        return invalid(format!("MaxAgeInMinutes must be between 0 and {MAX_REUSE_MINUTES}."));
    }
    Ok(u32::try_from(minutes).ok())
}

/// Whether the bucket of the result is there, and the caller may know: else the query would run for nothing.
async fn check_bucket(core: &Core, caller: &Caller, results: &ResultsRow) -> Result<(), AthenaError> {
    let Some((bucket, _)) = output::split(&results.location) else { return invalid(output::NO_LOCATION) };
    let owner = Some(results.owner.as_str()).filter(|owner| !owner.is_empty());
    core.objects.locate(core.via(caller), bucket, owner).await.map_err(|error| not_found(bucket, &error))
}

fn not_found(bucket: &str, error: &ServiceError) -> AthenaError {
    if error.status >= 500 {
        return AthenaError::Internal(error.to_string());
    }
    AthenaError::Invalid(format!("Unable to verify/create output bucket {bucket}. {}: {}", error.code, error.message))
}
