"""Users, groups and roles: what they may do, and that changes count at once."""

import contextlib
import itertools
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest
from botocore.exceptions import BotoCoreError
from harness.clients import client, refused
from harness.identities import User, allow, deny, name, trust
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

EC2 = trust({"Service": "ec2.amazonaws.com"})


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


@pytest.fixture
def object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"text")
    return {"Bucket": bucket, "Key": "a/b"}


def test_a_user_reads_what_a_policy_allows(server, iam, s3, object):
    user = User(server, iam)
    with refused("AccessDenied", 403) as denied:
        user.s3.get_object(**object)
    assert denied["Error"]["Message"] == (
        f"User: {user.arn} is not authorized to perform: s3:GetObject on resource: "
        f"\"arn:aws:s3:::{object['Bucket']}/a/b\" because no identity-based policy allows the s3:GetObject action"
    )
    iam.put_user_policy(UserName=user.name, PolicyName="read", PolicyDocument=allow("s3:GetObject", f"arn:aws:s3:::{object['Bucket']}/a/*"))
    assert user.s3.get_object(**object)["Body"].read() == b"text"
    with refused("AccessDenied", 403):
        user.s3.put_object(**object, Body=b"other")
    with refused("AccessDenied", 403):
        user.s3.get_object(Bucket=object["Bucket"], Key="c")
    iam.delete_user_policy(UserName=user.name, PolicyName="read")
    with refused("AccessDenied", 403):
        user.s3.get_object(**object)


def test_groups_give_and_take(server, iam, object):
    user, group = User(server, iam), name("group")
    made = iam.create_group(GroupName=group, Path="/teams/")["Group"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/teams/{group}" and made["GroupId"].startswith("AGPA")
    iam.put_group_policy(GroupName=group, PolicyName="read", PolicyDocument=allow("s3:GetObject"))
    for _ in range(2):  # twice is once
        iam.add_user_to_group(GroupName=group, UserName=user.name)
    assert user.s3.get_object(**object)["Body"].read() == b"text"
    assert [u["UserName"] for u in iam.get_group(GroupName=group)["Users"]] == [user.name]
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName=user.name)["Groups"]] == [group]
    with refused("DeleteConflict", 409):
        iam.delete_group(GroupName=group)
    iam.remove_user_from_group(GroupName=group, UserName=user.name)
    with refused("AccessDenied", 403):
        user.s3.get_object(**object)
    with refused("DeleteConflict", 409):
        iam.delete_group(GroupName=group)
    iam.delete_group_policy(GroupName=group, PolicyName="read")
    iam.delete_group(GroupName=group)
    with refused("NoSuchEntity", 404):
        iam.get_group(GroupName=group)


def test_an_attached_policy_and_its_default_version_count(server, iam, object):
    user, policy = User(server, iam), name("policy")
    arn = iam.create_policy(PolicyName=policy, PolicyDocument=allow("s3:GetObject"))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=user.name, PolicyArn=arn)
    user.s3.get_object(**object)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=deny("s3:*"))
    user.s3.get_object(**object)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    with refused("AccessDenied", 403) as denied:
        user.s3.get_object(**object)
    assert denied["Error"]["Message"].endswith(f"with an explicit deny in an identity-based policy: {arn}")
    iam.detach_user_policy(UserName=user.name, PolicyArn=arn)
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    user.s3.get_object(**object)
    with refused("AccessDenied", 403):
        user.s3.delete_object(**object)


def test_a_boundary_bounds(server, iam, object):
    policy = name("boundary")
    arn = iam.create_policy(PolicyName=policy, PolicyDocument=allow("s3:GetObject"))["Policy"]["Arn"]
    user = User(server, iam, allow("s3:*"), PermissionsBoundary=arn)
    got = iam.get_user(UserName=user.name)["User"]["PermissionsBoundary"]
    assert got == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn} or got["PermissionsBoundaryArn"] == arn
    user.s3.get_object(**object)
    with refused("AccessDenied", 403) as denied:
        user.s3.put_object(**object, Body=b"x")
    assert denied["Error"]["Message"].endswith("because no permissions boundary allows the s3:PutObject action")
    with refused("DeleteConflict", 409):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_user_permissions_boundary(UserName=user.name)
    user.s3.put_object(**object, Body=b"x")
    with refused("NoSuchEntity", 404):
        iam.delete_user_permissions_boundary(UserName=user.name)
    iam.put_user_permissions_boundary(UserName=user.name, PermissionsBoundary="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    with refused("AccessDenied", 403):
        user.s3.get_object(**object)


def test_keys_stop_working_at_once(server, iam, object):
    user = User(server, iam, allow("s3:GetObject"))
    key = user.key["AccessKeyId"]
    user.s3.get_object(**object)
    for status in ("Inactive", "Active"):
        iam.update_access_key(UserName=user.name, AccessKeyId=key, Status=status)
        assert [k["Status"] for k in iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"]] == [status]
        if status == "Inactive":
            with refused("InvalidAccessKeyId", 403):
                user.s3.get_object(**object)
            with refused("InvalidClientTokenId", 403):
                user.client("iam").get_user()
    user.s3.get_object(**object)
    iam.delete_access_key(UserName=user.name, AccessKeyId=key)
    with refused("InvalidAccessKeyId", 403):
        user.s3.get_object(**object)
    with refused("NoSuchEntity", 404):
        iam.delete_access_key(UserName=user.name, AccessKeyId=key)
    iam.delete_user_policy(UserName=user.name, PolicyName="p0")
    iam.delete_user(UserName=user.name)
    with refused("NoSuchEntity", 404):
        iam.get_user(UserName=user.name)


def test_a_token_on_a_long_term_key_is_refused(server, iam):
    user = User(server, iam)
    with refused("InvalidClientTokenId", 403):
        user.client("iam", session_token="x" * 100).get_user()
    with refused("InvalidClientTokenId", 403):
        client(server, "iam", access_key="ASIAAAAAAAAAAAAAAAAA", secret_key="x" * 40).get_user()


def test_access_keys_of_oneself(server, iam):
    user = User(server, iam, allow(["iam:*AccessKey*", "iam:GetUser"], f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"))
    own = user.client("iam")
    assert own.get_user()["User"]["UserName"] == user.name
    second = own.create_access_key()["AccessKey"]
    assert second["UserName"] == user.name and len(second["AccessKeyId"]) == 20 and len(second["SecretAccessKey"]) == 40
    with refused("LimitExceeded", 409) as limit:
        own.create_access_key()
    assert limit["Error"]["Message"] == "Cannot exceed quota for AccessKeysPerUser: 2"
    assert {k["AccessKeyId"] for k in own.list_access_keys()["AccessKeyMetadata"]} == {user.key["AccessKeyId"], second["AccessKeyId"]}
    other = User(server, iam)
    with refused("AccessDenied", 403):
        own.list_access_keys(UserName=other.name)
    own.delete_access_key(AccessKeyId=second["AccessKeyId"])


def test_last_use(server, iam, object):
    user = User(server, iam, allow("s3:GetObject"))
    last = iam.get_access_key_last_used(AccessKeyId=user.key["AccessKeyId"])
    assert last["UserName"] == user.name
    assert last["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    user.s3.get_object(**object)
    last = iam.get_access_key_last_used(AccessKeyId=user.key["AccessKeyId"])["AccessKeyLastUsed"]
    assert (last["ServiceName"], last["Region"]) == ("s3", server.region) and last["LastUsedDate"]
    with refused("SignatureDoesNotMatch", 403):
        client(server, "iam", access_key=user.key["AccessKeyId"], secret_key="x" * 40).get_user()
    assert iam.get_access_key_last_used(AccessKeyId=user.key["AccessKeyId"])["AccessKeyLastUsed"] == last
    with refused("AccessDenied", 403):
        iam.get_access_key_last_used(AccessKeyId="AKIAIOSFODNN7EXAMPLE")


def test_the_root_user(server, iam):
    root = iam.get_user()["User"]
    assert (root["UserId"], root["Arn"], "UserName" in root) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", False)
    assert server.access_key in [k["AccessKeyId"] for k in iam.list_access_keys()["AccessKeyMetadata"]]
    with refused("UnmodifiableEntity", 400):
        iam.delete_access_key(AccessKeyId=server.access_key)
    made = iam.create_access_key()["AccessKey"]
    with refused("LimitExceeded", 409):
        iam.create_access_key()
    second = client(server, "sts", access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])
    assert second.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    iam.delete_access_key(AccessKeyId=made["AccessKeyId"])
    with refused("InvalidClientTokenId", 403):
        second.get_caller_identity()


def test_users_by_name_and_path(server, iam):
    user = name("Mixed")
    made = iam.create_user(UserName=user, Path="/a/b/", Tags=[{"Key": "team", "Value": "blue"}])["User"]
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/a/b/{user}" and made["Tags"] == [{"Key": "team", "Value": "blue"}]
    with refused("EntityAlreadyExists", 409) as taken:
        iam.create_user(UserName=user.lower())
    assert taken["Error"]["Message"] == f"User with name {user.lower()} already exists."
    assert iam.get_user(UserName=user.upper())["User"]["UserName"] == user
    listed = iam.list_users(PathPrefix="/a/")["Users"]
    assert [u["UserName"] for u in listed if u["UserName"] == user] == [user] and "Tags" not in listed[0]
    assert user not in [u["UserName"] for u in iam.list_users(PathPrefix="/b/")["Users"]]
    renamed = name("Renamed")
    iam.update_user(UserName=user, NewUserName=renamed, NewPath="/c/")
    got = iam.get_user(UserName=renamed)["User"]
    assert (got["UserId"], got["Arn"]) == (made["UserId"], f"arn:aws:iam::{ACCOUNT}:user/c/{renamed}")
    with refused("NoSuchEntity", 404) as gone:
        iam.get_user(UserName=user)
    assert gone["Error"]["Message"] == f"The user with name {user} cannot be found."
    iam.update_user(UserName=renamed, NewUserName=renamed.upper())
    assert iam.get_user(UserName=renamed)["User"]["UserName"] == renamed.upper()
    iam.delete_user(UserName=renamed)


def test_a_renamed_user_keeps_keys_and_rights(server, iam, object):
    user = User(server, iam, allow("s3:GetObject"))
    renamed = name("renamed")
    iam.update_user(UserName=user.name, NewUserName=renamed)
    user.s3.get_object(**object)
    assert user.client("sts").get_caller_identity()["Arn"].endswith(f":user/{renamed}")


def test_delete_conflicts(server, iam):
    user, group = User(server, iam, allow("s3:*")), name("group")
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    for message, undo in [
        ("must delete access keys first", lambda: iam.delete_access_key(UserName=user.name, AccessKeyId=user.key["AccessKeyId"])),
        ("must remove users from group first", lambda: iam.remove_user_from_group(GroupName=group, UserName=user.name)),
        ("must detach all policies first", lambda: iam.detach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")),
        ("must delete policies first", lambda: iam.delete_user_policy(UserName=user.name, PolicyName="p0")),
    ]:  # fmt: skip
        with refused("DeleteConflict", 409) as conflict:
            iam.delete_user(UserName=user.name)
        assert message in conflict["Error"]["Message"]
        undo()
    iam.delete_user(UserName=user.name)
    iam.delete_group(GroupName=group)


def test_roles(server, iam):
    role = name("role")
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=EC2, Description="d", MaxSessionDuration=7200, Path="/r/",
                           Tags=[{"Key": "k", "Value": "v"}])["Role"]  # fmt: skip
    assert made["RoleId"].startswith("AROA") and made["AssumeRolePolicyDocument"] == json.loads(EC2)
    assert (made["MaxSessionDuration"], made["Description"]) == (7200, "d")
    iam.update_role(RoleName=role, MaxSessionDuration=3700)
    assert iam.get_role(RoleName=role)["Role"]["Description"] == "d"
    iam.update_role(RoleName=role, Description="e")
    got = iam.get_role(RoleName=role)["Role"]
    assert (got["Description"], got["MaxSessionDuration"], got["Tags"]) == ("e", 3600, [{"Key": "k", "Value": "v"}])
    assert iam.update_role_description(RoleName=role, Description="f")["Role"]["Description"] == "f"
    changed = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=changed)
    assert iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == json.loads(changed)
    assert iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"] == []
    assert [r["RoleName"] for r in iam.list_roles(PathPrefix="/r/")["Roles"] if r["RoleName"] == role] == [role]
    iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    with refused("DeleteConflict", 409):
        iam.delete_role(RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    iam.delete_role(RoleName=role)
    with refused("NoSuchEntity", 404):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=EC2)


@pytest.mark.parametrize("principal", [
    {"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody-at-all"},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:role/nobody-at-all"},
    {"AWS": "arn:aws:iam::999999999999:root"},
    {"AWS": "999999999999"},
    {"AWS": "arn:aws:iam::999999999999:user/a"},
    {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody-at-all/s"},
    {"AWS": "AROAAAAAAAAAAAAAAAAAA"},
    {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/none"},
])  # fmt: skip
def test_a_trust_policy_names_nobody(iam, principal):
    with refused("MalformedPolicyDocument", 400) as malformed:
        iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=trust(principal))
    assert malformed["Error"]["Message"].startswith("Invalid principal in policy")


def test_who_is_recreated_does_not_inherit_trust(server, iam):
    user, role = name("user"), name("role")
    made = iam.create_user(UserName=user)["User"]
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"AWS": made["Arn"]}, Sid="Principal"))

    def trusted():
        return iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]

    assert trusted() == made["Arn"]
    renamed = name("renamed")
    iam.update_user(UserName=user, NewUserName=renamed)
    assert trusted() == f"arn:aws:iam::{ACCOUNT}:user/{renamed}"
    iam.delete_user(UserName=renamed)
    iam.create_user(UserName=user)
    iam.create_user(UserName=renamed)
    assert trusted() == made["UserId"]
    # What names somebody that is gone is refused when it is put again.
    with refused("MalformedPolicyDocument", 400):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": made["UserId"]}))


def test_conditions_of_administration(server, iam):
    arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    boundary = "arn:aws:iam::aws:policy/PowerUserAccess"
    admin = User(server, iam,
                 allow("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": arn}}),
                 allow("iam:CreateUser", Condition={"StringEquals": {"iam:PermissionsBoundary": boundary}}),
                 allow("iam:TagUser", Condition={"StringEquals": {"aws:RequestTag/team": "blue"},
                                                 "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}),
                 allow("iam:DeleteUser", Condition={"StringEquals": {"iam:ResourceTag/team": "blue"}}),
                 allow("iam:ListUsers", f"arn:aws:iam::{ACCOUNT}:user/teams/*")).client("iam")  # fmt: skip
    first, second = name("first"), name("second")
    with refused("AccessDenied", 403):
        admin.create_user(UserName=first)
    admin.create_user(UserName=first, PermissionsBoundary=boundary)
    with refused("AccessDenied", 403):
        admin.create_user(UserName=second, PermissionsBoundary=boundary, Tags=[{"Key": "team", "Value": "red"}])
    admin.create_user(UserName=second, PermissionsBoundary=boundary, Tags=[{"Key": "team", "Value": "blue"}])
    with refused("AccessDenied", 403):
        admin.tag_user(UserName=first, Tags=[{"Key": "team", "Value": "blue"}, {"Key": "x", "Value": "y"}])
    admin.attach_user_policy(UserName=first, PolicyArn=arn)
    with refused("AccessDenied", 403):
        admin.attach_user_policy(UserName=first, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    with refused("AccessDenied", 403):
        admin.delete_user(UserName=first)
    admin.delete_user(UserName=second)
    admin.list_users(PathPrefix="/teams/")
    with refused("AccessDenied", 403):
        admin.list_users()


def test_a_decision_is_not_used_after_policies_changed(server, iam):
    """Many administrators at once, one of whom takes the others' rights away: every change is decided at the moment of its commit."""
    admin = User(server, iam, allow("iam:*"))
    own = [admin.client("iam") for _ in range(4)]
    users = [name("late") for _ in range(24)]

    def create(n):
        try:
            own[n % 4].create_user(UserName=users[n])
            return True
        except own[0].exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied", error
            return False

    with ThreadPoolExecutor(5) as pool:
        made = [pool.submit(create, n) for n in range(len(users))]
        time.sleep(0.05)
        iam.delete_user_policy(UserName=admin.name, PolicyName="p0")
        # Acknowledged: from here on nothing is made.
        with refused("AccessDenied", 403):
            admin.client("iam").create_user(UserName=name("later"))
        known = {user["UserName"] for page in iam.get_paginator("list_users").paginate() for user in page["Users"]}
        for user, done in zip(users, made):
            assert done.result() == (user in known), user


class Changes:
    """Changes of all kinds, one after the other: what each was to bring about, and what was acknowledged."""

    KINDS = ("inline", "version", "keys", "member", "attached to the user", "attached to the group", "attached to the role", "trust")

    def __init__(self, server):
        self.server, self.iam = server, client(server, "iam")
        self.user, self.group, self.role, self.secrets = "victim", "g", "r", {}
        self.documents, self.trusts = [allow("s3:GetObject"), allow("s3:PutObject")], [EC2, trust({"Service": "lambda.amazonaws.com"})]
        self.iam.create_user(UserName=self.user)
        self.iam.create_group(GroupName=self.group)
        self.iam.create_role(RoleName=self.role, AssumeRolePolicyDocument=self.trusts[0])
        self.iam.put_user_policy(UserName=self.user, PolicyName="inline", PolicyDocument=self.documents[0])
        self.policy = self.iam.create_policy(PolicyName="p", PolicyDocument=self.documents[0])["Policy"]["Arn"]
        self.state, self.pending, self.acknowledged = self.read(), None, Counter()

    def sides(self, kind: str) -> tuple:
        """How to attach the policy to this, and how to detach it."""
        named = {f"{kind.capitalize()}Name": getattr(self, kind), "PolicyArn": self.policy}
        attach, detach = getattr(self.iam, f"attach_{kind}_policy"), getattr(self.iam, f"detach_{kind}_policy")
        return lambda: attach(**named), lambda: detach(**named)

    def read(self) -> dict:
        """What is there now; each fact has the same answer from both of its sides, and is whole."""
        iam, user, policy = self.iam, {"UserName": self.user}, {"PolicyArn": self.policy}
        held = iam.get_policy(**policy)["Policy"]
        versions = iam.list_policy_versions(**policy)["Versions"]
        assert [v["VersionId"] for v in versions if v["IsDefaultVersion"]] == [held["DefaultVersionId"]]
        for version in versions:
            document = iam.get_policy_version(**policy, VersionId=version["VersionId"])["PolicyVersion"]["Document"]
            assert json.dumps(document) in self.documents
        member = [g["GroupName"] for g in iam.list_groups_for_user(**user)["Groups"]] == [self.group]
        assert [u["UserName"] for u in iam.get_group(GroupName=self.group)["Users"]] == ([self.user] if member else [])
        attached, entities = {}, iam.list_entities_for_policy(**policy)
        for kind in ("user", "group", "role"):
            listed = getattr(iam, f"list_attached_{kind}_policies")(**{f"{kind.capitalize()}Name": getattr(self, kind)})
            attached[kind] = [one["PolicyArn"] for one in listed["AttachedPolicies"]] == [self.policy]
            assert len(entities[f"Policy{kind.capitalize()}s"]) == attached[kind], kind
        assert held["AttachmentCount"] == sum(attached.values())
        return {
            "inline": json.dumps(iam.get_user_policy(**user, PolicyName="inline")["PolicyDocument"]),
            "version": held["DefaultVersionId"],
            "keys": {key["AccessKeyId"] for key in iam.list_access_keys(**user)["AccessKeyMetadata"]},
            "member": member, **{f"attached to the {kind}": there for kind, there in attached.items()},
            "trust": json.dumps(iam.get_role(RoleName=self.role)["Role"]["AssumeRolePolicyDocument"]),
        }  # fmt: skip

    def change(self, kind: str):
        """One change. What it brings about counts as soon as it is acknowledged."""
        iam, state = self.iam, self.state
        if kind == "version":
            for old in iam.list_policy_versions(PolicyArn=self.policy)["Versions"]:
                if not old["IsDefaultVersion"]:
                    iam.delete_policy_version(PolicyArn=self.policy, VersionId=old["VersionId"])
            value = f"v{int(state[kind][1:]) + 1}"
            call = lambda: iam.create_policy_version(PolicyArn=self.policy, PolicyDocument=self.documents[int(value[1:]) % 2], SetAsDefault=True)  # noqa: E731
        elif kind == "keys" and len(state[kind]) == 2:
            gone = min(state[kind])
            value, call = state[kind] - {gone}, lambda: iam.delete_access_key(UserName=self.user, AccessKeyId=gone)
        elif kind == "keys":
            # Its id is known when it is answered.
            value, call = None, lambda: iam.create_access_key(UserName=self.user)["AccessKey"]
        elif kind == "inline":
            value = self.documents[state[kind] == self.documents[0]]
            call = lambda: iam.put_user_policy(UserName=self.user, PolicyName="inline", PolicyDocument=value)  # noqa: E731
        elif kind == "trust":
            value = self.trusts[state[kind] == self.trusts[0]]
            call = lambda: iam.update_assume_role_policy(RoleName=self.role, PolicyDocument=value)  # noqa: E731
        elif kind == "member":
            value = not state[kind]
            change = iam.add_user_to_group if value else iam.remove_user_from_group
            call = lambda: change(GroupName=self.group, UserName=self.user)  # noqa: E731
        else:
            value = not state[kind]
            call = self.sides(kind.rsplit(" ", 1)[1])[0 if value else 1]
        self.pending = (kind, value)
        answer = call()
        if value is None:
            self.secrets[answer["AccessKeyId"]] = answer["SecretAccessKey"]
            value = state[kind] | {answer["AccessKeyId"]}
        self.state[kind], self.pending = value, None
        self.acknowledged[kind] += 1

    def check(self):
        """After a kill: every acknowledged change is there, and of the one that was under way all or nothing."""
        found, expected = self.read(), self.state
        kind, value = self.pending or (None, None)
        for each in self.KINDS:
            if each != kind or value is not None:
                assert found[each] in (expected[each], value if each == kind else expected[each]), (each, found, expected, kind)
            else:
                assert expected[each] <= found[each] and len(found[each] - expected[each]) <= 1, (found, expected)
        for key in found["keys"] & self.secrets.keys():
            caller = client(self.server, "sts", key, self.secrets[key]).get_caller_identity()
            assert caller["Arn"].endswith(f":user/{self.user}")
        self.state, self.pending = found, None


def test_changes_are_whole_after_kill(make_server):
    """Ten kills at least, and more of them on a machine so slow that some kind of change was not acknowledged in any of them."""
    server = make_server()
    changes = Changes(server)
    kinds = itertools.cycle(Changes.KINDS)

    def work():
        with contextlib.suppress(BotoCoreError, OSError, HTTPException):  # the server was killed; a refusal is an error
            for kind in kinds:
                changes.change(kind)

    for round in range(40):
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work)
            time.sleep(0.1 + round % 10 * 0.07)
            server.kill()
            working.result()
        server.start()
        changes.check()
        if round >= 9 and changes.acknowledged.keys() == set(Changes.KINDS):
            break
    assert changes.acknowledged.keys() == set(Changes.KINDS), changes.acknowledged


def test_everything_is_there_after_a_restart(make_server):
    server = make_server()
    iam = client(server, "iam")
    user = User(server, iam, allow("sts:*"), Tags=[{"Key": "Team", "Value": "blue"}])
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName=user.name)
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:*"), Description="d", Tags=[{"Key": "a", "Value": "b"}])["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="g", PolicyArn=arn)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust({"AWS": user.arn}), PermissionsBoundary=arn)
    long = json.dumps(json.loads(allow("s3:GetObject")), indent=8000)
    iam.put_role_policy(RoleName="r", PolicyName="long", PolicyDocument=long)
    user.client("sts").get_caller_identity()

    def everything():
        got = iam.get_account_authorization_details()
        got.pop("ResponseMetadata")
        return got, iam.get_access_key_last_used(AccessKeyId=user.key["AccessKeyId"])["AccessKeyLastUsed"]

    before = everything()
    assert server.stop() == 0
    secret = user.key["SecretAccessKey"].encode()
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert files and not [path for path in files if secret in path.read_bytes()], "secrets rest sealed"
    assert user.key["SecretAccessKey"] not in server.log()
    server.start()
    assert everything() == before
    user.client("sts").get_caller_identity()
    user.s3.list_buckets()


def test_aws_cli(tools, server):
    user, group, policy, role = name("cli"), name("cli"), name("cli"), name("cli")

    def aws(*args):
        out = tools.aws(*args, "--output", "json").stdout
        return json.loads(out) if out.strip() else None

    assert aws("iam", "create-user", "--user-name", user)["User"]["UserName"] == user
    aws("iam", "create-group", "--group-name", group)
    aws("iam", "add-user-to-group", "--group-name", group, "--user-name", user)
    arn = aws("iam", "create-policy", "--policy-name", policy, "--policy-document", allow("s3:ListAllMyBuckets"))["Policy"]["Arn"]
    aws("iam", "attach-group-policy", "--group-name", group, "--policy-arn", arn)
    aws("iam", "create-role", "--role-name", role, "--assume-role-policy-document", EC2)
    assert aws("iam", "list-entities-for-policy", "--policy-arn", arn)["PolicyGroups"][0]["GroupName"] == group
    assert aws("iam", "get-account-summary")["SummaryMap"]["AccessKeysPerUserQuota"] == 2
    assert aws("iam", "list-account-aliases")["AccountAliases"] == []
    bad = tools.aws("iam", "create-user", "--user-name", user, check=False)
    assert b"(EntityAlreadyExists) when calling the CreateUser operation" in bad.stderr


# What cannot be set reads as unset.

OF_A_USER = {
    "list_mfa_devices": "MFADevices",
    "list_service_specific_credentials": "ServiceSpecificCredentials",
    "list_signing_certificates": "Certificates",
    "list_ssh_public_keys": "SSHPublicKeys",
}
OF_THE_ACCOUNT = {
    "list_instance_profiles": "InstanceProfiles",
    "list_open_id_connect_providers": "OpenIDConnectProviderList",
    "list_saml_providers": "SAMLProviderList",
    "list_server_certificates": "ServerCertificateMetadataList",
    "list_virtual_mfa_devices": "VirtualMFADevices",
}


@pytest.mark.parametrize("operation, member", [*OF_A_USER.items(), *OF_THE_ACCOUNT.items()])
def test_lists_of_what_cannot_be_set_are_empty(server, iam, operation, member):
    reader = User(server, iam, allow("iam:List*")).client("iam")
    for who in (iam, reader):
        got = getattr(who, operation)()
        assert got[member] == [] and not got.get("IsTruncated")
    with refused("AccessDenied", 403):
        getattr(User(server, iam).client("iam"), operation)()
    if operation in OF_A_USER:
        user = User(server, iam).name
        assert getattr(iam, operation)(UserName=user)[member] == []
        with refused("NoSuchEntity", 404) as missing:
            getattr(iam, operation)(UserName="nobody")
        assert missing["Error"]["Message"] == "The user with name nobody cannot be found."


def test_credentials_of_services_of_all_users(iam):
    assert iam.list_service_specific_credentials(AllUsers=True, ServiceName="codecommit.amazonaws.com")["ServiceSpecificCredentials"] == []
    with refused("ValidationError", 400):
        iam.list_service_specific_credentials(AllUsers=True, UserName="alice")


def test_there_are_no_passwords(server, iam):
    user = User(server, iam)
    for named, message in [
        (user.name, f"Login Profile for User {user.name} cannot be found."),
        ("nobody", "The user with name nobody cannot be found."),
    ]:
        with refused("NoSuchEntity", 404) as missing:
            iam.get_login_profile(UserName=named)
        assert missing["Error"]["Message"] == message
    with refused("NoSuchEntity", 404) as missing:
        iam.get_account_password_policy()
    assert missing["Error"]["Message"] == f"The Password Policy with domain name {ACCOUNT} cannot be found."
    with refused("AccessDenied", 403):
        user.client("iam").get_login_profile()
    with refused("NotImplemented", 501):
        iam.create_login_profile(UserName=user.name, Password="x" * 20)
