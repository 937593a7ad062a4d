//! How queries are run, as the operator set it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use millpond_query::PoolSettings;

/// The first argument of a process that runs queries.
pub const ARGUMENT: &str = "__query-worker";

/// What the operator said of queries; see the flags of the same names.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuerySettings {
    /// Queries at a time.
    pub workers: Option<NonZeroUsize>,
    /// MiB of memory of all of them together.
    pub memory: Option<u64>,
}

const WORKERS: usize = 2;
const MIB: u64 = 1024 * 1024;
/// Of the machine's memory, queries have one part in so many.
const MEMORY_PART: u64 = 4;
/// A machine that does not say what it has.
const UNKNOWN_MEMORY: u64 = 2048 * MIB;
/// The engine counts about half of what its process holds.
const COUNTED_PART: u64 = 2;
/// The least with which the engine plans and reads at all.
const LEAST_MEMORY: u64 = 32 * MIB;
/// A query may spill its memory so many times.
const SPILLED: u64 = 64;

impl QuerySettings {
    /// How queries are run for a data dir.
    pub fn pool(self, data_dir: &Path) -> PoolSettings {
        let workers = self.workers.map_or(WORKERS, usize::from);
        let all = self.memory.map_or_else(|| machine_memory() / MEMORY_PART, |mib| mib.saturating_mul(MIB));
        let each = all / u64::try_from(workers).unwrap_or(1) / COUNTED_PART;
        let memory = each.max(LEAST_MEMORY);
        PoolSettings {
            // Also when another binary has taken this one's place since.
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec![ARGUMENT.into()],
            workers,
            memory,
            spill: memory.saturating_mul(SPILLED),
            threads: available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            spill_dir: data_dir.join("tmp").join("queries"),
        }
    }
}

/// Bytes that this process and its children may have: the machine's, or its control group's.
fn machine_memory() -> u64 {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let total = total.map_or(UNKNOWN_MEMORY, |kib: u64| kib * 1024);
    group.map_or(total, |group| group.min(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_share_what_they_have() {
        let settings = QuerySettings { workers: NonZeroUsize::new(4), memory: Some(1024) };
        let pool = settings.pool(Path::new("lake"));
        assert_eq!((pool.workers, pool.memory, pool.spill), (4, 128 * MIB, 8192 * MIB));
        assert_eq!(pool.spill_dir, Path::new("lake/tmp/queries"));
        let pool = QuerySettings { workers: None, memory: Some(1) }.pool(Path::new("lake"));
        assert_eq!((pool.workers, pool.memory), (WORKERS, LEAST_MEMORY));
        assert!(machine_memory() > LEAST_MEMORY);
    }
}
