//! Tables: made and removed.

use millpond_hive::ddl::{CreateTable, Name};

use crate::{Call, DdlError, Shown, convert, done, is, semantic};

/// What the catalog calls a view.
pub const VIEW: &str = "VIRTUAL_VIEW";

impl Call<'_> {
    pub(crate) async fn create_table(&self, create: &CreateTable) -> Result<Shown, DdlError> {
        if create.buckets.is_some() {
            return Err(semantic("CLUSTERED BY is not carried out: leave it away, queries give the same rows"));
        }
        let (database, name) = self.place(&create.name)?;
        let table = convert::table(create, database, name)?;
        match self.catalog.create_table(self.caller(), table).await {
            Err(error) if create.if_not_exists && is(&error, "AlreadyExistsException") => Ok(done()),
            made => Ok(made.map(|()| done())?),
        }
    }

    pub(crate) async fn drop_table(&self, name: &Name, if_exists: bool) -> Result<Shown, DdlError> {
        let (database, table) = self.place(name)?;
        match self.catalog.delete_table(self.caller(), &database, &table).await {
            Err(error) if if_exists && is(&error, "EntityNotFoundException") => Ok(done()),
            removed => Ok(removed.map(|()| done())?),
        }
    }

    pub(crate) async fn drop_view(&self, name: &Name, if_exists: bool) -> Result<Shown, DdlError> {
        let (database, view) = self.place(name)?;
        match self.catalog.table(self.caller(), &database, &view).await {
            Err(error) if if_exists && is(&error, "EntityNotFoundException") => return Ok(done()),
            Ok(found) if found.table_type != VIEW => {
                return Err(semantic(format!("{database}.{view} is no view: DROP TABLE removes it")));
            }
            found => found?,
        };
        self.catalog.delete_table(self.caller(), &database, &view).await?;
        Ok(done())
    }
}
