//! Completions for shells, and man pages, made of the command line itself.

use std::io;
use std::path::PathBuf;

use clap_complete::Shell;

use crate::error::{Error, Result};

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Where the pages are written, one for each command
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ispctl", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script).map_err(Error::Stdout)
}

pub(crate) fn man(args: &ManArgs, command: clap::Command) -> Result<()> {
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.directory)
        .map_err(|error| Error::file(&args.directory, error))
}
