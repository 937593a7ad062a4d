//! What expressions must not do with the attributes that are keys.

use super::condition::Condition;
use super::path::Path;
use super::update::Update;

/// A key in a place where none can be. All are AWS's `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyUseError {
    /// A query filters by its own keys.
    #[error("Filter Expression can only contain non-primary key attributes: Primary key attribute: {0}")]
    Filtered(String),
    /// An update changes a key.
    #[error(
        "One or more parameter values were invalid: Cannot update attribute {0}. This attribute is part of the key"
    )]
    Updated(String),
    /// A path goes into a key.
    #[error("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: {0}")]
    Nested(String),
}

impl Condition {
    /// A query's filter does not look at these attributes, which are the keys of what is queried.
    pub fn check_filters_no_key(&self, keys: &[&str]) -> Result<(), KeyUseError> {
        let mut found = Ok(());
        self.for_each_path(&mut |path| {
            if keys.contains(&path.root()) && found.is_ok() {
                found = Err(KeyUseError::Filtered(path.root().to_owned()));
            }
        });
        found
    }

    /// No path goes into these attributes, which are keys.
    pub fn check_keys_are_scalars(&self, keys: &[&str]) -> Result<(), KeyUseError> {
        let mut found = Ok(());
        self.for_each_path(&mut |path| {
            if goes_into(path, keys) && found.is_ok() {
                found = Err(KeyUseError::Nested(path.root().to_owned()));
            }
        });
        found
    }
}

impl Update {
    /// It does not write to these attributes, which are the keys of the item.
    pub fn check_changes_no_key(&self, keys: &[&str]) -> Result<(), KeyUseError> {
        match self.paths().find(|path| keys.contains(&path.root())) {
            Some(path) => Err(KeyUseError::Updated(path.root().to_owned())),
            None => Ok(()),
        }
    }
}

fn goes_into(path: &Path, keys: &[&str]) -> bool {
    !path.rest().is_empty() && keys.contains(&path.root())
}

#[cfg(test)]
mod tests {
    use crate::expression::tests::placeholders;

    #[test]
    fn keys_in_wrong_places() {
        let keys = ["pk", "sk"];
        let values = r#"{":v": {"S": "x"}}"#;
        let condition = |text| placeholders(&[], values).filter(text).unwrap();
        let update = |text| placeholders(&[], values).update(text).unwrap();
        let filtered = "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk";
        let nested =
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk";
        let updated =
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key";
        let cases = [
            (condition("a = :v AND b.sk = :v").check_filters_no_key(&keys), ""),
            (condition("a = :v AND NOT size(sk) > :v").check_filters_no_key(&keys), filtered),
            (condition("pk = :v AND b.pk = :v").check_keys_are_scalars(&keys), ""),
            (condition("a = :v OR attribute_exists(pk[0])").check_keys_are_scalars(&keys), nested),
            (update("SET a = pk, b.pk = :v").check_changes_no_key(&keys), ""),
            (update("SET a = :v REMOVE pk").check_changes_no_key(&keys), updated),
        ];
        for (at, (checked, expected)) in cases.into_iter().enumerate() {
            assert_eq!(checked.err().map(|error| error.to_string()).unwrap_or_default(), expected, "{at}");
        }
    }
}
