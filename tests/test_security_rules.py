"""Holes that real S3 servers had, one test each, named after the hole. Finer tables of cases are in the files about the feature.

Outgoing calls and functions have theirs when there are such things.
"""

import base64
import datetime
import hashlib
import json
import os
import re
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.clients import refused, s3_client
from harness.identity import Keys, allow, assume, client, new_account, new_role, new_user, policy, trust, unique
from harness.raw import STREAMING, STREAMING_TRAILER, UNSIGNED, Raw, amz_date, encode_key, now
from harness.sums import checksum, noise

DAY = 24 * 3600
SOURCES = Path(__file__).parents[1] / "crates"


@pytest.fixture
def filled(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    return bucket


def untouched(s3, bucket):
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


def client_of(server, service="s3", keys=None):
    keys = keys or Keys(server.access_key, server.secret_key)
    return Raw(server.endpoint, keys.id, keys.secret, server.region, service)


def deny(actions, resources="*") -> dict:
    return {"Effect": "Deny", "Action": actions, "Resource": resources}


def of_resource(principal, statement: dict) -> dict:
    """A statement of an identity's policy as one of a resource's."""
    return {**statement, "Principal": {"AWS": principal}}


@contextmanager
def denied(who: str, action: str, resource: str, why: str = "", code: str = "AccessDenied"):
    """The block is refused to `who`, for want of this action on this resource."""
    with refused(code) as seen:
        yield
    message = seen["Error"]["Message"].replace('"', "")
    assert message.startswith(f"User: {who} is not authorized to perform: {action} on resource: {resource} "), message
    assert why in message, message


def generated(server) -> dict[str, str]:
    lines = (server.data_dir / "root-credentials").read_text().splitlines()
    return dict(line.split(" = ") for line in lines if " = " in line)


# No default, derived or logged secret. Secrets at rest are sealed.

# What servers were once shipped with, and what documentation prints.
WELL_KNOWN = [
    ("minioadmin", "minioadmin"), ("test", "test"), ("admin", "password"), ("root", "root"), ("any", "any"),
    ("accessKey1", "verySecretKey1"), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("millpond", "millpond"),
]  # fmt: skip


@pytest.mark.restarts
def test_no_default_secret(make_server):
    server = make_server(root_credentials=False)
    for access_key, secret_key in WELL_KNOWN:
        with refused("InvalidAccessKeyId", 403):
            s3_client(server, access_key=access_key, secret_key=secret_key).list_buckets()
    # The right key id does not help without its secret.
    access_key = generated(server)["access_key"]
    for secret_key in {secret for _, secret in WELL_KNOWN} | {access_key, " "}:
        with refused("SignatureDoesNotMatch", 403):
            s3_client(server, access_key=access_key, secret_key=secret_key).list_buckets()


@pytest.mark.restarts
def test_no_derived_secret(make_server):
    """Two servers with the same settings have nothing in common, and a secret has nothing of its key's id."""
    one, other = (generated(make_server(root_credentials=False)) for _ in range(2))
    assert one["secret_key"] != other["secret_key"] and one["access_key"] != other["access_key"]
    for pair in (one, other):
        digests = {hashlib.new(name, pair["access_key"].encode()).hexdigest() for name in ("md5", "sha1", "sha256")}
        assert len(pair["secret_key"]) >= 40 and pair["access_key"] not in pair["secret_key"]
        assert not any(digest[:40] in pair["secret_key"].lower() for digest in digests)


def answers_with_secrets(server) -> tuple[dict[str, str], list[str]]:
    """Secrets that a server answers with, by name, in each form in which they could be written; and the requests' ids."""
    iam, kms = client(server, "iam"), client(server, "kms")
    user = iam.create_user(UserName=unique("logged"))["User"]
    made = iam.create_access_key(UserName=user["UserName"])
    root = f"arn:aws:iam::{user['Arn'].split(':')[4]}:root"
    keys = Keys(made["AccessKey"]["AccessKeyId"], made["AccessKey"]["SecretAccessKey"])
    iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=policy(allow("sts:*")))
    begun = client(server, "sts", keys).assume_role(RoleArn=new_role(iam, trust(root), allow("s3:*")), RoleSessionName="logged")
    session = Keys.of(begun)
    client(server, "s3", session).list_buckets()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    plaintext = b"a plaintext of " + os.urandom(12).hex().encode()
    sealed = kms.encrypt(KeyId=key, Plaintext=plaintext)
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    assert opened["Plaintext"] == plaintext
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    secrets = {"a made access key": keys.secret, "a session's secret": session.secret, "a session's token": session.token}
    for name, value in {"a KMS plaintext": plaintext, "a KMS data key": data_key["Plaintext"]}.items():
        listed = ", ".join(map(str, value))
        forms = {"Base64": base64.b64encode(value).decode(), "hex": value.hex(), "numbers": listed}
        secrets |= {f"{name} in {form}": text for form, text in forms.items()}
    secrets["a KMS plaintext"] = plaintext.decode()
    return secrets, [answer["ResponseMetadata"]["RequestId"] for answer in (made, begun, sealed, opened, data_key)]


@pytest.mark.restarts
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_logged_secret(make_server, form):
    server = make_server(args=["--log-format", form, "--log-level", "trace"])
    client, raw = s3_client(server), client_of(server)
    client.create_bucket(Bucket="logged")
    client.put_object(Bucket="logged", Key="k", Body=b"data")
    url = raw.presign("GET", "/logged/k")
    assert raw.send("GET", url).status == 200
    signed = raw.sign("GET", "/logged/k", headers={"x-amz-security-token": "TOKEN" + "t" * 40}).headers
    assert raw.send("GET", "/logged/k", signed).status in (400, 403)
    key = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5MTI=",
    }
    told = raw.request("PUT", "/logged/c", headers=key, body=b"x").headers["x-amz-request-id"]
    with refused("SignatureDoesNotMatch", 403):
        s3_client(server, secret_key="wrong" * 8).list_buckets()
    answered, answers = answers_with_secrets(server)
    server.stop()
    secrets = {
        **answered,
        "the secret key": server.secret_key,
        "a presigned URL's signature": url.rsplit("=", 1)[1],
        "a session token": "TOKEN" + "t" * 40,
        "a signature": signed["authorization"].rsplit("=", 1)[1],
        "a customer's key": key["x-amz-server-side-encryption-customer-key"],
        "a wrong secret": "wrong" * 8,
    }
    log = server.log()
    assert [told for told in (told, *answers) if told not in log] == [], "the requests are in the log"
    assert [name for name, secret in secrets.items() if secret in log] == []


def holding(server, secret: str | bytes) -> list[str]:
    """The names of files of the data directory that have this in them, also in Base64 or in hex."""
    secret = secret.encode() if isinstance(secret, str) else secret
    forms = (secret, base64.b64encode(secret).rstrip(b"="), secret.hex().encode())
    files = (path for path in server.data_dir.rglob("*") if path.is_file())
    return sorted(path.name for path in files if any(form in path.read_bytes() for form in forms))


@pytest.mark.restarts
def test_secrets_at_rest_are_sealed(make_server):
    """A secret that was given is nowhere in the data directory; one that was made is in its one file alone, which is its owner's."""
    given = make_server()
    s3_client(given).create_bucket(Bucket="sealed")
    given.stop()
    assert holding(given, given.secret_key) == []
    made = make_server(root_credentials=False)
    assert holding(made, generated(made)["secret_key"]) == ["root-credentials"]
    assert stat.S_IMODE(os.stat(made.data_dir / "root-credentials").st_mode) == 0o600


@pytest.mark.restarts
def test_secrets_of_identities_and_keys_at_rest_are_sealed(make_server):
    """What the server made and answered with once: access keys, sessions, another account's root key, data keys."""
    server = make_server()
    iam, kms = client(server, "iam"), client(server, "kms")
    user = new_user(iam, allow("sts:*"))
    other, root_key = new_account(server, "--name", "other")
    assert client(server, "sts", root_key).get_caller_identity()["Account"] == other
    session = assume(server, user.keys, new_role(iam, trust(user.arn), allow("s3:*")))
    client(server, "s3", session).list_buckets()
    key = kms.create_key(Description="described in the open")["KeyMetadata"]["KeyId"]
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"]
    plaintext = b"a plaintext of " + os.urandom(16)
    kms.encrypt(KeyId=key, Plaintext=plaintext)
    secrets = {
        "an access key": user.keys.secret, "another account's root key": root_key.secret, "a session's secret": session.secret,
        "a data key": data_key, "a plaintext": plaintext,
    }  # fmt: skip
    for running in (True, False):
        if not running:
            server.stop()
        # What is no secret is found, so what is sealed would be.
        for open_one in (user.name, user.keys.id, root_key.id, key):
            assert holding(server, open_one), open_one
        assert {name: holding(server, secret) for name, secret in secrets.items()} == dict.fromkeys(secrets, [])


def code_of(path: Path) -> str:
    """A Rust source without its comments and its tests."""
    lines = path.read_text().split("\n#[cfg(test)]\nmod ")[0].splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("//"))


def test_the_sources_compare_signatures_and_access_keys_in_constant_time():
    """A look at the sources, as no test may assert a time: who compares a proof calls `ct_eq`, or `same`, which does."""
    same = re.search(r"fn same<.*?\n}", code_of(SOURCES / "auth/src/key.rs"), re.DOTALL)
    assert same and "one.as_slice().ct_eq(other.as_slice()).into()" in same.group() and "==" not in same.group()
    for name, what in {
        "verify.rs": "same(&provided, &expected)", "chunked.rs": "same(&signature, &self.expected)",
        "trailers.rs": "same(&signature, &provided)",
    }.items():  # fmt: skip
        assert code_of(SOURCES / "auth/src" / name).count(what) == 1, name
    root = code_of(SOURCES / "millpond/src/root_key.rs")
    assert "self.access_key.as_bytes().ct_eq(access_key_id.as_bytes()).into()" in root
    # Nothing that is a proof, or a secret, stands beside an operator that stops at the first difference.
    proof = r"(?:signature|expected|provided|computed|mac|secret|secret_key)(?:\.\w+(?:\(\))?)*"
    compares = re.compile(rf"[&*\s(.]{proof} [!=]= |[!=]= [&*]*(?:\w+\.)*{proof}\b(?!\()")
    files = [path for crate in ("auth", "millpond") for path in (SOURCES / crate / "src").rglob("*.rs") if path.stem not in ("testing", "fuzz", "tests")]
    assert len(files) > 20
    assert [(path.name, found.group()) for path in files for found in compares.finditer(code_of(path))] == []


# Nothing allowed means denied; an operation authorizes every resource it touches.


@pytest.mark.parametrize("method, path, query", [
    ("GET", "/", ""), ("PUT", "/{b}-new", ""), ("GET", "/{b}", "list-type=2"), ("GET", "/{b}", "versions="),
    ("GET", "/{b}", "policy="), ("GET", "/{b}", "acl="), ("GET", "/{b}/k", ""), ("GET", "/{b}/k", "versionId=null"),
    ("GET", "/{b}/k", "acl="), ("PUT", "/{b}/k", ""), ("PUT", "/{b}/k", "acl="), ("DELETE", "/{b}/k", ""),
    ("DELETE", "/{b}/k", "versionId=null"), ("POST", "/{b}/k", "uploads="), ("DELETE", "/{b}", ""),
])  # fmt: skip
def test_nothing_allowed_means_denied(raw, s3, filled, method, path, query):
    path = path.format(b=filled)
    got = raw.send(method, f"{path}?{query}" if query else path)
    assert got.status in (307, 403) and got.code in ("AccessDenied", None), got
    untouched(s3, filled)


COPIES = {
    "copy": lambda s3, source, target, upload: s3.copy_object(Bucket=target, Key="k", CopySource=source),
    "part": lambda s3, source, target, upload: s3.upload_part_copy(
        Bucket=target, Key="up", UploadId=upload, PartNumber=1, CopySource=source
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_authorizes_its_source_too(server, s3, iam, filled, how):
    """Who may write the target does not get to read a source by it, and who may read the source does not get to write."""
    target, source = f"{filled}-dst", {"Bucket": filled, "Key": "k"}
    s3.create_bucket(Bucket=target)
    upload = s3.create_multipart_upload(Bucket=target, Key="up")["UploadId"]
    at_source, at_target = allow("s3:GetObject", f"arn:aws:s3:::{filled}/*"), allow(["s3:PutObject", "s3:GetObject"], f"arn:aws:s3:::{target}/*")
    written = f"arn:aws:s3:::{target}/{'k' if how == 'copy' else 'up'}"
    for statement, action, resource in [(at_target, "s3:GetObject", f"arn:aws:s3:::{filled}/k"), (at_source, "s3:PutObject", written)]:
        user = new_user(iam, statement)
        with denied(user.arn, action, resource):
            COPIES[how](client(server, "s3", user.keys), source, target, upload)
    assert "Contents" not in s3.list_objects_v2(Bucket=target)
    assert "Parts" not in s3.list_parts(Bucket=target, Key="up", UploadId=upload)
    COPIES[how](client(server, "s3", new_user(iam, at_source, at_target).keys), source, target, upload)
    untouched(s3, filled)


def test_a_version_is_another_resource(server, s3, iam, versioned):
    """Rights to an object are none to its versions."""
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"second")
    current, one = {"Bucket": versioned, "Key": "k"}, {"Bucket": versioned, "Key": "k", "VersionId": first}
    arn, actions = f"arn:aws:s3:::{versioned}/k", ["s3:GetObject", "s3:DeleteObject", "s3:GetObjectTagging"]
    user = new_user(iam, allow([*actions, "s3:PutObject"], f"{arn}*"))
    own = client(server, "s3", user.keys)
    assert own.get_object(**current)["Body"].read() == b"second"
    assert own.head_object(**current)["ContentLength"] == 6 and own.get_object_tagging(**current)["TagSet"] == []
    for action, call in [
        ("s3:GetObjectVersion", lambda: own.get_object(**one)),
        ("s3:GetObjectVersion", lambda: own.copy_object(Bucket=versioned, Key="k-copy", CopySource=one)),
        ("s3:GetObjectVersionTagging", lambda: own.get_object_tagging(**one)),
        ("s3:DeleteObjectVersion", lambda: own.delete_object(**one)),
    ]:
        with denied(user.arn, action, arn):
            call()
    # The answer to a HEAD has no body to tell why.
    with refused("403", 403):
        own.head_object(**one)
    [error] = own.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k", "VersionId": first}]})["Errors"]
    assert error["Code"] == "AccessDenied"
    assert s3.get_object(**one)["Body"].read() == b"first"
    versions = ["s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:DeleteObjectVersion"]
    able = new_user(iam, allow(versions, arn))
    other = client(server, "s3", able.keys)
    assert other.get_object(**one)["Body"].read() == b"first" and other.head_object(**one)["ContentLength"] == 5
    assert other.get_object_tagging(**one)["TagSet"] == []
    for action, call in [
        ("s3:GetObject", lambda: other.get_object(**current)),
        ("s3:GetObjectTagging", lambda: other.get_object_tagging(**current)),
        ("s3:DeleteObject", lambda: other.delete_object(**current)),
    ]:
        with denied(able.arn, action, arn):
            call()
    other.delete_object(**one)


def test_a_url_for_an_object_is_none_for_its_versions(raw, s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"second")
    for method in ("GET", "DELETE"):
        url = raw.presign(method, f"/{versioned}/k")
        got = raw.send(method, f"{url}&versionId={first}")
        assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=first)["Body"].read() == b"first"


# A deny wins over every allow, and the key's policy counts at every read.


class Layers:
    """A role that every layer lets read an object under a key: its own policy, its boundary, its session, the bucket, the key."""

    def __init__(self, server, iam, s3, bucket):
        self.server, self.iam, self.s3, self.bucket = server, iam, s3, bucket
        self.kms = client(server, "kms")
        self.everything = allow(["s3:*", "kms:*"])
        self.actor = new_user(iam, allow("sts:AssumeRole"))
        self.role = new_role(iam, trust(self.actor.arn), self.everything)
        self.name = self.role.rsplit("/", 1)[1]
        self.arn = f"{self.role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/session"
        self.boundary = iam.create_policy(PolicyName=unique("boundary"), PolicyDocument=policy(self.everything))["Policy"]["Arn"]
        iam.put_role_permissions_boundary(RoleName=self.name, PermissionsBoundary=self.boundary)
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.object = {"Bucket": bucket, "Key": "k"}
        s3.put_object(**self.object, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=self.key)
        self.session = ()
        for layer in ("bucket", "key"):
            self.put(layer)

    def put(self, layer: str, *denies: dict):
        """Makes the layer's policy one that allows everything and denies this."""
        identity = policy(self.everything, *denies)
        match layer:
            case "identity":
                self.iam.put_role_policy(RoleName=self.name, PolicyName="own", PolicyDocument=identity)
            case "boundary":
                version = self.iam.create_policy_version(PolicyArn=self.boundary, PolicyDocument=identity, SetAsDefault=True)
                assert version["PolicyVersion"]["IsDefaultVersion"]
            case "session":
                self.session = denies
            case "bucket":
                mine = [allow("s3:*", f"arn:aws:s3:::{self.bucket}/*"), *denies]
                self.s3.put_bucket_policy(Bucket=self.bucket, Policy=policy(*(of_resource(self.role, each) for each in mine)))
            case "key":
                root = of_resource(f"arn:aws:iam::{self.role.split(':')[4]}:root", allow("kms:*"))
                mine = [root, *(of_resource(self.role, each) for each in (allow("kms:*"), *denies))]
                self.kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=policy(*mine))

    def read(self) -> bytes:
        keys = assume(self.server, self.actor.keys, self.role, Policy=policy(self.everything, *self.session))
        return client(self.server, "s3", keys).get_object(**self.object)["Body"].read()


@pytest.mark.parametrize("layer, words", [
    ("identity", "an identity-based policy"), ("bucket", "a resource-based policy"), ("key", "a resource-based policy"),
    ("session", "a session policy"), ("boundary", "a permissions boundary"),
])  # fmt: skip
def test_deny_wins(server, iam, s3, bucket, layer, words):
    """Every layer allows; the deny of one, beside its own allow, is enough, and the allows are enough without it."""
    layers = Layers(server, iam, s3, bucket)
    assert layers.read() == b"x"
    read, decrypt = ("s3:GetObject", f"arn:aws:s3:::{bucket}/k"), ("kms:Decrypt", layers.key)
    for action, resource in [decrypt] if layer == "key" else [read] if layer == "bucket" else [read, decrypt]:
        layers.put(layer, deny(action, "*" if layer == "key" else resource))
        with denied(layers.arn, action, resource, f"with an explicit deny in {words}"):
            layers.read()
        layers.put(layer)
        assert layers.read() == b"x"


@pytest.mark.parametrize("bucket_key", [False, True])
def test_the_key_policy_counts_at_every_read_as_the_caller(server, iam, s3, bucket, bucket_key):
    """Each way to the bytes asks the key's policy for the caller's own right, however often others, and the caller, have read before."""
    kms = client(server, "kms")
    reader, other = (new_user(iam, allow("s3:*")) for _ in range(2))
    root = of_resource(f"arn:aws:iam::{reader.arn.split(':')[4]}:root", allow("kms:*"))
    key = kms.create_key(Policy=policy(root))["KeyMetadata"]["Arn"]
    source = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**source, Body=b"secret", ServerSideEncryption="aws:kms", SSEKMSKeyId=key, BucketKeyEnabled=bucket_key)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="up")["UploadId"]
    part = {"Bucket": bucket, "Key": "up", "UploadId": upload, "PartNumber": 1}
    reads = {
        "get": lambda s3: s3.get_object(**source)["Body"].read(),
        "range": lambda s3: s3.get_object(**source, Range="bytes=1-2")["Body"].read(),
        "part number": lambda s3: s3.get_object(**source, PartNumber=1)["Body"].read(),
        "attributes": lambda s3: s3.get_object_attributes(**source, ObjectAttributes=["Checksum"]),
        "copy": lambda s3: s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ServerSideEncryption="AES256"),
        "part copy": lambda s3: s3.upload_part_copy(**part, CopySource=source),
    }

    def may(*users):
        """Lets these decrypt, and checks who is let in and who is not."""
        use = [of_resource(user.arn, allow("kms:Decrypt")) for user in users]
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(root, *use))
        for user in (reader, other):
            own, allowed = client(server, "s3", user.keys), user in users
            url = client_of(server, keys=user.keys).presign("GET", f"/{bucket}/k")
            for read in reads.values():
                if allowed:
                    read(own)
                else:
                    with denied(user.arn, "kms:Decrypt", key, "because no "):
                        read(own)
            if allowed:
                own.head_object(**source, ChecksumMode="ENABLED")
            else:
                with refused("403", 403):
                    own.head_object(**source, ChecksumMode="ENABLED")
            got = client_of(server).send("GET", url)
            assert (got.status, got.code) == ((200, None) if allowed else (403, "AccessDenied")), got
            assert (b"secret" in got.body) == allowed

    may()
    may(reader)
    may(other)
    may(reader, other)
    may()


# Headers that are not signed do not count.


@pytest.mark.parametrize("name, value", [
    ("x-amz-acl", "public-read"), ("x-amz-copy-source", "/b/k"), ("x-amz-meta-a", "1"), ("x-amz-tagging", "a=b"),
    ("x-amz-security-token", "t"), ("x-amz-website-redirect-location", "/x"), ("x-amz-grant-read", 'id="x"'),
    ("x-amz-bypass-governance-retention", "true"), ("X-AMZ-Server-Side-Encryption", "AES256"),
])  # fmt: skip
def test_headers_that_are_not_signed_do_not_count(raw, s3, filled, name, value):
    signed = raw.sign("PUT", f"/{filled}/new", payload=UNSIGNED).headers
    got = raw.send("PUT", f"/{filled}/new", {**signed, name: value}, b"x")
    assert got.status in (400, 403) and got.code in ("AccessDenied", "InvalidToken"), got
    got = raw.send("PUT", raw.presign("PUT", f"/{filled}/new"), {name: value}, b"x")
    assert got.status in (400, 403) and got.code in ("AccessDenied", "InvalidToken"), got
    untouched(s3, filled)


# Presigned URLs and clocks.


@pytest.mark.parametrize("expires", [7 * DAY + 1, "NaN", "nan", "inf", "-1", "0", "1e9", "604800.5", "", "9" * 40])
def test_presigned_urls_live_seven_days_at_most(raw, filled, expires):
    assert raw.send("GET", raw.presign("GET", f"/{filled}/k", expires=7 * DAY)).status == 200
    got = raw.send("GET", raw.presign("GET", f"/{filled}/k", expires=expires))
    assert got.status in (400, 403) and got.code in ("AuthorizationQueryParametersError", "AccessDenied"), got


@pytest.mark.parametrize("minutes, good", [(-14, True), (14, True), (-16, False), (16, False)])
def test_clocks_may_differ_by_fifteen_minutes(raw, filled, minutes, good):
    when = now() + datetime.timedelta(minutes=minutes)
    got = raw.request("GET", f"/{filled}/k", when=when, headers={"x-amz-date": amz_date(when)})
    assert (got.status, got.code) == ((200, None) if good else (403, "RequestTimeTooSkewed")), got


# Chunk signatures and trailers are verified before the bytes count.


@pytest.mark.parametrize("what", ["signature", "bytes", "last", "trailer", "missing trailer"])
def test_chunks_and_trailers_are_verified_before_they_count(raw, s3, filled, what):
    data = noise(200_000, 7)

    def other(text):
        return text[:-1] + ("0" if text[-1] != "0" else "1")

    def spoil(index, head, piece):
        match what, index:
            case ("signature", 1) | ("last", 4) | ("trailer", -1):
                return other(head), piece
            case "bytes", 1:
                return head, b"X" + piece[1:]
        return head, piece

    trailers = {"x-amz-checksum-crc32": checksum("CRC32", data)} if what == "trailer" else None
    headers = {"x-amz-trailer": "x-amz-checksum-crc32"} if what == "missing trailer" else None
    mode = STREAMING_TRAILER if "trailer" in what else STREAMING
    got = raw.chunked(f"/{filled}/k", data, mode=mode, trailers=trailers, headers=headers, spoil=spoil)
    assert got.status in (400, 403) and got.code, got
    if "trailer" not in what:
        assert got.code == "SignatureDoesNotMatch", got
    # Over an object that was there: not a byte of it changed.
    untouched(s3, filled)


# Client headers never feed trusted condition keys.


@pytest.mark.restarts
@pytest.mark.parametrize("trusted", [False, True], ids=["no proxy", "trusted proxy"])
def test_client_headers_feed_no_trusted_keys(make_server, trusted):
    """Without a configured proxy nobody's word is taken for where a request came from, nor for how; and a proxy's two headers alone count."""
    server = make_server(args=["--trusted-proxy", "127.0.0.0/8"] if trusted else [])
    iam = client(server, "iam")
    conditions = {
        "address": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        "transport": {"Bool": {"aws:SecureTransport": "true"}},
        "both": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}, "Bool": {"aws:SecureTransport": "true"}},
    }
    raws = {name: client_of(server, keys=new_user(iam, allow("s3:ListAllMyBuckets", condition=c)).keys) for name, c in conditions.items()}
    address, transport = {"x-forwarded-for": "203.0.113.77"}, {"x-forwarded-proto": "https"}
    never = {
        "forwarded": "for=203.0.113.77;proto=https", "x-real-ip": "203.0.113.77", "x-client-ip": "203.0.113.77",
        "cf-connecting-ip": "203.0.113.77", "true-client-ip": "203.0.113.77", "x-forwarded-ssl": "on", "front-end-https": "on",
        "x-forwarded-scheme": "https", "aws-sourceip": "203.0.113.77",
    }  # fmt: skip
    for headers, believed in [
        ({}, set()), (never, set()), (address, {"address"}), (transport, {"transport"}),
        ({**address, **transport}, {"address", "transport", "both"}), ({**address, **transport, **never}, {"address", "transport", "both"}),
        # The proxy saw the last one; what its client had put before does not count.
        ({"x-forwarded-for": "203.0.113.77, 198.51.100.7"}, set()), ({"x-forwarded-for": "198.51.100.7, 203.0.113.77"}, {"address"}),
    ]:  # fmt: skip
        for name, raw in raws.items():
            expected = (200, None) if trusted and name in believed else (403, "AccessDenied")
            for signed in (True, False):
                sent = raw.sign("GET", "/", headers=headers).headers if signed else {**raw.sign("GET", "/").headers, **headers}
                got = raw.send("GET", "/", sent)
                assert (got.status, got.code) == expected, (name, headers, signed, got)


# Keys are opaque, never paths.


@pytest.mark.parametrize("key", ["a//b", ".", "..", "../d", "a/../b", "./x", "/etc/passwd", "a/", "//", "\\..\\x", "%2e%2e/x", "k ", "CON"])
def test_keys_are_opaque_never_paths(raw, s3, bucket, key):
    path = f"/{bucket}/{encode_key(key)}"
    assert raw.request("PUT", path, body=key.encode()).status == 200
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert raw.request("GET", path).body == key.encode()


@pytest.mark.parametrize("path", ["%FF", "%C0%AF", "%ED%A0%80", "k" * 1025, "%C3%BC" * 513])
def test_keys_that_are_none_are_refused(raw, s3, bucket, path):
    got = raw.request("PUT", f"/{bucket}/{path}", body=b"x")
    assert got.status == 400 and got.code, got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


# XML and JSON are parsed with limits.


@pytest.mark.parametrize("body", [
    b"<Delete>" * 100_000,
    b"<Delete>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</Delete>",
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    b"<Delete>" + b" " * (16 << 20) + b"</Delete>",
], ids=["open", "deep", "entities", "large"])  # fmt: skip
def test_xml_has_limits(raw, s3, filled, body):
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    got = raw.request("POST", f"/{filled}", "delete=", {"content-md5": digest}, body)
    assert got.status == 400 and got.code in ("MalformedXML", "MaxMessageLengthExceeded", "EntityTooLarge"), got
    untouched(s3, filled)


@pytest.mark.parametrize("body", [
    b"[" * 1_000_000,
    b'{"KeyId":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"KeyId":"' + b"k" * (32 << 20) + b'"}',
    b'{"KeyId":1e999999999}',
], ids=["open", "deep", "large", "number"])  # fmt: skip
def test_json_has_limits(server, raw, body):
    headers = {"x-amz-target": "TrentService.DescribeKey", "content-type": "application/x-amz-json-1.1"}
    got = client_of(server, "kms").request("POST", "/", headers=headers, body=body)
    assert got.status in (400, 413), got
    assert raw.send("GET", "/_millpond/health/live").status == 200


@pytest.mark.parametrize("nested", [
    lambda n: '{"Version":"2012-10-17","Statement":' + "[" * n + "]" * n + "}",
    lambda n: '{"Version":"2012-10-17","Statement":' * n + "[]" + "}" * n,
    lambda n: '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":' + '{"a":' * n + "1" + "}" * (n + 2),
    lambda n: "[" * n,
], ids=["lists", "objects", "conditions", "open"])  # fmt: skip
def test_policies_have_limits(raw, s3, iam, filled, nested):
    """Documents that are within the limit of size, and deeper than any policy."""
    user, depth = new_user(iam).name, 400
    with refused("MalformedPolicyDocument", 400):
        iam.put_user_policy(UserName=user, PolicyName="deep", PolicyDocument=nested(depth // 10))
    with refused("MalformedPolicyDocument", 400):
        iam.create_policy(PolicyName=unique("deep"), PolicyDocument=nested(depth // 10))
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == []
    with refused("MalformedPolicy", 400):
        s3.put_bucket_policy(Bucket=filled, Policy=nested(depth))
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=filled)
    # As deep as a body may be long, or longer.
    for deep in (9_000, 60_000, 1_000_000):
        got = raw.request("PUT", f"/{filled}", "policy=", body=b"[" * deep)
        assert got.status in (400, 413) and got.code in ("MalformedPolicy", "EntityTooLarge", "PolicyTooLarge", "MaxMessageLengthExceeded"), got
    assert raw.send("GET", "/_millpond/health/live").status == 200
    untouched(s3, filled)
