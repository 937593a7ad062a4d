//! `millpond account`: further accounts of a lake, made by its operator.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use millpond_kernel::Epoch;
use millpond_meta::{FjallKv, Kv};
use millpond_svc_iam::{Identities, LocalAccounts};
use millpond_types::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::assemble;
use crate::control::{self, ACCOUNT_CREATE, ACCOUNT_LIST};
use crate::data_dir::{DataDir, DataDirError};
use crate::place::Place;
use crate::vault::{self, RootKeyPlace};

/// What is to be done.
#[derive(Args, Debug)]
pub struct AccountArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Create an account, and print the access key of its root user. The secret is shown this once.
    Create {
        /// The id: 12 digits. [default: by lot]
        #[arg(long, value_name = "12 DIGITS")]
        id: Option<AccountId>,
        /// A name, for `millpond account list` alone.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the accounts.
    List {
        #[command(flatten)]
        place: Place,
    },
}

/// The arguments of a creation, as they pass the control socket.
#[derive(Serialize, Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
struct Creation {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Created {
    account_id: String,
    access_key_id: String,
    secret_access_key: String,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    account_id: String,
    name: String,
    /// Seconds since 1970; `null` for the account that the lake was made with.
    created: Option<u64>,
}

/// Creates an account as arguments in JSON say.
pub async fn create(accounts: &Arc<LocalAccounts>, arguments: &str) -> Result<Value, String> {
    let creation: Creation = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let id = creation.id.map(|id| id.parse::<AccountId>()).transpose().map_err(|error| error.to_string())?;
    let new = Arc::clone(accounts).create(id, creation.name).await.map_err(|error| error.to_string())?;
    tracing::info!(account = %new.id, "an account was created");
    let created = Created {
        account_id: new.id.to_string(),
        access_key_id: new.access_key_id,
        secret_access_key: new.secret.to_string(),
    };
    serde_json::to_value(created).map_err(|error| error.to_string())
}

/// Lists the accounts.
pub fn list(accounts: &LocalAccounts) -> Result<Value, String> {
    let listed: Vec<_> = (accounts.list().into_iter())
        .map(|entry| Listed {
            account_id: entry.id.to_string(),
            name: entry.name,
            created: entry.created.map(|created| created.seconds()),
        })
        .collect();
    serde_json::to_value(listed).map_err(|error| error.to_string())
}

/// Runs the command: by the server that has the data dir open, or else on the data dir itself.
#[expect(clippy::print_stderr, reason = "a command's failure is for the terminal")]
pub fn run(args: AccountArgs) -> ExitCode {
    let result = match args.command {
        Command::Create { id, name, place } => {
            let creation = Creation { id: id.map(|id| id.to_string()), name };
            let arguments = serde_json::to_value(creation).map_err(|error| error.to_string());
            arguments
                .and_then(|arguments| done(&place, ACCOUNT_CREATE, &arguments))
                .and_then(|v| print_created(&v, place.json))
        }
        Command::List { place } => {
            done(&place, ACCOUNT_LIST, &Value::Object(serde_json::Map::new())).and_then(|v| print_list(&v, place.json))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("millpond account: {why}");
            ExitCode::FAILURE
        }
    }
}

fn done(place: &Place, command: &str, arguments: &Value) -> Result<Value, String> {
    let data_dir = place.data_dir();
    match DataDir::existing(&data_dir) {
        Ok(dir) => offline(&dir, &place.root_key()?, command, arguments),
        Err(DataDirError::Locked(_)) => control::ask(&data_dir, command, arguments),
        Err(error) => Err(error.to_string()),
    }
}

fn offline(data_dir: &DataDir, key: &RootKeyPlace, command: &str, arguments: &Value) -> Result<Value, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let accounts = Arc::new(opened(data_dir, key).await?);
        match command {
            ACCOUNT_CREATE => create(&accounts, &arguments.to_string()).await,
            _ => list(&accounts),
        }
    })
}

/// The accounts of a data dir that no server has open.
async fn opened(data_dir: &DataDir, key: &RootKeyPlace) -> Result<LocalAccounts, String> {
    let kv = FjallKv::open(&data_dir.meta(), assemble::meta_config(false)).map_err(|error| error.to_string())?;
    let kv: Arc<dyn Kv> = Arc::new(kv);
    let (clock, random) = assemble::time_and_randomness();
    let vault = vault::open(key, &*kv, &*random).await.map_err(|error| error.to_string())?;
    let epoch = Epoch::load(kv.clone()).await.map_err(|error| error.to_string())?;
    let identities = Identities::load(kv, clock, random, vault, epoch).await.map_err(|error| error.to_string())?;
    LocalAccounts::load(data_dir.account(), identities).await.map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_created(result: &Value, json: bool) -> Result<(), String> {
    if json {
        println!("{result}");
        return Ok(());
    }
    let created = Created::deserialize(result).map_err(|error| error.to_string())?;
    println!(
        "Account:     {}\nAccess key:  {}\nSecret key:  {}",
        created.account_id, created.access_key_id, created.secret_access_key
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_list(result: &Value, json: bool) -> Result<(), String> {
    if json {
        println!("{result}");
        return Ok(());
    }
    let listed = Vec::<Listed>::deserialize(result).map_err(|error| error.to_string())?;
    for account in listed {
        let name = match account.created {
            Some(_) => account.name,
            None => "(the lake's own)".to_owned(),
        };
        println!("{}", format!("{}  {name}", account.account_id).trim_end());
    }
    Ok(())
}
