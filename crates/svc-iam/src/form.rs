//! The query protocol, as IAM and STS speak it: a form with `Action` and `Version`, and XML in answer.

use bytes::Bytes;
use millpond_kernel::{RequestHead, Response, ServiceError, ServiceRequest};
use millpond_wire::{ErrorKind, FormPairs, ParseError, ResponseParts};

/// The largest form; AWS's own limit for the query protocol.
const MAX_FORM: usize = 1024 * 1024;

/// A request's parameters. The query protocol takes them from the query too, which is how a presigned GetCallerIdentity is sent.
pub(crate) fn form_of<'a>(head: &'a RequestHead, body: &'a [u8]) -> &'a [u8] {
    if body.is_empty() { head.query.as_bytes() } else { body }
}

/// The body of a signed request; an unsigned one is refused before it is read.
pub(crate) async fn body_of(request: &mut ServiceRequest) -> Result<Bytes, ServiceError> {
    if request.caller.is_anonymous() {
        return Err(ServiceError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token"));
    }
    let too_large = || ServiceError::new("ValidationError", 400, "The request is larger than 1 MiB.");
    request.payload.collect(MAX_FORM, too_large).await
}

/// Reads the parameters of a request, and checks that they name an action of this version of the API.
pub(crate) fn parse<'a>(
    head: &'a RequestHead,
    body: &'a [u8],
    version: &'static str,
) -> Result<(FormPairs<'a>, String), ServiceError> {
    let form = FormPairs::parse(form_of(head, body)).map_err(|error| validation(&error, None))?;
    let action = form.get("Action").map(str::to_owned);
    let action = action
        .ok_or_else(|| ServiceError::new("MissingAction", 400, "The request must contain the parameter Action."))?;
    match form.get("Version") {
        Some(given) if given == version => Ok((form, action)),
        given => Err(unknown_action(&action, given.unwrap_or("NO_VERSION_SPECIFIED"))),
    }
}

/// An action that the API does not have.
pub(crate) fn unknown_action(action: &str, version: &str) -> ServiceError {
    ServiceError::new("InvalidAction", 400, format!("Could not find operation {action} for version {version}"))
}

/// What the gateway sends.
pub(crate) fn response(parts: ResponseParts) -> Result<Response, ServiceError> {
    Response::of(parts)
}

/// The longest value that a message repeats.
const MAX_ECHO: usize = 256;

/// A parameter that does not fit, in AWS's words: `1 validation error detected: Value '...' at 'userName' failed to satisfy constraint: ...`.
/// `form` has the value, where the error itself does not.
pub(crate) fn validation(error: &ParseError, form: Option<&FormPairs<'_>>) -> ServiceError {
    let Some(constraint) = error.constraint() else {
        return ServiceError::new("ValidationError", 400, error.to_string());
    };
    let value = match &error.kind {
        ErrorKind::Missing => "null".to_owned(),
        ErrorKind::Pattern { value, .. } | ErrorKind::BadEnum { value } | ErrorKind::OutOfRange { value, .. } => {
            quoted(value)
        }
        _ => quoted(form.and_then(|form| top(form, &error.member)).unwrap_or_default()),
    };
    let prefix = if value == "null" { "Value null" } else { "Value " };
    let value = if value == "null" { "" } else { &value };
    let message = format!(
        "1 validation error detected: {prefix}{value} at '{}' failed to satisfy constraint: {constraint}",
        error.lower_member()
    );
    ServiceError::new("ValidationError", 400, message)
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.chars().take(MAX_ECHO).collect::<String>())
}

/// The value of a parameter at the top of the form.
fn top<'a>(form: &'a FormPairs<'_>, name: &str) -> Option<&'a str> {
    form.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_errors_read_as_those_of_aws() {
        let form = FormPairs::parse(b"UserName=&Path=x&MaxItems=0").unwrap();
        let at = |member: &'static str, kind| {
            validation(&ParseError::new(member, millpond_wire::Location::Body, kind), Some(&form)).message
        };
        for (message, expected) in [
            (
                at("UserName", ErrorKind::TooShort { length: 0, min: 1 }),
                "1 validation error detected: Value '' at 'userName' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                at("RoleName", ErrorKind::Missing),
                "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null",
            ),
            (
                at("Path", ErrorKind::Pattern { value: "x".into(), pattern: "/" }),
                "1 validation error detected: Value 'x' at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern: /",
            ),
            (
                at("MaxItems", ErrorKind::OutOfRange { value: "0".into(), min: Some(1), max: Some(1000) }),
                "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1",
            ),
        ] {
            assert_eq!(message, expected);
        }
    }
}
