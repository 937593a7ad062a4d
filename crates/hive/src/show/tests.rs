use proptest::prelude::*;

use super::*;
use crate::ddl::{Statement, parse};
use crate::types::Type;

fn table(sql: &str) -> Table {
    match parse(sql) {
        Ok(Statement::CreateTable(table)) => Table::of(&table, "default"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn a_table_by_its_serde() {
    let table = table(
        r#"create external table logs.hits (`who` string comment 'it\'s', n int) comment 'c' partitioned by (`day` string, h int)
        clustered by (n) into 4 buckets
        row format serde 'org.apache.hadoop.hive.serde2.RegexSerDe' with serdeproperties ('input.regex'='(\\d+) \"(.*)\"')
        location 's3://b/p/' tblproperties ('a'='b', 'c'='')"#,
    );
    assert_eq!(
        create_table(&table).join("\n"),
        r#"CREATE EXTERNAL TABLE `hits`(
  `who` string COMMENT 'it\'s', 
  `n` int)
COMMENT 'c'
PARTITIONED BY ( 
  `day` string, 
  `h` int)
CLUSTERED BY ( 
  `n`) 
INTO 4 BUCKETS
ROW FORMAT SERDE 
  'org.apache.hadoop.hive.serde2.RegexSerDe' 
WITH SERDEPROPERTIES ( 
  'input.regex'='(\\d+) "(.*)"') 
STORED AS INPUTFORMAT 
  'org.apache.hadoop.mapred.TextInputFormat' 
OUTPUTFORMAT 
  'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION
  's3://b/p/'
TBLPROPERTIES (
  'a'='b', 
  'c'='')"#
    );
}

#[test]
fn a_table_by_its_delimiters() {
    let table = table(
        r"create external table t (a int) row format delimited fields terminated by '\t' escaped by '\\'
        collection items terminated by '\002' location 's3://b/'",
    );
    assert_eq!(
        create_table(&table)[2..7],
        [
            "ROW FORMAT DELIMITED ",
            r"  FIELDS TERMINATED BY '\t' ",
            r"  ESCAPED BY '\\' ",
            r"  COLLECTION ITEMS TERMINATED BY '\u0002' ",
            "STORED AS INPUTFORMAT "
        ]
    );
}

#[test]
fn descriptions() {
    let table =
        table("create external table t (a int comment 'x\ny', b string) partitioned by (d date) location 's3://b/'");
    let blank = "                    ";
    assert_eq!(
        describe(&table),
        [
            "a                   \tint                 \tx y                 ".to_owned(),
            format!("b                   \tstring              \t{blank}"),
            format!("d                   \tdate                \t{blank}"),
            "\t \t ".to_owned(),
            "# Partition Information\t \t ".to_owned(),
            "# col_name            \tdata_type           \tcomment             ".to_owned(),
            "\t \t ".to_owned(),
            format!("d                   \tdate                \t{blank}"),
        ]
    );
    assert_eq!(describe_column(&table.columns[1])[2], format!("b                   \tstring              \t{blank}"));
    assert!(
        describe_extended(&table)
            .last()
            .unwrap()
            .starts_with("Detailed Table Information\tTable(tableName:t, dbName:default,")
    );
    let formatted = describe_formatted(&table);
    assert!(formatted.contains(&"Location:           \ts3://b/             \t ".to_owned()), "{formatted:#?}");
    assert_eq!(show_columns(&table)[2], "d                   ");
    assert_eq!(show_properties(&table, Some("x")), ["Table default.t does not have property: x"]);
}

#[test]
fn views_parse_back() {
    let name = Name { database: Some("d".into()), name: "v x".into() };
    let lines = create_view(&name, "SELECT 1\nFROM t");
    assert_eq!(lines, ["CREATE VIEW \"d\".\"v x\" AS", "SELECT 1", "FROM t"]);
    assert!(matches!(parse(&lines.join("\n")), Ok(Statement::CreateView(view)) if view.name == name));
}

#[test]
fn filters_of_names() {
    for (pattern, name, through) in [
        ("*", "anything", true),
        ("fl*", "flights", true),
        ("FL*|*x", "tax", true),
        ("fl", "flights", false),
        ("a.c", "abc", true),
        ("[ab]*", "b1", true),
        ("", "", true),
    ] {
        assert_eq!(Filter::parse(pattern).unwrap().matches(name), through, "{pattern} {name}");
    }
    assert_eq!(
        Filter::parse("(?=a)").unwrap_err().to_string(),
        "the regular expression '(?=a)' cannot be used: position 0: lookahead (?=...) is not supported"
    );
    assert!(Filter::parse("[").is_err());
}

fn text() -> impl Strategy<Value = String> {
    "[\\PC\n\t\\\\'\"`\u{1}\u{7f}\u{85}]{0,8}"
}

fn column() -> impl Strategy<Value = (String, Type, Option<String>)> {
    ("[a-z0-9_ `é.-]{1,8}", crate::types::any_type(), proptest::option::of(text()))
}

prop_compose! {
    fn any_table()(
        columns in proptest::collection::vec(column(), 1..6),
        comment in proptest::option::of(text()),
        properties in proptest::collection::btree_map(text(), text(), 0..4),
        parameters in proptest::collection::btree_map(text(), text(), 0..3),
        delimited in proptest::option::of((text(), proptest::option::of(text()), proptest::option::of(text()))),
        location in proptest::option::of(text()),
        keys in 0usize..3,
        bucketed in any::<bool>(),
    ) -> Table {
        let mut seen = std::collections::HashSet::new();
        let mut columns: Vec<Column> = columns
            .into_iter()
            .filter(|(name, ..)| seen.insert(name.clone()))
            .map(|(name, kind, comment)| Column { name, kind: kind.to_string(), comment })
            .collect();
        let partition_keys = columns.split_off(columns.len().saturating_sub(keys).max(1));
        let (input, output, serde) = classes::TEXT;
        let mut storage = Storage {
            input_format: input.into(), output_format: output.into(), serde: serde.into(), parameters: parameters.clone()
        };
        match delimited {
            Some((fields, escape, null)) => {
                storage.parameters = Properties::new();
                storage.parameters.extend([
                    (property::FIELD.to_owned(), fields.clone()), (property::SERIALIZATION.to_owned(), fields)
                ]);
                storage.parameters.extend(escape.map(|e| (property::ESCAPE.to_owned(), e)));
                storage.parameters.extend(null.map(|n| (property::NULL.to_owned(), n)));
            }
            None => drop(storage.parameters.insert(property::SERIALIZATION.into(), "1".into())),
        }
        let buckets = bucketed.then(|| Buckets { columns: vec![columns[0].name.clone()], count: 7 });
        Table {
            database: "default".into(), name: "t x".into(), table_type: "EXTERNAL_TABLE".into(), columns, partition_keys, comment,
            buckets, storage, location, properties,
        }
    }
}

proptest! {
    #[test]
    fn what_is_shown_parses_back(table in any_table()) {
        let sql = create_table(&table).join("\n");
        let Ok(Statement::CreateTable(parsed)) = parse(&sql) else { panic!("{sql}: {:?}", parse(&sql)) };
        prop_assert_eq!(Table::of(&parsed, "default"), table);
    }
}
