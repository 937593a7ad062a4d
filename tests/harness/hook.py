"""A webhook: a local HTTP server that remembers what was posted to it, and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Quiet(ThreadingHTTPServer):
    # Connections break when a server is killed.
    def handle_error(self, *_):
        pass


class Post:
    def __init__(self, path: str, headers, body: bytes):
        self.path, self.headers, self.body = path, headers, body

    @property
    def kind(self) -> str:
        return self.headers.get("x-amz-sns-message-type", "")

    @property
    def document(self) -> dict:
        return json.loads(self.body)


class Hook:
    """`answers` are statuses by path, given one after the other, the last one for ever; 200 for other paths."""

    def __init__(self):
        self.posts: list[Post] = []
        self.answers: dict[str, list[int]] = {}
        self.lock = threading.Lock()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with hook.lock:
                    hook.posts.append(Post(self.path, self.headers, body))
                    left = hook.answers.get(self.path, [200])
                    status = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def on(self, path: str, kind: str | None = None) -> list[Post]:
        with self.lock:
            return [post for post in self.posts if post.path == path and kind in (None, post.kind)]

    def wait(self, path: str, kind: str | None = None, count: int = 1, seconds: float = 30) -> list[Post]:
        """The posts to a path, once there are so many."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.on(path, kind)
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} posts of {kind} came to {path}"
            time.sleep(0.02)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
