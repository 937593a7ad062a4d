//! Which data dir a command works on, and where its root key comes from when no server runs.

use std::path::PathBuf;

use clap::Args;

use crate::cli::default_data_dir;
use crate::vault::{RootKeyPlace, RootKeySource};

/// The flags.
#[derive(Args, Debug)]
pub struct Place {
    /// The data dir. A server that has it open is asked; otherwise it is opened here. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The file of the root key, for when no server runs. [default: kms-root-key in the data dir]
    #[arg(long, env = "MILLPOND_KMS_ROOT_KEY_FILE", value_name = "FILE")]
    kms_root_key_file: Option<PathBuf>,
    /// A command (for sh) that prints the root key, for when no server runs.
    #[arg(long, env = "MILLPOND_KMS_ROOT_KEY_COMMAND", value_name = "COMMAND")]
    kms_root_key_command: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Place {
    /// The data dir.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    /// Its root key.
    pub fn root_key(&self) -> Result<RootKeyPlace, String> {
        let source = RootKeySource::of(self.kms_root_key_file.clone(), self.kms_root_key_command.clone());
        Ok(RootKeyPlace::new(source.map_err(|error| error.to_string())?, &self.data_dir()))
    }
}
