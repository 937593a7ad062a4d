"""Crawlers of AWS Glue with boto3: what they find in buckets, as whom, and that Athena reads what they write. What each operation needs, and what is
refused, is tested in crates/svc-glue/tests."""

import gzip
import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError
from harness.clients import client, s3_client
from harness.identities import User, allow, document, name, statement, trust
from harness.server import ACCOUNT, Server

pytestmark = pytest.mark.restarts  # the catalog is an account's, of which each server has one

LOGS = statement("Allow", "logs:*", "*")


def role(server, *statements, service="glue.amazonaws.com"):
    """A role that crawlers act as; without statements, one that may do all that they need."""
    iam, called = client(server, "iam"), name("crawler")
    iam.create_role(RoleName=called, AssumeRolePolicyDocument=trust({"Service": service}))
    policy = document(*statements) if statements else document(statement("Allow", ["s3:*", "glue:*", "logs:*", "sqs:*", "kms:*"], "*"))
    iam.put_role_policy(RoleName=called, PolicyName="p", PolicyDocument=policy)
    return called


class Lake:
    """A bucket, a database, and crawlers that fill it."""

    def __init__(self, server, bucket):
        self.server, self.bucket, self.database = server, bucket, f"db_{uuid.uuid4().hex}"
        self.glue, self.s3, self.athena = client(server, "glue"), s3_client(server), client(server, "athena")

    def put(self, key, body):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def crawler(self, path="", **more):
        called = name("crawl")
        settings = {
            "Name": called, "Role": more.pop("Role", None) or role(self.server), "DatabaseName": self.database,
            "Targets": {"S3Targets": [{"Path": f"s3://{self.bucket}/{path}"}]},
        }  # fmt: skip
        self.glue.create_crawler(**{**settings, **more})
        return called

    def wait(self, called, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            shown = self.glue.get_crawler(Name=called)["Crawler"]
            if shown["State"] == "READY" and "LastCrawl" in shown:
                return shown["LastCrawl"]
            time.sleep(0.05)
        raise AssertionError(f"{called} does not come to its end: {shown}")

    def crawl(self, called, status="SUCCEEDED"):
        self.glue.start_crawler(Name=called)
        last = self.wait(called)
        assert last["Status"] == status, last
        return last

    def table(self, called):
        table = self.glue.get_table(DatabaseName=self.database, Name=called)["Table"]
        return [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]], table

    def tables(self):
        return [table["Name"] for table in self.glue.get_tables(DatabaseName=self.database)["TableList"]]

    def rows(self, statement):
        started = self.athena.start_query_execution(
            QueryString=statement, QueryExecutionContext={"Database": self.database},
            ResultConfiguration={"OutputLocation": f"s3://{self.bucket}/_results/"},
        )["QueryExecutionId"]  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until:
            status = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.05)
        assert status["State"] == "SUCCEEDED", status
        rows = self.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]


@pytest.fixture
def lake(server, bucket):
    return Lake(server, bucket)


def day(month, number, flights=3):
    head = "FL_DATE,OP-CARRIER,ORIGIN,DEST,DEP_DELAY,DISTANCE,CANCELLED\n"
    line = "2019-{0:02}-{1:02},{2},JFK,LAX,{3},{4}.5,false\n"
    return head + "".join(line.format(month, number, "AA" if n % 2 else "UA", n - 1 if n else "", 100 * n) for n in range(flights))


def test_daily_files_are_found_and_read(lake):
    for month in (1, 2):
        for number in (1, 2):
            lake.put(f"flights/year=2019/month={month:02}/day={number:02}/flights.csv", day(month, number))
    # A day without flights, one that is compressed, and what is no data.
    lake.put("flights/year=2019/month=02/day=03/flights.csv", day(2, 3, 0))
    lake.put("flights/year=2019/month=02/_SUCCESS", b"")
    called = lake.crawler("flights/", TablePrefix="raw_")
    assert lake.glue.get_crawler(Name=called)["Crawler"]["State"] == "READY"
    lake.crawl(called)
    columns, table = lake.table("raw_flights")
    assert columns == [
        ("fl_date", "date"), ("op_carrier", "string"), ("origin", "string"), ("dest", "string"),
        ("dep_delay", "bigint"), ("distance", "double"), ("cancelled", "boolean"),
    ]  # fmt: skip
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("year", "string"), ("month", "string"), ("day", "string")]
    assert (table["Parameters"]["classification"], table["Parameters"]["objectCount"], table["Parameters"]["recordCount"]) == ("csv", "5", "12")
    shown = [row[0] for row in lake.rows("SHOW PARTITIONS raw_flights")]
    assert shown == [f"year=2019/month={day[:2]}/day={day[3:]}" for day in ("01/01", "01/02", "02/01", "02/02", "02/03")]
    found = lake.rows("SELECT month, count(*), sum(dep_delay), max(distance) FROM raw_flights WHERE op_carrier = 'UA' GROUP BY month ORDER BY month")
    assert found[1:] == [["01", "4", "2", "200.5"], ["02", "4", "2", "200.5"]]
    lake.put("flights/year=2019/month=03/day=01/flights.csv", day(3, 1))
    lake.crawl(called)
    assert len(lake.rows("SHOW PARTITIONS raw_flights")) == 6
    assert lake.rows("SELECT count(*) FROM raw_flights WHERE month = '03'")[1:] == [["3"]]
    crawls = lake.glue.list_crawls(CrawlerName=called)["Crawls"]
    assert [crawl["State"] for crawl in crawls] == ["COMPLETED", "COMPLETED"]
    assert json.loads(crawls[0]["Summary"])["PARTITION"]["ADD"]["Count"] == 1
    assert json.loads(crawls[1]["Summary"])["TABLE"]["ADD"]["Details"]["names"] == ["raw_flights"]
    metrics = lake.glue.get_crawler_metrics(CrawlerNameList=[called])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["TablesUpdated"], metrics["StillEstimating"]) == (0, 1, False)
    logs = client(lake.server, "logs")
    told = logs.get_log_events(logGroupName="/aws-glue/crawlers", logStreamName=called)["events"]
    assert any("Created the table raw_flights" in line["message"] for line in told)
    assert {line["message"][1:37] for line in told} == {crawl["CrawlId"] for crawl in crawls}


def test_formats_of_all_kinds_are_read_as_they_are(lake):
    lake.put("all/birds/a.json", b'{"Name":"owl","user-id":7,"nest":{"eggs":[1,2]}}\n{"Name":"wren","user-id":8}\n')
    lake.put("all/quoted/a.csv", b'id,text\n1,"one, two"\n2,"three"\n')
    lake.put("all/zipped/a.csv.gz", gzip.compress(b"a|b\n1|x\n2|y\n"))
    lake.put("all/web/access.log", b'10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "-" "curl"\n' * 3)
    lake.put("all/odd/one.csv", b"a,b\n1,2\n3,4\n")
    lake.put("all/odd/two.csv", b"x;y;z\n1;2;t\n3;4;u\n")
    lake.put("all/binary/a.bin", b"\0\1\2")
    lake.crawl(lake.crawler("all/"))
    assert lake.tables() == ["birds", "one_csv", "quoted", "two_csv", "web", "zipped"]
    assert lake.table("birds")[0] == [("name", "string"), ("user_id", "int"), ("nest", "struct<eggs:array<int>>")]
    assert lake.rows("SELECT name, user_id, nest.eggs[2] FROM birds ORDER BY user_id")[1:] == [["owl", "7", "2"], ["wren", "8", None]]
    assert lake.rows("SELECT id, text FROM quoted ORDER BY id")[1:] == [["1", "one, two"], ["2", "three"]]
    assert lake.rows("SELECT sum(a) FROM zipped")[1:] == [["3"]]
    assert lake.table("zipped")[1]["Parameters"]["compressionType"] == "gzip"
    assert lake.table("web")[1]["Parameters"]["classification"] == "combined_apache"
    assert lake.rows("SELECT DISTINCT clientip, verb, response, agent FROM web")[1:] == [["10.0.0.1", "GET", "200", '"curl"']]
    assert lake.rows("SELECT sum(a) FROM one_csv")[1:] == [["4"]]
    assert lake.rows("SELECT count(*) FROM two_csv")[1:] == [["2"]]


def test_plain_folders_and_what_a_configuration_says(lake):
    for folder in ("2019/01", "2019/02", "2020/01"):
        lake.put(f"plain/{folder}/a.json", b'{"a":1,"b":"x"}\n')
    lake.crawl(lake.crawler("plain/"))
    assert [key["Name"] for key in lake.table("plain")[1]["PartitionKeys"]] == ["partition_0", "partition_1"]
    assert [row[0] for row in lake.rows("SHOW PARTITIONS plain")] == ["partition_0=2019/partition_1=01", "partition_0=2019/partition_1=02", "partition_0=2020/partition_1=01"]
    lake.put("apart/year=2017/a.json", b'{"a":1,"b":2}\n')
    lake.put("apart/year=2018/a.json", b'{"c":1,"d":2}\n')
    lake.crawl(lake.crawler("apart/"))
    assert lake.tables() == ["plain", "year_2017", "year_2018"]
    grouped = json.dumps({"Version": 1.0, "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}})
    lake.crawl(lake.crawler("apart/", Configuration=grouped))
    assert [column for column, _ in lake.table("apart")[0]] == ["a", "b", "c", "d"]
    assert lake.rows("SELECT year, a, d FROM apart ORDER BY year")[1:] == [["2017", "1", None], ["2018", None, "2"]]
    for key in ("level/x/1/a.json", "level/y/1/a.json"):
        lake.put(key, b'{"k":1}\n')
    level = json.dumps({"Version": 1.0, "Grouping": {"TableLevelConfiguration": 3}})
    lake.crawl(lake.crawler("level/", Configuration=level))
    assert {"x", "y"} <= set(lake.tables())


def test_classifiers(lake):
    glue = lake.glue
    words, lines = name("words"), name("lines")
    glue.create_classifier(CsvClassifier={"Name": words, "Delimiter": "~", "ContainsHeader": "ABSENT", "Header": ["id", "word"]})
    glue.create_classifier(GrokClassifier={"Name": lines, "Classification": "special", "GrokPattern": r"\[%{INT:number:int}\] %{GREEDYDATA:text}"})
    lake.put("own/t/a.txt", b"1~x\n2~y\n")
    lake.put("own/g/a.log", b"[7] it runs\n[8] it stops\n")
    lake.crawl(lake.crawler("own/", Classifiers=[words, lines]))
    assert lake.rows("SELECT id, word FROM t ORDER BY id")[1:] == [["1", "x"], ["2", "y"]]
    assert lake.rows("SELECT number, text FROM g ORDER BY number")[1:] == [["7", "it runs"], ["8", "it stops"]]
    glue.update_classifier(CsvClassifier={"Name": words, "Header": ["number", "word"]})
    assert glue.get_classifier(Name=words)["Classifier"]["CsvClassifier"]["Version"] == 2
    with pytest.raises(ClientError) as error:
        glue.create_classifier(XMLClassifier={"Name": name("x"), "Classification": "xml", "RowTag": "r"})
    assert error.value.response["Error"]["Code"] == "InvalidInputException" and "XMLClassifier" in str(error.value)
    assert {words, lines} <= {next(iter(one.values()))["Name"] for page in glue.get_paginator("get_classifiers").paginate() for one in page["Classifiers"]}
    glue.delete_classifier(Name=words)
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_classifier(Name=words)


def test_a_crawler_has_the_rights_of_its_role_and_no_others(server, lake):
    lake.put("t/a.csv", b"a,b\n1,2\n3,4\n")
    bucket = f"arn:aws:s3:::{lake.bucket}"
    catalog = statement("Allow", "glue:*", "*")
    for statements, word in [
        ([catalog, LOGS], "s3:ListBucket"),
        ([catalog, LOGS, statement("Allow", "s3:ListBucket", bucket)], "s3:GetObject"),
        ([statement("Allow", "s3:*", "*"), LOGS], "glue:"),
        ([statement("Allow", "s3:*", "*"), statement("Allow", "glue:Get*", "*")], "glue:Create"),
    ]:
        last = lake.crawl(lake.crawler("t/", Role=role(server, *statements)), "FAILED")
        assert word in last["ErrorMessage"], (word, last)
    enough = [catalog, statement("Allow", "s3:ListBucket", bucket), statement("Allow", "s3:GetObject", f"{bucket}/t/*")]
    lake.crawl(lake.crawler("t/", Role=role(server, *enough)))
    assert lake.tables() == ["t"]
    # Whom the role does not trust, and who may not pass it.
    with pytest.raises(lake.glue.exceptions.InvalidInputException) as error:
        lake.crawler("t/", Role=role(server, service="lambda.amazonaws.com"))
    assert "TrustPolicy" in str(error.value)
    user = User(server, client(server, "iam"), allow("glue:*"))
    settings = {"Name": name("crawl"), "Role": role(server), "DatabaseName": "d", "Targets": {"S3Targets": [{"Path": f"s3://{lake.bucket}/"}]}}
    with pytest.raises(ClientError) as error:
        user.client("glue").create_crawler(**settings)
    assert error.value.response["Error"]["Code"] == "AccessDeniedException" and "iam:PassRole" in str(error.value)


def test_refusals(lake):
    glue = lake.glue
    called = lake.crawler("t/")
    for settings, word in [
        ({"Targets": {"JdbcTargets": [{"ConnectionName": "c", "Path": "db/%"}]}}, "JdbcTargets"),
        ({"Targets": {"IcebergTargets": [{"Paths": ["s3://b/"]}]}}, "IcebergTargets"),
        ({"Schedule": "rate(1 hour)"}, "cron"),
        ({"Configuration": "{}"}, "Version"),
        ({"Configuration": '{"Version": 1.0, "CreatePartitionIndex": true}'}, "CreatePartitionIndex"),
    ]:
        with pytest.raises(glue.exceptions.InvalidInputException) as error:
            glue.update_crawler(Name=called, **settings)
        assert word in str(error.value)
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        lake.crawler("t/", Name=called)
    with pytest.raises(glue.exceptions.CrawlerNotRunningException):
        glue.stop_crawler(Name=called)
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.start_crawler(Name="none")
    glue.delete_crawler(Name=called)
    assert glue.batch_get_crawlers(CrawlerNames=[called])["CrawlersNotFound"] == [called]


def test_events_tell_what_is_new(server, lake):
    sqs = client(server, "sqs")
    made = name("news")
    url = sqs.create_queue(QueueName=made)["QueueUrl"]
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{made}"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    lake.s3.put_bucket_notification_configuration(Bucket=lake.bucket, NotificationConfiguration={
        "QueueConfigurations": [{"QueueArn": queue, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                                 "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "t/"}]}}}]})  # fmt: skip
    for number in (1, 2):
        lake.put(f"t/day={number}/a.csv", b"a,b\n1,2\n3,4\n")
    dead = name("dead")
    dead_url = sqs.create_queue(QueueName=dead)["QueueUrl"]
    target = {"Path": f"s3://{lake.bucket}/t/", "EventQueueArn": queue, "DlqEventQueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{dead}"}
    targets = {"S3Targets": [target]}
    policies = {"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}, "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"}}
    called = lake.crawler(Targets=targets, **policies)
    lake.crawl(called)
    assert [row[0] for row in lake.rows("SHOW PARTITIONS t")] == ["day=1", "day=2"]

    def quiet():
        """Until all that was put and deleted is told."""
        until = time.monotonic() + 20
        waits = lambda: int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]["ApproximateNumberOfMessages"])  # noqa: E731
        while time.monotonic() < until and waits() < 4:
            time.sleep(0.1)

    lake.put("t/day=3/a.csv", b"a,b,c\n1,2,x\n3,4,y\n")
    lake.put("t/day=9/with a blank.csv", b"a,b\n1,2\n3,4\n")
    sqs.send_message(QueueUrl=url, MessageBody="no notification")
    lake.s3.delete_object(Bucket=lake.bucket, Key="t/day=1/a.csv")
    quiet()
    lake.crawl(called)
    assert [row[0] for row in lake.rows("SHOW PARTITIONS t")] == ["day=2", "day=3", "day=9"]
    assert lake.table("t")[0] == [("a", "bigint"), ("b", "bigint"), ("c", "string")]
    assert lake.rows("SELECT sum(a), max(c) FROM t")[1:] == [["12", "y"]]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = lambda: set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())  # noqa: E731
    # A message may come late, and is the next crawl's.
    for _ in range(5):
        lake.crawl(called)
        if left() == {"0"}:
            break
    assert left() == {"0"}
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=dead_url, WaitTimeSeconds=10)["Messages"]] == ["no notification"]
    lake.crawl(called)
    assert json.loads(lake.glue.list_crawls(CrawlerName=called)["Crawls"][0]["Summary"]) == {}


def test_schedules(lake):
    lake.put("t/a.csv", b"a,b\n1,2\n3,4\n")
    called = lake.crawler("t/", Schedule="cron(* * * * ? *)")
    assert lake.glue.get_crawler(Name=called)["Crawler"]["Schedule"] == {"ScheduleExpression": "cron(* * * * ? *)", "State": "SCHEDULED"}
    assert lake.wait(called, 90)["Status"] == "SUCCEEDED"
    lake.glue.stop_crawler_schedule(CrawlerName=called)
    assert lake.glue.get_crawler(Name=called)["Crawler"]["Schedule"]["State"] == "NOT_SCHEDULED"
    with pytest.raises(lake.glue.exceptions.SchedulerNotRunningException):
        lake.glue.stop_crawler_schedule(CrawlerName=called)
    lake.glue.update_crawler_schedule(CrawlerName=called, Schedule="cron(0 0 1 1 ? *)")
    assert lake.glue.get_crawler(Name=called)["Crawler"]["Version"] == 2


def test_parquet_is_described_by_a_worker(lake):
    """A file that is none is left out, and what it does to its reader is nobody else's."""
    lake.put("p/good/a.csv", b"a,b\n1,2\n3,4\n")
    lake.put("p/bad/a.parquet", b"PAR1" + b"\xff" * 100 + b"\x40\x00\x00\x00PAR1")
    lake.put("p/worse/a.parquet", b"PAR1")
    lake.crawl(lake.crawler("p/"))
    assert lake.tables() == ["good"]


def test_what_is_interrupted_has_failed(tmp_path):
    with Server(tmp_path / "data") as server:
        lake = Lake(server, "interrupted")
        lake.s3.create_bucket(Bucket=lake.bucket)
        for number in range(300):
            lake.put(f"t/d={number}/a.csv", b"a,b\n1,2\n3,4\n")
        called = lake.crawler("t/")
        lake.glue.start_crawler(Name=called)
        time.sleep(0.15)
        server.kill()
        server.start()
        lake.glue, lake.s3, lake.athena = client(server, "glue"), s3_client(server), client(server, "athena")
        last = lake.wait(called)
        assert last["Status"] in ("FAILED", "SUCCEEDED")
        if last["Status"] == "FAILED":
            assert "The server stopped" in last["ErrorMessage"]
        lake.crawl(called)
        assert len(lake.rows("SHOW PARTITIONS t")) == 300
