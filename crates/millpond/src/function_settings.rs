//! How functions are run, as the operator set it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use millpond_runtime::WorkersConfig;

/// What the operator said of functions; see the flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct FunctionSettings {
    /// Pythons, each for a runtime that it names (`python3.12=/usr/bin/python3.12`), or for all others.
    pub python: Vec<String>,
    /// The Node.
    pub node: Option<PathBuf>,
    /// A folder with boto3.
    pub boto3: Option<PathBuf>,
    /// Workers at a time.
    pub max_workers: Option<usize>,
    /// How long a worker may be idle.
    pub idle: Option<Duration>,
    /// Whether functions run without a sandbox where there can be none.
    pub allow_unsandboxed: bool,
    /// Whether functions have the machine's network.
    pub open_network: bool,
}

/// The Python of all runtimes for which nothing else was said.
const PYTHON: &str = "python3";
const NODE: &str = "node";

/// As long as AWS keeps idle ones, as far as one can see.
const IDLE: Duration = Duration::from_secs(600);

/// Workers for each processor: most wait for something most of the time.
const WORKERS_A_PROCESSOR: usize = 8;
/// Fewer would make functions that invoke others wait for themselves.
const LEAST_WORKERS: usize = 32;

/// What is behind the name of the data dir in the name of the folder with boto3, which `make run` makes beside it.
const BOTO3_SUFFIX: &str = "-boto3";

/// Written when the folder is complete.
const COMPLETE: &str = ".complete";

impl FunctionSettings {
    /// What is wrong with them, if something is.
    pub fn check(&self) -> Result<(), String> {
        for entry in &self.python {
            if let Some((runtime, path)) = entry.split_once('=')
                && (!runtime.starts_with("python3.") || path.is_empty())
            {
                return Err(format!(
                    "{entry:?} is neither a path nor a runtime and a path, such as python3.12=/usr/bin/python3.12"
                ));
            }
        }
        Ok(())
    }

    /// How workers are run for a data dir. `stop_time` is what invocations under way have when the server stops.
    pub fn workers(&self, data_dir: &Path, region: &str, stop_time: Duration) -> WorkersConfig {
        let mut python = PathBuf::from(PYTHON);
        let mut python_for = HashMap::new();
        for entry in &self.python {
            match entry.split_once('=') {
                Some((runtime, path)) => drop(python_for.insert(runtime.to_owned(), PathBuf::from(path))),
                None => python = PathBuf::from(entry),
            }
        }
        let processors = available_parallelism().map_or(1, usize::from);
        WorkersConfig {
            python,
            python_for,
            node: self.node.clone().unwrap_or_else(|| PathBuf::from(NODE)),
            boto3: self.boto3.clone().or_else(|| boto3_beside(data_dir)),
            // Absolute, since workers stand in folders of their own.
            folder: absolute(data_dir).join("functions").join("runtime"),
            max_workers: self.max_workers.unwrap_or((processors * WORKERS_A_PROCESSOR).max(LEAST_WORKERS)),
            idle: self.idle.unwrap_or(IDLE),
            stop_time,
            // Interpreters may lie in a folder above it, of which functions see all else.
            hidden: vec![absolute(data_dir)],
            allow_unsandboxed: self.allow_unsandboxed,
            endpoint_url: String::new(),
            region: region.to_owned(),
            helper: None,
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The boto3 that `make run` set up, when that was done to the end.
fn boto3_beside(data_dir: &Path) -> Option<PathBuf> {
    let data_dir = absolute(data_dir);
    let mut name = data_dir.file_name()?.to_owned();
    name.push(BOTO3_SUFFIX);
    let folder = data_dir.with_file_name(name);
    folder.join(COMPLETE).exists().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_are_for_a_runtime_or_for_all_others() {
        let python = ["/opt/python", "python3.12=/usr/bin/python3.12"].map(str::to_owned).to_vec();
        let settings = FunctionSettings { python, ..FunctionSettings::default() };
        settings.check().unwrap();
        let config = settings.workers(Path::new("data"), "us-east-1", Duration::ZERO);
        assert_eq!(config.python, Path::new("/opt/python"));
        assert_eq!(config.python_for["python3.12"], Path::new("/usr/bin/python3.12"));
        assert!(config.folder.is_absolute());
        assert!(config.hidden.iter().all(|path| path.is_absolute() && config.folder.starts_with(path)));
        for bad in ["python3.12=", "nodejs20.x=/usr/bin/node"] {
            let settings = FunctionSettings { python: vec![bad.to_owned()], ..FunctionSettings::default() };
            assert!(settings.check().unwrap_err().contains(bad));
        }
    }

    #[test]
    fn boto3_is_found_beside_the_data_dir_when_it_is_complete() {
        let parent = tempfile::tempdir().unwrap();
        let (data, boto3) = (parent.path().join("data"), parent.path().join("data-boto3"));
        std::fs::create_dir(&boto3).unwrap();
        assert_eq!(boto3_beside(&data), None);
        std::fs::create_dir(boto3.join(COMPLETE)).unwrap();
        assert_eq!(boto3_beside(&data), Some(boto3));
    }
}
