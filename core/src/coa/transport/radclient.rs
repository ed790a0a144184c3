//! The server's own client program, for hosts from where nothing else may reach the NAS.
//!
//! No shell takes part. The shared secret goes through a file in memory and attributes through standard input, in
//! hexadecimal: whatever they hold, none of it is taken for anything else, nor seen in the list of processes.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Delivery, Transport};
use crate::clock::unix_now;
use crate::coa::{CoaError, ErrorCause, Order, Outcome, Report, Target};
use crate::radius::{Code, Dictionary};

const VIA: &str = "radclient";

/// Tells NAS by `radclient`, one process an order.
#[derive(Debug, Clone)]
pub struct Radclient {
    program: PathBuf,
}

impl Default for Radclient {
    fn default() -> Self {
        Self::new("radclient")
    }
}

impl Radclient {
    /// The program, looked for in `PATH` unless it has a directory.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    async fn run(&self, target: &Target, order: &Order) -> Result<Report, CoaError> {
        let nas = target.address;
        let failed = |problem: String, temporary| CoaError::Transport {
            nas,
            via: VIA,
            problem,
            temporary,
        };
        let system = |what: &str, error: std::io::Error| failed(format!("{what}: {error}"), true);
        let lines = lines(order)?.ok_or_else(|| {
            failed(
                "it writes neither extended attributes nor those of vendors with a form of their own".to_owned(),
                false,
            )
        })?;
        let secret = secret_file(target).map_err(|error| system("a file for the secret", error))?;
        let attempts = target.retry.attempts.max(1);
        let wait = target.retry.first_wait;
        let mut process = Command::new(&self.program)
            .args(["-x", "-c", "1", "-r", &attempts.to_string()])
            .args(["-t", &format!("{:.3}", wait.as_secs_f64())])
            .arg("-S")
            .arg(format!("/proc/{}/fd/{}", std::process::id(), secret.as_raw_fd()))
            .arg(if nas.is_ipv4() { "-4" } else { "-6" })
            .arg(nas.to_string())
            .arg(match order.code() {
                Code::DISCONNECT_REQUEST => "disconnect",
                _ => "coa",
            })
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("cannot start {}: {error}", self.program.display()), false))?;
        let begun = Instant::now();
        if let Some(mut stdin) = process.stdin.take() {
            // One that ends early says why.
            let _ = stdin.write_all(lines.as_bytes()).await;
        }
        // It ends by itself after its attempts; a machine that is too busy for that is not waited for forever.
        let patience = wait.saturating_mul(attempts) + Duration::from_secs(10);
        let output = tokio::time::timeout(patience, process.wait_with_output())
            .await
            .map_err(|_| failed("it does not end".to_owned(), true))?
            .map_err(|error| system("waiting for it", error))?;
        let said = Said::read(&output.stdout);
        let outcome = match said.outcome {
            Some(outcome) => outcome,
            None if said.attempts > 0 => Outcome::Timeout,
            None => {
                let problem = String::from_utf8_lossy(&output.stderr);
                let problem = problem.lines().next().unwrap_or("it says nothing").trim().to_owned();
                return Err(failed(problem, true));
            }
        };
        let answered = outcome != Outcome::Timeout;
        Ok(Report {
            outcome,
            attempts: said.attempts,
            round_trip: answered.then(|| begun.elapsed()),
            rejected: 0,
        })
    }
}

impl Transport for Radclient {
    fn deliver<'a>(&'a self, target: &'a Target, order: &'a Order) -> Delivery<'a> {
        Box::pin(self.run(target, order))
    }
}

/// A file that is in memory alone, and goes with its last descriptor. The program opens it by this process's name of it.
fn secret_file(target: &Target) -> std::io::Result<std::fs::File> {
    let descriptor = rustix::fs::memfd_create("radius", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(target.secret.expose())?;
    file.write_all(b"\n")?;
    Ok(file)
}

/// The attributes as lines for the program; `None` where it has no form for one.
fn lines(order: &Order) -> Result<Option<String>, CoaError> {
    use std::fmt::Write as _;
    order.check()?;
    // It computes the one, and adds no other.
    let mut lines = format!("Message-Authenticator = 0x00\nAttr-55 = 0x{:08x}\n", unix_now());
    // By numbers alone, for its dictionaries may be others; with none, nothing is taken apart further than it can write.
    for pair in order.pairs(&Dictionary::empty()) {
        match pair.path.as_slice() {
            [26, vendor, number] => {
                let _ = write!(lines, "Attr-26.{vendor}.{number} = 0x");
            }
            // It ends abnormally where it is given the whole attribute.
            [number] if *number != 26 => {
                let _ = write!(lines, "Attr-{number} = 0x");
            }
            _ => return Ok(None),
        }
        for byte in &pair.value {
            let _ = write!(lines, "{byte:02x}");
        }
        lines.push('\n');
    }
    Ok(Some(lines))
}

/// What the program said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    attempts: u32,
    outcome: Option<Outcome>,
}

impl Said {
    fn read(output: &[u8]) -> Self {
        let mut said = Self::default();
        for line in String::from_utf8_lossy(output).lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("Sent"), _) => said.attempts += 1,
                (Some("Received"), Some(code)) => {
                    said.outcome = Some(if code.ends_with("-ACK") {
                        Outcome::Ack
                    } else {
                        Outcome::Nak(None)
                    });
                }
                (Some("Error-Cause"), Some("=")) if said.outcome.is_some_and(|outcome| outcome != Outcome::Ack) => {
                    said.outcome = Some(Outcome::Nak(words.next().and_then(ErrorCause::from_dictionary)));
                }
                _ => {}
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Said};
    use crate::coa::ErrorCause;

    #[test]
    fn what_the_program_says_is_read() {
        let said = |text: &str| Said::read(text.as_bytes());
        let nak = "Sent CoA-Request Id 1 from 0.0.0.0:1 to 127.0.0.1:2 length 95\n\tUser-Name = \"Received CoA-ACK\"\n\
                   Sent CoA-Request Id 1 from 0.0.0.0:1 to 127.0.0.1:2 length 95\n\
                   Received CoA-NAK Id 1 from 127.0.0.1:2 to 127.0.0.1:1 length 26\n\
                   \tError-Cause = Session-Context-Not-Found\n(0) -: Expected CoA-ACK got CoA-NAK\n";
        let expected = Said {
            attempts: 2,
            outcome: Some(Outcome::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND))),
        };
        assert_eq!(said(nak), expected);
        assert_eq!(said("Received Disconnect-ACK Id 1").outcome, Some(Outcome::Ack));
        assert_eq!(said("(0) No reply from server for ID 153 socket 3").outcome, None);
    }
}
