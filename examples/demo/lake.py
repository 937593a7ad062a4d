"""A server of our own for demos, which can be killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from demo import check

ACCOUNT = "123456789012"
REGION = "us-east-1"
# Connections that one client holds at most.
CONNECTIONS = 16


class Lake:
    """A server of our own, which can be killed."""

    def __init__(self, binary: str, directory: Path, *arguments: str):
        self.binary, self.directory, self.arguments = binary, directory, arguments
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.secret = os.urandom(24).hex()
        self.process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [self.binary, "serve", "--data-dir", str(self.directory / "data"), "--listen", f"127.0.0.1:{self.port}", "--pg-listen", "127.0.0.1:0",
                   "--account-id", ACCOUNT, "--region", REGION, *self.arguments]
        env = {**os.environ, "MILLPOND_ROOT_ACCESS_KEY": "MPDEMOKEY00000000001", "MILLPOND_ROOT_SECRET_KEY": self.secret}
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.endpoint}/_millpond/health/ready", timeout=1)
                return
            except OSError:
                check(self.process.poll() is None, f"the server ended: {(self.directory / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
        check(False, "the server is not ready")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def client(self, service: str):
        config = Config(retries={"max_attempts": 0}, read_timeout=30, max_pool_connections=CONNECTIONS)
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="MPDEMOKEY00000000001",
                            aws_secret_access_key=self.secret, config=config)
