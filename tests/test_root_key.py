"""The operator's root key: where it comes from, and how it is changed."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from harness.clients import s3_client
from harness.faults import need_strace
from harness.server import Server, StartFailed, binary

pytestmark = pytest.mark.restarts


def command(*args: object, env: dict | None = None, prefix: tuple = ()) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MILLPOND_")}
    argv = [*prefix, binary(), *(str(arg) for arg in args)]
    return subprocess.run(argv, env={**clean, **(env or {})}, capture_output=True, text=True, timeout=120)


def new_key(path: Path) -> str:
    text = base64.b64encode(os.urandom(32)).decode()
    path.write_text(text + "\n")
    return text


def shown(data_dir: Path, *more: object) -> dict:
    done = command("kms", "root-key", "show", "--json", "--data-dir", data_dir, *more)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_one_is_made_with_a_warning_and_never_again(make_server):
    server = make_server()
    key = server.data_dir / "kms-root-key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "a root key was made" in server.log()
    assert key.read_text().strip() not in server.log()
    first = shown(server.data_dir)
    assert first["opens"] == [first["given"]]
    server.stop()
    kept = key.read_text()
    key.unlink()
    with pytest.raises(StartFailed) as failed:
        server.start()
    text = str(failed.value)
    assert "there is none" in text and first["given"] in text and str(key) in text, text
    assert not key.exists(), "no other key was made"
    # Nor does a lost ring make it forget: its copy knows.
    ring = server.data_dir / "keyring.json"
    content = ring.read_bytes()
    ring.unlink()
    with pytest.raises(StartFailed):
        server.start()
    assert not key.exists()
    key.write_text(kept)
    server.start()
    assert ring.read_bytes() == content, "the ring was restored from its copy"


def test_three_places(make_server, tmp_path):
    text = new_key(tmp_path / "key")
    for options in [
        {"args": ["--kms-root-key-file", str(tmp_path / "key")]},
        {"args": ["--kms-root-key-command", f"cat {tmp_path}/key"]},
        {"env": {"MILLPOND_KMS_ROOT_KEY": text}},
        {"env": {"MILLPOND_KMS_ROOT_KEY_FILE": str(tmp_path / "key")}},
        {"env": {"MILLPOND_KMS_ROOT_KEY_COMMAND": f"cat {tmp_path}/key"}},
    ]:
        server = make_server(**options)
        assert not (server.data_dir / "kms-root-key").exists()
        assert "a root key was made" not in server.log() and text not in server.log()
        assert shown(server.data_dir, "--kms-root-key-file", tmp_path / "key")["given"] in shown(server.data_dir)["opens"]
        # The same key from another place opens the same data.
        server.stop()
        server.args, server.env = ["--kms-root-key-file", str(tmp_path / "key")], {}
        server.start()


def test_what_does_not_fit_is_refused(make_server, tmp_path):
    new_key(tmp_path / "key")
    (tmp_path / "short").write_text("abcd")
    file = ["--kms-root-key-file", str(tmp_path / "key")]
    for args, env, words in [
        (file, {"MILLPOND_KMS_ROOT_KEY": "x"}, "more than one way: --kms-root-key-file and MILLPOND_KMS_ROOT_KEY"),
        ([*file, "--kms-root-key-command", "true"], {}, "more than one way"),
        (["--kms-root-key-file", str(tmp_path / "none")], {}, "cannot be used"),
        (["--kms-root-key-file", str(tmp_path / "short")], {}, "64 hexadecimal digits or in base64"),
        (["--kms-root-key-command", "exit 7"], {}, "failed (exit status: 7)"),
        (["--kms-root-key-command", "echo nonsense"], {}, "64 hexadecimal digits or in base64"),
        ([], {"MILLPOND_KMS_ROOT_KEY": "nonsense"}, "64 hexadecimal digits or in base64"),
    ]:
        server = make_server(start=False, args=args, env=env)
        with pytest.raises(StartFailed) as failed:
            server.start()
        assert words in str(failed.value), (args, env, str(failed.value))
        assert "nonsense" not in str(failed.value).replace("echo nonsense", ""), "what was given is not repeated"


def test_another_key_does_not_open(make_server, tmp_path):
    server = make_server()
    opens = shown(server.data_dir)["opens"][0]
    server.stop()
    new_key(tmp_path / "other")
    server.args = ["--kms-root-key-file", str(tmp_path / "other")]
    with pytest.raises(StartFailed) as failed:
        server.start()
    assert f"sealed under the root key {opens}" in str(failed.value), str(failed.value)


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "without one"])
def test_rotation(make_server, tmp_path, running):
    server = make_server()
    s3_client(server).create_bucket(Bucket="before")
    if not running:
        server.stop()
    key = server.data_dir / "kms-root-key"
    old, old_text = shown(server.data_dir)["given"], key.read_text()
    done = command("kms", "rotate-root", "--data-dir", server.data_dir)
    assert done.returncode == 0 and f"The old one, {old}, opens the data no more." in done.stdout, done
    new = shown(server.data_dir)
    assert new["opens"] == [new["given"]] != [old]
    assert key.read_text() != old_text and key.stat().st_mode & 0o777 == 0o600
    # A key of one's own.
    text = new_key(tmp_path / "mine")
    done = command("kms", "rotate-root", "--new-key-file", tmp_path / "mine", "--data-dir", server.data_dir)
    assert done.returncode == 0, done
    assert key.read_text().strip() == text and text not in done.stdout + server.log()
    same = command("kms", "rotate-root", "--new-key-file", tmp_path / "mine", "--data-dir", server.data_dir)
    assert same.returncode == 1 and "the one that is in use" in same.stderr, same
    server.stop()
    server.start()
    assert [b["Name"] for b in s3_client(server).list_buckets()["Buckets"]] == ["before"]
    # The old key is of no use any more.
    server.stop()
    key.write_text(old_text)
    with pytest.raises(StartFailed):
        server.start()


def test_rotation_of_a_key_that_is_in_no_file(make_server, tmp_path):
    text = new_key(tmp_path / "old")
    server = make_server(env={"MILLPOND_KMS_ROOT_KEY": text})
    refused = command("kms", "rotate-root", "--data-dir", server.data_dir)
    assert refused.returncode == 1 and "--new-key-file" in refused.stderr, refused
    new = new_key(tmp_path / "new")
    done = command("kms", "rotate-root", "--new-key-file", tmp_path / "new", "--data-dir", server.data_dir)
    assert done.returncode == 0 and "rotate-root --finish" in done.stdout, done
    assert len(shown(server.data_dir)["opens"]) == 2
    # Both open it until it is finished with the new one in its place.
    for key in (text, new):
        server.stop()
        server.env = {"MILLPOND_KMS_ROOT_KEY": key}
        server.start()
        assert "a change of the root key is under way" in server.log()
    done = command("kms", "rotate-root", "--finish", "--data-dir", server.data_dir)
    assert done.returncode == 0, done
    assert len(shown(server.data_dir)["opens"]) == 1
    server.stop()
    server.env = {"MILLPOND_KMS_ROOT_KEY": text}
    with pytest.raises(StartFailed):
        server.start()


def test_a_kill_at_any_step_of_a_rotation_leaves_a_key_that_opens(make_server):
    """Killed at each rename and each sync of the command, in turn, until it lives to its end."""
    need_strace()
    server = make_server()
    s3_client(server).create_bucket(Bucket="kept")
    server.stop()
    for calls in ("rename,renameat,renameat2", "fsync,fdatasync,sync_file_range"):
        killed = 0
        for n in range(1, 40):
            inject = ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={n}")
            done = command("kms", "rotate-root", "--data-dir", server.data_dir, prefix=inject)
            state = shown(server.data_dir)
            assert state["given"] in state["opens"], (calls, n, state)
            server.start()
            assert [b["Name"] for b in s3_client(server).list_buckets()["Buckets"]] == ["kept"]
            server.stop()
            if done.returncode == 0:
                break
            killed += 1
        assert done.returncode == 0 and killed >= 3, (calls, killed, done)
    # What was left behind by the kills goes with the next change.
    done = command("kms", "rotate-root", "--data-dir", server.data_dir)
    assert done.returncode == 0 and len(shown(server.data_dir)["opens"]) == 1, done
    leftovers = [path.name for path in server.data_dir.iterdir() if re.search(r"\.new$", path.name)]
    assert leftovers == [], leftovers
