//! Rows of radcheck and radreply as pairs of the server's.

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::ptr;

use super::request::RequestRef;
use super::sys;
use crate::attribute::List;
use crate::expansion;

/// Pairs built from raw rows, not yet in any list.
pub(super) struct Rows<'r> {
    pub(super) first: *mut sys::VALUE_PAIR,
    /// The talloc chunk they belong to, or NULL.
    owner: *mut c_void,
    request: PhantomData<&'r ()>,
}

impl<'r> Rows<'r> {
    /// Pairs that belong to no request.
    pub(super) const fn of_nobody() -> Self {
        Self {
            first: ptr::null_mut(),
            owner: ptr::null_mut(),
            request: PhantomData,
        }
    }

    /// Pairs for a list of a request.
    pub(super) fn for_list(request: &RequestRef<'r>, list: List) -> Self {
        Self {
            owner: request.owner_of(list),
            ..Self::of_nobody()
        }
    }

    /// Build one more.
    pub(super) fn append(&mut self, attribute: &str, op: &str, value: &str) -> Result<(), String> {
        expansion::check(value)?;
        let [attribute, op, value] = [attribute, op, value].map(CString::new);
        let (Ok(attribute), Ok(op), Ok(value)) = (attribute, op, value) else {
            return Err("it holds a NUL".to_owned());
        };
        let (owner, first) = (self.owner, &raw mut self.first);
        // SAFETY: rows: the list is ours alone; the texts are NUL-terminated and copied.
        let built =
            unsafe { sys::rlm_rust_pairs_append_row(owner, first, attribute.as_ptr(), op.as_ptr(), value.as_ptr()) };
        if built { Ok(()) } else { Err(UNFIT.to_owned()) }
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        // SAFETY: rows: the list is ours alone; an empty one is NULL, which is legal.
        unsafe { sys::fr_pair_list_free(&raw mut self.first) };
    }
}

/// Why a row is refused. The server's own words would quote the value.
const UNFIT: &str = "the server knows no such attribute, or the operator or the value does not fit it (the value is not \
                     shown: it may be a secret)";
