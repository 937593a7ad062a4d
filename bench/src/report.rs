//! The figures: medians of runs, as a Markdown table and as JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::BenchError;
use crate::machine::{self, Limits};
use crate::process;
use crate::stats::median;
use crate::target::Target;
use crate::workload::{Run, Workload};

/// All figures of a run of `compare`.
#[derive(Serialize)]
pub struct Report {
    machine_before: Limits,
    machine_after: Limits,
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Server {
    name: String,
    resident_mib: Option<f64>,
    peak_resident_mib: Option<f64>,
    figures: Vec<Figures>,
}

/// Medians over the runs; `max_ms` is the longest of all runs.
#[derive(Serialize)]
struct Figures {
    workload: &'static str,
    runs: usize,
    operations_per_second: f64,
    mib_per_second: Option<f64>,
    server_cpu_us: Option<f64>,
    own_cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Report {
    /// Sums up `runs[server][workload]`.
    pub fn new(
        targets: &[Target],
        workloads: &[Workload],
        runs: &[Vec<Vec<Run>>],
        before: Limits,
        after: Limits,
    ) -> Self {
        let servers = targets
            .iter()
            .zip(runs)
            .map(|(target, runs)| {
                let memory = target.pid.and_then(process::resident);
                Server {
                    name: target.name.clone(),
                    resident_mib: memory.map(|(now, _)| mib(now)),
                    peak_resident_mib: memory.map(|(_, most)| mib(most)),
                    figures: workloads.iter().zip(runs).map(|(w, runs)| Figures::new(*w, runs)).collect(),
                }
            })
            .collect();
        Self { machine_before: before, machine_after: after, servers }
    }

    /// The report for people.
    pub fn markdown(&self) -> String {
        let mut out = String::from("\nBefore the runs:\n\n");
        out.push_str(&machine::table(&self.machine_before));
        out.push_str("\nAfter the runs:\n\n");
        out.push_str(&machine::table(&self.machine_after));
        out.push_str("\n| workload | server | rate | MiB/s | server CPU each | p50 | p99 | max | own CPU each |\n");
        out.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
        let workloads = self.servers.first().map_or(0, |server| server.figures.len());
        for index in 0..workloads {
            for server in &self.servers {
                self.figures_row(&mut out, server, &server.figures[index]);
            }
        }
        if let [ours, other, ..] = self.servers.as_slice() {
            let _ =
                writeln!(out, "\n| workload | rate of {0} / {1} | server CPU of {0} / {1} |", ours.name, other.name);
            out.push_str("| --- | --- | --- |\n");
            for (a, b) in ours.figures.iter().zip(&other.figures) {
                let cpu = a.server_cpu_us.zip(b.server_cpu_us).map_or("-".into(), |(a, b)| format!("{:.2}", a / b));
                let rate = a.operations_per_second / b.operations_per_second;
                let _ = writeln!(out, "| {} | {rate:.2} | {cpu} |", a.workload);
            }
        }
        out.push_str("\n| server | resident memory at the end | at its most |\n| --- | --- | --- |\n");
        for server in &self.servers {
            let shown = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.0} MiB"));
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                server.name,
                shown(server.resident_mib),
                shown(server.peak_resident_mib)
            );
        }
        out
    }

    fn figures_row(&self, out: &mut String, server: &Server, f: &Figures) {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {:.2} ms | {:.2} ms | {:.2} ms | {} |",
            f.workload,
            server.name,
            rate(f.operations_per_second),
            f.mib_per_second.map_or("-".into(), |v| format!("{v:.0}")),
            f.server_cpu_us.map_or("-".into(), micros),
            f.p50_ms,
            f.p99_ms,
            f.max_ms,
            micros(f.own_cpu_us),
        );
    }
}

impl Figures {
    fn new(workload: Workload, runs: &[Run]) -> Self {
        let per_second = |run: &Run| run.operations as f64 / run.elapsed.as_secs_f64();
        let each = |cpu: Duration, run: &Run| cpu.as_secs_f64() * 1e6 / run.operations.max(1) as f64;
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let bytes = workload.bytes();
        let cpus: Vec<f64> = runs.iter().filter_map(|run| Some(each(run.server_cpu?, run))).collect();
        Self {
            workload: workload.name(),
            runs: runs.len(),
            operations_per_second: median(runs.iter().map(per_second)),
            mib_per_second: (bytes > 0).then(|| median(runs.iter().map(|run| per_second(run) * mib(bytes)))),
            server_cpu_us: (!cpus.is_empty()).then(|| median(cpus)),
            own_cpu_us: median(runs.iter().map(|run| each(run.own_cpu, run))),
            p50_ms: median(runs.iter().map(|run| ms(run.p50))),
            p99_ms: median(runs.iter().map(|run| ms(run.p99))),
            max_ms: runs.iter().map(|run| ms(run.max)).fold(0.0, f64::max),
        }
    }
}

/// One run on one line, for those who watch.
pub fn line(run: &Run) -> String {
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / run.operations.max(1) as f64;
    format!(
        "{}, server {}, own {}, p99 {:.2} ms, max {:.2} ms, resident {}",
        rate(run.operations as f64 / run.elapsed.as_secs_f64()),
        run.server_cpu.map_or("-".into(), |cpu| micros(each(cpu))),
        micros(each(run.own_cpu)),
        run.p99.as_secs_f64() * 1e3,
        run.max.as_secs_f64() * 1e3,
        run.resident.map_or("-".into(), |bytes| format!("{:.0} MiB", mib(bytes))),
    )
}

/// Writes a file of figures.
pub fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    let wrong = |source| BenchError::File { what: path.display().to_string(), source };
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).open(path).map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)
}

fn rate(per_second: f64) -> String {
    if per_second < 100.0 { format!("{per_second:.1}/s") } else { format!("{per_second:.0}/s") }
}

fn micros(us: f64) -> String {
    if us < 10_000.0 { format!("{us:.0} us") } else { format!("{:.0} ms", us / 1000.0) }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
