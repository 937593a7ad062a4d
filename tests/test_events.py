"""Amazon EventBridge with boto3 and the aws CLI. Who may do what, time that moves and what is dead-lettered for which reason are tested in
crates/svc-events/tests as well; what a killed server keeps in test_events_crash.py."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
from harness.clients import client, refused
from harness.hook import Quiet
from harness.identities import User, allow, bus_role, document, name, trust
from harness.identity import client as client_of
from harness.identity import new_account
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

SECONDS = 60


@pytest.fixture(scope="module")
def events(server):
    return client(server, "events")


@pytest.fixture(scope="module")
def sqs(server):
    return client(server, "sqs")


class Queue:
    """A queue that lets events in, and everything that came."""

    def __init__(self, sqs, suffix: str = "", **attributes):
        self.sqs, self.came = sqs, []
        self.url = sqs.create_queue(QueueName=name("q") + suffix, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.url.rsplit('/', 1)[1]}"
        self.let_in({"Service": "events.amazonaws.com"})

    def let_in(self, principal, **more):
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": self.arn, **more}
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": document(statement)})

    def take(self, wait: int = 1) -> list[dict]:
        got = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages", [])
        for message in got:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        self.came += got
        return got

    def messages(self, count: int) -> list[dict]:
        deadline = time.monotonic() + SECONDS
        while len(self.came) < count and time.monotonic() < deadline:
            self.take()
        assert len(self.came) >= count, f"{len(self.came)} of {count} came"
        self.take(0)
        assert len(self.came) == count, self.came
        return self.came

    def events(self, count: int) -> list[dict]:
        return [json.loads(message["Body"]) for message in self.messages(count)]


@pytest.fixture
def queue(sqs) -> Queue:
    return Queue(sqs)


@pytest.fixture
def bus(events) -> str:
    made = name("bus")
    events.create_event_bus(Name=made)
    return made


def rule(events, bus: str, pattern: dict, *targets: dict, **more) -> str:
    made = name("rule")
    events.put_rule(Name=made, EventBusName=bus, EventPattern=json.dumps(pattern), **more)
    targets = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    assert events.put_targets(Rule=made, EventBusName=bus, Targets=targets)["FailedEntryCount"] == 0
    return made


def put(events, bus: str, detail, source: str = "custom.myATMapp", kind: str = "transaction", **more) -> str:
    entry = {"EventBusName": bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail), **more}
    answer = events.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer
    return answer["Entries"][0]["EventId"]


# The patterns of the article "Reducing custom code by using advanced rules in Amazon EventBridge". Its typographic quotes are straight here.
ATM = {
    "all": {"source": ["custom.myATMapp"]},
    "over 300": {
        "source": ["custom.myATMapp"],
        "detail-type": ["transaction"],
        "detail": {"amount": [{"numeric": [">", 300]}]},
    },
    "New York City": {
        "source": ["custom.myATMapp"],
        "detail-type": ["transaction"],
        "detail": {"location": [{"prefix": "NY-NYC-"}]},
    },
    "partner": {
        "source": ["custom.myATMapp"],
        "detail-type": ["transaction"],
        "detail": {"partnerBank": [{"exists": True}]},
    },
    "combined": {
        "source": ["custom.myATMapp"],
        "detail-type": ["transaction"],
        "detail": {
            "result": ["approved"],
            "partnerBank": [{"exists": False}],
            "location": [{"anything-but": "NY-NYC-002"}],
        },
    },
}
ATM_EVENT = {
    "action": "withdrawal",
    "location": "NY-NYC-001",
    "amount": 300,
    "result": "approved",
    "transactionId": "123456",
    "cardPresent": True,
    "partnerBank": "Example Bank",
    "remainingFunds": 722.34,
}


def test_the_patterns_of_the_bank(events, sqs, bus):
    queues = {title: Queue(sqs) for title in ATM}
    for title, pattern in ATM.items():
        rule(events, bus, pattern, {"Arn": queues[title].arn})
    without = {key: value for key, value in ATM_EVENT.items() if key != "partnerBank"}
    sent = {
        "as printed": (ATM_EVENT, {"all", "New York City", "partner"}),
        "large": ({**ATM_EVENT, "amount": 301}, {"all", "over 300", "New York City", "partner"}),
        "Albany": ({**ATM_EVENT, "location": "NY-ALB-001"}, {"all", "partner"}),
        "own bank": (without, {"all", "New York City", "combined"}),
        "own bank, excepted": ({**without, "location": "NY-NYC-002"}, {"all", "New York City"}),
        "own bank, denied": ({**without, "result": "denied"}, {"all", "New York City"}),
    }
    expected: dict[str, set[str]] = {title: set() for title in ATM}
    for detail, titles in sent.values():
        event = put(events, bus, detail)
        for title in titles:
            expected[title].add(event)
    put(events, bus, ATM_EVENT, source="other")
    for title, ids in expected.items():
        assert {event["id"] for event in queues[title].events(len(ids))} == ids, title
    event = queues["all"].events(len(sent))[0]
    assert set(event) == {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
    assert event["account"] == ACCOUNT and event["resources"] == [] and event["detail"]["remainingFunds"] == 722.34


def test_the_comparison_operators(events):
    for pattern, detail, expected in [
        ({"UserID": [None]}, {"UserID": None}, True),
        ({"UserID": [None]}, {"UserID": ""}, False),
        ({"LastName": [""]}, {"LastName": ""}, True),
        ({"Name": ["Alice"]}, {"Name": "Alice"}, True),
        ({"Location": ["New York"], "Day": ["Monday"]}, {"Location": "New York", "Day": "Tuesday"}, False),
        ({"PaymentType": ["Credit", "Debit"]}, {"PaymentType": "Debit"}, True),
        ({"Weather": [{"anything-but": ["Raining"]}]}, {"Weather": "Sunny"}, True),
        ({"Price": [{"numeric": ["=", 100]}]}, {"Price": 100.0}, True),
        ({"Price": [{"numeric": [">", 10, "<=", 20]}]}, {"Price": 20}, True),
        ({"Price": [{"numeric": [">", 10, "<=", 20]}]}, {"Price": 10}, False),
        ({"ProductName": [{"exists": True}]}, {"ProductName": "x"}, True),
        ({"ProductName": [{"exists": False}]}, {}, True),
        ({"Region": [{"prefix": "us-"}]}, {"Region": "us-east-1"}, True),
    ]:
        event = {
            "id": "1",
            "account": ACCOUNT,
            "source": "s",
            "time": "2020-01-01T00:00:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail-type": "t",
            "detail": detail,
        }
        found = events.test_event_pattern(EventPattern=json.dumps({"detail": pattern}), Event=json.dumps(event))
        assert found["Result"] is expected, (pattern, detail)


S3_A = {
    "source": ["aws.s3"],
    "detail-type": ["AWS API Call via CloudTrail"],
    "detail": {
        "eventSource": ["s3.amazonaws.com"],
        "eventName": ["PutObject"],
        "requestParameters": {"bucketName": [{"prefix": "myApp-"}]},
    },
}
S3_B = {
    "source": ["aws.s3"],
    "detail-type": ["AWS API Call via CloudTrail"],
    "detail": {
        "eventSource": ["s3.amazonaws.com"],
        "eventName": ["GetObject"],
        "userAgent": ["userAgent"],
        "requestParameters": {"bucketName": ["mybucket"]},
    },
}


def test_the_patterns_of_object_storage(events):
    """As rules with five and more targets; what they match is tried here, as only services put such events."""
    made = name("s3")
    for number, pattern in enumerate([S3_A, S3_B]):
        events.put_rule(Name=f"{made}-{number}", EventPattern=json.dumps(pattern))
        assert json.loads(events.describe_rule(Name=f"{made}-{number}")["EventPattern"]) == pattern
    targets = [{"Id": str(n), "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:consumer-{n}"} for n in range(8)]
    assert events.put_targets(Rule=f"{made}-1", Targets=targets)["FailedEntryCount"] == 0
    listed = events.list_targets_by_rule(Rule=f"{made}-1", Limit=5)
    rest = events.list_targets_by_rule(Rule=f"{made}-1", NextToken=listed["NextToken"])
    assert [target["Id"] for target in listed["Targets"] + rest["Targets"]] == [str(n) for n in range(8)]

    def matches(pattern, event, bucket, agent="userAgent"):
        whole = {
            "id": "1",
            "account": ACCOUNT,
            "source": "aws.s3",
            "time": "2020-01-01T00:00:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail-type": "AWS API Call via CloudTrail",
            "detail": {
                "eventSource": "s3.amazonaws.com",
                "eventName": event,
                "userAgent": agent,
                "requestParameters": {"bucketName": bucket},
            },
        }
        return events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(whole))["Result"]

    assert matches(S3_A, "PutObject", "myApp-images") and matches(S3_A, "PutObject", "myApp-archive")
    assert not matches(S3_A, "PutObject", "myapp-images") and not matches(S3_A, "GetObject", "myApp-images")
    assert matches(S3_B, "GetObject", "mybucket") and not matches(S3_B, "GetObject", "mybucket", "curl")


def test_buses_rules_and_their_lists(events, bus):
    assert events.describe_event_bus()["Name"] == "default"
    described = events.describe_event_bus(Name=bus)
    assert described["Arn"] == f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{bus}"
    assert {"default", bus} <= {one["Name"] for one in events.list_event_buses()["EventBuses"]}
    arns = [
        events.put_rule(Name=f"r{n}", EventBusName=bus, EventPattern='{"source":["a"]}', Tags=[{"Key": "k", "Value": "v"}])["RuleArn"]
        for n in range(5)
    ]
    assert arns[0] == f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{bus}/r0"
    pages, token = [], {}
    while token is not None:
        page = events.list_rules(EventBusName=bus, Limit=2, **token)
        pages.append([one["Name"] for one in page["Rules"]])
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert pages == [["r0", "r1"], ["r2", "r3"], ["r4"]]
    events.tag_resource(ResourceARN=arns[0], Tags=[{"Key": "other", "Value": "w"}])
    events.untag_resource(ResourceARN=arns[0], TagKeys=["k"])
    assert events.list_tags_for_resource(ResourceARN=arns[0])["Tags"] == [{"Key": "other", "Value": "w"}]
    events.disable_rule(Name="r0", EventBusName=bus)
    described = events.describe_rule(Name="r0", EventBusName=bus)
    assert (described["State"], described["CreatedBy"]) == ("DISABLED", ACCOUNT)
    with refused("ResourceNotFoundException", 400) as error:
        events.describe_rule(Name="none", EventBusName=bus)
    assert error["Error"]["Message"] == f"Rule none does not exist on EventBus {bus}."
    with refused("ValidationException") as error:
        events.delete_event_bus(Name=bus)
    for n in range(5):
        events.delete_rule(Name=f"r{n}", EventBusName=bus)
    events.delete_event_bus(Name=bus)
    with refused("ResourceNotFoundException") as error:
        events.describe_event_bus(Name=bus)
    assert error["Error"]["Message"] == f"Event bus {bus} does not exist."


def test_what_targets_get(events, sqs, bus):
    whole, constant, part, string, made = (Queue(sqs) for _ in range(5))
    fifo = Queue(sqs, ".fifo", FifoQueue="true")
    paths = {"instance": "$.detail.instance-id", "state": "$.detail.state"}
    rule(
        events,
        bus,
        {"source": ["aws-like"]},
        {"Arn": whole.arn},
        {"Arn": constant.arn, "Input": '{"a": 1}'},
        {"Arn": part.arn, "InputPath": "$.detail.state"},
        {"Arn": string.arn, "InputTransformer": {"InputPathsMap": paths, "InputTemplate": '"instance <instance> is in <state>"'}},
        {
            "Arn": made.arn,
            "InputTransformer": {
                "InputPathsMap": paths,
                "InputTemplate": '{"instance": <instance>, "rule": "<aws.events.rule-name>", "event": <aws.events.event.json>}',
            },
        },
        {"Arn": fifo.arn, "SqsParameters": {"MessageGroupId": "g"}},
    )
    event = put(events, bus, {"instance-id": "i-0123456789", "state": "RUNNING"}, source="aws-like", Resources=["arn:x"])
    got = whole.events(1)[0]
    assert (got["id"], got["resources"]) == (event, ["arn:x"])
    assert constant.messages(1)[0]["Body"] == '{"a": 1}'
    assert part.messages(1)[0]["Body"] == '"RUNNING"'
    assert string.messages(1)[0]["Body"] == '"instance i-0123456789 is in RUNNING"'
    transformed = made.events(1)[0]
    assert transformed["instance"] == "i-0123456789" and transformed["event"] == got
    assert fifo.messages(1)[0]["Attributes"]["MessageGroupId"] == "g"


def test_many_events_in_order(events, queue, bus):
    rule(events, bus, {"detail": {"n": [{"numeric": [">=", 0]}]}}, {"Arn": queue.arn})
    for start in range(0, 200, 10):
        entries = [
            {"EventBusName": bus, "Source": "s", "DetailType": "t", "Detail": json.dumps({"n": n})} for n in range(start, start + 10)
        ]
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    assert sorted(event["detail"]["n"] for event in queue.events(200)) == list(range(200))


def test_large_events(events, queue, bus):
    rule(events, bus, {"source": ["s"]}, {"Arn": queue.arn})
    text = "x" * 250_000
    put(events, bus, {"text": text}, source="s")
    assert queue.events(1)[0]["detail"]["text"] == text
    with refused("ValidationException") as error:
        put(events, bus, {"text": "x" * 262_144}, source="s")
    assert error["Error"]["Message"] == "Total size of the entries in the request is over the limit."


def test_entries_fail_one_by_one(events, bus):
    good = {"EventBusName": bus, "Source": "s", "DetailType": "t", "Detail": "{}"}
    answer = events.put_events(
        Entries=[good, {**good, "Detail": "[]"}, {**good, "Source": "aws.s3"}, {**good, "EventBusName": "none"}, {"Source": "s"}]
    )
    codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
    assert codes == [None, "MalformedDetail", "NotAuthorizedForSourceException", "ResourceNotFoundException", "InvalidArgument"]
    assert answer["FailedEntryCount"] == 4


def test_dead_letter_queues(events, sqs, bus):
    dead, closed = Queue(sqs), Queue(sqs)
    closed.let_in({"AWS": ACCOUNT})
    config = {"DeadLetterConfig": {"Arn": dead.arn}}
    gone = f"arn:aws:sqs:us-east-1:{ACCOUNT}:gone"
    made = rule(events, bus, {"source": ["s"]}, {"Arn": closed.arn, **config}, {"Arn": gone, **config})
    event = put(events, bus, {}, source="s")
    letters = dead.messages(2)
    assert {json.loads(letter["Body"])["id"] for letter in letters} == {event}
    attributes = [{key: value["StringValue"] for key, value in letter["MessageAttributes"].items()} for letter in letters]
    assert {(one["ERROR_CODE"], one["TARGET_ARN"]) for one in attributes} == {("NO_PERMISSIONS", closed.arn), ("NO_RESOURCE", gone)}
    assert {one["RULE_ARN"] for one in attributes} == {f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{bus}/{made}"}
    assert all(one["ERROR_MESSAGE"] for one in attributes)


def test_a_policy_of_a_queue_for_one_rule(events, sqs, bus):
    queue, dead = Queue(sqs), Queue(sqs)
    arn = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{bus}/*"
    queue.let_in({"Service": "events.amazonaws.com"}, Condition={"ArnLike": {"aws:SourceArn": arn}})
    target = {"Arn": queue.arn, "DeadLetterConfig": {"Arn": dead.arn}}
    rule(events, bus, {"source": ["s"]}, target)
    other = name("bus")
    events.create_event_bus(Name=other)
    rule(events, other, {"source": ["s"]}, target)
    event, wrong = put(events, bus, {}, source="s"), put(events, other, {}, source="s")
    assert queue.events(1)[0]["id"] == event
    assert dead.events(1)[0]["id"] == wrong


def test_buses_of_other_accounts(server, events, sqs, bus, queue):
    account, keys = new_account(server)
    theirs = client_of(server, "events", keys)
    foreign = name("theirs")
    arn = theirs.create_event_bus(Name=foreign)["EventBusArn"]
    dead = Queue(sqs)
    rule(events, bus, {"source": ["s"]}, {"Arn": arn, "RoleArn": bus_role(server), "DeadLetterConfig": {"Arn": dead.arn}})
    rule(theirs, foreign, {"account": [ACCOUNT]}, {"Arn": queue.arn})
    refused_event = put(events, bus, {}, source="s")
    assert dead.events(1)[0]["id"] == refused_event
    with refused("AccessDeniedException", 400):
        put(events, arn, {}, source="s")
    theirs.put_permission(EventBusName=foreign, Action="events:PutEvents", Principal=ACCOUNT, StatementId="s")
    policy = json.loads(theirs.describe_event_bus(Name=foreign)["Policy"])
    assert policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    forwarded, direct = put(events, bus, {}, source="s"), put(events, arn, {}, source="s")
    assert {event["id"] for event in queue.events(2)} == {forwarded, direct}
    theirs.remove_permission(EventBusName=foreign, StatementId="s")
    with refused("AccessDeniedException"):
        put(events, arn, {}, source="s")
    assert account != ACCOUNT


def test_what_a_policy_of_a_bus_may_not_have(events, bus):
    arn = events.describe_event_bus(Name=bus)["Arn"]
    base = {"Sid": "s", "Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "events:PutEvents", "Resource": arn}
    for more in ({}, {"Action": "events:*"}, {"Action": ["events:PutEvents", "events:PutRule"]}):
        events.put_permission(EventBusName=bus, Policy=document({**base, **more}))
    without = {key: value for key, value in base.items() if key != "Principal"}
    elsewhere = {**base, "Resource": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/other"}
    for bad in ({**base, "Action": "sqs:SendMessage"}, {**base, "Action": ["events:PutEvents", "s3:*"]}, without, elsewhere):
        with refused("ValidationException"):
            events.put_permission(EventBusName=bus, Policy=document(bad))
    with refused("ValidationException"):
        events.put_permission(EventBusName=bus, Action="events:PutRule", Principal=ACCOUNT, StatementId="x")
    assert json.loads(events.describe_event_bus(Name=bus)["Policy"])["Statement"][0]["Action"] == ["events:PutEvents", "events:PutRule"]


def test_targets_by_roles(server, events, sqs, bus):
    """A role does for a bus what the policy of a queue does for the service."""
    iam = client(server, "iam")
    role = iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=trust({"Service": "events.amazonaws.com"}))["Role"]
    queue, dead = Queue(sqs), Queue(sqs)
    queue.let_in({"AWS": ACCOUNT})
    rule(events, bus, {"source": ["s"]}, {"Arn": queue.arn, "RoleArn": role["Arn"], "DeadLetterConfig": {"Arn": dead.arn}})
    put(events, bus, {}, source="s")
    assert dead.messages(1)[0]["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="p", PolicyDocument=allow("sqs:SendMessage"))
    event = put(events, bus, {}, source="s")
    assert queue.events(1)[0]["id"] == event
    user = User(server, iam, allow("events:*"))
    with refused("AccessDeniedException"):
        user.client("events").put_targets(
            Rule=events.list_rules(EventBusName=bus)["Rules"][0]["Name"],
            EventBusName=bus,
            Targets=[{"Id": "x", "Arn": queue.arn, "RoleArn": role["Arn"]}],
        )


def test_archives_and_replays(events, sqs, bus):
    first, second = Queue(sqs), Queue(sqs)
    one = rule(events, bus, {"source": ["s"]}, {"Arn": first.arn})
    rule(events, bus, {"source": ["s"]}, {"Arn": second.arn})
    arn = events.describe_event_bus(Name=bus)["Arn"]
    archive = name("archive")
    made = events.create_archive(ArchiveName=archive, EventSourceArn=arn, EventPattern='{"source":["s"]}', RetentionDays=7)
    assert made["State"] == "ENABLED"
    with refused("ResourceAlreadyExistsException") as error:
        events.create_archive(ArchiveName=archive, EventSourceArn=arn)
    assert error["Error"]["Message"] == f"Archive {archive} already exists."
    began = time.time() - 60
    ids = {put(events, bus, {"n": n}, source="s") for n in range(20)}
    put(events, bus, {}, source="t")
    first.messages(20), second.messages(20)
    assert events.describe_archive(ArchiveName=archive)["EventCount"] == 20
    replay = name("replay")
    rule_arn = events.describe_rule(Name=one, EventBusName=bus)["Arn"]
    started = events.start_replay(
        ReplayName=replay,
        EventSourceArn=made["ArchiveArn"],
        EventStartTime=began,
        EventEndTime=time.time() + 60,
        Destination={"Arn": arn, "FilterArns": [rule_arn]},
    )
    assert started["State"] == "STARTING"
    again = first.events(40)[20:]
    assert {event["id"] for event in again} == ids and {event["replay-name"] for event in again} == {replay}
    deadline = time.monotonic() + SECONDS
    while events.describe_replay(ReplayName=replay)["State"] != "COMPLETED" and time.monotonic() < deadline:
        time.sleep(0.1)
    described = events.describe_replay(ReplayName=replay)
    assert described["State"] == "COMPLETED" and described["Destination"]["FilterArns"] == [rule_arn]
    second.messages(20)
    with refused("ValidationException") as error:
        events.start_replay(
            ReplayName=name("replay"),
            EventSourceArn=made["ArchiveArn"],
            EventStartTime=began,
            EventEndTime=began,
            Destination={"Arn": arn},
        )
    assert error["Error"]["Message"] == "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."


class Endpoint:
    """An HTTP server that remembers requests, and answers as it is told."""

    def __init__(self, *statuses: int):
        self.requests, self.statuses, self.tokens = [], list(statuses), 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                if self.path.startswith("/token"):
                    outer.tokens += 1
                    answer = json.dumps({"access_token": f"token-{outer.tokens}", "token_type": "bearer", "expires_in": 3600})
                    outer.form = body
                    status = 200
                else:
                    outer.requests.append((self.command, self.path, dict(self.headers), body))
                    status, answer = (outer.statuses.pop(0) if outer.statuses else 200), "{}"
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def wait(self, count: int) -> list:
        deadline = time.monotonic() + SECONDS
        while len(self.requests) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(self.requests) == count, self.requests
        return self.requests


@pytest.fixture(scope="module")
def outside():
    """A server that may call addresses of its own machine."""
    from harness.server import Server

    running = Server(args=["--outbound-allow", "127.0.0.0/8"]).start()
    yield running
    running.close()


class Destination:
    """An API destination with a role that may call it."""

    def __init__(self, server, endpoint: str, connection: dict, method: str = "POST", **more):
        self.events, iam = client(server, "events"), client(server, "iam")
        self.connection = name("connection")
        made = self.events.create_connection(Name=self.connection, **connection)
        self.made = made
        self.arn = self.events.create_api_destination(
            Name=name("destination"), ConnectionArn=made["ConnectionArn"], InvocationEndpoint=endpoint, HttpMethod=method, **more
        )["ApiDestinationArn"]
        role = iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=trust({"Service": "events.amazonaws.com"}))["Role"]
        iam.put_role_policy(
            RoleName=role["RoleName"], PolicyName="p", PolicyDocument=allow("events:InvokeApiDestination", self.arn)
        )
        self.role = role["Arn"]
        self.bus = name("bus")
        self.events.create_event_bus(Name=self.bus)

    def rule(self, **target):
        rule(self.events, self.bus, {"source": ["s"]}, {"Arn": self.arn, "RoleArn": self.role, **target})

    def put(self, detail) -> str:
        return put(self.events, self.bus, detail, source="s")


BASIC = {"AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "user", "Password": "pass"}}}


def test_api_destinations(outside):
    endpoint = Endpoint()
    connection = {
        "AuthorizationType": "API_KEY",
        "AuthParameters": {
            "ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": "secret"},
            "InvocationHttpParameters": {
                "HeaderParameters": [{"Key": "X-Static", "Value": "h", "IsValueSecret": False}],
                "QueryStringParameters": [{"Key": "q", "Value": "a b", "IsValueSecret": True}],
                "BodyParameters": [{"Key": "added", "Value": "b", "IsValueSecret": False}],
            },
        },
    }
    to = Destination(outside, f"{endpoint.url}/orders/*", connection, "PUT")
    to.rule(
        InputPath="$.detail",
        HttpParameters={"PathParameterValues": ["$.detail.id"], "HeaderParameters": {"X-Rule": "r"}, "QueryStringParameters": {"z": "1"}},
    )
    to.put({"id": "a/b", "n": 1.5})
    method, path, headers, body = endpoint.wait(1)[0]
    assert (method, path) == ("PUT", "/orders/a%2Fb?z=1&q=a%20b")
    assert json.loads(body) == {"id": "a/b", "n": 1.5, "added": "b"}
    headers = {key.lower(): value for key, value in headers.items()}
    assert headers["x-api-key"] == "secret" and headers["x-static"] == "h" and headers["x-rule"] == "r"
    assert headers["user-agent"] == "Amazon/EventBridge/ApiDestinations"
    assert headers["content-type"] == "application/json; charset=utf-8"
    shown = to.events.describe_connection(Name=to.connection)
    assert "secret" not in json.dumps(shown, default=str)
    assert shown["AuthParameters"]["ApiKeyAuthParameters"] == {"ApiKeyName": "X-Api-Key"}
    assert "secret" not in outside.log()


def test_what_an_endpoint_refuses_is_tried_again(outside):
    endpoint = Endpoint(500, 429, 200)
    to = Destination(outside, endpoint.url, BASIC)
    to.rule()
    event = to.put({})
    requests = endpoint.wait(3)
    assert {json.loads(body)["id"] for *_, body in requests} == {event}
    assert requests[0][2]["authorization"] == "Basic " + base64.b64encode(b"user:pass").decode()


def test_what_an_endpoint_never_takes_is_dead_lettered(outside):
    dead = Queue(client(outside, "sqs"))
    endpoint = Endpoint(400, 500, 500)
    to = Destination(outside, endpoint.url, BASIC)
    to.rule(DeadLetterConfig={"Arn": dead.arn}, RetryPolicy={"MaximumRetryAttempts": 1})
    first = to.put({})
    letter = dead.messages(1)[0]
    assert json.loads(letter["Body"])["id"] == first
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "SDK_CLIENT_ERROR"
    second = to.put({})
    letter = dead.messages(2)[1]
    assert json.loads(letter["Body"])["id"] == second
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert (attributes["EXHAUSTED_RETRY_CONDITION"], attributes["RETRY_ATTEMPTS"]) == ("MaximumRetryAttempts", "1")
    endpoint.wait(3)


def test_tokens_are_fetched_and_renewed(outside):
    endpoint = Endpoint(200, 401, 200)
    oauth = {
        "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
        "AuthParameters": {
            "OAuthParameters": {
                "ClientParameters": {"ClientID": "id", "ClientSecret": "secret"},
                "AuthorizationEndpoint": f"{endpoint.url}/token",
                "HttpMethod": "POST",
            }
        },
    }
    to = Destination(outside, endpoint.url, oauth)
    assert to.made["ConnectionState"] == "AUTHORIZING"
    deadline = time.monotonic() + SECONDS
    while to.events.describe_connection(Name=to.connection)["ConnectionState"] != "AUTHORIZED" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert to.events.describe_connection(Name=to.connection)["ConnectionState"] == "AUTHORIZED"
    assert endpoint.form == "grant_type=client_credentials&client_id=id&client_secret=secret"
    to.rule()
    to.put({"n": 1})
    assert endpoint.wait(1)[0][2]["authorization"] == "Bearer token-1"
    # The token was taken back: a new one is fetched at once.
    to.put({"n": 2})
    assert [headers["authorization"] for _, _, headers, _ in endpoint.wait(3)] == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_addresses_inside_are_not_called(events, server, sqs):
    endpoint = Endpoint()
    dead = Queue(sqs)
    to = Destination(server, endpoint.url, BASIC)
    to.rule(DeadLetterConfig={"Arn": dead.arn}, RetryPolicy={"MaximumRetryAttempts": 0})
    to.put({})
    assert "outbound-allow" in dead.messages(1)[0]["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
    assert endpoint.requests == []


def test_schedules(events, queue):
    made = name("rule")
    with refused("ValidationException") as error:
        events.put_rule(Name=made, ScheduleExpression="rate(0 minutes)")
    assert error["Error"]["Message"] == "Parameter ScheduleExpression is not valid."
    events.put_rule(Name=made, ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule=made, Targets=[{"Id": "1", "Arn": queue.arn}])
    deadline = time.monotonic() + 90
    while not queue.came and time.monotonic() < deadline:
        queue.take(5)
    event = json.loads(queue.came[0]["Body"])
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert event["resources"] == [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{made}"]
    events.remove_targets(Rule=made, Ids=["1"])
    events.delete_rule(Name=made)


def test_the_aws_cli(tools, sqs, bus):
    queue = Queue(sqs)
    pattern = json.dumps({"source": ["cli"]})
    tools.aws("events", "put-rule", "--name", "cli", "--event-bus-name", bus, "--event-pattern", pattern)
    tools.aws("events", "put-targets", "--rule", "cli", "--event-bus-name", bus, "--targets", f"Id=1,Arn={queue.arn}")
    entry = json.dumps([{"Source": "cli", "DetailType": "t", "Detail": '{"a": 1}', "EventBusName": bus}])
    done = json.loads(tools.aws("events", "put-events", "--entries", entry).stdout)
    assert done["FailedEntryCount"] == 0
    assert queue.events(1)[0]["id"] == done["Entries"][0]["EventId"]
    failed = tools.aws("events", "put-rule", "--name", "bad", "--event-pattern", '{"a": []}', check=False)
    assert failed.returncode != 0 and b"InvalidEventPatternException" in (failed.stderr if isinstance(failed.stderr, bytes) else failed.stderr.encode())
