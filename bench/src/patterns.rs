//! The matcher of event patterns: events a CPU second on one core, reading their JSON included, with the answers checked against each
//! pattern asked by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use millpond_pattern::{Event, Pattern, RuleSet};
use serde::Serialize;

use crate::BenchError;
use crate::stats::median;

/// Different events of a run: more than a cache close to the core holds.
const EVENTS: usize = 4_096;
/// Events whose answers are checked: asking 100,000 patterns of one takes milliseconds.
const CHECKED: usize = 100;

/// Options of `patterns`.
#[derive(Args)]
pub struct Options {
    /// Rules of the large sets.
    #[arg(long, default_value_t = 100_000)]
    rules: usize,
    /// Only the sets with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// Runs of each set, of which the median counts.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// CPU time of a run, in milliseconds.
    #[arg(long, default_value_t = 500)]
    millis: u64,
    /// Write the figures to this file as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

/// A set of rules, and events of its kind.
struct Workload {
    name: String,
    patterns: Vec<String>,
    events: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    rules: String,
    matcher: &'static str,
    /// Mean, in bytes.
    event_bytes: usize,
    /// Median of the runs; none when it cannot answer.
    events_a_cpu_second: Option<f64>,
    slowest: f64,
    fastest: f64,
    build_ms: f64,
    /// Mean number of rules that matched an event.
    matches: f64,
    /// How the answers compare with those of each pattern by itself.
    answers: String,
}

/// Measures every set and prints a table.
pub fn run(options: &Options) -> Result<(), BenchError> {
    let mut rows = Vec::new();
    for workload in workloads(options.rules).iter().filter(|workload| workload.name.contains(&options.only)) {
        rows.extend(measure(workload, options));
    }
    println!(
        "| rules | matcher | events/CPU s | slowest - fastest run | event | rules that match | answers | built in (CPU) |"
    );
    println!("| --- | --- | ---: | --- | ---: | ---: | --- | ---: |");
    for row in &rows {
        let rate = row.events_a_cpu_second.map_or_else(|| "-".to_owned(), thousands);
        println!(
            "| {} | {} | {rate} | {} - {} | {} B | {:.2} | {} | {:.0} ms |",
            row.rules,
            row.matcher,
            thousands(row.slowest),
            thousands(row.fastest),
            row.event_bytes,
            row.matches,
            row.answers,
            row.build_ms
        );
    }
    if let Some(path) = &options.json {
        crate::report::write(path, &serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn thousands(rate: f64) -> String {
    format!("{:.0} k", rate / 1000.0)
}

/// CPU time of this thread. Of the kernel's scheduler, in nanoseconds (proc(5), Documentation/scheduler/sched-stats).
fn own_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Runs of a matcher: rates in events a CPU second, and the mean number of matches.
fn rates(workload: &Workload, options: &Options, mut count: impl FnMut(&[u8]) -> usize) -> (Vec<f64>, f64) {
    let (mut matches, mut rates) = (0, Vec::new());
    let mut once = || workload.events.iter().map(|event| count(event.as_bytes())).sum::<usize>();
    for run in 0..=options.runs {
        let (begin, clock, mut events) = (own_cpu().unwrap_or_default(), Instant::now(), 0);
        // The clock of the wall says when to look at that of the CPU.
        while clock.elapsed() < Duration::from_millis(options.millis) {
            matches = once();
            events += workload.events.len();
        }
        let cpu = own_cpu().unwrap_or_default() - begin;
        // The first one warms up.
        if run > 0 {
            rates.push(events as f64 / cpu.as_secs_f64());
        }
    }
    (rates, matches as f64 / workload.events.len() as f64)
}

fn measure(workload: &Workload, options: &Options) -> Vec<Row> {
    let parsed: Vec<Arc<Pattern>> =
        workload.patterns.iter().filter_map(|text| Pattern::parse(text).ok().map(Arc::new)).collect();
    assert_eq!(parsed.len(), workload.patterns.len(), "a pattern of the benchmark is not valid");
    let begin = own_cpu().unwrap_or_default();
    let rules = RuleSet::build((0_u32..).zip(parsed.iter().cloned()));
    let build_ms = (own_cpu().unwrap_or_default() - begin).as_secs_f64() * 1000.0;
    let expected = naive(&parsed, workload);
    let mut list = Vec::new();
    let mut answer = |event: &[u8]| {
        list.clear();
        match rules.matching_bytes(event, &mut list) {
            Ok(()) => list.clone(),
            Err(error) => panic!("an event of the benchmark is not valid: {error}"),
        }
    };
    let answers = compared(&expected, workload, |event| Some(answer(event).into_iter().map(|n| n as usize).collect()));
    let (rate, matches) = rates(workload, options, |event| {
        list.clear();
        rules.matching_bytes(event, &mut list).map_or(0, |()| list.len())
    });
    let mut rows = vec![row(workload, "millpond-pattern", &rate, build_ms, matches, answers)];
    rows.extend(beside(workload, options, &expected));
    rows
}

fn row(workload: &Workload, matcher: &'static str, rates: &[f64], build_ms: f64, matches: f64, answers: String) -> Row {
    Row {
        rules: workload.name.clone(),
        matcher,
        event_bytes: workload.events.iter().map(String::len).sum::<usize>() / workload.events.len(),
        events_a_cpu_second: (!rates.is_empty()).then(|| median(rates.iter().copied())),
        slowest: rates.iter().copied().reduce(f64::min).unwrap_or_default(),
        fastest: rates.iter().copied().reduce(f64::max).unwrap_or_default(),
        build_ms,
        matches,
        answers,
    }
}

/// The rules that match each of the first events, by asking every pattern.
fn naive(patterns: &[Arc<Pattern>], workload: &Workload) -> Vec<Vec<usize>> {
    let of = |text: &String| {
        let event = Event::parse(text.as_bytes()).ok()?;
        Some((0..patterns.len()).filter(|n| patterns[*n].matches(&event)).collect())
    };
    workload.events.iter().take(CHECKED).filter_map(of).collect()
}

fn compared(
    expected: &[Vec<usize>],
    workload: &Workload,
    mut answer: impl FnMut(&[u8]) -> Option<Vec<usize>>,
) -> String {
    let mut wrong = 0;
    for (expected, event) in expected.iter().zip(&workload.events) {
        let mut got = answer(event.as_bytes()).unwrap_or_default();
        got.sort_unstable();
        wrong += usize::from(got != *expected);
    }
    match wrong {
        0 => format!("right for {} events", expected.len()),
        wrong => format!("WRONG for {wrong} of {} events", expected.len()),
    }
}

/// The crate `quamina`, where it was built in.
#[cfg(feature = "quamina")]
fn beside(workload: &Workload, options: &Options, expected: &[Vec<usize>]) -> Vec<Row> {
    let begin = own_cpu().unwrap_or_default();
    let attempt = std::panic::catch_unwind(|| {
        let mut matcher = quamina::Quamina::new();
        for (n, pattern) in workload.patterns.iter().enumerate() {
            matcher.add_pattern(n, pattern).map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(matcher)
    });
    let build_ms = (own_cpu().unwrap_or_default() - begin).as_secs_f64() * 1000.0;
    let matcher = match attempt {
        Ok(Ok(matcher)) => matcher,
        Ok(Err(error)) => return vec![row(workload, "quamina 0.7", &[], build_ms, 0.0, format!("refuses: {error}"))],
        Err(_) => return vec![row(workload, "quamina 0.7", &[], build_ms, 0.0, "panics".to_owned())],
    };
    let answers = compared(expected, workload, |event| matcher.matches_for_event(event).ok());
    let (rate, matches) =
        rates(workload, options, |event| matcher.matches_for_event(event).map_or(0, |list| list.len()));
    vec![row(workload, "quamina 0.7", &rate, build_ms, matches, answers)]
}

#[cfg(not(feature = "quamina"))]
fn beside(_: &Workload, _: &Options, _: &[Vec<usize>]) -> Vec<Row> {
    Vec::new()
}

/// Xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators"), with a fixed seed: every run measures the same.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// Of 100 rules of one bucket each has a prefix of its own.
const BUCKETS_OF: usize = 100;

fn workloads(rules: usize) -> Vec<Workload> {
    let shape = |name: &str, count: usize, pattern: &dyn Fn(usize) -> String| {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        Workload {
            name: format!("{count} x {name}"),
            patterns: (0..count).map(pattern).collect(),
            events: (0..EVENTS).map(|_| event(&mut random, count)).collect(),
        }
    };
    let source = r#""source": ["aws.s3"], "detail-type": ["Object Created"]"#;
    let bucket = |n: usize| {
        format!(
            r#"{{{source}, "detail": {{"bucket": {{"name": ["lake-{:05}"]}}, "object": {{"key": [{{"prefix": "team-{:02}/"}}]}}}}}}"#,
            n / BUCKETS_OF,
            n % BUCKETS_OF
        )
    };
    let exact = |n: usize| format!(r#"{{{source}, "detail": {{"requester": ["{}"]}}}}"#, requester(n));
    let wildcard = |n: usize| {
        let key = match n % 3 {
            0 => format!("team-*/job-{n:06}/*"),
            1 => format!("*/job-{n:06}/part-*.parquet"),
            _ => format!("*/part-*-{n:06}.parquet"),
        };
        format!(r#"{{"source": ["aws.s3"], "detail": {{"object": {{"key": [{{"wildcard": "{key}"}}]}}}}}}"#)
    };
    vec![
        shape("source + type + bucket + prefix", rules, &bucket),
        shape("exact", rules, &exact),
        shape("exact", 1000, &exact),
        shape("wildcard", rules, &wildcard),
    ]
}

fn requester(n: usize) -> String {
    format!("AROA{n:06}EXAMPLE:session-of-a-job")
}

/// As S3 tells EventBridge of a new object.
fn event(random: &mut Random, rules: usize) -> String {
    let (bucket, key_rule) = (random.below(rules.div_ceil(BUCKETS_OF)), random.below(rules));
    let id = random.below(1 << 30);
    format!(
        concat!(
            r#"{{"version":"0","id":"17793124-05d4-b198-2fde-{id:012x}","detail-type":"Object Created","source":"aws.s3","#,
            r#""account":"111122223333","time":"2026-11-12T00:{minute:02}:{second:02}Z","region":"us-east-1","#,
            r#""resources":["arn:aws:s3:::lake-{bucket:05}"],"detail":{{"version":"0","bucket":{{"name":"lake-{bucket:05}"}},"#,
            r#""object":{{"key":"team-{team:02}/job-{key:06}/part-00017-{key:06}.parquet","size":{size},"#,
            r#""etag":"b1946ac92492d2347c6235b4d2611184","version-id":"IYV3p45BT0ac8hjHg1houSdS1a.Mro8e","#,
            r#""sequencer":"00617F08299329D189"}},"request-id":"N4N7GDK58NMKJ12R","requester":"{requester}","#,
            r#""source-ip-address":"10.1.{minute}.{second}","reason":"PutObject","#,
            r#""x-millpond-trace":"root=1-67891233-abcdef012345678912345678;parent=53995c3f42cd8ad8;lineage=a87bd80c:1|68fd508a:5"}}}}"#
        ),
        id = id,
        minute = id % 60,
        second = id / 60 % 60,
        bucket = bucket,
        team = random.below(BUCKETS_OF),
        key = key_rule,
        size = random.below(1 << 28),
        requester = requester(random.below(rules)),
    )
}
