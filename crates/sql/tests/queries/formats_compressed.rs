//! Text that is compressed, in all ways that names tell of, and lines that are passed over at the end.

use std::io::Write;

use millpond_hive::format::classes;
use millpond_query::{QueryError, Run};

use crate::world::{Lake, failure, pool, query, run_in};

const COMMAS: &[(&str, &str)] = &[("field.delim", ",")];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy_frames(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

fn lz4_frames(bytes: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn linked(bytes: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let info = FrameInfo::new().block_mode(BlockMode::Linked).block_size(BlockSize::Max64KB).content_checksum(true);
    lz4_frames(bytes, info)
}

fn alone(bytes: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB)
        .block_checksums(true)
        .content_size(Some(bytes.len() as u64));
    lz4_frames(bytes, info)
}

fn number(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap().to_be_bytes()
}

/// Hadoop's blocks, each of two parts where it is long enough.
fn hadoop(bytes: &[u8], part: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    for block in bytes.chunks(256 * 1024) {
        out.extend(number(block.len()));
        for raw in block.chunks(block.len() / 2 + 1) {
            let packed = part(raw);
            out.extend(number(packed.len()));
            out.extend(packed);
        }
    }
    out
}

fn hadoop_snappy(bytes: &[u8]) -> Vec<u8> {
    hadoop(bytes, |raw| snap::raw::Encoder::new().compress_vec(raw).unwrap())
}

fn hadoop_lz4(bytes: &[u8]) -> Vec<u8> {
    hadoop(bytes, lz4_flex::block::compress)
}

type Pack = fn(&[u8]) -> Vec<u8>;

const ALL: &[(&str, Pack)] = &[
    ("gz", gzip),
    ("deflate", deflate),
    ("bz2", bzip2),
    ("zst", zstd),
    ("snappy", snappy_frames),
    ("snappy", hadoop_snappy),
    ("lz4", linked),
    ("lz4", alone),
    ("lz4", hadoop_lz4),
];

fn lake(end: &str, bytes: &[u8]) -> Lake {
    Lake::default().table("t", "a string, b int", (classes::TEXT, COMMAS), &[(&format!("x.{end}"), bytes)])
}

fn run(statement: &str) -> Run {
    Run { statement: statement.into(), ..Run::default() }
}

const SUM: &str = "SELECT count(*), sum(b), min(a), max(a) FROM t";

#[tokio::test]
async fn all_are_read() {
    let lines: String = (0..200_000).map(|n| format!("bird number {},{n}\n", n * 7919 % 10_007)).collect();
    let pool = pool(64 << 20);
    for (at, (end, pack)) in ALL.iter().enumerate() {
        let given = run_in(&pool, &lake(end, &pack(lines.as_bytes())), run(SUM)).await;
        let given = given.unwrap_or_else(|error| panic!("{at} {end}: {error}"));
        assert_eq!(given.rows, "\"200000\",\"19999900000\",\"bird number 0\",\"bird number 9999\"\n", "{at} {end}");
        let one = run_in(&pool, &lake(&end.to_uppercase(), &pack(b"one,1")), run(SUM)).await.unwrap();
        assert_eq!(one.rows, "\"1\",\"1\",\"one\",\"one\"\n", "{at} {end}");
    }
}

#[tokio::test]
async fn several_in_one_object() {
    let pool = pool(64 << 20);
    for (at, (end, pack)) in ALL.iter().enumerate().filter(|(_, (end, _))| *end != "deflate") {
        let both = [pack(b"one,1\ntw"), pack(b"o,2\n")].concat();
        let given = run_in(&pool, &lake(end, &both), run(SUM)).await;
        let given = given.unwrap_or_else(|error| panic!("{at} {end}: {error}"));
        assert_eq!(given.rows, "\"2\",\"3\",\"one\",\"two\"\n", "{at} {end}");
    }
    // A frame that is passed over, which LZ4 and Zstandard share.
    let passed = [&[0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    for (end, pack) in [("lz4", alone as Pack), ("zst", zstd)] {
        let both = [passed.as_slice(), &pack(b"one,1\n"), &passed].concat();
        assert_eq!(run_in(&pool, &lake(end, &both), run(SUM)).await.unwrap().rows, "\"1\",\"1\",\"one\",\"one\"\n");
    }
}

/// Cut off anywhere they are errors that name the object.
#[tokio::test]
async fn cut_off_anywhere() {
    let (lines, pool) = ("one,1\ntwo,2\nthree,3\n".repeat(9), pool(64 << 20));
    for (at, (end, pack)) in ALL.iter().enumerate() {
        let whole = pack(lines.as_bytes());
        for cut in 1..whole.len() {
            // Ten bytes are a file of Snappy's without any chunk.
            if whole.starts_with(b"\xFF\x06\x00\x00sNaPpY") && cut == 10 {
                continue;
            }
            let error = run_in(&pool, &lake(end, &whole[..cut]), run(SUM)).await.unwrap_err().to_string();
            assert!(
                error.contains("HIVE_BAD_DATA: s3://lake/t/x.") && error.contains("no whole"),
                "{at} {end}: {error}"
            );
        }
    }
}

/// With a flipped bit they are errors that name the object, or other text where there are no checksums.
#[tokio::test]
async fn flipped_anywhere() {
    let (lines, pool) = ("one,1\ntwo,2\nthree,3\n".repeat(9), pool(64 << 20));
    for (at, (end, pack)) in ALL.iter().enumerate() {
        let whole = pack(lines.as_bytes());
        let mut errors = 0;
        for byte in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << (byte * 5 % 8);
            match run_in(&pool, &lake(end, &bytes), run(SUM)).await {
                Ok(_) => {}
                Err(QueryError::Failed(failed)) => {
                    errors += 1;
                    assert!(failed.message.contains("s3://lake/t/x."), "{at} {end} {byte}: {}", failed.message);
                }
                Err(other) => panic!("{at} {end} {byte}: {other}"),
            }
        }
        assert!(errors > 5, "{at} {end}: {errors}");
    }
}

#[tokio::test]
async fn lengths_that_lie_and_what_is_not_read() {
    let long = [&number(100 << 20)[..], &number(5), b"abcde"].concat();
    let more = [&number(3)[..], &number(8), &snap::raw::Encoder::new().compress_vec(b"abcdef").unwrap()].concat();
    let less = [&number(9)[..], &number(8), &snap::raw::Encoder::new().compress_vec(b"abcdef").unwrap()].concat();
    let legacy = [&[0x02, 0x21, 0x4C, 0x18][..], &[0; 9]].concat();
    for (end, bytes, part) in [
        ("snappy", long.as_slice(), "a block of 104857600 bytes"),
        ("lz4", &long, "a block of 104857600 bytes"),
        ("snappy", &more, "unfolds to 6 bytes, and not to the 3 that it says"),
        ("snappy", &less, "no whole snappy file"),
        ("lz4", &legacy, "the legacy format"),
        ("zst", b"plain text\n", "no whole zstd file"),
        ("bz2", b"plain text\n", "no whole bzip2 file"),
        (
            "lzo",
            b"plain text\n",
            "HIVE_UNSUPPORTED_FORMAT: s3://lake/t/x.lzo is compressed with lzo, which is not read",
        ),
        ("lz", b"plain text\n", "compressed with lz, which is not read"),
    ] {
        let words = failure(&lake(end, bytes), SUM).await;
        assert!(words.contains(part) && words.contains(&format!("s3://lake/t/x.{end}")), "{end}: {words}");
    }
}

/// Little that unfolds to 256 MB, of which a part is in memory at any time.
#[tokio::test]
async fn what_unfolds_a_thousandfold() {
    let mut line = vec![b'x'; 1 << 20];
    line.push(b'\n');
    let (text, pool) = (line.repeat(256), pool(1 << 30));
    for (end, pack) in [("bz2", bzip2 as Pack), ("zst", zstd), ("lz4", linked), ("snappy", hadoop_snappy)] {
        let given = run_in(&pool, &lake(end, &pack(&text)), run("SELECT count(*) FROM t")).await.unwrap();
        assert_eq!(given.rows, "\"256\"\n", "{end}");
    }
}

fn with_lines(header: &str, footer: &str, objects: &[(&str, &[u8])]) -> Lake {
    let mut lake = Lake::default().table("t", "a string", (classes::TEXT, COMMAS), objects);
    let table = lake.tables.get_mut(&("db".to_owned(), "t".to_owned())).unwrap();
    table.parameters.insert("skip.header.line.count".to_owned(), header.to_owned());
    table.parameters.insert("skip.footer.line.count".to_owned(), footer.to_owned());
    lake
}

#[tokio::test]
async fn lines_at_the_end_are_passed_over() {
    for (header, footer, text, rows) in [
        ("0", "1", &b"a\nb\nend\n"[..], "\"a\"\n\"b\"\n"),
        ("0", "2", b"a\nb\nend", "\"a\"\n"),
        ("0", "3", b"a\nb\nend", ""),
        ("0", "4", b"a\nb\nend\n", ""),
        ("1", "1", b"head\na\nend\n", "\"a\"\n"),
        ("1", "1", b"head\n", ""),
        ("2", "1", b"head\nhead\nend", ""),
        ("0", "1", b"a\n\n", "\"a\"\n"),
    ] {
        let given = query(&with_lines(header, footer, &[("x", text)]), "SELECT a FROM t").await.unwrap();
        assert_eq!(given.rows, rows, "{header} {footer} {text:?}");
    }
    // Of each object its own.
    let objects: [(&str, &[u8]); 3] = [("1.gz", &gzip(b"a\nend")), ("2.zst", &zstd(b"b\nend\n")), ("3", b"end\n")];
    let given = query(&with_lines("0", "1", &objects), "SELECT a FROM t ORDER BY a").await.unwrap();
    assert_eq!(given.rows, "\"a\"\n\"b\"\n");
    let many: String = (0..30_000).map(|n| format!("{n}\n")).collect();
    let lake = with_lines("10", "100", &[("x", many.as_bytes())]);
    let given = query(&lake, "SELECT count(*), max(cast(a AS int)) FROM t").await.unwrap();
    assert_eq!(given.rows, "\"29890\",\"29899\"\n");
    let words = failure(&with_lines("0", "101", &[("x", b"a\n")]), "SELECT a FROM t").await;
    assert!(words.contains("footer number exceeds the limit defined in hive.file.max.footer"), "{words}");
    let words = failure(&with_lines("0", "-1", &[("x", b"a\n")]), "SELECT a FROM t").await;
    assert!(words.contains("\"skip.footer.line.count\" is '-1'"), "{words}");
}

#[tokio::test]
async fn json_and_csv_have_ends_too() {
    let json: classes::Classes = (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::JSON_OPENX);
    let csv: classes::Classes = (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::OPEN_CSV);
    for (classes, text) in [(json, &b"{\"a\":\"1\"}\nno json"[..]), (csv, b"\"1\"\nthe end, of it\n")] {
        let mut lake = Lake::default().table("t", "a string", (classes, &[]), &[("x", text)]);
        let table = lake.tables.get_mut(&("db".to_owned(), "t".to_owned())).unwrap();
        table.parameters.insert("skip.footer.line.count".to_owned(), "1".to_owned());
        assert_eq!(query(&lake, "SELECT a FROM t").await.unwrap().rows, "\"1\"\n", "{}", classes.2);
    }
}
