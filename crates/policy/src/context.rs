//! The condition keys of a request.

use std::borrow::Cow;

use millpond_types::Timestamp;

/// The value of a condition key.
#[derive(Clone, PartialEq, Debug)]
pub enum ContextValue {
    /// Text, an ARN or an address.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
    /// A multi-valued key.
    Many(Vec<String>),
}

impl ContextValue {
    /// Whether it is a multi-valued key without a value, which is as good as none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Many(values) if values.is_empty())
    }

    /// The values as text: times as ISO 8601, in whole seconds.
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::Text(text) => vec![text.as_str().into()],
            Self::Number(number) => vec![number.to_string().into()],
            Self::Bool(value) => vec![if *value { "true" } else { "false" }.into()],
            Self::Time(time) => vec![iso(*time).into()],
            Self::Many(texts) => texts.iter().map(|text| text.as_str().into()).collect(),
        }
    }
}

/// A moment as ISO 8601, in whole seconds.
pub(crate) fn iso(time: Timestamp) -> String {
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// The condition keys of a request (IAM User Guide, "AWS global condition context keys", and each service's list).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context(Vec<(Cow<'static, str>, ContextValue)>);

impl Context {
    /// Adds a key. The keys of an operation are distinct.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: ContextValue) {
        self.0.push((key.into(), value));
    }

    /// Adds a key that holds text.
    pub fn text(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.set(key, ContextValue::Text(value.into()));
    }

    /// The value of a key; keys are compared without regard to case, as IAM does.
    pub fn get(&self, key: &str) -> Option<&ContextValue> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    /// All keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ContextValue)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}
