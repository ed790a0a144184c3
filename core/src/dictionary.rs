//! The server's attribute dictionary, as far as this library needs it.

use crate::subscriber::AttributeRow;

/// Which list of the server a row goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowList {
    Check,
    Reply,
}

/// Resolves attribute names. The module answers from the running server's dictionaries; a tool without one uses [`AnyAttribute`].
pub trait Dictionary: Send + Sync + 'static {
    /// Can the server build this row? `Err` says in one sentence why not (unknown attribute with the nearest names, bad value, bad operator).
    ///
    /// # Errors
    /// The sentence for the operator.
    fn check_row(&self, list: RowList, row: &AttributeRow) -> Result<(), String>;
}

/// Takes every row as it is.
#[derive(Debug, Clone, Copy)]
pub struct AnyAttribute;

impl Dictionary for AnyAttribute {
    fn check_row(&self, _: RowList, _: &AttributeRow) -> Result<(), String> {
        Ok(())
    }
}
