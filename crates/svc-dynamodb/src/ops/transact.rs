//! Transactions: several items read at one moment, or written together or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond_api_dynamodb::{
    ConsumedCapacity, ItemCollectionMetrics, ItemResponse, ReturnConsumedCapacity, ReturnItemCollectionMetrics,
    TransactGetItemsInput, TransactGetItemsOutput, TransactWriteItem, TransactWriteItemsInput,
    TransactWriteItemsOutput,
};
use millpond_item::Item;
use millpond_kernel::{Caller, Pin};
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;
use sha2::{Digest, Sha256};

use crate::capacity::{Reading, Units, read_units};
use crate::change::{Actor, Change, Draft, Effect, Lost};
use crate::errors::{DynamoError, Failure, Reason, invalid, no_table};
use crate::exprs;
use crate::fetch::{self, Fetch};
use crate::inputs::Touch;
use crate::keys::{self, Place};
use crate::limits;
use crate::model::Table;
use crate::ops::tables::own;
use crate::state::{Core, decode, encode};
use crate::stored::Stored;
use crate::tables::{self, TokenRow, WHOLE};
use crate::throttle::Way;
use crate::values;
use crate::write::{self, Action, Write};
use crate::writing::check_key;

/// A TransactGetItems.
#[derive(Debug)]
pub(crate) struct Gets {
    fetches: Vec<Fetch>,
    consumed: Option<ReturnConsumedCapacity>,
}

pub(crate) fn gets(input: TransactGetItemsInput) -> Result<Gets, DynamoError> {
    let consumed = input.return_consumed_capacity;
    let mut fetches = Vec::new();
    for one in input.transact_items {
        let get = one.get;
        let wanted = fetch::wanted(None, get.projection_expression.as_deref(), get.expression_attribute_names)?;
        let key = values::item(get.key)?;
        fetches.push(Fetch { table: get.table_name, key, wanted, reading: Reading::Transactional, consumed });
    }
    Ok(Gets { fetches, consumed })
}

/// Units by the names of tables, in their order.
#[derive(Default)]
struct Bill(BTreeMap<String, (Arc<Table>, Units)>);

impl Bill {
    fn add(&mut self, table: &Arc<Table>, units: &Units, way: Way) {
        let (_, sum) = self.0.entry(table.arn.to_string()).or_insert_with(|| (Arc::clone(table), Units::none(way)));
        sum.join(units);
    }

    fn shown(&self, how: Option<ReturnConsumedCapacity>) -> Option<Vec<ConsumedCapacity>> {
        let list: Vec<_> = self.0.values().filter_map(|(table, units)| units.shown(table, how, true)).collect();
        Some(list).filter(|list| !list.is_empty())
    }
}

pub(crate) async fn get(core: &Core, caller: &Caller, gets: &Gets) -> Result<TransactGetItemsOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let (mut touches, mut tables) = (Vec::new(), Vec::new());
    for one in &gets.fetches {
        let (arn, account, table) = core.named(caller, &one.table)?;
        let mut about = fetch::about(table.as_deref(), std::iter::once(&one.key), &one.wanted, one.consumed);
        about.enclosing = Some("TransactGetItems");
        touches.push(Touch::table("dynamodb:GetItem", arn, account, table.as_ref()).about(about));
        tables.push(table);
    }
    core.decide::<TransactGetItemsInput>(pin, caller, touches, Vec::new()).await?;
    let tables = tables.into_iter().collect::<Option<Vec<_>>>().ok_or_else(no_table)?;
    let places = placed(gets.fetches.iter().zip(&tables).map(|(one, table)| keys::place(&table.schema, &one.key)))?;
    let admitted = tables.iter().map(|table| reason_of(core.admit(table, WHOLE, Way::Read)));
    canceled(admitted.collect::<Result<_, _>>()?)?;
    let view = core.kv.snapshot().await?;
    let (mut responses, mut bill, mut bytes) = (Vec::new(), Bill::default(), 0);
    for ((one, table), place) in gets.fetches.iter().zip(&tables).zip(&places) {
        let stored = core.item_at(&*view, table.id, place).await?;
        check_key(table, &one.key, stored.as_ref())?;
        let size = stored.as_ref().map_or(0, |stored| stored.item.size());
        let units = Units::read(WHOLE, read_units(size, Reading::Transactional));
        core.charge(table, &units);
        bill.add(table, &units, Way::Read);
        bytes += size;
        if bytes > limits::MAX_TRANSACTION {
            return Err(invalid("The aggregate size of the items in the transaction exceeds 4 MB").into());
        }
        let item = stored.map(|stored| values::shapes(fetch::part(&one.wanted, stored.item)));
        responses.push(ItemResponse { item });
    }
    Ok(TransactGetItemsOutput { consumed_capacity: bill.shown(gets.consumed), responses: Some(responses) })
}

/// The places of all actions; a key that is none cancels the transaction.
fn placed(places: impl Iterator<Item = Result<Place, DynamoError>>) -> Result<Vec<Place>, DynamoError> {
    let (mut found, mut reasons) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Ok(place) => {
                found.push(place);
                reasons.push(Reason::None);
            }
            Err(error) => reasons.push(reason_of(Err(error))?),
        }
    }
    canceled(reasons)?;
    Ok(found)
}

/// Why an action cannot take place; what is no reason of its own fails the call.
fn reason_of(result: Result<(), DynamoError>) -> Result<Reason, DynamoError> {
    match result {
        Ok(()) => Ok(Reason::None),
        Err(DynamoError::Validation(text)) => Ok(Reason::Validation(text)),
        Err(DynamoError::Condition(item)) => Ok(Reason::Condition(item)),
        Err(DynamoError::Throughput(what)) => Ok(Reason::Throughput(what)),
        Err(DynamoError::OnDemand(what)) => Ok(Reason::OnDemand(what)),
        Err(DynamoError::Collection) => Ok(Reason::Collection),
        Err(other) => Err(other),
    }
}

fn canceled(reasons: Vec<Reason>) -> Result<(), DynamoError> {
    if reasons.iter().all(|reason| *reason == Reason::None) { Ok(()) } else { Err(DynamoError::Canceled(reasons)) }
}

/// A TransactWriteItems.
#[derive(Debug)]
pub(crate) struct Writes {
    writes: Vec<Write>,
    consumed: Option<ReturnConsumedCapacity>,
    metrics: bool,
    /// The hashes of a client's token and of what it was given for.
    token: Option<([u8; 32], [u8; 32])>,
}

pub(crate) fn writes(input: TransactWriteItemsInput) -> Result<Writes, DynamoError> {
    let token = input.client_request_token.as_ref().map(|token| {
        // Shapes have their members in one order.
        let asked = format!("{:?}", input.transact_items);
        (Sha256::digest(token.as_bytes()).into(), Sha256::digest(asked.as_bytes()).into())
    });
    let writes: Vec<Write> = input.transact_items.into_iter().map(read).collect::<Result<_, _>>()?;
    let size: usize = writes.iter().map(|write| write.named().size()).sum();
    if size > limits::MAX_TRANSACTION {
        return Err(invalid("The aggregate size of the items in the transaction exceeds 4 MB"));
    }
    let metrics = input.return_item_collection_metrics == Some(ReturnItemCollectionMetrics::Size);
    Ok(Writes { writes, consumed: input.return_consumed_capacity, metrics, token })
}

fn read(shape: TransactWriteItem) -> Result<Write, DynamoError> {
    let (table, action, text, names, values, failure) = match shape {
        TransactWriteItem { put: Some(put), condition_check: None, delete: None, update: None } => (
            put.table_name,
            Action::Put(values::item(put.item)?),
            put.condition_expression,
            put.expression_attribute_names,
            put.expression_attribute_values,
            put.return_values_on_condition_check_failure,
        ),
        TransactWriteItem { delete: Some(delete), condition_check: None, put: None, update: None } => (
            delete.table_name,
            Action::Delete(values::item(delete.key)?),
            delete.condition_expression,
            delete.expression_attribute_names,
            delete.expression_attribute_values,
            delete.return_values_on_condition_check_failure,
        ),
        TransactWriteItem { condition_check: Some(check), put: None, delete: None, update: None } => (
            check.table_name,
            Action::Check(values::item(check.key)?),
            Some(check.condition_expression),
            check.expression_attribute_names,
            check.expression_attribute_values,
            check.return_values_on_condition_check_failure,
        ),
        TransactWriteItem { update: Some(update), put: None, delete: None, condition_check: None } => {
            let mut placeholders =
                exprs::placeholders(update.expression_attribute_names, update.expression_attribute_values)?;
            let changed = placeholders.update(&update.update_expression)?;
            let condition = write::condition(&mut placeholders, update.condition_expression.as_deref())?;
            placeholders.finish()?;
            let action = Action::Update(values::item(update.key)?, Some(changed));
            let shows_failure = write::shows_failure(update.return_values_on_condition_check_failure);
            return Ok(Write { table: update.table_name, action, condition, shows_failure });
        }
        _ => {
            let text = "TransactItems can only contain one of Check, Put, Update or Delete";
            return Err(invalid(text));
        }
    };
    let mut placeholders = exprs::placeholders(names, values)?;
    let condition = write::condition(&mut placeholders, text.as_deref())?;
    placeholders.finish()?;
    Ok(Write { table, action, condition, shows_failure: write::shows_failure(failure) })
}

/// A transaction whose tables are known.
struct Transaction<'a> {
    core: &'a Core,
    caller: &'a Caller,
    pin: Pin,
    asked: &'a Writes,
    tables: Vec<Arc<Table>>,
    places: Vec<Place>,
}

pub(crate) async fn write(core: &Core, caller: &Caller, asked: &Writes) -> Result<TransactWriteItemsOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let (mut touches, mut tables) = (Vec::new(), Vec::new());
    for one in &asked.writes {
        let (arn, account, table) = core.named(caller, &one.table)?;
        let mut about = one.about(table.as_deref());
        about.enclosing = Some("TransactWriteItems");
        touches.push(Touch::table(one.permission(), arn, account, table.as_ref()).about(about));
        tables.push(table);
    }
    let authorized = core.decide::<TransactWriteItemsInput>(pin, caller, touches, Vec::new()).await?;
    let tables = tables.into_iter().collect::<Option<Vec<_>>>().ok_or_else(no_table)?;
    let places = placed(asked.writes.iter().zip(&tables).map(|(write, table)| write.place(table)))?;
    let distinct: BTreeSet<_> = tables.iter().map(|table| table.id).zip(&places).collect();
    if distinct.len() < places.len() {
        return Err(invalid("Transaction request cannot include multiple operations on one item").into());
    }
    let transaction = Transaction { core, caller, pin: authorized.pin(), asked, tables, places };
    let _turns = core.stripes.turns(transaction.tables.iter().map(|table| table.id).zip(&transaction.places)).await;
    for _ in 0..limits::RACES {
        match transaction.attempt().await {
            Ok(output) => return Ok(output),
            Err(Ended::Race) => {}
            Err(Ended::Failed(failure)) => return Err(failure),
        }
    }
    Err(DynamoError::Canceled(asked.writes.iter().map(|_| Reason::Conflict).collect()).into())
}

/// Why an attempt did not succeed.
enum Ended {
    Race,
    Failed(Failure),
}

impl<E: Into<DynamoError>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(Failure::Error(error.into()))
    }
}

impl Transaction<'_> {
    async fn attempt(&self) -> Result<TransactWriteItemsOutput, Ended> {
        let account = own(self.caller)?;
        let mut draft = Draft::new(Some(self.pin), self.places.len());
        if self.asked.writes.iter().all(|write| matches!(write.action, Action::Delete(_) | Action::Check(_))) {
            draft.urgent();
        }
        if let Some((token, request)) = &self.asked.token
            && let Some(output) = self.token(&mut draft, account, token, request).await?
        {
            return Ok(output);
        }
        let stored = self.stored().await?;
        self.check_conditions(&stored)?;
        let effects = self.change(&mut draft, &stored).await?;
        match self.core.commit(draft).await {
            Ok(()) => {}
            Err(Lost::Race) => return Err(Ended::Race),
            Err(lost) => return Err(Ended::Failed(lost.into())),
        }
        let mut bill = Bill::default();
        for (table, effect) in self.tables.iter().zip(&effects) {
            let units = Units::written(effect, true);
            self.core.charge(table, &units);
            bill.add(table, &units, Way::Write);
        }
        let metrics = self.metrics().await?;
        Ok(TransactWriteItemsOutput {
            consumed_capacity: bill.shown(self.asked.consumed),
            item_collection_metrics: metrics,
        })
    }

    async fn stored(&self) -> Result<Vec<Option<Stored>>, DynamoError> {
        let mut all = Vec::with_capacity(self.places.len());
        for ((write, table), place) in self.asked.writes.iter().zip(&self.tables).zip(&self.places) {
            let stored = self.core.item(table, place).await?;
            check_key(table, write.named(), stored.as_ref())?;
            all.push(stored);
        }
        Ok(all)
    }

    fn check_conditions(&self, stored: &[Option<Stored>]) -> Result<(), DynamoError> {
        let check = |((write, table), stored): ((&Write, &Arc<Table>), &Option<Stored>)| {
            let item = stored.as_ref().map(|stored| &stored.item);
            let holds = if write.holds(item) {
                self.core.admit(table, WHOLE, Way::Write)
            } else {
                Err(DynamoError::Condition(item.filter(|_| write.shows_failure).map(values::json_of)))
            };
            reason_of(holds)
        };
        let all = self.asked.writes.iter().zip(&self.tables).zip(stored);
        canceled(all.map(check).collect::<Result<_, _>>()?)
    }

    /// Works all changes out.
    async fn change(&self, draft: &mut Draft, stored: &[Option<Stored>]) -> Result<Vec<Effect>, DynamoError> {
        let (mut effects, mut reasons) = (Vec::new(), Vec::new());
        let all = self.asked.writes.iter().zip(&self.tables).zip(&self.places).zip(stored);
        for (((write, table), place), stored) in all {
            match self.change_one(draft, (write, table, place), stored.as_ref()).await {
                Ok(effect) => {
                    effects.push(effect);
                    reasons.push(Reason::None);
                }
                Err(error) => reasons.push(reason_of(Err(error))?),
            }
        }
        canceled(reasons)?;
        if effects.iter().map(|effect| effect.after).sum::<usize>() > limits::MAX_TRANSACTION {
            return Err(invalid("The aggregate size of the items in the transaction exceeds 4 MB"));
        }
        Ok(effects)
    }

    async fn change_one(
        &self,
        draft: &mut Draft,
        (write, table, place): (&Write, &Arc<Table>, &Place),
        stored: Option<&Stored>,
    ) -> Result<Effect, DynamoError> {
        let item = stored.map(|stored| &stored.item);
        if let Action::Check(_) = write.action {
            draft.depends_on(table);
            draft.unchanged(table, place, stored);
            let before = item.map_or(0, Item::size);
            return Ok(Effect { before, ..Effect::default() });
        }
        let outcome = write.outcome(table, item)?;
        let change = Change {
            table,
            place,
            old: stored,
            new: outcome.new.as_deref(),
            by: Actor::User,
            causes: self.caller.causes(),
            now: self.core.now(),
        };
        let effect = self.core.change(draft, &change).await?;
        self.core.admit_write(table, &effect)?;
        self.core.check_collection(table, place, &effect).await?;
        Ok(effect)
    }

    async fn metrics(&self) -> Result<Option<BTreeMap<String, Vec<ItemCollectionMetrics>>>, DynamoError> {
        if !self.asked.metrics {
            return Ok(None);
        }
        let mut metrics: BTreeMap<String, Vec<ItemCollectionMetrics>> = BTreeMap::new();
        for ((write, table), place) in self.asked.writes.iter().zip(&self.tables).zip(&self.places) {
            let shown = self.core.collection_metrics(table, place, write.named()).await?;
            metrics.entry(table.name.clone()).or_default().extend(shown);
        }
        metrics.retain(|_, list| !list.is_empty());
        Ok(Some(metrics))
    }

    /// Looks a client's token up, and has the commit remember it. The answer, where the same was done by it before.
    async fn token(
        &self,
        draft: &mut Draft,
        account: AccountId,
        token: &[u8; 32],
        request: &[u8; 32],
    ) -> Result<Option<TransactWriteItemsOutput>, DynamoError> {
        let (key, now) = (tables::token(account, token), self.core.millis());
        let until = now + u64::try_from(limits::TOKEN_TIME.as_millis()).unwrap_or(u64::MAX);
        let known = self.core.kv.get(&key).await?;
        match &known {
            None => draft.cond(Cond::Absent(key.clone())),
            Some(raw) => {
                let row: TokenRow = decode(raw, "a token")?;
                if row.until > now {
                    if row.request != request {
                        return Err(DynamoError::TokenMismatch);
                    }
                    return self.done_before().await.map(Some);
                }
                draft.cond(Cond::Equals(key.clone(), raw.clone()));
            }
        }
        let row = TokenRow { request: request.to_vec(), until };
        draft.op(Op::Put(key, encode(&row)));
        draft.op(Op::Put(tables::token_time(until, account, token), bytes::Bytes::new()));
        Ok(None)
    }

    /// The answer to what was done before: it costs reading the items (API reference, TransactWriteItems, ClientRequestToken).
    async fn done_before(&self) -> Result<TransactWriteItemsOutput, DynamoError> {
        let mut bill = Bill::default();
        for (stored, table) in self.stored().await?.iter().zip(&self.tables) {
            let size = stored.as_ref().map_or(0, |stored| stored.item.size());
            let units = Units::read(WHOLE, read_units(size, Reading::Transactional));
            self.core.charge(table, &units);
            bill.add(table, &units, Way::Read);
        }
        let metrics = self.metrics().await?;
        Ok(TransactWriteItemsOutput {
            consumed_capacity: bill.shown(self.asked.consumed),
            item_collection_metrics: metrics,
        })
    }
}
