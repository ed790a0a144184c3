//! What attributes are called and what their values are, as FreeRADIUS writes it down in its dictionaries.
//!
//! ```
//! use isp_core::radius::Dictionary;
//! let dictionary = Dictionary::builtin();
//! let pair = dictionary.parse("Mikrotik-Rate-Limit = \"1M/2M\"")?;
//! let mut attributes = Vec::new();
//! dictionary.encode(&[pair], None, &mut attributes)?;
//! let pairs = dictionary.decode(&attributes, None);
//! assert_eq!(dictionary.print(&pairs[0]).to_string(), "Mikrotik-Rate-Limit = \"1M/2M\"");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod file;
mod kind;
#[cfg(test)]
mod tests;
mod text;

use std::sync::LazyLock;

pub use encode::PairError;
pub use file::DictionaryError;
pub use kind::Kind;
pub use text::TextError;

use super::{Authenticator, SharedSecret};

type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// Vendor-Specific, in and outside of extended attributes.
const VSA: u32 = 26;

/// Attributes by name and by number.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    entries: Vec<Entry>,
    /// By name in lower case.
    names: HashMap<String, usize>,
    paths: HashMap<Path, usize>,
    vendors: HashMap<u32, Vendor>,
}

/// Where an attribute is: `[44]`, `[26, vendor, number]`, `[241, number]`, `[241, 26, vendor, number]`, and the numbers of
/// TLVs behind it.
pub type Path = Vec<u32>;

/// An attribute as a dictionary defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub path: Path,
    pub kind: Kind,
    /// Whether a tag stands before the value (RFC 2868 section 3).
    pub tagged: bool,
    pub encryption: Encryption,
    /// Words for numbers.
    words: Vec<(String, u64)>,
}

impl Entry {
    fn word(&self, number: u64) -> Option<&str> {
        let found = self.words.iter().find(|(_, known)| *known == number);
        found.map(|(word, _)| word.as_str())
    }

    /// What a word stands for, in whatever case.
    #[must_use]
    pub fn number(&self, word: &str) -> Option<u64> {
        let found = self.words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        found.map(|(_, number)| *number)
    }
}

/// How a value is hidden under the shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    #[default]
    None,
    /// As User-Password (RFC 2865 section 5.2).
    UserPassword,
    /// With a salt, as Tunnel-Password (RFC 2868 section 3.5).
    TunnelPassword,
    /// As Ascend-Send-Secret; such values are left as they are.
    Ascend,
}

/// How wide the numbers and lengths of a vendor's attributes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vendor {
    /// Octets of a number: 1, 2 or 4.
    number: usize,
    /// Octets of a length: 0 (to the end), 1 or 2.
    length: usize,
    /// An octet follows that says whether the value goes on in the next attribute.
    continued: bool,
}

/// RFC 2865 section 5.26.
impl Default for Vendor {
    fn default() -> Self {
        Self {
            number: 1,
            length: 1,
            continued: false,
        }
    }
}

/// What values are hidden with.
#[derive(Debug, Clone, Copy)]
pub struct Cipher<'a> {
    pub secret: &'a SharedSecret,
    /// Of the request, in replies, too. What RFC 5176 sends is hidden over zeros, as its authenticator is a digest.
    pub authenticator: Authenticator,
}

/// One attribute with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    pub path: Path,
    /// Where the attribute takes one.
    pub tag: Option<u8>,
    /// In the form of the wire, without tag and in clear.
    pub value: Vec<u8>,
    /// The value is the wire's, whatever the dictionary says of the attribute: hidden, or not of its form.
    pub raw: bool,
}

/// The number and the length: a value may be a password.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", text::attr(&self.path), self.value.len())
    }
}

impl Dictionary {
    /// Without a single attribute.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// What orders to NAS are made of: the RFCs' attributes of sessions and those of `vendors.toml`. Needs no file.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Dictionary> = LazyLock::new(|| {
            let mut dictionary = Dictionary::empty();
            // A test reads it without an error.
            let _ = dictionary.add(include_str!("builtin.dictionary"));
            dictionary
        });
        &BUILTIN
    }

    /// By name, in whatever case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.names.get(&name.to_ascii_lowercase())?)
    }

    #[must_use]
    pub fn at(&self, path: &[u32]) -> Option<&Entry> {
        self.entries.get(*self.paths.get(path)?)
    }

    /// How many attributes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn vendor(&self, vendor: u32) -> Vendor {
        self.vendors.get(&vendor).copied().unwrap_or_default()
    }

    /// A later definition stands above an earlier one.
    fn define(&mut self, entry: Entry) {
        let at = self.entries.len();
        self.names.insert(entry.name.to_ascii_lowercase(), at);
        self.paths.insert(entry.path.clone(), at);
        self.entries.push(entry);
    }
}

/// Numbers of a path that stand before TLVs.
fn head(path: &[u32]) -> usize {
    match path {
        [VSA, ..] => 3,
        [241..=246, VSA, ..] => 4,
        [241..=246, ..] => 2,
        _ => 1,
    }
}

/// Does an octet follow that tells of fragments (RFC 6929 section 2.2)?
const fn is_long(number: u32) -> bool {
    matches!(number, 245 | 246)
}

const fn is_extended(number: u32) -> bool {
    matches!(number, 241..=246)
}
