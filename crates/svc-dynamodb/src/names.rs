//! Names of tables: by name, or by ARN, as every operation takes both.

use millpond_types::{AccountId, Arn, Region};

use crate::errors::DynamoError;

/// What an ARN of the service names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Named<'a> {
    /// A table.
    Table(AccountId, &'a str),
    /// An index of a table.
    Index(AccountId, &'a str, &'a str),
    /// A stream of a table, by its label.
    Stream(AccountId, &'a str, &'a str),
}

/// The ARN of a table.
pub(crate) fn arn(region: &Region, account: AccountId, name: &str) -> Arn {
    Arn::new("dynamodb", region.as_str(), account.as_str(), &format!("table/{name}"))
}

/// The ARN of a stream.
pub(crate) fn stream_arn(region: &Region, account: AccountId, table: &str, label: &str) -> Arn {
    Arn::new("dynamodb", region.as_str(), account.as_str(), &format!("table/{table}/stream/{label}"))
}

/// What an ARN of this region names; `None` for any other text.
pub(crate) fn of_arn<'a>(text: &'a str, region: &Region) -> Option<Named<'a>> {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", "aws", "dynamodb", of, account, resource] = fields.as_slice() else { return None };
    let account = account.parse().ok().filter(|_| *of == region.as_str())?;
    let parts: Vec<&str> = resource.split('/').collect();
    match parts.as_slice() {
        ["table", name] => Some(Named::Table(account, name)),
        ["table", name, "index", index] => Some(Named::Index(account, name, index)),
        ["table", name, "stream", label] => Some(Named::Stream(account, name, label)),
        _ => None,
    }
}

/// Checks the name of a table or index (API reference): 3 to 255 letters, digits, `_`, `.` and `-`.
pub(crate) fn check(what: &str, name: &str) -> Result<(), DynamoError> {
    if name.len() < 3 || name.len() > 255 {
        return Err(DynamoError::Validation(format!(
            "{what} must be at least 3 characters long and at most 255 characters long"
        )));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        let member = format!("{}{}", what[..1].to_ascii_lowercase(), &what[1..]);
        return Err(DynamoError::Validation(format!(
            "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        )));
    }
    Ok(())
}

/// Account and name of a table that a request names. `own` is the account of a table that is named without one.
pub(crate) fn table<'a>(
    text: &'a str,
    region: &Region,
    own: Option<AccountId>,
) -> Result<(AccountId, &'a str), DynamoError> {
    if text.starts_with("arn:") {
        return match of_arn(text, region) {
            Some(Named::Table(account, name)) => {
                check("TableName", name)?;
                Ok((account, name))
            }
            _ => Err(DynamoError::Validation(format!("Invalid table ARN: {text}"))),
        };
    }
    check("TableName", text)?;
    match own {
        Some(own) => Ok((own, text)),
        None => Err(DynamoError::Denied("Only accounts have tables.".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_by_name_and_by_arn() {
        let region: Region = "us-east-1".parse().unwrap();
        let (own, other): (AccountId, AccountId) = ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        for (text, expected) in [
            ("abc", Some((own, "abc"))),
            ("arn:aws:dynamodb:us-east-1:444455556666:table/abc", Some((other, "abc"))),
            ("ab", None),
            ("a/c", None),
            ("arn:aws:dynamodb:eu-west-1:444455556666:table/abc", None),
            ("arn:aws:dynamodb:us-east-1:444455556666:table/abc/index/i", None),
            ("arn:aws:dynamodb:us-east-1:444455556666:table/", None),
            ("arn:aws:s3:::abc", None),
        ] {
            assert_eq!(table(text, &region, Some(own)).ok(), expected, "{text}");
        }
        assert!(table("abc", &region, None).is_err());
        let index = "arn:aws:dynamodb:us-east-1:444455556666:table/abc/index/i";
        assert_eq!(of_arn(index, &region), Some(Named::Index(other, "abc", "i")));
    }
}
