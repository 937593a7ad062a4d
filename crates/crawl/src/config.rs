//! A crawler's `Configuration` (Developer Guide, "Customizing crawler behavior").

use serde_json::{Map, Value};

/// What it may say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Partitions are as their table (`InheritFromTable`).
    pub inherit: bool,
    /// Tables get new columns and keep all others (`MergeNewColumns`).
    pub merge_new: bool,
    /// One table for an include path, as far as formats allow (`CombineCompatibleSchemas`).
    pub combine: bool,
    /// The level of tables' folders; the bucket is 1.
    pub level: Option<usize>,
}

/// Why it is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ConfigError {
    #[error("it is no JSON object: {0}")]
    Json(String),
    #[error("Version must be 1.0")]
    Version,
    #[error("{0} is not known")]
    Unknown(String),
    #[error("{0} must be {1}")]
    Value(String, &'static str),
}

type Object = Map<String, Value>;

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Object, ConfigError> {
    value.as_object().ok_or_else(|| ConfigError::Value(path.to_owned(), "an object"))
}

fn known(path: &str, object: &Object, names: &[&str]) -> Result<(), ConfigError> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(ConfigError::Unknown(if path.is_empty() { key.clone() } else { format!("{path}.{key}") })),
        None => Ok(()),
    }
}

impl Config {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_str(text).map_err(|error| ConfigError::Json(error.to_string()))?;
        let all = value.as_object().ok_or_else(|| ConfigError::Json("it is another value".to_owned()))?;
        known("", all, &["Version", "CrawlerOutput", "Grouping", "CreatePartitionIndex"])?;
        let version = all.get("Version").is_some_and(|version| match version {
            Value::Number(number) => number.as_f64() == Some(1.0),
            Value::String(text) => text == "1.0",
            _ => false,
        });
        if !version {
            return Err(ConfigError::Version);
        }
        if all.get("CreatePartitionIndex").is_some_and(|value| *value != Value::Bool(false)) {
            // Partitions lie in the order of their values: an index would have nothing to add.
            let reason = "false: crawlers make no indexes here. Make one with CreatePartitionIndex";
            return Err(ConfigError::Value("CreatePartitionIndex".to_owned(), reason));
        }
        let mut config = Self::default();
        if let Some(output) = all.get("CrawlerOutput") {
            config.output(object("CrawlerOutput", output)?)?;
        }
        if let Some(grouping) = all.get("Grouping") {
            config.grouping(object("Grouping", grouping)?)?;
        }
        Ok(config)
    }

    fn output(&mut self, output: &Object) -> Result<(), ConfigError> {
        known("CrawlerOutput", output, &["Partitions", "Tables"])?;
        for (name, word, flag) in
            [("Partitions", "InheritFromTable", &mut self.inherit), ("Tables", "MergeNewColumns", &mut self.merge_new)]
        {
            let Some(value) = output.get(name) else { continue };
            let path = format!("CrawlerOutput.{name}");
            let inside = object(&path, value)?;
            known(&path, inside, &["AddOrUpdateBehavior"])?;
            match inside.get("AddOrUpdateBehavior") {
                None => {}
                Some(Value::String(text)) if text == word => *flag = true,
                Some(_) => return Err(ConfigError::Value(format!("{path}.AddOrUpdateBehavior"), word)),
            }
        }
        Ok(())
    }

    fn grouping(&mut self, grouping: &Object) -> Result<(), ConfigError> {
        known("Grouping", grouping, &["TableGroupingPolicy", "TableLevelConfiguration"])?;
        match grouping.get("TableGroupingPolicy") {
            None => {}
            Some(Value::String(text)) if text == "CombineCompatibleSchemas" => self.combine = true,
            Some(_) => {
                return Err(ConfigError::Value("Grouping.TableGroupingPolicy".to_owned(), "CombineCompatibleSchemas"));
            }
        }
        if let Some(level) = grouping.get("TableLevelConfiguration") {
            let number = level.as_u64().or_else(|| level.as_str()?.parse().ok());
            let number = number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
            let wrong =
                || ConfigError::Value("Grouping.TableLevelConfiguration".to_owned(), "a whole number from 1 on");
            self.level = Some(number.ok_or_else(wrong)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says() {
        for (text, config) in [
            (r#"{"Version": 1.0}"#, Config::default()),
            (
                r#"{"Version":1.0,"CrawlerOutput":{"Partitions":{"AddOrUpdateBehavior":"InheritFromTable"},"Tables":{"AddOrUpdateBehavior":"MergeNewColumns"}},"CreatePartitionIndex":false}"#,
                Config { inherit: true, merge_new: true, ..Config::default() },
            ),
            (
                r#"{"Version":1,"Grouping":{"TableGroupingPolicy":"CombineCompatibleSchemas","TableLevelConfiguration":3}}"#,
                Config { combine: true, level: Some(3), ..Config::default() },
            ),
        ] {
            assert_eq!(Config::parse(text), Ok(config), "{text}");
        }
        for (text, message) in [
            ("[]", "it is no JSON object: it is another value"),
            ("{}", "Version must be 1.0"),
            (r#"{"Version":2.0}"#, "Version must be 1.0"),
            (r#"{"Version":1.0,"X":1}"#, "X is not known"),
            (r#"{"Version":1.0,"CrawlerOutput":{"Tables":{"X":1}}}"#, "CrawlerOutput.Tables.X is not known"),
            (r#"{"Version":1.0,"Grouping":1}"#, "Grouping must be an object"),
            (
                r#"{"Version":1.0,"Grouping":{"TableLevelConfiguration":0}}"#,
                "Grouping.TableLevelConfiguration must be a whole number from 1 on",
            ),
            (
                r#"{"Version":1.0,"CrawlerOutput":{"Tables":{"AddOrUpdateBehavior":"InheritFromTable"}}}"#,
                "CrawlerOutput.Tables.AddOrUpdateBehavior must be MergeNewColumns",
            ),
        ] {
            assert_eq!(Config::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
