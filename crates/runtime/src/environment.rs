//! The environment that a worker finds ("Defined runtime environment variables" in Lambda's developer guide).

use std::path::Path;

use crate::interpreters::Interpreter;
use crate::pool::WorkersConfig;
use crate::program::{Language, Program, WorkerCredentials};

/// Where the SDK is seen inside.
pub(crate) const BOTO3: &str = "/var/lang/boto3";

/// What belongs to one worker.
pub(crate) struct Of<'a> {
    pub(crate) program: &'a Program,
    pub(crate) interpreter: Option<&'a Interpreter>,
    pub(crate) credentials: Option<&'a WorkerCredentials>,
    pub(crate) confined: bool,
    pub(crate) stream: &'a str,
    /// Where its Runtime API is.
    pub(crate) api: &'a str,
    /// Where AWS's APIs are.
    pub(crate) endpoint: &'a str,
}

/// The whole environment. What users set goes over what is customary, and what AWS reserves over that.
pub(crate) fn of(worker: &Of<'_>, config: &WorkersConfig) -> Vec<(String, String)> {
    let mut all = customary(worker, config);
    for (name, value) in &worker.program.env {
        set(&mut all, name, value.clone());
    }
    for (name, value) in reserved(worker, config) {
        set(&mut all, name, value);
    }
    all
}

fn set(all: &mut Vec<(String, String)>, name: &str, value: String) {
    match all.iter_mut().find(|(there, _)| there == name) {
        Some((_, there)) => *there = value,
        None => all.push((name.to_owned(), value)),
    }
}

/// The folders that make up `/opt`, or stand for it, the topmost first.
fn layers(worker: &Of<'_>) -> Vec<String> {
    if worker.confined {
        return vec!["/opt".to_owned()];
    }
    worker.program.layers.iter().rev().map(|path| path.display().to_string()).collect()
}

fn task_root(worker: &Of<'_>) -> String {
    if worker.confined { "/var/task".to_owned() } else { worker.program.code.display().to_string() }
}

fn customary(worker: &Of<'_>, config: &WorkersConfig) -> Vec<(String, String)> {
    let layers = layers(worker);
    let below = |part: &str| layers.iter().map(|layer| format!("{layer}/{part}")).collect::<Vec<_>>();
    let root = task_root(worker);
    let own = worker.interpreter.and_then(|interpreter| interpreter.program.parent()).map(Path::display);
    let mut path: Vec<String> = own.map(|folder| folder.to_string()).into_iter().collect();
    path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(str::to_owned));
    path.extend(below("bin"));
    let libraries = [vec![root.clone(), format!("{root}/lib")], below("lib")].concat();
    let mut all = vec![
        ("PATH", path.join(":")),
        ("LD_LIBRARY_PATH", libraries.join(":")),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("AWS_ENDPOINT_URL", worker.endpoint.to_owned()),
        // The instance metadata service is not here, and asking for it takes seconds.
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ];
    match worker.program.language {
        Language::Python { .. } => {
            match &config.boto3 {
                Some(folder) => {
                    let folder = if worker.confined { BOTO3.to_owned() } else { folder.display().to_string() };
                    all.push(("MILLPOND_BOTO3", folder));
                }
                None => all.push(("MILLPOND_NO_BOTO3", NO_BOTO3.to_owned())),
            }
            if !worker.confined {
                all.push(("MILLPOND_LAYERS", layers.join(":")));
            }
        }
        Language::Node { .. } => {
            let mut modules = below("nodejs/node_modules");
            modules.push("/var/runtime/node_modules".to_owned());
            all.push(("NODE_PATH", modules.join(":")));
        }
        Language::Provided => {}
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a function is told that imports the SDK and has none.
const NO_BOTO3: &str = "this server has no boto3 for functions: start it by `make run`, which sets one up beside the data dir where Python is \
    there, name a folder by MILLPOND_BOTO3, or pack boto3 into the function or a layer";

fn reserved(worker: &Of<'_>, config: &WorkersConfig) -> Vec<(&'static str, String)> {
    let program = worker.program;
    let runtime = match &program.language {
        Language::Python { wanted } | Language::Node { wanted } => Some(format!("AWS_Lambda_{wanted}")),
        Language::Provided => None,
    };
    let mut all = vec![
        ("AWS_REGION", config.region.clone()),
        ("AWS_DEFAULT_REGION", config.region.clone()),
        ("AWS_LAMBDA_FUNCTION_NAME", program.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", program.version.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", program.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", program.log_group.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", worker.stream.to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", worker.api.to_owned()),
        ("LAMBDA_TASK_ROOT", task_root(worker)),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("_HANDLER", program.handler.clone()),
    ];
    all.extend(runtime.map(|name| ("AWS_EXECUTION_ENV", name)));
    if let Some(credentials) = worker.credentials {
        all.extend([
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret.clone()),
            ("AWS_SESSION_TOKEN", credentials.token.clone()),
        ]);
    }
    all
}
