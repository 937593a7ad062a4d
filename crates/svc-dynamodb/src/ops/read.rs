//! Queries and scans: a page of rows at one moment, filtered and cut.

use std::ops::Bound;

use bytes::Bytes;
use millpond_api_dynamodb::{ConsumedCapacity, QueryOutput, ScanOutput};
use millpond_item::Item;
use millpond_kernel::Caller;
use millpond_meta::key::successor;
use millpond_meta::{Key, Scan, View};

use crate::asking::{Ask, Plan, Shown};
use crate::capacity::{Units, read_units};
use crate::change::{is_projected, place_of_index_row};
use crate::errors::{DynamoError, Failure, no_table};
use crate::inputs::{Input, Touch};
use crate::keys::{self, Place};
use crate::limits;
use crate::model::{Index, Table};
use crate::state::Core;
use crate::tables::WHOLE;
use crate::throttle::Way;
use crate::values::{self, Shape};

/// What was read.
#[derive(Default)]
struct Page {
    items: Vec<Shape>,
    count: usize,
    scanned: usize,
    /// Bytes that were read of the table or the index.
    bytes: usize,
    /// Bytes of the whole items that these belong to.
    whole: usize,
    /// Units for items that a local index had not all of.
    fetched: f64,
    /// The key of the last item, where there may be more.
    last: Option<Item>,
}

/// An answer, of either operation.
struct Answer {
    page: Page,
    consumed: Option<ConsumedCapacity>,
    /// Whether items are shown.
    shows: bool,
}

/// The keys of an item in a table and perhaps an index: from there a page goes on.
fn key_of(table: &Table, index: Option<&Index>, item: &Item) -> Item {
    let mut key = keys::key_of(&table.schema, item);
    if let Some(index) = index {
        key.extend(keys::key_of(&index.schema, item));
    }
    key
}

/// Only what an index has of an item.
fn projected(table: &Table, index: &Index, item: Item) -> Item {
    item.into_iter().filter(|(name, _)| is_projected(table, index, name)).collect()
}

/// A page being read.
struct Walk<'a> {
    core: &'a Core,
    table: &'a Table,
    ask: &'a Ask,
    plan: &'a Plan<'a>,
    view: Box<dyn View>,
    page: Page,
}

impl Walk<'_> {
    /// Reads until the page is full, or nothing is left.
    async fn read(&mut self) -> Result<(), DynamoError> {
        let (mut from, mut to) = (self.plan.from.clone(), self.plan.to.clone());
        let limit = self.ask.limit.unwrap_or(usize::MAX);
        let mut last = None;
        while from < to {
            let together = limits::ROWS_TOGETHER.min(limit.saturating_sub(self.page.scanned)).max(1);
            let (lower, upper) = (Bound::Included(from.clone()), Bound::Excluded(to.clone()));
            let scan = Scan { from: lower, to: upper, reverse: self.plan.reverse, limit: together };
            let rows = self.view.scan(scan).await?;
            let is_end = rows.len() < together;
            for (key, raw) in rows {
                if self.plan.reverse {
                    to = key.clone();
                } else {
                    from = successor(&key);
                }
                let Some(key) = self.row(&key, raw).await? else {
                    self.page.last = last;
                    return Ok(());
                };
                last = Some(key);
                if self.page.scanned == limit {
                    self.page.last = last;
                    return Ok(());
                }
            }
            if is_end {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes a row into the page: the keys of its item; `None` when it does not fit any more.
    async fn row(&mut self, key: &Key, raw: Bytes) -> Result<Option<Item>, DynamoError> {
        let (table, plan) = (self.table, self.plan);
        let damaged = || DynamoError::Internal("the key of an item's row is damaged".to_owned());
        let item = match plan.index {
            None => {
                let place = Place::of_row(key).ok_or_else(damaged)?;
                self.core.item_of_row(&*self.view, table.id, &place, raw).await?.item
            }
            Some(_) => {
                let place = place_of_index_row(&raw)?;
                let missing = || DynamoError::Internal("the item of a row of an index is missing".to_owned());
                self.core.item_at(&*self.view, table.id, &place).await?.ok_or_else(missing)?.item
            }
        };
        let last = key_of(table, plan.index, &item);
        let whole = item.size();
        let item = match plan.index {
            Some(index) if !plan.fetches => projected(table, index, item),
            _ => item,
        };
        let size = match plan.index {
            Some(index) if plan.fetches => crate::change::projected_size(table, index, &item),
            _ => item.size(),
        };
        let is_full = self.page.bytes + size > limits::MAX_PAGE || self.page.whole + whole > limits::MAX_PAGE_WHOLE;
        if self.page.scanned > 0 && is_full {
            return Ok(None);
        }
        self.page.whole += whole;
        self.page.scanned += 1;
        self.page.bytes += size;
        if plan.fetches {
            self.page.fetched += read_units(whole, plan.reading);
        }
        if self.ask.filter.as_ref().is_none_or(|filter| filter.holds(&item)) {
            self.page.count += 1;
            match plan.shown {
                Shown::Count => {}
                Shown::All | Shown::Projected => self.page.items.push(values::shapes(item)),
                Shown::Parts(projection) => self.page.items.push(values::shapes(projection.of_owned(item))),
            }
        }
        Ok(Some(last))
    }
}

async fn answer<I: Input>(core: &Core, caller: &Caller, ask: &Ask) -> Result<Answer, Failure> {
    let pin = core.kernel.epoch().now();
    let (mut arn, account, table) = core.named(caller, &ask.table)?;
    if let Some(index) = &ask.index {
        let resource = format!("{}/index/{index}", arn.resource());
        arn = millpond_types::Arn::new("dynamodb", arn.region(), account.as_str(), &resource);
    }
    let touch = Touch::table(ask.permission(), arn, account, table.as_ref()).about(ask.about(table.as_deref()));
    core.decide::<I>(pin, caller, vec![touch], Vec::new()).await?;
    let table = table.ok_or_else(no_table)?;
    let plan = ask.plan(&table)?;
    let number = plan.index.map_or(WHOLE, |index| index.number);
    core.admit(&table, number, Way::Read)?;
    let view = core.kv.snapshot().await?;
    let mut walk = Walk { core, table: &table, ask, plan: &plan, view, page: Page::default() };
    walk.read().await?;
    let page = walk.page;
    let mut units = Units::read(number, read_units(page.bytes, plan.reading));
    if page.fetched > 0.0 {
        units.add(WHOLE, page.fetched);
    }
    core.charge(&table, &units);
    let shows = !matches!(plan.shown, Shown::Count);
    Ok(Answer { consumed: units.shown(&table, ask.consumed, false), page, shows })
}

fn number(count: usize) -> Option<i32> {
    i32::try_from(count).ok()
}

pub(crate) async fn query(core: &Core, caller: &Caller, ask: &Ask) -> Result<QueryOutput, Failure> {
    let Answer { page, consumed, shows } = answer::<millpond_api_dynamodb::QueryInput>(core, caller, ask).await?;
    Ok(QueryOutput {
        items: shows.then_some(page.items),
        count: number(page.count),
        scanned_count: number(page.scanned),
        last_evaluated_key: page.last.map(values::shapes),
        consumed_capacity: consumed,
    })
}

pub(crate) async fn scan(core: &Core, caller: &Caller, ask: &Ask) -> Result<ScanOutput, Failure> {
    let Answer { page, consumed, shows } = answer::<millpond_api_dynamodb::ScanInput>(core, caller, ask).await?;
    Ok(ScanOutput {
        items: shows.then_some(page.items),
        count: number(page.count),
        scanned_count: number(page.scanned),
        last_evaluated_key: page.last.map(values::shapes),
        consumed_capacity: consumed,
    })
}
