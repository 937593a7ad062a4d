//! Names of Java's classes.

/// A file format: its input format, output format and serde.
pub type Classes = (&'static str, &'static str, &'static str);

/// Delimited text.
pub const LAZY_SIMPLE: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
/// CSV by opencsv.
pub const OPEN_CSV: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";
/// Text by a regular expression.
pub const REGEX: &str = "org.apache.hadoop.hive.serde2.RegexSerDe";
/// The same under its older name.
pub const REGEX_CONTRIB: &str = "org.apache.hadoop.hive.contrib.serde2.RegexSerDe";
/// JSON by openx.
pub const JSON_OPENX: &str = "org.openx.data.jsonserde.JsonSerDe";
/// JSON by Hive.
pub const JSON_HCATALOG: &str = "org.apache.hive.hcatalog.data.JsonSerDe";
/// JSON by Hive, as it is named since Hive 3.
pub const JSON_HIVE: &str = "org.apache.hadoop.hive.serde2.JsonSerDe";
/// Lines of text.
pub const TEXT_INPUT: &str = "org.apache.hadoop.mapred.TextInputFormat";
/// Files that name the files to read.
pub const SYMLINK_INPUT: &str = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat";
/// What Hive writes text with.
pub const TEXT_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat";

/// `TEXTFILE`
pub const TEXT: Classes = (TEXT_INPUT, TEXT_OUTPUT, LAZY_SIMPLE);
/// `JSONFILE`
pub const JSON: Classes = (TEXT_INPUT, TEXT_OUTPUT, JSON_HIVE);
/// `PARQUET`
pub const PARQUET: Classes = (
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
);
/// `ORC`
pub const ORC: Classes = (
    "org.apache.hadoop.hive.ql.io.orc.OrcInputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcSerde",
);
/// `AVRO`
pub const AVRO: Classes = (
    "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
    "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
);
/// `SEQUENCEFILE`
pub const SEQUENCE: Classes = (
    "org.apache.hadoop.mapred.SequenceFileInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
    LAZY_SIMPLE,
);
/// `RCFILE`
pub const RC: Classes = (
    "org.apache.hadoop.hive.ql.io.RCFileInputFormat",
    "org.apache.hadoop.hive.ql.io.RCFileOutputFormat",
    "org.apache.hadoop.hive.serde2.columnar.LazyBinaryColumnarSerDe",
);
/// `ION`
pub const ION: Classes = (
    "com.amazon.ionhiveserde.formats.IonInputFormat",
    "com.amazon.ionhiveserde.formats.IonOutputFormat",
    "com.amazon.ionhiveserde.IonHiveSerDe",
);

const NO_READER: &str = "Millpond has no reader for it; Parquet, ORC, JSON and text are read";

/// Serdes that are known and not read, and why.
pub const REFUSED_SERDES: &[(&str, &str)] = &[
    (AVRO.2, NO_READER),
    (RC.2, NO_READER),
    (ION.2, NO_READER),
    ("org.apache.hadoop.hive.serde2.columnar.ColumnarSerDe", NO_READER),
    ("com.amazonaws.glue.serde.GrokSerDe", "grok patterns are not translated; use RegexSerDe"),
    ("com.amazon.emr.hive.serde.CloudTrailSerde", "use the JSON serde org.apache.hive.hcatalog.data.JsonSerDe"),
    ("org.apache.hadoop.hive.contrib.serde2.MultiDelimitSerDe", "use RegexSerDe"),
    ("org.apache.hadoop.hive.serde2.MultiDelimitSerDe", "use RegexSerDe"),
    ("com.amazon.emr.cloudtrail.CloudTrailSerde", "use the JSON serde org.apache.hive.hcatalog.data.JsonSerDe"),
];

/// Input formats that are known and not read, and why.
pub const REFUSED_INPUTS: &[(&str, &str)] = &[
    (AVRO.0, NO_READER),
    (RC.0, NO_READER),
    (ION.0, NO_READER),
    (SEQUENCE.0, NO_READER),
    (
        "com.amazon.emr.cloudtrail.CloudTrailInputFormat",
        "use org.apache.hadoop.mapred.TextInputFormat with a JSON serde",
    ),
    ("org.apache.hudi.hadoop.HoodieParquetInputFormat", "tables of Hudi are not read"),
    ("org.apache.hudi.hadoop.realtime.HoodieParquetRealtimeInputFormat", "tables of Hudi are not read"),
    ("org.apache.iceberg.mr.hive.HiveIcebergInputFormat", "tables of Iceberg are not read"),
];
