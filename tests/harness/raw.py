"""HTTP requests as odd as a test wants them, and a SigV4 signer of our own (independent of botocore and of the server).

The rules are those of "Authenticating Requests (AWS Signature Version 4)" in the S3 API reference.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import re
import socket
import ssl
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
# Longer than any answer may take; a hang of the server becomes a failure with a name.
SOCKET_SECONDS = 60.0


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def amz_date(when: datetime.datetime) -> str:
    return when.strftime("%Y%m%dT%H%M%SZ")


def canonical_query(query: str) -> str:
    """`query` as it stands in the request line, already percent-encoded; sorted by encoded name and value."""
    if not query:
        return ""
    pairs = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        pairs.append((name, value))
    return "&".join(f"{n}={v}" for n, v in sorted(pairs))


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def xml(self) -> ElementTree.Element:
        text = re.sub(rb'\sxmlns="[^"]+"', b"", self.body, count=0)
        return ElementTree.fromstring(text)

    @property
    def code(self) -> str | None:
        """The error code of an XML error body; None when there is none."""
        if self.status < 300 or not self.body:
            return None
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found.group(1).decode() if found else None

    def __repr__(self) -> str:
        return f"<{self.status} {self.headers} {self.body[:600]!r}>"


@dataclass
class Signed:
    headers: dict[str, str]
    signature: str
    scope: str
    key: bytes
    date: str


class Raw:
    """Sends requests to one endpoint with one key pair."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str, service: str = "s3"):
        parts = urlsplit(endpoint)
        self.secure = parts.scheme == "https"
        self.address = (parts.hostname, parts.port or (443 if self.secure else 80))
        self.host = f"{parts.hostname}:{parts.port}"
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region
        self.service = service

    # Signing

    def signing_key(self, date: str, region: str | None = None) -> bytes:
        key = _hmac(("AWS4" + self.secret_key).encode(), date[:8])
        for part in (region or self.region, self.service, "aws4_request"):
            key = _hmac(key, part)
        return key

    def sign(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        payload: str = EMPTY_SHA256,
        when: datetime.datetime | None = None,
        region: str | None = None,
        unsigned: tuple[str, ...] = (),
        canonical_path: str | None = None,
    ) -> Signed:
        """Adds Host, X-Amz-Date, X-Amz-Content-Sha256 and Authorization. Headers named in `unsigned` are left out of
        the signature. `path` is signed as it is sent, unless `canonical_path` says otherwise."""
        date = amz_date(when or now())
        full = {"host": self.host, **{k.lower(): v for k, v in (headers or {}).items()}}
        full.setdefault("x-amz-date", date)
        full.setdefault("x-amz-content-sha256", payload)
        names = sorted(n for n in full if n not in unsigned)
        canonical_headers = "".join(f"{n}:{' '.join(full[n].split())}\n" for n in names)
        request = "\n".join(
            [method, canonical_path or path, canonical_query(query), canonical_headers, ";".join(names), payload]
        )
        scope = f"{date[:8]}/{region or self.region}/{self.service}/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()])
        key = self.signing_key(date, region)
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        full["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={';'.join(names)}, "
            f"Signature={signature}"
        )
        return Signed(full, signature, scope, key, date)

    def presign(
        self,
        method: str,
        path: str,
        query: str = "",
        expires: object = 300,
        headers: dict[str, str] | None = None,
        when: datetime.datetime | None = None,
        region: str | None = None,
        extra_signed: tuple[str, ...] = (),
    ) -> str:
        """The path and query of a presigned URL. `expires` goes in as it is, also when it is nonsense."""
        date = amz_date(when or now())
        scope = f"{date[:8]}/{region or self.region}/{self.service}/aws4_request"
        full = {"host": self.host, **{k.lower(): v for k, v in (headers or {}).items()}}
        names = sorted(full)
        params = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(names),
        }
        items = [query] if query else []
        items += [f"{k}={quote(v, safe='')}" for k, v in params.items()]
        text = "&".join(items)
        canonical_headers = "".join(f"{n}:{full[n]}\n" for n in names)
        request = "\n".join([method, path, canonical_query(text), canonical_headers, ";".join(names), UNSIGNED])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()])
        signature = hmac.new(self.signing_key(date, region), to_sign.encode(), hashlib.sha256).hexdigest()
        return f"{path}?{text}&X-Amz-Signature={signature}"

    # Sending

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=SOCKET_SECONDS)
        if self.secure:
            sock = ssl._create_unverified_context().wrap_socket(sock, server_hostname=self.address[0])
        return sock

    def send(
        self, method: str, target: str, headers: dict[str, str] | list[tuple[str, str]] | None = None,
        body: bytes = b"", length: int | None = -1,
    ) -> Response:  # fmt: skip
        """Sends exactly this. `length`: the Content-Length to declare; -1 for the body's own, None for none."""
        items = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if not any(name.lower() == "host" for name, _ in items):
            items.insert(0, ("host", self.host))
        if length == -1 and (body or method in ("PUT", "POST")):
            if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in items):
                items.append(("content-length", str(len(body))))
        elif length is not None and length >= 0:
            items.append(("content-length", str(length)))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in items) + "connection: close\r\n\r\n"
        return self.exchange(head.encode("utf-8", "surrogateescape") + body, method)

    def exchange(self, data: bytes, method: str = "GET", half_close: bool = False) -> Response:
        """Sends bytes and reads one answer; an answer that comes before all is sent is read too."""
        with self.connect() as sock:
            try:
                sock.sendall(data)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_response(sock, method)

    def request(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str | None = None,
        length: int | None = -1,
        **sign,
    ) -> Response:
        """A signed request. `payload` is what the signature covers as the body's hash; its real hash by default."""
        if payload is None:
            payload = hashlib.sha256(body).hexdigest()
        signed = self.sign(method, path, query, headers, payload, **sign)
        target = f"{path}?{query}" if query else path
        return self.send(method, target, signed.headers, body, length)

    # Chunked uploads

    def chunked(
        self,
        path: str,
        data: bytes,
        chunk: int = 65536,
        mode: str = STREAMING,
        trailers: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        spoil=None,
        decoded_length: int | str | None = None,
        truncate: int | None = None,
    ) -> Response:
        """PUT in `aws-chunked` form. `spoil(index, chunk_header, chunk)` may change what is sent for a chunk;
        `truncate` cuts the encoded body, with Content-Length telling the shortened size."""
        extra = {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(len(data) if decoded_length is None else decoded_length),
            **(headers or {}),
        }
        if trailers:
            extra["x-amz-trailer"] = ",".join(trailers)
        signed = self.sign("PUT", path, "", extra, mode)
        body = encode_chunks(signed, data, chunk, mode, trailers, spoil)
        if truncate is not None:
            body = body[:truncate]
        return self.send("PUT", path, signed.headers, body)


def encode_chunks(
    signed: Signed, data: bytes, chunk: int, mode: str, trailers: dict[str, str] | None = None, spoil=None
) -> bytes:
    signs = mode != STREAMING_UNSIGNED_TRAILER
    previous = signed.signature
    out = bytearray()
    pieces = [data[i : i + chunk] for i in range(0, len(data), chunk)] + [b""]
    for index, piece in enumerate(pieces):
        head = f"{len(piece):x}"
        if signs:
            to_sign = "\n".join(
                ["AWS4-HMAC-SHA256-PAYLOAD", signed.date, signed.scope, previous, EMPTY_SHA256,
                 hashlib.sha256(piece).hexdigest()]
            )  # fmt: skip
            previous = hmac.new(signed.key, to_sign.encode(), hashlib.sha256).hexdigest()
            head += f";chunk-signature={previous}"
        if spoil:
            head, piece = spoil(index, head, piece)
        out += head.encode() + b"\r\n" + piece
        if index + 1 < len(pieces):
            out += b"\r\n"
    if trailers:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        out += "".join(f"{name}:{value}\r\n" for name, value in trailers.items()).encode()
        if signs:
            to_sign = "\n".join(
                ["AWS4-HMAC-SHA256-TRAILER", signed.date, signed.scope, previous,
                 hashlib.sha256(lines.encode()).hexdigest()]
            )  # fmt: skip
            signature = hmac.new(signed.key, to_sign.encode(), hashlib.sha256).hexdigest()
            if spoil:
                signature, _ = spoil(-1, signature, b"")
            out += f"x-amz-trailer-signature:{signature}\r\n".encode()
    out += b"\r\n"
    return bytes(out)


def read_response(sock: socket.socket, method: str = "GET") -> Response:
    answer = http.client.HTTPResponse(sock, method=method)
    answer.begin()
    body = answer.read()
    raw = answer.getheaders()
    return Response(answer.status, {k.lower(): v for k, v in raw}, body, raw)


def encode_key(key: str) -> str:
    """A key as it stands in a request path (SigV4's UriEncode, slashes kept)."""
    return quote(key, safe="/-_.~")
