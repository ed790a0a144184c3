//! The file of vendors as it is written, every part with its place.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::coa::{Request, SessionKey};

pub(super) type Text = Spanned<String>;

/// By tenant: a vendor, and the one that takes its place.
pub(super) type Tenants = BTreeMap<String, BTreeMap<Text, Text>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) vendor: BTreeMap<Text, VendorTable>,
    #[serde(default)]
    pub(super) tenant: Tenants,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VendorTable {
    #[serde(default)]
    pub(super) description: String,
    /// Empty = none.
    pub(super) extends: Option<Text>,
    /// Attributes of the vendor extended that this one has not.
    #[serde(default)]
    pub(super) without: Vec<Text>,
    #[serde(default)]
    pub(super) reply: Vec<ItemTable>,
    #[serde(default)]
    pub(super) coa: CoaTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemTable {
    pub(super) attribute: Text,
    pub(super) value: Spanned<Alternatives>,
    pub(super) tag: Option<Spanned<u8>>,
}

/// A template, or a list of them.
#[derive(Debug)]
pub(super) struct Alternatives(pub(super) Vec<AlternativeTable>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlternativeTable {
    #[serde(default)]
    pub(super) any: Vec<String>,
    #[serde(deserialize_with = "text_or_number")]
    pub(super) value: String,
}

/// Each key is inherited by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoaTable {
    pub(super) port: Option<u16>,
    pub(super) request: Option<Request>,
    pub(super) attributes: Option<Vec<Text>>,
    pub(super) session: Option<Vec<Vec<SessionKey>>>,
    pub(super) together: Option<Vec<Vec<Text>>>,
    pub(super) undo: Option<Vec<UndoTable>>,
    pub(super) signed_answers: Option<bool>,
    pub(super) notes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoTable {
    pub(super) attribute: Text,
    /// The attribute that takes it back, where that is another one.
    pub(super) by: Option<Text>,
    pub(super) value: Option<Text>,
    #[serde(default)]
    pub(super) disconnect: bool,
    /// Another value does not take its place.
    #[serde(default)]
    pub(super) adds: bool,
}

/// Something wrong, and where in the text.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Problem {
    pub(super) fn at<T>(place: &Spanned<T>, what: impl Into<String>) -> Self {
        Self {
            at: place.span().start,
            what: what.into(),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<File, Problem> {
    toml::from_str(text).map_err(|error| Problem {
        at: error.span().map_or(0, |span| span.start),
        what: error.message().to_owned(),
    })
}

pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(TextOrNumber)
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a template or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

impl<'de> Deserialize<'de> for Alternatives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        struct Many;

        /// What a bare template, a number and a table have in common.
        struct Single(AlternativeTable);

        impl<'de> Deserialize<'de> for Single {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(One).map(Self)
            }
        }

        impl<'de> Visitor<'de> for One {
            type Value = AlternativeTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a template, a number, or a table of any and value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AlternativeTable, E> {
                Ok(AlternativeTable {
                    any: Vec::new(),
                    value: text.to_owned(),
                })
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<AlternativeTable, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AlternativeTable, A::Error> {
                AlternativeTable::deserialize(de::value::MapAccessDeserializer::new(map))
            }
        }

        impl<'de> Visitor<'de> for Many {
            type Value = Alternatives;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a template, a number, or a list of templates")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Alternatives, E> {
                One.visit_str(text).map(|one| Alternatives(vec![one]))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Alternatives, E> {
                One.visit_i64(number).map(|one| Alternatives(vec![one]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Alternatives, A::Error> {
                One.visit_map(map).map(|one| Alternatives(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Alternatives, A::Error> {
                let mut all = Vec::new();
                while let Some(Single(one)) = list.next_element()? {
                    all.push(one);
                }
                Ok(Alternatives(all))
            }
        }

        deserializer.deserialize_any(Many)
    }
}
