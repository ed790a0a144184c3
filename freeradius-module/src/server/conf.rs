//! The module's section of the server's configuration.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};

use super::sys;
use crate::config::{Fault, KEYS, Values, unknown};

/// What the server allocates for an instance, and fills with the text of each key.
#[repr(C)]
pub(super) struct RawInstance {
    pub(super) values: [*const c_char; KEYS.len()],
    /// A `Box<Loaded>`, once instantiated.
    pub(super) handle: *mut c_void,
}

impl RawInstance {
    /// The values as text. Nothing is returned where one of them is not UTF-8: its fault is.
    pub(super) fn values(&self) -> Result<Values<'_>, Fault> {
        let mut values = [None; KEYS.len()];
        for ((slot, value), key) in values.iter_mut().zip(self.values).zip(KEYS) {
            if !value.is_null() {
                // SAFETY: conf-values: the server made it, NUL-terminated, and it lives as long as the instance.
                let text = unsafe { CStr::from_ptr(value) };
                *slot = Some(text.to_str().map_err(|_| Fault {
                    key: key.path(),
                    message: format!("{}: is not UTF-8", key.path()),
                })?);
            }
        }
        Ok(values)
    }
}

/// The configuration section of an instance.
#[derive(Clone, Copy)]
pub(super) struct Section(NonNull<sys::CONF_SECTION>);

impl Section {
    /// # Safety
    /// conf-section: `section` is the server's, and alive for as long as this value is used.
    pub(super) const unsafe fn new(section: NonNull<sys::CONF_SECTION>) -> Self {
        Self(section)
    }

    /// Name of the instance: `rust NAME { ... }`, or `rust`.
    pub(super) fn name(self) -> CString {
        // SAFETY: conf-section: alive; both functions return the section's own text or NULL.
        let names = unsafe {
            [
                sys::cf_section_name2(self.0.as_ptr()),
                sys::cf_section_name1(self.0.as_ptr()),
            ]
        };
        let name = names.into_iter().find(|name| !name.is_null());
        // SAFETY: conf-section: not NULL, NUL-terminated, and alive like the section.
        name.map_or_else(|| c"rust".to_owned(), |name| unsafe { CStr::from_ptr(name) }.to_owned())
    }

    /// Log a fault at the key it is about, with file and line.
    pub(super) fn complain(self, fault: &Fault) {
        let (section, name) = fault.key.split_once('.').unwrap_or(("", &fault.key));
        let holder = if section.is_empty() {
            Some(self)
        } else {
            self.subsection(section)
        };
        match holder.and_then(|holder| Some((holder, holder.pair(name)?))) {
            Some((_, pair)) => say(&fault.message, |text| {
                // SAFETY: conf-section: the pair belongs to a section that is alive.
                unsafe { sys::rlm_rust_conf_err_pair(pair.as_ptr(), text.as_ptr()) }
            }),
            None => holder.unwrap_or(self).complain_here(&fault.message),
        }
    }

    fn complain_here(self, message: &str) {
        say(message, |text| {
            // SAFETY: conf-section: alive.
            unsafe { sys::rlm_rust_conf_err_section(self.0.as_ptr(), text.as_ptr()) }
        });
    }

    fn subsection(self, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: conf-section: alive; the result belongs to it.
        NonNull::new(unsafe { sys::cf_section_sub_find(self.0.as_ptr(), name.as_ptr()) }).map(Self)
    }

    fn pair(self, name: &str) -> Option<NonNull<sys::CONF_PAIR>> {
        let name = CString::new(name).ok()?;
        // SAFETY: conf-section: alive; the result belongs to it.
        NonNull::new(unsafe { sys::cf_pair_find(self.0.as_ptr(), name.as_ptr()) })
    }

    /// Complain of every key and section that is none of ours; the server lets them pass. Returns how many there are.
    pub(super) fn complain_of_unknown(self) -> usize {
        self.complain_of_unknown_in("")
    }

    fn complain_of_unknown_in(self, path: &str) -> usize {
        let mut found = 0;
        for item in self.items() {
            match item {
                Item::Pair(pair, name) => {
                    if let Some(message) = unknown(path, &name, false) {
                        found += 1;
                        say(&message, |text| {
                            // SAFETY: conf-section: the pair belongs to a section that is alive.
                            unsafe { sys::rlm_rust_conf_err_pair(pair.as_ptr(), text.as_ptr()) }
                        });
                    }
                }
                Item::Section(section, name) => match unknown(path, &name, true) {
                    Some(message) => {
                        found += 1;
                        section.complain_here(&message);
                    }
                    None => found += section.complain_of_unknown_in(&name),
                },
            }
        }
        found
    }

    fn items(self) -> impl Iterator<Item = Item> {
        let mut last: *const sys::CONF_ITEM = ptr::null();
        std::iter::from_fn(move || {
            loop {
                // SAFETY: conf-section: alive; `last` is NULL or an item of it.
                let item = unsafe { sys::cf_item_find_next(self.0.as_ptr(), last) };
                last = item;
                NonNull::new(item)?;
                // SAFETY: conf-section: a live item; each function checks its kind.
                let (pair, section) = unsafe { (sys::cf_item_is_pair(item), sys::cf_item_is_section(item)) };
                if pair {
                    // SAFETY: conf-section: a live item that is a pair.
                    let pair = NonNull::new(unsafe { sys::cf_item_to_pair(item) })?;
                    // SAFETY: conf-section: a live pair; its name is NUL-terminated.
                    let name = unsafe { CStr::from_ptr(sys::cf_pair_attr(pair.as_ptr())) };
                    return Some(Item::Pair(pair, name.to_string_lossy().into_owned()));
                }
                if section {
                    // SAFETY: conf-section: a live item that is a section.
                    let section = NonNull::new(unsafe { sys::cf_item_to_section(item) })?;
                    // SAFETY: conf-section: a live section; its first name is NUL-terminated.
                    let name = unsafe { CStr::from_ptr(sys::cf_section_name1(section.as_ptr())) };
                    return Some(Item::Section(Self(section), name.to_string_lossy().into_owned()));
                }
            }
        })
    }
}

enum Item {
    Pair(NonNull<sys::CONF_PAIR>, String),
    Section(Section, String),
}

fn say(message: &str, with: impl FnOnce(&CStr)) {
    let clean: String = message.chars().filter(|c| *c != '\0').collect();
    if let Ok(text) = CString::new(clean) {
        with(&text);
    }
}
