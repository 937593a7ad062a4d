"""The documentation is true: its commands run, its outputs are what comes out, its tables are complete, its links lead somewhere.

In README.md and docs/*.md

    ```sh          is run: the blocks of a page in order, in one bash session (set -e, pipefail) in an empty directory, beside a
                   fresh server whose data dir is ./millpond-data and whose credentials are in the environment
    ```sh fails    is run, and its last command must end with an error
    ```sh no-run   is only parsed; it begins with a comment that says why
    ```text        after one of the first two: what the block prints, standard error included. `...` stands for any text within a line,
                   a line of its own that is `...` for any lines

Ports 90xx of 127.0.0.1 stand for free ports of the machine; 9000 is the server's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.server import Server, binary, free_port

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*PAGES, ROOT / "examples" / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
# What cannot be run is the exception.
MOST_UNRUN = 8
# Far more than a page takes on a busy machine; one that needs longer hangs.
PAGE_SECONDS = 300
PAGES_AT_ONCE = 3
KINDS = ("sh", "sh fails", "sh no-run", "text", "toml", "yaml", "ini")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass
class Block:
    kind: str
    line: int
    text: str
    output: str | None = None


def blocks_of(page: Path) -> list[Block]:
    blocks: list[Block] = []
    kind, start, lines = None, 0, []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if kind is None and line.startswith("```"):
            kind, start, lines = line[3:].strip(), number, []
            assert kind in KINDS, f"{page.name}:{number}: a block of kind {kind!r}; known are {KINDS}"
        elif kind is not None and line.strip() == "```":
            text = "\n".join(lines)
            if kind == "text":
                last = blocks[-1] if blocks else None
                assert last and last.kind in ("sh", "sh fails") and last.output is None, (
                    f"{page.name}:{start}: this output belongs to no command"
                )
                last.output = text
            else:
                blocks.append(Block(kind, start, text))
            kind = None
        elif kind is not None:
            lines.append(line)
    assert kind is None, f"{page.name}:{start}: the block does not end"
    return blocks


class Ports:
    """Stands in free ports for those of the page."""

    def __init__(self, server: Server):
        self.known = {"9000": str(server.port)}

    def put(self, text: str) -> str:
        def free(match: re.Match) -> str:
            port = self.known.setdefault(match[2], "")
            if not port:
                port = self.known[match[2]] = str(free_port())
            return match[1] + port

        return re.sub(r"(127\.0\.0\.1:|localhost:)(90\d\d)\b", free, text)


def matches(expected: str, printed: str) -> bool:
    """Whether what was printed is what is expected; blank lines around it and blanks at the ends of lines do not count."""
    parts = []
    for line in expected.strip("\n").split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*")
        else:
            parts.append(".*".join(re.escape(piece) for piece in line.rstrip().split("...")) + r"\n")
    text = "".join(line.rstrip() + "\n" for line in printed.strip("\n").split("\n"))
    return re.fullmatch("".join(parts), text) is not None


def environment(server: Server, cwd: Path) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MILLPOND_", "RCLONE_"))}
    tools = cwd / ".tools"
    tools.mkdir()
    (tools / "millpond").symlink_to(binary())
    credentials = dict(
        line.split(" = ") for line in (server.data_dir / "root-credentials").read_text().splitlines() if " = " in line
    )
    return {
        **clean,
        "PATH": f"{Path(sys.executable).parent}:{tools}:{clean.get('PATH', '')}",
        "HOME": str(tools),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "AWS_ACCESS_KEY_ID": credentials["access_key"],
        "AWS_SECRET_ACCESS_KEY": credentials["secret_key"],
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }


def session_script(blocks: list[Block], scripts: Path, ports: Ports) -> str:
    lines = ["set -e -o pipefail"]
    for n, block in enumerate(blocks):
        (scripts / f"{n}.sh").write_text(ports.put(block.text) + "\n")
        run = f"source {scripts}/{n}.sh >{scripts}/{n}.out 2>&1"
        if block.kind == "sh fails":
            lines += ["set +e", run, f"status=$?; set -e; echo $status >{scripts}/{n}.status"]
        else:
            lines += [run, f"echo 0 >{scripts}/{n}.status"]
    return "\n".join(lines)


def read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def run_page(page: Path, top: Path) -> None:
    """Runs a page's commands; an AssertionError tells of the first block that does not do what the page says."""
    blocks = [block for block in blocks_of(page) if block.kind in ("sh", "sh fails")]
    if not blocks:
        return
    work, scripts = top / "work", top / "scripts"
    work.mkdir()
    scripts.mkdir()
    with Server(data_dir=work / "millpond-data", root_credentials=False) as server:
        ports = Ports(server)
        session = subprocess.Popen(
            ["bash", "-c", session_script(blocks, scripts, ports)], cwd=work, env=environment(server, work),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            session.wait(PAGE_SECONDS)
        finally:
            # What the page left running in the background, and itself if it hangs.
            try:
                os.killpg(session.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            session.wait()
        for n, block in enumerate(blocks):
            said = read(scripts / f"{n}.out")
            where = f"{ids(page)}:{block.line}\n{ports.put(block.text)}\n--- printed\n{said[-4000:]}"
            status = read(scripts / f"{n}.status").strip()
            assert status, f"this block did not end well: {where}"
            assert (status != "0") == (block.kind == "sh fails"), f"status {status}: {where}"
            expected = None if block.output is None else ports.put(block.output)
            assert expected is None or matches(expected, said), f"{where}\n--- expected\n{expected}"
        assert server.alive(), server.log_tail()
    shutil.rmtree(work, ignore_errors=True)


@pytest.fixture(scope="module")
def running(request, tmp_path_factory):
    """The pages that are asked for, run side by side: most of their time is the start of clients."""
    wanted = [item.callspec.params["page"] for item in request.session.items if item.originalname == "test_commands"]
    with ThreadPoolExecutor(PAGES_AT_ONCE) as pool:
        yield {page: pool.submit(run_page, page, tmp_path_factory.mktemp(page.stem)) for page in wanted}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands(page, running):
    running[page].result()


def test_what_is_not_run_parses_and_says_why():
    unrun = [(page, block) for page in PAGES for block in blocks_of(page) if block.kind == "sh no-run"]
    assert len(unrun) <= MOST_UNRUN, [f"{ids(page)}:{block.line}" for page, block in unrun]
    for page, block in unrun:
        where = f"{ids(page)}:{block.line}"
        assert block.text.startswith("# "), f"{where} does not begin with a comment that says why it is not run"
        done = subprocess.run(["bash", "-n"], input=block.text.encode(), capture_output=True, timeout=10)
        assert done.returncode == 0, (where, done.stderr)


def test_outputs_can_fail():
    """The matcher tells right from wrong."""
    for expected, printed, good in [
        ("a\nb", "a\nb\n", True),
        ("a", "a\nb\n", False),
        ("a\n...", "a\nb\nc\n", True),
        ("a\n...", "a\n", True),
        ("...\nc", "a\nb\n", False),
        ("x ... z", "x yy z\n", True),
        ("x ... z", "x yy zz\n", False),
        ("a.c", "abc\n", False),
    ]:
        assert matches(expected, printed) == good, (expected, printed)


# Links


def slugs(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#{1,6} (.+)$", text, flags=re.M)
    }


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", LINKING, ids=ids)
def test_links(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{ids(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in slugs(target), f"{ids(page)} links to {link}: {ids(target)} has no such heading"


def test_every_page_is_linked_from_the_readme():
    linked = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert [ids(page) for page in PAGES[1:] if ids(page) not in linked] == []


# Tables that must be complete


def test_every_setting_is_documented():
    text = subprocess.run([binary(), "serve", "--help"], capture_output=True, timeout=30, check=True).stdout.decode()
    page = (ROOT / "docs" / "configuration.md").read_text()
    flags = re.findall(r"^\s+(--[a-z0-9-]+)", text, flags=re.M)
    assert len(flags) > 15
    for flag in flags:
        if flag not in ("--help",):
            name = flag[2:].replace("-", "_")
            row = re.search(rf"^\| `{flag}[ `].*$", page, flags=re.M)
            assert row, f"configuration.md does not have {flag}"
            assert f"MILLPOND_{name.upper()}" in row[0] or flag == "--config", row[0]
    documented = re.findall(r"^\| `(--[a-z0-9-]+)", page, flags=re.M)
    assert sorted(set(documented) - set(flags)) == []


def test_every_metric_is_documented(server, raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    text = raw.send("GET", "/_millpond/metrics").body.decode()
    shown = set(re.findall(r"^# TYPE (\S+) ", text, flags=re.M))
    page = (ROOT / "docs" / "operations.md").read_text()
    documented = {re.sub(r"_total$", "", name) for name in re.findall(r"^\| `(millpond_[a-z_]+)`", page, flags=re.M)}
    assert len(shown) > 20
    # Those with labels are shown once there is something to count.
    unseen = {"millpond_http_refused", "millpond_http_errors"}
    assert sorted(shown - documented) == [] and sorted(documented - shown - unseen) == []


def test_every_refused_operation_and_header_is_documented():
    page = (ROOT / "docs" / "differences.md").read_text()
    routes = (ROOT / "crates" / "api-s3" / "src" / "generated" / "operation.rs").read_text()
    unserved = set(re.findall(r'Unserved\("(\w+)"\)', routes))
    headers = (ROOT / "crates" / "svc-s3" / "src" / "refused.rs").read_text()
    refused = set(re.findall(r'^    "(x-amz-[a-z0-9-]+)",$', headers, flags=re.M))
    assert unserved and refused
    assert sorted(name for name in unserved | refused if f"`{name}`" not in page) == []
