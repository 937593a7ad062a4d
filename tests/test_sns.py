"""Amazon SNS with boto3, the aws CLI and a webhook of the tests' own. Who may do what is tested in crates/svc-sns/tests; what a killed server keeps in
test_sns_crash.py."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from harness.clients import Tools, client, refused
from harness.hook import Hook
from harness.identities import User, allow, name
from harness.identity import client as client_of
from harness.identity import new_account
from harness.server import ACCOUNT, Server

pytestmark = pytest.mark.restarts  # knows the account of the server it started


@pytest.fixture(scope="module")
def server():
    running = Server(args=["--log-format", "json"], env={"MILLPOND_OUTBOUND_ALLOW": "127.0.0.0/8"}).start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def sns(server):
    return client(server, "sns")


@pytest.fixture(scope="module")
def sqs(server):
    return client(server, "sqs")


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


@pytest.fixture(scope="module")
def hook():
    one = Hook()
    yield one
    one.close()


@pytest.fixture
def topic(sns) -> str:
    return sns.create_topic(Name=name("topic"))["TopicArn"]


class Queue:
    """A queue that topics may send to."""

    def __init__(self, sqs, topic: str | None = "*", **attributes):
        self.sqs, self.name = sqs, name("q")
        self.url = sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}"
        if topic:
            self.let_in(topic)

    def let_in(self, topic: str):
        statement = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": self.arn,
            "Condition": {"ArnLike": {"aws:SourceArn": topic}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def take(self, count: int = 1, seconds: float = 30) -> list[dict]:
        """Waits for so many messages, and deletes them."""
        got, deadline = [], time.monotonic() + seconds
        while len(got) < count and time.monotonic() < deadline:
            answer = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                got.append(message)
        assert len(got) >= count, f"{len(got)} of {count} messages came"
        return got

    def is_empty(self) -> bool:
        return not self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=0).get("Messages")


@pytest.fixture
def queue(sqs) -> Queue:
    return Queue(sqs)


def subscribe(sns, topic: str, queue: Queue, **attributes) -> str:
    return sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=attributes)["SubscriptionArn"]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def confirmed(sns, topic: str, hook: Hook, path: str, **attributes) -> str:
    """A webhook that was asked and has followed the link."""
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + path, Attributes=attributes)
    assert answer["SubscriptionArn"] == "pending confirmation"
    asked = hook.wait(path, "SubscriptionConfirmation")[0].document
    assert b"ConfirmSubscriptionResult" in get(asked["SubscribeURL"])
    return sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]


def tampered(link: str) -> str:
    """A link whose token is another one."""
    return link[:-1] + ("1" if link[-1] == "0" else "0")


def verified(document: dict, tmp_path) -> bool:
    """Checks a signature by openssl, with the certificate that the document names."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(get(document["SigningCertURL"]))
    key = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-pubkey", "-noout"], capture_output=True, check=True
    ).stdout
    (tmp_path / "key.pem").write_bytes(key)
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{one}\n{document[one]}\n" for one in names if one in document)
    (tmp_path / "text").write_text(text, newline="")
    (tmp_path / "signature").write_bytes(base64.b64decode(document["Signature"]))
    digest = {"1": "-sha1", "2": "-sha256"}[document["SignatureVersion"]]
    done = subprocess.run(
        ["openssl", "dgst", digest, "-verify", tmp_path / "key.pem", "-signature", tmp_path / "signature", tmp_path / "text"],
        capture_output=True,
    )
    return done.returncode == 0


def test_topics(sns):
    label = name("topic")
    arn = sns.create_topic(Name=label, Attributes={"DisplayName": "Mine"}, Tags=[{"Key": "k", "Value": "v"}])["TopicArn"]
    assert arn == f"arn:aws:sns:us-east-1:{ACCOUNT}:{label}"
    # Making the same again is no error; making it otherwise is.
    assert sns.create_topic(Name=label)["TopicArn"] == arn
    assert sns.create_topic(Name=label, Attributes={"DisplayName": "Mine"})["TopicArn"] == arn
    with refused("InvalidParameter", 400) as seen:
        sns.create_topic(Name=label, Attributes={"DisplayName": "Other"})
    assert "already exists with different attributes" in seen["Error"]["Message"]
    with refused("InvalidParameter", 400) as seen:
        sns.create_topic(Name=label, Tags=[{"Key": "k", "Value": "w"}])
    assert "already exists with different tags" in seen["Error"]["Message"]
    got = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert (got["DisplayName"], got["Owner"], got["SubscriptionsConfirmed"]) == ("Mine", ACCOUNT, "0")
    assert json.loads(got["Policy"])["Id"] == "__default_policy_ID"
    assert json.loads(got["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    sns.set_topic_attributes(TopicArn=arn, AttributeName="SignatureVersion", AttributeValue="2")
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SignatureVersion"] == "2"
    assert arn in [one["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for one in page["Topics"]]
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    with refused("NotFound", 404) as seen:
        sns.get_topic_attributes(TopicArn=arn)
    assert seen["Error"]["Message"] == "Topic does not exist"


def test_refusals(sns, topic, queue):
    for action, code, words in [
        (lambda: sns.create_topic(Name="a b"), "InvalidParameter", "Topic Name"),
        (lambda: sns.create_topic(Name="a.fifo", Attributes={"FifoTopic": "true"}), "NotImplemented", "FIFO topic"),
        (lambda: sns.create_topic(Name="a", Attributes={"KmsMasterKeyId": "k"}), "NotImplemented", "KmsMasterKeyId"),
        (lambda: sns.create_topic(Name="a", DataProtectionPolicy="{}"), "NotImplemented", "DataProtectionPolicy"),
        (lambda: sns.set_topic_attributes(TopicArn=topic, AttributeName="Nothing", AttributeValue="x"), "InvalidParameter", "AttributeName"),
        (lambda: sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue="{}"), "InvalidParameter", "Policy Error"),
        (lambda: sns.set_topic_attributes(TopicArn=topic, AttributeName="HTTPSuccessFeedbackRoleArn", AttributeValue="x"), "NotImplemented", "HTTPSuccessFeedbackRoleArn"),
        (lambda: sns.get_topic_attributes(TopicArn="t"), "InvalidParameter", "An ARN must have at least 6 elements, not 1"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com"), "NotImplemented", "email"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+15550100"), "NotImplemented", "sms"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint="arn:aws:lambda:us-east-1:1:function:f"), "InvalidParameter", "Lambda endpoint ARN"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="smoke", Endpoint="x"), "InvalidParameter", "does not support this protocol string: smoke"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="q"), "InvalidParameter", "SQS endpoint ARN"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn + ".fifo"), "InvalidParameter", "FIFO SQS Queues can not be subscribed"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="https://example.com"), "InvalidParameter", "must match the specified protocol"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://u:p@example.com"), "InvalidParameter", "no user name"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://10.0.0.1/"), "InvalidParameter", "--outbound-allow"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://169.254.169.254/latest"), "InvalidParameter", "--outbound-allow"),
        (lambda: sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://2130706433/"), "InvalidParameter", "usual form"),
        (lambda: subscribe(sns, topic, queue, FilterPolicy="x"), "InvalidParameter", "Attributes Reason: FilterPolicy: "),
        (lambda: subscribe(sns, topic, queue, FilterPolicy='{"a":["b"]}', FilterPolicyScope="x"), "InvalidParameter", "FilterPolicyScope: Invalid value [x]"),
        (lambda: subscribe(sns, topic, queue, RawMessageDelivery="yes"), "InvalidParameter", "RawMessageDelivery: Invalid value [yes]"),
        (lambda: subscribe(sns, topic, queue, RedrivePolicy='{"deadLetterTargetArn":"x"}'), "InvalidParameter", "deadLetterTargetArn is an invalid arn"),
        (lambda: subscribe(sns, topic, queue, Nothing="x"), "InvalidParameter", "AttributeName"),
        (lambda: sns.publish(TopicArn=topic, Message=""), "InvalidParameter", "Empty message"),
        (lambda: sns.publish(TopicArn=topic, Message="a" * (256 * 1024 + 1)), "InvalidParameter", "Message too long"),
        (lambda: sns.publish(Message="a"), "InvalidParameter", "TopicArn or TargetArn"),
        (lambda: sns.publish(PhoneNumber="+15550100", Message="a"), "NotImplemented", "PhoneNumber"),
        (lambda: sns.publish(TopicArn=topic + "x", Message="a"), "NotFound", "Topic does not exist"),
        (lambda: sns.publish(TopicArn=topic, Message="{}", MessageStructure="json"), "InvalidParameter", "No default entry"),
        (lambda: sns.publish(TopicArn=topic, Message="a", MessageAttributes={"a": {"DataType": "Boolean", "StringValue": "x"}}), "ParameterValueInvalid", "invalid message attribute type"),
        (lambda: sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[]), "EmptyBatchRequest", "any entries"),
        (lambda: sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "a", "Message": "m"}] * 2), "BatchEntryIdsNotDistinct", "same Id"),
        (lambda: sns.confirm_subscription(TopicArn=topic, Token="00"), "InvalidParameter", "Token"),
        (lambda: sns.get_subscription_attributes(SubscriptionArn=f"{topic}:00000000-0000-4000-8000-000000000000"), "NotFound", "Subscription does not exist"),
        (lambda: sns.list_tags_for_resource(ResourceArn=topic + "x"), "ResourceNotFound", "Resource does not exist"),
        (lambda: sns.create_platform_application(Name="a", Platform="GCM", Attributes={}), "NotImplemented", "CreatePlatformApplication"),
        (lambda: sns.set_sms_attributes(attributes={"DefaultSMSType": "Promotional"}), "NotImplemented", "SetSMSAttributes"),
    ]:  # fmt: skip
        with refused(code) as seen:
            action()
        assert words in seen["Error"]["Message"], (words, seen["Error"])


def test_what_is_unset_reads_so(sns, topic):
    assert sns.get_sms_attributes()["attributes"] == {}
    assert sns.list_platform_applications()["PlatformApplications"] == []
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []
    assert not sns.get_data_protection_policy(ResourceArn=topic).get("DataProtectionPolicy")


def test_a_message_reaches_a_queue(server, sns, topic, queue, tmp_path):
    subscription = subscribe(sns, topic, queue)
    assert subscription.startswith(topic + ":")
    text = 'héllo <wörld> & "all"\n\U0001f600'
    given = {
        "s": {"DataType": "String", "StringValue": "x"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sns.publish(TopicArn=topic, Message=text, Subject="About", MessageAttributes=given)
    body = queue.take()[0]["Body"]
    document = json.loads(body)
    assert list(document) == [
        "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL",
        "UnsubscribeURL", "MessageAttributes",
    ]  # fmt: skip
    assert (document["Type"], document["MessageId"]) == ("Notification", sent["MessageId"])
    assert (document["Message"], document["Subject"], document["TopicArn"]) == (text, "About", topic)
    assert document["MessageAttributes"] == {
        "s": {"Type": "String", "Value": "x"},
        "b": {"Type": "Binary", "Value": base64.b64encode(b"\x00\xff").decode()},
    }
    time.strptime(document["Timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert document["SigningCertURL"].startswith(server.endpoint + "/_millpond/sns/")
    assert document["SignatureVersion"] == "1" and verified(document, tmp_path)
    assert not verified({**document, "Message": "other"}, tmp_path)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue="2")
    sns.publish(TopicArn=topic, Message="two")
    document = json.loads(queue.take()[0]["Body"])
    assert document["SignatureVersion"] == "2" and verified(document, tmp_path)
    # The link of the message ends the subscription, and another's token does not.
    with pytest.raises(urllib.error.HTTPError):
        get(tampered(document["UnsubscribeURL"]))
    assert b"UnsubscribeResponse" in get(document["UnsubscribeURL"])
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    sns.publish(TopicArn=topic, Message="three")
    time.sleep(0.5)
    assert queue.is_empty()


def test_raw_delivery_and_texts_by_protocol(sns, sqs, topic, queue):
    plain = Queue(sqs)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    subscribe(sns, topic, plain)
    given = {"n": {"DataType": "Number", "StringValue": "7"}}
    text = json.dumps({"default": "for others", "sqs": "for queues"})
    sns.publish(TopicArn=topic, Message=text, MessageStructure="json", MessageAttributes=given)
    message = queue.take()[0]
    assert message["Body"] == "for queues"
    assert message["MessageAttributes"] == {"n": {"StringValue": "7", "DataType": "Number"}}
    message = plain.take()[0]
    assert json.loads(message["Body"])["Message"] == "for queues"
    assert "MessageAttributes" not in message


def test_large_messages_and_batches(sns, topic, queue):
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    large = "".join(chr(0x30 + n % 70) for n in range(256 * 1024))
    sns.publish(TopicArn=topic, Message=large)
    assert queue.take()[0]["Body"] == large
    entries = [{"Id": str(n), "Message": f"m{n}"} for n in range(9)] + [{"Id": "bad", "Message": ""}]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [one["Id"] for one in answer["Successful"]] == [str(n) for n in range(9)]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]] == [("bad", "InvalidParameter", True)]
    assert {one["Body"] for one in queue.take(9)} == {f"m{n}" for n in range(9)}
    half = "a" * (128 * 1024 + 1)
    with refused("BatchRequestTooLong", 400):
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": str(n), "Message": half} for n in range(2)])


def test_filter_policies(sns, sqs, topic):
    by_attribute, by_body, all_of_them = Queue(sqs), Queue(sqs), Queue(sqs)
    for queue, attributes in [
        (by_attribute, {"FilterPolicy": json.dumps({"event": ["order"], "price": [{"numeric": [">=", 100]}]})}),
        (by_body, {"FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps({"order": {"kind": [{"prefix": "bo"}]}})}),
        (all_of_them, {}),
    ]:
        subscribe(sns, topic, queue, RawMessageDelivery="true", **attributes)

    def send(text, event=None, price=None):
        given = {"event": {"DataType": "String", "StringValue": event}} if event else {}
        if price:
            given["price"] = {"DataType": "Number", "StringValue": price}
        sns.publish(TopicArn=topic, Message=text, MessageAttributes=given)

    send("a", "order", "100.5")
    send("b", "order", "99")
    send("c", "refund", "500")
    send('{"order":{"kind":"book"}}')
    send('{"order":{"kind":"car"}}', "order", "100")
    assert len(all_of_them.take(5)) == 5
    assert {one["Body"] for one in by_attribute.take(2)} == {"a", '{"order":{"kind":"car"}}'}
    assert [one["Body"] for one in by_body.take(1)] == ['{"order":{"kind":"book"}}']
    time.sleep(0.2)
    assert by_attribute.is_empty() and by_body.is_empty()


def test_subscriptions(sns, sqs, topic, queue):
    arn = subscribe(sns, topic, queue, RawMessageDelivery="true")
    assert subscribe(sns, topic, queue) == arn
    with refused("InvalidParameter", 400) as seen:
        subscribe(sns, topic, queue, RawMessageDelivery="false")
    assert "Subscription already exists with different attributes" in seen["Error"]["Message"]
    got = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (got["Protocol"], got["Endpoint"], got["TopicArn"], got["Owner"]) == ("sqs", queue.arn, topic, ACCOUNT)
    assert (got["RawMessageDelivery"], got["PendingConfirmation"], got["ConfirmationWasAuthenticated"]) == ("true", "false", "true")
    for attribute, value in [("RawMessageDelivery", "false"), ("FilterPolicy", '{"a":["b"]}'), ("FilterPolicyScope", "MessageBody")]:
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName=attribute, AttributeValue=value)
        assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"][attribute] == value
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="")
    assert "FilterPolicy" not in sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    with refused("InvalidParameter", 400):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="Endpoint", AttributeValue="x")
    listed = [one for page in sns.get_paginator("list_subscriptions").paginate() for one in page["Subscriptions"]]
    assert arn in [one["SubscriptionArn"] for one in listed]
    assert [one["Endpoint"] for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == [queue.arn]
    sns.unsubscribe(SubscriptionArn=arn)
    sns.unsubscribe(SubscriptionArn=arn)
    got = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (got["SubscriptionsConfirmed"], got["SubscriptionsDeleted"]) == ("0", "1")


def test_lists_come_in_pages(sns):
    topics = {sns.create_topic(Name=name("paged"))["TopicArn"] for _ in range(120)}
    pages = [page["Topics"] for page in sns.get_paginator("list_topics").paginate()]
    assert len(pages[0]) == 100
    assert topics <= {one["TopicArn"] for page in pages for one in page}
    topic = topics.pop()
    for n in range(101):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:q{n}")
    pages = [page["Subscriptions"] for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)]
    assert [len(page) for page in pages] == [100, 1]
    with refused("InvalidParameter", 400):
        sns.list_topics(NextToken="!")


def test_tags(sns, topic):
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "3"}])
    sns.untag_resource(ResourceArn=topic, TagKeys=["b", "c"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "3"}]
    with refused("TagLimitExceeded", 403):
        sns.tag_resource(ResourceArn=topic, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])


def test_a_webhook_confirms_and_gets_messages(server, sns, topic, hook, tmp_path):
    path = "/" + name("hook")
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + path)
    asked = hook.wait(path, "SubscriptionConfirmation")[0]
    assert asked.headers["x-amz-sns-topic-arn"] == topic
    assert asked.headers["x-amz-sns-message-id"] == asked.document["MessageId"]
    assert asked.headers["content-type"] == "text/plain; charset=UTF-8"
    assert asked.headers["user-agent"] == "Amazon Simple Notification Service Agent"
    assert "x-amz-sns-subscription-arn" not in asked.headers
    assert verified(asked.document, tmp_path)
    assert [one["SubscriptionArn"] for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == ["PendingConfirmation"]
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"
    sns.publish(TopicArn=topic, Message="before")
    with pytest.raises(urllib.error.HTTPError):
        get(tampered(asked.document["SubscribeURL"]))
    get(asked.document["SubscribeURL"])
    # Following it again changes nothing.
    get(asked.document["SubscribeURL"])
    arn = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]
    sent = sns.publish(TopicArn=topic, Message="after", Subject="s")
    post = hook.wait(path, "Notification")[0]
    assert (post.document["Message"], post.document["MessageId"]) == ("after", sent["MessageId"])
    assert post.headers["x-amz-sns-subscription-arn"] == arn
    assert verified(post.document, tmp_path)
    assert [one.document["Message"] for one in hook.on(path, "Notification")] == ["after"]
    # Who follows the link to unsubscribe is told, and can take it back.
    get(post.document["UnsubscribeURL"])
    ended = hook.wait(path, "UnsubscribeConfirmation")[0]
    assert verified(ended.document, tmp_path)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    get(ended.document["SubscribeURL"])
    sns.publish(TopicArn=topic, Message="again")
    assert hook.wait(path, "Notification", 2)[1].document["Message"] == "again"


def test_confirming_by_a_signed_call_guards_the_end(sns, topic, hook):
    path = "/" + name("hook")
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + path, ReturnSubscriptionArn=True)
    token = hook.wait(path, "SubscriptionConfirmation")[0].document["Token"]
    done = sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")
    assert done["SubscriptionArn"] == answer["SubscriptionArn"]
    assert sns.get_subscription_attributes(SubscriptionArn=done["SubscriptionArn"])["Attributes"]["ConfirmationWasAuthenticated"] == "true"
    sns.publish(TopicArn=topic, Message="m")
    link = hook.wait(path, "Notification")[0].document["UnsubscribeURL"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(link)
    assert caught.value.code == 403
    sns.unsubscribe(SubscriptionArn=done["SubscriptionArn"])


def test_raw_webhooks(sns, topic, hook):
    path = "/" + name("hook")
    policy = json.dumps({"requestPolicy": {"headerContentType": "application/json"}})
    confirmed(sns, topic, hook, path, RawMessageDelivery="true", DeliveryPolicy=policy)
    sns.publish(TopicArn=topic, Message='{"a":1}')
    post = hook.wait(path, "Notification")[0]
    assert post.body == b'{"a":1}'
    assert post.headers["x-amz-sns-rawdelivery"] == "true"
    assert post.headers["content-type"] == "application/json"


def test_retries_and_the_dead_letter_queue(sns, sqs, topic, hook):
    path, dead = "/" + name("hook"), Queue(sqs)
    policy = {"healthyRetryPolicy": {"numRetries": 3, "numNoDelayRetries": 3}}
    confirmed(
        sns, topic, hook, path,
        DeliveryPolicy=json.dumps(policy), RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}),
    )  # fmt: skip
    # Two failures, then it works: the same message each time.
    hook.answers[path] = [500, 429, 200]
    sns.publish(TopicArn=topic, Message="works at last")
    posts = hook.wait(path, "Notification", 3)
    assert len({post.document["MessageId"] for post in posts}) == 1
    # Never: after all tries it goes to the dead-letter queue.
    hook.answers[path] = [503]
    sent = sns.publish(TopicArn=topic, Message="never works")
    document = json.loads(dead.take()[0]["Body"])
    assert (document["Message"], document["MessageId"]) == ("never works", sent["MessageId"])
    assert len(hook.on(path, "Notification")) == 3 + 4
    # What the other side refuses is not tried again.
    hook.answers[path] = [404]
    sns.publish(TopicArn=topic, Message="unwanted")
    assert json.loads(dead.take()[0]["Body"])["Message"] == "unwanted"
    assert len(hook.on(path, "Notification")) == 3 + 4 + 1
    hook.answers[path] = [200]


def test_queues_that_do_not_let_the_topic_in(sns, sqs, topic):
    closed, dead, opened = Queue(sqs, topic=None), Queue(sqs), Queue(sqs, topic="arn:aws:sns:us-east-1:*:other")
    redrive = json.dumps({"deadLetterTargetArn": dead.arn})
    subscribe(sns, topic, closed, RedrivePolicy=redrive, RawMessageDelivery="true")
    subscribe(sns, topic, opened, RedrivePolicy=redrive, RawMessageDelivery="true")
    gone = Queue(sqs)
    subscribe(sns, topic, gone, RedrivePolicy=redrive, RawMessageDelivery="true")
    sqs.delete_queue(QueueUrl=gone.url)
    sns.publish(TopicArn=topic, Message="m")
    assert [one["Body"] for one in dead.take(3)] == ["m"] * 3
    assert closed.is_empty() and opened.is_empty()
    # A policy that lets this topic in counts from the next message.
    closed.let_in(topic)
    sns.publish(TopicArn=topic, Message="n")
    assert closed.take()[0]["Body"] == "n"


def test_topic_policies(server, sns, iam, topic):
    user = User(server, iam)
    theirs = user.client("sns")
    with refused("AuthorizationError", 403) as seen:
        theirs.publish(TopicArn=topic, Message="m")
    assert "is not authorized to perform: SNS:Publish on resource: " + topic in seen["Error"]["Message"]
    statement = {"Effect": "Allow", "Principal": {"AWS": user.arn}, "Action": "sns:Publish", "Resource": topic}
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    theirs.publish(TopicArn=topic, Message="m")
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy",
        AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Effect": "Deny"}]}),
    )  # fmt: skip
    with refused("AuthorizationError", 403) as seen:
        theirs.publish(TopicArn=topic, Message="m")
    assert "explicit deny" in seen["Error"]["Message"]
    for action, words in [("sqs:SendMessage", "out of service scope"), ("sns:Publish", "PrincipalNotFound")]:
        bad = {**statement, "Action": action, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"}}
        with refused("InvalidParameter", 400) as seen:
            sns.set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [bad]})
            )
        assert words in seen["Error"]["Message"]


def test_permissions_and_other_accounts(server, sns, sqs, topic, queue):
    account, keys = new_account(server)
    theirs, their_sqs = client_of(server, "sns", keys), client_of(server, "sqs", keys)
    with refused("AuthorizationError", 403):
        theirs.publish(TopicArn=topic, Message="m")
    # Nor is a stranger told what exists.
    with refused("AuthorizationError", 403):
        theirs.publish(TopicArn=topic + "x", Message="m")
    sns.add_permission(TopicArn=topic, Label="friends", AWSAccountId=[account], ActionName=["Publish", "Subscribe"])
    with refused("InvalidParameter", 400) as seen:
        sns.add_permission(TopicArn=topic, Label="friends", AWSAccountId=[account], ActionName=["Publish"])
    assert "Statement already exists" in seen["Error"]["Message"]
    with refused("InvalidParameter", 400):
        sns.add_permission(TopicArn=topic, Label="more", AWSAccountId=[account], ActionName=["Fly"])
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    theirs.publish(TopicArn=topic, Message="m")
    assert queue.take()[0]["Body"] == "m"
    # Their own queue: they subscribe it themselves, and need no confirmation.
    url = their_sqs.create_queue(QueueName="mine")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{account}:mine"
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]})
    their_sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    subscription = theirs.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})["SubscriptionArn"]
    sns.publish(TopicArn=topic, Message="across")
    got = their_sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
    assert got["Body"] == "across"
    # It is theirs to change, and either side's to end.
    with refused("AuthorizationError", 403):
        sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="false")
    theirs.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="false")
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["Owner"] == account
    sns.unsubscribe(SubscriptionArn=subscription)
    # Somebody else's queue is asked first: in the queue.
    their_sqs.purge_queue(QueueUrl=url)
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"] == "pending confirmation"
    asked = json.loads(their_sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"])
    assert asked["Type"] == "SubscriptionConfirmation"
    theirs.confirm_subscription(TopicArn=topic, Token=asked["Token"])
    sns.remove_permission(TopicArn=topic, Label="friends")
    with refused("AuthorizationError", 403):
        theirs.publish(TopicArn=topic, Message="m")


def test_unsigned_calls_are_refused_but_for_links(server):
    for query in ["Action=Publish&TopicArn=a&Message=m", "Action=ListTopics"]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f"{server.endpoint}/?{query}")
        assert caught.value.code in (400, 403)
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{server.endpoint}/_millpond/sns/other.pem")
    assert caught.value.code == 404


def test_the_cli(server, topic, queue, tmp_path):
    tools = Tools(server, tmp_path / "home")
    tools.aws("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", queue.arn)
    sent = json.loads(tools.aws("sns", "publish", "--topic-arn", topic, "--message", "from the CLI", "--subject", "S").stdout)
    document = json.loads(queue.take()[0]["Body"])
    assert (document["Message"], document["MessageId"]) == ("from the CLI", sent["MessageId"])
    assert topic in tools.aws("sns", "list-topics", "--output", "text").stdout.decode()


def test_all_outlives_a_restart(make_server):
    server = make_server(env={"MILLPOND_OUTBOUND_ALLOW": "127.0.0.0/8"})
    sns, sqs = client(server, "sns"), client(server, "sqs")
    topic = sns.create_topic(Name="t", Attributes={"DisplayName": "kept"}, Tags=[{"Key": "k", "Value": "v"}])["TopicArn"]
    queue = Queue(sqs)
    arn = subscribe(sns, topic, queue, FilterPolicy='{"a":["b"]}')
    given = {"a": {"DataType": "String", "StringValue": "b"}}
    sns.publish(TopicArn=topic, Message="m", MessageAttributes=given)
    certificate = json.loads(queue.take()[0]["Body"])["SigningCertURL"]
    server.stop()
    server.start()
    sns, queue.sqs = client(server, "sns"), client(server, "sqs")
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "kept"
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "k", "Value": "v"}]
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["FilterPolicy"] == '{"a":["b"]}'
    sns.publish(TopicArn=topic, Message="unwanted")
    sns.publish(TopicArn=topic, Message="n", MessageAttributes=given)
    document = json.loads(queue.take()[0]["Body"])
    assert (document["Message"], document["SigningCertURL"]) == ("n", certificate)


def test_without_leave_nothing_goes_inside(make_server, hook):
    server = make_server()
    sns = client(server, "sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    with refused("InvalidParameter", 400) as seen:
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + "/inside")
    assert "--outbound-allow" in seen["Error"]["Message"]
    assert not hook.on("/inside")
