#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cache;
mod forms;
mod stored;
mod vectors;
