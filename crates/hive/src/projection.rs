//! Partition projection: partitions that a table's properties describe instead of the catalog (Athena User Guide, "Supported types for partition
//! projection" and "Specifying custom S3 storage locations"). Values are told by number, so that a range of any length takes no memory.

mod dates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use dates::Dates;

use crate::names::partition_path;

/// The property that turns it on.
pub const ENABLED: &str = "projection.enabled";
/// The property that says where partitions lie.
pub const TEMPLATE: &str = "storage.location.template";
/// The most digits that an integer is filled up to.
const MAX_DIGITS: usize = 19;

/// A property that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {why}")]
pub struct ProjectionError {
    /// Its name.
    pub property: String,
    /// What is wrong with it.
    pub why: String,
}

/// The values of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `enum`
    Listed(Vec<String>),
    /// `integer`
    Numbers(Numbers),
    /// `date`
    Dates(Dates),
    /// `injected`: those that a query names.
    Injected,
}

/// Integers with a step between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    first: i64,
    last: i64,
    step: i64,
    digits: usize,
}

/// The partitions of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    keys: Vec<(String, Values)>,
    template: Option<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Key(usize),
}

/// The properties of one key.
struct Properties<'a> {
    all: &'a BTreeMap<String, String>,
    key: &'a str,
}

impl Properties<'_> {
    fn name(&self, what: &str) -> String {
        format!("projection.{}.{what}", self.key)
    }

    /// A property, whatever the case of the key in its name.
    fn get(&self, what: &str) -> Option<&str> {
        let name = self.name(what);
        let found = self
            .all
            .get(&name)
            .or_else(|| self.all.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).map(|(_, value)| value));
        found.map(String::as_str)
    }

    fn required(&self, what: &str) -> Result<&str, ProjectionError> {
        self.get(what).ok_or_else(|| self.error(what, "it is missing"))
    }

    fn error(&self, what: &str, why: impl Into<String>) -> ProjectionError {
        ProjectionError { property: self.name(what), why: why.into() }
    }

    /// A positive integer; `None` where it is not given.
    fn positive(&self, what: &str) -> Result<Option<i64>, ProjectionError> {
        let Some(text) = self.get(what) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        number.map(Some).ok_or_else(|| self.error(what, format!("{text:?} is no positive integer")))
    }

    /// The two ends of `range`.
    fn range(&self) -> Result<(&str, &str), ProjectionError> {
        let text = self.required("range")?;
        let ends = text.split_once(',').filter(|(_, last)| !last.contains(','));
        ends.ok_or_else(|| self.error("range", format!("{text:?} is no pair of values with a comma between them")))
    }
}

impl Numbers {
    fn of(properties: &Properties<'_>) -> Result<Self, ProjectionError> {
        let read = |text: &str| {
            let number = text.trim().parse::<i64>();
            number.map_err(|_| properties.error("range", format!("{:?} is no integer of 64 bits", text.trim())))
        };
        let (first, last) = properties.range()?;
        let (first, last) = (read(first)?, read(last)?);
        if first > last {
            return Err(properties.error("range", format!("{first} is above {last}")));
        }
        let step = properties.positive("interval")?.unwrap_or(1);
        let digits = properties.positive("digits")?.unwrap_or(1);
        let digits = usize::try_from(digits).ok().filter(|digits| *digits <= MAX_DIGITS);
        let digits = digits.ok_or_else(|| properties.error("digits", format!("it is above {MAX_DIGITS}")))?;
        Ok(Self { first, last, step, digits })
    }

    fn count(&self) -> u64 {
        let steps = (i128::from(self.last) - i128::from(self.first)) / i128::from(self.step);
        u64::try_from(steps + 1).unwrap_or(u64::MAX)
    }

    fn text(&self, at: u64) -> Option<String> {
        let number = i128::from(self.first) + i128::from(at) * i128::from(self.step);
        (number <= i128::from(self.last)).then(|| format!("{number:0width$}", width = self.digits))
    }

    /// Where the number stands that is written so.
    fn find(&self, text: &str) -> Option<u64> {
        let beyond = i128::from(text.parse::<i64>().ok()?) - i128::from(self.first);
        let at = u64::try_from(beyond / i128::from(self.step)).ok()?;
        (self.text(at).as_deref() == Some(text)).then_some(at)
    }
}

impl Values {
    fn of(properties: &Properties<'_>, now: i64) -> Result<Self, ProjectionError> {
        let kind = properties.required("type")?;
        match kind.trim().to_ascii_lowercase().as_str() {
            "enum" => {
                let values = properties.required("values")?;
                Ok(Self::Listed(values.split(',').map(str::to_owned).collect()))
            }
            "integer" => Ok(Self::Numbers(Numbers::of(properties)?)),
            "date" => Ok(Self::Dates(Dates::of(properties, now)?)),
            "injected" => Ok(Self::Injected),
            _ => Err(properties.error("type", format!("{kind:?} is none of enum, integer, date and injected"))),
        }
    }

    /// How many there are; 0 of those that a query names.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Listed(values) => values.len() as u64,
            Self::Numbers(numbers) => numbers.count(),
            Self::Dates(dates) => dates.count(),
            Self::Injected => 0,
        }
    }

    /// The one at a place, from 0 on.
    #[must_use]
    pub fn text(&self, at: u64) -> Option<String> {
        match self {
            Self::Listed(values) => values.get(usize::try_from(at).ok()?).cloned(),
            Self::Numbers(numbers) => numbers.text(at),
            Self::Dates(dates) => dates.text(at),
            Self::Injected => None,
        }
    }

    /// The time of the one at a place, in milliseconds since 1970: dates alone have one.
    #[must_use]
    pub fn moment(&self, at: u64) -> Option<i64> {
        match self {
            Self::Dates(dates) => dates.moment(at),
            _ => None,
        }
    }

    /// Whether their texts ascend with their places, byte by byte. (Two neighbours may be the same.)
    #[must_use]
    pub fn ascends_as_text(&self) -> bool {
        match self {
            Self::Numbers(numbers) => {
                let width = |at| numbers.text(at).map(|text| text.len());
                numbers.first >= 0 && width(0) == width(numbers.count() - 1)
            }
            Self::Dates(dates) => dates.ascends_as_text(),
            Self::Listed(_) | Self::Injected => false,
        }
    }

    /// Where the integer stands that is written so; `None` also for keys without integers.
    #[must_use]
    pub fn find_number(&self, text: &str) -> Option<u64> {
        match self {
            Self::Numbers(numbers) => numbers.find(text),
            _ => None,
        }
    }
}

impl Projection {
    /// Of a table's properties; `None` where it is not on. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// A property is missing or means nothing.
    pub fn of(properties: &BTreeMap<String, String>, keys: &[&str], now: i64) -> Result<Option<Self>, ProjectionError> {
        match properties.get(ENABLED).map(|value| value.trim().to_ascii_lowercase()).as_deref() {
            Some("true") => {}
            None | Some("false") => return Ok(None),
            Some(other) => {
                let why = format!("{other:?} is neither true nor false");
                return Err(ProjectionError { property: ENABLED.to_owned(), why });
            }
        }
        let values = |key: &&str| Ok(((*key).to_owned(), Values::of(&Properties { all: properties, key }, now)?));
        let values: Result<Vec<(String, Values)>, ProjectionError> = keys.iter().map(values).collect();
        let template = properties.get(TEMPLATE).map(|text| template(text, keys)).transpose()?;
        Ok(Some(Self { keys: values?, template }))
    }

    /// The values of each key, in the order of the keys.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.keys.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// Where a partition of a table lies; `texts` has its values in the order of the keys.
    #[must_use]
    pub fn location(&self, table: &str, texts: &[String]) -> String {
        let Some(template) = &self.template else {
            let pairs = self.keys.iter().map(|(name, _)| name.as_str()).zip(texts.iter().map(String::as_str));
            return format!("{}/{}", table.trim_end_matches('/'), partition_path(pairs));
        };
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Key(at) => texts.get(*at).cloned().unwrap_or_default(),
        };
        template.iter().map(piece).collect()
    }
}

/// A template's pieces. Each key must stand in it, or else partitions would share their objects.
fn template(text: &str, keys: &[&str]) -> Result<Vec<Piece>, ProjectionError> {
    let error = |why: String| ProjectionError { property: TEMPLATE.to_owned(), why };
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| error(format!("{text:?} has a ${{ without its }}")))?;
        let at = keys.iter().position(|key| key.eq_ignore_ascii_case(name));
        let at = at.ok_or_else(|| error(format!("${{{name}}} is no partition key")))?;
        pieces.extend([Piece::Text(before.to_owned()), Piece::Key(at)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    match keys.iter().enumerate().find(|(at, _)| !pieces.contains(&Piece::Key(*at))) {
        Some((_, key)) => Err(error(format!("${{{key}}} is missing"))),
        None => Ok(pieces),
    }
}
