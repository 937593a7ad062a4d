"""Who am I, and temporary credentials."""

import base64
import datetime
import json
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from harness.clients import refused
from harness.identity import Keys, allow, assume, client, new_role, new_user, policy, trust, unique
from harness.raw import Raw
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started


def sts(server, **keys):
    return boto3.session.Session().client(
        "sts", endpoint_url=server.endpoint, region_name=server.region, config=Config(retries={"total_max_attempts": 1}),
        aws_access_key_id=keys.get("access_key", server.access_key),
        aws_secret_access_key=keys.get("secret_key", server.secret_key),
    )  # fmt: skip


def test_root(server):
    got = sts(server).get_caller_identity()
    assert (got["Account"], got["Arn"], got["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    assert got["ResponseMetadata"]["RequestId"]


def test_aws_cli(tools):
    got = tools.aws("sts", "get-caller-identity", "--query", "Arn", "--output", "text").stdout.decode().strip()
    assert got == f"arn:aws:iam::{ACCOUNT}:root"


def test_refusals(server):
    with refused("InvalidClientTokenId", 403):
        sts(server, access_key="AKIAIOSFODNN7EXAMPLE").get_caller_identity()
    with refused("SignatureDoesNotMatch", 403):
        sts(server, secret_key="x" * 40).get_caller_identity()


@pytest.mark.parametrize("body, codes", [
    (b"Action=NoSuchAction&Version=2011-06-15", ("InvalidAction",)),
    (b"Version=2011-06-15", ("MissingAction", "InvalidAction")),
    (b"Action=GetCallerIdentity&Version=1999-01-01", ("InvalidAction", "NoSuchVersion", "InvalidParameterValue")),
    (b"Action=AssumeRoleWithSAML&Version=2011-06-15", ("NotImplemented", "InvalidAction")),
    (b"Action=%FF", ("InvalidAction", "MalformedInput", "MalformedQueryString", "InvalidParameterValue",
                        "ValidationError")),
    (b"", ("MissingAction", "InvalidAction", "MissingAuthenticationToken")),
])  # fmt: skip
def test_bad_actions(server, body, codes):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="sts")
    got = raw.request("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=body)
    assert 400 <= got.status < 600 and got.code in codes, got


def test_huge_form(server):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="sts")
    body = b"Action=GetCallerIdentity&Version=2011-06-15&x=" + b"a" * (20 << 20)
    got = raw.request("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=body)
    assert got.status in (400, 413), got


READ = allow("s3:GetObject")
SESSIONS = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


@pytest.fixture
def user(iam):
    """A user who may ask STS for anything, and do nothing else."""
    return new_user(iam, allow("sts:*"))


def answers(server, keys: Keys) -> dict:
    return client(server, "sts", keys).get_caller_identity()


def get(server, keys: Keys, bucket: str, key: str = "k") -> bytes:
    return client(server, "s3", keys).get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.fixture
def lake(s3, bucket):
    for key in ("k", "blue/k", "red/k"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


# AssumeRole


def test_assume_role(server, iam, user, lake):
    role = new_role(iam, trust(user.arn), READ)
    name = role.rsplit("/", 1)[1]
    sts = client(server, "sts", user.keys)
    got = sts.assume_role(RoleArn=role, RoleSessionName="me")
    keys = Keys.of(got)
    assert keys.id.startswith("ASIA") and len(keys.id) == 20 and len(keys.secret) == 40 and len(keys.token) < 4096
    left = got["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=50) < left <= datetime.timedelta(hours=1)
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me"
    assert got["AssumedRoleUser"]["Arn"] == arn and "PackedPolicySize" not in got
    who = answers(server, keys)
    assert (who["Arn"], who["UserId"]) == (arn, got["AssumedRoleUser"]["AssumedRoleId"])
    assert get(server, keys, lake) == b"k"
    with refused("AccessDenied", 403) as seen:
        client(server, "s3", keys).put_object(Bucket=lake, Key="other")
    assert arn in seen["Error"]["Message"]
    with refused("AccessDenied", 403):
        get(server, user.keys, lake)


def test_who_is_not_trusted(server, iam, user):
    other = new_user(iam, allow("sts:*"))
    role = new_role(iam, trust(other.arn))
    missing = f"arn:aws:iam::{ACCOUNT}:role/{unique('missing')}"
    for arn in (role, missing):
        with refused("AccessDenied", 403) as seen:
            assume(server, user.keys, arn)
        assert seen["Error"]["Message"] == (
            f"User: {user.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )
    with refused("AccessDenied", 403) as seen:
        client(server, "sts").assume_role(RoleArn=role, RoleSessionName="root")
    assert seen["Error"]["Message"] == "Roles may not be assumed by root accounts."


def test_the_account_is_trusted_and_policies_decide(server, iam, user):
    role = new_role(iam, trust(f"arn:aws:iam::{ACCOUNT}:root"))
    weak = new_user(iam, allow("s3:*"))
    assert assume(server, user.keys, role)
    with refused("AccessDenied", 403):
        assume(server, weak.keys, role)


def test_external_id(server, iam, user):
    role = new_role(iam, trust(user.arn, condition={"StringEquals": {"sts:ExternalId": "contract-7"}}))
    assert assume(server, user.keys, role, ExternalId="contract-7")
    for more in ({}, {"ExternalId": "contract-8"}):
        with refused("AccessDenied", 403):
            assume(server, user.keys, role, **more)


def test_session_policies_narrow(server, iam, user, lake):
    role = new_role(iam, trust(user.arn), allow("s3:*"))
    name = unique("policy")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=policy(allow("s3:PutObject")))["Policy"]["Arn"]
    sts = client(server, "sts", user.keys)

    def may(keys: Keys) -> set[str]:
        s3, allowed = client(server, "s3", keys), set()
        for action, call in (("get", lambda: s3.get_object(Bucket=lake, Key="k")),
                             ("put", lambda: s3.put_object(Bucket=lake, Key="k", Body=b"k")),
                             ("list", lambda: s3.list_objects_v2(Bucket=lake))):  # fmt: skip
            try:
                call()
                allowed.add(action)
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDenied", error
        return allowed

    for more, expected in (
        ({}, {"get", "put", "list"}),
        ({"Policy": policy(READ)}, {"get"}),
        ({"PolicyArns": [{"arn": arn}]}, {"put"}),
        ({"Policy": policy(READ), "PolicyArns": [{"arn": arn}]}, {"get", "put"}),
        ({"Policy": policy(allow("kms:*"))}, set()),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]}, {"get", "list"}),
    ):
        got = sts.assume_role(RoleArn=role, RoleSessionName="session", **more)
        assert ("PackedPolicySize" in got) == bool(more) and 0 <= got.get("PackedPolicySize", 0) <= 100
        assert may(Keys.of(got)) == expected, more

    # Managed policies count as they are when they are used.
    keys = assume(server, user.keys, role, PolicyArns=[{"arn": arn}])
    assert may(keys) == {"put"}
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(READ), SetAsDefault=True)
    assert may(keys) == {"get"}
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    assert may(keys) == set()


@pytest.mark.parametrize("more, code", [
    ({"DurationSeconds": 899}, "ValidationError"),
    ({"DurationSeconds": 3601}, "ValidationError"),
    ({"DurationSeconds": 43201}, "ValidationError"),
    ({"Policy": "{"}, "MalformedPolicyDocument"),
    ({"Policy": policy({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})}, "MalformedPolicyDocument"),
    ({"Policy": policy(*[allow("s3:GetObject", f"arn:aws:s3:::bucket-{n}/*") for n in range(40)])}, "PackedPolicyTooLarge"),
    ({"Tags": [{"Key": f"key-{n}", "Value": "v" * 200} for n in range(20)]}, "PackedPolicyTooLarge"),
    ({"PolicyArns": [{"arn": f"arn:aws:iam::{ACCOUNT}:policy/missing"}]}, "ValidationError"),
    ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "InvalidParameterValue"),
    ({"TransitiveTagKeys": ["team"]}, "InvalidParameterValue"),
    ({"name": "no blanks"}, "ValidationError"),
    ({"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/x", "TokenCode": "123456"}, "AccessDenied"),
])  # fmt: skip
def test_what_is_passed_is_checked(server, iam, user, more, code):
    role = new_role(iam, trust(user.arn, SESSIONS))
    with refused(code):
        assume(server, user.keys, role, **more)


def test_longer_sessions_where_the_role_allows(server, iam, user):
    role = new_role(iam, trust(user.arn), MaxSessionDuration=7200)
    assert assume(server, user.keys, role, DurationSeconds=7200)
    with refused("ValidationError", 400) as seen:
        assume(server, user.keys, role, DurationSeconds=7201)
    assert "MaxSessionDuration" in seen["Error"]["Message"]


def test_tags_are_condition_keys(server, iam, user, lake):
    own = allow("s3:GetObject", f"arn:aws:s3:::{lake}/${{aws:PrincipalTag/team}}/*")
    role = new_role(iam, trust(user.arn, SESSIONS), own, Tags=[{"Key": "team", "Value": "red"}])
    # The role's own tag, and the session's before it.
    plain = assume(server, user.keys, role)
    blue = assume(server, user.keys, role, Tags=[{"Key": "team", "Value": "blue"}])
    for keys, mine, theirs in ((plain, "red", "blue"), (blue, "blue", "red")):
        assert get(server, keys, lake, f"{mine}/k") == f"{mine}/k".encode()
        with refused("AccessDenied", 403):
            get(server, keys, lake, f"{theirs}/k")
    untaggable = new_role(iam, trust(user.arn))
    with refused("AccessDenied", 403) as seen:
        assume(server, user.keys, untaggable, Tags=[{"Key": "team", "Value": "blue"}])
    assert "sts:TagSession" in seen["Error"]["Message"]
    picky = new_role(iam, trust(user.arn, SESSIONS, {"StringEquals": {"aws:RequestTag/team": "blue"}}))
    assert assume(server, user.keys, picky, Tags=[{"Key": "team", "Value": "blue"}])
    with refused("AccessDenied", 403):
        assume(server, user.keys, picky, Tags=[{"Key": "team", "Value": "red"}])


def test_role_chaining(server, iam, user, lake):
    account = f"arn:aws:iam::{ACCOUNT}:root"
    first = new_role(iam, trust(user.arn, SESSIONS), allow("sts:*"), MaxSessionDuration=43200)
    own = allow("s3:GetObject", f"arn:aws:s3:::{lake}/${{aws:PrincipalTag/team}}/*")
    second = new_role(iam, trust(account, SESSIONS), own, MaxSessionDuration=43200)
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "size", "Value": "small"}]
    one = assume(server, user.keys, first, Tags=tags, TransitiveTagKeys=["team"], SourceIdentity="ada", DurationSeconds=43200)
    got = client(server, "sts", one).assume_role(RoleArn=second, RoleSessionName="two")
    assert got["SourceIdentity"] == "ada"
    assert get(server, Keys.of(got), lake, "blue/k") == b"blue/k"
    with refused("ValidationError", 400) as seen:
        assume(server, one, second, DurationSeconds=3601)
    assert "role chaining" in seen["Error"]["Message"]
    with refused("InvalidParameterValue", 400):
        assume(server, one, second, Tags=[{"Key": "team", "Value": "red"}])
    with refused("AccessDenied", 403):
        assume(server, one, second, SourceIdentity="eve")


def test_a_session_dies_with_its_role(server, iam, user, lake):
    name = unique("role")
    role = new_role(iam, trust(user.arn), READ, RoleName=name)
    keys = assume(server, user.keys, role)
    assert get(server, keys, lake) == b"k"
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    iam.delete_role(RoleName=name)
    with refused("InvalidClientTokenId", 403):
        answers(server, keys)
    # Another role of the same name is another role.
    new_role(iam, trust(user.arn), READ, RoleName=name)
    with refused("InvalidClientTokenId", 403):
        answers(server, keys)
    with pytest.raises(client(server, "s3", keys).exceptions.ClientError) as caught:
        get(server, keys, lake)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert get(server, assume(server, user.keys, role), lake) == b"k"


# Tokens


def forged(token: str) -> dict[str, str]:
    middle = len(token) // 2
    return {
        "cut": token[:-5],
        "halved": token[:middle],
        "changed": token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :],
        "longer": token + "AAAA",
        "made up": base64.urlsafe_b64encode(bytes(range(256)) * 2).decode().rstrip("="),
        "short": "x",
    }


def test_forged_cut_and_foreign_tokens(server, iam, user, lake, make_server):
    role = new_role(iam, trust(user.arn), READ)
    keys, other = assume(server, user.keys, role), assume(server, user.keys, role)
    elsewhere = make_server()
    foreign = Keys.of(client(elsewhere, "sts").get_session_token())
    bad = [Keys(keys.id, keys.secret, token) for token in forged(keys.token).values()]
    bad += [Keys(keys.id, keys.secret, other.token), Keys(other.id, keys.secret, keys.token), foreign]
    bad.append(Keys(user.keys.id, user.keys.secret, keys.token))
    for one in bad:
        with refused("InvalidToken", 400):
            get(server, one, lake)
        with refused("InvalidClientTokenId", 403):
            answers(server, one)
    for call in (lambda keys: get(server, keys, lake), lambda keys: answers(server, keys)):
        with refused("SignatureDoesNotMatch", 403):
            call(Keys(keys.id, "x" * 40, keys.token))
        assert call(keys)
    # Without its token a temporary key is none.
    with refused("InvalidClientTokenId", 403):
        answers(server, Keys(keys.id, keys.secret))
    with refused("InvalidAccessKeyId", 403):
        get(server, Keys(keys.id, keys.secret), lake)


def test_tokens_outlive_a_restart(make_server):
    server = make_server()
    keys = Keys.of(client(server, "sts").get_session_token())
    server.kill()
    server.start()
    assert answers(server, keys)["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_presigned_urls_carry_the_token(server, iam, user, lake):
    role = new_role(iam, trust(user.arn), READ)
    keys = assume(server, user.keys, role)
    url = client(server, "s3", keys).generate_presigned_url("get_object", Params={"Bucket": lake, "Key": "k"})
    assert "X-Amz-Security-Token" in url
    with urllib.request.urlopen(url, timeout=10) as got:
        assert got.read() == b"k"
    token = url.split("X-Amz-Security-Token=")[1].split("&")[0]
    for bad in (token[:-4], token[:-1] + ("A" if token[-1] != "A" else "B")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url.replace(token, bad), timeout=10)
        assert caught.value.code == 400 and b"<Code>InvalidToken</Code>" in caught.value.read()
    put = client(server, "s3", keys).generate_presigned_url("put_object", Params={"Bucket": lake, "Key": "k"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(put, method="PUT", data=b"x"), timeout=10)
    assert caught.value.code == 403


# Sessions of the caller itself


def test_get_session_token(server, iam, user, lake):
    iam.put_user_policy(UserName=user.name, PolicyName="more", PolicyDocument=policy(READ))
    keys = Keys.of(client(server, "sts", user.keys).get_session_token(DurationSeconds=900))
    assert answers(server, keys)["Arn"] == user.arn
    assert get(server, keys, lake) == b"k"
    sts = client(server, "sts", keys)
    with refused("AccessDenied", 403) as seen:
        sts.get_session_token()
    assert seen["Error"]["Message"] == "Cannot call GetSessionToken with session credentials"
    with refused("AccessDenied", 403):
        sts.get_federation_token(Name="joe")
    assert assume(server, keys, new_role(iam, trust(user.arn)))
    with refused("InvalidClientTokenId", 403):
        client(server, "iam", keys).get_user()
    root = client(server, "sts").get_session_token(DurationSeconds=129600)["Credentials"]["Expiration"]
    assert root - datetime.datetime.now(datetime.timezone.utc) <= datetime.timedelta(hours=1)


def test_get_federation_token(server, iam, user, lake):
    iam.put_user_policy(UserName=user.name, PolicyName="more", PolicyDocument=policy(READ, allow("s3:ListBucket")))
    sts = client(server, "sts", user.keys)
    got = sts.get_federation_token(Name="joe", Policy=policy(allow("s3:*")))
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/joe"
    assert got["FederatedUser"] == {"Arn": arn, "FederatedUserId": f"{ACCOUNT}:joe"} and got["PackedPolicySize"] > 0
    keys = Keys.of(got)
    assert answers(server, keys)["Arn"] == arn and get(server, keys, lake) == b"k"
    # Both the user and the policy must allow.
    with refused("AccessDenied", 403):
        client(server, "s3", keys).put_object(Bucket=lake, Key="k")
    with refused("AccessDenied", 403):
        get(server, Keys.of(sts.get_federation_token(Name="joe", Policy=policy(allow("s3:ListBucket")))), lake)
    nothing = Keys.of(sts.get_federation_token(Name="joe"))
    assert answers(server, nothing)["Arn"] == arn
    with refused("AccessDenied", 403):
        get(server, nothing, lake)
    for more, code in (({"Name": "x"}, "ValidationError"), ({"Name": "x" * 33}, "ValidationError"),
                       ({"Name": "joe", "Policy": "no"}, "MalformedPolicyDocument")):  # fmt: skip
        with refused(code, 400):
            client(server, "sts", user.keys, parameter_validation=False).get_federation_token(**more)
    weak = new_user(iam, READ)
    with refused("AccessDenied", 403):
        client(server, "sts", weak.keys).get_federation_token(Name="joe")
    for call in (lambda: client(server, "iam", keys).list_users(), lambda: assume(server, keys, new_role(iam, trust(user.arn)))):
        with pytest.raises(sts.exceptions.ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_whose_key_it_is(server, iam, user):
    keys = assume(server, user.keys, new_role(iam, trust(user.arn)))
    sts = client(server, "sts")
    for id in (user.keys.id, keys.id, server.access_key):
        assert sts.get_access_key_info(AccessKeyId=id)["Account"] == ACCOUNT, id
    with refused("ValidationError", 400):
        sts.get_access_key_info(AccessKeyId="AKIAIOSFODNN7EXAMPLE")
    with refused("AccessDenied", 403):
        client(server, "sts", new_user(iam, READ).keys).get_access_key_info(AccessKeyId=keys.id)


def test_messages_that_are_none(server, iam):
    sts = client(server, "sts")
    for message in ("x", "A" * 200):
        with refused("InvalidAuthorizationMessageException", 400):
            sts.decode_authorization_message(EncodedMessage=message)
    with refused("AccessDenied", 403):
        client(server, "sts", new_user(iam, READ).keys).decode_authorization_message(EncodedMessage="x")


def test_aws_cli_assumes_a_role_by_its_profile(server, iam, user, lake, tools):
    role = new_role(iam, trust(user.arn, condition={"StringEquals": {"sts:ExternalId": "42"}}), READ)
    config = tools.home / ".aws" / "config"
    config.write_text(
        config.read_text()
        + f"[profile lake]\nrole_arn = {role}\nexternal_id = 42\ncredential_source = Environment\n"
        + "s3 =\n    addressing_style = path\n"
    )
    got = tools.aws("--profile", "lake", "s3", "cp", f"s3://{lake}/k", "-", env=user.keys.env())
    assert got.stdout == b"k"
    who = tools.aws("--profile", "lake", "sts", "get-caller-identity", env=user.keys.env())
    assert json.loads(who.stdout)["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/")


# Without a signature


@pytest.mark.parametrize("body, status, code", [
    (b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=s", 501, "NotImplemented"),
    (b"Action=AssumeRoleWithSAML&Version=2011-06-15&SAMLAssertion=" + b"x" * 100_000, 501, "NotImplemented"),
    (b"Action=AssumeRoleWithSAML&Version=2011-06-15&SAMLAssertion=" + b"x" * 300_000, 403, "MissingAuthenticationToken"),
    (b"Action=AssumeRoleWithSAML&Version=2010-05-08", 403, "MissingAuthenticationToken"),
    (b"Action=AssumeRoot&Version=2011-06-15", 403, "MissingAuthenticationToken"),
    (b"Action=GetCallerIdentity&Version=2011-06-15", 403, "MissingAuthenticationToken"),
    (b"Action=ListUsers&Version=2010-05-08", 403, "MissingAuthenticationToken"),
    (b"%FF", 403, "MissingAuthenticationToken"),
    (b"", 403, "MissingAuthenticationToken"),
])  # fmt: skip
def test_unsigned(server, body, status, code):
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = urllib.request.Request(server.endpoint + "/", data=body, headers=form, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request)
    answer = refusal.value.read().decode()
    assert refusal.value.code == status and f"<Code>{code}</Code>" in answer, answer


def test_federation_by_others_is_not_implemented(server):
    sts, role = client(server, "sts"), f"arn:aws:iam::{ACCOUNT}:role/r"
    with refused("NotImplemented", 501) as seen:
        sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="joe", WebIdentityToken="token")
    assert "AssumeRoleWithWebIdentity" in seen["Error"]["Message"]
    with refused("NotImplemented", 501) as seen:
        sts.assume_role_with_saml(RoleArn=role, PrincipalArn=f"arn:aws:iam::{ACCOUNT}:saml-provider/p", SAMLAssertion="x" * 20)
    assert "AssumeRoleWithSAML" in seen["Error"]["Message"]


def test_other_services_are_told_what_is_served(server):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="states")
    got = raw.request("POST", "/", headers={"content-type": "application/x-amz-json-1.1"}, body=b"{}")
    assert got.status == 501 and b"s3, s3control, sts, iam, cloudtrail, kms" in got.body, got
