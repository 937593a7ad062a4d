//! What a crawler may be (AWS Glue API reference, CreateCrawler; Developer Guide, "Crawler properties"). What is not carried out is refused by its name.

use millpond_api_glue as api;
use millpond_crawl::{Config, Exclusions};
use millpond_hive::names::Location;
use millpond_schedule::Schedule;
use millpond_types::{AccountId, Arn};

use super::bodies::{CatalogBody, CrawlerBody, FolderBody};
use crate::errors::{GlueError, invalid};
use crate::names;

/// Targets of a crawler, exclude patterns of a target, and tables of a catalog target at most.
const MAX_TARGETS: usize = 100;
const MAX_EXCLUSIONS: usize = 100;
const MAX_TABLES: usize = 1_000;
/// Files of each folder that a sample has at most (API reference, `SampleSize`).
const MAX_SAMPLE: i32 = 249;

/// What both operations say.
pub(crate) struct Given<'a> {
    pub role: Option<&'a str>,
    pub database: Option<&'a str>,
    pub description: Option<&'a str>,
    pub targets: Option<&'a api::CrawlerTargets>,
    pub classifiers: Option<&'a [String]>,
    pub prefix: Option<&'a str>,
    pub policy: Option<&'a api::SchemaChangePolicy>,
    pub recrawl: Option<&'a api::RecrawlPolicy>,
    pub lineage: Option<&'a api::LineageConfiguration>,
    pub lake_formation: Option<&'a api::LakeFormationConfiguration>,
    pub configuration: Option<&'a str>,
    pub security: Option<&'a str>,
    pub catalog: Option<&'a str>,
}

/// The members that both inputs have.
macro_rules! given {
    ($input:expr, $role:expr, $targets:expr) => {
        $crate::crawling::check::Given {
            role: $role,
            database: $input.database_name.as_deref(),
            description: $input.description.as_deref(),
            targets: $targets,
            classifiers: $input.classifiers.as_deref(),
            prefix: $input.table_prefix.as_deref(),
            policy: $input.schema_change_policy.as_ref(),
            recrawl: $input.recrawl_policy.as_ref(),
            lineage: $input.lineage_configuration.as_ref(),
            lake_formation: $input.lake_formation_configuration.as_ref(),
            configuration: $input.configuration.as_deref(),
            security: $input.crawler_security_configuration.as_deref(),
            catalog: $input.catalog_id.as_deref(),
        }
    };
}
pub(crate) use given;

impl Given<'_> {
    /// Puts what is given into a definition; what is not stays. Checks the whole of it.
    pub fn put_into(&self, body: &mut CrawlerBody, account: AccountId, region: &str) -> Result<(), GlueError> {
        self.unserved(account)?;
        let set = |text: &mut String, given: Option<&str>| {
            if let Some(given) = given {
                given.clone_into(text);
            }
        };
        set(&mut body.role, self.role);
        set(&mut body.description, self.description);
        set(&mut body.prefix, self.prefix);
        set(&mut body.configuration, self.configuration);
        if let Some(name) = self.database.filter(|name| !name.is_empty()) {
            body.database = names::database(name)?;
        }
        if let Some(classifiers) = self.classifiers {
            body.classifiers = classifiers.to_vec();
        }
        if let Some(targets) = self.targets {
            set_targets(body, targets, region)?;
        }
        if let Some(policy) = self.policy {
            set(&mut body.update, policy.update_behavior.map(|behavior| behavior.as_str()));
            set(&mut body.delete, policy.delete_behavior.map(|behavior| behavior.as_str()));
        }
        if let Some(recrawl) = self.recrawl {
            set(&mut body.recrawl, recrawl.recrawl_behavior.map(|behavior| behavior.as_str()));
        }
        whole(body)
    }

    fn unserved(&self, account: AccountId) -> Result<(), GlueError> {
        if self.security.is_some_and(|name| !name.is_empty()) {
            return invalid("CrawlerSecurityConfiguration is not supported: objects are encrypted by their buckets.");
        }
        if self.lineage.and_then(|of| of.crawler_lineage_settings) == Some(api::CrawlerLineageSettings::Enable) {
            return invalid("LineageConfiguration is not supported: leave it out, or DISABLE it.");
        }
        if self.lake_formation.is_some_and(|of| of.use_lake_formation_credentials == Some(true)) {
            return invalid("LakeFormationConfiguration is not supported: a crawler reads as its role.");
        }
        match self.catalog {
            Some(catalog) if catalog != account.as_str() => {
                invalid("A crawler writes to the catalog of its own account.")
            }
            _ => Ok(()),
        }
    }
}

fn set_targets(body: &mut CrawlerBody, given: &api::CrawlerTargets, region: &str) -> Result<(), GlueError> {
    fn none<T>(name: &str, instead: &str, given: Option<&Vec<T>>) -> Result<(), GlueError> {
        match given {
            Some(some) if !some.is_empty() => invalid(format!("{name} are not supported: {instead}.")),
            _ => Ok(()),
        }
    }
    none("JdbcTargets", "no databases are connected to; export to S3 and crawl that", given.jdbc_targets.as_ref())?;
    none(
        "MongoDBTargets",
        "no databases are connected to; export to S3 and crawl that",
        given.mongo_db_targets.as_ref(),
    )?;
    none("DynamoDBTargets", "export the table to S3 and crawl that", given.dynamo_db_targets.as_ref())?;
    none("DeltaTargets", "tables of Delta Lake are not read", given.delta_targets.as_ref())?;
    none("IcebergTargets", "tables of Iceberg are not read", given.iceberg_targets.as_ref())?;
    none("HudiTargets", "tables of Hudi are not read", given.hudi_targets.as_ref())?;
    let (folders, catalog) =
        (given.s3_targets.as_deref().unwrap_or_default(), given.catalog_targets.as_deref().unwrap_or_default());
    if folders.is_empty() && catalog.is_empty() {
        return invalid("At least one target must be given.");
    }
    if !folders.is_empty() && !catalog.is_empty() {
        return invalid("Catalog targets cannot be mixed with other targets.");
    }
    if folders.len() + catalog.len() > MAX_TARGETS {
        return invalid(format!("A crawler has at most {MAX_TARGETS} targets."));
    }
    body.folders = folders.iter().map(|target| folder(target, region)).collect::<Result<_, _>>()?;
    body.catalog = catalog.iter().map(tables).collect::<Result<_, _>>()?;
    Ok(())
}

/// The place of an include path: `s3://BUCKET/PREFIX` or `BUCKET/PREFIX`.
pub(crate) fn location(path: &str) -> Result<Location, GlueError> {
    let full = if path.contains("://") { path.to_owned() } else { format!("s3://{path}") };
    Location::parse(&full)
        .map_err(|error| GlueError::Invalid(format!("The path of an S3 target is not valid: {error}.")))
}

fn folder(target: &api::S3Target, region: &str) -> Result<FolderBody, GlueError> {
    if target.connection_name.as_ref().is_some_and(|name| !name.is_empty()) {
        return invalid("ConnectionName is not supported: buckets are read without a connection.");
    }
    let path = target.path.clone().unwrap_or_default();
    location(&path)?;
    let exclusions = target.exclusions.clone().unwrap_or_default();
    if exclusions.len() > MAX_EXCLUSIONS {
        return invalid(format!("A target has at most {MAX_EXCLUSIONS} exclude patterns."));
    }
    Exclusions::new(&exclusions).map_err(|error| GlueError::Invalid(format!("{error}.")))?;
    let sample = match target.sample_size {
        None => None,
        Some(size) if (1..=MAX_SAMPLE).contains(&size) => u32::try_from(size).ok(),
        Some(_) => return invalid(format!("SampleSize must be between 1 and {MAX_SAMPLE}.")),
    };
    for (what, arn) in [("EventQueueArn", &target.event_queue_arn), ("DlqEventQueueArn", &target.dlq_event_queue_arn)] {
        let fits = |arn: &String| {
            Arn::parse(arn)
                .is_some_and(|arn| arn.service() == "sqs" && arn.region() == region && arn.account().is_some())
        };
        if arn.as_ref().is_some_and(|arn| !fits(arn)) {
            return invalid(format!("{what} must be the ARN of a queue in this region."));
        }
    }
    Ok(FolderBody {
        path,
        exclusions,
        sample,
        queue: target.event_queue_arn.clone(),
        dead_letters: target.dlq_event_queue_arn.clone(),
    })
}

fn tables(target: &api::CatalogTarget) -> Result<CatalogBody, GlueError> {
    if target.connection_name.as_ref().is_some_and(|name| !name.is_empty()) {
        return invalid("ConnectionName is not supported: buckets are read without a connection.");
    }
    if target.event_queue_arn.is_some() || target.dlq_event_queue_arn.is_some() {
        return invalid("Event queues of catalog targets are not supported; give the S3 target one.");
    }
    if target.tables.is_empty() || target.tables.len() > MAX_TABLES {
        return invalid(format!("A catalog target names between 1 and {MAX_TABLES} tables."));
    }
    let names = target.tables.iter().map(|name| names::table(name)).collect::<Result<_, _>>()?;
    Ok(CatalogBody { database: names::database(&target.database_name)?, tables: names })
}

/// Checks what members say of each other.
fn whole(body: &mut CrawlerBody) -> Result<(), GlueError> {
    let incremental = body.recrawl == "CRAWL_NEW_FOLDERS_ONLY";
    let events = body.recrawl == "CRAWL_EVENT_MODE";
    let of_catalog = !body.catalog.is_empty();
    for (text, usual) in [
        (&mut body.update, if incremental { "LOG" } else { "UPDATE_IN_DATABASE" }),
        (&mut body.delete, if incremental || of_catalog { "LOG" } else { "DEPRECATE_IN_DATABASE" }),
        (&mut body.recrawl, "CRAWL_EVERYTHING"),
    ] {
        if text.is_empty() {
            usual.clone_into(text);
        }
    }
    if of_catalog && (incremental || events) {
        return invalid(format!("{} is for S3 targets.", body.recrawl));
    }
    if of_catalog && body.delete != "LOG" {
        return invalid("The SchemaChangePolicy for catalog targets must have the DeleteBehavior LOG.");
    }
    if incremental && (body.update != "LOG" || body.delete != "LOG") {
        return invalid(
            "The SchemaChangePolicy must have the UpdateBehavior LOG and the DeleteBehavior LOG for CRAWL_NEW_FOLDERS_ONLY.",
        );
    }
    if events && body.folders.iter().any(|folder| folder.queue.is_none()) {
        return invalid("CRAWL_EVENT_MODE needs an EventQueueArn for each S3 target.");
    }
    if body.database.is_empty() && !of_catalog {
        return invalid("DatabaseName is needed: tables that are found are put there.");
    }
    config(body).map(drop)
}

/// What a crawler's configuration says.
pub(crate) fn config(body: &CrawlerBody) -> Result<Config, GlueError> {
    if body.configuration.is_empty() {
        return Ok(Config::default());
    }
    Config::parse(&body.configuration)
        .map_err(|error| GlueError::Invalid(format!("The Configuration is not valid: {error}.")))
}

/// A cron expression.
pub(crate) fn schedule(text: &str) -> Result<Schedule, GlueError> {
    let wrong = |why: String| GlueError::Invalid(format!("The schedule {text} is not valid: {why}."));
    if !text.starts_with("cron(") {
        return Err(wrong("a crawler has a cron expression, such as cron(15 12 * * ? *)".to_owned()));
    }
    Schedule::parse_rule(text).map_err(|error| wrong(error.to_string()))
}

/// The ARN of a role that is given by its name, with or without a path, or its ARN.
pub(crate) fn role_arn(role: &str, account: AccountId) -> String {
    if role.starts_with("arn:") {
        return role.to_owned();
    }
    format!("arn:aws:iam::{account}:role/{}", role.trim_start_matches('/').trim_start_matches("role/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_schedules() {
        let account: AccountId = "111122223333".parse().unwrap();
        for (role, arn) in [
            ("Crawler", "arn:aws:iam::111122223333:role/Crawler"),
            ("service-role/Crawler", "arn:aws:iam::111122223333:role/service-role/Crawler"),
            ("arn:aws:iam::444455556666:role/r", "arn:aws:iam::444455556666:role/r"),
        ] {
            assert_eq!(role_arn(role, account), arn);
        }
        assert!(schedule("cron(15 12 * * ? *)").is_ok());
        for bad in ["rate(5 minutes)", "cron(1)", "", "at(2030-01-01T00:00:00)"] {
            assert!(schedule(bad).is_err(), "{bad}");
        }
    }
}
