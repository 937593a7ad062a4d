//! Text: ragged rows, bytes that are no text, headers, compressions.

use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};
use millpond_hive::format::classes;
use millpond_query::Run;

use crate::world::{Lake, failure, pool, query, run_in};

const COMMAS: &[(&str, &str)] = &[("field.delim", ",")];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn rows_that_are_ragged_or_no_text() {
    let delimiters: &[(&str, &str)] = &[
        ("field.delim", "|"),
        ("collection.delim", ","),
        ("mapkey.delim", ":"),
        ("escape.delim", "\\"),
        ("serialization.null.format", "-"),
    ];
    let lake = Lake::default()
        .table("ragged", "a string, b int, c int", (classes::TEXT, COMMAS), &[("x", b"one\ntwo,2,3,4\n\nthree,3\r\n")])
        .table("bytes", "a string, b int", (classes::TEXT, COMMAS), &[("x", b"\xffowl\xc3,7\n")])
        .table(
            "nested",
            "a string, l array<int>, m map<string,int>, s struct<x:int,y:string>",
            (classes::TEXT, delimiters),
            &[("x", b"a\\|b|1,-,3|k:1,j:2|7,z\n-|-|-|-\n")],
        );
    for (statement, rows) in [
        ("SELECT * FROM ragged", "\"one\",,\n\"two\",\"2\",\"3\"\n\"\",,\n\"three\",\"3\",\n"),
        ("SELECT * FROM bytes", "\"\u{FFFD}owl\u{FFFD}\",\"7\"\n"),
        ("SELECT a, l, m, s FROM nested", "\"a|b\",\"[1, null, 3]\",\"{k=1, j=2}\",\"{x=7, y=z}\"\n,,,\n"),
    ] {
        assert_eq!(query(&lake, statement).await.unwrap().rows, rows, "{statement}");
    }
}

#[tokio::test]
async fn compressions_by_the_ends_of_names() {
    let members = [gzip(b"head,0\na,1\nb"), gzip(b",2\n"), gzip(b"")].concat();
    let mut lake = Lake::default()
        .table(
            "headed",
            "a string, b int",
            (classes::TEXT, COMMAS),
            &[
                ("1.gz", &members),
                ("2.deflate", &deflate(b"head,0\nc,3")),
                ("3.csv", b"head,0\nd,4\n"),
                ("4.csv", b"head"),
            ],
        )
        .table("cut", "a string", (classes::TEXT, COMMAS), &[("x.deflate", &deflate(&[b'a'; 999])[..9])])
        .table(
            "more",
            "a string",
            (classes::TEXT, COMMAS),
            &[("x.deflate", &[deflate(b"a\n"), b"b".to_vec()].concat())],
        )
        .table("no", "a string", (classes::TEXT, COMMAS), &[("x.gz", b"plain text\n")])
        .table("other", "a string", (classes::TEXT, COMMAS), &[("x.lzo", b"LZO")]);
    let headed = lake.tables.get_mut(&("db".to_owned(), "headed".to_owned())).unwrap();
    headed.parameters.insert("skip.header.line.count".to_owned(), "1".to_owned());
    let rows = query(&lake, "SELECT a, b FROM headed ORDER BY b").await.unwrap().rows;
    assert_eq!(rows, "\"a\",\"1\"\n\"b\",\"2\"\n\"c\",\"3\"\n\"d\",\"4\"\n");
    for (table, parts) in [
        ("cut", ["s3://lake/cut/x.deflate is no whole deflate file", ""]),
        ("more", ["s3://lake/more/x.deflate is no whole deflate file", "bytes follow its end"]),
        ("no", ["s3://lake/no/x.gz is no whole gzip file", ""]),
        ("other", ["other/x.lzo is compressed with lzo", "HIVE_UNSUPPORTED_FORMAT"]),
    ] {
        let words = failure(&lake, &format!("SELECT * FROM {table}")).await;
        assert!(parts.iter().all(|part| words.contains(part)), "{table}: {words}");
    }
}

/// A quarter of a megabyte of gzip unfolds to 256 MB, of which a part is in memory at any time.
#[tokio::test]
async fn what_unfolds_a_thousandfold() {
    let mut line = vec![b'x'; 1 << 20];
    line.push(b'\n');
    let long = vec![b'y'; 130 << 20];
    let lake = Lake::default()
        .table("many", "a string", (classes::TEXT, COMMAS), &[("x.gz", &gzip(&line.repeat(256)))])
        .table(
            "long",
            "a string",
            (classes::TEXT, COMMAS),
            &[("x.gz", &gzip(&[b"short\n", long.as_slice()].concat()))],
        );
    let pool = pool(1 << 30);
    let run = |statement: &str| Run { statement: statement.into(), ..Run::default() };
    let given = run_in(&pool, &lake, run("SELECT count(*) FROM many")).await.unwrap();
    assert_eq!(given.rows, "\"256\"\n");
    let words = run_in(&pool, &lake, run("SELECT count(*) FROM long")).await.unwrap_err().to_string();
    assert!(words.contains("s3://lake/long/x.gz line 2 has more than"), "{words}");
}

/// Each part says nothing of how much it unfolds to: room for the whole block each time would be a terabyte of zeros.
#[tokio::test]
async fn a_block_of_very_many_parts() {
    const PARTS: u32 = 20_000;
    let block = |claimed: u32| {
        let mut bytes = claimed.to_be_bytes().to_vec();
        (0..PARTS).for_each(|_| bytes.extend([0, 0, 0, 2, 0x10, b'a']));
        bytes
    };
    let lake = Lake::default().table("whole", "a string", (classes::TEXT, COMMAS), &[("x.lz4", &block(PARTS))]).table(
        "cut",
        "a string",
        (classes::TEXT, COMMAS),
        &[("x.lz4", &block(64 << 20))],
    );
    assert_eq!(query(&lake, "SELECT length(a) FROM whole").await.unwrap().rows, "\"20000\"\n");
    let words = failure(&lake, "SELECT length(a) FROM cut").await;
    assert!(words.contains("HIVE_BAD_DATA: s3://lake/cut/x.lz4 is no whole"), "{words}");
}
