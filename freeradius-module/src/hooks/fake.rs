//! A request without a server.

use std::collections::HashMap;
use std::net::IpAddr;

use isp_core::node::Credential;
use isp_core::policy::Reason;
use isp_core::policy::reply::ReplyItem;
use isp_core::subscriber::RawRow;

use super::{Outcome, PutError, Request};
use crate::attribute::{List, Name, Value};

/// Pairs in lists, and words for values.
#[derive(Debug, Clone, Default)]
pub(super) struct Fake {
    pairs: Vec<(List, Name, Vec<u8>, u32)>,
    words: HashMap<u32, String>,
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
    type Rows = ();

    fn find<const N: usize>(&self, list: List, wanted: [Name; N]) -> [Option<Value<'_>>; N] {
        wanted.map(|name| {
            let pair = self.pairs.iter().find(|pair| pair.0 == list && pair.1 == name)?;
            Some(Value {
                bytes: &pair.2,
                integer: pair.3,
            })
        })
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
        false
    }

    fn outcome(&self) -> Outcome {
        Outcome::Reject
    }

    fn instance_name(&self) -> &str {
        "rust"
    }

    fn give(&mut self, _: &Credential) -> Result<(), PutError> {
        Ok(())
    }

    fn reply(&mut self, _: &[ReplyItem<'_>]) -> Result<(), PutError> {
        Ok(())
    }

    fn build(&self, _: List, _: &[RawRow<'_>]) -> Result<(), String> {
        Ok(())
    }

    fn matches(&mut self, (): &mut ()) -> bool {
        true
    }

    fn merge(&mut self, _: List, (): ()) {}

    fn set_reason(&mut self, _: Reason, _: bool) {}

    fn fail(&mut self, _: &str, _: bool) {}
}
