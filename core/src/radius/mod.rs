//! RADIUS packets without I/O: bytes in, bytes out (RFC 2865, 2866, 3579, 5176).
//!
//! ```
//! use isp_core::radius::{AttributeType, Code, PacketWriter, SharedSecret};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SharedSecret::new(b"testing123")?;
//! let mut buffer = Vec::with_capacity(4096);
//!
//! let mut packet = PacketWriter::request(Code::ACCESS_REQUEST, 7, &secret, &mut buffer)?;
//! packet
//!     .message_authenticator()?
//!     .attribute(AttributeType::USER_NAME, b"alice")?
//!     .user_password(b"hunter2")?;
//! let request = packet.finish();
//! // ... send `buffer`, receive `reply` ...
//! # let mut reply = Vec::new();
//! # let request_seen = isp_core::radius::Packet::decode(&buffer)?.verify_request(&secret)?;
//! # PacketWriter::reply(Code::ACCESS_ACCEPT, &request_seen, &secret, &mut reply).finish();
//! let reply = request.verify(&secret, &reply)?;
//! assert_eq!(reply.code(), Code::ACCESS_ACCEPT);
//! # Ok(())
//! # }
//! ```
//!
//! A packet whose authenticators hold is a [`Verified`] one; there is no other way to get it.

mod attribute;
mod authenticator;
mod code;
pub mod dictionary;
mod packet;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use attribute::{Attribute, AttributeType, Attributes, VendorAttribute};
pub use authenticator::{EmptySecret, SharedSecret};
pub use code::Code;
pub use dictionary::{Dictionary, Pair};
pub use packet::{DecodeError, Packet};
pub use verify::{Request, Verified, VerifyError};
pub use writer::{EncodeError, PacketWriter};

/// Shortest packet: the header alone (RFC 2865 section 3).
pub const MIN_PACKET: usize = 20;
/// Longest packet (RFC 2865 section 3).
pub const MAX_PACKET: usize = 4096;

/// What the 16 bytes of an authenticator are, whichever it is.
pub type Authenticator = [u8; 16];
