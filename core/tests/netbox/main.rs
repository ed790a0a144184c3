//! The allocator against a real NetBox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allocation;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod bench;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod chaos;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod cost;
mod faults;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod follow;
mod lab;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod provisioning;
mod proxy;
mod setup;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod sync;
