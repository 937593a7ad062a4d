"""boto3 clients, and the command-line clients with a home directory of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

# A command that has not ended by then hangs.
COMMAND_SECONDS = 120


def s3_client(server, style: str = "path", access_key=None, secret_key=None, endpoint=None, verify=None, **config):
    options = {
        "signature_version": "s3v4",
        "retries": {"total_max_attempts": 1},
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 32,
        **config,
    }
    s3 = {"addressing_style": style, **options.pop("s3", {})}
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint or server.endpoint,
        region_name=server.region,
        aws_access_key_id=access_key or server.access_key,
        aws_secret_access_key=secret_key or server.secret_key,
        verify=verify,
        config=Config(s3=s3, **options),
    )


def client(server, service: str, access_key=None, secret_key=None, session_token=None, **config):
    """A boto3 client of any service, as root unless told otherwise; what is refused is not tried again."""
    options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60, **config}
    return boto3.session.Session().client(
        service,
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=access_key or server.access_key,
        aws_secret_access_key=secret_key or server.secret_key,
        aws_session_token=session_token,
        config=Config(**options),
    )


@contextmanager
def refused(code: str, status: int | None = None):
    """The block must fail with this S3 error code (and HTTP status). Yields a dict that receives the error response."""
    seen: dict = {}
    with pytest.raises(ClientError) as caught:
        yield seen
    response = caught.value.response
    seen.update(response)
    got = (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"])
    assert got == (code, status if status is not None else got[1]), caught.value


class Tools:
    """Runs clients as a person would, with nothing of this machine's own configuration."""

    def __init__(self, server, home: Path, seconds: float = COMMAND_SECONDS):
        self.server = server
        self.seconds = seconds
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        (home / ".aws").mkdir(exist_ok=True)
        # Without signature_version the CLI presigns us-east-1 by Signature Version 2, which is not served.
        (home / ".aws" / "config").write_text("[default]\ns3 =\n    addressing_style = path\n    signature_version = s3v4\n")
        (home / "s3cfg").write_text(
            "[default]\n"
            f"access_key = {server.access_key}\nsecret_key = {server.secret_key}\n"
            f"host_base = 127.0.0.1:{server.port}\nhost_bucket = 127.0.0.1:{server.port}\n"
            f"use_https = False\nbucket_location = {server.region}\nsignature_v2 = False\n"
        )
        (home / "rclone.conf").write_text(
            "[lake]\ntype = s3\nprovider = Other\nenv_auth = false\n"
            f"access_key_id = {server.access_key}\nsecret_access_key = {server.secret_key}\n"
            f"endpoint = {server.endpoint}\nregion = {server.region}\nforce_path_style = true\n"
        )

    def env(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MILLPOND_", "RCLONE_"))}
        bin_dir = str(Path(sys.executable).parent)
        return {
            **clean,
            "PATH": f"{bin_dir}:{clean.get('PATH', '')}",
            "HOME": str(self.home),
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_DEFAULT_REGION": self.server.region,
            "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_CONFIG_FILE": str(self.home / ".aws" / "config"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def run(self, *command: object, check: bool = True, stdin: bytes | None = None, **more) -> subprocess.CompletedProcess:
        argv = [str(part) for part in command]
        done = subprocess.run(
            argv, env={**self.env(), **more.pop("env", {})}, input=stdin, capture_output=True, timeout=self.seconds,
            stdin=None if stdin is not None else subprocess.DEVNULL, **more,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{argv} ended with {done.returncode}\n{_text(done)}"
        return done

    def aws(self, *args: object, **more) -> subprocess.CompletedProcess:
        return self.run("aws", *args, **more)

    def rclone(self, *args: object, **more) -> subprocess.CompletedProcess:
        return self.run("rclone", "--config", self.home / "rclone.conf", "--retries", "1", *args, **more)

    def s3cmd(self, *args: object, **more) -> subprocess.CompletedProcess:
        return self.run("s3cmd", "-c", self.home / "s3cfg", "--no-progress", *args, **more)

    def curl(self, *args: object, **more) -> subprocess.CompletedProcess:
        return self.run("curl", "--silent", "--show-error", "--max-time", "60", *args, **more)


def _text(done: subprocess.CompletedProcess) -> str:
    return (done.stdout + done.stderr).decode(errors="replace")[-4000:]
