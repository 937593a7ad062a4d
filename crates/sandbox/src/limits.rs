//! Resource limits (setrlimit(2)).

use nix::sys::resource::{Resource, setrlimit};

use crate::spec::Limits;

/// Sets them for this process and what it starts.
pub(crate) fn set(limits: &Limits, confined: bool) -> Result<(), String> {
    let mut all = vec![
        ("files", Resource::RLIMIT_NOFILE, limits.files),
        ("file size", Resource::RLIMIT_FSIZE, limits.file_bytes),
        ("core", Resource::RLIMIT_CORE, 0),
    ];
    if confined {
        // Outside a user namespace of its own it would count all that the user runs.
        all.push(("processes", Resource::RLIMIT_NPROC, limits.processes));
    }
    if let Some(bytes) = limits.data_bytes {
        all.push(("data", Resource::RLIMIT_DATA, bytes));
    }
    for (name, resource, wanted) in all {
        let (_, hard) = nix::sys::resource::getrlimit(resource).map_err(|e| format!("the limit on {name}: {e}"))?;
        let wanted = wanted.min(hard);
        setrlimit(resource, wanted, wanted).map_err(|e| format!("the limit on {name} cannot be set: {e}"))?;
    }
    Ok(())
}
