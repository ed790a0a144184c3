//! One attribute of a reply, as a vendor's templates give it.

use std::borrow::Cow;

use super::template::Template;
use super::term::{Differing, Term, Terms};
use crate::dictionary::{Definition, Definitions, Kind};
use crate::policy::reply::Value;

/// An attribute that vendors' templates name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VendorAttribute {
    pub(super) name: Box<str>,
    pub(super) index: u16,
    pub(super) longest: usize,
}

impl VendorAttribute {
    /// The dictionary's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its place among [`VendorSet::attributes`](super::VendorSet::attributes).
    #[must_use]
    pub fn index(&self) -> usize {
        usize::from(self.index)
    }
}

/// An attribute with what its value is made of: the first alternative that can be filled, or else there is none.
#[derive(Debug, Clone)]
pub struct Item {
    pub(super) attribute: VendorAttribute,
    pub(super) tag: u8,
    pub(super) alternatives: Box<[Alternative]>,
    pub(super) of: Differing,
}

#[derive(Debug, Clone)]
pub(super) struct Alternative {
    /// At least one of these must be there; empty = no matter.
    any: Box<[&'static Term]>,
    form: Form,
    /// As it is in the file.
    source: Box<str>,
}

#[derive(Debug, Clone)]
enum Form {
    Text(Template),
    Number(Template),
    Fixed(Value<'static>),
}

/// A value that does not fit into its attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{attribute} would be {length} bytes long, and at most {longest} fit")]
pub struct TooLong {
    pub attribute: String,
    pub length: usize,
    pub longest: usize,
}

impl Item {
    #[must_use]
    pub fn attribute(&self) -> &VendorAttribute {
        &self.attribute
    }

    /// 0 = untagged (RFC 2868 section 3).
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The templates as the file has them, in order.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.alternatives.iter().map(|alternative| &*alternative.source)
    }

    /// Its value for these terms, if it has one.
    ///
    /// # Errors
    /// The value does not fit into the attribute.
    pub(super) fn fill(&self, terms: &Terms<'_>) -> Result<Option<Value<'static>>, TooLong> {
        let Some(value) = self.alternatives.iter().find_map(|alternative| alternative.fill(terms)) else {
            return Ok(None);
        };
        match &value {
            Value::Text(text) if text.len() > self.attribute.longest => Err(TooLong {
                attribute: self.attribute.name.to_string(),
                length: text.len(),
                longest: self.attribute.longest,
            }),
            _ => Ok(Some(value)),
        }
    }
}

impl Alternative {
    /// # Errors
    /// The template is malformed, or its values are none that the attribute takes.
    pub(super) fn new(
        source: &str,
        any: Box<[&'static Term]>,
        attribute: &str,
        definition: &Definition,
        definitions: &dyn Definitions,
    ) -> Result<Self, String> {
        let template = Template::parse(source)?;
        let form = match (definition.kind, template.literal()) {
            (Kind::Text, Some("")) => return Err(format!("{attribute} has an empty value, which no attribute can")),
            (Kind::Text, _) => Form::Text(template),
            (Kind::Integer, Some(literal)) => Form::Fixed(Value::Integer(match literal.parse() {
                Ok(number) => number,
                Err(_) => definitions.word(attribute, literal)?,
            })),
            (Kind::Integer, None) if template.is_number() => Form::Number(template),
            (kind, literal) => literal
                .and_then(|literal| fixed(kind, literal))
                .map(Form::Fixed)
                .ok_or_else(|| format!("{attribute} takes {}, which {source:?} is not", kind.noun()))?,
        };
        Ok(Self {
            any,
            form,
            source: source.into(),
        })
    }

    pub(super) fn of(&self) -> Differing {
        let form = match &self.form {
            Form::Text(template) | Form::Number(template) => template.of(),
            Form::Fixed(_) => Differing::NONE,
        };
        self.any.iter().fold(form, |all, term| all.and(term.of))
    }

    fn fill(&self, terms: &Terms<'_>) -> Option<Value<'static>> {
        if !self.any.is_empty() && !self.any.iter().any(|term| term.is_in(terms)) {
            return None;
        }
        match &self.form {
            Form::Text(template) => template.text(terms).map(|text| Value::Text(Cow::Owned(text))),
            // The most that the attribute can say is closest to what is meant.
            Form::Number(template) => template
                .number(terms)
                .map(|number| Value::Integer(u32::try_from(number).unwrap_or(u32::MAX))),
            Form::Fixed(value) => Some(value.clone()),
        }
    }
}

fn fixed(kind: Kind, literal: &str) -> Option<Value<'static>> {
    match kind {
        Kind::Text | Kind::Integer => None,
        Kind::Ipv4 => literal.parse().ok().map(Value::Ipv4),
        Kind::Ipv6 => literal.parse().ok().map(Value::Ipv6),
        Kind::Ipv6Prefix => literal.parse().ok().map(Value::Ipv6Prefix),
    }
}
