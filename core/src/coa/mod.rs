//! Dynamic authorization (RFC 5176): tell NAS to end a session or to change it.
//!
//! ```no_run
//! use isp_core::coa::{Client, Order, Outcome, Target};
//! use isp_core::radius::{AttributeType, SharedSecret};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new();
//! let nas = Target::new("192.0.2.1:3799".parse()?, SharedSecret::new(b"testing123")?);
//! let order = Order::disconnect()
//!     .with(AttributeType::USER_NAME, "alice")
//!     .with(AttributeType::ACCT_SESSION_ID, "81a00001");
//! match client.deliver(&nas, &order).await?.outcome {
//!     Outcome::Ack => println!("disconnected"),
//!     Outcome::Nak(cause) => println!("refused: {cause:?}"),
//!     Outcome::Timeout => println!("no answer"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] has any number of orders on their way at once, over few sockets; what waits for a dead NAS delays no other.
//! Other ways than UDP are [`Transport`]s, chosen for each NAS. [`Exchange`] is the protocol without I/O or clock, for a
//! caller with sockets of its own.

mod client;
mod error_cause;
mod exchange;
mod order;
mod report;
mod settings;
mod target;
#[cfg(test)]
mod tests;
mod transport;

pub use client::{Client, ClientBuilder, send};
pub use error_cause::ErrorCause;
pub use exchange::{Exchange, Expected, Outcome, Retry};
pub use order::{InvalidOrder, Order};
pub use report::{CoaError, Report};
pub use settings::{Settings, SettingsError};
pub use target::{Pacing, Target, Via};
pub use transport::{
    Counts, Delivery, Gateway, GatewayError, GatewaySettings, RADSEC_PORT, RadSec, RadSecError, RadSecSettings,
    Radclient, Transport,
};
