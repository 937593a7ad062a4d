"""Whole systems on tables: statements that people run over inventories, logs, bills, market data and exports."""

import gzip
import json

import pytest
from harness.athena import lake as new_lake
from harness.clients import client

pytestmark = pytest.mark.restarts  # the catalog is an account's, of which each server has one


@pytest.fixture
def lake(server, bucket):
    made = new_lake(server, bucket)
    yield made
    made.run("DROP DATABASE IF EXISTS {db} CASCADE")


INVENTORY = """
CREATE EXTERNAL TABLE IF NOT EXISTS
inventory (
    `bucket` string,
    key string,
    replication_status string
)
PARTITIONED BY (dt string)
ROW FORMAT DELIMITED
    FIELDS TERMINATED BY ','
    ESCAPED BY '\\\\'
    LINES TERMINATED BY '\\n'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat'
LOCATION 's3://{bucket}/inventory/hive';
"""


def test_an_inventory_behind_links(lake, s3):
    """A report lies as gzip CSV anywhere; a text in the partition's folder names its parts."""
    put = lambda key, body: s3.put_object(Bucket=lake.bucket, Key=key, Body=body)  # noqa: E731
    put("inventory/data/1.csv.gz", gzip.compress(b'"pond","a.txt","COMPLETED"\n"pond","b.txt",""\n'))
    put("inventory/data/2.csv.gz", gzip.compress(b'"pond","c.txt","FAILED"\n'))
    put("inventory/data/older.csv.gz", gzip.compress(b'"pond","a.txt",""\n'))
    links = f"s3://{lake.bucket}/inventory/data/1.csv.gz\ns3://{lake.bucket}/inventory/data/2.csv.gz\n"
    put("inventory/hive/dt=2019-02-24-04-00/symlink.txt", links.encode())
    put("inventory/hive/dt=2019-02-23-04-00/symlink.txt", f"s3://{lake.bucket}/inventory/data/older.csv.gz".encode())
    lake.done(INVENTORY)
    lake.done("MSCK REPAIR TABLE inventory;")
    rows = lake.rows("SELECT * FROM inventory where dt='2019-02-24-04-00' ORDER BY key;")
    # A delimited table keeps quotes.
    assert rows == [
        ['"pond"', '"a.txt"', '"COMPLETED"', "2019-02-24-04-00"],
        ['"pond"', '"b.txt"', '""', "2019-02-24-04-00"],
        ['"pond"', '"c.txt"', '"FAILED"', "2019-02-24-04-00"],
    ]
    rows = lake.rows("""
        SELECT bucket, key
        FROM inventory
        WHERE dt = '2019-02-24-04-00'
        AND (replication_status = '""'
        OR replication_status = '"FAILED"')
        ORDER BY 2
    """)
    assert rows == [['"pond"', '"b.txt"'], ['"pond"', '"c.txt"']]
    # A link whose object is gone names both.
    s3.delete_object(Bucket=lake.bucket, Key="inventory/data/2.csv.gz")
    reason = lake.fails("SELECT count(*) FROM inventory WHERE dt = '2019-02-24-04-00'")
    assert "inventory/data/2.csv.gz" in reason and "symlink.txt" in reason


ACCESS_LOG = """
CREATE EXTERNAL TABLE access_log(
BucketOwner varchar(256), Bucket varchar(256), RequestDateTime varchar(256), RemoteIP varchar(256), Requester varchar(256),
RequestID varchar(256), Operation varchar(256), Key varchar(256), RequestURI_operation varchar(256), RequestURI_key varchar(256),
RequestURI_httpProtoversion varchar(256), HTTPstatus varchar(256), ErrorCode varchar(256), BytesSent varchar(256),
ObjectSize varchar(256), TotalTime varchar(256), TurnAroundTime varchar(256), Referrer varchar(256), UserAgent varchar(256),
VersionId varchar(256))
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.RegexSerDe'
WITH SERDEPROPERTIES (
  'input.regex' = '([^ ]*) ([^ ]*) \\\\[(.*?)\\\\] ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) \\"([^ ]*) ([^ ]*) ([^ ]*)\\" (-|[0-9]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) (\\"[^\\"]*\\") ([^ ]*)'
  )
STORED AS TEXTFILE
LOCATION
  's3://{bucket}/accesslogs/';
"""
LOGGED = (
    '79a5 {bucket} [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 {id} REST.{verb}.OBJECT photos/{id}.jpg "{verb} /photos/{id}.jpg HTTP/1.1" '
    '{status} - {sent} {size} 70 10 "-" "S3Console/0.4, aws-internal/3" -'
)
BILL = """
CREATE EXTERNAL TABLE bill (
  lineitem_productcode string, lineitem_usagetype string, lineitem_resourceid string, lineitem_usageamount double,
  lineitem_unblendedcost double, lineitem_blendedcost double, product_productname string, product_productfamily string,
  product_fromlocation string, product_tolocation string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
LOCATION 's3://{bucket}/bill/' TBLPROPERTIES ('skip.header.line.count'='1')
"""
CHARGES = [
    ("AmazonS3", "TimedStorage-ByteHrs", "photos", 2048, 3.5, 3.25, "Amazon Simple Storage Service", "Storage", "", ""),
    ("AmazonS3", "Requests-Tier1", "photos", 1000, 0.5, 0.5, "Amazon Simple Storage Service", "API Request", "", ""),
    ("AmazonS3", "DataTransfer-Out-Bytes", "music", 512, 7, 6, "Amazon Simple Storage Service", "Data Transfer", "US East", "External"),
    ("AmazonEC2", "BoxUsage", "i-1", 24, 9, 9, "Amazon Elastic Compute Cloud", "Compute", "", ""),
]


def test_what_buckets_cost(lake, s3):
    """A bill, joined with what buckets hold and with who asked them for what."""
    lines = [
        LOGGED.format(bucket="photos", id="1A", verb="GET", status=200, sent=5120, size=5120),
        LOGGED.format(bucket="music", id="2B", verb="PUT", status=200, sent="-", size=7),
        "this line is none of a log",
    ]
    s3.put_object(Bucket=lake.bucket, Key="accesslogs/2019-02-06-00-00-00-AB", Body="\n".join(lines).encode())
    rows = ["product code,usage type,..."] + [",".join(f'"{value}"' for value in charge) for charge in CHARGES]
    s3.put_object(Bucket=lake.bucket, Key="bill/2019-02/report-1.csv.gz", Body=gzip.compress("\n".join(rows).encode()))
    s3.put_object(Bucket=lake.bucket, Key="held/a.csv", Body=b"photos,STANDARD\nmusic,GLACIER\n")
    lake.done(ACCESS_LOG)
    lake.done(BILL)
    lake.done("CREATE EXTERNAL TABLE held (bucket string, storage_class string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{bucket}/held'")
    assert lake.rows("SELECT count(*), count(bucket) FROM access_log") == [["3", "2"]]
    rows = lake.rows("SELECT bucket, requesturi_key, bytessent, useragent FROM access_log WHERE httpstatus = '200' ORDER BY bucket")
    agent = '"S3Console/0.4, aws-internal/3"'
    assert rows == [["music", "/photos/2B.jpg", "-", agent], ["photos", "/photos/1A.jpg", "5120", agent]]
    done = lake.done("""
        SELECT
          "lineitem_productcode",
          "lineitem_usagetype",
          "lineitem_resourceid",
          b."storage_class",
          SUM(CASE
            WHEN "lineitem_usagetype" like '%Byte%' THEN "lineitem_usageamount"/1024
            ELSE "lineitem_usageamount"
          END) as "Usage",
          CASE
            WHEN "lineitem_usagetype" like '%Byte%' THEN 'TBs'
            ELSE 'Requests'
          END as "Usage Units",
          sum("lineitem_blendedcost") as cost
        from bill a
          join held b
            on a.lineItem_ResourceId = b.bucket
        where "product_productname" = 'Amazon Simple Storage Service'
        group by
          "lineitem_productcode",
          "lineitem_usagetype",
          "lineitem_resourceid",
          b."storage_class"
        order by
          sum("lineitem_blendedcost") desc;
    """)
    names = ["lineitem_productcode", "lineitem_usagetype", "lineitem_resourceid", "storage_class", "Usage", "Usage Units", "cost"]
    assert lake.result(done) == [
        names,
        ["AmazonS3", "DataTransfer-Out-Bytes", "music", "GLACIER", "0.5", "TBs", "6.0"],
        ["AmazonS3", "TimedStorage-ByteHrs", "photos", "STANDARD", "2.0", "TBs", "3.25"],
        ["AmazonS3", "Requests-Tier1", "photos", "STANDARD", "1000.0", "Requests", "0.5"],
    ]
    for family, rest, expected in [
        ("= 'Data Transfer'", "product_fromlocation, product_tolocation", [["AmazonS3", "US East", "External", "REST.PUT.OBJECT", "200", "512.0", "7.0", "6.0"]]),
        ("<> 'Data Transfer'", "product_productfamily, lineitem_usagetype", [
            ["AmazonS3", "Storage", "TimedStorage-ByteHrs", "REST.GET.OBJECT", "200", "2048.0", "3.5", "3.25"],
            ["AmazonS3", "API Request", "Requests-Tier1", "REST.GET.OBJECT", "200", "1000.0", "0.5", "0.5"],
        ]),
    ]:  # fmt: skip
        rows = lake.rows(f"""
            SELECT
             lineitem_productcode
             ,{rest}
             ,b.operation
             ,b.httpstatus
             ,sum(lineitem_usageamount) usageamount
             ,sum(lineitem_unblendedcost) unblendedcost
             ,sum(lineitem_blendedcost) blendedcost
            FROM
            bill a
              JOIN access_log b
            ON
               a.lineItem_ResourceId = b.bucket
            WHERE
             a.lineitem_productcode = 'AmazonS3'
             AND a.product_productfamily {family}
            GROUP BY
             1,2,3,4,5
            ORDER BY
             usageamount desc;
        """)
        assert rows == expected


TRADES = """
CREATE EXTERNAL TABLE {name} (
  event_type string, `timestamp` bigint, ticker_pair string, trade_id bigint, price decimal(18,8), quantity decimal(18,8),
  buyer_order_id bigint, seller_order_id bigint, trade_timestamp bigint, buyer_market_maker boolean, m boolean)
PARTITIONED BY (pair string, year int, month int, day int)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://{{bucket}}/{name}/'
"""


def trade(number: int, price: str) -> dict:
    return {
        "event_type": "trade", "timestamp": 1571980320422 + number, "ticker_pair": "BTCUSDT", "trade_id": number, "price": price, "quantity": "3.20285300",
        "buyer_order_id": 730178987, "seller_order_id": 730178953, "trade_timestamp": 1571980320417 + number, "buyer_market_maker": False, "M": True,
    }  # fmt: skip


def test_market_data_of_two_recorders(lake, s3, server):
    """Two recorders of the same market each miss some trades; one query fills the gaps, and its result's arrival is an event."""
    sqs = client(server, "sqs")
    queue = sqs.create_queue(QueueName=f"results-{lake.bucket}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    rule = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "daily/"}, {"Name": "suffix", "Value": ".csv"}]}}}
    s3.put_bucket_notification_configuration(Bucket=lake.bucket, NotificationConfiguration={"QueueConfigurations": [rule]})
    for name, numbers in [("primary_trades", [1, 2, 4, 5]), ("replica_trades", [2, 3, 4, 6])]:
        lake.done(TRADES.format(name=name))
        for batch in (numbers[:2], numbers[2:]):
            body = "".join(json.dumps(trade(number, f"{7405 + number}.69000000")) + "\n" for number in batch)
            key = f"{name}/pair=BTCUSDT/year=2019/month=10/day=25/{batch[0]}.json.gz"
            s3.put_object(Bucket=lake.bucket, Key=key, Body=gzip.compress(body.encode()))
        s3.put_object(Bucket=lake.bucket, Key=f"{name}/pair=BTCUSDT/year=2019/month=10/day=26/x.json.gz", Body=gzip.compress(json.dumps(trade(99, "1")).encode()))
        lake.done(f"MSCK REPAIR TABLE {name}")
    day = "pair = 'BTCUSDT' AND year = 2019 AND month = 10 AND day = 25"
    done = lake.done(
        f"""
        WITH p AS (SELECT * FROM primary_trades WHERE {day}), r AS (SELECT * FROM replica_trades WHERE {day})
        SELECT DISTINCT
          coalesce(p.ticker_pair, r.ticker_pair) AS ticker_pair,
          coalesce(p.trade_id, r.trade_id) AS trade_id,
          coalesce(p.price, r.price) AS price,
          from_unixtime(coalesce(p.trade_timestamp, r.trade_timestamp) / 1000) AS traded
        FROM p FULL OUTER JOIN r ON p.trade_id = r.trade_id
        ORDER BY trade_id
        """,
        ResultConfiguration={"OutputLocation": f"s3://{lake.bucket}/daily/"},
    )
    rows = lake.result(done)
    assert [row[1] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert rows[1][0] == "BTCUSDT" and rows[1][2] == "7406.69000000" and rows[1][3].startswith("2019-10-25 05:12:00.000")
    location = done["ResultConfiguration"]["OutputLocation"]
    assert location.startswith(f"s3://{lake.bucket}/daily/") and location.endswith(".csv")
    told = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]["Body"]
    while "Records" not in json.loads(told):  # the test event
        told = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]["Body"]
    key = json.loads(told)["Records"][0]["s3"]["object"]["key"]
    assert location.endswith(key)
    # What is renamed for customers is the same result.
    s3.copy_object(Bucket=lake.bucket, Key="published/2019-10-25.csv", CopySource={"Bucket": lake.bucket, "Key": key})
    assert s3.get_object(Bucket=lake.bucket, Key="published/2019-10-25.csv")["Body"].read().count(b"\n") == 7
    # Only the day that was asked for was read.
    day_bytes = sum(o["Size"] for n in ("primary_trades", "replica_trades") for o in s3.list_objects_v2(Bucket=lake.bucket, Prefix=f"{n}/pair=BTCUSDT/year=2019/month=10/day=25/")["Contents"])
    assert done["Statistics"]["DataScannedInBytes"] == day_bytes


def test_a_view_of_the_latest_export(lake, s3):
    """Exports lie in a folder each; a view names the latest one, so that nobody else has to."""
    s3.put_object(Bucket=lake.bucket, Key="exports/snapshots_reviews/snapshot_timestamp=2019-01-10T23:26/a.json", Body=b'{"id": "1", "stars": 3}\n')
    s3.put_object(Bucket=lake.bucket, Key="exports/snapshots_reviews/snapshot_timestamp=2019-01-11T23:26/a.json", Body=b'{"id": "1", "stars": 4}\n{"id": "2", "stars": 5}\n')
    lake.done("""
        CREATE EXTERNAL TABLE snapshots_reviews (id string, stars bigint) PARTITIONED BY (snapshot_timestamp string)
        ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' LOCATION 's3://{bucket}/exports/snapshots_reviews/'
    """)
    lake.done("MSCK REPAIR TABLE snapshots_reviews")
    assert lake.rows('SELECT count(*) FROM "{db}"."snapshots_reviews"') == [["3"]]
    for latest, stars in [("2019-01-10T23:26", [["1", "3"]]), ("2019-01-11T23:26", [["1", "4"], ["2", "5"]])]:
        lake.done(f"""CREATE OR REPLACE VIEW "reviews" AS SELECT * FROM "{{db}}"."snapshots_reviews" WHERE snapshot_timestamp = '{latest}'""")
        assert lake.rows('SELECT id, stars FROM "{db}"."reviews" ORDER BY id limit 10;') == stars
