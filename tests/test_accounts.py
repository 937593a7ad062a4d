"""Further accounts: made by the operator, apart from each other unless both sides allow it."""

import json
import re
import threading
import time

import pytest
from harness.clients import refused
from harness.identity import Keys, allow, assume, client, millpond, new_account, new_role, new_user, trust, unique
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # reaches into the data dir


@pytest.fixture(scope="module")
def other(server):
    """Another account of the shared server, and its root user's key."""
    return new_account(server, "--name", "other")


@pytest.fixture(scope="module")
def home_iam(server):
    return client(server, "iam")


@pytest.fixture(scope="module")
def other_iam(server, other):
    return client(server, "iam", other[1])


def test_the_root_user_is_as_old_as_its_account(server, other, other_iam):
    entries = json.loads(millpond(server, "account", "list", "--json").stdout)
    (created,) = [one["created"] for one in entries if one["account_id"] == other[0]]
    root = other_iam.get_user()["User"]
    assert (int(root["CreateDate"].timestamp()), root["UserId"], "UserName" in root) == (created, other[0], False)


def listed(server) -> dict[str, str]:
    answer = json.loads(millpond(server, "account", "list", "--json").stdout)
    return {one["account_id"]: one["name"] for one in answer}


def test_beside_a_server_and_without_one(make_server):
    server = make_server()
    assert listed(server) == {ACCOUNT: ""}
    named, keys = new_account(server, "--id", "444455556666", "--name", "partner & co")
    assert named == "444455556666" and re.fullmatch("AKIA[A-Z2-7]{16}", keys.id) and len(keys.secret) == 40
    by_lot, more = new_account(server)
    assert re.fullmatch("[1-9][0-9]{11}", by_lot)
    # The server knows them at once.
    for account, key in ((named, keys), (by_lot, more)):
        assert client(server, "sts", key).get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:root"
    server.stop()
    offline, last = new_account(server)
    assert listed(server) == {ACCOUNT: "", named: "partner & co", by_lot: "", offline: ""}
    server.start()
    assert set(listed(server)) == {ACCOUNT, named, by_lot, offline}
    for account, key in ((named, keys), (by_lot, more), (offline, last)):
        assert client(server, "sts", key).get_caller_identity()["Account"] == account
    server.kill()
    server.start()
    assert set(listed(server)) == {ACCOUNT, named, by_lot, offline}


def test_a_kill_leaves_whole_accounts(make_server):
    server = make_server()
    acknowledged, ended = [], threading.Event()

    def create():
        while not ended.is_set():
            done = millpond(server, "account", "create", "--json", check=False)
            if done.returncode == 0:
                acknowledged.append(json.loads(done.stdout))

    # One that finds no server opens the data dir itself, so that the server is only started again when it is done.
    worker = threading.Thread(target=create)
    worker.start()
    while len(acknowledged) < 5:
        assert worker.is_alive()
        time.sleep(0.05)
    ended.set()
    server.kill()
    worker.join()
    server.start()
    assert {one["account_id"] for one in acknowledged} <= set(listed(server))
    for one in acknowledged:
        keys = Keys(one["access_key_id"], one["secret_access_key"])
        assert client(server, "sts", keys).get_caller_identity()["Account"] == one["account_id"]


@pytest.mark.parametrize("args, words", [
    (["create", "--id", ACCOUNT], "exists already"),
    (["create", "--id", "12"], "12 digits"),
    (["create", "--name", "x" * 51], "a name has"),
    (["create", "--name", "two\nlines"], "a name has"),
    (["list", "--data-dir", "/nowhere/at/all"], "no data dir"),
])  # fmt: skip
def test_refusals(server, args, words):
    done = millpond(server, "account", *args, check=False)
    assert done.returncode != 0 and words in done.stderr, done


def test_an_id_is_taken_once(server, other):
    done = millpond(server, "account", "create", "--id", other[0], check=False)
    assert done.returncode == 1 and "exists already" in done.stderr


def test_secrets_are_shown_once_and_kept_sealed(server, other):
    keys = other[1]
    assert keys.secret not in millpond(server, "account", "list", "--json").stdout
    for path in [server.log_path, *server.data_dir.rglob("*")]:
        if path.is_file():
            assert keys.secret.encode() not in path.read_bytes(), path


def test_accounts_are_apart(server, s3, bucket, other, home_iam, other_iam):
    account, keys = other
    s3.put_object(Bucket=bucket, Key="k", Body=b"k")
    theirs = client(server, "s3", keys)
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket=bucket, Key="k")
    with refused("AccessDenied", 403):
        theirs.list_objects_v2(Bucket=bucket)
    own = unique("theirs")
    theirs.create_bucket(Bucket=own)
    assert own in [one["Name"] for one in theirs.list_buckets()["Buckets"]]
    assert bucket not in [one["Name"] for one in theirs.list_buckets()["Buckets"]]
    # Another account's root user is a stranger here.
    with refused("AccessDenied", 403):
        s3.list_objects_v2(Bucket=own)
    name = unique("both")
    assert home_iam.create_user(UserName=name)["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert other_iam.create_user(UserName=name)["User"]["Arn"] == f"arn:aws:iam::{account}:user/{name}"
    assert [one["Arn"] for one in other_iam.list_users()["Users"] if one["UserName"] == name] == [
        f"arn:aws:iam::{account}:user/{name}"
    ]


def test_roles_are_assumed_across_when_both_sides_allow(server, s3, bucket, other, home_iam, other_iam):
    s3.put_object(Bucket=bucket, Key="k", Body=b"k")
    read = allow("s3:GetObject")
    able, weak = new_user(other_iam, allow("sts:AssumeRole")), new_user(other_iam, read)
    untrusting = new_role(home_iam, trust(f"arn:aws:iam::{ACCOUNT}:root"), read)
    trusting = new_role(home_iam, trust(other[0]), read)
    naming = new_role(home_iam, trust(weak.arn), read)
    for user, role, good in (
        (able, trusting, True),
        (able, untrusting, False),
        (weak, trusting, False),
        # Named by the other side alone.
        (weak, naming, False),
    ):
        if not good:
            with refused("AccessDenied", 403) as seen:
                assume(server, user.keys, role)
            assert seen["Error"]["Message"] == (
                f"User: {user.arn} is not authorized to perform: sts:AssumeRole on resource: {role}"
            )
            continue
        keys = assume(server, user.keys, role)
        assert client(server, "sts", keys).get_caller_identity()["Account"] == ACCOUNT
        assert client(server, "s3", keys).get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    missing = f"arn:aws:iam::{ACCOUNT}:role/{unique('missing')}"
    with refused("AccessDenied", 403) as seen:
        assume(server, able.keys, missing)
    assert seen["Error"]["Message"].endswith(f"sts:AssumeRole on resource: {missing}")


def test_keys_tell_their_accounts(server, other):
    sts = client(server, "sts")
    session = client(server, "sts", other[1]).get_session_token()["Credentials"]["AccessKeyId"]
    for id in (other[1].id, session):
        assert sts.get_access_key_info(AccessKeyId=id)["Account"] == other[0]
