//! Tables of many folders: they are listed by what they are in, where that may be listed.

use bytes::Bytes;
use millpond_hive::format::classes;
use millpond_query::Partition;

use crate::world::{Lake, columns, query};

/// Days with a row each, in a bucket; some elsewhere, some empty, two in one folder, one an object by itself.
fn days(bucket: &str, count: usize) -> Lake {
    let mut lake = Lake::default().table("days", "n int", (classes::TEXT, &[("field.delim", ",")]), &[]);
    let key = ("db".to_owned(), "days".to_owned());
    lake.tables.get_mut(&key).unwrap().partition_keys = columns("d string");
    let mut put = |key: String, text: &'static [u8]| {
        lake.objects.insert((bucket.to_owned(), key), Bytes::from_static(text));
    };
    let mut partitions = Vec::new();
    for n in 0..count {
        let (folder, slash) = (format!("days/d={n:03}"), if n % 2 == 0 { "/" } else { "" });
        partitions
            .push(Partition { values: vec![format!("{n:03}")], location: format!("s3://{bucket}/{folder}{slash}") });
        put(format!("{folder}/a"), b"1\n");
        put(format!("{folder}/_hidden"), b"7\n");
        put(format!("{folder}x/a"), b"7\n");
    }
    put("days/elsewhere/d=x/a".into(), b"10\n");
    put("days/d=alone".into(), b"100\n");
    for (value, folder) in [("x", "days/elsewhere/d=x/"), ("e", "days/d=e"), ("t", "days/d=000"), ("f", "days/d=alone")]
    {
        let location = format!("s3://{bucket}/{folder}");
        partitions.push(Partition { values: vec![value.into()], location });
    }
    lake.partitions.insert(key, partitions);
    lake
}

#[tokio::test]
async fn many_folders() {
    for (bucket, count) in [("lake", 5), ("lake", 100), ("narrow", 5), ("narrow", 100)] {
        let given = query(&days(bucket, count), "SELECT sum(n), count(DISTINCT d) FROM days").await.unwrap();
        let expected = format!("\"{}\",\"{}\"\n", count + 111, count + 3);
        assert_eq!(given.rows, expected, "{bucket} {count}");
    }
}

#[tokio::test]
async fn an_object_alone_in_a_bucket() {
    let mut lake = days("lake", 100);
    let place = Partition { values: vec!["one".into()], location: "s3://extra/data/part.csv".into() };
    lake.partitions.get_mut(&("db".to_owned(), "days".to_owned())).unwrap().push(place);
    lake.objects.insert(("extra".into(), "data/part.csv".into()), Bytes::from_static(b"1000\n"));
    assert_eq!(query(&lake, "SELECT sum(n) FROM days").await.unwrap().rows, "\"1211\"\n");
}

#[tokio::test]
async fn few_folders_among_many_objects() {
    let mut lake = days("lake", 100);
    for n in 0..6_000 {
        lake.objects.insert(("lake".into(), format!("days/other/{n}")), Bytes::from_static(b"7\n"));
    }
    assert_eq!(query(&lake, "SELECT sum(n) FROM days").await.unwrap().rows, "\"211\"\n");
}
