//! The panic guard around every entry from C: a panic becomes the hook's failure value, and the server keeps serving.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// An entry from C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Bootstrap,
    Instantiate,
    Detach,
    Authorize,
    Authenticate,
    Accounting,
    PostAuth,
    /// A callback out of a function of the server's.
    Callback,
}

const HOOKS: usize = 8;
static PANICS: [AtomicU64; HOOKS] = [const { AtomicU64::new(0) }; HOOKS];

impl Hook {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Instantiate => "instantiate",
            Self::Detach => "detach",
            Self::Authorize => "authorize",
            Self::Authenticate => "authenticate",
            Self::Accounting => "accounting",
            Self::PostAuth => "post-auth",
            Self::Callback => "callback",
        }
    }

    /// Count one more panic of this hook.
    fn count(self) -> u64 {
        PANICS
            .get(self as usize)
            .map_or(0, |panics| panics.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Run the body of `hook`; a panic in it is logged with its place and becomes `on_panic`.
pub fn run<T>(hook: Hook, on_panic: T, body: impl FnOnce() -> T) -> T {
    install_panic_hook();
    let outer = GUARDED.replace(true);
    // Unwind safety: what the body owns is dropped with it, and what it shares is only ever swapped as a whole.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    outcome.unwrap_or_else(|payload| {
        // Dropping a payload may panic again, and there is nothing of worth in it.
        std::mem::forget(payload);
        let place = PLACE.take();
        let count = hook.count();
        tracing::error!(
            "panic in {} at {place} ({count} so far in this hook); the server goes on",
            hook.name()
        );
        on_panic
    })
}

/// The message of a panic is not logged: it may hold a piece of the packet. Its place is enough to find it.
fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info
                .location()
                .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            if GUARDED.get() {
                PLACE.set(place);
            } else {
                let thread = std::thread::current();
                tracing::error!(
                    "panic in thread {} at {place}",
                    thread.name().unwrap_or("without a name")
                );
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_failure_value_and_is_counted() {
        let before = PANICS[Hook::Accounting as usize].load(Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(run(Hook::Accounting, -1, || panic!("secret")), -1);
        }
        assert_eq!(run(Hook::Accounting, -1, || 7), 7);
        assert_eq!(PANICS[Hook::Accounting as usize].load(Ordering::Relaxed), before + 3);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_not_get_out() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("while dropping");
            }
        }
        assert_eq!(run(Hook::PostAuth, 1, || std::panic::panic_any(Bomb)), 1);
    }

    #[test]
    fn every_hook_has_its_counter() {
        assert!((Hook::Callback as usize) < HOOKS);
    }
}
