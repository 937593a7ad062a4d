//! `format(text, values...)`: what Java's `Formatter` makes of a text with places for values, as Trino has it.
//!
//! Trino documentation, "Conversion functions", `format`; Java documentation, `java.util.Formatter`.

mod given;
mod moments;
mod numbers;

use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::ScalarUDF;

use super::argument;
use super::rows::{rows, text};
use crate::failure::Problem;
use given::Given;

/// The widest place, and the most digits behind a point.
const MAX_WIDTH: usize = super::MAX_TEXT;

/// Flags, in the order in which Java tells them.
const FLAGS: &str = "-#+ 0,(<";

/// A place for a value: `%[index$][flags][width][.precision]conversion`.
#[derive(Clone, Debug, Default)]
struct Place {
    /// Its text.
    text: String,
    /// Which argument, from 1.
    index: Option<usize>,
    flags: String,
    width: Option<usize>,
    precision: Option<usize>,
    /// Whether the conversion is one of dates and times.
    is_moment: bool,
    /// The conversion, in lower case where that does not matter.
    conversion: char,
    /// Whether the result is in capitals.
    is_upper: bool,
}

/// Why a text cannot be followed.
type Wrong = String;

impl Place {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// Refuses flags that a conversion has no use for.
    fn without(&self, flags: &str) -> Result<(), Wrong> {
        match FLAGS.chars().find(|flag| flags.contains(*flag) && self.has(*flag)) {
            Some(flag) => {
                let shown = if self.is_moment { format!("t{}", self.conversion) } else { self.shown() };
                Err(format!("FormatFlagsConversionMismatch: Conversion = {shown}, Flags = {flag}"))
            }
            None => Ok(()),
        }
    }

    fn shown(&self) -> String {
        let shown = self.conversion.to_string();
        if self.is_upper { shown.to_uppercase() } else { shown }
    }

    fn exactly(&self) -> Result<(), Wrong> {
        self.precision.map_or(Ok(()), |precision| Err(format!("IllegalFormatPrecision: {precision}")))
    }

    fn aligned(&self) -> Result<(), Wrong> {
        match self.width {
            None if self.has('-') || self.has('0') => Err(format!("MissingFormatWidth: {}", self.text)),
            _ if self.has('-') && self.has('0') || self.has('+') && self.has(' ') => {
                Err(format!("IllegalFormatFlags: Flags = '{}'", self.flags))
            }
            _ => Ok(()),
        }
    }

    fn unlike(&self, given: &Given) -> Wrong {
        format!("IllegalFormatConversion: {} != {}", self.shown(), given.class())
    }

    /// A text in its place.
    fn put(&self, text: String) -> String {
        let text = if self.is_upper { text.to_uppercase() } else { text };
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        let blanks = " ".repeat(missing);
        if self.has('-') { text + &blanks } else { blanks + &text }
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        }
    }

    fn filled(&self, given: &Given) -> Result<String, Wrong> {
        if self.is_moment {
            self.exactly()?;
            self.without("#+ 0,(")?;
            self.aligned()?;
            return match given {
                Given::Null => Ok(self.put("null".to_owned())),
                _ => Ok(self.put(moments::shown(given, self.conversion).ok_or_else(|| self.unlike(given))?)),
            };
        }
        match self.conversion {
            's' | 'b' => {
                self.without("#+ 0,(")?;
                self.aligned()?;
                let text = match given {
                    Given::Bool(value) => value.to_string(),
                    Given::Null if self.conversion == 'b' => "false".to_owned(),
                    _ if self.conversion == 'b' => "true".to_owned(),
                    other => other.text(),
                };
                Ok(self.put(self.cut(text)))
            }
            'c' => {
                self.exactly()?;
                self.without("#+ 0,(")?;
                match given {
                    Given::Null => Ok(self.put("null".to_owned())),
                    // Trino has no type that is a Java character.
                    _ => Err(self.unlike(given)),
                }
            }
            'd' | 'o' | 'x' => {
                self.exactly()?;
                self.aligned()?;
                self.without(if self.conversion == 'd' { "#" } else { "," })?;
                match given {
                    Given::Null => Ok(self.put("null".to_owned())),
                    Given::Long(number) => Ok(self.put(numbers::whole(self, *number)?)),
                    _ => Err(self.unlike(given)),
                }
            }
            'e' | 'f' => {
                self.aligned()?;
                self.without(if self.conversion == 'e' { "," } else { "" })?;
                match given {
                    Given::Null => Ok(self.put("null".to_owned())),
                    _ => Ok(self.put(numbers::fraction(self, given).ok_or_else(|| self.unlike(given))?)),
                }
            }
            _ => Err(format!("UnknownFormatConversion: Conversion = '{}'", self.shown())),
        }
    }
}

/// Takes digits from the beginning of a text.
fn digits(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len()))
}

fn size(digits: &str) -> Result<Option<usize>, Wrong> {
    match digits.parse::<usize>() {
        Err(_) if digits.is_empty() => Ok(None),
        Ok(size) if size <= MAX_WIDTH => Ok(Some(size)),
        _ => Err(format!("IllegalFormatWidth: {digits}")),
    }
}

/// Reads a place behind its `%`; the rest of the text too.
fn place(text: &str) -> Result<(Place, &str), Wrong> {
    let unknown = || "UnknownFormatConversion: Conversion = '%'".to_owned();
    let mut place = Place::default();
    let mut rest = text;
    let (index, after) = digits(rest);
    if let Some(after) = after.strip_prefix('$').filter(|_| !index.is_empty()) {
        place.index = Some(index.parse().ok().filter(|index| *index > 0).ok_or_else(unknown)?);
        rest = after;
    }
    while let Some(flag) = rest.chars().next().filter(|flag| FLAGS.contains(*flag)) {
        if place.has(flag) {
            return Err(format!("DuplicateFormatFlags: Flags = '{flag}'"));
        }
        place.flags.push(flag);
        rest = rest.get(1..).unwrap_or_default();
    }
    let (width, after) = digits(rest);
    place.width = size(width)?;
    rest = after;
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = digits(after);
        place.precision = Some(size(precision)?.ok_or_else(unknown)?);
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(['t', 'T']) {
        place.is_moment = true;
        place.is_upper = rest.starts_with('T');
        rest = after;
    }
    let conversion = rest.chars().next().filter(|letter| letter.is_ascii_alphabetic() || *letter == '%');
    place.conversion = conversion.ok_or_else(unknown)?;
    rest = rest.get(1..).unwrap_or_default();
    place.text = format!("%{}", text.get(..text.len() - rest.len()).unwrap_or_default());
    if !place.is_moment && matches!(place.conversion, 'B' | 'C' | 'E' | 'S' | 'X') {
        place.conversion = place.conversion.to_ascii_lowercase();
        place.is_upper = true;
    }
    Ok((place, rest))
}

/// What stands for no value: `%n` and `%%`.
fn literal(place: &Place) -> Result<Option<String>, Wrong> {
    match place.conversion {
        'n' if !place.is_moment => match place.width {
            Some(width) => Err(format!("IllegalFormatWidth: {width}")),
            None if !place.flags.is_empty() => Err(format!("IllegalFormatFlags: Flags = '{}'", place.flags)),
            None => place.exactly().map(|()| Some("\n".to_owned())),
        },
        '%' if !place.is_moment => {
            place.exactly()?;
            if place.flags.chars().any(|flag| flag != '-') {
                return Err(format!("IllegalFormatFlags: Flags = '{}'", place.flags));
            }
            place.aligned()?;
            Ok(Some(place.put("%".to_owned())))
        }
        _ => Ok(None),
    }
}

/// Why a conversion of Java's is not carried out.
fn absent(place: &Place) -> Option<DataFusionError> {
    let is_absent = !place.is_moment && matches!(place.conversion, 'a' | 'A' | 'g' | 'G' | 'h' | 'H');
    let words = format!("NOT_SUPPORTED: format: the conversion {} is not carried out", place.text);
    is_absent.then(|| Problem::Statement(words).into())
}

fn formatted(format: &str, given: &[Given]) -> Result<String> {
    let wrong = |why: Wrong| argument(format!("Invalid format string: {format} ({why})"));
    let (mut out, mut rest) = (String::new(), format);
    let (mut ordinary, mut last) = (0, None);
    while let Some(at) = rest.find('%') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let (place, after) = place(after.get(1..).unwrap_or_default()).map_err(wrong)?;
        rest = after;
        if let Some(error) = absent(&place) {
            return Err(error);
        }
        if let Some(text) = literal(&place).map_err(wrong)? {
            out.push_str(&text);
            continue;
        }
        let index = match (place.index, place.has('<')) {
            (_, true) => last,
            (Some(index), false) => Some(index - 1),
            (None, false) => {
                ordinary += 1;
                Some(ordinary - 1)
            }
        };
        let value = index.and_then(|index| given.get(index));
        let value = value.ok_or_else(|| wrong(format!("MissingFormatArgument: Format specifier '{}'", place.text)))?;
        last = index;
        out.push_str(&place.filled(value).map_err(wrong)?);
        if out.len() > MAX_WIDTH {
            return Err(argument(format!("format: the text has more than {MAX_WIDTH} bytes")));
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn work(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let [format, given @ ..] = values else { return Ok(ScalarValue::Null) };
    let given = given.iter().map(Given::of).collect::<Result<Vec<_>>>()?;
    Ok(ScalarValue::Utf8(Some(formatted(&text(format)?.unwrap_or_default(), &given)?)))
}

fn plan(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [format, given @ ..] = kinds else { return None };
    if given.is_empty() || !(format.is_string() || format.is_null()) || !given.iter().all(Given::is_possible) {
        return None;
    }
    let due = |kind: &DataType| if kind.is_string() { DataType::Utf8 } else { kind.clone() };
    let due = std::iter::once(DataType::Utf8).chain(given.iter().map(due)).collect();
    Some((due, DataType::Utf8))
}

/// The function.
pub fn all() -> Vec<ScalarUDF> {
    vec![rows("format", "format(varchar, T, ...)", plan, 1, work)]
}
