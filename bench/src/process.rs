//! CPU time and memory of processes, from /proc (proc(5)).

use std::time::Duration;

/// The kernel's unit of CPU time in /proc/PID/stat: USER_HZ, 100 on every Linux that runs Rust.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process with all its threads, those that ended included. Steps of 10 ms.
pub fn cpu(pid: u32) -> Option<Duration> {
    parse_cpu(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// User and system time of this process.
pub fn own_cpu() -> Duration {
    cpu(std::process::id()).unwrap_or_default()
}

/// Resident memory of a process in bytes: now, and the most it ever was.
pub fn resident(pid: u32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

fn parse_cpu(stat: &str) -> Option<Duration> {
    // The name of the program stands in parentheses and may hold anything; fields are counted after it.
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_after_an_odd_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 9 0 100 1 1";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(4)));
        assert_eq!(parse_cpu("7 (a"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let (now, most) = resident(std::process::id()).expect("our own /proc");
        assert!(now > 0 && most >= now / 2);
    }
}
