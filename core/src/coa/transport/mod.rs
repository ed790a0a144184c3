//! Ways to a NAS.

mod gateway;
mod lane;
mod radclient;
mod radsec;
mod udp;

use std::fmt::Debug;
use std::pin::Pin;

pub use gateway::{Gateway, GatewayError, GatewaySettings};
pub use radclient::Radclient;
pub use radsec::{RADSEC_PORT, RadSec, RadSecError, RadSecSettings};
pub use udp::Counts;
pub(super) use udp::Udp;

use super::{CoaError, Order, Report, Target};

/// What [`Transport::deliver`] gives.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<Report, CoaError>> + Send + 'a>>;

/// A way to tell a NAS. Turns and pace are the client's matter.
pub trait Transport: Debug + Send + Sync {
    /// Send the order, as often as [`Target::retry`] says, and wait for how it ends. To drop the future is to give up.
    fn deliver<'a>(&'a self, target: &'a Target, order: &'a Order) -> Delivery<'a>;
}
