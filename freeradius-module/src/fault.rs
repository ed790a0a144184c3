//! Faults on purpose, for the tests of the guard. Nothing of this is in a build without the feature `fault-injection`.

use crate::guard::Hook;

/// Panic if `user_name` asks for it in this hook.
#[cfg(feature = "fault-injection")]
#[allow(clippy::panic)]
pub fn in_request(hook: Hook, user_name: &[u8]) {
    let asked = format!("panic-{}@fault", hook.name());
    if user_name == asked.as_bytes() {
        panic!("asked for");
    }
}

#[cfg(not(feature = "fault-injection"))]
pub const fn in_request(_: Hook, _: &[u8]) {}

/// Panic if the environment asks for it in this hook of a module's life.
#[cfg(feature = "fault-injection")]
#[allow(clippy::panic)]
pub fn in_life(hook: Hook) {
    if std::env::var("RLM_RUST_FAULT").as_deref() == Ok(hook.name()) {
        panic!("asked for");
    }
}

#[cfg(not(feature = "fault-injection"))]
pub const fn in_life(_: Hook) {}
