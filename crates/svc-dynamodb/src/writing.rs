//! Writes carried out: the item is read, the condition asked, and the change committed, anew as often as another writer comes in between.

use std::borrow::Cow;
use std::sync::Arc;

use millpond_api_dynamodb::{ConsumedCapacity, ItemCollectionMetrics, ReturnConsumedCapacity, ReturnValue};
use millpond_item::Item;
use millpond_item::expression::Applied;
use millpond_kernel::{Caller, Pin};

use crate::capacity::Units;
use crate::change::{Actor, Change, Draft, Effect, Lost};
use crate::errors::{DynamoError, Failure, no_table};
use crate::inputs::{Input, Touch};
use crate::keys::{self, Place};
use crate::limits;
use crate::model::Table;
use crate::state::{Core, count};
use crate::stored::Stored;
use crate::tables::{self, Counter, WHOLE};
use crate::throttle::Way;
use crate::values::{self, Shape};
use crate::write::{Single, Write};

/// A gibibyte, in which collections are measured.
const GIB: f64 = (1024 * 1024 * 1024) as f64;

/// A write that was committed.
#[derive(Debug)]
pub(crate) struct Done {
    pub table: Arc<Table>,
    pub old: Option<Item>,
    /// What an update made; what was put is known.
    pub new: Option<Item>,
    pub applied: Option<Applied>,
    pub units: Units,
    pub place: Place,
}

impl Done {
    /// The attributes that an answer shows.
    pub fn attributes(self, values: ReturnValue) -> Option<Shape> {
        let shown = match values {
            ReturnValue::None => None,
            ReturnValue::AllOld => self.old,
            ReturnValue::AllNew => self.new,
            ReturnValue::UpdatedOld => self.applied.zip(self.old).map(|(applied, old)| applied.old.of_owned(old)),
            ReturnValue::UpdatedNew => self.applied.zip(self.new).map(|(applied, new)| applied.new.of_owned(new)),
        };
        let is_part = matches!(values, ReturnValue::UpdatedOld | ReturnValue::UpdatedNew);
        let shown = shown.filter(|item| !is_part || !item.is_empty());
        shown.map(values::shapes)
    }

    /// What was consumed, as an answer shows it.
    pub fn consumed(&self, how: Option<ReturnConsumedCapacity>) -> Option<ConsumedCapacity> {
        self.units.shown(&self.table, how, false)
    }
}

/// Checks that the item of a place is the one that was asked for.
pub(crate) fn check_key(table: &Table, asked: &Item, found: Option<&Stored>) -> Result<(), DynamoError> {
    match found {
        Some(found) if !keys::same_key(&table.schema, asked, &found.item) => {
            Err(DynamoError::Internal("two partition keys have one hash".to_owned()))
        }
        _ => Ok(()),
    }
}

impl Core {
    /// Decides about a write and carries it out.
    pub async fn write_one<I: Input>(&self, caller: &Caller, single: &Single) -> Result<Done, Failure> {
        let pin = self.kernel.epoch().now();
        let (arn, account, table) = self.named(caller, &single.write.table)?;
        let mut about = single.write.about(table.as_deref());
        single.shows.about(&mut about);
        let touch = Touch::table(I::ACTION, arn, account, table.as_ref()).about(about);
        let authorized = self.decide::<I>(pin, caller, vec![touch], Vec::new()).await?;
        let table = table.ok_or_else(no_table)?;
        self.write(caller, authorized.pin(), &table, &single.write).await
    }

    /// Carries out a write that was decided.
    pub async fn write(&self, caller: &Caller, pin: Pin, table: &Arc<Table>, write: &Write) -> Result<Done, Failure> {
        let place = write.place(table)?;
        let _turn = self.stripes.turn(table.id, &place).await;
        self.admit(table, WHOLE, Way::Write)?;
        for _ in 0..limits::RACES {
            let stored = self.item(table, &place).await?;
            check_key(table, write.named(), stored.as_ref())?;
            let old = stored.as_ref().map(|stored| &stored.item);
            if !write.holds(old) {
                let before = old.map_or(0, Item::size);
                self.charge(table, &Units::written(&Effect { before, ..Effect::default() }, false));
                let shown = old.filter(|_| write.shows_failure).map(values::json_of);
                return Err(DynamoError::Condition(shown).into());
            }
            let outcome = write.outcome(table, old)?;
            let mut draft = Draft::new(Some(pin), 1);
            if outcome.new.is_none() {
                draft.urgent();
            }
            let change = Change {
                table,
                place: &place,
                old: stored.as_ref(),
                new: outcome.new.as_deref(),
                by: Actor::User,
                causes: caller.causes(),
                now: self.now(),
            };
            let effect = self.change(&mut draft, &change).await?;
            self.admit_write(table, &effect)?;
            self.check_collection(table, &place, &effect).await?;
            match self.commit(draft).await {
                Err(Lost::Race) => {}
                Err(lost) => return Err(lost.into()),
                Ok(()) => {
                    let units = Units::written(&effect, false);
                    self.charge(table, &units);
                    let (table, applied) = (Arc::clone(table), outcome.applied);
                    let new = match outcome.new {
                        Some(Cow::Owned(new)) => Some(new),
                        _ => None,
                    };
                    let old = stored.map(|stored| stored.item);
                    return Ok(Done { table, old, new, applied, units, place });
                }
            }
        }
        Err(DynamoError::Busy.into())
    }

    /// Bytes of the collection that an item belongs to.
    async fn collection(&self, table: &Table, place: &Place) -> Result<u64, DynamoError> {
        let row = self.kv.get(&tables::counter(table.id, Counter::Collection(place.hash()))).await?;
        Ok(u64::try_from(count(row.as_ref())).unwrap_or(0))
    }

    /// Refuses what makes a collection too large.
    pub async fn check_collection(&self, table: &Table, place: &Place, effect: &Effect) -> Result<(), DynamoError> {
        let grows = effect.after.saturating_sub(effect.before) as u64;
        if grows == 0 || !table.has_local() {
            return Ok(());
        }
        if self.collection(table, place).await? + grows > limits::MAX_COLLECTION {
            return Err(DynamoError::Collection);
        }
        Ok(())
    }

    /// How large the collection is that an item belongs to, in a table with local indexes.
    pub async fn collection_metrics(
        &self,
        table: &Table,
        place: &Place,
        named: &Item,
    ) -> Result<Option<ItemCollectionMetrics>, DynamoError> {
        if !table.has_local() {
            return Ok(None);
        }
        let size = self.collection(table, place).await? as f64 / GIB;
        let key = named.get(&table.schema.hash.name).cloned();
        let key = key.map(|value| values::shapes([(table.schema.hash.name.clone(), value)]));
        // An estimate in whole gibibytes, as AWS gives.
        let range = Some(vec![size.floor(), size.floor() + 1.0]);
        Ok(Some(ItemCollectionMetrics { item_collection_key: key, size_estimate_range_gb: range }))
    }
}
