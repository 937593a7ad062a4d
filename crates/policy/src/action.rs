//! Actions: `service:name` with wildcards, compared without regard to case.

use crate::Context;
use crate::pattern::{Pattern, Syntax};

/// A pattern of actions.
#[derive(Clone, Debug)]
pub struct ActionPattern {
    /// The service in lower case; `None` for `*`, every action of every service.
    service: Option<String>,
    /// The name in lower case.
    name: Pattern,
    source: String,
}

/// Why a text is no pattern of actions, in the words of IAM.
pub(crate) fn parse(text: &str) -> Result<ActionPattern, &'static str> {
    let wildcards = Syntax { wildcards: true, variables: false, arn: false };
    if text == "*" {
        return Ok(ActionPattern { service: None, name: Pattern::new("*", wildcards), source: text.to_owned() });
    }
    let Some((service, name)) = text.split_once(':') else {
        return Err("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
    };
    if name.contains(':') {
        return Err("Actions/Condition can contain only one colon.");
    }
    if service.is_empty() || !service.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err("The vendor of an action is a service's name without wildcards.");
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?' | b'_' | b'-')) {
        return Err("An action's name has letters, digits and wildcards.");
    }
    let (service, name) = (service.to_ascii_lowercase(), name.to_ascii_lowercase());
    Ok(ActionPattern { service: Some(service), name: Pattern::new(&name, wildcards), source: text.to_owned() })
}

impl ActionPattern {
    /// Whether it covers an action, given in lower case and cut at its colon.
    pub fn matches(&self, service: &str, name: &str) -> bool {
        match &self.service {
            None => true,
            Some(wanted) => wanted == service && self.name.matches(name, false, &Context::default()),
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The service, unless it is `*`.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The one action that it covers, in lower case.
    pub fn exact(&self) -> Option<String> {
        let service = self.service.as_deref()?;
        self.name.is_exact().then(|| format!("{service}:{}", self.name.source()))
    }
}

/// An action in lower case.
pub(crate) struct Lowered {
    text: [u8; MAX_ACTION],
    len: usize,
    colon: usize,
}

/// Longer names of actions there are not: `service:name` as the Service Authorization Reference lists them stays below 80.
const MAX_ACTION: usize = 128;

impl Lowered {
    /// The action, if it can be one.
    pub fn new(action: &str) -> Option<Self> {
        let colon = action.find(':')?;
        let mut text = [0; MAX_ACTION];
        text.get_mut(..action.len())?.copy_from_slice(action.as_bytes());
        text.make_ascii_lowercase();
        Some(Self { text, len: action.len(), colon })
    }

    /// `service:name`
    pub fn whole(&self) -> &str {
        self.text.get(..self.len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The service.
    pub fn service(&self) -> &str {
        self.whole().get(..self.colon).unwrap_or_default()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.whole().get(self.colon + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions() {
        for (pattern, action, expected) in [
            ("*", "s3:GetObject", true),
            ("s3:*", "s3:GetObject", true),
            ("S3:getobject", "s3:GetObject", true),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:*Object", "s3:GetObject", true),
            ("s3:Get?bject", "s3:GetObject", true),
            ("s3:Put*", "s3:GetObject", false),
            ("s3:GetObjec", "s3:GetObject", false),
            ("iam:*", "s3:GetObject", false),
        ] {
            let action = Lowered::new(action).unwrap();
            assert_eq!(parse(pattern).unwrap().matches(action.service(), action.name()), expected, "{pattern}");
        }
        for bad in ["", "GetObject", "s3:", ":GetObject", "s*:Get", "s3:Get:x", "s3:Get Object", "s3:Gét"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
