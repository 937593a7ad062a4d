"""An oracle for keys: what was acknowledged before a kill is there afterwards; what was under way is there whole or not at all."""

from __future__ import annotations

import json
import random
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCOUNT_ROOT = "arn:aws:iam::123456789012:root"


def kms_client(server, **more):
    return boto3.session.Session().client(
        "kms", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=more.get("access_key", server.access_key),
        aws_secret_access_key=more.get("secret_key", server.secret_key),
        aws_session_token=more.get("session_token"),
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60, max_pool_connections=32),
    )  # fmt: skip


def policy(sid: str, account_root: str = ACCOUNT_ROOT) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": account_root}, "Action": "kms:*", "Resource": "*"},
    ]})  # fmt: skip


class Key:
    """One key as it must be: each fact as acknowledged, or one of two while a change is under way."""

    def __init__(self, key_id: str):
        self.id = key_id
        self.facts: dict[str, list] = {
            "state": ["Enabled"], "description": [""], "policy": [None], "tags": [{}], "grants": [frozenset()],
            "rotations": [0], "aliases": [frozenset()],
        }  # fmt: skip
        self.blobs: list[bytes] = []

    def now(self, fact: str):
        return self.facts[fact][0]


class KeyOracle:
    """Threads that change keys, each its own, and remember what was acknowledged."""

    THREADS = 4

    def __init__(self, server, seed: int):
        self.server = server
        self.seed = seed
        self.keys: list[list[Key]] = [[] for _ in range(self.THREADS)]
        self.count = 0
        self.rounds = 0
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        # Making one takes longer than many a round.
        self._clients = [kms_client(server) for _ in range(self.THREADS)]

    def start(self) -> None:
        self._stop.clear()
        self.rounds += 1
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)

    def _work(self, number: int) -> None:
        rng = random.Random(f"{self.seed} {self.rounds} {number}")
        client = self._clients[number]
        try:
            while not self._stop.is_set():
                self._step(rng, client, number)
                with self._lock:
                    self.count += 1
        except (BotoCoreError, ClientError) as error:
            # The kill; a refusal is a failure of ours.
            if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                self.failures.append(repr(error))

    def _step(self, rng: random.Random, client, number: int) -> None:
        mine = self.keys[number]
        if not mine or rng.random() < 0.1:
            mine.append(Key(client.create_key()["KeyMetadata"]["KeyId"]))
        key = rng.choice(mine)
        if key.now("state") == "Disabled":
            return self._change(key, "state", "Enabled", lambda: client.enable_key(KeyId=key.id))
        if key.now("state") == "PendingDeletion":
            return self._change(key, "state", "Disabled", lambda: client.cancel_key_deletion(KeyId=key.id))
        word = f"w{rng.randrange(1 << 32)}"
        step = rng.choice(["seal", "disable", "doom", "describe", "policy", "tag", "grant", "revoke", "rotate", "alias"])
        if step == "seal":
            key.blobs.append(client.encrypt(KeyId=key.id, Plaintext=key.id.encode())["CiphertextBlob"])
        elif step == "disable":
            self._change(key, "state", "Disabled", lambda: client.disable_key(KeyId=key.id))
        elif step == "doom":
            self._change(key, "state", "PendingDeletion", lambda: client.schedule_key_deletion(KeyId=key.id))
        elif step == "describe":
            self._change(key, "description", word, lambda: client.update_key_description(KeyId=key.id, Description=word))
        elif step == "policy":
            text = policy(word)
            self._change(key, "policy", text, lambda: client.put_key_policy(KeyId=key.id, Policy=text))
        elif step == "tag":
            tags = [{"TagKey": name, "TagValue": word} for name in ("a", "b", "c")]
            new = {tag["TagKey"]: word for tag in tags}
            self._change(key, "tags", new, lambda: client.tag_resource(KeyId=key.id, Tags=tags))
        elif step == "grant" and len(key.now("grants")) < 8:
            self._change(key, "grants", key.now("grants") | {word}, lambda: client.create_grant(
                KeyId=key.id, GranteePrincipal=ACCOUNT_ROOT, Operations=["DescribeKey"], Name=word))  # fmt: skip
        elif step == "revoke" and key.now("grants"):
            name = sorted(key.now("grants"))[0]
            known = {grant["Name"]: grant["GrantId"] for grant in client.list_grants(KeyId=key.id)["Grants"]}
            self._change(key, "grants", key.now("grants") - {name},
                         lambda: client.revoke_grant(KeyId=key.id, GrantId=known[name]))  # fmt: skip
        elif step == "rotate" and key.now("rotations") < 25:
            self._change(key, "rotations", key.now("rotations") + 1, lambda: client.rotate_key_on_demand(KeyId=key.id))
        elif step == "alias" and len(key.now("aliases")) < 5:
            name = f"alias/{key.id[:8]}/{word}"
            self._change(key, "aliases", key.now("aliases") | {name},
                         lambda: client.create_alias(AliasName=name, TargetKeyId=key.id))  # fmt: skip

    @staticmethod
    def _change(key: Key, fact: str, new, call) -> None:
        old = key.now(fact)
        key.facts[fact] = [old, new]
        call()
        key.facts[fact] = [new]

    def verify(self) -> None:
        """Each key is as it was acknowledged to be, or as the change under way would have it; which of both is kept."""
        client = self._clients[0]
        everything = {key["KeyId"] for page in client.get_paginator("list_keys").paginate() for key in page["Keys"]}
        known = {key.id for keys in self.keys for key in keys}
        assert known <= everything, known - everything
        # At most one a thread and round was under way when its maker was killed; it is whole.
        unknown = everything - known
        assert len(unknown) <= self.THREADS * self.rounds, unknown
        for key_id in unknown:
            assert client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Enabled"
            assert ACCOUNT_ROOT in client.get_key_policy(KeyId=key_id)["Policy"]
            blob = client.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
            assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        for key in (key for keys in self.keys for key in keys):
            self._verify(client, key)

    def _verify(self, client, key: Key) -> None:
        about = client.describe_key(KeyId=key.id)["KeyMetadata"]
        found = {
            "state": about["KeyState"],
            "description": about["Description"],
            "policy": client.get_key_policy(KeyId=key.id)["Policy"],
            "tags": {tag["TagKey"]: tag["TagValue"] for tag in client.list_resource_tags(KeyId=key.id)["Tags"]},
            "grants": frozenset(grant["Name"] for grant in client.list_grants(KeyId=key.id)["Grants"]),
            "rotations": len(client.list_key_rotations(KeyId=key.id)["Rotations"]),
            "aliases": frozenset(alias["AliasName"] for alias in client.list_aliases(KeyId=key.id)["Aliases"]),
        }
        for fact, value in found.items():
            allowed = key.facts[fact]
            if fact == "policy" and allowed[0] is None and value not in allowed:
                assert "key-default-1" in value
                value = None
            assert value in allowed, (key.id, fact, value, allowed)
            key.facts[fact] = [value]
        if found["state"] == "Enabled":
            for blob in key.blobs[-5:]:
                assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == key.id.encode()
