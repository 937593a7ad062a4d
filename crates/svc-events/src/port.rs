//! Buses as targets of others: services put their events onto default buses, and rules forward to further ones.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{Arrival, Caller, Delivery, Principal, Rejection, Target};
use millpond_meta::{Cond, Op};
use millpond_pattern::Event;
use millpond_types::Arn;

use crate::errors::{EventsError, Failure};
use crate::event::envelope::Given;
use crate::event::json::Json;
use crate::limits::MAX_EVENT;
use crate::model::Bus;
use crate::names::{BusName, DEFAULT};
use crate::ops::put::append;
use crate::rows::EventRow;
use crate::state::{Core, Draft, PRINCIPAL};
use crate::tables;

/// The buses, for whoever sends.
pub(crate) struct Buses(pub Arc<Core>);

impl From<EventsError> for Rejection {
    fn from(error: EventsError) -> Self {
        match error {
            EventsError::NotFound(why) => Self::NotFound(why),
            EventsError::Denied(why) => Self::Denied(why),
            EventsError::Internal(why) => Self::Failed(why),
            EventsError::CallerGone | EventsError::Busy => Self::Failed(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl Buses {
    /// The bus of an ARN, which must be there; a default bus that nobody needed before is made.
    async fn bus(&self, to: &Arn) -> Result<Arc<Bus>, Rejection> {
        let core = &self.0;
        let name =
            core.names.bus_of(to.as_str()).ok_or_else(|| Rejection::NotFound(format!("{to} is no event bus.")))?;
        let bus = core.bus(&name).ok_or_else(|| EventsError::no_bus(&name.name))?;
        if bus.stored.is_some() {
            return Ok(bus);
        }
        let made = core.detached(move |core| {
            let name = name.clone();
            async move {
                let bus = core.bus(&name).ok_or_else(|| EventsError::no_bus(&name.name))?;
                if bus.stored.is_none() {
                    let mut draft = Draft::new();
                    draft.need(&core, &bus)?;
                    core.commit(None, draft).await?;
                }
                let bus = core.bus(&name).ok_or_else(|| EventsError::no_bus(&name.name))?;
                Ok::<_, Failure>(bus)
            }
        });
        Ok(made.await?)
    }

    /// Whether the sender may put an event of a source here; what pins that.
    async fn decided(
        &self,
        from: &Caller,
        bus: &Arc<Bus>,
        source: &str,
        detail_type: &str,
    ) -> Result<Option<Cond>, Rejection> {
        let pin = self.0.kernel.epoch().now();
        // Not what rules send: that came from a bus, of whoever may put rules there.
        let service = matches!(from.principal(), Principal::Service { name } if name != PRINCIPAL);
        let ours = service && source.starts_with("aws.");
        if ours && from.source_account() == Some(bus.name.account) && bus.name.name == DEFAULT {
            // Events of our services come to the default bus of their account, without a policy.
            return Ok(None);
        }
        let pin = self.0.may_put(pin, from, (&bus.name, Some(bus)), (source, detail_type)).await?;
        Ok(Some(pin.cond()))
    }

    async fn take(&self, to: &Arn, from: &Caller, delivery: &Delivery) -> Result<Arrival, Rejection> {
        let invalid = |why: &str| Rejection::Invalid(why.to_owned());
        let text = std::str::from_utf8(&delivery.body).map_err(|_| invalid("An event is UTF-8."))?;
        if text.len() > MAX_EVENT {
            return Err(invalid("The event is too large."));
        }
        let json = Json::parse(text).ok_or_else(|| invalid("An event is JSON."))?;
        let given =
            Given::read(json).map_err(|what| Rejection::Invalid(format!("The event's {what} is missing or wrong.")))?;
        Event::parse(text.as_bytes()).map_err(|error| Rejection::Invalid(error.to_string()))?;
        let bus = self.bus(to).await?;
        let mut conds = vec![Cond::Present(tables::bus(bus.name.account, &bus.name.name))];
        conds.extend(self.decided(from, &bus, &given.source, &given.detail_type).await?);
        let ops = arrival(&self.0, &bus.name, &given, json, delivery)?;
        Ok(Arrival { conds, ops })
    }

    async fn look(&self, to: &Arn, from: &Caller) -> Result<(), Rejection> {
        let bus = self.bus(to).await?;
        // Of services their own source is meant: `aws.s3` of s3.amazonaws.com.
        let source = match from.principal() {
            Principal::Service { name } => format!("aws.{}", name.split('.').next().unwrap_or_default()),
            _ => String::new(),
        };
        self.decided(from, &bus, &source, "").await.map(drop)
    }
}

/// The changes by which an event arrives. Its id stays, so that whoever gets it twice can tell.
fn arrival(
    core: &Core,
    bus: &BusName,
    given: &Given,
    json: Json<'_>,
    delivery: &Delivery,
) -> Result<Vec<Op>, EventsError> {
    let row = EventRow {
        id: given.id.clone(),
        ingested: core.clock.now().0,
        // By a rule of another bus: deliveries of services have the events' own causes.
        forwarded: delivery.causes.last().is_some_and(|cause| cause.starts_with("events:")),
        causes: delivery.causes.clone(),
        ..EventRow::default()
    };
    append(core, bus, row, &json.compact())
}

impl Target for Buses {
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        self.look(to, from).boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        self.take(to, from, delivery).boxed()
    }
}
