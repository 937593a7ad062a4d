//! Databases, tables, versions, partitions: what comes back, what is refused, and what is left.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::sync::Arc;

use millpond_kernel::{Catalog, CatalogDatabase, CatalogPartition, CatalogStorage, CatalogTable};
use millpond_meta::{Kv, View};
use serde_json::{Value, json};
use world::{OWNER, World, caller, root, says, user};

async fn fails(world: &World, operation: &str, body: Value) -> String {
    world.call(caller(root(OWNER), None), operation, body).await.unwrap_err()
}

/// A table with two partition keys and some columns.
fn flights(columns: usize) -> Value {
    let columns: Vec<_> =
        (0..columns).map(|n| json!({"Name": format!("c{n}"), "Type": "string", "Comment": "x"})).collect();
    json!({"Name": "Flights", "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "csv"},
        "PartitionKeys": [{"Name": "year", "Type": "string"}, {"Name": "day", "Type": "int"}],
        "StorageDescriptor": {"Columns": columns, "Location": "s3://lake/flights/", "InputFormat": "in", "OutputFormat": "out",
            "SerdeInfo": {"SerializationLibrary": "serde", "Parameters": {"field.delim": ","}}}})
}

async fn world(columns: usize) -> World {
    let world = World::new().await;
    world.root("CreateDatabase", json!({"DatabaseInput": {"Name": "Lake", "Description": "d"}})).await;
    world.root("CreateTable", json!({"DatabaseName": "LAKE", "TableInput": flights(columns)})).await;
    world
}

fn partition(year: &str, day: usize, columns: usize) -> Value {
    let mut storage = flights(columns)["StorageDescriptor"].clone();
    storage["Location"] = json!(format!("s3://lake/flights/year={year}/day={day}/"));
    storage["Parameters"] = json!({"objectCount": day.to_string()});
    json!({"Values": [year, day.to_string()], "StorageDescriptor": storage})
}

async fn fill(world: &World, year: &str, count: usize, columns: usize) {
    let all: Vec<_> = (0..count).map(|day| partition(year, day, columns)).collect();
    for some in all.chunks(100) {
        let body = json!({"DatabaseName": "lake", "TableName": "flights", "PartitionInputList": some});
        let done = world.root("BatchCreatePartition", body).await;
        assert_eq!(done["Errors"], json!([]));
    }
}

fn on(more: Value) -> Value {
    let mut body = json!({"DatabaseName": "lake", "TableName": "flights"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_table_comes_back_as_it_was_given() {
    let world = world(2).await.reopened().await;
    let table = world.root("GetTable", json!({"DatabaseName": "Lake", "Name": "FLIGHTS"})).await["Table"].clone();
    let mut expected = flights(2);
    for (key, value) in [
        ("Name", json!("flights")),
        ("DatabaseName", json!("lake")),
        ("VersionId", json!("0")),
        ("CatalogId", json!(OWNER)),
        ("Retention", json!(0)),
        ("CreatedBy", json!(format!("arn:aws:iam::{OWNER}:root"))),
        ("IsRegisteredWithLakeFormation", json!(false)),
        ("CreateTime", table["CreateTime"].clone()),
        ("UpdateTime", table["CreateTime"].clone()),
    ] {
        expected[key] = value;
    }
    let storage = &mut expected["StorageDescriptor"];
    for (key, value) in [
        ("Compressed", json!(false)),
        ("NumberOfBuckets", json!(0)),
        ("SortColumns", json!([])),
        ("StoredAsSubDirectories", json!(false)),
    ] {
        storage[key] = value;
    }
    assert_eq!(table, expected);
    let reduced = json!({"DatabaseName": "lake", "Name": "flights", "AttributesToGet": ["NAME", "TABLE_TYPE"]});
    let reduced = world.root("GetTable", reduced).await["Table"].clone();
    assert_eq!((reduced["TableType"].clone(), reduced.get("Parameters")), (json!("EXTERNAL_TABLE"), None));
}

#[tokio::test]
async fn what_is_not_there_or_there_already() {
    let world = world(1).await;
    for (operation, body, code) in [
        ("CreateDatabase", json!({"DatabaseInput": {"Name": "lake"}}), "AlreadyExistsException"),
        ("GetDatabase", json!({"Name": "x"}), "EntityNotFoundException"),
        ("UpdateDatabase", json!({"Name": "x", "DatabaseInput": {"Name": "x"}}), "EntityNotFoundException"),
        ("UpdateDatabase", json!({"Name": "lake", "DatabaseInput": {"Name": "x"}}), "InvalidInputException"),
        ("DeleteDatabase", json!({"Name": "x"}), "EntityNotFoundException"),
        ("CreateTable", json!({"DatabaseName": "lake", "TableInput": flights(1)}), "AlreadyExistsException"),
        ("CreateTable", json!({"DatabaseName": "x", "TableInput": flights(1)}), "EntityNotFoundException"),
        ("CreateTable", json!({"DatabaseName": "lake"}), "InvalidInputException"),
        ("CreateTable", json!({"DatabaseName": "lake", "TableInput": {"Name": "a/b"}}), "InvalidInputException"),
        (
            "CreateTable",
            json!({"DatabaseName": "lake", "TableInput": {"Name": "l", "TargetTable": {"Name": "t"}}}),
            "NotImplemented",
        ),
        (
            "CreateTable",
            json!({"DatabaseName": "lake", "TransactionId": "t", "TableInput": {"Name": "l"}}),
            "NotImplemented",
        ),
        ("GetTable", json!({"DatabaseName": "lake", "Name": "x"}), "EntityNotFoundException"),
        ("GetTable", json!({"DatabaseName": "lake", "Name": "flights", "QueryAsOfTime": 1}), "NotImplemented"),
        ("GetTable", json!({"DatabaseName": "lake", "Name": "flights", "CatalogId": "x"}), "EntityNotFoundException"),
        ("GetTable", json!({"Name": "flights"}), "ValidationException"),
        ("GetTables", json!({"DatabaseName": "lake", "Expression": "("}), "InvalidInputException"),
        ("GetTables", json!({"DatabaseName": "lake", "NextToken": "?"}), "InvalidInputException"),
        ("DeleteTable", json!({"DatabaseName": "lake", "Name": "x"}), "EntityNotFoundException"),
        ("GetPartition", on(json!({"PartitionValues": ["1", "2"]})), "EntityNotFoundException"),
        ("GetPartition", on(json!({"PartitionValues": ["1"]})), "InvalidInputException"),
        ("CreatePartition", on(json!({"PartitionInput": {"Values": ["1"]}})), "InvalidInputException"),
        (
            "CreatePartition",
            on(json!({"PartitionInput": {"Values": ["x".repeat(600), "x".repeat(600)]}})),
            "InvalidInputException",
        ),
        (
            "UpdatePartition",
            on(json!({"PartitionValueList": ["1", "2"], "PartitionInput": {}})),
            "EntityNotFoundException",
        ),
        ("DeletePartition", on(json!({"PartitionValues": ["1", "2"]})), "EntityNotFoundException"),
        ("GetPartitions", on(json!({"Expression": "nokey = '1'"})), "InvalidInputException"),
        ("GetPartitions", on(json!({"Segment": {"SegmentNumber": 3, "TotalSegments": 3}})), "InvalidInputException"),
        ("GetTableVersion", on(json!({"VersionId": "7"})), "EntityNotFoundException"),
        ("DeleteTableVersion", on(json!({"VersionId": "0"})), "InvalidInputException"),
        ("DeletePartitionIndex", on(json!({"IndexName": "x"})), "EntityNotFoundException"),
        (
            "CreatePartitionIndex",
            on(json!({"PartitionIndex": {"IndexName": "i", "Keys": ["c0"]}})),
            "InvalidInputException",
        ),
        ("GetResourcePolicy", json!({}), "EntityNotFoundException"),
        ("DeleteResourcePolicy", json!({}), "EntityNotFoundException"),
        (
            "GetTags",
            json!({"ResourceArn": format!("arn:aws:glue:us-east-1:{OWNER}:crawler/c")}),
            "EntityNotFoundException",
        ),
    ] {
        assert_eq!(fails(&world, operation, body.clone()).await, code, "{operation} {body}");
    }
}

#[tokio::test]
async fn versions_count_from_zero() {
    let world = world(1).await;
    let update = |more: Value| {
        let mut body = json!({"DatabaseName": "lake", "TableInput": flights(2)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    world.root("UpdateTable", update(json!({}))).await;
    world.root("UpdateTable", update(json!({"VersionId": "1", "SkipArchive": true}))).await;
    assert_eq!(
        fails(&world, "UpdateTable", update(json!({"VersionId": "1"}))).await,
        "ConcurrentModificationException"
    );
    world.root("UpdateTable", update(json!({"VersionId": "2"}))).await;
    let world = world.reopened().await;
    let listed = |found: &Value| {
        let all = found["TableVersions"].as_array().unwrap();
        all.iter().map(|version| version["VersionId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The version that an update replaced without archiving it is gone.
    let (mut token, mut seen) = (Value::Null, Vec::new());
    loop {
        let found = world.root("GetTableVersions", on(json!({"MaxResults": 1, "NextToken": token}))).await;
        seen.extend(listed(&found));
        token = found["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["3", "2", "0"]);
    let first = world.root("GetTableVersion", on(json!({"VersionId": "0"}))).await;
    assert_eq!(first["TableVersion"]["Table"]["StorageDescriptor"]["Columns"].as_array().unwrap().len(), 1);
    let done = world.root("BatchDeleteTableVersion", on(json!({"VersionIds": ["0", "0", "1", "3", "x"]}))).await;
    let codes: Vec<_> =
        done["Errors"].as_array().unwrap().iter().map(|e| e["ErrorDetail"]["ErrorCode"].as_str().unwrap()).collect();
    let (missing, wrong) = ("EntityNotFoundException", "InvalidInputException");
    assert_eq!(codes, [missing, missing, wrong, wrong]);
    assert_eq!(listed(&world.root("GetTableVersions", on(json!({}))).await), ["3", "2"]);
}

/// Of updates of one version that come at once, one is carried out.
#[tokio::test]
async fn of_concurrent_updates_one_wins() {
    let world = Arc::new(world(1).await);
    let asked = (0..8).map(|_| {
        let world = world.clone();
        let body = json!({"DatabaseName": "lake", "VersionId": "0", "TableInput": flights(1)});
        async move { world.call(caller(root(OWNER), None), "UpdateTable", body).await }
    });
    let done = futures_util::future::join_all(asked).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
    let lost = |done: &&Result<Value, String>| **done == Err("ConcurrentModificationException".to_owned());
    assert_eq!(done.iter().filter(lost).count(), 7);
}

#[tokio::test]
async fn batches_tell_what_is_wrong_with_each_entry() {
    let world = world(1).await;
    let list = json!([partition("2024", 1, 1), partition("2024", 1, 1), {"Values": ["2024"]}, partition("2024", 2, 1)]);
    let done = world.root("BatchCreatePartition", on(json!({"PartitionInputList": list}))).await;
    let told = |done: &Value| {
        let all = done["Errors"].as_array().unwrap();
        all.iter().map(|error| error["ErrorDetail"]["ErrorCode"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&done), ["AlreadyExistsException", "InvalidInputException"]);
    assert_eq!(done["Errors"][0]["PartitionValues"], json!(["2024", "1"]));
    let entries = json!([
        {"PartitionValueList": ["2024", "1"], "PartitionInput": {"Values": ["2024", "1"], "Parameters": {"a": "b"}}},
        {"PartitionValueList": ["2024", "9"], "PartitionInput": {"Values": ["2024", "9"]}},
        {"PartitionValueList": ["2024", "1"], "PartitionInput": {"Values": ["2024", "2"]}},
        {"PartitionValueList": ["2024", "2"], "PartitionInput": {"Values": ["2025", "2"]}},
    ]);
    let done = world.root("BatchUpdatePartition", on(json!({"Entries": entries}))).await;
    assert_eq!(told(&done), ["EntityNotFoundException", "AlreadyExistsException"]);
    let wanted = json!([{"Values": ["2024", "1"]}, {"Values": ["2024", "2"]}, {"Values": ["2025", "2"]}]);
    let found = world.root("BatchGetPartition", on(json!({"PartitionsToGet": wanted}))).await;
    let values: Vec<_> = found["Partitions"].as_array().unwrap().iter().map(|p| p["Values"].clone()).collect();
    assert_eq!((values, &found["UnprocessedKeys"]), (vec![json!(["2024", "1"]), json!(["2025", "2"])], &json!([])));
    assert_eq!(found["Partitions"][0]["Parameters"], json!({"a": "b"}));
    let gone = json!([{"Values": ["2025", "2"]}, {"Values": ["2025", "2"]}]);
    let done = world.root("BatchDeletePartition", on(json!({"PartitionsToDelete": gone}))).await;
    assert_eq!(told(&done), ["EntityNotFoundException"]);
    let left = world.root("GetPartitions", on(json!({}))).await;
    assert_eq!(left["Partitions"].as_array().unwrap().len(), 1);
}

/// The number of keys is part of what a partition is.
#[tokio::test]
async fn partition_keys_stay_while_there_are_partitions() {
    let world = world(1).await;
    fill(&world, "2024", 1, 1).await;
    let mut other = flights(1);
    other["PartitionKeys"] = json!([{"Name": "year", "Type": "string"}]);
    let update = json!({"DatabaseName": "lake", "TableInput": other});
    assert_eq!(fails(&world, "UpdateTable", update.clone()).await, "InvalidInputException");
    world.root("DeletePartition", on(json!({"PartitionValues": ["2024", "0"]}))).await;
    world.root("UpdateTable", update).await;
    world.root("CreatePartition", on(json!({"PartitionInput": {"Values": ["2024"]}}))).await;
}

#[tokio::test]
async fn partitions_are_found_by_values_pages_and_segments() {
    let world = world(1).await;
    for year in ["2023", "2024", "20240"] {
        fill(&world, year, 30, 1).await;
    }
    for (expression, expected) in [
        ("year = '2024'", 30),
        ("year = '2024' and day = 7", 1),
        ("day = 7", 3),
        ("year = '2'", 0),
        ("", 90),
        ("year = '20240' or year = '2023'", 60),
        ("year in ('2024', '2023', '2025') and day in (1, 2)", 4),
        ("year > '2023' and year < '20240'", 30),
        ("year between '2023' and '2024'", 60),
        ("year like '2024%'", 60),
        ("year = '2024' or day = 7", 32),
        ("year = '2023' and year = '2024'", 0),
    ] {
        let found = world.root("GetPartitions", on(json!({"Expression": expression}))).await;
        assert_eq!(found["Partitions"].as_array().unwrap().len(), expected, "{expression}");
    }
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let found = world
            .root("GetPartitions", on(json!({"MaxResults": 7, "NextToken": token, "ExcludeColumnSchema": true})))
            .await;
        let page = found["Partitions"].as_array().unwrap();
        assert!(page.len() <= 7 && page.iter().all(|one| one["StorageDescriptor"].get("Columns").is_none()));
        seen.extend(page.iter().map(|one| one["Values"].to_string()));
        token = found["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 90);
    let (mut days, mut token, mut pages) = (Vec::new(), Value::Null, 0);
    while pages == 0 || !token.is_null() {
        let asked =
            json!({"Expression": "year in ('20240', '2023') and day < 10", "MaxResults": 4, "NextToken": token});
        let found = world.root("GetPartitions", on(asked)).await;
        days.extend(found["Partitions"].as_array().unwrap().iter().map(|one| one["Values"].to_string()));
        token = found["NextToken"].clone();
        pages += 1;
    }
    assert!(days.is_sorted() && days.len() == 20 && pages <= 6, "{days:?} {pages}");
    let mut of_segments = 0;
    for number in 0..4 {
        let segment = json!({"Segment": {"SegmentNumber": number, "TotalSegments": 4}});
        of_segments += world.root("GetPartitions", on(segment)).await["Partitions"].as_array().unwrap().len();
    }
    assert_eq!(of_segments, 90);
}

async fn rows_of(world: &World, table: u8) -> Vec<(millpond_meta::Key, bytes::Bytes)> {
    use std::ops::Bound;
    let (from, to) = (Bound::Included(vec![table].into()), Bound::Excluded(vec![table + 1].into()));
    world.kv.scan(millpond_meta::Scan { from, to, reverse: false, limit: 100_000 }).await.unwrap()
}

/// Columns that a table and its partitions share lie once; nothing that people wrote besides names and values can be read from the disk.
#[tokio::test]
async fn rows_are_small_and_sealed() {
    let world = world(100).await;
    fill(&world, "2024", 300, 100).await;
    let partitions = rows_of(&world, 0xB3).await;
    assert_eq!(partitions.len(), 300);
    assert!(partitions.iter().all(|(_, raw)| raw.len() < 300), "{}", partitions[0].1.len());
    // The columns, and the format.
    assert_eq!(rows_of(&world, 0xB4).await.len(), 2);
    for table in 0xB0..=0xB8 {
        for (_, raw) in rows_of(&world, table).await {
            let text = String::from_utf8_lossy(&raw);
            assert!(!text.contains("s3://") && !text.contains("field.delim") && !text.contains("classification"));
        }
    }
    let found = world.root("GetPartition", on(json!({"PartitionValues": ["2024", "299"]}))).await;
    assert_eq!(found["Partition"]["StorageDescriptor"]["Columns"].as_array().unwrap().len(), 100);
    assert_eq!(found["Partition"]["StorageDescriptor"]["Parameters"], json!({"objectCount": "299"}));
}

/// What a deleted database had is out of sight at once and removed afterwards, also after a restart in between.
#[tokio::test]
async fn deleted_databases_leave_nothing() {
    let world = world(2).await;
    fill(&world, "2024", 1_200, 2).await;
    let mut long = flights(1);
    long["Name"] = json!("long");
    long["ViewOriginalText"] = json!("x".repeat(200_000));
    world.root("CreateTable", json!({"DatabaseName": "lake", "TableInput": long})).await;
    world.root("UpdateTable", json!({"DatabaseName": "lake", "TableInput": long})).await;
    world.root("UpdateTable", json!({"DatabaseName": "lake", "TableInput": long, "SkipArchive": true})).await;
    let shown = world.root("GetTable", json!({"DatabaseName": "lake", "Name": "long"})).await;
    assert_eq!(shown["Table"]["ViewOriginalText"].as_str().unwrap().len(), 200_000);
    world.root("DeleteDatabase", json!({"Name": "lake"})).await;
    assert_eq!(fails(&world, "GetPartitions", on(json!({}))).await, "EntityNotFoundException");
    // Another one of its name has nothing of it.
    world.root("CreateDatabase", json!({"DatabaseInput": {"Name": "lake"}})).await;
    assert_eq!(world.root("GetTables", json!({"DatabaseName": "lake"})).await["TableList"], json!([]));
    world.root("DeleteDatabase", json!({"Name": "lake"})).await;
    let world = world.reopened().await;
    world.glue.sweep().await.unwrap();
    for table in 0xB0..=0xBF {
        assert!(rows_of(&world, table).await.is_empty(), "{table:x}");
    }
    assert!(rows_of(&world, millpond_kernel::tables::CHUNKS).await.is_empty());
}

#[tokio::test]
async fn tables_are_listed_and_searched() {
    let world = world(1).await;
    for name in ["a1", "a2", "b1"] {
        let input = json!({"Name": name, "Description": format!("about {name}")});
        world.root("CreateTable", json!({"DatabaseName": "lake", "TableInput": input})).await;
    }
    let view = json!({"Name": "v", "TableType": "VIRTUAL_VIEW", "ViewOriginalText": "/* Presto View: e30= */"});
    world.root("CreateTable", json!({"DatabaseName": "lake", "TableInput": view})).await;
    let names = |found: &Value| {
        let all = found["TableList"].as_array().unwrap();
        all.iter().map(|table| table["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (expression, expected) in [("a.*", vec!["a1", "a2"]), ("*1", vec!["a1", "b1"]), ("a", vec![])] {
        let found = world.root("GetTables", json!({"DatabaseName": "lake", "Expression": expression})).await;
        assert_eq!(names(&found), expected, "{expression}");
    }
    let first = world.root("GetTables", json!({"DatabaseName": "lake", "MaxResults": 2})).await;
    let next = json!({"DatabaseName": "lake", "MaxResults": 3, "NextToken": first["NextToken"]});
    let next = world.root("GetTables", next).await;
    assert_eq!(
        (names(&first), names(&next)),
        (vec!["a1".into(), "a2".into()], vec!["b1".into(), "flights".into(), "v".into()])
    );
    assert!(next.get("NextToken").is_none());
    for (body, expected) in [
        (json!({"SearchText": "about"}), vec!["a1", "a2", "b1"]),
        (json!({"SearchText": "csv"}), vec!["flights"]),
        (json!({"Filters": [{"Key": "TableType", "Value": "VIRTUAL_VIEW"}]}), vec!["v"]),
        (
            json!({"SearchText": "about", "SortCriteria": [{"FieldName": "Name", "Sort": "DESC"}]}),
            vec!["b1", "a2", "a1"],
        ),
    ] {
        assert_eq!(names(&world.root("SearchTables", body.clone()).await), expected, "{body}");
    }
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let found = world.root("SearchTables", json!({"MaxResults": 2, "NextToken": token})).await;
        seen.extend(names(&found));
        token = found["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["a1", "a2", "b1", "flights", "v"]);
    let done = world
        .root("BatchDeleteTable", json!({"DatabaseName": "lake", "TablesToDelete": ["a1", "A1", "x", "b1"]}))
        .await;
    assert_eq!(done["Errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn indexes_and_statistics_are_kept() {
    let world = world(2).await;
    fill(&world, "2024", 1, 2).await;
    for name in ["i", "j", "k"] {
        world.root("CreatePartitionIndex", on(json!({"PartitionIndex": {"IndexName": name, "Keys": ["Day"]}}))).await;
    }
    let index = |name: &str| on(json!({"PartitionIndex": {"IndexName": name, "Keys": ["year"]}}));
    assert_eq!(fails(&world, "CreatePartitionIndex", index("i")).await, "AlreadyExistsException");
    assert_eq!(fails(&world, "CreatePartitionIndex", index("l")).await, "ResourceNumberLimitExceededException");
    let found = world.root("GetPartitionIndexes", on(json!({}))).await;
    let expected = json!({"IndexName": "i", "Keys": [{"Name": "day", "Type": "int"}], "IndexStatus": "ACTIVE"});
    assert_eq!(found["PartitionIndexDescriptorList"][0], expected);
    let one = |column: &str, kind: &str, data: Value| {
        let mut all = json!({"Type": kind});
        let name = format!("{}{}ColumnStatisticsData", &kind[..1], kind[1..].to_lowercase());
        all[name] = data;
        json!({"ColumnName": column, "ColumnType": "x", "AnalyzedTime": 1_800_000_000.0, "StatisticsData": all})
    };
    let both = json!({"NumberOfNulls": 1, "NumberOfDistinctValues": 2});
    for (kind, data) in [
        ("BOOLEAN", json!({"NumberOfTrues": 1, "NumberOfFalses": 2, "NumberOfNulls": 3})),
        (
            "DATE",
            json!({"MinimumValue": 1_000_000_000.0, "MaximumValue": 1_800_000_000.0, "NumberOfNulls": 1, "NumberOfDistinctValues": 2}),
        ),
        (
            "DECIMAL",
            json!({"MinimumValue": {"UnscaledValue": "AQI=", "Scale": 2}, "NumberOfNulls": 1, "NumberOfDistinctValues": 2}),
        ),
        ("DOUBLE", json!({"MinimumValue": -1.5, "MaximumValue": 2.5, "NumberOfNulls": 1, "NumberOfDistinctValues": 2})),
        ("LONG", both.clone()),
        ("STRING", json!({"MaximumLength": 9, "AverageLength": 4.5, "NumberOfNulls": 1, "NumberOfDistinctValues": 2})),
        ("BINARY", json!({"MaximumLength": 9, "AverageLength": 4.5, "NumberOfNulls": 1})),
    ] {
        let list = json!([one("c0", kind, data.clone()), one("none", kind, data)]);
        let done = world.root("UpdateColumnStatisticsForTable", on(json!({"ColumnStatisticsList": list}))).await;
        assert_eq!(done["Errors"][0]["Error"]["ErrorCode"], "EntityNotFoundException");
        let found = world.root("GetColumnStatisticsForTable", on(json!({"ColumnNames": ["c0", "c1"]}))).await;
        let (mut kept, given) = (found["ColumnStatisticsList"][0].clone(), &list[0]);
        // Whole seconds are written without a fraction.
        kept["AnalyzedTime"] = json!(kept["AnalyzedTime"].as_f64().unwrap());
        for field in ["MinimumValue", "MaximumValue"] {
            if kind == "DATE" {
                let value = &mut kept["StatisticsData"]["DateColumnStatisticsData"][field];
                *value = json!(value.as_f64().unwrap());
            }
        }
        assert_eq!(&kept, given, "{kind}");
        assert_eq!(found["Errors"][0]["ColumnName"], "c1");
    }
    let values = json!({"PartitionValues": ["2024", "0"], "ColumnStatisticsList": [one("c1", "LONG", both)]});
    world.root("UpdateColumnStatisticsForPartition", on(values)).await;
    let of_partition = json!({"PartitionValues": ["2024", "0"], "ColumnNames": ["c1"]});
    let found = world.root("GetColumnStatisticsForPartition", on(of_partition.clone())).await;
    assert_eq!(found["ColumnStatisticsList"].as_array().unwrap().len(), 1);
    // They go with their partition.
    world.root("DeletePartition", on(json!({"PartitionValues": ["2024", "0"]}))).await;
    fill(&world, "2024", 1, 2).await;
    let found = world.root("GetColumnStatisticsForPartition", on(of_partition)).await;
    assert_eq!(found["ColumnStatisticsList"], json!([]));
}

#[tokio::test]
async fn policies_have_conditions() {
    let world = world(1).await;
    let policy = |who: &str, resource: &str| {
        let statement =
            json!({"Effect": "Allow", "Principal": {"AWS": who}, "Action": "glue:GetTable", "Resource": resource});
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    let mine = format!("arn:aws:glue:us-east-1:{OWNER}:*");
    let good = policy(OWNER, &mine);
    for (text, more, code) in [
        ("{}}".to_owned(), json!({}), "InvalidInputException"),
        (policy("arn:aws:iam::111122223333:user/nobody", &mine), json!({}), "InvalidInputException"),
        (policy(OWNER, "arn:aws:glue:us-east-1:444455556666:catalog"), json!({}), "InvalidInputException"),
        (good.clone(), json!({"PolicyExistsCondition": "MUST_EXIST"}), "ConditionCheckFailureException"),
        (good.clone(), json!({"PolicyHashCondition": "x"}), "ConditionCheckFailureException"),
    ] {
        let mut body = json!({"PolicyInJson": text});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(fails(&world, "PutResourcePolicy", body).await, code, "{text} {more}");
    }
    let done =
        world.root("PutResourcePolicy", json!({"PolicyInJson": good, "PolicyExistsCondition": "NOT_EXIST"})).await;
    let again = json!({"PolicyInJson": good, "PolicyExistsCondition": "NOT_EXIST"});
    assert_eq!(fails(&world, "PutResourcePolicy", again).await, "ConditionCheckFailureException");
    let world = world.reopened().await;
    let found = world.root("GetResourcePolicy", json!({})).await;
    assert_eq!((&found["PolicyHash"], &found["PolicyInJson"]), (&done["PolicyHash"], &json!(good)));
    let all = world.root("GetResourcePolicies", json!({})).await;
    assert_eq!(all["GetResourcePoliciesResponseList"].as_array().unwrap().len(), 1);
    let wrong = json!({"PolicyHashCondition": "x"});
    assert_eq!(fails(&world, "DeleteResourcePolicy", wrong).await, "ConditionCheckFailureException");
    world.root("DeleteResourcePolicy", json!({"PolicyHashCondition": done["PolicyHash"]})).await;
}

/// Services of ours use it with the rights of their caller.
#[tokio::test]
async fn the_port_is_decided_as_its_caller() {
    let world = World::new().await;
    let alice = user(OWNER, "alice");
    world.people.add(&alice, &[says("Allow", "glue:Get*")], None);
    let (mine, hers) = (Arc::new(caller(root(OWNER), None)), Arc::new(caller(alice, None)));
    let glue = &world.glue;
    let database = CatalogDatabase { name: "lake".into(), description: Some("d".into()), ..CatalogDatabase::default() };
    glue.create_database(mine.clone(), database.clone()).await.unwrap();
    let denied = glue.create_database(hers.clone(), database.clone()).await.unwrap_err();
    assert_eq!(denied.code, "AccessDeniedException");
    assert_eq!(glue.database(hers.clone(), "lake").await.unwrap(), database);
    let column =
        |name: &str| millpond_kernel::CatalogColumn { name: name.into(), kind: "string".into(), comment: None };
    let storage = CatalogStorage { columns: vec![column("a")], serde: Some("s".into()), ..CatalogStorage::default() };
    let table = CatalogTable {
        database: "lake".into(),
        name: "t".into(),
        table_type: "EXTERNAL_TABLE".into(),
        storage: storage.clone(),
        partition_keys: vec![column("k")],
        ..CatalogTable::default()
    };
    glue.create_table(mine.clone(), table.clone()).await.unwrap();
    assert_eq!(glue.table(hers.clone(), "lake", "t").await.unwrap(), table);
    // What the port does not know of is left alone.
    let owned = json!({"Name": "t", "Owner": "o", "PartitionKeys": [{"Name": "k", "Type": "string"}],
        "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "string"}], "SortColumns": [{"Column": "a", "SortOrder": 1}]}});
    world.root("UpdateTable", json!({"DatabaseName": "lake", "TableInput": owned})).await;
    let mut changed = glue.table(mine.clone(), "lake", "t").await.unwrap();
    changed.description = Some("new".into());
    glue.update_table(mine.clone(), changed.clone()).await.unwrap();
    let shown = world.root("GetTable", json!({"DatabaseName": "lake", "Name": "t"})).await["Table"].clone();
    assert_eq!((&shown["Owner"], &shown["Description"]), (&json!("o"), &json!("new")));
    assert_eq!(shown["StorageDescriptor"]["SortColumns"][0]["Column"], "a");
    assert_eq!(glue.update_table(mine.clone(), changed).await.unwrap_err().code, "ConcurrentModificationException");
    let partition = |n: usize| CatalogPartition {
        values: vec![format!("{n:04}")],
        location: Some(format!("s3://lake/{n}")),
        storage: Arc::new(storage.clone()),
        ..CatalogPartition::default()
    };
    let all: Vec<_> = (0..250).map(partition).collect();
    assert_eq!(glue.create_partitions(mine.clone(), "lake", "t", all.clone()).await.unwrap(), 250);
    assert_eq!(glue.create_partitions(mine.clone(), "lake", "t", all[..7].to_vec()).await.unwrap(), 0);
    let found = glue.partitions(hers.clone(), "lake", "t", None, None).await.unwrap();
    assert_eq!(found, (all.clone(), None));
    assert!(Arc::ptr_eq(&found.0[0].storage, &found.0[249].storage));
    let one = glue.partitions(hers.clone(), "lake", "t", Some("k = '0007'"), None).await.unwrap();
    assert_eq!(one.0, [partition(7)]);
    glue.update_partition(mine.clone(), "lake", "t", &["0007".into()], partition(900)).await.unwrap();
    let gone = vec![vec!["0007".to_owned()], vec!["0900".to_owned()]];
    assert_eq!(glue.delete_partitions(mine.clone(), "lake", "t", gone).await.unwrap(), 1);
    assert_eq!(glue.tables(hers.clone(), "lake", None).await.unwrap().0.len(), 1);
    assert_eq!(glue.delete_table(hers, "lake", "t").await.unwrap_err().code, "AccessDeniedException");
    glue.delete_table(mine.clone(), "lake", "t").await.unwrap();
    glue.delete_database(mine.clone(), "lake").await.unwrap();
    assert_eq!(glue.database(mine, "lake").await.unwrap_err().code, "EntityNotFoundException");
}

/// What services of ours do for a caller stands in the audit trail, done or denied.
#[tokio::test]
async fn calls_of_the_port_are_recorded() {
    let world = world(1).await;
    let audit = millpond_kernel::testing::audit(Arc::new(world.kv.clone())).unwrap();
    world.kernel.use_audit(audit.clone());
    let alice = user(OWNER, "alice");
    world.people.add(&alice, &[], None);
    let (mine, hers) = (Arc::new(caller(root(OWNER), None)), Arc::new(caller(alice, None)));
    world.glue.table(mine.clone(), "lake", "flights").await.unwrap();
    world.glue.table(hers, "lake", "flights").await.unwrap_err();
    world.glue.delete_table(mine, "lake", "flights").await.unwrap();
    audit.flush().await;
    assert_eq!(rows_of(&world, millpond_kernel::tables::AUDIT).await.len(), 3);
}

/// Many partitions of a table of a hundred columns; how long the port takes to list them is printed.
#[tokio::test]
async fn many_partitions() {
    let world = world(100).await;
    fill(&world, "2024", 2_000, 100).await;
    let mine = Arc::new(caller(root(OWNER), None));
    let started = tokio::time::Instant::now();
    let (found, next) = world.glue.partitions(mine.clone(), "lake", "flights", None, None).await.unwrap();
    println!("2,000 partitions in {:?}", started.elapsed());
    assert_eq!((found.len(), next), (2_000, None));
    let started = tokio::time::Instant::now();
    let only = "year = '2024' and day = 77";
    let (found, _) = world.glue.partitions(mine, "lake", "flights", Some(only), None).await.unwrap();
    println!("one of them in {:?}", started.elapsed());
    assert_eq!(found.len(), 1);
    let _ = world.kv.state();
}
