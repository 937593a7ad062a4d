//! Workers come, are used again, wait, are stopped, and go.

use std::sync::Arc;
use std::time::Duration;

use millpond_io::{Clock as _, SystemClock};
use millpond_runtime::{Ended, Failure, Language, NoWorker};
use serde_json::json;

use crate::world::World;

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come to hold");
}

#[tokio::test]
async fn invocations_wait_for_a_worker_and_idle_ones_make_room() {
    let world = World::with(|config| config.max_workers = 2);
    let slow = "import time, os\ndef handler(e, c):\n    time.sleep(.1)\n    return e\n";
    let programs: Vec<_> = (0..4).map(|_| Arc::new(world.python(slow))).collect();
    let events: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let all = events.iter().zip(programs.iter().cycle()).map(|(event, program)| world.answer(program, event));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(answers, (0..12).map(|n| json!(n)).collect::<Vec<_>>());
    assert!(world.workers.figures().workers <= 2);
}

#[tokio::test]
async fn nothing_goes_on_between_invocations() {
    let world = World::new();
    let program = Arc::new(world.python(
        "import threading, time\nticks = 0\ndef tick():\n    global ticks\n    while True:\n        ticks += 1\n        time.sleep(.01)\nthreading.Thread(target=tick, daemon=True).start()\ndef handler(e, c):\n    return ticks\n",
    ));
    world.answer(&program, "{}").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = world.answer(&program, "{}").await.as_u64().unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let after = world.answer(&program, "{}").await.as_u64().unwrap();
    assert!(after - before < 60, "{before} {after}");
    assert_eq!(world.workers.figures().started, 1);
}

#[tokio::test]
async fn retired_and_outdated_workers_are_replaced() {
    let world = World::new();
    let program = Arc::new(world.python("def handler(e, c):\n    return 1\n"));
    world.answer(&program, "{}").await;
    world.workers.retire(program.id);
    assert_eq!(world.workers.figures().idle, 0);
    until("the end", || world.host.gone.lock().unwrap().as_slice() == ["ASIAWORKER0"]).await;
    let other = Arc::new(world.python("def handler(e, c):\n    return 2\n"));
    *world.host.expires.lock().unwrap() = Some(SystemClock.now().plus(Duration::from_secs(40)));
    world.answer(&other, "{}").await;
    world.answer(&other, "{}").await;
    assert_eq!(world.workers.figures().started, 3, "credentials that end within an invocation are not used");
}

#[tokio::test]
async fn idle_workers_go_and_a_stopped_pool_takes_nothing() {
    let world = World::with(|config| config.idle = Duration::from_millis(1));
    let program = Arc::new(world.python("def handler(e, c):\n    return 1\n"));
    world.answer(&program, "{}").await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let workers = world.workers.clone();
    let running = tokio::spawn(async move { workers.run(async { stopped.await.unwrap_or_default() }).await });
    until("no worker", || world.workers.figures().workers == 0).await;
    drop(stop);
    running.await.unwrap();
    assert!(matches!(world.try_invoke(&program, "{}").await, Err(millpond_runtime::NoWorker::Stopping)));
}

#[tokio::test]
async fn an_initialization_that_takes_too_long_is_done_anew_within_the_invocation() {
    let world = World::new();
    let mut program = world.python("import time\ntime.sleep(60)\ndef handler(e, c): pass\n");
    program.timeout = Duration::from_secs(1);
    let (kind, told) = world.error(&Arc::new(program), "{}").await;
    assert_eq!((kind, &told["errorType"]), (Failure::Timeout, &json!("Sandbox.Timedout")));
    let lines = world.lines();
    assert!(
        lines.iter().any(|line| line.starts_with("INIT_REPORT Init Duration: 10") && line.ends_with("Status: timeout")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_interpreter_that_is_none_is_told_with_what_to_do() {
    let world = World::with(|config| {
        config.python = "/nowhere/python3".into();
        config.python_for.insert("python3.12".to_owned(), "python3".into());
    });
    let good = world.python("import botocore.no_part_of_it\ndef handler(e, c): pass\n");
    let mut none = world.python("def handler(e, c): pass\n");
    none.language = Language::Python { wanted: "python3.13".to_owned() };
    let refused = world.try_invoke(&Arc::new(none), "{}").await.unwrap_err().to_string();
    assert!(refused.contains("/nowhere/python3 is none") && refused.contains("MILLPOND_PYTHON"), "{refused}");
    let version = world.workers.interpreter(&good.language).await.unwrap().unwrap();
    assert!(version.starts_with("python3."), "{version}");
    let (_, told) = world.error(&Arc::new(good), "{}").await;
    assert!(told["errorMessage"].as_str().unwrap().contains("make run"), "{told}");
}

#[tokio::test]
async fn a_function_on_the_machine_s_network_has_it_and_its_api_is_a_secret() {
    let world = World::new();
    let mut program = world.python(
        "import os, socket, urllib.request\ndef handler(e, c):\n    socket.create_connection(('127.0.0.1', e), 5)\n    api = os.environ['AWS_LAMBDA_RUNTIME_API']\n    try: urllib.request.urlopen('http://' + api.split('/')[0] + '/2018-06-01/runtime/invocation/next', timeout=5)\n    except Exception as error: return [str(error), api.count('/'), os.environ['AWS_ENDPOINT_URL']]\n",
    );
    program.open_network = true;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = world.answer(&Arc::new(program), &port.to_string()).await;
    assert_eq!(answer, json!(["HTTP Error 404: Not Found", 1, "http://127.0.0.1:1"]));
}

const SLEEPER: &str = "import time\ndef handler(e, c):\n    time.sleep(e)\n    return 'slept'\n";

#[tokio::test]
async fn a_stop_lets_invocations_end_and_cuts_those_that_do_not() {
    for (stop_time, sleep, ends) in [(Duration::from_secs(60), "1", true), (Duration::from_millis(200), "600", false)] {
        let world = World::with(|config| config.stop_time = stop_time);
        let mut program = world.python(SLEEPER);
        program.timeout = Duration::from_secs(900);
        let program = Arc::new(program);
        world.answer(&program, "0").await;
        let stopping = async {
            until("at work", || world.workers.figures().idle == 0).await;
            world.workers.run(std::future::ready(())).await;
            assert!(matches!(world.try_invoke(&program, "0").await, Err(NoWorker::Stopping)));
        };
        let (done, ()) = tokio::join!(world.try_invoke(&program, sleep), stopping);
        match done {
            Ok((Ended::Answer(answer), _)) => assert!(ends && answer == "\"slept\"", "{answer:?}"),
            Err(NoWorker::Stopping) => assert!(!ends),
            other => panic!("{other:?}"),
        }
        world.workers.ended().await;
        until("no worker", || world.workers.figures().workers == 0).await;
        assert_eq!(world.workers.figures().failed, 0);
    }
}

#[tokio::test]
async fn one_function_leaves_room_for_others_also_for_one_that_it_waits_for() {
    let world = World::with(|config| config.max_workers = 2);
    let (sleeper, other) = (Arc::new(world.python(SLEEPER)), {
        let mut other = world.python(SLEEPER);
        other.arn.push_str("-other");
        Arc::new(other)
    });
    let first = world.answer(&sleeper, "15");
    let more = async {
        until("at work", || world.workers.figures().workers == 1).await;
        let (refused, answered) = tokio::join!(world.try_invoke(&sleeper, "0"), world.answer(&other, "0"));
        assert!(matches!(refused, Err(NoWorker::Busy)), "{refused:?}");
        assert_eq!(answered, "slept");
    };
    let (answered, ()) = tokio::join!(first, more);
    assert_eq!(answered, "slept");
}

#[tokio::test]
async fn a_sandbox_that_could_not_be_made_once_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (helper, marker) = (folder.path().join("helper"), folder.path().join("tried"));
    let real = env!("CARGO_BIN_EXE_millpond-sandbox-helper");
    let text = format!("#!/bin/sh\nmkdir {} 2>/dev/null && exit 1\nexec {real} \"$@\"\n", marker.display());
    crate::world::executable(&helper, &text);
    let world = World::with(|config| config.helper = Some(helper));
    let program = Arc::new(world.python("def handler(e, c):\n    return 1\n"));
    assert!(matches!(world.try_invoke(&program, "{}").await, Err(NoWorker::NoSandbox(_))));
    assert_eq!(world.answer(&program, "{}").await, 1);
}
