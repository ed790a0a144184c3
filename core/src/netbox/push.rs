//! What NetBox says of itself: the webhooks of its event rules, and the change log that has what those lost.
//!
//! Neither is taken for the state of anything. Both only name who is to be looked at again ([`Touched`]), since webhooks
//! come late, twice, in any order or not at all.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha512;

use crate::secret::Secret;

/// The header that carries the signature.
pub const SIGNATURE: &str = "X-Hook-Signature";

/// The longest webhook that is read. An address has about three kilobytes, three times: as it is, was and became.
pub const LONGEST: usize = 256 << 10;

/// Why a webhook was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("a webhook of {0} bytes: {LONGEST} are taken")]
    TooLong(usize),
    #[error("it carries no {SIGNATURE}: set a secret on the webhook in NetBox")]
    Unsigned,
    #[error("its signature is not of this secret")]
    Forged,
    #[error("it is no webhook of NetBox: {0}")]
    Malformed(String),
}

/// What is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Ids of subscribers whose address or prefix was made, changed or deleted, as it was or as it became.
    pub subscribers: BTreeSet<String>,
    /// A prefix changed that is nobody's: perhaps one that gives.
    pub pools: bool,
}

impl Touched {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && !self.pools
    }

    pub fn merge(&mut self, other: Self) {
        self.subscribers.extend(other.subscribers);
        self.pools |= other.pools;
    }

    fn note(&mut self, object_type: &str, states: [Option<&Value>; 3]) {
        if !matches!(object_type, "ipam.ipaddress" | "ipam.prefix") {
            return;
        }
        let owners: BTreeSet<String> = states.into_iter().flatten().filter_map(owner).collect();
        self.pools |= object_type == "ipam.prefix" && owners.is_empty();
        self.subscribers.extend(owners);
    }
}

/// Whose an object is, in the form of the REST API or of a snapshot.
fn owner(object: &Value) -> Option<String> {
    let field = match &object["custom_fields"]["subscriber_id"] {
        Value::String(id) => Some(id.trim().to_owned()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    let described = || {
        let id = object["description"].as_str()?.strip_prefix("Subscriber:")?.trim();
        Some(id.to_owned())
    };
    field.or_else(described).filter(|id| !id.is_empty())
}

#[derive(Deserialize)]
struct Webhook {
    object_type: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    snapshots: Snapshots,
}

#[derive(Deserialize, Default)]
struct Snapshots {
    #[serde(default)]
    prechange: Value,
    #[serde(default)]
    postchange: Value,
}

/// Read a webhook: its `body` as it came, with what its header [`SIGNATURE`] says. The signature is checked before anything
/// is parsed, in a time that tells nothing of the secret.
///
/// # Errors
/// It is too long, not signed with `secret`, or no webhook.
pub fn read_webhook(secret: &Secret<String>, signature: Option<&str>, body: &[u8]) -> Result<Touched, WebhookError> {
    if body.len() > LONGEST {
        return Err(WebhookError::TooLong(body.len()));
    }
    let signature = signature.ok_or(WebhookError::Unsigned)?;
    let signature = unhex(signature.trim()).ok_or(WebhookError::Forged)?;
    // A key of any length is one; an empty one would be everybody's.
    let mut mac = match Hmac::<Sha512>::new_from_slice(secret.expose().as_bytes()) {
        Ok(mac) if !secret.expose().is_empty() => mac,
        _ => return Err(WebhookError::Forged),
    };
    mac.update(body);
    mac.verify_slice(&signature).map_err(|_| WebhookError::Forged)?;
    let hook: Webhook = serde_json::from_slice(body).map_err(|e| WebhookError::Malformed(e.to_string()))?;
    let mut touched = Touched::default();
    let Snapshots { prechange, postchange } = &hook.snapshots;
    touched.note(&hook.object_type, [Some(&hook.data), Some(prechange), Some(postchange)]);
    Ok(touched)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 128 {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

/// An entry of the change log.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LogEntry {
    pub(super) id: u64,
    pub(super) time: jiff::Timestamp,
    changed_object_type: String,
    #[serde(default)]
    prechange_data: Value,
    #[serde(default)]
    postchange_data: Value,
}

impl super::client::Numbered for LogEntry {
    fn id(&self) -> u64 {
        self.id
    }
}

impl LogEntry {
    pub(super) fn touches(&self, touched: &mut Touched) {
        let states = [Some(&self.prechange_data), Some(&self.postchange_data), None];
        touched.note(&self.changed_object_type, states);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sign(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    const MOVED: &str = r#"{"event": "updated", "object_type": "ipam.ipaddress", "data": {"id": 7,
        "custom_fields": {"subscriber_id": "1002"}}, "snapshots": {
            "prechange": {"custom_fields": {"subscriber_id": "1001"}},
            "postchange": {"custom_fields": {"subscriber_id": "1002"}}}}"#;

    #[test]
    fn who_had_it_and_who_has_it_are_both_looked_at() {
        let signed = sign("word", MOVED.as_bytes());
        let touched = read_webhook(&secret("word"), Some(&signed), MOVED.as_bytes()).unwrap();
        assert_eq!(touched.subscribers, ["1001", "1002"].map(str::to_owned).into());
        assert!(!touched.pools);
        let pool = br#"{"object_type": "ipam.prefix", "data": {"prefix": "10.0.0.0/24", "custom_fields": {}}}"#;
        let touched = read_webhook(&secret("word"), Some(&sign("word", pool)), pool).unwrap();
        assert!(touched.pools && touched.subscribers.is_empty());
        let other = br#"{"object_type": "dcim.site", "data": {"description": "Subscriber:9"}}"#;
        assert!(
            read_webhook(&secret("word"), Some(&sign("word", other)), other)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_is_not_signed_with_the_secret_is_not_read() {
        let body = MOVED.as_bytes();
        let signed = sign("word", body);
        let read = |key: &str, signature: Option<&str>, body: &[u8]| read_webhook(&secret(key), signature, body);
        assert_eq!(read("word", None, body), Err(WebhookError::Unsigned));
        assert_eq!(read("other", Some(&signed), body), Err(WebhookError::Forged));
        assert_eq!(read("word", Some(&signed[..64]), body), Err(WebhookError::Forged));
        assert_eq!(read("word", Some("\u{e9}"), body), Err(WebhookError::Forged));
        // No secret is no one's secret.
        assert_eq!(read("", Some(&sign("", body)), body), Err(WebhookError::Forged));
        let mut changed = body.to_vec();
        changed.push(b' ');
        assert_eq!(read("word", Some(&signed), &changed), Err(WebhookError::Forged));
        let long = vec![b' '; LONGEST + 1];
        let error = read("word", Some(&sign("word", &long)), &long).unwrap_err();
        assert_eq!(error, WebhookError::TooLong(LONGEST + 1));
        let noise = b"[]";
        let error = read("word", Some(&sign("word", noise)), noise).unwrap_err();
        assert!(matches!(error, WebhookError::Malformed(_)), "{error}");
    }
}
