//! Reads of one item.

use millpond_api_dynamodb::{GetItemInput, GetItemOutput};
use millpond_item::Item;
use millpond_kernel::Caller;

use crate::capacity::{Units, read_units};
use crate::errors::{Failure, no_table};
use crate::fetch::{self, Fetch};
use crate::inputs::Touch;
use crate::keys;
use crate::state::Core;
use crate::tables::WHOLE;
use crate::throttle::Way;
use crate::values;
use crate::writing::check_key;

pub(crate) async fn get(core: &Core, caller: &Caller, fetch: &Fetch) -> Result<GetItemOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let (arn, account, table) = core.named(caller, &fetch.table)?;
    let about = fetch::about(table.as_deref(), std::iter::once(&fetch.key), &fetch.wanted, fetch.consumed);
    let touch = Touch::table("dynamodb:GetItem", arn, account, table.as_ref()).about(about);
    core.decide::<GetItemInput>(pin, caller, vec![touch], Vec::new()).await?;
    let table = table.ok_or_else(no_table)?;
    let place = keys::place(&table.schema, &fetch.key)?;
    core.admit(&table, WHOLE, Way::Read)?;
    let stored = core.item(&table, &place).await?;
    check_key(&table, &fetch.key, stored.as_ref())?;
    let item = stored.map(|stored| stored.item);
    let units = Units::read(WHOLE, read_units(item.as_ref().map_or(0, Item::size), fetch.reading));
    core.charge(&table, &units);
    let shown = item.map(|item| values::shapes(fetch::part(&fetch.wanted, item)));
    Ok(GetItemOutput { item: shown, consumed_capacity: units.shown(&table, fetch.consumed, false) })
}
