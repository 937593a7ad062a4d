"""Policies, tags and lists: documents, limits, pages."""

import json

import pytest
from harness.clients import client, refused
from harness.identities import allow, document, name, statement, trust
from harness.raw import Raw
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
EC2 = trust({"Service": "ec2.amazonaws.com"})


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


@pytest.fixture
def user(iam):
    made = name("user")
    iam.create_user(UserName=made)
    return made


def sized(characters: int, template=allow) -> str:
    """A document of exactly so many characters that count: white space does not."""
    text = json.dumps(json.loads(template(["s3:GetObject"])), separators=(",", ":"))
    short = characters - len(text) - len(',"Sid":""')
    padded = text.replace('"Effect"', f'"Sid":"{"a" * short}","Effect"', 1)
    assert len(padded) == characters
    return json.dumps(json.loads(padded), indent=2)


def sized_trust(characters: int) -> str:
    return sized(characters, lambda _: EC2)


def test_size_limits(iam, user):
    group, role = name("group"), name("role")
    iam.create_group(GroupName=group)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=EC2)
    for put, limit, message in [
        (lambda n, text: iam.put_user_policy(UserName=user, PolicyName=n, PolicyDocument=text), 2048, f"Maximum policy size of 2048 bytes exceeded for user {user}"),
        (lambda n, text: iam.put_group_policy(GroupName=group, PolicyName=n, PolicyDocument=text), 5120, f"Maximum policy size of 5120 bytes exceeded for group {group}"),
        (lambda n, text: iam.put_role_policy(RoleName=role, PolicyName=n, PolicyDocument=text), 10240, f"Maximum policy size of 10240 bytes exceeded for role {role}"),
    ]:  # fmt: skip
        put("a", sized(limit - 200))
        with refused("LimitExceeded", 409) as over:
            put("b", sized(201))
        assert over["Error"]["Message"] == message
        put("b", sized(200))
        put("a", sized(limit - 200))  # in place of itself
        with refused("LimitExceeded", 409):
            put("c", allow("s3:*"))
    with refused("LimitExceeded", 409) as over:
        iam.create_policy(PolicyName=name("policy"), PolicyDocument=sized(6145))
    assert over["Error"]["Message"] == "Cannot exceed quota for PolicySize: 6144"
    iam.create_policy(PolicyName=name("policy"), PolicyDocument=sized(6144))
    with refused("LimitExceeded", 409) as over:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=sized_trust(2049))
    assert over["Error"]["Message"] == "Cannot exceed quota for ACLSizePerRole: 2048"
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=sized_trust(2048))


def test_attachment_limits(iam, user):
    arns = [iam.create_policy(PolicyName=name("policy"), PolicyDocument=allow("s3:*"))["Policy"]["Arn"] for _ in range(11)]
    group, role = name("group"), name("role")
    iam.create_group(GroupName=group)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=EC2)
    for kind, attach in [
        ("User", lambda arn: iam.attach_user_policy(UserName=user, PolicyArn=arn)),
        ("Group", lambda arn: iam.attach_group_policy(GroupName=group, PolicyArn=arn)),
        ("Role", lambda arn: iam.attach_role_policy(RoleName=role, PolicyArn=arn)),
    ]:
        for arn in arns[:10]:
            attach(arn)
        attach(arns[0])  # twice is once
        with refused("LimitExceeded", 409) as over:
            attach(arns[10])
        assert over["Error"]["Message"] == f"Cannot exceed quota for PoliciesPer{kind}: 10"
    listed = [p["PolicyArn"] for p in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]]
    assert listed == sorted(arns[:10])
    got = iam.get_policy(PolicyArn=arns[0])["Policy"]
    assert (got["AttachmentCount"], got["PermissionsBoundaryUsageCount"], got["IsAttachable"]) == (3, 0, True)
    entities = iam.list_entities_for_policy(PolicyArn=arns[0])
    assert [len(entities[k]) for k in ("PolicyUsers", "PolicyGroups", "PolicyRoles")] == [1, 1, 1]
    only = iam.list_entities_for_policy(PolicyArn=arns[0], EntityFilter="Role", PolicyUsageFilter="PermissionsPolicy")
    assert [len(only[k]) for k in ("PolicyUsers", "PolicyGroups", "PolicyRoles")] == [0, 0, 1]
    for detach in (lambda: iam.detach_user_policy(UserName=user, PolicyArn=arns[0]),):
        detach()
        with refused("NoSuchEntity", 404):
            detach()
    for missing in (f"arn:aws:iam::{ACCOUNT}:policy/none", "arn:aws:iam::aws:policy/None", "arn:aws:iam::999999999999:policy/p"):
        with refused("NoSuchEntity", 404) as gone:
            iam.attach_user_policy(UserName=user, PolicyArn=missing)
        assert gone["Error"]["Message"] == f"Policy {missing} does not exist or is not attachable."
    with refused("InvalidInput", 400):
        iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:s3:::no-policy-at-all")


def test_groups_of_a_user(iam, user):
    groups = [name("group") for _ in range(11)]
    for group in groups:
        iam.create_group(GroupName=group)
    for group in groups[:10]:
        iam.add_user_to_group(GroupName=group, UserName=user)
    with refused("LimitExceeded", 409) as over:
        iam.add_user_to_group(GroupName=groups[10], UserName=user)
    assert over["Error"]["Message"] == "Cannot exceed quota for GroupsPerUser: 10"


def test_groups_of_an_account(make_server):
    iam = client(make_server(), "iam")
    for n in range(300):
        iam.create_group(GroupName=f"g{n}")
    with refused("LimitExceeded", 409) as over:
        iam.create_group(GroupName="g300")
    assert over["Error"]["Message"] == "Cannot exceed quota for GroupsPerAccount: 300"
    assert len([g for page in iam.get_paginator("list_groups").paginate() for g in page["Groups"]]) == 300


def test_versions(iam):
    policy = name("policy")
    made = iam.create_policy(PolicyName=policy, PolicyDocument=allow("s3:Get*"), Path="/p/", Description="words")["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p/{policy}" and made["PolicyId"].startswith("ANPA")
    assert made["DefaultVersionId"] == "v1"
    with refused("EntityAlreadyExists", 409):
        iam.create_policy(PolicyName=policy.upper(), PolicyDocument=allow("s3:Get*"))
    for n in range(2, 6):
        got = iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow(f"s3:Get{n}"))["PolicyVersion"]
        assert (got["VersionId"], got["IsDefaultVersion"]) == (f"v{n}", False)
    with refused("LimitExceeded", 409):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:*"))
    with refused("DeleteConflict", 409) as conflict:
        iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert conflict["Error"]["Message"] == "Cannot delete the default version of a policy."
    iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:*"), SetAsDefault=True)["PolicyVersion"]["VersionId"] == "v6"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(v["VersionId"], v["IsDefaultVersion"]) for v in versions] == [("v6", True), ("v4", False), ("v3", False), ("v2", False), ("v1", False)]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == json.loads(allow("s3:Get2"))
    with refused("NoSuchEntity", 404):
        iam.get_policy_version(PolicyArn=arn, VersionId="v5")
    with refused("NoSuchEntity", 404):
        iam.set_default_policy_version(PolicyArn=arn, VersionId="v9")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Description"] == "words"
    with refused("DeleteConflict", 409) as conflict:
        iam.delete_policy(PolicyArn=arn)
    assert "more than one version" in conflict["Error"]["Message"]
    for n in (1, 2, 3, 4):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{n}")
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", 404) as gone:
        iam.get_policy(PolicyArn=arn)
    assert gone["Error"]["Message"] == f"Policy {arn} was not found."


def test_the_policies_of_aws(iam, user):
    names = {p["PolicyName"] for p in iam.list_policies(Scope="AWS")["Policies"]}
    assert names >= {
        "AdministratorAccess", "PowerUserAccess", "ReadOnlyAccess", "IAMFullAccess", "IAMReadOnlyAccess", "AmazonS3FullAccess",
        "AmazonS3ReadOnlyAccess", "AWSKeyManagementServicePowerUser", "AWSCloudTrail_ReadOnlyAccess", "AWSLambdaBasicExecutionRole",
    }  # fmt: skip
    for p in iam.list_policies(Scope="AWS")["Policies"]:
        assert iam.get_policy_version(PolicyArn=p["Arn"], VersionId="v1")["PolicyVersion"]["Document"]["Version"] == "2012-10-17"
    for change in (
        lambda: iam.delete_policy(PolicyArn=ADMIN),
        lambda: iam.create_policy_version(PolicyArn=ADMIN, PolicyDocument=allow("s3:*")),
        lambda: iam.set_default_policy_version(PolicyArn=ADMIN, VersionId="v1"),
        lambda: iam.tag_policy(PolicyArn=ADMIN, Tags=[{"Key": "a", "Value": "b"}]),
    ):
        with refused("UnmodifiableEntity", 400):
            change()
    local = iam.create_policy(PolicyName=name("policy"), PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    assert local not in {p["Arn"] for page in iam.get_paginator("list_policies").paginate(Scope="Local", OnlyAttached=True) for p in page["Policies"]}
    iam.attach_user_policy(UserName=user, PolicyArn=local)
    assert local in {p["Arn"] for page in iam.get_paginator("list_policies").paginate(Scope="Local", OnlyAttached=True) for p in page["Policies"]}


@pytest.mark.parametrize("text, says", [
    ("{", "JSON"),
    ("[]", "JSON"),
    ('{"Version":"2012-10-17"}', "Statement"),
    ('{"Version":"2012-10-17","Statement":[]}', "empty"),
    ('{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}', "2012-10-17"),
    ('{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}', "2012-10-17"),
    (document({"Effect": "Allow", "Action": "GetObject", "Resource": "*"}), "vendor"),
    (document({"Effect": "Permit", "Action": "*", "Resource": "*"}), "Statement[0].Effect"),
    (document({"Effect": "Allow", "Action": "*", "Resource": "bucket"}), "Statement[0].Resource"),
    (document({"Effect": "Allow", "Action": "*"}), "Policy statement must contain resources."),
    (document({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}), "Policy document should not specify a principal."),
    (document(statement("Allow", "*", "*", Condition={"StringSortOf": {"a:b": "c"}})), "StringSortOf"),
    (document(statement("Allow", "*", "*", Sid="a"), statement("Allow", "*", "*", Sid="a")), "Statement[1].Sid"),
    (document(statement("Allow", "*", "*", Colour="red")), "Colour"),
])  # fmt: skip
def test_malformed_policies(iam, user, text, says):
    for put in (
        lambda: iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text),
        lambda: iam.create_policy(PolicyName=name("policy"), PolicyDocument=text),
    ):
        with refused("MalformedPolicyDocument", 400) as malformed:
            put()
        assert says in malformed["Error"]["Message"], malformed["Error"]["Message"]
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == []


@pytest.mark.parametrize("text", [
    allow("sts:AssumeRole"),
    document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "s3:GetObject"}),
    document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole", "Resource": "*"}),
    document({"Effect": "Deny", "NotPrincipal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}),
])  # fmt: skip
def test_malformed_trust_policies(iam, text):
    with refused("MalformedPolicyDocument", 400):
        iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=text)


def test_documents_come_back_as_they_were(server, iam, user):
    text = '{\n  "Version" : "2012-10-17",\t"Statement": {"Sid":"A", "Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b\\u00e9/*"} }'
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text)
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="iam")
    body = f"Action=GetUserPolicy&Version=2010-05-08&UserName={user}&PolicyName=p".encode()
    got = raw.request("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=body).body.decode()
    encoded = got.split("<PolicyDocument>")[1].split("</PolicyDocument>")[0]
    from urllib.parse import quote, unquote

    assert unquote(encoded) == text and encoded == quote(text, safe="-_.~")


def test_tags(iam, user):
    def tags():
        return {t["Key"]: t["Value"] for t in iam.list_user_tags(UserName=user)["Tags"]}

    iam.tag_user(UserName=user, Tags=[{"Key": "Team", "Value": "blue"}, {"Key": "cost:center", "Value": ""}])
    iam.tag_user(UserName=user, Tags=[{"Key": "TEAM", "Value": "red"}])
    assert tags() == {"TEAM": "red", "cost:center": ""}
    with refused("InvalidInput", 400) as twice:
        iam.tag_user(UserName=user, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
    assert twice["Error"]["Message"] == "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    with refused("InvalidInput", 400):
        iam.tag_user(UserName=user, Tags=[{"Key": "aws:x", "Value": "1"}])
    with refused("ValidationError", 400):
        iam.tag_user(UserName=user, Tags=[{"Key": "a*b", "Value": "1"}])
    iam.untag_user(UserName=user, TagKeys=["team", "absent"])
    assert tags() == {"cost:center": ""}
    iam.tag_user(UserName=user, Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(49)])
    with refused("LimitExceeded", 409):
        iam.tag_user(UserName=user, Tags=[{"Key": "one-more", "Value": "v"}])
    assert len(tags()) == 50
    # More bytes than one row can have: not kept, and said so.
    astral = chr(0x10400)
    many = [{"Key": f"{n:03}" + astral * 125, "Value": astral * 256} for n in range(50)]
    with refused("LimitExceeded", 409):
        iam.create_user(UserName=name("user"), Tags=many)
    policy = iam.create_policy(PolicyName=name("policy"), PolicyDocument=allow("s3:*"), Tags=[{"Key": "a", "Value": "1"}])["Policy"]["Arn"]
    iam.tag_policy(PolicyArn=policy, Tags=[{"Key": "A", "Value": "2"}])
    assert iam.list_policy_tags(PolicyArn=policy)["Tags"] == [{"Key": "A", "Value": "2"}, {"Key": "a", "Value": "1"}]
    iam.untag_policy(PolicyArn=policy, TagKeys=["a"])
    assert iam.get_policy(PolicyArn=policy)["Policy"]["Tags"] == [{"Key": "A", "Value": "2"}]
    role = name("role")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=EC2)
    iam.tag_role(RoleName=role, Tags=[{"Key": "a", "Value": "1"}])
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "a", "Value": "1"}]
    iam.untag_role(RoleName=role, TagKeys=["A"])
    assert iam.list_role_tags(RoleName=role)["Tags"] == []


def test_pages(iam):
    path = f"/{name('path')}/"
    users = sorted(name("page") for _ in range(7))
    for user in users:
        iam.create_user(UserName=user, Path=path)
    seen, marker = [], {}
    while True:
        page = iam.list_users(PathPrefix=path, MaxItems=3, **marker)
        seen.append([u["UserName"] for u in page["Users"]])
        if not page["IsTruncated"]:
            assert "Marker" not in page
            break
        marker = {"Marker": page["Marker"]}
        # What comes between two pages moves nothing.
        if len(seen) == 1:
            iam.delete_user(UserName=users[0])
    assert seen == [users[:3], users[3:6], users[6:]]
    for bad in ("nonsense", "!"):
        with refused("ValidationError", 400):
            iam.list_users(Marker=bad)
    for n in range(5):
        iam.put_user_policy(UserName=users[6], PolicyName=f"p{n}", PolicyDocument=allow("s3:*"))
    pages = iam.get_paginator("list_user_policies").paginate(UserName=users[6], PaginationConfig={"PageSize": 2})
    assert [page["PolicyNames"] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]


def test_account_authorization_details(make_server):
    iam = client(make_server(), "iam")
    for n in range(3):
        iam.create_user(UserName=f"u{n}")
        iam.create_group(GroupName=f"g{n}")
        iam.create_role(RoleName=f"r{n}", AssumeRolePolicyDocument=EC2)
        iam.create_policy(PolicyName=f"p{n}", PolicyDocument=allow("s3:*"))
    iam.add_user_to_group(GroupName="g1", UserName="u0")
    iam.put_user_policy(UserName="u0", PolicyName="inline", PolicyDocument=allow("s3:Get*"))
    iam.attach_role_policy(RoleName="r0", PolicyArn=ADMIN)
    iam.put_role_permissions_boundary(RoleName="r0", PermissionsBoundary=ADMIN)
    got = iam.get_account_authorization_details()
    first = got["UserDetailList"][0]
    assert (first["GroupList"], first["UserPolicyList"]) == (["g1"], [{"PolicyName": "inline", "PolicyDocument": json.loads(allow("s3:Get*"))}])
    assert got["RoleDetailList"][0]["AttachedManagedPolicies"] == [{"PolicyName": "AdministratorAccess", "PolicyArn": ADMIN}]
    assert {p["PolicyName"] for p in got["Policies"]} == {"p0", "p1", "p2", "AdministratorAccess"}
    admin = [p for p in got["Policies"] if p["PolicyName"] == "AdministratorAccess"][0]
    assert (admin["AttachmentCount"], admin["PermissionsBoundaryUsageCount"]) == (1, 1)
    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    for kind, expected in [("User", (3, 0, 0, 0)), ("Group", (0, 3, 0, 0)), ("Role", (0, 0, 3, 0)), ("LocalManagedPolicy", (0, 0, 0, 3)), ("AWSManagedPolicy", (0, 0, 0, 1))]:
        some = iam.get_account_authorization_details(Filter=[kind])
        assert tuple(len(some[one]) for one in lists) == expected, kind
    pages = list(iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 4}))
    assert [sum(len(page[one]) for one in lists) for page in pages] == [4, 4, 4, 1]
    summary = iam.get_account_summary()["SummaryMap"]
    assert [summary[k] for k in ("Users", "Groups", "Roles", "Policies", "AccountAccessKeysPresent")] == [3, 3, 3, 3, 1]


@pytest.mark.parametrize("body, code, message", [
    ("Action=CreateUser", "ValidationError", "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"),
    ("Action=CreateUser&UserName=" + "a" * 65, "ValidationError", f"1 validation error detected: Value '{'a' * 65}' at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64"),
    ("Action=CreateUser&UserName=a%20b", "ValidationError", "1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+"),
    ("Action=CreateUser&UserName=M%C3%BCller", "ValidationError", "1 validation error detected: Value 'Müller' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+"),
    ("Action=CreateUser&UserName=a&Path=b", "ValidationError", None),
    ("Action=ListUsers&MaxItems=0", "ValidationError", "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ("Action=ListUsers&MaxItems=1001", "ValidationError", None),
    ("Action=ListUsers&MaxItems=x", "ValidationError", None),
    ("Action=UpdateAccessKey&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=Maybe", "ValidationError", None),
    ("Action=CreateLoginProfile&UserName=a&Password=b", "NotImplemented", None),
    ("Action=Nonsense", "InvalidAction", None),
])  # fmt: skip
def test_validation(server, body, code, message):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="iam")
    got = raw.request("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=f"{body}&Version=2010-05-08".encode())
    assert got.code == code, got
    if message:
        assert f"<Message>{message}</Message>".replace("'", "&apos;") in got.body.decode() or f"<Message>{message}</Message>" in got.body.decode(), got.body.decode()
