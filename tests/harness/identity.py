"""Users, roles, sessions and accounts for tests, and clients that act as them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from dataclasses import dataclass

import boto3
from botocore.config import Config
from harness.server import binary

_counter = itertools.count(1)


@dataclass(frozen=True)
class Keys:
    """Credentials, long-term or temporary."""

    id: str
    secret: str
    token: str | None = None

    @staticmethod
    def of(answer: dict) -> Keys:
        """What an operation of STS answered."""
        found = answer["Credentials"]
        return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    def env(self) -> dict[str, str]:
        env = {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}
        return {**env, "AWS_SESSION_TOKEN": self.token} if self.token else env


def client(server, service: str, keys: Keys | None = None, **config):
    """A boto3 client of a service, as the root user or with other keys."""
    keys = keys or Keys(server.access_key, server.secret_key)
    options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60, **config}
    if service == "s3":
        options = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}, **options}
    return boto3.session.Session().client(
        service, endpoint_url=server.endpoint, region_name=server.region, aws_access_key_id=keys.id,
        aws_secret_access_key=keys.secret, aws_session_token=keys.token, config=Config(**options),
    )  # fmt: skip


def unique(start: str) -> str:
    """A name that no other test uses."""
    return f"{start}-{os.getpid()}-{next(_counter)}"


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources="*", condition: dict | None = None) -> dict:
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def trust(principal: dict | str, actions="sts:AssumeRole", condition: dict | None = None) -> str:
    principal = {"AWS": principal} if isinstance(principal, str) else principal
    more = {"Condition": condition} if condition else {}
    return policy({"Effect": "Allow", "Principal": principal, "Action": actions, **more})


@dataclass(frozen=True)
class User:
    name: str
    arn: str
    keys: Keys


def new_user(iam, *statements: dict, **more) -> User:
    """A user with an access key, and an inline policy of these statements."""
    name = unique("user")
    arn = iam.create_user(UserName=name, **more)["User"]["Arn"]
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return User(name, arn, Keys(key["AccessKeyId"], key["SecretAccessKey"]))


def new_role(iam, trusted: str, *statements: dict, **more) -> str:
    """A role with a trust policy and an inline policy; its ARN."""
    name = more.pop("RoleName", None) or unique("role")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **more)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
    return arn


def assume(server, keys: Keys, role: str, name: str = "session", **more) -> Keys:
    sts = client(server, "sts", keys, parameter_validation=False)
    return Keys.of(sts.assume_role(RoleArn=role, RoleSessionName=name, **more))


def millpond(server, *args: str, check: bool = True) -> subprocess.CompletedProcess:
    """A command of the operator, on a server's data dir."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MILLPOND_")}
    env["MILLPOND_DATA_DIR"] = str(server.data_dir)
    done = subprocess.run([binary(), *args], env=env, capture_output=True, timeout=60, text=True)
    if check:
        assert done.returncode == 0, done
    return done


def new_account(server, *args: str) -> tuple[str, Keys]:
    """A further account, and the access key of its root user."""
    made = json.loads(millpond(server, "account", "create", "--json", *args).stdout)
    return made["account_id"], Keys(made["access_key_id"], made["secret_access_key"])
