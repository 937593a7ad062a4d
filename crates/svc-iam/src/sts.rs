//! AWS Security Token Service, as far as it is served: `GetCallerIdentity`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_sts::{self as api, Operation};
use millpond_kernel::{
    Access, Authorized, Caller, Context, Kernel, OperationRef, RequestHead, Response, Service, ServiceError,
    ServiceRequest,
};
use millpond_wire::{ErrorFormat, FormPairs, Protocol, Route};

use crate::form;

/// An operation that is not known: its request was refused before its body was read, or it is none of those served.
const UNKNOWN: OperationRef = OperationRef { name: "unknown", index: 0 };
/// The one version of the API.
const VERSION: &str = "2011-06-15";

/// The service.
pub struct Sts {
    kernel: Arc<Kernel>,
}

impl Sts {
    /// The service.
    pub fn new(kernel: Arc<Kernel>) -> Self {
        Self { kernel }
    }
}

impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn error_format(&self) -> ErrorFormat {
        ErrorFormat::Query { namespace: Some("https://sts.amazonaws.com/doc/2011-06-15/") }
    }

    fn identify(&self, _: &RequestHead) -> Result<OperationRef, ServiceError> {
        // The action stands in the body, which is not read yet.
        Ok(UNKNOWN)
    }

    fn identify_body(&self, head: &RequestHead, body: &[u8]) -> Option<OperationRef> {
        let form = FormPairs::parse(form::form_of(head, body)).ok()?;
        match api::route(form.get("Action")?) {
            Route::Served(operation) => Some(OperationRef { name: operation.name(), index: 1 + operation as u16 }),
            Route::Unserved(_) | Route::Unknown => None,
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        call(&self.kernel, request).boxed()
    }
}

/// An operation that needs no permission: nothing that a policy says can forbid it (API reference, GetCallerIdentity).
#[derive(Debug)]
struct GetCallerIdentity;

impl millpond_kernel::Operation for GetCallerIdentity {
    const NAME: &'static str = "GetCallerIdentity";

    fn accesses(&self) -> Vec<Access> {
        Vec::new()
    }

    fn context(&self, _: &Access, _: &mut Context) {}
}

async fn call(kernel: &Kernel, mut request: ServiceRequest) -> Result<Response, ServiceError> {
    let body = form::body_of(&mut request).await?;
    let (form, action) = form::parse(&request.head, &body, VERSION)?;
    match api::route(&action) {
        Route::Served(Operation::GetCallerIdentity) => {
            api::GetCallerIdentityInput::parse_form(&form).map_err(|error| form::validation(&error, Some(&form)))?;
            let operation = kernel
                .authorize(&request.caller, GetCallerIdentity)
                .await
                .map_err(|denied| ServiceError::new("AccessDenied", 403, denied.to_string()))?;
            get_caller_identity(&request.caller, operation)
        }
        Route::Served(other) => Err(ServiceError::not_implemented(other.name())),
        Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
        Route::Unknown => Err(form::unknown_action(&action, VERSION)),
    }
}

fn get_caller_identity(caller: &Caller, _: Authorized<GetCallerIdentity>) -> Result<Response, ServiceError> {
    let Some(account) = caller.account() else {
        return Err(ServiceError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token"));
    };
    let output = api::GetCallerIdentityOutput {
        user_id: Some(caller.principal().user_id()),
        account: Some(account.to_string()),
        arn: Some(caller.arn()),
    };
    form::response(output.write(&caller.request_id().to_string()))
}
