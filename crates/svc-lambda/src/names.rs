//! Names and ARNs of functions and layers, in all the forms that the API takes.

use millpond_types::{AccountId, Arn, Region};

use crate::errors::{LambdaError, not_found, parameter};
use crate::limits::MAX_NAME;

/// The version that can be changed.
pub(crate) const LATEST: &str = "$LATEST";

/// Which version of a function is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Qualifier {
    /// None was named: the unpublished one.
    None,
    /// The unpublished one, by name.
    Latest,
    /// A published one.
    Version(u64),
    /// What an alias points at.
    Alias(String),
}

impl Qualifier {
    fn parse(text: &str) -> Result<Self, LambdaError> {
        if text == LATEST {
            return Ok(Self::Latest);
        }
        if text.starts_with('$') {
            return Err(parameter(format!("The qualifier {text} is not served.")));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number > 0);
            return number.map(Self::Version).ok_or_else(|| not_found(format!("There is no version {text}.")));
        }
        Ok(Self::Alias(text.to_owned()))
    }

    /// As it stands at the end of an ARN; `None` where nothing does.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Latest => Some(LATEST.to_owned()),
            Self::Version(number) => Some(number.to_string()),
            Self::Alias(name) => Some(name.clone()),
        }
    }
}

/// A function, as a request names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FunctionName {
    pub account: AccountId,
    pub name: String,
    pub qualifier: Qualifier,
}

impl FunctionName {
    /// Reads a name: `my-function`, `123456789012:function:my-function`, or an ARN, each perhaps with a qualifier; the qualifier may stand in
    /// a parameter of its own. The model has checked the characters.
    pub fn parse(text: &str, qualifier: Option<&str>, caller: AccountId, region: &Region) -> Result<Self, LambdaError> {
        let mut parts: Vec<&str> = text.split(':').collect();
        let mut account = caller;
        if parts.first() == Some(&"arn") {
            parts.drain(..parts.len().min(3));
        }
        if let [first, _, ..] = parts.as_slice()
            && looks_like_a_region(first)
        {
            if *first != region.as_str() {
                return Err(not_found(format!(
                    "Functions from '{first}' are not reachable in this region ('{}')",
                    region.as_str()
                )));
            }
            parts.remove(0);
        }
        if let [first, _, ..] = parts.as_slice()
            && let Ok(named) = first.parse::<AccountId>()
        {
            account = named;
            parts.remove(0);
        }
        if parts.len() > 1 && parts.first() == Some(&"function") {
            parts.remove(0);
        }
        let mut parts = parts.into_iter();
        let name = parts.next().unwrap_or_default().to_owned();
        let within = parts.next();
        if name.len() > MAX_NAME {
            let text = format!(
                "Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to {MAX_NAME}"
            );
            return Err(LambdaError::Validation(text));
        }
        let qualifier = match (within, qualifier) {
            (Some(within), Some(given)) if within != given => {
                let text = "The derived qualifier from the function name does not match the specified qualifier.";
                return Err(parameter(text));
            }
            (within, given) => given.or(within).map_or(Ok(Qualifier::None), Qualifier::parse)?,
        };
        Ok(Self { account, name, qualifier })
    }

    /// The same for operations on functions as a whole.
    pub fn whole(text: &str, caller: AccountId, region: &Region) -> Result<Self, LambdaError> {
        let name = Self::parse(text, None, caller, region)?;
        match name.qualifier {
            Qualifier::None => Ok(name),
            _ => Err(parameter(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
            )),
        }
    }

    pub fn arn(&self, region: &Region) -> Arn {
        function_arn(region, self.account, &self.name, self.qualifier.text().as_deref())
    }
}

fn looks_like_a_region(text: &str) -> bool {
    let mut parts = text.rsplit('-');
    let number = parts.next().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    number && parts.count() >= 2 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

pub(crate) fn function_arn(region: &Region, account: AccountId, name: &str, qualifier: Option<&str>) -> Arn {
    let resource = match qualifier {
        Some(qualifier) => format!("function:{name}:{qualifier}"),
        None => format!("function:{name}"),
    };
    Arn::new("lambda", region.as_str(), account.as_str(), &resource)
}

/// A layer, as a request names it: by its name or its ARN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LayerName {
    pub account: AccountId,
    pub name: String,
}

impl LayerName {
    pub fn parse(text: &str, caller: AccountId, region: &Region) -> Result<Self, LambdaError> {
        if !text.starts_with("arn:") {
            return Ok(Self { account: caller, name: text.to_owned() });
        }
        let found = layer_of(text, region)?;
        match found {
            (name, None) => Ok(name),
            _ => Err(parameter(format!("{text} is the ARN of a version."))),
        }
    }

    /// Of the ARN of a version.
    pub fn version(arn: &str, region: &Region) -> Result<(Self, u64), LambdaError> {
        match layer_of(arn, region)? {
            (name, Some(number)) => Ok((name, number)),
            _ => Err(parameter(format!("Invalid layer version ARN: {arn}"))),
        }
    }

    pub fn arn(&self, region: &Region) -> Arn {
        Arn::new("lambda", region.as_str(), self.account.as_str(), &format!("layer:{}", self.name))
    }

    pub fn version_arn(&self, region: &Region, number: u64) -> Arn {
        Arn::new("lambda", region.as_str(), self.account.as_str(), &format!("layer:{}:{number}", self.name))
    }
}

fn layer_of(text: &str, region: &Region) -> Result<(LayerName, Option<u64>), LambdaError> {
    let wrong = || parameter(format!("Invalid layer ARN: {text}"));
    let arn = Arn::parse(text).filter(|arn| arn.service() == "lambda").ok_or_else(wrong)?;
    if arn.region() != region.as_str() {
        return Err(not_found(format!("Layer version {text} does not exist.")));
    }
    let account = arn.account().and_then(|account| account.parse().ok()).ok_or_else(wrong)?;
    let mut parts = arn.resource().strip_prefix("layer:").ok_or_else(wrong)?.split(':');
    let name = parts.next().unwrap_or_default().to_owned();
    let number = parts.next().map(|number| number.parse().map_err(|_| wrong())).transpose()?;
    Ok((LayerName { account, name }, number))
}

/// 16 bytes as a UUID.
pub(crate) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The id of a UUID's text.
pub(crate) fn id_of_text(text: &str) -> Option<u128> {
    let hex: String = text.split('-').collect();
    let shaped = text.len() == 36 && hex.len() == 32;
    u128::from_str_radix(&hex, 16).ok().filter(|id| shaped && uuid(*id) == text)
}

/// A random id as a UUID has it (RFC 9562, version 4).
pub(crate) fn random_id(id: u128) -> u128 {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    (id & !VERSION & !VARIANT) | (0x4 << 76) | (0x2 << 62)
}

/// A row's id as a number.
pub(crate) fn id_of(bytes: &[u8]) -> Result<u128, LambdaError> {
    let id = <[u8; 16]>::try_from(bytes).map_err(|_| LambdaError::Internal("a row without an id".to_owned()))?;
    Ok(u128::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_in_many_ways() {
        let (mine, region): (AccountId, Region) = ("111122223333".parse().unwrap(), "us-east-1".parse().unwrap());
        for (text, given, expected) in [
            ("f", None, Ok("arn:aws:lambda:us-east-1:111122223333:function:f")),
            ("f:1", None, Ok("arn:aws:lambda:us-east-1:111122223333:function:f:1")),
            ("f:prod", None, Ok("arn:aws:lambda:us-east-1:111122223333:function:f:prod")),
            ("f", Some("$LATEST"), Ok("arn:aws:lambda:us-east-1:111122223333:function:f:$LATEST")),
            ("f:prod", Some("prod"), Ok("arn:aws:lambda:us-east-1:111122223333:function:f:prod")),
            ("f:prod", Some("test"), Err("InvalidParameterValueException")),
            ("function", None, Ok("arn:aws:lambda:us-east-1:111122223333:function:function")),
            ("444455556666:function:f", None, Ok("arn:aws:lambda:us-east-1:444455556666:function:f")),
            ("444455556666:f", None, Ok("arn:aws:lambda:us-east-1:444455556666:function:f")),
            (
                "arn:aws:lambda:us-east-1:444455556666:function:f:2",
                None,
                Ok("arn:aws:lambda:us-east-1:444455556666:function:f:2"),
            ),
            ("arn:aws:lambda:eu-west-1:444455556666:function:f", None, Err("ResourceNotFoundException")),
            ("f:0", None, Err("ResourceNotFoundException")),
        ] {
            let found = FunctionName::parse(text, given, mine, &region).map(|name| name.arn(&region).to_string());
            let code = |error| match error {
                LambdaError::Of(def, _) => def.code,
                _ => "other",
            };
            assert_eq!(found.map_err(code), expected.map(str::to_owned), "{text} {given:?}");
        }
        assert!(FunctionName::parse(&"f".repeat(65), None, mine, &region).is_err());
    }

    #[test]
    fn ids_are_uuids() {
        assert_eq!(uuid(random_id(u128::MAX)), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id_of_text("ffffffff-ffff-4fff-bfff-ffffffffffff"), Some(random_id(u128::MAX)));
        for wrong in ["", "ffffffff", "FFFFFFFF-ffff-4fff-bfff-ffffffffffff", "ffff-ffffffff-4fff-bfff-ffffffffffff"] {
            assert_eq!(id_of_text(wrong), None, "{wrong}");
        }
    }
}
