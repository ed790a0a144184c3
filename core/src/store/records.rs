//! What a node writes of authentications.

use serde::Serialize;

use super::error::Attempt as _;
use super::sql::{params, statements};
use super::{Result, Store};
use crate::accounting::PostAuthRecord;
use crate::policy::Reason;

statements! {
    /// A tenant or subscriber deleted since the node last looked must not keep the record from being written.
    ADD {
        sqlite: "INSERT INTO radpostauth (username, reply, calledstationid, callingstationid, authdate, class, tenant_id,
                subscriber_id, nasipaddress, reason)
            SELECT r.value ->> 'username', r.value ->> 'reply', r.value ->> 'called', r.value ->> 'calling',
                datetime(r.value ->> 'authdate', 'unixepoch'), r.value ->> 'class',
                (SELECT id FROM tenants WHERE id = r.value ->> 'tenant'),
                (SELECT id FROM subscribers WHERE id = r.value ->> 'subscriber'),
                r.value ->> 'nas', r.value ->> 'reason'
            FROM json_each($1) r",
        postgres: "INSERT INTO radpostauth (username, reply, calledstationid, callingstationid, authdate, class,
                tenant_id, subscriber_id, nasipaddress, reason)
            SELECT r.username, r.reply, r.called, r.calling, to_timestamp(r.authdate), r.class,
                (SELECT id FROM tenants WHERE id = r.tenant), (SELECT id FROM subscribers WHERE id = r.subscriber),
                r.nas::inet, r.reason
            FROM json_to_recordset($1::json) AS r (username text, reply text, called text, calling text, authdate bigint,
                class text, tenant text, subscriber text, nas text, reason text)",
    }
}

#[derive(Serialize)]
struct Row<'a> {
    username: String,
    reply: &'a str,
    called: Option<String>,
    calling: Option<String>,
    authdate: i64,
    class: Option<String>,
    tenant: Option<&'a str>,
    subscriber: Option<&'a str>,
    nas: Option<std::net::IpAddr>,
    reason: Option<&'a str>,
}

/// Text from a packet, as a database can hold it: PostgreSQL has no NUL, and one such User-Name must not cost the batch.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn opt_storable(text: Option<&str>) -> Option<String> {
    text.map(storable)
}

impl Store {
    /// Append to `radpostauth`: all rows or none.
    ///
    /// # Errors
    /// The database did not take them.
    pub async fn record_post_auth(&self, rows: &[PostAuthRecord]) -> Result<()> {
        let attempt = || "record authentications".to_owned();
        let rows: Vec<Row<'_>> = rows
            .iter()
            .map(|r| Row {
                username: storable(&r.user_name),
                reply: r.reply,
                called: opt_storable(r.called_station_id.as_deref()),
                calling: opt_storable(r.calling_station_id.as_deref()),
                authdate: r.authdate,
                class: opt_storable(r.class.as_deref()),
                tenant: r.tenant_id.as_deref(),
                subscriber: r.subscriber_id.as_deref(),
                nas: r.nas_ip_address,
                reason: r.reason.map(Reason::code),
            })
            .collect();
        let json = serde_json::to_string(&rows)
            .map_err(|e| sqlx::Error::Encode(e.into()))
            .attempt(attempt)?;
        let mut connection = self.writer().await.attempt(attempt)?;
        connection
            .link()
            .execute(ADD, params![&json])
            .await
            .attempt(attempt)
            .map(drop)
    }
}
