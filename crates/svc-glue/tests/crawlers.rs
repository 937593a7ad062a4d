//! Crawlers over objects in memory: what they find, what they leave alone, and what becomes of their crawls.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::time::Duration;

use millpond_types::Timestamp;
use serde_json::{Value, json};
use world::{OWNER, World, arn, caller, role, root, says, user};

/// A world with a role that may do all that crawlers do, and one that may read nothing.
async fn stage() -> World {
    let world = World::new().await;
    for name in ["crawler", "blind"] {
        world.people.add(&role(OWNER, name), &[says("Allow", "*")], None);
    }
    world
}

fn crawler(name: &str, path: &str, more: Value) -> Value {
    let mut crawler = json!({"Name": name, "Role": "crawler", "DatabaseName": "db",
        "Targets": {"S3Targets": [{"Path": path}]}});
    crawler.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    crawler
}

/// Runs crawls until a crawler is ready; how its last crawl went.
async fn ready(world: &World, name: &str) -> Value {
    let until = async {
        loop {
            let shown = world.root("GetCrawler", json!({"Name": name})).await["Crawler"].clone();
            if shown["State"] == "READY" && !shown["LastCrawl"].is_null() {
                return shown["LastCrawl"].clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let glue = world.glue.clone();
    tokio::select! {
        last = until => last,
        () = glue.run_crawls(std::future::pending()) => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the crawler {name} does not come to its end"),
    }
}

async fn crawl(world: &World, name: &str) -> Value {
    world.root("StartCrawler", json!({"Name": name})).await;
    ready(world, name).await
}

async fn crawled(world: &World, name: &str) {
    let last = crawl(world, name).await;
    assert_eq!(last["Status"], "SUCCEEDED", "{last}");
}

/// Tables as `name location keys: columns`.
async fn tables(world: &World) -> Vec<String> {
    let found = world.root("GetTables", json!({"DatabaseName": "db"})).await;
    let pairs = |of: &Value| -> String {
        let pair = |one: &Value| format!("{} {}", one["Name"].as_str().unwrap(), one["Type"].as_str().unwrap());
        of.as_array().unwrap().iter().map(pair).collect::<Vec<_>>().join(", ")
    };
    let shown = |table: &Value| {
        let storage = &table["StorageDescriptor"];
        let location = storage["Location"].as_str().unwrap().trim_start_matches("s3://lake/");
        let name = table["Name"].as_str().unwrap();
        format!("{name} {location} [{}]: {}", pairs(&table["PartitionKeys"]), pairs(&storage["Columns"]))
    };
    found["TableList"].as_array().unwrap().iter().map(shown).collect()
}

async fn table(world: &World, name: &str) -> Value {
    world.root("GetTable", json!({"DatabaseName": "db", "Name": name})).await["Table"].clone()
}

/// The partitions of a table, as `values location`.
async fn partitions(world: &World, name: &str) -> Vec<String> {
    let found = world.root("GetPartitions", json!({"DatabaseName": "db", "TableName": name})).await;
    let shown = |one: &Value| {
        let values: Vec<_> = one["Values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        let location = one["StorageDescriptor"]["Location"].as_str().unwrap().trim_start_matches("s3://lake/");
        format!("{} {location}", values.join("/"))
    };
    found["Partitions"].as_array().unwrap().iter().map(shown).collect()
}

const DAY: &str = "Carrier,Dep-Delay,Date\nAA,5,2030-01-01\nUA,-3,2030-01-01\n";

fn days(world: &World, days: std::ops::RangeInclusive<u32>) {
    for day in days {
        world.lake.put(&format!("flights/year=2030/day={day}/part-0.csv"), DAY);
    }
}

#[tokio::test]
async fn daily_files_become_one_table() {
    let world = stage().await;
    days(&world, 1..=3);
    world.lake.put("flights/_SUCCESS", "x");
    world.lake.put("flights/readme.bin", &b"\0\x01"[..]);
    world.root("CreateCrawler", crawler("c", "s3://lake/flights/", json!({"TablePrefix": "raw_"}))).await;
    crawled(&world, "c").await;
    let columns = "carrier string, dep_delay bigint, date date";
    assert_eq!(tables(&world).await, [format!("raw_flights flights/ [year string, day string]: {columns}")]);
    let expected: Vec<_> = (1..=3).map(|day| format!("2030/{day} flights/year=2030/day={day}/")).collect();
    assert_eq!(partitions(&world, "raw_flights").await, expected);
    let made = table(&world, "raw_flights").await;
    let parameters = &made["Parameters"];
    for (name, value) in [
        ("classification", "csv"),
        ("compressionType", "none"),
        ("delimiter", ","),
        ("areColumnsQuoted", "false"),
        ("skip.header.line.count", "1"),
        ("typeOfData", "file"),
        ("objectCount", "3"),
        ("recordCount", "6"),
        ("UPDATED_BY_CRAWLER", "c"),
    ] {
        assert_eq!(parameters[name], value, "{name}");
    }
    let serde = &made["StorageDescriptor"]["SerdeInfo"];
    assert_eq!(serde["SerializationLibrary"], "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe");
    // Nothing new: nothing is changed.
    crawled(&world, "c").await;
    assert_eq!(table(&world, "raw_flights").await["VersionId"], "0");
    days(&world, 4..=4);
    crawled(&world, "c").await;
    assert_eq!(partitions(&world, "raw_flights").await.len(), 4);
    let crawls = world.root("ListCrawls", json!({"CrawlerName": "c"})).await["Crawls"].clone();
    let states: Vec<_> = crawls.as_array().unwrap().iter().map(|crawl| crawl["State"].clone()).collect();
    assert_eq!(states, ["COMPLETED", "COMPLETED", "COMPLETED"]);
    let summary = |at: usize| -> Value { serde_json::from_str(crawls[at]["Summary"].as_str().unwrap()).unwrap() };
    assert_eq!(summary(0)["PARTITION"]["ADD"]["Count"], 1);
    assert_eq!(summary(1), json!({}));
    assert_eq!(summary(2)["TABLE"]["ADD"], json!({"Details": {"names": ["raw_flights"]}, "Count": 1}));
}

#[tokio::test]
async fn tables_of_many_formats() {
    let world = stage().await;
    world.lake.put("mixed/birds/a.json", "{\"Name\":\"owl\",\"eggs\":{\"n\":4}}\n{\"Name\":\"wren\"}\n");
    world.lake.put("mixed/web/log", "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326\n");
    world.lake.put("mixed/parquet/f", "PAR1....");
    world.lake.put("mixed/columns/f", "ORC....");
    world.lake.put("mixed/odd/a.csv", "a,b\n1,2\n3,4\n");
    world.lake.put("mixed/odd/b.csv", "x|y|z\n1|2|3\n3|4|5\n");
    world.lake.put("mixed/left-out/a.csv", "a,b\n1,2\n3,4\n");
    *world.schemas.0.lock().unwrap() =
        Some(vec![("Id".into(), "bigint".into()), ("t".into(), "map<string,int>".into())]);
    let targets = json!({"Targets": {"S3Targets": [{"Path": "lake/mixed", "Exclusions": ["left-out/**"]}]}});
    world.root("CreateCrawler", crawler("c", "", targets)).await;
    crawled(&world, "c").await;
    let log = "clientip string, ident string, auth string, timestamp string, verb string, request string, httpversion string, rawrequest string, response string, bytes string";
    assert_eq!(
        tables(&world).await,
        [
            "a_csv mixed/odd/a.csv []: a bigint, b bigint".to_owned(),
            "b_csv mixed/odd/b.csv []: x bigint, y bigint, z bigint".to_owned(),
            "birds mixed/birds/ []: name string, eggs struct<n:int>".to_owned(),
            "columns mixed/columns/ []: id bigint, t map<string,int>".to_owned(),
            "parquet mixed/parquet/ []: id bigint, t map<string,int>".to_owned(),
            format!("web mixed/web/ []: {log}"),
        ]
    );
}

#[tokio::test]
async fn what_changes_and_what_goes() {
    for (policy, columns, deleted, deprecated) in [
        (json!({"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"}), 3, true, false),
        (json!({"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}), 2, false, false),
        (json!({"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE"}), 3, false, true),
    ] {
        let world = stage().await;
        for key in ["t/d=1/a", "t/d=2/a", "gone/a"] {
            world.lake.put(key, "a,b\n1,x\n2,y\n");
        }
        let targets = json!({"Targets": {"S3Targets": [{"Path": "s3://lake/t/"}, {"Path": "s3://lake/gone/"}]}, "SchemaChangePolicy": policy});
        world.root("CreateCrawler", crawler("c", "", targets)).await;
        crawled(&world, "c").await;
        world.lake.delete("t/d=1/a");
        world.lake.delete("gone/a");
        world.lake.put("t/d=2/a", "a,b,c\n1,x,0.5\n2,y,1\n");
        world.lake.put("t/d=3/a", "a,b,c\n1.5,x,1\n2,y,1\n");
        crawled(&world, "c").await;
        let now = table(&world, "t").await;
        assert_eq!(now["StorageDescriptor"]["Columns"].as_array().unwrap().len(), columns, "{policy}");
        let kind = if columns == 3 { "double" } else { "bigint" };
        assert_eq!(now["StorageDescriptor"]["Columns"][0]["Type"], kind, "{policy}");
        assert_eq!(partitions(&world, "t").await.len(), if deleted { 2 } else { 3 }, "{policy}");
        let gone =
            world.call(caller(root(OWNER), None), "GetTable", json!({"DatabaseName": "db", "Name": "gone"})).await;
        assert_eq!(gone.is_err(), deleted, "{policy}");
        if let Ok(gone) = gone {
            assert_eq!(gone["Table"]["Parameters"]["DEPRECATED_BY_CRAWLER"] == "c", deprecated, "{policy}");
        }
    }
}

#[tokio::test]
async fn new_columns_alone_and_new_folders_alone() {
    let world = stage().await;
    days(&world, 1..=2);
    let merge = json!({"Configuration": json!({"Version": 1.0, "CrawlerOutput": {"Tables": {"AddOrUpdateBehavior": "MergeNewColumns"}}}).to_string()});
    world.root("CreateCrawler", crawler("c", "s3://lake/flights/", merge)).await;
    crawled(&world, "c").await;
    let mut edited = table(&world, "flights").await;
    edited["StorageDescriptor"]["Columns"][1]["Type"] = json!("string");
    let keys = ["Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters"];
    let input: serde_json::Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), edited[*key].clone())).collect();
    world.root("UpdateTable", json!({"DatabaseName": "db", "TableInput": input})).await;
    for day in 1..=3 {
        world.lake.put(
            &format!("flights/year=2030/day={day}/part-0.csv"),
            "Carrier,Dep-Delay,Date,Tail\nAA,5,2030-01-01,N1\nUA,-3,2030-01-01,N2\n",
        );
    }
    crawled(&world, "c").await;
    let kinds = "carrier string, dep_delay string, date date, tail string";
    assert_eq!(tables(&world).await, [format!("flights flights/ [year string, day string]: {kinds}")]);
    assert_eq!(partitions(&world, "flights").await.len(), 3);

    let world = stage().await;
    days(&world, 1..=2);
    let new = json!({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}, "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}});
    world.root("CreateCrawler", crawler("c", "s3://lake/flights/", new)).await;
    crawled(&world, "c").await;
    // What is in an old folder is not looked at any more.
    world.lake.put("flights/year=2030/day=1/part-0.csv", "x|y\n1|2\n3|4\n");
    world.lake.delete("flights/year=2030/day=2/part-0.csv");
    days(&world, 5..=5);
    world.lake.put("flights/other/a.json", "{\"k\":1}\n");
    crawled(&world, "c").await;
    assert_eq!(partitions(&world, "flights").await.len(), 3);
    let all = tables(&world).await;
    assert_eq!((all.len(), all[1].as_str()), (2, "other flights/other/ []: k int"), "{all:?}");
}

#[tokio::test]
async fn tables_of_the_catalog_as_targets() {
    let world = stage().await;
    days(&world, 1..=2);
    world.root("CreateDatabase", json!({"DatabaseInput": {"Name": "db"}})).await;
    let storage = json!({"Columns": [{"Name": "carrier", "Type": "string", "Comment": "who"}], "Location": "s3://lake/flights",
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat", "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", "Parameters": {"field.delim": ","}}});
    let mine = json!({"Name": "mine", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage,
        "PartitionKeys": [{"Name": "year", "Type": "int"}, {"Name": "day", "Type": "int"}]});
    world.root("CreateTable", json!({"DatabaseName": "db", "TableInput": mine})).await;
    let targets = json!({"CatalogTargets": [{"DatabaseName": "db", "Tables": ["mine"]}]});
    world.root("CreateCrawler", json!({"Name": "c", "Role": "crawler", "Targets": targets})).await;
    crawled(&world, "c").await;
    let all = tables(&world).await;
    assert_eq!(all, ["mine flights [year int, day int]: carrier string, dep_delay bigint, date date"]);
    assert_eq!(table(&world, "mine").await["StorageDescriptor"]["Columns"][0]["Comment"], "who");
    assert_eq!(
        partitions(&world, "mine").await,
        ["2030/1 flights/year=2030/day=1/", "2030/2 flights/year=2030/day=2/"]
    );
}

#[tokio::test]
async fn names_that_are_taken_get_a_hash() {
    let world = stage().await;
    world.lake.put("a/t/f", "a,b\n1,2\n3,4\n");
    world.lake.put("b/t/f", "a,b\n1,2\n3,4\n");
    let targets = json!({"Targets": {"S3Targets": [{"Path": "s3://lake/a/t"}, {"Path": "s3://lake/b/t"}]}});
    world.root("CreateCrawler", crawler("c", "", targets)).await;
    crawled(&world, "c").await;
    crawled(&world, "c").await;
    let names: Vec<_> = tables(&world).await.iter().map(|table| table.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 2);
    assert!(names[0] == "t" && names[1].starts_with("t_") && names[1].len() == 34, "{names:?}");
}

#[tokio::test]
async fn a_crawl_that_may_not_read_fails_with_a_sentence() {
    let world = stage().await;
    days(&world, 1..=1);
    world.root("CreateCrawler", crawler("c", "s3://lake/flights/", json!({"Role": "blind"}))).await;
    let last = crawl(&world, "c").await;
    assert_eq!(last["Status"], "FAILED");
    assert!(last["ErrorMessage"].as_str().unwrap().contains("s3:ListBucket"), "{last}");
    assert_eq!(last["LogGroup"], "/aws-glue/crawlers");
    // A role without rights on the catalog.
    world.people.add(&role(OWNER, "crawler"), &[says("Allow", "glue:Get*")], None);
    world.root("UpdateCrawler", json!({"Name": "c", "Role": "crawler"})).await;
    let last = crawl(&world, "c").await;
    assert!(last["ErrorMessage"].as_str().unwrap().contains("glue:CreateTable"), "{last}");
}

async fn code(world: &World, operation: &str, body: Value) -> String {
    world.call(caller(root(OWNER), None), operation, body).await.unwrap_err()
}

#[tokio::test]
async fn what_is_refused() {
    let world = stage().await;
    let role = json!("crawler");
    for (more, word) in [
        (json!({"Targets": {"JdbcTargets": [{"ConnectionName": "c", "Path": "p"}]}}), "JdbcTargets"),
        (json!({"Targets": {"DynamoDBTargets": [{"Path": "t"}]}}), "DynamoDBTargets"),
        (json!({"Targets": {"MongoDBTargets": [{"Path": "t"}]}}), "MongoDBTargets"),
        (json!({"Targets": {"DeltaTargets": [{"DeltaTables": ["t"]}]}}), "DeltaTargets"),
        (json!({"Targets": {"IcebergTargets": [{"Paths": ["t"]}]}}), "IcebergTargets"),
        (json!({"Targets": {"HudiTargets": [{"Paths": ["t"]}]}}), "HudiTargets"),
        (json!({"Targets": {}}), "At least one target"),
        (json!({"Targets": {"S3Targets": [{"Path": "s3://lake/*"}]}}), "path of an S3 target"),
        (json!({"Targets": {"S3Targets": [{"Path": "s3://lake/", "Exclusions": ["{a"]}]}}), "exclude pattern"),
        (json!({"Targets": {"S3Targets": [{"Path": "s3://lake/", "SampleSize": 250}]}}), "SampleSize"),
        (json!({"Targets": {"S3Targets": [{"Path": "s3://lake/", "ConnectionName": "c"}]}}), "ConnectionName"),
        (
            json!({"Targets": {"CatalogTargets": [{"DatabaseName": "db", "Tables": ["t"]}]}, "SchemaChangePolicy": {"DeleteBehavior": "DELETE_FROM_DATABASE"}}),
            "LOG",
        ),
        (json!({"Schedule": "rate(5 minutes)"}), "cron"),
        (json!({"Configuration": "{\"Version\":1.0,\"X\":1}"}), "X is not known"),
        (json!({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}), "EventQueueArn"),
        (
            json!({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}, "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE"}}),
            "CRAWL_NEW_FOLDERS_ONLY",
        ),
        (json!({"LineageConfiguration": {"CrawlerLineageSettings": "ENABLE"}}), "LineageConfiguration"),
        (json!({"LakeFormationConfiguration": {"UseLakeFormationCredentials": true}}), "LakeFormationConfiguration"),
        (json!({"CrawlerSecurityConfiguration": "s"}), "CrawlerSecurityConfiguration"),
        (json!({"Role": "nobody"}), "TrustPolicy"),
        (json!({"Role": "arn:aws:iam::1:user/x"}), "role"),
        (json!({"DatabaseName": ""}), "DatabaseName"),
        (json!({"Name": "a/b"}), "slash"),
    ] {
        let body = crawler("c", "s3://lake/", more.clone());
        let error = world.answer(caller(root(OWNER), None), "CreateCrawler", body).await.unwrap_err();
        assert_eq!(error.code, "InvalidInputException", "{more}");
        assert!(error.message.contains(word), "{more}: {}", error.message);
    }
    let with = crawler("c", "s3://lake/", json!({"Classifiers": ["none"], "Role": role}));
    assert_eq!(code(&world, "CreateCrawler", with).await, "EntityNotFoundException");
    world.root("CreateCrawler", crawler("c", "s3://lake/", json!({}))).await;
    assert_eq!(code(&world, "CreateCrawler", crawler("c", "s3://lake/", json!({}))).await, "AlreadyExistsException");
    for (operation, body, expected) in [
        ("GetCrawler", json!({"Name": "none"}), "EntityNotFoundException"),
        ("StopCrawler", json!({"Name": "c"}), "CrawlerNotRunningException"),
        ("StartCrawlerSchedule", json!({"CrawlerName": "c"}), "NoScheduleException"),
        ("GetClassifier", json!({"Name": "none"}), "EntityNotFoundException"),
        ("CreateClassifier", json!({"XMLClassifier": {"Name": "x", "Classification": "xml"}}), "InvalidInputException"),
        ("CreateClassifier", json!({}), "InvalidInputException"),
        ("CreateClassifier", json!({"JsonClassifier": {"Name": "x", "JsonPath": "$..a"}}), "InvalidInputException"),
        (
            "CreateClassifier",
            json!({"GrokClassifier": {"Name": "x", "Classification": "c", "GrokPattern": "%{NO:a}"}}),
            "InvalidInputException",
        ),
        (
            "CreateClassifier",
            json!({"CsvClassifier": {"Name": "x", "Delimiter": "|", "QuoteSymbol": "|"}}),
            "InvalidInputException",
        ),
        (
            "ListCrawls",
            json!({"CrawlerName": "c", "Filters": [{"FieldName": "STATE", "FilterOperator": "GT", "FieldValue": "x"}]}),
            "InvalidInputException",
        ),
        ("GetCrawlers", json!({"NextToken": "x"}), "InvalidInputException"),
    ] {
        assert_eq!(code(&world, operation, body.clone()).await, expected, "{operation} {body}");
    }
    world.root("StartCrawler", json!({"Name": "c"})).await;
    for (operation, body, expected) in [
        ("StartCrawler", json!({"Name": "c"}), "CrawlerRunningException"),
        ("UpdateCrawler", json!({"Name": "c"}), "CrawlerRunningException"),
        ("DeleteCrawler", json!({"Name": "c"}), "CrawlerRunningException"),
    ] {
        assert_eq!(code(&world, operation, body).await, expected, "{operation}");
    }
    world.root("StopCrawler", json!({"Name": "c"})).await;
    assert_eq!(code(&world, "StopCrawler", json!({"Name": "c"})).await, "CrawlerStoppingException");
    assert_eq!(ready(&world, "c").await["Status"], "CANCELLED");
}

#[tokio::test]
async fn who_may_pass_a_role() {
    let world = stage().await;
    let alice = user(OWNER, "alice");
    for (policies, expected) in [
        (vec![says("Allow", "glue:*")], Err("AccessDeniedException".to_owned())),
        (vec![says("Allow", "glue:*"), says("Allow", "iam:PassRole")], Ok(())),
    ] {
        world.people.add(&alice, &policies, None);
        let made =
            world.call(caller(alice.clone(), None), "CreateCrawler", crawler("c", "s3://lake/", json!({}))).await;
        assert_eq!(made.map(drop), expected, "{}", arn(&alice));
    }
}

#[tokio::test]
async fn classifiers_come_before_the_built_in_ones() {
    let world = stage().await;
    world.lake.put("t/a.txt", "1~x\n2~y\n");
    world.lake.put("g/a.log", "[7] it runs\n[8] it stops\n");
    let csv = json!({"Name": "tilde", "Delimiter": "~", "ContainsHeader": "ABSENT", "Header": ["id", "word"]});
    world.root("CreateClassifier", json!({"CsvClassifier": csv})).await;
    let grok = json!({"Name": "lines", "Classification": "special", "GrokPattern": "\\[%{INT:number:int}\\] %{TEXT:text}", "CustomPatterns": "TEXT (it .*)"});
    world.root("CreateClassifier", json!({"GrokClassifier": grok})).await;
    let shown = world.root("GetClassifier", json!({"Name": "tilde"})).await["Classifier"]["CsvClassifier"].clone();
    assert_eq!((shown["Version"].clone(), shown["Header"].clone()), (json!(1), json!(["id", "word"])));
    world.root("CreateCrawler", crawler("c", "s3://lake/", json!({"Classifiers": ["tilde", "lines"]}))).await;
    crawled(&world, "c").await;
    assert_eq!(tables(&world).await, ["g g/ []: number int, text string", "t t/ []: id bigint, word string"]);
    let serde = table(&world, "g").await["StorageDescriptor"]["SerdeInfo"].clone();
    assert_eq!(serde["SerializationLibrary"], "org.apache.hadoop.hive.serde2.RegexSerDe");
    assert_eq!(table(&world, "g").await["Parameters"]["classification"], "special");
    world.root("UpdateClassifier", json!({"CsvClassifier": {"Name": "tilde", "Header": ["number", "word"]}})).await;
    crawled(&world, "c").await;
    assert_eq!(tables(&world).await[1], "t t/ []: number bigint, word string");
    let names = world.root("GetClassifiers", json!({"MaxResults": 1})).await;
    assert!(names["NextToken"].is_string() && names["Classifiers"][0]["GrokClassifier"]["Name"] == "lines");
    world.root("DeleteClassifier", json!({"Name": "lines"})).await;
    assert_eq!(crawl(&world, "c").await["Status"], "FAILED");
}

#[tokio::test]
async fn schedules() {
    let world = stage().await;
    days(&world, 1..=1);
    world.root("CreateCrawler", crawler("c", "s3://lake/flights/", json!({"Schedule": "cron(0 * * * ? *)"}))).await;
    let shown = world.root("GetCrawler", json!({"Name": "c"})).await["Crawler"]["Schedule"].clone();
    assert_eq!(shown, json!({"ScheduleExpression": "cron(0 * * * ? *)", "State": "SCHEDULED"}));
    assert_eq!(code(&world, "StartCrawlerSchedule", json!({"CrawlerName": "c"})).await, "SchedulerRunningException");
    world.timers.run_due().await;
    assert_eq!(world.root("ListCrawls", json!({"CrawlerName": "c"})).await["Crawls"], json!([]));
    // Three hours pass unseen: one crawl.
    world.clock.set(Timestamp::from_seconds(1_800_000_000 + 3 * 3600 + 60));
    world.timers.run_due().await;
    assert_eq!(ready(&world, "c").await["Status"], "SUCCEEDED");
    world.timers.run_due().await;
    assert_eq!(world.root("ListCrawls", json!({"CrawlerName": "c"})).await["Crawls"].as_array().unwrap().len(), 1);
    world.root("StopCrawlerSchedule", json!({"CrawlerName": "c"})).await;
    assert_eq!(code(&world, "StopCrawlerSchedule", json!({"CrawlerName": "c"})).await, "SchedulerNotRunningException");
    world.clock.set(Timestamp::from_seconds(1_800_000_000 + 6 * 3600));
    world.timers.run_due().await;
    assert_eq!(world.root("ListCrawls", json!({"CrawlerName": "c"})).await["Crawls"].as_array().unwrap().len(), 1);
    world.root("UpdateCrawlerSchedule", json!({"CrawlerName": "c", "Schedule": "cron(30 * * * ? *)"})).await;
    world.clock.set(Timestamp::from_seconds(1_800_000_000 + 7 * 3600));
    world.timers.run_due().await;
    ready(&world, "c").await;
    let crawls = world.root("ListCrawls", json!({"CrawlerName": "c", "MaxResults": 1})).await;
    assert!(crawls["NextToken"].is_string());
    world.root("UpdateCrawler", json!({"Name": "c", "Schedule": ""})).await;
    assert!(world.root("GetCrawler", json!({"Name": "c"})).await["Crawler"]["Schedule"].is_null());
}

#[tokio::test]
async fn what_a_restart_finds() {
    let world = stage().await;
    days(&world, 1..=1);
    world.root("CreateCrawler", crawler("c", "s3://lake/flights/", json!({}))).await;
    world.root("StartCrawler", json!({"Name": "c"})).await;
    // It waited only: it runs after the start.
    let lake = world.lake.0.lock().unwrap().clone();
    let world = world.reopened().await;
    *world.lake.0.lock().unwrap() = lake;
    assert_eq!(ready(&world, "c").await["Status"], "SUCCEEDED");
    // It ran: it has failed.
    *world.schemas.0.lock().unwrap() = None;
    world.root("StartCrawler", json!({"Name": "c"})).await;
    world.glue.run_crawls(tokio::time::sleep(Duration::ZERO)).await;
    let world = world.reopened().await;
    let last = ready(&world, "c").await;
    let states = world.root("ListCrawls", json!({"CrawlerName": "c"})).await;
    if last["Status"] == "FAILED" {
        assert!(last["ErrorMessage"].as_str().unwrap().contains("The server stopped"), "{last}");
    }
    assert_eq!(states["Crawls"].as_array().unwrap().len(), 2);
    world.root("DeleteCrawler", json!({"Name": "c"})).await;
    assert_eq!(code(&world, "GetCrawler", json!({"Name": "c"})).await, "EntityNotFoundException");
}

#[tokio::test]
async fn lists_tags_and_figures() {
    let world = stage().await;
    world.lake.put("t/f", "a,b\n1,2\n3,4\n");
    for (name, tags) in [("one", json!({"team": "a"})), ("two", json!({}))] {
        world.root("CreateCrawler", crawler(name, "s3://lake/t/", json!({"Tags": tags}))).await;
    }
    let names = |found: Value| found["CrawlerNames"].clone();
    assert_eq!(names(world.root("ListCrawlers", json!({})).await), json!(["one", "two"]));
    assert_eq!(names(world.root("ListCrawlers", json!({"Tags": {"team": "a"}})).await), json!(["one"]));
    let got = world.root("BatchGetCrawlers", json!({"CrawlerNames": ["one", "none"]})).await;
    assert_eq!((got["Crawlers"].as_array().unwrap().len(), got["CrawlersNotFound"].clone()), (1, json!(["none"])));
    let first = world.root("GetCrawlers", json!({"MaxResults": 1})).await;
    let second = world.root("GetCrawlers", json!({"NextToken": first["NextToken"]})).await;
    assert_eq!(
        (first["Crawlers"][0]["Name"].clone(), second["Crawlers"][0]["Name"].clone()),
        (json!("one"), json!("two"))
    );
    let arn = format!("arn:aws:glue:{}:{OWNER}:crawler/two", world::REGION);
    world.root("TagResource", json!({"ResourceArn": arn, "TagsToAdd": {"team": "b"}})).await;
    assert_eq!(world.root("GetTags", json!({"ResourceArn": arn})).await["Tags"], json!({"team": "b"}));
    world.root("UntagResource", json!({"ResourceArn": arn, "TagsToRemove": ["team"]})).await;
    crawled(&world, "one").await;
    let metrics = world.root("GetCrawlerMetrics", json!({"CrawlerNameList": ["one"]})).await;
    assert_eq!(metrics["CrawlerMetricsList"][0]["TablesCreated"], 1);
    let failed = json!({"CrawlerName": "one", "Filters": [{"FieldName": "STATE", "FilterOperator": "EQ", "FieldValue": "FAILED"}]});
    assert_eq!(world.root("ListCrawls", failed).await["Crawls"], json!([]));
    let since = json!({"CrawlerName": "one", "Filters": [{"FieldName": "START_TIME", "FilterOperator": "GE", "FieldValue": "1800000000000"}]});
    assert_eq!(world.root("ListCrawls", since).await["Crawls"].as_array().unwrap().len(), 1);
}
