use proptest::prelude::*;

use super::*;

fn table(sql: &str) -> CreateTable {
    match parse(sql) {
        Ok(Statement::CreateTable(table)) => *table,
        other => panic!("{sql}: {other:?}"),
    }
}

fn change(sql: &str) -> Change {
    match parse(sql) {
        Ok(Statement::AlterTable { change, .. }) => change,
        other => panic!("{sql}: {other:?}"),
    }
}

fn columns(columns: &[Column]) -> String {
    let shown: Vec<_> = columns
        .iter()
        .map(|c| format!("{} {}{}", c.name, c.kind, c.comment.as_ref().map_or(String::new(), |c| format!(" '{c}'"))))
        .collect();
    shown.join(", ")
}

#[test]
fn a_table_of_text() {
    let table = table(
        r#"CREATE EXTERNAL TABLE IF NOT EXISTS Yard.`Crane Moves` (
            `Move ID` int COMMENT 'of the day',
            `berth` string, -- where
            lifted TIMESTAMP,
            weight decimal(9,3)
        )
        COMMENT "what the cranes did"
        PARTITIONED BY (`day` string COMMENT 'yyyy-mm-dd', shift int)
        ROW FORMAT DELIMITED
          FIELDS TERMINATED BY ',' ESCAPED BY '\\'
          COLLECTION ITEMS TERMINATED BY '\002'
          MAP KEYS TERMINATED BY '\u0003'
          LINES TERMINATED BY '\n'
          NULL DEFINED AS ''
        STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
          OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
        LOCATION 's3://harbour/moves/hive/'
        TBLPROPERTIES ('skip.header.line.count'='1', "owner" = 'it''s')"#
            .replace("'it''s'", r"'it\'s'")
            .as_str(),
    );
    assert!(table.if_not_exists);
    assert_eq!(table.name.to_string(), "yard.crane moves");
    assert_eq!(
        columns(&table.columns),
        "move id int 'of the day', berth string, lifted timestamp, weight decimal(9,3)"
    );
    assert_eq!(columns(&table.partitioned_by), "day string 'yyyy-mm-dd', shift int");
    assert_eq!(table.comment.as_deref(), Some("what the cranes did"));
    let text = |s: &str| Some(s.to_owned());
    let Some(RowFormat::Delimited(format)) = table.row_format else { panic!() };
    assert_eq!(
        format,
        Delimited {
            fields: text(","),
            escape: text("\\"),
            items: text("\u{2}"),
            keys: text("\u{3}"),
            lines: text("\n"),
            null: text("")
        }
    );
    assert!(
        matches!(table.stored_as, Some(StoredAs::Classes { input, .. }) if input.ends_with("SymlinkTextInputFormat"))
    );
    assert_eq!(table.location.as_deref(), Some("s3://harbour/moves/hive/"));
    assert_eq!(table.properties["owner"], "it's");
}

#[test]
fn a_table_of_access_logs() {
    let table = table(
        r#"create external table logs.requests (`bucket_owner` STRING, bucket STRING, `time` STRING, request STRING)
        ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.RegexSerDe'
        WITH SERDEPROPERTIES (
          'input.regex'='([^ ]*) ([^ ]*) \\[(.*?)\\] (\"[^\"]*\"|-)(?: ([^ ]*))?.*$',
          'serialization.format' = '1')
        LOCATION 's3://logs/access/';"#,
    );
    assert_eq!(table.row_format, Some(RowFormat::Serde("org.apache.hadoop.hive.serde2.RegexSerDe".into())));
    assert_eq!(table.serde_properties["input.regex"], r#"([^ ]*) ([^ ]*) \[(.*?)\] ("[^"]*"|-)(?: ([^ ]*))?.*$"#);
}

#[test]
fn a_table_of_nested_columns_and_projection() {
    let table = table(
        "CREATE EXTERNAL TABLE quotes (
           venue struct<name:string, `open`:boolean, tags:array<string>>,
           levels array < struct < price : double , size : bigint > >,
           extra map<string,string>, plain int
         )
         PARTITIONED BY (pair string, year int, month int)
         STORED AS PARQUET
         TBLPROPERTIES (
           'projection.enabled'='true', 'projection.year.type'='integer', 'projection.year.range'='2019,2031',
           'projection.pair.type'='enum', 'projection.pair.values'='eurusd,usdjpy',
           'storage.location.template'='s3://fx/quotes/${pair}/${year}/${month}')
         LOCATION 's3://fx/quotes/'",
    );
    assert_eq!(
        columns(&table.columns),
        "venue struct<name:string,open:boolean,tags:array<string>>, levels array<struct<price:double,size:bigint>>, \
         extra map<string,string>, plain int"
    );
    assert_eq!(columns(&table.partitioned_by), "pair string, year int, month int");
    assert_eq!(table.properties["storage.location.template"], "s3://fx/quotes/${pair}/${year}/${month}");
    assert_eq!(table.stored_as, Some(StoredAs::Parquet));
}

#[test]
fn clauses_in_either_order() {
    let one = table("CREATE EXTERNAL TABLE t (a int) STORED AS ORC LOCATION 's3://b/' TBLPROPERTIES ('x'='y')");
    let other = table("CREATE EXTERNAL TABLE t (a int) TBLPROPERTIES ('x'='y') LOCATION 's3://b/' STORED AS ORC");
    assert_eq!(one, other);
    let buckets =
        table("CREATE EXTERNAL TABLE t (a int) CLUSTERED BY (a) INTO 8 BUCKETS STORED AS ORC").buckets.unwrap();
    assert_eq!((buckets.columns, buckets.count), (vec!["a".to_owned()], 8));
    let apart = table(
        "CREATE EXTERNAL TABLE t (a int) ROW FORMAT SERDE 'x' STORED AS TEXTFILE WITH SERDEPROPERTIES ('k'='v') LOCATION 's'",
    );
    assert_eq!(apart.serde_properties["k"], "v");
}

#[test]
fn escapes_of_strings() {
    for (text, value) in [
        (r"\001", "\u{1}"),
        (r"\177", "\u{7f}"),
        (r"\200", "200"),
        (r"\u0001", "\u{1}"),
        (r"\u00e9", "é"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83dx", "ud83dx"),
        (r"\u+123", "u+123"),
        (r"\n\r\t\b\Z\0", "\n\r\t\u{8}\u{1a}\0"),
        (r"\\d+", r"\d+"),
        (r#"\'\""#, "'\""),
        (r"\%\_", r"\%\_"),
        (r"\.\[", ".["),
        ("plain é", "plain é"),
    ] {
        assert_eq!(lex::unescape(text), value, "{text}");
    }
}

#[test]
fn databases() {
    assert_eq!(
        parse(
            "CREATE SCHEMA IF NOT EXISTS Harbour COMMENT 'c' LOCATION 's3://b/p' WITH DBPROPERTIES ('a'='b', 'a'='c')"
        )
        .unwrap(),
        Statement::CreateDatabase(CreateDatabase {
            name: "harbour".into(),
            if_not_exists: true,
            comment: Some("c".into()),
            location: Some("s3://b/p".into()),
            properties: [("a".to_owned(), "c".to_owned())].into(),
        })
    );
    for (sql, cascade, if_exists) in [
        ("DROP DATABASE d", false, false),
        ("drop schema if exists d cascade;", true, true),
        ("DROP DATABASE `d` RESTRICT ;; -- done", false, false),
    ] {
        assert_eq!(parse(sql).unwrap(), Statement::DropDatabase { name: "d".into(), if_exists, cascade }, "{sql}");
    }
    assert!(matches!(parse("ALTER DATABASE d SET DBPROPERTIES ('k'='v')"), Ok(Statement::AlterDatabase { .. })));
}

#[test]
fn partitions() {
    let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    assert_eq!(
        change(
            "ALTER TABLE d.t ADD IF NOT EXISTS PARTITION (dt='2030-01-02', Hour = 5) LOCATION 's3://b/x'
             PARTITION (dt=date '2030-01-03', hour=-6)"
        ),
        Change::AddPartitions {
            if_not_exists: true,
            partitions: vec![
                (vec![pair("dt", "2030-01-02"), pair("hour", "5")], Some("s3://b/x".into())),
                (vec![pair("dt", "2030-01-03"), pair("hour", "-6")], None),
            ],
        }
    );
    let test = |key: &str, op, value: &str| PartitionTest { key: key.into(), op, value: value.into() };
    assert_eq!(
        change("ALTER TABLE t DROP IF EXISTS PARTITION (dt >= '2030', dt < '2031'), PARTITION (n <> 1.5)"),
        Change::DropPartitions {
            if_exists: true,
            filters: vec![
                vec![test("dt", Comparison::GreaterOrEqual, "2030"), test("dt", Comparison::Less, "2031")],
                vec![test("n", Comparison::NotEqual, "1.5")],
            ],
        }
    );
    assert_eq!(
        change("ALTER TABLE t PARTITION (a='1') RENAME TO PARTITION (a='2')"),
        Change::RenamePartition { from: vec![pair("a", "1")], to: vec![pair("a", "2")] }
    );
    assert_eq!(
        change("ALTER TABLE t PARTITION (a='1') SET LOCATION 's3://b/'"),
        Change::SetLocation { partition: Some(vec![pair("a", "1")]), location: "s3://b/".into() }
    );
}

#[test]
fn changes_of_tables() {
    for (sql, expected) in [
        ("ALTER TABLE t ADD COLUMNS (a int comment 'x', b string)", "AddColumns"),
        ("ALTER TABLE t PARTITION (p=1) ADD COLUMNS (a int)", "AddColumns"),
        ("ALTER TABLE t REPLACE COLUMNS (a int)", "ReplaceColumns"),
        ("ALTER TABLE t CHANGE COLUMN a b bigint COMMENT 'c' AFTER d", "ChangeColumn"),
        ("ALTER TABLE t CHANGE a b bigint FIRST RESTRICT", "ChangeColumn"),
        ("ALTER TABLE t SET LOCATION 's3://b/'", "SetLocation"),
        ("ALTER TABLE t SET TBLPROPERTIES ('a'='b')", "SetProperties"),
    ] {
        assert!(format!("{:?}", change(sql)).starts_with(expected), "{sql}");
    }
}

#[test]
fn utilities() {
    let name = |name: &str| Name { database: None, name: name.into() };
    let of = |database: &str, name: &str| Name { database: Some(database.into()), name: name.into() };
    let text = |t: &str| Some(t.to_owned());
    for (sql, expected) in [
        ("MSCK REPAIR TABLE d.t", Statement::Repair { table: of("d", "t") }),
        ("SHOW DATABASES", Statement::ShowDatabases { like: None }),
        ("show schemas like 'a*|b*'", Statement::ShowDatabases { like: text("a*|b*") }),
        ("SHOW TABLES", Statement::ShowTables { database: None, like: None }),
        ("SHOW TABLES IN d '*x'", Statement::ShowTables { database: text("d"), like: text("*x") }),
        ("SHOW VIEWS FROM d LIKE 'v*'", Statement::ShowViews { database: text("d"), like: text("v*") }),
        ("SHOW PARTITIONS `T`", Statement::ShowPartitions { table: name("t") }),
        ("SHOW COLUMNS IN d.t", Statement::ShowColumns { table: of("d", "t") }),
        ("SHOW COLUMNS FROM t IN d", Statement::ShowColumns { table: of("d", "t") }),
        ("SHOW TBLPROPERTIES t", Statement::ShowProperties { table: name("t"), property: None }),
        ("SHOW TBLPROPERTIES t('p')", Statement::ShowProperties { table: name("t"), property: text("p") }),
        ("SHOW CREATE TABLE t", Statement::ShowCreateTable { table: name("t") }),
        ("SHOW CREATE VIEW \"v\"", Statement::ShowCreateView { view: name("v") }),
        ("DROP TABLE IF EXISTS `d`.`t`", Statement::DropTable { table: of("d", "t"), if_exists: true }),
        ("DROP VIEW \"d\".v", Statement::DropView { view: of("d", "v"), if_exists: false }),
    ] {
        assert_eq!(parse(sql).unwrap(), expected, "{sql}");
    }
    for (sql, detail, column, view) in [
        ("DESCRIBE t", Detail::Columns, "", false),
        ("DESC EXTENDED t", Detail::Extended, "", false),
        ("DESCRIBE FORMATTED d.t PARTITION (a='1') col", Detail::Formatted, "col", false),
        ("describe formatted", Detail::Columns, "", false),
        ("DESCRIBE t c.'$elem$'.x", Detail::Columns, "c.$elem$.x", false),
        ("DESCRIBE VIEW v", Detail::Columns, "", true),
        ("DESCRIBE view", Detail::Columns, "", false),
    ] {
        let Ok(Statement::Describe(d)) = parse(sql) else { panic!("{sql}: {:?}", parse(sql)) };
        assert_eq!((d.detail, d.column.join(".").as_str(), d.view), (detail, column, view), "{sql}");
    }
}

#[test]
fn views_keep_their_text() {
    let Ok(Statement::CreateView(view)) =
        parse("CREATE OR REPLACE VIEW \"d\".v (a, \"B\") AS\n SELECT 'it''s;', \"c\" -- ;\n FROM t /* x */ ; ;")
    else {
        panic!()
    };
    assert_eq!(view.name.to_string(), "d.v");
    assert!(view.or_replace);
    assert_eq!(view.columns, ["a", "b"]);
    assert_eq!(view.query, "SELECT 'it''s;', \"c\" -- ;\n FROM t /* x */");
}

#[test]
fn refusals_are_athenas_reasons() {
    for (sql, message) in [
        ("", "the statement is empty"),
        (" -- nothing\n;", "the statement is empty"),
        (
            "SELEC 1",
            "FAILED: ParseException line 1:0 mismatched input 'SELEC' expecting one of CREATE, DROP, ALTER, MSCK, SHOW, DESCRIBE",
        ),
        ("DROP TABLE", "FAILED: ParseException line 1:10 mismatched input '<EOF>' expecting the name of a table"),
        ("SHOW DATABASES; SHOW TABLES", "Only one sql statement is allowed. Got: SHOW DATABASES; SHOW TABLES"),
        (
            "CREATE VIEW v AS SELECT 1; SELECT 2",
            "Only one sql statement is allowed. Got: CREATE VIEW v AS SELECT 1; SELECT 2",
        ),
        ("CREATE VIEW v AS ;", "FAILED: ParseException line 1:17 mismatched input '<EOF>' expecting a query"),
        (
            "CREATE EXTERNAL TABLE t (\n  date string)",
            "FAILED: ParseException line 2:2 cannot recognize input near 'date': it is a reserved word; as a name it stands in backticks: `date`",
        ),
        (
            "CREATE EXTERNAL TABLE t (\"a\" int)",
            "FAILED: ParseException line 1:25 mismatched input '\"a\"' expecting the name of a column; names in DDL are quoted with backticks, not with double quotes",
        ),
        (
            "CREATE EXTERNAL TABLE t (a int) LOCATION \u{2018}s3://b/\u{2019}",
            "FAILED: ParseException line 1:41 typographic quote \u{2018}; write straight quotes: ' \" `",
        ),
        ("CREATE EXTERNAL TABLE t (a strng)", "FAILED: ParseException line 1:27 type 'strng' is not known"),
        (
            "CREATE EXTERNAL TABLE t (a int,\n m map<string>)",
            "FAILED: ParseException line 2:13 '>' found, ',' expected",
        ),
        ("CREATE EXTERNAL TABLE t (a int, A string)", "FAILED: SemanticException line 1:32 duplicate column name: a"),
        (
            "CREATE EXTERNAL TABLE t (a int) PARTITIONED BY (a int)",
            "FAILED: SemanticException line 1:32 column repeated in partitioning columns: a",
        ),
        (
            "CREATE TABLE t (a int)",
            "FAILED: ParseException line 1:12 CREATE TABLE without EXTERNAL is not supported: the tables of Athena that are not Iceberg's are external; write CREATE EXTERNAL TABLE ... LOCATION 's3://...'",
        ),
        (
            "CREATE TABLE t (a int) PARTITIONED BY (day(a)) LOCATION 's' TBLPROPERTIES ('table_type'='iceberg')",
            "FAILED: ParseException line 1:12 CREATE TABLE of an Iceberg table is not supported here yet; CREATE EXTERNAL TABLE takes Parquet, ORC, JSON and text",
        ),
        (
            "ALTER TABLE a RENAME TO b",
            "FAILED: ParseException line 1:23 ALTER TABLE RENAME TO is not supported: Athena renames no tables; create it anew, and drop the old one",
        ),
        (
            "CREATE EXTERNAL TABLE t (a int) STORED AS CSV",
            "FAILED: ParseException line 1:42 mismatched input 'CSV' expecting one of TEXTFILE, PARQUET, ORC, AVRO, SEQUENCEFILE, RCFILE, JSONFILE, ION, INPUTFORMAT",
        ),
        (
            "CREATE EXTERNAL TABLE t (a int) LOCATION 's' LOCATION 's'",
            "FAILED: ParseException line 1:45 the clause LOCATION stands twice",
        ),
        ("CREATE EXTERNAL TABLE t (a int) LOCATION 's", "FAILED: ParseException line 1:41 a string has no end"),
        ("CREATE EXTERNAL TABLE t (a int) /* x", "FAILED: ParseException line 1:32 a comment has no end"),
        ("DROP TABLE t#", "FAILED: ParseException line 1:12 character '#' cannot stand here"),
        ("SHOW FUNCTIONS", "FAILED: ParseException line 1:14 SHOW FUNCTIONS is not supported"),
        (
            "DROP TABLE a.b.c",
            "FAILED: ParseException line 1:14 mismatched input '.' expecting the end of the statement",
        ),
        (
            "CREATE EXTERNAL TABLE t (a int) ROW FORMAT DELIMITED LINES TERMINATED BY '|'",
            "FAILED: ParseException line 1:53 LINES TERMINATED BY must be newline '\\n': Hive reads no other end of lines",
        ),
    ] {
        assert_eq!(parse(sql).unwrap_err().to_string(), message, "{sql}");
    }
    let long = " ".repeat(MAX_STATEMENT_BYTES + 1);
    assert_eq!(parse(&long).unwrap_err().to_string(), "a statement has at most 262144 bytes, this one has 262145");
}

#[test]
fn kinds() {
    for (sql, kind) in [
        ("SELECT 1", Kind::Query(QueryKind::Select)),
        ("-- hello\n/* there */ with a as (select 1) select * from a", Kind::Query(QueryKind::With)),
        ("VALUES 1", Kind::Query(QueryKind::Values)),
        ("TABLE t", Kind::Query(QueryKind::Table)),
        ("(SELECT 1)", Kind::Query(QueryKind::Parenthesis)),
        ("EXPLAIN ANALYZE SELECT 1", Kind::Query(QueryKind::Explain)),
        ("CREATE TABLE t WITH (format='PARQUET', x = 'as') AS SELECT 1", Kind::CreateTableAs),
        ("create table if not exists d.\"as\" as (select 1)", Kind::CreateTableAs),
        ("CREATE TABLE t (a int) STORED AS PARQUET", Kind::Ddl),
        ("CREATE EXTERNAL TABLE t (a int)", Kind::Ddl),
        ("CREATE VIEW v AS SELECT 1", Kind::Ddl),
        ("INSERT INTO t SELECT 1", Kind::Insert),
        ("UNLOAD (SELECT 1) TO 's3://b/'", Kind::Unload),
        ("MERGE INTO t USING u ON 1=1", Kind::Iceberg("MERGE")),
        ("PREPARE p FROM SELECT 1", Kind::Prepare),
        ("EXECUTE p", Kind::Execute),
        ("DEALLOCATE PREPARE p", Kind::Deallocate),
        ("DESC t", Kind::Ddl),
        ("GRANT x", Kind::Other("GRANT".into())),
        ("?", Kind::Other("?".into())),
    ] {
        assert_eq!(kind_of(sql).unwrap(), kind, "{sql}");
    }
    assert!(kind_of("  -- x").is_err());
    assert_eq!(single(" select ';' ; -- x\n;").unwrap(), "select ';'");
    assert_eq!(
        single("select 1; select 2").unwrap_err().to_string(),
        "Only one sql statement is allowed. Got: select 1; select 2"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(
        sql in "(CREATE|EXTERNAL|TABLE|ALTER|DROP|SHOW|PARTITION|VIEW|AS|t|`x`|'s'|\"q\"|int|[(),.;=<> \n'`\"\\\\-]){0,16}"
    ) {
        let _ = (parse(&sql), kind_of(&sql), single(&sql));
    }

    #[test]
    fn strings_come_back(text in "[\\PC\n\t\\\\'\"]{0,12}") {
        let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
        let sql = format!("SHOW DATABASES LIKE '{escaped}'");
        prop_assert_eq!(parse(&sql).unwrap(), Statement::ShowDatabases { like: Some(text) });
    }
}
