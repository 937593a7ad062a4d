//! Tables of very many small objects, and partitions that lie otherwise than their table. `MILLPOND_OBJECTS` sets how many there are (20,000).

use millpond_hive::format::classes;
use millpond_query::{Partition, Run};

use crate::world::{Lake, column, columns, pool, query, run_in};

const COMMAS: &[(&str, &str)] = &[("field.delim", ",")];
const PARTITIONS: usize = 1000;
/// More objects are read, and not counted one by one.
const MAX_COUNTED: usize = 10_000;
/// What a worker has: with more than that and 256 MiB its process is ended.
const MEMORY: u64 = 64 << 20;

fn key(name: &str) -> (String, String) {
    ("db".to_owned(), name.to_owned())
}

/// `count` objects of a row each: its number, and a text.
fn grains(count: usize) -> Lake {
    let mut lake = Lake::default().table("grains", "n bigint, t string", (classes::TEXT, COMMAS), &[]);
    lake.tables.get_mut(&key("grains")).unwrap().partition_keys = vec![column("part", "int")];
    let partition =
        |part: usize| Partition { values: vec![part.to_string()], location: format!("s3://lake/grains/part={part}/") };
    lake.partitions.insert(key("grains"), (0..PARTITIONS).map(partition).collect());
    for n in 0..count {
        let object = ("lake".to_owned(), format!("grains/part={}/{n}.csv", n % PARTITIONS));
        lake.objects.insert(object, format!("{n},grain number {n:08}\n").into());
    }
    lake
}

#[tokio::test]
async fn very_many_small_objects() {
    let count = std::env::var("MILLPOND_OBJECTS").map_or(20_000, |text| text.parse().unwrap());
    let (lake, pool) = (grains(count), pool(MEMORY));
    let sum = count * (count - 1) / 2;
    let of_seven = count.saturating_sub(7).div_ceil(PARTITIONS);
    for (statement, rows, files) in [
        (
            "SELECT count(*), sum(n), count(DISTINCT part) FROM grains",
            format!("\"{count}\",\"{sum}\",\"1000\"\n"),
            count,
        ),
        ("SELECT count(*) FROM grains WHERE part = 7", format!("\"{of_seven}\"\n"), of_seven),
        ("SELECT part, n FROM grains ORDER BY n LIMIT 1", "\"0\",\"0\"\n".to_owned(), count),
    ] {
        let run = Run { statement: statement.into(), ..Run::default() };
        let given = run_in(&pool, &lake, run).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(given.rows, rows, "{statement}");
        assert_eq!(given.stats.files, files.min(MAX_COUNTED) as u64, "{statement}");
    }
}

/// A partition's format is its own; of its columns the table's are read.
#[tokio::test]
async fn partitions_that_lie_otherwise() {
    let mut lake = Lake::default().table(
        "mixed",
        "a string, b bigint",
        (classes::TEXT, COMMAS),
        &[
            ("dt=1/x", b"one,1\n"),
            ("dt=2/x", b"two|2|more\n"),
            ("dt=3/x", b"{\"b\": 3, \"a\": \"three\"}\n"),
            ("dt=4/x", b"four\n"),
            ("dt=5/x", b"five,x\n"),
        ],
    );
    lake.tables.get_mut(&key("mixed")).unwrap().partition_keys = vec![column("dt", "int")];
    let table = lake.tables[&key("mixed")].storage.clone().unwrap();
    let partition = |dt: usize| {
        let mut storage = table.clone();
        storage.location = format!("s3://lake/mixed/dt={dt}/");
        match dt {
            2 => {
                storage.columns = columns("a string, b bigint, c string");
                storage.serde_parameters.insert("field.delim".into(), "|".into());
            }
            3 => storage.serde = classes::JSON.2.into(),
            4 => storage.columns = columns("a string"),
            _ => {}
        }
        (Partition { values: vec![dt.to_string()], location: storage.location.clone() }, storage)
    };
    let (partitions, storages) = (1..=5).map(partition).unzip();
    lake.partitions.insert(key("mixed"), partitions);
    lake.storages.insert(key("mixed"), storages);
    let given = query(&lake, "SELECT a, b, dt FROM mixed ORDER BY dt").await.unwrap();
    assert_eq!(
        given.rows,
        "\"one\",\"1\",\"1\"\n\"two\",\"2\",\"2\"\n\"three\",\"3\",\"3\"\n\"four\",,\"4\"\n\"five\",,\"5\"\n"
    );
}
