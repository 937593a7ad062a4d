//! Where results go: standard output, or a file that is there as a whole or not at all.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use millpond_query::Column as Described;
use millpond_sql::parquet::{ParquetError, ParquetFile};

use super::execution::{Column, Row};
use super::failed::Failed;
use super::format::{self, Format, Writer};
use super::table::Borders;

/// A file that gets its name when it is complete.
pub struct Whole {
    file: BufWriter<std::fs::File>,
    /// What it is called meanwhile; of what is no plain file, such as a pipe, nothing.
    part: Option<PathBuf>,
    path: PathBuf,
}

impl Whole {
    /// Opens it.
    pub fn create(path: &Path) -> Result<Self, Failed> {
        let unopened = |error: io::Error| Failed::Output(format!("{}: {error}", path.display()));
        let is_plain = std::fs::metadata(path).map_or(true, |found| found.is_file());
        let part = is_plain.then(|| {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".part-{}", std::process::id()));
            path.with_file_name(name)
        });
        let open = part.as_deref().unwrap_or(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(part.is_some());
        let file = options.open(open).map_err(unopened)?;
        Ok(Self { file: BufWriter::new(file), part, path: path.to_owned() })
    }

    /// It is complete.
    #[expect(clippy::disallowed_methods, reason = "a file of whoever asked, which no test of the lake bends")]
    pub fn done(mut self) -> Result<(), Failed> {
        let unwritten = |error: io::Error| Failed::Output(error.to_string());
        self.file.flush().map_err(unwritten)?;
        if let Some(part) = self.part.take() {
            let renamed = std::fs::rename(&part, &self.path);
            if renamed.is_err() {
                self.part = Some(part);
            }
            renamed.map_err(unwritten)?;
        }
        Ok(())
    }
}

impl Drop for Whole {
    #[expect(clippy::disallowed_methods, reason = "a file of whoever asked, which no test of the lake bends")]
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // It stays where it cannot be removed: nothing is lost by it.
            let _ = std::fs::remove_file(part);
        }
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A format by the name of a file.
pub fn format_of(path: &Path) -> Format {
    match path.extension().and_then(|it| it.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        Some("tsv") => Format::Tsv,
        Some("parquet") => Format::Parquet,
        Some("txt") => Format::Table,
        _ => Format::Csv,
    }
}

/// Writes a result into a file.
pub enum File {
    /// As text.
    Text(Format, Whole),
    /// As Parquet, once the columns are known.
    Parquet(Option<Whole>, Option<Box<ParquetFile<Whole>>>),
}

impl File {
    /// Opens it.
    pub fn create(path: &Path, format: Format) -> Result<Self, Failed> {
        let whole = Whole::create(path)?;
        Ok(if format == Format::Parquet { Self::Parquet(Some(whole), None) } else { Self::Text(format, whole) })
    }

    /// Fills it.
    pub fn fill(
        self,
        borders: Borders,
        fill: impl FnOnce(&mut dyn Writer) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        match self {
            Self::Text(format, mut whole) => {
                fill(&mut *format::text(format, borders, Box::new(&mut whole)))?;
                whole.done()
            }
            Self::Parquet(..) => {
                let mut file = self;
                fill(&mut file)?;
                match file {
                    Self::Parquet(_, Some(file)) => file.finish().map_err(unwritten)?.done(),
                    _ => Err(Failed::Output("the statement has no columns to write".to_owned())),
                }
            }
        }
    }
}

fn unwritten(error: ParquetError) -> Failed {
    Failed::Output(error.to_string())
}

impl Writer for File {
    fn begin(&mut self, columns: &[Column]) -> Result<(), Failed> {
        let Self::Parquet(whole, file) = self else { return Ok(()) };
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let described = |column: &Column| Described {
            name: column.name.clone(),
            kind: column.kind.clone(),
            precision: narrow(column.precision),
            scale: narrow(column.scale),
        };
        if let Some(whole) = whole.take().filter(|_| !columns.is_empty()) {
            let made = ParquetFile::new(columns.iter().map(described).collect(), whole).map_err(unwritten)?;
            *file = Some(Box::new(made));
        }
        Ok(())
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        let Self::Parquet(_, Some(file)) = self else { return Ok(()) };
        file.write(&rows).map_err(unwritten)
    }

    fn end(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}
