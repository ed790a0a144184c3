//! The decision.
pub mod reason;
pub mod reply;
pub use reason::Reason;
