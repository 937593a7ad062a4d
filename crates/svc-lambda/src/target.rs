//! Functions as what other services deliver to: S3's notifications, topics, rules, schedules, destinations of other functions.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_lambda as api;
use millpond_kernel::{Arrival, Caller, Delivery, Rejection, Target};
use millpond_types::Arn;

use crate::async_invoke::{self, Event};
use crate::destinations::{self, Outcome, Reach};
use crate::errors::{LambdaError, not_found, parameter};
use crate::limits::MAX_ASYNC_PAYLOAD;
use crate::names::{FunctionName, random_id, uuid};
use crate::state::{Core, On};

/// Takes deliveries.
pub(crate) struct Functions(pub Arc<Core>);

/// Why a loop is not gone on with.
pub(crate) const LOOP: &str = "RecursiveInvocation: the event follows from an invocation that follows from others, over 16 hops: this is a loop, which the function's recursion configuration does not allow";

impl Functions {
    async fn admitted(&self, to: &Arn, from: &Caller) -> Result<On<api::InvokeInput>, LambdaError> {
        let core = &self.0;
        let none = || not_found(format!("Function not found: {to}"));
        if !to.resource().starts_with("function:") {
            return Err(none());
        }
        let name = FunctionName::parse(to.as_str(), None, core.account_of(from), core.kernel.region())?;
        let on = core.on_function::<api::InvokeInput>(from, name, |resolved| resolved).await?;
        on.function.meant(&on.name.qualifier).ok_or_else(none)?;
        Ok(on)
    }

    async fn event(&self, to: &Arn, from: &Caller, delivery: &Delivery) -> Result<Arrival, Rejection> {
        let core = &self.0;
        let On { authorized, function, name } = self.admitted(to, from).await?;
        if delivery.body.len() > MAX_ASYNC_PAYLOAD {
            return Err(parameter(format!("An event has at most {MAX_ASYNC_PAYLOAD} bytes.")).into());
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&delivery.body) {
            return Err(parameter(format!("An event is JSON: {error}")).into());
        }
        let id = random_id(delivery.id);
        if core.check_loop(&function, &delivery.causes).is_err() {
            tracing::warn!(function = %function.arn, event = delivery.event, "a function was not invoked: this is a loop");
            let version = function.meant(&name.qualifier).ok_or_else(|| not_found(to.to_string()))?;
            let outcome = Outcome {
                id,
                function: &function,
                qualifier: &name.qualifier,
                version,
                condition: "RecursiveInvocation",
                runs: 0,
                payload: &delivery.body,
                causes: &delivery.causes,
                response: None,
                reach: Reach::of_loop(&delivery.causes),
            };
            // To where the function's own failures go, unless that is a function; or else to where the sender's do.
            let mut arrival = destinations::failed(core, &outcome, LOOP).await?;
            if arrival.ops.is_empty() {
                return Err(Rejection::Invalid(LOOP.to_owned()));
            }
            arrival.conds.push(authorized.pin().cond());
            return Ok(arrival);
        }
        let event = Event {
            function: &function,
            qualifier: &name.qualifier,
            payload: delivery.body.clone(),
            causes: delivery.causes.clone(),
            id,
            time: delivery.time,
            client_context: None,
            trace: None,
        };
        let ops = async_invoke::put(core, &event)?;
        Ok(Arrival { conds: vec![authorized.pin().cond()], ops })
    }
}

impl Target for Functions {
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async move { Ok(self.admitted(to, from).await.map(drop)?) }.boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        self.event(to, from, delivery).boxed()
    }

    /// The request id.
    fn message_id(&self, delivery: u128) -> Option<String> {
        Some(uuid(random_id(delivery)))
    }
}
