use super::*;
use crate::ddl::{Statement, parse};

fn storage(clauses: &str) -> Storage {
    match parse(&format!("CREATE EXTERNAL TABLE t (a int) {clauses}")) {
        Ok(Statement::CreateTable(table)) => Storage::of(&table),
        other => panic!("{clauses}: {other:?}"),
    }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn layout(storage: &Storage) -> Result<Layout, FormatError> {
    Layout::of(Some(&storage.input_format), Some(&storage.serde), &storage.parameters, &Properties::new())
}

#[test]
fn classes_of_clauses() {
    for (clauses, serde, input, parameters) in [
        ("", "LazySimpleSerDe", "TextInputFormat", &[("serialization.format", "1")][..]),
        ("STORED AS PARQUET", "ParquetHiveSerDe", "MapredParquetInputFormat", &[("serialization.format", "1")]),
        ("STORED AS ORC", "OrcSerde", "OrcInputFormat", &[("serialization.format", "1")]),
        (
            r"ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' ESCAPED BY '\\' COLLECTION ITEMS TERMINATED BY '|'
              MAP KEYS TERMINATED BY ':' LINES TERMINATED BY '\n' NULL DEFINED AS '-'",
            "LazySimpleSerDe",
            "TextInputFormat",
            &[
                ("field.delim", ","),
                ("serialization.format", ","),
                ("escape.delim", "\\"),
                ("colelction.delim", "|"),
                ("mapkey.delim", ":"),
                ("line.delim", "\n"),
                ("serialization.null.format", "-"),
            ],
        ),
        (
            "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' WITH SERDEPROPERTIES ('ignore.malformed.json'='true')",
            "JsonSerDe",
            "TextInputFormat",
            &[("ignore.malformed.json", "true"), ("serialization.format", "1")],
        ),
        (
            "ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' STORED AS INPUTFORMAT 'a.In' OUTPUTFORMAT 'a.Out'",
            "LazySimpleSerDe",
            "a.In",
            &[("field.delim", ","), ("serialization.format", ",")],
        ),
    ] {
        let storage = storage(clauses);
        assert!(storage.serde.ends_with(serde), "{clauses}: {storage:?}");
        assert!(storage.input_format.ends_with(input), "{clauses}: {storage:?}");
        assert_eq!(storage.parameters, properties(parameters), "{clauses}");
    }
}

#[test]
fn layouts_of_clauses() {
    let read = layout(&storage("STORED AS PARQUET")).unwrap();
    assert_eq!((read.format, read.symlink), (Format::Parquet(By::Name), false));
    let symlink = storage(
        "ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
         STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat' OUTPUTFORMAT 'x'",
    );
    let read = layout(&symlink).unwrap();
    assert_eq!((read.format, read.symlink), (Format::Parquet(By::Name), true));
    assert_eq!(layout(&storage("STORED AS ORC")).unwrap().format, Format::Orc(By::Place));
    let with = |value: &str| {
        let class = "org.apache.hadoop.hive.ql.io.orc.OrcSerde";
        layout(&storage(&format!(
            "ROW FORMAT SERDE '{class}' WITH SERDEPROPERTIES ('orc.column.index.access'='{value}') STORED AS ORC"
        )))
    };
    assert_eq!(with("FALSE").unwrap().format, Format::Orc(By::Name));
    assert_eq!(
        with("no").unwrap_err().to_string(),
        "the property \"orc.column.index.access\" is 'no'; it must be true or false"
    );
    let Format::Text(text) = layout(&storage("")).unwrap().format else { panic!() };
    assert_eq!(text, LazySimple::default());
    let Format::Text(text) =
        layout(&storage(r"ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' ESCAPED BY '' NULL DEFINED AS ''"))
            .unwrap()
            .format
    else {
        panic!()
    };
    assert_eq!((text.separators[..3].to_vec(), text.escape, text.null), (vec![b'\t', 2, 3], Some(b'\\'), vec![]));
    for (delimiter, code) in [("9", 9), ("-1", 255), ("||", b'|'), ("999", b'9')] {
        let Format::Text(text) =
            layout(&storage(&format!("ROW FORMAT DELIMITED FIELDS TERMINATED BY '{delimiter}'"))).unwrap().format
        else {
            panic!()
        };
        assert_eq!(text.separators[0], code, "{delimiter}");
    }
}

#[test]
fn properties_of_serdes() {
    let read = |class: &str, pairs: &[(&str, &str)], table: &[(&str, &str)]| {
        Layout::of(Some(classes::TEXT_INPUT), Some(class), &properties(pairs), &properties(table))
    };
    let csv = read(classes::OPEN_CSV, &[], &[("skip.header.line.count", " 2 ")]).unwrap();
    assert_eq!(csv.format, Format::OpenCsv(OpenCsv { separator: ',', quote: '"', escape: '\\' }));
    assert_eq!(csv.skip_header_lines, 2);
    let csv =
        read(classes::OPEN_CSV, &[("separatorChar", ";"), ("quoteChar", "'"), ("escapeChar", "\"")], &[]).unwrap();
    assert_eq!(csv.format, Format::OpenCsv(OpenCsv { separator: ';', quote: '\'', escape: '\\' }));
    let regex = read(classes::REGEX, &[("input.regex", "(a)"), ("input.regex.case.insensitive", "TRUE")], &[]).unwrap();
    assert_eq!(regex.format, Format::Regex(RegexFormat { pattern: "(a)".into(), case_insensitive: true }));
    let json = read(
        classes::JSON_OPENX,
        &[
            ("mapping.Ts", "timestamp"),
            ("case.insensitive", "false"),
            ("dots.in.keys", "true"),
            ("timestamp.formats", "a\\,b,c"),
        ],
        &[],
    )
    .unwrap();
    let Format::Json(json) = json.format else { panic!() };
    assert_eq!(json.mappings, properties(&[("ts", "timestamp")]));
    assert!(json.dots_in_keys && !json.case_insensitive && !json.ignore_malformed);
    assert_eq!(json.timestamp_formats, ["a,b", "c"]);
}

#[test]
fn refusals_name_what_they_refuse() {
    let none = Properties::new();
    let bad_skip = properties(&[("skip.header.line.count", "-1")]);
    let csv = properties(&[("separatorChar", "\"")]);
    let encoding = properties(&[("serialization.encoding", "latin1")]);
    let wide = properties(&[("field.delim", "é")]);
    let text = Some(classes::TEXT_INPUT);
    for (input, serde, parameters, table, message) in [
        (None, None, &none, &none, "the table names neither a serde nor an input format"),
        (text, Some("x.Y"), &none, &none, "the serde 'x.Y' is not known"),
        (Some("x.In"), Some(classes::LAZY_SIMPLE), &none, &none, "the input format 'x.In' is not known"),
        (
            Some(classes::AVRO.0),
            Some(classes::AVRO.2),
            &none,
            &none,
            "the input format 'org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat' is not supported: \
             Millpond has no reader for it; Parquet, ORC, JSON and text are read",
        ),
        (
            text,
            Some(classes::ORC.2),
            &none,
            &none,
            "the serde 'org.apache.hadoop.hive.ql.io.orc.OrcSerde' does not read files of the input format \
             'org.apache.hadoop.mapred.TextInputFormat'",
        ),
        (text, Some(classes::REGEX), &none, &none, "This table does not have serde property \"input.regex\"!"),
        (text, Some(classes::OPEN_CSV), &csv, &none, "The separator, quote, and escape characters must be different!"),
        (
            text,
            None,
            &none,
            &bad_skip,
            "the property \"skip.header.line.count\" is '-1'; it must be a number of lines, 0 or more",
        ),
        (
            text,
            None,
            &encoding,
            &none,
            "the property \"serialization.encoding\" is 'latin1'; it must be UTF-8: no other charset is read",
        ),
        (text, None, &wide, &none, "the property \"field.delim\" is 'é'; it must be a character of ASCII, or its code"),
    ] {
        assert_eq!(Layout::of(input, serde, parameters, table).unwrap_err().to_string(), message);
    }
}
