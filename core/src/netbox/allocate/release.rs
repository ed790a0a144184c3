//! Giving back.

use jiff::Timestamp;
use serde_json::json;

use super::{Allocator, Object, collection};
use crate::addressing::Kind;
use crate::netbox::client::{NetboxError, Query, Result};
use crate::netbox::model::{AddressStatus, IpAddress, Prefix};
use crate::netbox::settings::Release;

/// Begins the description of what was given back; the id of whose it was follows.
const GIVEN_BACK: &str = "[TERMINATED] Subscriber:";

/// What became of an address that was to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Released {
    /// In NetBox as deprecated, until its quarantine ends.
    Deprecated,
    Deleted,
    /// It is not there any more, or another's by now: left as it is.
    NotOurs,
}

impl Allocator {
    /// Give back what a subscriber had. Doing it twice does no more than once.
    ///
    /// # Errors
    /// NetBox does not answer or does not allow it. [`NetboxError::Changed`]: another changed it at this moment.
    pub async fn release(&self, kind: Kind, id: u64, subscriber_id: &str) -> Result<Released> {
        self.give_back(kind, id, subscriber_id, self.rules.release).await
    }

    /// Delete what a subscriber was given and never used.
    ///
    /// # Errors
    /// As [`Allocator::release`].
    #[cfg(feature = "store")]
    pub(in crate::netbox) async fn forgo(&self, kind: Kind, id: u64, subscriber_id: &str) -> Result<Released> {
        self.give_back(kind, id, subscriber_id, Release::Delete).await
    }

    async fn give_back(&self, kind: Kind, id: u64, subscriber_id: &str, how: Release) -> Result<Released> {
        let Some((object, etag)) = self.read(kind, id).await? else {
            return Ok(Released::NotOurs);
        };
        let own = object.subscriber_id.as_deref() == Some(subscriber_id) && object.tenant == Some(self.rules.tenant);
        if !own {
            return Ok(Released::NotOurs);
        }
        match how {
            Release::Delete => self.remove(kind, id, etag.as_deref()).await,
            Release::Deprecate => {
                self.deprecate(kind, id, subscriber_id, etag.as_deref()).await?;
                Ok(Released::Deprecated)
            }
        }
    }

    /// Delete what was given back and has waited since before `before`; gives how many those were. What has come to life
    /// again stays, and so does what was put out of use by anybody else.
    ///
    /// # Errors
    /// NetBox does not answer or does not allow it. What was deleted until then is.
    pub async fn sweep(&self, before: Timestamp) -> Result<u64> {
        let what = "list what was given back";
        let query = || {
            let own = Query::new().with("tenant_id", self.rules.tenant);
            own.with("status", AddressStatus::Deprecated.as_str())
        };
        let mut swept = 0;
        let mut pages = self.client.all::<IpAddress>(what, collection(Kind::Ipv4), query());
        while let Some(page) = pages.next().await? {
            for address in page {
                let due = is_due(&address.description, address.last_updated.as_deref(), before);
                let etag = address.etag();
                swept += self.sweep_one(due, address.into(), etag).await?;
            }
        }
        let mut pages = self.client.all::<Prefix>(what, collection(Kind::Ipv6Prefix), query());
        while let Some(page) = pages.next().await? {
            for prefix in page {
                let due = is_due(&prefix.description, prefix.last_updated.as_deref(), before);
                let etag = prefix.etag();
                swept += self.sweep_one(due, prefix.into(), etag).await?;
            }
        }
        Ok(swept)
    }

    async fn sweep_one(&self, due: bool, object: Object, etag: Option<String>) -> Result<u64> {
        let Some(kind) = object.kind else { return Ok(0) };
        let ours = object.deprecated && object.subscriber_id.is_some() && object.tenant == Some(self.rules.tenant);
        if !due || !ours {
            return Ok(0);
        }
        match self.remove(kind, object.id, etag.as_deref()).await {
            Ok(_) => Ok(1),
            // Taken back into use at this moment.
            Err(NetboxError::Changed { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, kind: Kind, id: u64, etag: Option<&str>) -> Result<Released> {
        let path = format!("{}{id}/", collection(kind));
        self.client.delete("delete what was given back", &path, etag).await?;
        Ok(Released::Deleted)
    }

    /// The key goes, so that the subscriber may be given another; whose it was stays to be read.
    async fn deprecate(&self, kind: Kind, id: u64, subscriber_id: &str, etag: Option<&str>) -> Result<()> {
        let mut body = json!({
            "status": "deprecated",
            "description": format!("{GIVEN_BACK}{subscriber_id}"),
        });
        if kind != Kind::Ipv6Prefix {
            body["dns_name"] = "".into();
        }
        if let Some(field) = &self.rules.key_field {
            body["custom_fields"] = json!({ field.as_str(): null });
        }
        let path = format!("{}{id}/", collection(kind));
        let what = "deprecate what was given back";
        let _: serde_json::Value = self.client.change(what, &path, etag, &body).await?;
        Ok(())
    }

    /// An object and its entity tag; `None` where there is none.
    pub(in crate::netbox) async fn read(&self, kind: Kind, id: u64) -> Result<Option<(Object, Option<String>)>> {
        let path = format!("{}{id}/", collection(kind));
        let what = "read what a subscriber has";
        let read = match kind {
            Kind::Ipv4 | Kind::Ipv6 => self
                .client
                .get::<IpAddress>(what, &path, &Query::new())
                .await
                .map(|address| (address.etag(), address.into())),
            Kind::Ipv6Prefix => self
                .client
                .get::<Prefix>(what, &path, &Query::new())
                .await
                .map(|prefix| (prefix.etag(), prefix.into())),
        };
        match read {
            Ok((etag, object)) => Ok(Some((object, etag))),
            Err(NetboxError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Given back by this library, and not touched since.
fn is_due(description: &str, last_updated: Option<&str>, before: Timestamp) -> bool {
    let touched = last_updated.and_then(|time| time.parse::<Timestamp>().ok());
    description.starts_with(GIVEN_BACK) && touched.is_some_and(|touched| touched < before)
}
