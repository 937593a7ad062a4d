"""Real clients: aws CLI, rclone, s3cmd; each checks the bytes it moved."""

import filecmp
import hashlib
import json
import os
import threading

import pytest
from harness.sums import noise


@pytest.fixture
def tree(tmp_path):
    """Files of several sizes and names; returns (directory, {relative name: bytes})."""
    files = {
        "empty": b"",
        "small.txt": b"hello\n",
        "with space.txt": b"space",
        "deep/er/file.bin": noise(100_000, 70),
        "deep/ünïcode 🦆.txt": b"duck",
        "big.bin": noise(20 << 20, 71),
    }
    root = tmp_path / "tree"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root, files


def same_tree(one, two):
    compare = filecmp.dircmp(one, two)
    pending = [compare]
    while pending:
        c = pending.pop()
        assert not c.left_only and not c.right_only and not c.funny_files, (c.left_only, c.right_only)
        for name in c.common_files:
            assert filecmp.cmp(os.path.join(c.left, name), os.path.join(c.right, name), shallow=False), name
        pending += c.subdirs.values()


def remote(s3, bucket, prefix=""):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {o["Key"][len(prefix) :]: o["Size"] for page in pages for o in page.get("Contents", [])}


# aws CLI


def test_aws_s3(tools, s3, tree, bucket_name, tmp_path):
    root, files = tree
    url = f"s3://{bucket_name}"
    tools.aws("s3", "mb", url)
    assert bucket_name in tools.aws("s3", "ls").stdout.decode()
    tools.aws("s3", "sync", root, f"{url}/up", "--no-progress")
    assert remote(s3, bucket_name, "up/") == {name: len(data) for name, data in files.items()}
    assert tools.aws("s3", "sync", root, f"{url}/up", "--no-progress").stdout == b""
    tools.aws("s3", "sync", f"{url}/up", tmp_path / "down", "--no-progress")
    same_tree(root, tmp_path / "down")
    tools.aws("s3", "cp", "-", f"{url}/stdin", stdin=b"from stdin")
    assert tools.aws("s3", "cp", f"{url}/stdin", "-").stdout == b"from stdin"
    tools.aws("s3", "cp", f"{url}/up/big.bin", f"{url}/copy.bin", "--no-progress")
    assert s3.get_object(Bucket=bucket_name, Key="copy.bin")["Body"].read() == files["big.bin"]
    tools.aws("s3", "mv", f"{url}/stdin", f"{url}/moved", "--no-progress")
    listing = tools.aws("s3", "ls", "--recursive", url).stdout.decode()
    assert "moved" in listing and "stdin" not in listing
    (root / "small.txt").unlink()
    tools.aws("s3", "sync", root, f"{url}/up", "--delete", "--no-progress")
    assert "small.txt" not in remote(s3, bucket_name, "up/")
    failed = tools.aws("s3", "rb", url, check=False)
    assert failed.returncode != 0 and b"BucketNotEmpty" in failed.stderr
    tools.aws("s3", "rb", url, "--force")
    assert tools.aws("s3api", "head-bucket", "--bucket", bucket_name, check=False).returncode != 0


def test_aws_s3api(tools, bucket, tmp_path):
    def call(operation, *args):
        out = tools.aws("s3api", operation, "--bucket", bucket, *args).stdout
        return json.loads(out) if out.strip() else {}

    body = tmp_path / "body"
    body.write_bytes(b"by the cli")
    call("put-bucket-versioning", "--versioning-configuration", "Status=Enabled")
    first = call("put-object", "--key", "k", "--body", body, "--metadata", "a=1", "--checksum-algorithm", "SHA256")
    body.write_bytes(b"second")
    call("put-object", "--key", "k", "--body", body, "--tagging", "t=1")
    call("get-object", "--key", "k", "--version-id", first["VersionId"], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"by the cli"
    assert call("head-object", "--key", "k")["ContentLength"] == 6
    assert call("get-object-tagging", "--key", "k")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert len(call("list-object-versions")["Versions"]) == 2
    call("delete-objects", "--delete", json.dumps({"Objects": [{"Key": "k"}]}))
    assert call("list-object-versions")["DeleteMarkers"][0]["IsLatest"] is True
    tools.aws("s3api", "wait", "object-not-exists", "--bucket", bucket, "--key", "k")
    failed = tools.aws("s3api", "get-object", "--bucket", bucket, "--key", "none", tmp_path / "x", check=False)
    assert failed.returncode != 0 and b"NoSuchKey" in failed.stderr


# rclone


def test_rclone(tools, s3, tree, bucket, tmp_path):
    root, files = tree
    there = f"lake:{bucket}/r"
    tools.rclone("copy", root, there, "--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M")
    assert remote(s3, bucket, "r/") == {name: len(data) for name, data in files.items()}
    tools.rclone("check", root, there)
    tools.rclone("check", "--download", root, there)
    tools.rclone("copy", there, tmp_path / "down")
    same_tree(root, tmp_path / "down")
    (root / "new").write_bytes(b"new")
    (root / "empty").unlink()
    tools.rclone("sync", root, there)
    tools.rclone("check", root, there)
    s3.put_object(Bucket=bucket, Key="r/small.txt", Body=b"other\n")
    assert tools.rclone("check", "--download", root, there, check=False).returncode != 0
    tools.rclone("purge", f"lake:{bucket}")
    assert tools.rclone("lsd", "lake:").stdout.decode().count(bucket) == 0


def test_rclone_cat_and_move(tools, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a b/c", Body=b"0123456789")
    assert tools.rclone("cat", f"lake:{bucket}/a b/c").stdout == b"0123456789"
    assert tools.rclone("cat", "--offset", "3", "--count", "4", f"lake:{bucket}/a b/c").stdout == b"3456"
    tools.rclone("moveto", f"lake:{bucket}/a b/c", f"lake:{bucket}/moved")
    assert list(remote(s3, bucket)) == ["moved"]


# s3cmd


def test_s3cmd(tools, s3, tree, bucket_name, tmp_path):
    root, files = tree
    url = f"s3://{bucket_name}"
    tools.s3cmd("mb", url)
    tools.s3cmd("put", root / "small.txt", f"{url}/small.txt")
    tools.s3cmd("put", "--multipart-chunk-size-mb=5", root / "big.bin", f"{url}/big.bin")
    for name in ("small.txt", "big.bin"):
        tools.s3cmd("get", "--force", f"{url}/{name}", tmp_path / "got")
        got = hashlib.sha256((tmp_path / "got").read_bytes()).digest()
        assert got == hashlib.sha256(files[name]).digest()
    assert "small.txt" in tools.s3cmd("ls", url).stdout.decode()
    tools.s3cmd("sync", f"{root}/", f"{url}/tree/")
    assert remote(s3, bucket_name, "tree/") == {name: len(data) for name, data in files.items()}
    (tmp_path / "down").mkdir()
    tools.s3cmd("sync", f"{url}/tree/", f"{tmp_path}/down/")
    same_tree(root, tmp_path / "down")
    tools.s3cmd("cp", f"{url}/small.txt", f"{url}/copied.txt")
    assert "5" in tools.s3cmd("info", f"{url}/copied.txt").stdout.decode()
    tools.s3cmd("del", "--recursive", "--force", url)
    assert remote(s3, bucket_name) == {}
    tools.s3cmd("rb", url)


# boto3's transfer manager


def test_transfer_manager(s3, bucket, tmp_path):
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=5 << 20, max_concurrency=4)
    data = noise(23 << 20, 72)
    (tmp_path / "up").write_bytes(data)
    s3.upload_file(str(tmp_path / "up"), bucket, "k", Config=config)
    s3.download_file(bucket, "k", str(tmp_path / "down"), Config=config)
    assert hashlib.sha256((tmp_path / "down").read_bytes()).digest() == hashlib.sha256(data).digest()
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=config)
    assert s3.head_object(Bucket=bucket, Key="copy")["ContentLength"] == len(data)


def test_a_final_answer_instead_of_100_continue(tools, s3, bucket, tmp_path):
    """The aws CLI sends `Expect: 100-continue` with each upload. When the answer is final at once, its HTTP layer misreads
    the next answer on the same connection and waits for ever. So, as S3 does, a server says 100 all the same or closes
    the connection (RFC 9110 10.1.1); an empty body is where this is easily forgotten."""
    tools.aws("configure", "set", "default.s3.max_concurrent_requests", "1")
    for name, data in (("a", b""), ("b", b"data"), ("c", b""), ("d", b"more")):
        (tmp_path / "up").mkdir(exist_ok=True)
        (tmp_path / "up" / name).write_bytes(data)
    tools.aws("s3", "sync", tmp_path / "up", f"s3://{bucket}", "--no-progress", "--cli-read-timeout", "10")
    assert remote(s3, bucket) == {"a": 0, "b": 4, "c": 0, "d": 4}


def test_readers_see_whole_objects(s3, bucket):
    """While one client overwrites, no other sees a mixture or nothing."""
    versions = [bytes([n]) * 200_000 for n in range(4)]
    s3.put_object(Bucket=bucket, Key="k", Body=versions[0])
    stop = threading.Event()
    torn = []

    def read():
        while not stop.is_set():
            body = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
            if len(body) != 200_000 or body != bytes([body[0]]) * 200_000:
                torn.append(body[:10])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(60):
        s3.put_object(Bucket=bucket, Key="k", Body=versions[n % 4])
    stop.set()
    for reader in readers:
        reader.join()
    assert torn == []
