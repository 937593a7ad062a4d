//! Functions that would do harm: they get AWS's error, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millpond_runtime::{Ended, Failure, NoWorker};
use millpond_sandbox::{Bind, Limits, Spawner, Spec};
use serde_json::json;

use crate::world::{World, tail};

/// A function beside the harmful one, which must go on working.
const GOOD: &str = "def handler(e, c):\n    return 'well'\n";

#[tokio::test]
async fn what_is_not_theirs_they_do_not_see() {
    let world = World::new();
    let program = Arc::new(world.python(
        r#"
import ctypes, os, socket, urllib.request
def attempt(what):
    try:
        return str(what())
    except Exception as error:
        return type(error).__name__
def write(path):
    with open(path, 'w') as file:
        file.write('x')
    return 'written'
def handler(event, context):
    return {
        'task': attempt(lambda: write('/var/task/main.py')),
        'runtime': attempt(lambda: write('/var/runtime/bootstrap.pyc')),
        'usr': attempt(lambda: write('/usr/bin/env')),
        'root': attempt(lambda: write('/file')),
        'sysctl': attempt(lambda: write('/proc/sys/kernel/core_pattern')),
        'tmp': attempt(lambda: write('/tmp/file')),
        'home': attempt(lambda: os.listdir(event['folder'])),
        'shadow': attempt(lambda: open('/etc/shadow').read()),
        'processes': sorted(int(p) for p in os.listdir('/proc') if p.isdigit()),
        'init': attempt(lambda: open('/proc/1/environ').read()),
        'uid': os.getuid(),
        'network': attempt(lambda: socket.create_connection(('1.1.1.1', 53), 2)),
        'host': attempt(lambda: socket.create_connection(('127.0.0.1', event['port']), 2)),
        'door': attempt(lambda: urllib.request.urlopen('http://127.0.0.1:9000/').read().decode()),
        'vsock': attempt(lambda: socket.socket(40, socket.SOCK_STREAM)),
        'x32': ctypes.CDLL(None, use_errno=True).syscall(0x40000000 | 39) if os.uname().machine == 'x86_64' else -1,
        'x32_error': ctypes.get_errno(),
        'devices': sorted(os.listdir('/dev')),
        'root_of_tree': sorted(os.listdir('/')),
    }
"#,
    ));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = world.answer(&program, &json!({ "port": port, "folder": world.folder.path() }).to_string()).await;
    for refused in ["task", "runtime", "usr", "root", "sysctl", "home", "shadow", "init", "network", "host", "vsock"] {
        let kind = answer[refused].as_str().unwrap();
        assert!(kind.ends_with("Error"), "{refused}: {kind}");
    }
    assert_eq!((&answer["tmp"], &answer["door"]), (&json!("written"), &json!("at the door")));
    assert_eq!((&answer["processes"], &answer["uid"]), (&json!([1, answer["processes"][1]]), &json!(993)));
    // EPERM, not what a kernel without these calls says.
    let expected = if cfg!(target_arch = "x86_64") { 1 } else { 0 };
    assert_eq!((&answer["x32"], &answer["x32_error"]), (&json!(-1), &json!(expected)));
    assert_eq!(answer["devices"], json!(["fd", "null", "random", "stderr", "stdout", "urandom", "zero"]));
}

#[tokio::test]
async fn who_dies_within_its_answer_has_given_none() {
    let world = World::new();
    let mut program = world.provided(
        r#"#!/usr/bin/env python3
import os, socket, time, urllib.request
api = os.environ['AWS_LAMBDA_RUNTIME_API']
answer = urllib.request.urlopen('http://' + api + '/2018-06-01/runtime/invocation/next')
request, event = answer.headers['lambda-runtime-aws-request-id'], answer.read()
host, port = api.split(':')
connection = socket.create_connection((host, int(port)))
path = '/2018-06-01/runtime/invocation/' + request + '/response'
connection.sendall(('POST ' + path + ' HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"half').encode())
connection.close()
if event == b'1':
    time.sleep(1000)
os._exit(3)
"#,
    );
    program.timeout = Duration::from_secs(4);
    let program = Arc::new(program);
    for (event, expected) in [("0", Failure::Exit), ("1", Failure::Timeout)] {
        let (kind, told) = world.error(&program, event).await;
        assert_eq!(kind, expected, "{told}");
    }
}

/// What a shell in a sandbox prints.
fn printed(script: &str, change: impl FnOnce(&mut Spec)) -> String {
    let mut spec = Spec {
        confine: true,
        open_network: false,
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        directory: "/".into(),
        binds: Vec::new(),
        layers: Vec::new(),
        hidden: Vec::new(),
        tmp_bytes: 1 << 20,
        limits: Limits { files: 64, processes: 64, file_bytes: 1 << 20, data_bytes: None },
        groups: Vec::new(),
        ports: vec![9000],
    };
    change(&mut spec);
    let spawner = Spawner::with_helper(env!("CARGO_BIN_EXE_millpond-sandbox-helper").into());
    let mut process = spawner.spawn(spec, 64 << 20).unwrap();
    let (mut log, mut text) = (std::fs::File::from(process.take_log().unwrap()), String::new());
    loop {
        match std::io::Read::read_to_string(&mut log, &mut text) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended => break ended.map(|_| text).unwrap(),
        }
    }
}

fn files(folder: &std::path::Path, files: &[&str]) {
    for name in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, name.as_bytes()).unwrap();
    }
}

#[test]
fn what_is_hidden_is_not_seen_in_folders_that_are() {
    let project = tempfile::tempdir().unwrap();
    files(project.path(), &["bin/tool", "data/root-credentials", "data/functions/runtime/boot", "key"]);
    let script =
        "cd /srv/venv; cat bin/tool; ls data; cat key data/root-credentials; touch data/x; cat /var/runtime/boot";
    let text = printed(script, |spec| {
        let bind = |source: std::path::PathBuf, target: &str| Bind { source, target: target.into() };
        spec.binds.push(bind(project.path().into(), "/srv/venv"));
        // What is shown of it by itself is seen.
        spec.binds.push(bind(project.path().join("data/functions/runtime"), "/var/runtime"));
        spec.hidden = ["data", "key", "nowhere"].map(|name| project.path().join(name)).to_vec();
    });
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.starts_with("bin/tool") && text.ends_with("data/functions/runtime/boot"), "{text}");
    assert!(text.contains("No such file") && text.contains("Read-only"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");
}

#[test]
fn layers_leave_what_is_of_the_machine_in_opt() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &["machine/bin/python", "one/python/lib.py", "one/tools/3/bin/python", "one/tools/4/x"]);
    files(folder.path(), &["two/lib/y", "two/python/lib.py"]);
    for (layers, expected) in [
        (&["one"][..], "machine/bin/python\none/tools/4/x\none/python/lib.py\n\n"),
        (&["one", "two"][..], "machine/bin/python\none/tools/4/x\ntwo/python/lib.py\ntwo/lib/y\n"),
    ] {
        let script =
            "for f in tools/3/bin/python tools/4/x python/lib.py lib/y; do cat /opt/$f 2>/dev/null; echo; done";
        let text = printed(script, |spec| {
            spec.binds.push(Bind { source: folder.path().join("machine"), target: "/opt/tools/3".into() });
            spec.layers = layers.iter().map(|name| folder.path().join(name)).collect();
        });
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn tmp_is_private_and_has_a_size() {
    let world = World::new();
    let text = "import os\ndef handler(e, c):\n    there = sorted(os.listdir('/tmp'))\n    try:\n        with open('/tmp/' + e, 'wb') as f:\n            for _ in range(100): f.write(bytes(1 << 20))\n        return [there, 'written']\n    except OSError as error:\n        return [there, error.strerror]\n";
    let (one, other) = (Arc::new(world.python(text)), Arc::new(world.python(text)));
    let first = world.answer(&one, "\"a\"").await;
    assert!(first[1] == "No space left on device" || first[1] == "File too large", "{first}");
    assert_eq!(world.answer(&one, "\"b\"").await[0], json!(["a"]), "the same worker");
    assert_eq!(world.answer(&other, "\"c\"").await[0], json!([]), "another one");
}

#[tokio::test]
async fn a_sleeper_is_ended_at_its_time() {
    let world = World::new();
    let mut program =
        world.python("import time\ndef handler(e, c):\n    print('before', flush=True)\n    if e: time.sleep(1000)\n");
    program.timeout = Duration::from_secs(3);
    let program = Arc::new(program);
    assert!(world.answer(&program, "0").await.is_null());
    let (ended, report) = world.invoke(&program, "1").await;
    let Ended::Failed { payload, kind: Failure::Timeout } = ended else { panic!("{ended:?}") };
    let told: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(
        told,
        json!({"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: request-3 Error: Task timed out after 3.00 seconds"})
    );
    let text = tail(&report);
    assert!(
        text.contains("before\n")
            && text.contains("Z request-3 Task timed out after 3.00 seconds\nEND ")
            && text.contains("\tStatus: timeout\t"),
        "{text}"
    );
    assert!(world.answer(&program, "0").await.is_null(), "a new worker");
}

#[tokio::test]
async fn whoever_dies_gets_the_error_and_its_successor_lives() {
    let world = World::new();
    let program = Arc::new(world.python(
        "import os, signal, ctypes\ndef handler(e, c):\n    if e == 'exit': os._exit(7)\n    if e == 'gone': os._exit(0)\n    if e == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n    if e == 'crash': ctypes.string_at(0)\n    if e == 'parent':\n        try: os.kill(os.getppid(), signal.SIGKILL)\n        except OSError: pass\n    if e == 'all':\n        try: os.kill(-1, signal.SIGKILL)\n        except OSError: pass\n    return 'alive'\n",
    ));
    for (event, message) in [
        ("exit", "Runtime exited with error: exit status 7"),
        ("gone", "Runtime exited without providing a reason"),
        ("kill", "Runtime exited with error: signal: killed"),
        ("crash", "Runtime exited with error: signal: segmentation fault"),
    ] {
        let (kind, told) = world.error(&program, &format!("\"{event}\"")).await;
        assert_eq!((kind, told["errorType"].as_str()), (Failure::Exit, Some("Runtime.ExitError")), "{told}");
        assert!(told["errorMessage"].as_str().unwrap().ends_with(message), "{event}: {told}");
    }
    // Process 1 is not theirs to kill.
    assert_eq!(world.answer(&program, "\"parent\"").await, "alive");
    assert_eq!(world.answer(&program, "\"all\"").await, "alive");
    assert_eq!(world.answer(&program, "0").await, "alive");
}

#[tokio::test]
async fn an_eater_of_memory_is_ended() {
    let world = World::new();
    let (good, eater) = (
        Arc::new(world.python(GOOD)),
        world.python("def handler(e, c):\n    eaten = []\n    while True: eaten.append(bytearray(1 << 20))\n"),
    );
    let (kind, told) = world.error(&Arc::new(eater), "{}").await;
    assert_eq!((kind, told["errorType"].as_str()), (Failure::Memory, Some("Runtime.OutOfMemory")), "{told}");
    assert!(told["errorMessage"].as_str().unwrap().ends_with("Runtime exited with error: signal: killed"));
    // Also through its children, and at a pace that no limit on a process notices.
    let slow = world.python("import subprocess, sys\ndef handler(e, c):\n    eat = 'import time\\nx = []\\nwhile True:\\n    x.append(bytearray(1 << 20)); time.sleep(.005)'\n    for child in [subprocess.Popen([sys.executable, '-c', eat]) for _ in range(3)]: child.wait()\n    return 'eaten'\n");
    let (kind, _) = world.error(&Arc::new(slow), "{}").await;
    assert_eq!(kind, Failure::Memory);
    assert_eq!(world.answer(&good, "{}").await, "well");
}

#[tokio::test]
async fn a_fork_bomb_stays_in_its_sandbox_and_ends_with_it() {
    let world = World::new();
    let good = Arc::new(world.python(GOOD));
    let mut bomb = world.python(
        "import os\ndef handler(e, c):\n    while True:\n        try: os.fork()\n        except OSError: pass\n",
    );
    bomb.timeout = Duration::from_secs(2);
    bomb.memory_mb = 512;
    let bomb = Arc::new(bomb);
    let bombing = world.invoke(&bomb, "{}");
    let working = async {
        for _ in 0..5 {
            assert_eq!(world.answer(&good, "{}").await, "well");
        }
    };
    let ((ended, _), ()) = tokio::join!(bombing, working);
    assert!(
        matches!(ended, Ended::Failed { kind: Failure::Timeout | Failure::Memory | Failure::Exit, .. }),
        "{ended:?}"
    );
}

#[tokio::test]
async fn gigabytes_of_output_are_bounded() {
    let world = World::new();
    let good = Arc::new(world.python(GOOD));
    let mut loud = world.python(
        "import sys\ndef handler(e, c):\n    line = 'x' * 100_000 + '\\n'\n    while True: sys.stdout.write(line)\n",
    );
    loud.timeout = Duration::from_secs(3);
    let loud = Arc::new(loud);
    let printing = world.invoke(&loud, "{}");
    let working = async { assert_eq!(world.answer(&good, "{}").await, "well") };
    let ((ended, report), ()) = tokio::join!(printing, working);
    assert!(matches!(ended, Ended::Failed { kind: Failure::Timeout, .. }), "{ended:?}");
    assert!(world.host.bytes.load(Ordering::SeqCst) < 64 << 20, "{}", world.host.bytes.load(Ordering::SeqCst));
    let text = tail(&report);
    assert!(world.lines().iter().any(|line| line.contains(" lines were dropped: a worker may print")));
    assert!(text.contains("Task timed out"), "{text}");
}

#[tokio::test]
async fn without_namespaces_nothing_runs_unless_it_is_allowed() {
    let helper = std::path::PathBuf::from("/bin/false");
    let world = World::with(|config| config.helper = Some(helper));
    let program = Arc::new(world.python(GOOD));
    let refused = world.try_invoke(&program, "{}").await.unwrap_err();
    assert!(matches!(refused, NoWorker::NoSandbox(_)), "{refused}");
    assert!(refused.to_string().contains("--allow-unsandboxed-functions"), "{refused}");
}

/// A helper that finds no namespaces: the superuser without the capability for them. `None` for users, who have it in namespaces of their own.
fn without_namespaces(world: &tempfile::TempDir) -> Option<std::path::PathBuf> {
    let root = std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"));
    let tool =
        std::process::Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success());
    if !root || !tool {
        return None;
    }
    let path = world.path().join("helper");
    let text = format!(
        "#!/bin/sh\nexec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin {} \"$@\"\n",
        env!("CARGO_BIN_EXE_millpond-sandbox-helper")
    );
    crate::world::executable(&path, &text);
    Some(path)
}

#[tokio::test]
async fn where_it_is_allowed_functions_run_without_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let Some(helper) = without_namespaces(&folder) else { return };
    let refusing = World::with(|config| config.helper = Some(helper.clone()));
    let program = Arc::new(refusing.python(GOOD));
    let refused = refusing.try_invoke(&program, "{}").await.unwrap_err();
    assert!(refused.to_string().contains("namespaces cannot be made"), "{refused}");

    let world = World::with(|config| {
        config.helper = Some(helper);
        config.allow_unsandboxed = true;
    });
    let mut program = world.python(
        "import os, lib, subprocess\ndef handler(e, c):\n    subprocess.Popen(['sleep', '1000'], start_new_session=True)\n    return [os.getcwd(), os.environ['LAMBDA_TASK_ROOT'], lib.A, os.getpid()]\n",
    );
    program.layers = vec![world.layer(&[("python/lib.py", "A = 1")]), world.layer(&[("python/lib.py", "A = 2")])];
    let code = program.code.display().to_string();
    let program = Arc::new(program);
    let answer = world.answer(&program, "{}").await;
    assert_eq!((&answer[0], &answer[1], &answer[2]), (&json!(code), &json!(code), &json!(2)));
    // All that it started ends with it.
    world.workers.retire(program.id);
    let pid = answer[3].as_u64().unwrap();
    let there = || std::path::Path::new(&format!("/proc/{pid}")).exists();
    for _ in 0..1000 {
        if !there() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!there());
}
