//! The allocator against a real NetBox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allocation;
mod faults;
mod lab;
mod proxy;
mod setup;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod sync;
