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

/// The kinds of values that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, or bytes given as text.
    Text,
    /// 32 bits, or a word that stands for them.
    Integer,
    Ipv4,
    Ipv6,
    Ipv6Prefix,
}

impl Kind {
    /// For the sentence "it takes ...".
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "a number or one of its words",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Ipv6Prefix => "an IPv6 prefix",
        }
    }
}

/// An attribute as the dictionary defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    pub kind: Kind,
    /// The most bytes that a text can have.
    pub longest: usize,
    /// Whether it carries a tag (RFC 2868 section 3).
    pub tagged: bool,
}

/// Says what attributes are. The module answers from the running server's dictionaries.
pub trait Definitions {
    /// # Errors
    /// There is no such attribute (with the nearest names), or none that can be written: a sentence for the operator.
    fn define(&self, attribute: &str) -> Result<Definition, String>;

    /// The number that a word stands for.
    ///
    /// # Errors
    /// There is no such word for this attribute (with the nearest ones): a sentence for the operator.
    fn word(&self, attribute: &str, word: &str) -> Result<u32, String>;
}

/// Takes every row and every attribute as it is.
#[derive(Debug, Clone, Copy)]
pub struct AnyAttribute;

impl Dictionary for AnyAttribute {
    fn check_row(&self, _: RowList, _: &AttributeRow) -> Result<(), String> {
        Ok(())
    }
}

impl Definitions for AnyAttribute {
    fn define(&self, _: &str) -> Result<Definition, String> {
        Ok(Definition {
            kind: Kind::Text,
            // RFC 2865 section 5.
            longest: 253,
            tagged: true,
        })
    }

    fn word(&self, attribute: &str, word: &str) -> Result<u32, String> {
        Err(format!("no dictionary says what {word} is of {attribute}"))
    }
}
