//! What a reader does for the classes and properties that the catalog has.

use super::{FormatError, Properties, classes, property};

/// The first levels of separators (`^A ^B ^C`), and those of deeper levels, which cannot be set: Hive has eight.
const SEPARATORS: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// What stands for NULL where nothing is said.
const NULL: &str = "\\N";

/// How a table's or partition's files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How rows are read.
    pub format: Format,
    /// Whether the files name, line by line, the files that have the rows.
    pub symlink: bool,
    /// Lines passed over at the beginning of each file of text.
    pub skip_header_lines: u64,
    /// Lines passed over at the end of each file of text.
    pub skip_footer_lines: u64,
}

/// How rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// LazySimpleSerDe
    Text(LazySimple),
    /// OpenCSVSerde
    OpenCsv(OpenCsv),
    /// RegexSerDe
    Regex(RegexFormat),
    /// A JSON serde.
    Json(Json),
    /// Parquet
    Parquet(By),
    /// ORC
    Orc(By),
}

/// How the columns of a table are found in files that name theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By their names.
    Name,
    /// By their places.
    Place,
}

impl By {
    /// As a property says, or as is usual.
    fn of(parameters: &Properties, property: &'static str, usual: Self) -> Result<Self, FormatError> {
        match parameters.get(property).map(|value| value.to_ascii_lowercase()).as_deref() {
            None => Ok(usual),
            Some("true") => Ok(Self::Place),
            Some("false") => Ok(Self::Name),
            Some(value) => Err(FormatError::Value { property, value: value.to_owned(), must: "true or false" }),
        }
    }
}

/// LazySimpleSerDe's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LazySimple {
    /// Separators by level: fields, items, keys of maps, and deeper ones.
    pub separators: [u8; 8],
    /// What makes the next byte an ordinary one.
    pub escape: Option<u8>,
    /// What stands for NULL.
    pub null: Vec<u8>,
    /// Whether the last column has the rest of the row.
    pub last_takes_rest: bool,
    /// Patterns of timestamps, in Java's notation, besides Hive's own.
    pub timestamp_formats: Vec<String>,
}

impl Default for LazySimple {
    fn default() -> Self {
        Self {
            separators: SEPARATORS,
            escape: None,
            null: NULL.into(),
            last_takes_rest: false,
            timestamp_formats: Vec::new(),
        }
    }
}

/// OpenCSVSerde's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCsv {
    /// Between fields.
    pub separator: char,
    /// Around fields.
    pub quote: char,
    /// Before a quote or itself.
    pub escape: char,
}

/// RegexSerDe's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexFormat {
    /// The pattern, in Java's language.
    pub pattern: String,
    /// Whether it ignores case.
    pub case_insensitive: bool,
}

/// Which JSON serde.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonSerde {
    /// openx's.
    Openx,
    /// Hive's.
    Hive,
}

/// A JSON serde's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json {
    /// Which one.
    pub serde: JsonSerde,
    /// `ignore.malformed.json`: a row of NULLs for a line that is no JSON.
    pub ignore_malformed: bool,
    /// `dots.in.keys`: dots in keys are underscores in columns' names.
    pub dots_in_keys: bool,
    /// `case.insensitive`: keys are lower-cased before they are compared.
    pub case_insensitive: bool,
    /// `use.null.for.invalid.data`: NULL for a value that is not of its column's type.
    pub null_for_invalid: bool,
    /// `mapping.COLUMN`: the key that a column is read from.
    pub mappings: Properties,
    /// Patterns of timestamps, in Java's notation.
    pub timestamp_formats: Vec<String>,
}

impl Layout {
    /// Tells how files are read. `input` and `serde` are the classes, `parameters` the serde's properties, `table` the table's.
    pub fn of(
        input: Option<&str>,
        serde: Option<&str>,
        parameters: &Properties,
        table: &Properties,
    ) -> Result<Self, FormatError> {
        let input = input.filter(|class| !class.is_empty());
        let serde = serde.filter(|class| !class.is_empty());
        let files = input.map(Files::of).transpose()?;
        let serde_class = match (serde, files) {
            (Some(serde), _) => serde,
            (None, Some(Files::Parquet)) => classes::PARQUET.2,
            (None, Some(Files::Orc)) => classes::ORC.2,
            (None, Some(_)) => classes::LAZY_SIMPLE,
            (None, None) => return Err(FormatError::Nothing),
        };
        let format = Format::of(serde_class, parameters)?;
        let fits = match files {
            None | Some(Files::Symlink) => true,
            Some(Files::Text) => !matches!(format, Format::Parquet(_) | Format::Orc(_)),
            Some(Files::Parquet) => matches!(format, Format::Parquet(_)),
            Some(Files::Orc) => matches!(format, Format::Orc(_)),
        };
        if !fits {
            let input = input.unwrap_or_default().to_owned();
            return Err(FormatError::Mismatch { serde: serde_class.to_owned(), input });
        }
        let text = !matches!(format, Format::Parquet(_) | Format::Orc(_));
        Ok(Self {
            symlink: files == Some(Files::Symlink),
            // Of other formats Hive passes nothing over.
            skip_header_lines: if text { lines(table, property::SKIP_HEADER)? } else { 0 },
            skip_footer_lines: if text { lines(table, property::SKIP_FOOTER)? } else { 0 },
            format,
        })
    }
}

fn lines(table: &Properties, property: &'static str) -> Result<u64, FormatError> {
    let Some(value) = table.get(property) else { return Ok(0) };
    let must = "a number of lines, 0 or more";
    value.trim().parse().map_err(|_| FormatError::Value { property, value: value.clone(), must })
}

/// What an input format finds in files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    Text,
    Symlink,
    Parquet,
    Orc,
}

impl Files {
    fn of(class: &str) -> Result<Self, FormatError> {
        let what = "input format";
        match class {
            classes::TEXT_INPUT => return Ok(Self::Text),
            classes::SYMLINK_INPUT => return Ok(Self::Symlink),
            _ if class == classes::PARQUET.0 => return Ok(Self::Parquet),
            _ if class == classes::ORC.0 => return Ok(Self::Orc),
            _ => {}
        }
        Err(refusal(what, class, classes::REFUSED_INPUTS))
    }
}

fn refusal(what: &'static str, class: &str, known: &[(&str, &'static str)]) -> FormatError {
    match known.iter().find(|(name, _)| *name == class) {
        Some((_, reason)) => FormatError::Refused { what, class: class.to_owned(), reason },
        None => FormatError::Unknown { what, class: class.to_owned() },
    }
}

impl Format {
    fn of(serde: &str, parameters: &Properties) -> Result<Self, FormatError> {
        Ok(match serde {
            classes::LAZY_SIMPLE => Self::Text(LazySimple::of(parameters)?),
            classes::OPEN_CSV => Self::OpenCsv(OpenCsv::of(parameters)?),
            classes::REGEX | classes::REGEX_CONTRIB => Self::Regex(RegexFormat::of(parameters)?),
            classes::JSON_OPENX => Self::Json(Json::of(JsonSerde::Openx, parameters)?),
            classes::JSON_HCATALOG | classes::JSON_HIVE => Self::Json(Json::of(JsonSerde::Hive, parameters)?),
            // Athena User Guide, "Handling schema updates": "By default, Parquet will access columns by name and ORC by index".
            _ if serde == classes::PARQUET.2 => {
                Self::Parquet(By::of(parameters, property::PARQUET_BY_PLACE, By::Name)?)
            }
            _ if serde == classes::ORC.2 => Self::Orc(By::of(parameters, property::ORC_BY_PLACE, By::Place)?),
            _ => return Err(refusal("serde", serde, classes::REFUSED_SERDES)),
        })
    }
}

/// The only charset that is read.
fn utf8_alone(parameters: &Properties) -> Result<(), FormatError> {
    let property = property::ENCODING;
    match parameters.get(property) {
        Some(value) if !["utf-8", "utf8"].contains(&value.to_ascii_lowercase().as_str()) => {
            Err(FormatError::Value { property, value: value.clone(), must: "UTF-8: no other charset is read" })
        }
        _ => Ok(()),
    }
}

fn is_true(parameters: &Properties, property: &str) -> bool {
    parameters.get(property).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn timestamp_formats(parameters: &Properties) -> Vec<String> {
    let Some(text) = parameters.get(property::TIMESTAMPS) else { return Vec::new() };
    let mut formats = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match (c, formats.last_mut()) {
            ('\\', _) if !escaped => escaped = true,
            (',', _) if !escaped => formats.push(String::new()),
            (c, Some(last)) => {
                escaped = false;
                last.push(c);
            }
            (_, None) => {}
        }
    }
    formats.retain(|format| !format.is_empty());
    formats
}

impl LazySimple {
    fn of(parameters: &Properties) -> Result<Self, FormatError> {
        utf8_alone(parameters)?;
        let mut format = Self { timestamp_formats: timestamp_formats(parameters), ..Self::default() };
        let levels: [&[&'static str]; 3] = [
            &[property::FIELD, property::SERIALIZATION],
            &[property::COLLECTION, property::COLLECTION_TOO],
            &[property::MAP_KEY],
        ];
        for (separator, names) in format.separators.iter_mut().zip(levels) {
            let set = names.iter().find_map(|name| Some((*name, parameters.get(*name)?)));
            if let Some((property, value)) = set.filter(|(_, value)| !value.is_empty()) {
                *separator = byte(property, value)?;
            }
        }
        format.escape = match parameters.get(property::ESCAPE) {
            Some(value) if value.is_empty() => Some(b'\\'),
            Some(value) => Some(byte(property::ESCAPE, value)?),
            None => None,
        };
        if let Some(null) = parameters.get(property::NULL) {
            format.null = null.clone().into_bytes();
        }
        format.last_takes_rest = is_true(parameters, property::LAST_TAKES_REST);
        if let Some(value) = parameters.get(property::LINE).filter(|value| !matches!(value.as_str(), "\n" | "10" | ""))
        {
            let must = "newline: Hive reads no other end of lines";
            return Err(FormatError::Value { property: property::LINE, value: value.clone(), must });
        }
        Ok(format)
    }
}

/// A separator: a number from -128 to 127 is a code (`LazyUtils.getByte`), otherwise the first character counts.
fn byte(property: &'static str, value: &str) -> Result<u8, FormatError> {
    if let Ok(code) = value.parse::<i8>() {
        return Ok(code.cast_unsigned());
    }
    match value.bytes().next() {
        Some(first) if first.is_ascii() => Ok(first),
        _ => Err(FormatError::Value { property, value: value.to_owned(), must: "a character of ASCII, or its code" }),
    }
}

impl OpenCsv {
    fn of(parameters: &Properties) -> Result<Self, FormatError> {
        utf8_alone(parameters)?;
        let character = |property: &'static str, default: char| match parameters.get(property) {
            None => Ok(default),
            Some(value) => value.chars().next().ok_or_else(|| FormatError::Value {
                property,
                value: String::new(),
                must: "one character",
            }),
        };
        let separator = character("separatorChar", ',')?;
        let quote = character("quoteChar", '"')?;
        // Hive takes the quote, its default, for "not set", and opencsv's own default is the backslash.
        let escape = match character("escapeChar", '"')? {
            '"' => '\\',
            other => other,
        };
        let same = |a: char, b: char| a != '\0' && a == b;
        if same(separator, quote) || same(separator, escape) || same(quote, escape) || separator == '\0' {
            return Err(FormatError::SameCharacters);
        }
        Ok(Self { separator, quote, escape })
    }
}

impl RegexFormat {
    fn of(parameters: &Properties) -> Result<Self, FormatError> {
        utf8_alone(parameters)?;
        let pattern = parameters.get(property::REGEX).ok_or(FormatError::Missing(property::REGEX))?.clone();
        Ok(Self { pattern, case_insensitive: is_true(parameters, property::REGEX_CASE) })
    }
}

impl Json {
    fn of(serde: JsonSerde, parameters: &Properties) -> Result<Self, FormatError> {
        utf8_alone(parameters)?;
        let openx = serde == JsonSerde::Openx;
        let mappings = parameters
            .iter()
            .filter(|_| openx)
            .filter_map(|(name, key)| Some((name.strip_prefix("mapping.")?.to_lowercase(), key.clone())))
            .collect();
        Ok(Self {
            serde,
            ignore_malformed: is_true(parameters, "ignore.malformed.json"),
            dots_in_keys: openx && is_true(parameters, "dots.in.keys"),
            // Hive's ignores case always.
            case_insensitive: !openx
                || parameters.get("case.insensitive").is_none_or(|v| v.eq_ignore_ascii_case("true")),
            null_for_invalid: openx && is_true(parameters, "use.null.for.invalid.data"),
            mappings,
            timestamp_formats: timestamp_formats(parameters),
        })
    }
}
