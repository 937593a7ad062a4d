//! Databases.

use std::collections::BTreeMap;

use millpond_hive::ddl::CreateDatabase;
use millpond_hive::names::canonical;
use millpond_kernel::CatalogDatabase;

use crate::{Call, DdlError, Shown, done, is, semantic};

impl Call<'_> {
    pub(crate) async fn create_database(&self, create: CreateDatabase) -> Result<Shown, DdlError> {
        let name = canonical("database", &create.name).map_err(semantic)?;
        let (description, location, parameters) = (create.comment, create.location, create.properties);
        let database = CatalogDatabase { name, description, location, parameters };
        match self.catalog.create_database(self.caller(), database).await {
            Err(error) if create.if_not_exists && is(&error, "AlreadyExistsException") => Ok(done()),
            made => Ok(made.map(|()| done())?),
        }
    }

    pub(crate) async fn drop_database(&self, name: &str, if_exists: bool, cascade: bool) -> Result<Shown, DdlError> {
        let name = canonical("database", name).map_err(semantic)?;
        match self.catalog.database(self.caller(), &name).await {
            Err(error) if if_exists && is(&error, "EntityNotFoundException") => return Ok(done()),
            found => found?,
        };
        if !cascade {
            let (tables, _) = self.catalog.tables(self.caller(), &name, None).await?;
            if !tables.is_empty() {
                let words = format!(
                    "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. \
                     InvalidOperationException(message:Database {name} is not empty. One or more tables exist.)"
                );
                return Err(DdlError::Semantic(words));
            }
        }
        self.catalog.delete_database(self.caller(), &name).await?;
        Ok(done())
    }

    pub(crate) async fn alter_database(
        &self,
        name: &str,
        properties: BTreeMap<String, String>,
    ) -> Result<Shown, DdlError> {
        let name = canonical("database", name).map_err(semantic)?;
        let mut database = self.catalog.database(self.caller(), &name).await?;
        database.parameters.extend(properties);
        self.catalog.update_database(self.caller(), database).await?;
        Ok(done())
    }
}
