//! A request without a server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use isp_core::node::{Client, Credential};
use isp_core::policy::Reason;
use isp_core::policy::reply::ReplyItem;
use isp_core::subscriber::RawRow;

use super::{FallThrough, Outcome, PutError, Request, Taken};
use crate::attribute::{List, Name, Value};

/// Pairs in lists, words for values, and what the hooks did to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fake {
    pub(super) pairs: Vec<(List, Name, Vec<u8>, u32)>,
    pub(super) words: HashMap<u32, String>,
    pub(super) tunnelled: bool,
    /// The packet that this one came inside.
    pub(super) outside: Option<Box<Self>>,
    /// Check items hold.
    pub(super) holds: bool,
    pub(super) too_long: bool,
    /// What giving the credential comes to.
    pub(super) given: Option<PutError>,
    pub(super) done: Vec<String>,
    pub(super) notes: RefCell<Vec<String>>,
}

impl Fake {
    pub(super) fn with(pairs: &[(Name, &[u8])]) -> Self {
        pairs.iter().fold(Self::default(), |fake, (name, bytes)| {
            fake.put(List::Request, *name, bytes)
        })
    }

    pub(super) fn put(mut self, list: List, name: Name, bytes: &[u8]) -> Self {
        self.pairs.push((list, name, bytes.to_owned(), 0));
        self
    }

    pub(super) fn put_integer(mut self, list: List, name: Name, integer: u32) -> Self {
        self.pairs.push((list, name, Vec::new(), integer));
        self
    }

    pub(super) fn word(mut self, value: u32, word: &str) -> Self {
        self.words.insert(value, word.to_owned());
        self
    }
}

impl Request for Fake {
    /// The attribute of the first one.
    type Rows = String;

    fn find<const N: usize>(&self, list: List, wanted: [Name; N]) -> [Option<Value<'_>>; N] {
        wanted.map(|name| {
            let pair = self.pairs.iter().find(|pair| pair.0 == list && pair.1 == name)?;
            Some(Value {
                bytes: &pair.2,
                integer: pair.3,
            })
        })
    }

    fn find_outside<const N: usize>(&self, wanted: [Name; N]) -> [Option<Value<'_>>; N] {
        self.outside.as_deref().unwrap_or(self).find(List::Request, wanted)
    }

    fn all(&self, list: List, wanted: Name) -> impl Iterator<Item = Value<'_>> {
        self.pairs
            .iter()
            .filter(move |pair| pair.0 == list && pair.1 == wanted)
            .map(|pair| Value {
                bytes: &pair.2,
                integer: pair.3,
            })
    }

    fn word(&self, _: Name, value: u32) -> Option<&str> {
        self.words.get(&value).map(String::as_str)
    }

    fn source(&self) -> Option<IpAddr> {
        None
    }

    fn is_tunnelled(&self) -> bool {
        self.tunnelled
    }

    fn outcome(&self) -> Outcome {
        Outcome::Reject
    }

    fn instance_name(&self) -> &str {
        "rust"
    }

    fn give(&mut self, _: &Credential) -> Result<(), PutError> {
        self.done.push("give".to_owned());
        self.given.map_or(Ok(()), Err)
    }

    fn reply(&mut self, items: &[ReplyItem<'_>]) -> Result<(), PutError> {
        self.done.push(format!("reply {}", items.len()));
        Ok(())
    }

    fn take_away<'a>(&mut self, attributes: impl Iterator<Item = Taken<'a>>) {
        let names = attributes.map(|attribute| match attribute {
            Taken::Named(name) => name.as_str().to_owned(),
            Taken::OfVendor(attribute) => attribute.name().to_owned(),
        });
        self.done.extend(names.map(|name| format!("take away {name}")));
    }

    /// A row without an operator is one the server cannot build.
    fn build<'a>(&self, _: List, mut rows: impl Iterator<Item = RawRow<'a>>) -> Result<String, String> {
        match rows.next() {
            Some(row) if row.op.is_empty() => Err(format!("row {}: no operator", row.id)),
            row => Ok(row.map_or("", |row| row.attribute).to_owned()),
        }
    }

    fn fall_through(&self, rows: &String) -> FallThrough {
        match rows.as_str() {
            "yes" => FallThrough::Yes,
            "no" => FallThrough::No,
            _ => FallThrough::Unsaid,
        }
    }

    fn matches(&mut self, rows: &mut String) -> bool {
        self.holds && rows != "fails"
    }

    fn fits(&self) -> Result<(), String> {
        if self.too_long {
            Err("5000 bytes".to_owned())
        } else {
            Ok(())
        }
    }

    fn expand(&mut self, rows: &mut String) -> Result<(), String> {
        if rows == "unfit" {
            Err("Class".to_owned())
        } else {
            Ok(())
        }
    }

    fn merge(&mut self, list: List, _: String) {
        self.done.push(format!("merge {list:?}"));
    }

    fn hold_back(&mut self, delay: Duration) -> Result<(), PutError> {
        self.done.push(format!("hold back {delay:?}"));
        Ok(())
    }

    fn introduce(&mut self, source: IpAddr, client: &Client) -> Result<(), PutError> {
        self.done.push(format!("introduce {source} {}", client.shortname));
        Ok(())
    }

    fn set_reason(&mut self, reason: Reason, conversation: bool) {
        let of = if conversation { "conversation" } else { "request" };
        self.done.push(format!("{reason} of the {of}"));
    }

    fn set_class(&mut self, class: &str) {
        self.done.push(format!("class {class}"));
    }

    fn set_restricted(&mut self, reason: Reason) {
        self.done.push(format!("restricted {reason}"));
    }

    fn note(&self, message: &str) {
        self.notes.borrow_mut().push(message.to_owned());
    }

    fn fail(&mut self, message: &str, loud: bool) {
        self.done.push(format!("fail {loud}: {message}"));
    }
}
