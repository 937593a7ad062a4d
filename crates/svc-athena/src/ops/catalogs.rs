//! Data catalogs, of which there is one; and versions of the engine, of which there is one as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_athena as api;
use millpond_kernel::Caller;
use millpond_types::AccountId;

use crate::errors::{AthenaError, Failure, invalid, unserved};
use crate::inputs::{Input, Touch};
use crate::shown;
use crate::state::{CATALOG, Core, ENGINE, ENGINE_AUTO, check_catalog};

/// Decides about an operation on a catalog.
pub(crate) async fn authorize<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    name: &str,
) -> Result<(), AthenaError> {
    core.authorize(caller, Touch::new(input, account, vec![core.on_catalog(account, name)])).await.map(drop)
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::CreateDataCatalogInput,
) -> Result<api::CreateDataCatalogOutput, Failure> {
    authorize(core, caller, account, input, &input.name).await?;
    Ok(unserved(format!("CreateDataCatalog, as queries read the one catalog {CATALOG},"))?)
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::DeleteDataCatalogInput,
) -> Result<api::DeleteDataCatalogOutput, Failure> {
    authorize(core, caller, account, input, &input.name).await?;
    Ok(unserved(format!("DeleteDataCatalog, as the one catalog {CATALOG} is always there,"))?)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetDataCatalogInput,
) -> Result<api::GetDataCatalogOutput, Failure> {
    authorize(core, caller, account, input, &input.name).await?;
    check_catalog(&input.name)?;
    let parameters = BTreeMap::from([("catalog-id".to_owned(), account.to_string())]);
    Ok(api::GetDataCatalogOutput {
        data_catalog: Some(api::DataCatalog {
            name: CATALOG.to_owned(),
            description: None,
            type_: api::DataCatalogType::Glue,
            parameters: Some(parameters),
            status: Some(api::DataCatalogStatus::CreateComplete),
            connection_type: None,
            error: None,
        }),
    })
}

/// A list that is always on its first page.
fn first_page(token: Option<&str>) -> Result<(), AthenaError> {
    if token.is_some() { invalid("The NextToken is not valid.") } else { Ok(()) }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListDataCatalogsInput,
) -> Result<api::ListDataCatalogsOutput, Failure> {
    core.authorize(caller, Touch::new(input, account, vec![core.on_all(account)])).await?;
    first_page(input.next_token.as_deref())?;
    let summary = api::DataCatalogSummary {
        catalog_name: Some(CATALOG.to_owned()),
        type_: Some(api::DataCatalogType::Glue),
        status: Some(api::DataCatalogStatus::CreateComplete),
        ..api::DataCatalogSummary::default()
    };
    Ok(api::ListDataCatalogsOutput { data_catalogs_summary: Some(vec![summary]), next_token: None })
}

pub(crate) async fn engines(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListEngineVersionsInput,
) -> Result<api::ListEngineVersionsOutput, Failure> {
    core.authorize(caller, Touch::new(input, account, vec![core.on_all(account)])).await?;
    first_page(input.next_token.as_deref())?;
    let versions = vec![shown::engine(ENGINE_AUTO), shown::engine(ENGINE)];
    Ok(api::ListEngineVersionsOutput { engine_versions: Some(versions), next_token: None })
}
