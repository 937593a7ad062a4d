//! What server and worker say to each other. Each message may have a payload of bytes beside it.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};

/// What a worker is told.
#[derive(Clone, PartialEq, Message)]
pub struct ToWorker {
    /// Which of it.
    #[prost(oneof = "to_worker::Kind", tags = "1, 2, 3")]
    pub kind: Option<to_worker::Kind>,
    /// Which turn of the worker's it is: what it asks later names it.
    #[prost(uint64, tag = "10")]
    pub turn: u64,
}

/// Kinds of [`ToWorker`].
pub mod to_worker {
    use super::Oneof;

    /// What a worker is told.
    #[derive(Clone, PartialEq, Oneof)]
    #[expect(clippy::large_enum_variant, reason = "one lives at a time, on its way through the socket")]
    pub enum Kind {
        /// To run a query.
        #[prost(message, tag = "1")]
        Run(super::Run),
        /// What it has asked.
        #[prost(message, tag = "2")]
        Answer(super::Answer),
        /// To tell the schema of an object.
        #[prost(message, tag = "3")]
        Describe(super::Describe),
    }
}

/// Formats of objects that have a schema of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum FileFormat {
    /// Parquet
    Parquet = 0,
    /// ORC
    Orc = 1,
}

/// An object whose schema is wanted.
#[derive(Clone, PartialEq, Message)]
pub struct Describe {
    /// Its format.
    #[prost(enumeration = "FileFormat", tag = "1")]
    pub format: i32,
    /// Its bucket.
    #[prost(string, tag = "2")]
    pub bucket: String,
    /// Its key.
    #[prost(string, tag = "3")]
    pub key: String,
    /// The entity tag that it had when it was listed: it must be that still.
    #[prost(string, tag = "4")]
    pub etag: String,
    /// Bytes.
    #[prost(uint64, tag = "5")]
    pub size: u64,
}

/// The schema of an object.
#[derive(Clone, PartialEq, Message)]
pub struct Described {
    /// Its columns, with Hive's types.
    #[prost(message, repeated, tag = "1")]
    pub columns: Vec<Column>,
    /// Rows.
    #[prost(uint64, tag = "2")]
    pub rows: u64,
}

/// A query.
#[derive(Clone, PartialEq, Message)]
pub struct Run {
    /// The statement.
    #[prost(string, tag = "1")]
    pub statement: String,
    /// The database of names that name none.
    #[prost(string, tag = "2")]
    pub database: String,
    /// Values of `?`, as literals of SQL.
    #[prost(string, repeated, tag = "3")]
    pub parameters: Vec<String>,
    /// Bytes of memory that the engine may use.
    #[prost(uint64, tag = "4")]
    pub memory: u64,
    /// Bytes that may be spilled.
    #[prost(uint64, tag = "5")]
    pub spill: u64,
    /// Where to: a directory of the worker's own.
    #[prost(string, tag = "6")]
    pub spill_dir: String,
    /// How many threads work on it.
    #[prost(uint32, tag = "7")]
    pub threads: u32,
    /// `current_timestamp`, in nanoseconds since 1970.
    #[prost(uint64, tag = "8")]
    pub now: u64,
    /// Bytes of objects that may be read, at most; 0 for no limit.
    #[prost(uint64, tag = "9")]
    pub cutoff: u64,
}

/// An answer to a question; what was read is its payload.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    /// Which question.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The error's code, where it is refused.
    #[prost(string, tag = "2")]
    pub error: String,
    /// What the error says.
    #[prost(string, tag = "3")]
    pub message: String,
    /// The table that was asked for.
    #[prost(message, optional, tag = "4")]
    pub table: Option<Table>,
    /// The partitions that were asked for.
    #[prost(message, optional, tag = "5")]
    pub partitions: Option<PartitionPage>,
    /// The listing that was asked for.
    #[prost(message, optional, tag = "6")]
    pub listing: Option<ListedPage>,
}

/// What a worker tells.
#[derive(Clone, PartialEq, Message)]
pub struct FromWorker {
    /// Which of it.
    #[prost(oneof = "from_worker::Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<from_worker::Kind>,
}

/// Kinds of [`FromWorker`].
pub mod from_worker {
    use super::Oneof;

    /// What a worker tells.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Kind {
        /// A question.
        #[prost(message, tag = "1")]
        Ask(super::Ask),
        /// The columns of the result: before its rows.
        #[prost(message, tag = "2")]
        Columns(super::Columns),
        /// Rows, as the payload.
        #[prost(message, tag = "3")]
        Rows(super::Rows),
        /// How far it is.
        #[prost(message, tag = "4")]
        Progress(super::Stats),
        /// The query is done.
        #[prost(message, tag = "5")]
        Done(super::Stats),
        /// The query has failed.
        #[prost(message, tag = "6")]
        Failed(super::Failure),
        /// The schema that was asked for.
        #[prost(message, tag = "7")]
        Described(super::Described),
    }
}

/// A question.
#[derive(Clone, PartialEq, Message)]
pub struct Ask {
    /// What its answer will name.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What is asked.
    #[prost(oneof = "ask::What", tags = "2, 3, 4, 5")]
    pub what: Option<ask::What>,
    /// The turn that it is asked in. What is left of an earlier one, which may have been another caller's, has no answer.
    #[prost(uint64, tag = "10")]
    pub turn: u64,
}

/// What a worker asks.
pub mod ask {
    use super::{Message, Oneof};

    /// What is asked.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum What {
        /// For a table.
        #[prost(message, tag = "2")]
        Table(Table),
        /// For partitions of a table.
        #[prost(message, tag = "3")]
        Partitions(Partitions),
        /// For a page of a listing.
        #[prost(message, tag = "4")]
        List(List),
        /// For bytes of an object.
        #[prost(message, tag = "5")]
        Read(Read),
    }

    /// For a table.
    #[derive(Clone, PartialEq, Message)]
    pub struct Table {
        /// Its database.
        #[prost(string, tag = "1")]
        pub database: String,
        /// Its name.
        #[prost(string, tag = "2")]
        pub name: String,
    }

    /// For partitions.
    #[derive(Clone, PartialEq, Message)]
    pub struct Partitions {
        /// The table's database.
        #[prost(string, tag = "1")]
        pub database: String,
        /// The table.
        #[prost(string, tag = "2")]
        pub table: String,
        /// Which: GetPartitions' `Expression`; all, when empty.
        #[prost(string, tag = "3")]
        pub expression: String,
        /// Where the page before ended; empty for the first.
        #[prost(string, tag = "4")]
        pub after: String,
    }

    /// For a page of a listing.
    #[derive(Clone, PartialEq, Message)]
    pub struct List {
        /// The bucket.
        #[prost(string, tag = "1")]
        pub bucket: String,
        /// What keys begin with.
        #[prost(string, tag = "2")]
        pub prefix: String,
        /// Where the page before ended; empty for the first.
        #[prost(string, tag = "3")]
        pub after: String,
    }

    /// For bytes of an object.
    #[derive(Clone, PartialEq, Message)]
    pub struct Read {
        /// The bucket.
        #[prost(string, tag = "1")]
        pub bucket: String,
        /// The key.
        #[prost(string, tag = "2")]
        pub key: String,
        /// The entity tag that it had in the listing: it must be that still.
        #[prost(string, tag = "3")]
        pub etag: String,
        /// The first byte.
        #[prost(uint64, tag = "4")]
        pub from: u64,
        /// The one after the last.
        #[prost(uint64, tag = "5")]
        pub to: u64,
    }
}

/// A column.
#[derive(Clone, PartialEq, Message)]
pub struct Column {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Of a table: Hive's type. Of a result: Athena's.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// Digits of a decimal, characters of a string.
    #[prost(uint32, tag = "3")]
    pub precision: u32,
    /// Digits behind the point.
    #[prost(uint32, tag = "4")]
    pub scale: u32,
}

/// How rows lie in objects.
#[derive(Clone, PartialEq, Message)]
pub struct Storage {
    /// The columns, without partition keys.
    #[prost(message, repeated, tag = "1")]
    pub columns: Vec<Column>,
    /// The folder.
    #[prost(string, tag = "2")]
    pub location: String,
    /// Hadoop's class that reads files.
    #[prost(string, tag = "3")]
    pub input_format: String,
    /// Hive's class that reads rows.
    #[prost(string, tag = "4")]
    pub serde: String,
    /// What is set for it.
    #[prost(btree_map = "string, string", tag = "5")]
    pub serde_parameters: BTreeMap<String, String>,
}

/// A table or a view.
#[derive(Clone, PartialEq, Message)]
pub struct Table {
    /// Its database.
    #[prost(string, tag = "1")]
    pub database: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Where and how its rows lie.
    #[prost(message, optional, tag = "3")]
    pub storage: Option<Storage>,
    /// What its partitions are told apart by.
    #[prost(message, repeated, tag = "4")]
    pub partition_keys: Vec<Column>,
    /// Its properties.
    #[prost(btree_map = "string, string", tag = "5")]
    pub parameters: BTreeMap<String, String>,
    /// A view's query; empty for a table.
    #[prost(string, tag = "6")]
    pub view: String,
    /// The database of names in the view's query that name none.
    #[prost(string, tag = "7")]
    pub view_database: String,
}

/// A partition.
#[derive(Clone, PartialEq, Message)]
pub struct Partition {
    /// The values of the keys, as text.
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
    /// Its folder.
    #[prost(string, tag = "2")]
    pub location: String,
}

/// Partitions, one after the other, whose rows lie in one way: most tables have all theirs so.
#[derive(Clone, PartialEq, Message)]
pub struct PartitionRun {
    /// How; as the table's, where nothing is said.
    #[prost(message, optional, tag = "1")]
    pub storage: Option<Storage>,
    /// They.
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<Partition>,
}

/// Partitions, as many as fit.
#[derive(Clone, PartialEq, Message)]
pub struct PartitionPage {
    /// They.
    #[prost(message, repeated, tag = "1")]
    pub runs: Vec<PartitionRun>,
    /// Where the next page begins; empty on the last one.
    #[prost(string, tag = "2")]
    pub next: String,
}

/// An object of a listing.
#[derive(Clone, PartialEq, Message)]
pub struct ListedObject {
    /// Its key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Bytes.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// Its entity tag.
    #[prost(string, tag = "3")]
    pub etag: String,
    /// When it was put, in nanoseconds since 1970.
    #[prost(uint64, tag = "4")]
    pub modified: u64,
}

/// Objects, as many as fit.
#[derive(Clone, PartialEq, Message)]
pub struct ListedPage {
    /// They, by key.
    #[prost(message, repeated, tag = "1")]
    pub objects: Vec<ListedObject>,
    /// Where the next page begins; empty on the last one.
    #[prost(string, tag = "2")]
    pub next: String,
}

/// The columns of a result.
#[derive(Clone, PartialEq, Message)]
pub struct Columns {
    /// They.
    #[prost(message, repeated, tag = "1")]
    pub columns: Vec<Column>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Format {
    /// As Athena's result files: every value in quotes, NULL without, one row a line.
    Csv = 0,
}

/// Rows of a result; they are the payload.
#[derive(Clone, PartialEq, Message)]
pub struct Rows {
    /// How many.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// How they are written.
    #[prost(enumeration = "Format", tag = "2")]
    pub format: i32,
}

/// What a query has cost.
#[derive(Clone, PartialEq, Message)]
pub struct Stats {
    /// Bytes of objects that were read.
    #[prost(uint64, tag = "1")]
    pub scanned: u64,
    /// Objects of which bytes were read.
    #[prost(uint64, tag = "2")]
    pub files: u64,
    /// Rows that were read.
    #[prost(uint64, tag = "3")]
    pub input_rows: u64,
    /// Rows of the result.
    #[prost(uint64, tag = "4")]
    pub output_rows: u64,
    /// Milliseconds until the plan was made.
    #[prost(uint64, tag = "5")]
    pub planning_ms: u64,
    /// Milliseconds from then on.
    #[prost(uint64, tag = "6")]
    pub execution_ms: u64,
    /// Bytes that were spilled.
    #[prost(uint64, tag = "7")]
    pub spilled: u64,
    /// Objects and whether they were read as a whole: what a result holds for as long as they are the same.
    #[prost(string, repeated, tag = "8")]
    pub read: Vec<String>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum FailureKind {
    /// Nobody's but ours.
    Internal = 0,
    /// The statement's: `SYNTAX_ERROR: line 1:8: ...`.
    Statement = 1,
    /// The data's: what is in an object cannot be read.
    Data = 2,
    /// It does not fit into memory or onto the disk.
    Resources = 3,
    /// Something that was asked was refused.
    Refused = 4,
    /// More bytes would be read than may be.
    Cutoff = 5,
}

/// Why a query has failed.
#[derive(Clone, PartialEq, Message)]
pub struct Failure {
    /// Whose fault it is.
    #[prost(enumeration = "FailureKind", tag = "1")]
    pub kind: i32,
    /// What is wrong, and what to do.
    #[prost(string, tag = "2")]
    pub message: String,
    /// What it has cost until then.
    #[prost(message, optional, tag = "3")]
    pub stats: Option<Stats>,
}
