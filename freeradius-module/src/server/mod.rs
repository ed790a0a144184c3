//! The boundary to the server: everything that touches a pointer of C's. See `SAFETY.md`.
#![allow(unsafe_code)]

mod conf;
mod dictionary;
mod encoded;
mod ffi;
mod log;
mod request;
mod rows;
mod sys;
mod table;
