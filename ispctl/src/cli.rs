//! The command line: which commands there are, and the frame every one runs in.

use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::cmd::{
    accounting, audit, coa, doctor, group, import_freeradius, key, manual, migrate, nas, netbox, oss, plan, retention,
    serve, session, status, subscriber, tenant, token, usage, vendor, whohad,
};
use crate::config::{Flags, Settings};
use crate::context::Context;
use crate::error::{EXIT_CODES, Error, Result};
use crate::output::{self, Output};

/// Administers the subscriber base: tenants, plans, NAS, subscribers, and the keys that seal their secrets.
/// Reads accounting back: sessions, usage, and who had an address.
///
/// Settings come from the command line, then the environment, then the configuration file, then defaults.
/// Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    /// Print JSON instead of tables
    #[arg(long, global = true, help_heading = "Options")]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the database's schema up to date, making an SQLite database that is not there yet
    Migrate,
    /// Show the schema's version, what the database holds, and how the servers stand
    Status(status::Args),
    /// Check the whole installation: say what is wrong, where, and what to do about it
    Doctor(doctor::Args),
    /// Providers (or brands) that share the database without seeing each other
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Bandwidth profiles that subscribers buy
    #[command(subcommand)]
    Plan(plan::Command),
    /// Access servers, and the shared secrets they speak RADIUS with
    #[command(subcommand)]
    Nas(nas::Command),
    /// What plans are in the attributes of each vendor of NAS
    #[command(subcommand)]
    Vendor(vendor::Command),
    /// Access lines and their credentials
    #[command(subcommand)]
    Subscriber(subscriber::Command),
    /// Bring in what another system keeps
    #[command(subcommand)]
    Import(ImportCommand),
    /// Raw rows that many subscribers share, and who is a member
    #[command(subcommand)]
    Group(group::Command),
    /// Accounting records that wait outside of the database
    #[command(subcommand)]
    Accounting(accounting::Command),
    /// Sessions as accounting recorded them
    #[command(subcommand)]
    Session(session::Command),
    /// What NAS were told of live sessions, and what came of it
    #[command(subcommand)]
    Coa(coa::Command),
    /// Make live sessions follow the database, until told to stop
    Serve,
    /// What a subscriber, or all of a tenant, used in a period
    Usage(usage::Args),
    /// Who had an address at a time
    Whohad(whohad::Args),
    /// NetBox: what it must have, and keeping its addresses and ours the same
    #[command(subcommand)]
    Netbox(netbox::Command),
    /// VOLTHA, GenieACS, NetBox, AWX and Prometheus: where a tenant has them, and whether they answer
    #[command(subcommand)]
    Oss(oss::Command),
    /// Tokens of the HTTP API, and what they may do
    #[command(subcommand)]
    Token(token::Command),
    /// Who changed what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Remove accounting and authentication records that are old enough
    Retention(retention::Args),
    /// Keys that seal passwords and NAS secrets
    #[command(subcommand)]
    Key(key::Command),
    /// Print what a shell needs to complete commands and options
    Completions(manual::CompletionsArgs),
    /// Write man pages
    Man(manual::ManArgs),
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Users, groups and NAS of a database that stock FreeRADIUS (sql) or daloRADIUS worked with
    FreeradiusSql(import_freeradius::Args),
}

/// Parse the command line and do what it says. Leaves by itself, with code 2, where the command line is wrong.
pub(crate) fn run() -> Result<()> {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    // They need no settings, and so do not mind wrong ones.
    match &cli.command {
        Command::Completions(args) => return manual::completions(args, Cli::command()),
        Command::Man(args) => return manual::man(args, Cli::command()),
        _ => {}
    }
    let url_in_arguments = matches.value_source("database_url") == Some(ValueSource::CommandLine);
    let settings = Settings::resolve(&cli.flags, url_in_arguments)?;
    log_to_stderr(settings.log);
    for warning in &settings.warnings {
        output::warning(&warning.to_string());
    }
    let context = Arc::new(Context::new(settings, Output { json: cli.json }));
    let mut runtime = match cli.command {
        Command::Serve => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    runtime.enable_all().build().map_err(Error::Runtime)?.block_on(async {
        let outcome = dispatch(&context, cli.command).await;
        context.close().await;
        outcome
    })
}

async fn dispatch(context: &Arc<Context>, command: Command) -> Result<()> {
    match command {
        Command::Migrate => migrate::run(context).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Accounting(command) => accounting::run(context, command).await,
        Command::Tenant(command) => tenant::run(context, command).await,
        Command::Plan(command) => plan::run(context, command).await,
        Command::Nas(command) => nas::run(context, command).await,
        Command::Vendor(command) => vendor::run(context, command).await,
        Command::Subscriber(command) => subscriber::run(context, command).await,
        Command::Import(ImportCommand::FreeradiusSql(args)) => import_freeradius::run(context, &args).await,
        Command::Group(command) => group::run(context, command).await,
        Command::Session(command) => session::run(context, command).await,
        Command::Coa(command) => coa::run(context, command).await,
        Command::Serve => serve::run(context).await,
        Command::Usage(args) => usage::run(context, args).await,
        Command::Whohad(args) => whohad::run(context, args).await,
        Command::Netbox(command) => netbox::run(context, command).await,
        Command::Oss(command) => oss::run(context, command).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Audit(command) => audit::run(context, command).await,
        Command::Retention(args) => retention::run(context, args).await,
        Command::Key(command) => key::run(context, command).await,
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    }
}

fn log_to_stderr(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
