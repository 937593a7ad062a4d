"""Users, groups, roles and policies for tests, with names that no other test uses."""

from __future__ import annotations

import itertools
import json
import os

from harness.clients import client, s3_client

_counter = itertools.count(1)
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


def name(kind: str) -> str:
    return f"{kind}-{_WORKER}-{os.getpid()}-{next(_counter)}"


def statement(effect: str, action, resource, **more) -> dict:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more) -> str:
    return document(statement("Allow", action, resource, **more))


def deny(action, resource="*", **more) -> str:
    return document(statement("Deny", action, resource, **more))


def trust(principal, **more) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def bus_role(server) -> str:
    """A role by which rules put events onto other buses."""
    iam, role = client(server, "iam"), name("to-bus")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "events.amazonaws.com"}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=allow("events:PutEvents"))
    return arn


class User:
    """A user with an access key."""

    def __init__(self, server, iam, *policies: str, **options):
        self.server, self.iam, self.name = server, iam, name("user")
        self.made = iam.create_user(UserName=self.name, **options)["User"]
        self.arn, self.id = self.made["Arn"], self.made["UserId"]
        for number, policy in enumerate(policies):
            iam.put_user_policy(UserName=self.name, PolicyName=f"p{number}", PolicyDocument=policy)
        self.key = iam.create_access_key(UserName=self.name)["AccessKey"]
        self.keys = {"access_key": self.key["AccessKeyId"], "secret_key": self.key["SecretAccessKey"]}

    def client(self, service: str, **more):
        return client(self.server, service, **self.keys, **more)

    @property
    def s3(self):
        return s3_client(self.server, **self.keys)
