//! The interpreters of this machine, and our own small programs that run handlers in them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use millpond_sandbox::Bind;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::program::{Language, NoWorker};

/// Runs handlers in Python.
const PYTHON_BOOTSTRAP: &str = include_str!("bootstrap/bootstrap.py");
/// Runs handlers in Node.
const NODE_BOOTSTRAP: &str = include_str!("bootstrap/bootstrap.mjs");

/// Where they are seen inside.
const INSIDE: &str = "/var/runtime";

/// An interpreter that does not tell of itself within this time is none.
const PROBE_TIME: Duration = Duration::from_secs(30);

/// Tells where a Python is, and compiles the bootstrap for it: source and target are its arguments.
const ASK_PYTHON: &str = "\
import json, os, py_compile, sys
py_compile.compile(sys.argv[1], cfile=sys.argv[2], dfile='bootstrap.py', doraise=True)
print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3], 'program': sys.executable,
    'needs': [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.path.realpath(sys.executable)]}))";

/// Tells where a Node is.
const ASK_NODE: &str = "\
console.log(JSON.stringify({version: process.versions.node, program: process.execPath, needs: [process.execPath]}))";

/// The oldest Python that the bootstrap is written for.
const OLDEST_PYTHON: (u32, u32) = (3, 8);
/// The oldest Node that the bootstrap is written for.
const OLDEST_NODE: u32 = 16;

/// Which interpreters there are.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The Python for all runtimes that are not mapped.
    pub(crate) python: PathBuf,
    /// Pythons for single runtimes, such as `python3.12`.
    pub(crate) mapped: HashMap<String, PathBuf>,
    /// The Node.
    pub(crate) node: PathBuf,
}

/// An interpreter that was asked and has told.
#[derive(Clone, Debug)]
pub(crate) struct Interpreter {
    /// Such as `python3.11.7`.
    pub(crate) version: String,
    /// Its program.
    pub(crate) program: PathBuf,
    /// Arguments before anything else: the bootstrap, inside and outside of a sandbox.
    bootstrap: String,
    folder: PathBuf,
    /// What must be seen of the machine.
    pub(crate) binds: Vec<Bind>,
}

impl Interpreter {
    /// Program and arguments.
    pub(crate) fn argv(&self, confined: bool) -> Vec<String> {
        let folder = if confined { Path::new(INSIDE) } else { &self.folder };
        vec![self.program.display().to_string(), folder.join(&self.bootstrap).display().to_string()]
    }
}

/// Asks interpreters once each.
pub(crate) struct Interpreters {
    wanted: Wanted,
    folder: PathBuf,
    known: Mutex<HashMap<PathBuf, Arc<Interpreter>>>,
}

impl Interpreters {
    /// `folder` is where the bootstraps are kept.
    pub(crate) fn new(wanted: Wanted, folder: PathBuf) -> Self {
        Self { wanted, folder, known: Mutex::default() }
    }

    /// The interpreter for a language; `None` for one that brings its own.
    pub(crate) async fn of(&self, language: &Language) -> Result<Option<Arc<Interpreter>>, NoWorker> {
        let (program, python) = match language {
            Language::Python { wanted } => (self.wanted.mapped.get(wanted).unwrap_or(&self.wanted.python), true),
            Language::Node { .. } => (&self.wanted.node, false),
            Language::Provided => return Ok(None),
        };
        let mut known = self.known.lock().await;
        if let Some(interpreter) = known.get(program) {
            return Ok(Some(interpreter.clone()));
        }
        // What failed may have been repaired when it is asked for again.
        let asked = if python { self.ask_python(program).await } else { self.ask_node(program).await };
        let interpreter = Arc::new(asked.map_err(NoWorker::Interpreter)?);
        tracing::info!(version = interpreter.version, program = %interpreter.program.display(), "functions run on this interpreter");
        known.insert(program.clone(), interpreter.clone());
        Ok(Some(interpreter))
    }

    async fn ask_python(&self, program: &Path) -> Result<Interpreter, String> {
        let none = |why: String| {
            format!(
                "Python functions need an interpreter, and {} is none: {why}. Name one by MILLPOND_PYTHON or --python",
                program.display()
            )
        };
        let source = self.folder.join("bootstrap.py");
        self.write(&source, PYTHON_BOOTSTRAP).map_err(|e| none(e.to_string()))?;
        // Of each interpreter its own: what one compiles, another may not read.
        let folder = self.folder.join(format!("python-{:x}", hash(program)));
        make_folder(&folder).map_err(|e| none(e.to_string()))?;
        let mut command = Command::new(program);
        command.args(["-I", "-c", ASK_PYTHON]).arg(&source).arg(folder.join("bootstrap.pyc"));
        let told = ask(command).await.map_err(none)?;
        let version = version(&told);
        if version < OLDEST_PYTHON {
            return Err(none(format!("it is {}, and 3.8 is the oldest that will do", told["version"])));
        }
        readable(&folder.join("bootstrap.pyc")).map_err(|e| none(e.to_string()))?;
        interpreter("python", &told, folder, "bootstrap.pyc")
            .ok_or_else(|| none("it does not tell where it is".to_owned()))
    }

    async fn ask_node(&self, program: &Path) -> Result<Interpreter, String> {
        let none = |why: String| {
            format!("Node functions need Node, and {} is none: {why}. Name one by MILLPOND_NODE", program.display())
        };
        let folder = self.folder.join("node");
        make_folder(&folder).map_err(|e| none(e.to_string()))?;
        self.write(&folder.join("bootstrap.mjs"), NODE_BOOTSTRAP).map_err(|e| none(e.to_string()))?;
        let mut command = Command::new(program);
        command.args(["-e", ASK_NODE]);
        let told = ask(command).await.map_err(none)?;
        if version(&told).0 < OLDEST_NODE {
            return Err(none(format!("it is {}, and 16 is the oldest that will do", told["version"])));
        }
        interpreter("node", &told, folder, "bootstrap.mjs")
            .ok_or_else(|| none("it does not tell where it is".to_owned()))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what can be written anew at any time is no part of the disk that tests bend"
    )]
    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        make_folder(&self.folder)?;
        std::fs::write(path, text)?;
        readable(path)
    }
}

/// FNV-1a, so that the name of a folder follows from the path of a program.
fn hash(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

/// Inside, a process is nobody in particular.
fn readable(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

/// Runs an interpreter of the operator's, unconfined, and reads what it tells. It gets nothing of the server's environment but what finds programs.
async fn ask(mut command: Command) -> Result<Value, String> {
    let kept = ["PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYENV_ROOT", "PYENV_VERSION"];
    command.env_clear().envs(kept.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value))));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROBE_TIME, command.output())
        .await
        .map_err(|_| "it does not answer".to_owned())?
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or("it failed without a word").to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|_| "it does not answer as one".to_owned())
}

fn version(told: &Value) -> (u32, u32) {
    let mut parts = told["version"].as_str().unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn interpreter(language: &str, told: &Value, folder: PathBuf, bootstrap: &str) -> Option<Interpreter> {
    let program = PathBuf::from(told["program"].as_str().filter(|path| !path.is_empty())?);
    let mut needs: Vec<PathBuf> =
        told["needs"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from).collect();
    needs.push(program.clone());
    needs.retain(|path| path.is_absolute() && path != Path::new("/"));
    needs.sort();
    needs.dedup();
    // What lies in a folder that is seen needs no bind of its own.
    let seen =
        |path: &PathBuf| path.starts_with("/usr") || needs.iter().any(|other| other != path && path.starts_with(other));
    let mut binds: Vec<Bind> = needs
        .iter()
        .filter(|path| !seen(path))
        .map(|path| Bind { source: path.clone(), target: path.clone() })
        .collect();
    binds.push(Bind { source: folder.clone(), target: PathBuf::from(INSIDE) });
    let version = format!("{language}{}", told["version"].as_str()?);
    Some(Interpreter { version, program, bootstrap: bootstrap.to_owned(), folder, binds })
}
