//! End a subscriber's session on a NAS from another program.
//!
//! ```sh
//! NAS_SECRET=... cargo run -p isp-core --example disconnect -- 192.0.2.1:3799 --user alice --session 81a00001
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;

use isp_core::coa::{self, Order, Outcome, Retry};
use isp_core::radius::{AttributeType, SharedSecret};

const USAGE: &str = "\
usage: disconnect NAS:PORT [--user USER-NAME] [--session ACCT-SESSION-ID]

Ends the sessions that match all of what is given, at least one of both. The shared secret is taken from NAS_SECRET.
Exits with 0 where the NAS did it, with 1 where it refused or did not answer.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let nas: SocketAddr = match arguments.next().as_deref() {
        None | Some("--help") => {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(nas) => nas.parse()?,
    };
    let mut order = Order::disconnect();
    while let Some(option) = arguments.next() {
        let kind = match option.as_str() {
            "--user" => AttributeType::USER_NAME,
            "--session" => AttributeType::ACCT_SESSION_ID,
            _ => return Err(USAGE.into()),
        };
        order = order.with(kind, arguments.next().ok_or(USAGE)?);
    }
    // Not an argument: everybody on the machine can read those.
    let secret = std::env::var("NAS_SECRET").map_err(|_| "NAS_SECRET is not set")?;
    let secret = SharedSecret::new(secret.as_bytes())?;

    let report = coa::send(nas, &secret, &order, &Retry::default()).await?;
    match report.outcome {
        Outcome::Ack => println!(
            "{nas}: disconnected after {} attempt(s), {:?}",
            report.attempts,
            report.round_trip.unwrap_or_default()
        ),
        Outcome::Nak(Some(cause)) => println!("{nas}: refused, {cause}"),
        Outcome::Nak(None) => println!("{nas}: refused without a cause"),
        Outcome::Timeout if report.rejected > 0 => println!("{nas}: answers under another shared secret"),
        Outcome::Timeout => println!("{nas}: no answer to {} attempts", report.attempts),
    }
    Ok(match report.outcome {
        Outcome::Ack => ExitCode::SUCCESS,
        Outcome::Nak(_) | Outcome::Timeout => ExitCode::FAILURE,
    })
}
