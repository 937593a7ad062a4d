//! A server's side for workers: keeps what they print, and answers at the door.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_io::{SystemClock, SystemRandom};
use millpond_runtime::{
    Door, Ended, Failure, Host, Job, Language, NoWorker, Program, Report, WorkerCredentials, Workers, WorkersConfig,
};
use millpond_types::{CauseChain, Timestamp};
use serde_json::Value;

#[derive(Default)]
pub struct Kept {
    pub lines: Mutex<Vec<String>>,
    pub bytes: AtomicU64,
    pub chains: Mutex<HashMap<String, CauseChain>>,
    pub gone: Mutex<Vec<String>>,
    pub expires: Mutex<Option<Timestamp>>,
    keys: AtomicU64,
}

impl Host for Kept {
    fn credentials<'a>(&'a self, _: &'a Program) -> BoxFuture<'a, Result<Option<WorkerCredentials>, String>> {
        let key = self.keys.fetch_add(1, Ordering::SeqCst);
        let expires = self.expires.lock().unwrap().unwrap_or(Timestamp(u64::MAX));
        let credentials = WorkerCredentials {
            access_key_id: format!("ASIAWORKER{key}"),
            secret: "secret of a worker".to_owned(),
            token: "token of a worker".to_owned(),
            expires,
        };
        Box::pin(async move { Ok(Some(credentials)) })
    }

    fn begins(&self, access_key_id: &str, causes: &CauseChain) {
        self.chains.lock().unwrap().insert(access_key_id.to_owned(), causes.clone());
    }

    fn gone(&self, access_key_id: &str) {
        self.gone.lock().unwrap().push(access_key_id.to_owned());
    }

    fn printed(&self, _: &Program, _: &str, lines: Vec<(Timestamp, String)>) {
        self.bytes.fetch_add(lines.iter().map(|(_, line)| line.len() as u64).sum(), Ordering::SeqCst);
        let mut kept = self.lines.lock().unwrap();
        // A test that prints gigabytes looks at its last lines.
        let fewer = kept.len().saturating_sub(10_000);
        kept.drain(..fewer);
        kept.extend(lines.into_iter().map(|(_, line)| line));
    }

    fn door(&self, listener: TcpListener) -> Door {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 4096]);
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nat the door");
            }
        });
        Box::new(())
    }
}

pub struct World {
    pub workers: Workers,
    pub host: Arc<Kept>,
    pub folder: tempfile::TempDir,
    next: AtomicU64,
}

fn python() -> PathBuf {
    PathBuf::from(std::env::var("MILLPOND_PYTHON").unwrap_or_else(|_| "python3".to_owned()))
}

pub fn config(folder: &tempfile::TempDir) -> WorkersConfig {
    WorkersConfig {
        python: python(),
        python_for: HashMap::new(),
        node: PathBuf::from("node"),
        boto3: None,
        folder: folder.path().join("runtime"),
        max_workers: 4,
        idle: Duration::from_secs(600),
        stop_time: Duration::from_secs(10),
        hidden: Vec::new(),
        allow_unsandboxed: false,
        endpoint_url: "http://127.0.0.1:1".to_owned(),
        region: "eu-central-1".to_owned(),
        helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_millpond-sandbox-helper"))),
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut WorkersConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config);
        let host = Arc::new(Kept::default());
        let workers = Workers::new(config, host.clone(), Arc::new(SystemClock), Arc::new(SystemRandom));
        Self { workers, host, folder, next: AtomicU64::new(1) }
    }

    fn code(&self, files: &[(&str, &str)]) -> (u64, PathBuf) {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let code = self.folder.path().join(format!("code-{id}"));
        for (name, text) in files {
            let path = code.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let mode = if *name == "bootstrap" { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        (id, code)
    }

    fn program(&self, language: Language, handler: &str, files: &[(&str, &str)]) -> Program {
        let (id, code) = self.code(files);
        Program {
            id: u128::from(id),
            name: "resize".to_owned(),
            version: "$LATEST".to_owned(),
            arn: "arn:aws:lambda:eu-central-1:000000000000:function:resize".to_owned(),
            role: "arn:aws:iam::000000000000:role/resize".to_owned(),
            handler: handler.to_owned(),
            language,
            code,
            layers: Vec::new(),
            env: Vec::new(),
            memory_mb: 128,
            tmp_mb: 16,
            timeout: Duration::from_secs(30),
            open_network: false,
            log_group: "/aws/lambda/resize".to_owned(),
        }
    }

    pub fn layer(&self, files: &[(&str, &str)]) -> PathBuf {
        self.code(files).1
    }

    /// A function in Python whose module is `text`, with a `handler` in it.
    pub fn python(&self, text: &str) -> Program {
        self.program(Language::Python { wanted: "python3.12".to_owned() }, "main.handler", &[("main.py", text)])
    }

    /// The same in Node, in a file of a name.
    pub fn node(&self, name: &str, text: &str) -> Program {
        self.program(Language::Node { wanted: "nodejs20.x".to_owned() }, "main.handler", &[(name, text)])
    }

    pub fn provided(&self, text: &str) -> Program {
        self.program(Language::Provided, "any", &[("bootstrap", text)])
    }

    pub async fn try_invoke(&self, program: &Arc<Program>, event: &str) -> Result<(Ended, Report), NoWorker> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let job = Job {
            request_id: format!("request-{number}"),
            payload: Bytes::from(event.to_owned()),
            invoked_arn: program.arn.clone(),
            trace: Some("Root=1-0-0".to_owned()),
            client_context: None,
            causes: vec![format!("cause-{number}")],
            tail: true,
        };
        self.workers.invoke(program, job).await
    }

    pub async fn invoke(&self, program: &Arc<Program>, event: &str) -> (Ended, Report) {
        self.try_invoke(program, event).await.unwrap()
    }

    /// The answer of a function that must succeed.
    pub async fn answer(&self, program: &Arc<Program>, event: &str) -> Value {
        let (ended, report) = self.invoke(program, event).await;
        match ended {
            Ended::Answer(answer) => serde_json::from_slice(&answer).unwrap(),
            Ended::Failed { payload, kind } => panic!("{kind:?}: {payload:?}\n{}", tail(&report)),
        }
    }

    /// The error of a function that must fail.
    pub async fn error(&self, program: &Arc<Program>, event: &str) -> (Failure, Value) {
        match self.invoke(program, event).await.0 {
            Ended::Failed { payload, kind } => (kind, serde_json::from_slice(&payload).unwrap()),
            Ended::Answer(answer) => panic!("an answer: {answer:?}"),
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.host.lines.lock().unwrap().clone()
    }
}

/// Writes a program.
pub fn executable(path: &std::path::Path, text: &str) {
    let mut open = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(open.write(true).create_new(true), 0o755);
    open.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

pub fn tail(report: &Report) -> String {
    String::from_utf8_lossy(&report.tail).into_owned()
}
