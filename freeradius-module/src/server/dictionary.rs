//! The server's attribute dictionary.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;

use isp_core::dictionary::{Definition, Definitions, Dictionary, Kind, RowList};
use isp_core::policy::reply::Attribute;
use isp_core::policy::vendor::VendorSet;
use isp_core::subscriber::AttributeRow;

use super::rows::Rows;
use super::sys;
use crate::attribute::Name;
use crate::guard::{self, Hook};
use crate::suggest;

/// Unknown names whose suggestion is remembered; a table full of typing errors holds few different ones.
const REMEMBERED: usize = 1_000;

type Entry = NonNull<sys::DICT_ATTR>;

/// The dictionary's entries for all the names the hooks use, looked up once.
pub(super) struct Attributes {
    /// `None` = not in this dictionary; no pair has it then.
    names: [Option<Entry>; Name::ALL.len()],
    reply: Reply,
    /// By the index of the vendors' attribute.
    vendors: Box<[Entry]>,
    /// Value of Auth-Type that makes the server call this instance to authenticate.
    pub(super) auth_type: Option<u32>,
}

macro_rules! reply {
    ($($field:ident: $attribute:ident = $kind:ident,)*) => {
        /// The entries for what the policy itself writes.
        struct Reply {
            $($field: Entry,)*
        }

        impl Reply {
            fn resolve(faults: &mut Vec<String>) -> Self {
                Self {
                    $($field: typed(Attribute::$attribute, sys::$kind).unwrap_or_else(|why| {
                        faults.push(why);
                        Entry::dangling()
                    }),)*
                }
            }
        }

        impl Attributes {
            pub(super) fn reply(&self, attribute: Attribute<'_>) -> *const sys::DICT_ATTR {
                match attribute {
                    $(Attribute::$attribute => self.reply.$field.as_ptr(),)*
                    Attribute::Vendor(attribute) => {
                        self.vendors.get(attribute.index()).map_or(ptr::null(), |entry| entry.as_ptr())
                    }
                }
            }
        }
    };
}

reply! {
    user_name: UserName = PW_TYPE_STRING,
    framed_ip_address: FramedIpAddress = PW_TYPE_IPV4_ADDR,
    framed_ipv6_address: FramedIpv6Address = PW_TYPE_IPV6_ADDR,
    framed_ipv6_prefix: FramedIpv6Prefix = PW_TYPE_IPV6_PREFIX,
    delegated_ipv6_prefix: DelegatedIpv6Prefix = PW_TYPE_IPV6_PREFIX,
    session_timeout: SessionTimeout = PW_TYPE_INTEGER,
    idle_timeout: IdleTimeout = PW_TYPE_INTEGER,
    acct_interim_interval: AcctInterimInterval = PW_TYPE_INTEGER,
    tunnel_type: TunnelType = PW_TYPE_INTEGER,
    tunnel_medium_type: TunnelMediumType = PW_TYPE_INTEGER,
    tunnel_private_group_id: TunnelPrivateGroupId = PW_TYPE_STRING,
}

// SAFETY: dictionary-entries: they are never freed or changed while the server runs.
unsafe impl Send for Attributes {}
// SAFETY: dictionary-entries: as above.
unsafe impl Sync for Attributes {}

impl Attributes {
    /// Look all of them up. `instance` is the name of the module's instance.
    pub(super) fn resolve(instance: &CStr) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let names = Name::ALL.map(|name| {
            let found = lookup(name.as_str());
            found
                .map_err(|why| {
                    if !name.is_optional() {
                        faults.push(why)
                    }
                })
                .ok()
        });
        let reply = Reply::resolve(&mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut resolved = Self {
            names,
            reply,
            vendors: Box::default(),
            auth_type: None,
        };
        let mut value = 0;
        let entry = resolved.name(Name::AuthType);
        // SAFETY: dictionary-entries: a live entry; `value` outlives the call.
        if unsafe { sys::rlm_rust_dict_value(entry, instance.as_ptr(), &raw mut value) } {
            resolved.auth_type = Some(value);
        }
        Ok(resolved)
    }

    pub(super) fn name(&self, name: Name) -> *const sys::DICT_ATTR {
        self.names
            .get(name as usize)
            .and_then(|entry| entry.as_ref())
            .map_or(ptr::null(), |entry| entry.as_ptr())
    }

    /// Look up what the vendors' templates write, so that no login has to.
    pub(super) fn with_vendors(mut self, vendors: &VendorSet) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let entries = vendors.attributes().iter().map(|attribute| {
            lookup(attribute.name()).unwrap_or_else(|why| {
                faults.push(why);
                Entry::dangling()
            })
        });
        self.vendors = entries.collect();
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    /// The dictionary's word for a value.
    pub(super) fn word(&self, name: Name, value: u32) -> Option<&str> {
        word_of(self.name(name), value)
    }
}

fn find(name: &CStr) -> Option<Entry> {
    // SAFETY: server-exports: reads the dictionary.
    NonNull::new(unsafe { sys::rlm_rust_dict_find(name.as_ptr()) }.cast_mut())
}

fn lookup(name: &str) -> Result<Entry, String> {
    CString::new(name)
        .ok()
        .and_then(|name| find(&name))
        .ok_or_else(|| format!("the server's dictionary has no attribute {name}{}", hint(name)))
}

/// The entry of an attribute the policy writes, if it has the type the policy's value has.
fn typed(attribute: Attribute<'_>, expected: sys::PW_TYPE) -> Result<Entry, String> {
    let entry = lookup(attribute.name())?;
    // SAFETY: dictionary-entries: a live entry.
    if unsafe { sys::rlm_rust_dict_type(entry.as_ptr()) } == expected {
        Ok(entry)
    } else {
        Err(format!(
            "the server's dictionary gives {} another type",
            attribute.name()
        ))
    }
}

/// What the server's dictionaries say of the attributes that vendors' templates name.
pub(super) struct ServerDefinitions;

/// No dictionary has larger words than this; those past it go unsuggested.
const LARGEST_WORD: u32 = 0xffff;

impl Definitions for ServerDefinitions {
    fn define(&self, attribute: &str) -> Result<Definition, String> {
        let entry = lookup(attribute)?;
        // SAFETY: dictionary-entries: a live entry.
        let (kind, longest, tagged) = unsafe {
            (
                sys::rlm_rust_dict_type(entry.as_ptr()),
                sys::rlm_rust_dict_room(entry.as_ptr()),
                sys::rlm_rust_dict_has_tag(entry.as_ptr()),
            )
        };
        if longest == 0 {
            return Err(format!("{attribute} is the server's own: no packet carries it"));
        }
        let kind = match kind {
            sys::PW_TYPE_STRING | sys::PW_TYPE_OCTETS => Kind::Text,
            sys::PW_TYPE_INTEGER => Kind::Integer,
            sys::PW_TYPE_IPV4_ADDR => Kind::Ipv4,
            sys::PW_TYPE_IPV6_ADDR => Kind::Ipv6,
            sys::PW_TYPE_IPV6_PREFIX => Kind::Ipv6Prefix,
            _ => {
                return Err(format!(
                    "{attribute} has a type in the server's dictionary that a template cannot give"
                ));
            }
        };
        Ok(Definition { kind, longest, tagged })
    }

    fn word(&self, attribute: &str, word: &str) -> Result<u32, String> {
        let entry = lookup(attribute)?;
        let mut value = 0;
        let found = CString::new(word)
            // SAFETY: dictionary-entries: a live entry; the word is NUL-terminated, and `value` outlives the call.
            .is_ok_and(|word| unsafe { sys::rlm_rust_dict_value(entry.as_ptr(), word.as_ptr(), &raw mut value) });
        if found {
            return Ok(value);
        }
        let words: Vec<&str> = (0..=LARGEST_WORD)
            .filter_map(|value| word_of(entry.as_ptr(), value))
            .collect();
        Err(format!(
            "the server's dictionary has no value {word} of {attribute}, and it is no number up to {}{}",
            u32::MAX,
            suggest::hint(word, words)
        ))
    }
}

/// The dictionary's word for a value, which lives as long as the dictionary.
fn word_of<'a>(entry: *const sys::DICT_ATTR, value: u32) -> Option<&'a str> {
    // SAFETY: dictionary-entries: a live entry; the word lives as long as the dictionary.
    let word = unsafe { sys::rlm_rust_dict_word(entry, value) };
    if word.is_null() {
        return None;
    }
    // SAFETY: dictionary-entries: not NULL, NUL-terminated.
    unsafe { CStr::from_ptr(word) }.to_str().ok()
}

/// `" (did you mean ...?)"` out of all names of the dictionary.
fn hint(name: &str) -> String {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(all_names);
    suggest::hint(name, names.iter().map(String::as_str))
}

fn all_names() -> Vec<String> {
    unsafe extern "C" fn collect(names: *mut c_void, entry: *mut c_void) -> c_int {
        guard::run(Hook::Callback, -1, || {
            // SAFETY: dict-walk: `names` is the vector handed to dict_walk below, and nobody else has it meanwhile.
            let names = unsafe { &mut *names.cast::<Vec<String>>() };
            // SAFETY: dict-walk: a live entry; its name is NUL-terminated.
            let name = unsafe { CStr::from_ptr(sys::rlm_rust_dict_name(entry.cast())) };
            names.push(name.to_string_lossy().into_owned());
            0
        })
    }

    let mut names: Vec<String> = Vec::new();
    // SAFETY: dict-walk: calls `collect` on this thread only, and returns when it is done.
    unsafe { sys::dict_walk(Some(collect), (&raw mut names).cast()) };
    names
}

/// Checks rows of `radcheck` and `radreply` by building them.
pub(super) struct RowChecker {
    /// The thread that starts the server.
    starter: ThreadId,
    hints: Mutex<HashMap<String, String>>,
}

/// Whether requests are served, so that no module is being started any more.
static SERVING: AtomicBool = AtomicBool::new(false);

impl RowChecker {
    /// A checker for the thread that starts the server.
    pub(super) fn new() -> Self {
        Self {
            starter: std::thread::current().id(),
            hints: Mutex::new(HashMap::new()),
        }
    }

    /// Called by every hook that serves a request.
    pub(super) fn serving() {
        if !SERVING.load(Ordering::Relaxed) {
            SERVING.store(true, Ordering::Relaxed);
        }
    }

    /// Modules that start after this one may still add to the dictionary, which is not made for being read meanwhile.
    fn may_look(&self) -> bool {
        SERVING.load(Ordering::Relaxed) || std::thread::current().id() == self.starter
    }

    fn remembered_hint(&self, name: &str) -> String {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hints.get(name) {
            return known.clone();
        }
        let fresh = hint(name);
        if hints.len() < REMEMBERED {
            hints.insert(name.to_owned(), fresh.clone());
        }
        fresh
    }
}

impl Dictionary for RowChecker {
    fn check_row(&self, _: RowList, row: &AttributeRow) -> Result<(), String> {
        if !self.may_look() {
            // It is built again, and refused if need be, when it is used.
            return Ok(());
        }
        let mut rows = Rows::of_nobody();
        let Err(why) = rows.append(&row.attribute, &row.op, &row.value) else {
            return Ok(());
        };
        let known = CString::new(row.attribute.as_str()).ok().and_then(|name| find(&name));
        if known.is_some() {
            Err(why)
        } else {
            let hint = self.remembered_hint(&row.attribute);
            Err(format!(
                "the server's dictionary has no attribute {}{hint}",
                row.attribute
            ))
        }
    }
}
