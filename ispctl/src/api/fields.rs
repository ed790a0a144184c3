//! Records by their fields: the names, the syntax and the checks are those of the command line.

use std::borrow::Cow;
use std::marker::PhantomData;

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

/// What a field takes, by what the command line calls its value.
fn shape<R>(field: &Field<R>) -> Value {
    let mut shape = match field.value {
        "SECONDS" | "RATE" | "MILLISECONDS" => json!({"type": ["integer", "null"], "minimum": 1, "maximum": i32::MAX}),
        "VLAN" => json!({"type": ["integer", "null"], "minimum": 1, "maximum": 4094}),
        "PORT" => json!({"type": ["integer", "null"], "minimum": 1, "maximum": u16::MAX}),
        "1-8" => json!({"type": ["integer", "null"], "minimum": 1, "maximum": 8}),
        "YES|NO" => json!({"type": "boolean"}),
        "NUMBER" | "LENGTH" => json!({"type": ["integer", "null"], "minimum": 0, "maximum": i32::MAX}),
        _ => json!({"type": ["string", "null"], "maxLength": 1_024}),
    };
    shape["description"] = json!(field.help);
    shape
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
        object["required"] = json!([R::KEY.name]);
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
