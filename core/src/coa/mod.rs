//! Dynamic authorization (RFC 5176): tell one NAS over UDP to end a session or to change it.
//!
//! ```no_run
//! # use std::net::SocketAddr;
//! use isp_core::coa::{self, Order, Outcome, Retry};
//! use isp_core::radius::{AttributeType, SharedSecret};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let nas: SocketAddr = "192.0.2.1:3799".parse()?;
//! let secret = SharedSecret::new(b"testing123")?;
//! let order = Order::disconnect()
//!     .with(AttributeType::USER_NAME, "alice")
//!     .with(AttributeType::ACCT_SESSION_ID, "81a00001");
//! match coa::send(nas, &secret, &order, &Retry::default()).await?.outcome {
//!     Outcome::Ack => println!("disconnected"),
//!     Outcome::Nak(cause) => println!("refused: {cause:?}"),
//!     Outcome::Timeout => println!("no answer"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Exchange`] is the protocol without I/O or clock, for a caller with sockets of its own; [`send`] is one exchange on
//! a socket of its own.

mod client;
mod error_cause;
mod exchange;
mod order;
#[cfg(test)]
mod tests;

pub use client::{CoaError, Report, send};
pub use error_cause::ErrorCause;
pub use exchange::{Exchange, Outcome, Retry};
pub use order::{InvalidOrder, Order};
