//! The server's log.
//!
//! A line about a request goes through it, so that it carries the request's number; only the thread that runs the hook may do
//! that. All other lines go to the log as such.

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::Once;

use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;

use super::sys;
use crate::log::{ServerLog, Sink};

thread_local! {
    static CURRENT: Cell<Option<NonNull<sys::REQUEST>>> = const { Cell::new(None) };
}

/// Makes a request the one that this thread's log lines are about, until dropped.
pub(super) struct Current {
    before: Option<NonNull<sys::REQUEST>>,
}

impl Current {
    pub(super) fn set(request: NonNull<sys::REQUEST>) -> Self {
        Self {
            before: CURRENT.replace(Some(request)),
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Send what `tracing` is told to the server's log, from now on and for all instances.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(ServerLog(Radlog));
        // Fails only where a subscriber is set already, and this shared object has its own copy of `tracing`.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

struct Radlog;

/// The server's type of a line, and the debug level it needs.
const fn kind(level: Level) -> (sys::log_type_t, sys::log_lvl_t) {
    match level {
        Level::ERROR => (sys::L_ERR, sys::L_DBG_LVL_OFF),
        Level::WARN => (sys::L_WARN, sys::L_DBG_LVL_OFF),
        Level::INFO => (sys::L_INFO, sys::L_DBG_LVL_OFF),
        Level::DEBUG => (sys::L_DBG, sys::L_DBG_LVL_2),
        Level::TRACE => (sys::L_DBG, sys::L_DBG_LVL_3),
    }
}

impl Sink for Radlog {
    fn wants(&self, level: Level) -> bool {
        match (kind(level), CURRENT.get()) {
            ((_, sys::L_DBG_LVL_OFF), _) => true,
            // SAFETY: log-current: the request is the one whose hook this thread is in.
            ((kind, debug), Some(request)) => unsafe { sys::radlog_debug_enabled(kind, debug, request.as_ptr()) },
            // SAFETY: server-exports: reads a global of the server's, and nothing else.
            ((kind, debug), None) => unsafe { sys::debug_enabled(kind, debug) },
        }
    }

    fn write(&self, level: Level, line: &CStr) {
        let (kind, debug) = kind(level);
        match CURRENT.get() {
            // SAFETY: log-current: the request is the one whose hook this thread is in. The text is not a format.
            Some(request) => unsafe { sys::rlm_rust_log_request(kind, debug, request.as_ptr(), line.as_ptr()) },
            // SAFETY: server-exports: formats on the stack and writes once, from any thread. The text is not a format.
            None => unsafe { sys::rlm_rust_log(kind, line.as_ptr()) },
        }
    }
}
