//! Times starts of sandboxes: `cargo run -p millpond-sandbox --example spawn -- N PROGRAM [ARGUMENT..]`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use millpond_sandbox::{ARGUMENT, Limits, Spawner, Spec};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(ARGUMENT) {
        return millpond_sandbox::main();
    }
    let times: u32 = first.and_then(|n| n.parse().ok()).unwrap_or(1);
    let argv: Vec<String> = arguments.collect();
    let spawner = Spawner::new();
    println!("{:?} {:?}", spawner.groups(), spawner.probe());
    let began = Instant::now();
    for _ in 0..times {
        let spec = Spec {
            confine: true,
            open_network: false,
            argv: argv.clone(),
            env: Vec::new(),
            directory: PathBuf::from("/"),
            binds: Vec::new(),
            layers: Vec::new(),
            hidden: Vec::new(),
            tmp_bytes: 64 << 20,
            limits: Limits { files: 1024, processes: 1024, file_bytes: 64 << 20, data_bytes: None },
            groups: Vec::new(),
            ports: vec![9000, 9001],
        };
        let at = Instant::now();
        match spawner.spawn(spec, 128 << 20) {
            Ok(mut process) => {
                let started = at.elapsed();
                let waiter = process.waiter();
                let exit = waiter.map(|waiter| {
                    loop {
                        match waiter.exit() {
                            Ok(exit) => break exit,
                            Err(_) => std::thread::sleep(std::time::Duration::from_micros(100)),
                        }
                    }
                });
                let mut text = vec![0; 65536];
                let n = process.take_log().and_then(|log| rustix::io::read(log, &mut text[..]).ok()).unwrap_or(0);
                if times == 1 {
                    println!("{}", String::from_utf8_lossy(&text[..n]));
                    println!("{exit:?} started after {started:?}");
                }
            }
            Err(error) => println!("{error}"),
        }
    }
    println!("{:?} each", began.elapsed() / times);
    ExitCode::SUCCESS
}
