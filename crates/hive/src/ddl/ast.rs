//! Statements.

use std::collections::BTreeMap;
use std::fmt;

use crate::types::Type;

/// Properties, by name. Of a name given twice the last one counts, as in Hive.
pub type Properties = BTreeMap<String, String>;

/// A table's or view's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The database, where one is named.
    pub database: Option<String>,
    /// The table or view.
    pub name: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => write!(f, "{database}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A column or partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// What people wrote about it.
    pub comment: Option<String>,
}

/// The values of a partition: key and value.
pub type Partition = Vec<(String, String)>;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE DATABASE`
    CreateDatabase(CreateDatabase),
    /// `DROP DATABASE`
    DropDatabase {
        /// Its name.
        name: String,
        /// Whether it may be missing.
        if_exists: bool,
        /// Whether its tables go too.
        cascade: bool,
    },
    /// `ALTER DATABASE ... SET DBPROPERTIES`
    AlterDatabase {
        /// Its name.
        name: String,
        /// What is set.
        properties: Properties,
    },
    /// `CREATE EXTERNAL TABLE`
    CreateTable(Box<CreateTable>),
    /// `DROP TABLE`
    DropTable {
        /// Its name.
        table: Name,
        /// Whether it may be missing.
        if_exists: bool,
    },
    /// `CREATE VIEW`
    CreateView(CreateView),
    /// `DROP VIEW`
    DropView {
        /// Its name.
        view: Name,
        /// Whether it may be missing.
        if_exists: bool,
    },
    /// `ALTER TABLE`
    AlterTable {
        /// Its name.
        table: Name,
        /// What changes.
        change: Change,
    },
    /// `MSCK REPAIR TABLE`
    Repair {
        /// Its name.
        table: Name,
    },
    /// `SHOW DATABASES`; also `SHOW SCHEMAS`.
    ShowDatabases {
        /// A regular expression of Hive's: `*` any characters, `|` one or the other.
        like: Option<String>,
    },
    /// `SHOW TABLES`
    ShowTables {
        /// Of which database.
        database: Option<String>,
        /// A regular expression of Hive's.
        like: Option<String>,
    },
    /// `SHOW VIEWS`
    ShowViews {
        /// Of which database.
        database: Option<String>,
        /// A regular expression of Hive's.
        like: Option<String>,
    },
    /// `SHOW PARTITIONS`
    ShowPartitions {
        /// Its name.
        table: Name,
    },
    /// `SHOW COLUMNS`
    ShowColumns {
        /// Its name.
        table: Name,
    },
    /// `SHOW TBLPROPERTIES`
    ShowProperties {
        /// Its name.
        table: Name,
        /// The one property that is asked for.
        property: Option<String>,
    },
    /// `SHOW CREATE TABLE`
    ShowCreateTable {
        /// Its name.
        table: Name,
    },
    /// `SHOW CREATE VIEW`
    ShowCreateView {
        /// Its name.
        view: Name,
    },
    /// `DESCRIBE`, also `DESC`
    Describe(Describe),
}

/// `CREATE DATABASE`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateDatabase {
    /// Its name.
    pub name: String,
    /// Whether there may be one already.
    pub if_not_exists: bool,
    /// What people wrote about it.
    pub comment: Option<String>,
    /// Where its tables lie, as written.
    pub location: Option<String>,
    /// Its properties.
    pub properties: Properties,
}

/// `CREATE EXTERNAL TABLE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// Whether there may be one already.
    pub if_not_exists: bool,
    /// Its columns.
    pub columns: Vec<Column>,
    /// What people wrote about it.
    pub comment: Option<String>,
    /// Its partition keys.
    pub partitioned_by: Vec<Column>,
    /// `CLUSTERED BY`
    pub buckets: Option<Buckets>,
    /// `ROW FORMAT`
    pub row_format: Option<RowFormat>,
    /// `STORED AS`
    pub stored_as: Option<StoredAs>,
    /// `WITH SERDEPROPERTIES`
    pub serde_properties: Properties,
    /// Where it lies, as written.
    pub location: Option<String>,
    /// `TBLPROPERTIES`
    pub properties: Properties,
}

/// `CLUSTERED BY (columns) INTO count BUCKETS`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// The columns.
    pub columns: Vec<String>,
    /// How many.
    pub count: u32,
}

/// `ROW FORMAT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// `DELIMITED`
    Delimited(Delimited),
    /// `SERDE 'class'`
    Serde(String),
}

/// The clauses of `ROW FORMAT DELIMITED`, as written with escapes resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delimited {
    /// `FIELDS TERMINATED BY`
    pub fields: Option<String>,
    /// `ESCAPED BY`
    pub escape: Option<String>,
    /// `COLLECTION ITEMS TERMINATED BY`
    pub items: Option<String>,
    /// `MAP KEYS TERMINATED BY`
    pub keys: Option<String>,
    /// `LINES TERMINATED BY`
    pub lines: Option<String>,
    /// `NULL DEFINED AS`
    pub null: Option<String>,
}

/// `STORED AS`
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoredAs {
    TextFile,
    Parquet,
    Orc,
    Avro,
    SequenceFile,
    RcFile,
    JsonFile,
    Ion,
    /// Classes of Hadoop's.
    Classes {
        input: String,
        output: String,
    },
}

/// `CREATE VIEW`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// Whether it takes the place of one that is there.
    pub or_replace: bool,
    /// Names of its columns, where they are given.
    pub columns: Vec<String>,
    /// The query, as it was written.
    pub query: String,
}

/// What `ALTER TABLE` changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `ADD PARTITION`: each with its place, where one is given.
    AddPartitions {
        /// Whether those that are there are passed over.
        if_not_exists: bool,
        /// The partitions.
        partitions: Vec<(Partition, Option<String>)>,
    },
    /// `DROP PARTITION`: whatever one of the lists holds for.
    DropPartitions {
        /// Whether they may be missing.
        if_exists: bool,
        /// Each a list of tests that must all hold.
        filters: Vec<Vec<PartitionTest>>,
    },
    /// `PARTITION (...) RENAME TO PARTITION (...)`
    RenamePartition {
        /// The old values.
        from: Partition,
        /// The new ones.
        to: Partition,
    },
    /// `SET LOCATION`
    SetLocation {
        /// Of one partition, or of the table.
        partition: Option<Partition>,
        /// Where, as written.
        location: String,
    },
    /// `ADD COLUMNS`
    AddColumns {
        /// Of one partition, or of the table.
        partition: Option<Partition>,
        /// The columns.
        columns: Vec<Column>,
    },
    /// `REPLACE COLUMNS`
    ReplaceColumns {
        /// Of one partition, or of the table.
        partition: Option<Partition>,
        /// The columns.
        columns: Vec<Column>,
    },
    /// `CHANGE COLUMN`
    ChangeColumn {
        /// Of one partition, or of the table.
        partition: Option<Partition>,
        /// Its name before.
        from: String,
        /// What it becomes.
        to: Column,
        /// Where it moves.
        place: Option<Place>,
    },
    /// `SET TBLPROPERTIES`
    SetProperties {
        /// What is set.
        properties: Properties,
    },
}

/// Where a column moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `FIRST`
    First,
    /// `AFTER column`
    After(String),
}

/// `key op value` in `DROP PARTITION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionTest {
    /// The partition key.
    pub key: String,
    /// The comparison.
    pub op: Comparison,
    /// The value, as text.
    pub value: String,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds for two values of which the first is so to the second.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// `DESCRIBE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Describe {
    /// The table or view.
    pub table: Name,
    /// `DESCRIBE VIEW`: it must be a view.
    pub view: bool,
    /// How much is told.
    pub detail: Detail,
    /// The partition, where one is named.
    pub partition: Option<Partition>,
    /// The column and the way into it, where one is named.
    pub column: Vec<String>,
}

/// How much `DESCRIBE` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Columns alone.
    #[default]
    Columns,
    /// `EXTENDED`
    Extended,
    /// `FORMATTED`
    Formatted,
}
