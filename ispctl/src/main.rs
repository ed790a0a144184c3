//! Command line of the subscriber base: migrations, tenants, plans, NAS, subscribers, keys; accounting read back.
#![forbid(unsafe_code)]

mod api;
mod cli;
mod cmd;
mod config;
mod context;
mod error;
mod field;
mod netbox;
mod output;
mod period;
mod secret_input;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            error.exit_code()
        }
    }
}
