//! `millpond kms`: the operator's root key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use millpond_io::{RealDisk, SystemRandom};
use millpond_meta::{FjallKv, Kv};
use millpond_seal::{KeyRing, RootKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::assemble::{self, Engines};
use crate::control::{self, ROTATE_ROOT};
use crate::data_dir::{DataDir, DataDirError};
use crate::place::Place;
use crate::vault::{self, RootKeyPlace, Rotated};

/// What is to be done.
#[derive(Subcommand, Debug)]
pub enum KmsCommand {
    /// Change the root key. Nothing is encrypted anew: the one key under which everything lies is sealed under the new root key.
    ///
    /// Where the root key lies in a file, a new one is made (or taken from --new-key-file), put into that file, and the old one opens the data no
    /// more. Where it comes from a command or from the environment, --new-key-file is needed; both keys open the data until the new one is in its
    /// place and `millpond kms rotate-root --finish` is run.
    ///
    /// Works beside a running server, and without one. A kill at any moment leaves a key file that opens the data; run the command again then.
    /// Copies of the data dir from before the change still open with the old key.
    RotateRoot(RotateArgs),
    /// Show which root key is which, by fingerprints. No key is shown.
    #[command(subcommand)]
    RootKey(RootKeyCommand),
}

/// About the root key.
#[derive(Subcommand, Debug)]
pub enum RootKeyCommand {
    /// Show the fingerprints of the root keys that open the data, and of the one that is given.
    Show(Place),
}

/// How the root key is changed.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// The new root key: 32 bytes as 64 hexadecimal digits or base64. [default: a new one is made]
    #[arg(long, value_name = "FILE", conflicts_with = "finish")]
    new_key_file: Option<PathBuf>,
    /// Give up all root keys but the one in use.
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    place: Place,
}

/// What passes the control socket, which only its owner may use.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    /// The text of the new key.
    new_key: Option<String>,
    finish: bool,
}

async fn rotated(place: &RootKeyPlace, kv: &dyn Kv, rotation: Rotation) -> Result<Value, String> {
    let new_key = rotation.new_key.map(Zeroizing::new);
    let new = new_key.map(|text| RootKey::parse(&text)).transpose().map_err(|error| error.to_string())?;
    let done = match rotation.finish {
        true => vault::finish(place, kv, &SystemRandom).await,
        false => vault::rotate(place, kv, &SystemRandom, new).await,
    };
    serde_json::to_value(done.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Changes the root key of a server that runs.
pub async fn rotate(engines: &Engines, place: &Arc<RootKeyPlace>, arguments: &str) -> Result<Value, String> {
    let rotation: Rotation = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let (kv, place) = (engines.kv.clone(), Arc::clone(place));
    // Whoever asked may go; a change goes on to its end.
    let changed = tokio::spawn(async move { rotated(&place, &kv, rotation).await });
    changed.await.map_err(|error| error.to_string())?
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "a command's failure is for the terminal")]
pub fn run(command: KmsCommand) -> ExitCode {
    let result = match command {
        KmsCommand::RotateRoot(args) => rotate_root(&args),
        KmsCommand::RootKey(RootKeyCommand::Show(place)) => show(&place),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("millpond kms: {why}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())
}

fn rotate_root(args: &RotateArgs) -> Result<(), String> {
    let new_key = match &args.new_key_file {
        Some(path) => Some(new_key(path)?),
        None => None,
    };
    let rotation = Rotation { new_key, finish: args.finish };
    let data_dir = args.place.data_dir();
    let done = match DataDir::existing(&data_dir) {
        Ok(dir) => runtime()?.block_on(offline(&dir, &args.place, rotation)),
        Err(DataDirError::Locked(_)) => {
            let rotation = serde_json::to_value(rotation).map_err(|error| error.to_string())?;
            control::ask(&data_dir, ROTATE_ROOT, &rotation)
        }
        Err(error) => Err(error.to_string()),
    }?;
    print_rotated(&done, args)
}

async fn offline(dir: &DataDir, place: &Place, rotation: Rotation) -> Result<Value, String> {
    let kv = FjallKv::open(&dir.meta(), assemble::meta_config(false)).map_err(|error| error.to_string())?;
    rotated(&place.root_key()?, &kv, rotation).await
}

/// The text of a new key, proved to be one.
fn new_key(path: &Path) -> Result<String, String> {
    let unfit =
        |error: &dyn std::fmt::Display| format!("the new root key in {} cannot be used: {error}", path.display());
    RootKey::read(&RealDisk, path).map_err(|error| unfit(&error))?;
    let text = std::fs::read_to_string(path).map_err(|error| unfit(&error))?;
    Ok(text.trim().to_owned())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_rotated(done: &Value, args: &RotateArgs) -> Result<(), String> {
    if args.place.json {
        println!("{done}");
        return Ok(());
    }
    let Rotated { old, new, placed, opens } = Rotated::deserialize(done).map_err(|error| error.to_string())?;
    match (args.finish, placed) {
        (true, _) => println!("The root key {new} opens the data, and no other does."),
        (false, Some(path)) => {
            println!("The root key is now {new}, in {}.\nThe old one, {old}, opens the data no more.", path.display());
            println!("Keep a copy of the new one away from the data.");
        }
        (false, None) => {
            println!("The root keys {} open the data.", opens.join(" and "));
            println!("Now let the command or the environment give the new one, {new}, and start the server with it.");
            println!("Then give up the old one: millpond kms rotate-root --finish");
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Shown {
    opens: Vec<String>,
    given: Option<String>,
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn show(place: &Place) -> Result<(), String> {
    let data_dir = place.data_dir();
    let opens = KeyRing::fingerprints(&RealDisk, &data_dir).map_err(|error| error.to_string())?;
    let given = runtime()?.block_on(place.root_key()?.read()).map_err(|error| error.to_string())?;
    let given = given.map(|key| key.fingerprint());
    let Some(opens) = opens else {
        return Err(format!("nothing is sealed in {} yet", data_dir.display()));
    };
    if place.json {
        println!("{}", serde_json::to_string(&Shown { opens, given }).map_err(|error| error.to_string())?);
        return Ok(());
    }
    for key in &opens {
        let mark = if given.as_ref() == Some(key) { "  (the one that is given here)" } else { "" };
        println!("{key}  opens the data{mark}");
    }
    if let Some(key) = given.filter(|key| !opens.contains(key)) {
        println!("{key}  is given here, and does not open the data");
    }
    Ok(())
}
