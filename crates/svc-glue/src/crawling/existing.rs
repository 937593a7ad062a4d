//! The tables that there are, and what a definition that was found looks like beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_crawl::{Column, Figures, Found, Shape, add_new, hashed_name, properties, storage};
use millpond_hive::types::Type;
use millpond_kernel::{Catalog, CatalogColumn, CatalogStorage, CatalogTable};

use super::run::{Crawl, Why, refused};

/// Tables of a database at most.
const MAX_TABLES: usize = 100_000;
/// The property that tells who made a table.
pub(crate) const BY: &str = "UPDATED_BY_CRAWLER";
/// The property of what is gone.
pub(crate) const DEPRECATED: &str = "DEPRECATED_BY_CRAWLER";
/// Properties of crawlers that are not always there: what is found now counts.
const OWN: [&str; 4] = ["skip.header.line.count", "jsonPath", "grokPattern", DEPRECATED];

/// The tables of a database, by name.
pub(crate) struct Existing(pub BTreeMap<String, CatalogTable>);

/// Whether two locations are one: a slash at the end does not matter.
pub(crate) fn same_place(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

impl Existing {
    pub async fn read(crawl: &Crawl<'_>) -> Result<Self, Why> {
        let (mut all, mut after) = (BTreeMap::new(), None::<String>);
        loop {
            let page = crawl.glue.tables(Arc::clone(&crawl.caller), &crawl.body.database, after.as_deref()).await;
            let (tables, next) = page.map_err(|error| refused(&error))?;
            all.extend(tables.into_iter().map(|table| (table.name.clone(), table)));
            if all.len() > MAX_TABLES {
                return Err(format!("The database {} has more than {MAX_TABLES} tables.", crawl.body.database));
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(Self(all)),
            }
        }
    }

    /// The name of a table at a location, and whether it is there: what is taken by another one gets a hash.
    pub fn name_for(&self, name: &str, location: &str) -> String {
        let free = |name: &str| match self.0.get(name) {
            None => true,
            Some(table) => table.storage.location.as_deref().is_some_and(|other| same_place(other, location)),
        };
        if free(name) { name.to_owned() } else { hashed_name(name, location) }
    }
}

/// How files that were found are kept, without their place.
pub(crate) fn shared_storage(found: &Found) -> CatalogStorage {
    let classes = storage(found);
    let column = |(name, kind): (String, Type)| CatalogColumn { name, kind: kind.to_string(), comment: None };
    CatalogStorage {
        columns: found.settled().into_iter().map(column).collect(),
        location: None,
        input_format: Some(classes.input_format),
        output_format: Some(classes.output_format),
        serde: Some(classes.serde),
        serde_parameters: classes.parameters,
        compressed: found.compression != millpond_crawl::Compression::None,
        parameters: BTreeMap::new(),
    }
}

/// A table as it was found.
pub(crate) fn definition(
    (database, name, location): (&str, String, String),
    found: &Found,
    figures: Figures,
    keys: &[String],
    crawler: &str,
) -> CatalogTable {
    let parameters = properties(found, figures, crawler, !keys.is_empty());
    let key = |name: &String| CatalogColumn { name: name.clone(), kind: "string".to_owned(), comment: None };
    CatalogTable {
        database: database.to_owned(),
        name,
        table_type: "EXTERNAL_TABLE".to_owned(),
        storage: CatalogStorage { location: Some(location), parameters: parameters.clone(), ..shared_storage(found) },
        partition_keys: keys.iter().map(key).collect(),
        parameters,
        ..CatalogTable::default()
    }
}

/// The columns of a table, as they can be compared.
pub(crate) fn columns(table: &CatalogTable) -> Vec<Column> {
    let column = |column: &CatalogColumn| {
        Column::new(&column.name, Shape::of(Type::parse(&column.kind).unwrap_or(Type::String)))
    };
    table.storage.columns.iter().map(column).collect()
}

/// Whether files of one are read as those of the other.
pub(crate) fn same_format(a: &CatalogStorage, b: &CatalogStorage) -> bool {
    let delimiter = |of: &CatalogStorage| {
        let named = ["field.delim", "separatorChar"].into_iter().find_map(|name| of.serde_parameters.get(name));
        named.cloned()
    };
    a.input_format == b.input_format && a.serde == b.serde && delimiter(a) == delimiter(b)
}

/// A table with what was found instead: what people added (comments, properties of theirs, types of partition keys) stays.
pub(crate) fn replaced(old: &CatalogTable, new: CatalogTable) -> CatalogTable {
    let mut table = CatalogTable { description: old.description.clone(), version: old.version, ..new };
    for column in &mut table.storage.columns {
        let known = old.storage.columns.iter().find(|known| known.name == column.name);
        column.comment = known.and_then(|known| known.comment.clone());
    }
    for key in &mut table.partition_keys {
        if let Some(known) = old.partition_keys.iter().find(|known| known.name == key.name) {
            *key = known.clone();
        }
    }
    table.parameters = with_others(&old.parameters, &table.parameters);
    table.storage.parameters = with_others(&old.storage.parameters, &table.storage.parameters);
    table
}

/// A table with the columns that it has not yet, and all else as it is (`MergeNewColumns`).
pub(crate) fn extended(old: &CatalogTable, new: &CatalogTable) -> CatalogTable {
    let mut table = old.clone();
    for column in &new.storage.columns {
        match table.storage.columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) => {
                if let (Ok(had), Ok(has)) = (Type::parse(&known.kind), Type::parse(&column.kind)) {
                    known.kind = add_new(&Shape::of(had), &Shape::of(has)).kind().to_string();
                }
            }
            None => table.storage.columns.push(column.clone()),
        }
    }
    table.parameters = with_others(&old.parameters, &new.parameters);
    table
}

/// Properties that were found, with those of others.
fn with_others(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = old.clone();
    all.retain(|name, _| !OWN.contains(&name.as_str()));
    all.extend(new.clone());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &str, parameters: &[(&str, &str)]) -> CatalogTable {
        let column = |text: &str| {
            let (name, kind) = text.split_once(' ').unwrap();
            CatalogColumn { name: name.into(), kind: kind.into(), comment: Some(format!("c {name}")) }
        };
        CatalogTable {
            name: "t".into(),
            storage: CatalogStorage {
                columns: columns.split(", ").map(column).collect(),
                location: Some("s3://b/t/".into()),
                ..CatalogStorage::default()
            },
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            version: 4,
            ..CatalogTable::default()
        }
    }

    #[test]
    fn what_people_added_stays() {
        let old = table("a int, b string", &[("mine", "1"), ("skip.header.line.count", "1"), ("objectCount", "1")]);
        let mut new = table("a bigint, c double", &[("objectCount", "2")]);
        new.storage.columns.iter_mut().for_each(|column| column.comment = None);
        let both = replaced(&old, new);
        let shown: Vec<_> =
            both.storage.columns.iter().map(|one| (one.kind.as_str(), one.comment.as_deref())).collect();
        assert_eq!(shown, [("bigint", Some("c a")), ("double", None)]);
        let pairs: Vec<_> = both.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((pairs, both.version), (vec![("mine", "1"), ("objectCount", "2")], 4));
    }

    #[test]
    fn new_columns_alone() {
        let old = table("a int, s struct<x:int>", &[]);
        let both = extended(&old, &table("a string, s struct<x:string,y:int>, n double", &[]));
        let kinds: Vec<_> = both.storage.columns.iter().map(|column| column.kind.as_str()).collect();
        assert_eq!(kinds, ["int", "struct<x:int,y:int>", "double"]);
    }

    #[test]
    fn names_that_are_taken() {
        let existing = Existing([("t".to_owned(), table("a int", &[]))].into());
        assert_eq!(existing.name_for("t", "s3://b/t"), "t");
        assert_eq!(existing.name_for("u", "s3://b/t"), "u");
        assert!(existing.name_for("t", "s3://b/other/t/").starts_with("t_"));
    }
}
