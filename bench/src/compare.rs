//! All workloads against all servers, in turns, so that what the machine does meanwhile hits them alike.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::machine;
use crate::report::{self, Report};
use crate::workload::{Bench, Run, Workload};
use crate::{BenchError, Servers};

/// Options of `compare`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    servers: Servers,
    /// Runs of every workload on every server; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of a run of the small workloads.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Only these workloads: put-4k, get-4k, list-10000, put-64m-1, put-64m-4, put-64m-1-signed, get-64m-1, get-64m-4.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Directory on the disk of the servers, where the machine's own limits are measured.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
    /// Write the figures to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Measures, and prints the report as Markdown.
pub fn run(options: &Options) -> Result<(), BenchError> {
    let targets = options.servers.load()?;
    let chosen = chosen(&options.workloads)?;
    eprintln!("the machine's own limits");
    let before = machine::measure(&options.disk)?;
    let mut benches = Vec::new();
    for target in &targets {
        eprintln!("preparing {}", target.name);
        benches.push(Bench::prepare(target, &chosen)?);
    }
    let mut runs: Vec<Vec<Vec<Run>>> = vec![vec![Vec::new(); chosen.len()]; targets.len()];
    for round in 0..options.runs as usize {
        for (w, workload) in chosen.iter().enumerate() {
            for turn in 0..targets.len() {
                // Who is first changes from round to round.
                let t = (turn + round) % targets.len();
                let run = benches[t].run(*workload, Duration::from_secs_f64(options.seconds))?;
                eprintln!("{:>3} {:18} {:12} {}", round + 1, workload.name(), targets[t].name, report::line(&run));
                runs[t][w].push(run);
            }
        }
    }
    let after = machine::measure(&options.disk)?;
    let report = Report::new(&targets, &chosen, &runs, before, after);
    print!("{}", report.markdown());
    if let Some(path) = &options.json {
        report::write(path, &serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Workload>, BenchError> {
    if names.is_empty() {
        return Ok(Workload::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            Workload::ALL.into_iter().find(|w| w.name() == name).ok_or_else(|| BenchError::Refused {
                what: name.clone(),
                status: 0,
                body: "there is no such workload".into(),
            })
        })
        .collect()
}
