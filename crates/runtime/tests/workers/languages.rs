//! Handlers in Python, Node and a bootstrap of one's own.

use std::sync::Arc;

use millpond_runtime::Failure;
use serde_json::{Value, json};

use crate::world::{World, tail};

#[tokio::test]
async fn python_answers_and_its_worker_is_used_again() {
    let world = World::new();
    let program = Arc::new(world.python(
        "import os\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    print('count is', count)\n    return {'event': event, 'count': count, 'pid': os.getpid()}\n",
    ));
    assert_eq!(world.answer(&program, r#"{"a": "é"}"#).await["event"], json!({"a": "é"}));
    let (_, report) = world.invoke(&program, "[1]").await;
    let text = tail(&report);
    assert!(text.starts_with("START RequestId: request-3 Version: $LATEST\ncount is 2\nEND RequestId: request-3\nREPORT RequestId: request-3\tDuration: "), "{text}");
    assert!(report.init.is_none() && report.max_memory_mb > 1);
    let lines = world.lines();
    assert!(lines[0].starts_with("INIT_START Runtime Version: python3."), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("\tInit Duration: ")), "{lines:?}");
    assert_eq!(world.workers.figures().workers, 1);
    assert_eq!(world.host.chains.lock().unwrap()["ASIAWORKER0"], ["cause-3"]);
}

#[tokio::test]
async fn python_finds_its_context_and_environment() {
    let world = World::new();
    let mut program = world.python(
        "import os, sys\ndef handler(event, c):\n    return {'env': dict(os.environ), 'path': sys.path, 'left': c.get_remaining_time_in_millis(),\n        'c': [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb, c.aws_request_id, c.log_group_name, c.log_stream_name, c.identity.cognito_identity_id, c.client_context]}\n",
    );
    program.env = vec![("TABLE".to_owned(), "flights".to_owned()), ("TZ".to_owned(), "Europe/Berlin".to_owned())];
    let answer = world.answer(&Arc::new(program), "{}").await;
    let env = |name: &str| answer["env"][name].as_str().unwrap_or_default().to_owned();
    for (name, value) in [
        ("TABLE", "flights"),
        ("TZ", "Europe/Berlin"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "resize"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/resize"),
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12"),
        ("AWS_ACCESS_KEY_ID", "ASIAWORKER0"),
        ("AWS_SECRET_ACCESS_KEY", "secret of a worker"),
        ("AWS_SESSION_TOKEN", "token of a worker"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("_HANDLER", "main.handler"),
        ("_X_AMZN_TRACE_ID", "Root=1-0-0"),
    ] {
        assert_eq!(env(name), value, "{name}");
    }
    assert_eq!(answer["path"][0], "/var/task");
    let left = answer["left"].as_u64().unwrap();
    assert!((1..=30_000).contains(&left));
    let stream = env("AWS_LAMBDA_LOG_STREAM_NAME");
    assert!(stream.len() == 10 + 1 + 9 + 32 && stream[10..].starts_with("/[$LATEST]"), "{stream}");
    let arn = "arn:aws:lambda:eu-central-1:000000000000:function:resize";
    assert_eq!(
        answer["c"],
        json!(["resize", "$LATEST", arn, "128", "request-2", "/aws/lambda/resize", stream, null, null])
    );
}

#[tokio::test]
async fn python_errors_are_aws_s() {
    let world = World::new();
    let cases = [
        ("def handler(e, c):\n    raise KeyError('id')\n", Failure::Handler, "KeyError", "'id'"),
        (
            "def handler(e, c):\n    return {1, 2}\n",
            Failure::Handler,
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        (
            "import nothing_of_the_kind\n",
            Failure::Init,
            "Runtime.ImportModuleError",
            "Unable to import module 'main': No module named 'nothing_of_the_kind'",
        ),
        (
            "def other(e, c): pass\n",
            Failure::Init,
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'main'",
        ),
        ("def handler(e, c:\n", Failure::Init, "Runtime.UserCodeSyntaxError", "Syntax error in module 'main': "),
        ("1 / 0\n", Failure::Init, "ZeroDivisionError", "division by zero"),
        ("import sys\ndef handler(e, c):\n    sys.exit(3)\n", Failure::Exit, "Runtime.ExitError", "RequestId: "),
    ];
    for (text, kind, error, message) in cases {
        let (failed, told) = world.error(&Arc::new(world.python(text)), "{}").await;
        assert_eq!((failed, told["errorType"].as_str()), (kind, Some(error)), "{text}: {told}");
        assert!(told["errorMessage"].as_str().unwrap().starts_with(message), "{text}: {told}");
    }
    let program = Arc::new(
        world.python("def handler(e, c):\n    deeper()\ndef deeper():\n    raise ValueError('no such thing')\n"),
    );
    let (_, told) = world.error(&program, "{}").await;
    assert_eq!(
        told["stackTrace"],
        json!([
            "  File \"/var/task/main.py\", line 2, in handler\n    deeper()\n",
            "  File \"/var/task/main.py\", line 4, in deeper\n    raise ValueError('no such thing')\n"
        ])
    );
    assert_eq!(told["requestId"].as_str().map(|id| id.starts_with("request-")), Some(true));
    let logged = world.lines().into_iter().rev().find(|line| line.starts_with("[ERROR]")).unwrap();
    assert!(logged.starts_with("[ERROR] ValueError: no such thing\nTraceback (most recent call last):\n  File \"/var/task/main.py\", line 2"), "{logged}");
    // A handler that failed is asked again in the same worker.
    let before = world.workers.figures().started;
    world.error(&program, "{}").await;
    assert_eq!(world.workers.figures().started, before);
}

#[tokio::test]
async fn python_writes_decimals_logs_and_large_answers() {
    let world = World::new();
    let program = Arc::new(world.python(
        "import logging\nfrom decimal import Decimal\nlog = logging.getLogger()\nlog.setLevel(logging.INFO)\ndef handler(e, c):\n    log.info('two\\nlines')\n    if e: return 'x' * e\n    return {'n': Decimal('12345678901234567890.123456789'), 's': 'é'}\n",
    ));
    let (ended, report) = world.invoke(&program, "0").await;
    let millpond_runtime::Ended::Answer(answer) = ended else { panic!("{ended:?}") };
    assert_eq!(std::str::from_utf8(&answer).unwrap(), "{\"n\": 12345678901234567890.123456789, \"s\": \"é\"}");
    let text = tail(&report);
    assert!(text.contains("[INFO]\t20") && text.contains("Z\trequest-2\ttwo\nlines\n"), "{text}");
    assert_eq!(world.answer(&program, "5000000").await.as_str().map(str::len), Some(5_000_000));
    let (kind, told) = world.error(&program, "7000000").await;
    assert_eq!(
        (kind, told),
        (
            Failure::Handler,
            json!({"errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes)."})
        )
    );
    assert_eq!(world.answer(&program, "3").await, "xxx");
    assert_eq!(world.workers.figures().started, 1);
}

#[tokio::test]
async fn layers_are_one_folder_and_found_by_the_interpreter() {
    let world = World::new();
    let mut program = world.python(
        "import first, second, os\ndef handler(e, c):\n    return [first.A, second.B, sorted(os.listdir('/opt')), open('/opt/data').read()]\n",
    );
    program.layers = vec![
        world.layer(&[("python/first.py", "A = 1"), ("data", "lower"), ("bin/tool", "")]),
        world.layer(&[("python/second.py", "B = 2"), ("data", "upper")]),
    ];
    let answer = world.answer(&Arc::new(program), "{}").await;
    assert_eq!(answer, json!([1, 2, ["bin", "data", "python"], "upper"]));
}

#[tokio::test]
async fn node_answers_in_every_manner() {
    let world = World::new();
    let cases = [
        (
            "main.js",
            "exports.handler = async (event, context) => ({ event, name: context.functionName })",
            json!({"event": {"a": 1}, "name": "resize"}),
        ),
        ("main.mjs", "export const handler = async (event) => event.a + 1", json!(2)),
        (
            "main.js",
            "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, 'late'), 20) }",
            json!("late"),
        ),
        (
            "main.cjs",
            "exports.handler = (event, context) => context.succeed({ left: context.getRemainingTimeInMillis() > 0 })",
            json!({"left": true}),
        ),
        ("main.js", "exports.handler = () => {}", Value::Null),
    ];
    for (name, text, expected) in cases {
        let program = Arc::new(world.node(name, text));
        for _ in 0..2 {
            assert_eq!(world.answer(&program, r#"{"a": 1}"#).await, expected, "{text}");
        }
    }
    let (kind, told) = world
        .error(&Arc::new(world.node("main.js", "exports.handler = async () => { throw new TypeError('no') }")), "{}")
        .await;
    assert_eq!(
        (kind, &told["errorType"], &told["errorMessage"]),
        (Failure::Handler, &json!("TypeError"), &json!("no"))
    );
    assert!(told["trace"][0].as_str().unwrap().starts_with("TypeError: no"), "{told}");
    let (kind, told) = world.error(&Arc::new(world.node("main.js", "exports.other = 1")), "{}").await;
    assert_eq!((kind, &told["errorType"]), (Failure::Init, &json!("Runtime.HandlerNotFound")), "{told}");
    let (kind, told) = world.error(&Arc::new(world.node("main.js", "require('nothing')")), "{}").await;
    assert_eq!((kind, &told["errorType"]), (Failure::Init, &json!("Runtime.ImportModuleError")), "{told}");
    let program =
        Arc::new(world.node("main.js", "exports.handler = async () => { console.log('a', { b: 1 }); return 1 }"));
    let (_, report) = world.invoke(&program, "{}").await;
    assert!(tail(&report).contains("\tINFO\ta { b: 1 }\n"), "{}", tail(&report));
}

#[tokio::test]
async fn a_bootstrap_of_its_own_speaks_the_api() {
    let world = World::new();
    let program = Arc::new(world.provided(
        r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
exec 3<>/dev/tcp/127.0.0.1/9001
while true; do
  printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
  length=0
  while IFS=$'\r' read -r line <&3 && [ -n "$line" ]; do
    case "$line" in
      lambda-runtime-aws-request-id:*) id="${line#*: }" ;;
      content-length:*) length="${line#*: }" ;;
    esac
  done
  read -r -N "$length" event <&3
  printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n%s' "$id" "$length" "$event" >&3
  while IFS=$'\r' read -r line <&3 && [ -n "$line" ]; do
    case "$line" in content-length:*) length="${line#*: }" ;; esac
  done
  read -r -N "$length" ignored <&3
done
"#,
    ));
    for event in [r#"{"n":1}"#, r#"[2]"#] {
        assert_eq!(world.answer(&program, event).await, serde_json::from_str::<Value>(event).unwrap());
    }
    for (file, text, message) in [
        ("other", "", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        ("bootstrap", "\x7fELF", "fork/exec /var/task/bootstrap: exec format error"),
    ] {
        let mut none = world.provided("");
        none.code = world.layer(&[(file, text)]);
        let (kind, told) = world.error(&Arc::new(none), "{}").await;
        assert_eq!((kind, &told["errorType"]), (Failure::Init, &json!("Runtime.InvalidEntrypoint")), "{told}");
        assert!(told["errorMessage"].as_str().unwrap().ends_with(&format!(" Error: {message}")), "{told}");
    }
}
