//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Begins to log. `filter` is a level or a list of `target=level`.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|why| format!("--log-level {filter:?}: {why}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|why| why.to_string())
}
