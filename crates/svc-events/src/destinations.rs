//! Requests to API destinations (User Guide, "API destinations"): how they are made, sent by the outbox, and tried again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millpond_api_events::{ConnectionAuthorizationType as Kind, ConnectionState};
use millpond_io::Random;
use millpond_kernel::outbox::Attempt;
use millpond_outbound::{Answer, Outbound, OutboundError, Request, Url};
use millpond_types::Timestamp;
use zeroize::Zeroizing;

use crate::errors::EventsError;
use crate::event::json::{Json, push_string};
use crate::limits::{DESTINATION_RATE, HTTP_TIMEOUT};
use crate::model::{Connection, Destination};
use crate::ops::connections::Auth;
use crate::rows::{HttpRow, ParameterRow, RequestRow};
use crate::state::Core;

/// Tokens, rates and waits that are remembered; older ones are forgotten together.
const MAX_REMEMBERED: usize = 10_000;
/// How long a token without a time to live is used.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// A token is renewed so long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(30);
/// The longest pause between two attempts: with jitter, 185 of them take about a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is remembered of API destinations and connections while the server runs.
#[derive(Default)]
pub(crate) struct Callers(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// By connection: a token, and until when.
    tokens: HashMap<u128, (Zeroizing<String>, Timestamp)>,
    /// By destination: when the next request may begin.
    next: HashMap<String, tokio::time::Instant>,
    /// By item: for how long its other side wants to be left alone; nothing for ever.
    pauses: HashMap<u128, Option<Duration>>,
}

impl Callers {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has changed: its token is no longer good.
    pub fn forget(&self, connection: u128) {
        self.lock().tokens.remove(&connection);
    }

    /// How long a request must wait for the destination's rate.
    fn turn(&self, arn: &str, rate: u32) -> Duration {
        let mut all = self.lock();
        if all.next.len() > MAX_REMEMBERED {
            all.next.clear();
        }
        let now = tokio::time::Instant::now();
        let next = all.next.entry(arn.to_owned()).or_insert(now);
        let at = (*next).max(now);
        *next = at + Duration::from_secs(1) / rate.max(1);
        at - now
    }

    fn pause(&self, item: u128, pause: Option<Duration>) {
        let mut all = self.lock();
        if all.pauses.len() > MAX_REMEMBERED {
            all.pauses.clear();
        }
        all.pauses.insert(item, pause);
    }

    /// What the other side asked for: `Some(None)` never to be asked again.
    pub fn asked(&self, item: u128) -> Option<Option<Duration>> {
        self.lock().pauses.remove(&item)
    }
}

/// An endpoint that can be called. The `*` in it stand for values of targets.
pub(crate) fn check_endpoint(parameter: &str, text: &str) -> Result<(), EventsError> {
    let url: Result<Url, _> = text.replace('*', "x").parse();
    url.map(drop).map_err(|error| EventsError::parameter(parameter, &format!("{error}.")))
}

/// Headers that are always ours (User Guide, "Headers included in requests to API destinations").
const OURS: &[&str] = &["user-agent", "content-type", "range"];

/// A header that may be added to requests.
pub(crate) fn check_header(name: &str) -> Result<(), EventsError> {
    let known = HeaderName::from_bytes(name.as_bytes());
    match known {
        Ok(known) if Outbound::may_set(&known) && !["user-agent", "range"].contains(&known.as_str()) => Ok(()),
        _ => Err(EventsError::parameter("HeaderParameters", &format!("The header {name} cannot be set."))),
    }
}

/// What a connection adds must be fit to be sent.
pub(crate) fn check_auth(auth: &Auth) -> Result<(), EventsError> {
    if let Some(endpoint) = &auth.endpoint {
        check_endpoint("AuthorizationEndpoint", endpoint)?;
    }
    let all = [&auth.oauth, &auth.invocation].into_iter().flatten();
    for header in all.flat_map(|all| &all.headers) {
        check_header(&header.key)?;
        HeaderValue::from_str(&header.value).map_err(|_| {
            EventsError::parameter("HeaderParameters", &format!("The header {} has no valid value.", header.key))
        })?;
    }
    Ok(())
}

/// A part of a URL, percent-encoded.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn pairs(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{}={}", percent(key), percent(value))).collect();
    pairs.join("&")
}

/// The URL of a request: the endpoint with its wildcards filled, and the query.
fn url(endpoint: &str, http: &HttpRow, query: &[ParameterRow]) -> Result<Url, String> {
    let mut text = String::new();
    let mut values = http.path.iter();
    for (at, part) in endpoint.split('*').enumerate() {
        if at > 0 {
            let value = values.next().ok_or_else(|| "a wildcard of the endpoint has no path parameter".to_owned())?;
            text.push_str(&percent(value));
        }
        text.push_str(part);
    }
    let mut all: Vec<(String, String)> = http.query.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    for one in query {
        all.retain(|(key, _)| *key != one.key);
        all.push((one.key.clone(), one.value.clone()));
    }
    if !all.is_empty() {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(&pairs(&all));
    }
    text.parse().map_err(|error: millpond_outbound::UrlError| error.to_string())
}

/// The body with what the connection adds to an object.
fn body(given: &[u8], added: &[ParameterRow]) -> Result<Bytes, String> {
    if added.is_empty() {
        return Ok(Bytes::copy_from_slice(given));
    }
    let json = std::str::from_utf8(given).ok().and_then(Json::parse).filter(|json| json.is_object());
    let json = json.ok_or_else(|| "the connection adds body parameters, but the input is no JSON object".to_owned())?;
    let mut out = String::from("{");
    let mut member = |name: &str, value: &dyn Fn(&mut String)| {
        if out.len() > 1 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push(':');
        value(&mut out);
    };
    for (name, value) in json.members() {
        if !added.iter().any(|one| one.key == name) {
            member(&name, &|out| value.push_compact(out));
        }
    }
    for one in added {
        member(&one.key, &|out| push_string(out, &one.value));
    }
    out.push('}');
    Ok(out.into())
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let bad = || format!("the header {name} cannot be sent");
    let (name, mut value) =
        (HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, HeaderValue::from_str(value).map_err(|_| bad())?);
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn request(
    row: &RequestRow,
    destination: &Destination,
    kind: Kind,
    auth: &Auth,
    token: &str,
) -> Result<Request, String> {
    let none = HttpRow::default();
    let http = row.http.as_ref().unwrap_or(&none);
    let added = auth.invocation.clone().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in
        OURS.iter().zip(["Amazon/EventBridge/ApiDestinations", "application/json; charset=utf-8", "bytes=0-1048575"])
    {
        insert(&mut headers, name, value)?;
    }
    for (name, value) in &http.headers {
        insert(&mut headers, name, value)?;
    }
    for one in &added.headers {
        insert(&mut headers, &one.key, &one.value)?;
    }
    match kind {
        Kind::Basic => {
            let pair = Zeroizing::new(format!("{}:{}", auth.name, auth.secret));
            let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
            insert(&mut headers, "authorization", &value)?;
        }
        Kind::ApiKey => insert(&mut headers, &auth.name, &auth.secret)?,
        Kind::OauthClientCredentials => insert(&mut headers, "authorization", token)?,
    }
    let method = Method::from_bytes(destination.method.as_str().as_bytes()).map_err(|error| error.to_string())?;
    let bare = method == Method::GET || method == Method::HEAD;
    Ok(Request {
        method,
        url: url(&destination.stored.row.endpoint, http, &added.query)?,
        headers,
        body: if bare { Bytes::new() } else { body(&row.body, &added.body)? },
        timeout: HTTP_TIMEOUT,
    })
}

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not with this connection.
    #[error("{0}")]
    Refused(String),
    /// Perhaps later.
    #[error("{0}")]
    Failed(String),
}

/// The `Authorization` header of a connection with OAuth: from memory, or fetched.
pub(crate) async fn token(core: &Core, connection: &Connection, fresh: bool) -> Result<Zeroizing<String>, TokenError> {
    let now = core.clock.now();
    if !fresh {
        let known = core.callers.lock().tokens.get(&connection.id).filter(|(_, until)| *until > now).cloned();
        if let Some((token, _)) = known {
            return Ok(token);
        }
    }
    let auth = core.opened(connection).map_err(|error| TokenError::Failed(error.to_string()))?;
    let auth = auth.ok_or_else(|| TokenError::Refused("the connection is not authorized".to_owned()))?;
    let answer = core.outbound.send(token_request(&auth).map_err(TokenError::Refused)?).await;
    let answer = answer.map_err(|error| match error.is_final() {
        true => TokenError::Refused(error.to_string()),
        false => TokenError::Failed(error.to_string()),
    })?;
    let status = answer.status;
    if !status.is_success() {
        let text = format!("the authorization endpoint answered {status}");
        let later = status.is_server_error() || status.as_u16() == 429;
        return Err(if later { TokenError::Failed(text) } else { TokenError::Refused(text) });
    }
    let text = std::str::from_utf8(&answer.body).ok().and_then(Json::parse);
    let member = |name: &str| text.and_then(|json| json.member(name));
    let value = member("access_token").and_then(Json::string);
    let value =
        value.ok_or_else(|| TokenError::Refused("the authorization endpoint gave no access_token".to_owned()))?;
    let scheme = member("token_type").and_then(Json::string).unwrap_or("Bearer".into());
    // `bearer` is how many write it; servers are to take it in any case, and some do not (RFC 6750, section 2.1).
    let scheme = if scheme.eq_ignore_ascii_case("bearer") { "Bearer".into() } else { scheme };
    let token = Zeroizing::new(format!("{scheme} {value}"));
    let life = member("expires_in").and_then(|json| json.text().parse().ok()).map_or(TOKEN_LIFE, Duration::from_secs);
    let mut all = core.callers.lock();
    if all.tokens.len() > MAX_REMEMBERED {
        all.tokens.clear();
    }
    all.tokens.insert(connection.id, (token.clone(), now.plus(life.saturating_sub(TOKEN_MARGIN))));
    Ok(token)
}

/// The request for a token (RFC 6749, section 4.4), with the parameters of the connection.
fn token_request(auth: &Auth) -> Result<Request, String> {
    let added = auth.oauth.clone().unwrap_or_default();
    let mut fields = vec![
        ("grant_type".to_owned(), "client_credentials".to_owned()),
        ("client_id".to_owned(), auth.name.clone()),
        ("client_secret".to_owned(), auth.secret.clone()),
    ];
    for one in &added.body {
        fields.retain(|(key, _)| *key != one.key);
        fields.push((one.key.clone(), one.value.clone()));
    }
    let mut headers = HeaderMap::new();
    insert(&mut headers, "user-agent", "Amazon/EventBridge/ApiDestinations")?;
    insert(&mut headers, "accept", "application/json")?;
    insert(&mut headers, "content-type", "application/x-www-form-urlencoded")?;
    for one in &added.headers {
        insert(&mut headers, &one.key, &one.value)?;
    }
    let json =
        headers.get("content-type").and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    let method = auth.method.as_deref().unwrap_or("POST");
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let mut http = HttpRow::default();
    let body = if method == Method::GET {
        http.query = fields.into_iter().collect();
        Bytes::new()
    } else if json {
        serde_json::to_vec(&fields.into_iter().collect::<std::collections::BTreeMap<_, _>>()).unwrap_or_default().into()
    } else {
        pairs(&fields).into()
    };
    let endpoint = auth.endpoint.as_deref().unwrap_or_default();
    Ok(Request { method, url: url(endpoint, &http, &added.query)?, headers, body, timeout: HTTP_TIMEOUT })
}

/// Makes one request. What is said begins with a code of AWS's (User Guide, "Delivery error codes").
pub(crate) async fn send(core: &Core, item: u128, row: &RequestRow) -> Attempt {
    let fail = |code: &str, why: &str| Attempt::Fail(format!("{code}: {why}").into());
    let Some(destination) = core.destination_of(&row.destination) else {
        return fail("NO_RESOURCE", "The API destination does not exist.");
    };
    let Some(connection) = core.connection_of(&destination.stored.row.connection) else {
        return fail("NO_RESOURCE", "The connection of the API destination does not exist.");
    };
    let auth = match core.opened(&connection) {
        Ok(Some(auth)) if connection.state != ConnectionState::Deauthorized => auth,
        Ok(_) => return fail("NO_PERMISSIONS", "The connection of the API destination is not authorized."),
        Err(error) => return Attempt::Retry(format!("INTERNAL_ERROR: {error}").into()),
    };
    let rate = destination.stored.row.rate.unwrap_or(DESTINATION_RATE);
    let mut fresh = false;
    loop {
        let bearer = match connection.kind {
            Kind::OauthClientCredentials => match token(core, &connection, fresh).await {
                Ok(token) => token,
                Err(TokenError::Refused(why)) => return fail("NO_PERMISSIONS", &why),
                Err(TokenError::Failed(why)) => return Attempt::Retry(format!("CONNECTION_FAILURE: {why}").into()),
            },
            Kind::Basic | Kind::ApiKey => Zeroizing::new(String::new()),
        };
        let request = match request(row, &destination, connection.kind, &auth, &bearer) {
            Ok(request) => request,
            Err(why) => return fail("INVALID_PARAMETER", &why),
        };
        tokio::time::sleep(core.callers.turn(destination.arn.as_str(), rate)).await;
        let answer = core.outbound.send(request).await;
        let renew = !fresh && connection.kind == Kind::OauthClientCredentials;
        match &answer {
            // The token may have been taken back: once more, with a new one.
            Ok(answer) if renew && matches!(answer.status.as_u16(), 401 | 407) => fresh = true,
            _ => return judged(core, item, answer),
        }
    }
}

fn judged(core: &Core, item: u128, answer: Result<Answer, OutboundError>) -> Attempt {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_final() => return Attempt::Fail(format!("INVALID_PARAMETER: {error}").into()),
        Err(error @ OutboundError::TimedOut(_)) => return Attempt::Retry(format!("TIMEOUT: {error}").into()),
        Err(error) => return Attempt::Retry(format!("CONNECTION_FAILURE: {error}").into()),
    };
    let status = answer.status;
    if status.is_success() {
        return Attempt::Done(format!("{status}").into());
    }
    // Which are tried again: User Guide, "API destination error codes".
    let again = matches!(status.as_u16(), 401 | 407 | 409 | 429) || status.is_server_error();
    let text = format!("SDK_CLIENT_ERROR: the endpoint answered {status}");
    if !again {
        return Attempt::Fail(text.into());
    }
    let after = answer.headers.get("retry-after").and_then(|value| value.to_str().ok());
    if let Some(after) = after.and_then(|after| retry_after(after, core.clock.now())) {
        core.callers.pause(item, after);
    }
    Attempt::Retry(text.into())
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. Less than none means never.
fn retry_after(text: &str, now: Timestamp) -> Option<Option<Duration>> {
    if let Ok(seconds) = text.trim().parse::<i64>() {
        return Some(u64::try_from(seconds).ok().map(Duration::from_secs));
    }
    millpond_wire::parse_http_date(text).map(|date| Some(date.since(now)))
}

/// The pause before the next attempt: doubled each time, with jitter.
pub(crate) fn back_off(random: &dyn Random, tried: u32) -> Duration {
    let most = Duration::from_secs(1 << tried.clamp(1, 12)).min(LONGEST_PAUSE);
    let part = 500 + random.u64() % 501;
    most * u32::try_from(part).unwrap_or(1000) / 1000
}

#[cfg(test)]
mod tests {
    use millpond_io::SeededRandom;

    use super::*;

    fn one(key: &str, value: &str) -> ParameterRow {
        ParameterRow { key: key.to_owned(), value: value.to_owned(), secret: false }
    }

    #[test]
    fn wildcards_and_queries() {
        let http = |path: &[&str], query: &[(&str, &str)]| HttpRow {
            path: path.iter().map(|value| (*value).to_owned()).collect(),
            query: query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..HttpRow::default()
        };
        for (endpoint, http, added, expected) in [
            ("https://a.example/x", http(&[], &[]), vec![], Ok("/x")),
            ("https://a.example/*/y/*", http(&["a b", "c/d"], &[]), vec![], Ok("/a%20b/y/c%2Fd")),
            ("https://a.example/x?q=1", http(&[], &[("k", "é&")]), vec![], Ok("/x?q=1&k=%C3%A9%26")),
            ("https://a.example/", http(&[], &[("k", "t")]), vec![one("k", "c")], Ok("/?k=c")),
            ("https://a.example/*", http(&[], &[]), vec![], Err("a wildcard of the endpoint has no path parameter")),
        ] {
            let found = url(endpoint, &http, &added).map(|url| url.path_and_query().to_owned());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{endpoint}");
        }
    }

    #[test]
    fn bodies_with_parameters_of_the_connection() {
        let added = [one("k", "v\""), one("a", "new")];
        assert_eq!(body(b"{\"a\": 1.0, \"b\": [ ]}", &added).unwrap(), "{\"b\":[],\"k\":\"v\\\"\",\"a\":\"new\"}");
        assert_eq!(body(b"{}", &added[..1]).unwrap(), "{\"k\":\"v\\\"\"}");
        assert_eq!(body(b"\"text\"", &[]).unwrap(), "\"text\"");
        assert!(body(b"\"text\"", &added).is_err());
    }

    #[test]
    fn pauses_grow_to_a_day() {
        for seed in 0..20 {
            let random = SeededRandom::new(seed);
            let all: Vec<_> = (1..=185).map(|tried| back_off(&random, tried)).collect();
            assert!(all[0] >= Duration::from_secs(1) && all[0] <= Duration::from_secs(2), "seed {seed}");
            let total: Duration = all.iter().sum();
            let hours = total.as_secs() / 3600;
            assert!((18..=30).contains(&hours), "seed {seed}: {hours} hours");
        }
    }

    #[test]
    fn what_the_other_side_asks_for() {
        let now = Timestamp::from_seconds(1_600_000_000);
        for (text, expected) in [
            ("5", Some(Some(Duration::from_secs(5)))),
            ("-1", Some(None)),
            ("Sun, 13 Sep 2020 12:26:50 GMT", Some(Some(Duration::from_secs(10)))),
            ("Sun, 13 Sep 2020 12:26:30 GMT", Some(Some(Duration::ZERO))),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }

    #[test]
    fn tokens_are_asked_for_in_a_form_or_in_json() {
        let mut auth = Auth::default();
        (auth.name, auth.secret) = ("id".into(), "s&".into());
        (auth.endpoint, auth.method) = (Some("https://a.example/token".into()), Some("POST".into()));
        let asked = token_request(&auth).unwrap();
        assert_eq!(asked.body, "grant_type=client_credentials&client_id=id&client_secret=s%26");
        auth.oauth = Some(crate::rows::ParametersRow {
            headers: vec![one("Content-Type", "application/json")],
            body: vec![one("audience", "x")],
            ..Default::default()
        });
        let asked: serde_json::Value = serde_json::from_slice(&token_request(&auth).unwrap().body).unwrap();
        assert_eq!((&asked["audience"], &asked["client_secret"]), (&"x".into(), &"s&".into()));
        auth.method = Some("GET".into());
        assert!(token_request(&auth).unwrap().url.path_and_query().contains("client_id=id"));
    }
}
