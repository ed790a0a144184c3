//! A change of settings, checked before anything is written, and how it lies in the row.

use reqwest::Url;
use serde_json::{Map, Value};

use super::{OssError, OssService, Own, ServiceConfig};

/// A change: fields to set, and fields to forget (null).
#[derive(Clone)]
pub struct Patch(Map<String, Value>);

/// Without values, of which some are secrets.
impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

const FIELDS: [&str; 8] = [
    "url",
    "username",
    "password",
    "api_token",
    "verify_ssl",
    "timeout_seconds",
    "max_retries",
    "extras",
];

/// Settings of NetBox that have names of their own in the row, beside those of every service.
const OF_NETBOX: [&str; 12] = [
    "tenant",
    "role",
    "prefix_role",
    "prefix_length",
    "tags",
    "key_field",
    "look_first",
    "release",
    "quarantine_days",
    "kinds",
    "reconcile_seconds",
    "reconcile_repair",
];

const LONGEST: usize = 2_048;
const TIMEOUT_MOST: u64 = 600;
const RETRIES_MOST: u64 = 10;

impl Patch {
    /// # Errors
    /// A field is not known, or its value not what it should be; the value is not in the error.
    pub fn new(service: OssService, fields: Map<String, Value>) -> Result<Self, OssError> {
        for (name, value) in &fields {
            if !value.is_null()
                && let Some(problem) = fault(service, name, value)
            {
                return Err(OssError::Field {
                    field: name.clone(),
                    problem,
                });
            }
            if !FIELDS.contains(&name.as_str()) {
                return Err(OssError::Field {
                    field: name.clone(),
                    problem: format!("there is no such field: {}", FIELDS.join(", ")),
                });
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn apply(&self, service: OssService, own: &mut Own) {
        for (name, value) in &self.0 {
            let text = value.as_str().map(str::to_owned);
            match (service, name.as_str()) {
                (_, "password") => own.secrets.password = text,
                (_, "api_token") => own.secrets.api_token = text.map(|token| token.trim().to_owned()),
                (OssService::Netbox, "extras") => {
                    for known in OF_NETBOX {
                        match value.get(known) {
                            Some(Value::Null) => _ = own.settings.remove(known),
                            Some(set) => _ = own.settings.insert(known.to_owned(), set.clone()),
                            // All of them are forgotten.
                            None if value.is_null() => _ = own.settings.remove(known),
                            None => {}
                        }
                    }
                }
                (service, name) => {
                    let name = stored(service, name);
                    if value.is_null() {
                        own.settings.remove(name);
                    } else {
                        own.settings.insert(name.to_owned(), value.clone());
                    }
                }
            }
        }
    }
}

/// What a field is called in the row.
fn stored(service: OssService, name: &str) -> &str {
    match (service, name) {
        (OssService::Netbox, "verify_ssl") => "verify_tls",
        _ => name,
    }
}

/// The settings of a row under the names of fields.
pub(super) fn shown(service: OssService, settings: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = Map::new();
    for name in FIELDS {
        if let Some(value) = settings.get(stored(service, name)) {
            shown.insert(name.to_owned(), value.clone());
        }
    }
    let extras = extras(service, settings);
    if !extras.is_empty() {
        shown.insert("extras".to_owned(), Value::Object(extras));
    }
    shown
}

fn extras(service: OssService, settings: &Map<String, Value>) -> Map<String, Value> {
    match service {
        OssService::Netbox => settings
            .iter()
            .filter(|(name, _)| OF_NETBOX.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        _ => settings
            .get("extras")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    }
}

pub(super) fn overlay(service: OssService, settings: &Map<String, Value>, config: &mut ServiceConfig) {
    let text = |name: &str| {
        settings
            .get(stored(service, name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let number = |name: &str| {
        let value = settings.get(stored(service, name)).and_then(Value::as_u64)?;
        u32::try_from(value).ok()
    };
    config.url = text("url").or(config.url.take());
    config.username = text("username").or(config.username.take());
    config.verify_ssl = settings
        .get(stored(service, "verify_ssl"))
        .and_then(Value::as_bool)
        .or(config.verify_ssl);
    config.timeout_seconds = number("timeout_seconds").or(config.timeout_seconds);
    config.max_retries = number("max_retries").or(config.max_retries);
    config.extras.extend(extras(service, settings));
}

fn fault(service: OssService, name: &str, value: &Value) -> Option<String> {
    let told = |problem: &str| Some(problem.to_owned());
    let number = |least: u64, most: u64| match value.as_u64() {
        Some(number) if (least..=most).contains(&number) => None,
        _ => Some(format!("expected a number from {least} to {most}")),
    };
    match name {
        "url" => match value.as_str() {
            Some(text) => url_fault(text).and_then(told),
            None => told("expected a text"),
        },
        "username" | "password" if service == OssService::Netbox => told("NetBox takes a token: set api_token"),
        "username" | "password" | "api_token" => match value.as_str() {
            Some("") => told("it is empty: null forgets it"),
            Some(text) if text.len() > LONGEST || text.chars().any(char::is_control) => {
                told("it is too long, or has control characters")
            }
            Some(_) => None,
            None => told("expected a text"),
        },
        "verify_ssl" if !value.is_boolean() => told("expected true or false"),
        "timeout_seconds" => number(1, TIMEOUT_MOST),
        "max_retries" => number(0, RETRIES_MOST),
        "extras" => match value.as_object() {
            None => told("expected an object"),
            Some(_) if value.to_string().len() > 4 * LONGEST => told("it is too long"),
            Some(extras) if service == OssService::Netbox => {
                let unknown = extras.keys().find(|name| !OF_NETBOX.contains(&name.as_str()));
                unknown.map(|name| format!("{name:?} is no setting of NetBox: {}", OF_NETBOX.join(", ")))
            }
            Some(_) => None,
        },
        _ => None,
    }
}

/// What is wrong with a URL, without any of it.
pub(super) fn url_fault(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else {
        return Some("it is no URL");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Some("it must begin with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("it holds a user name or a password: set those beside it");
    }
    (text.len() > LONGEST).then_some("it is too long")
}
