//! The OpenAPI document: made from the routes, with what holds for all of them.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::OpenApi;

use super::PREFIX;
use super::access::SCHEME;
use super::fields::{OCTETS, of_octets};
use super::problem::{Fault, MEDIA_TYPE, Problem};

/// The document as it is served.
pub(super) fn complete(document: OpenApi) -> Result<Value, String> {
    let mut document = serde_json::to_value(document).map_err(|why| why.to_string())?;
    for (name, schema) in [("Problem", Problem::schema()), ("Fault", Fault::schema())] {
        let schema = serde_json::to_value(schema).map_err(|why| why.to_string())?;
        document["components"]["schemas"][name] = schema;
    }
    document["info"] = json!({
        "title": "ISP AAA",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Subscribers, sessions, NAS and addresses of one tenant: that of the token.",
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/"}]);
    document["components"]["securitySchemes"] = json!({
        SCHEME: {"type": "http", "scheme": "bearer", "description": "ispctl token add NAME makes one"},
    });
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        })
    };
    write_out(&mut document);
    spell_formats(&mut document);
    close_bodies(&mut document);
    let named = ["username", "session_id", "acctsessionid"];
    document["components"]["schemas"]["Disconnect"]["anyOf"] = named
        .map(|name| json!({"required": [name], "properties": {name: {"type": "string"}}}))
        .into_iter()
        .collect();
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        let properties = schema.1.get_mut("properties").and_then(Value::as_object_mut);
        properties
            .into_iter()
            .flatten()
            .for_each(|(_, property)| without_nul(property));
    }
    let paths = document["paths"].as_object_mut().ok_or("it has no paths")?;
    for item in paths.values_mut().filter_map(Value::as_object_mut) {
        for operation in item.values_mut().filter(|operation| operation.is_object()) {
            tell_parameters(operation);
            operation["responses"]["401"] = problem("No valid token");
            operation["responses"]["403"] = problem("The token has not the scope");
            operation["responses"]["default"] = problem("What is wrong, and what to do");
        }
    }
    Ok(document)
}

const SCHEMAS: &str = "#/components/schemas/";

/// Shapes made of others stand as one, so that they can be closed.
fn write_out(document: &mut Value) {
    let known = document["components"]["schemas"].clone();
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    for schema in schemas.values_mut() {
        let Some(Value::Array(parts)) = schema.as_object_mut().and_then(|schema| schema.remove("allOf")) else {
            continue;
        };
        schema["type"] = json!("object");
        for part in &parts {
            let name = part["$ref"].as_str().and_then(|name| name.strip_prefix(SCHEMAS));
            let part = name.map_or(part, |name| &known[name]);
            for (name, property) in part["properties"].as_object().into_iter().flatten() {
                schema["properties"][name] = property.clone();
            }
            let required = part["required"].as_array().into_iter().flatten().cloned();
            let mut all = schema["required"].as_array().cloned().unwrap_or_default();
            all.extend(required);
            if !all.is_empty() {
                schema["required"] = Value::Array(all);
            }
        }
    }
}

/// A parameter that may be left out is not null; that a change may be conditional is told in words, since no tag is right but
/// the one that was read.
fn tell_parameters(operation: &mut Value) {
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else {
        return;
    };
    let all = parameters.len();
    parameters.retain(|parameter| parameter["in"] != "header");
    let conditional = parameters.len() < all;
    for parameter in parameters {
        without_nul(&mut parameter["schema"]);
        if let Some(Value::Array(kinds)) = parameter["schema"].get_mut("type") {
            kinds.retain(|kind| kind != "null");
        }
    }
    if conditional {
        let told = operation["description"].as_str().unwrap_or_default();
        let told = format!("{told}\n\nWith the ETag that was read as If-Match nothing else is changed (412).");
        operation["description"] = json!(told.trim_start());
    }
}

/// PostgreSQL keeps every character of a text but this one.
fn without_nul(schema: &mut Value) {
    let said = ["pattern", "format", "enum", "anyOf"]
        .iter()
        .any(|word| schema.get(word).is_some());
    let kind = &schema["type"];
    let is_text = kind == "string"
        || kind
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"));
    if is_text && !said {
        schema["pattern"] = json!(r"^[^\x00]*$");
    }
}

/// Formats of our own, in words that everybody knows.
fn spell_formats(value: &mut Value) {
    match value {
        Value::Object(map) => {
            match map.get("format").and_then(Value::as_str) {
                Some(format) if format.starts_with(OCTETS) => {
                    let most = format.strip_prefix(OCTETS).and_then(|most| most.parse().ok());
                    let shapes = of_octets(most.unwrap_or_default());
                    map.remove("format");
                    map.insert("anyOf".to_owned(), shapes);
                }
                Some("ip-or-network") => {
                    let network = r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}0/24$";
                    let shapes = json!([{"format": "ipv4"}, {"format": "ipv6"}, {"pattern": network}]);
                    map.remove("format");
                    map.insert("anyOf".to_owned(), shapes);
                }
                Some("ip") => {
                    map.remove("format");
                    map.insert("anyOf".to_owned(), json!([{"format": "ipv4"}, {"format": "ipv6"}]));
                }
                // One that ends in zeros, as prefixes do.
                Some("ipv6-prefix") => {
                    let pattern = "^([0-9A-Fa-f]{1,4}:){1,7}:/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$";
                    map.remove("format");
                    map.insert("pattern".to_owned(), json!(pattern));
                }
                _ => {}
            }
            map.values_mut().for_each(spell_formats);
        }
        Value::Array(values) => values.iter_mut().for_each(spell_formats),
        _ => {}
    }
}

/// A field that is misspelt is an error, not overlooked.
fn close_bodies(document: &mut Value) {
    let paths = document["paths"].as_object();
    let operations = paths
        .into_iter()
        .flat_map(|paths| paths.values())
        .filter_map(Value::as_object);
    let bodies: Vec<String> = operations
        .flat_map(|item| item.values())
        .filter_map(|operation| operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str())
        .filter_map(|name| Some(name.strip_prefix(SCHEMAS)?.to_owned()))
        .collect();
    for name in bodies {
        document["components"]["schemas"][&name]["additionalProperties"] = json!(false);
    }
}

/// Serves it, and a page that shows it.
pub(super) fn router<S: Clone + Send + Sync + 'static>(document: &Value) -> Router<S> {
    let text = document.to_string();
    let json = async move || {
        (
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            text,
        )
    };
    Router::new().route(&format!("{PREFIX}/openapi.json"), get(json))
}
