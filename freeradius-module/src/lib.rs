//! `rlm_rust`, a module of FreeRADIUS 3.2: decides Access-Requests from memory, acknowledges accounting once it is stored.
//!
//! | layer | modules | knows |
//! |-------|---------|-------|
//! | boundary | `server` | C: pointers, the host's structures, its log. The only unsafe code |
//! | conversion | [`attribute`], [`expansion`], [`config`], [`vendors`], [`rcode`], [`log`], [`guard`] | the host's words, no pointers |
//! | hooks | [`hooks`] | what happens to a request; a [`hooks::Request`] can be faked |
//!
//! What is decided, and how it is stored, is `isp_core`'s. The rules the boundary relies on are in `SAFETY.md`.
#![deny(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::todo,
    clippy::unimplemented,
    clippy::undocumented_unsafe_blocks
)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]
#[cfg(not(panic = "unwind"))]
compile_error!("a panic must unwind to the guard at the C boundary: build with panic = \"unwind\"");

pub mod attribute;
pub mod config;
pub mod expansion;
pub mod fault;
pub mod guard;
pub mod hooks;
pub mod log;
pub mod rcode;
pub mod suggest;
pub mod vendors;

#[cfg(all(feature = "server", not(test)))]
mod server;
