//! Searches for tables by words and properties (API reference, SearchTables). They find what the caller may search on alone.

use std::cmp::Ordering;
use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, paging};
use millpond_meta::key::{prefix_range, successor};
use millpond_types::{AccountId, Timestamp};

use super::databases::bad_token;
use super::tables::{Version, found_by, listed, show};
use crate::errors::{Failure, GlueError, invalid};
use crate::inputs::Touch;
use crate::kept::Pieces;
use crate::limits::{MAX_LISTED, MAX_SEARCHED, MAX_SORTED};
use crate::names;
use crate::state::{Core, Database, database_of};
use crate::tables;

/// Between the names of database and table in a token.
const APART: char = '\u{1F}';

/// What a table is found by.
struct Wanted<'a> {
    text: Option<&'a str>,
    filters: &'a [api::PropertyPredicate],
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

/// The words of a text: parted by everything but letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(lower)
}

/// All texts of a table.
fn texts(table: &api::Table) -> Vec<&str> {
    let mut all = vec![table.name.as_str()];
    let more = [&table.database_name, &table.description, &table.owner, &table.table_type];
    all.extend(more.into_iter().flatten().map(String::as_str));
    let storage = table.storage_descriptor.as_ref();
    all.extend(storage.and_then(|storage| storage.location.as_deref()));
    let columns = storage.and_then(|storage| storage.columns.as_ref()).into_iter().chain(&table.partition_keys);
    for column in columns.flatten() {
        all.push(&column.name);
        all.extend(column.comment.as_deref());
    }
    for (key, value) in table.parameters.iter().flatten() {
        all.extend([key.as_str(), value.as_str()]);
    }
    all
}

/// A text in quotes is one of the table's texts as a whole; of one without, every word begins a word of the table.
fn has_text(table: &api::Table, text: &str) -> bool {
    let all = texts(table);
    if let Some(exact) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return all.iter().any(|one| one.eq_ignore_ascii_case(exact));
    }
    words(text).all(|wanted| all.iter().any(|one| words(one).any(|word| word.starts_with(&wanted))))
}

/// The property of a table by the name that a filter gives it.
enum Property {
    Texts(Vec<String>),
    Time(Option<Timestamp>),
}

fn property(table: &api::Table, name: &str) -> Property {
    let texts = |text: Option<&String>| Property::Texts(text.into_iter().cloned().collect());
    match lower(name).as_str() {
        "name" => texts(Some(&table.name)),
        "databasename" | "database" => texts(table.database_name.as_ref()),
        "description" => texts(table.description.as_ref()),
        "owner" => texts(table.owner.as_ref()),
        "tabletype" => texts(table.table_type.as_ref()),
        "catalogid" => texts(table.catalog_id.as_ref()),
        "location" => texts(table.storage_descriptor.as_ref().and_then(|storage| storage.location.as_ref())),
        "createtime" => Property::Time(table.create_time),
        "updatetime" => Property::Time(table.update_time),
        "lastaccesstime" => Property::Time(table.last_access_time),
        // All else is a property that people gave it.
        _ => texts(table.parameters.as_ref().and_then(|all| all.get(name))),
    }
}

/// Seconds since 1970, or as a date with time.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<u64>().ok().filter(|seconds| *seconds < 1 << 34).map(Timestamp::from_seconds)
}

fn has(table: &api::Table, filter: &api::PropertyPredicate) -> Result<bool, GlueError> {
    let (Some(key), Some(value)) = (&filter.key, &filter.value) else {
        return invalid("A filter has a Key and a Value.");
    };
    let texts = match property(table, key) {
        Property::Texts(texts) => texts,
        Property::Time(time) => {
            let Some(wanted) = moment(value) else {
                return invalid(format!("The value {value} of the filter {key} is no time in seconds since 1970."));
            };
            let holds = |order: Ordering| match filter.comparator.unwrap_or(api::Comparator::Equals) {
                api::Comparator::Equals => order.is_eq(),
                api::Comparator::GreaterThan => order.is_gt(),
                api::Comparator::LessThan => order.is_lt(),
                api::Comparator::GreaterThanEquals => order.is_ge(),
                api::Comparator::LessThanEquals => order.is_le(),
            };
            return Ok(time.is_some_and(|time| holds(time.cmp(&wanted))));
        }
    };
    let wanted = lower(value);
    Ok(texts.iter().any(|text| lower(text) == wanted || words(text).any(|word| word == wanted)))
}

impl Wanted<'_> {
    fn is(&self, table: &api::Table) -> Result<bool, GlueError> {
        if self.text.is_some_and(|text| !has_text(table, text)) {
            return Ok(false);
        }
        for filter in self.filters {
            if !has(table, filter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a page of a search has, and behind which table the next one begins.
struct Found {
    tables: Vec<api::Table>,
    next: Option<String>,
}

/// Looks through the catalog from a place on.
async fn look(
    core: &Core,
    caller: &Caller,
    (owner, input): (AccountId, &api::SearchTablesInput),
    after: Option<(String, String)>,
    (most, looked): (usize, usize),
) -> Result<Found, GlueError> {
    let wanted = Wanted {
        text: input.search_text.as_deref().filter(|text| !text.is_empty()),
        filters: input.filters.as_deref().unwrap_or_default(),
    };
    let (mut from, to) = prefix_range(tables::databases(owner));
    let (mut tables, mut looked_at, mut behind) = (Vec::new(), 0, None);
    if let Some((database, table)) = after {
        from = tables::database(owner, &database);
        behind = Some((database, table));
    }
    while let Some((key, raw)) = core.page(from, to.clone(), 1).await?.pop() {
        from = successor(&key);
        let database: Database = database_of(key, raw)?;
        let mut start = behind
            .take()
            .filter(|(name, _)| *name == database.name)
            .map(|(_, table)| tables::behind_id(&tables::table(database.id, &table)).to_vec());
        loop {
            let (page, next) = listed(core, database.id, start.as_deref(), MAX_LISTED, |_| true).await?;
            for table in page {
                let place = format!("{}{APART}{}", database.name, table.name);
                looked_at += 1;
                let touch = found_by(core, input, owner, &database.name, &table.name);
                let touch: Touch<api::SearchTablesInput> = touch.tagged(Some(&database.row.tags));
                if core.would_allow(caller, touch).await? {
                    let (whose, which) = ((owner, database.name.as_str()), (table.id, table.name.as_str()));
                    let version = Version::current(table.row.clone());
                    let shown = show(core, whose, which, version, &mut Pieces::default()).await?;
                    if wanted.is(&shown)? {
                        tables.push(shown);
                    }
                }
                if tables.len() >= most || looked_at >= looked {
                    return Ok(Found { tables, next: Some(place) });
                }
            }
            match next {
                Some(key) => start = Some(tables::behind_id(&key).to_vec()),
                None => break,
            }
        }
    }
    Ok(Found { tables, next: None })
}

fn order(criterion: &api::SortCriterion, one: &api::Table, other: &api::Table) -> Result<Ordering, GlueError> {
    let name = criterion.field_name.as_deref().unwrap_or("Name");
    let order = match (property(one, name), property(other, name)) {
        (Property::Texts(one), Property::Texts(other)) => one.cmp(&other),
        (Property::Time(one), Property::Time(other)) => one.cmp(&other),
        _ => Ordering::Equal,
    };
    Ok(if criterion.sort == Some(api::Sort::Desc) { order.reverse() } else { order })
}

pub(crate) async fn tables(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::SearchTablesInput,
) -> Result<api::SearchTablesOutput, Failure> {
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    core.authorize(caller, Touch::catalog(core, input, owner)).await?;
    // None is shared from elsewhere.
    if input.resource_share_type.is_some_and(|kind| kind != api::ResourceShareType::All) {
        return Ok(api::SearchTablesOutput { next_token: None, table_list: Some(Vec::new()) });
    }
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let after = paging::name_after(input.next_token.as_deref()).map_err(|_| bad_token())?;
    if let Some(criteria) = input.sort_criteria.as_deref().filter(|all| !all.is_empty()) {
        let from: usize = after.map_or(Ok(0), |text| text.parse()).map_err(|_| bad_token())?;
        let mut found = look(core, caller, (owner, input), None, (MAX_SORTED, MAX_SORTED)).await?;
        if found.next.is_some() {
            let text = format!("A search in {MAX_SORTED} tables or more cannot be sorted; leave SortCriteria out.");
            return Err(GlueError::Invalid(text).into());
        }
        for criterion in criteria.iter().rev() {
            found.tables.sort_by(|one, other| order(criterion, one, other).unwrap_or(Ordering::Equal));
        }
        let more = found.tables.len() > from.saturating_add(limit);
        let page = found.tables.into_iter().skip(from).take(limit).collect();
        let next_token = more.then(|| paging::token((from + limit).to_string()));
        return Ok(api::SearchTablesOutput { next_token, table_list: Some(page) });
    }
    let place = |text: String| text.split_once(APART).map(|(one, other)| (one.to_owned(), other.to_owned()));
    let after = after.map(|text| place(text).ok_or_else(bad_token)).transpose()?;
    let Found { tables, next } = look(core, caller, (owner, input), after, (limit, MAX_SEARCHED)).await?;
    Ok(api::SearchTablesOutput { next_token: next.map(paging::token), table_list: Some(tables) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> api::Table {
        let parameters = [("classification".to_owned(), "parquet".to_owned())].into();
        api::Table {
            name: "customer-link".to_owned(),
            database_name: Some("sales".to_owned()),
            description: Some("Who buys, and where".to_owned()),
            create_time: Some(Timestamp::from_seconds(1_800_000_000)),
            parameters: Some(parameters),
            ..api::Table::default()
        }
    }

    #[test]
    fn words_and_quoted_texts() {
        for (text, expected) in [
            ("link", true),
            ("cust", true),
            ("ustomer", false),
            ("buys parquet", true),
            ("buys orc", false),
            ("\"customer-link\"", true),
            ("\"customer\"", false),
            ("", true),
        ] {
            assert_eq!(has_text(&table(), text), expected, "{text}");
        }
    }

    #[test]
    fn filters_of_properties() {
        use api::Comparator::{GreaterThan, LessThan};
        for (key, value, comparator, expected) in [
            ("Name", "link", None, Some(true)),
            ("Name", "lin", None, Some(false)),
            ("DatabaseName", "sales", None, Some(true)),
            ("classification", "parquet", None, Some(true)),
            ("classification", "orc", None, Some(false)),
            ("CreateTime", "1700000000", Some(GreaterThan), Some(true)),
            ("CreateTime", "1700000000", Some(LessThan), Some(false)),
            ("CreateTime", "yesterday", None, None),
        ] {
            let filter =
                api::PropertyPredicate { key: Some(key.to_owned()), value: Some(value.to_owned()), comparator };
            assert_eq!(has(&table(), &filter).ok(), expected, "{key} {value}");
        }
    }
}
