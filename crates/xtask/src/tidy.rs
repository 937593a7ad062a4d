//! House rules as tests: `cargo xtask tidy`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file has one subject; past this many lines it has two.
const MAX_FILE_LINES: usize = 800;
/// A function fits on a screen; tables and builders get some slack.
const MAX_FUNCTION_LINES: usize = 75;

/// Which of our crates a crate may depend on. Arrows point down only; what is not listed may not be used.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("digest", &[]),
    ("io", &["types"]),
    ("meta", &["io", "types"]),
    ("blob", &["io", "types"]),
    ("lake", &["types", "io", "meta", "blob", "digest", "seal"]),
    ("auth", &["types", "digest"]),
    ("wire", &["types"]),
    ("api-s3", &["wire", "types"]),
    ("api-sts", &["wire", "types"]),
    ("api-iam", &["wire", "types"]),
    ("api-kms", &["wire", "types"]),
    ("api-cloudtrail", &["wire", "types"]),
    ("api-s3control", &["wire", "types"]),
    ("api-sqs", &["wire", "types"]),
    ("api-sqs-query", &["wire", "types"]),
    ("api-sns", &["wire", "types"]),
    ("api-events", &["wire", "types"]),
    ("api-scheduler", &["wire", "types"]),
    ("api-logs", &["wire", "types"]),
    ("api-dynamodb", &["wire", "types"]),
    ("api-dynamodbstreams", &["wire", "types"]),
    ("api-lambda", &["wire", "types"]),
    ("api-glue", &["wire", "types"]),
    ("api-athena", &["wire", "types"]),
    ("pattern", &[]),
    ("item", &[]),
    ("hive", &[]),
    ("crawl", &["hive"]),
    ("sandbox", &[]),
    ("runtime", &["types", "io", "sandbox"]),
    ("query", &[]),
    ("ddl", &["hive", "kernel"]),
    ("sql", &["query", "hive"]),
    ("outbound", &["types"]),
    ("schedule", &["types"]),
    ("policy", &["types"]),
    ("seal", &["types", "io"]),
    ("kernel", &["types", "io", "meta", "policy", "seal", "wire"]),
    (
        "svc-s3",
        &[
            "types",
            "digest",
            "kernel",
            "lake",
            "policy",
            "seal",
            "wire",
            "api-s3",
            "api-s3control",
            "io",
            "meta",
            "blob",
        ],
    ),
    ("svc-iam", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-iam", "api-sts"]),
    ("svc-kms", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-kms"]),
    ("svc-cloudtrail", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-cloudtrail"]),
    ("svc-sqs", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-sqs", "api-sqs-query"]),
    ("svc-sns", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-sns", "pattern", "outbound"]),
    (
        "svc-events",
        &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-events", "pattern", "schedule", "outbound"],
    ),
    ("svc-scheduler", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-scheduler", "schedule"]),
    ("svc-logs", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-logs", "pattern"]),
    (
        "svc-dynamodb",
        &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-dynamodb", "api-dynamodbstreams", "item"],
    ),
    ("svc-lambda", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-lambda", "runtime", "pattern"]),
    (
        "svc-glue",
        &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-glue", "hive", "crawl", "query", "schedule"],
    ),
    ("svc-athena", &["types", "io", "kernel", "policy", "seal", "wire", "meta", "api-athena", "query", "hive", "ddl"]),
    ("gateway", &["types", "io", "kernel", "auth", "wire", "digest"]),
    ("testkit", &["types", "io", "meta", "blob", "lake", "digest", "policy", "seal"]),
];

/// Services whose operations another's crate carries out: the model's name, and the crate's.
const TOGETHER: &[(&str, &str)] =
    &[("sts", "iam"), ("s3control", "s3"), ("sqs-query", "sqs"), ("dynamodbstreams", "dynamodb")];

/// Crates that may depend on everything.
const TOP: &[&str] = &["millpond", "xtask"];

/// Checks all rules and prints what breaks them.
pub fn run() -> Result<(), String> {
    let found = check(&crate::root()?);
    if found.is_empty() {
        println!("tidy: all house rules hold");
        return Ok(());
    }
    Err(format!("{}\ntidy: {} places break a house rule", found.join("\n"), found.len()))
}

/// Checks all rules; returns what breaks them, one line each.
fn check(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for manifest in manifests(root) {
        dependency_direction(&manifest, &mut found);
    }
    for path in sources(root) {
        let Ok(text) = fs::read_to_string(&path) else {
            found.push(format!("{}: cannot be read", path.display()));
            continue;
        };
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if text.lines().take(5).any(|line| line.contains("@generated")) {
            continue;
        }
        length(&shown, &text, &mut found);
        panics(&shown, &text, &mut found);
    }
    authorization_rows(root, &mut found);
    found
}

fn manifests(root: &Path) -> Vec<PathBuf> {
    let Ok(crates) = fs::read_dir(root.join("crates")) else { return Vec::new() };
    let mut paths: Vec<_> =
        crates.flatten().map(|entry| entry.path().join("Cargo.toml")).filter(|p| p.exists()).collect();
    paths.sort();
    paths
}

fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![root.join("crates"), root.join("bench")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != "generated" {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn dependency_direction(manifest: &Path, found: &mut Vec<String>) {
    let name =
        manifest.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if TOP.contains(&name.as_str()) {
        return;
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        found.push(format!("crates/{name}: stands in no layer; add it to LAYERS in crates/xtask/src/tidy.rs"));
        return;
    };
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let normal = text.split("[dev-dependencies]").next().unwrap_or_default();
    for line in normal.lines() {
        let Some(used) = line.strip_prefix("millpond-") else { continue };
        let used = used.split(['.', ' ', '=']).next().unwrap_or_default();
        if !allowed.contains(&used) {
            found.push(format!(
                "crates/{name} depends on {used}: arrows point down only (LAYERS in crates/xtask/src/tidy.rs)"
            ));
        }
    }
}

fn length(shown: &str, text: &str, found: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > MAX_FILE_LINES {
        found.push(format!("{shown}: {} lines; a file has one subject and at most {MAX_FILE_LINES}", lines.len()));
    }
    for (start, line) in lines.iter().enumerate() {
        // Without a body: what a trait asks for.
        let Some(name) = function_name(line).filter(|_| !line.ends_with(';')) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = lines[start..].iter().position(|l| *l == format!("{indent}}}"));
        let exempt = shown.contains("/tests/") || is_test(&lines, start);
        let long = end.filter(|length| *length > MAX_FUNCTION_LINES && !exempt);
        if let Some(length) = long {
            found.push(format!("{shown}:{}: fn {name} has {length} lines; at most {MAX_FUNCTION_LINES}", start + 1));
        }
    }
}

/// The name of the function that begins on a line of formatted source.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start().split(' ').skip_while(|word| {
        matches!(*word, "pub" | "async" | "const" | "unsafe" | "extern") || word.starts_with("pub(")
    });
    let name = (words.next() == Some("fn")).then(|| words.next()).flatten()?;
    name.split(['(', '<']).next()
}

fn is_test(lines: &[&str], line: usize) -> bool {
    lines[..line].iter().any(|l| l.trim() == "#[cfg(test)]")
}

fn panics(shown: &str, text: &str, found: &mut Vec<String>) {
    let exempt =
        ["/tests/", "/tests.rs", "/testkit/", "/xtask/", "/testing", "/sim", "bench/", "/examples/", "/benches/"];
    if exempt.iter().any(|part| shown.contains(part)) {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            return;
        }
        let code = line.split("//").next().unwrap_or_default();
        if [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("].iter().any(|bad| code.contains(bad)) {
            found.push(format!("{shown}:{}: may panic: {}", number + 1, line.trim()));
        }
    }
}

/// Every served operation has a row in its service's authorization table.
fn authorization_rows(root: &Path, found: &mut Vec<String>) {
    for (service, operations) in served_operations(root) {
        let service = TOGETHER.iter().find(|(model, _)| *model == service).map_or(service.as_str(), |(_, name)| name);
        let tests = root.join(format!("crates/svc-{service}/tests"));
        let mut text = fs::read_to_string(tests.join("authorization.rs")).unwrap_or_default();
        // A long table is parted by families of operations.
        for part in fs::read_dir(tests.join("authorization")).into_iter().flatten().flatten() {
            text.push_str(&fs::read_to_string(part.path()).unwrap_or_default());
        }
        for operation in operations {
            if !text.contains(&format!("\"{operation}\"")) {
                found.push(format!("crates/svc-{service}/tests/authorization.rs: no row for {operation}"));
            }
        }
    }
}

/// The operations whose codecs are generated: the committed models list them under `operations`.
fn served_operations(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut services = BTreeMap::new();
    for entry in fs::read_dir(root.join("models")).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(service) = path.file_stem().map(|s| s.to_string_lossy().into_owned()) else { continue };
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let model: serde_json::Value =
            fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let names = model["operations"].as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
        services.insert(service, names);
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_functions() {
        for (line, name) in [
            ("fn a() {", Some("a")),
            ("    pub async fn b<T>(", Some("b")),
            ("pub(crate) const fn c() -> u8 {", Some("c")),
            ("let fn_ = 1;", None),
            ("// fn d()", None),
        ] {
            assert_eq!(function_name(line), name, "{line}");
        }
    }

    #[test]
    fn finds_what_may_panic_outside_tests_alone() {
        let mut found = Vec::new();
        panics(
            "crates/x/src/a.rs",
            "fn a() {\n    b.unwrap();\n}\n// c.unwrap()\n#[cfg(test)]\nmod t { d.unwrap(); }\n",
            &mut found,
        );
        assert_eq!(found, ["crates/x/src/a.rs:2: may panic: b.unwrap();"]);
    }

    #[test]
    fn finds_long_functions() {
        let body = "    x();\n".repeat(MAX_FUNCTION_LINES + 1);
        let mut found = Vec::new();
        length("a.rs", &format!("fn long() {{\n{body}}}\nfn short() {{\n}}\n"), &mut found);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("fn long"));
    }
}
