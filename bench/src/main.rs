//! `bench run` compares `rlm_rust` with stock FreeRADIUS modules on this machine; `bench load` puts load on any server
//! that serves the generated base.
#![forbid(unsafe_code)]

mod accounting;
mod chart;
mod coa;
mod compare;
mod contender;
mod error;
mod load;
mod population;
mod postgres;
mod report;
mod run;
mod scale;
mod server;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use contender::Contender;
use error::{Error, Result};
use load::{LoadConfig, Pace};
use population::LARGEST;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare rlm_rust with the stock modules `files` and `sql`, and measure it with a large base
    Run(RunArgs),
    /// Compare what rlm_rust takes of accounting with what stock `sql` takes, and with a server that stores nothing
    Accounting(AccountingArgs),
    /// Compare orders to NAS with radclient, and see what dead NAS cost the living
    Coa(CoaArgs),
    /// Put load on a server that serves the generated base, checking every answer
    Load(LoadArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// Some seconds in all: shows that the benchmark works and every answer is right, is held to no figure
    #[arg(long)]
    quick: bool,
    /// The built module [default: librlm_rust.so beside this program]
    #[arg(long)]
    module: Option<PathBuf>,
    /// The server program
    #[arg(long, env = "FREERADIUS", default_value = "freeradius")]
    freeradius: PathBuf,
    /// Modules to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Contender::Files, Contender::Sql, Contender::Rust])]
    only: Vec<Contender>,
    /// Subscribers in the comparison [default: 100000; quick: 5000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST)))]
    users: Option<u32>,
    /// Subscribers in the large base, 0 for none [default: 1000000; quick: 5000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(LARGEST)))]
    large: Option<u32>,
    /// Times each module is measured [default: 5; quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Seconds counted each time [default: 4; quick: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Worker threads of each server [default: twice the processors]
    #[arg(long)]
    threads: Option<u32>,
    /// Requests outstanding
    #[arg(long, default_value_t = 256)]
    window: u32,
    /// Send requests without Message-Authenticator
    #[arg(long)]
    no_message_authenticator: bool,
    /// Fail where a wanted figure is missed
    #[arg(long)]
    strict: bool,
    /// Where results.json and chart.svg go
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(clap::Args)]
struct AccountingArgs {
    /// Some seconds in all: shows that the benchmark works and nothing is lost, is held to no figure
    #[arg(long)]
    quick: bool,
    /// The built module [default: librlm_rust.so beside this program]
    #[arg(long)]
    module: Option<PathBuf>,
    /// The server program
    #[arg(long, env = "FREERADIUS", default_value = "freeradius")]
    freeradius: PathBuf,
    /// Contenders to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = accounting::Kind::ALL)]
    only: Vec<accounting::Kind>,
    /// Packets per second of the sustained run [default: four times what stock `sql` takes on PostgreSQL]
    #[arg(long)]
    sustained: Option<f64>,
    /// Lines that report [default: 20000; quick: 500]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST)))]
    lines: Option<u32>,
    /// Times each contender is measured [default: 3; quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Seconds counted each time [default: 4; quick: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Worker threads of each server; the default is the server's own. One waits for the disk while others work
    #[arg(long, default_value_t = 32)]
    threads: u32,
    /// Requests outstanding
    #[arg(long, default_value_t = 256)]
    window: u32,
    /// Closed sessions that are in rust's PostgreSQL tables before
    #[arg(long, default_value_t = 0)]
    closed: u64,
    /// Open sessions that are there before
    #[arg(long, default_value_t = 0)]
    open: u64,
    /// Fail where a wanted figure is missed
    #[arg(long)]
    strict: bool,
    /// Where accounting.json goes
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(clap::Args)]
struct CoaArgs {
    /// Some seconds in all: shows that the benchmark works, is held to no figure
    #[arg(long)]
    quick: bool,
    /// The client program of the server
    #[arg(long, default_value = "radclient")]
    radclient: PathBuf,
    /// Disconnects to one NAS [default: 20000; quick: 500]
    #[arg(long)]
    orders: Option<usize>,
    /// NAS of a fleet, half of them dead [default: 1000; quick: 20]
    #[arg(long)]
    fleet: Option<usize>,
    /// Times each is measured [default: 5; quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Leave PostgreSQL out
    #[arg(long)]
    no_postgres: bool,
    /// Fail where a wanted figure is missed
    #[arg(long)]
    strict: bool,
    /// Where coa.json goes
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(clap::Args)]
struct LoadArgs {
    /// Address and port of the server
    #[arg(long)]
    server: SocketAddr,
    /// File holding the shared secret
    #[arg(long)]
    secret_file: PathBuf,
    /// Subscribers in the base
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST)))]
    users: u32,
    /// Requests a second; without it, as many as the server takes
    #[arg(long)]
    rate: Option<f64>,
    /// Requests outstanding where no rate is given
    #[arg(long, default_value_t = 256)]
    window: u32,
    /// Seconds counted
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before counting begins
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Threads of the generator
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Sockets of each thread, 256 requests outstanding at most on each
    #[arg(long, default_value_t = 4)]
    sockets: u32,
    /// Share of wrong passwords
    #[arg(long, default_value_t = 0.05)]
    wrong_passwords: f64,
    /// Send requests without Message-Authenticator
    #[arg(long)]
    no_message_authenticator: bool,
    /// Choose other users, passwords and authenticators
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => compare(&args),
        Command::Accounting(args) => compare_accounting(&args),
        Command::Coa(args) => compare_orders(&args),
        Command::Load(args) => load(&args),
    };
    match done {
        Ok(code) => code,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &RunArgs) -> Result<ExitCode> {
    let (users, large, rounds, warm_up, seconds) = if args.quick {
        (5_000, 5_000, 1, 0.3, 1.0)
    } else {
        (100_000, 1_000_000, 5, 1.0, 4.0)
    };
    let module = built_module(args.module.as_deref())?;
    let mut report = run::run(&run::Options {
        freeradius: args.freeradius.clone(),
        module,
        contenders: args.only.clone(),
        users: args.users.unwrap_or(users),
        large: args.large.unwrap_or(large),
        rounds: args.rounds.unwrap_or(rounds),
        threads: args.threads.unwrap_or_else(twice_the_processors),
        window: args.window,
        warm_up: Duration::from_secs_f64(warm_up),
        duration: Duration::from_secs_f64(args.seconds.unwrap_or(seconds)),
        message_authenticator: !args.no_message_authenticator,
    })?;
    if args.quick {
        report.targets.clear();
    }
    report.save(&args.out)?;
    println!("{report}");
    println!("results: {}", args.out.join("results.json").display());
    println!("chart:   {}", args.out.join("chart.svg").display());
    if report.wrong() > 0 || report.silent() {
        eprintln!(
            "bench: {} wrong answers; a server that answers wrongly or not at all was not measured",
            report.wrong()
        );
        return Ok(ExitCode::FAILURE);
    }
    if args.strict && (report.lost() > 0 || report.targets.iter().any(|target| !target.met)) {
        eprintln!("bench: a wanted figure was missed or requests were lost");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn built_module(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(module) => Ok(module.to_owned()),
        None => Ok(std::env::current_exe()
            .map_err(|e| Error::io("find where this program is", e))?
            .with_file_name("librlm_rust.so")),
    }
}

fn twice_the_processors() -> u32 {
    std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(u32::MAX / 2) * 2)
}

fn compare_accounting(args: &AccountingArgs) -> Result<ExitCode> {
    let (lines, rounds, warm_up, seconds) = if args.quick {
        (500, 1, 0.3, 1.0)
    } else {
        (20_000, 3, 1.0, 4.0)
    };
    let report = accounting::run(&accounting::Options {
        freeradius: args.freeradius.clone(),
        module: built_module(args.module.as_deref())?,
        only: args.only.clone(),
        sustained: args.sustained,
        lines: args.lines.unwrap_or(lines),
        rounds: args.rounds.unwrap_or(rounds),
        threads: args.threads,
        window: args.window,
        warm_up: Duration::from_secs_f64(warm_up),
        duration: Duration::from_secs_f64(args.seconds.unwrap_or(seconds)),
        history: (args.closed, args.open),
        targets: !args.quick,
    })?;
    report.save(&args.out)?;
    println!("{report}");
    println!("results: {}", args.out.join("accounting.json").display());
    if report.faults() > 0 {
        eprintln!("bench: wrong answers, or something acknowledged that was not in the tables afterwards");
        return Ok(ExitCode::FAILURE);
    }
    if args.strict && report.missed() {
        eprintln!("bench: a wanted figure was missed");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn compare_orders(args: &CoaArgs) -> Result<ExitCode> {
    let (orders, fleet, orders_each, rounds) = if args.quick {
        (500, 20, 10, 1)
    } else {
        (20_000, 1_000, 300, 5)
    };
    let report = coa::run(&coa::Options {
        radclient: args.radclient.clone(),
        orders: args.orders.unwrap_or(orders),
        rounds: args.rounds.unwrap_or(rounds),
        fleet: args.fleet.unwrap_or(fleet),
        orders_each,
        postgres: !args.no_postgres,
        held_to_figures: !args.quick,
    })?;
    report.save(&args.out)?;
    println!("{report}");
    println!("results: {}", args.out.join("coa.json").display());
    if report.wrong() > 0 {
        eprintln!("bench: {} orders did not end as they should", report.wrong());
        return Ok(ExitCode::FAILURE);
    }
    if args.strict && report.missed() {
        eprintln!("bench: a wanted figure was missed");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &LoadArgs) -> Result<ExitCode> {
    let secret = fs::read_to_string(&args.secret_file)
        .map_err(|e| Error::io(format!("read {}", args.secret_file.display()), e))?;
    let config = LoadConfig {
        server: args.server,
        secret: secret.trim_end_matches(['\r', '\n']).as_bytes().to_vec(),
        users: args.users,
        pace: args.rate.map_or(Pace::Saturate { window: args.window }, Pace::Rate),
        threads: args.threads,
        sockets: args.sockets,
        warm_up: Duration::from_secs_f64(args.warm_up),
        duration: Duration::from_secs_f64(args.seconds),
        wrong_passwords: args.wrong_passwords,
        message_authenticator: !args.no_message_authenticator,
        seed: args.seed,
        ..LoadConfig::default()
    };
    let outcome = load::run(&config, || ())?;
    println!("{outcome}");
    Ok(if outcome.wrong > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
