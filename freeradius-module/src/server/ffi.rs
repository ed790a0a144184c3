//! What the server sees of this module: `rlm_rust`, and the functions in it. Each is one call of the guard.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use isp_core::node::{Node, NodeConfig};
use isp_core::policy::vendor::VendorSet;

use super::conf::{RawInstance, Section};
use super::dictionary::{Attributes, RowChecker, ServerDefinitions};
use super::request::{Expansions, RequestRef, last_error};
use super::table::TABLE;
use super::{log, sys};
use crate::attribute::{DYNAMIC_CLIENT, REJECT_REASON, RESTRICTED_REASON};
use crate::config::{self, Fault, Settings};
use crate::fault;
use crate::guard::{self, Hook};
use crate::hooks::{self, Instance};
use crate::rcode::RCode;
use crate::vendors;

/// How long the server may be held up when it stops.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// The FreeRADIUS release of the headers this was built with; the server loads it for no other.
const BUILT_FOR: &str = env!("RLM_RUST_SERVER_VERSION");

/// Where the server refuses the module for its version, it prints this name; so it says what the numbers beside it mean.
const NAME: &CStr = match CStr::from_bytes_with_nul(
    concat!(
        "rust (built for FreeRADIUS ",
        env!("RLM_RUST_SERVER_VERSION"),
        " only)\0"
    )
    .as_bytes(),
) {
    Ok(name) => name,
    Err(_) => c"rust",
};

/// For `strings`: what a built file is good for.
#[used]
static NOTE: &str = concat!(
    "\nrlm_rust ",
    env!("CARGO_PKG_VERSION"),
    ", built for FreeRADIUS ",
    env!("RLM_RUST_SERVER_VERSION"),
    "\n"
);

#[repr(transparent)]
pub(super) struct Module(sys::module_t);

// SAFETY: module-table: nobody writes to it, and what it points to is static.
unsafe impl Sync for Module {}

/// The one symbol the server looks for.
#[unsafe(no_mangle)]
#[used]
#[allow(non_upper_case_globals)]
pub(super) static rlm_rust: Module = Module(sys::module_t {
    magic: sys::RLM_RUST_MAGIC,
    name: NAME.as_ptr(),
    type_: sys::RLM_TYPE_THREAD_SAFE as c_int,
    inst_size: size_of::<RawInstance>(),
    config: TABLE.as_ptr(),
    bootstrap: Some(bootstrap),
    instantiate: Some(instantiate),
    detach: Some(detach),
    methods: METHODS,
});

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where an index out of bounds is an error"
)]
const METHODS: [sys::packetmethod; sys::MOD_COUNT as usize] = {
    let mut methods: [sys::packetmethod; sys::MOD_COUNT as usize] = [None; sys::MOD_COUNT as usize];
    methods[sys::MOD_AUTHENTICATE as usize] = Some(authenticate);
    methods[sys::MOD_AUTHORIZE as usize] = Some(authorize);
    methods[sys::MOD_ACCOUNTING as usize] = Some(accounting);
    methods[sys::MOD_POST_AUTH as usize] = Some(post_auth);
    methods
};

/// A running instance with what the server gave it.
struct Loaded {
    instance: Instance,
    name: String,
    attributes: Attributes,
    expansions: Expansions,
}

const OK: c_int = 0;
const FAILED: c_int = -1;
const FAIL: sys::rlm_rcode_t = raw(RCode::Fail);

const fn raw(rcode: RCode) -> sys::rlm_rcode_t {
    match rcode {
        RCode::Reject => sys::RLM_MODULE_REJECT,
        RCode::Fail => sys::RLM_MODULE_FAIL,
        RCode::Ok => sys::RLM_MODULE_OK,
        RCode::Invalid => sys::RLM_MODULE_INVALID,
        RCode::UserLock => sys::RLM_MODULE_USERLOCK,
        RCode::NotFound => sys::RLM_MODULE_NOTFOUND,
        RCode::Noop => sys::RLM_MODULE_NOOP,
        RCode::Updated => sys::RLM_MODULE_UPDATED,
    }
}

unsafe extern "C" fn bootstrap(section: *mut sys::CONF_SECTION, _: *mut c_void) -> c_int {
    // SAFETY: conf-section: the server's, alive during the call.
    guard::run(Hook::Bootstrap, FAILED, || unsafe { add_attribute(section) })
}

unsafe extern "C" fn instantiate(section: *mut sys::CONF_SECTION, instance: *mut c_void) -> c_int {
    // SAFETY: conf-section, instance: the server's, alive during the call.
    guard::run(Hook::Instantiate, FAILED, || unsafe { start(section, instance) })
}

unsafe extern "C" fn detach(instance: *mut c_void) -> c_int {
    // SAFETY: instance: the server's, alive during the call; no hook runs any more.
    guard::run(Hook::Detach, OK, || unsafe { stop(instance) })
}

unsafe extern "C" fn authorize(instance: *mut c_void, request: *mut sys::REQUEST) -> sys::rlm_rcode_t {
    // SAFETY: instance, request: the server's, alive during the call.
    guard::run(Hook::Authorize, FAIL, || unsafe {
        serve(instance, request, |i, r| hooks::authorize(i, r))
    })
}

unsafe extern "C" fn authenticate(instance: *mut c_void, request: *mut sys::REQUEST) -> sys::rlm_rcode_t {
    // SAFETY: instance, request: the server's, alive during the call.
    guard::run(Hook::Authenticate, FAIL, || unsafe {
        serve(instance, request, |i, r| hooks::authenticate(i, r))
    })
}

unsafe extern "C" fn accounting(instance: *mut c_void, request: *mut sys::REQUEST) -> sys::rlm_rcode_t {
    // SAFETY: instance, request: the server's, alive during the call.
    guard::run(Hook::Accounting, FAIL, || unsafe {
        serve(instance, request, |i, r| hooks::accounting(i, r))
    })
}

unsafe extern "C" fn post_auth(instance: *mut c_void, request: *mut sys::REQUEST) -> sys::rlm_rcode_t {
    // SAFETY: instance, request: the server's, alive during the call.
    guard::run(Hook::PostAuth, FAIL, || unsafe {
        serve(instance, request, |i, r| hooks::post_auth(i, r))
    })
}

/// # Safety
/// instance, request: both are what the server called a hook with.
unsafe fn serve(
    instance: *mut c_void,
    request: *mut sys::REQUEST,
    hook: impl FnOnce(&Instance, &mut RequestRef<'_>) -> RCode,
) -> sys::rlm_rcode_t {
    let (Some(instance), Some(request)) = (NonNull::new(instance.cast::<RawInstance>()), NonNull::new(request)) else {
        return FAIL;
    };
    // SAFETY: instance: allocated by the server with our size; hooks only read it.
    let handle = unsafe { (*instance.as_ptr()).handle };
    // SAFETY: instance: NULL, or the box that `start` put there and only `stop` takes away.
    let Some(loaded) = (unsafe { handle.cast::<Loaded>().as_ref() }) else {
        return FAIL;
    };
    RowChecker::serving();
    let _current = log::Current::set(request);
    // SAFETY: request: the caller vouches for it, for as long as this function runs.
    let mut request = unsafe { RequestRef::new(request, &loaded.attributes, &loaded.expansions, &loaded.name) };
    raw(hook(&loaded.instance, &mut request))
}

/// # Safety
/// conf-section: `section` is the server's.
unsafe fn add_attribute(section: *mut sys::CONF_SECTION) -> c_int {
    log::install();
    fault::in_life(Hook::Bootstrap);
    // SAFETY: server-exports: only the main thread runs yet. The name is NUL-terminated.
    let added = |name: &CStr| unsafe { sys::rlm_rust_dict_add_string(name.as_ptr()) };
    if added(REJECT_REASON) && added(RESTRICTED_REASON) && added(DYNAMIC_CLIENT) {
        return OK;
    }
    if let Some(section) = NonNull::new(section) {
        let message = format!("cannot add an attribute to the dictionary: {}", last_error());
        // SAFETY: conf-section: the caller vouches for it.
        unsafe { Section::new(section) }.complain(&Fault::of_section(message));
    }
    FAILED
}

/// # Safety
/// conf-section, instance: both are what the server called `instantiate` with.
unsafe fn start(section: *mut sys::CONF_SECTION, instance: *mut c_void) -> c_int {
    log::install();
    fault::in_life(Hook::Instantiate);
    let (Some(section), Some(raw)) = (NonNull::new(section), NonNull::new(instance.cast::<RawInstance>())) else {
        return FAILED;
    };
    // SAFETY: conf-section: the caller vouches for it.
    let section = unsafe { Section::new(section) };
    if section.complain_of_unknown() > 0 {
        return FAILED;
    }
    // SAFETY: instance: allocated by the server with our size, and filled from our table.
    let values = unsafe { raw.as_ref() }.values();
    // SAFETY: instance: as above; a talloc chunk that lives until after `detach`.
    match values.and_then(|values| unsafe { load(section, &values, instance) }) {
        Ok(loaded) => {
            let handle = loaded.map_or(ptr::null_mut(), |loaded| Box::into_raw(Box::new(loaded)));
            // SAFETY: instance: nobody else looks at it before this returns.
            unsafe { (*raw.as_ptr()).handle = handle.cast() };
            OK
        }
        Err(fault) => {
            section.complain(&fault);
            FAILED
        }
    }
}

/// Check the configuration and start the node; `None` where the server only checks.
///
/// # Safety
/// expansions: `owner` is a talloc chunk that outlives the instance.
unsafe fn load(section: Section, values: &config::Values<'_>, owner: *mut c_void) -> Result<Option<Loaded>, Fault> {
    refuse_other_server()?;
    let Settings {
        node: config,
        vendors: files,
        class,
    } = config::settings(values)?;
    let name = section.name();
    let unresolved = |faults: Vec<String>| Fault::of_section(faults.join("; "));
    let attributes = Attributes::resolve(&name).map_err(unresolved)?;
    let sources = vendors::sources(&files)?;
    let vendors = VendorSet::read(&sources, &ServerDefinitions).map_err(|faults| vendors::fault(&files, &faults))?;
    let attributes = attributes.with_vendors(&vendors).map_err(unresolved)?;
    let config = NodeConfig {
        vendors: Arc::new(vendors),
        ..config
    };
    Node::check(&config).map_err(|why| Fault::from(&why))?;
    // SAFETY: server-exports: reads a global of the server's.
    if unsafe { sys::rlm_rust_check_config() } {
        return Ok(None);
    }
    // SAFETY: expansions: the caller vouches for the owner.
    let expansions = unsafe { Expansions::compile(owner) }.map_err(Fault::of_section)?;
    if attributes.auth_type.is_none() {
        tracing::info!(
            "passwords stored as one-way hashes cannot be verified: no authenticate section has an Auth-Type {}",
            name.to_string_lossy()
        );
    }
    let node = {
        let _blocked = BlockedSignals::new();
        Node::start(config, Arc::new(RowChecker::new())).map_err(|why| Fault::from(&why))?
    };
    Ok(Some(Loaded {
        instance: Instance::new(node, class),
        name: name.to_string_lossy().into_owned(),
        attributes,
        expansions,
    }))
}

/// The server compares its magic number with ours before any of this runs; one built without that check gets a sentence.
fn refuse_other_server() -> Result<(), Fault> {
    // Looked up by name: from 3.2.3 on the server keeps it to itself, and a module linked against it would not load.
    // SAFETY: server-exports: looks a name up among what is loaded.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"radiusd_version_short".as_ptr()) };
    if symbol.is_null() {
        return Ok(());
    }
    // SAFETY: server-exports: a pointer to text that ends in NUL, both of them constant.
    let running = unsafe { CStr::from_ptr(*symbol.cast::<*const c_char>()) }.to_string_lossy();
    if running == BUILT_FOR {
        return Ok(());
    }
    Err(Fault::of_section(format!(
        "this rlm_rust was built for FreeRADIUS {BUILT_FOR} and the running server is {running}: build it again with the \
         headers of {running}"
    )))
}

/// # Safety
/// instance: `instance` is what the server called `detach` with, and no hook runs any more.
unsafe fn stop(instance: *mut c_void) -> c_int {
    let Some(raw) = NonNull::new(instance.cast::<RawInstance>()) else {
        return OK;
    };
    // SAFETY: instance: allocated by the server with our size; nobody else has it any more.
    let handle = unsafe { ptr::replace(&raw mut (*raw.as_ptr()).handle, ptr::null_mut()) };
    if handle.is_null() {
        return OK;
    }
    // SAFETY: instance: the box that `start` put there; it has just been taken away, so this happens once.
    let loaded = unsafe { Box::from_raw(handle.cast::<Loaded>()) };
    fault::in_life(Hook::Detach);
    loaded.instance.into_node().shutdown(SHUTDOWN);
    OK
}

/// All signals blocked on this thread until dropped: threads started meanwhile inherit that, and signals stay the server's.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn new() -> Option<Self> {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: signals: fills the set it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: signals: `all` was filled; `before` is filled on success.
        let changed = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        if changed != 0 {
            return None;
        }
        // SAFETY: signals: filled, since the call succeeded.
        let before = unsafe { before.assume_init() };
        Some(Self { before })
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: signals: a set this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}
