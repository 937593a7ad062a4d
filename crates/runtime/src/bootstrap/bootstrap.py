"""Runs a function's handler: asks the Runtime API for events and answers them."""

import sys

# Where this file lies is no place to import from.
if sys.path and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]

import _socket
import importlib
import json
import logging
import os
import time
import traceback

OWN = (lambda: None).__code__.co_filename
DEADLINE = "lambda-runtime-deadline-ms"


class Fault(Exception):
    """What went wrong outside the handler, with AWS's name for it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


class Api:
    """The Runtime API over one connection. The server always says how long an answer is."""

    def __init__(self, address):
        host, _, prefix = address.partition("/")
        name, _, port = host.rpartition(":")
        self.where = (name, int(port))
        self.host = host
        self.prefix = ("/" + prefix if prefix else "") + "/2018-06-01/runtime/"
        self.socket = None

    def connect(self):
        made = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        made.connect(self.where)
        made.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.socket = made

    def call(self, method, path, body=b"", headers=""):
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        if self.socket is None:
            self.connect()
        self.socket.sendall(head.encode("latin-1") + body)
        return self.read()

    def read(self):
        data = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the Runtime API has gone")
            data += more
        lines = data[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        parts, have = [data[end + 4 :]], len(data) - end - 4
        while have < length:
            more = self.socket.recv(min(length - have, 1 << 20))
            if not more:
                raise ConnectionError("the Runtime API has gone")
            parts.append(more)
            have += len(more)
        if headers.get("connection", "").lower() == "close":
            self.socket.close()
            self.socket = None
        return int(lines[0].split(" ", 2)[1]), headers, b"".join(parts)


class Identity:
    """Who is signed in with Amazon Cognito."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, given):
        self.cognito_identity_id = given.get("cognitoIdentityId")
        self.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")

    def __repr__(self):
        return f"CognitoIdentity([cognito_identity_id={self.cognito_identity_id},cognito_identity_pool_id={self.cognito_identity_pool_id}])"


class Client:
    """The app that invoked."""

    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, given):
        for name in self.__slots__:
            setattr(self, name, given.get(name))

    def __repr__(self):
        return "Client([" + ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__) + "])"


class ClientContext:
    """What the invoker said of itself."""

    __slots__ = ("custom", "env", "client")

    def __init__(self, given):
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = Client(given["client"]) if given.get("client") else None

    def __repr__(self):
        return f"ClientContext([custom={self.custom},env={self.env},client={self.client}])"


class LambdaContext:
    """What a handler is told about its invocation."""

    def __init__(self, headers):
        env = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        given = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(parsed(given, "client context")) if given else None
        given = headers.get("lambda-runtime-cognito-identity")
        self.identity = Identity(parsed(given, "Cognito identity") if given else {})
        self._epoch_deadline_time_in_ms = int(headers[DEADLINE])

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))
        sys.stdout.flush()

    def __repr__(self):
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return "LambdaContext([" + ",".join(f"{name}={getattr(self, name)}" for name in names) + "])"


def parsed(text, what):
    try:
        return json.loads(text)
    except ValueError as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {what} JSON: {error}") from None


def say(text):
    """One log event, of several lines or not."""
    sys.stdout.write(text.replace("\n", "\r") + "\n")
    sys.stdout.flush()


class Lines(logging.Handler):
    """Log records, as lines with time and request."""

    request_id = None

    def emit(self, record):
        try:
            record.aws_request_id = self.request_id or ""
            say(self.format(record).rstrip("\n"))
        except Exception:
            self.handleError(record)


def start_logging():
    handler = Lines()
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    return handler


def find_handler(handler):
    module_name, dot, name = handler.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [where]) from None
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}{without_boto3(error)}"
        raise Fault("Runtime.ImportModuleError", message) from None
    found = getattr(module, name, None)
    if found is None:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'")
    return found


def without_boto3(error):
    """What to do when the SDK that AWS's runtimes have is not there."""
    if (error.name or "").split(".")[0] not in ("boto3", "botocore") or "MILLPOND_NO_BOTO3" not in os.environ:
        return ""
    return f" ({os.environ['MILLPOND_NO_BOTO3']})"


def error_of(kind, message, trace, request_id):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace or []}


def frames(error):
    """The handler's part of a traceback."""
    found = traceback.extract_tb(error.__traceback__)
    while found and found[0].filename == OWN:
        found = found[1:]
    return traceback.format_list(found)


def log_error(error):
    lines = [f"[ERROR] {error['errorType']}: {error['errorMessage']}"]
    if error["stackTrace"] or error["errorType"].startswith("Runtime."):
        lines.append("Traceback (most recent call last):")
        lines += [part.rstrip("\n") for part in error["stackTrace"]]
    say("\n".join(lines))


class Encoder(json.JSONEncoder):
    """JSON, and the decimal numbers that DynamoDB gives."""

    marker = None

    def default(self, value):
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            # Written as text, and taken out of its quotes afterwards, so that no digit is lost.
            Encoder.marker = Encoder.marker or "decimal-" + os.urandom(16).hex() + ":"
            return Encoder.marker + str(value)
        return super().default(value)


def encode(value):
    try:
        text = json.dumps(value, cls=Encoder, ensure_ascii=False)
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    if Encoder.marker and Encoder.marker in text:
        import re

        text = re.sub('"' + Encoder.marker + '([^"]*)"', r"\1", text)
    return text.encode("utf-8", "surrogatepass")


def decode(event):
    try:
        return json.loads(event)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def serve_one(api, handler, lines):
    _, headers, event = api.call("GET", "invocation/next")
    request_id = headers["lambda-runtime-aws-request-id"]
    lines.request_id = request_id
    if "lambda-runtime-trace-id" in headers:
        os.environ["_X_AMZN_TRACE_ID"] = headers["lambda-runtime-trace-id"]
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        answer = encode(handler(decode(event), LambdaContext(headers)))
        error = None
    except Fault as fault:
        error = error_of(fault.kind, fault.message, fault.trace, request_id)
    except Exception as raised:
        error = error_of(type(raised).__name__, str(raised), frames(raised), request_id)
    if error is not None:
        log_error(error)
        kind = f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n"
        flush()
        api.call("POST", f"invocation/{request_id}/error", json.dumps(error).encode(), kind)
        return
    flush()
    api.call("POST", f"invocation/{request_id}/response", answer)


def flush():
    """What was printed comes before the answer."""
    sys.stdout.flush()
    sys.stderr.flush()


def paths():
    """The function's own code first, then layers, then what the interpreter has, then the SDK."""
    root = os.environ["LAMBDA_TASK_ROOT"]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    first = [root]
    for layer in os.environ.pop("MILLPOND_LAYERS", "/opt").split(":"):
        first += [f"{layer}/python/lib/{version}/site-packages", f"{layer}/python"]
    first = [path for path in first if os.path.isdir(path)]
    sys.path[:] = first + [path for path in sys.path if path not in first]
    sdk = os.environ.pop("MILLPOND_BOTO3", None)
    if sdk:
        sys.path.append(sdk)


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
    paths()
    api = Api(os.environ["AWS_LAMBDA_RUNTIME_API"])
    lines = start_logging()
    try:
        handler = find_handler(os.environ["_HANDLER"])
    except Fault as fault:
        error = error_of(fault.kind, fault.message, fault.trace, "")
    except Exception as raised:
        error = error_of(type(raised).__name__, str(raised), frames_of_import(raised), "")
    else:
        while True:
            serve_one(api, handler, lines)
    log_error(error)
    flush()
    kind = f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n"
    api.call("POST", "init/error", json.dumps(error).encode(), kind)
    sys.exit(1)


def frames_of_import(error):
    """The module's part of a traceback."""
    found = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != OWN]
    while found and ("importlib" in found[0].filename or found[0].filename.startswith("<frozen")):
        found = found[1:]
    return traceback.format_list(found)


main()
