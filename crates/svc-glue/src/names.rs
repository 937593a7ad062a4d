//! Names of databases and tables, as Hive has them: lower case (AWS Glue Web API reference, "Name ... folded to lowercase").

use millpond_types::AccountId;

use crate::errors::{GlueError, invalid};

/// What the API's single-line pattern takes.
fn single_line(text: &str) -> bool {
    text.chars().all(|c| c >= ' ' || c == '\t')
}

/// A name as it is kept. `/` parts names in ARNs, and a policy must not be about another table than it says.
pub(crate) fn folded(what: &str, name: &str) -> Result<String, GlueError> {
    if name.trim().is_empty() || !single_line(name) || name.contains('/') {
        return invalid(format!("{what} name {name:?} is not valid: it is empty, or has a line break or a slash."));
    }
    Ok(name.to_lowercase())
}

pub(crate) fn database(name: &str) -> Result<String, GlueError> {
    folded("Database", name)
}

pub(crate) fn table(name: &str) -> Result<String, GlueError> {
    folded("Table", name)
}

/// Whose catalog is meant: the caller's own unless another account's is named. Catalogs within an account are not served.
pub(crate) fn catalog(caller: AccountId, given: Option<&str>) -> Result<AccountId, GlueError> {
    match given {
        None => Ok(caller),
        Some(id) => id.parse().map_err(|_| GlueError::NotFound(format!("Catalog {id} not found."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_or_refused() {
        for (name, kept) in [
            ("Flights", Some("flights")),
            ("a b-C_1", Some("a b-c_1")),
            ("É", Some("é")),
            ("a/b", None),
            (" ", None),
            ("a\nb", None),
        ] {
            assert_eq!(table(name).ok().as_deref(), kept, "{name}");
        }
        let mine: AccountId = "111122223333".parse().unwrap();
        assert_eq!(catalog(mine, None), Ok(mine));
        assert_eq!(catalog(mine, Some("444455556666")).unwrap().as_str(), "444455556666");
        assert!(matches!(catalog(mine, Some("111122223333:s3tablescatalog")), Err(GlueError::NotFound(_))));
    }
}
