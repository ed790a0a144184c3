//! Records by their fields: the names, the syntax and the checks are those of the command line.

use std::borrow::Cow;
use std::marker::PhantomData;

use ipnet::IpNet;
use isp_core::subscriber::Status;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Fault, Problem, Result};
use crate::field::{Field, Record};

/// A record that the API takes and shows by its fields.
pub(crate) trait Resource: Record + Serialize {
    /// In the document.
    const NAME: &'static str;
    /// Beside the fields and the key: those a new one may be given, which the record is not changed by.
    const GIVEN: &'static [&'static str] = &[];
    /// What a new one cannot be without, beside its key.
    const REQUIRED: &'static [&'static str] = &[];
}

/// What a new one is made of: its key and fields.
#[derive(Debug)]
pub(crate) struct New<R>(Map<String, Value>, PhantomData<R>);

/// What is to change; null clears a field, what is not named stays.
#[derive(Debug)]
pub(crate) struct Changed<R>(Map<String, Value>, PhantomData<R>);

/// As it is shown.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Shown<R>(pub(crate) R);

impl<'de, R> Deserialize<'de> for New<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|map| Self(map, PhantomData))
    }
}

impl<'de, R> Deserialize<'de> for Changed<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|map| Self(map, PhantomData))
    }
}

impl<R: Resource> New<R> {
    /// A text that was given beside the fields.
    pub(crate) fn given(&self, name: &str) -> Option<String> {
        debug_assert!(R::GIVEN.contains(&name));
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Write all that is named into a blank record.
    pub(crate) fn write(&self, record: &mut R) -> Result<()> {
        apply(&self.0, record)
    }
}

impl<R: Resource> Changed<R> {
    pub(crate) fn write(&self, record: &mut R) -> Result<()> {
        apply(&self.0, record)
    }
}

fn apply<R: Resource>(given: &Map<String, Value>, record: &mut R) -> Result<()> {
    let mut faults = Vec::new();
    for (name, value) in given {
        let field = std::iter::once(&R::KEY)
            .chain(R::FIELDS)
            .find(|field| field.name == name);
        let Some(field) = field else { continue };
        let text: Cow<'_, str> = match value {
            Value::Null => Cow::Borrowed(""),
            Value::Bool(true) => Cow::Borrowed("yes"),
            Value::Bool(false) => Cow::Borrowed("no"),
            // Other programs write a prefix as an address in it: the API's routes take that everywhere.
            Value::String(text) if field.value == "PREFIX" => match text.parse::<IpNet>() {
                Ok(net) => Cow::Owned(net.trunc().to_string()),
                Err(_) => Cow::Borrowed(text),
            },
            Value::String(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string()),
        };
        if let Err(detail) = (field.set)(record, &text) {
            let at = format!("/{name}");
            faults.push(Fault { at, detail });
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::unprocessable(faults))
    }
}

/// What a field takes, by what the command line calls its value and what its check lets through.
fn shape<R: Record>(field: &Field<R>) -> Value {
    let takes = |text: &str| (field.set)(&mut R::blank(), text).is_ok();
    let optional = |kind: &str| if takes("") { json!([kind, "null"]) } else { json!(kind) };
    let mut shape = match field.value {
        "YES|NO" => json!({"type": "boolean"}),
        "JSON" => json!({"type": ["object", "null"]}),
        "MAC" => json!({"type": optional("string"), "pattern": "^([0-9A-Fa-f]{2}[:.-]?){5}[0-9A-Fa-f]{2}$"}),
        word => match bounds(&takes) {
            Some((least, most)) => json!({"type": optional("integer"), "minimum": least, "maximum": most}),
            None => {
                let (name, value) = text(word, &takes);
                let most = longest(&takes);
                let mut shape = json!({"type": optional("string"), "minLength": 1, "maxLength": most});
                if value == json!(ANY_TEXT) && !takes(&"\u{fc}".repeat(most / 2 + 1)) {
                    shape["format"] = json!(format!("{OCTETS}{most}"));
                }
                shape[name] = value;
                shape
            }
        },
    };
    shape["description"] = json!(field.help);
    shape
}

/// The least and the greatest whole number that a field takes; `None` where it takes what is no number, too.
fn bounds(takes: &impl Fn(&str) -> bool) -> Option<(i64, i64)> {
    let takes_number = |number: i64| takes(&number.to_string());
    let inside = [1, 60, 0, 1_000].into_iter().find(|number| takes_number(*number));
    let inside = inside.filter(|_| !takes("x") && !takes("-"))?;
    // All between are taken, too: a range.
    let edge = |mut within: i64, mut beyond: i64| {
        while within.abs_diff(beyond) > 1 {
            let middle = i64::midpoint(within, beyond);
            if takes_number(middle) {
                within = middle;
            } else {
                beyond = middle;
            }
        }
        within
    };
    Some((edge(inside, -1), edge(inside, i64::from(u32::MAX) + 1)))
}

/// How long a text may be, in ASCII; what no such text is taken of is short enough by itself.
fn longest(takes: &impl Fn(&str) -> bool) -> usize {
    const MOST: usize = 1_024;
    let fits = |start: &str, length: usize| takes(&format!("{start}{}", "a".repeat(length - start.len())));
    let fit = |length: &usize| {
        ["", "http://"]
            .iter()
            .any(|start| *length > start.len() && fits(start, *length))
    };
    (1..=MOST).rev().find(fit).unwrap_or(MOST)
}

/// What texts of a kind look like; null stands for an empty one.
fn text(word: &str, takes: &impl Fn(&str) -> bool) -> (&'static str, Value) {
    let pattern = |pattern: &str| ("pattern", json!(pattern));
    match word {
        "ADDRESS" | "PREFIX" if !takes("x") => {
            let format = match [takes("192.0.2.1"), takes("2001:db8::1"), takes("192.0.2.0/24")] {
                [true, true, true] => "ip-or-network",
                [true, true, false] => "ip",
                [true, false, _] => "ipv4",
                [false, true, _] => "ipv6",
                [false, false, _] => "ipv6-prefix",
            };
            ("format", json!(format))
        }
        "POLICY" => ("enum", json!(["enforce", "log", "ignore", null])),
        "STATUS" => {
            let states = Status::ALL.iter().map(|status| json!(status.as_str()));
            ("enum", states.collect())
        }
        "TYPE" | "VENDOR" => pattern("^[a-z][a-z0-9_-]{0,29}$"),
        // The only word there is.
        "WORD" => ("enum", json!(["udp", "radclient", "http", "radsec", "none"])),
        "URL" => pattern(r"^https?://[a-z0-9]+([.-][a-z0-9]+)*(/[A-Za-z0-9_.-]+)*$"),
        "HOURS" => {
            pattern("^(Any|(Mo|Tu|We|Th|Fr|Sa|Su|Wk)(([01][0-9]|2[0-3])[0-5][0-9]-([01][0-9]|2[0-3])[0-5][0-9])?)$")
        }
        "LIST" => pattern("^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(,([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})*$"),
        _ => pattern(ANY_TEXT),
    }
}

/// Whatever the script, without control characters.
const ANY_TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";

/// A format of our own: so many octets at most.
pub(super) const OCTETS: &str = "octets-";

/// What is a part of an attribute is as long as its octets in UTF-8, which a document can only say by the script.
pub(super) fn of_octets(most: usize) -> Value {
    json!([
        {"pattern": r"^[\x20-\x7e]+$"},
        {"pattern": r"^[\x20-\x7e\u00a0-\u07ff]+$", "maxLength": most / 2},
        {"maxLength": most / 4},
    ])
}

fn object<R: Resource>(new: bool) -> Value {
    let mut properties = Map::new();
    let mut key = shape(&R::KEY);
    key["type"] = json!("string");
    key["minLength"] = json!(1);
    properties.insert(R::KEY.name.to_owned(), key);
    for field in R::FIELDS {
        properties.insert(field.name.to_owned(), shape(field));
    }
    let mut object = json!({"type": "object"});
    if new {
        for name in R::GIVEN {
            properties.insert(
                (*name).to_owned(),
                json!({"type": "string", "minLength": 1, "maxLength": 255}),
            );
        }
        let required = std::iter::once(&R::KEY.name).chain(R::REQUIRED);
        object["required"] = required.copied().collect();
    }
    object["properties"] = Value::Object(properties);
    object
}

/// The document's own words for what was put together here; there is nothing in it that they have not.
fn schema(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).unwrap_or_else(|_| RefOr::T(Schema::default()))
}

impl<R: Resource> PartialSchema for New<R> {
    fn schema() -> RefOr<Schema> {
        schema(object::<R>(true))
    }
}

impl<R: Resource> ToSchema for New<R> {
    fn name() -> Cow<'static, str> {
        format!("New{}", R::NAME).into()
    }
}

impl<R: Resource> PartialSchema for Changed<R> {
    fn schema() -> RefOr<Schema> {
        schema(object::<R>(false))
    }
}

impl<R: Resource> ToSchema for Changed<R> {
    fn name() -> Cow<'static, str> {
        format!("{}Change", R::NAME).into()
    }
}

impl<R: Resource> PartialSchema for Shown<R> {
    fn schema() -> RefOr<Schema> {
        let described = std::iter::once(&R::KEY).chain(R::FIELDS);
        let properties: Map<String, Value> = described
            .map(|field| (field.name.to_owned(), json!({"description": field.help})))
            .collect();
        schema(json!({"type": "object", "properties": properties, "required": ["tenant_id", R::KEY.name]}))
    }
}

impl<R: Resource> ToSchema for Shown<R> {
    fn name() -> Cow<'static, str> {
        R::NAME.into()
    }
}
