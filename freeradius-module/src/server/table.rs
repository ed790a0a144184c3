//! The keys of the configuration as the table the server parses its files with. All of it is made by the compiler.
#![expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where an index out of bounds is an error"
)]

use std::ffi::{CStr, c_char, c_int};
use std::mem::offset_of;
use std::ptr;

use super::conf::RawInstance;
use super::sys;
use crate::config::{KEYS, Key, SECTIONS};

/// A table of keys as the server wants it: rows, and one that ends it.
#[repr(transparent)]
pub(super) struct Table<const ROWS: usize>([sys::CONF_PARSER; ROWS]);

// SAFETY: conf-tables: the pointers in it are to statics that nothing writes to.
unsafe impl<const ROWS: usize> Sync for Table<ROWS> {}

impl<const ROWS: usize> Table<ROWS> {
    pub(super) const fn as_ptr(&self) -> *const sys::CONF_PARSER {
        self.0.as_ptr()
    }
}

const END: sys::CONF_PARSER = sys::CONF_PARSER {
    name: ptr::null(),
    type_: -1,
    offset: 0,
    data: ptr::null_mut(),
    dflt: ptr::null(),
};

const fn same(left: &CStr, right: &CStr) -> bool {
    let (left, right) = (left.to_bytes(), right.to_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

const fn count(section: &CStr) -> usize {
    let (mut index, mut count) = (0, 0);
    while index < KEYS.len() {
        if same(KEYS[index].section, section) {
            count += 1;
        }
        index += 1;
    }
    count
}

const fn row(index: usize, key: &Key) -> sys::CONF_PARSER {
    let mut kind = sys::PW_TYPE_STRING as c_int;
    if key.required {
        kind |= sys::PW_TYPE_REQUIRED as c_int;
    }
    if key.secret {
        kind |= sys::PW_TYPE_SECRET as c_int;
    }
    sys::CONF_PARSER {
        name: key.name.as_ptr(),
        type_: kind,
        offset: offset_of!(RawInstance, values) + index * size_of::<*const c_char>(),
        data: ptr::null_mut(),
        dflt: match key.default {
            Some(default) => default.as_ptr().cast(),
            None => ptr::null(),
        },
    }
}

/// The rows of one section.
const fn rows<const ROWS: usize>(section: &CStr) -> [sys::CONF_PARSER; ROWS] {
    let mut rows = [END; ROWS];
    let (mut index, mut next) = (0, 0);
    while index < KEYS.len() {
        if same(KEYS[index].section, section) {
            rows[next] = row(index, &KEYS[index]);
            next += 1;
        }
        index += 1;
    }
    rows
}

macro_rules! section {
    ($table:ident, $index:literal) => {
        static $table: Table<{ count(SECTIONS[$index]) + 1 }> = Table(rows(SECTIONS[$index]));
    };
}
section!(DATABASE, 0);
section!(SNAPSHOT, 1);
section!(ACCOUNTING, 2);
section!(SESSIONS, 3);
section!(POST_AUTH, 4);
section!(LOCKOUT, 5);

const TOP_KEYS: usize = count(c"");

/// The whole table.
pub(super) static TABLE: Table<{ TOP_KEYS + SECTIONS.len() + 1 }> = {
    let mut table = rows(c"");
    let sections = [
        DATABASE.as_ptr(),
        SNAPSHOT.as_ptr(),
        ACCOUNTING.as_ptr(),
        SESSIONS.as_ptr(),
        POST_AUTH.as_ptr(),
        LOCKOUT.as_ptr(),
    ];
    let mut index = 0;
    while index < SECTIONS.len() {
        table[TOP_KEYS + index] = sys::CONF_PARSER {
            name: SECTIONS[index].as_ptr(),
            type_: sys::PW_TYPE_SUBSECTION as c_int,
            offset: 0,
            data: ptr::null_mut(),
            dflt: sections[index].cast(),
        };
        index += 1;
    }
    Table(table)
};
