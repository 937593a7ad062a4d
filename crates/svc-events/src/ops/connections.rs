//! Connections: how API destinations are told who calls. Their secrets are sealed, and never shown again.

use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Caller, Pin};
use millpond_seal::Purpose;
use millpond_types::{AccountId, Timestamp};
use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use crate::errors::{EventsError, Failure};
use crate::inputs::Input;
use crate::limits::MAX_CONNECTIONS;
use crate::memory::{Change, of_account};
use crate::model::Connection;
use crate::paging::page;
use crate::rows::{ConnectionRow, ParameterRow, ParametersRow, SecretsRow, ShownRow};
use crate::state::{Core, Draft};
use crate::tables;

/// How a connection authorizes, with its secrets. Not to be shown.
#[derive(Clone, Default)]
pub(crate) struct Auth {
    /// User, name of the API key's header, or client.
    pub name: String,
    pub secret: String,
    /// Where tokens come from, and by which method.
    pub endpoint: Option<String>,
    pub method: Option<String>,
    pub oauth: Option<ParametersRow>,
    pub invocation: Option<ParametersRow>,
}

impl Auth {
    fn of(name: &str, secret: &str) -> Self {
        let (name, secret) = (name.to_owned(), secret.to_owned());
        Self { name, secret, endpoint: None, method: None, oauth: None, invocation: None }
    }
}

impl Drop for Auth {
    fn drop(&mut self) {
        self.secret.zeroize();
        let all = [&mut self.oauth, &mut self.invocation].into_iter().flatten();
        for parameter in all.flat_map(|all| all.headers.iter_mut().chain(&mut all.query).chain(&mut all.body)) {
            parameter.value.zeroize();
        }
    }
}

fn parameters(given: &api::ConnectionHttpParameters) -> ParametersRow {
    let row = |key: &Option<String>, value: &Option<String>, secret: Option<bool>| ParameterRow {
        key: key.clone().unwrap_or_default(),
        value: value.clone().unwrap_or_default(),
        secret: secret.unwrap_or(false),
    };
    ParametersRow {
        headers: given
            .header_parameters
            .iter()
            .flatten()
            .map(|it| row(&it.key, &it.value, it.is_value_secret))
            .collect(),
        query: given
            .query_string_parameters
            .iter()
            .flatten()
            .map(|it| row(&it.key, &it.value, it.is_value_secret))
            .collect(),
        body: given.body_parameters.iter().flatten().map(|it| row(&it.key, &it.value, it.is_value_secret)).collect(),
    }
}

/// Parameters as they may be shown.
fn without_secrets(all: &ParametersRow) -> ParametersRow {
    let shown = |list: &[ParameterRow]| {
        let shown = |one: &ParameterRow| match one.secret {
            true => ParameterRow { key: one.key.clone(), value: String::new(), secret: true },
            false => one.clone(),
        };
        list.iter().map(shown).collect()
    };
    ParametersRow { headers: shown(&all.headers), query: shown(&all.query), body: shown(&all.body) }
}

fn shown_parameters(row: &ParametersRow) -> api::ConnectionHttpParameters {
    fn value(row: &ParameterRow) -> Option<String> {
        (!row.secret).then(|| row.value.clone())
    }
    let header = |row: &ParameterRow| api::ConnectionHeaderParameter {
        key: Some(row.key.clone()),
        value: value(row),
        is_value_secret: Some(row.secret),
    };
    let query = |row: &ParameterRow| api::ConnectionQueryStringParameter {
        key: Some(row.key.clone()),
        value: value(row),
        is_value_secret: Some(row.secret),
    };
    let body = |row: &ParameterRow| api::ConnectionBodyParameter {
        key: Some(row.key.clone()),
        value: value(row),
        is_value_secret: Some(row.secret),
    };
    api::ConnectionHttpParameters {
        header_parameters: Some(row.headers.iter().map(header).collect::<Vec<_>>()).filter(|list| !list.is_empty()),
        query_string_parameters: Some(row.query.iter().map(query).collect::<Vec<_>>()).filter(|list| !list.is_empty()),
        body_parameters: Some(row.body.iter().map(body).collect::<Vec<_>>()).filter(|list| !list.is_empty()),
    }
}

use api::ConnectionAuthorizationType as Kind;

/// Exactly the parameters of the kind must be given.
fn missing(kind: Kind) -> EventsError {
    EventsError::parameter("AuthParameters", &format!("They do not fit the authorization type {kind}."))
}

fn created(kind: Kind, given: &api::CreateConnectionAuthRequestParameters) -> Result<Auth, EventsError> {
    if given.connectivity_parameters.is_some() {
        return Err(EventsError::not_implemented("ConnectivityParameters (private endpoints)"));
    }
    let (basic, key, oauth) = (&given.basic_auth_parameters, &given.api_key_auth_parameters, &given.o_auth_parameters);
    let mut auth = match (kind, basic, key, oauth) {
        (Kind::Basic, Some(it), None, None) => Auth::of(&it.username, &it.password),
        (Kind::ApiKey, None, Some(it), None) => Auth::of(&it.api_key_name, &it.api_key_value),
        (Kind::OauthClientCredentials, None, None, Some(it)) => {
            let mut auth = Auth::of(&it.client_parameters.client_id, &it.client_parameters.client_secret);
            auth.endpoint = Some(it.authorization_endpoint.clone());
            auth.method = Some(it.http_method.as_str().to_owned());
            auth.oauth = it.o_auth_http_parameters.as_ref().map(parameters);
            auth
        }
        _ => return Err(missing(kind)),
    };
    auth.invocation = given.invocation_http_parameters.as_ref().map(parameters);
    Ok(auth)
}

/// What is kept secret goes to the endpoint that it was given for, and to no other: whoever names another one gives the secrets anew.
fn not_re_aimed(kept: &Auth, given: &api::UpdateConnectionOAuthRequestParameters) -> Result<(), EventsError> {
    let wrong = |name: &str| {
        let reason = "It is kept secret and must be given anew when AuthorizationEndpoint changes.";
        Err(EventsError::parameter(name, reason))
    };
    if given.client_parameters.as_ref().and_then(|client| client.client_secret.as_ref()).is_none() {
        return wrong("ClientSecret");
    }
    let mut kept = kept.oauth.iter().flat_map(|all| all.headers.iter().chain(&all.query).chain(&all.body));
    if given.o_auth_http_parameters.is_none() && kept.any(|one| one.secret) {
        return wrong("OAuthHttpParameters");
    }
    Ok(())
}

fn updated(
    kind: Kind,
    mut auth: Auth,
    given: &api::UpdateConnectionAuthRequestParameters,
) -> Result<Auth, EventsError> {
    if given.connectivity_parameters.is_some() {
        return Err(EventsError::not_implemented("ConnectivityParameters (private endpoints)"));
    }
    let over = |field: &mut String, given: &Option<String>| {
        if let Some(given) = given {
            field.clone_from(given);
        }
    };
    match (kind, &given.basic_auth_parameters, &given.api_key_auth_parameters, &given.o_auth_parameters) {
        (_, None, None, None) => {}
        (Kind::Basic, Some(it), None, None) => {
            over(&mut auth.name, &it.username);
            over(&mut auth.secret, &it.password);
        }
        (Kind::ApiKey, None, Some(it), None) => {
            over(&mut auth.name, &it.api_key_name);
            over(&mut auth.secret, &it.api_key_value);
        }
        (Kind::OauthClientCredentials, None, None, Some(it)) => {
            if let Some(client) = &it.client_parameters {
                over(&mut auth.name, &client.client_id);
                over(&mut auth.secret, &client.client_secret);
            }
            if it.authorization_endpoint.as_ref().is_some_and(|to| auth.endpoint.as_ref() != Some(to)) {
                not_re_aimed(&auth, it)?;
            }
            auth.endpoint = it.authorization_endpoint.clone().or(auth.endpoint.take());
            auth.method = it.http_method.map(|method| method.as_str().to_owned()).or(auth.method.take());
            auth.oauth = it.o_auth_http_parameters.as_ref().map(parameters).or(auth.oauth.take());
        }
        _ => return Err(missing(kind)),
    }
    auth.invocation = given.invocation_http_parameters.as_ref().map(parameters).or(auth.invocation.take());
    let whole = !auth.name.is_empty() && !auth.secret.is_empty();
    let oauth = kind != Kind::OauthClientCredentials || (auth.endpoint.is_some() && auth.method.is_some());
    if whole && oauth { Ok(auth) } else { Err(missing(kind)) }
}

fn no_connection(verb: &str, name: &str) -> EventsError {
    EventsError::NotFound(format!("Failed to {verb} the connection(s). Connection '{name}' does not exist."))
}

impl Core {
    fn connection(&self, account: AccountId, name: &str) -> Option<Arc<Connection>> {
        self.maps().connections.get(&(account, name.to_owned())).cloned()
    }

    async fn on_connection<I: Input>(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(Pin, AccountId, Option<Arc<Connection>>), EventsError> {
        let account = self.account_of(caller);
        let found = self.connection(account, name);
        // What is not there has no id; whoever may touch any of that name is told so.
        let arn = found.as_ref().map_or_else(|| self.names.connection(account, name, 0), |it| it.arn.clone());
        let pin = self.on_own::<I>(caller, arn).await?;
        Ok((pin, account, found))
    }

    fn sealed(&self, id: &[u8], auth: &Auth) -> Result<Vec<u8>, EventsError> {
        let mut row =
            SecretsRow { secret: auth.secret.clone(), oauth: auth.oauth.clone(), invocation: auth.invocation.clone() };
        let plain = Zeroizing::new(row.encode_to_vec());
        row.secret.zeroize();
        let sealed = self.vault.seal(&*self.random, Purpose::Connection, id, &plain);
        sealed.map_err(|error| EventsError::Internal(error.to_string()))
    }

    /// How a connection authorizes; `None` when it does not any more.
    pub fn opened(&self, connection: &Connection) -> Result<Option<Auth>, EventsError> {
        let row = &connection.stored.row;
        if row.sealed.is_empty() {
            return Ok(None);
        }
        let plain = self.vault.open(Purpose::Connection, &row.id, &row.sealed);
        let plain = plain.map_err(|error| EventsError::Internal(error.to_string()))?;
        let secrets = SecretsRow::decode(plain.as_slice())
            .map_err(|_| EventsError::Internal("the secrets of a connection cannot be read".to_owned()))?;
        let shown = row.shown.clone().unwrap_or_default();
        Ok(Some(Auth {
            name: shown.name,
            secret: secrets.secret,
            endpoint: shown.endpoint,
            method: shown.method,
            oauth: secrets.oauth,
            invocation: secrets.invocation,
        }))
    }

    async fn put_connection(
        &self,
        pin: Option<Pin>,
        account: AccountId,
        name: &str,
        before: Option<&Connection>,
        row: ConnectionRow,
    ) -> Result<Arc<Connection>, Failure> {
        let mut draft = Draft::new();
        let key = tables::named(tables::CONNECTIONS, account, name);
        let stored = draft.put(key, before.map(|before| &before.stored.bytes), row);
        let it = Connection::of(account, name.to_owned(), &self.names, stored).map(Arc::new);
        let it = it.ok_or_else(|| EventsError::Internal("a connection cannot be read back".to_owned()))?;
        draft.change(Change::Connection(Arc::clone(&it)));
        self.commit(pin, draft).await?;
        Ok(it)
    }

    fn authorized_row(&self, kind: Kind, auth: &Auth, mut row: ConnectionRow) -> Result<ConnectionRow, EventsError> {
        let now = self.now().0;
        row.kind = kind.as_str().to_owned();
        row.sealed = self.sealed(&row.id, auth)?;
        row.shown = Some(ShownRow {
            name: auth.name.clone(),
            endpoint: auth.endpoint.clone(),
            method: auth.method.clone(),
            oauth: auth.oauth.as_ref().map(without_secrets),
            invocation: auth.invocation.as_ref().map(without_secrets),
        });
        let state = match kind {
            Kind::OauthClientCredentials => api::ConnectionState::Authorizing,
            Kind::Basic | Kind::ApiKey => api::ConnectionState::Authorized,
        };
        (row.state, row.reason, row.modified, row.authorized) = (state.as_str().to_owned(), None, now, now);
        Ok(row)
    }

    /// Fetches the first token of a connection, and says how that ended.
    fn authorize(self: &Arc<Self>, connection: &Arc<Connection>) {
        if connection.state != api::ConnectionState::Authorizing {
            return;
        }
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        tokio::spawn(async move {
            let token = crate::destinations::token(&core, &connection, true).await;
            let outcome = token.map(drop).map_err(|error| error.to_string());
            let done = core.detached(move |core| {
                let (connection, outcome) = (Arc::clone(&connection), outcome.clone());
                async move { core.authorized(&connection, outcome).await }
            });
            if let Err(error) = done.await {
                tracing::warn!(%error, "the state of a connection could not be kept");
            }
        });
    }

    async fn authorized(&self, connection: &Connection, outcome: Result<(), String>) -> Result<(), Failure> {
        let now = self.connection(connection.account, &connection.name);
        // Another one by now, or changed: that has an authorization of its own.
        let Some(now) = now.filter(|now| now.stored.bytes == connection.stored.bytes) else { return Ok(()) };
        let mut row = now.stored.row.clone();
        match outcome {
            Ok(()) => {
                row.state = api::ConnectionState::Authorized.as_str().to_owned();
                row.authorized = self.now().0;
            }
            Err(reason) => {
                row.state = api::ConnectionState::Deauthorized.as_str().to_owned();
                row.reason = Some(reason.chars().take(512).collect());
            }
        }
        self.put_connection(None, now.account, &now.name, Some(&now), row).await.map(drop)
    }

    /// Goes on with authorizations that a stop interrupted.
    pub fn authorize_all(self: &Arc<Self>) {
        let waiting: Vec<_> = self.maps().connections.values().cloned().collect();
        waiting.iter().for_each(|connection| self.authorize(connection));
    }
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateConnectionInput,
) -> Result<api::CreateConnectionOutput, Failure> {
    let (pin, account, before) = core.on_connection::<api::CreateConnectionInput>(caller, &input.name).await?;
    refuse_unserved(input.kms_key_identifier.as_ref(), input.invocation_connectivity_parameters.is_some())?;
    let auth = created(input.authorization_type, &input.auth_parameters)?;
    crate::destinations::check_auth(&auth)?;
    if before.is_some() {
        return Err(EventsError::Exists(format!("Connection {} already exists.", input.name)).into());
    }
    if of_account(&core.maps().connections, account).count() >= MAX_CONNECTIONS {
        return Err(EventsError::limit().into());
    }
    let row = ConnectionRow {
        id: crate::names::new_uuid(&*core.random).to_be_bytes().to_vec(),
        description: input.description.clone(),
        created: core.now().0,
        ..ConnectionRow::default()
    };
    let row = core.authorized_row(input.authorization_type, &auth, row)?;
    let it = core.put_connection(Some(pin), account, &input.name, None, row).await?;
    core.authorize(&it);
    Ok(api::CreateConnectionOutput {
        connection_arn: Some(it.arn.to_string()),
        connection_state: Some(it.state),
        creation_time: Some(Timestamp(it.stored.row.created)),
        last_modified_time: Some(Timestamp(it.stored.row.modified)),
    })
}

fn refuse_unserved(key: Option<&String>, private: bool) -> Result<(), EventsError> {
    if key.is_some_and(|key| !key.is_empty()) {
        return Err(EventsError::not_implemented("KmsKeyIdentifier of a connection"));
    }
    if private {
        return Err(EventsError::not_implemented("InvocationConnectivityParameters (private endpoints)"));
    }
    Ok(())
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UpdateConnectionInput,
) -> Result<api::UpdateConnectionOutput, Failure> {
    let (pin, account, before) = core.on_connection::<api::UpdateConnectionInput>(caller, &input.name).await?;
    refuse_unserved(input.kms_key_identifier.as_ref(), input.invocation_connectivity_parameters.is_some())?;
    let before = before.ok_or_else(|| no_connection("update", &input.name))?;
    let kind = input.authorization_type.unwrap_or(before.kind);
    let mut row = before.stored.row.clone();
    row.description = input.description.clone().or(row.description);
    row.modified = core.now().0;
    if let Some(given) = &input.auth_parameters {
        let former = core.opened(&before)?.filter(|_| kind == before.kind).unwrap_or_default();
        let auth = updated(kind, former, given)?;
        crate::destinations::check_auth(&auth)?;
        row = core.authorized_row(kind, &auth, row)?;
    } else if kind != before.kind {
        return Err(missing(kind).into());
    }
    let it = core.put_connection(Some(pin), account, &input.name, Some(&before), row).await?;
    core.callers.forget(it.id);
    core.authorize(&it);
    let row = &it.stored.row;
    Ok(api::UpdateConnectionOutput {
        connection_arn: Some(it.arn.to_string()),
        connection_state: Some(it.state),
        creation_time: Some(Timestamp(row.created)),
        last_modified_time: Some(Timestamp(row.modified)),
        last_authorized_time: Some(Timestamp(row.authorized)),
    })
}

pub(crate) async fn deauthorize(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeauthorizeConnectionInput,
) -> Result<api::DeauthorizeConnectionOutput, Failure> {
    let (pin, account, before) = core.on_connection::<api::DeauthorizeConnectionInput>(caller, &input.name).await?;
    let before = before.ok_or_else(|| no_connection("de-authorize", &input.name))?;
    let mut row = before.stored.row.clone();
    row.sealed.clear();
    row.shown = None;
    (row.state, row.modified) = (api::ConnectionState::Deauthorized.as_str().to_owned(), core.now().0);
    let it = core.put_connection(Some(pin), account, &input.name, Some(&before), row).await?;
    core.callers.forget(it.id);
    let row = &it.stored.row;
    Ok(api::DeauthorizeConnectionOutput {
        connection_arn: Some(it.arn.to_string()),
        connection_state: Some(api::ConnectionState::Deauthorizing),
        creation_time: Some(Timestamp(row.created)),
        last_modified_time: Some(Timestamp(row.modified)),
        last_authorized_time: Some(Timestamp(row.authorized)),
    })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteConnectionInput,
) -> Result<api::DeleteConnectionOutput, Failure> {
    let (pin, account, before) = core.on_connection::<api::DeleteConnectionInput>(caller, &input.name).await?;
    let it = before.ok_or_else(|| no_connection("delete", &input.name))?;
    let mut draft = Draft::new().urgent();
    draft.delete(tables::named(tables::CONNECTIONS, account, &input.name), &it.stored.bytes);
    draft.change(Change::ConnectionGone((account, input.name.clone())));
    core.commit(Some(pin), draft).await?;
    core.callers.forget(it.id);
    let row = &it.stored.row;
    Ok(api::DeleteConnectionOutput {
        connection_arn: Some(it.arn.to_string()),
        connection_state: Some(api::ConnectionState::Deleting),
        creation_time: Some(Timestamp(row.created)),
        last_modified_time: Some(Timestamp(row.modified)),
        last_authorized_time: Some(Timestamp(row.authorized)),
    })
}

fn shown_auth(it: &Connection) -> Option<api::ConnectionAuthResponseParameters> {
    let shown = it.stored.row.shown.as_ref()?;
    let name = Some(shown.name.clone());
    let invocation_http_parameters = shown.invocation.as_ref().map(shown_parameters);
    let mut all = api::ConnectionAuthResponseParameters { invocation_http_parameters, ..Default::default() };
    match it.kind {
        Kind::Basic => {
            all.basic_auth_parameters = Some(api::ConnectionBasicAuthResponseParameters { username: name });
        }
        Kind::ApiKey => {
            all.api_key_auth_parameters = Some(api::ConnectionApiKeyAuthResponseParameters { api_key_name: name });
        }
        Kind::OauthClientCredentials => {
            all.o_auth_parameters = Some(api::ConnectionOAuthResponseParameters {
                client_parameters: Some(api::ConnectionOAuthClientResponseParameters { client_id: name }),
                authorization_endpoint: shown.endpoint.clone(),
                http_method: shown.method.as_deref().and_then(api::ConnectionOAuthHttpMethod::parse),
                o_auth_http_parameters: shown.oauth.as_ref().map(shown_parameters),
            });
        }
    }
    Some(all)
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeConnectionInput,
) -> Result<api::DescribeConnectionOutput, Failure> {
    let (_, _, it) = core.on_connection::<api::DescribeConnectionInput>(caller, &input.name).await?;
    let it = it.ok_or_else(|| no_connection("describe", &input.name))?;
    let row = &it.stored.row;
    Ok(api::DescribeConnectionOutput {
        connection_arn: Some(it.arn.to_string()),
        name: Some(it.name.clone()),
        description: row.description.clone(),
        connection_state: Some(it.state),
        state_reason: row.reason.clone(),
        authorization_type: Some(it.kind),
        // Secrets are in the vault, not in a service of their own.
        secret_arn: None,
        auth_parameters: shown_auth(&it),
        creation_time: Some(Timestamp(row.created)),
        last_modified_time: Some(Timestamp(row.modified)),
        last_authorized_time: Some(Timestamp(row.authorized)),
        ..api::DescribeConnectionOutput::default()
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListConnectionsInput,
) -> Result<api::ListConnectionsOutput, Failure> {
    core.on_account::<api::ListConnectionsInput>(caller).await?;
    let page = page(input.limit, input.next_token.as_deref())?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let maps = core.maps();
    let fitting = of_account(&maps.connections, core.account_of(caller))
        .filter(|(name, it)| name.starts_with(prefix) && input.connection_state.is_none_or(|state| state == it.state));
    let shown = |it: &Connection| api::Connection {
        connection_arn: Some(it.arn.to_string()),
        name: Some(it.name.clone()),
        connection_state: Some(it.state),
        state_reason: it.stored.row.reason.clone(),
        authorization_type: Some(it.kind),
        creation_time: Some(Timestamp(it.stored.row.created)),
        last_modified_time: Some(Timestamp(it.stored.row.modified)),
        last_authorized_time: Some(Timestamp(it.stored.row.authorized)),
    };
    let (connections, next_token) = page.cut(fitting.map(|(name, it)| (name.clone(), shown(it))));
    Ok(api::ListConnectionsOutput { connections: Some(connections), next_token })
}
