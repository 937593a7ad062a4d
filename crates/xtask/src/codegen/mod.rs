//! `cargo xtask codegen`: from service models to Rust.
//!
//! Reading order: `model` (what a model is), `config` (what we serve of it), `trim`, `api` (what emitters ask),
//! `types`, `codecs`, `operations`, `routes` (the emitters), `files` (what becomes of their text).

mod api;
mod codecs;
mod config;
mod files;
mod model;
mod names;
mod operations;
mod routes;
mod trim;
mod types;
mod vectors;

use std::path::{Path, PathBuf};
use std::process::Command;

use api::Api;
use config::Service;
use files::Files;
use model::Model;

/// Runs the task with its arguments.
pub fn run(args: &[&str]) -> Result<(), String> {
    let root = crate::root()?;
    let services = config::parse(&read(&root.join("models/services.toml"))?)?;
    let check = match args {
        [] => false,
        ["--check"] => true,
        ["--botocore", folder] => {
            for (name, service) in &services {
                let trimmed = trim::trim(load_botocore(Path::new(folder), &service.source)?, service)?;
                let text = serde_json::to_string_pretty(&trimmed).map_err(|e| e.to_string())? + "\n";
                let path = root.join(format!("models/{name}.json"));
                std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            false
        }
        _ => return Err("usage: cargo xtask codegen [--check | --botocore DIR]".to_owned()),
    };
    let mut stale = Vec::new();
    for (folder, files) in generate_all(&root, &services)? {
        if check {
            stale.extend(files::differences(&folder, &files));
        } else {
            files::write(&folder, &files)?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = stale.iter().map(|path| path.display().to_string()).collect();
    Err(format!("generated code is stale, run `cargo xtask codegen`:\n{}", list.join("\n")))
}

/// Every generated folder with its files.
fn generate_all(
    root: &Path,
    services: &std::collections::BTreeMap<String, Service>,
) -> Result<Vec<(PathBuf, Files)>, String> {
    let mut out = Vec::new();
    for (name, service) in services {
        let origin = format!("models/{name}.json");
        let model: Model = serde_json::from_str(&read(&root.join(&origin))?).map_err(|e| format!("{origin}: {e}"))?;
        let files = generate(&model, service, &origin)?;
        out.push((root.join(format!("crates/{}/src/generated", service.krate)), files));
    }
    let tests = root.join("crates/wire/tests");
    for protocol in vectors::PROTOCOLS {
        let (input, output) = (format!("vectors/input/{protocol}.json"), format!("vectors/output/{protocol}.json"));
        let model = vectors::model(&read(&tests.join(&input))?, &read(&tests.join(&output))?)?;
        let files = generate(&model, &vectors::service(), &format!("{input} and {output}"))?;
        out.push((tests.join(format!("generated/{}", protocol.replace('-', "_"))), files));
    }
    Ok(out)
}

fn generate(model: &Model, service: &Service, origin: &str) -> Result<Files, String> {
    for (name, shape) in &model.shapes {
        if shape.eventstream {
            return Err(format!("{origin}: event streams ({name}) are not generated"));
        }
    }
    files::generate(&Api::new(model, service)?, origin)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A model of botocore: plain in its source archive, compressed when installed.
fn load_botocore(folder: &Path, source: &str) -> Result<Model, String> {
    let data = if folder.join("data").is_dir() { folder.join("data") } else { folder.to_owned() };
    let path = data.join(source).join("service-2.json");
    let text = if path.is_file() {
        read(&path)?
    } else {
        let packed = path.with_extension("json.gz");
        let output = Command::new("gzip").arg("-dc").arg(&packed).output().map_err(|e| format!("gzip: {e}"))?;
        if !output.status.success() {
            return Err(format!("{} cannot be read", packed.display()));
        }
        String::from_utf8(output.stdout).map_err(|e| e.to_string())?
    };
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_code_is_what_the_models_make() {
        super::run(&["--check"]).unwrap();
    }
}
