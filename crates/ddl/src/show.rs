//! What the catalog has, in Hive's words.

use millpond_hive::ddl::{Describe, Detail, Name};
use millpond_hive::names::{canonical, partition_path};
use millpond_hive::show::{self, Filter};

use crate::tables::VIEW;
use crate::{Call, DdlError, Shown, convert, semantic};

fn filter(like: Option<&str>) -> Result<Option<Filter>, DdlError> {
    like.map(Filter::parse).transpose().map_err(semantic)
}

fn one(column: &'static str, lines: Vec<String>) -> Shown {
    Shown { columns: vec![column], lines }
}

impl Call<'_> {
    pub(crate) async fn show_databases(&self, like: Option<&str>) -> Result<Shown, DdlError> {
        let (filter, mut lines, mut after) = (filter(like)?, Vec::new(), None::<String>);
        loop {
            let (page, next) = self.catalog.databases(self.caller(), after.as_deref()).await?;
            let names = page.into_iter().map(|database| database.name);
            lines.extend(names.filter(|name| filter.as_ref().is_none_or(|filter| filter.matches(name))));
            after = next;
            if after.is_none() {
                return Ok(one("database_name", lines));
            }
        }
    }

    pub(crate) async fn show_tables(
        &self,
        database: Option<String>,
        like: Option<&str>,
        views: bool,
    ) -> Result<Shown, DdlError> {
        let database = canonical("database", database.as_deref().unwrap_or(self.database)).map_err(semantic)?;
        let (filter, mut lines, mut after) = (filter(like)?, Vec::new(), None::<String>);
        loop {
            let (page, next) = self.catalog.tables(self.caller(), &database, after.as_deref()).await?;
            let wanted = page.into_iter().filter(|table| !views || table.table_type == VIEW).map(|table| table.name);
            lines.extend(wanted.filter(|name| filter.as_ref().is_none_or(|filter| filter.matches(name))));
            after = next;
            if after.is_none() {
                return Ok(one(if views { "views" } else { "tab_name" }, lines));
            }
        }
    }

    pub(crate) async fn show_partitions(&self, name: &Name) -> Result<Shown, DdlError> {
        let table = self.table(name).await?;
        if table.partition_keys.is_empty() {
            return Err(semantic(format!("Table {}.{} is not a partitioned table", table.database, table.name)));
        }
        let lines = self.partitions(&table).await?;
        let path = |values: &[String]| {
            let keys = table.partition_keys.iter().map(|key| key.name.as_str());
            partition_path(keys.zip(values.iter().map(String::as_str)))
        };
        Ok(one("partition", lines.iter().map(|partition| path(&partition.values)).collect()))
    }

    pub(crate) async fn show_columns(&self, name: &Name) -> Result<Shown, DdlError> {
        let table = self.table(name).await?;
        Ok(one("field", show::show_columns(&convert::shown(&table))))
    }

    pub(crate) async fn show_properties(&self, name: &Name, property: Option<&str>) -> Result<Shown, DdlError> {
        let table = self.table(name).await?;
        let lines = show::show_properties(&convert::shown(&table), property);
        Ok(Shown { columns: vec!["prpt_name", "prpt_value"], lines })
    }

    pub(crate) async fn show_create_table(&self, name: &Name) -> Result<Shown, DdlError> {
        let table = self.table(name).await?;
        if table.table_type == VIEW {
            return Err(semantic(format!("{name} is a view: SHOW CREATE VIEW shows it")));
        }
        Ok(one("createtab_stmt", show::create_table(&convert::shown(&table))))
    }

    pub(crate) async fn show_create_view(&self, name: &Name) -> Result<Shown, DdlError> {
        let view = self.view(name).await?;
        Ok(one("Create View", show::create_view(name, &view.query)))
    }

    pub(crate) async fn describe(&self, describe: &Describe) -> Result<Shown, DdlError> {
        if describe.partition.is_some() {
            return Err(semantic("DESCRIBE ... PARTITION is not carried out: DESCRIBE EXTENDED tells of the table"));
        }
        let table = self.table(&describe.table).await?;
        if describe.view && table.table_type != VIEW {
            return Err(semantic(format!("{} is no view", describe.table)));
        }
        let shown = convert::shown(&table);
        let lines = match (describe.column.as_slice(), describe.detail) {
            ([], Detail::Columns) => show::describe(&shown),
            ([], Detail::Extended) => show::describe_extended(&shown),
            ([], Detail::Formatted) => show::describe_formatted(&shown),
            ([name], _) => {
                let column = shown.columns.iter().chain(&shown.partition_keys).find(|column| column.name == *name);
                let column = column.ok_or_else(|| semantic(format!("Invalid column {name}")))?;
                show::describe_column(column)
            }
            _ => return Err(semantic("DESCRIBE of a part of a column is not carried out: DESCRIBE the column")),
        };
        Ok(Shown { columns: vec!["col_name", "data_type", "comment"], lines })
    }
}
