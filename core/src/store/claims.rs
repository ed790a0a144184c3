//! Simultaneous use where several nodes share a database: open sessions and accepted logins, counted together.

use std::net::IpAddr;

use super::error::Attempt as _;
use super::link::Tx;
use super::nodes::applied_until;
use super::records::opt_storable;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store};
use crate::accounting::device::Device;
use crate::accounting::presence::{Crowded, OpenSession, Patience};
use crate::accounting::session::accepted_by;
use crate::accounting::{AccountingRecord, AcctStatusType};

/// Whether what `$one` tells of a device is not what `$station`, `$nas` and `$port` tell, as [`Device`] has it.
macro_rules! differs {
    ($one:literal, $station:expr, $nas:expr, $port:expr) => {
        concat!(
            "NOT CASE WHEN ",
            $one,
            "station IS NOT NULL AND ",
            $station,
            " IS NOT NULL THEN ",
            $one,
            "station = ",
            $station,
            " WHEN ",
            $one,
            "port IS NOT NULL AND ",
            $port,
            " IS NOT NULL AND ",
            $nas,
            " IS NOT NULL
                THEN coalesce(",
            $one,
            "nas = ",
            $nas,
            " AND ",
            $one,
            "port = ",
            $port,
            ", false)
            ELSE coalesce(",
            $one,
            "nas, '') = coalesce(",
            $nas,
            ", '') END"
        )
    };
}

statements! {
    /// Two logins of one subscriber are looked at one after the other, whatever nodes they reach. A claim need not
    /// outlive a crash of the database.
    TURN {
        postgres: "SELECT set_config('synchronous_commit', 'off', true),
            pg_advisory_xact_lock(hashtext('session_claims'), hashtext($1))",
    }
    /// What may take a place of subscriber `$1` as of `$2`, and how far records are applied: `$3` seconds of silence are too
    /// long for any session, or to wait for a node.
    PLACES {
        sqlite: concat!("WITH applied AS (SELECT (", applied_until!(sqlite: "$2", "$3"), ") AS until)
            SELECT until, callingstationid, nasipaddress, nullif(nasportid, ''),
                unixepoch(coalesce(heard_at, acctupdatetime, acctstarttime, created_at)) AS heard, coalesce(acctinterval, 0)
            FROM radacct, applied
            WHERE subscriber_id = $1 AND acctstoptime IS NULL
                AND coalesce(heard_at, acctupdatetime, acctstarttime, created_at) >= datetime(until - $3, 'unixepoch')
            UNION ALL
            SELECT until, station, nas, port, unixepoch(made_at), NULL FROM session_claims, applied
            WHERE subscriber_id = $1 AND unixepoch(expires_at) >= until"),
        postgres: concat!("WITH applied AS (SELECT (", applied_until!(postgres: "$2", "$3"), ") AS until)
            SELECT until, callingstationid, host(nasipaddress), nullif(nasportid, ''),
                extract(epoch FROM coalesce(heard_at, acctupdatetime, acctstarttime, created_at))::bigint AS heard, coalesce(acctinterval, 0)::bigint
            FROM radacct, applied
            WHERE subscriber_id = $1 AND acctstoptime IS NULL
                AND coalesce(heard_at, acctupdatetime, acctstarttime, created_at) >= to_timestamp(until - $3::bigint)
            UNION ALL
            SELECT until, station, nas, port, extract(epoch FROM made_at)::bigint, NULL::bigint FROM session_claims, applied
            WHERE subscriber_id = $1 AND expires_at >= to_timestamp(until)"),
    }
    CLAIM {
        sqlite: "INSERT INTO session_claims (subscriber_id, device, station, nas, port, made_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, datetime($6, 'unixepoch'), datetime($7, 'unixepoch'))
            ON CONFLICT (subscriber_id, device) DO UPDATE SET
                nas = excluded.nas, port = excluded.port, made_at = excluded.made_at, expires_at = excluded.expires_at",
        postgres: "INSERT INTO session_claims (subscriber_id, device, station, nas, port, made_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, to_timestamp($6), to_timestamp($7))
            ON CONFLICT (subscriber_id, device) DO UPDATE SET
                nas = excluded.nas, port = excluded.port, made_at = excluded.made_at, expires_at = excluded.expires_at",
    }
    /// Sessions that began or ended, each as `[subscriber, when, station, nas, port]`: the claim from before is done with.
    SETTLE {
        sqlite: concat!("DELETE FROM session_claims WHERE EXISTS (SELECT 1 FROM json_each($1) r
            WHERE session_claims.subscriber_id = r.value ->> 0
                AND session_claims.made_at <= datetime(r.value ->> 1, 'unixepoch')
                AND NOT (", differs!("session_claims.", "(r.value ->> 2)", "(r.value ->> 3)", "(r.value ->> 4)"), "))"),
        postgres: concat!("DELETE FROM session_claims c USING json_array_elements($1::json) r
            WHERE c.subscriber_id = r ->> 0 AND c.made_at <= to_timestamp((r ->> 1)::bigint)
                AND NOT (", differs!("c.", "(r ->> 2)", "(r ->> 3)", "(r ->> 4)"), ")"),
    }
    /// A claim counts until the records that would settle it are applied.
    EXPIRE {
        sqlite: concat!("DELETE FROM session_claims
            WHERE expires_at < datetime((", applied_until!(sqlite: "$1", "86400"), "), 'unixepoch')"),
        postgres: concat!("DELETE FROM session_claims
            WHERE expires_at < to_timestamp((", applied_until!(postgres: "$1", "86400"), "))"),
    }
    OPEN_SINCE {
        sqlite: "SELECT tenant_id, subscriber_id, acctuniqueid, callingstationid, nasipaddress, nasportid,
                unixepoch(coalesce(acctstarttime, acctupdatetime, created_at)), unixepoch(coalesce(heard_at, acctupdatetime, acctstarttime, created_at)),
                acctinterval, username, framedipaddress
            FROM radacct
            WHERE acctstoptime IS NULL AND subscriber_id IS NOT NULL
                AND coalesce(heard_at, acctupdatetime, acctstarttime, created_at) >= datetime($1, 'unixepoch')",
        postgres: "SELECT tenant_id, subscriber_id, acctuniqueid, callingstationid, host(nasipaddress), nasportid,
                extract(epoch FROM coalesce(acctstarttime, acctupdatetime, created_at))::bigint,
                extract(epoch FROM coalesce(heard_at, acctupdatetime, acctstarttime, created_at))::bigint, acctinterval, username,
                host(framedipaddress)
            FROM radacct
            WHERE acctstoptime IS NULL AND subscriber_id IS NOT NULL
                AND coalesce(heard_at, acctupdatetime, acctstarttime, created_at) >= to_timestamp($1)",
    }
}

/// A login that was accepted but for the number of sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionClaim<'a> {
    pub subscriber_id: &'a str,
    pub device: &'a Device,
    /// Sessions the subscriber may have; not zero.
    pub limit: u32,
    /// Unix seconds.
    pub now: i64,
    /// When the oldest record came that this node has not applied, or `now`.
    pub applied_until: i64,
}

fn storable_device(device: &Device) -> Device {
    Device {
        station: opt_storable(device.station.as_deref()),
        nas: device.nas.clone(),
        port: opt_storable(device.port.as_deref()),
    }
}

/// Devices other than `device` that take a place, each with when it was heard of.
fn others(rows: &[Row], device: &Device, patience: &Patience) -> std::result::Result<Vec<(Device, i64)>, sqlx::Error> {
    let mut others = Vec::new();
    for row in rows {
        let mut column = Columns::of(row);
        let until: i64 = column.number()?;
        let (station, nas, port) = (column.opt_text()?, column.opt_parsed()?, column.opt_text()?);
        let other = Device::new(station.as_deref(), nas, port.as_deref());
        let heard: i64 = column.number()?;
        let interval: Option<i64> = column.opt_number()?;
        // A claim has none: that it counts was decided already.
        let silent = interval.is_some_and(|_| until - heard > patience.silence.patience(interval));
        if !silent && !other.is_same(device) {
            others.push((other, heard));
        }
    }
    Ok(others)
}

/// Sessions that are known count by themselves: let go of the claims they began with.
pub(super) async fn settle(tx: &mut Tx, records: &[AccountingRecord]) -> std::result::Result<(), sqlx::Error> {
    let known: Vec<_> = records
        .iter()
        .filter(|record| matches!(record.status, AcctStatusType::Start | AcctStatusType::Stop))
        .filter_map(|record| {
            let Device { station, nas, port } = storable_device(&Device::of(record));
            Some((
                record.subscriber_id.as_deref()?,
                accepted_by(record)?,
                station,
                nas,
                port,
            ))
        })
        .collect();
    if known.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_string(&known).map_err(|error| sqlx::Error::Encode(error.into()))?;
    tx.link().execute(SETTLE, params![&json]).await.map(drop)
}

impl Store {
    /// Let a login in if there is a place for it, and hold that: for all nodes on this database.
    ///
    /// # Errors
    /// The database is not usable. The inner error: `limit` others have a place.
    pub async fn claim_session(
        &self,
        claim: SessionClaim<'_>,
        patience: &Patience,
    ) -> Result<std::result::Result<(), Crowded>> {
        let attempt = || format!("count the sessions of subscriber {}", claim.subscriber_id);
        let device = storable_device(claim.device);
        let mut tx = self.begin().await.attempt(attempt)?;
        let subscriber = claim.subscriber_id;
        tx.link().execute(TURN, params![subscriber]).await.attempt(attempt)?;
        let places = params![subscriber, claim.applied_until, patience.silence.longest_patience()];
        let rows = tx.link().all(PLACES, places).await.attempt(attempt)?;
        let others = others(&rows, &device, patience).attempt(attempt)?;
        if let Err(crowded) = Crowded::check(&others, claim.limit, claim.now) {
            return Ok(Err(crowded));
        }
        let lifetime = i64::try_from(patience.claim.as_secs()).unwrap_or(i64::MAX);
        let (name, Device { station, nas, port }) = (device.name(), &device);
        let expires = claim.now.saturating_add(lifetime);
        let claimed = params![subscriber, &name, station, nas, port, claim.now, expires];
        tx.link().execute(CLAIM, claimed).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(Ok(()))
    }

    /// Remove claims that count no more.
    ///
    /// # Errors
    /// The database is not usable.
    pub async fn expire_claims(&self, now: i64) -> Result<u64> {
        let attempt = || "remove expired claims of sessions".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        connection.link().execute(EXPIRE, params![now]).await.attempt(attempt)
    }

    /// Open sessions of known subscribers that were heard of since then (Unix seconds).
    ///
    /// # Errors
    /// The database is not usable, or a row is unreadable.
    pub async fn sessions_heard_since(&self, since: i64) -> Result<Vec<OpenSession>> {
        let attempt = || "read who is online".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let mut sessions = Vec::new();
        let since = params![since];
        let read = connection.link().each(OPEN_SINCE, since, |row| {
            let mut column = Columns::of(row);
            let tenant_id = column.opt_text()?;
            let (subscriber_id, acct_unique_id) = (column.text()?, column.text()?);
            let (station, nas, port): (_, IpAddr, _) = (column.opt_text()?, column.parsed()?, column.opt_text()?);
            sessions.push(OpenSession {
                tenant_id,
                subscriber_id,
                acct_unique_id,
                device: Device::new(station.as_deref(), Some(nas), port.as_deref()),
                began: column.number()?,
                heard: column.number()?,
                interval: column.opt_number()?,
                nas_ip_address: nas,
                user_name: column.opt_text()?.unwrap_or_default(),
                // Another tool may have written anything there.
                framed_ip_address: column.opt_text()?.and_then(|address| address.parse().ok()),
            });
            Ok(())
        });
        read.await.attempt(attempt)?;
        Ok(sessions)
    }
}
