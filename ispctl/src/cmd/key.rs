use std::path::PathBuf;

use clap::Subcommand;
use isp_core::secret::KeyRing;
use serde::Serialize;

use super::reseal;
use crate::config::ConfigError;
use crate::context::Context;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new key file with one key (mode 0600); never overwrites one
    Create,
    /// Add a new primary key to the key file; the old ones stay to open what they sealed
    #[command(
        after_help = "The RADIUS servers need the new file before anything is sealed under its new key: rotate, copy the \
                            file to every server, reload them, then run ispctl key reseal."
    )]
    Rotate,
    /// Seal all passwords and NAS secrets under the primary key, those found in clear too
    Reseal(reseal::Args),
}

#[derive(Serialize)]
struct Report {
    key_file: PathBuf,
    primary_key: u32,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Create => {
            let path = path(context)?;
            let keys = KeyRing::create(&path)?;
            report(context, path, &keys)?;
            context
                .output
                .done("keep a copy of it apart from the database's backups: without it sealed passwords are lost");
            Ok(())
        }
        Command::Rotate => {
            let path = path(context)?;
            let keys = KeyRing::rotate(&path)?;
            report(context, path, &keys)?;
            context
                .output
                .done("copy the file to every RADIUS server and reload them, then run ispctl key reseal");
            Ok(())
        }
        Command::Reseal(args) => reseal::run(context, &args).await,
    }
}

fn path(context: &Context) -> Result<PathBuf> {
    Ok(context.settings.key_file.clone().ok_or(ConfigError::NoKeyFile)?)
}

fn report(context: &Context, key_file: PathBuf, keys: &KeyRing) -> Result<()> {
    context.output.record(&Report {
        key_file,
        primary_key: keys.primary(),
    })
}
